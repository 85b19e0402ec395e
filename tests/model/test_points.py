"""Transforms of functions over every make of network, and points where what passes by is read and replaced."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from networks import PARTS, shaken, small
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mynah.generate.state import DecodingState
from mynah.model.fused import only_plain, plain_operations
from mynah.model.points import Point
from mynah.model.presets import PRESETS, fields_of, preset
from mynah.model.transformer import IGNORE, Transformer
from mynah.model.weights import new_model

TOKENS = torch.randint(0, 50, (2, 12), generator=torch.Generator().manual_seed(0))


def tiny_preset(name: str) -> Transformer:
    """Return a preset's make in a size for tests."""
    fields = fields_of(name)
    grouped = fields.get("n_kv_head", fields["n_head"]) != fields["n_head"]
    config = preset(
        name, 50, n_layer=2, n_embd=32, n_head=4 if grouped else 2, n_kv_head=2, ffn_hidden=40,
        context_length=32, head_dim=20 if "head_dim" in fields else 32 // (4 if grouped else 2),
        windows=tuple(min(window, 5) for window in fields.get("windows", (0,))),
        bigram_buckets=64 if fields.get("bigram_buckets") else 0,
    )  # fmt: skip
    return shaken(new_model(config, 0).eval())


def per_example(model: Transformer, tokens: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Return the gradients of each example's loss, (N, ...) each, made at once."""
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, Tensor], tokens: Tensor, targets: Tensor) -> Tensor:
        def both(given: Tensor, wanted: Tensor) -> Tensor:
            return model.loss(model(given), wanted)

        return functional_call(_Calling(model, both), _within(weights), (tokens[None], targets[None]))

    with plain_operations():
        return vmap(grad(loss), in_dims=(None, 0, 0))(weights, tokens, targets)


class _Calling(nn.Module):
    """A model as a function of its weights that does more than one of its methods."""

    def __init__(self, model: Transformer, call: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        return self.call(tokens, targets)


def _within(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"model.{name}": value for name, value in weights.items()}


@pytest.mark.parametrize("name", PRESETS)
def test_gradients_of_examples_at_once_are_those_of_one_after_the_other(name: str) -> None:
    model = tiny_preset(name)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 50, (3, 11), generator=generator)
    targets = torch.randint(0, 50, (3, 11), generator=generator)
    targets[0, :4], targets[2, 1:] = IGNORE, IGNORE  # examples count different places
    made = per_example(model, tokens, targets)
    assert not only_plain()
    assert set(made) == {name for name, _ in model.named_parameters()}
    for n in range(3):
        model.zero_grad()
        model.loss(model(tokens[n : n + 1]), targets[n : n + 1]).backward()
        for part, p in model.named_parameters():
            assert p.grad is not None, part
            torch.testing.assert_close(
                made[part][n], p.grad, rtol=1e-4, atol=1e-4, msg=lambda m, part=part: f"{part}: {m}"
            )
    assert all(bool(g.abs().max() > 0) for g in made.values())


