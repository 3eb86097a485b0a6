"""The plane: the linear program on the circle against the full program, and on data hard for float64."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import convexrelu as cr
from convexrelu.certificates.bounds import best_rescaling, upper_bound
from convexrelu.oracle import dual_norm
from convexrelu.solvers import plane
from convexrelu.solvers.circle import CircleProgram, circle_of
from convexrelu.solvers.feasibility import check_feasible
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.plane import solve_plane
from convexrelu.solvers.problem import Neurons, prepare


def random_labels(n, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)), np.where(rng.random(n) < 0.5, 1.0, -1.0)


def bracket(X, y, C=np.inf, tol=1e-6, limit=np.inf):
    """Certified bounds in the data's coordinates, from the arrays alone; and the candidate."""
    problem = prepare(X, y, C)
    found = solve_plane(problem, tol=tol, clock=SolverClock(limit=limit))
    assert len(found.neurons) <= len(y)
    assert (found.mu >= 0).all()
    assert (found.mu <= problem.caps).all()
    network = problem.network(found.neurons)
    if np.isfinite(C):
        network = best_rescaling(X, y, network, C)
    lam = problem.dual(found.mu)
    nothing = ~X.any(axis=1)
    lam[nothing] = C * y[nothing] if np.isfinite(C) else 0.0
    norm = dual_norm(X, lam)
    assert norm.value <= 1 + 1e-9
    return y @ lam / max(norm.upper_bound, 1.0), upper_bound(X, y, network, C), found


def assert_closed(low, high, tol=1e-6):
    assert low <= high * (1 + 1e-12)
    assert high - low <= tol * high


@st.composite
def planar_data(draw):
    """Integer rows of rank two: duplicates, parallel, opposite and (with slack) zero rows, one class."""
    n = draw(st.integers(2, 9))
    X = draw(hnp.arrays(float, (n, 2), elements=st.integers(-2, 2).map(float)))
    y = draw(hnp.arrays(float, n, elements=st.sampled_from([-1.0, 1.0])))
    C = draw(st.sampled_from([np.inf, np.inf, 0.01, 0.7, 30.0]))
    assume(np.linalg.matrix_rank(X) == 2)
    if np.isinf(C):
        try:
            check_feasible(X, y)
        except cr.InfeasibleError:
            assume(False)
    return X, y, C


@given(planar_data())
@settings(max_examples=40, deadline=None)
def test_degenerate_data_is_solved_to_the_tolerance(data):
    X, y, C = data
    low, high, _ = bracket(X, y, C)
    assert_closed(low, high)


@pytest.mark.parametrize("C", [np.inf, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_full_program(seed, C):
    pytest.importorskip("cvxpy")
    X, y = random_labels(9, seed)
    X[3], X[4] = -2 * X[0], 0.5 * X[1]  # an antiparallel row, and a parallel one
    y[4] = y[1]
    low, high, _ = bracket(X, y, C)
    reference = cr.solve_max_margin(X, y, C=C, method="program")
    assert_closed(low, high)
    assert high == pytest.approx(reference.objective, rel=1e-6)


@pytest.mark.parametrize(("n", "tol"), [(60, 1e-6), (150, 1e-6), (500, 2e-6)])
def test_random_labels(n, tol):
    """P* grows to 1e6; what remains of the gap at n = 500 is the certificate's own rounding."""
    X, y = random_labels(n, 0)
    low, high, found = bracket(X, y)
    assert_closed(low, high, tol)
    assert len(found.neurons) < n


def test_the_time_of_random_labels():
    bracket(*random_labels(10, 3))
    X, y = random_labels(150, 1)
    started = time.process_time()
    bracket(X, y)
    assert time.process_time() - started < 2.0  # 0.2 s; machines are shared


def test_two_rows_in_closed_form():
    """Orthogonal rows of different labels need one neuron each: P* = 1/||x_1|| + 1/||x_2|| (WP 3.1)."""
    low, high, found = bracket(np.array([[2.0, 0.0], [0.0, 0.5]]), np.array([1.0, -1.0]))
    assert_closed(low, high)
    assert high == pytest.approx(0.5 + 2.0, rel=1e-6)
    assert len(found.neurons) == 2


def test_one_class():
    """One neuron through the middle serves two rows at a right angle: P* = 1/dist(0, hull) = sqrt 2."""
    low, high, _ = bracket(np.eye(2), np.ones(2))
    assert_closed(low, high)
    assert high == pytest.approx(np.sqrt(2), rel=1e-6)
    low, high, _ = bracket(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]), -np.ones(3))
    assert_closed(low, high)


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize("same", [True, False])
def test_close_rows(gap, same):
    """With one label they cost nothing; with two, P* is of the order 1/gap and digits are lost to it."""
    X, y = random_labels(8, 5)
    X[1] = X[0] + gap * np.array([0.6, 0.8])
    y[1] = y[0] if same else -y[0]
    low, high, _ = bracket(X, y)
    assert_closed(low, high, 1e-6 if same else max(1e-6, 1e-12 / gap))
    assert high < 1e4 if same else 0.1 / gap < high < 100 / gap


def test_three_close_rows():
    X, y = random_labels(8, 5)
    X[1], X[2] = X[0] + 1e-6 * np.array([0.6, 0.8]), X[0] - 1e-6 * np.array([0.6, 0.8])
    y[:3] = [1.0, -1.0, 1.0]
    low, high, _ = bracket(X, y)
    assert_closed(low, high, 1e-5)


