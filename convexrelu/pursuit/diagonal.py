"""Neuron Pursuit on diagonal linear networks ``x -> sum_j v_j u_j x_j``, which is matching pursuit (NP D.5).

Neuron j sees coordinate j alone, so that the constrained NCF of adding it is ``|X_j^T r| / 2`` for a residual
r, attained at ``|u_j| = |v_j|``. The dominant neuron is the column of largest absolute correlation, without
normalisation, and the refit is least squares on the columns so far: orthogonal matching pursuit, provided the
descent reaches the minimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu._clock import Clock
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector, check_count, check_nonnegative, check_positive
from convexrelu.networks import FeedForward, PowerLeakyReLU
from convexrelu.pursuit.inner import InnerSolver, inner_solver, refit
from convexrelu.pursuit.square_loss import SquareLoss

__all__ = ["DiagonalPursuit", "diagonal_pursuit"]

LINEAR = PowerLeakyReLU(1.0)
"""The activation of linear networks."""

_NO_CORRELATION = 1e-12
"""A correlation below this share of ``||X_j|| ||y||`` is the rounding of a residual orthogonal to X_j."""

_LEAST_ERROR = 1e-10
"""The refit's relative error at which it counts as exact."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DiagonalPursuit:
    """A diagonal linear network grown neuron by neuron.

    Attributes
    ----------
    network : FeedForward
        ``[diag(u), v]`` with the activation ``x``, trainable where neurons were added.
    order : (k,) int array
        The coordinates in the order in which their neurons were added.
    ncf_values : (k,) float array
        The constrained NCF of each when it was added.
    coefficients : (k, d) float array
        ``v * u`` after each iteration.
    """

    network: FeedForward
    order: Int[np.ndarray, " k"]
    ncf_values: Float[np.ndarray, " k"]
    coefficients: Float[np.ndarray, "k d"]


def diagonal_pursuit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    max_iterations: int,
    tol: float = 1e-6,
    inner: str | InnerSolver = "lbfgs",
    delta: float = 0.01,
) -> DiagonalPursuit:
    """Return a diagonal linear network grown by Neuron Pursuit (NP appendix D.5).

    Parameters
    ----------
    X : (n, d) array_like
        Samples.
    y : (n,) array_like
        Real targets.
    max_iterations : int
        Neurons at most, one an iteration; there are no more than d.
    tol : float, default 1e-6
        Relative error at which the pursuit ends.
    inner : str or InnerSolver, default "lbfgs"
        As for :func:`convexrelu.neuron_pursuit`.
    delta : float, default 0.01
        Norm of the weights of an added neuron.

    Returns
    -------
    DiagonalPursuit
        The network, its order of growth, and its coefficients after each iteration.

    Raises
    ------
    InvalidInputError
        If an argument is malformed.

    Examples
    --------
    >>> from convexrelu.datasets import matching_pursuit_example
    >>> grown = diagonal_pursuit(*matching_pursuit_example(), max_iterations=2)
    >>> grown.order, grown.coefficients.round(4)
    (array([2, 0]), array([[0.    , 0.    , 1.7715],
                           [1.1875, 0.    , 1.875 ]]))
    """
    matrix = as_matrix(X)
    targets = as_vector(y, "y", length=len(matrix))
    most = min(check_count(max_iterations, "max_iterations"), matrix.shape[1])
    goal, solver = check_nonnegative(tol, "tol"), inner_solver(inner)
    small = check_positive(delta, "delta") / np.sqrt(2)
    u, v = np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1])
    order: list[int] = []
    values, coefficients = [], []
    size, columns = float(np.linalg.norm(targets)), np.linalg.norm(matrix, axis=0)
    while len(order) < most:
        residual = targets - matrix @ (u * v)
        correlation = matrix.T @ residual
        correlation[order] = 0.0
        j = int(np.argmax(np.abs(correlation)))
        if (
            np.linalg.norm(residual) <= goal * size
            or abs(correlation[j]) <= _NO_CORRELATION * columns[j] * size
        ):
            break
        order.append(j)
        values.append(0.5 * abs(float(correlation[j])))
        u[j], v[j] = small * np.sign(correlation[j]), small
        loss = SquareLoss(network=_diagonal(u, v), activation=LINEAR, X=matrix, Y=targets[:, None])
        fit = refit(loss, solver, 0.5 * _LEAST_ERROR**2, Clock()).network
        u, v = np.diag(fit.weights[0]).copy(), fit.weights[1][0].copy()
        coefficients.append(u * v)
    return DiagonalPursuit(
        network=_diagonal(u, v),
        order=np.array(order, dtype=np.int64),
        ncf_values=np.array(values, dtype=np.float64),
        coefficients=np.reshape(coefficients, (-1, matrix.shape[1])).astype(np.float64),
    )


def _diagonal(u: Float[np.ndarray, " d"], v: Float[np.ndarray, " d"]) -> FeedForward:
    """Return the network, of which the neurons that are not zero are trainable."""
    live = v != 0
    return FeedForward([np.diag(u), v[None, :]], LINEAR, trainable=[np.diag(live), live[None, :]])
