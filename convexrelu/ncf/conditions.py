"""First- and second-order conditions of the constrained NCF, ``max N_z(w)  s.t.  ||w|| = 1``.

A unit vector w is a KKT point if ``grad N(w) = L N(w) w``, L being the degree (K-deep Lemma 11), and a
Delta-second-order one if moreover ``2 lambda - b^T hess N(w) b >= Delta`` for all unit vectors b orthogonal
to w, ``2 lambda = L N(w)`` (KH-beyond section 3). For power 1 the maxima lie on kinks, where grad N is a
set: see :mod:`convexrelu.ncf.gates`. The chain rule's set, which is used here, contains
Clarke's subdifferential of N and may be larger for three layers and more (K-deep Lemma 15).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_columns, as_matrix, check_nonnegative
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.gates import gated, least_residual_gates, ties_of
from convexrelu.networks.activations import homogeneous
from convexrelu.networks.feed_forward import FeedForward
from convexrelu.networks.layers import Pass, forward, pack, unpack
from convexrelu.networks.neurons import row_norms

__all__ = [
    "TIE_TOL",
    "Conditions",
    "check_scale",
    "conditions",
    "ncf_second_order",
    "ncf_stationarity",
    "rescaled",
]

TIE_TOL = 1e-6
"""A pre-activation is zero if it is at most this share of what weights of these norms can make of the sample:
maxima of this package tie within 1e-12, those of networks trained in other ways less exactly."""

_SETTLED = 1e-12
"""The smallest eigenvalue is settled once its residual is this share of the largest eigenvalue's size."""

_SEED = 7  # of the start of Lanczos' method, so that the answer is the same every time


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """How near a network is to a KKT point of the constrained NCF, and of what kind it is.

    Attributes
    ----------
    value : float
        ``N_z`` of the normalised network.
    stationarity : float
        ``||P grad N|| / ||grad N||``, P the projection along w; least over the gates of ties.
    second_order : float
        The largest Delta of the second-order condition.
    n_ties : int
        Ties that bear on the gradient.
    """

    value: float
    stationarity: float
    second_order: float
    n_ties: int


def ncf_stationarity(network: FeedForward, X: ArrayLike, z: ArrayLike, *, tie_tol: float = TIE_TOL) -> float:
    """Return ``||P grad N_z(w)|| / ||grad N_z(w)||``: zero exactly at KKT points of the constrained NCF.

    P projects along w, so this is the sine of the angle between the weights and the gradient, whatever the
    scales of weights, X and z. At ties of an activation of power 1 it is the least over the derivatives
    that Clarke's subdifferential of the activation allows: exact if ties lie in one layer, otherwise an
    upper bound on the least.

    Parameters
    ----------
    network : FeedForward
        With a homogeneous activation; its norm does not matter. Frozen weights stay out.
    X : (n, k_0) array_like
        Samples.
    z : (n,) or (n, k_L) array_like
        Weights of the outputs.
    tie_tol : float, default 1e-6
        Pre-activations at most this large, beside the norms of their weights and inputs, count as zero.

    Returns
    -------
    float
        Between 0 and 1; 0 where the gradient is zero.

    Raises
    ------
    InvalidInputError
        If the shapes do not agree, the activation is not homogeneous, or all weights are zero.

    Examples
    --------
    >>> network = FeedForward([[[0.6, 0.8]], [[1.0]]])
    >>> print(f"{ncf_stationarity(network, [[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0]):.6f}")
    0.000000
    """
    return _point(network, X, z, tie_tol).stationarity


