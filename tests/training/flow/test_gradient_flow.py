import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import exp1, expi

from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.training import gradient_flow
from convexrelu.training.flow import gradient_flow as flow


def balanced_problem(seed, n=15, d=3, m=5, scale=0.1):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    W1 = scale * rng.normal(size=(m, d))
    return X, y, TwoLayerReLU(W1, np.linalg.norm(W1, axis=1) * np.where(np.arange(m) % 2, -1.0, 1.0))


@pytest.mark.parametrize("scale", [1e-9, 1e-12])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_tanh_law_of_a_small_neuron(scale, sign):
    # docs/theory.md section 6: while the pattern lasts and lam = y/2,
    # c = cos(u, s g) = tanh(||g|| t + artanh c_0)
    X, y = np.array([[1.0, 0.2], [0.8, -0.1], [0.9, 0.5]]), np.full(3, sign)
    g = sign * X.T @ y / 2
    u = np.array([0.3, 0.9]) / np.linalg.norm([0.3, 0.9])
    path = gradient_flow(X, y, TwoLayerReLU(scale * u[None], [sign * scale]), t_max=2.0)
    cosine = path.W1[:, 0] @ g / (np.linalg.norm(path.W1[:, 0], axis=1) * np.linalg.norm(g))
    law = np.tanh(np.linalg.norm(g) * path.times + np.arctanh(u @ g / np.linalg.norm(g)))
    assert len(path) > 5
    np.testing.assert_allclose(cosine, law, atol=1e-9)


def test_one_sample_logistic_flow_in_closed_form():
    # w1 = w2 = w on x = 1: u = w^2 obeys u' = 2 u / (1 + e^u), hence (log u + Ei(u)) / 2 = t + constant
    path = gradient_flow([[1.0]], [1], TwoLayerReLU([[0.1]], [0.1]), t_max=1e6)
    u = path.w2[:, 0] ** 2
    clock = (np.log(u) + expi(u)) / 2
    np.testing.assert_allclose(clock - clock[0], path.times, rtol=1e-7, atol=1e-8)
    assert path.times[-1] == 1e6


def test_huge_times_do_not_overflow():
    path = gradient_flow([[1.0]], [1], TwoLayerReLU([[0.1]], [0.1]), t_max=1e100)
    # u + log(2 u) -> log t from the same closed form, whose Ei(u) ~ e^u / u (1 + 1/u + ...)
    u = path.w2[-1, 0] ** 2
    assert path.status == "finished"
    assert np.log(expi(u) / 2) == pytest.approx(np.log(1e100), abs=1e-6)


def test_one_sample_square_flow_in_closed_form():
    # u = w^2 obeys u' = 2 u (1 - u): logistic growth
    path = gradient_flow([[1.0]], [1], TwoLayerReLU([[0.1]], [0.1]), t_max=8.0, loss="square")
    expected = 1 / (1 + 99 * np.exp(-2 * path.times))
    np.testing.assert_allclose(path.w2[:, 0] ** 2, expected, rtol=1e-8)


