import numpy as np
import pytest

import convexrelu as cr
from convexrelu.arrangements import coverage_curve
from convexrelu.plotting import arrangement_figure, coverage_figure

THREE = np.array([[1.65, -0.47], [-0.47, 1.35], [1.0, 1.0]])


def drawn(X, **options):
    return arrangement_figure(X, cr.enumerate_patterns(X), **options)


def labels(ax):
    return {text.get_text() for text in ax.texts}


def test_every_cell_of_the_plane_is_named():
    [ax] = drawn(THREE).axes
    expected = {"".join("01"[int(b)] for b in p) for p in cr.enumerate_patterns(THREE).patterns}
    assert labels(ax) == expected
    for text in ax.texts:  # in its cell
        spot = np.array(text.get_position())
        assert "".join("01"[int(b)] for b in THREE @ spot > 0) == text.get_text()


@pytest.mark.parametrize("X", [THREE, np.eye(3) + 0.1])
def test_ticks_are_explained(X):
    [legend] = drawn(X).legends
    assert [text.get_text() for text in legend.get_texts()] == ["tick: the side on which a row is active"]


def test_the_two_halves_of_the_sphere_show_all_cells():
    X = np.eye(3) + 0.1
    front, back = drawn(X, title="t").axes
    assert labels(front) | labels(back) == {f"{k:03b}" for k in range(8)}
    image = front.images[0].get_array()
    assert set(np.unique(image[~np.isnan(image)])) <= {0, 1, 2, 3}
    # opposite points of the sphere have opposite patterns: the halves' images add up to n
    other = back.images[0].get_array()[::-1, :]
    both = ~np.isnan(image) & ~np.isnan(other)
    assert np.mean((image + other)[both] == 3) > 0.999


def test_rank_counts_and_not_columns():
    flat = THREE @ np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 1.0]])
    [ax] = drawn(np.r_[flat, 0 * flat[:1]]).axes
    assert len(labels(ax)) == 6
    assert "6 cells" in drawn(THREE)._suptitle.get_text()


@pytest.mark.parametrize("X", [np.ones((2, 1)), np.eye(4), np.zeros((2, 2))])
def test_other_ranks_are_refused(X):
    with pytest.raises(cr.InvalidInputError, match="rank 2 or 3"):
        drawn(X)


def test_coverage_is_drawn_as_a_share():
    X, sizes = np.random.default_rng(0).normal(size=(10, 3)), [1, 10, 100]
    curve = coverage_curve(X, sizes, rng=0)
    [ax] = coverage_figure(cr.count_patterns(X), sizes, {"gaussian": curve}).axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve / cr.count_patterns(X))
    with pytest.raises(cr.InvalidInputError, match="one entry a size"):
        coverage_figure(cr.count_patterns(X), sizes, {"gaussian": curve[:2]})
