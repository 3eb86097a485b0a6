"""Weak duality: any network bounds P* from above, any dual variable bounds it from below.

Hard margin: a network with ``q = min_n y_n f(x_n) > 0`` scales to margin 1 with objective ``||theta||^2 /
(2q) >= P*``; a lam with ``Y lam >= 0`` scales to dual feasibility with value ``y^T lam / h(lam) <= P*``. With
a finite C the network is scaled to minimise ``a ||theta||^2/2 + C sum (1 - a q_n)_+`` and lam must also keep
``y_n lam_n <= C``. Both bounds are rounded outwards, by the rounding of their own evaluation.

Neither bound depends on the scale of the network or of lam, and on that of X by a factor. Powers of two bring
all three near one before anything is squared, which changes no digit: what float64 holds neither overflows
nor vanishes, and a bound that it does not hold is infinite, or the largest float, and never NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.networks.neurons import row_norms
from convexrelu.oracle import DualNorm

__all__ = [
    "Bounds",
    "at_margin",
    "best_rescaling",
    "bound",
    "dual_scale",
    "feasible_signs",
    "lower_bound",
    "margins",
    "relative_gap",
    "scale_exponent",
    "scaled_by",
    "upper_bound",
]

_EPS = float(np.finfo(float).eps)
# The smallest float, the smallest whose rounding is relative, and the largest.
_TINY, _NORMAL, _HUGE = (
    float(np.finfo(float).smallest_subnormal),
    float(np.finfo(float).tiny),
    float(np.finfo(float).max),
)
_SHORT = 2.0**-500  # the squares of longer rows are normal numbers, where they matter
_DIRECT = 1000  # powers of two up to it, and down to its inverse, are floats
_SMALLEST_OUTPUT = 2.0**-1000  # of a network and data near one: its inverse is still a float
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
    """Return ``(objective - lower_bound)/objective``; inf where the objective proves nothing.

    That is where it is inf or NaN, or zero, which no network attains.
    """
    if not 0 < objective < np.inf:
        return float("inf")
    return (objective - lower_bound) / objective


def bound(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    network: TwoLayerReLU,
    lam: Float[np.ndarray, " n"],
    norm: DualNorm,
    C: float,
) -> Bounds:
    """Return the bounds that a network and a dual variable (``y * lam >= 0``) of this dual norm prove."""
    judged = _Evaluation.of(X, y, network)
    return Bounds(
        objective=judged.objective(C),
        lower_bound=lower_bound(y, lam, norm.upper_bound, C),
        margin=float(judged.margins().min()),
        dual_feasibility=norm.upper_bound,
        exact=norm.exact and norm.cover is None,
    )


def lower_bound(y: Float[np.ndarray, " n"], lam: Float[np.ndarray, " n"], norm: float, C: float) -> float:
    """Return the lower bound on P* of a dual variable (``y * lam >= 0``) whose dual norm is at most `norm`.

    A norm of zero proves that P* is infinite; that is for others to say, and the bound is then zero.
    """
    scale = dual_scale(y, lam, norm, C)
    if not 0 < scale < np.inf:
        return 0.0
    exponent = scale_exponent(lam)
    with np.errstate(over="ignore"):
        scale = _up(float(np.ldexp(scale, -exponent)))
    # what vanishes here had the right sign, and is missing in the sum alone
    value = float(y @ scaled_by(lam, -exponent)) * (1 - (len(y) + 8) * _EPS) / scale
    return float(np.clip(np.nextafter(value, 0.0) if value < _NORMAL else value, 0.0, _HUGE))


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
    """By what lam must be divided to be dual feasible: h(lam), or what the cap C asks for if that is more.

    The latter with two roundings to spare, so that the quotient keeps ``y_n lam_n <= C``.
    """
    return max(norm, float((y * lam).max(initial=0.0)) / C * (1 + 4 * _EPS))


def upper_bound(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU, C: float
) -> float:
    """Return the objective of the best rescaling of a network: an upper bound on P*."""
    return _Evaluation.of(X, y, network).objective(C)


def margins(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU
) -> Float[np.ndarray, " n"]:
    """Return the margins ``y_n f(x_n)`` of a network of any scale; infinite beyond the range of float64."""
    return _Evaluation.of(X, y, network).margins()


def best_rescaling(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU, C: float
) -> TwoLayerReLU:
    """Return the rescaling of a network with the smallest soft-margin objective, balanced."""
    judged = _Evaluation.of(X, y, network)
    scale = float(np.ldexp(judged.soft_scale(C), -judged.rows))
    if scale == 0:
        return TwoLayerReLU(network.W1[:0], network.w2[:0])
    return judged.network.scaled_function(scale).balanced()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Evaluation:
    """A network on data, both scaled by powers of two to entries of at most one.

    Attributes
    ----------
    network : TwoLayerReLU
        The network whose weights are those of the one judged, times ``2^-weights``.
    weights, rows : int
        Exponents of the network's and of the data's scale.
    outputs : (n,) float array
        ``y_n f(x_n)`` of the scaled network on the scaled data: the margins times ``2^-(2 weights + rows)``.
    rounding : (n,) float array
        Of these outputs.
    half : float
        ``||theta||^2/2`` of the scaled network.
    """

    network: TwoLayerReLU
    weights: int
    rows: int
    outputs: Float[np.ndarray, " n"]
    rounding: Float[np.ndarray, " n"]
    half: float

    @classmethod
    def of(
        cls, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU
    ) -> _Evaluation:
        weights, rows = max(scale_exponent(network.W1), scale_exponent(network.w2)), scale_exponent(X)
        if not network.n_neurons:
            weights = 0
        scaled = TwoLayerReLU(scaled_by(network.W1, -weights), scaled_by(network.w2, -weights))
        matrix = scaled_by(X, -rows)
        m, d = network.W1.shape
        rounding = (m + d + 4) * _EPS * scaled.group_norm() * _lengths(matrix)
        return cls(
            network=scaled,
            weights=weights,
            rows=rows,
            outputs=np.asarray(y * scaled(matrix)),
            rounding=rounding + 8 * (m + 1) * (d + 1) * _TINY,  # products below the normal numbers
            half=scaled.objective(),
        )

    def margins(self) -> Float[np.ndarray, " n"]:
        """The margins in the data's units."""
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(self.outputs, 2 * self.weights + self.rows))

    def safe_outputs(self) -> Float[np.ndarray, " n"]:
        """The outputs less their rounding; what is left of a tiny one counts for nothing."""
        safe = self.outputs - self.rounding
        return np.where((safe > 0) & (safe < _SMALLEST_OUTPUT), 0.0, safe)

    @property
    def _outwards(self) -> float:
        """Relative rounding of the objective, upwards."""
        return 1 + (self.network.W1.size + self.network.n_neurons + 8) * _EPS

    def objective(self, C: float) -> float:
        """The objective of the best rescaling, rounded upwards."""
        safe = self.safe_outputs()
        with np.errstate(over="ignore"):
            if np.isinf(C):
                worst = float(safe.min())
                value = self.half / worst * self._outwards if worst > 0 else np.inf
                return _up(float(np.ldexp(value, -self.rows)))
            scale = self.soft_scale(C)
            slack = 1 - scale * safe
            # a row at its kink may miss the margin by the rounding of this difference
            missed = np.maximum(slack, 0).sum() + 2 * _EPS * np.count_nonzero(slack > -4 * _EPS)
            size = scale * _up(float(np.ldexp(self.half, -self.rows))) if scale > 0 else 0.0
            return float(_up((size + C * float(missed)) * (self._outwards + len(safe) * _EPS)))

    def soft_scale(self, C: float) -> float:
        """The a >= 0 that minimises ``a half + C sum (1 - a outputs)_+`` in these units: a kink, or 0."""
        safe = self.safe_outputs()
        positive = np.sort(safe[safe > 0])[::-1]  # kinks 1/q in increasing order of a
        # beyond the kinks of the largest k outputs the slope is half - C (sum of all outputs - those k)
        with np.errstate(over="ignore"):
            half = _up(float(np.ldexp(self.half, -self.rows)))
            slopes = half - C * (safe.sum() - np.r_[0.0, np.cumsum(positive)])
        first = int(np.argmax(slopes >= 0)) if (slopes >= 0).any() else len(positive)
        return 0.0 if first == 0 else float(1.0 / positive[first - 1])


