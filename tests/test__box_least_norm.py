from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import lsq_linear, nnls
from scipy.stats import ortho_group
from tolerances import ILL_CONDITIONED, KERNEL, ROUNDING, SOLVER

from convexrelu._box_least_norm import box_least_norm, box_least_norms
from convexrelu.errors import InvalidInputError

CAPS = st.sampled_from([0.0, 0.25, 1.0, 2.0, 7.0, np.inf])


@st.composite
def grids(draw, caps=CAPS):
    """Integer problems: duplicates, antiparallel and zero rows, rank loss and ties are common."""
    k, d = draw(st.integers(0, 8)), draw(st.integers(1, 4))
    A = draw(hnp.arrays(float, (k, d), elements=st.integers(-3, 3).map(float)))
    g = draw(hnp.arrays(float, d, elements=st.integers(-8, 8).map(lambda v: v / 2)))
    return A, g, draw(hnp.arrays(float, k, elements=caps))


def scale_of(A, g, caps):
    finite = np.where(np.isfinite(caps), caps, 0.0)
    return np.linalg.norm(g) + np.abs(finite) @ np.linalg.norm(A, axis=1) + 1e-300


def distance_below(A, g, caps, residual):
    """Weak duality's lower bound on the distance: u.g - max_{0<=t<=c} t.(A u) at u = residual/||residual||.

    Rows of infinite cap must not point along u at all; what rounding leaves of their products is checked.
    """
    norm = np.linalg.norm(residual)
    if norm == 0:
        return 0.0
    u = residual / norm
    slopes = A @ u
    endless = np.isinf(caps)
    assert (slopes[endless] <= KERNEL * np.linalg.norm(A[endless], axis=1)).all()
    return u @ g - caps[~endless] @ np.maximum(slopes[~endless], 0)


def assert_feasible(A, g, caps, found):
    assert (found.t >= 0).all()
    assert (found.t <= caps).all()
    scale = scale_of(A, g, np.maximum(found.t, 1.0))
    np.testing.assert_allclose(found.residual, g - A.T @ found.t, rtol=0, atol=ROUNDING * scale)
    assert found.norm == pytest.approx(np.linalg.norm(found.residual), rel=ROUNDING, abs=ROUNDING * scale)


@given(grids())
def test_duality_gap_is_zero(problem):
    A, g, caps = problem
    found = box_least_norm(A, g, caps)
    assert_feasible(A, g, caps, found)
    assert found.optimal
    gap = found.norm - distance_below(A, g, caps, found.residual)
    inside = found.norm <= KERNEL * scale_of(
        A, g, caps
    )  # then u is rounding and the distance is zero: nothing lies below
    assert inside or gap <= KERNEL * scale_of(A, g, caps)


@given(grids(), st.integers(0, 4), st.integers(-600, 600))
def test_many_translates_at_once_are_each_on_its_own(problem, size, power):
    A, g, caps = problem
    factors = np.array([2.0**power, -2.0, 0.0, 0.5 * 2.0**-power])
    G = np.outer(factors[:size], g)
    found = box_least_norms(A, G, caps)
    assert found.t.shape == (size, len(A))
    assert found.residuals.shape == G.shape
    for k, target in enumerate(G):
        alone = box_least_norm(A, target, caps)
        np.testing.assert_array_equal(found.t[k], alone.t)
        np.testing.assert_array_equal(found.residuals[k], alone.residual)
        assert (found.norms[k], found.optimal[k]) == (alone.norm, alone.optimal)


@pytest.mark.parametrize("threshold", [-1.0, np.nan, np.inf])
def test_a_bad_threshold_is_refused(threshold):
    with pytest.raises(InvalidInputError, match="threshold"):
        box_least_norm(np.eye(2), np.ones(2), np.ones(2), threshold=threshold)


