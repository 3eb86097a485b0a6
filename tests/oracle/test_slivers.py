"""Cones whose rays are equal but for rounding: what the search says it has found, it has found."""

import numpy as np
import pytest

from convexrelu._clock import Clock
from convexrelu.oracle import cones
from convexrelu.oracle.shares import PARTNERS


def _sliver(near, width, rng):
    """Return a cone of three nearly equal rays."""
    rays = near + width * rng.normal(size=(3, 3))
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


@pytest.mark.parametrize("width", [1e-13, 1e-12])
def test_the_value_is_that_of_the_direction_however_thin_the_cone(width):
    # the inverse of such rays is rounding, and so is where it says that a point lies
    for seed in range(300):
        rng = np.random.default_rng(seed)
        generators = rng.normal(size=(40, 3))
        P, Q = generators[:20], generators[20:]
        near = rng.normal(size=3)
        near /= np.linalg.norm(near)
        front = cones.Frontier(
            cones=_sliver(near, width, rng)[None],
            sums=np.zeros((1, 3)),
            bounds=np.full(1, np.inf),
            slacks=np.zeros(1),
            edges=np.full((1, 2), -1),
            shares=np.zeros(1),
            stops=np.zeros(1, dtype=np.int64),
            members=np.zeros(0, dtype=np.int64),
            t=np.zeros(0),
            plays=np.zeros((0, PARTNERS + 3), dtype=np.float32),
        )
        kinks = generators, np.linalg.norm(generators, axis=1), 20, cones.nearest_partners(P, Q)
        found = cones._work(kinks, front, 0.0, near, 1e-9, 0.0, 0.0, 200, Clock(limit=np.inf))
        u = found.direction
        assert found.value <= max(np.maximum(P @ u, 0).sum() - np.maximum(Q @ u, 0).sum(), 0.0) + 1e-10
