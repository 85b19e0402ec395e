"""Build real logs with a five-minute budget (the default) each, one after the other, and keep what the builds printed.

    python benchmarks/real_logs.py DATA_DIR [NAME ...] [--prior] > benchmarks/results/real-logs.txt

With --prior each is built twice: the network alone, and on top of an n-gram model.
DATA_DIR holds the data sets' folders (see the table below). Nothing of their text is printed: figures only.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe

MINUTES = 5
#: name -> files, by pattern under DATA_DIR
SETS = {
    "chat_twitter_support_csv": ["chat_twitter_support_csv/*.csv"],
    "cls_bitext_support_csv": ["cls_bitext_support_csv/*.csv"],
    "chat_chatterbot": ["chat_chatterbot/*/*.yml"],
    "chat_egret_wenda_zh": ["chat_egret_wenda_zh/*.txt"],
    "instruct_demo": ["instruct_demo/*.json"],
    "text_tinyshakespeare": ["text_tinyshakespeare/input.txt"],
}


def main() -> None:
    data = Path(sys.argv[1])
    priors = ("none", "ngram") if "--prior" in sys.argv else ("none",)
    chosen = [name for name in sys.argv[2:] if name != "--prior"] or list(SETS)
    print(f"$ python benchmarks/real_logs.py DATA_DIR {' '.join(sys.argv[2:])}".rstrip())
    print(describe(), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as runs:
        for name, prior in itertools.product(chosen, priors):
            files = [str(path) for pattern in SETS[name] for path in sorted(data.glob(pattern))]
            told = ["--minutes", str(MINUTES), "--name", f"{name}-{prior}", "--prior", prior]
            command = ["mynah", "build", *files, *told, "--runs", runs]
            print(f"\n$ mynah build {' '.join([*SETS[name], *told])}", flush=True)
            done = subprocess.run(
                [sys.executable, "-m", *command], capture_output=True, text=True, check=False
            )
            print(
                (done.stdout + done.stderr).replace(str(data), "DATA_DIR").replace(runs, "runs"), flush=True
            )
            if done.returncode == 0:
                rows.append((f"{name} {prior}", Path(runs) / f"{name}-{prior}"))
        print("bits per held-out byte; the first two on all text, the last three on replies alone")
        print(f"{'':<31} {'seconds':>8} {'n-gram':>8} {'network':>8} {'n-gram':>16} {'base':>7} {'chat':>7}")
        for name, run in rows:
            print(summary(name, run))


def summary(name: str, run: Path) -> str:
    """Return a line of figures: whole build in seconds, bits per held-out byte."""
    result = json.loads((run / "evaluate" / "evaluation.json").read_text(encoding="utf-8"))
    timings = [json.loads(p.read_text(encoding="utf-8"))["seconds"] for p in run.glob("*/timing.json")]

    def bpb(model: str, part: str) -> str:
        score = result.get(model, {}).get(part)
        return f"{score['bpb']:.3f}" if score else "-"

    return (
        f"{name:<31} {sum(timings):>8.0f} {bpb('ngram', 'all'):>8} {bpb('base', 'all'):>8} "
        f"{bpb('ngram', 'replies'):>16} {bpb('base', 'replies'):>7} {bpb('chat', 'replies'):>7}"
    )


if __name__ == "__main__":
    main()
