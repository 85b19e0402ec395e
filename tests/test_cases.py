"""Small inputs that went wrong once, of `shared/cases`: what is said in reply to what, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mynah.data.clean.text import remove_control, repair_unicode
from mynah.data.collect.collector import Collected, Collector, collect
from mynah.data.records import Conversation, Labelled, Rejected
from mynah.data.sources import CollectConfig
from mynah.errors import ArtifactError
from mynah.generate.chat import text_request
from mynah.generate.engine import generate
from mynah.generate.settings import SamplingConfig
from mynah.interop.huggingface import from_hugging_face, read_hugging_face, to_hugging_face
from mynah.model.transformer import IGNORE
from mynah.pipeline.build import build
from mynah.pipeline.open_run import open_run
from mynah.retrieval.exchanges import exchanges_of
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.preview import preview
from mynah.tokenizer.template import SAID
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.packed import PackedBatches

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


def case_of(shared: Path, name: str) -> Path:
    """Return a case's folder, or skip."""
    path = shared.parent / "cases" / name
    if not path.is_dir():
        pytest.skip(f"needs {path}")
    return path


def collected(path: Path, **settings: object) -> Collected:
    return collect([path], CollectConfig.model_validate(settings))


def exchanges(result: Collected) -> list[tuple[str, str]]:
    return [(e.question, e.reply) for e in exchanges_of(result.records)]


FAQ = [
    ("Where is my parcel?", "It is on its way."),
    ("Do you ship to Norway?", "Yes, in five days."),
    ("Can I pay by card?", "Yes, by any card."),
    ("Is the shop open today?", "Until six."),
    ("How do I return it?", "Use the label in the box."),
]


@pytest.mark.parametrize(("name", "doubled"), [("faq.csv", "answer"), ("faq2.csv", "question, answer")])
def test_a_doubled_name_is_told_and_its_first_column_read(shared: Path, name: str, doubled: str) -> None:
    result = collected(case_of(shared, "26-csv-duplicate-headers") / name)
    assert exchanges(result)[:3] == FAQ[:3]
    (warning,) = result.sources[0].warnings
    assert f"more than one column is called {doubled}:" in warning


def test_speakers_in_any_order(shared: Path) -> None:
    result = collected(case_of(shared, "30-sharegpt-odd-order") / "share.json")
    said = [[(m.role, m.content) for m in r.messages] for r in result.records if isinstance(r, Conversation)]
    assert said[0] == [
        ("assistant", "Hello, how can I help?"),
        ("user", "I need a lamp.\nA red one."),
        ("assistant", "We have two red lamps.\nBoth cost 20."),
        ("user", "Thanks"),
    ]
    assert said[1] == [
        ("system", "You sell lamps."),
        ("user", "Do you sell bulbs?"),
        ("assistant", "Three are left."),
    ]
    assert exchanges(result)[-5:] == FAQ
    bad = [(r.line, r.reason) for r in result.rejected if r.bad]
    assert bad == [(2, "a turn has an unknown role"), (4, "no turns"), (5, "a turn is empty")]


@pytest.mark.parametrize("name", ["bom.csv", "sep.csv", "u16.csv"])
def test_what_excel_writes_before_a_table(shared: Path, name: str) -> None:
    result = collected(case_of(shared, "32-csv-excel-bom-sep-utf16") / name)
    assert [question for question, _ in exchanges(result)] == [question for question, _ in FAQ]
    assert "sep=" not in str(result.records)
    assert "\ufeff" not in str(result.records)


@pytest.mark.parametrize("name", ["nlu.yml", "nlu.md"])
def test_examples_of_intents(shared: Path, name: str) -> None:
    result = collected(case_of(shared, "56-rasa-nlu") / name)
    assert [(r.text, r.label) for r in result.records if isinstance(r, Labelled)] == [
        ("hello", "greet"),
        ("good morning", "greet"),
        ("hi there", "greet"),
        ("a table for two in Graz", "book_table"),
        ("book tonight", "book_table"),
        ("I want a table", "book_table"),
    ]


def test_bytes_of_another_encoding(shared: Path) -> None:
    folder = case_of(shared, "58-yaml-cp1252-in-utf8")
    assert exchanges(collected(folder / "faq.yml"))[:2] == [
        ("What’s your name?", "I’m a bot – really"),
        ("Café open?", "Yes, café is open"),
    ]
    mixed = collected(folder / "mix.csv")
    assert exchanges(mixed)[0] == ("Где посылка 0?", "Она в пути 0")
    assert exchanges(mixed)[-1] == ("What’s up?", "It’s fine")
    assert mixed.sources[0].encoding == "utf-8 with 2 bytes of another encoding"


