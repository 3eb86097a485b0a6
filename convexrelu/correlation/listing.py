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
from jaxtyping import Float, Int

from convexrelu._parallel import run_tasks
from convexrelu._typing import kernel
from convexrelu.arrangements import hyperplanes_of, pattern_bound
from convexrelu.arrangements.tableau import cell_above, new_tableau
from convexrelu.arrangements.vertices import choice_at, generic_frame, next_choice
from convexrelu.box_least_norm import dot, least_norm
from convexrelu.correlation.cones import ConeSearch
from convexrelu.correlation.zonotopes import Zonotopes

__all__ = ["PERTURBATION", "search_cells"]

PERTURBATION = 1e-12
"""Of each arm, relative to its length: far above the rounding of a vertex, far below any tolerance."""

_SEED = 3
_TASKS = 32  # in a round; what they found is shared between rounds only
_TASK_CELLS = 20_000  # with their opposites: some 50 ms
_SWEEPS = 12  # of coordinate descent before the exact kernel is asked
_MOST_SWEPT = 1000  # arms of Z_- whose products are tabulated for that: 8 MB
# Sums are formed afresh after so many additions: until then squared distances are off by as many roundings of
# the squared sum of the lengths of all arms, and two more for each difference of such squares.
_MOST_FLIPS = 2000
_DRIFT = 1e-12
_SLICE_WORK = 2e6  # multiplications between two looks at the clock: about a millisecond


def search_cells(
    pair: Zonotopes,
    value: float,
    direction: Float[np.ndarray, " r"],
    *,
    seconds: float,
    ceiling: float = np.inf,
    enough: float = np.inf,
) -> ConeSearch:
    """Maximise the correlation over the cells of the positive arms, starting from a given direction.

    `ceiling` is a bound known beforehand: the answer's is no worse. A value above `enough` ends the search.
    """
    deadline = time.time() + seconds
    rng = np.random.default_rng(_SEED)
    arms = _generic(pair.positive @ hyperplanes_of(pair.positive).basis, rng)
    total = pattern_bound(*arms.shape) // 2  # a visit meets a cell and its opposite
    visited, finished = 0, False
    while not finished and value <= enough and time.time() < deadline:
        starts = range(visited, total, _TASK_CELLS)[: _TASKS if visited else 1]
        found = run_tasks(
            _work,
            [
                (
                    arms,
                    pair.positive,
                    pair.negative,
                    choice_at(start, *arms.shape),
                    value,
                    direction,
                    deadline,
                )
                for start in starts
            ],
        )
        for part_value, part_direction, _ in found:
            if part_value > value:
                value, direction = part_value, part_direction
        if not all(complete for _, _, complete in found):
            break
        visited = min(starts[-1] + _TASK_CELLS, total)
        finished = visited == total
    # both the cells and the distances move with the arms
    slack = 4 * PERTURBATION * float(np.linalg.norm(pair.positive, axis=1).sum())
    bound = max(min(value + slack, ceiling) if finished else ceiling, value)
    return ConeSearch(
        value=value, direction=direction, bound=bound, slack=slack, nodes=2 * visited, finished=finished
    )


def _work(
    arms: Float[np.ndarray, "h rank"],
    P: Float[np.ndarray, "k r"],
    Q: Float[np.ndarray, "l r"],
    position: Int[np.ndarray, " p"],
    value: float,
    direction: Float[np.ndarray, " r"],
    deadline: float,
) -> tuple[float, Float[np.ndarray, " r"], bool]:
    """Visit a task's share of the cells: the best value and direction, and whether all were visited in time.

    The deadline is one of time.time().
    """
    best, state, place = direction.copy(), np.array([value]), position.copy()
    at_once = int(np.clip(_SLICE_WORK / (P.shape[1] * (len(P) + 4 * len(Q)) + 1), 1, _TASK_CELLS))
    columns, sizes = np.ascontiguousarray(arms.T), np.linalg.norm(Q, axis=1)
    units = Q / np.where(sizes > 0, sizes, 1.0)[:, None]
    cross, gram = P @ units.T, units @ units.T if len(Q) <= _MOST_SWEPT else np.empty((0, 0))
    drift = _DRIFT * float(np.linalg.norm(P, axis=1).sum() + sizes.sum()) ** 2
    left, last = _TASK_CELLS, False
    while left > 0 and not last and time.time() < deadline:
        last = bool(_search(columns, P, Q, cross, gram, sizes, drift, place, state, best, min(at_once, left)))
        left -= at_once
    return float(state[0]), best, last or left <= 0


def _generic(arms: Float[np.ndarray, "k r"], rng: np.random.Generator) -> Float[np.ndarray, "k r"]:
    """Unit arms, perturbed, in coordinates in which the first is (1, 0, .., 0) and the others are generic."""
    units = arms / np.linalg.norm(arms, axis=1, keepdims=True)
    units = units + PERTURBATION * rng.uniform(-1, 1, size=units.shape) / np.sqrt(units.shape[1])
    generic: np.ndarray = units @ generic_frame(units, rng)
    return generic


