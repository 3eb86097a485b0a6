"""What figures of runs say about time: steps or times, from where on, and where the steps change."""

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.plotting import (
    alignment_figure,
    bounds_figure,
    circle_figure,
    cosines_figure,
    ellipsoid_trajectories_figure,
    growth_figure,
)
from convexrelu.training import scaled_start, training_bounds

F1 = cr.datasets.load("wang-pilanci-f1")
OPTIMUM = cr.solve_max_margin(*F1)


@pytest.fixture(scope="module")
def flow():
    start = scaled_start(F1.X, F1.y, width=6, scale=1e-3, rng=0).network
    return cr.gradient_flow(F1.X, F1.y, start, t_max=1e3)


@pytest.fixture(scope="module")
def staged():
    return cr.verify_gradient_descent(F1.X, F1.y, n_runs=1, rng=0).runs[0].trajectories[0]


def words(figure):
    return {word for ax in figure.axes for word in (ax.get_xlabel(), ax.get_ylabel())}


def test_a_flow_is_drawn_over_time_and_descent_over_steps(flow, staged):
    for run, word, other in ((flow, "time t", "step"), (staged, "step", "time t")):
        figures = [
            growth_figure(run, title="t"),
            cosines_figure(run, title="t"),
            alignment_figure([run], title="t"),
            bounds_figure([training_bounds(run)], optimum=OPTIMUM.objective, title="t"),
            circle_figure(run, OPTIMUM.network, title="t"),
            ellipsoid_trajectories_figure(run, OPTIMUM.network, title="t"),
        ]
        for figure in figures:
            assert word in words(figure)
            assert other not in words(figure)


def test_a_flow_is_drawn_from_where_its_neurons_begin_to_turn(flow):
    turned = np.arccos(np.clip((flow.directions * flow.directions[0]).sum(axis=2), -1, 1)).max(axis=1)
    for figure in (growth_figure(flow, title="t"), cosines_figure(flow, title="t")):
        first = min(line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) > 2)
        [index] = np.flatnonzero(flow.times == first)
        assert turned[index] <= 0.1
        assert turned[-1] > 0.5  # so that there is something to see


def test_larger_steps_are_marked_where_they_begin(staged):
    assert staged.stages == (2000,)
    sizes = np.linalg.norm(staged.W1, axis=2)[:, ~staged.inactive].max(axis=1)
    pace = np.diff(np.log(sizes)) / np.diff(staged.times)
    at = int(np.searchsorted(staged.times, 2000))
    assert pace[at] > 3 * pace[at - 1]  # the bend
    for figure in (
        growth_figure(staged, title="t"),
        alignment_figure([staged], title="t"),
        bounds_figure([training_bounds(staged)], optimum=OPTIMUM.objective, title="t"),
    ):
        lines = [line for line in figure.axes[0].lines if line.get_label().startswith("larger steps")]
        assert [line.get_xdata()[0] for line in lines] == [2000]


def test_images_move_within_the_rectified_ellipsoid():
    start = scaled_start(F1.X, F1.y, width=8, scale=1e-2, rng=0).network
    run = cr.gradient_descent(F1.X, F1.y, start, step_size=0.1, n_steps=1000, record=[1, 10, 100, 1000])
    turn = np.linspace(0, 2 * np.pi, 20_001)
    rim = np.maximum(np.column_stack([np.cos(turn), np.sin(turn)]) @ F1.X.T, 0)
    ax = ellipsoid_trajectories_figure(run, OPTIMUM.network, title="t").axes[0]
    paths = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) > 10 and line.get_zorder() == 4]
    assert len(paths) == (~run.inactive).sum()
    for path in paths:
        middles = (path[1:] + path[:-1]) / 2
        # the image of a unit neuron lies on the rim, and so do, nearly, the middles of what is drawn between
        assert max(np.linalg.norm(rim - point, axis=1).min() for point in middles) < 0.02


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_legends_and_titles_lie_within_the_picture(staged, runs):
    title = "Alignment of WP Theorem 1: cosine of neuron and its dual extreme direction"
    figure = alignment_figure([staged] * runs, title=title)
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for artist in (*figure.legends, figure._suptitle):
        box = artist.get_window_extent()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0
