"""No command opens a connection but the two that are for it, and those not where they were told to stay offline.

Every command of the table in `mynah.cli.main` has a row here; each row runs it as a user would, in this process, with
sockets and look-ups of names under guard. Processes that it starts have the same guard, by a `sitecustomize`. What a
compiled library opens past Python's sockets is not seen.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cyclopts
import pytest
from conftest import TINY, write_chats
from test_cli import mynah

from mynah import Classifier, Translator
from mynah.cli.main import COMMANDS, main, make_app
from mynah.interop.huggingface import to_hugging_face
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.pipeline.recipe import load_recipe, to_toml
from mynah.serve.server import Service
from mynah.tokenizer.tokenizer import Tokenizer

#: The commands that may open a connection, if what they are given is somewhere else.
CONNECTING = {"base add", "collect"}

#: Refuses what is not on this machine and writes it down; run in this process, and first in each that it starts.
GUARD = """
import ipaddress, os, socket


def _refuse(what):
    with open({log!r}, "a", encoding="utf-8") as log:
        log.write(what + "\\n")
    raise OSError("no connection may be opened: " + what)


def _is_here(host):
    if host in (None, "", b"", "localhost", b"localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _guarded(method):
    def call(self, *arguments):
        address = arguments[-1]  # of sendto: after the data
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            _refuse(str(address[0]))
        return method(self, *arguments)

    return call


def _looked_up(function):
    def call(host, *arguments, **named):
        if not _is_here(host):
            _refuse(str(host))
        return function(host, *arguments, **named)

    return call


for _name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, _name, _guarded(getattr(socket.socket, _name)))
for _name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
    setattr(socket, _name, _looked_up(getattr(socket, _name)))
