"""Text as streams of token ids: words, characters, or what a Mynah tokenizer cuts.

A line is a sentence: `<s>`, its tokens, `</s>`; lines without tokens are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mynah.data.readers.inputs import Input, check_exists, find_inputs
from mynah.data.store import read_records
from mynah.errors import DataError
from mynah.ngram.kernels import NONE, Ids
from mynah.ngram.loops import compiling_pays
from mynah.ngram.marks import BOS, BOS_WORD, EOS, EOS_WORD, UNK
from mynah.ngram.vocabulary import Vocabulary

if TYPE_CHECKING:
    from mynah.tokenizer.tokenizer import Tokenizer

Unit = Literal["words", "chars", "tokens"]
#: Bytes that are read at a time.
_PIECE = 8 << 20
#: Of a text, roughly.
_BYTES_A_WORD = 6
#: Of a character without an id.
_NEW = NONE - np.uint32(1)
#: No character from here on is white space.
_BEYOND_WHITE = 0x3001


@dataclass(frozen=True)
class Piece:
    """Some whole lines."""

    #: UTF-8
    data: bytes
    #: as people are told it: a file
    place: str
    #: number of the first line
    line: int

    @cached_property
    def text(self) -> str:
        """The same as a string."""
        return self.data.decode("utf-8", "surrogatepass")


def pieces_of(sources: Iterable[str | Path]) -> Iterator[Piece]:
    """Yield the lines of texts: of files (also .gz, .xz, .bz2, .zst), folders, folders of records, or strings.

    Args:
        sources: paths; a string is text itself.

    Raises:
        DataError: if a file is missing, empty or not UTF-8, with the line.
    """
    strings: list[str] = []
    line = 1
    for source in sources:
        if isinstance(source, str):
            strings.append(source)
            if len(strings) == 10_000:
                piece = _of_strings(strings, "text", line)
                yield piece
                strings, line = [], line + piece.data.count(b"\n")
            continue
        check_exists(source)
        if source.is_dir() and any(source.glob("part-*.parquet")):
            yield from _of_records(source)
        else:
            for file in find_inputs([source]).inputs:
                yield from _of_file(file)
    if strings:
        yield _of_strings(strings, "text", line)


def _of_strings(strings: list[str], place: str, line: int) -> Piece:
    return Piece(("\n".join(strings) + "\n").encode("utf-8", "surrogatepass"), place, line)


def _of_records(folder: Path) -> Iterator[Piece]:
    waiting: list[str] = []
    for record in read_records(folder):
        waiting += record.texts
        if len(waiting) >= 10_000:
            yield _of_strings(waiting, str(folder), 1)
            waiting = []
    if waiting:
        yield _of_strings(waiting, str(folder), 1)


def _of_file(source: Input) -> Iterator[Piece]:
    line, left = 1, b""
    with source.open() as file:
        while True:
            read = file.read(_PIECE)
            cut = read.rfind(b"\n") + 1 if read else len(read)
            if read and not cut:  # a line longer than a piece
                left += read
                continue
            data, left = left + read[:cut], read[cut:]
            if data:
                try:
                    data.decode()
                except UnicodeDecodeError as error:
                    at = line + data.count(b"\n", 0, error.start)
                    raise DataError(
                        f"{source.path}:{at}: byte {data[error.start]:#04x} is not UTF-8; expected UTF-8 text"
                    ) from None
                yield Piece(data, str(source.path), line)
                line += data.count(b"\n")
            if not read:
                break
    if source.damage:
        raise DataError(f"{source.path}: {source.damage}")


class WordReader:
    """Cuts lines into words at white space, or into characters that are no white space, and numbers them.

    Args:
        unit: "words" or "chars".
        vocabulary: gets new words while it grows.
    """

    def __init__(self, unit: Unit, vocabulary: Vocabulary) -> None:
        self.unit: Unit = unit
        self.vocabulary = vocabulary

    def read(self, piece: Piece, grow: bool = False) -> Ids:
        """Return sentences laid end to end, uint32.

        Args:
            piece: whole lines.
            grow: whether words that are new get a number; else they are `<unk>`.

        Raises:
            DataError: if `<s>` or `</s>` stands in the text; with the line.
            ArtifactError: if the words of the model's file, which are read when they are first needed, are damaged.
        """
        if self.unit == "words" and (
            self.vocabulary.indexed or compiling_pays(len(piece.data) // _BYTES_A_WORD)
        ):
            return self._compiled(piece, grow)
        refuse_marks(piece)
        cut = self._words if self.unit == "words" else self._characters
        return _as_sentences(cut(piece.text, grow))

    def _compiled(self, piece: Piece, grow: bool) -> Ids:
        from mynah.ngram.compiled_text import MarkInText

        try:
            return self.vocabulary.read(piece.data, grow)
        except MarkInText:
            refuse_marks(piece)
            raise

    def context(self, text: str) -> list[int]:
        """Return the ids of a line that goes on, its beginning included; a word that is not known is `<unk>`."""
        return [BOS, *self.vocabulary.encode(self._cut(text), grow=False).tolist()]

    def shown(self, text: str, ids: Ids) -> list[str]:
        """Return the tokens of a line as people are shown them.

        Args:
            text: the line.
            ids: its tokens without its beginning.
        """
        words = self._cut(text)
        return [*words, *(self.vocabulary[int(token)] for token in ids[len(words) :])]

    def join(self, ids: Iterable[int]) -> str:
        """Return tokens as text."""
        return (" " if self.unit == "words" else "").join(self.vocabulary[token] for token in ids)

    @property
    def ends(self) -> frozenset[int]:
        """The tokens after which a text is over."""
        return frozenset((EOS,))

    def _cut(self, text: str) -> list[str]:
        return text.split() if self.unit == "words" else [c for c in text if not c.isspace()]

    def _words(self, text: str, grow: bool) -> Ids:
        # White space of any kind cuts words; the line ends are to be seen, so each becomes a word of its own.
        words = text.replace("\n", f" {EOS_WORD} ").split()
        if text and not text.endswith("\n"):
            words.append(EOS_WORD)
        return self.vocabulary.encode(words, grow)

    def _characters(self, text: str, grow: bool) -> Ids:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        found = self._ids_by_code[codes]
        if grow and (found == _NEW).any():
            new = codes[found == _NEW]
            first = np.sort(np.unique(new, return_index=True)[1])
            chars = [chr(code) for code in new[first]]
            self._ids_by_code[new[first]] = self.vocabulary.encode(chars, grow=True)
            found = self._ids_by_code[codes]
        found[found == _NEW] = UNK
        found = found[found != NONE]
        return found if not text or text.endswith("\n") else np.append(found, np.uint32(EOS))

    @cached_property
    def _ids_by_code(self) -> Ids:
        """The id of each character by its code, (0x110000,): `NONE` for white space, `_NEW` for what has none."""
        ids = np.full(sys.maxunicode + 1, _NEW, np.uint32)
        for number, word in enumerate(self.vocabulary):
            if len(word) == 1:
                ids[ord(word)] = number
        ids[[code for code in range(_BEYOND_WHITE) if chr(code).isspace()]] = NONE
        ids[ord("\n")] = EOS
        return ids


def refuse_marks(piece: Piece) -> None:
    """Refuse `<s>` and `</s>` as words: they would begin or end sentences where none does.

    `<unk>` in a text is taken for what it says.

    Raises:
        DataError: with the line.
    """
    if BOS_WORD.encode() not in piece.data and EOS_WORD.encode() not in piece.data:
        return
    for number, shown in enumerate(piece.text.split("\n"), start=piece.line):
        for mark in (BOS_WORD, EOS_WORD):
            if mark in shown.split():
                raise DataError(
                    f"{piece.place}:{number}: {mark} stands in the text as a word; "
                    "it marks the ends of each line, which are set anyway: take it out"
                )


def _as_sentences(ids: Ids) -> Ids:
    """Return ids that end in `</s>`, with a `<s>` before each sentence, and without the empty ones."""
    if not len(ids):
        return ids
    ends = ids == EOS
    begins = np.concatenate([[True], ends[:-1]])
    kept = ~(ends & begins)
    ids, begins = ids[kept], begins[kept]
    return np.insert(ids, np.flatnonzero(begins), np.uint32(BOS))


class TokenReader:
    """Cuts lines with a Mynah tokenizer; ids are its own, `<|endoftext|>` begins each line and `<|end|>` ends it."""

    unit: Unit = "tokens"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.bos, self.vocab_size = tokenizer.control.bos, tokenizer.vocab_size

    def read(self, piece: Piece, grow: bool = False) -> Ids:
        """Return lines laid end to end, uint32; `grow` changes nothing."""
        rows = self.tokenizer.encode_batch([line for line in piece.text.split("\n") if line.strip()])
        end = self.tokenizer.control.end
        return np.fromiter((token for row in rows for token in (self.bos, *row, end)), np.uint32)

    def context(self, text: str) -> list[int]:
        """Return the ids of a line that goes on, its beginning included."""
        return [self.bos, *self.tokenizer.encode(text)]

    def shown(self, text: str, ids: Ids) -> list[str]:
        """Return tokens as people are shown them."""
        return [self.tokenizer.show(int(token)) for token in ids]

    def join(self, ids: Iterable[int]) -> str:
        """Return tokens as text."""
        return self.tokenizer.decode(ids)

    @property
    def ends(self) -> frozenset[int]:
        """The tokens after which a text is over."""
        return frozenset((self.tokenizer.control.end,))


Reader = WordReader | TokenReader
