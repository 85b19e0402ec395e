"""A decoding state, whatever is done to its rows, gives what a pass over the whole of each row gives."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import PARTS, shaken, small, whole
from torch import Tensor

from mynah.errors import ConfigError
from mynah.generate.state import DecodingState
from mynah.model.transformer import Transformer
from mynah.ngram import NGramConfig
from mynah.ngram.prior import NGramPrior

MODELS = [small(**parts) for parts in PARTS]
#: longer than a window of 5, shorter, one token
PROMPTS = [[7, 3, 3, 9, 21, 40, 2, 17, 5], [11], [4, 49, 0, 0, 8], [30, 31]]


def agrees(state: DecodingState, logits: Tensor, first: int = 0) -> None:
    assert len(logits) == len(state) - first
    for row, tokens in zip(logits, state.tokens[first:], strict=True):
        torch.testing.assert_close(row, whole(state.model, tokens), rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def priored() -> Transformer:
    """A model that goes on from an n-gram model, which knows a text with records of different lengths."""
    generator = np.random.default_rng(0)
    text = np.concatenate([np.r_[0, generator.integers(1, 6, n)] for n in generator.integers(1, 30, 60)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prior = NGramPrior.train(text.astype(np.uint16), 50, 0, NGramConfig(order=4))
    model = shaken(small(prior=True, positions="learned"))
    model.prior = prior
    return model


@pytest.mark.parametrize("model", MODELS)
def test_rows_of_different_lengths_give_what_each_gives_alone(model: Transformer) -> None:
    state = DecodingState(model)
    agrees(state, state.add(PROMPTS))
    for token in range(6):
        agrees(state, state.append([[token], [20 + token], [0], [49 - token]]))
    assert state.lengths == [len(prompt) + 6 for prompt in PROMPTS]


@pytest.mark.parametrize("model", MODELS)
def test_several_tokens_can_follow_rows_of_different_lengths(model: Transformer) -> None:
    state = DecodingState(model)
    state.add(PROMPTS)
    agrees(state, state.append([[1, 2, 3], [4], [5, 6], [7, 8, 9]]))
    # What filled up the shorter ones must not be seen by what stands there next.
    agrees(state, state.append([[1], [2], [3, 4, 5, 6, 7, 8], [9, 9]]))
    agrees(state, state.append([[1], [2], [3], [4]]))


@pytest.mark.parametrize("model", MODELS)
def test_rows_come_go_change_places_and_are_copied(model: Transformer) -> None:
    state = DecodingState(model)
    state.add(PROMPTS[:2])
    state.append([[1], [2]])
    agrees(state, state.add(PROMPTS[2:]), first=2)
    agrees(state, state.append([[1], [2], [3], [4]]))
    state.keep([3, 0, 0, 2, 3, 3])
    assert [len(tokens) for tokens in state.tokens] == [3, 11, 11, 6, 3, 3]
    agrees(state, state.append([[n] for n in range(6)]))  # copies go ways of their own
    state.keep([2, 4])
    agrees(state, state.append([[5, 6], [7]]))
    state.keep([])
    assert len(state) == 0
    assert state.append([]).shape == (0, 50)
    agrees(state, state.add(PROMPTS))
    agrees(state, state.append([[1], [2], [3], [4]]))


@pytest.mark.parametrize("model", MODELS)
def test_what_is_taken_back_leaves_no_trace(model: Transformer) -> None:
    state = DecodingState(model)
    state.add(PROMPTS)
    state.truncate(0, 2)
    state.truncate(2, 0)
    assert state.lengths == [2, 1, 0, 2]
    agrees(state, state.append([[1], [2], [3], [4]]))
    agrees(state, state.append([[1, 5], [2], [3, 6, 7], [4]]))


def counted(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the number of tokens of each pass is added."""
    fed: list[int] = []
    forward = model.forward

    def counting(tokens: Tensor, *rest: Any, **more: Any) -> Tensor:
        fed.append(tokens.numel())
        return forward(tokens, *rest, **more)

    monkeypatch.setattr(model, "forward", counting)
    return fed


