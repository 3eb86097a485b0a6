"""How many patterns there are: Cover's formula in general position, deletion and restriction in any."""

from __future__ import annotations

from convexrelu._typing import ArrayLike
from convexrelu.arrangements.bounds import pattern_bound
from convexrelu.arrangements.integers import decide
from convexrelu.arrangements.restriction import count

__all__ = ["count_patterns", "pattern_bound"]


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
    return count(decide(X))
