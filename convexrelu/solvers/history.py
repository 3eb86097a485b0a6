"""The record of a solve: its rounds, and the line on the terminal that shows the latest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from convexrelu._clock import Clock

__all__ = ["Round", "SolverClock", "show_rounds"]

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
class SolverClock(Clock):
    """The clock of a solve, and its rounds so far.

    Attributes
    ----------
    rounds : list of Round
        The record; :meth:`note` appends to it.
    """

    rounds: list[Round] = field(default_factory=list)

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
