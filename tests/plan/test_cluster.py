from __future__ import annotations

import pytest

from mynah.errors import ConfigError
from mynah.model.presets import PRESETS
from mynah.plan.cluster import cluster_needs, describe_cluster


def test_gpt3_by_hand() -> None:
    needs = cluster_needs("gpt3-175b", 64)
    assert needs.n_params == pytest.approx(175e9, rel=0.003)
    assert needs.parts == pytest.approx(20 * 174.6e9 / 64, rel=1e-3)
    # 3.2 million tokens are 25 rows of 2,048 for each of 64. In each pass twice all weights (those of the tables once)
    # and once all gradients, 4 bytes each, but for the GPU's own part.
    assert needs.passes == 25
    assert needs.sent == pytest.approx(25 * (12 * 174.6e9 - 4 * 52_305 * 12_288) * 63 / 64, rel=1e-3)
    # 8 FLOPs a parameter and token (6, and 2 again), over 3.2 million tokens and 64 GPUs; attention adds a little.
    assert needs.flops == pytest.approx(8 * 174.6e9 * 3.2e6 / 64, rel=0.04)


def test_embedding_and_head_are_put_together_once_a_pass_and_not_computed_again() -> None:
    needs = cluster_needs("gpt2", 8)
    table, positions, block = 50_257 * 768, 1_024 * 768, 12 * 768**2 + 13 * 768
    rest = table + positions + 2 * 768
    assert needs.n_params == rest + 12 * block
    assert needs.sent == needs.passes * 4 * (3 * 12 * block + 2 * rest) * 7 / 8
    # Attention sees 512 tokens on average: 12 of them a layer and width, and a third more again, as of the blocks.
    twelve, tied = 8 * 12 * block + 16 * 12 * 768 * 512, 6 * table
    assert needs.flops == pytest.approx((twelve + tied) * needs.batch_tokens / 8, rel=1e-3)


def test_shared_blocks_by_hand() -> None:
    """8 of 64 share a block: an eighth of each matrix, cut again over the 8 groups; sums of the stream on top."""
    alone, shared = cluster_needs("gpt3-175b", 64), cluster_needs("gpt3-175b", 64, 8)
    tables = (50_257 + 2_048) * 12_288
    held = tables + (174.6e9 - tables) / 8
    assert shared.parts == pytest.approx(20 * held / 8, rel=1e-3)
    # Three sums a block of two bytes a number and two of four, each 2 * 7 / 8 of 400,000 tokens of 12,288 numbers.
    sums = 96 * (3 * 2 + 2 * 4) * 2 * 7 / 8 * 400_000 * 12_288
    assert shared.passes == 196
    assert shared.sent == pytest.approx(196 * (12 * held - 4 * tables) * 7 / 8 + sums, rel=1e-3)
    assert alone.flops < shared.flops < 1.05 * alone.flops  # the head is computed by each


def test_what_cannot_be_shared_is_named() -> None:
    last = describe_cluster(64, 8).splitlines()
    assert "gpt3-175b" in last[-3]
    assert last[-2].startswith("cannot be shared by 8")
    assert "gpt2-xl" in last[-2]
    with pytest.raises(ConfigError, match=r"tensor_parallel 7: expected what divides .* 64"):
        describe_cluster(64, 7)


def test_more_gpus_hold_less_each_and_alone_nothing_is_sent() -> None:
    alone, few, many = (cluster_needs("gpt3-13b", world) for world in (1, 8, 64))
    assert alone.memory > few.memory > many.memory
    assert alone.sent == 0
    assert alone.flops == pytest.approx(64 * many.flops)


def test_the_table_holds_every_preset() -> None:
    lines = describe_cluster(64).splitlines()
    assert sorted(line.split()[0] for line in lines[2:-1]) == sorted(PRESETS)
    assert "more than 80 GB" in describe_cluster(32)
