"""What solving returns: a network, a dual variable, and the certificate that bounds P* from both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._status import Status
from convexrelu.certificates import Certificate, MultiClassCertificate
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers.history import Round

__all__ = ["MaxMarginSolution", "MultiClassSolution"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxMarginSolution:
    """A solved binary problem.

    Attributes
    ----------
    network : TwoLayerReLU
        Margin 1 (hard margin), at most n neurons, merged and pruned.
    lam : (n,) float array
        Dual feasible (``h(lam) <= 1``, and ``y_n lam_n <= C``).
    status : Status
        "optimal" (certified gap within the tolerance), "time_limit", "interrupted", or "bounded": nothing
        more could be proven, the gap says how much is open.
    method : str
        What solved it.
    patterns : (m, n) bool array
        The activity pattern of each neuron.
    history : tuple of Round
        One entry for each round of the solver.
    certificate : Certificate
        The proof; every number here is read from it.
    """

    network: TwoLayerReLU
    lam: Float[np.ndarray, " n"]
    status: Status
    method: str
    patterns: Bool[np.ndarray, "m n"]
    history: tuple[Round, ...]
    certificate: Certificate

    @property
    def objective(self) -> float:
        """Upper bound on P*: this network's objective."""
        return self.certificate.objective

    @property
    def lower_bound(self) -> float:
        """Certified lower bound on P*."""
        return self.certificate.lower_bound

    @property
    def gap(self) -> float:
        """``(objective - lower_bound)/objective``; inf if the objective is."""
        return self.certificate.gap

    def __repr__(self) -> str:
        return (
            f"MaxMarginSolution({self.status}: {self.lower_bound:.9g} <= P* <= {self.objective:.9g}, "
            f"gap {self.gap:.1e}, {self.network.n_neurons} neurons, "
            f"{int(np.count_nonzero(self.lam))} support rows, {self.method})"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MultiClassSolution:
    """One solution for each class against the rest (WP Proposition 1); objectives and bounds are sums.

    Attributes
    ----------
    classes : (K,) array
        The labels.
    solutions : tuple of MaxMarginSolution
        In the same order.
    certificate : MultiClassCertificate
        All the proofs in one document.

    References
    ----------
    WP: docs/references.md.
    """

    classes: np.ndarray
    solutions: tuple[MaxMarginSolution, ...]
    certificate: MultiClassCertificate

    @property
    def objective(self) -> float:
        """Sum of the objectives."""
        return self.certificate.objective

    @property
    def lower_bound(self) -> float:
        """Sum of the lower bounds."""
        return self.certificate.lower_bound

    @property
    def gap(self) -> float:
        """``(objective - lower_bound)/objective`` of the sums."""
        return self.certificate.gap

    @property
    def status(self) -> Status:
        """The worst status among the classes."""
        order = [Status.OPTIMAL, Status.BOUNDED, Status.TIME_LIMIT, Status.INTERRUPTED]
        return max((s.status for s in self.solutions), key=order.index)

    def __repr__(self) -> str:
        lines = [
            f"MultiClassSolution({self.status}: {self.lower_bound:.9g} <= P* <= {self.objective:.9g}, "
            f"gap {self.gap:.1e}"
        ]
        lines += [
            f"  {label}: {solution!r}" for label, solution in zip(self.classes, self.solutions, strict=True)
        ]
        return "\n".join(lines) + ")"
