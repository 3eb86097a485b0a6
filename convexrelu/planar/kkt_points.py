"""KKT points of one squared (leaky) ReLU neuron in the plane, exactly.

For ``H(x; u) = max(x^T u, a x^T u)^2`` and inputs in the plane, the constrained NCF is a function of one
angle, ``N(theta) = sum_n z_n s(x_n^T u)``, u = (cos theta, sin theta) (KH2 Figure 3). Between two angles at
which some x_n^T u changes its sign, N is a quadratic form in u, and dN/dtheta = p cos 2 theta + q sin 2 theta
has its zeros in closed form; where p = q = 0 the whole arc consists of KKT points. N has a continuous
derivative, so that the ends of arcs need no care.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.networks.activations import PowerLeakyReLU, homogeneous

__all__ = ["PlanarKKT", "planar_kkt_points"]

_ANGLE = 1e-12
"""Angles this close are one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanarKKT:
    """The KKT points on the circle, as angles with the first axis in [-pi, pi).

    Attributes
    ----------
    angles : (k,) float array
        Isolated KKT points, increasing.
    values : (k,) float array
        N there.
    maxima : (k,) bool array
        Which of them are local maxima.
    flats : (f, 2) float array
        Ends of arcs of KKT points; the second one may exceed pi.
    """

    angles: Float[np.ndarray, " k"]
    values: Float[np.ndarray, " k"]
    maxima: Bool[np.ndarray, " k"]
    flats: Float[np.ndarray, "f 2"]

    def distances(self, angles: ArrayLike) -> Float[np.ndarray, "*batch"]:
        """Return the angular distance to the nearest KKT point.

        Parameters
        ----------
        angles : array_like
            Directions as angles, of any shape.

        Returns
        -------
        float array
            Of the same shape; inf if there is no KKT point.
        """
        at = np.asarray(angles, dtype=np.float64)
        nearest = np.full(at.shape, math.inf)
        for angle in self.angles:
            nearest = np.minimum(nearest, np.abs(_wrapped(at - angle)))
        for start, end in self.flats:
            middle, half = 0.5 * (start + end), 0.5 * (end - start)
            nearest = np.minimum(nearest, np.maximum(np.abs(_wrapped(at - middle)) - half, 0.0))
        return nearest


def planar_kkt_points(X: ArrayLike, z: ArrayLike, activation: PowerLeakyReLU) -> PlanarKKT:
    """Return all KKT points of ``max sum_n z_n s(x_n^T u), ||u|| = 1`` for inputs in the plane and power 2.

    Parameters
    ----------
    X : (n, 2) array_like
        Samples.
    z : (n,) array_like
        Their weights.
    activation : PowerLeakyReLU
        Of power 2.

    Returns
    -------
    PlanarKKT
        Isolated points and flat arcs.

    Raises
    ------
    InvalidInputError
        If X has not two columns or the power is not 2.

    Examples
    --------
    >>> points = planar_kkt_points([[1.0, 0.0], [0.0, 1.0]], [2.0, 1.0], PowerLeakyReLU(1.0, 2))
    >>> points.values
    array([2., 1., 2., 1.])
    >>> points.maxima
    array([ True, False,  True, False])
    """
    samples = as_matrix(X, columns=2)
    weights = as_vector(z, "z", length=len(samples))
    if homogeneous(activation).power != 2:
        raise InvalidInputError(f"an activation of power 2 is needed, got {activation!r}")
    size = float(np.abs(weights) @ np.square(samples).sum(axis=1))
    starts = _breaks(samples)
    found: list[_Critical] = []
    flats: list[tuple[float, float]] = []
    for start, end in zip(starts, np.append(starts[1:], starts[0] + 2 * math.pi), strict=True):
        u = _unit(0.5 * (start + end))
        sides = np.where(samples @ u > 0, 1.0, activation.alpha**2)
        M = samples.T @ ((weights * sides)[:, None] * samples)
        # A derivative this small beside ``sum_n |z_n| ||x_n||^2`` is zero all along the arc: rounding of
        # sums.
        if math.hypot(2.0 * M[0, 1], M[1, 1] - M[0, 0]) > 1e-12 * size:
            found += _critical_angles(M, float(start), float(end))
        elif flats and start - flats[-1][1] <= _ANGLE:
            flats[-1] = (flats[-1][0], float(end))
        else:
            flats.append((float(start), float(end)))
    return _collect(found, flats)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Critical:
    angle: float
    value: float
    maximum: bool


def _critical_angles(M: Float[np.ndarray, "2 2"], start: float, end: float) -> list[_Critical]:
    """Return the zeros of the derivative of u^T M u on an arc, its ends included."""
    p, q = 2.0 * M[0, 1], M[1, 1] - M[0, 0]  # dN/dtheta = p cos 2 theta + q sin 2 theta
    found = []
    for angle in 0.5 * math.atan2(-p, q) + 0.5 * math.pi * np.arange(-8, 9):
        if start - _ANGLE <= angle <= end + _ANGLE:
            bend = 2.0 * (q * math.cos(2 * angle) - p * math.sin(2 * angle))
            u = _unit(angle)
            found.append(
                _Critical(angle=float(_wrapped(angle)), value=float(u @ M @ u), maximum=bool(bend < 0))
            )
    return found


def _unit(angle: float) -> Float[np.ndarray, " 2"]:
    return np.array([math.cos(angle), math.sin(angle)])


def _breaks(samples: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " b"]:
    """Return the angles at which some x^T u is zero, and two more for arcs shorter than half the circle."""
    live = samples[(samples != 0).any(axis=1)]
    normals = np.arctan2(live[:, 1], live[:, 0]) + 0.5 * math.pi
    angles = _wrapped(np.concatenate([normals, normals + math.pi, [0.0, -math.pi]]))
    ordered = np.unique(angles)
    return np.asarray(ordered[np.diff(ordered, append=math.inf) > _ANGLE])


def _collect(found: list[_Critical], flats: list[tuple[float, float]]) -> PlanarKKT:
    """Sort the points; one at the end of an arc is found from both sides."""
    kept: list[_Critical] = []
    for point in sorted(found, key=lambda point: point.angle):
        if not kept or point.angle - kept[-1].angle > 10 * _ANGLE:
            kept.append(point)
    return PlanarKKT(
        angles=np.array([point.angle for point in kept]),
        values=np.array([point.value for point in kept]),
        maxima=np.array([point.maximum for point in kept], dtype=bool),
        flats=np.array(flats).reshape(-1, 2),
    )


def _wrapped(angles: Float[np.ndarray, "*batch"] | float) -> Float[np.ndarray, "*batch"]:
    """Return angles in [-pi, pi)."""
    return np.asarray((np.asarray(angles) + math.pi) % (2 * math.pi) - math.pi)
