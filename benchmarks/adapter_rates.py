"""What teaches an adapter most for each token it reads: rates, tokens a step, ranks.

    mynah base add smollm2
    python benchmarks/adapter_rates.py runs/shop --read 50000 --try learning_rate=0.002 --try known_after=3,layers=1

The run must have its token shards (any build over a base). Each trial reads the same number of tokens, from the same
seed, and is measured on held-out replies and on the bundled general text, in bits a byte, and, where the run has
questions, by the share of them that is answered with the right facts. Trials without a value for a setting take that of
`mynah build` where replies repeat; `batch`, `context`, `rank`, `alpha` and `layers` can be told too.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from machine import describe

from mynah.data.records import Document, Message
from mynah.evaluate.language_model import drawn_records, score_network, summarise
from mynah.evaluate.replies import holds_facts, read_questions, reply_to_all
from mynah.generate.settings import SamplingConfig
from mynah.interop.bases import find_base
from mynah.interop.trained import adapted_base
from mynah.model.lora import LoRAConfig, merge_in_place
from mynah.pipeline.recipe import load_recipe
from mynah.plan.budget import ADAPTER_TOKENS
from mynah.plan.repeats import known_after
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.config import TrainConfig
from mynah.train.loop import Session
from mynah.train.phases import tune
from mynah.train.rates import rates

CPU = torch.device("cpu")
#: Held-out tokens that are scored.
HELD_OUT = 7_500
GENERAL = Path(str(files("mynah") / "samples" / "general_en.txt"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--read", type=int, default=60_000, help="tokens that each trial reads")
    parser.add_argument("--try", dest="trials", action="append", default=[], metavar="NAME=VALUE,...")
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args()
    print(" ".join(["$ python benchmarks/adapter_rates.py", *sys.argv[1:]]))
    print(describe(), flush=True)
    for trial in chosen.trials or [""]:
        settings = dict(pair.split("=") for pair in trial.split(",") if pair)
        for seed in range(chosen.seeds):
            print(
                f"{trial or 'as built':<60} {one(chosen.run, chosen.base, chosen.read, seed, settings)}",
                flush=True,
            )


def one(run: Path, base: str, read: int, seed: int, settings: dict[str, str]) -> str:
    """Return the figures of one trial."""
    paths = RunPaths(run)
    tokenizer = Tokenizer.load(paths.tokenizer)
    data, held_out = (TokenSet.load(paths.tokens_of(part)) for part in ("train", "held_out"))
    told: dict[str, Any] = {
        key: float(value) if "." in value or "e" in value else int(value) for key, value in settings.items()
    }
    lora = LoRAConfig(**{key: told.pop(key) for key in ("rank", "alpha", "layers") if key in told})
    context = told.pop("context", ADAPTER_TOKENS)
    batch = told.pop("batch", max(1, ADAPTER_TOKENS // context))
    model, _ = adapted_base(find_base(base), lora, seed, CPU)
    config = TrainConfig(
        **{
            **rates(model.config, from_base=True, adapter=True),
            "spread": True,
            "known_after": known_after(data, read),
            "steps": read // (batch * context),
            "batch_size": batch,
            "context_length": context,
            "seed": seed,
            **told,
        }
    )
    begun = time.perf_counter()
    tune(model, data, None, config, Session())
    taken = time.perf_counter() - begun
    merge_in_place(model)
    held_out = drawn_records(held_out, HELD_OUT)
    general = encode_records(
        map(Document, GENERAL.read_text(encoding="utf-8").strip().split("\n\n")), tokenizer
    )
    scored, of_general = (
        summarise(score_network(model, of, model.config.context_length), of, replies_only=only)
        for of, only in ((held_out, True), (general, False))
    )
    assert scored is not None
    assert of_general is not None
    line = f"replies {scored.bpb:.4f}, general text {of_general.bpb:.3f} bits a byte, {read / taken:.0f} tokens/s"
    questions = load_recipe(paths.recipe, {}).evaluate.questions
    if questions is None:
        return line
    asked = read_questions(Path(questions))
    replies = reply_to_all(
        model, tokenizer, [[Message("user", q.question)] for q in asked], SamplingConfig(temperature=0)
    )
    right = sum(holds_facts(reply, q.facts) for reply, q in zip(replies, asked, strict=True))
    return f"{line}, {right / len(asked):.1%} of {len(asked)} questions right"


if __name__ == "__main__":
    main()
