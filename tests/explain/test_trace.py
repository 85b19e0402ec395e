"""What parts of a network add sums to what the network says, of every make of network."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from networks import PARTS, small, whole

from mynah.errors import ConfigError
from mynah.explain.attribution import integrated_gradients, leave_one_out, patch
from mynah.explain.trace import contributions, logit_lens, rollout, surprise, trace
from mynah.model.transformer import Transformer

TOKENS = [3, 17, 4, 9, 22, 8, 41, 3, 17]
NOTHING = [3, 2, 2, 9, 2, 2, 2, 3, 2]


def uncapped(model: Transformer, logit: float) -> float:
    cap = model.config.logit_softcap
    return cap * math.atanh(logit / cap) if cap else logit


@pytest.mark.parametrize("parts", PARTS)
def test_contributions_sum_to_the_logit(parts: dict[str, Any]) -> None:
    model = small(**parts)
    found = trace(model, TOKENS)
    L, H, T, C = 3, 4, len(TOKENS), 32
    assert found.streams.shape == (L + 1, T, C)
    assert found.heads.shape == (L, H, T, C)
    assert found.patterns.shape == (L, H, T, T)
    torch.testing.assert_close(found.patterns.sum(-1), torch.ones(L, H, T))
    logits = whole(model, TOKENS)
    torch.testing.assert_close(found.logits[-1], logits, rtol=1e-4, atol=1e-4)
    for at, token in ((T - 1, 5), (4, 22)):
        parts_of = contributions(model, found, at, token)
        logit = float(whole(model, TOKENS[: at + 1])[token])
        assert parts_of.total == pytest.approx(uncapped(model, logit), abs=2e-4)
    for layer in range(L):  # and each stream is the one before with what was added
        added = found.heads[layer].sum(0) + found.mlps[layer] + found.biases[layer]
        if found.pairs is not None:
            added = added + found.pairs[layer]
        torch.testing.assert_close(
            found.streams[layer] + added, found.streams[layer + 1], rtol=1e-4, atol=1e-4
        )


def test_the_lens_ends_where_the_network_does() -> None:
    model = small(**PARTS[3])
    found = trace(model, TOKENS)
    lens = logit_lens(model, found, len(TOKENS) - 1)
    assert len(lens) == 4
    expected = found.logits[-1].log_softmax(dim=-1)
    for token, log_prob in lens[-1]:
        assert log_prob == pytest.approx(float(expected[token]), abs=1e-4)


def test_rollout_by_hand() -> None:
    pattern = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    found = rollout(torch.stack([pattern[None], pattern[None]]))
    half = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    torch.testing.assert_close(found[0], half)
    torch.testing.assert_close(found[1], half @ half)


def test_surprise_is_what_a_token_costs() -> None:
    model = small()
    bits = surprise(trace(model, TOKENS))
    assert len(bits) == len(TOKENS) - 1
    expected = -float(whole(model, TOKENS[:4]).log_softmax(dim=-1)[TOKENS[4]]) / math.log(2)
    assert bits[3] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("parts", PARTS)
def test_attributions_are_complete(parts: dict[str, Any]) -> None:
    model = small(**parts)
    found = integrated_gradients(model, TOKENS, 5, NOTHING)
    assert found.missing <= 0.01
    assert sum(found.tokens) == pytest.approx(found.difference, rel=0.011)
    assert len(found.tokens) == len(TOKENS)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_attributions_find_the_token_that_decides() -> None:
    """A network whose next token hangs on nothing but the token at its place."""
    model = small(n_layer=1, positions="learned")
    with torch.no_grad():
        model.blocks[0].attention.out.weight.zero_()  # type: ignore[union-attr, operator]
    found = integrated_gradients(model, TOKENS, 5, NOTHING)
    assert abs(found.tokens[-1]) > 0.99 * sum(map(abs, found.tokens))


@pytest.mark.parametrize("parts", PARTS)
def test_leaving_out_is_reading_without(parts: dict[str, Any]) -> None:
    model = small(**parts)
    said, spans = [5, 6], [(0, 2), (3, 4)]
    found = leave_one_out(model, TOKENS, said, spans)

    def likely(tokens: list[int]) -> float:
        first = whole(model, tokens).log_softmax(dim=-1)[5]
        return float(first + whole(model, [*tokens, 5]).log_softmax(dim=-1)[6])

    for (begin, end), value in zip(spans, found, strict=True):
        expected = likely(TOKENS) - likely([*TOKENS[:begin], *TOKENS[end:]])
        assert value == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("parts", PARTS)
def test_patching_all_of_the_way(parts: dict[str, Any]) -> None:
    model = small(**parts)
    other = [*TOKENS]
    other[2] = 30
    found, best, worst = patch(model, TOKENS, other, 5, 7)
    assert found.shape == (4, len(TOKENS))
    assert best != worst
    last = len(TOKENS) - 1
    assert float(found[-1, last]) == pytest.approx(1, abs=1e-2)  # the last state is all that the head sees
    torch.testing.assert_close(found[-1, :last], torch.zeros(last), atol=1e-2, rtol=0)
    if not model.config.bigram_buckets and not model.config.value_embeddings:
        assert float(found[0, 2]) == pytest.approx(1, abs=1e-2)  # the only token that differs


def test_what_cannot_be_explained() -> None:
    model = small()
    with pytest.raises(ConfigError, match="no text to explain"):
        trace(model, [])
    with pytest.raises(ConfigError, match="33 tokens do not fit"):
        trace(model, [1] * 33)
    with pytest.raises(ConfigError, match="expected as many"):
        patch(model, [1, 2], [1], 3, 4)
    with pytest.raises(ConfigError, match="in float32"):
        integrated_gradients(small().bfloat16(), TOKENS, 5, NOTHING)
