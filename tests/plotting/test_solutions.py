"""A network in the plane: its lines, arrows and rings are where they must be; a gap that closes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Annotation

import convexrelu as cr
from convexrelu.errors import InvalidInputError
from convexrelu.plotting import decision_figure, gap_figure
from convexrelu.plotting.style import BOUND, NEGATIVE, POSITIVE

POINTS = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
X, Y = cr.datasets.with_bias(POINTS), np.array([-1, 1, -1, 1])
# on at x = 1 to the right, and at y = 1/2 downwards; the third is a constant, and the last one no size at all
ROWS = [[2.0, 0.0, -2.0], [0.0, -1.0, 0.5], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
NETWORK = cr.TwoLayerReLU(ROWS, [1.0, -1.0, -0.5, 1e-9])


def test_each_neuron_has_its_line_and_an_arrow_to_its_side():
    [ax] = decision_figure(X, Y, NETWORK, names=("left", "right")).axes
    dashed = [line for line in ax.lines if line.get_label().endswith("neuron")]
    assert [line.get_color() for line in dashed] == [POSITIVE, NEGATIVE]
    assert dashed[0].get_linewidth() > dashed[1].get_linewidth()
    for line, row in zip(dashed, ROWS, strict=False):
        np.testing.assert_allclose(cr.datasets.with_bias(line.get_xydata()) @ row, 0, atol=1e-12)
    arrows = [text for text in ax.texts if isinstance(text, Annotation)]
    for text, row in zip(arrows, ROWS, strict=False):
        assert cr.datasets.with_bias(np.array([text.xy])) @ row > 0
        assert cr.datasets.with_bias(np.array([text.xyann])) @ row == pytest.approx(0)


def test_the_boundary_is_where_the_network_is_zero():
    [ax] = decision_figure(X, Y, NETWORK).axes
    levels = ax.collections[1]
    assert list(levels.levels) == [-1, 0, 1]
    zero = levels.get_paths()[1].vertices
    np.testing.assert_allclose(NETWORK(cr.datasets.with_bias(zero)), 0, atol=0.05)  # a grid's resolution


def test_samples_are_drawn_under_their_names_and_ringed_where_they_have_multipliers():
    figure = decision_figure(POINTS, Y, cr.TwoLayerReLU([[1.0, 0.0]], [1.0]), [0.0, 2.0, 0.0, 0.5])
    [ax] = figure.axes
    samples = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_array_equal(samples["-1"], POINTS[Y < 0])
    np.testing.assert_array_equal(samples["+1"], POINTS[Y > 0])
    rings = ax.collections[-1]
    np.testing.assert_array_equal(rings.get_offsets(), POINTS[[1, 3]])
    assert rings.get_sizes()[0] > rings.get_sizes()[1]


def test_a_constant_network_has_no_boundary():
    [ax] = decision_figure(X, Y, cr.TwoLayerReLU(np.zeros((0, 3)), [])).axes
    assert len(ax.collections) == 1


def test_what_is_not_in_the_plane_is_refused():
    three = np.c_[POINTS, POINTS[:, 0]]
    with pytest.raises(InvalidInputError, match="two columns"):
        decision_figure(three, Y, NETWORK)
    with pytest.raises(InvalidInputError, match=r"2 inputs.*with_bias"):
        decision_figure(POINTS, Y, NETWORK)
    with pytest.raises(InvalidInputError, match="one output"):
        decision_figure(POINTS, Y, cr.ReLUNetwork([[1.0, 0.0]], [[1.0], [2.0]]))


@pytest.mark.parametrize("loss", [None, "logistic"])
def test_both_bounds_end_at_the_certificate(loss):
    data = cr.datasets.load("moons")
    problem = {"C": 1.0} if loss is None else {"loss": loss, "beta": 0.3}
    solution = (cr.solve_max_margin if loss is None else cr.solve)(data.X, data.y, **problem)
    [ax] = gap_figure(solution).axes
    above, estimated, proven = ax.lines
    assert above.get_ydata()[-1] == solution.objective
    assert (np.diff(above.get_ydata()) <= 1e-6).all()  # the last one is of the tidied network
    assert proven.get_ydata()[-1] == pytest.approx(solution.lower_bound, rel=1e-9)
    assert proven.get_color() == estimated.get_color() == BOUND
    assert (proven.get_ydata() <= solution.objective).all()
    assert len(estimated.get_xdata()) + len(proven.get_xdata()) == len(solution.history) + 1


def test_a_closed_form_is_one_point():
    solution = cr.solve_max_margin([[1.65, 0.47], [0.47, 1.35]], [1, -1])
    [ax] = gap_figure(solution).axes
    assert len(ax.lines) == 2
    np.testing.assert_allclose(ax.lines[1].get_ydata(), solution.lower_bound)


@pytest.mark.parametrize("K", [3, 5])
def test_each_class_has_a_panel(K):
    solution = cr.solve_max_margin(np.eye(K), np.arange(K))
    axes = gap_figure(solution).axes
    assert [ax.get_title() for ax in axes] == [f"{k} against the rest" for k in range(K)]
    for ax, part in zip(axes, solution.solutions, strict=True):
        assert ax.lines[-1].get_ydata()[-1] == pytest.approx(part.lower_bound)
