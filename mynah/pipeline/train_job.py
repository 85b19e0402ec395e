"""A training run from a recipe: token shards in, a trained model out, by one process or many."""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from mynah import __version__, artifacts
from mynah.artifacts import Manifest, stage_key
from mynah.config import Config, build_config, merge, read_recipe
from mynah.device import available_memory, pick_device
from mynah.errors import ArtifactError, ConfigError
from mynah.model.config import ModelConfig
from mynah.model.presets import fields_of
from mynah.model.start import start_signal
from mynah.model.transformer import Transformer
from mynah.model.weights import load_config, model_tensors, save_tensors
from mynah.pipeline.model_stages import counts_of
from mynah.stages import KEY, TRAIN, Reporter, Stages
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.checkpoint import check_same
from mynah.train.config import TrainConfig
from mynah.train.distributed.dtensors import whole
from mynah.train.distributed.replicas import build_model, check_shareable
from mynah.train.distributed.world import World, connected
from mynah.train.loop import Session
from mynah.train.memory import Processes, check_memory, check_positions
from mynah.train.phases import pretrain, tune
from mynah.train.rates import passes_over, rates
from mynah.train.state import Progress

#: What the first process tells when nothing is left to do.
FINISHED = "finished"
#: A network is looked at with so many rows of so many tokens before its first step.
START_ROWS, START_TOKENS = 4, 64


class TrainRecipe(Config):
    """What a model is trained on, which one, and how."""

    tokens: str = Field(description="folder of token shards that mynah build made: runs/NAME/tokens")
    start: str | None = Field(None, description="a trained model to go on from: runs/NAME/pretrain")
    preset: str | None = Field(None, description="a size: gpt2, gpt3-small, tinyllama-1.1b, mini, ...")
    phase: Literal["text", "replies"] = Field("text", description="learn all text, or replies alone")
    passes: float = Field(1.0, gt=0, description="over the tokens, where train.steps does not say how long")
    model: dict[str, Any] = Field({}, description="fields of the model to set or change")
    train: dict[str, Any] = Field(
        {}, description="fields of the training to set; rates are those of the make"
    )
    device: str = "auto"
    sharded: bool = Field(
        False,
        description="several processes: each holds a part of weights and optimizer state, not a copy (FSDP2)",
    )
    tensor_parallel: int = Field(
        1,
        ge=1,
        description="so many neighbouring processes share the heads and hidden units of each block (DTensor); what a "
        "process then has is cut over the others as well",
    )

    @model_validator(mode="after")
    def _check(self) -> TrainRecipe:
        if self.start is not None and (self.preset or self.model):
            raise ValueError("start brings its own shape; leave out preset and model")
        if self.start is None and not (self.preset or self.model):
            raise ValueError('expected preset (for example "gpt2"), start, or the fields of [model]')
        return self


def load_train_recipe(path: Path, changes: dict[str, Any]) -> TrainRecipe:
    """Read a recipe, with keys of the command line laid on top.

    Raises:
        ConfigError: for a missing file, an unknown key or a value out of range.
    """
    return build_config(TrainRecipe, merge(read_recipe(path), changes), str(path))


