"""`benchmarks/gpu.py` runs where there is PyTorch, NumPy and this repository, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Finds nothing but the standard library, PyTorch with what it needs, NumPy and Mynah.
BARE = f"""
import importlib.abc, importlib.util, runpy, sys

KNOWN = {{"torch", "torchgen", "functorch", "numpy", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock",
         "fsspec", "typing_extensions", "setuptools", "mynah", "bare", "machine", "__main__", *sys.stdlib_module_names}}

class Bare(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] not in KNOWN and name[0] != "_":
            raise ModuleNotFoundError(name, name=name)

sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "benchmarks")!r}]
sys.meta_path.insert(0, Bare())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: found(name, *rest) if name.partition(".")[0] in KNOWN else None
"""
TRAIN = """
gpu = runpy.run_path("gpu.py")
import torch
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.train.batches import NextToken, TokenBatch
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, train

ids = torch.arange(66).view(2, 33) % 50
batch = TokenBatch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
losses = []
config = TrainConfig(steps=20, batch_size=2, context_length=32, optimizer="adamw", learning_rate=1e-2)
model = new_model(preset("gpt2", 50, n_layer=1, n_embd=32, n_head=2), 0)
train(model, lambda step: batch, NextToken(), config, Session(watch=lambda step: losses.append(step.loss)))
assert losses[-1] < losses[0] / 2, losses
train(model, lambda step: batch, NextToken(), config.model_copy(update={"optimizer": "muon"}))
# PyTorch's compiler and DTensor: 70 MB and a second that a process which trains alone does not need.
assert not {"torch._dynamo", "torch.distributed.tensor"} & set(sys.modules)
assert "pydantic" not in sys.modules or not hasattr(sys.modules["pydantic"], "VERSION")
print("trained")
"""


def bare(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BARE + code],
        capture_output=True,
        text=True,
        cwd=ROOT / "benchmarks",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_says_that_it_was_not_run() -> None:
    said = bare(
        "import torch\ntorch.cuda.is_available = lambda: False\nrunpy.run_path('gpu.py', run_name='__main__')"
    )
    assert "no GPU at hand: not run" in said


def test_the_loop_needs_nothing_else() -> None:
    assert "trained" in bare(TRAIN)
