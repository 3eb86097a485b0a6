"""What ends a mode: a compiled search that misses no root of a step's interpolant, and where exactly.

Along a step the state is a polynomial, hence so is the height ``x_n^T v_i`` of a neuron over a hyperplane. In
Bernstein form a polynomial lies between its smallest and largest coefficient: where the smallest is positive
there is no root, else the step is halved. So a hyperplane that is left and met again within one step is seen.
The multipliers of slides are no polynomials; they are interpolated at eight Chebyshev points, to the order of
the interpolant. What is found is corrected on a Runge-Kutta step that ends at the event, so that its time has
the accuracy of the step and not of the interpolant.

Two rare changes the search leaves out: they are looked for at the quarters of a step, and located by
bisection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import comb
from typing import no_type_check

import numpy as np
from jaxtyping import Float

from convexrelu._box_least_norm import copy_into, dot
from convexrelu._typing import kernel
from convexrelu.training.flow.step import (
    DEGREE,
    STAGES,
    Mode,
    Problem,
    estimate_error,
    fill_polynomial,
    fill_pull,
    fill_stages,
    fill_weights,
    project,
)
from convexrelu.training.kernels.crossing import least_pull

__all__ = [
    "CROSSED",
    "ENDED",
    "LEFT",
    "OFF_PLANES",
    "SLIPPED",
    "TURNED",
    "VIOLATION",
    "Change",
    "advance",
    "fill_jumps",
    "fill_rooms",
    "first_below",
    "hold",
    "is_watched",
    "land",
    "rare_change",
    "shoot",
]

ENDED, CROSSED, LEFT, SLIPPED, TURNED = 0, 1, 2, 3, 4
"""Kinds of change: the end of the run; a neuron meets a hyperplane; a slide ends, its multipliers being
unique (LEFT) or not (SLIPPED); the w2 of a sliding neuron changes its sign. The last two are the rare
ones."""

VIOLATION = 1e-12
"""A pattern changes when a slack gets this far below 0: nearer, it may be the rounding of the change before.
The time of the change is nevertheless where the slack is 0."""

OFF_PLANES = 1e-11
"""A neuron on hyperplanes with dependent normals stays while its velocity leads off them by less than this
part of the pulls that make it: the rounding of a least-norm problem of condition up to about 1e4."""

_CORRECTION = 0.01
"""Part of the way to a change by which a step may correct what the interpolant said: more only says that the
slack is flat there."""

_PARTS = (0.25, 0.5, 0.75, 1.0)
"""Parts of a step at which the rare changes are looked for."""

_HALVINGS = 48
"""Of the part of a step in which a rare change lies."""

_FINEST = 2.0**-48  # of a step: two moments nearer than this are one
_TINY = 1e-300  # so that a neuron that rests at 0 crosses nothing
_REJECTIONS = 60  # in a row, after which the step is a part 0.2^60 of the first and the run has stalled
_SAFETY, _LARGEST_CUT, _LARGEST_GROWTH = 0.9, 0.2, 10.0  # of the step control, as usual


def _bernstein_at(x: Float[np.ndarray, " x"]) -> Float[np.ndarray, "x 8"]:
    j = np.arange(DEGREE + 1)
    return np.array([comb(DEGREE, k) for k in j]) * x[:, None] ** j * (1.0 - x[:, None]) ** (DEGREE - j)


_AT_NODES = _bernstein_at((1.0 - np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)) / 2.0)
_FROM_NODES = np.linalg.inv(_AT_NODES)


@kernel
@no_type_check
def first_below(c, level):
    """Return the first x in [0, 1] where the polynomial with these coefficients is at most `level`, or 2."""
    size, depth = len(c), 64
    stack, begin, width = np.empty((depth, size)), np.zeros(depth), np.ones(depth)
    for j in range(size):
        stack[0, j] = c[j]
    top = 0
    while top >= 0:
        least = stack[top, 0]
        for j in range(1, size):
            least = min(least, stack[top, j])
        if least > level:
            top -= 1
        elif stack[top, 0] <= level or width[top] < _FINEST:
            return begin[top]
        else:
            # the right half takes the place of the whole, the left one is looked at first
            width[top] *= 0.5
            begin[top + 1], width[top + 1] = begin[top], width[top]
            begin[top] += width[top]
            for end in range(size):
                stack[top + 1, end] = stack[top, 0]
                for j in range(size - 1 - end):
                    stack[top, j] = 0.5 * (stack[top, j] + stack[top, j + 1])
            top += 1
    return 2.0


@kernel
@no_type_check
def fill_jumps(member, sign, sizes, weights, low, high):
    """Fill in what each hyperplane's rows add to the pull along its normal, on either side of it."""
    for plane in range(len(low)):
        low[plane], high[plane] = 0.0, 0.0
    for row in range(len(weights)):
        if sign[row] > 0:
            high[member[row]] += weights[row] * sizes[row]
        elif sign[row] < 0:
            low[member[row]] -= weights[row] * sizes[row]


