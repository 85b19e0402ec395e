"""Models side by side on the same texts: how well each predicts them, how sure that is, and whether they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from mynah.data.records import Record
from mynah.data.store import read_records
from mynah.errors import DataError
from mynah.evaluate.chance import Difference, paired
from mynah.evaluate.documents import DocumentScores, by_document
from mynah.evaluate.language_model import drawn_numbers, score_network, score_ngram
from mynah.interop.trained import ABOUT, find_base_of, load_base, read_adapter_of
from mynah.ngram.model import NGramModel
from mynah.pipeline.open_run import Run, find_run, finished_part, open_run
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.examples import encoded_records
from mynah.tokenizer.tokenizer import Tokenizer

#: Tokens of held-out text that are read.
TOKENS = 100_000
#: Sources that are told apart.
SOURCES = 20


@dataclass(frozen=True)
class Measured:
    """What one model reached."""

    name: str
    #: of all text, and of replies alone where there are some
    parts: dict[str, DocumentScores] = field(default_factory=dict)
    #: by part, against the first model
    against: dict[str, Difference] = field(default_factory=dict)
    #: why it could not be compared
    left_out: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return its figures."""
        if self.left_out:
            return {"name": self.name, "left_out": self.left_out}
        return {
            "name": self.name,
            **{part: scores.to_json() for part, scores in self.parts.items()},
            "against_first": {
                part: {**asdict(one), "verdict": one.verdict} for part, one in self.against.items()
            },
        }


@dataclass(frozen=True)
class Comparison:
    """Models on the same texts; the first is the one that was asked about."""

    models: tuple[Measured, ...]
    records: int
    #: source -> numbers of its records
    sources: dict[str, list[int]]

    def to_json(self) -> dict[str, Any]:
        """Return all figures."""
        first = self.models[0]
        return {
            "records": self.records,
            "models": [model.to_json() for model in self.models],
            "by_source": {
                source: {
                    part: scores.of(numbers)[0]
                    for part, scores in first.parts.items()
                    if scores.of(numbers)[1]
                }
                for source, numbers in self.sources.items()
            },
        }


def held_out_of(directory: Path) -> list[Record]:
    """Return the records that a run has held out.

    Raises:
        DataError: if there are none.
    """
    folder = RunPaths(directory).records_of("held_out")
    records = list(read_records(folder)) if folder.is_dir() else []
    if not records:
        raise DataError(
            f"{directory}: has no held-out part to measure on; name a text, or a benchmark: mynah evaluate "
            f"{directory} other.txt"
        )
    return records


