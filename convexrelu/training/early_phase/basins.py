"""The basins of attraction of the early phase, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu._clock import Clock
from convexrelu._statistics import wilson_interval
from convexrelu._status import Status
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_data, as_generator, check_count, check_seconds
from convexrelu.errors import InvalidInputError
from convexrelu.training.early_phase.alignment import (
    AlignmentResult,
    ExtremePoint,
    alignment_flow,
    distinct_points,
)
from convexrelu.training.run import Process, follow

__all__ = ["Basins", "basins"]

STARTS_A_ROUND = 32_768
"""Starts between two looks at the clock. It is the same on every machine, so that a seed is one answer."""

OTHER_FATES = Status.INACTIVE, Status.FADING, Status.AT_REST, Status.STALLED
"""Those of starts that tend to no extreme point."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Basins:
    """How large a share of the sphere the early phase takes to each extreme point, counted on random starts.

    Shares are measured, not computed: `intervals` says how far they can be trusted, and a basin too small to
    be met is missing.

    Attributes
    ----------
    sign : int
        The sign of the neurons' output weights.
    n_starts : int
        How many uniformly random directions were followed.
    confidence : float
        Of the intervals.
    extreme_points : tuple of ExtremePoint
        Those met, the largest basin first.
    counts : (k,) int array
        How many starts tend to each.
    other_counts : (4,) int array
        How many end as :data:`OTHER_FATES` has it: "inactive", "fading", "at_rest", "stalled".
    status : Status
        "finished", "time_limit" or "interrupted" (then fewer starts were followed).
    """

    sign: int
    n_starts: int
    confidence: float
    extreme_points: tuple[ExtremePoint, ...]
    counts: Int[np.ndarray, " k"]
    other_counts: Int[np.ndarray, " 4"]
    status: Status

    @property
    def shares(self) -> Float[np.ndarray, " k"]:
        """The shares of the sphere, as counted."""
        return np.asarray(self.counts / self.n_starts)

    @property
    def intervals(self) -> Float[np.ndarray, "k 2"]:
        """Wilson's intervals for the shares."""
        return wilson_interval(self.counts, self.n_starts, self.confidence)

    @property
    def other_shares(self) -> Float[np.ndarray, " 4"]:
        """The shares that tend to no extreme point, in the order of :data:`OTHER_FATES`."""
        return np.asarray(self.other_counts / self.n_starts)

    @property
    def other_intervals(self) -> Float[np.ndarray, "4 2"]:
        """Wilson's intervals for them."""
        return wilson_interval(self.other_counts, self.n_starts, self.confidence)

    def __str__(self) -> str:
        lines = [f"basins of {self.n_starts} starts of sign {self.sign:+d} ({self.status})"]
        lines += [
            f"  {share:7.2%} ({low:.2%} to {high:.2%})  y^T (X u)_+ = {point.value:.6g}"
            for share, (low, high), point in zip(
                self.shares, self.intervals, self.extreme_points, strict=True
            )
        ]
        others = zip(OTHER_FATES, self.other_shares, self.other_intervals, strict=True)
        lines += [
            f"  {share:7.2%} ({low:.2%} to {high:.2%})  {name}"
            for name, share, (low, high) in others
            if share
        ]
        return "\n".join(lines)


def basins(
    X: ArrayLike,
    y: ArrayLike,
    *,
    sign: int = 1,
    n_starts: int = 100_000,
    confidence: float = 0.95,
    rng: RNGLike = None,
    time_limit: float | None = None,
    progress: bool = False,
) -> Basins:
    """Return the shares of random directions that the early phase takes to each extreme point.

    Starts are uniform on the sphere and followed to their limits by :func:`~convexrelu.alignment_flow`.

    Parameters
    ----------
    X : (n, d) array_like
        Data.
    y : (n,) array_like
        Binary labels.
    sign : int, default 1
        The sign of the output weights, +1 or -1.
    n_starts : int, default 100_000
        How many directions to draw.
    confidence : float, default 0.95
        Of the intervals around the shares.
    rng : int, Generator, SeedSequence or None
        The source of randomness; the same seed gives the same answer for any number of workers.
    time_limit : float or None
        Seconds after which the starts followed so far are counted (at least one round of 32768).
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    Basins
        Extreme points, counts, shares and their intervals; after Ctrl-C, of the rounds that were followed.

    Raises
    ------
    InvalidInputError
        If an argument is malformed.

    Examples
    --------
    >>> from convexrelu.training import basins
    >>> found = basins([[1.0, 0.0], [0.0, 1.0]], [1, 1], n_starts=10_000, rng=0)
    >>> [bool(low < 0.25 < high) for low, high in found.intervals]
    [True, True, True]
    """
    X, y = as_data(X, y)
    if sign not in (1, -1):
        raise InvalidInputError(f"sign must be +1 or -1, got {sign!r}")
    n_starts = check_count(n_starts, "n_starts")
    wilson_interval(0, 1, confidence)  # an unfit confidence is refused before the work, not after it
    clock = Clock(limit=check_seconds(time_limit))
    counting = _Rounds(X, y, sign, as_generator(rng))
    counting.advance(float(n_starts))  # one round, whatever the limit
    status = follow(counting, [n_starts], clock, progress=progress, what="starts")
    return _counted(counting.rounds, sign, float(confidence), Status(status))


class _Rounds(Process):
    """Random starts, followed round by round; `reached` counts them."""

    def __init__(
        self, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], sign: int, rng: np.random.Generator
    ) -> None:
        self.X, self.y, self.sign, self.rng = X, y, sign, rng
        self.rounds: list[AlignmentResult] = []

    def advance(self, target: float) -> None:
        """Follow one more round."""
        size = min(STARTS_A_ROUND, int(target - self.reached))
        starts = self.rng.normal(size=(size, self.X.shape[1]))
        self.rounds.append(alignment_flow(self.X, self.y, starts, signs=float(self.sign), record=False))
        self.reached += size

    def store(self) -> None:
        """Nothing is left to do: all rounds are kept."""


def _counted(rounds: list[AlignmentResult], sign: int, confidence: float, status: Status) -> Basins:
    """Return the basins of all rounds together."""
    met = [point for flow in rounds for point in flow.extreme_points]
    counts = [np.bincount(flow.index[flow.index >= 0], minlength=len(flow.extreme_points)) for flow in rounds]
    points: tuple[ExtremePoint, ...] = ()
    sums = np.zeros(0, dtype=np.int64)
    if met:
        group = distinct_points(np.array([point.direction for point in met]))
        sums = np.bincount(group, np.concatenate(counts)).astype(np.int64)
        first = np.unique(group, return_index=True)[1]
        order = np.argsort(-sums, kind="stable")
        points, sums = tuple(met[k] for k in first[order].tolist()), sums[order]
    others = [sum(int((flow.status == fate).sum()) for flow in rounds) for fate in OTHER_FATES]
    return Basins(
        sign=sign,
        n_starts=sum(len(flow) for flow in rounds),
        confidence=confidence,
        extreme_points=points,
        counts=sums,
        other_counts=np.array(others, dtype=np.int64),
        status=status,
    )
