"""The lowest points of one choice of hyperplanes after the other, by pivots shared between neighbours.

Consecutive choices have most of their hyperplanes in common. So the values of all hyperplanes are kept as
affine functions of the coordinates (a tableau), one tableau for every prefix of the choice: choosing a
hyperplane exchanges a coordinate for its value, and only the prefixes that changed are pivoted again. The
last exchange is carried out for the constants alone.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from convexrelu._typing import kernel

__all__ = ["cell_above", "new_tableau"]


@kernel
@no_type_check
def new_tableau(rank, h):
    """Return memory for :func:`cell_above`.

    The tableaus by depth: a row for each coordinate and one for the constants, a column for each hyperplane
    and one for the functional. Then the coordinates not exchanged yet, by depth, those exchanged with their
    hyperplanes, and the choice that the tableaus belong to.
    """
    return (
        np.empty((rank, rank, h + 1)),
        np.zeros((rank, rank), dtype=np.bool_),
        np.zeros(rank, dtype=np.int64),
        np.full(rank + 1, -1),
    )


@kernel
@no_type_check
def cell_above(columns, position, tableau, values):
    """Fill in numbers whose signs are those of the cell above the chosen hyperplanes; False if dependent.

    The same as :func:`convexrelu.arrangements.vertices.lowest_cell`, at a fraction of its cost when the
    choices follow each other in the order of :func:`convexrelu.arrangements.vertices.next_choice`.
    """
    tables, free, owner, built = tableau
    h, level = columns.shape[1], position[0]
    start = 0
    if built[0] == level:
        start = 1
        while start < level and built[start] == position[start]:
            start += 1
    if start == 0:
        _begin(columns, level, tables[0], free[0])
        start = 1
    for depth in range(start, level):
        _exchange(
            tables[depth - 1], tables[depth], free[depth - 1], free[depth], owner, level, position[depth]
        )
        built[depth] = position[depth]
    built[0] = level
    table = tables[max(level - 1, 0)]
    for i in range(h):
        values[i] = table[level, i]
    if level > 0:
        last = _largest(table, free[level - 1], level, position[level])
        if last < 0:
            return False
        row = position[level]
        share = table[level, row] / table[last, row]
        rise = table[last, h] / table[last, row]
        for i in range(h):
            values[i] -= share * table[last, i]
        for c in range(level):
            if c != last:
                values[owner[c]] = table[c, h] - rise * table[c, row]
        values[row] = rise
    values[0] = 1.0
    return True


@kernel
@no_type_check
def _begin(columns, level, table, free):
    """Write down the values of all hyperplanes and of the functional, in the coordinates of this level."""
    rank, h = columns.shape
    constant = 0 if level == rank - 1 else level + 1
    side = 1.0 if level == rank - 1 else -1.0
    for c in range(level):
        for i in range(h):
            table[c, i] = columns[c + 1, i]
        table[c, h] = 1.0 if c == level - 1 else 0.0
        free[c] = True
    for i in range(h):
        table[level, i] = side * columns[constant, i]
    table[level, h] = 0.0


@kernel
@no_type_check
def _largest(table, free, level, row):
    """Return the free coordinate with the largest coefficient in a hyperplane's value, -1 if all vanish."""
    best, largest = -1, 0.0
    for c in range(level):
        if free[c] and abs(table[c, row]) > largest:
            best, largest = c, abs(table[c, row])
    return best


@kernel
@no_type_check
def _exchange(old, new, old_free, new_free, owner, level, row):
    """Exchange a coordinate for a hyperplane's value; without any left if the hyperplane is dependent."""
    pivot = _largest(old, old_free, level, row)
    for c in range(level):
        new_free[c] = old_free[c] and pivot >= 0 and c != pivot
    if pivot < 0:
        return
    owner[pivot] = row
    scale = 1.0 / old[pivot, row]
    for c in range(level + 1):
        share = old[c, row] * scale
        if c == pivot:
            for i in range(old.shape[1]):
                new[c, i] = old[c, i] * scale
        else:
            for i in range(old.shape[1]):
                new[c, i] = old[c, i] - share * old[pivot, i]
