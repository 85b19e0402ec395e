"""Recall and precision of personal data by kind, on the labelled set and on an export with planted data.

    python benchmarks/personal_data.py [SEED ...] [--planted FILE.csv]

A piece is found if a span of its kind covers 80 % of it; a span is right if half of it or more is personal data of its
kind. The planted file is a chat export whose column `talker` names the kind of what stands in `msg`.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

from personal_items import make_items

from mynah.data.personal.config import KINDS
from mynah.data.personal.find import find

#: What the planted file calls its kinds.
PLANTED = {
    "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "CREDIT_CARD": "card", "IP_ADDRESS": "ip", "LOCATION": "address",
    "IBAN_CODE": "iban", "CRYPTO": "wallet", "ID": "id", "US_SSN": "id",
}  # fmt: skip


def score(each: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return kind -> (recall, precision) on `each` items a kind and as many harmless ones."""
    gold, found, spans, right = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for item in make_items(each, seed):
        predicted = find(item.text)
        for start, end, kind in item.spans:
            gold[kind] += 1
            shared = [min(end, p.end) - max(start, p.start) for p in predicted if p.kind == kind]
            found[kind] += max(shared, default=0) >= 0.8 * (end - start)
        for p in predicted:
            spans[p.kind] += 1
            shared = [
                min(end, p.end) - max(start, p.start) for start, end, kind in item.spans if kind == p.kind
            ]
            right[p.kind] += max(shared, default=0) >= 0.5 * (p.end - p.start)
    return {kind: (found[kind] / gold[kind], right[kind] / max(1, spans[kind])) for kind in KINDS}


def planted(path: Path) -> None:
    """Print what is found in each planted message; nothing of it is anybody's."""
    found, total = Counter[str](), Counter[str]()
    missed = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            kind = PLANTED.get(row["talker"])
            if kind is None:
                continue
            total[kind] += 1
            if any(span.kind == kind for span in find(row["msg"])):
                found[kind] += 1
            else:
                missed.append(f"{row['talker']} in row {row['id']}")
    print(f"\n{path.name}: " + ", ".join(f"{kind} {found[kind]} of {n}" for kind, n in sorted(total.items())))
    print("missed: " + (", ".join(missed) or "nothing"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--planted", type=Path)
    arguments = parser.parse_args()
    print(f"{'kind':<10}" + "".join(f"{f'seed {seed}':>22}" for seed in arguments.seeds))
    print(f"{'':<10}" + f"{'recall':>12}{'precision':>10}" * len(arguments.seeds))
    scores = [score(200, seed) for seed in arguments.seeds]
    for kind in KINDS:
        print(f"{kind:<10}" + "".join(f"{s[kind][0]:>12.3f}{s[kind][1]:>10.3f}" for s in scores))
    print("200 items a kind and 2,600 harmless sentences for each seed")
    if arguments.planted:
        planted(arguments.planted)


if __name__ == "__main__":
    main()
