"""Figures that assert what they show: each comes with numbers, and with the range that they must lie in."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.figure import Figure

from convexrelu.plotting.style import NamedFigure

__all__ = ["Assertion", "ReproducedFigure", "at_least", "at_most"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Assertion:
    """A number that a figure shows, and where it must lie.

    Attributes
    ----------
    name : str
        What it is.
    value : float
        The number computed.
    low, high : float
        The ends of the range.
    statement : str
        What the paper says, with its place.
    """

    name: str
    value: float
    low: float
    high: float
    statement: str

    @property
    def holds(self) -> bool:
        """Whether the number lies in the range."""
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        ends = [f"at least {self.low:.6g}"] if math.isfinite(self.low) else []
        ends += [f"at most {self.high:.6g}"] if math.isfinite(self.high) else []
        mark = "holds" if self.holds else "FAILS"
        return f"{mark}  {self.name}: {self.value:.6g} ({' and '.join(ends)})  [{self.statement}]"


def at_least(name: str, value: float, low: float, statement: str) -> Assertion:
    """Return the assertion that a number is not below a bound."""
    return Assertion(name=name, value=float(value), low=low, high=math.inf, statement=statement)


def at_most(name: str, value: float, high: float, statement: str) -> Assertion:
    """Return the assertion that a number is not above a bound."""
    return Assertion(name=name, value=float(value), low=-math.inf, high=high, statement=statement)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReproducedFigure:
    """A figure of a paper drawn again from computed objects, with what it asserts.

    Attributes
    ----------
    name : str
        The name of its file, without an ending.
    figure : Figure
        The picture.
    assertions : tuple of Assertion
        The numbers.
    """

    name: str
    figure: Figure
    assertions: tuple[Assertion, ...]

    @property
    def holds(self) -> bool:
        """Whether every assertion holds."""
        return all(assertion.holds for assertion in self.assertions)

    @property
    def named(self) -> NamedFigure:
        """What :func:`convexrelu.plotting.save_figures` takes."""
        return NamedFigure(name=self.name, figure=self.figure)

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"  {assertion}" for assertion in self.assertions)])
