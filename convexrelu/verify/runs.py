"""Train from small scaled weights, follow each run to its limit, judge that against the certified optimum.

For each run: a start as in WP Theorem 1, normalised descent on the logistic loss, then the exact KKT point of
the activities it ended with, judged by a certificate against P*. That a limit is not global is claimed only
with a better network in hand.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from convexrelu._clock import Clock
from convexrelu._parallel import count_workers, run_tasks
from convexrelu._progress import progress_bar
from convexrelu._status import Status
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import check_seconds
from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers import MultiClassSolution, solve_max_margin
from convexrelu.verify.checkpoint import Checkpoint
from convexrelu.verify.decay import DecayReport, verify_weight_decay
from convexrelu.verify.plan import plan_of
from convexrelu.verify.report import LimitReport
from convexrelu.verify.verdicts import LimitRun, Target, judged

__all__ = ["verify_gradient_descent"]


@overload
def verify_gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str,
    beta: float,
    width: int = ...,
    n_runs: int = ...,
    init_scale: float = ...,
    starts: Sequence[TwoLayerReLU] | None = ...,
    time_limit: float | None = ...,
    rng: RNGLike = ...,
    progress: bool = ...,
) -> DecayReport: ...


@overload
def verify_gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: None = None,
    beta: None = None,
    width: int | Sequence[int] = ...,
    n_runs: int = ...,
    init_scale: float | Sequence[float] = ...,
    starts: Sequence[TwoLayerReLU] | None = ...,
    checkpoint: str | os.PathLike[str] | None = ...,
    time_limit: float | None = ...,
    rng: RNGLike = ...,
    progress: bool = ...,
) -> LimitReport: ...


def verify_gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | None = None,
    beta: float | None = None,
    width: int | Sequence[int] = 10,
    n_runs: int = 5,
    init_scale: float | Sequence[float] = 1e-3,
    starts: Sequence[TwoLayerReLU] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    time_limit: float | None = None,
    rng: RNGLike = None,
    progress: bool = False,
) -> LimitReport | DecayReport:
    """Return what several runs of gradient descent converge to, judged against the certified optimum.

    The runs are worked off in parallel; ``joblib.parallel_config(n_jobs=...)`` around the call says by how
    many workers, and does not change the answer.

    With a loss and a price of the weights, descent on ``sum_n l(f(x_n), y_n) + beta/2 ||theta||^2`` by plain
    steps is judged against the optimum of that, which :func:`convexrelu.solve` certifies. Without, it is
    normalised descent on the logistic loss, whose limit is a max-margin problem's.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    y : (n,) array_like
        Two labels, or K > 2 classes (one against the rest: objectives add up and the worst verdict wins);
        with a loss, its targets: real numbers for "squared".
    loss : str or None
        "squared", "logistic" or "exponential", summed over the samples; beta then goes with it, and there is
        one width, one scale and no checkpoint.
    beta : float or None
        Price of the weights.
    width : int or sequence of int, default 10
        Neurons of each network. Several widths and scales make a grid, with `n_runs` runs in each cell.
    n_runs : int, default 5
        Independent starts in each cell.
    init_scale : float or sequence of float, default 1e-3
        ``||w1|| = |w2|`` of every neuron at the start. The network's first outputs grow like its square times
        ``max_n ||x_n||``: if X is multiplied by c, dividing `init_scale` by ``sqrt c`` gives the same runs.
        Times the root of that length it must be from 1e-99 to 1e99, so that no square leaves float64.
    starts : sequence of TwoLayerReLU or None
        Start from these networks instead, as they are, one run each (two labels only); `width`, `n_runs` and
        `init_scale` then play no part. None, or none of them, means random starts.
    checkpoint : path or None
        A JSON file that every finished run is added to. If it exists, the runs in it are not done again; a
        file of other data or settings is refused, before any work.
    time_limit : float or None
        Seconds for all. The report then has the runs that have finished, and says so, as after Ctrl-C.
    rng : int, Generator or None
        Source of the starts; None means 0, so that the same call gives the same answer.
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    LimitReport, or DecayReport
        ``runs``, ``cells``, ``solution`` and a printed form; with a loss ``runs``, ``counts``, ``solution``
        and a printed form.

    Raises
    ------
    InvalidInputError
        If an argument is not what it must be, or the checkpoint is of other runs.
    InfeasibleError
        If no network fits the labels.

    Examples
    --------
    >>> report = verify_gradient_descent([[1.65, -0.47], [-0.47, 1.35]], [1, -1], n_runs=1, rng=0)
    >>> report.runs[0].verdict, report.runs[0].polished_gap < 1e-6
    ('global optimum', True)
    """
    if loss is not None or beta is not None:
        if loss is None or beta is None or checkpoint is not None or np.ndim(width) or np.ndim(init_scale):
            raise InvalidInputError(
                "loss and beta must be given together, with one width, one init_scale and no checkpoint, got "
                f"loss = {loss!r}, beta = {beta!r}, width = {width!r}, init_scale = {init_scale!r}"
            )
        options: dict[str, Any] = {"width": width, "init_scale": init_scale, "n_runs": n_runs}
        options |= {"starts": starts, "time_limit": time_limit, "rng": rng, "progress": progress}
        return verify_weight_decay(X, y, loss=loss, beta=beta, **options)
    plan = plan_of(X, y, width, init_scale, n_runs, starts, rng)
    clock, n_planned, workers = Clock(limit=check_seconds(time_limit)), len(plan.starts), count_workers()
    store = Checkpoint(checkpoint, plan)
    left = [number for number in range(n_planned) if number not in store.runs]
    with clock.interruption.listening():
        solution = solve_max_margin(plan.X, plan.labels, progress=progress, time_limit=time_limit)
        optima = solution.solutions if isinstance(solution, MultiClassSolution) else (solution,)
        targets = tuple(
            Target.of(plan.X, labels, optimum) for labels, optimum in zip(plan.encoded.Y, optima, strict=True)
        )
        with progress_bar(progress, "training", n_planned, n_planned - len(left)) as advance:
            while left and not clock.expired():
                batch, left = left[:workers], left[workers:]
                tasks = [(targets, plan.starts[number], clock) for number in batch]
                for number, parts in zip(batch, run_tasks(judged, tasks), strict=True):
                    if parts:
                        store.add(number, parts)
                        advance()
    classes = plan.encoded.classes
    runs = [LimitRun.of(plan.starts[number], store.runs[number], classes) for number in sorted(store.runs)]
    cut = Status.INTERRUPTED if clock.interrupted else Status.TIME_LIMIT
    return LimitReport(
        X=plan.X,
        y=plan.labels,
        solution=solution,
        runs=tuple(runs),
        widths=plan.widths,
        init_scales=plan.scales,
        n_planned=n_planned,
        status=Status.FINISHED if len(runs) == n_planned else cut,
    )
