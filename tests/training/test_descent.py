import itertools
import signal
import threading
from dataclasses import replace

import joblib
import numpy as np
import pytest

from convexrelu.errors import InvalidInputError
from convexrelu.losses import get_loss
from convexrelu.networks import GELU, FeedForward, PowerLeakyReLU, Tanh, TwoLayerReLU, pack
from convexrelu.training import descent, gradient_descent, scaled_start
from convexrelu.training.problem import check_deep_problem
from convexrelu.training.stopping import CertifiedGap, DirectionChange, KKTResidual, kkt_residual
from tests.tolerances import KERNEL, ROUNDING

F1_X, F1_Y, F1_OPTIMUM = np.array([[1.65, -0.47], [-0.47, 1.35]]), np.array([1.0, -1.0]), 1.282432
LOSSES = ["logistic", "exponential", "square"]


def random_problem(seed, n=12, d=3, m=5, scale=0.5):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return X, y, TwoLayerReLU(scale * rng.normal(size=(m, d)), scale * rng.normal(size=m))


def log_loss_at(X, y, W1, w2, name):
    return float(get_loss(name).log_total(y * (np.maximum(X @ W1.T, 0) @ w2)))


def difference_gradient(function, point, step=1e-6):
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        shift = np.zeros_like(point)
        shift[index] = step
        gradient[index] = (function(point + shift) - function(point - shift)) / (2 * step)
    return gradient


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("normalized", [False, True])
def test_one_step_is_the_gradient_of_the_loss(name, normalized):
    X, y, start = random_problem(0)
    step = 1e-3
    path = gradient_descent(X, y, start, step_size=step, n_steps=1, loss=name, normalized=normalized)

    def value(W1, w2):
        log_loss = log_loss_at(X, y, W1, w2, name)
        return log_loss if normalized else np.exp(log_loss)

    rate = step
    if normalized:
        rate /= np.square(X).sum(axis=1).max() * max(1.0, 2 * start.objective())
    W1 = start.W1 - rate * difference_gradient(lambda W1: value(W1, start.w2), np.array(start.W1))
    w2 = start.w2 - rate * difference_gradient(lambda w2: value(start.W1, w2), np.array(start.w2))
    np.testing.assert_allclose(path.W1[-1], W1, atol=1e-8 * rate * 100)
    np.testing.assert_allclose(path.w2[-1], w2, atol=1e-8 * rate * 100)


@pytest.mark.parametrize("name", LOSSES)
def test_kernel_equals_a_plain_loop(name):
    X, y, start = random_problem(1)
    W1, w2 = np.array(start.W1), np.array(start.w2)
    for _ in range(30):
        active = np.maximum(X @ W1.T, 0)
        weights = y * get_loss(name).slope(y * (active @ w2))
        W1, w2 = (
            W1 + 1e-2 * w2[:, None] * ((X @ W1.T > 0) * weights[:, None]).T @ X,
            w2 + 1e-2 * active.T @ weights,
        )
    path = gradient_descent(X, y, start, step_size=1e-2, n_steps=30, loss=name)
    np.testing.assert_allclose(path.W1[-1], W1, rtol=1e-11)
    np.testing.assert_allclose(path.w2[-1], w2, rtol=1e-11)


@pytest.mark.parametrize("where", [0, 2, 4])
def test_zero_neurons_stay_zero_and_change_nothing(where):
    X, y, start = random_problem(12, n=2)
    W1, w2 = np.insert(start.W1, where, 0.0, axis=0), np.insert(start.w2, where, 0.0)
    path = gradient_descent(X, y, TwoLayerReLU(W1, w2), step_size=0.05, n_steps=100)
    expected = plain_loop(X, y, start.W1, start.w2, "logistic", 100, step=0.05)
    assert (path.W1[-1, where] == 0).all()
    assert path.w2[-1, where] == 0
    np.testing.assert_allclose(np.delete(path.W1[-1], where, axis=0), expected[0], rtol=ROUNDING)
    np.testing.assert_allclose(np.delete(path.w2[-1], where), expected[1], rtol=ROUNDING)


