"""The part of the independent checker that knows losses: certificates of training with weight decay.

:mod:`convexrelu.check` calls it for certificates that name a loss. It needs that file and NumPy, and nothing
else of the package. What it verifies is, for a loss l of one output and weights s_n > 0,

    ``lower_bound <= P* = min sum_n s_n l(f(x_n), y_n) + beta/2 ||theta||^2 <= objective``.

The upper bound is the objective of the network as it stands. The lower one is weak duality: for t >= 0 with
``t h(lam) <= beta`` and t lam in the domain, ``P* >= -sum_n s_n l*(-t lam_n/s_n, y_n)``, less ``(t sum
lam)^2/(2 beta)`` where the output's constant has the price of a weight; where it has none, ``sum lam = 0`` is
needed, and ``X^T lam = 0`` where outputs have a linear part. Multipliers that miss their domain or these
equations by rounding are moved there, in rational numbers, and h(lam) grows by no more than
``sum_n |change of lam_n| ||x_n||``. A gated network ``sum_j 1[x^T g_j > 0] x^T u_j`` pays ``beta sum_j
||u_j||``, and has ``h(lam) = max_j ||sum_n 1[x_n^T g_j > 0] lam_n x_n||``: no proof is needed.

Losses of pieces are ``max_a (y - f) a - w |a| - q a^2/2`` over an interval of a, so that value and conjugate
are rational. Logarithms and exponentials are taken to 50 digits, and what that may lack is allowed for.
"""

from __future__ import annotations

import math
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from convexrelu.check import (
    SIGNS,
    RefusedError,
    _array,
    _integers,
    _need,
    _outputs,
    _root,
    correlation_bound,
    fingerprint,
)

__all__ = ["cancelled", "eliminated", "weight_decay_bounds", "whole_columns"]

Array = np.ndarray
_LABELLED = "logistic", "exponential", "hinge", "squared_hinge"
_CURVED = "logistic", "exponential", "poisson"
_DIGITS = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_ALLOWED = Fraction(1, 10**40)  # for logarithms of 50 digits, relative to what they are added to
_STEEPEST = 10_000  # exponentials of more are infinite, of less nothing: no float comes near them
_BITS = 110  # to which rational terms are rounded, outwards


def _up(q: Fraction) -> Fraction:
    """A number of few digits that is no smaller; sums of many denominators would become endless."""
    shift = _BITS - (q.numerator.bit_length() - q.denominator.bit_length())
    return Fraction(math.ceil(q * Fraction(2) ** shift)) / Fraction(2) ** shift if q else q


def _decimal(q: Fraction) -> Decimal:
    return _DIGITS.divide(Decimal(q.numerator), Decimal(q.denominator))


def _exp(q: Fraction) -> Fraction:
    """The exponential to 50 digits; a bound from above where it would have thousands of zeros."""
    return Fraction(_DIGITS.exp(_decimal(max(q, Fraction(-_STEEPEST)))))


def _x_log_x(q: Fraction) -> Fraction:
    return q * Fraction(_DIGITS.ln(_decimal(q))) if q > 0 else Fraction(0)


def _piece(name: str, given: Any, y: Fraction) -> tuple[Any, Any, Fraction, int]:
    """The interval of a, the width w and the bend q of a loss of pieces."""
    inf, side = math.inf, 0 if y > 0 else -1
    kinds: dict[str, tuple[Any, Any, Any, int]] = {
        "square": (-inf, inf, 0, 1),
        "absolute": (-1, 1, 0, 0),
        "hinge": (side, side + 1, 0, 0),
        "squared_hinge": (inf * side if side else 0, 0 if side else inf, 0, 1),
    }
    if name == "huber":
        kinds[name] = (-Fraction(given["delta"]), Fraction(given["delta"]), 0, 1)
    elif name == "quantile":
        kinds[name] = (Fraction(given["tau"]) - 1, Fraction(given["tau"]), 0, 0)
    elif name == "epsilon_insensitive":
        kinds[name] = (-1, 1, Fraction(given["epsilon"]), 0)
    _need(name in kinds, f"the loss {name!r} is not known here: `convexrelu check` recomputes it", 2)
    low, high, width, bend = kinds[name]
    _need(low <= 0 <= high and width >= 0, f"the parameters of the loss {name!r} are out of range")
    return low, high, Fraction(width), bend