def test_one_sample_exponential_flow_in_closed_form():
    # u' = 2 u e^{-u}, hence Ei(u) / 2 = t + constant
    path = gradient_flow([[1.0]], [1], TwoLayerReLU([[0.1]], [0.1]), t_max=1e4, loss="exponential")
    clock = expi(path.w2[:, 0] ** 2) / 2
    np.testing.assert_allclose(clock - clock[0], path.times, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("height", [0.0, -1e-3])
def test_sliding_in_closed_form(height):
    # rows (1,1) of class + and (0,2) of class -: below the second hyperplane it is driven up, above it
    # down, so it slides along w_y = 0, where w = (x, 0), w2 = x and x' = x / (1 + e^{x^2}); the multiplier
    # 1 / (1 + e^{x^2}) stays below 1, so it never leaves
    X, y = np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([1.0, -1.0])
    w1 = np.array([0.3, height])
    path = gradient_flow(X, y, TwoLayerReLU([w1], [np.linalg.norm(w1)]), t_max=20.0)
    kinds = [(event.row, event.kind) for event in path.events]
    on_it = path.W1[:, 0, 1] == 0
    assert kinds == ([] if height == 0 else [(1, "slide")])
    assert on_it[2:].all()
    u = path.w2[on_it, 0] ** 2
    clock = (np.log(u) + expi(u)) / 2
    np.testing.assert_allclose(
        clock - clock[0], path.times[on_it] - path.times[on_it][0], rtol=1e-7, atol=1e-8
    )
    assert path.times[-1] == 20.0


def test_crossing_time_in_closed_form():
    # a tiny positive neuron w = (x, y) starts at (1, -1/2) with only the first row (1,1) active, lam = 1/2:
    # with p = x + y, p' = w2 and w2' = p/2, while x - y = 3/2 stays
    X, y, scale = np.array([[1.0, 1.0], [0.0, 1.0]]), np.ones(2), 1e-8
    start = scale * np.array([1.0, -0.5])
    path = gradient_flow(X, y, TwoLayerReLU([start], [np.linalg.norm(start)]), t_max=3.0)
    rate, p0, v0 = 0.5**0.5, 0.5, 1.25**0.5
    # p = p0 cosh(rate t) + v0/rate sinh(rate t); y = (p - 1.5)/2 is 0 at p = 1.5
    event = path.events[0]
    p = p0 * np.cosh(rate * event.time) + v0 / rate * np.sinh(rate * event.time)
    assert (event.neuron, event.row, event.kind) == (0, 1, "on")
    assert p == pytest.approx(1.5, abs=1e-9)


@pytest.mark.parametrize("loss", ["logistic", "exponential", "square"])
def test_balance_is_conserved_and_the_loss_falls(loss):
    X, y, start = balanced_problem(0)
    path = gradient_flow(X, y, start, t_max=3.0, loss=loss)
    balance = np.square(path.W1).sum(axis=2) - np.square(path.w2)
    np.testing.assert_allclose(balance, np.broadcast_to(balance[0], balance.shape), atol=1e-12)
    assert (np.diff(path.loss) <= 1e-10).all()
    assert path.events


def test_balance_of_unbalanced_neurons():
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(8, 3)), np.array([1.0, -1.0] * 4)
    path = gradient_flow(X, y, TwoLayerReLU(0.3 * rng.normal(size=(4, 3)), rng.normal(size=4)), t_max=3.0)
    balance = np.square(path.W1).sum(axis=2) - np.square(path.w2)
    np.testing.assert_allclose(balance, np.broadcast_to(balance[0], balance.shape), atol=1e-10)
    assert (np.diff(path.loss) <= 1e-10).all()


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_degenerate_data_neither_hangs_nor_raises_the_loss(seed):
    rng = np.random.default_rng(seed)
    n, d, m = int(rng.integers(1, 12)), int(rng.integers(1, 4)), int(rng.integers(1, 6))
    X, y = rng.integers(-2, 3, size=(n, d)).astype(float), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    start = TwoLayerReLU(0.1 * rng.integers(-2, 3, size=(m, d)), 0.1 * rng.integers(-3, 4, size=m))
    path = gradient_flow(X, y, start, t_max=10.0, time_limit=20.0)
    assert path.status in {"finished", "converged"}
    assert np.isfinite(path.W1).all()
    assert (np.diff(path.loss) <= 1e-9).all()
    assert (np.diff(path.times) > 0).all()


def test_resting_networks_have_converged():
    path = gradient_flow([[1.0, 0.0]], [1], TwoLayerReLU([[-1.0, 0.0], [0.0, 0.0]], [1.0, 1.0]), t_max=5.0)
    assert path.status == "converged"
    assert path.inactive.all()


@pytest.mark.parametrize("form", ["polar", "cartesian"])
def test_a_saddle_that_a_tiny_neuron_leaves_is_not_rest(form):
    # the first neuron fits its row and rests; u = w^2 of the second obeys u' = 2 u (1 - u) from 1e-32,
    # which is below rounding until t = 37
    start = TwoLayerReLU([[1.0, 0.0], [0.0, 1e-16]], [1.0, 1e-16])
    path = gradient_flow(np.eye(2), [1, 1], start, t_max=100.0, loss="square", form=form)
    expected = 1 / (1 + (1e32 - 1) * np.exp(-2 * path.times))
    np.testing.assert_allclose(path.w2[:, 1] ** 2, expected, rtol=1e-6)
    assert path.status == "finished"
    early = gradient_flow(np.eye(2), [1, 1], start, t_max=1.0, loss="square", form=form)
    assert early.status == "converged"  # e^1 times 1e-16 is nothing


@pytest.mark.parametrize(
    ("w1", "w2", "leaves"),
    [
        ((0.0, 1.0, 1.0), 0.0, True),  # w2 is about to be pulled up
        ((0.0, 1.0, 0.0), 1.0, True),  # at right angles to its pull: turns, and does not grow at first
        ((0.0, -1.0, 0.0), 1.0, False),  # sees nothing
    ],
)
def test_a_tiny_neuron_counts_by_its_pull_and_not_by_its_first_velocity(w1, w2, leaves):
    # the first neuron fits row (1, 0, 0); rows (0, 1, 1/2) and (0, 1, -1/2) of labels + and - are left
    X, tiny = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 1.0, -0.5]]), 1e-60
    start = TwoLayerReLU([[1.0, 0.0, 0.0], tiny * np.array(w1)], [1.0, tiny * w2])
    path = gradient_flow(X, [1, 1, -1], start, t_max=200.0, loss="square")
    assert (path.loss[-1] < path.loss[0] - 0.1) == leaves
    assert leaves or path.status == "converged"


