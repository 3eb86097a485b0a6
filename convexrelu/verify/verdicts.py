"""What is said about one run of gradient descent, what proves it, and how it is found out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._shown import Shown
from convexrelu._status import Status
from convexrelu.certificates import Certificate, MultiClassCertificate
from convexrelu.certificates.bounds import relative_gap
from convexrelu.certificates.certificate import assess
from convexrelu.certificates.kkt import OPTIMALITY_TOL, KKTReport, kkt_report
from convexrelu.networks import TwoLayerReLU
from convexrelu.oracle import DualNorm, dual_norm
from convexrelu.oracle.relaxation import relaxed_norm
from convexrelu.solvers import MaxMarginSolution
from convexrelu.training import Trajectory
from convexrelu.verify.limits import Heading, enlarged
from convexrelu.verify.plan import Start
from convexrelu.verify.training import CLOSE, End, Run, train

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
    "Target",
    "judged",
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


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LimitPart(Shown):
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

    def __str__(self) -> str:
        return f"{self.verdict}, objective {self.objective:.7g}"

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
        if self.verdict != NOT_FITTED or path.status == Status.FINISHED:
            return ""
        if path.status == Status.DIVERGED:
            return f"after {self.n_steps} steps descent left the range of float64"
        sees = bool((path.X @ path.W1[-1].T > 0).any())
        why = "its steps are below the rounding of the weights" if sees else "no neuron sees a sample"
        return f"after {self.n_steps} steps descent stands still: {why}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LimitRun(Shown):
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

    @classmethod
    def of(cls, start: Start, parts: tuple[LimitPart, ...], classes: np.ndarray) -> LimitRun:
        """The run of all its binary problems."""
        certificates = tuple(part.certificate for part in parts)
        return cls(
            width=start.width,
            init_scale=start.scale,
            parts=parts,
            certificate=certificates[0]
            if len(parts) == 1
            else MultiClassCertificate(classes=classes, certificates=certificates),
        )

    def __str__(self) -> str:
        text = f"{self.width} neurons: {self.verdict}"
        if np.isfinite(self.objective):
            text += f", objective {self.objective:.7g}"
        if np.isfinite(self.polished_objective):
            text += f", its limit {self.polished_objective:.7g}"
        return text

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A binary problem and its certified optimum, against which all its runs are judged.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    y : (n,) float array
        Labels +1 and -1.
    optimum : MaxMarginSolution
        The certified optimum.
    norm : DualNorm
        Dual norm of the optimum's dual variable, as its certificate proves it.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    optimum: MaxMarginSolution
    norm: DualNorm

    @classmethod
    def of(
        cls, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], optimum: MaxMarginSolution
    ) -> Target:
        """Return the target of a solved problem."""
        relaxation = optimum.certificate.relaxation
        norm = dual_norm(X, optimum.lam) if relaxation is None else relaxed_norm(X, optimum.lam, relaxation)
        return cls(X=X, y=y, optimum=optimum, norm=norm)

    @property
    def searchable(self) -> bool:
        """Whether dual norms can be found by search, as the optimum's was."""
        return self.optimum.certificate.relaxation is None and self.norm.exact


def judged(targets: tuple[Target, ...], start: Start, clock: Clock) -> tuple[LimitPart, ...]:
    """Return one run in all its binary problems, trained to its limits and judged; nothing if it was cut."""
    parts: list[LimitPart] = []
    for target in targets:
        drawn = start.draw(target.X, target.y, clock)
        if clock.expired():
            return ()
        end = train(Run(X=target.X, y=target.y, start=drawn.network), clock)
        if end.cut:
            return ()
        parts.append(_judged(target, end, favourable=drawn.satisfied))
    return tuple(parts)


def _judged(target: Target, end: End, *, favourable: bool) -> LimitPart:
    """What is known about the end of a run, and about the KKT point that it was heading for."""
    last, objective = end.trajectory.network_at(-1), float(end.trajectory.objective[-1])
    part = LimitPart(
        trajectory=end.trajectory,
        limit=last,
        certificate=_certificate(target, last, _empty(target)),
        better_by="",
        objective=objective,
        lower_bound=target.optimum.lower_bound,
        stationarity=float("inf"),
        dual_feasibility=float("inf"),
        correspondence="",
        favourable=favourable,
        verdict=NOT_CONVERGED if np.isfinite(objective) else NOT_FITTED,
    )
    return _at_limit(target, end, end.headings[0], part) if end.headings else part


def _at_limit(target: Target, end: End, heading: Heading, part: LimitPart) -> LimitPart:
    """The part with what is known about the KKT point that the run was heading for."""
    norm = dual_norm(target.X, heading.lam, search=target.searchable)
    kkt = kkt_report(target.X, target.y, heading.network, heading.lam, norm)
    better, better_by = _better(target, heading, norm)
    certificate = _certificate(target, heading.network, better)
    return replace(
        part,
        limit=heading.network,
        certificate=certificate,
        better_by=better_by,
        stationarity=kkt.stationarity,
        dual_feasibility=kkt.dual_feasibility,
        correspondence=kkt.correspondence,
        verdict=_verdict(end, kkt, certificate, target),
    )


def _verdict(end: End, kkt: KKTReport, certificate: Certificate, target: Target) -> str:
    if not end.close or kkt.stationarity > CLOSE:
        return NOT_CONVERGED
    if relative_gap(certificate.objective, target.optimum.lower_bound) <= OPTIMALITY_TOL:
        return GLOBAL
    return LOCAL if certificate.not_optimal else OPEN


def _better(target: Target, heading: Heading, norm: DualNorm) -> tuple[TwoLayerReLU, str]:
    """Return a network better than a KKT point that is not global, and how it was reached; or no neurons.

    A neuron along a direction u with ``|lam^T (X u)_+| > 1`` improves the point unless its multiplier is one
    of several; if it does not, the optimum itself is the proof.
    """
    objective = heading.network.objective()
    if relative_gap(objective, target.optimum.lower_bound) <= OPTIMALITY_TOL:
        return _empty(target), ""
    stop_below = objective * (1 - OPTIMALITY_TOL)
    if norm.value > 1 + OPTIMALITY_TOL:
        grown = enlarged(target.X, target.y, heading, norm.direction[None, :], np.array([norm.sign]))
        if grown.network.objective() < stop_below:
            return grown.network, ADDED_NEURON
    if target.optimum.objective < stop_below:
        return target.optimum.network, CERTIFIED_OPTIMUM
    return _empty(target), ""


def _certificate(target: Target, network: TwoLayerReLU, better: TwoLayerReLU) -> Certificate:
    optimum = target.optimum
    return assess(
        target.X,
        target.y,
        network,
        optimum.lam,
        norm=target.norm,
        C=np.inf,
        better=better,
        relaxation=optimum.certificate.relaxation,
    )


def _empty(target: Target) -> TwoLayerReLU:
    return TwoLayerReLU(np.zeros((0, target.X.shape[1])), np.zeros(0))
