"""The cells of hyperplanes in general position, each met once, as the cell above its lowest point.

Make one hyperplane the one at infinity. Every cell of the affine arrangement that is left and bounded below,
for a generic linear functional, has one lowest vertex, and every vertex is the lowest of one cell; cells
unbounded below are those of the arrangement far down, of one dimension less, to which the same applies. So
the cells, up to sign, are the choices of at most r - 1 of the other hyperplanes: nothing is searched, and no
list of those seen is kept.

Coordinates: the hyperplane at infinity is ``x_0 = 0``, and the functional of the choices of k hyperplanes
is ``x_k``. A choice of k = r - 1 is a point with ``x_0 = 1``, one of fewer a point with ``x_0 = 0``,
``x_{k+1} = -1`` and zeros after it.
"""

from __future__ import annotations

from math import comb
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int

from convexrelu._typing import kernel

__all__ = ["choice_at", "generic_frame", "invert_into", "lowest_cell", "next_choice"]


def generic_frame(units: Float[np.ndarray, "h r"], rng: np.random.Generator) -> Float[np.ndarray, "r r"]:
    """Return an orthonormal basis whose first vector is the first unit row, and whose others are generic."""
    frame = rng.normal(size=(units.shape[1], units.shape[1]))
    frame[:, 0] = units[0]
    basis: np.ndarray = np.linalg.qr(frame)[0]
    basis[:, 0] *= np.sign(basis[:, 0] @ units[0])
    return basis


def choice_at(start: int, h: int, rank: int) -> Int[np.ndarray, " p"]:
    """Return the choice of this number, from 0 on: how many hyperplanes, then they, then places not read.

    The order is that of :func:`next_choice`: all choices of rank - 1 hyperplanes out of 1..h-1 in
    lexicographic order, then those of rank - 2, and so on.
    """
    position = np.zeros(rank + 1, dtype=np.int64)
    size = rank - 1
    while start >= comb(h - 1, size):
        start -= comb(h - 1, size)
        size -= 1
    position[0] = size
    row = 1
    for place in range(1, size + 1):
        while start >= (beginning_here := comb(h - 1 - row, size - place)):
            start -= beginning_here
            row += 1
        position[place] = row
        row += 1
    return position


@kernel
@no_type_check
def next_choice(position, h):
    """Move on to the next choice out of the hyperplanes 1..h-1, then to fewer; False after the last."""
    level = position[0]
    k = level
    while k > 0 and position[k] == h - 1 - (level - k):
        k -= 1
    if k > 0:
        position[k] += 1
        for j in range(k + 1, level + 1):
            position[j] = position[j - 1] + 1
    elif level == 0:
        return False
    else:
        position[0] = level - 1
        for j in range(1, level):
            position[j] = j
    return True


@kernel
@no_type_check
def lowest_cell(columns, position, work, inverse, point, values):
    """Fill in numbers whose signs are those of the cell above the chosen hyperplanes; False if dependent.

    `columns` (r, h) are the coordinates of the normals. For hyperplanes not chosen the numbers are their
    values at the lowest point, and `point` its coordinates from the second one on; for a chosen one, how much
    the functional rises on the way off that hyperplane, along the others.
    """
    rank, h = columns.shape
    level = position[0]
    constant = 0 if level == rank - 1 else level + 1
    side = 1.0 if level == rank - 1 else -1.0
    for a in range(level):
        for b in range(level):
            work[a, b] = columns[b + 1, position[a + 1]]
    if not invert_into(work, inverse, level):
        return False
    for a in range(level):
        point[a] = 0.0
        for b in range(level):
            point[a] -= inverse[a, b] * side * columns[constant, position[b + 1]]
    for i in range(h):
        values[i] = side * columns[constant, i]
    for a in range(level):
        share = point[a]
        for i in range(h):
            values[i] += columns[a + 1, i] * share
    values[0] = 1.0
    for a in range(level):
        values[position[a + 1]] = inverse[level - 1, a]
    return True


@kernel
@no_type_check
def invert_into(work, inverse, size):
    """Gauss-Jordan with partial pivoting on the leading block; destroys `work`."""
    for i in range(size):
        for j in range(size):
            inverse[i, j] = 1.0 if i == j else 0.0
    for c in range(size):
        pivot = c
        for i in range(c + 1, size):
            if abs(work[i, c]) > abs(work[pivot, c]):
                pivot = i
        if work[pivot, c] == 0.0:
            return False
        for j in range(size):
            work[c, j], work[pivot, j] = work[pivot, j], work[c, j]
            inverse[c, j], inverse[pivot, j] = inverse[pivot, j], inverse[c, j]
        scale = work[c, c]
        for j in range(size):
            work[c, j] /= scale
            inverse[c, j] /= scale
        for i in range(size):
            if i != c and work[i, c] != 0.0:
                factor = work[i, c]
                for j in range(size):
                    work[i, j] -= factor * work[c, j]
                    inverse[i, j] -= factor * inverse[c, j]
    return True
