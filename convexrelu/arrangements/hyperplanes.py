"""The distinct hyperplanes behind the rows of X.

Rows count as parallel within `TOLERANCE`: moving each unit row by that much makes them one hyperplane. All
degenerate data (duplicates, parallel and antiparallel rows, zero rows, rank loss, several hyperplanes through
one flat) is decided here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import qr
from scipy.linalg.lapack import dtrcon

__all__ = ["TOLERANCE", "Hyperplanes", "hyperplanes_of", "independent_first", "unit_rows"]

# On unit rows. Rounding in the input and in one projection is a few 1e-16; data that is degenerate on purpose
# but computed in floating point (products, sums, rotations) stays within 1e-13 of it.
TOLERANCE = 1e-12
# A fixed generic direction spreads the rows on a line, so that parallel ones become neighbours in one sort.
_SPREAD_SEED = 20221
_TALL = 32  # rows a column from which the Gram matrix is formed first
# of the Gram matrix's smallest eigenvalue over the number of rows: its rounding is about d times 2e-16
_CLEARLY_FULL = 1e-6
_LARGE = 256  # from so many rows and columns on, singular values and pivoting take seconds
_CLEARLY_INDEPENDENT = (
    1e-8  # inverse condition; an estimate of it is right within a few times, hardly ever more
)
_SAMPLE = 64  # rows a column among which independent ones are sought first
_WELL_SPREAD = 0.1  # distance of each of these unit rows from the span of those before it


@dataclass(frozen=True, kw_only=True, eq=False)
class Hyperplanes:
    """Distinct hyperplanes in coordinates of the row space.

    Attributes
    ----------
    normals : (h, r) float array
        Unit normals, one for each distinct hyperplane, in an orthonormal basis of the row space; the first r
        are independent.
    spread : (h,) float array
        How much an error in the original unit rows is magnified in each normal (1 at the top level).
    basis : (d, r) float array
        Orthonormal basis of the row space: coordinates ``v`` mean the vector ``basis @ v``.
    member : (n,) int array
        Each row's hyperplane, -1 for zero rows.
    sign : (n,) int array
        +1 or -1 as the row points with or against its hyperplane's normal, 0 for zero rows.
    """

    normals: Float[np.ndarray, "h r"]
    spread: Float[np.ndarray, " h"]
    basis: Float[np.ndarray, "d r"]
    member: Int[np.ndarray, " n"]
    sign: Int[np.ndarray, " n"]

    @property
    def rank(self) -> int:
        """Return the rank r of the rows."""
        return int(self.normals.shape[1])


def unit_rows(X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return the rows scaled to length one; zero rows stay zero."""
    # by a power of two first, which is exact, so that squares neither overflow nor vanish
    _, exponents = np.frexp(np.abs(X).max(axis=1))
    scaled = np.ldexp(X, -exponents[:, None])
    sizes = np.linalg.norm(scaled, axis=1, keepdims=True)
    units: np.ndarray = scaled / np.where(sizes > 0, sizes, 1.0)
    return units


def hyperplanes_of(X: Float[np.ndarray, "n d"]) -> Hyperplanes:
    """Return the distinct hyperplanes ``x_n^T u = 0`` of the rows of X."""
    units = unit_rows(X)
    present: np.ndarray = np.asarray(units.any(axis=1))
    basis = _row_space(units if present.all() else units[present])
    while True:
        projected = units @ basis
        lead, sign = _group(projected, present)
        leads = np.flatnonzero(lead == np.arange(len(lead)))
        # Rows may be parallel within the tolerance to the leader of their group, and yet spread beyond it in
        # a direction that no leader has: the rank is that of the leaders.
        smaller = basis if len(leads) == np.count_nonzero(present) else _row_space(units[leads])
        if smaller.shape[1] >= basis.shape[1]:
            break
        basis = smaller
    order = leads[independent_first(projected[leads])]
    place = np.full(len(lead) + 1, -1)  # the last entry serves rows without a lead
    place[order] = np.arange(len(order))
    return Hyperplanes(
        normals=projected[order], spread=np.ones(len(order)), basis=basis, member=place[lead], sign=sign
    )


