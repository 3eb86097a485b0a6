"""Compiled velocity of the flow in a fixed mode, and one Runge-Kutta step of it with its polynomial.

The method is the explicit one of order 8 by Dormand and Prince with the interpolant of order 7 of Hairer,
Norsett and Wanner; its coefficients are read from SciPy. The flow does not depend on time, so none enters
them. The loops are compiled because a run is made of some 10^5 evaluations of a few microseconds each, less
than what calling NumPy costs.
"""

from __future__ import annotations

import math
from math import comb
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.integrate import DOP853

from convexrelu._box_least_norm import dot
from convexrelu._typing import kernel
from convexrelu.losses import EXPONENTIAL, LARGE_MARGIN, SQUARE

__all__ = [
    "DEGREE",
    "STAGES",
    "Mode",
    "Problem",
    "estimate_error",
    "fill_polynomial",
    "fill_pull",
    "fill_stages",
    "fill_weights",
    "project",
    "velocity",
]

DEGREE = 7
"""Degree of the interpolant in the fraction of the step."""

RESOLVED = 1e-6
"""Of an unbalanced neuron, the smaller weight is resolved down to this part of the neuron's size."""

STAGES = 12
"""Evaluations of the velocity a step, without the one at its start that the step before has made."""


class Problem(NamedTuple):
    """What the flow follows, as kernels take it.

    Rows that are parallel or antiparallel share a hyperplane: ``normals`` are unit, ``member`` and ``sign``
    say which hyperplane a row has (-1: the row is zero) and which way it points. ``code`` names the loss.
    ``polar`` says whether neurons are carried as ``e^r (v, b)`` with ``||v||^2 + b^2 = 1`` or as they are (r
    = 0), ``zero_at_ties`` that a row counts as inactive for a neuron on its hyperplane.
    """

    XT: Float[np.ndarray, "d n"]
    y: Float[np.ndarray, " n"]
    sizes: Float[np.ndarray, " n"]
    normals: Float[np.ndarray, "h d"]
    member: Int[np.ndarray, " n"]
    sign: Int[np.ndarray, " n"]
    imbalance: Float[np.ndarray, " m"]
    code: int
    polar: bool
    zero_at_ties: bool


class Mode(NamedTuple):
    """The pattern of every neuron: its side (+1, -1, 0 on it) of every hyperplane, and who slides.

    ``mask`` says which rows are active. Slide s is of neuron ``sliding[s]`` along the hyperplanes
    ``planes[starts[s]:starts[s + 1]]``; ``projectors[s]`` takes away what leads off them, the rows of
    ``multipliers`` give a vector's coordinates in their normals, and ``dependent[s]`` tells that these are
    not unique. It presumes that w2 has the sign ``outward[s]``. ``slide_of[i]`` is neuron i's slide, or -1.
    """

    sides: Int[np.ndarray, "m h"]
    mask: Float[np.ndarray, "m n"]
    slide_of: Int[np.ndarray, " m"]
    sliding: Int[np.ndarray, " s"]
    starts: Int[np.ndarray, " s+1"]
    planes: Int[np.ndarray, " k"]
    projectors: Float[np.ndarray, "s d d"]
    multipliers: Float[np.ndarray, "k d"]
    dependent: Bool[np.ndarray, " s"]
    outward: Float[np.ndarray, " s"]


def _stage_weights() -> Float[np.ndarray, "16 16"]:
    table = np.zeros((16, 16))
    table[:STAGES, :STAGES] = DOP853.A
    table[STAGES, :STAGES] = DOP853.B
    table[STAGES + 1 :] = DOP853.A_EXTRA
    return table


def _bernstein_weights() -> Float[np.ndarray, "8 7"]:
    """Bernstein coefficients of the interpolant's basis ``x^a (1 - x)^b``, (a, b) = (1, 0), (1, 1), ..."""
    table = np.zeros((DEGREE + 1, DEGREE))
    for k in range(DEGREE):
        a, b = k // 2 + 1, (k + 1) // 2
        for j in range(a, DEGREE - b + 1):
            table[j, k] = comb(DEGREE - a - b, j - a) / comb(DEGREE, j)
    return table


