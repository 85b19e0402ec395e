"""How many names of people are found in running English text, and how many of those found are none.

    python benchmarks/marked_names.py DATA

DATA holds `text_web_demo`, pages of the web. The names in the first 2,500 characters of 261 of its English pages were
marked by hand: every mention, whole or by a part, of real and invented people; names_marked.json holds where they
stand, not what they are. The rules were made with the part that is called tuned in sight, not with the other.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

from machine import describe

from mynah.data.collect.collector import collect
from mynah.data.personal.find import find
from mynah.data.sources import CollectConfig

#: Characters of a page that were marked, and the share of a name that must be covered to be found.
MARKED, COVERED = 2500, 0.6


def main() -> None:
    """Print recall and precision for both parts, and recall of whole names and of single words."""
    marked = json.loads((Path(__file__).parent / "names_marked.json").read_text(encoding="utf-8"))
    records = collect([Path(sys.argv[1]) / "text_web_demo" / "c4_demo.jsonl"], CollectConfig()).records
    texts = {record.place: record.texts[0][:MARKED] for record in records}
    counts: Counter[tuple[str, str]] = Counter()
    for place, about in marked.items():
        text, part = texts[place], about["part"]
        if hashlib.sha256(text.encode()).hexdigest()[:16] != about["sha256"]:
            sys.exit(f"{place}: is not the text that was marked")
        found = [(span.start, span.end) for span in find(text, ["name"])]
        counts[part, "pages"] += 1
        for start, end in about["names"]:
            covered = max((min(end, y) - max(start, x) for x, y in found), default=0)
            size = "whole" if len(text[start:end].split()) > 1 else "one word"
            for kind in ("names", size):
                counts[part, kind] += 1
                counts[part, f"{kind} found"] += covered >= COVERED * (end - start)
        for x, y in found:
            counts[part, "spans"] += 1
            counts[part, "right"] += any(x < end and start < y for start, end in about["names"])
    print(describe("names", "spylls"))
    print("\npart      pages  names  recall  (whole names  one word)  precision")
    for part in ("tuned", "held out"):
        shares = [
            counts[part, f"{kind} found"] / counts[part, kind] for kind in ("names", "whole", "one word")
        ]
        precision = counts[part, "right"] / counts[part, "spans"]
        sizes = f"{counts[part, 'pages']:>5}  {counts[part, 'names']:>5}"
        print(
            f"{part:<9} {sizes}   {shares[0]:.3f}         {shares[1]:.3f}     {shares[2]:.3f}      {precision:.3f}"
        )


if __name__ == "__main__":
    main()
