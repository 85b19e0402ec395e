"""A head tuned over the layers of a base: batches, learning, keeping, choosing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_classify import rows

from mynah import Classifier
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.huggingface import to_hugging_face
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.classify.fitting import fit
from mynah.tune.classify.head import Headed, TextBatches, batch_of, loss_of_classes
from mynah.tune.classify.label_text import LabelText, shortened
from mynah.tune.classify.labels import Labels
from mynah.tune.classify.tuned_head import HeadSettings, TunedHead, Tuner

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base") / "model"
    tokenizer = Tokenizer.train([row.text for row in rows()], 300)
    shape = preset("gpt2", tokenizer.vocab_size, n_layer=3, n_embd=32, n_head=2, context_length=64)
    to_hugging_face(new_model(shape, 0), tokenizer, folder)
    return str(folder)


def test_batches_are_a_function_of_the_step_and_hold_every_text_once_a_pass() -> None:
    encoded = [[n] * (1 + n % 5) for n in range(20)]
    made = TextBatches(encoded, [9], np.arange(20), np.ones(20, np.float32), 6, 1)
    passes = [[made(step) for step in range(begin, begin + 4)] for begin in (0, 4)]
    for one in passes:
        assert sorted(n for batch in one for n in batch.numbers.tolist()) == list(range(20))
    assert torch.equal(made(5).tokens, passes[1][1].tokens)
    assert passes[0][0].numbers.tolist() != passes[1][0].numbers.tolist()


def test_a_batch_is_cut_and_what_fills_it_up_counts_for_nothing() -> None:
    batch = batch_of([[1, 2, 3], [4]], [7], np.array([0, 1]), np.ones(2, np.float32))
    assert batch.tokens.tolist() == [[7, 1, 2, 3], [7, 4, 0, 0]]
    assert batch.seen.tolist() == [[0, 1, 1, 1], [0, 1, 0, 0]]
    assert (batch.count, batch.n_tokens) == (2, 8)
    assert [part.count for part in batch.split(3)] == [1, 1, 0]
    model = Headed(
        new_model(preset("gpt2", 20, n_layer=1, n_embd=8, n_head=2, context_length=8), 0), 2
    ).eval()
    whole, count = loss_of_classes(model, batch)
    parts = [loss_of_classes(model, part)[0] for part in batch.split(3)]
    assert count == 2
    assert float(sum(parts).detach()) == pytest.approx(float(whole.detach()), rel=1e-5)
    alone = batch_of([[4]], [7], np.array([1]), np.ones(1, np.float32))
    torch.testing.assert_close(model(batch.tokens, batch.seen)[1:], model(alone.tokens, alone.seen))


@pytest.mark.parametrize("full", [False, True])
def test_a_head_learns_and_is_kept(base: str, full: bool, tmp_path: Path) -> None:
    given = rows(160)
    labels = Labels.of(given)
    learned, asked = given[:120], rows(80, seed=5)
    head = TunedHead.learn(
        base,
        [row.text for row in learned],
        labels.numbers(learned),
        2,
        HeadSettings(1.0, 15, full),
        seed=0,
        device=CPU,
    )
    said = head.log_probs([row.text for row in asked])
    assert (said.argmax(1) == labels.numbers(asked)).mean() > 0.85
    np.testing.assert_allclose(np.exp(said).sum(1), 1, atol=1e-6)
    head.save(tmp_path)
    again = TunedHead.load(tmp_path, CPU)
    np.testing.assert_allclose(again.log_probs([asked[0].text]), said[:1], atol=1e-5)
    (tmp_path / "head.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match="not what a head is read from"):
        TunedHead.load(tmp_path, CPU)


def test_the_head_is_chosen_where_it_is_asked_for_and_classifies_when_opened(
    base: str, tmp_path: Path
) -> None:
    model = Classifier.from_pretrained(base).train(rows(), way="head")
    assert model._ready().fitted.way == "head"
    text = "the lift was dirty and the view was cold"
    found = model.predict(text)
    assert found.label == "bad"
    model.save(tmp_path / "kept")
    again = Classifier.from_pretrained(tmp_path / "kept").predict(text)
    assert again.probability == pytest.approx(found.probability, abs=1e-4)


def test_without_time_or_a_base_it_is_left_out_and_said(base: str) -> None:
    made = fit(rows(), ClassifyConfig(), 0, tuner=Tuner(base, CPU, 1e-6))
    assert made.way == "words"
    assert "a tuned head is left out" in made.reason
    with pytest.raises(ConfigError, match="give more --minutes"):
        fit(rows(), ClassifyConfig(way="head"), 0, tuner=Tuner(base, CPU, 1e-6))
    with pytest.raises(ConfigError, match="needs a base"):
        fit(rows(), ClassifyConfig(way="head"), 0)


def test_more_time_is_spent_on_deeper_layers_first(base: str) -> None:
    texts = [row.text for row in rows()]
    needed = Tuner(base, CPU, 1.0).seconds_needed(texts)
    least = Tuner(base, CPU, 1.01 * needed).settings(texts)
    plenty = Tuner(base, CPU, 100 * needed).settings(texts)
    assert least is not None
    assert plenty is not None
    assert (least.share, round(least.passes, 1)) == (1 / 3, 2.5)
    assert (plenty.share, plenty.passes) == (0.6, 6.0)


def test_labels_are_said_and_only_they_are_compared(base: str, tmp_path: Path) -> None:
    given = rows(80)
    labels = Labels.of(given)
    numbers, texts = labels.numbers(given), [row.text for row in given]
    hardly, made = (
        LabelText.learn(base, texts, numbers, labels.names, passes, seed=0, device=CPU)
        for passes in (0.01, 12)
    )
    before, said = hardly.log_probs(texts), made.log_probs(texts)
    np.testing.assert_allclose(np.exp(said).sum(1), 1, atol=1e-6)
    every = np.arange(len(texts))
    assert said[every, numbers].mean() > before[every, numbers].mean() + 0.01
    made.save(tmp_path)
    again = LabelText.load(tmp_path, CPU)
    assert again.labels == labels.names
    np.testing.assert_allclose(again.log_probs(texts[:1]), said[:1], atol=1e-4)


def test_labels_as_text_are_chosen_where_they_are_asked_for(base: str, tmp_path: Path) -> None:
    model = Classifier.from_pretrained(base).train(rows(), way="label_text")
    assert model._ready().fitted.way == "label_text"
    found = model.predict("the lift was dirty and the view was cold")
    model.save(tmp_path / "kept")
    again = Classifier.from_pretrained(tmp_path / "kept").predict("the lift was dirty and the view was cold")
    assert (again.label, again.probability) == (found.label, pytest.approx(found.probability, abs=1e-4))
    with pytest.raises(ConfigError, match="give more --minutes"):
        fit(rows(), ClassifyConfig(way="label_text"), 0, tuner=Tuner(base, CPU, 1e-6))


def test_long_texts_keep_their_beginning_and_end() -> None:
    text = "".join(chr(ord("a") + n % 26) for n in range(2000))
    assert shortened(text) == f"{text[:300]} … {text[-300:]}"
    assert shortened("short") == "short"
