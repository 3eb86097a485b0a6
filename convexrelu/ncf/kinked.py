"""Maxima of the constrained NCF on kinks: smoothed until their ties show, then Newton's method on the ties.

For power 1 and alpha < 1 maxima lie on kinks, where ascent along gradients crawls. From each start, N
itself is followed as far as steps gain; then the activation is smoothed on the scale mu
(:class:`~convexrelu.networks.SmoothedLeakyReLU`, zero at zero), and Newton's method follows the maximum while
mu shrinks. Sums that are zero at the maximum are then of the order of mu, and the others are not. These ties
are an active set: where they are held at zero N is smooth, their gates are the multipliers, and a few steps
of Newton's method end at a KKT point to the last digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from convexrelu.ncf.conditions import ncf_stationarity
from convexrelu.ncf.gates import Ties, columns_of, forward_gated, gated, ties_of
from convexrelu.ncf.sphere import SphereProblem, ascend, follow, polish, unit
from convexrelu.networks.activations import PowerLeakyReLU, SmoothedLeakyReLU, homogeneous
from convexrelu.networks.feed_forward import FeedForward
from convexrelu.networks.layers import Layers, Pass, forward, pack, unpack

__all__ = ["kinked_ends", "land"]

_SCALES = np.geomspace(1e-2, 1e-9, 15).tolist()
"""Scales of smoothing, data being of size one; what no active set resolves is followed to the last."""

_TIES_SHOW = 3e-5
"""From this scale on ties are told from other sums nearly always: before it the attempt is seldom worth its
cost, a tenth of that of following the maximum to the last scale."""

_TIES_WITHIN = 10.0, 100.0
"""Sums are ties within so many times the scale: at ten times a gate smoothed on it is 0.0025 from its end,
and a few are nearer to theirs. The wider the net, the more sums are caught that are no ties."""

_LANDED = 1e-12
"""A residual below it is that of a KKT point: Newton's method ends some hundred times lower, and where the
ties are not the right ones it is of the order of the scale at least."""

_MOST_STEPS = 8  # of Newton's method; two or three are the rule

_MOST_UNKNOWNS = 2000
"""Weights of live neurons and gates solved for at once, in seconds; some tens are the rule."""


def kinked_ends(
    X: Float[np.ndarray, "n d"],
    z: Float[np.ndarray, "n k"],
    activation: PowerLeakyReLU,
    free: tuple[Float[np.ndarray, "_ _"], ...],
    starts: Float[np.ndarray, "s w"],
) -> list[Layers]:
    """Return the maxima that the starts lead to, without those where N is not positive.

    The activation is of power 1 with a kink, and `free` tells the shapes of the layers.
    """
    sharp = SphereProblem(X=X, z=z, activation=activation, free=free)
    first, *finer = [_smoothed(sharp, mu) for mu in _SCALES]
    # first steps along the gradient of N itself, before any smoothing
    points = ascend(first, follow(sharp, starts, rounds=200))
    ends = [_resolved(sharp, finer, point) for point in points]
    return [unpack(end, free) for end in ends if sharp.positive(end)]


def _smoothed(sharp: SphereProblem, mu: float) -> SphereProblem:
    alpha = homogeneous(sharp.activation).alpha
    return replace(sharp, activation=SmoothedLeakyReLU(alpha, mu, shift=mu))


def _resolved(
    sharp: SphereProblem, ladder: Sequence[SphereProblem], w: Float[np.ndarray, " w"]
) -> Float[np.ndarray, " w"]:
    """Return the maximum near w, followed to smaller scales until Newton's method ends at a KKT point."""
    for mu, problem in zip(_SCALES[1:], ladder, strict=True):
        if not problem.positive(w):
            break
        w = polish(problem, w)
        if mu <= _TIES_SHOW:
            landed = land(sharp, w, mu)
            if landed is not w:
                return landed
    return w


