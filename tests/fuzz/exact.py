"""What floats say, in whole numbers: slow, short, and with nothing of the package in it.

Floats are whole numbers over a power of two, and directions of any length serve: correlations are compared
without a quotient.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np


def whole(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Whole numbers and b: the floats are these over 2^b."""
    ratios = [float(v).as_integer_ratio() for v in np.ravel(array)]
    bits = max((below.bit_length() - 1 for _, below in ratios), default=0)
    numbers = np.array([(n << bits) // below for n, below in ratios], dtype=object)
    return numbers.reshape(np.shape(array)), bits


class Correlation:
    """``u -> lam^T (X u)_+`` at whole directions, in units of 2^-bits."""

    def __init__(self, X: np.ndarray, lam: np.ndarray) -> None:
        (self.rows, row_bits), (self.lam, lam_bits) = whole(X), whole(lam)
        self.bits = row_bits + lam_bits

    def at(self, u: np.ndarray) -> int:
        return int(self.lam @ np.maximum(self.rows @ u, 0))

    def exceeds(self, bound: float, u: np.ndarray) -> bool:
        """Whether ``|lam^T (X u)_+| > bound ||u||``."""
        if np.isinf(bound):
            return False
        top, below = float(bound).as_integer_ratio()
        return (self.at(u) * below) ** 2 > (top << self.bits) ** 2 * int(u @ u)

    def directions(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Where a correlation is large: axes, rows, sums of weighted rows, steps beside kinks."""
        d = self.rows.shape[1]
        axes = np.vstack([np.eye(d, dtype=int), -np.eye(d, dtype=int)]).astype(object)
        rows = self.rows[(self.rows != 0).any(axis=1)]
        found = [*axes, *rows, *-rows, *whole(rng.normal(size=(6, d)))[0]]
        generators = self.lam[:, None] * self.rows
        for _ in range(12):
            total = generators[rng.random(len(generators)) < 0.5].sum(axis=0)
            found += [total, -total]
        for start in found[:8]:  # climb: the sum of the active generators is the gradient
            for sign in (1, -1):
                step = start
                for _ in range(3):
                    step = sign * generators[(self.rows @ step) > 0].sum(axis=0)
                    found.append(step)
        return [u for u in found if np.shape(u) == (d,) and u.any()]


def margins(X: np.ndarray, y: np.ndarray, W1: np.ndarray, w2: np.ndarray) -> list[Fraction]:
    (rows, a), (first, b), (second, c) = whole(X), whole(W1), whole(w2)
    outputs = np.maximum(rows @ first.T, 0) @ second if len(w2) else np.zeros(len(X), int).astype(object)
    return [Fraction(int(label) * int(f), 1 << a + b + c) for label, f in zip(y, outputs, strict=True)]


def regularized(
    X: np.ndarray, W1: np.ndarray, w2: np.ndarray, beta: float, value: Callable[[int, Fraction], Fraction]
) -> Fraction:
    """``sum_n value(n, f(x_n)) + beta/2 ||theta||^2`` of a network."""
    outputs = margins(X, np.ones(len(X)), W1, w2)
    decay = sum((Fraction(int((v**2).sum()), 4**b) for v, b in (whole(W1), whole(w2))), Fraction(0))
    return sum((value(n, f) for n, f in enumerate(outputs)), Fraction(beta) / 2 * decay)


def objective(X: np.ndarray, y: np.ndarray, W1: np.ndarray, w2: np.ndarray, C: float) -> Fraction | None:
    """The objective of a network's best rescaling, an upper bound on P*; None where it is infinite."""
    half = sum((Fraction(int((v**2).sum()), 4**b) for v, b in (whole(W1), whole(w2))), Fraction(0)) / 2
    values = margins(X, y, W1, w2)
    if np.isinf(C):
        return half / min(values) if min(values) > 0 else None
    price = Fraction(C)
    scales = [Fraction(0), *(1 / v for v in values if v > 0)]
    return min(a * half + price * sum((max(1 - a * v, 0) for v in values), Fraction(0)) for a in scales)
