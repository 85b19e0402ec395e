"""The stages of a translator: which way its pairs are translated, and how well the trained model does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.records import Conversation, Pair, Record
from mynah.data.store import read_records, write_records
from mynah.errors import DataError
from mynah.evaluate.translation import comet, each_chrf, measure_translations
from mynah.generate.settings import BeamConfig
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.tune.translate.directions import Direction, as_conversations, directions_of
from mynah.tune.translate.glossary import Glossary, read_glossary
from mynah.tune.translate.lexicon import Lexicon
from mynah.tune.translate.translator import PairTranslator

#: Beside the records of the stage `pairs`, and in the folder of `translate`.
DIRECTIONS, EVALUATION = "directions.json", "evaluation.json"
PARTS = ("train", "held_out")
#: Translations that the report shows: the worst and some by chance.
SHOWN = 12
_GREEDY = BeamConfig(width=1)


def is_paired(records: Sequence[Record]) -> bool:
    """Whether records are texts and their translations: at least four of five."""
    pairs = sum(isinstance(record, Pair) for record in records)
    return pairs > 0 and 5 * pairs >= 4 * len(records)


def _read(build: Build, part: str) -> list[Pair]:
    return [pair for row in read_records(build.paths.records_of(part)) if (pair := _as_pair(row)) is not None]


def _as_pair(record: Record) -> Pair | None:
    """Return a pair; a question with its reply is one too, where somebody asked for a translator of such a file."""
    if isinstance(record, Pair):
        return record
    if isinstance(record, Conversation) and [m.role for m in record.messages] == ["user", "assistant"]:
        asked, said = record.texts
        return Pair(asked, said, record.place)
    return None


def _pairs(build: Build, out: Path) -> Counts:
    given = _read(build, "train")
    if not given:
        raise DataError(
            "no text and translation in any row: expected two columns, or two files with as many lines; which columns: "
            "--question-column SOURCE --answer-column TARGET"
        )
    settings = build.recipe.translate
    directions = directions_of(given, settings.directions, told=build.base is not None)
    artifacts.write_json(out / DIRECTIONS, [direction.to_json() for direction in directions])
    counts: Counts = {}
    for part, rows in zip(PARTS, (given, _read(build, "held_out")), strict=True):
        write_records(out / part, as_conversations(rows, directions))
        counts[part] = len(rows)
    return counts


def directions_in(folder: Path) -> tuple[Direction, ...]:
    """Return the directions that the stage `pairs` wrote."""
    return tuple(Direction(**value) for value in artifacts.read_json(folder / DIRECTIONS))


def _say_pairs(build: Build, manifest: Manifest) -> Iterator[str]:
    directions = directions_in(build.paths.pairs)
    both = "" if len(directions) > 1 else " (both ways: --set translate.directions=both)"
    yield f"{manifest.counts['train']:,} pairs: {' and '.join(d.describe() for d in directions)}{both}"


def _translate(build: Build, out: Path) -> Counts:
    from mynah.pipeline.open_run import open_run

    opened = open_run(build.paths.directory, build.device)
    directions = directions_in(build.paths.pairs)
    made = PairTranslator(opened.model, opened.tokenizer, directions)
    glossary = glossary_of(build.recipe.translate.glossary)
    held_out, given = _read(build, "held_out"), _read(build, "train")
    rng = np.random.default_rng(build.recipe.seed)
    some = [held_out[n] for n in rng.permutation(len(held_out))[: build.recipe.translate.measured]]
    results = (
        [_measured(build, made, direction, glossary, some, given) for direction in directions] if some else []
    )
    artifacts.write_json(out / EVALUATION, {"directions": results})
    return {"pairs": len(some), **({"bleu": results[0]["model"]["bleu"]} if results else {})}


def _measured(
    build: Build,
    made: PairTranslator,
    direction: Direction,
    glossary: Glossary,
    some: Sequence[Pair],
    given: Sequence[Pair],
) -> dict[str, Any]:
    sides = [direction.sides(pair) for pair in some]
    sources, references = [source for source, _ in sides], [target for _, target in sides]
    terms = glossary.flipped() if direction.backward else glossary
    translated = made.translate(
        sources,
        direction,
        build.recipe.translate.beam,
        terms,
        lambda share: build.reporter.progress(f"translating: {direction.describe()}", share),
    )
    texts = [translation.text for translation in translated]
    lexicon = Lexicon.learn(direction.sides(pair) for pair in given)
    beside = {
        "greedy": [t.text for t in made.translate(sources, direction, _GREEDY, terms)],
        "lexicon": [lexicon.translate(source) for source in sources],
        "copy": list(sources),
    }
    found: dict[str, Any] = {
        "direction": direction.to_json(),
        "model": measure_translations(texts, references, direction.target),
        "beside": {
            way: measure_translations(said, references, direction.target) for way, said in beside.items()
        },
    }
    if (score := comet(sources, texts, references)) is not None:
        found["model"]["comet"] = score
    each = each_chrf(texts, references)
    samples = [
        {
            "place": pair.place,
            "source": source,
            "translation": text,
            "reference": reference,
            "lexicon": word_by_word,
            "chrf": chrf,
        }
        for pair, source, text, reference, word_by_word, chrf in zip(
            some, sources, texts, references, beside["lexicon"], each, strict=True
        )
    ]
    found["samples"] = samples[:SHOWN]  # they were drawn by chance
    found["worst"] = sorted(samples, key=lambda sample: float(sample["chrf"]))[:SHOWN]
    learned = {direction.sides(pair)[1] for pair in given}
    found["learned_by_heart"] = sum(text in learned for text in texts) / len(texts)
    return found


def glossary_of(path: str | None) -> Glossary:
    """Return the glossary of a file, or an empty one."""
    return read_glossary(Path(path)) if path is not None else Glossary()


def _say_translated(build: Build, manifest: Manifest) -> Iterator[str]:
    for result in artifacts.read_json(build.paths.translated / EVALUATION)["directions"]:
        direction, model = Direction(**result["direction"]), result["model"]
        lexicon, copied = (result["beside"][way]["bleu"] for way in ("lexicon", "copy"))
        yield (
            f"{direction.describe()}: BLEU {model['bleu']:.1f}, chrF {model['chrf']:.1f} on {model['count']:,} "
            f"held-out pairs; word by word (IBM model 1) {lexicon:.1f}, copied {copied:.1f}"
        )


def _glossary_file(build: Build) -> dict[str, str]:
    """Return the hash of the glossary, if there is one, as the input of a stage; its terms are read to be checked."""
    path = build.recipe.translate.glossary
    if path is None:
        return {}
    read_glossary(Path(path))
    return {"glossary": artifacts.sha256_of_file(Path(path))}


PAIRS = Stage(
    "pairs",
    "finding out which way to translate",
    _pairs,
    needs=("split",),
    settings=lambda build: {
        "directions": build.recipe.translate.directions,
        "told": build.base is not None,
    },
    say=_say_pairs,
    wanted=lambda build: build.task == "translate",
)
TRANSLATE = Stage(
    "translate",
    "translating what was held out",
    _translate,
    needs=("split", "pairs", "tokens", "tune"),
    settings=lambda build: build.recipe.translate.model_dump(mode="json", exclude={"directions", "glossary"}),
    files=_glossary_file,
    say=_say_translated,
    wanted=lambda build: build.task == "translate",
    seeded=True,
)
