"""Open a finished run, or a Hugging Face directory, for talking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mynah import artifacts
from mynah.config import build_config
from mynah.data.clean.config import CleanConfig
from mynah.device import pick_device
from mynah.errors import ArtifactError
from mynah.generate.settings import SamplingConfig
from mynah.interop.held import Held, quick_dtype
from mynah.interop.huggingface import from_hugging_face, read_config
from mynah.interop.sources import check_has_weights
from mynah.interop.trained import load_trained
from mynah.model.transformer import Transformer
from mynah.pipeline.model_stages import PRETRAIN, TUNE
from mynah.pipeline.pairs_stage import PAIRS
from mynah.pipeline.prefer_stage import PREFER
from mynah.pipeline.recipe import Recipe, load_recipe
from mynah.pipeline.token_stages import PRIOR, TOKENIZER, TOKENS
from mynah.stages import TRAIN, RunPaths
from mynah.tokenizer.tokenizer import Tokenizer

#: The stages that a model needs to be opened, in order.
_NEEDED = (PAIRS, TOKENIZER, TOKENS, PRIOR, PRETRAIN, TUNE, PREFER)
_GO_ON = "run the same mynah build again to go on"
#: The stage that the manifest of a folder written by `GPT3.save` names.
SAVED = "saved"


@dataclass(frozen=True)
class Run:
    """A model that can be talked to."""

    model: Transformer
    tokenizer: Tokenizer
    #: whether it was fine-tuned on conversations; otherwise it continues text
    talks: bool
    sampling: SamplingConfig
    clean: CleanConfig


def open_run(
    directory: Path | str,
    device: torch.device | str = "auto",
    dtype: torch.dtype | None = None,
    *,
    merged: bool = True,
) -> Run:
    """Open the newest model of a run (fine-tuned if there is one), every file checked against its hash.

    Args:
        directory: a run, a folder that `GPT3.save` or `mynah train` wrote, a Hugging Face directory, or the name of a
            base (`mynah base list`).
        device: where the model is to be, or the name of it.
        dtype: of the weights of a Hugging Face directory or a base, with an adapter or without; None: bfloat16 where
            that is faster here, else float32, and of one with an adapter fewer bits where the memory asks for it.
        merged: whether an adapter is added to the weights of its base, as `load_trained` has it.

    Raises:
        ArtifactError: if it is no run, is not finished, or a file is missing or damaged.
    """
    directory = find_run(directory)
    device = pick_device(device) if isinstance(device, str) else device
    check_has_weights(directory)
    if (directory / "config.json").is_file():
        model, tokenizer = from_hugging_face(
            directory, dtype or quick_dtype(read_config(directory)[1], device)
        )
        return Run(model.to(device), tokenizer, tokenizer.brings_template, SamplingConfig(), CleanConfig())
    if is_saved(directory):
        return _open_saved(directory, device)
    paths, recipe = RunPaths(directory), recipe_of(directory)
    part = finished_part(directory)
    tokenizer = Tokenizer.load(paths.tokenizer)
    held = Held(dtype) if dtype is not None else None
    model = load_trained(part, paths.prior, tokenizer.control.bos, device, held, merged=merged)
    return Run(model, tokenizer, part == paths.talker, recipe.sampling, recipe.clean)


def recipe_of(directory: Path) -> Recipe:
    """Return the recipe of a run.

    Raises:
        ArtifactError: if it is no run.
    """
    if not (directory / "recipe.toml").is_file():
        raise ArtifactError(f"{directory}: not a run (no recipe.toml in it)")
    return load_recipe(directory / "recipe.toml", {})


def finished_part(directory: Path) -> Path:
    """Return the folder, within a run, of its newest model: what all stages before it have made is there.

    Raises:
        ArtifactError: if it is no run, or is not finished.
    """
    paths, recipe = RunPaths(directory), recipe_of(directory)
    if (paths.classifier / artifacts.MANIFEST).is_file():
        raise ArtifactError(
            f'{directory}: tells the classes of texts and does not talk; ask it: mynah classify {directory} "a text"; '
            "to learn to talk from the same file: mynah build FILE --task chat"
        )
    talks = (paths.tuned / artifacts.MANIFEST).is_file()
    prefers = (paths.preferred / artifacts.MANIFEST).is_file()
    missing = {
        PAIRS.name: not paths.pairs.is_dir(),
        TUNE.name: not talks,
        PRIOR.name: recipe.prior.kind == "none",
        PREFER.name: not prefers,
    }
    chain = [stage for stage in _NEEDED if not missing.get(stage.name)]
    outputs: dict[str, str] = {}
    for stage in chain:
        part = paths.stage(stage.name)
        if not (part / artifacts.MANIFEST).is_file():
            raise ArtifactError(f"{directory}: the build is not finished (no {stage.name}); {_GO_ON}")
        manifest = artifacts.read_manifest(part)
        # A build that was cut off may have left stages of the one before it.
        if any(manifest.inputs.get(before, output) != output for before, output in outputs.items()):
            raise ArtifactError(
                f"{directory}: the build is not finished ({stage.name} is out of date); {_GO_ON}"
            )
        outputs[stage.name] = manifest.output
    return paths.stage(chain[-1].name)


def find_run(directory: Path | str) -> Path:
    """Return where a run or a base is: a name without a folder may be that of a base.

    Raises:
        ArtifactError: if there is none.
    """
    directory = Path(directory)
    if directory.exists():
        return directory
    from mynah.interop.bases import bases_folder

    base = bases_folder() / directory.name
    if len(directory.parts) == 1 and (base / artifacts.MANIFEST).is_file():
        return base
    raise ArtifactError(
        f"{directory}: no such run and no base of that name; run: mynah build FILE, or: mynah base list"
    )


def is_saved(directory: Path) -> bool:
    """Whether a folder holds model and tokenizer side by side, as `GPT3.save` and `mynah train` write them.

    Raises:
        ArtifactError: if its manifest is damaged.
    """
    if not (directory / artifacts.MANIFEST).is_file():
        return False
    return artifacts.read_manifest(directory, verify=False).stage in (SAVED, TRAIN)


def _open_saved(directory: Path, device: torch.device) -> Run:
    """Open a folder that `GPT3.save` or `mynah train` wrote."""
    manifest = artifacts.read_manifest(directory)
    talks = bool(manifest.counts.get("talks"))
    sampling = build_config(SamplingConfig, manifest.settings.get("sampling", {}), str(directory))
    cleaning = build_config(CleanConfig, manifest.settings.get("clean", {}), str(directory))
    tokenizer = Tokenizer.load(directory)
    model = load_trained(directory, directory, tokenizer.control.bos).to(device)
    return Run(model, tokenizer, talks, sampling, cleaning)
