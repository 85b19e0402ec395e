"""What a run was asked and could not answer, as the list of what to write next."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from mynah import artifacts
from mynah.answers.teach import open_known
from mynah.answers.unanswered import Group, groups_of, read_kept
from mynah.errors import ArtifactError
from mynah.pipeline.answer_stage import INDEX
from mynah.pipeline.open_answers import can_answer
from mynah.pipeline.open_run import find_run
from mynah.stages import RunPaths


def unanswered_of(run: Path | str, kept: Path) -> list[Group]:
    """Return the questions that `mynah chat --keep-unanswered` kept, in groups, those asked most first.

    Raises:
        ArtifactError: if it is no run that answers from a log.
        DataError: if the file holds no such questions.
    """
    directory = find_run(run)
    paths = RunPaths(directory)
    if not can_answer(directory):
        raise ArtifactError(f"{run}: has no log to answer from, so nothing that it could not answer")
    return groups_of(read_kept(kept), open_known(paths.answers, paths.answers / INDEX, paths.taught).index)


def write_list(groups: Sequence[Group], path: Path) -> None:
    """Write a row for each group, question and empty reply, for somebody to fill in and `mynah teach` to read.

    Raises:
        ArtifactError: if it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["question", "reply"])
    writer.writerows([group.questions[0], ""] for group in groups)
    artifacts.write_text(path, text.getvalue())
