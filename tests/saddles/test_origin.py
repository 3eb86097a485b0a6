from itertools import pairwise

import numpy as np
import pytest
from tolerances import ROUNDING

from convexrelu.errors import InvalidInputError
from convexrelu.ncf import ncf_stationarity
from convexrelu.networks import FeedForward, PowerLeakyReLU, pack
from convexrelu.saddles import compare_with_ncf_flow, non_branching_set
from convexrelu.training import alignment_flow, gradient_descent, ncf_flow

LINEAR = PowerLeakyReLU(1.0)


def random_network(widths, activation, seed):
    rng = np.random.default_rng(seed)
    return FeedForward([rng.normal(size=(k, j)) for j, k in pairwise(widths)], activation)


def sphere_data(n, d, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True), rng.normal(size=n)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("loss", ["square", "logistic"])
def test_differences_fall_like_delta_to_the_degree(depth, loss):
    # KH2 Lemma 5.2 and K-deep eq. (7): w(t / delta^{L-2}) / delta differs from u(t) by the term delta^L H,
    # for the square loss exactly, for the logistic to first order (l'' = 1/4 at 0)
    X, y = sphere_data(12, 3, depth)
    y = np.where(y > 0, 1.0, -1.0) if loss == "logistic" else y
    start = random_network((3, *(2,) * (depth - 1), 1), LINEAR, depth + 10)
    compared = compare_with_ncf_flow(start, X, y, loss=loss, n_times=10)
    assert compared.method == "flow"
    assert compared.degree == depth
    assert compared.rate == pytest.approx(depth, abs=0.1)
    assert (compared.growth * compared.deltas <= 0.25).all()
    # the direction at the end, and its limit for delta -> 0
    assert compared.distances[-1, -1] <= 1.1e-2
    np.testing.assert_allclose(compared.distances[-1], compared.distances[-2], atol=1e-2)


def test_rates_for_squared_relu():
    X, y = sphere_data(8, 2, 1)
    compared = compare_with_ncf_flow(random_network((2, 1, 1), PowerLeakyReLU(0.1, 2), 5), X, y, n_times=5)
    assert compared.degree == 3
    assert compared.rate == pytest.approx(3, abs=0.2)


def test_rates_for_relu_by_steps():
    # no theorem for L > 2 (K-deep appendix D): the same steps are compared, so the step's own error cancels
    X, y = sphere_data(15, 3, 2)
    compared = compare_with_ncf_flow(
        random_network((3, 1, 1), PowerLeakyReLU(0.2), 5), X, y, n_times=10, deltas=[1e-2, 1e-3, 1e-4]
    )
    assert compared.method == "descent"
    assert compared.rate == pytest.approx(2, abs=0.3)


def test_scaled_path_of_equal_weights_solves_eq_7():
    # w_l = a for all l: a' = a^2 (y - a^3) in time, so v = a/delta has v' = v^2 (y - delta^3 v^3)
    from scipy.integrate import solve_ivp

    start = FeedForward([[[1.0]]] * 3, LINEAR)
    compared = compare_with_ncf_flow(start, [[1.0]], [2.0], deltas=[0.3, 0.1])
    for delta, path in zip(compared.deltas, compared.scaled, strict=True):
        exact = solve_ivp(
            lambda _t, v, delta=delta: v**2 * (2.0 - delta**3 * v**3),
            (0.0, compared.times[-1]),
            [3**-0.5],
            t_eval=compared.times,
            rtol=1e-11,
            atol=1e-13,
        )
        np.testing.assert_allclose(path, np.repeat(exact.y.T, 3, axis=1), rtol=1e-7)
    u = 1 / (3**0.5 - 2 * compared.times)
    np.testing.assert_allclose(compared.reference[:, 0], u, rtol=1e-7)


@pytest.mark.parametrize(("depth", "growth"), [(2, 1.0), (3, 10.0), (4, 100.0)])
def test_the_time_scale_of_training_is_delta_to_the_minus_degree_plus_two(depth, growth):
    # K-deep section 4.1: from a tenth of delta the same alignment takes 10^{L-2} times as long
    X, y = sphere_data(10, 3, 7)
    y = np.abs(y)
    start = random_network((3, *(2,) * (depth - 1), 1), LINEAR, 3).normalized()
    if y @ start(X) < 0:
        start = start.with_weights([*start.weights[:-1], -start.weights[-1]])
    flow = ncf_flow(start, X, y)
    goal = flow.limit
    steps = []
    for delta in (1e-3, 1e-4):
        path = gradient_descent(
            X,
            y,
            start.scaled_weights(delta),
            step_size=2e-3 * delta ** (2 - depth),
            n_steps=40_000,
            reduction="sum",
            record=np.arange(0, 40_001, 10),
            loss="square",
        )
        cosines = path.vectors @ pack(goal.weights) / path.norm
        near = np.flatnonzero(cosines > 0.98)
        assert len(near)
        steps.append(path.times[near[0]] * 2e-3 * delta ** (2 - depth))
    assert steps[1] / steps[0] == pytest.approx(growth, rel=0.02)


