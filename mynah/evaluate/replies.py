"""Do replies hold the right facts? Questions with known answers, and a lookup to compare with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mynah.data.records import Conversation, Message, Record
from mynah.errors import DataError, MissingDependency
from mynah.generate.chat import chat_request, until
from mynah.generate.engine import generate_all
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Question:
    """A question and what a right answer must hold."""

    question: str
    #: each must be in the reply, whatever its case; `a|b` asks for one of the two
    facts: tuple[str, ...]
    intent: str
    answer: str


def read_questions(path: Path) -> list[Question]:
    """Read JSON lines of {"question", "facts"} and optionally "intent" and "answer".

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
            if isinstance(value["facts"], str):
                raise TypeError("facts is not a list")
            questions.append(
                Question(value["question"], facts, value.get("intent", ""), value.get("answer", ""))
            )
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


def look_up(pairs: Sequence[tuple[str, str]], questions: Sequence[str]) -> list[str]:
    """Answer each question with the reply to the most similar known one: the simplest possible bot.

    TF-IDF over words and pairs of words, and over runs of one to three characters for scripts without spaces;
    cosine similarity.

    Raises:
        MissingDependency: if scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise MissingDependency("scikit-learn", "evaluate", "the TF-IDF lookup") from None
    if not pairs or not questions:
        return [""] * len(questions)
    known = [question for question, _ in pairs]
    han = sum("\u4e00" <= c <= "\u9fff" for q in known[:500] for c in q)
    if han * 3 > sum(map(len, known[:500])):
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    else:
        vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), sublinear_tf=True)
    table = vectorizer.fit_transform(known)
    nearest = (vectorizer.transform(questions) @ table.T).toarray().argmax(axis=1)
    return [pairs[int(i)][1] for i in nearest]
