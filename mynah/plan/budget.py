"""From minutes or a size to a model, its steps and its rates; every choice says why."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from mynah.config import build_config
from mynah.errors import ConfigError
from mynah.model.config import ModelConfig
from mynah.model.presets import fields_of
from mynah.model.transformer import Transformer
from mynah.plan.repeats import DISTINCT_REPLIES, distinct_replies, known_after
from mynah.plan.settings import LADDER, PlanConfig
from mynah.plan.speed import adapter_speed, measure_step
from mynah.plan.times import (
    Ahead,
    drawing_back_seconds,
    evaluation_seconds,
    forward_of_adapter,
    measuring_seconds,
    steps_between,
)
from mynah.tokenizer.dataset import TokenSet
from mynah.train.config import TrainConfig
from mynah.train.memory import check_memory
from mynah.train.phases import rows_of_replies
from mynah.train.rates import NEW_FACTOR, passes_over, rates
from mynah.train.trained import TrainedCount

#: Passes over the text after which a new model begins to learn it by heart (docs/log.md); what time is left
#: then goes to the replies, up to so many passes over them, where blanked words keep questions new.
TEXT_PASSES, REPLY_PASSES = 2.5, 12.0
#: The same without the table of token pairs, which is what learns by heart: where there is time for more passes than
#: with it, none is made. At 3.5 to 9.6 passes it cost 4 to 31 % on three texts, at 1.1 to 2.4 it gained on four; five
#: passes without it were better than four or ten (docs/log.md).
PLAIN_PASSES = 5.0
#: A larger model pays as soon as it can make this many passes over a small log within the budget: on three texts one
#: that made 1.9 to 2.5 lost to the next smaller one, on one of them it won with 3.7 (docs/log.md) ...
EPOCHS_FOR_NEXT = 3.0
#: ... or see this many tokens for each of its parameters.
TOKENS_PER_PARAM = 10.0
#: What held-out measurements and checkpoints add to the time of the steps.
MEASURING = 1.1
#: Share of training time that goes to fine-tuning, by whether replies repeat. A support desk's do, and then
#: there is much to learn in which question asks for which; people's own hardly do, and there the time is
#: better spent on all text (docs/log.md).
TUNE_SHARE = {"repeating": 0.5, "new": 0.15}
#: Fine-tuning's learning rate as a share of pretraining's: at the full rate it undid on four of five logs
#: what pretraining had learned; replies that repeat can stand more of it (docs/log.md).
TUNE_RATE = {"repeating": 0.2, "new": 0.1}
#: Measurements without gain after which fine-tuning's rate falls at once; 0: never. What people say once is soon
#: learned by heart; of replies that repeat, fewer questions are answered right the sooner it falls (docs/log.md).
STALL = {"repeating": 0, "new": 4}
#: Tokens of an adapter's step.
ADAPTER_TOKENS = 256
#: A checkpoint is written about this often.
CHECKPOINT_SECONDS = 30.0
#: Share of the user's words blanked out in fine-tuning.
WORD_DROPOUT = 0.15


@dataclass
class Plan:
    """What will be trained, for how long, and why."""

    model: ModelConfig
    #: on all text; None: the base goes straight to the replies
    pretrain: TrainConfig | None
    tune: TrainConfig | None
    reasons: list[str] = field(default_factory=list)
    #: seconds that training, evaluation and report are to take; None: not measured
    seconds: float | None = None
    #: how the weights beside an adapter are held (`mynah.interop.held.Held.name`); None: there is none
    held: str | None = None
    #: on better and worse replies, after `tune`; None: there are none
    prefer: TrainConfig | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return {
            "model": self.model.model_dump(mode="json"),
            "pretrain": self.pretrain.model_dump(mode="json") if self.pretrain else None,
            "tune": self.tune.model_dump(mode="json") if self.tune else None,
            "reasons": self.reasons,
            "seconds": self.seconds,
            "held": self.held,
            "prefer": self.prefer.model_dump(mode="json") if self.prefer else None,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], source: str) -> Plan:
        """Read what `to_json` made.

        Raises:
            ConfigError: if a field is unknown or out of range.
        """
        pretrain, tune, prefer = (
            build_config(TrainConfig, value[phase], source) if value.get(phase) else None
            for phase in ("pretrain", "tune", "prefer")
        )
        return cls(
            build_config(ModelConfig, value["model"], source),
            pretrain,
            tune,
            value["reasons"],
            value.get("seconds"),
            value.get("held"),
            prefer,
        )


def make_plan(
    config: PlanConfig,
    data: TokenSet,
    vocab_size: int,
    *,
    has_replies: bool,
    base: Transformer | None,
    seconds: float,
    device: torch.device,
    seed: int,
    adapter: bool = False,
    talks: bool = False,
    ahead: Ahead = Ahead(),
    available: int | None = None,
) -> Plan:
    """Choose model and steps.

    Args:
        config: the dial; without one, five minutes.
        data: the training tokens; with a prior along them, the model goes on from it.
        vocab_size: of the tokenizer.
        has_replies: whether there are conversations to fine-tune on.
        base: a model to start from, whose shape is then given; it is not to be used afterwards.
        seconds: what is left of the minutes.
        device: where it will run; it is measured there.
        seed: of the build.
        adapter: whether of the base an adapter alone is trained.
        talks: whether the base has learned to talk: it goes straight to the replies. One that has not does so where
            there is no time to read all text once before.
        ahead: what else the build does with a model in these seconds.
        available: free bytes; None: not known.

    Raises:
        ConfigError: for an unknown size or field, or a size that needs more memory than there is.
    """
    n_tokens = len(data.tokens)
    distinct = distinct_replies(data) if has_replies else 1.0
    kind = "repeating" if distinct <= DISTINCT_REPLIES else "new"
    straight = (
        adapter and has_replies and (talks or _text_takes_longer(n_tokens, base, kind, seconds, device))
    )
    if base is not None and adapter:
        counted = float(data.reply.mean()) if straight else 1.0
        ahead = replace(ahead, forward=forward_of_adapter(base.config, counted))
    share = 1.0 if straight else TUNE_SHARE[kind] if has_replies else 0.0
    shape = row_shape(data)
    if adapter:  # many small steps teach an adapter more than few large ones, and a long row is filled better
        shape = 1, max(ADAPTER_TOKENS, shape[1])

    def at_end(token_seconds: float) -> float:
        """Return what is done after the steps takes, by the seconds of a step's token."""
        drawing_back = drawing_back_seconds(ahead, token_seconds) if straight else 0.0
        untouched = base is not None and not straight
        return evaluation_seconds(ahead, 1 + has_replies + untouched, token_seconds) + drawing_back

    suited_to = partial(rates, from_base=base is not None, adapter=adapter)
    reasons = [f"{n_tokens:,} training tokens, {vocab_size:,} in the vocabulary"]
    if has_replies:
        reasons.append(f"{distinct:.0%} of the replies are distinct: {share:.0%} of the time for fine-tuning")
    if base is not None:
        candidates = [base.config]
        reasons.append("the model's shape is that of the base")
    else:
        names = LADDER if config.size is None else (config.size,)
        candidates = [
            _candidate(name, config, vocab_size, shape[1], data.prior is not None) for name in names
        ]
    if base is None and config.size is not None:
        model, in_budget, step_seconds = candidates[0], None, None
        rows = shape_for(model, shape, from_base=base is not None)
        reasons.append(f"size {config.size}: a fixed number of passes, no speed measured")
    else:
        trained = TrainedCount.of(base) if base is not None and adapter else None
        fits = partial(_fits, name=config.size, available=available, suited_to=suited_to, trained=trained)
        model, in_budget, rows, step_seconds = _by_speed(
            candidates, data, shape, seconds, share, base, reasons, fits, at_end,
            partial(measure_step, data=data, device=device, base=base, replies=straight), suited_to,
        )  # fmt: skip
        in_time = in_budget * (1 - share) * rows[0] * rows[1] / max(1, n_tokens)
        learns_by_heart = kind == "new" and in_time > TEXT_PASSES  # of replies that repeat, that is the point
        if base is None and learns_by_heart and "bigram_buckets" not in config.model:
            model = model.model_copy(update={"bigram_buckets": 0})
            reasons.append(
                f"without the table of token pairs, which learns by heart after {TEXT_PASSES} passes"
            )
    steps, tune_steps = _steps(model, n_tokens / (rows[0] * rows[1]), in_budget, share)
    common: dict[str, Any] = {"batch_size": rows[0], "context_length": rows[1], "seed": seed}
    if ahead.measured is not None:
        common["eval_tokens"] = ahead.measured
    if in_budget is not None:
        common["checkpoint_every"] = max(1, round(CHECKPOINT_SECONDS * in_budget / seconds))
    per_token = step_seconds / (rows[0] * rows[1]) if step_seconds is not None else 0.0
    every = partial(steps_between, tokens_a_step=rows[0] * rows[1], ahead=ahead, token_seconds=per_token)
    pretrain = {"steps": steps, "eval_every": every(steps), **common, **config.pretrain}
    passes = passes_over(n_tokens, build_config(TrainConfig, pretrain, "[plan.pretrain]"))
    suited = suited_to(model, passes=passes, optimizer=config.pretrain.get("optimizer"))
    built = build_config(TrainConfig, {**pretrain, **suited, **config.pretrain}, "[plan.pretrain]")
    tune = None
    if has_replies:
        own_rates = suited_to(model, optimizer=config.tune.get("optimizer"))
        values = {"steps": tune_steps, "eval_every": every(tune_steps), **common, **own_rates}
        if straight:
            values |= {"spread": True, "known_after": known_after(data, tune_steps * rows[0] * rows[1])}
            if (
                kind == "repeating"
            ):  # held-out loss counts ends that are read no more, and not what is learned
                values |= {"ends_with": "last"}
        if base is None:  # a small model on a small log learns single questions by heart otherwise
            gentle = {
                name: TUNE_RATE[kind] * rate for name, rate in own_rates.items() if name.endswith("rate")
            }
            values |= {**gentle, "word_dropout": WORD_DROPOUT, "schedule": "wsd", "stall": STALL[kind]}
        tune = build_config(TrainConfig, {**values, **config.tune}, "[plan.tune]")
    of = f"steps of {rows[0]} x {rows[1]} tokens"
    if straight and tune is not None:
        passes = tune.steps * rows[0] / rows_of_replies(model, data, tune)
        reasons.append(
            f"an adapter on the base, straight on replies: {tune.steps:,} {of}, {passes:.1f} passes"
        )
    else:
        reasons.append(
            f"{built.steps:,} {of}, {passes:.1f} passes over the data"
            + (f", then {tune.steps:,} steps on replies" if tune else "")
        )
    usual = suited_to(model, optimizer=suited["optimizer"])
    if not straight and suited != usual and "learning_rate" not in config.pretrain:
        reasons.append(
            f"so few passes leave the text new: embeddings and head at {NEW_FACTOR:g} times the rate"
        )
    taken = None
    if step_seconds is not None:
        taken = at_end(per_token)
        for phase in (None if straight else built, tune):
            if phase is not None:
                tokens = phase.batch_size * phase.context_length
                measuring = measuring_seconds(phase.steps, phase.eval_every, tokens, ahead, per_token)
                taken += phase.steps * step_seconds + measuring
    return Plan(model, None if straight else built, tune, reasons, taken)


