"""Where the time of a training step goes, by PyTorch's profiler: shares of operations, forward and backward together.

    python benchmarks/profile_step.py > benchmarks/results/profile.txt
    python benchmarks/profile_step.py --turns 20 --optimizer muon

GPT-2's shape of 12.3M parameters, 8 x 256 tokens, and the small default 128 wide, 8 x 128. Steps are those of the loop.
To see what a change did, run it on both commits: it needs nothing of the repository but the loop.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Any

import torch
from machine import describe
from torch.profiler import ProfilerActivity, profile

from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.train.batches import NextToken, TokenBatch
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, train

SHAPES: dict[str, tuple[dict[str, Any], int, int]] = {
    "gpt2": ({"n_layer": 6, "n_embd": 384, "n_head": 6, "context_length": 256, "mlp": "gelu"}, 8, 256),
    "nano": ({"context_length": 128}, 8, 128),
}
VOCABULARY = 4096
#: what is told -> what the profiler's names begin with
KINDS = {
    "products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"),
    "attention": ("aten::_scaled_dot_product",),
    "non-linearity": ("aten::gelu", "aten::relu", "aten::square"),
    "softmax and loss": ("aten::_log_softmax", "aten::_softmax", "aten::nll_loss", "aten::logsumexp"),
    "norms": ("aten::native_layer_norm", "aten::rsqrt", "aten::mean", "aten::pow"),
    "optimizer": ("aten::_fused_adamw", "aten::_foreach", "aten::linalg"),
    "embeddings": ("aten::embedding", "aten::index", "aten::gather", "aten::scatter"),
    "copies, fills, sums": (
        "aten::copy_",
        "aten::fill_",
        "aten::zero_",
        "aten::add",
        "aten::mul",
        "aten::sum",
        "aten::cat",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=10, help="steps under the profiler")
    parser.add_argument("--optimizer", choices=["adamw", "muon"], default="adamw")
    chosen = parser.parse_args()
    print(" ".join(["$ python benchmarks/profile_step.py", *sys.argv[1:]]))
    print(describe())
    for name, (changes, rows, context) in SHAPES.items():
        model = new_model(preset(name, VOCABULARY, **changes), 0)
        ids = torch.randint(0, VOCABULARY, (rows, context + 1), generator=torch.Generator().manual_seed(0))
        batch = TokenBatch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        config = TrainConfig(
            steps=chosen.turns, batch_size=rows, context_length=context, optimizer=chosen.optimizer,
            eval_every=10**6, learning_rate=1e-4,
        )  # fmt: skip
        train(model, lambda _, b=batch: b, NextToken(), config, Session())  # warm
        begun = time.perf_counter()
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            train(model, lambda _, b=batch: b, NextToken(), config, Session())
        took = time.perf_counter() - begun
        shares: Counter[str] = Counter()
        total = 0.0
        for row in seen.key_averages():
            total += row.self_cpu_time_total
            kind = next((kind for kind, starts in KINDS.items() if row.key.startswith(starts)), "the rest")
            shares[kind] += row.self_cpu_time_total
        print(
            f"\n{name}, {rows} x {context} tokens, {chosen.optimizer}: {1e3 * took / chosen.turns:.1f} ms a step"
        )
        for kind, microseconds in shares.most_common():
            print(f"{kind:<22} {microseconds / total:>6.1%}")


if __name__ == "__main__":
    main()
