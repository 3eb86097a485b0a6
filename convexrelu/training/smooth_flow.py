"""Gradient flow of feed-forward networks, ``dw/dt = -grad L(w)``, followed accurately from tiny weights on.

Near the origin a homogeneous network of degree L > 2 moves on the time scale ``||w||^{-(L-2)}``: from weights
of size 1e-6 that is 1e6 for L = 3 and 1e12 for L = 4, while the escape itself takes a time of order 1. So the
flow is integrated in the rescaled time s with ``dt = ||w||^{-(L-2)} ds``, in which small weights grow
exponentially whatever the degree, and t is carried along.
"""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float
from scipy.integrate import DOP853, LSODA
from scipy.optimize import brentq

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_vector, check_count, check_positive, check_seconds
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, pack, unpack
from convexrelu.networks.neurons import row_norms
from convexrelu.training.deep_trajectory import DeepTrajectory
from convexrelu.training.problem import SQUARE, DeepProblem, check_deep_problem

__all__ = ["feed_forward_flow"]

_FLOOR = 1e-3
"""Absolute errors are kept below `rtol` times this part of the smallest neuron: entries that pass through 0
need not be followed to relative accuracy, small neurons must."""

_FAR = 1e300
"""The end of the rescaled time, which t meets long before."""

_METHODS = ("lsoda", "dop853")

_Solver = LSODA | DOP853


def feed_forward_flow(
    network: FeedForward,
    X: ArrayLike,
    y: ArrayLike,
    *,
    t_max: float,
    loss: str = SQUARE,
    reduction: str = "mean",
    rtol: float = 1e-8,
    method: str = "lsoda",
    record: int | ArrayLike = 400,
    stop_gradient: float | None = None,
    time_limit: float | None = None,
) -> DeepTrajectory:
    """Return the trajectory of the gradient flow of the loss of a feed-forward network.

    The activation must have a continuous derivative: a power of at least 2, alpha = 1, tanh or GELU.

    Parameters
    ----------
    network : FeedForward
        Where to start; frozen weights stay.
    X : array_like
        (n, k_0) samples.
    y : array_like
        (n,) or (n, k_L) targets; labels +1 and -1 for the logistic loss.
    t_max : float
        The true time at which to stop.
    loss : str
        "square" or "logistic".
    reduction : str
        "mean" or "sum" over the samples.
    rtol : float
        Relative error allowed in a step.
    method : str
        "lsoda" passes plateaus in few steps, since it turns implicit there; "dop853" is explicit and of
        high order, an independent check.
    record : int or array_like
        At most about that many of the integrator's own steps, which crowd where the weights move; or the true
        times wanted. The start and the end are always stored.
    stop_gradient : float or None
        Stop where the gradient norm has fallen to this part of its largest value so far.
    time_limit : float or None
        Seconds after which to stop.

    Returns
    -------
    DeepTrajectory
        With true times and the status "finished"; "converged" (see `stop_gradient`, or the start is
        stationary); "time_limit"; "interrupted" (Ctrl-C; what there is is returned); or "stalled" when the
        integrator could not meet `rtol`.

    Raises
    ------
    InvalidInputError
        If an argument is malformed, shapes do not agree, or the activation has a kink.

    Examples
    --------
    The flow ``dw/dt = w (1 - w^2)`` of ``(1 - w^2)^2 / 4`` has ``w = 1/sqrt(1 + (1/w_0^2 - 1) e^{-2t})``:

    >>> import convexrelu as cr
    >>> start = cr.FeedForward([[[1e-3]], [[1.0]]], cr.PowerLeakyReLU(1.0, 2), trainable=[True, False])
    >>> path = feed_forward_flow(start, [[0.5**0.25]], [0.5**0.5], t_max=7.0, rtol=1e-10)
    >>> print(f"{path.network_at(-1).weights[0][0, 0]:.6f}")
    0.738913
    """
    problem = check_deep_problem(network, X, y, loss=loss, reduction=reduction)
    _check_smooth(network)
    if method not in _METHODS:
        raise InvalidInputError(f"method must be one of {', '.join(map(repr, _METHODS))}, got {method!r}")
    t_max = check_positive(t_max, "t_max")
    enough = 0.0 if stop_gradient is None else check_positive(stop_gradient, "stop_gradient")
    seconds = check_seconds(time_limit)
    flow, rtol = _Field(problem), check_positive(rtol, "rtol")
    kept = (
        _Thinned(flow.start, check_count(record, "record"))
        if np.ndim(record) == 0
        else (_Wanted(flow.start, _check_times(record, t_max)))
    )
    status = _follow(flow, flow.solver(method, rtol), kept, t_max, enough, time.perf_counter() + seconds)
    return DeepTrajectory(
        problem=problem,
        times=np.array(kept.times),
        weights=tuple(np.ascontiguousarray(W) for W in flow.layers(np.array(kept.states))),
        status=status,
        kind="flow",
    )


def _check_smooth(network: FeedForward) -> None:
    activation = network.activation
    if activation.kinked:
        raise InvalidInputError(
            "an accurate flow needs an activation without a kink (power >= 2 or alpha = 1), got "
            f"{activation!r}: train_feed_forward with small steps follows the others"
        )


def _check_times(record: ArrayLike, t_max: float) -> Float[np.ndarray, " t"]:
    times = np.unique(as_vector(record, "record"))
    if len(times) and not 0.0 <= times[0] <= times[-1] <= t_max:
        raise InvalidInputError(f"record must hold times from 0 to t_max = {t_max}, got {record!r}")
    return times[times > 0.0]


