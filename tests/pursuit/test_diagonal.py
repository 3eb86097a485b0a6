"""Diagonal linear networks: Neuron Pursuit is orthogonal matching pursuit (NP appendix D.5)."""

from __future__ import annotations

import numpy as np
import pytest

from convexrelu import InvalidInputError
from convexrelu.datasets import matching_pursuit_example
from convexrelu.pursuit import GradientDescent, diagonal_pursuit


def matching_pursuit(X, y, k):
    """OMP with unnormalised columns, by least squares from scratch."""
    chosen, coefficients = [], []
    residual = y
    for _ in range(k):
        correlation = np.abs(X.T @ residual)
        correlation[chosen] = -1.0
        chosen.append(int(np.argmax(correlation)))
        beta = np.zeros(X.shape[1])
        beta[chosen] = np.linalg.lstsq(X[:, chosen], y, rcond=None)[0]
        coefficients.append(beta)
        residual = y - X @ beta
    return chosen, np.array(coefficients)


@pytest.mark.parametrize(
    "inner", ["lbfgs", "levenberg-marquardt", GradientDescent(step_size=0.02, n_steps=20_000)], ids=str
)
def test_the_papers_example(inner):
    """(0, 0, 1.771539), then (1.1875, 0, 1.875), to 1e-4; the least-l1 solution is (1, 2, 0)."""
    grown = diagonal_pursuit(*matching_pursuit_example(), max_iterations=2, inner=inner)
    np.testing.assert_array_equal(grown.order, [2, 0])
    np.testing.assert_allclose(grown.coefficients, [[0, 0, 1.771539], [1.1875, 0, 1.875]], atol=1e-4)
    X, y = matching_pursuit_example()
    np.testing.assert_allclose(grown.network(X), y, atol=1e-4)


def test_the_ncf_of_a_neuron_is_half_its_columns_correlation():
    X, y = matching_pursuit_example()
    grown = diagonal_pursuit(X, y, max_iterations=2)
    residual = y - X @ grown.coefficients[0]
    expected = [0.5 * np.abs(X.T @ y).max(), 0.5 * np.abs(X.T @ residual).max()]
    np.testing.assert_allclose(grown.ncf_values, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_orthogonal_matching_pursuit(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(30, 8)) * rng.uniform(0.5, 2.0, size=8)
    y = X[:, [1, 4]] @ np.array([3.0, -2.0]) + 0.1 * rng.normal(size=30)
    chosen, coefficients = matching_pursuit(X, y, 4)
    grown = diagonal_pursuit(X, y, max_iterations=4)
    np.testing.assert_array_equal(grown.order, chosen)
    np.testing.assert_allclose(grown.coefficients, coefficients, atol=1e-4)


def test_it_stops_when_nothing_correlates():
    X = np.array([[1.0, 0.0], [0.0, 0.0]])
    grown = diagonal_pursuit(X, [2.0, 1.0], max_iterations=5)
    np.testing.assert_array_equal(grown.order, [0])
    assert len(diagonal_pursuit(X, [0.0, 0.0], max_iterations=5).order) == 0


def test_bad_input_is_refused():
    with pytest.raises(InvalidInputError, match="max_iterations"):
        diagonal_pursuit([[1.0]], [1.0], max_iterations=0)
    with pytest.raises(InvalidInputError, match="y must have 1 entries"):
        diagonal_pursuit([[1.0]], [1.0, 2.0], max_iterations=1)
