import math

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu._box_least_norm import box_least_norm
from convexrelu.errors import InvalidInputError
from convexrelu.training.early_phase.alignment import alignment_flow
from tests.tolerances import ROUNDING

FROM_TINY_WEIGHTS = 1e-9
"""gradient_flow from weights of 1e-9 integrates with an error of about 1e-11 and loss weights y/2 + 1e-18."""

FATES = {"aligned", "fading", "at_rest", "inactive"}


def random_problem(seed, n=12, d=3, m=20):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return X, y, rng.normal(size=(m, d)), np.where(rng.random(m) < 0.5, 1.0, -1.0)


def degenerate_problem(seed):
    """Small integers: ties, duplicates, antiparallel rows, zero rows, rank loss, starts on hyperplanes."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    X, y = rng.integers(-1, 2, size=(n, d)).astype(float), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    starts = rng.integers(-1, 2, size=(12, d)).astype(float)
    starts[~starts.any(axis=1)] = 1.0
    return X, y, starts, np.where(rng.random(12) < 0.5, 1.0, -1.0)


def least_pull(X, y, u, sign):
    """The least-norm element of the Clarke subdifferential of s y^T (X u)_+ / 2, by the package's kernel."""
    heights = X @ u / np.where(np.linalg.norm(X, axis=1) > 0, np.linalg.norm(X, axis=1), 1.0)
    fixed = 0.5 * sign * y @ (X * (heights > 1e-10)[:, None])
    tied = (np.abs(heights) <= 1e-10) & (sign * y < 0)
    return box_least_norm(0.5 * X[tied], fixed, np.ones(tied.sum())).residual


def distance_from_kkt(X, y, u, sign, value):
    """How far value * u is from the Clarke subdifferential of s y^T (X u)_+ / 2, ties of both labels free."""
    heights = X @ u / np.where(np.linalg.norm(X, axis=1) > 0, np.linalg.norm(X, axis=1), 1.0)
    pushes = 0.5 * sign * y[:, None] * X
    tied = np.abs(heights) <= 1e-10
    return box_least_norm(
        pushes[tied], value * u - pushes[heights > 1e-10].sum(axis=0), np.ones(tied.sum())
    ).norm


def test_tanh_law_while_the_pattern_lasts():
    # WP section 4: dc/dt = ||g|| (1 - c^2) for lam = y/2
    X, y = np.array([[1.0, 0.2], [0.8, -0.1], [0.9, 0.5]]), np.ones(3)
    g, u0 = X.T @ y / 2, np.array([0.3, 0.9]) / math.hypot(0.3, 0.9)
    size = np.linalg.norm(g)
    for t in np.linspace(0.01, 6.0, 40):
        flow = alignment_flow(X, y, [u0], t_max=t)
        law = math.tanh(size * t + math.atanh(u0 @ g / size))
        assert flow.n_changes[0] == 0
        assert flow.directions[0] @ g / size == pytest.approx(law, abs=ROUNDING)


def test_a_slide_worked_out_by_hand():
    # All rows active: g = (1, -1, 1)/2. The line (1 + a, 1/2 - a, 2 + a) meets the plane of row 2 at a = 1/2.
    # There rows 0 and 1 alone pull back with (1, 1, 1)/2, so that the neuron slides with (1, 0, 1)/2.
    X, y = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 2.0, 0.0]]), np.array([1.0, 1.0, -1.0])
    flow = alignment_flow(X, y, [[1.0, 0.5, 2.0]])
    (change,) = flow.changes(0)
    # w1^T g/||g|| = (e^{Gt} p - e^{-Gt} q)/2 with p, q = ||w1|| +- w1^T g/||g||: a quadratic for e^{Gt}
    G, size, before, met = math.sqrt(3) / 2, math.sqrt(5.25), 2.5 / math.sqrt(3), 4.0 / math.sqrt(3)
    z = (met + math.sqrt(met**2 + size**2 - before**2)) / (size + before)
    assert (change.row, change.kind) == (2, "slide")
    assert change.time == pytest.approx(math.log(z) / G, abs=ROUNDING)
    assert flow.log.rates[1] == pytest.approx(math.sqrt(0.5), abs=ROUNDING)
    np.testing.assert_allclose(flow.limits, [[math.sqrt(0.5), 0, math.sqrt(0.5)]], atol=ROUNDING)
    assert flow.extreme_points[0].value == pytest.approx(math.sqrt(2), abs=ROUNDING)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_limit_of_gradient_flow_from_tiny_weights(seed):
    X, y, starts, signs = random_problem(seed, n=4 + seed, d=2 + seed % 3, m=6)
    t, scale = 2.0 / math.sqrt(len(X)), 1e-9
    exact = alignment_flow(X, y, starts, signs=signs, t_max=t)
    path = cr.gradient_flow(X, y, cr.TwoLayerReLU(scale * exact.starts, scale * signs), t_max=t)
    sizes = np.linalg.norm(path.W1[-1], axis=1)
    np.testing.assert_allclose(path.W1[-1] / sizes[:, None], exact.directions, atol=FROM_TINY_WEIGHTS)
    np.testing.assert_allclose(np.log(sizes / scale), exact.log_growth, atol=FROM_TINY_WEIGHTS)
    # sorted by a rounded time, because changes at the same time have no order
    events = sorted((e.neuron, round(e.time, 7), e.row, e.kind, e.time) for e in path.events)
    changes = sorted((i, round(c.time, 7), c.row, c.kind, c.time) for i in range(6) for c in exact.changes(i))
    assert len(events) == len(changes)
    for event, change in zip(events, changes, strict=True):
        assert event[4] == pytest.approx(change[4], abs=1e-8)
        assert (event[0], *event[2:4]) == (change[0], *change[2:4])


