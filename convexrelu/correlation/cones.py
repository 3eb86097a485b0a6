"""The exact maximum of a neuron's correlation in low rank: branch and bound on simplicial cones.

On a cone with generators v_1..v_r, an arm p_i of Z_+ that keeps its sign is linear; one that changes it is
convex there, so the chord through its values at the generators bounds it from above. The arms q_j of Z_-
enter as ``-(q_j^T u)_+ <= -t_j q_j^T u``, t_j in [0, 1]. The best bound over t and over the cone's own
constraints is one call of the box least-norm kernel, and it is exact once no p_i changes sign. Cones are
split along an edge, exactly where the arm with the largest chord error vanishes, so that the search is
finite.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float

from convexrelu._typing import kernel
from convexrelu.box_least_norm import copy_into, dot, least_norm
from convexrelu.correlation.zonotopes import Zonotopes

__all__ = ["ConeSearch", "invert_into", "search_cones"]

_STACK = 4096  # cones waiting at most; depth first keeps a few hundred
_NODES_AT_ONCE = 2000  # between two looks at the clock
# An arm whose value at a generator is below this share of its length is taken to vanish there: generators lie
# on the hyperplanes at which their cones were split, up to rounding. The bound is checked at the generators
# afterwards.
_ON_PLANE = 1e-12
_ROTATION_SEED = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class ConeSearch:
    """The outcome of a search.

    Attributes
    ----------
    value : float
        Largest correlation met; attained by `direction`.
    direction : (r,) float array
        A unit vector.
    bound : float
        No unit vector correlates more.
    slack : float
        What the bound contains for perturbed arms (0 where none were).
    nodes : int
        Cones bounded, or cells visited.
    finished : bool
        Whether every cone was closed; if not, the bound is that of the open ones.
    """

    value: float
    direction: Float[np.ndarray, " r"]
    bound: float
    slack: float
    nodes: int
    finished: bool


def search_cones(
    pair: Zonotopes,
    value: float,
    direction: Float[np.ndarray, " r"],
    *,
    tol: float,
    seconds: float,
    max_nodes: int,
) -> ConeSearch:
    """Maximise the correlation over the whole sphere, starting from a direction of the given value."""
    r = pair.basis.shape[1]
    rotation = np.linalg.qr(np.random.default_rng(_ROTATION_SEED).normal(size=(r, r)))[0]
    stack = np.empty((_STACK, r, r))
    bounds = np.full(_STACK, np.inf)
    signs = 1.0 - 2.0 * ((np.arange(2**r)[:, None] >> np.arange(r)) % 2)
    stack[: 2**r] = signs[:, :, None] * rotation
    best = direction.copy()
    state = np.array([value, 0.0])  # the incumbent's value, and the largest bound of a closed cone
    size, nodes = 2**r, 0
    deadline = time.monotonic() + seconds
    while size and nodes < max_nodes and time.monotonic() < deadline:
        size, done = _search(
            pair.positive, pair.negative, stack, bounds, size, best, state, tol, _NODES_AT_ONCE
        )
        nodes += done
        if done == 0:  # the stack is full
            break
    bound = max(state[0], state[1], float(bounds[:size].max(initial=0.0)))
    return ConeSearch(
        value=float(state[0]), direction=best, bound=bound, slack=0.0, nodes=nodes, finished=size == 0
    )


@kernel
@no_type_check
def _search(P, Q, stack, bounds, size, best, state, tol, budget):
    """Work off up to `budget` cones from the top of the stack; returns its new size and the number done."""
    r = P.shape[1]
    V, work, inverse = np.empty((r, r)), np.empty((r, r)), np.empty((r, r))
    rho, middle = np.empty(r), np.empty(r)
    heights = np.empty((len(P), r))
    arms, caps = np.empty((len(Q) + r, r)), np.empty(len(Q) + r)
    t, mixed, values = np.empty(len(Q) + r), np.empty(len(Q), dtype=np.int64), np.empty(r)
    done = 0
    while size > 0 and done < budget and size + 1 < len(stack):
        size -= 1
        done += 1
        if bounds[size] <= state[0] * (1 + tol):
            state[1] = max(state[1], bounds[size])
            continue
        _copy_rows(V, stack[size])
        bound = _bound(P, Q, V, work, inverse, heights, arms, caps, t, mixed, values, rho)
        bound = min(bound, bounds[size])
        size_rho = np.sqrt(dot(rho, rho))
        if size_rho > 0:
            reached = _value(P, Q, rho) / size_rho
            if reached > state[0]:
                state[0] = reached
                for c in range(r):
                    best[c] = rho[c] / size_rho
        if bound <= state[0] * (1 + tol):
            state[1] = max(state[1], bound)
            continue
        row, a, b = _widest_kink(heights)
        if row < 0:  # no arm changes sign: the bound is exact up to rounding
            state[1] = max(state[1], bound)
            continue
        share = heights[row, a] / (heights[row, a] - heights[row, b])
        for c in range(r):
            middle[c] = (1 - share) * V[a, c] + share * V[b, c]
        length = np.sqrt(dot(middle, middle))
        _copy_rows(stack[size], V)
        _copy_rows(stack[size + 1], V)
        for c in range(r):
            stack[size, b, c] = stack[size + 1, a, c] = middle[c] / length
        bounds[size] = bounds[size + 1] = bound
        size += 2
    return size, done


@kernel
@no_type_check
def _copy_rows(target, source):
    for k in range(len(source)):
        copy_into(target[k], source[k])


@kernel
@no_type_check
def _value(P, Q, u):
    total = 0.0
    for i in range(len(P)):
        total += max(dot(P[i], u), 0.0)
    for j in range(len(Q)):
        total -= max(dot(Q[j], u), 0.0)
    return total


@kernel
@no_type_check
def _bound(P, Q, V, work, inverse, heights, arms, caps, t, mixed, values, rho):
    """Bound the correlation over the cone's unit vectors; rho / ||rho|| is the point that suggests itself."""
    r = V.shape[0]
    values[:] = 0.0
    for i in range(len(P)):
        length = np.sqrt(dot(P[i], P[i]))
        for k in range(r):
            height = dot(P[i], V[k])
            heights[i, k] = height if abs(height) > _ON_PLANE * length else 0.0
            values[k] += max(height, 0.0)
    n_mixed = 0
    for j in range(len(Q)):
        low, high = np.inf, -np.inf
        for k in range(r):
            height = dot(Q[j], V[k])
            low, high = min(low, height), max(high, height)
        if low >= 0.0:
            for k in range(r):
                values[k] -= dot(Q[j], V[k])
        elif high > 0.0:
            mixed[n_mixed] = j
            n_mixed += 1
    _copy_rows(work, V)
    invert_into(work, inverse, r)
    for m in range(n_mixed):
        copy_into(arms[m], Q[mixed[m]])
        caps[m] = 1.0
    for k in range(r):  # the cone's constraints: rows of the inverse transposed, scaled to length one
        length = 0.0
        for c in range(r):
            length += inverse[c, k] * inverse[c, k]
        for c in range(r):
            arms[n_mixed + k, c] = -inverse[c, k] / np.sqrt(length)
        caps[n_mixed + k] = np.inf
    for c in range(r):
        rho[c] = dot(inverse[c], values)
    target = rho.copy()
    norm, _ = least_norm(arms[: n_mixed + r], target, caps[: n_mixed + r], 0.0, t[: n_mixed + r], rho)
    # Whatever rho and t are: if the bounding function exceeds rho^T v_k by at most `excess` at every
    # generator, then it is at most ||rho|| + sqrt(r) excess on the cone, whose generators make no obtuse
    # angles (sum alpha <= sqrt(r) ||u||).
    excess = 0.0
    for k in range(r):
        value = values[k]
        for m in range(n_mixed):
            value -= t[m] * dot(Q[mixed[m]], V[k])
        excess = max(excess, value - dot(rho, V[k]))
    return norm + np.sqrt(r) * excess


