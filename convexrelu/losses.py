"""The losses: the only place where they are written in NumPy, and where the compiled loops' are numbered.

A loss l(f, y) judges the output f at a sample with target y, and is convex in f. A target of 1 is the default
everywhere, so that ``value(q)`` is the loss of the margin q where targets are labels +1 and -1.

=================== =================================== ===========================================
name                l(f, y)                             -l*(-lam), and where it is finite
=================== =================================== ===========================================
logistic            log(1 + e^{-y f}) (WP eq. (3))      -a log a - (1 - a) log(1 - a), 0 <= a <= 1
exponential         e^{-y f}                            a - a log a, a >= 0
square, squared     (y - f)^2 / 2                       y lam - lam^2 / 2
correlation         -y f                                0, lam = y
absolute            |y - f|                             y lam, |lam| <= 1
huber               r^2 / 2, then delta (r - delta / 2) y lam - lam^2 / 2, |lam| <= delta
quantile            tau (y - f)_+ + (1 - tau) (f - y)_+ y lam, tau - 1 <= lam <= tau
epsilon_insensitive (|y - f| - epsilon)_+               y lam - epsilon |lam|, |lam| <= 1
hinge               (1 - y f)_+                         a, 0 <= a <= 1
squared_hinge       (1 - y f)_+^2 / 2                   a - a^2 / 2, a >= 0
poisson             e^f - y f + y log y - y             w - w log w + y log y - y, w = y - lam >= 0
multi_squared       ||y - f||^2 / 2, y in R^K           y^T lam - ||lam||^2 / 2
softmax             log sum_k e^{f_k} - y^T f           -sum p log p, p = y - lam a distribution
=================== =================================== ===========================================

Here ``a = y lam``, ``r = |y - f|``, and l* is the convex conjugate ``l*(v) = sup_f v f - l(f, y)``: its
values at ``v = -lam`` make the dual of training with weight decay (:func:`convexrelu.solve`).

A margin of a thousand makes a logistic loss of e^{-1000}, which float64 cannot hold while its logarithm is
harmless. So the losses of descent come with their logarithms, and with the loss weights normalised before
they are exponentiated.

Compiled kernels take the numbers LOGISTIC, EXPONENTIAL, SQUARE and CORRELATION, and no others.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import entr, logsumexp, softmax, xlog1py

from convexrelu._typing import ArrayLike
from convexrelu._validation import (
    as_class_labels,
    as_labels,
    as_matrix,
    as_vector,
    check_nonnegative,
    check_positive,
)
from convexrelu.errors import InvalidInputError

__all__ = [
    "CORRELATION",
    "EXPONENTIAL",
    "LARGE_MARGIN",
    "LOGISTIC",
    "NO_LOOP",
    "SQUARE",
    "EpsilonInsensitive",
    "Huber",
    "Loss",
    "PieceLoss",
    "Quantile",
    "get_loss",
    "stored_loss",
]

LOGISTIC, EXPONENTIAL, SQUARE, CORRELATION, NO_LOOP = 0, 1, 2, 3, -1

LARGE_MARGIN = 36.0
"""Beyond it log(1 + e^{-q}) equals e^{-q} to a relative e^{-36}/2 = 1.2e-16, so its logarithm is -q."""


@dataclass(frozen=True, eq=False)
class Loss(ABC):
    """A loss l(f, y) of the output f at target y, with methods for arrays of shapes that go together.

    One of K outputs (`vector`) takes f and y of shape (..., K), and its value and conjugate lack that axis.

    Attributes
    ----------
    name : str
        What :func:`get_loss` finds it by.
    code : int
        What compiled loops of training tell it by; NO_LOOP if they do not know it.
    takes_labels : bool
        Whether targets must be labels +1 and -1.
    vector : bool
        Whether it judges K outputs together.

    Examples
    --------
    >>> import numpy as np
    >>> logistic = get_loss("logistic")
    >>> logistic.value(np.array([0.0, 1000.0]))
    array([0.69314718, 0.        ])
    >>> logistic.log_value(np.array([0.0, 1000.0]))
    array([-3.66512921e-01, -1.00000000e+03])
    >>> get_loss("square").slope([1.0, 2.0], [3.0, 3.0])
    array([2., 1.])
    >>> Huber(delta=0.5).conjugate([-0.5, 0.6], [2.0, 2.0])
    array([-0.875,    inf])
    """

    name: ClassVar[str]
    code: ClassVar[int] = NO_LOOP
    takes_labels: ClassVar[bool] = False
    vector: ClassVar[bool] = False

    @property
    def takes_classes(self) -> bool:
        """Whether targets are labels, of two classes or of several."""
        return self.takes_labels or self.name == "softmax"

    @property
    def parameters(self) -> dict[str, float]:
        """What tells it from others of its name."""
        return asdict(self)

    def targets(self, y: ArrayLike, *, length: int) -> Float[np.ndarray, "n ..."]:
        """Return clean targets of so many samples, or raise InvalidInputError saying what they must be."""
        return as_labels(y, length=length) if self.takes_labels else as_vector(y, "y", length=length)

    @abstractmethod
    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return the loss l(f, y); infinite where float64 cannot hold it."""

    @abstractmethod
    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return the descent weight -dl/df; may underflow to 0 or overflow to inf, see :meth:`log_slope`.

        At a kink it is one of the values between those on its sides.
        """

    @abstractmethod
    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...] | None:
        """Return the second derivative in f, (..., K, K) for K outputs; None if the loss has kinks."""

    @abstractmethod
    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return ``sup_f v f - l(f, y)``; inf outside the domain."""

    def cancelling(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return the size of what may cancel in the conjugate: that of its product with the target."""
        return np.abs(np.multiply(v, y))

    def compared(self, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return the size of what outputs are compared with, where rounding it is like rounding them."""
        return np.zeros(np.shape(y))

    def domain(self, y: ArrayLike = 1.0) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        """Return the ends of the interval of v where the conjugate is finite: the closure of all dl/df."""
        infinite = np.full(np.shape(y), np.inf)
        return -infinite, infinite

    def conjugate_about(
        self, v: Float[np.ndarray, ...], off: Float[np.ndarray, ...], y: Float[np.ndarray, ...]
    ) -> Float[np.ndarray, ...]:
        """Return a bound on the conjugate at all points of the domain that differ by `off` from v at most."""
        low, high = self.domain(y)
        ends = [self.conjugate(np.clip(end, low, high), y) for end in (v - off, v + off)]
        return np.asarray(np.maximum(*ends))  # it is convex

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the logarithm of the loss of margins q; -inf only where the loss is zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(self.value(q)))

    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the logarithm of -l'(q); NaN where -l'(q) is negative (square loss beyond q = 1)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(self.slope(q)))

    def log_total(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the logarithm of the loss summed over the last axis."""
        logs = self.log_value(q)
        top = logs.max(axis=-1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(np.log(np.exp(logs - top).sum(axis=-1)) + top[..., 0])

    def relative_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the slopes over the last axis, scaled to absolute sum 1; all 0 if every slope is 0."""
        slopes = self.slope(q)
        top = np.abs(slopes).max(axis=-1, keepdims=True)
        slopes = slopes / np.where(top > 0, top, 1.0)
        total = np.abs(slopes).sum(axis=-1, keepdims=True)
        return np.asarray(slopes / np.where(total > 0, total, 1.0))


class _MarginLoss(Loss):
    """A loss of the margin that tends to 0 only as the margin grows without bound."""

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(y * np.exp(self.log_slope(np.multiply(y, f))))

    def relative_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        logs = self.log_slope(q)
        weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


class _Logistic(_MarginLoss):
    name, code, takes_labels = "logistic", LOGISTIC, True

    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(np.logaddexp(0.0, -np.multiply(y, f)))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        q = np.asarray(q, dtype=np.float64)
        near = np.log(np.logaddexp(0.0, -np.minimum(q, LARGE_MARGIN)))
        return np.where(q > LARGE_MARGIN, -q, near)

    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(-np.logaddexp(0.0, np.asarray(q, dtype=np.float64)))

    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        q = np.multiply(y, f)
        return np.asarray(np.exp(-np.logaddexp(0.0, q) - np.logaddexp(0.0, -q)))

    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        a = -np.multiply(y, v)
        # 1 - a has lost what a small a was: its logarithm must not
        with np.errstate(invalid="ignore"):
            rest = np.where(a > 1, np.inf, xlog1py(1.0 - a, -a))
        return np.asarray(-entr(a) + rest)

    def domain(self, y: ArrayLike = 1.0) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        return _one_sided(y, 1.0)


class _Exponential(_MarginLoss):
    name, code, takes_labels = "exponential", EXPONENTIAL, True

    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(-np.multiply(y, f)))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(-np.asarray(q, dtype=np.float64))

    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return self.log_value(q)

    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return self.value(f, y)

    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        a = -np.multiply(y, v)
        return np.asarray(-entr(a) - a)

    def domain(self, y: ArrayLike = 1.0) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        return _one_sided(y, np.inf)


