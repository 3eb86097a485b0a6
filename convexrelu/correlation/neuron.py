"""The largest correlation of one ReLU neuron with given sample weights, and the dual norm it defines.

``f(lam) = max_{||u||<=1} lam^T (X u)_+`` is the dual constraint of the convex program (WP (15)), the pricing
step of the solver, what early gradient flow climbs, and the neuron that Neuron Pursuit adds. In general it is
NP-hard; here it is exact whenever the cells of the positively weighted rows can be listed, or the structure
of the data settles it, and otherwise an honest pair of bounds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector, check_positive
from convexrelu.arrangements import hyperplanes_of, is_spike_free, pattern_bound
from convexrelu.box_least_norm import box_least_norm
from convexrelu.correlation.ascent import climb, starting_directions
from convexrelu.correlation.cones import ConeSearch, search_cones
from convexrelu.correlation.listing import search_cells
from convexrelu.correlation.zonotopes import Zonotopes, zonotopes_of

__all__ = ["Correlation", "DualNorm", "dual_norm", "maximize_correlation"]

MAX_CELLS = 30_000_000
"""Cells are listed up to this many (about a minute); beyond it, in high rank, there are only bounds."""

FEW_CELLS = 300_000
"""Up to this many, cells are listed in any rank: that takes a fraction of a second."""

MAX_CONES = 2_000_000
"""Cones searched at most."""

CONE_RANK = 5
"""Up to this rank the search over cones closes far fewer of them than there are cells."""

# Half a million cells a second on one thread; it only decides whether a time limit leaves room for all.
_CELLS_PER_SECOND = 2e5
_STARTS = 32
_SEED = 11  # the oracle is deterministic: the starts of its local phase come from a fixed seed
_PAIRWISE_ROWS = 4000  # the pairwise bound forms a matrix of this size at most


@dataclass(frozen=True, kw_only=True, eq=False)
class Correlation:
    """The largest correlation of one neuron.

    Attributes
    ----------
    value : float
        ``lam^T (X u)_+`` at `direction`: attained, hence a lower bound on the maximum.
    direction : (d,) float array
        A unit vector attaining it (zero if no direction correlates positively).
    upper_bound : float
        No unit vector correlates more: proven, and rounded outwards.
    exact : bool
        Whether value and bound agree within the tolerance asked for.
    """

    value: float
    direction: Float[np.ndarray, " d"]
    upper_bound: float
    exact: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class DualNorm:
    """The dual norm ``h(lam) = max_{||u||<=1} |lam^T (X u)_+|``: lam is feasible iff at most 1 (WP (15)).

    Attributes
    ----------
    value : float
        Attained by `direction` with output sign `sign`.
    upper_bound : float
        Proven bound from above: ``y @ lam / upper_bound`` is a lower bound on the optimum for every lam with
        ``y * lam >= 0``.
    exact : bool
        Whether value and bound agree within the tolerance, or both signs were solved within it.
    direction : (d,) float array
        The most correlated neuron.
    sign : float
        +1 or -1.
    """

    value: float
    upper_bound: float
    exact: bool
    direction: Float[np.ndarray, " d"]
    sign: float

    def scaled(self, c: float) -> DualNorm:
        """The dual norm of ``c * lam``, c > 0: h is homogeneous."""
        return replace(self, value=c * self.value, upper_bound=c * self.upper_bound)


def maximize_correlation(
    X: ArrayLike, lam: ArrayLike, *, tol: float = 1e-9, time_limit: float | None = None
) -> Correlation:
    """Return the largest correlation ``max_{||u||<=1} lam^T (X u)_+`` with a proven upper bound.

    Parameters
    ----------
    X : (n, d) array
        The data.
    lam : (n,) array
        Weights of the samples, of any sign.
    tol : float, default 1e-9
        Relative gap between value and bound at which the answer is called exact.
    time_limit : float or None
        Seconds. Too few for an exact answer gives a valid, looser bound.

    Returns
    -------
    Correlation
        ``value <= maximum <= upper_bound``.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix, lam does not match it, or tol or time_limit is not positive.

    Examples
    --------
    >>> best = maximize_correlation([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0])
    >>> best.value, best.direction, best.exact
    (5.0, array([0.6, 0.8]), True)
    """
    matrix = as_matrix(X)
    weights = as_vector(lam, "lam", length=len(matrix))
    tolerance = check_positive(tol, "tol")
    seconds = np.inf if time_limit is None else check_positive(time_limit, "time_limit", finite=False)
    scaled, scaled_weights, exponent = _rescaled(matrix, weights)
    found = _maximize(scaled, scaled_weights, tolerance, float(seconds))
    upper = float(np.ldexp(found.upper_bound, exponent))
    return replace(
        found,
        value=float(np.ldexp(found.value, exponent)),
        upper_bound=float(np.nextafter(upper, np.inf)) if found.upper_bound > 0 else 0.0,
    )


def _rescaled(
    X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "s d"], Float[np.ndarray, " s"], int]:
    """Return the rows that matter and their weights, scaled by powers of two: no square over- or underflows.

    The correlation is that of X and lam times two to the minus the third entry.
    """
    support = np.flatnonzero((lam != 0) & X.any(axis=1))
    rows, (mantissas, powers) = X[support], np.frexp(lam[support])
    _, sizes = np.frexp(np.abs(rows).max(axis=1))
    arms = powers + sizes
    exponent = int(arms.max()) if len(arms) else 0
    return np.ldexp(rows, -sizes[:, None]), np.ldexp(mantissas, arms - exponent), exponent


def dual_norm(
    X: ArrayLike, lam: ArrayLike, *, tol: float = 1e-9, time_limit: float | None = None
) -> DualNorm:
    """Return ``h(lam) = max_{||u||<=1} |lam^T (X u)_+|``: the larger of the correlations of lam and -lam.

    Parameters
    ----------
    X : (n, d) array
        The data.
    lam : (n,) array
        Dual variable.
    tol, time_limit
        As in :func:`maximize_correlation`; the limit is shared by both signs.

    Returns
    -------
    DualNorm
        ``value <= h(lam) <= upper_bound``.

    Raises
    ------
    InvalidInputError
        As :func:`maximize_correlation`.

    Examples
    --------
    >>> dual_norm([[1.0, 0.0], [0.0, 1.0]], [0.5, -2.0]).value
    2.0
    """
    weights = as_vector(lam, "lam")
    half = None if time_limit is None else check_positive(time_limit, "time_limit", finite=False) / 2
    plus = maximize_correlation(X, weights, tol=tol, time_limit=half)
    minus = maximize_correlation(X, -weights, tol=tol, time_limit=half)
    best, sign = (plus, 1.0) if plus.value >= minus.value else (minus, -1.0)
    upper = max(plus.upper_bound, minus.upper_bound)
    exact = upper - best.value <= tol * best.value or (plus.exact and minus.exact)
    return DualNorm(value=best.value, upper_bound=upper, exact=exact, direction=best.direction, sign=sign)


def _maximize(
    X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"], tol: float, seconds: float
) -> Correlation:
    started = time.monotonic()
    pair = zonotopes_of(X, lam)
    if not len(pair.positive):
        # a positive weight may have cancelled against a negative one of its ray, to rounding
        upper = pair.rounding if (lam > 0).any() else 0.0
        return Correlation(value=0.0, direction=np.zeros(X.shape[1]), upper_bound=upper, exact=True)
    starts = starting_directions(pair, _STARTS, np.random.default_rng(_SEED))
    maxima = climb(pair, starts)
    value, inside = 0.0, np.zeros(pair.basis.shape[1])
    if len(maxima.values):
        value, inside = float(maxima.values[0]), maxima.directions[0]
    upper, slack = _structural_bound(pair), 0.0
    if upper - value > tol * value:
        found = _search(pair, value, inside, tol, seconds - (time.monotonic() - started))
        upper, inside, slack = min(upper, found.bound), found.direction, found.slack
    return _evaluated(X, lam, pair, inside, upper, slack, tol)


def _evaluated(
    X: Float[np.ndarray, "n d"],
    lam: Float[np.ndarray, " n"],
    pair: Zonotopes,
    inside: Float[np.ndarray, " r"],
    upper: float,
    slack: float,
    tol: float,
) -> Correlation:
    """Return the answer in the data's coordinates: value recomputed there, bound rounded outwards."""
    direction = pair.basis @ inside
    size = float(np.linalg.norm(direction))
    direction = direction / size if size > 0 else direction
    value = float(np.maximum(X @ direction, 0) @ lam)
    if value <= 0:
        value, direction = 0.0, np.zeros(X.shape[1])
    bound = max(upper, value) + pair.rounding
    return Correlation(
        value=value,
        direction=direction,
        upper_bound=bound,
        exact=bool(bound - value <= tol * value or upper <= pair.rounding + slack),
    )


