"""What chat apps write in a person's place: that messages are encrypted, polls, reactions that come as texts.

None of it is anything that the person said, and a bot that learned it would say it.
"""

from __future__ import annotations

import re
from collections import deque

#: The notice that a chat is encrypted, which some exports put into the mouth of whoever the chat is with.
_ENCRYPTED = re.compile(
    r"(?:messages (?:and calls are|you send to this|to this)|nachrichten und anrufe sind"
    r"|los mensajes y (?:las )?llamadas|les messages et (?:les )?appels"
    r"|as mensagens e (?:as )?(?:chamadas|ligações)|i messaggi e le chiamate"
    r"|berichten en oproepen|сообщения и звонки|mesajlar ve aramalar|wiadomości i połączenia|pesan dan panggilan"
    r"|消息和通话|訊息(?:和|與|及)通話|メッセージと通話|메시지(?:와|및) (?:통화|전화)|الرسائل والمكالمات|संदेश और कॉल)"
    r".{0,60}?(?:end-to-end|ende-zu-ende|extremo a extremo|bout en bout|ponta a ponta|ponto a ponto|сквозным|uçtan uca"
    r"|端到端|端对端|端對端|エンドツーエンド|종단|مشفرة|एन्क्रिप्ट|szyfrowan|terenkripsi|dienkripsi|cifrad|versleuteld)"
    r".{0,300}",
    re.IGNORECASE | re.DOTALL,
)
#: WhatsApp's form of a poll: a word, the question, and a line for each answer with its votes.
_POLL = re.compile(r"\W?\w{2,14} ?:\n(?:[^\n]+\n)+?(?:\W?\w{2,14} ?: [^\n]+ \([^()\n]*\d[^()\n]*\)(?:\n|$))+")
#: A reaction that a phone sends as a text: "Loved “...”", with the quotation marks that no thumb types.
_TAPBACK = re.compile(
    r"(?:liked|loved|disliked|laughed at|emphasi[sz]ed|questioned|reacted \S{1,12} to"
    r"|removed (?:a|an) [\w ]{3,20} from|(?:hat )?gefällt|le gustó|me gusta|a aimé|喜欢了|赞了|爱了)\s?"
    r"(?:“(?P<curly>.+)”|„(?P<low>.+)[“”]|«\s?(?P<angle>.+)\s?»|\"(?P<straight>.+)\")\s*",
    re.IGNORECASE | re.DOTALL,
)
#: Messages that a reaction is taken to be to.
_RECENT = 200


def is_encryption_notice(text: str) -> bool:
    """Whether a message is the app's own, that the chat is encrypted."""
    return len(text) < 600 and _ENCRYPTED.fullmatch(text.strip()) is not None


def is_poll(text: str) -> bool:
    """Whether a message is a poll in an app's own form."""
    return ":\n" in text[:20] and _POLL.fullmatch(text.strip()) is not None


class Reactions:
    """Knows reactions that come as texts, by their form and by what they quote."""

    def __init__(self) -> None:
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def take(self, text: str) -> bool:
        """Return whether a message is a reaction; else remember it as one that may be reacted to."""
        found = _TAPBACK.fullmatch(text.strip())
        if found is not None:
            quoted = found["straight"]
            # Straight marks are typed by people too: these must quote what was said.
            if quoted is None or any(said.startswith(quoted.rstrip("….")) for said in self._recent):
                return True
        self._recent.append(text.strip())
        return False
