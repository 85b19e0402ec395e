"""Intervals hold what they should as often as they say, and tests find differences that are there alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test

from mynah.evaluate.chance import Interval, paired, paired_right, ratio_interval, share_interval


def test_a_share_by_hand() -> None:
    found = share_interval(8, 10)  # Wilson: (p + z²/2n ± z √(pq/n + z²/4n²)) / (1 + z²/n)
    z = 1.959964
    middle, width = 0.8 + z**2 / 20, z * np.sqrt(0.8 * 0.2 / 10 + z**2 / 400)
    assert (found.low, found.high) == pytest.approx(
        ((middle - width) / (1 + z**2 / 10), (middle + width) / (1 + z**2 / 10)), abs=1e-6
    )
    assert share_interval(0, 3).low == 0


def test_the_interval_of_a_ratio_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for round_ in range(200):
        size = rng.integers(20, 200, 60).astype(float)
        bits = size * 2 + rng.normal(0, 15, 60)
        found = ratio_interval(bits.tolist(), size.tolist(), round_)
        assert found is not None
        held += found.low <= 2 <= found.high
    assert 180 <= held <= 198
    assert ratio_interval([1.0], [1.0]) is None


def test_a_paired_test_agrees_with_scipys() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(10, 2, 40)
    other = one + rng.normal(0.6, 2, 40)
    found = paired(one.tolist(), other.tolist(), [5.0] * 40)
    expected = permutation_test(
        (one - other,), np.mean, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(0)
    ).pvalue
    assert found.p == pytest.approx(expected, abs=0.02)
    assert found.mean == pytest.approx((one - other).sum() / 200)


def test_what_is_told_of_differences() -> None:
    rng = np.random.default_rng(2)
    one = rng.normal(10, 1, 100)
    assert paired(one.tolist(), (one + 1).tolist(), [1.0] * 100).verdict == "better with p < 0.001"
    assert paired((one + 1).tolist(), one.tolist(), [1.0] * 100).verdict == "worse with p < 0.001"
    assert paired(one.tolist(), rng.permutation(one).tolist(), [1.0] * 100).verdict == "cannot be told apart"
    assert paired(one.tolist(), one.tolist(), [1.0] * 100).p == 1
    assert paired([1.0, 0.0], [0.0, 1.0], [1.0, 1.0]).p == 1  # any sum is as far as none
    assert paired([1.0], [2.0], [1.0]).verdict == "cannot be told apart"


def test_questions_that_only_one_gets_right() -> None:
    one, other = [True] * 18 + [False] * 2, [True] * 8 + [False] * 12
    found = paired_right(one, other)
    assert found.p == pytest.approx(binomtest(10, 10).pvalue)
    assert found.mean == -0.5
    assert isinstance(found.interval, Interval)
    assert found.verdict == "better with p < 0.01"
    assert paired_right(one, one).p == 1
