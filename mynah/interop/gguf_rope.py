"""Rotary positions in llama.cpp's files, as config.json says them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.errors import ConfigError
from mynah.interop.gguf_reader import GGUFFile

#: What the wavelengths of each pair of a head are multiplied by, where they are scaled as Llama 3.1's are.
FACTORS = "rope_freqs.weight"
#: Llama 3.1's own, should too few wavelengths lie on the slope to tell.
_LLAMA3 = (8192, 1.0, 4.0)


def scaling_of(file: GGUFFile, architecture: str, head_dim: int, theta: float) -> dict[str, Any] | None:
    """Return `rope_scaling` of config.json, None if wavelengths are not scaled.

    Args:
        file: that says it.
        architecture: before the keys of its metadata.
        head_dim: width of a head.
        theta: the base of its wavelengths.

    Raises:
        ConfigError: if they are scaled in a way that Mynah does not compute.
    """

    def get(key: str, default: Any) -> Any:
        return file.get(f"{architecture}.rope.scaling.{key}", default)

    factor = float(get("factor", file.get(f"{architecture}.rope.scale_linear", 1.0)))
    kind = str(get("type", "linear"))
    if FACTORS in file.tensors:
        if kind != "none" and factor != 1:
            raise ConfigError(f"{file.path}: rotary positions are scaled twice, by {kind} and by {FACTORS}")
        return _llama3(file, head_dim, theta)
    if kind == "none" or (kind == "linear" and factor in (0, 1)):
        return None
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    if kind != "yarn":
        raise ConfigError(
            f"{file.path}: rotary scaling {kind!r} is not read from GGUF; Mynah reads linear and yarn"
        )
    if get("yarn_log_multiplier", 0.0) or get("yarn_ext_factor", 1.0) not in (1, -1):
        raise ConfigError(f"{file.path}: YaRN with a log multiplier or an extrapolation factor is not read")
    attention = float(get("yarn_attn_factor", get("attn_factor", 1.0)))
    context = int(get("original_context_length", file.get(f"{architecture}.context_length")))
    return {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": context,
        "beta_fast": float(get("yarn_beta_fast", 32.0)),
        "beta_slow": float(get("yarn_beta_slow", 1.0)),
        # llama.cpp multiplies its own by what the paper has.
        "attention_factor": attention * (0.1 * math.log(factor) + 1),
    }


def _llama3(file: GGUFFile, head_dim: int, theta: float) -> dict[str, Any] | None:
    """Return the settings that give a file's factors; only these, not the settings, are in the file.

    On the slope a factor f of a wavelength w has (1/f - 1/F) / (1 - 1/F) = (context / w - low) / (high - low), F being
    that of the longest: a line in 1/w. Its two numbers settle context and high for low = 1; other lows give the same
    factors.
    """
    factors = file.read(FACTORS).astype(np.float64)
    turns = theta ** (-np.arange(0, head_dim, 2) / head_dim) / (2 * math.pi)  # of each pair, a token
    if factors.shape != turns.shape:
        raise ConfigError(f"{file.path}: {FACTORS} has {len(factors)} factors, expected {len(turns)}")
    factor = float(factors.max())
    if factor == factors.min() == 1:
        return None
    settings = _LLAMA3
    slope = (factors > 1 + 1e-4) & (factors < factor * (1 - 1e-4))
    if slope.sum() >= 2:
        height = (1 / factors[slope] - 1 / factor) / (1 - 1 / factor)
        rise, start = np.polyfit(turns[slope], height, 1)
        if rise > 0 > start:
            settings = (max(1, round(-rise / start)), 1.0, round(float(1 - 1 / start), 4))
    if not np.allclose(_llama3_factors(turns, factor, *settings), factors, rtol=1e-3):
        raise ConfigError(
            f"{file.path}: {FACTORS} scales rotary positions in a way that Mynah does not compute"
        )
    context, low, high = settings
    return {
        "rope_type": "llama3",
        "factor": factor,
        "original_max_position_embeddings": context,
        "low_freq_factor": low,
        "high_freq_factor": high,
    }


def _llama3_factors(
    turns: npt.NDArray[np.float64], factor: float, context: int, low: float, high: float
) -> npt.NDArray[np.float64]:
    height = np.clip((context * turns - low) / (high - low), 0, 1)
    result: npt.NDArray[np.float64] = 1 / ((1 - height) / factor + height)
    return result
