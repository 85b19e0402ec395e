"""N-gram models side by side with KenLM: seconds, memory and bytes to estimate; tokens a second to score and to sample.

    python benchmarks/ngram.py [--corpus ../shared/corpus] [--sizes 1,10,27,100] [--orders 3,5] [--repeats 3]
                               [--lmplz /path/to/kenlm/build/bin] [--work DIR]

Text: the English books, prose and dialogue of the corpus, in order of file, words between white space; every 30th line
is left out and scored. 27 stands for all of the rest. More than that is made of it: lines drawn with replacement, 15 %
of their words replaced by words drawn anywhere. Both programs read the same file and write ARPA, as whole processes, in
turn. Where `lmplz`, `query` and `build_binary` are not found, or the `kenlm` module is not installed, what they would
show is left out.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from machine import describe

FOLDERS = ("en_books", "en_expository", "dialogue")
MARKS = {"<s>": "UNK", "</s>": "UNK", "<unk>": "UNK"}
MEMORY = "2G"
#: Stands for the whole corpus, in millions of words.
WHOLE = 27
MILLION = 1_000_000


def lines_of(corpus: Path) -> Iterator[list[str]]:
    """Yield the corpus' lines as words; Chinese texts are left out."""
    for folder in FOLDERS:
        for path in sorted((corpus / folder).glob("*.jsonl.xz")):
            with lzma.open(path, "rt", encoding="utf-8") as file:
                for row in map(json.loads, file):
                    texts = [m["content"] for m in row["messages"]] if "messages" in row else [row["text"]]
                    for text in texts:
                        if sum("\u4e00" <= c <= "\u9fff" for c in text[:200]) > 20:
                            continue
                        for line in text.split("\n"):
                            if words := line.split():
                                yield [MARKS.get(word, word) for word in words]


def make_texts(corpus: Path, work: Path, sizes: list[int]) -> None:
    """Write a text of each size in millions of words, and `score.txt`, which is scored."""
    every = list(lines_of(corpus))
    rows = [row for n, row in enumerate(every) if n % 30]
    (work / "score.txt").write_text("".join(" ".join(row) + "\n" for row in every[::30]), encoding="utf-8")
    for size in sizes:
        count = 0
        with (work / f"{size}M.txt").open("w", encoding="utf-8") as file:
            if size <= WHOLE:
                for row in rows:
                    if count >= size * MILLION:
                        break
                    file.write(" ".join(row) + "\n")
                    count += len(row)
                continue
            rng = random.Random(1)
            words = [word for row in rows for word in row]
            while count < size * MILLION:
                row = rng.choice(rows)
                row = [rng.choice(words) if rng.random() < 0.15 else word for word in row]
                file.write(" ".join(row) + "\n")
                count += len(row)


#: Runs a command from a small process, so that the memory of this one is not taken for the command's.
_RUN = (
    "import resource, subprocess, sys, time; begun = time.perf_counter(); code = subprocess.call(sys.argv[1:]); "
    "print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); "
    "sys.exit(code)"
)


def timed(command: list[str], stdin: Path | None = None, stdout: Path | None = None) -> tuple[float, float]:
    """Run a command; return its seconds and the most memory it held, in GB."""
    with (stdin or Path(os.devnull)).open("rb") as source, (stdout or Path(os.devnull)).open("wb") as sink:
        whole = [sys.executable, "-c", _RUN, *command]
        done = subprocess.run(whole, stdin=source, stdout=sink, stderr=subprocess.PIPE, check=False)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {said[-2] if len(said) > 1 else done.returncode}")
    seconds, kilobytes = said[-1].split()
    return float(seconds), float(kilobytes) / 2**20


