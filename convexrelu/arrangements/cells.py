"""The cells of a hyperplane arrangement: all of them, each with an interior point, or a Gaussian sample.

The enumeration adds one hyperplane at a time. It splits exactly the cells that it meets, and those are found
by enumerating the arrangement's trace on it, which has rank one less: nothing is searched, and degenerate
data needs no case of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_generator, as_matrix, check_count
from convexrelu.arrangements.counting import pattern_bound
from convexrelu.arrangements.hyperplanes import Hyperplanes, hyperplanes_of, restrict
from convexrelu.errors import InvalidInputError, SolverError

__all__ = ["Arrangement", "enumerate_patterns", "sample_patterns"]

MAX_BYTES = 2**31
"""Refuse, before starting, an enumeration whose patterns and witnesses could need more memory than this."""

_HASH_SEED = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrangement:
    """Cells of the arrangement of the rows of X.

    Attributes
    ----------
    patterns : (p, n) bool array
        One row a cell: ``X @ witness > 0``, distinct.
    witnesses : (p, d) float array
        An interior point of each cell, of unit length (zero if X is zero).
    complete : bool
        Whether every full-dimensional cell is listed.
    """

    patterns: Bool[np.ndarray, "p n"]
    witnesses: Float[np.ndarray, "p d"]
    complete: bool

    def __len__(self) -> int:
        return len(self.patterns)

    def __repr__(self) -> str:
        kind = "all" if self.complete else "a sample"
        return f"Arrangement({len(self)} patterns of {self.patterns.shape[1]} rows, {kind})"


def enumerate_patterns(X: ArrayLike) -> Arrangement:
    """Return every full-dimensional cell's pattern, each once, with an interior point.

    Complete for any rank, and for duplicates, parallel and antiparallel rows, zero rows (always False) and
    rank loss. Rows within 1e-12 of parallel, and flats within 1e-12 of coinciding, count as such (on unit
    rows).

    Parameters
    ----------
    X : (n, d) array
        The data; its rows are the hyperplanes' normals.

    Returns
    -------
    Arrangement
        ``patterns`` (p, n) bool, ``witnesses`` (p, d), ``complete=True``.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix, or the patterns would not fit into 2 GiB (the message quotes Cover's
        bound).

    Examples
    --------
    >>> enumerate_patterns([[1.65, -0.47], [-0.47, 1.35]])
    Arrangement(4 patterns of 2 rows, all)
    """
    matrix = as_matrix(X)
    lines = hyperplanes_of(matrix)
    most = pattern_bound(len(lines.normals), lines.rank)
    n, d = matrix.shape
    if most * (n + 8 * d) > MAX_BYTES:  # a pattern is n bytes, a witness d doubles
        raise InvalidInputError(
            f"X must have few enough cells to list in {MAX_BYTES // 2**30} GiB; {len(lines.normals)} "
            f"hyperplanes of rank {lines.rank} have up to {most} (Cover's bound). Use sample_patterns, or "
            "solve_max_margin, which needs no list."
        )
    cells, points = _cells(lines)
    patterns = _expand(cells, lines)
    witnesses = points @ lines.basis.T
    return Arrangement(patterns=patterns, witnesses=_normalized(witnesses), complete=True)


def sample_patterns(X: ArrayLike, size: int, *, rng: RNGLike = None) -> Arrangement:
    """Return the distinct patterns of `size` Gaussian directions: a sample that easily misses small cells.

    Parameters
    ----------
    X : (n, d) array
        The data.
    size : int
        Number of directions drawn, at least 1.
    rng : int, Generator or None
        Source of randomness (what :func:`numpy.random.default_rng` takes).

    Returns
    -------
    Arrangement
        At most `size` patterns with their directions, ``complete=False``.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix or size is not a positive integer.

    Examples
    --------
    >>> len(sample_patterns([[1.0, 0.0], [0.0, 1.0]], 100, rng=0))
    4
    """
    matrix = as_matrix(X)
    draws = check_count(size, "size")
    directions = _normalized(as_generator(rng).normal(size=(draws, matrix.shape[1])))
    products = directions @ matrix.T
    inside = (products != 0).sum(axis=1) == matrix.any(axis=1).sum()  # on no hyperplane
    patterns, first = np.unique(products[inside] > 0, axis=0, return_index=True)
    return Arrangement(patterns=patterns, witnesses=directions[inside][first], complete=False)


def _expand(cells: Bool[np.ndarray, "p h"], lines: Hyperplanes) -> Bool[np.ndarray, "p n"]:
    """Patterns of the rows from patterns of their hyperplanes."""
    if not len(lines.normals):
        return np.zeros((len(cells), len(lines.member)), dtype=bool)
    patterns: np.ndarray = (cells[:, lines.member] == (lines.sign > 0)) & (lines.sign != 0)
    return patterns


def _normalized(points: Float[np.ndarray, "p d"]) -> Float[np.ndarray, "p d"]:
    sizes = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(sizes > 0, sizes, 1.0)


def _cells(lines: Hyperplanes) -> tuple[Bool[np.ndarray, "p h"], Float[np.ndarray, "p r"]]:
    """All cells of distinct hyperplanes, with interior points."""
    h, rank = lines.normals.shape
    if rank == 0:
        return np.zeros((1, 0), dtype=bool), np.zeros((1, 0))
    if rank == 2:
        return _planar_cells(lines.normals)
    cells, points = _orthants(lines.normals[:rank])
    codes = np.asarray(np.random.default_rng(_HASH_SEED).integers(2**63, size=h, dtype=np.uint64))
    hashes: np.ndarray = cells @ codes[:rank]
    for k in range(rank, h):
        normal = lines.normals[k]
        trace = restrict(lines.normals[:k], lines.spread[:k], normal)
        met, through = _cells(trace)
        met = _expand(met, trace)
        split, at = _match(hashes, met @ codes[:k])
        side = points @ normal > 0
        low, high = _both_sides(lines.normals[:k], normal, through @ trace.basis.T)
        side[split], points[split] = False, low[at]
        cells = np.column_stack([np.r_[cells, cells[split]], np.r_[side, np.ones(len(split), dtype=bool)]])
        points = np.r_[points, high[at]]
        hashes = np.r_[hashes, hashes[split]] + cells[:, k] * codes[k]
    return cells, points


def _orthants(normals: Float[np.ndarray, "r r"]) -> tuple[Bool[np.ndarray, "p r"], Float[np.ndarray, "p r"]]:
    """Return the 2^r cells of independent hyperplanes."""
    rank = len(normals)
    cells = (np.arange(2**rank)[:, None] >> np.arange(rank)) % 2 == 1
    return cells, _normalized(np.linalg.solve(normals, np.where(cells, 1.0, -1.0).T).T)


def _planar_cells(
    normals: Float[np.ndarray, "h 2"],
) -> tuple[Bool[np.ndarray, "p h"], Float[np.ndarray, "p 2"]]:
    """Cells of lines in the plane: the bisectors of neighbouring rays."""
    rays = np.sort(np.arctan2(normals[:, 0], -normals[:, 1]) % np.pi)
    rays = np.r_[rays, rays + np.pi]
    middle = (rays + np.r_[rays[1:], rays[0] + 2 * np.pi]) / 2
    points = np.column_stack([np.cos(middle), np.sin(middle)])
    return points @ normals.T > 0, points


def _match(hashes: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where `wanted` stand among `hashes` (each does, once), and which one stands at each place."""
    order = np.argsort(wanted)
    place = np.searchsorted(wanted[order], hashes)
    place[place == len(wanted)] = 0
    found = np.flatnonzero(wanted[order][place] == hashes)
    # a false match could only add to the true ones, so the count proves that there was none
    if len(found) != len(wanted):
        raise SolverError(
            f"the arrangement could not be resolved in floating point: {len(wanted)} cells meet a hyperplane "
            f"but {len(found)} were recognised; rows within about 1e-10 of parallel or incident cause this"
        )
    return found, order[place[found]]


def _both_sides(
    normals: Float[np.ndarray, "k r"], normal: Float[np.ndarray, " r"], points: Float[np.ndarray, "q r"]
) -> tuple[Float[np.ndarray, "q r"], Float[np.ndarray, "q r"]]:
    """Return points just below and just above the hyperplane `normal`, in the others' cells met on it."""
    heights = points @ normals.T
    slopes = np.abs(normals @ normal)
    with np.errstate(divide="ignore"):
        reach = np.where(slopes > 0, np.abs(heights) / np.where(slopes > 0, slopes, 1.0), np.inf).min(axis=1)
    step = 0.5 * np.minimum(reach, 1.0)[:, None] * normal
    return _normalized(points - step), _normalized(points + step)
