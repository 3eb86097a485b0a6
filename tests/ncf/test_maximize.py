"""KKT points of the constrained NCF: first- and second-order conditions, known maxima, degenerate data."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from tolerances import ORACLE, ROUNDING

from convexrelu import (
    FeedForward,
    InvalidInputError,
    PowerLeakyReLU,
    maximize_correlation,
    maximize_ncf,
    ncf_stationarity,
    rank_one_kkt_point,
)
from convexrelu.ncf import ncf_second_order
from convexrelu.networks import Tanh, pack, unpack

STATIONARY = 1e-11
"""Newton's method on the sphere ends at rounding, 1e-14; so it does on kinks, with the ties held at zero."""


def sphere_data(n=40, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True), rng.normal(size=n)


def value_of(network, X, z):
    return float(np.sum(np.reshape(network(X), (len(X), -1)) * np.reshape(z, (len(X), -1))))


def hessian(network, X, z):
    """The dense Hessian, a column for each weight."""
    size = len(pack(network.weights))
    columns = [pack(network.hessian_vector_product(X, z, unpack(e, network.weights))) for e in np.eye(size)]
    return np.array(columns)


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.1, 1.0])
@pytest.mark.parametrize(
    ("power", "widths"), [(2, (4, 6, 1)), (2, (4, 4, 3, 1)), (3, (4, 3, 1)), (3, (4, 3, 2, 2, 1))]
)
def test_smooth_points_satisfy_both_conditions(alpha, power, widths):
    """grad N = L N w, and Delta is the smallest eigenvalue of 2 lambda - hess N on the tangent space."""
    X, z = sphere_data()
    result = maximize_ncf(X, z, widths=widths, activation=PowerLeakyReLU(alpha, power), n_starts=5, rng=0)
    assert result.points
    assert sum(p.multiplicity for p in result.points) + result.n_reached_zero == result.n_starts
    for point in result.points:
        network, w = point.network, pack(point.network.weights)
        twice_lambda = network.degree * value_of(network, X, z)
        assert abs(np.linalg.norm(w) - 1) <= ROUNDING
        assert point.value == pytest.approx(value_of(network, X, z), rel=1e-10)
        residual = pack(network.gradient(X, z)) - twice_lambda * w
        assert np.linalg.norm(residual) <= STATIONARY * twice_lambda
        assert point.stationarity <= STATIONARY
        P = np.eye(len(w)) - np.outer(w, w)
        matrix = twice_lambda * P - P @ hessian(network, X, z) @ P
        tangent = np.linalg.svd(w[None])[2][1:]
        smallest = np.linalg.eigvalsh(tangent @ matrix @ tangent.T)[0]
        assert point.second_order == pytest.approx(smallest, abs=1e-8 * twice_lambda)
        # Lemma 5 of K-deep: the balance of every KKT point
        for W, V in pairwise(network.weights):
            np.testing.assert_allclose((W**2).sum(axis=1), power * (V**2).sum(axis=0), atol=1e-9)
    values = [p.value for p in result.points]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(("alpha", "seed"), [(-0.2, 0), (-0.2, 1), (-1.0, 1)])
def test_maxima_on_kinks_that_are_not_of_rank_one(alpha, seed):
    """K-deep Theorems 3, 4 do not cover them: Clarke's residual is at rounding, nothing near is higher."""
    X, z = sphere_data(seed=seed)
    rng = np.random.default_rng(7)
    result = maximize_ncf(X, z, widths=(4, 5, 5, 1), activation=PowerLeakyReLU(alpha), n_starts=4, rng=seed)
    assert all(point.stationarity <= STATIONARY for point in result.points)
    others = [
        point.network
        for point in result.points
        if max(1 - np.linalg.norm(W, 2) / np.linalg.norm(W) for W in point.network.weights) > 0.01
    ]
    assert others
    for network in others:
        assert ncf_stationarity(network, X, z) <= STATIONARY
        w = pack(network.weights)
        for size in np.repeat([1e-2, 1e-4], 50):
            v = w + size * rng.normal(size=len(w))
            moved = network.with_weights(unpack(v / np.linalg.norm(v), network.weights))
            assert value_of(moved, X, z) < value_of(network, X, z)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_ascent_ends_in_strict_maxima(alpha):
    """p = 2: the points that starts lead to have Delta > 0, and no point nearby is higher."""
    X, z = sphere_data()
    rng = np.random.default_rng(5)
    result = maximize_ncf(X, z, widths=(4, 6, 1), activation=PowerLeakyReLU(alpha, 2), n_starts=8, rng=1)
    for point in result.points:
        assert point.second_order > 0
        w = pack(point.network.weights)
        for _ in range(50):
            v = w + 1e-2 * rng.normal(size=len(w))
            moved = point.network.with_weights(unpack(v / np.linalg.norm(v), point.network.weights))
            assert value_of(moved, X, z) < point.value