@pytest.mark.parametrize("name", ["nano", "gpt3-nano", "qwen3-0.6b"])
def test_derivatives_go_forward_too(name: str) -> None:
    model = tiny_preset(name)
    direction = {
        n: torch.randn(p.shape, generator=torch.Generator().manual_seed(2))
        for n, p in model.named_parameters()
    }
    weights = {n: p.detach() for n, p in model.named_parameters()}
    targets = TOKENS.roll(-1, 1)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        calling = _Calling(model, lambda given, wanted: model.loss(model(given), wanted))
        return functional_call(calling, _within(weights), (TOKENS, targets))

    with plain_operations():
        _, forward = torch.func.jvp(loss, (weights,), (direction,))
    model.loss(model(TOKENS), targets).backward()
    expected = sum((p.grad * direction[n]).sum() for n, p in model.named_parameters() if p.grad is not None)
    torch.testing.assert_close(forward, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("apart", [False, True])
def test_plain_operations_give_the_same(parts: dict[str, object], apart: bool) -> None:
    model = small(**parts)
    segments = torch.tensor([[0] * 5 + [1] * 7, [0] * 11 + [1]]) if apart else None
    with torch.no_grad():
        expected = model(TOKENS, segments)
        with plain_operations():
            torch.testing.assert_close(model(TOKENS, segments), expected, rtol=1e-4, atol=1e-5)


def logits_of(model: Transformer) -> Tensor:
    with torch.no_grad():
        return model.logits(model(TOKENS))


def points_of(model: Transformer) -> list[Point]:
    return [module for module in model.modules() if isinstance(module, Point)]


def test_a_point_nobody_looks_at_is_not_there() -> None:
    model, x = small(), torch.randn(2, 3, requires_grad=True)
    points = points_of(model)
    assert len(points) == 1 + 5 * 3
    for point in points:
        assert point(x) is x
        seen: list[Tensor] = []
        handle = point.register_forward_hook(lambda _, given, out, seen=seen: seen.append(out))
        assert point(x) is x  # read, not replaced
        assert seen[0] is x
        handle.remove()
        assert point(x) is x
        assert len(seen) == 1
    assert not any("at_" in name for name in model.state_dict())


@pytest.mark.parametrize("parts", PARTS)
def test_what_passes_by_can_be_read(parts: dict[str, object]) -> None:
    model = small(**parts)
    before = logits_of(model)
    B, T = TOKENS.shape
    read: dict[tuple[int, str], Tensor] = {}
    for layer, block in enumerate(model.blocks):
        for name in ("at_q", "at_k", "at_v", "at_pattern"):
            getattr(block.attention, name).register_forward_hook(
                lambda _, given, out, key=(layer, name): read.__setitem__(key, out)
            )
        block.at_stream.register_forward_hook(
            lambda _, given, out, key=(layer, "at_stream"): read.__setitem__(key, out)
        )
    torch.testing.assert_close(logits_of(model), before, rtol=1e-5, atol=1e-5)
    for layer in range(3):
        shapes = {
            name: tuple(read[layer, name].shape)
            for name in ("at_q", "at_k", "at_v", "at_pattern", "at_stream")
        }
        assert shapes == {
            "at_q": (B, 4, T, 8), "at_k": (B, 2, T, 8), "at_v": (B, 2, T, 8), "at_pattern": (B, 4, T, T),
            "at_stream": (B, T, 32),
        }  # fmt: skip
        pattern = read[layer, "at_pattern"]
        torch.testing.assert_close(pattern.sum(-1), torch.ones(B, 4, T))
        window = model.config.window(layer) or T
        query, key = torch.arange(T)[:, None], torch.arange(T)[None]
        seen = (key <= query) & (key > query - window)
        assert not pattern[..., ~seen].any()
        assert (pattern[..., seen] > 0).all()
        # They are what they are called: the pattern is that of the queries and keys, as they meet.
        scores = (
            read[layer, "at_q"]
            @ read[layer, "at_k"].repeat_interleave(2, 1).mT
            / model.config.score_divisor**0.5
        )
        torch.testing.assert_close(pattern, scores.masked_fill(~seen, -torch.inf).softmax(-1))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(model.norm(read[2, "at_stream"])), before)


