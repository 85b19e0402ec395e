"""The n-gram model that every network is shown beside: of the order that does best on held-out text."""

from __future__ import annotations

from dataclasses import dataclass

from mynah.errors import DataError
from mynah.evaluate.language_model import score_ngram, summarise
from mynah.ngram.config import NGramConfig
from mynah.ngram.model import NGramModel, quiet
from mynah.tokenizer.dataset import TokenSet


@dataclass(frozen=True)
class Baseline:
    """The best order's model and how every order did."""

    model: NGramModel
    #: held-out bits per byte of `model`
    bpb: float
    #: order -> bits per byte and perplexity
    by_order: dict[str, dict[str, float]]


def best_order(
    data: TokenSet, held_out: TokenSet, config: NGramConfig, vocab_size: int, bos: int
) -> Baseline:
    """Estimate orders 1 to that of `config` on `data`; keep the one with the fewest bits per byte of `held_out`.

    The order is chosen on the text it is measured on: that flatters the baseline, not the network.

    Raises:
        DataError: if there is nothing to count or nothing to measure on.
    """
    by_order: dict[str, dict[str, float]] = {}
    best: tuple[float, NGramModel] | None = None
    for order in range(1, config.order + 1):
        with quiet():  # what a small text does to the discounts is told of the best order
            settings = config.model_copy(update={"order": order})
            model = NGramModel.train_ids(data.tokens, vocab_size, bos, settings)
        score = summarise(score_ngram(model, held_out, with_hits=False), held_out)
        if score is None:
            raise DataError("the held-out part has no text to measure on; give more rows")
        by_order[str(order)] = {"bpb": score.bpb, "perplexity": score.perplexity}
        if best is None or score.bpb < best[0]:
            best = score.bpb, model
    assert best is not None
    return Baseline(best[1], best[0], by_order)
