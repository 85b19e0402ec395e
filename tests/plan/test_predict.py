"""What training would take: by hand, by formula, and as this machine was measured."""

from __future__ import annotations

import json

import pytest
import torch

from mynah.cli.main import main
from mynah.errors import ConfigError
from mynah.model.presets import preset
from mynah.plan.flops import training_flops_per_token
from mynah.plan.hardware import ACCELERATORS, accelerator
from mynah.plan.predict import SIZES, predict_elsewhere, predict_here, read_count
from mynah.plan.probe import Machine, _features, _fit, probe

MACHINE = Machine(1e11, 1e11, 1e10, 1e-11, 1e-11, 1e-3)


def test_a_step_is_the_sum_of_its_parts() -> None:
    model = preset("nano", 1000, context_length=64)
    flops = training_flops_per_token(model, 64) * 128
    assert MACHINE.step_seconds(model, 2, 64) == pytest.approx(1e-11 * flops + 3e-3)


def test_prices_are_found_again() -> None:
    shapes = [(name, rows) for name in ("nano", "micro", "mini", "small") for rows in (4, 32)]
    models = [(preset(name, 4096, context_length=128), rows) for name, rows in shapes]
    steps = [(_features(model, rows, 128), MACHINE.step_seconds(model, rows, 128)) for model, rows in models]
    found = Machine(1, 1, 1, *_fit(steps))
    other = preset("gpt3-mini", 4096, context_length=128)
    assert found.step_seconds(other, 8, 128) == pytest.approx(MACHINE.step_seconds(other, 8, 128), rel=0.01)


def test_the_largest_that_sees_enough_is_taken() -> None:
    found = predict_here(MACHINE, 2048, 500_000, (8, 128), minutes=10, available=None, price=6.0)
    assert [one.preset for one in found] == list(SIZES)
    assert [one.parameters for one in found] == sorted(one.parameters for one in found)
    [best] = [one for one in found if "take this" in one.why]
    larger = found[found.index(best) + 1]
    assert best.passes is not None
    assert larger.passes is not None
    assert best.passes >= 3 > larger.passes
    assert all(one.seconds <= 600.5 for one in found)
    assert best.cost == pytest.approx(best.seconds / 600)
    whole = predict_here(MACHINE, 2048, 500_000, (8, 128), minutes=None, available=None)
    assert all(one.passes == pytest.approx(5, rel=0.01) for one in whole)


def test_what_does_not_fit_is_not_taken() -> None:
    found = predict_here(MACHINE, 2048, 500_000, (8, 128), minutes=1000, available=1_500_000_000)
    assert not found[-1].fits
    assert "more than the memory" in found[-1].why
    [best] = [one for one in found if "take this" in one.why]
    assert best.fits


def test_elsewhere_by_hand() -> None:
    device = accelerator("h100")
    [found] = predict_elsewhere(device, 1024, ["gpt3-175b"], tokens=300_000_000_000, tensor=8, price=2.0)
    # 6 N D, over what so many devices reach; attention's terms are a few per cent more.
    plain = 6 * found.parameters * 3e11 / (1024 * 989e12 * 0.4)
    assert plain < found.seconds < 1.1 * plain
    assert found.fits
    assert found.cost == pytest.approx(2.0 * 1024 * found.seconds / 3600)
    [alone] = predict_elsewhere(device, 1, ["gpt3-175b"])
    assert not alone.fits
    assert alone.tokens == 20 * alone.parameters
    assert all(one.tflops > 0 and one.memory_gb > 0 for one in ACCELERATORS)


@pytest.mark.parametrize(
    ("text", "count"), [("300M", 3e8), ("2.5b", 2.5e9), ("1e9", 1e9), ("12k", 12_000), ("7", 7)]
)
def test_counts(text: str, count: float) -> None:
    assert read_count(text, "--tokens") == count


@pytest.mark.parametrize("text", ["", "x", "-1M", "0", "nan", "1e99"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a number of tokens"):
        read_count(text, "--tokens")


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mynah.plan.probe.PROBED", (("nano", 2, 32), ("micro", 2, 32), ("nano", 8, 32)))
    said: list[str] = []
    machine = probe(300, torch.device("cpu"), said.append)
    assert said[0] == "products and memory"
    assert machine.float32 > 1e8
    assert machine.bandwidth > 1e8
    assert min(machine.block, machine.head, machine.layer) >= 0
    assert machine.step_seconds(preset("nano", 300, context_length=32), 2, 32) > 0


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("mynah.plan.probe.probe", lambda *_: MACHINE)
    main(["plan", "--tokens", "500k", "--minutes", "10"])
    assert "take this" in capsys.readouterr().out
    main(["plan", "--tokens", "500k", "--size", "nano", "--json"])
    [told] = json.loads(capsys.readouterr().out)
    assert told["preset"] == "nano"
    main(["plan", "--hardware", "a100-80gb", "--count", "8", "--price", "2"])
    out = capsys.readouterr().out
    assert "gpt3-175b" in out
    assert "more than the 80 GB" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "say how much text there is"),
        (["--tokens", "many"], "expected a number of tokens"),
        (["--tokens", "5M", "--count", "2"], "go with --hardware"),
        (["--hardware", "h10"], "did you mean 'h100'"),
        (["--hardware", "h100", "--minutes", "3"], "are for this machine"),
        (["--hardware", "h100", "--size", "gpt3-17b"], "no preset"),
        (["--hardware", "h100", "--utilisation", "2"], "at most 1"),
        (["--tokens", "5M", "--minutes", "0"], "expected more than 0"),
        (["--hardware", "h100", "--count", "8", "--tensor-parallel", "7"], "7"),
    ],
)
def test_what_is_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert told in error
    assert "\n" not in error
