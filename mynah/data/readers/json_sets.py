"""Records of published sets that say in a way of their own what a conversation or preference says; each is put into the
usual shape: `{"messages"}`, `{"question", "answer"}`, `{"prompt", "chosen", "rejected"}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: MOSS marks who speaks, and where a turn ends, in its words.
_MARKS = re.compile(r"^\s*<\|[^|<>]+\|>\s*:?\s*|\s*<eo[hmtcr]>\s*$")
_SYSTEMS = ("system_prompt", "system", "meta_instruction")
_ASKED = ("question", "prompt", "query", "instruction", "input")
_REPLIED = ("response", "answer", "output", "completion")
#: Where the texts stand that answer a question, best first or with a mark each.
_RANKED = ("completions", "answers", "responses")


def as_usual(value: Any) -> Any:
    """Return a value in the usual shape if it is of a set that is known, else as it is."""
    if not isinstance(value, dict):
        return value
    for read in (_turns_of_moss, _alternating, _answered, _found, _judged_pair, _ranked, _with_system):
        if (made := read(value)) is not None:
            return made
    return value


def is_reply_to_leave_out(value: Any) -> bool:
    """Whether a value is a reply or an annotation that somebody judged bad: KTO's false, Prodigy's reject."""
    if not isinstance(value, dict):
        return False
    if "prompt" in value and "completion" in value and value.get("label") is False:
        return True
    return value.get("answer") in ("reject", "ignore") and (
        "_input_hash" in value or "label" in value or "spans" in value
    )


def _turns_of_moss(value: Mapping[str, Any]) -> dict[str, Any] | None:
    chat = value.get("chat")
    if not isinstance(chat, dict) or not all(str(key).startswith("turn") for key in chat):
        return None
    messages = _system(value)
    for turn in chat.values():
        for name, role in (("Human", "user"), ("MOSS", "assistant")):
            said = _MARKS.sub("", str(turn.get(name) or "")) if isinstance(turn, dict) else ""
            if said.strip() and said.strip() != "None":
                messages.append({"role": role, "content": said.strip()})
    return {"messages": messages}


def _alternating(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """UltraChat: {"id", "data": [question, answer, ...]}."""
    data = value.get("data")
    if set(value) - {"id", "data"} or not isinstance(data, list) or len(data) < 2:
        return None
    if not all(isinstance(turn, str) for turn in data):
        return None
    return {
        "messages": [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(data)]
    }


def _answered(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """A question whose answer lies in an object: SQuAD's `answers`, TriviaQA's `answer`, DROP's `answers_spans`."""
    question = value.get("question")
    if not isinstance(question, str):
        return None
    found: Any = None
    several = next((value[k] for k in ("answer", "answers") if isinstance(value.get(k), list)), None)
    if several and all(isinstance(one, str) for one in several):  # each says it, in other words
        return {**value, "answer": several[0]} | ({"answers": None} if "answers" in value else {})
    for name, part in (("answers", "text"), ("answers_spans", "spans"), ("answer", "value")):
        inner = value.get(name)
        if isinstance(inner, dict) and part in inner:
            found = inner[part]
            break
    else:
        return None
    answer = (found[0] if found else "") if isinstance(found, list) else found
    about = next((value[k] for k in ("context", "passage") if isinstance(value.get(k), str)), "")
    asked = f"{about}\n\n{question}" if about else question
    return {"question": asked, "answer": answer if isinstance(answer, str) else ""}


def _found(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is looked for and the passage that answers it, beside passages that do not."""
    for names in (("query", "pos", "neg"), ("anchor", "positive", "negative")):
        if all(name in value for name in names) and isinstance(value[names[0]], str):
            right = value[names[1]]
            right = right[0] if isinstance(right, list) and right else right
            if isinstance(right, str):
                return {"question": value[names[0]], "answer": right}
    return None


def _judged_pair(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """SHP: two replies and which is better."""
    first, second, asked = value.get("human_ref_A"), value.get("human_ref_B"), value.get("history")
    if not all(isinstance(text, str) for text in (first, second, asked)) or "labels" not in value:
        return None
    better, worse = (first, second) if value["labels"] in (1, "1") else (second, first)
    return {"prompt": asked, "chosen": better, "rejected": worse}


def _ranked(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """Several replies with a rank or a score each: the best and the worst are a preference."""
    asked = next((value[k] for k in _ASKED if isinstance(value.get(k), str)), None)
    replies = next((value[k] for k in _RANKED if isinstance(value.get(k), list) and len(value[k]) > 1), None)
    if asked is None or replies is None:
        return None
    ranking = value.get("ranking") or value.get("rank")
    if (
        all(isinstance(reply, str) for reply in replies)
        and isinstance(ranking, list)
        and len(ranking) == len(replies)
    ):
        scored = [(-float(rank), reply) for rank, reply in zip(ranking, replies, strict=True)]
    elif all(isinstance(reply, dict) for reply in replies):
        scored = [s for reply in replies if (s := _scored(reply)) is not None]
    else:
        return None
    if len(scored) < 2 or len({score for score, _ in scored}) < 2:
        return None
    scored.sort(key=lambda item: -item[0])
    system = _system(value)
    before = {"prompt": [*system, {"role": "user", "content": asked}]} if system else {"prompt": asked}
    return {**before, "chosen": scored[0][1], "rejected": scored[-1][1]}


def _scored(reply: Mapping[str, Any]) -> tuple[float, str] | None:
    text = next(
        (reply[k] for k in ("response", "answer", "text", "content") if isinstance(reply.get(k), str)), None
    )
    for name, sign in (("overall_score", 1.0), ("score", 1.0), ("rank", -1.0)):
        if text is not None and isinstance(reply.get(name), int | float):
            return sign * float(reply[name]), text
    return None


def _with_system(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """OpenOrca: a system text beside a question and its response."""
    if not isinstance(value.get("system_prompt"), str):
        return None
    asked = next((value[k] for k in _ASKED if isinstance(value.get(k), str)), None)
    replied = next((value[k] for k in _REPLIED if isinstance(value.get(k), str)), None)
    if asked is None or replied is None:
        return None
    return {
        "messages": [
            *_system(value),
            {"role": "user", "content": asked},
            {"role": "assistant", "content": replied},
        ]
    }


def _system(value: Mapping[str, Any]) -> list[dict[str, str]]:
    told = next((value[k] for k in _SYSTEMS if isinstance(value.get(k), str) and value[k].strip()), "")
    return [{"role": "system", "content": told.strip()}] if told else []


def is_flat_reply(value: Any) -> bool:
    """Whether a value is one message of a tree of replies, as OpenAssistant's flat files have them."""
    return (
        isinstance(value, dict)
        and {"message_id", "parent_id", "text", "role"} <= set(value)
        and value["role"] in ("prompter", "assistant")
    )


def trees_of(values: list[Any]) -> list[dict[str, Any]]:
    """Return the trees that flat messages make, each as `{"prompt": {"text", "role", "replies": [...]}}`."""
    nodes = {value["message_id"]: {**value, "replies": []} for value in values if is_flat_reply(value)}
    roots = []
    for node in nodes.values():
        above = nodes.get(node["parent_id"])
        if above is None:
            roots.append({"prompt": node})
        else:
            above["replies"].append(node)
    return roots
