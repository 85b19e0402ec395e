"""Is a message one that the log answers? 150 intents and questions of none of them (CLINC150, Larson et al. 2019).

    python benchmarks/scope.py data_full.json --write clinc.csv
    mynah build clinc.csv --minutes 8 --base none --name clinc
    python benchmarks/scope.py data_full.json runs/clinc

The log is what people said of each intent (train and val), the reply its name in words; of the questions that are
out of scope nobody has seen one. Beside the judge of the run stand the usual scores (Hendrycks and Gimpel 2017, Liu et
al. 2020): the largest probability and the energy (log sum of exp), of the run's own network over the 150 names and of
a logistic regression over TF-IDF of words and runs of characters. AUROC and FPR95 (how much of what is out of scope is
taken in where 95 % of what is in scope are) take what is in scope as positive.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from machine import describe
from scipy.special import logsumexp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline, make_union

from mynah.data.records import Message
from mynah.generate.scoring import Scorer
from mynah.pipeline.open_answers import open_answers
from mynah.pipeline.open_run import open_run

Scores = npt.NDArray[np.float64]


def in_words(intent: str) -> str:
    return intent.replace("_", " ")


def write(data: dict[str, list[list[str]]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "reply"])
        writer.writerows((text, in_words(intent)) for part in ("train", "val") for text, intent in data[part])


def tell(
    name: str, right: npt.NDArray[np.bool_], inside: Scores, outside: Scores, cut: float | None = None
) -> None:
    """Print accuracy in scope, and how well a score tells what is out of it; `cut`: what is below is out of scope."""
    labels = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    area = roc_auc_score(labels, np.r_[inside, outside])
    at_95 = float((outside >= np.quantile(inside, 0.05)).mean())
    chosen = ""
    if cut is not None:
        kept = inside >= cut
        chosen = f"   {(right & kept).mean():6.1%} {(outside < cut).mean():8.1%}"
    print(f"  {name:32} {right.mean():6.1%}   {area:.3f}  {at_95:6.1%}{chosen}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="data_full.json")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--write", type=Path, help="write the log to build from, and stop")
    parser.add_argument("--questions", type=int, default=1500, help="of those in scope")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    data = json.loads(options.data.read_text(encoding="utf-8"))
    if options.write is not None:
        write(data, options.write)
        return
    if options.run is None:
        parser.error("name the run that was built of what --write wrote")
    print(describe("torch", "scikit-learn"))
    drawn = np.random.default_rng(options.seed).permutation(len(data["test"]))[: options.questions]
    asked = [data["test"][n] for n in sorted(drawn)]
    texts, wanted = [text for text, _ in asked], np.array([in_words(intent) for _, intent in asked])
    strange = [text for text, _ in data["oos_test"]]
    n = len(texts)
    print(f"{n:,} questions in scope, {len(strange):,} out of it")
    print(f"  {'':32} right in scope  AUROC  FPR95   as chosen: right in scope, out of scope found")

    run = open_run(options.run)
    answerer = open_answers(options.run, run).answerer
    verdicts = answerer.consider([[Message("user", text)] for text in [*texts, *strange]])
    best = [of[0] if of else None for of in verdicts]
    said = np.array([verdict.reply if verdict else "" for verdict in best])
    sure = np.array([verdict.confidence if verdict else 0.0 for verdict in best])
    tell("the judge", said[:n] == wanted, sure[:n], sure[n:], answerer.threshold)

    names = sorted({in_words(intent) for _, intent in data["train"]})
    scorer = Scorer(run.model, run.tokenizer)
    everything = [*texts, *strange]
    found = scorer.score([[Message("user", text)] for text in everything], [names] * len(everything))
    logits = np.array([[likelihood.total for likelihood in of] for of in found])
    both(names, logits, wanted, n, "the network")

    vectors = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True),
    )
    model = make_pipeline(vectors, LogisticRegression(C=10, max_iter=1000))
    log = [*data["train"], *data["val"]]
    model.fit([text for text, _ in log], [in_words(intent) for _, intent in log])
    both(list(model.classes_), model.decision_function(everything), wanted, n, "logistic regression")


def both(names: list[str], logits: Scores, wanted: npt.NDArray[np.str_], n: int, who: str) -> None:
    """Print the largest probability and the energy of (N, 150) logits."""
    right = np.array(names)[logits[:n].argmax(axis=1)] == wanted
    energy = logsumexp(logits, axis=1)
    largest = logits.max(axis=1) - energy
    tell(f"{who}, largest probability", right, largest[:n], largest[n:])
    tell(f"{who}, energy", right, energy[:n], energy[n:])


if __name__ == "__main__":
    main()
