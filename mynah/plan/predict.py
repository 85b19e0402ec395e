"""What training would take, here by what was measured and elsewhere by formula: time, memory, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mynah.device import BASE_BYTES, USABLE
from mynah.errors import ConfigError
from mynah.model.config import ModelConfig
from mynah.model.presets import fields_of
from mynah.plan.budget import EPOCHS_FOR_NEXT, MEASURING, PLAIN_PASSES, TOKENS_PER_PARAM
from mynah.plan.cluster import cluster_needs, shape_of
from mynah.plan.flops import training_flops_per_token
from mynah.plan.hardware import UTILISATION, Accelerator
from mynah.plan.probe import Machine
from mynah.train.config import TrainConfig
from mynah.train.distributed.replicas import check_shareable
from mynah.train.memory import training_memory
from mynah.train.rates import rates

#: What is looked at here, smallest first.
SIZES = ("nano", "micro", "mini", "small", "gpt3-small", "base", "gpt2-medium")
#: Tokens for each parameter where nothing is said: about where a budget of computation is spent best (Hoffmann et al.
#: 2022, "Chinchilla", section 3.4).
TOKENS_A_PARAMETER = 20


@dataclass(frozen=True)
class Prediction:
    """What training a preset would take."""

    preset: str
    parameters: int
    #: that are read in all, and how often the text is gone through; None: it is new all along
    tokens: int
    passes: float | None
    seconds: float
    #: of a process, or of one accelerator
    memory_bytes: int
    fits: bool
    #: of all devices for all the time, where a price is given
    cost: float | None
    #: why it is the one to take, or not
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def predict_here(
    machine: Machine,
    vocab_size: int,
    n_tokens: int,
    rows: tuple[int, int],
    *,
    minutes: float | None,
    available: int | None,
    price: float | None = None,
    names: Sequence[str] = SIZES,
) -> list[Prediction]:
    """Predict training of some sizes on a machine that was measured.

    Args:
        machine: what it does.
        vocab_size: of the tokenizer.
        n_tokens: of the text.
        rows: of a step, and tokens in each.
        minutes: that training may take; None: as many passes over the text as help.
        available: free bytes; None: not known.
        price: of an hour of the machine.
        names: presets, smallest first.

    Returns:
        One for each; that of the size to take says so.
    """
    found = []
    for name in names:
        model = ModelConfig(**{**fields_of(name), "vocab_size": vocab_size, "context_length": rows[1]})
        config = TrainConfig(
            steps=1, batch_size=rows[0], context_length=rows[1], **rates(model, from_base=False)
        )
        a_step = machine.step_seconds(model, *rows) * MEASURING
        if minutes is None:
            steps = max(20, round(PLAIN_PASSES * n_tokens / (rows[0] * rows[1])))
        else:
            steps = max(1, int(60 * minutes / a_step))
        tokens = steps * rows[0] * rows[1]
        memory = training_memory(model, config).total + BASE_BYTES
        fits = available is None or memory <= USABLE * available
        seconds = steps * a_step
        cost = price * seconds / 3600 if price is not None else None
        found.append(
            Prediction(name, model.n_params(), tokens, tokens / max(1, n_tokens), seconds, memory, fits, cost)
        )
    return _chosen(found, vocab_size, rows[1])


def _chosen(found: Sequence[Prediction], vocab_size: int, context: int) -> list[Prediction]:
    """Mark the largest size that sees enough, as a build chooses it."""
    best = 0
    for number, one in enumerate(found):
        model = ModelConfig(**{**fields_of(one.preset), "vocab_size": vocab_size, "context_length": context})
        enough = one.passes is not None and (
            one.passes >= EPOCHS_FOR_NEXT or one.tokens >= TOKENS_PER_PARAM * model.n_params(embeddings=False)
        )
        if one.fits and enough:
            best = number
    marked = []
    for number, one in enumerate(found):
        why = ""
        if number == best:
            why = "take this: the largest that sees enough of the text"
        elif not one.fits:
            why = "more than the memory that is free"
        elif number > best:
            why = f"only {one.passes:.1f} passes" if one.passes is not None else ""
        marked.append(Prediction(**{**asdict(one), "why": why}))
    return marked


def predict_elsewhere(
    device: Accelerator,
    count: int,
    names: Sequence[str],
    *,
    tokens: int | None = None,
    tensor: int = 1,
    price: float | None = None,
    utilisation: float = UTILISATION,
) -> list[Prediction]:
    """Predict training on accelerators by formula: sharded weights, products in bfloat16, blocks computed again.

    Time is 6 N D and attention's terms (`training_flops_per_token`), over what so many devices reach; memory is that of
    `cluster_needs`.

    Args:
        device: of which there are `count`.
        count: of them.
        names: presets.
        tokens: that are read; None: twenty a parameter.
        tensor: devices that share each block.
        price: of an hour of one device.
        utilisation: share of the data sheet's products that is reached.

    Raises:
        ConfigError: if a block cannot be shared by so many.
    """
    found = []
    for name in names:
        config = shape_of(name)
        check_shareable(config, tensor, count)
        needs = cluster_needs(name, count, tensor)
        read = tokens or TOKENS_A_PARAMETER * needs.n_params
        flops = training_flops_per_token(config, config.context_length) * read
        seconds = flops / (count * device.tflops * 1e12 * utilisation)
        cost = price * count * seconds / 3600 if price is not None else None
        fits = needs.memory <= 0.95 * device.memory_gb * 1e9
        why = (
            ""
            if fits
            else f"more than the {device.memory_gb:g} GB of one; take more of them, or --tensor-parallel"
        )
        found.append(Prediction(name, needs.n_params, read, None, seconds, needs.memory, fits, cost, why))
    return found


def read_count(text: str, name: str) -> int:
    """Read a number of tokens: 300M, 2.5B, 1e9.

    Raises:
        ConfigError: if it is none.
    """
    factors = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
    last = text[-1:].lower()
    try:
        value = float(text[:-1]) * factors[last] if last in factors else float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value < 1e16:
        raise ConfigError(f"{name} {text}: expected a number of tokens, such as 300M or 2.5B")
    return round(value)
