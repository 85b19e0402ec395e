from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from mynah.config import build_config
from mynah.errors import ArtifactError, ConfigError
from mynah.generate.engine import Request, generate
from mynah.generate.settings import SamplingConfig
from mynah.model import loss
from mynah.model.attention import join_heads, split_heads
from mynah.model.config import ModelConfig
from mynah.model.fused import plain_operations
from mynah.model.lora import (
    LoRAConfig,
    LoRALinear,
    adapted,
    adapter_tensors,
    adapters_off,
    add_adapter,
    load_adapter_tensors,
    merge_adapter,
    merge_in_place,
)
from mynah.model.roles import Role, roles_of
from mynah.model.transformer import IGNORE, Transformer
from mynah.model.weights import load_tensors, model_tensors, new_model
from mynah.tokenizer.dataset import TokenSet
from mynah.train.batches import NextToken, StreamBatches
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, held_out_loss, train
from mynah.train.optim import Optimizers
from mynah.train.trained import TrainedCount, trained_parameters, trained_roles


def lora(**settings: Any) -> LoRAConfig:
    """Return the shape of an adapter on all blocks."""
    return LoRAConfig(**{"layers": 1.0, **settings})


TOKENS = torch.randint(0, 60, (2, 24), generator=torch.Generator().manual_seed(3))
VARIANTS = [
    lora(rank=3, alpha=6.0),
    lora(rank=3, alpha=6.0, joint_qkv=True),
    lora(rank=3, alpha=3.0, rslora=True, targets=("qkv", "down")),
    lora(rank=3, alpha=6.0, dora=True),
]


def base(**changes: object) -> Transformer:
    """Return a model with every part that an adapter has to do with: groups of heads, gate and biases."""
    values = {
        "vocab_size": 60, "context_length": 32, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_embd": 32,
        "head_dim": 10, "ffn_hidden": 48, "mlp": "swiglu", "bias": True,
    }  # fmt: skip
    model = new_model(ModelConfig(**{**values, **changes}), 0)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return model


def randomize(model: nn.Module) -> nn.Module:
    """Fill an adapter with numbers that show in the logits; lengths stay near what they are."""
    generator = torch.Generator().manual_seed(2)
    for name, tensor in adapter_tensors(model).items():
        noise = 0.1 * torch.randn(tensor.shape, generator=generator)
        tensor.add_(tensor * noise if name.endswith("magnitude") else noise)
    return model


def adapted_base(config: LoRAConfig, **changes: object) -> Transformer:
    model = base(**changes)
    add_adapter(model, config, 0)
    randomize(model)
    return model


@torch.no_grad()
def logits_of(model: Transformer) -> Tensor:
    return model.logits(model(TOKENS))


def loss_of(model: Transformer) -> Tensor:
    return model.loss(model(TOKENS[:, :-1]), TOKENS[:, 1:])


# What it computes


def test_a_map_worked_out_by_hand() -> None:
    linear = nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        linear.bias.copy_(torch.tensor([0.5, -0.5]))
    for rslora, scale in ((False, 3.0), (True, 6.0)):
        config = lora(rank=4, alpha=12.0, rslora=rslora)
        assert config.scale == scale
        made = LoRALinear(linear, config, None, torch.Generator())
        with torch.no_grad():
            made.lora_a.zero_()[0] = torch.tensor([1.0, 1.0])
            made.lora_b[:, 0] = torch.tensor([1.0, -1.0])
        x = torch.tensor([2.0, 5.0])  # A x is 7
        expected = torch.tensor([12.5 + 7 * scale, 25.5 - 7 * scale])
        torch.testing.assert_close(made(x), expected)
        torch.testing.assert_close(F.linear(x, made.merged(), linear.bias), expected)