def ncf_second_order(network: FeedForward, X: ArrayLike, z: ArrayLike, *, tie_tol: float = TIE_TOL) -> float:
    """Return the largest Delta with ``2 lambda - b^T hess N(w) b >= Delta`` for unit b orthogonal to w.

    Here ``2 lambda = w^T grad N(w) = L N(w)`` (KH-beyond section 3): Delta is the smallest eigenvalue of
    ``2 lambda - hess N`` on the tangent space, found by Lanczos' method on Hessian-vector products. It is
    positive at isolated maxima, zero where KKT points are not isolated, and negative at saddles.

    For an activation of power 1 with a kink, the directions b are those that keep every tie a tie and every
    neuron without weights at zero. N is smooth along them, and the derivatives at ties are those that
    :func:`ncf_stationarity` chooses. Whether leaving a tie could gain is not asked.

    Parameters
    ----------
    network : FeedForward
        A KKT point, of any norm; w is the normalised one.
    X : (n, k_0) array_like
        Samples.
    z : (n,) or (n, k_L) array_like
        Weights of the outputs.
    tie_tol : float, default 1e-6
        As in :func:`ncf_stationarity`.

    Returns
    -------
    float
        Delta; inf if there is no such direction.

    Raises
    ------
    InvalidInputError
        As :func:`ncf_stationarity`.

    Examples
    --------
    >>> network = FeedForward([[[1.0]], [[1.0]]])
    >>> print(f"{ncf_second_order(network, [[2.0]], [3.0]):.6f}")
    12.000000
    """
    return conditions(network, X, z, tie_tol=tie_tol).second_order


def conditions(network: FeedForward, X: ArrayLike, z: ArrayLike, *, tie_tol: float = TIE_TOL) -> Conditions:
    """Return value, first- and second-order conditions of the normalised network together.

    Parameters
    ----------
    network, X, z, tie_tol
        As in :func:`ncf_stationarity`.

    Returns
    -------
    Conditions
        All of them.

    Raises
    ------
    InvalidInputError
        As :func:`ncf_stationarity`.
    """
    point = _point(network, X, z, tie_tol)
    check_scale(point.scale)
    return Conditions(
        value=point.scale * float((point.run.outputs * point.z).sum()),
        stationarity=point.stationarity,
        second_order=point.scale * _smallest_curvature(point),
        n_ties=len(point.across),
    )


