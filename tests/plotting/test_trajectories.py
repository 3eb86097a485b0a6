import numpy as np
import pytest

import convexrelu as cr
from convexrelu.plotting import circle_figure, ellipsoid_trajectories_figure, seeds_figure
from convexrelu.plotting.trajectories import directions_of, iterations_shown
from convexrelu.training import scaled_start

F1 = cr.datasets.load("wang-pilanci-f1")


@pytest.fixture(scope="module")
def run():
    start = scaled_start(F1.X, F1.y, width=8, scale=1e-2, rng=0).network
    return cr.gradient_descent(
        F1.X, F1.y, start, step_size=0.1, n_steps=1000, record=[1, 3, 10, 40, 100, 300, 1000]
    )


@pytest.fixture(scope="module")
def optimum():
    return cr.solve_max_margin(*F1).network


def test_directions_have_unit_length_and_start_at_step_one(run):
    directions = directions_of(run)
    assert directions.shape == (7, 8, 2)
    assert np.allclose(np.linalg.norm(directions, axis=2), 1)
    assert np.allclose(directions[0] * np.linalg.norm(run.W1[1], axis=1, keepdims=True), run.W1[1])


def test_iterations_shown_are_the_recorded_powers_of_ten(run):
    assert iterations_shown(run).tolist() == [1, 10, 100, 1000]


def test_records_close_to_powers_of_ten_stand_for_them():
    start = scaled_start(F1.X, F1.y, width=4, scale=1e-2, rng=0).network
    path = cr.gradient_descent(F1.X, F1.y, start, step_size=0.1, n_steps=1200, record=[2, 9, 60, 95, 700])
    assert iterations_shown(path).tolist() == [9, 95]


def test_markers_stand_at_the_images_of_the_unit_neurons(run, optimum):
    ax = ellipsoid_trajectories_figure(run, optimum, title="t").axes[0]
    moving = np.flatnonzero(~run.inactive)
    images = np.maximum(directions_of(run) @ F1.X.T, 0)[[0, 2, 4, 6]]
    drawn = [collection.get_offsets() for collection in ax.collections]
    assert len(drawn) == len(moving)
    for points, neuron in zip(drawn, moving, strict=True):
        assert np.allclose(points, images[:, neuron])


def test_last_points_on_the_circle_are_the_final_directions(run, optimum):
    left = circle_figure(run, optimum, title="t").axes[0]
    last = np.array([collection.get_offsets()[-1] for collection in left.collections])
    assert np.allclose(last, directions_of(run)[-1][~run.inactive])


def test_angles_are_those_of_the_neurons(run, optimum):
    right = circle_figure(run, optimum, title="t").axes[1]
    lines = [line for line in right.lines if len(line.get_xdata()) == 7]
    ends = np.radians([line.get_ydata()[-1] for line in lines])
    assert np.allclose(np.column_stack([np.cos(ends), np.sin(ends)]), directions_of(run)[-1])


def test_seeds_have_a_column_each(run, optimum):
    figure = seeds_figure([run, run], optimum, title="t")
    assert [ax.get_title() for ax in figure.axes[:2]] == ["run 1", "run 2"]
    with pytest.raises(cr.InvalidInputError, match="one Trajectory or more, got none"):
        seeds_figure([], optimum, title="t")


def test_circle_needs_the_plane():
    X, y = np.eye(3), np.array([1.0, -1.0, 1.0])
    start = scaled_start(X, y, width=4, scale=1e-2, rng=0).network
    path = cr.gradient_descent(X, y, start, step_size=0.1, n_steps=10)
    with pytest.raises(cr.InvalidInputError, match="two columns"):
        circle_figure(path, start, title="t")


def test_a_run_without_steps_is_drawn(optimum):
    """Interrupted at once: only the start is recorded."""
    start = scaled_start(F1.X, F1.y, width=4, scale=1e-2, rng=0).network
    path = cr.gradient_descent(F1.X, F1.y, start, step_size=0.1, n_steps=1, record=[1])
    figure = circle_figure(path, optimum, title="t")
    assert len(figure.axes) == 2
