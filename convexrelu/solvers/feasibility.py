"""Can any two-layer ReLU network without bias fit the labels? If not, the proof.

The data is infeasible iff (i) a row is zero, (ii) one ray carries both labels, or (iii) the vectors ``y_n
x_n`` of the rows that have an opposite-label antipode lie in no open half-space. Each case gives lam with ``y
* lam >= 0``, ``y @ lam > 0`` and ``lam @ (X u)_+ = 0`` for all u.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from convexrelu.arrangements import Hyperplanes, hyperplanes_of
from convexrelu.errors import InfeasibleError
from convexrelu.solvers.hulls import least_vector

__all__ = ["check_feasible"]


def check_feasible(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], lines: Hyperplanes | None = None
) -> None:
    """Raise InfeasibleError, with its Farkas vector and rows, if no network without bias fits the labels.

    `lines` are the hyperplanes of X, if they are known.
    """
    norms = np.linalg.norm(X, axis=1)
    zero = np.flatnonzero(norms == 0)
    if len(zero):
        raise _error("a zero row: every network without bias is 0 there", y, zero[:1], np.ones(1))
    lines = hyperplanes_of(X) if lines is None else lines
    _check_rays(lines, y, norms)
    _check_antipodes(X, lines, y, norms)


def _check_rays(lines: Hyperplanes, y: Float[np.ndarray, " n"], norms: Float[np.ndarray, " n"]) -> None:
    ray = 2 * lines.member + (lines.sign > 0)
    label = np.zeros(2 * len(lines.normals))
    label[ray] = y  # of some row on the ray
    other = np.flatnonzero(label[ray] != y)
    if len(other):
        same_ray = np.flatnonzero(ray == ray[other[0]])
        pair = np.array([same_ray[y[same_ray] > 0][0], same_ray[y[same_ray] < 0][0]])
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
    found = least_vector(heads, np.ones(len(heads)))
    if not found.exists:
        used = found.mu > 0
        rows = pairs[used].ravel()
        raise _error(
            "antipodal rows with opposite labels whose differences f(x) - f(-x), linear in x, "
            "contradict each other",
            y,
            rows,
            np.repeat(found.mu[used], 2) / norms[rows],
        )


def _opposite_pairs(lines: Hyperplanes, y: Float[np.ndarray, " n"]) -> Int[np.ndarray, "q 2"]:
    """One pair (row along its normal, row against it) for every line whose two rays carry opposite labels."""
    n_lines = len(lines.normals)
    along, against = np.full(n_lines, -1), np.full(n_lines, -1)
    forward, backward = np.flatnonzero(lines.sign > 0), np.flatnonzero(lines.sign < 0)
    along[lines.member[forward]] = forward
    against[lines.member[backward]] = backward
    both = np.flatnonzero((along >= 0) & (against >= 0))
    both = both[y[along[both]] != y[against[both]]]
    return np.column_stack([along[both], against[both]])


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
