from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import ortho_group
from tolerances import ROUNDING, SOLVER

from convexrelu import InfeasibleError, datasets, is_orthogonally_separable, is_spike_free, solve_max_margin
from convexrelu._clock import Interruption
from convexrelu.certificates import certify
from convexrelu.solvers import check_feasible
from convexrelu.solvers.closed_forms import closed_form
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import prepare

TIGHT = 1e-9
"""The certified gap: rounding (1e-12) where rows are of one size; long rows cost it some digits."""

LINE = 1e-9
"""Soft margins in rank one: rounding, and caps that cancel against the largest of them."""


def solved(X, y, *, C=np.inf, tol=1e-6, clock=None):
    """The closed form's candidate with a certificate recomputed from the data; None if it declined."""
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if np.isinf(C):
        check_feasible(X, y)
    problem = prepare(X, y, C)
    candidate = closed_form(problem, tol=tol, clock=clock or SolverClock(limit=np.inf))
    if candidate is None:
        return None
    lam = problem.dual(candidate.mu)
    lam[~X.any(axis=1)] = (C * y)[~X.any(axis=1)] if np.isfinite(C) else 0.0
    assert (y * lam <= C * (1 + ROUNDING)).all()
    return certify(X, y, problem.network(candidate.neurons), lam, C=C)


def hull_distance(X):
    """By an independent solver: SLSQP on the weights."""
    gram = X @ X.T
    start = np.full(len(X), 1 / len(X))
    result = minimize(
        lambda a: a @ gram @ a,
        start,
        jac=lambda a: 2 * gram @ a,
        bounds=[(0, 1)] * len(X),
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return np.sqrt(result.fun)


@pytest.mark.parametrize("d", [2, 3, 10, 40])
def test_orthogonally_separable_data_has_the_distances_of_the_two_hulls(d):
    """WP section 3.1: P* = 1/gamma_+ + 1/gamma_-, and one neuron a class."""
    X, y = datasets.orthogonally_separable(60, d, rng=d)
    certificate = solved(X, y)
    expected = 1 / hull_distance(X[y > 0]) + 1 / hull_distance(X[y < 0])
    assert certificate.objective == pytest.approx(expected, rel=SOLVER)
    assert certificate.gap <= TIGHT
    assert certificate.exact
    assert certificate.network.n_neurons == 2


@pytest.mark.parametrize("n", [2, 3, 6, 12, 40])
@pytest.mark.parametrize("seed", range(3))
def test_spike_free_data_of_mixed_labels(n, seed):
    X, y = datasets.spike_free(n, n + 2, rng=seed)
    certificate = solved(X, y)
    assert certificate.gap <= TIGHT
    assert certificate.network.n_neurons == len(set(y))
    if n <= 6:
        pytest.importorskip("cvxpy")
        full = solve_max_margin(X, y, method="program")
        assert certificate.objective == pytest.approx(full.objective, rel=2e-6)


def test_the_papers_two_examples():
    for name, expected in (("wang-pilanci-f1", 1.282432), ("wang-pilanci-f2", 0.733582)):
        certificate = solved(*datasets.load(name))
        assert certificate.objective == pytest.approx(expected, abs=1e-6)
        assert certificate.gap <= TIGHT


@given(st.integers(0, 2**30))
def test_it_never_declines_the_structure_and_is_never_wrong(seed):
    """Integer grids, in any coordinates and scale of the rows: ties, duplicates, zero and parallel rows."""
    rng = np.random.default_rng(seed)
    n, d, kind = rng.integers(1, 7), rng.integers(1, 5), rng.integers(3)
    X, y = rng.integers(-2, 3, size=(n, d)).astype(float), rng.choice([-1.0, 1.0], n)
    if kind == 1 and d > 1:
        X = np.abs(X)
        X[y > 0, : d // 2], X[y < 0, d // 2 :] = 0, 0
    if kind == 2:
        X, y = np.abs(X), np.full(n, y[0])
    structured = is_orthogonally_separable(X, y) or is_spike_free(X)
    X = np.c_[X, np.zeros((n, 2))] @ np.linalg.qr(rng.normal(size=(d + 2, d + 2)))[0]
    X *= 10.0 ** rng.uniform(-rng.choice([0, 3, 6]), 3, size=(n, 1))
    try:
        certificate = solved(X, y)
    except InfeasibleError:
        return
    assert certificate is not None or not structured
    if certificate is not None:
        assert certificate.gap <= 1e-6


@pytest.mark.parametrize("labels", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_on_the_line_each_ray_is_a_problem_of_its_own(labels):
    """Hard margin: the shortest row of each ray decides, P* = 1/|x_+| + 1/|x_-|."""
    X = np.array([[2.0], [5.0], [0.5], [-4.0], [-0.25]])
    y = np.array([labels[0]] * 3 + [labels[1]] * 2, dtype=float)
    certificate = solved(X, y)
    assert certificate.objective == pytest.approx(1 / 0.5 + 1 / 0.25, rel=ROUNDING)
    assert certificate.gap <= ROUNDING
    assert certificate.network.n_neurons == 2


@given(st.integers(0, 2**30), st.floats(0.01, 100))
def test_soft_margins_on_the_line(seed, C):
    """Each ray: min |a| + C sum (1 - y_n a x_n)_+, a convex function of one variable."""
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 12)
    x = rng.integers(-3, 4, size=n).astype(float) if seed % 2 else rng.normal(size=n)
    y = rng.choice([-1.0, 1.0], n)
    certificate = solved(x[:, None], y, C=C) if x.any() else None
    expected = C * (x == 0).sum()
    for ray in (x > 0, x < 0):
        arms, signs = np.abs(x[ray]), y[ray]

        def objective(a, arms=arms, signs=signs):
            return abs(a) + C * np.maximum(1 - signs * a * arms, 0).sum()

        reach = 2 / arms.min(initial=1.0)
        kinks = [0.0, *(signs / arms)]
        expected += min(
            *(objective(a) for a in kinks),
            minimize_scalar(objective, bounds=(-reach, reach), method="bounded").fun,
        )
    if certificate is not None:
        assert certificate.objective == pytest.approx(expected, rel=LINE)
        assert certificate.gap <= LINE


def test_a_single_row():
    row = np.array([[1.0, -2.0, 2.0]])
    for label in (1.0, -1.0):
        assert solved(row, [label]).objective == pytest.approx(1 / 3, rel=ROUNDING)
        assert solved(row, [label], C=0.2).objective == pytest.approx(0.2, rel=ROUNDING)  # slack is cheaper
        assert solved(row, [label], C=0.2).network.n_neurons == 0
        assert solved(row, [label], C=5.0).objective == pytest.approx(1 / 3, rel=ROUNDING)


def test_one_class_in_a_cone_and_one_class_all_around():
    rng = np.random.default_rng(0)
    X = rng.uniform(0.1, 1, size=(50, 4))
    assert solved(X, -np.ones(50)).objective == pytest.approx(1 / hull_distance(X), rel=SOLVER)
    assert solved(np.vstack([np.eye(3), -np.eye(3)]), np.ones(6)) is None


def test_other_data_is_declined_at_the_price_of_a_product():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200_000, 5)), rng.choice([-1.0, 1.0], 200_000)
    problem = prepare(X, y, np.inf)
    started = time.process_time()
    assert closed_form(problem, tol=1e-6, clock=SolverClock(limit=np.inf)) is None
    assert time.process_time() - started < 0.5
    assert solved(X[:20], y[:20], C=1.0) is None


