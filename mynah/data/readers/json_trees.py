"""Conversations in JSON that branch: ChatGPT's export, and trees of replies as OpenAssistant has them.

One way through the tree is taken: the branch that was last open, or the reply that was ranked first.
"""

from __future__ import annotations

from typing import Any


def unfold(value: Any) -> Any:
    """Return a branching conversation as `{"messages": [...]}`, any other value as it is."""
    if isinstance(value, dict):
        mapping = value.get("mapping")
        if isinstance(mapping, dict) and any(
            isinstance(n, dict) and "message" in n for n in mapping.values()
        ):
            return {"messages": _by_parent(mapping, value.get("current_node"))}
        if isinstance(prompt := value.get("prompt"), dict) and isinstance(prompt.get("replies"), list):
            return {"messages": _by_rank(prompt)}
        if isinstance(prompt := value.get("prompt"), list) and "completion" in value:
            end = value["completion"]
            last = end if isinstance(end, list) else [{"role": "assistant", "content": str(end)}]
            return {"messages": [*prompt, *last]}
        history = value.get("history")
        if (
            isinstance(history, list)
            and history
            and isinstance(value.get("instruction"), str)
            and "output" in value
        ):
            return {"messages": _by_history(value, history)}
    return value


def _by_history(value: dict[str, Any], history: list[Any]) -> list[dict[str, str]]:
    """Return the turns of an instruction with the exchanges before it."""
    turns = [{"role": "system", "content": value["system"]}] if isinstance(value.get("system"), str) else []
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


def _by_parent(mapping: dict[str, Any], last: Any) -> list[dict[str, str]]:
    """Walk up from the node that was open last."""
    if not isinstance(last, str) or last not in mapping:
        parents = {node.get("parent") for node in mapping.values() if isinstance(node, dict)}
        last = next((name for name in reversed(mapping) if name not in parents), None)
    turns: list[dict[str, str]] = []
    seen: set[Any] = set()
    while isinstance(node := mapping.get(last), dict) and last not in seen:
        seen.add(last)
        last = node.get("parent")
        message = node.get("message")
        author, content = (
            (message.get("author"), message.get("content")) if isinstance(message, dict) else (None, None)
        )
        role = author.get("role") if isinstance(author, dict) else None
        about = message.get("metadata") if isinstance(message, dict) else None
        hidden = isinstance(about, dict) and about.get("is_visually_hidden_from_conversation")
        if hidden or (isinstance(message, dict) and message.get("recipient") not in (None, "all")):
            continue  # said to a program, or by one
        parts = content.get("parts") if isinstance(content, dict) else None
        # What is no text (a picture), and what a program said to a program, is left out.
        text = "\n".join(part for part in parts if isinstance(part, str)) if isinstance(parts, list) else ""
        if role in ("user", "assistant") and text.strip():
            turns.append({"role": str(role), "content": text})
    return turns[::-1]


def _by_rank(prompt: dict[str, Any]) -> list[dict[str, str]]:
    """Walk down by the best of the replies."""
    turns: list[dict[str, str]] = []
    node: Any = prompt
    while isinstance(node, dict):
        role = "assistant" if node.get("role") == "assistant" else "user"
        turns.append({"role": role, "content": str(node.get("text") or "")})
        replies = [reply for reply in node.get("replies") or [] if isinstance(reply, dict)]
        node = min(replies, key=_rank, default=None)
    return turns


def _rank(reply: dict[str, Any]) -> float:
    rank = reply.get("rank")
    return float(rank) if isinstance(rank, int | float) else float("inf")
