"""Fixtures that more than one test package uses."""

from __future__ import annotations

import atexit
import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mynah.data.records import Conversation, Message
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from mynah.model.transformer import Transformer

# No test sees the bases that its user has fetched; nor do the processes that it starts.
os.environ["MYNAH_HOME"] = tempfile.mkdtemp(prefix="mynah-home-")
atexit.register(shutil.rmtree, os.environ["MYNAH_HOME"], ignore_errors=True)

SHARED = Path(os.environ.get("MYNAH_SHARED", Path(__file__).parents[2] / "shared")) / "data"

TALKS = [
    Conversation((Message("user", f"say {i}"), Message("assistant", f"{i} it is, and {i} again")))
    for i in range(40)
]

TINY = {
    "plan": {
        "size": "nano",
        "model": {"n_layer": 2, "n_embd": 32, "n_head": 2, "context_length": 64, "bigram_buckets": 64},
        "pretrain": {"steps": 6, "eval_every": 3, "batch_size": 4, "context_length": 32},
        "tune": {"steps": 4, "eval_every": 2, "batch_size": 4, "context_length": 32},
    },
    "tokenizer": {"vocab_size": 300},
    "ngram": {"order": 3},
    "evaluate": {"samples": 2},
    "sampling": {"max_tokens": 8},
}


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data sets, where they are at hand."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}")
    return SHARED


def write_chats(path: Path, count: int = 60) -> Path:
    """Write a CSV of questions and answers, no two alike."""
    goods = ["tent", "lamp", "chair", "pot", "rake", "seed"]
    places = ["Leeds", "Bonn", "Lyon", "Turin", "Graz", "Ghent", "Porto", "Basel", "Brno", "Malmo"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        for i in range(count):
            what, where = goods[i % 6], places[i // 6 % 10]
            writer.writerow(
                [f"Do you send a {what} to {where}?", f"Yes, a {what} goes to {where} in {i} days."]
            )
    return path


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """A small CSV of questions and answers."""
    return write_chats(tmp_path / "chats.csv")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build of a tiny model; tests must not change it."""
    from mynah.pipeline.build import build
    from mynah.pipeline.recipe import load_recipe

    folder = tmp_path_factory.mktemp("tiny")
    build([write_chats(folder / "chats.csv")], load_recipe(None, TINY), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium, by Playwright; skips where either is not here."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="pages are tried with playwright: pip install playwright"
    )
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found, args=["--no-sandbox", "--headless"])
        yield opened
        opened.close()


@pytest.fixture
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Muon compute in float32 on processors, too, that have units for bfloat16: steps are equal to many digits."""
    monkeypatch.setattr("mynah.train.optim.coarse_products", nullcontext)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A vocabulary of 300 learned from `TALKS`."""
    return Tokenizer.train([t for talk in TALKS for t in talk.texts], 300)


@pytest.fixture(scope="session")
def data(tokenizer: Tokenizer) -> TokenSet:
    """`TALKS`, encoded."""
    return encode_records(TALKS, tokenizer)


@pytest.fixture(scope="session")
def tiny(tokenizer: Tokenizer) -> Callable[..., Transformer]:
    """Make a model of 2 layers with fields of its config changed; equal changes give equal weights."""
    from mynah.model.config import ModelConfig
    from mynah.model.weights import new_model

    def make(**changes: object) -> Transformer:
        values = {
            "vocab_size": tokenizer.vocab_size, "context_length": 32, "n_layer": 2, "n_head": 2, "n_embd": 32,
            "norm_weight": False, "qk_norm": True, "tie_embeddings": False, "init": "zero_out", "mlp": "relu2",
            "dropout": 0.1,
        }  # fmt: skip
        return new_model(ModelConfig(**{**values, **changes}), 0)  # type: ignore[arg-type]

    return make
