"""Can any two-layer ReLU network without bias fit the labels? If not, the proof.

The data is infeasible iff (i) a row is zero, (ii) one ray carries both labels, or (iii) the vectors ``y_n
x_n`` of the rows that have an opposite-label antipode lie in no open half-space. Each case gives lam with ``y
* lam >= 0``, ``y @ lam > 0`` and ``lam @ (X u)_+ = 0`` for all u.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls

from convexrelu.arrangements import Hyperplanes, hyperplanes_of
from convexrelu.errors import InfeasibleError

__all__ = ["check_feasible"]

# A convex combination of unit vectors this short counts as zero. Half-space margins below it put P* beyond
# 1e11, which float64 cannot tell from infinity; rounding of the least-squares solution is about 1e-15.
ZERO_COMBINATION = 1e-11


def check_feasible(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> None:
    """Raise InfeasibleError, with its Farkas vector and rows, if no network without bias fits the labels."""
    norms = np.linalg.norm(X, axis=1)
    zero = np.flatnonzero(norms == 0)
    if len(zero):
        raise _error("a zero row: every network without bias is 0 there", y, zero[:1], np.ones(1))
    lines = hyperplanes_of(X)
    _check_rays(lines, y, norms)
    _check_antipodes(X, lines, y, norms)


def _check_rays(lines: Hyperplanes, y: Float[np.ndarray, " n"], norms: Float[np.ndarray, " n"]) -> None:
    ray = 2 * lines.member + (lines.sign > 0)
    positive, first_positive = np.unique(ray[y > 0], return_index=True)
    negative, first_negative = np.unique(ray[y < 0], return_index=True)
    both, a, b = np.intersect1d(positive, negative, return_indices=True)
    if len(both):
        pair = np.array(
            [np.flatnonzero(y > 0)[first_positive[a[0]]], np.flatnonzero(y < 0)[first_negative[b[0]]]]
        )
        raise _error("one ray with both labels: a network has one sign on a ray", y, pair, 1.0 / norms[pair])


def _check_antipodes(
    X: Float[np.ndarray, "n d"],
    lines: Hyperplanes,
    y: Float[np.ndarray, " n"],
    norms: Float[np.ndarray, " n"],
) -> None:
    """Condition (iii), by Gordan's theorem: no half-space iff zero is a convex combination of the vectors."""
    pairs = _opposite_pairs(lines, y)
    if len(pairs) < 2:
        return
    heads = X[pairs[:, 0]] * (y[pairs[:, 0]] / norms[pairs[:, 0]])[:, None]
    system = np.vstack([heads.T, np.ones(len(heads))])
    weights = nnls(system, np.r_[np.zeros(X.shape[1]), 1.0])[0]
    if weights.sum() > 0:
        weights /= weights.sum()
        if np.linalg.norm(weights @ heads) <= ZERO_COMBINATION:
            used = weights > 0
            rows = pairs[used].ravel()
            raise _error(
                "antipodal rows with opposite labels whose differences f(x) - f(-x), linear in x, "
                "contradict each other",
                y,
                rows,
                np.repeat(weights[used], 2) / norms[rows],
            )


def _opposite_pairs(lines: Hyperplanes, y: Float[np.ndarray, " n"]) -> Int[np.ndarray, "q 2"]:
    """One pair (row along its normal, row against it) for every line whose two rays carry opposite labels."""
    forward = {
        (int(m), float(v)): n
        for n, (m, s, v) in enumerate(zip(lines.member, lines.sign, y, strict=True))
        if s > 0
    }
    pairs = {
        (int(m), float(v)): (forward[int(m), -float(v)], n)
        for n, (m, s, v) in enumerate(zip(lines.member, lines.sign, y, strict=True))
        if s < 0 and (int(m), -float(v)) in forward
    }
    return np.array(list(pairs.values()), dtype=np.int64).reshape(-1, 2)


def _error(
    reason: str, y: Float[np.ndarray, " n"], rows: Int[np.ndarray, " k"], weights: Float[np.ndarray, " k"]
) -> InfeasibleError:
    farkas = np.zeros(len(y))
    farkas[rows] = y[rows] * weights / weights.max()
    listed = ", ".join(str(int(row)) for row in sorted(rows)[:12]) + (", ..." if len(rows) > 12 else "")
    message = f"no two-layer ReLU network without bias fits the labels: {reason} (rows {listed}). "
    message += (
        "Append a ones column (datasets.with_bias), correct the labels, or allow slack with a finite C."
    )
    return InfeasibleError(message, farkas=farkas, rows=np.sort(rows))
