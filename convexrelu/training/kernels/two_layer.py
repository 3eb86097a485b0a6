"""The compiled loops of gradient descent: one for all losses and all kinds of steps.

Samples are the inner, vectorised index: the columns of X come as rows of `XT`. Everything is padded with
zeros to multiples of four, so that a pass does several columns' and neurons' worth of work and leaves no
rest; what is padded stays zero. Problems of up to four columns have loops of their own where that is faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float

from convexrelu._typing import kernel
from convexrelu.training.kernels import CONVERGED, DIVERGED, REACHED, RUNNING
from convexrelu.training.kernels.sample_weights import loop_kernel, product_kernel, weigh

__all__ = [
    "GROWING",
    "NORMALIZED",
    "PLAIN",
    "Padded",
    "run_batches",
    "run_steps",
]

BLOCK = 4
"""Columns, and neurons, handled in one pass over the samples."""

LANES = 4
"""Samples handled at once: a vector of four."""

PLAIN, NORMALIZED, GROWING = 0, 1, 2
"""Kinds of steps: see :func:`~convexrelu.gradient_descent`."""

_LOG_LARGEST = 709.78  # exp of more overflows

_SHRINK = 0.5
"""What a growing step is multiplied with after it raised the loss."""


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


@product_kernel
@no_type_check
def _forward_narrow(XT, m, W1, w2, pre, q):
    """Do what :func:`_forward` does for one block of columns, in one pass a neuron."""
    n = XT.shape[1]
    x0, x1, x2, x3 = XT[0], XT[1], XT[2], XT[3]
    for j in range(n):
        q[j] = 0.0
    for i in range(m):
        row, output = pre[i], w2[i]
        a, b, c, e = W1[i, 0], W1[i, 1], W1[i, 2], W1[i, 3]
        for j in range(n):
            p = a * x0[j] + b * x1[j] + c * x2[j] + e * x3[j]
            row[j] = p
            q[j] += output * (p if p > 0.0 else 0.0)


@product_kernel
@no_type_check
def _forward_wide(XT, W1, w2, pre, q):
    """Do what :func:`_forward` does for two blocks of columns or more."""
    d, n = XT.shape
    for j in range(n):
        q[j] = 0.0
    for i in range(len(w2)):
        row, output = pre[i], w2[i]
        for k in range(0, d, BLOCK):
            a, b, c, e = W1[i, k], W1[i, k + 1], W1[i, k + 2], W1[i, k + 3]
            x0, x1, x2, x3 = XT[k], XT[k + 1], XT[k + 2], XT[k + 3]
            if k == 0:
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


@loop_kernel
@no_type_check
def _forward(XT, m, W1, w2, pre, q):
    """Fill the pre-activations (m, n) and the outputs f(x_n).

    Where there are few columns, those of the first m neurons only; the others are taken to be zero.
    """
    if len(XT) == BLOCK:
        _forward_narrow(XT, m, W1, w2, pre, q)
    else:
        _forward_wide(XT, W1, w2, pre, q)


@product_kernel
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


@product_kernel
@no_type_check
def _update_narrow(W1, w2, G, rate, new_W1, new_w2):
    """Do what :func:`_update` does for one block of columns, vectorised over the neurons."""
    changes, square = 0.0, 0.0
    for i in range(len(w2)):
        w, along = w2[i], rate * w2[i]
        a, b, c, e = W1[i, 0], W1[i, 1], W1[i, 2], W1[i, 3]
        g0, g1, g2, g3 = G[i, 0], G[i, 1], G[i, 2], G[i, 3]
        new_a, new_b, new_c, new_e = a + along * g0, b + along * g1, c + along * g2, e + along * g3
        new = w + rate * (a * g0 + b * g1 + c * g2 + e * g3)
        square += new_a * new_a + new_b * new_b + new_c * new_c + new_e * new_e + new * new
        changed = (new_a != a) | (new_b != b) | (new_c != c) | (new_e != e) | (new != w)
        changes += 1.0 if changed else 0.0
        new_W1[i, 0], new_W1[i, 1], new_W1[i, 2], new_W1[i, 3] = new_a, new_b, new_c, new_e
        new_w2[i] = new
    return changes, square


@product_kernel
@no_type_check
def _update_wide(W1, w2, G, rate, new_W1, new_w2):
    """Do what :func:`_update` does for any number of columns."""
    m, d = W1.shape
    changes, square = 0.0, 0.0
    for i in range(m):
        output, along = 0.0, rate * w2[i]
        for k in range(d):
            old, g = W1[i, k], G[i, k]
            new = old + along * g
            output += old * g
            square += new * new
            changes += 1.0 if new != old else 0.0
            new_W1[i, k] = new
        new = w2[i] + rate * output
        square += new * new
        changes += 1.0 if new != w2[i] else 0.0
        new_w2[i] = new
    return changes, square


@loop_kernel
@no_type_check
def _update(W1, w2, G, rate, new_W1, new_w2):
    """Write the weights after one step of size `rate`; return 0 if none changed, and their squared norm.

    (X w1_i)_+^T weights, the pull on w2_i, is w1_i^T g_i.
    """
    if W1.shape[1] == BLOCK:
        return _update_narrow(W1, w2, G, rate, new_W1, new_w2)
    return _update_wide(W1, w2, G, rate, new_W1, new_w2)


@loop_kernel
@no_type_check
def _neurons(W1, w2):
    """Return how many neurons there are up to the last that is not zero; zero ones have no gradient."""
    for i in range(len(w2) - 1, -1, -1):
        if w2[i] != 0.0:
            return i + 1
        for k in range(W1.shape[1]):
            if W1[i, k] != 0.0:
                return i + 1
    return 0


@loop_kernel
@no_type_check
def _square_norm(W1, w2):
    """Return the squared norm of all weights."""
    total = 0.0
    for i in range(len(w2)):
        total += w2[i] * w2[i]
        for k in range(W1.shape[1]):
            total += W1[i, k] * W1[i, k]
    return total


@loop_kernel
@no_type_check
def _copy(W1, w2, new_W1, new_w2):
    """Overwrite weights with new ones."""
    for i in range(len(w2)):
        w2[i] = new_w2[i]
        for k in range(W1.shape[1]):
            W1[i, k] = new_W1[i, k]


@loop_kernel
@no_type_check
def _rate(kind, step_size, log_step, square, log_scale, log_loss):
    """Return what the weights of `_weigh` are multiplied with; log_step is a growing step's logarithm."""
    if kind == PLAIN:
        return step_size * math.exp(log_scale) if log_scale != 0.0 else step_size
    if log_loss == -np.inf:  # the loss is 0, and so are the weights
        return 0.0
    if kind == NORMALIZED:
        return step_size / max(1.0, square) * math.exp(log_scale - log_loss)
    return math.exp(min(log_step + log_scale, _LOG_LARGEST))


