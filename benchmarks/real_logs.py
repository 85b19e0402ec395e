"""Build real logs, each from several beginnings, one after the other; keep what the builds printed, and compare them.

    python benchmarks/real_logs.py DATA_DIR [NAME ...] > benchmarks/results/real-logs.txt
    python benchmarks/real_logs.py DATA_DIR --from none smollm2 --minutes 5 15
    python benchmarks/real_logs.py DATA_DIR --from none prior

Beginnings are bases by name; `none`, random weights; `prior`, random weights on top of an n-gram model. DATA_DIR holds
the data sets' folders (see the table below). Nothing of their text is printed: figures only.

Builds of one log hold the same records out. Each model is measured on the same of them, drawn by what they hold: bits a
byte do not depend on the tokenizer, so that those of one line can be compared, across tokenizers too.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from machine import describe

from mynah import artifacts
from mynah.data.store import read_records
from mynah.evaluate.language_model import TokenScores, score_network, score_ngram, summarise
from mynah.ngram.model import NGramModel
from mynah.pipeline.open_run import open_run
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import encode_records

#: name -> files, by pattern under DATA_DIR
SETS = {
    "chat_twitter_support_csv": ["chat_twitter_support_csv/*.csv"],
    "cls_bitext_support_csv": ["cls_bitext_support_csv/*.csv"],
    "chat_chatterbot": ["chat_chatterbot/*/*.yml"],
    "chat_egret_wenda_zh": ["chat_egret_wenda_zh/*.txt"],
    "instruct_demo": ["instruct_demo/*.json"],
    "text_tinyshakespeare": ["text_tinyshakespeare/input.txt"],
}
BEGINNINGS = {"none": ["--base", "none"], "prior": ["--prior", "ngram", "--base", "none"]}


@dataclass(frozen=True)
class Measured:
    """Bits a byte of a model on all text and on replies; None where there is nothing of it."""

    everything: float | None
    replies: float | None

    def __str__(self) -> str:
        """As two columns."""
        return "".join(
            f"{value:>9.3f}" if value is not None else f"{'-':>9}" for value in vars(self).values()
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SETS)}; default: all")
    parser.add_argument("--from", dest="beginnings", nargs="+", default=["none"], metavar="BEGINNING")
    parser.add_argument("--minutes", nargs="+", type=float, default=[5.0])
    parser.add_argument(
        "--records", type=int, default=300, help="held-out records that models are measured on"
    )
    chosen = parser.parse_args()
    print(" ".join(["$ python benchmarks/real_logs.py DATA_DIR", *sys.argv[2:]]))
    print(describe(), flush=True)
    lines = []
    with tempfile.TemporaryDirectory() as runs:
        for name, minutes, beginning in itertools.product(
            chosen.names or list(SETS), chosen.minutes, chosen.beginnings
        ):
            run = Path(runs) / f"{name}-{beginning}-{minutes:g}"
            if built(name, minutes, beginning, chosen.data, run):
                lines.append(
                    f"{name:<26} {minutes:>3g} {beginning:<12} {figures(run, minutes, chosen.records)}"
                )
                print(lines[-1], flush=True)
    print(
        "\nbits a byte of the same held-out records of a log, on all text and on replies; seconds of the whole build"
    )
    models = "".join(f"{model:>18}" for model in ("n-gram", "as it began", "trained"))
    print(f"{'':<26} {'min':>3} {'from':<12} {'asked':>6} {'planned':>8} {'taken':>6}{models}")
    print("\n".join(lines))


def built(name: str, minutes: float, beginning: str, data: Path, run: Path) -> bool:
    """Build a log, print what the build said, and say whether it came to its end."""
    files = [str(path) for pattern in SETS[name] for path in sorted(data.glob(pattern))]
    told = ["--minutes", f"{minutes:g}", *BEGINNINGS.get(beginning, ["--base", beginning])]
    print(f"\n$ mynah build {' '.join([*SETS[name], *told])}", flush=True)
    command = ["mynah", "build", *files, *told, "--name", run.name, "--runs", str(run.parent)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).replace(str(data), "DATA_DIR").replace(str(run.parent), "runs")
    print(said, flush=True)
    return done.returncode == 0


def figures(run: Path, minutes: float, n_records: int) -> str:
    """Return a line of figures: seconds asked for, planned and taken, bits a byte of n-gram model, beginning, model."""
    paths = RunPaths(run)
    timings = {
        p.parent.name: json.loads(p.read_text(encoding="utf-8"))["seconds"] for p in run.glob("*/timing.json")
    }
    later = ("pretrain", "tune", "evaluate", "report")
    planned = json.loads(paths.plan.read_text(encoding="utf-8"))["seconds"]
    planned = (
        planned + sum(seconds for stage, seconds in timings.items() if stage not in later)
        if planned
        else None
    )
    opened = open_run(run, "cpu")
    records = sorted(read_records(paths.records_of("held_out")), key=drawn)[:n_records]
    data = encode_records(records, opened.tokenizer)

    def measured(scores: TokenScores) -> Measured:
        parts = (summarise(scores, data, replies_only=only) for only in (False, True))
        return Measured(*(part.bpb if part is not None else None for part in parts))

    context = opened.model.config.context_length
    trained = measured(score_network(opened.model, data, context))
    ngram = measured(score_ngram(NGramModel.load(paths.ngram_model), data, with_hits=False))
    began = Measured(None, None)
    if (base := base_of(paths)) is not None:
        began = measured(score_network(open_run(base, "cpu").model, data, context))
    asked = f"{60 * minutes:>6.0f} {planned or 0:>8.0f} {sum(timings.values()):>6.0f}"
    return f"{asked}{ngram}{began}{trained}"


def base_of(paths: RunPaths) -> str | None:
    """Return the name of the base of a run, if it has one."""
    about = paths.pretrained / "adapter.json"
    return str(artifacts.read_json(about)["base"]) if about.is_file() else None


def drawn(record: object) -> bytes:
    """Return what puts records in an order by chance, the same whatever read them."""
    return hashlib.blake2b("\n".join(record.texts).encode(), digest_size=8).digest()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
