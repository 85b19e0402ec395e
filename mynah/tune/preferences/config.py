"""How a network learns from preferences."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mynah.config import Config


class PreferConfig(Config):
    """Settings of learning from better and worse replies, after the better ones have been learned."""

    loss: Literal["dpo", "ipo", "orpo", "none"] = Field(
        "dpo",
        description="dpo (Rafailov et al. 2023), ipo (Azar et al. 2024), orpo (Hong et al. 2024: needs no reference), "
        "or none: the better replies alone are learned",
    )
    beta: float = Field(
        0.1, gt=0, description="dpo, ipo: how closely it stays to where it began; orpo: weight of the odds"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="dpo: share of pairs that are taken to be the wrong way round"
    )
    passes: float = Field(1.0, gt=0, description="over the pairs, where there is time for so many")
    share: float = Field(0.3, gt=0, lt=1, description="of the minutes, for learning from the pairs")
    train: dict[str, Any] = Field({}, description="fields of the training to change")
