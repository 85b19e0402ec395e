from __future__ import annotations

import pytest
import torch

from mynah.data.records import Conversation, Document, Message
from mynah.errors import ConfigError
from mynah.model.presets import preset
from mynah.pipeline.recipe import load_recipe
from mynah.plan import budget, repeats
from mynah.plan.budget import Plan, make_plan
from mynah.plan.flops import training_flops_per_token
from mynah.plan.settings import LADDER, PlanConfig
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.rates import rates

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> TokenSet:
    talks = [Conversation((Message("user", f"a {i}"), Message("assistant", f"b {i}"))) for i in range(300)]
    return encode_records(talks, Tokenizer.train([t for talk in talks for t in talk.texts], 300))


def plan_of(data: TokenSet, config: PlanConfig, seconds: float = 60.0, replies: bool = True) -> Plan:
    return make_plan(config, data, 300, has_replies=replies, base=None, seconds=seconds, device=CPU, seed=1)


def test_minutes_become_steps_by_measured_speed(data: TokenSet, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {128: 0.05, 192: 0.4, 256: 0.5, 384: 0.6}
    monkeypatch.setattr(budget, "measure_step", lambda model, *_, **__: speeds[model.n_embd])
    plan = plan_of(data, PlanConfig(minutes=1), seconds=1.5)
    assert plan.model.n_embd == 128
    assert plan.tune is not None
    assert plan.model.bigram_buckets == 0  # there is time for more passes than with pairs
    assert any("without the table of token pairs" in reason for reason in plan.reasons)
    assert plan.pretrain.steps == 20  # 5 passes over 3,802 tokens would be 18 steps; 20 at least
    assert 0 < plan.tune.steps * speeds[128] <= 1.5
    assert any("ms a step" in reason for reason in plan.reasons)
    asked = plan_of(data, PlanConfig(minutes=1, model={"bigram_buckets": 64}), seconds=1.5)
    assert asked.model.bigram_buckets == 64
    speeds[128] = 0.4
    assert plan_of(data, PlanConfig(minutes=1), seconds=1.5).model.bigram_buckets > 0
    # More time than a small log can use: a larger model, and no more passes than help.
    rich = plan_of(data, PlanConfig(minutes=60), seconds=3600)
    assert rich.model.n_embd == 384
    assert rich.model.context_length == rich.pretrain.context_length == 128
    assert rich.tune is not None
    assert rich.tune.steps == int(budget.REPLY_PASSES * len(data.tokens) / 1024)


def test_a_text_that_stays_new_is_learned_at_a_higher_rate(
    data: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "measure_step", lambda *_, **__: 1.0)

    def plan(steps: int, **model: int) -> Plan:  # a step is 1,024 of 3,802 tokens
        return plan_of(data, PlanConfig(size="nano", model=model, pretrain={"steps": steps}))

    new, seen, without = plan(4), plan(5), plan(12, bigram_buckets=0)
    assert new.pretrain.learning_rate == pytest.approx(4e-2)
    assert seen.pretrain.learning_rate == pytest.approx(1e-2)
    assert without.pretrain.learning_rate == pytest.approx(4e-2)
    assert plan(13, bigram_buckets=0).pretrain.learning_rate == pytest.approx(1e-2)
    assert new.tune is not None
    assert seen.tune is not None
    assert new.tune.learning_rate == seen.tune.learning_rate
    assert any("4 times the rate" in reason for reason in new.reasons)
    assert not any("times the rate" in reason for reason in seen.reasons)
    told = PlanConfig(size="nano", pretrain={"steps": 4, "learning_rate": 3e-3})
    asked = plan_of(data, told)
    assert asked.pretrain.learning_rate == pytest.approx(3e-3)
    assert not any("times the rate" in reason for reason in asked.reasons)


def test_replies_that_repeat_get_more_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "measure_step", lambda *_, **__: 1.0)
    texts = [f"word{i}" for i in range(40)]
    tokenizer = Tokenizer.train(texts, 300)

    def plan(answers: int) -> tuple[float, Plan]:
        pairs = [(asked, texts[i % answers]) for i, asked in enumerate(texts)]
        talks = [Conversation((Message("user", a), Message("assistant", b))) for a, b in pairs]
        data = encode_records(talks, tokenizer)
        return repeats.distinct_replies(data), plan_of(data, PlanConfig(minutes=1), seconds=100.0)

    (few, repeating), (all_, new) = plan(4), plan(40)
    assert (few, all_) == (0.1, 1.0)
    assert repeating.tune is not None
    assert new.tune is not None
    assert repeating.tune.learning_rate == pytest.approx(2 * new.tune.learning_rate)
    assert (repeating.tune.stall, new.tune.stall) == (0, 4)
    assert any("10% of the replies are distinct: 50% of the time" in reason for reason in repeating.reasons)
    assert repeats.distinct_replies(encode_records([Document("no replies")], tokenizer)) == 1.0


