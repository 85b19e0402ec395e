"""What a classifier says of a text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """What a text is taken for."""

    #: the most probable class; of a text that may be of several, all that are said
    label: str
    #: how probable that is, 0 to 1
    probability: float
    #: False: it looks like none of the classes
    inside: bool
    #: of every class, the most probable first; where a text may be of several, of each by itself
    probabilities: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as `mynah classify --json` prints it."""
        return asdict(self)
