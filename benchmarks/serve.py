"""How a service holds out: many clients that stream at once, and thousands that come, go away and break off.

    python benchmarks/serve.py RUN [--clients 1 8 64] [--tokens 48] [--chat] [--rounds 3] [--beside PYTHON]
                               [--llama PROGRAM]
    python benchmarks/serve.py RUN [--soak 10000] [--open 500] [--hostile 10000]

RUN is a run or the name of a base; `mynah serve` is started on it in a process of its own, as it is and with `--int8`.
For each number of clients: tokens of all a second, and of the first token and the time between two the median and the
95th percentile, and the memory of the service. Every client has a prompt of its own, of about 30 words; `--chat` asks
as a user's message. `--beside` names an interpreter that has `transformers[serving]` and accelerate: its `transformers
serve` is measured as well, with and without continuous batching, of a base; `--llama` names llama.cpp's
`llama-server`, measured over the same base in F16 and in Q8_0 with a place for each client. All take turns, one running
at a time, for so many rounds; told are medians of the rounds.

`--soak N` sends N requests of random lengths, of which a third is broken off (before the answer, at its first piece, in
the middle), and tells what they got, whether anything is left running a second after the last, and how the memory
grew. `--open N` holds N connections open that never send a whole request, and measures a healthy client beside them.
`--hostile N` has Schemathesis send about N requests, valid and not, made from the service's own OpenAPI document: each
answer must have a status and a form that the document has, and none may be an error of the service's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from machine import describe

from mynah.interop.bases import find_base

#: Bytes for what was read of prompts, in a soak.
KEPT = 1 << 25
WORDS = (
    "the shop sends parcels on monday and friday when an order is paid before noon and the customer wants to know "
    "where it is so we look it up tell them the day and ask whether they need anything else from us or a colleague"
).split()


class Server:
    """`mynah serve` in a process of its own."""

    def __init__(self, run: str, *flags: str) -> None:
        command = [
            sys.executable,
            "-m",
            "mynah",
            "serve",
            run,
            "--port",
            "0",
            "--waiting",
            "4096",
            "--no-feedback",
        ]
        self.name = " ".join(("mynah", *flags[:1]))
        self.process = subprocess.Popen(
            [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.address = line.split(" on ")[1].split()[0]
        self.model = line.split()[1].rstrip(",")

    def memory(self) -> float:
        """Return the resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def running(self) -> int:
        """Return how many requests run or wait."""
        text = httpx.get(f"{self.address}/metrics", timeout=30).text
        found = dict(re.findall(r"^(mynah_running|mynah_waiting) ([0-9.]+)$", text, re.M))
        return int(sum(float(value) for value in found.values()))

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(60)


