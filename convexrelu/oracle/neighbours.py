"""Many arms as fewer: neighbours, which make small angles, act nearly as their sum.

``(q_1^T u)_+ + (q_2^T u)_+ >= ((q_1 + q_2)^T u)_+``, with equality unless they differ in sign: of the arms of
Z_-, sums are bounds; of those of Z_+, only an approximation.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["neighbouring_order", "sums_of_neighbours"]


def neighbouring_order(arms: Float[np.ndarray, "k r"], block: int) -> Int[np.ndarray, " k"]:
    """Return an order of the arms in which each run of about `block` of them has similar directions.

    Blocks are halved along one coordinate of the unit arms after the other.
    """
    k, r = arms.shape
    sizes = np.linalg.norm(arms, axis=1, keepdims=True)
    units = np.vstack([arms / np.where(sizes > 0, sizes, 1.0), np.full((1, r), np.inf)])
    size, level = 2 ** max(k - 1, 0).bit_length(), 0
    order = np.minimum(np.arange(size), k)  # padded by an arm that comes last everywhere
    while size > block:
        blocks = order.reshape(-1, size)
        halves = np.argpartition(units[blocks, level % r], size // 2, axis=1)
        order = np.take_along_axis(blocks, halves, axis=1).ravel()
        size, level = size // 2, level + 1
    present: np.ndarray = order[order < k]
    return present


def sums_of_neighbours(arms: Float[np.ndarray, "k r"], most: int) -> Float[np.ndarray, "m r"]:
    """Return at most `most` arms: the arms themselves if there are no more, else sums of neighbours."""
    if len(arms) <= most:
        return arms
    together = -(-len(arms) // most)
    sums: np.ndarray = np.add.reduceat(
        arms[neighbouring_order(arms, together)], np.arange(0, len(arms), together)
    )
    return sums
