"""How a model replies to held-out prompts, beside what was replied: alike in words, varied, ended in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mynah.data.records import Conversation, Message, Record
from mynah.evaluate.chance import ratio_interval
from mynah.evaluate.translation import each_chrf, measure_translations
from mynah.evaluate.writing import measure_writing
from mynah.generate.chat import chat_request, until
from mynah.generate.copies import Runs
from mynah.generate.engine import generate_all, room_for
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

#: Prompts that are asked at once: of so many, how far it is can be told.
_AT_ONCE = 16


@dataclass(frozen=True)
class Asked:
    """A prompt and what was replied to it."""

    messages: tuple[Message, ...]
    reply: str
    place: str


def prompts_of(records: Sequence[Record], count: int) -> list[Asked]:
    """Return the first question and reply of conversations, at most so many, evenly spread."""
    found = []
    for record in records:
        if not isinstance(record, Conversation) or not record.can_teach_replies:
            continue
        roles = [message.role for message in record.messages]
        at = roles.index("assistant", roles.index("user"))
        found.append(Asked(record.messages[:at], record.messages[at].content, record.place))
    if len(found) <= count:
        return found
    return [found[n * len(found) // count] for n in range(count)]


def rouge_l(said: str, wanted: str) -> float:
    """Return the F-measure of the longest common subsequence of words, 0 to 1 (Lin 2004, section 3).

    Han characters count as words of their own.
    """
    one, other = _words(said), _words(wanted)
    if not one or not other:
        return 0.0
    codes = {word: n for n, word in enumerate(dict.fromkeys((*one, *other)))}
    first, second = (np.array([codes[word] for word in words]) for words in (one, other))
    row = np.zeros(len(second) + 1, np.int64)
    for code in first:
        # Longest so far where the words match, then carried on to the right.
        row[1:] = np.maximum.accumulate(np.where(second == code, row[:-1] + 1, row[1:]))
    common = int(row[-1])
    return 2 * common / (len(one) + len(other))


def _words(text: str) -> list[str]:
    apart = "".join(
        f" {c} " if "\u4e00" <= c <= "\u9fff" else c if c.isalnum() else " " for c in text.lower()
    )
    return apart.split()


def judge_replies(
    model: Transformer,
    tokenizer: Tokenizer,
    asked: Sequence[Asked],
    sampling: SamplingConfig,
    learned: Runs | None = None,
    told: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Ask the network alone and measure its replies.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
        asked: one or more.
        sampling: how it replies.
        learned: runs of what it has learned, to see what it copies.
        told: is told what share is done, from 0 to 1.

    Returns:
        chrf and its signature, rouge_l, each with where it lies; characters, median, of replies and of references;
        stopped: share that ended by themselves; the measures of `measure_writing`; and the replies.
    """
    requests = [chat_request(model, tokenizer, one.messages, sampling, cut=True)[0] for one in asked]
    written: list[list[int]] = []
    for begin in range(0, len(requests), _AT_ONCE):
        written += generate_all(model, requests[begin : begin + _AT_ONCE])
        if told is not None:
            told(len(written) / len(requests))
    texts = ["".join(until(tokenizer.stream(ids), sampling.stop)).strip() for ids in written]
    wanted = [one.reply for one in asked]
    rouge = [rouge_l(text, reply) for text, reply in zip(texts, wanted, strict=True)]
    stopped = [len(ids) < room_for(model, request) for ids, request in zip(written, requests, strict=True)]
    ones = [1.0] * len(asked)
    chrf = each_chrf(texts, wanted)
    return {
        "count": len(asked),
        "chrf": sum(chrf) / len(chrf),
        "chrf_interval": _pair(ratio_interval(chrf, ones)),
        "chrf_signature": measure_translations(texts, wanted, "en")["chrf_signature"],
        "rouge_l": sum(rouge) / len(rouge),
        "rouge_l_interval": _pair(ratio_interval(rouge, ones)),
        "characters": float(np.median([len(text) for text in texts])),
        "characters_of_references": float(np.median([len(reply) for reply in wanted])),
        "stopped": sum(stopped) / len(stopped),
        **{key: value for key, value in measure_writing(written, learned).items() if key != "samples"},
        "replies": [
            {
                "prompt": one.messages[-1].content,
                "reply": text,
                "expected": one.reply,
                "place": one.place,
                "chrf": score,
            }
            for one, text, score in zip(asked, texts, chrf, strict=True)
        ],
    }


def _pair(interval: Any) -> list[float] | None:
    return [interval.low, interval.high] if interval is not None else None
