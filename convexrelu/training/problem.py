"""What is trained: a network on data, and the loss it is to lower.

A loss of :mod:`convexrelu.losses` is summed over the samples, or averaged: the step sizes of the papers on
early alignment fit the mean. The "correlation" ``-y_n^T H(x_n; w)`` of a feed-forward network is minus the
neural correlation function of y: descent on it is ascent of the NCF, which is what training does as long as
the outputs are small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_columns, as_data, as_labels, as_matrix, check_range
from convexrelu.errors import InvalidInputError
from convexrelu.losses import CORRELATION, NO_LOOP, Loss, get_loss
from convexrelu.networks import FeedForward, Layers, TwoLayerReLU, forward

__all__ = [
    "DeepProblem",
    "Evaluation",
    "TwoLayerProblem",
    "check_deep_problem",
    "check_problem",
    "check_start",
    "scale_of",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """The loss at some weights, and how it changes there.

    Attributes
    ----------
    loss : (...) float array
        Its value; the leading axes are those of the weights.
    gradient : list of (..., k_l, k_{l-1}) float arrays
        Its gradient, zero at frozen entries; at a kink the activation's derivative from the left is taken.
    """

    loss: Float[np.ndarray, "*batch"]
    gradient: list[Float[np.ndarray, "*batch _ _"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoLayerProblem:
    """Data, a loss and the two-layer ReLU network that training starts from.

    Attributes
    ----------
    network : TwoLayerReLU
        The start.
    X, y : (n, d) and (n,) float arrays
        The data, labels as +1 and -1.
    rule : Loss
        The loss of a sample.
    reduction : str
        "mean" or "sum" over the samples.
    """

    network: TwoLayerReLU
    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    rule: Loss
    reduction: str

    @property
    def scale(self) -> float:
        """What the summed loss is multiplied by: 1 or 1/n."""
        return scale_of(self.reduction, len(self.X))


@dataclass(frozen=True, kw_only=True, eq=False)
class DeepProblem:
    """Data and a loss for feed-forward networks of one shape.

    Attributes
    ----------
    network : FeedForward
        The start of training: its activation, shapes and trainable entries are those of all weights.
    X : (n, k_0) float array
        Samples.
    Y : (n, k_L) float array
        Targets, or labels +1 and -1 if the loss takes labels, a column an output.
    rule : Loss
        The loss of a sample's output.
    reduction : str
        "mean" or "sum" over the samples.
    """

    network: FeedForward
    X: Float[np.ndarray, "n d"]
    Y: Float[np.ndarray, "n k"]
    rule: Loss
    reduction: str

    @property
    def scale(self) -> float:
        """What the summed loss is multiplied by: 1 or 1/n."""
        return scale_of(self.reduction, len(self.X))

    def residual(self, outputs: Float[np.ndarray, "*batch n k"]) -> Float[np.ndarray, "*batch n k"]:
        """Return minus the derivative of the loss in the outputs; at outputs 0 it is the NCF's z, scaled."""
        return np.asarray(self.scale * self.rule.slope(outputs, self.Y))

    def loss_of(self, outputs: Float[np.ndarray, "*batch n k"]) -> Float[np.ndarray, "*batch"]:
        """Return the loss of these outputs."""
        with np.errstate(over="ignore"):
            return np.asarray(self.scale * self.rule.value(outputs, self.Y).sum(axis=(-2, -1)))

    def evaluate(self, weights: Layers) -> Evaluation:
        """Return the loss and its gradient at some weights, or at a batch of them."""
        run = forward(weights, self.network.activation, self.X)
        masks = self.network.trainable
        ascent = run.gradient(self.residual(run.outputs))
        gradient = [np.where(mask, -G, 0.0) for G, mask in zip(ascent, masks, strict=True)]
        return Evaluation(loss=self.loss_of(run.outputs), gradient=gradient)


def scale_of(reduction: str, n: int) -> float:
    """Return what the loss summed over n samples is multiplied by: 1 or 1/n."""
    return 1.0 / n if reduction == "mean" else 1.0


def check_problem(
    X: ArrayLike, y: ArrayLike, network: TwoLayerReLU | FeedForward, *, loss: str, reduction: str
) -> TwoLayerProblem | DeepProblem:
    """Return the problem of training a network, its parts checked together, or raise InvalidInputError."""
    if isinstance(network, FeedForward):
        return check_deep_problem(network, X, y, loss=loss, reduction=reduction)
    rule = _checked_rule(loss, reduction)
    if rule.code == CORRELATION:
        raise InvalidInputError(
            "loss 'correlation' is for a FeedForward; a TwoLayerReLU is trained on a loss of its margins"
        )
    matrix, labels = as_data(X, y)
    check_range(matrix)
    check_start(network, matrix)
    return TwoLayerProblem(network=network, X=matrix.copy(), y=labels.copy(), rule=rule, reduction=reduction)


def check_start(network: TwoLayerReLU, X: Float[np.ndarray, "n d"]) -> None:
    """Refuse what cannot be trained: no network, one without neurons, of other inputs, or of huge weights."""
    n_inputs = X.shape[1]
    if not isinstance(network, TwoLayerReLU):
        raise InvalidInputError(
            f"network must be a TwoLayerReLU or a FeedForward, got {type(network).__name__}"
        )
    if network.n_features != n_inputs:
        raise InvalidInputError(
            f"the network must take {n_inputs} inputs (the columns of X), got {network.n_features}"
        )
    if not network.n_neurons:
        raise InvalidInputError("the network must have at least one neuron, got none")
    largest = max(float(np.abs(network.W1).max()), float(np.abs(network.w2).max()))
    # then squares of weights, outputs and their products with inputs stay within float64
    bound = 1e100 / max(1.0, math.sqrt(np.abs(X).max()))
    if largest > bound:
        raise InvalidInputError(
            f"the network's weights must be at most {bound:.3g} in size on this data, got {largest:.3g}"
        )


def check_deep_problem(
    network: FeedForward, X: ArrayLike, y: ArrayLike, *, loss: str, reduction: str
) -> DeepProblem:
    """Return the problem of training a feed-forward network, or raise InvalidInputError."""
    if not isinstance(network, FeedForward):
        raise InvalidInputError(f"network must be a FeedForward, got {type(network).__name__}")
    rule = _checked_rule(loss, reduction)
    matrix = np.array(as_matrix(X, columns=network.widths[0]))
    shape = (len(matrix), network.widths[-1])
    Y = _labels(y, shape) if rule.takes_labels else as_columns(y, "y", rows=shape[0], columns=shape[1])
    return DeepProblem(network=network, X=matrix, Y=np.array(Y), rule=rule, reduction=reduction)


def _checked_rule(loss: str, reduction: str) -> Loss:
    if reduction not in ("mean", "sum"):
        raise InvalidInputError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
    rule = get_loss(loss)
    if rule.code == NO_LOOP:
        raise InvalidInputError(
            "loss must be 'logistic', 'exponential', 'square' or 'correlation' for training by descent, got "
            f"{rule.name!r}: convexrelu.solve takes it"
        )
    return rule


def _labels(y: ArrayLike, shape: tuple[int, int]) -> Float[np.ndarray, "n k"]:
    """Return labels +1 and -1 as a matrix; a vector may hold any two values, the larger is +1."""
    if np.ndim(y) == 1 and shape[1] == 1:
        return as_labels(y, length=shape[0])[:, None]
    Y = as_columns(y, "y", rows=shape[0], columns=shape[1])
    if not np.isin(Y, (-1.0, 1.0)).all():
        raise InvalidInputError("y must hold labels +1 and -1 for a loss of labels of several outputs")
    return Y
