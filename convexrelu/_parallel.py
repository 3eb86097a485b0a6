"""The one door through which work leaves the calling thread.

Work is cut into tasks before anything is known about the machine, so that the answer depends neither on the
number of workers nor on the backend; joblib carries the tasks. Compiled kernels release the interpreter lock,
hence threads by default. ``joblib.parallel_config(backend="loky" or "dask", n_jobs=...)`` around any call
moves its tasks to other processes or machines.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import numpy as np
from threadpoolctl import LibController, ThreadpoolController

__all__ = ["count_workers", "one_blas_thread", "run_tasks"]

R = TypeVar("R")

_LOGGER = logging.getLogger("convexrelu")
_TO_SPARE = 5.0  # seconds to start processes and import what they need, and for the way there and back


def run_tasks(
    function: Callable[..., R],
    tasks: Sequence[tuple[object, ...]],
    *,
    seconds: float = math.inf,
    in_threads: bool = False,
) -> list[R]:
    """Return ``[function(*task) for task in tasks]``, worked off in parallel; order is kept.

    A round through joblib costs about 10 ms: callers keep smaller work to themselves. `function` must be
    importable by name (a function of a module), for processes to find it. An exception, and Ctrl-C, end the
    round. Where the caller has linear algebra on one thread, the tasks have, in other processes too.

    A process that dies, or does not answer within so many `seconds` (and some to spare), costs time and no
    result: this one does the rest. With `in_threads` the tasks stay in this process whatever the caller's
    backend: for those whose arguments or results are too large to be sent, or cannot be.
    """
    n_jobs = count_workers()
    if n_jobs == 1 or len(tasks) == 1:
        return [function(*task) for task in tasks]
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    calls = [delayed(_call)(function, task, _BLAS.limited) for task in tasks]
    backend = get_active_backend(prefer="threads")[0]
    shared = getattr(backend, "supports_sharedmem", False)
    if in_threads or shared or not backend.supports_return_generator:
        require = "sharedmem" if in_threads else None
        results: list[R] = Parallel(n_jobs=n_jobs, prefer="threads", require=require)(calls)
        return results
    limit = None if math.isinf(seconds) else seconds + _TO_SPARE
    done: list[R] = []
    try:
        for result in Parallel(n_jobs=n_jobs, return_as="generator", timeout=limit)(calls):
            done.append(result)
    except (BrokenExecutor, multiprocessing.TimeoutError) as error:
        _LOGGER.warning("a worker failed (%s): this process does its work", type(error).__name__)
        done += [function(*task) for task in tasks[len(done) :]]
    return done


def count_workers() -> int:
    """Return the number of workers: what the caller's configuration says, else all cores.

    A task that is itself a worker's stays in its thread unless told otherwise.
    """
    from joblib.parallel import get_active_backend

    backend, n_jobs = get_active_backend()
    if n_jobs is None:
        n_jobs = 1 if backend.nesting_level else -1
    return int(backend.effective_n_jobs(n_jobs))


def one_blas_thread() -> AbstractContextManager[None]:
    """Keep linear algebra on one thread for as long as the block runs.

    On small matrices threads that wait for each other cost several times the work. They also change the last
    digits, from which a search of many steps may come to another answer: on one thread it is the same on
    every machine with the same libraries. The limit is the process's, hence other threads' as well; it ends
    with the last block of all threads. A block within another costs nothing.
    """
    return _BLAS.one_thread()


class _Blas:
    """The blocks in which linear algebra is kept on one thread, and how many threads it had before them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._before: list[tuple[LibController, int]] = []

    @property
    def limited(self) -> bool:
        """Whether there is such a block now."""
        return self._blocks > 0

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """See :func:`one_blas_thread`."""
        import scipy.linalg  # noqa: F401  it brings a library of its own, to be limited as well

        with self._lock:
            if not self._blocks:
                libraries = ThreadpoolController().select(user_api="blas").lib_controllers
                self._before = [(library, library.num_threads) for library in libraries]
                _set_threads((library, 1) for library in libraries)
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if not self._blocks:
                    _set_threads(self._before)


def _set_threads(numbers: Iterable[tuple[LibController, int]]) -> None:
    """Set how many threads each library has, whichever thread asks.

    Recent versions of threadpoolctl listen to the first of several threads alone. Here a lock keeps them
    apart, and the last one to leave is not always the one that came first.
    """
    for library, number in numbers:
        listens_to_one = hasattr(library, "clear_controlling_thread")
        if listens_to_one:
            library.clear_controlling_thread(force=True)
        library.set_num_threads(number)
        if listens_to_one:
            library.clear_controlling_thread(force=True)


_BLAS = _Blas()


def _call(function: Callable[..., R], task: tuple[object, ...], one_thread: bool) -> R:
    """Run one task with arrays of its own where another process handed over read-only ones."""
    with one_blas_thread() if one_thread else nullcontext():
        return function(*(_writeable(argument) for argument in task))


def _writeable(argument: object) -> object:
    """Compiled kernels have one signature: a read-only array would be another."""
    if isinstance(argument, np.ndarray) and not argument.flags.writeable:
        return np.array(argument)
    return argument
