import math

import numpy as np
import pytest

from convexrelu.errors import InvalidInputError
from convexrelu.networks import RELU, PowerLeakyReLU
from convexrelu.planar import planar_kkt_points

SQUARED = PowerLeakyReLU(0.0, 2)


def brute_force_kkt(X, z, activation, n=400_001):
    """Angles between which the derivative of N changes its sign, on a fine grid."""
    grid = np.linspace(-math.pi, math.pi, n)[:-1]
    heights = X @ np.array([np.cos(grid), np.sin(grid)])
    across = X @ np.array([-np.sin(grid), np.cos(grid)])
    slope = z @ (activation.slope(heights) * across)
    change = np.flatnonzero(np.sign(slope) * np.sign(np.roll(slope, -1)) < 0)
    return grid[change] + math.pi / n


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_planar_kkt_points_are_the_sign_changes_of_the_derivative(alpha, seed):
    rng = np.random.default_rng(seed)
    X, z, activation = rng.normal(size=(9, 2)), rng.normal(size=9), PowerLeakyReLU(alpha, 2)
    found = planar_kkt_points(X, z, activation)
    expected = brute_force_kkt(X, z, activation)
    assert len(found.flats) == 0
    assert len(found.angles) == len(expected)
    np.testing.assert_allclose(found.angles, np.sort(expected), atol=2e-5)
    units = np.column_stack([np.cos(found.angles), np.sin(found.angles)])
    np.testing.assert_allclose(found.values, activation(X @ units.T).T @ z, atol=1e-12 * np.abs(z).sum() * 10)
    assert found.maxima.sum() == (~found.maxima).sum()  # they alternate round the circle
    np.testing.assert_allclose(found.distances(found.angles + 1e-3), 1e-3, atol=1e-9)


def test_planar_kkt_points_of_degenerate_data():
    axis = planar_kkt_points([[2.0, 0.0], [2.0, 0.0], [0.0, 0.0]], [1.0, 1.0, 5.0], SQUARED)
    # N = 8 max(0, cos)^2: one maximum, and the half circle on which the neuron is dead
    assert axis.values.max() == pytest.approx(8.0, rel=1e-12)
    assert np.ptp(axis.flats[:, 1] - axis.flats[:, 0]) <= math.pi
    assert (axis.flats[:, 1] - axis.flats[:, 0]).sum() == pytest.approx(math.pi, rel=1e-9)
    np.testing.assert_allclose(axis.distances([math.pi, 0.0, 0.1]), [0.0, 0.0, 0.1], atol=1e-9)
    nothing = planar_kkt_points([[0.0, 0.0]], [1.0], SQUARED)
    assert (nothing.flats[:, 1] - nothing.flats[:, 0]).sum() == pytest.approx(2 * math.pi, rel=1e-12)
    assert nothing.distances([1.0]) == 0.0
    with pytest.raises(InvalidInputError, match="2 columns"):
        planar_kkt_points([[1.0]], [1.0], SQUARED)
    with pytest.raises(InvalidInputError, match="power 2"):
        planar_kkt_points([[1.0, 0.0]], [1.0], RELU)
