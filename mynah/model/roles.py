"""What each weight is for, said where its module is made, so that nobody has to guess it from a name or a shape.

Optimizers, initialisation and parallelism ask for roles. A module that is wrapped (by an adapter, say) keeps its mark,
as it is the module that carries it and not its path in the model.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Role(Enum):
    """What a weight is for."""

    #: of a block, multiplied by every token
    MATRIX = "matrix"
    #: the same, and what it gives is added to the residual stream
    INTO_STREAM = "into stream"
    #: rows that are looked up by token, position or pair of tokens; and the head
    TABLE = "table"
    #: an adapter's two thin matrices, whose product is added to a matrix, both for AdamW: what narrows ...
    LOW_RANK = "low rank"
    #: ... and what widens again, which begins as zeros and learns the faster (`TrainConfig.adapter_ratio`)
    LOW_RANK_OUT = "low rank, out"
    #: scales, shifts and biases: no weight decay
    VECTOR = "vector"
    #: a vector that all heads of a layer share
    OF_HEADS = "of heads"

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix of a block."""
        return self in (Role.MATRIX, Role.INTO_STREAM)


def mark(module: ModuleT, **roles: Role) -> ModuleT:
    """Say what a module's own parameters are for; return the module.

    Args:
        module: has the parameters.
        roles: parameter name -> role.
    """
    vars(module).setdefault("roles", {}).update(roles)
    return module


def marks_of(module: nn.Module) -> dict[str, Role]:
    """Return what `mark` said of a module's own parameters."""
    marks: dict[str, Role] = vars(module).get("roles", {})
    return marks


def roles_of(model: nn.Module) -> dict[str, Role]:
    """Return the role of each parameter by its name in the model, one that is tied once.

    What nobody has marked is a table if it has two dimensions or more, else a vector: AdamW suits both.
    """
    marked = {
        f"{prefix}.{name}" if prefix else name: role
        for prefix, module in model.named_modules()
        for name, role in marks_of(module).items()
    }
    return {
        name: marked.get(name, Role.TABLE if p.ndim >= 2 else Role.VECTOR)
        for name, p in model.named_parameters()
    }