@pytest.mark.parametrize(("sign", "status"), [(-1.0, "converged"), (1.0, "finished")])
def test_a_tiny_neuron_that_fades_opposite_to_its_pull_rests(sign, status):
    # w1 = w (3, 4)/5, w2 = -w on the row (3, 4) of label +: w' = -5 w (1 + 5 w^2), so it fades for ever
    X, tiny = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]), 1e-20
    start = TwoLayerReLU([tiny * np.array([0.6, 0.8, 0.0]), [0.0, 0.0, 1.0]], [sign * tiny, 1.0])
    path = gradient_flow(X, [1, 1], start, t_max=100.0, loss="square")
    assert path.status == status


def test_a_loss_beyond_float64_does_not_stop_the_clock():
    # w1 = -w2 = w on x = 1: u = w^2 obeys u' = -2 u e^u, hence E_1(u) = E_1(784) + 2 t; the loss is e^784
    path = gradient_flow([[1.0]], [1], TwoLayerReLU([[28.0]], [-28.0]), t_max=1.0, loss="exponential")
    assert path.status == "finished"
    np.testing.assert_allclose(exp1(path.w2[:, 0] ** 2), 2 * path.times, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("loss", ["logistic", "exponential", "square"])
@pytest.mark.parametrize("form", ["polar", "cartesian"])
@pytest.mark.parametrize(("size", "scale"), [(1e100, 9e49), (1e-100, 9e99), (1e99, 1.0), (1.0, 1e-200)])
def test_what_is_not_refused_runs_without_a_warning(size, scale, form, loss):
    start = TwoLayerReLU(scale * np.array([[1.0, 0.5], [0.2, 1.0]]), [scale, -scale])
    path = gradient_flow(size * np.eye(2), [1, -1], start, t_max=1.0, loss=loss, form=form)
    assert path.status in {"finished", "converged", "stalled"}
    assert np.isfinite(path.W1).all()


def test_runs_are_deterministic_and_records_do_not_change_them():
    X, y, start = balanced_problem(5)
    runs = [gradient_flow(X, y, start, t_max=0.7, record=count) for count in (200, 200, 7)]
    assert np.array_equal(runs[0].W1, runs[1].W1)
    assert np.array_equal(runs[0].W1[-1], runs[2].W1[-1])
    assert len(runs[2]) == 7
    assert np.array_equal(runs[2].W1[0], start.W1)


def test_time_limit_returns_what_there_is():
    X, y, start = balanced_problem(6, n=60, d=5, m=20)
    path = gradient_flow(X, y, start, t_max=1e3, time_limit=0.3)
    assert path.status == "time_limit"
    assert path.times[-1] < 1e3


def test_interrupt_returns_what_there_is(monkeypatch):
    original, calls = flow.advance, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        return original(*args)

    X, y, start = balanced_problem(7)
    monkeypatch.setattr(flow, "advance", interrupted)
    path = gradient_flow(X, y, start, t_max=1e3)
    assert path.status == "interrupted"
    assert len(path) > 1
    assert len(calls) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"t_max": 0.0},
        {"t_max": np.inf},
        {"loss": "hinge"},
        {"rtol": 2.0},
        {"rtol": 1e-15},
        {"record": 0},
        {"record": [1.0]},
        {"method": "dop853"},
        {"stop_gradient": 0.1},
        {"time_limit": 0.0},
        {"network": TwoLayerReLU([[1.0]], [1.0])},
        {"network": TwoLayerReLU(np.zeros((0, 2)), [])},
        {"network": TwoLayerReLU([[1e200, 0.0]], [1.0])},
        {"network": TwoLayerReLU([[1.0, 0.0]], [1e200])},
        {"X": 1e200 * np.ones((3, 2))},
        {"X": 1e-200 * np.ones((3, 2))},
        {"y": [1, 2, 3]},
    ],
)
def test_bad_input(change):
    arguments = {
        "X": [[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]],
        "y": [1, -1, 1],
        "network": TwoLayerReLU([[1.0, 0.0]], [1.0]),
        "t_max": 1.0,
    } | change
    with pytest.raises(InvalidInputError):
        gradient_flow(**arguments)
