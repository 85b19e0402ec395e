"""Turns inside a text that a chat template wrote: `<|im_start|>user`, `[INST]`, `### Human:` and their like."""

from __future__ import annotations

import re

from mynah.data.records import Message, Role, merge_turns

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter", "instruction", "input", "问", "用户"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "response", "output", "答", "助手"), "assistant"),
    "system": "system",
}
_NAMES = "|".join(sorted(_ROLES, key=len, reverse=True))
#: What stands before a turn, by template: ChatML, Llama 3, Gemma, Zephyr and Phi, Vicuna's and Guanaco's headings.
_HEADS = (
    re.compile(rf"<\|im_start\|>\s*(?P<role>{_NAMES})\b[ \t]*\n?", re.IGNORECASE),
    re.compile(rf"<\|start_header_id\|>\s*(?P<role>{_NAMES})\s*<\|end_header_id\|>\s*", re.IGNORECASE),
    re.compile(rf"<start_of_turn>\s*(?P<role>{_NAMES})\b[ \t]*\n?", re.IGNORECASE),
    re.compile(rf"<\|(?P<role>{_NAMES})\|>[ \t]*\n?", re.IGNORECASE),
    re.compile(rf"(?:^|(?<=\s)|(?<=[^\w#]))#{{2,3}}\s?(?P<role>{_NAMES})\s?[:：]\s*", re.IGNORECASE),
)
#: What stands after a turn, or around the whole.
_MARKS = re.compile(
    r"<\|(?:im_end|eot_id|end|endoftext|begin_of_text|end_of_text|eos|bos)\|>|<end_of_turn>|</?s>|<(?:bos|eos)>"
)
_LLAMA = re.compile(r"\[INST\](?P<asked>.*?)\[/INST\](?P<said>.*?)(?=\[INST\]|\Z)", re.DOTALL)
_LLAMA_SYSTEM = re.compile(r"<<SYS>>(?P<system>.*?)<</SYS>>", re.DOTALL)
#: Where the first mark stands, at the latest: what is before it is no turn.
_FIRST = 400


def split_template(text: str) -> tuple[Message, ...] | None:
    """Return the turns of a text that a chat template wrote, or None if none did, or only one side speaks."""
    if "[INST]" in text[:_FIRST]:
        return _llama(text)
    if "<" not in text[:_FIRST] and "##" not in text[:_FIRST]:  # most texts
        return None
    for head in _HEADS:
        marks = list(head.finditer(text))
        if not marks or marks[0].start() > _FIRST:
            continue
        messages = []
        before = _MARKS.sub("", text[: marks[0].start()]).strip()
        if before and head is _HEADS[-1]:  # "Below is an instruction ...", as Alpaca begins
            messages.append(Message("system", before))
        for mark, following in zip(marks, [*marks[1:], None], strict=True):
            said = _MARKS.sub("", text[mark.end() : following.start() if following else len(text)]).strip()
            if said:
                messages.append(Message(_ROLES[mark["role"].lower()], said))
        if made := _both(messages):
            return made
    return None


def _llama(text: str) -> tuple[Message, ...] | None:
    messages = []
    for turn in _LLAMA.finditer(text):
        asked = turn["asked"]
        if system := _LLAMA_SYSTEM.search(asked):
            messages.append(Message("system", system["system"].strip()))
            asked = _LLAMA_SYSTEM.sub("", asked)
        sides: tuple[tuple[Role, str], ...] = (("user", asked), ("assistant", turn["said"]))
        messages += [Message(role, said) for role, words in sides if (said := _MARKS.sub("", words).strip())]
    return _both(messages)


def _both(messages: list[Message]) -> tuple[Message, ...] | None:
    turns = merge_turns(messages)
    return turns if {turn.role for turn in turns} >= {"user", "assistant"} else None