@pytest.mark.parametrize("kind", [{}, {"normalized": True}, {"growth": 1.1}])
@pytest.mark.parametrize("n_steps", [1, 2, 7, 8])
def test_a_run_in_pieces_is_the_whole_run(kind, n_steps):
    # the kernel's two sets of weights change places at every step: an odd count ends in the other one
    X, y, start = random_problem(13)
    whole = gradient_descent(X, y, start, step_size=0.05, n_steps=n_steps, record=1, **kind)
    steps = gradient_descent(X, y, start, step_size=0.05, n_steps=n_steps, record=range(n_steps), **kind)
    assert len(steps) == n_steps + 1
    assert len(np.unique(steps.w2, axis=0)) == n_steps + 1
    np.testing.assert_allclose(steps.W1[-1], whole.W1[-1], rtol=ROUNDING)
    np.testing.assert_allclose(steps.w2[-1], whole.w2[-1], rtol=ROUNDING)


def test_normalised_descent_reaches_the_certified_optimum_of_wp_f1():
    start = scaled_start(F1_X, F1_Y, width=10, scale=1e-2, rng=0).network
    path = gradient_descent(F1_X, F1_Y, start, step_size=0.3, n_steps=20000, normalized=True)
    assert path.status == "finished"
    assert F1_OPTIMUM - 1e-6 <= path.objective[-1] <= F1_OPTIMUM + 1e-3
    assert F1_OPTIMUM - 1e-3 <= path.bound_at() <= F1_OPTIMUM + 1e-6
    assert -1e-12 <= path.gap_at() <= 1e-3


def test_counterexample_to_wp_theorem_2_for_three_classes():
    # X = I_3: P* = 1 + sqrt 2, yet no negative neuron is active on both negative rows, and the limit is 3
    X, y = np.eye(3), np.array([1.0, -1.0, -1.0])
    W1 = 1e-3 * np.array([[1, 0.2, 0.1], [-0.1, 1, -0.5], [-0.2, -0.4, 1]])
    start = TwoLayerReLU(W1, np.linalg.norm(W1, axis=1) * np.array([1.0, -1.0, -1.0]))
    path = gradient_descent(X, y, start, step_size=0.3, n_steps=20000, normalized=True)
    assert path.objective[-1] == pytest.approx(3, abs=1e-3)
    assert path.bound_at() <= 1 + 2**0.5 + 1e-9


def test_squared_norm_grows_linearly_when_normalised():
    # d||theta||^2 / ds = 4 sum_n w_n q_n, w_n the relative weights: it gains 2 step / (P* max ||x||^2) a step
    start = scaled_start(F1_X, F1_Y, width=4, scale=1e-2, rng=1).network
    stops = [2000, 4000, 6000, 8000]
    path = gradient_descent(F1_X, F1_Y, start, step_size=0.3, n_steps=8000, normalized=True, record=stops)
    square = np.square(path.W1).sum(axis=(1, 2)) + np.square(path.w2).sum(axis=1)
    gains = np.diff(square[1:])
    np.testing.assert_allclose(gains, gains[0], rtol=1e-2)
    expected = 2 * 0.3 * 2000 / np.square(F1_X).sum(axis=1).max() / F1_OPTIMUM
    assert gains[-1] == pytest.approx(expected, rel=1e-2)


def test_losses_beyond_float64_do_not_stall_normalised_descent():
    start = TwoLayerReLU([[40.0, 0.0], [0.0, 40.0]], [40.0, -40.0])
    path = gradient_descent(F1_X, F1_Y, start, step_size=0.3, n_steps=3000, normalized=True)
    assert path.log_loss[0] < -1500
    assert path.loss[0] == 0
    assert path.objective[-1] < path.objective[0] - 0.05
    assert np.isfinite(path.relative_lam).all()
    np.testing.assert_allclose(np.abs(path.relative_lam).sum(axis=1), 1)


def test_very_wrong_starts_do_not_overflow():
    start = TwoLayerReLU([[1e3, 0.0], [0.0, 1e3]], [-1e3, 1e3])
    path = gradient_descent(F1_X, F1_Y, start, step_size=0.1, n_steps=10, normalized=True, loss="exponential")
    assert path.status == "finished"
    assert path.log_loss[-1] < path.log_loss[0]
    assert path.loss[0] == np.inf


@pytest.mark.parametrize("name", ["square", "exponential"])
def test_steps_too_large_end_as_diverged_with_a_finite_state(name):
    X, y, start = random_problem(2, scale=3.0)
    path = gradient_descent(X, y, start, step_size=10.0, n_steps=10000, loss=name)
    assert path.status == "diverged"
    assert path.times[-1] < 10000
    assert np.isfinite(path.W1).all()
    assert np.isfinite(path.w2).all()


