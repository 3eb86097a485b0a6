"""The compiled loop of gradient descent: one for all losses, plain and normalised steps."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np

from convexrelu._typing import kernel

__all__ = ["CONVERGED", "DIVERGED", "RUNNING", "run_steps"]

RUNNING, CONVERGED, DIVERGED = 0, 1, 2

_LOGISTIC, _EXPONENTIAL = 0, 1  # the codes of convexrelu.losses; any other code is the square loss
_LARGE_MARGIN = 36.0  # see convexrelu.losses
_LOG_LARGEST = 709.78  # exp of more overflows


@kernel
@no_type_check
def _log_value(q, code):
    if code == _EXPONENTIAL or (code == _LOGISTIC and q > _LARGE_MARGIN):
        return -q
    if code == _LOGISTIC:
        return math.log(math.log1p(math.exp(-q))) if q > 0 else math.log(math.log1p(math.exp(q)) - q)
    return 2.0 * math.log(abs(1.0 - q)) - math.log(2.0) if q != 1.0 else -np.inf


@kernel
@no_type_check
def _log_slope(q, code):
    if code == _EXPONENTIAL:
        return -q
    return -q - math.log1p(math.exp(-q)) if q > 0 else -math.log1p(math.exp(q))


@kernel
@no_type_check
def _forward(XT, y, W1, w2, code, normalized, pre, q, weights):
    """Fill the pre-activations and the weights y_n slope(q_n), over L if normalised; return log L."""
    m, d = W1.shape
    n = len(y)
    for j in range(n):
        q[j] = 0.0
    for i in range(m):
        for j in range(n):
            pre[i, j] = 0.0
        for k in range(d):
            for j in range(n):
                pre[i, j] += W1[i, k] * XT[k, j]
        for j in range(n):
            q[j] += w2[i] * max(pre[i, j], 0.0)
    top = -np.inf
    for j in range(n):
        q[j] *= y[j]
        weights[j] = _log_value(q[j], code)
        if math.isnan(weights[j]):
            return np.nan
        top = max(top, weights[j])
    log_loss = top
    if top > -np.inf:
        total = 0.0
        for j in range(n):
            total += math.exp(weights[j] - top)
        log_loss += math.log(total)
    shift = log_loss if normalized and top > -np.inf else 0.0
    for j in range(n):
        if code <= _EXPONENTIAL:
            weights[j] = y[j] * math.exp(_log_slope(q[j], code) - shift)
        else:
            weights[j] = y[j] * (1.0 - q[j]) * math.exp(-shift)
    return log_loss


@kernel
@no_type_check
def _update(X, W1, w2, pre, weights, rate, gradient, new_W1, new_w2):
    """Write the weights after one step of size `rate`; return whether any of them changed."""
    m, d = W1.shape
    moved = False
    for i in range(m):
        for k in range(d):
            gradient[k] = 0.0
        output = 0.0
        for j in range(len(weights)):
            if pre[i, j] > 0.0 and weights[j] != 0.0:
                output += weights[j] * pre[i, j]
                for k in range(d):
                    gradient[k] += weights[j] * X[j, k]
        new_w2[i] = w2[i] + rate * output
        moved = moved or new_w2[i] != w2[i]
        for k in range(d):
            new_W1[i, k] = W1[i, k] + rate * (w2[i] * gradient[k])
            moved = moved or new_W1[i, k] != W1[i, k]
    return moved


@kernel
@no_type_check
def _square(W1, w2):
    """Return the squared norm of all weights."""
    total = 0.0
    for i in range(len(w2)):
        total += w2[i] * w2[i]
        for k in range(W1.shape[1]):
            total += W1[i, k] * W1[i, k]
    return total


@kernel
@no_type_check
def run_steps(X, XT, y, W1, w2, code, step_size, normalized, n_steps):
    """Take up to `n_steps` steps in place; return how many were taken and RUNNING, CONVERGED or DIVERGED.

    ``step_size`` is already divided by max_n ||x_n||^2 when ``normalized``. A step that leads to weights or
    a loss that are not finite is not taken. Loops are written out: it compiles faster.
    """
    m, d = W1.shape
    n = len(y)
    pre, q, weights, gradient = np.empty((m, n)), np.empty(n), np.empty(n), np.empty(d)
    new_W1, new_w2 = np.empty((m, d)), np.empty(m)
    limit = np.inf if normalized else _LOG_LARGEST
    log_loss = _forward(XT, y, W1, w2, code, normalized, pre, q, weights)
    if not log_loss < limit:
        return 0, DIVERGED
    square = _square(W1, w2)
    for step in range(n_steps):
        rate = step_size / max(1.0, square) if normalized else step_size
        if not _update(X, W1, w2, pre, weights, rate, gradient, new_W1, new_w2):
            return step, CONVERGED
        square = _square(new_W1, new_w2)
        log_loss = _forward(XT, y, new_W1, new_w2, code, normalized, pre, q, weights)
        if not (square < np.inf and log_loss < limit):
            return step, DIVERGED
        for i in range(m):
            w2[i] = new_w2[i]
            for k in range(d):
                W1[i, k] = new_W1[i, k]
    return n_steps, RUNNING