@pytest.mark.parametrize("parts", PARTS)
def test_what_passes_by_can_be_replaced(parts: dict[str, object]) -> None:
    model = small(**parts)
    before = logits_of(model)

    def replaced(point: Point, by: Callable[[Tensor], Tensor]) -> Tensor:
        handle = point.register_forward_hook(lambda _, given, out: by(out))
        after = logits_of(model)
        handle.remove()
        torch.testing.assert_close(logits_of(model), before)
        return after

    assert not torch.allclose(replaced(model.blocks[1].at_stream, torch.zeros_like), before, atol=1e-3)
    ended = replaced(model.blocks[2].at_stream, torch.zeros_like)
    with torch.no_grad():  # nothing of the text is left at the end
        torch.testing.assert_close(ended, model.logits(model.norm(torch.zeros(*TOKENS.shape, 32))))
    # Values of nothing, or a pattern that looks nowhere, is attention that adds only its bias.
    attention = model.blocks[1].attention
    silent = replaced(attention.at_v, torch.zeros_like)
    torch.testing.assert_close(replaced(attention.at_pattern, torch.zeros_like), silent, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(silent, before, atol=1e-4)


def test_one_head_can_be_replaced() -> None:
    model = small(qk_norm=True)
    before = logits_of(model)
    attention = model.blocks[0].attention
    patterns: list[Tensor] = []
    outs: list[Tensor] = []
    attention.at_pattern.register_forward_hook(lambda _, given, out: patterns.append(out))
    attention.out.register_forward_pre_hook(lambda _, given: outs.append(given[0].unflatten(-1, (4, 8))))
    logits_of(model)
    attention.at_q.register_forward_hook(lambda _, given, q: q * torch.tensor([1, 1, 0, 1])[:, None, None])
    after = logits_of(model)
    others = [0, 1, 3]
    torch.testing.assert_close(patterns[0][:, others], patterns[1][:, others])
    torch.testing.assert_close(outs[0][:, :, others], outs[1][:, :, others])
    even = (
        torch.ones(12, 12).tril() / torch.arange(1, 13)[:, None]
    )  # a query of nothing looks everywhere alike
    torch.testing.assert_close(patterns[1][:, 2], even.expand(2, 12, 12))
    assert not torch.allclose(outs[0][:, :, 2], outs[1][:, :, 2], atol=1e-3)
    assert not torch.allclose(after, before, atol=1e-5)


@pytest.mark.parametrize("parts", PARTS)
def test_decoding_passes_the_points_too(parts: dict[str, object]) -> None:
    model = small(**parts)
    rows = [[1, 2, 3, 4, 5, 6, 7, 8], [9], [10, 11, 12]]
    steps = [[[13], [14], [15]], [[16, 17], [18], [19, 20, 21]]]

    def decoded(model: Transformer) -> list[Tensor]:
        state = DecodingState(model)
        return [state.add(rows), *(state.append(step) for step in steps), state.go_on([1, 2, 3, 13])]

    expected = decoded(model)
    seen: list[Tensor] = []
    hooked = copy.deepcopy(model)
    hooked.blocks[1].attention.at_pattern.register_forward_hook(lambda _, given, out: seen.append(out))
    for mine, theirs in zip(decoded(hooked), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert [tuple(pattern.shape) for pattern in seen] == [
        (3, 4, 8, 8),
        (3, 4, 1, 9),
        (3, 4, 3, 12),
        (1, 4, 1, 4),
    ]
    for pattern in seen:
        torch.testing.assert_close(pattern.sum(-1), torch.ones(pattern.shape[:-1]))
    assert not seen[1][1, :, 0, 2:].any()  # the second row has two tokens by then

    # A head that is silenced is silenced whether a text is read or written.
    def silence(model: Transformer) -> None:
        model.blocks[1].attention.at_pattern.register_forward_hook(
            lambda _, given, out: out * torch.tensor([1.0, 0.0, 1.0, 1.0])[:, None, None]
        )

    silence(model)
    state = DecodingState(model)
    made = [state.add([[1, 2, 3, 4, 5, 6, 7]]), *(state.append([[token]]) for token in (8, 9))]
    with torch.no_grad():
        whole = model.logits(model(torch.arange(1, 10)[None]))[0, 6:]
    torch.testing.assert_close(torch.cat(made), whole, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(made[0], expected[0][:1], atol=1e-5)


def test_points_can_be_trained_through() -> None:
    model: Any = small()
    added = torch.zeros(32, requires_grad=True)
    model.blocks[0].at_stream.register_forward_hook(lambda _, given, out: out + added)
    model.at_embedding.register_forward_hook(lambda _, given, out: out.detach())
    model.loss(model(TOKENS), TOKENS.roll(-1, 1)).backward()
    assert added.grad is not None
    assert added.grad.abs().max() > 0
