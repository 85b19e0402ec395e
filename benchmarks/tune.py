"""Fine-tuning an adapter beside peers: SmolLM2-135M, LoRA of rank 16 on all linear maps, the same records for all.

    mynah base add smollm2
    python benchmarks/tune.py DATA_DIR > benchmarks/results/tune.txt
    python benchmarks/tune.py --rounds 1 --tokens 1024 --only "mynah, 256 a step" "plain, bfloat16"

Two logs: the bundled shop log, and the support tweets of DATA_DIR (`chat_twitter_support_csv/`), left out where that is
not given. Peers: a plain loop over transformers and PEFT (batches of records of about one length, padded; loss on
replies; fused AdamW; clipping), and TRL's SFTTrainer with packing, of the same tokens and labels, without its
recomputation of activations, which saves memory and takes time. In bfloat16 the peers' frozen weights are in it, and
they run under autocast; adapters are float32 everywhere. Mynah's row is its whole `tune`: packing, batches, loss,
clipping, AdamW.

Each contender is a process of its own, which loads what that one needs and no more, and makes a pass over the records
when its turn comes; a first pass of each, in which kernels are chosen and memory is taken, does not count. Useful are
the tokens of records, not what fills rows up; the limit is the rate of the products with the model's own frozen maps,
forward and to their inputs, over 4 FLOP a parameter of the blocks for each token and 4 a parameter of the head for each
token of a reply: what no attention, norm, adapter or optimizer is in.

All contenders of a log stand ready at once, which takes 14 GB; with less, name some by --only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import describe, half_precision_units

# What else of Mynah is needed is imported where it is: a peer's memory is not to be measured with Mynah in it.
from mynah.device import peak_memory, reset_peak_memory

if TYPE_CHECKING:
    from mynah.model.config import ModelConfig
    from mynah.tokenizer.dataset import TokenSet

TWEETS = "chat_twitter_support_csv"
RANK, ALPHA, RATE = 16, 32, 2e-3
#: The linear maps of a block as transformers names them.
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IGNORE = -100
#: The part of a token in a shard that is said by the assistant (`mynah.tokenizer.template.SAID`).
SAID = 2


@dataclass(frozen=True)
class Pass:
    """One pass over the records."""

    seconds: float
    #: of records, and of these what replies count
    tokens: int
    replies: int
    #: nats a counted token, the mean over the pass
    loss: float


#: Makes a pass.
Turn = Callable[[], Pass]


@dataclass(frozen=True)
class Task:
    """What a contender is given."""

    base: Path
    #: shards of the records
    shards: Path
    #: no record is longer
    context: int


@dataclass(frozen=True)
class Contender:
    """A way to fine-tune."""

    make: Callable[[Task, Contender], Turn]
    #: of a step, with what fills it up
    tokens: int
    #: of the products; None: what Mynah takes by itself
    dtype: torch.dtype | None
    #: share of the blocks, the last ones, that get an adapter
    layers: float = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, metavar="DATA_DIR")
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=2048, help="of the records of a pass, about")
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--contend", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.contend:
        name, base, shards, context = chosen.contend
        contend(name, Task(Path(base), Path(shards), int(context)))
        return
    from mynah.interop.bases import find_base

    base = find_base(chosen.base)
    print(" ".join(["$ python benchmarks/tune.py", *sys.argv[1:]]))
    print(describe("transformers", "peft", "trl"))
    print(f"bfloat16  {half_precision_units()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for log, source in logs(chosen.data):
            if isinstance(source, str):
                print(f"\n{log}: left out, {source}")
                continue
            compare(log, source, base, Path(folder), chosen)


def logs(data: Path | None) -> Iterator[tuple[str, list[Path] | str]]:
    """Yield the logs by name, with their files or the reason why there are none."""
    yield "shop log", [Path(str(files("mynah") / "samples" / "shop_en.csv"))]
    found = sorted((data / TWEETS).glob("*.csv")) if data is not None else []
    missing = "no DATA_DIR was given" if data is None else f"there is no {TWEETS} in DATA_DIR"
    yield "support tweets", found or missing


def compare(log: str, sources: list[Path], base: Path, folder: Path, chosen: argparse.Namespace) -> None:
    from mynah.data.collect.collector import CollectConfig, collect
    from mynah.interop.held import quick_dtype
    from mynah.interop.huggingface import read_config
    from mynah.plan.budget import row_shape
    from mynah.tokenizer.dataset import encode_records
    from mynah.tokenizer.tokenizer import Tokenizer

    data = encode_records(collect(sources, CollectConfig()).records, Tokenizer.load(base))
    context = row_shape(data)[1]
    records = some_records(data, context, chosen.tokens)
    task = Task(base, folder / f"{log.replace(' ', '-')}.safetensors", context)
    records.save(task.shards)
    share = float(records.reply.mean())
    print(
        f"\n{log}: {len(records)} of {len(data):,} records, {len(records.tokens):,} tokens, {share:.0%} of them in "
        f"replies, rows of {context}; {chosen.rounds} rounds",
        flush=True,
    )
    model = read_config(base)[1]
    own = quick_dtype(model, torch.device("cpu"))  # what Mynah takes by itself
    passes, memory, rates = take_turns(task, model, chosen)
    print("products with the frozen maps, GFLOP/s, and what they leave room for, tokens/s:")
    room = {}
    for key, seen in rates.items():
        dtype, rows = key
        room[key] = statistics.median(seen) / flops_per_token(model, share)
        print(
            f"  {str(dtype)[6:]:<9} {rows:>5,} rows {statistics.median(seen) / 1e9:>6.0f} "
            f"({min(seen) / 1e9:.0f} to {max(seen) / 1e9:.0f}) {room[key]:>8,.0f}"
        )
    print(
        f"{'':<24} {'tokens/s':>9} {'least':>7} {'most':>7} {'of replies':>11} {'of the limit':>13} "
        f"{'MB before':>10} {'at most':>8} {'loss':>6}   {next(iter(passes), '')} is"
    )
    first = next(iter(passes.values()), [])
    for name, made in passes.items():
        speeds = [one.tokens / one.seconds for one in made]
        ratios = [one.tokens / one.seconds / speed for one, speed in zip(first, speeds, strict=True)]
        contender = CONTENDERS[name]
        limit = room[contender.dtype or own, contender.tokens]
        middle = statistics.median(speeds)
        print(
            f"{name:<24} {middle:>9,.0f} {min(speeds):>7,.0f} {max(speeds):>7,.0f} "
            f"{statistics.median(one.replies / one.seconds for one in made):>11,.0f} {middle / limit:>13.1%} "
            f"{memory[name]['before'] / 1e6:>10,.0f} {memory[name]['peak'] / 1e6:>8,.0f} {made[-1].loss:>6.2f}   "
            f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def some_records(data: TokenSet, context: int, n_tokens: int) -> TokenSet:
    """Return records with a reply, none longer than a row, drawn until there are so many tokens."""
    lengths = np.diff(data.starts)
    replies = np.add.reduceat(data.reply.astype(np.int64), data.starts[:-1])
    fit = np.flatnonzero((lengths <= context) & (replies > 0))
    drawn = np.random.default_rng(0).permutation(fit)
    return data.select(drawn[: 1 + int(np.searchsorted(np.cumsum(lengths[drawn]), n_tokens))])


def flops_per_token(model: ModelConfig, share: float) -> float:
    """Return the FLOP of the frozen products for a token, if `share` of them are in replies."""
    groups = model.n_params_by_group()
    return 4.0 * (groups["attention"] + groups["mlp"] + share * model.vocab_size * model.n_embd)


def maps_rate(model: ModelConfig, dtype: torch.dtype, rows: int) -> float:
    """Return the FLOP/s of the products of one block with `rows` tokens, forward and to their inputs."""
    joined = (model.n_head + 2 * model.n_kv_head) * model.head_dim
    wide, hidden = model.n_head * model.head_dim, model.ffn_hidden
    shapes = [
        (joined, model.n_embd),
        (model.n_embd, wide),
        *[(hidden, model.n_embd)] * 2,
        (model.n_embd, hidden),
    ]
    maps = [
        (torch.randn(rows, c, dtype=dtype), torch.randn(n, c, dtype=dtype), torch.randn(rows, n, dtype=dtype))
        for n, c in shapes
    ]
    taken = []
    for _ in range(6):
        begun = time.perf_counter()
        for x, weight, grad in maps:
            F.linear(x, weight)
            grad @ weight
        taken.append(time.perf_counter() - begun)
    return 4 * rows * sum(n * c for n, c in shapes) / min(taken)


Rates = dict[tuple[torch.dtype, int], list[float]]


def take_turns(
    task: Task, model: ModelConfig, chosen: argparse.Namespace
) -> tuple[dict[str, list[Pass]], dict[str, dict[str, int]], Rates]:
    """Start the contenders, let them make their passes in turn; return passes, memory in bytes, rates of products."""
    asked = {}
    for name in chosen.only:
        command = [
            sys.executable,
            __file__,
            "--contend",
            name,
            str(task.base),
            str(task.shards),
            str(task.context),
        ]
        # Those that fetch by themselves are not to.
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        asked[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if (about := tell(asked[name], None)) is None or "missing" in about:
            print(f"{name}: left out, {about['missing'] if about else 'it did not start'}", flush=True)
            asked.pop(name).kill()
    passes: dict[str, list[Pass]] = {name: [] for name in asked}
    memory: dict[str, dict[str, int]] = {}
    rates: Rates = {}
    try:
        for number in range(1 + chosen.rounds):
            for dtype in (torch.bfloat16, torch.float32):
                for rows in sorted({CONTENDERS[name].tokens for name in asked}):
                    rates.setdefault((dtype, rows), []).append(maps_rate(model, dtype, rows))
            for name, process in asked.items():
                told = tell(process, "pass")
                if told is None:
                    raise SystemExit(f"{name}: ended in the middle, with status {process.wait()}")
                made = Pass(**told.pop("pass"))
                if number:
                    passes[name].append(made)
                memory[name] = told
    finally:
        for process in asked.values():
            process.kill()
            process.wait()
    return passes, memory, rates


def tell(process: subprocess.Popen[str], what: str | None) -> dict[str, Any] | None:
    """Say something to a contender; return what it answers, None if it has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    if what is not None:
        process.stdin.write(f"{what}\n")
        process.stdin.flush()
    line = process.stdout.readline()
    return json.loads(line) if line else None


