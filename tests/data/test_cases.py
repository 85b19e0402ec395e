"""Small inputs that went wrong once, of `shared/cases`: what is said in reply to what, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mynah.data.collect.collector import Collector
from mynah.data.records import Rejected
from mynah.data.sources import CollectConfig
from mynah.retrieval.exchanges import exchanges_of

#: case, file and whose replies -> exchanges
CASES: dict[tuple[str, str, str], list[tuple[str, str]]] = {
    ("03-wa-dash-date-no-separator", "chat.txt", "Saar"): [
        ("Ben je er al?", "Bijna\nnog vijf minuten"),
        ("Goedemorgen", "Morgen!"),
    ],
    ("05-wa-iso-date-ampm-colon", "chat.txt", "Nadia"): [
        ("Hello, how was the trip?", "Long but fine"),
        ("Coffee today?", "Yes please"),
    ],
    ("06-wa-bracket-iso-no-space-after-colon", "_chat.txt", "Bob"): [
        ("Hey", "Hi"),
        ("lunch?", "ok at 12:30"),
    ],
    ("09-wa-arabic-digits", "chat.txt", "منى"): [("متى نلتقي؟", "في السادسة"), ("وصلت", "تمام")],
    ("10-wa-german-ampm-spanish-ptt", "de.txt", "Olaf"): [
        ("Bist du da?", "Ja klar"),
        ("Was machst du?", "Kochen"),
    ],
    ("10-wa-german-ampm-spanish-ptt", "es.txt", "Raúl"): [("¿Vienes?", "Ya llegué")],
    ("13-tg-rich-message", "result.json", "Jo"): [("And bread?", "No, we have some")],
    ("18-instagram-edits-reactions-polls", "message_1.json", "Sam"): [
        ("When did you move?", "Last year 😭\nFine, see you")
    ],
    ("20-line-export-languages", "line_pc.txt", "Kai"): [("Good morning", "Morning!"), ("Lunch?", "Sure")],
    ("21-wa-poll", "android.txt", "Ada"): [("Who is in?", "me"), ("Saturday it is", "ok")],
    ("22-media-between-replies-glued", "chat.txt", "Max"): [
        ("How is your mother?", "Better, thanks"),
        ("ok", "Call you at six"),
    ],
    ("23-signal-sigtop", "Vera (+4900).txt", ""): [("Happy new year!\nDid you sleep?", "Yes, a little")],
    ("25-dst-backward-clock", "chat.txt", "Kim"): [
        ("Is the ferry late?", "Yes, one hour"),
        ("Will you wait?", "I will wait inside"),
        ("Do you have tea?", "Mint tea"),
        ("home?", "yes"),
    ],
    ("61-messenger-e2ee", "Ken_1.json", "Ken"): [("Kedy prídeš? 😊", "Za hodinu"), ("Dobre", "Som tu")],
    ("64-tg-forwards-as-own-words", "result.json", "Jo"): [
        ("Any news on the strike?\nOh no", "I will drive you"),
        ("kind of you", "sure"),
    ],
    ("68-sms-tapbacks", "sms.xml", ""): [("Are you home?", "In ten minutes\nLoved the movie we saw\nHere")],
    ("70-sms-xml-surrogates", "sms.xml", ""): [
        ("Are you home?", "In ten minutes 😊"),
        ("Good", "Shall I bring bread?"),
        ("Yes \nplease", "Here"),
    ],
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}/{case[1]}")
def test_exchanges(shared: Path, case: tuple[str, str, str]) -> None:
    folder, name, me = case
    path = shared.parent / "cases" / folder / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    config = CollectConfig.model_validate({"columns": {"assistant": [me] if me else []}})
    records = (item for item in Collector([path], config).items() if not isinstance(item, Rejected))
    assert [(e.question, e.reply) for e in exchanges_of(records)] == CASES[case]
