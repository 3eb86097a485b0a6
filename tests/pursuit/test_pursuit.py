"""Neuron Pursuit: descent, recovery of sparse functions, and how it ends."""

from __future__ import annotations

import signal
import sys
import time

import numpy as np
import pytest
import tolerances
from threadpoolctl import threadpool_info, threadpool_limits

from convexrelu import (
    FeedForward,
    InvalidInputError,
    PowerLeakyReLU,
    maximize_correlation,
    maximize_ncf,
    neuron_pursuit,
)
from convexrelu.datasets import modular_addition, pointer_value_retrieval, sparse_function
from convexrelu.ncf import maximize_added_neuron
from convexrelu.networks import RELU, Tanh
from convexrelu.pursuit import GradientDescent, LimitedMemoryBFGS

LEAKY = PowerLeakyReLU(0.5)


def fig5(seed, n=500):
    return sparse_function("fig5", n, rng=seed)


@pytest.fixture(scope="module")
def grown():
    """A pursuit that takes a few iterations, and what it was grown on."""
    task = sparse_function("h1", 250, rng=0)
    inner = LimitedMemoryBFGS(patience=30, gain=1e-2)
    return task, neuron_pursuit(
        *task, depth=3, activation=LEAKY, inner=inner, max_iterations=4, tol=1e-6, rng=0
    )


def test_the_loss_falls_at_both_stages_of_every_iteration(grown):
    """NP Lemmas 12 and 13: adding a small neuron lowers the loss, and so does the refit."""
    task, result = grown
    losses = [0.5 * float(task.y @ task.y)]
    for step in result.history:
        assert step.start_loss < losses[-1]
        assert step.loss <= step.start_loss
        losses.append(step.loss)
    assert len(losses) > 3


def test_the_history_says_what_happened(grown):
    task, result = grown
    assert [step.iteration for step in result.history] == list(range(1, len(result.history) + 1))
    assert result.history[0].layer == 0
    assert result.history[0].n_neurons == (1, 1)
    before = np.array(result.history[0].n_neurons)
    for step in result.history[1:]:
        after = np.array(step.n_neurons)
        np.testing.assert_array_equal(after - before, np.eye(2, dtype=int)[step.layer - 1])
        assert step.ncf_value > 0
        assert step.kkt_residual < 1e-6
        before = after
    for step in result.history:
        residual = task.y - step.network(task.X)
        assert step.loss == pytest.approx(0.5 * residual @ residual, rel=tolerances.ROUNDING)
        assert step.relative_error == pytest.approx(task.relative_error(step.network(task.X)))
    assert result.network is result.history[-1].network
    assert (result.loss, result.relative_error) == (
        result.history[-1].loss,
        result.history[-1].relative_error,
    )
    assert "layer" in str(result)


def test_networks_are_balanced_after_each_iteration(grown):
    """NP D.6: at power 1 in- and outgoing weights of each neuron have one norm."""
    _, result = grown
    for step in result.history:
        for into, out in zip(step.network.incoming_norms, step.network.outgoing_norms, strict=True):
            np.testing.assert_allclose(into, out, rtol=tolerances.KERNEL)


def test_the_added_neuron_is_the_dominant_one_of_the_residual(grown):
    task, result = grown
    first, second = result.history[:2]
    residual = task.y - first.network(task.X)
    best = maximize_added_neuron(first.network, task.X, residual, n_starts=30, rng=1).best
    assert second.ncf_value == pytest.approx(best.value, rel=0.02)  # ten random starts against thirty
    for W, V in zip(first.network.weights, second.start.weights, strict=True):
        np.testing.assert_array_equal(V[: W.shape[0], : W.shape[1]], W)


def test_the_first_value_is_the_ncf_of_the_targets():
    task = fig5(0, n=60)
    result = neuron_pursuit(*task, depth=3, max_iterations=1, rng=0)
    value = maximize_ncf(*task, widths=(20, 1, 1, 1), activation=RELU, n_starts=3, rng=0).points[0].value
    assert result.history[0].ncf_value == pytest.approx(value, rel=2e-2)
    assert result.history[0].ncf_value >= value * (1 - 1e-9)


