"""Listing the cells of the positive arms: every vertex of Z_+ that a direction exposes is met."""

import numpy as np
import pytest

from convexrelu.correlation import zonotopes_of
from convexrelu.correlation.cones import search_cones
from convexrelu.correlation.listing import PERTURBATION, search_cells


def pair_of(seed, n, d, grid):
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, size=(n, d)).astype(float) if grid else rng.normal(size=(n, d))
    return zonotopes_of(X, rng.normal(size=n))


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (5, 1), (9, 2), (14, 3), (16, 4), (12, 5), (10, 6)])
def test_listing_and_cones_agree(n, d, grid):
    """Two searches with nothing in common but the kernel; grids have many coinciding flats."""
    for seed in range(6):
        pair = pair_of(seed, n, d, grid)
        if not len(pair.positive):
            continue
        nowhere = np.zeros(pair.basis.shape[1])
        cells = search_cells(pair, 0.0, nowhere, seconds=60.0)
        cones = search_cones(pair, 0.0, nowhere, tol=1e-12, seconds=60.0, max_nodes=10**6)
        assert cells.finished
        assert cones.finished
        assert cells.value == pytest.approx(cones.value, rel=1e-9, abs=1e-11)
        assert cells.bound >= cones.value * (1 - 1e-12)


def test_the_value_is_attained_and_the_slack_is_what_the_perturbation_costs():
    pair = pair_of(3, 30, 7, grid=False)
    found = search_cells(pair, 0.0, np.zeros(pair.basis.shape[1]), seconds=60.0)
    assert pair.values(found.direction[None, :])[0] == pytest.approx(found.value, rel=1e-12)
    sizes = np.linalg.norm(pair.positive, axis=1).sum()
    assert found.bound - found.value == pytest.approx(4 * PERTURBATION * sizes, rel=1e-2)


def test_one_positive_arm_is_half_the_answer():
    """One arm p and no negative ones: the maximum is its length."""
    pair = zonotopes_of(np.array([[3.0, 4.0]]), np.array([2.0]))
    assert search_cells(pair, 0.0, np.zeros(1), seconds=1.0).value == pytest.approx(10.0, rel=1e-15)


def test_no_time_gives_no_bound():
    pair = pair_of(0, 20, 4, grid=False)
    found = search_cells(pair, 0.5, np.eye(4)[0], seconds=0.0)
    assert not found.finished
    assert found.bound == np.inf
    assert found.value == 0.5
