"""The loss functions of training, in margins ``q_n = y_n f(x_n)`` and in the log domain.

A margin of a thousand makes a logistic loss of e^{-1000}, which float64 cannot hold while its logarithm is
harmless. So every loss comes with its logarithm, and with the loss weights normalised before they are
exponentiated.

========== ============================= =====================
name       l(q)                          slope -l'(q)
========== ============================= =====================
logistic   log(1 + e^{-q}) (WP eq. (3))  1 / (1 + e^q)
exponential e^{-q}                       e^{-q}
square     (1 - q)^2 / 2                 1 - q
========== ============================= =====================
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu.errors import InvalidInputError

__all__ = ["Loss", "get_loss"]

_LARGE_MARGIN = 36.0
"""Beyond it log(1 + e^{-q}) equals e^{-q} to a relative e^{-36}/2 = 1.2e-16, so its logarithm is -q."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Loss(ABC):
    """A loss l(q) of the margin q, with vectorised methods for arrays of any shape.

    Attributes
    ----------
    name : str
        What :func:`get_loss` finds it by.
    code : int
        What compiled kernels tell it by.
    in_log_domain : bool
        Whether the loss tends to 0 only as q grows without bound, so that training is followed in the log
        domain.

    Examples
    --------
    >>> import numpy as np
    >>> logistic = get_loss("logistic")
    >>> logistic.value(np.array([0.0, 1000.0]))
    array([0.69314718, 0.        ])
    >>> logistic.log_value(np.array([0.0, 1000.0]))
    array([-3.66512921e-01, -1.00000000e+03])
    """

    name: str
    code: int
    in_log_domain: bool

    @abstractmethod
    def value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the loss l(q); infinite where float64 cannot hold it."""

    @abstractmethod
    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the logarithm of the loss; -inf only where the loss is zero (square loss at q = 1)."""

    @abstractmethod
    def slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the descent weight -l'(q); may underflow to 0 or overflow to inf, see :meth:`log_slope`."""

    @abstractmethod
    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the logarithm of -l'(q); NaN where -l'(q) is negative (square loss beyond q = 1)."""

    def log_total(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the logarithm of the loss summed over the last axis."""
        logs = self.log_value(q)
        top = logs.max(axis=-1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(np.log(np.exp(logs - top).sum(axis=-1)) + top[..., 0])

    def relative_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the slopes over the last axis, scaled to absolute sum 1; all 0 if every slope is 0."""
        logs = self.log_slope(q)
        weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Logistic(Loss):
    def value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(np.logaddexp(0.0, -np.asarray(q, dtype=np.float64)))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        q = np.asarray(q, dtype=np.float64)
        near = np.log(np.logaddexp(0.0, -np.minimum(q, _LARGE_MARGIN)))
        return np.where(q > _LARGE_MARGIN, -q, near)

    def slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(np.exp(self.log_slope(q)))

    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(-np.logaddexp(0.0, np.asarray(q, dtype=np.float64)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Exponential(Loss):
    def value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(-np.asarray(q, dtype=np.float64)))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(-np.asarray(q, dtype=np.float64))

    def slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return self.value(q)

    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return self.log_value(q)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Square(Loss):
    def value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return np.asarray(0.5 * np.square(1.0 - np.asarray(q, dtype=np.float64)))

    def log_value(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        with np.errstate(divide="ignore"):
            return np.asarray(2.0 * np.log(np.abs(self.slope(q))) - math.log(2.0))

    def slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        return np.asarray(1.0 - np.asarray(q, dtype=np.float64))

    def log_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(self.slope(q)))

    def relative_slope(self, q: ArrayLike) -> Float[np.ndarray, ...]:
        slopes = self.slope(q)
        top = np.abs(slopes).max(axis=-1, keepdims=True)
        slopes = slopes / np.where(top > 0, top, 1.0)
        total = np.abs(slopes).sum(axis=-1, keepdims=True)
        return np.asarray(slopes / np.where(total > 0, total, 1.0))


_LOSSES: dict[str, Loss] = {
    "logistic": _Logistic(name="logistic", code=0, in_log_domain=True),
    "exponential": _Exponential(name="exponential", code=1, in_log_domain=True),
    "square": _Square(name="square", code=2, in_log_domain=False),
}


def get_loss(name: str) -> Loss:
    """Return the loss of that name: "logistic", "exponential" or "square".

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
