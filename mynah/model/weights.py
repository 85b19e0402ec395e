"""Initialisation, told in one place, and weights on disk."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from mynah import artifacts
from mynah.config import build_config
from mynah.errors import ArtifactError
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer

WEIGHTS = "model.safetensors"
CONFIG = "model.json"


@torch.no_grad()
def init_weights(model: Transformer, seed: int) -> None:
    """Fill a model with random weights; equal seeds give equal weights.

    gpt2 (Radford et al. 2019, section 2.3): normal(0, 0.02) everywhere; projections back into the stream
    are divided by sqrt(2 n_layer), so that the stream does not grow with depth.

    zero_out: matrices uniform with standard deviation 1 / sqrt(width); projections back into the stream zero,
    so that every block begins as the identity; embeddings normal(0, 1), as the stream is normalised
    where it is read; the head normal(0, 0.001), so that the first loss is ln V.
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    back = {
        id(module) for name, module in model.named_modules() if name.endswith(("attention.out", "mlp.down"))
    }
    for module in model.modules():
        if isinstance(module, nn.Linear):
            _init_matrix(module.weight, config, id(module) in back, generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            std = 0.02 if config.init == "gpt2" else 1.0
            module.weight.normal_(0, std, generator=generator)
    if model.bigram_scale is not None:
        model.bigram_scale.fill_(0.1)
    if model.gate is not None:
        model.gate.weight.zero_()
    if config.init == "zero_out":
        std = 0.02 if config.tie_embeddings else 0.001
        model.head.weight.normal_(0, std, generator=generator)
        if model.bigram_embed is not None:
            model.bigram_embed.weight.zero_()
        if model.value_embed is not None:  # of the size of the values that it is added to
            bound = math.sqrt(3 / config.n_embd)
            model.value_embed.weight.uniform_(-bound, bound, generator=generator)


def _init_matrix(weight: Tensor, config: ModelConfig, back: bool, generator: torch.Generator) -> None:
    if config.init == "gpt2":
        std = 0.02 / math.sqrt(2 * config.n_layer) if back else 0.02
        weight.normal_(0, std, generator=generator)
    elif back:
        weight.zero_()
    else:
        bound = math.sqrt(3 / config.n_embd)  # a uniform's standard deviation is bound / sqrt(3)
        weight.uniform_(-bound, bound, generator=generator)


def new_model(config: ModelConfig, seed: int) -> Transformer:
    """Return a model with random weights."""
    model = Transformer(config)
    init_weights(model, seed)
    return model


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
    from safetensors.torch import save

    artifacts.write_json(directory / CONFIG, config.model_dump(mode="json"))
    artifacts.write_bytes(directory / WEIGHTS, save(tensors))


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
    model = Transformer(load_config(directory))
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
    check_tensors(model_tensors(model), tensors, path)
    if model.config.tie_embeddings:
        tensors = tensors | {"head.weight": tensors["embed.weight"]}
    model.load_state_dict(tensors)


def check_tensors(expected: dict[str, Tensor], tensors: dict[str, Tensor], path: Path) -> None:
    """Raise ArtifactError if names or shapes of a file's tensors are not the expected ones."""
    for name in expected.keys() | tensors.keys():
        if name not in tensors:
            raise ArtifactError(f"{path}: tensor {name} is missing")
        if name not in expected:
            raise ArtifactError(f"{path}: tensor {name} is not part of this model")
        if tensors[name].shape != expected[name].shape:
            raise ArtifactError(
                f"{path}: tensor {name} has shape {tuple(tensors[name].shape)}, "
                f"expected {tuple(expected[name].shape)}"
            )
