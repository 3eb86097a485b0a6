"""Array types shared by the package, and the decorator of its compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from convexrelu._compiling import keep, watch_compiling

__all__ = ["ArrayLike", "RNGLike", "compiled", "kernel"]

RNGLike = int | np.random.Generator | np.random.SeedSequence | None
"""What :func:`numpy.random.default_rng` takes."""

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a loop with numba, once per machine (the result is cached on disk).

    Where no folder can be written to (a read-only install without a home), once per process.

    It releases the interpreter lock, so that threads run it in parallel. Decorate as ``@kernel`` above
    ``@no_type_check``: a compiled function cannot carry run-time type checks.
    """
    return compiled(function)


def compiled(function: F, **options: object) -> F:
    """Compile as :func:`kernel` does, with further options of numba's."""
    from numba import njit

    watch_compiling()
    # no wrapper for callers in C, of which there are none: it took a fifth of the time of compiling
    loop: F = njit(error_model="numpy", nogil=True, no_cfunc_wrapper=True, **options)(function)
    with suppress(RuntimeError):  # no folder for the cache
        keep(loop, function)
    return loop
