"""Optimizers: Muon for matrices, AdamW for the rest, and their state as named tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from mynah.errors import ArtifactError
from mynah.model.roles import Role
from mynah.model.tensor_files import TensorFiles
from mynah.train.config import TrainConfig
from mynah.train.distributed.dtensors import is_sharded, layout, local, locals_of, own, part_of, whole
from mynah.train.precision import coarse_products
from mynah.train.trained import trained_parameters, trained_roles

#: Coefficients of the odd quintic polynomials, one after the other, that bring singular values between 0.03 and 1
#: within 4 % of 1: each errs least over what the one before it leaves (Amsel et al. 2025, Polar Express).
_QUINTICS = (
    (7.362530, -20.743407, 15.160560),
    (2.917538, -2.182406, 0.475529),
    (2.046310, -1.429475, 0.393352),
)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return the nearest (semi-)orthogonal matrix to each, approximately: U V^T of its U S V^T.

    In bfloat16 on a GPU, which is enough (Jordan et al. 2024); in float32 elsewhere, as on a CPU without units for it
    bfloat16 is many times slower, but by the quickest products there are (`coarse_products`).

    Args:
        matrices: (K, M, N) float32.
    """
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    wide = x.shape[1] <= x.shape[2]
    if not wide:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram = x @ x.mT  # (K, M, M), M the shorter side
    square = gram @ gram
    # No singular value may be above 1. The eighth root of the sum of their eighth powers bounds them much closer than
    # the Frobenius norm, which is 20 times too large for 400 alike; it costs nothing here, and saves two polynomials of
    # five (docs/log.md). A margin for rounding.
    bound = 1.01 * square.norm(dim=(1, 2), keepdim=True) ** 0.25 + 1e-7
    (a, b, c), *rest = _QUINTICS
    first = _plus((gram * (b / bound**2)).add_(square * (c / bound**4)), a).div_(bound)
    x = _by_gram(first, gram, x, rest) if 2 * x.shape[1] <= x.shape[2] else _by_itself(first @ x, rest)
    return (x if wide else x.mT).to(matrices.dtype)


def _by_itself(x: Tensor, quintics: list[tuple[float, float, float]]) -> Tensor:
    """Apply quintics to the singular values of (K, M, N)."""
    for a, b, c in quintics:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(step: Tensor, gram: Tensor, x: Tensor, quintics: list[tuple[float, float, float]]) -> Tensor:
    """Return the same after a first `step` (K, M, M), M at most N / 2, from products of (K, M, M) but for one.

    Each step multiplies x from the left by a polynomial of its Gram matrix, and the next Gram matrix is the same
    polynomial on both sides of this one: so the polynomials are multiplied first, and x once.
    """
    product = step
    for a, b, c in quintics:
        gram = step @ gram @ step
        step = _plus(torch.baddbmm(gram, gram, gram, beta=b, alpha=c), a)
        product = step @ product
    return product @ x


def _plus(matrices: Tensor, number: float) -> Tensor:
    """Add a number to the diagonals of (K, M, M), in place."""
    matrices.diagonal(dim1=1, dim2=2).add_(number)
    return matrices


class Optimizer(ABC):
    """Groups of parameters with what holds for each, and the state of each parameter by name.

    Not PyTorch's class of that name: making one loads PyTorch's compiler, which takes half a second and 29 MB of each
    process that trains (docs/log.md).
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        """Take groups: `params`, the learning rate `lr`, and what the optimizer asks for."""
        self.param_groups = groups
        self.state: dict[nn.Parameter, dict[str, Tensor]] = defaultdict(dict)

    @abstractmethod
    def step(self) -> None:
        """Take one step; parameters without a gradient are left alone."""


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), by PyTorch's fused kernel.

    The kernel goes element by element, so of a parameter that is sharded each process moves its own part.
    """

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, float], eps: float) -> None:
        super().__init__(groups)
        self.betas, self.eps = betas, eps

    @torch.no_grad()
    def step(self) -> None:
        """Take one step; parameters without a gradient are left alone."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if not self.state[p]:
                    count = torch.zeros(
                        (), device=p.device
                    )  # beside the parameter, where the kernel wants it
                    self.state[p] = {
                        "step": count,
                        "exp_avg": torch.zeros_like(p),
                        "exp_avg_sq": torch.zeros_like(p),
                    }
            if not params:
                continue
            counts, means, squares = (
                locals_of(self.state[p][what] for p in params) for what in ("step", "exp_avg", "exp_avg_sq")
            )
            torch._foreach_add_(counts, 1)
            torch._fused_adamw_(
                locals_of(params),
                locals_of(p.grad for p in params if p.grad is not None),
                means,
                squares,
                [],
                counts,
                lr=group["lr"],
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=group["weight_decay"],
                eps=self.eps,
                amsgrad=False,
                maximize=False,
            )


class Muon(Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024): each update moves all directions of a matrix alike.

    With `every` above 1, a step orthogonalises and moves one part of the matrices in turn, each `every` times as far:
    the momentum of a matrix changes by a twentieth a step, and what it points at hardly in a few steps, while its
    orthogonalisation costs as much as half a backward pass where steps are small (docs/log.md). Matrices of one shape
    are orthogonalised in one batched call.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float, every: int = 1
    ) -> None:
        super().__init__(
            [{"params": list(params), "lr": lr, "momentum": momentum, "weight_decay": weight_decay}]
        )
        self.every = every
        #: whose turn it is; set before each step, so that there is nothing to save
        self.turn = 0

    @torch.no_grad()
    def step(self) -> None:
        """Take one step; parameters without a gradient are left alone."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params if p.grad is not None]
            for p in params:
                if "mean" not in self.state[p]:
                    self.state[p]["mean"] = torch.zeros_like(p)
            means = [self.state[p]["mean"] for p in params]
            torch._foreach_lerp_(locals_of(means), locals_of(grads), 1 - group["momentum"])
            together: dict[object, list[tuple[nn.Parameter, Tensor, Tensor]]] = defaultdict(list)
            for index, (p, grad, mean) in enumerate(zip(params, grads, means, strict=True)):
                if (index + self.turn) % self.every == 0:
                    # One that is sharded is all-gathered for this, and never beside another one.
                    together[index if is_sharded(p) else p.shape].append((p, grad, mean))
            rate = group["lr"] * self.every
            for chosen in together.values():
                ahead = [whole(grad.lerp(mean, group["momentum"])) for _, grad, mean in chosen]  # Nesterov's
                with coarse_products():
                    update = orthogonalize(torch.stack(ahead))
                # Tall matrices move more, so that the change of their output has the size of a square one's.
                further = rate * max(1.0, update.shape[1] / update.shape[2]) ** 0.5
                for (p, _, _), u in zip(chosen, update, strict=True):
                    local(p).mul_(1 - rate * group["weight_decay"]).add_(own(u, p), alpha=-further)


