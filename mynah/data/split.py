"""Hold out a part of the records, chosen by their content alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from mynah.config import Config
from mynah.data.clean import fingerprint
from mynah.data.records import Record
from mynah.errors import DataError


class SplitConfig(Config):
    """How much is held out."""

    held_out: float = Field(0.1, gt=0, lt=0.5, description="share of records held out")


@dataclass(frozen=True)
class Split:
    """The two parts, each in the order of the input."""

    train: list[Record]
    held_out: list[Record]


def split(records: Sequence[Record], config: SplitConfig, seed: int) -> Split:
    """Put a record on one side by a hash of its content, so that added rows never move the others.

    A conversation is one record, so it never stands on both sides.

    Raises:
        DataError: if there are fewer than two distinct records.
    """
    places = [_place(record, seed) for record in records]
    if len(set(places)) < 2:
        raise DataError(
            f"only {len(records)} usable record found after cleaning, at least 2 are needed: "
            "one to learn from and one to hold out; give more rows"
        )
    limit = config.held_out
    if not any(place < limit for place in places):
        limit = min(places) * (1 + 1e-12) + 1e-15  # a small set: hold out its lowest hash
    elif all(place < limit for place in places):
        limit = max(places)
    train = [r for r, place in zip(records, places, strict=True) if place >= limit]
    held_out = [r for r, place in zip(records, places, strict=True) if place < limit]
    return Split(train, held_out)


def _place(record: Record, seed: int) -> float:
    """Return a number in [0, 1) that depends on the record's content and the seed alone."""
    digest = hashlib.sha256(seed.to_bytes(8, "big") + fingerprint(record)).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
