"""Which base a build takes by itself, and what it is told before a conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mynah import artifacts, build
from mynah.data.records import Message
from mynah.data.store import read_records
from mynah.errors import ConfigError, DataError
from mynah.interop.bases import add_base
from mynah.interop.huggingface import to_hugging_face
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.pipeline import base_stage, beside_stage
from mynah.pipeline.recipe import Recipe, load_recipe
from mynah.pipeline.stage import Build
from mynah.stages import RunPaths, Silent, Stages
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.examples import encoded_records
from mynah.tokenizer.tokenizer import Tokenizer

SETTINGS: dict[str, Any] = {
    "plan": {"minutes": 2, "tune": {"steps": 2, "eval_every": 2}},
    "ngram": {"order": 3},
    "evaluate": {"samples": 0},
    "adapter": {"rank": 2, "alpha": 4},
}
GREEK = ["πού είναι η παραγγελία", "η παραγγελία έφτασε χθες το πρωί στο κατάστημα"]


class Notes(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


def write_log(path: Path, question: str, answer: str) -> Path:
    rows = "".join(f"{question} {i},{answer} {i % 7}\n" for i in range(120))
    path.write_text(f"question,answer\n{rows}", encoding="utf-8")
    return path


@pytest.fixture
def english(tmp_path: Path) -> Path:
    return write_log(tmp_path / "en.csv", "where is my parcel with the order", "the parcel arrives on day")


def add(name: str, card: str, folder: Path, layers: int = 1, talks: bool = True) -> None:
    tokenizer = Tokenizer.train(["where is order 12? it is on its way, and so on"], 320)
    shape: dict[str, Any] = {
        "n_layer": layers,
        "n_embd": 16,
        "n_head": 2,
        "n_kv_head": 2,
        "context_length": 64,
    }
    config = preset("tinyllama-1.1b", tokenizer.vocab_size, ffn_hidden=24, **shape)
    to_hugging_face(new_model(config, 0), tokenizer, folder / name, talks=talks)
    (folder / name / "README.md").write_text(f"---\n{card}---\nwords\n", encoding="utf-8")
    add_base(str(folder / name))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path / "home"))
    return tmp_path


def chosen(source: Path, out: Path, **more: Any) -> tuple[str | None, list[str]]:
    """Return the base that a build takes, and all that it says of it."""
    notes = Notes()
    build([source], {**SETTINGS, **more}, out, notes, until="tokenizer")
    path = RunPaths(out).base_choice
    return artifacts.read_json(path)["base"] if path.is_file() else None, notes.told


def test_the_largest_base_that_knows_the_language_is_taken(home: Path, english: Path) -> None:
    add("small", "license: mit\nlanguage:\n- en\n- de\n", home)
    add("large", "language: [en]\n", home, layers=2)
    add("chinese", "language: zh\n", home, layers=3)
    name, told = chosen(english, home / "run")
    assert name == "large"
    assert any("large knows the log's language (en)" in line for line in told)
    assert load_recipe(home / "run" / "recipe.toml", {}).base == "large"
    greek = write_log(home / "el.csv", *GREEK)
    name, told = chosen(greek, home / "greek")
    assert name is None
    assert load_recipe(home / "greek" / "recipe.toml", {}).base == "none"
    assert any(
        "no base here speaks the log's language (el); an open model that knows it: mynah base add" in line
        for line in told
    )


def test_a_base_that_does_not_talk_is_for_replies_that_are_new(home: Path, english: Path) -> None:
    add("silent", "language: en\n", home, layers=3, talks=False)
    name, told = chosen(english, home / "run")
    assert name is None
    assert any("replies repeat" in line and "--base silent takes it" in line for line in told)
    assert any("mynah base add smollm2" in line for line in told)
    new = home / "new.csv"
    rows = "".join(f"where is the parcel {i},it comes by post on day {i} of the month\n" for i in range(120))
    new.write_text(f"question,answer\n{rows}", encoding="utf-8")
    assert chosen(new, home / "new")[0] == "silent"
    add("talking", "language: en\n", home)
    assert chosen(new, home / "new")[0] == "talking"  # though it is smaller


def test_without_a_base_it_is_said_how_to_get_one(home: Path, english: Path) -> None:
    name, told = chosen(english, home / "run")
    assert name is None
    assert any("mynah base add smollm2" in line for line in told)


@pytest.mark.parametrize("more", [{"plan": {"size": "nano"}}, {"tokenizer": {"vocab_size": 300}}, {"base": "none"},
                                  {"plan": {"minutes": 1, "replies": False}}])  # fmt: skip
def test_who_asks_for_a_new_network_gets_one(home: Path, english: Path, more: dict[str, Any]) -> None:
    add("small", "language: en\n", home)
    assert chosen(english, home / "run")[0] == "small"
    assert chosen(english, home / "run", **more)[0] is None
    assert not (home / "run" / "base").exists()


def test_a_base_that_does_not_fit_is_not_taken(
    home: Path, english: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("small", "language: en\n", home)
    monkeypatch.setattr(base_stage, "adapter_speed", lambda parameters, device: 100.0)
    name, told = chosen(english, home / "run")
    assert name is None
    assert any("small needs about --minutes 14 here" in line for line in told)
    assert chosen(english, home / "run", plan={**SETTINGS["plan"], "minutes": 14})[0] == "small"
    rows = "".join(
        f"where is my parcel {i},the order {i} arrives by the post on day {i % 31}\n" for i in range(120)
    )
    new = home / "new.csv"  # replies that do not repeat
    new.write_text(f"question,answer\n{rows}", encoding="utf-8")
    assert any("small needs about --minutes 9 here" in line for line in chosen(new, home / "new")[1])
    monkeypatch.setattr("mynah.pipeline.base_stage.available_memory", lambda device: 1 << 20)
    name, told = chosen(english, home / "run")
    assert any("small needs 1.1 GB of memory" in line for line in told)


def test_a_whole_build_starts_from_what_was_chosen(home: Path, english: Path) -> None:
    add("small", "language: en\n", home)
    result = build([english], SETTINGS, home / "run")
    assert result["verdict"]["on"] == "replies"
    again = Notes()
    build([english], SETTINGS, home / "run", again)
    assert RunPaths(home / "run").base_choice.is_file()


TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "<s>system: you are a very helpful thing</s>{% endif %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)


def refuses(when: str) -> str:
    """Return the template, which refuses some turns."""
    first = f"{{% if {when} %}}{{{{ raise_exception('not that') }}}}{{% endif %}}<s>{{{{ m['role']"
    return TEMPLATE.replace("<s>{{ m['role']", first)


@pytest.fixture
def talking(tmp_path: Path) -> Path:
    """A base whose template writes a system text by itself."""
    from tokenizers import AddedToken
    from tokenizers import Tokenizer as Backend
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel

    backend = Backend(BPE({c: i for i, c in enumerate(sorted(ByteLevel.alphabet()))}, []))
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    backend.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    own = Tokenizer.train(["some words"], 300)
    shape: dict[str, Any] = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_kv_head": 2, "context_length": 256}
    model = new_model(preset("tinyllama-1.1b", backend.get_vocab_size(), ffn_hidden=24, **shape), 0)
    folder = tmp_path / "talking"
    to_hugging_face(model, own, folder)
    backend.save(str(folder / "tokenizer.json"))
    artifacts.write_json(
        folder / "tokenizer_config.json",
        {
            "bos_token": "<s>",
            "eos_token": "</s>",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": TEMPLATE,
        },
    )
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize(
    ("system", "begins"),
    [
        (None, "<s>system: </s>"),
        ("default", "<s>system: you are a very helpful thing</s>"),
        ("Sell \"it\"\n{{ 'no' }}", "<s>system: Sell \"it\"\n{{ 'no' }}</s>"),
    ],
)
def test_what_a_base_is_told_stands_in_its_template(
    talking: Path, english: Path, home: Path, system: str | None, begins: str
) -> None:
    transformers = pytest.importorskip("transformers")
    notes = Notes()
    recipe = {**SETTINGS, "base": str(talking), **({} if system is None else {"system": system})}
    build([english], recipe, home / "run", notes, until="tokens")
    folder = RunPaths(home / "run").tokenizer
    kept = Tokenizer.load(folder).template
    talk = [Message("user", "hi"), Message("assistant", "yes")]
    dicts = [{"role": m.role, "content": m.content} for m in talk]
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    text = theirs.apply_chat_template(dicts, tokenize=False)
    assert text == f"{begins}<s>user: hi</s><s>assistant: yes</s>"
    assert kept.render(talk).ids == theirs.apply_chat_template(dicts)["input_ids"]
    own = [Message("system", "mine"), *talk]  # a conversation's own stays
    assert kept.render(own).ids == Tokenizer.load(talking).template.render(own).ids
    assert any("told nothing before a conversation" in line for line in notes.told) == (system is None)


def test_a_system_text_that_cannot_be_told_is_refused(talking: Path, english: Path, home: Path) -> None:
    with pytest.raises(ConfigError, match="</s> is a control token of the base"):
        build([english], {**SETTINGS, "base": str(talking), "system": "end</s>"}, home / "run")
    refusing = refuses("m['role'] == 'system'")
    config = artifacts.read_json(talking / "tokenizer_config.json")
    artifacts.write_json(talking / "tokenizer_config.json", {**config, "chat_template": refusing})
    with pytest.raises(ConfigError, match=r"--system: .*not that"):
        build([english], {**SETTINGS, "base": str(talking), "system": "be kind"}, home / "run")
    assert not (home / "run" / "tokenizer").exists()
    build([english], {**SETTINGS, "base": str(talking)}, home / "run", until="tokenizer")


def test_a_new_network_is_told_nothing(english: Path, home: Path) -> None:
    notes = Notes()
    build([english], Recipe(base="none", system="be kind"), home / "run", notes, until="tokenizer")
    assert any("--system is left out" in line for line in notes.told)


def test_conversations_that_a_template_cannot_say_are_left_out_and_counted(
    talking: Path, tmp_path: Path
) -> None:
    source = tmp_path / "log.csv"
    rows = "".join(f"where is {i},{'in Bonn' if i % 4 else 'refused'} {i}\n" for i in range(120))
    source.write_text(f"question,answer\n{rows}", encoding="utf-8")
    refusing = refuses("'refused' in m['content']")
    config = artifacts.read_json(talking / "tokenizer_config.json")
    artifacts.write_json(talking / "tokenizer_config.json", {**config, "chat_template": refusing})
    notes = Notes()
    build([source], {**SETTINGS, "base": str(talking)}, tmp_path / "run", notes, until="ngram")
    assert any(
        "30 conversations left out: the base's chat template cannot say them" in line for line in notes.told
    )
    # Others measured on what is held out are measured on what is left of it, or are not compared.
    paths = RunPaths(tmp_path / "run")
    there = list(read_records(paths.records_of("held_out")))
    said = list(encoded_records(there, Tokenizer.load(paths.tokenizer)))
    assert len(said) == len(TokenSet.load(paths.tokens_of("held_out"))) < len(there)
    assert said == [record for record in there if "refused" not in "".join(record.texts)]
    asked = Build([source], Recipe(), Stages(paths.directory, 0, notes))
    found = beside_stage._measured(asked, str(talking), there, np.zeros((len(there), 2), np.int64))
    assert found == {"name": str(talking), "learned": 0, "unsaid": len(there) - len(said)}
    # What is said otherwise is not the same text.
    found = beside_stage._measured(asked, str(talking), said, np.ones((len(said), 2), np.int64))
    assert found["unsaid"] == len(said)
    source.write_text(
        "question,answer\n" + "".join(f"where is {i},refused {i}\n" for i in range(120)), encoding="utf-8"
    )
    with pytest.raises(DataError, match="chat template refuses this conversation: not that"):
        build([source], {**SETTINGS, "base": str(talking)}, tmp_path / "none", until="ngram")
