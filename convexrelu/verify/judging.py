"""From where a run ended to what is proven about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu.certificates.bounds import relative_gap
from convexrelu.certificates.certificate import Certificate, assess
from convexrelu.certificates.kkt import OPTIMALITY_TOL, KKTReport, kkt_report
from convexrelu.networks import TwoLayerReLU
from convexrelu.oracle import DualNorm, dual_norm
from convexrelu.oracle.relaxation import relaxed_norm
from convexrelu.solvers import MaxMarginSolution
from convexrelu.training.start import ScaledStart
from convexrelu.verify.heading import Heading, enlarged
from convexrelu.verify.limits import Limit
from convexrelu.verify.training import CLOSE, End, Run, train
from convexrelu.verify.verdicts import (
    ADDED_NEURON,
    CERTIFIED_OPTIMUM,
    GLOBAL,
    LOCAL,
    NOT_CONVERGED,
    NOT_FITTED,
    OPEN,
    LimitPart,
)

__all__ = ["Target", "judged"]


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


def judged(target: Target, start: ScaledStart, clock: Clock) -> tuple[LimitPart, ...]:
    """Return one run, trained to its limit and judged; nothing if the clock stopped it on its way."""
    end = train(Run(X=target.X, y=target.y, start=start.network), clock)
    if end.cut:
        return ()
    objective = float(end.trajectory.objective[-1])
    empty = LimitPart(
        trajectory=end.trajectory,
        limit=end.trajectory.network_at(-1),
        certificate=_certificate(target, end.trajectory.network_at(-1), _nobody(target)),
        better_by="",
        objective=objective,
        lower_bound=target.optimum.lower_bound,
        stationarity=float("inf"),
        dual_feasibility=float("inf"),
        correspondence="",
        favourable=start.satisfied,
        verdict=NOT_CONVERGED if np.isfinite(objective) else NOT_FITTED,
    )
    return tuple(_at_limit(target, end, heading, empty) for heading in end.headings) or (empty,)


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
        return _nobody(target), ""
    enough = objective * (1 - OPTIMALITY_TOL)
    if norm.value > 1 + OPTIMALITY_TOL:
        point = Limit(network=heading.network, lam=heading.lam)
        grown = enlarged(target.X, target.y, point, norm.direction[None, :], np.array([norm.sign]))
        if grown.network.objective() < enough:
            return grown.network, ADDED_NEURON
    if target.optimum.objective < enough:
        return target.optimum.network, CERTIFIED_OPTIMUM
    return _nobody(target), ""


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


def _nobody(target: Target) -> TwoLayerReLU:
    return TwoLayerReLU(np.zeros((0, target.X.shape[1])), np.zeros(0))
