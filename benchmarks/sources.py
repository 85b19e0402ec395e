"""How many files of real data are read rightly without a flag, which are refused, and which are misread silently.

    python benchmarks/sources.py SHARED

SHARED holds `data` (one folder a data set) and `cases` (small inputs that went wrong once, with what is right). What is
right of a data set is told by the table in docs/sources.md, of a case by its test. A data set whose counts are not
those of the table counts as silently wrong unless a warning was given; so does a file of which more than a tenth is in
no record for no reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from machine import describe

from mynah.data.collect.collector import Collector
from mynah.data.records import KINDS, Rejected, kind_of
from mynah.data.sources import LOST_SHARE, CollectConfig

ROOT = Path(__file__).parents[1]
#: Folders that hold no input to read: models and tokenizers.
LEFT_OUT = ("model_", "tokenizer_")


def table() -> dict[str, list[int]]:
    """Return the counts that docs/sources.md gives of each data set."""
    page = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|([ \d,|]+)\|$", page, re.MULTILINE)
    return {name: [int(cell.replace(",", "")) for cell in cells.split("|")] for name, cells in rows}


def outcome(folder: Path, expected: list[int]) -> tuple[Counter[str], str]:
    """Read a data set; return how many of its files came out how, and a line about it."""
    collector = Collector([folder], CollectConfig())
    counts: Counter[str] = Counter()
    begun = time.perf_counter()
    for item in collector.items():
        if isinstance(item, Rejected):
            counts["rejected" if item.bad else "left out"] += 1
        else:
            counts[kind_of(item)] += 1
    seconds = time.perf_counter() - begun
    found = [*(counts[kind] for kind in (*KINDS.values(), "rejected")), len(collector.left_out)]
    files = {
        source.file: len(unit.files) for source, unit in zip(collector.sources, collector.units, strict=False)
    }
    warned = [source for source in collector.sources if source.warnings]
    lost = [source for source in collector.sources if source.unnamed > LOST_SHARE * source.characters]
    right = found == expected
    made: Counter[str] = Counter()
    read = sum(files.values())
    made["refused with a reason"] = len(collector.left_out)
    if right:
        made["read, another reading shown beside"] = len(warned)
        made["read rightly"] = read - len(warned) - len(lost)
    else:
        made["read, another reading shown beside"] = len(warned)
        made["silently wrong"] = read - len(warned)
    made["silently wrong"] += len(lost)
    told = ", ".join(f"{n:,} {kind}" for kind, n in sorted(counts.items()))
    return made, f"{read:>5} files  {seconds:6.1f} s  {'as expected' if right else 'NOT AS EXPECTED'}: {told}"


def main() -> None:
    """Print an outcome for each data set and case, then all of them by kind."""
    shared = Path(sys.argv[1])
    print(describe())
    expected = table()
    total: Counter[str] = Counter()
    print("\ndata sets, one command without a flag")
    for folder in sorted(
        p for p in (shared / "data").iterdir() if p.is_dir() and not p.name.startswith(LEFT_OUT)
    ):
        made, line = outcome(folder, expected[folder.name])
        total += made
        print(f"  {folder.name:<26} {line}", flush=True)
    print("\nfiles by outcome")
    for name, count in total.most_common():
        print(f"  {count:>6,}  {name}")
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
    ]
    done = subprocess.run(
        [*pytest, "tests/test_cases.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    cases = len(list((shared / "cases").glob("[0-9]*")))
    print(f"\ncases ({cases}): {done.stdout.strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()