def _floats(value: ArrayLike) -> Float[np.ndarray, ...]:
    return np.asarray(value, dtype=np.float64)


def _one_sided(y: ArrayLike, most: float) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
    """The interval of v for ``0 <= -y v <= most``, y = +1 or -1."""
    positive = np.asarray(y) > 0
    return np.where(positive, -most, 0.0), np.where(positive, 0.0, most)


class _Square(Loss):
    name, code = "square", SQUARE

    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(0.5 * np.square(np.subtract(y, f)))

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(np.subtract(y, f))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        with np.errstate(divide="ignore"):
            return np.asarray(2.0 * np.log(np.abs(self.slope(q))) - math.log(2.0))

    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.ones(np.broadcast_shapes(np.shape(f), np.shape(y)))

    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(np.multiply(v, y) + 0.5 * np.square(v))


class _Correlation(Loss):
    name, code = "correlation", CORRELATION

    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(-np.multiply(y, f))

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.broadcast_to(np.asarray(y, dtype=np.float64), np.shape(f))

    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.zeros(np.broadcast_shapes(np.shape(f), np.shape(y)))

    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.where(np.add(v, y) == 0, 0.0, np.inf)

    def domain(self, y: ArrayLike = 1.0) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        return -np.asarray(y, dtype=np.float64), -np.asarray(y, dtype=np.float64)


