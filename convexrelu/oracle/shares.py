"""Shares of concave kinks in convex ones, found in play against a cone's rays: what greed leaves undone.

Residuals and what is left of the q_j are those of :mod:`.matching`, and bound the cone as there. But here
several q_j share in one p_i, those whose directions are nearest to its own, and they answer the rays: the
best shares tau_ij of p_i in q_j, and t_j of the linear function that q_j is bounded by, solve

    min over tau, t >= 0, sum_i tau_ij + t_j <= 1,
    max over 0 <= z_ia <= alpha_a, where sum_a alpha_a v_a is a vector of the cone, of length one at most,

        sum_a alpha_a (c_a - sum_j t_j q_j^T v_a) + sum_ia z_ia (p_i - sum_j tau_ij q_j)^T v_a

with c_a the value at the ray v_a of what is linear on the cone. Rounds of the primal-dual method [1]_ with
diagonal steps [2]_ go part of the way; alpha, whose best response is known, follows it at a slower pace. The
parts of a cone begin where it ended. Four microseconds a round of ninety convex kinks with their partners,
and on dense multipliers of both signs three to ten times fewer cones than greedy shares need.

Play is in single precision: whatever comes out is rounded to shares that prove a bound.

References
----------
.. [1] A. Chambolle and T. Pock, "A first-order primal-dual algorithm for convex problems with applications
   to imaging", Journal of Mathematical Imaging and Vision 40 (2011).
.. [2] T. Pock and A. Chambolle, "Diagonal preconditioning for first order primal-dual algorithms in convex
   optimization", International Conference on Computer Vision (2011).
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from convexrelu._box_least_norm import dot
from convexrelu._typing import F, compiled, kernel
from convexrelu.oracle.matching import leave_alone

__all__ = ["PARTNERS", "bequeath", "inherit", "nearest_partners", "play", "room_to_play", "settle"]

PARTNERS = 12  # eight need a quarter more cones, sixteen no fewer
_ROUNDS = 24  # half as many need more cones, twice as many more time
_EARLIEST, _ENOUGH = 2, 0.9  # a round after which play ends with a bound below this share of what closes
_PACE = 0.2  # of alpha, towards its best response
_UNIT = 2.0**20  # shares are whole multiples of its inverse: their sums are exact
_BELOW = 1.0 - 1e-6  # of shares that are scaled down to sum to one: beyond single precision
_TINY = 1e-30  # beside a height: no division by zero
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


def nearest_partners(
    positive: Float[np.ndarray, "p r"], negative: Float[np.ndarray, "q r"]
) -> Int[np.ndarray, "p k"]:
    """Return for each row of the first matrix which rows of the second point most nearly as it does.

    -1 where there are too few.
    """
    if not len(positive) or not len(negative):
        return np.full((len(positive), PARTNERS), -1)
    ours, theirs = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (positive, negative))
    nearest = cKDTree(theirs).query(ours, k=PARTNERS)[1]
    return np.where(nearest < len(negative), nearest, -1)


def _summing(function: F) -> F:
    """Compile a sum whose terms may be added in any order, several at once: what proves nothing by itself."""
    return compiled(function, fastmath={"contract", "reassoc"})


@kernel
@no_type_check
def room_to_play(n, r):
    """Memory for what follows.

    Which local number a concave generator has, plus one; partners, shares, dual variables z and prices; the
    weights alpha of the rays.
    """
    return (
        np.zeros(n, dtype=np.int64),
        np.empty((PARTNERS, n), dtype=np.uint32),
        np.empty((PARTNERS, n), dtype=np.float32),
        np.empty((r, n), dtype=np.float32),
        np.empty(n + 1, dtype=np.float32),
        np.empty(r),
    )


@kernel
@no_type_check
def inherit(heights, mixed, few, n_mixed, which, n_convex, partners, plays, room, residual, left):
    """Take over shares, dual variables and prices from the cone that this one is part of.

    `plays` has a row for each member: of a convex one its shares and its dual variables at the rays, of a
    concave one its price.
    """
    local, partner, tau, z, price, _ = room
    r, m = len(heights), n_mixed - few
    for j in range(m):
        local[which[mixed[few + j]] - n_convex] = j + 1
        price[j] = plays[mixed[few + j], 0]
    price[m] = _ZERO
    for i in range(few):
        row = mixed[i]
        for k in range(PARTNERS):
            q = partners[which[row], k]
            j = local[q] - 1 if q >= 0 else -1
            partner[k, i] = j if j >= 0 else m  # one that keeps its sign takes no part
            tau[k, i] = plays[row, k] if j >= 0 else _ZERO
        for a in range(r):
            z[a, i] = plays[row, PARTNERS + a]
    for j in range(m):
        local[which[mixed[few + j]] - n_convex] = 0
    _leave(heights, mixed, few, n_mixed, room, residual, left)


@kernel
@no_type_check
def bequeath(few, n_mixed, room, plays, start):
    """Write down what the parts of a cone inherit, from row `start` on."""
    _, _, tau, z, price, alpha = room
    for i in range(few):
        for k in range(PARTNERS):
            plays[start + i, k] = tau[k, i]
        for a in range(len(alpha)):
            plays[start + i, PARTNERS + a] = z[a, i]
    for j in range(n_mixed - few):
        plays[start + few + j, 0] = price[j]


@kernel
@no_type_check
def settle(heights, mixed, few, n_mixed, room, residual, left):
    """Round shares to multiples of the unit, at most one in all of each concave generator."""
    _, partner, tau, _, _, _ = room
    m = n_mixed - few
    for j in range(m):
        left[j] = 0.0
    for k in range(PARTNERS):
        for i in range(few):
            if partner[k, i] < m:
                left[partner[k, i]] += tau[k, i]
    for j in range(m):
        left[j] = _BELOW * _UNIT / max(left[j], 1.0)
    for k in range(PARTNERS):
        for i in range(few):
            j = partner[k, i]
            tau[k, i] = np.floor(tau[k, i] * left[j]) / _UNIT if j < m else 0.0
    _leave(heights, mixed, few, n_mixed, room, residual, left)


@kernel
@no_type_check
def _leave(heights, mixed, few, n_mixed, room, residual, left):
    """Fill in the residuals' heights at the rays, and what is left of the concave generators."""
    _, partner, tau, _, _, _ = room
    r = len(heights)
    leave_alone(heights, mixed, few, n_mixed, residual, left)
    for i in range(few):
        for k in range(PARTNERS):
            share = float(tau[k, i])
            if share > 0.0:
                j = partner[k, i]
                left[j] -= share
                for a in range(r):
                    residual[i, a] -= share * heights[a, mixed[few + j]]


