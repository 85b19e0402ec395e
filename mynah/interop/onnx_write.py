"""A model as an ONNX graph, with the keys and values so far as inputs and outputs: for ONNX Runtime, without torch.

Inputs and outputs have the names that Optimum gives them, so that what runs its models runs these.

B rows, T new tokens, P tokens before them, S = P + T, G key/value heads, D width of a head, V vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mynah import __version__, artifacts
from mynah.artifacts import Manifest
from mynah.errors import ArtifactError, ConfigError, MissingDependency, MynahError
from mynah.interop.huggingface import config_json, family_of
from mynah.interop.parity import Limits, compare_logits, compare_tokens, expect
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

GRAPH = "model.onnx"
#: How far the logits of the graph may be off: other kernels, the same float32.
LIMITS = Limits(error=1e-4, kl=1e-6)
#: Sizes that the graph is traced with; they are symbols in it.
_ROWS, _BEFORE, _NEW = 2, 3, 5

Cache = list[tuple[Tensor, Tensor]]


def to_onnx(model: Transformer, tokenizer: Tokenizer, directory: Path, *, talks: bool = True) -> None:
    """Write a model as `model.onnx`, with its tokenizer, and its `config.json` where transformers has such a model.

    Inputs: `input_ids`, `position_ids` (B, T) int64, `attention_mask` (B, S) int64, 0 where a row is filled up on the
    left, and `past_key_values.N.key` and `.value` (B, G, P, D) float32 of each layer; P may be 0. A model with a table
    of token pairs takes `previous_ids` (B, T) int64 too, the token before each, 0 before the first. Outputs: `logits`
    (B, T, V) float32, and `present.N.key` and `.value` (B, G, S, D), which are the next step's past. The graph's
    metadata hold `context_length` and, as JSON, the `stop_ids` that end a reply or a text.

    The graph is run in ONNX Runtime and compared with the model before it is put in place.

    Args:
        model: float32, on the CPU.
        tokenizer: the one it was trained with.
        directory: new, or empty; it is there when it is whole.
        talks: whether it was fine-tuned on conversations: only then its chat template goes with it.

    Raises:
        ConfigError: if the model goes on from an n-gram model.
        MissingDependency: without onnx, onnxscript and onnxruntime.
        ArtifactError: if the directory holds something, cannot be written, or the graph does not compute the model.
    """
    _check_installed()
    if model.config.prior:
        family_of(model.config)  # says so
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ArtifactError(f"{directory}: holds something already; name a new folder")
    expected = expect(model, tokenizer, talks=talks)
    with artifacts.new_directory(directory, Manifest("export", "", __version__, {}, {}, 0)) as partial:
        tokenizer.save(partial, talks=talks)
        try:
            family = family_of(model.config)
        except ConfigError:  # one of Mynah's own makes, which a graph can say and no config of others
            pass
        else:
            artifacts.write_json(partial / "config.json", config_json(model, tokenizer, family))
        stops = sorted({*tokenizer.template.stop_ids, tokenizer.control.end})
        about = {"context_length": str(model.config.context_length), "stop_ids": str(stops)}
        try:
            _write(model, partial / GRAPH, about)
            compare_tokens(expected, partial)
            runner = Runner(partial / GRAPH, model.config)
            found = [runner.in_two_steps(ids) for ids in expected.ids]
        except OSError as error:
            raise ArtifactError(f"{directory}: cannot be written: {error.strerror or error}") from None
        except MynahError:
            raise
        except Exception as error:  # exporter and runtime have errors of many kinds, each of many lines
            first = str(error).strip().partition("\n")[0]
            raise ArtifactError(
                f"{directory}: export stopped, nothing is written: {type(error).__name__}: {first}"
            ) from error
        compare_logits(expected.logits, found, LIMITS)


def _write(model: Transformer, path: Path, about: dict[str, str]) -> None:
    with _quietly(), torch.no_grad():
        program = _trace(model)
    program.model.metadata_props.update(about)
    program.save(path)


class Runner:
    """The graph in ONNX Runtime."""

    def __init__(self, path: Path, config: ModelConfig) -> None:
        """Open a graph of a model with this config."""
        import onnxruntime

        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.config = config

    def in_two_steps(self, ids: list[int]) -> Tensor:
        """Return the logits (T, V) of one text, whose second half is read with the first in the cache."""
        tokens, half = np.array([ids], np.int64), (len(ids) + 1) // 2
        empty = np.zeros((1, self.config.n_kv_head, 0, self.config.head_dim), np.float32)
        first, past = self.run(tokens[:, :half], [empty] * 2 * self.config.n_layer, 0)
        parts = [first]
        if half < len(ids):
            parts.append(self.run(tokens[:, half:], past, ids[half - 1])[0])
        return torch.from_numpy(np.concatenate(parts, axis=1)[0])

    def run(
        self, tokens: npt.NDArray[np.int64], past: list[npt.NDArray[np.float32]], before: int
    ) -> tuple[npt.NDArray[np.float32], list[npt.NDArray[np.float32]]]:
        """Return logits (B, T, V), and keys and values of all layers in turn.

        Args:
            tokens: (B, T).
            past: (B, G, P, D) each.
            before: the token before the first.
        """
        B, T = tokens.shape
        P = past[0].shape[2]
        given = [
            tokens,
            np.ones((B, P + T), np.int64),
            np.broadcast_to(np.arange(P, P + T), (B, T)),
            *([np.hstack([np.full((B, 1), before), tokens[:, :-1]])] if self.config.bigram_buckets else []),
            *past,
        ]
        logits, *present = self.session.run(None, dict(zip(_inputs(self.config), given, strict=True)))
        return logits, present


def _inputs(config: ModelConfig) -> list[str]:
    previous = ["previous_ids"] if config.bigram_buckets else []
    return ["input_ids", "attention_mask", "position_ids", *previous, *_of_layers("past_key_values", config)]


def _of_layers(name: str, config: ModelConfig) -> list[str]:
    return [f"{name}.{layer}.{part}" for layer in range(config.n_layer) for part in ("key", "value")]


class _Cached:
    """Keys and values that come in and go out: a `Past` without a place of its own."""

    def __init__(self, positions: Tensor, previous: Tensor, seen: Tensor, cache: Cache) -> None:
        self.positions, self.previous, self.seen, self.cache = positions, previous, seen, list(cache)

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, G, T, D) keys and values of a layer; return all of them, (B, G, S, D)."""
        keys, values = self.cache[layer]
        self.cache[layer] = torch.cat((keys, key), dim=2), torch.cat((values, value), dim=2)
        return self.cache[layer]

    def mask(self, window: int, dtype: torch.dtype) -> Tensor:
        """Return (B, 1, T, S), 0 where a new token may look.

        The lowest number stands elsewhere: of what fills a row up all scores are hidden, and -inf would make them none.
        """
        where = (self.seen.cumsum(dim=1) - 1)[:, None, :]  # (B, 1, S)
        query = self.positions[:, :, None]  # (B, T, 1)
        hidden = (where > query) | (self.seen[:, None, :] == 0)
        if window:
            hidden = hidden | (where <= query - window)
        nothing = torch.zeros(hidden.shape, dtype=dtype)
        return nothing.masked_fill(hidden, torch.finfo(dtype).min)[:, None]


