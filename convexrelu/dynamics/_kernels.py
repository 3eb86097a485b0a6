"""The compiled loops of gradient descent: one for all losses and all kinds of steps.

Samples are the inner, vectorised index: the columns of X come as rows of `XT`. Everything is padded with
zeros, columns and neurons to multiples of four, samples to a multiple of eight, so that a pass does several
columns' and neurons' worth of work and leaves no rest; what is padded stays zero. The only mathematical
function of a plain step is one exponential a sample, written out so that it is vectorised too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, no_type_check

import numpy as np
from jaxtyping import Float

from convexrelu._typing import kernel

__all__ = [
    "CONVERGED",
    "DIVERGED",
    "GROWING",
    "NORMALIZED",
    "PLAIN",
    "RUNNING",
    "Padded",
    "run_batches",
    "run_steps",
]

RUNNING, CONVERGED, DIVERGED = 0, 1, 2

BLOCK = 4
"""Columns, and neurons, handled in one pass over the samples."""

LANES = 8
"""Samples handled at once: two vectors of four."""

PLAIN, NORMALIZED, GROWING = 0, 1, 2
"""Kinds of steps: see :func:`~convexrelu.gradient_descent`."""

_LOGISTIC, _EXPONENTIAL = 0, 1  # the codes of convexrelu.losses; any other code is the square loss

_LOG_LARGEST = 709.78  # exp of more overflows

_FAR = 600.0
"""When every margin is beyond this, the logistic loss is e^{-q} to all digits, and is summed relative to its
largest term; nearer, the sum itself is well within float64."""

_SHRINK = 0.5
"""What a growing step is multiplied with after it raised the loss."""

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # the first with 20 zero bits at its end
_MAGIC = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number, found in the lowest bits
_LOWEST = -708.0  # e^{-708} is about the last normal number; what is smaller counts as 0

F = TypeVar("F", bound=Callable[..., object])


def _product_kernel(function: F) -> F:
    """Compile a loop of sums of products, which may be reordered and fused; NaN and inf keep their sense."""
    from numba import njit

    compiled: F = njit(cache=True, error_model="numpy", nogil=True, fastmath={"contract", "reassoc"})(
        function
    )
    return compiled


def _fused_kernel(function: F) -> F:
    """Compile a loop whose products and sums may be fused, but keep their order."""
    from numba import njit

    compiled: F = njit(cache=True, error_model="numpy", nogil=True, fastmath={"contract"})(function)
    return compiled


@dataclass(frozen=True, kw_only=True, eq=False)
class Padded:
    """A training problem in the kernels' form: XT (columns, samples), y, W1, w2, all padded with zeros."""

    XT: Float[np.ndarray, "c s"]
    y: Float[np.ndarray, " s"]
    W1: Float[np.ndarray, "k c"]
    w2: Float[np.ndarray, " k"]
    shape: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        X: Float[np.ndarray, "n d"],
        y: Float[np.ndarray, " n"],
        W1: Float[np.ndarray, "m d"],
        w2: Float[np.ndarray, " m"],
    ) -> Padded:
        """Copy a problem; ``shape`` is its (n, d, m)."""
        (n, d), m = X.shape, len(w2)
        samples, columns, neurons = -(-n // LANES) * LANES, -(-d // BLOCK) * BLOCK, -(-m // BLOCK) * BLOCK
        padded = cls(
            XT=np.zeros((columns, samples)),
            y=np.zeros(samples),
            W1=np.zeros((neurons, columns)),
            w2=np.zeros(neurons),
            shape=(n, d, m),
        )
        padded.XT[:d, :n], padded.y[:n] = X.T, y
        padded.W1[:m, :d], padded.w2[:m] = W1, w2
        return padded

    def weights(self) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
        """Copy the weights without their padding."""
        _, d, m = self.shape
        return self.W1[:m, :d].copy(), self.w2[:m].copy()


@_product_kernel
@no_type_check
def _forward(XT, W1, w2, pre, q):
    """Fill the pre-activations (m, n) and the outputs f(x_n)."""
    d, n = XT.shape
    for j in range(n):
        q[j] = 0.0
    for i in range(len(w2)):
        row, output = pre[i], w2[i]
        for k in range(0, d, BLOCK):
            a, b, c, e = W1[i, k], W1[i, k + 1], W1[i, k + 2], W1[i, k + 3]
            x0, x1, x2, x3 = XT[k], XT[k + 1], XT[k + 2], XT[k + 3]
            if d == BLOCK:  # the usual case of few columns, in one pass
                for j in range(n):
                    p = a * x0[j] + b * x1[j] + c * x2[j] + e * x3[j]
                    row[j] = p
                    q[j] += output * (p if p > 0.0 else 0.0)
            elif k == 0:
                for j in range(n):
                    row[j] = a * x0[j] + b * x1[j] + c * x2[j] + e * x3[j]
            elif k < d - BLOCK:
                for j in range(n):
                    row[j] += a * x0[j] + b * x1[j] + c * x2[j] + e * x3[j]
            else:
                for j in range(n):
                    p = row[j] + a * x0[j] + b * x1[j] + c * x2[j] + e * x3[j]
                    row[j] = p
                    q[j] += output * (p if p > 0.0 else 0.0)


@_fused_kernel
@no_type_check
def _exponentials(q, out, powers, bits):
    """Write exp(q) for q <= 0, to the last digit but one; 0 below e^{-708}.

    Work space: `powers`, and `bits`, the same memory as whole numbers. The order of the operations matters:
    q is split into k log 2 + r exactly, and the whole number k put into the exponent.
    """
    n = len(q)
    for j in range(n):
        v = q[j]
        v = v if v > _LOWEST else _LOWEST
        power = v * _LOG2_E + _MAGIC
        powers[j] = power
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
        out[j] = (p * r + 1.0) * r + 1.0
    for j in range(n):
        bits[j] = (bits[j] + 1023) << 52
    for j in range(n):
        scale = powers[j]
        out[j] *= scale


@_product_kernel
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


@_fused_kernel
@no_type_check
def _logistic_slopes(q, x):
    """Turn x = e^{-|q|} into 1/(1 + e^q)."""
    for j in range(len(q)):
        v = x[j]
        top = v if q[j] > 0.0 else 1.0
        x[j] = top / (1.0 + v)


@_product_kernel
@no_type_check
def _into_margins(y, q):
    """Turn outputs into margins; return 0, or NaN if one of them is inf or NaN."""
    bad = 0.0
    for j in range(len(q)):
        margin = q[j] * y[j]
        q[j] = margin
        bad += margin * 0.0
    return bad


@kernel
@no_type_check
def _smallest(q, n):
    """Return the smallest of the first n entries."""
    smallest = np.inf
    for j in range(n):
        v = q[j]
        smallest = v if v < smallest else smallest
    return smallest


@kernel
@no_type_check
def _logistic(q, n, slopes, powers, bits, with_loss):
    """Write the slopes of the logistic loss over a scale; return its logarithm, and the loss's if wanted."""
    if with_loss:
        smallest = _smallest(q, n)
        if smallest > _FAR:
            return _shifted(q, n, slopes, powers, bits, smallest)
    for j in range(len(q)):
        v = q[j]
        slopes[j] = -v if v > 0.0 else v
    _exponentials(slopes, slopes, powers, bits)
    log_loss = math.log(_total_of_log1p(slopes, q, n)) if with_loss else 0.0
    _logistic_slopes(q, slopes)
    return 0.0, log_loss


@kernel
@no_type_check
def _shifted(q, n, slopes, powers, bits, smallest):
    """Write the slopes e^{-q} over the largest of them; return the logarithms of that and of the sum."""
    for j in range(n):
        slopes[j] = smallest - q[j]
    for j in range(n, len(q)):
        slopes[j] = 0.0
    _exponentials(slopes, slopes, powers, bits)
    total = 0.0
    for j in range(n):
        total += slopes[j]
    return -smallest, math.log(total) - smallest


@kernel
@no_type_check
def _square(q, n, slopes):
    """Write the slopes 1 - q of the square loss; return (0, log of the loss)."""
    top, total = 0.0, 0.0
    for j in range(len(q)):
        slopes[j] = 1.0 - q[j]
    for j in range(n):
        top = max(top, abs(slopes[j]))
    if top == 0.0:
        return 0.0, -np.inf
    for j in range(n):
        total += (slopes[j] / top) ** 2
    return 0.0, 2.0 * math.log(top) + math.log(0.5 * total)


@kernel
@no_type_check
def _weigh(y, n, q, code, with_loss, slopes, powers, bits):
    """Turn outputs into margins, and write ``y_n slope(q_n)`` over a scale; return its log, and log L.

    The logistic loss of plain steps, which need none, is given as 1; of margins that are not finite, as NaN.
    """
    if math.isnan(_into_margins(y, q)):
        return 0.0, np.nan
    if code == _LOGISTIC:
        log_scale, log_loss = _logistic(q, n, slopes, powers, bits, with_loss)
    elif code == _EXPONENTIAL:
        log_scale, log_loss = _shifted(q, n, slopes, powers, bits, _smallest(q, n))
    else:
        log_scale, log_loss = _square(q, n, slopes)
    for j in range(len(q)):
        slopes[j] *= y[j]
    return log_scale, log_loss


@_product_kernel
@no_type_check
def _pulls(XT, pre, weights, G):
    """Fill row i of G with ``X^T D_i weights``, four neurons and four columns at a time."""
    d, n = XT.shape
    for i in range(0, len(G), BLOCK):
        p0, p1, p2, p3 = pre[i], pre[i + 1], pre[i + 2], pre[i + 3]
        for k in range(0, d, BLOCK):
            x0, x1, x2, x3 = XT[k], XT[k + 1], XT[k + 2], XT[k + 3]
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = e0 = e1 = e2 = e3 = 0.0
            for j in range(n):
                w, u0, u1, u2, u3 = weights[j], x0[j], x1[j], x2[j], x3[j]
                v = w if p0[j] > 0.0 else 0.0
                a0, a1, a2, a3 = a0 + v * u0, a1 + v * u1, a2 + v * u2, a3 + v * u3
                v = w if p1[j] > 0.0 else 0.0
                b0, b1, b2, b3 = b0 + v * u0, b1 + v * u1, b2 + v * u2, b3 + v * u3
                v = w if p2[j] > 0.0 else 0.0
                c0, c1, c2, c3 = c0 + v * u0, c1 + v * u1, c2 + v * u2, c3 + v * u3
                v = w if p3[j] > 0.0 else 0.0
                e0, e1, e2, e3 = e0 + v * u0, e1 + v * u1, e2 + v * u2, e3 + v * u3
            G[i, k], G[i, k + 1], G[i, k + 2], G[i, k + 3] = a0, a1, a2, a3
            G[i + 1, k], G[i + 1, k + 1], G[i + 1, k + 2], G[i + 1, k + 3] = b0, b1, b2, b3
            G[i + 2, k], G[i + 2, k + 1], G[i + 2, k + 2], G[i + 2, k + 3] = c0, c1, c2, c3
            G[i + 3, k], G[i + 3, k + 1], G[i + 3, k + 2], G[i + 3, k + 3] = e0, e1, e2, e3


@_product_kernel
@no_type_check
def _update(W1, w2, G, rate, new_W1, new_w2):
    """Write the weights after one step of size `rate`; return how many changed, and their squared norm.

    (X w1_i)_+^T weights, the pull on w2_i, is w1_i^T g_i.
    """
    m, d = W1.shape
    changes, square = 0, 0.0
    for i in range(m):
        output, along = 0.0, rate * w2[i]
        for k in range(d):
            old, g = W1[i, k], G[i, k]
            new = old + along * g
            output += old * g
            square += new * new
            changes += 1 if new != old else 0
            new_W1[i, k] = new
        new = w2[i] + rate * output
        square += new * new
        changes += 1 if new != w2[i] else 0
        new_w2[i] = new
    return changes, square


@kernel
@no_type_check
def _square_norm(W1, w2):
    """Return the squared norm of all weights."""
    total = 0.0
    for i in range(len(w2)):
        total += w2[i] * w2[i]
        for k in range(W1.shape[1]):
            total += W1[i, k] * W1[i, k]
    return total


@kernel
@no_type_check
def _copy(W1, w2, new_W1, new_w2):
    """Overwrite weights with new ones."""
    for i in range(len(w2)):
        w2[i] = new_w2[i]
        for k in range(W1.shape[1]):
            W1[i, k] = new_W1[i, k]


@kernel
@no_type_check
def _rate(kind, step_size, log_step, square, log_scale, log_loss):
    """Return what the weights of `_weigh` are multiplied with; log_step is a growing step's logarithm."""
    if kind == PLAIN:
        return step_size * math.exp(log_scale)
    if log_loss == -np.inf:  # the loss is 0, and so are the weights
        return 0.0
    if kind == NORMALIZED:
        return step_size / max(1.0, square) * math.exp(log_scale - log_loss)
    return math.exp(min(log_step + log_scale, _LOG_LARGEST))


@kernel
@no_type_check
def run_steps(XT, y, n, W1, w2, code, kind, step_size, growth, log_step, n_steps):
    """Take up to `n_steps` steps in place; return how many were taken, the state, and log_step.

    ``step_size`` of normalised steps is already divided by max_n ||x_n||^2. A step that leads to weights or a
    loss that are not finite is not taken. A growing step that raises the loss is taken back, but counted.
    """
    (m, d), samples = W1.shape, len(y)
    pre, q, weights, powers = np.empty((m, samples)), np.empty(samples), np.empty(samples), np.empty(samples)
    bits, G, new_W1, new_w2 = powers.view(np.int64), np.empty((m, d)), np.empty((m, d)), np.empty(m)
    limit, with_loss = np.inf if kind != PLAIN else _LOG_LARGEST, kind != PLAIN
    _forward(XT, W1, w2, pre, q)
    log_scale, log_loss = _weigh(y, n, q, code, with_loss, weights, powers, bits)
    if not log_loss < limit:
        return 0, DIVERGED, log_step
    square = _square_norm(W1, w2)
    _pulls(XT, pre, weights, G)
    for step in range(n_steps):
        rate = _rate(kind, step_size, log_step, square, log_scale, log_loss)
        changes, new_square = _update(W1, w2, G, rate, new_W1, new_w2)
        if changes == 0:
            return step, CONVERGED, log_step
        _forward(XT, new_W1, new_w2, pre, q)
        new_log_scale, new_log_loss = _weigh(y, n, q, code, with_loss, weights, powers, bits)
        finite = new_square < np.inf and new_log_loss < limit
        if kind == GROWING and not (finite and new_log_loss <= log_loss):
            log_step += math.log(_SHRINK)
            continue
        if not finite:
            return step, DIVERGED, log_step
        log_step += math.log(growth)
        square, log_scale, log_loss = new_square, new_log_scale, new_log_loss
        _copy(W1, w2, new_W1, new_w2)
        _pulls(XT, pre, weights, G)
    return n_steps, RUNNING, log_step


@kernel
@no_type_check
def run_batches(XT, y, n, orders, first, size, W1, w2, code, step_size, n_steps, idle):
    """Take up to `n_steps` steps on batches in place; return how many, the state, and how many were idle.

    Row e of `orders` is the order of the samples in epoch e, cut into batches of `size` (the last one has the
    rest); `first` is the first batch's place in that sequence. A step weighs its batch by n over its size.
    """
    (m, d), samples = W1.shape, -(-size // LANES) * LANES
    part, labels, pre = np.zeros((d, samples)), np.zeros(samples), np.empty((m, samples))
    q, weights, powers, G = np.empty(samples), np.empty(samples), np.empty(samples), np.empty((m, d))
    bits, new_W1, new_w2 = powers.view(np.int64), np.empty((m, d)), np.empty(m)
    a_epoch = -(-n // size)
    for step in range(n_steps):
        epoch, begin = (first + step) // a_epoch, (first + step) % a_epoch * size
        count = min(size, n - begin)
        for j in range(samples):
            row = orders[epoch, begin + j] if j < count else 0
            labels[j] = y[row] if j < count else 0.0
            for k in range(d):
                part[k, j] = XT[k, row] if j < count else 0.0
        _forward(part, W1, w2, pre, q)
        log_scale, log_loss = _weigh(labels, count, q, code, False, weights, powers, bits)
        if not log_loss < _LOG_LARGEST:
            return step, DIVERGED, idle
        _pulls(part, pre, weights, G)
        rate = step_size * math.exp(log_scale) * n / count
        changes, square = _update(W1, w2, G, rate, new_W1, new_w2)
        if not square < np.inf:
            return step, DIVERGED, idle
        idle = 0 if changes else idle + 1
        if idle == a_epoch:
            return step, CONVERGED, idle
        _copy(W1, w2, new_W1, new_w2)
    return n_steps, RUNNING, idle
