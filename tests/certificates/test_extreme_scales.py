"""Bounds against rational arithmetic, at scales where squares overflow or vanish."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from convexrelu import TwoLayerReLU, check_kkt
from convexrelu.certificates import certify
from convexrelu.certificates.bounds import (
    bound,
    dual_scale,
    lower_bound,
    margins,
    relative_gap,
    upper_bound,
)
from convexrelu.oracle import dual_norm

EXTREMES = [0, -1074, -540, -330, -100, 100, 330, 510, 1000]


def rational(array):
    return [[Fraction(float(v)) for v in row] for row in np.atleast_2d(array)]


def exact_margins(X, y, network):
    neurons = list(zip(rational(network.W1), map(Fraction, map(float, network.w2)), strict=True))
    values = []
    for row, label in zip(rational(X), y, strict=True):
        heights = (w2 * max(sum(a * b for a, b in zip(row, w1, strict=True)), 0) for w1, w2 in neurons)
        values.append(int(label) * sum(heights, Fraction(0)))
    return values


def exact_half(network):
    entries = [*network.W1.ravel(), *network.w2]
    return sum((Fraction(float(v)) ** 2 for v in entries), Fraction(0)) / 2


def exact_objective(X, y, network, C):
    """The best rescaling's objective as a fraction, None where it is infinite."""
    half, values = exact_half(network), exact_margins(X, y, network)
    if C is None:
        return half / min(values) if min(values) > 0 else None
    scales = [Fraction(0), *(1 / v for v in values if v > 0)]
    return min(a * half + C * sum((max(1 - a * v, 0) for v in values), Fraction(0)) for a in scales)


def problem(rng, exponents):
    n, d, m = rng.integers(1, 6), rng.integers(1, 4), rng.integers(1, 5)
    X, W1, w2 = rng.normal(size=(n, d)), rng.normal(size=(m, d)), rng.normal(size=m)
    if rng.random() < 0.5:  # fitted: one neuron along the mean, which sees every row
        X = np.abs(X)
        W1[0], w2 = np.abs(W1[0]), np.abs(w2)
        y = np.ones(n)
    else:
        y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    shifts = rng.choice(exponents, size=3)
    with np.errstate(over="ignore", under="ignore"):
        X, W1, w2 = (np.ldexp(a, k) for a, k in zip((X, W1, w2), shifts, strict=True))
    if not all(np.isfinite(a).all() for a in (X, W1, w2)):
        return problem(rng, exponents)
    return X, y, TwoLayerReLU(W1, w2)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("exponents", [[0], [-3, 3, 40], EXTREMES])
def test_no_objective_is_below_the_exact_one(soft, exponents):
    """WP (13) at the best scale, in rationals: never below, and not far above where it is a float."""
    rng = np.random.default_rng(3)
    tight = 0
    for _ in range(300):
        X, y, network = problem(rng, exponents)
        C = Fraction(float(10 ** rng.uniform(-3, 3))) if soft else None
        value = upper_bound(X, y, network, float(C) if soft else np.inf)
        exact = exact_objective(X, y, network, C)
        assert value > 0
        if exact is None:
            assert value == np.inf
        elif value < np.inf:
            assert Fraction(value) >= exact
            tight += Fraction(value) <= exact * (1 + Fraction(1, 10**9))
    assert tight > 50


def test_the_soft_objective_of_the_zero_network_is_not_below_c_times_n():
    """P* = C n for a small C: one ulp below it was claimed in a quarter of the runs."""
    rng = np.random.default_rng(0)
    for _ in range(400):
        n, C = int(rng.integers(1, 40)), float(rng.exponential())
        X, y = rng.normal(size=(n, 2)), np.where(rng.random(n) < 0.5, 1.0, -1.0)
        exact = n * Fraction(C)
        zero = upper_bound(X, y, TwoLayerReLU(np.zeros((0, 2)), np.zeros(0)), C)
        assert exact <= Fraction(zero) <= exact * (1 + Fraction(1, 10**12))


@pytest.mark.parametrize("exponents", [[0], EXTREMES])
def test_no_lower_bound_is_above_the_exact_quotient(exponents):
    rng = np.random.default_rng(5)
    for _ in range(400):
        n = int(rng.integers(1, 6))
        y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
        with np.errstate(over="ignore"):
            lam = y * np.abs(np.ldexp(rng.normal(size=n), rng.choice(exponents, size=n)))
            norm = float(np.ldexp(rng.exponential(), rng.choice(exponents)))
        if not (np.isfinite(lam).all() and 0 < norm < np.inf):
            continue
        C = float(rng.choice([np.inf, 1.0, 1e-200]))
        value = lower_bound(y, lam, norm, C)
        scale = max(Fraction(norm), 0 if np.isinf(C) else Fraction(float(np.abs(lam).max())) / Fraction(C))
        exact = sum(map(Fraction, map(float, np.abs(lam))), Fraction(0)) / scale
        assert 0 <= value < np.inf
        assert Fraction(value) <= exact


