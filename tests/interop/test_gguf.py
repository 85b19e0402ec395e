"""GGUF files: read as transformers reads them, and refused where they are damaged."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mynah.data.records import Message
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.gguf_file import gguf_to_hugging_face, is_gguf
from mynah.interop.huggingface import from_hugging_face
from mynah.tokenizer.tokenizer import Tokenizer

gguf = pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXTS = ["Where is my parcel? It's late.", "你好，请问什么时候发货？", "Order 12345 has 3 items."] * 8
WIDTH, HEADS, GROUPS, LAYERS = 64, 4, 2, 2
TALK = [Message("user", "Where is  order 12345?\n"), Message("assistant", "late"), Message("user", "ok")]


def vocabulary() -> tuple[list[str], list[str]]:
    """Return tokens and merges of a small byte-level BPE."""
    import json

    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, trainers

    made = Backend(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=320, special_tokens=SPECIAL, initial_alphabet=sorted(alphabet), show_progress=False
        ),
    )
    model = json.loads(made.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [" ".join(pair) for pair in model["merges"]]


def in_pairs(rows: np.ndarray, heads: int) -> np.ndarray:
    """Put the rows of queries and keys as llama.cpp has them."""
    return rows.reshape(heads, 2, len(rows) // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def write(path: Path, kind: str = "F32", architecture: str = "llama", **changes: Any) -> Path:
    """Write a model with random weights."""
    tokens, merges = vocabulary()
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(GROUPS)
    writer.add_rope_freq_base(500.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(changes.get("tokenizer", "gpt2"))
    writer.add_tokenizer_pre(changes.get("pre", "gpt-2"))
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(changes.get("bos", 1))
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHATML)
    generator = np.random.default_rng(0)

    def add(name: str, *shape: int, heads: int = 0) -> None:
        values = (generator.standard_normal(shape) / shape[-1] ** 0.5).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values + 1)
            return
        values = in_pairs(values, heads) if heads else values
        numbers = gguf.GGMLQuantizationType[kind]
        data = gguf.quantize(values, numbers)
        writer.add_tensor(name, data, raw_dtype=numbers)

    add("token_embd.weight", len(tokens), WIDTH)
    add("output_norm.weight", WIDTH)
    for i in range(LAYERS):
        for name, *shape in (
            ("attn_norm", WIDTH), ("ffn_norm", WIDTH), ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", 96, WIDTH), ("ffn_up", 96, WIDTH), ("attn_v", WIDTH // 2, WIDTH),
        ):  # fmt: skip
            add(f"blk.{i}.{name}.weight", *shape)
        add(f"blk.{i}.attn_q.weight", WIDTH, WIDTH, heads=HEADS)
        add(f"blk.{i}.attn_k.weight", WIDTH // 2, WIDTH, heads=GROUPS)
        add(f"blk.{i}.ffn_down.weight", WIDTH, 96)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_logits_and_ids_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "model.gguf", kind)
    (tmp_path / "hf").mkdir()
    gguf_to_hugging_face(path, tmp_path / "hf")
    ours, tokenizer = from_hugging_face(tmp_path / "hf")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype=torch.float32
    ).eval()
    cutter = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    dicts = [{"role": m.role, "content": m.content} for m in TALK]
    ids = cutter.apply_chat_template(dicts, add_generation_prompt=True)["input_ids"]
    assert tokenizer.template.prompt(TALK) == list(ids)
    assert list(again.apply_chat_template(dicts, add_generation_prompt=True)["input_ids"]) == list(ids)
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits
        close = 1e-4 * float(expected.abs().max())
        torch.testing.assert_close(ours.logits(ours(torch.tensor([ids]))), expected, rtol=0, atol=close)
    assert tokenizer.control.bos == 1
    assert tokenizer.template.stop_ids == {2}


def test_digits_are_cut_one_by_one_where_the_file_says_so(tmp_path: Path) -> None:
    for pre in ("gpt-2", "smollm", "llama-bpe", "qwen2"):
        (tmp_path / pre).mkdir()
        gguf_to_hugging_face(write(tmp_path / f"{pre}.gguf", pre=pre), tmp_path / pre)
    plain, apart, threes, ones = (
        [tokenizer.show(i) for i in tokenizer.encode("Order 12345 has")]
        for tokenizer in (Tokenizer.load(tmp_path / pre) for pre in ("gpt-2", "smollm", "llama-bpe", "qwen2"))
    )
    assert "345" in plain
    assert "345" in threes or " 12" not in threes
    for one_by_one in (apart, ones):
        assert [piece.strip() for piece in one_by_one if piece.strip().isdigit()] == list("12345")
    assert "".join(plain) == "".join(apart) == "".join(threes) == "".join(ones) == "Order 12345 has"


def test_damaged_files_are_told_in_one_line(tmp_path: Path) -> None:
    whole = write(tmp_path / "model.gguf", "Q8_0").read_bytes()
    out = tmp_path / "out"

    def refused(data: bytes, match: str) -> None:
        out.mkdir(exist_ok=True)
        path = tmp_path / "bad.gguf"
        path.write_bytes(data)
        with pytest.raises((ArtifactError, ConfigError), match=match) as caught:
            gguf_to_hugging_face(path, out)
        assert "\n" not in str(caught.value)

    for length in (0, 3, 20, 100, 2000, len(whole) // 2, len(whole) - 100):
        refused(whole[:length], "bad.gguf")
    refused(b"PK" + whole[2:], "not a GGUF file")
    refused(whole[:4] + struct.pack("<I", 9) + whole[8:], "version 9")
    refused(whole[:8] + struct.pack("<QQ", 1 << 60, 3) + whole[24:], "damaged: names")
    key = whole.index(b"tokenizer.ggml.token_type") + len("tokenizer.ggml.token_type")
    refused(whole[: key + 8] + struct.pack("<Q", 1 << 60) + whole[key + 16 :], "damaged or cut short")
    kind = whole.index(b"blk.0.ffn_up.weight") + len("blk.0.ffn_up.weight") + 4 + 16
    refused(whole[:kind] + struct.pack("<I", 250) + whole[kind + 4 :], "unknown quantization")
    size = kind - 16
    refused(whole[:size] + struct.pack("<Q", 1 << 40) + whole[size + 8 :], "damaged")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"architecture": "mamba"}, "architecture 'mamba'; Mynah reads llama"),
        ({"tokenizer": "llama"}, "its tokenizer is 'llama' with pre-tokenizer 'gpt-2'"),
        ({"pre": "jais"}, "pre-tokenizer 'jais'"),
        ({"bos": 4000}, "its bos_token is id 4000"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    path = write(tmp_path / "model.gguf", **changes)
    (tmp_path / "out").mkdir()
    with pytest.raises((ArtifactError, ConfigError), match=match):
        gguf_to_hugging_face(path, tmp_path / "out")


def test_what_is_a_gguf_file(tmp_path: Path) -> None:
    assert is_gguf(write(tmp_path / "model.gguf"))
    assert not is_gguf(tmp_path)
    assert not is_gguf(tmp_path / "none")
