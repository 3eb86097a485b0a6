"""The largest correlation of a neuron in low rank: branch and bound on simplicial cones.

On a cone with rays v_1..v_r a generator that keeps its sign is linear, and all of these are one vector, their
sum. A p_i of Z_+ that changes its sign is convex there, so the chord through its values at the rays bounds it
from above; a q_j of Z_- that does enters as ``-(q_j^T u)_+ <= -t_j q_j^T u``, t_j in [0, 1]. The best bound
over t and over the cone's own constraints is one call of the box least-norm kernel, and it is exact once no
p_i changes its sign. Where the parent's t do not close the cone, p_i that nearly cancel against q_j are
bounded with them, by greed where they are few (:mod:`.matching`), else in play (:mod:`.shares`); and what
chords do not close, curvature may (:mod:`.curvature`). Cones are split along the edge on which the chords err
most in total, and in the end exactly where a generator vanishes, so that the search is finite.

A cone keeps a list of the generators that change their sign on it and works on these alone. Its parts inherit
the sum of the others, and begin with its multipliers t and with what its play ended with.

The cones with the largest bounds are split first, in rounds of a fixed number of tasks that share what they
found only at the end of a round: the answer is the same however many workers there are. Which cones must be
split before no bound exceeds a level depends on that level, and neither on the order nor on when a search was
cut off: that makes any search a proof of its bound, which another one to this level repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Int

from convexrelu._box_least_norm import copy_into, dot, least_norm_from
from convexrelu._clock import Clock
from convexrelu._parallel import run_tasks
from convexrelu._typing import kernel
from convexrelu.arrangements.vertices import invert_into
from convexrelu.oracle.curvature import closes
from convexrelu.oracle.matching import leave_alone, match, room_to_match
from convexrelu.oracle.shares import (
    PARTNERS,
    bequeath,
    inherit,
    nearest_partners,
    play,
    room_to_play,
    settle,
)
from convexrelu.oracle.zonotopes import Zonotopes

__all__ = [
    "FAR_EDGE",
    "FEW_CONVEX",
    "LEAST_SHARE",
    "MOST_EXACT",
    "ON_PLANE",
    "SWEEPS",
    "ConeSearch",
    "Frontier",
    "orthants",
    "play_rays",
    "search_cones",
    "split_edge",
    "sweep",
]

_TASKS = 32  # in a round; more than there are cores, so that a slow one does not hold up the others
_FIRST_NODES = 500  # worked off in the caller: most searches end there
_TASK_NODES = 200  # a task's share of a round: some 10 ms
_CROWDED_NODES = 1000  # where so many cones are open that to deal them out takes as long as that
_TASK_CONES = 64  # handed to a task at most
# Open cones beyond this make the search go for depth: that needs no more memory, and to deal out four times
# as many between the rounds was found to take a quarter of the time. Then it is foretold how long it will
# take: a sample of the open cones, one in so many within bounds, is searched to tolerances that shrink by
# the step, each with no more than the share of what is left.
_MOST_OPEN_BYTES = 2**25
_SAMPLED_ONE_IN, _LEAST_SAMPLED, _MOST_SAMPLED, _TOL_STEP, _SAMPLED_SHARE = 50, 96, 256, 2.0, 0.2
_SAFETY, _UNEVEN = 1.05, 8.0  # the sample's mean was found to err by a tenth; its parts by a few times
_SLICE_WORK = 2e6  # multiplications between two looks at the clock: about a millisecond
_ROTATION_SEED = 5
# The exact kernel's time grows with the square of the number of generators of Z_- that change their sign.
# With more of them, as on large cones, a few sweeps of coordinate descent have to do: any t proves a bound.
MOST_EXACT, SWEEPS = 256, 4
# With fewer generators of Z_+ than this that change their sign, greed takes less time than play.
_FEW_PLAYED = 24
# With no more generators of Z_+ than this that change their sign, an edge is split exactly where one
# vanishes; with more, in the middle of their kinks, so that at least this share is cut off.
FEW_CONVEX, LEAST_SHARE = 8, 0.2
# Weight of an edge's chord errors where the point that attains the bound is not near it.
FAR_EDGE = 0.02
# A generator of Z_+ whose value at a ray is below this share of its length is taken to vanish there: rays
# lie on the hyperplanes at which their cones were split, up to rounding. What that may hide is added to the
# bound.
ON_PLANE = 1e-13
_PLAYS = 24  # of multipliers against rays, on a cone that nothing else closes
_ROUNDED = 1e-14  # relative: of a cosine and a quotient
_THIN = 1e3  # the largest entry of the inverse, beyond which a cone may be too thin for the kernel
# The largest entry beyond which rounding would tell: rays that far apart count as one, by a ridge on their
# products. What that costs is measured at the rays, and part of the bound.
_FLAT, _RIDGE = 1e8, 1e-14
_SHORT = 1e-4  # an edge beyond which halving gains nothing: the bound's error is the square of it
_INSIDE = 1e-9  # coordinates of a point along the rays that count as non-negative, relative to its length


@dataclass(frozen=True, kw_only=True, eq=False)
class Frontier:
    """Cones that may still hold the maximum.

    Attributes
    ----------
    cones : (m, r, r) float array
        Their rays, unit vectors, one a row.
    sums : (m, r) float array
        The sum of the generators that keep their sign on the cone.
    bounds : (m,) float array
        No unit vector of the cone correlates more.
    slacks : (m,) float array
        What `sums` may hide: the bound contains it.
    edges : (m, 2) int array
        The rays of the edge to split, -1 for a cone not bounded by itself yet.
    shares : (m,) float array
        Where to split: this share of the way from the edge's first ray to its second.
    stops : (m,) int array
        Where each cone's part of `members` and `t` ends, and that of the next one begins.
    members : (k,) int array
        The generators that change their sign, in order; those of Z_- are counted on after those of Z_+. None
        are listed for a cone not bounded yet: any may.
    t : (k,) float array
        Multipliers of those of Z_-.
    plays : (k, p) float array
        What each brings into the play of the cone's parts (:func:`.shares.inherit`).
    """

    cones: Float[np.ndarray, "m r r"]
    sums: Float[np.ndarray, "m r"]
    bounds: Float[np.ndarray, " m"]
    slacks: Float[np.ndarray, " m"]
    edges: Int[np.ndarray, "m 2"]
    shares: Float[np.ndarray, " m"]
    stops: Int[np.ndarray, " m"]
    members: Int[np.ndarray, " k"]
    t: Float[np.ndarray, " k"]
    plays: Float[np.ndarray, "k p"]

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All arrays, in the order above."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @classmethod
    def empty(cls, m: int, k: int, r: int) -> Frontier:
        """Return room for m cones with k members in all."""
        return cls(
            cones=np.empty((m, r, r)),
            sums=np.empty((m, r)),
            bounds=np.empty(m),
            slacks=np.empty(m),
            edges=np.empty((m, 2), dtype=np.int64),
            shares=np.empty(m),
            stops=np.empty(m, dtype=np.int64),
            members=np.empty(k, dtype=np.int64),
            t=np.empty(k),
            plays=np.empty((k, PARTNERS + r), dtype=np.float32),
        )

    @classmethod
    def joined(cls, parts: list[Frontier]) -> Frontier:
        """Return the cones of all parts."""
        begins = np.cumsum([0, *(len(part.members) for part in parts[:-1])])
        stops = [part.stops + begin for part, begin in zip(parts, begins, strict=True)]
        columns = [np.concatenate(column) for column in zip(*(part.arrays for part in parts), strict=True)]
        named = dict(zip([field.name for field in fields(cls)], columns, strict=True))
        return cls(**{**named, "stops": np.concatenate(stops)})

    def first(self, m: int) -> Frontier:
        """Return a copy of the first m cones."""
        k = int(self.stops[m - 1]) if m else 0
        kept = [array[:m].copy() for array in self.arrays[:-3]] + [
            array[:k].copy() for array in self.arrays[-3:]
        ]
        return Frontier(**dict(zip([field.name for field in fields(self)], kept, strict=True)))

    def taken(self, which: Int[np.ndarray, " m"]) -> Frontier:
        """Return some of the cones."""
        sizes = np.diff(self.stops, prepend=0)[which]
        stops = np.cumsum(sizes)
        places = np.arange(int(sizes.sum())) + np.repeat(self.stops[which] - stops, sizes)
        return Frontier(
            cones=self.cones[which],
            sums=self.sums[which],
            bounds=self.bounds[which],
            slacks=self.slacks[which],
            edges=self.edges[which],
            shares=self.shares[which],
            stops=stops,
            members=self.members[places],
            t=self.t[places],
            plays=self.plays[places],
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
        Whether every cone was closed, for the tolerance asked for; if not, the bound is that of the open
        ones, or of a larger tolerance.
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
        sums=np.zeros((2**r, r)),
        bounds=np.full(2**r, ceiling),
        slacks=np.zeros(2**r),
        edges=np.full((2**r, 2), -1),
        shares=np.zeros(2**r),
        stops=np.zeros(2**r, dtype=np.int64),
        members=np.zeros(0, dtype=np.int64),
        t=np.zeros(0),
        plays=np.zeros((0, PARTNERS + r), dtype=np.float32),
    )


def search_cones(
    pair: Zonotopes,
    value: float,
    direction: Float[np.ndarray, " r"],
    *,
    tol: float,
    clock: Clock,
    max_nodes: int,
    level: float = 0.0,
    floor: float = 0.0,
    ceiling: float = np.inf,
    stop_above: float = np.inf,
    turn: int = 0,
) -> ConeSearch:
    """Maximise the correlation over the whole sphere, starting from a direction of the given value.

    Cones whose bound is at most `level`, or ``(1 + tol)`` times the best value, are closed, and those below
    `floor`: a bound that another search has, and beside which a smaller one would gain nothing. `ceiling` is
    a bound known beforehand: the answer's is no worse. A value above `stop_above` ends the search. `turn`
    chooses the frame whose orthants it begins with.

    Once there are more open cones than it may keep, the search goes for depth. Where what is left of nodes
    and time will not do for the tolerance, it becomes a search to the smallest that it will do for: cut off
    on its way to more, it would leave cones open that it never looked into.
    """
    generators, n_convex = np.vstack([pair.positive, pair.negative]), len(pair.positive)
    partners = nearest_partners(pair.positive, pair.negative)
    kinks = generators, np.linalg.norm(generators, axis=1), n_convex, partners
    r = generators.shape[1]
    front, closed, nodes, rounds = orthants(r, ceiling, turn), 0.0, 0, 0
    # a search to a level proves that one or nothing
    asked_for, begun, foretold = tol, clock.elapsed, level > 0.0
    level = max(level, floor)
    while len(front) and value <= stop_above and nodes < max_nodes and not clock.expired():
        crowded = sum(array.nbytes for array in front.arrays) > _MOST_OPEN_BYTES
        if crowded and not foretold and rounds > 1:  # orthants have no bounds of their own yet
            foretold, job = True, (kinks, value, direction, floor, clock)
            speed = nodes / max(clock.elapsed - begun, 1e-6) if np.isfinite(clock.limit) else np.inf
            tol, sampled = _affordable(front, job, tol, max_nodes - nodes, speed)
            nodes += sampled
            continue  # that may have been all there was
        shares, rest = _dealt(front, 1 if rounds < 2 else _TASKS, smallest_first=crowded)
        # First all orthants are bounded, then comes a short search for depth in the caller. After that, tasks
        # go for depth; what they find below the bounds of cones left out, or of half of theirs, has to wait.
        shelf, most = (np.inf, len(front)) if rounds == 0 else (0.0, _FIRST_NODES)
        if rounds > 1:
            most = _CROWDED_NODES if crowded else _TASK_NODES
            if not crowded:
                shelf = 0.5 * (value + float(front.bounds.max()))
                if len(front) > 2 * _TASKS:
                    handed = np.concatenate([share.bounds for share in shares])
                    shelf = max(float(np.median(handed)), float(rest.bounds.max(initial=0.0)))
        budget = min(most, -(-(max_nodes - nodes) // len(shares)))
        rounds += 1
        found = run_tasks(
            _work,
            [(kinks, share, value, direction, tol, level, shelf, budget, clock) for share in shares],
        )
        for part in found:
            if part.value > value:
                value, direction = part.value, part.direction
        closed = max([closed, *(part.closed for part in found)])
        nodes += sum(part.nodes for part in found)
        front = Frontier.joined([rest, *(part.open for part in found)])
    bound = min(max(value, closed, float(front.bounds.max(initial=0.0))), max(ceiling, value))
    return ConeSearch(
        value=value,
        direction=direction,
        bound=bound,
        slack=0.0,
        nodes=nodes,
        finished=not len(front) and tol == asked_for,
    )


def _affordable(
    front: Frontier, job: tuple[Any, ...], tol: float, max_nodes: int, speed: float
) -> tuple[float, int]:
    """Return the smallest tolerance for which cones and time should do, but at least `tol`; and cones tried.

    What a search takes is estimated from that of a few open cones: how many it splits depends on no order.
    `speed` is that of the search so far, in cones per second.
    """
    kinks, value, direction, floor, clock = job
    if value <= 0.0:
        return tol, 0
    asked_for, tol = tol, max(tol, floor / value - 1)  # nothing is split to go below the floor
    size = min(max(len(front) // _SAMPLED_ONE_IN, _LEAST_SAMPLED), _MOST_SAMPLED, len(front))
    chosen = np.sort(np.random.default_rng(_ROTATION_SEED).permutation(len(front))[:size])
    hands = [front.taken(chosen[k::_TASKS]) for k in range(min(_TASKS, size))]
    fair = size / (_SAFETY * len(front))
    affordable: list[tuple[float, float]] = []  # tolerances, and the cones that they take
    tried, started = 0, clock.elapsed
    looser = float(front.bounds.max()) / value - 1
    while looser > tol:
        looser = max(looser / _TOL_STEP, tol)
        left = min(max_nodes - tried, speed * clock.left)
        # one hand may be harder than the others, but no sample must eat up what it is to foretell
        cap = int(min(_UNEVEN * fair * left, _SAMPLED_SHARE * left) / len(hands)) + 1
        found = run_tasks(
            _work,
            [(kinks, hand, value, direction, looser, floor, 0.0, cap, clock) for hand in hands],
        )
        took = sum(part.nodes for part in found)
        tried += took
        if np.isfinite(clock.limit):
            speed = tried / max(clock.elapsed - started, 1e-6)
        left = fair * min(max_nodes - tried, speed * clock.left)
        cut = any(len(part.open) for part in found)
        if affordable and not cut and took > left > affordable[-1][1]:
            # between the last that is affordable and the first that is not, cones grow as a power
            last, cones = affordable[-1]
            return float(last * (looser / last) ** (np.log(left / cones) / np.log(took / cones))), tried
        if cut or took > left:
            break
        affordable.append((looser, float(max(took, 1))))
    else:
        return asked_for, tried
    if len(affordable) < 2:
        return (affordable[-1][0] if affordable else looser), tried
    # the sample was cut off: cones go on to grow as they did, or faster
    (before, fewer), (last, cones) = affordable[-2:]
    power = max(np.log(cones / fewer) / np.log(before / last), 1.0)
    return max(float(last * min(cones / max(left, 1.0), 1.0) ** (1 / power)), looser), tried


def _dealt(front: Frontier, n_tasks: int, *, smallest_first: bool) -> tuple[list[Frontier], Frontier]:
    """Deal out the cones with the largest bounds (or the smallest, which are soon closed), and the rest.

    What comes first is at the end of a hand: a task begins there.
    """
    order = np.argsort(front.bounds if smallest_first else -front.bounds, kind="stable")
    handed = len(order) if n_tasks == 1 else min(len(order), n_tasks * _TASK_CONES)
    hands = [front.taken(order[k:handed:n_tasks][::-1]) for k in range(min(n_tasks, handed))]
    return hands, front.taken(order[handed:])


def _work(
    kinks: tuple[Float[np.ndarray, "n r"], Float[np.ndarray, " n"], int, Int[np.ndarray, "p k"]],
    given: Frontier,
    value: float,
    direction: Float[np.ndarray, " r"],
    tol: float,
    level: float,
    shelf: float,
    budget: int,
    clock: Clock,
) -> _Round:
    """Bound up to `budget` cones, those given and their parts, while there is time.

    Open ones with bounds below `shelf` are set aside.
    """
    (n, r), size, kept, nodes = kinks[0].shape, len(given), 0, 0
    unlisted = int((given.edges[:, 0] < 0).sum())
    room = size + budget + 2, len(given.members) + (unlisted + 64) * n
    stack, aside = Frontier.empty(*room, r), Frontier.empty(*room, r)
    for storage, array in zip(stack.arrays, given.arrays, strict=True):
        storage[: len(array)] = array
    best, state, more = direction.copy(), np.array([value, 0.0]), True
    limits = (tol, level, shelf)
    at_once = int(np.clip(_SLICE_WORK / (r * r * (n + r)), 1, budget))
    while size and more and nodes < budget and not clock.expired():
        size, kept, done, more = _search(
            kinks,
            stack.arrays,
            size,
            aside.arrays,
            kept,
            best,
            state,
            limits,
            min(at_once, budget - nodes),
        )
        nodes += done
    still_open = Frontier.joined([stack.first(size), aside.first(kept)])
    return _Round(value=float(state[0]), direction=best, closed=float(state[1]), nodes=nodes, open=still_open)


@kernel
@no_type_check
def _search(kinks, stack, size, aside, kept, best, state, limits, budget):
    """Bound up to `budget` cones, depth first; returns how many are open, set aside and were bounded.

    And whether there is room for more. `state` is the best value and the largest bound of a closed cone.
    """
    generators = kinks[0]
    n, r = generators.shape
    cones, sums, bounds, slacks, edges, shares, stops, _, _, _ = stack
    tol, level, shelf = limits
    V, parent_sum, middle, removed = np.empty((r, r)), np.empty(r), np.empty(r), np.empty(r)
    # of the members: which they are, their multipliers, coordinates (r, n) and heights at the rays (r, n),
    # and what they bring into the play
    plays = np.empty((n, PARTNERS + r), dtype=np.float32)
    members = (np.empty(n, dtype=np.int64), np.empty(n), np.empty((r, n)), np.empty((r, n)), plays)
    column, scratch = np.empty(n), _scratch(n, r)
    done = 0
    while size > 0 and done < budget:
        top = size - 1
        a, b = edges[top, 0], edges[top, 1]
        start = stops[top - 1] if top > 0 else 0
        count = stops[top] - start if a >= 0 else n
        if bounds[top] <= max(level, state[0] * (1 + tol)):
            state[1] = max(state[1], bounds[top])
            size -= 1
            continue
        if a >= 0 and bounds[top] < shelf:
            if not _put_aside(stack, top, start, count, aside, kept):
                return size, kept, done, False
            kept += 1
            size -= 1
            continue
        if top + 2 > len(bounds) or start + 2 * count > len(stack[7]):
            return size, kept, done, False
        size -= 1
        copy_rows(V, cones[top])
        copy_into(parent_sum, sums[top])
        bound, slack, share = bounds[top], slacks[top], shares[top]
        _load(generators, stack, start, count, a >= 0, V, members)
        parts = 1
        if a >= 0:
            parts = 2
            for c in range(r):
                middle[c] = (1 - share) * V[a, c] + share * V[b, c]
            length = np.sqrt(dot(middle, middle))
            for c in range(r):
                middle[c] /= length
            for k in range(count):
                column[k] = 0.0
            for c in range(r):
                for k in range(count):
                    column[k] += middle[c] * members[2][c, k]
        for part in range(parts):
            ray = b if part == 0 else a
            if parts == 2:
                copy_into(removed, V[ray])
                copy_into(V[ray], middle)
                _exchange(members[3], ray, column, count)
            done += 1
            size = _consider(
                kinks,
                members,
                count,
                V,
                parent_sum,
                bound,
                slack,
                stack,
                size,
                best,
                state,
                limits,
                scratch,
            )
            if parts == 2:
                copy_into(V[ray], removed)
                _exchange(members[3], ray, column, count)
    return size, kept, done, True


@kernel
@no_type_check
def _scratch(n, r):
    """Memory for one bound.

    The inverse of the rays, work; the sum of generators that keep their sign, values at the rays, the
    kernel's target and its residual; its generators, caps and multipliers; the members that change their
    sign, and all members' least and largest heights; the convex ones' residuals, by row, and what is left of
    the concave ones; memory to match and to play.
    """
    return (
        (np.empty((r, r)), np.empty((r, r))),
        (np.empty(r), np.empty(r), np.empty(r), np.empty(r)),
        (np.empty((n + r, r)), np.empty(n + r), np.empty(n + r)),
        (np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)),
        (np.empty((n, r)), np.empty(n)),
        (room_to_match(n, r), room_to_play(n, r)),
    )


@kernel
@no_type_check
def _put_aside(stack, top, start, count, aside, place):
    """Copy the cone on top of the stack; False if there is no room for it."""
    begin = aside[6][place - 1] if place > 0 else 0
    if place == len(aside[2]) or begin + count > len(aside[7]):
        return False
    copy_rows(aside[0][place], stack[0][top])
    copy_into(aside[1][place], stack[1][top])
    aside[2][place], aside[3][place], aside[5][place] = stack[2][top], stack[3][top], stack[5][top]
    aside[4][place, 0], aside[4][place, 1] = stack[4][top, 0], stack[4][top, 1]
    for k in range(count):
        aside[7][begin + k], aside[8][begin + k] = stack[7][start + k], stack[8][start + k]
        copy_into(aside[9][begin + k], stack[9][start + k])
    aside[6][place] = begin + count
    return True


@kernel
@no_type_check
def _load(generators, stack, start, count, listed, V, members):
    """Fill in what the bounds of a cone's parts need to know about its members, or about all generators."""
    which, multipliers, coordinates, heights, plays = members
    for k in range(count):
        which[k], multipliers[k] = k, 0.5
        if listed:
            which[k], multipliers[k] = stack[7][start + k], stack[8][start + k]
            copy_into(plays[k], stack[9][start + k])
        else:
            plays[k] = 0.0
        for c in range(len(V)):
            coordinates[c, k] = generators[which[k], c]
    for a in range(len(V)):
        for k in range(count):
            heights[a, k] = 0.0
        for c in range(len(V)):
            share = V[a, c]
            for k in range(count):
                heights[a, k] += share * coordinates[c, k]


