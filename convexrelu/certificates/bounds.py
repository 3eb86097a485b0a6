"""Weak duality: any network bounds P* from above, any dual variable bounds it from below.

Hard margin: a network with ``q = min_n y_n f(x_n) > 0`` scales to margin 1 with objective ``||theta||^2 /
(2q) >= P*``; a lam with ``Y lam >= 0`` scales to dual feasibility with value ``y^T lam / h(lam) <= P*``. With
a finite C the network is scaled to minimise ``a ||theta||^2/2 + C sum (1 - a q_n)_+`` and lam must also keep
``y_n lam_n <= C``. Both bounds are rounded outwards, by the rounding of their own evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.oracle import DualNorm

__all__ = ["Bounds", "best_rescaling", "bound", "dual_scale", "feasible_signs", "relative_gap", "upper_bound"]

_EPS = float(np.finfo(float).eps)
# Entries of the wrong sign up to this share of the largest are a solver's rounding, and are set to zero.
WRONG_SIGN_TOL = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounds:
    """Both sides of weak duality for one network and one dual variable.

    Attributes
    ----------
    objective : float
        Upper bound on P* that the network proves; inf if it does not fit the data (hard margin).
    lower_bound : float
        Lower bound on P* that lam proves.
    margin : float
        ``min_n y_n f(x_n)`` of the network as given.
    dual_feasibility : float
        Proven upper bound on h(lam): lam is dual feasible if it is at most 1.
    exact : bool
        Whether h(lam) is known to rounding, and not only bounded.
    """

    objective: float
    lower_bound: float
    margin: float
    dual_feasibility: float
    exact: bool

    @property
    def gap(self) -> float:
        """Relative gap ``(objective - lower_bound)/objective``; inf if the objective is."""
        return relative_gap(self.objective, self.lower_bound)


def relative_gap(objective: float, lower_bound: float) -> float:
    """Return ``(objective - lower_bound)/objective``: inf if the objective is, 0 if that is 0."""
    if np.isinf(objective):
        return float("inf")
    return (objective - lower_bound) / objective if objective > 0 else 0.0


def bound(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    network: TwoLayerReLU,
    lam: Float[np.ndarray, " n"],
    norm: DualNorm,
    C: float,
) -> Bounds:
    """Return the bounds that a network and a dual variable (``y * lam >= 0``) of this dual norm prove."""
    scale = dual_scale(y, lam, norm.upper_bound, C)
    value = float(y @ lam) * (1 - (len(y) + 4) * _EPS)
    return Bounds(
        objective=upper_bound(X, y, network, C),
        lower_bound=value / scale if scale > 0 else 0.0,
        margin=float((y * network(X)).min()),
        dual_feasibility=norm.upper_bound,
        exact=norm.exact and norm.cover is None,
    )


def feasible_signs(y: Float[np.ndarray, " n"], lam: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Lam with entries of the wrong sign set to zero if they are rounding, or InvalidInputError."""
    wrong = y * lam < 0
    worst = float(np.abs(lam[wrong]).max(initial=0.0))
    if worst > WRONG_SIGN_TOL * float(np.abs(lam).max(initial=0.0)):
        rows = ", ".join(str(int(i)) for i in np.flatnonzero(wrong)[:8])
        raise InvalidInputError(
            f"lam must have y * lam >= 0 (dual feasibility), got entries of the wrong sign in rows {rows}"
        )
    return np.where(wrong, 0.0, lam)


def dual_scale(y: Float[np.ndarray, " n"], lam: Float[np.ndarray, " n"], norm: float, C: float) -> float:
    """By what lam must be divided to be dual feasible: h(lam), or what the cap C asks for if that is more."""
    return max(norm, float((y * lam).max(initial=0.0)) / C)


def upper_bound(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU, C: float
) -> float:
    """Return the objective of the best rescaling of a network: an upper bound on P*."""
    half_norm = network.objective()
    margins = _safe_margins(X, y, network)
    if np.isinf(C):
        worst = float(margins.min())
        return half_norm / worst if worst > 0 else float("inf")
    scale = _soft_scale(half_norm, margins, C)
    return float(scale * half_norm + C * np.maximum(1 - scale * margins, 0).sum())


def best_rescaling(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU, C: float
) -> TwoLayerReLU:
    """Return the rescaling of a network with the smallest soft-margin objective, balanced."""
    scale = _soft_scale(network.objective(), _safe_margins(X, y, network), C)
    if scale == 0:
        return TwoLayerReLU(network.W1[:0], network.w2[:0])
    return network.scaled_function(scale).balanced()


def _safe_margins(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU
) -> Float[np.ndarray, " n"]:
    """Return the margins ``y_n f(x_n)``, less the rounding of their evaluation."""
    rounding = (sum(network.W1.shape) + 4) * _EPS * network.group_norm() * np.linalg.norm(X, axis=1)
    return np.asarray(y * network(X) - rounding)


def _soft_scale(half_norm: float, margins: Float[np.ndarray, " n"], C: float) -> float:
    """Return the a >= 0 that minimises ``a half_norm + C sum (1 - a margins)_+``: a kink of it, or 0."""
    positive = np.sort(margins[margins > 0])[::-1]  # kinks 1/q in increasing order of a
    # beyond the kinks of the largest k margins the slope is half_norm - C (sum of all margins - those k)
    slopes = half_norm - C * (margins.sum() - np.r_[0.0, np.cumsum(positive)])
    first = int(np.argmax(slopes >= 0)) if (slopes >= 0).any() else len(positive)
    return 0.0 if first == 0 else float(1.0 / positive[first - 1])
