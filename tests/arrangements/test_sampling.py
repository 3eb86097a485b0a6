"""Samples: subsets of the cells, with points inside, and no claim to be all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexrelu.arrangements import coverage_curve, enumerate_patterns, pattern_bound, sample_patterns
from convexrelu.errors import InvalidInputError

SIGNS = np.array([v for v in itertools.product([-1, 0, 1], repeat=3) if any(v)], dtype=float)


def as_set(patterns):
    return {p.tobytes() for p in np.ascontiguousarray(patterns)}


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**20))
def test_rays_lead_into_cells_that_exist(n, d, seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, size=(n, d)).astype(float)
    found = sample_patterns(X, 60, method="rays", rng=seed)
    assert not found.complete
    assert as_set(found.patterns) <= as_set(enumerate_patterns(X).patterns)
    assert np.array_equal(found.witnesses @ X.T > 0, found.patterns)
    sizes = np.linalg.norm(X, axis=1)
    heights = np.abs(found.witnesses @ X.T)[:, sizes > 0] / sizes[sizes > 0]
    np.testing.assert_allclose(found.margins, heights.min(axis=1, initial=np.inf), rtol=1e-9)


@pytest.mark.parametrize("X", [SIGNS, np.eye(4), np.random.default_rng(0).normal(size=(12, 3))])
def test_rays_reach_every_cell(X):
    assert as_set(sample_patterns(X, 20_000, method="rays", rng=0).patterns) == as_set(
        enumerate_patterns(X).patterns
    )


def test_rays_reach_small_cells_and_gaussian_directions_do_not():
    X = np.random.default_rng(0).normal(size=(40, 4))
    gaussian = sample_patterns(X, 1000, rng=0)
    assert 0.03 < gaussian.coverage < 0.05  # four per cent of the cells with a thousand draws
    small = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1e-5], [0, 0, 1.0]])  # two cells of size about 1e-5
    assert len(sample_patterns(small, 500, method="rays", rng=0)) == 14
    assert len(sample_patterns(small, 500, rng=0)) == 12


@pytest.mark.parametrize("method", ["gaussian", "rays"])
def test_the_curve_counts_the_sample(method):
    X = np.random.default_rng(1).normal(size=(20, 3))
    sizes = [1, 10, 100, 1000]
    curve = coverage_curve(X, sizes, method=method, rng=3)
    assert (np.diff(curve) >= 0).all()
    assert curve[0] == 1
    sample = sample_patterns(X, 1000, method=method, rng=3)
    assert curve[-1] == len(sample) <= pattern_bound(20, 3)
    assert sample.coverage == len(sample) / pattern_bound(20, 3)


def test_coverage_is_a_lower_bound_with_ties():
    found = sample_patterns(SIGNS, 20_000, method="rays", rng=0)
    assert found.coverage == 96 / pattern_bound(13, 3) < 1
    assert enumerate_patterns(SIGNS).coverage == 1


def test_lots_do_not_matter(monkeypatch):
    X = np.random.default_rng(1).normal(size=(9, 3))
    whole = sample_patterns(X, 100, rng=5)
    monkeypatch.setattr("convexrelu.arrangements.sampling._AT_ONCE", 84)
    assert as_set(sample_patterns(X, 100, rng=5).patterns) == as_set(whole.patterns)


def test_bad_arguments_are_named():
    with pytest.raises(InvalidInputError, match="gaussian, rays"):
        sample_patterns(np.eye(2), 3, method="magic")
    for sizes in ([], [3, 3], [5, 1], [0, 1]):
        with pytest.raises(InvalidInputError):
            coverage_curve(np.eye(2), sizes)
