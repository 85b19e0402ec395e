"""Which tensors training changes: what optimizers, checkpoints, mean and best weights and the memory check ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mynah.config import Config
from mynah.model.quantized import Quantized
from mynah.model.roles import Role, roles_of


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training changes, by name: those that ask for a gradient, one that is tied once.

    To train a part of a model alone, call `requires_grad_(False)` on the rest before training.
    """
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@dataclass(frozen=True)
class TrainedCount:
    """How many numbers of a model are trained."""

    #: in matrices of the blocks
    matrices: int
    #: in all else
    rest: int
    #: what is not trained takes, bytes; None: what float32 would
    frozen_bytes: int | None = None

    @classmethod
    def of(cls, model: nn.Module) -> TrainedCount:
        """Count."""
        parameters, roles = trained_parameters(model), trained_roles(model)
        matrices = sum(p.numel() for name, p in parameters.items() if roles[name].is_matrix)
        frozen: list[Tensor] = [p for p in model.parameters() if not p.requires_grad]
        frozen += [b for module in model.modules() if isinstance(module, Quantized) for b in module.buffers()]
        rest = sum(p.numel() for p in parameters.values()) - matrices
        return cls(matrices, rest, sum(t.nbytes for t in frozen))


def trained_roles(model: nn.Module) -> dict[str, Role]:
    """Return what each of them is for."""
    roles = roles_of(model)
    return {name: roles[name] for name in trained_parameters(model)}


def described(model: nn.Module) -> dict[str, Any]:
    """Return what tells a model from others of another make: its config, or the shapes of what is trained."""
    config = getattr(model, "config", None)
    if isinstance(config, Config):
        return config.model_dump(mode="json")
    return {name: list(p.shape) for name, p in trained_parameters(model).items()}
