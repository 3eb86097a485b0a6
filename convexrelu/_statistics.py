"""What a share counted in a sample says about the share itself."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import check_positive
from convexrelu.errors import InvalidInputError

__all__ = ["wilson_interval"]


def wilson_interval(
    successes: int | ArrayLike, trials: int | ArrayLike, confidence: float = 0.95
) -> Float[np.ndarray, "... 2"]:
    """Return the ends of Wilson's confidence interval for a share, along a last axis of two.

    They are the roots p of ``(k/n - p)^2 = z^2 p (1 - p) / n``, k successes in n trials, z the normal
    quantile: unlike those of the textbook interval they stay in [0, 1] and are not equal at k = 0 or k = n.

    Parameters
    ----------
    successes : array_like of int
        How often it happened.
    trials : array_like of int
        How often it was tried; at least once. The two arrays broadcast.
    confidence : float, default 0.95
        The probability with which the interval holds the share, about.

    Returns
    -------
    (..., 2) float array
        The lower and the upper end.

    Raises
    ------
    InvalidInputError
        If counts are not whole numbers with ``0 <= successes <= trials`` and ``trials >= 1``, or `confidence`
        is not between 0 and 1.

    Examples
    --------
    >>> low, high = wilson_interval(20, 20)
    >>> print(f"{low:.3f} {high:.3f}")
    0.839 1.000
    """
    from scipy.special import ndtri

    k, n = _counts(successes, "successes"), _counts(trials, "trials")
    level = check_positive(confidence, "confidence")
    if level >= 1.0:
        raise InvalidInputError(f"confidence must be between 0 and 1, got {confidence!r}")
    try:
        k, n = np.broadcast_arrays(k, n)
    except ValueError as error:
        raise InvalidInputError(
            f"successes and trials must have shapes that broadcast, got {k.shape} and {n.shape}"
        ) from error
    if (n < 1).any() or (k < 0).any() or (k > n).any():
        raise InvalidInputError("counts must satisfy 0 <= successes <= trials and trials >= 1")
    z = float(ndtri(0.5 + 0.5 * level))
    share = k / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # exact at the ends, where center and half-width are equal but for rounding
    low = np.where(k == 0, 0.0, center - half)
    high = np.where(k == n, 1.0, center + half)
    return np.stack([low, high], axis=-1)


def _counts(value: int | ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise InvalidInputError(f"{name} must be whole numbers, got {array.dtype}")
    return array.astype(np.float64)
