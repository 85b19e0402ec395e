"""How fast texts and benchmark items are scored, beside the trainer's forward pass and lm_eval; and how fast explained.

    python benchmarks/evaluate.py [--items 100] [--rounds 3] [--data FOLDER]

Scoring: held-out tokens a second of `score_network`, beside a forward pass with its loss as training measures it, of a
Llama shape of 15 million parameters and of the small default, on the same rows of 256 tokens; in turn, medians of the
rounds. Items: SmolLM2 in float32 (mynah base add smollm2) on the same items of benchmark files, by `mynah evaluate`'s
`ask` and by lm_eval's own model for transformers (HFLM, 16 rows at once), and what both count as right. Explaining: one
text of 128 tokens at 15 million parameters, everything that `mynah explain` tells of it but examples and the log.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe

from mynah.evaluate.benchmark.asking import ask
from mynah.evaluate.benchmark.files import read_benchmark
from mynah.evaluate.benchmark.items import Benchmark, Choosing
from mynah.evaluate.language_model import score_network
from mynah.explain.attribution import integrated_gradients, leave_one_out
from mynah.explain.trace import contributions, logit_lens, rollout, surprise, trace
from mynah.interop.bases import find_base
from mynah.model.config import ModelConfig
from mynah.model.presets import preset
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.pipeline.open_run import open_run
from mynah.tokenizer.dataset import TokenSet

THREADS, T, RECORDS = 2, 256, 128
FILES = ("eval_blimp/anaphor_number_agreement.jsonl", "eval_llm_foundry/arc_easy.jsonl",
         "eval_llm_foundry/piqa.jsonl", "eval_mmlu/test/college_biology_test.csv")  # fmt: skip


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def spread(values: list[float]) -> str:
    """Return the median, least and most."""
    return f"{statistics.median(values):8,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def shapes() -> dict[str, ModelConfig]:
    """Return the networks that are timed."""
    llama = {
        "n_layer": 6,
        "n_embd": 288,
        "n_head": 6,
        "ffn_hidden": 768,
        "context_length": T,
        "tie_embeddings": True,
    }
    return {
        "llama, 15M": preset("tinyllama-1.1b", 32_000, **{**llama, "n_kv_head": 6}),
        "small, 8,192 entries": preset("small", 8192),
    }


def scoring(rounds: int) -> None:
    """Print tokens a second of scoring and of a forward pass."""
    for name, config in shapes().items():
        model = new_model(config, 0).eval()
        rng = np.random.default_rng(0)
        tokens = rng.integers(0, config.vocab_size, RECORDS * (T + 1)).astype(np.uint16)
        starts = np.arange(RECORDS + 1) * (T + 1)
        kinds = np.zeros(RECORDS, np.uint8)
        data = TokenSet(
            tokens, starts, np.ones(len(tokens), np.uint8), np.ones((RECORDS, 2), np.int64), kinds
        )
        rows = torch.from_numpy(tokens.astype(np.int64)).view(RECORDS, T + 1)

        def forward(model: Transformer = model, rows: torch.Tensor = rows) -> None:
            with torch.inference_mode():
                for some in rows.split(16):
                    model.loss(model(some[:, :-1]), some[:, 1:])

        score = partial(score_network, model, data, T)
        score()
        forward()
        found: dict[str, list[float]] = {"score": [], "forward": []}
        for _ in range(rounds):
            found["score"].append(RECORDS * T / timed(score))
            found["forward"].append(RECORDS * T / timed(forward))
        ratio = statistics.median(found["score"]) / statistics.median(found["forward"])
        print(
            f"{name:22} scored {spread(found['score'])} tokens/s   forward pass with its loss "
            f"{spread(found['forward'])}   {ratio:.0%} of it",
            flush=True,
        )


def items(folder: Path, count: int, rounds: int) -> None:
    """Print items a second of `ask` and of lm_eval, and what each counts as right."""
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    directory = find_base("smollm2")
    run = open_run(directory, "cpu", torch.float32)
    peer = HFLM(pretrained=str(directory), device="cpu", dtype="float32", batch_size=16, backend="causal")
    for file in FILES:
        benchmark = read_benchmark(folder / file)
        benchmark = replace(benchmark, items=benchmark.items[:count])
        with tempfile.TemporaryDirectory() as place:
            task = ConfigurableTask(config=as_task(benchmark, Path(place)))
            ours, theirs, right = list[float](), list[float](), dict[str, float]()
            for _ in range(rounds):
                begun = time.perf_counter()
                right["mynah"] = ask(benchmark, run.model, run.tokenizer).accuracy
                ours.append(len(benchmark.items) / (time.perf_counter() - begun))
                begun = time.perf_counter()
                told = simple_evaluate(peer, tasks=[task], bootstrap_iters=0, log_samples=False)
                theirs.append(len(benchmark.items) / (time.perf_counter() - begun))
                right["lm_eval"] = told["results"][benchmark.name]["acc,none"]
        times = statistics.median(ours) / statistics.median(theirs)
        print(
            f"{benchmark.name:28} {len(benchmark.items):4} items: Mynah {statistics.median(ours):6.1f} items/s "
            f"({min(ours):.1f} to {max(ours):.1f}), lm_eval {statistics.median(theirs):6.1f} ({min(theirs):.1f} to "
            f"{max(theirs):.1f}), {times:.1f} times; right {right['mynah']:.1%} and {right['lm_eval']:.1%}",
            flush=True,
        )


def as_task(benchmark: Benchmark, place: Path) -> dict[str, Any]:
    """Return the same items as lm_eval reads a task."""
    rows = []
    for item in benchmark.items:
        assert isinstance(item, Choosing)
        context = item.options[0][0]
        rows.append({"q": context, "c": [text for _, text in item.options], "g": item.right})
    path = place / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return {
        "task": benchmark.name, "dataset_path": "json", "test_split": "test", "output_type": "multiple_choice",
        "dataset_kwargs": {"data_files": {"test": str(path)}, "cache_dir": str(place / "cache")},
        "doc_to_text": "{{q}}", "doc_to_target": "{{g}}", "doc_to_choice": "{{c}}", "target_delimiter": "",
        "metric_list": [{"metric": "acc"}],
    }  # fmt: skip


def explaining(rounds: int) -> None:
    """Print how long everything about one text of 128 tokens takes."""
    config = shapes()["llama, 15M"]
    model = new_model(config, 0).eval()
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, 128).tolist()
    baseline = [5 if n % 3 else token for n, token in enumerate(tokens)]

    def everything() -> None:
        found = trace(model, tokens)
        surprise(found)
        target = int(found.logits[-1].argmax())
        contributions(model, found, 127, target)
        logit_lens(model, found, 127)
        rollout(found.patterns)
        integrated_gradients(model, tokens, target, baseline)
        leave_one_out(model, tokens, [target], [(n, n + 4) for n in range(0, 128, 4)])

    everything()
    taken = [timed(everything) for _ in range(rounds)]
    print(
        f"explaining 128 tokens at {config.n_params() / 1e6:.0f}M parameters: {statistics.median(taken):.2f} s"
    )


def main() -> None:
    """Print lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    print(describe("torch", "lm_eval", "transformers"))
    scoring(given.rounds)
    explaining(given.rounds)
    items(given.data, given.items, given.rounds)


if __name__ == "__main__":
    main()
