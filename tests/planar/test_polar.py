import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu.planar import pattern_constraints, polar_set

F1 = cr.datasets.load("wang-pilanci-f1")


def on_a_grid(X, lam):
    """h(lam) from dense directions: a lower bound, close to it."""
    angles = np.linspace(0, 2 * np.pi, 20_001)
    return np.abs(np.maximum(np.column_stack([np.cos(angles), np.sin(angles)]) @ X.T, 0) @ lam).max()


@settings(max_examples=5, deadline=None)
@given(X=st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(2, 2))))
def test_radius_times_h_is_one(X):
    polar = polar_set(X, size=12)
    norms = np.array([on_a_grid(X, point) for point in polar.boundary])
    assert (norms <= 1 + 1e-9).all()
    assert (norms >= 1 - 1e-3).all()  # a maximum on a kink lies up to half a step of the grid away
    assert np.allclose(polar.boundary[: len(polar.radius) // 2], -polar.boundary[len(polar.radius) // 2 : -1])


@settings(max_examples=5, deadline=None)
@given(X=st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(2, 2))))
def test_polar_set_is_the_intersection_of_the_single_pattern_constraints(X):
    polar, constraints = polar_set(X, size=12), pattern_constraints(X, size=12)
    for direction, radius in zip(polar.directions, polar.radius, strict=True):
        reached = []
        for constraint in constraints:
            i = np.argmax(constraint.allowed.directions @ direction)
            if np.allclose(constraint.allowed.directions[i], direction):
                assert constraint.allowed.radius[i] >= radius * (1 - 1e-9)
                reached.append(constraint.allowed.radius[i])
        if len(reached) == 3:  # the direction is one of the grid, not a corner
            assert min(reached) == pytest.approx(radius)


def test_corners_of_f1_are_found_exactly():
    """Orthogonally separable data: Q* is the rectangle |lam_n| <= 1/||x_n|| (WP appendix F.1)."""
    corners = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)]) / np.linalg.norm(F1.X, axis=1)
    distances = np.linalg.norm(polar_set(F1.X).boundary[:, None] - corners, axis=2).min(axis=0)
    assert (distances < 1e-9).all()
    lam = cr.solve_max_margin(*F1).lam
    assert np.linalg.norm(corners - lam, axis=1).min() < 1e-6


def test_strips_reach_to_infinity_along_the_other_axis():
    strips = {tuple(c.pattern.astype(int)): c.allowed for c in pattern_constraints(F1.X, size=4)}
    assert set(strips) == {(1, 1), (1, 0), (0, 1)}
    upright = strips[1, 0]
    along = np.abs(upright.directions[:, 0]) < 1e-12
    assert along.any()
    assert np.isinf(upright.radius[along]).all()
    assert np.isfinite(upright.radius[~along]).all()


@pytest.mark.parametrize("X", [np.ones((3, 2)), np.array([[1.0, 0.0], [0.0, 0.0]])])
def test_data_without_a_polar_set_to_draw_is_refused(X):
    with pytest.raises(cr.InvalidInputError, match="two non-zero rows"):
        polar_set(X)
