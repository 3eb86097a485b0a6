"""Guesses at the point of Z_- nearest to a vertex of Z_+, learnt from a sample of cells.

For a vertex ``sum_i s_i p_i`` the guess is ``t = clip(W_0 + sum_i s_i W_i, 0, 1)``. Whatever W is, t is
feasible, so that ``||sum_i s_i p_i - sum_j t_j q_j||`` bounds the vertex' distance from above: a good guess
rules out a cell by a handful of additions. It is learnt by regression: where the guess leaves too large a
distance, a sweep of coordinate descent says how t should change, and W moves by the affine function of s
that is closest to these changes.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._box_least_norm import copy_into, dot
from convexrelu._typing import kernel
from convexrelu.oracle.zonotopes import Zonotopes

__all__ = ["learnt_guess"]

_MOST_PRODUCTS = 20_000  # of generators of both zonotopes: beyond, learning takes longer than it saves
_LEAST_SAMPLE, _MOST_SAMPLE = 200, 2000
_SAMPLED = 50  # a cell out of so many
_ROUNDS = 30
_RIDGE = 1e-3  # of the sample's size: the generators in a cell are far from independent of each other
_LEVEL = 0.7  # of the incumbent: a guess is learnt to leave less, to be right for cells not seen as well


def learnt_guess(
    generators: Float[np.ndarray, "k rank"],
    pair: Zonotopes,
    n_cells: int,
    value: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "k1 l"]:
    """Return W (k + 1, l), its constant part first; without columns where learning does not pay.

    `generators` are those of Z_+ in general position, of which `n_cells` cells are to be ruled out at
    `value`.
    """
    P, Q = pair.positive, pair.negative
    size = min(n_cells // _SAMPLED, _MOST_SAMPLE)
    if size < _LEAST_SAMPLE or len(P) * len(Q) > _MOST_PRODUCTS:
        return np.zeros((len(P) + 1, 0))
    activities = _sample(generators, size, rng)
    features = np.hstack([np.ones((size, 1)), activities - 0.5])
    ridge = _RIDGE * size * np.eye(len(P) + 1)
    regression = np.linalg.solve(features.T @ features + ridge, features.T)
    W = np.zeros((len(P) + 1, len(Q)))
    W[0] = 0.5
    vertices = activities @ P
    for _ in range(_ROUNDS):
        changes = np.clip(features @ W, 0.0, 1.0)
        if not _correct(vertices, Q, changes, (_LEVEL * value) ** 2):
            break
        W += regression @ changes
    W[0] -= 0.5 * W[1:].sum(axis=0)
    return W


def _sample(
    generators: Float[np.ndarray, "k rank"], size: int, rng: np.random.Generator
) -> Bool[np.ndarray, "size k"]:
    """Return the activities of cells around random vertices of the arrangement."""
    k, rank = generators.shape
    chosen = rng.permuted(np.tile(np.arange(k), (size, 1)), axis=1)[:, : rank - 1]
    frames = np.concatenate([generators[chosen], rng.normal(size=(size, 1, rank))], axis=1)
    points = np.linalg.qr(frames.swapaxes(1, 2))[0][:, :, -1]  # orthogonal to all generators chosen
    activities: np.ndarray = points @ generators.T > 0
    np.put_along_axis(activities, chosen, rng.random(chosen.shape) < 0.5, axis=1)
    return activities


@kernel
@no_type_check
def _correct(vertices, Q, t, limit):
    """Replace answers by what a sweep would change in them, nothing within the limit; returns how many."""
    m, r = Q.shape
    squares, residual, n_corrected = np.empty(m), np.empty(r), 0
    for j in range(m):
        squares[j] = dot(Q[j], Q[j])
    for i in range(len(vertices)):
        copy_into(residual, vertices[i])
        for j in range(m):
            for c in range(r):
                residual[c] -= t[i, j] * Q[j, c]
        wanting = dot(residual, residual) > limit
        n_corrected += wanting
        for j in range(m):
            change = 0.0
            if wanting and squares[j] > 0.0:
                change = min(max(t[i, j] + dot(Q[j], residual) / squares[j], 0.0), 1.0) - t[i, j]
                for c in range(r):
                    residual[c] -= change * Q[j, c]
            t[i, j] = change
    return n_corrected
