from __future__ import annotations

import logging
import signal
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import linprog

from convexrelu import solve, solve_max_margin
from convexrelu._clock import Interruption
from convexrelu._parallel import _BLAS
from convexrelu.certificates.bounds import upper_bound
from convexrelu.oracle.ascent import climb
from convexrelu.oracle.near_ascent import ascend, beside
from convexrelu.oracle.zonotopes import zonotopes_of
from convexrelu.solvers import soft_margin
from convexrelu.solvers.central_master import CentralMaster
from convexrelu.solvers.column_generation import Candidate, generate
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, prepare
from convexrelu.solvers.reduced_program import ReducedProgram
from convexrelu.solvers.regularized import search
from convexrelu.solvers.soft_margin import SoftMargin


def noisy(n, d, seed=0, flipped=0.1):
    """Gaussian rows with a bias column, labelled by a small network, some labels flipped."""
    rng = np.random.default_rng(seed)
    X = np.c_[rng.normal(size=(n, d - 1)), np.ones(n)]
    f = np.maximum(X @ rng.normal(size=(d, 3)), 0) @ [1.0, -1.0, 1.0]
    y = np.where(f > np.median(f), 1.0, -1.0)
    return X, np.where(rng.random(n) < flipped, -y, y)


def searched(problem, tol, rng=0):
    clock = SolverClock(limit=np.inf)
    search = SoftMargin(problem, tol=tol, clock=clock, rng=np.random.default_rng(rng), proof_clock=clock)
    return search.solve(problem.empty_neurons), clock.rounds


@pytest.mark.parametrize("C", [0.01, 0.3, 3.0])
def test_optimal_and_equal_to_the_search_on_working_sets(C):
    X, y = noisy(80, 3)
    problem = prepare(X, y, C)
    found, _ = searched(problem, 1e-6)
    clock = SolverClock(limit=np.inf)
    other = generate(problem, tol=1e-6, clock=clock, rng=np.random.default_rng(0))
    assert problem.objective(found.neurons) == pytest.approx(problem.objective(other.neurons), rel=2e-6)
    bound = found.bound(problem)
    assert (
        problem.objective(found.neurons) * (1 - 1e-6)
        <= bound
        <= problem.objective(other.neurons) * (1 + 1e-9)
    )


def test_the_objective_falls_and_is_that_of_a_network_on_all_rows():
    X, y = noisy(120, 4, seed=1)
    problem = prepare(X, y, 0.5)
    found, rounds = searched(problem, 1e-3)
    objectives = [entry.objective for entry in rounds]
    assert len(objectives) > 3
    assert (np.diff(objectives) <= 0).all()
    reached = problem.objective(found.neurons) * problem.scale
    assert reached <= objectives[-1] * (1 + 1e-5)
    network = problem.network(found.neurons)
    assert upper_bound(X, y, network, 0.5) <= reached * (1 + 1e-9)


def test_bounds_in_the_history_only_grow_where_the_search_has_seen_all():
    """What the local search says of a bound is an estimate; what the oracle says of it never exceeds P*."""
    X, y = noisy(100, 3, seed=2)
    problem = prepare(X, y, 1.0)
    found, rounds = searched(problem, 1e-4)
    proven = [entry.bound for entry in rounds if entry.phase == "oracle"]
    assert proven
    assert max(proven) <= problem.objective(found.neurons) * problem.scale * (1 + 1e-9)


@pytest.mark.parametrize("limit", [0.01, 0.3, 1.0])
def test_whatever_the_limit_the_network_is_worth_more_than_none_and_is_certified(limit):
    X, y = noisy(1500, 4, seed=3)
    solution = solve_max_margin(X, y, C=1.0, time_limit=limit)
    assert 0 < solution.lower_bound <= solution.objective <= len(y) * 1.0
    assert upper_bound(X, y, solution.network, 1.0) <= solution.objective * (1 + 1e-9)
    assert (y * solution.lam >= 0).all()
    assert (y * solution.lam <= 1 + 1e-9).all()
    assert solution.certificate.check(X, y)


