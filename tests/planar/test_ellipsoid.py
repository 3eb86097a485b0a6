import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu.oracle import dual_norm
from convexrelu.planar import ellipsoid_of, pattern_extremes

F1 = cr.datasets.load("wang-pilanci-f1")
F2 = cr.datasets.load("wang-pilanci-f2")

TWO_ROWS = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(2, 2)))


def brute_force_reach(X, axis):
    """Largest (x_axis^T u)_+ over unit u that do not see the other sample, on a fine grid of angles."""
    angles = np.linspace(0, 2 * np.pi, 200_001)
    heights = np.column_stack([np.cos(angles), np.sin(angles)]) @ X.T
    alone = heights[:, 1 - axis] <= 0
    return heights[alone, axis].max()


@settings(max_examples=30, deadline=None)
@given(X=TWO_ROWS)
def test_spikes_are_the_farthest_images_of_vectors_that_see_one_sample(X):
    spikes = ellipsoid_of(X).spikes
    assert np.allclose(spikes, [brute_force_reach(X, 0), brute_force_reach(X, 1)], rtol=1e-4, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(X=TWO_ROWS)
def test_spikes_stick_out_exactly_when_the_rows_are_at_an_obtuse_angle(X):
    """Two independent rows are spike-free iff their product is not negative (WP Definition 2)."""
    shape = ellipsoid_of(X)
    sticks_out = bool((shape.spikes > shape.crossing * (1 + 1e-9)).any())
    assert sticks_out == (not cr.is_spike_free(X))


@settings(max_examples=30, deadline=None)
@given(X=TWO_ROWS)
def test_outline_and_body_are_images_of_the_unit_ball(X):
    shape = ellipsoid_of(X)
    assert np.allclose(np.linalg.norm(np.linalg.solve(X, shape.outline.T), axis=0), 1)
    assert (shape.body >= 0).all()
    assert (np.linalg.norm(np.linalg.solve(X, shape.body.T), axis=0) <= 1 + 1e-9).all()


def test_body_holds_every_rectified_image_of_two_active_samples():
    u = np.random.default_rng(0).normal(size=(4000, 2))
    images = u / np.linalg.norm(u, axis=1, keepdims=True) @ F1.X.T
    images = images[(images > 0).all(axis=1)]
    body = ellipsoid_of(F1.X).body
    angles = np.arctan2(body[1:-1, 1], body[1:-1, 0])
    radius = np.interp(np.arctan2(images[:, 1], images[:, 0]), angles, np.linalg.norm(body[1:-1], axis=1))
    assert np.allclose(np.linalg.norm(images, axis=1), radius, rtol=1e-3)


def test_data_of_one_column_gives_a_segment():
    shape = ellipsoid_of([[2.0], [-1.0]])
    assert np.allclose(shape.spikes, [2, 1])
    assert np.allclose(shape.crossing, 0)


@settings(max_examples=20, deadline=None)
@given(X=TWO_ROWS, lam=st.integers(0, 2**32 - 1).map(lambda s: np.random.default_rng(s).normal(size=2)))
def test_the_best_extreme_point_attains_the_dual_norm(X, lam):
    """WP eq. (11): the maximum over Q is the largest of the maxima over the patterns' cones."""
    extremes = pattern_extremes(X, lam)
    assert max(e.value for e in extremes) == pytest.approx(dual_norm(X, lam).value, rel=1e-9)
    for e in extremes:
        if e.value > 0:
            assert np.linalg.norm(e.direction) == pytest.approx(1)
            assert e.sign * lam @ np.maximum(X @ e.direction, 0) == pytest.approx(e.value, rel=1e-9)
            inside = np.where(e.pattern, 1, -1) * (X @ e.direction)
            assert (inside >= -1e-9).all()


@pytest.mark.parametrize(("data", "patterns"), [(F1, [(1, 0), (0, 1)]), (F2, [(1, 1)])])
def test_optimal_neurons_are_extreme_points_of_their_pattern(data, patterns):
    solution = cr.solve_max_margin(data.X, data.y)
    best = [e for e in pattern_extremes(data.X, solution.lam) if e.value > 1 - 1e-6]
    assert {tuple(e.pattern.astype(int)) for e in best} == set(patterns)
    for e in best:
        same = solution.network.signs == e.sign
        directions = solution.network.u[same] / np.linalg.norm(
            solution.network.u[same], axis=1, keepdims=True
        )
        assert np.abs(directions @ e.direction - 1).min() < 1e-9


def test_more_than_two_samples_are_refused():
    with pytest.raises(cr.InvalidInputError, match="two rows"):
        ellipsoid_of(np.ones((3, 2)))