@loop_kernel
@no_type_check
def _take_steps(
    XT, y, n, W1, w2, new_W1, new_w2, code, kind, step_size, growth, log_stop, log_step, n_steps, work
):
    """Do what :func:`run_steps` does; also return how often old and new weights changed places."""
    pre, q, x, weights, G = work
    limit, log_growth = np.inf if kind != PLAIN else _LOG_LARGEST, math.log(growth)
    with_loss = kind != PLAIN or not math.isnan(log_stop)
    m = _neurons(W1, w2)
    _forward(XT, m, W1, w2, pre, q)
    log_scale, log_loss = weigh(y, n, q, code, with_loss, x, weights)
    if not log_loss < limit:
        return 0, DIVERGED, log_step, 0
    if log_loss <= log_stop:
        return 0, REACHED, log_step, 0
    square, kept = _square_norm(W1, w2), 0
    _pulls(XT, pre, weights, G)
    for step in range(n_steps):
        rate = _rate(kind, step_size, log_step, square, log_scale, log_loss)
        changes, new_square = _update(W1, w2, G, rate, new_W1, new_w2)
        if changes == 0:
            return step, CONVERGED, log_step, kept
        _forward(XT, m, new_W1, new_w2, pre, q)
        new_log_scale, new_log_loss = weigh(y, n, q, code, with_loss, x, weights)
        finite = new_square < np.inf and new_log_loss < limit
        if kind == GROWING and not (finite and new_log_loss <= log_loss):
            log_step += math.log(_SHRINK)
            continue
        if not finite:
            return step, DIVERGED, log_step, kept
        log_step += log_growth
        square, log_scale, log_loss = new_square, new_log_scale, new_log_loss
        W1, new_W1, w2, new_w2, kept = new_W1, W1, new_w2, w2, kept + 1
        if log_loss <= log_stop:
            return step + 1, REACHED, log_step, kept
        _pulls(XT, pre, weights, G)
    return n_steps, RUNNING, log_step, kept


@kernel
@no_type_check
def run_steps(XT, y, n, W1, w2, code, kind, step_size, growth, log_stop, log_step, n_steps):
    """Take up to `n_steps` steps in place; return how many were taken, the state, and log_step.

    ``step_size`` of normalised steps is already divided by max_n ||x_n||^2. A step that leads to weights or a
    loss that are not finite is not taken. A growing step that raises the loss is taken back, but counted. It
    ends where the logarithm of the summed loss is at most ``log_stop``, which is NaN if that is no matter.
    """
    (m, d), samples = W1.shape, len(y)
    new_W1, new_w2, G, pre = np.empty((m, d)), np.empty(m), np.empty((m, d)), np.zeros((m, samples))
    work = pre, np.empty(samples), np.empty(samples), np.empty(samples), G
    taken, state, log_step, kept = _take_steps(
        XT, y, n, W1, w2, new_W1, new_w2, code, kind, step_size, growth, log_stop, log_step, n_steps, work
    )
    if kept % 2:
        _copy(W1, w2, new_W1, new_w2)
    return taken, state, log_step


@kernel
@no_type_check
def run_batches(XT, y, n, orders, first, size, W1, w2, code, step_size, n_steps, idle):
    """Take up to `n_steps` steps on batches in place; return how many, the state, and how many were idle.

    Row e of `orders` is the order of the samples in epoch e, cut into batches of `size` (the last one has the
    rest); `first` is the first batch's place in that sequence. A step weighs its batch by n over its size.
    """
    (rows, d), samples, m = W1.shape, -(-size // LANES) * LANES, _neurons(W1, w2)
    part, labels, pre = np.zeros((d, samples)), np.zeros(samples), np.zeros((rows, samples))
    q, weights, x, G = np.empty(samples), np.empty(samples), np.empty(samples), np.empty((rows, d))
    new_W1, new_w2 = np.empty((rows, d)), np.empty(rows)
    a_epoch = -(-n // size)
    for step in range(n_steps):
        epoch, begin = (first + step) // a_epoch, (first + step) % a_epoch * size
        count = min(size, n - begin)
        for j in range(samples):
            row = orders[epoch, begin + j] if j < count else 0
            labels[j] = y[row] if j < count else 0.0
            for k in range(d):
                part[k, j] = XT[k, row] if j < count else 0.0
        _forward(part, m, W1, w2, pre, q)
        log_scale, log_loss = weigh(labels, count, q, code, False, x, weights)
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