def test_lengths_worked_out_by_hand() -> None:
    linear = nn.Linear(2, 1)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[3.0, 0.0]]))
        linear.bias.fill_(1.0)
    made = LoRALinear(linear, lora(rank=1, alpha=2.0, dora=True), None, torch.Generator())
    assert made.lora_magnitude is not None
    assert made.lora_magnitude.tolist() == [3.0]
    with torch.no_grad():
        made.lora_a.copy_(torch.tensor([[0.0, 2.0]]))
        made.lora_b.fill_(1.0)
        made.lora_magnitude.fill_(10.0)
    # W + s B A = (3, 4), whose length is 5; brought to 10 it is (6, 8).
    torch.testing.assert_close(made.merged(), torch.tensor([[6.0, 8.0]]))
    torch.testing.assert_close(made(torch.tensor([1.0, 1.0])), torch.tensor([15.0]))


def test_queries_keys_and_values_have_a_pair_each() -> None:
    model = base()
    before = model.blocks[0].attention.query_key_value.weight.detach().clone()
    add_adapter(model, lora(rank=3, alpha=6.0), 0)
    randomize(model)
    made = model.blocks[0].attention.query_key_value
    assert made.lora_a.shape == (9, 32)
    changes = [
        2.0 * b @ a for a, b in zip(made.lora_a.chunk(3), split_heads(made.lora_b, 2, 10), strict=True)
    ]
    assert [len(change) for change in changes] == [40, 20, 20]
    torch.testing.assert_close(made.merged() - before, join_heads(*changes, 10), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", VARIANTS)
def test_it_begins_as_the_base(config: LoRAConfig) -> None:
    model = base()
    before, names = logits_of(model), set(model_tensors(model))
    add_adapter(model, config, 0)
    torch.testing.assert_close(logits_of(model), before, rtol=1e-5, atol=1e-5)
    if not config.dora:
        assert torch.equal(logits_of(model), before)
    assert set(model_tensors(model)) == names | set(adapter_tensors(model))
    assert len(adapted(model)) == 2 * len(config.targets)


def test_seeds() -> None:
    models = [base() for _ in range(3)]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        add_adapter(model, lora(rank=3), seed)
    first, second, other = (adapter_tensors(model) for model in models)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])
        assert torch.equal(tensor, other[name]) == name.endswith("lora_b")
        if name.endswith("lora_a"):  # uniform within 1 / sqrt(width), as PEFT begins
            bound = tensor.shape[1] ** -0.5
            assert tensor.abs().max() <= bound
            assert tensor.std() == pytest.approx(bound / 3**0.5, rel=0.2)


def test_rows_of_zeros_have_no_length_to_divide_by() -> None:
    model = base(init="zero_out")
    with torch.no_grad():
        model.blocks[0].mlp.down.weight.zero_()
    before = logits_of(model)
    add_adapter(model, lora(rank=3, dora=True), 0)
    torch.testing.assert_close(logits_of(model), before, rtol=1e-5, atol=1e-5)
    loss_of(model).backward()
    for name, p in trained_parameters(model).items():
        assert p.grad is not None
        assert torch.isfinite(p.grad).all(), name


# Gradients


@pytest.mark.parametrize("config", VARIANTS)
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_are_those_of_plain_operations(config: LoRAConfig, recompute: bool) -> None:
    ours, plain = (adapted_base(config).double().train() for _ in range(2))
    ours.recompute = recompute
    value = loss_of(ours)
    value.backward()
    with plain_operations():
        expected = loss_of(plain)
        expected.backward()
    torch.testing.assert_close(value, expected)
    wanted = dict(plain.named_parameters())
    for name, p in ours.named_parameters():
        assert (p.grad is None) == (wanted[name].grad is None) == (".lora_" not in name)
        if p.grad is not None:
            assert p.grad.is_contiguous()
            torch.testing.assert_close(p.grad, wanted[name].grad)


