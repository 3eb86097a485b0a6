import numpy as np
import pytest

import convexrelu as cr
from convexrelu.plotting import (
    NamedFigure,
    alignment_figure,
    bounds_figure,
    save_figures,
    training_figures,
)
from convexrelu.training import scaled_start, training_bounds
from convexrelu.verify import multi_class_counterexample

F1 = cr.datasets.load("wang-pilanci-f1")
P_STAR = sum(1 / np.linalg.norm(row) for row in F1.X)  # closed form of orthogonally separable data


@pytest.fixture(scope="module")
def runs():
    starts = [scaled_start(F1.X, F1.y, width=6, scale=1e-2, rng=seed).network for seed in range(2)]
    return [cr.gradient_descent(F1.X, F1.y, s, step_size=0.3, n_steps=3000, normalized=True) for s in starts]


def test_bounds_figure_draws_them(runs):
    bounds = [training_bounds(run) for run in runs]
    left, right = bounds_figure(bounds, optimum=P_STAR, title="t").axes
    drawn = [line for line in left.lines if line.get_marker() == "o"]
    assert np.allclose(drawn[0].get_ydata(), bounds[0].lower_bound)
    assert len(drawn) == 2
    assert right.get_yscale() == "log"


def test_alignment_leaves_out_what_has_no_direction(runs):
    [ax, *_] = alignment_figure(runs, title="t").axes
    run = runs[0]
    lines = [line for line in ax.lines if len(line.get_xdata()) == len(run.times) - 1]
    moving = np.flatnonzero(~run.inactive)
    assert len(lines) == len(moving)
    for line, neuron in zip(lines, moving, strict=True):
        drawn, active = line.get_ydata(), (F1.X @ run.W1[1:, neuron].T > 0).any(axis=0)
        assert np.array_equal(np.isfinite(drawn), active)
        assert np.allclose(drawn[active], run.alignment[1:, neuron][active])


def test_figures_by_problem(runs):
    network = cr.solve_max_margin(*F1).network
    assert [
        f.name for f in training_figures([training_bounds(run) for run in runs], network, optimum=P_STAR)
    ] == [
        "bounds",
        "alignment",
        "growth",
        "directions",
    ]
    names = [
        f.name
        for f in training_figures(
            [training_bounds(run) for run in runs], network, optimum=P_STAR, label="class 2"
        )
    ]
    assert names == ["bounds-class-2", "alignment-class-2", "growth-class-2", "directions-class-2"]


def test_no_runs_are_refused():
    with pytest.raises(cr.InvalidInputError):
        bounds_figure([], optimum=1.0, title="t")
    with pytest.raises(cr.InvalidInputError):
        alignment_figure([], title="t")


def test_saved_figures_are_png_files_and_nothing_else(tmp_path, runs):
    folder = tmp_path / "new" / "folder"
    figures = [NamedFigure(name="alignment", figure=alignment_figure(runs, title="t"))]
    for _ in range(2):  # the second time over the first
        [path] = save_figures(figures, folder)
        assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in folder.iterdir()] == ["alignment.png"]
    (tmp_path / "file").write_text("")
    with pytest.raises(cr.InvalidInputError, match="file"):
        save_figures(figures, tmp_path / "file")


def test_drawing_leaves_pyplot_alone(runs):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    alignment_figure(runs, title="t")
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_a_run_that_never_fits_has_no_gap_to_draw(tmp_path):
    """One positive neuron cannot fit the negative row: every objective is infinite, and nothing fails."""
    start = cr.TwoLayerReLU([[1e-3, 0.0]], [1e-3])
    run = cr.gradient_descent(F1.X, F1.y, start, step_size=0.3, n_steps=500, normalized=True)
    assert not np.isfinite(run.objective).any()
    figure = bounds_figure([training_bounds(run)], optimum=P_STAR, title="never fits")
    figure.savefig(tmp_path / "bounds.png")
    assert (tmp_path / "bounds.png").stat().st_size > 0
    left, right = figure.axes
    assert [text.get_text() for text in right.texts] == ["no run fits the data"]
    assert len(right.get_yticks()) == 0  # an axis without a line would say nothing
    assert right.get_legend() is None
    assert right.get_xlim() == left.get_xlim()


def test_a_gap_within_a_decade_has_labels_to_read_it_by():
    """The counterexample from its stored start: the gap falls from 29 % to 1 - (1 + sqrt 2)/3 = 20 %."""
    example = multi_class_counterexample()
    run = cr.gradient_descent(
        *(example.X, example.y, example.start), step_size=0.3, n_steps=2000, normalized=True
    )
    figure = bounds_figure([training_bounds(run)], optimum=1 + np.sqrt(2), title="t")
    figure.canvas.draw()
    axis = figure.axes[1].yaxis
    low, high = sorted(axis.get_view_interval())
    ticks = axis.get_ticklabels(which="both")
    inside = [t.get_text() for t in ticks if low <= t.get_position()[1] <= high and t.get_text()]
    assert len(inside) >= 2
    assert {"0.2", "0.3"} <= set(inside)


def test_the_title_promises_nothing(runs):
    figures = training_figures(
        [training_bounds(run) for run in runs],
        cr.solve_max_margin(*F1).network,
        optimum=P_STAR,
        label="class 2",
    )
    title = figures[0].figure.get_suptitle()
    assert "certif" not in title
    assert "(class 2)" in title


def test_a_run_that_took_no_step_is_drawn_without_a_warning(tmp_path):
    """From weights of 1e6 the first step is below their rounding."""
    start = scaled_start(F1.X, F1.y, width=6, scale=1e6, rng=0).network
    run = cr.gradient_descent(F1.X, F1.y, start, step_size=0.3, n_steps=10, normalized=True)
    assert run.times.tolist() == [0]
    figures = training_figures([training_bounds(run)], cr.solve_max_margin(*F1).network, optimum=P_STAR)
    assert len(save_figures(figures, tmp_path)) == 4
