"""Training speed beside Hugging Face: same GPT-2 shape, batch, precision and AdamW, in alternation.

    python benchmarks/train.py [SHAPE ...] > benchmarks/results/train.txt

For each shape the two trainers take turns, a few steps at a time; the median over all turns is quoted with
the spread. FLOP/s are the formula's (6 for each parameter that multiplies every token, plus attention), as a
share of the machine's float32 matrix-product rate measured in the same run.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Literal

import torch
from machine import describe, matmul_rate

from mynah.model.config import ModelConfig
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.plan.flops import training_flops_per_token
from mynah.train.batches import Batch
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, train

#: name -> layers, width, heads, vocabulary, rows, tokens a row
SHAPES = {
    "12.3M": (6, 384, 6, 4096, 8, 256),
    "0.8M": (4, 128, 4, 256, 12, 64),
}
TURNS = 7
RATE = 6e-4


def main() -> None:
    print(" ".join(["$ python benchmarks/train.py", *sys.argv[1:]]))
    print(describe())
    for name in sys.argv[1:] or SHAPES:
        n_layer, n_embd, n_head, vocab, rows, context = SHAPES[name]
        config = preset("gpt2", vocab, n_layer=n_layer, n_embd=n_embd, n_head=n_head, context_length=context)
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(0, vocab, (rows, context + 1), generator=generator)
        batch = Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        steps = 3 if n_embd > 200 else 20
        turns: dict[str, Callable[[], float]] = {
            "mynah AdamW": mynah_turn(config, batch, steps, "adamw"),
            "transformers AdamW": transformers_turn(config, batch, steps),
            "mynah Muon": mynah_turn(config, batch, steps, "muon"),
        }
        times: dict[str, list[float]] = {key: [] for key in turns}
        rates = []
        for _ in range(TURNS):
            rates.append(matmul_rate())
            for key, turn in turns.items():
                times[key].append(turn())
        peak = statistics.median(rates)
        flops = training_flops_per_token(config, context) * rows * context
        print(
            f"\n{name}: {config.n_params():,} parameters ({n_layer} layers, {n_embd} wide, "
            f"vocabulary {vocab}), {rows} x {context} tokens a step; matmul {peak / 1e9:.0f} GFLOP/s "
            f"({min(rates) / 1e9:.0f} to {max(rates) / 1e9:.0f})"
        )
        print(f"{'':<20} {'ms a step':>10} {'least':>8} {'most':>8} {'tokens/s':>10} {'of matmul':>10}")
        for key, values in times.items():
            middle = statistics.median(values)
            print(
                f"{key:<20} {1e3 * middle:>10.1f} {1e3 * min(values):>8.1f} {1e3 * max(values):>8.1f} "
                f"{rows * context / middle:>10,.0f} {flops / middle / peak:>10.1%}"
            )
        ratios = [b / a for a, b in zip(times["mynah AdamW"], times["transformers AdamW"], strict=True)]
        print(
            f"mynah is {statistics.median(ratios):.2f} times as fast as transformers, turn by turn "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def mynah_turn(
    config: ModelConfig, batch: Batch, steps: int, optimizer: Literal["adamw", "muon"]
) -> Callable[[], float]:
    """Return a function that takes `steps` real steps of the training loop; it gives the seconds of one."""
    model = new_model(config, 0)
    rows, context = batch.tokens.shape

    def turn() -> float:
        stamps: list[float] = []
        settings = TrainConfig(
            steps=steps + 1,
            batch_size=rows,
            context_length=context,
            optimizer=optimizer,
            learning_rate=RATE,
            schedule="cosine",
            eval_every=10**6,
        )
        train(
            model, lambda step: batch, settings, Session(watch=lambda _: stamps.append(time.perf_counter()))
        )
        return (stamps[-1] - stamps[0]) / steps

    return turn


def transformers_turn(config: ModelConfig, batch: Batch, steps: int) -> Callable[[], float]:
    """Return the same for Hugging Face's GPT2LMHeadModel in a plain loop with fused AdamW and clipping."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.context_length,
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    theirs = GPT2LMHeadModel(shape)
    optimizer = torch.optim.AdamW(
        theirs.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )

    def step() -> None:
        # Not by `labels`, which would shift them once more: the same T targets over T tokens.
        logits = theirs(batch.tokens).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def turn() -> float:
        step()
        begun = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - begun) / steps

    return turn


if __name__ == "__main__":
    main()
