"""An n-gram model as the prior of a network: its whole distribution at any position of a stream of tokens.

The network learns what is left to learn: its logits are added to the n-gram model's log-probabilities. On the text
that both are trained on, the n-gram model must not have counted what it is asked about, or it seems far better than
it is and the network learns to trust it blindly. So the text is cut into folds, and each is asked of a model that
was counted on the others (cross-fitting; Chernozhukov et al. 2018, section 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mynah.errors import ArtifactError
from mynah.ngram.config import NGramConfig
from mynah.ngram.dense import Dense, Float32s, contexts_of
from mynah.ngram.kernels import NONE, Ids
from mynah.ngram.model import NGramModel

#: Name of the file beside a model.
PRIOR = "prior.ng"
Tokens = npt.NDArray[np.unsignedinteger]
Positions = npt.NDArray[np.int64]
#: Least natural log-probability that the network is given.
_FLOOR = -18.0
#: From so many records for each fold on, whole records are held out; else stretches of the text.
_RECORDS_PER_FOLD = 8


class NGramPrior:
    """A back-off model over a tokenizer's ids in which the end of a text is predicted too.

    Where a baseline takes the token `bos` between two records for given, a network predicts it. So here `bos` is a
    token like others, and a mark of its own, the id after the last, begins each record. A baseline, which has no such
    mark, is taken too: it never expects the next record.

    Args:
        model: over the ids 0 to vocab_size, the last one the mark; or a baseline over the ids before it.
        bos: the token that stands before each record.
    """

    def __init__(self, model: NGramModel, bos: int) -> None:
        self.model, self.bos = model, bos
        self._mark = model.tables.bos
        self.vocab_size = model.vocab_size - (self._mark != bos)
        self._dense = Dense(model.tables, _FLOOR)

    @classmethod
    def train(
        cls, tokens: Tokens, vocab_size: int, bos: int, config: NGramConfig, beside: Path | None = None
    ) -> NGramPrior:
        """Count records laid end to end, (N,), each beginning with `bos`; `beside`: a folder with room.

        Raises:
            DataError: if there is nothing to count.
        """
        # Each `bos` ends one record and begins the next: it becomes itself and the mark.
        begins = tokens == bos
        copies = 1 + begins
        stream = np.repeat(tokens.astype(np.uint32), copies)
        stream[(np.cumsum(copies) - 1)[begins]] = vocab_size
        if begins.any():
            stream = np.append(stream[int(begins[0]) :], np.uint32(bos))
        return cls(NGramModel.train_ids(stream, vocab_size + 1, vocab_size, config, beside=beside), bos)

    def contexts(self, tokens: npt.ArrayLike) -> Ids:
        """Return what `log_probs` needs to know of the text up to and with each position of a stream.

        Args:
            tokens: (N,) ids; `bos` begins records.

        Returns:
            (order - 1, N) uint32.
        """
        ids = np.asarray(tokens).astype(np.uint32)  # the mark may not fit the tokens' own dtype
        return contexts_of(self.model.tables, np.where(ids == self.bos, self._mark, ids))

    def advance(self, contexts: Ids, tokens: npt.ArrayLike) -> Ids:
        """Return `contexts` after one more token in each of B rows.

        Args:
            contexts: (order - 1, B).
            tokens: (B,).
        """
        ids = np.asarray(tokens, np.uint32)
        begins = ids == self.bos
        last = np.where(begins, np.uint32(self._mark), ids)
        after = np.full_like(contexts, NONE)
        for n in range(1, len(contexts)):
            before = np.where(begins, NONE, contexts[n - 1])
            after[n] = self.model.tables.find(n + 1, before, last, self._dense.asked)
        if len(after):
            after[0] = last
        return after

    def log_probs(self, contexts: Ids) -> Float32s:
        """Return log p(next token) of the whole vocabulary, natural, (M, vocab_size) float32."""
        return self._dense.log_probs(contexts)[:, : self.vocab_size]

    def save(self, path: Path) -> None:
        """Write the model.

        Raises:
            ArtifactError: if it cannot be written.
        """
        self.model.save(path)

    @classmethod
    def load(cls, path: Path, bos: int) -> NGramPrior:
        """Open what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        model = NGramModel.load(path)
        if model.tables.bos != model.vocab_size - 1:
            raise ArtifactError(f"{path}: is an n-gram model, but not made as a prior; build again")
        return cls(model, bos)


@dataclass(frozen=True)
class TextPrior:
    """A prior along one text: each position is asked of the model that may be asked there."""

    models: Sequence[NGramPrior]
    #: (order - 1, N) uint32, each by its own model
    contexts: Ids
    #: (N,) uint8: number of the model
    fold: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, model: NGramPrior, tokens: Tokens) -> TextPrior:
        """Return the prior along a text that the model was not counted on, (N,)."""
        return cls([model], model.contexts(tokens), np.zeros(len(tokens), np.uint8))

    @classmethod
    def held_out(
        cls,
        tokens: Tokens,
        starts: Positions,
        vocab_size: int,
        bos: int,
        config: NGramConfig,
        folds: int,
        beside: Path | None = None,
        fold_of: npt.NDArray[np.uint8] | None = None,
    ) -> TextPrior:
        """Return the prior along the text that the network is trained on, by cross-fitting.

        Args:
            tokens: (N,) records end to end.
            starts: (R + 1,) where each begins.
            vocab_size, bos: of the tokenizer.
            config: of the models.
            folds: 2 or more.
            beside: a folder with room for what does not fit into memory.
            fold_of: (R,) the fold of each record; None: the next of the one before. Of few records each is cut.
        """
        n, records = len(tokens), len(starts) - 1
        if records >= _RECORDS_PER_FOLD * folds:
            chosen = np.arange(records) % folds if fold_of is None else fold_of
            fold = np.repeat(chosen, np.diff(starts)).astype(np.uint8)
        else:
            fold = (np.arange(n) * folds // max(1, n)).astype(np.uint8)
        models = []
        contexts = np.full((config.order - 1, n), NONE, np.uint32)
        for number in range(folds):
            inside = fold == number
            model = NGramPrior.train(tokens[~inside], vocab_size, bos, config, beside)
            positions = np.flatnonzero(inside)
            if len(positions):
                # What stands before a stretch is its context, though other models are asked there.
                lead = tokens[max(0, int(positions[0]) - config.order + 1) : int(positions[0])]
                found = model.contexts(np.concatenate([lead, tokens[positions]]))
                contexts[:, positions] = found[:, len(lead) :]
            models.append(model)
        return cls(models, contexts, fold)

    def log_probs(self, positions: Positions) -> Float32s:
        """Return log p(token after each position), natural, (M, V) float32."""
        fold = self.fold[positions]
        out = np.empty((len(positions), self.models[0].vocab_size), np.float32)
        for number in np.unique(fold):
            inside = np.flatnonzero(fold == number)
            out[inside] = self.models[number].log_probs(
                np.ascontiguousarray(self.contexts[:, positions[inside]])
            )
        return out
