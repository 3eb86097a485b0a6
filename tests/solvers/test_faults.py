"""Backends that raise, return NaN or claim that garbage is optimal: right bounds, or one of our errors."""

from __future__ import annotations

import time
from types import SimpleNamespace

import clarabel
import numpy as np
import pytest

from convexrelu import ConvexReLUError, solve_max_margin
from convexrelu.solvers import linear_master, reduced_program

RNG = np.random.default_rng(5)
X = RNG.normal(size=(14, 3))
Y = np.where(RNG.random(14) < 0.5, 1.0, -1.0)
PRICES = [np.inf, 1.0]


@pytest.fixture(scope="module")
def optima():
    """The answers of backends that work, found before any test breaks one."""
    return {C: solve_max_margin(X, Y, C=C) for C in PRICES}


def garbage(values, seed=0):
    return 1e3 * np.random.default_rng(seed).normal(size=len(values))


def broken(*_, **__):
    raise RuntimeError("a fault of the backend")


ANSWERS = {
    "raises": broken,
    "nan primal": lambda a: (a.status, [np.nan] * len(a.x), a.z),
    "nan dual": lambda a: (a.status, a.x, [np.nan] * len(a.z)),
    "garbage, called solved": lambda a: ("Solved", garbage(a.x), garbage(a.z)),
    "garbage dual, called solved": lambda a: ("Solved", a.x, np.abs(garbage(a.z))),
    "zeros, called solved": lambda a: ("Solved", [0.0] * len(a.x), [0.0] * len(a.z)),
    "huge, called solved": lambda a: ("Solved", [1e200] * len(a.x), [1e200] * len(a.z)),
    "the opposite, called solved": lambda a: ("Solved", -np.array(a.x), -np.array(a.z)),
    "infeasible": lambda a: ("PrimalInfeasible", a.x, a.z),
    "too precise": lambda a: ("Solved", np.array(a.x) * (1 - 1e-3), np.array(a.z) * 1.001),
}


def assert_right_or_refused(C, optimum, **options):
    """Bounds that hold the optimum between them, certified; or an error on purpose."""
    try:
        solution = solve_max_margin(X, Y, C=C, time_limit=3.0, **options)
    except ConvexReLUError:
        return
    assert solution.lower_bound <= optimum.objective
    assert solution.objective >= optimum.lower_bound
    assert solution.certificate.check(X, Y)


@pytest.mark.parametrize("C", PRICES)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_conic_solver_that_lies(answer, C, optima, monkeypatch):
    class Liar:
        def __init__(self, *arguments):
            self._solver = clarabel.DefaultSolver(*arguments)

        def solve(self):
            honest = self._solver.solve()
            status, x, z = answer(honest)
            return SimpleNamespace(status=status, x=x, z=z, iterations=honest.iterations)

    names = ("DefaultSettings", "NonnegativeConeT", "SecondOrderConeT")
    fake = SimpleNamespace(DefaultSolver=Liar, **{name: getattr(clarabel, name) for name in names})
    monkeypatch.setattr(reduced_program, "clarabel", fake)
    assert_right_or_refused(C, optima[C], method="column-generation")


@pytest.mark.parametrize("backend", ["conic", "linear"])
def test_a_solver_that_hangs_beyond_its_limit_is_not_asked_again(backend, optima, monkeypatch):
    """What a backend does with its limit nobody can help; when it comes back late, the answer is ready."""
    asked = []

    def hang(*arguments):
        asked.append(arguments)
        time.sleep(2.2)

    class Slow(linear_master._Silent):
        def run(self):
            hang()
            return super().run()

    class Hanging:
        def __init__(self, *arguments):
            self._solver = clarabel.DefaultSolver(*arguments)

        def solve(self):
            hang()
            return self._solver.solve()

    if backend == "conic":
        names = ("DefaultSettings", "NonnegativeConeT", "SecondOrderConeT")
        fake = SimpleNamespace(DefaultSolver=Hanging, **{name: getattr(clarabel, name) for name in names})
        monkeypatch.setattr(reduced_program, "clarabel", fake)
    else:
        monkeypatch.setattr(linear_master, "_Silent", Slow)
    solution = solve_max_margin(X, Y, time_limit=2.0, method="column-generation")
    assert 1 <= len(asked) <= 3  # it may be asked once more to tidy up what there is
    assert solution.lower_bound <= optima[np.inf].objective
    assert solution.objective >= optima[np.inf].lower_bound
    assert solution.certificate.check(X, Y)


def solution_of(change):
    def answer(self):
        found = super(linear_master._Silent, self).getSolution()
        columns, rows = change(found.col_value), change(found.row_dual)
        return SimpleNamespace(col_value=list(columns), row_dual=list(rows))

    return answer


@pytest.mark.parametrize("C", PRICES)
@pytest.mark.parametrize(
    "change",
    [
        lambda v: [np.nan] * len(v),
        garbage,
        lambda v: np.abs(garbage(v)),
        lambda v: [0.0] * len(v),
        lambda v: -np.array(v),
        lambda v: 1.001 * np.array(v),
        lambda v: [1e200] * len(v),
    ],
    ids=["nan", "garbage", "positive garbage", "zeros", "the opposite", "a bit too much", "huge"],
)
def test_a_linear_solver_that_lies(change, C, optima, monkeypatch):
    monkeypatch.setattr(linear_master._Silent, "getSolution", solution_of(change), raising=False)
    assert_right_or_refused(C, optima[C], method="column-generation")


@pytest.mark.parametrize("C", PRICES)
def test_a_linear_solver_that_raises(C, optima, monkeypatch):
    monkeypatch.setattr(linear_master._Silent, "run", broken, raising=False)
    assert_right_or_refused(C, optima[C], method="column-generation")


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_a_modelling_layer_that_raises(solver, monkeypatch):
    pytest.importorskip("cvxpy")
    monkeypatch.setattr("cvxpy.Problem.solve", broken)
    with pytest.raises(ConvexReLUError, match="a fault of the backend"):
        solve_max_margin(X[:6], Y[:6], method="program", solver=solver)
