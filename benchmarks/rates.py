"""Which learning rates each width wants: what the rule of 1 / width in `mynah/train/rates.py` rests on.

    python benchmarks/rates.py SHARED --steps 400 > benchmarks/results/rates.txt

Texts as in `benchmarks/recipes.py`, sizes of the ladder, the same steps for all, told as passes over the text. Figures
are bits per held-out byte; with several seeds the median, and in brackets the least and the most. The rates are those
of `mynah build` for a text that is seen often, each times a factor while the other stays: `learning_rate`, of
embeddings, head and scales (AdamW), and `matrix_learning_rate` (Muon).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from machine import describe
from sizes import one, settings

from mynah.plan.budget import row_shape
from mynah.plan.settings import LADDER
from mynah.train.rates import rates
from recipes import TEXTS, prepared

NAMES = ("learning_rate", "matrix_learning_rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with data/ and corpus/")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--factors", type=float, nargs="*", default=[0.5, 2.0], help="besides 1")
    parser.add_argument("--texts", nargs="*", default=list(TEXTS), choices=list(TEXTS))
    parser.add_argument("--sizes", nargs="*", default=["nano", "mini"], choices=list(LADDER))
    parser.add_argument("--names", nargs="*", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pairs", action="store_true", help="with the table of token pairs")
    chosen = parser.parse_args()
    print(" ".join(["$ python benchmarks/rates.py", *sys.argv[1:]]))
    print(describe(), flush=True)
    for text in chosen.texts:
        data, held_out, vocab = prepared(TEXTS[text](chosen.shared))
        rows, context = row_shape(data)
        for size in chosen.sizes:
            model = settings(data, vocab, size, chosen.pairs)
            told = rates(model, from_base=False)
            passes = chosen.steps * rows * context / len(data.tokens)
            print(
                f"\n{text}, {size}, {model.n_embd} wide, {chosen.steps} steps, {passes:.1f} passes",
                flush=True,
            )
            run = partial(one, data, held_out, vocab, size, chosen.pairs, chosen.steps)
            found = {1.0: over_seeds(run, chosen.seeds)}
            for name in chosen.names:
                for factor in chosen.factors:
                    found[factor] = over_seeds(run, chosen.seeds, **{name: told[name] * factor})
                each = "".join(f"  {told[name] * factor:.5f}: {found[factor]}" for factor in sorted(found))
                print(f"{name:<21}{each}", flush=True)


def over_seeds(run: Callable[..., float], seeds: int, **changed: float) -> str:
    """Return the median over seeds, and in brackets the least and the most."""
    found = [run(seed, **changed) for seed in range(seeds)]
    spread = f" ({min(found):.4f} to {max(found):.4f})" if seeds > 1 else ""
    return f"{statistics.median(found):.4f}{spread}"


if __name__ == "__main__":
    main()
