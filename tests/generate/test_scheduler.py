"""Requests from several threads to one worker: each gets what it would get alone, and nothing is left behind."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import ADAPTERS, PARTS, small, with_adapter
from test_decode import plain, requests_of

from mynah.errors import ConfigError, GenerationError
from mynah.generate.engine import Request, generate
from mynah.generate.lane import Ended, Lane, Ticket, closed_up
from mynah.generate.prefixes import Prefixes
from mynah.generate.sampling import Drawn
from mynah.generate.scheduler import Busy, Scheduler, Stopped
from mynah.generate.settings import SamplingConfig
from mynah.generate.state import DecodingState
from mynah.model.multi_lora import over_one_base, share_weights
from mynah.model.transformer import Transformer

LONG = SamplingConfig(max_tokens=25)


class Listener:
    """Gathers what a request is told."""

    def __init__(self) -> None:
        self.events: SimpleQueue[Drawn | Ended] = SimpleQueue()
        self.drawn: list[Drawn] = []

    def end(self, seconds: float = 30) -> Ended:
        while isinstance(event := self.events.get(timeout=seconds), Drawn):
            self.drawn.append(event)
        return event


def ask(scheduler: Scheduler, model: Transformer, request: Request) -> tuple[list[Drawn], Ended, Ticket]:
    listener = Listener()
    ticket = scheduler.submit(model, request, listener.events.put)
    ended = listener.end()
    return listener.drawn, ended, ticket


def nothing_left(scheduler: Scheduler, seconds: float = 5) -> bool:
    """Whether nothing runs or waits any more: an end is told within the step that makes room."""
    until = time.monotonic() + seconds
    while (load := scheduler.load()).running or load.waiting:
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("number", range(len(PARTS)))
def test_two_threads_of_traffic_to_two_models_get_what_each_request_gets_alone(
    number: int, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mynah.generate.lane.reads_together", lambda model: together)
    models = [small(**PARTS[number]), small()]
    requests = requests_of(40)
    alone = [list(generate(models[n % 2], request)) for n, request in enumerate(requests)]
    scheduler = Scheduler(rows=3)

    def some(which: range) -> list[tuple[int, list[Drawn], Ended]]:
        listeners = []
        for n in which:
            listeners.append((n, listener := Listener()))
            scheduler.submit(models[n % 2], requests[n], listener.events.put)
        return [(n, listener.drawn, listener.end()) for n, listener in listeners]

    with ThreadPoolExecutor(2) as pool:
        found = [row for rows in pool.map(some, [range(20), range(20, 40)]) for row in rows]
    for n, drawn, ended in found:
        assert plain(drawn) == plain(alone[n])
        room = min(requests[n].config.max_tokens, 32 - len(requests[n].prompt))
        assert ended.reason == ("length" if len(drawn) == room else "stop")
    assert nothing_left(scheduler)
    scheduler.stop()


@pytest.mark.parametrize("together", [False, True])
def test_rows_of_several_adapters_are_decoded_together_and_each_gets_what_it_gets_alone(
    together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mynah.generate.lane.reads_together", lambda model: together)
    models = [with_adapter(seed, shape) for seed, shape in enumerate(ADAPTERS)] + [small()]
    begin = list(
        range(2, 14)
    )  # so that what one adapter has read is at hand for the others, and of no use to them
    requests = [
        replace(request, prompt=[*begin, *list(request.prompt)[:10]]) if n % 3 else request
        for n, request in enumerate(requests_of(40))
    ]
    alone = [list(generate(models[n % 4], request)) for n, request in enumerate(requests)]
    assert len({str(plain(row)) for row in alone}) > 20
    share_weights(models)
    [multi] = over_one_base(models)
    scheduler, rows = Scheduler(rows=6), set[int]()
    decode = Lane._decode

    def watched(lane: Lane) -> None:
        rows.add(len({ticket.adapter for ticket in lane.running}))
        decode(lane)

    monkeypatch.setattr(Lane, "_decode", watched)

    def some(which: range) -> list[tuple[int, list[Drawn]]]:
        listeners = [(n, Listener()) for n in which]
        for n, listener in listeners:
            scheduler.submit(multi.model, requests[n], listener.events.put, n % 4)
        for _, listener in listeners:
            assert listener.end().reason in ("stop", "length")
        return [(n, listener.drawn) for n, listener in listeners]

    with ThreadPoolExecutor(2) as pool:
        found = [row for rows in pool.map(some, [range(20), range(20, 40)]) for row in rows]
    for n, drawn in found:
        assert plain(drawn) == plain(alone[n])
    assert max(rows) > 1
    scheduler.stop()


def test_short_prompts_are_read_in_one_pass_and_what_they_have_in_common_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mynah.generate.lane.reads_together", lambda model: True)
    model, scheduler = small(context_length=512), Scheduler()
    passes = list[list[int]]()
    append = DecodingState.append

    def counted(self: DecodingState, new: list[list[int]]) -> torch.Tensor:
        if max(map(len, new)) > 1:
            passes.append([len(row) for row in new])
        return append(self, new)

    monkeypatch.setattr(DecodingState, "append", counted)
    apart = [[n, *range(20)] for n in range(5)]
    alike = [[*range(30), n, n] for n in range(3)]
    long = [[7] * 300, [8] * 30]
    gate = threading.Event()
    held = scheduler.call(lambda: gate.wait(30))
    listeners = []
    for prompt in (*apart, *alike, *long):
        listeners.append((prompt, listener := Listener()))
        scheduler.submit(model, Request(prompt, SamplingConfig(max_tokens=3)), listener.events.put)
    gate.set()
    held.result(30)
    for prompt, listener in listeners:
        assert listener.end().reason == "length"
        alone = list(generate(model, Request(prompt, SamplingConfig(max_tokens=3))))
        assert plain(listener.drawn) == plain(alone)
    scheduler.stop()
    read = [one for one in passes if one[0] not in (300,)]
    assert read[:4] == [[21] * 5 + [32], [2, 2], [256], [44]]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=28), min_size=1, max_size=12))
@settings(deadline=None, max_examples=40)
def test_what_is_known_of_earlier_prompts_changes_nothing(prompts: list[list[int]]) -> None:
    model, scheduler = small(), Scheduler()
    for prompt in prompts:
        request = Request(prompt, SamplingConfig(max_tokens=4))
        drawn, ended, _ = ask(scheduler, model, request)
        assert plain(drawn) == plain(list(generate(model, request)))
        assert 0 <= ended.reused < len(prompt)
    scheduler.stop()


def test_a_conversation_that_grows_is_read_from_where_it_stood() -> None:
    model, scheduler = small(), Scheduler()
    prompt = list(range(12))
    drawn, ended, _ = ask(scheduler, model, Request(prompt, SamplingConfig(max_tokens=5)))
    assert ended.reused == 0
    further = [*prompt, *(one.token for one in drawn), 3, 4]
    _, ended, _ = ask(scheduler, model, Request(further, SamplingConfig(max_tokens=5)))
    assert ended.reused == 16  # the last token that was drawn has not been read
    scheduler.stop()


@given(st.integers(0, 12), st.sets(st.integers(0, 11)))
def test_places_of_those_that_have_gone_are_taken_by_the_last(count: int, gone: set[int]) -> None:
    gone = {row for row in gone if row < count}
    rows = closed_up(count, gone)
    assert sorted(rows) == sorted(set(range(count)) - gone)
    assert sum(place != row for place, row in enumerate(rows)) <= len(gone)


def test_prefixes_forget_the_least_recent_and_count_their_bytes() -> None:
    model = small()
    state = DecodingState(model)
    state.add([[n] * 10 for n in range(3)])
    rows = [state.copy(n) for n in range(3)]
    prefixes = Prefixes(2 * rows[0].n_bytes)
    prefixes.keep(rows[0])
    prefixes.keep(rows[1])
    assert prefixes.find([0] * 9) == (rows[0], 9)  # now 1 is the oldest
    prefixes.keep(rows[2])
    assert prefixes.n_bytes == 2 * rows[0].n_bytes
    assert prefixes.find([1] * 9) == (None, 0)
    assert prefixes.find([0] * 20) == (rows[0], 10)
    assert prefixes.find([2] * 7) == (None, 0)  # too short to be worth it
    state.append([[5], [5], [5]])
    prefixes = Prefixes(10 * rows[0].n_bytes)
    prefixes.keep(rows[0])
    prefixes.keep(state.copy(0))
    assert len(prefixes) == 1
    prefixes.keep(rows[2])
    prefixes.keep(rows[2])
    assert prefixes.n_bytes == state.copy(0).n_bytes + rows[2].n_bytes


def test_what_is_cancelled_is_out_at_once_wherever_it_is() -> None:
    model, scheduler = small(), Scheduler(rows=2)
    gate, blocked = threading.Event(), threading.Event()

    def wait() -> None:
        blocked.set()
        gate.wait(30)

    # While the worker is held, some wait; then all but one are given up, and one listener gives up at its first token.
    held = scheduler.call(wait)
    blocked.wait(30)
    listeners = [Listener() for _ in range(6)]
    tickets: list[Ticket] = []

    def first_token(event: Drawn | Ended) -> None:
        listeners[5].events.put(event)
        tickets[5].cancel()

    for n, listener in enumerate(listeners):
        told = first_token if n == 5 else listener.events.put
        tickets.append(scheduler.submit(model, Request([n, 1, 2], LONG), told))
    for ticket in tickets[:4]:
        ticket.cancel()
    gate.set()
    held.result(30)
    assert [listener.end().reason for listener in listeners] == ["cancelled"] * 4 + ["length", "cancelled"]
    assert [len(listener.drawn) for listener in listeners] == [0, 0, 0, 0, 25, 1]
    assert nothing_left(scheduler)
    scheduler.stop()


def test_too_much_is_refused_and_other_work_gets_its_turn() -> None:
    model, scheduler = small(), Scheduler(most_waiting=2)
    gate, blocked = threading.Event(), threading.Event()
    held = scheduler.call(lambda: (blocked.set(), gate.wait(30)))
    blocked.wait(30)
    listener = Listener()
    scheduler.submit(model, Request([1], LONG), listener.events.put)
    work = scheduler.call(lambda: 1 / 0)
    with pytest.raises(Busy, match="2 requests wait already"):
        scheduler.submit(model, Request([1], LONG), listener.events.put)
    with pytest.raises(Busy):
        scheduler.call(int)
    gate.set()
    held.result(30)
    with pytest.raises(ZeroDivisionError):
        work.result(30)
    assert listener.end().reason == "length"
    assert scheduler.call(lambda: 7).result(30) == 7
    scheduler.stop()


def test_longer_work_goes_on_in_turn_with_the_others_and_can_be_given_up() -> None:
    model, scheduler = small(), Scheduler()
    listener, went = Listener(), list[int]()

    def pieces(most: int) -> Generator[None, None, str]:
        for n in range(most):
            went.append(n)
            yield
            time.sleep(0.002)
        return "done"

    work, endless = scheduler.steps(pieces(60)), scheduler.steps(pieces(1 << 30))
    scheduler.submit(model, Request([1], LONG), listener.events.put)
    assert listener.end().reason == "length"
    assert not work.done()  # 25 tokens took about as many turns
    assert work.result(30) == "done"
    assert went[:60] == list(range(60))  # of such work one is begun when the last is done
    assert scheduler.call(lambda: 7).result(30) == 7
    assert endless.cancel()
    assert nothing_left(scheduler)
    time.sleep(0.1)  # for the piece that was under way
    last = went[-1]
    time.sleep(0.1)
    assert went[-1] == last
    late = scheduler.steps(pieces(1 << 30))
    scheduler.stop(0.05)
    with pytest.raises(Stopped):
        late.result(5)


def test_a_prompt_that_does_not_fit_is_refused_before_it_waits() -> None:
    model, scheduler = small(), Scheduler()
    with pytest.raises(ConfigError, match="expected 1 to 31"):
        scheduler.submit(model, Request([1] * 32, LONG), print)
    scheduler.stop()


def test_a_damaged_model_ends_its_own_requests_alone() -> None:
    model, damaged, scheduler = small(), small(), Scheduler()
    with torch.no_grad():
        damaged.embed.weight.fill_(float("nan"))
    _, bad, _ = ask(scheduler, damaged, Request([1, 2], LONG))
    assert bad.reason == "failed"
    assert isinstance(bad.error, GenerationError)
    drawn, good, _ = ask(scheduler, model, Request([1, 2], LONG))
    assert (len(drawn), good.reason) == (25, "length")
    scheduler.stop()


def test_what_goes_wrong_while_a_row_is_put_in_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model, scheduler = small(), Scheduler()

    def fails(*_: object) -> None:
        raise RuntimeError("there is no memory left")

    with monkeypatch.context() as patched:
        patched.setattr(DecodingState, "restore", fails)
        drawn, ended, _ = ask(scheduler, model, Request([1, 2], LONG))
        assert (drawn, ended.reason) == ([], "failed")
    assert ask(scheduler, model, Request([1, 2], LONG))[1].reason == "length"
    scheduler.stop()


def test_memory_of_many_and_long_rows_is_given_back() -> None:
    model = small(context_length=1000)
    state = DecodingState(model)
    state.add([[1, 2]] * 40)
    state.keep([0])
    state.append([[1] * 300])
    assert state._store.shape[2] < 4
    assert state._store.shape[4] < 500
    state.add([[3] * 5])
    torch.testing.assert_close(
        state.append([[4], [5]])[1], DecodingState(model).add([[3] * 5 + [5]])[0], rtol=1e-4, atol=1e-4
    )


def test_what_goes_wrong_with_one_row_is_not_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails:
        def apply(self, logits: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a grammar is misused")

        def accept(self, token: int) -> None:
            pass

    model, scheduler = small(), Scheduler()
    good, bad = Listener(), Listener()
    scheduler.submit(model, Request([1, 2], LONG), good.events.put)
    scheduler.submit(model, Request([1, 3], LONG, constraint=Fails), bad.events.put)
    assert bad.end().reason == "failed"
    assert good.end().reason == "length"
    assert len(good.drawn) == 25
    scheduler.stop()


def test_stopping_lets_what_runs_end_or_gives_it_up() -> None:
    model, scheduler = small(context_length=4000), Scheduler()
    short, endless = Listener(), Listener()
    scheduler.submit(model, Request([1], SamplingConfig(max_tokens=5)), short.events.put)
    scheduler.submit(model, Request([1], SamplingConfig(max_tokens=3900)), endless.events.put)
    scheduler.stop(seconds=0.5)
    assert short.end().reason == "length"
    assert endless.end().reason in ("cancelled", "length")
    with pytest.raises(Stopped):
        scheduler.submit(model, Request([1], LONG), print)
    with pytest.raises(Stopped):
        scheduler.call(int)


def test_requests_cancelled_at_random_leave_nothing_behind() -> None:
    model, scheduler, rng = small(), Scheduler(most_waiting=10_000, rows=4), random.Random(0)
    listeners, tickets = [], []
    for n, request in enumerate(requests_of(150)):
        listeners.append(listener := Listener())
        tickets.append(scheduler.submit(model, request, listener.events.put))
        if n % 3 == 0:
            rng.choice(tickets).cancel()
    for listener in listeners:
        assert listener.end().reason in ("stop", "length", "cancelled")
    assert nothing_left(scheduler)
    scheduler.stop()