@pytest.mark.parametrize("config", VARIANTS[:2])
@pytest.mark.parametrize("bias", [True, False])
def test_written_gradients_are_those_of_finite_differences(config: LoRAConfig, bias: bool) -> None:
    owners = torch.eye(3).repeat(2, 1) if not config.joint_qkv else None
    made = LoRALinear(nn.Linear(5, 6, bias=bias), config, owners, torch.Generator()).double()
    made.requires_grad_(True)
    made.weight.requires_grad_(False)
    if made.bias is not None:
        made.bias.requires_grad_(False)
    randomize(made)
    x = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    nn.init.normal_(made.lora_b)
    assert torch.autograd.gradcheck(
        lambda x, a, b: torch.func.functional_call(made, {"lora_a": a, "lora_b": b}, (x,)),
        (x, made.lora_a, made.lora_b),
    )


def test_the_length_counts_as_a_constant() -> None:
    made = LoRALinear(nn.Linear(5, 6), lora(rank=2, dora=True), None, torch.Generator().manual_seed(0))
    randomize(nn.Sequential(made))
    magnitude, x = made.lora_magnitude, torch.randn(4, 5)
    assert magnitude is not None
    trained = [made.lora_a, made.lora_b, magnitude]
    found = torch.autograd.grad(made(x).square().sum(), trained)
    moved = made.weight + 16.0 * made.lora_b @ made.lora_a
    factor = magnitude / moved.norm(dim=1).detach()
    expected = torch.autograd.grad(F.linear(x, factor[:, None] * moved, made.bias).square().sum(), trained)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_strided_gradient_and_a_single_token() -> None:
    made = LoRALinear(nn.Linear(6, 4), lora(rank=2), None, torch.Generator().manual_seed(0))
    nn.init.normal_(made.lora_b)
    x = torch.randn(3, 7, 6).transpose(0, 1).requires_grad_()
    (made(x).transpose(0, 2) * torch.arange(7)[:, None].float().T[..., None].mT).sum().backward()
    got = x.grad, made.lora_a.grad, made.lora_b.grad
    x.grad = made.lora_a.grad = made.lora_b.grad = None
    y = F.linear(x, made.weight, made.bias) + 16.0 * F.linear(F.linear(x, made.lora_a), made.lora_b)
    (y.transpose(0, 2) * torch.arange(7)[:, None].float().T[..., None].mT).sum().backward()
    for found, expected in zip(got, (x.grad, made.lora_a.grad, made.lora_b.grad), strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(made(x[0, 0]), y[0, 0])


def test_only_what_enters_is_kept_for_the_backward_pass() -> None:
    made = LoRALinear(nn.Linear(64, 48), lora(rank=2), None, torch.Generator())
    made.weight.requires_grad_(False)
    kept: list[Tensor] = []
    x = torch.randn(100, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        made(x)
    own = {p.data_ptr() for p in made.parameters()} | {x.data_ptr()}
    new = [t for t in kept if t.data_ptr() not in own]
    assert [tuple(t.shape) for t in new] == [(100, 2)]


# Numbers of half the size


@pytest.mark.parametrize("config", VARIANTS)
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_bfloat16_weights_and_products(config: LoRAConfig, autocast: bool, half: bool) -> None:
    exact = adapted_base(config)
    model = base()
    if half:
        model.bfloat16()
    add_adapter(model, config, 0)
    load_adapter_tensors(model, adapter_tensors(exact), Path("adapter"))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast, cache_enabled=False):
        value = loss_of(model.train())
    value.backward()
    expected = loss_of(exact.train())
    expected.backward()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=2e-2, atol=0.0)
    tolerance = 0.1 if half or autocast else 1e-4
    for (name, p), wanted in zip(model.named_parameters(), exact.parameters(), strict=True):
        if p.requires_grad:
            assert p.dtype == torch.float32, name
            assert p.grad is not None
            assert wanted.grad is not None
            error = (p.grad - wanted.grad).norm() / wanted.grad.norm()
            assert error < tolerance, name
        else:
            assert p.grad is None
            assert p.dtype == (torch.bfloat16 if half else torch.float32)
    for name, tensor in merge_adapter(model).items():
        assert tensor.dtype == (torch.bfloat16 if half else torch.float32), name


