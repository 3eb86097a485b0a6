"""Gradient flow, followed from one change of pattern to the next with an integrator for smooth systems."""

from __future__ import annotations

import math
from typing import TypedDict, Unpack, overload

import numpy as np
from jaxtyping import Float, Int

from convexrelu._clock import Clock
from convexrelu._status import Status
from convexrelu._typing import ArrayLike
from convexrelu._validation import check_count, check_positive, check_seconds
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, TwoLayerReLU
from convexrelu.training.flow.events import (
    ENDED,
    TURNED,
    Change,
    advance,
    is_watched,
    land,
    rare_change,
    shoot,
)
from convexrelu.training.flow.field import Field, Slide, is_still
from convexrelu.training.flow.step import DEGREE, project
from convexrelu.training.flow.ties import NoSolutionError
from convexrelu.training.problem import DeepProblem, check_problem
from convexrelu.training.run import Process, follow
from convexrelu.training.smooth_flow import smooth_flow
from convexrelu.training.trajectory import DeepTrajectory, FlowEvent, FlowTrajectory, log_of_clock

__all__ = ["gradient_flow"]

_SMALLEST_RTOL = 1e-13
"""Below it an integrator in float64 only chases its own rounding."""

_EARLIEST = -700.0
"""Logarithm of the earliest end: log(1 + t) = t must be a normal float64 number."""

_CHUNK = 64
"""Steps between two looks at the clock and for Ctrl-C, fewer where a step is long."""

_CHUNK_WORK = 10**7
"""Products of neurons, rows and inputs between two looks: about a second at 17 evaluations a step."""


class _Options(TypedDict, total=False):
    """The options of :func:`gradient_flow`, for its overloads."""

    t_max: float | None
    log_t_max: float | None
    loss: str
    reduction: str
    selection: str
    form: str
    method: str
    rtol: float
    record: int | ArrayLike
    stop_gradient: float | None
    time_limit: float | None
    progress: bool


@overload
def gradient_flow(
    X: ArrayLike, y: ArrayLike, network: TwoLayerReLU, **options: Unpack[_Options]
) -> FlowTrajectory: ...


@overload
def gradient_flow(
    X: ArrayLike, y: ArrayLike, network: FeedForward, **options: Unpack[_Options]
) -> DeepTrajectory: ...


