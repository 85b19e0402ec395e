"""Settings of `[answers]` in a recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mynah.config import Config

Mode = Literal["grounded", "free", "strict"]


class AnswersConfig(Config):
    """How replies are found, and when the bot says nothing of its own."""

    mode: Literal["auto", "grounded", "free", "strict"] = Field(
        "auto",
        description="grounded: says only what stands in the log, its slots filled from the conversation; strict: "
        "replies of the log word for word; free: replies of the log where they are sure, else the network's own; auto: "
        "grounded where replies repeat or carry facts, else free",
    )
    wrong_at_most: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="share of what it states that may be wrong; how much it then answers follows from the log",
    )
    outside: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of messages that are taken to ask for what the log does not hold",
    )
    candidates: int = Field(
        6, ge=1, le=32, description="replies of the log that the network reads for each message"
    )
    hand_over: str | None = Field(
        None,
        description="what the bot says where it does not know; default: a sentence in the user's language",
    )
