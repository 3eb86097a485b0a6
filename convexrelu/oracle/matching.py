"""Convex and concave kinks of one cone that nearly cancel: their difference is bounded, not each of them.

For shares tau_ij >= 0 of q_j, at most one in all for each j,

    sum_i (p_i^T u)_+ - sum_j (q_j^T u)_+ <= sum_i (r_i^T u)_+ - sum_j (1 - sum_i tau_ij) (q_j^T u)_+

with the residuals ``r_i = p_i - sum_j tau_ij q_j``, since ``(r + tau q)_+ <= r_+ + tau q_+``. Chords bound
the residuals where they bounded the p_i, and err the less the better p_i and q_j cancel on the cone: with
multipliers of both signs on most rows, as noise leaves them, that is most of the error.

The shares are chosen greedily, for the error at the middle of the cone: the generator with the largest goes
first, and takes of one q_j what lowers it most. A second pass, or the point that attains the bound in place
of the middle, spends more of the q_j there, and the cone's bound rises elsewhere: both needed more cones.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from convexrelu._typing import kernel

__all__ = ["leave_alone", "match", "room_to_match"]

# A generator whose error is less than the first share of the average one is left alone; a partner must take
# the second share of a generator's error.
_LEAST_ERROR, _LEAST_GAIN = 0.1, 1e-3
_TRIED = 4  # partners for each: those that promise most
_BELOW = 1.0 - 2.0 * np.finfo(float).eps  # what is left of a q_j is rounded down: shares sum to at most one


@kernel
@no_type_check
def room_to_match(n, r):
    """Memory for :func:`match`.

    The concave generators' heights at the rays (by row, and by ray too); errors, costs, sizes and slopes.
    """
    return (np.empty((n, r)), np.empty((r, n)), np.empty(n), np.empty(n), np.empty(n), np.empty(n))


@kernel
@no_type_check
def leave_alone(heights, mixed, few, n_mixed, residual, left):
    """Fill in the convex members that change their sign for their residuals, and all of the others."""
    for i in range(few):
        for a in range(len(heights)):
            residual[i, a] = heights[a, mixed[i]]
    for j in range(n_mixed - few):
        left[j] = 1.0


@kernel
@no_type_check
def match(heights, mixed, few, n_mixed, room, residual, left):
    """Fill in the residuals of the convex members that change their sign, and what is left of the others."""
    partner, across, errors, costs, sizes, slopes = room
    r, m = len(heights), n_mixed - few
    leave_alone(heights, mixed, few, n_mixed, residual, left)
    for j in range(m):
        middle, sizes[j] = 0.0, 0.0
        for a in range(r):
            height = heights[a, mixed[few + j]]
            partner[j, a] = across[a, j] = height
            middle += height
            sizes[j] += abs(height)
        # a share of q_j no longer lowers the bound by its own height in the middle
        costs[j] = max(middle, 0.0)
    total = 0.0
    for i in range(few):
        above, middle = 0.0, 0.0
        for a in range(r):
            middle += residual[i, a]
            above += max(residual[i, a], 0.0)
        errors[i] = above - max(middle, 0.0)
        total += errors[i]
    for _ in range(few if m > 0 else 0):
        i = 0
        for k in range(1, few):
            if errors[k] > errors[i]:
                i = k
        if errors[i] * few <= _LEAST_ERROR * total:
            break
        j, share = _partner(
            residual, i, partner, across, left, costs, sizes, slopes, m, _LEAST_GAIN * errors[i]
        )
        errors[i] = 0.0
        if j >= 0:
            for a in range(r):
                residual[i, a] -= share * partner[j, a]
            left[j] = max(left[j] - share, 0.0) * _BELOW


@kernel
@no_type_check
def _partner(residual, i, partner, across, left, costs, sizes, slopes, m, least):
    """The concave generator that lowers the error of a convex one most, and its share; -1 for none."""
    for j in range(m):
        slopes[j] = costs[j]
    for a in range(residual.shape[1]):
        if residual[i, a] > 0.0:
            for j in range(m):
                slopes[j] -= across[a, j]
    size = 0.0
    for a in range(residual.shape[1]):
        size += abs(residual[i, a])
    for j in range(m):  # what a share can gain that is no longer than the generator, were errors linear in it
        slopes[j] *= min(left[j], size / sizes[j])
    best, share, most = -1, 0.0, least
    for _ in range(_TRIED):
        j = 0
        for k in range(1, m):
            if slopes[k] < slopes[j]:
                j = k
        if slopes[j] >= 0.0:
            break
        gain, t = _lowered(residual, i, partner, j, slopes[j] / min(left[j], size / sizes[j]), left[j])
        slopes[j] = 0.0
        if gain > most:
            best, share, most = j, t, gain
    return best, share


@kernel
@no_type_check
def _lowered(residual, i, partner, j, slope, cap):
    """By how much a share of a concave generator lowers the error of a convex one at best, and that share."""
    t, gain = 0.0, 0.0
    while slope < 0.0 and t < cap:
        kink, at = cap, -1
        for a in range(residual.shape[1]):
            if residual[i, a] * partner[j, a] > 0.0:
                place = residual[i, a] / partner[j, a]
                if t < place < kink:
                    kink, at = place, a
        gain -= slope * (kink - t)
        t = kink
        if at < 0:
            break
        slope += abs(partner[j, at])
    return gain, t
