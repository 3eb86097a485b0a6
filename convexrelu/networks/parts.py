"""A two-layer network with biases, as other libraries write it.

The convention: a network with biases acts on x, the package's network acts on (x, 1). So hidden biases become
the weights of the ones column. An output bias b stays one where the package's network has one (K outputs);
else it becomes one more neuron that sees nothing but this column: weights ``(0, .., 0, sqrt|b|)`` and output
weight ``sign(b) sqrt|b|``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from convexrelu._validation import as_matrix, as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.networks.neurons import Weights

__all__ = ["Parts", "absorb", "parts_of", "to_numpy"]


class Parts(NamedTuple):
    """``f(x) = W2 (W1 x + b1)_+ + b2`` as other libraries write it; a bias that was never there is None."""

    W1: Float[np.ndarray, "m d"]
    b1: Float[np.ndarray, " m"] | None
    W2: Float[np.ndarray, "K m"]
    b2: Float[np.ndarray, " K"] | None

    @property
    def biased(self) -> bool:
        """Whether the package's network acts on ``with_bias(X)``."""
        return self.b1 is not None or self.b2 is not None

    @property
    def first(self) -> Float[np.ndarray, "m _"]:
        """The first layer on (x, 1), or on x if there is no bias."""
        if not self.biased:
            return self.W1
        return np.column_stack([self.W1, np.zeros(len(self.W1)) if self.b1 is None else self.b1])

    @property
    def constant(self) -> Float[np.ndarray, " K"]:
        """The output biases, zero if there are none."""
        return np.zeros(len(self.W2)) if self.b2 is None else self.b2

    def absorbed(self) -> Weights:
        """Weights of a network of one output, without an output bias; see the module's docstring."""
        return absorb(self.first, self.W2[0], float(self.constant[0]))

    def given_out(self, wanted: str, *, biases: bool) -> Parts:
        """Return what other libraries are given; with `biases` the last column's weights become those."""
        m, d = self.W1.shape
        if not m:
            raise InvalidInputError(f"{wanted} needs a network of at least one neuron, got 0 neurons")
        if not biases:
            return self
        if d < 2:
            raise InvalidInputError(f"{wanted} needs a column beside the ones for biases, got {d} column")
        return Parts(self.W1[:, :-1], self.W1[:, -1], self.W2, self.b2)


def absorb(W1: Float[np.ndarray, "m d"], w2: Float[np.ndarray, " m"], constant: float) -> Weights:
    """Turn a constant output into a neuron that sees the last column alone, which must be ones."""
    if constant == 0:
        return Weights(W1, w2)
    root = np.sqrt(abs(constant))
    neuron = np.zeros(W1.shape[1])
    neuron[-1] = root
    return Weights(np.vstack([W1, neuron]), np.append(w2, np.copysign(root, constant)))


def parts_of(
    W1: Any, b1: Any, w2: Any, b2: Any, *, names: tuple[str, str, str, str] = ("W1", "b1", "w2", "b2")
) -> Parts:
    """Return the parts as float64 arrays of shapes that agree, or InvalidInputError under these names."""
    first = np.array(as_matrix(to_numpy(W1), names[0]))
    m = len(first)
    given = to_numpy(w2)
    if given.ndim == 2:
        second = np.array(as_matrix(given, names[2]))
    else:
        second = np.array(as_vector(given, names[2]))[None, :]
    if second.shape[1] != m:
        turned = " transpose it" if second.shape[0] == m else ""
        turned = f" transpose {names[0]}" if second.shape[1] == first.shape[1] else turned
        raise InvalidInputError(
            f"{names[2]} must have an entry for each of the {m} neurons, the rows of {names[0]}, got shape "
            f"{given.shape}{':' + turned if turned else ''}"
        )
    hidden = None if b1 is None else np.array(as_vector(to_numpy(b1), names[1], length=m))
    if b2 is None:
        return Parts(first, hidden, second, None)
    constant = as_vector(np.atleast_1d(to_numpy(b2)), names[3], length=len(second))
    return Parts(first, hidden, second, np.array(constant))


def to_numpy(value: Any) -> np.ndarray:
    """Copy a tensor, wherever and in whatever precision it lives, to a float64 array; others as they are."""
    if hasattr(value, "detach"):
        return np.asarray(value.detach().cpu().double().numpy())
    return np.asarray(value)
