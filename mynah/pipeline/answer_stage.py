"""The stage that makes the bot answer from its log: the index, the judge, and what the two reach on questions."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.answers.bot import Answerer
from mynah.answers.calibrate import calibrate
from mynah.answers.candidates import Finder
from mynah.answers.config import Mode
from mynah.answers.contradictions import contradictions_of, outdated
from mynah.answers.evidence import ALONE, JUDGED_BY, Weigher
from mynah.answers.measure import measure
from mynah.artifacts import Manifest
from mynah.data.language import language_of
from mynah.data.store import read_records
from mynah.evaluate.replies import read_questions
from mynah.generate.scoring import Scorer
from mynah.interop.trained import load_trained
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.retrieval.exchanges import exchanges_of
from mynah.retrieval.index import VERSION, ExchangeIndex

#: Held-out exchanges that the judge is fitted to, and messages of the bank: for each minute of the build over a base,
#: which reads slowly, and at least and at most.
READ_A_MINUTE, LEAST_READ, MOST_READ = 40, 100, 400
#: Replies repeat if at most this share of them is distinct; they carry facts if this share holds a digit or an address.
REPEAT, FACTS = 0.5, 0.3
#: ... and are sure of so many held-out questions at least.
ANSWERED = 0.1
#: Questions of the log that teach what its messages are like, and replies that tell whether they carry facts, at most.
QUESTIONS, LOOKED_AT = 50_000, 2_000
#: A digit or an address; not the number of an account that is spoken to.
_FACT = re.compile(r"(?<![@A-Za-z0-9_])\d|https?://|www\.")
INDEX, ABOUT = "index", "answers.json"


def read_at_most(build: Build) -> int:
    """Return how many held-out exchanges, and messages of the bank, the judge is fitted to at most."""
    if build.base is None:
        return MOST_READ
    return min(MOST_READ, max(LEAST_READ, round(READ_A_MINUTE * build.minutes)))


def _answers(build: Build, out: Path) -> Counts:
    paths, config = build.paths, build.recipe.answers
    index, contradicting = _index(paths.records_of("train"), out / INDEX)
    model = load_trained(paths.talker, paths.prior, build.tokenizer.control.bos, build.device)
    weigher = Weigher(Finder(index, config.candidates), Scorer(model, build.tokenizer))
    held_out = list(exchanges_of(read_records(paths.records_of("held_out"))))
    questions = index.questions(evenly(len(index), QUESTIONS))
    language = "zh" if language_of("\n".join(questions[:200])).code == "zh" else "en"
    most = read_at_most(build)
    told = partial(build.reporter.progress, "held-out questions")
    found = calibrate(weigher, held_out, questions, language, config, build.recipe.seed, most, told)
    found.judge.save(out)
    mode = config.mode
    if mode == "auto":  # who is hardly ever sure of the log would only ever hand over
        mode = mode_of(index) if found.answered >= ANSWERED else "free"
    about = {
        "mode": mode,
        "threshold": found.threshold,
        "language": language,
        "exchanges": len(index),
        "replies": index.n_replies,
        "contradictions": contradicting,
        **found.told,
    }
    if build.recipe.evaluate.questions is not None:
        personal = build.recipe.clean.personal
        answerer = Answerer(weigher, found.judge, found.threshold, mode, personal, config.hand_over)
        asked = read_questions(Path(build.recipe.evaluate.questions))
        about["questions"] = measure(answerer, asked, partial(build.reporter.progress, "known answers"))
    artifacts.write_json(out / ABOUT, about)
    return {
        "exchanges": len(index),
        "replies": index.n_replies,
        "mode": mode,
        "threshold": found.threshold,
        "answered": found.answered,
        "contradictions": len(contradicting),
        "outdated": sum(pair["dated"] for pair in contradicting),
    }


def _index(records: Path, out: Path) -> tuple[ExchangeIndex, list[dict[str, Any]]]:
    """Index the exchanges of a folder of records, but for what newer ones contradict; return those too."""
    index = ExchangeIndex.build(exchanges_of(read_records(records)), out)
    found = contradictions_of(index)
    told = [
        {
            name: {"place": exchange.place, "time": exchange.time, "reply": exchange.reply}
            for name, exchange in (
                ("older", index.exchange(pair.older)),
                ("newer", index.exchange(pair.newer)),
            )
        }
        | {"dated": pair.dated}
        for pair in found
    ]
    if gone := outdated(index, found):
        kept = [index.exchange(n) for n in range(len(index)) if int(index.reply_of[n]) not in gone]
        shutil.rmtree(out)
        index = ExchangeIndex.build(kept, out)
    return index, told


def mode_of(index: ExchangeIndex) -> Mode:
    """Return how a log is answered from: grounded where its replies repeat or carry facts, else free."""
    if index.n_replies <= REPEAT * len(index):
        return "grounded"
    some = [index.exchange(n).reply for n in evenly(len(index), LOOKED_AT)]
    facts = sum(_FACT.search(reply) is not None for reply in some)
    return "grounded" if facts >= FACTS * len(some) else "free"


def evenly(count: int, most: int) -> list[int]:
    """Return at most so many of the numbers below `count`, evenly spread."""
    step = max(1, math.ceil(count / most))
    return list(range(0, count, step))


def question_file(build: Build) -> dict[str, str]:
    """Return the hash of the file of questions, if there is one, as the input of a stage."""
    questions = build.recipe.evaluate.questions
    return {} if questions is None else {"questions": artifacts.sha256_of_file(Path(questions))}


def _say(build: Build, manifest: Manifest) -> Iterator[str]:
    counts = manifest.counts
    yield f"{counts['exchanges']:,} exchanges, {counts['replies']:,} distinct replies; answers are {counts['mode']}"
    if counts["contradictions"]:
        yield (
            f"{counts['contradictions']:,} pairs of replies contradict each other; of {counts['outdated']:,} the newer "
            "one holds, by their dates, and the older is given no more (report.html lists them)"
        )
    if counts["answered"] < ANSWERED:
        yield (
            f"what the log says differs too much from time to time to be sure of it: of {counts['answered']:.0%} of "
            "held-out questions"
        )


ANSWERS = Stage(
    "answers",
    "learning what it can answer",
    _answers,
    needs=("split", "tokens", "prior", "pretrain", "tune", "prefer"),
    settings=lambda build: {
        "answers": build.recipe.answers.model_dump(mode="json", exclude={"hand_over"}),
        "read": read_at_most(build),
        "evidence": [*JUDGED_BY, *ALONE],  # a judge of other evidence is fitted anew
        "index": VERSION,
    },
    files=question_file,
    say=_say,
    wanted=lambda build: build.task == "chat" and "tune" in build.made,
    seeded=True,
)
