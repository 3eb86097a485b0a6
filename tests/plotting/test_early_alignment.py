import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from convexrelu.errors import InvalidInputError
from convexrelu.networks import RELU, FeedForward, PowerLeakyReLU
from convexrelu.papers.early_convergence import figures
from convexrelu.planar.kkt_points import planar_kkt_points
from convexrelu.plotting.early_alignment import (
    branching_figure,
    directions_figure,
    early_training_figure,
    planar_run_figure,
    weights_figure,
)
from convexrelu.training import ncf_flow, train_feed_forward

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


@pytest.fixture(scope="module")
def planar_run():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, 2))
    y = np.abs(rng.normal(size=10))
    start = FeedForward([1e-3 * rng.normal(size=(4, 2)), np.ones((1, 4))], SQUARED, trainable=[True, False])
    return train_feed_forward(start, X, y, step_size=0.02, n_steps=150, record=20)


def test_panels_show_the_run(planar_run):
    figure = early_training_figure(planar_run, title="run")
    loss, norm, cosine = (ax.lines[0].get_ydata() for ax in figure.axes)
    np.testing.assert_array_equal(loss, planar_run.loss / planar_run.loss[0])
    np.testing.assert_array_equal(norm, planar_run.norm)
    end = planar_run.network_at(-1)
    gradient = end.gradient(planar_run.problem.X, planar_run.problem.Y[:, 0])[0]
    expected = np.vdot(gradient, end.weights[0]) / np.linalg.norm(gradient) / end.norm
    assert cosine[-1] == pytest.approx(expected, rel=1e-12)


def test_angles_are_those_of_the_neurons(planar_run):
    kkt = planar_kkt_points(planar_run.problem.X, planar_run.problem.Y[:, 0], SQUARED)
    figure = planar_run_figure(planar_run, kkt, first=1)
    curves = [line.get_ydata() for line in figure.axes[2].lines[:3]]
    ends = planar_run.weights[0][-1, 1:]
    np.testing.assert_allclose([c[-1] for c in curves], np.arctan2(ends[:, 1], ends[:, 0]), atol=1e-12)
    away = planar_run_figure(planar_run, kkt, origin=planar_run.network_at(0)).axes[1].lines[0].get_ydata()
    assert away[-1] == pytest.approx(np.linalg.norm(planar_run.weights[0][-1] - planar_run.weights[0][0]))
    both = directions_figure(planar_run, planar_run.problem.Y[:, 0], kkt, title="directions")
    curve = both.axes[0].lines[0]
    assert curve.get_ydata().max() == pytest.approx(kkt.values.max(), rel=1e-4)


def test_weights_are_scaled_to_their_largest():
    network = FeedForward([[[1.0, -4.0], [0.0, 2.0]], [[3.0, 0.0]]], SQUARED)
    figure = weights_figure([network], ["one"])
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), [[0.25, 1.0], [0.0, 0.5]])
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), [[1.0, 0.0]])
    assert isinstance(weights_figure([network.scaled_weights(0.0)], ["zero"]), Figure)
    for networks, labels in (([], []), ([network], []), ([network, FeedForward([[[1.0]]])], ["a", "b"])):
        with pytest.raises(InvalidInputError, match="one depth"):
            weights_figure(networks, labels)


def test_flows_in_the_field():
    flow = ncf_flow(FeedForward([[[0.1]], [[1.0]]], PowerLeakyReLU(-1.0)), [[1.0]], [1.0])
    line = branching_figure([flow]).axes[0].lines[2]
    x, y = line.get_data()
    assert (x[0], y[0]) == pytest.approx((1.0, 0.1))
    assert y[-1] / x[-1] == pytest.approx(1.0, abs=1e-3)


def test_every_figure_of_the_papers_holds():
    drawn = figures()
    assert [figure.name for figure in drawn] == [
        *(f"kh2-figure-{k}" for k in (1, 3, 2, 4)),
        *(f"k-deep-figure-{k}" for k in (1, 2, 3, 4, 5)),
    ]
    for figure in drawn:
        assert figure.assertions
        assert figure.holds, str(figure)
