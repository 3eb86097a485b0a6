"""The constrained neural correlation function: ``max N_z(w) = sum_n z_n^T H(x_n; w)  s.t.  ||w|| = 1``.

It is what the weights of a homogeneous network climb while they are small (KH2, K-deep): their direction
tends to a KKT point of it. For two layers of power 1 its maximum is ``h(z)/2``, h being the dual norm of
the convex program (KH2 Lemma H.1): there the oracle finds and proves it.

Where the gradient of N is continuous (power of at least 2, or alpha = 1), the ascent of N on the sphere is
followed from random starts and ended by Newton's method (:mod:`convexrelu.ncf.sphere`). Else
maxima lie on kinks: there smoothing comes between, and Newton's method on the kinks resolves them
(:mod:`convexrelu.ncf.kinked`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from convexrelu._shown import Shown
from convexrelu._statistics import wilson_interval
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_columns, as_generator, as_matrix, check_count, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.conditions import check_scale, conditions, rescaled
from convexrelu.ncf.kinked import kinked_ends, land
from convexrelu.ncf.one_neuron import NeuronProblem, TwoSidedPower, climb, rank_one_network
from convexrelu.ncf.sphere import SphereProblem, ascend, unit
from convexrelu.networks.activations import Activation, PowerLeakyReLU, homogeneous
from convexrelu.networks.feed_forward import FeedForward
from convexrelu.networks.layers import Layers, pack, unpack

__all__ = ["Climbed", "NCFPoint", "NCFResult", "check_widths", "climb_from_starts", "maximize_ncf"]

PROVEN = 1e-9
"""The best point is called the global maximum if its value is within this share of a proven upper bound."""


SAME_VALUE, SAME_OUTPUTS = 1e-7, 1e-5
"""KKT points are one if values and outputs on X agree to these shares. Both are unchanged by permutations of
hidden neurons, by their sign symmetries, and by the exchange of weight between neurons of one direction."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NCFPoint:
    """A KKT point of the constrained NCF with positive value, up to symmetries.

    Attributes
    ----------
    network : FeedForward
        Of unit norm.
    value : float
        ``N_z`` of it.
    stationarity : float
        ``||P grad N|| / ||grad N||``: see :func:`convexrelu.ncf.ncf_stationarity`.
    second_order : float
        Delta of the second-order condition: see :func:`convexrelu.ncf.ncf_second_order`.
    multiplicity : int
        How many starts led there; 0 for a maximum that only the oracle or its local phase found.
    share, share_low, share_high : float
        Their share of all starts, and Wilson's 95 % interval for it: an estimate of the basin of attraction
        under the method.
    """

    network: FeedForward
    value: float
    stationarity: float
    second_order: float
    multiplicity: int
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NCFResult(Shown):
    """KKT points of the constrained NCF.

    Attributes
    ----------
    points : tuple of NCFPoint
        Distinct ones, the best first; none if no start led to a positive value.
    n_starts : int
        Starts in all.
    n_reached_zero : int
        Starts whose ascent ended at a value of zero or less: gradient flow from there goes to 0 (KH2 Lemma
        5.3).
    upper_bound : float
        Proven bound on the maximum; inf where none is known.

    References
    ----------
    KH2: docs/references.md.

    Examples
    --------
    >>> from convexrelu import PowerLeakyReLU, maximize_ncf
    >>> X, z = [[1.65, -0.47], [-0.47, 1.35]], [1.0, -1.0]
    >>> result = maximize_ncf(X, z, widths=[2, 2, 1], activation=PowerLeakyReLU(), n_starts=3, rng=0)
    >>> round(result.points[0].value, 4)  # half the largest correlation of one neuron
    0.8578
    """

    points: tuple[NCFPoint, ...]
    n_starts: int
    n_reached_zero: int
    upper_bound: float

    @property
    def proven(self) -> bool:
        """Whether the first point is proven to be the global maximum."""
        return bool(self.points) and self.points[0].value >= (1 - PROVEN) * self.upper_bound

    def __str__(self) -> str:
        best = "proven global maximum" if self.proven else "best found"
        head = f"constrained NCF: {len(self.points)} KKT points from {self.n_starts} starts"
        lines = [f"{head}, {self.n_reached_zero} of which reached 0"]
        if np.isfinite(self.upper_bound):
            lines.append(f"maximum at most {self.upper_bound:.9g}")
        for rank, point in enumerate(self.points):
            lines.append(
                f"  N = {point.value:<12.8g} residual {point.stationarity:.1e}  "
                f"Delta {point.second_order:< 10.3g} "
                f"share {point.share:.2f} [{point.share_low:.2f}, {point.share_high:.2f}]"
                + (f"  {best}" if rank == 0 else "")
            )
        return "\n".join(lines)


