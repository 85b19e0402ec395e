"""N-gram language models for people: text in, probabilities, reports and text out.

from mynah.ngram import NGramModel

model = NGramModel.train(["i have a pen", "i need a pen"], order=3)
model.perplexity(["i have a pen"]).perplexity
model.next_tokens("i have")
model.save("pens.ng")
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mynah.config import build_config
from mynah.errors import ConfigError, DataError
from mynah.ngram.backoff import BackoffModel, Scores
from mynah.ngram.columns import Column
from mynah.ngram.config import NGramConfig
from mynah.ngram.counting import count
from mynah.ngram.estimating import estimate, to_tables
from mynah.ngram.files import read_model, write_model
from mynah.ngram.marks import BOS, EOS
from mynah.ngram.pruning import prune
from mynah.ngram.sampling import Drawing, sample
from mynah.ngram.scoring import Summary, TokenScore, score_line, summarise
from mynah.ngram.smoothing import FALLBACK, KneserNey, smoothing_of
from mynah.ngram.text import Reader, TokenReader, WordReader, pieces_of
from mynah.ngram.vocabulary import Vocabulary
from mynah.ngram.workspace import Watch, spooled, workspace_for

if TYPE_CHECKING:
    from mynah.tokenizer.tokenizer import Tokenizer


class SmallText(UserWarning):
    """A text is too small to find the discounts of Kneser-Ney; others are taken."""


@dataclass(frozen=True)
class NGramModel:
    """A language model that predicts each token from the few before it.

    The probability of a sentence is the product over its tokens of p(w | h), where h is the context: the up to
    `order` - 1 tokens before w. How p is found from counts is told by the smoothing; the default is interpolated
    modified Kneser-Ney (Chen & Goodman 1998, section 3):

        p(w | h) = max(c(hw) - D(c(hw)), 0) / c(h.)  +  gamma(h) p(w | h')

    What was counted often is lowered by a constant D; what that frees, gamma(h), goes to the context h' that is a
    token shorter. In the shorter ones a token does not count by how often it stands there but by how many different
    tokens it follows: "Francisco" is frequent, but follows hardly anything but "San". docs/ngram.md works it out.
    """

    tables: BackoffModel
    #: cuts text into tokens and numbers them; None: the model knows ids alone
    reader: Reader | None
    #: what is told about the model: method, discounts by order, orders that fell back, tokens it was counted from
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def train(
        cls,
        sources: Iterable[str | Path] | Path,
        config: NGramConfig | None = None,
        *,
        tokenizer: Tokenizer | None = None,
        watch: Watch | None = None,
        beside: Path | None = None,
        **settings: Any,
    ) -> NGramModel:
        """Count texts and estimate a model.

        Args:
            sources: texts, a line a sentence; a `Path` is a file or a folder.
            config: the settings; or give them as keywords: `NGramModel.train(texts, order=4, unit="chars")`.
            tokenizer: cuts the text, for unit "tokens".
            watch: told what is being done; of reading, bytes.
            beside: a folder with room for what does not fit into `memory`.

        Raises:
            ConfigError: if a setting is unknown or out of range.
            DataError: if a text cannot be read, or there is no token in it.
        """
        config = config or build_config(NGramConfig, settings, "n-gram settings")
        reader: Reader
        if config.unit != "tokens":
            reader = WordReader(config.unit, Vocabulary())
        elif tokenizer is not None:
            reader = TokenReader(tokenizer)
        else:
            raise ConfigError('unit "tokens" needs a tokenizer: mynah ngram train TEXT --tokenizer RUN')
        read = 0
        with spooled(np.uint32, config.memory_bytes // 8, beside) as tokens:
            for piece in pieces_of([sources] if isinstance(sources, Path) else sources):
                tokens.append(reader.read(piece, grow=True))
                read += len(piece.data)
                if watch is not None:
                    watch("reading", read, 0)
            size = len(reader.vocabulary) if isinstance(reader, WordReader) else reader.vocab_size
            bos = BOS if isinstance(reader, WordReader) else reader.bos
            return cls._estimate(tokens.column, size, bos, config, reader, watch, beside)

    @classmethod
    def train_ids(
        cls,
        tokens: npt.ArrayLike,
        vocab_size: int,
        bos: int,
        config: NGramConfig | None = None,
        *,
        watch: Watch | None = None,
        beside: Path | None = None,
        **settings: Any,
    ) -> NGramModel:
        """Count ids and estimate a model.

        Args:
            tokens: (N,) ids, sentences laid end to end, each beginning with `bos`, which stands nowhere else.
            vocab_size: number of ids, `bos` included.
            bos: given, never predicted.
            config, settings: as in `train`; what they say of text counts for nothing.

        Raises:
            ConfigError, DataError: as `train`.
        """
        settled = config or build_config(NGramConfig, settings, "n-gram settings")
        column = Column(np.uint32)
        column.append(np.asarray(tokens))
        return cls._estimate(column, vocab_size, bos, settled, None, watch, beside)

    @classmethod
    def _estimate(
        cls,
        tokens: Column,
        vocab_size: int,
        bos: int,
        config: NGramConfig,
        reader: Reader | None,
        watch: Watch | None,
        beside: Path | None,
    ) -> NGramModel:
        smoothing = smoothing_of(config)
        # The arrays of a model that was made on disk are maps of files whose names are gone: they last as it does.
        length = len(tokens)
        with workspace_for(length, config.order, config.memory_bytes, beside) as workspace:
            predicted = 0
            for start, stop in workspace.pieces(length):
                piece = tokens.read(start, stop)
                if int(piece.max()) >= vocab_size:
                    raise DataError(
                        f"id {int(piece.max())}: expected ids below {vocab_size}, the vocabulary's size"
                    )
                predicted += int((piece != bos).sum())
            sentences = length - predicted
            if predicted == 0:
                raise DataError("no token to count: the text is empty")
            levels = count(
                tokens,
                bos,
                vocab_size,
                config.order,
                workspace,
                adjusted=smoothing.adjusted,
                prune=config.prune,
                watch=watch,
            )
            made = estimate(levels, vocab_size, smoothing, workspace, watch)
            tables = to_tables(levels, made, bos, smoothing, workspace, config.compact)
        about: dict[str, Any] = {
            "smoothing": config.smoothing,
            "tokens": predicted,
            "sentences": sentences,
        }
        if isinstance(smoothing, KneserNey):
            about["discounts"] = [list(each) for each in smoothing.discounts]
            about["fell_back"] = smoothing.fell_back
            if smoothing.fell_back:
                warnings.warn(_told(smoothing.fell_back), SmallText, stacklevel=3)
        return cls(tables, reader, about)

    @property
    def order(self) -> int:
        """The longest n-gram."""
        return self.tables.order

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the one that begins sentences included."""
        return self.tables.vocab_size

    def score_ids(self, tokens: npt.ArrayLike) -> Scores:
        """Score ids, (N,): sentences laid end to end, each beginning with `tables.bos`.

        Raises:
            DataError: if an id is not below `vocab_size`.
        """
        ids = np.asarray(tokens)
        if ids.size and int(ids.max()) >= self.vocab_size:
            raise DataError(
                f"id {int(ids.max())}: expected ids below {self.vocab_size}, the vocabulary's size"
            )
        return self.tables.score(ids)

    def score(self, text: str) -> list[TokenScore]:
        """Score one line: for each token log10 of p(token | what stands before it), and which n-gram matched.

        Raises:
            ConfigError: if the model knows ids alone.
            DataError: if `<s>` or `</s>` stands in the text.
        """
        return score_line(self.tables, self._reader(), text)

    def perplexity(self, sources: Iterable[str | Path] | Path) -> Summary:
        """Score texts in sum: perplexity exp(-1/N sum log p), with and without unknown words, bits per byte.

        Raises:
            ConfigError, DataError: as `score`; if a file cannot be read.
        """
        pieces = pieces_of([sources] if isinstance(sources, Path) else sources)
        return summarise(self.tables, self._reader(), pieces)

    def next_tokens(self, text: str = "", count: int = 10) -> list[tuple[str, float]]:
        """Return the most likely tokens after a text, each with its probability."""
        reader = self._reader()
        shares = self.tables.distribution(reader.context(text))
        best = np.argsort(-shares, kind="stable")[:count]
        return [
            (word, float(shares[token]))
            for token, word in zip(best, reader.shown("", best.astype(np.uint32)), strict=True)
        ]

    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 50,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> str:
        """Return a text that goes on after a prompt, until a sentence end is drawn.

        Args:
            prompt: how the text begins; it is not returned.
            max_tokens: at most so many.
            temperature: 1 draws as the model says, 0 takes the most likely token each time.
            top_k: draw among the k most likely, 0: all.
            top_p: draw among the likeliest that hold this share (Holtzman et al. 2020).
            seed: the same seed gives the same text.

        Raises:
            ConfigError: if a setting is out of range.
        """
        reader = self._reader()
        rng = np.random.default_rng(seed)
        drawing = Drawing(temperature, top_k, top_p)
        proper = self.about.get("smoothing") != "stupid-backoff"
        made = sample(self.tables, reader.context(prompt), reader.ends, max_tokens, rng, drawing, proper)
        return reader.join(made)

    def prune(self, threshold: float) -> NGramModel:
        """Return a model without the n-grams whose loss hardly changes it (Stolcke 1998).

        Args:
            threshold: by how much the perplexity may rise at most for each n-gram that goes, for example 1e-8.
        """
        tables = prune(self.tables, threshold, self._opening())
        return replace(self, tables=tables, about={**self.about, "pruned": threshold})

    def compact(self) -> NGramModel:
        """Return the same model with logarithms rounded to 16 bits; sums are then 1 up to a thousandth."""
        tables = [
            replace(t, log_probs=t.log_probs.rounded(), backoffs=t.backoffs.rounded())
            for t in self.tables.tables
        ]
        return replace(self, tables=replace(self.tables, tables=tuple(tables)))

    def _opening(self) -> float:
        """Return log10 of the share of tokens that begin a sentence: as many as end one."""
        if isinstance(self.reader, WordReader):
            return float(self.tables.tables[0].log_probs.range(EOS, EOS + 1)[0])
        return math.log10(max(1, self.about["sentences"]) / self.about["tokens"])

    def save(self, path: str | Path) -> None:
        """Write the model: as ARPA if the name ends in .arpa or .arpa.gz, else in Mynah's own form.

        Raises:
            ArtifactError: if it cannot be written.
        """
        write_model(Path(path), self.tables, self.reader, self.about)

    @classmethod
    def load(
        cls, path: str | Path, *, tokenizer: Tokenizer | None = None, verify: bool = False
    ) -> NGramModel:
        """Open a model in Mynah's own form or as ARPA, whatever its name.

        Args:
            path: the file.
            tokenizer: for a model over a tokenizer's ids.
            verify: whether to read all of it and check its hash.

        Raises:
            ArtifactError, DataError: if it is missing or damaged; with the line of an ARPA file.
        """
        return cls(*read_model(Path(path), tokenizer, verify))

    def _reader(self) -> Reader:
        if self.reader is None:
            raise ConfigError("this model knows ids alone; give the tokenizer with which it was made")
        return self.reader


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the warning about discounts, where whoever counts says it in another way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallText)
        yield


def _told(orders: Sequence[int]) -> str:
    """Say once why discounts were not found."""
    shown = ", ".join(map(str, orders))
    return (
        f"the text is too small to find Kneser-Ney's discounts for order {shown}; "
        f"{FALLBACK[0]:g}, {FALLBACK[1]:g} and {FALLBACK[2]:g} are taken instead"
    )
