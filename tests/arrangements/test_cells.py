from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ortho_group

from convexrelu.arrangements import cells, count_patterns, enumerate_patterns, pattern_bound, sample_patterns
from convexrelu.errors import ConvexReLUError, InvalidInputError

GRID = st.integers(1, 9).flatmap(
    lambda n: st.integers(1, 4).flatmap(
        lambda d: hnp.arrays(float, (n, d), elements=st.integers(-2, 2).map(float))
    )
)


def assert_arrangement(X, found):
    """Every pattern once, each with a point strictly inside its cell."""
    X = np.asarray(X, dtype=float)
    assert found.patterns.shape == (len(found), len(X))
    assert found.witnesses.shape == (len(found), X.shape[1])
    assert len(np.unique(found.patterns, axis=0)) == len(found)
    products = found.witnesses @ X.T
    np.testing.assert_array_equal(products > 0, found.patterns)
    assert (products[:, X.any(axis=1)] != 0).all()


def as_set(patterns):
    return {p.tobytes() for p in np.ascontiguousarray(patterns)}


@given(GRID)
def test_as_many_distinct_witnessed_cells_as_are_counted(X):
    found = enumerate_patterns(X)
    assert found.complete
    assert_arrangement(X, found)
    assert len(found) == count_patterns(X)


@given(GRID)
def test_cells_come_in_antipodal_pairs(X):
    patterns = enumerate_patterns(X).patterns
    present = X.any(axis=1)
    assert as_set(~patterns & present) == as_set(patterns)


@given(GRID, st.integers(0, 2**20))
def test_a_sample_is_a_subset(X, seed):
    sample = sample_patterns(X, 50, rng=seed)
    assert not sample.complete
    assert len(sample) <= 50
    assert_arrangement(X, sample)
    assert as_set(sample.patterns) <= as_set(enumerate_patterns(X).patterns)


SIGNS = {d: np.array([v for v in itertools.product([-1, 0, 1], repeat=d) if any(v)]) for d in (2, 3)}
# No cell of these is so small that 40,000 draws could miss it.
ROUND = {
    "one row": np.ones((1, 1)),
    "two on a line": np.array([[1.0], [-2.0]]),
    "one in four dimensions": np.ones((1, 4)),
    "independent": np.random.default_rng(1).normal(size=(3, 4)),
    "Boolean": np.eye(5),
    "signs in the plane": SIGNS[2],
    "signs in space": SIGNS[3],
    "signs in space, rank two": SIGNS[2] @ np.array([[1.0, 2, 0], [0, 1, -1]]),
    "D4": np.array([v for v in itertools.product([-1, 0, 1], repeat=4) if np.abs(v).sum() == 2]),
}


@pytest.mark.parametrize("name", ROUND)
def test_union_of_gaussian_draws_is_everything_in_small_cases(name):
    X = np.asarray(ROUND[name], dtype=float)
    found = enumerate_patterns(X)
    assert_arrangement(X, found)
    draws = np.unique(np.random.default_rng(0).normal(size=(40_000, X.shape[1])) @ X.T > 0, axis=0)
    assert as_set(draws) == as_set(found.patterns)


def test_draws_in_general_position_meet_no_pattern_that_is_not_listed():
    rng = np.random.default_rng(3)
    for n, d in ((9, 2), (8, 3), (7, 4), (6, 6)):
        X = rng.normal(size=(n, d))
        found = enumerate_patterns(X)
        draws = np.unique(rng.normal(size=(20_000, d)) @ X.T > 0, axis=0)
        assert as_set(draws) <= as_set(found.patterns)
        assert len(found) == pattern_bound(n, min(n, d))


def test_sampling_is_reproducible_and_draws_from_the_generator_given():
    X = np.random.default_rng(0).normal(size=(9, 3))
    first, again = sample_patterns(X, 30, rng=4), sample_patterns(X, 30, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(first.patterns, again.patterns)
    np.testing.assert_array_equal(first.witnesses, again.witnesses)
    assert as_set(first.patterns) != as_set(sample_patterns(X, 30, rng=5).patterns)


def test_zero_rows_are_never_active_and_antiparallel_rows_never_agree():
    x, z = np.array([1.0, 2.0, -1.0]), np.array([0.5, 0.0, 1.0])
    X = np.array([x, 0 * x, -x, 3 * x, z, -0.0 * x, z])
    found = enumerate_patterns(X)
    assert_arrangement(X, found)
    assert len(found) == 4  # two lines cross
    np.testing.assert_array_equal(found.patterns[:, [1, 5]], False)
    np.testing.assert_array_equal(found.patterns[:, 0], ~found.patterns[:, 2])
    np.testing.assert_array_equal(found.patterns[:, 0], found.patterns[:, 3])
    np.testing.assert_array_equal(found.patterns[:, 4], found.patterns[:, 6])


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (2, 5)])
def test_all_zero_data_has_one_cell(shape):
    X = np.zeros(shape)
    found = enumerate_patterns(X)
    assert len(found) == count_patterns(X) == 1
    assert not found.patterns.any()
    assert len(sample_patterns(X, 10, rng=0)) == 1


