"""The strongest neuron for several outputs: ``h(Lam) = max_{||u||<=1} ||Lam^T (X u)_+||``, bounded.

It is ``max_{||v||=1} h(Lam v)``, a maximum of the scalar dual norm over the sphere of the outputs, and as a
function of v the scalar dual norm is a norm: convex. So values at the corners of a simplicial cone of v bound
it in the cone, by the linear function through them, whose largest value on the sphere is at most its length.
The half sphere is divided until no cone's bound exceeds a level. Only the span of the columns of Lam matters:
for the softmax loss, whose multipliers sum to zero, that is one dimension less than there are outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, check_count, check_positive, check_seconds
from convexrelu.arrangements.hyperplanes import unit_rows
from convexrelu.errors import InvalidInputError
from convexrelu.oracle.near_ascent import ascend
from convexrelu.oracle.neuron import Cover, DualNorm, dual_norm

__all__ = ["covered_output_norm", "output_maxima", "output_norm"]

_EPS = float(np.finfo(float).eps)
_RANK_TOL = (
    1e-13  # singular values of Lam below this share of the largest are rounding, and are bounded as such
)
_VERTEX_SHARE = 0.2  # of the tolerance, for the scalar norms at the corners
_LEAST_VERTEX_TOL = 1e-9
_MOST_CORNERS = 20_000
_LEAST_SECONDS = 1e-3  # for a scalar search that begins when time is nearly up
_STARTS, _SEED, _ROUNDS = 40, 11, 100
_COVER_TOL = 1e-9  # a cover's level is higher than the bound by so much: sums round differently elsewhere
_SAME_DIRECTION = 6  # decimals to which ends on one maximum agree


def output_maxima(
    X: Float[np.ndarray, "n d"], Lam: Float[np.ndarray, "n k"], starts: Float[np.ndarray, "s d"]
) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
    """Return distinct local maxima that unit starts lead to, and their values, the best first.

    In turn, ``v = Lam^T (X u)_+`` normalised is the best for u, and u climbs the correlation with ``Lam v``.
    """
    norms, units = np.linalg.norm(X, axis=1), unit_rows(X)
    ends, values = [], []
    for start in starts:
        u, reached = start, 0.0
        for _ in range(_ROUNDS):
            pull = Lam.T @ np.maximum(X @ u, 0.0)
            size = float(np.linalg.norm(pull))
            if size <= reached * (1 + 1e-13):
                break
            reached = size
            u = ascend(units, (Lam @ (pull / size)) * norms, u[None])[0][0]
        ends.append(u)
        values.append(float(np.linalg.norm(Lam.T @ np.maximum(X @ u, 0.0))))
    order = np.argsort(-np.asarray(values), kind="stable")
    found = np.asarray(ends)[order]
    _, first = np.unique(np.round(found, _SAME_DIRECTION), axis=0, return_index=True)
    kept = np.sort(first)
    return found[kept], np.asarray(values)[order][kept]


def output_norm(
    X: ArrayLike,
    Lam: ArrayLike,
    *,
    tol: float = 1e-3,
    time_limit: float | None = None,
    max_nodes: int | None = None,
    search: bool = True,
    stop_above: float = np.inf,
) -> DualNorm:
    """Return ``max_{||u||<=1} ||Lam^T (X u)_+||`` with a proven upper bound.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    Lam : (n, K) array_like
        Multipliers, a column for each output.
    tol : float, default 1e-3
        The search ends once ``upper_bound <= (1 + tol) value``.
    time_limit : float or None
        Seconds. A scalar search that they end has a bound, too.
    max_nodes : int or None
        Corners, each a search of the scalar oracle, at most.
    search : bool, default True
        Whether to search. Without, the bound is a crude one.
    stop_above : float, default inf
        The search ends once a value above it is found.

    Returns
    -------
    DualNorm
        ``value <= h(Lam) <= upper_bound``; the sign is +1.

    Raises
    ------
    InvalidInputError
        If an argument is not what it must be.

    Examples
    --------
    >>> norm = output_norm([[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 4.0]])
    >>> norm.value, norm.upper_bound <= 4.004
    (4.0, True)
    """
    matrix, multipliers = as_matrix(X), as_matrix(Lam, "Lam")
    if len(multipliers) != len(matrix):
        raise InvalidInputError(f"Lam must have {len(matrix)} rows, as X has, got {len(multipliers)}")
    tolerance, clock = check_positive(tol, "tol"), Clock(limit=float(check_seconds(time_limit)))
    most = _MOST_CORNERS if max_nodes is None else min(check_count(max_nodes, "max_nodes"), _MOST_CORNERS)
    if not (multipliers.any() and matrix.any()):
        return _norm(0.0, 0.0, np.zeros(matrix.shape[1]), nodes=0, exact=True)
    value, direction = _local(matrix, multipliers)
    if not search or value > stop_above:
        crude = float(np.linalg.norm(multipliers, axis=1) @ np.linalg.norm(matrix, axis=1)) * (1 + 1e-12)
        return _norm(value, crude, direction, nodes=0, exact=False)
    sphere = _Sphere(X=matrix, Lam=multipliers, tol=max(_VERTEX_SHARE * tolerance, _LEAST_VERTEX_TOL))
    while True:
        level = value * (1 + tolerance)
        bound = sphere.bound(level, most, clock)
        if sphere.value <= level or sphere.value > stop_above or clock.expired() or sphere.nodes >= most:
            break
        value, direction = sphere.value, sphere.direction
    if sphere.value > value:
        value, direction = sphere.value, sphere.direction
    bound = max(bound, value)
    return _norm(
        value,
        bound,
        direction,
        nodes=sphere.nodes,
        exact=bound <= (1 + tolerance) * value,
        cover=Cover(level=bound * (1 + _COVER_TOL), nodes=sphere.nodes),
    )


def covered_output_norm(X: ArrayLike, Lam: ArrayLike, cover: Cover) -> DualNorm:
    """Return the dual norm of several outputs as far as a cover proves it: the search is repeated.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    Lam : (n, K) array_like
        Multipliers.
    cover : Cover
        Of these, from :func:`output_norm`.

    Returns
    -------
    DualNorm
        With the cover's level for a bound.

    Raises
    ------
    InvalidInputError
        If so many corners do not prove the level.
    """
    matrix, multipliers = as_matrix(X), as_matrix(Lam, "Lam")
    level = check_positive(cover.level, "level")
    value, direction = _local(matrix, multipliers)
    tol = max(_VERTEX_SHARE * (level / max(value, np.finfo(float).tiny) - 1), _LEAST_VERTEX_TOL)
    sphere = _Sphere(X=matrix, Lam=multipliers, tol=min(tol, 0.5))
    bound = sphere.bound(level, 4 * cover.nodes + 100, Clock())
    if bound > level:
        raise InvalidInputError(
            f"a search of {cover.nodes} corners must prove that no neuron correlates more than {level!r}, "
            f"got a bound of {bound!r}"
        )
    return _norm(value, level, direction, nodes=sphere.nodes, exact=False, cover=cover)


def _norm(
    value: float,
    bound: float,
    direction: Float[np.ndarray, " d"],
    *,
    nodes: int,
    exact: bool,
    cover: Cover | None = None,
) -> DualNorm:
    return DualNorm(
        value=value,
        upper_bound=bound,
        exact=exact,
        repeatable=True,
        direction=direction,
        sign=1.0,
        nodes=nodes,
        cover=cover,
    )


def _local(
    X: Float[np.ndarray, "n d"], Lam: Float[np.ndarray, "n k"]
) -> tuple[float, Float[np.ndarray, " d"]]:
    """The best of the local maxima that a fixed set of starts leads to."""
    starts = np.random.default_rng(_SEED).normal(size=(_STARTS, X.shape[1]))
    ends, values = output_maxima(X, Lam, unit_rows(starts))
    return float(values[0]), ends[0]


@dataclass(kw_only=True, eq=False)
class _Sphere:
    """The scalar norms at corners of the half sphere of outputs, kept between searches for different levels.

    `value` is the largest one attained, by the neuron `direction`; `nodes` counts the corners.
    """

    X: Float[np.ndarray, "n d"]
    Lam: Float[np.ndarray, "n k"]
    tol: float
    value: float = 0.0
    nodes: int = 0
    direction: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _known: dict[bytes, float] = field(default_factory=dict)

    def bound(self, level: float, most: int, clock: Clock) -> float:
        """Return a bound on all outputs: at most the level, unless a value exceeds it or the effort ends."""
        _, sizes, axes = np.linalg.svd(self.Lam, full_matrices=False)
        live = sizes > _RANK_TOL * sizes[0]
        # what is left out adds no more than its own size
        missing = float(np.linalg.norm(sizes[~live])) * float(np.linalg.norm(self.X))
        inside = self.Lam @ axes[live].T
        rank = int(live.sum())
        crude = float(
            np.linalg.norm([dual_norm(self.X, axis, search=False).upper_bound for axis in inside.T])
        )
        if crude + missing <= level:
            return crude + missing
        signs = 1.0 - 2.0 * ((np.arange(2 ** (rank - 1))[:, None] >> np.arange(rank)) % 2)
        open_cones = [(np.diag(sign), crude) for sign in signs]  # with the bound of what they are part of
        proven = 0.0
        while open_cones:
            corners, inherited = open_cones.pop()
            for corner in corners:
                if self.value > level or clock.expired() or self.nodes >= most:
                    return max(proven, inherited, *(bound for _, bound in open_cones)) + missing
                self._look(inside, corner, clock)
            top = min(self._top(corners), inherited)
            if top + missing <= level:
                proven = max(proven, top)
                continue
            a, b = _longest_edge(corners)
            middle = corners[a] + corners[b]
            middle /= np.linalg.norm(middle)
            for end in (a, b):
                half = corners.copy()
                half[end] = middle
                open_cones.append((half, top))
        return proven + missing

    def _look(self, inside: Float[np.ndarray, "n r"], corner: Float[np.ndarray, " r"], clock: Clock) -> None:
        """Ask the scalar oracle for the bound at a corner, unless it is known."""
        key = corner.tobytes()
        if key in self._known:
            return
        seconds = None if np.isinf(clock.limit) else max(clock.left, _LEAST_SECONDS)
        norm = dual_norm(self.X, inside @ corner, tol=self.tol, time_limit=seconds)
        self.nodes += 1
        self._known[key] = norm.upper_bound
        attained = float(np.linalg.norm(self.Lam.T @ np.maximum(self.X @ norm.direction, 0.0)))
        if attained > self.value:
            self.value, self.direction = attained, norm.direction

    def _top(self, corners: Float[np.ndarray, "r r"]) -> float:
        """A bound on the sphere's part in the cone, by the linear function through the bounds at the corners.

        It is at most its slope's length; and at most the largest of the bounds times the most that the
        weights of corners on the sphere add up to, as their products with the mean corner are at least the
        least of these. The first is sharp where the function is smooth; where it has a kink, the slope does
        not tend to one of either side as the cone shrinks, and the second does.
        """
        bounds = np.array([self._known[corner.tobytes()] for corner in corners])
        middle = corners.sum(axis=0)
        least = float((corners @ middle).min() / np.linalg.norm(middle))
        near = float(bounds.max()) / least * (1 + 16 * len(corners) * _EPS / least) if least > 0 else np.inf
        try:
            slope = np.linalg.solve(corners, bounds)
        except np.linalg.LinAlgError:  # corners that are one but for rounding
            return near
        rounding = 16 * len(corners) * _EPS * float(np.linalg.cond(corners))
        return min(near, float(np.linalg.norm(slope)) * (1 + rounding))


def _longest_edge(corners: Float[np.ndarray, "r r"]) -> tuple[int, int]:
    products = corners @ corners.T + 2.0 * np.eye(len(corners))
    a, b = np.unravel_index(int(np.argmin(products)), products.shape)
    return int(a), int(b)