@kernel
@no_type_check
def _exchange(heights, ray, column, count):
    """Exchange the heights at one ray for those of another."""
    for k in range(count):
        heights[ray, k], column[k] = column[k], heights[ray, k]


@kernel
@no_type_check
def _consider(kinks, members, count, V, parent_sum, bound, slack, stack, size, best, state, limits, scratch):
    """Bound a cone, look at the direction that suggests itself, and keep the cone open if need be."""
    (inverse, _), (total, _, _, rho), (_, _, t), (mixed, _, _), _, rooms = scratch
    tol, level, _ = limits
    r, n_convex = len(V), kinks[2]
    n_mixed, hidden = _split_members(kinks, members, count, parent_sum, scratch)
    slack += np.sqrt(r) * hidden
    few = 0  # members of Z_+ come first
    while few < n_mixed and members[0][mixed[few]] < n_convex:
        few += 1
    closing = max(level, state[0] * (1 + tol))
    own, norm, exact = _bound(kinks, members, few, n_mixed, V, closing - slack, scratch)
    bound = min(bound, own + slack)
    if bound > closing and norm > 0.0:
        reached = _value_inside(members[2], mixed, few, n_mixed, total, inverse, rho, norm)
        if reached > state[0]:  # a sliver's inverse is wrong, and so may be where the point seems to lie
            reached = _value(kinks[0], n_convex, rho, norm)
        if reached > state[0]:
            state[0] = reached
            for c in range(r):
                best[c] = rho[c] / norm
            closing = max(level, reached * (1 + tol))
    if bound <= closing:
        state[1] = max(state[1], bound)
        return size
    a, b, share = split_edge(members[3], mixed, 0, few, inverse, rho)
    if a < 0 and not exact:
        a, b, share = split_edge(members[3], mixed, few, n_mixed, inverse, rho)
    if a < 0 and bound > closing * (1.0 + _INSIDE):  # too thin for the kernel: halves have better bounds
        a, b, share = _longest_edge(V)
    if a < 0:  # no generator changes its sign: the bound is exact up to rounding
        state[1] = max(state[1], bound)
        return size
    cones, sums, bounds, slacks, edges, shares, stops, which, multipliers, plays = stack
    copy_rows(cones[size], V)
    copy_into(sums[size], total)
    bounds[size], slacks[size], shares[size] = bound, slack, share
    edges[size, 0], edges[size, 1] = a, b
    start = stops[size - 1] if size > 0 else 0
    for j in range(n_mixed):
        which[start + j] = members[0][mixed[j]]
        multipliers[start + j] = t[j - few] if j >= few else 0.0
    if _played(few, n_mixed):
        bequeath(few, n_mixed, rooms[1], plays, start)
    stops[size] = start + n_mixed
    return size + 1


