"""A limit of work ends a search at the same place, however fast the machine is."""

import pickle
import time
from types import SimpleNamespace

import numpy as np
import pytest

import convexrelu as cr
from convexrelu import _clock
from convexrelu._clock import Clock, Interruption
from convexrelu.solvers.history import SolverClock

RNG = np.random.default_rng(3)
X = RNG.normal(size=(80, 6))
TARGETS = RNG.normal(size=80)
LABELS = RNG.choice([-1.0, 1.0], size=80)
THREE = RNG.integers(0, 3, size=80)


@pytest.fixture
def slow(monkeypatch):
    """A machine on which ten times as many seconds pass."""

    def slowed(by):
        now = time.monotonic()
        clock = SimpleNamespace(monotonic=lambda: now + by * (time.monotonic() - now))
        monkeypatch.setattr(_clock, "time", clock)

    return slowed


PROBLEMS = {
    "squared": lambda work: cr.solve(
        X, TARGETS, loss="squared", beta=0.5, tol=1e-2, work_limit=work, time_limit=300.0
    ),
    "softmax": lambda work: cr.solve(
        X, THREE, loss="softmax", beta=0.5, tol=1e-2, work_limit=work, time_limit=300.0
    ),
    "soft margin": lambda work: cr.solve_max_margin(
        X, LABELS, C=1.0, tol=1e-2, work_limit=work, time_limit=300.0
    ),
    "in the plane": lambda work: cr.solve_max_margin(
        X[:, :2], LABELS, C=1.0, tol=1e-2, work_limit=work, time_limit=300.0
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_slow_machine_gives_the_same_network(name, slow):
    first = PROBLEMS[name](0.3)
    slow(10.0)
    again = PROBLEMS[name](0.3)
    for mine, other in zip(vars(first.network).values(), vars(again.network).values(), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert first.objective == again.objective
    assert again.lower_bound <= again.objective


@pytest.mark.parametrize("name", ["squared", "soft margin"])
def test_more_work_finds_a_better_network(name):
    little, more = (PROBLEMS[name](work) for work in (0.01, 1.0))
    assert little.status == "time_limit"
    assert more.objective < little.objective
    assert len(more.history) > len(little.history)


def test_classes_share_the_work():
    """Three classes with three times the work are each solved as far as alone with that much."""
    whole = cr.solve_max_margin(X, THREE, C=1.0, work_limit=0.6, time_limit=300.0)
    for k, part in enumerate(whole.solutions):
        labels = np.where(k == THREE, 1.0, -1.0)
        alone = cr.solve_max_margin(X, labels, C=1.0, work_limit=0.2, time_limit=300.0)
        assert len(alone.history) == pytest.approx(len(part.history), rel=0.5)


def test_the_seconds_end_a_search_in_any_case():
    started = time.monotonic()
    solution = cr.solve(X, TARGETS, loss="squared", beta=0.05, work_limit=1e6, time_limit=1.0)
    assert time.monotonic() - started < 30
    assert solution.status == "time_limit"


@pytest.mark.parametrize("work", [0.0, -1.0, np.nan])
def test_what_no_work_is(work):
    with pytest.raises(cr.InvalidInputError, match="work_limit"):
        cr.solve(X, TARGETS, loss="squared", beta=0.5, work_limit=work)
    with pytest.raises(cr.InvalidInputError, match="work_limit"):
        cr.solve_max_margin(X, LABELS, C=1.0, work_limit=work)


def test_a_clock_of_work():
    clock = SolverClock.of(100.0, 2.0, Interruption())
    part = clock.until(0.5 * clock.limit)
    part.did(0.25)
    assert (clock.elapsed, clock.left, part.left) == (0.25, 1.75, 0.75)
    assert 99 < part.seconds <= 100
    part.did(0.75)
    assert part.expired()
    assert not clock.expired()
    own = clock.share(0.5, 0.25)
    assert (own.elapsed, own.left) == (0.0, 0.25)
    assert 49 < own.seconds <= 50
    timed = clock.of_seconds()
    assert timed.left == pytest.approx(1.0, abs=0.1)
    timed.did(5.0)
    assert clock.left == 1.0
    away = pickle.loads(pickle.dumps(clock))
    assert (away.elapsed, away.left) == (0.0, 1.0)


def test_a_clock_of_work_whose_seconds_have_passed():
    clock = SolverClock.of(1e-9, 2.0, Interruption())
    time.sleep(1e-3)
    assert clock.expired()
    assert clock.left == 0.0


def test_a_clock_of_seconds_counts_no_work():
    clock = SolverClock.of(100.0, np.inf, Interruption())
    clock.did(50.0)
    assert 99 < clock.left <= 100
    assert clock.seconds == pytest.approx(clock.left, abs=0.1)
    assert isinstance(clock, Clock)
