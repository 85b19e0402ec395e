"""The ways that tune a base: each is tried on four parts of the rows and asked about the fifth, where all are compared.

N texts, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mynah.errors import ConfigError
from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.classify.fitted import Fitted, Integers, Scores, Told, score_way
from mynah.tune.classify.label_text import MOST_CLASSES, LabelText
from mynah.tune.classify.linear import Floats, Linear, fit_temperature, log_loss, log_softmax, softmax
from mynah.tune.classify.tuned_head import HeadSettings, TunedHead, Tuner

#: How much better another way must be to be taken over one that costs less, in macro-F1.
WORTH = 0.005
#: Shares of a tuned way beside words that are tried.
MIXES = (1.0, 0.85, 0.7, 0.5)
#: Where another way may be taken, saying labels is tried if it takes no more than this share of the time.
LABEL_SHARE = 0.3


@dataclass(frozen=True)
class _Trial:
    """A way that can be tuned on some texts."""

    way: str
    #: texts and the numbers of their classes, and who is told -> what was learned
    learn: Callable[[Sequence[str], Integers, Callable[[float], None] | None], TunedHead | LabelText]
    about: str


def try_tuned(
    made: Fitted,
    tuner: Tuner,
    texts: Sequence[str],
    numbers: Integers,
    folds: Integers,
    seed: int,
    balanced: bool,
    scores: Scores,
    config: ClassifyConfig,
    told: Told | None,
) -> None:
    """Try each tuned way that there is time for; the best is tuned on all rows if it beats what was taken so far.

    Beside it words are asked: what the two say is weighed as does best on the fifth part.

    Args:
        made: with the best way so far; is changed.
        tuner: the base and the time.
        texts: N.
        numbers: (N,).
        folds: (N,) the part of each row.
        seed: of what is random.
        balanced: whether classes count alike in the way taken so far.
        scores: of the ways so far.
        config: settings.
        told: is told what is being done and what share of it is done.

    Raises:
        ConfigError: if a way was asked for and there is no time for it.
    """
    asked = folds == 0
    others, right = np.flatnonzero(~asked), numbers[asked]
    weighting = balanced if ("words", balanced) in scores else not balanced
    best: tuple[float, _Trial, float, Floats] | None = None
    before = score_way(
        made.way, balanced, scores[made.way, balanced][1], numbers, np.where(asked, 0, -1), 0.0
    )[0]
    for trial in _trials(made, tuner, texts, seed, balanced, config):
        begun = time.monotonic()
        learned = trial.learn(
            [texts[int(n)] for n in others],
            numbers[others],
            partial(told, f"{trial.way}: four of five parts") if told else None,
        )
        alone = learned.log_probs([texts[int(n)] for n in np.flatnonzero(asked)])
        known = ("words", weighting) in scores
        words = log_softmax(scores["words", weighting][1][asked]) if known else alone
        mixes = {mix: mix * alone + (1 - mix) * words for mix in (MIXES if known else MIXES[:1])}
        mix = min(mixes, key=lambda one: log_loss(mixes[one], right, fit_temperature(mixes[one], right)))
        logits = np.full((len(numbers), len(made.labels)), -np.inf)
        logits[asked] = mixes[mix]
        tried, _ = score_way(
            trial.way, balanced, logits, numbers, np.where(asked, 0, -1), time.monotonic() - begun
        )
        made.tried.append(tried)
        if best is None or tried.macro_f1 > best[0]:
            best = tried.macro_f1, trial, mix, mixes[mix]
    if best is None:
        return
    score, trial, mix, said = best
    if config.way not in ("head", "label_text") and score < before.macro_f1 + WORTH:
        made.reason += f"; on a fifth of them {before.macro_f1:.1%}, {trial.about} {score:.1%}"
        return
    kept = trial.learn(texts, numbers, partial(told, f"{trial.way}: all rows") if told else None)
    made.head, made.text = (kept, None) if isinstance(kept, TunedHead) else (None, kept)
    weighed = f", {mix:.0%} of it and {1 - mix:.0%} words" if mix < 1 else ""
    made.reason = (
        f"macro-F1 {score:.1%} on a fifth of the rows, which it had not seen; {made.way} {before.macro_f1:.1%} on the "
        f"same ({trial.about}{weighed})"
    )
    made.way, made.mix = trial.way, mix
    made.temperature = fit_temperature(said, right)
    if made.threshold:
        made.threshold = float(np.quantile(softmax(said / made.temperature).max(axis=1), config.outside))
    if mix < 1:
        assert made.words is not None
        made.linear = Linear.fit(made.words(texts), numbers, len(made.labels), balanced=weighting)


def _trials(
    made: Fitted, tuner: Tuner, texts: Sequence[str], seed: int, balanced: bool, config: ClassifyConfig
) -> list[_Trial]:
    """Return the ways that were asked for and that there is time for; of the others say why they are left out."""
    found: list[_Trial] = []
    left = 1.0
    if config.way in ("auto", "label_text") and len(made.labels) <= MOST_CLASSES:
        share = 1.0 if config.way == "label_text" else LABEL_SHARE
        label = "x" * max(1, round(sum(map(len, made.labels.names)) / len(made.labels)))
        passes, needed = tuner.label_passes(texts, label, share)
        if passes is not None:
            learn = partial(_learn_labels, tuner=tuner, labels=made.labels.names, passes=passes, seed=seed)
            found.append(_Trial("label_text", learn, f"labels as text, {passes:.1f} passes"))
            left -= LABEL_SHARE
        elif config.way == "label_text":
            raise ConfigError(
                f"way = label_text: tuning takes about {needed:.0f} minutes here; give more --minutes"
            )
    elif config.way == "label_text":
        raise ConfigError(f"way = label_text: {len(made.labels)} classes are more than {MOST_CLASSES}")
    if config.way in ("auto", "head"):
        settings = tuner.settings(texts, left)
        if settings is not None:
            learn_head = partial(
                _learn_head,
                tuner=tuner,
                classes=len(made.labels),
                settings=settings,
                seed=seed,
                balanced=balanced,
            )
            deep = f"a tuned head, {settings.share:.0%} of the layers, {settings.passes:.1f} passes"
            found.append(_Trial("head", learn_head, deep))
        else:
            minutes = tuner.seconds_needed(texts) / 60
            if config.way == "head":
                raise ConfigError(
                    f"way = head: tuning takes about {minutes:.0f} minutes here; give more --minutes"
                )
            made.reason += f"; a tuned head is left out, as it takes about {minutes:.0f} minutes here"
    return found


def _learn_labels(
    texts: Sequence[str],
    numbers: Integers,
    told: Callable[[float], None] | None,
    *,
    tuner: Tuner,
    labels: Sequence[str],
    passes: float,
    seed: int,
) -> LabelText:
    return LabelText.learn(
        tuner.base, texts, numbers, labels, passes, seed=seed, device=tuner.device, told=told
    )


def _learn_head(
    texts: Sequence[str],
    numbers: Integers,
    told: Callable[[float], None] | None,
    *,
    tuner: Tuner,
    classes: int,
    settings: HeadSettings,
    seed: int,
    balanced: bool,
) -> TunedHead:
    return TunedHead.learn(
        tuner.base,
        texts,
        numbers,
        classes,
        settings,
        seed=seed,
        device=tuner.device,
        balanced=balanced,
        told=told,
    )
