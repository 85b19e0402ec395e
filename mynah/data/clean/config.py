"""Settings of cleaning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mynah.config import Config
from mynah.data.dedup.config import DuplicateConfig
from mynah.data.personal.config import PersonalConfig

#: What a rule does to a record that it finds wanting.
Action = Literal["off", "warn", "drop"]


class LanguageConfig(Config):
    """Which languages are kept. A conversation stays if one of its messages is in one of them."""

    keep: tuple[str, ...] = Field((), description="ISO 639-1 codes, such as en, zh; empty: all")
    action: Action = "drop"
    min_score: float = Field(0.65, ge=0, le=1, description="how sure the identification must be to count")


class QualityConfig(Config):
    """Published rules for web text. Off by default: they were made for the web, not for a person's own text."""

    c4: Action = Field("off", description="C4: Raffel et al. 2020, section 2.2")
    gopher: Action = Field("off", description="MassiveText's quality rules: Rae et al. 2021, table A1")
    repetition: Action = Field("off", description="MassiveText's repetition rules: Rae et al. 2021, table A1")
    fineweb: Action = Field("off", description="FineWeb's own rules: Penedo et al. 2024, section 3.5")
    perplexity: Action = Field(
        "off", description="what an n-gram model finds surprising: Wenzek et al. 2020 (CCNet), section 4.2"
    )
    max_perplexity: float | None = Field(
        None, gt=1, description="perplexity a token beyond which a text is surprising"
    )
    model: str | None = Field(None, description="a run of mynah build, whose n-gram model judges")


class CleanConfig(Config):
    """Which steps run. Those that destroy what a reply is made of are off by default."""

    repair: bool = Field(True, description="mend mis-decoded text (ftfy), undo ligatures, normalise to NFC")
    control: bool = Field(True, description="remove control and zero-width characters")
    html: bool = Field(True, description="resolve entities and remove tags of HTML")
    whitespace: bool = Field(True, description="fold runs of spaces and of blank lines")
    boilerplate: bool = Field(True, description="drop lines about cookies, JavaScript, rights and licences")
    script: Literal["t2s", "s2t"] | None = Field(
        None, description="write Chinese in one script: t2s simplified, s2t traditional"
    )
    lowercase: bool = Field(False, description="lower-case all text (a bot then writes so too)")
    stop_words: tuple[str, ...] = Field(
        (), description="languages ('en', 'zh') whose stop words are removed; ruins generation"
    )
    language: LanguageConfig = LanguageConfig()
    quality: QualityConfig = QualityConfig()
    duplicates: DuplicateConfig = DuplicateConfig()
    personal: PersonalConfig = PersonalConfig()