def gradient_flow(
    X: ArrayLike,
    y: ArrayLike,
    network: TwoLayerReLU | FeedForward,
    *,
    t_max: float | None = None,
    log_t_max: float | None = None,
    loss: str = "logistic",
    reduction: str = "sum",
    selection: str = "clarke",
    form: str = "polar",
    method: str = "lsoda",
    rtol: float = 1e-10,
    record: int | ArrayLike = 200,
    stop_gradient: float | None = None,
    time_limit: float | None = 60.0,
    progress: bool = False,
) -> FlowTrajectory | DeepTrajectory:
    """Return the trajectory of gradient flow ``d theta/dt = -grad L(theta)`` from a network, in true time.

    For a TwoLayerReLU it is the subgradient flow (WP eq. (18) and (22)), ``w1_i' = w2_i g_i, w2_i' = w1_i^T
    g_i`` with ``g_i`` the sum of ``lam_n x_n`` over the rows active for the neuron. Between changes of the
    activation patterns this is a smooth system: it is integrated by an explicit Runge-Kutta method of order 8
    up to the first hyperplane met, located by a root finder that misses no root of the step's polynomial.
    There the neuron crosses, or, where both sides lead back, slides along the hyperplane with the least-norm
    Clarke velocity, until the row's multiplier reaches 0 or 1. Rows at zero at the start count as inactive
    unless the velocity says otherwise. ``||w1_i||^2 - w2_i^2`` (WP Lemma 1) is conserved by construction in
    polar form. docs/gradient_flow.md says how accurate all this is.

    The activation of a FeedForward must have a continuous derivative: a power of at least 2, alpha = 1, tanh
    or GELU. Its flow is integrated in a rescaled time in which small weights grow exponentially, whatever the
    degree (docs/saddles.md).

    Parameters
    ----------
    X : (n, d) array_like
        Data.
    y : (n,) array_like
        Binary labels for a TwoLayerReLU, and for a loss of labels; else (n,) or (n, k) targets of a
        FeedForward with k outputs.
    network : TwoLayerReLU or FeedForward
        Where to start, such as ``scaled_start(X, y, width=10, scale=1e-3, rng=0).network`` of
        :mod:`convexrelu.training`; frozen weights stay.
    t_max : float or None
        The true time at which to stop; either this or `log_t_max`.
    log_t_max : float or None
        Its logarithm; 1000 stands for ``t = e^1000``, a time that float64 cannot hold, which only a
        TwoLayerReLU can be followed to.
    loss : str
        "logistic", "exponential", "square", or, of a FeedForward, "correlation"; see
        :mod:`convexrelu.losses`.
    reduction : str
        "sum" or "mean" over the samples.
    selection : str
        What holds where a neuron is on the hyperplane of a row (TwoLayerReLU only): "clarke", the least-norm
        element of Clarke's subdifferential, or "zero_at_ties", WP's choice of 0 as the derivative of the ReLU
        at 0. The two differ where a neuron would slide (with the latter the flow has no absolutely continuous
        solution there, and the run ends with the status "no_solution") and where one starts on a hyperplane
        to which its velocity, with that row left out, is parallel (it stays there for ever).
    form : str
        How neurons are integrated (TwoLayerReLU only): "polar", as ``e^r (v, b)`` with ``||v||^2 + b^2 = 1``,
        which conserves the balance to rounding; or "cartesian", as (w1, w2), which conserves it to the
        integrator's accuracy only and serves as a check.
    method : str
        The integrator (FeedForward only): "lsoda" passes plateaus in few steps, since it turns implicit
        there; "dop853" is explicit and of high order, an independent check.
    rtol : float
        The integrator's relative tolerance per step (of a neuron's size, so that tiny weights are as accurate
        as large ones).
    record : int or array_like
        About how many points are stored: of the integrator's own steps, which are dense where things happen;
        or the true times wanted (FeedForward only). The start and the end are always stored.
    stop_gradient : float or None
        Stop where the gradient norm has fallen to this part of its largest value so far (FeedForward only).
    time_limit : float or None
        Seconds after which the trajectory so far is returned.
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    FlowTrajectory or DeepTrajectory
        With true times (and, of a TwoLayerReLU, their logarithms and the pattern changes as ``events``), and
        the status "finished" (at ``t_max``), "converged" (of a TwoLayerReLU, the remaining time would move
        nothing: each neuron is allowed to grow exponentially under its pull; of a FeedForward, see
        `stop_gradient`, or the start is stationary), "time_limit", "interrupted" (Ctrl-C), "no_solution" (see
        `selection`), or "stalled" (no step, or no change of pattern, made progress).

    Raises
    ------
    InvalidInputError
        If an argument is malformed or not for this kind of network, not exactly one of `t_max` and
        `log_t_max` is given, shapes do not agree, a TwoLayerReLU has no neuron, the activation of a
        FeedForward has a kink, or the data or weights are so large or the data so small that their squares
        leave float64.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    >>> import convexrelu as cr
    >>> start = cr.TwoLayerReLU([[0.1, 0.0]], [0.1])
    >>> path = cr.gradient_flow([[1.0, 0.5]], [1], start, t_max=5.0)
    >>> path.status, float(path.times[-1])
    ('finished', 5.0)

    At t = e^1000 the margin is about 1000, and the direction that of the max-margin neuron:

    >>> path = cr.gradient_flow([[1.0, 0.5]], [1], start, log_t_max=1000.0)
    >>> print(f"{path.log_times[-1]:.1f} {path.margin[-1]:.1f} {path.directions[-1, 0].round(2)}")
    1000.0 1007.7 [0.9 0.45]

    The flow ``dw/dt = w (1 - w^2)`` of ``(1 - w^2)^2 / 4`` has ``w = 1/sqrt(1 + (1/w_0^2 - 1) e^{-2t})``:

    >>> start = cr.FeedForward([[[1e-3]], [[1.0]]], cr.PowerLeakyReLU(1.0, 2), trainable=[True, False])
    >>> path = cr.gradient_flow([[0.5**0.25]], [0.5**0.5], start, t_max=7.0, loss="square")
    >>> print(f"{path.network_at(-1).weights[0][0, 0]:.6f}")
    0.738913
    """
    problem = check_problem(X, y, network, loss=loss, reduction=reduction)
    log_end = _log_end(t_max, log_t_max)
    rtol, limit = check_positive(rtol, "rtol"), check_seconds(time_limit)
    if not _SMALLEST_RTOL <= rtol < 1.0:
        raise InvalidInputError(f"rtol must be from {_SMALLEST_RTOL} to 1, got {rtol}")
    polar = _choose(form, "form", "polar", "cartesian")
    zero_at_ties = _choose(selection, "selection", "zero_at_ties", "clarke")
    if isinstance(problem, DeepProblem):
        if zero_at_ties or not polar:
            raise InvalidInputError("selection and form are for a TwoLayerReLU, not for a FeedForward")
        return smooth_flow(
            problem,
            t_max=_representable(log_end) if t_max is None else float(t_max),
            rtol=rtol,
            method=method,
            record=record,
            stop_gradient=stop_gradient,
            clock=Clock(limit=limit),
            progress=progress,
        )
    if method != "lsoda" or stop_gradient is not None:
        raise InvalidInputError("method and stop_gradient are for a FeedForward, not for a TwoLayerReLU")
    n_records = check_count(record, "record")
    network, log_scale = problem.network, math.log(problem.scale)
    field = Field.of(
        problem.X, problem.y, problem.rule, network.W1, network.w2, polar=polar, zero_at_ties=zero_at_ties
    )
    # the mean's flow is the sum's, n times slower
    end = float(np.logaddexp(0.0, log_end + log_scale))
    run = _Run(field, field.start(network.W1, network.w2), end, rtol, n_records, log_scale)
    status = follow(run, [end], Clock(limit=limit), progress=progress, what="flow")
    states = run.selected()
    W1, w2 = field.weights(states)
    W1[0], w2[0] = network.W1, network.w2
    log_times = log_of_clock(states[:, -1]) - log_scale
    with np.errstate(over="ignore"):
        times = np.expm1(states[:, -1]) / problem.scale
    if status == Status.FINISHED:
        log_times[-1] = log_end
        times[-1] = times[-1] if t_max is None else float(t_max)
    return FlowTrajectory(
        X=problem.X,
        y=problem.y,
        times=times,
        log_times=log_times,
        W1=W1,
        w2=w2,
        rule=problem.rule,
        status=status,
        kind="flow",
        events=tuple(run.events),
        reduction=reduction,
    )


