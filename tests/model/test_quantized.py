"""Frozen weights in few bits: the formats, gradients, what training holds, and builds over a base held so."""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import pytest
import torch
from torch import nn

from mynah.interop.held import Held, quickest_that_fits
from mynah.model.config import ModelConfig
from mynah.model.lora import LoRAConfig, adapter_size, adapter_tensors, add_adapter, merge_adapter
from mynah.model.quantized import BYTES, Bits, Quantized, QuantizedLinear, can_quantize, quantize_map
from mynah.model.transformer import Transformer
from mynah.model.weights import model_tensors, new_model
from mynah.train.trained import TrainedCount, trained_parameters


def lora(**settings: Any) -> LoRAConfig:
    """Return the shape of an adapter on all blocks."""
    return LoRAConfig(**{"layers": 1.0, **settings})


KINDS = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_1": gguf.GGMLQuantizationType.Q4_1}


def config(**changes: object) -> ModelConfig:
    return ModelConfig(
        **{
            "vocab_size": 64,
            "context_length": 32,
            "n_layer": 2,
            "n_head": 2,
            "n_embd": 32,
            "ffn_hidden": 64,
            **changes,
        }  # type: ignore[arg-type]
    )


def model_of(**changes: object) -> Transformer:
    model = new_model(config(**changes), 0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) * 0.05)
    return model


def quantize_maps(model: Transformer, bits: Bits) -> None:
    for name, module in list(model.named_modules()):
        if name.startswith("blocks.") and can_quantize(module):
            quantize_map(model, name, bits)


@pytest.mark.parametrize("bits", KINDS)
def test_numbers_are_those_of_gguf(bits: Bits) -> None:
    weight = torch.randn(24, 96, generator=torch.Generator().manual_seed(0)) * 0.02
    weight[3] = 0
    weight[4] = 0.25
    rows = weight.numpy()
    theirs = gguf.dequantize(gguf.quantize(rows, KINDS[bits]), KINDS[bits])
    ours = Quantized(weight, bits).dense(torch.float32).numpy()
    blocks = rows.reshape(24, 3, 32)
    step = {"q8_0": np.abs(blocks).max(2) / 127, "q4_1": np.ptp(blocks, axis=2) / 15}[bits]
    step = step.repeat(32, axis=1)
    # Half a step from what it was, and, as scales are rounded before they are divided by, rarely a step from theirs.
    assert (np.abs(ours - rows) <= 0.51 * step + 2e-3 * np.abs(rows) + 1e-6).all()
    assert (np.abs(ours - theirs) <= 0.1 * step + 2e-3 * np.abs(rows)).mean() > 0.99


def test_what_was_in_four_bits_comes_back() -> None:
    rows = torch.randn(16, 64, generator=torch.Generator().manual_seed(1)).numpy()
    kind = KINDS["q4_1"]
    saved = torch.from_numpy(gguf.dequantize(gguf.quantize(rows, kind), kind))
    torch.testing.assert_close(Quantized(saved, "q4_1").dense(torch.float32), saved, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bits", KINDS)
@pytest.mark.parametrize(
    "lora",
    [
        lora(rank=4),
        lora(rank=4, dora=True),
        lora(rank=4, dropout=0.1),
    ],
)
def test_it_computes_what_its_numbers_do(bits: Bits, lora: LoRAConfig) -> None:
    packed, plain = model_of(), model_of()
    quantize_maps(packed, bits)
    tensors = {
        f"{name}.weight": module.quantized.dense(torch.float32)
        for name, module in packed.named_modules()
        if isinstance(module, QuantizedLinear)
    }
    assert len(tensors) == 8
    plain.load_state_dict(tensors, strict=False)
    ids = torch.arange(20)[None]
    torch.testing.assert_close(packed(ids), plain(ids))
    losses = []
    for model in (packed, plain):
        add_adapter(model, lora, 0)
        for name, tensor in adapter_tensors(model).items():
            if name.endswith("lora_b"):
                tensor.normal_(0, 0.02, generator=torch.Generator().manual_seed(tensor.numel()))
        torch.manual_seed(0)  # of dropout
        loss = model.train().loss(model(ids), ids.roll(-1))
        loss.backward()
        losses.append(loss.detach())
    assert torch.equal(*losses) or torch.allclose(*losses)
    for one, other in zip(
        trained_parameters(packed).values(), trained_parameters(plain).values(), strict=True
    ):
        torch.testing.assert_close(one.grad, other.grad)
    for name, tensor in merge_adapter(plain).items():
        torch.testing.assert_close(merge_adapter(packed)[name], tensor)


def test_the_backward_pass_keeps_no_numbers() -> None:
    model = model_of()
    quantize_maps(model, "q8_0")
    add_adapter(model, lora(rank=2), 0)
    sizes = {
        tuple(m.quantized.shape)
        for m in model.modules()
        if isinstance(m, nn.Linear) and hasattr(m, "quantized")
    }
    kept: list[tuple[int, ...]] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.arange(5)[None])
    assert kept
    assert not sizes & set(kept)


def test_memory_is_counted() -> None:
    model = model_of()
    whole = sum(p.nbytes for p in model.parameters())
    maps = sum(m.weight.numel() for m in model.blocks.modules() if isinstance(m, nn.Linear))
    quantize_maps(model, "q4_1")
    add_adapter(model, lora(rank=2), 0)
    assert TrainedCount.of(model).frozen_bytes == whole - 4 * maps + int(maps * BYTES["q4_1"])
    assert Held(torch.float32, "q4_1").bytes_of(model.config) == pytest.approx(
        whole - (4 - BYTES["q4_1"]) * maps
    )
    assert not any(".weight" in name for name in model_tensors(model) if "attention" in name or "mlp" in name)


@pytest.mark.parametrize("mlp", ["swiglu", "gelu"])
@pytest.mark.parametrize(
    "lora",
    [
        lora(rank=3),
        lora(rank=3, joint_qkv=True, dora=True, targets=("qkv", "up", "gate")),
    ],
)
def test_the_size_of_an_adapter(mlp: str, lora: LoRAConfig) -> None:
    model = new_model(config(n_kv_head=1, head_dim=12, mlp=mlp), 0)
    add_adapter(model, lora, 0)
    assert adapter_size(model.config, lora) == sum(t.numel() for t in adapter_tensors(model).values())


def test_rows_that_are_no_blocks_stay() -> None:
    assert not can_quantize(nn.Linear(33, 8))
    model = model_of(n_embd=40, head_dim=16)
    quantize_maps(model, "q8_0")
    assert type(model.blocks[0].mlp.up) is nn.Linear
    assert isinstance(model.blocks[0].mlp.down, QuantizedLinear)


def test_fewer_bits_are_taken_where_the_memory_asks_for_it() -> None:
    shape, cpu = config(n_layer=8), torch.device("cpu")
    sizes: list[int] = []

    def never(held: Held) -> bool:
        sizes.append(held.bytes_of(shape))
        return False

    assert quickest_that_fits(shape, cpu, never).name == "q4_1"
    assert sizes == sorted(sizes, reverse=True)
    assert quickest_that_fits(shape, cpu, lambda held: held.bits is not None).name == "q8_0"
    assert quickest_that_fits(shape, cpu, lambda held: True).bits is None
