from __future__ import annotations

import numpy as np
import pytest

from convexrelu import InvalidInputError, SolverError, solve_max_margin

cp = pytest.importorskip("cvxpy")

F1, Y1 = np.array([[1.65, -0.47], [-0.47, 1.35]]), [1, -1]


@pytest.mark.parametrize("solver", ["CLARABEL", "ECOS", "SCS", "clarabel"])
@pytest.mark.parametrize("C", [np.inf, 0.5])
def test_every_solver_is_finished_to_the_same_digits(solver, C):
    if solver == "ECOS":
        pytest.importorskip("ecos")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 2)), np.array([1, -1, -1, 1, 1, -1])
    solution = solve_max_margin(X, y, C=C, method="program", solver=solver)
    reference = solve_max_margin(X, y, C=C)
    assert solution.status == reference.status == "optimal"
    assert solution.method == "program"
    assert solution.objective == pytest.approx(reference.objective, rel=2e-6)


@pytest.mark.parametrize("solver", ["CLARABEL", "ECOS", "SCS"])
def test_badly_scaled_rows_give_a_certified_bound_or_an_error(solver):
    """Generic solvers lose digits there, and SCS calls it optimal. Whatever comes out must be true."""
    if solver == "ECOS":
        pytest.importorskip("ecos")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(5, 2)) * 10.0 ** rng.integers(-3, 4, 5)[:, None]
        y = rng.choice([1.0, -1.0], 5)
        reference = solve_max_margin(X, y)
        assert reference.gap <= 1e-5
        try:
            solution = solve_max_margin(X, y, method="program", solver=solver)
        except SolverError:
            continue
        assert solution.lower_bound <= reference.objective
        assert reference.lower_bound <= solution.objective
        assert solution.certificate.check(X, y)


def spoiled(monkeypatch, change):
    """Every conic solver now returns `change` applied to its right answer, and still says "optimal"."""
    solve = cp.Problem.solve

    def lie(problem, *args, **kwargs):
        value = solve(problem, *args, **kwargs)
        change(problem)
        return value

    monkeypatch.setattr(cp.Problem, "solve", lie)


def shrink_the_network(problem):
    for variable in problem.variables():
        variable.value = 0.99 * variable.value


def turn_the_network(problem):
    for variable in problem.variables():
        variable.value = variable.value + 0.05


def stretch_the_multipliers(problem):
    for constraint in problem.constraints:
        for dual in constraint.dual_variables:
            dual.save_value(1.01 * dual.value)


def forget_everything(problem):
    for variable in problem.variables():
        variable.value = None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (shrink_the_network, "margins are violated"),
        (turn_the_network, "cones by"),
        (stretch_the_multipliers, "duality gap"),
        (forget_everything, "no solution"),
    ],
)
def test_the_solvers_word_is_not_taken(monkeypatch, change, named):
    """SCS's "optimal" can violate a margin by 5e-3 (docs/theory.md section 8): residuals are recomputed."""
    spoiled(monkeypatch, change)
    with pytest.raises(SolverError, match=named):
        solve_max_margin(F1, Y1, method="program")


def test_a_small_error_is_polished_away(monkeypatch):
    def nudge(problem):
        for variable in problem.variables():
            variable.value = variable.value * (1 - 1e-5)

    spoiled(monkeypatch, nudge)
    solution = solve_max_margin(F1, Y1, method="program")
    assert solution.objective == pytest.approx(1.2824322247, rel=1e-9)
    assert solution.gap <= 1e-6


def test_a_failing_solver_is_a_solver_error(monkeypatch):
    def fail(problem, *args, **kwargs):
        raise cp.error.SolverError("out of luck")

    monkeypatch.setattr(cp.Problem, "solve", fail)
    with pytest.raises(SolverError, match="out of luck"):
        solve_max_margin(F1, Y1, method="program")


def test_solvers_are_named():
    with pytest.raises(InvalidInputError, match="CLARABEL, ECOS, SCS"):
        solve_max_margin(F1, Y1, method="program", solver="GUROBI")
