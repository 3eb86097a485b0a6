"""Two-layer networks beyond one output without bias: an affine part, several outputs, or fixed gates.

``f(x) = W2 (W1 x)_+ + skip x + output_bias`` is what training with weight decay is about when outputs have a
constant or a linear part, or when K of them share the neurons. :class:`TwoLayerReLU` stays what max-margin
training is about, and is returned wherever it is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.networks.activations import RELU
from convexrelu.networks.convert import GivenOut
from convexrelu.networks.layers import as_inputs, evaluate
from convexrelu.networks.neurons import row_norms
from convexrelu.networks.parts import Parts
from convexrelu.networks.storage import Stored

__all__ = ["GatedReLU", "ReLUNetwork"]


def _fixed(array: float | ArrayLike) -> np.ndarray:
    copy = np.array(array, dtype=np.float64)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False, init=False, repr=False)
class ReLUNetwork(Stored, GivenOut):
    """Return the network ``f(x) = W2 (W1 x)_+ + skip x + output_bias``, of one output or of K.

    Parameters
    ----------
    W1 : (m, d) array_like
        Neuron i's weights as row i; shape (0, d) for no neurons.
    W2 : (m,) or (K, m) array_like
        Output weights: a vector for one output, else a row for each.
    output_bias : float or (K,) array_like
        The constant, by default zero.
    skip : (d,) or (K, d) array_like or None
        The linear part, by default zero.

    Raises
    ------
    InvalidInputError
        If the weights are not finite, or the shapes do not agree.

    Examples
    --------
    >>> network = ReLUNetwork([[1.0, 0.0], [0.0, 2.0]], [3.0, -1.0], output_bias=0.5)
    >>> network([[1.0, 1.0], [-1.0, 1.0]])
    array([ 1.5, -1.5])
    >>> ReLUNetwork([[1.0, 0.0]], [[3.0], [4.0]])([[2.0, 1.0]])
    array([[6., 8.]])
    """

    W1: Float[np.ndarray, "m d"]
    W2: Float[np.ndarray, "... m"]
    output_bias: Float[np.ndarray, ...]
    skip: Float[np.ndarray, "... d"]

    def __init__(
        self,
        W1: ArrayLike,
        W2: ArrayLike,
        *,
        output_bias: float | ArrayLike = 0.0,
        skip: ArrayLike | None = None,
    ) -> None:
        first = as_matrix(W1, "W1", min_rows=0)
        m, d = first.shape
        if np.ndim(W2) == 2:
            second = np.asarray(W2, dtype=np.float64)
            if not second.shape[0] or second.shape[1] != m or not np.isfinite(second).all():
                raise InvalidInputError(f"W2 must be finite, of shape (K, {m}), got shape {second.shape}")
        else:
            second = as_vector(W2, "W2", length=m)
        outputs = second.shape[:-1]
        bias = np.broadcast_to(np.asarray(output_bias, dtype=np.float64), outputs)
        linear = np.zeros((*outputs, d)) if skip is None else np.asarray(skip, dtype=np.float64)
        if linear.shape != (*outputs, d) or not (np.isfinite(bias).all() and np.isfinite(linear).all()):
            raise InvalidInputError(
                f"output_bias and skip must be finite, skip of shape {(*outputs, d)}, got {linear.shape}"
            )
        for name, value in (("W1", first), ("W2", second), ("output_bias", bias), ("skip", linear)):
            object.__setattr__(self, name, _fixed(value))

    @property
    def w2(self) -> Float[np.ndarray, " m"]:
        """The output weights of a network of one output."""
        if self.W2.ndim != 1:
            raise InvalidInputError(f"a network of {len(self.W2)} outputs has W2, not w2")
        return self.W2

    @property
    def n_neurons(self) -> int:
        """The number m of hidden neurons."""
        return len(self.W1)

    @property
    def n_features(self) -> int:
        """The number d of inputs."""
        return int(self.W1.shape[1])

    @property
    def n_outputs(self) -> int:
        """The number K of outputs."""
        return len(self.W2) if self.W2.ndim == 2 else 1

    def __call__(self, X: ArrayLike) -> Float[np.ndarray, "n ..."]:
        """Return the outputs on the rows of X.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) or (n, K) float array
            The outputs.

        Raises
        ------
        InvalidInputError
            If X is not a finite matrix of d columns.
        """
        matrix = as_inputs(X, self.n_features)
        hidden = evaluate([self.W1, np.atleast_2d(self.W2)], RELU, matrix)
        hidden = hidden[:, 0] if self.W2.ndim == 1 else hidden
        return np.asarray(hidden + matrix @ self.skip.T + self.output_bias)

    def objective(self) -> float:
        """Return ``(||W1||_F^2 + ||W2||_F^2) / 2``; the affine part does not count.

        Returns
        -------
        float
            Never below :meth:`group_norm`.
        """
        return float(0.5 * (np.sum(self.W1**2) + np.sum(self.W2**2)))

    def group_norm(self) -> float:
        """Return ``sum_i ||w1_i|| ||W2[:, i]||``.

        Returns
        -------
        float
            The least :meth:`objective` among all ways to share out the weights between the layers.
        """
        return float(row_norms(self.W1) @ row_norms(np.atleast_2d(self.W2).T)) if self.n_neurons else 0.0

    def scaled_neurons(self, c: float) -> ReLUNetwork:
        """Return the network whose neurons count c >= 0 times as much, balanced; the affine part stays.

        Parameters
        ----------
        c : float
            The factor.

        Returns
        -------
        ReLUNetwork
            ``||w1_i|| = ||W2[:, i]||`` for all neurons; those of size zero are dropped.
        """
        columns = np.atleast_2d(self.W2)
        if not self.n_neurons:
            return self
        first, second = row_norms(self.W1), row_norms(columns.T)
        live = (c * first > 0) & (second > 0)
        roots = np.sqrt(c) * np.sqrt(first[live]) * np.sqrt(second[live])
        W1 = self.W1[live] * (roots / first[live])[:, None]
        W2 = columns[:, live] * (roots / second[live])
        return ReLUNetwork(
            W1, W2 if self.W2.ndim == 2 else W2[0], output_bias=self.output_bias, skip=self.skip
        )

    def _parts(self, wanted: str, *, biases: bool) -> Parts:
        skip = np.atleast_2d(self.skip)
        used = skip.any(axis=0)
        axes = np.eye(self.n_features)[used]
        W1 = np.vstack([self.W1, axes, -axes])
        W2 = np.hstack([np.atleast_2d(self.W2), skip[:, used], -skip[:, used]])
        b2 = np.atleast_1d(self.output_bias)
        return Parts(W1, None, W2, b2 if b2.any() else None).given_out(wanted, biases=biases)

    _kind = "convexrelu.ReLUNetwork"
    _fields = ("n_features", "n_outputs", "W1", "W2", "output_bias", "skip")

    def _document(self) -> dict[str, Any]:
        return {
            "n_features": self.n_features,
            "n_outputs": len(self.W2) if self.W2.ndim == 2 else 0,
            "W1": self.W1.tolist(),
            "W2": self.W2.tolist(),
            "output_bias": self.output_bias.tolist(),
            "skip": self.skip.tolist(),
        }

    @classmethod
    def _of(cls, document: dict[str, Any]) -> ReLUNetwork:
        d, K = document["n_features"], document["n_outputs"]
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in (d, K)) or d < 1:
            raise InvalidInputError(f"n_features and n_outputs must be numbers, got {d!r} and {K!r}")
        # With no neuron, JSON's [] has lost the number of columns.
        rows = document["W1"] or np.empty((0, d))
        W2 = np.reshape(document["W2"], (K, -1)) if K else document["W2"]
        return cls(rows, W2, output_bias=document["output_bias"], skip=document["skip"])

    def __repr__(self) -> str:
        return (
            f"ReLUNetwork(n_neurons={self.n_neurons}, n_features={self.n_features}, "
            f"n_outputs={self.n_outputs}, objective={self.objective():.6g})"
        )


@dataclass(frozen=True, eq=False, init=False, repr=False)
class GatedReLU(Stored):
    """Return the gated network ``f(x) = sum_j 1[x^T g_j > 0] x^T u_j + skip x + output_bias``.

    Parameters
    ----------
    gates : (m, d) array_like
        The g_j, which decide where a neuron is active.
    U : (m, d) array_like
        The u_j, which decide what it is worth there.
    output_bias : float
        The constant.
    skip : (d,) array_like or None
        The linear part, by default zero.

    Raises
    ------
    InvalidInputError
        If the weights are not finite, or the shapes do not agree.

    Examples
    --------
    >>> GatedReLU([[1.0, 0.0]], [[0.0, 2.0]])([[1.0, 3.0], [-1.0, 3.0]])
    array([6., 0.])
    """

    gates: Float[np.ndarray, "m d"]
    U: Float[np.ndarray, "m d"]
    output_bias: Float[np.ndarray, ...]
    skip: Float[np.ndarray, " d"]

    def __init__(
        self, gates: ArrayLike, U: ArrayLike, *, output_bias: float = 0.0, skip: ArrayLike | None = None
    ) -> None:
        fixed = as_matrix(gates, "gates", min_rows=0)
        rows = as_matrix(U, "U", min_rows=0, columns=fixed.shape[1])
        if len(rows) != len(fixed):
            raise InvalidInputError(f"U must have {len(fixed)} rows, one for each gate, got {len(rows)}")
        linear = np.zeros(fixed.shape[1]) if skip is None else as_vector(skip, "skip", length=fixed.shape[1])
        bias = float(as_vector([output_bias], "output_bias")[0])
        for name, value in (("gates", fixed), ("U", rows), ("output_bias", np.array(bias)), ("skip", linear)):
            object.__setattr__(self, name, _fixed(value))

    @property
    def n_neurons(self) -> int:
        """The number m of neurons."""
        return len(self.U)

    @property
    def n_features(self) -> int:
        """The number d of inputs."""
        return int(self.U.shape[1])

    def __call__(self, X: ArrayLike) -> Float[np.ndarray, " n"]:
        """Return the outputs on the rows of X.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) float array
            The outputs.
        """
        matrix = as_inputs(X, self.n_features)
        gated = (matrix @ self.gates.T > 0) * (matrix @ self.U.T)
        return np.asarray(gated.sum(axis=1) + matrix @ self.skip + self.output_bias)

    def group_norm(self) -> float:
        """Return ``sum_j ||u_j||``.

        Returns
        -------
        float
            What weight decay of the two layers comes to.
        """
        return float(row_norms(self.U).sum()) if self.n_neurons else 0.0

    def scaled_neurons(self, c: float) -> GatedReLU:
        """Return the network whose neurons count c >= 0 times as much; the affine part stays.

        Parameters
        ----------
        c : float
            The factor.

        Returns
        -------
        GatedReLU
            With the same gates.
        """
        return GatedReLU(self.gates, c * self.U, output_bias=float(self.output_bias), skip=self.skip)

    _kind = "convexrelu.GatedReLU"
    _fields = ("n_features", "gates", "U", "output_bias", "skip")

    def _document(self) -> dict[str, Any]:
        return {
            "n_features": self.n_features,
            "gates": self.gates.tolist(),
            "U": self.U.tolist(),
            "output_bias": float(self.output_bias),
            "skip": self.skip.tolist(),
        }

    @classmethod
    def _of(cls, document: dict[str, Any]) -> GatedReLU:
        d = document["n_features"]
        if isinstance(d, bool) or not isinstance(d, int) or d < 1:
            raise InvalidInputError(f"n_features must be a positive number, got {d!r}")
        gates, U = (
            np.reshape(np.asarray(document[name], dtype=np.float64), (-1, d)) for name in ("gates", "U")
        )
        return cls(gates, U, output_bias=document["output_bias"], skip=document["skip"])

    def __repr__(self) -> str:
        return f"GatedReLU(n_neurons={self.n_neurons}, n_features={self.n_features})"
