"""Conversations in JSON that branch: ChatGPT's export, and trees of replies as OpenAssistant has them.

One way through the tree is taken: the branch that was last open, or the reply that was ranked first. How many messages
stand beside it is told.
"""

from __future__ import annotations

from typing import Any


class Unfolded(dict[str, Any]):
    """One way through a branching conversation, as `{"messages": [...]}`."""

    def __init__(self, turns: list[dict[str, str]], untaken: int, programs: int = 0) -> None:
        super().__init__(messages=turns)
        #: how many messages are on other branches, and how many were hidden, or said to or by a program
        self.untaken, self.programs = untaken, programs


def unfold(value: Any) -> Any:
    """Return a branching conversation as `Unfolded`, any other value as it is."""
    if isinstance(value, dict):
        mapping = value.get("mapping")
        if isinstance(mapping, dict) and any(
            isinstance(n, dict) and "message" in n for n in mapping.values()
        ):
            return _by_parent(mapping, value.get("current_node"))
        if isinstance(prompt := value.get("prompt"), dict) and isinstance(prompt.get("replies"), list):
            return _by_rank(prompt)
        if isinstance(prompt := value.get("prompt"), list) and "completion" in value:
            end = value["completion"]
            last = end if isinstance(end, list) else [{"role": "assistant", "content": str(end)}]
            return {"messages": [*prompt, *last]}
        history = value.get("history") if isinstance(value.get("history"), list) else []
        instructs = isinstance(value.get("instruction"), str) and isinstance(value.get("output"), str)
        if instructs and (history or isinstance(value.get("system"), str)):
            return {"messages": _by_history(value, history or [])}
        if isinstance(value.get("input"), dict) and "preferred_output" in value:
            return _by_preferred(value)
    return value


def _by_history(value: dict[str, Any], history: list[Any]) -> list[dict[str, str]]:
    """Return the turns of an instruction with the exchanges before it."""
    told = value.get("system")
    turns = [{"role": "system", "content": told}] if isinstance(told, str) and told.strip() else []
    for exchange in history:
        if isinstance(exchange, list) and len(exchange) == 2:
            turns += [
                {"role": role, "content": str(text)}
                for role, text in zip(("user", "assistant"), exchange, strict=True)
            ]
    asked = "\n".join(
        part for part in (value["instruction"], value.get("input")) if isinstance(part, str) and part
    )
    return [
        *turns,
        {"role": "user", "content": asked},
        {"role": "assistant", "content": str(value["output"])},
    ]


def _by_preferred(value: dict[str, Any]) -> dict[str, Any]:
    """Return OpenAI's pair of outputs as a preference: the turns before, the better and the worse reply."""
    before = value["input"].get("messages")
    replies = [value.get(key) for key in ("preferred_output", "non_preferred_output")]
    chosen, rejected = (_last(reply) for reply in replies)
    return {"messages": before if isinstance(before, list) else [], "chosen": chosen, "rejected": rejected}


def _last(reply: Any) -> Any:
    said = [turn for turn in reply if isinstance(turn, dict)] if isinstance(reply, list) else []
    return said[-1] if said else reply


def _by_parent(mapping: dict[str, Any], last: Any) -> Unfolded:
    """Walk up from the node that was open last."""
    if not isinstance(last, str) or last not in mapping:
        parents = {str(node.get("parent")) for node in mapping.values() if isinstance(node, dict)}
        last = next((name for name in reversed(mapping) if name not in parents), None)
    said: dict[str, dict[str, str]] = {}
    programs = 0
    for name, node in mapping.items():
        if (turn := _said(node)) is not None:
            if _is_persons(node["message"], turn["role"]):
                said[name] = turn
            else:
                programs += 1
    turns: list[dict[str, str]] = []
    seen: set[Any] = set()
    while isinstance(node := mapping.get(last), dict) and last not in seen:
        seen.add(last)
        if last in said:
            turns.append(said[last])
        last = str(node.get("parent"))
    return Unfolded(turns[::-1], len(said) - len(turns), programs)


def _said(node: Any) -> dict[str, str] | None:
    """Return role and words of a node; None if it has no words."""
    message = node.get("message") if isinstance(node, dict) else None
    if not isinstance(message, dict):
        return None
    author, content = message.get("author"), message.get("content")
    role = author.get("role") if isinstance(author, dict) else None
    parts = content.get("parts") if isinstance(content, dict) else None
    # What is no text (a picture) is left out.
    text = "\n".join(part for part in parts if isinstance(part, str)) if isinstance(parts, list) else ""
    return {"role": str(role), "content": text} if text.strip() else None


def _is_persons(message: dict[str, Any], role: str) -> bool:
    """Whether a message was shown, and said by a person to the assistant or by the assistant to a person."""
    about = message.get("metadata")
    hidden = isinstance(about, dict) and about.get("is_visually_hidden_from_conversation")
    return role in ("user", "assistant") and not hidden and message.get("recipient") in (None, "all")


def _by_rank(prompt: dict[str, Any]) -> Unfolded:
    """Walk down by the best of the replies."""
    turns: list[dict[str, str]] = []
    node: Any = prompt
    while isinstance(node, dict):
        role = "assistant" if node.get("role") == "assistant" else "user"
        turns.append({"role": role, "content": str(node.get("text") or "")})
        node = min(_replies(node), key=_rank, default=None)
    waiting, all_of_it = [prompt], 0
    while waiting:
        all_of_it += 1
        waiting += _replies(waiting.pop())
    return Unfolded(turns, all_of_it - len(turns))


def _replies(node: dict[str, Any]) -> list[dict[str, Any]]:
    replies = node.get("replies")
    return [reply for reply in replies if isinstance(reply, dict)] if isinstance(replies, list) else []


def _rank(reply: dict[str, Any]) -> float:
    rank = reply.get("rank")
    return rank if isinstance(rank, int | float) and rank == rank else float("inf")  # NaN is no rank
