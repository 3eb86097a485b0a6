"""A second look at a cone that chords do not close: what bends on it, and what the sphere itself bends.

On a cone with unit rays v_a let u be the point ``sum_a alpha_a v_a`` of the simplex, ``sum_a alpha_a = 1``,
and a convex residual with heights h_a at the rays bend. The chord ``sum_a alpha_a (h_a)_+`` exceeds
``(sum_a alpha_a h_a)_+`` by ``min(A, B)``, where A and B are what the positive and the negative heights
contribute. Since ``sum_a,b min(h_a, -h_b) alpha_a alpha_b``, over rays on either side, is neither more than A
nor more than B, the chord may be lowered by it: by half of its error in the middle of an edge. And for any
unit vector c

    ||u|| >= c^T u + (||u||^2 - (c^T u)^2) / 2,

as neither length exceeds one. So the correlation is at most `level` on the cone if a quadratic form in alpha
is nowhere negative: if a matrix of the order of the rank is copositive. Slivers need no special care, because
nothing is divided by.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from convexrelu._box_least_norm import dot
from convexrelu._typing import kernel

__all__ = ["closes", "copositive"]

_ROUNDED = 1e-14  # of an entry, through at most ten eliminations that do not let entries grow


@kernel
@no_type_check
def closes(top, residual, few, c, V, level):
    """Whether chords with values `top` at the rays V, lowered by half of their errors, stay below a level.

    `residual` holds the heights at the rays of the `few` convex residuals; c is a unit vector, best where the
    chords are largest.
    """
    r = len(V)
    along, form = np.empty(r), np.zeros((r, r))
    for a in range(r):
        along[a] = dot(V[a], c)
    for i in range(few):
        for a in range(r):
            x = residual[i, a]
            for b in range(a):
                y = residual[i, b]
                if x * y < 0.0:
                    form[a, b] += min(abs(x), abs(y))
    largest = level + np.abs(top).max()
    for a in range(r):
        for b in range(a + 1):
            length = along[a] + along[b] + dot(V[a], V[b]) - along[a] * along[b]
            form[a, b] += level * length - top[a] - top[b] - _ROUNDED * largest
            form[b, a] = form[a, b]
    return copositive(form)


@kernel
@no_type_check
def copositive(Q):
    """Whether elimination shows that ``a^T Q a >= 0`` for every a >= 0; Q is overwritten.

    A variable whose products are none negative drops out, and one whose products are none positive takes its
    best value: both lose nothing. Of the others, the one comes next that loses least when its positive
    products are left out. So False means that nothing was shown.
    """
    left = len(Q)
    while left > 0:
        chosen, least = -1, np.inf
        for i in range(left):
            if not Q[i, i] > 0.0:
                return False
            positive, negative = 0.0, 0.0
            for j in range(left):
                if j != i:
                    share = Q[i, j] / np.sqrt(Q[j, j]) if Q[j, j] > 0.0 else 0.0
                    positive += max(share, 0.0)
                    negative += max(-share, 0.0)
            loss = min(positive, negative) / np.sqrt(Q[i, i])
            if negative == 0.0:
                loss = -1.0
            if loss < least:
                chosen, least = i, loss
        left -= 1
        for j in range(len(Q)):  # exchange with the last
            Q[chosen, j], Q[left, j] = Q[left, j], Q[chosen, j]
        for j in range(len(Q)):
            Q[j, chosen], Q[j, left] = Q[j, left], Q[j, chosen]
        for i in range(left):
            if Q[left, i] < 0.0:
                ratio = Q[left, i] / Q[left, left]
                for j in range(left):
                    if Q[left, j] < 0.0:
                        Q[i, j] -= ratio * Q[left, j]
    return True
