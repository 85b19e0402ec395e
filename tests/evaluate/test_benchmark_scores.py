"""What models are asked and how it is counted: by hand, and as lm_eval counts it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import PARTS, small, whole

from mynah.errors import ConfigError
from mynah.evaluate.benchmark.asking import ask, number_at_end
from mynah.evaluate.benchmark.files import read_benchmark
from mynah.evaluate.benchmark.items import Benchmark, Choosing, GoingOn, Programming, Writing
from mynah.evaluate.benchmark.likelihood import Likely, encode_pair, log_likelihoods, score_tokens
from mynah.evaluate.benchmark.programs import passes
from mynah.generate.state import DecodingState
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.tokenizer.tokenizer import Tokenizer

WORDS = "the cat sat on the mat and a dog ran to the door, so what is it? yes, no: 1 2 3"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([WORDS] * 4, 300)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Transformer:
    config = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=64, n_layer=2, n_head=2, n_embd=32)
    made = new_model(config, 0).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(4)
    return made


@pytest.mark.parametrize("parts", PARTS)
def test_texts_are_as_likely_as_a_pass_over_the_whole_says(parts: dict[str, Any]) -> None:
    network = small(**parts)
    pairs = [([1, 2, 3], [4, 5]), ([1, 2, 3], [6]), ([7], [8, 9, 10, 11]), ([1, 2, 3], [4, 5]), ([5], [])]
    pairs.append(([n % 40 for n in range(40)], [3, 4, 5]))  # longer than the context: its end counts
    shares: list[float] = []
    found = score_tokens(network, pairs, shares.append)
    assert shares[-1] == 1
    for (before, text), likely in zip(pairs, found, strict=True):
        total, greedy = 0.0, True
        kept = before[-(32 - len(text) + 1) :] if text else before
        for n, token in enumerate(text):
            logits = whole(network, [*kept, *text[:n]])
            total += float(logits.log_softmax(dim=-1)[token])
            greedy &= int(logits.argmax()) == token
        assert likely.log_prob == pytest.approx(total, abs=1e-3)
        assert (likely.tokens, likely.greedy) == (len(text), greedy)


def test_a_space_belongs_to_the_word_behind_it(tokenizer: Tokenizer) -> None:
    one, other = (encode_pair(tokenizer, *pair) for pair in (("the cat", " sat"), ("the cat ", "sat")))
    assert one == other
    assert encode_pair(tokenizer, "", "the")[0] == [tokenizer.control.bos]


def test_what_all_texts_begin_with_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small(context_length=64)
    begin = [n % 40 for n in range(30)]
    pairs = [([*begin, n], [n + 1, 3]) for n in range(5)] + [([*begin, 7, 8, 9], [2])]
    alone = [score_tokens(network, [pair])[0] for pair in pairs]
    read = []
    hidden = DecodingState._hidden

    def counted(self: DecodingState, first: int, new: Any) -> Any:
        read.append(sum(map(len, new)))
        return hidden(self, first, new)

    monkeypatch.setattr(DecodingState, "_hidden", counted)
    together = score_tokens(network, pairs)
    for one, other in zip(together, alone, strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)
    assert sum(read) < 30 + 20


def test_of_a_foreign_tokenizer_no_token_is_lost_at_the_beginning(tokenizer: Tokenizer) -> None:
    class Foreign:
        """One that puts something else before an empty text than before others."""

        def begin(self, text: str) -> list[int]:
            return [0] if not text else tokenizer.encode(text)

        encode = staticmethod(tokenizer.encode)

    before, text = encode_pair(Foreign(), "", "the cat")  # type: ignore[arg-type]
    assert (before, text) == ([0], tokenizer.encode("the cat"))
    before, text = encode_pair(Foreign(), "the", " cat")  # type: ignore[arg-type]
    assert before + text == tokenizer.encode("the cat")


def by_hand(likely: dict[tuple[str, str], float], monkeypatch: pytest.MonkeyPatch) -> None:
    def told(model: Any, tokenizer: Any, pairs: Any, told: Any = None) -> list[Likely]:
        return [Likely(likely[pair], 1, likely[pair] > -1) for pair in pairs]

    monkeypatch.setattr("mynah.evaluate.benchmark.asking.log_likelihoods", told)


def test_choices_by_their_likelihood_and_by_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Choosing((("q", " yes"), ("q", " no way at all")), 1), Choosing((("p", " a"), ("p", " b")), 0)]
    by_hand(
        {("q", " yes"): -3.0, ("q", " no way at all"): -6.0, ("p", " a"): -1.0, ("p", " b"): -2.0},
        monkeypatch,
    )
    found = ask(Benchmark("x", "ARC", items), None, None)  # type: ignore[arg-type]
    assert found.right == (False, True)
    assert (found.accuracy, found.more["accuracy_by_length"], found.chance) == (0.5, 1.0, 0.5)
    assert found.interval.low < 0.5 < found.interval.high
    assert found.to_json()["items"] == 2


def test_going_on_word_for_word(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand({("a", " b"): -0.5, ("c", " d"): -1.5}, monkeypatch)
    found = ask(Benchmark("x", "LAMBADA", [GoingOn("a", " b"), GoingOn("c", " d")]), None, None)  # type: ignore[arg-type]
    assert found.right == (True, False)
    assert found.more["perplexity"] == pytest.approx(math.e)
    assert found.chance is None


def test_numbers_at_the_end_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert number_at_end("It is 1,200.50 dollars") == 1200.5
    assert number_at_end("from 3 to -4.") == -4
    assert number_at_end("none") is None
    texts = ["So it is 18.\n", "It is 17", "nothing", "a  b"]
    monkeypatch.setattr("mynah.evaluate.benchmark.asking._written", lambda *_: texts)
    items = [Writing("q", "#### 18")] * 3 + [Writing("q", "a b", compared="text")]
    assert ask(Benchmark("x", "GSM8K", items), None, None).right == (True, False, False, True)  # type: ignore[arg-type]


def test_answers_in_own_words_end_where_they_should(model: Transformer, tokenizer: Tokenizer) -> None:
    long = Writing("the cat " * 60, "2")  # its end is read
    found = ask(Benchmark("x", "GSM8K", [Writing("the cat", "2"), long]), model, tokenizer)
    assert len(found.right) == 2


def test_programs_run_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    item = Programming("def f(x):\n", "def check(c):\n    assert c(2) == 4", "f")
    monkeypatch.setattr(
        "mynah.evaluate.benchmark.asking._written", lambda *_: ["    return 2 * x\n", "    return x\n"]
    )
    benchmark = Benchmark("x", "HumanEval", [item, item])
    with pytest.raises(ConfigError, match="allow it: --run-programs"):
        ask(benchmark, None, None)  # type: ignore[arg-type]
    assert ask(benchmark, None, None, run_programs=True).right == (True, False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "program",
    [
        "import time\ndef f(): time.sleep(0)",
        "def f():\n  raise ValueError",
        "def f():\n  import subprocess; subprocess.run(['true'])",
        "def f():\n  import os; os.system('true')",
        "def f():\n  import socket; socket.socket()",
        "def f():\n  return 'x' * (1 << 32)",
        "def f(:",
        "def f():\n  import sys; sys.exit(1)",
    ],
)
def test_programs_that_do_harm_or_fail_do_not_pass(program: str) -> None:
    harmless = "sleep(0)" in program
    assert passes(program, "def check(c): c()", "f") is harmless


def test_a_program_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mynah.evaluate.benchmark.programs.SECONDS", -4)
    assert not passes("def f():\n  while True: pass", "def check(c): c()", "f")


TASKS: dict[str, list[dict[str, Any]]] = {
    "multiple_choice": [
        {"query": "the cat sat on", "choices": ["the mat", "a dog and the door"], "gold": 0},
        {"query": "what is it?", "choices": ["yes", "no"], "gold": 1},
        {"query": "so", "choices": ["the door", "a mat"], "gold": 1},
        {"query": "a dog ran to", "choices": ["it", "the cat"], "gold": 0},
    ],
    "lambada": [
        {"context": "the cat sat on the", "continuation": " mat"},
        {"context": "a dog ran to the", "continuation": " door"},
    ],
    "blimp": [
        {"sentence_good": "the cat sat", "sentence_bad": "the cat sit on"},
        {"sentence_good": "a dog ran to the door", "sentence_bad": "a dog run to the door"},
    ],
}


@pytest.mark.parametrize("kind", TASKS)
def test_lm_eval_counts_the_same(kind: str, model: Transformer, tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask

    from mynah.evaluate.lm_eval_model import MynahLM

    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, TASKS[kind])), encoding="utf-8")
    config: dict[str, Any] = {
        "task": kind,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}, "cache_dir": str(tmp_path / "cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    if kind == "multiple_choice":
        config |= {"doc_to_text": "{{query}}", "doc_to_target": "{{gold}}", "doc_to_choice": "{{choices}}"}
    elif kind == "blimp":
        config |= {
            "doc_to_text": "", "doc_to_target": 0, "doc_to_choice": "{{[sentence_good, sentence_bad]}}",
            "target_delimiter": "",
        }  # fmt: skip
    else:
        config |= {
            "output_type": "loglikelihood", "doc_to_text": "{{context}}", "doc_to_target": "{{continuation}}",
            "target_delimiter": "",
            "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
        }  # fmt: skip
    task = ConfigurableTask(config=config)
    found = simple_evaluate(MynahLM(model, tokenizer), tasks=[task], bootstrap_iters=0, log_samples=False)
    theirs = found["results"][kind]
    ours = ask(read_benchmark(path), model, tokenizer)
    assert ours.accuracy == theirs["acc,none"]
    if kind == "lambada":
        assert ours.more["perplexity"] == pytest.approx(theirs["perplexity,none"], rel=1e-6)
    else:
        assert ours.more["accuracy_by_length"] == theirs["acc_norm,none"]


def test_lm_eval_reads_whole_texts_and_has_them_gone_on_with(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance

    from mynah.evaluate.lm_eval_model import MynahLM

    asked = MynahLM(model, tokenizer)

    def instance(*arguments: Any) -> Instance:
        return Instance("loglikelihood", {}, arguments, 0)

    [rolling] = asked.loglikelihood_rolling([instance("the cat sat on the mat")])
    [likely] = log_likelihoods(model, tokenizer, [("", "the cat sat on the mat")])
    assert rolling == pytest.approx(likely.log_prob)
    [longer] = asked.loglikelihood_rolling([instance(f"{WORDS} " * 8)])
    assert longer < 10 * rolling
    whole_text, cut = asked.generate_until(
        [
            instance("the cat", {"max_gen_toks": 8}),
            instance("the cat", {"until": ["a", "e"], "max_gen_toks": 8}),
        ]
    )
    assert whole_text.startswith(cut)
    assert not set("ae") & set(cut)
