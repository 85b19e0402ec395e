from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mynah.errors import ArtifactError, ConfigError
from mynah.generate.engine import generate
from mynah.generate.settings import SamplingConfig
from mynah.interop.huggingface import load_hugging_face, read_hugging_face
from mynah.model.transformer import Transformer
from mynah.model.weights import load_tensors

transformers = pytest.importorskip("transformers")

GPT2 = {"vocab_size": 99, "n_positions": 40, "n_embd": 48, "n_layer": 3, "n_head": 4,
        "bos_token_id": 0, "eos_token_id": 0}  # fmt: skip
LLAMA = {"vocab_size": 99, "hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 40}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("GPT2Config", GPT2),
        ("GPT2Config", {**GPT2, "n_inner": 64, "activation_function": "gelu"}),
        ("LlamaConfig", LLAMA),
        ("LlamaConfig", {**LLAMA, "tie_word_embeddings": True, "head_dim": 16, "rms_norm_eps": 1e-5}),
    ],
)
def test_logits_are_those_of_transformers(tmp_path: Path, kind: str, values: dict[str, object]) -> None:
    torch.manual_seed(0)
    theirs = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**values)).eval()
    with torch.no_grad():  # biases and scales begin as 0 and 1, which would hide a swap
        for p in theirs.parameters():
            p.add_(0.05 * torch.randn_like(p))
    theirs.save_pretrained(tmp_path)
    config, tensors = read_hugging_face(tmp_path)
    ours = Transformer(config)
    load_tensors(ours, tensors, tmp_path)
    tokens = torch.randint(0, 99, (2, 40))
    with torch.no_grad():
        torch.testing.assert_close(
            ours.eval().logits(ours(tokens)), theirs(tokens).logits, rtol=1e-4, atol=1e-5
        )


def test_a_real_model_tells_its_documented_story(shared: Path) -> None:
    folder = shared / "model_stories260k"
    model, tokenizer = load_hugging_face(folder / "hf")
    told = (folder / "stories260K.md").read_text(encoding="utf-8")
    story = told[told.index("Once upon a time") :].split("```")[0].rstrip()
    config = SamplingConfig(max_tokens=400)
    made = tokenizer.decode(generate(model, [tokenizer.control.bos], config))
    assert made.startswith(story)
    assert model.config.vocab_size == tokenizer.vocab_size == 516


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no config\.json"):
        read_hugging_face(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="model_type 'bert'"):
        read_hugging_face(tmp_path)
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        load_hugging_face(tmp_path)