def maximize_ncf(
    X: ArrayLike,
    z: ArrayLike,
    *,
    widths: Sequence[int],
    activation: Activation,
    n_starts: int = 10,
    rng: RNGLike = None,
    time_limit: float | None = 10.0,
) -> NCFResult:
    """Return the KKT points of ``max sum_n z_n^T H(x_n; w), ||w|| = 1`` that random starts lead to.

    Parameters
    ----------
    X : (n, d) array_like
        Samples.
    z : (n,) or (n, k_L) array_like
        Weights of the outputs: the negative derivative of the loss at zero outputs, y for the square loss.
    widths : sequence of int
        k_0, ..., k_L: inputs (d), hidden neurons of each layer, outputs.
    activation : PowerLeakyReLU
        The activation.
    n_starts : int, default 10
        Random starts. If none climbs to a positive value, as many again are drawn, up to twenty times.
    rng : seed, numpy.random.Generator, or None
        Where the starts come from.
    time_limit : float or None, default 10
        Seconds for the oracle to prove the maximum, where it can (one output, two layers, power 1). Without
        an end of its search in time, the bound is looser; None waits.

    Returns
    -------
    NCFResult
        With ``points``, best first.

    Raises
    ------
    InvalidInputError
        If the shapes do not agree, numbers are not finite, or the activation is not homogeneous.

    Notes
    -----
    Basins are those of the method: the ascent of N with steps that gain, and Newton's method at its end.
    For power 1 and alpha < 1 smoothing comes between, and the best rank-one network of 32 more directions
    is added (with multiplicity 0 unless a start led there).

    Examples
    --------
    >>> X, z = [[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0]
    >>> result = maximize_ncf(X, z, widths=(2, 5, 1), activation=PowerLeakyReLU(), rng=0)
    >>> print(f"{result.points[0].value:.6f}", result.proven)
    2.500000 True
    """
    s, samples = homogeneous(activation), as_matrix(X)
    sizes = check_widths(widths, samples.shape[1])
    outputs = as_columns(z, "z", rows=len(samples), columns=sizes[-1])
    count, generator = check_count(n_starts, "n_starts"), as_generator(rng)
    seconds = None if time_limit is None else check_positive(time_limit, "time_limit", finite=False)
    scaled, weights, scale = rescaled(samples, outputs, s.power, len(sizes) - 1)
    climbed = climb_from_starts(scaled, weights, sizes, s, count, generator)
    ends, n_drawn = [FeedForward(layers, s) for layers in climbed.ends], climbed.n_starts
    check_scale(scale)
    bound, extra = _global_bound(scaled, weights, sizes, s, seconds)
    # 32 directions, from which rank-one networks are climbed besides, where maxima lie on kinks
    extra += _rank_one_maxima(scaled, weights, sizes, s, 32, generator)
    groups = _distinct(scaled, weights, [*ends, *extra], [1] * len(ends) + [0] * len(extra))
    points = [_described(network, samples, outputs, hits, n_drawn) for network, hits in groups]
    return NCFResult(
        points=tuple(points), n_starts=n_drawn, n_reached_zero=n_drawn - len(ends), upper_bound=scale * bound
    )


def check_widths(widths: Sequence[int], d: int) -> tuple[int, ...]:
    """Return k_0, ..., k_L as a tuple with k_0 = d, or raise InvalidInputError."""
    try:
        sizes = tuple(check_count(k, f"widths[{index}]") for index, k in enumerate(widths))
    except TypeError as error:
        raise InvalidInputError(f"widths must be a sequence of whole numbers, got {widths!r}") from error
    if len(sizes) < 3:
        raise InvalidInputError(
            f"widths must hold inputs, at least one hidden layer and outputs, got {widths!r}"
        )
    if sizes[0] != d:
        raise InvalidInputError(f"widths must begin with the {d} columns of X, got {widths!r}")
    return sizes


@dataclass(frozen=True, kw_only=True, eq=False)
class Climbed:
    """Where random starts lead to, as far as N is positive there.

    Attributes
    ----------
    ends : list of layers
        KKT points.
    n_starts : int
        Starts drawn in all.
    """

    ends: list[Layers]
    n_starts: int


