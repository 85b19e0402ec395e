from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mynah.errors import ArtifactError, ConfigError
from mynah.generate.engine import Request, generate
from mynah.generate.settings import SamplingConfig
from mynah.interop.huggingface import from_hugging_face, read_hugging_face, to_hugging_face
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.tokenizer.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")

GPT2 = {"vocab_size": 99, "n_positions": 40, "n_embd": 48, "n_layer": 3, "n_head": 4,
        "bos_token_id": 0, "eos_token_id": 0}  # fmt: skip
LLAMA = {"vocab_size": 99, "hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 40}  # fmt: skip

NEO = {"vocab_size": 99, "hidden_size": 48, "num_layers": 3, "num_heads": 4, "max_position_embeddings": 40,
       "attention_types": [[["global", "local"], 1], [["global"], 1]], "window_size": 7}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("GPT2Config", GPT2),
        ("GPT2Config", {**GPT2, "n_inner": 64, "activation_function": "gelu"}),
        ("LlamaConfig", LLAMA),
        ("LlamaConfig", {**LLAMA, "tie_word_embeddings": True, "head_dim": 16, "rms_norm_eps": 1e-5}),
        ("Qwen3Config", {**LLAMA, "head_dim": 20, "tie_word_embeddings": True, "rope_theta": 1e6}),
        ("GPTNeoConfig", NEO),
        ("GPTNeoConfig", {**NEO, "attention_types": [[["local"], 2], [["global"], 1]], "window_size": 9}),
    ],
)
def test_logits_are_those_of_transformers(tmp_path: Path, kind: str, values: dict[str, object]) -> None:
    torch.manual_seed(0)
    theirs = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**values)).eval()
    with torch.no_grad():  # biases and scales begin as 0 and 1, which would hide a swap
        for p in theirs.parameters():
            p.add_(0.05 * torch.randn_like(p))
    theirs.save_pretrained(tmp_path)
    ours = read_hugging_face(tmp_path)
    tokens = torch.randint(0, 99, (2, 40))
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(ours(tokens)), theirs(tokens).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gpt2", {}),
        ("gpt2", {"mlp": "gelu", "tie_embeddings": False, "ffn_hidden": 70}),
        ("llama", {"n_kv_head": 2, "head_dim": 10}),
        ("llama", {"tie_embeddings": True, "rope_theta": 500.0, "norm_eps": 1e-6}),
        ("qwen3", {"n_kv_head": 2, "head_dim": 10, "qk_norm": True}),
        ("gpt_neo", {"windows": (0, 7), "qkv_bias": False}),
        ("gpt_neo", {"windows": (9, 9, 0), "qkv_bias": False, "tie_embeddings": False}),
    ],
)
def test_transformers_reads_what_is_exported(tmp_path: Path, name: str, values: dict[str, object]) -> None:
    tokenizer = Tokenizer.train(["ein kleines Beispiel, 一个小例子"], 300)
    llama = {"positions": "rotary", "norm": "rms", "mlp": "swiglu", "tie_embeddings": False, "bias": False}
    shape = {"n_layer": 3, "n_head": 4, "n_embd": 48, "context_length": 40}
    config = preset(
        "gpt2", tokenizer.vocab_size, **{**shape, **(llama if name in ("llama", "qwen3") else {}), **values}
    )
    ours = new_model(config, seed=1)
    with torch.no_grad():
        for p in ours.parameters():
            p.add_(0.05 * torch.randn_like(p))
    to_hugging_face(ours.eval(), tokenizer, tmp_path / "out")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokens = torch.randint(0, tokenizer.vocab_size, (2, 40))
    with torch.no_grad():
        expected = ours.logits(ours(tokens))
        torch.testing.assert_close(theirs(tokens).logits, expected, rtol=1e-4, atol=1e-5)
        back, cutter = from_hugging_face(tmp_path / "out")
        torch.testing.assert_close(back.logits(back(tokens)), expected)
    text = "一个 small Beispiel"
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.encode(text) == cutter.encode(text) == fast.encode(text, add_special_tokens=False)
    assert theirs.config.model_type == name
    with pytest.raises(ArtifactError, match="holds something already"):
        to_hugging_face(ours, tokenizer, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("gpt2", {"prior": True}, "goes on from an n-gram model, which no other program can run"),
        ("gpt2", {"windows": (0, 16, 24), "qkv_bias": False, "n_layer": 3}, r"windows \(0, 16, 24\)"),
        ("gpt3-nano", {}, r"windows \(0, 64, 0, 64\)"),
        ("nano", {}, "bigram_buckets 20480"),
        ("gpt3-xl", {"windows": (0,), "n_layer": 1, "n_embd": 50, "n_head": 4, "head_dim": 8}, "head_dim 8"),
        ("gpt2", {"n_embd": 45, "n_head": 3, "windows": (16,), "n_layer": 1}, r"windows \(16,\)"),
    ],
)
def test_what_transformers_cannot_run_is_refused(
    tmp_path: Path, name: str, values: dict[str, object], reason: str
) -> None:
    tokenizer = Tokenizer.train(["ein kleines Beispiel"], 300)
    model = new_model(preset(name, tokenizer.vocab_size, **values), seed=1)
    with pytest.raises(ConfigError, match=reason):
        to_hugging_face(model, tokenizer, tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_a_real_model_tells_its_documented_story(shared: Path) -> None:
    folder = shared / "model_stories260k"
    model, tokenizer = from_hugging_face(folder / "hf")
    told = (folder / "stories260K.md").read_text(encoding="utf-8")
    story = told[told.index("Once upon a time") :].split("```")[0].rstrip()
    config = SamplingConfig(max_tokens=400)
    request = Request([tokenizer.control.bos], config)
    made = tokenizer.decode(drawn.token for drawn in generate(model, request))
    assert made.startswith(story)
    assert model.config.vocab_size == tokenizer.vocab_size == 512


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no config\.json"):
        read_hugging_face(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="model_type 'bert'"):
        read_hugging_face(tmp_path)
    neo = {"model_type": "gpt_neo", **NEO, "attention_types": [["global"]]}
    (tmp_path / "config.json").write_text(json.dumps(neo), encoding="utf-8")
    with pytest.raises(ConfigError, match="expected global or local for each"):
        read_hugging_face(tmp_path)
    quantized = {"model_type": "gpt_neo", **NEO, "quantization_config": {"quant_method": "fp8"}}
    (tmp_path / "config.json").write_text(json.dumps(quantized), encoding="utf-8")
    with pytest.raises(ConfigError, match="weights are fp8; expected them in float32, float16 or bfloat16"):
        read_hugging_face(tmp_path)
    for name, value in (("scale_attn_weights", False), ("scale_attn_by_inverse_layer_idx", True)):
        gpt2 = {"model_type": "gpt2", **GPT2, name: value}
        (tmp_path / "config.json").write_text(json.dumps(gpt2), encoding="utf-8")
        with pytest.raises(ConfigError, match=f"{name} {value}"):
            read_hugging_face(tmp_path)
    llama = {"model_type": "llama", **LLAMA, "hidden_act": "gelu"}
    (tmp_path / "config.json").write_text(json.dumps(llama), encoding="utf-8")
    with pytest.raises(ConfigError, match="activation 'gelu'"):
        read_hugging_face(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **LLAMA}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        from_hugging_face(tmp_path)
