"""`mynah export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def export(
    run: Path,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    adapter: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write a model as a directory that transformers, and what reads its files, can run.

    Models of the families that a base can be of can be exported. Mynah's own small sizes have parts that no
    other program knows, and a model with a prior goes on from an n-gram model: both are refused with the reason.

    Parameters
    ----------
    run: Path
        A run that mynah build made, or a folder that GPT3.save wrote.
    output: Path
        The new directory: config.json, model.safetensors, tokenizer.json with the chat template.
    adapter: bool
        Of a run over a base: write its adapter alone, as PEFT has it. Default: base and adapter as one model.
    """
    import torch

    if adapter:
        _export_adapter(run, output)
        return

    from mynah.interop.huggingface import family_of, to_hugging_face
    from mynah.pipeline.open_run import open_run

    opened = open_run(run, torch.device("cpu"), torch.float32)
    to_hugging_face(opened.model, opened.tokenizer, output, talks=opened.talks)
    print(f"exported   {output}: {family_of(opened.model.config).architecture}, float32")


def _export_adapter(run: Path, output: Path) -> None:
    import torch

    from mynah.errors import ConfigError
    from mynah.interop.adapters import write_adapter
    from mynah.interop.trained import ABOUT, open_adapter
    from mynah.pipeline.open_run import open_run
    from mynah.stages import RunPaths

    open_run(run, torch.device("cpu"))  # finished, whole, and with the base that it was made from
    paths = RunPaths(run)
    folder = paths.tuned if (paths.tuned / ABOUT).is_file() else paths.pretrained
    if not (folder / ABOUT).is_file():
        raise ConfigError(
            f"{run}: no adapter in it; leave --adapter out, or build it with --base and without --full"
        )
    model, kept = open_adapter(folder, torch.device("cpu"), torch.float32)
    write_adapter(model, kept.lora, output, kept.base)
    print(f"exported   {output}: an adapter of {kept.base}, as PEFT has it")
