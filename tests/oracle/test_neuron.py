from __future__ import annotations

import itertools

import joblib
import numpy as np
import pytest
from brute_force import correlations, maximum
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import lsq_linear, nnls
from scipy.stats import ortho_group
from tolerances import KERNEL, ORACLE, ROUNDING, SOLVER

from convexrelu._clock import Clock
from convexrelu.arrangements import is_orthogonally_separable, is_spike_free
from convexrelu.errors import InvalidInputError
from convexrelu.oracle import (
    Cover,
    cones,
    covered_norm,
    dual_norm,
    maximize_correlation,
    neuron,
    rescaled_norm,
    zonotopes_of,
)
from convexrelu.oracle.ascent import climb, starting_directions
from convexrelu.oracle.cones import ConeSearch, search_cones

WEIGHT = st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])


@st.composite
def problems(draw, most_rows=6, most_columns=3):
    """Integer rows (duplicates, opposite, parallel and zero ones) with weights of both signs and zero."""
    n, d = draw(st.integers(1, most_rows)), draw(st.integers(1, most_columns))
    X = draw(hnp.arrays(float, (n, d), elements=st.integers(-2, 2).map(float)))
    return X, draw(hnp.arrays(float, n, elements=WEIGHT))


def size_of(X, lam):
    return np.abs(lam) @ np.linalg.norm(X, axis=1) + 1e-300


def assert_bracket(X, lam, found, truth):
    scale = size_of(X, lam)
    assert found.value <= truth + ROUNDING * scale
    assert found.upper_bound >= truth - ROUNDING * scale
    assert found.value <= found.upper_bound
    norm = np.linalg.norm(found.direction)
    assert norm == pytest.approx(1, rel=ROUNDING) or (norm == 0 and found.value == 0)
    attained = correlations(X, lam, found.direction[None])[0]
    assert found.value == pytest.approx(max(attained, 0), rel=0, abs=ROUNDING * scale)


def assert_exact(X, lam, found, truth):
    assert_bracket(X, lam, found, truth)
    assert found.exact
    assert found.value == pytest.approx(truth, rel=ORACLE, abs=2 * ROUNDING * size_of(X, lam))
    assert found.upper_bound == pytest.approx(truth, rel=2 * ORACLE, abs=10 * ROUNDING * size_of(X, lam))


@given(problems())
def test_exact_on_integer_grids_in_up_to_three_dimensions(problem):
    X, lam = problem
    assert_exact(X, lam, maximize_correlation(X, lam), maximum(X, lam))


@pytest.mark.parametrize("seed", range(6))
def test_exact_in_four_dimensions(seed):
    rng = np.random.default_rng(seed)
    X, lam = rng.normal(size=(5, 4)), rng.normal(size=5)
    assert_exact(X, lam, maximize_correlation(X, lam), maximum(X, lam))


@pytest.mark.parametrize(("n", "d"), [(6, 1), (40, 2), (15, 3), (9, 5), (6, 9)])
def test_no_direction_of_a_dense_sphere_beats_the_bound(n, d):
    rng = np.random.default_rng(n)
    U = rng.normal(size=(100_000, d))
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    for _ in range(3):
        X, lam = rng.normal(size=(n, d)), rng.normal(size=n)
        found = maximize_correlation(X, lam)
        seen = correlations(X, lam, U).max()
        assert found.exact
        assert seen <= found.upper_bound
        if d <= 3:  # and the sphere is dense enough there to come near
            assert found.value <= max(seen, 0) + 1e-2 * size_of(X, lam)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 60, 250])
def test_planar_data_by_sweeping_kinks_and_stationary_directions(n):
    rng = np.random.default_rng(n)
    for _ in range(3):
        X, lam = rng.normal(size=(n, 2)), rng.normal(size=n)
        kinks = np.sort(np.r_[np.arctan2(X[:, 0], -X[:, 1]), np.arctan2(-X[:, 0], X[:, 1])])
        middle = (kinks + np.r_[kinks[1:], kinks[0] + 2 * np.pi]) / 2
        inside = np.c_[np.cos(middle), np.sin(middle)]
        gradients = ((inside @ X.T > 0) * lam) @ X
        stationary = gradients / np.linalg.norm(gradients, axis=1, keepdims=True).clip(1e-300)
        candidates = np.vstack([np.c_[np.cos(kinks), np.sin(kinks)], stationary])
        truth = max(0.0, correlations(X, lam, candidates).max())
        assert_exact(X, lam, maximize_correlation(X, lam), truth)


