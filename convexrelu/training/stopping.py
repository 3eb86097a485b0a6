"""When descent has gone far enough: rules that are checked at recorded points, and recomputed from there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._status import Status
from convexrelu._validation import check_nonnegative, check_positive
from convexrelu.training.trajectory import DeepTrajectory, Trajectory

__all__ = ["CertifiedGap", "DirectionChange", "KKTResidual", "StoppingRule", "kkt_residual"]


class StoppingRule(ABC):
    """A condition on the recorded points so far; descent ends where one first holds.

    Points are recorded at about geometric spacing unless said otherwise, so that the checks cost little.
    """

    name: str
    """The status of a run that ends by this rule."""

    asks_for_margins = False
    """Whether it can only judge a :class:`~convexrelu.Trajectory`, that of a TwoLayerReLU."""

    @abstractmethod
    def holds(self, path: Any) -> bool:
        """Whether the rule holds at the last point of a path.

        Parameters
        ----------
        path : Trajectory or DeepTrajectory
            The last two recorded points (or the first one alone).

        Returns
        -------
        bool
            Whether to stop.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class DirectionChange(StoppingRule):
    """Stop when ``theta/||theta||`` moved by at most `tol` since the point recorded before.

    Cheap, and a measurement, not a proof: descent that crawls changes little too.

    Attributes
    ----------
    tol : float
        The largest distance of the two unit vectors.
    """

    tol: float
    name = Status.DIRECTION_CHANGE

    def __post_init__(self) -> None:
        check_positive(self.tol, "tol")

    def holds(self, path: Trajectory | DeepTrajectory) -> bool:
        """Whether the last two points have nearly the same direction."""
        if len(path) < 2:
            return False
        before, after = path.vectors[-2:]
        sizes = np.linalg.norm(before), np.linalg.norm(after)
        return bool(min(sizes) > 0 and np.linalg.norm(before / sizes[0] - after / sizes[1]) <= self.tol)


@dataclass(frozen=True, kw_only=True, eq=False)
class CertifiedGap(StoppingRule):
    """Stop when the network, scaled to margin 1, is within a relative `tol` of P*, certified.

    It is the relative gap of :meth:`~convexrelu.Trajectory.gap_at`: a proof, at the price of the oracle.

    Attributes
    ----------
    tol : float
        The largest gap.
    """

    tol: float
    name = Status.CERTIFIED_GAP
    asks_for_margins = True

    def __post_init__(self) -> None:
        check_positive(self.tol, "tol")

    def holds(self, path: Trajectory) -> bool:
        """Whether the last point's certified gap is small enough."""
        return bool(path.margin[-1] > 0 and path.gap_at(-1) <= self.tol)


@dataclass(frozen=True, kw_only=True, eq=False)
class KKTResidual(StoppingRule):
    """Stop when the direction is nearly a KKT point of max-margin training (WP 13); see :func:`kkt_residual`.

    Attributes
    ----------
    tol : float
        The largest residual.
    tie : float, default 1e-6
        Rows within this sine of a neuron's hyperplane count as on it: their masks may be anything in [0, 1].
        (Descent jumps to and fro across a hyperplane that the flow slides along, and is never on it.)
    """

    tol: float
    tie: float = 1e-6
    name = Status.KKT_RESIDUAL
    asks_for_margins = True

    def __post_init__(self) -> None:
        check_positive(self.tol, "tol")
        check_nonnegative(self.tie, "tie")

    def holds(self, path: Trajectory) -> bool:
        """Whether the last point's residual is small enough."""
        return kkt_residual(path, -1, tie=self.tie) <= self.tol


def kkt_residual(path: Trajectory, index: int = -1, *, tie: float = 1e-6) -> float:
    """Return how far a recorded point's direction is from a KKT point of WP 13; inf where it does not fit.

    The network is scaled to margin 1, and the multipliers are the relative loss weights times the c with
    ``||W1||_F^2 = c sum_n lam_n f(x_n)``, which stationarity demands. The residual is the larger of

        ``sqrt(sum_i min_D ||w1_i - w2_i X^T D lam||^2 + (w2_i - lam^T (X w1_i)_+)^2) / ||theta||``

    over Clarke masks D, and the complementarity ``sum_n |lam_n| (y_n f(x_n) - 1) / sum_n |lam_n|``.

    Parameters
    ----------
    path : Trajectory
        The run.
    index : int, default -1
        Which recorded point.
    tie : float, default 1e-6
        Rows within this sine of a neuron's hyperplane count as on it.

    Returns
    -------
    float
        The residual, 0 at a KKT point.
    """
    if not path.margin[index] > 0:
        return np.inf
    root = np.sqrt(path.margin[index])
    W1, w2 = path.W1[index] / root, path.w2[index] / root
    weights, margins = path.relative_lam[index], path.margins[index] / path.margin[index]
    lam = weights * np.square(W1).sum() / (np.abs(weights) @ margins)
    residual = sum(_neuron_residual(path.X, lam, w1, float(b), tie) for w1, b in zip(W1, w2, strict=True))
    size = np.square(W1).sum() + np.square(w2).sum()
    slack = float(np.abs(weights) @ (margins - 1.0))
    return max(float(np.sqrt(residual / size)), slack)


def _neuron_residual(
    X: Float[np.ndarray, "n d"],
    lam: Float[np.ndarray, " n"],
    w1: Float[np.ndarray, " d"],
    b: float,
    tie: float,
) -> float:
    """The squared residual of one neuron, its masks free on the rows it is nearly on."""
    from convexrelu._box_least_norm import box_least_norm

    heights = X @ w1
    tied = (np.abs(heights) <= tie * np.linalg.norm(X, axis=1) * np.linalg.norm(w1)) & (lam != 0)
    active = (heights > 0) & ~tied
    least = box_least_norm(
        b * lam[tied, None] * X[tied], w1 - b * (lam[active] @ X[active]), np.ones(tied.sum())
    )
    return least.norm**2 + float(b - lam @ np.maximum(heights, 0.0)) ** 2