@pytest.mark.parametrize("seed", range(5))
def test_neurons_are_on_the_hyperplane_at_the_time_they_meet_it(seed):
    X, y, starts, signs = random_problem(seed, m=6)
    flow = alignment_flow(X, y, starts, signs=signs)
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    for neuron in range(6):
        slides = set()
        for change in flow.changes(neuron):
            start, sign = starts[[neuron]], signs[neuron]
            there = alignment_flow(X, y, start, signs=sign, t_max=change.time).directions[0]
            if change.kind == "slide":
                slides.add(change.row)
            np.testing.assert_allclose(units[[change.row, *slides]] @ there, 0, atol=1e-11)
            slides.discard(change.row) if change.kind != "slide" else None


@pytest.mark.parametrize("seed", range(8))
def test_following_in_two_parts_is_following_at_once(seed):
    X, y, starts, signs = random_problem(seed)
    whole = alignment_flow(X, y, starts, signs=signs, t_max=0.9)
    first = alignment_flow(X, y, starts, signs=signs, t_max=0.4)
    second = alignment_flow(X, y, first.directions, signs=signs, t_max=0.5)
    np.testing.assert_allclose(second.directions, whole.directions, atol=1e-10)
    np.testing.assert_allclose(first.log_growth + second.log_growth, whole.log_growth, atol=1e-10)
    np.testing.assert_allclose(first.limits, whole.limits, atol=1e-10)


@given(st.integers(0, 10**6), st.booleans())
def test_limits_are_kkt_points(seed, degenerate):
    # value u is a Clarke subgradient, value = s y^T (X u)_+ / 2: positive where aligned, not where fading
    X, y, starts, signs = degenerate_problem(seed) if degenerate else random_problem(seed)
    flow = alignment_flow(X, y, starts, signs=signs)
    assert set(flow.status) <= FATES
    np.testing.assert_allclose(np.linalg.norm(flow.limits, axis=1), 1, atol=1e-12)
    for point in flow.extreme_points:
        assert point.sign * point.value > 0
        assert distance_from_kkt(X, y, point.direction, point.sign, point.sign * point.value / 2) <= 1e-9
    for i in np.flatnonzero(flow.status == "fading"):
        value = signs[i] * float(y @ np.maximum(X @ flow.limits[i], 0)) / 2
        assert value <= 0
        assert distance_from_kkt(X, y, flow.limits[i], signs[i], value) <= 1e-9
    for u in flow.limits[flow.status == "inactive"]:
        assert (X @ u <= 1e-11).all()


@pytest.mark.parametrize("seed", range(6))
def test_the_correlation_never_falls(seed):
    # s y^T (X u)_+ climbs along the flow: its derivative is ||g||^2 - (u^T g)^2 times 2
    X, y, starts, signs = random_problem(seed, n=20, d=4)
    before = np.full(len(starts), -np.inf)
    for t in np.geomspace(1e-3, 20.0, 60):
        u = alignment_flow(X, y, starts, signs=signs, t_max=t).directions
        value = signs * (np.maximum(X @ u.T, 0).T @ y)
        assert (value >= before - 1e-12 * len(X)).all()
        before = value


