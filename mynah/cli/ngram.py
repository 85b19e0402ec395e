"""`mynah ngram ...`: train, score, generate, query, prune, convert, info."""

from __future__ import annotations

import itertools
import json
import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from mynah.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mynah.ngram import NGramModel
    from mynah.ngram.workspace import Watch

_OUT = Parameter(name=("--out", "-o"))
#: - alone is standard input
_SOURCE = Parameter(allow_leading_hyphen=True)
_COUNT = Parameter(name=("--count", "-n"))


def train(
    *sources: Annotated[str, _SOURCE],
    out: Annotated[Path, _OUT],
    order: int = 3,
    unit: Literal["words", "chars", "tokens"] | None = None,
    tokenizer: Path | None = None,
    smoothing: Literal[
        "kneser-ney", "witten-bell", "add-k", "maximum-likelihood", "stupid-backoff"
    ] = "kneser-ney",
    k: float = 1.0,
    alpha: float = 0.4,
    prune: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (),
    memory: str = "50%",
    compact: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Count n-grams and estimate a model; a line is a sentence.

    Parameters
    ----------
    sources: str
        Text files (also .gz, .xz, .bz2, .zst), folders of them, folders of records, or - for standard input.
    out: Path
        Model to make: ARPA if it ends in .arpa or .arpa.gz, else Mynah's own form.
    order: int
        Longest n-gram, 1 to 8.
    unit: str
        What a text is cut into: words (at white space), chars (for Chinese, or spelling), tokens (of --tokenizer).
    tokenizer: Path
        A run of mynah build, or a Hugging Face directory: count its tokens.
    smoothing: str
        How what was never seen gets its probability.
    k: float
        For add-k: what is added to each count.
    alpha: float
        For stupid-backoff: the factor of a shorter context.
    prune: tuple[int, ...]
        Leave out n-grams that stand in the text so often or less, a number for each order: --prune 0 0 1.
    memory: str
        How much memory may be taken: 2G, 500M, 25%. What does not fit is sorted on disk, beside --out.
    compact: bool
        Round logarithms to 16 bits: a third smaller, each off by less than a thousandth.
    """
    from mynah.config import build_config
    from mynah.ngram import NGramConfig, NGramModel
    from mynah.tokenizer.tokenizer import Tokenizer

    values: dict[str, Any] = {
        "order": order,
        "unit": unit or ("tokens" if tokenizer is not None else "words"),
        "smoothing": smoothing,
        "k": k,
        "alpha": alpha,
        "prune": prune,
        "memory": memory,
        "compact": compact,
    }
    config = build_config(NGramConfig, values, "mynah ngram train")
    if tokenizer is not None and config.unit != "tokens":
        raise ConfigError(
            f"--tokenizer cuts text into tokens, --unit says {config.unit}; leave one of them out"
        )
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder; -o names the file to make, for example {out / 'model.ng'}")
    if not sources:
        raise ConfigError("no text given; for example: mynah ngram train book.txt -o book.ng")
    begun = time.monotonic()
    with _bar(sources) as watch, _notes():
        model = NGramModel.train(
            _texts(sources),
            config,
            tokenizer=Tokenizer.open(tokenizer) if tokenizer is not None else None,
            watch=watch,
            beside=next(folder for folder in out.absolute().parents if folder.is_dir()),
        )
        watch("writing", 0, 0)
        model.save(out)
    counts = ", ".join(f"{count:,} {n}-grams" for n, count in enumerate(model.tables.counts, start=1))
    about = model.about
    print(
        f"{out}: {about['tokens']:,} tokens in {about['sentences']:,} sentences; {time.monotonic() - begun:.1f} s"
    )
    print(f"           {counts}")
    more = f" --tokenizer {tokenizer}" if tokenizer is not None else ""
    print(f"next       mynah ngram score {out} TEXT{more}; mynah ngram generate {out}{more}")


def score(
    model: Path,
    *sources: Annotated[str, _SOURCE],
    tokens: Annotated[bool, Parameter(negative="")] = False,
    sentences: Annotated[bool, Parameter(negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    tokenizer: Path | None = None,
) -> None:
    """Say how well a model predicts a text: perplexity, with and without unknown words, and bits per byte.

    Parameters
    ----------
    model: Path
        A model, an ARPA file, or a run of mynah build.
    sources: str
        Text files, folders, or - for standard input.
    tokens: bool
        A line a token: the token, log10 of its probability, the order that matched, OOV if it is unknown.
    sentences: bool
        A line a sentence: log10 of its probability, tokens, unknown ones.
    json_: bool
        Print JSON.
    tokenizer: Path
        The run whose tokens the model was made of.
    """
    opened = _open(model, tokenizer)
    if not sources:
        raise ConfigError(f"no text given; for example: mynah ngram score {model} book.txt")
    if not (tokens or sentences):
        summary = opened.perplexity(_texts(sources))
        if not summary.tokens:
            raise DataError("no token to score: the text is empty")
        if json_:
            print(json.dumps(_finite(summary.to_json())))
            return
        print(f"sentences            {summary.sentences:,}")
        print(f"tokens               {summary.tokens:,} (sentence ends included)")
        print(f"unknown              {summary.oov:,}")
        print(f"perplexity           {summary.perplexity:.4f}")
        print(f"perplexity, known    {summary.perplexity_known:.4f}")
        print(f"bits per byte        {summary.bits_per_byte:.4f}")
        return
    for line in _lines(sources):
        scored = opened.score(line)
        total = sum(token.log10_prob for token in scored)
        unknown = sum(token.oov for token in scored)
        if json_:
            shown = _finite({"log10_prob": total, "tokens": len(scored), "oov": unknown})
            print(
                json.dumps(
                    {**shown, "by_token": [_finite(vars(t)) for t in scored]} if tokens else shown,
                    ensure_ascii=False,
                )
            )
        elif tokens:
            for token in scored:
                print(f"{token.token}\t{token.log10_prob:.6f}\t{token.order}{'	OOV' if token.oov else ''}")
            print()
        else:
            print(f"{total:.6f}\t{len(scored)}\t{unknown}")


def generate(
    model: Path,
    *,
    prompt: str = "",
    count: Annotated[int, _COUNT] = 1,
    max_tokens: int = 50,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int | None = None,
    tokenizer: Path | None = None,
) -> None:
    """Draw sentences from a model, or continue one.

    Parameters
    ----------
    model: Path
        A model, an ARPA file, or a run of mynah build.
    prompt: str
        How each text begins.
    count: int
        How many texts.
    max_tokens: int
        Longest text that is drawn, in tokens.
    temperature: float
        1 draws as the model says, 0 takes the most likely token each time.
    top_k: int
        Draw among the k most likely tokens; 0: all.
    top_p: float
        Draw among the likeliest tokens that hold this share.
    seed: int
        The same seed gives the same texts.
    tokenizer: Path
        The run whose tokens the model was made of.
    """
    opened = _open(model, tokenizer)
    assert opened.reader is not None
    gap = " " if opened.reader.unit == "words" and prompt and not prompt.endswith(" ") else ""
    for number in range(count):
        made = opened.generate(
            prompt,
            max_tokens=max_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=None if seed is None else seed + number,
        )
        print(f"{prompt}{gap}{made}")


def query(
    model: Path, text: str = "", *, count: Annotated[int, _COUNT] = 10, tokenizer: Path | None = None
) -> None:
    """Show the most likely tokens after a text, with their probabilities.

    Parameters
    ----------
    model: Path
        A model, an ARPA file, or a run of mynah build.
    text: str
        What stands before; nothing is the beginning of a sentence.
    count: int
        How many.
    tokenizer: Path
        The run whose tokens the model was made of.
    """
    for token, share in _open(model, tokenizer).next_tokens(text, count):
        print(f"{share:.6f}\t{token}")


def prune(
    model: Path, *, out: Annotated[Path, _OUT], threshold: float, tokenizer: Path | None = None
) -> None:
    """Leave out the n-grams without which the model says almost the same (Stolcke 1998).

    To leave out rare n-grams by their counts, train with --prune.

    Parameters
    ----------
    model: Path
        A model, an ARPA file, or a run of mynah build.
    out: Path
        Model to make.
    threshold: float
        By how much the perplexity may rise, relatively, for each n-gram that goes: 1e-9 is little, 1e-6 is much.
    tokenizer: Path
        The run whose tokens the model was made of.
    """
    opened = _open(model, tokenizer, verify=True)
    pruned = opened.prune(threshold)
    pruned.save(out)
    before, after = sum(opened.tables.counts), sum(pruned.tables.counts)
    print(f"{out}: {after:,} of {before:,} n-grams stay")


def convert(
    model: Path,
    *,
    out: Annotated[Path, _OUT],
    compact: Annotated[bool, Parameter(negative="")] = False,
    tokenizer: Path | None = None,
) -> None:
    """Write a model in another form: ARPA, or Mynah's own, exact or compact.

    Parameters
    ----------
    model: Path
        A model, an ARPA file (.gz too), or a run of mynah build.
    out: Path
        ARPA if it ends in .arpa or .arpa.gz, else Mynah's own form.
    compact: bool
        Round logarithms to 16 bits: a third smaller, each off by less than a thousandth.
    tokenizer: Path
        The run whose tokens the model was made of.
    """
    opened = _open(model, tokenizer, verify=True)
    (opened.compact() if compact else opened).save(out)
    print(f"{out}: {sum(opened.tables.counts):,} n-grams, {out.stat().st_size / 2**20:,.1f} MiB")


def info(model: Path, *, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """Show what a model is: orders, counts, discounts, size; all of the file is checked against its hash.

    Parameters
    ----------
    model: Path
        A model, an ARPA file, or a run of mynah build.
    json_: bool
        Print JSON.
    """
    opened = _open(model, None, verify=True, needs_reader=False)
    path = _file_of(model)
    size = path.stat().st_size
    total = sum(opened.tables.counts)
    shown = {
        "order": opened.order,
        "unit": opened.reader.unit if opened.reader else "ids",
        "vocabulary": opened.vocab_size,
        "counts": opened.tables.counts,
        "bytes": size,
        "bytes_per_ngram": size / total,
        **opened.about,
    }
    if json_:
        print(json.dumps(shown))
        return
    print(f"order       {opened.order}, {opened.about['smoothing']}, over {shown['unit']}")
    if "tokens" in opened.about:
        print(f"trained on  {opened.about['tokens']:,} tokens in {opened.about['sentences']:,} sentences")
    discounts = opened.about.get("discounts", [])
    for n, count in enumerate(opened.tables.counts, start=1):
        told = ""
        if n <= len(discounts):
            fell = ", the text is too small to find them" if n in opened.about["fell_back"] else ""
            told = "   discounts " + " ".join(f"{d:.6g}" for d in discounts[n - 1]) + fell
        print(f"{n}-grams     {count:,}{told}")
    print(f"size        {size / 2**20:,.1f} MiB, {size / total:.1f} bytes an n-gram")


def _file_of(model: Path) -> Path:
    return model / "ngram" / "model.ng" if model.is_dir() else model


def _open(model: Path, tokenizer: Path | None, verify: bool = False, needs_reader: bool = True) -> NGramModel:
    """Open a model; one over a tokenizer's ids with its tokenizer."""
    from mynah.ngram import NGramModel
    from mynah.tokenizer.tokenizer import Tokenizer

    owner = tokenizer or (model if model.is_dir() else None)
    opened = NGramModel.load(
        _file_of(model), tokenizer=Tokenizer.open(owner) if owner is not None else None, verify=verify
    )
    if opened.reader is None and needs_reader:
        raise ConfigError(f"{model}: made of a tokenizer's tokens; give the run: --tokenizer runs/NAME")
    return opened


def _texts(sources: tuple[str, ...]) -> Iterator[str | Path]:
    """Return what was named; of standard input its lines."""
    for source in sources:
        if source.startswith("-") and source != "-":
            raise ConfigError(f"{source}: no such option; see mynah ngram --help (a file: ./{source})")
    named = ([Path(s)] if s != "-" else _standard_input() for s in sources)
    return itertools.chain.from_iterable(named)


def _standard_input() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode().rstrip("\n")
        except UnicodeDecodeError:
            raise DataError(f"standard input:{number}: is not UTF-8; expected UTF-8 text") from None


def _lines(sources: tuple[str, ...]) -> Iterator[str]:
    from mynah.ngram.text import pieces_of, refuse_marks

    for piece in pieces_of(_texts(sources)):
        refuse_marks(piece)
        yield from (line for line in piece.text.split("\n") if line.strip())


@contextmanager
def _notes() -> Iterator[None]:
    """Say what the library warns of as notes, after the work."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in caught:
        print(f"note       {each.message}", file=sys.stderr)


#: Where a phase of training begins and ends, as shares of all the work.
_PHASES = {"reading": (0.0, 0.3), "counting": (0.3, 0.7), "estimating": (0.7, 0.85), "writing": (0.85, 1.0)}


@contextmanager
def _bar(sources: tuple[str, ...]) -> Iterator[Watch]:
    """Yield a function that moves a bar with the time left."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    size = sum(path.stat().st_size for path in map(Path, sources) if path.is_file())
    columns = TextColumn("{task.description:<20}"), BarColumn(), TimeRemainingColumn(compact=True)
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("reading", total=1.0 if size else None)

        def watch(what: str, done: int, total: int) -> None:
            begin, end = _PHASES[what.split()[0]]
            share = min(1.0, done / (total or size or done or 1))
            progress.update(task, description=what, completed=begin + (end - begin) * share)

        yield watch


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return figures as JSON can say them: what is not finite as null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
