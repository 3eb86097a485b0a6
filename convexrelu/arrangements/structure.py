"""Two kinds of data on which max-margin training is easy: orthogonally separable, and spike-free."""

from __future__ import annotations

import numpy as np

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_class_labels, as_matrix
from convexrelu.arrangements.hyperplanes import hyperplanes_of, unit_rows

__all__ = ["is_orthogonally_separable", "is_spike_free"]

_BLOCK_ENTRIES = 2**24  # of the Gram matrix, held at once: 128 MiB


def is_orthogonally_separable(X: ArrayLike, y: ArrayLike) -> bool:
    """Return whether ``x_n^T x_m > 0`` within every class and ``<= 0`` between classes.

    WP section 3.1 for two classes, section 2.1 for K of them.

    Products within rounding of zero (d machine epsilons on unit rows) count as zero.

    Parameters
    ----------
    X : (n, d) array
        The data. A zero row is never orthogonally separable (its product with itself is not positive).
    y : (n,) array
        Labels of any number of classes.

    Returns
    -------
    bool
        The definition, tested on every pair; memory is O(n).

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix or y does not match it.

    Examples
    --------
    >>> is_orthogonally_separable([[1.65, -0.47], [-0.47, 1.35]], [1, -1])
    True
    """
    matrix = as_matrix(X)
    labels = as_class_labels(y, length=len(matrix))
    units = unit_rows(matrix)
    if not units.any(axis=1).all():
        return False
    tolerance = _product_rounding(matrix.shape[1])
    block = max(1, _BLOCK_ENTRIES // len(units))
    for start in range(0, len(units), block):
        products = units[start : start + block] @ units.T
        same = labels[start : start + block, None] == labels
        if not np.where(same, products > tolerance, products <= tolerance).all():
            return False
    return True


def is_spike_free(X: ArrayLike) -> bool:
    """Return whether X is spike-free: all ||u|| <= 1 have a ||z|| <= 1, ``(X u)_+ = X z`` (WP Def. 2).

    The exact test: drop zero rows, merge positively parallel ones, normalise. X is spike-free iff the
    remaining rows V are linearly independent and ``(V V^T)^{-1}`` has no positive off-diagonal entry. Entries
    within rounding of zero (as cosines of the dual basis: n times V's condition number machine epsilons)
    count as zero.

    Parameters
    ----------
    X : (n, d) array
        The data.

    Returns
    -------
    bool
        Whether the definition holds.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix.

    Examples
    --------
    >>> is_spike_free([[1.65, 0.47], [0.47, 1.35]]), is_spike_free([[1.65, -0.47], [-0.47, 1.35]])
    (True, False)
    """
    lines = hyperplanes_of(as_matrix(X))
    if len(lines.normals) != lines.rank or _has_antiparallel_rows(lines.member, lines.sign):
        return False
    if lines.rank <= 1:
        return True
    # orient each normal as its rows point: the sign pattern of the inverse depends on it
    towards = np.zeros(lines.rank)
    towards[lines.member[lines.sign != 0]] = lines.sign[lines.sign != 0]
    V = lines.normals * towards[:, None]
    # (V V^T)^{-1} is the Gram matrix of the dual basis; forming V V^T would square the condition number
    dual = unit_rows(np.linalg.inv(V).T)
    cosines = (dual @ dual.T)[~np.eye(len(V), dtype=bool)]
    rounding = len(V) * np.linalg.cond(V) * np.finfo(float).eps
    return bool((cosines <= rounding).all())


def _product_rounding(d: int) -> float:
    """Bound on the rounding error of a product of two unit vectors."""
    return float((d + 3) * np.finfo(float).eps)


def _has_antiparallel_rows(member: np.ndarray, sign: np.ndarray) -> bool:
    return bool(set(member[sign > 0]) & set(member[sign < 0]))
