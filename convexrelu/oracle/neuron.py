"""The largest correlation of one ReLU neuron with given sample weights, and the dual norm it defines.

``f(lam) = max_{||u||<=1} lam^T (X u)_+`` is the dual constraint of the convex program (WP (15)), the pricing
step of the solver, what early gradient flow climbs, and the neuron that Neuron Pursuit adds. In general it is
NP-hard; here it is exact whenever the cells of the positively weighted rows can be listed, or the structure
of the data settles it, and otherwise an honest pair of bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from convexrelu._box_least_norm import box_least_norm
from convexrelu._clock import Clock
from convexrelu._parallel import count_workers, one_blas_thread
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector, check_count, check_positive, check_seconds
from convexrelu.arrangements import hyperplanes_of, pattern_bound
from convexrelu.arrangements.hyperplanes import unit_rows
from convexrelu.arrangements.structure import spike_bound
from convexrelu.errors import InvalidInputError
from convexrelu.networks.neurons import row_norms
from convexrelu.oracle.ascent import climb, starting_directions
from convexrelu.oracle.cells import search_cells
from convexrelu.oracle.cones import ConeSearch, search_cones
from convexrelu.oracle.plane import sweep_plane
from convexrelu.oracle.zonotopes import Zonotopes, zonotopes_of

__all__ = [
    "Correlation",
    "Cover",
    "DualNorm",
    "covered_norm",
    "dual_norm",
    "listing_seconds",
    "maximize_correlation",
    "rescaled_norm",
    "search_seconds",
]

LONGEST_LISTING = 60.0
"""Cells are listed if that takes at most so many seconds on one thread; beyond it there are only bounds."""

SHORT_LISTING = 0.2
"""Up to so many seconds, cells are listed without a look at cones."""

MAX_CONES = 300_000
"""Cones searched at most for each sign, unless the caller sets a limit."""

CONE_RANK = 10
"""Up to this rank cones are searched: there are two to the power of the rank of them to begin with."""

# Seconds for a cell and for a cone on one thread, as measured; they only decide what is tried, for how long.
_CELL, _CELL_PER_GENERATOR, _CONE = 2e-7, 4e-9, 3e-5
# So many weights of one sign nearly all have one value, that of a soft margin's cap, and neurons of nearly
# one correlation: guesses hardly rule a cell out then, and for each generator it takes so much.
_DENSE, _CELL_PER_DENSE = 80, 3.5e-7
_COUNTLESS = 10**15  # the numbers of cells grow beyond the range of floats
# Before cells are listed, cones get a third of that time: they finish first where many generators hardly
# matter (weights of no special origin), and otherwise leave a bound for a listing that is cut off.
_CONE_SHARE = 0.3
_ASCENT_SHARE = 0.3  # of the time, for the local phase
_STARTS = 32
_SEED = 11  # the oracle is deterministic: the starts of its local phase come from a fixed seed
_PAIRWISE_ROWS = 4000  # the pairwise bound forms a matrix of this size at most
_EXACT_TOL = 1e-9  # the default tolerance: what needs no cover
# A cover's level is higher than the bound by so much, relative: sums round differently elsewhere, and lam may
# have been scaled. To find it again may take twice as many cones, and some.
_COVER_TOL, _COVER_CONES = 1e-10, 10_000
# A multiple of lam is rounded, twice on its way to the user. Where weights cancel, that shows in the norm;
# less than a tenth of what a cover allows does not count.
_PRODUCTS, _SHOWN = 4 * float(np.finfo(float).eps), 0.1 * _COVER_TOL


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
    repeatable : bool
        Whether no clock cut the search off: asked again, without a limit, it says the same. Where it does and
        is not exact, the rest is rounding, or a search that nobody can afford.
    nodes : int
        Cones bounded; cells visited count as the cones that take as long.

    Examples
    --------
    >>> found = maximize_correlation([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0])
    >>> round(found.value, 9), found.direction.round(9).tolist(), found.exact
    (5.0, [0.6, 0.8], True)
    """

    value: float
    direction: Float[np.ndarray, " d"]
    upper_bound: float
    exact: bool
    repeatable: bool
    nodes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Cover:
    """What repeats a search whose bound is not exact: it covered the sphere by cones of smaller bounds.

    No clock is part of it. Which cones are split before no bound exceeds the level depends on the level
    alone, so that a search to a tolerance, or one that was cut off, proves its bound for good.

    Attributes
    ----------
    level : float
        No direction correlates more, with either sign.
    nodes : int
        Cones that the search bounded: to repeat it takes no more.
    """

    level: float
    nodes: int


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
    repeatable : bool
        Whether no clock cut either sign's search off.
    direction : (d,) float array
        The most correlated neuron.
    sign : float
        +1 or -1.
    nodes : int
        Cones bounded, for both signs; cells visited count as the cones that take as long.
    cover : Cover or None
        What repeats the search (:func:`covered_norm`); None where :func:`dual_norm` with its defaults does.
    """

    value: float
    upper_bound: float
    exact: bool
    repeatable: bool
    direction: Float[np.ndarray, " d"]
    sign: float
    nodes: int = 0
    cover: Cover | None = None

    def scaled(self, c: float) -> DualNorm:
        """The dual norm of ``c * lam``, c > 0: h is homogeneous."""
        cover = self.cover and replace(self.cover, level=c * self.cover.level)
        return replace(self, value=c * self.value, upper_bound=c * self.upper_bound, cover=cover)


def maximize_correlation(
    X: ArrayLike,
    lam: ArrayLike,
    *,
    tol: float = 1e-9,
    time_limit: float | None = None,
    max_nodes: int | None = None,
) -> Correlation:
    """Return the largest correlation ``max_{||u||<=1} lam^T (X u)_+`` with a proven upper bound.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    lam : (n,) array_like
        Weights of the samples, of any sign.
    tol : float, default 1e-9
        The search ends once ``upper_bound <= (1 + tol) value``, and the answer is called exact. With weights
        on many rows, 1e-2 takes a fraction of the work that the last digits do.
    time_limit : float or None
        Seconds. Too few for an exact answer gives a valid, looser bound.
    max_nodes : int or None
        Cones that are searched at most, in place of seconds: the same call then gives the same bound
        everywhere. Cells are not listed where that would take longer. Without a time limit, 300,000 for each
        sign by default.

    Returns
    -------
    Correlation
        ``value <= maximum <= upper_bound``.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix, lam does not match it, tol, time_limit or max_nodes is not positive, or
        the correlation is beyond the range of float64.

    Examples
    --------
    >>> best = maximize_correlation([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0])
    >>> best.value, best.direction, best.exact
    (5.0, array([0.6, 0.8]), True)
    """
    return _correlations(X, lam, (1.0,), tol, time_limit, max_nodes)[0]


def _correlations(
    X: ArrayLike,
    lam: ArrayLike,
    signs: tuple[float, ...],
    tol: float,
    time_limit: float | None,
    max_nodes: int | None,
    *,
    search: bool = True,
    level: float = 0.0,
    stop_above: float = np.inf,
) -> list[Correlation]:
    """Return the largest correlations of ``sign * lam``, each as far as the largest of all needs it.

    And no further than to prove that none exceeds the level.
    """
    matrix = as_matrix(X)
    weights = as_vector(lam, "lam", length=len(matrix))
    tolerance = check_positive(tol, "tol")
    seconds = check_seconds(time_limit)
    scaled, scaled_weights, exponent = _rescaled(matrix, weights)
    choices = [sign * scaled_weights for sign in signs]
    with np.errstate(over="ignore"):
        wanted, stop = (float(np.ldexp(float(x), -exponent)) for x in (level, stop_above))
    if max_nodes is not None:
        nodes = check_count(max_nodes, "max_nodes")
    else:  # seconds are a limit of their own
        nodes = len(signs) * (MAX_CONES if np.isinf(seconds) else _COUNTLESS)
    effort = _Effort(
        clock=Clock(limit=float(seconds)),
        max_nodes=nodes,
        longest_listing=LONGEST_LISTING if max_nodes is None else min(LONGEST_LISTING, nodes * _CONE),
        tol=tolerance,
        level=wanted,
        stop_above=stop,
    )
    found = _maximize(scaled, choices, effort, search=search)
    answers = [_unscaled(correlation, exponent) for correlation in found]
    if not all(np.isfinite(answer.value) for answer in answers):
        raise InvalidInputError("the correlation is beyond the range of float64: rescale X or lam")
    return answers


def _unscaled(found: Correlation, exponent: int) -> Correlation:
    with np.errstate(over="ignore"):
        upper = float(np.ldexp(found.upper_bound, exponent))
        value = float(np.ldexp(found.value, exponent))
    return replace(
        found,
        value=value,
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
    exponents = powers + sizes
    exponent = int(exponents.max()) if len(exponents) else 0
    return np.ldexp(rows, -sizes[:, None]), np.ldexp(mantissas, exponents - exponent), exponent


def dual_norm(
    X: ArrayLike,
    lam: ArrayLike,
    *,
    tol: float = 1e-9,
    time_limit: float | None = None,
    max_nodes: int | None = None,
    search: bool = True,
    stop_above: float = np.inf,
) -> DualNorm:
    """Return ``h(lam) = max_{||u||<=1} |lam^T (X u)_+|``: the larger of the correlations of lam and -lam.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    lam : (n,) array_like
        Dual variable.
    tol, time_limit, max_nodes
        As in :func:`maximize_correlation`; both signs share the limits.
    search : bool, default True
        Whether to search the directions for an exact answer. Without, the value is that of the best local
        maximum met and the bound is what the structure of the rows proves: fast, and the same every time.
    stop_above : float, default inf
        The search ends once a correlation above it is found, for whoever only asks whether there is one.

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
    found = _correlations(
        X, lam, (1.0, -1.0), tol, time_limit, max_nodes, search=search, stop_above=stop_above
    )
    norm = _larger(found)
    tight = norm.upper_bound - norm.value <= _EXACT_TOL * norm.value
    if not search or (norm.exact and (tight or tol <= _EXACT_TOL)):
        return norm
    level = norm.upper_bound * (1 + _COVER_TOL)
    return replace(norm, cover=Cover(level=level, nodes=norm.nodes))