@kernel
@no_type_check
def _widest_kink(heights):
    """Return the arm that changes sign with the largest chord error, and the edge (a, b) for it."""
    row, a, b, widest = -1, 0, 0, 0.0
    for i in range(len(heights)):
        low = high = 0
        for k in range(1, heights.shape[1]):
            if heights[i, k] < heights[i, low]:
                low = k
            if heights[i, k] > heights[i, high]:
                high = k
        if heights[i, low] < 0.0 < heights[i, high]:
            # error of the chord in the middle of the edge
            error = min(-heights[i, low], heights[i, high])
            if error > widest:
                row, a, b, widest = i, high, low, error
    return row, a, b


@kernel
@no_type_check
def invert_into(work, inverse, size):
    """Gauss-Jordan with partial pivoting on the leading block; destroys `work`."""
    for i in range(size):
        for j in range(size):
            inverse[i, j] = 1.0 if i == j else 0.0
    for c in range(size):
        pivot = c
        for i in range(c + 1, size):
            if abs(work[i, c]) > abs(work[pivot, c]):
                pivot = i
        if work[pivot, c] == 0.0:
            return False
        for j in range(size):
            work[c, j], work[pivot, j] = work[pivot, j], work[c, j]
            inverse[c, j], inverse[pivot, j] = inverse[pivot, j], inverse[c, j]
        scale = work[c, c]
        for j in range(size):
            work[c, j] /= scale
            inverse[c, j] /= scale
        for i in range(size):
            if i != c and work[i, c] != 0.0:
                factor = work[i, c]
                for j in range(size):
                    work[i, j] -= factor * work[c, j]
                    inverse[i, j] -= factor * inverse[c, j]
    return True
