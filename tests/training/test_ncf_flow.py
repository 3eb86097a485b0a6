import signal
import threading
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import expm
from tolerances import ROUNDING

from convexrelu.errors import InvalidInputError
from convexrelu.ncf import maximize_ncf, ncf_stationarity
from convexrelu.networks import FeedForward, PowerLeakyReLU, Tanh, forward, pack
from convexrelu.training import alignment_flow, ncf_flow

FLOW = 1e-7  # the Runge-Kutta method's error a step is 1e-9; some tens of steps, and growth, are behind
LINEAR, ABSOLUTE = PowerLeakyReLU(1.0), PowerLeakyReLU(-1.0)


def random_network(widths, activation, rng, trainable=None):
    layers = [rng.normal(size=(k, j)) for j, k in pairwise(widths)]
    return FeedForward(layers, activation, trainable=trainable).normalized()


def sphere_data(n, d, rng):
    X = rng.normal(size=(n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True), rng.normal(size=n)


def weights_along(flow):
    """All weights of each recorded point, w = r u (everything trainable)."""
    return np.exp(flow.log_norm)[:, None] * pack(flow.directions)


def test_blow_up_of_equal_weights_in_closed_form():
    # w' = w^2 for three equal weights: 1/w is linear in t and the norm is infinite at t = 1/w_0
    for start in (0.25, 1.0, 40.0):
        flow = ncf_flow(FeedForward([[[start]]] * 3, LINEAR), [[1.0]], [1.0])
        assert flow.status == "kkt_point"
        low, high = flow.blow_up
        assert low <= high <= low * (1 + 1e-8)
        assert high == pytest.approx(1 / start, rel=FLOW)
        early = flow.times < 0.9 / start
        np.testing.assert_allclose(
            weights_along(flow)[early][:, 0], 1 / (1 / start - flow.times[early]), rtol=FLOW
        )


def test_every_point_bounds_the_blow_up_time():
    # K-deep Lemma 2 and the bound t + r^{-(L-2)}/((L-2) L N(u)), which holds all along and falls to T
    rng = np.random.default_rng(0)
    X, z = sphere_data(30, 4, rng)
    flow = ncf_flow(random_network((4, 5, 3, 1), LINEAR, rng), X, z)
    end = flow.blow_up[1]
    on = flow.value > 0
    bounds = flow.times[on] + np.exp(-flow.log_norm[on]) / (3 * flow.value[on])
    assert (flow.times <= end * (1 + FLOW)).all()
    assert (bounds >= end * (1 - FLOW)).all()
    assert (np.diff(bounds) <= FLOW * end).all()
    # ||w|| grows at least like kappa / (T - t)^{1/(L-2)} (proof of K-deep Lemma 2)
    product = np.exp(flow.log_norm) * (end - flow.times)
    reliable = (end - flow.times > 1e-5 * end) & on
    assert product[reliable].min() > 0.1 / (3 * flow.value[-1])


def test_two_homogeneous_flow_lives_for_ever():
    rng = np.random.default_rng(1)
    X, z = sphere_data(10, 3, rng)
    flow = ncf_flow(random_network((3, 2, 1), LINEAR, rng), X, z)
    assert flow.blow_up[1] == np.inf
    np.testing.assert_allclose(flow.times, flow.s, rtol=ROUNDING)


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.3, 1.0])
def test_g1_symmetric_data_and_squared_relu(alpha):
    # KH2 G.1 with labels (x, y), (-x, +y): N = u^T M u, M = (1 + a^2) sum y x x^T, and u(t) = exp(2 M t) u_0
    rng = np.random.default_rng(2)
    half, labels = rng.normal(size=(6, 3)), rng.normal(size=6)
    X, z = np.r_[half, -half], np.r_[labels, labels]
    start = random_network((3, 1, 1), PowerLeakyReLU(alpha, 2), rng, trainable=[True, False])
    start = FeedForward([start.weights[0], [[1.0]]], start.activation, trainable=[True, False])
    M = (1 + alpha**2) * half.T @ np.diag(labels) @ half
    values, vectors = np.linalg.eigh(M)
    flow = ncf_flow(start, X, z)
    assert flow.status == "kkt_point"
    top = flow.limit.weights[0][0]
    assert abs(top @ vectors[:, -1]) == pytest.approx(1.0, abs=1e-12)
    assert flow.value[-1] == pytest.approx(values[-1], rel=1e-10)
    for index in range(0, len(flow), 7):
        exact = expm(2 * M * flow.times[index]) @ start.weights[0][0]
        np.testing.assert_allclose(
            np.exp(flow.log_norm[index]) * flow.directions[0][index, 0], exact, rtol=FLOW, atol=FLOW
        )


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.5])
def test_g2_symmetric_data_and_relu(alpha):
    # KH2 G.2: N = (1 + a) v q^T u; KKT points v^2 = 1/2, u = +-q/(sqrt 2 ||q||); the flow is hyperbolic
    rng = np.random.default_rng(3)
    half, labels = rng.normal(size=(5, 3)), rng.normal(size=5)
    X, z = np.r_[half, -half], np.r_[labels, -labels]
    q = (1 + alpha) * half.T @ labels
    start = random_network((3, 1, 1), PowerLeakyReLU(alpha), rng)
    flow = ncf_flow(start, X, z)
    assert flow.status == "kkt_point"
    u, v = flow.limit.weights[0][0], flow.limit.weights[1][0, 0]
    assert v**2 == pytest.approx(0.5, abs=1e-8)
    np.testing.assert_allclose(u, np.sign(v) * q / (np.sqrt(2) * np.linalg.norm(q)), atol=1e-6)
    assert flow.value[-1] == pytest.approx(np.linalg.norm(q) / 2, rel=1e-8)
    generator = np.zeros((4, 4))
    generator[0, 1:] = generator[1:, 0] = q
    w0 = np.r_[start.weights[1][0], start.weights[0][0]]
    for index in range(0, len(flow), 5):
        exact = expm(flow.times[index] * generator) @ w0
        exact /= np.linalg.norm(exact)
        got = np.r_[flow.directions[1][index, 0], flow.directions[0][index, 0]]
        assert got @ exact > 1 - 1e-5  # fixed steps of 1e-3


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("height", [1e-3, 1e-6])
def test_e_the_flow_of_u1_abs_u2_branches(side, height):
    # KH2 appendix E: from (1, +-h) the solution is hyperbolic, u_1^2 - u_2^2 = 1 - h^2, towards
    # (1, +-1)/sqrt 2, whatever small h
    flow = ncf_flow(FeedForward([[[side * height]], [[1.0]]], ABSOLUTE), [[1.0]], [1.0])
    np.testing.assert_allclose(pack(flow.limit.weights), np.array([side, 1.0]) / np.sqrt(2), atol=1e-6)
    w = weights_along(flow)[np.exp(flow.log_norm) < 100]
    np.testing.assert_allclose(w[:, 1] ** 2 - w[:, 0] ** 2, 1 - height**2, atol=2e-2)
    exact = side * (height * np.cosh(flow.times) + np.sinh(flow.times))[: len(w)]
    np.testing.assert_allclose(w[:, 0], exact, rtol=1e-2, atol=1e-2)