def _text_takes_longer(
    n_tokens: int, base: Transformer | None, kind: str, seconds: float, device: torch.device
) -> bool:
    """Say whether an adapter could not read all text once in its share of the time.

    What it reads of the replies teaches it more than a part of all text then, also over a base that does not talk yet
    (docs/log.md).
    """
    if base is None:
        return False
    speed = adapter_speed(base.config.n_params(), device)
    return n_tokens > (1 - TUNE_SHARE[kind]) * seconds * speed


def _fits(
    model: ModelConfig,
    rows: tuple[int, int],
    name: str | None,
    available: int | None,
    suited_to: Callable[[ModelConfig], dict[str, Any]],
    trained: TrainedCount | None,
) -> None:
    """Raise ConfigError if a model needs more memory to be trained than there is, before it is made."""
    settings = {"batch_size": rows[0], "context_length": rows[1], **suited_to(model)}
    check_memory(name, model, TrainConfig(steps=1, **settings), available, trained=trained)


def _steps(model: ModelConfig, steps_a_pass: float, in_budget: float | None, share: float) -> tuple[int, int]:
    """Return the steps on all text and on replies: as many passes as help, or as there is time for."""
    passes = TEXT_PASSES if model.bigram_buckets else PLAIN_PASSES
    text, replies = passes * steps_a_pass, REPLY_PASSES * steps_a_pass
    if in_budget is not None:
        text = min(text, in_budget * (1 - share))
        replies = min(replies, in_budget - text)
    return max(20, int(text)), max(10, int(replies))


