"""The n-gram model that a build's network goes on from: counted as a stage, and asked along the run's texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mynah import artifacts
from mynah.data.split.split import TRAIN, fold_folder
from mynah.ngram.config import NGramConfig
from mynah.ngram.model import quiet
from mynah.ngram.prior import PRIOR, NGramPrior, TextPrior
from mynah.pipeline.recipe import Recipe
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer

#: The fold of each record, beside the model.
FOLDS = "folds.npy"


def make_prior(paths: RunPaths, out: Path, config: NGramConfig, folds: int, recipe: Recipe) -> dict[str, Any]:
    """Count the training text of a run, the ends of texts too; return the counts of the stage's manifest.

    Args:
        paths: of the run.
        out: the stage's.
        config: of the model.
        folds: into which the text is cut for training.
        recipe: says how the text was split, and how it is worked on.

    Raises:
        ArtifactError: if a stage is missing, or the model cannot be written.
    """
    tokenizer = Tokenizer.load(paths.tokenizer)
    data = TokenSet.load(paths.tokens_of(TRAIN))
    with quiet():
        prior = NGramPrior.train(
            data.tokens, tokenizer.vocab_size, tokenizer.control.bos, config, beside=paths.directory
        )
    prior.save(out / PRIOR)
    fold_of = fold_folder(paths.records_of(TRAIN), out, recipe.split, recipe.seed + 1, folds, recipe.engine)
    assert len(fold_of) == len(data)
    np.save(out / FOLDS, fold_of, allow_pickle=False)
    return {"order": config.order, "folds": folds}


def with_prior(
    data: TokenSet, held_out: TokenSet, paths: RunPaths, settings: NGramConfig
) -> tuple[TokenSet, TokenSet]:
    """Return a run's texts with the prior along them; that of the training text by models that have not counted it.

    Raises:
        ArtifactError: if a stage is missing or damaged.
    """
    counts = artifacts.read_manifest(paths.prior).counts
    whole = NGramPrior.load(paths.prior / PRIOR, Tokenizer.load(paths.tokenizer).control.bos)
    config = settings.model_copy(update={"order": counts["order"]})
    fold_of = np.load(paths.prior / FOLDS, allow_pickle=False)
    with quiet():
        along = TextPrior.held_out(
            data.tokens,
            data.starts,
            whole.vocab_size,
            whole.bos,
            config,
            counts["folds"],
            paths.directory,
            fold_of,
        )
    return replace(data, prior=along), replace(held_out, prior=TextPrior.of(whole, held_out.tokens))