def _search(
    pair: Zonotopes, value: float, inside: Float[np.ndarray, " r"], tol: float, seconds: float
) -> ConeSearch:
    """Search all directions: the cells of the positive arms if they are few, else cones in low rank."""
    lines = hyperplanes_of(pair.positive)
    n_cells = pattern_bound(len(lines.normals), lines.rank)
    listable = n_cells <= min(MAX_CELLS, max(seconds, 0.0) * _CELLS_PER_SECOND)
    rank = pair.basis.shape[1]
    if listable and (n_cells <= FEW_CELLS or rank > CONE_RANK):
        return search_cells(pair, value, inside, seconds=seconds)
    if rank > CONE_RANK:
        return ConeSearch(value=value, direction=inside, bound=np.inf, slack=0.0, nodes=0, finished=False)
    return search_cones(pair, value, inside, tol=0.1 * tol, seconds=seconds, max_nodes=MAX_CONES)


def _structural_bound(pair: Zonotopes) -> float:
    """Return the best bound that needs no cells: attained on orthogonally separable and on spike-free data.

    Any u has ``sum (p_i^T u)_+ <= max_s ||sum_i s_i p_i|| <= sqrt(sum_ij (p_i^T p_j)_+)``: equality if no
    product is negative and the sum's direction meets no negative arm. On spike-free rows ``(X u)_+ = X z``,
    so f is the norm of a projection onto a cone.
    """
    bound = float(np.linalg.norm(pair.positive, axis=1).sum())
    if len(pair.positive) <= _PAIRWISE_ROWS:
        bound = min(bound, float(np.sqrt(np.maximum(pair.positive @ pair.positive.T, 0).sum())))
    rows = np.vstack([pair.positive, pair.negative])
    if len(rows) <= rows.shape[1] and is_spike_free(rows):
        weighted_sum = pair.positive.sum(axis=0) - pair.negative.sum(axis=0)
        projection = box_least_norm(-rows, weighted_sum, np.full(len(rows), np.inf))
        bound = min(bound, projection.norm)
    return bound