def climb_from_starts(
    X: Float[np.ndarray, "n d"],
    z: Float[np.ndarray, "n k"],
    widths: tuple[int, ...],
    activation: PowerLeakyReLU,
    count: int,
    rng: np.random.Generator,
) -> Climbed:
    """Return where the ascent from weights uniform on the sphere leads to; X and z are of size one.

    If no start climbs to a positive value, as many again are drawn.
    """
    free = tuple(np.zeros((k, j)) for j, k in pairwise(widths))
    problem = SphereProblem(X=X, z=z, activation=activation, free=free)
    n_drawn = 0
    # If no start climbs, as many again are drawn, at most so often: thin networks are dead at most starts.
    for _ in range(20):
        starts = unit(rng.normal(size=(count, problem.size)))
        n_drawn += count
        if activation.kinked:
            ends = kinked_ends(X, z, activation, free, starts)
        else:
            points = ascend(problem, starts)
            ends = [unpack(point, free) for point in points[problem.positive(points)]]
        if ends:
            break
    return Climbed(ends=ends, n_starts=n_drawn)


def _rank_one_maxima(
    X: Float[np.ndarray, "n d"],
    z: Float[np.ndarray, "n k"],
    widths: tuple[int, ...],
    activation: PowerLeakyReLU,
    count: int,
    rng: np.random.Generator,
) -> list[FeedForward]:
    """Return the best network of rank one that so many directions lead to, if there are kinks."""
    if not activation.kinked:
        return []
    problem = NeuronProblem(G=X, M=z, shape=TwoSidedPower.of(activation, (1.0,) * (len(widths) - 3)))
    starts = unit(rng.normal(size=(count, widths[0]))), unit(rng.normal(size=(count, widths[-1])))
    found = [climb(problem, climb(problem, u, q).u) for u, q in zip(*starts, strict=True)]
    best = max(found, key=lambda maximum: maximum.value)
    if best.value <= 0:
        return []
    layers = rank_one_network(best.u, best.b, widths, activation).weights
    sharp = SphereProblem(X=X, z=z, activation=activation, free=tuple(layers))
    # with several outputs the climb ends within some 1e-8, with one at rounding
    return [FeedForward(unpack(land(sharp, pack(layers), 1e-7), layers), activation)]


def _global_bound(
    X: Float[np.ndarray, "n d"],
    z: Float[np.ndarray, "n k"],
    widths: tuple[int, ...],
    activation: PowerLeakyReLU,
    seconds: float | None,
) -> tuple[float, list[FeedForward]]:
    """Return a proven bound on the maximum, and the network that the proof found, if it found one.

    Deep linear networks: the product of the layers' norms is at most L^{-L/2} on the sphere, and N at most
    that times the largest singular value of X^T z. Two layers of power 1: h/2 (KH2 Lemma H.1).
    """
    depth = len(widths) - 1
    if activation.power == 1 and activation.alpha == 1.0:
        return float(np.linalg.norm(X.T @ z, 2)) * depth ** (-depth / 2), []
    if not (activation.power == 1 and depth == 2 and widths[-1] == 1):
        return np.inf, []
    proof = NeuronProblem(G=X, M=z, shape=TwoSidedPower.of(activation)).proof(seconds)
    if proof.value <= 0:
        return 0.5 * proof.upper_bound, []
    best = rank_one_network(proof.direction, np.array([proof.sign]), widths, activation)
    return 0.5 * proof.upper_bound, [best]


def _distinct(
    X: Float[np.ndarray, "n d"], z: Float[np.ndarray, "n k"], networks: list[FeedForward], hits: list[int]
) -> list[tuple[FeedForward, int]]:
    """Return one network of each kind, the best first, with the number of starts that led to it."""
    outputs = [np.reshape(network(X), z.shape) for network in networks]
    values = np.array([float((out * z).sum()) for out in outputs])
    leaders: list[int] = []
    counts: list[int] = []
    for i in np.argsort(-values, kind="stable"):
        for place, k in enumerate(leaders):
            near = values[k] - values[i] <= SAME_VALUE * values[k]
            if near and np.linalg.norm(outputs[k] - outputs[i]) <= SAME_OUTPUTS * np.linalg.norm(outputs[k]):
                counts[place] += hits[i]
                break
        else:
            leaders.append(int(i))
            counts.append(hits[i])
    return [(networks[k], count) for k, count in zip(leaders, counts, strict=True)]


def _described(
    network: FeedForward, X: Float[np.ndarray, "n d"], z: Float[np.ndarray, "n k"], hits: int, n_starts: int
) -> NCFPoint:
    known = conditions(network, X, z)
    low, high = wilson_interval(hits, n_starts)
    return NCFPoint(
        network=network,
        value=known.value,
        stationarity=known.stationarity,
        second_order=known.second_order,
        multiplicity=hits,
        share=hits / n_starts,
        share_low=float(low),
        share_high=float(high),
    )
