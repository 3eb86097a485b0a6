"""The one forward pass of the package, and the derivatives that follow from it.

A network ``H(x; w) = W_L s(W_{L-1} ... s(W_1 x))`` (K-deep eq. (2)) is a sequence of matrices W_l of shape
(k_l, k_{l-1}). All of them may carry the same leading axes: then many networks are evaluated at once. With
the pre-activations Z_l and activities A_l of a :class:`Pass`, the gradient of ``N_z(w) = sum_n z_n^T H(x_n;
w)`` is found backwards,

    G_L = z,    grad_{W_l} N = G_l^T A_{l-1},    G_{l-1} = (G_l W_l) * s'(Z_{l-1}),

and differentiating these lines along a direction V gives the Hessian-vector product at twice the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix
from convexrelu.errors import InvalidInputError
from convexrelu.networks.activations import Activation

__all__ = ["Layers", "Pass", "as_inputs", "bias_hint", "evaluate", "forward", "pack", "unpack"]

_BLOCK = 2**15
"""Activities evaluated at once where only the outputs are wanted: a quarter of a megabyte, for the caches."""

Layers = Sequence[Float[np.ndarray, "... _ _"]]
"""Weights, or anything of their shape (gradients, directions): one array a layer, the first layer first."""


def as_inputs(X: ArrayLike, n_features: int) -> Float[np.ndarray, "n d"]:
    """Return rows that a network of so many inputs acts on, or InvalidInputError."""
    matrix = as_matrix(X)
    if matrix.shape[1] != n_features:
        raise InvalidInputError(
            f"X must have {n_features} columns, as the network has, got shape {matrix.shape}"
            f"{bias_hint(matrix.shape[1], n_features)}"
        )
    return matrix


def bias_hint(columns: int, n_features: int) -> str:
    """Return what to do with data of so many columns, if all that a network misses is the column of ones."""
    if n_features != columns + 1:
        return ""
    return ": a network with biases acts on convexrelu.datasets.with_bias(X), which appends a column of ones"


def forward(weights: Layers, activation: Activation, X: Float[np.ndarray, "n d"]) -> Pass:
    """Return the forward pass of one network, or of a batch of them, over the rows of X.

    Parameters
    ----------
    weights : sequence of (..., k_l, k_{l-1}) float arrays
        The layers.
    activation : Activation
        Applied between them.
    X : (n, d) float array
        Samples.

    Returns
    -------
    Pass
        Its ``outputs`` have shape (..., n, k_L).

    Examples
    --------
    >>> import numpy as np
    >>> from convexrelu.networks.activations import RELU
    >>> forward([np.eye(2), np.array([[1.0, -2.0]])], RELU, np.array([[3.0, 1.0]])).outputs
    array([[1.]])
    """
    inputs: list[np.ndarray] = [X]
    sums: list[np.ndarray] = []
    for W in weights:
        if sums:
            inputs.append(activation(sums[-1]))
        sums.append(inputs[-1] @ np.swapaxes(W, -1, -2))
    return Pass(weights=weights, activation=activation, inputs=tuple(inputs), sums=tuple(sums))


def evaluate(
    weights: Layers, activation: Activation, X: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "n k"]:
    """Return the outputs of one network on the rows of X, some rows at a time.

    What a :class:`Pass` stores is not kept: the memory needed beside the outputs does not grow with n.

    Parameters
    ----------
    weights : sequence of (k_l, k_{l-1}) float arrays
        The layers.
    activation : Activation
        Applied between them.
    X : (n, d) float array
        Samples.

    Returns
    -------
    (n, k_L) array
        ``H(x_n; w)`` as rows.

    Examples
    --------
    >>> import numpy as np
    >>> from convexrelu.networks.activations import RELU
    >>> evaluate([np.eye(2), np.array([[1.0, -2.0]])], RELU, np.array([[3.0, 1.0], [1.0, 0.0]]))
    array([[1.],
           [1.]])
    """
    outputs = np.empty((len(X), len(weights[-1])))
    rows = max(_BLOCK // max(len(W) for W in weights), 1)
    for first in range(0, len(X), rows):
        part = slice(first, first + rows)
        outputs[part] = forward(weights, activation, X[part]).outputs
    return outputs


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """What one evaluation of a network leaves for its derivatives.

    Attributes
    ----------
    weights : sequence of (..., k_l, k_{l-1}) float arrays
        The layers.
    activation : Activation
        Applied between them.
    inputs : tuple of (..., n, k_{l-1}) float arrays
        What each layer is applied to: X, then the activities of the hidden layers.
    sums : tuple of (..., n, k_l) float arrays
        What each layer returns: pre-activations, the last of them the outputs.
    """

    weights: Layers
    activation: Activation
    inputs: tuple[Float[np.ndarray, ...], ...]
    sums: tuple[Float[np.ndarray, ...], ...]

    @property
    def outputs(self) -> Float[np.ndarray, "... n k"]:
        """The network's values."""
        return self.sums[-1]

    def worth(
        self, z: Float[np.ndarray, "... n k"], slopes: Layers | None = None
    ) -> list[Float[np.ndarray, "... n _"]]:
        """Return G_l, the derivatives of ``sum_n z_n^T H(x_n; w)`` in each layer's sums, the first first.

        Parameters
        ----------
        z : (..., n, k_L) float array
            Weights of the outputs.
        slopes : sequence of (..., n, k_l) float arrays or None
            The activation's derivatives at the hidden layers' sums, where others than those from the left are
            wanted at kinks.

        Returns
        -------
        list of (..., n, k_l) arrays
            The last one is z.
        """
        G = [z]
        for layer in reversed(range(1, len(self.weights))):
            slope = self.activation.slope(self.sums[layer - 1]) if slopes is None else slopes[layer - 1]
            G.append((G[-1] @ self.weights[layer]) * slope)
        return G[::-1]

    def gradient(self, z: Float[np.ndarray, "... n k"]) -> list[Float[np.ndarray, "... _ _"]]:
        """Return the gradient of ``sum_n z_n^T H(x_n; w)``, a layer each.

        Parameters
        ----------
        z : (..., n, k_L) float array
            Weights of the outputs; of shape (n, k_L), they serve all networks of a batch.

        Returns
        -------
        list of (..., k_l, k_{l-1}) arrays
            Like the weights.
        """
        pairs = zip(self.worth(z), self.inputs, strict=True)
        return [np.swapaxes(G, -1, -2) @ inputs for G, inputs in pairs]

    def hessian_vector_product(
        self, z: Float[np.ndarray, "... n k"], direction: Layers
    ) -> list[Float[np.ndarray, "... _ _"]]:
        """Return the derivative of :meth:`gradient` along a direction, at fixed z.

        Parameters
        ----------
        z : (..., n, k_L) float array
            Weights of the outputs.
        direction : sequence of (..., k_l, k_{l-1}) float arrays
            Like the weights.

        Returns
        -------
        list of (..., k_l, k_{l-1}) arrays
            Like the weights.
        """
        input_dots, sum_dots = self._tangents(direction)
        G, G_dot, products = z, np.zeros_like(z), []
        for layer in reversed(range(len(self.weights))):
            products.append(
                np.swapaxes(G_dot, -1, -2) @ self.inputs[layer] + np.swapaxes(G, -1, -2) @ input_dots[layer]
            )
            if layer:
                W, V, Z = self.weights[layer], direction[layer], self.sums[layer - 1]
                slope, back = self.activation.slope(Z), G @ W
                G_dot = (G_dot @ W + G @ V) * slope + back * self.activation.curvature(Z) * sum_dots[
                    layer - 1
                ]
                G = back * slope
        return products[::-1]

    def _tangents(
        self, direction: Layers
    ) -> tuple[list[Float[np.ndarray, ...]], list[Float[np.ndarray, ...]]]:
        """Return the derivatives of `inputs` and of `sums` along a direction."""
        input_dots: list[np.ndarray] = [np.zeros_like(self.inputs[0])]
        sum_dots: list[np.ndarray] = []
        for layer, (W, V) in enumerate(zip(self.weights, direction, strict=True)):
            if layer:
                input_dots.append(self.activation.slope(self.sums[layer - 1]) * sum_dots[-1])
            through = self.inputs[layer] @ np.swapaxes(V, -1, -2)
            sum_dots.append(input_dots[-1] @ np.swapaxes(W, -1, -2) + through)
        return input_dots, sum_dots


def pack(layers: Layers) -> Float[np.ndarray, "... w"]:
    """Return all entries in one vector, layer by layer and row by row (behind the leading axes)."""
    return np.concatenate([layer.reshape(*layer.shape[:-2], -1) for layer in layers], axis=-1)


def unpack(vector: Float[np.ndarray, "... w"], like: Layers) -> list[Float[np.ndarray, "... _ _"]]:
    """Return the layers that :func:`pack` made a vector of, as views of it; `like` tells their shapes."""
    shapes = [layer.shape[-2:] for layer in like]
    ends = np.cumsum([k * j for k, j in shapes])[:-1]
    parts = np.split(vector, ends, axis=-1)
    return [part.reshape(*part.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True)]