class _Field:
    """The vector field of the free weights and of t, in the rescaled time; a state is both in one vector."""

    def __init__(self, problem: DeepProblem) -> None:
        self.problem = problem
        self.free = problem.network.free
        self.whole = pack(problem.network.weights)
        self.start = np.append(self.whole[self.free], 0.0)
        self.slowness = _slowness(problem.network)

    def __call__(self, s: float, state: Float[np.ndarray, " f"]) -> Float[np.ndarray, " f"]:  # noqa: ARG002
        """Return the derivatives in s."""
        rate = float(np.linalg.norm(state[:-1])) ** -self.slowness
        return np.append(-rate * self.gradient(state), rate)

    def gradient(self, state: Float[np.ndarray, " f"]) -> Float[np.ndarray, " w"]:
        """Return the gradient of the loss in the free weights."""
        return np.asarray(pack(self.problem.evaluate(self.layers(state)).gradient)[self.free])

    def layers(self, states: Float[np.ndarray, "*T f"]) -> list[Float[np.ndarray, "... _ _"]]:
        """Return all weights at one state or several."""
        vectors = np.tile(self.whole, (*states.shape[:-1], 1))
        vectors[..., self.free] = states[..., :-1]
        return unpack(vectors, self.problem.network.weights)

    def solver(self, method: str, rtol: float) -> _Solver:
        """Return the integrator at the start."""
        layers = self.layers(self.start)
        neurons = np.concatenate([row_norms(V) for W in layers for V in (W, W.T)])
        alive = neurons[neurons > 0]
        atol = rtol * _FLOOR * (float(alive.min()) if len(alive) else 1.0)
        if method == "lsoda":
            return LSODA(self, 0.0, self.start, _FAR, rtol=rtol, atol=atol)
        return DOP853(self, 0.0, self.start, _FAR, rtol=rtol, atol=atol)


def _slowness(network: FeedForward) -> int:
    """Return L - 2 for a network of degree L >= 2, else 0: then the time is left as it is."""
    try:
        return max(network.degree - 2, 0)
    except InvalidInputError:  # not homogeneous
        return 0


class _Kept(ABC):
    """The recorded points of a run."""

    def __init__(self, start: Float[np.ndarray, " f"]) -> None:
        self.times = [0.0]
        self.states = [start]

    def add(self, state: Float[np.ndarray, " f"]) -> None:
        """Store a state, unless it is the last one again; times too long for float64 to part may be equal."""
        if not np.array_equal(state, self.states[-1]):
            self.times.append(float(state[-1]))
            self.states.append(state.copy())

    @abstractmethod
    def step(self, solver: _Solver, until: float) -> None:
        """Store what is wanted of the step just taken, up to the time `until`."""


class _Thinned(_Kept):
    """The integrator's own steps, every other one dropped whenever there are too many."""

    def __init__(self, start: Float[np.ndarray, " f"], most: int) -> None:
        super().__init__(start)
        self.most, self.stride, self.count = most, 1, 0

    def step(self, solver: _Solver, until: float) -> None:
        """Store the end of the step."""
        self.count += 1
        if self.count % self.stride or solver.y[-1] > until:
            return
        self.add(solver.y)
        if len(self.times) > self.most:
            self.times, self.states = self.times[::2], self.states[::2]
            self.stride *= 2


class _Wanted(_Kept):
    """Given times."""

    def __init__(self, start: Float[np.ndarray, " f"], wanted: Float[np.ndarray, " t"]) -> None:
        super().__init__(start)
        self.wanted = list(wanted[::-1])

    def step(self, solver: _Solver, until: float) -> None:
        """Store the times that fall into the step."""
        while self.wanted and self.wanted[-1] <= min(solver.y[-1], until):
            self.add(_state_at(solver, self.wanted.pop()))


def _state_at(solver: _Solver, t: float) -> Float[np.ndarray, " f"]:
    """Return the state at a true time within the last step."""
    inside = solver.dense_output()
    low, high = float(inside(solver.t_old)[-1]) - t, float(inside(solver.t)[-1]) - t
    if low >= 0.0 or high <= 0.0:  # at an end of the step, but for rounding
        s = solver.t_old if low >= 0.0 else solver.t
    else:
        s = brentq(lambda at: float(inside(at)[-1]) - t, solver.t_old, solver.t)
    state = np.asarray(inside(s))
    state[-1] = t
    return state


def _follow(flow: _Field, solver: _Solver, kept: _Kept, t_max: float, enough: float, deadline: float) -> str:
    """Step until the end and return the status."""
    steepest = float(np.linalg.norm(flow.gradient(solver.y)))
    if steepest == 0.0:  # exactly stationary: this is the state at all times
        kept.add(np.append(solver.y[:-1], t_max))
        return "converged"
    status = ""
    try:
        while not status:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # LSODA warns where it fails, which its status tells too
                solver.step()
            if solver.status == "failed":
                return "stalled"
            kept.step(solver, t_max)
            slope = float(np.linalg.norm(flow.gradient(solver.y)))
            steepest = max(steepest, slope)
            if solver.y[-1] >= t_max:
                status = "finished"
            elif slope <= enough * steepest:
                status = "converged"
            elif time.perf_counter() > deadline:
                status = "time_limit"
    except KeyboardInterrupt:
        status = "interrupted"
    kept.add(_state_at(solver, t_max) if solver.y[-1] > t_max else solver.y)
    return status
