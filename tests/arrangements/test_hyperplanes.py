from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tolerances import KERNEL, ROUNDING

from convexrelu import SolverError, count_patterns, enumerate_patterns
from convexrelu.arrangements import hyperplanes, hyperplanes_of

GRID = st.integers(1, 12).flatmap(
    lambda n: st.integers(1, 4).flatmap(
        lambda d: hnp.arrays(float, (n, d), elements=st.integers(-2, 2).map(float))
    )
)


def assert_behind(X, lines):
    """The definition: unit normals of distinct hyperplanes in an orthonormal basis, each row on its own."""
    r = lines.rank
    assert r == np.linalg.matrix_rank(X, tol=1e-9)
    np.testing.assert_allclose(lines.basis.T @ lines.basis, np.eye(r), atol=ROUNDING)
    np.testing.assert_allclose(np.linalg.norm(lines.normals, axis=1), 1, atol=ROUNDING)
    present = X.any(axis=1)
    np.testing.assert_array_equal(lines.member >= 0, present)
    np.testing.assert_array_equal(lines.sign != 0, present)
    units = X[present] / np.linalg.norm(X[present], axis=1)[:, None]
    expected = lines.sign[present][:, None] * lines.normals[lines.member[present]]
    np.testing.assert_allclose(units @ lines.basis, expected, atol=ROUNDING)
    cosines = np.abs(lines.normals @ lines.normals.T)[~np.eye(len(lines.normals), dtype=bool)]
    assert (cosines < 1 - 1e-14).all()  # angles above 1.4e-7, beyond what two equal lines round to
    assert set(lines.member[present]) == set(range(len(lines.normals)))
    if r:
        assert np.linalg.matrix_rank(lines.normals[:r], tol=1e-9) == r


@given(GRID, st.integers(0, 2**20))
def test_they_are_those_of_the_rows_on_integer_grids(X, seed):
    assert_behind(X, hyperplanes_of(X))
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(X.shape[1],) * 2))[0]
    turned = X @ turn * 10.0 ** rng.uniform(-100, 100, size=(len(X), 1))
    lines = hyperplanes_of(turned)
    assert len(lines.normals) == len(hyperplanes_of(X).normals)
    np.testing.assert_array_equal(lines.member[:, None] == lines.member, same_line(X))


def same_line(X):
    """Whether two rows are parallel, from integer determinants; zero rows belong together."""
    minors = X[:, None, :, None] * X[None, :, None, :] - X[:, None, None, :] * X[None, :, :, None]
    zero = ~X.any(axis=1)
    return (minors == 0).all(axis=(2, 3)) & (zero[:, None] == zero)


@pytest.mark.parametrize("d", [2, 3, 6])
def test_tall_data_of_every_kind(d):
    """Beyond the sizes at which the Gram matrix and a sample of the rows are tried first."""
    rng = np.random.default_rng(d)
    X = rng.normal(size=(600 * d, d))
    X[::3] = -0.3 * X[1::3]
    X[::7] = 0.0
    assert_behind(X, hyperplanes_of(X))
    flat = X.copy()
    flat[:, -1] = flat[:, 0]  # rank d - 1
    assert_behind(flat, hyperplanes_of(flat))
    narrow = X.copy()
    narrow[:, -1] *= 1e-6  # the Gram matrix cannot tell that from rank loss
    assert hyperplanes_of(narrow).rank == d


def test_a_sample_without_independent_rows_is_not_trusted():
    X = np.tile([1.0, 0.0, 0.0], (1000, 1))
    X[:, 1] = np.linspace(0, 1, 1000)
    X[501] = [0.0, 0.0, 1.0]  # between the sampled rows
    lines = hyperplanes_of(X)
    assert np.abs(np.linalg.det(lines.normals[:3])) > 0.1
    assert_behind(X, lines)


