"""What the curves of a training say: too fast, too slow, too long, too short, off the rails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.diagnose.findings import Finding

#: Held-out loss has risen if it ends so much above its lowest: a share of it, and nats.
_RISEN, _RISEN_BY = 0.02, 0.01
#: Share of all steps that come after the lowest held-out loss.
_AFTER = 0.15
#: The loss has gone up again by so many nats, and so many times what losses of single steps differ by; on held-out
#: text, where that is measured, by so many.
_UP, _UP_NOISE, _UP_HELD = 0.4, 2.5, 0.1
#: The second half of training took off at least this share of what the first did; and the first at least so many nats.
_STILL, _LEAST_FALL = 0.5, 0.2
#: A rate is too low where it is so many times below what suits the network.
_BELOW = 4.0
#: A jump is so many nats and so many times what losses of single steps differ by: of a step of one row, that is a lot.
_JUMP, _TIMES = 0.5, 8.0
#: Rows of metrics that are looked at together; and from which the trend is told that losses differ from.
_WINDOW, _TREND = 5, 15

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Phase:
    """A training as it went."""

    #: pretrain, tune, prefer: as the recipe calls it
    name: str
    #: lines of metrics.jsonl
    rows: Sequence[Mapping[str, Any]]
    #: the highest rate of its schedule, and the one that suits the network
    rate: float
    usual_rate: float
    #: what it was given
    minutes: float


def curve_findings(phase: Phase) -> list[Finding]:
    """Return what is wrong with a training, by its curves alone."""
    losses = [(int(row["step"]), float(row["loss"])) for row in phase.rows if row.get("loss") is not None]
    held = [
        (int(row["step"]), float(row["held_out"])) for row in phase.rows if row.get("held_out") is not None
    ]
    broken = next((step for step, value in sorted(losses + held) if not math.isfinite(value)), None)
    if broken is not None:
        values = {"step": broken, "rate": phase.rate, "half": phase.rate / 2, "phase": phase.name}
        return [Finding("not_a_number", values, phase.name)]
    found = [_too_high(phase, losses, held), _spikes(phase, losses), _overfitting(phase, losses, held)]
    if found[0] is None:
        found.append(_too_slow(phase, losses, held))
    return [finding for finding in found if finding is not None]


def _smooth(values: Floats, window: int = _WINDOW) -> Floats:
    """Return the median of each value and those beside it."""
    if len(values) < window:
        return values
    edge = window // 2
    padded = np.concatenate([values[:1].repeat(edge), values, values[-1:].repeat(edge)])
    medians: Floats = np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)
    return medians


def _noise(values: Floats) -> float:
    """Return by how much losses of single steps differ from their trend; a few that are far off do not move it."""
    return 1.4826 * float(np.median(np.abs(values - _smooth(values, _TREND))))


def _overfitting(
    phase: Phase, losses: Sequence[tuple[int, float]], held: Sequence[tuple[int, float]]
) -> Finding | None:
    if len(held) < 4 or len(losses) < 2:
        return None
    since, best = min(held, key=lambda row: row[1])
    steps, last = held[-1]
    if last < best * (1 + _RISEN) + _RISEN_BY or steps - since < _AFTER * steps:
        return None
    at, smooth = np.array([step for step, _ in losses]), _smooth(np.array([loss for _, loss in losses]))
    then, now = float(smooth[np.abs(at - since).argmin()]), float(smooth[-1])
    if now >= then:
        return None
    values = {
        "since": since, "steps": steps, "best": best, "last": last, "train": now, "train_then": then,
        "phase": phase.name,
    }  # fmt: skip
    return Finding("overfitting", values, phase.name)


def _too_high(
    phase: Phase, losses: Sequence[tuple[int, float]], held: Sequence[tuple[int, float]]
) -> Finding | None:
    if len(losses) < 2 * _WINDOW:
        return None
    values = np.array([loss for _, loss in losses])
    steps, smooth = [step for step, _ in losses], _smooth(values)
    measured = np.array([value for _, value in held])
    if len(held) >= 3 and (measured - np.minimum.accumulate(measured)).max() < _UP_HELD:
        return None
    lowest = np.minimum.accumulate(smooth)
    above = smooth - lowest
    # For a while, not at one place: a single jump is another thing.
    lasting = np.minimum.reduce([above[n : len(above) - _WINDOW + 1 + n] for n in range(_WINDOW)])
    if lasting.max() < max(_UP, _UP_NOISE * _noise(values)):
        return None
    to = int(lasting.argmax()) + _WINDOW - 1
    at = int(smooth[: to + 1].argmin())
    told = {
        "low": float(smooth[at]), "high": float(smooth[to]), "at": steps[at], "to": steps[to], "rate": phase.rate,
        "third": phase.rate / 3, "phase": phase.name,
    }  # fmt: skip
    return Finding("rate_too_high", told, phase.name)


def _too_slow(
    phase: Phase, losses: Sequence[tuple[int, float]], held: Sequence[tuple[int, float]]
) -> Finding | None:
    if len(losses) < 2 * _WINDOW:
        return None
    # On held-out text, which is the same each time, if it is measured; else on steps, which differ.
    curve = np.array([value for _, value in held])
    if len(curve) < 4:
        curve = _smooth(np.array([loss for _, loss in losses]))
    middle = len(curve) // 2
    first, second = float(curve[0] - curve[middle]), float(curve[middle] - curve[-1])
    if first + second < _LEAST_FALL or second < _STILL * first:
        return None
    values = {
        "first": first, "second": second, "rate": phase.rate, "usual": phase.usual_rate, "phase": phase.name,
        "minutes": 4 * phase.minutes,
    }  # fmt: skip
    low = phase.rate * _BELOW <= phase.usual_rate
    return Finding("rate_too_low" if low else "too_short", values, phase.name)


def _spikes(phase: Phase, losses: Sequence[tuple[int, float]]) -> Finding | None:
    if len(losses) < 4 * _WINDOW:
        return None
    values = np.array([loss for _, loss in losses])
    jumps = np.flatnonzero(values - _smooth(values) > max(_JUMP, _TIMES * _noise(values)))
    if not len(jumps):
        return None
    told = {
        "count": len(jumps), "least": _JUMP, "first": losses[int(jumps[0])][0], "rate": phase.rate,
        "phase": phase.name,
    }  # fmt: skip
    return Finding("spikes", told, phase.name)