_A = _stage_weights()
_E3, _E5, _D = np.array(DOP853.E3), np.array(DOP853.E5), np.array(DOP853.D)
_TO_BERNSTEIN = _bernstein_weights()


@kernel
@no_type_check
def fill_weights(XT, y, mask, code, state, weights):
    """Fill in the loss weights ``-y_n l'(q_n)``, over L in rescaled time; return log dt/ds.

    Masks are factors and no branches, which the processor could not foresee.
    """
    d, n = XT.shape
    heights = np.empty(n)
    for row in range(n):
        weights[row] = 0.0
    for i in range(len(mask)):
        base = i * (d + 2)
        scale = state[base + d] * math.exp(2.0 * state[base + d + 1])
        for row in range(n):
            heights[row] = 0.0
        for k in range(d):
            for row in range(n):
                heights[row] += state[base + k] * XT[k, row]
        for row in range(n):
            weights[row] += scale * (mask[i, row] * heights[row])
    if code == SQUARE:
        for row in range(n):
            weights[row] = y[row] - weights[row]
        return 0.0
    least = np.inf
    for row in range(n):
        weights[row] *= y[row]
        least = min(least, weights[row])
    # beyond LARGE_MARGIN the logistic loss is the exponential one, which is taken relative to its largest
    tail, total = code == EXPONENTIAL or least > LARGE_MARGIN, 0.0
    for row in range(n):
        q = weights[row]
        if tail:
            weights[row] = math.exp(least - q)
            total += weights[row]
        else:
            small = math.exp(-abs(q))
            total += math.log1p(small) - min(q, 0.0)
            weights[row] = (small if q > 0.0 else 1.0) / (1.0 + small)
    for row in range(n):
        weights[row] *= y[row] / total
    return (least if tail else 0.0) - math.log(total)


@kernel
@no_type_check
def fill_pull(XT, active, weights, pull):
    """Fill in the sum of ``weights_n x_n`` over the active rows (1, others 0), four columns at a time."""
    d, n = XT.shape
    for k in range(0, d, 4):
        k1, k2, k3 = min(k + 1, d - 1), min(k + 2, d - 1), min(k + 3, d - 1)
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for row in range(n):
            weight = active[row] * weights[row]
            s0 += weight * XT[k, row]
            s1 += weight * XT[k1, row]
            s2 += weight * XT[k2, row]
            s3 += weight * XT[k3, row]
        pull[k3], pull[k2], pull[k1], pull[k] = s3, s2, s1, s0


@kernel
@no_type_check
def velocity(problem, mode, state, out):
    """Fill in the derivative of a state with respect to s while the mode lasts."""
    XT, mask, slide_of, projectors = problem.XT, mode.mask, mode.slide_of, mode.projectors
    d, n = XT.shape
    weights, raw, pull = np.empty(n), np.empty(d), np.empty(d)
    log_rate = fill_weights(XT, problem.y, mask, problem.code, state, weights)
    for i in range(len(mask)):
        base, slide = i * (d + 2), slide_of[i]
        fill_pull(XT, mask[i], weights, raw)
        b, along = state[base + d], 0.0
        for k in range(d):
            pull[k] = dot(projectors[slide, k], raw) if slide >= 0 else raw[k]
            along += state[base + k] * pull[k]
        growth = 2.0 * b * along if problem.polar else 0.0
        for k in range(d):
            out[base + k] = b * pull[k] - growth * state[base + k]
        out[base + d] = along - growth * b
        out[base + d + 1] = growth
    out[-1] = math.exp(log_rate - state[-1])


