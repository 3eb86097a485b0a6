"""The part of the independent checker that knows several outputs, which share their neurons.

:mod:`convexrelu.check` calls it for certificates of K outputs. With multipliers Lam (n, K), a row for each
sample, weak duality is that of one output (:mod:`convexrelu.check_losses`), and needs ``h(Lam) =
max_{||u||<=1} ||Lam^T (X u)_+|| <= beta``. The scalar correlation of the multipliers Lam w, ``g(w) = h(Lam
w)``, is a norm of w in R^K: convex, homogeneous and even. So on a cone with corners w_k, ``g(sum_k a_k w_k)
<= sum_k a_k g(w_k)`` for a >= 0, and if ``s^T w_k`` is no less than g(w_k) at every corner, ``g(w) <= ||s||``
for all unit w of the cone. The largest g of a unit w is h(Lam).

A proof holds K independent vectors, whose orthants cover the space up to sign, how these are halved at edges,
and for each corner a proof of g there, of a kind that :mod:`convexrelu.check` knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, combinations, product
from typing import Any

import numpy as np

from convexrelu.check import (
    EPS,
    SIGNS,
    _array,
    _bits,
    _integers,
    _need,
    _outputs,
    _root,
    correlation_bound,
    fingerprint,
)
from convexrelu.check_losses import (
    _ALLOWED,
    _DIGITS,
    _decimal,
    _exp,
    _factor,
    _fractions,
    _sum_of,
    _up,
    _x_log_x,
    cancelled,
    eliminated,
)

__all__ = ["Corners", "halves", "orthants", "output_bound", "output_bounds"]

Array = np.ndarray


def orthants(basis: Array) -> Iterator[Array]:
    """Yield the orthants of K vectors, up to sign: K corners each, one a row.

    Parameters
    ----------
    basis : (K, K) object array
        Integers.

    Yields
    ------
    (K, K) object array
        Corners.
    """
    for signs in product((1, -1), repeat=len(basis) - 1):
        yield np.array((1, *signs), dtype=object)[:, None] * basis


def halves(cone: Array, edge: int) -> tuple[Array, Array]:
    """Return the two parts of a cone that is cut in the middle of an edge.

    Parameters
    ----------
    cone : (K, K) object array
        Corners.
    edge : int
        Counted from 1: (0, 1), (0, 2), ..., (K-2, K-1).

    Returns
    -------
    tuple of two (K, K) object arrays
        Without the first end of the edge, and without the second.
    """
    a, b = list(combinations(range(len(cone)), 2))[edge - 1]
    lengths = _bits(np.abs(cone[[a, b]]).sum(axis=1))
    middle = (cone[[a, b]] << (lengths.max() - lengths)[:, None]).sum(axis=0)  # of about one length
    first, second = cone.copy(), cone.copy()
    first[a] = second[b] = middle
    return first, second


class Corners:
    """Bounds on g at corners.

    Parameters
    ----------
    X : (n, d) float array
        The data.
    Lam : (n, K) float array
        Multipliers.
    """

    def __init__(self, X: Array, Lam: Array) -> None:
        self.X, (self.whole, self.bits) = X, _integers(Lam)
        self.size = np.linalg.norm(X, axis=1)
        self.known: dict[tuple[int, ...], Fraction] = {}

    def weights(self, corner: Array) -> tuple[Array, int]:
        """Return the multipliers ``Lam w`` at a corner over a power of two, each to one rounding, and that.

        Parameters
        ----------
        corner : (K,) object array
            Integers.

        Returns
        -------
        (n,) float array, int
            Multipliers, and the power.
        """
        power = int(_bits(corner).max())
        one = 1 << power + self.bits
        return np.array([value / one for value in self.whole @ corner], dtype=float), power

    def learn(self, corner: Array, proof: Any, *, exact: bool) -> None:
        """Evaluate the proof of a bound on g at a corner.

        Parameters
        ----------
        corner : (K,) object array
            Integers.
        proof : dict
            What proves the correlation with the multipliers there, and with minus these.
        exact : bool
            Whether to compute with integers only.
        """
        lam, power = self.weights(corner)
        bound = max(correlation_bound(self.X, lam, sign, proof[sign], exact=exact) for sign in SIGNS)
        _need(bound < math.inf, "a corner lacks a proof")
        rounding = float(np.abs(lam) @ self.size) * EPS
        if (self.whole @ corner).any():
            rounding += float(self.size.sum()) * 2.0**-1000  # what is too small for a float
        self.known[tuple(corner)] = (bound + Fraction(rounding)) * (1 << power)

    def top(self, cone: Array) -> Fraction:
        """Return the bound on g at all unit vectors of a cone whose corners are known.

        Parameters
        ----------
        cone : (K, K) object array
            Corners.

        Returns
        -------
        Fraction
            The length of s.
        """
        heights = [self.known[tuple(corner)] for corner in cone]
        unit = math.lcm(*(height.denominator for height in heights))
        whole = np.array([int(height * unit) for height in heights], dtype=object)
        s, one = eliminated(np.hstack([cone, whole[:, None]]))
        return _root(Fraction(sum(value**2 for value in s[:, 0]), (one * unit) ** 2))


def output_bound(X: Array, Lam: Array, proof: Any, *, exact: bool = False) -> Fraction:
    """Return the bound on ``max_{||u||<=1} ||Lam^T (X u)_+||`` that a proof proves.

    Parameters
    ----------
    X : (n, d) float array
        The data.
    Lam : (n, K) float array
        Multipliers.
    proof : dict
        Plain JSON values.
    exact : bool, default False
        Whether to compute with integers only.

    Returns
    -------
    Fraction
        The bound. Raises RefusedError, or what broken values raise, if the proof is none.
    """
    _need(proof["kind"] == "outputs", "the proof of several outputs is of another kind")
    basis, _ = _integers(_array(proof, "basis", 2))
    K, corners, splits = Lam.shape[1], Corners(X, Lam), iter(proof["split"])
    _need(basis.shape == (K, K) and len(proof["split"]) >= 2 ** (K - 1), "a tree of outputs is malformed")
    one = np.eye(K, dtype=int).astype(object)
    inverse, unit = eliminated(np.hstack([basis, one]))
    _need((basis @ inverse == unit * one).all(), "the vectors of a tree of outputs depend on each other")
    given, worst = iter(proof["corners"]), Fraction(0)
    for root in orthants(basis):
        work = [root]
        while work:
            cone, edge = work.pop(), next(splits, None)
            for corner in cone:
                if tuple(corner) not in corners.known:
                    corners.learn(corner, next(given, None), exact=exact)
            _need(edge is not None, "a tree of outputs is malformed")
            if edge:
                work.extend(reversed(halves(cone, edge)))
            else:
                worst = max(worst, corners.top(cone))
    return worst


def _value(name: str, y: list[Fraction], f: list[Fraction], off: list[Fraction]) -> Fraction:
    """A bound from above on l(f, y), every output known to within `off`."""
    if name == "multi_squared":
        return _up(sum(((abs(b - a) + c) ** 2 for a, b, c in zip(f, y, off, strict=True)), Fraction(0)) / 2)
    top = max(f)
    total = sum((_exp(each - top) for each in f), Fraction(0))
    value = top + Fraction(_DIGITS.ln(_decimal(total))) - _sum_of(y, f)
    return _up(value + 2 * max(off) + _ALLOWED * (len(f) + abs(top) + abs(value)))  # its slopes add up to 2


def _conjugate(name: str, y: list[Fraction], a: list[Fraction]) -> Fraction:
    """A bound from above on l*(-a, y), a in the domain."""
    if name == "multi_squared":
        return sum((v * v / 2 - b * v for b, v in zip(y, a, strict=True)), Fraction(0))
    value = sum((_x_log_x(b - v) for b, v in zip(y, a, strict=True)), Fraction(0))
    return value + _ALLOWED * (1 + len(y))


def _in_domain(name: str, lam: list[Fraction], y: list[Fraction], s: Fraction) -> list[Fraction]:
    """The multipliers of a sample; for softmax ``y - lam/s`` becomes a distribution."""
    if name == "multi_squared":
        return lam
    moved = [min(max(value, s * (b - 1)), s * b) for value, b in zip(lam, y, strict=True)]
    k = max(range(len(y)), key=lambda k: s * y[k] - moved[k])
    moved[k] -= sum(moved, Fraction(0))
    _need(s * (y[k] - 1) <= moved[k] <= s * y[k], "lam must lie in the domain of the loss's conjugate")
    return moved


def _without_part(
    rows: list[list[Fraction]], ends: list[list[tuple[Any, Any]]], columns: Array
) -> list[list[Fraction]]:
    """Multipliers that add up to zero with each column; a sample's keep their sum."""
    size = [min(abs(value) for value in row) for row in rows]
    away = [
        min(min(value - low, high - value) for value, (low, high) in zip(row, own, strict=True))
        for row, own in zip(rows, ends, strict=True)
    ]
    for rooms in ([min(a, b) for a, b in zip(size, away, strict=True)], size, [Fraction(1)] * len(rows)):
        room = np.array(rooms, dtype=float)
        found = [cancelled(list(column), room, columns) for column in zip(*rows, strict=True)]
        if None not in found:
            return [list(row) for row in zip(*(column or [] for column in found), strict=True)]
    _need(condition=False, reason="the multipliers must add up to zero with the columns of the linear part")
    return rows


