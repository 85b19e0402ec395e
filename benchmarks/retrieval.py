"""The true reply among a hundred, on the held-out exchanges of a real log: 100 replies of as many exchanges, one right.

    mynah build tweets.csv --minutes 10 --name tweets
    python benchmarks/retrieval.py runs/tweets

The test of the field (Henderson et al. 2019, "A Repository of Conversational Datasets"): R100@1 is how often the true
reply comes first, R100@10 how often it is among the first ten, MRR the mean of one over its place.

    words, characters   cosine of TF-IDF of what was said and the reply
    bm25                of the words of what was said in the reply
    by example          cosine, by characters, of the reply and what the log replied to the messages that are most alike
    dense               cosine of the run's own states of both, each mapped by a matrix that was fitted to the log
    fused               all of these, weighed
    network             likelihood of the reply's first tokens under the run's network, less that after no question
    fused and rescored  all of these, weighed

Weights are those of a softmax over the hundred, fitted to half of the groups of a hundred and used on the other half,
and the other way round. The network reads of each hundred those that are fused first (--read); the others stay behind.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from machine import describe
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from mynah.data.preprocess import words
from mynah.data.records import Message
from mynah.data.store import read_records
from mynah.generate.scoring import Scorer
from mynah.pipeline.open_run import Run, open_run
from mynah.retrieval.exchanges import Exchange, exchanges_of
from mynah.stages import RunPaths

GROUP = 100
#: Turns that count as what was said.
TURNS = 3
#: Exchanges that the matrices are fitted to, tokens of each side, numbers that states are mapped to.
PAIRS, TOKENS, WIDTH = 20_000, 48, 128
K1, B = 1.2, 0.75

Scores = npt.NDArray[np.float64]


def said(exchange: Exchange) -> str:
    return "\n".join(message.content for message in exchange.history[-TURNS:])


def groups_of(held_out: Sequence[Exchange], most: int, seed: int) -> list[list[Exchange]]:
    """Return groups of a hundred exchanges whose replies differ."""
    draw = np.random.default_rng(seed)
    distinct = list({e.reply.casefold().strip(): e for e in held_out if e.question.strip()}.values())
    order = draw.permutation(len(distinct))[: most // GROUP * GROUP]
    found = [distinct[n] for n in order]
    return [found[at : at + GROUP] for at in range(0, len(found) - GROUP + 1, GROUP)]


class Lexical:
    """What words and runs of characters say.

    Args:
        log: exchanges that may be learned from.
    """

    def __init__(self, log: Sequence[Exchange]) -> None:
        texts = [said(e) for e in log] + [e.reply for e in log]
        self.words = TfidfVectorizer(tokenizer=words, token_pattern=None, sublinear_tf=True).fit(texts)
        self.characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit(
            texts
        )
        self.counts = CountVectorizer(tokenizer=words, token_pattern=None).fit(texts)
        counts = self.counts.transform([e.reply for e in log])
        seen = np.asarray((counts > 0).sum(axis=0)).ravel()
        self.idf = np.log(1 + (len(log) - seen + 0.5) / (seen + 0.5))
        self.length = float(counts.sum()) / len(log)
        self.asked = self.characters.transform([said(e) for e in log])
        self.replied = self.characters.transform([e.reply for e in log])

    def cosine(self, vectors: TfidfVectorizer, group: Sequence[Exchange]) -> Scores:
        """Return the cosine of each question (rows) and each reply (columns)."""
        asked, replied = (
            vectors.transform([said(e) for e in group]),
            vectors.transform([e.reply for e in group]),
        )
        return np.asarray((asked @ replied.T).todense())

    def bm25(self, group: Sequence[Exchange]) -> Scores:
        """Return BM25 of each question in each reply."""
        asked = self.counts.transform([said(e) for e in group]) > 0
        replied = self.counts.transform([e.reply for e in group]).tocoo()
        lengths = np.asarray(replied.sum(axis=1)).ravel()
        spread = K1 * (1 - B + B * lengths / self.length)
        weights = self.idf[replied.col] * replied.data * (K1 + 1) / (replied.data + spread[replied.row])
        table = csr_matrix((weights, (replied.row, replied.col)), shape=replied.shape)
        return np.asarray((asked.astype(np.float64) @ table.T).todense())

    def by_example(self, group: Sequence[Exchange], nearest: int = 20) -> Scores:
        """Return how like each reply is to those that the log gave to what is most like each question."""
        like = (self.characters.transform([said(e) for e in group]) @ self.asked.T).toarray()
        for row in like:
            row[np.argpartition(-row, min(nearest, len(row) - 1))[nearest:]] = 0
        middle = csr_matrix(like**2) @ self.replied
        replied = self.characters.transform([e.reply for e in group])
        return np.asarray((middle @ replied.T).todense())


class Dense:
    """Mean states of the run's network, mapped so that a reply is near what it replies to.

    One matrix for each side, fitted with the other replies of a batch as the wrong ones (InfoNCE: van den Oord et al.
    2018; as dual encoders are: Henderson et al. 2017).
    """

    def __init__(self, run: Run, log: Sequence[Exchange], seed: int, epochs: int = 20) -> None:
        self.run = run
        some = [log[n] for n in np.random.default_rng(seed).permutation(len(log))[:PAIRS]]
        asked, replied = self.states([said(e) for e in some]), self.states([e.reply for e in some])
        self.mean = torch.cat([asked, replied]).mean(dim=0)
        self.spread = torch.cat([asked, replied]).std(dim=0)
        asked, replied = self._standard(asked), self._standard(replied)
        torch.manual_seed(seed)
        width = asked.shape[1]
        self.maps = [torch.nn.init.orthogonal_(torch.empty(width, WIDTH)).requires_grad_() for _ in range(2)]
        scale = torch.tensor(3.0, requires_grad=True)
        batch = min(512, len(some))
        steps = max(1, epochs * len(some) // batch)
        optimizer = torch.optim.AdamW([*self.maps, scale], lr=2e-3, weight_decay=0.05)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            rows = torch.randint(len(some), (batch,))
            # Half of the numbers at a time: a few thousand exchanges are soon learned by heart.
            a, b = (
                self._mapped(F.dropout(x[rows], 0.3), m)
                for x, m in zip((asked, replied), self.maps, strict=True)
            )
            logits = scale.exp() * a @ b.T
            labels = torch.arange(batch)
            loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            fall.step()

    @torch.inference_mode()
    def states(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the mean state of each text, (N, C)."""
        ids = [self.run.tokenizer.encode(text)[-TOKENS:] or [0] for text in texts]
        order = sorted(range(len(ids)), key=lambda n: len(ids[n]))
        found = torch.empty(len(ids), self.run.model.config.n_embd)
        for at in range(0, len(order), 32):
            some = order[at : at + 32]
            longest = max(len(ids[n]) for n in some)
            rows = torch.tensor([ids[n] + [0] * (longest - len(ids[n])) for n in some])
            mine = torch.tensor([[1.0] * len(ids[n]) + [0.0] * (longest - len(ids[n])) for n in some])
            hidden = self.run.model(rows).float()  # causal: what is padded behind is not seen
            found[some] = (hidden * mine[..., None]).sum(dim=1) / mine.sum(dim=1, keepdim=True)
        return found

    def __call__(self, group: Sequence[Exchange]) -> Scores:
        """Return the cosine of each question and each reply."""
        asked = self._standard(self.states([said(e) for e in group]))
        replied = self._standard(self.states([e.reply for e in group]))
        with torch.inference_mode():
            a, b = (self._mapped(x, m) for x, m in zip((asked, replied), self.maps, strict=True))
            return (a @ b.T).double().numpy()

    def _standard(self, states: torch.Tensor) -> torch.Tensor:
        return ((states - self.mean) / (self.spread + 1e-4)).clone()

    @staticmethod
    def _mapped(states: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        return F.normalize(states @ matrix, dim=1)


def likelihoods(scorer: Scorer, group: Sequence[Exchange], first: npt.NDArray[np.bool_]) -> list[Scores]:
    """Return of the replies that are read how much likelier they are than after no question, in all and a token."""
    (before,) = scorer.score([[Message("user", "?")]], [[e.reply for e in group]])
    read = [np.flatnonzero(row) for row in first]
    histories = [e.history[-TURNS:] for e in group]
    found = scorer.score(histories, [[group[n].reply for n in of] for of in read])
    gain, mean, plain = (np.full(first.shape, np.nan) for _ in range(3))
    for row, (of, each) in enumerate(zip(read, found, strict=True)):
        for n, likelihood in zip(of, each, strict=True):
            gain[row, n] = likelihood.total - before[n].total
            mean[row, n] = likelihood.mean - before[n].mean
            plain[row, n] = likelihood.total
    for table in (gain, mean, plain):
        table[np.isnan(table)] = np.nanmin(table)
    return [gain, mean, plain]


def fitted(features: npt.NDArray[np.float64]) -> Scores:
    """Return (G, 100, 100) scores from (G, 100, 100, D) numbers, by weights of the half that a group is not in."""
    x = torch.from_numpy(features)
    x = (x - x.mean(dim=2, keepdim=True)) / (x.std(dim=2, keepdim=True) + 1e-9)
    right = torch.arange(GROUP).repeat(len(x), 1)
    found = torch.empty(x.shape[:3], dtype=x.dtype)
    half = torch.arange(len(x)) % 2 == 0
    for mine in (half, ~half):
        weights = torch.zeros(x.shape[-1], dtype=x.dtype, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

        def loss(
            mine: torch.Tensor = mine, weights: torch.Tensor = weights, optimizer=optimizer
        ) -> torch.Tensor:
            optimizer.zero_grad()
            logits = (x[~mine] @ weights).reshape(-1, GROUP)
            value = F.cross_entropy(logits, right[~mine].reshape(-1)) + 1e-3 * (weights**2).sum()
            value.backward()
            return value

        optimizer.step(loss)
        found[mine] = (x[mine] @ weights).detach()
    return found.numpy()


def tell(name: str, scores: Scores, seconds: float | None = None) -> None:
    """Print where the right reply comes, of (G, 100, 100) scores; ties count as if they came in any order."""
    own = np.einsum("gii->gi", scores)[..., None]
    places = 1 + (scores > own).sum(axis=-1) + ((scores == own).sum(axis=-1) - 1) / 2
    n = places.size
    at_1, at_10 = (places < 1.5).mean(), (places < 10.5).mean()
    error = 1.96 * np.sqrt(at_1 * (1 - at_1) / n)
    took = "" if seconds is None else f"   {1000 * seconds / n:7.1f} ms a question"
    print(
        f"  {name:20} {at_1:6.1%} (+-{error:4.1%})  {at_10:6.1%}  {(1 / places).mean():.3f}{took}", flush=True
    )


def timed(what: Callable[[list[Exchange]], Scores], groups: Sequence[list[Exchange]]) -> tuple[Scores, float]:
    begun = time.monotonic()
    scores = np.stack([what(group) for group in groups])
    return scores, time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--questions", type=int, default=400, help="held-out exchanges, a multiple of 200")
    parser.add_argument("--read", type=int, default=GROUP, help="replies of a hundred that the network reads")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(describe("torch", "scikit-learn"))
    paths, run = RunPaths(options.run), open_run(options.run)
    log = [e for e in exchanges_of(read_records(paths.records_of("train"))) if e.question.strip()]
    groups = groups_of(
        list(exchanges_of(read_records(paths.records_of("held_out")))), options.questions, options.seed
    )
    if len(groups) < 2:
        raise SystemExit(
            f"{options.run}: holds fewer than {2 * GROUP} held-out exchanges with replies of their own"
        )
    print(f"{options.run.name}: {len(log):,} exchanges to learn from, {GROUP * len(groups)} questions")
    print(f"  {'':20} R100@1            R100@10  MRR")
    lexical = Lexical(log)
    found = dict[str, Scores]()
    for name, what in (
        ("words", lambda group: lexical.cosine(lexical.words, group)),
        ("characters", lambda group: lexical.cosine(lexical.characters, group)),
        ("bm25", lexical.bm25),
        ("by example", lexical.by_example),
        ("dense", Dense(run, log, options.seed)),
    ):
        found[name], seconds = timed(what, groups)
        tell(name, found[name], seconds)
    fused = fitted(np.stack(list(found.values()), axis=-1))
    tell("fused", fused)
    places = (-fused).argsort(axis=-1).argsort(axis=-1)
    scorer = Scorer(run.model, run.tokenizer)
    begun = time.monotonic()
    read = [likelihoods(scorer, group, row < options.read) for group, row in zip(groups, places, strict=True)]
    seconds = time.monotonic() - begun
    network = [np.stack(tables) for tables in zip(*read, strict=True)]
    tell("network", network[0], seconds)
    both = fitted(np.stack([*found.values(), *network], axis=-1))
    # What was not read stays behind what was.
    both = np.where(places < options.read, both, both.min() - 1 - places)
    tell("fused and rescored", both)


if __name__ == "__main__":
    main()