@pytest.mark.parametrize(
    ("A", "G", "caps"),
    [
        (np.eye(2), np.ones((3, 3)), np.ones(2)),
        (np.eye(2), np.ones(2), np.ones(2)),
        (np.eye(2), np.ones((3, 2)), [1.0, -1.0]),
        (np.eye(2), np.ones((3, 2)), np.ones(3)),
        (np.eye(2), np.full((1, 2), np.nan), np.ones(2)),
    ],
)
def test_bad_input_for_many_translates_is_refused(A, G, caps):
    with pytest.raises(InvalidInputError):
        box_least_norms(A, G, caps)


@given(grids(caps=st.sampled_from([0.25, 1.0, 2.0, np.inf])))
def test_agrees_with_bounded_variable_least_squares(problem):
    A, g, caps = problem
    found = box_least_norm(A, g, caps)
    if not len(A):
        np.testing.assert_array_equal(found.residual, g)
        return
    other = lsq_linear(A.T, g, bounds=(0, caps), method="bvls", tol=1e-14, max_iter=500)
    t = np.clip(other.x, 0, caps)
    reference = np.linalg.norm(g - A.T @ t)
    scale = scale_of(A, g, caps)
    assert found.norm <= reference + SOLVER * scale
    assert other.status <= 0 or found.norm == pytest.approx(reference, abs=SOLVER * scale)
    # the residual is unique (a projection onto a convex set), t need not be
    if other.status > 0:
        np.testing.assert_allclose(found.residual, g - A.T @ t, rtol=0, atol=np.sqrt(SOLVER) * scale)


@pytest.mark.parametrize(("k", "d"), [(1, 5), (4, 7), (12, 3), (60, 8), (150, 20), (40, 40)])
def test_random_problems_against_a_second_solver_and_their_gap(k, d):
    rng = np.random.default_rng(k)
    for _ in range(5):
        A, g = rng.normal(size=(k, d)), rng.normal(size=d) * k**0.5
        caps = rng.exponential(size=k) * rng.choice([0, 0.1, 1, np.inf], size=k, p=[0.1, 0.4, 0.4, 0.1])
        found = box_least_norm(A, g, caps)
        assert_feasible(A, g, caps, found)
        assert found.optimal
        scale = scale_of(A, g, caps)
        if found.norm > KERNEL * scale:
            assert found.norm - distance_below(A, g, caps, found.residual) <= KERNEL * scale
        used = caps > 0
        other = lsq_linear(A[used].T, g, bounds=(0, caps[used]), method="bvls", tol=1e-14)
        assert found.norm == pytest.approx(np.linalg.norm(other.fun), abs=SOLVER * scale)


@given(
    hnp.arrays(float, 4, elements=st.floats(-5, 5)),
    hnp.arrays(float, 4, elements=st.floats(0, 3)),
    st.integers(0, 9),
)
def test_orthonormal_rows_are_clipped_one_by_one(g, caps, seed):
    A = ortho_group.rvs(4, random_state=seed)
    found = box_least_norm(A, g, caps)
    expected = np.clip(A @ g, 0, caps)
    np.testing.assert_allclose(
        found.residual, g - A.T @ expected, rtol=0, atol=ROUNDING * scale_of(A, g, caps)
    )
    np.testing.assert_allclose(found.t, expected, rtol=0, atol=ROUNDING * scale_of(A, g, caps))


@given(st.floats(0, 4), st.floats(0, 4), hnp.arrays(float, 3, elements=st.floats(-9, 9)))
def test_antiparallel_rows_are_one_segment_and_duplicates_one_row(first, second, g):
    a = np.array([1.0, -2.0, 0.5])
    along = a @ g / (a @ a)
    tolerance = ROUNDING * (np.linalg.norm(g) + 20)
    opposite = box_least_norm([a, -a], g, [first, second])
    np.testing.assert_allclose(
        opposite.residual, g - a * np.clip(along, -second, first), rtol=0, atol=tolerance
    )
    double = box_least_norm([a, a, 2 * a], g, [first, second, second])
    np.testing.assert_allclose(
        double.residual, g - a * np.clip(along, 0, first + 3 * second), rtol=0, atol=tolerance
    )


