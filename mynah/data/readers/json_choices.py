"""Questions with options in JSON, in the layouts of published test sets; each becomes a question and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mynah.data.choices import MARKS, ask, index_of, option_names, reply

#: Where the parts of a question stand, most telling last: what is asked comes after what it is about.
_ABOUT = ("passage", "article", "context", "support", "story", "background", "material")
_ASKED = (
    "question",
    "questionstem",
    "query",
    "stem",
    "goal",
    "ctx",
    "premise",
    "sentence",
    "prompt",
    "input",
    "problem",
    "q",
)
_OPTIONS = (
    "choices",
    "options",
    "choice",
    "option",
    "endings",
    "candidates",
    "answers",
    "selections",
    "alternatives",
)
_GOLD = (
    "gold answerkey answer label target correct correctanswer answeridx answerindex correctoption cop goldlabel "
    "correctidx answerlabel key"
).split()
#: What is asked about a cause or an effect.
_COPA = {"cause": "What was the cause?", "effect": "What happened as a result?"}


def with_choices(value: Any) -> Any:
    """Return a question with options as `{"question", "answer"}` or `{"messages"}`; any other value as it is."""
    if isinstance(value, list):
        return _dialogue_questions(value) or value
    if not isinstance(value, dict):
        return value
    fields = {_fold(key): item for key, item in reversed(value.items())}
    if made := _several_questions(fields):
        return made
    stem = fields.get("question")
    if isinstance(stem, dict):  # ARC writes question and options into one object
        fields = {**fields, **{_fold(key): item for key, item in stem.items()}}
        fields["question"] = next(
            (stem[k] for k in ("stem", "text", "question") if isinstance(stem.get(k), str)), ""
        )
    if made := _by_context(fields):
        return made
    if isinstance(targets := fields.get("mc1targets"), dict):  # TruthfulQA
        fields = {**fields, "choices": targets.get("choices"), "gold": _one(targets.get("labels"))}
    found = _options(fields, value)
    if found is None:
        return _continuation(fields) or value
    options, marks, first = found
    golds = (
        item[0] if isinstance(item := fields.get(name), list) and len(item) == 1 else item for name in _GOLD
    )
    gold = next((item for item in golds if isinstance(item, str | int)), None)
    asked = _asked(fields)
    right = _right(gold, options, marks, first)
    if not asked or right is None:
        return value
    if options == [*MARKS[: len(options)]]:  # they stand in the question
        return {"question": "\n".join(asked), "answer": options[right]}
    return {"question": ask(asked, options), "answer": reply(options, right)}


def _one(labels: Any) -> int | None:
    """Return which of a list of zeros is one."""
    return labels.index(1) if isinstance(labels, list) and 1 in labels else None


def _by_context(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the beginnings of one sentence, of which one makes sense."""
    begun, rest, gold = fields.get("contextoptions"), fields.get("continuation"), fields.get("gold")
    if not (isinstance(begun, list) and len(begun) > 1 and isinstance(rest, str) and isinstance(gold, int)):
        return None
    options = [f"{str(start).rstrip()} {rest.lstrip()}" for start in begun]
    if not 0 <= gold < len(options):
        return None
    return {"question": ask([], options), "answer": reply(options, gold)}


def _fold(key: Any) -> str:
    return "".join(char for char in str(key).lower() if char.isalnum())


def _asked(fields: Mapping[str, Any]) -> list[str]:
    about = [fields[name] for name in _ABOUT if isinstance(fields.get(name), str) and fields[name].strip()]
    asked = [fields[name] for name in _ASKED if isinstance(fields.get(name), str) and fields[name].strip()]
    parts = [*about[:1], *(asked[:1] if "premise" not in fields else [fields["premise"]])]
    if (kind := _COPA.get(str(fields.get("question", "")).lower())) and "premise" in fields:
        parts.append(kind)
    return [part for part in parts if isinstance(part, str)]


def _options(fields: Mapping[str, Any], value: Mapping[str, Any]) -> tuple[list[str], list[str], int] | None:
    """Return the options, their marks, and what the first is counted as; None if there are none."""
    for name in _OPTIONS:
        found = fields.get(name)
        if isinstance(found, dict):
            texts, labels = found.get("text"), found.get("label")
            if isinstance(texts, list) and isinstance(labels, list) and len(texts) == len(labels) > 1:
                return [*map(str, texts)], [*map(str, labels)], 0
            if len(found) > 1 and all(len(str(k)) <= 2 and isinstance(v, str) for k, v in found.items()):
                return [*found.values()], [*map(str, found)], 0
        if isinstance(found, list) and 1 < len(found) <= len(MARKS):
            if all(isinstance(item, str) for item in found):
                return list(found), [], 0
            if all(isinstance(item, dict) and isinstance(item.get("text"), str) for item in found):
                marks = [str(item.get("label") or item.get("id") or "") for item in found]
                return [item["text"] for item in found], marks, 0
    flat = {str(k): v for k, v in value.items() if isinstance(v, str)}
    names, first = option_names(list(flat))
    if names:
        return [flat[name] for name in names], [], first
    wrong = [
        item for key, item in sorted(fields.items()) if key.startswith(("distractor", "incorrectanswer"))
    ]
    right = fields.get("correctanswer")
    wrong = [text for item in wrong for text in (item if isinstance(item, list) else [item])]
    if isinstance(right, str) and wrong and all(isinstance(item, str) for item in wrong):
        return sorted({right, *wrong}), [], 0  # in no order that tells which is right
    return None


def _right(gold: Any, options: Sequence[str], marks: Sequence[str], first: int) -> int | None:
    if gold is None or isinstance(gold, bool):
        return None
    told = str(gold).strip()
    if isinstance(gold, int):  # as programs count
        return gold if gold < len(options) else index_of(told, options, 1)
    if told in marks:
        return list(marks).index(told)
    return index_of(told, options, first)


def _several_questions(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read a passage with lists of questions, options and answers."""
    about = next((fields[name] for name in _ABOUT if isinstance(fields.get(name), str)), None)
    lists = [fields.get(name) for name in ("questions", "options", "answers")]
    if about is None or not all(isinstance(item, list) and item for item in lists):
        return None
    messages: list[dict[str, str]] = []
    for question, options, gold in zip(*lists, strict=False):
        if not (isinstance(question, str) and isinstance(options, list)):
            return None
        right = _right(gold, [*map(str, options)], [], 0)
        if right is None:
            continue
        parts = [question] if messages else [about, question]
        messages += _exchange(ask(parts, [*map(str, options)]), reply([*map(str, options)], right))
    return {"messages": messages} if messages else None


def _dialogue_questions(value: list[Any]) -> dict[str, Any] | None:
    """Read [lines of a dialogue or text, questions about it, id]."""
    if len(value) < 2 or not all(isinstance(item, list) and item for item in value[:2]):
        return None
    lines, questions = value[:2]
    if not all(isinstance(line, str) for line in lines) or not all(
        isinstance(item, dict) for item in questions
    ):
        return None
    messages: list[dict[str, str]] = []
    for item in questions:
        made = with_choices(item)
        if made is item:
            continue
        asked = made["question"] if messages else "\n".join([*lines, made["question"]])
        messages += _exchange(asked, made["answer"])
    return {"messages": messages} if messages else None


def _exchange(asked: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


def _continuation(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read a text with how it goes on, beside whatever tells where it is from."""
    context, rest = fields.get("context"), fields.get("continuation")
    if isinstance(context, str) and isinstance(rest, str) and context.strip() and rest.strip():
        return {"question": context, "answer": rest}
    return None
