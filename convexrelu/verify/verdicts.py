"""What is said about one run of gradient descent, and what proves it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from convexrelu.certificates import Certificate, MultiClassCertificate
from convexrelu.certificates.bounds import relative_gap
from convexrelu.networks import TwoLayerReLU
from convexrelu.training import Trajectory

__all__ = [
    "ADDED_NEURON",
    "CERTIFIED_OPTIMUM",
    "GLOBAL",
    "LOCAL",
    "NOT_CONVERGED",
    "NOT_FITTED",
    "OPEN",
    "VERDICTS",
    "LimitPart",
    "LimitRun",
    "problem_names",
]

GLOBAL = "global optimum"
OPEN = "KKT point, global or not undecided"
LOCAL = "KKT point that is not global"
NOT_CONVERGED = "not converged"
NOT_FITTED = "never fitted the data"
VERDICTS = (GLOBAL, OPEN, LOCAL, NOT_CONVERGED, NOT_FITTED)
"""From best to worst."""

ADDED_NEURON = "one neuron added to the limit"
CERTIFIED_OPTIMUM = "the certified optimum"


@dataclass(frozen=True, kw_only=True, eq=False)
class LimitPart:
    """One binary problem of one run: the whole run for two labels, one class against the rest for K.

    Attributes
    ----------
    trajectory : Trajectory
        Descent from its start.
    limit : TwoLayerReLU
        The KKT point the trajectory was heading for, at margin 1; the trajectory's end where there is none.
    certificate : Certificate
        Of `limit`, with the optimum's dual variable; holds the better network if `limit` is proven not
        global.
    better_by : str
        How the better network was reached: "one neuron added to the limit" (along a direction that correlates
        more than 1 with the limit's multiplier), "the certified optimum", or "" without one.
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
    favourable : bool
        Whether the start met the condition of WP Theorem 1.
    verdict : str
        See :class:`LimitRun`.
    """

    trajectory: Trajectory
    limit: TwoLayerReLU
    certificate: Certificate
    better_by: str
    objective: float
    lower_bound: float
    stationarity: float
    dual_feasibility: float
    correspondence: str
    favourable: bool
    verdict: str

    @property
    def inactive(self) -> float:
        """Share of the neurons that are zero on all the data from the start, so that they never move."""
        return float(self.trajectory.inactive.mean())

    @property
    def n_steps(self) -> int:
        """Steps taken."""
        return int(self.trajectory.times[-1])

    @property
    def standstill(self) -> str:
        """Why descent ended before its last stage without fitting the data; empty if it did not."""
        path = self.trajectory
        if self.verdict != NOT_FITTED or path.status == "finished":
            return ""
        if path.status == "diverged":
            return f"after {self.n_steps} steps descent left the range of float64"
        sees = bool((path.X @ path.W1[-1].T > 0).any())
        why = "its steps are below the rounding of the weights" if sees else "no neuron sees a sample"
        return f"after {self.n_steps} steps descent stands still: {why}"


@dataclass(frozen=True, kw_only=True, eq=False)
class LimitRun:
    """One run of gradient descent, judged.

    Attributes
    ----------
    width : int
        Neurons (of each class's network).
    init_scale : float
        Size of each neuron at the start, see :func:`verify_gradient_descent`.
    parts : tuple of LimitPart
        One for two labels, one a class for K > 2.
    certificate : Certificate or MultiClassCertificate
        Of the limit.
    """

    width: int
    init_scale: float
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
    def inactive(self) -> float:
        """Share of the neurons that are zero on all the data from the start, so that they never move."""
        return float(np.mean([part.inactive for part in self.parts]))

    @property
    def n_steps(self) -> int:
        """Steps taken, the most of all classes."""
        return max(part.n_steps for part in self.parts)

    @property
    def verdict(self) -> str:
        """The worst verdict among the classes.

        "global optimum", "KKT point that is not global", "not converged" or "never fitted the data"; "KKT
        point, global or not undecided" appears only where the optimum itself could not be certified to 1e-6.
        """
        return max((part.verdict for part in self.parts), key=VERDICTS.index)

    @property
    def problems(self) -> tuple[str, ...]:
        """Names of the binary problems: "" for two labels, the classes for more."""
        if isinstance(self.certificate, MultiClassCertificate):
            return problem_names(self.certificate.classes)
        return ("",)

    def problems_of(self, verdict: str) -> tuple[str, ...]:
        """Return the names of the classes with this verdict; nothing for two labels.

        Parameters
        ----------
        verdict : str
            See :attr:`verdict`.

        Returns
        -------
        tuple of str
            In the order of the classes.
        """
        named = zip(self.problems, self.parts, strict=True)
        return tuple(name for name, part in named if name and part.verdict == verdict)

    @property
    def verdict_by_class(self) -> str:
        """The verdict, and for more than two classes which of them have it and which another bad one."""
        bad = [verdict for verdict in reversed(VERDICTS[1:]) if self.problems_of(verdict)]
        return "; ".join(f"{verdict} ({', '.join(self.problems_of(verdict))})" for verdict in bad) or (
            self.verdict
        )

    @property
    def proof(self) -> str:
        """Why limits are not global: a better network's objective, for each class concerned, or nothing.

        Objectives are those of the class's own network, not the run's sum over the classes.
        """
        return "; ".join(
            (f"{name} alone: " if name else "")
            + f"a network of objective {part.certificate.better_objective:.7g} < "
            f"{part.certificate.objective:.7g} exists ({part.better_by})"
            for name, part in zip(self.problems, self.parts, strict=True)
            if part.verdict == LOCAL
        )


def problem_names(classes: Iterable[object]) -> tuple[str, ...]:
    """Return the names of one-against-the-rest problems: whole numbers without a point."""
    return tuple(f"class {name:g}" if isinstance(name, float) else f"class {name}" for name in classes)
