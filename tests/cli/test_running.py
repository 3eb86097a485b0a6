"""Ctrl-C is answered within a second, with what there is."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from convexrelu._clock import Clock
from convexrelu.cli import running
from convexrelu.solvers.history import SolverClock


def press_soon():
    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()


def test_what_the_work_hands_back_is_returned():
    def work():
        clock = Clock(limit=30.0)
        while not clock.expired():
            time.sleep(0.01)
        return "so far"

    press_soon()
    started = time.monotonic()
    assert running.interruptible(work, "working") == "so far"
    assert time.monotonic() - started < 5.0
    assert running.interruptible(lambda: 3, "counting") == 3


def test_errors_are_raised_where_they_are_heard():
    def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        running.interruptible(work, "working")


def test_work_that_does_not_end_is_left_with_the_bound_that_was_proven(monkeypatch, capsys):
    class LeftError(Exception):
        pass

    def leave():
        raise LeftError

    release = threading.Event()

    def work():
        clock = SolverClock(limit=30.0)
        clock.note("oracle", objective=5.0, bound=2.5, n_neurons=3)
        clock.note("directions", objective=4.0, bound=3.9, n_neurons=3)  # an estimate
        release.wait(30.0)

    monkeypatch.setattr(running, "_leave", leave)
    monkeypatch.setattr(running, "GRACE", 0.2)
    press_soon()
    with pytest.raises(LeftError):
        running.interruptible(work, "working")
    release.set()
    said = capsys.readouterr().err
    assert "P* >= 2.5 is proven, the objective was near 4" in said


def test_a_pipe_is_told_once_and_the_exit_code_is_130(tmp_path):
    command = [sys.executable, "-m", "convexrelu", "solve", "digits-3-8", "--time-limit", "100"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert first.startswith("solving digits-3-8 (100 s at most) ...")
    assert process.returncode == 130
    assert rest.startswith("error: interrupted")
    assert rest.count("\n") == 1
