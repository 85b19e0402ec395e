"""Training on one GPU: GPT-2 of 124 and 350 million parameters in bfloat16, compiled, beside a plain loop.

    python benchmarks/gpu.py

The result goes into `benchmarks/results`, with the device's name; without a GPU it says that it was not run. It needs
PyTorch, NumPy and this repository, nothing else.

Mynah's own loop, with AdamW and with Muon, and transformers' GPT2LMHeadModel in a plain loop where it is there, both
compiled, in turn, the median of the turns. Model FLOPs utilisation is the formula's FLOPs (6 for each parameter that
multiplies every token, plus attention) over the GPU's dense bfloat16 peak.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import bare  # noqa: F401
import torch
from machine import describe

from mynah.model.config import ModelConfig
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.plan.flops import training_flops_per_token
from mynah.train.batches import NextToken, TokenBatch
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, train

#: preset -> rows of 1,024 tokens a step, and the parts in which they are taken
SHAPES = {"gpt2": (64, 2), "gpt2-medium": (32, 2)}
VOCABULARY = 50_304  # GPT-2's, up to a multiple of 128
CONTEXT, STEPS, TURNS = 1024, 10, 5
#: Dense bfloat16 FLOP/s by what the device's name holds, from the makers' data sheets.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "3090": 71e12}


def main() -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say(" ".join(["$ python benchmarks/gpu.py", *sys.argv[1:]]))
    say(describe())
    if not torch.cuda.is_available():
        say("no GPU at hand: not run")
        return
    device = torch.cuda.get_device_name()
    peak = next((rate for name, rate in PEAKS.items() if name in device), None)
    say(f"device    {device}" + (f", {peak / 1e12:.0f} TFLOP/s dense bfloat16" if peak else ""))
    for name, (rows, parts) in SHAPES.items():
        config = preset(name, VOCABULARY)
        ids = torch.randint(0, VOCABULARY, (rows, CONTEXT + 1), generator=torch.Generator().manual_seed(0))
        batch = TokenBatch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        turns: dict[str, Callable[[], float]] = {
            "mynah, AdamW": mynah_turn(config, batch, parts, "adamw"),
            "mynah, Muon": mynah_turn(config, batch, parts, "muon"),
        }
        if find_spec("transformers"):
            turns["transformers, plain"] = transformers_turn(config, batch, parts)
        times: dict[str, list[float]] = {key: [] for key in turns}
        for _ in range(TURNS):
            for key, turn in turns.items():
                times[key].append(turn())
        flops = training_flops_per_token(config, CONTEXT) * rows * CONTEXT
        say(f"\n{name}: {config.n_params():,} parameters, {rows} x {CONTEXT} tokens a step in {parts} parts")
        say(f"{'':<22} {'ms a step':>10} {'least':>8} {'most':>8} {'tokens/s':>10} {'MFU':>7}")
        for key, values in times.items():
            middle = statistics.median(values)
            used = f"{flops / middle / peak:>7.1%}" if peak else ""
            say(
                f"{key:<22} {1e3 * middle:>10.1f} {1e3 * min(values):>8.1f} {1e3 * max(values):>8.1f} "
                f"{rows * CONTEXT / middle:>10,.0f} {used}"
            )
    say(f"\nmost memory held: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    named = "-".join(device.lower().split())
    path = Path(__file__).parent / "results" / f"{date.today()}-gpu-{named}.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written to {path}")


def mynah_turn(
    config: ModelConfig, batch: TokenBatch, parts: int, optimizer: Literal["adamw", "muon"]
) -> Callable[[], float]:
    """Return a function that takes real steps of the training loop; it gives the seconds of one."""
    model = new_model(config, 0).to("cuda")

    def turn() -> float:
        stamps: list[float] = []
        settings = TrainConfig(
            steps=STEPS + 3, batch_size=len(batch.tokens), context_length=CONTEXT, grad_accum_steps=parts,
            optimizer=optimizer, learning_rate=6e-4, compile=True, eval_every=10**6,
        )  # fmt: skip
        train(
            model,
            lambda step: batch,
            NextToken(),
            settings,
            Session(watch=lambda _: stamps.append(time.perf_counter())),
        )
        return (stamps[-1] - stamps[2]) / (len(stamps) - 3)

    return turn


def transformers_turn(config: ModelConfig, batch: TokenBatch, parts: int) -> Callable[[], float]:
    """Return the same for GPT2LMHeadModel, compiled, with autocast, fused AdamW and clipping."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=config.n_embd, n_layer=config.n_layer, n_head=config.n_head,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(shape).to("cuda")
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    tokens, targets = batch.tokens.to("cuda").chunk(parts), batch.targets.to("cuda").chunk(parts)

    def step() -> None:
        for part, wanted in zip(tokens, targets, strict=True):
            with torch.autocast("cuda", torch.bfloat16):
                logits = compiled(part).logits
                loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
            (loss / parts).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def turn() -> float:
        for _ in range(3):
            step()
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(STEPS):
            step()
        torch.cuda.synchronize()
        return (time.perf_counter() - begun) / STEPS

    return turn


if __name__ == "__main__":
    main()
