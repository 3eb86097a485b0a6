"""The progress bar of long work, on the error stream, so that what is printed stays clean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

__all__ = ["Advance", "ignore", "progress_bar"]


@runtime_checkable  # the tests check annotations at run time
class Advance(Protocol):
    """Tells a bar that so many more steps are done, and what to show beside it (nothing new if empty)."""

    def __call__(self, steps: int = 1, text: str = "") -> None:
        """Move the bar."""


@contextmanager
def progress_bar(show: bool, what: str, total: int | None, done: int = 0) -> Iterator[Advance]:
    """Return the function that moves a bar of `total` steps, or one that does nothing if there is no bar."""
    if not show:
        yield ignore
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done)

        def advance(steps: int = 1, text: str = "") -> None:
            bar.update(task, advance=steps, description=text or None)

        yield advance


def ignore(steps: int = 1, text: str = "") -> None:
    """Do nothing: the bar of work that shows none."""
