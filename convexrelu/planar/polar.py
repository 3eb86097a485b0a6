"""The absolute polar set ``Q* = {lam : h(lam) <= 1}`` of two samples (WP eq. (10), Figure 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, check_count
from convexrelu.arrangements import enumerate_patterns
from convexrelu.errors import InvalidInputError
from convexrelu.oracle import dual_norm
from convexrelu.planar.ellipsoid import cone_maximum

__all__ = ["PatternConstraint", "PolarSet", "pattern_constraints", "polar_set"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PolarSet:
    """A symmetric star-shaped set of dual variables, known exactly in the listed directions.

    Attributes
    ----------
    directions : (k, 2) float array
        Unit vectors round the circle, corners of the set among them, the first one again at the end.
    radius : (k,) float array
        Distance from 0 to the boundary; inf where the set is unbounded.
    """

    directions: Float[np.ndarray, "k 2"]
    radius: Float[np.ndarray, " k"]

    @property
    def boundary(self) -> Float[np.ndarray, "k 2"]:
        """The boundary's points."""
        return np.asarray(self.directions * self.radius[:, None])


@dataclass(frozen=True, kw_only=True, eq=False)
class PatternConstraint:
    """What one pattern alone demands of lam: ``|lam^T D_j X u| <= 1`` on its cone in the unit ball.

    Attributes
    ----------
    pattern : (2,) bool array
        The diagonal of D_j.
    allowed : PolarSet
        The dual variables that meet it.
    """

    pattern: Bool[np.ndarray, " 2"]
    allowed: PolarSet


def polar_set(X: ArrayLike, *, size: int = 120) -> PolarSet:
    """Return the absolute polar set ``{lam : h(lam) <= 1}`` of two samples: radius ``1/h`` by the oracle.

    Parameters
    ----------
    X : (2, d) array_like
        Two samples, neither of them zero.
    size : int, default 120
        Directions on the half circle to start from; corners between them are added. The rest is symmetric.

    Returns
    -------
    PolarSet
        The boundary.

    Raises
    ------
    InvalidInputError
        If X does not have two non-zero rows.

    Examples
    --------
    >>> print(polar_set([[2.0, 0.0], [0.0, 1.0]], size=2).radius[0])
    0.5
    """
    matrix = _two_nonzero_rows(X)

    def touching(direction: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
        best = dual_norm(matrix, direction)
        return np.asarray(best.sign * np.maximum(matrix @ best.direction, 0))

    return _traced(touching, check_count(size, "size"))


def pattern_constraints(X: ArrayLike, *, size: int = 120) -> tuple[PatternConstraint, ...]:
    """Return what each pattern of two samples demands of lam by itself; the polar set is their intersection.

    Parameters
    ----------
    X : (2, d) array_like
        Two samples, neither of them zero.
    size : int, default 120
        As for :func:`polar_set`.

    Returns
    -------
    tuple of PatternConstraint
        One a pattern, without the pattern that sees no sample, which demands nothing.

    Raises
    ------
    InvalidInputError
        If X does not have two non-zero rows.
    """
    matrix = _two_nonzero_rows(X)
    count = check_count(size, "size")

    def of(pattern: Bool[np.ndarray, " 2"]) -> PatternConstraint:
        def touching(direction: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
            up, down = (cone_maximum(matrix, pattern, sign * direction) for sign in (1.0, -1.0))
            best, sign = (up, 1.0) if np.linalg.norm(up) >= np.linalg.norm(down) else (down, -1.0)
            image = np.asarray(sign * pattern * (matrix @ best))
            return image / (np.linalg.norm(best) or 1.0)

        return PatternConstraint(pattern=pattern, allowed=_traced(touching, count))

    return tuple(of(pattern) for pattern in enumerate_patterns(matrix).patterns if pattern.any())


def _two_nonzero_rows(X: ArrayLike) -> Float[np.ndarray, "2 d"]:
    matrix = as_matrix(X)
    if len(matrix) != 2 or not matrix.any(axis=1).all():
        raise InvalidInputError(
            f"X must have two non-zero rows, the axes of the picture, got shape {matrix.shape}"
        )
    return matrix


def _traced(touching: Callable[[Float[np.ndarray, " 2"]], Float[np.ndarray, " 2"]], size: int) -> PolarSet:
    """The set ``{lam : lam^T z <= 1 for all z}``, from the function that finds the z largest along lam."""
    angles = np.pi * np.arange(size) / size
    directions = [np.array([np.cos(a), np.sin(a)]) for a in angles]
    images = [touching(v) for v in directions]
    corners = []
    following = [*directions[1:], -directions[0]], [*images[1:], -images[0]]
    for v, z, after, z_after in zip(directions, images, *following, strict=True):
        # the boundary's tangents at neighbouring directions meet in the corner, if there is one between them
        system = np.array([z, z_after])
        # (those closer to parallel than this meet far away)
        if abs(np.linalg.det(system)) > 1e-9 * max(float(z @ z), float(z_after @ z_after)):
            corner = np.linalg.solve(system, np.ones(2))
            unit = corner / np.linalg.norm(corner)
            if unit @ (v + after) > 0 and _cross(v, unit) > 0 and _cross(unit, after) > 0:
                corners.append(unit)
    half = np.array(directions + corners)
    half = half[np.argsort(np.arctan2(half[:, 1], half[:, 0]), kind="stable")]
    largest = np.array([v @ touching(v) for v in half])
    rounding = 16 * np.finfo(float).eps * float(np.abs(largest).max())
    with np.errstate(divide="ignore"):
        radius = np.where(largest > rounding, 1 / largest, np.inf)
    return PolarSet(directions=np.vstack([half, -half, half[:1]]), radius=np.r_[radius, radius, radius[:1]])


def _cross(a: Float[np.ndarray, " 2"], b: Float[np.ndarray, " 2"]) -> float:
    return float(a[0] * b[1] - a[1] * b[0])
