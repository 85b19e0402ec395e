"""How a bot does on questions with known answers, on such as nothing answers, and what misled it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mynah.answers.bot import Answerer, Reply
from mynah.data.records import Message
from mynah.evaluate.replies import Question, holds_facts

#: Wrong replies that are told, at most.
TOLD = 40


def reply_to_each(
    answerer: Answerer, questions: Sequence[Question], told: Callable[[float], None] | None = None
) -> list[Reply]:
    """Return the reply to each question, after the bot's own replies to what comes before it."""
    histories: list[list[Message]] = [[] for _ in questions]
    said: list[list[str]] = [[] for _ in questions]
    replies: list[Reply] = [Reply("", 0.0)] * len(questions)
    turns = [[*question.history, question.question] for question in questions]
    for turn in range(max(map(len, turns), default=0)):
        asked = [n for n, of in enumerate(turns) if turn < len(of)]
        for n in asked:
            histories[n].append(Message("user", turns[n][turn]))
            said[n].append(turns[n][turn])
        considered = answerer.consider([histories[n] for n in asked], told)
        for n, verdicts in zip(asked, considered, strict=True):
            replies[n] = answerer.decide(histories[n], verdicts, said[n])
            histories[n].append(Message("assistant", replies[n].text))
    return replies


def measure(
    answerer: Answerer, questions: Sequence[Question], told: Callable[[float], None] | None = None
) -> dict[str, Any]:
    """Return how many questions are answered, how many of these rightly, and what was handed over.

    A question without facts is one that nothing in the log answers: whatever is stated in reply is wrong.
    `told` is told what share of a turn is done, from 0 to 1.
    """
    replies = reply_to_each(answerer, questions, told)
    pairs = list(zip(questions, replies, strict=True))
    known = [(q, r) for q, r in pairs if q.facts]
    unknown = [(q, r) for q, r in pairs if not q.facts]
    answered = [(q, r) for q, r in known if _states(r)]
    right = [(q, r) for q, r in answered if holds_facts(r.text, q.facts)]
    wrong = [(q, r) for q, r in answered if not holds_facts(r.text, q.facts)]
    let_in = [(q, r) for q, r in unknown if _states(r)]
    return {
        "count": len(known),
        "answered": len(answered),
        "right": len(right),
        "asked_back": sum(r.kind == "asked_back" for _, r in known),
        "unanswerable": len(unknown),
        "stated": len(let_in),
        "wrong": [
            {
                "question": q.question,
                "history": list(q.history),
                "intent": q.intent,
                "reply": r.text,
                "expected": q.answer,
                "confidence": r.confidence,
                "misled": [{"place": s.place, "question": s.question} for s in r.sources],
            }
            for q, r in [*wrong, *let_in][:TOLD]
        ],
    }


def _states(reply: Reply) -> bool:
    """Whether a reply states something: what stands in the log, or what the network makes up."""
    return reply.kind in ("log", "network")
