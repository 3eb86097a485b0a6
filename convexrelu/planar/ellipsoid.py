"""The rectified ellipsoid ``Q = {(X u)_+ : ||u|| <= 1}`` of two samples (WP section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._box_least_norm import box_least_norm
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector
from convexrelu.arrangements import enumerate_patterns
from convexrelu.errors import InvalidInputError

__all__ = ["Ellipsoid", "PatternExtreme", "cone_maximum", "ellipsoid_of", "pattern_extremes"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ellipsoid:
    """The ellipsoid ``{X u : ||u|| <= 1}`` of two samples and its rectification.

    Attributes
    ----------
    outline : (k, 2) float array
        Boundary of the ellipsoid, counter-clockwise.
    body : (l, 2) float array
        Polygon: the part of the ellipsoid in the positive quadrant, where rectifying changes nothing.
    spikes : (2,) float array
        How far Q reaches along each axis: ``max (x_n^T u)_+`` over the u that see no other sample.
    """

    outline: Float[np.ndarray, "k 2"]
    body: Float[np.ndarray, "l 2"]
    spikes: Float[np.ndarray, " 2"]

    @property
    def crossing(self) -> Float[np.ndarray, " 2"]:
        """Where the ellipsoid crosses each axis: a spike is what reaches beyond it."""
        return np.array([self.body[1, 0], self.body[-2, 1]])


@dataclass(frozen=True, kw_only=True, eq=False)
class PatternExtreme:
    """The extreme point of one pattern (WP eq. (11)).

    It maximises ``s lam^T D_j X u`` over ``||u|| <= 1, (2 D_j - I) X u >= 0``.

    Attributes
    ----------
    pattern : (n,) bool array
        The diagonal of D_j.
    sign : float
        +1 for the maximum of lam's correlation, -1 for the minimum.
    value : float
        ``s lam^T (X u)_+`` there.
    direction : (d,) float array
        The maximiser, a unit vector; zero if nothing correlates.
    """

    pattern: Bool[np.ndarray, " n"]
    sign: float
    value: float
    direction: Float[np.ndarray, " d"]


def ellipsoid_of(X: ArrayLike) -> Ellipsoid:
    """Return the ellipsoid of two samples and its rectification, as curves to draw.

    Parameters
    ----------
    X : (2, d) array_like
        Two samples.

    Returns
    -------
    Ellipsoid
        Outline, body and spikes.

    Raises
    ------
    InvalidInputError
        If X does not have exactly two rows.

    Examples
    --------
    >>> ellipsoid_of([[1.0, 0.0], [0.0, 2.0]]).spikes
    array([1., 2.])
    """
    matrix = _two_rows(X)
    left, sizes, _ = np.linalg.svd(matrix, full_matrices=False)
    axes = np.zeros((2, 2))
    axes[:, : len(sizes)] = left * sizes  # one column only if d = 1: the ellipse is a segment
    # every half degree
    angles = np.linspace(0, 2 * np.pi, 721)
    outline = np.column_stack([np.cos(angles), np.sin(angles)]) @ axes.T
    spikes = np.array([_reach(matrix[0], matrix[1]), _reach(matrix[1], matrix[0])])
    crossing = np.array([_distance_to_line(matrix[0], matrix[1]), _distance_to_line(matrix[1], matrix[0])])
    inside = outline[(outline > 0).all(axis=1)]
    inside = inside[np.argsort(np.arctan2(inside[:, 1], inside[:, 0]))]
    body = np.vstack([[0.0, 0.0], [crossing[0], 0.0], inside, [0.0, crossing[1]], [0.0, 0.0]])
    return Ellipsoid(outline=outline, body=body, spikes=spikes)


def _two_rows(X: ArrayLike) -> Float[np.ndarray, "2 d"]:
    matrix = as_matrix(X)
    if len(matrix) != 2:
        raise InvalidInputError(f"X must have two rows, the axes of the picture, got {len(matrix)}")
    return matrix


def _distance_to_line(x: Float[np.ndarray, " d"], other: Float[np.ndarray, " d"]) -> float:
    """Where the ellipsoid meets the axis of x: the largest ``x^T u`` with ``other^T u = 0``."""
    square_norm = float(other @ other)
    return (
        float(np.linalg.norm(x - (x @ other) / square_norm * other))
        if square_norm > 0
        else float(np.linalg.norm(x))
    )


def _reach(x: Float[np.ndarray, " d"], other: Float[np.ndarray, " d"]) -> float:
    """The largest ``x^T u`` with ``other^T u <= 0``: x itself if it is allowed, else on the boundary."""
    return float(np.linalg.norm(x)) if x @ other <= 0 else _distance_to_line(x, other)


def cone_maximum(
    X: Float[np.ndarray, "n d"], pattern: Bool[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " d"]:
    """Return the projection of ``X^T D weights`` on the pattern's cone.

    Its norm is the largest ``weights^T D X u`` over unit vectors of the cone, its direction the maximiser.
    """
    signed = np.where(pattern, 1.0, -1.0)[:, None] * X
    target = X[pattern].T @ weights[pattern]
    return box_least_norm(-signed, target, np.full(len(X), np.inf)).residual


def pattern_extremes(X: ArrayLike, lam: ArrayLike) -> tuple[PatternExtreme, ...]:
    """Return the extreme points of Q along lam and -lam, one for each pattern (WP eq. (11)).

    Parameters
    ----------
    X : (n, d) array_like
        The data, few enough rows to list the patterns.
    lam : (n,) array_like
        Dual variable.

    Returns
    -------
    tuple of PatternExtreme
        Two for each pattern, the maximum first.

    Raises
    ------
    InvalidInputError
        If lam does not match X, or the patterns are too many to list.

    Examples
    --------
    >>> found = pattern_extremes([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0])
    >>> [round(extreme.value, 3) for extreme in found if extreme.sign > 0 and extreme.pattern.all()]
    [5.0]
    """
    matrix = as_matrix(X)
    weights = as_vector(lam, "lam", length=len(matrix))
    found = []
    for pattern in enumerate_patterns(matrix).patterns:
        for sign in (1.0, -1.0):
            best = cone_maximum(matrix, pattern, sign * weights)
            value = float(np.linalg.norm(best))
            if value <= np.finfo(float).eps * 16 * float(np.abs(weights) @ np.linalg.norm(matrix, axis=1)):
                best, value = np.zeros_like(best), 0.0
            found.append(
                PatternExtreme(
                    pattern=pattern, sign=sign, value=value, direction=best / value if value else best
                )
            )
    return tuple(found)
