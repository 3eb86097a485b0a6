from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from tolerances import ROUNDING

from convexrelu import InfeasibleError, solve_max_margin
from convexrelu.solvers import check_feasible
from convexrelu.solvers.feasibility import least_vector

TRIPLE = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]], dtype=float)
TRIPLE_LABELS = np.array([1, -1, 1, -1, -1, 1])


def refused(X, y, **options):
    """The error, after checking that its Farkas vector proves what it says (docs/theory.md section 2)."""
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    with pytest.raises(InfeasibleError) as caught:
        solve_max_margin(X, y, **options)
    error = caught.value
    assert (y * error.farkas >= 0).all()
    assert y @ error.farkas > 0
    rng = np.random.default_rng(0)
    U = np.vstack([rng.normal(size=(2000, X.shape[1])), X, -X])
    sizes = np.linalg.norm(U, axis=1) * (np.abs(error.farkas) @ np.linalg.norm(X, axis=1))
    assert (np.abs(np.maximum(U @ X.T, 0) @ error.farkas) <= 1e-11 * sizes).all()
    for u in [*np.eye(X.shape[1]), *-np.eye(X.shape[1])]:  # exactly, along the axes
        heights = [
            sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(row, u, strict=True)) for row in X
        ]
        value = sum(Fraction(float(w)) * max(h, 0) for w, h in zip(error.farkas, heights, strict=True))
        assert abs(value) <= Fraction(error.residual)
    assert error.residual <= 1e-10 * (np.abs(error.farkas) @ np.linalg.norm(X, axis=1))
    np.testing.assert_array_equal(np.sort(error.rows), np.flatnonzero(error.farkas))
    return error


@pytest.mark.parametrize("method", ["auto", "program"])
def test_a_zero_row(method):
    error = refused([[1, 0], [0, 0], [0, 1]], [1, -1, -1], method=method)
    np.testing.assert_array_equal(error.rows, [1])
    assert "zero row" in str(error)
    assert "1" in str(error)


def test_the_proof_says_within_what_it_holds():
    """The third row lies between the first two: at 1e-12 they count as one ray, and 4e12 fits them."""
    error = refused([[1, 1e-12], [1, -1e-12], [2, 0]], [1, 1, -1])
    assert error.residual >= 1e-12 / 2
    assert "below" in str(error)
    least = float(str(error).split("below ")[1].split(".)")[0].split(")")[0])
    assert least <= 4.1e12
    assert refused([[1, 1], [1, 1]], [1, -1]).residual == 0