def contend(name: str, task: Task) -> None:
    """Be a contender: make a pass for each line of standard input, answer with its figures and the memory held."""
    answers, contender = sys.stdout, CONTENDERS[name]
    with redirect_stdout(sys.stderr):  # what peers report
        try:
            turn = contender.make(task, contender)
        except ImportError as error:
            print(json.dumps({"missing": str(error)}), file=answers, flush=True)
            return
        reset_peak_memory()
        before = peak_memory()
        print(json.dumps({}), file=answers, flush=True)
        for _ in sys.stdin:
            told = {"pass": vars(turn()), "before": before, "peak": peak_memory()}
            print(json.dumps(told), file=answers, flush=True)


def mynah_turn(task: Task, contender: Contender) -> Turn:
    from mynah.interop.held import Held
    from mynah.interop.trained import adapted_base
    from mynah.model.lora import LoRAConfig
    from mynah.model.transformer import can_share_prefix
    from mynah.tokenizer.dataset import TokenSet
    from mynah.train.config import TrainConfig
    from mynah.train.loop import Session
    from mynah.train.packed import PackedBatches
    from mynah.train.phases import tune
    from mynah.train.rates import rates

    device = torch.device("cpu")
    held = Held(contender.dtype) if contender.dtype is not None else None
    model, _ = adapted_base(
        task.base, LoRAConfig(rank=RANK, alpha=ALPHA, layers=contender.layers), 0, device, held
    )
    data = TokenSet.load(task.shards)
    rows = max(1, contender.tokens // task.context)
    share = can_share_prefix(model.config, task.context)
    packed = PackedBatches(data, rows, task.context, seed=0, share_prefix=share)
    steps = -(-packed.rows // rows)
    config = TrainConfig(
        steps=steps, batch_size=rows, context_length=task.context, eval_every=10**6,
        precision="auto" if contender.dtype is None else str(contender.dtype)[6:],
        **rates(model.config, from_base=True, adapter=True),
    )  # fmt: skip
    batches = list(map(packed, range(steps)))
    # The last step may take some rows again; a record has a token more than it has places that are read, and those of
    # the prefix, which stands in a row once.
    shared = len(packed.prefix) + 1
    tokens = sum(int((b.segments >= 0).sum() + shared * (b.segments.amax(dim=1) + 1).sum()) for b in batches)
    counts = [batch.count for batch in batches]

    def turn() -> Pass:
        losses: list[float] = []
        begun = time.perf_counter()
        tune(model, data, None, config, Session(watch=lambda step: losses.append(step.loss)))
        taken = time.perf_counter() - begun
        return Pass(taken, tokens, sum(counts), float(np.average(losses, weights=counts)))

    return turn


def examples(task: Task) -> list[dict[str, list[int]]]:
    """Return the records as peers take them: ids, and labels with what does not count left out."""
    from safetensors.numpy import load_file

    arrays = load_file(task.shards)
    made = []
    for begin, end in zip(arrays["starts"][:-1].tolist(), arrays["starts"][1:].tolist(), strict=True):
        ids, said = arrays["tokens"][begin:end].astype(np.int64), arrays["part"][begin:end] == SAID
        made.append({"input_ids": ids.tolist(), "labels": np.where(said, ids, IGNORE).tolist()})
    return made


def counts_of(rows: list[dict[str, list[int]]]) -> tuple[int, int]:
    """Return the tokens of records, and of those the labels that count."""
    counted = sum(label != IGNORE for row in rows for label in row["labels"][1:])
    return sum(len(row["input_ids"]) for row in rows), counted


def lora_of_peft() -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM"
    )


def transformers_model(task: Task, dtype: torch.dtype | None) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(task.base, dtype=dtype)
    model.config.use_cache = False
    return model


def plain_turn(task: Task, contender: Contender) -> Turn:
    from peft import get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(transformers_model(task, contender.dtype), lora_of_peft()).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0, fused=True)
    rows = examples(task)
    tokens, replies = counts_of(rows)
    batches = list(padded(rows, contender.tokens))
    numbers = np.random.default_rng(0)
    mixed = contender.dtype == torch.bfloat16

    def turn() -> Pass:
        total = 0.0
        begun = time.perf_counter()
        for number in numbers.permutation(len(batches)):
            batch = batches[number]
            with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += float(loss.detach()) * int((batch["labels"][:, 1:] != IGNORE).sum())
        return Pass(time.perf_counter() - begun, tokens, replies, total / replies)

    return turn


