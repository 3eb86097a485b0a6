"""How cells hang together: which ones share a facet, the rays, and the cell of a given direction."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from convexrelu._box_least_norm import box_least_norm
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_vector
from convexrelu.arrangements.cells import Arrangement
from convexrelu.arrangements.hyperplanes import TOLERANCE, unit_rows
from convexrelu.arrangements.integers import Decided, decide
from convexrelu.errors import InvalidInputError

__all__ = ["Adjacency", "Cell", "Rays", "adjacency", "cell_of", "rays"]

_MOST_CHOICES = 5_000_000  # of r - 1 hyperplanes for their rays: a minute or so
_LOT = 2**15
_SEED = 11
# A unit normal this close to the cone of the other ones adds nothing to them. Far above the kernel's
# rounding; a facet as narrow as this is not told from none.
_REDUNDANT = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Adjacency:
    """Pairs of cells that share a facet.

    Attributes
    ----------
    cells : (k, 2) int array
        Numbers of the two cells: the first one below, the second above the hyperplane.
    rows : (k,) int array
        The hyperplane of the facet, as the number of the first row that spans it.
    """

    cells: Int[np.ndarray, "k 2"]
    rows: Int[np.ndarray, " k"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rays:
    """The one-dimensional faces of an arrangement, within the row space.

    Attributes
    ----------
    directions : (m, d) float array
        Unit vectors, opposites side by side.
    on : (m, n) bool array
        The rows whose hyperplanes hold the ray (zero rows never do).
    """

    directions: Float[np.ndarray, "m d"]
    on: Bool[np.ndarray, "m n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """The cell that a direction lies in.

    Attributes
    ----------
    pattern : (n,) bool array
        ``X @ w > 0``.
    facets : (k,) int array
        Its active facets: for each the number of the first row that spans it.
    margin : float
        Angular distance of w to the nearest hyperplane, as a sine (inf if there is none).
    groups : (n,) int array
        The first row with the same hyperplane, for each row (-1 for zero rows).
    """

    pattern: Bool[np.ndarray, " n"]
    facets: Int[np.ndarray, " k"]
    margin: float
    groups: Int[np.ndarray, " n"]

    def across(self, facet: int) -> Bool[np.ndarray, " n"]:
        """Return the pattern on the other side of a facet.

        Parameters
        ----------
        facet : int
            One of `facets`.

        Returns
        -------
        (n,) bool array
            The pattern with all rows of that hyperplane switched.

        Raises
        ------
        InvalidInputError
            If it is not a facet.
        """
        if facet not in self.facets:
            raise InvalidInputError(f"facet must be one of {self.facets.tolist()}, got {facet}")
        return np.asarray(self.pattern ^ (self.groups == facet))


def adjacency(X: ArrayLike, arrangement: Arrangement) -> Adjacency:
    """Return the pairs of cells that share a facet: those whose patterns differ in one hyperplane.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    arrangement : Arrangement
        Cells of it (:func:`enumerate_patterns`); of a sample, only pairs in it are found.

    Returns
    -------
    Adjacency
        ``cells`` (k, 2), ``rows`` (k,).

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix, or the arrangement is of another number of rows.

    Examples
    --------
    >>> from convexrelu import enumerate_patterns
    >>> X = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> len(adjacency(X, enumerate_patterns(X)).rows)
    6
    """
    decided = decide(X)
    member, sign = decided.lines.member, decided.lines.sign
    if arrangement.n_rows != len(member):
        raise InvalidInputError(f"X must have the arrangement's {arrangement.n_rows} rows, got {len(member)}")
    leads = _leads(decided)
    above = arrangement.patterns[:, leads] == (sign[leads] > 0)
    codes = np.random.default_rng(_SEED).integers(2**64, size=len(leads), dtype=np.uint64)
    hashes: UInt64[np.ndarray, " p"] = above @ codes
    order = np.argsort(hashes)
    pairs, rows = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for k, lead in enumerate(leads):
        below = np.flatnonzero(~above[:, k])
        place = np.searchsorted(hashes[order], hashes[below] + codes[k])
        other = order[np.minimum(place, len(order) - 1)]
        found = (above[other] != above[below]).sum(axis=1) == 1  # equal hashes prove nothing
        found &= above[other, k]
        pairs.append(np.column_stack([below[found], other[found]]))
        rows.append(np.full(int(found.sum()), lead))
    return Adjacency(cells=np.concatenate(pairs), rows=np.concatenate(rows))


def rays(X: ArrayLike) -> Rays:
    """Return the rays: where r - 1 independent hyperplanes meet, in both directions, each once.

    A row counts as holding a ray if moving the rows within 1e-12 would put it there (for whole and rational
    numbers of moderate size that is exact).

    Parameters
    ----------
    X : (n, d) array_like
        The data, of rank r >= 1.

    Returns
    -------
    Rays
        ``directions`` (m, d) and ``on`` (m, n).

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix, is zero, or has more than five million choices of r - 1 hyperplanes.

    Examples
    --------
    >>> len(rays([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).directions)
    6
    """
    decided = decide(X)
    normals = decided.lines.normals
    h, rank = normals.shape
    if rank == 0:
        raise InvalidInputError("X must have a row that is not zero: without hyperplanes there are no rays")
    n_choices = math.comb(h, rank - 1)
    if n_choices > _MOST_CHOICES:
        raise InvalidInputError(
            f"X must have at most {_MOST_CHOICES} choices of {rank - 1} hyperplanes, got {n_choices}"
        )
    found: dict[bytes, np.ndarray] = {}
    choices = itertools.combinations(range(h), rank - 1)
    while lot := list(itertools.islice(choices, _LOT)):
        chosen = normals[np.array(lot, dtype=np.int64)]
        _, sizes, Vt = np.linalg.svd(chosen, full_matrices=True)
        least = sizes[:, -1] if rank > 1 else np.ones(len(lot))
        points = Vt[:, -1, :]
        # how much an error in the rows is magnified in the ray
        near = np.abs(points @ normals.T) <= TOLERANCE * (1.0 + np.sqrt(rank) / least[:, None])
        for k in np.flatnonzero(least > np.sqrt(rank) * TOLERANCE):
            found.setdefault(near[k].tobytes(), points[k])
    on = np.array([np.frombuffer(key, dtype=bool) for key in found]).reshape(len(found), h)
    ends = np.array(list(found.values())) @ decided.lines.basis.T
    present = decided.lines.member >= 0
    return Rays(
        directions=np.stack([ends, -ends], axis=1).reshape(2 * len(ends), -1),
        on=np.repeat(on[:, decided.lines.member] & present, 2, axis=0),
    )


def cell_of(X: ArrayLike, w: ArrayLike) -> Cell:
    """Return the cell that a direction lies in, with its facets.

    A hyperplane is a facet iff its normal, oriented towards the cell, is not in the cone of the other ones
    (Farkas); the distance from that cone is one least-norm problem a hyperplane.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    w : (d,) array_like
        A direction on none of the hyperplanes.

    Returns
    -------
    Cell
        ``pattern``, ``facets``, ``margin``.

    Raises
    ------
    InvalidInputError
        If X or w is malformed, or w lies on a hyperplane to rounding.

    Examples
    --------
    >>> cell_of([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [1.0, 2.0]).facets
    array([0, 1])
    """
    decided = decide(X)
    n, d = decided.matrix.shape
    point = unit_rows(as_vector(w, "w", length=d)[None, :])[0]
    lines, present = decided.lines, decided.lines.member >= 0
    heights = unit_rows(decided.matrix) @ point
    margin = float(np.abs(heights[present]).min(initial=np.inf))
    rounding = 4.0 * d * float(np.finfo(float).eps)
    if margin <= rounding:
        where = np.flatnonzero(present & (np.abs(heights) <= rounding))[:8].tolist()
        raise InvalidInputError(f"w must lie inside a cell, got one on the hyperplanes of rows {where}")
    leads = _leads(decided)
    towards = lines.normals * np.sign(heights[leads] * lines.sign[leads])[:, None]
    others = ~np.eye(len(leads), dtype=bool)
    free = np.full(max(len(leads) - 1, 0), np.inf)
    distances = [box_least_norm(towards[others[k]], towards[k], free).norm for k in range(len(leads))]
    groups = np.full(n, -1)
    groups[present] = leads[lines.member[present]]
    return Cell(
        pattern=(heights > 0) & present,
        facets=np.sort(leads[np.array(distances) > _REDUNDANT]),
        margin=margin,
        groups=groups,
    )


def _leads(decided: Decided) -> Int[np.ndarray, " h"]:
    """Return the first row of each hyperplane."""
    member = decided.lines.member
    groups, first = np.unique(member, return_index=True)
    return first[groups >= 0]
