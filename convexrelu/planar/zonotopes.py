"""The dual as two zonotopes: their Hausdorff distance is h(lam), and the optimal neurons realise it.

``Z_+ = sum [0, |lam_n|] x_n`` over the samples of positive weight, ``Z_-`` over those of negative weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._box_least_norm import box_least_norm
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector
from convexrelu.networks import TwoLayerReLU
from convexrelu.planar.neurons import unit_neurons

__all__ = ["HausdorffSegment", "hausdorff_segments", "zonotope_generators", "zonotope_polygon"]


@dataclass(frozen=True, kw_only=True, eq=False)
class HausdorffSegment:
    """From the vertex of one zonotope that a neuron points to, to the nearest point of the other.

    Attributes
    ----------
    start, end : (2,) float arrays
        The nearest point and the vertex.
    sign : float
        +1 if the vertex is ``Z_+``'s (a positive neuron), -1 if it is ``Z_-``'s.
    neuron : (2,) float array
        The neuron's direction.
    """

    start: Float[np.ndarray, " 2"]
    end: Float[np.ndarray, " 2"]
    sign: float
    neuron: Float[np.ndarray, " 2"]

    @property
    def length(self) -> float:
        """Its length: 1 at an optimal lam."""
        return float(np.linalg.norm(self.end - self.start))


def zonotope_polygon(generators: ArrayLike) -> Float[np.ndarray, "v 2"]:
    """Return the vertices of ``sum_i [0, 1] generators_i`` in the plane, counter-clockwise.

    Parameters
    ----------
    generators : (k, 2) array_like
        Segments from the origin; none gives the origin, parallel ones a segment.

    Returns
    -------
    (2k, 2) float array
        The vertices (some may lie on an edge where generators are parallel).

    Raises
    ------
    InvalidInputError
        If the generators do not lie in the plane.

    Examples
    --------
    >>> zonotope_polygon([[1.0, 0.0], [0.0, 1.0]])
    array([[0., 0.],
           [1., 0.],
           [1., 1.],
           [0., 1.]])
    """
    segments = as_matrix(generators, "generators", columns=2, min_rows=0)
    if not len(segments):
        return np.zeros((1, 2))
    down = (segments[:, 1] < 0) | ((segments[:, 1] == 0) & (segments[:, 0] < 0))
    lowest = segments[down].sum(axis=0)
    upward = np.where(down[:, None], -segments, segments)
    edges = upward[np.argsort(np.arctan2(upward[:, 1], upward[:, 0]), kind="stable")]
    steps = np.vstack([np.zeros((1, 2)), edges, -edges[:-1]])
    return np.asarray(lowest + np.cumsum(steps, axis=0))


def zonotope_generators(X: ArrayLike, lam: ArrayLike, sign: float) -> Float[np.ndarray, "k 2"]:
    """Return the generators ``|lam_n| x_n`` of ``Z_+`` or of ``Z_-``.

    Parameters
    ----------
    X : (n, 2) array_like
        The data.
    lam : (n,) array_like
        Dual variable.
    sign : float
        1 for ``Z_+``, over the samples with ``lam_n > 0``; -1 for ``Z_-``.

    Returns
    -------
    (k, 2) float array
        In the order of the samples.

    Raises
    ------
    InvalidInputError
        If the data is not in the plane or the shapes disagree.

    Examples
    --------
    >>> zonotope_generators([[1.0, 0.0], [0.0, 2.0]], [1.0, -0.5], -1.0)
    array([[0., 1.]])
    """
    matrix = as_matrix(X, columns=2)
    weights = as_vector(lam, "lam", length=len(matrix))
    mine = sign * weights > 0
    return np.asarray(np.abs(weights[mine])[:, None] * matrix[mine])


def hausdorff_segments(X: ArrayLike, lam: ArrayLike, network: TwoLayerReLU) -> tuple[HausdorffSegment, ...]:
    """Return for each neuron the segment in which it measures the distance of the zonotopes.

    A positive neuron u points to the vertex ``sum of the generators p of Z_+ with p^T u > 0``, a negative one
    to ``Z_-``'s; the segment joins it to the nearest point of the other zonotope. At an optimum it is
    parallel to u and of length ``h(lam) = 1``.

    Parameters
    ----------
    X : (n, 2) array_like
        The data.
    lam : (n,) array_like
        Dual variable.
    network : TwoLayerReLU
        The optimal network.

    Returns
    -------
    tuple of HausdorffSegment
        In the order of the neurons.

    Raises
    ------
    InvalidInputError
        If the data is not in the plane or the shapes disagree.

    Examples
    --------
    >>> network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    >>> [segment.length for segment in hausdorff_segments([[1.0, 0.0], [0.0, 2.0]], [1.0, -0.5], network)]
    [1.0, 1.0]
    """
    found = []
    directions = unit_neurons(network, as_matrix(X, columns=2).shape[1])
    for neuron, sign in zip(directions, network.signs.tolist(), strict=True):
        mine, other = zonotope_generators(X, lam, sign), zonotope_generators(X, lam, -sign)
        vertex = mine[mine @ neuron > 0].sum(axis=0)
        nearest = box_least_norm(other, vertex, np.ones(len(other)))
        found.append(HausdorffSegment(start=vertex - nearest.residual, end=vertex, sign=sign, neuron=neuron))
    return tuple(found)
