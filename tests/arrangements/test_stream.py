"""Streaming, packing, refusal: the same cells whichever way they are asked for."""

from __future__ import annotations

import itertools
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexrelu.arrangements import (
    cells,
    count_patterns,
    enumerate_patterns,
    general,
    iter_patterns,
    pattern_bound,
)
from convexrelu.arrangements.integers import decide
from convexrelu.arrangements.restriction import list_blocks
from convexrelu.errors import InvalidInputError, SolverError

SIGNS = np.array([v for v in itertools.product([-1, 0, 1], repeat=3) if any(v)])


def as_set(patterns):
    return {p.tobytes() for p in np.ascontiguousarray(patterns)}


def data(kind, seed, n=9, d=3):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, size=(n, d)).astype(float) if kind == "ties" else rng.normal(size=(n, d))
    return np.r_[X, -2 * X[:1], 0 * X[:1]]


@pytest.mark.parametrize("kind", ["ties", "general"])
@pytest.mark.parametrize("chunk", [1, 7, 16, 10**6])
def test_the_stream_is_the_list(kind, chunk, monkeypatch):
    monkeypatch.setattr(cells, "_AT_ONCE", 16)
    for seed in range(4):
        X = data(kind, seed, d=4)
        chunks = list(iter_patterns(X, chunk))
        assert all(1 <= len(c) <= chunk and c.shape[1] == len(X) for c in chunks)
        whole = enumerate_patterns(X)
        assert sum(len(c) for c in chunks) == len(whole)
        assert as_set(np.concatenate(chunks)) == as_set(whole.patterns)


@pytest.mark.parametrize("room", [2, 10, 100, 10**6])
def test_parts_fit_into_their_room_and_are_disjoint(room):
    decided = decide(SIGNS)
    blocks = list(list_blocks(decided, room, 0.0))
    assert all(2 <= len(b.margins) <= room for b in blocks)
    assert sum(len(b.margins) for b in blocks) == count_patterns(SIGNS) == 96
    assert len(np.unique(np.concatenate([b.packed for b in blocks]), axis=0)) == 96


def test_the_stream_comes_before_it_ends():
    first = next(iter_patterns(np.random.default_rng(0).normal(size=(40, 4)), 50))
    assert first.shape == (50, 40)


def test_streams_refuse_at_once():
    assert isinstance(iter_patterns(np.eye(2)), types.GeneratorType)
    for arguments in (([[np.nan]],), (np.eye(2), 0), (np.eye(2), True)):
        with pytest.raises(InvalidInputError):
            iter_patterns(*arguments)


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 2**20))
def test_general_position_is_covers_count_and_all_of_it_is_proven(n, d, seed):
    X = np.random.default_rng(seed).normal(size=(n, d))
    found = enumerate_patterns(X)
    assert found.exact
    assert len(found) == pattern_bound(n, min(n, d))
    assert len(np.unique(found.packed, axis=0)) == len(found)


def test_many_independent_columns():
    X = np.random.default_rng(0).normal(size=(16, 15))
    found = enumerate_patterns(X)
    assert found.exact
    assert len(found) == pattern_bound(16, 15) == sum(len(c) for c in iter_patterns(X, 10_000))
    assert np.array_equal(found.witnesses @ X.T > 0, found.patterns)


@pytest.mark.parametrize(("n", "d"), [(40, 5), (36, 4), (200, 3), (900, 2), (14, 9)])
def test_the_two_listings_agree_in_general_position(n, d):
    X = np.random.default_rng(n).normal(size=(n, d))
    found = enumerate_patterns(X)
    [other] = list_blocks(decide(X), 2**40, 0.0)
    assert as_set(other.packed) == as_set(found.packed)
    assert len(found) == pattern_bound(n, d)


@given(st.sampled_from(["ties", "general"]), st.integers(0, 2**20))
def test_margins_are_the_distances_of_witnesses(kind, seed):
    X = data(kind, seed)
    found = enumerate_patterns(X)
    sizes = np.linalg.norm(X, axis=1)
    heights = np.abs(found.witnesses @ X.T)[:, sizes > 0] / sizes[sizes > 0]
    np.testing.assert_allclose(found.margins, heights.min(axis=1, initial=np.inf), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(found.witnesses, axis=1), 1.0 if X.any() else 0.0)
    assert (found.margins > 0).all()


def test_witnesses_lie_well_inside():
    """No simplicial cone of unit normals has an inner radius above 1/sqrt(d): the Boolean one attains it."""
    np.testing.assert_allclose(enumerate_patterns(np.eye(5)).margins.max(), 1 / np.sqrt(5))
    found = enumerate_patterns(np.random.default_rng(0).normal(size=(30, 3)))
    assert np.median(found.margins) > 0.1 / 30


def test_packed_patterns_are_numpys_bits():
    found = enumerate_patterns(data("ties", 1, n=11))
    np.testing.assert_array_equal(found.packed, np.packbits(found.patterns, axis=1))
    assert found.patterns is found.patterns
    assert found.n_rows == 13


def test_a_tie_seen_on_the_way_changes_the_method():
    X = np.random.default_rng(0).normal(size=(12, 4))
    tie = np.r_[X, [X[0] + X[1] - X[2]]]
    lines = decide(tie).lines
    assert not general.GeneralPass(lines, 0.0).passes(pattern_bound(13, 4))
    found = enumerate_patterns(tie)
    assert not found.exact
    assert len(found) == count_patterns(tie) < pattern_bound(13, 4)


def test_refusal_counts_exactly_where_that_is_cheap():
    with pytest.raises(InvalidInputError, match=r"exactly 96 \(counted\)"):
        enumerate_patterns(SIGNS, max_patterns=95)
    assert len(enumerate_patterns(SIGNS, max_patterns=96)) == 96
    with pytest.raises(InvalidInputError, match=rf"up to {pattern_bound(400, 9)} \(Cover's bound\)"):
        enumerate_patterns(np.random.default_rng(3).normal(size=(400, 9)))
    with pytest.raises(InvalidInputError, match="max_patterns"):
        enumerate_patterns(SIGNS, max_patterns=0)


def test_cells_within_rounding_are_an_error_and_not_a_guess():
    with pytest.raises(SolverError, match="floating point"):
        list(list_blocks(decide(np.eye(3) + 0.1), 100, least_margin=0.9))


def test_progress_is_shown_on_a_terminal_when_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the captured stream for a terminal
    enumerate_patterns(SIGNS, progress=True)
    enumerate_patterns(np.eye(3) + 0.1, progress=True)
    assert "cells" in capsys.readouterr().err
