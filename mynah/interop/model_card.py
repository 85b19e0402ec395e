"""What a model's README.md says of it in its head: licence and languages, as the hub has them."""

from __future__ import annotations

import re
from pathlib import Path

CARD = "README.md"
#: A head is looked for in so many characters.
_LONGEST = 1 << 16
_CODE = re.compile(r"[a-z]{2,3}")


def read_card(directory: Path) -> dict[str, str | list[str]]:
    """Return `licence` and `languages` (ISO codes) of a directory's README.md, as far as its head names them."""
    try:
        with (directory / CARD).open(encoding="utf-8", errors="replace") as file:
            text = file.read(_LONGEST)
    except OSError:
        return {}
    head = re.match(r"---\n(.*?)\n---", text.replace("\r\n", "\n"), re.DOTALL)
    found: dict[str, str | list[str]] = {}
    if head is None:
        return found
    if licence := _values(head[1], "license"):
        found["licence"] = licence[0]
    if languages := [value for value in _values(head[1], "language") if _CODE.fullmatch(value)]:
        found["languages"] = languages
    return found


def _values(head: str, key: str) -> list[str]:
    """Return a key's values, however YAML writes a list of words: on one line, in brackets, or each after a dash."""
    lines = iter(head.split("\n"))
    for line in lines:
        name, colon, rest = line.partition(":")
        if not colon or name != key:
            continue
        rest = rest.split(" #")[0].strip()
        if rest:
            return [word for part in rest.strip("[]").split(",") if (word := part.strip(" \"'"))]
        listed = []
        for following in lines:
            if not re.match(r"\s*-\s+\S", following):
                break
            listed.append(following.split("-", 1)[1].strip(" \"'"))
        return listed
    return []
