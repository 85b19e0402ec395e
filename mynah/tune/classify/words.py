"""TF-IDF of words and of runs of characters: what needs no network, and what a network has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.errors import ArtifactError

#: Lengths of runs, of words and of characters within words; of scripts without spaces, of characters.
WORD_RUNS, CHARACTER_RUNS, UNSPACED_RUNS = (1, 2), (2, 5), (1, 4)
#: Features of each kind, at most: the commonest.
MOST = 200_000
#: A text is written without spaces if this share of its letters is.
_UNSPACED_SHARE = 0.3
FILE = "words.json"


class Words:
    """Turns texts into TF-IDF features; each kind of feature has length 1 in each text.

    Args:
        vectorizers: scikit-learn's, fitted.
    """

    def __init__(self, vectorizers: Sequence[Any]) -> None:
        self._vectorizers = vectorizers

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Words:
        """Count documents and features of texts."""
        made = [_vectorizer(kind, runs) for kind, runs in _kinds(texts)]
        for vectorizer in made:
            vectorizer.fit(texts)
        return cls(made)

    def __call__(self, texts: Sequence[str]) -> Any:
        """Return (N, F), sparse."""
        from scipy.sparse import hstack

        return hstack([vectorizer.transform(texts) for vectorizer in self._vectorizers]).tocsr()

    def save(self, folder: Path) -> None:
        """Write into a folder."""
        kept = [
            {
                "kind": vectorizer.analyzer,
                "runs": list(vectorizer.ngram_range),
                "features": sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__),
                "idf": [round(float(value), 6) for value in vectorizer.idf_],
            }
            for vectorizer in self._vectorizers
        ]
        artifacts.write_json(folder / FILE, kept)

    @classmethod
    def load(cls, folder: Path) -> Words:
        """Read what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        import numpy as np

        made = []
        try:
            for kept in artifacts.read_json(folder / FILE):
                numbers = {feature: number for number, feature in enumerate(kept["features"])}
                vectorizer = _vectorizer(kept["kind"], tuple(kept["runs"]), numbers)
                vectorizer.idf_ = np.array(kept["idf"])
                made.append(vectorizer)
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(f"{folder / FILE}: damaged: not what words are counted by") from None
        return cls(made)


def _kinds(texts: Sequence[str]) -> list[tuple[str, tuple[int, int]]]:
    letters = [char for text in texts[:1000] for char in text[:1000] if char.isalpha()]
    unspaced = sum("\u3040" <= char <= "\u9fff" or "\u0e00" <= char <= "\u0eff" for char in letters)
    if unspaced > _UNSPACED_SHARE * len(letters):
        return [("char", UNSPACED_RUNS)]
    return [("word", WORD_RUNS), ("char_wb", CHARACTER_RUNS)]


def _vectorizer(kind: str, runs: tuple[int, int], vocabulary: dict[str, int] | None = None) -> Any:
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = {"token_pattern": r"(?u)\b\w+\b"} if kind == "word" else {}
    return TfidfVectorizer(
        analyzer=kind,
        ngram_range=runs,
        sublinear_tf=True,
        max_features=None if vocabulary else MOST,
        vocabulary=vocabulary,
        dtype=np.float32,
        **words,
    )
