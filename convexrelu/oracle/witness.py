"""What proves a bound on a correlation without a search: the cones that cover the sphere, written down.

:mod:`convexrelu.check` says what the tree of cones means and evaluates it. Here it is grown to a level that
is known to hold, depth first: a cone is a leaf as soon as what can be said about it in few bits, which rays
rho meets and multipliers t in 8, 16 or 30 bits, bounds it by the level. A tree that takes longer than a clock
allows is given up like one that is too large; what is written does not depend on it.
"""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import replace
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Int

from convexrelu._box_least_norm import copy_into, dot, least_norm_from
from convexrelu._clock import Clock
from convexrelu._typing import kernel
from convexrelu.arrangements import hyperplanes_of
from convexrelu.arrangements.vertices import invert_into
from convexrelu.check import MOST_INFLATED, OFFSET, SIGNS, UNIT, correlation_bound
from convexrelu.oracle.cones import MOST_EXACT, ON_PLANE, SWEEPS, play_rays, split_edge, sweep
from convexrelu.oracle.neuron import DualNorm, dual_norm
from convexrelu.oracle.relaxation import Relaxation, inside_box, roles

__all__ = ["MAX_NODES", "proof_of", "proven_norm"]

MAX_NODES = 600_000
"""Cones of a tree at most, for each sign."""

