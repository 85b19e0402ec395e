"""The one dial of a build, checked before any work is done. No torch here: `--help` reads this."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import Field, ValidationError, model_validator

from mynah.config import Config
from mynah.model.config import ModelConfig
from mynah.model.presets import preset
from mynah.train.config import TrainConfig

DEFAULT_MINUTES = 5.0
#: Small models, smallest first; a build by minutes takes the largest that the budget feeds.
LADDER = ("nano", "micro", "mini", "small")
#: Wider models than this are not trained by a build on one machine.
WIDEST = 1600


class PlanConfig(Config):
    """The one dial and what may be turned besides it."""

    minutes: float | None = Field(None, gt=0, description="about how long the whole build may take")
    replies: bool = Field(True, description="fine-tune on replies, where there are some")
    size: str | None = Field(None, description="a preset's name, trained for a fixed number of passes")
    model: dict[str, Any] = Field({}, description="fields of the model to change")
    pretrain: dict[str, Any] = Field({}, description="fields of the pretraining to change")
    tune: dict[str, Any] = Field({}, description="fields of the fine-tuning to change")

    @model_validator(mode="after")
    def _check(self) -> PlanConfig:
        if self.size is not None:
            if preset(self.size, 2).n_embd > WIDEST:
                raise ValueError(
                    f"size {self.size} is too large to train on one machine; "
                    f"the small ones are {', '.join(LADDER)}"
                )
            if self.minutes is not None:
                raise ValueError("minutes and size exclude each other; give one")
        for name, given, kind in (
            ("model", self.model, ModelConfig),
            ("pretrain", self.pretrain, TrainConfig),
            ("tune", self.tune, TrainConfig),
        ):
            if "prior" in given:
                raise ValueError(f'{name}: prior is set by [prior] kind = "ngram", or --prior ngram')
            for key in given:
                if key not in kind.model_fields:
                    close = difflib.get_close_matches(key, kind.model_fields, n=1)
                    hint = f"; did you mean {close[0]!r}?" if close else ""
                    raise ValueError(f"{name}: unknown key {key!r}{hint}")
            _check_values(name, kind, given)
        return self


def _check_values(name: str, kind: type[Config], given: dict[str, Any]) -> None:
    """Raise ValueError if a value by itself is out of range; how they go together is seen when the plan is made."""
    try:
        kind.model_validate(given)
    except ValidationError as error:
        for problem in error.errors():
            if problem["loc"] and problem["loc"][0] in given:
                key = ".".join(map(str, problem["loc"]))
                raise ValueError(f"{name}.{key}: {problem['msg']}") from None