def _domain(name: str, given: Any, y: Fraction) -> tuple[Any, Any]:
    """The interval of lam_n / s_n."""
    if name == "poisson":
        return -math.inf, y
    if name in _CURVED:
        most = 1 if name == "logistic" else math.inf
        return (0, most) if y > 0 else (-most, 0)
    return _piece(name, given, y)[:2]


def _value(name: str, given: Any, y: Fraction, f: Fraction) -> Any:
    """A bound from above on l(f, y)."""
    if name not in _CURVED:
        low, high, width, bend = _piece(name, given, y)
        rest = max(abs(y - f) - width, Fraction(0)) * (1 if y > f else -1)
        a = min(max(rest, low), high) if bend else (high if rest > 0 else low if rest < 0 else 0)
        return Fraction(rest * a - Fraction(bend) * a * a / 2)  # a may be an integer: no quotient of these
    q = f if name == "poisson" else -y * f
    if name == "logistic":
        value = max(q, Fraction(0)) + Fraction(_DIGITS.ln(1 + _decimal(_exp(-abs(q)))))
    elif q > _STEEPEST:
        return math.inf
    else:
        value = _exp(q) + (_x_log_x(y) - y - y * f if name == "poisson" else 0)
    size = 1 + abs(value) + (_exp(q) + abs(y * f) + y * y if name == "poisson" else 0)
    return _up(value + _ALLOWED * size)


def _conjugate(name: str, given: Any, y: Fraction, a: Fraction) -> Fraction:
    """A bound from above on l*(-a, y), a in the domain."""
    if name not in _CURVED:
        _, _, width, bend = _piece(name, given, y)
        return width * abs(a) + Fraction(bend) * a * a / 2 - y * a
    if name == "logistic":
        value = _x_log_x(y * a) + _x_log_x(1 - y * a)
    elif name == "exponential":
        value = _x_log_x(y * a) - y * a
    else:
        value = _x_log_x(y - a) - (y - a) - _x_log_x(y) + y
    return _up(value + _ALLOWED * (1 + abs(value) + y * y + a * a))


def _feasible(lam: list[Fraction], ends: list[tuple[Any, Any]], *, balanced: bool) -> list[Fraction]:
    """Multipliers in the domain; if `balanced`, they add up to zero."""
    moved = [min(max(value, low), high) for value, (low, high) in zip(lam, ends, strict=True)]
    total = sum(moved, Fraction(0)) if balanced else Fraction(0)
    rooms = [
        low - value if total > 0 else high - value for value, (low, high) in zip(moved, ends, strict=True)
    ]
    for n in sorted(range(len(moved)), key=lambda n: -abs(rooms[n])):
        step = max(-total, rooms[n]) if total > 0 else min(-total, rooms[n])
        moved[n], total = moved[n] + step, total + step
        if total == 0:
            break
    _need(total == 0, "the multipliers must add up to zero")
    return moved


def _without_part(lam: list[Fraction], ends: list[tuple[Any, Any]], columns: Array) -> list[Fraction]:
    """Multipliers that add up to zero with each column, in the domain or too large for it by a factor."""
    inside = [min(max(value, low), high) for value, (low, high) in zip(lam, ends, strict=True)]
    size = np.abs(np.array(inside, dtype=float))
    away = [min(value - low, high - value) for value, (low, high) in zip(inside, ends, strict=True)]
    for rooms in (np.minimum(size, np.array(away, dtype=float)), size):
        moved = cancelled(inside, rooms, columns)
        if moved is not None:
            return moved
    raise RefusedError("the multipliers must add up to zero with the columns of the linear part")


def cancelled(lam: list[Fraction], rooms: Array, columns: Array) -> list[Fraction] | None:
    """Return the multipliers that add up to zero with each column, moved in proportion to their rooms.

    Parameters
    ----------
    lam : list of n Fractions
        Multipliers.
    rooms : (n,) float array
        What they may move in proportion to, not negative.
    columns : (n, q) float array
        The columns, taken for the rational numbers that they are.

    Returns
    -------
    list of n Fractions, or None
        The multipliers; None if those with room cannot do it.
    """
    A, unit = whole_columns(columns), math.lcm(*(value.denominator for value in lam))
    whole = np.array([int(value * unit) for value in lam], dtype=object)
    weighted = _integers(rooms)[0][:, None] * A
    steps, one = eliminated(np.hstack([A.T @ weighted, (A.T @ whole)[:, None]]))
    moved = one * whole - weighted @ steps[:, 0]
    return None if (A.T @ moved).any() else [Fraction(value, one * unit) for value in moved]


