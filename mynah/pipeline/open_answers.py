"""Open what a run answers from: its index, its judge, what was taught to it since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mynah import artifacts
from mynah.answers.bot import Answerer, AnswerSession
from mynah.answers.calibrate import LEAST_SURE
from mynah.answers.candidates import Finder
from mynah.answers.config import Mode
from mynah.answers.evidence import Weigher
from mynah.answers.judge import Judge
from mynah.answers.teach import open_known
from mynah.data.records import Message
from mynah.errors import ArtifactError, ConfigError
from mynah.generate.chat import chat_request, until
from mynah.generate.engine import generate
from mynah.generate.scoring import Scorer
from mynah.pipeline.answer_stage import ABOUT, INDEX
from mynah.pipeline.open_run import Run, recipe_of
from mynah.stages import RunPaths


def can_answer(directory: Path) -> bool:
    """Whether a folder is a run that answers from its log."""
    return (RunPaths(directory).answers / artifacts.MANIFEST).is_file()


def open_answers(
    directory: Path,
    run: Run,
    mode: Mode | None = None,
    wrong_at_most: float | None = None,
    note: Callable[[str], None] | None = None,
) -> AnswerSession:
    """Return a conversation with what a run has learned, checked against its hashes.

    Args:
        directory: the run.
        run: the same, opened.
        mode: how it answers; None: as the build chose.
        wrong_at_most: share of what it states that may be wrong; None: as the recipe has it.
        note: is told if what was taught had to be taken over into an index that was built since.

    Raises:
        ArtifactError: if it answers from no log, or a file is missing or damaged.
        ConfigError: if no reply is sure enough for `wrong_at_most`.
    """
    paths, recipe = RunPaths(directory), recipe_of(directory)
    if not can_answer(directory):
        raise ArtifactError(
            f"{directory}: has no log to answer from (no {paths.answers.name} in it); run the same mynah build again"
        )
    artifacts.read_manifest(paths.answers)
    about = artifacts.read_json(paths.answers / ABOUT)
    known = open_known(paths.answers, paths.answers / INDEX, paths.taught)
    if known.renewed and note is not None:
        note("the run was built again: its index is made anew with what was taught since")
    judge = Judge.load(paths.answers, known.index.sparse.statistics.idf)
    threshold = float(about["threshold"])
    if wrong_at_most is not None:
        curve = [
            point for point in about.get("curve", ()) if point["answered"] and point["from"] >= LEAST_SURE
        ]
        sure = [point["from"] for point in curve if point["wrong"] <= wrong_at_most]
        if not sure:
            raise ConfigError(
                f"--wrong-at-most {wrong_at_most:g}: on what was held out no reply of this log was so sure; the "
                "report shows what can be had"
            )
        threshold = min(sure)

    def network(history: Sequence[Message]) -> Iterator[str]:
        request, _ = chat_request(run.model, run.tokenizer, history, run.sampling, cut=True)
        ids = (drawn.token for drawn in generate(run.model, request))
        yield from until(run.tokenizer.stream(ids), run.sampling.stop)

    answerer = Answerer(
        Weigher(
            Finder(known.index, recipe.answers.candidates, known.taught_from),
            Scorer(run.model, run.tokenizer),
        ),
        judge,
        threshold,
        mode or about["mode"],
        recipe.clean.personal,
        recipe.answers.hand_over,
        network,
    )
    return AnswerSession(answerer, run.clean)