def test_emoji_are_whole_after_reading_and_cleaning(shared: Path) -> None:
    result = collected(case_of(shared, "50-emoji-cut") / "emoji.csv")
    cleaned = {repair_unicode(remove_control(text)) for record in result.records for text in record.texts}
    assert cleaned == {text for record in result.records for text in record.texts}
    assert any("👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈👋🏽🇺🇦❤️\u200d🔥" in text for text in cleaned)


@pytest.mark.parametrize("case", ["49-unbroken-line", "60-long-text-no-blank-lines"])
def test_long_lines_are_cut(shared: Path, tmp_path: Path, case: str) -> None:
    script = case_of(shared, case) / "make.py"
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True)
    for path in tmp_path.glob("*.txt"):
        result = collected(path)
        texts = [text for record in result.records for text in record.texts]
        assert len(texts) > 50
        assert "".join(texts).strip() == path.read_text(encoding="utf-8").strip()
        assert max(map(len, texts)) <= 2 * 2000 + 200


# Models of others


def test_a_reply_beyond_the_context_is_learned(shared: Path, tiny_run: Path) -> None:
    path = case_of(shared, "46-prompt-longer-than-context") / "long.csv"
    record = collected(path).records[0]
    shown = preview(record, tiny_run, context_length=64)
    head = shown.split("\n")[0]
    assert int(head.split(", ")[1].split()[0]) > 0
    assert "pieces of at most 64" in head
    tokens = encode_records([record], Tokenizer.open(tiny_run))
    rows = PackedBatches(tokens, 1, 64, seed=1)
    learned = sum(int((rows(step).targets != IGNORE).sum()) for step in range(rows.rows))
    assert learned == int((tokens.part == SAID).sum())


SAYS = {
    "40-hf-shards-and-bin/hf/sharded": "the parcel",
    "40-hf-shards-and-bin/hf/stale": "the parcel",
    "40-hf-shards-and-bin/hf/bf16": "the parcel",
    "42-hf-generate-past-eos/hf": "A",
    "43-hf-qwen3-no-bos/hf": "the parcel",
}


@pytest.mark.parametrize("model", SAYS)
def test_models_of_others_say_what_they_say_elsewhere(shared: Path, model: str) -> None:
    transformers = pytest.importorskip("transformers")
    path = case_of(shared, model.split("/")[0]) / "/".join(model.split("/")[1:])
    loaded, tokenizer = from_hugging_face(path)
    ids = tokenizer.begin(SAYS[model])
    if model.startswith("43"):  # no token that the model never saw at the beginning of a text
        assert ids == transformers.AutoTokenizer.from_pretrained(path)(SAYS[model]).input_ids
    peer = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    theirs = peer.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False)[0, len(ids) :].tolist()
    request = text_request(loaded, tokenizer, SAYS[model], SamplingConfig(temperature=0, max_tokens=8))
    assert list(request.prompt) == ids
    ours = [drawn.token for drawn in generate(loaded, request)]
    assert ours == theirs[: len(ours)]
    assert tokenizer.foreign is not None
    assert (
        len(ours) == 8 or ours[-1] in tokenizer.foreign.stops or theirs[len(ours)] in tokenizer.foreign.stops
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("lost", r"names model-00002-of-00007\.safetensors, which is not there"),
        ("bin", r"pytorch_model\.bin alone.*convert them to safetensors"),
    ],
)
def test_weights_that_cannot_be_read(shared: Path, model: str, said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        read_hugging_face(case_of(shared, "40-hf-shards-and-bin") / "hf" / model)


def test_an_exported_tokenizer_begins_texts_as_its_base_did(shared: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = case_of(shared, "44-export-loses-bos")
    steps = {"steps": 2, "eval_every": 2, "batch_size": 2, "context_length": 32}
    settings = {"plan": {"tune": steps, "pretrain": steps}, "ngram": {"order": 2}, "evaluate": {"samples": 1}}
    build([folder / "book.txt"], {**settings, "base": str(folder / "hf")}, tmp_path / "run")
    opened = open_run(tmp_path / "run")
    to_hugging_face(opened.model, opened.tokenizer, tmp_path / "out")
    base, exported = (
        transformers.AutoTokenizer.from_pretrained(path) for path in (folder / "hf", tmp_path / "out")
    )
    ids = base("the parcel").input_ids
    assert ids[0] == base.bos_token_id
    assert exported("the parcel").input_ids == ids == opened.tokenizer.begin("the parcel")
