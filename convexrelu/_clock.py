"""Deadlines, progress and the record of a run."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType

__all__ = ["Clock", "Interruption", "Round", "show_rounds"]

_LOGGER = logging.getLogger("convexrelu")


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """One round of a solver.

    Attributes
    ----------
    phase : str
        "directions" (linear master), "patterns" (reduced program), "polish" (linear tail), "oracle" (exact
        pricing), "circle" (the plane's linear program and sweep), "closed form", "program" (all patterns) or
        "relaxation" (semidefinite bound).
    objective : float
        Objective of the current mix, in the data's scale; an upper bound on P* once no artificial slack is
        left.
    bound : float
        ``y^T lam`` over the largest correlation found: a lower bound on P* in the phases "oracle", "closed
        form" and "relaxation", an estimate in the others.
    n_neurons : int
        Neurons or patterns in the master; branches of a relaxation.
    seconds : float
        Since the start.
    """

    phase: str
    objective: float
    bound: float
    n_neurons: int
    seconds: float


@dataclass(kw_only=True, eq=False)
class Interruption:
    """Whether Ctrl-C was pressed; shared by the clocks of all parts of a run.

    Attributes
    ----------
    pressed : bool
        Set by the first Ctrl-C while :meth:`listening`.
    """

    pressed: bool = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Turn the first Ctrl-C into an early end with the bounds so far.

        A second one raises KeyboardInterrupt as usual.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # signals reach the main thread only
            return

        def note(_number: int, _frame: FrameType | None) -> None:
            self.pressed = True
            signal.signal(signal.SIGINT, before)

        before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Let the first Ctrl-C end the block on the spot: for work of one piece, of which nothing is kept."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        except KeyboardInterrupt:
            self.pressed = True
        finally:
            signal.signal(signal.SIGINT, before)


@dataclass(kw_only=True, eq=False)
class Clock:
    """Time left, and the rounds so far.

    Attributes
    ----------
    limit : float
        Seconds allowed, inf for no limit.
    started : float
        Start of the run on the monotonic clock.
    rounds : list of Round
        The record; :meth:`note` appends to it.
    interruption : Interruption
        Whether Ctrl-C was pressed.
    """

    limit: float
    started: float = field(default_factory=time.monotonic)
    rounds: list[Round] = field(default_factory=list)
    interruption: Interruption = field(default_factory=Interruption)

    def until(self, elapsed: float) -> Clock:
        """The same clock with another limit."""
        return replace(self, limit=elapsed)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.interruption.pressed

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds left (inf without a limit, at least 0)."""
        return max(self.limit - self.elapsed, 0.0)

    def expired(self) -> bool:
        """Whether the limit has passed, or the run was interrupted."""
        return self.interrupted or self.elapsed >= self.limit

    def note(self, phase: str, *, objective: float, bound: float, n_neurons: int) -> None:
        """Record a round, and report it on the package's logger."""
        self.rounds.append(
            Round(phase=phase, objective=objective, bound=bound, n_neurons=n_neurons, seconds=self.elapsed)
        )
        _LOGGER.info(
            "%-10s objective %.9g, bound %.9g, %d neurons, %.1f s",
            phase,
            objective,
            bound,
            n_neurons,
            self.elapsed,
        )


@contextmanager
def show_rounds(show: bool) -> Iterator[None]:
    """Show the latest round on one line of the terminal while the block runs, if `show`."""
    if not show:
        yield
        return
    from rich.console import Console

    level = _LOGGER.level
    with Console(stderr=True).status("solving") as status:
        handler = _StatusHandler(status.update)
        _LOGGER.addHandler(handler)
        _LOGGER.setLevel(logging.INFO)
        try:
            yield
        finally:
            _LOGGER.removeHandler(handler)
            _LOGGER.setLevel(level)


class _StatusHandler(logging.Handler):
    """Pass every message on to a function."""

    def __init__(self, update: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._update = update

    def emit(self, record: logging.LogRecord) -> None:
        self._update(record.getMessage())
