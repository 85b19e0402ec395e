"""Families of open models against transformers: whole passes, decoding step by step, and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mynah.errors import ArtifactError, ConfigError
from mynah.generate.state import DecodingState
from mynah.interop.huggingface import from_hugging_face, read_config, read_hugging_face, to_hugging_face
from mynah.model.config import ModelConfig, RopeScaling
from mynah.model.positions import rotary_tables
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")

TOKENIZER = Tokenizer.train(["ein kleines Beispiel, 一个小例子"], 300)
V, T = TOKENIZER.vocab_size, 40
SHAPE = {"vocab_size": V, "hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 4,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": T,
         "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}  # fmt: skip
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}  # fmt: skip
LINEAR = {"rope_type": "linear", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
BANDS = ["sliding_attention", "full_attention"] * 2
GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": 7, "tie_word_embeddings": True,
         "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                             "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}  # fmt: skip

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama3": ("llama", {"rope_parameters": {**LLAMA3, "rope_theta": 5e5}, "head_dim": 16}),
    "llama linear": ("llama", {"rope_parameters": {**LINEAR, "rope_theta": 1e4}}),
    "llama yarn": ("llama", {"rope_parameters": {**YARN, "rope_theta": 1e4}, "tie_word_embeddings": True}),
    "qwen2": ("qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen2 yarn": ("qwen2", {"rope_parameters": {**YARN, "rope_theta": 1e6}, "tie_word_embeddings": True}),
    "qwen2 llama3": ("qwen2", {"rope_parameters": {**LLAMA3, "rope_theta": 1e6}}),
    "qwen2 linear": ("qwen2", {"rope_parameters": {**LINEAR, "rope_theta": 1e6}}),
    "qwen2 windows": ("qwen2", {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1}),
    "qwen3 yarn": ("qwen3", {"rope_parameters": {**YARN, "rope_theta": 1e6, "beta_fast": 8.0}, "head_dim": 20}),
    "qwen3 ratio": ("qwen3", {"rope_parameters": {**YARN, "rope_theta": 1e6, "mscale": 1.2, "mscale_all_dim": 0.7}}),
    "qwen3 linear": ("qwen3", {"rope_parameters": {**LINEAR, "rope_theta": 1e6}, "head_dim": 16}),
    "qwen3 llama3": ("qwen3", {"rope_parameters": {**LLAMA3, "rope_theta": 1e6}, "head_dim": 16}),
    "qwen3 windows": ("qwen3", {"use_sliding_window": True, "sliding_window": 9, "layer_types": BANDS}),
    "mistral": ("mistral", {"sliding_window": 9}),
    "mistral dense": ("mistral", {"sliding_window": None, "head_dim": 10}),
    "mistral wide": ("mistral", {"sliding_window": 4096}),
    "smollm3": ("smollm3", {}),
    "smollm3 listed": ("smollm3", {"no_rope_layers": [0, 1, 0, 1], "tie_word_embeddings": False}),
    "smollm3 yarn": ("smollm3", {"rope_parameters": {**YARN, "rope_theta": 2e6}, "no_rope_layer_interval": 2}),
    "smollm3 windows": ("smollm3", {"use_sliding_window": True, "sliding_window": 6}),
    "gemma3": ("gemma3_text", {**GEMMA, "layer_types": BANDS}),
    "gemma3 pattern": ("gemma3_text", {**GEMMA, "sliding_window_pattern": 3}),
    "gemma3 capped": ("gemma3_text", {**GEMMA, "layer_types": BANDS, "final_logit_softcapping": 3.0}),
    "gemma3 scaled": ("gemma3_text", {**GEMMA, "layer_types": BANDS, "rope_parameters": {
        "full_attention": {**LINEAR, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}),
}  # fmt: skip
#: What a llama says as well.
SAID_BY_LLAMA = {"mistral dense"}


def tiny(case: str) -> Any:
    """Return a random model of transformers."""
    kind, values = CASES[case]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **{**SHAPE, **json.loads(json.dumps(values))})
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():  # biases and scales begin as 0 and 1, which would hide a swap
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def logits_of(model: Transformer, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return model.logits(model(tokens))


def close(found: Tensor, expected: Tensor, rtol: float = 1e-4) -> None:
    """Compare with what the logits are large."""
    assert float((found - expected).abs().max()) <= rtol * float(expected.abs().max())


@pytest.mark.parametrize("case", CASES)
def test_a_family_is_computed_as_transformers_does(tmp_path: Path, case: str) -> None:
    theirs = tiny(case)
    theirs.save_pretrained(tmp_path / "in")
    ours = read_hugging_face(tmp_path / "in")
    tokens = torch.randint(0, V, (2, T))
    with torch.no_grad():
        expected = theirs(tokens).logits
    close(logits_of(ours, tokens), expected)
    # Step by step: rows of unequal lengths, then one token each, then some at once.
    state = DecodingState(ours)
    rows = [tokens[0].tolist(), tokens[1].tolist()]
    close(state.add([rows[0][:5], rows[1][:11]])[1], expected[1, 10])
    for step in range(12):
        found = state.append([[rows[0][5 + step]], [rows[1][11 + step]]])
        close(found[0], expected[0, 5 + step])
        close(found[1], expected[1, 11 + step])
    found = state.append([rows[0][17:40], rows[1][23:30]])
    close(found[0], expected[0, 39])
    close(found[1], expected[1, 29])
    # And back.
    to_hugging_face(ours, TOKENIZER, tmp_path / "out")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    kind = "llama" if case in SAID_BY_LLAMA else CASES[case][0]
    assert again.config.model_type == kind
    with torch.no_grad():
        close(again(tokens).logits, expected)
    assert read_config(tmp_path / "out")[1] == ours.config
    close(logits_of(from_hugging_face(tmp_path / "out")[0], tokens), expected)


@pytest.mark.parametrize("case", [case for case, (_, values) in CASES.items() if "rope_parameters" in values])
def test_settings_of_transformers_4_are_read(tmp_path: Path, case: str) -> None:
    tiny(case).save_pretrained(tmp_path)
    new = read_config(tmp_path)[1]
    path = tmp_path / "config.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    rope = said.pop("rope_parameters")
    if "full_attention" in rope:
        said["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    said["rope_theta"] = rope.pop("rope_theta")
    rope["type"] = rope.pop("rope_type")
    said["rope_scaling"] = rope if rope["type"] != "default" else None
    path.write_text(json.dumps(said), encoding="utf-8")
    assert read_config(tmp_path)[1] == new


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rotary scaling 'dynamic'.*linear, llama3, yarn"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "rotary scaling 'longrope'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
        ({"attention_bias": True}, "biases .attention_bias. are not supported"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0.5}}, "factor: Input should be greater"),
        ({"rope_scaling": {"rope_type": "llama3", **LLAMA3, "low_freq_factor": 5.0}}, "low_freq_factor 5"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "by kind of layer"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"model_type": "gemma3_text", "attn_logit_softcapping": 50.0}, "attn_logit_softcapping 50"),
        ({"model_type": "gemma3_text", "hidden_activation": "gelu"}, "activation 'gelu'"),
        ({"model_type": "gemma3_text", "sliding_window": None}, "sliding_window None: expected"),
        ({"model_type": "qwen3", "use_sliding_window": True, "layer_types": ["chunked_attention"] * 4}, "layer_types"),
        ({"model_type": "smollm3", "no_rope_layers": [1, 0]}, "no_rope_layers: expected"),
        ({"model_type": "phi3"}, "model_type 'phi3'; Mynah reads gpt2, gpt_neo, llama, qwen2, qwen3, mistral, smollm3"),
        ({"model_type": "gemma3"}, "model_type 'gemma3'; .* gemma3_text"),
        ({"model_type": ["llama"]}, "model_type ..llama..; Mynah reads"),
    ],
)  # fmt: skip
def test_what_is_not_computed_is_refused_in_a_line(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    config = {"model_type": "llama", **SHAPE, **changes}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConfigError, match=reason) as error:
        from_hugging_face(tmp_path)
    assert "\n" not in str(error.value)


def test_a_config_without_what_it_needs_is_named(tmp_path: Path) -> None:
    config = {"model_type": "llama", **SHAPE, "rope_scaling": {"rope_type": "linear"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"config\.json: a key is missing.*factor"):
        read_config(tmp_path)


def test_missing_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    tiny("llama").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**said, "model_type": "qwen3", "head_dim": 12}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tensor layers\.0\.self_attn\.q_norm\.weight is missing"):
        read_hugging_face(tmp_path)
    path.write_text(json.dumps({**said, "intermediate_size": 99}), encoding="utf-8")
    with pytest.raises(
        ArtifactError, match=r"mlp\.gate_proj\.weight has shape \(100, 48\), expected \(99, 48\)"
    ):
        read_hugging_face(tmp_path)
    path.write_text(json.dumps({**said, "head_dim": 24, "num_key_value_heads": 1}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"o_proj\.weight has shape \(48, 48\), expected \(48, 96\)"):
        read_hugging_face(tmp_path)


def test_tensors_without_a_place_are_named(tmp_path: Path) -> None:
    theirs = tiny("qwen2")
    tensors = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(6) for i in range(4)}
    theirs.save_pretrained(tmp_path, state_dict=theirs.state_dict() | tensors)
    read_hugging_face(tmp_path)
    path = tmp_path / "config.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**said, "model_type": "llama"}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"layers\.0\.self_attn\.k_proj\.bias has no place in a llama"):
        read_hugging_face(tmp_path)


LLAMA_1B = {"model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "head_dim": 64,
            "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "rope_theta": 5e5,
            "max_position_embeddings": 131072, "tie_word_embeddings": True,
            "rope_scaling": {**LLAMA3, "factor": 32.0, "original_max_position_embeddings": 8192}}  # fmt: skip
#: What config.json of published models says, as far as it is read, and how many parameters they are known to have.
PUBLISHED = {
    "Llama-3.2-1B": (1_235_814_400, LLAMA_1B),
    "Qwen2.5-0.5B": (494_032_768, {
        "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "rope_theta": 1e6,
        "max_position_embeddings": 32768, "tie_word_embeddings": True, "use_sliding_window": False,
        "sliding_window": 32768, "max_window_layers": 24}),
    "Mistral-7B-v0.1": (7_241_732_096, {
        "model_type": "mistral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "sliding_window": 4096,
        "max_position_embeddings": 32768, "tie_word_embeddings": False}),
    "SmolLM3-3B": (3_075_098_624, {
        "model_type": "smollm3", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 11008,
        "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4, "rope_theta": 5e6,
        "max_position_embeddings": 65536, "no_rope_layer_interval": 4, "use_sliding_window": False}),
    "gemma-3-1b": (999_885_952, {
        "model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152, "intermediate_size": 6912,
        "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
        "max_position_embeddings": 32768, "sliding_window": 512, "sliding_window_pattern": 6,
        "rope_theta": 1e6, "rope_local_base_freq": 10000, "rope_scaling": None, "query_pre_attn_scalar": 256}),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_as_many_parameters_as_is_known(tmp_path: Path, name: str) -> None:
    known, said = PUBLISHED[name]
    (tmp_path / "config.json").write_text(json.dumps(said), encoding="utf-8")
    assert read_config(tmp_path)[1].n_params() == known


def test_linear_scaling_is_positions_that_are_nearer() -> None:
    scaling = RopeScaling(rope_type="linear", factor=4.0)
    found = rotary_tables(torch.arange(0, 40, 4), 16, 1e4, scaling)
    torch.testing.assert_close(found, rotary_tables(torch.arange(10), 16, 1e4))


def test_llama3_scaling_by_hand() -> None:
    """Of a context of 100: a pair that turns 100 / 2 pi times stays, one of 0.0159 turns is divided by the factor."""
    scaling = RopeScaling(rope_type="llama3", factor=8.0, original_context_length=100)
    cos, sin = rotary_tables(torch.tensor([1]), 4, 1e6, scaling)
    torch.testing.assert_close(cos[0, 0], torch.tensor(1.0).cos())
    torch.testing.assert_close(sin[0, 1], torch.tensor(1e-3 / 8).sin())
    # 2.5 turns are in the middle between 1 and 4: half of the frequency stays, half is divided.
    theta = (100 / (2 * torch.pi * 2.5)) ** 2
    _, sin = rotary_tables(torch.tensor([1]), 4, theta, scaling)
    torch.testing.assert_close(sin[0, 1], torch.tensor(theta**-0.5 * (0.5 + 0.5 / 8)).sin())


def test_yarn_by_hand() -> None:
    scaling = RopeScaling(rope_type="yarn", factor=torch.e**2, original_context_length=64)
    assert scaling.attention_factor == pytest.approx(1.2)
    cos, _ = rotary_tables(torch.tensor([0]), 8, 1e4, scaling)
    torch.testing.assert_close(cos, torch.full((1, 4), 1.2))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "needs original_context_length"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "attention_factor": 1.1}}, "no attention_factor"),
        ({"positions": "learned", "rope_local_theta": 5.0}, "rope_local_theta: only with positions 'rotary'"),
        ({"positions": "learned", "rotary_layers": (False,)}, "rotary_layers: only with"),
        ({"rotary_layers": ()}, "rotary_layers: expected true or false"),
        ({"query_pre_attn_scalar": 0}, "query_pre_attn_scalar"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ModelConfig(vocab_size=9, context_length=8, n_layer=1, n_head=1, n_embd=8, **changes)


def test_bfloat16_stays_bfloat16(tmp_path: Path) -> None:
    theirs = tiny("gemma3").to(torch.bfloat16)
    theirs.save_pretrained(tmp_path)
    ours = read_hugging_face(tmp_path, torch.bfloat16)
    assert {p.dtype for p in ours.parameters()} == {torch.bfloat16}
    assert ours.head.weight is ours.embed.weight
    tokens = torch.randint(0, V, (2, T))
    with torch.no_grad():
        close(logits_of(ours, tokens).float(), theirs(tokens).logits.float(), rtol=0.05)
        exact = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
        close(logits_of(read_hugging_face(tmp_path), tokens), exact(tokens).logits)
    gpt2 = transformers.GPT2Config(vocab_size=V, n_positions=T, n_embd=48, n_layer=2, n_head=4)
    transformers.GPT2LMHeadModel(gpt2).save_pretrained(tmp_path / "gpt2")
    assert {p.dtype for p in read_hugging_face(tmp_path / "gpt2", torch.bfloat16).parameters()} == {
        torch.bfloat16
    }
    TOKENIZER.save(tmp_path)
    assert from_hugging_face(tmp_path, torch.bfloat16)[0].embed.weight.dtype == torch.bfloat16
    to_hugging_face(ours, TOKENIZER, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))["dtype"] == "bfloat16"
