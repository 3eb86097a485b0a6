"""Local maxima of a neuron's correlation for many weights of both signs: only rows near the kink are free.

As in :mod:`.ascent` a step fixes which rows are active and solves the concave rest with the box least-norm
kernel, but a row with a negative weight is free in it only if its hyperplane is near the neuron; the others
count as active or not, as they are. Then a step costs a product with the rows, and only the few near ones an
exact solution. It may overshoot, so that it is shortened until the correlation grows.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float

from convexrelu._box_least_norm import dot, least_norm_from
from convexrelu._typing import kernel

__all__ = ["ascend", "beside"]

# Of starts beside neurons, at distances between these: to the power of the dimension of what surrounds each,
# up to so many; and in all about so many.
_EACH_WAY, _MOST_EACH, _MOST_BESIDE = 6, 200, 2500
_LEAST_ASIDE, _MOST_ASIDE = 3e-3, 0.1
_MOST_FREE = 60  # rows in one exact solution
_MAX_STEPS = 60


def ascend(
    rows: Float[np.ndarray, "k r"], weights: Float[np.ndarray, " k"], starts: Float[np.ndarray, "s r"]
) -> tuple[Float[np.ndarray, "s r"], Float[np.ndarray, " s"]]:
    """Return where ascents of ``weights @ (rows @ u)_+`` end that begin at unit starts, and the values there.

    `rows` are unit vectors.
    """
    used = weights != 0
    ends, values = np.array(starts, dtype=np.float64, order="C"), np.empty(len(starts))
    _ascend(np.ascontiguousarray(rows[used]), weights[used], ends, values, _MOST_FREE, _MAX_STEPS)
    return ends, values


def beside(directions: Float[np.ndarray, "m r"], rng: np.random.Generator) -> Float[np.ndarray, "s r"]:
    """Return random unit starts near unit directions, at distances of all sizes.

    Multipliers that a network fits to its neurons level the correlation near these, and there it is that a
    narrow maximum is missed: such starts find it ten times as often as those anywhere (2000 rows in rank 3).
    """
    m, r = directions.shape
    copies = min(_EACH_WAY ** (r - 1), _MOST_EACH, 1 + _MOST_BESIDE // max(m, 1))
    near = np.repeat(directions, copies, axis=0)
    distances = np.exp(rng.uniform(np.log(_LEAST_ASIDE), np.log(_MOST_ASIDE), size=(len(near), 1)))
    near += distances * rng.normal(size=near.shape) / np.sqrt(r)
    starts: np.ndarray = near / np.linalg.norm(near, axis=1, keepdims=True)
    return starts


@kernel
@no_type_check
def _heights(rows, u, heights, weights):
    """The rows' products with u, and the correlation."""
    value = 0.0
    for i in range(len(rows)):
        height = dot(rows[i], u)
        heights[i] = height
        if height > 0.0:
            value += weights[i] * height
    return value


@kernel
@no_type_check
def _count_near(heights, weights, radius):
    count = 0
    for i in range(len(heights)):
        if weights[i] < 0.0 and abs(heights[i]) <= radius:
            count += 1
    return count


@kernel
@no_type_check
def _target(rows, weights, heights, radius, free, t, residual):
    """The direction of the next neuron, in `residual`; its norm."""
    r = rows.shape[1]
    total = np.zeros(r)
    generators = np.empty((free, r))
    k = 0
    for i in range(len(rows)):
        if weights[i] < 0.0 and abs(heights[i]) <= radius and k < free:
            for c in range(r):
                generators[k, c] = -weights[i] * rows[i, c]
            t[k] = 1.0 if heights[i] > 0.0 else 0.0
            k += 1
        elif heights[i] > 0.0:
            for c in range(r):
                total[c] += weights[i] * rows[i, c]
    if k > 0:
        norm, _ = least_norm_from(generators[:k], total, np.ones(k), 0.0, t[:k], residual)
        return norm
    for c in range(r):
        residual[c] = total[c]
    return np.sqrt(dot(total, total))


@kernel
@no_type_check
def _ascend(rows, weights, U, values, most_free, max_steps):
    n, r = rows.shape
    heights, trial_heights = np.empty(n), np.empty(n)
    t, residual, trial = np.empty(most_free), np.empty(r), np.empty(r)
    for row in range(len(U)):
        u = U[row]
        value = _heights(rows, u, heights, weights)
        radius = 0.05
        for _ in range(max_steps):
            free = _count_near(heights, weights, radius)
            while free > most_free:
                radius *= 0.5
                free = _count_near(heights, weights, radius)
            norm = _target(rows, weights, heights, radius, free, t, residual)
            if norm <= 0.0:
                break
            distance = 0.0
            for c in range(r):
                residual[c] /= norm
                distance += (residual[c] - u[c]) ** 2
            distance = np.sqrt(distance)
            step, moved = 1.0, False
            while step * distance > 1e-13:
                size = 0.0
                for c in range(r):
                    trial[c] = (1.0 - step) * u[c] + step * residual[c]
                    size += trial[c] ** 2
                size = np.sqrt(size)
                if size > 1e-12:
                    for c in range(r):
                        trial[c] /= size
                    reached = _heights(rows, trial, trial_heights, weights)
                    if reached > value + 1e-14 * abs(value):
                        moved = True
                        break
                step *= 0.5
            if not moved:
                # more rows may have to be free; where all that matter are, it is a maximum
                if radius >= 2.0 * distance or radius >= 1.0 or free >= most_free:
                    break
                radius = max(2.0 * distance, 4.0 * radius)
                continue
            gain = reached - value
            value = reached
            for c in range(r):
                u[c] = trial[c]
            heights, trial_heights = trial_heights, heights
            radius = min(max(4.0 * step * distance, 1e-9), 1.0)
            if gain <= 1e-12 * abs(value):
                break
        values[row] = value
