"""The stage that measures a translator on what was held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.records import Pair
from mynah.evaluate.translation import comet, each_chrf, measure_translations
from mynah.generate.settings import BeamConfig
from mynah.pipeline.pairs_stage import GLOSSARY, directions_in, read_pairs
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.tune.translate.directions import Direction
from mynah.tune.translate.glossary import Glossary, read_glossary
from mynah.tune.translate.lexicon import Lexicon
from mynah.tune.translate.translator import PairTranslator

EVALUATION = "evaluation.json"
#: Translations that the report shows: the worst and some by chance.
SHOWN = 12
_GREEDY = BeamConfig(width=1)


def _translate(build: Build, out: Path) -> Counts:
    from mynah.pipeline.open_run import open_run

    opened = open_run(build.paths.directory, build.device)
    directions = directions_in(build.paths.pairs)
    made = PairTranslator(opened.model, opened.tokenizer, directions)
    path = build.recipe.translate.glossary
    glossary = read_glossary(Path(path)) if path is not None else Glossary()
    artifacts.write_json(out / GLOSSARY, [list(term) for term in glossary.terms])
    held_out, given = read_pairs(build, "held_out"), read_pairs(build, "train")
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


def _say_translated(build: Build, manifest: Manifest) -> Iterator[str]:
    for result in artifacts.read_json(build.paths.translated / EVALUATION)["directions"]:
        direction, model = Direction(**result["direction"]), result["model"]
        lexicon, copied = (result["beside"][way]["bleu"] for way in ("lexicon", "copy"))
        yield (
            f"{direction.describe()}: BLEU {model['bleu']:.1f}, chrF {model['chrf']:.1f} on {model['count']:,} "
            f"held-out pairs; word by word (IBM model 1) {lexicon:.1f}, copied {copied:.1f}"
        )


def _glossary_file(build: Build) -> dict[str, str]:
    """Return the hash of the glossary, if there is one, as the input of the stage."""
    path = build.recipe.translate.glossary
    return {"glossary": artifacts.sha256_of_file(Path(path))} if path is not None else {}


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
