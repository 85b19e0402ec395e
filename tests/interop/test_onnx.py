"""Models as ONNX graphs: what ONNX Runtime computes of them, whole, step by step and with rows filled up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import PARTS, small, whole

from mynah.cli.export import export
from mynah.data.records import Message
from mynah.errors import ArtifactError, ConfigError, MissingDependency
from mynah.evaluate.replies import reply_to_all
from mynah.generate.settings import SamplingConfig
from mynah.interop import onnx_write
from mynah.interop.onnx_write import GRAPH, Runner, to_onnx
from mynah.pipeline.open_run import open_run
from mynah.tokenizer.tokenizer import Tokenizer

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

TOKENIZER = Tokenizer.train(["ein kleines Beispiel, 一个小例子"], 300)
EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_chat.py"
#: Every part of a decoder is in one of these.
MAKES = {"learned positions": 1, "own": 3, "gemma": 5, "scaled": 6}


@pytest.mark.parametrize("make", MAKES)
def test_the_graph_computes_the_model(tmp_path: Path, make: str) -> None:
    model = small(vocab_size=TOKENIZER.vocab_size, **PARTS[MAKES[make]])
    to_onnx(model, TOKENIZER, tmp_path / "out")
    config = model.config
    # What no model of transformers has is in the graph, and in no config.
    assert (tmp_path / "out" / "config.json").exists() is (make == "gemma")
    again = Tokenizer.load(tmp_path / "out")
    assert again.begin("ein 小") == TOKENIZER.begin("ein 小")

    runner = Runner(tmp_path / "out" / GRAPH, config)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (2, 20))
    with torch.no_grad():
        expected = model.logits(model(torch.from_numpy(tokens))).numpy()

    def close(found: Any, wanted: Any) -> None:
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(expected).max())

    nothing = np.zeros((2, config.n_kv_head, 0, config.head_dim), np.float32)
    close(runner.run(tokens, [nothing] * 2 * config.n_layer, 0)[0], expected)
    logits, past = runner.run(tokens[:, :9], [nothing] * 2 * config.n_layer, 0)
    close(logits, expected[:, :9])
    for at in range(9, 13):
        logits, past = runner.run(tokens[:, at : at + 1], past, int(tokens[0, at - 1]))
        close(logits[0], expected[0, at : at + 1])  # the token before is that of the first row
    close(runner.in_two_steps(tokens[0].tolist()), expected[0])


def test_a_program_without_mynah_gives_the_same_replies(tmp_path: Path, tiny_run: Path) -> None:
    export(tiny_run, output=tmp_path / "out", onnx=True)
    question = "Do you send a lamp to Lyon?"
    done = subprocess.run(
        [sys.executable, EXAMPLE, tmp_path / "out"],
        input=f"{question}\n" * 2, capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    opened = open_run(tiny_run)
    room = SamplingConfig(max_tokens=opened.model.config.context_length)
    (reply,) = reply_to_all(opened.model, opened.tokenizer, [[Message("user", question)]], room)
    assert reply
    first, second = done.stdout.splitlines()
    assert first == reply
    assert second  # of a second turn, which has to make room


def test_rows_may_be_filled_up_on_the_left(tmp_path: Path) -> None:
    model = small(vocab_size=TOKENIZER.vocab_size, **PARTS[5])
    to_onnx(model, TOKENIZER, tmp_path / "out")
    runner = Runner(tmp_path / "out" / GRAPH, model.config)
    short, long = [5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]
    fill = len(long) - len(short)
    seen = np.array([[0] * fill + [1] * len(short), [1] * len(long)])
    given = {
        "input_ids": np.array([[0] * fill + short, long]),
        "attention_mask": seen,
        "position_ids": np.maximum(seen.cumsum(1) - 1, 0),
    }
    for name in onnx_write._inputs(model.config)[3:]:
        given[name] = np.zeros((2, model.config.n_kv_head, 0, model.config.head_dim), np.float32)
    logits, *_ = runner.session.run(None, given)
    assert np.isfinite(logits).all()
    for row, text in enumerate((short, long)):
        torch.testing.assert_close(
            torch.from_numpy(logits[row, -1]), whole(model, text), rtol=1e-4, atol=1e-4
        )


def test_what_is_another_model_is_not_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(vocab_size=TOKENIZER.vocab_size)
    trace = onnx_write._trace
    other = small(vocab_size=TOKENIZER.vocab_size, rope_theta=50.0)
    monkeypatch.setattr(onnx_write, "_trace", lambda _: trace(other))
    with pytest.raises(ArtifactError, match="logits of the files are off"):
        to_onnx(model, TOKENIZER, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

    def fails(_: object) -> None:
        raise RuntimeError("no such operator\nand many lines\nmore")

    monkeypatch.setattr(onnx_write, "_trace", fails)
    with pytest.raises(ArtifactError, match=r"nothing is written: RuntimeError: no such operator$"):
        to_onnx(model, TOKENIZER, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_before_anything_is_computed(
    tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"leave out .gguf"):
        export(tiny_run, output=tmp_path / "x.gguf", onnx=True)
    with pytest.raises(ConfigError, match="leave out --adapter"):
        export(tiny_run, output=tmp_path / "x", onnx=True, adapter=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ArtifactError, match="holds something already"):
        export(tiny_run, output=tmp_path / "full", onnx=True)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"mynah-lm\[onnx\]"):
        export(tiny_run, output=tmp_path / "x", onnx=True)
    assert not (tmp_path / "x").exists()
