from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from convexrelu.solvers.all_rows import FIRST, mixed
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.linear_master import Master
from convexrelu.solvers.problem import Neurons, prepare
from convexrelu.solvers.working_set import generate_lazily

N = 3 * FIRST  # most rows have no constraint of their own to begin with


def noisy(n=N, d=4, flipped=0.1):
    rng = np.random.default_rng(0)
    X = np.c_[rng.normal(size=(n, d - 1)), np.ones(n)]
    f = np.maximum(X @ rng.normal(size=(d, 3)), 0) @ [1.0, -1.0, 1.0]
    y = np.where(f > np.median(f), 1.0, -1.0)
    return X, np.where(rng.random(n) < flipped, -y, y)


def directions(problem, size=40):
    rng = np.random.default_rng(1)
    U = rng.normal(size=(size, problem.rows.shape[1]))
    signs = np.where(np.arange(size) % 2, 1.0, -1.0)
    return Neurons(U=U / np.linalg.norm(U, axis=1, keepdims=True), signs=signs)


def unlimited():
    return SolverClock(limit=np.inf)


@pytest.mark.parametrize("C", [0.01, 1.0, 1e4])
def test_the_best_mix_is_that_of_the_linear_program_over_all_rows(C):
    problem = prepare(*noisy(), C)
    known = directions(problem)
    mix = mixed(problem, problem.empty_neurons, known, clock=unlimited())
    F = problem.features(known)
    whole = linprog(
        -problem.demand, A_ub=F.T, b_ub=np.ones(len(known)), bounds=np.c_[0 * problem.caps, problem.caps]
    )
    assert mix.value == pytest.approx(problem.objective(mix.neurons), rel=1e-12)
    assert mix.value == pytest.approx(-whole.fun, rel=2e-4)
    assert problem.demand @ mix.mu == pytest.approx(-whole.fun, rel=2e-4)
    assert (F.T @ mix.mu).max() <= 1 + 1e-7
    assert (mix.mu >= 0).all()
    assert (mix.mu <= problem.caps * (1 + 1e-9)).all()


def test_without_slack_the_mix_meets_every_margin_at_the_least_norm():
    X, _ = noisy()
    U = directions(prepare(X, np.where(X[:, 0] > 0, 1.0, -1.0), np.inf)).U
    f = np.maximum(X @ U.T, 0) @ np.sin(np.arange(len(U)))
    far = np.abs(f) > 0.3
    problem = prepare(X[far], np.sign(f[far]), np.inf)
    known = Neurons(U=np.vstack([U, U]), signs=np.repeat([1.0, -1.0], len(U)))
    mix = mixed(problem, problem.empty_neurons, known, clock=unlimited())
    F = problem.features(known)
    whole = linprog(np.ones(len(known)), A_ub=-F, b_ub=-problem.demand)
    assert mix.value == pytest.approx(whole.fun, rel=2e-4)
    assert problem.demand @ mix.mu == pytest.approx(whole.fun, rel=2e-4)


def test_directions_that_do_not_separate_are_no_hard_margin():
    X, y = noisy()
    problem = prepare(X, y, np.inf)
    mix = mixed(problem, problem.empty_neurons, directions(problem, 4), clock=unlimited())
    assert mix.value == np.inf


def test_without_time_the_start_comes_back():
    problem = prepare(*noisy(), 1.0)
    start = directions(problem, 3)
    mix = mixed(problem, start, directions(problem), clock=SolverClock(limit=0.0))
    assert mix.neurons is start
    assert mix.value == problem.objective(start)


def test_rows_that_pay_together_pay_no_more_than_each_alone():
    problem = prepare(*noisy(300), 0.3)
    known = directions(problem)
    own, others = np.arange(100), np.arange(100, 300)
    together = Master(problem.subset(own), penalty=np.inf, rest=problem.subset(others))
    alone = Master(problem, penalty=np.inf)
    for master in (together, alone):
        master.add(known)
    mix = together.solve()
    assert 0 <= mix.rest <= 1
    assert mix.value <= alone.solve().value * (1 + 1e-9)
    mu = np.r_[mix.mu, mix.rest * problem.caps[others]]
    assert (problem.features(known).T @ mu).max() <= 1 + 1e-7
    assert problem.demand @ mu == pytest.approx(mix.value, rel=1e-9)


@pytest.mark.parametrize("C", [1e4, np.inf])
def test_a_search_that_is_cut_off_returns_the_best_mix_of_its_neurons(C):
    X, y = noisy(N, 4, flipped=0.0)
    problem = prepare(X, y, C)
    clock = SolverClock(limit=0.2)
    found = generate_lazily(
        problem, problem.empty_neurons, tol=1e-6, clock=clock, whole=unlimited(), rng=np.random.default_rng(0)
    )
    again = mixed(problem, found.neurons, problem.empty_neurons, clock=unlimited())
    assert again.value >= problem.objective(found.neurons) * (1 - 2e-4)
