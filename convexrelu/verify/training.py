"""Descent in stages, each with a larger step, until the run has all but reached its limit.

A normalised step moves by ``c / max(1, ||theta||^2)`` times the gradient of log L (rows of at most unit
length). With c fixed, ``||theta||^2`` grows linearly in the steps, and a neuron that the limit does not have,
with correlation r < 1, keeps a share of the network that falls like ``||theta||^{-2(1-r)}``: for r near 1, no
number of steps is enough. Once the data is fitted, only the direction of theta matters, and c may grow with
``||theta||^2``: every stage takes a few more steps than the one before it, with a c many times larger, so
that ``||theta||^2`` grows geometrically from stage to stage while single steps turn the direction less and
less. A stage in which the loss rises anywhere is done again with smaller steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._status import Status
from convexrelu.networks import TwoLayerReLU
from convexrelu.training import Trajectory, gradient_descent
from convexrelu.verify.limits import Heading, headings, largest_correlation

__all__ = ["End", "Run", "train"]

STEP_SIZE = 0.3
"""The first stage's c: a third of one over the curvature of log L, so that the early phase is the flow's."""

STEP_GROWTH = 10.0
"""From stage to stage; a step then turns the direction by about a thousandth at first, and less later."""

CLOSE = 1e-3
"""A run has converged when its objective is within half of this of its limit's, relatively."""

_CUT_SHORT = (Status.TIME_LIMIT, Status.INTERRUPTED)

_FIRST_RECORDS, _RECORDS = 80, 25  # the early phase is what figures show most of


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A problem and a start for descent, in units in which the longest row has length 1.

    Attributes
    ----------
    X : (n, d) float array
        The data as given.
    y : (n,) float array
        Labels +1 and -1.
    start : TwoLayerReLU
        Where descent starts, in the data's units.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    start: TwoLayerReLU

    @property
    def unit(self) -> float:
        """Length of the longest row (1 if all are zero)."""
        return float(np.linalg.norm(self.X, axis=1).max()) or 1.0

    def descend(
        self, network: TwoLayerReLU, clock: Clock, *, step_size: float, n_steps: int, record: int
    ) -> Trajectory:
        """Return normalised descent from a network; a trajectory of data in other units is the same one.

        It ends early when the clock runs out, and at Ctrl-C. ``f`` is unchanged if rows are divided
        by a number and all weights multiplied by its square root.
        """
        root = np.sqrt(self.unit)
        path = gradient_descent(
            self.X / self.unit,
            self.y,
            TwoLayerReLU(network.W1 * root, network.w2 * root),
            step_size=step_size,
            n_steps=n_steps,
            normalized=True,
            record=record,
            time_limit=max(clock.left, np.finfo(float).tiny),
        )
        return replace(path, X=self.X, W1=path.W1 / root, w2=path.w2 / root)


@dataclass(frozen=True, kw_only=True, eq=False)
class End:
    """Where descent stopped, and the KKT point it was heading for.

    Attributes
    ----------
    trajectory : Trajectory
        All stages as one.
    headings : tuple of Heading
        The KKT point reached, if `close`; else the best guess at it, or nothing.
    close : bool
        Whether descent has all but reached that point.
    cut : bool
        Whether the clock stopped it on its way.
    """

    trajectory: Trajectory
    headings: tuple[Heading, ...]
    close: bool
    cut: bool = False


def train(run: Run, clock: Clock) -> End:
    """Return descent from a start, stage by stage until it is close to the KKT point it is heading for.

    The clock's limit and Ctrl-C end descent within a stage.
    """
    # Enough for a start of size 1e-3 to align and to leave the origin.
    size, length = STEP_SIZE, 2000
    path = run.descend(run.start, clock, step_size=size, n_steps=length, record=_FIRST_RECORDS)
    near = False
    # A run that is still on its way after 11 stages (350,000 steps) counts as not converged.
    for stage in range(1, 12):
        if path.status in _CUT_SHORT:
            return _cut(path)
        # A run that does not fit the data after nine of them (150,000 steps) counts as never fitting it.
        lost = stage > 9 and not path.margin[-1] > 0
        final = lost or path.status != Status.FINISHED
        # A run whose own loss weights have always left a gap above this, relatively, is not close to any
        # point yet. With large steps the weights of a single step flicker about the multipliers, so that one
        # look may be wrong.
        near = near or final or _own_gap(path) <= 0.05
        end = _end(path, near=near)
        if end.close or final:
            return end
        if clock.expired():
            return _cut(path)
        before = size
        if path.margin[-1] > 0:
            size *= STEP_GROWTH
        more = run.descend(path.network_at(-1), clock, step_size=size, n_steps=length, record=_RECORDS)
        if _rose(more) and size > STEP_SIZE:
            size /= STEP_GROWTH
            more = run.descend(path.network_at(-1), clock, step_size=size, n_steps=length, record=_RECORDS)
        path = _joined(path, more, larger=size > before)
        # this is what makes single steps turn the direction less and less
        length = round(1.5 * length)
    return _cut(path) if path.status in _CUT_SHORT else _end(path, near=True)


def _cut(path: Trajectory) -> End:
    """Return the end of a run that the clock stopped."""
    return End(trajectory=path, headings=(), close=False, cut=True)


def _rose(path: Trajectory) -> bool:
    """Whether the loss rose, or left float64's range, during a stage."""
    return path.status == Status.DIVERGED or bool((np.diff(path.log_loss) > 0).any())


def _joined(path: Trajectory, more: Trajectory, *, larger: bool) -> Trajectory:
    """Both stages as one trajectory, the second perhaps with larger steps."""
    return replace(
        more,
        times=np.r_[path.times, path.times[-1] + more.times[1:]],
        W1=np.concatenate([path.W1, more.W1[1:]]),
        w2=np.concatenate([path.w2, more.w2[1:]]),
        stages=(*path.stages, int(path.times[-1])) if larger else path.stages,
    )


def _end(path: Trajectory, *, near: bool) -> End:
    """Return the end of a trajectory with the KKT point that explains it, or the best guess at one.

    The convex program is spared a run that does not fit the data, or is not `near` any such point yet.
    """
    if not (near and path.margin[-1] > 0):
        return End(trajectory=path, headings=(), close=False)
    last, lam, upper = path.network_at(-1), path.relative_lam[-1], float(path.objective[-1])
    guess: tuple[Heading, ...] = ()
    for heading in headings(path.X, path.y, last, lam):
        guess = guess or (heading,)
        if heading.settled:
            close = abs(upper - heading.network.objective()) <= 0.5 * CLOSE * upper
            return End(trajectory=path, headings=(heading,), close=close)
    return End(trajectory=path, headings=guess, close=False)


def _own_gap(path: Trajectory) -> float:
    """Return the relative gap between the end's objective and what its loss weights say of its own neurons.

    It is about what separates the run from a KKT point of these neurons: exactly so if the loss weights were
    that point's multipliers; inf if the data is not fitted.
    """
    if not path.margin[-1] > 0:
        return np.inf
    last, lam, upper = path.network_at(-1), path.relative_lam[-1], float(path.objective[-1])
    largest = largest_correlation(path.X, last, lam)
    return 1.0 - float(path.y @ lam) / (largest * upper) if largest > 0 else np.inf
