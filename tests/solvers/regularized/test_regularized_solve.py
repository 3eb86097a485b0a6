"""Training with weight decay against the full convex program over all patterns, and against theorems."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import convexrelu as cr
from convexrelu import losses
from convexrelu.errors import InvalidInputError

LOSSES = [
    *("squared", "absolute", "huber", "logistic", "hinge", "squared_hinge", "poisson", "exponential"),
    *(losses.Quantile(tau=0.7), losses.EpsilonInsensitive(epsilon=0.3)),
]
PARTS = [{}, {"output_bias": True}, {"output_bias": "penalised"}, {"skip": True}]
QUICK = 20  # of the random problems, that every run solves


def targets(loss, n, rng):
    if loss.takes_labels:
        return np.r_[1.0, -1.0, np.where(rng.random(n - 2) < 0.5, 1.0, -1.0)]
    return rng.poisson(2.0, size=n).astype(float) if loss.name == "poisson" else 2 * rng.normal(size=n)


def random_problem(seed):
    """Data that is degenerate half the time: parallel, antiparallel, equal and zero rows, integers."""
    rng = np.random.default_rng(seed)
    loss = losses.get_loss(LOSSES[seed % len(LOSSES)])
    n, d = int(rng.integers(5, 13)), int(rng.integers(1, 4))
    X = rng.normal(size=(n, d))
    if rng.random() < 0.5:
        X[1], X[2], X[3] = -2 * X[0], X[0], 0 * X[3] if rng.random() < 0.5 else X[3]
        X = np.round(X) if rng.random() < 0.3 else X
    weights = rng.uniform(0.3, 2.0, size=n) if rng.random() < 0.5 else None
    parts = PARTS[int(rng.integers(len(PARTS)))]
    beta = float(rng.choice([0.05, 0.3, 1.0]))
    return X, targets(loss, n, rng), {"loss": loss, "beta": beta, "sample_weight": weights, **parts}


def reference(X, y, options):
    """The value of the full program, by an interior-point method; NaN where that fails."""
    pytest.importorskip("cvxpy")
    program = cr.primal_program(X, y, cr.enumerate_patterns(X).patterns, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        settings = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
        return float(program.problem.solve(solver="CLARABEL", **settings))


def recomputed(X, y, network, options):
    """The objective of a network from its arrays."""
    f = np.maximum(X @ network.W1.T, 0) @ network.w2
    b = float(getattr(network, "output_bias", 0.0))
    f = f + b + X @ getattr(network, "skip", np.zeros(X.shape[1]))
    weights = np.ones(len(y)) if options["sample_weight"] is None else options["sample_weight"]
    half = 0.5 * (np.sum(network.W1**2) + np.sum(network.w2**2))
    half += 0.5 * b**2 if options.get("output_bias") == "penalised" else 0.0
    return weights @ options["loss"].value(f, y) + options["beta"] * half


@pytest.mark.parametrize(
    "seed", [pytest.param(k, marks=[] if k < QUICK else [pytest.mark.slow]) for k in range(200)]
)
def test_random_problems_agree_with_the_full_program(seed):
    X, y, options = random_problem(seed)
    value = reference(X, y, options)
    solution = cr.solve(X, y, **options)
    assert recomputed(X, y, solution.network, options) == pytest.approx(
        solution.objective, rel=1e-9, abs=1e-12
    )
    assert solution.certificate.check(X, y)
    assert solution.lower_bound <= value * (1 + 1e-7) + 1e-7
    assert solution.objective >= value * (1 - 1e-7) - 1e-7
    if value > 1e-6:  # else the affine part alone fits, and no relative gap means anything
        assert solution.status == "optimal"
        assert solution.gap <= 1e-6
        assert solution.objective <= value * (1 + 2e-6) + 1e-7


@pytest.mark.parametrize("loss", ["squared", "logistic", "absolute"])
def test_above_beta_max_the_zero_network_is_optimal_and_below_it_is_not(loss):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    y = np.sign(y) if loss == "logistic" else y
    pull = losses.get_loss(loss).slope(np.zeros(30), y)
    h = max(cr.maximize_correlation(X, sign * pull).value for sign in (1, -1))
    assert cr.solve(X, y, loss=loss, beta=1.0001 * h).network.n_neurons == 0
    below = cr.solve(X, y, loss=loss, beta=0.99 * h)
    assert below.network.n_neurons >= 1
    assert below.status == "optimal"


def test_the_hinge_is_the_soft_margin():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(30, 3)), np.where(rng.random(30) < 0.5, 1.0, -1.0)
    soft = cr.solve_max_margin(X, y, C=2.0)
    assert cr.solve(X, y, loss="hinge", beta=0.5).objective == pytest.approx(0.5 * soft.objective, rel=1e-5)


def test_logistic_training_tends_to_the_max_margin():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(20, 3)), np.where(rng.random(20) < 0.5, 1.0, -1.0)
    optimum = cr.solve_max_margin(X, y).objective
    excess = []
    for beta in (1e-1, 1e-3, 1e-5):
        network = cr.solve(X, y, loss="logistic", beta=beta, tol=1e-4).network
        excess.append(network.group_norm() / (y * network(X)).min() / optimum - 1)
    assert excess[0] > excess[1] > excess[2] > -1e-9
    assert excess[2] < 0.2


def test_weights_are_copies_and_the_mean_divides_them():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(10, 2)), rng.normal(size=10)
    twice = cr.solve(np.vstack([X, X[:4]]), np.r_[y, y[:4]], loss="squared", beta=0.3)
    weighted = cr.solve(X, y, loss="squared", beta=0.3, sample_weight=np.r_[np.full(4, 2.0), np.ones(6)])
    mean = cr.solve(
        X,
        y,
        loss="squared",
        beta=0.3 / 14,
        sample_weight=np.r_[np.full(4, 2.0), np.ones(6)],
        reduction="mean",
    )
    assert weighted.objective == pytest.approx(twice.objective, rel=1e-6)
    assert 14 * mean.objective == pytest.approx(twice.objective, rel=1e-6)


def test_penalised_bias_is_what_a_constant_neuron_cannot_be():
    # on one row: 1/2 (b - y)^2 + beta b^2 / 2 has its minimum at y / (1 + beta), and a zero row has no neuron
    solution = cr.solve([[0.0]], [3.0], loss="squared", beta=0.5, output_bias="penalised")
    assert float(solution.network.output_bias) == pytest.approx(2.0)
    assert solution.objective == pytest.approx(0.5 + 0.25 * 4)
    assert solution.lower_bound == pytest.approx(1.5)


def test_a_start_and_a_seed_give_the_same_value():
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    first = cr.solve(X, y, loss="squared", beta=0.5, rng=1)
    again = cr.solve(X, y, loss="squared", beta=0.5, rng=1)
    warm = cr.solve(X, y, loss="squared", beta=0.5, start=first.network)
    assert np.array_equal(first.network.W1, again.network.W1)
    assert warm.objective == pytest.approx(first.objective, rel=1e-6)
    assert len(warm.history) <= len(first.history)


def test_a_time_limit_ends_with_honest_bounds():
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(400, 6)), rng.normal(size=400)
    solution = cr.solve(X, y, loss="squared", beta=0.5, time_limit=0.5)
    assert solution.status == "time_limit"
    assert 0 <= solution.lower_bound <= solution.objective <= 0.5 * y @ y * (1 + 1e-12)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "nothing"}, "loss must be one of"),
        ({"loss": "correlation"}, "bounded from below"),
        ({"beta": 0.0}, "beta"),
        ({"tol": 1.0}, "below 1"),
        ({"sample_weight": [1.0, 0.0]}, "sample_weight"),
        ({"sample_weight": [1.0]}, "sample_weight"),
        ({"output_bias": "free"}, "output_bias"),
        ({"reduction": "median"}, "reduction"),
        ({"time_limit": -1.0}, "time_limit"),
        ({"start": cr.TwoLayerReLU([[1.0]], [1.0])}, "inputs"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(InvalidInputError, match=message):
        cr.solve(np.eye(2), [1.0, -1.0], **{"loss": "squared", "beta": 1.0, **options})


@pytest.mark.parametrize("output_bias", [False, True])
def test_a_start_may_hold_neurons_that_no_row_sees(output_bias):
    x = np.linspace(-1.0, 1.0, 30)
    X = np.column_stack([x, np.ones(30)])
    y = np.abs(x) + x**2
    rows = [[1.0, 0.0], [-1.0, 0.1], [0.0, -1.0], [0.0, 1.0]]  # the third sees none, the last one is constant
    weights = [1.0, 0.5, 0.3, 0.2]
    start = cr.ReLUNetwork(rows, weights) if output_bias else cr.TwoLayerReLU(rows, weights)
    options = {"loss": "squared", "beta": 0.05, "output_bias": output_bias, "tol": 1e-6}
    assert cr.solve(X, y, start=start, **options).status == "optimal"


def test_a_search_that_stalls_is_left_with_what_its_multipliers_prove():
    rng = np.random.default_rng(1)
    X, y = np.c_[rng.normal(size=(40, 3)), np.ones(40)], rng.normal(size=40)
    solution = cr.solve(X, y, loss="absolute", beta=0.3, tol=1e-12, work_limit=6.0)
    # not the crude bound of an oracle that a known violator has stopped
    assert solution.gap <= 1e-6


def test_rows_of_a_large_scale_keep_weak_duality():
    rng = np.random.default_rng(0)
    for _ in range(8):
        X = 1e8 * rng.normal(size=(5, 2))
        y = np.array([-1.0, 1.0, -1.0, 1.0, -1.0])
        solution = cr.solve(X, y, loss="logistic", beta=1.0, output_bias="penalised", tol=1e-4)
        assert solution.lower_bound <= solution.objective


@pytest.mark.parametrize("loss", ["absolute", "quantile"])
@pytest.mark.parametrize("scale", [1e-8, 1e-6, 1e6, 1e8])
def test_targets_of_any_size(loss, scale):
    """The objective of c y is c times that of y: on its linear pieces a loss has no curvature."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    X[3:] = -X[:3]
    rule = cr.losses.Quantile(tau=0.7) if loss == "quantile" else loss
    plain = cr.solve(X, y, loss=rule, beta=0.3, tol=1e-5)
    scaled = cr.solve(X, scale * y, loss=rule, beta=0.3, tol=1e-5)
    assert plain.status == scaled.status == "optimal"
    assert scaled.objective == pytest.approx(scale * plain.objective, rel=2e-5)


