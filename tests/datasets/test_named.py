from __future__ import annotations

import numpy as np
import pytest

from convexrelu import datasets, is_orthogonally_separable
from convexrelu.datasets import named
from convexrelu.errors import InvalidInputError

# n, features without the bias column and without constant ones, samples of each label in order
FACTS = {
    "iris-setosa-versicolor": (4, [50, 50]),
    "iris-setosa-virginica": (4, [50, 50]),
    "iris-versicolor-virginica": (4, [50, 50]),
    "wine-0-1": (13, [59, 71]),
    "wine-1-2": (13, [71, 48]),
    "wine": (13, [59, 71, 48]),
    "breast-cancer": (30, [212, 357]),
    "digits-0-1": (52, [178, 182]),
    "digits-3-8": (54, [183, 174]),
    "moons": (2, [50, 50]),
    "circles": (2, [50, 50]),
}


def test_the_names_are_the_documented_ones():
    printed = {
        "wang-pilanci-f1",
        "wang-pilanci-f2",
        "multi-class-counterexample",
        "multi-class-counterexample-obtuse",
    }
    assert set(datasets.names()) == {*printed, *FACTS}


@pytest.mark.parametrize("name", FACTS)
def test_facts_and_preprocessing(name):
    d, counts = FACTS[name]
    data = datasets.load(name)
    assert data.X.shape == (sum(counts), d + 1)
    labels, found = np.unique(data.y, return_counts=True)
    assert labels.tolist() == ([-1, 1] if len(counts) == 2 else list(range(len(counts))))
    assert found.tolist() == counts
    np.testing.assert_allclose(data.X[:, :-1].mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(data.X[:, :-1].std(axis=0), 1, rtol=1e-12)
    assert (data.X[:, -1] == 1).all()
    np.testing.assert_array_equal(datasets.load(name, bias=False).X, data.X[:, :-1])


def test_the_papers_data_is_as_printed():
    for options in ({}, {"standardize": False, "bias": False}):
        X, y = datasets.load("wang-pilanci-f1", **options)
        np.testing.assert_array_equal(X, [[1.65, -0.47], [-0.47, 1.35]])
        np.testing.assert_array_equal(y, [1, -1])
        X, y = datasets.load("wang-pilanci-f2", **options)
        np.testing.assert_array_equal(X, [[1.65, 0.47], [0.47, 1.35]])
        np.testing.assert_array_equal(y, [1, 1])


@pytest.mark.parametrize("name", ["multi-class-counterexample", "multi-class-counterexample-obtuse"])
def test_counterexamples_are_orthogonally_separable_as_three_classes(name):
    """WP section 3.1 holds for the classes 0, 1, 2, but not for the first of them against the rest."""
    X, y = datasets.load(name)
    assert is_orthogonally_separable(X, np.arange(3))
    assert not is_orthogonally_separable(X, y)
    products = (X @ X.T)[1, 2]
    assert (products < 0) == name.endswith("obtuse")


def test_raw_data_is_the_published_data():
    """Means of Fisher's table: setosa 5.006, 3.428, 1.462, 0.246; virginica 6.588, 2.974, 5.552, 2.026."""
    data = datasets.load("iris-setosa-virginica", standardize=False, bias=False)
    np.testing.assert_allclose(data.X[data.y < 0].mean(axis=0), [5.006, 3.428, 1.462, 0.246], atol=1e-9)
    np.testing.assert_allclose(data.X[data.y > 0].mean(axis=0), [6.588, 2.974, 5.552, 2.026], atol=1e-9)
    assert data.classes == ("setosa", "virginica")
    digits = datasets.load("digits-0-1", standardize=False, bias=False)
    assert digits.X.shape == (360, 64)
    assert (digits.X[digits.y > 0][:, 36] > 0).mean() > 0.9  # a one has ink in the middle, a zero has none
    assert (digits.X[digits.y < 0][:, 36] > 0).mean() < 0.2
    malignant = datasets.load("breast-cancer", standardize=False, bias=False)
    assert malignant.X[malignant.y < 0, 0].mean() > malignant.X[malignant.y > 0, 0].mean()


@pytest.mark.parametrize("standardize", [True, False])
def test_principal_components_keep_the_most_variance(standardize):
    plain = datasets.load("wine", standardize=standardize, bias=False).X
    X = datasets.load("wine", standardize=standardize, bias=False, pca=4).X
    covariance = np.cov(plain.T, ddof=0)
    largest = np.linalg.eigvalsh(covariance)[::-1][:4]
    np.testing.assert_allclose(np.cov(X.T, ddof=0), np.diag(largest), atol=1e-9 * largest[0])
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-9)
    assert datasets.load("wine", pca=4).X.shape == (178, 5)


def test_principal_components_have_a_sign_of_their_own():
    X = np.random.default_rng(0).normal(size=(30, 3)) * [3, 2, 1]
    scores = named._principal(X, 3)
    # Mirroring the data mirrors the scores, whatever signs the SVD gave; the directions come back from them.
    np.testing.assert_allclose(named._principal(-X, 3), -scores, atol=1e-12)
    directions = np.linalg.lstsq(X - X.mean(axis=0), scores, rcond=None)[0].T
    assert (directions[np.arange(3), np.abs(directions).argmax(axis=1)] > 0).all()


def test_no_more_components_than_the_rank():
    X = datasets.load("digits-0-1", bias=False).X
    rank = int(np.linalg.matrix_rank(X))
    assert rank < X.shape[1]  # two pixels are multiples of each other
    assert datasets.load("digits-0-1", bias=False, pca=rank).X.shape == (360, rank)
    with pytest.raises(
        InvalidInputError, match=f"at most the rank of the centred data, {rank}, got {rank + 1}"
    ):
        datasets.load("digits-0-1", pca=rank + 1)


def test_bad_requests_are_refused():
    with pytest.raises(InvalidInputError, match=r"wang-pilanci-f1, .*circles; got 'mnist'"):
        datasets.load("mnist")
    with pytest.raises(InvalidInputError, match="as printed"):
        datasets.load("wang-pilanci-f1", pca=1)
    with pytest.raises(InvalidInputError, match="pca must be"):
        datasets.load("wine", pca=0)


def test_a_file_is_read_by_another_function():
    with pytest.raises(InvalidInputError, match=r"got 'mine\.csv': datasets\.from_file reads files"):
        datasets.load("mine.csv")
    with pytest.raises(InvalidInputError, match=r"got 'moon'$"):
        datasets.load("moon")
