import numpy as np
import pytest

import convexrelu as cr
from convexrelu.oracle import dual_norm
from convexrelu.plotting import polar_figure

F1 = cr.datasets.load("wang-pilanci-f1")


def test_figure_marks_lam_on_the_boundary():
    solution = cr.solve_max_margin(*F1)
    figure = polar_figure(F1.X, F1.y, solution.lam, title="t")
    [star] = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert np.allclose(star.get_xydata()[0], solution.lam)
    assert dual_norm(F1.X, star.get_xydata()[0]).value == pytest.approx(1, abs=1e-9)
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert any("1.282432" in label for label in labels)
