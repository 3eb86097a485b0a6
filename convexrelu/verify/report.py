"""What gradient descent found, run by run, next to the certified optimum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu.certificates import Certificate, MultiClassCertificate
from convexrelu.certificates.bounds import relative_gap
from convexrelu.dynamics import Trajectory
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers import MaxMarginSolution, MultiClassSolution

__all__ = [
    "GLOBAL",
    "LOCAL",
    "NOT_CONVERGED",
    "NOT_FITTED",
    "OPEN",
    "LimitPart",
    "LimitReport",
    "LimitRun",
]

GLOBAL = "global optimum"
OPEN = "KKT point, global or not undecided"
LOCAL = "KKT point that is not global"
NOT_CONVERGED = "not converged"
NOT_FITTED = "never fitted the data"
_WORST_LAST = (GLOBAL, OPEN, LOCAL, NOT_CONVERGED, NOT_FITTED)


@dataclass(frozen=True, kw_only=True, eq=False)
class LimitPart:
    """One binary problem of one run: the whole run for two labels, one class against the rest for K.

    Attributes
    ----------
    trajectory : Trajectory
        Descent from its start.
    limit : TwoLayerReLU
        The KKT point of the trajectory's activities, at margin 1; the trajectory's end where there is none.
    certificate : Certificate
        Of `limit`, with the optimum's dual variable; holds the better network if `limit` is proven not
        global.
    objective : float
        The trajectory's end at margin 1; inf if it does not fit the data.
    lower_bound : float
        The certified optimum's.
    stationarity : float
        KKT residual of the limit with its own multiplier (inf without a limit).
    dual_feasibility : float
        Upper bound on h of that multiplier (inf without a limit).
    correspondence : str
        What Theorem 3 and Propositions 4 and 5 say about the limit.
    inactive : float
        Share of the neurons that are zero on all the data from the start, so that they never move.
    favourable : bool
        Whether the start met the condition of WP Theorem 1.
    verdict : str
        See :class:`LimitRun`.
    """

    trajectory: Trajectory
    limit: TwoLayerReLU
    certificate: Certificate
    objective: float
    lower_bound: float
    stationarity: float
    dual_feasibility: float
    correspondence: str
    inactive: float
    favourable: bool
    verdict: str


@dataclass(frozen=True, kw_only=True, eq=False)
class LimitRun:
    """One run of gradient descent, judged.

    Attributes
    ----------
    parts : tuple of LimitPart
        One for two labels, one a class for K > 2.
    certificate : Certificate or MultiClassCertificate
        Of the limit.
    """

    parts: tuple[LimitPart, ...]
    certificate: Certificate | MultiClassCertificate

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        """Descent's trajectory in each binary problem."""
        return tuple(part.trajectory for part in self.parts)

    @property
    def objective(self) -> float:
        """Where descent stopped: objective at margin 1, summed over the classes."""
        return float(sum(part.objective for part in self.parts))

    @property
    def polished_objective(self) -> float:
        """Where it was heading: the same for the limits."""
        return self.certificate.objective

    @property
    def lower_bound(self) -> float:
        """The certified optimum's lower bound, summed over the classes."""
        return float(sum(part.lower_bound for part in self.parts))

    @property
    def gap(self) -> float:
        """Relative gap before polishing; inf if the data is not fitted."""
        return relative_gap(self.objective, self.lower_bound)

    @property
    def polished_gap(self) -> float:
        """Relative gap of the limit."""
        return relative_gap(self.polished_objective, self.lower_bound)

    @property
    def stationarity(self) -> float:
        """Largest KKT residual of the limits."""
        return max(part.stationarity for part in self.parts)

    @property
    def dual_feasibility(self) -> float:
        """Largest h of the limits' own multipliers: at most 1 means that Theorem 3 applies."""
        return max(part.dual_feasibility for part in self.parts)

    @property
    def verdict(self) -> str:
        """The worst verdict among the classes.

        "global optimum", "KKT point that is not global", "not converged" or "never fitted the data"; "KKT
        point, global or not undecided" appears only where the optimum itself could not be certified to 1e-6.
        """
        return max((part.verdict for part in self.parts), key=_WORST_LAST.index)

    @property
    def proof(self) -> str:
        """Why limits are not global: a better network's objective, for each class concerned, or nothing."""
        proven = [part.certificate for part in self.parts if part.verdict == LOCAL]
        return "; ".join(
            f"a network of objective {c.better_objective:.7g} < {c.objective:.7g} exists" for c in proven
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class LimitReport:
    """What gradient descent found, run by run, next to the certified optimum.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    y : (n,) array
        The labels as given.
    solution : MaxMarginSolution or MultiClassSolution
        The certified optimum.
    runs : tuple of LimitRun
        In the order of their seeds.
    width : int
        Neurons in each run (in each class's network).
    init_scale : float
        ``||w1|| = |w2|`` at the start.
    """

    X: Float[np.ndarray, "n d"]
    y: np.ndarray
    solution: MaxMarginSolution | MultiClassSolution
    runs: tuple[LimitRun, ...]
    width: int
    init_scale: float

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many runs got each verdict."""
        verdicts = [run.verdict for run in self.runs]
        return {verdict: verdicts.count(verdict) for verdict in _WORST_LAST if verdict in verdicts}

    @property
    def all_optimal(self) -> bool:
        """Whether every run ended in a global optimum."""
        return set(self.counts) == {GLOBAL}

    def __str__(self) -> str:
        n, d = self.X.shape
        solution = self.solution
        lines = [
            f"Gradient descent against the convex optimum: n = {n}, d = {d}, {self.width} neurons, "
            f"initial scale {self.init_scale:g}",
            f"  certified optimum  {solution.lower_bound:.7g} <= P* <= {solution.objective:.7g}  "
            f"(gap {max(solution.gap, 0):.1e})",
            _row("run", "descent", "gap", "its limit", "gap", "KKT res.", "h(lam)", "verdict"),
        ]
        for number, run in enumerate(self.runs, start=1):
            lines.append(
                _row(
                    str(number),
                    f"{run.objective:.7g}",
                    f"{max(run.gap, 0):.1e}",
                    f"{run.polished_objective:.7g}",
                    f"{max(run.polished_gap, 0):.1e}",
                    f"{run.stationarity:.1e}",
                    f"{run.dual_feasibility:.6f}",
                    run.verdict,
                )
            )
            if run.verdict == NOT_CONVERGED:
                steps = max(int(part.trajectory.times[-1]) for part in run.parts)
                lines.append(
                    f"        after {steps} steps descent is still {run.gap - run.polished_gap:.1e} "
                    "(relatively) from the limit of its activities"
                )
            if run.proof:
                lines.append(f"        proof: {run.proof}")
        total = len(self.runs)
        lines.append(
            "  " + ", ".join(f"{count} of {total}: {verdict}" for verdict, count in self.counts.items())
        )
        lines += [f"  {text}" for text in self._correspondences()]
        unfavourable = sum(not part.favourable for run in self.runs for part in run.parts)
        if unfavourable:
            lines.append(
                f"  {unfavourable} start(s) had no neuron in favour of each class (WP eq. (9)), "
                "even after 100 draws"
            )
        return "\n".join(lines)

    def _correspondences(self) -> list[str]:
        """What Theorem 3 says about the limits, with the number of them it says it about."""
        texts = [part.correspondence for run in self.runs for part in run.parts if part.correspondence]
        total = sum(len(run.parts) for run in self.runs)
        return [f"{texts.count(text)} of {total} limits: {text}" for text in dict.fromkeys(texts)]

    def to_document(self) -> dict[str, Any]:
        """The report as JSON values; infinities are the string "inf"."""
        runs = [
            {
                "verdict": run.verdict,
                "objective": _finite(run.objective),
                "gap": _finite(run.gap),
                "polished_objective": _finite(run.polished_objective),
                "polished_gap": _finite(run.polished_gap),
                "stationarity": _finite(run.stationarity),
                "dual_feasibility": _finite(run.dual_feasibility),
                "proof": run.proof,
                "correspondence": [part.correspondence for part in run.parts],
                "steps": [int(part.trajectory.times[-1]) for part in run.parts],
                "inactive": [part.inactive for part in run.parts],
            }
            for run in self.runs
        ]
        return {
            "n": len(self.X),
            "d": int(self.X.shape[1]),
            "width": self.width,
            "init_scale": self.init_scale,
            "objective": _finite(self.solution.objective),
            "lower_bound": self.solution.lower_bound,
            "gap": _finite(self.solution.gap),
            "counts": self.counts,
            "runs": runs,
        }


def _finite(value: float) -> float | str:
    return float(value) if np.isfinite(value) else "inf"


def _row(*cells: str) -> str:
    """One line of the table; the last cell is flush left."""
    widths = (4, 11, 8, 11, 8, 8, 9)
    return "  " + "  ".join(
        [*(cell.rjust(width) for cell, width in zip(cells, widths, strict=False)), cells[-1]]
    )
