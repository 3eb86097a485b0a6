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


def test_digits_are_reproduced():
    """KH-beyond Figure 8 with the digits of scikit-learn: a run of seconds."""
    (run,) = [run for run in RUNS if not run.teacher]
    figure = saddles._run(run)
    assert figure.holds
    assert figure.named.name == "kh-beyond-figures-8-16"
    assert len(figure.figure.subfigs[1].axes) % 3 == 0


@pytest.mark.slow
def test_every_figure_holds():
    for figure in saddles.figures():
        assert figure.holds, str(figure)
