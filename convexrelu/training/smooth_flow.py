"""Gradient flow of feed-forward networks, ``dw/dt = -grad L(w)``, followed accurately from tiny weights on.

Near the origin a homogeneous network of degree L > 2 moves on the time scale ``||w||^{-(L-2)}``: from weights
of size 1e-6 that is 1e6 for L = 3 and 1e12 for L = 4, while the escape itself takes a time of order 1. So the
flow is integrated in the rescaled time s with ``dt = ||w||^{-(L-2)} ds``, in which small weights grow
exponentially whatever the degree, and t is carried along.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float
from scipy.integrate import DOP853, LSODA
from scipy.optimize import brentq

from convexrelu._clock import Clock
from convexrelu._status import Status
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_vector, check_count, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, pack, unpack
from convexrelu.networks.neurons import row_norms
from convexrelu.training.problem import DeepProblem
from convexrelu.training.run import Process, follow
from convexrelu.training.trajectory import DeepTrajectory

__all__ = ["smooth_flow"]

_FAR = 1e300
"""The end of the rescaled time, which t meets long before."""

_METHODS = ("lsoda", "dop853")

_Solver = LSODA | DOP853


def smooth_flow(
    problem: DeepProblem,
    *,
    t_max: float,
    rtol: float,
    method: str,
    record: int | ArrayLike,
    stop_gradient: float | None,
    clock: Clock,
    progress: bool,
) -> DeepTrajectory:
    """Return the trajectory of :func:`~convexrelu.gradient_flow` of a feed-forward network."""
    activation = problem.network.activation
    if activation.kinked:
        raise InvalidInputError(
            "an accurate flow needs an activation without a kink (power >= 2 or alpha = 1), got "
            f"{activation!r}: gradient_descent with small steps follows the others"
        )
    if method not in _METHODS:
        raise InvalidInputError(f"method must be one of {', '.join(map(repr, _METHODS))}, got {method!r}")
    field = _Field(problem)
    kept = (
        _Thinned(field.start, check_count(record, "record"))
        if np.ndim(record) == 0
        else (_Wanted(field.start, _check_times(record, t_max)))
    )
    enough = 0.0 if stop_gradient is None else check_positive(stop_gradient, "stop_gradient")
    run = _SmoothFlow(field, field.solver(method, rtol), kept, t_max, enough)
    status = follow(run, [t_max], clock, progress=progress, what="flow")
    return DeepTrajectory(
        problem=problem,
        times=np.array(kept.times),
        weights=tuple(np.ascontiguousarray(W) for W in field.layers(np.array(kept.states))),
        status=status,
        kind="flow",
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
        # entries that pass through 0 need not be followed to relative accuracy, small neurons must
        atol = rtol * 1e-3 * (float(alive.min()) if len(alive) else 1.0)
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


class _SmoothFlow(Process):
    """One integration, a step of the solver at a time."""

    def __init__(self, field: _Field, solver: _Solver, kept: _Kept, t_max: float, enough: float) -> None:
        self.field, self.solver, self.kept, self.t_max, self.enough = field, solver, kept, t_max, enough
        self.steepest = float(np.linalg.norm(field.gradient(solver.y)))

    def advance(self, target: float) -> Status | None:
        """Take a step."""
        solver = self.solver
        if self.steepest == 0.0:  # exactly stationary: this is the state at all times
            solver.y = np.append(solver.y[:-1], target)
            return Status.CONVERGED
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LSODA warns where it fails, which its status tells too
            solver.step()
        if solver.status == "failed":
            return Status.STALLED
        self.kept.step(solver, target)
        slope = float(np.linalg.norm(self.field.gradient(solver.y)))
        self.steepest = max(self.steepest, slope)
        self.reached = min(float(solver.y[-1]), target)
        return Status.CONVERGED if slope <= self.enough * self.steepest and self.reached < target else None

    def store(self) -> None:
        """Keep the end."""
        y = self.solver.y
        self.kept.add(_state_at(self.solver, self.t_max) if y[-1] > self.t_max else y)
