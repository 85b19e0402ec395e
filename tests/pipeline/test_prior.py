"""A network that goes on from an n-gram model: training, decoding, evaluation, builds."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY

from mynah import GPT3
from mynah.cli.export import export
from mynah.config import merge
from mynah.errors import ArtifactError, ConfigError
from mynah.evaluate.language_model import score_network
from mynah.generate.engine import Request, generate, generate_all
from mynah.generate.settings import SamplingConfig
from mynah.model import loss
from mynah.model.config import ModelConfig
from mynah.model.transformer import IGNORE, Transformer
from mynah.model.weights import new_model
from mynah.ngram import NGramConfig
from mynah.ngram.prior import NGramPrior, TextPrior
from mynah.pipeline.build import build
from mynah.pipeline.open_run import open_run
from mynah.pipeline.recipe import load_recipe
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.batches import NextToken, StreamBatches, TokenBatch
from mynah.train.config import TrainConfig
from mynah.train.loop import held_out_loss
from mynah.train.packed import PackedBatches
from mynah.train.phases import pretrain

PRIORED = merge(TINY, {"prior": {"kind": "ngram", "folds": 3}})


@pytest.fixture(scope="module")
def prior(tokenizer: Tokenizer, data: TokenSet) -> NGramPrior:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NGramPrior.train(
            data.tokens, tokenizer.vocab_size, tokenizer.control.bos, NGramConfig(order=4)
        )


@pytest.fixture
def model(tokenizer: Tokenizer, prior: NGramPrior) -> Transformer:
    made = new_model(
        ModelConfig(
            vocab_size=tokenizer.vocab_size,
            context_length=32,
            n_layer=2,
            n_head=2,
            n_embd=32,
            norm_weight=False,
            tie_embeddings=False,
            init="zero_out",
            prior=True,
        ),
        0,
    )
    made.prior = prior
    return made


def test_an_untrained_network_leaves_the_prior_as_it_is(
    model: Transformer, prior: NGramPrior, data: TokenSet
) -> None:
    batches = StreamBatches(data, 4, 16, seed=0)
    along = TextPrior.of(prior, data.tokens)
    batch = replace(batches(0), prior=along)
    rows = along.log_probs(batch.positions.reshape(-1))
    expected = -rows[np.arange(len(rows)), batch.targets.reshape(-1).numpy()].mean()
    assert held_out_loss(model, [batch], NextToken()) == pytest.approx(expected, abs=0.02)
    assert sum(p.numel() for p in model.parameters()) == model.config.n_params()


def test_places_are_where_the_tokens_stand(data: TokenSet) -> None:
    for batches in (StreamBatches(data, 3, 16, seed=5), PackedBatches(data, 3, 24, seed=5)):
        for step in range(3):
            batch = batches(step)
            there = torch.from_numpy(batch.positions >= 0)
            assert there.any()
            positions = batch.positions[there.numpy()]
            assert data.tokens[positions].tolist() == batch.tokens[there].tolist()
            counted = there & (batch.targets != IGNORE)
            after = batch.positions[counted.numpy()] + 1
            assert data.tokens[after].tolist() == batch.targets[counted].tolist()


def test_accumulated_parts_ask_for_their_own_places(
    model: Transformer, prior: NGramPrior, data: TokenSet, tokenizer: Tokenizer
) -> None:
    along = TextPrior.held_out(
        data.tokens, data.starts, tokenizer.vocab_size, tokenizer.control.bos, NGramConfig(order=3), 3
    )
    ended = []
    for parts in (1, 2):
        fresh = new_model(model.config, 1)
        config = TrainConfig(
            steps=3, batch_size=4, context_length=16, grad_accum_steps=parts, eval_every=10, optimizer="adamw"
        )
        pretrain(fresh, replace(data, prior=along), None, config)
        ended.append(fresh.head.weight.detach())
    assert torch.allclose(*ended, atol=1e-5)


def test_training_teaches_what_the_prior_misses(
    model: Transformer, prior: NGramPrior, data: TokenSet, tokenizer: Tokenizer
) -> None:
    along = TextPrior.held_out(
        data.tokens, data.starts, tokenizer.vocab_size, tokenizer.control.bos, NGramConfig(order=2), 4
    )
    batch = replace(StreamBatches(data, 8, 16, seed=9)(0), prior=along)
    before = held_out_loss(model, [batch], NextToken())
    config = TrainConfig(steps=60, batch_size=8, context_length=16, eval_every=100)
    pretrain(model, replace(data, prior=along), None, config)
    assert held_out_loss(model, [batch], NextToken()) < 0.8 * before
    assert model.gate is not None
    assert float(model.gate.weight.abs().max()) > 0


def tokens_of(model: Transformer, prompt: list[int], config: SamplingConfig) -> list[int]:
    return [drawn.token for drawn in generate(model, Request(prompt, config))]


def shaken(model: Transformer) -> Transformer:
    """Give a model weights that say something, gate included."""
    generator = torch.Generator().manual_seed(3)
    for p in model.parameters():
        p.data.add_(torch.randn(p.shape, generator=generator), alpha=0.1)
    return model


def test_decoding_is_what_the_whole_text_gives(
    model: Transformer, prior: NGramPrior, tokenizer: Tokenizer
) -> None:
    shaken(model)
    bos = tokenizer.control.bos
    prompts = [[bos, *tokenizer.encode("say 3")], [bos, *tokenizer.encode("say 7")], [bos]]
    config = SamplingConfig(temperature=0.0, max_tokens=10)
    for prompt, together in zip(
        prompts, generate_all(model, [Request(p, config) for p in prompts]), strict=True
    ):
        ids = list(prompt)
        for token in tokens_of(model, prompt, config):
            with torch.no_grad():
                hidden = model(torch.tensor([ids]))[:, -1]
                given = torch.from_numpy(prior.log_probs(prior.contexts(np.array(ids)))[-1:])
                assert token == int(model.logits(hidden, given).argmax())
            ids.append(token)
        assert together == ids[len(prompt) :]


def test_scores_are_those_of_the_mixture(model: Transformer, prior: NGramPrior, data: TokenSet) -> None:
    shaken(model)
    scores = score_network(model, data, context_length=32)
    for record in (0, 7):
        ids = data.record(record)
        with torch.no_grad():
            given = torch.from_numpy(prior.log_probs(prior.contexts(ids)))
            logits = model.logits(model(torch.from_numpy(ids[None]))[0], given)
        expected = torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.from_numpy(ids[1:])]
        begin = int(data.starts[record])
        assert scores.log_probs[begin + 1 : begin + len(ids)] == pytest.approx(expected.numpy(), abs=1e-4)


def test_a_long_batch_goes_through_in_pieces(
    model: Transformer, prior: NGramPrior, data: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = replace(StreamBatches(data, 4, 16, seed=0)(0), prior=TextPrior.of(prior, data.tokens))
    whole = held_out_loss(model, [batch], NextToken())
    monkeypatch.setattr(loss, "LEAST_ROWS", 1)
    monkeypatch.setitem(loss.AT_ONCE, "cpu", 7 * model.config.vocab_size)
    assert held_out_loss(model, [batch], NextToken()) == pytest.approx(whole, abs=1e-5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from conftest import write_chats

    folder = tmp_path_factory.mktemp("priored")
    build([write_chats(folder / "chats.csv")], load_recipe(None, PRIORED), folder / "run")
    return folder / "run"


def test_a_build_with_a_prior_can_be_opened_talked_to_and_saved(run: Path, tmp_path: Path) -> None:
    opened = open_run(run, torch.device("cpu"))
    assert opened.model.config.prior
    assert opened.model.prior is not None
    prompt = [opened.tokenizer.control.bos]
    config = SamplingConfig(max_tokens=6)
    said = tokens_of(opened.model, prompt, config)
    saved = GPT3.from_pretrained(run).save(tmp_path / "saved")
    again = open_run(saved, torch.device("cpu"))
    assert tokens_of(again.model, prompt, config) == said
    with pytest.warns(UserWarning, match="on new texts only"):
        other = GPT3.from_pretrained(saved).train(["a new text about tents"] * 8, epochs=1)
    assert isinstance(other.generate("a new", max_tokens=4, seed=0), str)
    (saved / "prior.ng").unlink()
    with pytest.raises(ArtifactError, match=r"prior\.ng"):
        open_run(saved, torch.device("cpu"))


def test_a_build_without_one_begins_anew(run: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "run")
    build([run.parent / "chats.csv"], load_recipe(None, TINY), tmp_path / "run")
    assert not (tmp_path / "run" / "prior").exists()
    assert open_run(tmp_path / "run", torch.device("cpu")).model.prior is None


def test_a_model_with_a_prior_is_not_exported(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="goes on from an n-gram model, which no other program can run"):
        export(run, output=tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_a_base_cannot_have_a_prior(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot go on from a prior"):
        load_recipe(None, {"prior": {"kind": "ngram"}, "base": str(tmp_path)})


def test_a_prior_is_set_in_one_place() -> None:
    with pytest.raises(ConfigError, match="or --prior ngram"):
        load_recipe(None, {"plan": {"model": {"prior": True}}})


def test_batches_without_a_prior_have_none() -> None:
    assert TokenBatch(torch.zeros(1, 2), torch.zeros(1, 2)).prior_at() is None
