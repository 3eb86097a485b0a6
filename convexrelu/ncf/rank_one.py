"""Rank-one KKT points of the constrained NCF (K-deep Theorems 3, 4): built from a direction, and recognised.

For ``s(x) = max(x, alpha x)^p``, one output, and ``phat = p^{L-1} + ... + 1``, the layers

    W_l = a_l b_l^T,   ||a_l|| = ||b_l||,   ||a_l||^4 = p^{L-l}/phat,   b_l = a_{l-1}/p^{1/4}  (l >= 2),
    W_L = q a_{L-1}^T/(p phat)^{1/4},   q = +-1,

with non-negative a_l, whose non-zero entries are equal if p >= 2, are a KKT point exactly if b_1 is one of
the problem of a single direction, ``max sum_i z_i s^{L-1}(x_i^T u)`` over a sphere, s^{L-1} being s
composed L - 1 times. For alpha = 1 signs may differ: the conditions are those on absolute values.

Which of them are maxima is a matter of sparsity. For p >= 2 a neuron doubled is worth less than one of
twice the weight: the point has Delta > 0 if every a_l has one entry (and the direction is a strict
maximum), Delta < 0 if some a_l has more. For p = 1 weight moves between neurons of one direction at no
cost: Delta = 0 if some layer has two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_columns, as_generator, as_matrix, check_count
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.conditions import TIE_TOL, conditions, rescaled
from convexrelu.ncf.maximize import check_widths
from convexrelu.ncf.one_neuron import NeuronProblem, TwoSidedPower, climb, rank_one_network
from convexrelu.ncf.sphere import SphereProblem, follow, polish, unit
from convexrelu.networks.activations import Activation, PowerLeakyReLU, homogeneous
from convexrelu.networks.feed_forward import FeedForward

__all__ = ["RankOneReport", "check_rank_one", "factors", "kappa", "negative_share", "rank_one_kkt_point"]

HOLDS = 1e-7
"""A condition holds if it is missed by at most this much: far more than the rounding of a polished point, far
less than what a wrong structure leaves."""


def rank_one_kkt_point(
    X: ArrayLike,
    z: ArrayLike,
    *,
    widths: Sequence[int],
    activation: Activation,
    sign: int = 1,
    n_active: int = 1,
    rng: RNGLike = None,
) -> FeedForward:
    """Return a non-zero KKT point of the constrained NCF whose hidden layers have rank one.

    It is built by K-deep Theorems 3 and 4 from the best of 32 local maxima u of ``sign * sum_i z_i
    s^{L-1}(x_i^T u)``.

    Parameters
    ----------
    X : (n, d) array_like
        Samples.
    z : (n,) array_like
        Weights of the outputs.
    widths : sequence of int
        k_0, ..., k_L with k_L = 1.
    activation : PowerLeakyReLU
        The activation.
    sign : {1, -1}, default 1
        The sign q of the last layer's weights.
    n_active : int, default 1
        Active neurons of each hidden layer, all alike (as many as there are, if they are fewer). One gives
        a strict maximum for powers of at least 2, more of them a saddle.
    rng : seed, numpy.random.Generator, or None
        Where the directions come from.

    Returns
    -------
    FeedForward
        Of unit norm. N is positive, unless no direction correlates positively under this sign: then it is
        negative.

    Raises
    ------
    InvalidInputError
        If the shapes do not agree, the activation is not homogeneous, or N is zero for every direction.

    References
    ----------
    K-deep: docs/references.md.

    Examples
    --------
    >>> X, z = [[1.0, 0.0], [0.0, 1.0]], [1.0, 2.0]
    >>> network = rank_one_kkt_point(X, z, widths=(2, 3, 1), activation=PowerLeakyReLU(0.0, 2), rng=0)
    >>> print(f"{network(X) @ z:.6f}")
    0.769800
    """
    s, samples = homogeneous(activation), as_matrix(X)
    sizes = _one_output(check_widths(widths, samples.shape[1]))
    outputs = as_columns(z, "z", rows=len(samples), columns=1)
    if sign not in (1, -1):
        raise InvalidInputError(f"sign must be 1 or -1, got {sign!r}")
    active, generator = check_count(n_active, "n_active"), as_generator(rng)
    scaled, weights, _ = rescaled(samples, outputs, s.power, len(sizes) - 1)
    # Directions from which the reduced problem is climbed.
    starts = unit(generator.normal(size=(32, sizes[0])))
    shape = TwoSidedPower.of(s, (1.0,) * (len(sizes) - 3))
    problem = NeuronProblem(G=scaled, M=weights, shape=shape)
    best = _best_direction(problem, sign, starts)
    if not best.any():  # no direction is positive: a KKT point of the other sign is one as well
        best = _best_direction(problem, -sign, starts)
    if not best.any():
        raise InvalidInputError(
            "a direction u with sum_i z_i s(x_i^T u) other than zero is needed; from 32 starts none was found"
        )
    return rank_one_network(best, np.array([float(sign)]), sizes, s, active)


def _one_output(widths: tuple[int, ...]) -> tuple[int, ...]:
    if widths[-1] != 1:
        raise InvalidInputError(f"one output is needed, as the theorems have it, got widths {widths}")
    return widths


def _best_direction(
    problem: NeuronProblem, sign: int, starts: Float[np.ndarray, "s d"]
) -> Float[np.ndarray, " d"]:
    """Return the best local maximum for this sign of the output; zero if none is positive."""
    q = np.array([float(sign)])
    if problem.shape.kinked:
        found = max((climb(problem, u, q) for u in starts), key=lambda best: best.value)
        return found.u if found.value > 0 else np.zeros_like(found.u)
    free, fixed = (starts[:1],), (q[:, None],)
    sphere = SphereProblem(X=problem.G, z=problem.M, activation=problem.shape, free=free, fixed=fixed)
    near = follow(sphere, starts)
    # the best ends of the ascent, whose values are known to 1e-4; Newton's method finishes them
    order = np.argsort(-sphere.value_and_gradient(near)[0], kind="stable")[:4]
    ends = np.array([polish(sphere, u) if sphere.positive(u) else u for u in near[order]])
    values, _ = sphere.value_and_gradient(ends)
    best = ends[int(np.argmax(values))]
    return np.asarray(best if sphere.positive(best) else np.zeros_like(best))


@dataclass(frozen=True, kw_only=True, eq=False)
class RankOneReport:
    """How far a network is from the conditions of K-deep Theorems 3 and 4, each as a number that should be 0.

    Attributes
    ----------
    value : float
        ``N_z`` of the normalised network; it should not be 0.
    kappa : float
        ``max_l 1 - ||W_l||_2/||W_l||_F`` over the hidden layers: rank one.
    rho : float
        ``max ||(Z)_-||_F/||Z||_F`` over ``a_1`` and ``a_l b_l^T``, 2 <= l < L: non-negative entries. The
        theorems ask for it unless alpha = 1.
    norms : float
        ``max_l | ||W_l||^2 - p^{L-l}/phat |``.
    alignment : float
        Largest distance between the unit vectors of b_l and a_{l-1}, and of W_L and +-a_{L-1}; of their
        absolute values if alpha = 1.
    entries : float
        Largest relative difference between non-zero entries of an a_l; 0 for p = 1, where they are free.
    balance : float
        ``max | ||W_l[j, :]||^2 - p ||W_{l+1}[:, j]||^2 |`` (K-deep Lemma 5).
    direction : float
        The residual of b_1 in the reduced problem (Clarke's, for p = 1).
    stationarity : float
        The residual of the whole network.
    second_order : float
        Delta of the second-order condition.
    n_active : tuple of int
        Non-zero entries of each a_l.
    asks_for_signs : bool
        Whether the theorems ask for non-negative entries (alpha other than 1).
    """

    value: float
    kappa: float
    rho: float
    norms: float
    alignment: float
    entries: float
    balance: float
    direction: float
    stationarity: float
    second_order: float
    n_active: tuple[int, ...]
    asks_for_signs: bool

    @property
    def holds(self) -> bool:
        """Whether every condition of the theorem is met within 1e-7, so that this is such a KKT point."""
        numbers = [self.kappa, self.norms, self.alignment, self.entries, self.balance, self.direction]
        return max(numbers) <= HOLDS and (self.rho <= HOLDS or not self.asks_for_signs) and self.value != 0

    def __str__(self) -> str:
        verdict = "the conditions of K-deep Theorems 3 and 4 " + ("hold" if self.holds else "do not all hold")
        rho = f"rho {self.rho:.1e}" + ("" if self.asks_for_signs else " (not asked for)")
        return "\n".join(
            [
                f"{verdict}; N = {self.value:.8g}, active neurons {self.n_active}",
                f"  rank one: kappa {self.kappa:.1e}, {rho}",
                f"  norms {self.norms:.1e}, alignment {self.alignment:.1e}, entries {self.entries:.1e}, "
                f"balance {self.balance:.1e}",
                f"  residual of the direction {self.direction:.1e}, of the network {self.stationarity:.1e}; "
                f"Delta {self.second_order:.3g}",
            ]
        )


def check_rank_one(network: FeedForward, X: ArrayLike, z: ArrayLike) -> RankOneReport:
    """Return how far a network is from each condition of K-deep Theorems 3 and 4.

    Parameters
    ----------
    network : FeedForward
        With one output, no frozen weights, and a homogeneous activation; it is normalised first.
    X : (n, d) array_like
        Samples.
    z : (n,) array_like
        Weights of the outputs.

    Returns
    -------
    RankOneReport
        The numbers.

    Raises
    ------
    InvalidInputError
        If the network is not of that kind, has one layer only or one that is zero, or the shapes do not
        agree.

    Examples
    --------
    >>> X, z = [[1.0, 0.0], [0.0, 1.0]], [1.0, 2.0]
    >>> squared = PowerLeakyReLU(0.0, 2)
    >>> network = rank_one_kkt_point(X, z, widths=(2, 3, 3, 1), activation=squared, n_active=2, rng=0)
    >>> report = check_rank_one(network, X, z)
    >>> report.holds, report.n_active, report.second_order < 0
    (True, (2, 2), True)
    """
    s = homogeneous(network.activation)
    _check_shape(network)
    layers = network.normalized().weights
    known = conditions(network, X, z)
    left, right = factors(layers, signed=s.alpha != 1.0)
    shares = float(s.power) ** np.arange(len(layers) - 1, -1, -1)
    norms = np.array([np.sum(W**2) for W in layers])
    # An entry below this share of the largest one counts as zero.
    active = [np.abs(a) > 1e-6 * np.abs(a).max() for a in left]
    spreads = [np.ptp(np.abs(a[on])) / np.abs(a).max() for a, on in zip(left, active, strict=True)]
    return RankOneReport(
        value=known.value,
        kappa=kappa(layers[:-1]),
        rho=negative_share(left, right),
        norms=float(np.abs(norms - shares / shares.sum()).max()),
        alignment=_misalignment(left, right, signed=s.alpha != 1.0),
        entries=float(max(spreads)) if s.power > 1 else 0.0,
        balance=_imbalance(layers, s.power),
        direction=_direction_residual(right[0], s, len(layers), X, z),
        stationarity=known.stationarity,
        second_order=known.second_order,
        n_active=tuple(int(on.sum()) for on in active),
        asks_for_signs=s.alpha != 1.0,
    )


def kappa(layers: Sequence[Float[np.ndarray, "_ _"]]) -> float:
    """Return ``max_l 1 - ||W_l||_2/||W_l||_F``, in a form that does not end at 1e-16.

    With q the sum of the squares of all singular values but the largest, over its square, it is
    ``1 - 1/sqrt(1 + q) = q/(1 + q + sqrt(1 + q))``.
    """
    worst = 0.0
    for W in layers:
        values = np.linalg.svd(W, compute_uv=False)
        q = float(np.sum((values[1:] / values[0]) ** 2)) if values[0] > 0 else 0.0
        worst = max(worst, float(q / (1 + q + np.sqrt(1 + q))))
    return worst


def negative_share(
    left: Sequence[Float[np.ndarray, " _"]], right: Sequence[Float[np.ndarray, " _"]]
) -> float:
    """Return rho: ``max ||(Z)_-||_F/||Z||_F`` over a_1 and ``a_l b_l^T``, 2 <= l < L."""
    arrays = [left[0], *(np.outer(a, b) for a, b in zip(left[1:], right[1:-1], strict=True))]
    return max(float(np.linalg.norm(np.minimum(Z, 0.0)) / np.linalg.norm(Z)) for Z in arrays)


def _check_shape(network: FeedForward) -> None:
    if network.depth < 2 or network.widths[-1] != 1:
        raise InvalidInputError(f"at least two layers and one output are needed, got {network!r}")
    if not all(mask.all() for mask in network.trainable):
        raise InvalidInputError("a network without frozen weights is needed")
    if not all(W.any() for W in network.weights):
        raise InvalidInputError("a network without a layer that is zero is needed")


def factors(
    layers: Sequence[Float[np.ndarray, "_ _"]], *, signed: bool
) -> tuple[list[Float[np.ndarray, " _"]], list[Float[np.ndarray, " _"]]]:
    """Return the unit vectors of a_1, .., a_{L-1} and b_1, .., b_{L-1}, W_L; with signs, a_l sums to >= 0."""
    left, right = [], []
    for W in layers[:-1]:
        U, _, V = np.linalg.svd(W, full_matrices=False)
        flip = -1.0 if signed and U[:, 0].sum() < 0 else 1.0
        left.append(flip * U[:, 0])
        right.append(flip * V[0])
    return left, [*right, unit(layers[-1][0])]


def _misalignment(
    left: Sequence[Float[np.ndarray, " _"]], right: Sequence[Float[np.ndarray, " _"]], *, signed: bool
) -> float:
    """Return the largest distance between a_{l-1} and b_l, and between +-a_{L-1} and W_L."""
    worst = 0.0
    for layer, (a, b) in enumerate(zip(left, right[1:], strict=True), start=1):
        if not signed:
            distance = np.linalg.norm(np.abs(a) - np.abs(b))
        elif layer == len(left):
            distance = min(np.linalg.norm(a - b), np.linalg.norm(a + b))
        else:
            distance = np.linalg.norm(a - b)
        worst = max(worst, float(distance))
    return worst


def _imbalance(layers: Sequence[Float[np.ndarray, "_ _"]], power: int) -> float:
    pairs = pairwise(layers)
    return max(float(np.abs((W**2).sum(axis=1) - power * (V**2).sum(axis=0)).max()) for W, V in pairs)


def _direction_residual(
    u: Float[np.ndarray, " d"], activation: PowerLeakyReLU, depth: int, X: ArrayLike, z: ArrayLike
) -> float:
    """Return the residual of the problem of one direction."""
    samples = as_matrix(X)
    outputs = as_columns(z, "z", rows=len(samples), columns=1)
    samples, outputs, _ = rescaled(samples, outputs, activation.power, depth)
    shape = TwoSidedPower.of(activation, (1.0,) * (depth - 2))
    return NeuronProblem(G=samples, M=outputs, shape=shape).stationarity(u, np.ones(1), tol=TIE_TOL)