@kernel
@no_type_check
def copy_rows(target, source):
    """Copy a matrix, row by row."""
    for k in range(len(source)):
        copy_into(target[k], source[k])


@kernel
@no_type_check
def _split_members(kinks, members, count, parent_sum, scratch):
    """Find the members that change their sign, and add up the others.

    Returns how many there are, and by how much the others' sum may fall short at a ray.
    """
    _, lengths, n_convex, _ = kinks
    which, _, coordinates, heights, _ = members
    _, (total, _, _, _), _, (mixed, low, high), _, _ = scratch
    r = len(heights)
    for k in range(count):
        low[k] = high[k] = heights[0, k]
    for a in range(1, r):
        for k in range(count):
            low[k] = min(low[k], heights[a, k])
            high[k] = max(high[k], heights[a, k])
    copy_into(total, parent_sum)
    n_mixed, hidden = 0, 0.0
    for k in range(count):
        convex = which[k] < n_convex
        # a generator of Z_- may be taken for one of a single sign at any time: t = 0 or 1 is a bound
        near = ON_PLANE * lengths[which[k]]
        if low[k] >= -near:
            side = 1.0 if convex else -1.0
            for c in range(r):
                total[c] += side * coordinates[c, k]
            if convex:
                hidden += max(-low[k], 0.0)
        elif high[k] > near:
            mixed[n_mixed] = k
            n_mixed += 1
        elif convex:
            hidden += max(high[k], 0.0)
    return n_mixed, hidden


