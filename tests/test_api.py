from __future__ import annotations

import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY

import mynah
from mynah import GPT3, GPT3ChatBot, api, build, chatbot
from mynah.config import merge
from mynah.data.preprocess import join_words
from mynah.data.readers.given import to_records
from mynah.data.records import Conversation, Document
from mynah.errors import ArtifactError, ConfigError, DataError
from mynah.model.presets import preset
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.pipeline.open_run import open_run
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.config import TrainConfig
from mynah.train.state import Progress

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


def test_more_memory_than_there_is_is_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "available_memory", lambda device: 1 << 20)
    with pytest.raises(ConfigError, match="are free"):
        GPT3.from_pretrained("gpt3-nano").train(["one two three four"] * 4, epochs=1)


def test_a_learning_rate_reaches_the_matrices_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[TrainConfig] = []

    def look(model: object, data: object, held_out: object, config: TrainConfig) -> Progress:
        given.append(config)
        return Progress()

    monkeypatch.setattr(api, "pretrain", look)
    for rate in (None, 1e-3):
        GPT3.from_pretrained("nano").train(["one two three four"] * 4, epochs=1, learning_rate=rate)
    usual, asked = given
    assert asked.learning_rate == 1e-3
    ratio = asked.learning_rate / usual.learning_rate
    assert asked.matrix_learning_rate == pytest.approx(usual.matrix_learning_rate * ratio)


def test_what_is_learned_by_heart_is_not_kept_and_it_says_so() -> None:
    words = "red blue green tall small old new quick slow warm cold loud".split()
    texts = [f"the {a} fox and the {b} hen" for a in words for b in words if a < b]
    model = GPT3.from_pretrained("nano")
    with pytest.warns(UserWarning, match=r"after \d+\.\d of 60 epochs are kept: .* learned by heart"):
        model.train(texts, epochs=60)
    train, held_out = api.set_apart(encode_records(to_records(texts), model.tokenizer))
    assert held_out is not None
    assert 0.02 < len(held_out) / len(texts) < 0.25
    assert len(train) + len(held_out) == len(texts)
    long = encode_records(to_records([" ".join(texts) * 80]), model.tokenizer)
    train, held_out = api.set_apart(long)
    assert held_out is not None
    assert [*train.tokens, *held_out.tokens] == long.tokens.tolist()
    assert api.set_apart(encode_records(to_records(texts[:5]), model.tokenizer))[1] is None


def test_a_run_keeps_its_own_sampling_and_cleaning(chats: Path, tmp_path: Path) -> None:
    own = {"sampling": {"max_tokens": 3, "stop": ["zzz"]}, "clean": {"lowercase": True}}
    build([chats], merge(TINY, own), tmp_path / "run")
    bot = GPT3ChatBot.from_pretrained(tmp_path / "run")
    assert bot.sampling.max_tokens == 3
    bot.chat("DO YOU SEND A TENT?", temperature=0)  # a setting of the network: it replies, not the log
    assert bot._session is not None
    assert bot._session.history[0].content == "do you send a tent?"
    assert len(bot.tokenizer.encode(bot._session.history[1].content)) <= 3
    again = GPT3ChatBot.from_pretrained(bot.save(tmp_path / "saved"))
    assert (again.sampling, again.cleaning) == (bot.sampling, bot.cleaning)


def test_a_run_answers_from_its_log(chats: Path, tmp_path: Path) -> None:
    build([chats], merge(TINY, {"answers": {"mode": "grounded"}}), tmp_path / "run")
    bot = GPT3ChatBot.from_pretrained(tmp_path / "run")
    reply = bot.reply("who painted the mona lisa")
    assert isinstance(reply, mynah.Reply)
    assert reply.handed_over
    assert reply.sources == ()
    assert bot.chat("who painted the mona lisa") == reply.text
    bot.reset()
    with pytest.raises(ConfigError, match="no log to answer from"):
        GPT3ChatBot.from_pretrained(bot).reply("hello")


def test_an_exported_bot_still_talks(tmp_path: Path) -> None:
    bot = GPT3ChatBot.from_pretrained("gpt2")
    bot.model = small_gpt2()
    bot.tokenizer = Tokenizer.train([t for pair in PAIRS for t in pair], 300)
    bot.train(PAIRS, epochs=1)
    assert open_run(bot.export(tmp_path / "bot")).talks
    text = GPT3.from_pretrained(bot)
    text.talks = False
    assert not open_run(text.export(tmp_path / "text")).talks


def small_gpt2() -> Transformer:
    return new_model(preset("gpt2", 300, n_layer=1, n_embd=32, n_head=2, context_length=64), 0)


def test_every_stage_is_a_call(chats: Path, tmp_path: Path) -> None:
    read = mynah.collect([chats], tmp_path / "read")
    assert read.state == "new"
    assert mynah.collect([chats], tmp_path / "read").state == "done"
    cleaned = mynah.clean(read.folder, tmp_path / "clean")
    parts = mynah.split(cleaned.folder, tmp_path / "split", seed=3)
    assert parts.counts["train"] + parts.counts["held_out"] <= cleaned.counts["kept"]
    assert mynah.build([chats], TINY, tmp_path / "run", until="tokens") == {}
    assert not (tmp_path / "run" / "ngram").exists()
    with pytest.raises(mynah.MynahError, match="no stage of a build"):
        mynah.build([chats], TINY, tmp_path / "run", until="token")


def test_the_only_reply_is_learned_and_not_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[TokenSet, TokenSet | None]] = []

    def look(model: object, data: TokenSet, held_out: TokenSet | None, config: object) -> Progress:
        seen.append((data, held_out))
        return Progress()

    def held(data: TokenSet) -> np.ndarray:
        return np.where(data.kind == 0, 0.0, 0.5)  # as if every conversation were drawn

    monkeypatch.setattr(chatbot, "tune", look)
    monkeypatch.setattr(api, "draw_order", held)
    texts = [f"a text number {i}" for i in range(60)]
    GPT3ChatBot.from_pretrained("nano").train([*texts, ("who?", "me")], epochs=1)
    ((data, held_out),) = seen
    assert data.reply.any()
    assert held_out is None
