"""How a classifier is made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mynah.config import Config

#: Words alone; the states of a base beside them; n-gram models of the classes; a base and a head tuned on them; a base
#: that has learned to say them.
WayName = Literal["words", "states", "ngrams", "head", "label_text"]


class ClassifyConfig(Config):
    """Settings of a classifier."""

    way: WayName | Literal["auto"] = Field(
        "auto", description="how texts are told apart; auto: as does best on rows that it has not seen"
    )
    balanced: bool | None = Field(
        None, description="whether each class counts as much as any other; default: where that does better"
    )
    augment: bool | None = Field(
        None,
        description="whether rows made from rows (words left out, swapped, misspelt, in other case) are learned too; "
        "default: where that does better on rows that were not seen",
    )
    translator: str | None = Field(
        None,
        description="a run that translates both ways: rows are made by translating there and back, too",
    )
    paraphrase: bool = Field(
        False, description="whether the base says each text in other words: rows are made of that, too"
    )
    several: bool | None = Field(
        None,
        description="whether a label is a list of classes (red|blue) and a text may be of several; default: where the "
        "labels look so",
    )
    outside: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="share of texts of known classes that may be taken for texts of none; 0: every text is of one",
    )
    longest: int | None = Field(
        None,
        ge=16,
        description="tokens of a text that a base reads: its beginning and its end; default: by the minutes",
    )

    @model_validator(mode="after")
    def _check(self) -> ClassifyConfig:
        if self.augment is False and (self.paraphrase or self.translator is not None):
            raise ValueError(
                "augment = false makes no rows; expected true beside paraphrase or translator, or none"
            )
        return self
