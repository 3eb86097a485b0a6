"""The traces of hyperplanes on one of them, compiled: which of them coincide is decided here.

For numbers with rounding, two traces coincide if moving each of the original unit rows by `TOLERANCE` makes
them do so. For whole numbers (see :mod:`convexrelu.arrangements.integers`) that is only the first question;
the second is whether they are proportional modulo a prime larger than every minor, which is exact.

Rows are addressed by their numbers: a view of a row takes numba several times as long to compile.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from convexrelu._typing import kernel
from convexrelu.arrangements.hyperplanes import TOLERANCE
from convexrelu.arrangements.modular import MODULUS, pivot_of, proportional, reciprocal, times

__all__ = ["lift", "restrict", "row_product", "sort", "splits_all"]

# A row this far from the span of those before it is independent of them beyond any doubt.
_INDEPENDENT = 1e-3
_NOTHING = -1
_P, _ZERO = np.uint64(MODULUS), np.uint64(0)


@kernel
@no_type_check
def row_product(a, i, b, j):
    """Inner product of two rows."""
    total = 0.0
    for c in range(a.shape[1]):
        total += a[i, c] * b[j, c]
    return total


@kernel
@no_type_check
def _mirror(vectors, to, v):
    """Fill in what the reflection that takes row `to` to the first axis is made of; returns its scale."""
    size = 0.0
    for c in range(len(v)):
        v[c] = vectors[to, c]
    v[0] += 1.0 if v[0] >= 0.0 else -1.0
    for c in range(len(v)):
        size += v[c] * v[c]
    return 2.0 / size


@kernel
@no_type_check
def sort(keys, order):
    """Sort places by their keys (Shell's method: short to compile, and fast for some hundreds)."""
    n = len(keys)
    gap = n // 2
    while gap > 0:
        for i in range(gap, n):
            key, place = keys[i], order[i]
            j = i
            while j >= gap and keys[j - gap] > key:
                keys[j], order[j] = keys[j - gap], order[j - gap]
                j -= gap
            keys[j], order[j] = key, place
        gap = gap // 2 if gap != 2 else 1


@kernel
@no_type_check
def _traces(vectors, residues, to, traces, sizes, left):
    """Fill in the traces of the first `to` hyperplanes on that one: unit rows, lengths before, residues."""
    q = vectors.shape[1]
    v = np.empty(q)
    scale = _mirror(vectors, to, v)
    for i in range(to):
        product = 0.0
        for c in range(q):
            product += scale * vectors[i, c] * v[c]
        size = 0.0
        for c in range(1, q):
            traces[i, c - 1] = vectors[i, c] - product * v[c]
            size += traces[i, c - 1] * traces[i, c - 1]
        size = np.sqrt(size)
        sizes[i] = size
        for c in range(q - 1):
            traces[i, c] /= size
    if residues.shape[1] == 0:
        return
    pivot = pivot_of(residues, to)
    inverse = reciprocal(residues[to, pivot])
    for i in range(to):
        factor = times(residues[i, pivot], inverse)
        for c in range(q):
            if c != pivot:
                value = residues[i, c] + _P - times(factor, residues[to, c])
                left[i, c if c < pivot else c - 1] = value - _P if value >= _P else value


@kernel
@no_type_check
def _group(traces, spread, left, generic, member, sign):
    """Number the distinct traces in the order of their first members; returns how many there are.

    `member` and `sign` say for each trace which one it is, and whether it points the same way.
    """
    k, q = traces.shape
    keys, order = np.empty(k), np.empty(k, dtype=np.int64)
    widest = 0.0
    for i in range(k):
        height = 0.0
        for c in range(q):
            height += traces[i, c] * generic[c]
        keys[i], order[i] = abs(height), i
        member[i], sign[i] = _NOTHING, 1
        widest = max(widest, spread[i])
    sort(keys, order)
    # parallel vectors differ by no more in height along a unit vector, so a wider step separates groups
    reach = 2.0 * TOLERANCE * widest
    start = 0
    while start < k:
        stop = start + 1
        while stop < k and keys[stop] - keys[stop - 1] <= reach:
            stop += 1
        while True:  # the first of the run not in a group yet leads one
            lead = k
            for a in range(start, stop):
                if member[order[a]] == _NOTHING:
                    lead = min(lead, order[a])
            if lead == k:
                break
            for a in range(start, stop):
                i = order[a]
                if member[i] == _NOTHING and _coincide(traces, spread, left, lead, i):
                    member[i], sign[i] = lead, 1 if row_product(traces, lead, traces, i) >= 0.0 else -1
        start = stop
    groups = np.int64(0)
    for i in range(k):
        if member[i] == i:
            member[i] = groups
            groups += 1
        else:
            member[i] = member[member[i]]
    return groups


@kernel
@no_type_check
def _coincide(traces, spread, left, i, j):
    """Whether two traces are one hyperplane."""
    if i == j:
        return True
    side = 1.0 if row_product(traces, i, traces, j) >= 0.0 else -1.0
    distance = 0.0
    for c in range(traces.shape[1]):
        difference = traces[i, c] - side * traces[j, c]
        distance += difference * difference
    return np.sqrt(distance) <= TOLERANCE * (spread[i] + spread[j]) and proportional(left, i, j)


@kernel
@no_type_check
def restrict(vectors, spread, residues, generic, to):
    """Return the distinct traces of the first `to` hyperplanes on that one, and what each was."""
    q = vectors.shape[1]
    traces, sizes = np.empty((to, q - 1)), np.empty(to)
    left = np.empty((to, max(residues.shape[1] - 1, 0)), dtype=np.uint64)
    member, sign = np.empty(to, dtype=np.int64), np.empty(to, dtype=np.int64)
    _traces(vectors, residues, to, traces, sizes, left)
    for i in range(to):
        sizes[i] = spread[i] / sizes[i]  # an error in the unit rows is magnified by this
    groups = _group(traces, sizes, left, generic, member, sign)
    last = _NOTHING
    for i in range(to):  # first members move up; the places they leave are not needed any more
        if member[i] > last:
            last = member[i]
            sizes[last] = sizes[i]
            for c in range(q - 1):
                traces[last, c] = traces[i, c]
            for c in range(left.shape[1]):
                left[last, c] = left[i, c]
    return traces[:groups], sizes[:groups], left[:groups], member, sign


@kernel
@no_type_check
def _orthogonal_part(vectors, i, basis, size):
    """Make row `size` of the basis what of a vector is orthogonal to the rows before, of unit length.

    Returns its length before.
    """
    q = vectors.shape[1]
    for c in range(q):
        basis[size, c] = vectors[i, c]
    for _ in range(2):  # twice is enough for orthogonality to rounding
        for b in range(size):
            product = row_product(basis, size, basis, b)
            for c in range(q):
                basis[size, c] -= product * basis[b, c]
    length = np.sqrt(row_product(basis, size, basis, size))
    for c in range(q):
        basis[size, c] /= length
    return length


@kernel
@no_type_check
def splits_all(vectors, spread, residues, k, basis, size):
    """Whether hyperplane k is independent of those before it, and the size of the basis of their span.

    A size below zero says that rounding leaves the span open: then nothing is called independent any more.
    """
    if size < 0 or size == vectors.shape[1]:
        return False, size
    length = _orthogonal_part(vectors, k, basis, size)
    if length > _INDEPENDENT:
        return True, size + 1
    if length > 4.0 * TOLERANCE * spread[k]:
        return False, size + 1
    return False, size if residues.shape[1] == 0 else _NOTHING


@kernel
@no_type_check
def lift(vectors, to, through):
    """Return points of hyperplane `to` from coordinates on it (see `_traces`)."""
    q = vectors.shape[1]
    v = np.empty(q)
    scale = _mirror(vectors, to, v)
    lifted = np.empty((len(through), q))
    for m in range(len(through)):
        product = 0.0
        for c in range(1, q):
            product += scale * through[m, c - 1] * v[c]
        lifted[m, 0] = -product * v[0]
        for c in range(1, q):
            lifted[m, c] = through[m, c - 1] - product * v[c]
    return lifted
