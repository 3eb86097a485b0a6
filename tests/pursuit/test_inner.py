"""The refit: each method on problems of known minima, kinks included, and how it is stopped."""

from __future__ import annotations

import numpy as np
import pytest

from convexrelu import FeedForward, InvalidInputError, PowerLeakyReLU
from convexrelu._clock import Clock, Interruption
from convexrelu.networks import RELU, pack
from convexrelu.pursuit import GradientDescent, LevenbergMarquardt, LimitedMemoryBFGS
from convexrelu.pursuit.inner import inner_solver, refit, settle
from convexrelu.pursuit.square_loss import SquareLoss

SOLVERS = [LimitedMemoryBFGS(), LevenbergMarquardt(), GradientDescent(step_size=0.05, n_steps=20_000)]


def random_loss(seed, activation, trainable=None):
    rng = np.random.default_rng(seed)
    shapes = [(3, 4), (2, 3), (2, 2)]
    network = FeedForward([rng.normal(size=shape) for shape in shapes], activation, trainable=trainable)
    X, Y = rng.normal(size=(7, 4)), rng.normal(size=(7, 2))
    return SquareLoss(network=network, activation=activation, X=X, Y=Y)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_a_linear_network_reaches_least_squares(solver):
    """H = w2 w1^T x has the minima of least squares, wherever it starts but at zero."""
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    network = FeedForward([0.1 * rng.normal(size=(1, 3)), [[0.2]]], PowerLeakyReLU(1.0))
    loss = SquareLoss(network=network, activation=network.activation, X=X, Y=y)
    fit = refit(loss, solver, 0.0, Clock())
    best = 0.5 * float(np.linalg.lstsq(X, y, rcond=None)[1][0])
    assert fit.loss == pytest.approx(best, rel=1e-4)
    assert fit.loss >= best * (1 - 1e-12)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_no_solver_ends_above_its_start(solver):
    loss = random_loss(3, RELU)
    fit = refit(loss, solver, 0.0, Clock())
    assert fit.loss <= loss.value(loss.start) * loss.size**2
    residual = loss.Y - fit.network(loss.X)
    assert fit.loss == pytest.approx(0.5 * np.sum(residual**2), rel=1e-10)


def test_a_step_that_is_too_long_returns_the_start():
    loss = random_loss(4, PowerLeakyReLU(1.0))
    w = loss.start
    end = GradientDescent(step_size=1e3, n_steps=50).lower(loss, w, 0.0, Clock())
    np.testing.assert_array_equal(end.w, w)


def test_the_rounded_descent_follows_a_kink():
    """Of four corners of a square, one has target 1: u along it puts two others on the neuron's kink."""
    X = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    y = np.array([[1.0], [0.0], [0.0], [0.0]])
    network = FeedForward([[[0.3, 0.1]], [[0.2]]])
    loss = SquareLoss(network=network, activation=RELU, X=X, Y=y)
    fit = refit(loss, LimitedMemoryBFGS(), 1e-14, Clock())
    assert fit.loss < 1e-6


@pytest.mark.parametrize("solver", SOLVERS[:2], ids=str)
def test_settling_takes_away_what_cancels_on_the_samples(solver):
    """s(x1 + e x2) + s(x1 - e x2) = 2 s(x1) where |e x2| < |x1|; of these e = 0 has the least norm, 2."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.choice([-1.0, 1.0], 40) * rng.uniform(1, 2, 40), rng.uniform(-1, 1, 40)])
    network = FeedForward([[[1.0, 0.5], [1.0, -0.5]], [[1.0, 1.0]]])
    Y = 2 * np.maximum(X[:, :1], 0)
    loss = SquareLoss(network=network, activation=RELU, X=X, Y=Y)
    assert loss.value(loss.start) < 1e-30
    fit = settle(loss, solver, 1e-14, Clock())
    assert np.sqrt(fit.loss) <= 1e-6 * loss.size
    assert np.abs(fit.network.weights[0][:, 1]).max() < 1e-3
    assert fit.network.norm == pytest.approx(2.0, abs=1e-3)
    unseen = np.array([[0.1, 1.0], [-0.1, 1.0]])
    np.testing.assert_allclose(fit.network(unseen), [0.2, 0.0], atol=2e-3)
    assert network(unseen)[1] > 0.3


def test_goals_deadlines_and_interrupts_end_a_descent():
    loss = random_loss(5, PowerLeakyReLU(0.5))
    w = loss.start
    start = loss.value(w)
    early = LimitedMemoryBFGS().lower(loss, w, 0.9 * start, Clock())
    late = LimitedMemoryBFGS().lower(loss, w, 0.0, Clock(limit=0.0))
    assert early.n_steps < LimitedMemoryBFGS().lower(loss, w, 0.0, Clock()).n_steps
    assert late.n_steps == 1
    assert LevenbergMarquardt().lower(loss, w, 0.0, Clock(limit=0.0)).n_steps == 0
    assert GradientDescent().lower(loss, w, 0.0, Clock(limit=0.0)).n_steps == 0


@pytest.mark.parametrize("solver", SOLVERS[:2], ids=str)
def test_an_interrupted_clock_ends_a_descent_at_the_point_so_far(solver):
    loss = random_loss(6, RELU)
    clock = Clock(interruption=Interruption(pressed=True))
    end = solver.lower(loss, loss.start, 0.0, clock)
    assert end.n_steps <= 1
    assert loss.value(end.w) <= loss.value(loss.start)


def test_solvers_by_name_and_refusals():
    assert inner_solver("lbfgs") == LimitedMemoryBFGS()
    assert inner_solver(LevenbergMarquardt(max_steps=3)).max_steps == 3
    with pytest.raises(InvalidInputError, match="'levenberg-marquardt'"):
        inner_solver("newton")
    loss = random_loss(7, RELU)
    with pytest.raises(InvalidInputError, match="at most 5 weights, got 22"):
        LevenbergMarquardt(max_weights=5).lower(loss, pack(loss.network.weights), 0.0, Clock())
