from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from tolerances import ROUNDING

from convexrelu.solvers.hulls import least_vector


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
