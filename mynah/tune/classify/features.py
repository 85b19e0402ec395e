"""What linear ways see of texts: their words, and the states of a base beside them.

N texts, F features, C the width of a base's hidden states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.classify.fitted import Fitted, Told
from mynah.tune.classify.states import Reader, States
from mynah.tune.classify.words import Words


def features_of(
    made: Fitted, texts: Sequence[str], reader: Reader | None, config: ClassifyConfig, told: Told | None
) -> dict[str, Any]:
    """Return the features of the linear ways that are asked for, (N, F) each; what makes them is put into `made`."""
    made.words = Words.fit(texts)
    words = made.words(texts)
    found = {"words": words} if config.way in ("auto", "words", "head", "label_text") else {}
    if reader is not None and config.way in ("auto", "states"):
        encoded = reader.encode(texts, made.longest)
        counted = States.count(encoded)
        states = reader.states(
            encoded, counted.weight, (lambda share: told("reading with the base", share)) if told else None
        )
        made.states = counted.settle(states)
        found["states"] = joined(words, made.states.features(states))
    return found


def joined(words: Any, states: Any) -> Any:
    """Return features of words and of states side by side, (N, F + C), sparse."""
    from scipy.sparse import csr_matrix, hstack

    return hstack([words, csr_matrix(states)]).tocsr()
