"""Train from scaled tiny weights, follow each run to its limit, and judge that against the certified optimum.

For each run: a start as in WP Theorem 1, normalised descent on the logistic loss, then the exact KKT point of
the activities it ended with, judged by a certificate against P*. That a limit is not global is claimed only
with a better network in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import (
    as_class_labels,
    as_generator,
    as_matrix,
    check_count,
    check_positive,
    one_vs_rest,
)
from convexrelu.certificates import Certificate, KKTReport, MultiClassCertificate, certify, check_kkt
from convexrelu.certificates.bounds import relative_gap
from convexrelu.dynamics import Trajectory, gradient_descent
from convexrelu.dynamics.start import ScaledStart, scaled_start
from convexrelu.errors import InvalidInputError, SolverError
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers import MaxMarginSolution, MultiClassSolution, solve_max_margin
from convexrelu.solvers.limit import limit_of
from convexrelu.verify.report import (
    GLOBAL,
    LOCAL,
    NOT_CONVERGED,
    NOT_FITTED,
    OPEN,
    LimitPart,
    LimitReport,
    LimitRun,
)

__all__ = ["verify_gradient_descent"]

# Of normalised steps: descent moves by at most this over max_n ||x_n||^2 max(1, ||theta||^2), a bound on the
# curvature of log L, so that the loss falls at every step once the activities are settled.
STEP_SIZE = 0.3
FIRST_STEPS = 20_000
# The gap falls at best like one over the steps; runs still open after this many count as not converged.
MOST_STEPS = 640_000
# Shares of the largest correlation, tried in turn, that tell the limit's neurons from those left behind.
GROWING = (0.99, 0.9, 0.0)
CLOSE = 1e-3  # a run has converged when its objective is within this of its limit's, relatively
OPTIMAL = 1e-6  # and its limit is the optimum when their certified gap is within this


def verify_gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    *,
    width: int = 10,
    n_runs: int = 5,
    init_scale: float = 1e-3,
    starts: Sequence[TwoLayerReLU] = (),
    rng: RNGLike = None,
    progress: bool = False,
) -> LimitReport:
    """Return what several runs of gradient descent converge to, judged against the certified optimum.

    Parameters
    ----------
    X : (n, d) array
        The data.
    y : (n,) array
        Two labels, or K > 2 classes (one against the rest: objectives add up and the worst verdict wins).
    width : int, default 10
        Neurons of each network.
    n_runs : int, default 5
        Independent starts.
    init_scale : float, default 1e-3
        ``||w1|| = |w2|`` of every neuron at the start.
    starts : sequence of TwoLayerReLU, optional
        Start from these networks instead, one run each (two labels only); `width`, `n_runs` and `init_scale`
        then play no part.
    rng : int, Generator or None
        Source of the starts; None means 0, so that the same call gives the same answer.
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    LimitReport
        ``runs``, ``solution`` and a printed form.

    Raises
    ------
    InvalidInputError
        If an argument is not what it must be.
    InfeasibleError
        If no network fits the labels.

    Examples
    --------
    >>> report = verify_gradient_descent([[1.65, -0.47], [-0.47, 1.35]], [1, -1], n_runs=1, rng=0)
    >>> report.runs[0].verdict, report.runs[0].polished_gap < 1e-6
    ('global optimum', True)
    """
    matrix = as_matrix(X)
    labels = as_class_labels(y, length=len(matrix))
    width, n_runs = check_count(width, "width"), check_count(n_runs, "n_runs")
    scale = check_positive(init_scale, "init_scale")
    encoded = one_vs_rest(labels)
    given = _check_starts(starts, len(encoded.Y), matrix.shape[1])
    solution = solve_max_margin(matrix, labels, progress=progress)
    optima = solution.solutions if isinstance(solution, MultiClassSolution) else (solution,)
    generators = as_generator(0 if rng is None else rng).spawn(len(given) or n_runs)
    runs = []
    with _bar(progress, len(generators) * len(optima)) as advance:
        for number, generator in enumerate(generators):
            parts = []
            for binary, optimum in zip(encoded.Y, optima, strict=True):
                start = scaled_start(matrix, binary, width=width, scale=scale, rng=generator)
                if given:
                    start = ScaledStart(network=given[number], satisfied=True, draws=0)
                parts.append(_run(matrix, binary, optimum, start))
                advance()
            runs.append(_collect(encoded.classes, parts))
    if given:
        width, scale = given[0].n_neurons, float(np.abs(given[0].w2).max(initial=0.0))
    return LimitReport(X=matrix, y=labels, solution=solution, runs=tuple(runs), width=width, init_scale=scale)


def _check_starts(starts: Sequence[TwoLayerReLU], n_problems: int, d: int) -> tuple[TwoLayerReLU, ...]:
    given = tuple(starts)
    if given and n_problems > 1:
        raise InvalidInputError("starts are for two labels only: for K classes every class needs its own")
    for start in given:
        if not isinstance(start, TwoLayerReLU) or start.n_features != d:
            raise InvalidInputError(f"starts must be networks of {d} inputs, got {start!r}")
    return given


def _collect(classes: np.ndarray, parts: list[LimitPart]) -> LimitRun:
    certificates = tuple(part.certificate for part in parts)
    if len(parts) == 1:
        return LimitRun(parts=tuple(parts), certificate=certificates[0])
    return LimitRun(
        parts=tuple(parts), certificate=MultiClassCertificate(classes=classes, certificates=certificates)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _End:
    """Where descent stopped, and the KKT point it was heading for (`found` says whether there is one)."""

    trajectory: Trajectory
    limit: TwoLayerReLU
    lam: Float[np.ndarray, " n"]
    found: bool

    @property
    def close(self) -> bool:
        """Whether descent has all but reached that point."""
        upper = float(self.trajectory.objective[-1])
        return self.found and abs(upper - self.limit.objective()) <= 0.5 * CLOSE * upper


def _run(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    optimum: MaxMarginSolution,
    start: ScaledStart,
) -> LimitPart:
    """Train once, go to the limit, and judge it against the certified optimum."""
    end = _train(X, y, start.network)
    trajectory = end.trajectory
    objective = float(trajectory.objective[-1])
    limit_objective = end.limit.objective() if end.found else objective
    beaten = optimum.objective < limit_objective * (1 - OPTIMAL)
    certificate = certify(X, y, end.limit, optimum.lam, better=optimum.network if beaten else None)
    kkt = check_kkt(X, y, end.limit, end.lam) if end.found else None
    return LimitPart(
        trajectory=trajectory,
        limit=end.limit,
        certificate=certificate,
        objective=objective,
        lower_bound=optimum.lower_bound,
        stationarity=kkt.stationarity if kkt else float("inf"),
        dual_feasibility=kkt.dual_feasibility if kkt else float("inf"),
        correspondence=kkt.correspondence if kkt else "",
        inactive=float(trajectory.inactive.mean()),
        favourable=start.satisfied,
        verdict=_verdict(end, kkt, certificate, optimum),
    )


def _train(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], start: TwoLayerReLU) -> _End:
    """Normalised descent, doubled in length until it is close to the KKT point of its own growing neurons."""
    path = gradient_descent(X, y, start, step_size=STEP_SIZE, n_steps=FIRST_STEPS, normalized=True)
    while True:
        end = _heading(path)
        steps = int(path.times[-1])
        if end.close or path.status != "finished" or steps >= MOST_STEPS:
            return end
        more = gradient_descent(
            X, y, path.network_at(-1), step_size=STEP_SIZE, n_steps=steps, normalized=True, record=40
        )
        path = replace(
            more,
            times=np.r_[path.times, steps + more.times[1:]],
            W1=np.concatenate([path.W1, more.W1[1:]]),
            w2=np.concatenate([path.w2, more.w2[1:]]),
        )


def _heading(path: Trajectory) -> _End:
    """The KKT point that a trajectory has all but reached; failing that, the best guess at it, or none."""
    last = path.network_at(-1)
    end = _End(trajectory=path, limit=last, lam=np.zeros(len(path.y)), found=False)
    if path.margin[-1] > 0:
        for share in GROWING:
            try:
                limit = limit_of(path.X, path.y, last, path.relative_lam[-1], at_least=share)
            except SolverError:  # these neurons do not fit the data by themselves
                continue
            end = _End(trajectory=path, limit=limit.network, lam=limit.lam, found=True)
            if end.close:
                break
    return end


def _verdict(end: _End, kkt: KKTReport | None, certificate: Certificate, optimum: MaxMarginSolution) -> str:
    if not end.trajectory.margin[-1] > 0:
        return NOT_FITTED
    if kkt is None or not end.close or kkt.stationarity > CLOSE:
        return NOT_CONVERGED
    if relative_gap(certificate.objective, optimum.lower_bound) <= OPTIMAL:
        return GLOBAL
    return LOCAL if certificate.not_optimal else OPEN


@contextmanager
def _bar(show: bool, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar's `advance`, or a function that does nothing."""
    if not show:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=total)
        yield lambda: bar.advance(task)
