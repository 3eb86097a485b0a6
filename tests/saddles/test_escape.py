"""KH-beyond: Example 1 in closed form, escape times (Theorems 4 and 10), sparsity after it (Theorem 18)."""

# ruff: noqa: ARG005  (the calls with bad input share one signature)

from itertools import pairwise

import numpy as np
import pytest
from tolerances import ESCAPE_TIME, FLOW_CLOSED_FORM, RATE

import convexrelu as cr
from convexrelu.networks import GELU, FeedForward, PowerLeakyReLU, Tanh
from convexrelu.saddles import (
    escape_ladder,
    first_escape,
    limiting_path,
    predicted_escape_time,
    relative_size,
    stable_set_ladder,
)
from convexrelu.training import gradient_descent, gradient_flow

SQUARES = PowerLeakyReLU(1.0, 2)
ROOT_2 = np.sqrt(2.0)


def example_1(w):
    """Squares with frozen outputs sqrt 2, targets sqrt 2 (4, 1): loss (w1^2-4)^2 + (w2^2-1)^2."""
    return FeedForward([np.diag(w), [[ROOT_2, ROOT_2]]], SQUARES, trainable=[np.eye(2), False])


TARGETS = ROOT_2 * np.array([4.0, 1.0])


def psi(t, delta):
    return np.stack(
        [
            2 * delta / np.sqrt(delta**2 + (8 - delta**2) * np.exp(-32 * t)),
            delta / np.sqrt(delta**2 + (2 - delta**2) * np.exp(-8 * t)),
        ],
        axis=1,
    )


