"""Run a stage once: skip what is done, go on with what was cut off, never leave half a directory."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from mynah import __version__, artifacts
from mynah.artifacts import CHECKPOINTS, Manifest
from mynah.device import peak_memory, reset_peak_memory
from mynah.errors import ArtifactError, ConfigError, DataError

#: The stage of `mynah train`.
TRAIN = "train"
#: In a partial directory: the key of the work that it holds.
KEY = "key.json"


class Reporter(Protocol):
    """Whoever wants to know how a build gets on: the terminal, or nobody."""

    def stage(self, name: str, state: str) -> None:
        """A stage begins ("run"), is already done ("done") or goes on where it was cut off ("resume")."""

    def note(self, text: str) -> None:
        """One line for the user."""

    def training(self, stage: str, step: Any) -> None:
        """A training step was taken; `step` is a `mynah.train.loop.Step`."""

    def progress(self, what: str, share: float) -> None:
        """So much of something that takes long is done, from 0 to 1."""


class Silent:
    """A reporter that says nothing."""

    def stage(self, name: str, state: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def training(self, stage: str, step: Any) -> None:
        """Say nothing."""

    def progress(self, what: str, share: float) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class RunPaths:
    """Where everything of a run is."""

    directory: Path

    def stage(self, name: str) -> Path:
        """The directory of a stage."""
        return self.directory / name

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.directory / "recipe.toml"

    @property
    def report(self) -> Path:
        """The page that shows everything."""
        return self.directory / "report.html"

    @property
    def base_choice(self) -> Path:
        """Which base was chosen, and why."""
        return self.stage("base") / "base.json"

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer."""
        return self.stage("tokenizer")

    def records_of(self, part: str) -> Path:
        """The folder of the records of a part, "train" or "held_out"."""
        return self.stage("split") / part

    @property
    def pairs(self) -> Path:
        """The folder of pairs as a translator is asked and answers."""
        return self.stage("pairs")

    @property
    def translated(self) -> Path:
        """The folder of how well a translator does."""
        return self.stage("translate")

    def tokens_of(self, part: str) -> Path:
        """The token shards of a part."""
        return self.stage("tokens") / f"{part}.safetensors"

    def rejected_of(self, part: str) -> Path:
        """The token shards of the worse replies of a part's preferences, if it has any."""
        return self.stage("tokens") / f"{part}-rejected.safetensors"

    @property
    def corrections(self) -> Path:
        """What the bot stated and should have said, a preference a line; `mynah build` reads it as any file."""
        return self.directory / "corrections.jsonl"

    @property
    def feedback(self) -> Path:
        """Replies that people found good or put right, a conversation a line, for `mynah teach`."""
        return self.directory / "feedback.jsonl"

    @property
    def found_bad(self) -> Path:
        """Questions whose reply people found bad, a line each, for `mynah unanswered`."""
        return self.directory / "unanswered.jsonl"

    @property
    def findings(self) -> Path:
        """What was found wrong with it."""
        return self.stage("diagnose") / "findings.json"

    @property
    def ngram_model(self) -> Path:
        """The n-gram model that every network is shown beside."""
        return self.stage("ngram") / "model.ng"

    @property
    def ngram_scores(self) -> Path:
        """How each of its orders did."""
        return self.stage("ngram") / "scores.json"

    @property
    def prior(self) -> Path:
        """The folder of what a network goes on from."""
        return self.stage("prior")

    @property
    def plan(self) -> Path:
        """What was planned, and why."""
        return self.stage("plan") / "plan.json"

    @property
    def pretrained(self) -> Path:
        """The folder of the model that has learned all text."""
        return self.stage("pretrain")

    @property
    def tuned(self) -> Path:
        """The folder of the model that has learned to reply."""
        return self.stage("tune")

    @property
    def preferred(self) -> Path:
        """The folder of the model that has learned from better and worse replies, if there are any."""
        return self.stage("prefer")

    @property
    def talker(self) -> Path:
        """The folder of the model that replies."""
        return self.preferred if (self.preferred / artifacts.MANIFEST).is_file() else self.tuned

    @property
    def answers(self) -> Path:
        """The folder of what the bot answers from."""
        return self.stage("answers")

    @property
    def taught(self) -> Path:
        """The folder of what was taught to the bot since, and taken back."""
        return self.stage("taught")

    @property
    def classifier(self) -> Path:
        """The folder of what tells the classes of texts."""
        return self.stage("classify")

    @property
    def evaluation(self) -> Path:
        """What was measured."""
        return self.stage("evaluate") / "evaluation.json"

    @property
    def beside(self) -> Path:
        """What other models reach on the same records."""
        return self.stage("beside") / "beside.json"


