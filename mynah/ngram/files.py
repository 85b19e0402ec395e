"""Models to and from files: ARPA, which every toolkit reads, and Mynah's own form, which opens at once."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.errors import ArtifactError, ConfigError
from mynah.ngram.arpa import looks_like_arpa, read_arpa, write_arpa
from mynah.ngram.backoff import BackoffModel
from mynah.ngram.binary import open_columns, write_columns
from mynah.ngram.kernels import Words
from mynah.ngram.marks import MARKS
from mynah.ngram.packed import PackedInts
from mynah.ngram.table import Logs, Table
from mynah.ngram.text import Reader, TokenReader, WordReader
from mynah.ngram.vocabulary import Vocabulary

if TYPE_CHECKING:
    from mynah.tokenizer.tokenizer import Tokenizer

#: So many words are not one character each by chance.
_MANY = 20
#: What a model is: its tables, how it cuts text, and what is told about it.
Parts = tuple[BackoffModel, Reader | None, dict[str, Any]]


def write_model(path: Path, tables: BackoffModel, reader: Reader | None, about: dict[str, Any]) -> None:
    """Write a model: as ARPA if the name ends in .arpa or .arpa.gz, else in Mynah's own form.

    Raises:
        ArtifactError: if it cannot be written.
        ConfigError: if the model has no words, which ARPA asks for, or holds what ARPA cannot say.
    """
    name = path.name.lower()
    if not name.endswith((".arpa", ".arpa.gz")):
        _write_binary(path, tables, reader, about)
        return
    if tables.uniform:
        raise ConfigError(f"{path}: add-k falls back to one share for all tokens, which ARPA cannot say")
    if not isinstance(reader, WordReader):
        raise ConfigError(
            f"{path}: a tokenizer's tokens hold spaces and parts of characters, which ARPA cannot say; "
            "give a name that does not end in .arpa"
        )
    words = Words(*reader.vocabulary.laid_out())
    with artifacts.replacing(path) as partial, partial.open("wb") as raw:
        if name.endswith(".gz"):
            # Without name and time in its head equal models are equal files.
            with gzip.GzipFile("", "wb", 6, raw, 0) as packed:
                write_arpa(tables, words, cast(IO[bytes], packed))
        else:
            write_arpa(tables, words, raw)


def _write_binary(path: Path, tables: BackoffModel, reader: Reader | None, about: dict[str, Any]) -> None:
    columns: dict[str, Any] = {}
    orders = []
    for order, table in enumerate(tables.tables, start=1):
        columns[f"{order}.tokens"] = table.tokens.words
        columns[f"{order}.log_probs"] = table.log_probs.stored
        columns[f"{order}.backoffs"] = table.backoffs.stored
        columns[f"{order}.offsets"] = table.offsets.words
        orders.append(
            {
                "count": len(table),
                "contexts": len(table.offsets) - 1,
                "token_bits": table.tokens.bits,
                "offset_bits": table.offsets.bits,
                "log_probs": [table.log_probs.least, table.log_probs.step],
                "backoffs": [table.backoffs.least, table.backoffs.step],
            }
        )
    unit = reader.unit if reader is not None else "ids"
    if isinstance(reader, WordReader):
        columns["words"] = reader.vocabulary.joined()
    head = {"unit": unit, "bos": tables.bos, "uniform": tables.uniform, "orders": orders, "about": about}
    write_columns(path, head, columns)


def read_model(path: Path, tokenizer: Tokenizer | None = None, verify: bool = False) -> Parts:
    """Open a model in Mynah's own form or as ARPA, whatever its name.

    Raises:
        ArtifactError, DataError: if it is missing or damaged; with the line of an ARPA file.
    """
    if path.is_file() and looks_like_arpa(path):
        tables, vocabulary = read_arpa(path)
        # ARPA does not say what its words are; where all of many are one character, text is cut into characters.
        listed = list(vocabulary)[len(MARKS) :]
        single = len(listed) >= _MANY and all(len(word) == 1 for word in listed)
        return tables, WordReader("chars" if single else "words", vocabulary), {"smoothing": "arpa"}
    head, columns = open_columns(path, verify)
    made = []
    for order, known in enumerate(head["orders"], start=1):
        tokens, offsets = columns[f"{order}.tokens"], columns[f"{order}.offsets"]
        made.append(
            Table(
                PackedInts(tokens, known["token_bits"], known["count"]),
                Logs(columns[f"{order}.log_probs"], *known["log_probs"]),
                Logs(columns[f"{order}.backoffs"], *known["backoffs"]),
                PackedInts(offsets, known["offset_bits"], known["contexts"] + 1),
            )
        )
    reader: Reader | None = None
    if head["unit"] in ("words", "chars"):
        words = partial(_words_of, path, columns["words"], len(made[0]))
        reader = WordReader(head["unit"], Vocabulary(words))
    elif tokenizer is not None:
        if tokenizer.vocab_size != head["orders"][0]["count"]:
            raise ArtifactError(
                f"{path}: made over {head['orders'][0]['count']:,} tokens, "
                f"this tokenizer has {tokenizer.vocab_size:,}; give the one with which it was made"
            )
        reader = TokenReader(tokenizer)
    return BackoffModel(tuple(made), head["bos"], head["uniform"]), reader, head["about"]


def _words_of(path: Path, column: npt.NDArray[np.uint8], expected: int) -> bytes:
    """Return the words of a file, a line end between two."""
    words = column.tobytes()
    try:
        words.decode("utf-8", "surrogatepass")
        found = words.count(b"\n") + 1
    except UnicodeDecodeError:
        found = -1
    if found != expected:
        raise ArtifactError(
            f"{path}: is damaged, its words are not those that it was made with; train it again"
        )
    return words