def test_stationary_points_end_as_converged():
    path = gradient_descent([[1.0, 0.0]], [1], TwoLayerReLU([[-1.0, 0.0]], [1.0]), step_size=0.1, n_steps=100)
    assert path.status == "converged"
    assert len(path) == 1
    exact = gradient_descent(
        [[1.0]], [1], TwoLayerReLU([[1.0]], [1.0]), step_size=0.1, n_steps=9, loss="square"
    )
    assert exact.status == "converged"
    assert exact.log_loss[-1] == -np.inf


def test_records_hold_the_first_and_last_step_and_do_not_change_the_run():
    X, y, start = random_problem(3)
    default = gradient_descent(X, y, start, step_size=0.05, n_steps=500)
    chosen = gradient_descent(X, y, start, step_size=0.05, n_steps=500, record=[100, 7])
    assert default.times[0] == 0
    assert default.times[-1] == 500
    assert (np.diff(default.times) > 0).all()
    assert chosen.times.tolist() == [0, 7, 100, 500]
    assert np.array_equal(default.W1[-1], chosen.W1[-1])
    assert np.array_equal(default.W1[0], start.W1)
    assert np.array_equal(chosen.W1[1], gradient_descent(X, y, start, step_size=0.05, n_steps=7).W1[-1])


def test_arguments_are_not_modified():
    X, y, start = random_problem(4)
    before = X.copy(), y.copy(), start.W1.copy(), start.w2.copy()
    gradient_descent(X, y, start, step_size=0.1, n_steps=20)
    for old, new in zip(before, (X, y, start.W1, start.w2), strict=True):
        assert np.array_equal(old, new)


def test_time_limit_returns_what_there_is():
    X, y, start = random_problem(5, n=400, d=10, m=40)
    path = gradient_descent(X, y, start, step_size=1e-4, n_steps=10**8, time_limit=0.2)
    assert path.status == "time_limit"
    assert 0 < path.times[-1] < 10**8


def test_interrupt_returns_what_there_is(monkeypatch):
    from convexrelu.training.kernels import two_layer as _kernels

    X, y, start = random_problem(6)
    original, calls = _kernels.run_steps, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(_kernels, "run_steps", interrupted)
    path = gradient_descent(X, y, start, step_size=0.01, n_steps=100, record=[10, 20, 30, 40, 50])
    assert path.status == "interrupted"
    assert path.times.tolist() == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    "change",
    [
        {"step_size": 0.0},
        {"step_size": np.nan},
        {"n_steps": 0},
        {"loss": "hinge"},
        {"record": [200]},
        {"record": [0.5]},
        {"record": "all"},
        {"record": 0},
        {"reduction": "max"},
        {"loss": "correlation"},
        {"time_limit": -1.0},
        {"network": TwoLayerReLU([[1.0]], [1.0])},
        {"network": TwoLayerReLU(np.zeros((0, 2)), [])},
        {"network": TwoLayerReLU([[1e200, 0.0]], [1.0])},
        {"y": [1, 2, 3]},
        {"X": [[1.0, np.nan]] * 3},
    ],
)
def test_bad_input(change):
    arguments = {
        "X": [[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]],
        "y": [1, -1, 1],
        "network": TwoLayerReLU([[1.0, 0.0]], [1.0]),
        "step_size": 0.1,
        "n_steps": 100,
    } | change
    with pytest.raises(InvalidInputError):
        gradient_descent(**arguments)


def plain_loop(X, y, W1, w2, name, steps, orders=None, step=1e-2):
    """What a step is, in NumPy: of all samples, or of one batch a step with weight n/size."""
    for k in range(steps):
        rows = np.arange(len(X)) if orders is None else orders[k]
        active = np.maximum(X[rows] @ W1.T, 0)
        weights = y[rows] * get_loss(name).slope(y[rows] * (active @ w2)) * len(X) / len(rows)
        W1, w2 = (
            W1 + step * w2[:, None] * ((active > 0) * weights[:, None]).T @ X[rows],
            w2 + step * active.T @ weights,
        )
    return W1, w2


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("n", "d", "m"), [(1, 1, 1), (7, 3, 2), (8, 4, 4), (9, 5, 5), (20, 13, 10)])
def test_kernel_equals_a_plain_loop_whatever_the_padding(name, n, d, m):
    X, y, start = random_problem(n, n=n, d=d, m=m, scale=0.2)
    W1, w2 = plain_loop(X, y, np.array(start.W1), np.array(start.w2), name, 40)
    path = gradient_descent(X, y, start, step_size=1e-2, n_steps=40, loss=name)
    np.testing.assert_allclose(path.W1[-1], W1, rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(path.w2[-1], w2, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 5.0, 30.0])