@dataclass
class Stages:
    """The stage directories of one run."""

    directory: Path
    seed: int
    reporter: Reporter
    #: names of the stages that did work this time, or whose earlier result this build has no more
    ran: list[str] = field(default_factory=list)

    @property
    def paths(self) -> RunPaths:
        """Where they are."""
        return RunPaths(self.directory)

    def remove(self, name: str) -> None:
        """Delete what an earlier build left of a stage that this one does not have."""
        if (self.directory / name).exists():
            shutil.rmtree(self.directory / name, ignore_errors=True)
            self.ran.append(name)

    def run(
        self,
        name: str,
        settings: dict[str, Any],
        inputs: dict[str, str],
        work: Callable[[Path], dict[str, Any]],
        folder: str | None = None,
        seeded: bool = True,
    ) -> Manifest:
        """Do a stage's work unless its directory holds the result of the very same work.

        Args:
            name: of the stage.
            settings: everything that decides the result besides inputs, seed and version.
            inputs: name -> SHA-256.
            work: fills the directory it is given and returns counts for the manifest. It may find there
                the checkpoints of an earlier, cut-off run of the same work.
            folder: name of the stage's directory, if it is not the stage's own.
            seeded: whether the seed decides anything; if not, another seed is no other work.

        Raises:
            ArtifactError: if the finished directory is damaged, or the new one cannot be written.
        """
        directory = self.directory / (folder or name)
        partial = directory.with_name(f"{directory.name}.partial")
        seed = self.seed if seeded else 0
        key = artifacts.stage_key(name, settings, inputs, seed, __version__)
        if (directory / artifacts.MANIFEST).is_file():
            manifest = artifacts.read_manifest(directory)
            if manifest.key == key:
                self.reporter.stage(name, "done")
                return manifest
        if self._is_foreign(partial):
            raise ArtifactError(f"{partial}: is in the way and was not made by mynah; move it")
        resumed = self._same_work(partial, key)
        self.reporter.stage(name, "resume" if resumed else "run")
        reset_peak_memory()
        began, before = time.monotonic(), self._seconds(partial) if resumed else 0.0
        if not resumed:
            self._discard(partial)
            artifacts.write_json(partial / KEY, {"key": key})
        try:
            counts = work(partial)
            self._note_seconds(partial, before + time.monotonic() - began)
            made = Manifest(name, key, __version__, settings, inputs, seed, counts)
            # The checkpoints stay until the result has taken its place: a full disk here costs no training.
            done = artifacts.finish(partial, directory, made, leave_out=(KEY, CHECKPOINTS))
        except BaseException as error:
            refused = isinstance(error, ConfigError | DataError) and not any(
                partial.glob(f"{CHECKPOINTS}/*/*")
            )
            if refused or not (partial / CHECKPOINTS).is_dir():  # nothing here that a later run could use
                self._discard(partial)
            else:
                self._note_seconds(partial, before + time.monotonic() - began)
            raise
        self.ran.append(name)
        return done

    def _is_foreign(self, partial: Path) -> bool:
        """Whether a folder holds what is not ours; a process killed at once leaves no more than a key half written."""
        if not partial.exists() or (partial / KEY).is_file():
            return False
        return not partial.is_dir() or any(not path.name.startswith(f".{KEY}.") for path in partial.iterdir())

    def _discard(self, partial: Path) -> None:
        """Delete a folder of ours; the key, by which it is known as ours, last: we may be killed meanwhile."""
        for path in partial.iterdir() if partial.is_dir() else ():
            if path.name != KEY:
                with suppress(OSError):
                    path.unlink() if not path.is_dir() else shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)

    def _same_work(self, partial: Path, key: str) -> bool:
        try:
            saved = artifacts.read_json(partial / KEY)
        except ArtifactError:
            return False
        checkpoints = partial / CHECKPOINTS
        return saved == {"key": key} and checkpoints.is_dir() and any(checkpoints.glob("step-*"))

    def _note_seconds(self, directory: Path, seconds: float) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        value = {"seconds": round(seconds, 3), "peak_memory_bytes": peak_memory(), "finished": now}
        artifacts.write_json(directory / artifacts.TIMING, value)

    def _seconds(self, directory: Path) -> float:
        try:
            return float(artifacts.read_json(directory / artifacts.TIMING)["seconds"])
        except (ArtifactError, KeyError, TypeError, ValueError):
            return 0.0

    def timings(self) -> dict[str, dict[str, Any]]:
        """Return what each finished stage took, in the order in which they finished."""
        found = {}
        for path in self.directory.glob(f"*/{artifacts.TIMING}"):
            if not path.parent.name.endswith(".partial"):
                found[path.parent.name] = artifacts.read_json(path)
        return dict(sorted(found.items(), key=lambda item: str(item[1].get("finished"))))
