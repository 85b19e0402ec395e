"""Several adapters over one base, decoded in one batch, beside models of their own and beside PEFT.

    python benchmarks/adapters_served.py PYTHON [--adapters 2 4 8] [--rounds 3] [--tokens 32]

PYTHON is an interpreter that has the peer: `pip install torch transformers peft`. The base is SmolLM2 in bfloat16
(mynah base add smollm2), its adapters of rank 16 on the linear maps of the last 20 of its 30 blocks, of random numbers.
Eight requests at once, of prompts of 64 tokens, go to the adapters in turn. Told are tokens a second of all together,
reading included (median of the rounds, least and most), and the memory of the process. Ways:

    together   adapters beside one base, rows of all of them in one pass (as `mynah serve` has them)
    merged     each adapter added to a copy of the base, and each decoded by itself
    peft       `generate` with `adapter_names`: one base, rows of all adapters in one pass
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from queue import SimpleQueue

THREADS, ROWS, PROMPT, RANK, LAYERS = 2, 8, 64, 16, 20


def prompts() -> list[list[int]]:
    """Return rows of ids that differ."""
    return [[(37 * row + 11 * at) % 900 + 100 for at in range(PROMPT)] for row in range(ROWS)]


def of_mynah(count: int, tokens: int, rounds: int, together: bool) -> list[float]:
    """Return seconds of each round."""
    import torch

    from mynah.device import give_memory_back
    from mynah.generate.engine import Request
    from mynah.generate.lane import Ended
    from mynah.generate.scheduler import Scheduler
    from mynah.generate.settings import SamplingConfig
    from mynah.interop.bases import find_base
    from mynah.interop.held import Held
    from mynah.interop.trained import adapted_base
    from mynah.model.lora import LoRAConfig, adapted, merge_in_place
    from mynah.model.multi_lora import over_one_base, share_weights
    from mynah.model.packed import lay_out, pack
    from mynah.model.replacing import OncePerWeight

    scheduler = Scheduler(rows=ROWS)

    def opened() -> list[tuple[object, int]]:
        torch.set_num_threads(THREADS)
        models = []
        config = LoRAConfig(rank=RANK, layers=LAYERS / 30)
        for seed in range(count):
            base = find_base("smollm2")
            model, _ = adapted_base(base, config, seed, torch.device("cpu"), Held(torch.bfloat16))
            for module in adapted(model).values():
                torch.nn.init.normal_(module.lora_b, std=0.01)
            models.append(model.eval() if together else merge_in_place(model).eval())
            share_weights(models)
        multi, laid_out = over_one_base(models) if together else [], OncePerWeight(lay_out, kept=True)
        for model in [*models, *(one.model for one in multi)]:
            pack(model, laid_out)
        give_memory_back()
        return [(multi[0].model, n) if multi else (model, 0) for n, model in enumerate(models)]

    models = scheduler.call(opened).result()
    taken = []
    for _ in range(rounds + 1):
        events: SimpleQueue[object] = SimpleQueue()
        begun = time.perf_counter()
        for row, prompt in enumerate(prompts()):
            model, adapter = models[row % count]
            asked = Request(prompt, SamplingConfig(max_tokens=tokens))
            scheduler.submit(model, asked, events.put, adapter)  # type: ignore[arg-type]
        left = ROWS
        while left:
            left -= isinstance(events.get(), Ended)
        taken.append(time.perf_counter() - begun)
    scheduler.stop()
    return taken[1:]


def of_peft(directory: str, count: int, tokens: int, rounds: int) -> list[float]:
    """Return seconds of each round."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(THREADS)
    base = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
    config = LoraConfig(
        r=RANK, lora_alpha=32, init_lora_weights=False,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        layers_to_transform=list(range(30 - LAYERS, 30)), layers_pattern="layers",
    )  # fmt: skip
    model = get_peft_model(base, config, adapter_name="0")
    for n in range(1, count):
        model.add_adapter(str(n), config)
    model.eval()
    ids = torch.tensor(prompts())
    taken = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens,
                min_new_tokens=tokens, adapter_names=[str(row % count) for row in range(ROWS)],
            )  # fmt: skip
        assert made.shape[1] == PROMPT + tokens
        taken.append(time.perf_counter() - begun)
    return taken[1:]


def measured(way: str, directory: str, count: int, tokens: int, rounds: int) -> None:
    """Print the seconds of each round, and the memory."""
    if way == "peft":
        taken = of_peft(directory, count, tokens, rounds)
    else:
        taken = of_mynah(count, tokens, rounds, way == "together")
    resident = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert resident is not None
    print(json.dumps({"seconds": taken, "mb": int(resident[1]) / 1024}))


def main() -> None:
    """Measure the ways one after another."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python")
    parser.add_argument("--adapters", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        measured(asked.python, asked.one[0], int(asked.one[1]), asked.tokens, asked.rounds)
        return
    from machine import describe

    from mynah.interop.bases import find_base

    print(describe("torch"))
    directory = str(find_base("smollm2"))
    print(f"{'adapters':>8}  {'way':9} {'tokens/s':>8}  {'least to most':14} {'memory':>9}")
    for count in asked.adapters:
        for way in ("together", "merged", "peft"):
            python = asked.python if way == "peft" else sys.executable
            settings = ["--tokens", str(asked.tokens), "--rounds", str(asked.rounds)]
            command = [python, __file__, way, "--one", directory, str(count), *settings]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"{count:8}  {way:9} failed: {done.stderr.strip().splitlines()[-1][:90]}")
                continue
            told = json.loads(done.stdout.strip().splitlines()[-1])
            rates = [ROWS * asked.tokens / seconds for seconds in told["seconds"]]
            spread = f"{min(rates):.0f} to {max(rates):.0f}"
            print(
                f"{count:8}  {way:9} {statistics.median(rates):8.0f}  {spread:14} {told['mb']:6.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
