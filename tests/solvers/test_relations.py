"""Three conic solvers against the engine, and relations between optima that need no other solver."""

from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr

# Twice what two certified values may differ by.
RELATIVE = 2e-6


def data(seed, n=7, d=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    if seed % 2:  # integers, with ties
        X = np.rint(2 * X)
        X[~X.any(axis=1)] = 1.0
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    y[:2] = 1.0, -1.0
    return X, y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("solver", ["CLARABEL", "SCS", "ECOS"])
def test_the_full_program_of_three_solvers_is_the_engines_optimum(solver, seed):
    pytest.importorskip("cvxpy")
    if solver == "ECOS":
        pytest.importorskip("ecos")
    X, y = data(seed, n=5)
    engine = cr.solve_max_margin(X, y, C=2.0)
    program = cr.solve_max_margin(X, y, C=2.0, method="program", solver=solver)
    assert engine.gap <= 1e-6
    assert program.lower_bound <= engine.objective * (1 + 1e-12)
    assert engine.lower_bound <= program.objective * (1 + 1e-12)
    assert program.objective == pytest.approx(engine.objective, rel=RELATIVE)


@pytest.mark.parametrize("seed", range(4))
def test_slack_at_growing_prices_tends_to_the_hard_margin(seed):
    """P*(C) grows with C, is at most P*, and is P* from the largest multiplier on."""
    X, y = data(2 * seed, n=6)
    hard = cr.solve_max_margin(X, y)
    prices = np.abs(hard.lam).max() * np.array([0.01, 0.1, 0.5, 1.0, 10.0])
    values = [cr.solve_max_margin(X, y, C=C).objective for C in prices]
    assert (np.diff(values) >= -RELATIVE * hard.objective).all()
    assert values[0] < hard.objective * (1 - 1e-3)
    assert values[-1] == pytest.approx(hard.objective, rel=RELATIVE)
    assert values[-2] == pytest.approx(hard.objective, rel=RELATIVE)


@pytest.mark.parametrize("C", [np.inf, 1.0])
def test_k_classes_are_k_problems(C):
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(7, 3)), np.array([0, 1, 2, 0, 1, 2, 1])
    whole = cr.solve_max_margin(X, labels, C=C)
    parts = [cr.solve_max_margin(X, np.where(labels == k, 1, -1), C=C).objective for k in range(3)]
    assert whole.objective == pytest.approx(sum(parts), rel=RELATIVE)


def value(X, y, **options):
    solution = cr.solve(X, y, **{"loss": "squared", "beta": 0.2, **options})
    assert solution.gap <= 1e-6
    return solution.objective


@pytest.mark.parametrize("loss", ["squared", "logistic", "absolute"])
@pytest.mark.parametrize("seed", range(2))
def test_order_rotation_and_copies_with_weight_decay(loss, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(8, 3)), np.r_[1.0, -1.0, rng.choice([1.0, -1.0], 6)]
    here = value(X, y, loss=loss)
    order, Q = rng.permutation(8), np.linalg.qr(rng.normal(size=(5, 3)))[0]
    assert value(X[order], y[order], loss=loss) == pytest.approx(here, rel=RELATIVE)
    assert value(X @ Q.T, y, loss=loss) == pytest.approx(here, rel=RELATIVE)
    # two copies of each sample at half the weight
    halves = np.full(16, 0.5)
    assert value(np.r_[X, X], np.r_[y, y], loss=loss, sample_weight=halves) == pytest.approx(
        here, rel=RELATIVE
    )
    # c X with c beta: the neurons shrink by c, the network is the same
    assert value(7.0 * X, y, loss=loss, beta=7.0 * 0.2) == pytest.approx(here, rel=RELATIVE)


def test_the_squared_loss_is_homogeneous_and_odd():
    """f -> c f for targets c y: c^2 times the loss and c times the norm, so c beta."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(8, 3)), rng.normal(size=8)
    here = value(X, y)
    assert value(X, -y) == pytest.approx(here, rel=RELATIVE)
    assert value(X, 3.0 * y, beta=3.0 * 0.2) == pytest.approx(9.0 * here, rel=RELATIVE)


def test_more_samples_never_cost_less_and_zero_rows_cost_their_loss():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(8, 3)), rng.normal(size=8)
    values = [value(X[:n], y[:n]) for n in (4, 6, 8)]
    assert (np.diff(values) >= -RELATIVE * values[-1]).all()
    with_zero = value(np.vstack([X, np.zeros(3)]), np.r_[y, 2.0])
    alone = float(np.asarray(cr.losses.get_loss("squared").value(np.zeros(1), np.array([2.0])))[0])
    assert with_zero == pytest.approx(values[-1] + alone, rel=RELATIVE)
