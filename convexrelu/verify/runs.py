"""Train from small scaled weights, follow each run to its limit, judge that against the certified optimum.

For each run: a start as in WP Theorem 1, normalised descent on the logistic loss, then the exact KKT point of
the activities it ended with, judged by a certificate against P*. That a limit is not global is claimed only
with a better network in hand.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock, Interruption
from convexrelu._finished import digest
from convexrelu._parallel import count_workers, run_tasks
from convexrelu._progress import progress_bar
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import (
    OneVsRest,
    as_class_labels,
    as_generator,
    as_matrix,
    check_count,
    check_positive,
    check_range,
    check_seconds,
    one_vs_rest,
)
from convexrelu.certificates import MultiClassCertificate
from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers import MultiClassSolution, solve_max_margin
from convexrelu.training.problem import check_start
from convexrelu.training.start import ScaledStart, scaled_start
from convexrelu.verify.checkpoint import Checkpoint
from convexrelu.verify.judging import Target, judged
from convexrelu.verify.report import LimitReport
from convexrelu.verify.verdicts import LimitPart, LimitRun

__all__ = ["verify_gradient_descent"]

LARGEST_ROW = 1e99
"""Relative to the shortest row that is not zero: in units of the longest, descent must still take it."""

LARGEST_SCALE = 1e99
"""Of weights, in units in which the longest row has length 1, and one over the smallest: then squares of
weights and products of three of them stay within float64. It is a tenth of what descent takes, so that no
stage may find the weights of the one before it too large."""


def verify_gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    *,
    width: int | Sequence[int] = 10,
    n_runs: int = 5,
    init_scale: float | Sequence[float] = 1e-3,
    starts: Sequence[TwoLayerReLU] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    time_limit: float | None = None,
    rng: RNGLike = None,
    progress: bool = False,
) -> LimitReport:
    """Return what several runs of gradient descent converge to, judged against the certified optimum.

    The runs are worked off in parallel; ``joblib.parallel_config(n_jobs=...)`` around the call says by how
    many workers, and does not change the answer.

    Parameters
    ----------
    X : (n, d) array
        The data.
    y : (n,) array
        Two labels, or K > 2 classes (one against the rest: objectives add up and the worst verdict wins).
    width : int or sequence of int, default 10
        Neurons of each network. Several widths and scales make a grid, with `n_runs` runs in each cell.
    n_runs : int, default 5
        Independent starts in each cell.
    init_scale : float or sequence of float, default 1e-3
        ``||w1|| = |w2|`` of every neuron at the start. The network's first outputs grow like its square times
        ``max_n ||x_n||``: if X is multiplied by c, dividing `init_scale` by ``sqrt c`` gives the same runs.
        Times the root of that length it must be from 1e-99 to 1e99, so that no square leaves float64.
    starts : sequence of TwoLayerReLU, optional
        Start from these networks instead, as they are, one run each (two labels only); `width`, `n_runs` and
        `init_scale` then play no part. None, or none of them, means random starts.
    checkpoint : path, optional
        A JSON file that every finished run is added to. If it exists, the runs in it are not done again; a
        file of other data or settings is refused, before any work.
    time_limit : float, optional
        Seconds for all. The report then has the runs that have finished, and says so, as after Ctrl-C.
    rng : int, Generator or None
        Source of the starts; None means 0, so that the same call gives the same answer.
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    LimitReport
        ``runs``, ``cells``, ``solution`` and a printed form.

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
    matrix = as_matrix(X)
    _check_rows(matrix)
    labels = as_class_labels(y, length=len(matrix))
    encoded = one_vs_rest(labels)
    generator = as_generator(0 if rng is None else rng)
    plan = _plan(matrix, encoded, width, init_scale, n_runs, starts, generator)
    limit = check_seconds(time_limit)
    store = Checkpoint(
        checkpoint, plan.settings(matrix, labels), X=matrix, Y=encoded.Y, n_runs=len(plan.seeds)
    )
    clock = Clock(limit=limit, interruption=Interruption())
    with clock.interruption.listening():
        solution = solve_max_margin(matrix, labels, progress=progress, time_limit=time_limit)
        optima = solution.solutions if isinstance(solution, MultiClassSolution) else (solution,)
        targets = tuple(Target.of(matrix, y, optimum) for y, optimum in zip(encoded.Y, optima, strict=True))
        stopped = any(optimum.status == "interrupted" for optimum in optima)
        if not stopped:
            _work_off(plan, targets, store, clock, progress=progress)
    done = [number for number in range(len(plan.seeds)) if number in store.runs]
    cut = "interrupted" if stopped or clock.interrupted else "time_limit"
    return LimitReport(
        X=matrix,
        y=labels,
        solution=solution,
        runs=tuple(_collect(plan, number, encoded.classes, store.runs[number]) for number in done),
        widths=plan.widths,
        init_scales=plan.scales,
        n_planned=len(plan.seeds),
        status="finished" if len(done) == len(plan.seeds) else cut,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """All runs to be done: `seeds` has one entry a run, by scale, then width, then start."""

    widths: tuple[int, ...]
    scales: tuple[float, ...]
    n_runs: int
    given: tuple[TwoLayerReLU, ...]
    seeds: tuple[np.random.Generator, ...]
    source: str

    def cell(self, number: int) -> tuple[float, int]:
        """The initial scale and the width of a run."""
        scale, width = divmod(number // self.n_runs, len(self.widths))
        return self.scales[scale], self.widths[width]

    def settings(self, X: Float[np.ndarray, "n d"], labels: np.ndarray) -> dict[str, Any]:
        """What the runs depend on, as JSON values."""
        return {
            "data": digest(X, labels),
            "width": list(self.widths),
            "init_scale": list(self.scales),
            "n_runs": self.n_runs,
            "starts": digest(*(part for start in self.given for part in (start.W1, start.w2))),
            "rng": self.source,
        }


def _plan(
    X: Float[np.ndarray, "n d"],
    encoded: OneVsRest,
    width: int | Sequence[int],
    init_scale: float | Sequence[float],
    n_runs: int,
    starts: Sequence[TwoLayerReLU] | None,
    generator: np.random.Generator,
) -> _Plan:
    """Check the arguments that say which runs are wanted."""
    source = repr(generator.bit_generator.state) + repr(generator.bit_generator.seed_seq)
    widths = tuple(check_count(value, "width") for value in _several(width, "width"))
    scales = tuple(_check_scale(value, X) for value in _several(init_scale, "init_scale"))
    each = check_count(n_runs, "n_runs")
    given = _check_starts(starts, len(encoded.Y), X)
    if given:
        size = max(float(np.abs(start.w2).max(initial=0.0)) for start in given)
        scales = (size,)
        widths, each = (max(start.n_neurons for start in given),), len(given)
    seeds = tuple(generator.spawn(len(scales) * len(widths) * each))
    return _Plan(widths=widths, scales=scales, n_runs=each, given=given, seeds=seeds, source=source)


def _several(value: Any, name: str) -> tuple[Any, ...]:
    """One value or several of them, all different."""
    try:
        values = (value,) if np.ndim(value) == 0 else tuple(value)
        different = len(set(values)) == len(values) > 0
    except (TypeError, ValueError):  # sets and nested lists
        different = False
    if not different:
        raise InvalidInputError(f"{name} must be one value or a list of different ones, got {value!r}")
    return values


def _check_rows(X: Float[np.ndarray, "n d"]) -> None:
    """Refuse rows out of range, as they are and in units in which the longest has length 1."""
    check_range(X)
    sizes = np.abs(X).max(axis=1)
    if (sizes[sizes > 0] < _longest(X) / LARGEST_ROW).any():
        raise InvalidInputError(
            f"X must have rows that are at most {LARGEST_ROW:.0e} times as long as another (or zero), got "
            f"sizes from {sizes[sizes > 0].min():.3g} to {sizes.max():.3g}"
        )


def _longest(X: Float[np.ndarray, "n d"]) -> float:
    return float(np.linalg.norm(X, axis=1).max()) or 1.0


def _check_scale(value: Any, X: Float[np.ndarray, "n d"], name: str = "init_scale") -> float:
    """Return a size of weights at which float64 can hold their squares and the outputs."""
    scale, unit = check_positive(value, name), np.sqrt(_longest(X))
    if not 1 / LARGEST_SCALE <= scale * unit <= LARGEST_SCALE:
        raise InvalidInputError(
            f"{name} must be from {1 / LARGEST_SCALE / unit:.3g} to {LARGEST_SCALE / unit:.3g} on this data "
            f"({1 / LARGEST_SCALE:.0e} to {LARGEST_SCALE:.0e} over the root of the longest row), got "
            f"{value!r}"
        )
    return scale


def _check_starts(
    starts: Sequence[TwoLayerReLU] | None, n_problems: int, X: Float[np.ndarray, "n d"]
) -> tuple[TwoLayerReLU, ...]:
    if isinstance(starts, TwoLayerReLU):
        raise InvalidInputError("starts must be a sequence of networks, got a single one: put it into a list")
    try:
        given = () if starts is None else tuple(starts)
    except TypeError as error:
        raise InvalidInputError(f"starts must be a sequence of networks, got {starts!r}") from error
    if given and n_problems > 1:
        raise InvalidInputError("starts are for two labels only: for K classes every class needs its own")
    for start in given:
        check_start(start, X)
        largest = max(float(np.abs(start.W1).max()), float(np.abs(start.w2).max()))
        if largest:
            _check_scale(largest, X, "the largest weight of a start")
    return given


def _work_off(
    plan: _Plan, targets: tuple[Target, ...], store: Checkpoint, clock: Clock, *, progress: bool
) -> None:
    """Do the runs that are not stored yet, as many at a time as there are workers."""
    left = [number for number in range(len(plan.seeds)) if number not in store.runs]
    workers = count_workers()
    with progress_bar(progress, "training", len(plan.seeds), len(store.runs)) as advance:
        for first in range(0, len(left), workers):
            if clock.expired():
                return
            batch = left[first : first + workers]
            for number, parts in zip(
                batch,
                run_tasks(_train_all, [(targets, _start(plan, number), clock) for number in batch]),
                strict=True,
            ):
                if parts:
                    store.add(number, parts)
                    advance()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Start:
    """How a run starts: from a given network, or from random scaled neurons for each binary problem."""

    given: tuple[TwoLayerReLU, ...]
    width: int
    scale: float
    seed: np.random.Generator

    def of(self, target: Target) -> ScaledStart:
        """The start for one problem; each call draws anew."""
        if self.given:
            return ScaledStart(network=self.given[0], satisfied=True, draws=0)
        return scaled_start(target.X, target.y, width=self.width, scale=self.scale, rng=self.seed)


def _start(plan: _Plan, number: int) -> _Start:
    scale, width = plan.cell(number)
    return _Start(given=plan.given[number : number + 1], width=width, scale=scale, seed=plan.seeds[number])


def _train_all(targets: tuple[Target, ...], start: _Start, clock: Clock) -> tuple[LimitPart, ...]:
    """Return one run in all its binary problems; nothing if the clock stopped it."""
    parts: list[LimitPart] = []
    for target in targets:
        found = judged(target, start.of(target), clock)
        if not found:
            return ()
        parts += found
    return tuple(parts)


def _collect(plan: _Plan, number: int, classes: np.ndarray, parts: tuple[LimitPart, ...]) -> LimitRun:
    scale, width = plan.cell(number)
    certificates = tuple(part.certificate for part in parts)
    return LimitRun(
        width=width,
        init_scale=scale,
        parts=parts,
        certificate=certificates[0]
        if len(parts) == 1
        else MultiClassCertificate(classes=classes, certificates=certificates),
    )
