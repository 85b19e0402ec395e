"""Seconds and memory of chats of millions of messages, and of the largest sheet that Excel has.

    python benchmarks/long_chats.py [--messages 1000000,5000000] [--python /path/to/a/plain/install/bin/python]

Tables (CSV) with ids, replies, 400,000 authors and times; Telegram's JSON with replies; a workbook of a million rows.
Each is read by `mynah collect` with one worker, as a whole process; memory is what its processes hold, sampled.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from data import MB, timed
from machine import describe

_WORDS = (
    "how are you today I think the lamp arrived broken and we would like a refund please send it back".split()
)
_ROOT = "http://schemas.openxmlformats.org"


def messages(count: int) -> Iterator[tuple[int, int | None, str, str, str]]:
    """Yield number, number of the message that is answered, author, time and text."""
    rng, time = random.Random(1), datetime(2020, 1, 1, tzinfo=UTC)
    for number in range(count):
        time += timedelta(seconds=rng.randrange(60))
        to = number - rng.randrange(1, 50) if number > 60 and rng.random() < 0.7 else None
        yield (
            number,
            to,
            f"user{rng.randrange(400_000)}",
            time.isoformat(),
            " ".join(rng.choices(_WORDS, k=12)),
        )


def table(path: Path, count: int) -> None:
    """Write a table of messages."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow("id reply_to author time text".split())
        for number, to, author, time, text in messages(count):
            out.writerow((f"t1_{number:x}", "" if to is None else f"t1_{to:x}", author, time, text))


def telegram(path: Path, count: int) -> None:
    """Write a Telegram chat."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"name": "Group", "type": "private_group", "id": 1, "messages": [')
        for number, to, author, time, text in messages(count):
            value = {
                "id": number, "type": "message", "date": time[:19], "from": author, "from_id": author, "text": text,
                "text_entities": [{"type": "plain", "text": text}],
            } | ({} if to is None else {"reply_to_message_id": to})  # fmt: skip
            file.write((", " if number else "") + json.dumps(value))
        file.write("]}")


def workbook(path: Path, count: int) -> None:
    """Write a workbook with the least that Excel asks for."""
    main, office = f"{_ROOT}/spreadsheetml/2006/main", f"{_ROOT}/officeDocument/2006/relationships"
    package = f"{_ROOT}/package/2006/relationships"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_ROOT}/package/2006/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets>'
            "</workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{office}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        with archive.open("xl/worksheets/sheet1.xml", "w") as file:
            file.write(f'<worksheet xmlns="{main}"><sheetData>'.encode())
            file.write(_row(1, ("id", "reply_to", "author", "time", "text")))
            for row, (number, to, author, time, text) in enumerate(messages(count), start=2):
                file.write(_row(row, (f"m{number}", "" if to is None else f"m{to}", author, time, text)))
            file.write(b"</sheetData></worksheet>")


def _row(number: int, cells: tuple[str, ...]) -> bytes:
    shown = (
        f'<c r="{column}{number}" t="inlineStr"><is><t>{cell}</t></is></c>'
        for column, cell in zip("ABCDE", cells, strict=True)
    )
    return f'<row r="{number}">{"".join(shown)}</row>'.encode()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", default="1000000,5000000")
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    print(describe())
    wanted: list[tuple[str, Callable[[Path, int], None], int]] = [
        *(("chat.csv", table, int(count)) for count in arguments.messages.split(",")),
        ("result.json", telegram, 1_000_000),
        ("chat.xlsx", workbook, 1_000_000),
    ]
    for name, write, count in wanted:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / name
            write(source, count)
            command = [
                arguments.python,
                "-m",
                "mynah",
                "collect",
                str(source),
                "-o",
                f"{folder}/out",
                "--workers",
                "1",
            ]
            seconds, peak = timed([command])
            size = source.stat().st_size / MB
            print(
                f"  {name:<12} {count:>9,} messages  {size:>6.0f} MB  {seconds:>6.1f} s  {peak / 1e9:.2f} GB",
                flush=True,
            )
            shutil.rmtree(f"{folder}/out")


if __name__ == "__main__":
    main()