def test_two_layers_of_relu_take_the_oracles_neuron():
    """The bridge: the first neuron is half the largest correlation of either sign, proven."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    result = neuron_pursuit(X, y, depth=2, max_iterations=3, rng=0)
    h = max(maximize_correlation(X, sign * y).value for sign in (1.0, -1.0))
    assert result.history[0].ncf_value == pytest.approx(h / 2, rel=tolerances.ORACLE)
    assert all(step.proven for step in result.history)


def test_figure_five_is_recovered():
    """NP Figure 5: two first-layer neurons are enough; the fit is exact beyond the samples."""
    task, fresh = fig5(6), fig5(106, n=2000)
    result = neuron_pursuit(*task, depth=3, rng=6)
    assert result.status == "tolerance"
    assert result.history[-1].n_neurons == (2, 1)
    assert fresh.relative_error(result.network(fresh.X)) < 1e-3


@pytest.mark.slow
def test_figure_five_over_ten_seeds():
    results = [neuron_pursuit(*fig5(seed), depth=3, max_iterations=4, rng=seed) for seed in range(10)]
    assert all(result.relative_error < 1e-3 for result in results)
    assert sum(len(result.history) <= 2 for result in results) >= 5


@pytest.mark.slow
def test_f1_is_learned_from_800_samples():
    good, began = 0, time.process_time()
    for seed in range(10):
        train, test = (sparse_function("f1", n, rng=s) for n, s in [(800, seed), (5000, 100 + seed)])
        result = neuron_pursuit(*train, depth=3, max_iterations=3, rng=seed)
        good += test.relative_error(result.network(test.X)) < 1e-3
    assert good >= 9
    assert time.process_time() - began < 60


@pytest.mark.slow
def test_descent_does_not_learn_f1_from_800_samples():
    """The paper's contrast: 50 neurons a layer from small weights (NP C.1.1), 25 000 steps."""
    from convexrelu.training import gradient_descent

    train, test = sparse_function("f1", 800, rng=0), sparse_function("f1", 5000, rng=100)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in [(50, 50), (50, 50), (1, 50)]]
    start = FeedForward(weights).normalized().scaled_weights(0.01)
    path = gradient_descent(
        *train, start, step_size=0.05, n_steps=25_000, record=2, loss="square", reduction="mean"
    )
    network = path.network_at(-1)
    assert train.relative_error(network(train.X)) < 0.5  # it has left the origin
    assert test.relative_error(network(test.X)) > 0.1


@pytest.mark.slow
def test_h1_is_learned_by_four_layers():
    good = 0
    for seed in range(4):
        train, test = (sparse_function("h1", n, rng=s) for n, s in [(1600, seed), (5000, 100 + seed)])
        result = neuron_pursuit(*train, depth=4, activation=LEAKY, max_iterations=10, rng=seed)
        good += test.relative_error(result.network(test.X)) < 5e-3
    assert good >= 3


@pytest.mark.slow
def test_g1_is_learned_along_kinks():
    """On a hypercube minimisers lie on kinks: without the rounded descent the pursuit stalls at 0.96."""
    train, test = sparse_function("g1", 3000, rng=0), sparse_function("g1", 5000, rng=100)
    result = neuron_pursuit(*train, depth=3, activation=LEAKY, max_iterations=10, rng=0)
    assert test.relative_error(result.network(test.X)) < 1e-2


@pytest.mark.slow
def test_modular_addition():
    """NP section 5.2.2: p = 59, 1500 of 3481 pairs for training."""
    train, test = modular_addition(59).split(1500, rng=0)
    result = neuron_pursuit(
        *train,
        depth=2,
        activation=PowerLeakyReLU(1.0, 2),
        max_iterations=55,
        delta=0.05,
        stop=lambda network: train.classification_error(network(train.X)) == 0,
        rng=0,
    )
    assert result.status == "stopped"
    assert result.history[-1].n_neurons[0] <= 55
    assert test.classification_error(result.network(test.X)) < 0.03


def test_modular_addition_of_a_small_modulus_with_vector_outputs():
    """NP Remark 3: several outputs; all pairs modulo 3."""
    task = modular_addition(3)
    result = neuron_pursuit(
        *task,
        depth=2,
        activation=PowerLeakyReLU(1.0, 2),
        inner=LimitedMemoryBFGS(max_steps=300),
        stop=lambda network: task.classification_error(network(task.X)) == 0,
        rng=0,
    )
    assert result.status in {"stopped", "tolerance"}
    assert task.classification_error(result.network(task.X)) == 0
    assert result.network.widths[-1] == 3