@pytest.mark.parametrize("number", range(len(PARTS)))
def test_the_next_turn_reads_only_what_is_new(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(**PARTS[number])
    state = DecodingState(model)
    fed = counted(model, monkeypatch)
    turns = [
        ([5, 6, 7, 8, 9], 5),
        ([5, 6, 7, 8, 9, 10, 11, 12], 3),
        ([5, 6, 7, 8, 9, 10, 11, 12], 1),  # its logits are wanted again
        ([5, 6, 7, 1, 2], 2),  # the last reply was another in the end
        ([5, 6], 1),
        ([9, 6], 2),  # nothing in common
    ]
    for prompt, new in turns:
        fed.clear()
        logits = state.go_on(prompt)
        assert fed == [new], prompt
        assert state.tokens == [prompt]
        agrees(state, logits)
    state.add(PROMPTS)
    agrees(state, state.go_on([9, 6, 3]))
    assert len(state) == 1


@st.composite
def operations(draw: st.DrawFn) -> list[tuple[str, list[int]]]:
    kinds = st.sampled_from(["add", "append", "keep", "truncate"])
    return draw(st.lists(st.tuples(kinds, st.lists(st.integers(0, 49), min_size=1, max_size=6)), max_size=12))


def applied(model: Transformer, steps: Sequence[tuple[str, list[int]]]) -> None:
    """Do each operation, as numbers say, and look at all rows after each that reads something."""
    state, expected = DecodingState(model), list[list[int]]()
    for kind, numbers in [("add", [1, 2]), *steps]:
        if kind == "add":
            begin = len(expected)
            fresh = [numbers, numbers[:1]][: 1 + numbers[0] % 2]
            expected += [list(row) for row in fresh]
            agrees(state, state.add(fresh), begin)
        elif kind == "append" and all(len(row) + 3 <= 32 for row in expected):
            added = [numbers[i % len(numbers) :][: 1 + (i + numbers[0]) % 3] for i in range(len(expected))]
            expected = [[*row, *more] for row, more in zip(expected, added, strict=True)]
            agrees(state, state.append(added))
        elif kind == "keep":
            rows = [n % len(expected) for n in numbers if n < 40] if expected else []
            expected = [list(expected[row]) for row in rows]
            state.keep(rows)
        elif kind == "truncate" and expected:
            row = numbers[0] % len(expected)
            del expected[row][numbers[-1] % (len(expected[row]) + 1) :]
            state.truncate(row, len(expected[row]))
        assert state.tokens == expected


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=15, deadline=None)
@given(steps=operations())
def test_any_sequence_of_operations_agrees_with_the_whole_model(
    model: Transformer, steps: list[tuple[str, list[int]]]
) -> None:
    applied(model, steps)


@settings(max_examples=15, deadline=None)
@given(steps=operations())
def test_any_sequence_of_operations_agrees_with_a_prior_too(
    priored: Transformer, steps: list[tuple[str, list[int]]]
) -> None:
    applied(priored, [(kind, [n % 6 for n in numbers]) for kind, numbers in steps])


def test_a_prior_follows_its_rows(priored: Transformer) -> None:
    state = DecodingState(priored)
    rows = [[0, 1, 2, 3], [2], [0, 4, 4, 5, 1, 0, 2]]
    agrees(state, state.add(rows))
    agrees(state, state.append([[1], [2], [0]]))
    state.keep([2, 0])
    agrees(state, state.append([[3], [4]]))
    state.truncate(0, 2)
    agrees(state, state.append([[5, 1], [0]]))
    state.truncate(0, 0)  # what knows nothing yet is a row all the same
    agrees(state, state.add([[3, 3]]), first=2)
    agrees(state, state.append([[1], [2], [3]]))
    for prompt in ([0, 4, 4, 1], [0, 4, 2, 2, 1], [3]):
        agrees(state, state.go_on(prompt))
    # The test means something only if the prior does.
    one, other = (priored.prior.log_probs(priored.prior.contexts(row)[:, -1:]) for row in ([0, 1], [0, 2]))  # type: ignore[union-attr]
    assert np.abs(one - other).max() > 0.1