@pytest.mark.parametrize("spread", [0, 6])
def test_orthogonally_separable_at_scale(spread):
    """A hundred dimensions, products between classes that are zero but for rounding, norms over decades."""
    rng = np.random.default_rng(0)
    n, d = 20_000, 100
    X, y = np.zeros((n, d)), np.where(np.arange(n) < n // 2, 1.0, -1.0)
    X[: n // 2, : d // 2] = rng.random((n // 2, d // 2)) + 0.01
    X[n // 2 :, d // 2 :] = rng.random((n // 2, d // 2)) + 0.01
    X *= 10.0 ** rng.uniform(-spread, spread, size=(n, 1))
    X = X @ ortho_group.rvs(d, random_state=0)
    problem = prepare(X, y, np.inf)
    clock = SolverClock(limit=np.inf)
    started = time.process_time()
    candidate = closed_form(problem, tol=1e-6, clock=clock)
    assert time.process_time() - started < 3
    assert len(candidate.neurons) == 2
    gap = 1 - problem.demand @ candidate.mu / candidate.norm.upper_bound / candidate.value
    assert gap <= TIGHT
    assert clock.rounds[-1].bound <= clock.rounds[-1].objective <= (1 + TIGHT) * clock.rounds[-1].bound


def test_a_tolerance_beyond_float64_is_declined_rather_than_claimed():
    X, y = datasets.orthogonally_separable(30, 4, rng=1)
    assert solved(X, y, tol=1e-17) is None


def test_an_expired_clock_is_heard():
    X, y = datasets.orthogonally_separable(20_000, 30, rng=0)
    clock = SolverClock(limit=np.inf, interruption=Interruption(pressed=True))
    assert solved(X, y, clock=clock) is None


@pytest.mark.parametrize("C", [1e-140, 1e-6, 1e-3])
def test_slack_so_cheap_that_no_neuron_pays(C):
    """C sum ||x_n|| <= 1 makes lam = C y feasible: P* = C n, which the network without neurons attains."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 4)), np.where(rng.random(40) < 0.5, 1.0, -1.0)
    solution = solve_max_margin(X, y, C=C)
    assert (solution.method, solution.network.n_neurons, solution.status) == ("closed-form", 0, "optimal")
    assert solution.lower_bound <= 40 * C * (1 + 1e-15)
    assert solution.objective == pytest.approx(40 * C, rel=1e-12)
    assert solution.certificate.check(X, y)
