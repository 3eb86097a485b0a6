from __future__ import annotations

import itertools
import math
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ortho_group

from convexrelu.arrangements import count_patterns, counting, enumerate_patterns, pattern_bound
from convexrelu.errors import InvalidInputError, SolverError


def exact_rank(rows):
    """Rank in rational arithmetic (floats are rational numbers)."""
    matrix, rank = [[Fraction(v) for v in row] for row in rows], 0
    for column in range(len(matrix[0]) if matrix else 0):
        pivot = next((i for i in range(rank, len(matrix)) if matrix[i][column]), None)
        if pivot is None:
            continue
        matrix[rank], matrix[pivot] = matrix[pivot], matrix[rank]
        for i in range(rank + 1, len(matrix)):
            factor = matrix[i][column] / matrix[rank][column]
            matrix[i] = [a - factor * b for a, b in zip(matrix[i], matrix[rank], strict=True)]
        rank += 1
    return rank


def whitney_count(X):
    """Zaslavsky's number of regions by Whitney's theorem: the sum over subsets of (-1)^(size - rank)."""
    rows = [row for row in np.asarray(X).tolist() if any(row)]
    return sum(
        (-1) ** (size - exact_rank(subset))
        for size in range(len(rows) + 1)
        for subset in itertools.combinations(rows, size)
    )


def roots(kind, n):
    e = np.eye(n)
    pairs = list(itertools.combinations(range(n), 2))
    A = [e[i] - e[j] for i, j in pairs]
    D = A + [e[i] + e[j] for i, j in pairs]
    return np.array({"A": A, "D": D, "B": [*D, *e]}[kind])


def resonance(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n))[1:])


def threshold(n):
    return np.array([(1.0, *p) for p in itertools.product([-1, 1], repeat=n)])


FAMOUS = {
    **{f"braid {n}": (roots("A", n), math.factorial(n)) for n in (2, 3, 4, 5)},
    **{f"B{n}": (roots("B", n), 2**n * math.factorial(n)) for n in (1, 2, 3, 4)},
    **{f"D{n}": (roots("D", n), 2 ** (n - 1) * math.factorial(n)) for n in (2, 3, 4)},
    **{f"resonance {n}": (resonance(n), c) for n, c in ((1, 2), (2, 6), (3, 32), (4, 370))},
    **{f"threshold {n}": (threshold(n), c) for n, c in ((1, 4), (2, 14), (3, 104))},
    "Boolean 8": (np.eye(8), 256),
    "Boolean 4 in 7 dimensions": (np.eye(7)[:4], 16),
    "pencil of 9 planes": (np.c_[np.cos(np.arange(9)), np.sin(np.arange(9)), np.zeros(9)], 18),
}


@pytest.mark.parametrize("name", FAMOUS)
def test_famous_arrangements(name):
    X, count = FAMOUS[name]
    rng = np.random.default_rng(len(X))
    disguised = np.r_[X, -2.0 * X, 0.3 * X[:1], 0 * X[:1]][rng.permutation(2 * len(X) + 2)]
    d = X.shape[1]
    turn = ortho_group.rvs(d, random_state=7) if d > 1 else -np.eye(1)
    for data in (
        X,
        disguised,
        X @ turn,
        (disguised @ turn) * rng.uniform(1e-3, 1e3, size=(len(disguised), 1)),
    ):
        assert count_patterns(data) == count
        found = enumerate_patterns(data)
        assert len(found) == count == len(np.unique(found.patterns, axis=0))
        np.testing.assert_array_equal(found.witnesses @ data.T > 0, found.patterns)


def test_larger_famous_counts():
    assert count_patterns(resonance(5)) == 11292
    turned = threshold(4) @ ortho_group.rvs(5, random_state=2)
    assert len(enumerate_patterns(turned)) == count_patterns(turned) == 1882


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.integers(1, 4).flatmap(
            lambda d: hnp.arrays(float, (n, d), elements=st.integers(-2, 2).map(float))
        )
    )
)
def test_count_on_integer_grids_is_zaslavskys(X):
    assert count_patterns(X) == whitney_count(X)


