"""What a neuron does on hyperplanes: it crosses, slides along them, or leaves to one side.

If the velocities of both sides of a hyperplane lead across, the neuron crosses. If both lead back, it slides:
its velocity is the least-norm element of the Clarke subdifferential, and it leaves when the multiplier of the
row reaches 0 or 1. If both lead away, the inclusion has several solutions; the subgradient 0 (WP section 4)
decides.

With that subgradient at every tie there is nothing between the two sides, and no solution where both lead
back.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from convexrelu._box_least_norm import box_least_norm
from convexrelu.training.flow.events import OFF_PLANES, fill_jumps
from convexrelu.training.flow.step import Problem

__all__ = ["NoSolutionError", "active_rows", "settle", "settle_at_zero"]

_FLIPS = 8
"""How often each hyperplane may change its side while a crossing of several is settled: against rounding."""

_INTERIOR = 1e-13
"""A multiplier this far from 0 and 1 means sliding; nearer, the neuron leaves to that side. It must be well
below what counts as a change of pattern, or a neuron that barely slides would leave again and again."""


_LEVEL = 1e-13
"""A velocity across a hyperplane below this part of the sizes of all pulls that make it is the rounding of 0,
as in the early phase (`INTERIOR` of its kernel): the neuron then does not leave to the active side."""


class NoSolutionError(Exception):
    """With rows at zero inactive, no absolutely continuous curve follows the velocity beyond this point."""


def active_rows(problem: Problem, sides: Int[np.ndarray, "... h"]) -> Float[np.ndarray, "... n"]:
    """Which rows are active for neurons on these sides of the hyperplanes, as 1 and 0."""
    if not sides.shape[-1]:
        return np.zeros((*sides.shape[:-1], len(problem.y)))
    facing = sides[..., problem.member] * np.where(problem.member >= 0, problem.sign, 0)
    return np.asarray(facing > 0, dtype=np.float64)


def outward_sign(v: Float[np.ndarray, " d"], b: float, pull: Float[np.ndarray, " d"]) -> float:
    """Return the sign that w2 has, or is about to have, when w1 has the direction v."""
    return float(np.sign(b) or np.sign(v @ pull) or 1.0)


def settle(
    problem: Problem,
    weights: Float[np.ndarray, " n"],
    v: Float[np.ndarray, " d"],
    b: float,
    sides: Int[np.ndarray, " h"],
    planes: Int[np.ndarray, " k"],
) -> Int[np.ndarray, " h"]:
    """Return a neuron's sides after it met these hyperplanes: it crosses them, or slides (side 0)."""
    before, sides = sides, sides.copy()
    sides[planes] = 0
    pull = (active_rows(problem, sides) * weights) @ problem.XT.T
    low, high = np.empty(len(sides)), np.empty(len(sides))
    fill_jumps(problem.member, problem.sign, problem.sizes, weights, low, high)
    outward = outward_sign(v, b, pull)
    attracting = outward * (high - low)[planes] < 0
    held, loose = planes[attracting], planes[~attracting]
    shape = (problem.normals[held], low[held], high[held])
    across = problem.normals[loose]
    push = np.zeros(len(loose))
    rounding = _LEVEL * _size_of_pulls(low, high, sides, loose)
    # a neuron that comes from one side crosses however slowly, or it would meet the hyperplane for ever
    wanted = outward * across @ least_pull(pull, *shape)[0] > np.where(before[loose] == 0, rounding, 0.0)
    # flipping a plane whose velocity leads away from its side raises the least norm, so this ends
    for _ in range(_FLIPS * len(loose)):
        push = np.where(wanted, high[loose], low[loose])
        speeds = outward * across @ least_pull(pull + push @ across, *shape)[0]
        wrong = np.flatnonzero(np.where(wanted, -speeds, speeds) > rounding)
        if not len(wrong):
            break
        wanted[wrong[0]] ^= True
    sides[loose] = np.where(wanted, 1, -1)
    t = least_pull(pull + push @ across, *shape)[1]
    sides[held] = np.where(t <= _INTERIOR, -1, np.where(t >= 1.0 - _INTERIOR, 1, 0))
    return sides


def _size_of_pulls(
    low: Float[np.ndarray, " h"],
    high: Float[np.ndarray, " h"],
    sides: Int[np.ndarray, " h"],
    loose: Int[np.ndarray, " k"],
) -> float:
    """Return the sizes of all pulls that make a velocity: of hyperplanes decided on, and of loose ones."""
    decided = np.where(sides > 0, high, np.where(sides < 0, low, 0.0))
    return float(np.abs(decided).sum() + np.maximum(np.abs(low), np.abs(high))[loose].sum())


def settle_at_zero(
    problem: Problem,
    weights: Float[np.ndarray, " n"],
    v: Float[np.ndarray, " d"],
    b: float,
    sides: Int[np.ndarray, " h"],
    planes: Int[np.ndarray, " k"],
) -> Int[np.ndarray, " h"]:
    """Return a neuron's sides where rows at zero count as inactive.

    It stays on hyperplanes to which its velocity is then parallel (side 0), and leaves the others. Raises
    NoSolutionError if the side to which it would leave sends it back.
    """
    sides = sides.copy()
    sides[planes] = 0
    while True:
        pull = (active_rows(problem, sides) * weights) @ problem.XT.T
        speeds = outward_sign(v, b, pull) * problem.normals[planes] @ pull
        rounding = OFF_PLANES * float(np.linalg.norm(pull))
        if (speeds * sides[planes] < -rounding).any():
            raise NoSolutionError
        leaving = (sides[planes] == 0) & (np.abs(speeds) > rounding)
        if not leaving.any():
            return sides
        sides[planes[leaving]] = np.sign(speeds[leaving]).astype(sides.dtype)


def least_pull(
    pull: Float[np.ndarray, " d"],
    normals: Float[np.ndarray, "k d"],
    low: Float[np.ndarray, " k"],
    high: Float[np.ndarray, " k"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " k"]]:
    """Return the least-norm ``pull + sum_h (low_h + t_h (high_h - low_h)) normals_h`` over 0 <= t <= 1.

    One plane needs no solver; more go to the package's box least-norm kernel.
    """
    base, generators = pull + low @ normals, (low - high)[:, None] * normals
    if len(normals) == 0:
        return base, np.zeros(0)
    if len(normals) == 1:
        square = float(generators[0] @ generators[0])
        t = np.clip(generators @ base / square if square > 0 else np.zeros(1), 0.0, 1.0)
        return base - t @ generators, t
    answer = box_least_norm(generators, base, np.ones(len(normals)))
    return answer.residual, answer.t
