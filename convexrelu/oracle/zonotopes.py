"""The oracle's problem as two zonotopes: ``f(lam) = max_{||u||<=1} sum_i (p_i^T u)_+ - sum_j (q_j^T u)_+``.

The generators ``p_i = lam_i x_i`` (lam_i > 0) and ``q_j = |lam_j| x_j`` (lam_j < 0) span the zonotopes Z_+
and Z_-, and f is the directed Hausdorff distance from Z_+ to Z_-. Rows with lam_n = 0 play no part; rows on
one ray act as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu.arrangements.hyperplanes import hyperplanes_of, unit_rows

__all__ = ["Zonotopes", "neighbouring_order", "sums_of_neighbours", "zonotopes_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Zonotopes:
    """The generators of ``Z_+`` and ``Z_-`` in orthonormal coordinates of their common span.

    Attributes
    ----------
    positive, negative : (k, r) and (l, r) float arrays
        The generators p_i and q_j.
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
    generators = X[support] * lam[support, None]  # of a negative weight: the negated generator
    sizes = np.linalg.norm(generators, axis=1)
    lines = hyperplanes_of(X[support])
    rays = np.where(lines.sign != 0, 2 * lines.member + (lines.sign < 0), -1)
    kept = rays >= 0
    used, first, group = np.unique(rays[kept], return_index=True, return_inverse=True)
    merged = np.zeros((len(used), X.shape[1]))
    np.add.at(merged, group, generators[kept])
    # a ray's sum points along its rows (Z_+) or against them (Z_-)
    along = np.zeros(len(used))
    np.add.at(along, group, sizes[kept] * np.sign(lam[support][kept]))
    coordinates = merged @ lines.basis
    # Each generator was moved onto its ray's normal, by its length times the angle between them. That is
    # measured in the data's coordinates, where rows may cancel that differ beyond the numerical rank alone.
    # What became of a ray's sum is measured once more.
    normals = lines.normals[lines.member[kept]] * lines.sign[kept][:, None]
    angles = np.linalg.norm(unit_rows(X[support][kept]) - normals @ lines.basis.T, axis=1)
    slack = float(sizes[kept] @ angles)
    slack += float(np.linalg.norm(coordinates - along[:, None] * normals[first], axis=1).sum())
    evaluation = np.finfo(float).eps * (sum(X.shape) + 8) * sizes.sum()
    return Zonotopes(
        positive=np.ascontiguousarray(coordinates[along > 0]),
        negative=np.ascontiguousarray(-coordinates[along < 0]),
        basis=lines.basis,
        rounding=slack + float(evaluation),
    )


def neighbouring_order(generators: Float[np.ndarray, "k r"], block: int) -> Int[np.ndarray, " k"]:
    """Return an order of the generators in which each run of about `block` of them has similar directions.

    Blocks are halved along one coordinate of the unit generators after the other.
    """
    k, r = generators.shape
    sizes = np.linalg.norm(generators, axis=1, keepdims=True)
    units = np.vstack([generators / np.where(sizes > 0, sizes, 1.0), np.full((1, r), np.inf)])
    size, level = 2 ** max(k - 1, 0).bit_length(), 0
    order = np.minimum(np.arange(size), k)  # padded by a generator that comes last everywhere
    while size > block:
        blocks = order.reshape(-1, size)
        halves = np.argpartition(units[blocks, level % r], size // 2, axis=1)
        order = np.take_along_axis(blocks, halves, axis=1).ravel()
        size, level = size // 2, level + 1
    present: np.ndarray = order[order < k]
    return present


def sums_of_neighbours(generators: Float[np.ndarray, "k r"], most: int) -> Float[np.ndarray, "m r"]:
    """Return at most `most` generators: these themselves if there are no more, else sums of neighbours."""
    if len(generators) <= most:
        return generators
    together = -(-len(generators) // most)
    sums: np.ndarray = np.add.reduceat(
        generators[neighbouring_order(generators, together)], np.arange(0, len(generators), together)
    )
    return sums