def sphere_data(widths, activation, seed, n=100):
    """Points of the unit sphere with the values of a small random teacher, scaled to mean square one."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, widths[0]))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = random_network(widths, activation, rng)(X)
    return X, y / np.sqrt(np.mean(y**2)), rng


def random_network(widths, activation, rng):
    return FeedForward([rng.normal(size=(k, j)) for j, k in pairwise(widths)], activation)


@pytest.mark.parametrize("delta", [0.1, 0.05, 1e-3, 1e-6])
@pytest.mark.parametrize("method", ["lsoda", "dop853"])
def test_example_1_is_the_closed_form(delta, method):
    """KH-beyond Example 1: psi(t, delta w_0)."""
    times = np.linspace(0.0, 3.0, 31)
    path = gradient_flow(
        np.eye(2),
        TARGETS,
        example_1(np.full(2, delta / ROOT_2)),
        t_max=3.0,
        reduction="sum",
        rtol=1e-11,
        record=times,
        method=method,
        loss="square",
    )
    assert path.status == "finished"
    assert np.array_equal(path.times, times)
    w = path.weights[0][:, [0, 1], [0, 1]]
    assert np.abs(w - psi(times, delta)).max() < FLOW_CLOSED_FORM
    assert np.allclose(path.loss, (w[:, 0] ** 2 - 4) ** 2 + (w[:, 1] ** 2 - 1) ** 2)


def test_example_1_limiting_path():
    """KH-beyond Example 1: p(t) = (2/sqrt(1 + 4 e^{-32t}), 0), reached like delta^2."""
    ladder = escape_ladder(
        example_1([1.0, 0.0]), np.eye(2), TARGETS, scales=(0.1, 0.01, 1e-3), reduction="sum"
    )
    path = ladder.path
    assert path.value == pytest.approx(8.0, rel=1e-14)
    assert path.degree == 2
    p = 2 / np.sqrt(1 + 4 * np.exp(-32 * path.times))
    assert (
        np.abs(path.trajectory.weights[0][:, 0, 0] - p).max() < 1e-7
    )  # the reference starts at 1e-4: its square
    assert not path.trajectory.weights[0][:, 1, 1].any()
    closed = np.abs(2 / np.sqrt(5 - ladder.scales**2) - 2 / np.sqrt(5))
    assert np.allclose(ladder.distances, closed, rtol=0.03)
    assert ladder.rate == pytest.approx(2.0, abs=RATE)
    assert "delta^2.0" in str(ladder)


@pytest.mark.parametrize(
    ("activation", "widths"),
    [
        (PowerLeakyReLU(1.0), (5, 4, 1)),
        (PowerLeakyReLU(0.0, 2), (5, 6, 1)),
        (PowerLeakyReLU(1.0), (5, 4, 4, 1)),
    ],
    ids=["L=2", "L=3 squared ReLU", "L=3 linear"],
)
def test_escape_times(activation, widths):
    """KH-beyond Theorems 4 and 10: from w_*, within 1 % for delta <= 1e-3, the limit reached like delta^2."""
    X, y, _ = sphere_data((5, 3, *widths[2:]), activation, seed=1, n=40)
    kkt = cr.maximize_ncf(X, y, widths=widths, activation=activation, n_starts=4, rng=0).points[0]
    ladder = escape_ladder(kkt.network, X, y, scales=(0.1, 0.01, 1e-3))
    assert ladder.path.value == pytest.approx(kkt.value / len(X), rel=1e-9)
    assert np.abs(ladder.errors[-1]) < ESCAPE_TIME
    assert ladder.rate == pytest.approx(2.0, abs=RATE)
    loss = ladder.path.trajectory.loss
    assert (np.diff(loss) <= 1e-12).all()  # loss falls along a flow
    assert loss[-1] < loss[0]


def test_escape_from_the_stable_set_follows_the_limiting_path():
    """KH-beyond Corollary 5: from a random direction the flow passes near the saddle where p(t) ends."""
    X, y, rng = sphere_data((20, 2, 1), SQUARES, seed=0)
    start = random_network((20, 50, 1), SQUARES, rng).normalized()
    run = gradient_flow(
        X,
        y,
        start.scaled_weights(1e-3),
        t_max=1e9,
        rtol=1e-7,
        stop_gradient=1e-4,
        loss="square",
        reduction="mean",
    )
    escape = first_escape(run)
    before = run.network_at(escape.before)
    kept = np.flatnonzero(np.abs(before.weights[1][0]) == np.abs(before.weights[1][0]).max())
    kkt = cr.maximize_ncf(X, y, widths=(20, 1, 1), activation=SQUARES, n_starts=10, rng=0)
    ends = [limiting_path(point.network, X, y).trajectory.loss[-1] for point in kkt.points]
    assert len(kept) == 1
    assert min(abs(escape.saddle.loss - end) for end in ends) < 1e-3 * run.loss[0]


@pytest.mark.parametrize("seed", [0, 3])
def test_zero_set_is_preserved(seed):
    """KH-beyond Theorem 18: what is zero at the KKT point stays below 1 % up to the first saddle."""
    from convexrelu.training import ncf_flow

    X, y, rng = sphere_data((20, 2, 1), SQUARES, seed=seed)
    start = random_network((20, 50, 1), SQUARES, rng).normalized()
    kkt = ncf_flow(start, X, y, time_limit=20.0).limit
    zero = kkt.zero_preserving_set(1e-3)
    assert len(zero[0]) == 49
    run = gradient_flow(
        X,
        y,
        start.scaled_weights(1e-3),
        t_max=1e9,
        rtol=1e-7,
        stop_gradient=1e-4,
        loss="square",
        reduction="mean",
    )
    escape = first_escape(run)
    assert relative_size(run.network_at(escape.saddle.index), zero) < 0.01
    assert set(zero[0]) == set(escape.small[0])
    assert escape.size_at_saddle < escape.size_before
    assert escape.saddle.n_active == (1,)


def test_zero_preserving_set_stays_exactly_zero():
    """KH-beyond Lemma 16, also for activations that are not homogeneous."""
    for activation in (SQUARES, Tanh(), GELU()):
        X, y, rng = sphere_data((4, 3, 2, 1), activation, seed=2, n=20)
        network = random_network((4, 5, 4, 1), activation, rng)
        layers = [np.array(W) for W in network.weights]
        for layer, j in ((0, 1), (0, 4), (1, 2)):
            layers[layer][j] = 0.0
            layers[layer + 1][:, j] = 0.0
        run = gradient_flow(X, y, network.with_weights(layers), t_max=5.0, loss="square", reduction="mean")
        last = run.network_at(-1)
        assert [list(s) for s in last.zero_preserving_set(0.0)] == [[1, 4], [2]]
        assert run.loss[-1] < run.loss[0]


def test_dead_neuron_never_escapes():
    """KH-beyond Lemma 33: a squared ReLU that is inactive on all data does not move."""
    squared_relu = PowerLeakyReLU(0.0, 2)
    dead = FeedForward([[[-1.0, -1.0]], [[1.0]]], squared_relu)
    run = gradient_flow(
        [[1.0, 0.0], [0.0, 2.0]],
        [1.0, 3.0],
        dead.scaled_weights(1e-2),
        t_max=1e3,
        loss="square",
        reduction="mean",
    )
    assert run.status == "converged"
    assert run.times[-1] == 1e3
    assert np.array_equal(run.vectors[0], run.vectors[-1])
    with pytest.raises(cr.InvalidInputError, match="positive NCF"):
        limiting_path(dead, [[1.0, 0.0], [0.0, 2.0]], [1.0, 3.0])


def test_flow_agrees_with_small_steps_of_descent():
    """Euler's method converges to the flow linearly in its step."""
    X, y, rng = sphere_data((4, 2, 1), SQUARES, seed=5, n=12)
    start = random_network((4, 3, 1), SQUARES, rng).normalized()
    flow = gradient_flow(X, y, start, t_max=2.0, rtol=1e-10, loss="square", reduction="mean").vectors[-1]
    gaps = []
    for steps in (1000, 4000):
        run = gradient_descent(
            X, y, start, step_size=2.0 / steps, n_steps=steps, record=[steps], loss="square", reduction="mean"
        )
        gaps.append(np.linalg.norm(run.vectors[-1] - flow))
    assert gaps[0] / gaps[1] == pytest.approx(4.0, rel=0.05)


