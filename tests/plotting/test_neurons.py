import numpy as np
import pytest

import convexrelu as cr
from convexrelu.plotting import cosines_figure, growth_figure, input_space_figure

F1 = cr.datasets.load("wang-pilanci-f1")


@pytest.fixture(scope="module")
def start():
    W1 = 1e-3 * np.random.default_rng(3).normal(size=(8, 2))
    return cr.TwoLayerReLU(W1, np.linalg.norm(W1, axis=1) * np.array([1.0, -1.0] * 4))


@pytest.fixture(scope="module")
def descent(start):
    return cr.gradient_descent(F1.X, F1.y, start, step_size=0.3, n_steps=3000, normalized=True, record=60)


@pytest.fixture(scope="module")
def flow(start):
    return cr.gradient_flow(F1.X, F1.y, start, t_max=100.0)


def test_growth_is_that_of_the_sizes(descent):
    [ax] = growth_figure(descent, title="t").axes
    sizes = np.linalg.norm(descent.W1, axis=2) * np.abs(descent.w2)
    for i, line in enumerate(ax.lines):
        assert np.allclose(line.get_ydata(), sizes[1:, i])  # from step 1 on
        assert (line.get_linestyle() == ":") == bool(descent.inactive[i])
    assert ax.get_yscale() == ax.get_xscale() == "log"


def test_every_event_of_the_flow_is_marked_once(flow):
    [ax] = cosines_figure(flow, title="t").axes
    first = min(line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) > 1)
    marked = sorted(float(line.get_xdata()[0]) for line in ax.lines if len(line.get_xdata()) == 1)
    events = sorted(event.time for event in flow.events if event.time >= first)
    assert len(events) >= 3
    assert np.allclose(marked, events)


def test_cosines_end_where_a_neuron_sees_no_sample(descent):
    [ax] = cosines_figure(descent, title="t").axes
    lines = [line for line in ax.lines if len(line.get_xdata()) > 1]
    for line, i in zip(lines, np.flatnonzero(~descent.inactive), strict=True):
        active = (F1.X @ descent.W1[1:, i].T > 0).any(axis=0)
        drawn = np.isfinite(line.get_ydata())
        assert (drawn <= active).all()
        assert np.allclose(line.get_ydata()[drawn], descent.alignment[1:, i][drawn])


def test_weights_among_the_data_are_relative_to_the_largest(descent, tmp_path):
    figure = input_space_figure(descent, title="t")
    [ax] = figure.axes
    reach = np.linalg.norm(F1.X, axis=1).max()
    paths = [line for line in ax.lines if len(line.get_xdata()) == len(descent)]
    assert len(paths) == 8
    radii = np.array([np.hypot(line.get_xdata(), line.get_ydata()) for line in paths])
    assert np.allclose(radii.max(axis=0), reach)
    figure.savefig(tmp_path / "space.png")


def test_only_the_plane_can_be_drawn():
    start = cr.TwoLayerReLU([[1e-2, 0.0, 0.0]], [1e-2])
    path = cr.gradient_descent([[1.0, 0.0, 0.0]], [1], start, step_size=0.3, n_steps=10)
    with pytest.raises(cr.InvalidInputError, match="two columns"):
        input_space_figure(path, title="t")
