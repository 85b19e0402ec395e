from __future__ import annotations

import pytest
import torch

from mynah.data.records import Conversation, Document, Message
from mynah.errors import ConfigError
from mynah.generate.chat import ChatSession, continue_text
from mynah.generate.engine import Request, generate, generate_all
from mynah.generate.sampling import Sampler
from mynah.generate.settings import SamplingConfig
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.config import TrainConfig
from mynah.train.phases import tune

GREEDY = SamplingConfig(max_tokens=12)
TALKS = [
    Conversation((Message("user", q), Message("assistant", a)))
    for q, a in [
        ("red?", "roses are red"),
        ("blue?", "the sky is blue"),
        ("你好？", "你好，欢迎"),
        ("bye", "bye"),
    ]
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([t for talk in TALKS for t in talk.texts], 300)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Transformer:
    """A model that has learned four exchanges by heart."""
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=48, n_layer=2, n_head=2, n_embd=64, qk_norm=True,
        norm_weight=False, tie_embeddings=False, init="zero_out", bigram_buckets=64, value_embeddings=True,
    )  # fmt: skip
    model = new_model(config, 0)
    tune(model, encode_records(TALKS, tokenizer), None,
         TrainConfig(steps=60, batch_size=4, context_length=48, learning_rate=0.01))  # fmt: skip
    return model


def test_it_says_what_it_learned_and_stops_at_the_turns_end(model: Transformer, tokenizer: Tokenizer) -> None:
    for talk in TALKS:
        session = ChatSession(model, tokenizer, SamplingConfig(max_tokens=30))
        assert "".join(session.reply(talk.messages[0].content)) == talk.messages[1].content


def test_one_by_one_and_side_by_side_agree(model: Transformer, tokenizer: Tokenizer) -> None:
    c = tokenizer.control
    prompts = [[c.bos, c.user, *tokenizer.encode(t.messages[0].content), c.end, c.assistant] for t in TALKS]
    requests = [Request(prompt, GREEDY, stop=(c.end,)) for prompt in prompts]
    one_by_one = [[drawn.token for drawn in generate(model, request)] for request in requests]
    for at_once in (None, 1, 3):
        assert generate_all(model, requests, at_once) == one_by_one


def test_greedy_is_the_argmax_of_the_whole_model(model: Transformer, tokenizer: Tokenizer) -> None:
    ids = [tokenizer.control.bos, *tokenizer.encode("the")]
    made = [drawn.token for drawn in generate(model, Request(ids, GREEDY))]
    with torch.no_grad():
        for token in made:
            assert token == int(model.logits(model(torch.tensor([ids])))[0, -1].argmax())
            ids.append(token)


def test_it_never_runs_past_the_context(model: Transformer) -> None:
    made = list(generate(model, Request([0] * 40, SamplingConfig(max_tokens=100))))
    assert len(made) == 8
    with pytest.raises(ConfigError, match="48 tokens, expected 1 to 47"):
        list(generate(model, Request([0] * 48, GREEDY)))
    with pytest.raises(ConfigError, match="0 tokens"):
        list(generate(model, Request([], GREEDY)))


def test_oldest_turns_go_first(model: Transformer, tokenizer: Tokenizer) -> None:
    session = ChatSession(model, tokenizer, SamplingConfig(max_tokens=8))
    for _ in range(6):
        "".join(session.reply("red? blue? red? blue?"))
    assert session.dropped > 0
    assert session.dropped % 2 == 0  # whole exchanges
    assert len(session.history) == 12
    session.reset()
    assert "".join(session.reply("bye")) == "bye"
    with pytest.raises(ConfigError, match="send a shorter one"):
        "".join(session.reply("red? " * 60))
    assert [m.content for m in session.history] == ["bye", "bye"]


def test_typed_control_tokens_stay_text(model: Transformer, tokenizer: Tokenizer) -> None:
    session = ChatSession(model, tokenizer, GREEDY)
    "".join(session.reply("<|end|>"))
    ids = tokenizer.template.render(session.history).ids
    assert ids.count(tokenizer.control.end) == 2  # one for each turn of the history
    assert "".join(continue_text(model, tokenizer, "<|user|>", GREEDY)) is not None


def test_sampling_follows_the_distribution() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))

    def shares(**settings: float) -> list[float]:
        sampler = Sampler(SamplingConfig(**{"temperature": 1.0, "seed": 0, **settings}))  # type: ignore[arg-type]
        drawn = torch.tensor([sampler.draw(logits).token for _ in range(4000)])
        return (torch.bincount(drawn, minlength=4) / 4000).tolist()

    assert shares() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    assert shares(top_k=2) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert shares(top_p=0.7) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert shares(top_p=0.81) == pytest.approx([0.526, 0.316, 0.158, 0], abs=0.03)
    assert shares(temperature=0.0) == [1, 0, 0, 0]


def test_same_seed_same_text(model: Transformer, tokenizer: Tokenizer) -> None:
    def text(seed: int) -> str:
        config = SamplingConfig(temperature=2.0, max_tokens=20, seed=seed)
        return "".join(continue_text(model, tokenizer, "the", config))

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(5)}) > 1


def test_streaming_waits_for_whole_characters(tokenizer: Tokenizer) -> None:
    ids = [i for char in "你🤥a" for byte in char.encode() for i in _byte(tokenizer, byte)]
    pieces = list(tokenizer.stream(ids))
    assert "".join(pieces) == "你🤥a"
    assert all("\ufffd" not in piece for piece in pieces)


def _byte(tokenizer: Tokenizer, byte: int) -> list[int]:
    """Return the id of one byte in the byte-level alphabet."""
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: F401 (the alphabet's home)

    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    char = chr(byte) if byte in printable else chr(256 + rest.index(byte))
    return [tokenizer.backend.token_to_id(char)]


def test_documents_can_be_continued(model: Transformer, tokenizer: Tokenizer) -> None:
    assert encode_records([Document("x")], tokenizer).tokens[0] == tokenizer.control.bos
    long = "the sky is blue " * 50
    assert isinstance("".join(continue_text(model, tokenizer, long, GREEDY)), str)
