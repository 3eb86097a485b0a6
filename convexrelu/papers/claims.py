"""Claims of a paper: what it states, what the package computes, and whether the two agree.

A paper is reproduced figure by figure: its module has a function ``figures`` that yields one
:class:`ReproducedFigure` after the other, each a picture drawn from computed objects with the claims behind
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from convexrelu.plotting import NamedFigure

__all__ = ["Claim", "ReproducedFigure", "paper_document"]

Numbers = bool | int | float | Sequence[float] | np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Claim:
    """A number (or several) that a paper states, next to what the package computes.

    Attributes
    ----------
    about : str
        What the number is.
    computed : tuple of float
        What the package finds.
    relation : str
        How it relates to the stated number: "equal to", "at least" or "at most".
    stated : tuple of float
        What the paper states, an entry for each one computed.
    tolerance : float
        By how much an entry may miss.
    source : str
        Where the paper states it, and what it prints if that is something else.

    Examples
    --------
    >>> print(Claim.equals("P*", 1.2824321, 1.282432, 1e-6, "WP appendix F.1"))
    holds  P*: 1.282432, stated to be equal to 1.282432 (within 1e-06)  [WP appendix F.1]
    >>> Claim.at_most("norm", 0.5, 0.3, "KH2 Figure 1").holds
    False
    """

    about: str
    computed: tuple[float, ...]
    relation: Literal["equal to", "at least", "at most"]
    stated: tuple[float, ...]
    tolerance: float = 0.0
    source: str = ""

    @classmethod
    def equals(
        cls, about: str, computed: Numbers, stated: Numbers, tolerance: float = 0.0, source: str = ""
    ) -> Claim:
        """Return the claim that a number, or every entry of several, is the one stated.

        Parameters
        ----------
        about : str
            What the number is.
        computed, stated : float or sequence of float
            What the package finds, and what the paper states; facts are True and False.
        tolerance : float, default 0
            By how much an entry may miss.
        source : str
            Where the paper states it.

        Returns
        -------
        Claim
            It may hold or not.
        """
        return cls._of(about, computed, "equal to", stated, tolerance, source)

    @classmethod
    def at_least(cls, about: str, computed: Numbers, stated: Numbers, source: str = "") -> Claim:
        """Return the claim that a number is not below the one stated; parameters as for `equals`."""
        return cls._of(about, computed, "at least", stated, 0.0, source)

    @classmethod
    def at_most(cls, about: str, computed: Numbers, stated: Numbers, source: str = "") -> Claim:
        """Return the claim that a number is not above the one stated; parameters as for `equals`."""
        return cls._of(about, computed, "at most", stated, 0.0, source)

    @classmethod
    def _of(
        cls,
        about: str,
        computed: Numbers,
        relation: Literal["equal to", "at least", "at most"],
        stated: Numbers,
        tolerance: float,
        source: str,
    ) -> Claim:
        return cls(
            about=about,
            computed=tuple(float(value) for value in np.atleast_1d(computed)),
            relation=relation,
            stated=tuple(float(value) for value in np.atleast_1d(stated)),
            tolerance=tolerance,
            source=source,
        )

    @property
    def holds(self) -> bool:
        """Whether every entry meets the stated one, but for the tolerance; a NaN meets none."""
        if len(self.computed) != len(self.stated):
            return False
        above = np.subtract(self.computed, self.stated)
        miss = {"equal to": np.abs(above), "at least": -above, "at most": above}[self.relation]
        return bool((miss <= self.tolerance).all())

    def __str__(self) -> str:
        within = f" (within {self.tolerance:g})" if self.tolerance else ""
        return (
            f"{'holds' if self.holds else 'FAILS'}  {self.about}: {_shown(self.computed)}, "
            f"stated to be {self.relation} {_shown(self.stated)}{within}"
        ) + (f"  [{self.source}]" if self.source else "")


def _shown(values: tuple[float, ...]) -> str:
    text = ", ".join(f"{value:.7g}" for value in values)
    return text if len(values) == 1 else f"({text})"


@dataclass(frozen=True, kw_only=True, eq=False)
class ReproducedFigure:
    """A figure of a paper drawn again from computed objects, with the claims behind it.

    Attributes
    ----------
    name : str
        The name of its file, without an ending.
    figure : Figure
        The picture.
    claims : sequence of Claim
        What the paper says of it; none if it only illustrates.
    setting : str
        What was run for it: data, network, start, steps, seeds.
    """

    name: str
    figure: Figure
    claims: Sequence[Claim]
    setting: str

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(claim.holds for claim in self.claims)

    @property
    def named(self) -> NamedFigure:
        """What :func:`convexrelu.plotting.save_figures` takes."""
        return NamedFigure(name=self.name, figure=self.figure)

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"  {claim}" for claim in self.claims)])


def paper_document(paper: str, figures: Iterable[ReproducedFigure]) -> dict[str, Any]:
    """Return the claims of a paper as JSON values.

    Parameters
    ----------
    paper : str
        Its name.
    figures : iterable of ReproducedFigure
        What was reproduced of it.

    Returns
    -------
    dict
        For the paper, each figure and each claim: its name, whether it holds, and what it consists of.
    """
    drawn = [
        {
            "name": figure.name,
            "holds": figure.holds,
            "setting": figure.setting,
            "claims": [asdict(claim) | {"holds": claim.holds} for claim in figure.claims],
        }
        for figure in figures
    ]
    return {"paper": paper, "holds": all(figure["holds"] for figure in drawn), "figures": drawn}