@kernel
@no_type_check
def _played(few, n_mixed):
    """Whether shares are found in play: else greed does, or there is nothing to share in."""
    return few >= _FEW_PLAYED and n_mixed > few


@kernel
@no_type_check
def _bound(kinks, members, few, n_mixed, V, closing, scratch):
    """Bound the correlation over the cone's unit vectors; rho / ||rho|| is the point that suggests itself.

    Returns the bound, ||rho||, and whether t is the best up to an early end at `closing`.
    """
    which, multipliers, coordinates, heights, plays = members
    (inverse, work), (total, values, target, rho), (vectors, caps, t), (mixed, _, _), bent, rooms = scratch
    residual, left = bent
    r, m, linear = len(V), n_mixed - few, work[0]
    exact, playing = m <= MOST_EXACT, _played(few, n_mixed)
    _invert(V, inverse, work)
    for a in range(r):
        linear[a] = dot(total, V[a])
    for j in range(m):
        t[j] = multipliers[mixed[few + j]]
        for c in range(r):
            vectors[j, c] = coordinates[c, mixed[few + j]]
    if playing:
        inherit(heights, mixed, few, n_mixed, which, kinks[2], kinks[3], plays, rooms[1], residual, left)
    else:
        leave_alone(heights, mixed, few, n_mixed, residual, left)
    _chords(linear, residual, left, few, m, values, caps, t)
    _fill(inverse, values, vectors, t, m, target, rho)
    norm = np.sqrt(dot(rho, rho))
    if norm > closing and few > 0 and m > 0:  # what the parent's multipliers do not close
        if _bent(values, heights, mixed, few, m, t, residual, rho, closing, V):
            return closing, norm, False
        if playing:
            play(heights, mixed, few, n_mixed, linear, V, inverse, t, closing, rooms[1], residual)
            settle(heights, mixed, few, n_mixed, rooms[1], residual, left)
        else:
            match(heights, mixed, few, n_mixed, rooms[0], residual, left)
        _chords(linear, residual, left, few, m, values, caps, t)
        _fill(inverse, values, vectors, t, m, target, rho)
    for k in range(r):  # the cone's constraints: rows of the inverse transposed, scaled to length one
        length = 0.0
        for c in range(r):
            length += inverse[c, k] * inverse[c, k]
        for c in range(r):
            vectors[m + k, c] = -inverse[c, k] / np.sqrt(length)
        caps[m + k], t[m + k] = np.inf, 0.0
    for _ in range(0 if exact else SWEEPS):
        if dot(rho, rho) > closing * closing:
            sweep(vectors, caps, t, m + r, rho)
    norm = np.sqrt(dot(rho, rho))
    if exact and norm > closing:
        norm, _ = least_norm_from(vectors[: m + r], target, caps[: m + r], max(closing, 0.0), t[: m + r], rho)
    # Whatever rho and t are: if the bounding function exceeds rho^T v_k by at most `excess` at every ray,
    # then it is at most ||rho|| + sqrt(r) excess on the cone, whose rays make no obtuse angles (sum alpha <=
    # sqrt(r) ||u||).
    excess = 0.0
    for a in range(r):
        excess = max(excess, _at_ray(values, heights, mixed, few, m, t, a) - dot(rho, V[a]))
    bound = norm + np.sqrt(r) * excess
    if bound > closing and _bent(values, heights, mixed, few, m, t, residual, rho, closing, V):
        bound = closing
    thin = not bound < np.inf or np.abs(inverse).max() > _THIN  # not a number is no bound either
    if bound > closing and thin:
        bound = min(bound, _simplex_bound(values, heights, mixed, few, m, t, caps, closing, V))
    return (bound if bound < np.inf else np.inf), norm, exact  # not a number proves nothing


