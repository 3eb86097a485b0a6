"""What the figures of Neuron Pursuit draw is what was computed."""

from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.datasets import modular_addition, sparse_function
from convexrelu.papers import ComparedRun, Comparison, SmallDescent
from convexrelu.plotting import (
    comparison_figure,
    fourier_figure,
    greedy_figure,
    growing_network_figure,
)
from convexrelu.pursuit import LimitedMemoryBFGS

SQUARED = cr.PowerLeakyReLU(1.0, 2)


@pytest.fixture(scope="module")
def grown():
    task = sparse_function("fig5", 500, rng=6)
    return task, cr.neuron_pursuit(*task, depth=3, rng=6)


@pytest.fixture(scope="module")
def sums():
    train, test = modular_addition(5).split(20, rng=0)
    inner = LimitedMemoryBFGS(patience=50, gain=1e-3)
    result = cr.neuron_pursuit(*train, depth=2, activation=SQUARED, max_iterations=3, inner=inner, rng=0)
    return train, test, result


def test_the_growing_network_shows_directions_weights_and_values(grown):
    task, result = grown
    axes = growing_network_figure(result, *task, title="t").axes
    assert len(axes) == 4 * len(result.history) == 8
    for row, step in enumerate(result.history):
        _, direction, weights, function = axes[4 * row : 4 * row + 4]
        bars = np.array([bar.get_height() for bar in direction.patches])
        np.testing.assert_array_equal(bars, step.start.weights[0][-1] / step.delta)
        rows = np.array([bar.get_height() for bar in weights.patches])
        np.testing.assert_array_equal(rows, step.network.weights[0].ravel())
        dots, line = function.lines
        np.testing.assert_allclose(dots.get_ydata(), step.network(task.X)[np.argsort(task.y, kind="stable")])
        np.testing.assert_array_equal(line.get_ydata(), np.sort(task.y))


def test_the_added_neuron_has_the_unit_norm_that_the_panel_says(grown):
    """Incoming and outgoing weights of NP's constrained NCF have norm 1 together."""
    _, result = grown
    for step in result.history:
        old = sum(float(np.sum(W**2)) for W in result.history[step.iteration - 2].network.weights)
        new = sum(float(np.sum(W**2)) for W in step.start.weights) - (old if step.layer else 0.0)
        size = 1.0 if step.layer else np.sqrt(sum(np.sum(W**2) for W in step.start.weights)) / step.delta
        assert new / step.delta**2 == pytest.approx(size**2, rel=1e-6)


def test_new_neurons_are_dashed(grown):
    task, result = grown
    axes = growing_network_figure(result, *task).axes
    dashed = [
        sum(circle.get_linestyle()[0][1] is not None for circle in ax.collections)
        for ax in (axes[0], axes[4])
    ]
    assert dashed == [2, 1]


def test_iterations_that_did_not_take_place_are_refused(grown):
    task, result = grown
    with pytest.raises(cr.InvalidInputError, match="took place"):
        growing_network_figure(result, *task, iterations=[7])


def test_several_outputs_are_refused(sums):
    train, _, result = sums
    with pytest.raises(cr.InvalidInputError, match="one output"):
        growing_network_figure(result, train.X, train.y[:, 0])


def run(method, n, number, test_error, steps):
    return ComparedRun(
        method=method,
        n=n,
        number=number,
        status="tolerance",
        training_error=0.0,
        test_error=test_error,
        steps=steps,
        n_neurons=(2,),
        seconds=1.0,
    )


def test_the_comparison_draws_medians_and_single_runs():
    runs = [run("pursuit", 10, k, e, s) for k, (e, s) in enumerate([(0.5, 4), (0.1, 2), (0.3, 3)])]
    runs += [run("descent", 10, 0, 0.9, 100), run("pursuit", 20, 0, 0.01, 2), run("descent", 20, 0, 0.2, 100)]
    compared = Comparison(
        function="f1",
        sizes=(10, 20),
        descent=SmallDescent(n_steps=100),
        runs=tuple(runs),
        n_planned=6,
        status="finished",
    )
    top, bottom = comparison_figure([compared]).axes
    lines = {line.get_label(): line.get_ydata() for line in top.lines}
    np.testing.assert_array_equal(lines["pursuit, test error"], [0.3, 0.01])
    np.testing.assert_array_equal(lines["descent, test error"], [0.9, 0.2])
    assert min(lines["pursuit, training error"]) > 0  # zero has no logarithm
    bars = [segment[:, 1].tolist() for segment in top.collections[0].get_segments()]
    np.testing.assert_allclose(bars, [[0.1, 0.5], [0.01, 0.01]])  # from the least to the largest
    assert "100 steps" in top.get_title()
    np.testing.assert_array_equal(bottom.lines[0].get_ydata(), [3, 2])
    with pytest.raises(cr.InvalidInputError, match="finished runs"):
        comparison_figure([])


def test_the_greedy_figure_measures_in_units_of_the_optimum():
    [ax] = greedy_figure([np.inf, 6.0, 3.0], 2.0, title="t").axes
    curve, optimum = ax.lines
    np.testing.assert_array_equal(curve.get_xydata(), [[2, 3.0], [3, 1.5]])
    np.testing.assert_array_equal(optimum.get_ydata(), [1.0, 1.0])
    assert len(ax.patches) == 1
    with pytest.raises(cr.InvalidInputError, match="positive lower bound"):
        greedy_figure([1.0], 0.0)


def test_the_fourier_figure_draws_errors_and_spectra(sums):
    train, test, result = sums
    figure = fourier_figure(result, train, test, title="t")
    left, *pictures = figure.axes[:4]
    errors = [train.classification_error(step.network(train.X)) for step in result.history]
    np.testing.assert_array_equal(left.lines[0].get_ydata(), errors)
    for ax in pictures:
        np.testing.assert_allclose(np.linalg.norm(ax.images[0].get_array(), axis=1), 1.0)
        assert ax.images[0].get_cmap()(0.0)[:3] == (1.0, 1.0, 1.0)  # zero is white