def rescaled(
    X: Float[np.ndarray, "n d"], z: Float[np.ndarray, "n k"], power: int, depth: int
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n k"], float]:
    """Return X and z at size one, and by how much N of the data is larger than N of these.

    Deep networks raise X to high powers: at size one neither N nor its derivatives over- or underflow.
    """
    length, size = float(row_norms(X).max()), float(row_norms(z.reshape(1, -1))[0])
    length, size = length if length > 0 else 1.0, size if size > 0 else 1.0
    with np.errstate(over="ignore", under="ignore"):
        return X / length, z / size, float(size * np.float64(length) ** power ** (depth - 1))


def check_scale(scale: float) -> None:
    """Refuse data whose N is beyond the range of floats (InvalidInputError)."""
    if not (np.isfinite(scale) and scale >= np.finfo(float).tiny):
        raise InvalidInputError(f"N must be within the range of floats, its scale is {scale}: rescale X or z")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Point:
    """A unit vector w, and N's derivatives there for data at size one.

    `moves` marks the weights that may move (1 or 0), `smooth` those of them along which N is smooth,
    `across` holds the directions that leave a tie, and `scale` is by how much the data's N is larger.
    """

    run: Pass
    w: Float[np.ndarray, " w"]
    z: Float[np.ndarray, "n k"]
    moves: Float[np.ndarray, " w"]
    smooth: Float[np.ndarray, " w"]
    across: Float[np.ndarray, "t w"]
    scale: float

    @property
    def gradient(self) -> Float[np.ndarray, " w"]:
        return np.asarray(self.moves * pack(self.run.gradient(self.z)))

    @property
    def stationarity(self) -> float:
        gradient = self.gradient
        size = float(np.linalg.norm(gradient))
        return float(np.linalg.norm(gradient - (gradient @ self.w) * self.w)) / size if size > 0 else 0.0

    def products(self, v: Float[np.ndarray, " w"]) -> Float[np.ndarray, " w"]:
        return pack(self.run.hessian_vector_product(self.z, unpack(v, self.run.weights)))


def _point(network: FeedForward, X: ArrayLike, z: ArrayLike, tie_tol: float) -> _Point:
    """Check everything, normalise, and choose the derivatives at ties."""
    if not isinstance(network, FeedForward):
        raise InvalidInputError(f"network must be a FeedForward, got {type(network).__name__}")
    activation, tol = homogeneous(network.activation), check_nonnegative(tie_tol, "tie_tol")
    _ = network.degree  # refuses a network that is not homogeneous in its trainable weights
    samples = as_matrix(X, columns=network.widths[0])
    outputs = as_columns(z, "z", rows=len(samples), columns=network.widths[-1])
    samples, outputs, scale = rescaled(samples, outputs, activation.power, network.depth)
    w = network.normalized()
    run = forward(w.weights, activation, samples)
    moves = pack([mask.astype(float) for mask in w.trainable])
    vector, smooth, across = moves * pack(w.weights), moves, np.zeros((0, len(moves)))
    if activation.kinked:
        ties = ties_of(run, outputs, activation.alpha, tol)
        gates, across = least_residual_gates(run, outputs, ties, vector, moves)
        run, smooth = gated(run, ties, gates), moves * _live(w, tol)
    return _Point(run=run, w=vector, z=outputs, moves=moves, smooth=smooth, across=across, scale=scale)


def _live(network: FeedForward, tol: float) -> Float[np.ndarray, " w"]:
    """Mark the weights that are not those of a neuron without weights."""
    marks = [np.ones(W.shape) for W in network.weights]
    for layer, zero in enumerate(network.zero_preserving_set(tol)):
        marks[layer][zero] = 0.0
        marks[layer + 1][:, zero] = 0.0
    return pack(marks)


def _smallest_curvature(point: _Point) -> float:
    """Return the smallest eigenvalue of ``2 lambda - hess N`` on the directions orthogonal to w.

    Lanczos' method with full reorthogonalisation, which stays in that space and may end early: a Krylov
    space that is complete holds an eigenvector of every eigenvalue, since the start is random.
    """
    normals = _orthonormal(np.vstack([point.w[None], point.smooth * point.across]))
    twice_lambda = float(point.gradient @ point.w)

    def project(v: Float[np.ndarray, " w"]) -> Float[np.ndarray, " w"]:
        inside = point.smooth * v
        return np.asarray(inside - normals.T @ (normals @ inside))

    n_directions = int(np.count_nonzero(point.smooth)) - len(normals)
    if n_directions <= 0:
        return np.inf
    start = project(np.random.default_rng(_SEED).normal(size=len(point.w)))
    basis, diagonal, beside = [start / np.linalg.norm(start)], list[float](), list[float]()
    # The spectrum is that of the active neurons and a cluster for all others: 20 steps
    # are the rule.
    for _ in range(min(n_directions, 300)):
        image = twice_lambda * basis[-1] - project(point.products(basis[-1]))
        diagonal.append(float(image @ basis[-1]))
        known = np.array(basis)
        for _ in range(2):
            image = project(image - known.T @ (known @ image))
        values, vectors = _tridiagonal(diagonal, beside)
        beside.append(float(np.linalg.norm(image)))
        if beside[-1] * abs(vectors[-1, 0]) <= _SETTLED * np.abs(values).max() and len(diagonal) > 1:
            break
        if beside[-1] <= _SETTLED * np.abs(values).max():
            break
        basis.append(image / beside[-1])
    return float(values[0])


def _tridiagonal(
    diagonal: list[float], beside: list[float]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k k"]]:
    """Return eigenvalues, the smallest first, and eigenvectors."""
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors


def _orthonormal(rows: Float[np.ndarray, "t w"]) -> Float[np.ndarray, "r w"]:
    """Return an orthonormal basis of the rows' span; rows nearly dependent are, within 1e-9."""
    sizes = row_norms(rows)
    _, values, basis = np.linalg.svd(rows[sizes > 0] / sizes[sizes > 0, None], full_matrices=False)
    return np.asarray(basis[values > 1e-9])
