"""What ends a mode: where exactly, and the two rare ways to end it that the compiled search leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._box_least_norm import box_least_norm
from convexrelu.training.flow.events import (
    CROSSED,
    ENDED,
    LEFT,
    SLIPPED,
    TURNED,
    VIOLATION,
    fill_jumps,
    fill_rooms,
)
from convexrelu.training.flow.step import (
    STAGES,
    Mode,
    Problem,
    fill_pull,
    fill_stages,
    fill_weights,
    project,
)

__all__ = ["Change", "is_watched", "land", "rare_change", "shoot"]

_CORRECTION = 0.01
"""Part of the way to a change by which a step may correct what the interpolant said: more only says that the
slack is flat there."""

_PARTS = (0.25, 0.5, 0.75, 1.0)
"""Parts of a step at which the rare changes are looked for."""

_HALVINGS = 48
"""Of the part of a step in which a rare change lies."""


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


OFF_PLANES = 1e-11
"""A neuron on hyperplanes with dependent normals stays while its velocity leads off them by less than this
part of the pulls that make it: the rounding of a least-norm problem of condition up to about 1e4."""


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
    low, high, normals = low[planes], high[planes], problem.normals[planes]
    scale += float(np.abs(low).sum() + np.abs(high).sum())
    excess = box_least_norm((low - high)[:, None] * normals, off + low @ normals, np.ones(len(planes)))
    return OFF_PLANES * scale - excess.norm


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