@kernel
@no_type_check
def fill_rooms(problem, mode, state, rooms):
    """Fill in how far each slide's multipliers are from 0 and 1; inf where they are not unique, or fixed."""
    XT, mask, sliding, starts, planes = problem.XT, mode.mask, mode.sliding, mode.starts, mode.planes
    multipliers, dependent = mode.multipliers, mode.dependent
    d, n = XT.shape
    weights, pull = np.empty(n), np.empty(d)
    low, high = np.empty(len(problem.normals)), np.empty(len(problem.normals))
    fill_weights(XT, problem.y, mask, problem.code, state, weights)
    fill_jumps(problem.member, problem.sign, problem.sizes, weights, low, high)
    for s in range(len(sliding)):
        fill_pull(XT, mask[sliding[s]], weights, pull)
        for slot in range(starts[s], starts[s + 1]):
            if dependent[s] or problem.zero_at_ties:
                rooms[slot] = np.inf
                continue
            plane = planes[slot]
            needed, width = -dot(multipliers[slot], pull) - low[plane], high[plane] - low[plane]
            if width != 0.0:
                rooms[slot] = min(needed / width, 1.0 - needed / width)
            else:
                rooms[slot] = 0.5 if needed == 0.0 else -1.0


@kernel
@no_type_check
def _first_height(normals, sides, coefficients, best, slack):
    """Return the first moment before `best` at which a neuron crosses a hyperplane, and the two."""
    d = normals.shape[1]
    neuron, plane = -1, -1
    c = np.empty(DEGREE + 1)
    for i in range(len(sides)):
        base, reach, length = i * (d + 2), 0.0, 0.0
        for j in range(DEGREE + 1):
            moved, square = 0.0, 0.0
            for k in range(base, base + d):
                moved += (coefficients[k, j] - coefficients[k, 0]) ** 2
                square += coefficients[k, j] ** 2
            reach, length = max(reach, moved), max(length, square)
        reach, level = math.sqrt(reach), max(VIOLATION * math.sqrt(length), _TINY)
        for h in range(len(normals)):
            side, height = sides[i, h], 0.0
            for k in range(d):
                height += side * normals[h, k] * coefficients[base + k, 0]
            if side == 0 or height > reach:
                continue
            for j in range(DEGREE + 1):
                c[j] = 0.0
                for k in range(d):
                    c[j] += side * normals[h, k] * coefficients[base + k, j]
            found = first_below(c, -level)
            if found < best:
                best, neuron, plane = found, i, h
                copy_into(slack, c)
    return best, neuron, plane


@kernel
@no_type_check
def _first_room(problem, mode, coefficients, best, slack):
    """Return the first moment before `best` at which a unique multiplier leaves [0, 1], and its slot."""
    values, point = np.empty((len(mode.planes), DEGREE + 1)), np.empty(len(coefficients))
    rooms = np.empty(len(mode.planes))
    for node in range(DEGREE + 1):
        for j in range(len(point)):
            point[j] = dot(_AT_NODES[node], coefficients[j])
        fill_rooms(problem, mode, point, rooms)
        for slot in range(len(rooms)):
            values[slot, node] = rooms[slot]
    first = -1
    c = np.empty(DEGREE + 1)
    for slot in range(len(mode.planes)):
        if values[slot, 0] == np.inf:
            continue
        for j in range(DEGREE + 1):
            c[j] = dot(_FROM_NODES[j], values[slot])
        found = first_below(c, -VIOLATION)
        if found < best:
            best, first = found, slot
            copy_into(slack, c)
    return best, first