def test_badly_scaled_rows():
    rng = np.random.default_rng(0)
    X, y = random_labels(12, 2)
    X *= 10.0 ** rng.uniform(-3, 3, size=(12, 1))
    low, high, _ = bracket(X, y)
    assert_closed(low, high, 1e-5)  # the rounding of the margins of long rows beside short ones


@pytest.mark.parametrize("C", [np.inf, 1.0, 0.01])
def test_many_rows_enter_lazily(C, monkeypatch):
    X, y = (np.asarray(part) for part in cr.datasets.teacher(1100, 2, rng=0))
    low, high, lazy = bracket(X, y, C)
    assert_closed(low, high)
    monkeypatch.setattr(plane, "WHOLE", len(y))
    low, high, whole = bracket(X, y, C)
    assert_closed(low, high)
    assert lazy.value == pytest.approx(whole.value, rel=2e-6)


def test_a_hundred_thousand_rows():
    X, y = (np.asarray(part) for part in cr.datasets.teacher(100_000, 2, rng=0))
    low, high, found = bracket(X, y)
    assert_closed(low, high)
    assert np.count_nonzero(found.mu) < 50


@pytest.mark.parametrize("C", [1e-12, 1e-3])
def test_slack_that_costs_less_than_any_neuron(C):
    """On unit rows |F| <= sum caps: below 1 the multipliers at their caps and no neuron are optimal."""
    X, y = random_labels(20, 0)
    low, high, found = bracket(X, y, C)
    assert high == pytest.approx(20 * C, rel=1e-12)
    assert_closed(low, high)
    assert len(found.neurons) == 0


def test_rotation_reflection_and_order_change_nothing():
    X, y = random_labels(40, 4)
    _, high, _ = bracket(X, y)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 2)))[0]
    order = np.random.default_rng(2).permutation(40)
    for other in (X @ turn.T, X * [1.0, -1.0]):
        assert bracket(other[order], y[order])[1] == pytest.approx(high, rel=1e-6)
    assert bracket(X, -y)[1] == pytest.approx(high, rel=1e-6)


def test_no_time_gives_bounds():
    X, y = random_labels(100, 0)
    truth = bracket(X, y)
    low, high, _ = bracket(X, y, limit=1e-9)
    assert 0 < low <= truth[1]
    assert high >= truth[0]


def test_the_circle_evaluates_the_dual_function():
    """E + G^T u / 2 is sum_n y_n mu_n (v_n^T u)_+: the program's rows against the definition."""
    rng = np.random.default_rng(0)
    X, y = random_labels(15, 1)
    X[2], X[3] = -X[0], X[1] + 1e-7
    problem = prepare(X, y, 1.0)
    circle = circle_of(problem.rows)
    assert (np.diff(circle.angles) > 0).all()
    program = CircleProgram(problem=problem, circle=circle)
    mu = rng.random(15)
    K = len(circle.knots)
    even = (np.abs(circle.knots @ problem.rows.T) / 2) @ (y * mu)
    # the slope just after a knot; of the knot's own rows it is 1/2 |v_n|
    turned = np.column_stack([-circle.knots[:, 1], circle.knots[:, 0]])
    side = np.sign(circle.knots @ problem.rows.T)
    ahead = np.sign(turned @ problem.rows.T)
    own = circle.knot[None, :] == np.arange(K)[:, None]
    slope = (np.where(own, ahead, side) * (turned @ problem.rows.T) / 2) @ (y * mu)
    state = np.r_[mu / program.units, even, slope / circle.slope_units, (y * mu) @ problem.rows]
    assert np.abs(program.equations @ state).max() <= 1e-9  # magnified by 1e3
    U = rng.normal(size=(50, 2))
    U = np.vstack([U / np.linalg.norm(U, axis=1)[:, None], circle.knots, -circle.knots])
    F = np.maximum(U @ problem.rows.T, 0) @ (y * mu)
    spline = circle.values(U) @ state[15 : 15 + 2 * K] + U @ state[-2:] / 2
    assert np.allclose(spline, F, rtol=0, atol=1e-10)


def test_neurons_of_one_activity_are_merged():
    X, y = random_labels(30, 0)
    problem = prepare(X, y, np.inf)
    found = solve_plane(problem, tol=1e-6, clock=SolverClock(limit=np.inf))
    masks = np.column_stack([found.neurons.U @ problem.rows.T > 1e-9, found.neurons.signs > 0])
    assert len(np.unique(masks, axis=0)) >= len(masks) - 1
    circle = circle_of(problem.rows)
    U = np.random.default_rng(1).normal(size=(200, 2))
    cells = circle.cells(U / np.linalg.norm(U, axis=1)[:, None])
    patterns = U @ problem.rows.T > 0
    for i in range(200):
        same = (patterns == patterns[i]).all(axis=1)
        assert np.array_equal(same, cells == cells[i])


def test_multipliers_are_sharp_at_the_neurons():
    """Complementarity: |F| = 1 along every neuron, up to the certified gap over its share of the whole."""
    X, y = random_labels(50, 2)
    problem = prepare(X, y, np.inf)
    found = solve_plane(problem, tol=1e-8, clock=SolverClock(limit=np.inf))
    sizes = np.linalg.norm(found.neurons.U, axis=1)
    U = Neurons(U=found.neurons.U / sizes[:, None], signs=found.neurons.signs)
    F = found.neurons.signs * (np.maximum(U.U @ problem.rows.T, 0) @ (y[problem.index] * found.mu))
    assert (sizes @ (1 - F)) <= 1e-7 * sizes.sum()
    assert (F <= 1 + 1e-9).all()