def test_e_other_starts():
    # KH2 Lemma E.2: u_1 < 0 and |u_2| <= |u_1| ends on the axis u_2 = 0 or at the origin
    at_the_branch = ncf_flow(FeedForward([[[0.0]], [[1.0]]], ABSOLUTE), [[1.0]], [1.0])
    np.testing.assert_allclose(pack(at_the_branch.limit.weights), np.array([-1, 1]) / np.sqrt(2), atol=1e-6)
    axis = ncf_flow(FeedForward([[[0.5]], [[-1.0]]], ABSOLUTE), [[1.0]], [1.0])
    assert axis.status == "zero"
    np.testing.assert_allclose(pack(axis.limit.weights), [0.0, -1.0], atol=5e-3)
    assert np.exp(axis.log_norm[-1]) == pytest.approx(np.sqrt(0.75), abs=1e-2)  # u_1^2 - u_2^2 is conserved
    assert ncf_flow(FeedForward([[[0.5]], [[-0.5]]], ABSOLUTE), [[1.0]], [1.0]).status == "origin"


@pytest.mark.parametrize(
    ("widths", "activation"),
    [
        ((4, 3, 1), PowerLeakyReLU(0.0, 2)),
        ((4, 3, 3, 1), LINEAR),
        ((4, 3, 2, 1), PowerLeakyReLU(0.1, 2)),
        ((4, 3, 1), PowerLeakyReLU(1.0, 3)),
        ((4, 3, 2), PowerLeakyReLU(0.0, 2)),
    ],
)
def test_smooth_flows_end_at_non_negative_kkt_points(widths, activation):
    # KH2 Lemma 5.3, K-deep Lemma 2; N(u) never falls, and log r grows at the pace L N(u)
    rng = np.random.default_rng(4)
    X = sphere_data(20, 4, rng)[0]
    z = rng.normal(size=(20, widths[-1]))
    for _ in range(2):
        flow = ncf_flow(random_network(widths, activation, rng), X, z, tol=1e-6)
        assert flow.status == "kkt_point"
        assert ncf_stationarity(flow.limit, X, z) < 1.1e-6
        assert flow.alignment[-1] == pytest.approx(1.0, abs=1e-11)
        assert (np.diff(flow.value) > -1e-9 * flow.value[-1]).all()
        gained = flow.network.degree * np.trapezoid(flow.value, flow.s)
        assert flow.log_norm[-1] - flow.log_norm[0] == pytest.approx(gained, rel=0.02)


