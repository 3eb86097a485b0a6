"""Whether a flow rests: what the time that is left could still move, neuron by neuron.

A neuron's velocity alone does not tell. At a saddle a neuron of size 1e-16 hardly moves, and yet grows like
``e^{||p|| t}`` until it takes the network away. With the loss weights frozen, as they are where all that is
large stands still, its pull p is constant while its pattern lasts. With x the part of v along p, ``x + b``
then grows like ``e^{||p|| t}``, ``x - b`` decays likewise, and the rest of v stays: how far the neuron gets
is known in closed form.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from convexrelu.training.flow.field import Field
from convexrelu.training.flow.step import Mode

__all__ = ["is_still"]

STILL = 1e-13
"""The flow has converged when the remaining time moves no neuron by this part of the largest one."""

STRAIGHT = 1e-14
"""A neuron this near to its pull's line (sine) is on it, as in the early phase: nearer, its distance is
rounding, and must not bring back a balanced neuron that fades along the line."""

_FOREVER = 1e300
"""Stands for a time left that float64 cannot hold: finite, so that a pull of 0 still goes nowhere in it."""

_LARGEST_EXPONENT = 700.0  # exp of it is still a float


def is_still(field: Field, state: Float[np.ndarray, " s"], mode: Mode, clock_rate: float, end: float) -> bool:
    """Return whether nothing would move until log(1 + t) is `end`, with all loss weights as they are.

    `clock_rate` is the derivative of log(1 + t), which may vanish in float64 where the loss is huge.
    """
    neurons = field.neurons(state)
    sizes = np.exp(neurons[:, -1])
    largest = float((sizes * np.linalg.norm(neurons[:, :-1], axis=1)).max())
    remaining = math.expm1(min(end - float(state[-1]), _LARGEST_EXPONENT))
    left = min(remaining / clock_rate, _FOREVER) if clock_rate > 0.0 else _FOREVER
    return bool(_ways(field, state, mode, left).max() <= STILL * largest)


def _ways(field: Field, state: Float[np.ndarray, " s"], mode: Mode, left: float) -> Float[np.ndarray, " m"]:
    """Return how far each neuron gets at most, its pull frozen."""
    neurons, pulls = field.neurons(state), field.pulls(state, mode)
    v, b, r = neurons[:, :-2], neurons[:, -2], neurons[:, -1]
    rates = np.hypot.reduce(pulls, axis=1)  # the squares may overflow
    units = pulls / np.where(rates > 0.0, rates, 1.0)[:, None]
    along = (v * units).sum(axis=1)
    growing, fading = _growing_part(v, b, along, units, field.problem.imbalance == 0.0), np.abs(along - b)
    with np.errstate(over="ignore"):  # infinitely far is an answer
        turns = rates * left
        # the exponents are added, lest e^r vanish before it is multiplied
        far = np.exp(np.minimum(r + turns, _LARGEST_EXPONENT))
        near = np.exp(r) * np.expm1(np.minimum(turns, 1.0))
        return np.asarray(growing * np.where(turns > 1.0, far, near) - fading * np.exp(r) * np.expm1(-turns))


def _growing_part(
    v: Float[np.ndarray, "m d"],
    b: Float[np.ndarray, " m"],
    along: Float[np.ndarray, " m"],
    units: Float[np.ndarray, "m d"],
    balanced: np.ndarray,
) -> Float[np.ndarray, " m"]:
    """Return ``|x + b|``, of balanced neurons without cancellation: ``b^2 - x^2`` is what v has across p."""
    across = np.linalg.norm(v - along[:, None] * units, axis=1)
    across = np.where(across <= STRAIGHT * np.linalg.norm(v, axis=1), 0.0, across)
    total = np.abs(along) + np.abs(b)
    opposed = balanced & (along * b < 0.0)
    return np.where(opposed, np.square(across) / np.where(total > 0.0, total, 1.0), np.abs(along + b))