def spread(values: list[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:8.2f}" + (f" ({min(values):.2f}-{max(values):.2f})" if len(values) > 1 else "")


def estimate(text: Path, order: int, repeats: int, lmplz: Path | None, work: Path, made: bool) -> list[float]:
    """Print seconds, memory and n-grams of both programs, and leave ARPA files in `work`; return median seconds."""
    ours, theirs = [], []
    for _ in range(repeats):
        command = [sys.executable, "-m", "mynah", "ngram", "train", str(text), "--order", str(order)]
        ours.append(timed([*command, "--memory", MEMORY, "-o", str(work / "ours.arpa")]))
        if lmplz is not None:
            command = [str(lmplz / "lmplz"), "-o", str(order), "-S", MEMORY, "-T", str(work)]
            command += ["--discount_fallback"] if made else []
            theirs.append(timed(command, text, work / "theirs.arpa"))
    print(
        f"  estimate, ARPA written   Mynah {spread([s for s, _ in ours])} s, {max(m for _, m in ours):.2f} GB"
    )
    if theirs:
        print(
            f"                           lmplz {spread([s for s, _ in theirs])} s, {max(m for _, m in theirs):.2f} GB"
        )
    counts = [_counts(work / name) for name in (["ours.arpa", "theirs.arpa"] if theirs else ["ours.arpa"])]
    same = "; lmplz has the same" if theirs and counts[0] == counts[1] else ""
    print(f"  n-grams                  {sum(counts[0]):,}: {', '.join(f'{c:,}' for c in counts[0])}{same}")
    return [statistics.median(s for s, _ in each) for each in (ours, theirs) if each]


def _counts(arpa: Path) -> list[int]:
    with arpa.open("rb") as file:
        head = [file.readline() for _ in range(9)]
    return [int(line.partition(b"=")[2]) for line in head if line.startswith(b"ngram ")]


def on_disk(text: Path, order: int, lmplz: Path | None, work: Path) -> None:
    """Print bytes of the forms of a model, and leave them in `work`."""
    from mynah.ngram import NGramModel

    # From the text again: reading ARPA back takes longer than estimating.
    model = NGramModel.train(text, order=order, memory=MEMORY, beside=work)
    n = sum(model.tables.counts)
    sizes = {"ARPA": (work / "ours.arpa").stat().st_size}
    model.save(work / "ours.ng")
    sizes["Mynah"] = (work / "ours.ng").stat().st_size
    model.compact().save(work / "compact.ng")
    sizes["Mynah compact"] = (work / "compact.ng").stat().st_size
    if lmplz is not None:
        for name, more in (("probing", []), ("trie", []), ("trie", ["-q", "8", "-b", "8"])):
            label = f"KenLM {name}{' 8 bits' if more else ''}"
            command = [str(lmplz / "build_binary"), "-T", str(work), *more, name]
            timed([*command, str(work / "theirs.arpa"), str(work / f"{name}{len(more)}.bin")])
            sizes[label] = (work / f"{name}{len(more)}.bin").stat().st_size
    shown = "; ".join(f"{name} {size / 2**20:,.0f} MiB, {size / n:.1f}" for name, size in sizes.items())
    print(f"  on disk, bytes an n-gram {shown}")


def use(path: Path, test: Path, lmplz: Path | None, work: Path) -> None:
    """Print how fast a model opens, scores and samples, on one core."""
    import numpy as np

    from mynah.ngram import NGramModel
    from mynah.ngram.sampling import Drawing, sample
    from mynah.ngram.text import pieces_of

    begun = time.perf_counter()
    model = NGramModel.load(path)
    opened = time.perf_counter() - begun
    model.score("a first line")  # reads the words
    first = time.perf_counter() - begun
    print(f"  open                     {opened * 1e3:.1f} ms; with the first line scored {first:.3f} s")
    assert model.reader is not None
    ids = np.concatenate([model.reader.read(piece) for piece in pieces_of([test])])
    model.score_ids(ids)
    batch, whole = [], []
    for _ in range(5):
        begun = time.perf_counter()
        model.score_ids(ids)
        batch.append(len(ids) / (time.perf_counter() - begun) / MILLION)
        begun = time.perf_counter()
        summary = model.perplexity(test)
        whole.append(summary.tokens / (time.perf_counter() - begun) / MILLION)
    compact = NGramModel.load(work / "compact.ng")
    compact.score_ids(ids)
    rounded = []
    for _ in range(5):
        begun = time.perf_counter()
        compact.score_ids(ids)
        rounded.append(len(ids) / (time.perf_counter() - begun) / MILLION)
    print(f"  score, ids in batch      {spread(batch)} million tokens/s; compact {spread(rounded)}")
    print(
        f"  score, a file of text    {spread(whole)} million tokens/s (perplexity {summary.perplexity:.3f})"
    )
    if lmplz is not None:
        (work / "empty.txt").write_text("\n")
        seconds = []
        for _ in range(3):
            command = [str(lmplz / "query"), "-v", "summary", str(work / "probing0.bin")]
            empty = timed(command, work / "empty.txt")[0]
            seconds.append(summary.tokens / (timed(command, test)[0] - empty) / MILLION)
        print(f"     KenLM query, probing  {spread(seconds)} million tokens/s")
    try:
        import kenlm
    except ImportError:
        pass
    else:
        if lmplz is not None:
            peer = kenlm.Model(str(work / "probing0.bin"))
            lines = test.read_text(encoding="utf-8").splitlines()
            begun = time.perf_counter()
            for line in lines:
                peer.score(line)
            rate = summary.tokens / (time.perf_counter() - begun) / MILLION
            print(f"     kenlm module, a sentence at a time {rate:.2f} million tokens/s")
    rng = np.random.default_rng(1)
    for name, drawing in (("plain", Drawing()), ("top-k 40", Drawing(0.8, 40))):
        begun, drawn = time.perf_counter(), 0
        while time.perf_counter() - begun < 3:
            drawn += 1 + len(sample(model.tables, [1], {2}, 50, rng, drawing))
        print(f"  sample, {name:<16} {drawn / (time.perf_counter() - begun):10,.0f} tokens/s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path(__file__).parents[2] / "shared" / "corpus")
    parser.add_argument("--sizes", default="1,10,27,100")
    parser.add_argument("--orders", default="3,5")
    parser.add_argument("--repeats", type=int, default=3, help="of sizes up to 10 million words; else once")
    parser.add_argument("--lmplz", type=Path, help="folder with lmplz, query and build_binary")
    parser.add_argument("--work", type=Path, help="folder for texts and models; default: a temporary one")
    parser.add_argument(
        "--estimate-only", action="store_true", help="leave out bytes on disk, scoring, sampling"
    )
    args = parser.parse_args()
    found = shutil.which("lmplz")
    lmplz = args.lmplz or (Path(found).parent if found else None)
    sizes = [int(size) for size in args.sizes.split(",")]
    print(describe())
    print(f"memory    {MEMORY} for both; lmplz {'from ' + lmplz.name if lmplz else 'is not there'}\n")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        work = Path(folder)
        # In a process of its own, which gives its memory back.
        writer = multiprocessing.get_context("spawn").Process(
            target=make_texts, args=(args.corpus, work, sizes)
        )
        writer.start()
        writer.join()
        test = work / "score.txt"
        before: dict[int, tuple[int, list[float]]] = {}
        for size in sizes:
            for order in (int(order) for order in args.orders.split(",")):
                print(f"{size}M words, order {order}", flush=True)
                text = work / f"{size}M.txt"
                seconds = estimate(text, order, args.repeats if size <= 10 else 1, lmplz, work, size > WHOLE)
                if order in before:
                    smaller, fewer = before[order]
                    slopes = [
                        math.log(b / a) / math.log(size / smaller)
                        for a, b in zip(fewer, seconds, strict=True)
                    ]
                    told = ", ".join(f"{n} {s:.2f}" for n, s in zip(("Mynah", "lmplz"), slopes, strict=False))
                    print(f"  slope from {smaller}M           {told} (1: time in proportion to the words)")
                before[order] = size, seconds
                if not args.estimate_only:
                    # KenLM's binary forms of the made text take longer to build than all else together.
                    beside = lmplz if size <= WHOLE else None
                    on_disk(text, order, beside, work)
                    use(work / "ours.ng", test, beside, work)
                print(flush=True)


if __name__ == "__main__":
    main()
