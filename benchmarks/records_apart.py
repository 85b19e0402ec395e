"""What it gains or costs that tokens see their own record only in pretraining, on logs that were built.

    python benchmarks/records_apart.py runs/A runs/B --steps 300 --seeds 3 > benchmarks/results/records-apart.txt

Each run's own tokens and vocabulary; a network without the table of token pairs, at equal steps, joined and apart in
turns. Bits per held-out byte, and the milliseconds of a step.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from machine import describe
from sizes import one

from mynah.plan.budget import row_shape
from mynah.plan.settings import LADDER
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders that mynah build made")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", default="micro", choices=list(LADDER))
    chosen = parser.parse_args()
    print(" ".join(["$ python benchmarks/records_apart.py", *sys.argv[1:]]))
    print(describe())
    print(f"{chosen.size}, {chosen.steps} steps, {chosen.seeds} seeds; median (least to most)\n")
    for run in chosen.runs:
        data, held_out = (
            TokenSet.load(run / "tokens" / f"{name}.safetensors") for name in ("train", "held_out")
        )
        vocab = Tokenizer.load(run / "tokenizer").vocab_size
        rows, context = row_shape(data)
        tokens = rows * context
        print(
            f"{run.name}: {len(data):,} records of {len(data.tokens) / len(data):.0f} tokens, {rows} x {context} a "
            f"step, {chosen.steps * tokens / len(data.tokens):.1f} passes"
        )
        bits: dict[bool, list[float]] = {False: [], True: []}
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for seed in range(chosen.seeds):
            for apart in bits:
                begun = time.perf_counter()
                bits[apart].append(
                    one(data, held_out, vocab, chosen.size, False, chosen.steps, seed, document_mask=apart)
                )
                seconds[apart].append((time.perf_counter() - begun) / chosen.steps)
        for apart, found in bits.items():
            print(
                f"  {'apart' if apart else 'joined':<7} {statistics.median(found):.4f} "
                f"({min(found):.4f} to {max(found):.4f})  {1e3 * statistics.median(seconds[apart]):.1f} ms a step",
                flush=True,
            )


if __name__ == "__main__":
    main()
