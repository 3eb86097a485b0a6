"""Patterns as bits: eight rows a byte, as :func:`numpy.packbits` has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from convexrelu._typing import kernel
from convexrelu.arrangements.hyperplanes import Hyperplanes

__all__ = ["Block", "RowBits", "pack_points", "pack_values", "row_bits", "unpacked"]

RowBits = tuple[Int[np.ndarray, " m"], Int[np.ndarray, " b"], Int[np.ndarray, " b"]]
"""Each row's hyperplane, padded to whole bytes; as bits, which rows point against it; which are not zero."""

_BITS = 8
_ROUNDS, _HALVINGS = 4, 4  # of moving a point farther inside its cell


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Some cells.

    Attributes
    ----------
    packed : (p, b) uint8 array
        Their patterns, as bits.
    witnesses : (p, d) float array
        A unit vector in each.
    margins : (p,) float array
        Its distance to the nearest hyperplane.
    """

    packed: UInt8[np.ndarray, "p b"]
    witnesses: Float[np.ndarray, "p d"]
    margins: Float[np.ndarray, " p"]

    @classmethod
    def empty(cls, p: int, n: int, d: int) -> Block:
        """Return a block to be filled, for p cells of n rows in d dimensions."""
        return cls(
            packed=np.empty((p, -(-n // _BITS)), dtype=np.uint8),
            witnesses=np.empty((p, d)),
            margins=np.empty(p),
        )

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.packed.nbytes + self.witnesses.nbytes + self.margins.nbytes

    def part(self, start: int, stop: int) -> Block:
        """Return a view of some of the cells."""
        return Block(
            packed=self.packed[start:stop],
            witnesses=self.witnesses[start:stop],
            margins=self.margins[start:stop],
        )


def unpacked(packed: UInt8[np.ndarray, "p b"], n: int) -> Bool[np.ndarray, "p n"]:
    """Return packed patterns of n rows as booleans."""
    return np.unpackbits(packed, axis=1, count=n).view(np.bool_)


def row_bits(lines: Hyperplanes) -> RowBits:
    """Return what :func:`pack_values` needs to know about the rows of the data."""
    padding = -len(lines.member) % _BITS
    present = lines.sign != 0
    return (
        np.pad(np.maximum(lines.member, 0), (0, padding)),
        np.packbits(lines.sign < 0).astype(np.int64),
        np.packbits(present).astype(np.int64),
    )


@kernel
@no_type_check
def pack_values(values, rows, packed, k):
    """Fill in row k: whether each row of the data is positive, given the values of the hyperplanes.

    And row k + 1, of the opposite cell.
    """
    member, against, present = rows
    for b in range(len(present)):
        i = _BITS * b
        bits = (  # without branches, since none could be foreseen, and written out: twice as fast
            (np.int64(values[member[i]] > 0.0) << 7)
            | (np.int64(values[member[i + 1]] > 0.0) << 6)
            | (np.int64(values[member[i + 2]] > 0.0) << 5)
            | (np.int64(values[member[i + 3]] > 0.0) << 4)
            | (np.int64(values[member[i + 4]] > 0.0) << 3)
            | (np.int64(values[member[i + 5]] > 0.0) << 2)
            | (np.int64(values[member[i + 6]] > 0.0) << 1)
            | np.int64(values[member[i + 7]] > 0.0)
        )
        bits = (bits ^ against[b]) & present[b]
        packed[k, b] = bits
        packed[k + 1, b] = bits ^ present[b]


@kernel
@no_type_check
def pack_points(columns, rows, codes, hashes, points, packed, margins):
    """Fill in the patterns of points and of their opposites, having moved the points farther inside.

    `columns` (r, h) are the coordinates of the normals; `margins` become the distances to the nearest
    hyperplane. Returns how many points lie in the cells that their hashes stand for, from the first on.
    """
    q, h = columns.shape
    values, slopes, direction = np.empty(h), np.empty(h), np.empty(q)
    for m in range(len(points)):
        for i in range(h):
            values[i] = 0.0
        for c in range(q):
            share = points[m, c]
            for i in range(h):
                values[i] += columns[c, i] * share
        code = np.uint64(0)
        for i in range(h):
            if values[i] > 0.0:
                code += codes[i]
        if code != hashes[m]:
            return m
        margins[2 * m] = margins[2 * m + 1] = _move_inside(columns, points, m, values, slopes, direction)
        pack_values(values, rows, packed, 2 * m)
    return len(points)


@kernel
@no_type_check
def _move_inside(columns, points, m, values, slopes, direction):
    """Move a point away from the hyperplanes near it while that helps; returns its least distance to one."""
    q, h = columns.shape
    margin = np.inf
    for i in range(h):
        margin = min(margin, abs(values[i]))
    for _ in range(_ROUNDS):
        for i in range(h):  # the pull of each: the square of how near it is
            slopes[i] = margin * margin / (values[i] * abs(values[i]))
        for c in range(q):
            direction[c] = 0.0
            for i in range(h):
                direction[c] += slopes[i] * columns[c, i]
        room = 1.0
        for i in range(h):
            slope = 0.0
            for c in range(q):
                slope += columns[c, i] * direction[c]
            slopes[i] = slope
            if slope * values[i] < 0.0:
                room = min(room, -values[i] / slope)
        step, reached, size = room, 0.0, 1.0
        for _ in range(_HALVINGS):
            step *= 0.5
            size, reached = 0.0, np.inf
            for c in range(q):
                size += (points[m, c] + step * direction[c]) ** 2
            for i in range(h):
                reached = min(reached, abs(values[i] + step * slopes[i]))
            size = np.sqrt(size)
            if reached > margin * size:
                break
        if not reached > margin * size:
            break
        margin = reached / size
        for c in range(q):
            points[m, c] = (points[m, c] + step * direction[c]) / size
        for i in range(h):
            values[i] = (values[i] + step * slopes[i]) / size
    return margin
