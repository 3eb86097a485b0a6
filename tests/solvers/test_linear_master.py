"""The linear master: a vertex, its multipliers, and no word on the terminal."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import linprog
from tolerances import ORACLE

from convexrelu import solve_max_margin
from convexrelu.solvers.linear_master import Master
from convexrelu.solvers.problem import Neurons, prepare

PENALTY = 1e3


@pytest.mark.parametrize("C", [np.inf, 0.7])
def test_it_solves_its_linear_program_as_directions_come(C):
    rng = np.random.default_rng(4)
    problem = prepare(rng.normal(size=(12, 3)), rng.choice([1.0, -1.0], 12), C)
    U = rng.normal(size=(30, 3))
    directions = Neurons(U=U, signs=rng.choice([1.0, -1.0], 30)).normalized()
    master = Master(problem, penalty=PENALTY)
    for part in (np.arange(10), np.arange(10, 30)):
        master.add(directions.kept(part))
        mix = master.solve()
        F = problem.features(master.directions)
        prices = np.minimum(problem.caps, PENALTY)
        by_scipy = linprog(
            np.r_[np.ones(F.shape[1]), prices], A_ub=-np.hstack([F, np.eye(12)]), b_ub=-problem.demand
        )
        assert mix.value == pytest.approx(by_scipy.fun, rel=ORACLE)
        # strong duality, and multipliers that price every direction at 1 at most
        assert problem.demand @ mix.mu == pytest.approx(mix.value, rel=ORACLE)
        assert (F.T @ mix.mu <= 1 + ORACLE).all()
        assert (mix.mu >= 0).all()
        assert len(mix.neurons) <= 12


def test_the_seconds_of_earlier_runs_are_not_counted_again():
    rng = np.random.default_rng(4)
    problem = prepare(rng.normal(size=(12, 3)), rng.choice([1.0, -1.0], 12), np.inf)
    master = Master(problem, penalty=PENALTY)
    directions = Neurons(U=rng.normal(size=(600, 3)), signs=rng.choice([1.0, -1.0], 600)).normalized()
    master.add(directions.kept(np.arange(300)))
    value, spent = np.inf, 0.0
    while value == np.inf or master._highs.getRunTime() <= 0.02:
        value, spent = master.solve().value, master._highs.getRunTime()
    master.add(directions.kept(np.arange(300, 600)))
    assert master.solve(seconds=spent).value <= value


def test_steps_in_a_circle_end():
    """Rows that are the same but for seven digits: the simplex method went on for ever."""
    rng = np.random.default_rng(0)
    for _ in range(2):  # the second of these problems
        X = np.c_[np.full(12, 1e7), rng.normal(size=(12, 3))[:, 1:]]
        y = np.where(rng.random(12) < 0.5, 1.0, -1.0)
        rng.normal(size=(4, 3)), rng.normal(size=4)
    solution = solve_max_margin(X, y, C=10.0)
    assert 0 < solution.lower_bound <= solution.objective


def test_nothing_is_printed():
    """In a process of its own: HiGHS prints its banner once a process."""
    code = "import convexrelu as cr; cr.solve_max_margin(*cr.datasets.teacher(40, 3, rng=0))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