def test_merging_in_bfloat16_rounds_once() -> None:
    model = base().bfloat16()
    add_adapter(model, lora(rank=3), 0)
    randomize(model)
    merged = merge_adapter(model)
    up = model.blocks[0].mlp.up
    exact = up.weight.float() + 32 / 3 * up.lora_b @ up.lora_a
    assert torch.equal(merged["blocks.0.mlp.up.weight"], exact.bfloat16())


# Merging, and the base alone


@pytest.mark.parametrize("tied", [True, False])
def test_merging_in_place_leaves_a_plain_model(tied: bool) -> None:
    plain = base(tie_embeddings=tied)
    model = adapted_base(VARIANTS[3], tie_embeddings=tied)
    expected, logits = merge_adapter(model), logits_of(model)
    merged = merge_in_place(model)
    assert merged is model
    assert not adapted(merged)
    assert roles_of(merged) == roles_of(plain)
    assert all(p.requires_grad for p in merged.parameters())
    found = model_tensors(merged)
    assert found.keys() == expected.keys() == model_tensors(plain).keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    torch.testing.assert_close(logits_of(merged), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("config", VARIANTS)
@pytest.mark.parametrize("tied", [True, False])
def test_merged_is_unmerged(config: LoRAConfig, tied: bool) -> None:
    model = adapted_base(config, tie_embeddings=tied)
    before = {name: t.clone() for name, t in model_tensors(model).items()}
    merged = merge_adapter(model)
    other = Transformer(model.config)
    load_tensors(other, merged, Path("merged"))
    torch.testing.assert_close(logits_of(other.eval()), logits_of(model), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model_tensors(model).items())


@pytest.mark.parametrize("config", VARIANTS)
def test_decoding_with_an_adapter_is_decoding_what_is_merged(config: LoRAConfig) -> None:
    model = adapted_base(config)
    merged = Transformer(model.config)
    load_tensors(merged, merge_adapter(model), Path("merged"))
    request = Request(TOKENS[0, :9].tolist(), SamplingConfig(max_tokens=12, temperature=1.0, seed=0))
    drawn = [[d.token for d in generate(each.eval(), request)] for each in (model, merged)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 3


def test_it_can_be_compiled() -> None:
    made = adapted_base(VARIANTS[0]).blocks[0].attention.query_key_value
    compiled, x = torch.compile(made, backend="eager"), torch.randn(2, 5, 32)
    torch.testing.assert_close(compiled(x), made(x))
    with adapters_off(made):
        torch.testing.assert_close(compiled(x), F.linear(x, made.weight, made.bias))


@pytest.mark.parametrize("config", VARIANTS)
def test_off_is_the_base_to_the_bit(config: LoRAConfig) -> None:
    expected, model, second = logits_of(base()), adapted_base(config), adapted_base(config)
    on = logits_of(model)
    assert (on - expected).abs().max() > 0.05
    with adapters_off(model):
        assert torch.equal(logits_of(model), expected)
        assert torch.equal(logits_of(second), on)  # another model's adapter stays
        with adapters_off(second):
            assert torch.equal(logits_of(second), expected)
        assert torch.equal(logits_of(second), on)
        seen: list[Tensor] = []
        thread = threading.Thread(target=lambda: seen.append(logits_of(model)))
        thread.start()
        thread.join()
        assert torch.equal(seen[0], on)  # another thread's, too
    assert torch.equal(logits_of(model), on)


def test_dropout_is_of_training_alone_and_of_the_adapter_alone() -> None:
    expected, model = logits_of(base()), adapted_base(lora(rank=3, alpha=6.0, dropout=0.5))
    still = logits_of(model)
    assert torch.equal(still, logits_of(adapted_base(VARIANTS[0])))
    model.train()
    torch.manual_seed(0)
    first, second = logits_of(model), logits_of(model)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(first, logits_of(model))
    with adapters_off(model):
        assert torch.equal(logits_of(model), expected)
    made = model.blocks[0].mlp.up
    x = torch.randn(1, 32).expand(20_000, -1)
    mean = made(x).mean(dim=0)
    torch.testing.assert_close(mean, made.eval()(x[:1])[0], rtol=0.1, atol=0.1)


# Training


def test_roles_and_what_is_trained() -> None:
    model = base()
    before = roles_of(model)
    add_adapter(model, lora(rank=3, dora=True), 0)
    after = roles_of(model)
    assert {name: after[name] for name in before} == before
    trained = trained_roles(model)
    assert set(trained) == set(adapter_tensors(model)) == set(trained_parameters(model))
    for name, role in trained.items():
        assert (
            role
            is {"a": Role.LOW_RANK, "b": Role.LOW_RANK_OUT, "magnitude": Role.VECTOR}[name.rpartition("_")[2]]
        )
    assert TrainedCount.of(model).matrices == 0


def test_the_second_matrix_has_a_rate_of_its_own() -> None:
    model = base()
    add_adapter(model, lora(rank=3), 0)
    before = {name: tensor.clone() for name, tensor in adapter_tensors(model).items()}
    optimizers = Optimizers(
        model, TrainConfig(steps=1, optimizer="adamw", learning_rate=1e-3, adapter_ratio=8, weight_decay=0)
    )
    for p in trained_parameters(model).values():
        p.grad = torch.ones_like(p)
    optimizers.step(0, 0.5)
    for name, tensor in adapter_tensors(model).items():
        moved = 8e-3 if name.endswith("b") else 1e-3
        torch.testing.assert_close(before[name] - tensor, torch.full_like(tensor, 0.5 * moved))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("config", [lora(rank=4), lora(rank=4, dora=True, dropout=0.05)])
def test_training_moves_the_adapter_alone(
    tiny: Callable[..., Transformer], data: TokenSet, tmp_path: Path, half: bool, config: LoRAConfig
) -> None:
    model = tiny(dropout=0.0, norm_weight=True, init="gpt2")
    if half:
        model.bfloat16()
    add_adapter(model, config, 0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    held_out = [StreamBatches(data, 8, 32, 1)(0)]
    begins = held_out_loss(model, held_out, NextToken())
    settings = TrainConfig(
        steps=30,
        batch_size=4,
        context_length=32,
        learning_rate=0.01,
        ema=0.5,
        eval_every=15,
        weight_decay=0.0,
    )

    def validate() -> float:
        return held_out_loss(model, held_out, NextToken())

    train(model, StreamBatches(data, 4, 32, 0), NextToken(), settings, Session(tmp_path), validate=validate)
    assert held_out_loss(model, held_out, NextToken()) < 0.95 * begins
    names = set(adapter_tensors(model))
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == names
    newest = max((tmp_path / "checkpoints").glob("step-*"))
    for file in ("model", "best", "average"):
        assert set(load_file(newest / f"{file}.safetensors")) == names
    state = {key.rpartition("/")[0] for key in load_file(newest / "optimizer.safetensors")}
    assert state == names
    with adapters_off(model):
        assert held_out_loss(model, held_out, NextToken()) == begins


@pytest.mark.parametrize("half", [False, True])
def test_a_frozen_head_in_pieces(monkeypatch: pytest.MonkeyPatch, half: bool) -> None:
    """The head of an adapted model is never trained: there are no gradients of it to add up."""
    values, grads = [], []
    monkeypatch.setattr(loss, "LEAST_ROWS", 1)
    for at_once in (1 << 20, 5 * 60):
        monkeypatch.setitem(loss.AT_ONCE, "cpu", at_once)
        model = base().bfloat16() if half else base()
        add_adapter(model, lora(rank=3), 0)
        randomize(model)
        targets = TOKENS[:, 1:].clone()
        targets[:, ::3] = IGNORE
        value = model.loss(model(TOKENS[:, :-1]), targets)
        value.backward()
        assert value.dtype == torch.float32
        values.append(value.detach())
        grads.append([p.grad for p in trained_parameters(model).values()])
    torch.testing.assert_close(values[1], values[0], rtol=1e-2 if half else 1e-5, atol=0.0)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(other, one, rtol=0.05 if half else 1e-4, atol=0.5 if half else 1e-4)


# Tensors in and out, and what is refused


def test_tensors_go_from_model_to_model() -> None:
    first, second = adapted_base(VARIANTS[0]), base()
    add_adapter(second, VARIANTS[0], 9)
    load_adapter_tensors(second, adapter_tensors(first), Path("adapter"))
    assert torch.equal(logits_of(first), logits_of(second))


def test_tensors_of_another_adapter_are_refused() -> None:
    model, path = adapted_base(VARIANTS[0]), Path("some/adapter")
    tensors = adapter_tensors(model)
    name = "blocks.0.mlp.up.lora_a"
    for wrong, reason in (
        (adapter_tensors(adapted_base(lora(rank=4))), r"has shape \(4, .*expected \(3"),
        (adapter_tensors(adapted_base(VARIANTS[3])), "lora_magnitude is not part"),
        ({n: t for n, t in tensors.items() if n != name}, f"{name} is missing"),
    ):
        with pytest.raises(ArtifactError, match=f"some/adapter: .*{reason}"):
            load_adapter_tensors(model, wrong, path)


def test_the_last_layers_alone() -> None:
    config = LoRAConfig(rank=2, layers=0.5)
    assert [config.first_layer(n) for n in (1, 2, 3, 30)] == [0, 1, 1, 15]
    assert LoRAConfig(layers=0.01).first_layer(30) == 29
    model = base()
    model.train()
    add_adapter(model, config, 0)
    assert {name.split(".")[1] for name in adapted(model)} == {"1"}
    streams: list[torch.Tensor] = []
    model.blocks[1].register_forward_pre_hook(lambda module, args: streams.append(args[0]))
    model.loss(model(torch.arange(6)[None]), torch.arange(6)[None]).backward()
    assert not streams[0].requires_grad  # nothing is computed backward before it


def test_what_gets_no_adapter() -> None:
    model = base(mlp="gelu")  # has no gate
    add_adapter(model, lora(rank=2), 0)
    assert {name.rpartition(".")[2] for name in adapted(model)} == {"query_key_value", "out", "up", "down"}
    with pytest.raises(ConfigError, match="merge it first"):
        add_adapter(model, lora(rank=2), 0)
    bare = base(mlp="gelu")
    with pytest.raises(ConfigError, match="targets gate: the model has none"):
        add_adapter(bare, lora(targets=("gate",)), 0)


def test_a_model_in_parts_is_refused() -> None:
    class Part(Tensor):
        """Stands for DTensor, of which a process has a part."""

    model = base()
    model.norm.weight = nn.Parameter(model.norm.weight.detach().as_subclass(Part))
    with pytest.raises(ConfigError, match="expected sharded = false, tensor_parallel = 1"):
        add_adapter(
            model,
            LoRAConfig(
                layers=1.0,
            ),
            0,
        )
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"rank": 0}, "rank"),
        ({"alpha": 0}, "alpha"),
        ({"dropout": 1.0}, "dropout"),
        ({"targets": ["head"]}, "targets"),
        ({"targets": []}, "targets"),
        ({"ranks": 3}, "did you mean 'rank'"),
    ],
)
def test_settings_that_are_wrong(values: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        build_config(LoRAConfig, values, "recipe")