@kernel
@no_type_check
def _invert(V, inverse, work):
    """Invert the rays, or nearly so where some of them are one to rounding."""
    r = len(V)
    copy_rows(work, V)
    invertible = invert_into(work, inverse, r)
    largest = np.abs(inverse).max()
    if invertible and largest <= _FLAT:
        return
    products = np.empty((r, r))
    for a in range(r):
        for b in range(r):
            work[a, b] = dot(V[a], V[b])
        work[a, a] += _RIDGE
    invert_into(work, products, r)
    for c in range(r):
        for k in range(r):
            inverse[c, k] = 0.0
            for a in range(r):
                inverse[c, k] += V[a, c] * products[a, k]


@kernel
@no_type_check
def _chords(linear, residual, left, few, m, values, caps, t):
    """Fill in the bounding function's values at the rays, and what is left of the concave members for t."""
    copy_into(values, linear)
    for i in range(few):
        for a in range(len(linear)):
            values[a] += max(residual[i, a], 0.0)
    for j in range(m):
        caps[j], t[j] = left[j], min(t[j], left[j])


@kernel
@no_type_check
def _at_ray(values, heights, mixed, few, m, t, a):
    """The bounding function's value at a ray: what the multipliers leave of the chords'."""
    value = values[a]
    for j in range(m):
        value -= t[j] * heights[a, mixed[few + j]]
    return value


