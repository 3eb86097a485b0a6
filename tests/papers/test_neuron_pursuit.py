"""The figures of Neuron Pursuit, with the claims behind them."""

import pytest

from convexrelu.papers import ReproducedFigure, neuron_pursuit


def test_a_reproduced_figure_holds():
    figure = next(neuron_pursuit.figures())
    assert isinstance(figure, ReproducedFigure)
    assert figure.holds, str(figure)


def test_the_second_order_decides_where_the_first_one_vanishes():
    """NP D.3, Figure 13, and Lemma 20: seconds."""
    figure = neuron_pursuit._second_order()
    assert figure.holds, str(figure)


@pytest.mark.slow
def test_all_reproduced_figures_hold():
    figures = list(neuron_pursuit.figures())
    numbers = (5, 6, 7, 8, 9, "11-left", "11-right", 13)
    names = [*(f"np-figure-{k}" for k in numbers), "np-greedy"]
    assert [figure.name for figure in figures] == names
    for figure in figures:
        assert figure.holds, str(figure)


@pytest.mark.slow
@pytest.mark.parametrize("half", neuron_pursuit.RIGHT, ids=lambda half: half.function)
def test_right_halves_hold(half):
    """f2, g2 and h2 (NP Figures 6 to 8): about an hour together; two training sets of each size."""
    figure = neuron_pursuit._learned(half, n_runs=2)
    assert figure.holds, str(figure)
