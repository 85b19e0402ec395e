r"""ARPA files: n-gram models as text, as every toolkit reads and writes them.

    \data\
    ngram 1=3
    ngram 2=2

    \1-grams:
    -0.4771213<TAB>the<TAB>-0.30103       log10 of the probability, the words, log10 of the back-off weight
    ...

    \end\

`<s>` is never predicted: whatever stands there for its probability is read as none, and -99 is written.
"""

from __future__ import annotations

import gzip
import itertools
import re
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from mynah.errors import DataError
from mynah.ngram.backoff import BackoffModel
from mynah.ngram.config import MAX_ORDER
from mynah.ngram.kernels import NONE, Ids, Words
from mynah.ngram.loops import loops
from mynah.ngram.marks import BOS, BOS_WORD, EOS_WORD, MARKS, UNK
from mynah.ngram.packed import PackedInts
from mynah.ngram.table import Float32s, Logs, Table
from mynah.ngram.vocabulary import Vocabulary
from mynah.ngram.workspace import cut, in_order

#: What stands for the logarithm of nothing.
NEVER = -99.0
#: log10 of the probability of unknown words, where a file has no <unk>; as KenLM has it.
_UNKNOWN = -100.0
_COUNT = re.compile(rb"ngram\s+(\d{1,4})\s*=\s*(\d{1,18})")
#: Lines that are read or written at a time.
_LINES = 1 << 17
#: After so many times as many, what was read of the model's file is given back.
_PIECES_HELD = 64
_GZIP = b"\x1f\x8b"


def looks_like_arpa(path: Path) -> bool:
    """Whether a file begins as an ARPA file does, or is gzip."""
    with path.open("rb") as file:
        head = file.read(64)
    return head.startswith(_GZIP) or head.lstrip().startswith(b"\\data\\")


