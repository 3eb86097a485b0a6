"""Two kinds of data on which max-margin training is easy: orthogonally separable, and spike-free."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_class_labels, as_matrix
from convexrelu.arrangements.hyperplanes import hyperplanes_of, unit_rows

__all__ = ["is_orthogonally_separable", "is_spike_free", "spike_bound"]

_FIRST = 64  # rows whose products with all are looked at first: most data ends there
_BLOCK_ENTRIES = 2**24  # of the Gram matrix, held at once: 128 MiB
_MEAN_TOL = 1e-12  # of products with a mean: sums of a million products of unit rows round by less


def is_orthogonally_separable(X: ArrayLike, y: ArrayLike) -> bool:
    """Return whether ``x_n^T x_m > 0`` within every class and ``<= 0`` between classes.

    WP section 3.1 for two classes, section 2.1 for K of them.

    Products within rounding of zero (d machine epsilons on unit rows) count as zero.

    Parameters
    ----------
    X : (n, d) array_like
        The data. A zero row is never orthogonally separable (its product with itself is not positive).
    y : (n,) array_like
        Labels of any number of classes.

    Returns
    -------
    bool
        The definition, tested on every pair; memory is O(n).

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix or y does not match it.

    References
    ----------
    WP: docs/references.md.

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
    classes, index = np.unique(labels, return_inverse=True)
    order = np.argsort(index, kind="stable")
    units, starts = units[order], np.searchsorted(index[order], np.arange(len(classes) + 1))
    return not _refuted_by_means(units, starts) and _pairs_agree(units, starts, tolerance)


def _refuted_by_means(units: Float[np.ndarray, "n d"], starts: Int[np.ndarray, " c"]) -> bool:
    """Whether some row's product with the mean of a class refutes the definition: most data ends here.

    Rows are sorted by class; class k is ``starts[k]:starts[k + 1]``.
    """
    sizes = np.diff(starts)
    means = np.add.reduceat(units, starts[:-1], axis=0) / sizes[:, None]
    own = np.repeat(np.arange(len(sizes)), sizes)
    block = max(1, _BLOCK_ENTRIES // len(sizes))
    for start in range(0, len(units), block):
        products = units[start : start + block] @ means.T
        mine = np.arange(len(products)), own[start : start + block]
        if (products[mine] <= -_MEAN_TOL).any():
            return True
        products[mine] = -1.0
        if (products > _MEAN_TOL).any():
            return True
    return False


def _pairs_agree(units: Float[np.ndarray, "n d"], starts: Int[np.ndarray, " c"], tolerance: float) -> bool:
    """Whether every pair's product has the sign that the definition asks for; rows are sorted by class."""
    for first, stop in itertools.pairwise(starts.tolist()):
        step = max(1, _BLOCK_ENTRIES // (len(units) - first))
        for start in range(first, stop, step):
            products = units[start : min(start + step, stop)] @ units[start:].T  # earlier pairs are done
            within, between = products[:, : stop - start], products[:, stop - start :]
            if within.min() <= tolerance or between.max(initial=-1.0) > tolerance:
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
    X : (n, d) array_like
        The data.

    Returns
    -------
    bool
        Whether the definition holds.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    >>> is_spike_free([[1.65, 0.47], [0.47, 1.35]]), is_spike_free([[1.65, -0.47], [-0.47, 1.35]])
    (True, False)
    """
    matrix = as_matrix(X)
    units = unit_rows(matrix)
    # the inverse of a positive definite matrix without positive entries off the diagonal has no negative one
    if (units[:_FIRST] @ units.T).min() < -_MEAN_TOL:
        return False
    lines = hyperplanes_of(matrix)
    antiparallel = set(lines.member[lines.sign > 0]) & set(lines.member[lines.sign < 0])
    if len(lines.normals) != lines.rank or antiparallel:
        return False
    if lines.rank <= 1:
        return True
    # orient each normal as its rows point: the sign pattern of the inverse depends on it
    towards = np.zeros(lines.rank)
    towards[lines.member[lines.sign != 0]] = lines.sign[lines.sign != 0]
    dual = _DualBasis.of(lines.normals * towards[:, None])
    return dual.largest_cosine <= dual.rounding


def spike_bound(V: Float[np.ndarray, "r r"]) -> float:
    """Return a bound on ``||z||^2 - 1`` where ``(V u)_+ = V z``, ||u|| <= 1, for r independent unit rows V.

    It is 0 if they are spike-free beyond rounding, and tiny if they are to rounding. The heights ``h = V u``
    are coordinates in the dual basis: ``u = sum h_i v_i^*``, ``z = sum (h_i)_+ v_i^*``. Hence ``||z||^2 <=
    ||u||^2 + 2 sum h_i |h_j| v_i^*^T v_j^*`` over heights of opposite sign, and the sum is at most ``c/4 (sum
    |h_i| ||v_i^*||)^2 <= c/4 ||V||^2 sum ||v_i^*||^2``, c the largest cosine between two dual vectors.
    """
    if len(V) == 1:
        return 0.0
    dual = _DualBasis.of(V)
    cosine = max(dual.largest_cosine + dual.rounding, 0.0)
    return float(cosine * np.linalg.norm(V, 2) ** 2 * dual.square_sum * (1 + dual.rounding) / 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class _DualBasis:
    """What decides about spikes: the dual basis of independent unit rows.

    The Gram matrix of its vectors is ``(V V^T)^{-1}``; forming ``V V^T`` would square the condition number.
    """

    largest_cosine: float
    square_sum: float
    rounding: float

    @classmethod
    def of(cls, V: Float[np.ndarray, "r r"]) -> _DualBasis:
        rounding = float(len(V) * np.linalg.cond(V) * np.finfo(float).eps)
        if not rounding < 1:  # dependent, as far as anyone can tell
            return cls(largest_cosine=1.0, square_sum=float("inf"), rounding=0.0)
        dual = np.linalg.inv(V).T
        units = unit_rows(dual)
        cosines = (units @ units.T)[~np.eye(len(V), dtype=bool)]
        return cls(largest_cosine=float(cosines.max()), square_sum=float((dual**2).sum()), rounding=rounding)


def _product_rounding(d: int) -> float:
    """Bound on the rounding error of a product of two unit vectors."""
    return float((d + 3) * np.finfo(float).eps)
