"""Deletion and restriction, compiled: how many cells hyperplanes have, and a point in each, ties included.

Add the hyperplanes one at a time. A new one splits exactly the cells that it meets, and those are the cells
of the arrangement's trace on it, which has rank one less: degenerate data needs no case of its own. All that
has to be decided is which traces coincide (:mod:`convexrelu.arrangements.traces`). A hyperplane independent
of those before it splits every cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import no_type_check

import numpy as np
from jaxtyping import Float

from convexrelu._typing import kernel
from convexrelu.arrangements.integers import Decided
from convexrelu.arrangements.packing import Block, pack_points, row_bits
from convexrelu.arrangements.traces import lift, restrict, row_product, sort, splits_all
from convexrelu.errors import SolverError

__all__ = ["cells_of", "generic_direction", "list_blocks"]

_UNRESOLVED, _FULL = -1, -2  # why no cells were returned: rounding confuses them; there are too many
_SEED = 20221
_NOTHING = -1
_ZERO, _ONE = np.uint64(0), np.uint64(1)


def list_blocks(decided: Decided, room: int, least_margin: float) -> Iterator[Block]:
    """Yield all cells, some at a time, opposites side by side, in memory for about `room` of them.

    What does not fit is split into the cells above and below one hyperplane more.

    Raises
    ------
    SolverError
        If rounding confuses the cells.
    """
    lines = decided.lines
    h = len(lines.normals)
    generic = generic_direction(lines.rank)
    codes = np.random.default_rng(_SEED).integers(2**64, size=h, dtype=np.uint64)
    columns, rows = np.ascontiguousarray(lines.normals.T), row_bits(lines)
    parts = [np.r_[1, np.zeros(h - 1, dtype=np.int64)]]  # the other half are opposites
    while parts:
        required = parts.pop()
        number, hashes, points = cells_of(
            lines.normals, lines.spread, decided.residues, generic, codes, required, room // 2
        )
        if number == _FULL:
            for side in (1, -1):
                part = required.copy()
                part[np.argmin(required != 0)] = side
                parts.append(part)
            continue
        block = Block.empty(2 * len(points), len(lines.member), len(lines.basis))
        if number == _UNRESOLVED or (
            pack_points(columns, rows, codes, hashes, points, block.packed, block.margins) < len(points)
            or block.margins.min(initial=np.inf) <= least_margin
        ):
            raise SolverError(
                "the arrangement could not be resolved in floating point: a point of a cell lies within "
                "rounding of a hyperplane; rows within about 1e-10 of parallel or incident cause this"
            )
        block.witnesses[::2] = points @ lines.basis.T
        block.witnesses[1::2] = -block.witnesses[::2]
        if len(points):
            yield block


def generic_direction(rank: int) -> Float[np.ndarray, " r"]:
    """Return a fixed generic unit vector: heights along it make parallel vectors neighbours."""
    direction = np.random.default_rng(_SEED).normal(size=rank)
    return np.asarray(direction / np.linalg.norm(direction))


@kernel
@no_type_check
def cells_of(vectors, spread, residues, generic, codes, required, room):
    """Return (number of cells, the hash of each, a point in each); a negative number says why there are none.

    `required` asks for the cells above (1) or below (-1) a hyperplane only, or both (0). No more than `room`
    cells are kept; without any room they are counted alone. (One kernel for both: two would take twice as
    long to compile.)
    """
    h, q = vectors.shape
    listing = room > 0
    hashes, points = codes[:0], vectors[:0]
    if q == 2 and h > 0:
        return _sectors(vectors, codes, required) if listing else (2 * h, hashes, points)
    space = 16 if listing else 0
    if listing:
        hashes, points = np.empty(space, dtype=np.uint64), np.zeros((space, q))
        hashes[0] = _ZERO
    cells = np.int64(1)  # a literal would be a type of its own
    basis, size = np.empty((q, q)), np.int64(0)
    for k in range(h):
        if listing and 2 * cells > space:  # there is room for twice as many cells
            space = 4 * cells
            hashes, points = _longer(hashes, cells, space), _taller(points, cells, space)
        independent, size = splits_all(vectors, spread, residues, k, basis, size)
        if independent and listing:
            cells = _split_all(vectors, k, codes[k], required[k], basis, size - 1, hashes, points, cells)
        elif independent:
            cells *= 2
        else:
            traces, magnified, left, member, sign = restrict(vectors, spread, residues, generic, k)
            met_codes, met_required, base, possible = codes, required, _ZERO, True
            if listing:
                met_codes, met_required = np.zeros(len(traces), np.uint64), np.zeros(len(traces), np.int64)
                base, possible = _inherit(member, sign, codes, required, met_codes, met_required)
            number, met, through = 0, codes[:0], traces[:0]
            if possible:
                number, met, through = cells_of(
                    traces, magnified, left, generic, met_codes, met_required, room
                )
            if number < 0:
                return number, codes[:0], vectors[:0]
            if listing:
                for m in range(number):
                    met[m] += base
                lifted = lift(vectors, k, through)
                cells = _split_met(vectors, k, codes[k], required[k], met, lifted, hashes, points, cells)
            else:
                cells += number
        if cells < 0:
            return _UNRESOLVED, codes[:0], vectors[:0]
        if listing and cells > room:
            return _FULL, codes[:0], vectors[:0]
        if cells == 0:
            break
    return cells, hashes[:cells], points[:cells]


@kernel
@no_type_check
def _longer(old, used, space):
    new = np.empty(space, dtype=np.uint64)
    for i in range(used):
        new[i] = old[i]
    return new


@kernel
@no_type_check
def _taller(old, used, space):
    q = old.shape[1]
    new = np.empty((space, q))
    for i in range(used):
        for c in range(q):
            new[i, c] = old[i, c]
    return new


@kernel
@no_type_check
def _inherit(member, sign, codes, required, met_codes, met_required):
    """Give each trace a code and a requirement, so that a cell's hash here is its hash there plus a base.

    Returns the base, and whether the requirements of hyperplanes with one trace agree.
    """
    base = _ZERO
    possible = True
    for i in range(len(member)):
        m = member[i]
        if sign[i] > 0:
            met_codes[m] += codes[i]
        else:
            met_codes[m] -= codes[i]
            base += codes[i]
        side = required[i] * sign[i]
        if side != 0:
            possible = possible and met_required[m] != -side
            met_required[m] = side
    return base, possible


@kernel
@no_type_check
def _sectors(vectors, codes, required):
    """List the cells of distinct lines in the plane: the sectors between neighbouring rays."""
    h = len(vectors)
    angles, order, sides = np.empty(h), np.empty(h, dtype=np.int64), np.empty(h)
    code = _ZERO
    wrong = 0
    for i in range(h):
        # the normal is sides[i] times (-sin, cos) of the ray's angle in [0, pi)
        sides[i] = 1.0 if vectors[i, 0] < 0.0 or (vectors[i, 0] == 0.0 and vectors[i, 1] > 0.0) else -1.0
        angles[i] = np.arctan2(-sides[i] * vectors[i, 0], sides[i] * vectors[i, 1])
        order[i] = i
        if sides[i] < 0.0:  # below the first ray, the line lies above
            code += codes[i]
        wrong += required[i] * sides[i] > 0.0
    sort(angles, order)
    hashes, points = np.empty(2 * h, dtype=np.uint64), np.empty((2 * h, 2))
    cells = 0
    for s in range(2 * h):
        turn = s // h
        k = s - turn * h
        if wrong == 0:
            before = angles[k - 1] if k > 0 else angles[h - 1] - np.pi
            middle = 0.5 * (before + angles[k]) + turn * np.pi
            hashes[cells], points[cells, 0], points[cells, 1] = code, np.cos(middle), np.sin(middle)
            cells += 1
        i = order[k]
        rising = (sides[i] > 0.0) == (turn == 0)
        if rising:
            code += codes[i]
        else:
            code -= codes[i]
        if required[i] != 0:
            wrong += -1 if (required[i] > 0) == rising else 1
    return cells, hashes[:cells], points[:cells]


@kernel
@no_type_check
def _split_all(vectors, k, code, required, basis, along, hashes, points, cells):
    """Split every cell by an independent hyperplane; the way along this row of the basis crosses no other."""
    slope = row_product(vectors, k, basis, along)
    new = cells
    for c in range(cells):
        height = row_product(vectors, k, points, c)
        if required == 0:
            hashes[new] = hashes[c] + code
            _move(points, c, basis, along, (slope - height) / slope, points, new)
            new += 1
        side = 1.0 if required > 0 else -1.0
        _move(points, c, basis, along, (side * slope - height) / slope, points, c)
        if required > 0:
            hashes[c] += code
    return new


@kernel
@no_type_check
def _move(points, i, directions, j, step, target, k):
    """Make row k of the target the unit vector of ``points[i] + step directions[j]``."""
    size = 0.0
    for c in range(points.shape[1]):
        target[k, c] = points[i, c] + step * directions[j, c]
        size += target[k, c] * target[k, c]
    size = 1.0 / np.sqrt(size)
    for c in range(points.shape[1]):
        target[k, c] *= size


@kernel
@no_type_check
def _split_met(vectors, k, code, required, met, through, hashes, points, cells):
    """Split the cells that hyperplane k meets (their hashes, and points on it); -1 if rounding confuses them.

    Returns the new number of cells. A false match of hashes could only add to the true ones, so that their
    number proves that there was none.
    """
    n_met = len(met)
    size = 4
    while size < 2 * n_met:
        size *= 2
    mask = np.uint64(size - 1)
    table = np.empty(size, dtype=np.int64)
    for slot in range(size):
        table[slot] = _NOTHING
    for m in range(n_met):
        place = met[m] & mask
        while table[place] >= 0:
            place = (place + _ONE) & mask
        table[place] = m
    slopes = np.empty(k)
    for i in range(k):
        slopes[i] = abs(row_product(vectors, i, vectors, k))
    new, kept, found = cells, np.int64(0), 0
    for c in range(cells):
        place = hashes[c] & mask
        while table[place] >= 0 and met[table[place]] != hashes[c]:
            place = (place + _ONE) & mask
        m = table[place]
        if m < 0:
            above = row_product(vectors, k, points, c) > 0.0
            if required == 0 or (required > 0) == above:
                hashes[kept] = hashes[c] + code if above else hashes[c]
                for b in range(points.shape[1]):
                    points[kept, b] = points[c, b]
                kept += 1
            continue
        found += 1
        # so far off that no other hyperplane is nearer than this one
        step = 1.0
        for i in range(k):
            step = min(step, abs(row_product(vectors, i, through, m)) / (1.0 + slopes[i]))
        if required == 0:
            hashes[new] = hashes[c] + code
            _move(through, m, vectors, k, step, points, new)
            new += 1
        hashes[kept] = hashes[c] + code if required > 0 else hashes[c]
        _move(through, m, vectors, k, step if required > 0 else -step, points, kept)
        kept += 1
    if found != n_met:
        return _NOTHING
    return new if required == 0 else kept
