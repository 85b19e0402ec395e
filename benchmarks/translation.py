"""How well a build translates published pairs, beside a lexicon (IBM model 1) and copying, by minutes.

    python benchmarks/translation.py DATA [--minutes 5 15] [--seeds 1] [--only NAME ...]

DATA holds `mt_multi30k_en_de` (its own test part, flickr 2016) and `mt_tatoeba_en_zh` (a thousand pairs drawn by the
seed).
Pairs to learn from whose source or target stands in the test part are taken out first and counted. BLEU and chrF are
sacrebleu's; the signature is printed.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import describe

from mynah.evaluate.translation import measure_translations
from mynah.generate.settings import BeamConfig
from mynah.pipeline.build import build
from mynah.pipeline.open_translator import open_translator
from mynah.tune.translate.lexicon import Lexicon

Pairs = list[tuple[str, str]]
SETS = ("mt_multi30k_en_de", "mt_tatoeba_en_zh")
TESTED = 1000


def parts(folder: Path, name: str, seed: int) -> tuple[Pairs, Pairs]:
    """Return the pairs to learn from and the test pairs of a set."""
    if name == "mt_multi30k_en_de":
        return tuple(  # type: ignore[return-value]
            list(zip(_lines(folder / f"{part}.en.gz"), _lines(folder / f"{part}.de.gz"), strict=True))
            for part in ("train", "test_2016_flickr")
        )
    rows = [line.split("\t")[:2] for line in (folder / "cmn.txt").read_text(encoding="utf-8").splitlines()]
    pairs = [(one, other) for one, other in rows]
    order = np.random.default_rng(seed).permutation(len(pairs))
    return [pairs[i] for i in order[TESTED:]], [pairs[i] for i in order[:TESTED]]


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.strip() for line in file]


def measured(
    train: Pairs, test: Pairs, minutes: float, seed: int
) -> Iterator[tuple[str, dict[str, float], float]]:
    """Yield what was measured and its scores: of the model, greedy too, the lexicon and copying; and the seconds."""
    with tempfile.TemporaryDirectory() as place:
        source, run = Path(place) / "pairs.tsv", Path(place) / "run"
        source.write_text("".join(f"{one}\t{other}\n" for one, other in train), encoding="utf-8")
        begun = time.monotonic()
        recipe = {"base": "none", "task": "translate", "seed": seed, "plan": {"minutes": minutes}}
        build([source], {**recipe, "split": {"held_out": 0.02}}, run)
        taken = time.monotonic() - begun
        opened, way = open_translator(run)
        (direction,) = opened.directions
        sources, references = [one for one, _ in test], [other for _, other in test]
        for title, beam in (("beam 4", way.beam), ("greedy", BeamConfig(width=1))):
            said = [found.text for found in opened.translate(sources, direction, beam)]
            yield title, measure_translations(said, references, direction.target), taken
    lexicon = Lexicon.learn(train)
    yield (
        "IBM 1",
        measure_translations([lexicon.translate(one) for one in sources], references, direction.target),
        0,
    )
    yield "copied", measure_translations(sources, references, direction.target), 0


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, nargs="*", default=[5.0, 15.0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(SETS))
    given = parser.parse_args()
    print(describe())
    for name in given.only:
        for seed in range(given.seeds):
            train, test = parts(given.data / name, name, seed)
            held = {text.lower() for pair in test for text in pair}
            kept = [pair for pair in train if not held & {text.lower() for text in pair}]
            print(
                f"\n{name}, seed {seed}: {len(kept):,} pairs, {len(train) - len(kept):,} taken out, "
                f"{len(test):,} tested"
            )
            for minutes in given.minutes:
                for title, scores, seconds in measured(kept, test, minutes, seed):
                    print(
                        f"  --minutes {minutes:<4g} {title:<8} BLEU {scores['bleu']:5.1f}  chrF {scores['chrf']:5.1f}"
                        + (f"  built in {seconds:.0f} s" if seconds else ""),
                        flush=True,
                    )
            print(f"  {scores['bleu_signature']}")


if __name__ == "__main__":
    main()
