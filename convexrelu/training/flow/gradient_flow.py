"""Gradient flow, followed from one change of pattern to the next with an integrator for smooth systems."""

from __future__ import annotations

import math
import time

import numpy as np
from jaxtyping import Float, Int

from convexrelu._progress import Advance, progress_bar
from convexrelu._typing import ArrayLike
from convexrelu._validation import check_count, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.losses import get_loss
from convexrelu.networks import TwoLayerReLU
from convexrelu.training.flow.events import ENDED, TURNED, advance
from convexrelu.training.flow.field import Field, Slide
from convexrelu.training.flow.landing import Change, is_watched, land, rare_change, shoot
from convexrelu.training.flow.rest import is_still
from convexrelu.training.flow.step import DEGREE, project
from convexrelu.training.flow.ties import NoSolutionError
from convexrelu.training.trajectory import FlowEvent, FlowTrajectory, check_training_problem, log_of_clock

__all__ = ["gradient_flow"]

_SMALLEST_RTOL = 1e-13
"""Below it an integrator in float64 only chases its own rounding."""

_RESTS = 50
"""Changes of pattern in a row without progress (and four more for each neuron, since equal neurons change
together) after which the run is given up as stalled."""

_PROGRESS = 1e-9
"""A change after less than this part of the step that accuracy allows counts as no progress."""

_SHORTEST = 1e-2
"""After a change of pattern the next step is twice the way to it, so that steps are about as long as the
pieces, but at least this part of the last step."""

_EARLIEST = -700.0
"""Logarithm of the earliest end: log(1 + t) = t must be a normal float64 number."""

_TICKS = 1000
"""Of the progress bar."""

_CHUNK = 64
"""Steps between two looks at the clock and for Ctrl-C, fewer where a step is long."""

_FIRST_STEP = 0.01
"""The first step moves no entry of the state by more; the step control takes over from there."""

_CHUNK_WORK = 10**7
"""Products of neurons, rows and inputs between two looks: about a second at 17 evaluations a step."""


def gradient_flow(
    X: ArrayLike,
    y: ArrayLike,
    network: TwoLayerReLU,
    *,
    t_max: float | None = None,
    log_t_max: float | None = None,
    loss: str = "logistic",
    selection: str = "clarke",
    form: str = "polar",
    time_limit: float = 60.0,
    rtol: float = 1e-10,
    n_records: int = 200,
    progress: bool = False,
) -> FlowTrajectory:
    """Return the trajectory of the subgradient flow on the summed loss in true time (WP eq. (18) and (22)).

    ``w1_i' = w2_i g_i, w2_i' = w1_i^T g_i`` with ``g_i`` the sum of ``lam_n x_n`` over the rows active for
    the neuron. Between changes of the activation patterns this is a smooth system: it is integrated by an
    explicit Runge-Kutta method of order 8 up to the first hyperplane met, located by a root finder that
    misses no root of the step's polynomial. There the neuron crosses, or, where both sides lead back, slides
    along the hyperplane with the least-norm Clarke velocity, until the row's multiplier reaches 0 or 1. Rows
    at zero at the start count as inactive unless the velocity says otherwise. ``||w1_i||^2 - w2_i^2`` (WP
    Lemma 1) is conserved by construction in polar form. docs/gradient_flow.md says how accurate all this is.

    Parameters
    ----------
    X : array_like
        (n, d) data.
    y : array_like
        (n,) binary labels.
    network : TwoLayerReLU
        Where to start.
    t_max : float, optional
        The true time at which to stop; either this or `log_t_max`.
    log_t_max : float, optional
        Its logarithm, for times that float64 cannot hold: 1000 stands for ``t = e^1000``.
    loss : str
        "logistic", "exponential" or "square".
    selection : str
        What holds where a neuron is on the hyperplane of a row: "clarke", the least-norm element of Clarke's
        subdifferential, or "zero_at_ties", WP's choice of 0 as the derivative of the ReLU at 0. The two
        differ where a neuron would slide (with the latter the flow has no absolutely continuous solution
        there, and the run ends with the status "no_solution") and where one starts on a hyperplane to which
        its velocity, with that row left out, is parallel (it stays there for ever).
    form : str
        How neurons are integrated: "polar", as ``e^r (v, b)`` with ``||v||^2 + b^2 = 1``, which conserves the
        balance to rounding; or "cartesian", as (w1, w2), which conserves it to the integrator's accuracy only
        and serves as a check.
    time_limit : float
        Seconds after which the trajectory so far is returned.
    rtol : float
        The integrator's relative tolerance per step (of a neuron's size, so that tiny weights are as accurate
        as large ones).
    n_records : int
        About how many points are stored: spread evenly over the integrator's steps, which are dense where
        things happen.
    progress : bool, default False
        Show a progress bar on the terminal, in log(1 + t).

    Returns
    -------
    FlowTrajectory
        With true times and their logarithms, the pattern changes as ``events``, and the status "finished" (at
        ``t_max``), "converged" (the remaining time would move nothing: each neuron is allowed to grow
        exponentially under its pull), "time_limit", "interrupted" (Ctrl-C), "no_solution" (see `selection`),
        or "stalled" (no step, or no change of pattern, made progress).

    Raises
    ------
    InvalidInputError
        If an argument is malformed, not exactly one of `t_max` and `log_t_max` is given, the network has no
        neuron or another number of inputs than X has columns, or the data or weights are so large or the data
        so small that their squares leave float64.

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
    """
    X, y = check_training_problem(X, y, network)
    rule = get_loss(loss)
    log_end = _log_end(t_max, log_t_max)
    seconds = check_positive(time_limit, "time_limit", finite=False)
    rtol = check_positive(rtol, "rtol")
    if not _SMALLEST_RTOL <= rtol < 1.0:
        raise InvalidInputError(f"rtol must be from {_SMALLEST_RTOL} to 1, got {rtol}")
    n_records = check_count(n_records, "n_records")
    polar = _choose(form, "form", "polar", "cartesian")
    zero_at_ties = _choose(selection, "selection", "zero_at_ties", "clarke")
    field = Field.of(X, y, rule, network.W1, network.w2, polar=polar, zero_at_ties=zero_at_ties)
    run = _Run(field, field.start(network.W1, network.w2), float(np.logaddexp(0.0, log_end)), rtol, n_records)
    with progress_bar(progress, "flow", _TICKS) as tick:
        status = run.follow(seconds, tick)
    states = run.selected()
    W1, w2 = field.weights(states)
    W1[0], w2[0] = network.W1, network.w2
    log_times = log_of_clock(states[:, -1])
    with np.errstate(over="ignore"):
        times = np.expm1(states[:, -1])
    if status == "finished":
        log_times[-1] = log_end
        times[-1] = times[-1] if t_max is None else float(t_max)
    return FlowTrajectory(
        X=X,
        y=y,
        times=times,
        log_times=log_times,
        W1=W1,
        w2=w2,
        rule=rule,
        status=status,
        kind="flow",
        events=tuple(run.events),
    )


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


