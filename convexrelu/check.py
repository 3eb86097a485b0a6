"""The independent checker: ``python -m convexrelu.check CERTIFICATE DATA [--label COLUMN] [--exact]``.

It reads a certificate (format 2, docs/certificate.md) and the data it is about, and verifies what the file
claims, ``lower_bound <= P* <= objective``, with NumPy and the standard library. Nothing else of the package
is imported but, for training with weight decay, check_losses.py and check_outputs.py. Nothing is searched
for, and no number of the file is believed: a proof is evaluated to a bound that holds whatever its numbers
are, and the claims must follow from the bounds.

The upper bound is the network at its best scale. The lower one is ``y^T lam / max(h(lam), max(y lam)/C)``,
where ``h(lam) = max_{||u||<=1} |sum_n lam_n (x_n^T u)_+|`` is bounded for lam and for -lam by one of

cones
    The orthants of R^r cover it, and so do their parts after any splits of edges. On a cone with rays v_k,
    positive weights times ``(p^T u)_+`` lie below the chords, negative ones below ``-t q^T u`` for any t in
    [0, 1]; if rho^T v_k is no less than the sum of these at every ray, the correlation is at most ||rho||.
pairs
    ``sum_i (p_i^T u)_+ <= max_s ||sum_i s_i p_i|| <= sqrt(sum_ij (p_i^T p_j)_+)``.
lines
    ``(x^T u)_+ = (x^T u + |x^T u|)/2``: the rows of one line add up to a linear part and a bend.
semidefinite
    With s = (1 + sigma)/2 in {0, 1}^p the choice of active rows, affine answers t = t0 + T s leave ``max_s
    ||B (1, sigma)||``, and ``||B (1, sigma)||^2 <= sum_i z_i^-2 ||B diag(z)||_2^2`` for any z > 0; on each
    branch of a binary tree over the sides of some rows.

Scalars are fractions. Cones and margins are worked out in floating point, where every sum carries a bound of
its rounding, or with ``--exact`` in integers: the floats of data and file are then rational numbers, and
the enclosure is a theorem about them.

Exit codes: 0 the certificate holds, 1 it does not, 2 certificate or data cannot be read, 130 interrupted.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import math
import sys
import zlib
from contextlib import suppress
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["RefusedError", "check_document", "correlation_bound", "fingerprint", "main", "seal"]

FORMAT, VERSION = "convexrelu certificate", 2
SHARE, UNIT, FIXED = 2**48, 2**30, 2**60  # denominators: of shares of an edge, of multipliers t, of rho
# of signed integers in arrays of five bytes; numbers in a batch of cones; times the text's length, at most:
# the memory of packed arrays is bounded by the file's
OFFSET, CELLS, MOST_INFLATED = 2**39, 2**20, 64
LARGE = 2.0**26  # an entry of the inverse of products of rays, beyond which half of its digits are wrong
MISSING = {"", "na", "nan", "n/a", "#n/a", "null", "none", "nil", "?", "-", "."}  # as in datasets/tables.py
EPS, SIGNS, VERDICTS = 2.0**-52, {"plus": 1.0, "minus": -1.0}, ("holds", "does not hold", "error")
BROKEN = ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError
Array = np.ndarray
_bits, _whole, _isqrt = (np.frompyfunc(f, 1, 1) for f in (int.bit_length, int, math.isqrt))


class RefusedError(Exception):
    """Why a certificate is not accepted: it does not hold (code 1), or cannot be read (code 2)."""

    def __init__(self, reason: str, code: int = 1) -> None:
        super().__init__(reason)
        self.code = code


def _need(condition: Any, reason: str, code: int = 1) -> None:
    if not condition:
        raise RefusedError(reason, code)


def _root(square: Any) -> Fraction:
    """A rational number no smaller than the root of another, to about 60 digits."""
    q = Fraction(square)
    shift = max(0, 60 - (q.numerator.bit_length() - q.denominator.bit_length()) // 2)
    return Fraction(math.isqrt(-((-q.numerator << 2 * shift) // q.denominator)) + (q > 0), 2**shift)


def _integers(values: Array) -> tuple[Array, int]:
    """Integers and b: floats are the integers over 2^b."""
    mantissas, exponents = np.frexp(values)
    low = min(53, int(exponents[values != 0].min(initial=53)))
    return _whole(np.ldexp(mantissas, 53)) << np.where(values != 0, exponents - low, 0), 53 - low


def _floats(a: Array, b: Any) -> Array:
    """Quotients as floats, to 60 digits behind the point (those beyond the range of floats become wrong)."""
    shift = np.frompyfunc(lambda n: max(n.bit_length() - 64, 0), 1, 1)(b)
    return np.asarray((a >> shift).astype(float) / np.asarray(b >> shift).astype(float))


def _array(values: Any, name: str, dimensions: int) -> Array:
    array = np.array(values[name], dtype=float)
    _need(array.ndim == dimensions and np.isfinite(array).all(), f"{name} must hold finite numbers", 2)
    return array


def _unpack(values: Any, name: str, width: int) -> Array:
    """Integers of so many bytes: base64 of zlib of their lowest bytes, then their second ones, and so on."""
    packed, engine = base64.b64decode(values[name], validate=True), zlib.decompressobj()
    raw = engine.decompress(packed, MOST_INFLATED * len(packed) + 4096)
    _need(engine.eof, f"the packed array {name!r} is cut off, or too large for its text", 2)
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(width, -1)
    whole = np.zeros((planes.shape[1], 8), dtype=np.uint8)
    whole[:, :width] = planes.T
    return whole.view("<i8")[:, 0].astype(np.int64)


def correlation_bound(X: Array, lam: Array, name: str, proof: Any, *, exact: bool = False) -> Any:
    """Return the bound on ``max_{||u||<=1} sum_n lam_n (x_n^T u)_+`` that a proof proves, or on that of -lam.

    Parameters
    ----------
    X : (n, d) float array
        The data.
    lam : (n,) float array
        Weights of the rows.
    name : str
        "plus" for lam, "minus" for -lam.
    proof : dict
        Plain JSON values.
    exact : bool, default False
        Whether to compute with integers only.

    Returns
    -------
    Fraction, or inf
        The bound; without a proof there is none. Raises RefusedError, or what broken values raise, if the
        proof is none.
    """
    support = np.flatnonzero((lam != 0) & X.any(axis=1))
    positive = SIGNS[name] * lam[support] > 0
    if proof is None or not positive.any():
        return math.inf if positive.any() else Fraction(0)
    kind = proof["kind"]
    if kind == "lines":
        return _lines(X, lam, support.tolist(), proof["groups"])
    (rows, row_bits), (weights, weight_bits) = _integers(X[support]), _integers(np.abs(lam[support]))
    G = rows * weights[:, None]  # the generators |lam_n| x_n; G / one in units of their largest entry
    one = 1 << int(_bits(G).max())
    if kind == "pairs":
        bound = _root(Fraction(np.maximum(G[positive] @ G[positive].T, 0).sum(), one**2))
    elif kind == "semidefinite":
        bound = _semidefinite(G, one, positive, support.tolist(), proof["leaves"])
    else:
        _need(kind == "cones", f"there is no proof of kind {kind!r}")
        bound = _framed_cones(G, one, positive, proof, exact)
    return bound * Fraction(one, 1 << row_bits + weight_bits)


def _framed_cones(G: Array, one: int, positive: Array, tree: Any, exact: bool) -> Fraction:
    """Bound the correlation in the coordinates of a frame, whose rows need not be orthonormal."""
    F, bits = _integers(np.eye(G.shape[1]) if tree["frame"] is None else _array(tree, "frame", 2))
    coordinates, unit = G @ F.T, 1 << bits
    rest, defect = G * unit**2 - coordinates @ F, F @ F.T - _whole(np.eye(len(F))) * unit**2
    beyond = sum(_root(Fraction(q, (one * unit**2) ** 2)) for q in (rest**2).sum(axis=1))
    stretch = _root(1 + _root(Fraction((defect**2).sum(), unit**4)))  # no less than the norm of F
    return _cones(coordinates, one * unit, positive, tree, exact) * stretch + beyond


def _cones(G: Array, one: int, positive: Array, tree: Any, exact: bool) -> Fraction:
    """The largest bound of the leaves of a tree of cones, whose rays come from their parent's.

    Rays have any length. Nodes are numbered breadth first: the orthants, then the two parts of each cone that
    is split, in the order of these.
    """
    (k, r), edges = G.shape, np.array(list(combinations(range(G.shape[1]), 2)), dtype=int).reshape(-1, 2)
    split, cut, met = (_unpack(tree, name, width) for name, width in (("split", 1), ("cut", 4), ("met", 2)))
    count, which, t = (_unpack(tree, name, 4) for name in ("count", "which", "t"))
    inner, stop = split > 0, np.cumsum(count)
    place = np.where(inner, np.cumsum(inner), np.cumsum(~inner)) - 1  # among the nodes of its kind
    child = 2**r + 2 * place
    whole = len(split) == 2**r + 2 * inner.sum() and (child[inner] > np.flatnonzero(inner)).all()
    _need(whole and count.sum() == len(which) and (t <= UNIT).all(), "a tree of cones is malformed")
    slot = np.where(positive, 0, np.cumsum(~positive))[which]  # t of positive weights go to no use
    G, one = (G, one) if exact else (_floats(G, one), 1)
    convex, concave = G[positive].T, G[~positive]
    worst, depth, batch = 0, 0, max(1, CELLS // (k + r * r))
    for start in range(0, 2**r, batch):
        roots = np.arange(start, min(start + batch, 2**r))
        signs = 1 - 2 * ((roots[:, None] >> np.arange(r)) % 2)
        rays = signs[:, :, None] * np.eye(r, dtype=int).astype(G.dtype)
        work = [(roots, rays, np.maximum(rays @ convex, 0).sum(axis=2), 0)]
        while work:
            index, V, chords, level = work.pop()  # chords: of the positive weights, at each ray
            ends, depth = ~inner[index], max(depth, level)
            if ends.any():
                leaf = place[index[ends]]
                of = np.repeat(np.arange(len(leaf)), count[leaf])
                entry = np.arange(len(of)) + np.repeat(stop[leaf] - np.cumsum(count[leaf]), count[leaf])
                given = of, slot[entry], t[entry]
                worst = max(worst, _leaves(V[ends], chords[ends], concave, one, met[leaf], given, exact))
            index, V, chords = index[~ends], V[~ends], chords[~ends]
            rows, (a, b) = np.arange(len(index)), edges[split[index] - 1].T
            new = _between(V[rows, a], V[rows, b], G[cut[place[index]]], exact)
            both, ray = np.arange(2 * len(rows)), np.concatenate([b, a])
            V, chords = np.concatenate([V, V]), np.concatenate([chords, chords])
            V[both, ray] = np.concatenate([new, new])
            chords[both, ray] = np.tile(np.maximum(new @ convex, 0).sum(axis=1), 2)
            index = np.concatenate([child[index], child[index] + 1])
            for i in range(0, len(index), batch):
                work.append((index[i : i + batch], V[i : i + batch], chords[i : i + batch], level + 1))
    if exact:
        return Fraction(int(worst), FIXED)
    _need(worst < math.inf, "a tree of cones bounds nothing")
    # rays, heights and sums are rounded relative to this
    size = float(np.linalg.norm(G, axis=1).sum() + worst)
    return Fraction(worst + EPS * (k + 16 * r + 2 * depth + 64) * 2 * math.sqrt(r) * size)


def _between(A: Array, B: Array, normals: Array, exact: bool) -> Array:
    """A ray between two others, about where it is orthogonal to a normal: any serves, for both parts."""
    if exact:  # to one length, up to a factor of two, as floats are already
        more = _bits(np.abs(B).sum(axis=1)) - _bits(np.abs(A).sum(axis=1))
        A, B = A << np.maximum(more, 0)[:, None], B << np.maximum(-more, 0)[:, None]
    x, y = (A * normals).sum(axis=1), (B * normals).sum(axis=1)
    width = np.where(x == y, 1, x - y)
    share = SHARE * x // width if exact else np.nan_to_num(np.rint(SHARE * x / width))
    share = np.minimum(np.maximum(share, 1), SHARE - 1)[:, None]
    new: Array = (SHARE - share) * A + share * B
    return new if exact else np.ldexp(new, -np.frexp(np.abs(new).sum(axis=1))[1][:, None])


def _leaves(V: Array, chords: Array, concave: Array, one: int, met: Array, given: Any, exact: bool) -> Any:
    """The largest bound of some cones, times FIXED if exact."""
    quotients, r = _floats if exact else np.divide, V.shape[2]
    size = np.abs(V).sum(axis=2)  # of an orthant's rays: sum_k alpha_k |v_k|_1 = |u|_1 <= sqrt(r) ||u||
    units, normals = quotients(V, size[..., None]), quotients(concave, one)
    T = np.zeros((len(V), 1 + len(concave)), dtype=V.dtype)
    T[:, 1:] = np.where(units.sum(axis=1) @ normals.T >= 0, UNIT, 0)
    T[given[:2]] = given[2]  # the file says only what differs from this
    goal = UNIT * chords - (V @ (T[:, 1:] @ concave)[..., None])[..., 0]
    on = ((met[:, None] >> np.arange(r)) & 1).astype(bool)
    rho = _least(units, quotients(goal, size * (one * UNIT)), on)
    if not exact:
        excess = ((goal - UNIT * (V @ rho[..., None])[..., 0]) / (UNIT * size)).max(axis=1)
        bounds = np.linalg.norm(rho, axis=1) + math.sqrt(r) * np.maximum(excess, 0)
        return np.where(np.isfinite(bounds), bounds, math.inf).max()
    rho = _whole(np.rint(np.ldexp(np.nan_to_num(rho, posinf=0, neginf=0), 60)))
    excess = FIXED * goal - UNIT * one * (V * rho[:, None]).sum(axis=2)
    steps = np.maximum(-(-excess // (UNIT * one * size)), 0).max(axis=1)
    return (_isqrt((rho**2).sum(axis=1)) + 2 + (steps * (math.isqrt(r << 80) + 1) >> 40)).max()


def _least(V: Array, goal: Array, on: Array) -> Array:
    """The least rho that meet their goals at some of the rays, but for rounding, which is measured later."""
    V, goal = V * on[..., None], (goal * on)[..., None]
    transposed = V.transpose(0, 2, 1)
    products = V @ transposed
    products[:, range(V.shape[1]), range(V.shape[1])] += np.where(on, 4 * EPS, 1)
    inverses = np.linalg.inv(products)
    thin = np.abs(inverses).max(axis=(1, 2)) > LARGE
    inverses = transposed @ inverses
    inverses[thin] = np.linalg.pinv(V[thin], rcond=64 * EPS)
    rho = inverses @ goal
    return np.asarray((rho + inverses @ (goal - V @ rho))[..., 0])


def _lines(X: Array, lam: Array, support: list[int], groups: list[list[int]]) -> Fraction:
    """Bound |sum_n lam_n (x_n^T u)_+|, for both signs: groups list rows of one line, others stand alone."""
    listed, total, bends = [n for group in groups for n in group], np.zeros(X.shape[1], int), Fraction(0)
    _need(len(set(listed)) == len(listed) and set(listed) <= set(support), "lines must hold each row once")
    for group in [*groups, *([n] for n in sorted(set(support) - set(listed)))]:
        rows, weights = (np.frompyfunc(Fraction, 1, 1)(v[group].astype(object)) for v in (X, lam))
        pivot = np.argmax(np.abs(X[group[0]]))
        shares = rows[:, pivot] / rows[0, pivot]
        rest = ((rows - shares[:, None] * rows[0]) ** 2).sum(axis=1)
        bends += sum(abs(w) * _root(q) for w, q in zip(weights, rest, strict=True))
        bends += abs((weights * np.abs(shares)).sum()) / 2 * _root((rows[0] ** 2).sum())
        total = total + (weights * shares).sum() / 2 * rows[0]
    return _root((total**2).sum()) + bends


def _semidefinite(G: Array, one: int, positive: Array, support: list[int], leaves: Any) -> Fraction:
    """The largest bound of the branches, which must be the leaves of a binary tree over sides of rows."""
    paths = [list(zip(leaf["rows"], leaf["sides"], strict=True)) for leaf in leaves]
    open_nodes = [(paths, 0)]
    for here, depth in open_nodes:  # it grows meanwhile
        if len(here) != 1 or len(here[0]) > depth:
            split = here and min(map(len, here)) > depth and len({path[depth][0] for path in here}) == 1
            _need(split, "the branches form no binary tree, so that some neurons are on none of them")
            open_nodes += [([path for path in here if path[depth][1] == side], depth + 1) for side in (1, -1)]
    _need(all(len(dict(path)) == len(path) for path in paths), "a branch must fix each row once")
    return max(_branch(G, one, positive, support, leaf) for leaf in leaves)


def _branch(G: Array, one: int, positive: Array, support: list[int], leaf: Any) -> Fraction:
    fixed = np.array([support.index(row) for row in leaf["rows"]], dtype=int)
    sides = np.array([int(side) for side in leaf["sides"]], dtype=object)
    free, capped = (np.setdiff1d(np.flatnonzero(rows), fixed) for rows in (positive, ~positive))
    active, p = fixed[sides > 0], len(free)
    T, t0, z = (_unpack(leaf, name, 5).astype(object) - OFFSET for name in ("T", "t0", "z"))
    T = T.reshape(len(capped) + len(fixed), p)
    least, most = t0 - np.maximum(-T, 0).sum(axis=1), t0 + np.maximum(T, 0).sum(axis=1)
    _need((least >= 0).all() and (most[: len(capped)] <= UNIT).all(), "answers must be in [0, 1]")
    _need((z > 0).all() and len(z) == p + 1, "a branch needs positive multipliers z")
    answers = np.vstack([G[capped], -sides[:, None] * G[fixed]])
    head = G[free].sum(axis=0) + 2 * (np.where(positive[active], 1, -1).astype(object) @ G[active])
    B = UNIT * np.vstack([head, G[free]]) - np.vstack([2 * t0 + T.sum(axis=1), T.T]) @ answers
    M = z[:, None] * B  # B is 2 one UNIT times what the text calls so, transposed
    top = _largest_eigenvalue(M @ M.T if p < G.shape[1] else M.T @ M)
    return _root(top * sum(Fraction(1, v * v) for v in z) / (2 * one * UNIT) ** 2)


def _largest_eigenvalue(S: Array) -> Fraction:
    """A bound: for any s and L, ``s I - S = L L^T + E`` has no eigenvalue below -||E||."""
    trace = S.trace()
    shares, one = _floats(S, max(trace, 1)), np.eye(len(S), dtype=int).astype(object)
    s = float(np.linalg.eigvalsh(shares)[-1]) + 1e-12
    root: Any = _whole(np.rint(np.ldexp(np.linalg.cholesky(s * np.eye(len(S)) - shares), 60)))
    rest = trace * (round(s * FIXED) * FIXED * one - root @ root.T) - FIXED**2 * S
    return Fraction(round(s * FIXED) * trace, FIXED) + _root((rest**2).sum()) / FIXED**2


def _outputs(X: Array, W1: Array, w2: Array, exact: bool) -> tuple[Array, Array, Fraction]:
    """The outputs of a network in some unit, and by how much each may be off."""
    if exact:
        parts, bits = zip(*map(_integers, (X, W1, w2)), strict=True)
        f = np.maximum(parts[0] @ parts[1].T, 0) @ parts[2]
        return f, 0 * f, Fraction(1, 1 << sum(bits))
    # scaled so that nothing over- or underflows
    tops = [int(np.frexp(np.abs(v).max(initial=0.0))[1]) for v in (X, W1, w2)]
    x, u, v = (np.ldexp(part, -top) for part, top in zip((X, W1, w2), tops, strict=True))
    slack = (EPS * (np.abs(x) @ np.abs(u).T @ np.abs(v)) + 1e-300) * (sum(W1.shape) + 8)
    return np.maximum(x @ u.T, 0) @ v, slack, Fraction(2) ** sum(tops)


def _upper_bound(X: Array, y: Array, W1: Array, w2: Array, C: float, exact: bool) -> Any:
    """The objective ``a ||theta||^2/2 + C sum_n (1 - a q_n)_+`` of the network at its best scale a."""
    half = sum(Fraction((m**2).sum(), 4**b) for m, b in map(_integers, (W1, w2))) / 2
    f, slack, unit = _outputs(X, W1, w2, exact)
    signs = y.astype(int).astype(object)  # whole numbers beyond the floats stay whole
    margins = sorted((Fraction(q) * unit for q in (signs * f - slack).tolist()), reverse=True)
    if math.isinf(C):
        return half / margins[-1] if margins[-1] > 0 else math.inf
    scale, price = Fraction(0), Fraction(C)
    slope = half - price * sum(margins)
    for margin in margins:  # convex in a: its kinks are at 1/q_n
        if slope < 0 < margin:
            scale, slope = 1 / margin, slope + price * margin
    return scale * half + price * sum(max(1 - scale * margin, Fraction(0)) for margin in margins)


def _lower_bound(X: Array, lam: Array, C: float, proof: Any, exact: bool) -> Any:
    h = max(correlation_bound(X, lam, name, proof[name], exact=exact) for name in SIGNS)
    h = h if math.isinf(C) else max(h, Fraction(np.abs(lam).max()) / Fraction(C))
    value = sum(map(Fraction, np.abs(lam[lam != 0])), Fraction(0))
    return value / h if h > 0 else math.inf if value > 0 else Fraction(0)


def fingerprint(X: Array, y: Array) -> str:
    """Return sizes and SHA-256 of X and the labels +1 and -1; the sign of zero does not count.

    Parameters
    ----------
    X : (n, d) float array
        The data.
    y : (n,) float array
        Its labels, +1 or -1.

    Returns
    -------
    str
        Such as "2x2 sha256:...".
    """
    raw = b"".join(np.ascontiguousarray(part + 0.0, dtype="<f8").tobytes() for part in (X, y))
    return f"{X.shape[0]}x{X.shape[1]} sha256:{hashlib.sha256(raw).hexdigest()}"


def seal(document: dict[str, Any]) -> str:
    """Return the SHA-256 of everything in a certificate but its seal: what was altered by accident shows.

    Parameters
    ----------
    document : dict
        The certificate as plain JSON values.

    Returns
    -------
    str
        Such as "sha256:...".
    """
    text = json.dumps({k: v for k, v in document.items() if k != "seal"}, sort_keys=True, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def check_document(document: Any, X: Array, labels: Array, *, exact: bool = False) -> tuple[Any, Any]:
    """Return the bounds that a certificate proves, which are no weaker than those it claims.

    Parameters
    ----------
    document : dict
        The certificate as plain JSON values, of one binary problem or of K classes.
    X : (n, d) float array
        The data.
    labels : (n,) array
        Its labels; of two, the larger is +1.
    exact : bool, default False
        Whether to compute with integers only.

    Returns
    -------
    tuple of two Fractions, or floats where infinite
        The lower and the upper bound on P*. Raises RefusedError if the document is no certificate, is about
        other data, or does not prove its claims.
    """
    try:
        with np.errstate(all="ignore"):  # absurd numbers end as no bound at all
            if "loss" in document:
                if document["network"].get("n_outputs"):
                    from convexrelu.check_outputs import output_bounds as loss_bounds
                else:
                    from convexrelu.check_losses import weight_decay_bounds as loss_bounds
                return _claimed(document, *loss_bounds(document, X, labels, exact))
            values, parts = np.unique(labels).tolist(), document.get("certificates", [document])
            ys = [np.where(labels == value, 1, -1) for value in values[len(values) < 3 :] or [1]]
            _need(len(parts) == len(ys), "the certificate is about another number of classes")
            found = [_claimed(p, *_binary(p, X, y, exact)) for p, y in zip(parts, ys, strict=True)]
            return _claimed(document, sum(low for low, _ in found), sum(high for _, high in found))
    except (*BROKEN, zlib.error) as error:
        raise RefusedError(f"malformed certificate: {type(error).__name__}: {error}", 2) from error


def _binary(document: Any, X: Array, y: Array, exact: bool) -> tuple[Any, Any]:
    _need(document["data"] == fingerprint(X, y), "the certificate is about other data: checksums differ")
    lam, w2, C = _array(document, "lam", 1), _array(document["network"], "w2", 1), float(document["C"])
    W1 = _array(document["network"], "W1", 2) if len(w2) else np.zeros((0, X.shape[1]))
    _need(lam.shape == y.shape and C > 0 and (y * lam >= 0).all(), "lam must have size and signs of y, C > 0")
    return _lower_bound(X, lam, C, document["proof"], exact), _upper_bound(X, y, W1, w2, C, exact)


def _claimed(document: Any, lower: Any, upper: Any) -> tuple[Any, Any]:
    if not (float(document["lower_bound"]) <= lower and upper <= float(document["objective"])):
        claim = f"claimed is {document['lower_bound']} <= P* <= {document['objective']}"
        raise RefusedError(f"{claim}; it proves only {float(lower):.9g} <= P* <= {float(upper):.9g}")
    return lower, upper


def _read_certificate(path: str) -> Any:
    def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _need(len(dict(pairs)) == len(pairs), f"{path}: a field stands twice", 2)
        return dict(pairs)

    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=unrepeated)
        form, found, written = (document["format"], document["version"]), seal(document), document.get("seal")
    except (*BROKEN, OSError) as error:
        raise RefusedError(f"{path} is no certificate: {type(error).__name__}: {error}", 2) from error
    _need(form == (FORMAT, VERSION), f"{path} is of {form}: format {VERSION} is needed, save it anew", 2)
    _need(written == found, "the file was altered after it was written: its seal is broken")
    return document


def _read_data(path: str, label: str | None, model: Any, skip: bool = False) -> tuple[Array, Array]:
    """A CSV file with a header (labels: `label`, or that column, or the last), or X and y of an NPZ file.

    A model, if the certificate has one, tells the columns, and what is done to them. Rows in which a value is
    missing are left out if asked to `skip` them.
    """
    try:
        done = model and model["preprocessing"]
        label, features = label or (model and model["label"]), done and done["features"]
        if path.lower().endswith(".npz"):
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
                name = label or ("label" if "label" in archive and "y" not in archive else "y")
                X, labels = np.asarray(archive["X"], dtype=float), np.asarray(archive[name])
                X = X[:, [int(feature[1:]) - 1 for feature in features]] if features else X
                if skip:
                    known = (labels == labels).reshape(len(labels), -1).all(axis=1)
                    kept = known & ~np.isnan(X).any(axis=1)
                    X, labels = X[kept], labels[kept]
        else:
            with open(path, encoding="utf-8-sig", newline="") as text:
                sep = max(",;\t|", key=text.readline().count)
                text.seek(0)
                cells = csv.reader(text, strict=True, delimiter=sep)
                rows = [[cell.strip() for cell in row] for row in cells]
            table = [row for row in rows if row not in ([], [""])]
            _need(len(table) > 1, "it needs a line of column names and one of values at least", 2)
            header, *body = table
            header[0] = header[0].removeprefix("# ")
            column = header.index(label or ("label" if "label" in header else header[-1]))
            _need(len(set(header)) == len(header) == max(map(len, body)), "each column needs a name", 2)
            names = features or [name for name in header if name != header[column]]
            chosen, point = [header.index(name) for name in names], "," if sep == "," else "."
            full = []
            for i, row in enumerate(body, start=1):
                _need(len(row) == len(header), f"row {i} has {len(row)} values, not {len(header)}", 2)
                empty = [header[k] for k in chosen if row[k].lower() in MISSING]
                say = f"row {i} has no value in column {', '.join(empty)}: --skip-missing leaves it out"
                _need(skip or not empty, say, 2)
                full += [row] * (not skip or (row[column] != "" and not empty))
            labels = np.array([row[column] for row in full])
            X = np.array([[row[k].replace(",", point) for k in chosen] for row in full], dtype=float)
        with suppress(ValueError):
            labels = labels.astype(float)
        if done:
            X = X[:, done["kept"]]
            X = (X - np.array(done["mean"])) / np.array(done["scale"]) if done["standardized"] else X
            X = np.hstack([X, np.ones((len(X), 1))]) if done["bias"] else X
    except Exception as error:  # a damaged archive raises almost anything
        raise RefusedError(f"{path} cannot be read as data: {error}", 2) from error
    _need(
        X.ndim == 2 and np.isfinite(X).all() and labels.shape[:1] == X.shape[:1] != (0,), "misshapen data", 2
    )
    return X, labels


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code after printing one line.

    Parameters
    ----------
    arguments : list of str or None
        Those of the command line.

    Returns
    -------
    int
        0 holds, 1 does not hold, 2 unreadable, 130 interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m convexrelu.check", description="Check a certificate.")
    parser.add_argument("certificate", help="file written by `convexrelu solve --out` or `certify --out`")
    parser.add_argument("data", help="CSV or NPZ file")
    parser.add_argument("--label", help="label column (default: 'label' if present, else the last one)")
    parser.add_argument("--skip-missing", action="store_true", help="leave out rows with gaps")
    parser.add_argument("--exact", action="store_true", help="compute with rational numbers")
    options = parser.parse_args(arguments)
    try:
        document = _read_certificate(options.certificate)
        data = _read_data(options.data, options.label, document.get("model"), options.skip_missing)
        check_document(document, *data, exact=options.exact)
        parts = document.get("certificates", [document])
        prices = {f"C = {p['C']}" if "C" in p else f"beta = {p['beta']}, {p['loss']}" for p in parts}
        text = f"{document['lower_bound']} <= P* <= {document['objective']} at {', '.join(sorted(prices))}"
        text += ", the data prepared as the file says" * ("model" in document)
        code, text = 0, text + ", in rational arithmetic" * options.exact
    except RefusedError as error:
        code, text = error.code, " ".join(str(error).split())
    except KeyboardInterrupt:
        code, text = 130, "interrupted"
    (sys.stdout if code < 2 else sys.stderr).write(f"{VERDICTS[min(code, 2)]}: {text}\n")
    return code


if __name__ == "__main__":
    from convexrelu.check import main as run  # the module that check_losses knows, not a second one

    sys.exit(run())