@kernel
@no_type_check
def _bent(values, heights, mixed, few, m, t, residual, rho, closing, V):
    """Whether a second look, at the curvature of the kinks and of the sphere, closes the cone."""
    r, norm = len(V), np.sqrt(dot(rho, rho))
    top, toward = np.empty(r), np.empty(r)
    for a in range(r):
        top[a] = _at_ray(values, heights, mixed, few, m, t, a)
        toward[a] = rho[a] / norm if 0.0 < norm < np.inf else V[0, a]
    return closes(top, residual, few, toward, V, closing)


@kernel
@no_type_check
def _simplex_bound(values, heights, mixed, few, m, t, caps, closing, V):
    """Bound the correlation over the cone by the largest value at a ray: thin cones have no inverse.

    For a unit vector c, ``1 >= c^T u >= min_k c^T v_k * sum alpha``, and what bounds the correlation is
    linear in alpha.
    """
    r = len(V)
    middle, least = np.zeros(r), np.inf
    for a in range(r):
        for c in range(r):
            middle[c] += V[a, c]
    for a in range(r):
        least = min(least, dot(middle, V[a]))
    least /= np.sqrt(dot(middle, middle))
    if least * np.sqrt(r) < 1.0:  # rounding is allowed for up to a sum of alpha of sqrt(r)
        return np.inf
    top = play_rays(values, heights, mixed, few, m, t, caps, closing * least)
    return top / least * (1.0 + _ROUNDED)


