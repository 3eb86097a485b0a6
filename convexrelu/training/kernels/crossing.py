"""What a neuron does on hyperplanes: it crosses them, slides along them, or leaves to one side.

The rows on hyperplane k pull with ``s high[k]`` along its unit normal for a neuron of sign s on its positive
side, and with ``s low[k]`` on its negative side. The early phase, whose loss weights are frozen, and the
gradient flow both decide here:

* Where both sides lead back, ``s (high - low) < 0``, the neuron is held: its velocity is the least-norm
  element of Clarke's subdifferential. It slides if the multiplier is inside (0, 1), and leaves to one side if
  it is 0 or 1.
* Any other hyperplane is crossed if the neuron has met it (the least-norm pull is a monotone function of what
  is added to it, so both sides lead across), and keeps its side if another one was met.
* A hyperplane that a neuron starts on counts as inactive (the derivative 0 of WP section 4) unless the
  velocity leads to its active side.

Where several hyperplanes are met at once, the velocity may lead back over one of them. That one is crossed,
too, and so on until the velocity leads away from all: so does a neighbour that meets them one after another.
It ends, because each crossing raises the least norm.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np

from convexrelu._box_least_norm import copy_into, dot, least_norm
from convexrelu._typing import kernel

__all__ = ["decide", "least_pull"]

_INTERIOR = 1e-13
"""A multiplier this far from 0 and 1 means sliding; nearer, the neuron leaves to that side. A velocity across
a hyperplane below this part of the sizes of all pulls that make it is the rounding of 0. It is well below
what counts as a change of pattern, or a neuron that barely slides would leave again and again."""

_FLIPS = 8
"""How often each hyperplane may change its side while a crossing of several is settled: against rounding."""

# A literal number as an argument, or a variable that starts as one, makes numba compile the called function
# once more: so counts are passed as slices.


@kernel
@no_type_check
def least_pull(normals, low, high, s, held, base, t, pull):
    """Write the multipliers and the value of the least-norm ``base + s sum_k (low + t (high - low)) n_k``.

    The sum is over the hyperplanes `held`. Of a problem with several of them powers of two are taken out,
    which is exact: no square over- or underflows.
    """
    d = len(base)
    copy_into(pull, base)
    for i in range(len(held)):
        k = held[i]
        for j in range(d):
            pull[j] += s * low[k] * normals[k, j]
    if len(held) == 1:  # the normal has length one
        k = held[0]
        jump = s * (high[k] - low[k])
        t[0] = min(max(-dot(normals[k], pull) / jump, 0.0), 1.0)
        for j in range(d):
            pull[j] += t[0] * jump * normals[k, j]
    elif len(held) > 1:
        A, caps, largest = np.empty((len(held), d)), np.empty(len(held)), 0.0
        for j in range(d):
            largest = max(largest, abs(pull[j]))
        whole = math.frexp(largest)[1]
        for j in range(d):
            pull[j] = math.ldexp(pull[j], -whole)
        for i in range(len(held)):
            part, exponent = math.frexp(s * (low[held[i]] - high[held[i]]))
            caps[i] = math.ldexp(1.0, exponent - whole)
            for j in range(d):
                A[i, j] = part * normals[held[i], j]
        least_norm(A, pull.copy(), caps, 0.0, t, pull)
        for i in range(len(held)):
            t[i] = min(t[i] / caps[i], 1.0) if caps[i] > 0.0 else 0.0
        for j in range(d):
            pull[j] = math.ldexp(pull[j], whole)


@kernel
@no_type_check
def decide(normals, low, high, s, met, ties, sides, share):
    """Decide in place on the sides (+1, -1, 0: slides) of the hyperplanes `ties` that a neuron is on.

    `sides` says where it comes from, 0 if it starts on a hyperplane or has slid along it; `met` is the
    hyperplane it has met, or -1. The sides of all other hyperplanes stay. `share` becomes 1 on the positive
    side, 0 on the negative one, and the multiplier where the neuron slides.
    """
    h, d = normals.shape
    held, loose, n_held, n_loose = np.empty_like(ties), np.empty_like(ties), 0, 0
    here, base, size = np.zeros(h, dtype=np.bool_), np.zeros(d), 0.0
    for i in range(len(ties)):
        k = ties[i]
        here[k] = True
        size += max(abs(low[k]), abs(high[k]))
        if s * (high[k] - low[k]) < 0.0:
            held[n_held] = k
            n_held += 1
        else:
            loose[n_loose] = k
            n_loose += 1
            if k == met:
                sides[k] = -sides[k]
    held, loose = held[:n_held], loose[:n_loose]
    for k in range(h):
        if not here[k]:
            push = s * (high[k] if sides[k] > 0 else low[k])
            size += abs(push)
            for j in range(d):
                base[j] += push * normals[k, j]
    pull, t = np.empty(d), np.empty(len(held))
    for _ in range(_FLIPS * len(loose) + 2):
        whole, open_sides = base.copy(), False
        for i in range(len(loose)):
            k = loose[i]
            if sides[k] == 0:
                open_sides = True
                continue
            push = s * (high[k] if sides[k] > 0 else low[k])
            for j in range(d):
                whole[j] += push * normals[k, j]
        least_pull(normals, low, high, s, held, whole, t, pull)
        wrong = -1
        for i in range(len(loose)):
            k = loose[i]
            speed = dot(normals[k], pull)
            if sides[k] == 0:
                sides[k] = 1 if speed > _INTERIOR * size else -1
            elif wrong < 0 and not open_sides and sides[k] * speed < -_INTERIOR * size:
                wrong = k
        if wrong >= 0:
            sides[wrong] = -sides[wrong]
        elif not open_sides:
            break
    for i in range(len(loose)):
        share[loose[i]] = 1.0 if sides[loose[i]] > 0 else 0.0
    for i in range(len(held)):
        k = held[i]
        sides[k] = -1 if t[i] <= _INTERIOR else 1 if t[i] >= 1.0 - _INTERIOR else 0
        share[k] = 0.0 if sides[k] < 0 else 1.0 if sides[k] > 0 else t[i]
