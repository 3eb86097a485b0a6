"""Runs counted: how many got each verdict, which limits they share, what their neurons align to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._shown import Shown
from convexrelu._statistics import wilson_interval
from convexrelu.verify.verdicts import GLOBAL, VERDICTS, LimitRun

__all__ = ["AlignedShare", "LimitCell", "ReachedLimit", "Share"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Share:
    """How often something happened, and Wilson's 95 % confidence interval for its probability.

    Attributes
    ----------
    count, total : int
        How often, in how many trials.
    """

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share; 0 of 0 is 0."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval at 95 %; everything without a trial."""
        if not self.total:
            return 0.0, 1.0
        low, high = wilson_interval(self.count, self.total)
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count} of {self.total} ({low:.0%} to {high:.0%})"

    def to_document(self) -> dict[str, Any]:
        """The share as JSON values."""
        return {"count": self.count, "total": self.total, "wilson_95": list(self.interval)}


@dataclass(frozen=True, kw_only=True, eq=False)
class ReachedLimit:
    """Runs whose limits have one objective.

    Attributes
    ----------
    objective : float
        That of the limits at margin 1; inf for runs that never fitted the data.
    verdict : str
        The worst among them.
    share : Share
        How many of the runs.
    """

    objective: float
    verdict: str
    share: Share


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LimitCell(Shown):
    """The runs of one width and one initial scale.

    Attributes
    ----------
    width : int
        Neurons of each network.
    init_scale : float
        Size of each neuron at the start.
    runs : tuple of LimitRun
        Those finished.
    """

    width: int
    init_scale: float
    runs: tuple[LimitRun, ...]

    def __str__(self) -> str:
        return f"{self.width} neurons from scale {self.init_scale:g}: {self.success} reach the global optimum"

    def share_of(self, verdict: str) -> Share:
        """How many of the runs got this verdict."""
        return Share(count=sum(run.verdict == verdict for run in self.runs), total=len(self.runs))

    @property
    def success(self) -> Share:
        """How many of the runs ended in a global optimum."""
        return self.share_of(GLOBAL)

    @property
    def inactive(self) -> float:
        """Share of the neurons that never move."""
        return float(np.mean([run.inactive for run in self.runs])) if self.runs else 0.0

    @property
    def limits(self) -> tuple[ReachedLimit, ...]:
        """The distinct limits by objective, the smallest first, and the share of starts that lead there."""
        groups: list[list[LimitRun]] = []
        for run in sorted(self.runs, key=lambda run: run.polished_objective):
            first = groups[-1][0].polished_objective if groups else -1.0
            # Limits of runs whose objectives differ by less than this, relatively, are counted as one.
            if run.polished_objective <= first * (1 + 1e-5) or run.polished_objective == first:
                groups[-1].append(run)
            else:
                groups.append([run])
        return tuple(
            ReachedLimit(
                objective=group[0].polished_objective,
                verdict=max((run.verdict for run in group), key=VERDICTS.index),
                share=Share(count=len(group), total=len(self.runs)),
            )
            for group in groups
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedShare:
    """A dual extreme point, and how many neurons the early phase takes to it.

    Attributes
    ----------
    problem : str
        "" for two labels, else the class that stands against the rest.
    direction : (d,) float array
        The unit direction.
    sign : int
        Of the neurons' output weights.
    value : float
        ``y^T (X u)_+``.
    share : Share
        How many of the problem's neurons of that sign.
    """

    problem: str
    direction: Float[np.ndarray, " d"]
    sign: int
    value: float
    share: Share
