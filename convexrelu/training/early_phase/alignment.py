"""The early phase in closed form: with frozen loss weights every neuron is followed exactly, cell to cell.

Near the origin the loss weights of the logistic loss are ``lam = y/2``, and they stay there as long as the
network is small. A neuron of sign s then moves by ``w1' = w2 g, w2' = w1^T g`` with the pull ``g = X^T D(w1)
lam``, which is constant in a cell: the direction turns towards s g by the tanh law ``cos = tanh(||g|| t +
const)`` (WP section 4), and the next hyperplane is found on a straight line. Where both sides of a hyperplane
lead back to it the neuron slides, again with a constant pull: the least-norm one. Nothing is integrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from convexrelu._parallel import run_tasks
from convexrelu._progress import progress_bar
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data, as_matrix, as_vector, check_positive, check_range
from convexrelu.arrangements import iter_patterns
from convexrelu.arrangements.hyperplanes import unit_rows
from convexrelu.errors import InvalidInputError
from convexrelu.training.early_phase.kernels import ALIGNED, FATES, Followed, FrozenPull, follow_some

__all__ = [
    "AlignmentLog",
    "AlignmentResult",
    "ExtremePoint",
    "PatternChange",
    "alignment_flow",
    "distinct_points",
]

SAME_POINT = 1e-9
"""Limit directions within this distance are one extreme point: it is well above the rounding of a
least-norm pull, and distinct points so near to each other would need rows that are nearly parallel."""

_NEURONS_A_TASK = 4096
"""A tenth of a second of work, whatever the number of workers: the cut decides nothing about the answer."""

_TASKS_A_ROUND = 64
"""Tasks handed out between two advances of the progress bar."""

_KINDS = {1: "on", -1: "off", 0: "slide"}


@dataclass(frozen=True, kw_only=True, eq=False)
class ExtremePoint:
    """A direction that neurons of one sign align to: a KKT point of ``max s y^T (X u)_+`` over the sphere.

    From almost every start that reaches it, it is a local maximiser, and ``(X u)_+`` a dual extreme point (WP
    section 4.1).

    Attributes
    ----------
    direction : (d,) float array
        The unit vector u.
    sign : int
        The neurons' sign s.
    value : float
        ``y^T (X u)_+``: positive for s = +1, negative for s = -1.
    """

    direction: Float[np.ndarray, " d"]
    sign: int
    value: float

    def __str__(self) -> str:
        return f"extreme point of sign {self.sign:+d}: y^T (X u)_+ = {self.value:.6g}"


@dataclass(frozen=True, kw_only=True, eq=False)
class PatternChange:
    """One change of a neuron's pattern.

    Attributes
    ----------
    time : float
        When.
    row : int
        The row whose hyperplane is met or left (of parallel rows, the first).
    kind : str
        "on", "off" or "slide", as for :class:`~convexrelu.training.FlowEvent`.
    """

    time: float
    row: int
    kind: str


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignmentLog:
    """All neurons' pieces, one after another: neuron i has the lines ``offsets[i] : offsets[i + 1]``.

    A line is a change of pattern and the law of the piece that starts there, ``cos = tanh(rate (t - time) +
    phase)``. A neuron's first line is its start. Changes at the same time have a line each, all with the law
    that holds after them.

    Attributes
    ----------
    offsets : (m + 1,) int array
        Where each neuron's lines begin.
    times : (k,) float array
        When the change happens.
    rows : (k,) int array
        The row whose hyperplane is met or left, -1 in first lines.
    kinds : (k,) int8 array
        1 the row becomes active, -1 inactive, 0 the neuron begins to slide; 2 in first lines.
    rates : (k,) float array
        ``||g||`` of the least-norm pull g, 0 at rest.
    phases : (k,) float array
        ``artanh cos`` of the angle between the neuron and s g at the start of the piece.
    """

    offsets: Int[np.ndarray, " c"]
    times: Float[np.ndarray, " k"]
    rows: Int[np.ndarray, " k"]
    kinds: Int8[np.ndarray, " k"]
    rates: Float[np.ndarray, " k"]
    phases: Float[np.ndarray, " k"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignmentResult:
    """Where the early phase takes each neuron, when, and through which changes of pattern.

    Attributes
    ----------
    X, y : (n, d) and (n,) float arrays
        The data, labels as +1 and -1.
    starts : (m, d) float array
        The initial directions, unit.
    signs : (m,) float array
        The signs s of the output weights.
    t_max : float
        The time at which `directions`, `log_growth`, `status` and `n_changes` are meant.
    directions : (m, d) float array
        The unit directions at `t_max`.
    limits : (m, d) float array
        The unit directions as t grows without bound.
    log_growth : (m,) float array
        ``log(||w1(t_max)|| / ||w1(0)||)``.
    status : (m,) str array
        "aligned": in its last cell, turning towards an extreme point; "under_way": changes of pattern still
        lie ahead; "inactive": 0 on all the data, so that it rests; "at_rest": active, but without a pull;
        "fading": opposite to its pull, of unchanging direction while its weights tend to 0; "stalled": given
        up, too many changes of pattern without progress (only rounding on degenerate data can do that).
    index : (m,) int array
        Which of the `extreme_points` the limit is, -1 if it is none.
    extreme_points : tuple of ExtremePoint
        The distinct ones found, those of sign +1 first, the largest ``|y^T (X u)_+|`` first.
    n_changes : (m,) int array
        How many changes of pattern each neuron has gone through.
    recorded : bool
        Whether `log` holds them.
    log : AlignmentLog
        The changes and the pieces between them; empty if not `recorded`.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    starts: Float[np.ndarray, "m d"]
    signs: Float[np.ndarray, " m"]
    t_max: float
    directions: Float[np.ndarray, "m d"]
    limits: Float[np.ndarray, "m d"]
    log_growth: Float[np.ndarray, " m"]
    status: np.ndarray
    index: Int[np.ndarray, " m"]
    extreme_points: tuple[ExtremePoint, ...]
    n_changes: Int[np.ndarray, " m"]
    recorded: bool
    log: AlignmentLog

    def __len__(self) -> int:
        return len(self.starts)

    def changes(self, neuron: int) -> tuple[PatternChange, ...]:
        """Return one neuron's changes of pattern, in order.

        Parameters
        ----------
        neuron : int
            Its index, counted from 0.

        Returns
        -------
        tuple of PatternChange
            The changes up to `t_max`.

        Raises
        ------
        InvalidInputError
            If there is no such neuron, or the changes were not recorded.
        """
        log = self._recorded_log()
        if not isinstance(neuron, (int, np.integer)) or not 0 <= neuron < len(self):
            raise InvalidInputError(f"neuron must be an index from 0 to {len(self) - 1}, got {neuron!r}")
        lines = range(int(log.offsets[neuron]) + 1, int(log.offsets[neuron + 1]))
        return tuple(
            PatternChange(
                time=float(log.times[line]), row=int(log.rows[line]), kind=_KINDS[int(log.kinds[line])]
            )
            for line in lines
        )

    def time_to(self, delta: float) -> Float[np.ndarray, " m"]:
        """Return when each neuron's cosine with its pull is first at least ``1 - delta``, or inf.

        It is inf where that is not so by `t_max`. The pull is the least-norm one: s X^T D(w1) y, up to its
        length, wherever the neuron does not slide. The cosine jumps where the pattern changes, so that it may
        be smaller again later.
        """
        log = self._recorded_log()
        target = np.arctanh(1.0 - _check_delta(delta))
        after = np.append(log.times[1:], self.t_max)
        after[log.offsets[1:] - 1] = self.t_max
        with np.errstate(divide="ignore", invalid="ignore"):
            reached = log.times + np.maximum(target - log.phases, 0.0) / log.rates
        moving = (log.rates > 0.0) & (log.phases > -np.inf)
        reached = np.where(moving & (reached <= after), reached, np.inf)
        return np.asarray(np.minimum.reduceat(reached, log.offsets[:-1]))

    def time_bound(self, delta: float) -> Float[np.ndarray, " m"]:
        """Return the time by which WP Proposition 6 has each cosine at ``1 - delta``, constants corrected.

        It is the sum over the distinct norms ``g_(i)`` of ``X^T D_j y/2``, over all patterns D_j, of

            ``(1 / (2 k g_(i))) (log (k + 1 - delta/2)/(k - 1 + delta/2) - log (k + c_i)/(k - c_i))``

        with ``k = sqrt(1 - delta/4)`` and ``c_i = s y^T (X u_0)_+ / (2 g_(i))``, terms below 0 left out. (WP
        prints delta/8 for delta/4, and ``v_0^T u_0`` where the proof needs ``g_0^T u_0``.) The slack delta/4
        leaves room for loss weights that are only nearly y/2. It is inf where the proposition claims nothing:
        ``s y^T (X u_0)_+ <= 0``, or the neuron slides before it gets there, which the proof leaves out.

        Raises
        ------
        InvalidInputError
            If X has too many patterns to list.
        """
        reached = self.time_to(delta)
        started = 0.5 * self.signs * (np.maximum(self.starts @ self.X.T, 0.0) @ self.y)
        bound = proposition_6_bound(self._pulls, started, delta)
        return np.where((started > 0.0) & (self._first_slide >= reached), bound, np.inf)

    @cached_property
    def _pulls(self) -> Float[np.ndarray, " p"]:
        return pattern_pulls(self.X, self.y)

    @cached_property
    def _first_slide(self) -> Float[np.ndarray, " m"]:
        log = self._recorded_log()
        return np.asarray(np.minimum.reduceat(np.where(log.kinds == 0, log.times, np.inf), log.offsets[:-1]))

    def _recorded_log(self) -> AlignmentLog:
        if not self.recorded:
            raise InvalidInputError("the changes of pattern were not recorded: pass record=True")
        return self.log

    def __str__(self) -> str:
        names, counts = np.unique(self.status, return_counts=True)
        parts = ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True))
        return (
            f"alignment of {len(self)} neurons up to t = {self.t_max:.6g}: {parts}; "
            f"{len(self.extreme_points)} extreme points, {self.n_changes.mean():.1f} changes of pattern each"
        )

    def __repr__(self) -> str:
        return f"<AlignmentResult: {self}>"


