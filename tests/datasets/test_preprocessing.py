from __future__ import annotations

import json

import numpy as np
import pytest

from convexrelu.datasets import Preprocessing, load, with_bias
from convexrelu.errors import InvalidInputError

X = np.random.default_rng(0).normal(size=(20, 3)) * [1.0, 1e3, 1e-3] + 7.0
X[:, 1] = 5.0  # a constant column
NAMES = ("a", "constant", "b")


def test_standardized_columns_have_mean_zero_and_deviation_one():
    done = Preprocessing.of(X, NAMES, standardize=True, bias=True)
    rows = done(X)
    assert rows.shape == (20, 3)
    np.testing.assert_allclose(rows[:, :2].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(rows[:, :2].std(axis=0), 1)
    np.testing.assert_array_equal(rows[:, 2], 1)
    assert str(done) == "standardized, constant columns left out (constant), bias column"


def test_other_rows_get_the_statistics_of_the_first():
    done = Preprocessing.of(X, NAMES, standardize=True, bias=False)
    np.testing.assert_array_equal(done(X[:5]), done(X)[:5])


def test_nothing_is_nothing():
    done = Preprocessing.of(X, NAMES, standardize=False, bias=False)
    np.testing.assert_array_equal(done(X), X)
    assert str(done) == "no preprocessing"
    np.testing.assert_array_equal(Preprocessing.of(X, NAMES, standardize=False, bias=True)(X), with_bias(X))


def test_named_data_is_treated_alike():
    raw = load("wine", standardize=False, bias=False).X
    done = Preprocessing.of(raw, ("",) * raw.shape[1], standardize=True, bias=True)
    np.testing.assert_array_equal(done(raw), load("wine").X)


@pytest.mark.parametrize("standardize", [False, True])
def test_a_document_gives_the_same_bits(standardize):
    done = Preprocessing.of(X, NAMES, standardize=standardize, bias=True)
    again = Preprocessing.from_document(json.loads(json.dumps(done.to_document())))
    assert again.features == NAMES
    assert again(X).tobytes() == done(X).tobytes()


@pytest.mark.parametrize(
    "changed",
    [{"scale": [1.0, 0.0]}, {"kept": [0, 3]}, {"kept": [0, 0]}, {"mean": [1.0]}, {"bias": 1}, {"mean": "x"}],
)
def test_a_malformed_document_is_refused(changed):
    document = Preprocessing.of(X, NAMES, standardize=True, bias=True).to_document()
    with pytest.raises(InvalidInputError, match="malformed"):
        Preprocessing.from_document({**document, **changed})


def test_constant_data_leaves_nothing():
    with pytest.raises(InvalidInputError, match="all columns are constant"):
        Preprocessing.of(np.ones((3, 2)), ("a", "b"), standardize=True, bias=False)
    assert Preprocessing.of(np.ones((3, 2)), ("a", "b"), standardize=True, bias=True)(
        np.ones((3, 2))
    ).shape == (3, 1)
