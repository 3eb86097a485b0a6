"""Fixed-step gradient descent of feed-forward networks of any depth.

Networks with homogeneous activations are trained by a compiled loop around matrix products, all others by the
package's forward pass. Several starts of one shape run in parallel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from convexrelu._parallel import run_tasks
from convexrelu._typing import ArrayLike
from convexrelu._validation import check_count, check_nonnegative, check_positive, check_seconds
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, PowerLeakyReLU, pack, unpack
from convexrelu.training.deep_trajectory import DeepTrajectory
from convexrelu.training.descent import recorded_steps
from convexrelu.training.problem import (
    CORRELATION,
    LOGISTIC,
    SQUARE,
    DeepProblem,
    check_deep_problem,
)

__all__ = ["DeepTrajectory", "train_feed_forward", "train_many"]

_WORK_BETWEEN_CHECKS = 20_000_000
"""Multiplications between two looks at the clock and the keyboard: some hundredths of a second."""

_NUMPY_WORK = 1_000_000
"""The same for the loop in NumPy, which is slower on small networks."""


def train_feed_forward(
    network: FeedForward,
    X: ArrayLike,
    y: ArrayLike,
    *,
    step_size: float,
    n_steps: int,
    loss: str = SQUARE,
    reduction: str = "mean",
    record: int | ArrayLike = 200,
    stop_loss: float | None = None,
    time_limit: float | None = None,
) -> DeepTrajectory:
    """Return the trajectory of gradient descent with fixed steps on the loss of a feed-forward network.

    A step moves the trainable weights by ``step_size`` times the negative gradient of the loss, averaged or
    summed over the samples: ``1/2 ||y_n - H(x_n)||^2`` ("square"), ``log(1 + exp(-y_n H(x_n)))`` ("logistic")
    or ``-y_n^T H(x_n)`` ("correlation", whose descent is the ascent of the NCF). At a kink of the activation
    its derivative from the left is taken, for ReLU 0.

    Parameters
    ----------
    network : FeedForward
        Where to start, of any depth and activation; frozen weights stay.
    X : array_like
        (n, k_0) samples.
    y : array_like
        (n,) or (n, k_L) targets; labels +1 and -1 for the logistic loss.
    step_size : float
        The step size.
    n_steps : int
        The most steps.
    loss : str
        "square", "logistic" or "correlation".
    reduction : str
        "mean" or "sum" over the samples.
    record : int or array_like
        Which steps are stored: that many, spaced evenly in the logarithm of the step, or the steps
        themselves. Step 0 and the last step taken are always stored.
    stop_loss : float or None
        Stop after the first step whose loss is at most this.
    time_limit : float or None
        Seconds after which to stop.

    Returns
    -------
    DeepTrajectory
        With the step indices as ``times`` and the status "finished"; "stop_loss"; "converged" when a step
        changed no bit of the weights; "diverged" when a step led to a loss beyond float64 (the last finite
        state is kept); "time_limit"; or "interrupted" (Ctrl-C; what there is is returned).

    Raises
    ------
    InvalidInputError
        If an argument is malformed or shapes do not agree.

    Examples
    --------
    >>> import convexrelu as cr
    >>> start = cr.FeedForward([[[0.3]], [[0.3]], [[0.3]]], cr.PowerLeakyReLU(1.0))
    >>> path = train_feed_forward(start, [[1.0]], [8.0], step_size=0.01, n_steps=2000)
    >>> [round(float(W[0, 0]), 6) for W in path.network_at(-1).weights]
    [2.0, 2.0, 2.0]
    """
    problem = check_deep_problem(network, X, y, loss=loss, reduction=reduction)
    plan = _check_plan(step_size, n_steps, record, stop_loss, time_limit)
    return _train(problem, plan)


def train_many(
    networks: Sequence[FeedForward],
    X: ArrayLike,
    y: ArrayLike,
    *,
    step_size: float,
    n_steps: int,
    loss: str = SQUARE,
    reduction: str = "mean",
    record: int | ArrayLike = 200,
    stop_loss: float | None = None,
    time_limit: float | None = None,
) -> list[DeepTrajectory]:
    """Return the trajectories of gradient descent from several starts, run in parallel on the same data.

    Each is what :func:`train_feed_forward` returns, to the last bit, whatever the number of workers.

    Parameters
    ----------
    networks : sequence of FeedForward
        The starts.
    X, y, step_size, n_steps, loss, reduction, record, stop_loss, time_limit
        As for :func:`train_feed_forward`; the time limit is that of each run.

    Returns
    -------
    list of DeepTrajectory
        In the order of the starts.

    Raises
    ------
    InvalidInputError
        If there is no start, or an argument is malformed.

    Examples
    --------
    >>> import convexrelu as cr
    >>> starts = [cr.FeedForward([[[a]], [[a]]]) for a in (0.1, 0.2)]
    >>> [len(path) for path in train_many(starts, [[1.0]], [1.0], step_size=0.1, n_steps=100, record=[50])]
    [3, 3]
    """
    if not networks:
        raise InvalidInputError("networks must hold at least one start, got none")
    problems = [check_deep_problem(start, X, y, loss=loss, reduction=reduction) for start in networks]
    plan = _check_plan(step_size, n_steps, record, stop_loss, time_limit)
    return run_tasks(_train, [(problem, plan) for problem in problems])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """The step size, the steps to store (the last one ends the run), and what else ends it."""

    step_size: float
    wanted: Int[np.ndarray, " t"]
    stop_loss: float
    seconds: float


def _check_plan(
    step_size: float, n_steps: int, record: int | ArrayLike, stop_loss: float | None, time_limit: float | None
) -> _Plan:
    return _Plan(
        step_size=check_positive(step_size, "step_size"),
        wanted=recorded_steps(record, check_count(n_steps, "n_steps")),
        stop_loss=-np.inf if stop_loss is None else check_nonnegative(stop_loss, "stop_loss"),
        seconds=check_seconds(time_limit),
    )


@dataclass(kw_only=True, eq=False)
class _State:
    """Where a run stands; the counter moves together with the weights, so that Ctrl-C cannot part them."""

    w: Float[np.ndarray, " w"]
    counter: Int[np.ndarray, " 1"] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    verdict: int = 0


_Advance = Callable[[_State, int], None]
"""Take up to that many steps and note in the state how it ended."""


def _train(problem: DeepProblem, plan: _Plan) -> DeepTrajectory:
    """Run the steps in portions, between which the clock is looked at and wanted steps are stored."""
    from convexrelu.training.kernels.feed_forward import CONVERGED, DIVERGED, REACHED, RUNNING

    activation, state = problem.network.activation, _State(w=pack(problem.network.weights))
    work = 3 * len(problem.X) * len(state.w)
    if isinstance(activation, PowerLeakyReLU):
        advance, chunk = _compiled(problem, activation, plan), max(1, _WORK_BETWEEN_CHECKS // work)
    else:
        advance, chunk = _plain(problem, plan), max(1, _NUMPY_WORK // work)
    deadline, status = time.perf_counter() + plan.seconds, "finished"
    steps, vectors = [0], [state.w.copy()]
    try:
        for target in plan.wanted[1:]:
            while state.counter[0] < target and state.verdict == RUNNING and status == "finished":
                advance(state, min(chunk, int(target - state.counter[0])))
                if time.perf_counter() > deadline and state.counter[0] < plan.wanted[-1]:
                    status = "time_limit"
            if state.verdict != RUNNING or status != "finished":
                break
            steps.append(int(state.counter[0]))
            vectors.append(state.w.copy())
    except KeyboardInterrupt:
        status = "interrupted"
    if state.counter[0] > steps[-1]:
        steps.append(int(state.counter[0]))
        vectors.append(state.w.copy())
    ends = {CONVERGED: "converged", DIVERGED: "diverged", REACHED: "stop_loss"}
    weights = unpack(np.array(vectors), problem.network.weights)
    return DeepTrajectory(
        problem=problem,
        times=np.array(steps, dtype=np.int64),
        weights=tuple(np.ascontiguousarray(W) for W in weights),
        status=ends.get(state.verdict, status),
        kind="descent",
    )


def _compiled(problem: DeepProblem, activation: PowerLeakyReLU, plan: _Plan) -> _Advance:
    """Return the compiled loop for this problem."""
    from convexrelu.training.kernels.feed_forward import (
        CORRELATION_CODE,
        LOGISTIC_CODE,
        SQUARE_CODE,
        run_deep_steps,
    )

    free = problem.network.free
    widths = np.array(problem.network.widths, dtype=np.int64)
    XT, YT = np.ascontiguousarray(problem.X.T), np.ascontiguousarray(problem.Y.T)
    code = {SQUARE: SQUARE_CODE, LOGISTIC: LOGISTIC_CODE, CORRELATION: CORRELATION_CODE}[problem.loss]
    kind = activation.alpha, activation.power, code, problem.scale
    ends = plan.step_size, plan.stop_loss

    def advance(state: _State, most: int) -> None:
        state.verdict = run_deep_steps(state.w, free, widths, XT, YT, *kind, *ends, most, state.counter)

    return advance


def _plain(problem: DeepProblem, plan: _Plan) -> _Advance:
    """Return the loop through the package's forward pass."""
    from convexrelu.training.kernels.feed_forward import CONVERGED, DIVERGED, REACHED, RUNNING

    like = problem.network.weights

    def advance(state: _State, most: int) -> None:
        at = problem.evaluate(unpack(state.w, like))
        for _ in range(most):
            if at.loss <= plan.stop_loss:
                break
            with np.errstate(over="ignore", invalid="ignore"):
                w = state.w - plan.step_size * pack(at.gradient)
                at = problem.evaluate(unpack(w, like))
            if np.array_equal(w, state.w) or not at.loss < np.inf:
                state.verdict = CONVERGED if at.loss < np.inf else DIVERGED
                return
            state.w, state.counter = w, state.counter + 1
        state.verdict = REACHED if at.loss <= plan.stop_loss else RUNNING

    return advance
