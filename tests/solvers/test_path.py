from __future__ import annotations

import logging
import signal

import numpy as np
import pytest

from convexrelu import InvalidInputError, MaxMarginPath, max_margin_path, solve_max_margin

CS = [0.01, 0.1, 1.0]


def noisy(n=60, d=3, seed=0, classes=2):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.normal(size=(n, d - 1)), np.ones(n)]
    return X, rng.integers(0, classes, n)


def test_each_point_is_certified_and_equal_to_its_own_solve():
    X, y = noisy()
    path = max_margin_path(X, y, CS)
    assert isinstance(path, MaxMarginPath)
    assert len(path) == 3
    np.testing.assert_array_equal(path.Cs, CS)
    for C, point in zip(path.Cs, path, strict=True):
        alone = solve_max_margin(X, y, C=C)
        assert point.status == "optimal"
        assert point.objective == pytest.approx(alone.objective, rel=2e-6)
        assert point.certificate.check(X, y)
        assert point.certificate.C == C
    assert path[1] is path.points[1]
    assert (np.diff(path.objectives) > 0).all()
    assert (path.lower_bounds <= path.objectives).all()
    assert "C = 0.01: optimal" in repr(path)


def test_p_star_is_concave_along_the_path():
    """It is a minimum of functions linear in C."""
    X, y = noisy(seed=1)
    path = max_margin_path(X, y, [0.2, 0.4, 0.6], tol=1e-6)
    assert path.objectives[1] >= (path.lower_bounds[0] + path.lower_bounds[2]) / 2


def test_more_classes_and_the_hard_margin():
    X, y = noisy(30, classes=3)
    path = max_margin_path(X, y, [0.1, np.inf], tol=1e-3)
    assert path[0].objective < path[1].objective
    assert len(path[0].solutions) == 3


def test_a_limit_is_for_all_points():
    X, y = noisy(150, 6)
    path = max_margin_path(X, y, CS, time_limit=0.6)
    for point in path:
        assert 0 < point.lower_bound <= point.objective


def test_ctrl_c_ends_the_path():
    class PressOnce(logging.Handler):
        def emit(self, record):  # noqa: ARG002  logging's signature
            logger.removeHandler(self)
            signal.raise_signal(signal.SIGINT)

    X, y = noisy(100, 4)
    logger = logging.getLogger("convexrelu")
    before, level = signal.signal(signal.SIGINT, signal.default_int_handler), logger.level
    logger.addHandler(PressOnce(logging.INFO))
    logger.setLevel(logging.INFO)
    try:
        path = max_margin_path(X, y, CS)
    finally:
        logger.setLevel(level)
        signal.signal(signal.SIGINT, before)
    assert len(path) == 1
    assert path[0].status == "interrupted"


@pytest.mark.parametrize("Cs", [[], np.array(1.0), [[1.0]], [1.0, -1.0], [0.0], ["a"], [np.nan]])
def test_prices_are_checked(Cs):
    with pytest.raises(InvalidInputError):
        max_margin_path(*noisy(6), Cs)


def test_accuracies_are_those_of_the_networks():
    X, y = noisy(seed=2)
    labels = np.array(["no", "yes"])[y]
    path = max_margin_path(X, labels, [0.1, 1.0], tol=1e-2)
    np.testing.assert_array_equal(path.n_neurons, [point.network.n_neurons for point in path])
    for share, point in zip(path.accuracies(X, labels), path, strict=True):
        assert share == np.mean((point.network(X) > 0) == (labels == "yes"))
    assert path.accuracies(X[:1], labels[:1]).tolist() == [
        float((point.network(X[:1])[0] > 0) == (labels[0] == "yes")) for point in path
    ]


def test_accuracies_of_more_classes_are_those_of_the_strongest():
    X, y = noisy(30, classes=3)
    path = max_margin_path(X, y, [1.0], tol=1e-2)
    values = np.array([part.network(X) for part in path[0].solutions])
    assert path.accuracies(X, y)[0] == np.mean(values.argmax(axis=0) == y)
    assert path.n_neurons[0] == sum(part.network.n_neurons for part in path[0].solutions)


def test_one_label_is_classified_as_such():
    X, _ = noisy(8)
    path = max_margin_path(X, -np.ones(8), [10.0], tol=1e-2)
    assert path.accuracies(X, -np.ones(8)).tolist() == [1.0]


def test_accuracies_want_the_same_columns_and_labels():
    X, y = noisy(20)
    path = max_margin_path(X, y, [0.1], tol=1e-2)
    for rows, labels in ((X[:, :2], y), (X, y + 1), (X, y[:5])):
        with pytest.raises(InvalidInputError):
            path.accuracies(rows, labels)
