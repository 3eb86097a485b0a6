import itertools
import signal
import threading
import time

import numpy as np
import pytest
from tolerances import KERNEL, ROUNDING

from convexrelu.errors import InvalidInputError
from convexrelu.networks import GELU, FeedForward, PowerLeakyReLU, Tanh, TwoLayerReLU, pack
from convexrelu.training import deep_descent, gradient_descent, train_feed_forward, train_many
from convexrelu.training.problem import check_deep_problem

EPS = float(np.finfo(np.float64).eps)
ACTIVATIONS = [PowerLeakyReLU(a, p) for a in (-0.5, 0.0, 0.1, 1.0) for p in (1, 2, 3)] + [Tanh(), GELU()]
LOSSES = ["square", "logistic", "correlation"]


def random_network(widths, activation, seed=0, scale=0.5, trainable=None):
    rng = np.random.default_rng(seed)
    layers = [scale * rng.normal(size=(k, j)) for j, k in itertools.pairwise(widths)]
    return FeedForward(layers, activation, trainable=trainable)


def random_problem(widths, activation, loss="square", reduction="mean", seed=0, n=9):
    rng = np.random.default_rng(seed + 100)
    X, y = 0.5 * rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[-1]))
    y = np.where(y > 0, 1.0, -1.0) if loss == "logistic" else y
    return check_deep_problem(random_network(widths, activation, seed), X, y, loss=loss, reduction=reduction)


def plain_steps(problem, step_size, n_steps):
    """Descent written out, with the gradient by the network's own method."""
    network = problem.network
    for _ in range(n_steps):
        outputs = network(problem.X).reshape(len(problem.X), -1)
        ascent = network.gradient(problem.X, problem.residual(outputs))
        network = network.with_weights(
            [W + step_size * G for W, G in zip(network.weights, ascent, strict=True)]
        )
    return pack(network.weights)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("activation", [PowerLeakyReLU(0.1, 2), GELU()], ids=repr)
def test_residual_and_gradient_are_derivatives_of_the_loss(loss, reduction, activation):
    problem = random_problem((3, 4, 2), activation, loss, reduction)
    rng = np.random.default_rng(1)
    outputs, change = rng.normal(size=problem.Y.shape), rng.normal(size=problem.Y.shape)
    h = 1e-6
    slope = (problem.loss_of(outputs + h * change) - problem.loss_of(outputs - h * change)) / (2 * h)
    assert slope == pytest.approx(-np.vdot(problem.residual(outputs), change), rel=1e-7)
    weights = problem.network.weights
    along = [rng.normal(size=W.shape) for W in weights]
    ends = [
        problem.evaluate([W + s * h * V for W, V in zip(weights, along, strict=True)]).loss for s in (1, -1)
    ]
    gradient = problem.evaluate(weights).gradient
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(pack(gradient) @ pack(along), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_descent_takes_steps_along_the_gradient(activation, loss):
    problem = random_problem((3, 5, 4, 2), activation, loss)
    path = train_feed_forward(problem.network, problem.X, problem.Y, step_size=1e-3, n_steps=25, loss=loss)
    assert path.status == "finished"
    assert path.times[-1] == 25
    moved, expected = path.vectors[-1] - path.vectors[0], plain_steps(problem, 1e-3, 25) - path.vectors[0]
    assert np.abs(expected).max() > 1e-9
    np.testing.assert_allclose(moved, expected, atol=KERNEL * np.abs(expected).max() + 10 * EPS)
    at_end = problem.evaluate(path.network_at(-1).weights)
    assert path.loss[-1] == pytest.approx(float(at_end.loss), rel=ROUNDING)
    assert path.gradient_norm[-1] == pytest.approx(np.linalg.norm(pack(at_end.gradient)), rel=ROUNDING)


@pytest.mark.parametrize("depth_widths", [(4, 1), (4, 3), (1, 1, 1), (3, 4, 3, 4, 2)])
def test_any_depth(depth_widths):
    problem = random_problem(depth_widths, PowerLeakyReLU(0.1), n=1 if depth_widths[0] == 1 else 6)
    path = train_feed_forward(problem.network, problem.X, problem.Y, step_size=0.02, n_steps=10)
    np.testing.assert_allclose(path.vectors[-1], plain_steps(problem, 0.02, 10), rtol=1e-10, atol=ROUNDING)


@pytest.mark.parametrize("loss", ["square", "logistic"])
def test_two_layers_of_relu_agree_with_the_two_layer_descent(loss):
    # on labels +-1 the square loss of an output is that of its margin, (1 - q)^2 / 2
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(8, 3)), np.where(rng.random(8) < 0.5, 1.0, -1.0)
    start = TwoLayerReLU(rng.normal(size=(4, 3)), rng.normal(size=4))
    old = gradient_descent(X, y, start, step_size=0.01, n_steps=200, loss=loss)
    new = train_feed_forward(
        FeedForward.from_two_layer(start), X, y, step_size=0.01, n_steps=200, loss=loss, reduction="sum"
    )
    np.testing.assert_allclose(new.weights[0][-1], old.W1[-1], rtol=1e-9)
    np.testing.assert_allclose(new.loss[-1], old.loss[-1], rtol=1e-9)


