"""The figures of Neuron Pursuit, with the claims behind them."""

import pytest

from convexrelu.papers import ReproducedFigure, neuron_pursuit


def test_a_reproduced_figure_holds():
    figure = next(neuron_pursuit.figures())
    assert isinstance(figure, ReproducedFigure)
    assert figure.holds, str(figure)


@pytest.mark.slow
def test_all_reproduced_figures_hold():
    figures = list(neuron_pursuit.figures())
    assert [figure.name for figure in figures] == [*(f"np-figure-{k}" for k in range(5, 10)), "np-greedy"]
    for figure in figures:
        assert figure.holds, str(figure)
