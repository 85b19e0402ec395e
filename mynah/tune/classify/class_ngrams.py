"""An n-gram model for each class: a text is of the class whose model finds it likeliest, given how frequent that is.

log p(k | x) = log p(k) + sum over tokens of log p_k(w | h) + constant
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mynah.ngram.config import NGramConfig
from mynah.ngram.model import NGramModel, quiet

#: Tokens of an n-gram: most classes have few rows.
ORDER = 3
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")
_BOS, _EOS, _UNKNOWN = 0, 1, 2


class ClassNGrams:
    """Models of the classes over one vocabulary, and how frequent each class is."""

    def __init__(
        self, vocabulary: dict[str, int], models: Sequence[NGramModel], priors: npt.NDArray[np.float64]
    ) -> None:
        self._vocabulary, self._models, self._priors = vocabulary, models, priors

    @classmethod
    def fit(cls, texts: Sequence[str], numbers: npt.NDArray[np.int64], count: int) -> ClassNGrams:
        """Count n-grams of texts, class by class."""
        vocabulary: dict[str, int] = {}
        for text in texts:
            for token in _tokens(text):
                vocabulary.setdefault(token, len(vocabulary) + 3)
        models, config = [], NGramConfig(order=ORDER)
        for number in range(count):
            mine = [texts[int(n)] for n in np.flatnonzero(numbers == number)]
            ids, _ = _encoded(mine or [""], vocabulary)
            # A token that this class has not seen must have a share of its own: one mark stands for all of them.
            ids = np.append(ids, [_BOS, _UNKNOWN, _EOS])
            with quiet():
                models.append(NGramModel.train_ids(ids, len(vocabulary) + 3, _BOS, config))
        rows = np.bincount(numbers, minlength=count) + 1.0
        return cls(vocabulary, models, np.log(rows / rows.sum()))

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return log p of each class and each text together, (N, K)."""
        ids, owners = _encoded(texts, self._vocabulary)
        columns = [
            np.bincount(owners, model.score_ids(ids).log_probs, minlength=len(texts))
            for model in self._models
        ]
        result: npt.NDArray[np.float64] = np.stack(columns, axis=1) + self._priors
        return result


def _tokens(text: str) -> list[str]:
    found: list[str] = _TOKEN.findall(text.lower())
    return found


def _encoded(
    texts: Sequence[str], vocabulary: dict[str, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ids of texts laid end to end, and to which text each belongs."""
    rows = [[_BOS, *(vocabulary.get(token, _UNKNOWN) for token in _tokens(text)), _EOS] for text in texts]
    owners = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return np.concatenate([np.array(row, np.int64) for row in rows]), owners
