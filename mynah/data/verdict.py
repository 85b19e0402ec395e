"""What a step says of a record that it does not simply keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Verdict:
    """A line of the account in the making: what was done, and why; never what the record says."""

    action: Literal["changed", "warned", "dropped"]
    reason: str
