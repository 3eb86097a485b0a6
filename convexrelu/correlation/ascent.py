"""Local maxima of a neuron's correlation: fix which positive arms are active, solve the convex rest, repeat.

For fixed activity s of the positive arms, ``max_u (sum_i s_i p_i)^T u - sum_j (q_j^T u)_+`` over the unit
ball is concave, and its value is the distance from ``sum_i s_i p_i`` to Z_-: one call of the box least-norm
kernel, whose residual is the maximiser. No step lowers the correlation, and there are finitely many s, so it
ends at a local maximum or a saddle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float

from convexrelu._typing import kernel
from convexrelu.box_least_norm import copy_into, dot, least_norm
from convexrelu.correlation.zonotopes import Zonotopes

__all__ = ["Maxima", "climb", "starting_directions"]

_MAX_ROUNDS = 200  # activities repeat after a handful of rounds; this only guards against cycling by rounding
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


def climb(pair: Zonotopes, starts: Float[np.ndarray, "s r"]) -> Maxima:
    """Return the distinct maxima with positive value reached from the starting directions."""
    ends = np.ascontiguousarray(starts, dtype=np.float64).copy()
    _climb(pair.positive, pair.negative, ends)
    values = pair.values(ends)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > pair.rounding]
    kept: list[int] = []
    for i in order:
        near = [k for k in kept if np.linalg.norm(ends[k] - ends[i]) <= _SAME_DIRECTION]
        if not near:
            kept.append(int(i))
    return Maxima(directions=ends[kept], values=values[kept])


def starting_directions(pair: Zonotopes, size: int, rng: np.random.Generator) -> Float[np.ndarray, "s r"]:
    """Return starts for :func:`climb`: the whole of Z_+, its largest arms, and Gaussian directions."""
    arms = pair.positive
    largest = arms[np.argsort(-np.linalg.norm(arms, axis=1), kind="stable")[:size]]
    starts = np.vstack([arms.sum(axis=0), largest, rng.normal(size=(size, arms.shape[1]))])
    sizes = np.linalg.norm(starts, axis=1)
    directions: np.ndarray = starts[sizes > 0] / sizes[sizes > 0][:, None]
    return directions


@kernel
@no_type_check
def _climb(P, Q, U):
    """Climb from each row of U in place."""
    k, r = P.shape
    caps = np.ones(len(Q))
    t = np.zeros(len(Q))
    residual = np.empty(r)
    for row in range(len(U)):
        best = -np.inf
        for _ in range(_MAX_ROUNDS):
            target = np.zeros(r)
            for i in range(k):
                if dot(P[i], U[row]) > 0.0:
                    for c in range(r):
                        target[c] += P[i, c]
            copy_into(residual, target)
            value, _ = least_norm(Q, target, caps, 0.0, t, residual)
            if value <= best * (1 + 1e-14) or value == 0.0:
                break
            best = value
            for c in range(r):
                U[row, c] = residual[c] / value
