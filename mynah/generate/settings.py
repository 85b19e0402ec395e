"""Settings of generation, apart from the code that needs torch: recipes are read without it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mynah.config import Config


class SamplingConfig(Config):
    """How the next token is drawn."""

    temperature: float = Field(0.0, ge=0, description="0: always the most likely token")
    top_k: int = Field(0, ge=0, description="draw among the k most likely, 0: all")
    top_p: float = Field(1.0, gt=0, le=1, description="draw among the likeliest that hold this mass")
    min_p: float = Field(
        0.0, ge=0, lt=1, description="draw among those at least this share as likely as the likeliest"
    )
    repetition_penalty: float = Field(
        1.0, gt=0, description="above 1: tokens that stand in the text already are less likely"
    )
    presence_penalty: float = Field(
        0.0, ge=-2, le=2, description="taken off the logits of tokens that were drawn before"
    )
    frequency_penalty: float = Field(0.0, ge=-2, le=2, description="the same, each time that they were drawn")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="texts that end a reply and are not part of it"
    )
    max_tokens: int = Field(128, ge=1, description="longest reply, tokens")
    seed: int | None = Field(None, ge=0, lt=1 << 63, description="None: another reply each time")


class BeamConfig(Config):
    """How widely the likeliest continuation is sought."""

    width: int = Field(
        4, ge=1, le=64, description="hypotheses that are kept; 1: always the most likely token"
    )
    length_penalty: float = Field(
        1.0, ge=0, description="alpha: above 0, long continuations are not held against their length"
    )
