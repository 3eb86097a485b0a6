"""Array types shared by the package, and the decorator of its compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["ArrayLike", "RNGLike", "kernel"]

RNGLike = int | np.random.Generator | np.random.SeedSequence | None
"""What :func:`numpy.random.default_rng` takes."""

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a loop with numba, once per machine (the result is cached on disk).

    It releases the interpreter lock, so that threads run it in parallel. Decorate as ``@kernel`` above
    ``@no_type_check``: a compiled function cannot carry run-time type checks.
    """
    from numba import njit

    compiled: F = njit(cache=True, error_model="numpy", nogil=True)(function)
    return compiled
