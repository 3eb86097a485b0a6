"""How fast runs from generic starts tend to the path p(t) from the origin (KH-beyond Theorems 4, 10 and 18).

From ``delta w_0``, w_0 in the stable set of a KKT point w_* with second-order constant Delta > 0, gradient
flow first turns to w_* and then escapes along p(t). The theorems prove that the distance to p(t) is

    O(delta^r),    r = Delta / (Delta + 2 L^2 N),

which for L = 2 is ``Delta / (Delta + 8 N)``. That is a worst case. While the weights are small their
direction u follows the flow of the NCF, and near w_* its distance falls like ``e^{-Delta s}`` in the time s
in which the norm grows like ``e^{L N s}``: from norm delta to norm one that leaves ``delta^{Delta/(L N)}``.
What the loss changes meanwhile is of order delta^2 (:mod:`convexrelu.saddles.escape`), so that the smaller of
the two powers is what is to be measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._status import Status
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.conditions import ncf_second_order
from convexrelu.networks import FeedForward
from convexrelu.saddles.escape import LimitingPath, crossing_time, limiting_path
from convexrelu.training.flow.gradient_flow import gradient_flow
from convexrelu.training.ncf_flow import ncf_flow
from convexrelu.training.problem import check_deep_problem

__all__ = ["StableSetLadder", "stable_set_ladder"]

_PATH_RTOL = 1e-11
"""Runs are compared down to distances of 1e-8 or so: errors of the integrator must be well below."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StableSetLadder:
    """Escapes from the origin from smaller and smaller multiples of one start.

    Attributes
    ----------
    path : LimitingPath
        p(t), from a hundredth of the smallest start.
    second_order : float
        Delta of the KKT point that the start's NCF flow tends to, in the loss's own scale.
    scales : (k,) float array
        The norms delta of the starts, decreasing.
    distances : (k,) float array
        The distance of the run from p(t), both where the loss is half-way from the origin's to the saddle's.
    """

    path: LimitingPath
    second_order: float
    scales: Float[np.ndarray, " k"]
    distances: Float[np.ndarray, " k"]

    @property
    def proven_rate(self) -> float:
        """The power of delta that Theorems 4 and 10 prove, ``Delta / (Delta + 2 L^2 N)``."""
        return self.second_order / (self.second_order + 2.0 * self.path.degree**2 * self.path.value)

    @property
    def expected_rate(self) -> float:
        """The power of delta of the linearised flow, ``Delta / (L N)``, but at most 2."""
        return min(self.second_order / (self.path.degree * self.path.value), 2.0)

    @property
    def rate(self) -> float:
        """The power of delta with which the distance falls, fitted over the ladder."""
        return float(np.polyfit(np.log(self.scales), np.log(self.distances), 1)[0])

    def __str__(self) -> str:
        lines = [
            f"  delta {scale:.1e}: distance from p(t) {distance:.2e}"
            for scale, distance in zip(self.scales, self.distances, strict=True)
        ]
        return "\n".join(
            [
                str(self.path),
                *lines,
                f"  distance ~ delta^{self.rate:.3f}; Delta / (L N) is {self.expected_rate:.3f}, proven is "
                f"{self.proven_rate:.3f}",
            ]
        )


def stable_set_ladder(
    start: FeedForward,
    X: ArrayLike,
    y: ArrayLike,
    *,
    scales: Sequence[float] | ArrayLike = (1e-2, 3e-3, 1e-3, 3e-4),
    loss: str = "square",
    reduction: str = "mean",
) -> StableSetLadder:
    """Return how runs from smaller and smaller multiples of a start tend to the path from the origin.

    Parameters
    ----------
    start : FeedForward
        The direction w_0 of the start, of a network whose gradient is continuous.
    X : (n, k_0) array_like
        Samples.
    y : (n,) or (n, k_L) array_like
        Targets; labels +1 and -1 for the logistic loss.
    scales : array_like
        The norms delta, at least two.
    loss : str
        "square" or "logistic".
    reduction : str
        "mean" or "sum" over the samples.

    Returns
    -------
    StableSetLadder
        In the order of falling scales.

    Raises
    ------
    InvalidInputError
        If an argument is malformed, or the NCF flow from the start does not settle at a KKT point with a
        positive value.

    Examples
    --------
    One linear neuron: ``Delta = L N``, and the distance falls like delta itself.

    >>> import convexrelu as cr
    >>> start = FeedForward([[[1.0, 0.4]], [[0.3]]], cr.PowerLeakyReLU(1.0))
    >>> ladder = stable_set_ladder(start, np.eye(2), [1.0, 0.0])
    >>> print(f"{ladder.rate:.2f} {ladder.expected_rate:.2f} {ladder.proven_rate:.2f}")
    1.00 1.00 0.20
    """
    deltas = np.unique(as_vector(np.asarray(scales), "scales"))[::-1]
    if len(deltas) < 2:
        raise InvalidInputError(f"scales must hold at least two numbers, got {scales!r}")
    problem = check_deep_problem(start.normalized(), X, y, loss=loss, reduction=reduction)
    z = problem.residual(np.zeros_like(problem.Y))
    flow = ncf_flow(problem.network, problem.X, z)
    if flow.status != Status.KKT_POINT:
        raise InvalidInputError(f"the NCF flow must settle at a KKT point with a positive value, got {flow}")
    path = limiting_path(
        flow.limit,
        X,
        y,
        loss=loss,
        reduction=reduction,
        scale=0.01 * float(deltas[-1]),
        rtol=_PATH_RTOL,
    )
    there = _half_way(path.trajectory.problem.network, path)
    distances = [
        float(np.linalg.norm(_half_way(problem.network.scaled_weights(float(delta)), path) - there))
        for delta in deltas
    ]
    return StableSetLadder(
        path=path,
        second_order=ncf_second_order(flow.limit, problem.X, z),
        scales=deltas,
        distances=np.array(distances),
    )


def _half_way(start: FeedForward, path: LimitingPath) -> Float[np.ndarray, " w"]:
    """Return the weights of the run from a start where its loss is half-way to that of the path's saddle."""
    problem, t_max = path.trajectory.problem, float(path.trajectory.times[-1])
    # a start off w_* takes longer: it grows more slowly at first
    for record, longer in ((400, 1e3), (1, 1.0)):
        run = gradient_flow(
            problem.X,
            problem.Y,
            start,
            t_max=longer * t_max,
            loss=problem.rule.name,
            reduction=problem.reduction,
            rtol=_PATH_RTOL,
            stop_gradient=1e-3 if record > 1 else None,
            record=record,
            time_limit=None,
        )
        if record > 1:
            t_max = crossing_time(run, path.half_loss)
    return np.asarray(run.vectors[-1])
