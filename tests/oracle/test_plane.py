"""The sweep around the circle: exact in rank two, and a bound that covers its own rounding."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tolerances import ROUNDING

from convexrelu._clock import Clock
from convexrelu.oracle import dual_norm, maximize_correlation, zonotopes_of
from convexrelu.oracle.cones import search_cones
from convexrelu.oracle.plane import arc_maxima, sweep_plane, upper_half

ARMS = hnp.arrays(float, st.tuples(st.integers(1, 8), st.just(2)), elements=st.integers(-2, 2).map(float))


def total(generators, weights):
    return np.abs(weights) @ np.linalg.norm(generators, axis=1)


def brute(generators, weights):
    """The largest value over all kinks and all directions g/||g||, g the sum of the active generators."""
    kinks = np.vstack([[-generators[:, 1], generators[:, 0]], [generators[:, 1], -generators[:, 0]]]).reshape(
        2, 2, -1
    )
    U = kinks.transpose(0, 2, 1).reshape(-1, 2)
    U = U[U.any(axis=1)]
    masks = (np.arange(2 ** len(generators))[:, None] >> np.arange(len(generators))) & 1
    U = np.vstack([U, (masks * weights) @ generators])  # of every activity: any value is attained
    sizes = np.linalg.norm(U, axis=1)
    U = U[sizes > 0] / sizes[sizes > 0, None]
    return (np.maximum(U @ generators.T, 0) @ weights).max(initial=0.0)


@given(ARMS, st.integers(0, 2**32 - 1))
def test_the_largest_arc_maximum_is_the_maximum(generators, seed):
    """Integer generators: duplicates, parallel, opposite and zero ones, so that arcs have length zero."""
    weights = np.random.default_rng(seed).choice([-2.0, -1.0, 0.5, 0.0, 1.0, 3.0], len(generators))
    maxima = arc_maxima(generators, weights)
    scale = total(generators, weights) + 1e-300
    truth = brute(generators, weights)
    assert truth <= maxima.bound
    assert maxima.bound <= truth + ROUNDING * scale
    # every maximum is attained where it is said to be
    attained = np.maximum(maxima.directions @ generators.T, 0) @ weights
    assert np.allclose(attained, maxima.values, rtol=0, atol=ROUNDING * scale)
    assert np.allclose(np.linalg.norm(maxima.directions, axis=1), 1, rtol=ROUNDING)


def test_every_arc_has_its_maximum():
    """Between neighbouring kinks no direction of a fine grid does better than the arc's maximiser."""
    rng = np.random.default_rng(0)
    generators, weights = rng.normal(size=(9, 2)), rng.normal(size=9)
    maxima = arc_maxima(generators, weights)
    assert len(maxima.values) == 18
    angles = np.linspace(0, 2 * np.pi, 20001)
    F = np.maximum(np.column_stack([np.cos(angles), np.sin(angles)]) @ generators.T, 0) @ weights
    kinks = np.arctan2(generators[:, 1], generators[:, 0])
    kinks = np.sort(np.r_[kinks + np.pi / 2, kinks - np.pi / 2] % (2 * np.pi))
    where = np.searchsorted(kinks, angles) % 18
    best = np.array([F[where == j].max() for j in range(18)])
    assert np.allclose(np.sort(best), np.sort(maxima.values), rtol=0, atol=1e-3)
    assert (np.sort(best) <= np.sort(maxima.values) + ROUNDING * total(generators, weights)).all()


@pytest.mark.parametrize("gap", [1e-3, 1e-8, 1e-15])
def test_the_bound_covers_the_rounding_where_huge_weights_cancel(gap):
    """Generators of weight 1/gap that differ by gap: F, in rational arithmetic, is below the bound."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=(20, 2))
    generators = np.vstack([base, base + gap * rng.normal(size=base.shape)])
    weights = np.r_[np.ones(20), -np.ones(20)] / gap
    maxima = arc_maxima(generators, weights)
    exact_generators = [[Fraction(c) for c in generator] for generator in generators.tolist()]
    exact_weights = [Fraction(w) for w in weights.tolist()]
    for u in maxima.directions.tolist():
        v = [Fraction(c) for c in u]
        value = sum(
            w * max(a[0] * v[0] + a[1] * v[1], Fraction(0))
            for w, a in zip(exact_weights, exact_generators, strict=True)
        )
        length = float(v[0] * v[0] + v[1] * v[1]) ** 0.5
        assert float(value) <= maxima.bound * length * (1 + ROUNDING)
    assert maxima.rounding <= 1e-13 * total(generators, weights)


def test_it_agrees_with_the_search_over_cones():
    rng = np.random.default_rng(2)
    for _ in range(10):
        X, lam = rng.normal(size=(12, 2)), rng.normal(size=12)
        pair = zonotopes_of(X, lam)
        swept = sweep_plane(pair)
        searched = search_cones(pair, 0.0, np.array([1.0, 0.0]), tol=1e-12, clock=Clock(), max_nodes=100_000)
        assert max(swept.value, 0.0) == pytest.approx(searched.value, rel=1e-9)
        assert swept.finished
        assert searched.value <= swept.bound <= searched.value * (1 + 1e-12) + swept.slack


def test_the_oracle_sweeps_data_of_rank_two_in_any_number_of_columns():
    rng = np.random.default_rng(3)
    X, lam = rng.normal(size=(30, 2)), rng.normal(size=30)
    flat, tilted = dual_norm(X, lam), dual_norm(X @ rng.normal(size=(2, 2)) @ np.eye(2, 5), lam)
    assert flat.exact
    assert tilted.exact
    basis = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    assert dual_norm(X @ basis.T, lam).value == pytest.approx(flat.value, rel=1e-9)


def test_a_hundred_thousand_rows_take_well_under_a_second():
    rng = np.random.default_rng(4)
    X, lam = rng.normal(size=(100_000, 2)), rng.normal(size=100_000)
    pair = zonotopes_of(X, lam)
    started = time.process_time()
    swept = sweep_plane(pair)
    assert time.process_time() - started < 1.0
    assert swept.bound - swept.value <= 1e-9 * swept.value
    found = maximize_correlation(X, lam)
    assert found.value == pytest.approx(swept.value, rel=1e-9)
    U = rng.normal(size=(200, 2))
    U /= np.linalg.norm(U, axis=1)[:, None]
    assert (np.maximum(U @ X.T, 0) @ lam).max() <= found.upper_bound


def test_no_generators_and_one_generator():
    nothing = arc_maxima(np.zeros((3, 2)), np.ones(3))
    assert nothing.bound == 0.0
    assert len(nothing.values) == 0
    one = arc_maxima(np.array([[3.0, 4.0]]), np.array([2.0]))
    assert one.values.max() == pytest.approx(10.0, rel=ROUNDING)
    assert one.directions[np.argmax(one.values)] == pytest.approx([0.6, 0.8], rel=ROUNDING)
    harmful = arc_maxima(np.array([[3.0, 4.0]]), np.array([-2.0]))
    assert 0.0 <= harmful.bound <= 1e-13


def test_folding_into_the_upper_half_plane():
    vectors = np.array([[1.0, 0.0], [-1.0, 0.0], [-1.0, -0.0], [0.0, -2.0], [1.0, -0.0], [-3.0, 1.0]])
    folded, negated = upper_half(vectors)
    assert negated.tolist() == [False, True, True, True, False, False]
    angles = np.arctan2(folded[:, 1], folded[:, 0])
    assert ((angles >= 0) & (angles < np.pi)).all()
    assert np.array_equal(np.where(negated[:, None], -folded, folded), vectors)
