from __future__ import annotations

import math

import pytest
import torch

from mynah.model.config import ModelConfig
from mynah.model.presets import PRESETS, preset
from mynah.model.start import start_signal
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model

UP_TO_1_3B = [name for name in PRESETS if preset(name, 50_257).n_params() < 1.6e9]


def proxy(name: str) -> ModelConfig:
    """Return a preset of its own depth and make, a few heads of 16 wide."""
    config = preset(name, 256)
    n_head = min(4, config.n_head)
    n_kv_head = max(1, n_head * config.n_kv_head // config.n_head)
    width = n_head * 16
    changes = {
        "n_head": n_head,
        "n_kv_head": n_kv_head,
        "n_embd": width,
        "head_dim": None if config.head_dim is None else 16,
        "ffn_hidden": None if config.ffn_hidden is None else width * config.ffn_hidden // config.n_embd,
        "context_length": 64,
        "windows": tuple(window and 16 for window in config.windows),
        "bigram_buckets": config.bigram_buckets and 128,
    }
    return config.model_copy(update=changes)


def proxy_model(name: str) -> Transformer:
    """Return a preset's proxy whose blocks have the gain of the preset's own width.

    With weights of one size at every width, as GPT-2 has them, a matrix gains with the square root of its width.
    """
    model = new_model(proxy(name), 0)
    wide = preset(name, 256)
    if wide.init == "gpt2":
        with torch.no_grad():
            for part in model.blocks.modules():
                if isinstance(part, torch.nn.Linear):
                    part.weight *= math.sqrt(wide.n_embd / model.config.n_embd)
    return model


def batch() -> torch.Tensor:
    return torch.randint(0, 256, (4, 65), generator=torch.Generator().manual_seed(0))


def test_the_sizes_that_are_checked() -> None:
    assert {"gpt3-xl", "gpt2-xl", "qwen3-0.6b", "tinyllama-1.1b", "gpt-neo-1.3b", "base"} <= set(UP_TO_1_3B)


@pytest.mark.parametrize("name", UP_TO_1_3B)
def test_every_preset_begins_well(name: str) -> None:
    signal = start_signal(proxy_model(name), batch())
    assert len(signal.layers) == PRESETS[name]["n_layer"]
    assert signal.problems() == []


def _exploding(model: Transformer) -> None:
    for block in model.blocks:
        block.mlp.down.weight *= 1000


def _dead(model: Transformer) -> None:
    model.blocks[2].attention.out.weight.zero_()
    model.blocks[2].attention.query_key_value.weight.zero_()


def _silent(model: Transformer) -> None:
    model.blocks[1].mlp.up.bias -= 100


def _sure(model: Transformer) -> None:
    model.embed.weight *= 60  # the head too: they are one


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_exploding, "the stream goes from"),
        (_dead, "block 2: the attention's gradient is 0.0"),
        (_silent, "block 1: 100% of the hidden units"),
        (_sure, "the first loss is"),
    ],
)
def test_what_begins_badly_is_told(damage: object, said: str) -> None:
    config = proxy("gpt2").model_copy(update={"mlp": "relu2"})
    model = new_model(config, 0)
    with torch.no_grad():
        damage(model)  # type: ignore[operator]
    assert any(said in problem for problem in start_signal(model, batch()).problems())
