"""Whole and rational numbers: ties are what the numbers say, however close they are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexrelu.arrangements import count_patterns, enumerate_patterns, pattern_bound
from convexrelu.arrangements.integers import decide
from convexrelu.arrangements.modular import MODULUS, reciprocal, times

RESIDUE = st.integers(0, MODULUS - 1)


@given(RESIDUE, RESIDUE)
def test_products_and_inverses_modulo_the_prime(a, b):
    assert int(times(np.uint64(a), np.uint64(b))) == a * b % MODULUS
    assert int(times(reciprocal(np.uint64(a)), np.uint64(a))) == (a > 0)


@pytest.mark.parametrize("a", [0, 1, 2**30 - 1, 2**31 - 1, 2**31, 2**60, MODULUS - 1])
@pytest.mark.parametrize("b", [0, 1, 2**31 - 1, 2**31, 2**60 + 1, MODULUS - 2, MODULUS - 1])
def test_products_at_the_edges(a, b):
    assert int(times(np.uint64(a), np.uint64(b))) == a * b % MODULUS


def test_rows_closer_than_the_tolerance_are_told_apart():
    k = 10**6
    X = [[k, k - 1], [k - 1, k - 2], [3 * k, 3 * k - 3]]  # the sine of the first angle is 5e-13
    assert count_patterns(X) == 4
    found = enumerate_patterns(X)
    assert found.exact
    assert len(found) == 4
    assert np.array_equal(found.witnesses @ np.array(X).T > 0, found.patterns)
    rounded = enumerate_patterns(X, exact=False)
    assert len(rounded) == 2
    assert not rounded.exact


def test_flats_closer_than_the_tolerance_are_told_apart():
    k = 10**7
    pencil = [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    almost = [
        [k, 0, 1],
        [0, k, 1],
        [k, k, 2 * 0 + 3],
    ]  # the minor is k^2, some 1e-7 of the product of lengths
    for X, count in ((pencil, 6), (almost, 8)):
        assert count_patterns(X) == len(enumerate_patterns(X)) == count
    squeezed = [[k, 0, 1], [0, k, 1], [k, k, 2], [1, 2, 3]]  # the third row is the sum of the first two
    assert count_patterns(squeezed) == len(enumerate_patterns(squeezed)) == 12


def test_fractions_are_not_rounded():
    third = Fraction(1, 3)
    X = [[third, 2 * third], [1, 2], [Fraction(1, 7), Fraction(2, 7)], [1, 3]]
    assert count_patterns(X) == 4
    assert enumerate_patterns(X).exact
    assert len(enumerate_patterns([[third, Fraction(1, 2)], [0.5, 0.75]], exact=False)) == 2


@pytest.mark.parametrize("dtype", [int, np.int8, np.uint8, bool, float, object])
def test_types_do_not_matter(dtype):
    X = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1], [0, 0, 0]]).astype(dtype)
    found = enumerate_patterns(X)
    assert found.exact
    assert len(found) == count_patterns(X) == pattern_bound(4, 3)


@given(st.integers(1, 8), st.integers(2, 4), st.integers(0, 2**20))
def test_exact_and_tolerance_agree_where_nothing_is_close(n, d, seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, size=(n, d))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    assert count_patterns(X) == count_patterns(X @ turn) == len(enumerate_patterns(X, exact=False))
    assert not decide(X @ turn).exact or not X.any()


def test_residues_keep_the_rank_and_larger_numbers_are_not_called_exact():
    X = np.vander(np.arange(1, 8), 5, increasing=True)
    decided = decide(X)
    assert decided.residues.shape == (7, 5)
    assert count_patterns(X) == pattern_bound(7, 5)  # Vandermonde: in general position
    low = decide(X @ np.array([[1, 0, 1], [0, 1, 1], [1, 1, 2], [2, 1, 3], [0, 1, 1]]))
    assert low.lines.rank == 2
    assert low.residues.shape[1] == 2
    huge = np.vander(np.arange(900, 907), 5, increasing=True)  # minors may exceed 2^61
    assert not decide(huge).exact
    assert count_patterns(huge) == pattern_bound(7, 5)


def test_one_column_and_no_rank():
    assert decide([[2], [-3], [0]]).lines.sign.tolist() in ([1, -1, 0], [-1, 1, 0])
    assert decide([[0, 0]]).exact
    assert count_patterns([[0, 0]]) == 1