@pytest.mark.parametrize("seed", range(5))
def test_the_best_extreme_point_is_the_oracles(seed):
    X, y, _, _ = random_problem(seed, n=10)
    starts = np.random.default_rng(seed).normal(size=(2000, 3))
    best = cr.maximize_correlation(X, y)
    flow = alignment_flow(X, y, starts)
    assert flow.extreme_points[0].value == pytest.approx(best.value, rel=1e-9)
    np.testing.assert_allclose(flow.extreme_points[0].direction, best.direction, atol=1e-6)


@pytest.mark.parametrize("delta", [0.3, 0.05, 1e-3])
def test_proposition_6_holds_wherever_it_claims_anything(delta):
    claims, tightest = 0, 0.0
    for seed in range(60):
        X, y, starts, signs = random_problem(seed, n=2 + seed % 7, d=2 + seed % 2, m=50)
        flow = alignment_flow(X, y, starts, signs=signs)
        measured, bound = flow.time_to(delta), flow.time_bound(delta)
        assert (measured <= bound).all()
        claimed = np.isfinite(bound)
        assert np.isfinite(measured[claimed]).all()
        claims += int(claimed.sum())
        waiting = claimed & (bound > 0)
        tightest = max(tightest, float((measured[waiting] / bound[waiting]).max(initial=0.0)))
    assert claims > 500
    assert tightest > 0.3  # one pattern only: then the bound is the tanh law but for its slack in delta


def test_the_bound_of_a_single_row_is_lemma_3_with_corrected_constants():
    X, y, u0, delta = np.array([[3.0, 0.0]]), np.ones(1), np.array([0.6, 0.8]), 0.1
    k, g0 = math.sqrt(1 - delta / 4), 1.5
    ends = [math.log((k + c) / (k - c)) for c in (1 - delta / 2, 0.6)]
    flow = alignment_flow(X, y, [u0])
    assert flow.time_bound(delta)[0] == pytest.approx((ends[0] - ends[1]) / (2 * g0 * k), abs=ROUNDING)
    assert flow.time_to(delta)[0] == pytest.approx((math.atanh(0.9) - math.atanh(0.6)) / g0, abs=ROUNDING)


@pytest.mark.parametrize("seed", range(4))
def test_time_to_is_the_first_time_the_cosine_is_there(seed):
    X, y, starts, signs = random_problem(seed, m=10)
    flow = alignment_flow(X, y, starts, signs=signs)
    reached = flow.time_to(0.1)
    for i in np.flatnonzero(np.isfinite(reached) & (reached > 0)):
        for t, there in ((reached[i] * (1 - 1e-6), False), (reached[i] * (1 + 1e-6), True)):
            u = alignment_flow(X, y, starts[[i]], signs=signs[i], t_max=t).directions[0]
            g = least_pull(X, y, u, signs[i])
            assert (u @ g / np.linalg.norm(g) >= 0.9) is np.bool_(there)


def test_fading_neurons_shrink_exponentially_and_keep_their_direction():
    # the only row pulls a negative neuron back towards 0: ||w1|| = e^{-||g|| t}
    flow = alignment_flow([[2.0]], [1], [[1.0]], signs=-1, t_max=3.0)
    assert flow.status.tolist() == ["fading"]
    assert flow.log_growth[0] == pytest.approx(-3.0, abs=ROUNDING)
    assert flow.directions.tolist() == [[1.0]]
    assert flow.index.tolist() == [-1]
    assert flow.time_to(0.5).tolist() == [np.inf]


def test_a_valley_of_the_plane_fades_from_a_set_of_positive_measure():
    # y^T (X u)_+ < 0 has a local maximum at u = (1, 0): neurons slide there and shrink
    X, y = np.array([[1.0, 1.0], [1.0, -1.0]]), -np.ones(2)
    flow = alignment_flow(X, y, [[1.0, 0.1], [1.0, -0.2]])
    assert set(flow.status) <= {"inactive", "fading"}
    X, y = np.array([[1.0, 1.0], [1.0, -1.0], [-3.0, 0.0]]), -np.ones(3)
    flow = alignment_flow(X, y, [[-1.0, 0.1], [-1.0, -0.2], [1.0, 0.3]])
    for u, status in zip(flow.limits, flow.status, strict=True):
        assert status in {"inactive", "fading"}
        assert -y @ np.maximum(X @ u, 0) >= 0


def test_inactive_neurons_rest():
    flow = alignment_flow([[1.0, 0.0], [1.0, 1.0]], [1, -1], [[-1.0, -2.0]], signs=[-1.0], t_max=5.0)
    assert flow.status.tolist() == ["inactive"]
    assert flow.log_growth.tolist() == [0.0]
    np.testing.assert_allclose(flow.directions, flow.starts, atol=ROUNDING)


