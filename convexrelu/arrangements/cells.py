"""The cells of a hyperplane arrangement: every pattern, each once, with a point well inside its cell.

In general position one pass over the lowest points of cells finds them all
(:mod:`convexrelu.arrangements.general`); wherever it meets a tie, or doubt about one, deletion and
restriction does (:mod:`convexrelu.arrangements.restriction`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, UInt8

from convexrelu._progress import progress_bar
from convexrelu._typing import ArrayLike
from convexrelu._validation import check_count
from convexrelu.arrangements.counting import count_cells, pattern_bound
from convexrelu.arrangements.general import GeneralPass
from convexrelu.arrangements.integers import Decided, decide
from convexrelu.arrangements.packing import Block, unpacked
from convexrelu.arrangements.restriction import list_blocks
from convexrelu.errors import InvalidInputError

__all__ = ["Arrangement", "enumerate_patterns", "iter_patterns", "least_margin"]

MAX_BYTES = 2**31
"""Refuse, before starting, an enumeration whose packed patterns and witnesses need more memory than this."""

_CHEAP = 10**7  # choices of r - 1 hyperplanes that are counted within a few seconds
_AT_ONCE = 2**16  # cells between two looks at the clock, or kept while streaming
_FEW_COLUMNS = 14  # beyond, inverting a choice of hyperplanes costs more than adding them one at a time
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrangement:
    """Cells of the arrangement of the rows of X.

    Attributes
    ----------
    packed : (p, ceil(n / 8)) uint8 array
        The patterns as bits, one row a cell (:func:`numpy.packbits`); distinct.
    n_rows, n_hyperplanes, rank : int
        Number n of rows of X, of the distinct hyperplanes among them, and the rank.
    witnesses : (p, d) float array
        An interior point of each cell, of unit length (zero if X is zero).
    margins : (p,) float array
        How far inside: the least ``|x_n^T witness| / ||x_n||`` over the rows that are not zero (inf if all
        are).
    complete : bool
        Whether every full-dimensional cell is listed.
    exact : bool
        Whether the list is proven to be that of the numbers given: they are whole or rational (and minors
        below 2^61), or beyond doubt in general position. If not, of other numbers, hyperplanes and flats
        within 1e-12 of coinciding count as one.

    Examples
    --------
    >>> from convexrelu import enumerate_patterns
    >>> arrangement = enumerate_patterns([[1.0, 0.0], [0.0, 1.0]])
    >>> arrangement, arrangement.complete
    (Arrangement(4 patterns of 2 rows, all), True)
    >>> sorted(arrangement.patterns.astype(int).tolist())
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """

    packed: UInt8[np.ndarray, "p b"]
    n_rows: int
    n_hyperplanes: int
    rank: int
    witnesses: Float[np.ndarray, "p d"]
    margins: Float[np.ndarray, " p"]
    complete: bool
    exact: bool

    @cached_property
    def patterns(self) -> Bool[np.ndarray, "p n"]:
        """The patterns ``X @ witness > 0``, one row a cell: (p, n) bool, unpacked when first asked for."""
        return unpacked(self.packed, self.n_rows)

    @property
    def coverage(self) -> float:
        """The share of all cells that are listed, at least: 1 if complete, else relative to Cover's bound."""
        return 1.0 if self.complete else len(self) / pattern_bound(self.n_hyperplanes, self.rank)

    def __len__(self) -> int:
        return len(self.packed)

    def __repr__(self) -> str:
        kind = "all" if self.complete else "a sample"
        return f"Arrangement({len(self)} patterns of {self.n_rows} rows, {kind})"


def enumerate_patterns(
    X: ArrayLike, *, exact: bool = True, max_patterns: int | None = None, progress: bool = False
) -> Arrangement:
    """Return every full-dimensional cell's pattern, each once, with an interior point.

    Complete for any rank, and for duplicates, parallel and antiparallel rows, zero rows (always False) and
    rank loss. In general position the cells are the choices of at most r - 1 of the hyperplanes but one, each
    met as the cell above its lowest point [1]_; otherwise hyperplanes are added one at a time, and each
    splits the cells that its trace of rank r - 1 consists of.

    Ties of whole numbers (of any type, floats included) and of fractions are decided modulo the prime
    2^61 - 1, which is exact as long as their minors are below it. Of other numbers, two flats count as one if
    moving each unit row by 1e-12 makes them one. The result's `exact` says whether any doubt is left.

    Parameters
    ----------
    X : (n, d) array_like
        The data; its rows are the hyperplanes' normals.
    exact : bool, default True
        Whether to decide whole and rational numbers in exact arithmetic, and not as floats.
    max_patterns : int or None
        Refuse if there are more; by default, if they need more than 2 GiB.
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    Arrangement
        ``patterns`` (p, n) bool, ``witnesses`` (p, d), ``margins`` (p,), ``complete=True``.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix, or there are too many patterns. The message quotes their exact number if
        that is cheap to know, else Cover's bound.
    SolverError
        If rounding confuses cells (rows within about 1e-10 of parallel or incident).

    References
    ----------
    .. [1] H. Edelsbrunner, "Algorithms in Combinatorial Geometry", Springer 1987.

    Examples
    --------
    >>> arrangement = enumerate_patterns([[1.65, -0.47], [-0.47, 1.35]])
    >>> arrangement
    Arrangement(4 patterns of 2 rows, all)
    >>> arrangement.patterns.sum(axis=0)
    array([2, 2])
    """
    decided = decide(X, exact=exact)
    _refuse_too_many(decided, None if max_patterns is None else check_count(max_patterns, "max_patterns"))
    lines = decided.lines
    block = None
    if lines.rank == 0:
        block = _whole_space(decided)
    elif lines.rank <= _FEW_COLUMNS:
        block = _in_general_position(decided, progress)
    if block is None:
        block = _with_ties(decided, progress)
    # any tie would cost cells
    general = len(block.margins) == pattern_bound(len(lines.normals), lines.rank) and _nothing_merged(decided)
    return Arrangement(
        packed=block.packed,
        n_rows=len(decided.matrix),
        n_hyperplanes=len(decided.lines.normals),
        rank=decided.lines.rank,
        witnesses=block.witnesses,
        margins=block.margins,
        complete=True,
        exact=decided.exact or general,
    )


