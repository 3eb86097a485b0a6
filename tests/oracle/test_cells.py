"""Listing the cells of the positive generators: every vertex of Z_+ that a direction exposes is met."""

import numpy as np
import pytest

from convexrelu._clock import Clock
from convexrelu.arrangements import pattern_bound
from convexrelu.arrangements.tableau import cell_above, new_tableau
from convexrelu.arrangements.vertices import choice_at, generic_frame, lowest_cell, next_choice
from convexrelu.oracle import zonotopes_of
from convexrelu.oracle.cells import PERTURBATION, search_cells
from convexrelu.oracle.cones import search_cones
from convexrelu.oracle.zonotopes import neighbouring_order, sums_of_neighbours


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
        cells = search_cells(pair, 0.0, nowhere, clock=Clock(limit=60.0))
        cones = search_cones(pair, 0.0, nowhere, tol=1e-12, clock=Clock(limit=60.0), max_nodes=10**6)
        assert cells.finished
        assert cones.finished
        assert cells.value == pytest.approx(cones.value, rel=1e-9, abs=1e-11)
        assert cells.bound >= cones.value * (1 - 1e-12)


def test_the_value_is_attained_and_the_slack_is_what_the_perturbation_costs():
    pair = pair_of(3, 30, 7, grid=False)
    found = search_cells(pair, 0.0, np.zeros(pair.basis.shape[1]), clock=Clock(limit=60.0))
    assert pair.values(found.direction[None, :])[0] == pytest.approx(found.value, rel=1e-12)
    sizes = np.linalg.norm(pair.positive, axis=1).sum()
    assert found.bound - found.value == pytest.approx(4 * PERTURBATION * sizes, rel=1e-2)


def test_one_positive_generator_is_half_the_answer():
    """One generator p and no negative ones: the maximum is its length."""
    pair, clock = zonotopes_of(np.array([[3.0, 4.0]]), np.array([2.0])), Clock(limit=1.0)
    assert search_cells(pair, 0.0, np.zeros(1), clock=clock).value == pytest.approx(10.0, rel=1e-15)


def test_no_time_leaves_the_bound_known_before():
    pair = pair_of(0, 20, 4, grid=False)
    for search, more in ((search_cells, {}), (search_cones, {"tol": 1e-9, "max_nodes": 10})):
        found = search(pair, 0.5, np.eye(4)[0], clock=Clock(limit=0.0), ceiling=7.0, **more)
        assert not found.finished
        assert (found.value, found.bound) == (0.5, 7.0)


@pytest.mark.parametrize("d", [3, 5, 8])
def test_a_search_over_cones_cut_off_has_a_bound_that_falls_with_its_nodes(d):
    pair = pair_of(d, 60, d, grid=False)
    nowhere, sizes = np.zeros(d), np.linalg.norm(pair.positive, axis=1).sum()
    bounds = []
    for nodes in (2**d + 1, 2**d + 200, 2**d + 2000):
        clock = Clock(limit=60.0)
        found = search_cones(pair, 0.0, nowhere, tol=1e-9, clock=clock, max_nodes=nodes, ceiling=sizes)
        directions = np.random.default_rng(0).normal(size=(10_000, d))
        seen = pair.values(directions / np.linalg.norm(directions, axis=1, keepdims=True)).max()
        assert max(seen, found.value) <= found.bound <= sizes
        bounds.append(found.bound)
    assert bounds[2] < bounds[0] < sizes
    assert bounds[2] <= bounds[1] <= bounds[0]


@pytest.mark.parametrize(("n", "d"), [(600, 3), (1500, 2), (700, 4)])
def test_cones_with_more_mixed_generators_than_get_multipliers_of_their_own(n, d):
    """A few generators of Z_+ against hundreds of Z_-: neighbours share multipliers; the answer is exact."""
    rng = np.random.default_rng(n)
    X, lam = rng.normal(size=(n, d)), -rng.exponential(size=n) / n
    lam[:6] = 1.0
    pair = zonotopes_of(X, lam)
    nowhere = np.zeros(d)
    cones = search_cones(pair, 0.0, nowhere, tol=1e-9, clock=Clock(limit=60.0), max_nodes=10**5)
    cells = search_cells(pair, 0.0, nowhere, clock=Clock(limit=60.0))
    assert cones.finished
    assert cells.finished
    assert cones.value == pytest.approx(cells.value, rel=1e-8)
    assert cones.bound >= cells.value * (1 - 1e-12)


@pytest.mark.parametrize(("h", "rank"), [(1, 1), (4, 1), (5, 2), (9, 3), (10, 4), (9, 6), (7, 7)])
def test_shared_pivots_give_the_cells_that_one_elimination_each_gives(h, rank):
    rng = np.random.default_rng(h)
    for trial in range(4):
        normals = rng.integers(-2, 3, size=(h, rank)) + 1e-9 * rng.normal(size=(h, rank))
        if trial % 2:
            normals = rng.normal(size=(h, rank))
        units = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        columns = np.ascontiguousarray((units @ generic_frame(units, rng)).T)
        position, tableau = choice_at(0, h, rank), new_tableau(rank, h)
        expected, found, visits = np.empty(h), np.empty(h), 0
        work, inverse, point = np.empty((rank, rank)), np.empty((rank, rank)), np.empty(rank)
        going = True
        while going:
            assert lowest_cell(columns, position, work, inverse, point, expected)
            assert cell_above(columns, position, tableau, found)
            np.testing.assert_array_equal(found > 0, expected > 0)
            visits += 1
            going = next_choice(position, h)
        assert 2 * visits == pattern_bound(h, rank)


def test_sums_of_neighbours_lose_no_generator_and_bound_from_below():
    rng = np.random.default_rng(0)
    for k, r, most in [(1, 1, 1), (7, 3, 7), (100, 3, 9), (1025, 5, 64), (50, 2, 1)]:
        generators = rng.normal(size=(k, r))
        generators[: k // 4] = generators[0]
        sums = sums_of_neighbours(generators, most)
        assert len(sums) <= most
        np.testing.assert_allclose(sums.sum(axis=0), generators.sum(axis=0), atol=1e-11)
        assert sorted(neighbouring_order(generators, 4)) == list(range(k))
        directions = rng.normal(size=(200, r))
        apart, together = (np.maximum(directions @ a.T, 0).sum(axis=1) for a in (generators, sums))
        assert (together <= apart * (1 + 1e-12)).all()
    # and neighbours they are: on the circle, 64 sums of 4096 generators are nearly as good as the generators
    angles = rng.uniform(0, 2 * np.pi, size=4096)
    circle = np.c_[np.cos(angles), np.sin(angles)]
    assert (
        np.maximum(sums_of_neighbours(circle, 64)[:, 0], 0).sum() >= 0.99 * np.maximum(circle[:, 0], 0).sum()
    )
