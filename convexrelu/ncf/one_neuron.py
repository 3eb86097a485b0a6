"""The strongest neuron behind whatever sees it: ``max ||M^T T(G u)||`` over unit vectors u.

Whatever one neuron is added to, its outgoing weights b enter linearly, and the best ones are along
``M^T T(G u)``: what is left is a problem in the direction u alone. G holds what the neuron sees, M what its
output is worth, and T is homogeneous on either side of zero, ``T(t) = |t|^q times up (t > 0) or down (t <
0)``: an activation, or several of them one behind the other.

So it covers a neuron added to a network (:mod:`convexrelu.ncf.added_neuron`); networks with one neuron a
hidden layer, whose hidden weights act on ``t = w_1^T x`` as one T; and networks whose hidden layers have rank
one with non-negative entries, ``W_l = a_l b_l^T``, which are ``H(x) = c q s^{L-1}(x^T u)``, s^{L-1} being s
composed L - 1 times (K-deep Theorems 3 and 4). N is of degree ``p^{L-l}`` in the l-th layer, so that at its
maximum ``||W_l||^2 = p^{L-l}/phat`` with ``phat = p^{L-1} + ... + 1``.

For q = 1 and fixed b the objective is a difference of two sums of ReLUs. Linearising the convex one leaves
the least-norm point of a zonotope translate, which is what the ascent of the two-layer oracle does: it lands
on kinks. Where M has one column, that oracle proves which maximum is global.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float

from convexrelu._box_least_norm import box_least_norm
from convexrelu.arrangements import pattern_bound
from convexrelu.networks import Activation, FeedForward, PowerLeakyReLU
from convexrelu.oracle.neuron import DualNorm, dual_norm

__all__ = [
    "ChainMaximum",
    "NeuronMaximum",
    "NeuronProblem",
    "TwoSidedPower",
    "climb",
    "find_maxima",
    "listable",
    "maximize_chain",
    "rank_one_layers",
    "rank_one_network",
]

NEAR_KINK = 1e-9
"""A neuron is at a row's kink within this, relative to the row: the last ascent lands on kinks to 1e-13."""

_STEPS = 500  # of a quasi-Newton ascent
_SMOOTH_GAIN, _KINKED_GAIN = 1e-15, 1e-7
"""An ascent ends at a step that gains less than this part. Among kinks it would creep for hundreds of steps
to a point which the exact ascent reaches in a few rounds."""

_ALIKE, _NEARLY_ALIKE = 1e-6, 1e-4
"""Two neurons are one if the cosine of their activities is this near to 1. Ascents that end at one maximum on
kinks stop up to 1e-2 away from it."""

_NO_VALUE = 1e3  # minus the logarithm of a correlation that is zero: worse than any other


