"""What the figures of saddles draw is what was computed."""

import numpy as np

from convexrelu.networks import FeedForward, PowerLeakyReLU
from convexrelu.papers import EXAMPLE_1_TARGETS, example_1
from convexrelu.plotting import ladder_figure, rates_figure, sparsity_figure
from convexrelu.saddles import escape_ladder, stable_set_ladder
from convexrelu.training import gradient_descent


def test_ladder_figure_shows_every_start():
    ladder = escape_ladder(
        example_1([1.0, 0.0]), np.eye(2), EXAMPLE_1_TARGETS, scales=[0.1, 0.05], reduction="sum"
    )
    figure = ladder_figure([ladder], ["L = 2"])
    left, right = figure.axes
    assert np.array_equal(left.lines[0].get_ydata(), ladder.measured)
    assert np.array_equal(right.lines[0].get_ydata(), ladder.distances)


def test_sparsity_figure_draws_the_marked_weights():
    start = FeedForward([[[0.1, 0.0], [0.0, 0.2]], [[0.1, 0.2]]])
    run = gradient_descent(
        np.eye(2), [1.0, 1.0], start, step_size=0.1, n_steps=20, record=5, loss="square", reduction="mean"
    )
    figure = sparsity_figure(run, [0, len(run) - 1])
    pictures = [ax.images[0].get_array() for ax in figure.subfigs[1].axes if ax.images]
    assert np.array_equal(pictures[0], np.abs(run.weights[0][0]))
    assert np.array_equal(pictures[3], np.abs(run.weights[1][-1]))
    loss = figure.subfigs[0].axes[0]
    assert np.array_equal(loss.lines[0].get_xdata(), run.times)
    assert np.array_equal(loss.lines[0].get_ydata(), run.loss)


def test_rates_figure_shows_fitted_and_proven_powers():
    start = FeedForward([[[1.0, 0.4]], [[0.3]]], PowerLeakyReLU(1.0))
    ladder = stable_set_ladder(start, np.eye(2), [1.0, 0.0], scales=(1e-2, 1e-3))
    left, right = rates_figure([ladder], ["linear"]).axes
    assert np.array_equal(left.lines[0].get_ydata(), ladder.distances)
    assert [float(line.get_ydata()[0]) for line in right.lines[:2]] == [ladder.rate, ladder.proven_rate]
