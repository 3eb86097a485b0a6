"""The exact maximum of a neuron's correlation by listing the cells of the positive arms, one after the other.

Make one arm the hyperplane at infinity. Every cell of the affine arrangement that is left and bounded below,
for a generic linear functional, has one lowest vertex, and every vertex is the lowest of one cell; cells
unbounded below are the cells of the arrangement at infinity, of one dimension less. So each cell is met once,
as a set of at most r - 1 arms, without a list of those seen. Each gives a vertex of Z_+, whose distance to
Z_- is one call of the box least-norm kernel, mostly abandoned early.

Arms are perturbed so that they are in general position. The cells met are then exactly those of arms that
differ by `PERTURBATION`; the correlation moves by no more than the sum of the differences, which goes into
the bound.
"""

from __future__ import annotations

import time
from typing import no_type_check

import numpy as np
from jaxtyping import Float

from convexrelu._typing import kernel
from convexrelu.arrangements import hyperplanes_of
from convexrelu.box_least_norm import copy_into, dot, least_norm
from convexrelu.correlation.cones import ConeSearch, invert_into
from convexrelu.correlation.zonotopes import Zonotopes

__all__ = ["PERTURBATION", "search_cells"]

PERTURBATION = 1e-12
"""Of each arm, relative to its length: far above the rounding of a vertex, far below any tolerance."""

_SEED = 3
_CELLS_AT_ONCE = 20_000  # between two looks at the clock


def search_cells(
    pair: Zonotopes, value: float, direction: Float[np.ndarray, " r"], *, seconds: float
) -> ConeSearch:
    """Maximise the correlation over the cells of the positive arms, starting from a given direction."""
    rng = np.random.default_rng(_SEED)
    arms = _generic(pair.positive @ hyperplanes_of(pair.positive).basis, rng)
    rank = arms.shape[1]
    best = direction.copy()
    state = np.array([value])
    position = np.zeros(rank + 1, dtype=np.int64)  # the level, then the arms chosen
    position[0] = rank - 1
    position[1:] = np.arange(1, rank + 1)
    deadline = time.monotonic() + seconds
    cells, finished = 0, len(arms) < rank
    while not finished and time.monotonic() < deadline:
        cells += _CELLS_AT_ONCE
        finished = bool(_search(arms, pair.positive, pair.negative, position, state, best, _CELLS_AT_ONCE))
    # both the cells and the distances move with the arms
    slack = 4 * PERTURBATION * float(np.linalg.norm(pair.positive, axis=1).sum())
    bound = float(state[0]) + slack if finished else np.inf
    return ConeSearch(
        value=float(state[0]), direction=best, bound=bound, slack=slack, nodes=cells, finished=finished
    )


def _generic(arms: Float[np.ndarray, "k r"], rng: np.random.Generator) -> Float[np.ndarray, "k r"]:
    """Unit arms, perturbed, in coordinates in which the first is (1, 0, .., 0) and the others are generic."""
    units = arms / np.linalg.norm(arms, axis=1, keepdims=True)
    units = units + PERTURBATION * rng.uniform(-1, 1, size=units.shape) / np.sqrt(units.shape[1])
    frame = rng.normal(size=(units.shape[1], units.shape[1]))
    frame[:, 0] = units[0]
    basis = np.linalg.qr(frame)[0]
    basis[:, 0] *= np.sign(basis[:, 0] @ units[0])
    return np.ascontiguousarray(units @ basis)


@kernel
@no_type_check
def _search(arms, P, Q, position, state, best, budget):
    """Visit up to `budget` cells and their opposites from `position` on; True once all have been visited."""
    h, rank = arms.shape
    r = P.shape[1]
    caps, t, residual = np.ones(len(Q)), np.empty(len(Q)), np.empty(r)
    square, inverse, point = np.empty((rank, rank)), np.empty((rank, rank)), np.empty(rank)
    total, vertex, opposite = np.zeros(r), np.empty(r), np.empty(r)
    active = np.empty(h, dtype=np.bool_)
    for i in range(h):
        for c in range(r):
            total[c] += P[i, c]
    for _ in range(budget):
        level = position[0]
        if _lowest_cell(arms, position, level, square, inverse, point, active):
            for c in range(r):
                vertex[c] = 0.0
            for i in range(h):
                if active[i]:
                    for c in range(r):
                        vertex[c] += P[i, c]
            for c in range(r):
                opposite[c] = total[c] - vertex[c]
            _try_vertex(vertex, Q, caps, t, residual, state, best)
            _try_vertex(opposite, Q, caps, t, residual, state, best)
        # the next choice of `level` arms out of 1..h-1, then the next level
        k = level
        while k > 0 and position[k] == h - 1 - (level - k):
            k -= 1
        if k > 0:
            position[k] += 1
            for j in range(k + 1, level + 1):
                position[j] = position[j - 1] + 1
        elif level == 0:
            return True
        else:
            position[0] = level - 1
            for j in range(1, level):
                position[j] = j
    return False


@kernel
@no_type_check
def _try_vertex(vertex, Q, caps, t, residual, state, best):
    """Raise the incumbent if this vertex of Z_+ lies farther from Z_-."""
    if dot(vertex, vertex) <= state[0] * state[0]:
        return
    copy_into(residual, vertex)
    norm, _ = least_norm(Q, vertex, caps, state[0], t, residual)
    if norm > state[0]:
        state[0] = norm
        for c in range(len(best)):
            best[c] = residual[c] / norm


@kernel
@no_type_check
def _lowest_cell(arms, position, level, square, inverse, point, active):
    """Fill the activities of the cell whose lowest vertex lies on the chosen arms; False if dependent."""
    h, rank = arms.shape
    constant = 0 if level == rank - 1 else level + 1
    side = 1.0 if level == rank - 1 else -1.0
    for a in range(level):
        for b in range(level):
            square[a, b] = arms[position[a + 1], b + 1]
    if not invert_into(square, inverse, level):
        return False
    for a in range(level):
        point[a] = 0.0
        for b in range(level):
            point[a] -= inverse[a, b] * side * arms[position[b + 1], constant]
    active[0] = True
    for i in range(1, h):
        value = side * arms[i, constant]
        for a in range(level):
            value += arms[i, a + 1] * point[a]
        active[i] = value > 0.0
    for a in range(level):  # of the arms through the vertex: the side towards which the functional grows
        active[position[a + 1]] = inverse[level - 1, a] > 0.0
    return True
