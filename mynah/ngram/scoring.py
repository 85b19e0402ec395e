"""What a model says of a text: token by token, and in sum."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mynah.ngram.backoff import BackoffModel
from mynah.ngram.kernels import Ids
from mynah.ngram.marks import UNK
from mynah.ngram.text import Piece, Reader, WordReader


@dataclass(frozen=True)
class TokenScore:
    """One token of a sentence."""

    token: str
    #: log10 of its probability given what stands before it
    log10_prob: float
    #: the longest n-gram that ends here and is in the model
    order: int
    #: whether the model does not know the token
    oov: bool


@dataclass
class Summary:
    """What a model says of a whole text; sentence ends count as tokens."""

    sentences: int = 0
    tokens: int = 0
    #: tokens that the model does not know
    oov: int = 0
    #: natural logarithm of the text's probability
    log_prob: float = 0.0
    #: the same of the known tokens alone
    known_log_prob: float = 0.0
    #: of the text in UTF-8
    n_bytes: int = 0

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-probability of a token."""
        return _exp(-self.log_prob / max(1, self.tokens))

    @property
    def perplexity_known(self) -> float:
        """The same over the tokens that the model knows."""
        return _exp(-self.known_log_prob / max(1, self.tokens - self.oov))

    @property
    def bits_per_byte(self) -> float:
        """Bits that the text takes under the model, over its bytes: comparable across units and tokenizers.

        An unknown word counts with the probability of `<unk>`, which does not say which word it is; so with unknown
        words the figure is too low. So it is of characters where text has spaces, which they leave out.
        """
        return -self.log_prob / math.log(2) / max(1, self.n_bytes)

    def to_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "sentences": self.sentences,
            "tokens": self.tokens,
            "oov": self.oov,
            "log10_prob": self.log_prob / math.log(10),
            "perplexity": self.perplexity,
            "perplexity_known": self.perplexity_known,
            "bits_per_byte": self.bits_per_byte,
        }


def summarise(tables: BackoffModel, reader: Reader, pieces: Iterable[Piece]) -> Summary:
    """Score whole lines and sum up."""
    total = Summary()
    for piece in pieces:
        add_scores(total, tables, reader.read(piece), unknown=UNK if isinstance(reader, WordReader) else None)
        total.n_bytes += len(piece.data)
    return total


def add_scores(total: Summary, tables: BackoffModel, ids: Ids, unknown: int | None) -> None:
    """Add sentences laid end to end to a summary.

    Args:
        ids: (N,) each sentence begins with the model's `bos`.
        unknown: the id of tokens that the model does not know, if there is one.
    """
    scores = tables.score(ids)
    oov = ids == unknown if unknown is not None else np.zeros(len(ids), np.bool_)
    begins = int((ids == tables.bos).sum())
    total.sentences += begins
    total.tokens += len(ids) - begins
    total.oov += int(oov.sum())
    total.log_prob += float(scores.log_probs.sum())
    total.known_log_prob += float(scores.log_probs[~oov].sum())


def score_line(tables: BackoffModel, reader: Reader, text: str) -> list[TokenScore]:
    """Score one line, token by token, its end included."""
    ids = reader.read(Piece(text.replace("\n", " ").encode("utf-8", "surrogatepass"), "text", 1))
    scores = tables.score(ids)
    words = reader.shown(text, ids[1:])
    unknown = ids[1:] == UNK if isinstance(reader, WordReader) else np.zeros(max(0, len(ids) - 1), np.bool_)
    return [
        TokenScore(word, float(log_prob) / math.log(10), int(order), bool(oov))
        for word, log_prob, order, oov in zip(
            words, scores.log_probs[1:], scores.orders[1:], unknown, strict=True
        )
    ]


def _exp(value: float) -> float:
    """exp, infinite where a double cannot hold it: a model without smoothing rules out what it has not seen."""
    return math.exp(value) if value < 709 else math.inf
