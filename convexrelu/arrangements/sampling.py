"""Some of the cells: those that random directions meet, or those around random rays.

A Gaussian direction meets a cell with the probability of its solid angle, so it hardly ever meets a small
one. A ray of the arrangement (the intersection of r - 1 of its hyperplanes) lies on cells of every size: in
general position a cell is met as often as it has rays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_generator, check_count
from convexrelu.arrangements.cells import Arrangement, least_margin
from convexrelu.arrangements.hyperplanes import unit_rows
from convexrelu.arrangements.integers import Decided, decide
from convexrelu.errors import InvalidInputError

__all__ = ["SAMPLERS", "coverage_curve", "sample_patterns"]

SAMPLERS = ("gaussian", "rays")
_AT_ONCE = 2**22  # products of directions and rows held at once
# Rows through a random choice of hyperplanes' common ray are within this of it; others stop the step off it.
_ON_RAY = 1e-9


def sample_patterns(X: ArrayLike, size: int, *, method: str = "gaussian", rng: RNGLike = None) -> Arrangement:
    """Return the distinct patterns that `size` random directions meet: some of the cells, never claimed all.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    size : int
        Number of directions drawn, at least 1.
    method : {"gaussian", "rays"}, default "gaussian"
        "gaussian": directions of the standard normal distribution, which easily miss small cells. "rays":
        the ray of r - 1 hyperplanes drawn at random, and from it into one of the cells around it; in general
        position each cell comes as often as it has rays, however small it is.
    rng : int, Generator or None
        Source of randomness (what :func:`numpy.random.default_rng` takes).

    Returns
    -------
    Arrangement
        At most `size` patterns with points of theirs, ``complete=False``; ``coverage`` says what share of all
        cells they are at least.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix, size is not a positive integer or the method is unknown.

    Examples
    --------
    >>> len(sample_patterns([[1.0, 0.0], [0.0, 1.0]], 100, rng=0))
    4
    """
    decided = decide(X)
    packed, witnesses, margins = _distinct(decided, _directions(decided, size, method, rng))[:3]
    return Arrangement(
        packed=packed,
        n_rows=len(decided.matrix),
        n_hyperplanes=len(decided.lines.normals),
        rank=decided.lines.rank,
        witnesses=witnesses,
        margins=margins,
        complete=False,
        exact=False,
    )


def coverage_curve(
    X: ArrayLike, sizes: Sequence[int], *, method: str = "gaussian", rng: RNGLike = None
) -> Int[np.ndarray, " k"]:
    """Return how many distinct patterns the first `sizes[k]` directions of one sample meet, for each k.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    sizes : sequence of int
        Numbers of directions, increasing.
    method : {"gaussian", "rays"}, default "gaussian"
        As for :func:`sample_patterns`.
    rng : int, Generator or None
        Source of randomness.

    Returns
    -------
    (k,) int array
        Distinct patterns met.

    Raises
    ------
    InvalidInputError
        As for :func:`sample_patterns`, or if the sizes do not increase.

    Examples
    --------
    >>> coverage_curve([[1.0, 0.0], [0.0, 1.0]], [1, 100], rng=0)
    array([1, 4])
    """
    wanted = np.array([check_count(size, "sizes") for size in sizes], dtype=np.int64)
    if not len(wanted) or (np.diff(wanted) <= 0).any():
        raise InvalidInputError(f"sizes must increase, got {list(sizes)}")
    decided = decide(X)
    first = _distinct(decided, _directions(decided, int(wanted[-1]), method, rng))[3]
    return np.searchsorted(np.sort(first), wanted)


def _directions(
    decided: Decided, size: int, method: str, rng: RNGLike
) -> Iterator[tuple[int, Float[np.ndarray, "p d"]]]:
    """Return unit vectors, some at a time, with the number of draws that each lot took."""
    draws = check_count(size, "size")
    generator = as_generator(rng)
    if method not in SAMPLERS:
        raise InvalidInputError(f"method must be one of {', '.join(SAMPLERS)}, got {method!r}")
    lot = max(1, _AT_ONCE // sum(decided.matrix.shape))
    lots = [min(lot, draws - start) for start in range(0, draws, lot)]
    if method == "gaussian" or decided.lines.rank == 0:
        return ((k, unit_rows(generator.normal(size=(k, decided.matrix.shape[1])))) for k in lots)
    return ((k, _beside_rays(decided, k, generator)) for k in lots)


def _beside_rays(decided: Decided, size: int, rng: np.random.Generator) -> Float[np.ndarray, "size d"]:
    """Return a point of a random one of the cells around each of some random rays (0 where there is none)."""
    normals = decided.lines.normals
    h, rank = normals.shape
    chosen = np.argpartition(rng.random((size, h)), rank - 2, axis=1)[:, : rank - 1] if rank > 1 else None
    system = np.empty((size, rank, rank))
    system[:, : rank - 1] = normals[chosen] if chosen is not None else 0.0
    system[:, rank - 1] = rng.normal(size=(size, rank))
    # dependent hyperplanes have no ray of their own: the draw finds nothing
    dependent = np.linalg.svd(system, compute_uv=False)[:, -1] < _ON_RAY
    system[dependent] = np.eye(rank)
    targets = np.zeros((size, rank, 2))
    targets[:, rank - 1, 0] = rng.choice([-1.0, 1.0], size=size)
    # unequal distances: where more hyperplanes meet, equal ones would not reach all cells
    targets[:, : rank - 1, 1] = rng.choice([-1.0, 1.0], size=(size, rank - 1)) * rng.exponential(
        size=(size, rank - 1)
    )
    found = np.linalg.solve(system, targets)
    ray, away = unit_rows(found[:, :, 0]), found[:, :, 1]
    heights, slopes = ray @ normals.T, away @ normals.T
    reach = np.abs(heights) / (1.0 + np.maximum(-np.sign(heights) * slopes, 0.0))
    reach[np.abs(heights) < _ON_RAY] = np.inf
    step = np.minimum(reach.min(axis=1), 1.0)
    points = unit_rows(ray + step[:, None] * away)
    points[dependent] = 0.0
    return np.asarray(points @ decided.lines.basis.T)


def _distinct(
    decided: Decided, lots: Iterator[tuple[int, Float[np.ndarray, "p d"]]]
) -> tuple[
    UInt8[np.ndarray, "p b"], Float[np.ndarray, "p d"], Float[np.ndarray, " p"], Int[np.ndarray, " p"]
]:
    """Return distinct patterns as bits, a point and a margin of each, and the number of its first draw.

    A direction within rounding of a hyperplane counts for nothing.
    """
    rows = unit_rows(decided.matrix)
    present = decided.lines.member >= 0
    seen: dict[bytes, tuple[np.ndarray, float, int]] = {}
    drawn = 0
    for draws, directions in lots:
        products = directions @ rows.T
        margins = np.abs(products[:, present]).min(axis=1, initial=np.inf)
        packed = np.packbits((products > 0) & present, axis=1)
        for k in np.flatnonzero(margins > least_margin(decided)):
            seen.setdefault(packed[k].tobytes(), (directions[k], float(margins[k]), drawn + int(k)))
        drawn += draws
    n, d = decided.matrix.shape
    return (
        np.frombuffer(bytearray().join(seen), dtype=np.uint8).reshape(len(seen), -(-n // 8)),
        np.array([point for point, _, _ in seen.values()]).reshape(len(seen), d),
        np.array([margin for _, margin, _ in seen.values()]),
        np.array([first for _, _, first in seen.values()], dtype=np.int64),
    )