def _representable(log_end: float) -> float:
    """Return the time of that logarithm, or raise InvalidInputError."""
    try:
        return math.exp(log_end)
    except OverflowError as error:
        raise InvalidInputError(
            f"log_t_max must be below 709 for a FeedForward, whose time is a float64 number, got {log_end}"
        ) from error


def _log_end(t_max: float | None, log_t_max: float | None) -> float:
    """Return the logarithm of the time at which to stop."""
    if (t_max is None) == (log_t_max is None):
        raise InvalidInputError(
            f"exactly one of t_max and log_t_max must be given, got t_max={t_max} and log_t_max={log_t_max}"
        )
    if t_max is not None:
        return math.log(check_positive(t_max, "t_max"))
    try:
        log_end = float(log_t_max)  # type: ignore[arg-type]  # None is refused above
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"log_t_max must be a number, got {log_t_max!r}") from error
    if not _EARLIEST <= log_end < math.inf:
        raise InvalidInputError(f"log_t_max must be finite and at least {_EARLIEST:g}, got {log_t_max!r}")
    return log_end


def _choose(value: str, name: str, chosen: str, other: str) -> bool:
    """Whether an option has the first of its two values."""
    if value not in (chosen, other):
        raise InvalidInputError(f"{name} must be {chosen!r} or {other!r}, got {value!r}")
    return value == chosen


