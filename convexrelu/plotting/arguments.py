"""What figures are given: one object or several, of the kind that they draw."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from convexrelu.errors import InvalidInputError

__all__ = ["check_kind", "several"]

_T = TypeVar("_T")


def check_kind(given: object, name: str, *kinds: type) -> None:
    """Refuse what is of none of these kinds (InvalidInputError)."""
    if not isinstance(given, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise InvalidInputError(f"{name} must be a {wanted}, got {type(given).__name__}")


def several(given: object, kind: type[_T], name: str, *, hint: str = "") -> tuple[_T, ...]:
    """Return one object of a kind, or at least one of them, as a tuple, or InvalidInputError."""
    if isinstance(given, kind):
        return (given,)
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    wrong = [type(item).__name__ for item in found if not isinstance(item, kind)]
    if wrong or not found:
        got = wrong[0] if wrong else "none"
        raise InvalidInputError(
            f"{name} must be one {kind.__name__} or more, got {got}{hint if wrong else ''}"
        )
    return tuple(item for item in found if isinstance(item, kind))