@given(GRID, st.integers(0, 2**20))
def test_patterns_follow_rows_and_coordinates(X, seed):
    rng = np.random.default_rng(seed)
    reference = enumerate_patterns(X)
    order = rng.permutation(len(X))
    assert as_set(enumerate_patterns(X[order]).patterns) == as_set(reference.patterns[:, order])
    stretch = 10.0 ** rng.uniform(-8, 8, size=len(X))
    assert as_set(enumerate_patterns(X * stretch[:, None]).patterns) == as_set(reference.patterns)
    turn = np.linalg.qr(rng.normal(size=(X.shape[1],) * 2))[0]
    assert as_set(enumerate_patterns(X @ turn).patterns) == as_set(reference.patterns)
    flip = rng.choice([-1.0, 1.0], size=len(X))
    flipped = np.where(flip > 0, reference.patterns, ~reference.patterns & X.any(axis=1))
    assert as_set(enumerate_patterns(X * flip[:, None]).patterns) == as_set(flipped)


@pytest.mark.parametrize("exponent", [-300, -200, 200, 300])
def test_rows_of_any_magnitude_count(exponent):
    X = np.random.default_rng(1).normal(size=(7, 3))
    stretch = 10.0 ** np.array([0, exponent, 0, exponent / 2, exponent, 0, 1])
    found = enumerate_patterns(X * stretch[:, None])
    assert as_set(found.patterns) == as_set(enumerate_patterns(X).patterns)


def test_data_of_low_rank_in_many_dimensions():
    rng = np.random.default_rng(3)
    inner = rng.normal(size=(12, 3))
    basis = ortho_group.rvs(30, random_state=1)[:3]
    found = enumerate_patterns(inner @ basis)
    assert as_set(found.patterns) == as_set(enumerate_patterns(inner).patterns)
    assert_arrangement(inner @ basis, found)
    assert len(found) == pattern_bound(12, 3)


@pytest.mark.parametrize("closeness", [1e-3, 1e-6, 1e-9, 1e-11])
def test_narrow_cells_are_found_and_witnessed(closeness):
    # three planes almost through one line, two almost parallel ones: all cells of the general position
    X = np.array([[1, 0, 0], [0, 1, 0], [1, 1, closeness], [1, closeness, 0.5 * closeness], [2, -3, 1]])
    found = enumerate_patterns(X)
    assert len(found) == pattern_bound(5, 3) == count_patterns(X)
    assert_arrangement(X, found)


def test_refusal_comes_first_and_quotes_covers_bound():
    X = np.random.default_rng(0).normal(size=(300, 8))
    with pytest.raises(InvalidInputError, match=str(pattern_bound(300, 8))):
        enumerate_patterns(X)
    assert issubclass(InvalidInputError, ConvexReLUError)


def test_the_memory_limit_covers_patterns_and_witnesses(monkeypatch):
    X = np.random.default_rng(0).normal(size=(12, 4))
    found = enumerate_patterns(X)
    needed = found.packed.nbytes + found.witnesses.nbytes + found.margins.nbytes
    monkeypatch.setattr(cells, "MAX_BYTES", needed)
    assert len(enumerate_patterns(X)) == len(found)
    monkeypatch.setattr(cells, "MAX_BYTES", needed - 1)
    with pytest.raises(InvalidInputError):
        enumerate_patterns(X)


def test_many_duplicates_cost_nothing():
    # refused only for what the distinct hyperplanes would need, not for the number of rows
    base = np.random.default_rng(0).normal(size=(6, 3))
    X = np.repeat(base, 500, axis=0) * np.tile(np.linspace(0.5, 2, 500), 6)[:, None]
    found = enumerate_patterns(X)
    assert len(found) == pattern_bound(6, 3)
    assert as_set(found.patterns[:, ::500]) == as_set(enumerate_patterns(base).patterns)
    np.testing.assert_array_equal(
        found.patterns.reshape(len(found), 6, 500).all(axis=2), found.patterns[:, ::500]
    )


@pytest.mark.parametrize(
    "X", [[], [[]], [1.0, 2.0], [[np.nan]], [[np.inf, 1.0]], [["a"]], [[1j]], [[1.0], [1.0, 2.0]]]
)
def test_bad_data_is_refused(X):
    for call in (enumerate_patterns, count_patterns, lambda data: sample_patterns(data, 3)):
        with pytest.raises(InvalidInputError):
            call(X)


@pytest.mark.parametrize("size", [0, -1, True])
def test_bad_sizes_are_refused(size):
    with pytest.raises(InvalidInputError):
        sample_patterns(np.eye(2), size)


def test_the_representation_says_what_it_holds():
    assert repr(enumerate_patterns(np.eye(3))) == "Arrangement(8 patterns of 3 rows, all)"
    assert "a sample" in repr(sample_patterns(np.eye(3), 5, rng=0))


def test_independent_rows_realise_every_pattern():
    X = ortho_group.rvs(9, random_state=0)[:7] @ np.diag(np.arange(1.0, 10.0))
    assert as_set(enumerate_patterns(X).patterns) == {
        np.array(bits, dtype=bool).tobytes() for bits in itertools.product([0, 1], repeat=7)
    }