@dataclass(frozen=True, kw_only=True)
class TwoSidedPower(Activation):
    """A function homogeneous of degree `power` on either side of zero.

    Attributes
    ----------
    up, down : float
        Its values at 1 and at -1.
    power : int
        Its degree, at least 1.
    """

    up: float
    down: float
    power: int

    @classmethod
    def of(cls, activation: PowerLeakyReLU, signs: tuple[float, ...] = ()) -> TwoSidedPower:
        """Return the activation, or the chain ``s(signs[-1] s(... s(signs[0] s(t))))``."""
        ends = activation(np.array([1.0, -1.0]))
        for sign in signs:
            ends = activation(sign * ends)
        return cls(up=float(ends[0]), down=float(ends[1]), power=activation.power ** (len(signs) + 1))

    @property
    def kink(self) -> float:
        """By how much the slope grows at zero, for power 1."""
        return self.up + self.down

    @property
    def kinked(self) -> bool:
        """Whether the slope jumps at zero."""
        return self.power == 1 and self.kink != 0

    @property
    def zero(self) -> bool:
        """Whether it is the zero function."""
        return self.up == 0 and self.down == 0

    def __call__(self, t: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return T(t)."""
        return np.asarray(np.where(t > 0, self.up, self.down) * np.abs(t) ** self.power)

    def slope(self, t: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return T'(t), from the left at a kink."""
        side = np.where(t > 0, self.up, -self.down)
        return np.asarray(self.power * side * np.abs(t) ** (self.power - 1))

    def curvature(self, t: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return T''(t), from the left at zero."""
        if self.power == 1:
            return np.zeros_like(t)
        side = np.where(t > 0, self.up, self.down)
        return np.asarray(self.power * (self.power - 1) * side * np.abs(t) ** (self.power - 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronMaximum:
    """A point at which the search ended.

    Attributes
    ----------
    u : (g,) float array
        The direction, a unit vector.
    b : (k,) float array
        The best outgoing direction, a unit vector.
    value : float
        ``b^T M^T T(G u)``.
    n_starts : int
        How many starts ended here.
    proven : bool
        Whether no direction does better, by the exact oracle.
    """

    u: Float[np.ndarray, " g"]
    b: Float[np.ndarray, " k"]
    value: float
    n_starts: int = 1
    proven: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronProblem:
    """Maximise ``||M^T T(G u)||`` over unit vectors u.

    Attributes
    ----------
    G : (n, g) float array
        What the neuron sees.
    M : (n, k) float array
        What its output is worth: the residual, pulled back to where the neuron's output enters.
    shape : TwoSidedPower
        T.
    """

    G: Float[np.ndarray, "n g"]
    M: Float[np.ndarray, "n k"]
    shape: TwoSidedPower

    @cached_property
    def activity(self) -> float:
        """A bound on the norm of all activities ``T(G u)``."""
        sizes = np.linalg.norm(self.G, axis=1) ** self.shape.power
        return float(np.linalg.norm(sizes) * max(abs(self.shape.up), abs(self.shape.down)))

    @cached_property
    def scale(self) -> float:
        """A bound on every value, by Cauchy and Schwarz."""
        return float(np.linalg.norm(self.M)) * self.activity

    def outgoing(self, u: Float[np.ndarray, " g"]) -> Float[np.ndarray, " k"]:
        """Return ``M^T T(G u)``, along which the best outgoing weights are."""
        return np.asarray(self.M.T @ self.shape(self.G @ u))

    def worth(self, b: Float[np.ndarray, " k"]) -> Float[np.ndarray, " n"]:
        """Return what the neuron's output on each sample is worth, for outgoing weights b."""
        return np.asarray(self.M @ b)

    def logarithm(self, v: Float[np.ndarray, " g"]) -> tuple[float, Float[np.ndarray, " g"]]:
        """Return ``-log(||M^T T(G v)|| / ||v||^q)`` and its gradient."""
        size = float(np.linalg.norm(v))
        u = v / size
        pull = self.outgoing(u)
        value = float(np.linalg.norm(pull))
        if value <= self.scale * math.exp(-_NO_VALUE):
            return _NO_VALUE, np.zeros_like(v)
        back = self.G.T @ (self.worth(pull / value) * self.shape.slope(self.G @ u))
        return -math.log(value), (self.shape.power * u - back / value) / size

    def stationarity(
        self, u: Float[np.ndarray, " g"], b: Float[np.ndarray, " k"], *, tol: float = NEAR_KINK
    ) -> float:
        """Return how far u is from a KKT point for outgoing weights along b.

        The tangential part of the gradient beside all of it. Where rows are within `tol` of kinks (power 1
        only) it is the least over Clarke's subdifferential.
        """
        t, worth = self.G @ u, self.worth(b)
        slope = self.shape.slope(t)
        gradient = self.G.T @ (worth * slope)
        if not self.shape.kinked:
            tangent = gradient - (gradient @ u) * u
            return _relative(float(np.linalg.norm(tangent)), float(gradient @ u))
        near = (np.abs(t) <= tol * np.linalg.norm(self.G, axis=1)) & (worth != 0)
        slope[near] = -self.shape.down
        gradient = self.G.T @ (worth * slope)
        rows = -self.shape.kink * worth[near, None] * self.G[near]
        tangent = gradient - (gradient @ u) * u
        rows -= np.outer(rows @ u, u)
        answer = box_least_norm(rows, tangent, np.ones(len(rows)))
        return _relative(answer.norm, float(gradient @ u))

    def proof(self, time_limit: float | None) -> DualNorm:
        """Return the exact maximum over both signs b, or the bounds found in time (one output, power 1)."""
        return dual_norm(*self._relu(self.M[:, 0]), time_limit=time_limit)

    def proven_direction(self) -> Float[np.ndarray, " g"] | None:
        """Return the best direction of all, if the exact oracle covers the problem and its cells are few."""
        if self.M.shape[1] > 1 or self.shape.power > 1:
            return None
        rows, weights = self._relu(self.M[:, 0])
        used = (weights != 0) & rows.any(axis=1)
        if not used.any() or not listable(rows[used]):
            return None
        best = dual_norm(rows[used], weights[used])
        return best.direction if best.exact and best.value > 0 else None

    def _relu(
        self, worth: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "m g"], Float[np.ndarray, " m"]]:
        """Return rows and weights whose correlation with one ReLU neuron is ``worth^T T(G u)``.

        ``T(t) = kink (t)_+ - down t``, and the linear term is ``c^T u = (c^T u)_+ - (-c^T u)_+``.
        """
        c = -self.shape.down * (self.G.T @ worth)
        rows = np.vstack([self.G, c, -c])
        return rows, np.concatenate([self.shape.kink * worth, [1.0, -1.0]])


def listable(rows: Float[np.ndarray, "m g"]) -> bool:
    """Return whether rows cut space into so few cells that the exact oracle takes a fraction of a second."""
    return pattern_bound(len(rows), int(np.linalg.matrix_rank(rows))) <= 200_000


def find_maxima(problem: NeuronProblem, *, n_starts: int, rng: np.random.Generator) -> list[NeuronMaximum]:
    """Return distinct maxima with positive value, best first; none if every start leads to zero.

    Half of the starts are random, the others are opposite to them: a neuron that sees a single input then has
    been tried on both sides. Where T is even or odd, opposite directions are one neuron, and all are random.
    """
    if problem.scale == 0:
        return []
    symmetric = abs(problem.shape.up) == abs(problem.shape.down)
    drawn = rng.normal(size=(n_starts if symmetric else -(-n_starts // 2), problem.G.shape[1]))
    starts = np.concatenate([drawn, -drawn])[:n_starts]
    ends = [end for end in (_ascend(problem, start) for start in starts) if end is not None]
    within = _NEARLY_ALIKE if problem.shape.kinked else _ALIKE
    found = _distinct(problem, _ranked([_maximum(problem, u) for u in ends]), within)
    if problem.shape.kinked:
        # So many of the best ends are followed onto their kinks (power 1 only), and none of the others
        # returned.
        climbed = [replace(climb(problem, end.u), n_starts=end.n_starts) for end in found[:5]]
        found = _distinct(problem, _ranked(climbed))
    best = problem.proven_direction()
    proven = [] if best is None else [replace(_maximum(problem, best), n_starts=0, proven=True)]
    return _distinct(problem, [*proven, *found])


def climb(
    problem: NeuronProblem, u: Float[np.ndarray, " g"], b: Float[np.ndarray, " k"] | None = None
) -> NeuronMaximum:
    """Return the end of the exact ascent from a unit vector u, which lands on kinks (power 1 only).

    The outgoing weights are along b; the best ones are taken in each round unless they are given. The value
    is not positive if the start leads to none.
    """
    value, best = (0.0 if b is None else -2 * problem.scale), u
    along = np.zeros(problem.M.shape[1]) if b is None else b
    # the alternation between u and b converges linearly; with one output a dozen rounds suffice
    for _ in range(300):
        pull = problem.outgoing(u)
        reached = float(np.linalg.norm(pull)) if b is None else float(b @ pull)
        # less is rounding
        if reached <= value + 1e-14 * abs(value):
            break
        value, best = reached, u
        along = pull / reached if b is None else b
        u = _majorised(problem, u, problem.worth(along))
    return NeuronMaximum(u=best, b=along, value=value)


def _maximum(problem: NeuronProblem, u: Float[np.ndarray, " g"]) -> NeuronMaximum:
    pull = problem.outgoing(u)
    value = float(np.linalg.norm(pull))
    return NeuronMaximum(u=u, b=pull / value, value=value)


def _ranked(maxima: list[NeuronMaximum]) -> list[NeuronMaximum]:
    return sorted(maxima, key=lambda maximum: -maximum.value)


def _relative(tangential: float, radial: float) -> float:
    size = math.hypot(tangential, radial)
    return tangential / size if size > 0 else 0.0


def _ascend(problem: NeuronProblem, start: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"] | None:
    """Return the end of a quasi-Newton ascent from a start, or None if the start has no value."""
    from scipy.optimize import minimize

    u = start / np.linalg.norm(start)
    if problem.logarithm(u)[0] >= _NO_VALUE:
        return None
    if len(u) == 1:  # there are two directions only
        return np.asarray(u)
    gain = _KINKED_GAIN if problem.shape.kinked else _SMOOTH_GAIN
    end = minimize(
        problem.logarithm,
        u,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS, "maxfun": 2 * _STEPS, "maxcor": 20, "ftol": gain, "gtol": 1e-11},
    ).x
    return np.asarray(end / np.linalg.norm(end))


def _distinct(
    problem: NeuronProblem, ranked: list[NeuronMaximum], within: float = _ALIKE
) -> list[NeuronMaximum]:
    """Return the first of each group of one activity up to sign, with the group's starts added up."""
    leaders: list[NeuronMaximum] = []
    for maximum in ranked:
        for i, leader in enumerate(leaders):
            if _same(problem, leader.u, maximum.u, within):
                leaders[i] = replace(leader, n_starts=leader.n_starts + maximum.n_starts)
                break
        else:
            leaders.append(maximum)
    return leaders


def _same(
    problem: NeuronProblem, u: Float[np.ndarray, " g"], v: Float[np.ndarray, " g"], within: float
) -> bool:
    """Whether two directions make one neuron: with best outgoing weights, opposite activities do."""
    first, second = problem.shape(problem.G @ u), problem.shape(problem.G @ v)
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return abs(float(first @ second)) >= (1 - within) * size


def _majorised(
    problem: NeuronProblem, u: Float[np.ndarray, " g"], worth: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " g"]:
    """Return the best direction for ``worth^T T(G u)`` with its convex part linearised at u."""
    t, kinks = problem.G @ u, problem.shape.kink * worth
    bends = kinks < 0
    active = np.where((t > 0) & ~bends, kinks, 0.0)
    linear = problem.G.T @ (active - problem.shape.down * worth)
    caps = -kinks[bends]
    answer = box_least_norm(problem.G[bends], linear, caps, start=np.where(t[bends] > 0, caps, 0.0))
    return answer.residual / answer.norm if answer.norm > 0 else u


def rank_one_layers(vectors: Sequence[Float[np.ndarray, " _"]], power: int) -> list[Float[np.ndarray, "_ _"]]:
    """Return the unit-norm layers ``W_l = sqrt(p^{L-l}/phat) e_l e_{l-1}^T``, ``phat = p^{L-1} + ... + 1``.

    The unit vectors e_0 (the direction of the first layer), ..., e_L (that of the outputs) are given: this
    is the form of K-deep Theorems 3 and 4, ``||a_l||^2 = ||b_l||^2 = sqrt(p^{L-l}/phat)``.
    """
    shares = float(power) ** np.arange(len(vectors) - 2, -1, -1)
    sizes = np.sqrt(shares / shares.sum())
    return [c * np.outer(e, f) for c, e, f in zip(sizes, vectors[1:], vectors[:-1], strict=True)]


def rank_one_network(
    u: Float[np.ndarray, " d"],
    q: Float[np.ndarray, " k"],
    widths: Sequence[int],
    activation: PowerLeakyReLU,
    n_active: int = 1,
) -> FeedForward:
    """Return the network of these layers with `n_active` neurons of each hidden layer active and alike.

    u and q are the unit vectors of inputs and outputs; of layers of fewer neurons all are active.
    """
    active = [min(n_active, k) for k in widths[1:-1]]
    pairs = zip(active, widths[1:-1], strict=True)
    hidden = [np.concatenate([np.full(m, m**-0.5), np.zeros(k - m)]) for m, k in pairs]
    return FeedForward(rank_one_layers([u, *hidden, q], activation.power), activation)


@dataclass(frozen=True, kw_only=True, eq=False)
class ChainMaximum:
    """A KKT point of the constrained NCF of a network with one neuron in each hidden layer.

    Attributes
    ----------
    network : FeedForward
        Of unit norm.
    value : float
        Its NCF, positive.
    stationarity : float
        First-order residual in the direction of the first layer, in Clarke's sense at kinks; the other layers
        are in closed form.
    proven : bool
        Whether it is the global maximum, proven by the exact oracle for every choice of signs.
    """

    network: FeedForward
    value: float
    stationarity: float
    proven: bool


def maximize_chain(
    X: Float[np.ndarray, "n d"],
    z: Float[np.ndarray, "n k"],
    *,
    depth: int,
    activation: PowerLeakyReLU,
    n_starts: int,
    rng: np.random.Generator,
) -> list[ChainMaximum]:
    """Return KKT points of positive NCF of a network with one neuron a hidden layer, best first.

    One point for each choice of signs of the hidden weights that leaves a function other than zero, the best
    of `n_starts` starts.
    """
    points: list[ChainMaximum] = []
    proven = True
    for signs in product((1.0, -1.0), repeat=depth - 2):
        problem = NeuronProblem(G=X, M=z, shape=TwoSidedPower.of(activation, signs))
        if problem.shape.zero or problem.scale == 0:
            continue
        maxima = find_maxima(problem, n_starts=n_starts, rng=rng)
        proven = proven and bool(maxima) and maxima[0].proven
        if maxima:
            points.append(_chain(activation, signs, problem, maxima[0]))
    points.sort(key=lambda point: -point.value)
    return [replace(point, proven=proven and rank == 0) for rank, point in enumerate(points)]


def _chain(
    activation: PowerLeakyReLU, signs: tuple[float, ...], problem: NeuronProblem, best: NeuronMaximum
) -> ChainMaximum:
    """Return the network of unit norm with the best norms of its layers."""
    one = np.ones(1)
    layers = rank_one_layers([best.u, *(one for _ in range(len(signs) + 1)), best.b], activation.power)
    for layer, sign in enumerate(signs, start=1):
        layers[layer] = sign * layers[layer]
    degrees = activation.power ** np.arange(len(layers) - 1, -1, -1)
    return ChainMaximum(
        network=FeedForward(layers, activation),
        value=float(best.value * np.prod(np.sqrt(degrees / degrees.sum()) ** degrees)),
        stationarity=problem.stationarity(best.u, best.b),
        proven=best.proven,
    )
