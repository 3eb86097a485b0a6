"""The distinct hyperplanes behind the rows of X, and their restriction to one of them.

Rows count as parallel within `TOLERANCE`: moving each unit row by that much makes them one hyperplane. All
degenerate data (duplicates, parallel and antiparallel rows, zero rows, rank loss, several hyperplanes through
one flat) is decided here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import qr

__all__ = ["TOLERANCE", "Hyperplanes", "hyperplanes_of", "restrict", "unit_rows"]

# On unit rows. Rounding in the input and in one projection is a few 1e-16; data that is degenerate on purpose
# but computed in floating point (products, sums, rotations) stays within 1e-13 of it.
TOLERANCE = 1e-12
# A fixed generic direction spreads the rows on a line, so that parallel ones become neighbours in one sort.
_SPREAD_SEED = 20221


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
    basis = _row_space(units[present])
    return _collect(units @ basis, present, np.ones(len(X)), basis)


def restrict(
    normals: Float[np.ndarray, "h r"], spread: Float[np.ndarray, " h"], to: Float[np.ndarray, " r"]
) -> Hyperplanes:
    """Return the traces of the hyperplanes `normals` on another one, which has unit normal `to`."""
    basis = _complement(to)
    traces = normals @ basis
    # the sines of the angles to `to`: positive, since the hyperplanes are distinct
    sizes = np.linalg.norm(traces, axis=1)
    return _collect(traces / sizes[:, None], sizes > 0, spread / sizes, basis)


def _collect(
    units: Float[np.ndarray, "n r"],
    present: Bool[np.ndarray, " n"],
    spread: Float[np.ndarray, " n"],
    basis: Float[np.ndarray, "d r"],
) -> Hyperplanes:
    """Merge parallel unit rows into hyperplanes, and put independent ones first."""
    member, sign = _group(units, present, spread)
    groups, first = np.unique(member, return_index=True)
    first = first[groups >= 0]
    order = _independent_first(units[first])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    leads = first[order]
    return Hyperplanes(
        normals=units[leads],
        spread=spread[leads],
        basis=basis,
        member=np.where(member >= 0, place[member], -1) if len(place) else member,
        sign=sign,
    )


def _group(
    units: Float[np.ndarray, "n d"], present: Bool[np.ndarray, " n"], spread: Float[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Group unit rows parallel or antiparallel within the tolerance: (group or -1, orientation or 0)."""
    n, d = units.shape
    member, sign = np.full(n, -1), np.zeros(n, dtype=np.int64)
    rows = np.flatnonzero(present)
    if not len(rows):
        return member, sign
    direction = np.random.default_rng(_SPREAD_SEED).normal(size=d)
    height = np.abs(units[rows] @ direction)
    rows, height = rows[np.argsort(height, kind="stable")], np.sort(height)
    # parallel rows differ by at most this in height, so that a wider step separates groups for certain
    reach = 2 * TOLERANCE * float(spread.max(initial=1.0)) * float(np.linalg.norm(direction))
    starts = np.flatnonzero(np.r_[True, np.diff(height) > reach])
    stops = np.r_[starts[1:], len(rows)]
    alone = stops - starts == 1
    singles = rows[starts[alone]]
    member[singles], sign[singles] = np.arange(len(singles)), 1
    n_groups = len(singles)
    for start, stop in zip(starts[~alone], stops[~alone], strict=True):
        run = np.sort(rows[start:stop])  # so that a group's lead is its first row
        while len(run):
            lead = run[0]
            side = np.where(units[run] @ units[lead] >= 0, 1, -1)
            distance = np.linalg.norm(units[run] - side[:, None] * units[lead], axis=1)
            same = distance <= TOLERANCE * (spread[run] + spread[lead])
            same[0] = True
            member[run[same]], sign[run[same]], n_groups = n_groups, side[same], n_groups + 1
            run = run[~same]
    return member, sign


def _row_space(units: Float[np.ndarray, "h d"]) -> Float[np.ndarray, "d r"]:
    """Return a basis of the span of unit rows; directions within the tolerance of the others do not count."""
    if not len(units):
        return np.zeros((units.shape[1], 0))
    # the triangular factor has the singular values of the rows, and is small however many there are
    _, sizes, Vt = np.linalg.svd(qr(units, mode="r", check_finite=False)[0][: units.shape[1]])
    rank = int((sizes > TOLERANCE * np.sqrt(len(units))).sum())
    return np.ascontiguousarray(Vt[:rank].T)


def _independent_first(units: Float[np.ndarray, "h r"]) -> Int[np.ndarray, " h"]:
    """Return an order whose first r rows are independent, and as well conditioned as pivoting makes them."""
    if not units.size:
        return np.arange(len(units))
    pivots = qr(units.T, mode="r", pivoting=True)[1].astype(np.int64)
    r = units.shape[1]
    order: np.ndarray = np.r_[pivots[:r], np.sort(pivots[r:])]
    return order


def _complement(normal: Float[np.ndarray, " r"]) -> Float[np.ndarray, "r q"]:
    """Orthonormal basis of the hyperplane with this unit normal: a Householder reflection's other columns."""
    v = normal.copy()
    v[0] += 1.0 if v[0] >= 0 else -1.0
    return np.eye(len(v))[:, 1:] - np.outer(v, 2 * v[1:] / (v @ v))