def land(sharp: SphereProblem, w: Float[np.ndarray, " w"], mu: float) -> Float[np.ndarray, " w"]:
    """Return the KKT point with the ties of unit weights w that are a maximum up to the order of mu.

    Sums within the order of mu of zero are held there, and neurons whose weights are of the order of its
    root, which vanish in the limit, are taken out. What Newton's method ends at is returned if it is a KKT
    point and N is not less; else w itself.

    Parameters
    ----------
    sharp : SphereProblem
        N itself, of power 1.
    w : (w,) float array
        Unit weights.
    mu : float
        How far they may be from the maximum.

    Returns
    -------
    (w,) array
        Unit weights.
    """
    for within in _TIES_WITHIN:
        there = _on_ties(sharp, w, mu, within * mu)
        network = FeedForward(unpack(there, sharp.free), sharp.activation)
        values, _ = sharp.value_and_gradient(np.stack([w, there]))
        # N of a maximum is changed by rounding to this share
        higher = values[1] >= values[0] * (1 - 1e-14)
        if higher and ncf_stationarity(network, sharp.X, sharp.z) <= _LANDED:
            return there
    return w


def _on_ties(
    sharp: SphereProblem, w: Float[np.ndarray, " w"], mu: float, tie_tol: float
) -> Float[np.ndarray, " w"]:
    """Return where Newton's method leads for ``grad N = 2 lambda w``, ties held at zero and ``||w|| = 1``.

    N with gates in place of s' at the ties, and with the slopes of the other sums as they are, is the
    Lagrangian: a polynomial, whose derivative with respect to a gate is the tie's sum times what that is
    worth. The matrix of all second derivatives is symmetric.
    """
    live = _live(unpack(w, sharp.free), 3.0 * np.sqrt(mu))
    w, on = unit(live * w), live > 0
    run = forward(unpack(w, sharp.free), sharp.activation, sharp.X)
    ties = ties_of(run, sharp.z, homogeneous(sharp.activation).alpha, tie_tol)
    if on.sum() + len(ties) > _MOST_UNKNOWNS:
        return w
    gates = _gates_of(sharp, w, mu, ties)
    for _ in range(_MOST_STEPS):
        slopes = gated(run, ties, gates).sums[:-1]
        there = forward_gated(unpack(w, sharp.free), sharp.X, slopes)
        gradient = live * pack(there.gradient(sharp.z))
        twice_lambda = float(gradient @ w)
        columns = columns_of(there, sharp.z, ties)
        # a tie's sum is linear in each layer up to its own
        sums = (columns @ w) / (ties.layer + 1)
        off = np.concatenate([(gradient - twice_lambda * w)[on], sums, [0.0]])
        if np.linalg.norm(off) <= 1e-15 * np.linalg.norm(gradient):
            break
        curvature = _hessian(sharp, there, on) - twice_lambda * np.eye(on.sum())
        held = np.vstack([columns[:, on], -w[on]])
        matrix = np.block([[curvature, held.T], [held, np.zeros((len(held), len(held)))]])
        # the shortest step: where a neuron above ties with one below, only the product of gates counts
        step = np.linalg.lstsq(matrix, -off, rcond=1e-10)[0]
        change = np.zeros(len(w))
        change[on] = step[: on.sum()]
        w, gates = unit(w + change), gates + step[on.sum() : -1]
    return w


def _gates_of(
    sharp: SphereProblem, w: Float[np.ndarray, " w"], mu: float, ties: Ties
) -> Float[np.ndarray, " t"]:
    """Return the slopes at the ties with the activation smoothed on the scale mu."""
    problem = _smoothed(sharp, mu)
    sums = forward(unpack(w, sharp.free), problem.activation, sharp.X).sums
    at = zip(ties.layer, ties.sample, ties.neuron, strict=True)
    return problem.activation.slope(np.array([sums[layer][n, j] for layer, n, j in at]))


def _hessian(sharp: SphereProblem, run: Pass, on: Bool[np.ndarray, " w"]) -> Float[np.ndarray, "v v"]:
    """Return the second derivatives of N in some of the weights."""
    rows = np.eye(len(on))[on]
    parts = [rows[first : first + sharp.chunk] for first in range(0, len(rows), sharp.chunk)]
    images = [pack(run.hessian_vector_product(sharp.z, unpack(part, sharp.free))) for part in parts]
    return np.concatenate(images)[:, on]


def _live(layers: Layers, least: float) -> Float[np.ndarray, " w"]:
    """Mark the weights of all neurons but those whose incoming and outgoing ones are less."""
    marks = [np.ones(W.shape) for W in layers]
    for layer, (into, out) in enumerate(pairwise(layers)):
        gone = np.hypot(np.linalg.norm(into, axis=1), np.linalg.norm(out, axis=0)) < least
        marks[layer][gone] = 0.0
        marks[layer + 1][:, gone] = 0.0
    return pack(marks)
