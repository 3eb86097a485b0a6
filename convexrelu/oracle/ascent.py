"""Local maxima of a neuron's correlation: fix the active positive generators, solve the convex rest, repeat.

For fixed activity s of the positive generators, ``max_u (sum_i s_i p_i)^T u - sum_j (q_j^T u)_+`` over the
unit ball is concave, and its value is the distance from ``sum_i s_i p_i`` to Z_-: one call of the box
least-norm kernel, whose residual is the maximiser. No step lowers the correlation, and there are finitely
many s, so it ends at a local maximum or a saddle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int

from convexrelu._box_least_norm import dot, least_norm_from
from convexrelu._clock import Clock
from convexrelu._typing import kernel
from convexrelu.oracle.zonotopes import Zonotopes, sums_of_neighbours

__all__ = ["Maxima", "climb", "climb_seconds", "starting_directions"]

_MAX_ROUNDS = 200  # activities repeat after a handful of rounds; this only guards against cycling by rounding
# The exact step of the climb costs the square of the number of generators: beyond this many, neighbours are
# summed.
_MOST_GENERATORS = 1000
_SUMS = 250
_MOST_WORK = 3e7  # multiplications of an exact step, some 30 milliseconds; beyond it, there are none
_ROUNDS, _SECONDS = 5, 1e-9  # of a climb; for a multiplication, as measured: they only say what is tried
_MOST_ENDS = 4  # from which gradient steps on all generators follow
_MOST_ROUNDS_OF_ALL = 30
_SHORTEST_STEP, _SMALLEST_GAIN = 1e-6, 1e-9  # relative; the search, not the climb, gives the last digits
# On unit vectors: maxima closer than this are one (the kernel resolves them to about 1e-14).
_SAME_DIRECTION = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Maxima:
    """Distinct local maxima of a correlation, best first.

    Attributes
    ----------
    directions : (k, r) float array
        Unit vectors (none if no direction correlates positively).
    values : (k,) float array
        Their correlations, evaluated at the directions; decreasing.
    """

    directions: Float[np.ndarray, "k r"]
    values: Float[np.ndarray, " k"]


def climb(pair: Zonotopes, starts: Float[np.ndarray, "s r"], *, seconds: float = np.inf) -> Maxima:
    """Return the distinct maxima with positive value reached from the starting directions.

    When time runs out, the remaining starts are left out (never the first). With very many generators,
    neighbours are summed for the climb, and gradient steps on all generators follow from the best ends; in
    very high rank there are gradient steps only. Maxima are then not resolved to the last digits.
    """
    clock = Clock(limit=seconds)
    P, Q = pair.positive, pair.negative
    if max(len(P), len(Q)) > _MOST_GENERATORS:
        P, Q = sums_of_neighbours(P, _SUMS), sums_of_neighbours(Q, _SUMS)
    P, Q = np.ascontiguousarray(P), np.ascontiguousarray(Q)
    ends = np.ascontiguousarray(starts, dtype=np.float64).copy()
    done = 0
    while _work(P, Q) <= _MOST_WORK and done < len(ends) and (done == 0 or not clock.expired()):
        _climb(P, Q, ends[done : done + 1])
        done += 1
    if done:
        ends = ends[:done]
    if done == 0 or len(P) + len(Q) < len(pair.positive) + len(pair.negative):
        ends = ends[_distinct(ends, pair.values(ends), -np.inf)[:_MOST_ENDS]]
        ends = np.reshape([_ascended(pair, end, clock) for end in ends], ends.shape)
    values = pair.values(ends)
    kept = _distinct(ends, values, pair.rounding)
    return Maxima(directions=ends[kept], values=values[kept])


def climb_seconds(pair: Zonotopes) -> float:
    """Return about how long one start takes."""
    P, Q = (
        generators[:_SUMS] if len(generators) > _MOST_GENERATORS else generators
        for generators in (pair.positive, pair.negative)
    )
    return _ROUNDS * _work(P, Q) * _SECONDS


def _work(P: Float[np.ndarray, "k r"], Q: Float[np.ndarray, "m r"]) -> float:
    """Return about how many multiplications one exact step takes."""
    r = P.shape[1]
    free = min(len(Q), r)
    return float(len(P) * r + (len(Q) / 3 + free) * (len(Q) * r + free * free * r))


def _distinct(
    ends: Float[np.ndarray, "s r"], values: Float[np.ndarray, " s"], above: float
) -> Int[np.ndarray, " k"]:
    """Return the distinct ends with values above a level, the best first."""
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > above]
    kept: np.ndarray = order[_first_of_each(np.ascontiguousarray(ends[order]), _SAME_DIRECTION)]
    return kept


def _ascended(pair: Zonotopes, u: Float[np.ndarray, " r"], clock: Clock) -> Float[np.ndarray, " r"]:
    """Return the end of steps towards the gradient's direction (WP (12)), each halved until it gains."""
    value, step = float(pair.values(u[None])[0]), 1.0
    for _ in range(_MOST_ROUNDS_OF_ALL):
        active, opposed = pair.positive @ u > 0, pair.negative @ u > 0
        gradient = active @ pair.positive - opposed @ pair.negative
        size = float(np.linalg.norm(gradient))
        step = min(2 * step, 1.0)
        while size > 0 and step > _SHORTEST_STEP and not clock.expired():
            trial = (1 - step) * u + step * gradient / size
            trial = trial / max(float(np.linalg.norm(trial)), np.finfo(float).tiny)
            reached = float(pair.values(trial[None])[0])
            if reached > value:
                break
            step /= 2
        else:
            return u
        gain, u, value = reached - value, trial, reached
        if gain <= _SMALLEST_GAIN * value:
            return u
    return u