def test_few_and_short_replies_are_read_to_their_end_often(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer.train(["yes, of course, by all means"], 300)
    talks = [
        Conversation((Message("user", f"{i}?"), Message("assistant", "yes" if i % 3 else "yes, of course")))
        for i in range(30)
    ]
    data = encode_records(talks, tokenizer)
    whole = sum(len(tokenizer.encode(reply)) + 1 for reply in ("yes", "yes, of course"))  # each has its end
    tokens = len(data.tokens)
    assert tokens < 50 * whole
    monkeypatch.setattr(repeats, "KNOWN_SHARE", 0.5)
    assert repeats.known_after(data, tokens) == int(0.5 * tokens / whole) > 1
    assert repeats.known_after(data, 7 * tokens) == repeats.known_after(data, tokens)  # of each pass
    assert repeats.known_after(data, whole) == 1
    assert repeats.known_after(encode_records([Document("no replies")], tokenizer), 1000) >= 1


def test_time_short_of_the_passes_is_shared_out() -> None:
    model = preset("nano", 300)
    assert budget._steps(model, 100.0, None, 0.5) == (250, 1200)
    assert budget._steps(model, 100.0, 400.0, 0.5) == (200, 200)
    assert budget._steps(model, 100.0, 1000.0, 0.5) == (250, 750)
    assert budget._steps(preset("gpt3-nano", 300), 100.0, 5000.0, 0.0)[0] == 500


def test_a_size_is_not_measured(data: TokenSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "measure_step", None)
    plan = plan_of(data, PlanConfig(size="micro"), replies=False)
    assert plan.tune is None
    assert plan.model.n_embd == 192
    assert plan.pretrain.optimizer == "muon"
    paper = plan_of(data, PlanConfig(size="gpt3-nano")).pretrain
    assert (paper.optimizer, paper.schedule, paper.final, paper.beta2) == ("adamw", "cosine", 0.1, 0.95)


def test_fields_can_be_changed_and_round_trip(data: TokenSet) -> None:
    config = PlanConfig(size="nano", model={"n_layer": 5}, pretrain={"steps": 7}, tune={"steps": 3})
    plan = plan_of(data, config)
    assert (plan.model.n_layer, plan.pretrain.steps) == (5, 7)
    assert plan.tune is not None
    assert plan.tune.steps == 3
    assert Plan.from_json(plan.to_json(), "x") == plan
    with pytest.raises(ValueError, match="did you mean 'steps'"):
        PlanConfig(size="nano", pretrain={"step": 7})
    with pytest.raises(ValueError, match="did you mean 'n_layer'"):
        PlanConfig(size="nano", model={"n_layers": 7})


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("pretrain", {"steps": 0}, r"pretrain\.steps.*greater than or equal to 1"),
        ("pretrain", {"learning_rate": -1, "steps": "many"}, r"pretrain\.(steps|learning_rate)"),
        ("tune", {"schedule": "slow"}, r"tune\.schedule"),
        ("model", {"n_layer": 0}, r"model\.n_layer"),
    ],
)
def test_wrong_values_are_told_when_the_recipe_is_read(
    section: str, values: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_recipe(None, {"plan": {section: values}})


def test_a_real_step_is_measured(data: TokenSet) -> None:
    config = preset("nano", 300, n_layer=1, n_embd=32, context_length=32)
    assert 0 < budget.measure_step(config, data, (2, 16), CPU, settings=rates(config, False)) < 5


def test_flops_of_gpt2_small_by_the_book() -> None:
    config = preset("gpt2", 50257)
    # 6 x (124.4M - 0.8M learned positions) + 12 x 12 layers x 768 x 512 keys on average
    expected = 6 * (config.n_params() - 1024 * 768) + 12 * 12 * 768 * 512
    assert training_flops_per_token(config, 1024) == pytest.approx(expected)
    assert set(LADDER) == {"nano", "micro", "mini", "small"}


def test_documents_are_fine_without_replies() -> None:
    tokenizer = Tokenizer.train(["some words"], 300)
    data = encode_records([Document("some words " * 50)], tokenizer)
    assert plan_of(data, PlanConfig(size="nano"), replies=False).tune is None
