"""Weights as pictures: entries, scales, numbers, and what is crossed out."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward
from convexrelu.plotting import weights_figure
from convexrelu.plotting.style import blank_figure
from convexrelu.plotting.weights import WeightRow, draw_weights, weights_size

NETWORK = FeedForward([[[1.0, -4.0], [0.0, 2.0]], [[3.0, 0.0]]])


def pictures(figure):
    return [ax.images[0] for ax in figure.axes if ax.images]


def test_layers_of_a_network_share_one_scale_and_zero_is_white():
    first, second = pictures(weights_figure([NETWORK], ["one"]))
    np.testing.assert_array_equal(first.get_array(), [[1.0, 4.0], [0.0, 2.0]])
    np.testing.assert_array_equal(second.get_array(), [[3.0, 0.0]])
    for image in (first, second):
        assert (image.norm.vmin, image.norm.vmax) == (0.0, 4.0)
        assert to_hex(image.cmap(0.0)) == "#ffffff"
        assert image.axes.get_aspect() == 1.0
        k, j = image.get_array().shape
        assert list(image.get_extent()) == [0.5, j + 0.5, k + 0.5, 0.5]  # rows and columns from 1


def test_networks_have_scales_of_their_own():
    both = pictures(weights_figure([NETWORK, NETWORK.scaled_weights(0.1)], ["large", "small"]))
    assert both[0].norm.vmax == 4.0
    assert both[2].norm.vmax < 4.0
    assert pictures(weights_figure([NETWORK.scaled_weights(0.0)], ["zero"]))[0].norm.vmax == 1.0


def test_what_is_crossed_out_is_not_drawn_nor_scaled_by():
    masks = [np.array([[False, True], [False, False]]), np.array([[False, True]])]
    rows = [WeightRow(label="w_z", layers=NETWORK.weights, crossed=masks)]
    figure = blank_figure(size=weights_size(rows))
    draw_weights(figure, rows)
    first, second = pictures(figure)
    np.testing.assert_array_equal(first.get_array(), [[1.0, 0.0], [0.0, 2.0]])
    assert first.norm.vmax == second.norm.vmax == 3.0
    np.testing.assert_array_equal(first.axes.collections[0].get_offsets(), [[2, 1]])  # column 2, row 1


@pytest.mark.parametrize(
    ("networks", "labels"), [([], []), ([NETWORK], []), ([NETWORK, FeedForward([[[1.0]]])], ["a", "b"])]
)
def test_networks_that_do_not_fit_are_refused(networks, labels):
    with pytest.raises(InvalidInputError, match="same widths"):
        weights_figure(networks, labels)