def read_arpa(path: Path) -> tuple[BackoffModel, Vocabulary]:
    """Read an ARPA file, plain or gzip.

    Raises:
        DataError: with the line, if it is no ARPA file, cut short or inconsistent.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with cast(IO[bytes], gzip.open(path, "rb")) if packed else path.open("rb") as binary:
            return _Reader(path, binary).read()
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read to its end: {error}") from None


class _Reader:
    """Reads one file from its first line to its last."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self.file = path, file
        self.line = 0
        #: ids by the bytes of a word
        self.ids: dict[bytes, int] = {mark.encode(): number for number, mark in enumerate(MARKS)}
        self.words: list[str] = list(MARKS)
        self.tables: list[Table] = []
        #: of the order that was read last, the line of each n-gram that has no back-off weight
        self.bare: dict[int, int] = {}

    def fail(self, what: str, line: int | None = None) -> DataError:
        return DataError(f"{self.path}:{self.line if line is None else line}: {what}")

    def next_line(self) -> bytes:
        """Return the next line that is not blank."""
        for line in self.file:
            self.line += 1
            if stripped := line.strip():
                return stripped
        raise self.fail(r"the file ends before \end\: it was cut short")

    def read(self) -> tuple[BackoffModel, Vocabulary]:
        if self.next_line() != b"\\data\\":
            raise self.fail("expected an ARPA file, which begins with \\data\\")
        counts: list[int] = []
        while found := _COUNT.fullmatch(line := self.next_line()):
            if int(found[1]) != len(counts) + 1 or len(counts) == MAX_ORDER:
                raise self.fail(
                    f"n-grams of order {int(found[1])}: expected orders from 1 on, at most {MAX_ORDER}"
                )
            counts.append(int(found[2]))
        if not counts:
            raise self.fail("expected how many n-grams there are: ngram 1=...")
        for order, count in enumerate(counts, start=1):
            if line != f"\\{order}-grams:".encode():
                told = f"; \\data\\ says {counts[order - 2]:,} {order - 1}-grams" if order > 1 else ""
                raise self.fail(f"expected \\{order}-grams:{told}")
            self.section(order, count, last=order == len(counts))
            line = self.next_line()
        if line != b"\\end\\":
            raise self.fail(f"expected \\end\\; \\data\\ says {counts[-1]:,} {len(counts)}-grams")
        words = "\n".join(self.words)
        return BackoffModel(tuple(self.tables), BOS), Vocabulary(words.encode)

    def section(self, order: int, count: int, last: bool) -> None:
        """Read the n-grams of one order."""
        parts: list[tuple[Ids, Float32s, Float32s]] = []
        bare: list[int] = []
        first, done = self.line + 1, 0
        while done < count:
            lines = list(itertools.islice(self.file, min(_LINES, count - done)))
            if not lines:
                raise self.fail(f"the file ends after {done:,} of {count:,} {order}-grams: it was cut short")
            # What \data\ says may be wrong: room is made for what is there.
            n = len(lines)
            part = (
                np.empty((n, order), np.uint32),
                np.empty(n, np.float32),
                np.empty(0 if last else n, np.float32),
            )
            bare += [done + row for row in self.block(lines, *part)]
            parts.append(part)
            done += len(lines)
            self.line += len(lines)
        words = np.concatenate([part[0] for part in parts]) if parts else np.empty((0, order), np.uint32)
        log_probs, backoffs = (
            np.concatenate([np.empty(0, np.float32), *(p[n] for p in parts)]) for n in (1, 2)
        )
        parents = self._parents(order, words, first) if order > 1 else None
        if self.bare and parents is not None:
            self._refuse_bare(parents)
        by = (
            np.lexsort((words[:, -1], parents))
            if parents is not None
            else np.argsort(words[:, 0], kind="stable")
        )
        self.bare = {}
        if bare:
            index = np.empty(count, np.int64)
            index[by] = np.arange(count)
            self.bare = {int(index[n]): first + n for n in bare}
        self._add(parents, by, words[:, -1], log_probs, backoffs, first)

    def block(self, lines: list[bytes], words: Ids, log_probs: Float32s, backoffs: Float32s) -> list[int]:
        """Take lines apart into where their n-grams go; return which of them have no back-off weight."""
        order = words.shape[1]
        fields = list(map(bytes.split, lines))
        lengths = np.fromiter(map(len, fields), np.int64, len(fields))
        shortest, longest = order + 1, order + (2 if len(backoffs) else 1)
        wrong = np.flatnonzero((lengths < shortest) | (lengths > longest))
        if len(wrong):
            raise self._wrong_line(
                fields[wrong[0]], order, bool(len(backoffs)), self.line + 1 + int(wrong[0])
            )
        log_probs[:] = self._numbers([f[0] for f in fields])
        bare = np.flatnonzero(lengths == shortest).tolist() if len(backoffs) else []
        if len(backoffs):
            backoffs[:] = self._numbers([f[-1] if len(f) == longest else b"0" for f in fields])
        above = np.flatnonzero(~(log_probs <= 0))
        if len(above):
            raise self.fail("a log-probability above 0", self.line + 1 + int(above[0]))
        if order == 1:
            words[:, 0] = self._new_words([f[1] for f in fields])
            return bare
        for column in range(order):
            found = map(self.ids.get, [f[1 + column] for f in fields], itertools.repeat(-1))
            numbers = np.fromiter(cast("Sequence[int]", found), np.int64, len(fields))
            unknown = np.flatnonzero(numbers < 0)
            if len(unknown):
                raise self.fail("a word that is not among the 1-grams", self.line + 1 + int(unknown[0]))
            words[:, column] = numbers
        return bare

    def _wrong_line(self, fields: list[bytes], order: int, weighted: bool, line: int) -> DataError:
        expected = f"a log-probability, {order} word{'s' if order > 1 else ''}"
        expected += " and a back-off weight" if weighted else " and nothing else"
        if not fields or fields[0].startswith(b"\\"):
            return self.fail(
                f"the {order}-grams end here, earlier than \\data\\ says; expected {expected}", line
            )
        return self.fail(f"{len(fields)} fields; expected {expected}", line)

    def _numbers(self, texts: list[bytes]) -> Float32s:
        try:
            values = np.array(texts).astype(np.float64)
        except ValueError:
            values = np.array([_number(text) for text in texts])
        missing = np.flatnonzero(np.isnan(values))
        if len(missing):
            raise self.fail("a probability or a weight that is no number", self.line + 1 + int(missing[0]))
        return values.astype(np.float32)

    def _new_words(self, texts: list[bytes]) -> list[int]:
        numbers = []
        for n, text in enumerate(texts):
            number = self.ids.setdefault(text, len(self.words))
            if number == len(self.words):
                try:
                    self.words.append(text.decode())
                except UnicodeDecodeError:
                    raise self.fail(
                        "a word that is not UTF-8; expected UTF-8 text", self.line + 1 + n
                    ) from None
            numbers.append(number)
        return numbers

    def _parents(self, order: int, words: Ids, first: int) -> Ids:
        """Return the id of the context of each n-gram."""
        parents = np.ascontiguousarray(words[:, 0])
        so_far = BackoffModel(tuple(self.tables), BOS)
        for n in range(2, order):
            parents = so_far.find(n, parents, np.ascontiguousarray(words[:, n - 1]), len(words))
        lost = np.flatnonzero(parents == NONE)
        if len(lost):
            raise self.fail(
                f"its first {order - 1} words are no {order - 1}-gram of this file", first + int(lost[0])
            )
        return parents

    def _refuse_bare(self, parents: Ids) -> None:
        followed = np.unique(parents)
        for ngram, line in self.bare.items():
            at = int(np.searchsorted(followed, ngram))
            if at < len(followed) and followed[at] == ngram:
                raise self.fail("no back-off weight, though longer n-grams begin with this one", line)

    def _add(
        self,
        parents: Ids | None,
        by: npt.NDArray[np.intp],
        last: Ids,
        log_probs: Float32s,
        backoffs: Float32s,
        first: int,
    ) -> None:
        """Add the table of an order: by context, then by last word."""
        last, log_probs = last[by], log_probs[by]
        backoffs = backoffs[by] if len(backoffs) else backoffs
        twice = last[1:] == last[:-1]
        if parents is not None:
            parents = parents[by]
            twice &= parents[1:] == parents[:-1]
        if twice.any():
            raise self.fail(
                "this n-gram stands in the file twice", first + int(by[np.flatnonzero(twice)[0] + 1])
            )
        if parents is None:
            missing = [word for word in (BOS_WORD, EOS_WORD) if self.ids[word.encode()] not in last[:3]]
            if missing:
                raise self.fail(f"no {missing[0]} among the words; expected an ARPA model of sentences")
            if last[0] != UNK:
                last, log_probs = np.insert(last, 0, UNK), np.insert(log_probs, 0, np.float32(_UNKNOWN))
                backoffs = np.insert(backoffs, 0, np.float32(0)) if len(backoffs) else backoffs
                self.bare = {ngram + 1: line for ngram, line in self.bare.items()}
            log_probs[BOS] = -np.inf
            offsets = PackedInts.pack([0, len(last)], len(last))
        else:
            indices = np.searchsorted(parents, np.arange(len(self.tables[-1]) + 1))
            offsets = PackedInts.pack(indices, len(last))
        tokens = PackedInts.pack(last, len(self.words) - 1)
        self.tables.append(Table(tokens, Logs(log_probs), Logs(backoffs), offsets))


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def write_arpa(model: BackoffModel, words: Words, file: IO[bytes]) -> None:
    """Write a model as ARPA; logarithms with eight decimals, which tell float32 apart.

    Args:
        model: one that falls back to shorter contexts.
        words: by id.
        file: open for writing.
    """
    chosen = loops(sum(model.counts))
    file.write(b"\\data\\\n")
    for order, count in enumerate(model.counts, start=1):
        file.write(b"ngram %d=%d\n" % (order, count))
    for order, table in enumerate(model.tables, start=1):
        file.write(b"\n\\%d-grams:\n" % order)
        pieces = in_order(partial(_lines_of, model, order, words, chosen), cut(len(table), _LINES))
        for number, lines in enumerate(pieces, start=1):
            file.write(lines)
            if number % _PIECES_HELD == 0:
                for each in model.tables[:order]:
                    each.let_go()
    file.write(b"\n\\end\\\n")


def _lines_of(
    model: BackoffModel, order: int, words: Words, chosen: ModuleType, start: int, stop: int
) -> bytes:
    table = model.tables[order - 1]
    log_probs = _finite(table.log_probs.range(start, stop))
    backoffs = None
    if len(table.backoffs):
        backoffs = _finite(table.backoffs.range(start, stop))
    lines: bytes = chosen.arpa_lines(log_probs, model.ngrams(order, start, stop), backoffs, words)
    return lines


def _finite(logs: Float32s) -> Float32s:
    return np.where(np.isneginf(logs), np.float32(NEVER), logs)
