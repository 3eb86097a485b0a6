"""The exact maximum of a neuron's correlation by listing the cells of the positive generators one by one.

Make one generator the hyperplane at infinity. Every cell of the affine arrangement that is left and bounded
below, for a generic linear functional, has one lowest vertex, and every vertex is the lowest of one cell;
cells unbounded below are the cells of the arrangement at infinity, of one dimension less. So each cell is met
once, as a set of at most r - 1 generators, without a list of those seen. Each gives a vertex of Z_+, which is
ruled out by any point of Z_- near enough: that of a guess (:mod:`convexrelu.oracle.guesses`), mostly, else of
coordinate descent from there. For the few that are left the box least-norm kernel has the distance to Z_-.

Generators are perturbed so that they are in general position. The cells met are then exactly those of
generators that differ by `PERTURBATION`; the correlation moves by no more than the sum of the differences,
which goes into the bound.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int

from convexrelu._box_least_norm import copy_into, dot, least_norm
from convexrelu._clock import Clock
from convexrelu._parallel import run_tasks
from convexrelu._typing import kernel
from convexrelu.arrangements import hyperplanes_of, pattern_bound
from convexrelu.arrangements.tableau import cell_above, new_tableau
from convexrelu.arrangements.vertices import choice_at, generic_frame, next_choice
from convexrelu.oracle.cones import ConeSearch
from convexrelu.oracle.guesses import learnt_guess
from convexrelu.oracle.zonotopes import Zonotopes

__all__ = ["PERTURBATION", "search_cells"]

PERTURBATION = 1e-12
"""Of each generator, relative to its length: far above the rounding of a vertex, far below any tolerance."""

_SEED = 3
_TASKS = 32  # in a round; what they found is shared between rounds only
_TASK_CELLS = 20_000  # with their opposites: some 15 ms
_SWEEPS = 12  # of coordinate descent before the exact kernel is asked
# Of a squared distance: so much for each generator, in units of the square of their total length.
_ROUNDING = 4 * float(np.finfo(float).eps)
_MOST_AT_ONCE = 2000  # cells whose activities are kept
_SLICE_WORK = 2e6  # multiplications between two looks at the clock: about a millisecond


def search_cells(
    pair: Zonotopes,
    value: float,
    direction: Float[np.ndarray, " r"],
    *,
    clock: Clock,
    ceiling: float = np.inf,
    stop_above: float = np.inf,
) -> ConeSearch:
    """Maximise the correlation over the cells of the positive generators, starting from a given direction.

    `ceiling` is a bound known beforehand: the answer's is no worse. A value above `stop_above` ends the
    search.
    """
    rng = np.random.default_rng(_SEED)
    generators = _generic(pair.positive @ hyperplanes_of(pair.positive).basis, rng)
    total = pattern_bound(*generators.shape) // 2  # a visit meets a cell and its opposite
    visited, finished = 0, False
    in_time = value <= stop_above and not clock.expired()
    guess = learnt_guess(generators, pair, total if in_time else 0, value, rng)
    while not finished and value <= stop_above and not clock.expired():
        starts = range(visited, total, _TASK_CELLS)[: _TASKS if visited else 1]
        found = run_tasks(
            _work,
            [
                (
                    generators,
                    pair.positive,
                    pair.negative,
                    guess,
                    choice_at(start, *generators.shape),
                    value,
                    direction,
                    clock,
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
    # both the cells and the distances move with the generators
    slack = 4 * PERTURBATION * float(np.linalg.norm(pair.positive, axis=1).sum())
    bound = max(min(value + slack, ceiling) if finished else ceiling, value)
    return ConeSearch(
        value=value, direction=direction, bound=bound, slack=slack, nodes=2 * visited, finished=finished
    )


def _work(
    generators: Float[np.ndarray, "h rank"],
    P: Float[np.ndarray, "k r"],
    Q: Float[np.ndarray, "l r"],
    guess: Float[np.ndarray, "k1 _"],
    position: Int[np.ndarray, " p"],
    value: float,
    direction: Float[np.ndarray, " r"],
    clock: Clock,
) -> tuple[float, Float[np.ndarray, " r"], bool]:
    """Visit a task's share of the cells: the best value and direction, and whether time sufficed."""
    best, state, place = direction.copy(), np.array([value]), position.copy()
    columns, squares, (k, r) = np.ascontiguousarray(generators.T), (Q * Q).sum(axis=1), P.shape
    at_once = int(np.clip(_SLICE_WORK / (r * (k + 4 * len(Q)) + 1), 1, _MOST_AT_ONCE))
    # what each generator adds to the vertex of Z_+ and to the guess; before any there is the guess's constant
    # part
    rows, start = np.hstack([P, guess[1:]]), np.concatenate([np.zeros(r), guess[0]])
    both = 2 * start + rows.sum(axis=0)
    sizes = float(np.linalg.norm(P, axis=1).sum() + np.sqrt(squares).sum())
    rounding = _ROUNDING * (k + len(Q)) * sizes**2
    tableau, activities = new_tableau(*columns.shape), np.empty((at_once, k))
    left, more = _TASK_CELLS, True
    while left > 0 and more and not clock.expired():
        n_met, more = _visit(columns, tableau, place, activities[: min(at_once, left)])
        left -= at_once
        sums = activities[:n_met] @ rows
        sums += start
        for side in (True, False):
            vertices, t = sums[:, :r], np.clip(sums[:, r:], 0.0, 1.0)
            open_ones = np.arange(n_met)
            if t.shape[1]:
                open_ones = np.flatnonzero(np.square(vertices - t @ Q).sum(axis=1) > state[0] ** 2 - rounding)
            _examine(P, Q, squares, activities, side, vertices, t, open_ones, rounding, state, best)
            np.subtract(both, sums, out=sums)
    return float(state[0]), best, not more or left <= 0