def test_a_beam_search_needs_nothing_else() -> None:
    model = shaken(
        small(vocab_size=4, n_layer=2), 0.3
    )  # sure enough of itself that a beam of 3 finds the best
    prompt, length, width = [1], 5, 3
    state = DecodingState(model)
    scores, log_probs = torch.zeros(1), state.add([prompt]).log_softmax(-1)
    for step in range(length):
        best, flat = (scores[:, None] + log_probs).flatten().topk(width)
        state.keep((flat // 4).tolist())
        scores = best
        if step < length - 1:
            log_probs = state.append([[token] for token in (flat % 4).tolist()]).log_softmax(-1)
    found = [*state.tokens[0][1:], int(flat[0]) % 4]

    with torch.no_grad():
        every = torch.tensor([[*prompt, *rest] for rest in itertools.product(range(4), repeat=length)])
        log_p = model.logits(model(every[:, :-1])).log_softmax(-1)
        sums = log_p.gather(2, every[:, 1:, None]).sum((1, 2))
    assert found == every[sums.argmax(), 1:].tolist()
    torch.testing.assert_close(scores[0], sums.max())
    ranked = sums.sort(descending=True).values
    assert ranked[0] - ranked[1] > 1e-3  # one is the best


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_half_precision_decodes(positions: str) -> None:
    model = small(positions=positions, qk_norm=True, windows=(0, 6)).to(torch.bfloat16)
    state = DecodingState(model)
    logits = state.add(PROMPTS)
    for _ in range(12):
        assert logits.dtype == torch.float32
        for row, tokens in zip(logits, state.tokens, strict=True):
            torch.testing.assert_close(row, whole(model, tokens), rtol=0.1, atol=0.05)
        logits = state.append(logits.argmax(1)[:, None].tolist())


def greedy(model: Transformer, prompts: list[list[int]], steps: int) -> list[list[int]]:
    state = DecodingState(model)
    logits = state.add(prompts)
    for _ in range(steps):
        logits = state.append(logits.argmax(1)[:, None].tolist())
    return state.tokens


@pytest.mark.parametrize("number", [1, 3])
def test_threads_share_a_model(number: int) -> None:
    prompts = [[[n, n + 1, n + 2][: 1 + n % 3], [n]] for n in range(16)]
    model = MODELS[number]
    alone = [greedy(model, rows, 28) for rows in prompts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda rows: greedy(model, rows, 28), prompts))
    assert together == alone


def inside(model: Transformer) -> dict[str, Any]:
    """Return all that a model's modules hold, and every number of it."""
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, dict):
                found |= {f"{name}.{key}.{k}": (id(v), _copy(v)) for k, v in value.items()}
                found[f"{name}.{key}"] = list(value)
            else:
                found[f"{name}.{key}"] = id(value), _copy(value)
    return found


def _copy(value: object) -> object:
    return value.tolist() if isinstance(value, Tensor) else None


@pytest.mark.parametrize("model", MODELS)
def test_nothing_of_a_model_changes_in_a_pass(model: Transformer) -> None:
    before = inside(model)
    state = DecodingState(model)
    state.add(PROMPTS)
    state.append([[1, 2], [3], [4], [5]])
    state.keep([1, 1, 0])
    state.go_on([11, 4])
    assert inside(model) == before


def test_the_context_limit_leaves_the_state_usable() -> None:
    state = DecodingState(MODELS[0])
    state.add([[1] * 31, [2, 3]])
    agrees(state, state.append([[4], [5]]))
    kept = [list(tokens) for tokens in state.tokens]
    for refused in (
        lambda: state.append([[6], [7]]),
        lambda: state.add([[8], [9] * 33]),
        lambda: state.go_on([1] * 33),
    ):
        with pytest.raises(ConfigError, match=r"33 tokens do not fit into .* context of 32"):
            refused()
        assert state.tokens == kept
    for empty in (lambda: state.add([[1], []]), lambda: state.go_on([])):
        with pytest.raises(ConfigError, match="no tokens"):
            empty()
        assert state.tokens == kept
    state.truncate(0, 30)
    with pytest.raises(ConfigError, match="no tokens"):
        state.append([[6], []])
    # One row is full to the last token while a short one takes many.
    agrees(state, state.append([[6, 6], [7] * 9]))
    with pytest.raises(ConfigError):
        state.append([[6], [7]])
    state.keep([1])
    agrees(state, state.append([[6]]))
    with pytest.raises(IndexError):
        state.keep([0, 1])
    agrees(state, state.append([[6]]))
    for broken in (lambda: state.add([[1], [50]]), lambda: state.append([[50]])):  # no such token
        with pytest.raises(IndexError):
            broken()
    agrees(state, state.append([[6]]))


@pytest.mark.parametrize("changes", PARTS)
def test_scores_are_those_of_the_whole_text(changes: dict[str, object]) -> None:
    model = small(**changes)
    prompts, added = [[3, 7, 1], [5, 9], [3, 7, 1]], [[4, 8, 2], [6], [11, 3, 9, 10]]
    state = DecodingState(model)
    logits = state.add(prompts[:2])
    state.keep([0, 1, 0])
    scores = state.score(logits[[0, 1, 0]], added)
    for prompt, more, (said, likeliest) in zip(prompts, added, scores, strict=True):
        after = [whole(model, prompt + more[:n]) for n in range(len(more))]
        expected = [float(row.log_softmax(dim=-1)[token]) for row, token in zip(after, more, strict=True)]
        assert said.tolist() == pytest.approx(expected, abs=1e-4)
        hits = [int(row.argmax()) == token for row, token in zip(after, more, strict=True)]
        assert likeliest.tolist() == hits