@kernel
@no_type_check
def play_rays(values, heights, mixed, few, m, t, caps, enough):
    """Return the largest value at a ray, at best: multipliers t play against the rays until it is `enough`.

    Each side answers the other's mean so far. What the multipliers end with is left in t.
    """
    r = len(values)
    weights, top = np.ones(r), np.inf
    for round_ in range(_PLAYS):
        highest, at = 0.0, 0
        for a in range(r):
            value = _at_ray(values, heights, mixed, few, m, t, a)
            if value > highest:
                highest, at = value, a
        top = min(top, highest)
        if top <= enough:
            break
        if round_ > 0:
            weights[at] += 1.0
        for j in range(m):  # the tangent at the rays' mean, weighted by how often each was the highest
            mean = 0.0
            for a in range(r):
                mean += weights[a] * heights[a, mixed[few + j]]
            own = caps[j] if mean > 0.0 else 0.0
            t[j] = own if round_ == 0 else t[j] + (own - t[j]) / (round_ + 1)
    return top


@kernel
@no_type_check
def _fill(inverse, values, vectors, t, m, target, rho):
    """Fill in the vector with these values at the rays, and rho: what the multipliers leave of it."""
    for c in range(len(rho)):
        target[c] = rho[c] = dot(inverse[c], values)
    for j in range(m):
        for c in range(len(rho)):
            rho[c] -= t[j] * vectors[j, c]