def alignment_flow(
    X: ArrayLike,
    y: ArrayLike,
    directions: ArrayLike,
    *,
    t_max: float = np.inf,
    signs: float | int | ArrayLike = 1.0,
    record: bool = True,
    progress: bool = False,
) -> AlignmentResult:
    """Return where the early phase of gradient flow takes neurons, exactly: loss weights frozen at y/2.

    It is the limit of the gradient flow of scaled neurons (``||w1|| = |w2|``) with the logistic loss from
    vanishing size; with the exponential loss (weights y at the origin) all times are half as long. The flow
    is a differential inclusion and is followed as :func:`~convexrelu.gradient_flow` follows it: the velocity
    is the least-norm Clarke one, and rows at zero at the start count as inactive unless it says otherwise.
    Crossing times are exact to rounding. `limits` and `extreme_points` do not depend on `t_max`.

    Parameters
    ----------
    X : (n, d) array_like
        Data.
    y : (n,) array_like
        Binary labels.
    directions : (m, d) array_like
        Initial hidden weights, none of them zero; only their directions matter.
    t_max : float, default inf
        How far to follow them.
    signs : float or array_like, default 1
        The signs of the output weights: +1, -1, or one for each neuron.
    record : bool, default True
        Whether to keep every change of pattern (some 40 bytes each).
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    AlignmentResult
        Directions at `t_max`, limits, and the changes of pattern.

    Raises
    ------
    InvalidInputError
        If an argument is malformed, a direction is zero, or a sign is neither +1 nor -1.

    Examples
    --------
    >>> import convexrelu as cr
    >>> flow = cr.alignment_flow([[1.0, 0.0], [0.0, 1.0]], [1, 1], [[1.0, -0.5], [0.3, 1.0]])
    >>> flow.limits.round(4)
    array([[1.    , 0.    ],
           [0.7071, 0.7071]])
    >>> print(flow.extreme_points[0])
    extreme point of sign +1: y^T (X u)_+ = 1.41421
    """
    X, y = as_data(X, y)
    check_range(X)
    starts = as_matrix(directions, "directions", columns=X.shape[1])
    if not starts.any(axis=1).all():
        raise InvalidInputError("directions must not be zero vectors")
    end = check_positive(t_max, "t_max", finite=False)
    starts, s = unit_rows(starts), _as_signs(signs, len(starts))
    pull = FrozenPull.of(X, y)
    cuts = [slice(k, k + _NEURONS_A_TASK) for k in range(0, len(starts), _NEURONS_A_TASK)]
    tasks = [(pull, starts[cut], s[cut], end, bool(record)) for cut in cuts]
    parts: list[Followed] = []
    with progress_bar(progress, "neurons", len(starts)) as advance:
        for k in range(0, len(tasks), _TASKS_A_ROUND):
            parts += run_tasks(follow_some, tasks[k : k + _TASKS_A_ROUND])
            advance(sum(len(part.limits) for part in parts[k:]))
    limits, fates = (np.concatenate([getattr(p, name) for p in parts]) for name in ("limits", "fates"))
    points, index = _extreme_points(X, y, limits, s, fates[:, 1] == ALIGNED)
    return AlignmentResult(
        X=X.copy(),
        y=y,
        starts=starts,
        signs=s,
        t_max=end,
        directions=np.concatenate([part.directions for part in parts]),
        limits=limits,
        log_growth=np.concatenate([part.log_growth for part in parts]),
        status=np.array(FATES)[fates[:, 0]],
        index=index,
        extreme_points=points,
        n_changes=np.concatenate([part.lines for part in parts]) - 1,
        recorded=bool(record),
        log=_log_of(pull, parts, recorded=bool(record)),
    )