def test_a_loose_tolerance_saves_rounds_and_is_called_optimal():
    X, y = noisy(150, 3, seed=4)
    loose, tight = (solve_max_margin(X, y, C=1.0, tol=tol) for tol in (1e-2, 1e-6))
    for solution, tol in ((loose, 1e-2), (tight, 1e-6)):
        assert solution.status == "optimal"
        assert solution.gap <= tol
        assert solution.certificate.check(X, y)
    assert len(loose.history) < len(tight.history)
    assert loose.lower_bound <= tight.objective * (1 + 1e-9)
    assert tight.lower_bound <= loose.objective * (1 + 1e-9)


def test_dearer_slack_never_costs_less():
    X, y = noisy(100, 4, seed=5)
    solutions = [solve_max_margin(X, y, C=C, tol=1e-3) for C in (0.01, 0.1, 1.0)]
    for cheap, dear in pairwise(solutions):
        assert cheap.lower_bound <= dear.objective


def test_ctrl_c_returns_a_good_network(caplog):
    class Press(logging.Handler):
        def emit(self, record):
            if record.getMessage().startswith("directions") and not self.pressed:
                self.pressed = True
                signal.raise_signal(signal.SIGINT)

    X, y = noisy(150, 5, seed=6)
    handler = Press(logging.INFO)
    handler.pressed = False
    logger = logging.getLogger("convexrelu")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with caplog.at_level(logging.INFO, logger="convexrelu"):
        logger.addHandler(handler)
        try:
            solution = solve_max_margin(X, y, C=1.0)
        finally:
            logger.removeHandler(handler)
            signal.signal(signal.SIGINT, before)
    assert solution.status == "interrupted"
    assert 0 < solution.lower_bound <= solution.objective < len(y)


