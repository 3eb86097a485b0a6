"""The compiled weights of the samples in a step of gradient descent, and what compiles such loops.

The only mathematical function of a plain step is one exponential a sample, written out so that the loop over
the samples is vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar, no_type_check

import numpy as np

from convexrelu._typing import compiled
from convexrelu.losses import EXPONENTIAL, LOGISTIC

__all__ = ["fused_kernel", "loop_kernel", "product_kernel", "weigh"]

_FAR = 600.0
"""When every margin is beyond this, the logistic loss is e^{-q} to all digits, and is summed relative to its
largest term; nearer, the sum itself is well within float64."""

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # the first with 20 zero bits at its end
_MAGIC = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number, found in the lowest bits
_LOWEST = -708.0  # e^{-708} is about the last normal number; what is smaller counts as 0

F = TypeVar("F", bound=Callable[..., object])


def _compiled(function: F, fastmath: set[str]) -> F:
    """Compile a loop that only reads and writes arrays its caller holds, without counting references to them.

    On small problems the counting, which is atomic, takes longer than the loop itself. Such a loop must not
    make an array or return one.
    """
    return compiled(function, _nrt=False, fastmath=fastmath)


def loop_kernel(function: F) -> F:
    """Compile a loop whose every operation is done as written."""
    return _compiled(function, set())


def product_kernel(function: F) -> F:
    """Compile a loop of sums of products, which may be reordered and fused; NaN and inf keep their sense."""
    return _compiled(function, {"contract", "reassoc"})


def fused_kernel(function: F) -> F:
    """Compile a loop whose products and sums may be fused, but keep their order."""
    return _compiled(function, {"contract"})


@fused_kernel
@no_type_check
def _exponential(v):
    """Return exp(v) for v <= 0, to the last digit but one; e^{-708} below that.

    The order of the operations matters: v is split into k log 2 + r exactly, and the whole number k put into
    the exponent. There is no branch and no call, so that a loop over samples is vectorised.
    """
    v = v if v > _LOWEST else _LOWEST
    power = v * _LOG2_E + _MAGIC
    whole = power - _MAGIC
    r = (v - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = 1.6059043836821613e-10  # 1/13!, and so on down to 1/0!
    p = p * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 0.0001984126984126984
    p = p * r + 0.001388888888888889
    p = p * r + 0.008333333333333333
    p = p * r + 0.041666666666666664
    p = p * r + 0.16666666666666666
    p = p * r + 0.5
    p = (p * r + 1.0) * r + 1.0
    return p * np.int64((np.float64(power).view(np.int64) + 1023) << 52).view(np.float64)


@product_kernel
@no_type_check
def _total_of_log1p(x, q, n):
    """Return ``sum_n max(-q_n, 0) + log(1 + x_n)`` for x in [0, 1]."""
    total = 0.0
    for j in range(n):
        v, margin = x[j], q[j]
        z = v / (2.0 + v)  # log(1 + x) = 2 artanh(z), z <= 1/3: the rest of 17 terms is below 3^{-34}
        square = z * z
        p = square * (1 / 33) + 1 / 31
        p = p * square + 1 / 29
        p = p * square + 1 / 27
        p = p * square + 1 / 25
        p = p * square + 1 / 23
        p = p * square + 1 / 21
        p = p * square + 1 / 19
        p = p * square + 1 / 17
        p = p * square + 1 / 15
        p = p * square + 1 / 13
        p = p * square + 1 / 11
        p = p * square + 1 / 9
        p = p * square + 1 / 7
        p = p * square + 1 / 5
        p = p * square + 1 / 3
        p = p * square + 1.0
        total += 2.0 * z * p + (-margin if margin < 0.0 else 0.0)
    return total


@fused_kernel
@no_type_check
def _logistic_weights(y, q, x, weights):
    """Write x = e^{-|q|} and the weights y/(1 + e^q)."""
    for j in range(len(q)):
        margin = q[j]
        v = _exponential(-margin if margin > 0.0 else margin)
        x[j] = v
        weights[j] = y[j] * ((v if margin > 0.0 else 1.0) / (1.0 + v))


@product_kernel
@no_type_check
def _into_margins(y, q):
    """Turn outputs into margins; return 0, or NaN if one of them is inf or NaN."""
    bad = 0.0
    for j in range(len(q)):
        margin = q[j] * y[j]
        q[j] = margin
        bad += margin * 0.0
    return bad


@loop_kernel
@no_type_check
def _smallest(q, n):
    """Return the smallest of the first n entries."""
    smallest = np.inf
    for j in range(n):
        v = q[j]
        smallest = v if v < smallest else smallest
    return smallest


@loop_kernel
@no_type_check
def _logistic(y, n, q, x, weights, with_loss):
    """Write the weights of the logistic loss over a scale; return its logarithm, and the loss's if wanted."""
    if with_loss:
        smallest = _smallest(q, n)
        if smallest > _FAR:
            return _shifted(y, n, q, x, weights, smallest)
    _logistic_weights(y, q, x, weights)
    return 0.0, math.log(_total_of_log1p(x, q, n)) if with_loss else 0.0


@fused_kernel
@no_type_check
def _relative_weights(y, q, x, weights, smallest):
    """Write x = e^{smallest - q}, which is 1 at most for the samples, and the weights y x."""
    for j in range(len(q)):
        below = smallest - q[j]
        v = _exponential(below if below < 0.0 else 0.0)
        x[j] = v
        weights[j] = y[j] * v


@loop_kernel
@no_type_check
def _shifted(y, n, q, x, weights, smallest):
    """Write the weights y e^{-q} over the largest of them; return the logarithms of that and of the sum."""
    _relative_weights(y, q, x, weights, smallest)
    total = 0.0
    for j in range(n):
        total += x[j]
    return -smallest, math.log(total) - smallest


@loop_kernel
@no_type_check
def _square(y, n, q, weights):
    """Write the weights y (1 - q) of the square loss; return (0, log of the loss)."""
    top, total = 0.0, 0.0
    for j in range(len(q)):
        weights[j] = y[j] * (1.0 - q[j])
    for j in range(n):
        top = max(top, abs(1.0 - q[j]))
    if top == 0.0:
        return 0.0, -np.inf
    for j in range(n):
        total += ((1.0 - q[j]) / top) ** 2
    return 0.0, 2.0 * math.log(top) + math.log(0.5 * total)


@loop_kernel
@no_type_check
def weigh(y, n, q, code, with_loss, x, weights):
    """Turn outputs into margins, and write ``y_n slope(q_n)`` over a scale; return its log, and log L.

    Unless it is wanted, the logistic loss is given as 1; of margins that are not finite, as NaN.
    `x` is work space.
    """
    if math.isnan(_into_margins(y, q)):
        return 0.0, np.nan
    if code == LOGISTIC:
        return _logistic(y, n, q, x, weights, with_loss)
    if code == EXPONENTIAL:
        return _shifted(y, n, q, x, weights, _smallest(q, n))
    return _square(y, n, q, weights)
