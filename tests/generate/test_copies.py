"""Runs of tokens: what is copied, and what is kept from being copied."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mynah.generate.copies import Runs
from mynah.generate.engine import Request, generate
from mynah.generate.settings import SamplingConfig
from mynah.model.config import ModelConfig
from mynah.model.weights import new_model

tokens = st.lists(st.integers(0, 3), max_size=30)


@given(tokens, tokens, st.integers(2, 4))
def test_runs_are_those_that_a_search_finds(text: list[int], seen: list[int], length: int) -> None:
    runs = {tuple(text[n : n + length]) for n in range(len(text) - length + 1)}
    made = Runs(np.array(text, np.uint16), length)
    ending = tuple(seen[len(seen) - length + 1 :]) if len(seen) >= length - 1 else None
    wanted = [t for t in range(4) if ending is not None and (*ending, t) in runs]
    assert made.copies(seen).tolist() == wanted
    marked = np.zeros(len(seen), bool)
    for n in range(len(seen) - length + 1):
        if tuple(seen[n : n + length]) in runs:
            marked[n : n + length] = True
    assert made.copied(seen).tolist() == marked.tolist()


def test_a_run_is_not_copied_where_it_is_forbidden() -> None:
    model = new_model(ModelConfig(vocab_size=12, context_length=64, n_layer=1, n_head=2, n_embd=16), 0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    config = SamplingConfig(temperature=0, max_tokens=30)
    free = [drawn.token for drawn in generate(model, Request((1, 2), config))]
    runs = Runs(np.array([1, 2, *free]), 4)
    kept = [drawn.token for drawn in generate(model, Request((1, 2), config, copies=runs))]
    assert runs.copied([1, 2, *free]).all()
    assert not runs.copied([1, 2, *kept]).any()