def test_logistic_flow_escapes_too():
    """Theorem 4 holds for the logistic loss, whose saddles are at infinity (Corollary 6)."""
    linear = PowerLeakyReLU(1.0)
    kkt = FeedForward([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0]]], linear)
    X, y = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, -1.0])
    path = limiting_path(kkt, X, y, loss="logistic", time_limit=5.0)
    assert path.value == pytest.approx(0.25, rel=1e-12)  # (1/2) y^T X w1 w2 / n, w1 = w2 = 1/sqrt 2
    assert path.trajectory.loss[-1] < 0.05 * path.trajectory.loss[0]
    assert np.array_equal(path.saddle.zero_preserving_set(0.0)[0], [1])


def test_logistic_flow_of_three_layers_goes_to_a_saddle_at_infinity():
    """KH-beyond Corollary 12: L = 3; what is zero at the KKT point stays zero while the norm grows."""
    linear, root = PowerLeakyReLU(1.0), 3**-0.5
    zero = [np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((1, 2))]
    for W in zero:
        W[0, 0] = root
    X, y = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, -1.0])
    path = limiting_path(FeedForward(zero, linear), X, y, loss="logistic", scale=1e-2, time_limit=5.0)
    assert path.value == pytest.approx(0.5 * root**3, rel=1e-12)
    loss, norm = path.trajectory.loss, path.trajectory.norm
    assert loss[-1] < 0.05 * loss[0]
    assert norm[-1] > 2.0  # and growing: the loss has no minimum
    assert (np.diff(norm) > 0).all()
    assert [list(neurons) for neurons in path.saddle.zero_preserving_set(0.0)] == [[1], [1]]


@pytest.mark.parametrize("gap", [0.4, 0.8])
def test_generic_starts_tend_to_the_path_like_the_second_order_constant_says(gap):
    """KH-beyond Theorem 4: N = w^T diag(z) w, so that Delta = 2 (z_1 - z_2) and the power is 1 - z_2/z_1."""
    squares = PowerLeakyReLU(1.0, 2)
    start = FeedForward([[[0.5, 0.6, 0.4]], [[1.0]]], squares, trainable=[True, False])
    ladder = stable_set_ladder(start, np.eye(3), [1.0, 1.0 - gap, 0.1], scales=(1e-3, 1e-4))
    assert ladder.second_order == pytest.approx(2.0 * gap / 3.0, rel=1e-6)
    assert ladder.expected_rate == pytest.approx(gap, rel=1e-6)
    assert ladder.proven_rate == pytest.approx(gap / (gap + 4.0), rel=1e-6)
    assert ladder.rate == pytest.approx(gap, abs=0.02)


