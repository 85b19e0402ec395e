"""Settings for repeats."""

from __future__ import annotations

from pydantic import Field

from mynah.config import Config


class DuplicateConfig(Config):
    """Which repeats are dropped."""

    exact: bool = Field(True, description="records equal after case and white space are folded")
    near: bool = Field(False, description="records that MinHash finds alike")
    bands: int = Field(14, ge=1, description="bands of the MinHash signature")
    rows: int = Field(8, ge=1, description="hashes a band")
    shingle: int = Field(5, ge=1, description="words (Han characters) a shingle")
    lines: int | None = Field(
        None, ge=1, description="drop a line that stands in more documents than this; None: no"
    )
    replies: int | None = Field(
        None, ge=1, description="keep at most this many exchanges with the same reply; None: all"
    )

    @property
    def any(self) -> bool:
        """Whether any repeat is looked for."""
        return self.exact or self.near or self.lines is not None or self.replies is not None

    @property
    def threshold(self) -> float:
        """Jaccard similarity at which a pair is found half of the time: (1 - 0.5^(1/bands))^(1/rows)."""
        return float((1 - 0.5 ** (1 / self.bands)) ** (1 / self.rows))
