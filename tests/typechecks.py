"""Run-time checks of types that look at a function's first calls in a test, and not at its ten-thousandth.

A check takes some fifty microseconds, which for what is called in loops is several times its own work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial, wraps
from inspect import isclass
from typing import Any

import jaxtyping

CALLS = 100  # of one function in one test: more come from loops, with arrays of the same kinds

_calls: Counter[int] = Counter()
_jaxtyped = jaxtyping.jaxtyped


def pytest_runtest_setup() -> None:
    """Count anew in every test: what it checks must not hang on the tests before it."""
    _calls.clear()


def install() -> None:
    """Decorate so whatever is imported from now on: the import hook looks its decorator up by name."""
    jaxtyping.jaxtyped = _sparing


def _sparing(function: Any = None, *, typechecker: Callable[..., Any]) -> Any:
    if function is None:
        return partial(_sparing, typechecker=typechecker)
    if isclass(function):
        return _jaxtyped(function, typechecker=typechecker)
    checked: Callable[..., Any] | None = None
    key = id(function)

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        nonlocal checked
        if _calls[key] >= CALLS:
            return function(*args, **options)
        _calls[key] += 1
        if checked is None:  # most functions that are imported are never called
            checked = _jaxtyped(function, typechecker=typechecker)
        return checked(*args, **options)

    return call