@kernel
@no_type_check
def play(heights, mixed, few, n_mixed, linear, V, inverse, t, closing, room, residual):
    """Play some rounds, or until the bound is well below `closing`; t is improved with the shares.

    `linear` are the values at the rays of what is linear on the cone, `inverse` is that of the rays V.
    """
    _, partner, tau, z, price, alpha = room
    r, m = len(V), n_mixed - few
    P, Q, across = _heights(heights, mixed, few, n_mixed, partner)
    first, second, own, dear = _steps(Q, across, partner, few, m)
    bar, col = np.empty((r, few), dtype=np.float32), np.empty(m + 1, dtype=np.float32)
    gain, twice = np.empty(few, dtype=np.float32), np.empty(few, dtype=np.float32)
    slope, ours = np.empty(m, dtype=np.float32), np.empty(m, dtype=np.float32)
    G, best, u = np.empty(r), np.empty(r), np.empty(r)
    for j in range(m):
        ours[j] = t[j]
    for a in range(r):
        for i in range(few):
            bar[a, i] = residual[i, a]
        G[a] = linear[a] + _sum_positive(bar[a]) - _product(ours, across[a])
    _respond(inverse, V, G, u, alpha)
    _begin(z, residual, alpha, few)
    for played in range(_ROUNDS):
        for j in range(m + 1):
            col[j] = _ZERO
        for a in range(r):
            for i in range(few):
                bar[a, i] = P[a, i]
        for k in range(PARTNERS):
            for i in range(few):
                gain[i] = -price[partner[k, i]]
            for a in range(r):
                for i in range(few):
                    gain[i] += z[a, i] * Q[k, a, i]
            for i in range(few):
                before = tau[k, i]
                tau[k, i] = max(before + first[k, i] * gain[i], _ZERO)
                twice[i] = _TWO * tau[k, i] - before
            for a in range(r):
                for i in range(few):
                    bar[a, i] -= twice[i] * Q[k, a, i]
            for i in range(few):
                col[partner[k, i]] += twice[i]
        for j in range(m):
            slope[j] = -price[j]
        for a in range(r):
            weight = np.float32(alpha[a])
            for j in range(m):
                slope[j] += weight * across[a, j]
        for j in range(m):
            before = ours[j]
            ours[j] = min(max(before + own[j] * slope[j], _ZERO), _ONE)
            excess = col[j] + _TWO * ours[j] - before - _ONE
            price[j] = max(price[j] + dear[j] * excess, _ZERO)
        for a in range(r):
            G[a] = linear[a] + _sum_positive(bar[a]) - _product(ours, across[a])
        bound = _respond(inverse, V, G, u, best)
        if played >= _EARLIEST and bound <= _ENOUGH * closing:
            break
        for a in range(r):
            alpha[a] += _PACE * (best[a] - alpha[a])
            most = np.float32(alpha[a])
            for i in range(few):
                z[a, i] = min(max(z[a, i] + second[a, i] * bar[a, i], _ZERO), most)
    for j in range(m):
        t[j] = ours[j]


