"""Figures refuse what is not of their kind, in words, and take one run where they take several."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from matplotlib.figure import Figure

import convexrelu as cr
from convexrelu.errors import InvalidInputError
from convexrelu.planar import hausdorff_segments
from convexrelu.plotting import (
    NamedFigure,
    ZonotopePanel,
    alignment_figure,
    arrangement_figure,
    basins_figure,
    bounds_figure,
    circle_figure,
    cosines_figure,
    decision_figure,
    ellipsoid_trajectories_figure,
    extreme_points_figure,
    gap_figure,
    growth_figure,
    input_space_figure,
    save_figures,
    seeds_figure,
    zonotopes_figure,
)
from convexrelu.training import scaled_start, training_bounds

X, Y = cr.datasets.load("wang-pilanci-f1")
SOLUTION = cr.solve_max_margin(X, Y)
START = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
RUN = cr.gradient_descent(X, Y, START, step_size=0.3, n_steps=500, normalized=True)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "draw",
    [
        lambda network: decision_figure(X, Y, network),
        lambda network: extreme_points_figure(X, network, SOLUTION.lam),
        lambda network: circle_figure(RUN, network),
        lambda network: seeds_figure([RUN], network),
        lambda network: hausdorff_segments(X, SOLUTION.lam, network),
    ],
)
def test_a_solution_is_told_from_its_network(draw):
    with pytest.raises(InvalidInputError, match="got MaxMarginSolution: take its network"):
        draw(SOLUTION)
    with pytest.raises(InvalidInputError, match=r"got list: TwoLayerReLU\.from_torch"):
        draw([SOLUTION.network])
    with pytest.raises(InvalidInputError, match="2 inputs, as X has columns, got 3"):
        draw(cr.TwoLayerReLU(np.ones((1, 3)), [1.0]))
    draw(SOLUTION.network)


@pytest.mark.usefixtures("unchecked")
def test_certify_tells_a_solution_from_its_network():
    with pytest.raises(InvalidInputError, match="got MaxMarginSolution: take its network"):
        cr.certify(X, Y, SOLUTION)
    with pytest.raises(InvalidInputError, match="got MaxMarginSolution: take its network"):
        cr.certify(X, Y, SOLUTION, loss="squared", beta=1.0)


def test_a_zero_neuron_has_no_direction():
    network = cr.TwoLayerReLU([[3.0, 4.0], [0.0, 0.0]], [1.0, -1.0])
    first, second = hausdorff_segments(X, SOLUTION.lam, network)
    np.testing.assert_allclose(first.neuron, [0.6, 0.8])
    np.testing.assert_array_equal(second.neuron, [0.0, 0.0])


@pytest.mark.usefixtures("unchecked")
def test_one_is_as_good_as_a_list_of_one():
    bounds = training_bounds(RUN)
    panel = ZonotopePanel(X=X, lam=SOLUTION.lam, network=SOLUTION.network)
    for draw, given in (
        (lambda runs: seeds_figure(runs, SOLUTION.network), RUN),
        (alignment_figure, RUN),
        (lambda runs: bounds_figure(runs, optimum=SOLUTION.objective), bounds),
        (zonotopes_figure, panel),
    ):
        assert len(draw(given).axes) == len(draw([given]).axes)
        with pytest.raises(InvalidInputError, match="or more, got none"):
            draw([])
        with pytest.raises(InvalidInputError, match="or more, got MaxMarginSolution"):
            draw(SOLUTION)
    with pytest.raises(InvalidInputError, match="got Trajectory: training_bounds makes them"):
        bounds_figure([RUN], optimum=1.0)
    with pytest.raises(InvalidInputError, match="optimum must be positive, got 0"):
        bounds_figure(bounds, optimum=0.0)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("draw", "wanted"),
    [
        (growth_figure, "Trajectory"),
        (cosines_figure, "Trajectory"),
        (input_space_figure, "Trajectory"),
        (lambda run: circle_figure(run, SOLUTION.network), "Trajectory"),
        (lambda run: ellipsoid_trajectories_figure(run, SOLUTION.network), "Trajectory"),
        (gap_figure, "MaxMarginSolution or MultiClassSolution or Solution"),
        (basins_figure, "BasinMap"),
        (lambda cells: arrangement_figure(X, cells), "Arrangement"),
    ],
)
def test_what_is_of_another_kind_is_refused(draw, wanted):
    with pytest.raises(InvalidInputError, match=f"must be a {wanted}, got Certificate"):
        draw(SOLUTION.certificate)


@pytest.mark.usefixtures("unchecked")
def test_descent_tells_a_start_from_its_network():
    start = scaled_start(X, Y, width=4, scale=0.1, rng=0)
    with pytest.raises(InvalidInputError, match="got ScaledStart: take its network"):
        cr.gradient_descent(X, Y, start, step_size=0.1, n_steps=10)


@pytest.mark.usefixtures("unchecked")
def test_figures_are_saved_by_name(tmp_path):
    figure = zonotopes_figure(ZonotopePanel(X=X, lam=SOLUTION.lam, network=SOLUTION.network))
    assert save_figures(NamedFigure(name="one", figure=figure), tmp_path) == [tmp_path / "one.png"]
    for wrong in (figure, [figure]):
        with pytest.raises(InvalidInputError, match=r"got \w*Figure: a Figure alone has its own savefig"):
            save_figures(wrong, tmp_path)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_legends_are_no_wider_than_their_figure(count):
    panel = ZonotopePanel(X=X, lam=SOLUTION.lam, network=SOLUTION.network)
    for figure in (zonotopes_figure([panel] * count), seeds_figure([RUN] * count, SOLUTION.network)):
        [legend] = figure.legends
        assert legend.get_window_extent().width <= figure.bbox.width


def test_a_notebook_shows_a_figure_by_itself():
    figure = zonotopes_figure(ZonotopePanel(X=X, lam=SOLUTION.lam, network=SOLUTION.network))
    assert isinstance(figure, Figure)
    assert repr(figure).startswith("<Figure size ")
    assert len(pickle.loads(pickle.dumps(figure)).axes) == 1
    assert figure._repr_png_().startswith(b"\x89PNG")
