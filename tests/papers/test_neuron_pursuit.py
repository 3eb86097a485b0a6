"""The figures of Neuron Pursuit, with the claims behind them."""

import json
from pathlib import Path

import pytest

from convexrelu.papers import ReproducedFigure, neuron_pursuit
from convexrelu.papers.neuron_pursuit import LEFT, N_RUNS, RIGHT, halves

RECORDED = Path(__file__).parents[2] / "benchmarks" / "results"


def test_a_reproduced_figure_holds():
    figure = next(neuron_pursuit.figures())
    assert isinstance(figure, ReproducedFigure)
    assert figure.holds, str(figure)


def test_the_second_order_decides_where_the_first_one_vanishes():
    """NP D.3, Figure 13, and Lemma 20: seconds."""
    figure = neuron_pursuit._second_order()
    assert figure.holds, str(figure)
    [curve] = [ax for ax in figure.figure.subfigs[0].axes if ax.get_title().startswith("cosine")]
    cosines = curve.lines[0].get_ydata()
    assert -1.0 <= min(cosines) < 0.5
    assert 0.95 < max(cosines) <= 1.0 + 1e-9


@pytest.mark.slow
def test_all_reproduced_figures_hold():
    figures = list(neuron_pursuit.figures())
    numbers = (5, 6, 7, 8, 9, "11-left", "11-right", 13)
    names = [*(f"np-figure-{k}" for k in numbers), "np-greedy"]
    assert [figure.name for figure in figures] == names
    for figure in figures:
        assert figure.holds, str(figure)


@pytest.mark.parametrize("half", LEFT + RIGHT, ids=lambda half: half.function)
def test_recorded_halves_hold(half):
    """What `benchmarks/halves.py` recorded: all runs, of these very settings, and the claims hold."""
    document = json.loads((RECORDED / f"np-{half.function}.json").read_text())
    assert len(document["runs"]) == N_RUNS * len(half.sizes)
    [figure] = halves([half.function], folder=str(RECORDED))
    assert figure.holds, str(figure)
