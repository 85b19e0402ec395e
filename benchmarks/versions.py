"""Two checkouts of Mynah side by side: milliseconds a training step, and tokens decoded a second.

    git worktree add /tmp/before COMMIT
    python benchmarks/versions.py /tmp/before [--turns 3] > benchmarks/results/DATE-versions.txt

Each turn is a process of its own that imports one checkout; the two take turns. What is printed is the median of the
turns with the least and the most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from machine import describe

#: name -> preset, fields changed, rows, context
SHAPES = {
    "nano 8 x 128": ("nano", {}, 8, 128),
    "small 8 x 128": ("small", {}, 8, 128),
    "GPT-2's make, 0.8M, 4 x 256": ("gpt2", {"n_layer": 4, "n_embd": 128, "n_head": 4}, 4, 256),
    "GPT-2's make, 12.3M, 8 x 256": ("gpt2", {"n_layer": 6, "n_embd": 384, "n_head": 6}, 8, 256),
    "Llama's make, grouped heads, 8 x 256": (
        "tinyllama-1.1b", {"n_layer": 6, "n_embd": 384, "n_head": 6, "n_kv_head": 2, "ffn_hidden": 1024}, 8, 256,
    ),
}  # fmt: skip
ONE_TURN = """
import json, sys, time
import numpy as np, torch
from mynah.data.records import Document
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.config import TrainConfig
from mynah.train.loop import Session
from mynah.train.phases import pretrain
from mynah.train.rates import rates
from mynah.generate.settings import SamplingConfig
shapes, precisions = json.loads(sys.argv[1]), sys.argv[2].split(",")
words = np.random.default_rng(0).integers(0, 1000, 60_000)
text = " ".join(f"w{n}" for n in words)
tokenizer = Tokenizer.train([text], 2048)
data = encode_records([Document(text)], tokenizer)
out = {}
for name, (make, changes, rows, context) in shapes.items():
    config = preset(make, 2048, **{**changes, "context_length": context})
    for precision in precisions:
        stamps = []
        settings = {**rates(config, False), "document_mask": False, "precision": precision}
        training = TrainConfig(steps=13, batch_size=rows, context_length=context, eval_every=10**6, **settings)
        session = Session(watch=lambda _: stamps.append(time.perf_counter()))
        pretrain(new_model(config, 0), data, None, training, session)
        out[f"{name}, {precision}: ms a step"] = 1000 * float(np.median(np.diff(stamps)))
grouped = {"n_layer": 8, "n_embd": 512, "n_head": 8, "n_kv_head": 2, "windows": (0,)}
model = new_model(preset("gpt3-small", 2048, **grouped), 0).eval()
sampling, prompt, count = SamplingConfig(max_tokens=64), [1] * 900, 8
try:
    from mynah.generate.engine import Request, generate_all
    run = lambda: generate_all(model, [Request(prompt, sampling)] * count)
except ImportError:
    from mynah.generate.engine import generate_all
    run = lambda: generate_all(model, [prompt] * count, sampling)
run()
begun = time.perf_counter()
made = run()
out["8 rows after 900 tokens, grouped heads, 25M: tokens decoded a second, with the prompts"] = (
    sum(map(len, made)) / (time.perf_counter() - begun)
)
print(json.dumps(out))
"""


def turn(checkout: Path, precisions: str) -> dict[str, float]:
    """Return the figures of one process."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-W", "ignore", "-c", ONE_TURN, json.dumps(SHAPES), precisions]
    done = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--precisions", default="float32,auto")
    chosen = parser.parse_args()
    here = Path(__file__).parents[1]
    commits = [
        subprocess.run(
            ["git", "-C", str(p), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout
        for p in (chosen.before, here)
    ]
    print(f"$ python benchmarks/versions.py {commits[0].strip()} --turns {chosen.turns}")
    print(f"{describe()}; before {commits[0].strip()}, now {commits[1].strip()}")
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(chosen.turns):
        for version, checkout in (("before", chosen.before), ("now", here)):
            for name, value in turn(checkout, chosen.precisions).items():
                found.setdefault(name, {}).setdefault(version, []).append(value)
    for name, versions in found.items():
        told = "   ".join(
            f"{version} {statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
            for version, values in versions.items()
        )
        print(f"{name:<92} {told}")


if __name__ == "__main__":
    main()