"""
GUARDED = {
    socket.socket: ("connect", "connect_ex", "sendto"),
    socket: ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"),
}


class Guard:
    """What was asked for outside this machine."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def asked(self) -> list[str]:
        """Return the hosts that were asked for since the last time."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guard:
    log, folder = tmp_path / "asked.txt", tmp_path / "guard"
    folder.mkdir()
    code = GUARD.format(log=str(log))
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    for owner, names in GUARDED.items():
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))  # put back when the test is over
    exec(compile(code, str(folder / "sitecustomize.py"), "exec"), {})
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return Guard(log)


@dataclass(frozen=True)
class Place:
    """Small inputs of every kind, and room for what comes out of them."""

    root: Path
    #: a finished run, which no command changes
    run: Path

    def __truediv__(self, name: str) -> Path:
        return self.root / name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Place:
    """The inputs of all rows, made once."""
    root = tmp_path_factory.mktemp("rows")
    write_chats(root / "chats.csv")
    (root / "text.txt").write_text("I have a pen.\nI need a pen.\n" * 3, encoding="utf-8")
    (root / "kept.jsonl").write_text('{"question": "Do you sell skis?", "before": []}\n', encoding="utf-8")
    (root / "tiny.toml").write_text(to_toml(load_recipe(None, TINY)), encoding="utf-8")
    train = {"context_length": 32, "batch_size": 4, "steps": 2}
    shape = {"n_layer": 1, "n_embd": 32, "n_head": 2}
    lines = [
        f"tokens = {json.dumps(str(tiny_run / 'tokens'))}", 'preset = "gpt2"', 'device = "cpu"',
        "[model]", *(f"{key} = {value}" for key, value in shape.items()),
        "[train]", *(f"{key} = {value}" for key, value in train.items()),
    ]  # fmt: skip
    (root / "train.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = Tokenizer.train(["a small example of a text"], 300)
    config = preset("gpt2", tokenizer.vocab_size, n_layer=1, n_embd=16, n_head=2, context_length=32)
    to_hugging_face(new_model(config, 0), tokenizer, root / "model")
    rows = [(f"The room was {word} number {n}.", word) for n in range(20) for word in ("lovely", "cold")]
    Classifier.from_pretrained("none").train(rows).save(root / "classes")
    pairs = Translator.from_pretrained("nano").train([("dog", "Hund"), ("cat", "Katze")] * 20, epochs=1)
    pairs.save(root / "pairs")
    for arguments in (
        ("collect", root / "chats.csv", "-o", root / "records"),
        ("ngram", "train", root / "text.txt", "-o", root / "pens.ng"),
    ):
        main(list(map(str, arguments)))
    return Place(root, tiny_run)


#: command -> what it is called with, one call after the other; PLACE/name is among the inputs
Row = Callable[[Place, Path], list[list[object]]]
ROWS: dict[str, Row] = {
    "build": lambda place, out: [
        [place / "chats.csv", "--recipe", place / "tiny.toml", "--runs", out, "--base", "none"]
    ],
    "pretrain": lambda place, out: [
        [place / "chats.csv", "--recipe", place / "tiny.toml", "--runs", out, "--base", "none"]
    ],
    "serve": lambda place, out: [[place.run, "--port", "0"]],
    "train": lambda place, out: [
        [place / "train.toml", "-o", out / "one"],
        [place / "train.toml", "-o", out / "two", "--processes", "2"],
        ["--dry-run"],
    ],
    "base list": lambda place, out: [[]],
    "base add": lambda place, out: [[place / "model", "--name", "added"]],
    "base show": lambda place, out: [["kept"]],
    "base remove": lambda place, out: [["kept"]],
    "collect": lambda place, out: [[place / "chats.csv", "-o", out / "records"]],
    "clean": lambda place, out: [
        [place / "records", "-o", out / "clean", "--language", "en", "--personal", "tag"]
    ],
    "split": lambda place, out: [[place / "records", "-o", out / "split"]],
    "data report": lambda place, out: [[place / "records", "-o", out / "report"]],
    "data show": lambda place, out: [[place / "records"], [place / "records", "--tokens", place.run]],
    "data diff": lambda place, out: [[place / "records", place / "records"]],
    "ngram train": lambda place, out: [[place / "text.txt", "-o", out / "pens.ng"]],
    "ngram score": lambda place, out: [[place / "pens.ng", place / "text.txt"]],
    "ngram generate": lambda place, out: [[place / "pens.ng", "--seed", "1"]],
    "ngram query": lambda place, out: [[place / "pens.ng", "I need"]],
    "ngram prune": lambda place, out: [[place / "pens.ng", "-o", out / "small.ng", "--threshold", "1e-3"]],
    "ngram convert": lambda place, out: [[place / "pens.ng", "-o", out / "pens.arpa"]],
    "ngram info": lambda place, out: [[place / "pens.ng"]],
    "chat": lambda place, out: [[place.run]],
    "evaluate": lambda place, out: [[place.run, "--replies", "2"], [place.run, place / "text.txt"]],
    "diagnose": lambda place, out: [[place.run]],
    "report": lambda place, out: [[place.run]],
    "compare": lambda place, out: [[place.run, place / "model"]],
    "plan": lambda place, out: [["--tokens", "5k", "--size", "nano"], ["--hardware", "h100", "--count", "8"]],
    "explain": lambda place, out: [[place.run, "Do you send tents?", "-o", out / "why.html"]],
    "classify": lambda place, out: [[place / "classes", "The room was cold."]],
    "tune": lambda place, out: [[place / "chats.csv", "--show", "1", "--runs", out, "--base", "none"]],
    "translate": lambda place, out: [[place / "pairs", "dog"]],
    "teach": lambda place, out: [
        [place.run, "--question", "Do you sell skis?", "--reply", "Only in winter."]
    ],
    "unanswered": lambda place, out: [[place.run, place / "kept.jsonl"]],
    "export": lambda place, out: [["kept", "-o", out / "exported"]],
    "generate": lambda place, out: [[place.run, "--prompt", "Do you"]],
}


_run = Service.run


def _asked_and_stopped(service: Service) -> None:
    """Serve until a few requests have been answered."""

    def get(method: str, path: str, body: str | None = None) -> bytes:
        client = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        client.request(method, path, body, {"Content-Type": "application/json"})
        return client.getresponse().read()

    def ask() -> None:
        try:
            while True:
                try:
                    (model,) = json.loads(get("GET", "/v1/models"))["data"]
                    break
                except ConnectionRefusedError:
                    time.sleep(0.02)
            messages = [{"role": "user", "content": "Do you send tents?"}]
            for body in ({}, {"answers": "network"}):
                said = get(
                    "POST",
                    "/v1/chat/completions",
                    json.dumps({"model": model["id"], "messages": messages, **body}),
                )
                assert b"choices" in said
            assert b"<main>" in get("GET", "/")
        finally:
            service.stop()

    asking = threading.Thread(target=ask)
    asking.start()
    _run(service)
    asking.join()


def commands_of(app: cyclopts.App, above: tuple[str, ...] = ()) -> set[str]:
    """Return the commands of an application as they are typed, those of its groups too, options left out."""
    found = set()
    for name in app:
        if name.startswith("-"):
            continue
        inner = commands_of(app[name], (*above, name))
        found |= inner or {" ".join((*above, name))}
    return found


def test_every_command_has_a_row() -> None:
    commands = commands_of(make_app())
    assert commands == set(COMMANDS)
    assert set(ROWS) == commands, "a command without a row here, or a row without a command"
    assert commands >= CONNECTING


@pytest.fixture
def kept(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of bases with one in it, named kept."""
    from mynah.interop.bases import add_base

    monkeypatch.setenv("MYNAH_HOME", str(tmp_path / "home"))
    add_base(str(place / "model"), name="kept")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("command", ROWS)
