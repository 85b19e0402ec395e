"""How surprising a text is to the n-gram model of a run: a judgement that cleaning is handed."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path

import numpy as np

from mynah import artifacts
from mynah.ngram.model import NGramModel
from mynah.tokenizer.tokenizer import Tokenizer


class RunPerplexity:
    """The perplexity of a text a token, under the n-gram model and the tokenizer of a run.

    Filtering by it is CCNet's idea (Wenzek et al. 2020, "CCNet", section 4.2). It can be pickled: another process
    opens the run when it first judges.

    Args:
        run: the folder of a build.
    """

    def __init__(self, run: Path) -> None:
        self.run = run

    def check(self) -> str:
        """Return a hash of what judges.

        Raises:
            ArtifactError: if the run has no n-gram model, or it is damaged.
        """
        parts = [artifacts.read_manifest(self.run / name).output for name in ("tokenizer", "ngram")]
        return artifacts.sha256_of_json(parts)

    @cached_property
    def _opened(self) -> tuple[Tokenizer, NGramModel]:
        return Tokenizer.load(self.run / "tokenizer"), NGramModel.load(self.run / "ngram" / "model.ng")

    def __getstate__(self) -> dict[str, Path]:
        return {"run": self.run}

    def __call__(self, text: str) -> float:
        """Return a perplexity, 1 or more; 1 for a text without tokens."""
        tokenizer, model = self._opened
        ids = np.array([tokenizer.control.bos, *tokenizer.encode(text)], dtype=np.uint32)
        if len(ids) == 1:
            return 1.0
        return math.exp(-float(model.score_ids(ids).log_probs[1:].mean()))
