"""LoRA: a frozen model, and beside its linear maps pairs of thin matrices that are trained (Hu et al. 2022).

M tokens, C width in, N width out, r rank, R rows of A: r, or 3 r where queries, keys and values have a pair each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mynah.config import Config
from mynah.errors import ConfigError
from mynah.model.attention import join_heads
from mynah.model.config import ModelConfig
from mynah.model.fused import only_plain
from mynah.model.quantized import Quantized, QuantizedLinear, dense, frozen_linear
from mynah.model.roles import Role, mark, marks_of
from mynah.model.transformer import Transformer
from mynah.model.weights import check_shapes, model_tensors

Target = Literal["qkv", "out", "up", "gate", "down"]
#: Where the linear maps of a block stand in it.
PLACES: dict[Target, str] = {
    "qkv": "attention.query_key_value",
    "out": "attention.out",
    "up": "mlp.up",
    "gate": "mlp.gate",
    "down": "mlp.down",
}
#: ids of the maps that compute without their adapter, in this thread
_off: ContextVar[frozenset[int]] = ContextVar("adapters off", default=frozenset())


class LoRAConfig(Config):
    """Shape of an adapter, and how it is trained."""

    rank: int = Field(16, ge=1, description="rows of A and columns of B, of each pair")
    alpha: float = Field(32.0, gt=0, description="B A is multiplied by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="of what enters A, in training")
    targets: tuple[Target, ...] = Field(
        tuple(PLACES),
        min_length=1,
        description="linear maps of the blocks that get an adapter; what a model has not is left out",
    )
    layers: float = Field(
        0.67,
        gt=0,
        le=1,
        description="share of the blocks that get one, the last ones, at least one block: of those before, no gradient "
        "is computed",
    )
    joint_qkv: bool = Field(
        False,
        description="queries, keys and values share one A, as in files of families that have them in one matrix "
        "(GPT-2); if not, each has its own, as in those of the others",
    )
    rslora: bool = Field(False, description="multiplied by alpha / sqrt(rank) instead (Kalajdzievski 2023)")
    dora: bool = Field(False, description="lengths of the weight's rows are trained apart (Liu et al. 2024)")

    def first_layer(self, n_layer: int) -> int:
        """Return the first block of so many that gets an adapter."""
        return n_layer - max(1, round(self.layers * n_layer))

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


class LoRALinear(nn.Linear):
    """A frozen linear map with its adapter: x W^T + b + s x A^T B^T (Hu et al. 2022, equation 3).

    It stands where the map stood and takes over its weight and bias, which keep their names in the model, and roles.
    With `dora` each row of W + s B A is brought to a length that is trained (Liu et al. 2024, equation 5), and the
    length that it has counts as a constant in gradients (section 4.3).

    Products are in the numbers of autocast, or else in those of the weight; the result is, too. Of a map whose weight
    is `Quantized`, that is in `quantized`, and `weight` is None.
    """

    config: LoRAConfig

    def __init__(
        self, linear: nn.Linear, config: LoRAConfig, owners: Tensor | None, generator: torch.Generator
    ) -> None:
        """Add an adapter that changes nothing yet: A as random as PyTorch's own linear maps begin, B zero.

        Args:
            linear: is not changed.
            config: the adapter's.
            owners: (N, pairs) 0 or 1: which of several pairs a row of B belongs to; None: there is one.
            generator: of A, on the CPU.
        """
        # On the meta device, so that no memory is filled that the next line gives back.
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.quantized = linear.quantized if isinstance(linear, QuantizedLinear) else None
        self.config, self.scale, self.dropout = config, config.scale, config.dropout
        device = (linear.weight if self.quantized is None else self.quantized.codes).device
        pairs = 1 if owners is None else owners.shape[1]
        a = torch.empty(pairs * config.rank, linear.in_features)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
        self.lora_a = nn.Parameter(a.to(device))
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, config.rank, device=device))
        lengths = torch.linalg.vector_norm(self._frozen(torch.float32), dim=1) if config.dora else None
        self.lora_magnitude = nn.Parameter(lengths) if lengths is not None else None
        self.owners: Tensor | None
        self.register_buffer("owners", owners.to(device) if owners is not None else None, persistent=False)
        mark(self, **marks_of(linear))
        mark(self, lora_a=Role.LOW_RANK, lora_b=Role.LOW_RANK_OUT, lora_magnitude=Role.VECTOR)
        self.train(linear.training)

    def forward(self, input: Tensor) -> Tensor:
        """(..., C) to (..., N)."""
        if id(self) in _off.get():
            if self.quantized is not None:
                return frozen_linear(input, self.quantized, self.bias)
            return F.linear(input, self.weight, self.bias)
        if self.lora_magnitude is None:
            return self._adapted(input, self.bias)
        y = self._adapted(input, None)
        with torch.no_grad():
            length = _lengths(self._moved())
        y = (y * (self.lora_magnitude / length)).to(y.dtype)
        bias: Tensor | None = self.bias
        return y if bias is None else y + bias.to(y.dtype)

    @torch.no_grad()
    def merged(self) -> Tensor:
        """Return (N, C), the weight with the adapter in it, in the weight's dtype."""
        moved = self._moved()
        if self.lora_magnitude is not None:
            moved *= (self.lora_magnitude / _lengths(moved))[:, None]
        return moved.to(self._held().dtype)

    @torch.no_grad()
    def gain(self) -> Tensor | None:
        """Return (N,), what each output of W + s B A is multiplied by, of an adapter with lengths of its own."""
        return None if self.lora_magnitude is None else self.lora_magnitude / _lengths(self._moved())

    def without_adapter(self, weight: Tensor | None = None) -> nn.Linear:
        """Return a map as plain ones are, of another weight or of its own, with its bias and roles."""
        linear = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        linear.weight = nn.Parameter(self.weight if weight is None else weight, requires_grad=False)
        linear.bias = self.bias
        roles = {name: role for name, role in marks_of(self).items() if not name.startswith("lora_")}
        return mark(linear, **roles).train(self.training)

    def _held(self) -> Tensor | Quantized:
        """Return the frozen weight as it is held."""
        return self.weight if self.quantized is None else self.quantized

    @torch.no_grad()
    def _frozen(self, dtype: torch.dtype) -> Tensor:
        """Return the frozen weight, (N, C), in a dtype."""
        return dense(self._held(), dtype)

    def _adapted(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Return x W^T + b + s x A^T B^T."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self._held().dtype
        dropout = self.dropout if self.training else 0.0
        plain = dropout > 0 or kind != "cpu" or torch.compiler.is_compiling() or only_plain()
        if not plain:
            tensors = (x, self._held(), bias, self.lora_a, self.expanded_b())
            y: Tensor = _Adapted.apply(*tensors, self.scale, dtype)  # type: ignore[no-untyped-call]
            return y
        x = x.to(dtype)
        if self.quantized is not None:
            y = frozen_linear(x, self.quantized, bias)
        else:
            y = F.linear(x, self.weight.to(dtype), bias.to(dtype) if bias is not None else None)
        low = F.linear(F.dropout(x, dropout), self.lora_a.to(dtype))  # (..., R)
        return y + self.scale * F.linear(low, self.expanded_b().to(dtype))

    def expanded_b(self) -> Tensor:
        """Return (N, R): of several pairs with zeros where a row belongs to another pair.

        Three times the multiplications that are needed, but in one product, and as fast as three of a third the size
        that are added to rows which lie apart (docs/log.md).
        """
        if self.owners is None:
            return self.lora_b
        return (self.lora_b[:, None] * self.owners[:, :, None]).flatten(1)

    def _moved(self) -> Tensor:
        """Return W + s B A, (N, C), in the adapter's dtype."""
        with torch.autocast(self.lora_b.device.type, enabled=False):
            return torch.addmm(
                self._frozen(self.lora_b.dtype), self.expanded_b(), self.lora_a, alpha=self.scale
            )


def _lengths(rows: Tensor) -> Tensor:
    """Return (N,) lengths of (N, C); of rows of zeros, which some models begin with, what can be divided by."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1).clamp_min(1e-12)
    return lengths


class _Adapted(torch.autograd.Function):
    """x W^T + b + s x A^T B^T, whose gradients are written out, as W and b need none.

    Of a gradient G, (M, N): that of B is s G^T (x A^T), of A s (G B)^T x, of x G W + s (G B) A. Each operand is cast
    once, and what is kept for the backward pass is x, once, and x A^T, which is R numbers a token. A weight in few
    bits is made into numbers once for each pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | Quantized,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
        dtype: torch.dtype,
    ) -> Tensor:
        ctx.shape, ctx.scale = x.shape, scale
        ctx.dtypes = x.dtype, a.dtype
        x = x.reshape(-1, x.shape[-1]).to(dtype)  # (M, C)
        numbers, a, b = dense(weight, dtype), a.to(dtype), b.to(dtype)
        low = x @ a.T  # (M, R)
        y = F.linear(x, numbers, bias.to(dtype) if bias is not None else None)
        y.addmm_(low, b.T, alpha=scale)
        ctx.quantized, kept = (weight, None) if isinstance(weight, Quantized) else (None, numbers)
        ctx.save_for_backward(x, kept, a, b, low)
        return y.view(*ctx.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight, a, b, low = ctx.saved_tensors
        of_x, of_adapter = ctx.dtypes
        grad = grad.reshape(-1, grad.shape[-1])  # (M, N)
        to_low = grad @ b  # (M, R), not multiplied by s yet
        to_x = to_a = to_b = None
        if ctx.needs_input_grad[0]:
            numbers = weight if ctx.quantized is None else ctx.quantized.dense(grad.dtype)
            to_x = (grad @ numbers).addmm_(to_low, a, alpha=ctx.scale).view(ctx.shape).to(of_x)
        if ctx.needs_input_grad[3]:
            to_a = (to_low.T @ x).to(of_adapter).mul_(ctx.scale)
        if ctx.needs_input_grad[4]:
            # Rather than grad.T @ low, which reads the larger matrix across its rows.
            to_b = (low.T @ grad).to(of_adapter).T.contiguous().mul_(ctx.scale)
        return to_x, None, None, to_a, to_b, None, None


def add_adapter(model: Transformer, config: LoRAConfig, seed: int) -> None:
    """Freeze a model and put an adapter on it, in place; until it is trained or loaded the model computes what it did.

    Base weights keep their names but there are more beside them, so `load_tensors` is for before, and what
    `merge_adapter` returns for after. Adapters are float32 whatever the weights are, on their device.

    Args:
        model: whole, on its device, with its weights.
        config: the adapter's.
        seed: of A; equal seeds give equal adapters.

    Raises:
        ConfigError: if the model has an adapter, has none of the targets, or each process holds a part of it.
    """
    if adapted(model):
        raise ConfigError("the model has an adapter; merge it first (merge_adapter)")
    if any(type(p) is not nn.Parameter for p in model.parameters()):
        raise ConfigError(
            "an adapter is for a model that each process has whole; expected sharded = false, tensor_parallel = 1"
        )
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    found = False
    for block in model.blocks[config.first_layer(len(model.blocks)) :]:
        for target, place in PLACES.items():
            above, _, name = place.rpartition(".")
            parent = block.get_submodule(above)
            linear = getattr(parent, name)
            if target not in config.targets or linear is None:
                continue
            found = True
            owners = _owners(model.config) if target == "qkv" and not config.joint_qkv else None
            setattr(parent, name, LoRALinear(linear, config, owners, generator))
    if not found:
        raise ConfigError(f"targets {', '.join(config.targets)}: the model has none of them")


def _owners(config: ModelConfig) -> Tensor:
    """Return ((H + 2 G) D, 3): whether a row of the product of queries, keys and values is of the one or the other."""
    queries, keys = config.n_head * config.head_dim, config.n_kv_head * config.head_dim
    q, k, v = (row.expand(n, 3) for row, n in zip(torch.eye(3), (queries, keys, keys), strict=True))
    return join_heads(q, k, v, config.head_dim)


def adapter_size(model: ModelConfig, config: LoRAConfig) -> int:
    """Return how many numbers an adapter has over a model of that shape."""
    C, H, r = model.n_embd, model.ffn_hidden, config.rank
    queries, keys = model.n_head * model.head_dim, model.n_kv_head * model.head_dim
    pairs = 1 if config.joint_qkv else 3
    maps = {  # what enters, what leaves, rows of A
        "qkv": (C, queries + 2 * keys, pairs * r),
        "out": (queries, C, r),
        "up": (C, H, r),
        "gate": (C, H, r),
        "down": (H, C, r),
    }
    if not model.gated:
        del maps["gate"]
    wanted = [sizes for target, sizes in maps.items() if target in config.targets]
    layers = model.n_layer - config.first_layer(model.n_layer)
    return layers * sum(rows * into + out * (r + config.dora) for into, out, rows in wanted)


def adapted(model: nn.Module) -> dict[str, LoRALinear]:
    """Return the linear maps of a model that have an adapter, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model's adapter by name, not copies.

    Beside a map's `weight` stand `lora_a`, (R, C), `lora_b`, (N, r), and with `dora` `lora_magnitude`, (N,); rows of
    `lora_b` and `lora_magnitude` lie as those of the weight.
    """
    return {
        f"{prefix}.{name}": p.detach()
        for prefix, module in adapted(model).items()
        for name, p in module.named_parameters()
        if name.startswith("lora_")
    }


@torch.no_grad()
def scale_adapter(model: nn.Module, factor: float) -> None:
    """Multiply what an adapter adds to the weights of its base; of one with lengths of its own (`dora`) it does not."""
    for module in adapted(model).values():
        module.lora_b.mul_(factor)


@torch.no_grad()
def load_adapter_tensors(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put an adapter's tensors into a model that `add_adapter` has made room in.

    Args:
        model: has an adapter of the same shape.
        tensors: as `adapter_tensors` returns them, of any dtype.
        path: where they are from, for errors.

    Raises:
        ArtifactError: if names or shapes are not those of the model's adapter.
    """
    own = adapter_tensors(model)
    check_shapes(own, {name: tensor.shape for name, tensor in tensors.items()}, path)
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def merge_adapter(model: Transformer) -> dict[str, Tensor]:
    """Return the weights of the model that the base and its adapter are together, for one without an adapter.

    They are added in float32 and rounded once to the weight's dtype; the model stays as it is.

    Returns:
        What `load_tensors` takes and `model_tensors` gives of a model without an adapter; what no adapter
        changes shares its memory with the model.
    """
    own = adapter_tensors(model)
    tensors = {name: tensor for name, tensor in model_tensors(model).items() if name not in own}
    return tensors | {f"{name}.weight": module.merged() for name, module in adapted(model).items()}


@torch.no_grad()
def merge_in_place(model: Transformer) -> Transformer:
    """Return a model with its adapter added to its weights, as `merge_adapter` does, one map at a time."""
    for name, module in adapted(model).items():
        above, _, last = name.rpartition(".")
        setattr(model.get_submodule(above), last, module.without_adapter(module.merged()))
    return model.requires_grad_(True)


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Let a model compute what its base does, exactly, in this thread, for a while."""
    before = _off.set(_off.get() | {id(module) for module in adapted(model).values()})
    try:
        yield
    finally:
        _off.reset(before)