def test_no_connection(
    command: str,
    place: Place,
    guard: Guard,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "/quit")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Do you send a tent to Bonn?\n"))
    monkeypatch.setattr(Service, "run", _asked_and_stopped)
    for arguments in ROWS[command](place, tmp_path / "out"):
        code, _, err = mynah(*command.split(), *arguments, capsys=capsys)
        assert (code, guard.asked()) == (0, []), err


# What may connect asks for what it was told to, and offline for nothing


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        (["base", "add", "some/model"], True),
        (["base", "add", "some/model", "--offline"], False),
        (["base", "add", "smollm2", "--offline"], False),
        (["collect", "https://docs.example.org/", "-o", "OUT"], True),
    ],
)
def test_what_may_connect(
    arguments: list[str],
    asks: bool,
    guard: Guard,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    pytest.importorskip("huggingface_hub")
    called = [str(tmp_path / "out") if part == "OUT" else part for part in arguments]
    assert " ".join(called[:2]).split(" http")[0] in CONNECTING
    code, _, err = mynah(*called, capsys=capsys)
    assert code == 2, err
    assert bool(guard.asked()) == asks, err


@pytest.mark.parametrize("what", ["some/model", "smollm2"])
def test_the_hubs_own_switch(
    what: str,
    guard: Guard,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = mynah("base", "add", what, capsys=capsys)
    assert (code, guard.asked()) == (2, []), err
    assert "opens no connection" in err


# The guard itself


@pytest.mark.parametrize(
    "call",
    [
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
        lambda: socket.create_connection(("example.org", 80), timeout=1),
        lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
        lambda: socket.getaddrinfo("example.org", 80),
        lambda: socket.gethostbyname("example.org"),
    ],
)
def test_the_guard_refuses_and_writes_down(call: Callable[[], Any], guard: Guard) -> None:
    with pytest.raises(OSError, match="no connection may be opened"):
        call()
    (asked,) = guard.asked()
    assert asked in ("192.0.2.1", "example.org")


def test_the_guard_holds_in_processes_that_are_started(guard: Guard) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 1
    assert guard.asked() == ["192.0.2.1"]


def test_the_guard_lets_this_machine_be(guard: Guard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, server.getsockname()[1]), timeout=5).close()
    assert guard.asked() == []