def test_the_inner_solvers_give_comparable_networks():
    """The same first neuron, and stationary points of one loss: |x1| + |x2| has four neurons."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = np.abs(X).sum(axis=1)
    inners = ["lbfgs", "levenberg-marquardt", GradientDescent(step_size=0.05, n_steps=20_000)]
    results = [
        neuron_pursuit(X, y, depth=2, activation=RELU, max_iterations=2, inner=inner, rng=0)
        for inner in inners
    ]
    reference = results[0]
    for result in results[1:]:
        assert result.history[0].ncf_value == reference.history[0].ncf_value
        assert result.history[0].relative_error == pytest.approx(
            reference.history[0].relative_error, rel=1e-3
        )
        assert result.history[1].relative_error == pytest.approx(
            reference.history[1].relative_error, rel=2e-2
        )


@pytest.mark.parametrize("inner", ["lbfgs", "levenberg-marquardt"])
def test_a_planted_network_of_power_two_is_recovered(inner):
    """Smooth activations: a teacher of one neuron a layer is found in the first iteration."""
    rng = np.random.default_rng(1)
    activation = PowerLeakyReLU(1.0, 2)
    teacher = FeedForward([rng.normal(size=(1, 4)), [[0.7]], [[-1.2]]], activation)
    X = rng.normal(size=(200, 4))
    result = neuron_pursuit(X, teacher(X), depth=3, activation=activation, inner=inner, rng=0)
    assert len(result.history) == 1
    assert result.relative_error < 1e-3


def test_a_network_that_fits_is_settled_at_less_norm():
    task = fig5(3)
    settled, as_it_fits = (
        neuron_pursuit(*task, depth=3, inner=LimitedMemoryBFGS(settles=settles), rng=3)
        for settles in (True, False)
    )
    assert settled.status == as_it_fits.status == "tolerance"
    assert [step.ncf_value for step in settled.history] == [step.ncf_value for step in as_it_fits.history]
    assert settled.network.norm < as_it_fits.network.norm
    assert settled.history[-1].inner_steps > as_it_fits.history[-1].inner_steps


def test_a_seed_gives_the_same_network():
    task = fig5(1, n=200)
    first, second = (neuron_pursuit(*task, depth=3, max_iterations=2, rng=7) for _ in range(2))
    for W, V in zip(first.network.weights, second.network.weights, strict=True):
        np.testing.assert_array_equal(W, V)


@pytest.mark.parametrize("c", [1e-6, 1e6])
def test_the_units_of_the_targets_do_not_matter(c):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(50, 2))
    y = np.abs(X[:, 0])
    plain, scaled = (neuron_pursuit(X, k * y, depth=2, max_iterations=2, rng=0) for k in (1.0, c))
    assert [s.layer for s in plain.history] == [s.layer for s in scaled.history]
    assert scaled.history[0].relative_error == pytest.approx(plain.history[0].relative_error, rel=1e-4)
    assert plain.relative_error < 1e-3
    assert scaled.relative_error < 1e-3


@pytest.mark.parametrize("depth", [3, 4])
def test_it_goes_on_where_the_lowest_order_vanishes(depth):
    """NP D.3: at the saddles of deep linear networks no single neuron helps; a chain of them does.

    Each iteration adds a singular pair, the next largest first (Eckart and Young).
    """
    rng = np.random.default_rng(0)
    S = rng.normal(size=(4, 4))
    linear = PowerLeakyReLU(1.0)
    inner = LimitedMemoryBFGS(gain=1e-13, patience=50)
    result = neuron_pursuit(np.eye(4), S, depth=depth, activation=linear, inner=inner, rng=0)
    s = np.linalg.svd(S, compute_uv=False)
    assert result.status == "tolerance"
    assert [step.n_neurons for step in result.history] == [(k,) * (depth - 1) for k in range(1, 5)]
    assert [step.order for step in result.history] == [depth - 1] * 4
    for k, step in enumerate(result.history[:3], start=1):
        assert step.loss == pytest.approx(0.5 * np.sum(s[k:] ** 2), rel=1e-6)
    assert "layers 1-" in str(result)


def test_targets_of_zero_and_samples_of_zero():
    zero = neuron_pursuit(np.eye(3), np.zeros(3), depth=3, rng=0)
    assert zero.status == "tolerance"
    assert zero.history == ()
    np.testing.assert_array_equal(zero.network(np.eye(3)), np.zeros(3))
    blind = neuron_pursuit(np.zeros((3, 2)), np.ones(3), depth=3, rng=0)
    assert blind.status == "zero_ncf"
    assert blind.history == ()


@pytest.mark.parametrize("depth", [2, 3])
def test_one_sample_and_one_dimension(depth):
    single = neuron_pursuit([[2.0]], [-3.0], depth=depth, rng=0)
    assert single.status == "tolerance"
    assert single.network([[2.0]]) == pytest.approx([-3.0], rel=1e-3)
    kink = neuron_pursuit([[1.0], [-1.0], [0.0]], [1.0, 2.0, 0.0], depth=depth, rng=0)
    # the first chain of three layers is off at x = 1: the next neuron switches the second layer on
    assert kink.relative_error < 1e-3


def test_contradictory_duplicates_leave_a_residual_that_nothing_fits():
    X = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    result = neuron_pursuit(X, [1.0, -1.0, 1.0], depth=2, max_iterations=6, rng=0)
    assert result.loss == pytest.approx(1.0, rel=1e-3)  # the best value at (1, 0) is 0
    assert result.status in {"zero_ncf", "no_descent"}


def test_time_limit_returns_what_there_is():
    task = sparse_function("g2", 300, rng=0)
    began = time.monotonic()
    result = neuron_pursuit(*task, depth=3, activation=LEAKY, time_limit=1e-3, rng=0)
    assert result.status == "time_limit"
    assert len(result.history) == 1
    assert time.monotonic() - began < 60
    assert np.isfinite(result.loss)


class _InterruptingSolver(LimitedMemoryBFGS):
    """Presses Ctrl-C in the second refit."""

    calls = 0

    def lower(self, loss, w, goal, clock):
        type(self).calls += 1
        if type(self).calls == 2:
            signal.raise_signal(signal.SIGINT)
        return super().lower(loss, w, goal, clock)


def test_an_interrupt_returns_the_best_network_so_far():
    task = sparse_function("h2", 200, rng=0)
    _InterruptingSolver.calls = 0
    inner = _InterruptingSolver(rounds_kinks_off=False)
    result = neuron_pursuit(*task, depth=3, activation=LEAKY, inner=inner, tol=0.0, rng=0)
    assert result.status == "interrupted"
    assert len(result.history) == 2
    assert result.history[-1].inner_steps == 1
    assert task.relative_error(result.network(task.X)) == pytest.approx(result.relative_error)


def test_an_interrupt_ends_a_search_on_the_spot(monkeypatch):
    module = sys.modules["convexrelu.pursuit.pursuit"]

    def pressed(*_arguments, **_options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(module, "maximize_added_neuron", pressed)
    result = neuron_pursuit(*fig5(0, n=50), depth=3, tol=0.0, rng=0)
    assert result.status == "interrupted"
    assert len(result.history) == 1


def test_the_caller_can_stop_it():
    task = fig5(0, n=200)
    result = neuron_pursuit(*task, depth=3, stop=lambda network: network.depth == 3, rng=0)
    assert result.status == "stopped"
    assert len(result.history) == 1


def test_progress_is_shown_on_request(capsys):
    neuron_pursuit([[1.0], [2.0]], [1.0, 2.0], depth=2, rng=0, progress=True)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_pointer_value_retrieval_falls_steadily():
    """Attempted at a tenth of the paper's samples: what is asserted is descent, not success."""
    task = pointer_value_retrieval(10_000, rng=0)
    result = neuron_pursuit(*task, depth=3, max_iterations=6, rng=0)
    errors = [step.relative_error for step in result.history]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.99


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 1}, "depth must be at least 2"),
        ({"activation": Tanh()}, "homogeneous activation"),
        ({"inner": "adam"}, "inner must be one of 'lbfgs'"),
        ({"delta": 0.0}, "delta"),
        ({"tol": -1.0}, "tol"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"time_limit": -2.0}, "time_limit"),
        ({"y": [1.0]}, "as many rows"),
        ({"y": [1.0, np.nan]}, "y must be finite"),
        ({"X": [1.0, 2.0]}, "X must be a matrix"),
    ],
)
def test_bad_input_is_refused(changes, message):
    arguments = {"X": [[1.0], [2.0]], "y": [1.0, 2.0], "depth": 2} | changes
    with pytest.raises(InvalidInputError, match=message):
        neuron_pursuit(arguments.pop("X"), arguments.pop("y"), **arguments)


def test_linear_algebra_runs_on_one_thread_meanwhile():
    """With more, the last digits of products change, and with them how many neurons the pursuit adds."""
    seen = []

    def stop(_network):
        seen.append(blas_threads())
        return True

    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        neuron_pursuit(*fig5(0, n=30), depth=2, rng=0, stop=stop)
        assert blas_threads() == before
    assert seen == [{1}]


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
