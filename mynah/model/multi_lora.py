"""Several adapters over one copy of their base, computed in one pass: each row of a batch by its own.

What the base computes is computed for all rows at once, and what an adapter adds for its rows alone (Chen et al. 2024,
"Punica"; Sheng et al. 2024, "S-LoRA"). Nothing here is trained.

C width in, N width out, R rows of A, B rows of a batch, T tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from mynah.model.lora import LoRALinear, adapted
from mynah.model.transformer import Transformer

#: Of the batch that is computed in this thread, the adapter of all rows, or (B,) of each.
_adapters: ContextVar[int | Tensor] = ContextVar("adapters of rows", default=0)


@contextmanager
def adapters_of_rows(adapters: Sequence[int]) -> Iterator[None]:
    """Let each row of the batches that this thread computes go through an adapter of its own, for a while.

    Args:
        adapters: of each row, the number of its adapter; batches of other numbers of rows do not come.
    """
    alike = len(set(adapters)) == 1
    before = _adapters.set(adapters[0] if alike else torch.tensor(adapters))
    try:
        yield
    finally:
        _adapters.reset(before)


class MultiLoRALinear(nn.Module):
    """A linear map of a base and beside it any number of adapters, one of which is for each row of a batch.

    Where rows go through several, the thin products are computed for all of them and what is another row's is struck
    out: for a few adapters two larger products are far quicker than two small ones for each.
    """

    a: Tensor  # (R of all, C)
    b: Tensor  # (R of all, N), transposed and multiplied by its adapter's scale
    #: (R of all,) whose it is
    owner: Tensor
    #: (adapters, N) what outputs are multiplied by, and what is added then, if there are any with lengths of their own
    gain: Tensor | None
    shift: Tensor | None

    @torch.no_grad()
    def __init__(self, maps: Sequence[LoRALinear | None]) -> None:
        """Take over a map and its adapters.

        Args:
            maps: the same map with each of the adapters, one at least; None: without.
        """
        super().__init__()
        held = [map for map in maps if map is not None]
        self.base = held[0].without_adapter()
        dtype, device = held[0].weight.dtype, held[0].weight.device
        self.places = list[slice]()
        owner = list[int]()
        for number, map in enumerate(maps):
            rank = map.lora_a.shape[0] if map is not None else 0
            self.places.append(slice(len(owner), len(owner) + rank))
            owner += [number] * rank
        register = partial(self.register_buffer, persistent=False)
        register("a", torch.cat([map.lora_a for map in held]).to(dtype))
        register("b", torch.cat([map.scale * map.expanded_b().T for map in held]).to(dtype))
        register("owner", torch.tensor(owner, device=device))
        gains = [map.gain() if map is not None else None for map in maps]
        one = torch.ones(self.base.out_features, device=device)
        gain = torch.stack([one if own is None else own for own in gains])
        own_lengths = any(own is not None for own in gains)
        shifts = own_lengths and self.base.bias is not None
        register("gain", gain.to(dtype) if own_lengths else None)
        register("shift", (self.base.bias * (1 - gain)).to(dtype) if shifts else None)
        self.train(False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, T, C) to (B, T, N)."""
        y: Tensor = self.base(input)
        rows = _adapters.get()
        if isinstance(rows, int):
            place = self.places[rows]
            if place.start < place.stop:
                y = y + (input @ self.a[place].T) @ self.b[place]
        else:
            rows = rows.to(y.device)
            low = (input @ self.a.T).masked_fill(self.owner != rows[:, None, None], 0)  # (B, T, R of all)
            y = y + low @ self.b
        if self.gain is not None:
            y = y * _of(self.gain, rows)
        return y if self.shift is None else y + _of(self.shift, rows)


def _of(vectors: Tensor, rows: int | Tensor) -> Tensor:
    """Return the vector of an adapter, (N,), or of that of each row, (B, 1, N)."""
    return vectors[rows] if isinstance(rows, int) else vectors[rows][:, None]


def share_weights(models: Iterable[Transformer]) -> int:
    """Let models that hold equal weights hold the same ones, such as the base below several adapters.

    Returns:
        How many bytes were given back.
    """
    known: dict[tuple[str, torch.Size, torch.dtype, torch.device], list[Tensor]] = {}
    saved = 0
    for model in models:
        for name, parameter in model.named_parameters():
            of = known.setdefault((name, parameter.shape, parameter.dtype, parameter.device), [])
            same = next((other for other in of if _equal(other, parameter.data)), None)
            if same is None:
                of.append(parameter.data)
            elif same.data_ptr() != parameter.data_ptr():
                saved += parameter.numel() * parameter.element_size()
                parameter.data = same
    return saved


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)


@dataclass(frozen=True)
class Multi:
    """Models over one base as one model, for batches of rows of any of them."""

    model: Transformer
    #: the place of each in what they were made of: its number in `adapters_of_rows` is its place here
    members: tuple[int, ...]


@torch.no_grad()
def over_one_base(models: Sequence[Transformer]) -> list[Multi]:
    """Find models that are one but for their adapters, and make one of all those that are.

    Tensors are not copied but for the thin ones of adapters. The models found are decoded from now on, not trained.

    Args:
        models: in evaluation mode, weights that are equal held once (`share_weights`).
    """
    alike: dict[Hashable, list[int]] = {}
    for place, model in enumerate(models):
        if (of := _base_of(model)) is not None:
            alike.setdefault(of, []).append(place)
    found = []
    for members in alike.values():
        some = [models[place] for place in members]
        if len(some) > 1 and any(map(adapted, some)):
            found.append(Multi(_together(some), tuple(members)))
            for model in some:
                _put(model, [model])
    return found


def _base_of(model: Transformer) -> Hashable | None:
    """Return what models have in common whose bases are one; None: it is none of them."""
    if model.prior is not None or any(map.quantized is not None for map in adapted(model).values()):
        return None
    named = (item for item in model.named_parameters() if ".lora_" not in item[0])
    held = tuple(sorted((name, parameter.data_ptr()) for name, parameter in named))
    return model.config.model_dump_json(), held


def _together(models: Sequence[Transformer]) -> Transformer:
    """Return a model whose maps hold the adapters of all."""
    tensors = {id(t): t for model in models for t in (*model.parameters(), *model.buffers())}
    made = copy.deepcopy(models[0], tensors)  # other modules, the same tensors
    _put(made, models)
    return made


def _put(model: Transformer, of: Sequence[Transformer]) -> None:
    """Put maps with the adapters of models in the place of those that have one in any of them."""
    held = [adapted(one) for one in of]
    for name in sorted(set().union(*held)):
        above, _, last = name.rpartition(".")
        setattr(model.get_submodule(above), last, MultiLoRALinear([maps.get(name) for maps in held]))
