"""The figure of a path shows the bounds, neurons and accuracies of its points."""

from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr
from convexrelu import InvalidInputError, max_margin_path
from convexrelu.plotting import margin_limit_figure, path_figure


@pytest.fixture(scope="module")
def solved():
    rng = np.random.default_rng(0)
    X = np.c_[rng.normal(size=(30, 2)), np.ones(30)]
    y = np.where(X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=30) > 0, 1, -1)
    return X, y, max_margin_path(X, y, [0.1, 1.0, np.inf], tol=1e-3)


def test_both_bounds_and_the_neurons_stand_over_their_prices(solved):
    _, _, path = solved
    figure = path_figure(path, title="t")
    bounds, neurons = figure.axes
    drawn = {line.get_label(): line for line in bounds.lines}
    np.testing.assert_array_equal(drawn["objective"].get_ydata(), path.objectives)
    np.testing.assert_array_equal(drawn["certified lower bound"].get_ydata(), path.lower_bounds)
    np.testing.assert_array_equal(drawn["objective"].get_xdata(), [0.1, 1.0, 10.0])
    np.testing.assert_array_equal(neurons.lines[0].get_ydata(), [point.network.n_neurons for point in path])
    assert neurons.texts[0].get_text() == "hard margin"
    assert figure.get_suptitle() == "t"
    assert bounds.get_xscale() == "log"
    figure.canvas.draw()
    labels = {label.get_position()[0]: label.get_text() for label in bounds.get_xticklabels()}
    assert labels[1.0]
    assert labels[10.0] == ""


def test_accuracies_have_a_panel_of_their_own(solved):
    X, y, path = solved
    shares = {"training": path.accuracies(X, y), "half": np.array([0.5, 0.5, 0.5])}
    axes = path_figure(path, accuracies=shares).axes
    assert len(axes) == 3
    drawn = {line.get_label(): line.get_ydata() for line in axes[2].lines}
    for name, values in shares.items():
        np.testing.assert_array_equal(drawn[name], values)


def test_prices_are_drawn_in_order_and_without_a_hard_margin_there_is_no_mark(solved):
    X, y, _ = solved
    path = max_margin_path(X, y, [1.0, 0.1], tol=1e-2)
    bounds = path_figure(path).axes[0]
    np.testing.assert_array_equal(bounds.lines[0].get_xdata(), [0.1, 1.0])
    np.testing.assert_array_equal(bounds.lines[0].get_ydata(), path.objectives[::-1])
    assert not bounds.texts


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.5, 0.5, 1.5], [np.nan, 0.5, 0.5]])
def test_accuracies_are_one_share_for_each_price(solved, shares):
    with pytest.raises(InvalidInputError):
        path_figure(solved[2], accuracies={"test": shares})


def test_the_margin_is_the_limit_of_the_logistic_loss():
    X = np.array([[1.0, 0.2], [-0.2, 1.0], [0.9, 0.3], [-1.0, -0.4]])
    y = np.array([1.0, -1.0, 1.0, -1.0])
    optimum = cr.solve_max_margin(X, y)
    path = cr.solution_path(X, y, loss="logistic", betas=[10.0, 1e-1, 1e-2, 1e-3, 1e-4])
    values = path.margin_objectives(X, y)
    assert np.isinf(values[0])  # no neuron is worth that price
    assert (values[1:] >= optimum.lower_bound * (1 - 1e-9)).all()
    assert values[-1] - optimum.objective < 0.2 * optimum.objective
    assert values[-1] < values[1]
    [ax] = margin_limit_figure(path, X, y, optimum).axes
    drawn, limit = ax.get_lines()
    np.testing.assert_array_equal(drawn.get_xydata(), np.column_stack([path.betas[1:], values[1:]]))
    assert set(limit.get_ydata()) == {optimum.objective}