@pytest.mark.parametrize("noise", [0.0, 1e-16, 1e-14, 1e-13])
def test_residuals_of_noisy_copies(noise):
    """Farkas vectors of rays and of antipodal pairs, against rational arithmetic (`refused`)."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        row = rng.normal(size=3)
        X = np.array([row, row * (1 + rng.exponential()) + noise * rng.normal(size=3), rng.normal(size=3)])
        refused(X, [1, -1, 1])
        refused(TRIPLE + noise * rng.normal(size=TRIPLE.shape), TRIPLE_LABELS)


@pytest.mark.parametrize("factor", [1.0, 2.0, 1e-9, 1e9, 1 / 3])
def test_one_ray_with_two_labels(factor):
    row = np.array([0.3, -0.7, 0.2])
    error = refused([[1, 0, 0], row, [0, 1, 0], factor * row], [1, 1, -1, -1])
    assert set(error.rows) == {1, 3}


def test_the_antipodal_triple():
    error = refused(TRIPLE, TRIPLE_LABELS)
    assert set(error.rows) == set(range(6))
    refused(TRIPLE * np.array([[1.0], [2.0], [0.1], [5.0], [3.0], [7.0]]), TRIPLE_LABELS)
    refused(np.hstack([TRIPLE, np.zeros((6, 2))]), TRIPLE_LABELS)


@pytest.mark.parametrize("drop", range(6))
def test_five_rows_of_the_triple_can_be_fitted(drop):
    keep = np.arange(6) != drop
    solution = solve_max_margin(TRIPLE[keep], TRIPLE_LABELS[keep])
    assert solution.network.margin(TRIPLE[keep], TRIPLE_LABELS[keep]) == pytest.approx(1)
    assert solution.gap <= 1e-6


@pytest.mark.parametrize("flip", range(6))
def test_any_other_label_can_be_fitted(flip):
    y = TRIPLE_LABELS.copy()
    y[flip] *= -1
    assert solve_max_margin(TRIPLE, y).status == "optimal"


@pytest.mark.parametrize("q", [3, 5, 9])
def test_a_ring_of_antipodal_pairs(q):
    """Differences f(x) - f(-x) are linear in x; 2 q of them around the origin cannot all be positive."""
    angles = 2 * np.pi * np.arange(q) / q  # q odd: no two of these directions are antipodal
    heads = np.column_stack([np.cos(angles), np.sin(angles)])
    X = np.vstack([heads, -heads * np.linspace(0.5, 2, q)[:, None]])
    refused(X, np.r_[np.ones(q), -np.ones(q)])
    # half of the ring lies in an open half-space
    half = np.cos(angles - 0.1) > 1e-3
    both = np.r_[half, half]
    assert solve_max_margin(X[both], np.r_[np.ones(q), -np.ones(q)][both]).status == "optimal"


@pytest.mark.parametrize("d", [2, 3, 5])
def test_a_simplex_of_antipodal_pairs(d):
    heads = np.vstack([np.eye(d), -np.ones(d)])
    X, y = np.vstack([heads, -heads]), np.r_[np.ones(d + 1), -np.ones(d + 1)]
    refused(X, y)
    # equal labels on one pair: its difference says nothing any more
    y[0] = -1
    assert solve_max_margin(X, y).gap <= 1e-6


@pytest.mark.parametrize("nudge", [1e-1, 1e-2, 1e-3])
def test_near_misses_can_be_fitted_at_a_price(nudge):
    """Two labels nearly on one ray, and an antipodal conflict that is bent open: P* grows like 1/nudge."""
    ray = np.array([[1.0, 0.0], [1.0, nudge]])
    solution = solve_max_margin(ray, [1, -1])
    # u1 = (1, a) needs nothing of the other; any network has slope at least 2/nudge between the two rows
    assert solution.gap <= 1e-6
    assert solution.lower_bound >= 2 / nudge * (1 - 1e-6)
    bent = TRIPLE.copy()
    bent[5] = [-1, -1 + nudge]
    assert solve_max_margin(bent, TRIPLE_LABELS).gap <= 1e-6


def test_a_finite_price_of_slack_makes_them_all_solvable():
    for X, y in ((TRIPLE, TRIPLE_LABELS), ([[0.0, 0.0]], [1]), ([[1.0], [2.0]], [1, -1])):
        solution = solve_max_margin(X, y, C=2.0)
        assert solution.status == "optimal"
        assert solution.objective <= 2.0 * len(y) * (1 + 1e-12)
    assert solve_max_margin([[0.0, 0.0]], [1], C=2.0).objective == pytest.approx(2.0, rel=1e-12)


def test_it_is_refused_within_a_second_on_large_data():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 10)), rng.choice([1.0, -1.0], 3000)
    X[1234], y[1234] = 3 * X[77], -y[77]
    started = time.process_time()
    with pytest.raises(InfeasibleError) as caught:
        solve_max_margin(X, y)
    assert time.process_time() - started < 2  # a second, on a machine that does nothing else
    assert set(caught.value.rows) == {77, 1234}


@pytest.mark.parametrize("feasible", [True, False])
def test_a_hundred_thousand_antipodal_pairs_are_decided_in_seconds(feasible):
    rng = np.random.default_rng(0)
    heads = rng.normal(size=(100_000, 3))
    heads[:, 0] = np.abs(heads[:, 0]) + 0.01 if feasible else heads[:, 0]
    X = np.vstack([heads, -heads * rng.uniform(0.5, 2, size=(len(heads), 1))])
    y = np.r_[np.ones(len(heads)), -np.ones(len(heads))]
    order = rng.permutation(len(y))
    X, y = X[order], y[order]
    started = time.process_time()
    if feasible:
        check_feasible(X, y)
    else:
        with pytest.raises(InfeasibleError) as caught:
            check_feasible(X, y)
        assert 4 <= len(caught.value.rows) <= 8  # at most d + 1 pairs: Caratheodory
    assert time.process_time() - started < 5
    if not feasible:
        farkas = caught.value.farkas
        assert (y * farkas >= 0).all()
        assert y @ farkas > 0
        used = np.flatnonzero(farkas)
        U = np.vstack([rng.normal(size=(2000, 3)), X[used]])
        total = np.linalg.norm(U, axis=1) * (np.abs(farkas) @ np.linalg.norm(X, axis=1))
        assert (np.abs(np.maximum(U @ X[used].T, 0) @ farkas[used]) <= 1e-11 * total).all()


@pytest.mark.parametrize("labels", [(1, -1), (-1, 1), (1, 1), (-1, -1)])
def test_pairs_are_found_whichever_way_their_line_points(labels):
    """Three differences f(x) - f(-x) whose rows sum to zero cannot all be positive; any other labels can."""
    heads = np.array([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]])
    X = np.vstack([heads, -heads])
    y = np.r_[np.ones(3), -np.ones(3)]
    refused(X, y)
    refused(-X, y)
    refused(np.vstack([X, 2 * X, 3 * X]), np.tile(y, 3))
    y[[0, 3]] = labels
    if labels == (1, -1):
        refused(X, y)
    else:
        check_feasible(X, y)


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def assert_least(V, demand, found, tol=ROUNDING):
    """Weak duality with equality: V w >= demand, ||V^T mu|| = 1, mu >= 0, and ||w|| = demand^T mu."""
    assert found.exists
    assert (found.mu >= 0).all()
    assert np.linalg.norm(found.mu @ V) == pytest.approx(1, rel=tol)
    length = np.linalg.norm(found.w)
    assert (V @ found.w - demand).min() >= -tol * length
    assert length == pytest.approx(demand @ found.mu, rel=tol)


@given(st.integers(0, 2**20), st.integers(1, 300), st.integers(1, 6), st.floats(0, 8))
def test_optimality_on_rows_of_every_kind(seed, n, d, decades):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-decades / 2, decades / 2, size=d)
    V = unit(np.c_[X, np.full(n, np.linalg.norm(X, axis=1).mean())])
    V = np.repeat(V, rng.integers(1, 3, size=n), axis=0)  # duplicates
    demand = 10.0 ** rng.uniform(-decades, 0, size=len(V))
    demand /= demand.max()
    assert_least(V, demand, least_vector(V, demand))


@pytest.mark.parametrize("gamma", [1.0, 1e-2, 1e-5, 1e-9])
def test_the_distance_of_a_hull_that_nearly_holds_the_origin(gamma):
    """The hull of (+-1, gamma) is a segment at distance gamma/sqrt(1 + gamma^2) from 0."""
    V = unit(np.array([[1.0, gamma], [-1.0, gamma]]))
    found = least_vector(V, np.ones(2))
    assert np.linalg.norm(found.w) == pytest.approx(
        np.hypot(1, gamma) / gamma, rel=1e-6 if gamma < 1e-6 else 1e-9
    )
    np.testing.assert_allclose(found.mu[0], found.mu[1], rtol=1e-6)


@given(st.integers(0, 2**20), st.integers(2, 200), st.integers(1, 5))
def test_a_vector_exists_iff_the_origin_is_outside(seed, n, d):
    """Gordan's theorem, with the origin's membership from an independent solver."""
    rng = np.random.default_rng(seed)
    V = unit(rng.normal(size=(n, d)) + rng.uniform(0, 2) * rng.normal(size=d))
    inside = nnls(np.vstack([V.T, np.ones(n)]), np.r_[np.zeros(d), 1.0])[1] <= 1e-10
    found = least_vector(V, np.ones(n))
    assert found.exists is not inside
    if inside:
        assert found.mu.sum() == pytest.approx(1)
        assert np.linalg.norm(found.mu @ V) <= 1e-11
        assert np.count_nonzero(found.mu) <= d + 1


def test_many_rows_and_many_of_them_carrying():
    rng = np.random.default_rng(0)
    cap = unit(rng.normal(size=(20_000, 30)))
    cap[:, 0] = 1.0
    V = unit(cap)
    demand = np.ones(len(V))
    found = least_vector(V, demand)
    assert_least(V, demand, found)
    assert np.count_nonzero(found.mu) > 20


def test_it_stops_when_told_to():
    rng = np.random.default_rng(0)
    V = unit(np.abs(rng.normal(size=(20_000, 30))))
    demand = np.ones(len(V))
    calls = iter([False, True])
    found = least_vector(V, demand, expired=lambda: next(calls))
    # of part of the rows: a lower bound on the length, and short on some
    assert np.linalg.norm(found.w) <= np.linalg.norm(least_vector(V, demand).w)
    assert (V @ found.w).min() < 1 - 1e-6
