"""What floats say, in rational arithmetic: slow, short, and with nothing of the package in it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def rational(array: np.ndarray) -> list:
    if array.ndim == 1:
        return [Fraction(float(v)) for v in array]
    return [[Fraction(float(v)) for v in row] for row in array]


def dot(a: list, b: list) -> Fraction:
    return sum((x * z for x, z in zip(a, b, strict=True)), Fraction(0))


def correlation(X: np.ndarray, lam: np.ndarray, u: list) -> Fraction:
    """``lam^T (X u)_+``."""
    return sum(
        (w * max(dot(row, u), 0) for w, row in zip(rational(lam), rational(X), strict=True)), Fraction(0)
    )


def exceeds(X: np.ndarray, lam: np.ndarray, u: list, bound: float) -> bool:
    """Whether ``|lam^T (X u)_+| > bound ||u||``."""
    if np.isinf(bound):
        return False
    return correlation(X, lam, u) ** 2 > Fraction(bound) ** 2 * dot(u, u)


def directions(X: np.ndarray, lam: np.ndarray, rng: np.random.Generator) -> list[list]:
    """Directions in which a correlation is large: axes, rows, sums of weighted rows, steps beside kinks."""
    d = X.shape[1]
    axes = np.vstack([np.eye(d), -np.eye(d)])
    sizes = np.abs(X).max(axis=1, initial=0.0)
    rows = X[sizes > 0] / sizes[sizes > 0, None]
    found = [rational(u) for u in (*axes, *rows, *-rows, *rng.normal(size=(6, d)))]
    generators = [[w * a for a in row] for w, row in zip(rational(lam), rational(X), strict=True)]
    for _ in range(12):
        subset = [g for g in generators if rng.random() < 0.5]
        total = [sum((g[c] for g in subset), Fraction(0)) for c in range(d)]
        for sign in (1, -1):
            found.append([sign * c for c in total])
    for u in list(found[:8]):  # climb: the sum of the active generators is the gradient
        for sign in (1, -1):
            step = u
            for _ in range(3):
                active = [g for g, row in zip(generators, rational(X), strict=True) if dot(row, step) > 0]
                step = [sign * sum((g[c] for g in active), Fraction(0)) for c in range(d)]
                found.append(step)
    return [u for u in found if any(u)]


def margins(X: np.ndarray, y: np.ndarray, W1: np.ndarray, w2: np.ndarray) -> list[Fraction]:
    neurons = list(zip(rational(W1), rational(w2), strict=True))
    return [
        int(label) * sum((w * max(dot(row, w1), 0) for w1, w in neurons), Fraction(0))
        for row, label in zip(rational(X), y, strict=True)
    ]


def objective(X: np.ndarray, y: np.ndarray, W1: np.ndarray, w2: np.ndarray, C: float) -> Fraction | None:
    """The objective of a network's best rescaling, an upper bound on P*; None where it is infinite."""
    half = sum((v**2 for v in (*(a for row in rational(W1) for a in row), *rational(w2))), Fraction(0)) / 2
    values = margins(X, y, W1, w2)
    if np.isinf(C):
        return half / min(values) if min(values) > 0 else None
    price = Fraction(C)
    scales = [Fraction(0), *(1 / v for v in values if v > 0)]
    return min(a * half + price * sum((max(1 - a * v, 0) for v in values), Fraction(0)) for a in scales)
