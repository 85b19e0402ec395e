"""Weights on disk: in shards, lost, stale, as pickles, damaged; and what reading them takes."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mynah.errors import ArtifactError
from mynah.interop.huggingface import from_hugging_face, read_hugging_face, to_hugging_face
from mynah.interop.sources import SafetensorsSource, check_has_weights, weight_files
from mynah.model.config import ModelConfig
from mynah.model.tensor_files import write_tensors
from mynah.model.weights import new_model
from mynah.pipeline.open_run import open_run
from mynah.tokenizer.tokenizer import Tokenizer

CASE = Path("cases/40-hf-shards-and-bin/hf")


@pytest.fixture
def cases(shared: Path) -> Path:
    for place in (shared, shared.parent):
        if (place / CASE).is_dir():
            return place / CASE
    pytest.skip(f"no {CASE} in {shared.parent}")


def test_shards_are_read_whole(cases: Path) -> None:
    sharded, _ = from_hugging_face(cases / "sharded")
    stale, _ = from_hugging_face(cases / "stale")  # of which the index names what is not there
    halved, _ = from_hugging_face(cases / "bf16")
    kept, _ = from_hugging_face(cases / "bf16", torch.bfloat16)
    assert len(weight_files(cases / "sharded")) == 7
    assert weight_files(cases / "stale") == [cases / "stale" / "model.safetensors"]
    for name, tensor in sharded.state_dict().items():
        assert torch.equal(tensor, stale.state_dict()[name])
        rows = slice(332) if name in ("embed.weight", "head.weight") else ...  # the others are means
        torch.testing.assert_close(halved.state_dict()[name][rows], tensor[rows], rtol=2**-8, atol=1e-30)
        assert torch.equal(halved.state_dict()[name].bfloat16(), kept.state_dict()[name])


def test_shards_are_those_of_transformers(cases: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokens = torch.arange(60)[None]
    for name in ("sharded", "bf16"):
        theirs = transformers.AutoModelForCausalLM.from_pretrained(cases / name, dtype=torch.float32).eval()
        ours = read_hugging_face(cases / name)
        with torch.no_grad():
            torch.testing.assert_close(ours.logits(ours(tokens)), theirs(tokens).logits, rtol=1e-4, atol=5e-5)


def test_a_lost_shard_is_named(cases: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"names model-00002-of-00007\.safetensors, which is not there .6 of 7 "
    ):
        open_run(cases / "lost")


def test_pickles_alone_are_refused(cases: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"in pytorch_model\.bin alone, pickles.*convert them to safetensors"
    ):
        open_run(cases / "bin")


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    for name in ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"in pytorch_model-00001-of-00002\.bin and 1 more alone"):
        from_hugging_face(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_an_adapter_alone_names_its_base(tmp_path: Path) -> None:
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter), encoding="utf-8")
    write_tensors(tmp_path / "adapter_model.safetensors", {"a": torch.ones(2)})
    for opens in (from_hugging_face, read_hugging_face, open_run):
        with pytest.raises(
            ArtifactError, match=r"only an adapter .of HuggingFaceTB/SmolLM2-135M.*the base is needed"
        ):
            opens(tmp_path)
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    (tmp_path / "training_args.bin").write_bytes(b"")
    with pytest.raises(ArtifactError, match="only an adapter"):
        check_has_weights(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match="of a base that it does not name"):
        check_has_weights(tmp_path)


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", "..", "", 3, None, "a\\b"])
def test_an_index_names_files_beside_it(tmp_path: Path, shard: object) -> None:
    index = {"weight_map": {"a": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ArtifactError, match="expected a weight_map of names of files beside it"):
        weight_files(tmp_path)


@pytest.mark.parametrize("index", ["[]", "{}", '{"weight_map": []}', "{"])
def test_a_damaged_index_is_named(tmp_path: Path, index: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"index\.json"):
        weight_files(tmp_path)


def test_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"model\.safetensors: missing"):
        SafetensorsSource(tmp_path)


class Trap:
    """Writes a file when a pickle of it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def _with_header(header: dict[str, Any], data: bytes = b"") -> bytes:
    said = json.dumps(header).encode()
    return struct.pack("<Q", len(said)) + said + data


