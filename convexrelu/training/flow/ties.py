"""A neuron's sides where it meets hyperplanes: by Clarke's rule, which is compiled, or by WP's choice of 0.

With the derivative 0 at every tie there is nothing between the two sides of a hyperplane, and no solution
where both lead back.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from convexrelu.training.flow.events import OFF_PLANES, fill_jumps
from convexrelu.training.flow.step import Problem
from convexrelu.training.kernels.crossing import decide

__all__ = ["NoSolutionError", "active_rows", "settle", "settle_at_zero"]


class NoSolutionError(Exception):
    """With rows at zero inactive, no absolutely continuous curve follows the velocity beyond this point."""


def active_rows(problem: Problem, sides: Int[np.ndarray, "... h"]) -> Float[np.ndarray, "... n"]:
    """Which rows are active for neurons on these sides of the hyperplanes, as 1 and 0."""
    if not sides.shape[-1]:
        return np.zeros((*sides.shape[:-1], len(problem.y)))
    facing = sides[..., problem.member] * np.where(problem.member >= 0, problem.sign, 0)
    return np.ascontiguousarray(facing > 0, dtype=np.float64)  # one layout: kernels compile for each


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
    met: int,
) -> Int[np.ndarray, " h"]:
    """Return a neuron's sides after it met one of these hyperplanes (-1: none): it crosses, or slides (0)."""
    sides = sides.copy()
    low, high, share = np.empty(len(sides)), np.empty(len(sides)), np.empty(len(sides))
    fill_jumps(problem.member, problem.sign, problem.sizes, weights, low, high)
    outward = outward_sign(v, b, _pull_off(problem, weights, sides, planes))
    decide(problem.normals, low, high, outward, met, planes, sides, share)
    return sides


def _pull_off(
    problem: Problem,
    weights: Float[np.ndarray, " n"],
    sides: Int[np.ndarray, " h"],
    planes: Int[np.ndarray, " k"],
) -> Float[np.ndarray, " d"]:
    """Return the pull with the rows of these hyperplanes left out."""
    others = sides.copy()
    others[planes] = 0
    return np.asarray((active_rows(problem, others) * weights) @ problem.XT.T)


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
