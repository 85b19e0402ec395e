"""A small service on a port of its own, and what it speaks for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from mynah.answers.bot import AnswerSession, Reply, Source
from mynah.data.clean.config import CleanConfig
from mynah.data.records import Message
from mynah.generate.scheduler import Scheduler
from mynah.generate.settings import SamplingConfig
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.serve.app import make_app
from mynah.serve.config import ServeConfig
from mynah.serve.served import Models, Served
from mynah.serve.server import Service, listening
from mynah.tokenizer.tokenizer import Tokenizer

KEY = "a key that is long"
TOKENIZER = Tokenizer.train(["the cat sat on the mat and said: 你好, world 123"] * 20, 320)


def network(seed: int = 0, **changes: Any) -> Transformer:
    shape = {"context_length": 256, "n_layer": 2, "n_head": 2, "n_embd": 32, **changes}
    model = new_model(ModelConfig(vocab_size=TOKENIZER.vocab_size, **shape), seed).eval()
    with torch.no_grad():  # so that what it says is no one token on and on
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


class Log:
    """In an answerer's place."""

    mode = "grounded"
    network: Any = None

    def consider(self, histories: Sequence[Sequence[Message]]) -> list[list[Any]]:
        return [[] for _ in histories]

    def decide(self, history: Sequence[Message], verdicts: Sequence[Any], said: Sequence[str]) -> Reply:
        asked = history[-1].content
        if "open" in asked:
            return Reply("From 9 to 5.", 0.9, (Source("shop.csv:3", "2024-01-02", "when do you open"),))
        if "which" in asked:
            options = (Reply("The red one.", 0.5), Reply("The blue one.", 0.4))
            return Reply("Do you mean A or B?", 0.5, kind="asked_back", options=options)
        if self.mode == "free":
            return Reply("".join(self.network(history)), None, kind="network")
        return Reply("I pass you on.", 0.1, handed_over=True, kind="handed_over")


def models(network: Transformer) -> Models:
    sampling = SamplingConfig(max_tokens=16)
    answers = AnswerSession(Log(), CleanConfig())  # type: ignore[arg-type]
    return Models(
        [
            Served("own", network, TOKENIZER, True, sampling, CleanConfig(), 1),
            Served("shop", network, TOKENIZER, True, sampling, CleanConfig(), 1, answers),
            Served("text", network, TOKENIZER, False, sampling, CleanConfig(), 1),
        ]
    )


def with_key(**settings: Any) -> dict[str, Any]:
    return {"key_hashes": (hashlib.sha256(KEY.encode()).hexdigest(),), **settings}


@contextmanager
def serving(
    scheduler: Scheduler | None = None, of: Transformer | None = None, **settings: Any
) -> Iterator[str]:
    """Yield the address of a service."""
    config = ServeConfig(**{"port": 0, **settings})
    scheduler = scheduler or Scheduler(config.most_waiting, config.rows)
    ready = threading.Event()
    app = make_app(models(of if of is not None else network()), config, scheduler)
    service = Service(app, config, scheduler, listening(config), ready.set)
    thread = threading.Thread(target=service.run)
    thread.start()
    assert ready.wait(30)
    try:
        yield f"http://127.0.0.1:{service.port}"
    finally:
        service.stop()
        thread.join(30)
        assert not thread.is_alive()
