"""The exact maximum of a neuron's correlation in low rank: branch and bound on simplicial cones.

On a cone with rays v_1..v_r, a generator p_i of Z_+ that keeps its sign is linear; one that changes it is
convex there, so the chord through its values at the rays bounds it from above. The generators q_j of Z_-
enter as ``-(q_j^T u)_+ <= -t_j q_j^T u``, t_j in [0, 1]. The best bound over t and over the cone's own
constraints is one call of the box least-norm kernel, and it is exact once no p_i changes sign. Cones are
split along an edge, exactly where the generator with the largest chord error vanishes, so that the search is
finite.

The cones with the largest bounds are split first, in rounds of a fixed number of tasks that share what they
found only at the end of a round: the answer is the same however many workers there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int

from convexrelu._box_least_norm import copy_into, dot, least_norm
from convexrelu._clock import Clock
from convexrelu._parallel import run_tasks
from convexrelu._typing import kernel
from convexrelu.arrangements.vertices import invert_into
from convexrelu.oracle.zonotopes import Zonotopes, neighbouring_order

__all__ = ["ConeSearch", "Frontier", "orthants", "search_cones"]

_TASKS = 32  # in a round; more than there are cores, so that a slow one does not hold up the others
_FIRST_NODES = 500  # worked off in the caller: most searches end there
_TASK_NODES = 200  # a task's share of a round: some 10 ms
_TASK_CONES = 64  # handed to a task at most
_MOST_OPEN_BYTES = 2**27  # beyond this, the search goes for depth: that needs no more memory
_SLICE_WORK = 2e6  # multiplications between two looks at the clock: about a millisecond
# Mixed generators of Z_- beyond this many share their multiplier t with their neighbours: that loosens a
# bound but proves it just as well, and the kernel's time grows with the square of their number.
_MOST_MIXED = 256
# A generator whose value at a ray is below this share of its length is taken to vanish there: rays lie
# on the hyperplanes at which their cones were split, up to rounding. The bound is checked at the rays
# afterwards.
_ON_PLANE = 1e-12
_ROTATION_SEED = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Frontier:
    """Cones that may still hold the maximum.

    Attributes
    ----------
    cones : (m, r, r) float array
        Their rays, one a row.
    bounds : (m,) float array
        No unit vector of the cone correlates more.
    edges : (m, 2) int array
        The rays of the edge to split, -1 for a cone not bounded by itself yet.
    shares : (m,) float array
        Where to split: this share of the way from the edge's first ray to its second.
    """

    cones: Float[np.ndarray, "m r r"]
    bounds: Float[np.ndarray, " m"]
    edges: Int[np.ndarray, "m 2"]
    shares: Float[np.ndarray, " m"]

    def __len__(self) -> int:
        return len(self.bounds)

    def taken(self, which: Int[np.ndarray, " k"]) -> Frontier:
        """Return some of the cones."""
        return Frontier(
            cones=self.cones[which],
            bounds=self.bounds[which],
            edges=self.edges[which],
            shares=self.shares[which],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ConeSearch:
    """The outcome of a search.

    Attributes
    ----------
    value : float
        Largest correlation met; attained by `direction` if it exceeds the value the search began with.
    direction : (r,) float array
        A unit vector.
    bound : float
        No unit vector correlates more.
    slack : float
        What the bound contains for perturbed generators (0 where none were).
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Round:
    """What one task hands back: the incumbent, the largest bound of a closed cone, and what is open."""

    value: float
    direction: Float[np.ndarray, " r"]
    closed: float
    nodes: int
    open: Frontier


def orthants(r: int, ceiling: float, turn: int = 0) -> Frontier:
    """Return the 2^r orthants of a rotated frame, none of which correlates more than `ceiling`."""
    rotation = np.linalg.qr(np.random.default_rng(_ROTATION_SEED + turn).normal(size=(r, r)))[0]
    signs = 1.0 - 2.0 * ((np.arange(2**r)[:, None] >> np.arange(r)) % 2)
    return Frontier(
        cones=signs[:, :, None] * rotation,
        bounds=np.full(2**r, ceiling),
        edges=np.full((2**r, 2), -1),
        shares=np.zeros(2**r),
    )