def test_normalised_steps_are_right_at_every_size_of_the_margins(name, scale):
    # the exponential written out, the sum of logarithms and the shift beyond margins of 600, one step each
    X, y, start = random_problem(7, n=9, scale=scale)
    if scale == 30.0:  # every margin beyond 600: the labels are the network's own
        y = np.sign(start.predict_margin(X) + 1e-300)
    active = np.maximum(X @ start.W1.T, 0)
    q = y * (active @ start.w2)
    logs = get_loss(name).log_total(q)
    slopes = get_loss(name).slope(q) if name == "square" else np.exp(get_loss(name).log_slope(q) - logs)
    weights = y * (slopes / np.exp(logs) if name == "square" else slopes)
    rate = 0.1 / np.square(X).sum(axis=1).max() / max(1.0, 2 * start.objective())
    W1 = start.W1 + rate * start.w2[:, None] * ((active > 0) * weights[:, None]).T @ X
    path = gradient_descent(X, y, start, step_size=0.1, n_steps=1, loss=name, normalized=True)
    np.testing.assert_allclose(path.W1[-1], W1, rtol=ROUNDING, atol=ROUNDING * scale)


def test_growing_steps_reach_the_certified_optimum_of_wp_f1():
    start = scaled_start(F1_X, F1_Y, width=10, scale=1e-2, rng=0).network
    path = gradient_descent(F1_X, F1_Y, start, step_size=0.1, n_steps=20000, growth=1.1)
    assert F1_OPTIMUM - 1e-6 <= path.objective[-1] <= F1_OPTIMUM + 1e-3
    assert (np.diff(path.log_loss) <= 0).all()
    assert path.log_loss[-1] < -1000  # beyond float64: the step size is carried as a logarithm


@pytest.mark.parametrize("seed", range(5))
def test_growing_steps_recover_from_a_step_size_far_too_large(seed):
    X, y, start = random_problem(seed)
    path = gradient_descent(X, y, start, step_size=1e6, n_steps=300, growth=1.1)
    assert path.status in {"finished", "converged"}  # a first step may be kept that leaves no neuron active
    assert path.log_loss[-1] < path.log_loss[0]
    # the path sums the loss in another order than the kernel: at a stationary point they differ by rounding
    assert (np.diff(path.log_loss) <= ROUNDING).all()


@pytest.mark.parametrize("name", LOSSES)
def test_batches_are_those_of_shuffled_epochs(name):
    X, y, start = random_problem(8, n=11)
    a_draw = descent._ORDERS_AT_ONCE // 11
    drawn = np.random.default_rng(3).permuted(np.tile(np.arange(11), (a_draw, 1)), axis=1)[:10]
    orders = [order[k : k + 4] for order in drawn for k in (0, 4, 8)]
    W1, w2 = plain_loop(X, y, np.array(start.W1), np.array(start.w2), name, 30, orders)
    path = gradient_descent(X, y, start, step_size=1e-2, n_steps=30, loss=name, batch_size=4, rng=3)
    np.testing.assert_allclose(path.W1[-1], W1, rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(path.w2[-1], w2, rtol=ROUNDING, atol=ROUNDING)


def test_batches_are_one_run_for_one_seed_whatever_is_recorded(monkeypatch):
    monkeypatch.setattr(descent, "_ORDERS_AT_ONCE", 30)
    X, y, start = random_problem(9, n=10)
    options = {"step_size": 0.05, "n_steps": 200, "batch_size": 3, "rng": 5}
    runs = [gradient_descent(X, y, start, record=record, **options) for record in (2, 50, [1, 17, 18])]
    assert np.array_equal(runs[0].W1[-1], runs[1].W1[-1])
    assert np.array_equal(runs[0].W1[-1], runs[2].W1[-1])
    other = gradient_descent(X, y, start, **(options | {"rng": 6}))
    assert not np.array_equal(runs[0].W1[-1], other.W1[-1])


def test_stationary_points_of_every_batch_end_as_converged():
    start = TwoLayerReLU([[-1.0, 0.0]], [1.0])
    path = gradient_descent([[1.0, 0.0], [2.0, 1.0]], [1, 1], start, step_size=0.1, n_steps=50, batch_size=1)
    assert path.status == "converged"


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        (DirectionChange(tol=1e-3), "direction_change"),
        (CertifiedGap(tol=1e-2), "certified_gap"),
        (KKTResidual(tol=1e-2), "kkt_residual"),
    ],
)
def test_stopping_rules_end_the_run_where_they_first_hold(rule, status):
    start = scaled_start(F1_X, F1_Y, width=10, scale=1e-2, rng=0).network
    options = {"step_size": 0.3, "n_steps": 100_000, "normalized": True}
    path = gradient_descent(F1_X, F1_Y, start, stop=rule, **options)
    whole = gradient_descent(F1_X, F1_Y, start, **options)
    assert path.status == status
    assert 0 < path.times[-1] < 100_000
    assert np.array_equal(path.W1, whole.W1[: len(path)])
    if status == "certified_gap":
        gaps = [whole.gap_at(k) for k in range(len(path))]
        assert gaps[-1] <= 1e-2
        assert min(gaps[:-1]) > 1e-2
    if status == "kkt_residual":
        residuals = [kkt_residual(whole, k) for k in range(len(path))]
        assert residuals[-1] <= 1e-2
        assert min(residuals[:-1]) > 1e-2


