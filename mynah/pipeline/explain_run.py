"""Everything that can be said of why a model says what it says, as plain values for a page or the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mynah.answers.reasons import reasons
from mynah.data.records import Conversation, Message, as_conversation
from mynah.data.store import read_records
from mynah.errors import ConfigError
from mynah.explain.attribution import check_as_long, integrated_gradients, leave_one_out, patch
from mynah.explain.examples import Nearest, nearest_in_gradient, nearest_in_words
from mynah.explain.trace import Trace, check_plain, contributions, logit_lens, rollout, surprise, trace
from mynah.generate.chat import chat_request
from mynah.generate.engine import generate_all
from mynah.ngram import NGramModel
from mynah.ngram.prior import NGramPrior
from mynah.pipeline.open_answers import can_answer, open_answers
from mynah.pipeline.open_run import Run, find_run, open_run
from mynah.stages import RunPaths
from mynah.tokenizer.tokenizer import Tokenizer

#: Tokens of a reply where none is given, alternatives of a token, parts that are left out one by one.
REPLY, TOP, PARTS = 40, 5, 32
#: Records among which the nearest are looked for, and those of them whose gradients are compared.
LOOKED_AT, COMPARED = 20_000, 12
#: Numbers of attention patterns that a page holds, at most.
PATTERNS = 400_000

Told = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be explained."""

    text: str
    #: what was replied; None: what the network replies
    reply: str | None = None
    #: which token of the reply, from 1; of a text that is gone on with, None: the next one
    at: int | None = None
    #: another text of as many tokens, to be compared state by state
    against: str | None = None
    #: the nearest examples that are told
    examples: int = 5


def explain(run: Path, asked: Asked, device: str = "auto", told: Told = lambda what: None) -> dict[str, Any]:
    """Explain what a model says.

    Raises:
        ArtifactError: if it cannot be opened.
        ConfigError: if the text is empty or too long, or there is no such token.
    """
    directory = find_run(run)
    opened = open_run(directory, device, torch.float32)
    model, tokenizer = opened.model, opened.tokenizer
    history = [Message("user", asked.text)]
    if opened.talks:
        prompt = tokenizer.template.prompt(history)
        said = tokenizer.encode(asked.reply) if asked.reply is not None else _reply(opened, history)
    else:
        if asked.reply is not None:
            raise ConfigError(
                f"{directory.name}: goes on with text and replies to nothing; leave out --reply"
            )
        prompt, said = tokenizer.begin(asked.text), []
    ids = [*prompt, *said]
    check_plain(model, ids)
    place = _place(asked, prompt, said)
    told("reading")
    found = trace(model, ids)
    target = ids[place] if place < len(ids) else int(found.logits[-1].argmax())
    before = ids[:place]
    ngram = _ngram(directory, opened)
    result: dict[str, Any] = {
        "run": directory.resolve().name,
        "tokens": _tokens(tokenizer, found, ngram),
        "prompt": len(prompt),
        "at": place,
        "target": {"id": target, "text": tokenizer.show(target)},
        "alternatives": _alternatives(tokenizer, found.logits[place - 1]),
        "lens": [
            [{"text": tokenizer.show(token), "log_prob": value} for token, value in row]
            for row in logit_lens(model, found, place - 1)
        ],
        "contributions": _contributions(model, found, place - 1, target),
        "attention": _attention(found, place - 1),
    }
    told("attributing")
    whole = integrated_gradients(model, before, target, says_nothing(tokenizer, before))
    result["integrated_gradients"] = {
        "tokens": list(whole.tokens), "difference": whole.difference, "missing": whole.missing, "steps": whole.steps,
    }  # fmt: skip
    told("leaving words out")
    result["left_out"] = _left_out(opened, before, target)
    if asked.against is not None:
        told("comparing states")
        result["patching"] = _patching(opened, asked, before, target)
    if can_answer(directory) and asked.reply is None:
        told("asking the log")
        result["answer"] = _answer(directory, opened, history)
    if asked.examples:
        told("looking for the nearest examples")
        result["examples"] = _examples(directory, opened, asked, ids, len(prompt))
    return result


def _reply(opened: Run, history: Sequence[Message]) -> list[int]:
    sampling = opened.sampling.model_copy(update={"temperature": 0.0, "max_tokens": REPLY})
    request, _ = chat_request(opened.model, opened.tokenizer, history, sampling, cut=True)
    return generate_all(opened.model, [request])[0]


