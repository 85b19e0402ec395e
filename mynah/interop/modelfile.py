"""What Ollama wants to know of a GGUF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mynah.data.records import Message, Role
from mynah.errors import DataError
from mynah.tokenizer.jinja import JinjaTemplate
from mynah.tokenizer.tokenizer import Tokenizer

_ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_MORE: tuple[Role, ...] = (*_ROLES, "user")


@dataclass(frozen=True)
class _Turns:
    """A template whose turns are each written alike, whatever stands before and after them."""

    #: what stands before and after a turn's text, by role
    around: dict[str, tuple[str, str]]
    #: begins every conversation
    begin: str
    #: begins the reply
    reply: str
    #: text of the system turn that is written where a conversation has none; None if none is written
    system: str | None

    def text(self, messages: list[Message]) -> str:
        """Return a prompt."""
        if self.system is not None and messages[0].role != "system":
            messages = [Message("system", self.system), *messages]
        turns = [self.around[m.role][0] + m.content + self.around[m.role][1] for m in messages]
        return self.begin + "".join(turns) + self.reply


def modelfile(name: str, tokenizer: Tokenizer, template: JinjaTemplate | None) -> str:
    """Return a Modelfile.

    Its template is Ollama's form of the model's own where that writes each turn alike; a template of another kind is
    left to Ollama, which finds the original in the file.

    Args:
        name: of the file beside it.
        tokenizer: the model's.
        template: what goes with the file.
    """
    stem = Path(name).stem
    lines = [
        f"# Ollama:     ollama create {stem} -f {stem}.Modelfile && ollama run {stem}",
        f"# llama.cpp:  llama-server -m {name} --jinja",
        "# vLLM:       reads a directory better: mynah export RUN -o DIR && vllm serve DIR",
        f"FROM ./{name}",
    ]
    if template is not None:
        if (turns := _turns(template)) and (written := _in_go(turns, tokenizer)):
            lines.append(f'TEMPLATE """{written}"""')
            if turns.system:
                lines.append(f'SYSTEM """{turns.system}"""')
        stops = [_token(tokenizer, i) for i in sorted(tokenizer.template.stop_ids)]
        lines += [f'PARAMETER stop "{stop}"' for stop in stops if '"' not in stop]
    return "\n".join(lines) + "\n"


def _token(tokenizer: Tokenizer, number: int) -> str:
    token: str | None = tokenizer.backend.id_to_token(number)
    return token or ""


def _in_go(turns: _Turns, tokenizer: Tokenizer) -> str | None:
    """Return a template in Go's syntax; None if its words mean something else there."""
    bos = _token(tokenizer, tokenizer.control.bos)
    adds_bos = tokenizer.foreign is None or tokenizer.control.bos in tokenizer.foreign.begins
    begin = turns.begin.removeprefix(bos) if adds_bos else turns.begin
    words = [
        begin,
        turns.reply,
        turns.system or "",
        *(word for pair in turns.around.values() for word in pair),
    ]
    if any(mark in word for word in words for mark in ("{{", "}}", '"""')):
        return None
    made = begin
    if turns.system == "":  # a text that is not empty is said by SYSTEM
        empty = "".join(turns.around["system"])
        made += f'{{{{ if ne (index .Messages 0).Role "system" }}}}{empty}{{{{ end }}}}'
    made += "{{ range .Messages }}"
    for number, role in enumerate(_ROLES):
        before, after = turns.around[role]
        made += f'{{{{ {"else " if number else ""}if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
    return made + "{{ end }}{{ end }}" + turns.reply


def _turns(template: JinjaTemplate) -> _Turns | None:
    """Return how a template writes turns; None if they are not written alike."""
    # Letters that no template has of itself.
    system, user, reply, more = (Message(role, chr(0xF8F0 + i)) for i, role in enumerate(_MORE))
    try:
        two = template.text([system, user], prompt=False)
        three = template.text([system, user, reply], prompt=False)
        four = template.text([system, user, reply, more], prompt=False)
        asked = template.text([system, user], prompt=True)
        alone = template.text([user], prompt=False)
        if not (three.startswith(two) and four.startswith(three) and asked.startswith(two)):
            return None
        before_reply, _, after_reply = three[len(two) :].partition(reply.content)
        before_user, _, after_user = four[len(three) :].partition(more.content)
        head, _, rest = two.partition(system.content)
        after_system = rest.partition(user.content)[0].removesuffix(before_user)
        default = alone.partition(user.content)[0].removesuffix(before_user)
        begin = _shared(head, default)
        before_system = head[len(begin) :]
        if default.startswith(head):
            begin, before_system = "", head
        said = None
        if default != begin:
            said = default[len(begin) :].removeprefix(before_system).removesuffix(after_system)
        around = {
            "system": (before_system, after_system),
            "user": (before_user, after_user),
            "assistant": (before_reply, after_reply),
        }
        found = _Turns(around, begin, asked[len(two) :], said)
        talk = [Message("user", " a\n"), Message("assistant", "b "), Message("user", "c")]
        for messages in (talk, talk[:1], [Message("system", " s "), *talk]):
            if found.text(messages) != template.text(messages, prompt=True):
                return None
    except DataError:
        return None
    return found


def _shared(a: str, b: str) -> str:
    """Return the beginning that two texts have in common."""
    shared = min(len(a), len(b))
    return a[: next((i for i in range(shared) if a[i] != b[i]), shared)]
