import numpy as np
import pytest

import convexrelu as cr
from convexrelu.plotting.alignment import _flattened
from convexrelu.training import basin_map


@pytest.mark.parametrize("d", [2, 3])
def test_limits_are_those_of_the_flow(d):
    X, y = np.random.default_rng(d).normal(size=(5, d)), np.array([1.0, 1.0, -1.0, 1.0, -1.0])
    found = basin_map(X, y, resolution=8)
    for flow, sign in ((found.positive, 1.0), (found.negative, -1.0)):
        alone = cr.alignment_flow(X, y, found.starts, signs=sign)
        np.testing.assert_array_equal(flow.index, alone.index)
        np.testing.assert_array_equal(flow.limits, alone.limits)


def test_directions_are_unit_vectors_evenly_spread():
    """Lambert: equal areas of the disc of radius sqrt 2 are equal areas of the hemisphere."""
    around = basin_map(np.eye(2), [1.0, 1.0], resolution=10).starts
    np.testing.assert_allclose(np.linalg.norm(around, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(around.sum(axis=0), 0, atol=1e-12)
    starts = basin_map(np.eye(3), [1.0, 1.0, 1.0], resolution=60).starts
    np.testing.assert_allclose(np.linalg.norm(starts, axis=1), 1, atol=1e-12)
    front, back = np.split(starts, 2)
    np.testing.assert_array_equal(front[:, :2], back[:, :2])
    np.testing.assert_array_equal(front[:, 2], -back[:, 2])
    # Archimedes: the heights of evenly spread points are uniform
    np.testing.assert_allclose(np.quantile(front[:, 2], [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.02)
    for part, side in ((front, 1.0), (back, -1.0)):
        plane = _flattened(part, side)
        ticks = (plane / np.sqrt(2) + 1) * 30 - 0.5
        np.testing.assert_allclose(ticks, np.rint(ticks), atol=1e-9)


def test_other_dimensions_are_refused():
    with pytest.raises(cr.InvalidInputError, match="two or three columns"):
        basin_map(np.eye(4), np.ones(4))