@pytest.mark.parametrize("power", [4, 6, 8, 10, 11])
def test_count_of_nearly_degenerate_floats_is_that_of_the_rational_numbers_they_are(power):
    e = 10.0**-power
    for X in (
        [[1, 0, 0], [1, e, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]],
        [[1, 0, 0], [0, 1, 0], [1, 1, e], [1, -1, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 0], [1, 1, e], [1, 1, -e], [0, 0, 1], [1, 2, 3]],
        [[1, 0], [1, e], [1, -e], [-1, 0]],
    ):
        assert count_patterns(X) == whitney_count(X)


@pytest.mark.parametrize("power", [14, 15])
def test_rows_within_the_tolerance_count_as_one_hyperplane(power):
    e = 10.0**-power
    assert count_patterns([[1, 0], [1, e], [1, -e], [-1, 0]]) == 2
    assert count_patterns([[1, 0, 0], [0, 1, 0], [1, 1, e], [0, 0, 1]]) == 12  # the plane's 6 cells, halved


@pytest.mark.parametrize(
    ("n", "d"),
    [(1, 1), (1, 6), (9, 1), (2, 5), (5, 5), (12, 2), (200, 2), (60, 3), (20, 4), (12, 6), (10, 9)],
)
def test_general_position_is_covers_count(n, d):
    X = np.random.default_rng([n, d]).normal(size=(n, d))
    assert count_patterns(X) == pattern_bound(n, min(n, d))


@given(st.integers(1, 30), st.integers(1, 12))
def test_covers_count_satisfies_its_recursion_and_its_bounds(n, rank):
    # Cover's recursion: a new hyperplane splits the cells that it meets, an arrangement of rank one less
    assert pattern_bound(n + 1, rank + 1) == pattern_bound(n, rank + 1) + pattern_bound(n, rank)
    assert pattern_bound(n, rank) <= 2**n
    if rank >= n:
        assert pattern_bound(n, rank) == 2**n
    elif n > 1:
        assert pattern_bound(n, rank) <= 2 * rank * (math.e * (n - 1) / rank) ** rank  # WP after eq. (6)


def test_covers_count_of_nothing_and_of_large_arrangements():
    assert pattern_bound(0, 0) == pattern_bound(0, 3) == pattern_bound(5, 0) == 1
    assert pattern_bound(10**6, 3) == 2 + 2 * (10**6 - 1) + (10**6 - 1) * (10**6 - 2)
    for arguments in ((-1, 1), (1, -1)):
        with pytest.raises(InvalidInputError):
            pattern_bound(*arguments)


def test_a_row_more_never_lowers_the_count_and_a_dependent_one_may_keep_it():
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, size=(10, 3)).astype(float)
    counts = [count_patterns(X[:k]) for k in range(1, 11)]
    assert counts == sorted(counts)
    assert count_patterns(np.r_[X, -4 * X[3:4], 0 * X[:1]]) == counts[-1]


def test_counts_far_beyond_listing():
    X = np.random.default_rng(5).normal(size=(300, 3))
    assert count_patterns(np.eye(40)) == 2**40
    assert count_patterns(X) == pattern_bound(300, 3)


def test_a_limit_ends_the_count_and_says_between_what_it_lies():
    X = np.random.default_rng(0).normal(size=(60, 10))
    started = time.process_time()
    with pytest.raises(SolverError, match=rf"at least \d+, and at most {pattern_bound(60, 10)}"):
        count_patterns(X, time_limit=0.5)
    assert time.process_time() - started < 0.5 + 3.0


def test_counting_in_parts_changes_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    for X in (rng.normal(size=(12, 4)), rng.integers(-1, 2, size=(12, 4)), rng.integers(-1, 2, size=(9, 5))):
        whole = count_patterns(X)
        monkeypatch.setattr(counting, "_AT_ONCE", 3)
        assert count_patterns(X, time_limit=60.0) == whole
        monkeypatch.undo()