@kernel
@no_type_check
def _first_change(problem, mode, coefficients, end, slack):
    """Return when in a step (in [0, 1], or 2: not at all) what happens first, with its indices.

    They are those of the neuron and its hyperplane (CROSSED), or of the slide's slot (LEFT). `slack` is left
    as the polynomial that tells.
    """
    best, kind, first, second = 2.0, ENDED, -1, -1
    if coefficients[-1, DEGREE] >= end:
        for j in range(DEGREE + 1):
            slack[j] = end - coefficients[-1, j]
        best = first_below(slack, 0.0)
    found, neuron, plane = _first_height(problem.normals, mode.sides, coefficients, best, slack)
    if found < best:
        best, kind, first, second = found, CROSSED, neuron, plane
    if len(mode.planes) > 0:
        found, slot = _first_room(problem, mode, coefficients, best, slack)
        if found < best:
            best, kind, first, second = found, LEFT, slot, -1
    return best, kind, first, second


@kernel
@no_type_check
def advance(problem, mode, state, step, rtol, end, records, slack):
    """Follow the flow in place until the mode changes, or for as many steps as there is room to record.

    `step` is what the step control suggests and `end` the value of log(1 + t) at which the run ends. Returns
    how many steps were recorded, the last step taken, the next one to take (0: none is short enough), and
    when in it what happens first (see `_first_change`; 2: nothing yet). A step in which something happens is
    not taken.
    """
    d, size = len(problem.XT), len(state)
    K, coefficients = np.empty((STAGES + 4, size)), np.empty((size, DEGREE + 1))
    point, end_state = np.empty(size), np.empty(size)
    taken = 0.0
    # no literals as arguments: numba would compile the stages once more for each
    begin, stages, extra = np.int64(0), np.int64(STAGES), np.int64(STAGES + 3)
    for count in range(len(records)):
        growth, error = _LARGEST_GROWTH, np.inf
        fill_stages(problem, mode, state, 0.0, begin, begin, K, point)
        for _ in range(_REJECTIONS):
            fill_stages(problem, mode, state, step, begin + 1, stages, K, end_state)
            error = estimate_error(d, state, end_state, step, K, rtol)
            if error <= 1.0:
                break
            growth = 1.0
            step *= max(_LARGEST_CUT, _SAFETY * error ** (-1.0 / 8.0))
        if error > 1.0:
            return count, taken, 0.0, 2.0, ENDED, -1, -1
        fill_stages(problem, mode, state, step, stages + 1, extra, K, point)
        fill_polynomial(state, end_state, step, K, coefficients)
        x, kind, first, second = _first_change(problem, mode, coefficients, end, slack)
        if x <= 1.0:
            return count, taken, step, x, kind, first, second
        for j in range(size):
            state[j] = end_state[j]
        project(problem, mode, state)
        for j in range(size):
            records[count, j] = state[j]
        taken = step
        step *= min(growth, _SAFETY * error ** (-1.0 / 8.0)) if error > 0.0 else growth
    return len(records), taken, step, 2.0, ENDED, -1, -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """The end of a mode: its kind, and whose.

    The indices are those of the neuron and its hyperplane (CROSSED), of the slide's slot (LEFT) or of the
    slide (SLIPPED, TURNED).
    """

    kind: int
    first: int
    second: int

    def place(self, mode: Mode) -> tuple[int, int]:
        """Return the neuron that changes, and one hyperplane it is on."""
        if self.kind == CROSSED:
            return self.first, self.second
        slide, slot = self.first, int(mode.starts[self.first]) if self.kind != LEFT else self.first
        if self.kind == LEFT:
            slide = int(np.searchsorted(mode.starts, slot, side="right")) - 1
        return int(mode.sliding[slide]), int(mode.planes[slot])

    def slack(self, problem: Problem, mode: Mode, state: Float[np.ndarray, " s"], end: float) -> float:
        """Return what the change brings to 0."""
        width = len(problem.XT) + 2
        if self.kind == ENDED:
            return end - float(state[-1])
        if self.kind == CROSSED:
            v = state[self.first * width : self.first * width + width - 2]
            return float(mode.sides[self.first, self.second] * (problem.normals[self.second] @ v))
        if self.kind == LEFT:
            rooms = np.empty(len(mode.planes))
            fill_rooms(problem, mode, state, rooms)
            return float(rooms[self.first])
        if self.kind == SLIPPED:
            return hold(problem, mode, state, self.first)
        return (
            float(mode.outward[self.first] * state[mode.sliding[self.first] * width + width - 2]) + VIOLATION
        )


def shoot(
    problem: Problem, mode: Mode, state: Float[np.ndarray, " s"], way: float
) -> Float[np.ndarray, " s"]:
    """Return the state after one Runge-Kutta step."""
    K, point = np.empty((STAGES + 1, len(state))), np.empty(len(state))
    fill_stages(problem, mode, state, 0.0, 0, 0, K, point)
    fill_stages(problem, mode, state, way, 1, STAGES, K, point)
    return point