class Optimizers:
    """All optimizers of a model as one, driven by a common rate factor."""

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        """Sort what is trained by its role: matrices of the blocks; tables and adapters; scales, shifts and biases.

        Of an adapter's pairs the second matrix has a rate of its own, `adapter_ratio` times that of the first (Hayou et
        al. 2024, "LoRA+").
        """
        trained, roles = trained_parameters(model), trained_roles(model)
        self.names = {p: name for name, p in trained.items()}
        blocks = [p for name, p in trained.items() if roles[name].is_matrix]
        tables = [p for name, p in trained.items() if roles[name] in (Role.TABLE, Role.LOW_RANK)]
        widening = [p for name, p in trained.items() if roles[name] is Role.LOW_RANK_OUT]
        scales = [p for name, p in trained.items() if roles[name] in (Role.VECTOR, Role.OF_HEADS)]
        rate, decay = config.learning_rate, config.weight_decay
        muon = config.optimizer == "muon"
        groups = [
            {"params": tables, "lr": rate, "weight_decay": decay},
            {"params": widening, "lr": config.adapter_ratio * rate, "weight_decay": decay},
            {"params": scales, "lr": rate, "weight_decay": 0.0},
        ]
        self.all: list[Optimizer] = []
        if muon:
            rest = (config.momentum, decay, config.matrix_every)
            self.all.append(Muon(blocks, config.matrix_learning_rate, *rest))
        else:
            groups.append({"params": blocks, "lr": rate, "weight_decay": decay})
        self.all.append(AdamW(groups, (config.beta1, config.beta2), config.eps))
        for group in self._groups():
            group["peak_lr"] = group["lr"]
        alike: dict[object, list[nn.Parameter]] = defaultdict(list)
        for p in self.names:
            alike[layout(p)].append(p)
        #: What a `GradScaler` takes for optimizers: it unscales all gradients of one in one operation.
        self.alike = [SimpleNamespace(param_groups=[{"params": params}]) for params in alike.values()]

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.all for group in optimizer.param_groups]

    def step(self, step: int, factor: float) -> None:
        """Take step `step` at `factor` times the peak rates; forget the gradients."""
        for group in self._groups():
            group["lr"] = group["peak_lr"] * factor
        for optimizer in self.all:
            if isinstance(optimizer, Muon):
                optimizer.turn = step
            optimizer.step()
        self.clear()

    def clear(self) -> None:
        """Forget the gradients."""
        for p in self.names:
            p.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as named tensors: `<parameter>/<what>`."""
        return {
            f"{name}/{what}": value
            for optimizer in self.all
            for p, name in self.names.items()
            for what, value in optimizer.state.get(p, {}).items()
        }

    def load(self, files: TensorFiles) -> None:
        """Put back what `tensors` returned.

        Raises:
            ArtifactError: if a tensor belongs to no parameter of this model, or a part of one is missing.
        """
        parameters = {name: p for p, name in self.names.items()}
        owner = {
            id(p): optimizer
            for optimizer in self.all
            for group in optimizer.param_groups
            for p in group["params"]
        }
        for key, shape in files.shapes().items():
            name, _, what = key.rpartition("/")
            if name not in parameters:
                raise ArtifactError(f"optimizer state {key} belongs to no parameter of this model")
            p = parameters[name]
            # A count of steps is not sharded; fused kernels want it beside the parameter.
            value = torch.empty_like(p.detach()) if shape else torch.empty((), device=p.device)
            files.read(key, part_of(value), local(value))
            owner[id(p)].state[p][what] = value
