"""Settings for personal data, and the span that every detector yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mynah.config import Config

#: Kinds of personal data, as settings and reports name them.
KINDS = (
    "email", "phone", "card", "iban", "id", "ip", "mac", "address", "plate", "im", "key", "wallet", "name",
)  # fmt: skip


class PersonalConfig(Config):
    """What is done about personal data."""

    action: Literal["off", "warn", "tag", "mask", "pseudonym"] = Field(
        "off",
        description="warn: count it; tag: [EMAIL]; mask: j***@*****; pseudonym: another of its kind, the same "
        "one throughout a conversation",
    )
    keep: tuple[str, ...] = Field((), description="kinds that are left alone")
    drop: tuple[str, ...] = Field((), description="kinds because of which a record is dropped whole")
    regions: tuple[str, ...] = Field(
        ("CN", "US", "GB"), description="countries whose phone numbers are read without +country, in order"
    )

    @field_validator("keep", "drop")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"{kind!r} is no kind of personal data; kinds: {', '.join(KINDS)}")
        return kinds

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        both = set(self.keep) & set(self.drop)
        if both:
            raise ValueError(f"{sorted(both)[0]} is both kept and a reason to drop")
        return self


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of personal data: text[start:end]."""

    start: int
    end: int
    kind: str
    #: what exactly: a country, "resident id", "aws", ...; for names and addresses "en" or "zh"
    detail: str = ""