def _place(asked: Asked, prompt: Sequence[int], said: Sequence[int]) -> int:
    """Return where the token that is explained stands, or would stand."""
    if asked.at is None:
        return len(prompt)
    most = len(said) or len(prompt) - 1
    if not 1 <= asked.at <= most:
        raise ConfigError(f"--at {asked.at}: expected a token from 1 to {most}")
    return len(prompt) + asked.at - 1 if said else asked.at


def _ngram(directory: Path, opened: Run) -> NGramPrior | None:
    path = RunPaths(directory).ngram_model
    if not path.is_file():
        return None
    model = NGramModel.load(path)
    tokenizer = opened.tokenizer
    return NGramPrior(model, tokenizer.control.bos) if model.vocab_size == tokenizer.vocab_size else None


def _tokens(tokenizer: Tokenizer, found: Trace, ngram: NGramPrior | None) -> list[dict[str, Any]]:
    """Return each token with how surprised the network was by it, the n-gram model too, and what it expected."""
    bits = [0.0, *surprise(found)]
    counted: list[float | None] = [None] * len(bits)
    if ngram is not None and len(found.tokens) > 1:
        log_probs = ngram.log_probs(ngram.contexts(np.array(found.tokens))[:, :-1])
        rows = log_probs[np.arange(len(found.tokens) - 1), list(found.tokens[1:])]
        counted = [0.0, *(-rows / np.log(2)).tolist()]
    expected: list[list[dict[str, Any]]] = [[], *(_alternatives(tokenizer, row) for row in found.logits[:-1])]
    return [
        {"text": tokenizer.show(token), "bits": b, "ngram_bits": c, "expected": e}
        for token, b, c, e in zip(found.tokens, bits, counted, expected, strict=True)
    ]


def _alternatives(tokenizer: Tokenizer, logits: torch.Tensor) -> list[dict[str, Any]]:
    values, ids = logits.log_softmax(dim=-1).topk(min(TOP, len(logits)))
    return [
        {"text": tokenizer.show(token), "log_prob": value}
        for token, value in zip(ids.tolist(), values.tolist(), strict=True)
    ]


def _contributions(model: Any, found: Trace, at: int, target: int) -> dict[str, Any]:
    parts = contributions(model, found, at, target)
    return {
        "heads": parts.heads.tolist(), "mlps": parts.mlps.tolist(), "embedding": parts.embedding,
        "pairs": parts.pairs, "biases": parts.biases, "total": parts.total,
    }  # fmt: skip


def _attention(found: Trace, at: int) -> dict[str, Any]:
    """Return how much the token at a place looks at each, by layer and head; of a small network, all patterns."""
    patterns = found.patterns.cpu()
    kept: dict[str, Any] = {
        "row": patterns[:, :, at, : at + 1].round(decimals=4).tolist(),
        "rollout": rollout(patterns)[-1, at, : at + 1].tolist(),
    }
    if patterns.numel() <= PATTERNS:
        kept["patterns"] = (patterns * 255).round().to(torch.uint8).tolist()
    return kept


def _left_out(opened: Run, before: Sequence[int], target: int) -> list[dict[str, Any]]:
    """Leave out a word at a time, or a few where there are many, and see by how much less likely the token becomes."""
    tokenizer = opened.tokenizer
    spans = words_of(tokenizer, before)
    while len(spans) > PARTS:
        spans = [(spans[n][0], spans[min(n + 1, len(spans) - 1)][1]) for n in range(0, len(spans), 2)]
    # What begins a text, and what a template puts around it, is no word of anybody's.
    lost = leave_one_out(opened.model, before, [target], spans)
    return [
        {"begin": begin, "end": end, "text": tokenizer.decode(before[begin:end]).strip(), "nats": value}
        for (begin, end), value in zip(spans, lost, strict=True)
    ]


def words_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[tuple[int, int]]:
    """Return where words stand in tokens, first and one past the last; control tokens belong to none."""
    spans: list[tuple[int, int]] = []
    goes_on = False
    for place, token in enumerate(tokens):
        text = tokenizer.decode([token])
        if not text.strip():
            goes_on = False
            continue
        if goes_on and not text[0].isspace() and text[0].isalnum() and not "\u2e80" <= text[0] <= "\u9fff":
            spans[-1] = spans[-1][0], place + 1
        else:
            spans.append((place, place + 1))
        goes_on = not text[-1].isspace()
    return spans


