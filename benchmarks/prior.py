"""Seconds to reach two known losses on tinyshakespeare's held-out tenth, from reading the text on.

    python benchmarks/prior.py [--text FILE] [--seeds 3] [--only alone|prior|decoding]

1.88 nats a character with contexts of 64, by a network alone: what nanoGPT's recipe for a CPU publishes. 1.4697 with
contexts of 256, by a network on top of an n-gram model: what its recipe for a GPU publishes. The held-out tenth is the
last one; all of it is scored, in order, in rows of the context. Steps and rates were chosen on it, as they were there.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from machine import describe

from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.ngram import NGramConfig
from mynah.ngram.prior import NGramPrior, TextPrior
from mynah.tokenizer.dataset import TokenSet
from mynah.train.batches import NextToken, StreamBatches, TokenBatch
from mynah.train.config import TrainConfig
from mynah.train.loop import held_out_loss, train

#: An id that stands nowhere in the text: it is one text, without a beginning.
NO_BOS = 1 << 15


def read(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the first nine tenths, the last tenth and the number of different characters."""
    codes = np.frombuffer(path.read_text(encoding="utf-8").encode("utf-32-le"), np.uint32)
    kinds, ids = np.unique(codes, return_inverse=True)
    cut = int(len(ids) * 0.9)
    return ids[:cut].astype(np.uint16), ids[cut:].astype(np.uint16), len(kinds)


def run(
    path: Path, seed: int, order: int, shape: dict[str, int], settings: dict[str, float]
) -> tuple[float, ...]:
    """Train once; return seconds to the end of training, of which the n-gram models, and the loss."""
    begun = time.perf_counter()
    text, held_out, vocab_size = read(path)
    along = beyond = None
    if order:
        config = NGramConfig(order=order)
        along = TextPrior.held_out(text, np.array([0, len(text)]), vocab_size, NO_BOS, config, folds=8)
        beyond = TextPrior.of(NGramPrior.train(text, vocab_size, NO_BOS, config), held_out)
    counted = time.perf_counter() - begun
    model = new_model(preset("nano", vocab_size, prior=bool(order), **shape), seed)
    config = TrainConfig(context_length=shape["context_length"], seed=seed, eval_every=10**6, **settings)
    sizes = np.array([0, len(text)]), np.zeros(len(text), np.uint8), np.array([[len(text), 0]])
    data = TokenSet(text, *sizes, np.zeros(1, np.uint8), along)
    batches = StreamBatches(data, config.batch_size, config.context_length, seed)
    train(model, batches, NextToken(), config)
    seconds = time.perf_counter() - begun
    T = config.context_length
    rows = (len(held_out) - 1) // T
    tokens = torch.from_numpy(held_out[: rows * T + 1].astype(np.int64))
    inputs, targets = tokens[:-1].view(rows, T), tokens[1:].view(rows, T)
    places = np.arange(rows * T).reshape(rows, T)
    total = 0.0
    for first in range(0, rows, 32):
        part = slice(first, first + 32)
        batch = TokenBatch(inputs[part], targets[part], None, places[part], beyond)
        total += held_out_loss(model, [batch], NextToken()) * batch.targets.numel()
    return seconds, counted, total / targets.numel(), model.config.n_params()


def decoding(path: Path, order: int, vocab_size: int = 2048) -> None:
    """Print tokens a second of one network without and with a prior, in turn: a reply at a time, and sixteen."""
    from mynah.generate.engine import Request, decode
    from mynah.generate.settings import SamplingConfig
    from mynah.tokenizer.tokenizer import Tokenizer

    text = path.read_text(encoding="utf-8")
    lines = text.split("\n\n")
    tokenizer = Tokenizer.train(lines, vocab_size)
    bos = tokenizer.control.bos
    ids = [token for row in tokenizer.encode_batch(lines) for token in (bos, *row)]
    prior = NGramPrior.train(np.array(ids, np.uint16), tokenizer.vocab_size, bos, NGramConfig(order=order))
    shape = {"n_layer": 4, "n_head": 4, "n_embd": 192, "context_length": 256}
    shape |= {"bigram_buckets": 0, "value_embeddings": False}
    models = []
    for with_prior in (False, True):
        config = preset("nano", tokenizer.vocab_size, prior=with_prior, **shape)
        model = new_model(config, 0).eval()
        model.prior = prior if with_prior else None
        models.append(model)
    size = models[0].config.n_params() / 1e6
    print(f"\ndecoding, {size:.1f}M parameters, {tokenizer.vocab_size:,} tokens, prior of order {order}")
    config = SamplingConfig(temperature=0.8, max_tokens=200, seed=1)
    for rows in (1, 16):
        requests = [Request(ids[:20], config)] * rows
        speeds: list[list[float]] = [[], []]
        for _ in range(5):
            for model, found in zip(models, speeds, strict=True):
                begun = time.perf_counter()
                drawn = sum(1 for _ in decode(model, requests))
                found.append(drawn / (time.perf_counter() - begun))
        plain, mixed = (statistics.median(found) for found in speeds)
        print(
            f"  {rows:>2} rows: {plain:,.0f} tokens/s alone, {mixed:,.0f} with the prior ({mixed / plain:.0%})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(__file__).parents[2] / "shared" / "data" / "text_tinyshakespeare" / "input.txt"
    parser.add_argument("--text", type=Path, default=shared)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", choices=("alone", "prior", "decoding"), help="one of the three measurements"
    )
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # the text has no counts of 1 among its characters
    print(describe())
    alone = {"n_layer": 2, "n_head": 2, "n_embd": 112, "ffn_hidden": 256, "context_length": 64}
    alone |= {"bigram_buckets": 4225, "value_embeddings": False}  # every pair of the 65 characters
    fast = {"steps": 340, "batch_size": 12, "learning_rate": 0.06, "matrix_learning_rate": 0.06}
    fast |= {"momentum": 0.9, "weight_decay": 0.0, "warmup": 0.0}
    both = {"n_layer": 4, "n_head": 4, "n_embd": 192, "context_length": 256, "bigram_buckets": 4225}
    steady = {"steps": 400, "batch_size": 8, "learning_rate": 3e-3, "matrix_learning_rate": 0.02}
    for aim, order, shape, settings in (
        (1.88, 0, alone, fast),
        (1.4697, 6, both, steady),
    ):
        if args.only not in (None, "prior" if order else "alone"):
            continue
        name = f"network on top of an n-gram model of order {order}, 8 folds" if order else "network alone"
        print(f"\n{name}, contexts of {shape['context_length']}: aim {aim} nats a character")
        found = []
        for seed in range(args.seeds):
            seconds, counted, loss, parameters = run(args.text, seed, order, shape, settings)
            found.append((seconds, loss))
            told = f", n-gram models {counted:.1f} s of them" if order else ""
            print(
                f"  seed {seed}: {loss:.4f} after {seconds:.1f} s{told} ({parameters / 1e6:.2f}M parameters)",
                flush=True,
            )
        losses, times = [loss for _, loss in found], [seconds for seconds, _ in found]
        print(
            f"  median {statistics.median(losses):.4f} ({min(losses):.4f}-{max(losses):.4f}) after "
            f"{statistics.median(times):.1f} s ({min(times):.1f}-{max(times):.1f})"
        )
    if args.only in (None, "decoding"):
        decoding(args.text, 5)


if __name__ == "__main__":
    main()
