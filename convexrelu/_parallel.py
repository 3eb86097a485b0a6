"""The one door through which work leaves the calling thread.

Work is cut into tasks before anything is known about the machine, so that the answer depends neither on the
number of workers nor on the backend; joblib carries the tasks. Compiled kernels release the interpreter lock,
hence threads by default. ``joblib.parallel_config(backend="loky" or "dask", n_jobs=...)`` around any call
moves its tasks to other processes or machines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

__all__ = ["count_workers", "run_tasks"]

R = TypeVar("R")


def run_tasks(function: Callable[..., R], tasks: Sequence[tuple[object, ...]]) -> list[R]:
    """Return ``[function(*task) for task in tasks]``, worked off in parallel; order is kept.

    A round through joblib costs about 10 ms: callers keep smaller work to themselves. `function` must be
    importable by name (a function of a module), for processes to find it. An exception, and Ctrl-C, end the
    round.
    """
    n_jobs = count_workers()
    if n_jobs == 1 or len(tasks) == 1:
        return [function(*task) for task in tasks]
    from joblib import Parallel, delayed

    results: list[R] = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_call)(function, task) for task in tasks
    )
    return results


def count_workers() -> int:
    """Return the number of workers: what the caller's configuration says, else all cores.

    A task that is itself a worker's stays in its thread unless told otherwise.
    """
    from joblib.parallel import get_active_backend

    backend, n_jobs = get_active_backend()
    if n_jobs is None:
        n_jobs = 1 if backend.nesting_level else -1
    return int(backend.effective_n_jobs(n_jobs))


def _call(function: Callable[..., R], task: tuple[object, ...]) -> R:
    """Run one task with arrays of its own where another process handed over read-only ones."""
    return function(*(_writeable(argument) for argument in task))


def _writeable(argument: object) -> object:
    """Compiled kernels have one signature: a read-only array would be another."""
    if isinstance(argument, np.ndarray) and not argument.flags.writeable:
        return np.array(argument)
    return argument