class PieceLoss(Loss):
    """A loss of linear and quadratic pieces: ``max_lam (y - f) lam - epsilon |lam| - q lam^2/2``.

    Lam is from an interval.

    Attributes
    ----------
    bend : float
        q: 0 for linear pieces that meet in kinks, 1 for quadratic ones.
    width : float
        epsilon, the half width of the flat piece.
    """

    bend: ClassVar[float] = 0.0

    @property
    def width(self) -> float:
        """Half the width of the flat piece."""
        return 0.0

    @abstractmethod
    def interval(self, y: ArrayLike) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        """Return the ends of the interval of lam."""

    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return the loss."""
        lam = self.slope(f, y)
        return np.asarray(
            lam * np.subtract(y, f) - self.width * np.abs(lam) - 0.5 * self.bend * np.square(lam)
        )

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return -dl/df."""
        low, high = self.interval(y)
        rest = np.subtract(y, f)
        rest = np.sign(rest) * np.maximum(np.abs(rest) - self.width, 0.0)
        if self.bend:
            return np.clip(rest / self.bend, low, high)
        return np.where(rest > 0, high, np.where(rest < 0, low, np.clip(0.0, low, high)))

    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...] | None:
        """Return the second derivative; None for linear pieces."""
        if not self.bend:
            return None
        low, high = self.interval(y)
        rest = np.subtract(y, f) / self.bend
        return np.where((rest >= low) & (rest <= high), 1.0 / self.bend, 0.0)

    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return the conjugate."""
        low, high = self.domain(y)
        value = np.multiply(v, y) + self.width * np.abs(v) + 0.5 * self.bend * np.square(v)
        return np.where((np.asarray(v) >= low) & (np.asarray(v) <= high), value, np.inf)

    def domain(self, y: ArrayLike = 1.0) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        """Return the interval of lam, mirrored."""
        low, high = self.interval(y)
        return -high, -low


class _Absolute(PieceLoss):
    name = "absolute"

    def interval(self, y: ArrayLike) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        return np.full(np.shape(y), -1.0), np.full(np.shape(y), 1.0)


@dataclass(frozen=True, eq=False)
class Huber(PieceLoss):
    """Half the squared residual up to `delta`, and linear beyond.

    Attributes
    ----------
    delta : float
        Positive.
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"
    bend: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        check_positive(self.delta, "delta")

    def interval(self, y: ArrayLike) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        """Return the ends of the interval of lam."""
        return np.full(np.shape(y), -self.delta), np.full(np.shape(y), self.delta)


