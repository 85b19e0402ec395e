"""Which parts of the small default pay: each left out, or another put in, at equal wall time, on four texts.

    python benchmarks/recipes.py SHARED --seconds 30 > benchmarks/results/recipes.txt
    python benchmarks/recipes.py SHARED --seconds 30 --only base adamw --texts chat

Steps are what fits into the seconds at the speed of each variation, measured first, for all of them: the speed of
the runs themselves, which take hours and may be disturbed, decides nothing. Rates are those of `mynah build` for a
text that is seen often. Figures are bits per held-out byte: the median of the seeds, and the least and the most.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from machine import describe
from torch import Tensor, nn

from mynah.data.records import Document, Record
from mynah.evaluate.language_model import score_network, summarise
from mynah.model.config import ModelConfig
from mynah.model.presets import preset
from mynah.model.transformer import IGNORE, Transformer
from mynah.model.weights import new_model
from mynah.plan.budget import row_shape
from mynah.plan.settings import LADDER
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer, choose_vocab_size
from mynah.train.batches import StreamBatches
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, train
from mynah.train.ramp import ramp_of
from mynah.train.rates import rates

#: Bytes of running text a record; of a large text, bytes that are taken.
PIECE, MOST = 1500, 3_000_000
#: Bytes of held-out text that are scored.
SCORED = 60_000


@dataclass(frozen=True)
class Variation:
    """What is changed in the default."""

    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    #: what is put over a new model from outside, told how many steps it will be trained
    over: Callable[[Transformer, int], None] = lambda model, steps: None


def residual_factors(model: Transformer, steps: int) -> None:
    """Let each block read a x + b x0, x0 the embedding, with a and b learned, from 1 and 0 (as nanochat has them)."""
    count = model.config.n_layer
    model.stream_scale = nn.Parameter(torch.ones(count))
    model.start_scale = nn.Parameter(torch.zeros(count))
    first: list[Tensor] = []

    def before(layer: int, given: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *rest = given
        if layer == 0:
            first[:] = [x]
        return model.stream_scale[layer] * x + model.start_scale[layer] * first[0], *rest

    for layer, block in enumerate(model.blocks):
        block.register_forward_pre_hook(lambda _, given, layer=layer: before(layer, given))


def further_targets(model: Transformer, steps: int) -> None:
    """Let the logits of a place be held against the second and third token after it as well (multi-token prediction).

    As in modded-nanoGPT: one head for all, the further tokens' weights 0.5 and 0.25, of which the last falls to 0 over
    the first third of training and the other over the second. What is measured is the next token's loss.
    """
    plain, passes = model.loss, 0

    def loss(hidden: Tensor, targets: Tensor, prior: Any = None) -> Tensor:
        nonlocal passes
        if not model.training:
            return plain(hidden, targets, prior)
        done = 3 * passes / steps
        passes += 1
        weights = (1.0, 0.5 * min(1.0, max(0.0, 2 - done)), 0.25 * max(0.0, 1 - done))
        logits = model.logits(hidden)
        every = torch.logsumexp(logits, dim=-1)
        total = logits.new_zeros(())
        for ahead, weight in enumerate(weights):
            if weight:
                wanted = targets[:, ahead:]
                shown = (logits[:, : wanted.shape[1]], every[:, : wanted.shape[1]])
                at = shown[0].gather(-1, wanted.clamp(min=0)[..., None])[..., 0]
                total = total + weight * ((shown[1] - at) * (wanted != IGNORE)).sum()
        return total

    model.loss = loss


VARIATIONS = {
    "base": Variation(),
    "Muon at once": Variation(train={"matrix_every": 1}),
    "Muon in 8 turns": Variation(train={"matrix_every": 8}),
    "AdamW": Variation(train={"optimizer": "adamw", "learning_rate": 3e-3}),
    "GELU": Variation(model={"mlp": "gelu"}),
    "no QK norm": Variation(model={"qk_norm": False}),
    "no value embeddings": Variation(model={"value_embeddings": False}),
    "no pairs": Variation(model={"bigram_buckets": 0}),
    "tied head": Variation(model={"tie_embeddings": True}),
    "soft-cap 15": Variation(model={"logit_softcap": 15.0}),
    "short windows": Variation(model={"windows": (64, 0)}),
    "mean weights 0.99": Variation(train={"ema": 0.99}),
    "six layers": Variation(model={"n_layer": 6}),
    "records joined": Variation(train={"document_mask": False}),
    "neither": Variation(model={"qk_norm": False, "value_embeddings": False}),
    "residual factors": Variation(over=residual_factors),
    "further targets": Variation(over=further_targets),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with data/ and corpus/")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--size", default="nano", choices=list(LADDER))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--texts", nargs="*", default=list(TEXTS), choices=list(TEXTS))
    parser.add_argument("--only", nargs="*", default=list(VARIATIONS), choices=list(VARIATIONS))
    parser.add_argument("--speeds", type=Path, help="JSON of seconds a step: read if there, else written")
    chosen = parser.parse_args()
    print(" ".join(["$ python benchmarks/recipes.py", *sys.argv[1:]]))
    print(describe())
    sets = {name: prepared(TEXTS[name](chosen.shared)) for name in chosen.texts}
    speeds = measured(sets, chosen.only, chosen.speeds, chosen.size)
    for text, (data, held_out, vocab) in sets.items():
        rows, context = row_shape(data)
        print(f"\n{text}: {len(data.tokens):,} tokens, vocabulary {vocab:,}, {rows} x {context} a step")
        print(f"{'':<20} {'ms a step':>10} {'steps':>7} {'bits a byte':>12} {'least':>7} {'most':>7}")
        for name in chosen.only:
            seconds = speeds[f"{text}/{name}"]
            steps = max(20, int(chosen.seconds / seconds))
            found = [
                one(data, held_out, vocab, name, steps, seed, chosen.size) for seed in range(chosen.seeds)
            ]
            print(
                f"{name:<20} {1e3 * seconds:>10.1f} {steps:>7,} {statistics.median(found):>12.4f} "
                f"{min(found):>7.4f} {max(found):>7.4f}",
                flush=True,
            )


def settings(
    data: TokenSet, vocab: int, name: str, steps: int, seed: int, size: str
) -> tuple[ModelConfig, TrainConfig]:
    """Return the default of 4 layers, as wide as a size of the ladder, varied."""
    variation = VARIATIONS[name]
    rows, context = row_shape(data)
    changes = {"n_layer": 4, "context_length": context, **variation.model}
    model = preset(size, vocab, **changes)
    plain = preset(size, vocab, n_embd=model.n_embd)  # rates are those of the default, whatever is put in
    own = {**rates(plain, from_base=False), **variation.train}
    return model, TrainConfig(
        steps=steps, batch_size=rows, context_length=context, seed=seed, eval_every=10**9, spike=0, **own
    )


def stream(data: TokenSet, config: TrainConfig) -> StreamBatches:
    """Return the batches of a run."""
    return StreamBatches(data, ramp_of(config), config.context_length, config.seed, config.document_mask)


def varied(config: ModelConfig, name: str, seed: int, steps: int) -> Transformer:
    """Return a new model with what the variation puts over it."""
    model = new_model(config, seed)
    VARIATIONS[name].over(model, steps)
    return model


def measured(sets: dict[str, Any], names: list[str], path: Path | None, size: str) -> dict[str, float]:
    """Return the seconds of a step of each variation on each text: the median of three turns of a few steps each."""
    if known := remembered(path):
        return known
    turns: dict[str, list[float]] = {}
    for _ in range(3):
        for text, (data, _, vocab) in sets.items():
            for name in names:
                model, config = settings(data, vocab, name, 13, 0, size)
                stamps: list[float] = []
                watch = Session(watch=lambda _, s=stamps: s.append(time.perf_counter()))
                train(varied(model, name, 0, config.steps), stream(data, config), config, watch)
                turn = (stamps[-1] - stamps[0]) / (len(stamps) - 1)
                turns.setdefault(f"{text}/{name}", []).append(turn)
    return remembered(path, {key: statistics.median(values) for key, values in turns.items()})


def remembered(path: Path | None, speeds: dict[str, float] | None = None) -> dict[str, float]:
    """Return the speeds that were measured before, from a file if there is one; write new ones to it."""
    if speeds is not None and path is not None:
        path.write_text(json.dumps(speeds, indent=1), encoding="utf-8")
    if speeds is None and path is not None and path.is_file():
        speeds = json.loads(path.read_text(encoding="utf-8"))
    return speeds or {}


def one(data: TokenSet, held_out: TokenSet, vocab: int, name: str, steps: int, seed: int, size: str) -> float:
    """Train once; return bits per held-out byte."""
    model_config, config = settings(data, vocab, name, steps, seed, size)
    model = varied(model_config, name, seed, steps)
    train(model, stream(data, config), config)
    scored = summarise(score_network(model, held_out, model_config.context_length), held_out)
    assert scored is not None
    return scored.bpb


def prepared(records: list[Record]) -> tuple[TokenSet, TokenSet, int]:
    """Return training and held-out tokens (every tenth record, so far as they are scored) and the vocabulary's size."""
    kept = [record for number, record in enumerate(records) if number % 10]
    held, size = [], 0
    for record in records[::10]:
        if size < SCORED:
            held.append(record)
            size += sum(len(text.encode()) for text in record.texts)
    texts = [text for record in kept for text in record.texts]
    tokenizer = Tokenizer.train(texts, choose_vocab_size(sum(len(text.encode()) for text in texts)))
    return encode_records(kept, tokenizer), encode_records(held, tokenizer), tokenizer.vocab_size


