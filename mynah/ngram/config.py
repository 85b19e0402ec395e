"""Settings of n-gram models."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mynah.config import Config
from mynah.device import machine_memory

MAX_ORDER = 8
Method = Literal["kneser-ney", "witten-bell", "add-k", "maximum-likelihood", "stupid-backoff"]
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: Less than this is no limit that could be held: the program itself takes about as much.
_LEAST = 16 << 20


class NGramConfig(Config):
    """How an n-gram model is counted and estimated."""

    order: int = Field(3, ge=1, le=MAX_ORDER, description="longest n-gram")
    unit: Literal["words", "chars", "tokens"] = Field("words", description="what a text is cut into")
    smoothing: Method = Field("kneser-ney", description="how what was never seen gets its probability")
    k: float = Field(1.0, gt=0, description="add-k: what is added to each count")
    alpha: float = Field(0.4, gt=0, le=1, description="stupid-backoff: factor of a shorter context")
    prune: tuple[int, ...] = Field(
        (),
        description="for each order: n-grams that stand in the text so often or less are left out; "
        "0 for single tokens, never falling, the last one for all higher orders",
    )
    memory: str = Field("50%", description="how much memory may be taken: 2G, 500M, 25%; more goes to disk")
    compact: bool = Field(
        False, description="round logarithms to 16 bits: a third smaller, off by less than 0.001"
    )

    @field_validator("memory")
    @classmethod
    def _is_a_size(cls, value: str) -> str:
        if parse_memory(value) < _LEAST:
            raise ValueError(f"memory of {value}: expected at least 16M")
        return value

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        pruned = self.prune
        if pruned and (pruned[0] != 0 or min(pruned) < 0 or list(pruned) != sorted(pruned)):
            raise ValueError("prune: expected 0 for single tokens and then numbers that never fall: 0 0 1")
        if len(pruned) > self.order:
            raise ValueError(f"prune: {len(pruned)} numbers for {self.order} orders")
        if any(pruned) and self.smoothing not in ("kneser-ney", "witten-bell"):
            raise ValueError(f"prune: {self.smoothing} has no back-off weights that could take up the rest")
        return self

    @property
    def memory_bytes(self) -> int:
        """The memory that may be taken."""
        return parse_memory(self.memory)


class BaselineConfig(NGramConfig):
    """The n-gram models that a build shows beside its network."""

    order: int = Field(5, ge=1, le=MAX_ORDER, description="orders 1 to this are all measured")
    unit: Literal["tokens"] = Field("tokens", description="those of the run's tokenizer")
    smoothing: Literal["kneser-ney", "witten-bell"] = Field("kneser-ney", description="as for NGramConfig")


class PriorConfig(Config):
    """Whether a network goes on from an n-gram model."""

    kind: Literal["none", "ngram"] = Field(
        "none", description="ngram: the network learns what an n-gram model misses"
    )
    order: int | None = Field(
        None, ge=2, le=MAX_ORDER, description="None: the best of the n-gram models, 2 at least"
    )
    folds: int = Field(
        8, ge=2, le=64, description="parts of the text that are held out from the model in turn"
    )


def parse_memory(text: str) -> int:
    """Return bytes: of "2G", "500M", or of a share of the machine's memory, "50%".

    Raises:
        ValueError: if it is none of them.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%|[KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError(f"memory {text!r}: expected a size such as 2G or 500M, or a share such as 50%")
    amount, unit = float(found[1]), found[2].upper()
    if unit == "%":  # of what a container may take, too; 4 GB where nothing says how much there is
        return int(amount / 100 * (machine_memory() or 4 << 30))
    return int(amount * _UNITS[unit])