class Transformers(Server):
    """`transformers serve` in bfloat16, of an interpreter that has it, in a process of its own."""

    def __init__(self, python: str, base: str, *flags: str) -> None:
        self.name, self.model = " ".join(("transformers", *flags)), base
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = str(found.getsockname()[1])
        self.address = f"http://127.0.0.1:{port}"
        program = str(Path(python).with_name("transformers"))
        self.process = subprocess.Popen(
            [program, "serve", base, "--port", port, "--dtype", "bfloat16", *flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        for _ in range(120):
            try:
                if httpx.get(f"{self.address}/health", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(1)
        raise SystemExit(f"{self.name} does not answer")


class Llama(Transformers):
    """llama.cpp's own server, in a process of its own."""

    def __init__(self, program: str, file: str, most: int) -> None:
        self.name, self.model = f"llama-server {Path(file).stem}", file
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = str(found.getsockname()[1])
        self.address = f"http://127.0.0.1:{port}"
        room = ["--parallel", str(most), "--ctx-size", str(512 * most), "--threads", str(os.cpu_count())]
        # What it lays out for matrix units on weights of 8 bits crashes (0.3.36 of its Python package).
        room += ["--no-repack"] if "q8" in file else []
        self.process = subprocess.Popen(
            [program, "--model", file, "--port", port, *room],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait()


def body(server: Server, rng: random.Random, tokens: int, chat: bool = False) -> dict[str, Any]:
    """Return a request whose reply is as long as it may be."""
    prompt = " ".join(rng.choices(WORDS, k=30))
    said: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
    return {
        "model": server.model, **said, "max_tokens": tokens, "stream": True, "temperature": 1,
        "seed": rng.randrange(1 << 30), "stream_options": {"include_usage": True},
    }  # fmt: skip


async def one(client: httpx.AsyncClient, server: Server, asked: dict[str, Any]) -> tuple[list[float], int]:
    """Return when each piece came, in seconds after the request, and how many tokens there were."""
    begun, times, tokens = time.perf_counter(), [], 0
    route = "chat/completions" if "messages" in asked else "completions"
    async with client.stream("POST", f"{server.address}/v1/{route}", json=asked) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                told = json.loads(line.removeprefix("data: "))
                if told.get("usage"):
                    tokens = told["usage"]["completion_tokens"]
                of = told["choices"][0] if told["choices"] else {}
                if of.get("text") or of.get("delta", {}).get("content"):
                    times.append(time.perf_counter() - begun)
    return times, tokens or len(times)


async def load(server: Server, count: int, tokens: int, seed: int, chat: bool) -> dict[str, float]:
    """Have so many clients ask once each; return what it took."""
    rng = random.Random(seed)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=600, limits=limits) as client:
        begun = time.perf_counter()
        found = await asyncio.gather(
            *(one(client, server, body(server, rng, tokens, chat)) for _ in range(count))
        )
        seconds = time.perf_counter() - begun
    first = [times[0] for times, _ in found if times]
    between = np.concatenate([np.zeros(0), *(np.diff(times) for times, _ in found)])
    if not len(between):  # the log replied, in one piece
        between = np.zeros(1)
    return {
        "total": sum(number for _, number in found) / seconds,
        "first": float(np.median(first)),
        "first95": float(np.quantile(first, 0.95)),
        "between": float(np.median(between)),
        "between95": float(np.quantile(between, 0.95)),
        "memory": server.memory(),
    }


def told(name: str, count: int, rounds: list[dict[str, float]]) -> str:
    """Return a line: medians of the rounds, and how far apart their totals are."""
    middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    totals = [one["total"] for one in rounds]
    return (
        f"{name:<35} {count:3} clients: {middle['total']:6.1f} tokens/s ({min(totals):.1f} to {max(totals):.1f})   "
        f"first token {middle['first']:6.2f} s, 95 % within {middle['first95']:6.2f} s   between two "
        f"{1000 * middle['between']:6.0f} ms, 95 % within {1000 * middle['between95']:6.0f} ms   "
        f"memory {middle['memory']:6.0f} MB"
    )


async def _broken_off(client: httpx.AsyncClient, server: Server, rng: random.Random, kind: int) -> str:
    asked = body(server, rng, rng.randint(1, 60))
    try:
        if kind == 0:
            await client.post(f"{server.address}/v1/completions", json=asked, timeout=rng.random() * 0.2)
            return "200"
        pieces, most = 0, 1 if kind == 1 else rng.randint(2, 20)
        async with client.stream("POST", f"{server.address}/v1/completions", json=asked) as response:
            async for _ in response.aiter_lines():
                pieces += 1
                if kind < 3 and pieces >= most:
                    return "broken off"
        return str(response.status_code)
    except httpx.TimeoutException:
        return "given up"


async def soak(server: Server, count: int, at_once: int = 16) -> None:
    """Send many requests, and print what became of them."""
    rng, got, left = random.Random(0), Counter[str](), count

    async def worker() -> None:
        nonlocal left
        async with httpx.AsyncClient(timeout=120) as client:
            while left > 0:
                left -= 1
                got[await _broken_off(client, server, rng, rng.randrange(9))] += 1

    memory: list[float] = []

    async def watch() -> None:
        while left > 0:
            memory.append(server.memory())
            await asyncio.sleep(2)

    watching = asyncio.create_task(watch())
    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    seconds = time.perf_counter() - begun
    watching.cancel()
    await asyncio.sleep(1)
    quarters = [*(memory[n * len(memory) // 4] for n in (1, 2, 3)), server.memory()]
    print(
        f"soak: {count:,} requests in {seconds:.0f} s: {dict(got)}; running a second later: {server.running()}; memory "
        f"{', '.join(f'{one:.0f}' for one in quarters)} MB after each quarter, most {max(memory):.0f} MB",
        flush=True,
    )


async def half_open(server: Server, count: int) -> None:
    """Hold connections open that send no whole request; print what a healthy client notices of it."""
    host, port = server.address.removeprefix("http://").split(":")

    async def healthy() -> np.ndarray:
        seconds = []
        async with httpx.AsyncClient(timeout=60) as client:
            for _ in range(100):
                begun = time.perf_counter()
                await client.get(f"{server.address}/v1/models")
                seconds.append(time.perf_counter() - begun)
        return np.array(seconds)

    before = await healthy()
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        writers.append(writer)
    during = await healthy()
    for writer in writers:
        writer.close()
    print(
        f"{count} connections half open: 95 % of a healthy client's requests within "
        f"{1000 * np.quantile(during, 0.95):.1f} ms, before {1000 * np.quantile(before, 0.95):.1f} ms"
    )


def hostile(server: Server, count: int) -> None:
    """Have Schemathesis make requests from the service's document; print how that went."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"{server.address}/openapi.json", "--mode", "all",
        "--max-examples", str(max(1, count // 15)), "--checks", checks, "--request-timeout", "10",
        "--continue-on-failure", "--no-shrink", "--seed", "1", "--suppress-health-check", "all", "--warnings", "off",
        "--no-color",
    ]  # fmt: skip
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=tempfile.mkdtemp())  # it keeps notes
    found = re.search(r"Test cases:\s+(.*)", done.stdout)
    print(
        f"hostile: {found[1] if found else 'nothing was sent'}, in {time.perf_counter() - begun:.0f} s; "
        f"{'no fault' if done.returncode == 0 else 'faults'}; running afterwards: {server.running()}",
        flush=True,
    )
    if done.returncode:
        print(done.stdout[-4000:])


def main() -> None:
    """Print lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--beside")
    parser.add_argument("--llama")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--open", type=int, default=0)
    parser.add_argument("--hostile", type=int, default=0)
    given = parser.parse_args()
    print(describe())
    if given.soak or given.open or given.hostile:
        tried(given)
        return
    started: list[Callable[[], Server]] = [partial(Server, given.run), partial(Server, given.run, "--int8")]
    if given.beside:
        base = str(find_base(given.run))
        started += [
            partial(Transformers, given.beside, base),
            partial(Transformers, given.beside, base, "--continuous-batching"),
        ]
    if given.llama:
        for quant in ("f16", "q8_0"):
            file = Path(tempfile.mkdtemp()) / f"{quant}.gguf"
            base = str(find_base(given.run))
            command = [sys.executable, "-m", "mynah", "export", base, "-o", str(file), "--quant", quant]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            started.append(partial(Llama, given.llama, str(file), max(given.clients)))
    found: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)
    for number in range(given.rounds):  # one after another: two at once would share the cores
        for start in started:
            server = start()
            try:
                asyncio.run(load(server, 1, 4, 99, given.chat))  # warm
                for count in given.clients:
                    seed = 1000 * number + count
                    found[server.name, count].append(
                        asyncio.run(load(server, count, given.tokens, seed, given.chat))
                    )
            finally:
                server.stop()
    for (name, count), rounds in found.items():
        print(told(name, count, rounds), flush=True)


def tried(given: argparse.Namespace) -> None:
    """Try how a service holds out, and print it."""
    # What is kept of prompts is full soon, so that what grows after it is a leak.
    recipe = Path(tempfile.mkdtemp()) / "serve.toml"
    recipe.write_text(f"[serve]\nkept_bytes = {KEPT}\n", encoding="utf-8")
    server = Server(given.run, "--recipe", str(recipe))
    try:
        if given.soak:
            asyncio.run(soak(server, given.soak))
        if given.open:
            asyncio.run(half_open(server, given.open))
        if given.hostile:
            hostile(server, given.hostile)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
