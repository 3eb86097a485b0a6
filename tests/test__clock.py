"""Time that is left, also elsewhere, and Ctrl-C heard by all that listen."""

from __future__ import annotations

import pickle
import signal
import threading
import time

import pytest

from convexrelu._clock import STANDSTILL, Clock, Interruption, Standstill


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_the_first_ctrl_c_is_noted_and_the_second_raises():
    heard, before = Interruption(), signal.getsignal(signal.SIGINT)
    with heard.listening():
        assert not heard.pressed
        press_ctrl_c()
        assert heard.pressed
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_of_a_program_around_python_is_left_alone(monkeypatch):
    """Embedded Python knows no handler that was not its own: None, which could not be given back."""
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr(signal, "getsignal", lambda _: None)
        with Interruption().listening():
            assert signal.signal(signal.SIGINT, before) is before  # what was there: none of ours


def test_all_clocks_there_are_hear_it_and_later_ones_do_not():
    inner, outer, clock = Interruption(), Interruption(), Clock(limit=100.0)
    with outer.listening():
        with inner.listening():
            press_ctrl_c()
            with pytest.raises(KeyboardInterrupt):
                press_ctrl_c()
        assert inner.pressed
        assert outer.pressed
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    assert clock.expired()
    assert not Clock(limit=100.0).expired()


def test_whoever_listens_in_another_thread_hears_it_too():
    theirs, mine = Interruption(), Interruption()
    listening, leave = threading.Event(), threading.Event()

    def work():
        with theirs.listening():
            listening.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    listening.wait()
    with mine.listening():
        press_ctrl_c()
    leave.set()
    thread.join()
    assert theirs.pressed
    assert mine.pressed


def test_work_of_one_piece_ends_on_the_spot_and_whoever_listens_knows():
    heard, outer, steps = Interruption(), Interruption(), []
    with outer.listening():
        with heard.ending():
            press_ctrl_c()
            steps.append("after it")
        assert heard.pressed
        assert outer.pressed
    assert not steps


def test_a_clock_takes_along_what_is_left_of_it():
    clock = Clock(limit=1e6)
    clock.started -= 4e5
    there = pickle.loads(pickle.dumps(clock))
    assert there.limit == pytest.approx(6e5, abs=1e4)
    assert there.left == pytest.approx(6e5, abs=1e4)
    assert not there.expired()
    assert Clock(limit=0.0).expired()
    assert clock.within(10.0).left <= 10.0


def test_clocks_stand_still_between_the_first_begin_and_the_last_end(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock, before = Clock(limit=10.0, started=now[0]), STANDSTILL.seconds
    now[0] += 2.0
    STANDSTILL.begin()
    now[0] += 3.0
    STANDSTILL.begin()  # inside
    now[0] += 4.0
    assert STANDSTILL.seconds - before == pytest.approx(7.0)
    assert clock.elapsed == pytest.approx(2.0)
    STANDSTILL.end()
    now[0] += 5.0
    assert clock.left == pytest.approx(8.0)
    STANDSTILL.end()
    now[0] += 1.0
    assert clock.elapsed == pytest.approx(3.0)
    later = Clock(limit=10.0, started=now[0])  # what was before it is not its own
    now[0] += 1.0
    assert later.elapsed == pytest.approx(1.0)
    assert clock.__getstate__()["limit"] == pytest.approx(6.0)
    assert Standstill().seconds == 0.0


def test_ctrl_c_while_a_loop_is_loaded_ends_the_block_like_any_other():
    """The interpreter turns it into a SystemError there; one that nobody asked for is passed on."""
    interruption = Interruption()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interruption.ending():
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as error:
                raise SystemError("returned a result with an exception set") from error
        assert interruption.pressed
        with pytest.raises(SystemError), Interruption().ending():
            raise SystemError("of another kind")
    finally:
        signal.signal(signal.SIGINT, handler)
