"""Activation functions: powers of leaky ReLUs, which are homogeneous, and smooth ones."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._validation import check_count
from convexrelu.errors import InvalidInputError

__all__ = ["GELU", "RELU", "Activation", "PowerLeakyReLU", "SmoothedLeakyReLU", "Tanh", "homogeneous"]


class Activation(ABC):
    """A function applied entry by entry, with its first two derivatives."""

    @property
    def kinked(self) -> bool:
        """Whether the derivative jumps somewhere."""
        return False

    @abstractmethod
    def __call__(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s(x)."""

    @abstractmethod
    def slope(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s'(x); at a kink, the derivative from the left."""

    @abstractmethod
    def curvature(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s''(x); at a kink, the second derivative from the left."""


@dataclass(frozen=True)
class PowerLeakyReLU(Activation):
    """Return the activation ``s(x) = max(x, alpha x)^power``, homogeneous of degree `power` (K-deep eq. (3)).

    ``alpha = 0`` gives powers of ReLU, ``alpha = 1`` powers of x.

    Parameters
    ----------
    alpha : float, default 0.0
        The slope on the negative side, at most 1; negative values fold that side upwards.
    power : int, default 1
        A whole number of at least 1.

    Raises
    ------
    InvalidInputError
        If a parameter is not of that kind.

    References
    ----------
    K-deep: docs/references.md.

    Examples
    --------
    >>> import numpy as np
    >>> PowerLeakyReLU(0.5, 2)(np.array([3.0, -2.0]))
    array([9., 1.])
    """

    alpha: float = 0.0
    power: int = 1

    def __post_init__(self) -> None:
        try:
            alpha = float(self.alpha)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"alpha must be a number of at most 1, got {self.alpha!r}") from error
        if not (math.isfinite(alpha) and alpha <= 1.0):
            raise InvalidInputError(f"alpha must be a finite number of at most 1, got {self.alpha!r}")
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "power", check_count(self.power, "power"))

    @property
    def kinked(self) -> bool:
        """Whether the derivative jumps at 0."""
        return self.power == 1 and self.alpha != 1.0

    def __call__(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s(x)."""
        return _power(self._bent(x), self.power)

    def slope(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s'(x); for power 1 it is alpha at the kink, so that a ReLU at 0 is inactive."""
        side = np.where(x > 0, 1.0, self.alpha)
        return np.asarray(self.power * side * _power(self._bent(x), self.power - 1))

    def curvature(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s''(x), which is 0 for power 1."""
        if self.power == 1:
            return np.zeros_like(x)
        factor = self.power * (self.power - 1)
        side = np.where(x > 0, 1.0, self.alpha**2)
        return np.asarray(factor * side * _power(self._bent(x), self.power - 2))

    def _bent(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        return np.asarray(np.maximum(x, self.alpha * x))


@dataclass(frozen=True)
class SmoothedLeakyReLU(Activation):
    """Return the leaky ReLU with its kink rounded off over a width.

    ``s(x) = alpha x + (1 - alpha) (x + sqrt(x^2 + width^2) - shift)/2``. Without a shift s tends to
    ``max(x, alpha x)`` away from zero and exceeds it by at most ``(1 - alpha) width/2``. With
    ``shift = width`` it is zero at zero, as the leaky ReLU is: a neuron without weights then adds nothing.

    Parameters
    ----------
    alpha : float
        The slope far on the negative side.
    width : float
        Positive.
    shift : float, default 0.0
        What is taken off.

    Examples
    --------
    >>> import numpy as np
    >>> SmoothedLeakyReLU(0.0, 2.0, shift=2.0)(np.array([0.0, 3.75]))
    array([0., 3.])
    """

    alpha: float
    width: float
    shift: float = 0.0

    def __call__(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s(x)."""
        half = 0.5 * (1.0 - self.alpha)
        return np.asarray(self.alpha * x + half * (x + self._root(x) - self.shift))

    def slope(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s'(x)."""
        half = 0.5 * (1.0 - self.alpha)
        return np.asarray(self.alpha + half * (1.0 + x / self._root(x)))

    def curvature(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return s''(x)."""
        half = 0.5 * (1.0 - self.alpha)
        return np.asarray(half * self.width**2 / self._root(x) ** 3)

    def _root(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        return np.asarray(np.sqrt(x * x + self.width**2))


@dataclass(frozen=True)
class Tanh(Activation):
    """Return the hyperbolic tangent, which is not homogeneous but linear near 0.

    Examples
    --------
    >>> import numpy as np
    >>> Tanh().slope(np.array([0.0]))
    array([1.])
    """

    def __call__(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return tanh(x)."""
        return np.asarray(np.tanh(x))

    def slope(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return 1 - tanh(x)^2."""
        return np.asarray(1.0 - np.tanh(x) ** 2)

    def curvature(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return -2 tanh(x) (1 - tanh(x)^2)."""
        value = np.tanh(x)
        return np.asarray(-2.0 * value * (1.0 - value**2))


@dataclass(frozen=True)
class GELU(Activation):
    """Return ``x Phi(x)`` with the distribution function Phi of the normal law; it is not homogeneous.

    Examples
    --------
    >>> import numpy as np
    >>> GELU().slope(np.array([0.0]))
    array([0.5])
    """

    def __call__(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return x Phi(x)."""
        return np.asarray(x * _normal_distribution(x))

    def slope(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return Phi(x) + x phi(x)."""
        return np.asarray(_normal_distribution(x) + x * _normal_density(x))

    def curvature(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return (2 - x^2) phi(x)."""
        return np.asarray((2.0 - x**2) * _normal_density(x))


RELU = PowerLeakyReLU()
"""The activation of the two-layer networks that the convex programs are about."""


def homogeneous(activation: Any) -> PowerLeakyReLU:
    """Return the activation if the theory of homogeneous networks covers it, or raise InvalidInputError."""
    if not isinstance(activation, PowerLeakyReLU):
        raise InvalidInputError(
            f"a homogeneous activation is needed, PowerLeakyReLU(alpha, power), got {activation!r}"
        )
    return activation


def _power(x: Float[np.ndarray, ...], p: int) -> Float[np.ndarray, ...]:
    """Return x^p by multiplication, several times faster than the general power for p > 2."""
    if p == 0:
        return np.ones_like(x)
    result = x
    for _ in range(p - 1):
        result = result * x
    return result


def _normal_density(x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    return np.asarray(np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi))


def _normal_distribution(x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))