@pytest.mark.parametrize("widths", [(3, 2, 1), (3, 2, 2, 1)])
def test_flows_over_kinks_end_at_clarke_kkt_points(widths):
    rng = np.random.default_rng(5)
    X, z = sphere_data(12, 3, rng)
    settled = []
    for _ in range(3):
        flow = ncf_flow(random_network(widths, PowerLeakyReLU(0.1), rng), X, z, step=1e-3)
        if flow.status == "kkt_point":
            settled.append(flow.stationarity)
    assert len(settled) >= 2
    assert max(settled) < 1e-2


def test_a_relu_neuron_ends_at_a_maximum_the_oracle_knows():
    # one neuron, L = 2: the limit's value is at most the oracle's h(z)/2, and some start reaches it
    rng = np.random.default_rng(6)
    X, z = sphere_data(10, 2, rng)
    result = maximize_ncf(X, z, widths=(2, 1, 1), activation=PowerLeakyReLU(), n_starts=20, rng=0)
    assert result.proven
    values = [ncf_flow(random_network((2, 1, 1), PowerLeakyReLU(), rng), X, z).value[-1] for _ in range(12)]
    best = result.points[0].value
    assert max(values) <= best * (1 + 1e-9)
    assert max(values) == pytest.approx(best, rel=1e-3)


def test_scaled_neurons_follow_the_exact_early_phase():
    # the closed-form flow with frozen loss weights y/2 is this flow of one scaled neuron
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(8, 3)), np.where(rng.random(8) < 0.5, 1.0, -1.0)
    u = rng.normal(size=3)
    u /= np.linalg.norm(u)
    flow = ncf_flow(FeedForward([[u], [[1.0]]]), X, 0.5 * y, step=1e-4, max_steps=300_000)
    for index in range(5, len(flow), 20):
        exact = alignment_flow(X, y, [u], t_max=flow.times[index])
        reached = flow.directions[0][index, 0]
        assert reached @ exact.directions[0] > (1 - 1e-6) * np.linalg.norm(reached)
        assert flow.log_norm[index] - flow.log_norm[0] == pytest.approx(exact.log_growth[0], abs=1e-2)


def test_the_path_scales_with_the_start_and_the_data():
    # w(t) from c w_0 is c times the path from w_0 at c^{L-2} t; z times k runs k times as fast
    rng = np.random.default_rng(8)
    X, z = sphere_data(15, 3, rng)
    start = random_network((3, 2, 1), PowerLeakyReLU(1.0, 2), rng)
    one, large, fast = (
        ncf_flow(start, X, z),
        ncf_flow(start.scaled_weights(5.0), X, z),
        ncf_flow(start, X, 3 * z),
    )
    assert large.blow_up[1] == pytest.approx(one.blow_up[1] / 5, rel=FLOW)
    assert fast.blow_up[1] == pytest.approx(one.blow_up[1] / 3, rel=FLOW)
    np.testing.assert_allclose(pack(large.limit.weights), pack(one.limit.weights), atol=1e-6)


