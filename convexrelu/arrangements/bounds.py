"""Cover's count: how many cells hyperplanes have at most."""

from __future__ import annotations

import math

from convexrelu.errors import InvalidInputError

__all__ = ["pattern_bound"]


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
