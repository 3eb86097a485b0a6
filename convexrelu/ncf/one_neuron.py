"""The search behind the neurons of deep networks: ``max ||M^T T(G u)||`` over unit vectors u.

Whatever one neuron is added to, its outgoing weights b enter linearly, and the best ones are along
``M^T T(G u)``: what is left is a problem in the direction u alone. G holds what the neuron sees, M what its
output is worth, and T is homogeneous on either side of zero, ``T(t) = |t|^q times up (t > 0) or down (t <
0)``: an activation, or several of them one behind the other.

For q = 1 and fixed b the objective is a difference of two sums of ReLUs. Linearising the convex one leaves
the least-norm point of a zonotope translate, which is what the ascent of the two-layer oracle does; and where
M has one column and the cells of the rows can be listed, that oracle proves the maximum global.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from convexrelu._box_least_norm import box_least_norm
from convexrelu.arrangements import pattern_bound
from convexrelu.networks import PowerLeakyReLU
from convexrelu.oracle.neuron import dual_norm

__all__ = ["NeuronMaximum", "NeuronProblem", "TwoSidedPower", "find_maxima"]

LISTED_CELLS = 200_000
"""The exact oracle is asked if the rows cut space into at most so many cells: a fraction of a second."""

NEAR_KINK = 1e-9
"""A neuron is at a row's kink within this, relative to the row: the last ascent lands on kinks to 1e-13."""

SAME_NEURON = 1e-6
"""Two ends are one maximum if the cosine of their activities differs from +-1 by less: at kinks a
quasi-Newton ascent stops up to 1e-3 away from the maximum."""

POLISHED = 5
"""So many of the best ends are followed onto their kinks (power 1 only), and none of the others returned."""

_ROUNDS = 300  # alternation between u and b converges linearly; with one output a dozen rounds suffice
_GAIN = 1e-14  # relative gain of a round that is rounding
_STEPS = 500  # of a quasi-Newton ascent
_NO_VALUE = 1e3  # minus the logarithm of a correlation that is zero: worse than any other


@dataclass(frozen=True, kw_only=True)
class TwoSidedPower:
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
        """Return the activation, or ``s(signs[-1] s(... s(signs[0] s(t))))``, as such a function."""
        ends = activation(np.array([1.0, -1.0]))
        for sign in signs:
            ends = activation(sign * ends)
        return cls(up=float(ends[0]), down=float(ends[1]), power=activation.power ** (len(signs) + 1))

    @property
    def kink(self) -> float:
        """By how much the slope grows at zero, for power 1."""
        return self.up + self.down

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
        ``||M^T T(G u)||``.
    stationarity : float
        Distance of zero from the tangential part of Clarke's subdifferential, relative to the radial part.
    n_starts : int
        How many starts ended here.
    proven : bool
        Whether no direction does better, by the exact oracle.
    """

    u: Float[np.ndarray, " g"]
    b: Float[np.ndarray, " k"]
    value: float
    stationarity: float
    n_starts: int
    proven: bool


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

    def logarithm(self, v: Float[np.ndarray, " g"]) -> tuple[float, Float[np.ndarray, " g"]]:
        """Return ``-log(||M^T T(G v)|| / ||v||^q)`` and its gradient."""
        size = float(np.linalg.norm(v))
        u = v / size
        t = self.G @ u
        pull = self.M.T @ self.shape(t)
        value = float(np.linalg.norm(pull))
        if value <= self.scale * math.exp(-_NO_VALUE):
            return _NO_VALUE, np.zeros_like(v)
        back = self.G.T @ ((self.M @ (pull / value)) * self.shape.slope(t))
        return -math.log(value), (self.shape.power * u - back / value) / size

    def stationarity(self, u: Float[np.ndarray, " g"], b: Float[np.ndarray, " k"]) -> float:
        """Return how far u is from a KKT point, kinks taken in Clarke's sense (power 1 only has them)."""
        t, worth = self.G @ u, self.M @ b
        slope = self.shape.slope(t)
        gradient = self.G.T @ (worth * slope)
        if self.shape.power > 1 or self.shape.kink == 0:
            tangent = gradient - (gradient @ u) * u
            return _relative(float(np.linalg.norm(tangent)), float(gradient @ u))
        near = (np.abs(t) <= NEAR_KINK * np.linalg.norm(self.G, axis=1)) & (worth != 0)
        slope[near] = -self.shape.down
        gradient = self.G.T @ (worth * slope)
        rows = -self.shape.kink * worth[near, None] * self.G[near]
        tangent = gradient - (gradient @ u) * u
        rows -= np.outer(rows @ u, u)
        answer = box_least_norm(rows, tangent, np.ones(len(rows)))
        return _relative(answer.norm, float(gradient @ u))


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
    groups = _grouped(problem, [(end, 1) for end in ends])
    if problem.shape.power == 1 and problem.shape.kink != 0:
        groups = [(_polish(problem, u), count) for u, count in groups[:POLISHED]]
    best = _proven_direction(problem)
    proven = [] if best is None else [_maximum(problem, best, 0, proven=True)]
    found = [_maximum(problem, u, count, proven=False) for u, count in _grouped(problem, groups)]
    return _merged(problem, proven, found)