def _tensor(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


DAMAGED = {
    "header of gigabytes": struct.pack("<Q", 5 << 30) + b"{}",
    "header of all there is": b"\xff" * 64,
    "header that is no JSON": struct.pack("<Q", 8) + b"}}}}}}}}",
    "cut short": _with_header({"a": _tensor(0, 16, [4])}, b"\0" * 9),
    "cut in the header": _with_header({"a": _tensor(0, 16, [4])})[:20],
    "empty": b"",
    "overlap": _with_header({"a": _tensor(0, 16, [4]), "b": _tensor(8, 24, [4])}, b"\0" * 24),
    "hole": _with_header({"a": _tensor(0, 16, [4]), "b": _tensor(24, 40, [4])}, b"\0" * 40),
    "backwards": _with_header({"a": _tensor(16, 0, [4])}, b"\0" * 16),
    "shape of more": _with_header({"a": _tensor(0, 16, [1 << 40, 1 << 40])}, b"\0" * 16),
    "negative shape": _with_header({"a": _tensor(0, 16, [-4])}, b"\0" * 16),
    "unknown numbers": _with_header({"a": _tensor(0, 16, [4], "X9")}, b"\0" * 16),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_named_in_a_line(tmp_path: Path, damage: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(DAMAGED[damage])
    with pytest.raises(
        ArtifactError, match=r"model\.safetensors: not a safetensors file, or damaged"
    ) as error:
        SafetensorsSource(tmp_path)
    assert "\n" not in str(error.value)


def test_a_pickle_by_the_name_of_safetensors_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    with pytest.raises(ArtifactError, match=r"model\.safetensors: not a safetensors file"):
        SafetensorsSource(tmp_path)
    torch.save({"a": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: not a safetensors file"):
        SafetensorsSource(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    write_tensors(tmp_path / "model.safetensors", {"a": torch.ones(3, dtype=torch.int64)})
    source = SafetensorsSource(tmp_path)
    assert source.shapes() == {"a": (3,)}
    with pytest.raises(ArtifactError, match="tensor a is int64; expected float32, float16 or bfloat16"):
        source.get("a")


MEASURE = """
import sys
from pathlib import Path
import torch
from mynah.interop.huggingface import from_hugging_face
def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")) * 1024
torch.ones(9, 9) @ torch.ones(9, 9)
before = peak()
model, _ = from_hugging_face(Path(sys.argv[1]), getattr(torch, sys.argv[2]))
print(peak() - before, sum(p.numel() for p in model.parameters()), float(model.norm.weight.sum()))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc/self/status")
@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2)])
def test_reading_takes_the_model_and_one_tensor(large: Path, dtype: str, size: int) -> None:
    made = subprocess.run(
        [sys.executable, "-c", MEASURE, str(large), dtype], capture_output=True, text=True, check=True
    )
    took, n_params, _ = map(float, made.stdout.split())
    assert n_params > 40e6
    largest = 4 * 1536 * 512  # bytes, in the file's float32
    assert took < n_params * size + largest + (16 << 20)  # and what else reading loads


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of some 40 million random parameters."""
    tokenizer = Tokenizer.train(["ein kleines Beispiel"], 300)
    shape = {
        "n_layer": 13,
        "n_head": 8,
        "n_kv_head": 4,
        "n_embd": 512,
        "ffn_hidden": 1536,
        "context_length": 64,
    }
    config = ModelConfig(vocab_size=tokenizer.vocab_size, mlp="swiglu", tie_embeddings=False, **shape)
    folder = tmp_path_factory.mktemp("large") / "hf"
    to_hugging_face(new_model(config, 0), tokenizer, folder)
    return folder
