"""Linear algebra on one thread, for as long as it is asked for."""

from __future__ import annotations

import os
import signal
import threading
import time

import joblib
import pytest
import scipy.linalg  # noqa: F401  loads SciPy's own library of linear algebra
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import threadpool_info, threadpool_limits

from convexrelu import InvalidInputError, _parallel
from convexrelu._parallel import one_blas_thread, run_tasks


@pytest.fixture(autouse=True)
def _two_threads():
    with threadpool_limits(limits=2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("this library of linear algebra has one thread only")
        yield


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_limit_holds_in_the_block_and_in_blocks_within_it():
    with one_blas_thread():
        assert blas_threads() == {1}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_the_limit_ends_with_an_exception():
    with pytest.raises(KeyboardInterrupt), one_blas_thread():
        raise KeyboardInterrupt
    assert blas_threads() == {2}


def test_the_limit_lasts_as_long_as_one_thread_needs_it():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with one_blas_thread():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with one_blas_thread():
        thread.start()
        entered.wait()
    assert blas_threads() == {1}
    leave.set()
    thread.join()
    assert blas_threads() == {2}


def _limits_of_a_task(_number):
    return blas_threads()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_tasks_have_what_their_caller_has(backend):
    with joblib.parallel_config(backend=backend, n_jobs=2), one_blas_thread():
        assert run_tasks(_limits_of_a_task, [(0,), (1,)]) == [{1}, {1}]


def _double_or_die(number, caller):
    if number == 2 and os.getpid() != caller:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def _double_or_stop(number, caller):
    if number == 2 and os.getpid() != caller:
        time.sleep(60)
    return 2 * number


@pytest.mark.parametrize("task", [_double_or_die, _double_or_stop])
def test_a_worker_that_dies_or_stops_costs_no_result(task, monkeypatch):
    monkeypatch.setattr(_parallel, "_TO_SPARE", 3.0)
    tasks = [(number, os.getpid()) for number in range(5)]
    started = time.monotonic()
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert run_tasks(task, tasks, seconds=0.5) == [0, 2, 4, 6, 8]
    assert time.monotonic() - started < 40
    get_reusable_executor().shutdown(kill_workers=True)


def _refuse(number):
    raise InvalidInputError(f"no {number}")


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_an_error_of_a_task_is_the_callers(backend):
    with joblib.parallel_config(backend=backend, n_jobs=2), pytest.raises(InvalidInputError, match="no 0"):
        run_tasks(_refuse, [(0,), (0,)])