def padded(rows: list[dict[str, list[int]]], at_most: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches of rows of about one length, each filled up to its longest, of so many places at most."""
    ordered = sorted(rows, key=lambda row: len(row["input_ids"]))
    while ordered:
        longest = len(ordered[-1]["input_ids"])
        taken = [ordered.pop() for _ in range(min(len(ordered), max(1, at_most // longest)))]
        shape = len(taken), longest
        batch = {
            "input_ids": torch.zeros(shape, dtype=torch.int64),
            "attention_mask": torch.zeros(shape, dtype=torch.int64),
            "labels": torch.full(shape, IGNORE),
        }
        for b, row in enumerate(taken):
            own = slice(0, len(row["input_ids"]))
            batch["attention_mask"][b, own] = 1
            for key, values in row.items():
                batch[key][b, own] = torch.tensor(values)
        yield batch


def trl_turn(task: Task, contender: Contender) -> Turn:
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Stamps(TrainerCallback):  # type: ignore[misc]
        begun = ended = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ended = time.perf_counter()

    stamps, rows = Stamps(), examples(task)
    tokens, replies = counts_of(rows)
    config = SFTConfig(
        tempfile.gettempdir(), packing=True, max_length=task.context, num_train_epochs=1,
        per_device_train_batch_size=max(1, contender.tokens // task.context), learning_rate=RATE,
        lr_scheduler_type="constant", optim="adamw_torch_fused", max_grad_norm=1.0, use_cpu=True,
        bf16=contender.dtype == torch.bfloat16, gradient_checkpointing=False, save_strategy="no",
        logging_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
    trainer = SFTTrainer(
        transformers_model(task, contender.dtype), config, train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(task.base), peft_config=lora_of_peft(), callbacks=[stamps],
    )  # fmt: skip

    def turn() -> Pass:
        loss = trainer.train().training_loss
        return Pass(stamps.ended - stamps.begun, tokens, replies, loss)

    return turn


CONTENDERS = {
    "mynah, as it builds": Contender(mynah_turn, 256, None, 0.67),
    "mynah, 256 a step": Contender(mynah_turn, 256, None),
    "mynah, 1024": Contender(mynah_turn, 1024, None),
    "mynah, 1024, float32": Contender(mynah_turn, 1024, torch.float32),
    "plain, bfloat16": Contender(plain_turn, 1024, torch.bfloat16),
    "plain, float32": Contender(plain_turn, 1024, torch.float32),
    "trl, bfloat16": Contender(trl_turn, 1024, torch.bfloat16),
    "trl, float32": Contender(trl_turn, 1024, torch.float32),
}

if __name__ == "__main__":
    main()
