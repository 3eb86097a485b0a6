"""The losses of training: the only place where they are written in NumPy, and where they are numbered.

A loss l(f, y) judges the output f at a sample with target y. The first two take labels y = +1 and -1 and
depend on the margin ``q = y f`` alone; the square loss does so, too, where the targets are labels. A target
of 1 is the default everywhere, so that ``value(q)`` is the loss of the margin q.

=========== ============================== =====================
name        l(f, y)                        slope -dl/df at y = 1
=========== ============================== =====================
logistic    log(1 + e^{-y f}) (WP eq. (3)) 1 / (1 + e^f)
exponential e^{-y f}                       e^{-f}
square      (y - f)^2 / 2                  1 - f
correlation -y f                           1
=========== ============================== =====================

A margin of a thousand makes a logistic loss of e^{-1000}, which float64 cannot hold while its logarithm is
harmless. So every loss comes with its logarithm, and with the loss weights normalised before they are
exponentiated.

Compiled kernels take the numbers LOGISTIC, EXPONENTIAL, SQUARE and CORRELATION, and no others.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu.errors import InvalidInputError

__all__ = ["CORRELATION", "EXPONENTIAL", "LARGE_MARGIN", "LOGISTIC", "SQUARE", "Loss", "get_loss"]

LOGISTIC, EXPONENTIAL, SQUARE, CORRELATION = 0, 1, 2, 3

LARGE_MARGIN = 36.0
"""Beyond it log(1 + e^{-q}) equals e^{-q} to a relative e^{-36}/2 = 1.2e-16, so its logarithm is -q."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Loss(ABC):
    """A loss l(f, y) of the output f at target y, with methods for arrays of shapes that go together.

    Attributes
    ----------
    name : str
        What :func:`get_loss` finds it by.
    code : int
        What compiled kernels tell it by.
    takes_labels : bool
        Whether targets must be labels +1 and -1.

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
    """

    name: str
    code: int
    takes_labels: bool

    @abstractmethod
    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return the loss l(f, y); infinite where float64 cannot hold it."""

    @abstractmethod
    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        """Return the descent weight -dl/df; may underflow to 0 or overflow to inf, see :meth:`log_slope`."""

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
    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(np.logaddexp(0.0, -np.multiply(y, f)))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        q = np.asarray(q, dtype=np.float64)
        near = np.log(np.logaddexp(0.0, -np.minimum(q, LARGE_MARGIN)))
        return np.where(q > LARGE_MARGIN, -q, near)

    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(-np.logaddexp(0.0, np.asarray(q, dtype=np.float64)))


class _Exponential(_MarginLoss):
    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(-np.multiply(y, f)))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(-np.asarray(q, dtype=np.float64))

    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return self.log_value(q)


class _Square(Loss):
    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(0.5 * np.square(np.subtract(y, f)))

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(np.subtract(y, f))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        with np.errstate(divide="ignore"):
            return np.asarray(2.0 * np.log(np.abs(self.slope(q))) - math.log(2.0))


class _Correlation(Loss):
    def value(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.asarray(-np.multiply(y, f))

    def slope(self, f: ArrayLike, y: ArrayLike = 1.0) -> Float[np.ndarray, ...]:
        return np.broadcast_to(np.asarray(y, dtype=np.float64), np.shape(f))


_LOSSES: dict[str, Loss] = {
    "logistic": _Logistic(name="logistic", code=LOGISTIC, takes_labels=True),
    "exponential": _Exponential(name="exponential", code=EXPONENTIAL, takes_labels=True),
    "square": _Square(name="square", code=SQUARE, takes_labels=False),
    "correlation": _Correlation(name="correlation", code=CORRELATION, takes_labels=False),
}


def get_loss(name: str) -> Loss:
    """Return the loss of that name: "logistic", "exponential", "square" or "correlation".

    Parameters
    ----------
    name : str
        The name.

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
    """
    if not isinstance(name, str) or name not in _LOSSES:
        names = ", ".join(repr(known) for known in _LOSSES)
        raise InvalidInputError(f"loss must be one of {names}, got {name!r}")
    return _LOSSES[name]
