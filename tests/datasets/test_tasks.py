"""The targets are recomputed sample by sample, with plain arithmetic, from the formulas of NP section 5.2."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances

from convexrelu import InvalidInputError
from convexrelu.datasets import (
    Task,
    matching_pursuit_example,
    modular_addition,
    pointer_value_retrieval,
    sparse_function,
)


def relu(t):
    return max(t, 0.0)


def ridge(a, b, c, d):
    return relu(relu(2 * a + b) - relu(c - d))


FORMULAS = {
    "f1": lambda x: ridge(*x[:4]),
    "f2": lambda x: ridge(*x[:4]) + 5 * (1 * ridge(*x[4:8]) + 2 * ridge(*x[8:12])),
    "g1": lambda x: x[0] * x[1] - x[0] * x[1] * x[2] * x[3],
    "g2": lambda x: x[0] * x[1] * x[2] * x[3],
    "h1": lambda x: max(2 * x[0], x[1]),
    "h2": lambda x: max(x[0], 2 * x[1]) + max(x[2], 2 * x[3]) - max(x[0] + x[2], -x[1], -x[3]),
    "fig5": lambda x: relu(relu(2 * x[0] + x[2]) - relu(x[2] - x[1])),
}


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_sparse_functions_are_those_of_the_paper(name):
    task = sparse_function(name, 60, rng=3)
    expected = [FORMULAS[name](row) for row in task.X]
    np.testing.assert_allclose(task.y, expected, rtol=tolerances.ROUNDING, atol=tolerances.ROUNDING)
    assert np.ptp(task.y) > 0


def test_sparse_functions_have_the_laws_of_the_paper():
    sphere, cube, normal = (sparse_function(name, 4000, rng=0).X for name in ("f1", "g1", "h1"))
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), np.sqrt(50), rtol=tolerances.ROUNDING)
    assert set(np.unique(cube)) == {-1.0, 1.0}
    assert sparse_function("fig5", 5, rng=0).X.shape == (5, 20)
    # means of 4000 samples of variance one: five standard deviations
    for X in (sphere, cube, normal):
        assert np.abs(X.mean(axis=0)).max() < 5 / np.sqrt(4000)
        assert X.shape[1] == 50
    assert np.abs(normal.var(axis=0) - 1).max() < 5 * np.sqrt(2 / 4000)


def test_a_seed_gives_the_same_samples():
    first, second = (sparse_function("h2", 10, rng=5) for _ in range(2))
    np.testing.assert_array_equal(first.X, second.X)
    assert not np.array_equal(first.X, sparse_function("h2", 10, rng=6).X)


def test_modular_addition_holds_every_pair_once():
    p = 5
    X, y = modular_addition(p)
    assert X.shape == (p * p, 2 * p + 1)
    assert y.shape == (p * p, p)
    a, b, c = X[:, :p].argmax(axis=1), X[:, p : 2 * p].argmax(axis=1), y.argmax(axis=1)
    assert len(set(zip(a, b, strict=True))) == p * p
    np.testing.assert_array_equal(c, (a + b) % p)
    np.testing.assert_array_equal(X.sum(axis=1), np.full(p * p, 3.0))
    np.testing.assert_array_equal(X[:, -1], np.ones(p * p))
    np.testing.assert_array_equal(y.sum(axis=1), np.ones(p * p))


def test_pointers_point_at_neighbouring_signs():
    task = pointer_value_retrieval(3000, rng=1)
    bits, one, x = task.X[:, :4], task.X[:, 4], task.X[:, 5:]
    pointer = 1 + (((bits + 1) / 2) @ [8, 4, 2, 1]).astype(int)
    expected = [row[q - 1] * row[q] for row, q in zip(x, pointer, strict=True)]
    np.testing.assert_array_equal(task.y, expected)
    np.testing.assert_array_equal(one, np.ones(3000))
    assert set(pointer) == set(range(1, 16))  # p = 1 is (-1, -1, -1, -1); there is no sixteenth


def test_the_matching_pursuit_example_has_the_stated_solutions():
    X, y = matching_pursuit_example()
    for solution in ([1, 2, 0], [1.1875, 0, 1.875]):
        np.testing.assert_allclose(X @ np.array(solution, dtype=float), y, rtol=tolerances.ROUNDING)


def test_errors_are_relative_and_shares():
    task = Task([[1.0], [2.0]], [[0.0, 1.0], [1.0, 0.0]], "two")
    assert task.relative_error(np.zeros((2, 2))) == pytest.approx(1.0)
    assert task.relative_error(task.y) == 0.0
    assert task.classification_error([[0.1, 0.2], [0.3, 0.4]]) == 0.5
    assert "n_outputs=2" in repr(task)
    with pytest.raises(InvalidInputError, match=r"shape of y, \(2, 2\), got \(2,\)"):
        task.relative_error([1.0, 2.0])
    with pytest.raises(InvalidInputError, match="several outputs"):
        Task([[1.0]], [1.0], "one").classification_error([1.0])


def test_a_split_shares_out_the_samples():
    task = modular_addition(4)
    train, test = task.split(11, rng=0)
    assert len(train.X), len(test.X) == (11, 5)
    rows = {tuple(row) for row in np.vstack([train.X, test.X])}
    assert rows == {tuple(row) for row in task.X}
    with pytest.raises(InvalidInputError, match="below the 16 samples"):
        task.split(16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sparse_function("f3", 5), "name must be one of 'f1'"),
        (lambda: sparse_function("f1", 0), "n must be a whole number"),
        (lambda: modular_addition(1), "p must be at least 2"),
        (lambda: pointer_value_retrieval(-1), "n must be a whole number"),
        (lambda: Task([[1.0]], [1.0, 2.0], "uneven"), "row for each of 1 samples, got 2"),
        (lambda: Task([[1.0]], [np.nan], "nan"), "y must be finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_tasks_are_read_only():
    task = sparse_function("g1", 5, rng=0)
    with pytest.raises(ValueError, match="read-only"):
        task.X[0, 0] = 3.0
