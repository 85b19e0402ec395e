"""`mynah export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def export(
    run: Path,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    adapter: Annotated[bool, Parameter(negative="")] = False,
    quant: Literal["f32", "f16", "q8_0"] | None = None,
) -> None:
    """Write a model for other programs: a directory for transformers, or a GGUF file for llama.cpp and Ollama.

    What was written is read back before it is put in place: tokens, chat template, stop tokens and logits must be
    those of the model, or nothing is written.

    Models of the families that a base can be of can be exported. Mynah's own small sizes have parts that no
    other program knows, and a model with a prior goes on from an n-gram model: both are refused with the reason.

    Parameters
    ----------
    run: Path
        A run that mynah build made, a folder that GPT3.save wrote, a Hugging Face directory, or the name of a base.
    output: Path
        The new directory: config.json, model.safetensors, tokenizer.json with the chat template. A name that ends in
        .gguf: one file for llama.cpp, with a Modelfile for Ollama beside it.
    adapter: bool
        Of a run over a base: write its adapter alone, as PEFT has it. Default: base and adapter as one model.
    quant: Literal["f32", "f16", "q8_0"] | None
        Numbers of the matrices in a GGUF file: 4, 2 or about 1 byte each. Default: f16.
    """
    import torch

    from mynah.errors import ConfigError

    is_file = output.suffix == ".gguf"
    if quant is not None and not is_file:
        raise ConfigError(f"--quant {quant}: of GGUF files alone; name one: -o {output}.gguf")
    if adapter and is_file:
        raise ConfigError("--adapter: written as PEFT has it alone; leave .gguf out")
    if adapter:
        _export_adapter(run, output)
        return

    from mynah.interop.huggingface import family_of, to_hugging_face
    from mynah.pipeline.open_run import open_run

    opened = open_run(run, torch.device("cpu"), torch.float32)
    if is_file:
        from mynah.interop.gguf_write import to_gguf

        beside = to_gguf(opened.model, opened.tokenizer, output, quant=quant or "f16", talks=opened.talks)
        print(f"exported   {output}: GGUF, {quant or 'f16'}, {output.stat().st_size / 1e6:.1f} MB")
        print(f"ollama     ollama create {output.stem} -f {beside}")
        return
    to_hugging_face(opened.model, opened.tokenizer, output, talks=opened.talks)
    family = family_of(opened.model.config)
    print(f"exported   {output}: {family.architecture}, float32")
    if family.name != "gpt_neo":  # the one that vLLM has no code of its own for
        print(f"vllm       vllm serve {output}")


def _export_adapter(run: Path, output: Path) -> None:
    import torch

    from mynah.errors import ConfigError
    from mynah.interop.adapters import write_adapter
    from mynah.interop.held import Held
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
    model, kept = open_adapter(folder, torch.device("cpu"), Held(torch.float32))
    write_adapter(model, kept.lora, output, kept.base)
    print(f"exported   {output}: an adapter of {kept.base}, as PEFT has it")
