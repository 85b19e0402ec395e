"""The table in docs/sources.md: what one command without a flag makes of every folder of real data.

`python tests/data/collect/test_sources.py` prints the table anew.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from mynah.data.collect.collector import Collector
from mynah.data.records import KINDS, Rejected, kind_of
from mynah.data.sources import CollectConfig

PAGE = Path(__file__).parents[3] / "docs" / "sources.md"
COLUMNS = [*KINDS.values(), "rejected", "passed over"]
#: Folders that are no input: models, tokenizers.
LEFT_OUT = ("model_", "tokenizer_")


def counts_of(folder: Path) -> list[int]:
    """Read a folder; return records by kind, rejected rows and files passed over."""
    collector = Collector([folder], CollectConfig())
    counts: Counter[str] = Counter()
    for item in collector.items():
        if not isinstance(item, Rejected):
            counts[kind_of(item)] += 1
        elif item.bad:
            counts["rejected"] += 1
    return [counts[column] for column in COLUMNS[:-1]] + [len(collector.left_out)]


def table() -> dict[str, list[int]]:
    rows = re.findall(r"^\| `(\w+)` \|([ \d,|]+)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: [int(cell.replace(",", "")) for cell in cells.split("|")] for name, cells in rows}


@pytest.mark.parametrize("name", table())
def test_counts_of_a_folder(shared: Path, name: str) -> None:
    assert counts_of(shared / name) == table()[name]


def test_every_folder_stands_in_the_table(shared: Path) -> None:
    folders = {p.name for p in shared.iterdir() if p.is_dir() and not p.name.startswith(LEFT_OUT)}
    assert set(table()) == folders


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(Path(__file__).parents[2]))
    from conftest import SHARED

    print(f"| folder | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
    for path in sorted(p for p in SHARED.iterdir() if p.is_dir() and not p.name.startswith(LEFT_OUT)):
        print(f"| `{path.name}` | {' | '.join(f'{n:,}' for n in counts_of(path))} |", flush=True)