@given(hnp.arrays(float, 7, elements=st.floats(-5, 5)), hnp.arrays(float, 7, elements=st.floats(-5, 5)))
def test_on_a_line_there_are_two_directions(x, lam):
    truth = max(np.maximum(x, 0) @ lam, np.maximum(-x, 0) @ lam, 0.0)
    assert_bracket(x[:, None], lam, maximize_correlation(x[:, None], lam), truth)


@given(problems(most_rows=5))
def test_it_is_the_hausdorff_distance_of_two_zonotopes(problem):
    X, lam = problem
    P, Q, caps = X[lam > 0] * lam[lam > 0, None], X[lam < 0], -lam[lam < 0]
    vertices = [
        np.array(s) @ P if len(P) else np.zeros(X.shape[1])
        for s in itertools.product([0.0, 1.0], repeat=len(P))
    ]
    if len(Q):
        distances = [np.linalg.norm(lsq_linear(Q.T, v, bounds=(0, caps), tol=1e-14).fun) for v in vertices]
    else:
        distances = [np.linalg.norm(v) for v in vertices]
    found = maximize_correlation(X, lam)
    assert found.value == pytest.approx(
        max(distances), abs=1e-5 * size_of(X, lam)
    )  # lsq_linear's own accuracy
    assert found.upper_bound == pytest.approx(max(distances), abs=1e-5 * size_of(X, lam))


@given(problems(most_rows=8, most_columns=4))
def test_weights_of_one_sign(problem):
    X, lam = problem
    none = maximize_correlation(X, -np.abs(lam))
    assert (none.value, none.upper_bound, none.exact) == (0.0, 0.0, True)
    np.testing.assert_array_equal(none.direction, 0)
    # all weights positive on rows of one orthant: every row is active at the sum's direction
    rows, weights = np.abs(X), np.abs(lam)
    assert_exact(rows, weights, maximize_correlation(rows, weights), np.linalg.norm(weights @ rows))