def test_the_first_rule_that_holds_gives_the_status():
    start = scaled_start(F1_X, F1_Y, width=4, scale=1e-2, rng=0).network
    rules = [CertifiedGap(tol=1e-12), KKTResidual(tol=0.1)]
    path = gradient_descent(F1_X, F1_Y, start, step_size=0.3, n_steps=10**5, normalized=True, stop=rules)
    assert path.status == "kkt_residual"


def test_the_kkt_residual_vanishes_at_kkt_points_only():
    # one row: w1 = x/||x||^{3/2}, w2 = 1/||x||^{1/2} is the optimum; ties are free on rows of no weight
    path = gradient_descent([[4.0]], [1], TwoLayerReLU([[0.5]], [0.5]), step_size=1e-9, n_steps=1)
    assert kkt_residual(path, 0) <= 1e-14
    off = gradient_descent([[4.0]], [1], TwoLayerReLU([[0.5]], [1.0]), step_size=1e-9, n_steps=1)
    assert kkt_residual(off, 0) > 0.1
    wrong = gradient_descent([[4.0]], [-1], TwoLayerReLU([[0.5]], [1.0]), step_size=1e-9, n_steps=1)
    assert kkt_residual(wrong, 0) == np.inf


@pytest.mark.parametrize("batch_size", [None, 4])
def test_many_runs_are_the_single_ones_for_any_number_of_workers(batch_size):
    X, y, _ = random_problem(10)
    starts = [random_problem(seed, m=3 + seed)[2] for seed in range(5)]
    options = {"step_size": 0.05, "n_steps": 300, "batch_size": batch_size}
    runs = []
    for workers in (1, 2):
        with joblib.parallel_config(n_jobs=workers):
            runs.append(gradient_descent(X, y, starts, rng=1, progress=workers == 2, **options))
    for a, b in zip(*runs, strict=True):
        assert np.array_equal(a.W1, b.W1)
    seeds = np.random.default_rng(1).spawn(5)
    for start, path, seed in zip(starts, runs[0], seeds, strict=True):
        assert np.array_equal(path.W1, gradient_descent(X, y, start, rng=seed, **options).W1)


@pytest.mark.parametrize("workers", [1, 2])
def test_many_runs_keep_what_is_done_at_ctrl_c_and_at_the_time_limit(workers, monkeypatch):
    X, y, start = random_problem(11)
    monkeypatch.setattr(descent, "_RUNS_A_ROUND", 2)
    original, rounds = descent.run_tasks, []

    def interrupted(function, tasks):
        rounds.append(len(tasks))
        if len(rounds) == 2:
            signal.raise_signal(signal.SIGINT)
        return original(function, tasks)

    with joblib.parallel_config(n_jobs=workers):
        with monkeypatch.context() as patch:
            patch.setattr(descent, "run_tasks", interrupted)
            paths = gradient_descent(X, y, [start] * 5, step_size=0.01, n_steps=20)
        late = gradient_descent(X, y, [start] * 3, step_size=1e-6, n_steps=10**9, time_limit=0.05)
    assert [path.status for path in paths] == ["finished"] * 2 + ["interrupted"] * 3
    assert len(paths[-1]) == 1
    assert {path.status for path in late} == {"time_limit"}


@pytest.mark.parametrize(
    "change",
    [
        {"growth": 0.9},
        {"growth": 1.1, "normalized": True},
        {"growth": 1.1, "batch_size": 2},
        {"normalized": True, "batch_size": 2},
        {"batch_size": 0},
        {"batch_size": 4},
        {"batch_size": 2, "stop_loss": 0.1},
        {"stop": ["gap"]},
    ],
)
def test_bad_options(change):
    with pytest.raises(InvalidInputError):
        gradient_descent(
            np.eye(3), [1, -1, 1], TwoLayerReLU(np.eye(3), np.ones(3)), step_size=0.1, n_steps=9, **change
        )


