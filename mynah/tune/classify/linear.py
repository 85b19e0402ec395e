"""A linear map from features to classes, and probabilities that mean what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.errors import ArtifactError

Floats = npt.NDArray[np.float64]
#: Steps of the fit, at most; and how far the weights may go from zero (scikit-learn's C).
STEPS = 300
FREEDOM = 10.0
FILE = "linear.safetensors"


@dataclass(frozen=True)
class Linear:
    """Multinomial logistic regression: p(k | x) = softmax((W x + b) / T), the temperature T set apart."""

    #: (K, F) and (K,) float32
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    temperature: float = 1.0

    @classmethod
    def fit(
        cls, x: Any, numbers: npt.NDArray[np.int64], count: int, *, balanced: bool, freedom: float = FREEDOM
    ) -> Linear:
        """Fit by maximum likelihood with an L2 penalty.

        Args:
            x: (N, F), dense or sparse.
            numbers: (N,) of the classes; those that no row is of are never predicted.
            count: K.
            balanced: whether each class counts as much as any other, however many rows it has.
            freedom: the larger, the smaller the penalty.
        """
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(
            C=freedom, max_iter=STEPS, class_weight="balanced" if balanced else None, tol=1e-3
        )
        model.fit(x, numbers)
        weights, bias = np.zeros((count, x.shape[1]), np.float32), np.full(count, -1e4, np.float32)
        seen = model.classes_
        if len(seen) == 2:  # one row of weights, for the second
            weights[seen[1]], bias[seen] = model.coef_[0], [0.0, model.intercept_[0]]
        else:
            weights[seen], bias[seen] = model.coef_, model.intercept_
        return cls(weights, bias)

    def logits(self, x: Any) -> Floats:
        """Return (N, K) of (N, F)."""
        found: Floats = np.asarray(x @ self.weights.T, np.float64) + self.bias
        return found

    def __call__(self, x: Any) -> Floats:
        """Return the probabilities, (N, K) of (N, F)."""
        return softmax(self.logits(x) / self.temperature)

    def with_temperature(self, temperature: float) -> Linear:
        """Return the same map with another temperature."""
        return replace(self, temperature=temperature)

    def save(self, folder: Path) -> None:
        """Write into a folder."""
        from safetensors.numpy import save_file

        save_file({"weights": self.weights, "bias": self.bias}, folder / FILE)

    @classmethod
    def load(cls, folder: Path, temperature: float) -> Linear:
        """Read what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        found = load_arrays(folder / FILE)
        try:
            return cls(found["weights"], found["bias"], temperature)
        except KeyError as missing:
            raise ArtifactError(f"{folder / FILE}: damaged: {missing} is missing") from None


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a safetensors file.

    Raises:
        ArtifactError: if it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: dict[str, npt.NDArray[Any]] = load_file(path)
    except (OSError, SafetensorError):
        raise ArtifactError(f"{path}: missing or damaged") from None
    return found


def softmax(logits: Floats) -> Floats:
    """Return exp(z) / sum exp(z) over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def log_loss(logits: Floats, numbers: npt.NDArray[np.int64], temperature: float) -> float:
    """Return the mean of -log p of the right class, in nats, of (N, K) logits."""
    return float(-log_softmax(logits / temperature)[np.arange(len(numbers)), numbers].mean())


def fit_temperature(logits: Floats, numbers: npt.NDArray[np.int64]) -> float:
    """Return the temperature with the lowest log loss on rows not seen in fitting (Guo et al. 2017, section 4.2).

    Of N rows each is taken to be right with probability (N + 1) / (N + 2) only (Platt 1999, section 2.2): where all are
    right, nobody can be sure without end.
    """
    from scipy.optimize import minimize_scalar

    each, doubt = np.arange(len(numbers)), 1 / (len(numbers) + 2)

    def loss(power: float) -> float:
        said = log_softmax(logits / np.exp(power))
        right = said[each, numbers]
        others = (said.sum(axis=1) - right) / max(1, logits.shape[1] - 1)
        return float(-((1 - doubt) * right + doubt * others).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-5.0, 8.0), method="bounded").x))


def log_softmax(logits: Floats) -> Floats:
    """Return log(exp(z) / sum exp(z)) over the last axis of (N, K)."""
    top = logits.max(axis=1, keepdims=True)
    result: Floats = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return result
