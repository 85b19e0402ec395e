"""Initialisation, told in one place, and weights on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mynah import artifacts
from mynah.config import build_config
from mynah.errors import ArtifactError
from mynah.model.attention import Attention
from mynah.model.config import ModelConfig
from mynah.model.roles import Role, marks_of
from mynah.model.tensor_files import write_tensors
from mynah.model.transformer import Norm, Transformer

WEIGHTS = "model.safetensors"
CONFIG = "model.json"


#: Copies a whole tensor into a parameter, of which this process may hold a part.
Put = Callable[[Tensor, Tensor], object]


@torch.no_grad()
def init_weights(model: Transformer, seed: int, put: Put = Tensor.copy_) -> None:
    """Fill a model with random weights; equal seeds give equal weights, however the model is sharded.

    gpt2 (Radford et al. 2019, section 2.3): normal(0, 0.02) everywhere; projections back into the stream
    are divided by sqrt(2 n_layer), so that the stream does not grow with depth.

    zero_out: matrices uniform with standard deviation 1 / sqrt(width); projections back into the stream zero,
    so that every block begins as the identity; embeddings normal(0, 1), as the stream is normalised
    where it is read; the head normal(0, 0.001), so that the first loss is ln V.
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    bound = math.sqrt(3 / config.n_embd)  # a uniform's standard deviation is bound / sqrt(3)

    def fill(target: Tensor | None, value: float) -> None:
        if target is not None:
            put(target, torch.full(target.shape, value))

    def normal(target: Tensor, std: float) -> None:
        put(target, torch.empty(target.shape).normal_(0, std, generator=generator))

    def uniform(target: Tensor) -> None:
        put(target, torch.empty(target.shape).uniform_(-bound, bound, generator=generator))

    for module in model.modules():
        if isinstance(module, nn.Linear):
            is_back = marks_of(module).get("weight") is Role.INTO_STREAM
            if config.init == "gpt2":
                normal(module.weight, 0.02 / math.sqrt(2 * config.n_layer) if is_back else 0.02)
            elif is_back:
                fill(module.weight, 0)
            else:
                uniform(module.weight)
            fill(module.bias, 0)
        elif isinstance(module, nn.Embedding):
            normal(module.weight, 0.02 if config.init == "gpt2" else 1.0)
        elif isinstance(module, Norm):
            fill(module.weight, 1)
            fill(module.bias, 0)
        elif isinstance(module, Attention):
            for scale in (module.q_scale, module.k_scale, module.value_gate):
                fill(scale, 1)
    fill(model.bigram_scale, 0.1)
    if model.gate is not None:
        fill(model.gate.weight, 0)
    if config.init == "zero_out":
        normal(model.head.weight, 0.02 if config.tie_embeddings else 0.001)
        if model.bigram_embed is not None:
            fill(model.bigram_embed.weight, 0)
        if model.value_embed is not None:  # of the size of the values that it is added to
            uniform(model.value_embed.weight)


def new_model(config: ModelConfig, seed: int) -> Transformer:
    """Return a model with random weights, in evaluation mode."""
    model = Transformer(config)
    init_weights(model, seed)
    return model.eval()


class _Unfilled(TorchFunctionMode):
    """Makes new tensors of one dtype, in this thread; what `torch.nn.init` would fill stays as it is.

    The meta device would do the same, but loads 80 MB of sympy.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"]
        if func in (torch.empty, torch.ones, torch.zeros) and kwargs.get("dtype") is None:
            kwargs = {**kwargs, "dtype": self.dtype}
        return func(*args, **kwargs)


def empty_model(config: ModelConfig, dtype: torch.dtype = torch.float32) -> Transformer:
    """Return a model whose weights are still to be filled, on the CPU; they take no memory until they are."""
    with _Unfilled(dtype):
        return Transformer(config)


def model_tensors(model: Transformer) -> dict[str, Tensor]:
    """Return a model's tensors by name, contiguous, a tied head left out."""
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_embeddings:
        del state["head.weight"]
    return state


def save_model(model: Transformer, directory: Path) -> None:
    """Write `model.json` and `model.safetensors`.

    Raises:
        ArtifactError: if they cannot be written.
    """
    save_tensors(model.config, model_tensors(model), directory)


def save_tensors(config: ModelConfig, tensors: dict[str, Tensor], directory: Path) -> None:
    """Write the same from a config and tensors by name.

    Raises:
        ArtifactError: if they cannot be written.
    """
    artifacts.write_json(directory / CONFIG, config.model_dump(mode="json"))
    write_tensors(directory / WEIGHTS, tensors)


def load_config(directory: Path) -> ModelConfig:
    """Read a model's config.

    Raises:
        ArtifactError: if it is missing or damaged.
        ConfigError: if it names what this version does not know.
    """
    return build_config(ModelConfig, artifacts.read_json(directory / CONFIG), str(directory / CONFIG))


def load_model(directory: Path) -> Transformer:
    """Read what `save_model` wrote, in evaluation mode.

    Raises:
        ArtifactError: if a file is missing or damaged, or the tensors are not those of the config.
    """
    model = empty_model(load_config(directory))
    load_tensors(model, read_tensors(directory / WEIGHTS), directory / WEIGHTS)
    return model.eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ArtifactError: if it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
        return tensors
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: damaged: {error}") from None


def load_tensors(model: Transformer, tensors: dict[str, Tensor], path: Path) -> None:
    """Put tensors into a model.

    Raises:
        ArtifactError: if names or shapes are not the model's.
    """
    check_shapes(model_tensors(model), {name: tensor.shape for name, tensor in tensors.items()}, path)
    if model.config.tie_embeddings:
        tensors = tensors | {"head.weight": tensors["embed.weight"]}
    model.load_state_dict(tensors)


def check_shapes(expected: Mapping[str, Tensor], found: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise ArtifactError if names or shapes of a file's tensors are not the expected ones."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise ArtifactError(f"{path}: tensor {name} is missing")
        if name not in expected:
            raise ArtifactError(f"{path}: tensor {name} is not part of this model")
        if tuple(found[name]) != tuple(expected[name].shape):
            raise ArtifactError(
                f"{path}: tensor {name} has shape {tuple(found[name])}, expected {tuple(expected[name].shape)}"
            )