def _as_signs(signs: float | int | ArrayLike, m: int) -> Float[np.ndarray, " m"]:
    """One sign a neuron, or InvalidInputError."""
    try:
        given = np.asarray(signs)
    except ValueError as error:
        raise InvalidInputError(f"signs must be one number or one for each neuron: {error}") from error
    vector = as_vector(np.full(m, given) if given.ndim == 0 else given, "signs", length=m)
    if not (np.abs(vector) == 1.0).all():
        raise InvalidInputError("signs must be +1 or -1, or hold one of them for each neuron")
    return vector.copy()


def _check_delta(delta: float) -> float:
    number = check_positive(delta, "delta")
    if number >= 1.0:
        raise InvalidInputError(f"delta must be between 0 and 1, got {delta!r}")
    return number


def _log_of(pull: FrozenPull, parts: list[Followed], *, recorded: bool) -> AlignmentLog:
    """The log of all parts, hyperplanes named by their first rows."""
    lines = np.concatenate([part.lines for part in parts]) if recorded else np.zeros(0, dtype=np.int64)
    laws, marks = (
        np.concatenate([part.laws for part in parts]),
        np.concatenate([part.marks for part in parts]),
    )
    rows = np.append(pull.lead, -1)[marks[:, 0]]  # the entry -1, a start, is the last one
    return AlignmentLog(
        offsets=np.append(0, np.cumsum(lines)),
        times=laws[:, 0].copy(),
        rows=rows,
        kinds=marks[:, 1].astype(np.int8),
        rates=laws[:, 1].copy(),
        phases=laws[:, 2].copy(),
    )


