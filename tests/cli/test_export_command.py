from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import mynah, refused

from mynah import GPT3
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.tokenizer.tokenizer import Tokenizer


def _saved(folder: Path, name: str) -> Path:
    made = GPT3(None, None, name, 0, "cpu")
    made.tokenizer = Tokenizer.train(["a small text"], 300)
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 16, "context_length": 32}
    made.model = new_model(preset(name, made.tokenizer.vocab_size, **shape), seed=0)
    return made.save(folder)


def test_a_saved_model_becomes_one_of_transformers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transformers = pytest.importorskip("transformers")
    saved, out = _saved(tmp_path / "saved", "gpt2"), tmp_path / "out"
    code, said, _ = mynah("export", saved, "-o", out, capsys=capsys)
    assert (code, said) == (0, f"exported   {out}: GPT2LMHeadModel, float32\nvllm       vllm serve {out}\n")
    assert "holds something already" in refused("export", saved, "-o", out, capsys=capsys)
    assert transformers.AutoModelForCausalLM.from_pretrained(out).config.n_layer == 2
    assert GPT3.from_pretrained(saved).export(tmp_path / "again").is_dir()


def test_what_has_no_word_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = _saved(tmp_path / "saved", "nano")
    assert "bigram_buckets 20480" in refused("export", saved, "-o", tmp_path / "out", capsys=capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
