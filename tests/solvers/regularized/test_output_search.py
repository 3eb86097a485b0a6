from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.errors import InvalidInputError


def small(seed, n=8, d=2, K=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, K))


def test_one_column_is_the_squared_loss():
    X, Y = small(0, K=1)
    several = cr.solve(X, Y, loss="multi_squared", beta=0.3, tol=1e-4)
    one = cr.solve(X, Y[:, 0], loss="squared", beta=0.3)
    assert several.lower_bound <= one.objective
    assert several.objective == pytest.approx(one.objective, rel=1e-4)


def test_outputs_may_be_rotated_and_repeated_columns_are_one_scaled():
    X, Y = small(1)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    first = cr.solve(X, Y, loss="multi_squared", beta=0.3, tol=1e-4)
    second = cr.solve(X, Y @ turn, loss="multi_squared", beta=0.3, tol=1e-4)
    assert second.objective == pytest.approx(first.objective, rel=2e-4)
    # Y = y v^T: one output of target |v| y
    y = Y[:, 0]
    equal = cr.solve(X, np.outer(y, [3.0, 4.0]), loss="multi_squared", beta=0.3, tol=1e-4)
    one = cr.solve(X, 5 * y, loss="squared", beta=0.3)
    assert equal.objective == pytest.approx(one.objective, rel=2e-4)


@pytest.mark.parametrize(
    "parts", [{}, {"output_bias": True}, {"output_bias": "penalised"}, {"skip": True}], ids=repr
)
@pytest.mark.parametrize("loss", ["multi_squared", "softmax"])
def test_no_descent_finds_less_and_the_bound_holds(loss, parts, tmp_path):
    X, Y = small(2, n=10)
    y = np.arange(10) % 3 if loss == "softmax" else Y
    solution = cr.solve(X, y, loss=loss, beta=0.2, tol=1e-3, **parts)
    assert solution.status == "optimal"
    assert solution.lower_bound <= solution.objective
    network = solution.network
    f = np.maximum(X @ network.W1.T, 0) @ network.W2.T + network.output_bias + X @ network.skip.T
    rule = cr.losses.get_loss(loss)
    half = 0.5 * (np.sum(network.W1**2) + np.sum(network.W2**2))
    half += 0.5 * np.sum(network.output_bias**2) if parts.get("output_bias") == "penalised" else 0.0
    value = rule.value(f, rule.targets(y, length=10)).sum() + 0.2 * half
    assert value == pytest.approx(solution.objective, rel=1e-9)
    solution.certificate.save(tmp_path / "outputs.json")
    assert cr.RegularizedCertificate.load(tmp_path / "outputs.json").check(X, y)
    worse = cr.certify(X, y, network.scaled_neurons(0.5), loss=loss, beta=0.2, **parts)
    assert worse.lower_bound <= solution.objective
    again = cr.solve(X, y, loss=loss, beta=0.2, tol=1e-3, start=network, **parts)
    assert again.objective <= solution.objective * (1 + 1e-6)


def test_two_classes_are_logistic_with_another_price():
    # outputs (f/2, -f/2): a neuron (u, v, -v) has the size sqrt 2 ||u|| |v|, and 2 v in their difference
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(15, 2)), np.where(rng.random(15) < 0.5, 1.0, -1.0)
    softmax = cr.solve(X, y, loss="softmax", beta=0.3, tol=1e-4)
    logistic = cr.solve(X, y, loss="logistic", beta=0.3 / np.sqrt(2.0))
    assert softmax.objective == pytest.approx(logistic.objective, rel=1e-4)
    assert softmax.lower_bound <= logistic.objective


def test_above_beta_max_there_is_no_neuron():
    X, Y = small(4)
    solution = cr.solve(X, Y, loss="multi_squared", beta=100.0)
    assert solution.network.n_neurons == 0
    assert solution.gap <= 1e-6
    with pytest.raises(InvalidInputError, match="one output"):
        cr.solve(X, Y, loss="multi_squared", beta=1.0, gates=np.eye(2))


def test_a_tolerance_out_of_reach_leaves_a_tight_bound_and_few_neurons():
    rng = np.random.default_rng(1)
    X = np.c_[rng.normal(size=(12, 2)), np.ones(12)]
    solution = cr.solve(X, np.arange(12) % 3, loss="softmax", beta=0.1, tol=1e-8)
    assert solution.gap <= 1e-4
    # near-equal ones are one: without that there are hundreds
    assert solution.network.n_neurons <= 12
    assert np.all(np.diff([entry.objective for entry in solution.history]) <= 0)
    proven = [entry.bound for entry in solution.history if entry.phase == "oracle"]
    assert np.all(np.diff(proven) >= 0)
    assert solution.lower_bound == pytest.approx(proven[-1], rel=1e-9)
