import numpy as np
import pytest

from convexrelu.networks import FeedForward, PowerLeakyReLU
from convexrelu.planar import planar_kkt_points
from convexrelu.plotting import (
    branching_figure,
    directions_figure,
    early_training_figure,
    planar_run_figure,
    rank_one_figure,
)
from convexrelu.training import gradient_descent, ncf_flow

SQUARED = PowerLeakyReLU(0.0, 2)


@pytest.fixture(scope="module")
def planar_run():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, 2))
    y = np.abs(rng.normal(size=10))
    start = FeedForward([1e-3 * rng.normal(size=(4, 2)), np.ones((1, 4))], SQUARED, trainable=[True, False])
    return gradient_descent(
        X, y, start, step_size=0.02, n_steps=150, record=20, loss="square", reduction="mean"
    )


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


def test_flows_in_the_field():
    flow = ncf_flow(FeedForward([[[0.1]], [[1.0]]], PowerLeakyReLU(-1.0)), [[1.0]], [1.0])
    line = branching_figure([flow]).axes[0].lines[2]
    x, y = line.get_data()
    assert (x[0], y[0]) == pytest.approx((1.0, 0.1))
    assert y[-1] / x[-1] == pytest.approx(1.0, abs=1e-3)


def test_rank_one_figure_draws_every_row():
    ax = rank_one_figure(["a", "b"], [1e-9, 0.0], [1e-12, 1e-3]).axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1e-9, 1e-20])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [1e-12, 1e-3])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