def pieces(text: str) -> list[Record]:
    """Cut running text at line ends into records of about PIECE bytes."""
    found: list[Record] = []
    lines: list[str] = []
    size = 0
    for line in text.splitlines():
        lines.append(line)
        size += len(line.encode())
        if size > PIECE:
            found.append(Document("\n".join(lines)))
            lines, size = [], 0
    return found


def folder_text(folder: Path, most: int) -> str:
    """Return the beginning of the texts of a folder, all alike long."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".txt", ".md"))
    return "\n".join(p.read_text(encoding="utf-8", errors="ignore")[: most // len(files)] for p in files)


def compressed(folder: Path) -> str:
    """Return MOST characters of texts from all over the first file of a folder of xz-compressed JSON lines."""
    with lzma.open(min(folder.glob("*.jsonl.xz")), "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    every = -(-sum(map(len, texts)) // MOST)
    return "\n".join(texts[::every])


def tweets(shared: Path) -> list[Record]:
    path = next((shared / "data" / "chat_twitter_support_csv").glob("*.csv"))
    with path.open(encoding="utf-8", newline="") as file:
        return [Document(row["text"]) for row in csv.DictReader(file) if row["text"]]


TEXTS = {
    "tinyshakespeare": lambda shared: pieces(
        next((shared / "data" / "text_tinyshakespeare").glob("*.txt")).read_text(encoding="utf-8")
    ),
    "chat": tweets,
    "Chinese": lambda shared: pieces(folder_text(shared / "data" / "text_zh_luxun", MOST)),
    "books": lambda shared: pieces(compressed(shared / "corpus" / "en_books")),
}

if __name__ == "__main__":
    torch.manual_seed(0)
    main()
