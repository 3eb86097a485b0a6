"""How many patterns there are: Cover's formula in general position, deletion and restriction in any."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix
from convexrelu.arrangements.hyperplanes import hyperplanes_of, restrict
from convexrelu.errors import InvalidInputError

__all__ = ["count_patterns", "pattern_bound"]


def pattern_bound(n: int, rank: int) -> int:
    """Return Cover's count ``2 sum_{k<rank} C(n-1, k)``: cells of n central hyperplanes in general position.

    No arrangement of n rows of that rank has more cells, so it bounds every pattern count (WP after eq. (6);
    Cover 1965).

    Parameters
    ----------
    n : int
        Number of rows, at least 0.
    rank : int
        Their rank, between 0 and n.

    Returns
    -------
    int
        The exact integer, however large; 1 for no rows or rank 0 (the whole space).

    Raises
    ------
    InvalidInputError
        If n or rank is negative.

    Examples
    --------
    >>> pattern_bound(40, 4)
    19840
    """
    if n < 0 or rank < 0:
        raise InvalidInputError(f"n and rank must be non-negative, got n = {n} and rank = {rank}")
    if n == 0 or rank == 0:
        return 1
    return 2 * sum(math.comb(n - 1, k) for k in range(rank))


def count_patterns(X: ArrayLike) -> int:
    """Return the exact number of full-dimensional cells of the arrangement of X's rows, without listing them.

    Deletion and restriction: adding a hyperplane splits exactly the cells that it meets, and those are the
    cells of the arrangement's trace on it. Rows within 1e-12 of parallel (on unit rows) count as one
    hyperplane.

    Parameters
    ----------
    X : (n, d) array
        The rows are the normals; zero, repeated, parallel and antiparallel rows are allowed.

    Returns
    -------
    int
        The number of patterns ``1[X u > 0]`` over all u that lie on no hyperplane.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix.

    Examples
    --------
    Three lines through one point of the plane, one of them given twice:

    >>> count_patterns([[1, 0], [0, 1], [1, 1], [-2, -2]])
    6
    """
    lines = hyperplanes_of(as_matrix(X))
    return _count(lines.normals, lines.spread)


def _count(normals: Float[np.ndarray, "h r"], spread: Float[np.ndarray, " h"]) -> int:
    h, rank = int(normals.shape[0]), int(normals.shape[1])
    if h == 0 or rank <= 1:
        return 1 + h
    if rank == 2 or h == rank:  # lines in the plane; a Boolean arrangement
        return 2 * h if rank == 2 else 2**h
    total = int(2**rank)  # the first `rank` normals are independent
    for k in range(rank, h):
        trace = restrict(normals[:k], spread[:k], normals[k])
        total += _count(trace.normals, trace.spread)
    return total
