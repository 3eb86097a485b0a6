"""How many patterns there are: Cover's count in general position, deletion and restriction in any."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt64

from convexrelu._clock import Clock
from convexrelu._typing import ArrayLike
from convexrelu._validation import check_seconds
from convexrelu.arrangements.integers import Decided, decide
from convexrelu.arrangements.restriction import cells_of, generic_direction
from convexrelu.arrangements.traces import restrict, splits_all
from convexrelu.errors import InvalidInputError, SolverError

__all__ = ["count_cells", "count_patterns", "pattern_bound"]

_AT_ONCE = 5_000_000  # choices of r - 1 hyperplanes: about a second in the compiled kernel, deaf to Ctrl-C


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


def count_patterns(X: ArrayLike, *, time_limit: float | None = None) -> int:
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
    time_limit : float or None
        Seconds. Ctrl-C is heard about every second, with or without a limit.

    Returns
    -------
    int
        The number of patterns ``1[X u > 0]`` over all u that lie on no hyperplane.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix.
    SolverError
        If the time does not suffice; the message says how many there are at least and at most.

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
    return count_cells(decide(X), Clock(limit=check_seconds(time_limit)))


def count_cells(decided: Decided, clock: Clock | None = None) -> int:
    """Return the number of cells; SolverError if the clock expires before."""
    lines = decided.lines
    found = _count(
        lines.normals, lines.spread, decided.residues, generic_direction(lines.rank), clock or Clock()
    )
    if found.complete:
        return found.number
    raise SolverError(
        f"the time did not suffice to count the cells of {len(lines.normals)} hyperplanes of rank "
        f"{lines.rank}: "
        f"there are at least {found.number}, and at most {pattern_bound(*lines.normals.shape)}"
    )


class _Cells(NamedTuple):
    """A number of cells: all of them, or those counted before time ran out."""

    number: int
    complete: bool


def _count(
    vectors: Float[np.ndarray, "h q"],
    spread: Float[np.ndarray, " h"],
    residues: UInt64[np.ndarray, "h s"],
    generic: Float[np.ndarray, " r"],
    clock: Clock,
) -> _Cells:
    h, q = vectors.shape
    if math.comb(h, max(q - 1, 0)) <= _AT_ONCE and pattern_bound(h, min(h, q)) < 2**62:
        codes, free = np.zeros(h, dtype=np.uint64), np.zeros(h, dtype=np.int64)
        return _Cells(int(cells_of(vectors, spread, residues, generic, codes, free, 0)[0]), True)
    # the same, in integers of any size, and with the clock in view
    total, basis, size = 1, np.empty((q, q)), 0
    for k in range(h):
        if clock.expired():
            return _Cells(total, False)
        independent, size = splits_all(vectors, spread, residues, k, basis, size)
        if independent:
            total *= 2
        else:
            traces, magnified, left, _, _ = restrict(vectors, spread, residues, generic, k)
            met = _count(traces, magnified, left, generic, clock)
            total += met.number
            if not met.complete:
                return _Cells(total, False)
    return _Cells(total, True)
