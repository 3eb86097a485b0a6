"""Compiled fixed-step descent of feed-forward networks with homogeneous activations.

All weights are one vector, all pre-activations another: views of them, shaped by the widths, are what the
matrix products act on. Columns are samples, so that the loops over entries run along memory.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np

from convexrelu._typing import kernel
from convexrelu.losses import CORRELATION, EXPONENTIAL, SQUARE
from convexrelu.training.kernels import CONVERGED, DIVERGED, REACHED, RUNNING


@kernel
@no_type_check
def _activate(Z, alpha, power, A):
    """Write s(Z) to A; max(z, alpha z) is z where z > 0 and alpha z elsewhere, since alpha <= 1."""
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            A[i, j] = Z[i, j] if Z[i, j] > 0.0 else alpha * Z[i, j]
        for _ in range(power - 1):
            for j in range(Z.shape[1]):
                A[i, j] *= Z[i, j] if Z[i, j] > 0.0 else alpha * Z[i, j]


@kernel
@no_type_check
def _times_slope(Z, alpha, power, G):
    """Multiply G by s'(Z) in place."""
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            G[i, j] *= power if Z[i, j] > 0.0 else power * alpha
        for _ in range(power - 1):
            for j in range(Z.shape[1]):
                G[i, j] *= Z[i, j] if Z[i, j] > 0.0 else alpha * Z[i, j]


@kernel
@no_type_check
def _layer(w, offsets, widths, layer):
    """Return one layer's matrix, a view of the vector of all weights."""
    return w[offsets[layer] : offsets[layer + 1]].reshape(widths[layer + 1], widths[layer])


@kernel
@no_type_check
def _rows(values, widths, layer, n):
    """Return what belongs to the neurons of a layer, a (width, n) view; the layers follow on one another."""
    start = 0
    for before in range(1, layer):
        start += widths[before] * n
    return values[start : start + widths[layer] * n].reshape(widths[layer], n)


@kernel
@no_type_check
def _forward(w, offsets, widths, XT, alpha, power, sums, inputs):
    """Fill pre-activations and activities; return the outputs."""
    depth, n = len(widths) - 1, XT.shape[1]
    A = XT
    for layer in range(depth):
        Z = _rows(sums, widths, layer + 1, n)
        np.dot(_layer(w, offsets, widths, layer), A, Z)
        if layer < depth - 1:
            A = _rows(inputs, widths, layer + 1, n)
            _activate(Z, alpha, power, A)
    return _rows(sums, widths, depth, n)


@kernel
@no_type_check
def _residuals(H, YT, code, scale, G):
    """Write minus the derivative of the loss in the outputs to G; return the loss."""
    loss = 0.0
    for i in range(H.shape[0]):
        for j in range(H.shape[1]):
            if code == SQUARE:
                G[i, j] = YT[i, j] - H[i, j]
                loss += 0.5 * G[i, j] * G[i, j]
            elif code == CORRELATION:
                G[i, j] = YT[i, j]
                loss -= YT[i, j] * H[i, j]
            elif code == EXPONENTIAL:
                one = math.exp(-YT[i, j] * H[i, j])
                loss += one
                G[i, j] = YT[i, j] * one
            else:
                q = YT[i, j] * H[i, j]
                small = math.exp(-abs(q))
                loss += max(-q, 0.0) + math.log1p(small)
                G[i, j] = YT[i, j] * (small if q > 0.0 else 1.0) / (1.0 + small)
            G[i, j] *= scale
    return scale * loss


@kernel
@no_type_check
def _backward(w, offsets, widths, XT, alpha, power, moving, sums, inputs, back, ascent):
    """Fill minus the gradient of the loss for the layers that move."""
    depth, n = len(widths) - 1, XT.shape[1]
    first = 0
    while first < depth - 1 and not moving[first]:
        first += 1
    for layer in range(depth - 1, first - 1, -1):
        G = _rows(back, widths, layer + 1, n)
        A = XT if layer == 0 else _rows(inputs, widths, layer, n)
        if moving[layer]:
            np.dot(G, A.T, _layer(ascent, offsets, widths, layer))
        if layer > first:
            below = _rows(back, widths, layer, n)
            np.dot(_layer(w, offsets, widths, layer).T, G, below)
            _times_slope(_rows(sums, widths, layer, n), alpha, power, below)