@dataclass(frozen=True, eq=False)
class Quantile(PieceLoss):
    """The pinball loss, which the conditional quantile minimises.

    Attributes
    ----------
    tau : float
        The quantile's level, strictly between 0 and 1.
    """

    tau: float = 0.5
    name: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        if not check_positive(self.tau, "tau") < 1:
            raise InvalidInputError(f"tau must be strictly between 0 and 1, got {self.tau!r}")

    def interval(self, y: ArrayLike) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        """Return the ends of the interval of lam."""
        return np.full(np.shape(y), self.tau - 1.0), np.full(np.shape(y), self.tau)


@dataclass(frozen=True, eq=False)
class EpsilonInsensitive(PieceLoss):
    """The absolute residual beyond `epsilon`, as in support vector regression.

    Attributes
    ----------
    epsilon : float
        At least 0.
    """

    epsilon: float = 0.1
    name: ClassVar[str] = "epsilon_insensitive"

    def __post_init__(self) -> None:
        check_nonnegative(self.epsilon, "epsilon")

    @property
    def width(self) -> float:
        """Half the width of the flat piece."""
        return self.epsilon

    def interval(self, y: ArrayLike) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        """Return the ends of the interval of lam."""
        return np.full(np.shape(y), -1.0), np.full(np.shape(y), 1.0)


class _Hinge(PieceLoss):
    name, takes_labels = "hinge", True

    def interval(self, y: ArrayLike) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        low, high = _one_sided(y, 1.0)
        return -high, -low


class _SquaredHinge(PieceLoss):
    name, takes_labels, bend = "squared_hinge", True, 1.0

    def interval(self, y: ArrayLike) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        low, high = _one_sided(y, np.inf)
        return -high, -low