def test_contradicting_duplicates_pull_nowhere():
    flow = alignment_flow([[1.0, 0.0], [1.0, 0.0]], [1, -1], [[1.0, 1.0]])
    assert flow.status.tolist() == ["at_rest"]
    assert flow.extreme_points == ()


@pytest.mark.parametrize("label", [1, -1])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("start", [1.0, -1.0])
def test_one_row_in_one_dimension(label, sign, start):
    flow = alignment_flow([[1.0]], [label], [[start]], signs=sign)
    expected = "inactive" if start < 0 else "aligned" if label == sign else "fading"
    assert flow.status.tolist() == [expected]


def test_zero_rows_and_parallel_rows_count_for_what_they_pull():
    X, y, starts, signs = random_problem(3)
    doubled = np.vstack([X, np.zeros((2, 3)), X])
    halves = alignment_flow(doubled, np.r_[y, 1.0, -1.0, y], starts, signs=signs, t_max=0.3)
    whole = alignment_flow(2 * X, y, starts, signs=signs, t_max=0.3)
    np.testing.assert_allclose(halves.directions, whole.directions, atol=1e-10)


@pytest.mark.parametrize("seed", range(40))
def test_degenerate_data_agree_with_gradient_flow(seed):
    # from generic starts: where several hyperplanes are met at once the inclusion need not have one solution
    X, y, starts, signs = degenerate_problem(seed)
    starts = np.random.default_rng(seed).normal(size=starts.shape)
    exact = alignment_flow(X, y, starts, signs=signs, t_max=0.7)
    path = cr.gradient_flow(X, y, cr.TwoLayerReLU(1e-9 * exact.starts, 1e-9 * signs), t_max=0.7)
    sizes = np.linalg.norm(path.W1[-1], axis=1)
    times = [[change.time for change in exact.changes(i)] for i in range(len(starts))]
    alone = np.array([len(set(moments)) == len(moments) for moments in times])
    assert alone.sum() >= 8
    np.testing.assert_allclose((path.W1[-1] / sizes[:, None])[alone], exact.directions[alone], atol=1e-7)


def test_rows_at_zero_at_the_start_are_inactive_unless_the_velocity_says_otherwise():
    # row 0 pulls along (-1, 0, -1)/2, which leaves row 1 (y = +1) at zero: it stays inactive
    X = np.array([[-1.0, 0.0, -1.0], [1.0, 0.0, -1.0], [1.0, -1.0, -1.0]])
    flow = alignment_flow(X, [1, 1, -1], [[-1.0, 0.0, -1.0]], t_max=1.0)
    np.testing.assert_allclose(flow.directions, flow.starts, atol=ROUNDING)
    assert flow.status.tolist() == ["aligned"]
    # row 1 turned towards the pull joins at once
    joined = alignment_flow([[1.0, 0.0], [0.5, 1.0]], [1, 1], [[1.0, -0.5]], t_max=1e-3)
    assert joined.log.rates[0] == pytest.approx(math.hypot(1.5, 1.0) / 2, abs=ROUNDING)


def test_a_tie_that_only_rounding_would_break_is_broken_alike():
    # u = (1, -1, -2)/sqrt 6 is on row 2's hyperplane, and row 1 alone is active: its pull (1, 0, -1) is at
    # right angles to row 2, so that nothing but the rounding of the frozen loss weights leads off
    X, y = np.array([[2.0, 0.0, 2.0], [2.0, 0.0, -2.0], [-2.0, 2.0, -2.0]]), [-1, 1, 1]
    u = np.array([[1.0, -1.0, -2.0]]) / 6**0.5
    exact = alignment_flow(X, y, u, t_max=1.0)
    path = cr.gradient_flow(X, y, cr.TwoLayerReLU(1e-9 * u, [1e-9]), t_max=1.0)
    assert exact.changes(0) == path.events == ()
    np.testing.assert_allclose(path.directions[-1], exact.directions, atol=1e-10)


