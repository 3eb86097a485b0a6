"""The loss of a feed-forward network on given data, with its gradient.

The square loss is ``1/2 ||y_n - H(x_n; w)||^2`` with real targets, the logistic loss
``log(1 + exp(-y_n H(x_n; w)))`` with labels +1 and -1, an output each. They are summed over the samples, or
averaged: the step sizes of the papers on early alignment fit the mean. A third "loss", ``-y_n^T H(x_n; w)``,
is minus the neural correlation function of y: descent on it is ascent of the NCF, which is what training does
as long as the outputs are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_columns, as_labels, as_matrix
from convexrelu.errors import InvalidInputError
from convexrelu.losses import get_loss
from convexrelu.networks import FeedForward, Layers, forward

__all__ = [
    "CORRELATION",
    "LOGISTIC",
    "SQUARE",
    "DeepProblem",
    "Evaluation",
    "check_deep_problem",
]

SQUARE, LOGISTIC, CORRELATION = "square", "logistic", "correlation"
_REDUCTIONS = ("mean", "sum")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """The loss at some weights, and how it changes there.

    Attributes
    ----------
    loss : (...) float array
        Its value; the leading axes are those of the weights.
    gradient : list of (..., k_l, k_{l-1}) arrays
        Its gradient, zero at frozen entries; at a kink the activation's derivative from the left is taken.
    """

    loss: Float[np.ndarray, "*batch"]
    gradient: list[Float[np.ndarray, "*batch _ _"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class DeepProblem:
    """Data and a loss for networks of one shape.

    Attributes
    ----------
    network : FeedForward
        The start of training: its activation, shapes and trainable entries are those of all weights.
    X : (n, k_0) float array
        Samples.
    Y : (n, k_L) float array
        Targets (square loss), labels +1 and -1 (logistic loss) or weights (correlation), a column an output.
    loss : str
        "square", "logistic" or "correlation".
    reduction : str
        "mean" or "sum" over the samples.
    """

    network: FeedForward
    X: Float[np.ndarray, "n d"]
    Y: Float[np.ndarray, "n k"]
    loss: str
    reduction: str

    @property
    def scale(self) -> float:
        """What the summed loss is multiplied by: 1 or 1/n."""
        return 1.0 / len(self.X) if self.reduction == "mean" else 1.0

    def residual(self, outputs: Float[np.ndarray, "*batch n k"]) -> Float[np.ndarray, "*batch n k"]:
        """Return minus the derivative of the loss in the outputs; at outputs 0 it is the NCF's z, scaled."""
        if self.loss == CORRELATION:
            return np.broadcast_to(self.scale * self.Y, outputs.shape)
        if self.loss == SQUARE:
            return np.asarray(self.scale * (self.Y - outputs))
        return np.asarray(self.scale * self.Y * get_loss(LOGISTIC).slope(self.Y * outputs))

    def loss_of(self, outputs: Float[np.ndarray, "*batch n k"]) -> Float[np.ndarray, "*batch"]:
        """Return the loss of these outputs."""
        if self.loss == CORRELATION:
            return np.asarray(-self.scale * (self.Y * outputs).sum(axis=(-2, -1)))
        with np.errstate(over="ignore"):
            if self.loss == SQUARE:
                return np.asarray(0.5 * self.scale * np.square(self.Y - outputs).sum(axis=(-2, -1)))
            return np.asarray(self.scale * get_loss(LOGISTIC).value(self.Y * outputs).sum(axis=(-2, -1)))

    def evaluate(self, weights: Layers) -> Evaluation:
        """Return the loss and its gradient at some weights, or at a batch of them."""
        run = forward(weights, self.network.activation, self.X)
        masks = self.network.trainable
        ascent = run.gradient(self.residual(run.outputs))
        gradient = [np.where(mask, -G, 0.0) for G, mask in zip(ascent, masks, strict=True)]
        return Evaluation(loss=self.loss_of(run.outputs), gradient=gradient)


def check_deep_problem(
    network: FeedForward, X: ArrayLike, y: ArrayLike, *, loss: str, reduction: str
) -> DeepProblem:
    """Return the problem of training a network, its parts checked together, or raise InvalidInputError."""
    if not isinstance(network, FeedForward):
        raise InvalidInputError(f"network must be a FeedForward, got {type(network).__name__}")
    _check_name(loss, "loss", (SQUARE, LOGISTIC, CORRELATION))
    _check_name(reduction, "reduction", _REDUCTIONS)
    matrix = np.array(as_matrix(X, columns=network.widths[0]))
    shape = (len(matrix), network.widths[-1])
    Y = _labels(y, shape) if loss == LOGISTIC else as_columns(y, "y", rows=shape[0], columns=shape[1])
    return DeepProblem(network=network, X=matrix, Y=np.array(Y), loss=loss, reduction=reduction)


def _check_name(value: str, name: str, known: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in known:
        names = " or ".join(repr(word) for word in known)
        raise InvalidInputError(f"{name} must be {names}, got {value!r}")


def _labels(y: ArrayLike, shape: tuple[int, int]) -> Float[np.ndarray, "n k"]:
    """Return labels +1 and -1 as a matrix; a vector may hold any two values, the larger is +1."""
    if np.ndim(y) == 1 and shape[1] == 1:
        return as_labels(y, length=shape[0])[:, None]
    Y = as_columns(y, "y", rows=shape[0], columns=shape[1])
    if not np.isin(Y, (-1.0, 1.0)).all():
        raise InvalidInputError("y must hold labels +1 and -1 for the logistic loss of several outputs")
    return Y
