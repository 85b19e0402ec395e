"""Do replies hold the right facts? Questions with known answers, and a lookup to compare with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mynah.data.records import Conversation, Message, Record
from mynah.errors import DataError
from mynah.generate.chat import chat_request, until
from mynah.generate.engine import generate_all
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

#: How a question is looked up among known ones.
Lookup = Literal["words", "characters", "bm25"]
LOOKUPS: tuple[Lookup, ...] = get_args(Lookup)


@dataclass(frozen=True)
class Question:
    """A question and what a right answer must hold."""

    question: str
    #: each must be in the reply, whatever its case; `a|b` asks for one of the two; none: nothing in the log answers it
    facts: tuple[str, ...]
    intent: str
    answer: str
    #: what the user said before
    history: tuple[str, ...] = ()
    #: none of these may be in the reply
    never: tuple[str, ...] = ()


def read_questions(path: Path) -> list[Question]:
    """Read JSON lines of {"question", "facts"} and optionally "intent", "answer", "never" and "history".

    `never` is what may not be said, `history` earlier messages.

    Raises:
        DataError: with file and line if a line is not such an object.
    """
    questions = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            facts = tuple(str(fact) for fact in value["facts"])
            never = tuple(str(fact) for fact in value.get("never", ()))
            if isinstance(value["facts"], str) or isinstance(value.get("never"), str):
                raise TypeError("facts are not in a list")
            history = tuple(str(text) for text in value.get("history", ()))
            intent, answer = value.get("intent", ""), value.get("answer", "")
            questions.append(Question(value["question"], facts, intent, answer, history, never))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f'{path}:{number}: expected {{"question": ..., "facts": [...]}}') from None
    return questions


def holds_facts(reply: str, facts: Sequence[str]) -> bool:
    """Whether a reply holds every fact."""
    folded = reply.casefold()
    return all(any(option.casefold() in folded for option in fact.split("|")) for fact in facts)


def reply_to_all(
    model: Transformer,
    tokenizer: Tokenizer,
    histories: Sequence[Sequence[Message]],
    config: SamplingConfig,
) -> list[str]:
    """Return the model's reply to each history; one too long for the context loses its oldest turns."""
    requests = [chat_request(model, tokenizer, history, config, cut=True)[0] for history in histories]
    replies = generate_all(model, requests)
    return ["".join(until(tokenizer.stream(ids), config.stop)) for ids in replies]


def exchanges(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return every (user turn, reply) of the conversations, in order."""
    pairs = []
    for record in records:
        if isinstance(record, Conversation):
            for asked, said in zip(record.messages, record.messages[1:], strict=False):
                if asked.role == "user" and said.role == "assistant":
                    pairs.append((asked.content, said.content))
    return pairs


def look_up(
    pairs: Sequence[tuple[str, str]], questions: Sequence[str], by: Lookup = "characters"
) -> list[str]:
    """Answer each question with the reply to the most similar known one: the simplest possible bot.

    Args:
        pairs: what was asked and replied.
        questions: what is asked now.
        by: "words": cosine of TF-IDF over words and pairs of words; "characters": over runs of two to four characters
            within words; "bm25": BM25 over words. Of scripts without spaces one to three characters stand for both,
            and for BM25 one and two.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    if not pairs or not questions:
        return [""] * len(questions)
    known = [question for question, _ in pairs]
    han = sum("\u4e00" <= c <= "\u9fff" for q in known[:500] for c in q)
    if han * 3 > sum(map(len, known[:500])):
        taken = {"analyzer": "char", "ngram_range": (1, 2) if by == "bm25" else (1, 3)}
    elif by == "characters":
        taken = {"analyzer": "char_wb", "ngram_range": (2, 4)}
    else:
        taken = {"token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 1) if by == "bm25" else (1, 2)}
    counter = CountVectorizer(**taken)
    counts, asked = counter.fit_transform(known), counter.transform(questions)
    if by == "bm25":
        table, query = _bm25(counts), (asked > 0).astype(np.float64)
    else:
        weigh = TfidfTransformer(sublinear_tf=True).fit(counts)
        table, query = weigh.transform(counts), weigh.transform(asked)
    nearest = (query @ table.T).toarray().argmax(axis=1)
    return [pairs[int(i)][1] for i in nearest]


def _bm25(counts: Any) -> Any:
    """Return the weights of each feature in each text (Robertson and Zaragoza 2009), sparse (N, F)."""
    table = counts.tocoo().astype(np.float64)
    N, df = table.shape[0], np.bincount(table.col, minlength=table.shape[1])
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    spread = 1 - 0.75 + 0.75 * lengths[table.row] / max(1e-9, lengths.mean())
    idf = np.log1p((N - df + 0.5) / (df + 0.5))
    table.data = idf[table.col] * table.data * 2.2 / (table.data + 1.2 * spread)
    return table.tocsr()