def compare(
    directory: Path,
    opened: Run,
    records: Sequence[Record],
    beside: Sequence[str],
    device: torch.device,
    *,
    own_log: bool,
    most_tokens: int = TOKENS,
    told: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """Measure a model, what it began from and others on the same records.

    Args:
        directory: the model's.
        opened: the same.
        records: any number; of many, some are drawn by what they hold, so that each source has its share.
        beside: names of other models.
        device: where models are computed.
        own_log: whether the records are held out from the model's own log: then others that have learned them are
            left out.
        most_tokens: of the drawn records, at most, or one record.
        told: is told which model is measured.

    Raises:
        DataError: if nothing of the records can be said by the model's chat template.
        ArtifactError: if a model cannot be opened.
    """
    said = list(encoded_records(records, opened.tokenizer))
    data = encode_records(said, opened.tokenizer)
    if not len(data):
        raise DataError(f"{directory}: its chat template can say none of {len(records)} records")
    numbers = drawn_numbers(data, most_tokens) if len(data.tokens) > most_tokens else range(len(data))
    drawn = [said[number] for number in numbers]
    data = encode_records(drawn, opened.tokenizer)
    told(directory.name)
    first = Measured(directory.name, _parts_of_network(opened, data))
    models = [first]
    models += _beneath(directory, opened, data, device, told)
    for name in beside:
        told(name)
        models.append(_other(name, drawn, data, device, directory if own_log else None))
    models = [_against(first, model) for model in models]
    return Comparison(tuple(models), len(drawn), _by_source(drawn))


def _parts_of_network(opened: Run, data: TokenSet) -> dict[str, DocumentScores]:
    scores = score_network(opened.model, data, opened.model.config.context_length)
    return _parts(lambda only: by_document(scores, data, replies_only=only), data)


def _parts(made: Callable[[bool], DocumentScores], data: TokenSet) -> dict[str, DocumentScores]:
    parts = {"all": made(False)}
    if data.reply.any():
        parts["replies"] = made(True)
    return parts


def _beneath(
    directory: Path, opened: Run, data: TokenSet, device: torch.device, told: Callable[[str], None]
) -> list[Measured]:
    """Measure the n-gram model of a run, and the base under its adapter as it came, if there are any."""
    found = []
    ngram = RunPaths(directory).ngram_model
    if ngram.is_file() and (model := NGramModel.load(ngram)).vocab_size == opened.tokenizer.vocab_size:
        told("n-gram model")
        scores = score_ngram(model, data)
        name = f"n-gram model of order {model.order}"
        found.append(Measured(name, _parts(lambda only: by_document(scores, data, replies_only=only), data)))
    if (directory / "recipe.toml").is_file():
        part = finished_part(directory)
        if (part / ABOUT).is_file():
            adapter = read_adapter_of(part)
            told(adapter.base)
            base = load_base(find_base_of(part, adapter), device)
            untouched = score_network(base, data, base.config.context_length)
            made = _parts(lambda only: by_document(untouched, data, replies_only=only), data)
            found.append(Measured(f"{Path(adapter.base).name}, as it came", made))
    return found


def _other(
    name: str, drawn: Sequence[Record], data: TokenSet, device: torch.device, log_of: Path | None
) -> Measured:
    directory = find_run(name)
    if log_of is not None and (learned := _learned(directory, log_of, drawn)):
        return Measured(name, left_out=f"it has learned {learned:,} of the records that are held out here")
    other = open_run(directory, device)
    told_alike = _same_text(drawn, data, other.tokenizer)
    if told_alike is None:
        return Measured(name, left_out="its chat template cannot say all of the records as they are")
    return Measured(name, _parts_of_network(other, told_alike))


def _same_text(drawn: Sequence[Record], data: TokenSet, tokenizer: Tokenizer) -> TokenSet | None:
    """Return records as another tokenizer has them, if it says the same bytes of each; None: it does not."""
    if sum(1 for _ in encoded_records(drawn, tokenizer)) != len(drawn):
        return None
    other = encode_records(drawn, tokenizer)
    return other if (other.n_bytes == data.n_bytes).all() else None


def _learned(other: Path, log_of: Path, drawn: Sequence[Record]) -> int:
    """Return how many records another model has learned from that are new to this one."""
    folder, own = (RunPaths(place).records_of("train") for place in (other, log_of))
    if not folder.is_dir() or other.resolve() == log_of.resolve():
        return 0
    known = {record.texts for record in read_records(folder)} & {record.texts for record in drawn}
    known -= {record.texts for record in read_records(own)} if own.is_dir() else set()
    return sum(record.texts in known for record in drawn)


def _against(first: Measured, model: Measured) -> Measured:
    if model is first or model.left_out:
        return model
    found = {}
    for part, scores in model.parts.items():
        if part in first.parts:
            own = first.parts[part]
            found[part] = paired(own.bits.tolist(), scores.bits.tolist(), own.bytes.tolist())
    return Measured(model.name, model.parts, found)


def _by_source(records: Sequence[Record]) -> dict[str, list[int]]:
    """Return which records are of which file, the largest first."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        source, _, line = record.place.rpartition(":")
        found[source if line.isdigit() else record.place].append(number)
    largest = sorted(found.items(), key=lambda item: -len(item[1]))[:SOURCES]
    return dict(largest)
