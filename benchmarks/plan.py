"""How far `mynah plan` is off: it predicts, then ten networks are trained as it was told.

    python benchmarks/plan.py [--steps 60]

Ten combinations of size, vocabulary, context and batch on made-up text. The probe is run once, as the command does it,
each network is then trained in a process of its own for so many steps, with held-out measurements and checkpoints as a
build has them, and told are the seconds of a step (the median, without the first few) and the peak memory of the
process, beside what was predicted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import describe

from mynah.device import BASE_BYTES, peak_memory
from mynah.model.config import ModelConfig
from mynah.model.presets import fields_of
from mynah.model.weights import new_model
from mynah.plan.probe import made_up, probe
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, Step
from mynah.train.memory import training_memory
from mynah.train.phases import pretrain
from mynah.train.rates import rates

#: Preset, vocabulary, rows, tokens in each.
COMBINATIONS = (
    ("nano", 2048, 8, 128), ("nano", 8192, 32, 128), ("micro", 4096, 8, 128), ("micro", 8192, 4, 256),
    ("mini", 2048, 16, 128), ("mini", 8192, 4, 256), ("small", 2048, 4, 256), ("small", 8192, 8, 128),
    ("small", 16384, 16, 256), ("gpt3-mini", 4096, 8, 256),
)  # fmt: skip
SKIPPED = 8


def shape(name: str, vocab_size: int, context: int) -> ModelConfig:
    """Return a preset."""
    return ModelConfig(**{**fields_of(name), "vocab_size": vocab_size, "context_length": context})


def train(name: str, vocab_size: int, rows: int, context: int, steps: int) -> None:
    """Train and print the seconds of a step and the peak memory."""
    torch.set_num_threads(2)
    model = shape(name, vocab_size, context)
    settings = rates(model, from_base=False)
    measured = {"eval_every": steps // 2, "checkpoint_every": steps // 2}  # as a build does
    config = TrainConfig(steps=steps, batch_size=rows, context_length=context, **settings, **measured)
    times: list[float] = []

    def watch(_: Step) -> None:
        times.append(time.perf_counter())

    text = made_up(vocab_size)
    with tempfile.TemporaryDirectory() as place:
        held_out = text.select(np.arange(4))
        pretrain(new_model(model, 0), text, held_out, config, Session(Path(place), watch))
    apart = np.diff(times[SKIPPED:])  # measuring and checkpoints are no part of a step
    print(json.dumps({"seconds": float(np.median(apart)), "bytes": peak_memory()}))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--one", nargs=4)
    given = parser.parse_args()
    if given.one:
        name, *numbers = given.one
        train(name, *map(int, numbers), given.steps)
        return
    print(describe("torch"))
    torch.set_num_threads(2)
    off: dict[str, list[float]] = {"time": [], "memory": []}
    machines = {vocab: probe(vocab, torch.device("cpu")) for vocab in sorted({c[1] for c in COMBINATIONS})}
    for name, vocab_size, rows, context in COMBINATIONS:
        model = shape(name, vocab_size, context)
        config = TrainConfig(
            steps=1, batch_size=rows, context_length=context, **rates(model, from_base=False)
        )
        seconds = machines[vocab_size].step_seconds(model, rows, context)
        memory = training_memory(model, config).total + BASE_BYTES
        command = [sys.executable, __file__, "--steps", str(given.steps), "--one", name]
        done = subprocess.run(
            [*command, *map(str, (vocab_size, rows, context))], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        errors = seconds / found["seconds"] - 1, memory / found["bytes"] - 1
        off["time"].append(abs(errors[0]))
        off["memory"].append(abs(errors[1]))
        print(
            f"{name:10} {vocab_size:6,} entries {rows:3} x {context:4}: step {1000 * seconds:6.0f} ms predicted, "
            f"{1000 * found['seconds']:6.0f} taken, {errors[0]:+.0%}   memory {memory / 1e6:6.0f} MB predicted, "
            f"{found['bytes'] / 1e6:6.0f} taken, {errors[1]:+.0%}",
            flush=True,
        )
    for what, values in off.items():
        within = sum(value <= 0.15 for value in values)
        told = f"off by {statistics.median(values):.0%} in the median, {max(values):.0%} at most"
        print(f"{what}: {told}; {within} of {len(values)} within 15 %")


if __name__ == "__main__":
    main()
