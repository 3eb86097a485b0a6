"""The package's errors, split by what the caller can do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int

__all__ = ["CertificateError", "ConvexReLUError", "InfeasibleError", "InvalidInputError", "SolverError"]


class ConvexReLUError(Exception):
    """Base of every error the package raises on purpose."""


class InvalidInputError(ConvexReLUError, ValueError):
    """The arguments are not what the call needs: correct them and call again."""


class InfeasibleError(ConvexReLUError):
    """No two-layer ReLU network without bias fits the labels: change the data, or allow slack (finite C).

    Attributes
    ----------
    farkas : (n,) float array
        The proof: ``y * farkas >= 0``, ``y @ farkas > 0`` and ``farkas @ (X @ u)_+ = 0`` for every u.
    rows : (k,) int array
        The rows that contradict each other (the support of ``farkas``).
    """

    def __init__(self, message: str, *, farkas: Float[np.ndarray, " n"], rows: Int[np.ndarray, " k"]) -> None:
        super().__init__(message)
        self.farkas = farkas
        self.rows = rows


class SolverError(ConvexReLUError, RuntimeError):
    """A numerical solver returned nothing usable: try another solver, or rescale the data."""


class CertificateError(ConvexReLUError):
    """A certificate does not hold: it is malformed, altered, or of other data."""