def covered_norm(X: ArrayLike, lam: ArrayLike, cover: Cover) -> DualNorm:
    """Return the dual norm as far as a cover proves it: the search that it stands for is repeated.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    lam : (n,) array_like
        Dual variable.
    cover : Cover
        Of this dual variable, from :func:`dual_norm`.

    Returns
    -------
    DualNorm
        With the cover's level for a bound.

    Raises
    ------
    InvalidInputError
        As :func:`maximize_correlation`, or if so many cones do not prove the level.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, lam = rng.normal(size=(300, 4)), rng.normal(size=300)
    >>> norm = dual_norm(X, lam, tol=0.3, max_nodes=5000)
    >>> covered_norm(X, lam, norm.cover).upper_bound / norm.upper_bound - 1 < 2e-10
    True
    """
    level = check_positive(cover.level, "level")
    # for each sign: they may have shared the cones unevenly
    most = 2 * (2 * check_count(cover.nodes + 1, "nodes") + _COVER_CONES)
    wanted = level * (1 - 0.1 * _COVER_TOL)
    norm = _larger(_correlations(X, lam, (1.0, -1.0), np.finfo(float).eps, None, most, level=wanted))
    if norm.upper_bound > level:
        raise InvalidInputError(
            f"a search of {cover.nodes} cones must prove that no neuron correlates more than {level!r}, "
            f"got a bound of {norm.upper_bound!r}"
        )
    return replace(norm, upper_bound=level, exact=False, repeatable=True, cover=cover)


