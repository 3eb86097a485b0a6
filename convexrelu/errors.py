"""The package's errors, split by what the caller can do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from jaxtyping import Float, Int

__all__ = ["CertificateError", "ConvexReLUError", "InfeasibleError", "InvalidInputError", "SolverError"]


class ConvexReLUError(Exception):
    """Base of every error the package raises on purpose.

    Examples
    --------
    >>> from convexrelu import TwoLayerReLU
    >>> try:
    ...     TwoLayerReLU([[1.0]], [1.0, 2.0])
    ... except ConvexReLUError as error:
    ...     print(error)
    w2 must have 1 entries, got 2
    """


class InvalidInputError(ConvexReLUError, ValueError):
    """The arguments are not what the call needs: correct them and call again.

    Examples
    --------
    >>> from convexrelu import solve_max_margin
    >>> solve_max_margin([[1.0], [2.0]], [1])
    Traceback (most recent call last):
    ...
    convexrelu.errors.InvalidInputError: X and y must have as many rows, got 2 rows of X and 1 labels
    """


class InfeasibleError(ConvexReLUError):
    """No two-layer ReLU network without bias fits the labels: change the data, or allow slack (finite C).

    Attributes
    ----------
    farkas : (n,) float array
        The proof: ``y * farkas >= 0``, ``y @ farkas > 0`` and ``farkas @ (X @ u)_+ = 0`` for every u, within
        `residual`.
    rows : (k,) int array
        The rows that contradict each other (the support of ``farkas``).
    residual : float
        No unit u has ``|farkas @ (X @ u)_+|`` above it. Rows count as parallel within a tolerance, and sums
        are rounded: where it is not zero, a network may fit the labels whose objective at margin 1 is
        ``y @ farkas / residual`` or more.

    Examples
    --------
    >>> from convexrelu import solve_max_margin
    >>> try:
    ...     solve_max_margin([[1.0, 2.0], [3.0, 6.0]], [1, -1])
    ... except InfeasibleError as error:
    ...     print(error.rows)
    [0 1]
    """

    def __init__(
        self,
        message: str,
        *,
        farkas: Float[np.ndarray, " n"],
        rows: Int[np.ndarray, " k"],
        residual: float,
    ) -> None:
        super().__init__(message)
        self.farkas = farkas
        self.rows = rows
        self.residual = residual

    def __reduce__(self) -> tuple[Callable[..., InfeasibleError], tuple[object, ...]]:
        # keywords are lost on an exception's usual way between processes
        return _infeasible, (str(self), self.farkas, self.rows, self.residual)


def _infeasible(
    message: str, farkas: Float[np.ndarray, " n"], rows: Int[np.ndarray, " k"], residual: float
) -> InfeasibleError:
    return InfeasibleError(message, farkas=farkas, rows=rows, residual=residual)


class SolverError(ConvexReLUError, RuntimeError):
    """A numerical solver returned nothing usable: try another solver, or rescale the data.

    Examples
    --------
    >>> try:
    ...     raise SolverError("the solver returned nothing usable")
    ... except RuntimeError as error:
    ...     print(error)
    the solver returned nothing usable
    """


class CertificateError(ConvexReLUError):
    """A certificate does not hold: it is malformed, altered, or of other data.

    Examples
    --------
    >>> from convexrelu import TwoLayerReLU, certify
    >>> X, y = [[1.0, 0.0], [0.0, 1.0]], [1, -1]
    >>> certificate = certify(X, y, TwoLayerReLU(X, [1.0, -1.0]))
    >>> certificate.check([[2.0, 0.0], [0.0, 1.0]], y)
    Traceback (most recent call last):
    ...
    convexrelu.errors.CertificateError: the certificate is about other data: ...
    """
