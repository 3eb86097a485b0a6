from __future__ import annotations

import logging
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from convexrelu import InvalidInputError, solve_max_margin


def hard_instance(n=60, d=8, classes=2):
    """Random labels: no closed form, and more cells than can be listed."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    return rng.normal(size=(n, d)), y if classes > 2 else 2 * y - 1


def assert_valid_bounds(solution, X, y):
    """Weak duality, recomputed: lam is feasible wherever it is sampled, the network proves the objective."""
    network, lam = solution.network, solution.lam
    assert 0 <= solution.lower_bound <= solution.objective
    assert (y * lam >= 0).all()
    U = np.vstack([np.random.default_rng(1).normal(size=(3000, X.shape[1])), network.W1])
    U /= np.linalg.norm(U, axis=1)[:, None]
    assert np.abs(np.maximum(U @ X.T, 0) @ lam).max() <= 1 + 1e-9
    assert y @ lam == pytest.approx(solution.lower_bound, rel=1e-9)
    if np.isfinite(solution.objective):
        assert network.margin(X, y) == pytest.approx(1, abs=1e-9)
        assert network.objective() <= solution.objective * (1 + 1e-12)


class InterruptOnRound(logging.Handler):
    """Press Ctrl-C when a round of the given phase is reported, the given number of times."""

    def __init__(self, phase, times=1):
        super().__init__(logging.INFO)
        self.phase, self.times = phase, times

    def emit(self, record):
        if record.getMessage().startswith(self.phase) and self.times:
            self.times -= 1
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interrupt_on():
    logger = logging.getLogger("convexrelu")
    level, handlers = logger.level, []

    def install(phase, times=1):
        handlers.append(InterruptOnRound(phase, times))
        logger.addHandler(handlers[-1])
        logger.setLevel(logging.INFO)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs start without it
    yield install
    signal.signal(signal.SIGINT, before)
    logger.setLevel(level)
    for handler in handlers:
        logger.removeHandler(handler)


# What a limit may be exceeded by: a round of the solver that is under way, the last linear program and the
# certificate; several times what it takes on an idle machine.
GRACE = 4.0


@pytest.mark.parametrize(("n", "d", "limit"), [(60, 8, 0.02), (60, 8, 0.5), (60, 5, 0.5), (40, 12, 0.5)])
def test_time_limits_are_kept_with_valid_bounds(n, d, limit):
    X, y = hard_instance(n, d)
    solve_max_margin(X[:2], [1, -1])  # imports and compiled kernels
    started = time.process_time()
    solution = solve_max_margin(X, y, time_limit=limit)
    assert time.process_time() - started <= limit + GRACE
    assert solution.status == "time_limit"
    assert_valid_bounds(solution, X, y)


def test_the_limit_is_shared_by_the_classes():
    X, y = hard_instance(60, 8, classes=3)
    started = time.process_time()
    solution = solve_max_margin(X, y, time_limit=0.6)
    assert time.process_time() - started <= 0.6 + 2 * GRACE
    assert solution.status == "time_limit"
    for k, part in enumerate(solution.solutions):
        assert_valid_bounds(part, X, np.where(y == k, 1.0, -1.0))
    assert 0 < solution.lower_bound <= solution.objective


def test_classes_that_the_limit_does_not_reach_say_so():
    """Each class needs some 50 ms at least: of 100 in half a second most have no turn."""
    X, y = np.random.default_rng(0).normal(size=(1000, 5)), np.arange(1000) % 100
    started = time.process_time()
    solution = solve_max_margin(X, y, time_limit=0.5)
    assert time.process_time() - started <= 0.5 + GRACE
    assert solution.status == "time_limit"
    assert {part.method for part in solution.solutions} == {"column-generation", "unsolved"}
    k, late = next((k, part) for k, part in enumerate(solution.solutions) if part.method == "unsolved")
    assert (late.lower_bound, late.objective, late.gap) == (0.0, np.inf, np.inf)
    assert late.certificate.check(X, np.where(y == k, 1.0, -1.0))
    assert solution.lower_bound > 0


@pytest.mark.parametrize(("n", "d"), [(50, 5000), (600, 600)])
def test_limits_on_wide_data(n, d):
    X, y = hard_instance(n, d)
    started = time.process_time()
    solution = solve_max_margin(X, y, time_limit=0.5)
    assert time.process_time() - started <= 0.5 + GRACE
    assert_valid_bounds(solution, X, y)


def test_the_program_does_not_begin_what_it_cannot_end():
    pytest.importorskip("cvxpy")
    X, y = hard_instance(22, 5)
    started = time.process_time()
    solution = solve_max_margin(X, y, method="program", time_limit=0.5)
    assert time.process_time() - started <= 0.5 + GRACE
    assert_valid_bounds(solution, X, y)
    with pytest.raises(InvalidInputError, match="column-generation"):
        solve_max_margin(*hard_instance(40, 5), method="program")


def test_a_generous_limit_changes_nothing():
    X, y = np.random.default_rng(0).normal(size=(8, 2)), np.array([1, -1, 1, -1, 1, -1, 1, 1])
    limited, free = solve_max_margin(X, y, time_limit=300.0), solve_max_margin(X, y)
    assert limited.status == "optimal"
    assert limited.objective == pytest.approx(free.objective, rel=1e-9)


@pytest.mark.parametrize("phase", ["directions", "patterns", "polish"])
def test_ctrl_c_returns_what_there_is(phase, interrupt_on):
    X, y = hard_instance()
    before = signal.getsignal(signal.SIGINT)
    interrupt_on(phase)
    solution = solve_max_margin(X, y)
    assert solution.status == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before
    assert_valid_bounds(solution, X, y)


def test_ctrl_c_from_outside():
    X, y = hard_instance(100, 8)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        solution = solve_max_margin(X, y)
    finally:
        timer.join()
    assert solution.status == "interrupted"
    assert_valid_bounds(solution, X, y)


def test_a_second_ctrl_c_is_not_caught(interrupt_on):
    X, y = hard_instance()
    interrupt_on("", times=2)
    with pytest.raises(KeyboardInterrupt):
        solve_max_margin(X, y)


def test_it_solves_in_a_thread_where_no_signal_can_be_caught():
    found = []
    worker = threading.Thread(
        target=lambda: found.append(solve_max_margin([[1.0, 0.0], [0.0, 1.0]], [1, -1], time_limit=100.0))
    )
    worker.start()
    worker.join()
    assert found[0].objective == pytest.approx(2, rel=1e-9)


def test_ctrl_c_ends_all_classes(interrupt_on):
    X, y = hard_instance(12, 3, classes=3)
    interrupt_on("directions")
    solution = solve_max_margin(X, y)
    assert [part.status for part in solution.solutions] == ["interrupted"] * 3


def test_ctrl_c_among_many_classes_is_answered_soon(interrupt_on):
    """The class at work gets a second for its certificate, and those that wait get none."""
    X, y = hard_instance(60, 8, classes=20)
    interrupt_on("directions")
    started = time.process_time()
    solution = solve_max_margin(X, y)
    assert time.process_time() - started <= GRACE
    assert {part.status for part in solution.solutions} == {"interrupted"}
    assert sum(part.method == "unsolved" for part in solution.solutions) >= 15


def test_what_is_proven_of_dense_multipliers_when_cut_off_can_be_checked():
    """With noise nearly every row has a multiplier: the search for a neuron ends with its open cones."""
    rng = np.random.default_rng(1)
    X, y = np.c_[rng.normal(size=(1000, 2)), np.ones(1000)], np.where(rng.random(1000) < 0.5, 1.0, -1.0)
    solution = solve_max_margin(X, y, C=10.0, time_limit=3.0)
    assert solution.status == "time_limit"
    assert 0 < solution.lower_bound < solution.objective < 10.0 * len(y)
    assert solution.certificate.check(X, y)


def test_eight_threads_at_once_give_the_serial_answers():
    problems = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        problems.append((rng.normal(size=(10, 3)), np.where(rng.random(10) < 0.5, 1.0, -1.0)))
    serial = [solve_max_margin(X, y) for X, y in problems]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda problem: solve_max_margin(*problem), problems))
    for one, other in zip(serial, together, strict=True):
        assert one.lam.tobytes() == other.lam.tobytes()
        assert one.network.W1.tobytes() == other.network.W1.tobytes()
