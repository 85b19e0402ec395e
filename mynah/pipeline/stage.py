"""What a stage is, and what the stages of one build share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.sources import Ask
from mynah.device import pick_device
from mynah.pipeline.recipe import AUTO, NONE, Recipe, Task
from mynah.plan.settings import DEFAULT_MINUTES
from mynah.stages import Reporter, RunPaths, Stages
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from mynah.interop.held import Held
    from mynah.model.transformer import Transformer

#: Held-out tokens that are scored, and over a base: for each minute, and at least (docs/log.md).
SCORED, SCORED_A_MINUTE, LEAST_SCORED = 50_000, 1_500, 5_000
#: What a manifest says of a stage's result.
Counts = dict[str, Any]


@dataclass
class Build:
    """One build: what it was asked for, where it lies, and what its stages have made so far."""

    sources: Sequence[Path | str]
    recipe: Recipe
    stages: Stages
    ask: Ask | None = None
    #: what is learned, once the records have been seen
    task: Task = "chat"
    #: of the stages done so far, by name
    made: dict[str, Manifest] = field(default_factory=dict)

    @property
    def paths(self) -> RunPaths:
        """Where everything is."""
        return self.stages.paths

    @property
    def reporter(self) -> Reporter:
        """Who is told how it goes."""
        return self.stages.reporter

    def records_of(self, part: str) -> Path:
        """The folder of the records that a network learns from or is measured on, by the task."""
        return self.paths.pairs / part if self.task == "translate" else self.paths.records_of(part)

    @cached_property
    def device(self) -> Any:
        """Where the network is computed, a `torch.device`."""
        return pick_device(self.recipe.device)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What the stage `tokenizer` made."""
        return Tokenizer.load(self.paths.tokenizer)

    @cached_property
    def texts(self) -> tuple[TokenSet, TokenSet]:
        """What the network learns from, and what is held out: with the prior that it goes on from, if it does."""
        data, held_out = (TokenSet.load(self.paths.tokens_of(part)) for part in ("train", "held_out"))
        if self.recipe.prior.kind == "none":
            return data, held_out
        from mynah.pipeline.prior_stage import with_prior

        return with_prior(data, held_out, self.paths, self.recipe.ngram)

    @property
    def base_name(self) -> str | None:
        """The model to start from by its name or path, if there is one: as asked for, or as the stage `base` chose."""
        if self.recipe.base != AUTO:
            return self.recipe.base if self.recipe.base != NONE else None
        if "base" not in self.made:
            return None
        name: str | None = artifacts.read_json(self.paths.base_choice)["base"]
        return name

    @cached_property
    def base(self) -> Path | None:
        """The directory of the model to start from, if there is one."""
        if self.base_name is None:
            return None
        from mynah.interop.bases import find_base

        return find_base(self.base_name)

    @cached_property
    def base_hash(self) -> dict[str, str]:
        """The hash of the model to start from, if there is one, as the input of a stage."""
        if self.base is None:
            return {}
        from mynah.interop.huggingface import hash_of_directory

        return {"base": hash_of_directory(self.base)}

    @property
    def adapts(self) -> bool:
        """Whether an adapter is trained, and the base left as it is."""
        return self.base is not None and not self.recipe.full

    @property
    def scored_tokens(self) -> int:
        """Held-out tokens that the evaluation scores at most: a base reads slowly, and twice."""
        if (asked := self.recipe.evaluate.max_tokens) is not None:
            return asked
        if self.base is None:
            return SCORED
        return min(SCORED, max(LEAST_SCORED, round(SCORED_A_MINUTE * self.minutes)))

    @property
    def replies(self) -> bool:
        """Whether replies are to be learned where there are some, translations too; if not, all text is."""
        return self.recipe.plan.replies and self.task != "generate"

    @property
    def minutes(self) -> float:
        """The minutes that the build is given."""
        return self.recipe.plan.minutes or DEFAULT_MINUTES

    def base_model(self, held: Held | None = None) -> Transformer | None:
        """Return the model to start from, read anew, with a new adapter if one is to be trained; None without one.

        Args:
            held: how the weights beside an adapter are held.
        """
        if self.base is None:
            return None
        from mynah.interop.huggingface import from_hugging_face
        from mynah.interop.trained import adapted_base

        if self.adapts:
            return adapted_base(self.base, self.recipe.adapter, self.recipe.seed, self.device, held)[0]
        return from_hugging_face(self.base)[0]


def _nothing(build: Build) -> dict[str, Any]:
    return {}


def _say_nothing(build: Build, manifest: Manifest) -> Iterable[str]:
    return ()


def _always(build: Build) -> bool:
    return True


@dataclass(frozen=True)
class Stage:
    """A stage of a build: a directory made of other stages' directories, the same for the same inputs and settings.

    From the list of them (`mynah.pipeline.build.STAGES`) come their order, what the progress tells, and how much of
    a build's minutes is left when the plan is made.
    """

    name: str
    #: what is being done, for the progress
    does: str
    #: fills the directory; returns counts for the manifest
    work: Callable[[Build, Path], Counts]
    #: names of earlier stages whose results it reads
    needs: tuple[str, ...] = ()
    #: everything else that decides the result, besides the seed
    settings: Callable[[Build], dict[str, Any]] = _nothing
    #: hashes of files that it reads and no stage has made
    files: Callable[[Build], dict[str, str]] = _nothing
    #: sentences for the user, when it is done or was done before
    say: Callable[[Build, Manifest], Iterable[str]] = _say_nothing
    #: whether this build has it; if not, what an earlier build left of it goes
    wanted: Callable[[Build], bool] = _always
    #: sentences for the user if it has not
    say_absent: Callable[[Build], Iterable[str]] = _nothing
    #: whether the seed decides anything in it
    seeded: bool = False
    #: whether it trains: its time is what the plan is made for
    trains: bool = False

    def run(self, build: Build) -> None:
        """Do the stage's work unless it is done."""
        if not self.wanted(build):
            build.stages.remove(self.name)
            for sentence in self.say_absent(build):
                build.reporter.note(sentence)
            return
        inputs = {name: build.made[name].output for name in self.needs if name in build.made}
        manifest = build.stages.run(
            self.name,
            self.settings(build),
            {**inputs, **self.files(build)},
            lambda out: self.work(build, out),
            seeded=self.seeded,
        )
        build.made[self.name] = manifest
        for sentence in self.say(build, manifest):
            build.reporter.note(sentence)
