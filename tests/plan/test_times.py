"""How often is measured: what that takes stays within a share of the steps' time, or is the least that there is."""

from __future__ import annotations

import pytest

from mynah.model.presets import preset
from mynah.plan.times import (
    MEASURING_SHARE,
    Ahead,
    forward_of_adapter,
    measuring_seconds,
    steps_between,
)


@pytest.mark.parametrize(("steps", "tokens"), [(270, 256), (1000, 256), (40, 256), (4000, 1024)])
def test_no_other_number_of_measurements_takes_less(steps: int, tokens: int) -> None:
    ahead = Ahead(held_out=21_000, forward=0.5)
    every = steps_between(steps, tokens, ahead, 0.003)
    taken = measuring_seconds(steps, every, tokens, ahead, 0.003)
    within = taken <= MEASURING_SHARE * steps * tokens * 0.003
    doubled = [every] if every == steps else [min(steps, 2 * every), steps]
    others = [measuring_seconds(steps, n, tokens, ahead, 0.003) for n in doubled]
    assert within or all(taken <= other for other in others)


def test_too_much_to_measure_is_measured_least() -> None:
    """Two measurements of a long text may take more than three of shorter ones."""
    ahead = Ahead(held_out=21_000, forward=0.5, measuring_share=0.1)
    every = steps_between(270, 256, ahead, 0.003)
    assert every == 104
    assert measuring_seconds(270, every, 256, ahead, 0.003) < measuring_seconds(270, 270, 256, ahead, 0.003)


def test_a_large_head_makes_reading_dear_beside_a_step() -> None:
    """A step has the head at counted tokens alone, a measurement at all."""
    small, large = preset("tinyllama-1.1b", 300), preset("tinyllama-1.1b", 300_000)
    assert forward_of_adapter(small, 0.3) == pytest.approx(0.5, abs=0.01)
    assert forward_of_adapter(large, 1.0) == pytest.approx(0.5)
    head = 300_000 * large.n_embd
    blocks = large.n_params(embeddings=False)
    assert forward_of_adapter(large, 0.3) == pytest.approx((blocks + head) / (2 * (blocks + 0.3 * head)))


def test_measurements_of_a_given_length() -> None:
    ahead = Ahead(held_out=21_000, measured=4096, measuring_share=0.1, forward=0.5)
    every = steps_between(260, 256, ahead, 0.003)
    assert measuring_seconds(260, every, 256, ahead, 0.003) == pytest.approx(
        (260 // every + 1) * 0.5 * 0.003 * 4096
    )
    assert measuring_seconds(260, every, 256, ahead, 0.003) <= 0.1 * 260 * 256 * 0.003
