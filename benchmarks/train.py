"""Training speed and memory beside peers: same GPT-2 shape, batch, precision and AdamW, in turn.

    NANOGPT=folder python benchmarks/train.py > benchmarks/results/train.txt
    python benchmarks/train.py --shapes 0.8M --parts speed

Peers: a plain loop over transformers' GPT2LMHeadModel (fused AdamW, clipping), transformers.Trainer, litgpt's GPT
in the same plain loop where it is installed (rotary positions: it has no learned ones), and nanoGPT's model with its
own optimizer and the steps of its own loop where NANOGPT names a folder with its model.py. All have the exact GELU,
which is what nanoGPT trains with; the tanh form that OpenAI used is slower on a CPU for everyone.

speed: the trainers take turns, a few steps at a time; the median over all turns is quoted with the spread. Where
Mynah takes bfloat16 by itself, the peers' plain loops run in it as well (by autocast) and Mynah in float32 too.
FLOP/s are the formula's (6 for each parameter that multiplies every token, plus attention), as a share of the
matrix-product rate in the same numbers, measured in the same run. memory: each trainer in a process of its own, which
loads what that one needs and no more. growth: time against tokens and against context.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal

import torch
from machine import describe, matmul_rate

# What else of Mynah is needed is imported where it is: a peer's memory is not to be measured with Mynah in it.
from mynah.device import peak_memory, reset_peak_memory

if TYPE_CHECKING:
    from mynah.model.config import ModelConfig


@dataclass(frozen=True)
class Shape:
    """A model of GPT-2's make and the batch that it is trained on."""

    n_layer: int
    n_embd: int
    n_head: int
    vocab_size: int
    rows: int
    context: int

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return random tokens and what follows each, (rows, context) int64."""
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(0, self.vocab_size, (self.rows, self.context + 1), generator=generator)
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    def config(self) -> ModelConfig:
        """Return it as Mynah has it."""
        from mynah.model.presets import preset

        return preset(
            "gpt2",
            self.vocab_size,
            n_layer=self.n_layer,
            n_embd=self.n_embd,
            n_head=self.n_head,
            context_length=self.context,
            mlp="gelu",
        )


SHAPES = {
    "12.3M": Shape(6, 384, 6, 4096, rows=8, context=256),
    "0.8M": Shape(4, 128, 4, 256, rows=12, context=64),
}
TURNS = 7
RATE = 6e-4
LITGPT, NANOGPT = importlib.util.find_spec("litgpt"), os.environ.get("NANOGPT")
#: Seconds that one of `steps` steps takes.
Turn = Callable[[int], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--parts", nargs="*", default=["speed", "memory", "growth"])
    parser.add_argument(
        "--hold", nargs=2, metavar=("SHAPE", "TRAINER"), help="print the memory of one trainer"
    )
    chosen = parser.parse_args()
    if chosen.hold:
        hold(*chosen.hold)
        return
    print(" ".join(["$ python benchmarks/train.py", *sys.argv[1:]]))
    print(describe())
    for peer, there in (("litgpt", LITGPT), ("nanoGPT", NANOGPT)):
        if not there:
            print(f"{peer} is not here and was not run")
    for name in chosen.shapes:
        if "speed" in chosen.parts:
            speed(name)
        if "memory" in chosen.parts:
            memory(name)
    if "growth" in chosen.parts:
        growth()


def speed(name: str) -> None:
    from mynah.plan.flops import training_flops_per_token

    shape = SHAPES[name]
    config, tokens = shape.config(), shape.rows * shape.context
    steps = 4 if shape.n_embd > 200 else 30
    turns = {key: make(shape) for key, make in TRAINERS.items() if mixed() or "float" not in key}
    times: dict[str, list[float]] = {key: [] for key in turns}
    rates: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for _ in range(TURNS):
        for key, turn in turns.items():
            for dtype, seen in rates.items():
                seen.append(matmul_rate(repeats=3, dtype=dtype))
            times[key].append(turn(steps))
    peaks = {dtype: statistics.median(seen) for dtype, seen in rates.items()}
    flops = training_flops_per_token(config, shape.context) * tokens
    print(
        f"\n{name}: {config.n_params():,} parameters ({config.n_layer} layers, {config.n_embd} wide, vocabulary "
        f"{config.vocab_size}), {shape.rows} x {shape.context} tokens a step; matmul "
        + ", ".join(
            f"{peaks[dtype] / 1e9:.0f} GFLOP/s ({min(seen) / 1e9:.0f} to {max(seen) / 1e9:.0f}) in {str(dtype)[6:]}"
            for dtype, seen in rates.items()
        )
        + f", {TURNS} turns of {steps} steps each"
    )
    print(
        f"{'':<30} {'ms a step':>10} {'least':>8} {'most':>8} {'tokens/s':>10} {'of matmul':>10} {'mynah is':>20}"
    )
    for key, values in times.items():
        middle = statistics.median(values)
        ratios = [other / own for own, other in zip(times["mynah, AdamW"], values, strict=True)]
        print(
            f"{key:<30} {1e3 * middle:>10.1f} {1e3 * min(values):>8.1f} {1e3 * max(values):>8.1f} "
            f"{tokens / middle:>10,.0f} {flops / middle / peaks[dtype_of(key)]:>10.1%} "
            f"{statistics.median(ratios):>7.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def memory(name: str) -> None:
    print(f"\n{name}: memory in a process of its own, MB, before training and at most in it")
    for key in TRAINERS:
        command = [sys.executable, __file__, "--hold", name, key]
        print(
            f"{key:<22} {subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()}"
        )


def hold(name: str, key: str) -> None:
    """Print what one trainer holds before its first step, and at most in four."""
    turn = TRAINERS[key](SHAPES[name])
    reset_peak_memory()
    before = peak_memory() or 0
    turn(4)
    print(f"{before / 1e6:8.0f} {(peak_memory() or 0) / 1e6:8.0f}")


def growth() -> None:
    shape = SHAPES["0.8M"]
    turn, tokens = TRAINERS["mynah, AdamW"](shape), shape.rows * shape.context
    print(f"\ngrowth with tokens, 0.8M, {tokens} a step")
    print(f"{'tokens':>10} {'s':>8} {'slope':>8}")
    former = None
    for steps in (20, 200, 2000):
        seconds = turn(steps) * steps
        slope = f"{math.log10(seconds / former):>8.2f}" if former else ""
        print(f"{steps * tokens:>10,} {seconds:>8.2f} {slope}")
        former = seconds
    print("\ngrowth with context, 12.3M, 4,096 tokens a step")
    print(f"{'context':>10} {'ms':>8} {'slope':>8}")
    former = None
    for context in (256, 512, 1024, 2048, 4096):
        turn = TRAINERS["mynah, AdamW"](replace(SHAPES["12.3M"], context=context, rows=4096 // context))
        seconds = statistics.median(turn(2) for _ in range(3))
        slope = f"{math.log2(seconds / former):>8.2f}" if former else ""
        print(f"{context:>10,} {1e3 * seconds:>8.0f} {slope}")
        former = seconds


def mynah_turn(shape: Shape, optimizer: Literal["adamw", "muon"], **settings: Any) -> Turn:
    """Return a function that takes real steps of the training loop."""
    from mynah.model.weights import new_model
    from mynah.train.batches import NextToken, TokenBatch
    from mynah.train.config import TrainConfig
    from mynah.train.loop import Session, train

    model, batch = new_model(shape.config(), 0), TokenBatch(*shape.batch())

    def turn(steps: int) -> float:
        stamps: list[float] = []
        train_config = TrainConfig(
            steps=steps + 1, batch_size=shape.rows, context_length=shape.context, optimizer=optimizer,
            learning_rate=RATE, schedule="cosine", eval_every=10**6, **settings,
        )  # fmt: skip
        train(
            model,
            lambda step: batch,
            NextToken(),
            train_config,
            Session(watch=lambda _: stamps.append(time.perf_counter())),
        )
        return (stamps[-1] - stamps[0]) / steps

    return turn


def gpt2_of(shape: Shape) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=shape.vocab_size,
        n_positions=shape.context,
        n_embd=shape.n_embd,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def in_bfloat16(turn_of: Callable[[Shape], Turn]) -> Callable[[Shape], Turn]:
    """Return the same trainer under autocast, the backward pass as well: it goes by what the forward pass did."""

    def make(shape: Shape) -> Turn:
        turn = turn_of(shape)

        def mixed(steps: int) -> float:
            with torch.autocast("cpu", torch.bfloat16):
                return turn(steps)

        return mixed

    return make


def plain_turn(model: Any, loss_of: Callable[[], torch.Tensor], optimizer: Any = None) -> Turn:
    """Return a plain loop with clipping and, unless another is given, fused AdamW."""
    optimizer = optimizer or torch.optim.AdamW(
        model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )

    def step() -> None:
        loss_of().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def turn(steps: int) -> float:
        step()
        begun = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - begun) / steps

    return turn


def loss_by(logits_of: Callable[[torch.Tensor], torch.Tensor], shape: Shape) -> Callable[[], torch.Tensor]:
    """Return what gives the mean loss; not by `labels`, which would shift them again: T targets over T tokens."""
    tokens, targets = shape.batch()
    return lambda: torch.nn.functional.cross_entropy(logits_of(tokens).flatten(0, 1), targets.flatten())


def transformers_turn(shape: Shape) -> Turn:
    model = gpt2_of(shape)
    return plain_turn(model, loss_by(lambda tokens: model(tokens).logits, shape))


def trainer_turn(shape: Shape) -> Turn:
    """Return transformers.Trainer over rows that hold the batch again and again."""
    import tempfile

    from transformers import Trainer, TrainerCallback, TrainingArguments

    model = gpt2_of(shape)
    rows = [{"input_ids": row, "labels": row} for row in shape.batch()[0]]

    class Stamps(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter())

    def turn(steps: int) -> float:
        stamps = Stamps()
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder, max_steps=steps + 1, per_device_train_batch_size=len(rows), learning_rate=RATE,
                optim="adamw_torch_fused", adam_beta2=0.95, weight_decay=0.1, max_grad_norm=1.0,
                lr_scheduler_type="cosine", logging_strategy="no", save_strategy="no", report_to="none",
                disable_tqdm=True, use_cpu=True,
            )  # fmt: skip
            trainer = Trainer(model, arguments, train_dataset=rows * (steps + 1), callbacks=[stamps])
            with redirect_stdout(StringIO()):  # its own report
                trainer.train()
        return (stamps.times[-1] - stamps.times[0]) / steps

    return turn


def litgpt_turn(shape: Shape) -> Turn:
    from litgpt.config import Config
    from litgpt.model import GPT

    config = Config(
        name="gpt2", block_size=shape.context, vocab_size=shape.vocab_size, padded_vocab_size=shape.vocab_size,
        n_layer=shape.n_layer, n_head=shape.n_head, n_embd=shape.n_embd, rotary_percentage=0.25,
        gelu_approximate="none",
    )  # fmt: skip
    model = GPT(config)
    model.lm_head.weight = model.transformer.wte.weight
    return plain_turn(model, loss_by(model, shape))


def nanogpt_turn(shape: Shape) -> Turn:
    spec = importlib.util.spec_from_file_location("nanogpt_model", f"{NANOGPT}/model.py")
    assert spec is not None
    assert spec.loader is not None
    nanogpt = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = nanogpt  # its dataclass asks for it
    spec.loader.exec_module(nanogpt)
    with redirect_stdout(StringIO()):
        model = nanogpt.GPT(
            nanogpt.GPTConfig(
                shape.context,
                shape.vocab_size,
                shape.n_layer,
                shape.n_head,
                shape.n_embd,
                0.0,
                True,
            )
        )
        optimizer = model.configure_optimizers(0.1, RATE, (0.9, 0.95), "cpu")
    tokens, targets = shape.batch()
    return plain_turn(model, lambda: model(tokens, targets)[1], optimizer)


def mixed() -> bool:
    """Whether Mynah takes bfloat16 here by itself."""
    from mynah.model.gain import LEAST_GAIN, gain_of_bfloat16

    return gain_of_bfloat16(2048, 384, 1536) >= LEAST_GAIN


def dtype_of(key: str) -> torch.dtype:
    """Return in which numbers a trainer multiplies."""
    if "float32" in key or not (key.startswith("mynah") or BF16 in key):
        return torch.float32
    return torch.bfloat16 if mixed() else torch.float32


BF16 = ", bfloat16"
TRAINERS: dict[str, Callable[[Shape], Turn]] = {
    "mynah, AdamW": lambda shape: mynah_turn(shape, "adamw"),
    "transformers, plain": transformers_turn,
    "transformers.Trainer": trainer_turn,
    **({"litgpt, plain": litgpt_turn} if LITGPT else {}),
    **({"nanoGPT": nanogpt_turn} if NANOGPT else {}),
    "mynah, Muon in turns": lambda shape: mynah_turn(shape, "muon", matrix_every=4),
    "mynah, Muon at once": lambda shape: mynah_turn(shape, "muon", matrix_every=1),
    "mynah, AdamW, float32": lambda shape: mynah_turn(shape, "adamw", precision="float32"),
    f"transformers, plain{BF16}": in_bfloat16(transformers_turn),
    **({f"nanoGPT{BF16}": in_bfloat16(nanogpt_turn)} if NANOGPT else {}),
}

if __name__ == "__main__":
    main()
