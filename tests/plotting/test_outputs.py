"""Histograms hold every sample once, under its class; the fit is drawn where it is."""

from __future__ import annotations

import numpy as np
import pytest

from convexrelu.errors import InvalidInputError
from convexrelu.plotting import fit_figure, margins_figure
from convexrelu.plotting.style import sign_color

VALUES = np.array([-3.0, -1.0, 0.5, 1.0, 4.0])
LABELS = np.array([-1, -1, -1, 1, 1])


def test_every_sample_is_counted_under_its_class():
    figure = margins_figure(VALUES, LABELS, names=("no", "yes"), title="margins")
    [ax] = figure.axes
    heights = [sum(bar.get_height() for bar in container) for container in ax.containers]
    assert heights == [3, 2]
    assert sorted(line.get_xdata()[0] for line in ax.lines) == [-1, 0, 1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["no", "yes", "margin"]
    low, high = ax.get_xlim()
    assert low <= -3
    assert high >= 4


def test_one_class_alone_has_one_histogram():
    [ax] = margins_figure([2.0, 3.0], [1, 1]).axes
    assert len(ax.containers) == 1


def test_the_fit_is_drawn_against_its_targets():
    [ax] = fit_figure(VALUES, LABELS).axes
    diagonal, points = ax.lines
    np.testing.assert_array_equal(points.get_xydata(), np.c_[LABELS, VALUES])
    np.testing.assert_array_equal(diagonal.get_xydata(), [[-3, -3], [4, 4]])
    assert points.get_color() == sign_color(1.0)


def test_other_lengths_are_refused():
    with pytest.raises(InvalidInputError, match="5 rows"):
        margins_figure(VALUES, LABELS[:3])
    with pytest.raises(InvalidInputError, match="targets must have 5 entries"):
        fit_figure(VALUES, LABELS[:3])
