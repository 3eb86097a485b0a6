"""Training with weight decay: what is minimised, and weak duality for it.

``P* = min sum_n s_n l(f(x_n), y_n) + beta/2 ||theta||^2`` over two-layer networks f. Balanced, the second
term is ``beta sum_i ||u_i||`` with ``||u_i|| = |w2_i| ||w1_i||``, so that every network bounds P* from above,
and the dual ``max -sum_n s_n l*(-lam_n / s_n)  s.t.  h(lam) <= beta`` from below, for every lam in its domain
with h(lam) <= beta. An output bias without penalty asks for ``sum lam = 0``, a linear part without penalty
for ``X^T lam = 0``, and a bias with the penalty ``beta b^2/2`` costs ``(sum lam)^2 / (2 beta)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector, check_positive, check_range
from convexrelu.certificates.equations import Equations
from convexrelu.errors import InvalidInputError
from convexrelu.losses import Loss, get_loss
from convexrelu.networks import GatedReLU, ReLUNetwork, TwoLayerReLU

__all__ = ["Decayed", "OutputBias", "WeightDecay", "weight_decay"]

Decayed = TwoLayerReLU | ReLUNetwork | GatedReLU
"""The networks that training with weight decay is about."""

OutputBias = bool | Literal["penalised"]
"""Whether there is a constant output: no, without a penalty, or with the penalty beta b^2 / 2."""

_EPS = float(np.finfo(float).eps)
_LARGEST = 1e300  # in place of infinity, where values are subtracted
# Of the projection onto the equations of the unpenalised parts: the first leaves rounding of its own.
_ROUNDS = 4
_BISECTIONS = 40
_MOST_STOPPED = 30  # projections, each without the rows that the one before has brought to an end
# The equations of unpenalised parts hold to rounding: relative to the largest entry times the sum of |lam|.
EQUATION_TOL = 1e-11


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightDecay:
    """One problem of training with weight decay, its arguments checked.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    y : (n,) or (n, K) float array
        Targets, as the loss takes them.
    loss : Loss
        Of one sample.
    beta : float
        Price of the weights.
    weights : (n,) float array
        s_n, positive.
    output_bias : bool or "penalised"
        Whether outputs have a constant.
    skip : bool
        Whether outputs have a linear part without penalty.
    gates : (p, d) float array or None
        Those of a gated network; None for ReLU.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, "n ..."]
    loss: Loss
    beta: float
    weights: Float[np.ndarray, " n"]
    output_bias: OutputBias
    skip: bool
    gates: Float[np.ndarray, "p d"] | None

    @property
    def free(self) -> Float[np.ndarray, "n q"]:
        """The columns of the parts without penalty: a constant, the data."""
        ones = np.ones((len(self.X), 1 if self.output_bias is True else 0))
        return np.hstack([ones, self.X]) if self.skip else ones

    @cached_property
    def equations(self) -> Equations:
        """What these columns ask of multipliers."""
        return Equations(self.free)

    def total_loss(self, f: Float[np.ndarray, "n ..."]) -> float:
        """The weighted loss of these outputs."""
        return float(self.weights @ self.loss.value(f, self.y))

    def negligible(self, nothing: Float[np.ndarray, "n ..."]) -> float:
        """What is rounding beside the loss of these outputs, all zero."""
        return float((self.X.shape[1] + 32) * _EPS * self.total_loss(nothing))

    def multipliers(self, f: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
        """The multipliers ``-s l'(f)`` of these outputs."""
        return self._weighted(self.loss.slope(f, self.y))

    def interval(self) -> tuple[Float[np.ndarray, "n ..."], Float[np.ndarray, "n ..."]]:
        """The ends between which the multipliers lie."""
        low, high = self.loss.domain(self.y)
        return self._weighted(-high), self._weighted(-low)

    def _weighted(self, values: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
        return np.asarray((values.T * self.weights).T)

    def objective(self, network: Decayed) -> float:
        """The objective of a network at its best balance, rounded upwards."""
        f, size = network(self.X), network.group_norm()
        decay = self.beta * size
        if self.output_bias == "penalised":
            decay += 0.5 * self.beta * float(np.sum(np.square(bias_of(network))))
        # by how much the outputs are off, and the loss at most beyond that
        off = (network.n_neurons + self.X.shape[1] + 4) * _EPS * self._magnitude(network, size)
        off = off + 4 * _EPS * self.loss.compared(self.y)
        total = self.total_loss(f)
        slopes = [np.abs(self.multipliers(f + step)) for step in (-off, 0.0, off)]
        moved = float(np.sum(np.max(slopes, axis=0) * off))
        return float(total + decay + moved + (len(f) + 8) * _EPS * (abs(total) + decay))

    def _magnitude(self, network: Decayed, size: float) -> Float[np.ndarray, "n ..."]:
        """What the outputs add up, in absolute values."""
        neurons = size * np.linalg.norm(self.X, axis=1)
        if isinstance(network, TwoLayerReLU):
            return np.asarray(neurons)
        affine = np.abs(self.X) @ np.abs(network.skip).T + np.abs(network.output_bias)
        return np.asarray((affine.T + neurons).T)

    def rescaled(self, network: Decayed) -> Decayed:
        """The network whose neurons count as much as is best, balanced; its affine part stays."""
        if isinstance(network, TwoLayerReLU):
            affine = ReLUNetwork(network.W1, network.w2)
            scaled = self.rescaled(affine)
            best = scaled if isinstance(scaled, ReLUNetwork) else affine
            return TwoLayerReLU(best.W1, best.w2)
        without = network.scaled_neurons(0.0)(self.X)
        part, size = network(self.X) - without, self.beta * network.group_norm()

        def value(c: float) -> float:
            return min(self.total_loss(without + c * part) + c * size, _LARGEST)

        # the loss is at least zero: beyond this factor the price alone is more than the zero network costs
        most = min(2.0 * value(0.0) / size, 1e100) if size > 1e-200 else 0.0
        if most == 0:
            return network.scaled_neurons(0.0)
        found = _least(value, most, 1e-13 * most)
        near = _least(value, min(2.0, most), 1e-13)  # one that is nearly at its scale is resolved better
        return network.scaled_neurons(min((0.0, min(1.0, most), found, near), key=value))

    def feasible(
        self, lam: Float[np.ndarray, "n ..."], *, exactly: bool = False
    ) -> Float[np.ndarray, "n ..."]:
        """Multipliers near these, in the domain, that satisfy the equations of the parts without penalty.

        What is moved is moved in proportion to the room that it has; zero, which always will do, if that
        leads out of the domain. A column that is others but for rounding asks for nothing of its own, unless
        `exactly`.
        """
        low, high = self.interval()
        lam = np.clip(lam, low, high)
        A = self.equations.basis if exactly else self.free
        if not A.shape[1]:
            return lam
        # at an end there is no room; all can be scaled down, if less precisely
        for room in (self._room(lam), np.abs(lam)):
            moved, room = lam, room if lam.ndim == 1 else room.min(axis=1)  # noqa: PLW2901
            for _ in range(_MOST_STOPPED):
                moved = _projected(A, moved, room)
                outside = (moved < low) | (moved > high)
                if not outside.any():
                    break
                # what has come to an end stays there
                moved = np.clip(moved, low, high)
                room = np.where(outside if lam.ndim == 1 else outside.any(axis=1), 0.0, room)  # noqa: PLW2901
            if not outside.any() and _vanishing(A, moved):
                return moved
        return np.zeros_like(lam)

    def _room(self, lam: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
        """How far each multiplier in the domain may move either way, without changing its sign."""
        low, high = self.interval()
        return np.asarray(np.minimum(np.minimum(lam - low, high - lam), np.abs(lam)))

    def satisfied(self, lam: Float[np.ndarray, "n ..."]) -> bool:
        """Whether the equations of the parts without penalty hold, to rounding."""
        return _vanishing(self.free, lam)

    def proven_value(self, lam: Float[np.ndarray, "n ..."], norm: float) -> float:
        """What floats in the domain prove with h(lam) <= `norm`, rounded downwards.

        It is the value of multipliers near them that satisfy the equations exactly, whose dual norm may be
        larger by the move, and which may have to be scaled down.
        """
        moved, off = self.equations.located(lam, self._room(lam))
        away = np.linalg.norm((np.abs(moved - lam) + off).reshape(len(lam), -1), axis=1)
        norm += float(away @ np.linalg.norm(self.X, axis=1)) * (1 + sum(self.X.shape) * _EPS)
        low, high = self.interval()
        most, least = moved + off, moved - off
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(most > high, high / most, 1.0), np.where(least < low, low / least, 1.0)
        t = min(float(np.min(shares)), self.beta / norm if norm > self.beta else 1.0)
        if t == 1 and not off.any():
            return self.dual_value(moved)
        t *= 1 - 8 * _EPS
        return self.dual_value(t * moved, t * off + 2 * _EPS * np.abs(moved))

    def dual_value(
        self, lam: Float[np.ndarray, "n ..."], off: Float[np.ndarray, "n ..."] | None = None
    ) -> float:
        """What feasible multipliers prove, rounded downwards; -inf outside the domain.

        If they are known to within `off` only, the least that they can prove.
        """
        v = (-lam.T / self.weights).T
        if off is None:
            terms = self.weights * self.loss.conjugate(v, self.y)
        else:
            widened = (off.T / self.weights).T * (1 + 4 * _EPS) + _EPS * np.abs(v)
            terms = self.weights * self.loss.conjugate_about(v, widened, self.y)
        if not np.isfinite(terms).all():
            return -np.inf
        penalty = 0.0
        if self.output_bias == "penalised":
            total = np.abs(lam.sum(axis=0)) + (0.0 if off is None else off.sum(axis=0))
            penalty = float(np.sum(np.square(total))) / (2.0 * self.beta)
        size = float(np.abs(terms).sum() + self._weighted(self.loss.cancelling(v, self.y)).sum())
        return 0.0 - float(terms.sum()) - penalty - (len(terms) + 8) * _EPS * (size + penalty)

    def scale(self, lam: Float[np.ndarray, "n ..."], norm: float) -> float:
        """The t >= 0 for which ``t lam`` proves the most, for a lam in the domain and h(lam) <= `norm`."""
        low, high = self.interval()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ends = np.where(lam > 0, high / lam, np.where(lam < 0, low / lam, np.inf))
        most = min(float(np.min(ends)), self.beta / norm if norm > 0 else np.inf) * (1.0 - 8 * _EPS)
        if not lam.any() or most <= 0:
            return 0.0
        if np.isinf(most):
            most = 1.0
            while most < 1e100 and self.dual_value(2 * most * lam) > self.dual_value(most * lam):
                most *= 2.0
            most *= 2.0

        def loss(t: float) -> float:
            return min(-self.dual_value(t * lam), _LARGEST)

        return min((0.0, most, min(1.0, most), _least(loss, most, 1e-12 * most)), key=loss)

    def bound(self, lam: Float[np.ndarray, "n ..."], norm: float) -> float:
        """The lower bound that a lam in the domain proves at its best scale, if h(lam) <= `norm`."""
        return self.dual_value(self.scale(lam, norm) * lam)

    def level(self, lam: Float[np.ndarray, "n ..."], wanted: float, least: float) -> float:
        """The largest h(lam) with which lam still proves the bound `wanted`; `least` if that is too much."""
        high = self.scale(lam, least)
        if high <= 0 or self.dual_value(high * lam) < wanted:
            return least
        # the dual is concave along a ray, and below its best scale it grows
        low = 0.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if self.dual_value(middle * lam) >= wanted else (middle, high)
        return max(self.beta / high, least)


def _projected(
    A: Float[np.ndarray, "n q"], lam: Float[np.ndarray, "n ..."], room: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n ..."]:
    """Return multipliers that add up to zero with the columns, moved in proportion to their room."""
    gram = (A.T * room) @ A
    for _ in range(_ROUNDS):
        step = np.linalg.lstsq(gram, A.T @ lam, rcond=None)[0]
        lam = lam - ((A @ step).T * room).T
    return lam


def _vanishing(A: Float[np.ndarray, "n q"], lam: Float[np.ndarray, "n ..."]) -> bool:
    """Whether the sums of multipliers with the columns are rounding."""
    largest = np.abs(A).max(axis=0, initial=0.0)
    size = np.multiply.outer(largest, np.abs(lam).sum(axis=0))
    return bool((np.abs(A.T @ lam) <= EQUATION_TOL * size).all())


def _least(function: Callable[[float], float], most: float, tol: float) -> float:
    """Return where a convex function of 0 to `most` is least."""
    with np.errstate(over="ignore", invalid="ignore"):  # products of values near the largest float
        found = minimize_scalar(function, bounds=(0.0, most), method="bounded", options={"xatol": tol})
    return float(found.x)


def bias_of(network: Decayed) -> Float[np.ndarray, ...]:
    """Return the constant of a network's outputs."""
    return np.zeros(()) if isinstance(network, TwoLayerReLU) else network.output_bias


def weight_decay(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss,
    beta: float,
    sample_weight: ArrayLike | None = None,
    output_bias: OutputBias = False,
    skip: bool = False,
    gates: ArrayLike | None = None,
    reduction: str = "sum",
) -> WeightDecay:
    """Return the problem of these arguments, or raise InvalidInputError; see :func:`convexrelu.solve`."""
    matrix, rule = as_matrix(X), get_loss(loss)
    check_range(matrix)
    n, d = matrix.shape
    if rule.name == "correlation":
        raise InvalidInputError("loss must be bounded from below, got 'correlation'")
    if output_bias not in (False, True, "penalised"):
        raise InvalidInputError(f"output_bias must be False, True or 'penalised', got {output_bias!r}")
    if reduction not in ("sum", "mean"):
        raise InvalidInputError(f"reduction must be 'sum' or 'mean', got {reduction!r}")
    weights = np.ones(n) if sample_weight is None else as_vector(sample_weight, "sample_weight", length=n)
    if not (weights > 0).all():
        raise InvalidInputError("sample_weight must be positive: leave samples of weight zero out")
    fixed = None
    if gates is not None:
        fixed = as_matrix(gates, "gates", columns=d)
        if rule.vector:
            raise InvalidInputError(f"gates are for one output, got the loss {rule.name!r}")
    return WeightDecay(
        X=matrix,
        y=rule.targets(y, length=n),
        loss=rule,
        beta=check_positive(beta, "beta"),
        weights=weights / weights.sum() if reduction == "mean" else np.array(weights),
        output_bias=output_bias if output_bias == "penalised" else bool(output_bias),
        skip=bool(skip),
        gates=fixed,
    )
