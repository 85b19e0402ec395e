"""From logits to tokens: each restriction against a computation by hand, and against transformers'."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mynah.errors import ConfigError, GenerationError
from mynah.generate.engine import Request, decode, generate
from mynah.generate.sampling import Sampler, largest
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer

V = 60


def logits_of(seed: int, n: int = V) -> Tensor:
    return 3 * torch.randn(n, generator=torch.Generator().manual_seed(seed))


def drawn(
    logits: Tensor,
    draws: int = 400,
    seen: list[int] | None = None,
    forbid: tuple[int, ...] = (),
    **settings: float,
) -> Tensor:
    """Return how often each token is drawn, (V,)."""
    sampler = Sampler(SamplingConfig(**{"temperature": 1.0, "seed": 1, **settings}), forbid)  # type: ignore[arg-type]
    tokens = [sampler.draw(logits, seen or []).token for _ in range(draws)]
    return torch.bincount(torch.tensor(tokens), minlength=len(logits))


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_top_k_keeps_exactly_k_of_equals_those_with_the_lowest_ids(k: int) -> None:
    logits = torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0, 1.0, 2.0, -1.0])
    ranked = sorted(range(8), key=lambda i: (-float(logits[i]), i))
    assert largest(logits, k).nonzero()[:, 0].tolist() == sorted(ranked[:k])
    if k > 1:
        counts = drawn(logits, 3000, top_k=k)
        assert counts.nonzero()[:, 0].tolist() == sorted(ranked[:k])


@pytest.mark.parametrize("n", [2, 7, 1000, 50_000])
def test_one_of_equal_logits_is_always_the_same(n: int) -> None:
    for config in (SamplingConfig(temperature=1.0, top_k=1), SamplingConfig()):
        assert {Sampler(config).draw(torch.zeros(n)).token for _ in range(20)} == {0}
        assert Sampler(config, forbid=[0]).draw(torch.zeros(n)).token == 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    ("value", "where", "said"),
    [(math.nan, slice(3, 4), "nan"), (math.inf, slice(3, 4), "inf"), (-math.inf, slice(None), "-inf")],
)
def test_logits_that_are_not_numbers_are_an_error(
    temperature: float, value: float, where: slice, said: str
) -> None:
    logits = logits_of(0)
    logits[where] = value
    sampler = Sampler(SamplingConfig(temperature=temperature, top_k=5, top_p=0.9, min_p=0.1))
    with pytest.raises(GenerationError, match=rf"largest logit is {said}: no token can be drawn"):
        sampler.draw(logits)
    with pytest.raises(GenerationError, match="no token can be drawn"):
        Sampler(SamplingConfig(temperature=temperature), forbid=range(V)).draw(logits_of(0))


def test_some_logits_may_be_minus_infinity() -> None:
    logits = torch.full((V,), -math.inf)
    logits[[4, 9]] = 0.0
    counts = drawn(logits, top_k=10, top_p=0.99, min_p=0.01, repetition_penalty=1.5, seen=[4, 5])
    assert counts.nonzero()[:, 0].tolist() == [4, 9]


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.0}, {"top_k": 1}, {"top_k": 3}, {"top_p": 0.1},
                                      {"min_p": 0.9}, {"temperature": 50.0}])  # fmt: skip
def test_forbidden_ids_are_never_drawn(settings: dict[str, float]) -> None:
    logits = logits_of(2)
    forbidden = tuple(logits.topk(5).indices.tolist())
    counts = drawn(logits, forbid=forbidden, **settings)
    assert not counts[list(forbidden)].any()
    if settings.get("temperature") == 0 or settings.get("top_k") == 1:
        assert int(counts.argmax()) == int(logits.topk(6).indices[-1])


def test_min_p_by_hand() -> None:
    logits = torch.log(torch.tensor([0.4, 0.3, 0.21, 0.05, 0.04]))
    counts = drawn(logits, 4000, min_p=0.5) / 4000
    assert counts.tolist() == pytest.approx([0.4 / 0.91, 0.3 / 0.91, 0.21 / 0.91, 0, 0], abs=0.03)
    # The share is one of the likeliest token's, after the temperature has been applied.
    assert drawn(logits, 2000, min_p=0.5, temperature=0.25).nonzero()[:, 0].tolist() == [0]
    assert drawn(logits, 4000, min_p=0.5, temperature=10.0).nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_repetition_penalty_by_hand() -> None:
    logits = torch.tensor([2.0, 1.5, -0.5, -0.6])
    greedy = SamplingConfig(repetition_penalty=2.0)
    assert Sampler(greedy).draw(logits).token == 0
    assert (
        Sampler(greedy).draw(logits, [0, 0, 3]).token == 1
    )  # 1.0 against 1.5; once, however often it was said
    assert Sampler(greedy).draw(logits, [0, 1]).token == 0
    less = torch.tensor([-1.0, -1.5])  # what is negative is multiplied
    assert Sampler(greedy).draw(less, [0]).token == 1
    shares = drawn(logits, 4000, seen=[0, 2], repetition_penalty=2.0) / 4000
    expected = torch.tensor([1.0, 1.5, -1.0, -0.6]).softmax(0)
    assert shares.tolist() == pytest.approx(expected.tolist(), abs=0.03)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_p": 0.05}, {"min_p": 0.3, "temperature": 2.0}, {"repetition_penalty": 1.7},
        {"repetition_penalty": 0.6, "temperature": 0.8}, {"top_k": 7}, {"top_p": 0.7}, {"top_p": 1e-6},
        {"temperature": 1.5, "top_k": 20, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.3},
    ],
)  # fmt: skip
def test_restrictions_are_those_of_transformers(settings: dict[str, float]) -> None:
    generation = pytest.importorskip("transformers.generation")
    seen, logits = [3, 3, 17, 40], logits_of(5)
    makers = [
        ("repetition_penalty", generation.RepetitionPenaltyLogitsProcessor),
        ("temperature", generation.TemperatureLogitsWarper),
        ("top_k", generation.TopKLogitsWarper),
        ("top_p", generation.TopPLogitsWarper),
        ("min_p", generation.MinPLogitsWarper),
    ]
    theirs = logits[None].clone()
    for name, maker in makers:
        if name in settings:
            theirs = maker(settings[name])(torch.tensor([seen]), theirs)
    expected = theirs[0].softmax(0)
    draws = 6000
    shares = drawn(logits, draws, seen=seen, **settings) / draws
    assert not shares[expected == 0].any()
    assert shares.tolist() == pytest.approx(expected.tolist(), abs=0.03)
    likely = expected > 10 / draws
    assert (shares[likely] > 0).all()


@pytest.mark.parametrize("settings", [{}, {"top_k": 3}, {"temperature": 0.0}])
def test_log_probabilities_are_those_of_the_model_as_it_is(settings: dict[str, float]) -> None:
    logits = logits_of(6)
    config = SamplingConfig(
        **{"temperature": 2.0, "seed": 0, "repetition_penalty": 3.0, "min_p": 0.01, **settings}  # type: ignore[arg-type]
    )
    forbidden = [int(logits.argmax())]
    expected = logits.log_softmax(0)
    found = Sampler(config, forbidden, likeliest=4).draw(logits, [1, 2, 3])
    assert found.log_prob == pytest.approx(float(expected[found.token]))
    assert found.token not in forbidden
    assert [i for i, _ in found.likeliest] == expected.topk(4).indices.tolist()
    assert [p for _, p in found.likeliest] == pytest.approx(expected.topk(4).values.tolist())
    assert Sampler(config, likeliest=0).draw(logits).likeliest == ()
    assert len(Sampler(config, likeliest=1000).draw(logits).likeliest) == V
    unasked = Sampler(config, forbidden).draw(logits, [1, 2, 3])
    assert (unasked.token, unasked.log_prob, unasked.likeliest) == (found.token, None, ())


def test_the_logits_are_not_changed() -> None:
    logits = logits_of(7)
    before = logits.clone()
    config = SamplingConfig(temperature=0.7, top_k=9, top_p=0.8, min_p=0.05, repetition_penalty=1.4, seed=0)
    for settings in (config, SamplingConfig(repetition_penalty=2.0)):
        Sampler(settings, [1, 2], likeliest=3).draw(logits, [4, 5, 6])
        assert torch.equal(logits, before)


def test_rows_draw_from_generators_of_their_own(tiny: object) -> None:
    model: Transformer = tiny().eval()  # type: ignore[operator]
    requests = [
        Request(
            [1, 2, 3][: 1 + n % 3], SamplingConfig(temperature=3.0, seed=n, max_tokens=6 + n), likeliest=2
        )
        for n in range(5)
    ]
    requests.append(requests[2])
    alone = [[d.token for d in generate(model, request)] for request in requests]
    together: list[list[int]] = [[] for _ in requests]
    for number, found in decode(model, requests):
        together[number].append(found.token)
    assert together == alone
    assert len({tuple(tokens[:6]) for tokens in alone}) == 5  # other seeds, other tokens; one seed, the same


@pytest.mark.parametrize("temperature", [1e-4, 1e-3, 1e30])
def test_extreme_temperatures_and_penalties_draw_something(temperature: float) -> None:
    logits = logits_of(8) * 1e3
    for penalty in (1e-30, 1.0, 1e30):
        config = SamplingConfig(temperature=temperature, repetition_penalty=penalty, top_p=0.9, min_p=0.1)
        assert 0 <= Sampler(config).draw(logits, [1, 2, 3]).token < V


def test_an_empty_text_ends_nothing() -> None:
    with pytest.raises((ConfigError, ValueError), match="at least 1 character"):
        SamplingConfig(stop=("",))
