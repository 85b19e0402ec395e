"""Each fault is planted and asked for by name; what is healthy has none."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from networks import small

from mynah.data.records import Conversation, Document, Message, Record
from mynah.diagnose.curves import Phase, curve_findings
from mynah.diagnose.findings import Finding
from mynah.diagnose.networks import badly_spoken, dead_units, forgetting
from mynah.diagnose.texts import (
    badly_split,
    endless_replies,
    more_text_helps,
    repeated_across_the_split,
    template_in_text,
)
from mynah.diagnose.words import WORDS
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer

Losses = Callable[[np.ndarray], np.ndarray]
RNG = np.random.default_rng(0)


def phase(loss: Losses, held_out: Losses | None = None, **changes: Any) -> Phase:
    """Return a training of 400 steps, told every 10, measured every 40."""
    steps = np.arange(0, 401, 10)
    losses = loss(steps.astype(float)) + np.random.default_rng(0).normal(0, 0.03, len(steps))
    rows: list[dict[str, Any]] = []
    for step, value in zip(steps.tolist(), losses.tolist(), strict=True):
        row: dict[str, Any] = {"step": step, "loss": value if step else None, "held_out": None, "rate": 1.0}
        if step % 40 == 0:
            row["held_out"] = float((held_out or loss)(np.array([float(step)]))[0])
        rows.append(row)
    return Phase(
        **{"name": "pretrain", "rows": rows, "rate": 0.01, "usual_rate": 0.01, "minutes": 3, **changes}
    )


def falling(steps: np.ndarray) -> np.ndarray:
    return 1.5 + 6 * np.exp(-steps / 60)


def names(found: list[Finding]) -> list[str]:
    return [finding.name for finding in found]


def test_a_healthy_training_has_nothing() -> None:
    assert curve_findings(phase(falling)) == []
    assert curve_findings(phase(falling, lambda s: falling(s) + 0.05)) == []
    assert (
        curve_findings(phase(lambda s: 0.3 - 0.0001 * s, name="tune")) == []
    )  # hardly anything left to learn
    assert curve_findings(phase(falling, rate=0.001)) == []  # a low rate that does its work
    assert curve_findings(Phase("tune", [{"step": 0, "loss": None, "held_out": 2.0}], 0.1, 0.1, 3)) == []


def test_steps_of_one_row_differ_and_nothing_is_wrong() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)

        def noisy(steps: np.ndarray, rng: np.random.Generator = rng) -> np.ndarray:
            return 5 + 1.5 * np.exp(-steps / 60) + rng.normal(0, 0.5, len(steps))

        assert curve_findings(phase(noisy, falling)) == []


def test_overfitting_and_since_when() -> None:
    found = curve_findings(phase(falling, lambda s: falling(s) + np.maximum(0, s - 160) * 0.004))
    assert names(found) == ["overfitting"]
    assert 120 <= found[0].values["since"] <= 200
    assert "overfitting since step" in found[0].what()


def test_too_soon_and_too_slow() -> None:
    slow = phase(lambda s: 7.5 - 0.006 * s)
    assert names(curve_findings(slow)) == ["too_short"]
    assert names(curve_findings(phase(lambda s: 7.5 - 0.006 * s, rate=0.0005))) == ["rate_too_low"]


def test_too_fast() -> None:
    found = curve_findings(phase(lambda s: np.where(s < 100, falling(s), 5 + 0 * s)))
    assert names(found) == ["rate_too_high"]
    assert found[0].values["at"] <= 100 < found[0].values["to"]


def test_jumps() -> None:
    found = curve_findings(phase(lambda s: falling(s) + np.where(np.isin(s, (200, 300)), 2.0, 0), falling))
    assert names(found) == ["spikes"]
    assert (found[0].values["count"], found[0].values["first"]) == (2, 200)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none(value: float) -> None:
    rows = [*phase(falling).rows[:20], {"step": 200, "loss": value, "held_out": None}]
    found = curve_findings(Phase("tune", json.loads(json.dumps(rows)), 0.1, 0.1, 3))
    assert names(found) == ["not_a_number"]
    assert found[0].values["step"] == 200


def words(seed: int, count: int) -> str:
    rng = np.random.default_rng(seed)
    vocabulary = ["".join(rng.choice(list(string.ascii_lowercase), rng.integers(2, 9))) for _ in range(200)]
    return " ".join(rng.choice(vocabulary, count))


def talks(count: int, begin: int = 0) -> list[Conversation]:
    return [
        Conversation(
            (Message("user", words(n, 40)), Message("assistant", words(n + 10_000, 40))), f"x.csv:{n}"
        )
        for n in range(begin, begin + count)
    ]


def test_records_on_both_sides() -> None:
    train, held_out = talks(60), talks(20, 1000)
    assert repeated_across_the_split(train, held_out) is None
    first = held_out[3]
    other_case = first.with_texts([text.upper() for text in first.texts])
    nearly = held_out[5].with_texts([f"{text} so" for text in held_out[5].texts])
    found = repeated_across_the_split([*train, other_case, nearly], held_out)
    assert found is not None
    assert (found.name, found.values["count"]) == ("duplicates", 2)
    assert found.places == ("x.csv:1003", "x.csv:1005")
    short: list[Record] = [Conversation((Message("user", "hi"), Message("assistant", "hello")))]
    assert repeated_across_the_split(short, short) is None  # what everybody says


def test_signs_of_a_template() -> None:
    clean = talks(50)
    assert template_in_text(clean) is None
    assert template_in_text([]) is None
    dirty = [Document("<|im_start|>user\nhello<|im_end|>", "y.txt:1"), *clean[:20]]
    found = template_in_text(dirty)
    assert found is not None
    assert (found.name, found.places) == ("template_in_text", ("y.txt:1",))
    assert "im_" in found.what()


def test_replies_without_end() -> None:
    tokenizer = Tokenizer.train([words(1, 300)], 300)
    data = encode_records(talks(20), tokenizer)
    stops = tokenizer.template.stop_ids
    assert endless_replies(data, stops) is None
    assert endless_replies(encode_records([Document(words(1, 30))], tokenizer), stops) is None
    tokens = data.tokens.copy()
    tokens[np.isin(tokens, list(stops))] = 7
    broken = TokenSet(tokens, data.starts, data.part, data.n_bytes, data.kind)
    found = endless_replies(broken, stops)
    assert found is not None
    assert (found.name, found.values["share"]) == ("no_stop_learned", 1.0)


def test_a_tokenizer_of_another_language() -> None:
    chinese = ["今天天气很好，我们去公园散步，然后回家吃饭。" * 4 + chr(0x4E00 + n) for n in range(100)]
    english = [words(n, 60) for n in range(60)]
    assert badly_split(Tokenizer.train(chinese, 600), chinese) is None
    found = badly_split(Tokenizer.train(english, 600), chinese)
    assert found is not None
    assert found.name == "tokenizer"
    assert found.values["own"] < found.values["fresh"] * 0.6
    assert badly_split(Tokenizer.train(english, 600), ["too short to say"]) is None


def test_more_text() -> None:
    tokenizer = Tokenizer.train([words(1, 2000)], 300)
    rng = np.random.default_rng(0)
    vocabulary = words(1, 400).split()
    documents = [Document(" ".join(rng.choice(vocabulary, 40))) for _ in range(40)]
    data = encode_records(documents, tokenizer)
    train, held_out = data.select(np.arange(30)), data.select(np.arange(30, 40))
    arguments = (train, held_out, 3, tokenizer.control.bos, tokenizer.vocab_size)
    found = more_text_helps(*arguments, 20.0, 1_000_000)
    assert found is not None
    assert found.name == "more_text_helps"
    assert found.values["then"] < found.values["now"]
    assert more_text_helps(*arguments, 2.0, 1_000_000) is None  # it has not been seen often
    same = encode_records([Document(words(2, 40))] * 40, tokenizer)
    assert (
        more_text_helps(same, same, *arguments[2:], 20.0, 1_000_000) is None
    )  # more of the same brings nothing


def test_dead_units() -> None:
    model = small(mlp="relu2")
    data = encode_records([Document(words(1, 400))], Tokenizer.train([words(1, 400)], 300))
    data = TokenSet(data.tokens % 50, data.starts, data.part, data.n_bytes, data.kind)
    assert dead_units(model, data) is None
    with torch.no_grad():
        model.blocks[1].mlp.up.weight[:120] = 0  # type: ignore[index, union-attr]
    found = dead_units(model, data)
    assert found is not None
    assert (found.name, found.values["block"]) == ("dead_units", 2)


def test_replies_that_run_on_or_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer.train([words(1, 300)], 300)
    model = small(vocab_size=tokenizer.vocab_size, context_length=256)
    asked = [(talk.messages[:1], f"ok {n}") for n, talk in enumerate(talks(8))]
    found = badly_spoken(model, tokenizer, asked)
    assert "does_not_stop" in names(found)
    assert found[0].values["asked"] == 8

    def say(*replies: list[int]) -> None:
        monkeypatch.setattr("mynah.diagnose.networks.generate_all", lambda model, requests: list(replies))

    say(*[[5, 6, n] for n in range(8)])
    assert badly_spoken(model, tokenizer, asked) == []
    say(*[[5, 6]] * 5, [7], [8], [9])
    assert names(badly_spoken(model, tokenizer, asked)) == ["same_reply"]
    assert (
        badly_spoken(model, tokenizer, [(history, "ok") for history, _ in asked]) == []
    )  # as the log has it
    assert badly_spoken(model, tokenizer, asked[:2]) == []


def test_forgetting() -> None:
    assert forgetting({"before": 1.0, "after": 1.05}, 0.001) is None
    assert forgetting(None, 0.001) is None
    found = forgetting({"before": 1.0, "after": 1.3}, 0.001)
    assert found is not None
    assert found.name == "forgetting"
    assert "30% more" in found.what()


def test_all_is_said_in_both_languages() -> None:
    names = (
        "step rate half phase since steps best last train train_then network ngram minutes first second low high at to "
        "third usual count least passes now then held_out share rows after before more own fresh asked block"
    )
    texts = {"tokens": "1", "parameters": "1", "sign": "x", "records": 1, "vocab_size": "1", "phase": "tune"}
    values = {**dict.fromkeys(names.split(), 1.0), **texts}
    for name in WORDS:
        finding = Finding(name, values, "tune")
        for language in ("en", "zh"):
            assert "{" not in finding.what(language) + finding.next(language)
        assert any("\u4e00" <= c <= "\u9fff" for c in finding.what("zh"))
        assert json.dumps(finding.to_json())
