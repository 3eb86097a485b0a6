"""Dark slides: what is drawn is told from the paper, and nothing is recoloured twice."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import convexrelu as cr
from convexrelu.plotting import (
    arrangement_figure,
    circle_figure,
    darkened,
    decision_figure,
    ellipsoids_figure,
    extreme_points_figure,
    polar_figure,
    weights_figure,
)
from convexrelu.plotting.dark import PAPER

X, Y = cr.datasets.load("wang-pilanci-f1")


@pytest.fixture(scope="module")
def solution() -> cr.MaxMarginSolution:
    found = cr.solve_max_margin(X, Y)
    assert isinstance(found, cr.MaxMarginSolution)
    return found


def contrast(color: object) -> float:
    """WCAG 2, written out anew."""

    def luminance(rgb: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    return (luminance(to_rgb(color)) + 0.05) / (luminance(to_rgb(PAPER)) + 0.05)


def pixels(figure: Figure) -> np.ndarray:
    content = io.BytesIO()
    figure.savefig(content, format="raw", dpi=60)
    return np.frombuffer(content.getvalue(), np.uint8).reshape(-1, 4)[:, :3].astype(int)


def test_no_figure_keeps_a_white_or_a_black_spot(solution: cr.MaxMarginSolution) -> None:
    start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    path = cr.gradient_descent(X, Y, start, step_size=0.3, n_steps=2000, normalized=True)
    rows = np.random.default_rng(3).normal(size=(5, 3))
    layers = [np.eye(3), np.ones((1, 3))]
    for figure in (
        decision_figure(X, Y, solution.network, solution.lam, title="both"),
        circle_figure(path, solution.network),
        polar_figure(X, Y, solution.lam),
        ellipsoids_figure(X),
        extreme_points_figure(X, solution.network, solution.lam),
        arrangement_figure(rows, cr.enumerate_patterns(rows)),
        weights_figure([cr.FeedForward(layers, cr.PowerLeakyReLU())], ["one"]),
    ):
        assert darkened(figure) is figure
        seen = pixels(figure)
        # all channels of black are below those of the paper, 22 to 28, and all of white above text's 236
        assert seen.max(axis=1).min() >= round(255 * to_rgb(PAPER)[2]) - 1
        assert (seen.min(axis=1) > 240).mean() == 0
        assert (np.abs(seen - np.round(255 * np.array(to_rgb(PAPER)))).max(axis=1) <= 1).mean() > 0.1


def test_lines_arrows_rings_and_words_are_told_from_the_paper(solution: cr.MaxMarginSolution) -> None:
    [ax] = darkened(decision_figure(X, Y, solution.network, solution.lam, title="t")).axes
    levels, rings = ax.collections[1], ax.collections[-1]
    drawn = [line.get_color() for line in ax.lines] + [*levels.get_edgecolor(), *rings.get_edgecolor()]
    drawn += [text.arrow_patch.get_edgecolor() for text in ax.texts] + [ax.xaxis.label.get_color()]
    drawn += [label.get_color() for label in ax.get_xticklabels()]
    assert len(drawn) > 10
    assert min(contrast(color) for color in drawn) >= 4.5 - 1e-9


def test_opacity_and_what_is_not_drawn_stay(solution: cr.MaxMarginSolution) -> None:
    figure = extreme_points_figure(X, solution.network, solution.lam)
    body = figure.axes[0].patches[0]
    before = body.get_alpha()
    star = next(line for line in figure.axes[0].lines if line.get_marker() == "*")
    darkened(figure)
    assert body.get_alpha() == before == pytest.approx(0.3)
    assert star.get_markerfacecolor() == "none"
    assert contrast(star.get_markeredgecolor()) > 10
