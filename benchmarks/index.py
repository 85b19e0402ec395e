"""The index over exchanges at 10 thousand, 100 thousand and a million: time, size, memory, and what a question takes.

    python benchmarks/index.py ../shared/corpus/dialogue

Exchanges are neighbouring turns of real dialogue; where there are too few, they come again with a number in front, so
that no two are equal. Beside it: TF-IDF of characters by scikit-learn, the usual lookup, held in memory.
"""

from __future__ import annotations

import argparse
import json
import lzma
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from machine import describe

from mynah.retrieval.exchanges import Exchange
from mynah.retrieval.features import features_of
from mynah.retrieval.index import ExchangeIndex

SIZES = 10_000, 100_000, 1_000_000
ASKED = 200


def lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.jsonl.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for row in file:
                for turn in json.loads(row)["messages"]:
                    if 5 < len(turn["content"]) < 300:
                        yield turn["content"]


def exchanges(known: list[str], count: int) -> Iterator[Exchange]:
    for number in range(count):
        turn, at = divmod(number, len(known) - 1)
        mark = f"{turn} " if turn else ""
        yield Exchange(mark + known[at], mark + known[at + 1], place=f"dialogue:{number}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    options = parser.parse_args()
    print(describe("numpy", "scikit-learn"))
    known = list(lines(options.folder))
    print(f"{len(known):,} turns of dialogue")
    print(
        f"{'exchanges':>10} {'build s':>8} {'MB':>6} {'peak MB':>8} {'ms median':>10} {'ms worst':>9}   sklearn: s, ms"
    )
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            index = ExchangeIndex.build(exchanges(known, size), Path(folder) / "index")
            built = time.monotonic() - begun
            bytes_ = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            asked = known[7 :: max(1, len(known) // ASKED)][:ASKED]
            for question in asked[:20]:  # what is mapped is read once
                index.search(features_of(question), 6)
            taken = []
            for question in asked:
                begun = time.monotonic()
                index.search(features_of(question), 6)
                taken.append(1000 * (time.monotonic() - begun))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            line = f"{size:>10,} {built:>8.1f} {bytes_ / 1e6:>6.0f} {peak:>8.0f}"
            print(f"{line} {statistics.median(taken):>10.1f} {max(taken):>9.1f}", end="   ", flush=True)
        if size > 100_000:
            print("not run")
            continue
        from sklearn.feature_extraction.text import TfidfVectorizer

        begun = time.monotonic()
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        table = vectorizer.fit_transform(e.question for e in exchanges(known, size)).T.tocsr()
        built = time.monotonic() - begun
        taken = []
        for question in asked:
            begun = time.monotonic()
            (vectorizer.transform([question]) @ table).toarray().argmax()
            taken.append(1000 * (time.monotonic() - begun))
        print(f"{built:.1f}, {statistics.median(taken):.1f}")


if __name__ == "__main__":
    main()
