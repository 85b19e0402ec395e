"""A tuned head: the layers of a base with an adapter, and a linear map from what they make of a text to its classes.

Both are trained on the classes (Howard & Ruder 2018; Radford et al. 2018, section 3.2), by the one training loop.

B texts, T tokens, C width of the stream, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.transformer import Transformer

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TextBatch:
    """Texts, each with its class."""

    #: (B, T) int64, filled up behind each text
    tokens: Tensor
    #: (B, T) float32, 1 where a text has a token that is averaged
    seen: Tensor
    #: (B,) int64
    numbers: Tensor
    #: (B,) float32, how much each text counts
    weights: Tensor

    @property
    def count(self) -> int:
        """Texts that count."""
        return int((self.weights > 0).sum())

    @property
    def n_tokens(self) -> int:
        """Tokens that the model looks at."""
        return self.tokens.numel()

    def split(self, parts: int) -> list[TextBatch]:
        """Cut into so many parts of neighbouring texts; see `mynah.train.objective.Batch`."""
        if parts == 1:
            return [self]
        cut = [t.tensor_split(parts) for t in (self.tokens, self.seen, self.numbers, self.weights)]
        made = [TextBatch(*part) for part in zip(*cut, strict=True)]
        nothing = replace(made[0], weights=torch.zeros_like(made[0].weights))
        return [part if len(part.tokens) else nothing for part in made]

    def to(self, device: torch.device) -> TextBatch:
        """Return the texts with their tensors on a device."""
        return TextBatch(*(t.to(device) for t in (self.tokens, self.seen, self.numbers, self.weights)))


class Headed(nn.Module):
    """A decoder's layers and a linear head over the mean of its states.

    Args:
        body: gives (B, T, C) hidden states; what of it asks for gradients is trained.
        classes: K.
    """

    def __init__(self, body: Transformer, classes: int) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(body.config.n_embd, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Return (B, K) logits of (B, T) tokens."""
        hidden = self.body(tokens).float()  # (B, T, C)
        mean = torch.einsum("btc,bt->bc", hidden, seen) / seen.sum(1, keepdim=True).clamp(min=1)
        mean = F.layer_norm(mean, mean.shape[-1:])
        logits: Tensor = self.head(self.dropout(mean))
        return logits


def loss_of_classes(model: Headed, batch: TextBatch) -> tuple[Tensor, int]:
    """Return the summed cross-entropy of classes in nats, a scalar, and how many texts counted (an objective)."""
    losses = F.cross_entropy(model(batch.tokens, batch.seen), batch.numbers, reduction="none")
    return (losses * batch.weights).sum(), batch.count


class TextBatches:
    """Batches of texts as a pure function of (seed, step); texts of like length together, each epoch in new order."""

    def __init__(
        self,
        encoded: Sequence[Sequence[int]],
        before: Sequence[int],
        numbers: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        batch_size: int,
        seed: int,
    ) -> None:
        self.encoded, self.before, self.numbers, self.weights = encoded, before, numbers, weights
        self.batch_size, self.seed = batch_size, seed
        self.a_pass = max(1, -(-len(encoded) // batch_size))
        self.lengths = np.array([len(ids) for ids in encoded])

    def __call__(self, step: int) -> TextBatch:
        """Return the batch of a step."""
        epoch, index = divmod(step, self.a_pass)
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.encoded))
        # Of a few batches' texts those of like length go together: little is filled up.
        some = 8 * self.batch_size
        for begin in range(0, len(order), some):
            window = order[begin : begin + some]
            order[begin : begin + some] = window[np.argsort(self.lengths[window], kind="stable")]
        at = int(rng.permutation(self.a_pass)[index]) * self.batch_size
        return self.of(order[at : at + self.batch_size])

    def of(self, which: npt.NDArray[np.intp]) -> TextBatch:
        """Return a batch of these texts."""
        return batch_of(
            [self.encoded[int(n)] for n in which], self.before, self.numbers[which], self.weights[which]
        )


def batch_of(
    encoded: Sequence[Sequence[int]],
    before: Sequence[int],
    numbers: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
) -> TextBatch:
    """Return texts as a batch; `before` stands before each, and is not averaged."""
    longest, first = max(1, max(map(len, encoded))), len(before)
    tokens = torch.zeros(len(encoded), first + longest, dtype=torch.int64)
    seen = torch.zeros(len(encoded), first + longest)
    for row, ids in enumerate(encoded):
        tokens[row, : first + len(ids)] = torch.tensor([*before, *ids])
        seen[row, first : first + len(ids)] = 1
    return TextBatch(tokens, seen, torch.from_numpy(numbers), torch.from_numpy(weights))