def says_nothing(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[int]:
    """Return tokens with a word that says nothing in the place of each word; what a template puts between stays.

    A text of zeros, or of the mean of all tokens, is so far from what a network has read that gradients on the way from
    there sum to nothing in hundreds of steps (docs/log.md).
    """
    han = any("\u4e00" <= c <= "\u9fff" for c in tokenizer.decode(tokens))
    words = ("的", "，", "。") if han else (" the", "the", " a", ".")
    single = [ids[0] for ids in map(tokenizer.encode, (*words, " ", "\n")) if len(ids) == 1]
    nothing = single[0] if single else tokenizer.control.bos
    places = {place for begin, end in words_of(tokenizer, tokens) for place in range(begin, end)}
    return [nothing if place in places else token for place, token in enumerate(tokens)]


def _patching(opened: Run, asked: Asked, before: Sequence[int], target: int) -> dict[str, Any]:
    assert asked.against is not None
    tokenizer = opened.tokenizer
    other = (
        tokenizer.template.prompt([Message("user", asked.against)])
        if opened.talks
        else tokenizer.begin(asked.against)
    )
    begin = (
        tokenizer.template.prompt([Message("user", asked.text)])
        if opened.talks
        else tokenizer.begin(asked.text)
    )
    other = [*other, *before[len(begin) :]]
    check_as_long(before, other)
    instead = int(trace(opened.model, other).logits[-1].argmax())
    if instead == target:
        raise ConfigError(
            "--against: both texts bring the same token; expected one that brings something else"
        )
    found, best, worst = patch(opened.model, before, other, target, instead)
    return {
        "tokens": [tokenizer.show(token) for token in other], "instead": tokenizer.show(instead),
        "restored": found.tolist(), "difference": best, "difference_against": worst,
    }  # fmt: skip


def _answer(directory: Path, opened: Run, history: Sequence[Message]) -> dict[str, Any] | None:
    session = open_answers(directory, opened)
    answerer = session.answerer
    [verdicts] = answerer.consider([history])
    reply = session.reply_to(list(history))
    if not verdicts:
        return {"reply": reply.to_json(), "reasons": None}
    verdict = verdicts[0]
    index = answerer.weigher.finder.index
    places = [index.exchange(candidate.exchange).place for candidate in verdict.evidence.candidates]
    why = reasons(answerer.judge, verdict, answerer.threshold, places)
    return {"reply": reply.to_json(), "reasons": why.to_json()}


def _examples(
    directory: Path, opened: Run, asked: Asked, ids: Sequence[int], begin: int
) -> list[dict[str, Any]] | None:
    folder = RunPaths(directory).records_of("train")
    if not folder.is_dir():
        return None
    records = list(islice(map(as_conversation, read_records(folder)), LOOKED_AT))
    texts = ["\n".join(record.texts) for record in records]
    said = opened.tokenizer.decode(ids[begin:])
    near = nearest_in_words(texts, f"{asked.text}\n{said}", COMPARED)
    encoded = [_learned(opened, records[number]) for number, _ in near]
    counted = (ids, begin if opened.talks else 1)
    gradients = nearest_in_gradient(opened.model, counted, encoded) if near else []
    found = [
        Nearest(records[number].place, texts[number], words, gradient)
        for (number, words), gradient in zip(near, gradients, strict=True)
    ]
    found.sort(key=lambda one: -(one.gradient or 0.0))
    return [vars(one) for one in found[: asked.examples]]


def _learned(opened: Run, record: Any) -> tuple[list[int], int]:
    """Return a record's tokens as they were learned, and from where on they counted."""
    if isinstance(record, Conversation) and opened.talks:
        rendered = opened.tokenizer.template.render(record.messages)
        roles = [message.role for message in record.messages]
        first = roles.index("assistant") if "assistant" in roles else 0
        asked = opened.tokenizer.template.prompt(record.messages[:first]) if first else []
        return list(rendered.ids), len(asked) or 1
    return opened.tokenizer.begin("\n".join(record.texts)), 1