@given(grids(caps=st.just(np.inf)))
def test_infinite_caps_are_nonnegative_least_squares(problem):
    A, g, caps = problem
    expected = nnls(A.T, g)[1] if len(A) else np.linalg.norm(g)
    assert box_least_norm(A, g, caps).norm == pytest.approx(expected, abs=KERNEL * (1 + np.linalg.norm(g)))


@given(grids(caps=st.sampled_from([0.0, 0.25, 1.0, 2.0])), st.integers(0, 2**20))
def test_points_of_the_zonotope_are_at_distance_zero(problem, seed):
    A, _, caps = problem
    rng = np.random.default_rng(seed)
    for t in (rng.uniform(size=len(A)) * caps, rng.integers(2, size=len(A)) * caps, np.zeros(len(A))):
        g = A.T @ t
        found = box_least_norm(A, g, caps)
        assert found.norm <= KERNEL * scale_of(A, g, caps)
        assert found.optimal


@given(grids(), st.floats(0, 12))
def test_threshold_exits_are_feasible_and_honest(problem, threshold):
    A, g, caps = problem
    full = box_least_norm(A, g, caps)
    early = box_least_norm(A, g, caps, threshold=threshold)
    assert_feasible(A, g, caps, early)
    scale = scale_of(A, g, caps)
    assert early.norm >= full.norm - KERNEL * scale
    if early.optimal or early.norm > threshold:
        assert early.norm == pytest.approx(full.norm, abs=KERNEL * scale)
    if full.norm > threshold:
        assert early.optimal


@given(grids(), st.sampled_from([1e-6, 0.5, 3.0, 1e8]), st.integers(0, 99))
def test_distance_is_homogeneous_and_blind_to_order_and_coordinates(problem, factor, seed):
    A, g, caps = problem
    reference = box_least_norm(A, g, caps).norm
    scale = scale_of(A, g, caps)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(A))
    turn = np.linalg.qr(rng.normal(size=(A.shape[1],) * 2))[0]
    assert box_least_norm(A[order], g, caps[order]).norm == pytest.approx(reference, abs=KERNEL * scale)
    assert box_least_norm(A @ turn, g @ turn, caps).norm == pytest.approx(reference, abs=KERNEL * scale)
    assert box_least_norm(factor * A, factor * g, caps).norm / factor == pytest.approx(
        reference, abs=KERNEL * scale
    )
    assert box_least_norm(A, factor * g, factor * caps).norm / factor == pytest.approx(
        reference, abs=KERNEL * scale
    )


@pytest.mark.parametrize("closeness", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13])
@pytest.mark.parametrize("seed", range(4))
def test_nearly_parallel_rows_leave_no_gap(closeness, seed):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(4, 4))
    A = np.vstack(
        [
            base,
            base + closeness * rng.normal(size=base.shape),
            -base[:2] + closeness * rng.normal(size=(2, 4)),
        ]
    )
    g, caps = 5 * rng.normal(size=4), rng.uniform(0.2, 2, size=10)
    found = box_least_norm(A, g, caps)
    assert_feasible(A, g, caps, found)
    scale = scale_of(A, g, caps)
    if found.norm > ILL_CONDITIONED * scale:
        assert found.norm - distance_below(A, g, caps, found.residual) <= ILL_CONDITIONED * scale


def test_badly_scaled_rows_do_not_hide_the_answer():
    rng = np.random.default_rng(5)
    for _ in range(20):
        sizes = 10.0 ** rng.uniform(-6, 6, size=12)
        A = rng.normal(size=(12, 4))
        g, caps = rng.normal(size=4) * 3, rng.uniform(size=12)
        plain, rescaled = box_least_norm(A, g, caps), box_least_norm(A * sizes[:, None], g, caps / sizes)
        assert rescaled.norm == pytest.approx(plain.norm, abs=KERNEL * scale_of(A, g, caps))