class Job:
    """A recipe, resolved: tokens, shape, settings, checked before anything is trained."""

    def __init__(self, recipe: TrainRecipe, source: str, processes: int = 1, world: World = World()) -> None:
        """Read and check.

        Args:
            recipe: what to do.
            source: where it came from, for errors.
            processes: how many will be started, where this is not one of them.
            world: those that read the same at the same time.

        Raises:
            ConfigError: if something does not fit together, or needs more memory than there is.
            ArtifactError: if shards or a model to start from are missing or damaged.
        """
        self.recipe = recipe
        folder = Path(recipe.tokens)
        with world.at_disk(f"reading {folder}"):
            self.inputs = {"tokens": artifacts.read_manifest(folder).output}
            self.data = TokenSet.load(folder / "train.safetensors")
            self.held_out = TokenSet.load(folder / "held_out.safetensors")
            self.tokenizer = _tokenizer_beside(folder)
        if recipe.start is not None:
            with world.at_disk(f"reading {recipe.start}"):
                self.inputs["start"] = artifacts.read_manifest(Path(recipe.start)).output
            self.model = load_config(Path(recipe.start))
        else:
            self.model = self._shape(source)
        if self.model.prior:
            raise ConfigError(
                f"{recipe.start or source}: a model that goes on from an n-gram model, which only a build trains: "
                "mynah build ... --prior ngram; expected one without"
            )
        largest = max(int(data.tokens.max(initial=0)) for data in (self.data, self.held_out))
        if largest >= self.model.vocab_size:
            raise ConfigError(
                f"{folder}: holds token {largest:,}, and the model's vocabulary has {self.model.vocab_size:,}; "
                "the shards were made with another tokenizer"
            )
        if recipe.start is not None and not _same_tokens(_tokenizer_of(Path(recipe.start)), self.tokenizer):
            raise ConfigError(
                f"{folder}: its tokenizer gives other numbers to tokens than that of {recipe.start}; expected "
                "shards that were made with it"
            )
        self.config = self._settings(source)
        self.device = device_of(recipe.device)
        check_positions(self.model, self.config)
        processes_of = Processes.of_environment(
            recipe.sharded, recipe.tensor_parallel, self.device, processes
        )
        check_shareable(self.model, processes_of.tensor, processes_of.size)
        check_memory(recipe.preset, self.model, self.config, available_memory(self.device), processes_of)

    def _shape(self, source: str) -> ModelConfig:
        recipe = self.recipe
        vocabulary = recipe.model.get("vocab_size", self.tokenizer.vocab_size if self.tokenizer else None)
        if not isinstance(vocabulary, int):
            raise ConfigError(
                f"{source}: expected model.vocab_size, as there is no tokenizer beside {recipe.tokens}"
            )
        fields = {**(fields_of(recipe.preset) if recipe.preset else {}), "vocab_size": vocabulary}
        context = recipe.train.get("context_length")
        if context is not None and "context_length" not in recipe.model:
            fields["context_length"] = context
        return build_config(ModelConfig, {**fields, **recipe.model}, f"{source}: [model]")

    def _settings(self, source: str) -> TrainConfig:
        recipe = self.recipe
        from_base, optimizer = recipe.start is not None, recipe.train.get("optimizer")
        context = recipe.train.get("context_length", min(self.model.context_length, 2048))
        own = rates(self.model, from_base, optimizer=optimizer, context_length=context)
        # Conversations are always apart, whatever the make.
        told = {**({"document_mask": True} if recipe.phase == "replies" else {}), **recipe.train}
        values = {"steps": 1, "context_length": context, **own, **told}
        config = build_config(TrainConfig, values, f"{source}: [train]")
        if "steps" not in recipe.train:
            rows = recipe.passes * len(self.data.tokens) / config.context_length
            values["steps"] = max(1, round(rows / config.batch_size))
            values.setdefault("eval_every", max(5, values["steps"] // 20))
            config = build_config(TrainConfig, values, f"{source}: [train]")
        passes = passes_over(len(self.data.tokens), config)
        values |= {**rates(self.model, from_base, passes, optimizer, context), **told}
        return build_config(TrainConfig, values, f"{source}: [train]")

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the result, besides inputs and seed."""
        return {
            "model": self.model.model_dump(mode="json"),
            "train": self.config.deciding(),
            "phase": self.recipe.phase,
        }

    def run(self, out: Path, reporter: Reporter, world: World = World()) -> Manifest:
        """Train, with all processes that were started together; return what the finished folder says.

        Args:
            out: the folder that is made.
            reporter: is told how it goes.
            world: the processes that have read the same recipe; by default this one alone.

        Raises:
            ConfigError: if `out` has no name.
            ArtifactError: if `out` holds something else, is damaged, or cannot be written.
            DataError, TrainingError, Interrupted: as `train`.
        """
        if not out.name:
            raise ConfigError(f"-o {out}: expected the name of a new folder")
        with connected(world, self.device, self.recipe.sharded, self.recipe.tensor_parallel) as world:
            if not world.first:
                if world.hear("found") != FINISHED:
                    self._train(out.with_name(f"{out.name}.partial"), reporter, world)
                    world.hear(FINISHED)
                return artifacts.read_manifest(out, verify=False)
            key = stage_key(TRAIN, self.settings, self.inputs, self.config.seed, __version__)
            stages = Stages(out.parent, self.config.seed, reporter)
            with ExitStack() as at:
                at.enter_context(world.at_disk(f"looking at {out}"))  # until it trains
                world.tell("found", FINISHED if _is_finished(out, key) else "")
                self._check_left_over(out, key)
                with artifacts.locked(out.parent, f".{out.name}.lock", "another -o", remove=True):
                    made = stages.run(
                        TRAIN,
                        self.settings,
                        self.inputs,
                        lambda p: self._work(p, reporter, world, at),
                        out.name,
                    )
            world.tell(FINISHED)
            return made

    def _check_left_over(self, out: Path, key: str) -> None:
        """Raise ArtifactError if other work stands where this run would write: checkpoints cost hours."""
        if out.exists() and not _is_finished(out, key) and (not out.is_dir() or any(out.iterdir())):
            ours = (out / artifacts.MANIFEST).is_file()
            held = "what another recipe, version or command made" if ours else "something already"
            raise ArtifactError(f"{out}: holds {held}; name another folder, or delete it")
        partial = out.with_name(f"{out.name}.partial")
        left = max(partial.glob(f"{artifacts.CHECKPOINTS}/step-*[0-9]"), default=None)
        if left is None or artifacts.read_json(partial / KEY) == {"key": key}:
            return
        found = artifacts.read_manifest(left, verify=False).settings
        check_same(found, {"model": self.settings["model"], "train": self.settings["train"]}, left)
        raise ArtifactError(
            f"{left}: a checkpoint of other tokens, another start or another version; name another folder, or delete "
            f"{partial}"
        )

    def _work(self, partial: Path, reporter: Reporter, world: World, at: ExitStack) -> dict[str, Any]:
        at.close()
        tensors, done = self._train(partial, reporter, world)
        at.enter_context(world.at_disk(f"writing {partial}"))
        save_tensors(self.model, tensors, partial)
        if self.tokenizer is not None:
            self.tokenizer.save(partial)
        return {**counts_of(done), "talks": self.recipe.phase == "replies"}

    def _train(self, partial: Path, reporter: Reporter, world: World) -> tuple[dict[str, Tensor], Progress]:
        start = Path(self.recipe.start) if self.recipe.start else None
        with world.at_disk(f"reading {start}") if start else nullcontext():
            model = build_model(self.model, start or self.config.seed, world, self.device)
        if start is None and world.size == 1:
            self._look_at_the_start(model, reporter)
        session = Session(
            partial,
            (lambda step: reporter.training(TRAIN, step)) if world.first else None,
            reporter.note,
            world,
        )
        phase = pretrain if self.recipe.phase == "text" else tune
        done = phase(model, self.data, self.held_out, self.config, session)
        tensors = {}
        for name, tensor in model_tensors(model).items():
            all_of_it = whole(tensor)  # which all processes must ask for
            if world.first:
                tensors[name] = all_of_it.cpu()
        return tensors, done

    def _look_at_the_start(self, model: Transformer, reporter: Reporter) -> None:
        """Say what is wrong with random weights before hours are spent on them."""
        rows, length = START_ROWS, min(START_TOKENS, self.config.context_length)
        tokens = self.data.tokens[: rows * length].astype(np.int64)
        if len(tokens) == rows * length:
            signal = start_signal(model, torch.from_numpy(tokens).view(rows, length).to(self.device))
            for problem in signal.problems():
                reporter.note(f"the network does not begin well: {problem}")


def device_of(name: str) -> torch.device:
    """Return this process's device: of several GPUs on a machine, each process has its own.

    Raises:
        ConfigError: if it is not there.
    """
    local = os.environ.get("LOCAL_RANK")
    device = pick_device(name)
    if device.type == "mps" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if name != "auto":
            raise ConfigError(f"--device {name}: several processes cannot use it; expected --device cpu")
        return torch.device("cpu")
    return pick_device(f"cuda:{local}") if device.type == "cuda" and local else device


def _tokenizer_beside(tokens: Path) -> Tokenizer | None:
    folder = tokens.parent / "tokenizer"
    return Tokenizer.load(folder) if folder.is_dir() else None


def _tokenizer_of(model: Path) -> Tokenizer | None:
    """Return the tokenizer of a trained model: in its folder, or beside it in a run."""
    return Tokenizer.load(model) if (model / "tokenizer.json").is_file() else _tokenizer_beside(model)


def _same_tokens(one: Tokenizer | None, other: Tokenizer | None) -> bool:
    """Whether two tokenizers give the same numbers to tokens; one that is not there is taken to."""
    return one is None or other is None or one.backend.get_vocab() == other.backend.get_vocab()


def _is_finished(out: Path, key: str) -> bool:
    if not (out / artifacts.MANIFEST).is_file():
        return False
    return artifacts.read_manifest(out, verify=False).key == key