def iter_patterns(X: ArrayLike, chunk_size: int = 2**16) -> Iterator[Bool[np.ndarray, "p n"]]:
    """Yield every pattern once, `chunk_size` at a time: for more of them than fit into memory.

    Needs memory for one chunk, or for 65536 patterns if that is more, and some as much again for ties.

    Parameters
    ----------
    X : (n, d) array_like
        The data, treated as :func:`enumerate_patterns` does.
    chunk_size : int, default 65536
        Most patterns in a chunk.

    Returns
    -------
    iterator of (p, n) bool arrays
        With p between 1 and `chunk_size`.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix or `chunk_size` not a positive integer: at once, not at the first chunk.
    SolverError
        If rounding confuses cells (while iterating).

    Examples
    --------
    >>> [len(chunk) for chunk in iter_patterns([[1, 0], [0, 1], [1, 1]], 4)]
    [4, 2]
    """
    decided = decide(X)
    return _chunks(decided, check_count(chunk_size, "chunk_size"))


def _chunks(decided: Decided, chunk_size: int) -> Iterator[Bool[np.ndarray, "p n"]]:
    for block in _blocks(decided, max(_AT_ONCE, chunk_size + chunk_size % 2)):
        for start in range(0, len(block.packed), chunk_size):
            yield unpacked(block.packed[start : start + chunk_size], len(decided.matrix))


def _blocks(decided: Decided, size: int) -> Iterator[Block]:
    """Yield all cells, `size` (an even number) at a time."""
    if decided.lines.rank == 0:
        yield _whole_space(decided)
        return
    total = pattern_bound(*decided.lines.normals.shape)
    rehearsal = GeneralPass(decided.lines, least_margin(decided))
    # what has been handed out cannot be taken back, so the pass is made twice
    if decided.lines.rank > _FEW_COLUMNS or not all(
        rehearsal.passes(min(size, total - start)) for start in range(0, total, size)
    ):
        yield from list_blocks(decided, size, least_margin(decided))
        return
    cells = GeneralPass(decided.lines, least_margin(decided))
    for start in range(0, total, size):
        block = Block.empty(min(size, total - start), *decided.matrix.shape)
        cells.fill(block)
        yield block


def _refuse_too_many(decided: Decided, most: int | None) -> None:
    lines = decided.lines
    n, d = decided.matrix.shape
    bound = pattern_bound(len(lines.normals), lines.rank)
    limit = MAX_BYTES // Block.empty(1, n, d).nbytes if most is None else most
    if bound <= limit:
        return
    found, word = bound, "up to"
    if math.comb(len(lines.normals), lines.rank - 1) <= _CHEAP:
        found, word = count_cells(decided), "exactly"
    if found > limit:
        kind = "Cover's bound" if word == "up to" else "counted"
        allowed = f"in {MAX_BYTES / 2**30:.3g} GiB" if most is None else f"(max_patterns = {most})"
        raise InvalidInputError(
            f"X must have few enough cells to list {allowed}; {len(lines.normals)} hyperplanes of rank "
            f"{lines.rank} have {word} {found} ({kind}). Use iter_patterns, sample_patterns, or "
            "solve_max_margin, which needs no list."
        )


def least_margin(decided: Decided) -> float:
    """Return a bound on the rounding of ``x_n^T witness`` on unit rows, fourfold.

    From the data to the row space and back, then the product.
    """
    return float(4.0 * (decided.lines.rank + decided.matrix.shape[1]) * _EPS)


def _whole_space(decided: Decided) -> Block:
    """Return the one cell of no hyperplanes."""
    n, d = decided.matrix.shape
    block = Block.empty(1, n, d)
    block.packed[:], block.witnesses[:], block.margins[:] = 0, 0.0, np.inf
    return block


def _in_general_position(decided: Decided, progress: bool) -> Block | None:
    """Return all cells, or None if the hyperplanes are not beyond doubt in general position."""
    total = pattern_bound(*decided.lines.normals.shape)
    block = Block.empty(total, *decided.matrix.shape)
    cells = GeneralPass(decided.lines, least_margin(decided))
    with progress_bar(progress, "cells", total) as advance:
        for start in range(0, total, _AT_ONCE):
            part = block.part(start, min(start + _AT_ONCE, total))
            if not cells.fill(part):
                return None
            advance(len(part.margins))
    return block


def _nothing_merged(decided: Decided) -> bool:
    """Whether no two rows were taken for parallel, and no direction for rounding."""
    n_present = int((decided.lines.member >= 0).sum())
    return len(decided.lines.normals) == n_present and decided.lines.rank == min(
        n_present, decided.matrix.shape[1]
    )


def _with_ties(decided: Decided, progress: bool) -> Block:
    blocks = []
    with progress_bar(progress, "cells", None) as advance:
        for block in list_blocks(decided, 2**62, least_margin(decided)):
            blocks.append(block)
            advance(len(block.margins))
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        packed=np.concatenate([b.packed for b in blocks]),
        witnesses=np.concatenate([b.witnesses for b in blocks]),
        margins=np.concatenate([b.margins for b in blocks]),
    )
