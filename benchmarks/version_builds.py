"""Builds by two checkouts of Mynah, by turns: seconds, bits per held-out byte, right answers.

    git worktree add /tmp/before COMMIT
    python benchmarks/version_builds.py /tmp/before DATA_DIR [--minutes 1] > benchmarks/results/DATE-builds.txt

DATA_DIR holds the data sets' folders (`real_logs.py` lists them). Nothing of their text is printed: figures only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe
from real_logs import SETS

CHOSEN = ("chat_twitter_support_csv", "chat_egret_wenda_zh", "cls_bitext_support_csv")


def built(checkout: Path, sources: list[str], minutes: float, run: Path) -> str:
    """Build by one checkout; return a line of figures."""
    told = ["--minutes", str(minutes), "--runs", str(run.parent), "--name", run.name]
    command = [sys.executable, "-m", "mynah", "build", *sources, *told]
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, capture_output=True, text=True
    )
    seconds = time.monotonic() - begun
    if done.returncode:
        return f"{seconds:.0f} s, not built: {done.stderr.strip()}"
    result = json.loads((run / "evaluate" / "evaluation.json").read_text(encoding="utf-8"))
    plan = json.loads((run / "plan" / "plan.json").read_text(encoding="utf-8"))
    steps = [plan[phase]["steps"] for phase in ("pretrain", "tune") if plan[phase]]
    ngram, network = result["ngram"]["all"]["bpb"], result["base"]["all"]["bpb"]
    line = f"{seconds:>5.0f} s   n-gram {ngram:.3f}   network {network:.3f}"
    if replies := result.get("chat", {}).get("replies"):
        line += f"   replies {replies['bpb']:.3f}"
    if questions := result.get("questions"):
        line += f"   {questions['accuracy']:.1%} of {questions['count']} questions"
    return f"{line}   {plan['model']['n_embd']} wide, steps {' + '.join(map(str, steps))}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument(
        "--sets", nargs="*", default=["demo", *CHOSEN], choices=["demo", *SETS], metavar="SET"
    )
    chosen = parser.parse_args()
    versions = {"before": chosen.before, "now": Path(__file__).parents[1]}
    commits = {
        name: subprocess.run(
            ["git", "-C", str(path), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout.strip()
        for name, path in versions.items()
    }
    print(f"$ python benchmarks/version_builds.py {commits['before']} DATA_DIR --minutes {chosen.minutes:g}")
    print(f"{describe()}; {', '.join(f'{name} {commit}' for name, commit in commits.items())}", flush=True)
    sources = {"demo": ["--sample", "en"]}
    for name, patterns in SETS.items():
        sources[name] = [str(path) for pattern in patterns for path in sorted(chosen.data.glob(pattern))]
    with tempfile.TemporaryDirectory() as runs:
        for name in chosen.sets:
            for version, checkout in versions.items():
                figures = built(
                    checkout.resolve(), sources[name], chosen.minutes, Path(runs) / f"{name}-{version}"
                )
                print(f"{name:<26} {version:<7} {figures}", flush=True)


if __name__ == "__main__":
    main()