@kernel
@no_type_check
def sweep(vectors, caps, t, count, rho):
    """One sweep of coordinate descent on ||rho||, the cone's constraints first."""
    for place in range(count):
        j = count - 1 - place
        square = dot(vectors[j], vectors[j])
        if square > 0.0:
            change = min(max(t[j] + dot(vectors[j], rho) / square, 0.0), caps[j]) - t[j]
            t[j] += change
            for c in range(len(rho)):
                rho[c] -= change * vectors[j, c]


@kernel
@no_type_check
def _value_inside(coordinates, mixed, few, n_mixed, total, inverse, rho, norm):
    """Return the correlation of rho / norm if that lies in the cone, else 0."""
    r = len(rho)
    for k in range(r):
        share = 0.0
        for c in range(r):
            share += inverse[c, k] * rho[c]
        if share < -_INSIDE * norm:
            return 0.0
    value = dot(total, rho)
    for j in range(n_mixed):
        height = 0.0
        for c in range(r):
            height += coordinates[c, mixed[j]] * rho[c]
        if height > 0.0:
            value += height if j < few else -height
    return value / norm


@kernel
@no_type_check
def _value(generators, n_convex, rho, norm):
    """Return the correlation of rho / norm, wherever it lies."""
    value = 0.0
    for j in range(len(generators)):
        height = max(dot(generators[j], rho), 0.0)
        value += height if j < n_convex else -height
    return value / norm


@kernel
@no_type_check
def _longest_edge(V):
    """Return the longest edge (a, b), to be halved; -1 if all are short."""
    first, second, longest = -1, -1, _SHORT * _SHORT
    for a in range(len(V)):
        for b in range(a + 1, len(V)):
            square = 0.0
            for c in range(len(V)):
                square += (V[a, c] - V[b, c]) ** 2
            if square > longest:
                first, second, longest = a, b, square
    return first, second, 0.5


@kernel
@no_type_check
def split_edge(heights, mixed, start, stop, inverse, rho):
    """Return the edge (a, b) on which chords err most, and where to split it; -1 if none changes its sign.

    Errors count as much as the point that attains the bound, rho, is made of the edge's rays.
    """
    r = len(heights)
    weights, total = np.empty(r), 0.0
    for k in range(r):
        share = 0.0
        for c in range(r):
            share += inverse[c, k] * rho[c]
        weights[k] = max(share, 0.0)
        total += weights[k]
    first, second, most = -1, -1, 0.0
    for a in range(r):
        for b in range(a + 1, r):
            error = 0.0
            for j in range(start, stop):
                x, y = heights[a, mixed[j]], heights[b, mixed[j]]
                if x * y < 0.0:
                    error += min(abs(x), abs(y))  # twice that of the chord in the middle
            if total > 0.0:
                error *= np.sqrt(weights[a] * weights[b]) + FAR_EDGE * total
            if error > most:
                first, second, most = a, b, error
    if first < 0:
        return -1, -1, 0.0
    errors, places, widest, at_widest = 0.0, 0.0, 0.0, 0.0
    for j in range(start, stop):
        x, y = heights[first, mixed[j]], heights[second, mixed[j]]
        if x * y < 0.0:
            place = x / (x - y)
            errors += abs(x) * (1 - place)
            places += abs(x) * (1 - place) * place
            if min(abs(x), abs(y)) > widest:
                widest, at_widest = min(abs(x), abs(y)), place
    if stop - start > FEW_CONVEX:
        at_widest = min(max(places / errors, LEAST_SHARE), 1 - LEAST_SHARE)
    return first, second, at_widest
