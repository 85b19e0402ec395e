from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mynah.errors import ArtifactError, ConfigError
from mynah.interop.adapters import CONFIG, WEIGHTS, read_adapter, write_adapter
from mynah.interop.huggingface import from_hugging_face, read_hugging_face
from mynah.model.lora import (
    LoRAConfig,
    adapted,
    adapter_tensors,
    adapters_off,
    add_adapter,
    load_adapter_tensors,
    merge_adapter,
)
from mynah.model.transformer import Transformer
from mynah.model.weights import load_tensors
from mynah.tokenizer.tokenizer import Tokenizer


def lora(**settings: Any) -> LoRAConfig:
    """Return the shape of an adapter on all blocks."""
    return LoRAConfig(**{"layers": 1.0, **settings})


transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

GPT2 = {"vocab_size": 99, "n_positions": 40, "n_embd": 48, "n_layer": 2, "n_head": 4,
        "bos_token_id": 0, "eos_token_id": 0}  # fmt: skip
LLAMA = {"vocab_size": 99, "hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 40}  # fmt: skip
NEO = {"vocab_size": 99, "hidden_size": 48, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 40,
       "attention_types": [[["global", "local"], 1]], "window_size": 7}  # fmt: skip
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", GPT2),
    "gpt_neo": ("GPTNeoConfig", NEO),
    "llama": ("LlamaConfig", LLAMA),
    "qwen3": ("Qwen3Config", {**LLAMA, "head_dim": 20, "tie_word_embeddings": True}),
}
#: PEFT's names of all linear maps of the blocks
MODULES = {
    "gpt2": ["c_attn", "c_proj", "c_fc"],
    "gpt_neo": ["q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj"],
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}
MODULES["qwen3"] = MODULES["llama"]
TOKENS = torch.randint(0, 99, (2, 20), generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Directories of tiny random models, by family."""
    made: dict[str, Path] = {}

    def base(name: str) -> Path:
        if name not in made:
            kind, values = KINDS[name]
            torch.manual_seed(0)
            config = getattr(transformers, kind)(**values)
            model = transformers.AutoModelForCausalLM.from_config(config)
            with torch.no_grad():  # biases and scales begin as 0 and 1, which would hide a swap
                for p in model.parameters():
                    p.add_(0.1 * torch.randn_like(p))
            made[name] = tmp_path_factory.mktemp(name)
            model.save_pretrained(made[name])
        return made[name]

    return base


def close_to(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Logits are the same within 1e-4 of the largest: the smallest of them are what is left of large numbers."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def ours_of(directory: Path) -> Transformer:
    return read_hugging_face(directory)


def theirs_of(directory: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(directory).eval()


@torch.no_grad()
def logits_of(model: Transformer) -> torch.Tensor:
    return model.logits(model(TOKENS))


def random(tensors: dict[str, torch.Tensor]) -> None:
    """Fill an adapter with numbers that show in the logits; lengths stay near what they are."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in sorted(tensors.items()):
        noise = 0.2 * torch.randn(tensor.shape, generator=generator)
        with torch.no_grad():
            tensor.add_(tensor * noise if "magnitude" in name else noise)


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "some": {"targets": ("qkv", "down")},
    "joint": {"joint_qkv": True},
    "last layers": {"layers": 0.5},
    "some of the last": {"layers": 0.5, "targets": ("qkv", "down"), "dora": True},
    "joint dora": {"joint_qkv": True, "dora": True},
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_peft_computes_what_we_wrote(
    tmp_path: Path, bases: Callable[[str], Path], name: str, variant: str
) -> None:
    config = lora(rank=3, alpha=5.0, **VARIANTS[variant])
    ours = ours_of(bases(name))
    before = logits_of(ours)
    add_adapter(ours, config, 0)
    random(adapter_tensors(ours))
    write_adapter(ours, config, tmp_path / "out", str(bases(name)))
    expected = logits_of(ours)
    assert (expected - before).abs().max() > 0.05
    theirs = peft.PeftModel.from_pretrained(theirs_of(bases(name)), tmp_path / "out").eval()
    with torch.no_grad():
        close_to(theirs(TOKENS).logits, expected)
    # PEFT gives its own files the same names and shapes.
    theirs.save_pretrained(tmp_path / "again")
    found, wanted = (load_file(tmp_path / where / WEIGHTS) for where in ("out", "again"))
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in wanted.items()}
    said, meant = (json.loads((tmp_path / where / CONFIG).read_text()) for where in ("out", "again"))
    assert sorted(said["target_modules"]) == sorted(meant["target_modules"])
    assert {key: value for key, value in said.items() if key != "target_modules"}.items() <= meant.items()
    # And we read it back.
    again, tensors = read_adapter(tmp_path / "out", ours.config)
    other = ours_of(bases(name))
    add_adapter(other, again, 1)
    load_adapter_tensors(other, tensors, tmp_path / "out")
    close_to(logits_of(other), expected)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"use_dora": True}, {"lora_alpha": 3}])