_CONE_RANK = 10  # there are two to the power of the rank of them to begin with
# A level is raised by so much, relative, for sums that were added up in another order.
_ABOVE = 1e-11
# If a tree would have too many cones, how much higher levels are tried instead, relative, and with which
# share of the cones.
_HIGHER, _LESS = (1e-2, 0.1, 0.3, 1.0), 0.5
_BEYOND = 1e-12  # of the level: how far generators may lie outside their frame
_MOST_DEEP = 2000
_EXACT_TOL = 1e-9  # as the oracle's own default
_MOST_LINED = 500  # rows that are looked at for lines
_LARGEST = float(OFFSET // 2)  # of the whole numbers that stand for T and t0
_Z_BITS = 20
_MOST_PRODUCTS = 2e7  # of whole numbers, in the checker: a second or two
_WORK = 300  # support rows from which on fewer cones are affordable
_STACK = 2**27  # bytes
_SLICE = 500  # cones between two looks at the clock, and at the interpreter, which hears of Ctrl-C there
_WIDE = 1e-3  # of the widest kink's heights: what may be split at
_CLEAR = 1e-9  # of a generator's length: heights that add up to less may have either sign
_SLIVER = 1e-4  # edges of a cone that one ray may bound
_BITS = np.array([0, 8, 16, 30])
_BEST, _OPEN, _FLAT = -1, -2, -3  # why a cone is not closed: see _close


def proof_of(
    X: Float[np.ndarray, "n d"],
    lam: Float[np.ndarray, " n"],
    level: float,
    relaxation: Relaxation | None = None,
    *,
    max_nodes: int = MAX_NODES,
    raised: bool = True,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """Return a proof that no neuron correlates more than `level` with lam or -lam, or the best at hand.

    Where a proof of the level would be too large, or take longer than the clock allows, it is one of a higher
    level; by cones only if `raised`. Its two parts, plain JSON values, are what
    :func:`convexrelu.check.correlation_bound` evaluates. A relaxation that proves the level is written down
    as it is.
    """
    higher = _HIGHER if raised else ()
    clock, proof = clock or Clock(), dict[str, Any]()
    for left, name in zip(range(len(SIGNS), 0, -1), SIGNS, strict=True):
        own = clock.within(clock.left / left)
        proof[name] = _side(X, lam, name, level, relaxation, max_nodes, higher, own)
    return proof


def proven_norm(X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"], proof: dict[str, Any]) -> DualNorm:
    """Return the dual norm as far as a proof proves it; raises RefusedError if it is none."""
    known = dual_norm(X, lam, search=False)
    bound = float(max(correlation_bound(X, lam, name, proof[name]) for name in SIGNS))
    upper = max(float(np.nextafter(bound, np.inf)) if bound > 0 else 0.0, known.value)
    upper = min(upper, max(known.upper_bound, known.value)) if np.isinf(upper) else upper
    exact = known.exact or upper - known.value <= _EXACT_TOL * known.value
    return replace(known, upper_bound=upper, exact=bool(exact))


def _side(
    X: Float[np.ndarray, "n d"],
    lam: Float[np.ndarray, " n"],
    name: str,
    level: float,
    relaxation: Relaxation | None,
    max_nodes: int,
    higher: tuple[float, ...],
    clock: Clock,
) -> dict[str, Any] | None:
    """Return the first proof of the level for one sign, else the best; None if there is none."""
    support = np.flatnonzero((lam != 0) & X.any(axis=1))
    positive = SIGNS[name] * lam[support] > 0
    if not positive.any():
        return None
    estimate = _paired(X[support[positive]], lam[support[positive]])
    # pairs come before what is searched for where they are enough, else as a last resort
    kinds = ["lines", "semidefinite", "cones"]
    kinds.insert(1 if estimate <= level * (1 + _EXACT_TOL) else 3, "pairs")
    best, reached = None, math.inf
    for kind in kinds:
        if kind == "lines":
            proof = _lines(X, support)
        elif kind == "pairs":
            proof = {"kind": "pairs"} if estimate < math.inf else None
        elif kind == "semidefinite":
            proof = _branches(lam[support], support, SIGNS[name], relaxation)
        else:
            least = min(reached, estimate)
            proof = _cones(X[support], lam[support], positive, level, least, max_nodes, higher, clock)
        bound = math.inf if proof is None else float(correlation_bound(X, lam, name, proof))
        if proof is not None and bound < reached:
            best, reached = proof, bound
        if reached <= level * (1 + _ABOVE):
            break
    return best


def _paired(X: Float[np.ndarray, "p d"], lam: Float[np.ndarray, " p"]) -> float:
    """Return about what pairs of rows prove; inf if there are too many of them."""
    if X.size * len(X) > _MOST_PRODUCTS:
        return math.inf
    G, exponent = _scaled(X, lam)
    return float(np.ldexp(np.sqrt(np.maximum(G @ G.T, 0).sum()), exponent))


def _lines(X: Float[np.ndarray, "n d"], support: Int[np.ndarray, " k"]) -> dict[str, Any] | None:
    """Return the rows that lie on one line with others, if most do: what contradicts itself."""
    if not 1 < len(support) <= _MOST_LINED:
        return None
    member = hyperplanes_of(X[support]).member
    groups = [support[member == line].tolist() for line in np.unique(member)]
    if 2 * len(groups) > len(support):
        return None
    return {"kind": "lines", "groups": groups}


def _branches(
    lam: Float[np.ndarray, " k"], support: Int[np.ndarray, " k"], sign: float, relaxation: Relaxation | None
) -> dict[str, Any] | None:
    """Return the branches of a relaxation for one sign, in whole numbers and inside their boxes."""
    if relaxation is None or not relaxation.leaves:
        return None
    leaves = []
    for leaf in relaxation.leaves:
        if leaf.sign != sign:
            continue
        part = roles(sign * lam, np.searchsorted(support, leaf.rows), leaf.sides)
        T, t0 = inside_box(leaf.T, leaf.t0, len(part.answering))
        T = np.clip(np.trunc(T * UNIT), -_LARGEST, _LARGEST)  # towards zero: inside it stays
        low, high = np.maximum(-T, 0).sum(axis=1), np.maximum(T, 0).sum(axis=1)
        ceiling = np.full(len(T), _LARGEST)
        ceiling[: len(part.answering)] = UNIT - high[: len(part.answering)]
        t0 = np.maximum(np.minimum(np.rint(t0 * UNIT), ceiling), low)
        z = np.rint(2**_Z_BITS * np.minimum(np.sqrt(leaf.mu.max() / leaf.mu), 2.0 ** (38 - _Z_BITS)))
        packed = {key: _pack(OFFSET + v.ravel(), 5) for key, v in (("T", T), ("t0", t0), ("z", z))}
        leaves.append({"rows": leaf.rows.tolist(), "sides": leaf.sides.tolist(), **packed})
    return {"kind": "semidefinite", "leaves": leaves}


def _cones(
    X: Float[np.ndarray, "k d"],
    lam: Float[np.ndarray, " k"],
    positive: np.ndarray,
    level: float,
    reached: float,
    max_nodes: int,
    higher: tuple[float, ...],
    clock: Clock,
) -> dict[str, Any] | None:
    """Return a cover of the sphere by cones, to the level or, if that takes too many, to a higher one."""
    G, exponent = _scaled(X, lam)
    scaled = float(np.ldexp(level, -exponent))
    if not 0 < scaled < np.inf:
        return None
    frame = _frame(G, scaled)
    coordinates = G if frame is None else G @ frame.T
    if coordinates.shape[1] > _CONE_RANK:
        return None
    packed = None if frame is None else frame.tolist()
    max_nodes = int(max_nodes * min(1.0, _WORK / len(G)))
    for share, more in [(1.0, _ABOVE), *((_LESS, more) for more in higher)]:
        if level * (1 + more) >= reached or clock.expired():
            break
        # a higher level takes less time: half of what is left is kept for it
        own = clock.within(_LESS * clock.left) if higher else clock
        tree = _tree(coordinates, positive, scaled * (1 + more), int(share * max_nodes), own)
        if tree is not None:
            return {"kind": "cones", "frame": packed, **tree}
    return None


def _scaled(
    X: Float[np.ndarray, "k d"], lam: Float[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, "k d"], int]:
    """Return the generators ``|lam_n| x_n`` as ``G * 2^exponent``, the largest entry of G being about 1."""
    weights, powers = np.frexp(np.abs(lam))
    sizes = np.frexp(np.abs(X).max(axis=1))[1]
    exponent = int((powers + sizes).max())
    G = np.ldexp(X, -sizes[:, None]) * weights[:, None]
    return np.ldexp(G, (powers + sizes - exponent)[:, None]), exponent


def _frame(G: Float[np.ndarray, "k d"], level: float) -> Float[np.ndarray, "r d"] | None:
    """Return orthonormal rows that span the generators; None if these span everything."""
    _, sizes, directions = np.linalg.svd(G, full_matrices=False)
    for r in range(1, min(len(sizes), _CONE_RANK + 1)):
        rows = directions[:r]
        if np.linalg.norm(G - (G @ rows.T) @ rows, axis=1).sum() <= _BEYOND * level:
            return np.asarray(rows)
    return None if len(sizes) == G.shape[1] else np.asarray(directions)


def _tree(
    G: Float[np.ndarray, "k r"], positive: np.ndarray, level: float, max_nodes: int, clock: Clock
) -> dict[str, str] | None:
    """Return the tree of cones whose leaves are bounded by the level, packed; None if that takes too much."""
    k, r = G.shape
    order = np.concatenate([np.flatnonzero(positive), np.flatnonzero(~positive)])
    sorted_G = np.ascontiguousarray(G[order])
    lengths, n_convex = np.linalg.norm(sorted_G, axis=1), int(positive.sum())
    size = 2**r + max_nodes + 2
    nodes = (
        np.zeros(size, dtype=np.uint8),  # split
        np.zeros(size, dtype=np.int64),  # cut
        np.zeros(size, dtype=np.int64),  # first child
        np.zeros(size, dtype=np.int64),  # met
        np.zeros(size, dtype=np.int64),  # count
        np.zeros(size, dtype=np.int64),  # start
    )
    which, t = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    deep = int(np.clip(_STACK // (8 * k), 64, _MOST_DEEP))
    stack = (
        np.empty((deep, r, r)),
        np.empty((deep, r)),
        np.empty(deep, dtype=np.int64),
        np.empty((deep, k), dtype=np.int32),
        np.empty((deep, k), dtype=np.float32),
        np.empty(deep, dtype=np.int64),
    )
    at_once = max(1, _SLICE * _WORK // max(k, _WORK))
    state = np.array([0, 2**r, 0, 0])  # orthants begun, nodes, entries of t, height of the stack
    while state[0] < 2**r or state[3] > 0:
        if clock.expired():
            return None
        if len(which) < state[2] + at_once * (k - n_convex):
            which = np.concatenate([which, np.zeros(len(which) + 2 * at_once * k, dtype=np.int64)])
            t = np.concatenate([t, np.zeros(len(t) + 2 * at_once * k, dtype=np.int64)])
        if not _grow(sorted_G, lengths, n_convex, level, nodes, (which, t), stack, state, at_once):
            return None
    return _packed(nodes, (which, t), order, r)


def _packed(
    nodes: tuple[np.ndarray, ...],
    entries: tuple[np.ndarray, np.ndarray],
    order: Int[np.ndarray, " k"],
    r: int,
) -> dict[str, str]:
    """Number the nodes breadth first and write them in text."""
    split, cut, child, met, count, start = nodes
    levels = [np.arange(2**r)]
    while len(levels[-1]):
        parents = levels[-1][split[levels[-1]] > 0]
        levels.append((child[parents][:, None] + np.arange(2)).ravel())
    listed = np.concatenate(levels)
    inner = listed[split[listed] > 0]
    leaves = listed[split[listed] == 0]
    sizes = count[leaves]
    places = np.arange(sizes.sum()) + np.repeat(start[leaves] - (np.cumsum(sizes) - sizes), sizes)
    return {
        "split": _pack(split[listed], 1),
        "cut": _pack(order[cut[inner]], 4),
        "met": _pack(met[leaves], 2),
        "count": _pack(sizes, 4),
        "which": _pack(order[entries[0][places]], 4),
        "t": _pack(entries[1][places], 4),
    }


def _pack(values: np.ndarray, width: int) -> str:
    """Integers of so many bytes as text: all lowest bytes first, which makes what is small compressible."""
    planes = (values.astype(np.int64)[None, :] >> (8 * np.arange(width)[:, None])) & 255
    raw = planes.astype(np.uint8).tobytes()
    packed = zlib.compress(raw, 9)
    if len(raw) > MOST_INFLATED * len(packed):  # than which the checker unpacks no more: eight times at most
        engine = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
        packed = engine.compress(raw) + engine.flush()
    return base64.b64encode(packed).decode("ascii")


@kernel
@no_type_check
def _grow(G, lengths, n_convex, level, nodes, entries, stack, state, budget):
    """Work off up to `budget` cones; False if there is no room for more."""
    k, r = G.shape
    split, cut, child, met, count, start = nodes
    cones, sums, kept, which, multipliers, ids = stack
    V = np.empty((r, r))
    total, values, middle = np.empty(r), np.empty(r), np.empty(r)
    mixed, heights, t = np.empty(k, dtype=np.int64), np.empty((r, k)), np.empty(k)
    inverse, work = np.empty((r, r)), np.empty((r, r))
    rho, target = np.empty(r), np.empty(r)
    vectors, caps, answer = np.empty((k + r, r)), np.empty(k + r), np.empty(k + r)
    scratch = (np.empty((r, r)), np.empty(r), np.empty(r), np.empty(r), np.empty(k, dtype=np.int64))
    places = np.arange(k)
    for _ in range(budget):
        if state[3] == 0:
            if state[0] == 2**r:
                return True
            for a in range(r):
                for c in range(r):
                    cones[0, a, c] = 0.0
                cones[0, a, a] = 1.0 - 2.0 * ((state[0] >> a) % 2)
                sums[0, a] = 0.0
            for j in range(k):
                which[0, j], multipliers[0, j] = j, 0.5
            kept[0], ids[0] = k, state[0]
            state[0] += 1
            state[3] = 1
        top = state[3] - 1
        state[3] = top
        node = ids[top]
        for a in range(r):
            copy_into(V[a], cones[top, a])
        copy_into(total, sums[top])
        n_mixed, few, hidden = _sorted_out(
            G, lengths, n_convex, V, which[top], multipliers[top], kept[top], total, mixed, heights, t
        )
        enough = level - np.sqrt(r) * hidden
        closed = _close(
            G, lengths, V, total, mixed, places, few, n_mixed, heights, t, enough,
            values, inverse, work, target, rho, vectors, caps, answer, scratch,
        )  # fmt: skip
        a, b, share = -1, -1, 0.0
        if closed < 0:
            a, b, share = split_edge(heights, places, 0, few, inverse, rho)
            first, last = 0, few
            if a < 0 and closed != _BEST:
                a, b, share = split_edge(heights, places, few, n_mixed, inverse, rho)
                first, last = few, n_mixed
        if a < 0:
            if closed < 0:  # no generator changes its sign: what is left is rounding
                closed = _closest(
                    lengths, V, mixed, places, few, n_mixed, heights, t, enough,
                    values, inverse, caps, answer, closed != _FLAT, scratch,
                )  # fmt: skip
            met[node], start[node] = closed, state[2]
            for j in range(n_mixed - few):
                if scratch[4][j] >= 0:
                    entries[0][state[2]], entries[1][state[2]] = mixed[few + j], scratch[4][j]
                    state[2] += 1
            count[node] = state[2] - start[node]
            continue
        named = _kink(heights, a, b, first, last, share)
        share = heights[a, named] / (heights[a, named] - heights[b, named])
        first = state[1]
        if first + 2 > len(split) or top + 2 > len(ids):
            return False
        state[1] += 2
        pair = 0
        for c in range(a):
            pair += r - 1 - c
        split[node], child[node] = 1 + pair + (b - a - 1), first
        cut[node] = mixed[named]
        length = 0.0
        for c in range(r):
            middle[c] = (1 - share) * V[a, c] + share * V[b, c]
            length += abs(middle[c])
        for c in range(r):
            middle[c] /= length
        for part in range(2):
            place = top + 1 - part  # the first part comes next
            for c in range(r):
                copy_into(cones[place, c], V[c])
            copy_into(cones[place, b if part == 0 else a], middle)
            copy_into(sums[place], total)
            for j in range(n_mixed):
                which[place, j], multipliers[place, j] = mixed[j], t[j]
            kept[place], ids[place] = n_mixed, first + part
        state[3] = top + 2
    return True


@kernel
@no_type_check
def _sorted_out(G, lengths, n_convex, V, which, multipliers, count, total, mixed, heights, t):
    """Find the generators that change their sign on a cone, positive weights first, and add up the rest.

    Returns how many there are, how many of positive weight, and what the sum may hide at a ray.
    """
    r = len(V)
    n_mixed, few, hidden = 0, 0, 0.0
    for j in range(count):
        n = which[j]
        low, high, near = np.inf, -np.inf, ON_PLANE * lengths[n]
        for a in range(r):
            h = dot(V[a], G[n])
            heights[a, n_mixed] = h if abs(h) > near else 0.0  # the sign of rounding means nothing
            low, high = min(low, h), max(high, h)
        if low >= -near:
            side = 1.0 if n < n_convex else -1.0
            for c in range(r):
                total[c] += side * G[n, c]
            hidden += max(-low, 0.0)
        elif high > near:
            mixed[n_mixed], t[n_mixed] = n, multipliers[j]
            n_mixed += 1
            if n < n_convex:
                few += 1
        else:
            hidden += max(high, 0.0)
    return n_mixed, few, hidden


@kernel
@no_type_check
def _close(
    G, lengths, V, total, mixed, places, few, n_mixed, heights, t, level,
    values, inverse, work, target, rho, vectors, caps, answer, scratch,
):  # fmt: skip
    """Bound a cone by the level if that can be said in few bits: the mask of the rays that rho meets.

    Else _BEST if the best multipliers are known, _FLAT if the rays have no inverse, and _OPEN. What is said
    of t is left in the scratch: -1 for what goes without saying.
    """
    r, m = len(V), n_mixed - few
    gram, goal, alpha, found, said = scratch
    for a in range(r):
        value = dot(total, V[a])
        for j in range(few):
            value += max(heights[a, j], 0.0)
        values[a] = value
        copy_into(work[a], V[a])
    if not invert_into(work, inverse, r):
        copy_into(rho, values)
        mask, bound = _near_ray(
            lengths, V, mixed, places, few, n_mixed, heights, t, level, values, inverse, caps, scratch
        )
        return mask if bound <= level else _FLAT
    for c in range(r):
        target[c] = rho[c] = dot(inverse[c], values)
    for j in range(m):
        answer[j], caps[j] = min(max(t[few + j], 0.0), 1.0), 1.0
        for c in range(r):
            vectors[j, c] = G[mixed[few + j], c]
            rho[c] -= answer[j] * vectors[j, c]
    for k in range(r):
        length = 0.0
        for c in range(r):
            length += inverse[c, k] * inverse[c, k]
        for c in range(r):
            vectors[m + k, c] = -inverse[c, k] / np.sqrt(length)
        caps[m + k], answer[m + k] = np.inf, 0.0
    exact, verdict = m <= MOST_EXACT, _OPEN
    closing = level * (1 - 1e-9)
    for attempt in range(2):
        if exact:
            threshold = closing if attempt == 0 else 0.0
            norm, _ = least_norm_from(vectors[: m + r], target, caps[: m + r], threshold, answer, rho)
        else:
            for _ in range(SWEEPS):
                if dot(rho, rho) > closing * closing:
                    sweep(vectors, caps, answer, m + r, rho)
            norm = np.sqrt(dot(rho, rho))
        for j in range(m):
            t[few + j] = answer[j]
        if norm > level:
            verdict = _BEST if exact else _OPEN
            break
        for bits in _BITS:
            _say(lengths, mixed, heights, answer, few, m, bits, said)
            _aim(values, heights, few, m, said, goal)
            if _reaches(V, goal, inverse, 2**r - 1, gram, alpha, found) <= level:
                return 2**r - 1
            mask = _met(answer, m, r)
            if mask != 2**r - 1 and _reaches(V, goal, inverse, mask, gram, alpha, found) <= level:
                return mask
        if not exact:
            break
    if _is_sliver(V):  # its inverse is rounding
        mask, bound = _near_ray(
            lengths, V, mixed, places, few, n_mixed, heights, t, level, values, inverse, caps, scratch
        )
        if bound <= level:
            return mask
        for j in range(m):
            t[few + j] = answer[j]
    return verdict


@kernel
@no_type_check
def _closest(
    lengths, V, mixed, places, few, n_mixed, heights, t, level,
    values, inverse, caps, answer, invertible, scratch,
):  # fmt: skip
    """Return the mask whose bound, if above the level, is the least at hand: what is said of t is for it."""
    r, m = len(V), n_mixed - few
    gram, goal, alpha, found, said = scratch
    own, best = t[few:n_mixed].copy(), _met(answer, m, r) if invertible else 0
    least = np.inf
    if invertible:
        _say(lengths, mixed, heights, own, few, m, _BITS[-1], said)
        _aim(values, heights, few, m, said, goal)
        for mask in (best, 2**r - 1):
            bound = _reaches(V, goal, inverse, mask, gram, alpha, found)
            if bound < least:
                best, least = mask, bound
    mask, bound = _near_ray(
        lengths, V, mixed, places, few, n_mixed, heights, t, level, values, inverse, caps, scratch
    )
    if bound < least:
        return mask
    _say(lengths, mixed, heights, own, few, m, _BITS[-1], said)
    return best


@kernel
@no_type_check
def _met(answer, m, r):
    """Return the mask of the rays whose constraints the best rho meets with equality."""
    mask = 0
    for k in range(r):
        if answer[m + k] <= 0.0:
            mask += 1 << k
    return mask


@kernel
@no_type_check
def _is_sliver(V):
    """Whether all rays nearly coincide, so that a rho that meets one exceeds no more than it must."""
    for a in range(1, len(V)):
        square = 0.0
        for c in range(len(V)):
            square += (V[a, c] - V[0, c]) ** 2
        if square > _SLIVER * _SLIVER:
            return False
    return True


@kernel
@no_type_check
def _near_ray(lengths, V, mixed, places, few, n_mixed, heights, t, level, values, inverse, caps, scratch):
    """Bound a thin cone, all of which is near a ray that rho meets, in few bits if they are enough.

    Returns the mask of that ray and the bound. The multipliers are left in t and in the scratch.
    """
    r, m = len(V), n_mixed - few
    gram, goal, alpha, found, said = scratch
    shortest = np.inf
    for a in range(r):
        shortest = min(shortest, np.sqrt(dot(V[a], V[a])))
    for j in range(m):
        caps[j] = 1.0
    play_rays(values, heights, places, few, m, t[few:n_mixed], caps, level * shortest)
    mask, least = 1, np.inf
    for bits in _BITS:
        _say(lengths, mixed, heights, t[few:n_mixed], few, m, bits, said)
        _aim(values, heights, few, m, said, goal)
        mask, least = 1, np.inf
        for a in range(r):
            bound = _reaches(V, goal, inverse, 1 << a, gram, alpha, found)
            if bound < least:
                mask, least = 1 << a, bound
        if least <= level:
            break
    return mask, least


@kernel
@no_type_check
def _aim(values, heights, few, m, said, goal):
    """Fill in what rho has to reach at the rays: the values, less what the multipliers said take off."""
    for a in range(len(values)):
        goal[a] = values[a]
        for j in range(m):
            if _said(heights, said, few, j) > 0:
                goal[a] -= _said(heights, said, few, j) / UNIT * heights[a, few + j]


@kernel
@no_type_check
def _say(lengths, mixed, heights, answer, few, m, bits, said):
    """Round multipliers to so many bits, in units of the checker; -1 where it assumes the same by itself."""
    grain = UNIT >> bits
    for j in range(m):
        said[j] = min(int(np.rint(answer[j] * UNIT / grain)) * grain, UNIT)
        level = 0.0
        for a in range(len(heights)):
            level += heights[a, few + j]
        clear = abs(level) > _CLEAR * lengths[mixed[few + j]]  # whatever arithmetic adds the heights up
        if clear and said[j] == (UNIT if level >= 0 else 0):
            said[j] = -1


@kernel
@no_type_check
def _said(heights, said, few, j):
    """Return the multiplier that the checker takes, in its units."""
    if said[j] >= 0:
        return said[j]
    level = 0.0
    for a in range(len(heights)):
        level += heights[a, few + j]
    return UNIT if level >= 0 else 0


@kernel
@no_type_check
def _reaches(V, goal, inverse, mask, gram, alpha, rho):
    """Return the bound of the least rho that meets the goals of a mask's rays, as the checker does."""
    r = len(V)
    for c in range(r):
        rho[c] = dot(inverse[c], goal) if mask == 2**r - 1 else 0.0
    if mask != 2**r - 1:
        for _ in range(2):
            for a in range(r):
                on_a = (mask >> a) % 2
                for b in range(r):
                    gram[a, b] = 1.0 if a == b else 0.0
                    if on_a * ((mask >> b) % 2):
                        gram[a, b] = dot(V[a], V[b])
                alpha[a] = (goal[a] - dot(V[a], rho)) * on_a
            if not _solve(gram, alpha):
                return np.inf
            for a in range(r):
                if (mask >> a) % 2:
                    for c in range(r):
                        rho[c] += alpha[a] * V[a, c]
    excess = 0.0
    for a in range(r):
        excess = max(excess, goal[a] - dot(V[a], rho))
    return np.sqrt(dot(rho, rho)) + np.sqrt(r) * excess


@kernel
@no_type_check
def _solve(A, b):
    """Solve a positive definite system in place by elimination; False if it is singular."""
    r = len(b)
    for k in range(r):
        if not A[k, k] > 1e-300:
            return False
        for i in range(k + 1, r):
            factor = A[i, k] / A[k, k]
            for j in range(k, r):
                A[i, j] -= factor * A[k, j]
            b[i] -= factor * b[k]
    for back in range(r):
        k = r - 1 - back
        for j in range(k + 1, r):
            b[k] -= A[k, j] * b[j]
        b[k] /= A[k, k]
    return True


@kernel
@no_type_check
def _kink(heights, a, b, start, stop, share):
    """Return whose kink on the edge (a, b) is nearest to a share of it, of those that are wide enough."""
    widest = 0.0
    for j in range(start, stop):
        x, y = heights[a, j], heights[b, j]
        if x * y < 0.0:
            widest = max(widest, min(abs(x), abs(y)))
    nearest, named = 2.0, -1
    for j in range(start, stop):
        x, y = heights[a, j], heights[b, j]
        if x * y < 0.0 and min(abs(x), abs(y)) > _WIDE * widest and abs(x / (x - y) - share) < nearest:
            nearest, named = abs(x / (x - y) - share), j
    return named
