"""How often is measured: what that takes stays within a share of the steps' time, or is the least that there is."""

from __future__ import annotations

import pytest

from mynah.plan.times import (
    FORWARD_OF_ADAPTER,
    MEASURING_SHARE,
    Ahead,
    measuring_seconds,
    steps_between,
)


@pytest.mark.parametrize(("steps", "tokens"), [(270, 256), (1000, 256), (40, 256), (4000, 1024)])
def test_no_other_number_of_measurements_takes_less(steps: int, tokens: int) -> None:
    ahead = Ahead(held_out=21_000, forward=FORWARD_OF_ADAPTER)
    every = steps_between(steps, tokens, ahead, 0.003)
    taken = measuring_seconds(steps, every, tokens, ahead, 0.003)
    within = taken <= MEASURING_SHARE * steps * tokens * 0.003
    others = [measuring_seconds(steps, n, tokens, ahead, 0.003) for n in (every // 2, 2 * every, steps) if n]
    assert within or all(taken <= other for other in others)
    # One at the end looks at a third of the text once more, and at as much before the first step.
    assert taken <= measuring_seconds(steps, steps, tokens, ahead, 0.003)
