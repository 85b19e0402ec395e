"""What several processes cost and gain on one machine: copies, parts and shared blocks beside one process.

    python benchmarks/processes.py SHARED > benchmarks/results/processes.txt

`mynah train` as a user starts it, on GPT-2's shape of 12.3M parameters, the same 8 x 256 tokens a step however many
processes share them. A step's time is the difference of a long and a short run by the steps between them, so that
what starting takes is left out; the ways take turns. Memory is the largest of any one process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

from mynah import artifacts
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from recipes import TEXTS

RECIPE = """
tokens = "tokens"
preset = "gpt2"
sharded = {sharded}
tensor_parallel = {tensor}
[model]
n_layer = 6
n_embd = 384
n_head = 6
[train]
steps = {steps}
batch_size = 8
context_length = 256
eval_every = 1000000
checkpoint_every = 1000000
"""
#: name -> processes, threads of each, in parts, processes that share blocks
WAYS = {
    "one process, two threads": (1, 2, False, 1),
    "one process, one thread": (1, 1, False, 1),
    "two processes, copies": (2, 1, False, 1),
    "two processes, parts": (2, 1, True, 1),
    "two processes, shared blocks": (2, 1, False, 2),
}
#: Steps of the two runs whose difference is told.
SHORT, LONG = 5, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with data/")
    parser.add_argument("--turns", type=int, default=5)
    chosen = parser.parse_args()
    print(" ".join(["$ python benchmarks/processes.py", *sys.argv[1:]]))
    print(describe(), flush=True)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    memory = dict.fromkeys(WAYS, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        write_tokens(Path(folder), chosen.shared)
        for _ in range(chosen.turns):
            for name, (processes, threads, sharded, tensor) in WAYS.items():
                took = []
                for steps in (SHORT, LONG):
                    text = RECIPE.format(steps=steps, sharded=str(sharded).lower(), tensor=tensor)
                    seconds, most = run(Path(folder), text, processes, threads)
                    took.append(seconds)
                    memory[name] = max(memory[name], most)
                times[name].append((took[1] - took[0]) / (LONG - SHORT))
    print(f"{'':<30} {'ms a step':>10} {'least':>7} {'most':>7} {'MB':>7}")
    for name, found in times.items():
        low, middle, high = (1e3 * value for value in (min(found), statistics.median(found), max(found)))
        print(f"{name:<30} {middle:>10.0f} {low:>7.0f} {high:>7.0f} {memory[name]:>7.0f}")


def write_tokens(folder: Path, shared: Path) -> None:
    """Write Shakespeare's tokens as a build leaves them."""
    records = TEXTS["tinyshakespeare"](shared)
    tokenizer = Tokenizer.train([text for record in records for text in record.texts], 4096)
    for name, part in (("train", records[10:]), ("held_out", records[:10])):
        encode_records(part, tokenizer).save(folder / "tokens.partial" / f"{name}.safetensors")
    made = artifacts.Manifest("tokens", "", "", {}, {}, 0)
    artifacts.finish(folder / "tokens.partial", folder / "tokens", made)
    tokenizer.save(folder / "tokenizer")


def run(folder: Path, recipe: str, processes: int, threads: int) -> tuple[float, float]:
    """Train once; return the seconds of all of it and the largest process in MB."""
    path = folder / "recipe.toml"
    path.write_text(recipe, encoding="utf-8")
    out = folder / "run"
    command = [
        sys.executable,
        "-m",
        "mynah",
        "train",
        str(path),
        "-o",
        str(out),
        "--processes",
        str(processes),
    ]
    begun = time.perf_counter()
    child = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        sys.exit(f"{' '.join(command)}: exit status {os.waitstatus_to_exitcode(status)}")
    shutil.rmtree(out)
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