def test_bad_comparisons_are_refused():
    X, y = sphere_data(6, 2, 0)
    start = random_network((2, 2, 1), LINEAR, 0)
    with pytest.raises(InvalidInputError, match="at least two"):
        compare_with_ncf_flow(start, X, y, deltas=[0.1])
    with pytest.raises(InvalidInputError, match="at least two"):
        compare_with_ncf_flow(start, X, y, deltas=[0.1, -0.1])
    with pytest.raises(InvalidInputError, match="settles at a KKT point"):
        compare_with_ncf_flow(FeedForward([[[1.0]], [[-1.0]]], LINEAR), [[1.0]], [1.0])
    with pytest.raises(InvalidInputError, match="epsilon"):
        compare_with_ncf_flow(start, X, y, epsilon=0.0)


def test_the_printed_form_lists_the_ladder():
    compared = compare_with_ncf_flow(FeedForward([[[1.0]]] * 3, LINEAR), [[1.0]], [2.0], deltas=[0.3, 0.1])
    assert "L = 3" in str(compared)
    assert str(compared).count("max ||w/delta - u||") == 2


def kkt_point_of_one_neuron(seed, alpha):
    """A KKT point of v z^T s(X u) off all hyperplanes: u along the pull of its own cell, |v| = ||u||."""
    rng = np.random.default_rng(seed)
    while True:
        X, y = rng.normal(size=(6, 2)), np.where(rng.random(6) < 0.5, 1.0, -1.0)
        for u in alignment_flow(X, y, rng.normal(size=(10, 2))).limits:
            heights = X @ u
            pull = X.T @ (np.where(heights > 0, 1.0, alpha) * y)
            aligned = pull @ u > (1 - 1e-9) * np.linalg.norm(pull)
            if alpha == 0.0 and aligned and np.abs(heights).min() > 0.05:
                return X, y, FeedForward([[u], [[1.0]]], PowerLeakyReLU(alpha)).normalized()


@pytest.mark.parametrize("seed", range(4))
def test_lemma_5_4_starts_keep_all_signs_and_reach_the_kkt_point(seed):
    X, z, point = kkt_point_of_one_neuron(seed, 0.0)
    assert ncf_stationarity(point, X, z) < 1e-8
    inside = non_branching_set(point, X, z)
    rng = np.random.default_rng(seed)
    signs = np.sign(X @ inside.u)
    for _ in range(5):
        shift = rng.normal(size=2)
        u = inside.u + 0.999 * inside.radius * shift / np.linalg.norm(shift)
        v = 1.01 * np.linalg.norm(u)
        assert inside.contains(v, u)
        assert not inside.contains(-v, u)
        assert not inside.contains(0.99 * np.linalg.norm(u), u)
        flow = ncf_flow(FeedForward([[u], [[v]]], point.activation), X, z)
        along = flow.directions[0][:, 0] @ X.T
        assert (np.sign(along) == signs).all()
        # u(t) = u(0) + a u_*, as in the proof: the part orthogonal to u_* is constant
        across = np.array([-inside.u[1], inside.u[0]])
        weights = np.exp(flow.log_norm)[:, None] * flow.directions[0][:, 0]
        np.testing.assert_allclose(weights @ across, u @ across, atol=1e-9 * np.exp(flow.log_norm).max())
        assert pack(flow.limit.weights) @ pack(point.weights) > 1 - 1e-6
    outside = inside.u + 1.01 * inside.radius * across / np.linalg.norm(across)
    assert not inside.contains(9.0, outside)


def test_radius_of_the_non_branching_set():
    point = FeedForward([[[3.0, 4.0]], [[5.0]]])
    found = non_branching_set(point, [[3.0, 4.0]], [2.0])
    assert found.v == pytest.approx(0.5**0.5, rel=ROUNDING)
    assert found.radius == pytest.approx(5 / 50**0.5 / 2, rel=ROUNDING)


@pytest.mark.parametrize(
    ("network", "X", "z", "message"),
    [
        (FeedForward([[[1.0], [1.0]], [[1.0, 1.0]]]), [[1.0]], [1.0], "one hidden neuron"),
        (FeedForward([[[1.0]], [[1.0]]], PowerLeakyReLU(0.0, 2)), [[1.0]], [1.0], "power 1"),
        (
            FeedForward([[[1.0, 0.0]], [[1.0]]]),
            [[1.0, 0.0], [0.0, 1.0]],
            [1.0, 1.0],
            "pre-activation of zero",
        ),
        (FeedForward([[[2.0]], [[1.0]]]), [[1.0]], [1.0], "KKT point"),
        (FeedForward([[[1.0]], [[-1.0]]]), [[1.0]], [1.0], "positive value"),
    ],
)
def test_what_lemma_5_4_does_not_cover_is_refused(network, X, z, message):
    with pytest.raises(InvalidInputError, match=message):
        non_branching_set(network, X, z)