def starting_directions(pair: Zonotopes, size: int, rng: np.random.Generator) -> Float[np.ndarray, "s r"]:
    """Return starts for :func:`climb`: the whole of Z_+, its largest generators, and Gaussian directions."""
    generators = pair.positive
    largest = generators[np.argsort(-np.linalg.norm(generators, axis=1), kind="stable")[:size]]
    starts = np.vstack([generators.sum(axis=0), largest, rng.normal(size=(size, generators.shape[1]))])
    sizes = np.linalg.norm(starts, axis=1)
    directions: np.ndarray = starts[sizes > 0] / sizes[sizes > 0][:, None]
    return directions


@kernel
@no_type_check
def _first_of_each(U, radius):
    """Whether a row of U is farther than the radius from every row before it that is."""
    first = np.ones(len(U), dtype=np.bool_)
    for i in range(len(U)):
        for k in range(i):
            if not first[k]:
                continue
            distance = 0.0
            for c in range(U.shape[1]):
                distance += (U[i, c] - U[k, c]) ** 2
            if distance <= radius * radius:
                first[i] = False
                break
    return first


@kernel
@no_type_check
def _climb(P, Q, U):
    """Climb from each row of U in place.

    Where a generator of Z_- meets the answer its t is 1, and where it does not 0: with those of the start the
    kernel begins a few steps from its answer, and each round begins where the one before ended.
    """
    k, r = P.shape
    caps = np.ones(len(Q))
    t = np.zeros(len(Q))
    residual = np.empty(r)
    for row in range(len(U)):
        for j in range(len(Q)):
            t[j] = 1.0 if dot(Q[j], U[row]) > 0.0 else 0.0
        best = -np.inf
        for _ in range(_MAX_ROUNDS):
            target = np.zeros(r)
            for i in range(k):
                if dot(P[i], U[row]) > 0.0:
                    for c in range(r):
                        target[c] += P[i, c]
            value, _ = least_norm_from(Q, target, caps, 0.0, t, residual)
            if value <= best * (1 + 1e-14) or value == 0.0:
                break
            best = value
            for c in range(r):
                U[row, c] = residual[c] / value