def at_margin(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU
) -> TwoLayerReLU | None:
    """Return the multiple of a network of any scale whose margin is 1; None if there is none in float64."""
    judged = _Evaluation.of(X, y, network)
    with np.errstate(over="ignore"):
        root = float(np.sqrt(np.ldexp(max(float(judged.outputs.min()), 0.0), judged.rows)))
        if not 0 < root < np.inf:
            return None
        first, second = judged.network.W1 / root, judged.network.w2 / root
    return TwoLayerReLU(first, second) if np.isfinite(first).all() and np.isfinite(second).all() else None


def scale_exponent(array: np.ndarray) -> int:
    """The even power of two just above the largest entry, so that its root is exact; 0 if there is none."""
    exponent = int(np.frexp(np.abs(array).max(initial=0.0))[1])
    return exponent + exponent % 2


def scaled_by(array: np.ndarray, exponent: int) -> np.ndarray:
    """Return an array times a power of two: the same digits, but for what leaves float64's range."""
    with np.errstate(over="ignore"):
        if abs(exponent) < _DIRECT:  # a product is faster
            return np.asarray(array * 2.0**exponent) if exponent else array
        return np.asarray(np.ldexp(array, exponent))


def _lengths(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Norms of rows of entries up to one: plain ones, but for rows so short that squares may vanish."""
    lengths: np.ndarray = np.linalg.norm(rows, axis=1)
    short = np.flatnonzero(lengths < _SHORT)
    lengths[short] = row_norms(rows[short])
    return lengths


def _up(value: float) -> float:
    """Round a non-negative number upwards where it is too small for relative rounding."""
    return float(np.nextafter(value, np.inf)) if value < _NORMAL else value