def test_the_maximum_over_one_direction_agrees_with_a_grid():
    """p = 2, two layers, the plane: N = 2/(3 sqrt 3) max_u |sum_i z_i s(x_i^T u)| by brute force."""
    X, z = sphere_data(30, 2, seed=3)
    s = PowerLeakyReLU(0.1, 2)
    angles = np.linspace(0, 2 * np.pi, 200_001)
    correlations = np.abs(z @ s(X @ np.array([np.cos(angles), np.sin(angles)])))
    best = maximize_ncf(X, z, widths=(2, 5, 1), activation=s, n_starts=40, rng=0).points[0]
    grid = 2 / (3 * np.sqrt(3)) * correlations.max()
    assert grid * (1 - ROUNDING) <= best.value <= grid * (1 + 1e-8)


@pytest.mark.parametrize("widths", [(5, 3, 2), (5, 4, 3, 2), (5, 2, 1)])
def test_deep_linear_networks_reach_the_spectral_norm(widths):
    """alpha = 1, p = 1: the maximum is ||X^T Z||_2 L^{-L/2}, and it is proven."""
    rng = np.random.default_rng(0)
    X, Z = rng.normal(size=(30, 5)), rng.normal(size=(30, widths[-1]))
    result = maximize_ncf(X, Z, widths=widths, activation=PowerLeakyReLU(1.0), n_starts=5, rng=0)
    depth = len(widths) - 1
    expected = np.linalg.norm(X.T @ Z, 2) * depth ** (-depth / 2)
    assert result.points[0].value == pytest.approx(expected, rel=1e-10)
    assert result.proven
    assert abs(result.points[0].second_order) <= 1e-9 * expected  # rotations of the hidden neurons


def test_quadratic_networks_reach_the_largest_eigenvalue():
    """alpha = 1, p = 2, two layers: N = 2/(3 sqrt 3) times the spectral norm of X^T diag(z) X."""
    X, z = sphere_data()
    best = maximize_ncf(X, z, widths=(4, 5, 1), activation=PowerLeakyReLU(1.0, 2), n_starts=10, rng=0).points[
        0
    ]
    expected = 2 / (3 * np.sqrt(3)) * np.linalg.norm(X.T @ (z[:, None] * X), 2)
    assert best.value == pytest.approx(expected, rel=1e-10)


@settings(max_examples=10)
@given(seed=st.integers(0, 40), alpha=st.sampled_from([-0.5, 0.0, 0.1]), m=st.sampled_from([1, 4]))
def test_two_layers_of_power_one_are_the_oracle(seed, alpha, m):
    """KH2 Lemma H.1: the maximum is h(z)/2; for other slopes, the oracle's on the rows +-X."""
    X, z = sphere_data(14, 3, seed)
    s = PowerLeakyReLU(alpha)
    result = maximize_ncf(X, z, widths=(3, m, 1), activation=s, n_starts=2, rng=0)
    best = result.points[0]
    assert result.proven
    assert best.stationarity <= STATIONARY
    # x -> s(x) = (x)_+ - alpha (-x)_+: the oracle again, on another set of rows
    rows, weights = np.vstack([X, -X]), np.concatenate([z, -alpha * z])
    exact = max(maximize_correlation(rows, sign * weights).value for sign in (1, -1)) / 2
    assert best.value == pytest.approx(exact, rel=ORACLE)
    assert result.upper_bound >= exact * (1 - ROUNDING)


def test_stationarity_at_ties_is_a_bounded_least_squares_problem():
    """Two layers, power 1: the least residual over gates in [alpha, 1], found a second way (L-BFGS-B)."""
    X, z = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -2.0], [1.0, 1.0]]), np.array([1.0, 0.4, -0.3, 0.0])
    network = FeedForward([[[1.0, 0.0]], [[1.0]]], PowerLeakyReLU(0.1)).normalized()
    w1 = network.weights[0][0]

    def residual(gates):
        slopes = np.array([1.0, *gates, 1.0])
        gradient = np.array([*(network.weights[1][0, 0] * (z * slopes) @ X), z @ np.maximum(X @ w1, 0)])
        w = np.array([*w1, network.weights[1][0, 0]])
        tangent = gradient - (gradient @ w) * w
        return float(np.linalg.norm(tangent) / np.linalg.norm(gradient))

    best = minimize(lambda g: residual(g) ** 2, [0.5, 0.5], bounds=[(0.1, 1.0)] * 2, tol=1e-15)
    assert ncf_stationarity(network, X, z) == pytest.approx(np.sqrt(best.fun), abs=1e-7)
    assert best.fun > 1e-3  # a choice of gates that does not reach zero: the bounds matter