def test_frozen_weights_stay_and_the_rest_moves():
    mask = np.eye(3)
    network = random_network((3, 3, 2, 1), PowerLeakyReLU(1.0), trainable=[mask, False, True])
    network = network.with_weights([network.weights[0] * mask, *network.weights[1:]])
    rng = np.random.default_rng(0)
    path = train_feed_forward(
        network, rng.normal(size=(6, 3)), rng.normal(size=6), step_size=0.05, n_steps=30
    )
    end = path.network_at(-1)
    np.testing.assert_array_equal(end.weights[0][mask == 0], 0.0)
    np.testing.assert_array_equal(end.weights[1], network.weights[1])
    assert (np.diag(end.weights[0]) != np.diag(network.weights[0])).all()
    assert (end.weights[2] != network.weights[2]).all()


def test_deep_linear_balance_is_conserved():
    # W_{l+1}^T W_{l+1} - W_l W_l^T is conserved by the flow; a step of size h changes it by O(h^2)
    problem = random_problem((3, 4, 4, 1), PowerLeakyReLU(1.0))
    drift = []
    for n_steps in (200, 400):
        path = train_feed_forward(
            problem.network, problem.X, problem.Y, step_size=2.0 / n_steps, n_steps=n_steps
        )
        first, last = path.network_at(0).weights, path.network_at(-1).weights
        changes = [W[1].T @ W[1] - W[0] @ W[0].T for W in (first, last)]
        drift.append(np.abs(changes[1] - changes[0]).max())
    assert drift[1] < 0.02
    assert drift[0] / drift[1] == pytest.approx(2.0, rel=0.1)


def test_stop_loss_is_the_first_step_at_or_below_it():
    problem = random_problem((2, 3, 1), PowerLeakyReLU(1.0))
    every = train_feed_forward(
        problem.network, problem.X, problem.Y, step_size=0.05, n_steps=300, record=np.arange(301)
    )
    target = 0.5 * (every.loss[0] + every.loss[-1])
    path = train_feed_forward(
        problem.network, problem.X, problem.Y, step_size=0.05, n_steps=300, stop_loss=target
    )
    assert path.status == "stop_loss"
    assert path.times[-1] == np.flatnonzero(every.loss <= target)[0]


@pytest.mark.parametrize("activation", [PowerLeakyReLU(0.0, 2), Tanh()], ids=repr)
def test_how_a_run_ends(activation):
    problem = random_problem((2, 3, 1), activation)
    X, Y = problem.X, problem.Y
    zero = problem.network.scaled_weights(0.0)
    assert train_feed_forward(zero, X, Y, step_size=0.1, n_steps=9).status == "converged"
    wild = train_feed_forward(problem.network.scaled_weights(4.0), X, 1e150 * Y, step_size=1e10, n_steps=1000)
    assert wild.status == "diverged"
    assert np.isfinite(wild.vectors).all()
    assert np.isfinite(wild.loss[-1])
    started = time.perf_counter()
    cut = train_feed_forward(problem.network, X, Y, step_size=1e-9, n_steps=10**9, time_limit=0.2)
    assert cut.status == "time_limit"
    assert cut.times[-1] > 0
    assert time.perf_counter() - started < 20


