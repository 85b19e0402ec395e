"""Measure a finished run on what was held out from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from mynah import artifacts
from mynah.data.language import language_of
from mynah.data.records import Conversation, Document, Message, Record, as_conversation
from mynah.data.store import read_records
from mynah.evaluate.language_model import Score, drawn_records, score_network, score_ngram, summarise
from mynah.evaluate.replies import (
    LOOKUPS,
    Question,
    exchanges,
    holds_facts,
    look_up,
    read_questions,
    reply_to_all,
)
from mynah.evaluate.writing import COPIED, measure_writing
from mynah.generate.chat import continue_text
from mynah.generate.copies import Runs
from mynah.generate.settings import SamplingConfig
from mynah.interop.trained import load_base, load_trained
from mynah.model.transformer import Transformer
from mynah.ngram.model import NGramModel
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer

#: Questions that the network alone is asked, evenly spread: the bot answers from the log, and generating takes long.
ASKED = 100
#: A prompt made of running text is this many characters long.
PROMPT_CHARACTERS = 80
#: Texts are written at this temperature where nothing else is said.
WRITING = 0.8


def evaluate_run(
    paths: RunPaths,
    *,
    sampling: SamplingConfig,
    max_tokens: int,
    samples: int,
    questions: Path | None,
    tuned: bool,
    device: torch.device,
    straight: bool = False,
    open_base: Path | None = None,
) -> dict[str, Any]:
    """Return the scores of n-gram model, base and chat model on the same held-out tokens, and samples.

    With `straight` the base is an open one as it came, and only replies were learned: they are what decides. Where a
    run began with `open_base`, that is measured untouched, and what learning has cost of what it knew: on a text that
    is no log.

    Raises:
        ArtifactError: if a stage of the run is missing or damaged.
        DataError: if `questions` is not a file of questions.
    """
    tokenizer = Tokenizer.load(paths.tokenizer)
    held_out = drawn_records(TokenSet.load(paths.tokens_of("held_out")), max_tokens)
    ngram = artifacts.read_json(paths.ngram_scores)
    baseline = score_ngram(NGramModel.load(paths.ngram_model), held_out)
    general, untouched = None, None
    forgotten: dict[str, Any] = {}
    if open_base is not None:
        language, general = _general_text(tokenizer, paths)
        forgotten["language"] = language
        if not straight:  # what has learned all text is another model
            model = load_base(open_base, device)
            scores = score_network(model, held_out, model.config.context_length)
            untouched = _parts(summarise(scores, held_out), summarise(scores, held_out, replies_only=True))
            forgotten["before"] = _bpb(model, general)
            del model  # a large one is not to stand in memory twice
    base = load_trained(paths.pretrained, paths.prior, tokenizer.control.bos, device)
    context = base.config.context_length
    scores = score_network(base, held_out, context)
    result: dict[str, Any] = {
        "held_out": {"records": len(held_out), "tokens": len(held_out.tokens)},
        "ngram": {
            "order": ngram["order"],
            "by_order": ngram["by_order"],
            **_parts(summarise(baseline, held_out), summarise(baseline, held_out, replies_only=True)),
        },
        "base": _parts(summarise(scores, held_out), summarise(scores, held_out, replies_only=True)),
        "parameters": base.config.n_params(),
    }
    if untouched is not None:
        result["untouched"] = untouched
    if general is not None and straight:
        forgotten["before"] = _bpb(base, general)
    talker = base
    if tuned:
        del base, talker
        talker = load_trained(paths.talker, paths.prior, tokenizer.control.bos, device)
        said = score_network(talker, held_out, context)
        # Of a network from random weights, fine-tuning is on replies after all text: only they are to be better.
        everything = summarise(said, held_out) if straight else None
        result["chat"] = _parts(everything, summarise(said, held_out, replies_only=True))
    chosen = _chosen(paths.records_of("held_out"), samples, tuned)
    result["samples"] = _samples(talker, tokenizer, chosen, sampling, tuned)
    if not tuned and chosen:
        learned = Runs(TokenSet.load(paths.tokens_of("train")).tokens, COPIED)
        written = [tokenizer.encode(sample["reply"]) for sample in result["samples"]]
        result["writing"] = measure_writing(written, learned)
    if questions is not None and tuned:
        known = exchanges(list(map(as_conversation, read_records(paths.records_of("train")))))
        result["questions"] = ask(talker, tokenizer, read_questions(questions), known, sampling)
    if general is not None:
        result["general"] = {**forgotten, "after": _bpb(talker, general)}
    result["verdict"] = _verdict(result, straight)
    return result


def _general_text(tokenizer: Tokenizer, paths: RunPaths) -> tuple[str, TokenSet]:
    """Return a fixed general text, bundled, and its language: that of the log."""
    seen = [
        text
        for record in itertools.islice(read_records(paths.records_of("train")), 50)
        for text in record.texts
    ]
    language = "zh" if language_of("\n".join(seen)).code == "zh" else "en"
    file = resources.files("mynah") / "samples" / f"general_{language}.txt"
    paragraphs = file.read_text(encoding="utf-8").strip().split("\n\n")
    return language, encode_records(map(Document, paragraphs), tokenizer)


def _bpb(model: Transformer, data: TokenSet) -> float:
    score = summarise(score_network(model, data, model.config.context_length), data)
    assert score is not None  # the text is not empty
    return score.bpb


def ask(
    model: Transformer,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    known: Sequence[tuple[str, str]],
    sampling: SamplingConfig,
) -> dict[str, Any]:
    """Return how many questions the network alone and lookups answer with the right facts, and where it fails.

    Questions that nothing answers, and those with a history, are left out.
    """
    questions = [q for q in questions if q.facts and not q.history]
    step = max(1, len(questions) // ASKED)
    some = questions[::step][:ASKED]
    replies = reply_to_all(model, tokenizer, [[Message("user", q.question)] for q in some], sampling)
    right = [holds_facts(r, q.facts) for r, q in zip(replies, some, strict=True)]
    lookups = {}
    for by in LOOKUPS:
        found = look_up(known, [q.question for q in questions], by)
        hits = sum(holds_facts(r, q.facts) for r, q in zip(found, questions, strict=True))
        lookups[by] = hits / max(1, len(questions))
    return {
        "count": len(some),
        "right": sum(right),
        "accuracy": sum(right) / max(1, len(some)),
        "wrong": [
            {"question": q.question, "intent": q.intent, "reply": r, "expected": q.answer}
            for q, r, ok in zip(some, replies, right, strict=True)
            if not ok
        ][:40],
        "lookups": lookups,
        "lookup_accuracy": max(lookups.values()),
    }


def _chosen(folder: Path, count: int, tuned: bool) -> list[Record]:
    """Return held-out records that can be answered (or continued), spread evenly over the part."""

    def can_be_used(record: Conversation | Document) -> bool:
        if tuned:
            return isinstance(record, Conversation) and record.can_teach_replies
        return sum(map(len, record.texts)) > PROMPT_CHARACTERS

    def usable() -> Iterator[Record]:
        return filter(can_be_used, map(as_conversation, read_records(folder)))

    there = sum(1 for _ in usable()) if count else 0
    numbers = {i * there // count for i in range(min(count, there))}
    return [record for number, record in enumerate(usable()) if number in numbers] if numbers else []


def _samples(
    model: Transformer,
    tokenizer: Tokenizer,
    chosen: Sequence[Record],
    sampling: SamplingConfig,
    tuned: bool,
) -> list[dict[str, str]]:
    """Answer (or continue) held-out prompts."""
    if not tuned:
        made = []
        # Always the likeliest token goes round in circles: nobody writes so (Holtzman et al. 2020).
        drawn = sampling if sampling.temperature else sampling.model_copy(update={"temperature": WRITING})
        for record in chosen:
            text = "".join(record.texts)
            prompt = text[:PROMPT_CHARACTERS]
            reply = "".join(continue_text(model, tokenizer, prompt, drawn))
            expected = text[PROMPT_CHARACTERS : 3 * PROMPT_CHARACTERS]
            made.append({"prompt": prompt, "reply": reply, "expected": expected})
        return made
    prompts: list[Sequence[Message]] = []
    expected_replies: list[str] = []
    for record in chosen:
        assert isinstance(record, Conversation)
        roles = [m.role for m in record.messages]
        at = roles.index("assistant", roles.index("user"))
        prompts.append(record.messages[:at])
        expected_replies.append(record.messages[at].content)
    replies = reply_to_all(model, tokenizer, prompts, sampling)
    return [
        {"prompt": p[-1].content, "reply": r, "expected": e}
        for p, r, e in zip(prompts, replies, expected_replies, strict=True)
    ]


def _parts(everything: Score | None, replies: Score | None) -> dict[str, Any]:
    return {
        "all": everything.to_json() if everything else None,
        "replies": replies.to_json() if replies else None,
    }


def _verdict(result: dict[str, Any], straight: bool) -> dict[str, Any]:
    """Say plainly whether the network beats the n-gram model on the same tokens."""
    learned, part = ("chat", "replies") if straight else ("base", "all")
    network, ngram = result[learned][part]["bpb"], result["ngram"][part]["bpb"]
    return {"beats_ngram": network < ngram, "network_bpb": network, "ngram_bpb": ngram, "on": part}
