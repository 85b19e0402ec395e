"""What is measured while training: how much of the held-out part."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mynah.model.transformer import Transformer
from mynah.tokenizer.dataset import TokenSet
from mynah.train import phases
from mynah.train.batches import Batch
from mynah.train.config import TrainConfig
from mynah.train.world import World


@pytest.mark.parametrize("phase", [phases.pretrain, phases.tune])
def test_the_longer_between_two_measurements_the_more_is_read_in_each(
    tiny: Callable[..., Transformer], data: TokenSet, phase: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases, "MEASURED_TOKENS", (64, 256))
    rows: list[torch.Tensor] = []

    def note(model: Transformer, batches: list[Batch], world: World) -> float:
        rows[:] = [row for batch in batches for row in batch.tokens]
        return 0.0

    monkeypatch.setattr(phases, "held_out_loss", note)

    def read(eval_every: int) -> int:
        config = TrainConfig(steps=1, batch_size=2, context_length=16, eval_every=eval_every)
        phase(tiny(), data, data, config)  # type: ignore[operator]
        assert len({tuple(row.tolist()) for row in rows}) == len(rows)  # none twice
        return sum(map(len, rows))

    assert [read(1), read(20), read(1000)] == [64, 192, 256]