def test_interrupt_returns_what_there_is(monkeypatch):
    problem = random_problem((2, 3, 1), PowerLeakyReLU(0.0, 2))
    train_feed_forward(problem.network, problem.X, problem.Y, step_size=1e-3, n_steps=5)  # compiled by now
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    path = train_feed_forward(problem.network, problem.X, problem.Y, step_size=1e-9, n_steps=10**9)
    timer.join()
    assert path.status == "interrupted"
    again = train_feed_forward(
        problem.network, problem.X, problem.Y, step_size=1e-9, n_steps=int(path.times[-1])
    )
    np.testing.assert_array_equal(again.vectors[-1], path.vectors[-1])


def test_portions_and_recorded_steps_do_not_change_the_answer(monkeypatch):
    problem = random_problem((2, 3, 1), PowerLeakyReLU(0.1))
    whole = train_feed_forward(problem.network, problem.X, problem.Y, step_size=0.01, n_steps=500, record=[7])
    np.testing.assert_array_equal(whole.times, [0, 7, 500])
    monkeypatch.setattr(deep_descent, "_WORK_BETWEEN_CHECKS", 1)
    cut = train_feed_forward(problem.network, problem.X, problem.Y, step_size=0.01, n_steps=500)
    np.testing.assert_array_equal(cut.vectors[-1], whole.vectors[-1])


def test_many_starts_give_the_runs_of_each():
    starts = [random_network((3, 4, 1), PowerLeakyReLU(0.0, 2), seed) for seed in range(4)]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 3)), rng.normal(size=7)
    together = train_many(starts, X, y, step_size=0.02, n_steps=100)
    for start, path in zip(starts, together, strict=True):
        alone = train_feed_forward(start, X, y, step_size=0.02, n_steps=100)
        np.testing.assert_array_equal(path.vectors, alone.vectors)


def test_the_printed_form_says_how_it_ended():
    problem = random_problem((2, 3, 1), PowerLeakyReLU(0.1))
    path = train_feed_forward(problem.network, problem.X, problem.Y, step_size=0.01, n_steps=50)
    assert "finished at step 50" in str(path)
    assert "square loss" in str(path)
    assert f"DeepTrajectory of {len(path)} points" in repr(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [[1.0]]}, "2 columns"),
        ({"X": [[np.nan, 1.0]]}, "finite"),
        ({"y": [1.0, 2.0]}, "shape"),
        ({"y": [[1.0, 2.0]]}, "shape"),
        ({"loss": "hinge"}, "'square'"),
        ({"loss": "logistic", "y": [0.3]}, "label"),
        ({"reduction": "median"}, "'mean'"),
        ({"step_size": 0.0}, "step_size"),
        ({"n_steps": 0}, "n_steps"),
        ({"record": [99]}, "record"),
        ({"stop_loss": -1.0}, "stop_loss"),
        ({"time_limit": 0.0}, "time_limit"),
    ],
)
def test_bad_input_is_refused(change, message):
    given = {"network": random_network((2, 2, 1), PowerLeakyReLU()), "X": [[1.0, 2.0]], "y": [1.0]}
    given |= {"step_size": 0.1, "n_steps": 5} | change
    with pytest.raises(InvalidInputError, match=message):
        train_feed_forward(given.pop("network"), given.pop("X"), given.pop("y"), **given)


def test_no_start_is_refused():
    with pytest.raises(InvalidInputError, match="at least one start"):
        train_many([], [[1.0]], [1.0], step_size=0.1, n_steps=1)