@kernel
@no_type_check
def project(problem, mode, state):
    """Move a state to the nearest one that the exact flow could have reached.

    Sliding neurons go onto their hyperplanes, polar ones get the conserved imbalance and ``||v||^2 + b^2 =
    1``. Otherwise rounding piles up there, and a fading neuron magnifies it by e^{-r}. The smaller weight of
    a neuron is kept and the larger one set from it, which is the well conditioned way round.
    """
    d, imbalance, sliding, projectors = len(problem.XT), problem.imbalance, mode.sliding, mode.projectors
    raw = np.empty(d)
    for s in range(len(sliding)):
        base = sliding[s] * (d + 2)
        for k in range(d):
            raw[k] = state[base + k]
        for k in range(d):
            state[base + k] = dot(projectors[s, k], raw)
    if not problem.polar:
        return
    for i in range(len(imbalance)):
        base = i * (d + 2)
        square = 0.0
        for k in range(d):
            square += state[base + k] * state[base + k]
        b, c = state[base + d], 0.0
        if imbalance[i] != 0.0:
            c = imbalance[i] * math.exp(-2.0 * state[base + d + 1])
        stretch = 1.0
        if c > 0.0 and square > 0.0:
            stretch = math.sqrt((b * b + c) / square)
            square = b * b + c
        else:
            b = math.copysign(math.sqrt(max(square - c, 0.0)), b)
        size = math.sqrt(square + b * b)
        if size > 0.0:
            for k in range(d):
                state[base + k] *= stretch / size
            state[base + d] = b / size
            state[base + d + 1] += math.log(size)


@kernel
@no_type_check
def fill_stages(problem, mode, state, h, first, last, K, point):
    """Fill in stages of a step h from a state; `point` is left where the last one is.

    Stage 0 is the velocity at the step's start, stage 12 that at its end; 13 to 15 serve the interpolant.
    """
    for stage in range(first, last + 1):
        for j in range(len(state)):
            total = 0.0
            for e in range(stage):
                if _A[stage, e] != 0.0:
                    total += _A[stage, e] * K[e, j]
            point[j] = state[j] + h * total
        velocity(problem, mode, point, K[stage])


@kernel
@no_type_check
def estimate_error(d, state, end, h, K, rtol):
    """Return the largest error of a neuron, or of the clock, over what is allowed.

    The estimates of orders 5 and 3 are combined as Hairer et al. do.
    """
    worst, scale = 0.0, np.empty(d + 2)
    for base in range(0, len(state), d + 2):
        stop = min(base + d + 2, len(state))
        square = 0.0
        for j in range(base, stop - 2):
            square += max(state[j] ** 2, end[j] ** 2)
        b = max(abs(state[stop - 2]), abs(end[stop - 2]))
        size = math.sqrt(square + b * b)
        for j in range(d):
            scale[j] = max(math.sqrt(square), RESOLVED * size)
        scale[d], scale[d + 1] = max(b, RESOLVED * size), 1.0
        if stop == base + 1:
            scale[0] = 1.0  # the clock
        fifth, third = 0.0, 0.0
        for j in range(base, stop):
            e5, e3 = 0.0, 0.0
            for stage in range(STAGES + 1):
                e5 += _E5[stage] * K[stage, j]
                e3 += _E3[stage] * K[stage, j]
            if e5 != 0.0 or e3 != 0.0:
                fifth += (e5 / scale[j - base]) ** 2
                third += (e3 / scale[j - base]) ** 2
        if not fifth + third < np.inf:
            return np.inf
        if fifth > 0.0:
            worst = max(worst, h * fifth / math.sqrt((fifth + 0.01 * third) * (stop - base)) / rtol)
    return worst


@kernel
@no_type_check
def fill_polynomial(state, end, h, K, coefficients):
    """Fill in the Bernstein coefficients (s, 8) of the interpolant over a step with all its stages."""
    basis = np.empty(DEGREE)
    for j in range(len(state)):
        change = end[j] - state[j]
        basis[0] = change
        basis[1] = h * K[0, j] - change
        basis[2] = 2.0 * change - h * (K[0, j] + K[STAGES, j])
        for row in range(DEGREE - 3):
            total = 0.0
            for stage in range(STAGES + 4):
                total += _D[row, stage] * K[stage, j]
            basis[row + 3] = h * total
        for node in range(DEGREE + 1):
            total = state[j]
            for k in range(DEGREE):
                total += _TO_BERNSTEIN[node, k] * basis[k]
            coefficients[j, node] = total
