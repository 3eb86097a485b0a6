"""The time bound of WP Proposition 6, with corrected constants."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from convexrelu.arrangements import iter_patterns

__all__ = ["pattern_pulls", "proposition_6_bound"]

SAME_NORM = 1e-12
"""Norms this near to each other, relatively, count as one, the smallest: it is their rounding, and a smaller
norm makes the bound larger."""

NO_NORM = 1e-13
"""A norm below this part of the sum of the rows' norms is the rounding of 0."""

_PATTERNS_AT_A_TIME = 65_536


def pattern_pulls(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " p"]:
    """Return the distinct positive norms of ``X^T D_j y/2`` over all patterns D_j, increasing."""
    pushes = 0.5 * y[:, None] * X
    norms = [
        np.unique(np.linalg.norm(patterns.astype(np.float64) @ pushes, axis=1))
        for patterns in iter_patterns(X, chunk_size=_PATTERNS_AT_A_TIME)
    ]
    values = np.unique(np.concatenate(norms))
    values = values[values > NO_NORM * np.linalg.norm(pushes, axis=1).sum()]
    return np.asarray(values[np.diff(values, prepend=0.0) > SAME_NORM * values])


def proposition_6_bound(
    pulls: Float[np.ndarray, " p"], started: Float[np.ndarray, " m"], delta: float
) -> Float[np.ndarray, " m"]:
    """Return the bound for neurons with ``s g_0^T u_0 = started``; see `AlignmentResult.time_bound`."""
    k, goal = math.sqrt(1.0 - delta / 4.0), 1.0 - delta / 2.0
    total = np.zeros(len(started))
    for pull in pulls:
        c = np.minimum(started / pull, goal)  # beyond the goal there is no way left to go
        total += (np.arctanh(goal / k) - np.arctanh(np.maximum(c, -goal) / k)) / (k * pull)
    return total