def _generic(generators: Float[np.ndarray, "k r"], rng: np.random.Generator) -> Float[np.ndarray, "k r"]:
    """Perturbed unit generators in coordinates that are generic but for the first, (1, 0, .., 0)."""
    units = generators / np.linalg.norm(generators, axis=1, keepdims=True)
    units = units + PERTURBATION * rng.uniform(-1, 1, size=units.shape) / np.sqrt(units.shape[1])
    generic: np.ndarray = units @ generic_frame(units, rng)
    return generic


@kernel
@no_type_check
def _visit(columns, tableau, position, activities):
    """Fill in the activities of the cells from `position` on; returns how many, and if there are more."""
    h, n_met = columns.shape[1], 0
    heights = np.empty(h)
    for _ in range(len(activities)):
        if cell_above(columns, position, tableau, heights):
            for i in range(h):
                activities[n_met, i] = heights[i] > 0.0
            n_met += 1
        if not next_choice(position, h):
            return n_met, False
    return n_met, True


@kernel
@no_type_check
def _examine(P, Q, squares, activities, side, vertices, guesses, which, rounding, state, best):
    """Raise the incumbent if one of these vertices of Z_+ lies farther from Z_-.

    Each starts from its guess; without guesses, from the point found for the one before, a neighbour.
    """
    t = np.zeros(len(Q))
    for k in which:
        if guesses.shape[1] > 0:
            copy_into(t, guesses[k])
        if not _ruled_out(vertices[k], Q, squares, state[0] * state[0] - rounding, t):
            _try_vertex(P, Q, activities[k], side, t, state, best)


@kernel
@no_type_check
def _ruled_out(vertex, Q, squares, limit, t):
    """Whether coordinate descent from t finds a point of Z_- within the limit, a squared distance."""
    m, r = Q.shape
    residual = vertex.copy()
    for j in range(m):
        for c in range(r):
            residual[c] -= t[j] * Q[j, c]
    norm = dot(residual, residual)
    for sweep in range(_SWEEPS):
        if norm <= limit:
            return True
        before = norm
        for j in range(m):
            if squares[j] == 0.0:
                continue
            change = min(max(t[j] + dot(Q[j], residual) / squares[j], 0.0), 1.0) - t[j]
            if change != 0.0:
                t[j] += change
                for c in range(r):
                    residual[c] -= change * Q[j, c]
        norm = dot(residual, residual)
        if (before - norm) * (_SWEEPS - sweep - 1) < norm - limit:  # the steps become smaller and smaller
            break
    return norm <= limit


@kernel
@no_type_check
def _try_vertex(P, Q, active, side, t, state, best):
    """Raise the incumbent if this vertex of Z_+ lies farther from Z_-, by the exact kernel."""
    vertex = np.zeros(P.shape[1])
    for i in range(len(P)):
        if (active[i] > 0.0) == side:
            for c in range(len(vertex)):
                vertex[c] += P[i, c]
    residual = vertex.copy()
    norm, _ = least_norm(Q, vertex, np.ones(len(Q)), state[0], t, residual)
    if norm > state[0]:
        state[0] = norm
        for c in range(len(best)):
            best[c] = residual[c] / norm
