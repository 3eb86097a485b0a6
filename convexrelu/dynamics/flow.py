"""Gradient flow, followed from one change of pattern to the next with an integrator for smooth systems."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.integrate import DOP853
from scipy.optimize import brentq

from convexrelu._typing import ArrayLike
from convexrelu._validation import check_count, check_positive
from convexrelu.dynamics._field import Field
from convexrelu.dynamics.trajectory import FlowEvent, Trajectory, check_training_problem
from convexrelu.errors import InvalidInputError
from convexrelu.losses import get_loss
from convexrelu.networks import TwoLayerReLU

__all__ = ["gradient_flow"]

VIOLATION = 1e-12
"""A pattern changes when a slack is this far below 0: nearer, it may be the rounding of the change before."""

STILL = 1e-13
"""The flow has converged when the remaining time, at its velocity, moves no neuron by this part of the
largest one."""

_SMALLEST_RTOL = 1e-13
"""Below it an integrator in float64 only chases its own rounding."""

_LOCATE = 1e-14
"""Accuracy of the root finder, as a part of the step."""

_RESTS = 50
"""Changes of pattern in a row without progress (and four more for each neuron, since equal neurons change
together) after which the run is given up as stalled."""

_SHORTEST = 1e-2
"""After a change of pattern the next step is twice the way to it, so that steps are about as long as the
pieces, but at least this part of the last step."""


class _OutOfTimeError(Exception):
    """Raised inside the right-hand side when the time limit has passed."""


def gradient_flow(
    X: ArrayLike,
    y: ArrayLike,
    network: TwoLayerReLU,
    *,
    t_max: float,
    loss: str = "logistic",
    time_limit: float = 60.0,
    rtol: float = 1e-10,
    n_records: int = 200,
) -> Trajectory:
    """Return the trajectory of the subgradient flow on the summed loss in true time (WP eq. (18) and (22)).

    ``w1_i' = w2_i g_i, w2_i' = w1_i^T g_i`` with ``g_i`` the sum of ``lam_n x_n`` over the rows active for
    the neuron. Between changes of the activation patterns this is a smooth system: it is integrated by an
    explicit Runge-Kutta method of order 8 up to the first hyperplane met, located by a root finder. There the
    neuron crosses, or, where both sides lead back, slides along the hyperplane with the least-norm Clarke
    velocity. Rows at zero at the start count as inactive unless the velocity says otherwise. ``||w1_i||^2 -
    w2_i^2`` (WP Lemma 1) is conserved by construction. A row that a neuron leaves and meets again within one
    step of the integrator is not seen.

    Parameters
    ----------
    X : array_like
        (n, d) data.
    y : array_like
        (n,) binary labels.
    network : TwoLayerReLU
        Where to start.
    t_max : float
        The true time at which to stop.
    loss : str
        "logistic", "exponential" or "square".
    time_limit : float
        Seconds after which the trajectory so far is returned.
    rtol : float
        The integrator's relative tolerance per step (of a neuron's size, so that tiny weights are as accurate
        as large ones).
    n_records : int
        About how many points are stored: spread evenly over the integrator's steps, which are dense where
        things happen.

    Returns
    -------
    Trajectory
        With true times, the pattern changes as ``events``, and the status "finished" (at ``t_max``),
        "converged" (the remaining time would move nothing), "time_limit", "interrupted" (Ctrl-C), or
        "stalled" (no step, or no change of pattern, made progress).

    Raises
    ------
    InvalidInputError
        If an argument is malformed or the network has another number of inputs than X has columns.

    Examples
    --------
    >>> import convexrelu as cr
    >>> start = cr.TwoLayerReLU([[0.1, 0.0]], [0.1])
    >>> path = cr.gradient_flow([[1.0, 0.5]], [1], start, t_max=5.0)
    >>> path.status, float(path.times[-1])
    ('finished', 5.0)
    """
    X, y = check_training_problem(X, y, network)
    rule = get_loss(loss)
    t_max = check_positive(t_max, "t_max")
    seconds = check_positive(time_limit, "time_limit", finite=False)
    rtol = check_positive(rtol, "rtol")
    if not _SMALLEST_RTOL <= rtol < 1.0:
        raise InvalidInputError(f"rtol must be from {_SMALLEST_RTOL} to 1, got {rtol}")
    n_records = check_count(n_records, "n_records")
    field = Field.of(X, y, rule, network.W1, network.w2)
    run = _Run(
        field, field.start(network.W1, network.w2), math.log1p(t_max), rtol, max(n_records, 2), seconds
    )
    status = run.follow()
    states = run.selected()
    times = np.expm1(states[:, -1])
    if status == "finished":
        times[-1] = t_max
    weights = [field.weights(state) for state in states]
    W1, w2 = np.array([pair[0] for pair in weights]), np.array([pair[1] for pair in weights])
    W1[0], w2[0] = network.W1, network.w2
    return Trajectory(
        X=X, y=y, times=times, W1=W1, w2=w2, rule=rule, status=status, kind="flow", events=tuple(run.events)
    )


class _Run:
    """One integration: the state and mode it has reached, and what it has recorded."""

    def __init__(
        self,
        field: Field,
        state: Float[np.ndarray, " s"],
        end: float,
        rtol: float,
        n_records: int,
        seconds: float,
    ) -> None:
        self.field, self.end, self.rtol, self.n_records = field, end, rtol, n_records
        self.deadline = time.perf_counter() + seconds
        self.mode = field.initial_mode(state)
        for slide in self.mode.slides:
            state = field.snap(state, slide.neuron, slide.planes)
        self.state = state
        self.records = [self.state]
        self.events: list[FlowEvent] = []
        self.rests = 0
        self.step = 0.0

    def follow(self) -> str:
        """Integrate to the end; the status."""
        try:
            if self._is_still(self._velocity(0.0, self.state)):
                return "converged"
            while True:
                status = self._follow_mode(self._solver())
                if status:
                    return status
        except _OutOfTimeError:
            return "time_limit"
        except KeyboardInterrupt:
            return "interrupted"

    def selected(self) -> Float[np.ndarray, "T s"]:
        """At most n_records of the recorded states, the first and the last among them."""
        kept = np.unique(np.linspace(0, len(self.records) - 1, self.n_records).round().astype(np.int64))
        return np.array([self.records[index] for index in kept])

    def _velocity(self, _s: float, state: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
        if time.perf_counter() > self.deadline:
            raise _OutOfTimeError
        return self.field.velocity(state, self.mode)

    def _solver(self) -> DOP853:
        v, b, r = self.field.split(self.state)
        size = np.linalg.norm(v, axis=1)
        # an unbalanced neuron's smaller weight is resolved too, down to 1e-6 of its size
        small = [
            np.repeat(np.maximum(size, 1e-6), v.shape[1]),
            np.maximum(np.abs(b), 1e-6),
            np.ones(len(r) + 1),
        ]
        return DOP853(
            self._velocity,
            0.0,
            self.state,
            np.inf,
            rtol=self.rtol,
            atol=self.rtol * np.concatenate(small),  # type: ignore[arg-type]  # the stubs know no vectors here
            first_step=self.step or None,
        )

    def _follow_mode(self, solver: DOP853) -> str:
        """Step until the mode changes ("") or the run ends (its status)."""
        while True:
            begin = float(solver.t)
            solver.step()
            if solver.status == "failed":
                return "stalled"
            change = self._first_change(solver, begin)
            if change is not None:
                s, neuron, plane = change
                self.state = self.field.project(solver.dense_output()(s))
                if neuron < 0:
                    self._record()
                    return "finished"
                full = float(solver.t) - begin
                self.step = max(2.0 * (s - begin), _SHORTEST * full) if s > begin else full
                self.rests = 0 if s > begin else self.rests + 1
                if self.rests > _RESTS + 4 * len(self.mode.sides):
                    return "stalled"
                self._switch(neuron, plane)
                return ""
            self.rests = 0
            # after every step, because a fading neuron magnifies what its imbalance has gathered in rounding
            self.state = solver.y = self.field.project(solver.y)
            solver.f = self._velocity(solver.t, solver.y)
            self._record()
            if self._is_still(solver.f):
                return "converged"

    def _first_change(self, solver: DOP853, begin: float) -> tuple[float, int, int] | None:
        """Return when, by which neuron and hyperplane, the mode first ended in a step (-1: end)."""
        field, mode = self.field, self.mode
        below = np.argwhere(field.heights(solver.y, mode) < -VIOLATION).tolist()
        tight = np.flatnonzero(field.rooms(solver.y, mode) < -VIOLATION).tolist()
        finished = solver.y[-1] >= self.end
        if not below and not tight and not finished:
            return None
        dense = solver.dense_output()

        def height(i: int, h: int) -> Callable[[float], float]:
            normal = mode.sides[i, h] * field.normals[h]

            def sine(s: float) -> float:
                v = field.split(dense(s))[0][i]
                return float(v @ normal / (np.linalg.norm(v) or 1.0)) + VIOLATION

            return sine

        def room(k: int) -> Callable[[float], float]:
            return lambda s: float(field.rooms(dense(s), mode)[k]) + VIOLATION

        slots = [(slide.neuron, int(h)) for slide in mode.slides for h in slide.planes]
        changes = [(height(i, h), i, h) for i, h in below] + [(room(k), *slots[k]) for k in tight]
        if finished:
            changes.append((lambda s: self.end - float(dense(s)[-1]), -1, -1))
        found = [(_root(slack, begin, float(solver.t)), i, h) for slack, i, h in changes]
        return min(found, key=lambda change: change[0])

    def _switch(self, neuron: int, plane: int) -> None:
        """Change the mode where a neuron met a hyperplane, or where it can no longer slide along it."""
        before = self.mode.sides
        planes = self.field.met_by(self.state, self.mode, neuron, plane)
        # the rounding with which it was located must not count as the next change
        self.state = self.field.snap(self.state, neuron, planes)
        sides = self.field.resolve(self.state, before, neuron, planes)
        self.mode = self.field.mode_of(self.state, sides, self.mode.slides)
        self._note(before, sides)
        self._record()

    def _note(self, before: Int[np.ndarray, "m h"], after: Int[np.ndarray, "m h"]) -> None:
        """Append the events of a change of sides."""
        moment = math.expm1(self.state[-1])
        for i, h in np.argwhere(before != after):
            side = int(after[i, h])
            kind = "slide" if side == 0 else "on" if side > 0 else "off"
            self.events.append(FlowEvent(time=moment, neuron=int(i), row=int(self.field.lead[h]), kind=kind))

    def _record(self) -> None:
        if self.state[-1] > self.records[-1][-1]:
            self.records.append(self.state)
            if len(self.records) > 8 * self.n_records:
                self.records = [*self.records[:-1:2], self.records[-1]]

    def _is_still(self, velocity: Float[np.ndarray, " s"]) -> bool:
        """Whether the remaining time would, at this velocity, move nothing."""
        v_dot, b_dot, r_dot = self.field.split(velocity)
        sizes = np.exp(self.field.split(self.state)[2])
        speed = sizes * (np.linalg.norm(v_dot, axis=1) + np.abs(b_dot) + np.abs(r_dot))
        left = math.expm1(min(self.end - self.state[-1], 700.0)) / velocity[-1]
        return bool(speed.max() * left <= STILL * sizes.max())


def _root(slack: Callable[[float], float], begin: float, end: float) -> float:
    """Return where between begin and end a slack that is negative at the end first is not positive."""
    if slack(end) >= 0.0:
        return end
    if slack(begin) <= 0.0:
        return begin
    return float(brentq(slack, begin, end, xtol=_LOCATE * (end - begin), rtol=4 * np.finfo(np.float64).eps))
