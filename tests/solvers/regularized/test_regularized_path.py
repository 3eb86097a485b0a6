from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.errors import InvalidInputError


def data(n=30, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n)


@pytest.mark.parametrize("loss", ["squared", "logistic", "multi_squared"])
def test_beta_max_separates_the_zero_network_from_others(loss):
    X, y = data()
    y = np.sign(y) if loss == "logistic" else np.column_stack([y, y[::-1]]) if loss == "multi_squared" else y
    most = cr.beta_max(X, y, loss=loss, tol=1e-3)
    assert most.value <= most.upper_bound <= most.value * (1 + 2e-3)
    assert cr.solve(X, y, loss=loss, beta=1.001 * most.upper_bound, tol=1e-3).network.n_neurons == 0
    assert cr.solve(X, y, loss=loss, beta=0.9 * most.value, tol=1e-4).network.n_neurons > 0


def test_beta_max_in_closed_form():
    # one gate that is open for all rows: ||X^T y||; weights and their mean multiply
    X, y = data()
    X[:, 0] = np.abs(X[:, 0])
    gates, s = [[1.0, 0.0, 0.0]], np.linspace(1.0, 2.0, 30)
    expected = np.linalg.norm(X.T @ (s * y)) / s.sum()
    found = cr.beta_max(X, y, loss="squared", sample_weight=s, gates=gates, reduction="mean")
    assert found.value == pytest.approx(expected)


def test_beta_max_with_an_affine_part_in_closed_form():
    X, y = data()
    for parts, A in (
        ({"output_bias": True}, np.ones((30, 1))),
        ({"skip": True}, X),
        ({"output_bias": True, "skip": True}, np.c_[np.ones(30), X]),
    ):
        residual = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
        expected = cr.maximize_correlation(X, residual).value, cr.maximize_correlation(X, -residual).value
        most = cr.beta_max(X, y, loss="squared", **parts)
        assert most.value == pytest.approx(max(expected), rel=1e-6)
        assert cr.solve(X, y, loss="squared", beta=1.001 * most.value, **parts).network.n_neurons == 0
        assert cr.solve(X, y, loss="squared", beta=0.99 * most.value, **parts).network.n_neurons > 0
    with pytest.raises(InvalidInputError, match="beta_max"):
        cr.beta_max(X, y, loss="squared", output_bias="penalised")


def test_beta_max_with_a_bias_for_labels_and_classes():
    # without neurons the bias makes the shares of the classes: lam_n = onehot - share
    X, y = data()
    labels = (y > 0.4).astype(int)
    share = labels.mean()
    lam = labels - share
    most = cr.beta_max(X, labels, loss="logistic", output_bias=True)
    assert most.value == pytest.approx(
        max(cr.maximize_correlation(X, sign * lam).value for sign in (1, -1)), rel=1e-5
    )
    several = cr.beta_max(X, labels, loss="softmax", output_bias=True, tol=1e-4)
    assert several.value == pytest.approx(np.sqrt(2.0) * most.value, rel=1e-3)  # lam and -lam, side by side


def test_a_path_is_certified_point_by_point_and_its_value_is_concave_in_beta():
    X, y = data()
    top = cr.beta_max(X, y, loss="squared").upper_bound
    path = cr.solution_path(X, y, loss="squared", betas=top * np.array([1.1, 0.6, 0.3, 0.1]))
    assert len(path) == 4
    assert [point.status for point in path] == ["optimal"] * 4
    assert path[0].network.n_neurons == 0
    assert all(point.certificate.check(X, y) for point in path)
    values, betas = path.objectives, path.betas
    slopes = np.diff(values) / np.diff(betas)  # the price falls along the path: the sizes grow
    assert (slopes > -1e-9).all()
    assert (np.diff(slopes) > -1e-6).all()
    assert (path.lower_bounds <= values).all()
    alone = cr.solve(X, y, loss="squared", beta=betas[-1])
    assert values[-1] == pytest.approx(alone.objective, rel=2e-6)
    assert "4 prices of the weights" in repr(path)


@pytest.mark.parametrize("betas", [[], [1.0, 0.0], [[1.0]]])
def test_bad_prices_are_refused(betas):
    with pytest.raises(InvalidInputError, match="betas"):
        cr.solution_path([[1.0]], [1.0], loss="squared", betas=betas)
