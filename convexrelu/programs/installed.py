"""cvxpy is an extra: solving and certifying do without it."""

from __future__ import annotations

from importlib.util import find_spec

from convexrelu.errors import InvalidInputError

__all__ = ["check_cvxpy"]


def check_cvxpy() -> None:
    """Raise InvalidInputError, with what to do, where cvxpy is not installed."""
    if find_spec("cvxpy") is None:
        raise InvalidInputError(
            "convex programs need cvxpy, which is missing: pip install 'convexrelu[cvxpy]'"
        )
