"""A recipe: everything that decides what a build makes. TOML file below, flags on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mynah.answers.config import AnswersConfig
from mynah.config import Config, build_config, merge, read_recipe
from mynah.data.clean.config import CleanConfig
from mynah.data.engine import EngineConfig
from mynah.data.sources import CollectConfig
from mynah.data.split.split import SplitConfig
from mynah.generate.settings import SamplingConfig
from mynah.interop.held import Frozen
from mynah.model.lora import LoRAConfig
from mynah.ngram.config import BaselineConfig, PriorConfig
from mynah.plan.settings import PlanConfig
from mynah.tokenizer.tokenizer import TokenizerConfig
from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.preferences.config import PreferConfig
from mynah.tune.translate.config import TranslateConfig

#: What a build makes.
Task = Literal["chat", "classify", "translate", "generate"]
#: Instead of a base's name: the best that is here, or random weights.
AUTO, NONE = "auto", "none"


class EvaluateConfig(Config):
    """What is measured at the end."""

    questions: str | None = Field(
        None, description="JSON lines of questions with the facts that a right reply holds"
    )
    max_tokens: int | None = Field(
        None,
        ge=1000,
        description="held-out tokens that are scored, in whole records drawn from all sources; default: 50,000, over a "
        "base 1,500 for each minute of the build, at most as many",
    )
    samples: int = Field(8, ge=0, description="held-out prompts answered in the report")
    beside: tuple[str, ...] = Field(
        (),
        description="runs of the same log, bases, Hugging Face directories to compare with in the report, on the same "
        "held-out records; what that takes is on top of the minutes",
    )


class Recipe(Config):
    """All settings of a build."""

    seed: int = Field(0, ge=0, lt=1 << 40)
    device: str = "auto"
    task: Task | Literal["auto"] = Field(
        "auto",
        description="what is learned: chat (replies), classify (the class of a text), translate (one text of a pair "
        "from the other), generate (to go on with text); auto: as the records are",
    )
    base: str = Field(
        AUTO,
        min_length=1,
        description="the model to start from: a name of mynah base list, a Hugging Face directory, auto (the best that "
        "is here and knows the log's language) or none (random weights)",
    )
    system: str | None = Field(
        None,
        description="what a base is told in front of each conversation; default: its own words (default) or none, "
        "whichever is shorter",
    )
    full: bool = Field(False, description="train all weights of the base, not an adapter beside them")
    adapter: LoRAConfig = Field(LoRAConfig(), description="the adapter, over a base")
    frozen: Frozen = Field(
        "auto",
        description="how the weights of a base are held while an adapter is trained: auto (as is quickest and fits the "
        "memory), float32, bfloat16, q8_0 (8.5 bits a number) or q4_1 (5)",
    )
    collect: CollectConfig = CollectConfig()
    clean: CleanConfig = CleanConfig()
    split: SplitConfig = SplitConfig()
    engine: EngineConfig = EngineConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    ngram: BaselineConfig = BaselineConfig()
    prior: PriorConfig = PriorConfig()
    plan: PlanConfig = PlanConfig()
    sampling: SamplingConfig = SamplingConfig()
    answers: AnswersConfig = AnswersConfig()
    classify: ClassifyConfig = ClassifyConfig()
    translate: TranslateConfig = TranslateConfig()
    prefer: PreferConfig = PreferConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _people_are_known(self) -> Self:
        if self.prior.kind != "none" and self.base not in (AUTO, NONE):
            raise ValueError(
                "a base brings its own head and cannot go on from a prior; leave out --prior or --base"
            )
        personal = self.clean.personal
        if (
            self.split.by == "person"
            and personal.action in ("tag", "mask", "pseudonym")
            and "name" not in personal.keep
        ):
            raise ValueError(
                'split.by = "person" needs the names that clean.personal replaces; keep them: --keep name'
            )
        return self


def load_recipe(path: Path | None, flags: dict[str, Any], exclusive: tuple[str, ...] = ()) -> Recipe:
    """Return the recipe of a file (if any) with flags laid on top.

    Of the keys of [plan] in `exclusive`, one given by a flag takes the others of the file out.

    Raises:
        ConfigError: for a missing file, an unknown key or a value out of range.
    """
    values = read_recipe(path) if path is not None else {}
    if path is not None:
        build_config(Recipe, values, str(path))  # so that an error names the file, not the flags
    if any(key in flags.get("plan", {}) for key in exclusive):
        plan = {k: v for k, v in values.get("plan", {}).items() if k not in exclusive}
        values = {**values, "plan": plan}
    return build_config(Recipe, merge(values, flags), "settings")


def to_toml(recipe: Recipe) -> str:
    """Return a recipe as TOML; what is not set (None) is left out."""
    import tomlkit

    return tomlkit.dumps(_without_none(recipe.model_dump(mode="json")))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value
