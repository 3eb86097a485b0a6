"""The figures of KH-beyond and NP: what they draw, and that their numbers hold."""

import numpy as np
import pytest

from convexrelu.networks import FeedForward
from convexrelu.papers.claims import Assertion
from convexrelu.papers.saddle_settings import EXAMPLE_1_TARGETS, RUNS, example_1
from convexrelu.plotting import saddles
from convexrelu.saddles import escape_ladder
from convexrelu.training import train_feed_forward


def test_an_assertion_can_fail():
    inside = Assertion(name="n", value=1.0, low=0.0, high=2.0, statement="s")
    assert inside.holds
    assert str(inside).startswith("holds")
    for value in (-1.0, 3.0, float("nan")):
        outside = Assertion(name="n", value=value, low=0.0, high=2.0, statement="s")
        assert not outside.holds
        assert str(outside).startswith("FAILS")


def test_example_1_is_reproduced():
    figure = saddles._reproduced_example_1()
    assert figure.holds
    ax = figure.figure.axes[0]
    curves = [line for line in ax.lines if len(line.get_xdata()) > 10]
    ends = [(line.get_xdata()[-1], line.get_ydata()[-1]) for line in curves]
    assert np.allclose(ends[:3], [2.0, 1.0], atol=1e-3)  # psi goes on to the minimum
    assert np.allclose(ends[3], [2.0, 0.0], atol=1e-5)  # p ends at the saddle


def test_ladder_figure_shows_every_start():
    ladder = escape_ladder(
        example_1([1.0, 0.0]), np.eye(2), EXAMPLE_1_TARGETS, scales=[0.1, 0.05], reduction="sum"
    )
    figure = saddles.ladder_figure([ladder], ["L = 2"])
    left, right = figure.axes
    assert np.array_equal(left.lines[0].get_ydata(), ladder.measured)
    assert np.array_equal(right.lines[0].get_ydata(), ladder.distances)


def test_digits_are_reproduced():
    """KH-beyond Figure 8 with the digits of scikit-learn: a run of seconds."""
    (run,) = [run for run in RUNS if not run.teacher]
    figure = saddles._reproduced_run(run)
    assert figure.holds
    assert figure.named.name == "kh-beyond-figures-8-16"
    assert len(figure.figure.subfigs[1].axes) % 3 == 0


def test_sparsity_figure_draws_the_marked_weights():
    start = FeedForward([[[0.1, 0.0], [0.0, 0.2]], [[0.1, 0.2]]])
    run = train_feed_forward(start, np.eye(2), [1.0, 1.0], step_size=0.1, n_steps=20, record=5)
    figure = saddles.sparsity_figure(run, [0, len(run) - 1])
    pictures = [ax.images[0].get_array() for ax in figure.subfigs[1].axes]
    assert np.array_equal(pictures[0], np.abs(run.weights[0][0]))
    assert np.array_equal(pictures[3], np.abs(run.weights[1][-1]))


@pytest.mark.slow
def test_every_figure_holds():
    for figure in saddles.figures():
        assert figure.holds, str(figure)