def test_rows_at_one_height_but_on_several_lines_are_told_apart():
    """Rows are told apart by their height over one direction first: here that says nothing."""
    d = 4
    direction = np.random.default_rng(hyperplanes._SPREAD_SEED).normal(size=d)
    axis = direction / np.linalg.norm(direction)
    rng = np.random.default_rng(0)
    rim = rng.normal(size=(40, d))
    rim -= np.outer(rim @ axis, axis)
    rows = rim / np.linalg.norm(rim, axis=1)[:, None] + 0.7 * axis
    X = np.vstack([rows, 2 * rows[::-1], -rows])
    member, sign = hyperplanes._group(X / np.linalg.norm(X, axis=1)[:, None], np.ones(len(X), bool))
    expected = np.r_[np.arange(40), np.arange(40)[::-1], np.arange(40)]
    np.testing.assert_array_equal(member, expected)
    np.testing.assert_array_equal(sign, np.repeat([1, 1, -1], 40))
    lines = hyperplanes_of(X)
    assert len(lines.normals) == 40


def test_the_tolerance_is_where_it_says():
    row = np.array([1.0, 2.0, -1.0]) / np.sqrt(6)
    across = np.array([1.0, -1.0, -1.0]) / np.sqrt(3)
    for angle, groups in ((0.5e-12, 1), (1.9e-12, 1), (2.1e-12, 2), (1e-9, 2)):
        assert len(hyperplanes_of(np.vstack([row, 3 * (row + angle * across)])).normals) == groups


def test_normals_are_independent_of_the_order_up_to_sign():
    rng = np.random.default_rng(3)
    X = rng.integers(-2, 3, size=(40, 3)).astype(float)
    order = rng.permutation(40)
    first, second = hyperplanes_of(X), hyperplanes_of(X[order])
    one = first.normals @ first.basis.T
    other = second.normals @ second.basis.T
    cosines = np.abs(one @ other.T)
    assert (np.abs(cosines.max(axis=0) - 1) <= KERNEL).all()
    assert len(one) == len(other)


def test_half_a_million_antiparallel_pairs_take_seconds():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(250_000, 3))
    started = time.process_time()
    lines = hyperplanes_of(np.vstack([X, -2 * X]))
    assert time.process_time() - started < 5  # about half a second on a quiet core; group by group, it is 15
    assert len(lines.normals) == len(X)
    np.testing.assert_array_equal(lines.member[: len(X)], lines.member[len(X) :])
    np.testing.assert_array_equal(lines.sign[: len(X)], -lines.sign[len(X) :])


@pytest.mark.parametrize("noise", [1e-11, 1e-12, 3e-13, 1e-13])
def test_rows_spread_about_the_tolerance_have_the_rank_of_their_leaders(noise):
    """Groups are of rows close to a leader: what all of them span may be more than what the leaders do."""
    rng = np.random.default_rng(4)
    for _ in range(300):
        n, d = rng.integers(1, 9), rng.integers(1, 5)
        X = rng.integers(-2, 3, size=(n, d)) + noise * rng.integers(-2, 3, size=(n, d))
        lines = hyperplanes_of(X)
        assert len(lines.normals) >= lines.rank
        assert np.linalg.matrix_rank(lines.normals[: lines.rank], tol=1e-13) == lines.rank
        assert (lines.member >= 0).tolist() == X.any(axis=1).tolist()
        try:
            arrangement = enumerate_patterns(X)
        except SolverError:  # rows within rounding of a tie: refused, and said so
            continue
        assert len(arrangement.patterns) >= 2 ** bool(lines.rank)
        try:
            assert count_patterns(X) == len(arrangement.patterns)
        except SolverError:
            continue


def test_near_parallel_rows_that_no_rank_fits_are_counted_as_they_are_listed():
    """Rows of angles 0 (+-1) and 2 in units of 1e-12: parallel to a leader, and apart by more than that."""
    X = [[-1, 1e-12], [1, 2e-12], [2, 1e-12], [-1, -1e-12]]
    assert len(enumerate_patterns(X).patterns) == count_patterns(X)
