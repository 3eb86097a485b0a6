"""Neuron Pursuit against gradient descent from small weights, over the number of samples (NP section 5.2.1).

Both learn the same function from the same training sets; what counts is the error on fresh samples. The runs
are independent of each other, work in parallel, and can be continued from a file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._finished import FinishedRuns
from convexrelu._parallel import count_workers, one_blas_thread, run_tasks
from convexrelu._progress import progress_bar
from convexrelu._status import Status
from convexrelu._typing import RNGLike
from convexrelu._validation import as_generator, check_count, check_positive, check_seconds
from convexrelu.datasets import Task, sparse_function
from convexrelu.errors import InvalidInputError
from convexrelu.networks import RELU, FeedForward, PowerLeakyReLU
from convexrelu.pursuit.inner import InnerSolver, inner_solver
from convexrelu.pursuit.pursuit import neuron_pursuit
from convexrelu.training import gradient_descent

__all__ = ["ComparedRun", "Comparison", "SmallDescent", "compare_with_descent"]

PURSUIT, DESCENT = "pursuit", "descent"

_FORMAT = "convexrelu comparison of pursuit and descent"


@dataclass(frozen=True, kw_only=True)
class SmallDescent:
    """Gradient descent on the mean square loss from small weights, uniform on a sphere (NP appendix C.1).

    The paper takes up to 3e6 steps of 0.005 to 0.05. The default takes 3e4 of 0.05, in half a minute for a
    thousand samples: a test error is that of the capped run, and ``status`` says whether the cap was met. The
    time to leave the origin goes like ``scale^(2 - depth)``: with a scale of 0.05 three layers need a fifth.

    Attributes
    ----------
    width : int
        Neurons in each hidden layer.
    scale : float
        Norm of all weights together at the start.
    step_size : float
        The step size.
    n_steps : int
        Steps at most.

    Examples
    --------
    >>> SmallDescent(n_steps=2000).width
    50
    """

    width: int = 50
    scale: float = 0.01
    step_size: float = 0.05
    n_steps: int = 30_000

    def start(self, n_inputs: int, depth: int, activation: PowerLeakyReLU, rng: RNGLike) -> FeedForward:
        """Return the network of small weights that the descent starts from."""
        generator = as_generator(rng)
        widths = [n_inputs, *([check_count(self.width, "width")] * (depth - 1)), 1]
        shapes = zip(widths[1:], widths[:-1], strict=True)
        network = FeedForward([generator.normal(size=shape) for shape in shapes], activation)
        return network.normalized().scaled_weights(check_positive(self.scale, "scale"))


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One method on one training set.

    Attributes
    ----------
    method : str
        "pursuit" or "descent".
    n : int
        Samples it was trained on.
    number : int
        Which of the training sets of this size, from 0.
    status : str
        Why it ended: of pursuit as in :class:`PursuitResult`; of descent "tolerance" (it fits), "n_steps"
        (the cap), "converged" or "diverged".
    training_error, test_error : float
        ``||y - H(X)|| / ||y||`` on the training set and on fresh samples.
    steps : int
        Iterations of the pursuit, steps of the descent.
    n_neurons : tuple of int
        Widths of the hidden layers.
    seconds : float
        Wall time.
    """

    method: str
    n: int
    number: int
    status: str
    training_error: float
    test_error: float
    steps: int
    n_neurons: tuple[int, ...]
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.n:6d}  {self.number:3d}  {self.method:<8}  {self.training_error:9.2e}  "
            f"{self.test_error:9.2e}  {self.steps:7d}  {self.n_neurons!s:<14}  {self.status}"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What pursuit and descent learn from growing training sets.

    Attributes
    ----------
    function : str
        The function learned, as :func:`convexrelu.datasets.sparse_function` knows it.
    sizes : tuple of int
        The numbers of samples.
    descent : SmallDescent
        What pursuit is compared with, its cap on the steps included.
    runs : tuple of ComparedRun
        The finished runs, by size, then training set, then method.
    n_planned : int
        How many there are when all have finished.
    status : str
        "finished", "time_limit" or "interrupted" (Ctrl-C).
    """

    function: str
    sizes: tuple[int, ...]
    descent: SmallDescent
    runs: tuple[ComparedRun, ...]
    n_planned: int
    status: str

    @property
    def n_steps(self) -> int:
        """The cap on the steps of descent."""
        return self.descent.n_steps

    def of(self, method: str, n: int) -> tuple[ComparedRun, ...]:
        """Return the runs of a method, "pursuit" or "descent", on training sets of n samples."""
        return tuple(run for run in self.runs if run.method == method and run.n == n)

    def errors(self, method: str, n: int) -> Float[np.ndarray, " r"]:
        """Return the test errors of these runs."""
        return np.array([run.test_error for run in self.of(method, n)])

    def __str__(self) -> str:
        heading = "     n  set  method    train      test         steps  hidden neurons  status"
        return "\n".join([repr(self), heading, *map(str, self.runs)])

    def __repr__(self) -> str:
        return (
            f"Comparison({self.function!r}: {len(self.runs)} of {self.n_planned} runs, {self.status}; "
            f"descent with {self.descent.width} neurons a layer, at most {self.descent.n_steps} steps of "
            f"{self.descent.step_size:g})"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """All runs to be done and what they share; `seeds` has a row for each training set."""

    function: str
    sizes: tuple[int, ...]
    n_runs: int
    test_size: int
    depth: int
    activation: PowerLeakyReLU
    n_starts: int
    max_iterations: int
    tol: float
    inner: InnerSolver
    descent: SmallDescent
    methods: tuple[str, ...]
    seeds: np.ndarray

    @property
    def runs(self) -> list[tuple[int, int, str]]:
        """Size, training set and method of each run."""
        return [(n, k, method) for n in self.sizes for k in range(self.n_runs) for method in self.methods]

    def settings(self) -> dict[str, Any]:
        """What the runs depend on, as JSON values."""
        plain = ("function", "n_runs", "test_size", "depth", "n_starts", "max_iterations", "tol")
        return {
            **{name: getattr(self, name) for name in plain},
            "sizes": list(self.sizes),
            "activation": repr(self.activation),
            "inner": repr(self.inner),
            "descent": asdict(self.descent) if DESCENT in self.methods else None,
            "methods": list(self.methods),
            "rng": self.seeds.tolist(),
        }


def compare_with_descent(
    function: str,
    sizes: Sequence[int],
    *,
    depth: int = 3,
    activation: PowerLeakyReLU = RELU,
    n_runs: int = 3,
    test_size: int = 5000,
    n_starts: int = 10,
    max_iterations: int = 31,
    tol: float = 1e-3,
    inner: str | InnerSolver = "lbfgs",
    descent: SmallDescent | None = None,
    methods: Sequence[str] = (PURSUIT, DESCENT),
    checkpoint: str | os.PathLike[str] | None = None,
    time_limit: float | None = None,
    rng: RNGLike = 0,
    progress: bool = False,
) -> Comparison:
    """Return what Neuron Pursuit and gradient descent learn from growing training sets (NP Figures 6 to 8).

    The runs work in parallel; ``joblib.parallel_config(n_jobs=...)`` around the call says by how many
    workers, and does not change the errors.

    Parameters
    ----------
    function : str
        A name that :func:`convexrelu.datasets.sparse_function` knows.
    sizes : sequence of int
        Numbers of training samples, all different.
    depth, activation, n_starts, max_iterations, tol, inner
        As for :func:`convexrelu.neuron_pursuit`; descent has the same depth and activation, and stops at the
        same training error.
    n_runs : int, default 3
        Training sets of each size. Both methods get the same ones, and are tested on the same fresh samples.
    test_size : int, default 5000
        Number of fresh samples.
    descent : SmallDescent or None
        What pursuit is compared with; without one, 50 neurons a layer and 3e4 steps.
    methods : sequence of str
        What is run: "pursuit", "descent" or both.
    checkpoint : path or None
        A JSON file that every finished run is added to. If it exists, the runs in it are not done again; a
        file of other settings is refused.
    time_limit : float or None
        Seconds, after which the finished runs are returned.
    rng : int, Generator, SeedSequence or None
        Source of samples and starts; 0 unless said otherwise.
    progress : bool, default False
        Whether to show a progress bar.

    Returns
    -------
    Comparison
        ``runs``, and a printed form.

    Raises
    ------
    InvalidInputError
        If an argument is malformed, or the checkpoint is of other runs.

    Examples
    --------
    >>> from convexrelu.papers.pursuit_and_descent import SmallDescent, compare_with_descent
    >>> quick = SmallDescent(width=10, n_steps=200)
    >>> compared = compare_with_descent("fig5", [400], n_runs=1, test_size=500, descent=quick)
    >>> bool(compared.errors("pursuit", 400) < 1e-3), bool(compared.errors("descent", 400) > 0.1)
    (True, True)
    """
    counts = tuple(check_count(size, "sizes") for size in sizes)
    if not counts or len(set(counts)) < len(counts):
        raise InvalidInputError(f"sizes must be one or several different numbers, got {list(sizes)}")
    repeats = check_count(n_runs, "n_runs")
    chosen = tuple(methods)
    if not chosen or not set(chosen) <= {PURSUIT, DESCENT} or len(set(chosen)) < len(chosen):
        raise InvalidInputError(f"methods must be 'pursuit', 'descent' or both, got {list(chosen)}")
    plan = _Plan(
        function=function,
        sizes=counts,
        n_runs=repeats,
        test_size=check_count(test_size, "test_size"),
        depth=check_count(depth, "depth"),
        activation=activation,
        n_starts=n_starts,
        max_iterations=max_iterations,
        tol=check_positive(tol, "tol"),
        inner=inner_solver(inner),
        descent=SmallDescent() if descent is None else descent,
        methods=chosen,
        seeds=as_generator(rng).integers(2**62, size=(len(counts) * repeats, 4)),
    )
    return _compare(plan, checkpoint, Clock(limit=check_seconds(time_limit)), progress=progress)


def _compare(
    plan: _Plan, checkpoint: str | os.PathLike[str] | None, clock: Clock, *, progress: bool
) -> Comparison:
    """Do the runs that are not stored yet, as many at a time as there are workers."""
    kept = FinishedRuns(checkpoint, kind=_FORMAT, settings=plan.settings(), n_runs=len(plan.runs))
    left = [number for number in range(len(plan.runs)) if number not in kept.values]
    workers = count_workers()
    with clock.interruption.listening(), progress_bar(progress, "runs", len(left)) as advance:
        while left and not clock.expired():
            batch, left = left[:workers], left[workers:]
            done = run_tasks(_run, [(plan, number, clock) for number in batch])
            for number, run in zip(batch, done, strict=True):
                # a run that would have gone on says nothing about its method and is not kept
                if run.status not in (Status.TIME_LIMIT, Status.INTERRUPTED):
                    kept.add(number, asdict(run))
                    advance(text=f"{run.n} samples, {run.method}")
    cut = Status.INTERRUPTED if clock.interrupted else Status.TIME_LIMIT
    return Comparison(
        function=plan.function,
        sizes=plan.sizes,
        descent=plan.descent,
        runs=tuple(_restored(kept, number) for number in sorted(kept.values)),
        n_planned=len(plan.runs),
        status=Status.FINISHED if len(kept.values) == len(plan.runs) else cut,
    )


def _restored(kept: FinishedRuns, number: int) -> ComparedRun:
    values = kept.values[number]
    try:
        return ComparedRun(**{**values, "n_neurons": tuple(values["n_neurons"])})
    except (KeyError, TypeError) as error:
        raise kept.damaged(error) from error


def _run(plan: _Plan, number: int, clock: Clock) -> ComparedRun:
    """Do one run: the training set, the fresh samples and the start are told by its seeds."""
    n, repeat, method = plan.runs[number]
    seeds = plan.seeds[number // len(plan.methods)]
    train = sparse_function(plan.function, n, rng=int(seeds[0]))
    fresh = sparse_function(plan.function, plan.test_size, rng=int(seeds[1]))
    if not (train.y.any() and fresh.y.any()):
        raise InvalidInputError(f"{plan.function} is zero on all of {n} samples: a larger size is needed")
    began, left = clock.elapsed, max(clock.left, np.finfo(float).tiny)
    follow = _pursued if method == PURSUIT else _descended
    with one_blas_thread():  # the runs share the machine, and descent is to give one answer, as pursuit does
        network, status, steps = follow(plan, train, int(seeds[2 if method == PURSUIT else 3]), left)
    return ComparedRun(
        method=method,
        n=n,
        number=repeat,
        status=status,
        training_error=train.relative_error(network(train.X)),
        test_error=fresh.relative_error(network(fresh.X)),
        steps=steps,
        n_neurons=network.widths[1:-1],
        seconds=clock.elapsed - began,
    )


def _pursued(plan: _Plan, train: Task, seed: int, seconds: float) -> tuple[FeedForward, str, int]:
    result = neuron_pursuit(
        *train,
        depth=plan.depth,
        activation=plan.activation,
        n_starts=plan.n_starts,
        max_iterations=plan.max_iterations,
        tol=plan.tol,
        inner=plan.inner,
        time_limit=seconds,
        rng=seed,
    )
    return result.network, result.status, len(result.history)


def _descended(plan: _Plan, train: Task, seed: int, seconds: float) -> tuple[FeedForward, str, int]:
    path = gradient_descent(
        train.X,
        train.y,
        plan.descent.start(train.X.shape[1], plan.depth, plan.activation, seed),
        step_size=check_positive(plan.descent.step_size, "step_size"),
        n_steps=check_count(plan.descent.n_steps, "n_steps"),
        record=1,
        stop_loss=0.5 * plan.tol**2 * float(np.mean(train.y**2)),
        time_limit=seconds,
        loss="square",
        reduction="mean",
    )
    names = {"finished": "n_steps", "stop_loss": "tolerance"}
    return path.network_at(-1), names.get(path.status, path.status), int(path.times[-1])