@kernel
@no_type_check
def _layout(widths, free):
    """Return where each layer starts in the vector of all weights, and which layers move."""
    depth = len(widths) - 1
    offsets, moving = np.zeros(depth + 1, dtype=np.int64), np.zeros(depth, dtype=np.bool_)
    for layer in range(depth):
        offsets[layer + 1] = offsets[layer] + widths[layer] * widths[layer + 1]
        moving[layer] = free[offsets[layer] : offsets[layer + 1]].any()
    return offsets, moving


@kernel
@no_type_check
def run_deep_steps(w, free, widths, XT, YT, alpha, power, code, scale, decay, step_size, stop_loss, n_steps):
    """Take up to `n_steps` steps in place; return how many were taken, and the state.

    The gradient is that of the loss plus ``decay / 2`` times the squares of the weights.
    A step that leads to weights or a loss that are not finite is not taken.
    """
    depth, n = len(widths) - 1, XT.shape[1]
    offsets, moving = _layout(widths, free)
    total = n * widths[1:].sum()
    sums, inputs, back = np.empty(total), np.empty(total), np.empty(total)
    new, ascent = w.copy(), np.zeros(len(w))
    G = _rows(back, widths, depth, n)
    H = _forward(w, offsets, widths, XT, alpha, power, sums, inputs)
    loss = _residuals(H, YT, code, scale, G)
    if not loss < np.inf:
        return 0, DIVERGED
    for step in range(n_steps):
        if loss <= stop_loss:
            return step, REACHED
        _backward(w, offsets, widths, XT, alpha, power, moving, sums, inputs, back, ascent)
        moved = False
        for i in range(len(w)):
            if free[i]:
                new[i] = w[i] + step_size * (ascent[i] - decay * w[i])
                moved = moved or new[i] != w[i]
        if not moved:
            return step, CONVERGED
        H = _forward(new, offsets, widths, XT, alpha, power, sums, inputs)
        loss = _residuals(H, YT, code, scale, G)
        if not loss < np.inf:
            return step, DIVERGED
        w[:] = new
    return n_steps, REACHED if loss <= stop_loss else RUNNING


@kernel
@no_type_check
def run_ncf_steps(u, free, widths, XT, ZT, alpha, power, degree, angle, n_steps, track):
    """Turn the free part of u, of norm one, along the flow of the NCF by `n_steps` steps, in place.

    Each step moves by `angle` along the unit gradient and goes back to the sphere. `track` holds the rescaled
    time, the logarithm of the norm and the true time. Returns False if the gradient is zero.
    """
    depth, n = len(widths) - 1, XT.shape[1]
    offsets, moving = _layout(widths, free)
    total = n * widths[1:].sum()
    sums, inputs, back = np.empty(total), np.empty(total), np.empty(total)
    ascent = np.zeros(len(u))
    _rows(back, widths, depth, n)[:] = ZT
    for _ in range(n_steps):
        _forward(u, offsets, widths, XT, alpha, power, sums, inputs)
        _backward(u, offsets, widths, XT, alpha, power, moving, sums, inputs, back, ascent)
        square = 0.0
        for i in range(len(u)):
            if free[i]:
                square += ascent[i] * ascent[i]
        if not square > 0.0:
            return False
        step = angle / math.sqrt(square)
        square = 0.0
        for i in range(len(u)):
            if free[i]:
                u[i] += step * ascent[i]
                square += u[i] * u[i]
        norm = math.sqrt(square)
        for i in range(len(u)):
            if free[i]:
                u[i] /= norm
        track[0] += step
        track[2] += step * math.exp(-(degree - 2) * track[1])
        track[1] += math.log(norm)
    return True
