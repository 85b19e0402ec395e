"""`mynah train`: what a recipe becomes, and what is refused."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mynah import artifacts
from mynah.cli.main import main
from mynah.errors import ArtifactError, ConfigError
from mynah.model.presets import preset
from mynah.pipeline.open_run import open_run
from mynah.pipeline.train_job import Job, TrainRecipe, device_of, load_train_recipe
from mynah.stages import Silent
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.distributed.world import joined
from mynah.train.loop import Interrupted
from mynah.train.rates import rates

SMALL: dict[str, Any] = {
    "preset": "gpt2",
    "model": {"n_layer": 1, "n_embd": 32, "n_head": 2},
    "train": {"context_length": 32, "batch_size": 4, "steps": 4, "eval_every": 2, "checkpoint_every": 2},
    "device": "cpu",
}


@pytest.fixture
def tokens(tmp_path: Path, tokenizer: Tokenizer, data: TokenSet) -> Path:
    """Token shards with their tokenizer beside them, as a build leaves them."""
    partial = tmp_path / "run" / "tokens.partial"
    for name in ("train", "held_out"):
        data.save(partial / f"{name}.safetensors")
    artifacts.finish(partial, tmp_path / "run" / "tokens", artifacts.Manifest("tokens", "", "", {}, {}, 0))
    tokenizer.save(tmp_path / "run" / "tokenizer")
    return tmp_path / "run" / "tokens"


def job(tokens: Path, **changes: Any) -> Job:
    return Job(TrainRecipe(**{**SMALL, "tokens": str(tokens), **changes}), "recipe.toml")


def test_rates_are_those_of_the_make_and_the_passes(tokens: Path) -> None:
    def rate(**changes: Any) -> float:
        return job(
            tokens, preset="nano", model={}, train={"context_length": 32}, **changes
        ).config.learning_rate

    assert rate(passes=1) == pytest.approx(4e-2)
    assert rate(passes=2) == pytest.approx(1e-2)
    steps = {"context_length": 32, "batch_size": 4, "steps": 4, "learning_rate": 2e-3}
    assert job(tokens, preset="nano", model={}, train=steps).config.learning_rate == pytest.approx(2e-3)
    assert job(tokens).config.learning_rate == pytest.approx(3e-3)
    wide = {"n_embd": 256, "n_head": 4}
    short = {"context_length": 32}
    assert job(
        tokens, preset="nano", model=wide, passes=1, train=short
    ).config.learning_rate == pytest.approx(5e-3)
    adamw = job(
        tokens, preset="nano", model={}, passes=1, train={"context_length": 32, "optimizer": "adamw"}
    ).config
    assert (adamw.learning_rate, adamw.schedule) == (pytest.approx(3e-3), "cosine")


def test_between_the_papers_widths_the_rate_is_the_next_larger_ones() -> None:
    found = [
        rates(preset(name, 50_257), False)["learning_rate"] for name in ("gpt3-large", "gpt2-xl", "gpt3-xl")
    ]
    assert found == [2.5e-4, 2e-4, 2e-4]
    assert rates(preset("gpt2", 300, n_embd=384), False)["learning_rate"] == pytest.approx(1.2e-3)


def test_a_job_leaves_a_model_that_can_be_used(tokens: Path, tmp_path: Path) -> None:
    made = job(tokens).run(tmp_path / "out", Silent())
    assert made.counts["steps"] == 4
    opened = open_run(tmp_path / "out", torch.device("cpu"))
    assert not opened.talks
    assert opened.model.config.n_embd == 32
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "events", "manifest.json", "metrics.jsonl", "model.json", "model.safetensors", "timing.json", "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip
    before = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns
    assert job(tokens).run(tmp_path / "out", Silent()) == made
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == before


def test_it_goes_on_from_a_model_and_learns_replies(tokens: Path, tmp_path: Path) -> None:
    job(tokens).run(tmp_path / "base", Silent())
    tuned = job(tokens, start=str(tmp_path / "base"), preset=None, model={}, phase="replies")
    tuned.run(tmp_path / "tuned", Silent())
    assert open_run(tmp_path / "tuned", torch.device("cpu")).talks


def test_held_out_tokens_are_looked_at_too(tokens: Path, data: TokenSet, tmp_path: Path) -> None:
    small = {**SMALL["model"], "vocab_size": int(data.tokens.max()) + 1}
    job(tokens, model=small)
    data.save(tmp_path / "other.partial" / "train.safetensors")
    replace(data, tokens=data.tokens + 1).save(tmp_path / "other.partial" / "held_out.safetensors")
    tokens = tmp_path / "other"
    artifacts.finish(tmp_path / "other.partial", tokens, artifacts.Manifest("tokens", "", "", {}, {}, 0))
    with pytest.raises(ConfigError, match=r"holds token \d+, and the model's vocabulary has"):
        job(tokens, model=small)


def test_a_model_of_another_tokenizer_is_refused(tokens: Path, tmp_path: Path) -> None:
    job(tokens).run(tmp_path / "base", Silent())
    other = Tokenizer.train(["quite other text, of other words"], 280)
    other.save(tokens.parent / "tokenizer")
    with pytest.raises(ConfigError, match=r"gives other numbers to tokens than that of \S+base; expected"):
        job(tokens, start=str(tmp_path / "base"), preset=None, model={})


def test_passes_become_steps_and_rates_are_those_of_the_make(tokens: Path, data: TokenSet) -> None:
    chosen = job(tokens, passes=2.0, train={"context_length": 32, "batch_size": 4})
    assert chosen.config.steps == round(2 * len(data.tokens) / 128)
    assert (chosen.config.optimizer, chosen.config.schedule) == ("adamw", "cosine")
    assert job(tokens, preset="nano", model={}).config.optimizer == "muon"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model": {"n_head": 3, "n_embd": 32}},
            r"recipe.toml: \[model\]: n_head 3 does not divide n_embd 32",
        ),
        (
            {"model": {**SMALL["model"], "vocab_size": 100}},
            r"holds token \d+, and the model's vocabulary has 100",
        ),
        ({"model": {**SMALL["model"], "context_length": 16}}, "learned positions for 16 tokens"),
        ({"train": {**SMALL["train"], "stepz": 3}}, r"\[train\]: unknown key 'stepz'; did you mean 'steps'"),
        (
            {"model": {**SMALL["model"], "prior": True}},
            "goes on from an n-gram model, which only a build trains",
        ),
        ({"preset": "gpt3-175b", "model": {}}, r"gpt3-175b \(.*M parameters\) takes about"),
    ],
)
def test_what_does_not_fit_is_refused(tokens: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        job(tokens, **changes)


@pytest.mark.parametrize(
    ("model", "tensor", "said"),
    [
        ({}, 3, "divides the number of processes, 4"),
        ({}, 4, "divides the model's 2 heads of keys and values"),
        ({"ffn_hidden": 33}, 2, "divides the model's 33 hidden units"),
        ({"value_embeddings": True}, 2, "not for models with value embeddings"),
    ],
)
def test_blocks_that_cannot_be_shared_are_refused(
    tokens: Path, model: dict[str, Any], tensor: int, said: str
) -> None:
    recipe = TrainRecipe(
        **{**SMALL, "model": {**SMALL["model"], **model}}, tokens=str(tokens), tensor_parallel=tensor
    )
    with pytest.raises(ConfigError, match=f"tensor_parallel {tensor}: .*{said}"):
        Job(recipe, "recipe.toml", processes=4)
    Job(recipe, "recipe.toml")  # alone, there is nobody to share with


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"preset": "gpt2", "start": "x"}, "start brings its own shape"),
        ({}, "expected preset"),
    ],
)
def test_a_recipe_names_one_model(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainRecipe(tokens="x", **wrong)


@pytest.mark.parametrize("damage", ["flip", "gone", "manifest"])
def test_bad_shards_end_in_one_line(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    victim = tokens / ("manifest.json" if damage == "manifest" else "train.safetensors")
    if damage == "flip":
        raw = bytearray(victim.read_bytes())
        raw[-3] ^= 1
        victim.write_bytes(raw)
    else:
        victim.unlink()
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'tokens = "{tokens}"\npreset = "gpt2"\n', encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(recipe), "-o", str(tmp_path / "out")])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert victim.name in said
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_checkpoints_of_other_work_are_not_deleted(tokens: Path, tmp_path: Path) -> None:
    def stop(stage: str, step: Any) -> None:
        if step.step == 2:
            signal.raise_signal(signal.SIGINT)

    reporter = Silent()
    reporter.training = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        job(tokens).run(tmp_path / "out", reporter)
    wider = {"model": {**SMALL["model"], "n_embd": 64}}
    longer = {"train": {**SMALL["train"], "steps": 9}}
    for changes, said in (
        (wider, "another model: n_embd is 32 in it, 64 here"),
        (longer, "steps is 4 in it, 9 here"),
    ):
        with pytest.raises(ArtifactError, match=said):
            job(tokens, **changes).run(tmp_path / "out", Silent())
    steps: list[int] = []
    reporter.training = lambda stage, step: steps.append(step.step)  # type: ignore[method-assign]
    job(tokens).run(tmp_path / "out", reporter)
    assert steps[0] > 1


def test_what_stands_there_is_not_replaced(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a build, when its folder is named for that of the model, nor a model of other settings."""
    with pytest.raises(ArtifactError, match="run: holds something already"):
        job(tokens).run(tokens.parent, Silent())
    assert tokens.is_dir()
    made = job(tokens).run(tmp_path / "out", Silent())
    with pytest.raises(ArtifactError, match="out: holds what another recipe, version or command made"):
        job(tokens, train={**SMALL["train"], "steps": 5}).run(tmp_path / "out", Silent())
    assert artifacts.read_manifest(tmp_path / "out") == made
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"-o \.: expected the name of a new folder"):
        job(tokens).run(Path(), Silent())
    (tmp_path / "empty").mkdir()
    job(tokens).run(tmp_path / "empty", Silent())


def test_on_a_mac_several_processes_take_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mynah.pipeline.train_job.pick_device", lambda name: torch.device("mps"))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert device_of("auto").type == "mps"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert device_of("auto").type == "cpu"
    with pytest.raises(ConfigError, match="several processes cannot use it"):
        device_of("mps")


def test_half_of_a_launchers_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "0")
    with (
        pytest.raises(ConfigError, match="RANK is set, but not WORLD_SIZE, MASTER_ADDR, MASTER_PORT"),
        joined(),
    ):
        pass


def test_without_a_tokenizer_the_vocabulary_must_be_given(tokens: Path) -> None:
    import shutil

    shutil.rmtree(tokens.parent / "tokenizer")
    with pytest.raises(ConfigError, match=r"expected model.vocab_size, as there is no tokenizer beside"):
        job(tokens)
    assert job(tokens, model={**SMALL["model"], "vocab_size": 300}).model.vocab_size == 300


@pytest.mark.parametrize(
    "arguments",
    [["train"], ["train", "x.toml", "-o", "y", "--processes", "0"], ["train", "--dry-run", "--world", "0"]],
)
def test_wrong_flags_end_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such recipe file"):
        load_train_recipe(tmp_path / "none.toml", {})