class _Decoder(nn.Module):
    """A model as a function of tensors alone."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        previous_ids: Tensor,
        cache: Cache,
    ) -> tuple[Tensor, Cache]:
        past = _Cached(position_ids, previous_ids, attention_mask, cache)
        logits = self.model.logits(self.model(input_ids, past=past))
        return logits, past.cache


class _DecoderAlone(_Decoder):
    """The same of a model without a table of token pairs: an input that nothing reads would be in no graph."""

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, cache: Cache
    ) -> tuple[Tensor, Cache]:
        return super().forward(input_ids, attention_mask, position_ids, position_ids, cache)


def _trace(model: Transformer) -> Any:
    config = model.config
    B, P, T = _ROWS, _BEFORE, _NEW
    tokens = torch.zeros(B, T, dtype=torch.int64)
    mask = torch.ones(B, P + T, dtype=torch.int64)
    positions = torch.arange(P, P + T).expand(B, T)
    cache = [
        (
            torch.zeros(B, config.n_kv_head, P, config.head_dim),
            torch.zeros(B, config.n_kv_head, P, config.head_dim),
        )
        for _ in range(config.n_layer)
    ]
    size = torch.export.Dim.DYNAMIC
    both, keys = {0: size, 1: size}, {0: size, 2: size}
    pairs = bool(config.bigram_buckets)
    decoder = (_Decoder if pairs else _DecoderAlone)(model).eval()
    # Two inputs that are one tensor would become one.
    given = [tokens, mask, positions, *([tokens.clone()] if pairs else [])]
    return torch.onnx.export(
        decoder,
        (*given, cache),
        dynamo=True,
        verbose=False,
        input_names=_inputs(config),
        output_names=["logits", *_of_layers("present", config)],
        dynamic_shapes=(*[both] * len(given), [(keys, keys)] * config.n_layer),
    )


def _check_installed() -> None:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise MissingDependency(error.name or "onnx", "onnx", "writing ONNX") from None
    del onnx, onnxruntime, onnxscript


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep back what the exporter says of packages that are not needed, and of its own deprecated parts."""
    import warnings

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