def search_cones(
    pair: Zonotopes,
    value: float,
    direction: Float[np.ndarray, " r"],
    *,
    tol: float,
    clock: Clock,
    max_nodes: int,
    ceiling: float = np.inf,
    stop_above: float = np.inf,
    turn: int = 0,
) -> ConeSearch:
    """Maximise the correlation over the whole sphere, starting from a direction of the given value.

    `ceiling` is a bound known beforehand: the answer's is no worse. A value above `stop_above` ends the
    search. `turn` chooses the frame whose orthants it begins with: some take far longer than others.
    """
    P, Q = pair.positive, pair.negative
    if len(Q) > _MOST_MIXED and not clock.expired():  # those next to each other will share a multiplier
        Q = np.ascontiguousarray(Q[neighbouring_order(Q, -(-len(Q) // _MOST_MIXED))])
    front, closed, nodes = orthants(P.shape[1], ceiling, turn), 0.0, 0
    most_open = _MOST_OPEN_BYTES // (8 * P.shape[1] ** 2)
    while len(front) and value <= stop_above and nodes < max_nodes and not clock.expired():
        crowded = len(front) > most_open
        shares, rest = _dealt(front, 1 if nodes == 0 else _TASKS, smallest_first=crowded)
        budget = min(_FIRST_NODES if nodes == 0 else _TASK_NODES, max_nodes - nodes)
        found = run_tasks(
            _work,
            [
                (P, Q, s.cones, s.bounds, s.edges, s.shares, value, direction, tol, budget, crowded, clock)
                for s in shares
            ],
        )
        for part in found:
            if part.value > value:
                value, direction = part.value, part.direction
        closed = max([closed, *(part.closed for part in found)])
        nodes += sum(part.nodes for part in found)
        front = _joined([rest, *(part.open for part in found)])
    bound = min(max(value, closed, float(front.bounds.max(initial=0.0))), max(ceiling, value))
    return ConeSearch(
        value=value, direction=direction, bound=bound, slack=0.0, nodes=nodes, finished=not len(front)
    )


def _dealt(front: Frontier, n_tasks: int, *, smallest_first: bool) -> tuple[list[Frontier], Frontier]:
    """Deal out the cones with the largest bounds (or the smallest, which are soon closed), and the rest."""
    order = np.argsort(front.bounds if smallest_first else -front.bounds, kind="stable")
    handed = len(order) if n_tasks == 1 else min(len(order), n_tasks * _TASK_CONES)
    hands = [front.taken(order[k:handed:n_tasks]) for k in range(min(n_tasks, handed))]
    return hands, front.taken(order[handed:])


def _joined(parts: list[Frontier]) -> Frontier:
    return Frontier(
        cones=np.concatenate([part.cones for part in parts]),
        bounds=np.concatenate([part.bounds for part in parts]),
        edges=np.concatenate([part.edges for part in parts]),
        shares=np.concatenate([part.shares for part in parts]),
    )


def _work(
    P: Float[np.ndarray, "k r"],
    Q: Float[np.ndarray, "l r"],
    cones: Float[np.ndarray, "m r r"],
    bounds: Float[np.ndarray, " m"],
    edges: Int[np.ndarray, "m 2"],
    shares: Float[np.ndarray, " m"],
    value: float,
    direction: Float[np.ndarray, " r"],
    tol: float,
    budget: int,
    depth_first: bool,
    clock: Clock,
) -> _Round:
    """Bound up to `budget` cones, those given and their parts, while there is time."""
    r, size = P.shape[1], len(bounds)
    room = size + budget + 2
    heap = (np.empty((room, r, r)), np.empty(room), np.empty((room, 2), dtype=np.int64), np.empty(room))
    for storage, given in zip(heap, (cones, bounds, edges, shares), strict=True):
        storage[:size] = given
    best, state = direction.copy(), np.array([value, 0.0])
    at_once = int(np.clip(_SLICE_WORK / (r * r * (len(P) + len(Q) + r)), 1, budget))
    nodes = 0
    while size and nodes < budget and not clock.expired():
        size, done = _search(P, Q, *heap, size, best, state, tol, min(at_once, budget - nodes), depth_first)
        nodes += done
    rest = Frontier(
        cones=heap[0][:size].copy(),
        bounds=heap[1][:size].copy(),
        edges=heap[2][:size].copy(),
        shares=heap[3][:size].copy(),
    )
    return _Round(value=float(state[0]), direction=best, closed=float(state[1]), nodes=nodes, open=rest)


@kernel
@no_type_check
def _search(P, Q, cones, bounds, edges, shares, size, best, state, tol, budget, depth_first):
    """Bound up to `budget` cones; returns the number of open ones and how many were bounded."""
    r = P.shape[1]
    V, W, scratch = np.empty((r, r)), np.empty((r, r)), _scratch(len(P), len(Q), r)
    heap = (cones, bounds, edges, shares)
    done = 0
    while size > 0 and done < budget and size + 1 < len(cones):
        top = size - 1
        if not depth_first:
            for i in range(size):
                if bounds[i] > bounds[top]:
                    top = i
        bound, a, b, share = bounds[top], edges[top, 0], edges[top, 1], shares[top]
        copy_rows(V, cones[top])
        size -= 1
        bounds[top], edges[top, 0], edges[top, 1] = bounds[size], edges[size, 0], edges[size, 1]
        shares[top] = shares[size]
        copy_rows(cones[top], cones[size])
        if bound <= state[0] * (1 + tol):
            state[1] = max(state[1], bound)
            if not depth_first:  # it was the largest
                return 0, done
            continue
        parts = 1
        copy_rows(W, V)
        if a >= 0:
            parts = 2
            for c in range(r):
                V[b, c] = (1 - share) * W[a, c] + share * W[b, c]
            length = np.sqrt(dot(V[b], V[b]))
            for c in range(r):
                V[b, c] /= length
            copy_into(W[a], V[b])
        for _ in range(parts):
            done += 1
            size = _consider(P, Q, V, bound, heap, size, best, state, tol, scratch)
            copy_rows(V, W)
    return size, done


@kernel
@no_type_check
def _scratch(k, m, r):
    """Memory for one bound: the cone's inverse, heights at its rays, and what the kernel works on."""
    return (
        np.empty((r, r)),
        np.empty((r, r)),
        np.empty((k, r)),
        np.empty((m, r)),
        np.empty((m + r, r)),
        np.empty(m + r),
        np.empty(m + r),
        np.empty(r),
        np.empty(r),
    )


@kernel
@no_type_check
def _consider(P, Q, V, bound, heap, size, best, state, tol, scratch):
    """Bound a cone, look at the direction that suggests itself, and keep the cone open if need be."""
    cones, bounds, edges, shares = heap
    rho = scratch[8]
    own, grouped = _bound(P, Q, V, scratch)
    if own < bound:
        bound = own
    size_rho = np.sqrt(dot(rho, rho))
    if size_rho > 0:
        reached = _value(P, Q, rho) / size_rho
        if reached > state[0]:
            state[0] = reached
            for c in range(len(rho)):
                best[c] = rho[c] / size_rho
    if bound <= state[0] * (1 + tol):
        state[1] = max(state[1], bound)
        return size
    a, b, share = _widest_kink(scratch[2])
    if a < 0 and grouped:
        a, b, share = _widest_kink(scratch[3])
    if a < 0:  # no generator changes sign: the bound is exact up to rounding
        state[1] = max(state[1], bound)
        return size
    copy_rows(cones[size], V)
    bounds[size], edges[size, 0], edges[size, 1], shares[size] = bound, a, b, share
    return size + 1


@kernel
@no_type_check
def copy_rows(target, source):
    """Copy a matrix, row by row."""
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
def _bound(P, Q, V, scratch):
    """Bound the correlation over the cone's unit vectors; rho / ||rho|| is the point that suggests itself.

    Also returns whether generators of Z_- had to share multipliers.
    """
    work, inverse, gains, losses, generators, caps, t, values, rho = scratch
    r = V.shape[0]
    for k in range(r):
        values[k] = 0.0
    for i in range(len(P)):
        length = np.sqrt(dot(P[i], P[i]))
        for k in range(r):
            height = dot(P[i], V[k])
            gains[i, k] = height if abs(height) > _ON_PLANE * length else 0.0
            values[k] += max(height, 0.0)
    n_mixed = 0
    for j in range(len(Q)):
        low, high = np.inf, -np.inf
        for k in range(r):
            losses[j, k] = dot(Q[j], V[k])
            low, high = min(low, losses[j, k]), max(high, losses[j, k])
        if low >= 0.0:
            for k in range(r):
                values[k] -= losses[j, k]
        elif high > 0.0:
            copy_into(generators[n_mixed], Q[j])
            n_mixed += 1
    together = (n_mixed + _MOST_MIXED - 1) // _MOST_MIXED
    n_mixed = _add_neighbours(generators, n_mixed, together)
    for m in range(n_mixed):
        caps[m] = 1.0
    copy_rows(work, V)
    if not invert_into(work, inverse, r):
        copy_into(rho, values)
        return np.inf, together > 1
    for k in range(r):  # the cone's constraints: rows of the inverse transposed, scaled to length one
        length = 0.0
        for c in range(r):
            length += inverse[c, k] * inverse[c, k]
        for c in range(r):
            generators[n_mixed + k, c] = -inverse[c, k] / np.sqrt(length)
        caps[n_mixed + k] = np.inf
    for c in range(r):
        rho[c] = dot(inverse[c], values)
    target = rho.copy()
    norm, _ = least_norm(generators[: n_mixed + r], target, caps[: n_mixed + r], 0.0, t[: n_mixed + r], rho)
    # Whatever rho and t are: if the bounding function exceeds rho^T v_k by at most `excess` at every
    # ray, then it is at most ||rho|| + sqrt(r) excess on the cone, whose rays make no obtuse
    # angles (sum alpha <= sqrt(r) ||u||).
    excess = 0.0
    for k in range(r):
        value = values[k]
        for m in range(n_mixed):
            value -= t[m] * dot(generators[m], V[k])
        excess = max(excess, value - dot(rho, V[k]))
    return norm + np.sqrt(r) * excess, together > 1


@kernel
@no_type_check
def _add_neighbours(generators, count, together):
    """Replace each run of `together` generators by its sum, in place; returns how many there are now."""
    if together <= 1:
        return count
    groups = 0
    for start in range(0, count, together):
        copy_into(generators[groups], generators[start])
        for m in range(start + 1, min(start + together, count)):
            for c in range(generators.shape[1]):
                generators[groups, c] += generators[m, c]
        groups += 1
    return groups


@kernel
@no_type_check
def _widest_kink(heights):
    """Return the edge (a, b) and the place of the sign change with the largest chord error; -1 if none."""
    first, second, share, widest = -1, -1, 0.0, 0.0
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
                first, second, widest = high, low, error
                share = heights[i, high] / (heights[i, high] - heights[i, low])
    return first, second, share
