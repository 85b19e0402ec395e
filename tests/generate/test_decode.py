"""Many requests decoded side by side, and what of their text is shown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import PARTS, small

from mynah.data.records import Message
from mynah.errors import ConfigError, GenerationError
from mynah.generate.chat import ChatSession, continue_text, text_request, until
from mynah.generate.engine import Request, decode, generate, generate_all
from mynah.generate.sampling import Drawn
from mynah.generate.settings import SamplingConfig
from mynah.model.presets import preset
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.tokenizer.tokenizer import Tokenizer


def requests_of(count: int) -> list[Request]:
    """Return requests that differ in all that one can differ in."""
    made = []
    for n in range(count):
        prompt = [(7 * n + i * i) % 50 for i in range(1 + (5 * n) % 29)]
        config = SamplingConfig(
            temperature=(0.0, 1.0, 3.0)[n % 3], max_tokens=1 + (3 * n) % 14, seed=n, top_k=(0, 4, 1, 20)[n % 4],
            repetition_penalty=(1.0, 1.3)[n % 2],
        )  # fmt: skip
        made.append(
            Request(prompt, config, range(n % 5 * 3), forbid=(49, n % 50), likeliest=(None, 0, 2)[n % 3])
        )
    return made


def plain(drawn: list[Drawn]) -> list[tuple[int, bool, list[int]]]:
    """Return what must be the same to the last bit."""
    return [(d.token, d.log_prob is None, [i for i, _ in d.likeliest]) for d in drawn]


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
@pytest.mark.parametrize("number", [1, 3])
def test_many_at_once_give_what_each_gives_alone(number: int, at_once: int) -> None:
    model = small(**PARTS[number])
    requests = requests_of(17)
    together: list[list[Drawn]] = [[] for _ in requests]
    for place, drawn in decode(model, iter(requests), at_once):
        together[place].append(drawn)
    alone = [list(generate(model, request)) for request in requests]
    assert [plain(row) for row in together] == [plain(row) for row in alone]
    for mine, theirs in zip(chain(*together), chain(*alone), strict=True):
        if mine.log_prob is not None:
            assert mine.log_prob == pytest.approx(theirs.log_prob, abs=1e-4)
    lengths = [len(row) for row in alone]
    assert 0 in lengths  # a stop id at once
    assert len(set(lengths)) > 5
    for request, row in zip(requests, alone, strict=True):
        assert len(row) <= min(request.config.max_tokens, 32 - len(request.prompt))
        assert not {d.token for d in row} & ({*request.stop} | {*request.forbid})


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_requests_are_taken_when_there_is_room(at_once: int) -> None:
    model = small()
    taken, done = 0, 0
    lengths = [1, 4, 2, 1, 1, 3, 5, 1, 2]

    def asked() -> Iterator[Request]:
        nonlocal taken
        for n, length in enumerate(lengths):
            taken += 1
            yield Request([n], SamplingConfig(max_tokens=length))

    came = [0] * len(lengths)
    stream = decode(model, asked(), at_once)
    assert taken == 0  # nothing before it is asked for
    for number, _ in stream:
        came[number] += 1
        assert taken - done <= at_once
        done = sum(map(int.__eq__, came, lengths))
    assert came == lengths
    assert taken == len(lengths)


def test_requests_that_end_at_once_make_room() -> None:
    model = small()
    everything = range(50)
    requests = [
        Request([n], SamplingConfig(max_tokens=3), stop=everything if n < 7 else ()) for n in range(9)
    ]
    assert [len(row) for row in generate_all(model, requests, 2)] == [0] * 7 + [3] * 2
    assert generate_all(model, [], 2) == []
    assert list(decode(model, iter(requests[:7]))) == []


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    model = small()
    for prompt, n in (([1] * 32, 32), ([], 0)):
        request = Request(prompt, SamplingConfig())
        for made in (decode(model, [request]), generate(model, request)):
            with pytest.raises(ConfigError, match=f"the prompt has {n} tokens, expected 1 to 31"):
                next(made)
    assert len(list(generate(model, Request([1] * 31, SamplingConfig(max_tokens=9))))) == 1


def test_a_damaged_model_is_told_from_a_good_one() -> None:
    model = small()
    with torch.no_grad():
        model.embed.weight[3, 3] = float("nan")
    with pytest.raises(GenerationError, match="largest logit is nan"):
        list(decode(model, [Request([3], SamplingConfig())]))


def cut(text: str, sizes: list[int]) -> list[str]:
    """Cut a text into pieces of these sizes, over and over."""
    pieces, at = [], 0
    for i in range(len(text) + 1):
        size = sizes[i % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    return pieces


few = st.text("ab\n", max_size=24)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=5)


@given(text=few, stop=st.text("ab\n", min_size=1, max_size=4), sizes=sizes)
def test_one_stop_text_is_where_the_text_is_split(text: str, stop: str, sizes: list[int]) -> None:
    shown = list(until(cut(text, sizes), (stop,)))
    assert "".join(shown) == text.split(stop)[0]
    assert all(shown)  # never an empty piece


@given(text=few, stops=st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3), sizes=sizes)
def test_where_pieces_are_cut_does_not_matter(text: str, stops: list[str], sizes: list[int]) -> None:
    whole = "".join(until([text], stops))
    assert "".join(until(cut(text, sizes), stops)) == "".join(until(text, stops)) == whole
    assert not any(stop in whole for stop in stops)
    assert text.startswith(whole)


@given(text=few, stop=st.text("ab\n", min_size=1, max_size=4), sizes=sizes)
def test_no_more_waits_than_may_begin_a_stop_text(text: str, stop: str, sizes: list[int]) -> None:
    came = ""
    shown = ""

    def pieces() -> Iterator[str]:
        nonlocal came
        for piece in cut(text, sizes):
            held = came[len(shown) :]
            assert stop.startswith(held)
            assert held != stop
            came += piece
            yield piece

    for piece in until(pieces(), [stop]):
        shown += piece


def test_a_listener_gets_what_cannot_begin_a_stop_text_at_once() -> None:
    assert list(until(["a", "b", "\n", "\nc", "\n"], ["\n\nd"])) == ["a", "b", "\n\nc", "\n"]


TEXTS = ["red? roses are red\nand blue", "你好，欢迎 🤥", "say it again and again"] * 6


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, 300)


@pytest.fixture(scope="module")
def bytewise(tokenizer: Tokenizer) -> Transformer:
    """A model that knows nothing, and so says halves of characters."""
    return small(vocab_size=tokenizer.vocab_size, context_length=64)


def test_one_token_never_shows_half_of_a_character(bytewise: Transformer, tokenizer: Tokenizer) -> None:
    halves = 0
    for seed in range(150):
        config = SamplingConfig(temperature=5.0, max_tokens=1, seed=seed)
        text = "".join(continue_text(bytewise, tokenizer, "你好", config))
        said = "".join(ChatSession(bytewise, tokenizer, config).reply("你好"))
        assert "\ufffd" not in text + said
        request = text_request(bytewise, tokenizer, "你好", config)
        halves += "\ufffd" in tokenizer.decode([d.token for d in generate(bytewise, request)])
    assert halves > 10  # that were not shown


def test_a_stop_text_ends_a_reply_and_the_next_turn_goes_on(
    bytewise: Transformer, tokenizer: Tokenizer
) -> None:
    config = SamplingConfig(temperature=1.0, max_tokens=25, seed=4)
    whole = "".join(ChatSession(bytewise, tokenizer, config).reply("say"))
    stop = whole[5:8]
    session = ChatSession(bytewise, tokenizer, replace_stop(config, stop))
    assert "".join(session.reply("say")) == whole.split(stop)[0]
    assert session.history[-1] == Message("assistant", whole.split(stop)[0])
    # What was read of the reply beyond the stop is taken back: a session without a past says the same next.
    again = ChatSession(bytewise, tokenizer, session.config, list(session.history))
    assert "".join(session.reply("it")) == "".join(again.reply("it"))
    text = "".join(continue_text(bytewise, tokenizer, "say", config))
    assert (
        "".join(continue_text(bytewise, tokenizer, "say", replace_stop(config, text[4:6])))
        == (text.split(text[4:6])[0])
    )


def replace_stop(config: SamplingConfig, *stop: str) -> SamplingConfig:
    return config.model_copy(update={"stop": stop})


def test_what_a_listener_walked_away_from_does_not_come_back(
    bytewise: Transformer, tokenizer: Tokenizer
) -> None:
    config = SamplingConfig(temperature=2.0, max_tokens=10, seed=2)
    session = ChatSession(bytewise, tokenizer, config)
    reply = session.reply("say")
    heard = next(reply)
    reply.close()
    assert session.history == [Message("user", "say"), Message("assistant", heard)]
    again = ChatSession(bytewise, tokenizer, config, list(session.history))
    assert "".join(session.reply("again")) == "".join(again.reply("again"))


def test_short_rows_are_decoded_side_by_side_whatever_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    from mynah.generate import engine

    model = new_model(preset("gpt2", 50, n_layer=1, n_embd=16, n_head=2, context_length=4096), 0)
    monkeypatch.setattr(engine, "CACHE_BYTES", 2 * 16 * 4 * 40)  # of one layer, for 40 tokens in all
    seen: list[int] = []
    add = engine.DecodingState.add
    monkeypatch.setattr(
        engine.DecodingState, "add", lambda self, rows: (seen.append(len(rows)), add(self, rows))[1]
    )
    config = SamplingConfig(max_tokens=6)
    engine.generate_all(model, [Request([1, 2], config) for _ in range(7)])
    assert engine.rows_at_once(model) == 1
    assert seen[0] == 5