def test_starts_whose_flow_dies_have_no_path():
    dead = FeedForward([[[-1.0, -1.0]], [[1.0]]], PowerLeakyReLU(0.0, 2))
    with pytest.raises(cr.InvalidInputError, match="NCF flow"):
        stable_set_ladder(dead, np.eye(2), [1.0, 1.0])
    with pytest.raises(cr.InvalidInputError, match="two numbers"):
        stable_set_ladder(FeedForward([[[1.0]], [[1.0]]]), [[1.0]], [1.0], scales=[0.1])


def test_recorded_steps_are_thinned_and_end_where_told():
    start = example_1([0.1, 0.1])
    path = gradient_flow(np.eye(2), TARGETS, start, t_max=2.0, reduction="sum", record=20, loss="square")
    assert len(path) <= 21
    assert path.times[0] == 0.0
    assert path.times[-1] == 2.0
    whole = gradient_flow(
        np.eye(2), TARGETS, start, t_max=50.0, reduction="sum", stop_gradient=1e-6, loss="square"
    )
    assert whole.status == "converged"
    assert whole.gradient_norm[-1] <= 1e-6 * whole.gradient_norm.max()
    stopped = gradient_flow(
        np.eye(2), TARGETS, start, t_max=1e9, reduction="sum", time_limit=1e-9, loss="square"
    )
    assert stopped.status == "time_limit"


def test_degree_seven_is_followed_from_1e_3():
    """t passes 1e20 there: only the rescaled time resolves the escape."""
    X, y, rng = sphere_data((6, 2, 2, 1), SQUARES, seed=1, n=30)
    start = random_network((6, 4, 4, 1), SQUARES, rng).normalized()
    run = gradient_flow(
        X,
        y,
        start.scaled_weights(1e-3),
        t_max=1e30,
        rtol=1e-6,
        stop_gradient=1e-3,
        loss="square",
        reduction="mean",
    )
    assert run.times[-1] > 1e15
    assert run.loss[-1] < 0.99 * run.loss[0]
    assert first_escape(run).saddle.n_active == (1, 1)


def test_zero_weights_rest():
    run = gradient_flow(np.eye(2), TARGETS, example_1([0.0, 0.0]), t_max=1.0, loss="square")
    assert run.status == "converged"
    assert not run.weights[0].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda net, X, y: gradient_flow(
                X, y, FeedForward([[[1.0, 1.0]], [[1.0]]]), t_max=1.0, loss="square"
            ),
            "kink",
        ),
        (lambda net, X, y: gradient_flow(X, y, net, t_max=0.0, loss="square"), "t_max"),
        (lambda net, X, y: gradient_flow(X, y, net, t_max=1.0, method="euler", loss="square"), "method"),
        (lambda net, X, y: gradient_flow(X, y, net, t_max=1.0, record=[2.0], loss="square"), "record"),
        (
            lambda net, X, y: gradient_flow(X, [1.0], net, t_max=1.0, loss="square"),
            "y must have shape",
        ),
        (
            lambda net, X, y: gradient_flow([[np.nan, 1.0], [0.0, 1.0]], y, net, t_max=1.0, loss="square"),
            "finite",
        ),
        (lambda net, X, y: escape_ladder(net, X, y, scales=[0.1]), "two numbers"),
        (lambda net, X, y: limiting_path(net, X, -y), "positive NCF"),
        (lambda net, X, y: predicted_escape_time(1.0, 1, 0.1), "at least 2"),
        (lambda net, X, y: predicted_escape_time(-1.0, 2, 0.1), "value"),
        (lambda net, X, y: relative_size(net, []), "each of 1 hidden layers"),
        (
            lambda net, X, y: first_escape(gradient_flow(X, y, net, t_max=1e-3, loss="square")),
            "passed a peak",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(cr.InvalidInputError, match=message):
        call(example_1([0.1, 0.1]), np.eye(2), TARGETS)


def test_scales_that_float64_cannot_time_are_refused():
    cubes = PowerLeakyReLU(1.0, 2)
    deep = FeedForward([[[1.0]], [[1.0]], [[1.0]]], cubes)  # degree 7
    with pytest.raises(cr.InvalidInputError, match=r"at least 1\.4e-03 for degree 7"):
        limiting_path(deep, [[1.0]], [1.0], scale=1e-3)
    assert predicted_escape_time(0.5, 7, 0.1) == pytest.approx(1e5 / 17.5)
