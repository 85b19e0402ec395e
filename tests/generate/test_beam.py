"""Beam search against a search through everything, and phrases that must be said."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah.errors import ConfigError
from mynah.generate.beam import BeamRequest, Hypothesis, beam_search, length_penalty
from mynah.generate.engine import Request, generate_all
from mynah.generate.settings import BeamConfig, SamplingConfig
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model

VOCAB, STOP, PROMPT = 6, 5, (1, 2)


def model() -> Transformer:
    made = new_model(
        ModelConfig(vocab_size=VOCAB, context_length=16, n_layer=1, n_head=2, n_embd=16), 3
    ).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(6)
    return made


@torch.no_grad()
def log_prob(made: Transformer, tokens: tuple[int, ...]) -> float:
    """Return the log-probability of tokens after the prompt, each computed from the whole row."""
    row = torch.tensor([[*PROMPT, *tokens]])
    log_probs = made.logits(made(row))[0].log_softmax(dim=-1)
    return sum(float(log_probs[len(PROMPT) - 1 + n, token]) for n, token in enumerate(tokens))


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_a_wide_beam_finds_the_best_of_all(alpha: float) -> None:
    made = model()
    longest = 3
    everything = [
        Hypothesis((*body,), log_prob(made, (*body, STOP)))
        for n in range(longest)
        for body in itertools.product(range(VOCAB - 1), repeat=n)
    ]
    # As wide as all that is alive at once, and as many finished ones, so that nothing is left out.
    request = BeamRequest(PROMPT, longest, (STOP,))
    found = beam_search(made, [request], BeamConfig(width=64, length_penalty=alpha))[0]
    ranked = sorted(everything, key=lambda one: -one.score(alpha))
    assert found[0].tokens == ranked[0].tokens
    assert found[0].log_prob == pytest.approx(ranked[0].log_prob, abs=1e-4)


def test_one_hypothesis_is_greedy_search_and_neighbours_change_nothing() -> None:
    made = model()
    prompts = [PROMPT, (3,), (4, 4, 0), (0, 1, 2, 3)]
    greedy = generate_all(
        made, [Request(p, SamplingConfig(temperature=0, max_tokens=5), (STOP,)) for p in prompts]
    )
    requests = [BeamRequest(p, 5, (STOP,)) for p in prompts]
    assert [list(found[0].tokens) for found in beam_search(made, requests, BeamConfig(width=1))] == greedy
    together = beam_search(made, requests, BeamConfig(width=3))
    alone = [beam_search(made, [request], BeamConfig(width=3))[0] for request in requests]
    assert [[one.tokens for one in found] for found in together] == [
        [one.tokens for one in found] for found in alone
    ]


def test_the_length_penalty_is_that_of_the_paper() -> None:
    assert length_penalty(1, 1.0) == 1.0
    assert length_penalty(7, 0.5) == pytest.approx((12 / 6) ** 0.5)
    assert length_penalty(30, 0.0) == 1.0


phrases = st.lists(
    st.lists(st.integers(0, VOCAB - 2), min_size=1, max_size=2).map(tuple), min_size=1, max_size=2
)


@settings(max_examples=30, deadline=None)
@given(phrases, st.integers(4, 6), st.integers(1, 4))
def test_every_hypothesis_says_the_phrases(wanted: list[tuple[int, ...]], room: int, width: int) -> None:
    found = beam_search(model(), [BeamRequest(PROMPT, room, (STOP,), (), wanted)], BeamConfig(width=width))[0]
    assert found
    for one in found:
        assert len(one.tokens) <= room
        for phrase in wanted:
            runs = [one.tokens[n : n + len(phrase)] for n in range(len(one.tokens))]
            assert phrase in runs


def test_what_is_forbidden_never_follows() -> None:
    found = beam_search(model(), [BeamRequest(PROMPT, 6, (STOP,), (0, 1, 2))], BeamConfig(width=4))[0]
    assert not {0, 1, 2} & {token for one in found for token in one.tokens}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="phrases that are asked for take 3 tokens"):
        beam_search(model(), [BeamRequest(PROMPT, 2, (STOP,), (), [(0, 1, 2)])], BeamConfig())
    with pytest.raises(ConfigError, match="expected 1 to 15"):
        beam_search(model(), [BeamRequest((), 2, (STOP,))], BeamConfig())


class Scripted:
    """What `beam_search` asks of a decoder, with logits that follow from the last token of a row alone."""

    def __init__(self, follows: dict[int, dict[int, float]], vocab: int) -> None:
        table = torch.full((vocab, vocab), 1e-9)
        for last, after in follows.items():
            for token, probability in after.items():
                table[last, token] = probability
        self.table = table.log()


def scripted(
    monkeypatch: pytest.MonkeyPatch, follows: dict[int, dict[int, float]], vocab: int
) -> Transformer:
    """Return a model whose decoding state is scripted."""
    made, rows = Scripted(follows, vocab), list[list[int]]()

    class State:
        def __init__(self, model: Transformer) -> None:
            rows.clear()

        def add(self, prompts: list[list[int]]) -> torch.Tensor:
            rows.extend(list(prompt) for prompt in prompts)
            return made.table[[row[-1] for row in rows]]

        def keep(self, which: list[int]) -> None:
            rows[:] = [list(rows[n]) for n in which]

        def append(self, new: list[list[int]]) -> torch.Tensor:
            for row, tokens in zip(rows, new, strict=True):
                row += tokens
            return made.table[[row[-1] for row in rows]]

    monkeypatch.setattr("mynah.generate.beam.DecodingState", State)
    return model()


def test_what_never_ends_does_not_win_over_what_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1 2 and the end, or 1 3 3 3 ... without one: a token of it costs less, and so the length penalty likes it.
    follows = {0: {1: 1.0}, 1: {2: 0.5, 3: 0.5}, 2: {5: 0.6, 4: 0.4}, 3: {3: 0.999}, 4: {4: 0.999}}
    made = scripted(monkeypatch, follows, VOCAB)
    found = beam_search(made, [BeamRequest((0,), 12, (STOP,))], BeamConfig(width=2))[0]
    assert found[0].tokens == (1, 2)


@pytest.mark.parametrize("width", [1, 4])
def test_a_long_phrase_is_said_where_it_belongs_and_once(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    # A sentence 1 .. 8 in which, after 5, the phrase 20 21 22 23 is a little less likely than 6.
    vocab, end = 30, 29
    chain = {n: {n + 1: 0.9, end: 0.01, 20: 0.001} for n in range(8)} | {8: {end: 0.9}}
    chain |= {5: {6: 0.6, 20: 0.3}, 20: {21: 0.9}, 21: {22: 0.9}, 22: {23: 0.9}, 23: {6: 0.9, 1: 0.01}}
    made = scripted(monkeypatch, chain, vocab)
    request = BeamRequest((0,), 15, (end,), (), [(20, 21, 22, 23)])
    found = beam_search(made, [request], BeamConfig(width=width))[0]
    assert found[0].tokens == (1, 2, 3, 4, 5, 20, 21, 22, 23, 6, 7, 8)
