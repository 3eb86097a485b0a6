from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexrelu import datasets
from convexrelu.errors import InvalidInputError

seeds = st.integers(0, 2**32 - 1)


@st.composite
def sizes(draw):
    d = draw(st.integers(1, 8))
    n_classes = draw(st.integers(2, 2 * d))
    return draw(st.integers(n_classes, 60)), d, n_classes


@given(sizes(), seeds)
def test_orthogonally_separable_by_definition(size, seed):
    n, d, n_classes = size
    X, y = datasets.orthogonally_separable(n, d, n_classes=n_classes, rng=seed)
    assert X.shape == (n, d)
    products, same = X @ X.T, np.equal.outer(y, y)
    assert (products[same] > 0).all()
    assert (products[~same] <= 0).all()
    labels, counts = np.unique(y, return_counts=True)
    np.testing.assert_array_equal(labels, [-1, 1] if n_classes == 2 else np.arange(n_classes))
    assert np.ptp(counts) <= 1
    if n_classes <= d + 1:  # no more than d + 1 vectors can have negative products, but those do
        assert (products[~same] < 0).all()


def test_orthogonally_separable_signs_are_no_accident_of_rounding():
    """The stated clearance 0.1/c of unit rays bounds every cosine, whatever mixture the samples are."""
    for seed in range(20):
        X, y = datasets.orthogonally_separable(300, 6, rng=seed)
        unit = X / np.linalg.norm(X, axis=1, keepdims=True)
        assert (np.abs(unit @ unit.T) >= 0.05 - 1e-12).all()
        assert np.linalg.matrix_rank(X[y > 0]) == np.linalg.matrix_rank(X[y < 0]) == 6


@pytest.mark.parametrize(("d", "n_classes"), [(3, 3), (6, 3), (6, 6), (20, 5)])
def test_three_to_d_classes_stand_nearly_at_right_angles(d, n_classes):
    """The stated clearance 0.1/c, and cosines between classes far from the -1/2 at which limits tie."""
    for seed in range(5):
        X, y = datasets.orthogonally_separable(100, d, n_classes=n_classes, rng=seed)
        unit = X / np.linalg.norm(X, axis=1, keepdims=True)
        cosines, same = unit @ unit.T, np.equal.outer(y, y)
        assert cosines[same].min() >= 0.1 / n_classes
        assert cosines[~same].max() <= -0.1 / n_classes
        assert cosines[~same].min() >= -0.25


@given(st.integers(1, 10), st.integers(0, 6), seeds)
def test_spike_free_by_the_exact_criterion(n, extra, seed):
    X, y = datasets.spike_free(n, n + extra, rng=seed)
    assert X.shape == (n, n + extra)
    V = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert np.linalg.matrix_rank(V) == n
    inverse = np.linalg.inv(V @ V.T)
    assert (inverse[~np.eye(n, dtype=bool)] < -1e-3).all()
    assert n == 1 or set(y) == {-1.0, 1.0}


def test_spike_free_by_definition():
    """WP Definition 2: (Xu)_+ = Xz with ||z|| <= 1 for all ||u|| <= 1; here for many u, z = X^+ (Xu)_+."""
    X, _ = datasets.spike_free(4, 6, rng=0)
    U = np.random.default_rng(0).normal(size=(20000, 6))
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    rectified = np.maximum(U @ X.T, 0.0)
    Z = rectified @ np.linalg.pinv(X).T
    np.testing.assert_allclose(Z @ X.T, rectified, atol=1e-12)
    assert np.linalg.norm(Z, axis=1).max() <= 1 + 1e-12


@settings(max_examples=30)
@given(st.integers(1, 80), st.integers(1, 6), st.integers(2, 5), st.sampled_from([0.0, 0.1, 0.4]), seeds)
def test_teacher_gives_both_labels(n, d, width, margin, seed):
    X, y = datasets.teacher(n, d, width=width, margin=margin, rng=seed)
    assert X.shape == (n, d)
    assert set(y) <= {-1.0, 1.0}
    assert n == 1 or len(set(y)) == 2


