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
    onnx: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write a model for other programs: transformers and vLLM, llama.cpp and Ollama (GGUF), or ONNX Runtime.

    What was written is read back before it is put in place: tokens, chat template, stop tokens and logits must be
    those of the model, or nothing is written.

    Models of the families that a base can be of can be exported. Mynah's own small sizes have parts that no
    other program knows: they go out as ONNX alone, where the whole computation is written down. A model with a prior
    goes on from an n-gram model, and is refused.

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
    onnx: bool
        Write a directory for ONNX Runtime: model.onnx with the cache as inputs and outputs, tokenizer.json. Needs
        pip install 'mynah-lm[onnx]'.
    """
    import torch

    from mynah.errors import ConfigError

    is_file = output.suffix == ".gguf"
    if quant is not None and not is_file:
        raise ConfigError(f"--quant {quant}: of GGUF files alone; name one: -o {output}.gguf")
    if onnx and (is_file or adapter):
        raise ConfigError(
            f"--onnx: writes a whole model as a directory; leave out {'.gguf' if is_file else '--adapter'}"
        )
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
    if onnx:
        from rich.console import Console

        from mynah.interop.onnx_write import GRAPH, to_onnx

        with Console(stderr=True).status(
            "tracing the graph, then running it beside the model: a minute or two"
        ):
            to_onnx(opened.model, opened.tokenizer, output, talks=opened.talks)
        size = sum(path.stat().st_size for path in output.glob(f"{GRAPH}*"))
        print(f"exported   {output}: ONNX, float32, {size / 1e6:.1f} MB")
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
    folder = paths.talker if (paths.talker / ABOUT).is_file() else paths.pretrained
    if not (folder / ABOUT).is_file():
        raise ConfigError(
            f"{run}: no adapter in it; leave --adapter out, or build it with --base and without --full"
        )
    model, kept = open_adapter(folder, torch.device("cpu"), Held(torch.float32))
    write_adapter(model, kept.lora, output, kept.base)
    print(f"exported   {output}: an adapter of {kept.base}, as PEFT has it")
