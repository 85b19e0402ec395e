from __future__ import annotations

import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import mynah
from mynah import GPT3, GPT3ChatBot
from mynah.api import join_words, to_records
from mynah.data.records import Conversation, Document
from mynah.errors import ArtifactError, ConfigError, DataError

ROOT = Path(__file__).parents[1]
PAIRS = [(f"question {word}?", f"answer {word}") for word in ("red", "blue", "green", "grey")]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    warnings.simplefilter("ignore", UserWarning)


def test_public_names_are_all_there_and_import_nothing_heavy() -> None:
    for name in mynah.__all__:
        assert getattr(mynah, name) is not None
    code = "import sys, mynah; print([m for m in ('torch', 'numpy', 'tokenizers') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'GPT4'"):
        mynah.GPT4  # noqa: B018


def test_a_preset_name_says_once_that_it_has_no_weights() -> None:
    from mynah import api

    api._told.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        GPT3.from_pretrained("gpt3")
        GPT3.from_pretrained("gpt3")
    assert len(told) == 1
    assert "random" in str(told[0].message)
    with pytest.raises(ConfigError, match="neither a folder nor a preset"):
        GPT3.from_pretrained("gpt5")
    with pytest.raises(ConfigError, match="call train first"):
        GPT3.from_pretrained("gpt3").generate("x")


def test_saving_replaces_only_what_it_wrote(tmp_path: Path) -> None:
    model = GPT3.from_pretrained("gpt3-nano").train(["one two three four"] * 4, epochs=1)
    folder = tmp_path / "model"
    neighbour = tmp_path / "model.partial"
    neighbour.mkdir()
    model.save(folder)
    model.save(folder)
    neighbour.rmdir()  # still there: it was not ours
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="damaged"):
        GPT3.from_pretrained(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match="did not write"):
        model.save(other)
    assert (other / "letter.txt").read_text(encoding="utf-8") == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"model", "other"}


def test_a_bot_learns_its_pairs_remembers_and_is_saved(tmp_path: Path) -> None:
    bot = GPT3ChatBot.from_pretrained("nano")
    bot.train(PAIRS * 8, epochs=150)
    assert bot.chat("question red?") == "answer red"
    assert bot._session is not None
    assert len(bot._session.history) == 2
    bot.reset()
    bot.save(tmp_path / "bot")
    again = GPT3ChatBot.from_pretrained(tmp_path / "bot")
    assert again.talks
    assert again.chat("question blue?") == "answer blue"


def test_training_the_bot_leaves_its_model_alone() -> None:
    model = GPT3.from_pretrained("gpt3-nano").train(["some words to learn"] * 20, epochs=1)
    assert model.model is not None
    before = {k: v.clone() for k, v in model.model.state_dict().items()}
    bot = GPT3ChatBot.from_pretrained(model)
    bot.train(PAIRS, epochs=1)
    assert all(torch.equal(v, before[k]) for k, v in model.model.state_dict().items())
    assert bot.tokenizer is model.tokenizer


def test_texts_without_speakers_are_continued_and_it_says_so() -> None:
    bot = GPT3ChatBot.from_pretrained("nano")
    with pytest.warns(UserWarning, match="learns to continue texts"):
        bot.train(["the red fox runs"] * 40, epochs=60)
    assert not bot.talks
    assert bot.chat("the red", max_tokens=8).startswith(" fox runs")


def test_forms_of_texts() -> None:
    records = to_records([
        "plain", ["two", "words"], ("q", "a"), "Q: why? A: because.",
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
    ])  # fmt: skip
    kinds = [Document, Document, Conversation, Conversation, Conversation]
    assert [type(r) for r in records] == kinds
    assert records[1].texts == ("two words",)
    assert join_words(["你", "好", "world", "再", "见"]) == "你好 world 再见"
    with pytest.raises(DataError, match="text 1: found int"):
        to_records(["a", 3])  # type: ignore[list-item]
    with pytest.raises(DataError, match="every row is empty"):
        GPT3.from_pretrained("nano").train(["", " "])


def test_the_tutorial_runs_as_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.setattr(sys, "argv", ["chatbot_from_csv.py"])
    runpy.run_path(str(ROOT / "examples" / "chatbot_from_csv.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("> ")] == [
        "> When will my parcel arrive?",
        "> How do I send something back?",
    ]
