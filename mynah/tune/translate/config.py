"""How a translator is made, and how it translates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mynah.config import Config
from mynah.generate.settings import BeamConfig


class TranslateConfig(Config):
    """Settings of a translator."""

    directions: Literal["forward", "backward", "both"] = Field(
        "forward",
        description="what is learned: from the first text of a pair to the second, back, or both by one model",
    )
    beam: BeamConfig = Field(BeamConfig(), description="how a translation is sought")
    glossary: str | None = Field(
        None, description="a file of terms, source and target, a pair a line; they are always translated so"
    )
    measured: int = Field(
        500, ge=1, description="held-out pairs that are translated and measured, of each direction"
    )
