"""The stage that learns to tell classes apart, and measures it on what was held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.records import Labelled, Record
from mynah.data.store import read_records
from mynah.errors import ConfigError, DataError
from mynah.evaluate.classification import measure_classes, measure_order, mistakes
from mynah.interop.bases import find_base, list_bases
from mynah.interop.huggingface import hash_of_directory
from mynah.pipeline.base_stage import covers, languages_of
from mynah.pipeline.classify_several import DOUBTS, EVALUATION, classify_several
from mynah.pipeline.recipe import AUTO, NONE
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.plan.speed import reading_speed
from mynah.tune.classify.augment import Paraphrase
from mynah.tune.classify.classifier import TextClassifier
from mynah.tune.classify.doubts import doubts
from mynah.tune.classify.fitting import TUNED, fit
from mynah.tune.classify.labels import Labels, learnable
from mynah.tune.classify.several import Several, separator_of
from mynah.tune.classify.states import SHARE, Reader
from mynah.tune.classify.tuned_head import Tuner

#: Share of the minutes that a base may read, and the fewest tokens of a text that are worth reading.
READING_SHARE, LEAST_READ = 0.3, 16
#: Share of the minutes that a head may be tuned.
TUNING_SHARE = 0.6
#: A text has a token for so many bytes, about.
BYTES_A_TOKEN = 4.0
#: Records that are looked at for the language.
LOOKED_AT = 500
#: Mistakes and doubted labels that the report shows.
SHOWN = 40


def is_classified(records: Sequence[Record]) -> bool:
    """Whether records are texts with classes: at least four of five."""
    labelled = sum(isinstance(record, Labelled) for record in records)
    return labelled > 0 and 5 * labelled >= 4 * len(records)


def _rows(build: Build, part: str) -> list[Labelled]:
    return [row for row in read_records(build.paths.records_of(part)) if isinstance(row, Labelled)]


def _classify(build: Build, out: Path) -> Counts:
    given, held_out = _rows(build, "train"), _rows(build, "held_out")
    separator = (
        separator_of([row.label for row in given]) if build.recipe.classify.several is not False else None
    )
    if separator is None and build.recipe.classify.several:
        raise DataError(
            "classify.several: no label is a list of classes that stand in others too; expected labels such as red|blue"
        )
    if separator is not None:
        build.reporter.note(
            "labels are lists of classes, several a text (--set classify.several=false takes each list for one class)"
        )
        return classify_several(build, out, separator, given, held_out, _reader(build, [*given, *held_out]))
    rows, rare = learnable(given)
    if not rows:
        raise DataError(
            f"none of the {len(given):,} labels repeats: expected classes with two rows or more each; is another "
            "column the label? (--label-column NAME)"
        )
    reader, base, longest, why = _reader(build, [*rows, *held_out])
    fitted = fit(
        rows,
        build.recipe.classify,
        build.recipe.seed,
        reader,
        longest,
        build.reporter.progress,
        _tuner(build, base),
        _paraphrases(build, base, why),
    )
    made = TextClassifier(fitted, reader, base, [(row.text, row.label) for row in rows])
    made.save(out)
    known = [row for row in held_out if row.label in set(fitted.labels.names)]
    result: dict[str, Any] = {
        "labels": {"rows": len(rows), "rare": sorted({row.label for row in rare}), "rare_rows": len(rare)},
        "base": why,
        "unknown": len(held_out) - len(known),
        "asked": len(fitted.asked),
    }
    if known:
        result |= _measured(made, known)
    doubted = doubts(rows, fitted.labels, fitted.asked, fitted.said)
    result["doubted"] = len(doubted)
    artifacts.write_json(out / EVALUATION, result)
    artifacts.write_json(out / DOUBTS, [doubt.to_json() for doubt in doubted])
    return {"classes": len(fitted.labels), "rows": len(rows), "doubted": len(doubted)}


def _tuner(build: Build, base: str | None) -> Tuner | None:
    """Return what tunes a head over the base in what the reading leaves of the minutes, if it is to be tuned."""
    if base is None or build.recipe.classify.way not in ("auto", *TUNED):
        return None
    kept = str(Path(base).resolve()) if Path(base).is_dir() else base
    return Tuner(kept, build.device, 60 * build.minutes * TUNING_SHARE, build.recipe.full)


def _paraphrases(build: Build, base: str | None, why: str) -> list[Paraphrase]:
    """Return what says texts in other words: a translator there and back if one is named, the base if it is asked.

    Raises:
        ConfigError: if the base is asked and there is none.
    """
    found: list[Paraphrase] = []
    if (run := build.recipe.classify.translator) is not None:
        from mynah.pipeline.open_translator import there_and_back

        found.append(there_and_back(run, str(build.device)))
    if build.recipe.classify.paraphrase:
        if base is None:
            raise ConfigError(f"classify.paraphrase: {why}; expected one, which says texts in other words")
        from mynah.tune.classify.otherwise import Otherwise

        tell = partial(build.reporter.progress, "saying texts in other words")
        found.append(Otherwise.open(find_base(base), build.device, build.recipe.seed, tell))
    return found


def _measured(made: TextClassifier, known: Sequence[Labelled]) -> dict[str, Any]:
    right, texts = made.fitted.labels.numbers(known), [row.text for row in known]
    probabilities = made.probabilities(texts)
    measured = measure_classes(made.labels, right, probabilities)
    if (order := measure_order(made.labels, right, probabilities)) is not None:
        measured["order"] = order
    beside = {"majority": _majority(made.fitted.labels, right)}
    for way, ask in made.fitted.beside.items():
        beside[way] = measure_classes(made.labels, right, ask(texts))
    wrong = [
        {
            "place": known[n].place,
            "text": texts[n],
            "label": known[n].label,
            "said": made.labels[int(probabilities[n].argmax())],
            "probability": float(probabilities[n].max()),
        }
        for n in mistakes(right, probabilities, SHOWN)
    ]
    return {
        "held_out": measured,
        "beside": {
            way: {name: scores[name] for name in ("accuracy", "macro_f1", "log_loss")}
            for way, scores in beside.items()
        },
        "mistakes": wrong,
        "outside_share": float((probabilities.max(axis=1) < made.fitted.threshold).mean()),
    }


def _majority(labels: Labels, right: Any) -> dict[str, Any]:
    shares = np.array(labels.counts, np.float64)
    return measure_classes(labels.names, right, np.tile(shares / shares.sum(), (len(right), 1)))


def _reader(build: Build, rows: Sequence[Labelled]) -> tuple[Reader | None, str | None, int | None, str]:
    """Return the base that reads texts, its name, how many tokens of each at most, and a sentence on it."""
    recipe = build.recipe
    unread = recipe.classify.way in ("words", "ngrams") and not recipe.classify.paraphrase
    if recipe.base == NONE or unread:
        return None, None, None, "no base reads the texts"
    name = recipe.base
    if name == AUTO:
        languages = languages_of(rows[:LOOKED_AT])
        here = [base for base in list_bases() if covers(base, languages)]
        if not here:
            spoken = ", ".join(languages) or "a language that cannot be told"
            return None, None, None, f"no base here knows the language of the texts ({spoken})"
        name = max(here, key=lambda base: base.config.n_params()).name
    reader = Reader.open(find_base(name), build.device)
    seconds = 60 * build.minutes * READING_SHARE
    speed = reading_speed(reader.parameters, build.device)
    longest = recipe.classify.longest or longest_within(
        [len(row.text.encode()) for row in rows], seconds * speed
    )
    if longest is not None and longest < LEAST_READ:
        needed = (
            sum(min(len(row.text.encode()) / BYTES_A_TOKEN, LEAST_READ) for row in rows)
            / speed
            / READING_SHARE
        )
        return (
            None,
            None,
            None,
            f"{name} is left out: reading with it needs about --minutes {needed / 60:.0f} here",
        )
    cut = "" if longest is None else f", of each text at most {longest} tokens"
    return reader, name, longest, f"{name} reads the texts with {SHARE:.0%} of its layers{cut}"


def longest_within(sizes: Sequence[int], tokens: float) -> int | None:
    """Return the most tokens of a text with which all texts together are no more than `tokens`; None: they are anyway.

    Args:
        sizes: of texts, in bytes.
        tokens: that there is time for.
    """
    lengths = np.sort(np.array(sizes, np.float64) / BYTES_A_TOKEN)
    if lengths.sum() <= tokens:
        return None
    # With a cap at the n-th length, the shorter ones are whole and all others as long as it.
    totals = np.cumsum(lengths) + lengths * np.arange(len(lengths) - 1, -1, -1)
    within = int(np.searchsorted(totals, tokens, side="right"))
    below = float(lengths[:within].sum())
    return int((tokens - below) / (len(lengths) - within))


def _say(build: Build, manifest: Manifest) -> Iterator[str]:
    folder = build.paths.classifier
    about, result = artifacts.read_json(folder / "classifier.json"), artifacts.read_json(folder / EVALUATION)
    if "several" in about:
        yield Several(tuple(about["labels"]), tuple(about["counts"]), about["several"]).describe()
    else:
        yield Labels(tuple(about["labels"]), tuple(about["counts"])).describe()
    if rare := result["labels"]["rare_rows"]:
        yield f"left out: {rare:,} rows whose class has no other row"
    yield result["base"]
    yield f"told apart by {WAYS[about['way']]}: {about['reason']}"
    if doubted := result["doubted"]:
        yield f"{doubted:,} labels look wrong, listed in the report with their lines"


#: What each way is, in words.
WAYS = {
    "words": "words (TF-IDF and logistic regression)",
    "states": "states of the base beside words (logistic regression)",
    "label_text": "a base that has learned to say the class",
    "head": "a head and the layers of the base below it, tuned on the classes",
    "ngrams": "n-gram models of the classes",
}


def _translator_file(build: Build) -> dict[str, str]:
    """Return the hash of the translator that says texts in other words, if one is named."""
    if (run := build.recipe.classify.translator) is None:
        return {}
    from mynah.pipeline.open_run import find_run, finished_part

    return {"translator": artifacts.sha256_of_file(finished_part(find_run(run)) / artifacts.MANIFEST)}


def _files(build: Build) -> dict[str, str]:
    base, found_files = build.recipe.base, _translator_file(build)
    if base == NONE:
        return found_files
    if base != AUTO:
        return {**found_files, "base": hash_of_directory(find_base(base))}
    return found_files | {
        found.name: artifacts.sha256_of_file(found.directory / artifacts.MANIFEST) for found in list_bases()
    }


CLASSIFY = Stage(
    "classify",
    "learning to tell the classes apart",
    _classify,
    needs=("split",),
    settings=lambda build: {
        "classify": build.recipe.classify.model_dump(mode="json"),
        "minutes": build.recipe.plan.minutes,
        "base": build.recipe.base,
        "full": build.recipe.full,
    },
    files=_files,
    say=_say,
    seeded=True,
)
