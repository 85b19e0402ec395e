"""Tensors of GGUF files: quantized blocks become the numbers that their layout says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mynah.interop.gguf_reader import GGUFFile

gguf = pytest.importorskip("gguf")


def written_and_read(folder: Path, rows: np.ndarray, kind: Any) -> np.ndarray:
    """Write rows of blocks as the second tensor of a file, and read them."""
    writer = gguf.GGUFWriter(folder / "blocks.gguf", "llama")
    writer.add_tensor("first", np.ones(3, np.float32))
    writer.add_tensor("x", rows, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GGUFFile(folder / "blocks.gguf").read("x")


@pytest.mark.parametrize(
    "kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q4_0", "Q5_1", "IQ4_NL", "IQ4_XS"]
)
def test_blocks_of_any_bytes_are_read_as_gguf_reads_them(tmp_path: Path, kind: str) -> None:
    numbers = gguf.GGMLQuantizationType[kind]
    values, size = gguf.GGML_QUANT_SIZES[numbers]
    blocks = np.random.default_rng(1).integers(0, 256, (3, 2, size), np.uint8)
    # No scale of a block is infinite or no number: its upper byte, wherever it is, stays small.
    blocks &= 0xBF
    expected = gguf.dequantize(blocks.reshape(3, -1), numbers)
    read = written_and_read(tmp_path, blocks.reshape(3, -1), numbers)
    assert read.shape == (3, 2 * values)
    assert np.isfinite(read).all()
    assert read.std() > 0
    np.testing.assert_array_equal(read, expected)


def test_blocks_of_four_bits_are_what_their_layout_says(tmp_path: Path) -> None:
    """Of Q4_K by hand: 256 numbers, 8 scales and minima of six bits, two numbers a byte."""
    block = np.random.default_rng(2).integers(0, 256, 144, np.uint8)
    block[:4] = np.array([0.5, 0.25], np.float16).view(np.uint8)
    packed, nibbles = block[4:16].astype(int), block[16:].reshape(4, 32)
    scales = [packed[j] & 63 for j in range(4)] + [packed[j + 8] & 15 | packed[j] >> 6 << 4 for j in range(4)]
    minima = [packed[j + 4] & 63 for j in range(4)] + [
        packed[j + 8] >> 4 | packed[j + 4] >> 6 << 4 for j in range(4)
    ]
    expected = [0.5 * scales[j] * (nibbles[j // 2] >> 4 * (j % 2) & 15) - 0.25 * minima[j] for j in range(8)]
    read = written_and_read(tmp_path, block[None], gguf.GGMLQuantizationType.Q4_K)[0]
    np.testing.assert_array_equal(read, np.concatenate(expected).astype(np.float32))