class _Run:
    """One integration: the state and mode it has reached, and what it has recorded."""

    def __init__(
        self, field: Field, state: Float[np.ndarray, " s"], end: float, rtol: float, n_records: int
    ) -> None:
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

    def follow(self, seconds: float, tick: Advance) -> str:
        """Integrate to the end; the status."""
        deadline, shown = time.perf_counter() + seconds, 0
        try:
            self._begin()
            while time.perf_counter() < deadline:
                status = self._follow_mode()
                reached = round(_TICKS * float(self.state[-1]) / self.end)
                tick(reached - shown)
                shown = reached
                if status:
                    return status
        except NoSolutionError:
            return "no_solution"
        except KeyboardInterrupt:
            return "interrupted"
        return "time_limit"

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

    def _follow_mode(self) -> str:
        """Follow the mode to its next change, or for some steps; the status if the run ends, else ""."""
        rate = self.field.velocity(self.state, self.mode)
        if is_still(self.field, self.state, self.mode, float(rate[-1]), self.end):
            return "converged"
        self.step = self.step or _FIRST_STEP / float(np.abs(rate).max())
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
            return "stalled"
        if part > 1.0:
            self.step, self.rests = step, 0
            return ""
        self.state, way = land(problem, mode, self.state, step, part, self.polynomial, change, self.end)
        if change.kind == ENDED:
            self._record(self.state)
            return "finished"
        self.rests = 0 if count else self.rests
        return self._change(change, way, step)

    def _change(self, change: Change, way: float, step: float) -> str:
        """Change the mode after a part of a step, and choose the next step; the status if the run stalls."""
        self.rests = 0 if way > _PROGRESS * step else self.rests + 1
        if self.rests > _RESTS + 4 * len(self.mode.sides):
            return "stalled"
        self.step = max(2.0 * way, _SHORTEST * step) if way > 0.0 else step
        self._switch(change)
        return ""

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
        sides[neuron] = self.field.settle(self.state, self.mode, neuron, planes)
        self._note(self.mode.sides, sides)
        self._enter(sides, known)

    def _enter(self, sides: Int[np.ndarray, "m h"], known: tuple[Slide, ...] = ()) -> None:
        self.slides = self.field.slides_of(self.state, sides, known)
        self.mode = self.field.mode_of(sides, self.slides)

    def _note(self, before: Int[np.ndarray, "m h"], after: Int[np.ndarray, "m h"]) -> None:
        """Append the events of a change of sides."""
        log_moment = float(log_of_clock(self.state[-1:])[0])
        with np.errstate(over="ignore"):
            moment = float(np.expm1(self.state[-1]))
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
