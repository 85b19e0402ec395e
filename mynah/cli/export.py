"""`mynah export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def export(run: Path, *, output: Annotated[Path, Parameter(name=["--output", "-o"])]) -> None:
    """Write a model as a directory that transformers, and what reads its files, can run.

    Models of the GPT-2, GPT-Neo, Llama and Qwen3 families can be exported. Mynah's own small sizes have parts that no
    other program knows, and a model with a prior goes on from an n-gram model: both are refused with the reason.

    Parameters
    ----------
    run: Path
        A run that mynah build made, or a folder that GPT3.save wrote.
    output: Path
        The new directory: config.json, model.safetensors, tokenizer.json with the chat template.
    """
    import torch

    from mynah.interop.huggingface import family_of, to_hugging_face
    from mynah.pipeline.open_run import open_run

    opened = open_run(run, torch.device("cpu"))
    to_hugging_face(opened.model, opened.tokenizer, output, talks=opened.talks)
    print(f"exported   {output}: {family_of(opened.model.config).architecture}, float32")
