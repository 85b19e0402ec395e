"""Settings of rotary positions as Hugging Face writes them to config.json, both ways.

transformers 4 writes `rope_theta` and `rope_scaling`, transformers 5 one `rope_parameters`; both read the first.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mynah.errors import ConfigError
from mynah.model.config import ModelConfig

Settings = dict[str, Any]
#: Ours -> theirs, of each kind of scaling beside its factor.
_NAMES = {
    "linear": {},
    "llama3": {
        "original_context_length": "original_max_position_embeddings",
        "low_freq_factor": "low_freq_factor",
        "high_freq_factor": "high_freq_factor",
    },
    "yarn": {
        "original_context_length": "original_max_position_embeddings",
        "attention_factor": "attention_factor",
        "beta_fast": "beta_fast",
        "beta_slow": "beta_slow",
        "truncate": "truncate",
    },
}


def read_rope(foreign: Settings, path: Path, theta: float = 10_000.0) -> Settings:
    """Return `rope_theta` and `rope_scaling` of a model whose layers are all turned alike.

    Args:
        foreign: config.json.
        path: it comes from, for errors.
        theta: of a model that names none.

    Raises:
        ConfigError: if positions are scaled in a way that Mynah does not compute.
    """
    given = foreign.get("rope_scaling") or foreign.get("rope_parameters") or {}
    return {
        "rope_theta": given.get("rope_theta", foreign.get("rope_theta", theta)),
        "rope_scaling": _scaling(given, foreign, path),
    }


def read_ropes(foreign: Settings, path: Path, theta: float, local: float) -> Settings:
    """Return the same of a model whose layers with a window have a base of their own, `rope_local_theta`.

    Args:
        foreign: config.json.
        path: it comes from, for errors.
        theta: of layers without a window, if none is named.
        local: of layers with one, if none is named.

    Raises:
        ConfigError: as `read_rope`; if layers with a window are scaled, too.
    """
    given = foreign.get("rope_parameters") or {}
    dense = (given.get("full_attention") or {}) | (foreign.get("rope_scaling") or {})
    banded = given.get("sliding_attention") or {}
    if _scaling(banded, foreign, path) is not None:
        raise ConfigError(f"{path}: rotary scaling of sliding_attention is not supported")
    return {
        "rope_theta": dense.get("rope_theta", foreign.get("rope_theta", theta)),
        "rope_local_theta": banded.get("rope_theta", foreign.get("rope_local_base_freq", local)),
        "rope_scaling": _scaling(dense, foreign, path),
    }


def _scaling(given: Settings, foreign: Settings, path: Path) -> Settings | None:
    """Return the fields of a RopeScaling; None: there is none."""
    if any(isinstance(value, dict) for value in given.values()):
        raise ConfigError(f"{path}: rotary positions by kind of layer ({', '.join(given)}) are not supported")
    kind = given.get("rope_type", given.get("type", "default"))
    share = given.get("partial_rotary_factor", foreign.get("partial_rotary_factor"))
    if share not in (None, 1):
        raise ConfigError(
            f"{path}: partial_rotary_factor {share}; expected rotary positions in all of a head"
        )
    if kind == "default":
        return None
    if kind not in _NAMES:
        known = ", ".join(_NAMES)
        raise ConfigError(f"{path}: rotary scaling {kind!r} is not supported; Mynah computes {known}")
    context = foreign["max_position_embeddings"]
    # Where it stands beside the rotary settings, it goes before theirs, as in transformers.
    original = foreign.get("original_max_position_embeddings") or given.get(
        "original_max_position_embeddings", context
    )
    found = {**given, "original_max_position_embeddings": original}
    scaling = {ours: found[theirs] for ours, theirs in _NAMES[kind].items() if found.get(theirs) is not None}
    factor = given["factor"] if given.get("factor") is not None or kind != "yarn" else context / original
    if kind == "yarn" and "attention_factor" not in scaling:
        scaling |= _attention_factor(given, factor)
    return {"rope_type": kind, "factor": factor, **scaling}


def _attention_factor(given: Settings, factor: float) -> Settings:
    """Return what YaRN's attention factor is where it is given as a ratio of two (DeepSeek-AI 2024); else nothing."""
    over, under = given.get("mscale"), given.get("mscale_all_dim")
    if not over or not under:
        return {}
    longer = 0.1 * math.log(factor)
    return {"attention_factor": (over * longer + 1) / (under * longer + 1)}


def write_rope(config: ModelConfig) -> Settings:
    """Return what config.json says of a model's rotary positions."""
    settings: Settings = {"rope_theta": config.rope_theta}
    if (scaling := config.rope_scaling) is not None:
        said = {theirs: getattr(scaling, ours) for ours, theirs in _NAMES[scaling.rope_type].items()}
        settings["rope_scaling"] = {"rope_type": scaling.rope_type, "factor": scaling.factor, **said}
    if config.rope_local_theta is not None:
        settings["rope_local_base_freq"] = config.rope_local_theta
    return settings