def _extreme_points(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    limits: Float[np.ndarray, "m d"],
    signs: Float[np.ndarray, " m"],
    aligned: Bool[np.ndarray, " m"],
) -> tuple[tuple[ExtremePoint, ...], Int[np.ndarray, " m"]]:
    """Return the distinct limits of aligned neurons, and each neuron's place among them (-1: none)."""
    index = np.full(len(limits), -1)
    if not aligned.any():
        return (), index
    points = np.column_stack([signs, limits])[aligned]
    which = distinct_points(points)
    different = points[np.unique(which, return_index=True)[1]]
    s, u = different[:, 0], different[:, 1:]
    values = np.maximum(u @ X.T, 0.0) @ y
    order = np.lexsort((-np.abs(values), -s))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    index[aligned] = place[which]
    found = tuple(
        ExtremePoint(direction=u[k], sign=int(s[k]), value=float(values[k])) for k in order.tolist()
    )
    return found, index


def distinct_points(points: Float[np.ndarray, "m c"]) -> Int[np.ndarray, " m"]:
    """Return each point's group: points within `SAME_POINT` of each other, and chains of them, are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    exact, which = np.unique(points, axis=0, return_inverse=True)
    pairs = cKDTree(exact).query_pairs(SAME_POINT, output_type="ndarray")
    shape = (len(exact), len(exact))
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=shape)
    _, group = connected_components(graph, directed=False)
    return np.asarray(group[which.ravel()], dtype=np.int64)


def pattern_pulls(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " p"]:
    """Return the distinct positive norms of ``X^T D_j y/2`` over all patterns D_j, increasing."""
    pushes = 0.5 * y[:, None] * X
    norms = [
        np.unique(np.linalg.norm(patterns.astype(np.float64) @ pushes, axis=1))
        for patterns in iter_patterns(X, chunk_size=65_536)
    ]
    values = np.unique(np.concatenate(norms))
    # A norm below this part of the sum of the rows' norms is the rounding of 0.
    values = values[values > 1e-13 * np.linalg.norm(pushes, axis=1).sum()]
    # Norms this near to each other, relatively, count as one, the smallest: it is their rounding, and a
    # smaller norm makes the bound larger.
    return np.asarray(values[np.diff(values, prepend=0.0) > 1e-12 * values])


def proposition_6_bound(
    pulls: Float[np.ndarray, " p"], started: Float[np.ndarray, " m"], delta: float
) -> Float[np.ndarray, " m"]:
    """Return the bound for neurons with ``s g_0^T u_0 = started``; see `AlignmentResult.time_bound`."""
    k, goal = math.sqrt(1.0 - delta / 4.0), 1.0 - delta / 2.0
    total = np.zeros(len(started))
    for pull in pulls:
        c = np.minimum(started / pull, goal)  # beyond the goal there is no way left to go
        total += (np.arctanh(goal / k) - np.arctanh(np.maximum(c, -goal) / k)) / (k * pull)
    return total
