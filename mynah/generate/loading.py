"""A trained model from its folder, with the prior that it goes on from, if it does."""

from __future__ import annotations

from pathlib import Path

from mynah.model.transformer import Transformer
from mynah.model.weights import load_model
from mynah.ngram.prior import PRIOR, NGramPrior


def load_trained(folder: Path, prior: Path, bos: int) -> Transformer:
    """Read a model, in evaluation mode.

    Args:
        folder: of the model.
        prior: folder of the prior.
        bos: the token that begins a text.

    Raises:
        ArtifactError: if one of the two is missing or damaged.
    """
    model = load_model(folder)
    if model.config.prior:
        model.prior = NGramPrior.load(prior / PRIOR, bos)
    return model