@pytest.mark.parametrize(("n", "d"), [(6, 2), (30, 5), (200, 60), (2000, 30)])
def test_orthogonally_separable_data_in_any_dimension(n, d):
    # WP section 3.1: f(lam) = ||X_+^T lam_+|| and f(-lam) = ||X_-^T lam_-||
    rng = np.random.default_rng(n)
    y = np.where(np.arange(n) < n // 2, 1.0, -1.0)
    X = np.zeros((n, d))
    X[y > 0, : d // 2] = rng.uniform(0.1, 1, size=((y > 0).sum(), d // 2))
    X[y < 0, d // 2 :] = rng.uniform(0.1, 1, size=((y < 0).sum(), d - d // 2))
    X = X @ ortho_group.rvs(d, random_state=0)
    assert is_orthogonally_separable(X, y)
    lam = y * rng.exponential(size=n)
    plus, minus = (np.linalg.norm(X[y == s].T @ lam[y == s]) for s in (1, -1))
    for weights, truth in ((lam, plus), (-lam, minus)):
        found = maximize_correlation(X, weights)
        assert found.exact
        assert found.value == pytest.approx(truth, rel=ORACLE)
        assert found.upper_bound == pytest.approx(truth, rel=ORACLE)
    both = dual_norm(X, lam)
    assert both.exact
    assert both.value == pytest.approx(max(plus, minus), rel=ORACLE)
    assert both.sign == (1 if plus >= minus else -1)


@pytest.mark.parametrize(("n", "d"), [(2, 2), (5, 5), (12, 20), (40, 60)])
def test_spike_free_data_in_any_dimension(n, d):
    # WP section 3.2: the maximum over the cone Xu >= 0, the distance of X^T lam from minus the rows' cone
    rng = np.random.default_rng(d)
    off = -rng.uniform(0, 0.9 / n, size=(n, n))
    dual_gram = np.triu(off, 1) + np.triu(off, 1).T + np.eye(n)
    X = np.linalg.cholesky(np.linalg.inv(dual_gram)) @ (ortho_group.rvs(d, random_state=0)[:n])
    X *= rng.uniform(0.2, 5, size=(n, 1))
    assert is_spike_free(X)
    for _ in range(3):
        lam = rng.normal(size=n)
        truth = nnls(X.T, -X.T @ lam)[1]
        found = maximize_correlation(X, lam)
        assert found.exact
        assert found.value == pytest.approx(truth, rel=SOLVER, abs=ROUNDING)
        assert found.upper_bound == pytest.approx(truth, rel=SOLVER, abs=KERNEL)


@given(problems(most_columns=3), st.integers(0, 2**20))
def test_invariances(problem, seed):
    X, lam = problem
    rng = np.random.default_rng(seed)
    reference, scale = maximize_correlation(X, lam), size_of(X, lam)
    order = rng.permutation(len(X))
    turn = np.linalg.qr(rng.normal(size=(X.shape[1],) * 2))[0]
    stretch = 10.0 ** rng.uniform(-3, 3, size=len(X))
    parts = rng.uniform(0.2, 0.8, size=len(X))
    padded = np.c_[X, np.zeros((len(X), 2))] @ ortho_group.rvs(X.shape[1] + 2, random_state=1)
    for rows, weights in (
        (X[order], lam[order]),
        (X @ turn, lam),
        (X * stretch[:, None], lam / stretch),
        (
            np.r_[X, 2 * X],
            np.r_[parts * lam, (1 - parts) * lam / 2],
        ),  # split into duplicates of another length
        (np.r_[X, 0 * X], np.r_[lam, lam]),
        (np.r_[X, X], np.r_[lam, 0 * lam]),
        (padded, lam),
    ):
        other = maximize_correlation(rows, weights)
        assert other.value == pytest.approx(reference.value, rel=ORACLE, abs=20 * ROUNDING * scale)
        assert other.upper_bound == pytest.approx(
            reference.upper_bound, rel=ORACLE, abs=20 * ROUNDING * scale
        )


@given(problems(), st.sampled_from([1e-300, 1e-200, 1e-160, 1e-20, 1e30, 1e160, 1e200, 1e300]))
def test_homogeneity_at_any_magnitude(problem, factor):
    X, lam = problem
    reference, slack = maximize_correlation(X, lam), 20 * ROUNDING * size_of(X, lam)
    for found in (maximize_correlation(X, factor * lam), maximize_correlation(factor * X, lam)):
        assert found.value / factor == pytest.approx(reference.value, rel=ORACLE, abs=slack)
        assert found.upper_bound / factor == pytest.approx(reference.upper_bound, rel=ORACLE, abs=slack)
        assert found.upper_bound / factor >= reference.value * (1 - ROUNDING)
        assert found.exact == reference.exact
    unmoved = maximize_correlation(factor * X, lam / factor)
    assert unmoved.value == pytest.approx(reference.value, rel=ORACLE, abs=slack)


def test_rows_of_wildly_different_magnitude_with_weights_that_make_up_for_it():
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(7, 3)), rng.normal(size=7)
    stretch = 10.0 ** np.array([200, -200, 0, 100, -150, 3, -250.0])
    found, reference = maximize_correlation(X * stretch[:, None], lam / stretch), maximize_correlation(X, lam)
    assert found.exact
    assert found.value == pytest.approx(reference.value, rel=ORACLE)


@given(problems(), WEIGHT, st.integers(0, 5))
def test_opposite_rows_combine_to_a_linear_part(problem, weight, which):
    # c (x^T u)_+ - c (-x^T u)_+ = c x^T u: the pair adds a linear form, part of Z_+ and of Z_-
    X, lam = problem
    x = X[which % len(X)]
    rows, weights = np.vstack([X, x, -x]), np.r_[lam, weight, -weight]
    if len(rows) <= 7:
        assert_exact(rows, weights, maximize_correlation(rows, weights), maximum(rows, weights))


def test_zero_weights_and_zero_data():
    for X, lam in (([[1.0, 2.0]], [0.0]), ([[0.0, 0.0]], [3.0]), (np.zeros((3, 2)), [1.0, -1.0, 2.0])):
        found = maximize_correlation(X, lam)
        assert (found.value, found.upper_bound, found.exact) == (0.0, 0.0, True)
        np.testing.assert_array_equal(found.direction, np.zeros(2))
        both = dual_norm(X, lam)
        assert (both.value, both.upper_bound, both.exact) == (0.0, 0.0, True)


@pytest.mark.parametrize("order", list(itertools.permutations([1.0, 1e-17, -1.0])))
def test_the_bound_holds_where_weights_of_one_row_cancel(order):
    # the exact sum of the weights is 1e-17, whatever rounding makes of it
    found = maximize_correlation(np.ones((3, 1)), list(order))
    assert found.upper_bound >= 1e-17
    assert found.value <= 1e-15


@pytest.mark.parametrize("power", range(2, 14))
def test_the_bound_holds_where_rows_are_nearly_dependent(power):
    # f(lam) >= delta, attained at e_3, where x_3 = x_1 + x_2 + delta e_3 alone is active
    delta = 10.0**-power
    X, lam = np.array([[1, 0, 0], [0, 1, 0], [1, 1, delta]]), np.array([-1.0, -1.0, 1.0])
    found = maximize_correlation(X, lam)
    assert found.upper_bound >= delta
    assert found.value <= delta * (1 + ROUNDING) + ROUNDING


@pytest.mark.parametrize("closeness", [1e-4, 1e-8, 1e-11, 1e-12, 3e-13, 1e-14])
def test_the_bound_holds_where_rows_are_nearly_parallel(closeness):
    # lam (x + c e_2) - lam x on nearly one ray: at e_2 the value is c whatever is merged
    found = maximize_correlation([[1.0, 0.0], [1.0, closeness]], [-1.0, 1.0])
    assert found.upper_bound >= closeness
    assert found.value <= closeness * (1 + ROUNDING) + ROUNDING


def bounds_only(X, lam, monkeypatch):
    """The same call with no time at all, and with no list of cells allowed."""
    yield maximize_correlation(X, lam, time_limit=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(neuron, "LONGEST_LISTING", 0.0)
        yield maximize_correlation(X, lam)


def test_without_time_both_bounds_still_bracket_the_truth(monkeypatch):
    rng = np.random.default_rng(2)
    inexact = 0
    for trial in range(40):
        n, d = rng.integers(3, 7), 3  # in the plane a sweep needs no time worth counting
        X = rng.integers(-2, 3, size=(n, d)).astype(float) if trial % 2 else rng.normal(size=(n, d))
        lam = rng.normal(size=n)
        truth = maximum(X, lam)
        for found in bounds_only(X, lam, monkeypatch):
            assert_bracket(X, lam, found, truth)
            if found.exact:
                assert_exact(X, lam, found, truth)
            else:
                inexact += 1
                assert found.upper_bound > found.value
    assert inexact > 20  # or the test would say nothing about bounds


def test_hopeless_sizes_are_not_searched_and_have_honest_bounds():
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(120, 20)), rng.normal(size=120)
    found = maximize_correlation(X, lam)
    assert not found.exact
    assert found.nodes == 0
    U = np.vstack([rng.normal(size=(20_000, 20)), X, lam[:, None] * X])
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    seen = correlations(X, lam, U).max()
    assert found.upper_bound >= seen
    assert found.value >= seen  # the local phase climbs from better starts than these
    assert found.value == pytest.approx(correlations(X, lam, found.direction[None])[0], rel=ROUNDING)
    assert (
        found.value
        < found.upper_bound
        <= np.linalg.norm(X[lam > 0] * lam[lam > 0, None], axis=1).sum() * (1 + ROUNDING)
    )


def test_the_answer_is_deterministic_and_the_arguments_stay():
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(30, 9)), rng.normal(size=30)
    copies = X.copy(), lam.copy()
    first, again = (
        maximize_correlation(X, lam, time_limit=1e-9),
        maximize_correlation(X, lam, time_limit=1e-9),
    )
    assert (first.value, first.upper_bound) == (again.value, again.upper_bound)
    np.testing.assert_array_equal(first.direction, again.direction)
    np.testing.assert_array_equal(X, copies[0])
    np.testing.assert_array_equal(lam, copies[1])


@pytest.mark.parametrize(("n", "d"), [(8, 3), (60, 5), (100, 9), (40, 60), (3000, 4)])
def test_without_a_search_there_are_bounds_that_are_the_same_every_time(n, d):
    rng = np.random.default_rng(n)
    X, lam = rng.normal(size=(n, d)), rng.normal(size=n)
    quick, again = dual_norm(X, lam, search=False), dual_norm(X, lam, search=False)
    assert (quick.value, quick.upper_bound, quick.sign) == (again.value, again.upper_bound, again.sign)
    assert quick.value == pytest.approx(quick.sign * correlations(X, lam, quick.direction[None])[0])
    structural = max(
        np.sqrt(np.maximum(generators @ generators.T, 0).sum())
        for generators in ((lam * side)[lam * side > 0, None] * X[lam * side > 0] for side in (1, -1))
    )
    assert quick.value <= quick.upper_bound <= structural * (1 + ORACLE)  # the rounding that it contains
    if n <= 60:
        searched = dual_norm(X, lam, time_limit=5.0)
        assert quick.value <= searched.value * (1 + ROUNDING)
        assert searched.upper_bound <= quick.upper_bound * (1 + ROUNDING)


@pytest.mark.parametrize("d", [3, 5, 8])
def test_time_buys_a_better_bound_before_the_answer_is_exact(d):
    rng = np.random.default_rng(d)
    X, lam = rng.normal(size=(400, d)), np.sign(rng.normal(size=400))
    quick, longer = dual_norm(X, lam, search=False), dual_norm(X, lam, time_limit=4.0)
    assert longer.value >= quick.value * (1 - ROUNDING)
    assert longer.upper_bound < 0.9 * quick.upper_bound


@pytest.mark.parametrize(("n", "d"), [(300, 6), (20_000, 4), (300, 12)])
def test_the_time_limit_holds(n, d, monkeypatch):
    rng = np.random.default_rng(n)
    X, lam = rng.normal(size=(n, d)), rng.normal(size=n)
    looks = itertools.count()
    # A millisecond passes from look to look. The class itself stays: checks of types remember it.
    monkeypatch.setattr(Clock, "elapsed", property(lambda _: next(looks) / 1000))
    with joblib.parallel_config(n_jobs=1):
        found = dual_norm(X, lam, time_limit=0.4)
    assert not found.exact
    assert next(looks) <= 440


def test_the_signs_share_their_best_value():
    """A dual norm needs no more than a proof that the weaker sign stays below the stronger one."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        X, lam = rng.normal(size=(30, 4)), rng.normal(size=30)
        lam[lam < 0] *= 3
        both = dual_norm(X, lam)
        each = [maximize_correlation(X, sign * lam) for sign in (1, -1)]
        assert both.exact
        assert both.value == pytest.approx(max(e.value for e in each), rel=ORACLE)
        assert both.upper_bound == pytest.approx(max(e.upper_bound for e in each), rel=2 * ORACLE)


@given(problems())
def test_dual_norm_is_the_larger_of_both_signs_and_a_seminorm(problem):
    X, lam = problem
    scale = size_of(X, lam)
    both, opposite = dual_norm(X, lam), dual_norm(X, -lam)
    truth = max(maximum(X, lam), maximum(X, -lam))
    assert both.value == pytest.approx(truth, rel=ORACLE, abs=ROUNDING * scale)
    assert both.upper_bound >= truth - ROUNDING * scale
    assert opposite.value == pytest.approx(both.value, rel=ORACLE, abs=ROUNDING * scale)
    assert both.sign * correlations(X, lam, both.direction[None])[0] == pytest.approx(
        both.value, abs=ROUNDING * scale
    )
    other = np.roll(lam, 1)
    assert dual_norm(X, lam + other).value <= both.value + dual_norm(X, other).value + ROUNDING * (
        scale + size_of(X, other)
    )


@given(st.integers(2, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**20))
def test_weak_duality_for_any_network_and_any_multipliers(n, d, m, seed):
    rng = np.random.default_rng(seed)
    X, W1, w2 = rng.normal(size=(n, d)), rng.normal(size=(m, d)), rng.normal(size=m)
    outputs = np.maximum(X @ W1.T, 0) @ w2
    X, outputs = X[outputs != 0], outputs[outputs != 0]
    if not len(X):
        return
    y, margin = np.sign(outputs), np.abs(outputs).min()
    lam = y * rng.exponential(size=len(y)) * rng.integers(2, size=len(y))
    upper = (np.sum(W1**2) + w2 @ w2) / (2 * margin)
    for time_limit in (None, 1e-9):
        h = dual_norm(X, lam, time_limit=time_limit)
        assert h.value <= h.upper_bound
        assert y @ lam <= upper * h.upper_bound * (1 + ROUNDING)


@pytest.mark.parametrize(
    ("X", "lam", "settings"),
    [
        ([[1.0, 2.0]], [1.0, 2.0], {}),
        ([[1.0, 2.0]], [[1.0]], {}),
        ([1.0], [1.0], {}),
        ([[np.nan]], [1.0], {}),
        ([[1.0]], [np.inf], {}),
        ([[1.0]], [1.0], {"tol": 0.0}),
        ([[1.0]], [1.0], {"tol": np.nan}),
        ([[1.0]], [1.0], {"time_limit": 0.0}),
        ([[1.0]], [1.0], {"time_limit": -1.0}),
        ([[1.0]], [1.0], {"max_nodes": 0}),
    ],
)
def test_bad_input_is_refused(X, lam, settings):
    for call in (maximize_correlation, dual_norm):
        with pytest.raises(InvalidInputError):
            call(X, lam, **settings)


@pytest.mark.parametrize("d", [3, 6])
def test_a_search_that_has_found_enough_still_bounds(d):
    rng = np.random.default_rng(d)
    X, lam = rng.normal(size=(24, d)), rng.normal(size=24)
    whole = dual_norm(X, lam)
    for share in (0.5, 0.999, 2.0):
        part = dual_norm(X, lam, stop_above=share * whole.value)
        assert part.upper_bound >= whole.value * (1 - 1e-12)
        assert part.value > share * whole.value or part.upper_bound <= whole.upper_bound * (1 + 1e-9)


# To a tolerance --------------------------------------------------------------------------------------------


@given(problems(), st.sampled_from([1e-9, 1e-2, 0.3]))
def test_cones_alone_meet_any_tolerance(problem, tol):
    """Rows repeated, opposite, parallel and zero: the bound holds, and is as tight as asked."""
    X, lam = problem
    pair, truth = zonotopes_of(X, lam), maximum(X, lam)
    if not len(pair.positive):
        return
    nowhere = np.zeros(pair.basis.shape[1])
    found = search_cones(pair, 0.0, nowhere, tol=tol, clock=Clock(), max_nodes=100_000)
    rounding = ROUNDING * size_of(X, lam)
    assert found.finished
    assert found.value - rounding <= truth <= found.bound + rounding
    assert found.bound <= (1 + tol) * found.value + rounding


def dense(n=400, d=5, seed=1):
    """Noise: every row has a weight, of either sign, and rows are repeated and scaled."""
    rng = np.random.default_rng(seed)
    X, lam = rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0) * rng.uniform(size=n)
    X[:10], X[10:20] = X[20:30], -2 * X[30:40]
    return X, lam


def test_a_tolerance_is_met_with_less_work_and_the_same_call_says_the_same():
    X, lam = dense()
    nodes = []
    for tol in (0.5, 0.25, 0.12):
        norm, again = dual_norm(X, lam, tol=tol), dual_norm(X, lam, tol=tol)
        assert norm.exact
        assert norm.value <= norm.upper_bound <= (1 + tol) * norm.value * (1 + ORACLE)
        assert (norm.value, norm.upper_bound, norm.nodes) == (again.value, again.upper_bound, again.nodes)
        nodes.append(norm.nodes)
    assert 0 < nodes[0] < nodes[1] < nodes[2]


def test_nodes_buy_a_better_bound():
    X, lam = dense()
    bounds = [dual_norm(X, lam, max_nodes=nodes).upper_bound for nodes in (50, 300, 1000)]
    assert bounds[0] > bounds[1] > bounds[2]
    assert maximize_correlation(X, lam, max_nodes=1000).nodes <= 1100


@pytest.mark.parametrize(
    "effort", [{"tol": 0.2}, {"max_nodes": 900}, {"time_limit": 0.05}, {"time_limit": 1e-6}]
)
def test_a_search_however_it_ended_is_repeated_by_its_cover(effort):
    X, lam = dense()
    norm = dual_norm(X, lam, **effort)
    again = covered_norm(X, 3 * lam, norm.scaled(3.0).cover)
    assert again.upper_bound == 3 * norm.cover.level == pytest.approx(3 * norm.upper_bound, rel=ORACLE)
    assert again.upper_bound > 3 * norm.upper_bound
    # a bound that a higher level ends early leaves other multipliers to the parts
    assert again.nodes <= 1.1 * norm.nodes
    with joblib.parallel_config(n_jobs=2):
        assert covered_norm(X, lam, norm.cover).upper_bound == norm.cover.level


def test_a_listing_that_was_cut_off_is_repeated_by_its_cones(monkeypatch):
    """What the cones proved before it is the bound; as many of them repeat it."""
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(2000, 3)), np.abs(rng.normal(size=2000))  # with the other sign there is nothing
    monkeypatch.setattr(neuron, "MAX_CONES", 20)

    def cut_off(pair, value, direction, *, ceiling, **_):
        return ConeSearch(value=value, direction=direction, bound=ceiling, slack=0.0, nodes=0, finished=False)

    with monkeypatch.context() as patched:
        patched.setattr(neuron, "search_cells", cut_off)
        norm = dual_norm(X, lam)
    assert norm.cover.nodes >= 20
    assert norm.upper_bound > dual_norm(X, lam).upper_bound * 1.001
    monkeypatch.setattr(neuron, "LONGEST_LISTING", 0.0)  # by cones alone
    assert covered_norm(X, lam, norm.cover).upper_bound == norm.cover.level


def test_a_cover_below_the_dual_norm_is_refused():
    X, lam = dense()
    value = dual_norm(X, lam, tol=0.5).value
    for nodes in (0, 10**4):
        with pytest.raises(InvalidInputError, match="cones must prove"):
            covered_norm(X, lam, Cover(level=0.999 * value, nodes=nodes))


def test_what_the_defaults_repeat_needs_no_cover():
    X, lam = dense(n=40, d=3)
    assert dual_norm(X, lam).cover is None
    assert dual_norm(X, lam, tol=0.1).cover is None  # the cells of so few rows are listed


def crowded_search(monkeypatch, max_nodes, *, kept_bytes=2**22, level=0.0):
    rng = np.random.default_rng(8)
    X, lam = rng.normal(size=(300, 5)), rng.choice([-1.0, 1.0], 300)
    features = np.maximum(X @ rng.normal(size=(75, 5)).T, 0)  # what they leave of the labels is hard to bound
    pair = zonotopes_of(X, lam - features @ np.linalg.lstsq(features, lam, rcond=None)[0])
    monkeypatch.setattr(cones, "_MOST_OPEN_BYTES", kept_bytes)
    start = climb(pair, starting_directions(pair, 32, rng))
    value, direction = float(start.values[0]), start.directions[0]
    return search_cones(pair, value, direction, tol=1e-9, clock=Clock(), max_nodes=max_nodes, level=level)


def test_a_search_that_may_not_keep_its_cones_settles_for_the_tolerance_that_it_can_afford(monkeypatch):
    whole = crowded_search(monkeypatch, 10**6, kept_bytes=2**28)
    assert whole.finished
    bounds = []
    for max_nodes in (whole.nodes // 8, whole.nodes // 2):
        part = crowded_search(monkeypatch, max_nodes)
        assert not part.finished
        assert part.nodes <= 1.1 * max_nodes
        assert part.bound >= whole.value * (1 - ROUNDING)
        # its cones are closed at this bound: another search to it ends, too
        assert crowded_search(monkeypatch, 2 * max_nodes, level=part.bound).finished
        bounds.append(part.bound)
    assert whole.value < bounds[1] < bounds[0] < 3 * whole.value
    assert crowded_search(monkeypatch, whole.nodes // 2).bound == bounds[1]


@pytest.mark.parametrize("max_nodes", [33, 40, 100])
def test_a_search_whose_sample_takes_all_its_cones_ends(monkeypatch, max_nodes):
    part = crowded_search(monkeypatch, max_nodes, kept_bytes=1)
    assert not part.finished
    assert part.nodes <= 2 * max_nodes
    assert part.bound >= part.value


def test_a_search_that_may_not_keep_its_cones_meets_its_tolerance_within_its_limits(monkeypatch):
    found = crowded_search(monkeypatch, 10**6)
    assert found.finished
    assert found.bound <= found.value * (1 + 1e-9)


def test_correlations_beyond_the_floats_are_refused():
    with pytest.raises(InvalidInputError, match="beyond the range"):
        dual_norm([[1e300]], [1e300])


@pytest.mark.parametrize("options", [{}, {"tol": 0.1}])
def test_a_multiple_of_weights_that_cancel_has_the_norm_of_its_own_floats(options):
    """``lam / 3`` is rounded, by what shows in the norm where nine digits of the weights cancel."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(3, 3))] * 2) + 1e-9 * rng.normal(size=(6, 3))
    lam = np.r_[1.0, 2.0, 3.0, -1.0, -2.0, -3.0]
    norm = dual_norm(X, lam, **options)
    assert norm.value < 1e-7
    again, anew = rescaled_norm(X, lam, norm, 1 / 3), dual_norm(X, lam / 3)
    assert again.value <= anew.upper_bound
    assert anew.value <= again.upper_bound <= anew.upper_bound * (1 + 1e-6 if not options else 2)
    if again.cover is not None:
        assert covered_norm(X, lam / 3, again.cover).upper_bound == again.cover.level
    ordinary = rng.normal(size=6)
    plain = dual_norm(X, ordinary)
    assert rescaled_norm(X, ordinary, plain, 1 / 3).upper_bound == plain.scaled(1 / 3).upper_bound


@pytest.mark.parametrize("seed", [0, 20, 23, 37])
def test_a_value_found_late_does_not_loosen_the_other_signs_level(seed, monkeypatch):
    """The second sign is searched to the bound of the first: to that itself, however its own value grows."""
    rng = np.random.default_rng(seed)
    X, lam = rng.normal(size=(300, 4)), rng.normal(size=300)
    norm = dual_norm(X, lam, tol=0.3, max_nodes=5000)

    def poor(pair, *_):
        return -pair.positive[:1] / np.linalg.norm(pair.positive[0])

    # without a good start values grow as cones are bounded
    monkeypatch.setattr("convexrelu.oracle.neuron.starting_directions", poor)
    assert covered_norm(X, lam, norm.cover).upper_bound == norm.cover.level


@pytest.mark.parametrize("seed", range(3))
def test_cells_count_as_the_cones_that_take_as_long(seed):
    """Listing a thousand cells is the work of a few cones; so many nodes are enough for the same answer."""
    rng = np.random.default_rng(seed)
    X, lam = rng.normal(size=(60, 3)), rng.normal(size=60)
    norm = dual_norm(X, lam)
    assert norm.exact
    assert 0 < norm.nodes < 100
    assert dual_norm(X, lam, max_nodes=norm.nodes).upper_bound == norm.upper_bound
