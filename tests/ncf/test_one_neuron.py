"""One neuron behind a chain of activations: its maxima at kinks, and networks with one neuron a layer."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import tolerances

from convexrelu import PowerLeakyReLU, maximize_ncf
from convexrelu.ncf.one_neuron import NeuronProblem, TwoSidedPower, climb, maximize_chain
from convexrelu.ncf.sphere import unit
from convexrelu.networks import RELU

KKT = 1e-6
"""A quasi-Newton ascent stops at gradients of about the root of the rounding of the value."""

ACTIVATIONS = [
    PowerLeakyReLU(0.0, 1),
    PowerLeakyReLU(0.5, 1),
    PowerLeakyReLU(-0.5, 1),
    PowerLeakyReLU(1.0, 2),
    PowerLeakyReLU(0.0, 2),
    PowerLeakyReLU(0.2, 3),
]


def kinked_problem(alpha, k, seed=0):
    rng = np.random.default_rng(seed)
    X, z = rng.normal(size=(30, 2)), rng.normal(size=(30, k))
    problem = NeuronProblem(G=X, M=z, shape=TwoSidedPower.of(PowerLeakyReLU(alpha), (1.0,)))
    return problem, unit(rng.normal(size=(32, 2)))


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.3])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_best_climb_of_either_sign_is_the_maximum_over_the_circle(alpha, sign):
    """Also from starts at which the value is negative."""
    problem, starts = kinked_problem(alpha, 1)
    ends = [climb(problem, u, np.array([sign])) for u in starts]
    best = max(ends, key=lambda end: end.value)
    angles = np.linspace(0, 2 * np.pi, 100_001)
    dense = (sign * problem.M[:, 0] @ problem.shape(problem.G @ [np.cos(angles), np.sin(angles)])).max()
    assert dense * (1 - tolerances.ROUNDING) <= best.value <= dense * (1 + 1e-3)
    assert problem.stationarity(best.u, best.b) <= tolerances.KERNEL


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.3])
def test_the_oracle_proves_the_best_climb(alpha):
    problem, starts = kinked_problem(alpha, 1)
    best = max(climb(problem, u).value for u in starts)
    assert problem.proof(None).value == pytest.approx(best, rel=tolerances.ORACLE)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_climb_ends_higher_at_a_kkt_point(k):
    problem, starts = kinked_problem(0.2, k)
    for u in starts[:5]:
        end = climb(problem, u)
        assert end.value >= np.linalg.norm(problem.outgoing(u))
        assert end.value == pytest.approx(end.b @ problem.outgoing(end.u), rel=tolerances.ROUNDING)
        assert problem.stationarity(end.u, end.b) <= KKT


@pytest.mark.parametrize("activation", [*ACTIVATIONS, PowerLeakyReLU(1.0, 1)], ids=str)
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_chain_is_balanced_and_worth_its_value(activation, depth):
    """One neuron a layer: N = z^T H at unit norm, and NP Lemma 3."""
    rng = np.random.default_rng(7)
    X, z = rng.normal(size=(30, 3)), rng.normal(size=(30, 1))
    best = maximize_chain(X, z, depth=depth, activation=activation, n_starts=10, rng=rng)[0]
    assert best.network.norm == pytest.approx(1.0, rel=tolerances.ROUNDING)
    assert best.value == pytest.approx(float(z[:, 0] @ best.network(X)), rel=tolerances.KERNEL)
    for W, V in zip(best.network.weights, best.network.weights[1:], strict=False):
        assert np.sum(W**2) == pytest.approx(activation.power * np.sum(V**2), rel=tolerances.KERNEL)
    assert best.stationarity <= KKT


@pytest.mark.parametrize("activation", [RELU, PowerLeakyReLU(0.5), PowerLeakyReLU(0.2, 2)], ids=str)
def test_the_general_search_finds_no_better_chain(activation):
    """Three layers of one neuron, searched as a network by `maximize_ncf`."""
    rng = np.random.default_rng(8)
    X, z = rng.normal(size=(12, 2)), rng.normal(size=(12, 1))
    best = maximize_chain(X, z, depth=3, activation=activation, n_starts=10, rng=rng)[0]
    general = maximize_ncf(X, z, widths=(2, 1, 1, 1), activation=activation, n_starts=3, rng=0).points[0]
    assert best.value >= general.value * (1 - 1e-6)
    assert general.value >= 0.3 * best.value  # the same function, if not always the best point


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_composed_activations_are_two_sided_powers(activation):
    t = np.linspace(-2, 2, 9)
    for signs in product((1.0, -1.0), repeat=2):
        shape = TwoSidedPower.of(activation, signs)
        direct = activation(signs[1] * activation(signs[0] * activation(t)))
        np.testing.assert_allclose(shape(t), direct, rtol=tolerances.ROUNDING, atol=tolerances.ROUNDING)
        step = 1e-6
        away = t[t != 0]
        slope = (shape(away + step) - shape(away - step)) / (2 * step)
        np.testing.assert_allclose(shape.slope(away), slope, rtol=1e-6, atol=1e-6)
        curvature = (shape.slope(away + step) - shape.slope(away - step)) / (2 * step)
        np.testing.assert_allclose(shape.curvature(away), curvature, rtol=1e-6, atol=1e-6)
