"""Rows entering lazily give the answer of all rows at once."""

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.solvers import working_set
from convexrelu.solvers.column_generation import generate
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, prepare


@pytest.mark.parametrize(("n", "d", "C"), [(900, 3, np.inf), (400, 4, np.inf), (350, 3, 0.5)])
def test_lazy_rows_agree_with_all_rows(n, d, C):
    X, y = cr.datasets.teacher(n, d, margin=0.2, rng=3)
    problem = prepare(np.asarray(X), np.asarray(y), C)
    few = working_set.generate_lazily(
        problem,
        problem.empty_neurons,
        tol=1e-6,
        clock=SolverClock(limit=np.inf),
        whole=SolverClock(limit=np.inf),
        rng=np.random.default_rng(0),
    )
    all_rows = generate(problem, tol=1e-6, clock=SolverClock(limit=np.inf), rng=np.random.default_rng(0))
    assert few.value == pytest.approx(all_rows.value, rel=2e-6)
    assert (few.mu >= 0).all()
    assert len(few.mu) == len(problem.y)
    # the bound of the working set is a bound for all rows: weak duality
    assert problem.demand @ few.mu / max(few.norm.upper_bound, 1.0) <= all_rows.value * (1 + 1e-6)
    if np.isinf(C):
        assert (problem.outputs(few.neurons) / problem.demand).min() >= 1 - 1e-7


def test_a_solution_of_many_rows_is_certified_on_all_of_them():
    X, y = cr.datasets.teacher(3000, 3, rng=1)
    solution = cr.solve_max_margin(X, y)
    assert solution.status == "optimal"
    assert (y * solution.network(X)).min() >= 1 - 1e-9
    assert solution.certificate.check(X, y)
    assert np.count_nonzero(solution.lam) < 100


def test_outputs_are_the_sums_of_features():
    rng = np.random.default_rng(0)
    problem = prepare(rng.normal(size=(20, 3)), rng.choice([1.0, -1.0], 20), np.inf)
    neurons = Neurons(U=rng.normal(size=(5, 3)), signs=rng.choice([1.0, -1.0], 5))
    assert np.allclose(problem.outputs(neurons), problem.features(neurons).sum(axis=1), rtol=1e-12)
    part = problem.subset(np.array([3, 7, 11]))
    assert np.allclose(part.outputs(neurons), problem.outputs(neurons)[[3, 7, 11]], rtol=1e-12)
    assert part.index.tolist() == problem.index[[3, 7, 11]].tolist()