@kernel
@no_type_check
def _search(columns, P, Q, cross, gram, sizes, drift, position, state, best, budget):
    """Visit up to `budget` cells and their opposites from `position` on; True once all have been visited."""
    rank, h = columns.shape
    r, m = P.shape[1], len(Q)
    tableau, heights = new_tableau(rank, h), np.empty(h)
    active, flips = np.zeros(h, dtype=np.bool_), _MOST_FLIPS
    # of all arms together, and in two rows of the active arms and of the others
    total, all_products, slopes = np.zeros(r), np.zeros(m), np.empty(m)
    vertices, products = np.empty((2, r)), np.empty((2, m))
    multipliers, own = np.zeros((2, m)), np.zeros((2, m))
    for i in range(h):
        _add(1.0, i, P, cross, total, all_products)
    for _ in range(budget):
        if cell_above(columns, position, tableau, heights):
            if flips >= _MOST_FLIPS:  # begin the sums anew: no drift
                flips = 0
                for i in range(h):
                    active[i] = False
                for c in range(r):
                    vertices[0, c] = 0.0
                for j in range(m):
                    products[0, j] = 0.0
                for side in range(2):
                    _refresh(gram, multipliers[side], own[side])
            for i in range(h):
                if (heights[i] > 0.0) != active[i]:
                    active[i] = not active[i]
                    flips += 1
                    _add(1.0 if active[i] else -1.0, i, P, cross, vertices[0], products[0])
            for c in range(r):
                vertices[1, c] = total[c] - vertices[0, c]
            for j in range(m):
                products[1, j] = all_products[j] - products[0, j]
            for side in range(2):
                t, limit = multipliers[side], state[0] * state[0] - drift
                if not _ruled_out(vertices[side], products[side], gram, sizes, t, own[side], slopes, limit):
                    _try_vertex(P, Q, sizes, active, side == 0, t, state, best)
                    _refresh(gram, t, own[side])
        if not next_choice(position, h):
            return True
    return False


@kernel
@no_type_check
def _add(sign, i, P, cross, vertex, products):
    """Add or remove an arm of Z_+: in the vertex, and in its products with the arms of Z_-."""
    for c in range(len(vertex)):
        vertex[c] += sign * P[i, c]
    for j in range(len(products)):
        products[j] += sign * cross[i, j]


@kernel
@no_type_check
def _refresh(gram, t, own):
    """Form the products of the point of Z_- with multipliers t with the unit arms of Z_- anew."""
    for i in range(len(own)):
        own[i] = 0.0
    for j in range(len(gram)):
        if t[j] != 0.0:
            for i in range(len(gram)):
                own[i] += t[j] * gram[j, i]


@kernel
@no_type_check
def _ruled_out(vertex, products, gram, sizes, t, own, slopes, limit):
    """Whether a point of Z_- is found within the limit (a squared distance) of this vertex of Z_+.

    The search begins at the point found for the vertex before, a neighbour, and goes on by coordinate descent
    in terms of products with the unit arms of Z_-: those of the vertex, of the point, and their differences.
    """
    norm = dot(vertex, vertex)
    if norm <= limit:
        return True
    for j in range(len(gram)):
        slopes[j] = products[j] - own[j]
    for j in range(len(gram)):
        norm -= t[j] * (products[j] + slopes[j])
    if norm <= limit:
        return True
    for sweep in range(_SWEEPS):
        before = norm
        for j in range(len(gram)):
            change = min(max(t[j] + slopes[j], 0.0), sizes[j]) - t[j]
            if change == 0.0:
                continue
            t[j] += change
            norm -= change * (2 * slopes[j] - change)
            for i in range(len(gram)):
                slopes[i] -= change * gram[j, i]
            if norm <= limit:
                break
        # the steps become smaller and smaller
        if norm <= limit or (before - norm) * (_SWEEPS - sweep - 1) < norm - limit:
            break
    for j in range(len(gram)):
        own[j] = products[j] - slopes[j]
    return norm <= limit


@kernel
@no_type_check
def _try_vertex(P, Q, sizes, active, side, t, state, best):
    """Raise the incumbent if this vertex of Z_+ lies farther from Z_-, by the exact kernel."""
    vertex = np.zeros(P.shape[1])
    for i in range(len(P)):
        if active[i] == side:
            for c in range(len(vertex)):
                vertex[c] += P[i, c]
    residual = vertex.copy()
    norm, _ = least_norm(Q, vertex, np.ones(len(Q)), state[0], t, residual)
    for j in range(len(Q)):
        t[j] *= sizes[j]  # for the next vertex, of unit arms
    if norm > state[0]:
        state[0] = norm
        for c in range(len(best)):
            best[c] = residual[c] / norm
