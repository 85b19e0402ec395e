from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mynah.errors import ConfigError
from mynah.model.presets import preset
from mynah.model.transformer import Transformer
from mynah.train.config import TrainConfig
from mynah.train.memory import (
    Processes,
    activation_floats,
    check_memory,
    check_positions,
    mask_floats,
    training_memory,
)

SMALLER = {
    "tinyllama-1.1b": {"n_embd": 256, "n_head": 8, "ffn_hidden": 704, "n_layer": 2, "context_length": 256}
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", ["gpt2", "gpt3-nano", "nano", "mini", "tinyllama-1.1b", "banded", "gemma"])
def test_activations_are_what_autograd_keeps(name: str, apart: bool) -> None:
    changes = SMALLER.get(name, {"n_layer": 4, "context_length": 256})
    if name == "banded":
        name, changes = "nano", {**changes, "windows": (64, 0)}
    if name == "gemma":
        name, changes = "tinyllama-1.1b", SMALLER["tinyllama-1.1b"] | {"post_norm": True, "mlp": "geglu_tanh"}
    config = preset(name, 300, **changes)
    model, tokens = Transformer(config), torch.zeros(2, 256, dtype=torch.int64)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(tokens, torch.arange(256).expand(2, -1) // 50 if apart else None)
    measured = sum(size for size, _ in kept.values()) / (4 * tokens.numel())
    formula = config.n_layer * activation_floats(config, 256) + 2 * config.n_embd
    formula += mask_floats(config, 256) if apart else 0
    assert formula == pytest.approx(measured, rel=0.2)


def test_parameters_by_hand(tiny: Callable[..., Transformer]) -> None:
    config = tiny().config
    n, matrices = config.n_params(), 2 * (4 * 32 * 32 + 8 * 32 * 32)
    muon = training_memory(config, TrainConfig(steps=1), Processes(copies=False))
    assert (muon.weights, muon.gradients, muon.copies) == (4 * n, 4 * n, 4 * n)
    assert muon.optimizer == 4 * (2 * n - matrices)
    adamw = training_memory(config, TrainConfig(steps=1, optimizer="adamw"))
    assert adamw.optimizer == 8 * n
    assert (
        adamw.copies == 4 * n + 4 * n + 8 * n + 4 * n
    )  # the best weights; of weights, optimizer and best, a copy
    eighth = training_memory(
        config,
        TrainConfig(steps=1, optimizer="adamw"),
        Processes(8, 1, True, bytes_per_activation=2, copies=False),
    )
    assert (eighth.weights, eighth.optimizer, eighth.copies) == (4 * n // 8, 8 * n // 8, 4 * n // 8)


def test_four_that_share_blocks_two_by_two(tiny: Callable[..., Transformer]) -> None:
    config = tiny().config
    n, blocks = config.n_params(), 2 * (4 * 32 * 32 + 8 * 32 * 32)
    train = TrainConfig(steps=1, batch_size=8, optimizer="adamw")
    held = (n - blocks + blocks // 2) // 2
    both = training_memory(config, train, Processes(4, 1, False, 2, copies=False))
    assert (both.weights, both.optimizer) == (4 * held, 8 * held)
    two = training_memory(config, train, Processes(2, 1, True, copies=False))
    assert both.activations < two.activations  # as many rows, half of each block


def test_the_recipe_of_the_cluster_page_fits_eight_gpus() -> None:
    config = TrainConfig(
        steps=1, batch_size=512, context_length=2048, grad_accum_steps=8, recompute=True, optimizer="adamw"
    )
    check_memory(
        "gpt3-xl",
        preset("gpt3-xl", 50_257),
        config,
        80 << 30,
        Processes(8, 1, True, bytes_per_activation=2, copies=False),
    )
    with pytest.raises(ConfigError, match="gpt3-xl"):
        check_memory("gpt3-xl", preset("gpt3-xl", 50_257), config, 80 << 30)


def test_parts_and_computing_again_take_less() -> None:
    config = preset("gpt2", 1000, n_layer=8)
    base = TrainConfig(steps=1, batch_size=16, context_length=512)
    whole = training_memory(config, base).activations
    parts = training_memory(config, base.model_copy(update={"grad_accum_steps": 4})).activations
    again = training_memory(config, base.model_copy(update={"recompute": True})).activations
    assert parts == pytest.approx(whole / 4, rel=0.01)
    assert again < 0.25 * whole


def test_too_large_is_refused_with_the_largest_that_fits() -> None:
    config = TrainConfig(steps=1, batch_size=4, context_length=512, optimizer="adamw")
    large = preset("gpt3-13b", 50_257)
    with pytest.raises(
        ConfigError, match=r"gpt3-13b \(12,936M parameters\) takes about .* GiB.*fits is gpt3-small"
    ):
        check_memory("gpt3-13b", large, config, 16 << 30)
    with pytest.raises(ConfigError, match="no size of its make fits"):
        check_memory("gpt3-13b", large, config, 1 << 20)
    with pytest.raises(ConfigError, match="the largest of its make that fits is small"):
        check_memory("base", preset("base", 8192), config, 2000 << 20)
    check_memory("small", preset("small", 8192), config, 2000 << 20)
    check_memory("gpt3-small", preset("gpt3-small", 50_257), config, 16 << 30)
    check_memory("gpt3-13b", large, config, None)


@pytest.mark.parametrize("name", [None, "mini"])
def test_a_shape_of_ones_own_is_refused_with_the_most_layers_that_fit(name: str | None) -> None:
    config = TrainConfig(steps=1, batch_size=4, context_length=256)
    wide = preset("mini", 8192, n_embd=512, n_head=8, n_layer=40)
    with pytest.raises(ConfigError, match=r"with n_layer = \d+ it fits") as refused:
        check_memory(name, wide, config, 3 << 30)
    layers = int(str(refused.value).partition("n_layer = ")[2].split()[0])
    check_memory(name, wide.model_copy(update={"n_layer": layers}), config, 3 << 30)
    with pytest.raises(ConfigError):
        check_memory(name, wide.model_copy(update={"n_layer": layers + 1}), config, 3 << 30)
    with pytest.raises(ConfigError, match="not even one layer"):
        check_memory(name, wide, config, 600 << 20)


def test_float32_on_a_gpu_counts_four_bytes() -> None:
    config, model = TrainConfig(steps=1), preset("mini", 300)
    half, full = (
        training_memory(
            model, config.model_copy(update={"precision": precision}), Processes(bytes_per_activation=2)
        )
        for precision in ("auto", "float32")
    )
    assert 1.5 * half.activations < full.activations < 2 * half.activations  # the stream is float32 in both
    assert full.halves == 0
    again = config.model_copy(update={"recompute": True})
    one_block = training_memory(model, again, Processes(bytes_per_activation=2)).halves
    five_blocks = 2 * 5 * 12 * model.n_embd**2
    assert half.halves - one_block == pytest.approx(five_blocks, rel=1e-3)


def test_a_row_longer_than_learned_positions_is_refused() -> None:
    config = TrainConfig(steps=1, context_length=2048)
    with pytest.raises(ConfigError, match=r"context_length 2,048: the model has learned positions for 1,024"):
        check_positions(preset("gpt2", 300), config)
    check_positions(preset("mini", 300), config)
