"""The figures of KH-beyond and of NP sections 3 and 4, with the claims behind them."""

import numpy as np
import pytest

from convexrelu.papers import saddles
from convexrelu.papers.saddle_settings import RUNS


def test_example_1_is_reproduced():
    figure = saddles._example_1()
    assert figure.holds
    ax = figure.figure.axes[0]
    curves = [line for line in ax.lines if len(line.get_xdata()) > 10]
    ends = [(line.get_xdata()[-1], line.get_ydata()[-1]) for line in curves]
    assert np.allclose(ends[:3], [2.0, 1.0], atol=1e-3)  # psi goes on to the minimum
    assert np.allclose(ends[3], [2.0, 0.0], atol=1e-5)  # p ends at the saddle


@pytest.mark.parametrize("name", ["5", "10", "12"])
def test_runs_of_seconds_are_reproduced(name):
    (run,) = [run for run in RUNS if run.name == f"kh-beyond-figure-{name}"]
    figure = saddles._run(run)
    assert figure.holds, str(figure)
    assert run.setting == figure.setting


def test_figures_say_saddle_only_where_the_run_goes_on():
    """GELU's runs end without one (KH-beyond Figures 12 and 13): the last mark is called the end."""
    labels = {}
    for name in ("5", "12"):
        (run,) = [run for run in RUNS if run.name == f"kh-beyond-figure-{name}"]
        panels = saddles._run(run).figure.subfigs[1].axes
        labels[name] = [ax.get_ylabel() for ax in panels if ax.images and ax.get_ylabel()]
    assert labels["5"][-1].endswith("first saddle")
    assert labels["12"][-1].endswith("end")


@pytest.mark.slow
def test_every_figure_holds():
    for figure in saddles.figures():
        assert figure.holds, str(figure)
