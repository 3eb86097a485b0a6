import numpy as np

import convexrelu as cr
from convexrelu.plotting import basins_figure
from convexrelu.training import basin_map


def test_stars_in_the_plane_stand_at_the_extreme_points():
    X, y = np.eye(2), np.array([1.0, 1.0])
    left, right = basins_figure(basin_map(X, y, resolution=10), title="t").axes[:2]
    flow = cr.alignment_flow(X, y, np.random.default_rng(0).normal(size=(200, 2)))
    stars = [tuple(c.get_offsets()[0].round(9)) for c in left.collections[1:] if len(c.get_offsets())]
    assert stars == [tuple(point.direction.round(9)) for point in flow.extreme_points]
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert [label.split(", ")[1] for label in labels] == [
        "25.0%"
    ] * 4  # a quadrant each, one of them inactive
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["none, 100.0%"]


def test_hemispheres_show_the_basins():
    X, y = np.eye(3), np.array([1.0, 1.0, 1.0])
    figure = basins_figure(basin_map(X, y, resolution=24), title="t")
    upper = figure.axes[0]
    image = np.asarray(upper.images[0].get_array())
    # u_3 > 0 and u_1, u_2 > 0: all rows active; one colour, another one where only row 3 is
    assert np.allclose(image[18, 18], image[15, 15])
    assert not np.allclose(image[18, 18], image[5, 5])
    assert image[0, 0, 3] == 0  # outside the disc


def test_legends_hide_nothing_of_the_circles():
    figure = basins_figure(basin_map(np.eye(2), np.array([1.0, 1.0]), resolution=10), title="t")
    figure.canvas.draw()
    for ax in figure.axes:
        assert not ax.get_legend().get_window_extent().overlaps(ax.get_window_extent())
