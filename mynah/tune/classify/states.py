"""The hidden states of a base as features: what it has made of each token a third of the way up, averaged.

Averages of states low in a network tell topics and intents apart better than those at its end, which are about the next
token, and cost a third (docs/log.md). Tokens count by how rare they are among the texts (IDF), as in Arora et al.
2017, "A simple but tough-to-beat baseline for sentence embeddings". The first token is left out: it gathers what no
other token needs (Xiao et al. 2024, "Efficient streaming language models with attention sinks").
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mynah.interop.huggingface import from_hugging_face
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.tune.classify.linear import load_arrays

Floats = npt.NDArray[np.float32]
#: Layers that are read, of all.
SHARE = 1 / 3
#: Tokens that are read at once, and of a text in one window.
AT_ONCE, WINDOW = 2048, 256
FILE = "states.safetensors"


class Reader:
    """Reads texts with the lower layers of a base.

    Args:
        model: the base; its upper layers are taken off.
        tokenizer: its own.
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        depth = max(1, round(SHARE * len(model.blocks)))
        self._model = model.eval()
        self._model.blocks = model.blocks[:depth]
        self._model.norm = torch.nn.Identity()  # type: ignore[assignment]
        self._before = tokenizer.encode("\n")

    @classmethod
    def open(cls, base: Path, device: torch.device) -> Reader:
        """Open the base of a directory.

        Raises:
            ArtifactError, ConfigError: as `from_hugging_face`.
        """
        model, tokenizer = from_hugging_face(base)
        return cls(model.to(device), tokenizer)

    @property
    def parameters(self) -> int:
        """How many weights a token passes through."""
        return sum(weight.numel() for weight in self._model.blocks.parameters())

    @property
    def width(self) -> int:
        """C."""
        return self._model.config.n_embd

    def encode(self, texts: Sequence[str], longest: int | None) -> list[list[int]]:
        """Return the tokens of texts, of one that is longer than `longest` its beginning and its end."""
        encoded = [self.tokenizer.encode(text) for text in texts]
        if longest is None:
            return encoded
        half = longest // 2
        return [ids if len(ids) <= longest else [*ids[: longest - half], *ids[-half:]] for ids in encoded]

    @torch.inference_mode()
    def states(
        self,
        encoded: Sequence[Sequence[int]],
        weight: Callable[[int], float],
        told: Callable[[float], None] | None = None,
    ) -> Floats:
        """Return the weighted mean of the states of each text, (N, C) float32; zero of one without tokens.

        Args:
            encoded: tokens of each text.
            weight: of a token.
            told: is told what share is done, from 0 to 1.
        """
        sums = torch.zeros(len(encoded), self.width)
        weights = torch.zeros(len(encoded))
        windows = [
            (number, list(ids[start : start + WINDOW]))
            for number, ids in enumerate(encoded)
            for start in range(0, len(ids), WINDOW)
        ]
        windows.sort(key=lambda window: len(window[1]))
        total, done = sum(len(ids) for _, ids in windows), 0
        for some in self._batches(windows):
            longest = max(len(ids) for _, ids in some)
            rows = torch.zeros(len(some), len(self._before) + longest, dtype=torch.int64)
            counted = torch.zeros(len(some), longest)
            for row, (_, ids) in enumerate(some):
                rows[row, : len(self._before) + len(ids)] = torch.tensor([*self._before, *ids])
                counted[row, : len(ids)] = torch.tensor([weight(token) for token in ids])
            numbers = torch.tensor([number for number, _ in some])
            sums.index_add_(0, numbers, self._weighted(rows, counted))
            weights.index_add_(0, numbers, counted.sum(1))
            done += sum(len(ids) for _, ids in some)
            if told is not None:
                told(done / total)
        result: Floats = (sums / weights.clamp(min=1e-9)[:, None]).numpy()
        return result

    def _weighted(self, rows: Tensor, counted: Tensor) -> Tensor:
        device = next(self._model.parameters()).device
        hidden = self._model(rows.to(device))[:, len(self._before) :].float().cpu()  # (B, T, C)
        return torch.einsum("btc,bt->bc", hidden, counted)

    @staticmethod
    def _batches(windows: Sequence[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
        some: list[tuple[int, list[int]]] = []
        for window in windows:  # the shortest first
            if some and (len(some) + 1) * len(window[1]) > AT_ONCE:
                yield some
                some = []
            some.append(window)
        if some:
            yield some


class States:
    """How rare tokens are among the texts that were learned from, and how large and spread their states.

    Args:
        rarity: token -> IDF; of one that was not seen the largest.
        unseen: that.
        mean, scale: (C,) each.
    """

    def __init__(self, rarity: dict[int, float], unseen: float, mean: Floats, scale: Floats) -> None:
        self.rarity, self.unseen, self.mean, self.scale = rarity, unseen, mean, scale

    @classmethod
    def count(cls, encoded: Sequence[Sequence[int]]) -> States:
        """Count in how many texts each token stands; mean and scale are found by `settle`."""
        counted = Counter(token for ids in encoded for token in set(ids))
        rarity = {token: math.log((1 + len(encoded)) / n) for token, n in counted.items()}
        none = np.zeros(0, np.float32)
        return cls(rarity, math.log(1 + len(encoded)), none, none)

    def settle(self, states: Floats) -> States:
        """Return it with the mean and the spread of states that were learned from."""
        return States(self.rarity, self.unseen, states.mean(axis=0), np.maximum(states.std(axis=0), 1e-4))

    def weight(self, token: int) -> float:
        """Return how much a token counts."""
        return self.rarity.get(token, self.unseen)

    def features(self, states: Floats) -> Floats:
        """Return states of one spread, each text's of length 1, (N, C)."""
        scaled = (states - self.mean) / self.scale
        lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
        result: Floats = scaled / np.maximum(lengths, 1e-9)
        return result

    def save(self, folder: Path) -> None:
        """Write into a folder."""
        from safetensors.numpy import save_file

        arrays = {
            "tokens": np.array(list(self.rarity), np.int64),
            "rarity": np.array(list(self.rarity.values()), np.float32),
            "unseen": np.array([self.unseen], np.float32),
            "mean": self.mean.astype(np.float32),
            "scale": self.scale.astype(np.float32),
        }
        save_file(arrays, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> States:
        """Read what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        found = load_arrays(folder / FILE)
        rarity = dict(zip(found["tokens"].tolist(), found["rarity"].tolist(), strict=True))
        return cls(rarity, float(found["unseen"][0]), found["mean"], found["scale"])
