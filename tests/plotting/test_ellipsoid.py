import numpy as np
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu.planar import ellipsoid_of
from convexrelu.plotting import ellipsoids_figure, extreme_points_figure

F1 = cr.datasets.load("wang-pilanci-f1")
F2 = cr.datasets.load("wang-pilanci-f2")

TWO_ROWS = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(2, 2)))


def test_figures_draw_the_computed_points():
    solution = cr.solve_max_margin(*F1)
    figure = extreme_points_figure(F1.X, solution.network, solution.lam, title="t")
    [stars] = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    W1 = solution.network.W1
    expected = np.maximum(W1 / np.linalg.norm(W1, axis=1, keepdims=True) @ F1.X.T, 0)
    assert np.allclose(stars.get_xydata(), expected)
    assert figure.axes[0].get_title() == "t"
    left, right = ellipsoids_figure(F1.X, title="t").axes
    assert np.allclose(left.lines[0].get_xydata(), ellipsoid_of(F1.X).outline)
    assert left.get_xlim() == right.get_xlim()
