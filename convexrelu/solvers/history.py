"""The record of a solve: its rounds, and the line on the terminal that shows the latest."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from convexrelu._clock import Clock, Interruption
from convexrelu.solvers.work import Work

__all__ = ["GLANCE_SHARE", "PROVEN", "Round", "SolverClock", "show_rounds"]

PROVEN = ("oracle", "closed form", "relaxation")
"""Phases whose bound is one on P*, not an estimate."""

GLANCE_SHARE = 0.1
"""Of a proof's time, in which a neuron that the multipliers miss ends the oracle's search.

One found later costs the bound far less than the end of the search would, and there is no time for another.
"""

_LOGGER = logging.getLogger("convexrelu")


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """One round of a solver.

    Attributes
    ----------
    phase : str
        "directions" (linear master), "patterns" (reduced program), "polish" (linear tail), "vertex"
        (multipliers of fewer rows, for the oracle), "oracle" (exact
        pricing), "circle" (the plane's linear program and sweep), "closed form", "program" (all patterns) or
        "relaxation" (semidefinite bound).
    objective : float
        Objective of the current mix, in the data's scale; an upper bound on P* once no artificial slack is
        left.
    bound : float
        ``y^T lam`` over the largest correlation found: a lower bound on P* in the phases `PROVEN`, an
        estimate in the others.
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
class SolverClock(Clock):
    """The clock of a solve, and its rounds so far.

    With a limit of work it counts that instead of seconds, so that what it ends, it ends at the same place on
    every machine, however busy; unless the seconds allowed pass first.

    Attributes
    ----------
    rounds : list of Round
        The record; :meth:`note` appends to it.
    work : Work or None
        What is counted; None for seconds. Clocks made of one another count together.
    """

    rounds: list[Round] = field(default_factory=list)
    work: Work | None = None

    @classmethod
    def of(cls, seconds: float, work_limit: float, interruption: Interruption) -> SolverClock:
        """A clock of seconds, or of work if that is limited."""
        clock = cls(limit=seconds, interruption=interruption)
        if math.isinf(work_limit):
            return clock
        return replace(clock, limit=work_limit, work=Work(clock=clock))

    def share(self, seconds: float, work: float) -> SolverClock:
        """A clock of its own for a part: with these shares of the seconds and of the work that are left."""
        work_limit = math.inf if self.work is None else work * self.left
        return SolverClock.of(seconds * self.seconds, work_limit, self.interruption)

    def of_seconds(self) -> SolverClock:
        """The same clock, counting the work that is left as seconds: for what keeps its own time."""
        if self.work is None:
            return self
        timed = replace(self, work=None)
        return timed.until(timed.elapsed + min(self.left, self.seconds))

    @property
    def elapsed(self) -> float:
        """Seconds, or work, since the start."""
        return super().elapsed if self.work is None else self.work.done

    @property
    def left(self) -> float:
        """Seconds, or work, left."""
        return 0.0 if self._late else super().left

    @property
    def seconds(self) -> float:
        """Seconds left, whatever is counted: for what keeps its own time, and rarely comes near it."""
        return self.left if self.work is None else self.work.clock.left

    @property
    def _late(self) -> bool:
        return self.work is not None and self.work.clock.expired()

    def expired(self) -> bool:
        """Whether the limit of either has passed, or the run was interrupted."""
        return self._late or super().expired()

    def allowed(self, share: float, node: float, *, least: float) -> tuple[float | None, int | None]:
        """A share of what is left, as a search's limits: in seconds, and where work is counted in nodes.

        A node takes so many seconds of work, and the search `least` seconds at least. None for no limit.
        """
        seconds = None if math.isinf(self.limit) else max(share * self.seconds, least)
        return seconds, None if self.work is None else int(share * self.left / node) + 1

    def did(self, seconds: float) -> None:
        """Count work that should have taken so many seconds."""
        if self.work is not None:
            self.work.done += float(seconds)

    def __getstate__(self) -> dict[str, Any]:
        work = None if self.work is None else replace(self.work, done=0.0)
        return {**super().__getstate__(), "work": work}

    def note(self, phase: str, *, objective: float, bound: float, n_neurons: int) -> None:
        """Record a round, and report it on the package's logger."""
        seconds = super().elapsed
        self.rounds.append(
            Round(phase=phase, objective=objective, bound=bound, n_neurons=n_neurons, seconds=seconds)
        )
        _LOGGER.info(
            "%-10s objective %.9g, %s %.9g, %d neurons, %.1f s",
            phase,
            objective,
            "bound" if phase in PROVEN else "estimated bound",
            bound,
            n_neurons,
            seconds,
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