def test_teacher_keeps_the_margin(monkeypatch):
    """A network of `width` unit neurons fits with the margin: the directions drawn last are the ones used."""
    drawn = []
    original = datasets.generators._labelled

    def spy(n, directions, signs, margin, generator):
        drawn.append((directions, signs))
        return original(n, directions, signs, margin, generator)

    monkeypatch.setattr(datasets.generators, "_labelled", spy)
    X, y = datasets.teacher(500, 4, width=5, margin=0.3, rng=1)
    directions, signs = drawn[-1]
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    assert directions.shape == (5, 4)
    assert set(signs) == {-1.0, 1.0}
    values = np.array([sum(s * max(v @ x, 0.0) for s, v in zip(signs, directions, strict=True)) for x in X])
    assert (y * values > 0.3).all()


def test_teacher_says_what_is_impossible():
    with pytest.raises(InvalidInputError, match="lower the margin"):
        datasets.teacher(10, 2, margin=1e6, rng=0)
    with pytest.raises(InvalidInputError, match="width must be at least 2"):
        datasets.teacher(2, 2, width=1)
    assert datasets.teacher(1, 2, width=1, rng=0).X.shape == (1, 2)


@pytest.mark.parametrize("n", [1, 2, 5, 50])
@pytest.mark.parametrize("make", [datasets.moons, datasets.circles])
def test_toy_sets_have_a_bias_column_and_balanced_labels(make, n):
    X, y = make(n)
    assert X.shape == (n, 3)
    assert (X[:, 2] == 1).all()
    assert abs(int(y.sum())) <= 1
    assert set(y) <= {-1.0, 1.0}


def test_toy_sets_without_noise_lie_on_their_curves():
    X, y = datasets.circles(80, noise=0.0, factor=0.3)
    np.testing.assert_allclose(np.hypot(X[:, 0], X[:, 1]), np.where(y > 0, 0.3, 1.0))
    X, y = datasets.moons(80, noise=0.0)
    centre = np.where(y > 0, [[1.0], [0.5]], [[0.0], [0.0]]).T
    np.testing.assert_allclose(np.linalg.norm(X[:, :2] - centre, axis=1), 1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: datasets.orthogonally_separable(20, 4, n_classes=6, rng=rng),
        lambda rng: datasets.spike_free(4, 5, rng=rng),
        lambda rng: datasets.teacher(20, 3, rng=rng),
        lambda rng: datasets.moons(20, rng=rng),
        lambda rng: datasets.circles(20, rng=rng),
    ],
)
def test_seeds_decide(make):
    first, again, other = make(7), make(np.random.default_rng(7)), make(8)
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.y, again.y)
    assert not np.array_equal(first.X, other.X)
    assert make(np.random.SeedSequence(3)).X.shape == first.X.shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.orthogonally_separable(9, 4, n_classes=9), r"at most 2 d = 8, got 9"),
        (lambda: datasets.orthogonally_separable(9, 4, n_classes=1), "at least 2, got 1"),
        (lambda: datasets.orthogonally_separable(2, 4, n_classes=3), "n must be at least n_classes = 3"),
        (lambda: datasets.orthogonally_separable(0, 4), "n must be a whole number of at least 1"),
        (lambda: datasets.spike_free(5, 4), "at most d = 4, got 5"),
        (lambda: datasets.spike_free(1, 0), "d must be"),
        (lambda: datasets.teacher(5, 2, margin=-1.0), "margin must be"),
        (lambda: datasets.moons(0), "n must be"),
        (lambda: datasets.moons(5, noise=-0.1), "noise must be"),
        (lambda: datasets.circles(5, factor=1.0), "factor must be below 1"),
        (lambda: datasets.moons(5, rng=-1), "rng must be"),
    ],
)
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