@pytest.mark.parametrize("stop", [None, CertifiedGap, 3, "gap"])
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_stopping_rule(stop):
    with pytest.raises(InvalidInputError, match="stop must be"):
        gradient_descent(
            np.eye(2), [1, -1], TwoLayerReLU(np.eye(2), np.ones(2)), step_size=0.1, n_steps=9, stop=stop
        )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("networks", [[], None, 3, [3], [TwoLayerReLU(np.zeros((0, 2)), [])]])
def test_what_is_no_network(networks):
    with pytest.raises(InvalidInputError, match="network"):
        gradient_descent(np.eye(2), [1, -1], networks, step_size=0.1, n_steps=9)


@pytest.mark.parametrize("rule", [DirectionChange, CertifiedGap, KKTResidual])
def test_rules_need_a_positive_tolerance(rule):
    with pytest.raises(InvalidInputError, match="tol"):
        rule(tol=0.0)


@pytest.mark.parametrize("kind", [{}, {"normalized": True}, {"growth": 1.1}])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", LOSSES)
def test_stop_loss_is_the_first_step_at_or_below_it(kind, reduction, name):
    X, y, start = random_problem(14)
    options = {"step_size": 0.01, "n_steps": 60, "loss": name, "reduction": reduction, **kind}
    every = gradient_descent(X, y, start, record=range(61), **options)
    target = 0.5 * (every.loss[0] + every.loss[-1])
    path = gradient_descent(X, y, start, stop_loss=target, **options)
    assert path.status == "stop_loss"
    assert path.times[-1] == np.flatnonzero(every.loss <= target)[0]
    assert gradient_descent(X, y, start, stop_loss=2 * every.loss[0], **options).times.tolist() == [0]


@pytest.mark.parametrize("kind", [{}, {"growth": 1.1}, {"batch_size": 4, "rng": 0}])
def test_the_mean_is_the_sum_with_shorter_steps(kind):
    X, y, start = random_problem(15, n=8)  # a power of two: the steps are the same to the last bit
    total = gradient_descent(X, y, start, step_size=0.01, n_steps=50, **kind)
    mean = gradient_descent(X, y, start, step_size=0.08, n_steps=50, reduction="mean", **kind)
    assert np.array_equal(mean.W1, total.W1)
    np.testing.assert_allclose(mean.loss, total.loss / 8, rtol=ROUNDING)
    np.testing.assert_allclose(mean.log_loss, np.log(mean.loss), rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(mean.lam, total.lam / 8, rtol=ROUNDING)


# feed-forward networks

EPS = float(np.finfo(np.float64).eps)
ACTIVATIONS = [PowerLeakyReLU(a, p) for a in (-0.5, 0.0, 0.1, 1.0) for p in (1, 2, 3)] + [Tanh(), GELU()]


def random_network(widths, activation, seed=0, scale=0.5, trainable=None):
    rng = np.random.default_rng(seed)
    layers = [scale * rng.normal(size=(k, j)) for j, k in itertools.pairwise(widths)]
    return FeedForward(layers, activation, trainable=trainable)


def deep_problem(widths, activation, loss="square", reduction="mean", seed=0, n=9):
    rng = np.random.default_rng(seed + 100)
    X, y = 0.5 * rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[-1]))
    y = np.where(y > 0, 1.0, -1.0) if get_loss(loss).takes_labels else y
    return check_deep_problem(random_network(widths, activation, seed), X, y, loss=loss, reduction=reduction)


def descend(problem, **options):
    return gradient_descent(
        problem.X, problem.Y, problem.network, loss=problem.rule.name, reduction=problem.reduction, **options
    )


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