class _Poisson(Loss):
    name = "poisson"

    def targets(self, y: ArrayLike, *, length: int) -> Float[np.ndarray, " n"]:
        counts = as_vector(y, "y", length=length)
        if (counts < 0).any():
            raise InvalidInputError(f"y must be at least 0 for the loss 'poisson', got {counts.min()}")
        return counts

    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        y, f = _floats(y), _floats(f)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            apart = f - np.log(y)  # nothing of the size of y log y, which cancels near the least loss
            return np.asarray(np.where(y > 0, y * (np.expm1(apart) - apart), np.exp(f)))

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(_floats(y) - np.exp(_floats(f)))

    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(_floats(f)) + np.zeros(np.shape(y)))

    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        y, v = _floats(y), _floats(v)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.maximum(v / y, -1.0)
            near = v * np.log(y) + y * (xlog1py(1.0 + t, t) - t)
        return np.asarray(np.where(v + y < 0, np.inf, np.where(y > 0, near, -entr(v) - v)))

    def cancelling(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(np.abs(v) * (1.0 + self.compared(y)))

    def compared(self, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(1.0 + np.abs(np.log(np.where(_floats(y) > 0, y, 1.0))))

    def domain(self, y: ArrayLike = 1.0) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        return -np.asarray(y, dtype=np.float64), np.full(np.shape(y), np.inf)


class _MultiSquared(Loss):
    name, vector = "multi_squared", True

    def targets(self, y: ArrayLike, *, length: int) -> Float[np.ndarray, "n k"]:
        matrix = as_matrix(y, "y")
        if len(matrix) != length:
            raise InvalidInputError(f"y must have {length} rows, as X has, got {len(matrix)}")
        return matrix

    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(0.5 * np.square(np.subtract(y, f)).sum(axis=-1))

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(np.subtract(y, f))

    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        shape = np.broadcast_shapes(np.shape(f), np.shape(y))
        return np.broadcast_to(np.eye(shape[-1]), (*shape, shape[-1]))

    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray((np.multiply(v, y) + 0.5 * np.square(v)).sum(axis=-1))

    def conjugate_about(
        self, v: Float[np.ndarray, ...], off: Float[np.ndarray, ...], y: Float[np.ndarray, ...]
    ) -> Float[np.ndarray, ...]:
        return np.asarray(
            (np.multiply(v, y) + np.abs(y) * off + 0.5 * np.square(np.abs(v) + off)).sum(axis=-1)
        )


class _Softmax(Loss):
    """Multinomial logistic; targets are distributions, such as the unit vectors of the classes."""

    name, vector = "softmax", True

    def targets(self, y: ArrayLike, *, length: int) -> Float[np.ndarray, "n k"]:
        labels = as_class_labels(y, length=length)
        classes = np.unique(labels)
        if len(classes) < 2:
            raise InvalidInputError(
                f"y must hold at least two classes for the loss 'softmax', got {len(classes)}"
            )
        return np.asarray(labels[:, None] == classes, dtype=np.float64)

    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(logsumexp(_floats(f), axis=-1) - np.multiply(y, f).sum(axis=-1))

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(_floats(y) - softmax(_floats(f), axis=-1))

    def curvature(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:  # noqa: ARG002
        p = np.asarray(softmax(_floats(f), axis=-1))
        return np.asarray(p[..., None] * (np.eye(p.shape[-1]) - p[..., None, :]))

    def conjugate(self, v: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        p = np.add(v, y)
        # sums of K rounded numbers
        off = np.abs(p.sum(axis=-1) - 1.0) > 8 * p.shape[-1] * np.finfo(float).eps
        return np.where(off, np.inf, -entr(p).sum(axis=-1))

    def conjugate_about(
        self, v: Float[np.ndarray, ...], off: Float[np.ndarray, ...], y: Float[np.ndarray, ...]
    ) -> Float[np.ndarray, ...]:
        # |p log p - q log q| <= -|p - q| log |p - q|, and it is never more than 1/e
        less = entr(np.minimum(off, math.exp(-1.0))).sum(axis=-1)
        return np.asarray(less - entr(np.clip(np.add(v, y), 0.0, 1.0)).sum(axis=-1))

    def domain(self, y: ArrayLike = 1.0) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
        return -np.asarray(y, dtype=np.float64), 1.0 - np.asarray(y, dtype=np.float64)


_LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        _Logistic(),
        _Exponential(),
        _Square(),
        _Correlation(),
        _Absolute(),
        Huber(),
        Quantile(),
        EpsilonInsensitive(),
        _Hinge(),
        _SquaredHinge(),
        _Poisson(),
        _MultiSquared(),
        _Softmax(),
    )
}
_SYNONYMS = {"squared": "square"}


def get_loss(loss: str | Loss) -> Loss:
    """Return the loss of that name, with its default parameters if it has any; a loss is returned as it is.

    Parameters
    ----------
    loss : str or Loss
        "logistic", "exponential", "square" (or "squared"), "correlation", "absolute", "huber", "quantile",
        "epsilon_insensitive", "hinge", "squared_hinge", "poisson"; of K outputs "multi_squared", "softmax".

    Returns
    -------
    Loss
        The loss.

    Raises
    ------
    InvalidInputError
        If there is no loss of that name; the message lists the names.

    Examples
    --------
    >>> get_loss("square").value([3.0, 1.0])
    array([2., 0.])
    >>> get_loss(Quantile(tau=0.9)).slope([0.0, 2.0], [1.0, 1.0])
    array([ 0.9, -0.1])
    """
    if isinstance(loss, Loss):
        return loss
    name = _SYNONYMS.get(loss, loss) if isinstance(loss, str) else ""
    if name not in _LOSSES:
        names = ", ".join(repr(known) for known in [*_SYNONYMS, *_LOSSES])
        raise InvalidInputError(
            f"loss must be one of {names}, or an object of convexrelu.losses, got {loss!r}"
        )
    return _LOSSES[name]


def stored_loss(name: str, parameters: dict[str, Any]) -> Loss:
    """Return the loss of that name and these parameters, as files hold them, or raise InvalidInputError."""
    kind = type(get_loss(name))
    wanted = {field.name for field in fields(kind)}
    if set(parameters) != wanted:
        raise InvalidInputError(
            f"the loss {name!r} has the parameters {sorted(wanted)}, got {sorted(parameters)}"
        )
    return kind(**parameters)
