"""The loop knows no task: a classifier and a preference loss go through it, with all that it does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from networks import EXACT
from safetensors.torch import load_file
from torch import nn
from toy_objectives import OBJECTIVES, Rows, batches, config_of, model_for

from mynah.errors import TrainingError
from mynah.model.roles import Role, mark, roles_of
from mynah.tokenizer.dataset import TokenSet
from mynah.train.batches import NextToken, StreamBatches
from mynah.train.loop import Session, Step, held_out_loss, train
from mynah.train.packed import PackedBatches

NAMES = sorted(OBJECTIVES)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_and_keeps_the_best_weights(name: str) -> None:
    model, objective, held_out = model_for(name), OBJECTIVES[name], [batches(name)(1000), batches(name)(1001)]
    before = held_out_loss(model, held_out, objective)
    config = config_of(steps=60, eval_every=10)
    done = train(
        model, batches(name), objective, config, validate=lambda: held_out_loss(model, held_out, objective)
    )
    assert done.best_loss == pytest.approx(held_out_loss(model, held_out, objective))
    assert done.best_loss < 0.7 * before
    assert not model.training


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_a_step_are_the_step(name: str, exact_products: None) -> None:
    ended = []
    for parts in (1, 2, 5, 8):  # more parts than rows too
        model, losses = model_for(name), []
        config = config_of(grad_accum_steps=parts)
        train(
            model,
            batches(name),
            OBJECTIVES[name],
            config,
            Session(watch=lambda s, to=losses: to.append(s.loss)),
        )
        ended.append((weights(model), losses))
    for made, losses in ended[1:]:
        assert losses == pytest.approx(ended[0][1], abs=1e-5)
        for key, value in ended[0][0].items():
            torch.testing.assert_close(made[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_cut_off_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    class CutOff(Exception):
        pass

    def cut(step: Step) -> None:
        if step.step == 5:
            raise CutOff

    config = config_of(checkpoint_every=2, ema=0.9)
    whole, resumed = model_for(name), model_for(name)
    train(whole, batches(name), OBJECTIVES[name], config, Session(tmp_path / "whole"))
    with pytest.raises(CutOff):
        train(model_for(name), batches(name), OBJECTIVES[name], config, Session(tmp_path / "cut", cut))
    taken: list[int] = []
    session = Session(tmp_path / "cut", lambda step: taken.append(step.step))
    train(resumed, batches(name), OBJECTIVES[name], config, session)
    assert taken
    assert taken[0] > 1
    assert all(torch.equal(p, weights(resumed)[key]) for key, p in weights(whole).items())


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_learn_what_one_does(name: str, tmp_path: Path, exact_products: None) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    script = Path(__file__).parent / "toy_objectives.py"
    several = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, script, name, tmp_path / "two"],
            env={**os.environ, **several, **EXACT, "RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    model = model_for(name)
    train(model, batches(name), OBJECTIVES[name], config_of())
    together = load_file(tmp_path / "two")
    for key, value in weights(model).items():
        torch.testing.assert_close(together[key], value, rtol=1e-3, atol=1e-4)


def test_counts_of_parts_add_up(data: TokenSet) -> None:
    for batch in (StreamBatches(data, 5, 16, 0)(0), PackedBatches(data, 5, 32, 0)(0)):
        for parts in (1, 2, 3, 7):
            cut = batch.split(parts)
            assert len(cut) == parts
            assert sum(part.count for part in cut) == batch.count
    rows = batches("classify")(0)
    assert isinstance(rows, Rows)
    assert [part.count for part in rows.split(7)] == [1] * 5 + [0] * 2


# What is trained


def frozen() -> nn.Module:
    """Return a model of which less than a hundredth is trained."""
    model = model_for("classify")
    model.requires_grad_(False)
    model.body.norm.weight.requires_grad_(True)
    return model


def test_what_is_frozen_is_in_no_file_and_moves_nowhere(tmp_path: Path) -> None:
    """A hundredth of a model is trained: best weights, checkpoints and optimizer state hold that hundredth alone."""
    model = frozen()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    n = sum(p.numel() for p in model.parameters())
    assert 0 < sum(p.numel() for p in model.parameters() if p.requires_grad) < n / 100
    before = weights(model)
    objective, held_out = OBJECTIVES["classify"], [batches("classify")(1000)]
    config = config_of(checkpoint_every=4, ema=0.5, eval_every=2)

    def validate() -> float:
        return held_out_loss(model, held_out, objective)

    train(model, batches("classify"), objective, config, Session(tmp_path), validate=validate)
    newest = max((tmp_path / "checkpoints").glob("step-*"))
    for name in ("model", "best", "average"):
        assert set(load_file(newest / f"{name}.safetensors")) == trained
    state = {key.rpartition("/")[0] for key in load_file(newest / "optimizer.safetensors")}
    assert state == trained
    after = weights(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == trained


def test_a_frozen_model_goes_on_bit_for_bit(tmp_path: Path) -> None:
    class CutOff(Exception):
        pass

    def cut(step: Step) -> None:
        if step.step == 5:
            raise CutOff

    objective, config = OBJECTIVES["classify"], config_of(checkpoint_every=2)
    whole, resumed = frozen(), frozen()
    train(whole, batches("classify"), objective, config, Session(tmp_path / "whole"))
    with pytest.raises(CutOff):
        train(frozen(), batches("classify"), objective, config, Session(tmp_path / "cut", cut))
    train(resumed, batches("classify"), objective, config, Session(tmp_path / "cut"))
    assert all(torch.equal(p, weights(resumed)[key]) for key, p in weights(whole).items())


def test_a_model_of_which_nothing_is_trained_is_refused() -> None:
    model = model_for("prefer").requires_grad_(False)
    with pytest.raises(TrainingError, match="nothing to train"):
        train(model, batches("prefer"), OBJECTIVES["prefer"], config_of())


# Roles


class Wrapped(nn.Module):
    """A linear map with two thin ones beside it, as an adapter has them."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner
        self.down = mark(nn.Linear(inner.in_features, 2, bias=False), weight=Role.TABLE)
        self.up = mark(nn.Linear(2, inner.out_features, bias=False), weight=Role.TABLE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(x) + self.up(self.down(x))
        return out


def test_a_wrapped_layer_keeps_its_role() -> None:
    model = model_for("prefer")
    before = roles_of(model)
    assert before["blocks.0.attention.out.weight"] is Role.INTO_STREAM
    assert before["blocks.0.mlp.up.weight"] is Role.MATRIX
    assert before["head.weight"] is before["embed.weight"] is Role.TABLE
    for block in model.blocks:
        block.attention.out = Wrapped(block.attention.out)
    after = roles_of(model)
    assert after["blocks.0.attention.out.inner.weight"] is Role.INTO_STREAM
    assert after["blocks.1.attention.out.up.weight"] is Role.TABLE
    model.requires_grad_(False)
    for block in model.blocks:
        block.attention.out.up.requires_grad_(True)
    train(model, batches("prefer"), OBJECTIVES["prefer"], config_of(steps=2))
    assert any(bool(block.attention.out.up.weight.any()) for block in model.blocks)


def test_languages_are_learned_by_the_same_loop(tiny, data: TokenSet) -> None:  # type: ignore[no-untyped-def]
    model, held_out = tiny(dropout=0.0), [StreamBatches(data, 8, 32, 1)(0)]
    before = held_out_loss(model, held_out, NextToken())
    train(model, StreamBatches(data, 4, 32, 0), NextToken(), config_of(steps=40, context_length=32))
    assert held_out_loss(model, held_out, NextToken()) < before