def _group(
    units: Float[np.ndarray, "n d"], present: Bool[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Group unit rows parallel or antiparallel within the tolerance: (first of the group or -1, sign or 0).

    A group's first row leads it: the others are compared with it alone, so that groups do not chain.
    """
    n, d = units.shape
    lead, sign = np.full(n, -1), np.zeros(n, dtype=np.int64)
    rows = np.flatnonzero(present)
    if not len(rows):
        return lead, sign
    direction = np.random.default_rng(_SPREAD_SEED).normal(size=d)
    height = np.abs(units @ direction)[rows]
    order = np.argsort(height)
    # parallel rows differ by at most this in height, so that a wider step separates groups for certain
    reach = 2 * TOLERANCE * float(np.linalg.norm(direction))
    run = np.cumsum(np.r_[False, np.diff(height[order]) > reach])
    rows = rows[order]
    shared = np.bincount(run)[run] > 1
    lead[rows[~shared]], sign[rows[~shared]] = rows[~shared], 1
    rows, run = rows[shared], run[shared]
    by_run = np.lexsort((rows, run))
    rows, run = rows[by_run], run[by_run]
    while len(rows):  # every pass takes one group out of each run; a run rarely holds a second one
        opens = np.r_[True, run[1:] != run[:-1]]
        leads = rows[opens][np.cumsum(opens) - 1]
        side = np.where(np.einsum("ij,ij->i", units[rows], units[leads]) >= 0, 1, -1)
        distance = np.linalg.norm(units[rows] - side[:, None] * units[leads], axis=1)
        same = opens | (distance <= 2 * TOLERANCE)
        lead[rows[same]], sign[rows[same]] = leads[same], side[same]
        rows, run = rows[~same], run[~same]
    return lead, sign


def _row_space(units: Float[np.ndarray, "h d"]) -> Float[np.ndarray, "d r"]:
    """Return a basis of the span of unit rows; directions within the tolerance of the others do not count."""
    h, d = units.shape
    if not h:
        return np.zeros((d, 0))
    if h > _TALL * d:
        # products of columns are cheaper than a factorisation, and tell full rank wherever it is not close
        squares, vectors = np.linalg.eigh(units.T @ units)
        if squares[0] > _CLEARLY_FULL * h:
            return np.ascontiguousarray(vectors[:, ::-1])
    # the triangular factor has the singular values of the rows, and is small however many there are
    if min(h, d) >= _LARGE and (basis := _clearly_full(units)) is not None:
        return basis
    triangle = qr(units, mode="r", check_finite=False)[0][:d] if h > d else units
    _, sizes, Vt = np.linalg.svd(triangle, full_matrices=False)
    rank = int((sizes > TOLERANCE * np.sqrt(h)).sum())
    return np.ascontiguousarray(Vt[:rank].T)


def _clearly_full(units: Float[np.ndarray, "h d"]) -> Float[np.ndarray, "d r"] | None:
    """Return a basis of the span of unit rows if its rank is min(h, d) by far, else None."""
    h, d = units.shape
    factor, triangle = qr(units.T, mode="economic") if h < d else (np.eye(d), qr(units, mode="r")[0][:d])
    inverse_condition, _ = dtrcon(triangle)
    return np.ascontiguousarray(factor) if inverse_condition > _CLEARLY_INDEPENDENT else None


def independent_first(units: Float[np.ndarray, "h r"]) -> Int[np.ndarray, " h"]:
    """Return an order whose first r rows are independent, and as well conditioned as pivoting makes them."""
    h, r = units.shape
    if not units.size:
        return np.arange(h)
    if h == r >= _LARGE:  # all of them, in any order
        return np.arange(h)
    chosen = np.arange(0, h, max(h // (_SAMPLE * r), 1))  # of very many rows a sample holds as good ones
    triangle, pivots = qr(units[chosen].T, mode="r", pivoting=True)
    if abs(triangle[r - 1, r - 1]) < _WELL_SPREAD and len(chosen) < h:
        chosen = np.arange(h)
        pivots = qr(units.T, mode="r", pivoting=True)[1]
    leads = chosen[pivots[:r]]
    others = np.ones(h, dtype=bool)
    others[leads] = False
    order: np.ndarray = np.r_[leads, np.flatnonzero(others)]
    return order