def test_frozen_layers_keep_their_weights():
    rng = np.random.default_rng(9)
    X, z = sphere_data(15, 2, rng)
    start = FeedForward(
        [rng.normal(size=(4, 2)), 2.0 * np.ones((1, 4))], PowerLeakyReLU(0.0, 2), trainable=[True, False]
    )
    flow = ncf_flow(start, X, z, max_steps=100)
    assert (flow.directions[1] == 2.0).all()
    np.testing.assert_allclose(np.linalg.norm(flow.directions[0], axis=(1, 2)), 1.0, atol=1e-9)
    run = forward([U[-1] for U in flow.directions], start.activation, X)
    assert flow.value[-1] == pytest.approx(z @ run.outputs[:, 0], rel=ROUNDING)


@pytest.mark.parametrize("activation", [PowerLeakyReLU(0.0, 2), PowerLeakyReLU()])
def test_dead_networks_do_not_move(activation):
    dead = FeedForward([[[-1.0, 0.0]], [[1.0]]], activation)
    flow = ncf_flow(dead, [[1.0, 0.0], [2.0, 0.0]], [1.0, -1.0])
    assert flow.status == "zero"
    np.testing.assert_array_equal(pack(flow.limit.weights), pack(dead.normalized().weights))
    assert flow.value[-1] == 0.0


def test_a_negative_kkt_point_leads_to_the_origin():
    flow = ncf_flow(FeedForward([[[1.0]], [[-1.0]]], LINEAR), [[1.0]], [1.0])
    assert flow.status == "origin"
    deep = ncf_flow(FeedForward([[[1.0]], [[1.0]], [[-1.0]]], LINEAR), [[1.0]], [1.0])
    assert deep.status == "origin"
    assert deep.blow_up[1] == np.inf


@pytest.mark.parametrize("activation", [PowerLeakyReLU(0.0, 2), PowerLeakyReLU()])
def test_limits_and_interrupts_return_what_there_is(activation):
    rng = np.random.default_rng(10)
    X, z = sphere_data(200, 10, rng)
    start = random_network((10, 30, 1), activation, rng)
    few = ncf_flow(start, X, z, max_steps=3)
    assert few.status == "max_steps"
    assert len(few) >= 2
    late = ncf_flow(start, X, z, time_limit=1e-9)
    assert late.status == "time_limit"
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    cut = ncf_flow(start, X, z, tol=1e-300, rtol=1e-12, step=1e-6, max_steps=10**9)
    timer.join()
    assert cut.status == "interrupted"
    assert len(cut.times) == len(cut.directions[0])


def test_the_printed_form_says_where_it_went():
    flow = ncf_flow(FeedForward([[[0.5]]] * 3, LINEAR), [[1.0]], [1.0])
    assert "kkt_point" in str(flow)
    assert "blows up at t in" in str(flow)
    assert f"<NCFFlow of {len(flow)} points" in repr(flow)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": FeedForward([[[1.0]], [[1.0]]], Tanh())}, "homogeneous"),
        ({"network": FeedForward([[[0.0]], [[0.0]]])}, "not all zero"),
        ({"X": [[1.0, 2.0]]}, "1 columns"),
        ({"z": [1.0, 2.0]}, "shape"),
        ({"z": [np.inf]}, "finite"),
        ({"tol": 0.0}, "tol"),
        ({"step": -1.0}, "step"),
        ({"max_steps": 0}, "max_steps"),
        ({"time_limit": 0.0}, "time_limit"),
    ],
)
def test_bad_input_is_refused(change, message):
    given = {"network": FeedForward([[[1.0]], [[1.0]]]), "X": [[1.0]], "z": [1.0]} | change
    with pytest.raises(InvalidInputError, match=message):
        ncf_flow(given.pop("network"), given.pop("X"), given.pop("z"), **given)


def test_a_flow_does_not_hover_at_the_limit_of_stability():
    """Squared activities: without shorter steps the sine stays at 1.6e-8 for thousands of steps."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(100, 20))
    X /= np.linalg.norm(X, axis=1)[:, None]
    activation = PowerLeakyReLU(1.0, 2)
    y, start = (FeedForward([rng.normal(size=(m, 20)), rng.normal(size=(1, m))], activation) for m in (2, 50))
    flow = ncf_flow(start, X, y(X))
    assert flow.status == "kkt_point"
    assert len(flow) < 1000
