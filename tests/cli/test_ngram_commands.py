from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from test_cli import mynah, refused

PENS = "I have a pen.\nI need a pen.\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "pens.txt"
    path.write_text(PENS * 3 + "I need two.\n")
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    code, out, _ = mynah(*arguments, capsys=capsys)
    assert code == 0
    return out


def test_from_text_to_text(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "out" / "pens.ng"
    code, out, err = mynah("ngram", "train", text, "-o", model, capsys=capsys)
    assert code == 0
    assert "34 tokens in 7 sentences" in out
    assert "9 1-grams, " in out
    assert err == (
        "note       the text is too small to find Kneser-Ney's discounts for order 1, 2, 3; "
        "0.5, 1 and 1.5 are taken instead\n"
    )
    shown = json.loads(said(capsys, "ngram", "info", model, "--json"))
    assert shown["counts"][0] == 9
    assert shown["fell_back"] == [1, 2, 3]
    assert "3, kneser-ney, over words" in said(capsys, "ngram", "info", model)
    assert said(capsys, "ngram", "query", model, "I need", "-n", "1").endswith("\ta\n")
    scored = json.loads(said(capsys, "ngram", "score", model, text, "--json"))
    assert (scored["sentences"], scored["tokens"], scored["oov"]) == (7, 34, 0)
    assert f"perplexity           {scored['perplexity']:.4f}" in said(capsys, "ngram", "score", model, text)
    lines = said(capsys, "ngram", "score", model, text, "--sentences").splitlines()
    assert sum(float(line.split()[0]) for line in lines) == pytest.approx(scored["log10_prob"], abs=1e-4)
    drawn = said(capsys, "ngram", "generate", model, "-n", "3", "--prompt", "I", "--seed", "1").splitlines()
    assert len(drawn) == 3
    assert all(line.startswith("I ") for line in drawn)
    said(capsys, "ngram", "convert", model, "-o", tmp_path / "pens.arpa")
    assert said(capsys, "ngram", "query", tmp_path / "pens.arpa", "I need") == said(
        capsys, "ngram", "query", model, "I need"
    )
    said(capsys, "ngram", "convert", model, "-o", tmp_path / "small.ng", "--compact")
    assert "n-grams stay" in said(
        capsys, "ngram", "prune", model, "-o", tmp_path / "p.ng", "--threshold", "1e-3"
    )


def test_standard_input(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    give(text.read_bytes())
    said(capsys, "ngram", "train", "-", "-o", tmp_path / "a.arpa", "--order", "2")
    said(capsys, "ngram", "train", text, "-o", tmp_path / "b.arpa", "--order", "2")
    assert (tmp_path / "a.arpa").read_bytes() == (tmp_path / "b.arpa").read_bytes()
    give(b"I have zzz\n")
    rows = [
        line.split("\t")
        for line in said(capsys, "ngram", "score", tmp_path / "a.arpa", "-", "--tokens").splitlines()
    ]
    assert [row[0] for row in rows if row[0]] == ["I", "have", "zzz", "</s>"]
    assert rows[2][3] == "OOV"
    give(b"good\nb\xe4d\n")
    assert "standard input:2: is not UTF-8" in refused(
        "ngram", "score", tmp_path / "a.arpa", "-", capsys=capsys
    )


def test_a_run_is_a_model_too(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "over tokens" in said(capsys, "ngram", "info", tiny_run)
    assert len(said(capsys, "ngram", "query", tiny_run, "Do you", "-n", "3").splitlines()) == 3
    assert "needs" not in said(capsys, "ngram", "generate", tiny_run, "--prompt", "Do", "--seed", "1")
    told = refused("ngram", "query", tiny_run / "ngram" / "model.ng", "Do", capsys=capsys)
    assert "give the run: --tokenizer" in told


def test_what_is_wrong_is_told_in_a_line(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.ng"
    before = sorted(tmp_path.iterdir())
    for arguments, told in (
        (["train", text, "-o", out, "--order", "0"], "order: Input should be greater than or equal to 1"),
        (["train", text, "-o", out, "--order", "20"], "order: Input should be less than or equal to 8"),
        (["train", text, "-o", out, "--memory", "lots"], "expected a size such as 2G"),
        (["train", "-o", out], "no text given; for example"),
        (["train", text, "--nope", "-o", out], "--nope: no such option"),
        (["train", tmp_path / "no.txt", "-o", out], "no.txt: no such file"),
        (["train", text, "-o", out, "--unit", "tokens"], "--tokenizer RUN"),
        (["info", text], "is no n-gram model of Mynah's"),
        (["score", out, text], "x.ng: no such file"),
    ):
        assert told in refused("ngram", *arguments, capsys=capsys)
    assert sorted(tmp_path.iterdir()) == before
    assert "is a folder" in refused("ngram", "train", text, "-o", tmp_path, capsys=capsys)


def test_a_damaged_model_is_not_made_into_a_sound_one(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "ngram", "train", text, "-o", tmp_path / "m.ng")
    data = bytearray((tmp_path / "m.ng").read_bytes())
    data[-5] ^= 4
    (tmp_path / "m.ng").write_bytes(data)
    for command in (
        ["info"],
        ["prune", "--threshold", "1e-8", "-o", tmp_path / "p.ng"],
        ["convert", "-o", tmp_path / "p.ng"],
    ):
        told = refused("ngram", command[0], tmp_path / "m.ng", *command[1:], capsys=capsys)
        assert "do not match their hash" in told
    assert not (tmp_path / "p.ng").exists()