def test_we_compute_what_peft_wrote(
    tmp_path: Path, bases: Callable[[str], Path], name: str, settings: dict[str, Any]
) -> None:
    config = peft.LoraConfig(
        r=4, target_modules=MODULES[name], lora_dropout=0.1, fan_in_fan_out=name == "gpt2",
        task_type="CAUSAL_LM", **settings,
    )  # fmt: skip
    theirs = peft.get_peft_model(theirs_of(bases(name)), config).eval()
    random({n: p for n, p in theirs.named_parameters() if "lora_" in n})
    theirs.save_pretrained(tmp_path)
    ours = ours_of(bases(name))
    base = logits_of(ours)
    read, tensors = read_adapter(tmp_path, ours.config)
    assert (read.rank, read.dropout, read.joint_qkv) == (4, 0.1, name == "gpt2")
    add_adapter(ours, read, 0)
    load_adapter_tensors(ours, tensors, tmp_path)
    with torch.no_grad():
        expected = theirs(TOKENS).logits
    close_to(logits_of(ours), expected)
    with adapters_off(ours):
        assert torch.equal(logits_of(ours), base)
    merged = Transformer(ours.config)
    load_tensors(merged, merge_adapter(ours), tmp_path)
    close_to(logits_of(merged.eval()), expected)
    write_adapter(ours, read, tmp_path / "out", "base")
    ours_written, theirs_written = load_file(tmp_path / "out" / WEIGHTS), load_file(tmp_path / WEIGHTS)
    assert ours_written.keys() == theirs_written.keys()
    for key, tensor in theirs_written.items():
        torch.testing.assert_close(
            ours_written[key], tensor, rtol=1e-6, atol=1e-7
        )  # queries of gpt_neo are scaled


def test_names_are_those_of_peft(tmp_path: Path, bases: Callable[[str], Path]) -> None:
    """The names as its documentation has them, so that a mistake of both sides would show."""
    for name, expected in (
        ("llama", "base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight"),
        ("gpt2", "base_model.model.transformer.h.1.attn.c_attn.lora_A.weight"),
    ):
        ours, config = ours_of(bases(name)), lora(rank=2)
        add_adapter(ours, config, 0)
        write_adapter(ours, config, tmp_path / name, "base")
        assert expected in load_file(tmp_path / name / WEIGHTS)
    said = json.loads((tmp_path / "gpt2" / CONFIG).read_text())
    assert said["fan_in_fan_out"]
    assert said["target_modules"] == ["c_attn", "c_fc", "c_proj"]
    assert said["r"] == 6  # queries, keys and values had a pair each
    ours, config = ours_of(bases("gpt2")), lora(rank=2, targets=("down",))
    add_adapter(ours, config, 0)
    write_adapter(ours, config, tmp_path / "down", "base")
    assert json.loads((tmp_path / "down" / CONFIG).read_text())["target_modules"] == ["mlp.c_proj"]


def test_some_parts_of_attention_in_some_layers(tmp_path: Path, bases: Callable[[str], Path]) -> None:
    """PEFT's own default for Llama is queries and values alone; what it leaves out stays as it is in training, too."""
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], layers_to_transform=[1])
    theirs = peft.get_peft_model(theirs_of(bases("llama")), config).eval()
    random({n: p for n, p in theirs.named_parameters() if "lora_" in n})
    theirs.save_pretrained(tmp_path)
    ours = ours_of(bases("llama"))
    read, tensors = read_adapter(tmp_path, ours.config)
    assert read.targets == ("qkv",)
    assert read.first_layer(ours.config.n_layer) == 1
    add_adapter(ours, read, 0)
    load_adapter_tensors(ours, tensors, tmp_path)
    with torch.no_grad():
        close_to(logits_of(ours), theirs(TOKENS).logits)
    ours.loss(ours(TOKENS), TOKENS.roll(-1, 1)).backward()
    for name, module in adapted(ours).items():
        keys = slice(4, 8)  # of rows of A
        assert not module.lora_a.grad[keys].any(), name
        assert (
            bool(module.lora_a.grad.any()) == bool(module.lora_b.grad.any()) == name.startswith("blocks.1.")
        )


def test_a_base_whose_tokenizer_has_more_tokens_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    Tokenizer.train(["ein kleines Beispiel"], 300).save(base)
    config = transformers.LlamaConfig(**{**LLAMA, "vocab_size": 250})
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(base)
    with pytest.raises(
        ArtifactError, match=r"the tokenizer has .* tokens, the model 250; expected the tokenizer"
    ):
        from_hugging_face(base)


# What is refused


