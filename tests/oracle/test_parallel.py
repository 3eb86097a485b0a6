"""Work in parallel: the same answer whoever does it, in the same order, and an end when one is asked for."""

from __future__ import annotations

import os
import signal
import threading

import joblib
import numpy as np
import pytest

from convexrelu._clock import Clock
from convexrelu._parallel import count_workers, run_tasks
from convexrelu.oracle import dual_norm, zonotopes_of
from convexrelu.oracle.cells import search_cells
from convexrelu.oracle.cones import search_cones


def squared(x, power):
    return x**power


def written(array):
    array += 1.0
    return float(array.sum())


def failing(x):
    raise ArithmeticError(f"task {x}")


def worker(_):
    return threading.get_ident(), os.getpid(), count_workers()


@pytest.mark.parametrize("n_jobs", [1, 2, 3, None])
def test_results_keep_the_order_of_the_tasks(n_jobs):
    with joblib.parallel_config(n_jobs=n_jobs):
        assert run_tasks(squared, [(i, 2) for i in range(20)]) == [i * i for i in range(20)]
    assert run_tasks(squared, []) == []


def test_all_cores_unless_told_and_a_task_keeps_to_its_own():
    assert count_workers() == joblib.cpu_count()
    with joblib.parallel_config(n_jobs=3):
        assert count_workers() == 3
        threads, processes, inner = zip(*run_tasks(worker, [(i,) for i in range(12)]), strict=True)
    assert set(processes) == {os.getpid()}  # threads by default
    assert threading.get_ident() not in threads
    assert set(inner) == {1}


def test_a_single_task_and_a_single_worker_stay_in_the_calling_thread():
    with joblib.parallel_config(n_jobs=1):
        assert run_tasks(worker, [(0,), (1,)])[1][0] == threading.get_ident()
    assert run_tasks(worker, [(0,)])[0][0] == threading.get_ident()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_of_a_task_is_raised(n_jobs):
    with joblib.parallel_config(n_jobs=n_jobs), pytest.raises(ArithmeticError, match="task"):
        run_tasks(failing, [(i,) for i in range(5)])


def test_tasks_may_write_to_what_reaches_them_read_only():
    array = np.zeros(3)
    array.flags.writeable = False
    with joblib.parallel_config(n_jobs=2):
        assert run_tasks(written, [(array,), (array,)]) == [3.0, 3.0]
    np.testing.assert_array_equal(array, 0)


def problem(n=26, d=6):
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, d)), np.sign(rng.normal(size=n))


def searches():
    """Both searches, long enough for several rounds of tasks, with all that they hand back."""
    pair = zonotopes_of(*problem(60, 5))
    nowhere = np.zeros(5)
    cones = search_cones(pair, 0.0, nowhere, tol=1e-12, clock=Clock(limit=60.0), max_nodes=4000)
    pair = zonotopes_of(*problem(40, 7))
    cells = search_cells(pair, 0.0, np.zeros(7), clock=Clock(limit=60.0))
    assert cones.nodes > 500
    assert cells.nodes > 4 * 20_000
    return [(s.value, tuple(s.direction), s.bound, s.nodes, s.finished) for s in (cones, cells)]


@pytest.fixture(scope="module")
def alone():
    with joblib.parallel_config(n_jobs=1):
        return searches()


@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("n_jobs", [2, 3])
def test_the_answer_depends_neither_on_the_number_of_workers_nor_on_the_backend(alone, backend, n_jobs):
    with joblib.parallel_config(backend=backend, n_jobs=n_jobs):
        assert searches() == alone


def test_the_default_is_the_same_too(alone):
    assert searches() == alone


def test_a_dask_cluster_gives_the_same_answer(alone):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert count_workers() == 2
        assert searches() == alone


@pytest.mark.slow
def test_a_dask_cluster_of_processes_gives_the_same_answer(alone):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert searches() == alone


def test_ctrl_c_ends_a_search_at_once():
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(200, 7)), np.sign(rng.normal(size=200))
    dual_norm(X[:20], lam[:20])  # compile
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs start without it
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):  # the search would end with an answer, much later
        dual_norm(X, lam)
    timer.cancel()
    signal.signal(signal.SIGINT, before)


def test_a_deadline_ends_a_search_in_parallel():
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(200, 7)), np.sign(rng.normal(size=200))
    for n_jobs in (1, 2):
        with joblib.parallel_config(n_jobs=n_jobs):
            found = dual_norm(X, lam, time_limit=0.5)
            assert not found.exact
            assert not found.repeatable
            assert found.value < found.upper_bound < np.inf
