from __future__ import annotations

import warnings

import numpy as np
import pytest

from convexrelu import dual_program, enumerate_patterns, losses, primal_program
from convexrelu.errors import InvalidInputError

pytest.importorskip("cvxpy")

SCALAR = [
    *("squared", "absolute", "huber", "logistic", "hinge", "squared_hinge", "poisson", "exponential"),
    *(losses.Quantile(tau=0.7), losses.EpsilonInsensitive(epsilon=0.3), losses.Huber(delta=0.4)),
]
PARTS = [
    {},
    {"output_bias": True},
    {"output_bias": "penalised"},
    {"skip": True},
    {"output_bias": True, "skip": True},
]


def solved(problem):
    with warnings.catch_warnings():
        # a solver that stops a digit short of 1e-10 warns; the comparisons below decide
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        settings = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
        return float(problem.solve(solver="CLARABEL", **settings))


def targets(loss, n, rng):
    loss = losses.get_loss(loss)
    if loss.takes_labels:
        return np.r_[1.0, -1.0, np.where(rng.random(n - 2) < 0.5, 1.0, -1.0)]
    return rng.poisson(2.0, size=n).astype(float) if loss.name == "poisson" else 2 * rng.normal(size=n)


@pytest.mark.parametrize("parts", PARTS, ids=repr)
@pytest.mark.parametrize("loss", SCALAR, ids=repr)
def test_strong_duality_and_multipliers_are_slopes(loss, parts):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 2)), targets(loss, 12, rng)
    options = {"loss": loss, "beta": 0.3, "sample_weight": rng.uniform(0.5, 2.0, size=12), **parts}
    masks = enumerate_patterns(X).patterns
    primal, dual = primal_program(X, y, masks, **options), dual_program(X, y, masks, **options)
    value = solved(primal.problem)
    assert solved(dual.problem) == pytest.approx(value, rel=1e-6, abs=1e-7)
    rule = losses.get_loss(loss)
    if rule.curvature(0.0 * y, y) is not None:
        slopes = options["sample_weight"] * rule.slope(primal.outputs.value, y)
        np.testing.assert_allclose(dual.lam.value, slopes, atol=5e-3)  # values agree to its square


def test_one_neuron_in_one_dimension_in_closed_form():
    # inputs of one sign: f = w x, and the program is the lasso of one feature
    x, y, beta = np.array([1.0, 2.0, 0.5]), np.array([1.0, 3.0, -0.2]), 0.7
    w = max(x @ y - beta, 0) / (x @ x)
    expected = 0.5 * np.sum((w * x - y) ** 2) + beta * w
    masks = enumerate_patterns(x[:, None]).patterns
    assert solved(primal_program(x[:, None], y, masks, loss="squared", beta=beta).problem) == pytest.approx(
        expected
    )
    assert solved(dual_program(x[:, None], y, masks, loss="squared", beta=beta).problem) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("loss", ["squared", "logistic", "multi_squared", "softmax"])
def test_gated_programs_are_dual_and_relaxations(loss):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(9, 3))
    y = rng.normal(size=(9, 3)) if loss == "multi_squared" else targets(loss, 9, rng)
    y = np.arange(9) % 3 if loss == "softmax" else y
    masks = X @ rng.normal(size=(3, 5)) > 0
    options = {"loss": loss, "beta": 0.4, "output_bias": True}
    value = solved(primal_program(X, y, masks.T, gated=True, **options).problem)
    assert solved(dual_program(X, y, masks.T, gated=True, **options).problem) == pytest.approx(
        value, rel=1e-6
    )
    if not losses.get_loss(loss).vector:
        assert value <= solved(primal_program(X, y, masks.T, **options).problem) + 1e-7


@pytest.mark.usefixtures("unchecked")
def test_arguments_are_checked():
    X, y, masks = np.eye(2), [1.0, -1.0], np.ones((1, 2), dtype=bool)
    for options, message in (
        ({"loss": "squared"}, "beta"),
        ({"loss": "squared", "beta": 1.0, "C": 1.0}, "price of slack"),
        ({"beta": 1.0}, "go with a loss"),
        ({"loss": "squared", "beta": 1.0, "output_bias": "free"}, "output_bias"),
        ({"loss": "squared", "beta": 1.0, "sample_weight": [1.0, 0.0]}, "sample_weight"),
        ({"loss": "softmax", "beta": 1.0}, "gated"),
    ):
        for build in (primal_program, dual_program):
            with pytest.raises(InvalidInputError, match=message):
                build(X, y, masks, **options)
