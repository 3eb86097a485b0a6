"""The program of a few activities: idle ones leave it, and may come back once."""

import numpy as np
import pytest
from tolerances import SOLVER

import convexrelu as cr
from convexrelu.solvers.problem import Neurons, prepare
from convexrelu.solvers.reduced_program import ReducedProgram, resolved

PENALTY = 1e6  # far above the multipliers of these problems


@pytest.fixture
def problem():
    X, y = cr.datasets.teacher(40, 3, rng=2)
    return prepare(np.asarray(X), np.asarray(y), np.inf)


@pytest.fixture
def optimum(problem):
    X, y = cr.datasets.teacher(40, 3, rng=2)
    return problem.neurons(cr.solve_max_margin(X, y).network)


def crowd(problem, size):
    """Neurons of many activities, most of which no optimum uses."""
    rng = np.random.default_rng(0)
    return Neurons(U=rng.normal(size=(size, problem.rows.shape[1])), signs=rng.choice([1.0, -1.0], size))


def solved(program, size):
    """Solve until no row changes sides unnoticed."""
    for _ in range(20):
        answer = program.solve(penalty=PENALTY, size=size)
        if answer.settled:
            return answer
    raise AssertionError("rows kept changing sides")


def test_idle_neurons_leave_and_cost_nothing(problem, optimum):
    program = ReducedProgram(problem)
    program.add(optimum)
    program.add(crowd(problem, 60))
    many = len(program)
    answer = solved(program, optimum.size)
    assert answer.neurons.size == pytest.approx(optimum.size, rel=SOLVER)
    assert len(answer.neurons) == len(program) < many
    assert 2 * len(program) < many
    again = solved(program, optimum.size)
    assert again.neurons.size == pytest.approx(optimum.size, rel=SOLVER)


def test_a_neuron_that_comes_back_stays(problem, optimum):
    program = ReducedProgram(problem)
    program.add(optimum)
    others = crowd(problem, 60)
    program.add(others)
    solved(program, optimum.size)
    returned = program.add(others)
    assert returned > 0
    before = len(program)
    answer = solved(program, optimum.size)
    assert len(program) == before  # nobody leaves twice: a column generation that asks for them again ends
    assert len(answer.neurons) < before
    assert program.add(others) == 0


def test_resolved_neurons_are_as_good_and_keep_the_margins(problem, optimum):
    answer = resolved(problem, optimum)
    assert answer.neurons.size == pytest.approx(optimum.size, rel=SOLVER)
    assert (problem.outputs(answer.neurons) / problem.demand).min() >= 1 - SOLVER