@given(seed=st.integers(0, 100), c=st.floats(1e-3, 1e3), k=st.floats(1e-3, 1e3))
def test_stationarity_does_not_depend_on_scales(seed, c, k):
    X, z = sphere_data(10, 3, seed)
    rng = np.random.default_rng(seed)
    network = FeedForward([rng.normal(size=(4, 3)), rng.normal(size=(1, 4))], PowerLeakyReLU(0.1, 2))
    before = ncf_stationarity(network, X, z)
    assert 0 < before <= 1
    assert ncf_stationarity(network.scaled_weights(c), c * X, k * z) == pytest.approx(before, rel=1e-9)
    gradient, w = pack(network.gradient(X, z)), pack(network.weights)
    cosine = gradient @ w / np.linalg.norm(gradient) / np.linalg.norm(w)
    assert before == pytest.approx(np.sqrt(1 - cosine**2), rel=1e-9)


def test_a_layer_frozen_leaves_the_problem_of_the_others():
    """Single-layer squared ReLU with fixed output signs: the first layer alone, of degree p."""
    X, z = sphere_data()
    signs = np.array([[1.0, -1.0]])
    rng = np.random.default_rng(0)
    network = FeedForward([rng.normal(size=(2, 4)), signs], PowerLeakyReLU(0.0, 2), trainable=[True, False])
    w, gradient = pack(network.normalized().weights[:1]), pack(network.normalized().gradient(X, z)[:1])
    tangent = gradient - (gradient @ w) * w
    assert ncf_stationarity(network, X, z) == pytest.approx(
        np.linalg.norm(tangent) / np.linalg.norm(gradient)
    )


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0])
def test_the_second_order_condition_of_power_one(alpha):
    """One neuron of two: Delta = 2 lambda on a tie-preserving space that is flat; two alike: Delta = 0."""
    X, z = sphere_data()
    s = PowerLeakyReLU(alpha)
    one, two = (rank_one_kkt_point(X, z, widths=(4, k, 1), activation=s, n_active=k, rng=0) for k in (1, 2))
    assert ncf_second_order(one, X, z) >= 2 * value_of(one, X, z) * (1 - 1e-9)
    assert abs(ncf_second_order(two, X, z)) <= 1e-9 * value_of(two, X, z)


def test_a_network_without_room_to_move_has_no_second_order_condition():
    network = FeedForward([[[1.0]], [[2.0]]], PowerLeakyReLU(1.0), trainable=[True, False])
    assert ncf_second_order(network, [[1.0]], [1.0]) == np.inf


