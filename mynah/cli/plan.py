"""`mynah plan`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mynah.errors import ConfigError

if TYPE_CHECKING:
    from mynah.plan.predict import Prediction


def plan(
    run: Path | None = None,
    *,
    tokens: str | None = None,
    minutes: float | None = None,
    size: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    hardware: str = "here",
    count: int = 1,
    tensor_parallel: int = 1,
    price: float | None = None,
    utilisation: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
) -> None:
    """Predict what training takes before it is begun: time, memory, cost; and which size to take.

    Here, a probe of some 20 seconds measures products, memory and steps of the trainer at four sizes. For other
    hardware the same is worked out from data sheets.

    Parameters
    ----------
    run: Path
        A run whose text it is to be; or give --tokens.
    tokens: str
        Tokens of the text, here; elsewhere, that are read in all (default: twenty a parameter). 300M, 2.5B.
    minutes: float
        Training here may take so long; without it, as many passes over the text as help.
    size: tuple[str, ...]
        A preset; may be given several times. Default: here the small ones, elsewhere all.
    hardware: str
        here, or t4, v100, rtx3090, rtx4090, a10g, l4, l40s, a100-40gb, a100-80gb, h100, h200, b200.
    count: int
        Of them.
    tensor_parallel: int
        So many of them share each block.
    price: float
        Of an hour of one, in any currency.
    utilisation: float
        Share of a data sheet's products that is reached. Default 0.4.
    json: bool
        Print predictions as JSON.
    device: str
        Of this machine: auto, cpu, cuda or mps.
    """
    from mynah.plan.predict import read_count

    for name, value in (("--minutes", minutes), ("--count", count), ("--tensor-parallel", tensor_parallel)):
        if value is not None and value <= 0:
            raise ConfigError(f"{name} {value}: expected more than 0")
    if utilisation is not None and not 0 < utilisation <= 1:
        raise ConfigError(f"--utilisation {utilisation:g}: expected more than 0, at most 1")
    wanted = read_count(tokens, "--tokens") if tokens is not None else None
    if hardware == "here":
        if count != 1 or tensor_parallel != 1 or utilisation is not None:
            raise ConfigError("--count, --tensor-parallel and --utilisation go with --hardware, such as h100")
        found = _here(run, wanted, minutes, size, price, device, json)
    else:
        if run is not None or minutes is not None:
            raise ConfigError("RUN and --minutes are for this machine; say --tokens, or leave it out")
        found = _elsewhere(hardware, count, tensor_parallel, wanted, size, price, utilisation)
    if json:
        import json as json_

        print(json_.dumps([one.to_json() for one in found], indent=2))
        return
    _show(found)


def _here(
    run: Path | None,
    tokens: int | None,
    minutes: float | None,
    sizes: Sequence[str],
    price: float | None,
    device: str,
    quiet: bool,
) -> list[Prediction]:
    from rich.console import Console

    from mynah.device import available_memory, pick_device
    from mynah.pipeline.open_run import find_run
    from mynah.plan.budget import row_shape
    from mynah.plan.predict import SIZES, predict_here
    from mynah.plan.probe import probe
    from mynah.stages import RunPaths
    from mynah.tokenizer.dataset import TokenSet
    from mynah.tokenizer.tokenizer import Tokenizer

    vocab_size, rows = 8192, (8, 128)
    if run is not None:
        paths = RunPaths(find_run(run))
        path = paths.tokens_of("train")
        if not path.is_file():
            raise ConfigError(f"{run}: has no text that was made into tokens; say how many: --tokens 5M")
        data = TokenSet.load(path)
        tokens = tokens or len(data.tokens)
        vocab_size, rows = Tokenizer.load(paths.tokenizer).vocab_size, row_shape(data)
    if tokens is None:
        raise ConfigError("say how much text there is: a run, or --tokens 5M")
    with Console(stderr=True).status("measuring this machine") as status:
        where = pick_device(device)
        machine = probe(vocab_size, where, status.update if sys.stderr.isatty() else lambda what: None)
    if not quiet:
        print(
            f"this machine: {machine.float32 / 1e9:,.0f} GFLOP/s in float32, "
            f"{machine.bfloat16 / 1e9:,.0f} in bfloat16, "
            f"reads {machine.bandwidth / 1e9:.1f} GB/s; {tokens:,} tokens, {vocab_size:,} in the vocabulary, steps of "
            f"{rows[0]} x {rows[1]}"
        )
    return predict_here(
        machine, vocab_size, tokens, rows, minutes=minutes, available=available_memory(where), price=price,
        names=sizes or SIZES,
    )  # fmt: skip


def _elsewhere(
    hardware: str,
    count: int,
    tensor: int,
    tokens: int | None,
    sizes: Sequence[str],
    price: float | None,
    utilisation: float | None,
) -> list[Prediction]:
    from mynah.model.presets import PRESETS
    from mynah.plan.hardware import UTILISATION, accelerator
    from mynah.plan.predict import predict_elsewhere

    found = predict_elsewhere(
        accelerator(hardware), count, sizes or tuple(PRESETS), tokens=tokens, tensor=tensor, price=price,
        utilisation=utilisation or UTILISATION,
    )  # fmt: skip
    return sorted(found, key=lambda one: one.parameters)


def _show(found: Sequence[Prediction]) -> None:
    costs = any(one.cost is not None for one in found)
    last = "cost" if costs else ""
    print(
        f"{'size':<16} {'parameters':>16} {'tokens':>9} {'passes':>7} {'time':>10} {'memory':>10}{last:>12}".rstrip()
    )
    for one in found:
        passes = f"{one.passes:.1f}" if one.passes is not None else ""
        cost = f"{one.cost:>12,.2f}" if one.cost is not None else ""
        print(
            f"{one.preset:<16} {one.parameters:>16,} {_short(one.tokens):>9} {passes:>7} {_span(one.seconds):>10} "
            f"{one.memory_bytes / 1e9:>7.1f} GB{cost}  {one.why}".rstrip()
        )


def _short(count: float) -> str:
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def _span(seconds: float) -> str:
    for unit, size in (("years", 365.25 * 86400), ("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"
