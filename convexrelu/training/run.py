"""The one loop of training: it goes on, stores what is wanted, and ends where it should.

Descent, gradient flow and the flow of the neural correlation function differ in what a step is. When to store
a point, when to look at the clock and for Ctrl-C, and how all that is told, is the same for all of them and
stands here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from convexrelu._clock import Clock
from convexrelu._progress import progress_bar
from convexrelu._status import Status
from convexrelu._typing import ArrayLike

__all__ = ["TICKS", "Process", "follow"]

TICKS = 1000
"""Of the progress bar."""


class Process(ABC):
    """Something that moves on in time, or from step to step.

    Attributes
    ----------
    reached : float
        How far it is.
    """

    reached: float = 0

    @abstractmethod
    def advance(self, target: float) -> Status | None:
        """Go on for some hundredths of a second, at most to the target; the status if it ended by itself."""

    @abstractmethod
    def store(self) -> None:
        """Keep the point that has been reached, unless it is kept already."""

    def rule_that_holds(self) -> str | None:
        """Return the name of the stopping rule that holds at the point stored last, if one does."""
        return None


def follow(
    process: Process, targets: ArrayLike, clock: Clock, *, progress: bool = False, what: str = ""
) -> str:
    """Follow a process past all targets, a point stored at each, and return how it ended.

    It ends before the last target when it does so by itself, when a stopping rule holds at a stored point,
    when the clock runs out, or after Ctrl-C; the point it got to is stored in any case.
    """
    status: str | None = None
    stops, shown = np.asarray(targets, dtype=np.float64).tolist(), 0
    with progress_bar(progress, what, TICKS) as tick, clock.interruption.listening():
        for target in stops:
            while not status and process.reached < target:
                if clock.expired():
                    status = Status.INTERRUPTED if clock.interrupted else Status.TIME_LIMIT
                    break
                status = process.advance(target)
                now = round(TICKS * process.reached / stops[-1])
                tick(now - shown)
                shown = now
            process.store()
            status = status or process.rule_that_holds()
            if status:
                return status
    return Status.FINISHED