def test_divided_by_its_scale_a_multiplier_keeps_the_cap():
    rng = np.random.default_rng(6)
    for _ in range(2000):
        y = np.array([1.0, -1.0])
        lam, C = y * rng.exponential(size=2), float(rng.exponential())
        assert (y * (lam * (1.0 / dual_scale(y, lam, 0.0, C))) <= C).all()


@pytest.mark.parametrize("objective", [0.0, np.nan, np.inf])
def test_an_objective_that_proves_nothing_has_an_infinite_gap(objective):
    assert relative_gap(objective, 0.0) == np.inf


def test_margins_of_any_scale_are_never_nan():
    X, y = np.array([[1e300, -1e300], [1e-300, 1e300]]), np.array([1.0, -1.0])
    network = TwoLayerReLU([[1e300, 1e300], [1e300, -1e300]], [1e300, -1e300])
    assert not np.isnan(margins(X, y, network)).any()
    zero = TwoLayerReLU([[1e-300, 1e-300]], [1e-300])
    assert (np.abs(margins(X, y, zero)) < 1e-250).all()


@pytest.mark.parametrize("size", [1e-310, 1e-163, 1e-100, 1e100, 1e155, 1e300])
@pytest.mark.parametrize("scale", [1e-290, 1e-150, 1.0, 1e150, 1e290])
def test_a_network_of_any_size_proves_its_own_optimality(size, scale):
    """WP section 3.1: e_1 and -e_2 have P* = 2 over their length."""
    X, y = scale * np.eye(2), np.array([1.0, -1.0])
    network = TwoLayerReLU(size * np.eye(2), [size, -size])
    certificate = certify(X, y, network)
    exact = 2 / Fraction(scale)
    assert Fraction(certificate.lower_bound) <= exact <= Fraction(certificate.objective)
    assert certificate.globally_optimal
    assert certificate.stationarity < 1e-9
    assert certificate.check(X, y)


def test_weights_that_over_and_underflow_prove_no_optimality():
    X, y = np.array([[-2.0], [-1.0], [4.0]]), np.array([1.0, 1.0, -1.0])
    certificate = certify(X, y, TwoLayerReLU([[1e155]], [5e-50]), C=1.0)
    assert certificate.objective == pytest.approx(3.0)
    assert not certificate.globally_optimal
    rows = 1e6 * np.eye(2)
    tiny = certify(rows, [1.0, -1.0], TwoLayerReLU(1e-163 * np.eye(2), [1e-163, 1e-163]))
    assert tiny.objective == np.inf
    assert not tiny.globally_optimal


@pytest.mark.parametrize("exponent", [-400, 0, 400])
def test_residuals_do_not_depend_on_the_scale(exponent):
    rng = np.random.default_rng(2)
    X, y = np.abs(rng.normal(size=(4, 3))), np.ones(4)
    network, lam = TwoLayerReLU(np.abs(rng.normal(size=(2, 3))), [1.0, 2.0]), rng.exponential(size=4)
    scaled, weights = np.ldexp(X, exponent), np.ldexp(lam, -exponent)
    report, base = check_kkt(scaled, y, network, weights), check_kkt(X, y, network, lam)
    for name in ("stationarity", "stationarity_b", "complementarity", "convex_stationarity"):
        assert getattr(report, name) == getattr(base, name)
    assert report.objective == np.ldexp(base.objective, -exponent)


def test_bounds_of_the_zero_rows_alone():
    """h(lam) is 0 and the cap bounds: P* = C n."""
    X, y = np.zeros((3, 2)), np.array([1.0, -1.0, 1.0])
    lam = 0.5 * y
    proven = bound(X, y, TwoLayerReLU(np.zeros((0, 2)), np.zeros(0)), lam, dual_norm(X, lam), 0.5)
    assert 1.5 * (1 - 1e-14) <= proven.lower_bound <= 1.5 <= proven.objective <= 1.5 * (1 + 1e-14)


def test_multipliers_that_cannot_be_scaled_to_feasibility_stay_as_they_are():
    """Rows of subnormal numbers: one over h(lam) is no float, and the bound on P* is the same without it."""
    X, y = np.array([[5e-320, 0.0], [0.0, 5e-320]]), np.array([1.0, -1.0])
    certificate = certify(X, y, TwoLayerReLU(np.eye(2), [1.0, -1.0]))
    assert 0 < certificate.dual_feasibility < 1e-300
    assert np.abs(certificate.lam).max() == pytest.approx(1.0)
    assert certificate.check(X, y)
