"""The exact maximum of a neuron's correlation in the plane: one sweep around the circle.

``F(u) = sum_i w_i (a_i^T u)_+`` is linear between neighbouring kinks, the unit vectors orthogonal to a
generator: there ``F(u) = g^T u``, and g changes by one generator from an arc to the next. So sorting the
kinks and one cumulative sum give F everywhere, and its maximum over an arc is ``||g||`` if g points into it,
else the larger of the end points' values: O(n log n) in all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu.oracle.cones import ConeSearch
from convexrelu.oracle.zonotopes import Zonotopes

__all__ = ["ArcMaxima", "arc_maxima", "cross", "sweep_plane", "upper_half"]

# Rounding per unit of sum ||w_i a_i||. A kink's angle is off by two units in the last place of pi (8.9e-16):
# a generator taken for (in)active that far from its kink changes F by its length times that, and so do the
# arcs' end points. Products and norms add a few units each.
_PER_LENGTH = 16 * float(np.finfo(np.float64).eps)
# Of the cumulative sums: every partial sum carries at most one unit for each of its terms, and a point of the
# arc's far side needs two of them.
_PER_TERM = 4 * float(np.finfo(np.longdouble).eps)


@dataclass(frozen=True, kw_only=True, eq=False)
class ArcMaxima:
    """The maximum of a piecewise linear function over every arc between its neighbouring kinks.

    Attributes
    ----------
    directions : (2m, 2) float array
        A maximiser on each arc, a unit vector; m is the number of non-zero generators.
    values : (2m,) float array
        The maxima, of either sign.
    interior : (2m,) bool array
        Whether the maximiser lies inside its arc, where the function is smooth.
    rounding : float
        No value of the function exceeds the largest maximum by more.
    """

    directions: Float[np.ndarray, "p 2"]
    values: Float[np.ndarray, " p"]
    interior: Bool[np.ndarray, " p"]
    rounding: float

    @property
    def bound(self) -> float:
        """Proven upper bound on the maximum over the unit disc, which is at least 0."""
        return float(self.values.max(initial=0.0)) + self.rounding


def arc_maxima(generators: Float[np.ndarray, "n 2"], weights: Float[np.ndarray, " n"]) -> ArcMaxima:
    """Return the maxima of ``sum_i w_i (a_i^T u)_+`` over the arcs of the unit circle between its kinks."""
    live = generators.any(axis=1) & (weights != 0)
    generators, weights = generators[live], weights[live]
    if not len(generators):
        return ArcMaxima(
            directions=np.zeros((0, 2)), values=np.zeros(0), interior=np.zeros(0, dtype=bool), rounding=0.0
        )
    # a quarter turn of the generator, then folded; the angle grows across it, so that a folded generator
    # becomes active
    kinks, folded = upper_half(np.column_stack([-generators[:, 1], generators[:, 0]]))
    order = np.argsort(np.arctan2(kinks[:, 1], kinks[:, 0]), kind="stable")
    kinks = kinks[order] / np.linalg.norm(kinks[order], axis=1)[:, None]
    vectors = generators[order].astype(np.longdouble) * weights[order, None]
    enters = folded[order]
    before = vectors[~enters].sum(axis=0)
    half = before + np.cumsum(np.where(enters[:, None], vectors, -vectors), axis=0)
    # on the far side exactly the other generators are active
    slopes = np.vstack([half, vectors.sum(axis=0) - half]).astype(np.float64)
    ends = np.vstack([kinks[1:], -kinks[:1]])
    length = float(np.linalg.norm(vectors.astype(np.float64), axis=1).sum())
    return _maxima(
        slopes,
        np.vstack([kinks, -kinks]),
        np.vstack([ends, -ends]),
        length * (_PER_LENGTH + _PER_TERM * len(generators)),
    )


def sweep_plane(pair: Zonotopes) -> ConeSearch:
    """Maximise the correlation over the unit circle, for generators of rank two."""
    generators = np.vstack([pair.positive, pair.negative])
    weights = np.r_[np.ones(len(pair.positive)), -np.ones(len(pair.negative))]
    maxima = arc_maxima(generators, weights)
    best = int(np.argmax(maxima.values))
    return ConeSearch(
        value=float(maxima.values[best]),
        direction=maxima.directions[best],
        bound=maxima.bound,
        slack=maxima.rounding,
        nodes=len(maxima.values),
        finished=True,
    )


def upper_half(vectors: Float[np.ndarray, "n 2"]) -> tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """Return the vectors or their negatives, whichever have an angle in [0, pi), and which were negated."""
    folded = (vectors[:, 1] < 0) | ((vectors[:, 1] == 0) & (vectors[:, 0] < 0))
    return np.where(folded[:, None], -vectors, vectors) + 0.0, folded  # + 0.0: minus zero has the angle pi


def _maxima(
    slopes: Float[np.ndarray, "p 2"],
    starts: Float[np.ndarray, "p 2"],
    ends: Float[np.ndarray, "p 2"],
    rounding: float,
) -> ArcMaxima:
    """Return the maxima of ``slope^T u`` over the arcs from start to end (in the positive sense)."""
    at_start, at_end = (slopes * starts).sum(axis=1), (slopes * ends).sum(axis=1)
    inside = (cross(starts, slopes) > 0) & (cross(slopes, ends) > 0)
    # the ends of an arc of length zero may be swapped by rounding: then what lies "between" is the far side
    inside &= (at_start > 0) | ((starts * ends).sum(axis=1) < 0.5)
    sizes = np.linalg.norm(slopes, axis=1)
    better_end = np.where((at_end > at_start)[:, None], ends, starts)
    along = slopes / np.where(sizes > 0, sizes, 1.0)[:, None]
    return ArcMaxima(
        directions=np.where(inside[:, None], along, better_end),
        values=np.where(inside, sizes, np.maximum(at_start, at_end)),
        interior=inside,
        rounding=rounding,
    )


def cross(a: Float[np.ndarray, "p 2"], b: Float[np.ndarray, "p 2"]) -> Float[np.ndarray, " p"]:
    """Return the cross products of paired vectors: positive where b is to the left of a."""
    product: np.ndarray = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return product