def whole_columns(columns: Array) -> Array:
    """Return columns of integers that are multiples of these.

    Parameters
    ----------
    columns : (n, q) float array
        The columns.

    Returns
    -------
    (n, q) object array
        Integers.
    """
    whole = np.zeros(columns.shape, dtype=object)
    for j, column in enumerate(columns.T):
        whole[:, j] = _integers(column)[0]
    return whole


def eliminated(equations: Array) -> tuple[Array, int]:
    """Return a solution of equations in integers; what they leave open is zero, contradictions go unnoticed.

    Parameters
    ----------
    equations : (q, q + m) object array
        Integers: a matrix, and m right-hand sides.

    Returns
    -------
    (q, m) object array, int
        Numerators and their denominator, by elimination without fractions.
    """
    M, one = equations.copy(), 1
    pivots: list[int] = []
    for j in range(len(M)):
        k = len(pivots)
        found = np.flatnonzero(M[k:, j] != 0)
        if len(found):
            M[[k, k + found[0]]] = M[[k + found[0], k]]
            others = np.arange(len(M)) != k
            M[others] = (M[k, j] * M[others] - M[others, j, None] * M[k]) // one  # without a remainder
            one = M[k, j]
            pivots.append(j)
    solution = np.zeros((len(M), M.shape[1] - len(M)), dtype=object)
    solution[pivots] = M[: len(pivots), len(M) :]
    return solution, one


def _sum_of(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True) if x and y), Fraction(0))


def _fractions(values: Array) -> list[Fraction]:
    return list(map(Fraction, values.tolist()))


def _two_layers(network: Any, X: Array, exact: bool) -> tuple[Array, Array, Fraction, Fraction]:
    """The outputs of a ReLU network in some unit, by how much each may be off, and what it pays."""
    w2 = _array(network, "W2" if "W2" in network else "w2", 1)
    W1 = _array(network, "W1", 2) if len(w2) else np.zeros((0, X.shape[1]))
    squares = (Fraction(v) ** 2 for part in (W1, w2) for v in part.ravel().tolist())
    return *_outputs(X, W1, w2, exact), sum(squares, Fraction(0)) / 2


def _gated(network: Any, X: Array, gates: Array) -> tuple[Array, Array, Fraction, Fraction]:
    """As :func:`_two_layers`, exactly, for neurons whose gates are among those given."""
    shape = (len(network["U"]), X.shape[1])
    U, own = (np.array(network[key], dtype=float).reshape(shape) for key in ("U", "gates"))
    known = {tuple(gate) for gate in gates.tolist()}
    _need(all(tuple(gate) in known for gate in own.tolist()), "a gate is none of those of the problem")
    _need(np.isfinite(U).all(), "U must hold finite numbers", 2)
    (rows, row_bits), (weights, bits), (normals, _) = map(_integers, (X, U, own))
    f = ((rows @ normals.T > 0) * (rows @ weights.T)).sum(axis=1)
    size = sum((_root(Fraction(square, 4**bits)) for square in (weights**2).sum(axis=1)), Fraction(0))
    return f, 0 * f, Fraction(1, 1 << row_bits + bits), size


def _gated_norm(X: Array, lam: Array, gates: Array) -> Fraction:
    """The norm ``max_j ||sum_n 1[x_n^T g_j > 0] lam_n x_n||``."""
    (rows, row_bits), (weights, bits), (normals, _) = map(_integers, (X, lam, gates))
    pulls = (rows @ normals.T > 0).astype(int).astype(object).T @ (weights[:, None] * rows)
    return _root(Fraction(max((pulls**2).sum(axis=1)), 4 ** (row_bits + bits)))


