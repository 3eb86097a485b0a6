"""Work in place of seconds: what ends a search at the same place on every machine, however busy.

Each kernel of the solvers counts what it has done, in seconds of one idle core: numbers of operations times
the rates below, as measured on an x86-64 core over programs of 10^3 to 10^6 entries. They are right within a
factor of two or three, and need not be better: what matters is that they are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from convexrelu._clock import Clock

__all__ = ["ASCENT", "CONE", "CORNER", "ENTRY", "FIT", "PIVOT", "STEP", "Work"]

ASCENT = 7e-8
"""An ascent of the local search, for an entry of the rows that carry a weight."""

CONE, CORNER = 1e-6, 1e-2
"""A node of the oracle's search: of one output, for a multiplier that is not zero; and of several outputs."""

ENTRY = 1.3e-7
"""An iteration of Clarabel's, for an entry of the program."""

FIT = 5e-3, 1e-8
"""A fit of sizes, and what it takes for a row and a pair of neurons."""

PIVOT = 2e-7
"""A linear program of HiGHS's, for an entry, where it is begun from the one before."""

STEP = 1e-3, 2e-10
"""An iteration of the central master, and what it takes for a product of its factorisation."""


@dataclass(kw_only=True, eq=False)
class Work:
    """Work done.

    Attributes
    ----------
    clock : Clock
        The seconds that it may take in any case.
    done : float
        In seconds of one idle core, as estimated.
    """

    clock: Clock
    done: float = 0.0