class _Run(Process):
    """One integration: the state and mode it has reached, and what it has recorded."""

    def __init__(
        self,
        field: Field,
        state: Float[np.ndarray, " s"],
        end: float,
        rtol: float,
        n_records: int,
        log_scale: float,
    ) -> None:
        self.log_scale, self.begun = log_scale, False
        self.field, self.end, self.rtol, self.n_records = field, end, rtol, max(n_records, 2)
        self.state = state
        self.slides: tuple[Slide, ...] = ()
        self.records = [state]
        self.events: list[FlowEvent] = []
        self.rests = 0
        self.step = 0.0
        self.mode = field.mode_of(np.zeros((len(field.neurons(state)), len(field.lead)), dtype=np.int64), ())
        work = max(field.problem.XT.size * len(self.mode.sides), 1)
        self.room = np.empty((min(max(_CHUNK_WORK // work, 1), _CHUNK), len(state)))
        self.polynomial = np.empty(DEGREE + 1)
        self._advance(0)  # compiles, before the time limit runs

    def advance(self, target: float) -> Status | None:  # noqa: ARG002  # there is one target, the end
        """Follow the mode that has been reached, to its next change or for some steps."""
        try:
            if not self.begun:
                self.begun = True
                self._begin()
            status = self._follow_mode()
        except NoSolutionError:
            return Status.NO_SOLUTION
        self.reached = float(self.state[-1])
        return status

    def store(self) -> None:
        """All that is wanted is recorded on the way."""

    def selected(self) -> Float[np.ndarray, "T s"]:
        """At most n_records of the recorded states, the first and the last among them."""
        kept = np.unique(np.linspace(0, len(self.records) - 1, self.n_records).round().astype(np.int64))
        return np.array([self.records[index] for index in kept])

    def _begin(self) -> None:
        """Enter the first mode, with neurons that slide from the start exactly on their hyperplanes."""
        self._enter(self.field.initial_sides(self.state))
        for slide in self.slides:
            self.state = self.field.snap(self.state, self.mode, slide.neuron, slide.planes)
        self.records = [self.state]

    def _advance(self, n_steps: int) -> tuple[int, float, float, float, Change]:
        """Follow the mode for some steps; their number, the last, the next, when in it what happens."""
        count, taken, step, part, kind, first, second = advance(
            self.field.problem,
            self.mode,
            self.state,
            self.step,
            self.rtol,
            self.end,
            self.room[:n_steps],
            self.polynomial,
        )
        return count, taken, step, part, Change(kind=kind, first=first, second=second)

    def _follow_mode(self) -> Status | None:
        """Follow the mode to its next change, or for some steps; the status if the run ends."""
        rate = self.field.velocity(self.state, self.mode)
        if is_still(self.field, self.state, self.mode, float(rate[-1]), self.end):
            return Status.CONVERGED
        # the first step moves no entry of the state by more; the step control takes over from there
        self.step = self.step or 0.01 / float(np.abs(rate).max())
        problem, mode, start = self.field.problem, self.mode, self.state
        watched = is_watched(problem, mode)
        self.state = start.copy()
        count, taken, step, part, change = self._advance(1 if watched else len(self.room))
        way = part * step if part <= 1.0 else 0.0
        if watched:
            rare = rare_change(problem, mode, start, taken or way)
            if rare is not None:
                self.state = shoot(problem, mode, start, rare[0])
                project(problem, mode, self.state)
                return self._change(rare[1], rare[0], max(taken, step))
        for state in self.room[:count]:
            self._record(state.copy())
        if step == 0.0:
            return Status.STALLED
        if part > 1.0:
            self.step, self.rests = step, 0
            return None
        self.state, way = land(problem, mode, self.state, step, part, self.polynomial, change, self.end)
        if change.kind == ENDED:
            self._record(self.state)
            return Status.FINISHED
        self.rests = 0 if count else self.rests
        return self._change(change, way, step)

    def _change(self, change: Change, way: float, step: float) -> Status | None:
        """Change the mode after a part of a step, and choose the next step; the status if the run stalls."""
        # A change after less than this part of the step that accuracy allows counts as no progress.
        self.rests = 0 if way > 1e-9 * step else self.rests + 1
        # stalled: four more for each neuron, since equal neurons change together
        if self.rests > 50 + 4 * len(self.mode.sides):
            return Status.STALLED
        # Twice the way to the change, so that steps are about as long as the pieces, but at least this part
        # of the last step.
        self.step = max(2.0 * way, 1e-2 * step) if way > 0.0 else step
        self._switch(change)
        return None

    def _switch(self, change: Change) -> None:
        """Change the mode where a neuron met a hyperplane, or where it can no longer slide along it."""
        neuron, plane = change.place(self.mode)
        known = self.slides
        if change.kind == TURNED:
            self.field.neurons(self.state)[neuron, -2] = 0.0
            known = tuple(slide for slide in known if slide.neuron != neuron)
        planes = self.field.met_by(self.state, self.mode, neuron, plane)
        # the rounding with which it was located must not count as the next change
        self.state = self.field.snap(self.state, self.mode, neuron, planes)
        self._record(self.state)
        sides = self.mode.sides.copy()
        sides[neuron] = self.field.settle(self.state, self.mode, neuron, planes, plane)
        self._note(self.mode.sides, sides)
        self._enter(sides, known)

    def _enter(self, sides: Int[np.ndarray, "m h"], known: tuple[Slide, ...] = ()) -> None:
        self.slides = self.field.slides_of(self.state, sides, known)
        self.mode = self.field.mode_of(sides, self.slides)

    def _note(self, before: Int[np.ndarray, "m h"], after: Int[np.ndarray, "m h"]) -> None:
        """Append the events of a change of sides."""
        log_moment = float(log_of_clock(self.state[-1:])[0]) - self.log_scale
        with np.errstate(over="ignore"):
            moment = float(np.expm1(self.state[-1]) / math.exp(self.log_scale))
        for i, h in np.argwhere(before != after):
            self.events.append(
                FlowEvent(
                    time=moment,
                    log_time=log_moment,
                    neuron=int(i),
                    row=int(self.field.lead[h]),
                    before=_KINDS[int(before[i, h])],
                    kind=_KINDS[int(after[i, h])],
                )
            )

    def _record(self, state: Float[np.ndarray, " s"]) -> None:
        if state[-1] > self.records[-1][-1]:
            self.records.append(state)
            if len(self.records) > 8 * self.n_records:
                self.records = [*self.records[:-1:2], self.records[-1]]


_KINDS = {-1: "off", 0: "slide", 1: "on"}
