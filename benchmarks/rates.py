"""Which learning rates each width wants: what the rule of 1 / width in `mynah/train/rates.py` rests on.

    python benchmarks/rates.py SHARED --steps 400 > benchmarks/results/rates.txt

Texts as in `benchmarks/recipes.py`, sizes of the ladder, the same steps for all, told as passes over the text. Figures
are bits per held-out byte, one seed. The rates are those of `mynah build` for a text that is seen often, each times a
factor while the other stays: `learning_rate`, of embeddings, head and scales (AdamW), and
`matrix_learning_rate` (Muon).
"""

from __future__ import annotations

import argparse
import sys
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
            found = {1.0: one(data, held_out, vocab, size, chosen.pairs, chosen.steps, 0)}
            for name in chosen.names:
                for factor in chosen.factors:
                    changed = {name: told[name] * factor}
                    found[factor] = one(data, held_out, vocab, size, chosen.pairs, chosen.steps, 0, **changed)
                each = "".join(
                    f"  {told[name] * factor:.5f}: {found[factor]:.4f}" for factor in sorted(found)
                )
                print(f"{name:<21}{each}", flush=True)


if __name__ == "__main__":
    main()
