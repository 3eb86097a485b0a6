"""The one loop, with a process that counts."""

import pickle
import signal
import sys
import threading

import pytest

import convexrelu as cr
from convexrelu._clock import Clock, Interruption
from convexrelu._status import Status
from convexrelu.training import ncf_flow
from convexrelu.training.run import TICKS, Process, follow


class Counting(Process):
    """Goes on by one."""

    def __init__(self, ends_at=None, rule_at=None, ctrl_c_at=None):
        self.stored, self.ends_at, self.rule_at, self.ctrl_c_at = [], ends_at, rule_at, ctrl_c_at

    def advance(self, target):
        assert self.reached < target
        self.reached += 1
        if self.reached == self.ctrl_c_at:
            signal.raise_signal(signal.SIGINT)
        return Status.CONVERGED if self.reached == self.ends_at else None

    def store(self):
        self.stored.append(self.reached)

    def rule_that_holds(self):
        return "enough" if self.rule_at is not None and self.reached >= self.rule_at else None


@pytest.mark.parametrize(
    ("process", "status", "stored"),
    [
        (Counting(), "finished", [0, 3, 5]),
        (Counting(ends_at=4), "converged", [0, 3, 4]),
        (Counting(ends_at=4, rule_at=4), "converged", [0, 3, 4]),
        (Counting(ends_at=5), "converged", [0, 3, 5]),
        (Counting(rule_at=2), "enough", [0, 3]),
        (Counting(rule_at=0), "enough", [0]),
        (Counting(ctrl_c_at=2), "interrupted", [0, 2]),
        (Counting(ctrl_c_at=5), "finished", [0, 3, 5]),
    ],
)
def test_how_a_process_is_followed(process, status, stored):
    assert follow(process, [0, 3, 5], Clock()) == status
    assert process.stored == stored


def test_a_clock_that_has_run_out_leaves_the_start():
    process = Counting()
    assert follow(process, [2], Clock(limit=0.0)) == "time_limit"
    assert process.stored == [0]
    assert follow(process, [2], Clock(interruption=Interruption(pressed=True))) == "interrupted"


def test_ctrl_c_is_told_to_whoever_listens_further_out():
    outer, inner = Clock(), Clock()
    before = signal.getsignal(signal.SIGINT)
    with outer.interruption.listening():
        assert follow(Counting(ctrl_c_at=1), [2], inner) == "interrupted"
        assert outer.interrupted
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_is_not_caught():
    interruption = Interruption()
    with interruption.listening():
        signal.raise_signal(signal.SIGINT)
        assert interruption.pressed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_clock_crosses_to_another_process_as_the_seconds_left():
    clock = Clock(limit=50.0, started=Clock().started - 20.0)
    there = pickle.loads(pickle.dumps(clock))
    assert 29.0 < there.limit <= 30.0
    assert there.started != clock.started


def test_threads_cannot_listen_and_are_told_by_the_clock():
    clock, ended = Clock(), []
    clock.interruption.pressed = True
    thread = threading.Thread(target=lambda: ended.append(follow(Counting(), [2], clock)))
    thread.start()
    thread.join()
    assert ended == ["interrupted"]


def test_the_bar_is_shown_in_parts_of_the_whole_way(monkeypatch):
    from contextlib import contextmanager

    from convexrelu.training import run

    moves = []

    @contextmanager
    def bar(_show, _what, total):
        assert total == TICKS
        yield lambda steps=1, _text="": moves.append(steps)

    monkeypatch.setattr(run, "progress_bar", bar)
    follow(Counting(), [0, 3, 7], Clock(), progress=True)
    assert sum(moves) == TICKS
    assert len(moves) == 7


SMOOTH = cr.FeedForward([[[0.3]], [[0.2]]], cr.PowerLeakyReLU(1.0))
RELU = cr.TwoLayerReLU([[0.3]], [0.2])
RUNS = {
    "descent": lambda: cr.gradient_descent([[1.0]], [1], RELU, step_size=1e-9, n_steps=10**9),
    "deep descent": lambda: cr.gradient_descent([[1.0]], [1.0], SMOOTH, step_size=1e-9, n_steps=10**9),
    "flow": lambda: cr.gradient_flow([[1.0]], [1], RELU, log_t_max=1000.0),
    "smooth flow": lambda: cr.gradient_flow([[1.0]], [1.0], SMOOTH, t_max=1e9),
    "NCF flow": lambda: ncf_flow(SMOOTH, [[1.0]], [1.0]),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_run_is_followed_by_the_one_loop(name, monkeypatch):
    def pressed(process, targets, clock, **options):
        clock.interruption.pressed = True
        return follow(process, targets, clock, **options)

    for module in ("descent", "flow.gradient_flow", "ncf_flow", "smooth_flow"):
        monkeypatch.setattr(sys.modules[f"convexrelu.training.{module}"], "follow", pressed)
    path = RUNS[name]()
    assert path.status == "interrupted"
    assert len(path) == 1
