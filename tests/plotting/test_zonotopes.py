import numpy as np

import convexrelu as cr
from convexrelu.papers.wang_pilanci import star
from convexrelu.planar import zonotope_generators, zonotope_polygon
from convexrelu.plotting import ZonotopePanel, zonotopes_figure


def test_figure_draws_the_polygons():
    data = star(6, rng=3)
    solution = cr.solve_max_margin(data.X, data.y)
    panel = ZonotopePanel(X=data.X, lam=solution.lam, network=solution.network, title="six")
    [ax] = zonotopes_figure([panel], title="t").axes
    assert np.allclose(
        ax.lines[0].get_xydata()[:-1], zonotope_polygon(zonotope_generators(data.X, solution.lam, 1.0))
    )
    arrows = [text.arrow_patch for text in ax.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == solution.network.n_neurons