@_summing
@no_type_check
def _sum_positive(x):
    """Sum of the positive entries."""
    total = _ZERO
    for value in x:
        total += max(value, _ZERO)
    return total


@_summing
@no_type_check
def _product(x, y):
    """Product with the first entries of y."""
    total = _ZERO
    for k in range(len(x)):
        total += x[k] * y[k]
    return total


@kernel
@no_type_check
def _heights(heights, mixed, few, n_mixed, partner):
    """The convex generators' heights at the rays, those of their partners, and the concave ones'."""
    r, m = len(heights), n_mixed - few
    P, Q = np.empty((r, few), dtype=np.float32), np.empty((PARTNERS, r, few), dtype=np.float32)
    across = np.empty((r, m + 1), dtype=np.float32)
    for a in range(r):
        for i in range(few):
            P[a, i] = heights[a, mixed[i]]
        for j in range(m):
            across[a, j] = heights[a, mixed[few + j]]
        across[a, m] = _ZERO
    for k in range(PARTNERS):
        for a in range(r):
            for i in range(few):
                Q[k, a, i] = across[a, partner[k, i]]
    return P, Q, across


@kernel
@no_type_check
def _steps(Q, across, partner, few, m):
    """Diagonal steps: one over the sums of the coefficients' sizes, of shares, z, t and prices.

    A constraint on shares counts as much as the generator it is on.
    """
    r = len(across)
    first, second = np.empty((PARTNERS, few), dtype=np.float32), np.zeros((r, few), dtype=np.float32)
    size, dear = np.full(m + 1, np.float32(_TINY)), np.ones(m + 1, dtype=np.float32)
    own = np.empty(m, dtype=np.float32)
    for a in range(r):
        for j in range(m):
            size[j] += abs(across[a, j])
        for k in range(PARTNERS):
            for i in range(few):
                second[a, i] += abs(Q[k, a, i])
        for i in range(few):
            second[a, i] = 1.0 / (second[a, i] + _TINY)
    for k in range(PARTNERS):
        for i in range(few):
            j = partner[k, i]
            dear[j] += 1.0
            first[k, i] = 0.5 / size[j] if j < m else 0.0
    for j in range(m):
        own[j], dear[j] = 0.5 / size[j], size[j] / dear[j]
    return first, second, own, dear


@kernel
@no_type_check
def _begin(z, residual, alpha, few):
    """Clip inherited z at the weights of the rays; without any, the residuals say which count."""
    for i in range(few):
        known = False
        for a in range(len(alpha)):
            known = known or z[a, i] > _ZERO
        for a in range(len(alpha)):
            if known:
                z[a, i] = min(z[a, i], alpha[a])
            else:
                z[a, i] = alpha[a] if residual[i, a] > 0.0 else 0.0


@kernel
@no_type_check
def _respond(inverse, V, G, u, alpha):
    """Fill in weights of a unit vector in the cone that is best for values G at the rays, or nearly so.

    Returns the length of the vector with these values: the bound. It is u.
    """
    r = len(G)
    for c in range(r):
        u[c] = dot(inverse[c], G)
    bound = np.sqrt(dot(u, u))
    for a in range(r):
        weight = 0.0
        for c in range(r):
            weight += inverse[c, a] * u[c]
        alpha[a] = max(weight, 0.0)
    for c in range(r):
        u[c] = 0.0
        for a in range(r):
            u[c] += alpha[a] * V[a, c]
    length = max(np.sqrt(dot(u, u)), _TINY)
    for a in range(r):
        alpha[a] /= length
    return bound