def output_bounds(document: Any, X: Array, labels: Array, exact: bool) -> tuple[Any, Any]:
    """Return the bounds on P* that a certificate of K outputs proves.

    Parameters
    ----------
    document : dict
        The certificate as plain JSON values.
    X : (n, d) float array
        The data.
    labels : (n,) or (n, K) array
        Its classes, or its targets.
    exact : bool
        Whether to compute with integers only.

    Returns
    -------
    tuple of two Fractions
        The lower and the upper bound. Raises RefusedError, or what broken values raise, if the document is
        not about this data.
    """
    name, bias, network = document["loss"], document["output_bias"], document["network"]
    _need(name in ("multi_squared", "softmax") and document["gates"] is None, "its loss is not known here", 2)
    _need(document["proof"] is not None, "it holds no proof: `convexrelu check` repeats the search", 2)
    classes = name == "softmax" and labels.ndim == 1
    Y = (labels[:, None] == np.unique(labels)).astype(float) if classes else np.array(labels, dtype=float)
    _need(Y.ndim == 2, "several outputs need a target for each", 2)
    same = document["data"] == fingerprint(np.hstack([X, Y]), Y[:, 0])
    _need(same, "the certificate is about other data: checksums differ")
    (n, d), K, beta = X.shape, Y.shape[1], Fraction(document["beta"])
    Lam, s = _array(document, "lam", 2), _array(document, "weights", 1)
    _need(
        Lam.shape == Y.shape and s.shape == (n,) and (s > 0).all() and beta > 0, "lam, weights, beta misfit"
    )
    targets, weights = [_fractions(row) for row in Y], _fractions(s)
    known = all(min(row) >= 0 and sum(row) == 1 for row in targets)
    _need(known or name != "softmax", "targets must be distributions")
    # above
    W2, b, skip = _array(network, "W2", 2), _array(network, "output_bias", 1), _array(network, "skip", 2)
    W1 = _array(network, "W1", 2) if W2.shape[1] else np.zeros((0, d))
    _need(len(W2) == len(b) == len(skip) == K and skip.shape[1] == d, "the network has other outputs")
    _need(bias in (True, "penalised") or not b.any(), "an output bias is no part of the problem")
    _need(document["skip"] or not skip.any(), "a linear part is no part of the problem")
    found = [_outputs(X, W1, row, exact) for row in W2]
    constants = _fractions(b)
    linear = [
        [_sum_of(_fractions(row), _fractions(own)) if own.any() else Fraction(0) for own in skip] for row in X
    ]
    squares = [Fraction(v) ** 2 for part in (W1, W2) for v in part.ravel().tolist()]
    squares += [v**2 for v in constants] if bias == "penalised" else []
    upper = beta * sum(squares, Fraction(0)) / 2
    for i, (y, s_n) in enumerate(zip(targets, weights, strict=True)):
        f = [Fraction(found[k][0][i]) * found[k][2] + constants[k] + linear[i][k] for k in range(K)]
        off = [Fraction(found[k][1][i]) * found[k][2] for k in range(K)]
        upper += s_n * _value(name, y, f, off)
    # below
    raw = [_fractions(row) for row in Lam]
    moved = [_in_domain(name, *each) for each in zip(raw, targets, weights, strict=True)]
    free = name == "multi_squared"
    ends = [
        [(-math.inf, math.inf) if free else (s_n * (v - 1), s_n * v) for v in y]
        for y, s_n in zip(targets, weights, strict=True)
    ]
    columns = np.column_stack([X if document["skip"] else X[:, :0], *[np.ones(n)] * (bias is True)])
    if columns.shape[1]:
        moved = _without_part(moved, ends, columns)
    h: Any = output_bound(X, Lam, document["proof"], exact=exact)
    for row, before, after in zip(X, raw, moved, strict=True):
        if before != after:
            change = sum(((p - q) ** 2 for p, q in zip(before, after, strict=True)), Fraction(0))
            h += _root(sum(Fraction(x) ** 2 for x in row.tolist())) * _root(change)
    t = _factor(list(chain(*moved)), list(chain(*ends)), beta, h)
    lower = Fraction(0)
    if bias == "penalised":
        sums = [sum(column, Fraction(0)) for column in zip(*moved, strict=True)]
        lower -= t * t * sum(v * v for v in sums) / (2 * beta)
    for y, row, s_n in zip(targets, moved, weights, strict=True):
        lower -= _up(s_n * _conjugate(name, y, [t * value / s_n for value in row]))
    return max(lower, Fraction(0)), upper  # losses are not negative
