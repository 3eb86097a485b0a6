"""How many patterns there are: Cover's count in general position, deletion and restriction in any."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt64

from convexrelu._typing import ArrayLike
from convexrelu.arrangements.integers import Decided, decide
from convexrelu.arrangements.restriction import cells_of, generic_direction
from convexrelu.arrangements.traces import restrict, splits_all
from convexrelu.errors import InvalidInputError

__all__ = ["count_cells", "count_patterns", "pattern_bound"]


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

    References
    ----------
    WP: docs/references.md.

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

    Deletion and restriction [1]_: adding a hyperplane splits exactly the cells that it meets, and
    those are the cells of the arrangement's trace on it. The work is about one multiplication for every
    choice of r - 1 hyperplanes (r the rank), fewer if many coincide.

    Ties of whole numbers (of any type) and fractions are decided modulo the prime 2^61 - 1, which is exact if
    minors are below it. Of other numbers, two flats count as one if moving each unit row by 1e-12 makes them
    one; so rows within 1e-12 of parallel are one hyperplane.

    Parameters
    ----------
    X : (n, d) array_like
        The rows are the normals; zero, repeated, parallel and antiparallel rows are allowed.

    Returns
    -------
    int
        The number of patterns ``1[X u > 0]`` over all u that lie on no hyperplane.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix.

    References
    ----------
    .. [1] T. Zaslavsky, "Facing up to arrangements: face-count formulas for partitions of space by
       hyperplanes", Memoirs of the AMS 154 (1975).

    Examples
    --------
    Three lines through one point of the plane, one of them given twice:

    >>> count_patterns([[1, 0], [0, 1], [1, 1], [-2, -2]])
    6
    """
    return count_cells(decide(X))


def count_cells(decided: Decided) -> int:
    """Return the number of cells."""
    lines = decided.lines
    return _count(lines.normals, lines.spread, decided.residues, generic_direction(lines.rank))


def _count(
    vectors: Float[np.ndarray, "h q"],
    spread: Float[np.ndarray, " h"],
    residues: UInt64[np.ndarray, "h s"],
    generic: Float[np.ndarray, " r"],
) -> int:
    h, q = vectors.shape
    if pattern_bound(h, min(h, q)) < 2**62:  # with room to spare in 64 bits
        codes, free = np.zeros(h, dtype=np.uint64), np.zeros(h, dtype=np.int64)
        return int(cells_of(vectors, spread, residues, generic, codes, free, 0)[0])
    total, basis, size = 1, np.empty((q, q)), 0  # the same, in integers of any size
    for k in range(h):
        independent, size = splits_all(vectors, spread, residues, k, basis, size)
        if independent:
            total *= 2
        else:
            traces, magnified, left, _, _ = restrict(vectors, spread, residues, generic, k)
            total += _count(traces, magnified, left, generic)
    return total