def _factor(lam: list[Fraction], ends: list[tuple[Any, Any]], beta: Fraction, h: Any) -> Fraction:
    """What multipliers of dual norm h may be taken times, so that it is beta and they lie in the domain."""
    if h == math.inf:
        return Fraction(0)
    within = [
        high / value if value > high else low / value if value < low else 1
        for value, (low, high) in zip(lam, ends, strict=True)
    ]
    return Fraction(math.floor(min(1, *within, beta / h if h > beta else 1) * 2**60), 2**60)


def weight_decay_bounds(document: Any, X: Array, labels: Array, exact: bool) -> tuple[Any, Any]:
    """Return the bounds on P* that a certificate of training with weight decay proves.

    Parameters
    ----------
    document : dict
        The certificate as plain JSON values.
    X : (n, d) float array
        The data.
    labels : (n,) array
        Its targets; for losses of labels the larger of two is +1.
    exact : bool
        Whether to compute with integers only.

    Returns
    -------
    tuple of two Fractions, or floats where infinite
        The lower and the upper bound. Raises RefusedError, or what broken values raise, if the document is
        not about this data or this file does not know its kind of network.
    """
    name, given, bias, network = (document[key] for key in ("loss", "parameters", "output_bias", "network"))
    _need(document["proof"] is not None, "it holds no proof: `convexrelu check` repeats the search", 2)
    targets = labels
    if name in _LABELLED:
        values = np.unique(labels).tolist()
        _need(len(values) <= 2, "the loss takes two labels")
        targets = np.where(labels == (values[1] if len(values) > 1 else 1), 1.0, -1.0)
    _need(
        document["data"] == fingerprint(X, targets), "the certificate is about other data: checksums differ"
    )
    lam, s = _array(document, "lam", 1), _array(document, "weights", 1)
    gates = None if document["gates"] is None else _array(document, "gates", 2)
    beta = Fraction(document["beta"])
    _need(lam.shape == s.shape == targets.shape and (s > 0).all() and beta > 0, "lam, weights, beta misfit")
    y, weights = _fractions(targets), _fractions(s)
    _need(name != "poisson" or min(y) >= 0, "counts are not negative")
    # above
    constant = Fraction(network.get("output_bias", 0.0))
    _need(bias in (True, "penalised") or constant == 0, "an output bias is no part of the problem")
    skip = _array(network, "skip", 1) if document["skip"] and "skip" in network else np.zeros(X.shape[1])
    _need(document["skip"] or not np.any(network.get("skip", 0)), "a linear part is no part of the problem")
    _need(len(skip) == X.shape[1], "the linear part must have an entry for each column")
    free = _fractions(skip)
    linear = [_sum_of(_fractions(row), free) if skip.any() else Fraction(0) for row in X]
    f, slack, unit, size = _two_layers(network, X, exact) if gates is None else _gated(network, X, gates)
    upper: Any = beta * (size + (constant**2 / 2 if bias == "penalised" else 0))
    values = []
    for n in range(len(y)):
        middle, off = Fraction(f[n]) * unit + constant + linear[n], Fraction(slack[n]) * unit
        values.append(max(_value(name, given, y[n], end) for end in (middle - off, middle + off)))
    if math.inf in values:
        upper = math.inf
    else:
        upper += sum(_up(s_n * value) for s_n, value in zip(weights, values, strict=True))
    # below
    ends = [tuple(s_n * v for v in _domain(name, given, y_n)) for s_n, y_n in zip(weights, y, strict=True)]
    raw = _fractions(lam)
    if document["skip"]:
        moved = _without_part(raw, ends, np.column_stack([X, *[np.ones(len(X))] * (bias is True)]))
    else:
        moved = _feasible(raw, ends, balanced=bias is True)
    if gates is None:
        h = max(correlation_bound(X, lam, sign, document["proof"][sign], exact=exact) for sign in SIGNS)
    else:
        h = _gated_norm(X, lam, gates)
    for row, before, after in zip(X, raw, moved, strict=True):
        if before != after:
            h += _root(sum(Fraction(x) ** 2 for x in row.tolist())) * abs(after - before)
    t = _factor(moved, ends, beta, h)
    lower = -((t * sum(moved)) ** 2) / (2 * beta) if bias == "penalised" else Fraction(0)
    for n, s_n in enumerate(weights):
        lower -= _up(s_n * _conjugate(name, given, y[n], t * moved[n] / s_n))
    return max(lower, Fraction(0)), upper  # losses are not negative
