"""What is measured while training, how much of the held-out part, and when it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mynah.errors import DataError, TrainingError
from mynah.model.lora import LoRAConfig, adapter_tensors, add_adapter
from mynah.model.transformer import Transformer
from mynah.tokenizer.dataset import TokenSet
from mynah.train import phases
from mynah.train.batches import NextToken, StreamBatches, TokenBatch
from mynah.train.config import TrainConfig
from mynah.train.distributed.world import World
from mynah.train.loop import train


def lora(**settings: Any) -> LoRAConfig:
    """Return the shape of an adapter on all blocks."""
    return LoRAConfig(**{"layers": 1.0, **settings})


@pytest.mark.parametrize("phase", [phases.pretrain, phases.tune])
def test_the_longer_between_two_measurements_the_more_is_read_in_each(
    tiny: Callable[..., Transformer], data: TokenSet, phase: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases, "MEASURED_TOKENS", (64, 1 << 17))
    parts: list[torch.Tensor] = []

    def note(model: Transformer, batches: list[TokenBatch], objective: NextToken, world: World) -> float:
        parts[:] = [batch.tokens for batch in batches]
        return 0.0

    monkeypatch.setattr(phases, "held_out_loss", note)

    def read(eval_every: int) -> int:
        config = TrainConfig(
            steps=5, batch_size=6, grad_accum_steps=2, context_length=16, eval_every=eval_every
        )
        phase(tiny(), data, data, config)  # type: ignore[operator]
        rows = [tuple(row.tolist()) for part in parts for row in part]
        assert len(set(rows)) == len(rows)  # none twice
        assert max(map(len, parts)) <= 3  # no more at once than in a part of a step
        return len(rows) * 16

    assert [read(1), read(4), read(1000)] == [64, 112, 144]  # the last: there are five steps
    monkeypatch.setattr(phases, "MEASURED_TOKENS", (64, 128))
    assert read(1000) == 128


def test_no_held_out_conversation_means_no_measurement(
    tiny: Callable[..., Transformer], data: TokenSet
) -> None:
    none = TokenSet(data.tokens[:0], data.starts[:1], data.part[:0], data.n_bytes[:0], data.kind[:0])
    config = TrainConfig(steps=1, batch_size=2, context_length=16)
    assert phases.tune(tiny(), data, none, config).best_loss is None
    with pytest.raises(DataError, match="no conversation with a reply"):
        phases.tune(tiny(), none, data, config)


def test_a_full_device_is_named(tiny: Callable[..., Transformer], data: TokenSet) -> None:
    def full(step: int) -> TokenBatch:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. " * 9)

    with pytest.raises(TrainingError, match="cpu: its memory is full at step 0; try more grad_accum_steps"):
        train(tiny(), full, NextToken(), TrainConfig(steps=2, batch_size=1, context_length=16))


def test_it_measures_in_the_numbers_of_training(tiny: Callable[..., Transformer], data: TokenSet) -> None:
    seen: list[bool] = []

    def validate() -> float:
        seen.append(torch.is_autocast_enabled("cpu"))
        return 0.0

    for precision in ("float32", "bfloat16"):
        config = TrainConfig(steps=1, batch_size=1, context_length=16, precision=precision)  # type: ignore[arg-type]
        train(tiny(), StreamBatches(data, 1, 16, 0), NextToken(), config, validate=validate)
    assert seen == [False, False, True, True]


def test_wsd_is_not_stopped_before_its_rate_falls(tiny: Callable[..., Transformer], data: TokenSet) -> None:
    config = TrainConfig(
        steps=40, batch_size=1, context_length=16, eval_every=1, schedule="wsd", decay=0.5, patience=3
    )
    losses = iter(np.arange(41.0))  # worse and worse
    done = train(
        tiny(), StreamBatches(data, 1, 16, 0), NextToken(), config, validate=lambda: float(next(losses))
    )
    assert (done.step, done.stopped_early) == (24, True)  # the first one in the fall, and three without gain


def test_an_adapter_is_taken_back_where_replies_do_not_mind(
    tiny: Callable[..., Transformer], data: TokenSet
) -> None:
    config = TrainConfig(steps=1, batch_size=2, context_length=32)

    def adapted(size: float) -> Transformer:
        model = tiny().eval()
        add_adapter(model, lora(rank=2, alpha=2), 0)
        generator = torch.Generator().manual_seed(0)
        for name, tensor in adapter_tensors(model).items():
            if name.endswith("lora_b"):
                tensor.normal_(0, size, generator=generator)
        return model

    harmless, harmful = adapted(1e-6), adapted(1.0)
    before = {name: tensor.clone() for name, tensor in adapter_tensors(harmless).items()}
    assert phases.draw_back(harmless, data, config) == phases.DRAWN_BACK
    for name, tensor in adapter_tensors(harmless).items():
        left = phases.DRAWN_BACK if name.endswith("lora_b") else 1.0
        torch.testing.assert_close(tensor, left * before[name])
    assert phases.draw_back(harmful, data, config) == phases.DRAWN_BACK  # noise: the less of it the better
    assert phases.draw_back(harmless, None, config) == 1.0


def test_an_adapter_that_replies_need_stays_whole(
    tiny: Callable[..., Transformer], data: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny().eval()
    add_adapter(model, lora(rank=2), 0)
    for tensor in adapter_tensors(model).values():
        tensor.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in adapter_tensors(model).items()}
    monkeypatch.setattr(phases, "NO_MORE", 0.5)
    assert phases.draw_back(model, data, TrainConfig(steps=1, batch_size=2, context_length=32)) == 1.0
    for name, tensor in adapter_tensors(model).items():
        torch.testing.assert_close(tensor, before[name])