def test_the_central_master_reaches_the_linear_program():
    X, y = noisy(60, 3, seed=7)
    problem = prepare(X, y, 0.7)
    rng = np.random.default_rng(0)
    U = rng.normal(size=(40, problem.rows.shape[1]))
    directions = Neurons(
        U=U / np.linalg.norm(U, axis=1, keepdims=True), signs=np.where(rng.random(40) < 0.5, 1.0, -1.0)
    )
    master = CentralMaster(problem)
    master.add(directions)
    mix = master.solve(1e-9)
    F = problem.features(directions)
    known = linprog(
        -problem.demand, A_ub=F.T, b_ub=np.ones(40), bounds=list(zip(np.zeros(60), problem.caps, strict=True))
    )
    assert mix.value == pytest.approx(-known.fun, rel=1e-6)
    assert problem.demand @ mix.mu == pytest.approx(-known.fun, rel=1e-6)
    assert (F.T @ mix.mu <= 1).all()
    assert (mix.mu > 0).all()
    assert (mix.mu < problem.caps).all()
    assert problem.objective(mix.neurons) == pytest.approx(mix.value, rel=1e-6)
    heights = F.T @ problem.caps
    assert master.largest(problem.caps) == pytest.approx(heights.max())
    strongest = master.strongest(problem.caps, above=np.sort(heights)[-3], most=10)  # those above it are two
    np.testing.assert_array_equal(strongest.U, directions.U[np.argsort(-heights)[:2]])
    assert len(master.strongest(problem.caps, above=0.0, most=1)) == 1
    size = len(master)
    master.drop_idle(0.7)
    assert len(master) < size
    assert master.solve(1e-9).value == pytest.approx(-known.fun, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_rows_far_from_their_margins_need_no_constraint(seed):
    """The reduced program with rows priced at their bounds has the value of the one that holds them all."""
    X, y = noisy(90, 3, seed=seed)
    problem = prepare(X, y, 0.5)
    found, _ = searched(problem, 1e-2)
    values = []
    for outputs in (None, problem.outputs(found.neurons)):
        program = ReducedProgram(problem)
        program.add(found.neurons)
        for _ in range(20):
            answer = program.solve(penalty=np.inf, size=found.value, outputs=outputs)
            if answer.settled:
                break
        assert answer.settled
        values.append(problem.objective(answer.neurons))
        assert problem.demand @ answer.mu == pytest.approx(values[-1], rel=1e-6)
    assert values[0] == pytest.approx(values[1], rel=1e-6)


@pytest.mark.parametrize("d", [3, 6])
def test_ascents_end_at_local_maxima(d):
    """No exact step improves on them, and the best of them is the best of the exact ascents."""
    rng = np.random.default_rng(d)
    rows = rng.normal(size=(60, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    weights = rng.normal(size=60)
    starts = rng.normal(size=(40, d))
    starts /= np.linalg.norm(starts, axis=1, keepdims=True)
    ends, values = ascend(rows, weights, starts)
    np.testing.assert_allclose(values, np.maximum(ends @ rows.T, 0) @ weights, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(ends, axis=1), 1, rtol=1e-12)
    assert (values >= np.maximum(starts @ rows.T, 0) @ weights - 1e-12).all()
    pair = zonotopes_of(rows, weights)
    exact = climb(pair, starts @ pair.basis)
    assert values.max() == pytest.approx(exact.values[0], rel=1e-6)


@pytest.mark.parametrize("d", [2, 3, 6])
def test_starts_beside_neurons_are_near_them_at_all_distances(d):
    rng = np.random.default_rng(d)
    directions = rng.normal(size=(5, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    starts = beside(directions, rng)
    np.testing.assert_allclose(np.linalg.norm(starts, axis=1), 1, rtol=1e-12)
    assert len(starts) % 5 == 0
    distances = np.linalg.norm(starts - np.repeat(directions, len(starts) // 5, axis=0), axis=1)
    assert distances.max() < 0.5
    assert np.median(distances) < 0.05
    many = np.repeat(directions, 2000, axis=0)
    assert len(beside(many, rng)) == len(many)  # one of each where they are many
    assert beside(directions[:0], rng).shape == (0, d)


@pytest.mark.parametrize(
    ("train", "module"),
    [(partial(solve_max_margin, C=1.0), soft_margin), (partial(solve, loss="squared", beta=0.5), search)],
)
def test_linear_algebra_keeps_to_one_thread(train, module, monkeypatch):
    """On two it takes several times as long, and the answer depends on their number."""
    limited = []

    def noting(*arguments):
        limited.append(_BLAS.limited)
        return ascend(*arguments)

    monkeypatch.setattr(module, "ascend", noting)
    train(*noisy(60, 4))
    assert limited
    assert all(limited)
    assert not _BLAS.limited


def test_an_interruption_before_the_start_still_answers():
    X, y = noisy(40, 3)
    problem = prepare(X, y, 1.0)
    clock = SolverClock(limit=np.inf, interruption=Interruption(pressed=True))
    search = SoftMargin(problem, tol=1e-6, clock=clock, rng=np.random.default_rng(0), proof_clock=clock)
    found = search.solve(problem.empty_neurons)
    assert problem.objective(found.neurons) <= problem.caps @ problem.demand


def test_where_all_rows_prove_next_to_nothing_a_sample_proves_its_share():
    rng = np.random.default_rng(1)
    X, y = np.c_[rng.normal(size=(2000, 3)), np.ones(2000)], np.where(rng.random(2000) < 0.5, 1.0, -1.0)
    problem = prepare(X, y, 10.0)
    clock = SolverClock(limit=20.0)
    search = SoftMargin(problem, tol=1e-6, clock=clock, rng=rng, proof_clock=clock)
    search.start(problem.empty_neurons)
    search.directions(0.1, 3)
    norm = problem.dual_norm(search.best.mu, search=False)
    whole = Candidate(neurons=search.neurons, mu=search.best.mu, norm=norm, value=search.value)
    found = search._of_samples(whole)
    assert found.neurons is whole.neurons
    assert whole.bound(problem) < found.bound(problem) <= search.value
    assert 0 < np.count_nonzero(found.mu) < 500
    assert (found.mu <= problem.caps).all()
    U = rng.normal(size=(5000, problem.rows.shape[1]))
    heights = np.maximum(U @ problem.rows.T, 0) / np.linalg.norm(U, axis=1)[:, None]
    assert np.abs(heights @ (problem.y * found.mu)).max() <= found.norm.upper_bound
    good = replace(whole, norm=replace(norm, upper_bound=1.0))
    assert search._of_samples(good) is good
