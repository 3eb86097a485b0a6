"""Every cell of hyperplanes in general position, with a point well inside it, in one pass.

The pass meets each cell as the one above its lowest point (:mod:`convexrelu.arrangements.vertices`), and sees
there whether another hyperplane comes near: that is the check of general position. In any doubt it stops, and
deletion and restriction decide.

The point: away from the lowest point, at equal distances from the hyperplanes through it, for as long as no
other hyperplane is nearer. So its margin is its distance to each of them.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float, UInt8

from convexrelu._typing import kernel
from convexrelu.arrangements.hyperplanes import TOLERANCE, Hyperplanes
from convexrelu.arrangements.packing import Block, pack_values, row_bits
from convexrelu.arrangements.vertices import choice_at, generic_frame, lowest_cell, next_choice

__all__ = ["GeneralPass"]

_SEED = 7
_EPS = float(np.finfo(float).eps)


class GeneralPass:
    """One pass over all cells, in as many steps as one likes.

    Doubt is a hyperplane within twice the tolerance of a lowest point (a coincidence of flats, which asks for
    less, is never overlooked), or within rounding, or a point nearer to a hyperplane than `least_margin`.
    """

    def __init__(self, lines: Hyperplanes, least_margin: float) -> None:
        h, rank = lines.normals.shape
        frame = generic_frame(lines.normals, np.random.default_rng(_SEED))
        self._columns = np.ascontiguousarray((lines.normals @ frame).T)
        self._to_data = lines.basis @ frame
        self._rows = row_bits(lines)
        self._position = choice_at(0, h, rank)
        self._least_margin = least_margin

    def fill(self, block: Block) -> bool:
        """Fill a block of an even size with the next cells, opposites side by side; False at a doubt."""
        points = np.empty((len(block.margins), len(self._columns)))
        clear = self._go(len(block.margins), block.packed, points, block.margins)
        if clear:
            np.matmul(points, self._to_data.T, out=block.witnesses)
        return clear

    def passes(self, n_cells: int) -> bool:
        """Go over the next cells without a result; whether none raises a doubt."""
        nothing = Block.empty(0, 0, len(self._columns))
        return self._go(n_cells, nothing.packed, nothing.witnesses, nothing.margins)

    def _go(
        self,
        n_cells: int,
        packed: UInt8[np.ndarray, "p b"],
        points: Float[np.ndarray, "p r"],
        margins: Float[np.ndarray, " p"],
    ) -> bool:
        clear = _fill(
            self._columns,
            self._rows,
            self._position,
            n_cells,
            self._least_margin,
            packed,
            points,
            margins,
        )
        return bool(clear)


@kernel
@no_type_check
def _fill(columns, rows, position, n_cells, least_margin, packed, points, margins):
    """Fill the arrays, unless empty, with the next cells and their opposites; False at the first doubt."""
    rank, h = columns.shape
    work, inverse, point = np.empty((rank, rank)), np.empty((rank, rank)), np.empty(rank)
    values, slopes, away = np.empty(h), np.empty(h), np.empty(rank)
    for k in range(0, n_cells, 2):
        if not lowest_cell(columns, position, work, inverse, point, values):
            return False
        if not _is_clear(position, rank, inverse, point, values, work):
            return False
        margin = _inner_point(columns, position, inverse, point, values, slopes, away)
        if not margin > least_margin:
            return False
        if len(margins) > 0:
            pack_values(values, rows, packed, k)
            for c in range(rank):
                points[k, c], points[k + 1, c] = away[c], -away[c]
            margins[k] = margins[k + 1] = margin
        next_choice(position, h)
    return True


@kernel
@no_type_check
def _is_clear(position, rank, inverse, point, values, work):
    """Whether every sign is beyond doubt: first-order bounds on the rounding of an inverse, eightfold."""
    level = position[0]
    rounding = 8.0 * rank * _EPS
    size, whole, last = 1.0, 0.0, 0.0
    for a in range(level):
        size += point[a] * point[a]
        last += inverse[level - 1, a] * inverse[level - 1, a]
        work[0, a] = 0.0
        for b in range(level):
            work[0, a] += inverse[b, a] * inverse[b, a]
        whole += work[0, a]
    size, whole, last = np.sqrt(size), np.sqrt(whole), np.sqrt(last)
    near = (2.0 * TOLERANCE + rounding * (1.0 + whole)) * size
    for a in range(level):
        i = position[a + 1]
        if abs(values[i]) <= rounding * last * np.sqrt(work[0, a]):
            return False
    n_near = 0
    # a sum, and no early return, so that the loop is vectorised
    for i in range(0 if level == rank - 1 else 1, len(values)):
        n_near += np.int64(abs(values[i]) <= near)
    for a in range(level):
        n_near -= np.int64(abs(values[position[a + 1]]) <= near)
    return n_near == 0


@kernel
@no_type_check
def _least(values, start):
    """Smallest entry from `start` on; four at a time, since each comparison waits for the one before."""
    h = len(values)
    a = b = c = d = np.inf
    i = start
    while i + 3 < h:
        a = values[i] if values[i] < a else a
        b = values[i + 1] if values[i + 1] < b else b
        c = values[i + 2] if values[i + 2] < c else c
        d = values[i + 3] if values[i + 3] < d else d
        i += 4
    while i < h:
        a = values[i] if values[i] < a else a
        i += 1
    return min(a, b, c, d)


@kernel
@no_type_check
def _inner_point(columns, position, inverse, point, values, slopes, away):
    """Fill in a unit vector inside the cell, and return its distance to the nearest hyperplane."""
    rank, h = columns.shape
    level = position[0]
    constant = 0.0 if level == rank - 1 else 1.0  # how fast the hyperplane at infinity is left
    for i in range(h):
        slopes[i] = constant * columns[0, i]
    for b in range(level):
        away[b] = 0.0
        for a in range(level):
            i = position[a + 1]
            towards = 1.0 if values[i] > 0.0 else -1.0
            away[b] += inverse[b, a] * (towards - constant * columns[0, i])
        share = away[b]
        for i in range(h):
            slopes[i] += columns[b + 1, i] * share
    # at step t every hyperplane through the lowest point is at distance t, another one at |value + t slope|
    for i in range(h):
        closing = abs(slopes[i]) - slopes[i] if values[i] > 0.0 else abs(slopes[i]) + slopes[i]
        slopes[i] = abs(values[i]) / (1.0 + 0.5 * closing)
    for a in range(level):
        slopes[position[a + 1]] = np.inf
    step = _least(slopes, 0 if level == rank - 1 else 1)
    first = 1.0 if level == rank - 1 else step
    size = first * first
    for b in range(level):
        point[b] += step * away[b]
        size += point[b] * point[b]
    size += 0.0 if level == rank - 1 else 1.0
    size = 1.0 / np.sqrt(size)
    for c in range(rank):
        away[c] = 0.0
    for b in range(level):
        away[b + 1] = point[b] * size
    away[0] = first * size
    if level < rank - 1:
        away[level + 1] = -size
    return step * size