@pytest.mark.parametrize("exponent", [-90, 7, 90])
def test_units_of_the_data_only_change_the_clock(exponent):
    X, y, starts, signs = random_problem(5)
    unit = 10.0**exponent
    here = alignment_flow(X, y, starts, signs=signs, t_max=1.0)
    there = alignment_flow(unit * X, y, starts, signs=signs, t_max=1.0 / unit)
    np.testing.assert_allclose(there.directions, here.directions, atol=1e-11)
    np.testing.assert_allclose(there.log.times * unit, here.log.times, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(there.time_to(0.1) * unit, here.time_to(0.1), rtol=1e-9)
    assert there.index.tolist() == here.index.tolist()


def test_rotations_turn_the_answer():
    X, y, starts, signs = random_problem(6)
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    here = alignment_flow(X, y, starts, signs=signs)
    there = alignment_flow(X @ Q, y, starts @ Q, signs=signs)
    np.testing.assert_allclose(there.limits, here.limits @ Q, atol=1e-10)


def test_flipping_labels_and_signs_changes_nothing():
    X, y, starts, signs = random_problem(7)
    here, there = (alignment_flow(X, s * y, starts, signs=s * signs) for s in (1, -1))
    assert np.array_equal(here.limits, there.limits)
    assert [p.value for p in here.extreme_points if p.sign > 0] == [
        -p.value for p in there.extreme_points if p.sign < 0
    ]


def test_orthogonally_separable_data_have_one_extreme_point_a_sign():
    X, y = cr.datasets.orthogonally_separable(12, 4, rng=0)
    starts = np.random.default_rng(1).normal(size=(200, 4))
    for sign in (1.0, -1.0):
        flow = alignment_flow(X, y, starts, signs=sign)
        own = X[y == sign].sum(axis=0)
        for point in flow.extreme_points:  # WP 3.1: ||X_c^T lam_c|| is the largest value
            if point.value * sign == pytest.approx(np.linalg.norm(own), rel=1e-9):
                np.testing.assert_allclose(point.direction, own / np.linalg.norm(own), atol=1e-9)
        assert abs(flow.extreme_points[0].value) == pytest.approx(np.linalg.norm(own), rel=1e-9)


def test_the_answer_does_not_depend_on_the_workers():
    X, y, _, _ = random_problem(8, n=10)
    starts = np.random.default_rng(0).normal(size=(9000, 3))
    flows = []
    for workers in (1, 2):
        with joblib.parallel_config(n_jobs=workers):
            flows.append(alignment_flow(X, y, starts, t_max=1.0))
    for name in ("directions", "limits", "log_growth", "index", "n_changes"):
        assert np.array_equal(getattr(flows[0], name), getattr(flows[1], name))
    assert np.array_equal(flows[0].log.times, flows[1].log.times)


def test_without_a_record_the_rest_is_the_same():
    X, y, starts, signs = random_problem(9)
    kept, bare = (alignment_flow(X, y, starts, signs=signs, t_max=1.0, record=r) for r in (True, False))
    assert np.array_equal(kept.limits, bare.limits)
    assert np.array_equal(kept.n_changes, bare.n_changes)
    assert len(kept.log.times) == kept.n_changes.sum() + len(kept)
    with pytest.raises(InvalidInputError, match="record=True"):
        bare.time_to(0.1)


def test_it_describes_itself():
    flow = alignment_flow(np.eye(2), [1, 1], [[1.0, -0.5], [0.3, 1.0], [-1.0, -1.0]])
    assert "2 aligned, 1 inactive" in str(flow)
    assert "2 extreme points" in repr(flow)
    assert flow.index.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    "change",
    [
        {"directions": [[0.0, 0.0]]},
        {"directions": [[1.0]]},
        {"directions": [1.0, 2.0]},
        {"t_max": 0.0},
        {"t_max": np.nan},
        {"signs": 0.5},
        {"signs": [1.0, -1.0]},
        {"y": [1, 2, 3]},
        {"X": [[1.0, np.nan]] * 3},
        {"X": [[1e200, 1.0]] * 3},
    ],
)
def test_bad_input(change):
    arguments = {"X": [[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]], "y": [1, -1, 1], "directions": [[1.0, 0.0]]}
    with pytest.raises(InvalidInputError):
        alignment_flow(**(arguments | change))


@pytest.mark.parametrize("signs", ["a", None, {1}, [[1.0], [1.0, -1.0]]])
@pytest.mark.usefixtures("unchecked")
def test_signs_that_are_no_numbers(signs):
    with pytest.raises(InvalidInputError, match="signs"):
        alignment_flow([[1.0, 2.0]], [1], [[1.0, 0.0]], signs=signs)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("neuron", [5, 2, -1, 0.0, "a"])
def test_changes_of_a_neuron_that_is_not_there(neuron):
    flow = alignment_flow(np.eye(2), [1, -1], [[1.0, 0.2], [0.2, 1.0]])
    with pytest.raises(InvalidInputError, match="from 0 to 1"):
        flow.changes(neuron)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, np.nan])
def test_bad_delta(delta):
    with pytest.raises(InvalidInputError, match="delta"):
        alignment_flow([[1.0]], [1], [[1.0]]).time_to(delta)