@pytest.mark.parametrize("loss", [*LOSSES, "correlation"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_descent_takes_steps_along_the_gradient(activation, loss):
    problem = deep_problem((3, 5, 4, 2), activation, loss)
    path = descend(problem, step_size=1e-3, n_steps=25)
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
    problem = deep_problem(depth_widths, PowerLeakyReLU(0.1), n=1 if depth_widths[0] == 1 else 6)
    path = descend(problem, step_size=0.02, n_steps=10)
    np.testing.assert_allclose(path.vectors[-1], plain_steps(problem, 0.02, 10), rtol=1e-10, atol=ROUNDING)


@pytest.mark.parametrize("loss", ["square", "logistic", "exponential"])
def test_two_layers_of_relu_agree_with_the_two_layer_descent(loss):
    # on labels +-1 the square loss of an output is that of its margin, (1 - q)^2 / 2
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(8, 3)), np.where(rng.random(8) < 0.5, 1.0, -1.0)
    start = TwoLayerReLU(rng.normal(size=(4, 3)), rng.normal(size=4))
    old = gradient_descent(X, y, start, step_size=0.01, n_steps=200, loss=loss)
    new = gradient_descent(X, y, FeedForward.from_two_layer(start), step_size=0.01, n_steps=200, loss=loss)
    np.testing.assert_allclose(new.weights[0][-1], old.W1[-1], rtol=1e-9)
    np.testing.assert_allclose(new.loss[-1], old.loss[-1], rtol=1e-9)


def test_frozen_weights_stay_and_the_rest_moves():
    mask = np.eye(3)
    network = random_network((3, 3, 2, 1), PowerLeakyReLU(1.0), trainable=[mask, False, True])
    network = network.with_weights([network.weights[0] * mask, *network.weights[1:]])
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 3)), rng.normal(size=6)
    path = gradient_descent(X, y, network, step_size=0.01, n_steps=30, loss="square")
    end = path.network_at(-1)
    np.testing.assert_array_equal(end.weights[0][mask == 0], 0.0)
    np.testing.assert_array_equal(end.weights[1], network.weights[1])
    assert (np.diag(end.weights[0]) != np.diag(network.weights[0])).all()
    assert (end.weights[2] != network.weights[2]).all()


def test_deep_linear_balance_is_conserved():
    # W_{l+1}^T W_{l+1} - W_l W_l^T is conserved by the flow; a step of size h changes it by O(h^2)
    problem = deep_problem((3, 4, 4, 1), PowerLeakyReLU(1.0))
    drift = []
    for n_steps in (200, 400):
        path = descend(problem, step_size=2.0 / n_steps, n_steps=n_steps)
        first, last = path.network_at(0).weights, path.network_at(-1).weights
        changes = [W[1].T @ W[1] - W[0] @ W[0].T for W in (first, last)]
        drift.append(np.abs(changes[1] - changes[0]).max())
    assert drift[1] < 0.02
    assert drift[0] / drift[1] == pytest.approx(2.0, rel=0.1)


def test_stop_loss_of_a_deep_network_is_the_first_step_at_or_below_it():
    problem = deep_problem((2, 3, 1), PowerLeakyReLU(1.0))
    every = descend(problem, step_size=0.05, n_steps=300, record=np.arange(301))
    target = 0.5 * (every.loss[0] + every.loss[-1])
    path = descend(problem, step_size=0.05, n_steps=300, stop_loss=target)
    assert path.status == "stop_loss"
    assert path.times[-1] == np.flatnonzero(every.loss <= target)[0]


@pytest.mark.parametrize("activation", [PowerLeakyReLU(0.0, 2), Tanh()], ids=repr)
def test_how_a_run_ends(activation):
    problem = deep_problem((2, 3, 1), activation)
    zero = replace(problem, network=problem.network.scaled_weights(0.0))
    assert descend(zero, step_size=0.1, n_steps=9).status == "converged"
    huge = replace(problem, network=problem.network.scaled_weights(4.0), Y=1e150 * problem.Y)
    wild = descend(huge, step_size=1e10, n_steps=1000)
    assert wild.status == "diverged"
    assert np.isfinite(wild.vectors).all()
    assert np.isfinite(wild.loss[-1])
    cut = descend(problem, step_size=1e-9, n_steps=10**9, time_limit=0.2)
    assert cut.status == "time_limit"
    assert 0 < cut.times[-1] < 10**9


def test_ctrl_c_leaves_a_whole_number_of_steps():
    problem = deep_problem((2, 3, 1), PowerLeakyReLU(0.0, 2))
    descend(problem, step_size=1e-3, n_steps=5)  # compiled by now
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    path = descend(problem, step_size=1e-9, n_steps=10**9)
    timer.join()
    assert path.status == "interrupted"
    again = descend(problem, step_size=1e-9, n_steps=int(path.times[-1]))
    np.testing.assert_array_equal(again.vectors[-1], path.vectors[-1])


