"""`mynah base`: open models to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from mynah.interop.bases import Base

#: Bytes a parameter: to talk in float32; to fine-tune an adapter, or all of it, with gradients, two means and a copy of
#: the best.
_TO_TALK, _TO_ADAPT, _TO_TUNE = 4, 6, 20


def add(
    base: str,
    *,
    name: str | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
    accept_terms: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Fetch a base once, check it, and keep it; only a base that is no file or folder of yours opens a connection.

    Parameters
    ----------
    base: str
        A name of mynah base list, a run of your own, a Hugging Face directory, a GGUF file, or OWNER/NAME[@revision] of
        the hub.
    name: str
        What to call it. Default: as it is called where it came from.
    offline: bool
        Open no connection: take files that are at hand only.
    accept_terms: bool
        Accept the terms of a base that is under its own; without this they are named, and nothing is fetched.
    """
    from mynah.interop.bases import add_base
    from mynah.pipeline.run_as_base import as_directory, is_run

    if is_run(Path(base)):
        with as_directory(Path(base)) as folder:
            added = add_base(str(folder), name=name, source=str(Path(base).resolve()))
    else:
        added = add_base(base, name=name, offline=offline, accept_terms=accept_terms)
    _print(added)
    print(
        f"talk       mynah chat {added.name}"
        if added.talks
        else f"try        mynah generate {added.name} --prompt Dear"
    )
    print(f"start      mynah build FILE --base {added.name}")


def list_() -> None:
    """Show the bases that are here, and those that Mynah knows by name: size, languages, licence, memory, speed."""
    from mynah.device import free_memory, pick_device
    from mynah.interop.bases import KNOWN, bases_folder, list_bases
    from mynah.plan.speed import adapter_speed

    device = pick_device()

    here = {base.name: base for base in list_bases()}
    free = free_memory()

    def told(name: str, parameters: int, languages: tuple[str, ...], licence: str) -> tuple[str, ...]:
        memory = (_needed(each * parameters, free) for each in (_TO_TALK, _TO_ADAPT, _TO_TUNE))
        speed = f"{adapter_speed(parameters, device):,.0f} tokens/s"
        return name, f"{parameters / 1e6:,.0f}M", _languages(languages), licence, *memory, speed

    rows: list[tuple[str, ...]] = [
        ("", "parameters", "languages", "licence", "to talk", "an adapter", "all of it", "an adapter reads")
    ]
    for name, base in here.items():
        rows.append(told(f"* {name}", base.config.n_params(), base.languages, base.licence))
    for name, known in KNOWN.items():
        if name not in here:
            rows.append(told(f"  {name}", known.parameters * 10**6, known.languages, known.licence))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"\n* is here, in {bases_folder()}; the others: mynah base add NAME")
    for known in KNOWN.values():
        if known.terms is not None:
            print(
                f"{known.licence}: {known.terms}; to accept them: mynah base add {known.name} --accept-terms"
            )
    print(
        "memory is worked out, and the speed from a product timed now; mynah build measures the base itself"
    )
    if free is not None:
        print(f"memory free: {_gigabytes(free)}")


def show(name: str) -> None:
    """Show where a base came from, its licence and its shape, and compare every file with its hash.

    Parameters
    ----------
    name: str
        A base that is here.
    """
    from mynah.interop.bases import show_base

    _print(show_base(name, verify=True))


def remove(name: str) -> None:
    """Remove a base from this machine; runs with an adapter over it cannot be opened until it is back.

    Parameters
    ----------
    name: str
        A base that is here.
    """
    from mynah.interop.bases import remove_base

    print(f"removed    {name}: {_gigabytes(remove_base(name))} free again")


def _print(base: Base) -> None:
    config = base.config
    print(f"base       {base.name} in {base.directory}, {_gigabytes(base.size)}")
    print(f"source     {base.source}")
    print(f"licence    {base.licence}{f', in {base.licence_file}' if base.licence_file else ''}")
    print(f"languages  {_languages(base.languages)}")
    print(
        f"model      {config.n_params():,} parameters, {config.n_layer} layers, {config.n_embd} wide, vocabulary "
        f"{config.vocab_size:,}, context {config.context_length:,}"
    )
    print(f"talks      {'yes, by its own chat template' if base.talks else 'no, it continues text'}")


def _needed(size: int, free: int | None) -> str:
    return _gigabytes(size) + ("" if free is None or size < free else " (too much here)")


def _languages(codes: tuple[str, ...]) -> str:
    return ", ".join("many more" if code == "*" else code for code in codes) or "not said"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
