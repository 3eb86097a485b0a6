"""Adjacency, rays and the cell of a direction: Euler's relation ties them together."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convexrelu.arrangements import adjacency, cell_of, enumerate_patterns, rays, sample_patterns
from convexrelu.errors import InvalidInputError


def roots(kind, n):
    e = np.eye(n)
    A = [e[i] - e[j] for i, j in itertools.combinations(range(n), 2)]
    D = A + [e[i] + e[j] for i, j in itertools.combinations(range(n), 2)]
    return np.array({"A": A, "D": D, "B": [*D, *e]}[kind])


def space(kind, seed, n=8):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, size=(n, 3)).astype(float) if kind == "ties" else rng.normal(size=(n, 3))
    return np.r_[X, -0.5 * X[:2], 0 * X[:1]]


@given(st.sampled_from(["ties", "general"]), st.integers(0, 2**20))
def test_eulers_relation_on_the_sphere(kind, seed):
    """Rays, facets and cells are the vertices, edges and faces of a map: V - E + F = 2."""
    X = space(kind, seed)
    assume(np.linalg.matrix_rank(X) == 3)
    found = enumerate_patterns(X)
    assert len(rays(X).directions) - len(adjacency(X, found).rows) + len(found) == 2


@pytest.mark.parametrize("case", [("A", 3), ("A", 4), ("B", 3), ("D", 4)])
def test_reflection_arrangements_are_simplicial(case):
    """Every chamber of a reflection group of rank r has r walls, each shared by two chambers."""
    X = roots(*case)
    found, rank = enumerate_patterns(X), np.linalg.matrix_rank(X)
    assert 2 * len(adjacency(X, found).rows) == rank * len(found)
    assert len(cell_of(X, found.witnesses[3]).facets) == rank


def test_rays_of_famous_arrangements():
    assert len(rays(roots("B", 3)).directions) == 26  # of the cube: 6 faces, 12 edges, 8 corners
    assert len(rays(roots("A", 4)).directions) == 2**4 - 2  # the proper subsets
    X = np.random.default_rng(0).normal(size=(9, 4))
    assert len(rays(X).directions) == 2 * math.comb(9, 3)
    assert len(rays([[2.0], [-3.0]]).directions) == 2


@given(st.sampled_from(["ties", "general"]), st.integers(0, 2**20))
def test_rays_lie_on_the_rows_they_say(kind, seed):
    X = space(kind, seed)
    assume(X.any())
    found = rays(X)
    heights = np.abs(found.directions @ X.T) / np.where(X.any(axis=1), np.linalg.norm(X, axis=1), 1)
    assert (heights[found.on] < 1e-9).all()
    assert (heights[~found.on & X.any(axis=1)] > 1e-9).all()
    assert not found.on[:, ~X.any(axis=1)].any()
    rank = np.linalg.matrix_rank(X)
    assert all(np.linalg.matrix_rank(X[on]) == rank - 1 for on in found.on)


@given(st.sampled_from(["ties", "general"]), st.integers(0, 2**20))
def test_facets_lead_to_the_neighbours(kind, seed):
    X = space(kind, seed)
    assume(X.any())
    found = enumerate_patterns(X)
    pairs = adjacency(X, found)
    patterns = {p.tobytes(): k for k, p in enumerate(found.patterns)}
    for k in range(0, len(found), max(1, len(found) // 5)):
        cell = cell_of(X, 3 * found.witnesses[k])
        np.testing.assert_array_equal(cell.pattern, found.patterns[k])
        assert cell.margin == pytest.approx(found.margins[k], rel=1e-9)
        neighbours = {patterns[cell.across(int(facet)).tobytes()] for facet in cell.facets}
        mine = (pairs.cells == k).any(axis=1)
        assert neighbours == set(pairs.cells[mine].ravel()) - {k}
        assert set(cell.facets) == set(pairs.rows[mine])


def test_adjacent_cells_differ_in_one_hyperplane_first_below_then_above():
    X = np.array([[1.0, 0], [0, 1], [-2, 0], [1, 1]])
    found = enumerate_patterns(X)
    pairs = adjacency(X, found)
    assert set(pairs.rows) == {0, 1, 3}
    for (low, high), row in zip(pairs.cells, pairs.rows, strict=True):
        changed = found.patterns[low] != found.patterns[high]
        assert set(np.flatnonzero(changed)) == ({0, 2} if row == 0 else {row})
        assert found.patterns[high, row]


def test_of_a_sample_only_its_own_pairs():
    X = np.random.default_rng(0).normal(size=(10, 3))
    whole, part = enumerate_patterns(X), sample_patterns(X, 15, rng=0)
    assert len(adjacency(X, part).rows) < len(adjacency(X, whole).rows)


def test_no_hyperplane_no_facet():
    cell = cell_of([[0.0, 0.0]], [1.0, 0.0])
    assert cell.margin == np.inf
    assert not len(cell.facets)
    assert not len(adjacency([[0.0]], enumerate_patterns([[0.0]])).rows)


def test_bad_arguments_are_named():
    X = np.eye(3)
    with pytest.raises(InvalidInputError, match=r"rows \[1\]"):
        cell_of(X, [1.0, 0.0, 2.0])
    with pytest.raises(InvalidInputError, match="entries"):
        cell_of(X, [1.0, 0.0])
    with pytest.raises(InvalidInputError, match="facet"):
        cell_of(X, [1.0, 1.0, 1.0]).across(7)
    with pytest.raises(InvalidInputError, match="rows"):
        adjacency(np.eye(2), enumerate_patterns(X))
    with pytest.raises(InvalidInputError, match="not zero"):
        rays(np.zeros((2, 2)))
    with pytest.raises(InvalidInputError, match="choices"):
        rays(np.random.default_rng(0).normal(size=(200, 6)))