def rescaled_norm(
    X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"], norm: DualNorm, c: float
) -> DualNorm:
    """Return the dual norm of the floats ``c lam``, given that of lam.

    It is c times as large; but where weights cancel so far that the rounding of these products shows, it is
    searched anew, as far as that of lam was.
    """
    with np.errstate(over="ignore"):
        rounding = _PRODUCTS * float(np.abs(lam) @ row_norms(X))
    if rounding <= _SHOWN * norm.upper_bound:
        return norm.scaled(c)
    most = None if norm.cover is None else 2 * norm.nodes + _COVER_CONES
    return dual_norm(X, c * lam, max_nodes=most)


def _larger(found: list[Correlation]) -> DualNorm:
    """Return the dual norm of a dual variable's correlations with both signs."""
    plus, minus = found
    best, sign = (plus, 1.0) if plus.value >= minus.value else (minus, -1.0)
    return DualNorm(
        value=best.value,
        upper_bound=max(plus.upper_bound, minus.upper_bound),
        exact=plus.exact and minus.exact,
        repeatable=plus.repeatable and minus.repeatable,
        direction=best.direction,
        sign=sign,
        nodes=plus.nodes + minus.nodes,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Effort:
    """How far a search goes: to the tolerance or to a level, within time and cones, or to a value found.

    Cells are listed if that takes at most `longest_listing`, in seconds as estimated.
    """

    clock: Clock
    max_nodes: int
    longest_listing: float
    tol: float
    level: float
    stop_above: float

    def closing(self, value: float, rounding: float = 0.0) -> float:
        """Up to which bound nothing is left to prove, given the best value."""
        return max(self.level - rounding, value * (1 + self.tol))

    def share(self, parts: int) -> _Effort:
        """An even share of time and cones."""
        return replace(
            self,
            clock=self.clock.within(self.clock.left / parts),
            max_nodes=-(-self.max_nodes // parts),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Side:
    """What is known about the correlation of one choice of weights.

    `value` is attained at `inside` (coordinates of the pair), `upper` is proven and contains `slack` for
    perturbed generators; `settled` means that there is nothing to search, `cut` that a search did not finish,
    `nodes` how many cones it took, or what takes as long.
    """

    lam: Float[np.ndarray, " n"]
    pair: Zonotopes
    value: float
    inside: Float[np.ndarray, " r"]
    upper: float
    slack: float = 0.0
    settled: bool = False
    cut: bool = False
    nodes: int = 0

    @property
    def per_generator(self) -> float:
        """Seconds that a cell takes for each negative generator, estimated."""
        return _CELL_PER_DENSE if len(self.pair.negative) >= _DENSE else _CELL_PER_GENERATOR

    @cached_property
    def listing(self) -> float:
        """Seconds that a list of the cells takes, estimated."""
        return listing_seconds(self.pair, self.per_generator)

    def worth(self, n_cells: int) -> int:
        """How many cones take as long as so many cells: these are what an effort is counted in."""
        return math.ceil(n_cells * _cell_seconds(self.pair, self.per_generator) / _CONE)


def search_seconds(X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"]) -> float:
    """Return about how long the exact search of :func:`dual_norm` takes on one thread, at the worst."""
    rows, weights, _ = _rescaled(X, lam)
    pairs = [zonotopes_of(rows, sign * weights) for sign in (1.0, -1.0)]
    return math.fsum(listing_seconds(pair) for pair in pairs if len(pair.positive))


def listing_seconds(pair: Zonotopes, per_generator: float = _CELL_PER_GENERATOR) -> float:
    """Return about how long a list of the cells of the positive generators takes on one thread."""
    lines = hyperplanes_of(pair.positive)
    n_cells = float(min(pattern_bound(len(lines.normals), lines.rank), _COUNTLESS))
    return n_cells * _cell_seconds(pair, per_generator)


def _cell_seconds(pair: Zonotopes, per_generator: float) -> float:
    return _CELL + per_generator * len(pair.negative)


def _maximize(
    X: Float[np.ndarray, "n d"], choices: list[Float[np.ndarray, " n"]], effort: _Effort, *, search: bool
) -> list[Correlation]:
    """Return the largest correlation for each choice of weights, as far as the largest of all needs it."""
    seconds = effort.clock.limit
    sides = [_first_look(X, lam, seconds * _ASCENT_SHARE / len(choices)) for lam in choices]
    if search:
        sides = _searched(sides, effort)
    timed = bool(np.isfinite(seconds) or np.isfinite(effort.stop_above))
    return _evaluated(X, sides, effort.tol, timed=timed)


def _first_look(X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"], seconds: float) -> _Side:
    """Bounds without a search: local maxima from below, the structure of the rows from above."""
    pair = zonotopes_of(X, lam)
    nowhere = np.zeros(pair.basis.shape[1])
    if not len(pair.positive):
        # a positive weight may have cancelled against a negative one of its ray, to rounding
        upper = pair.rounding if (lam > 0).any() else 0.0
        return _Side(lam=lam, pair=pair, value=0.0, inside=nowhere, upper=upper, settled=True)
    if pair.basis.shape[1] == 2:  # the sweep costs less than the local search
        swept = sweep_plane(pair)
        return _Side(
            lam=lam,
            pair=pair,
            value=max(swept.value, 0.0),
            inside=swept.direction,
            upper=swept.bound,
            slack=swept.slack,
            settled=True,
        )
    maxima = climb(pair, starting_directions(pair, _STARTS, np.random.default_rng(_SEED)), seconds=seconds)
    found = len(maxima.values) > 0
    return _Side(
        lam=lam,
        pair=pair,
        value=float(maxima.values[0]) if found else 0.0,
        inside=maxima.directions[0] if found else nowhere,
        upper=_structural_bound(pair),
    )


def _searched(sides: list[_Side], effort: _Effort) -> list[_Side]:
    """Search each side for more than the best value of all, the easiest first, in an even share of effort."""
    best = max(side.value for side in sides)
    answers = list(sides)
    todo = [
        k
        for k, side in enumerate(sides)
        if not side.settled and side.upper > effort.closing(best, side.pair.rounding)
    ]
    todo.sort(key=lambda k: sides[k].listing)
    for place, k in enumerate(todo):
        if best > effort.stop_above:
            answers[k] = replace(sides[k], cut=True)
            continue
        # nothing is gained below what another side's bound is
        floor = max((answers[j].upper for j in todo[:place]), default=0.0)
        found = _search(sides[k], best, effort.share(len(todo) - place), floor)
        effort = replace(effort, max_nodes=max(effort.max_nodes - found.nodes, 1))
        answers[k] = replace(
            sides[k],
            upper=min(sides[k].upper, found.bound),
            slack=found.slack,
            cut=not found.finished,
            nodes=found.nodes,
        )
        if found.value > best:
            best = found.value
            answers[k] = replace(answers[k], value=best, inside=found.direction)
    return answers


def _evaluated(
    X: Float[np.ndarray, "n d"], sides: list[_Side], tol: float, *, timed: bool
) -> list[Correlation]:
    """Return the answers in the data's coordinates: values recomputed there, bounds rounded outwards."""
    attained = [_attained(X, side) for side in sides]
    best = max(value for value, _ in attained)
    answers = []
    for side, (value, direction) in zip(sides, attained, strict=True):
        # without positive generators the bound is rounding already
        rounding = side.pair.rounding if len(side.pair.positive) else 0.0
        bound = max(side.upper, value) + rounding
        exact = bound - best <= tol * best or side.upper <= side.pair.rounding + side.slack
        answers.append(
            Correlation(
                value=value,
                direction=direction,
                upper_bound=bound,
                exact=bool(exact),
                repeatable=not (timed and side.cut),
                nodes=side.nodes,
            )
        )
    return answers


def _attained(X: Float[np.ndarray, "n d"], side: _Side) -> tuple[float, Float[np.ndarray, " d"]]:
    direction = side.pair.basis @ side.inside
    size = float(np.linalg.norm(direction))
    direction = direction / size if size > 0 else direction
    value = float(np.maximum(X @ direction, 0) @ side.lam)
    return (value, direction) if value > 0 else (0.0, np.zeros(X.shape[1]))


def _search(side: _Side, value: float, effort: _Effort, floor: float) -> ConeSearch:
    """Search all directions for more than a value: the cells if that is short, else cones, then the cells.

    Bounds below the floor are as good as the floor.
    """
    pair, clock = side.pair, effort.clock
    found = ConeSearch(
        value=value, direction=side.inside, bound=side.upper, slack=0.0, nodes=0, finished=False
    )
    listable = side.listing <= min(effort.longest_listing, clock.left * count_workers())
    if pair.basis.shape[1] <= CONE_RANK and not (listable and side.listing <= SHORT_LISTING):
        share = _CONE_SHARE if listable else 1.0
        found = search_cones(
            pair,
            value,
            side.inside,
            tol=max(0.1 * effort.tol, effort.tol - _EXACT_TOL),  # the rest is for rounding
            level=effort.level - pair.rounding,
            floor=floor,
            clock=clock.within(share * clock.left),
            max_nodes=int(min(effort.max_nodes, share * side.listing / _CONE))
            if listable
            else effort.max_nodes,
            ceiling=side.upper,
            stop_above=effort.stop_above,
        )
    if found.finished or not listable or found.value > effort.stop_above:
        return found
    with one_blas_thread():  # tasks run side by side, on small matrices
        listed = search_cells(
            pair,
            found.value,
            found.direction,
            clock=clock,
            ceiling=found.bound,
            stop_above=effort.stop_above,
        )
    # a listing that is cut off leaves the cones' bound, and whoever repeats it needs as many
    return replace(listed, nodes=found.nodes + side.worth(listed.nodes))


def _structural_bound(pair: Zonotopes) -> float:
    """Return the best bound that needs no cells, in any rank.

    Any u has ``sum (p_i^T u)_+ <= max_s ||sum_i s_i p_i|| <= sqrt(sum_ij (p_i^T p_j)_+)``: attained if no
    product is negative and the sum's direction meets no negative generator, hence on orthogonally separable
    data.
    """
    P, rank = pair.positive, pair.basis.shape[1]
    if rank == 1:
        return float(pair.values(np.array([[1.0], [-1.0]])).max(initial=0.0))
    bound = float(np.linalg.norm(P, axis=1).sum())
    if len(P) <= _PAIRWISE_ROWS:
        rounding = (rank + 20) * np.finfo(float).eps * bound**2  # of the products; their sum is pairwise
        bound = min(bound, float(np.sqrt(np.maximum(P @ P.T, 0).sum() + rounding)))
    return min(bound, _projection_bound(pair))


def _projection_bound(pair: Zonotopes) -> float:
    """Return the bound for independent rows, inf for others: attained on spike-free data.

    ``(X u)_+ = X z`` gives ``lam^T (X u)_+ = lam^T X z <= ||z|| min_{t >= 0} ||X^T (lam + t)||``, X z being
    non-negative. On spike-free rows ||z|| <= 1.
    """
    rows = np.vstack([pair.positive, pair.negative])
    excess = spike_bound(unit_rows(rows)) if len(rows) == pair.basis.shape[1] else np.inf
    if np.isinf(excess):
        return float("inf")
    weighted_sum = pair.positive.sum(axis=0) - pair.negative.sum(axis=0)
    projection = box_least_norm(-rows, weighted_sum, np.full(len(rows), np.inf))
    return float(np.sqrt(1 + excess)) * projection.norm
