"""Weights that cancel but for what parallel rows differ by, below the tolerances of rank and angle."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from convexrelu import TwoLayerReLU, maximize_correlation
from convexrelu.certificates import certify
from convexrelu.oracle import dual_norm
from convexrelu.oracle.relaxation import Relaxation, relaxed_norm

SCALES = [1e-9, 1e-10, 1e-11, 1e-12, 3e-13, 1e-13, 1e-14, 1e-15]


def correlation(X, lam, u):
    """``lam^T (X u)_+`` in rational arithmetic."""
    heights = [sum(Fraction(float(a)) * b for a, b in zip(row, u, strict=True)) for row in X]
    return sum((Fraction(float(w)) * max(h, 0) for w, h in zip(lam, heights, strict=True)), Fraction(0))


def unit_directions(d, rng):
    """Rational unit vectors: the axes, and (p, q)/r of Pythagorean triples in random planes."""
    for k in range(d):
        for sign in (1, -1):
            yield [Fraction(sign) if c == k else Fraction(0) for c in range(d)]
    for p, q, r in [(3, 4, 5), (5, 12, 13), (-8, 15, 17), (20, -21, 29)]:
        i, j = rng.choice(d, size=2, replace=False)
        yield [Fraction(p, r) if c == i else Fraction(q, r) if c == j else Fraction(0) for c in range(d)]


@pytest.mark.parametrize("delta", SCALES)
def test_no_direction_exceeds_the_bound(delta):
    """Rows along a few directions, apart by multiples of delta; integer weights that sum to zero on each."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        d, lines = int(rng.integers(2, 4)), int(rng.integers(1, 4))
        directions = rng.integers(-2, 3, size=(lines, d)).astype(float)
        directions[~directions.any(axis=1), 0] = 1.0
        X = np.repeat(directions, 3, axis=0) + delta * rng.integers(-2, 3, size=(3 * lines, d))
        lam = np.tile([1.0, 1.0, -2.0], lines) * np.repeat(rng.integers(1, 4, size=lines), 3)
        norm = dual_norm(X, lam)
        relaxed = relaxed_norm(X, lam, Relaxation())
        for u in unit_directions(d, rng):
            value = abs(correlation(X, lam, u))
            assert value <= Fraction(norm.upper_bound)
            assert value <= Fraction(relaxed.upper_bound)


@pytest.mark.parametrize("delta", SCALES)
def test_the_bound_is_not_much_more_than_what_cancelled(delta):
    """``h(lam) >= delta`` for (1, delta) + (1, -delta) - 2 (1, 0), and at most twice that; then rounding."""
    X, lam = np.array([[1.0, delta], [1.0, -delta], [1.0, 0.0]]), np.array([1.0, 1.0, -2.0])
    assert delta <= maximize_correlation(X, lam).upper_bound <= 5 * delta + 1e-13


def test_default_multipliers_claim_no_more_than_what_a_network_attains():
    """Two neurons along the second axis, and one along the first, fit all labels."""
    X, y = np.array([[1.0, 1e-12], [1.0, -1e-12], [2.0, 0.0]]), np.array([1.0, 1.0, -1.0])
    network = TwoLayerReLU.from_directions([[0.5, 1.5e12], [0.5, -1.5e12], [1.5, 0.0]], [1, 1, -1])
    values = [Fraction(0)] * 3
    for u, sign in zip(network.u, network.signs, strict=True):
        for n, row in enumerate(X):
            height = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(row, u, strict=True))
            values[n] += int(sign) * max(height, 0)
    margin = min(int(label) * value for label, value in zip(y, values, strict=True))
    certificate = certify(X, y, network)
    exact = sum(Fraction(float(w)) ** 2 for w in [*network.W1.ravel(), *network.w2]) / 2 / margin
    assert certificate.lower_bound > 0
    assert Fraction(certificate.lower_bound) <= exact
