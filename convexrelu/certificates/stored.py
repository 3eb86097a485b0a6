"""What all certificates can do: be saved with a proof of their bounds, and be checked."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
from jaxtyping import Float

from convexrelu._shown import Shown
from convexrelu._typing import ArrayLike
from convexrelu.certificates import document
from convexrelu.certificates.kkt import OPTIMALITY_TOL
from convexrelu.check import RefusedError, check_document
from convexrelu.errors import CertificateError, InvalidInputError

__all__ = [
    "RECHECK_TOL",
    "Enclosure",
    "StoredCertificate",
    "check_arithmetic",
    "claimed",
    "refusing",
    "verified",
]

# Recomputing on another machine changes sums in their last digits; bounds that are rounded outwards move by
# as much.
RECHECK_TOL = 1e-9

# What is claimed in a file is weaker than what its proof proves by so much, relative: more than the order in
# which another machine adds up.
_CLAIMED = Fraction(1, 2**40)

_Self = TypeVar("_Self", bound="StoredCertificate")  # typing.Self is refused by the shape checks of the tests


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Enclosure(Shown):
    """What a certificate proves: ``lower <= P* <= upper``.

    Attributes
    ----------
    lower, upper : Fraction or float
        Bounds on P*: rational numbers, or floats where infinite or where nothing but a search was repeated.
    exact : bool
        Whether they were worked out in rational arithmetic: then they are a theorem about the given floats.
    """

    lower: Fraction | float
    upper: Fraction | float
    exact: bool

    def __str__(self) -> str:
        how = "rational arithmetic" if self.exact else "floating-point arithmetic"
        return f"{float(self.lower):.12g} <= P* <= {float(self.upper):.12g} in {how}"


class StoredCertificate(Shown, ABC):
    """Proven bounds on an optimum that can be written down and checked by others."""

    if TYPE_CHECKING:  # a field in some, computed in others

        @property
        def gap(self) -> float:
            """``(objective - lower_bound)/objective``."""

    @property
    def globally_optimal(self) -> bool:
        """Proven optimal to 1e-6 relative."""
        return self.gap <= OPTIMALITY_TOL

    def save(self, path: str | os.PathLike[str], *, time_limit: float | None = None) -> None:
        """Write the certificate as JSON, format 2, with a proof that others can check (docs/certificate.md).

        The bounds in the file are those that its proof proves, which may be weaker than the certificate's
        (see :meth:`proven`). An existing file is replaced only once all is written.

        Parameters
        ----------
        path : str or path
            The file; its folder must exist.
        time_limit : float or None
            Seconds in which the proof is made. One that takes longer is given up like one that is too large.

        Raises
        ------
        InvalidInputError
            If its folder does not exist, the path is a folder, or the time limit is not positive.
        """
        document.write(path, self.proven(time_limit=time_limit).to_document())

    @abstractmethod
    def proven(self: _Self, *, time_limit: float | None = None) -> _Self:
        """Return the certificate with a proof of its bounds, as it is saved."""

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """Return the certificate as plain JSON values, under the names of its fields."""

    @overload
    def check(self, X: ArrayLike, y: ArrayLike, *, arithmetic: Literal["float"] = ...) -> Literal[True]: ...

    @overload
    def check(self, X: ArrayLike, y: ArrayLike, *, arithmetic: Literal["exact"]) -> Enclosure: ...

    def check(self, X: ArrayLike, y: ArrayLike, *, arithmetic: str = "float") -> Literal[True] | Enclosure:
        """Verify the bounds and recompute every other number from the data; see :meth:`enclosure`.

        Parameters
        ----------
        X : (n, d) array_like
            The data the certificate is about.
        y : (n,) or (n, K) array_like
            Its labels or targets, as they were given.
        arithmetic : "float" or "exact", default "float"
            Floating point, rounded outwards, or rational numbers.

        Returns
        -------
        True, or Enclosure
            In exact arithmetic the enclosure of P*, which is then a theorem about the data. Anything that
            does not hold raises CertificateError.
        """
        found = self.enclosure(X, y, arithmetic=arithmetic)
        return found if arithmetic == "exact" else True

    @abstractmethod
    def enclosure(self, X: ArrayLike, y: ArrayLike, *, arithmetic: str = "float") -> Enclosure:
        """Return what the certificate proves of P*, once all of it is verified."""


def check_arithmetic(arithmetic: object) -> None:
    """Refuse what is none of the two arithmetics (InvalidInputError)."""
    if arithmetic not in ("float", "exact"):
        raise InvalidInputError(f'arithmetic must be "float" or "exact", got {arithmetic!r}')


def verified(
    values: dict[str, Any], X: Float[np.ndarray, "n d"], labels: np.ndarray, arithmetic: str
) -> Enclosure:
    """Return what the checker says that a document proves, or CertificateError."""
    try:
        exact = arithmetic == "exact"
        lower, upper = check_document(document.encode(values), X, labels, exact=exact)
        return Enclosure(lower=lower, upper=upper, exact=exact)
    except (RefusedError, OverflowError) as error:
        raise CertificateError(str(error)) from error


def claimed(values: dict[str, Any], X: Float[np.ndarray, "n d"], labels: np.ndarray) -> tuple[float, float]:
    """Return the bounds that a document may claim: those that its proof proves, but for rounding."""
    below, above = check_document(document.encode(values), X, labels)
    return _float(below * (1 - _CLAIMED)), _float(above * (1 + _CLAIMED))  # neither is negative


def _float(x: Fraction | float) -> float:
    """A float next to a rational number; infinity beyond the largest."""
    try:
        return float(x)
    except OverflowError:
        return math.inf


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what says that a proof is none, or that numbers are malformed, into CertificateError."""
    try:
        yield
    except (InvalidInputError, RefusedError) as error:
        raise CertificateError(str(error)) from error