def land(
    problem: Problem,
    mode: Mode,
    state: Float[np.ndarray, " s"],
    step: float,
    part: float,
    polynomial: Float[np.ndarray, " 8"],
    change: Change,
    end: float,
) -> tuple[Float[np.ndarray, " s"], float]:
    """Return the state at a change near a part of a step, and the way there.

    The polynomial of the slack tells how fast it falls; one Newton correction on the step itself is enough.
    """
    way = part * step
    if way <= 0.0:
        return state, 0.0
    point = shoot(problem, mode, state, way)
    slope = _slope(polynomial, part) / step
    if slope < 0.0:
        shift = change.slack(problem, mode, point, end) / slope
        if abs(shift) <= _CORRECTION * way:
            way -= shift
            point = shoot(problem, mode, state, way)
    project(problem, mode, point)
    return point, way


def _slope(polynomial: Float[np.ndarray, " 8"], x: float) -> float:
    """Return the derivative at x of a polynomial in Bernstein form, by de Casteljau's rule."""
    c = np.diff(polynomial) * (len(polynomial) - 1)
    while len(c) > 1:
        c = (1.0 - x) * c[:-1] + x * c[1:]
    return float(c[0])


def hold(problem: Problem, mode: Mode, state: Float[np.ndarray, " s"], slide: int) -> float:
    """Return by how much less than tolerated the velocity of a slide leads off its hyperplanes.

    This decides where multipliers are not unique, or fixed to 0 (ties count as inactive).
    """
    d, n = problem.XT.shape
    weights, pull = np.empty(n), np.empty(d)
    low, high = np.empty(len(problem.normals)), np.empty(len(problem.normals))
    fill_weights(problem.XT, problem.y, mode.mask, problem.code, state, weights)
    fill_pull(problem.XT, mode.mask[mode.sliding[slide]], weights, pull)
    off = pull - mode.projectors[slide] @ pull
    scale = float(np.linalg.norm(pull))
    if problem.zero_at_ties:
        return OFF_PLANES * scale - float(np.linalg.norm(off))
    fill_jumps(problem.member, problem.sign, problem.sizes, weights, low, high)
    planes = mode.planes[mode.starts[slide] : mode.starts[slide + 1]]
    scale += float(np.abs(low[planes]).sum() + np.abs(high[planes]).sum())
    least_pull(problem.normals, low, high, 1.0, planes, off, np.empty(len(planes)), pull)
    return OFF_PLANES * scale - float(np.linalg.norm(pull))


def is_watched(problem: Problem, mode: Mode) -> bool:
    """Whether one of the rare changes can end the mode."""
    slides = len(mode.sliding) > 0
    return bool(mode.dependent.any() or (problem.imbalance[mode.sliding] > 0).any()) or (
        slides and problem.zero_at_ties
    )


def rare_change(
    problem: Problem, mode: Mode, state: Float[np.ndarray, " s"], way: float
) -> tuple[float, Change] | None:
    """Return the way to the first of the rare changes within `way`, and which it is; None if there is none.

    They are looked for at the quarters of the way and located by bisection, on Runge-Kutta steps.
    """
    unclear = np.ones(len(mode.sliding), dtype=np.bool_) if problem.zero_at_ties else mode.dependent
    watched = [Change(kind=SLIPPED, first=int(s), second=-1) for s in np.flatnonzero(unclear)]
    turning = np.flatnonzero(problem.imbalance[mode.sliding] > 0)
    watched += [Change(kind=TURNED, first=int(s), second=-1) for s in turning]
    found = []
    for change in watched:
        early = 0.0
        for late in way * np.array(_PARTS):
            if change.slack(problem, mode, shoot(problem, mode, state, late), 0.0) < 0.0:
                found.append((_bisect(problem, mode, state, change, early, late), change))
                break
            early = late
    return min(found, key=lambda pair: pair[0]) if found else None


def _bisect(
    problem: Problem, mode: Mode, state: Float[np.ndarray, " s"], change: Change, early: float, late: float
) -> float:
    if change.slack(problem, mode, state, 0.0) < 0.0:
        return 0.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (early + late)
        if change.slack(problem, mode, shoot(problem, mode, state, middle), 0.0) < 0.0:
            late = middle
        else:
            early = middle
    return late