def test_portions_and_recorded_steps_do_not_change_the_answer(monkeypatch):
    problem = deep_problem((2, 3, 1), PowerLeakyReLU(0.1))
    whole = descend(problem, step_size=0.01, n_steps=500, record=[7])
    np.testing.assert_array_equal(whole.times, [0, 7, 500])
    monkeypatch.setattr(descent, "_WORK_BETWEEN_CHECKS", 1)
    cut = descend(problem, step_size=0.01, n_steps=500)
    np.testing.assert_array_equal(cut.vectors[-1], whole.vectors[-1])


def test_many_deep_starts_give_the_runs_of_each():
    starts = [random_network((3, 4, 1), PowerLeakyReLU(0.0, 2), seed) for seed in range(4)]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 3)), rng.normal(size=7)
    options = {"step_size": 0.02, "n_steps": 100, "loss": "square", "reduction": "mean"}
    together = gradient_descent(X, y, starts, **options)
    for start, path in zip(starts, together, strict=True):
        alone = gradient_descent(X, y, start, **options)
        np.testing.assert_array_equal(path.vectors, alone.vectors)


def test_the_printed_form_of_a_deep_run_says_how_it_ended():
    problem = deep_problem((2, 3, 1), PowerLeakyReLU(0.1))
    path = descend(problem, step_size=0.01, n_steps=50)
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
def test_bad_deep_input_is_refused(change, message):
    given = {"network": random_network((2, 2, 1), PowerLeakyReLU()), "X": [[1.0, 2.0]], "y": [1.0]}
    given |= {"step_size": 0.1, "n_steps": 5, "loss": "square"} | change
    with pytest.raises(InvalidInputError, match=message):
        gradient_descent(**given)


@pytest.mark.parametrize(
    "change", [{"growth": 1.1}, {"normalized": True}, {"batch_size": 1}, {"stop": CertifiedGap(tol=0.1)}]
)
def test_what_only_two_layer_networks_can(change):
    problem = deep_problem((2, 3, 1), PowerLeakyReLU())
    with pytest.raises(InvalidInputError, match="a FeedForward"):
        descend(problem, step_size=0.1, n_steps=5, **change)


def test_the_direction_of_a_deep_network_can_stop_it():
    problem = deep_problem((2, 3, 1), PowerLeakyReLU(1.0))
    options = {"step_size": 0.05, "n_steps": 300, "record": 50}
    path = descend(problem, stop=DirectionChange(tol=1e-2), **options)
    whole = descend(problem, **options)
    assert path.status == "direction_change"
    units = whole.vectors / np.linalg.norm(whole.vectors, axis=1, keepdims=True)
    assert len(path) == np.flatnonzero(np.linalg.norm(np.diff(units, axis=0), axis=1) <= 1e-2)[0] + 2


@pytest.mark.parametrize("activation", [PowerLeakyReLU(1.0), Tanh()], ids=repr)
def test_weight_decay_moves_against_the_weights(activation):
    """One step is the one without it, and beta times the weights less, in both loops."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    start = FeedForward([rng.normal(size=(3, 2)), rng.normal(size=(1, 3))], activation)
    options = {"step_size": 1e-2, "n_steps": 1, "loss": "square"}
    plain = gradient_descent(X, y, start, **options).network_at(-1)
    decayed = gradient_descent(X, y, start, weight_decay=0.7, **options).network_at(-1)
    for before, without, with_decay in zip(start.weights, plain.weights, decayed.weights, strict=True):
        np.testing.assert_allclose(with_decay, without - 7e-3 * before, rtol=1e-12)


def test_weight_decay_shrinks_the_product_of_two_weights_by_its_price():
    # min (w1 w2 - 3)^2/2 + (w1^2 + w2^2)/4 at w1 w2 = 3 - 1/2
    start = FeedForward([[[0.5]], [[0.6]]], PowerLeakyReLU(1.0))
    path = gradient_descent(
        [[1.0]], [3.0], start, step_size=0.05, n_steps=5000, loss="square", weight_decay=0.5
    )
    product = np.prod([W[0, 0] for W in path.network_at(-1).weights])
    assert product == pytest.approx(2.5, rel=1e-10)
    with pytest.raises(InvalidInputError, match="weight_decay is for a FeedForward"):
        gradient_descent(
            [[1.0]], [1.0], TwoLayerReLU([[1.0]], [1.0]), step_size=0.1, n_steps=1, weight_decay=0.1
        )
    with pytest.raises(InvalidInputError, match="weight_decay"):
        gradient_descent([[1.0]], [3.0], start, step_size=0.1, n_steps=1, loss="square", weight_decay=-1.0)
