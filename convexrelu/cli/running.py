"""Long work that answers Ctrl-C within a second, and tells how it stands.

The work runs in a thread of its own, so that the main one, which signals reach, is free to listen: the first
Ctrl-C asks the work to end, and what it hands back then is returned. Whoever does not get an answer in time
gets the best bound that was proven on the way.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

from convexrelu._clock import Interruption
from convexrelu.cli.output import INTERRUPTED, LASTING, complain, wants_progress

__all__ = ["interruptible"]

R = TypeVar("R")

GRACE = 0.8  # seconds that the work has for its answer after Ctrl-C; a person is told within one
_LOOK = 0.05  # seconds between looks at what the work is doing


class _Watch(logging.Handler):
    """Keep what the solver's rounds said."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.text, self.bound, self.objective = "", 0.0, 0.0

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()
        if isinstance(record.args, tuple) and len(record.args) == 6:  # a Round's
            _, objective, kind, bound, *_ = record.args
            self.objective = float(objective) if isinstance(objective, float) else self.objective
            if kind == "bound" and isinstance(bound, float):
                self.bound = max(self.bound, bound)

    def said(self, *, binary: bool) -> str:
        """How far the work had come."""
        if not binary or not self.text:
            return f"last was: {self.text or 'nothing yet'}"
        proven = f"P* >= {self.bound:.6g} is proven" if self.bound > 0 else "no bound was proven yet"
        return f"{proven}, the objective was near {self.objective:.6g}"


def interruptible(work: Callable[[], R], what: str, *, binary: bool = True) -> R:
    """Return what the work does, or leave with exit code 130 if it does not end after Ctrl-C.

    `what` is said while it goes on: to a person all the time, with the solver's latest round, to a pipe once.
    `binary`: rounds are about the one problem there is, not about one of several classes.
    """
    results: list[R] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  it is raised in the main thread
            errors.append(error)

    worker = threading.Thread(target=target, daemon=True)
    interruption, watch = Interruption(), _Watch()
    with _listening(watch), interruption.listening(), _status(what) as show:
        worker.start()
        pressed = None
        while worker.is_alive():
            worker.join(_LOOK)
            show(watch.text)
            if interruption.pressed:
                pressed = time.monotonic() if pressed is None else pressed
                if time.monotonic() - pressed > GRACE:
                    break
    if worker.is_alive():
        complain(
            f"interrupted in the middle of a step, without a network to show; {watch.said(binary=binary)}"
        )
        _leave()
    if errors:
        raise errors[0]
    return results[0]


def _leave() -> None:
    """End the process at once: the thread that works on would keep it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


@contextmanager
def _listening(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger("convexrelu")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _status(what: str) -> Iterator[Callable[[str], Any]]:
    """Say what is going on; the function that is returned shows more."""
    if wants_progress():
        from rich.console import Console

        with Console(stderr=True).status(what) as status:
            yield lambda text: status.update(f"{what}: {text}" if text else what)
        return
    told: list[bool] = []
    started = time.monotonic()

    def once(text: str) -> None:
        if not told and time.monotonic() - started > LASTING:
            told.append(True)
            typer.echo(f"{what} ... {text}".rstrip(), err=True)

    yield once