def _maximum(
    problem: NeuronProblem, u: Float[np.ndarray, " g"], count: int, *, proven: bool
) -> NeuronMaximum:
    pull = problem.outgoing(u)
    value = float(np.linalg.norm(pull))
    b = pull / value
    stationarity = problem.stationarity(u, b)
    return NeuronMaximum(u=u, b=b, value=value, stationarity=stationarity, n_starts=count, proven=proven)


def _merged(
    problem: NeuronProblem, proven: list[NeuronMaximum], found: list[NeuronMaximum]
) -> list[NeuronMaximum]:
    """Return the maxima found behind the proven one, which takes over the starts of those that equal it."""
    if not proven:
        return found
    best, rest = proven[0], []
    for maximum in found:
        if _same(problem, best.u, maximum.u):
            best = replace(best, n_starts=best.n_starts + maximum.n_starts)
        else:
            rest.append(maximum)
    return [best, *rest]


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
    end = minimize(
        problem.logarithm,
        u,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS, "maxfun": 2 * _STEPS, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-11},
    ).x
    return np.asarray(end / np.linalg.norm(end))


def _grouped(
    problem: NeuronProblem, ends: list[tuple[Float[np.ndarray, " g"], int]]
) -> list[tuple[Float[np.ndarray, " g"], int]]:
    """Return the best of each group of ends of one activity up to sign, with their counts of starts added."""
    ranked = sorted(ends, key=lambda end: -float(np.linalg.norm(problem.outgoing(end[0]))))
    groups: list[tuple[np.ndarray, int]] = []
    for u, count in ranked:
        for i, (leader, size) in enumerate(groups):
            if _same(problem, leader, u):
                groups[i] = (leader, size + count)
                break
        else:
            groups.append((u, count))
    return groups


def _same(problem: NeuronProblem, u: Float[np.ndarray, " g"], v: Float[np.ndarray, " g"]) -> bool:
    """Whether two directions make one neuron: with best outgoing weights, opposite activities do."""
    first, second = problem.shape(problem.G @ u), problem.shape(problem.G @ v)
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return abs(float(first @ second)) >= (1 - SAME_NEURON) * size


def _polish(problem: NeuronProblem, u: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Return the end of the exact ascent from u, which lands on kinks (power 1 only)."""
    value, best = 0.0, u
    for _ in range(_ROUNDS):
        pull = problem.outgoing(u)
        reached = float(np.linalg.norm(pull))
        if reached <= value * (1 + _GAIN):
            break
        value, best = reached, u
        u = _majorised(problem, u, problem.M @ (pull / reached))
    return best


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


def _proven_direction(problem: NeuronProblem) -> Float[np.ndarray, " g"] | None:
    """Return the best direction of all, if the exact oracle covers the problem and its cells are few.

    With one output and power 1 the objective is the correlation of a ReLU neuron with the weights ``kink M``,
    plus a linear term ``c^T u = (c^T u)_+ - (-c^T u)_+``.
    """
    if problem.M.shape[1] > 1 or problem.shape.power > 1:
        return None
    c = -problem.shape.down * (problem.G.T @ problem.M[:, 0])
    rows = np.vstack([problem.G, c, -c])
    weights = np.concatenate([problem.shape.kink * problem.M[:, 0], [1.0, -1.0]])
    used = (weights != 0) & rows.any(axis=1)
    rank = int(np.linalg.matrix_rank(rows[used])) if used.any() else 0
    if not used.any() or pattern_bound(int(used.sum()), rank) > LISTED_CELLS:
        return None
    best = dual_norm(rows[used], weights[used])
    return best.direction if best.exact and best.value > 0 else None