@pytest.fixture
def written(tmp_path: Path, bases: Callable[[str], Path]) -> tuple[Path, Transformer]:
    """An adapter on the disk, and its model."""
    ours, config = ours_of(bases("llama")), lora(rank=2, targets=("qkv", "up"))
    add_adapter(ours, config, 0)
    write_adapter(ours, config, tmp_path / "adapter", "base")
    return tmp_path / "adapter", ours


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "IA3"}, "peft_type 'IA3'; Mynah reads LORA alone"),
        ({"bias": "lora_only"}, "bias 'lora_only'"),
        ({"rank_pattern": {"q_proj": 4}}, "has rank_pattern"),
        ({"alpha_pattern": {"q_proj": 4}}, "has alpha_pattern"),
        ({"modules_to_save": ["lm_head"]}, "has modules_to_save"),
        ({"trainable_token_indices": [1]}, "has trainable_token_indices"),
        ({"lora_bias": True}, "has lora_bias"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa' changes the base's weights"),
        ({"r": "much"}, "rank: "),
    ],
)
def test_settings_that_mynah_has_not(
    written: tuple[Path, Transformer], changes: dict[str, Any], reason: str
) -> None:
    directory, model = written
    path = directory / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ConfigError, match=reason) as told:
        read_adapter(directory, model.config)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def change(directory: Path, changes: dict[str, torch.Tensor | None]) -> None:
    tensors = load_file(directory / WEIGHTS) | changes
    save_file({name: t for name, t in tensors.items() if t is not None}, directory / WEIGHTS)


FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({FIRST: None}, "q_proj.lora_A.weight is missing"),
        ({FIRST: torch.zeros(2, 47)}, r"has shape \(2, 47\), expected \(2, 48\)"),
        ({FIRST: torch.zeros(3, 48)}, r"has shape \(3, 48\), expected \(2, 48\)"),
        ({"base_model.model.model.embed_tokens.lora_embedding_A": torch.zeros(2, 99)}, "embed_tokens"),
        ({"base_model.model.lm_head.lora_A.weight": torch.zeros(2, 48)}, "lm_head"),
        ({FIRST.replace("layers.0", "layers.2"): torch.zeros(2, 48)}, r"layers\.2.*llama, 2 layers"),
        ({FIRST.replace("lora_A.weight", "lora_magnitude_vector"): torch.zeros(48)}, "magnitude"),
    ],
)
def test_tensors_that_are_not_of_the_model(
    written: tuple[Path, Transformer], changes: dict[str, torch.Tensor | None], reason: str
) -> None:
    directory, model = written
    change(directory, changes)
    with pytest.raises(ArtifactError, match=reason) as told:
        read_adapter(directory, model.config)
    assert str(directory / WEIGHTS) in str(told.value)


def test_dora_of_keys_left_out_is_refused(tmp_path: Path, bases: Callable[[str], Path]) -> None:
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], use_dora=True)
    peft.get_peft_model(theirs_of(bases("llama")), config).save_pretrained(tmp_path)
    with pytest.raises(ArtifactError, match=r"k_proj.* is missing"):
        read_adapter(tmp_path, ours_of(bases("llama")).config)


def test_an_adapter_of_another_family(
    written: tuple[Path, Transformer], bases: Callable[[str], Path]
) -> None:
    with pytest.raises(ArtifactError, match=r"of no linear map .* \(gpt2, 2 layers\)"):
        read_adapter(written[0], ours_of(bases("gpt2")).config)


def test_files_that_are_missing(written: tuple[Path, Transformer], tmp_path: Path) -> None:
    directory, model = written
    with pytest.raises(ArtifactError, match="a directory that PEFT has written"):
        read_adapter(tmp_path / "nowhere", model.config)
    (directory / WEIGHTS).rename(directory / "adapter_model.bin")
    with pytest.raises(ArtifactError, match="a pickle, which Mynah does not open"):
        read_adapter(directory, model.config)
    (directory / "adapter_model.bin").unlink()
    with pytest.raises(ArtifactError, match=r"adapter_model\.safetensors: missing"):
        read_adapter(directory, model.config)
    (directory / CONFIG).write_text("[]")
    with pytest.raises(ArtifactError, match="damaged"):
        read_adapter(directory, model.config)


def test_what_cannot_be_written(
    written: tuple[Path, Transformer], tmp_path: Path, bases: Callable[[str], Path]
) -> None:
    directory, model = written
    config = lora(rank=2, targets=("qkv", "up"))
    with pytest.raises(ArtifactError, match="holds something already"):
        write_adapter(model, config, directory, "base")
    with pytest.raises(ConfigError, match="query_key_value has an adapter with rank 2, the config says 4"):
        write_adapter(model, config.model_copy(update={"rank": 4}), tmp_path / "new", "base")
    with pytest.raises(ConfigError, match="with joint_qkv False, the config says True"):
        write_adapter(model, config.model_copy(update={"joint_qkv": True}), tmp_path / "new", "base")
    with pytest.raises(ConfigError, match="no adapter"):
        write_adapter(ours_of(bases("llama")), config, tmp_path / "new", "base")
    assert not (tmp_path / "new").exists()