@pytest.mark.parametrize("factor", [1e-300, 1e-200, 1e200, 1e300])
def test_any_magnitude(factor):
    rng = np.random.default_rng(2)
    A, g, caps = rng.normal(size=(6, 3)), rng.normal(size=3), rng.uniform(size=6)
    plain = box_least_norm(A, g, caps)
    for found in (
        box_least_norm(factor * A, factor * g, caps),
        box_least_norm(A, factor * g, factor * caps),
    ):
        assert found.optimal
        assert found.norm / factor == pytest.approx(plain.norm, abs=KERNEL)
    other = box_least_norm(factor * A, g, caps / factor)
    assert other.norm == pytest.approx(plain.norm, abs=KERNEL)


def test_huge_caps_do_not_loosen_what_counts_as_inside():
    # the zonotope holds g with t far below the caps: rounding is measured by the t in use, not by the caps
    A = np.array([[1e-6, 0, 1e-6], [2e-4, 0, -2e-4], [1e-4, 0, 0], [-1e4, 1e4, 1e4]])
    g = np.array([-58.79453895913435, 58.79475548757895, 58.794631599697894])
    found = box_least_norm(A, g, [1.0, 1e6, 1.0, 1e6])
    assert found.norm <= ROUNDING * (np.linalg.norm(g) + found.t @ np.linalg.norm(A, axis=1))


def test_no_generators_and_no_target():
    empty = box_least_norm(np.zeros((0, 3)), [3.0, 0.0, 4.0], [])
    assert (empty.norm, empty.optimal, len(empty.t)) == (5.0, True, 0)
    nothing = box_least_norm([[1.0, 2.0]], [0.0, 0.0], [np.inf])
    assert (nothing.norm, nothing.optimal) == (0.0, True)


def test_arguments_are_not_modified():
    rng = np.random.default_rng(0)
    A, g, caps = rng.normal(size=(5, 3)), rng.normal(size=3), rng.uniform(size=5)
    copies = A.copy(), g.copy(), caps.copy()
    box_least_norm(A, g, caps)
    for now, before in zip((A, g, caps), copies, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize(
    ("A", "g", "caps"),
    [
        ([[1.0, 2.0]], [1.0], [1.0]),
        ([[1.0]], [1.0], [1.0, 2.0]),
        ([[1.0]], [1.0], [-1.0]),
        ([[1.0]], [1.0], [np.nan]),
        ([[1.0]], [1.0], ["one"]),
        ([[1.0]], [np.inf], [1.0]),
        ([[np.nan]], [1.0], [1.0]),
        ([1.0], [1.0], [1.0]),
    ],
)
def test_bad_input_is_refused(A, g, caps):
    with pytest.raises(InvalidInputError):
        box_least_norm(A, g, caps)


@pytest.mark.parametrize("seed", range(20))
def test_a_start_changes_the_way_and_not_the_answer(seed):
    rng = np.random.default_rng(seed)
    k, d = int(rng.integers(1, 12)), int(rng.integers(1, 6))
    A, g, upper = rng.normal(size=(k, d)), rng.normal(size=d), rng.random(k)
    if k > 2:
        A[1], A[2] = A[0], 0.0  # parallel generators and one of length zero
    cold = box_least_norm(A, g, upper)
    for start in (cold.t, cold.t + 0.1 * rng.normal(size=k), rng.normal(size=k)):
        warm = box_least_norm(A, g, upper, start=start)
        assert warm.optimal
        assert warm.norm == pytest.approx(cold.norm, rel=1e-10, abs=1e-14)
        assert (warm.t >= 0).all()
        assert (warm.t <= upper).all()
    assert box_least_norm(A, g, upper, start=cold.t).residual == pytest.approx(cold.residual, abs=1e-12)
