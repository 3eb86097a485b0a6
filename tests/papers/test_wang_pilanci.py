import sys
from dataclasses import replace

import numpy as np
import pytest

from convexrelu.papers import wang_pilanci
from convexrelu.papers.wang_pilanci import star


@pytest.fixture(scope="module")
def drawn():
    """All figures, drawn as where the extra cvxpy is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cvxpy", None)
        return {figure.name: figure for figure in wang_pilanci.figures(n_runs=2)}


def test_every_number_of_the_paper_holds(drawn):
    assert list(drawn) == [*(f"wp-figure-{k}" for k in (1, 2, 3, 4, 6, 7, 8, 9, 10)), "zonotopes"]
    assert sum(len(figure.claims) for figure in drawn.values()) >= 20
    for figure in drawn.values():
        assert figure.holds, str(figure)


def test_a_wrong_number_fails(drawn):
    """The paper prints (0.58, -0.16) in WP (128): the claim must tell it from the optimum."""
    first = drawn["wp-figure-1"]
    [neuron] = [claim for claim in first.claims if claim.about == "F.1: positive neuron"]
    misprint = replace(neuron, stated=(0.58, -0.16))
    assert neuron.holds
    assert not misprint.holds
    assert not replace(neuron, stated=(0.560576,)).holds
    wrong = replace(first, claims=(*first.claims, misprint))
    assert not wrong.holds
    assert "FAILS" in str(wrong)


def test_star_alternates_round_the_origin():
    X, y = star(8, rng=0)
    angles = np.unwrap(np.arctan2(X[:, 1], X[:, 0]))
    assert (np.diff(angles) > 0).all()
    assert (y[1:] == -y[:-1]).all()


def test_runs_record_the_iterations_that_the_paper_draws(monkeypatch):
    paths, draw = [], wang_pilanci.circle_figure
    monkeypatch.setattr(
        wang_pilanci,
        "circle_figure",
        lambda run, *rest, **options: paths.append(run) or draw(run, *rest, **options),
    )
    figures = wang_pilanci.figures(n_runs=1)
    next(figure for figure in figures if figure.name == "wp-figure-4")
    assert np.isin([1, 10, 100, 1000, 10_000], paths[0].times).all()
    assert paths[0].w2.shape[1] == wang_pilanci.WIDTH == 10