DEGENERATE = {
    "duplicates": (np.repeat([[1.0, 2.0], [-1.0, 0.5]], 3, axis=0), np.array([1.0, 2, 3, -1, -2, 1])),
    "antiparallel": (np.array([[1.0, 2.0], [-1.0, -2.0], [2.0, 4.0]]), np.array([1.0, -1.0, 0.5])),
    "zero rows": (np.array([[0.0, 0.0], [1.0, -1.0], [0.0, 0.0]]), np.array([1.0, 1.0, -2.0])),
    "rank loss": (np.outer([1.0, -2.0, 3.0], [1.0, 1.0]), np.array([1.0, 1.0, -1.0])),
    "one sample": (np.array([[3.0, 4.0]]), np.array([2.0])),
    "one feature": (np.array([[1.0], [-2.0], [0.5]]), np.array([1.0, 1.0, -1.0])),
    "integer grid": (np.array([[i, j] for i in (-1.0, 0, 1) for j in (-1.0, 0, 1)]), np.arange(9) - 3.5),
    "one sign": (np.array([[1.0, 0.2], [0.3, -1.0]]), np.array([-1.0, -2.0])),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize(
    "activation", [PowerLeakyReLU(a, p) for a in (-0.5, 0.0, 0.1, 1.0) for p in (1, 2)], ids=repr
)
def test_degenerate_data_is_the_normal_case(name, activation):
    X, z = DEGENERATE[name]
    for hidden in ((2,), (2, 2)):
        widths = (X.shape[1], *hidden, 1)
        result = maximize_ncf(X, z, widths=widths, activation=activation, n_starts=2, rng=0)
        assert result.points
        for point in result.points:
            assert point.value == pytest.approx(value_of(point.network, X, z), rel=1e-9)
            assert point.stationarity <= STATIONARY
        assert result.upper_bound >= result.points[0].value * (1 - ROUNDING)


@pytest.mark.parametrize(
    ("X", "z"),
    [(np.zeros((3, 2)), np.ones(3)), (np.eye(3), np.zeros(3)), (np.array([[1.0], [-1.0]]), np.ones(2))],
)
@pytest.mark.parametrize("power", [1, 3])
def test_a_function_that_is_zero_has_no_positive_points(X, z, power):
    """Zero rows, zero weights, antipodes that cancel (alpha = 1, odd powers): every start reaches 0."""
    s = PowerLeakyReLU(1.0, power)
    result = maximize_ncf(X, z, widths=(X.shape[1], 2, 1), activation=s, n_starts=2, rng=0)
    assert not result.points
    assert not result.proven
    assert result.n_reached_zero == result.n_starts


def test_starts_that_die_are_counted():
    """One neuron, one sample, ReLU: N > 0 needs x^T u > 0 and v > 0; half a dead start has z v < 0."""
    result = maximize_ncf(
        [[1.0]], [1.0], widths=(1, 1, 1), activation=PowerLeakyReLU(0.0, 2), n_starts=200, rng=0
    )
    (point,) = result.points
    assert 0 < result.n_reached_zero < 200
    assert point.multiplicity == 200 - result.n_reached_zero
    assert point.share_low < point.share < point.share_high
    assert point.value == pytest.approx(2 / (3 * np.sqrt(3)), rel=ROUNDING)
    assert "reached 0" in str(result)


def test_symmetric_copies_are_one_point():
    """Permutations of neurons, and signs for even powers of x: one value and one function, one point."""
    X, z = np.eye(2), np.array([2.0, 1.0])
    result = maximize_ncf(X, z, widths=(2, 4, 1), activation=PowerLeakyReLU(1.0, 2), n_starts=20, rng=0)
    assert len({round(p.value, 6) for p in result.points}) == len(result.points)
    assert result.points[0].multiplicity > 10


def test_the_seed_decides():
    X, z = sphere_data()
    for s in (PowerLeakyReLU(0.0, 2), PowerLeakyReLU(0.1)):
        runs = [maximize_ncf(X, z, widths=(4, 3, 1), activation=s, n_starts=3, rng=7) for _ in range(2)]
        assert [p.value for p in runs[0].points] == [p.value for p in runs[1].points]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": Tanh()}, "homogeneous activation is needed"),
        ({"widths": (3, 2, 1)}, "begin with the 4 columns"),
        ({"widths": (4, 1)}, "at least one hidden layer"),
        ({"widths": (4, 0, 1)}, "at least 1"),
        ({"widths": (4, 2, 3)}, "z must have shape"),
        ({"z": np.ones(5)}, "z must have shape"),
        ({"z": np.full(40, np.nan)}, "must be finite"),
        ({"X": np.full((40, 4), np.inf)}, "must be finite"),
        ({"X": np.ones(4)}, "must be a matrix"),
        ({"n_starts": 0}, "n_starts"),
        ({"time_limit": -1.0}, "time_limit"),
        (
            {"X": 1e200 * np.ones((40, 4)), "widths": (4, 2, 2, 1), "activation": PowerLeakyReLU(0.0, 2)},
            "rescale",
        ),
    ],
)
def test_bad_input_is_refused(change, message):
    X, z = sphere_data()
    given_ = {"X": X, "z": z, "widths": (4, 2, 1), "activation": PowerLeakyReLU(), **change}
    with pytest.raises(InvalidInputError, match=message):
        maximize_ncf(given_.pop("X"), given_.pop("z"), **given_)


def test_stationarity_refuses_what_it_cannot_judge():
    X, z = sphere_data()
    network = FeedForward([np.ones((2, 4)), np.ones((1, 2))], Tanh())
    with pytest.raises(InvalidInputError, match="homogeneous"):
        ncf_stationarity(network, X, z)
    zero = FeedForward([np.zeros((2, 4)), np.zeros((1, 2))])
    with pytest.raises(InvalidInputError, match="no direction"):
        ncf_stationarity(zero, X, z)
    with pytest.raises(InvalidInputError, match="tie_tol"):
        ncf_stationarity(FeedForward(network.weights), X, z, tie_tol=-1.0)