@pytest.mark.parametrize("loss", ["squared", "absolute", "exponential"])
def test_what_an_affine_part_fits_is_optimal(loss):
    """P* is zero, or next to it: no bound is relative to that, and what is left is rounding."""
    X = np.random.default_rng(1).normal(size=(5, 2))
    y = np.ones(5) if loss == "exponential" else np.full(5, 1.5)
    solution = cr.solve(X, y, loss=loss, beta=1.0, output_bias=True)
    assert solution.status == "optimal"
    assert not solution.network.n_neurons
    assert 0 <= solution.lower_bound <= solution.objective < 1e-13
    few = cr.solve(X, np.zeros(5), loss="epsilon_insensitive", beta=1.0)
    assert few.status == "optimal"
    assert few.gap == few.objective == 0


def test_a_linear_part_of_short_rows_is_not_lost_beside_the_constant():
    X = 1e-8 * np.random.default_rng(2).normal(size=(6, 2))
    y = 3e8 * X[:, 0] + 2.0
    solution = cr.solve(X, y, loss="squared", beta=1.0, output_bias=True, skip=True)
    assert solution.objective < 1e-12 * np.sum(y**2)


def test_poisson_bounds_keep_their_digits_near_the_least_loss():
    """Terms of the size of y log y cancel there: the lower bound must not exceed the objective."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(1, 2)), np.array([2.0 + seed])
        solution = cr.solve(X, y, loss="poisson", beta=1e-6, output_bias="penalised", tol=1e-4)
        assert solution.lower_bound <= solution.objective
        assert solution.gap <= 1e-4


def test_rows_of_zeros_and_several_outputs():
    y = np.random.default_rng(3).normal(size=(3, 2))
    solution = cr.solve(np.zeros((3, 2)), y, loss="multi_squared", beta=1.0, skip=True)
    assert solution.objective == pytest.approx(0.5 * np.sum(y**2))