def _candidate(name: str, config: PlanConfig, vocab_size: int, context: int, prior: bool) -> ModelConfig:
    """Return a preset whose context is the length of the rows that it will be trained on, unless told."""
    changes = {"context_length": context, "prior": prior, **config.model}
    return build_config(ModelConfig, {**fields_of(name), "vocab_size": vocab_size, **changes}, "[plan.model]")


def row_shape(data: TokenSet) -> tuple[int, int]:
    """Return (rows, tokens a row) of a step: short records want short rows, little data small batches.

    A thousand tokens a step was best on logs of a few hundred thousand tokens (docs/log.md).
    """
    lengths = np.diff(data.starts)
    long = float(np.quantile(lengths, 0.9)) if len(lengths) else 128.0
    context = 128 if long <= 128 else 256
    tokens = 1024 if len(data.tokens) < 4_000_000 else 4096
    return max(1, tokens // context), context


def shape_for(model: ModelConfig, shape: tuple[int, int], *, from_base: bool) -> tuple[int, int]:
    """Return as many tokens a step as `shape` holds, in rows as long as the model's context.

    A base has learned its context already and is trained on rows as long as the data's records ask for.
    """
    context = min(shape[1], model.context_length) if from_base else model.context_length
    return max(1, shape[0] * shape[1] // context), context


def _by_speed(
    candidates: list[ModelConfig],
    data: TokenSet,
    shape: tuple[int, int],
    seconds: float,
    share: float,
    base: Transformer | None,
    reasons: list[str],
    fits: Callable[[ModelConfig, tuple[int, int]], None],
    at_end: Callable[[float], float],
    measure: Callable[..., float],
    suited_to: Callable[[ModelConfig], dict[str, Any]],
) -> tuple[ModelConfig, float, tuple[int, int], float]:
    """Return the largest model that makes enough passes in the seconds, its steps in them, row shape and a step's time.

    Args:
        fits: raises ConfigError if a model with such rows needs more memory than there is.
        at_end: the seconds of the evaluation, by those of a step's token.
        measure: gives the seconds of a step.
        suited_to: gives the settings of a shape's optimizer.
    """
    chosen: tuple[ModelConfig, float, tuple[int, int], float] | None = None
    begun = time.monotonic()
    for model in candidates:
        rows = shape_for(model, shape, from_base=base is not None)
        try:
            fits(model, rows)
        except ConfigError:
            if chosen is None:
                raise
            reasons.append(f"{model.n_layer} layers {model.n_embd} wide: more than the memory that is free")
            break
        plain_seconds = measure(model, rows=rows, settings=suited_to(model))
        step_seconds = MEASURING * plain_seconds
        reserved = at_end(plain_seconds / (rows[0] * rows[1]))
        left = max(1.0, seconds - (time.monotonic() - begun) - reserved)
        on_text = 1 - share or 1.0  # of a base that goes straight to the replies, they are its text
        tokens = on_text * left / step_seconds * rows[0] * rows[1]
        epochs = tokens / max(1, len(data.tokens))
        per_param = tokens / model.n_params(embeddings=False)
        fed = epochs >= EPOCHS_FOR_NEXT or per_param >= TOKENS_PER_PARAM
        if chosen is None or fed:
            chosen = model, left / step_seconds, rows, plain_seconds
            reasons.append(
                f"{model.n_layer} layers {model.n_embd} wide ({model.n_params() / 1e6:.1f}M parameters): "
                f"{1000 * step_seconds:.0f} ms a step here, {epochs:.1f} passes over the text in time"
            )
        if not fed:
            if model is not chosen[0]:
                reasons.append(
                    f"{model.n_layer} layers {model.n_embd} wide: only {epochs:.1f} passes, too large"
                )
            break
    assert chosen is not None
    return chosen
