"""Guesses ahead: whatever is guessed, what comes is what would have come without it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import PARTS, shaken, small, whole
from test_decode import plain, requests_of

from mynah.generate.drafts import PASS, Counted, Repeats, Speculation
from mynah.generate.engine import Request, generate
from mynah.generate.lane import Ended
from mynah.generate.sampling import Drawn
from mynah.generate.scheduler import Scheduler
from mynah.generate.settings import SamplingConfig
from mynah.generate.state import DecodingState
from mynah.model.transformer import Transformer
from mynah.ngram.config import NGramConfig
from mynah.ngram.prior import NGramPrior


@pytest.fixture(scope="module")
def prior() -> NGramPrior:
    text = np.random.default_rng(1).integers(1, 6, 4000) * (np.arange(4000) % 9 > 0)
    return NGramPrior.train(text.astype(np.uint16), 50, 0, NGramConfig(order=4))


@pytest.fixture(scope="module")
def priored(prior: NGramPrior) -> Transformer:
    model = shaken(small(prior=True, positions="learned"))
    model.prior = prior
    return model


class Oracle:
    """Knows what comes, and now and then says something else."""

    def __init__(self, known: Sequence[int], start: int, wrong: float, seed: int) -> None:
        self.known, self.start, self.wrong, self.rng = known, start, wrong, random.Random(seed)
        self.asked = 0

    def draft(self, tokens: Sequence[int], most: int) -> list[int]:
        self.asked += 1
        after = self.known[len(tokens) - self.start :][: self.rng.randint(0, most)]
        return [49 - token if self.rng.random() < self.wrong else token for token in after]


@pytest.mark.parametrize("wrong", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("number", range(len(PARTS)))
def test_guesses_change_nothing_alone(number: int, wrong: float) -> None:
    model = small(**PARTS[number])
    for n, request in enumerate(requests_of(24)):
        alone = list(generate(model, request))
        known, start = [one.token for one in alone], len(request.prompt)
        guessed = replace(
            request, drafters=lambda known=known, start=start, n=n: [Oracle(known, start, wrong, n)]
        )
        assert plain(list(generate(model, guessed))) == plain(alone)


def test_guesses_change_nothing_of_a_model_that_goes_on_from_another(priored: Transformer) -> None:
    for n, request in enumerate(requests_of(24)):
        alone = list(generate(priored, request))
        known, start = [one.token for one in alone], len(request.prompt)
        for drafter in (Oracle(known, start, 0.3, n), Repeats(), Counted(priored.prior)):  # type: ignore[arg-type]
            guessed = replace(request, drafters=lambda drafter=drafter: [drafter])
            assert plain(list(generate(priored, guessed))) == plain(alone)


def test_guesses_change_nothing_among_others() -> None:
    model, scheduler = small(), Scheduler(rows=5)
    requests = requests_of(40)
    alone = [list(generate(model, request)) for request in requests]
    found: list[list[Drawn | Ended]] = [[] for _ in requests]
    tickets = []
    for n, request in enumerate(requests):
        oracle = Oracle([one.token for one in alone[n]], len(request.prompt), 0.3, n)
        drafters = (lambda oracle=oracle: [oracle]) if n % 3 else None
        asked = replace(request, drafters=drafters)
        tickets.append(scheduler.submit(model, asked, found[n].append))
    scheduler.stop(60)
    accepted = 0
    for n, (events, ticket) in enumerate(zip(found, tickets, strict=True)):
        drawn = [event for event in events if isinstance(event, Drawn)]
        assert isinstance(events[-1], Ended)
        assert plain(drawn) == plain(alone[n])
        assert 0 <= ticket.guesses.accepted <= ticket.guesses.drafted
        assert n % 3 or not ticket.guesses.drafted
        accepted += ticket.guesses.accepted
    assert accepted > 20


def test_right_guesses_save_passes() -> None:
    model = small(context_length=128)
    request = Request([1, 2, 3], SamplingConfig(max_tokens=60))
    known = [one.token for one in generate(model, request)]
    passes = 0

    class Right:
        def draft(self, tokens: Sequence[int], most: int) -> list[int]:
            nonlocal passes
            passes += 1
            return known[len(tokens) - 3 :][:most]

    assert [one.token for one in generate(model, replace(request, drafters=lambda: [Right()]))] == known
    assert passes <= 1 + 60 // (PASS // 2)


def test_a_failing_guesser_is_asked_less_and_less() -> None:
    model = small(context_length=256)
    request = Request([1, 2, 3], SamplingConfig(max_tokens=200))
    wrong = Oracle([one.token for one in generate(model, request)], 3, 1.0, 0)
    list(generate(model, replace(request, drafters=lambda: [wrong])))
    assert 5 <= wrong.asked <= 60


@given(st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=6), min_size=1, max_size=4), st.data())
@settings(deadline=None, max_examples=40)
def test_reading_many_tokens_gives_the_logits_after_each(first: list[list[int]], data: st.DataObject) -> None:
    for model in (small(), small(**PARTS[3]), small(windows=(4, 0))):
        state = DecodingState(model)
        state.add(first)
        new = [data.draw(st.lists(st.integers(0, 49), min_size=1, max_size=5)) for _ in first]
        for before, row, logits in zip(first, new, state.read(new), strict=True):
            assert len(logits) == len(row)
            for at in range(len(row)):
                wanted = whole(model, before + row[: at + 1])
                np.testing.assert_allclose(logits[at].numpy(), wanted.numpy(), atol=1e-4)


def test_taking_back_a_part_of_what_was_read_keeps_what_the_prior_knows(priored: Transformer) -> None:
    state = DecodingState(priored)
    state.add([[0, 1, 2], [0, 3]])
    state.read([[4, 5, 1], [2]])
    state.truncate(0, 4)
    for logits, tokens in zip(state.read([[1, 2], [5]]), ([0, 1, 2, 4, 1, 2], [0, 3, 2, 5]), strict=True):
        np.testing.assert_allclose(logits[-1].numpy(), whole(priored, tokens).numpy(), atol=1e-4)


def test_a_text_is_guessed_to_go_on_as_it_did() -> None:
    drafter = Repeats()
    assert drafter.draft([1, 2, 3, 4, 5, 6], 4) == []
    assert drafter.draft([1, 2, 3, 4, 5, 6, 2, 3], 4) == [4, 5, 6, 2]
    # Four tokens say more than two: after 9 2 3 came 7.
    assert Repeats([[8, 9, 2, 3, 7, 7], [1, 2, 3, 5]]).draft([8, 9, 2, 3], 2) == [7, 7]
    assert Repeats([[8, 9, 2, 3, 7, 7], [1, 2, 3, 5]]).draft([0, 2, 3], 2) == [5]


def test_an_n_gram_model_guesses_while_it_is_sure() -> None:
    def counted(text: npt.NDArray[np.integer]) -> Counted:
        return Counted(NGramPrior.train(text.astype(np.uint16), 50, 0, NGramConfig(order=2)))

    assert counted(np.tile(np.arange(8), 200)).draft([0, 1, 2], 4) == [3, 4, 5, 6]
    assert counted(np.random.default_rng(0).integers(0, 50, 4000)).draft([0, 1, 2], 4) == []


def test_lengths_follow_how_guesses_fare() -> None:
    known = list(range(100))

    class Always:
        def draft(self, tokens: Sequence[int], most: int) -> list[int]:
            return known[:most]

    guesses, lengths = Speculation([Always()]), []
    for _ in range(4):
        lengths.append(len(guesses.draft([1], 100)))
        guesses.fared(lengths[-1], lengths[-1])
    assert lengths == [4, 8, 16, 16]
    guesses.fared(16, 0)
    assert [len(guesses.draft([1], 100)) for _ in range(3)] == [0, 2, 2]
    assert guesses.draft([1], 0) == []
