"""The oracle's problem as two zonotopes: ``f(lam) = max_{||u||<=1} sum_i (p_i^T u)_+ - sum_j (q_j^T u)_+``.

The arms ``p_i = lam_i x_i`` (lam_i > 0) and ``q_j = |lam_j| x_j`` (lam_j < 0) span the zonotopes Z_+ and Z_-,
and f is the directed Hausdorff distance from Z_+ to Z_-. Rows with lam_n = 0 play no part; rows on one ray
act as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.arrangements.hyperplanes import hyperplanes_of, unit_rows

__all__ = ["Zonotopes", "zonotopes_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Zonotopes:
    """The arms of Z_+ and Z_- in orthonormal coordinates of their common span.

    Attributes
    ----------
    positive, negative : (k, r) and (l, r) float arrays
        The arms p_i and q_j.
    basis : (d, r) float array
        ``basis @ v`` is the vector with coordinates v.
    rounding : float
        By how much f may differ from that of the data: merging of nearly parallel rows, directions beyond the
        numerical rank, and floating-point evaluation.
    """

    positive: Float[np.ndarray, "k r"]
    negative: Float[np.ndarray, "l r"]
    basis: Float[np.ndarray, "d r"]
    rounding: float

    def values(self, U: Float[np.ndarray, "s r"]) -> Float[np.ndarray, " s"]:
        """Return the correlation of each direction (row of U)."""
        gains: np.ndarray = np.maximum(U @ self.positive.T, 0).sum(axis=1)
        losses: np.ndarray = np.maximum(U @ self.negative.T, 0).sum(axis=1)
        values: np.ndarray = gains - losses
        return values


def zonotopes_of(X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"]) -> Zonotopes:
    """Return the two zonotopes of the weights lam."""
    support = np.flatnonzero(lam)
    arms = X[support] * lam[support, None]  # of a negative weight: the negated arm
    sizes = np.linalg.norm(arms, axis=1)
    lines = hyperplanes_of(X[support])
    rays = np.where(lines.sign != 0, 2 * lines.member + (lines.sign < 0), -1)
    used, group = np.unique(rays[rays >= 0], return_inverse=True)
    merged = np.zeros((len(used), X.shape[1]))
    np.add.at(merged, group, arms[rays >= 0])
    # a ray's sum points along its rows (Z_+) or against them (Z_-)
    along = np.zeros(len(used))
    np.add.at(along, group, sizes[rays >= 0] * np.sign(lam[support][rays >= 0]))
    coordinates = merged @ lines.basis
    outside = np.linalg.norm(merged - coordinates @ lines.basis.T, axis=1).sum()  # beyond the numerical rank
    # each arm was moved onto its ray's normal: by its length times the angle between them, which is measured
    kept = rays >= 0
    normals = lines.normals[lines.member[kept]] * lines.sign[kept][:, None]
    angles = np.linalg.norm(unit_rows(X[support][kept]) @ lines.basis - normals, axis=1)
    slack = float(sizes[kept] @ angles)
    evaluation = np.finfo(float).eps * (sum(X.shape) + 8) * sizes.sum()
    return Zonotopes(
        positive=np.ascontiguousarray(coordinates[along > 0]),
        negative=np.ascontiguousarray(-coordinates[along < 0]),
        basis=lines.basis,
        rounding=float(slack + outside + evaluation),
    )
