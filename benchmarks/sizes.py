"""Which size, and whether with a table of token pairs, by text and seconds of training: what the plan's rules rest on.

    python benchmarks/sizes.py SHARED --seconds 15 60 > benchmarks/results/sizes.txt

Texts, rates and speeds as in `benchmarks/recipes.py`: steps are what fits into the seconds at the speed of each size,
measured first. Figures are bits per held-out byte, the mean of the seeds, half of what lies between the least and the
most of them, and the passes over the text.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from machine import describe

from mynah.evaluate.language_model import score_network, summarise
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.plan.budget import row_shape
from mynah.plan.settings import LADDER
from mynah.plan.speed import measure_step
from mynah.tokenizer.dataset import TokenSet
from mynah.train.batches import StreamBatches
from mynah.train.config import TrainConfig
from mynah.train.loop import train
from mynah.train.ramp import ramp_of
from mynah.train.rates import rates
from recipes import TEXTS, prepared, remembered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with data/ and corpus/")
    parser.add_argument("--seconds", type=float, nargs="*", default=[15.0, 60.0])
    parser.add_argument("--texts", nargs="*", default=list(TEXTS), choices=list(TEXTS))
    parser.add_argument("--sizes", nargs="*", default=list(LADDER[:3]), choices=list(LADDER))
    parser.add_argument("--tables", nargs="*", default=["pairs", "none"], choices=["pairs", "none"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--speeds", type=Path, help="JSON of seconds a step: read if there, else written")
    chosen = parser.parse_args()
    print(" ".join(["$ python benchmarks/sizes.py", *sys.argv[1:]]))
    print(describe())
    sets = {name: prepared(TEXTS[name](chosen.shared)) for name in chosen.texts}
    speeds = measured(sets, chosen.sizes, chosen.speeds)
    for text, (data, held_out, vocab) in sets.items():
        rows, context = row_shape(data)
        print(f"\n{text}: {len(data.tokens):,} tokens, vocabulary {vocab:,}, {rows} x {context} a step")
        print(
            f"{'':<16} {'ms a step':>10}"
            + "".join(f" {f'{s:g} s':>9} {'+-':>6} {'passes':>7}" for s in chosen.seconds)
        )
        for size in chosen.sizes:
            for pairs in (table == "pairs" for table in chosen.tables):
                speed = speeds[f"{text}/{size}/{pairs}"]
                line = f"{size + (', pairs' if pairs else ''):<16} {1e3 * speed:>10.1f}"
                for seconds in chosen.seconds:
                    steps = max(20, int(seconds / speed))
                    passes = steps * rows * context / len(data.tokens)
                    found = [
                        one(data, held_out, vocab, size, pairs, steps, seed) for seed in range(chosen.seeds)
                    ]
                    half = (max(found) - min(found)) / 2
                    line += f" {statistics.mean(found):>9.4f} {half:>6.4f} {passes:>7.1f}"
                print(line, flush=True)


def settings(data: TokenSet, vocab: int, size: str, pairs: bool) -> Any:
    """Return a size of the ladder, with or without pairs, for the rows of a text."""
    changes = {} if pairs else {"bigram_buckets": 0}
    return preset(size, vocab, context_length=row_shape(data)[1], **changes)


def measured(sets: dict[str, Any], sizes: list[str], path: Path | None) -> dict[str, float]:
    """Return the seconds of a step of each size on each text: the quickest of three turns."""
    if known := remembered(path):
        return known
    speeds: dict[str, float] = {}
    for _ in range(3):
        for text, (data, _, vocab) in sets.items():
            for size in sizes:
                for pairs in (True, False):
                    model = settings(data, vocab, size, pairs)
                    found = measure_step(model, data, row_shape(data), torch.device("cpu"))
                    key = f"{text}/{size}/{pairs}"
                    speeds[key] = min(found, speeds.get(key, found))
    return remembered(path, speeds)


def one(
    data: TokenSet,
    held_out: TokenSet,
    vocab: int,
    size: str,
    pairs: bool,
    steps: int,
    seed: int,
    **changed: Any,
) -> float:
    """Train once, with some settings of the training changed; return bits per held-out byte."""
    shape = settings(data, vocab, size, pairs)
    rows, context = row_shape(data)
    config = TrainConfig(
        steps=steps, batch_size=rows, context_length=context, seed=seed, eval_every=10**9, spike=0,
        **{**rates(shape, from_base=False), **changed},
    )  # fmt: skip
    model = new_model(shape, seed)
    train(model, StreamBatches(data, ramp_of(config), context, seed, config.document_mask), config)
    scored = summarise(score_network(model, held_out, context), held_out)
    assert scored is not None
    return scored.bpb


if __name__ == "__main__":
    main()
