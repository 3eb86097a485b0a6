"""Gradient flow beyond the origin: when it escapes, along which path, and what stays zero (KH-beyond).

From ``delta w_*`` with w_* a positive KKT point of the constrained NCF, N = N(w_*), the weights first grow
along w_*, alone with their norm, and reach size 1 about at the time

    T(delta) = ln(1/delta) / (2 N)  for L = 2,     delta^{-(L-2)} / (L (L-2) N)  for L > 2.

Seen from there the flow psi has a limit, ``p(t) = lim psi(t + T(delta), delta w_*)`` as delta -> 0
(Theorems 4 and 10): the way from the origin to the first saddle. The paper proves an error O(delta). But
while the norm r is small, the loss changes its growth ``dr/dt = L N r^{L-1}`` by a part of order r^L only:
the start of the path up to norm delta takes longer than T(delta) says by ``int_0^delta r^L / r^{L-1} dr``,
which is O(delta^2) whatever L. That is what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import CubicHermiteSpline

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_vector, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward
from convexrelu.saddles.plateaus import (
    PROMINENCE,
    Plateau,
    neuron_sizes,
    relative_size,
    track_saddles,
)
from convexrelu.training.flow.gradient_flow import gradient_flow
from convexrelu.training.problem import check_deep_problem
from convexrelu.training.trajectory import DeepTrajectory

__all__ = [
    "Escape",
    "EscapeLadder",
    "LimitingPath",
    "crossing_time",
    "escape_ladder",
    "first_escape",
    "limiting_path",
    "predicted_escape_time",
]

_HALF_WAY = 0.5
"""Escapes are timed where the loss has come half-way from the origin to the first saddle: there it falls
fastest, so that time is told best."""


def predicted_escape_time(value: float, degree: int, scale: float) -> float:
    """Return the time after which gradient flow escapes from ``scale * w_*`` (KH-beyond Theorems 4, 10).

    Parameters
    ----------
    value : float
        ``N(w_*)``, positive, in the loss's own scale: for a mean over n samples, with z = y/n.
    degree : int
        The degree L of homogeneity, at least 2.
    scale : float
        The norm delta of the start.

    Returns
    -------
    float
        ``ln(1/delta)/(2N)`` for L = 2, ``delta^{-(L-2)}/(L (L-2) N)`` for L > 2.

    Raises
    ------
    InvalidInputError
        If a number is not positive, or the degree is below 2.

    Examples
    --------
    >>> predicted_escape_time(0.5, 3, 1e-3)
    666.6666666666666
    """
    N, delta = check_positive(value, "value"), check_positive(scale, "scale")
    if degree < 2:
        raise InvalidInputError(f"the degree must be at least 2, got {degree}: the origin is no saddle below")
    if degree == 2:
        return math.log(1.0 / delta) / (2.0 * N)
    return float(delta ** (2 - degree) / (degree * (degree - 2) * N))


@dataclass(frozen=True, kw_only=True, eq=False)
class LimitingPath:
    """The path p(t) that gradient flow takes away from the origin along a KKT point, up to the first saddle.

    Attributes
    ----------
    trajectory : DeepTrajectory
        The flow from ``scale * w_*``; it stands for the limit of small scales.
    value : float
        ``N(w_*)``, in the loss's own scale.
    scale : float
        The norm of its start.
    """

    trajectory: DeepTrajectory
    value: float
    scale: float

    @property
    def degree(self) -> int:
        """The degree L of homogeneity."""
        return self.trajectory.problem.network.degree

    @property
    def escape_time(self) -> float:
        """The time after which the flow is predicted to escape, counted from its start."""
        return predicted_escape_time(self.value, self.degree, self.scale)

    @property
    def times(self) -> Float[np.ndarray, " T"]:
        """The time t of p(t) at the recorded points: 0 is the predicted escape."""
        return np.asarray(self.trajectory.times - self.escape_time)

    @property
    def saddle(self) -> FeedForward:
        """The end of the path, p*."""
        return self.trajectory.network_at(-1)

    @cached_property
    def half_way(self) -> float:
        """The time t at which the loss of p(t) is half-way between the origin's and the saddle's."""
        return crossing_time(self.trajectory, self.half_loss) - self.escape_time

    @property
    def half_loss(self) -> float:
        """The loss half-way between the origin's and the saddle's."""
        loss = self.trajectory.loss
        return float((1.0 - _HALF_WAY) * loss[0] + _HALF_WAY * loss[-1])

    def __str__(self) -> str:
        loss = self.trajectory.loss
        return (
            f"path from the origin (L = {self.degree}, N = {self.value:.6g}) to a saddle: loss {loss[0]:.6g} "
            f"-> {loss[-1]:.6g}, half-way at t = {self.half_way:.6g}, norm {self.trajectory.norm[-1]:.4g}"
        )


def limiting_path(
    kkt_point: FeedForward,
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str = "square",
    reduction: str = "mean",
    scale: float = 1e-3,
    rtol: float = 1e-9,
    time_limit: float | None = None,
) -> LimitingPath:
    """Return the path of gradient flow from the origin to the first saddle (KH-beyond Theorems 4, 10).

    Parameters
    ----------
    kkt_point : FeedForward
        A positive KKT point w_* of the constrained NCF, such as ``maximize_ncf(...).points[0].network``; its
        norm does not matter.
    X : (n, k_0) array_like
        Samples.
    y : (n,) or (n, k_L) array_like
        Targets; labels +1 and -1 for the logistic loss.
    loss : str
        "square" or "logistic".
    reduction : str
        "mean" or "sum" over the samples.
    scale : float
        The norm of the start; the path is the limit up to about its square.
    rtol : float
        Relative error allowed in a step of the integrator.
    time_limit : float or None
        Seconds after which to stop.

    Returns
    -------
    LimitingPath
        Up to where the gradient has fallen to 1e-6 of its peak.

    Raises
    ------
    InvalidInputError
        If an argument is malformed, N is not positive there, or the activation has a kink.

    Examples
    --------
    KH-beyond Example 1, loss ``(w_1^2 - 4)^2 + (w_2^2 - 1)^2``: ``p(t) = (2/sqrt(1 + 4 e^{-32t}), 0)``.

    >>> import convexrelu as cr
    >>> outputs, targets = [[2**0.5, 2**0.5]], [4 * 2**0.5, 2**0.5]
    >>> start = cr.FeedForward(
    ...     [[[1.0, 0.0], [0.0, 0.0]], outputs], cr.PowerLeakyReLU(1.0, 2), trainable=[np.eye(2), False]
    ... )
    >>> path = limiting_path(start, np.eye(2), targets, reduction="sum")
    >>> round(path.value, 6), path.saddle.weights[0].round(4).tolist()
    (8.0, [[2.0, 0.0], [0.0, 0.0]])
    """
    start = kkt_point.normalized()
    problem = check_deep_problem(start, X, y, loss=loss, reduction=reduction)
    value = float(np.vdot(problem.residual(np.zeros_like(problem.Y)), start(problem.X)))
    if not value > 0.0:
        raise InvalidInputError(
            f"kkt_point must have a positive NCF, got {value:.3g}: from there 0 is not left"
        )
    _check_resolved(start.degree, check_positive(scale, "scale"))
    predicted = predicted_escape_time(value, start.degree, scale)
    # The path may take this many times its escape time; it stops where it has arrived.
    small, t_max = start.scaled_weights(scale), 1e6 * max(predicted, 1.0 / value)
    # The path is followed until its gradient is 1e-6 of its peak: the loss is then within about 1e-12 of the
    # saddle's, relative to the way from the origin.
    path = gradient_flow(
        X,
        y,
        small,
        t_max=t_max,
        loss=loss,
        reduction=reduction,
        rtol=rtol,
        stop_gradient=1e-6,
        time_limit=time_limit,
        record=400,
    )
    return LimitingPath(trajectory=path, value=value, scale=scale)


@dataclass(frozen=True, kw_only=True, eq=False)
class EscapeLadder:
    """Escapes from the origin along one KKT point, from smaller and smaller starts.

    Attributes
    ----------
    path : LimitingPath
        What stands for the limit: the path from a start ten times smaller than the smallest one.
    scales : (k,) float array
        The norms delta of the starts, decreasing.
    predicted : (k,) float array
        The times T(delta) of the theorems.
    measured : (k,) float array
        When the runs escape: where their loss is half-way to the saddle's, less the time at which p(t) is
        there.
    distances : (k,) float array
        ``||psi(T(delta), delta w_*) - p(0)||``.
    """

    path: LimitingPath
    scales: Float[np.ndarray, " k"]
    predicted: Float[np.ndarray, " k"]
    measured: Float[np.ndarray, " k"]
    distances: Float[np.ndarray, " k"]

    @property
    def errors(self) -> Float[np.ndarray, " k"]:
        """The relative errors ``measured / predicted - 1``."""
        return np.asarray(self.measured / self.predicted - 1.0)

    @property
    def rate(self) -> float:
        """The power of delta with which the distance to the limit falls, fitted over the whole ladder."""
        return float(np.polyfit(np.log(self.scales), np.log(self.distances), 1)[0])

    def __str__(self) -> str:
        lines = [
            f"  delta {scale:.0e}: escape at {measured:.6g}, predicted {predicted:.6g} ({error:+.1e}), "
            f"distance to p(0) {distance:.2e}"
            for scale, measured, predicted, error, distance in zip(
                self.scales, self.measured, self.predicted, self.errors, self.distances, strict=True
            )
        ]
        return "\n".join([str(self.path), *lines, f"  distance ~ delta^{self.rate:.3f}"])


def escape_ladder(
    kkt_point: FeedForward,
    X: ArrayLike,
    y: ArrayLike,
    *,
    scales: Sequence[float] | ArrayLike = (1e-1, 1e-2, 1e-3),
    loss: str = "square",
    reduction: str = "mean",
    rtol: float = 1e-12,
) -> EscapeLadder:
    """Return measured and predicted escape times from ``delta w_*``, and how fast the runs tend to p(t).

    Parameters
    ----------
    kkt_point : FeedForward
        A positive KKT point w_* of the constrained NCF; its norm does not matter.
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
    rtol : float
        Relative error allowed in a step of the integrator.

    Returns
    -------
    EscapeLadder
        In the order of falling scales.

    Raises
    ------
    InvalidInputError
        If an argument is malformed, N is not positive there, or the activation has a kink.

    Examples
    --------
    >>> import convexrelu as cr
    >>> linear = cr.PowerLeakyReLU(1.0)
    >>> ladder = escape_ladder(cr.FeedForward([[[1.0]], [[1.0]]], linear), [[1.0]], [1.0])
    >>> print(f"{ladder.rate:.2f}", np.abs(ladder.errors[-1]) < 1e-5)
    2.00 True
    """
    deltas = np.unique(as_vector(np.asarray(scales), "scales"))[::-1]
    if len(deltas) < 2:
        raise InvalidInputError(f"scales must hold at least two numbers, got {scales!r}")
    start = kkt_point.normalized()
    # The limit is taken from a start this much smaller than the smallest one: its own error is then a
    # hundredth of the smallest one measured.
    path = limiting_path(
        start, X, y, loss=loss, reduction=reduction, scale=0.1 * float(deltas[-1]), rtol=rtol
    )
    runs = [
        limiting_path(start, X, y, loss=loss, reduction=reduction, scale=float(delta), rtol=rtol)
        for delta in deltas
    ]
    limit = _at_escape(path, rtol)
    predicted = np.array([run.escape_time for run in runs])
    crossings = np.array([crossing_time(run.trajectory, path.half_loss) for run in runs])
    return EscapeLadder(
        path=path,
        scales=deltas,
        predicted=predicted,
        measured=crossings - path.half_way,
        distances=np.array([np.linalg.norm(_at_escape(run, rtol) - limit) for run in runs]),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Escape:
    """How a run escapes from the origin, and what is small before and stays small.

    Attributes
    ----------
    trajectory : DeepTrajectory
        The run.
    time : float
        When its loss is half-way between the start's and the first saddle's.
    before : int
        The last recorded point with less than 1 % of that way behind it.
    saddle : Plateau
        The first saddle.
    small : tuple of int arrays
        The neurons that are small at `before`, a hidden layer each.
    """

    trajectory: DeepTrajectory
    time: float
    before: int
    saddle: Plateau
    small: tuple[Int[np.ndarray, " _"], ...]

    @property
    def size_before(self) -> float:
        """The largest size among the small neurons just before the escape, relative to their layer."""
        return relative_size(self.trajectory.network_at(self.before), self.small)

    @property
    def size_at_saddle(self) -> float:
        """The same at the first saddle."""
        return relative_size(self.trajectory.network_at(self.saddle.index), self.small)

    def __str__(self) -> str:
        kept = " + ".join(str(len(neurons)) for neurons in self.small)
        return (
            f"escape at {self.time:.6g}, then a saddle at {self.saddle}; {kept} neurons that were at most "
            f"{self.size_before:.2g} of the largest before are at most {self.size_at_saddle:.2g} there"
        )


def first_escape(trajectory: DeepTrajectory, *, small: float = 0.1, prominence: float = PROMINENCE) -> Escape:
    """Return how a run from small weights escapes from the origin, and which neurons stay behind.

    Parameters
    ----------
    trajectory : DeepTrajectory
        A run of descent or flow that reaches its first saddle.
    small : float
        A neuron is small up to this part of its layer's largest one.
    prominence : float
        As for :func:`track_saddles`.

    Returns
    -------
    Escape
        The escape.

    Raises
    ------
    InvalidInputError
        If the run does not reach a first saddle, or `small` is not positive.

    Examples
    --------
    >>> import convexrelu as cr
    >>> squares = cr.PowerLeakyReLU(1.0, 2)
    >>> start = cr.FeedForward([0.001 * np.eye(2), [[1.0, 1.0]]], squares, trainable=[np.eye(2), False])
    >>> path = cr.gradient_flow(np.eye(2), [4.0, 1.0], start, t_max=20.0, loss="square")
    >>> escape = first_escape(path)
    >>> print(f"{escape.saddle.loss:.1f}", escape.small, escape.size_at_saddle < 0.02)
    0.5 (array([1]),) True
    """
    bar = check_positive(small, "small")
    saddle = track_saddles(trajectory, prominence=prominence).first_saddle
    loss = trajectory.loss
    way = float(loss[0] - loss[saddle.index])
    # Just before the escape the loss has come this part of the way: the direction is as settled as it gets,
    # and the weights are still small.
    before = int(np.argmax(loss < loss[0] - 0.01 * way)) - 1
    network = trajectory.network_at(max(before, 0))
    sizes = neuron_sizes(network.weights, network.trainable)
    return Escape(
        trajectory=trajectory,
        time=crossing_time(trajectory, float(loss[0]) - _HALF_WAY * way),
        before=max(before, 0),
        saddle=saddle,
        small=tuple(np.flatnonzero(size <= bar * size.max()) for size in sizes),
    )


def _check_resolved(degree: int, scale: float) -> None:
    """Refuse starts so small that float64 cannot tell the time of the escape from what surrounds it."""
    if degree > 2:
        eps = float(np.finfo(np.float64).eps)
        # Rounding of the time may be this part of 1/N, the time that the escape itself takes, at most.
        least = (eps / (1e-3 * degree * (degree - 2))) ** (1.0 / (degree - 2))
        if scale < least:
            raise InvalidInputError(
                f"scale must be at least {least:.1e} for degree {degree}, got {scale:.1e}: the escape takes "
                "so long that float64 cannot resolve its time"
            )


def _at_escape(path: LimitingPath, rtol: float) -> Float[np.ndarray, " w"]:
    """Return the weights at the predicted time exactly."""
    problem = path.trajectory.problem
    run = gradient_flow(
        problem.X,
        problem.Y,
        problem.network,
        t_max=path.escape_time,
        loss=problem.rule.name,
        reduction=problem.reduction,
        rtol=rtol,
        record=1,
        time_limit=None,
    )
    return np.asarray(run.vectors[-1])


def crossing_time(trajectory: DeepTrajectory, level: float) -> float:
    """Return the time at which the loss first falls to a level.

    Along a flow the loss falls at the rate ``||grad||^2``: the time is a cubic Hermite interpolant in the
    loss. Steps of descent are interpolated linearly.

    Parameters
    ----------
    trajectory : DeepTrajectory
        The run.
    level : float
        Below its first loss, and not below its least one.

    Returns
    -------
    float
        The time.

    Raises
    ------
    InvalidInputError
        If the loss does not fall to the level within the run.
    """
    loss, times = trajectory.loss, trajectory.times
    index = int(np.argmax(loss <= level))
    if loss[index] > level or index == 0:
        raise InvalidInputError(f"the loss must fall to {level:.6g} within the run, got {trajectory}")
    around = slice(index - 1, index + 1)
    if trajectory.kind == "flow":
        slopes = -(trajectory.gradient_norm[around] ** -2.0)
        inverse = CubicHermiteSpline(loss[around][::-1], times[around][::-1], slopes[::-1])
        return float(inverse(level))
    return float(np.interp(level, loss[around][::-1], times[around][::-1]))
