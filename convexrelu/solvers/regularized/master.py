"""The convex master over fixed neurons: non-negative sizes at a price, and an affine part without one.

``min_{c >= 0, b} L(F c + A b) + beta sum c + sum_k rho_k b_k^2 / 2``. Newton's model of the loss makes a
least squares problem with bounds of it, which the package's kernel solves by active sets, exactly; the affine
part leaves it by its normal equations. Steps are halved until the objective falls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from convexrelu._box_least_norm import box_least_norm
from convexrelu.solvers.problem import Neurons
from convexrelu.solvers.regularized.model import Coordinates, Mix, SmoothedLoss

__all__ = ["fit_sizes"]

_MOST_STEPS = 60
# Rows without a curvature get this share of the largest, so that the model has a minimum.
_LEAST_CURVATURE = 1e-3
_SHORTEST = 1e-8  # of a Newton step
_SETTLED = 1e-13  # relative decrease of the objective below which steps have ended
_UNSEEN = 1e-16  # of the largest square of a direction's outputs: what is less is rounding
_JITTER = 1e-11  # added to a matrix of unit diagonal until it has a Cholesky factor


class _Fit(NamedTuple):
    sizes: Float[np.ndarray, " k"]
    free: Float[np.ndarray, " q"]
    outputs: Float[np.ndarray, " n"]


def fit_sizes(
    problem: Coordinates,
    loss: SmoothedLoss,
    directions: Neurons,
    sizes: Float[np.ndarray, " k"],
    free: Float[np.ndarray, " q"],
) -> Mix:
    """Return the best mix of unit directions, begun with these sizes and this affine part."""
    F, A, rho, beta = problem.features(directions), problem.affine, problem.penalties, problem.decay.beta

    def value(fit: _Fit) -> float:
        return loss.value(fit.outputs) + beta * float(fit.sizes.sum()) + 0.5 * float(rho @ fit.free**2)

    now = _Fit(sizes, free, F @ sizes + A @ free)
    reached = value(now)
    for _ in range(_MOST_STEPS):
        target = _newton(F, A, rho, beta, loss, now)
        step, better = 1.0, None
        while step > _SHORTEST:
            c = now.sizes + step * (target.sizes - now.sizes)
            b = now.free + step * (target.free - now.free)
            trial = _Fit(c, b, F @ c + A @ b)
            found = value(trial)
            if found <= reached:
                better = trial
                break
            step *= 0.5
        if better is None:
            break
        gain, now, reached = reached - found, better, found
        if gain <= _SETTLED * abs(reached):
            break
    return Mix(neurons=Neurons(U=directions.U * now.sizes[:, None], signs=directions.signs), free=now.free)


def _newton(
    F: Float[np.ndarray, "n k"],
    A: Float[np.ndarray, "n q"],
    rho: Float[np.ndarray, " q"],
    beta: float,
    loss: SmoothedLoss,
    now: _Fit,
) -> _Fit:
    """Return the minimum of Newton's model."""
    lam, w = loss.multipliers(now.outputs), loss.curvature(now.outputs)
    w = np.maximum(w, _LEAST_CURVATURE * (float(w.max()) or loss.bend))
    FtW = F.T * w
    gram, gradient = FtW @ F, beta - F.T @ lam
    cross = np.zeros((A.shape[1], len(gram)))
    offset = np.zeros(A.shape[1])
    if A.shape[1]:
        # the affine part answers the sizes with b = b0 + offset - cross (c - c0)
        block = np.linalg.pinv((A.T * w) @ A + np.diag(rho))
        pull = A.T @ lam - rho * now.free
        mixed = FtW @ A
        cross, offset = block @ mixed.T, block @ pull
        gram = gram - mixed @ cross
        gradient = gradient + mixed @ offset
    if len(gram):
        squares = np.diag(gram)
        # a direction that no row sees, or the affine part makes up for, would be divided by next to nothing
        diagonal = np.sqrt(np.maximum(squares, max(_UNSEEN * float(squares.max()), np.finfo(float).tiny)))
        factor, scaled = _factor(gram / diagonal / diagonal[:, None])
        right = scaled @ (diagonal * now.sizes) - gradient / diagonal
        point = np.linalg.solve(factor, right)
        # some directions may coincide, and the kernel leaves out what depends on those it has
        sizes = box_least_norm(factor, point, np.full(len(gram), np.inf)).t / diagonal
    else:
        sizes = now.sizes
    return _Fit(sizes, now.free + offset - cross @ (sizes - now.sizes), now.outputs)


def _factor(gram: Float[np.ndarray, "k k"]) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]:
    """Return a Cholesky factor, and its matrix: with the least multiple of the identity added."""
    jitter = _JITTER
    while True:
        moved = gram + jitter * np.eye(len(gram))
        try:
            return np.linalg.cholesky(moved), moved
        except np.linalg.LinAlgError:
            jitter *= 100
