"""Gradient descent of two-layer ReLU networks and of feed-forward networks of any depth.

Two-layer ReLU networks, and feed-forward networks with homogeneous activations, are trained by compiled
loops, all others by the package's forward pass. Several starts run in parallel.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Required, TypedDict, Unpack, overload

import numpy as np
from jaxtyping import Float, Int

from convexrelu._clock import Clock
from convexrelu._parallel import run_tasks
from convexrelu._progress import progress_bar
from convexrelu._status import Status
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import (
    as_generator,
    check_count,
    check_nonnegative,
    check_positive,
    check_seconds,
)
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, PowerLeakyReLU, TwoLayerReLU, pack, unpack
from convexrelu.networks.convert import how_to_convert
from convexrelu.training.kernels import CONVERGED, DIVERGED, REACHED, RUNNING
from convexrelu.training.problem import DeepProblem, TwoLayerProblem, check_problem
from convexrelu.training.run import Process, follow
from convexrelu.training.stopping import StoppingRule
from convexrelu.training.trajectory import DeepTrajectory, Trajectory

__all__ = ["gradient_descent"]

_ORDERS_AT_ONCE = 100_000
"""Samples whose order is drawn at once: whole epochs, whatever is recorded, so that a seed is one run."""

_WORK_BETWEEN_CHECKS = 20_000_000
"""Multiplications between two looks at the clock and the keyboard: some hundredths of a second."""

_NUMPY_WORK = 1_000_000
"""The same for the loop in NumPy, which is slower on small networks."""

_RUNS_A_ROUND = 64
"""Runs handed out between two advances of the progress bar."""

_ENDS = {
    RUNNING: None,
    CONVERGED: Status.CONVERGED,
    DIVERGED: Status.DIVERGED,
    REACHED: Status.STOP_LOSS,
}


class _Options(TypedDict, total=False):
    """The options of :func:`gradient_descent`, for its overloads."""

    step_size: Required[float]
    n_steps: Required[int]
    loss: str
    reduction: str
    weight_decay: float
    normalized: bool
    growth: float
    batch_size: int | None
    rng: RNGLike
    record: int | ArrayLike
    stop: StoppingRule | Sequence[Any]
    stop_loss: float | None
    time_limit: float | None
    progress: bool


@overload
def gradient_descent(
    X: ArrayLike, y: ArrayLike, network: TwoLayerReLU, **options: Unpack[_Options]
) -> Trajectory: ...


@overload
def gradient_descent(
    X: ArrayLike, y: ArrayLike, network: FeedForward, **options: Unpack[_Options]
) -> DeepTrajectory: ...


@overload
def gradient_descent(
    X: ArrayLike, y: ArrayLike, network: Sequence[TwoLayerReLU], **options: Unpack[_Options]
) -> tuple[Trajectory, ...]: ...


@overload
def gradient_descent(
    X: ArrayLike, y: ArrayLike, network: Sequence[FeedForward], **options: Unpack[_Options]
) -> tuple[DeepTrajectory, ...]: ...


def gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    network: TwoLayerReLU | FeedForward | Sequence[TwoLayerReLU] | Sequence[FeedForward],
    *,
    step_size: float,
    n_steps: int,
    loss: str = "logistic",
    reduction: str = "sum",
    weight_decay: float = 0.0,
    normalized: bool = False,
    growth: float = 1.0,
    batch_size: int | None = None,
    rng: RNGLike = None,
    record: int | ArrayLike = 200,
    stop: StoppingRule | Sequence[Any] = (),
    stop_loss: float | None = None,
    time_limit: float | None = None,
    progress: bool = False,
) -> Trajectory | DeepTrajectory | tuple[Trajectory | DeepTrajectory, ...]:
    """Return the trajectory of gradient descent from a network, or of each of several networks.

    A plain step moves the trainable weights by ``step_size`` times the negative gradient of the loss, summed
    or averaged over the samples. At a kink of the activation its derivative from the left is taken, for ReLU
    0 (the choice of WP section 4).

    A normalised step moves by ``step_size / (max_n ||x_n||^2 max(1, ||theta||^2))`` times the negative
    gradient of log L, L the summed loss, which is formed in the log domain: it neither overflows nor stalls
    when L underflows, and ``||theta||^2`` grows about linearly in the step count. The network approaches the
    limit of its direction like one over the step count at best, and more slowly where a neuron that vanishes
    in the limit correlates almost as well as those that stay.

    Growing steps (``growth > 1``) start as plain ones. After a step that did not raise the loss, the step
    size is multiplied by `growth`; a step that raised it is taken back, and the step size halved. The loss
    falls at every step that is kept, and as L falls the step size grows like 1/L, carried as a logarithm:
    this reaches the limit, too, without knowing ``max_n ||x_n||``.

    Parameters
    ----------
    X : (n, d) array_like
        Data.
    y : (n,) array_like
        Binary labels for a TwoLayerReLU, and for a loss of labels; else (n,) or (n, k) targets of a
        FeedForward with k outputs.
    network : TwoLayerReLU, FeedForward, or sequence of either
        Where to start, such as ``scaled_start(X, y, width=10, scale=1e-3, rng=0).network`` of
        :mod:`convexrelu.training`; frozen weights stay. Several starts run in parallel, each bit for bit as
        it would alone, for any number of workers.
    step_size : float
        The step size. Normalised steps of 0.1 to 0.5 are safe for the logistic and the exponential loss.
    n_steps : int
        The number of steps; growing steps that are taken back count.
    loss : str
        "logistic", "exponential", "square", or, of a FeedForward, "correlation" (whose descent is the ascent
        of the NCF); see :mod:`convexrelu.losses`.
    reduction : str
        "sum" or "mean" over the samples.
    weight_decay : float, default 0
        The price beta of the weights: steps lower the loss plus ``beta/2 ||theta||^2``, theta being the
        trainable weights (FeedForward only; a TwoLayerReLU is ``FeedForward([W1, w2[None]],
        PowerLeakyReLU())``). The recorded loss is that of the samples alone.
    normalized : bool
        Whether steps are normalised (TwoLayerReLU only).
    growth : float, default 1
        What a successful step multiplies the step size by (TwoLayerReLU only); 1 for steps that do not grow.
        1.1 is usual.
    batch_size : int or None
        How many samples a step sees, None for all (TwoLayerReLU only). Every epoch goes through all samples
        once in an order drawn anew, and its last batch has the rest. A step moves along ``n / size`` times
        the batch's gradient. Plain steps only: normalised by its own loss, every batch would weigh the same,
        and the limit would be another.
    rng : int, Generator, SeedSequence or None
        The source of the orders; the same seed gives the same run. Of several networks the i-th draws from
        the i-th generator spawned from it.
    record : int or array_like
        Which steps are stored: that many, spaced evenly in the logarithm of the step, or the steps
        themselves. Step 0 and the last step taken are always stored.
    stop : StoppingRule or sequence of them, default ()
        Rules of :mod:`convexrelu.training.stopping`, checked at the stored steps.
    stop_loss : float or None
        Stop after the first step whose loss is at most this; not with batches, which do not know the loss.
    time_limit : float or None
        Seconds after which to stop, for all runs together.
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    Trajectory, DeepTrajectory, or tuple of them
        With the step indices as ``times`` and the status "finished"; "converged" when a step changed no bit
        of the weights (so that no later one would: a stationary point, or a gradient below the rounding of
        the weights; of batches, a whole epoch); "diverged" when a step led to weights or a loss beyond
        float64 (the step size is too large; the last finite state is kept); "stop_loss"; the name of the
        stopping rule that held ("direction_change", "certified_gap", "kkt_residual"); "time_limit"; or
        "interrupted" (Ctrl-C). Of a run that is cut short, or that had not begun, there is what there is.

    Raises
    ------
    InvalidInputError
        If an argument is malformed or out of range, shapes do not agree, a TwoLayerReLU has no neuron, an
        option is not for this kind of network, or two of `growth`, `normalized` and `batch_size` are asked
        for together.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> path = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=20000, normalized=True)
    >>> print(f"{path.objective[-1]:.3f}")
    1.283

    Three weights in a row, and a target of 8:

    >>> deep = cr.FeedForward([[[0.3]], [[0.3]], [[0.3]]], cr.PowerLeakyReLU(1.0))
    >>> path = cr.gradient_descent([[1.0]], [8.0], deep, step_size=0.01, n_steps=2000, loss="square")
    >>> [round(float(W[0, 0]), 6) for W in path.network_at(-1).weights]
    [2.0, 2.0, 2.0]
    """
    single = isinstance(network, TwoLayerReLU | FeedForward)
    starts = (network,) if single else _as_networks(network)
    problems = [check_problem(X, y, start, loss=loss, reduction=reduction) for start in starts]
    plan = _Plan(
        step_size=check_positive(step_size, "step_size"),
        wanted=_recorded_steps(record, check_count(n_steps, "n_steps")),
        stop=_as_rules(stop),
        stop_loss=math.nan if stop_loss is None else check_nonnegative(stop_loss, "stop_loss"),
        decay=check_nonnegative(weight_decay, "weight_decay"),
        normalized=bool(normalized),
        growth=check_positive(growth, "growth"),
        batch_size=None if batch_size is None else check_count(batch_size, "batch_size"),
    )
    for problem in problems:
        _check_options(plan, problem)
    generator, clock = as_generator(rng), Clock(limit=check_seconds(time_limit))
    if single:
        return _descend(problems[0], plan, generator, clock, progress)
    generators = generator.spawn(len(problems))
    tasks = [(problem, plan, one, clock) for problem, one in zip(problems, generators, strict=True)]
    done: list[Trajectory | DeepTrajectory] = []
    with progress_bar(progress, "descent", len(tasks)) as advance, clock.interruption.listening():
        for k in range(0, len(tasks), _RUNS_A_ROUND):
            done += run_tasks(_descend, tasks[k : k + _RUNS_A_ROUND])
            advance(min(_RUNS_A_ROUND, len(tasks) - k))
    return tuple(done)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """What kind of steps to take, which to store (the last one ends the run), and what else ends it."""

    step_size: float
    wanted: Int[np.ndarray, " t"]
    stop: tuple[StoppingRule, ...]
    stop_loss: float  # NaN for none: nothing is at most that
    decay: float
    normalized: bool
    growth: float
    batch_size: int | None


def _check_options(plan: _Plan, problem: TwoLayerProblem | DeepProblem) -> None:
    """Refuse options that do not go together, or not with this kind of network."""
    options = f"growth = {plan.growth}, normalized = {plan.normalized}, batch_size = {plan.batch_size}"
    special = (plan.growth > 1.0) + plan.normalized + (plan.batch_size is not None)
    if plan.growth < 1.0:
        raise InvalidInputError(f"growth must be at least 1, got {plan.growth}")
    if special > 1:
        raise InvalidInputError(f"growth, normalized and batch_size exclude each other, got {options}")
    if isinstance(problem, DeepProblem):
        if special:
            raise InvalidInputError(f"a FeedForward takes plain steps on all samples, got {options}")
        if any(rule.asks_for_margins for rule in plan.stop):
            raise InvalidInputError(
                f"a FeedForward has no margins that a rule could judge, got stop = {plan.stop}"
            )
        return
    if plan.decay:
        raise InvalidInputError(
            f"weight_decay is for a FeedForward, got {plan.decay} with a TwoLayerReLU: its limit is that of "
            "the margins alone; FeedForward([W1, w2[None]], PowerLeakyReLU()) is the same network"
        )
    if plan.batch_size is not None:
        if plan.batch_size > len(problem.X):
            raise InvalidInputError(
                f"batch_size must be at most {len(problem.X)}, the rows of X, got {plan.batch_size}"
            )
        if not math.isnan(plan.stop_loss):
            raise InvalidInputError(
                "stop_loss and batch_size exclude each other: batches do not know the loss"
            )


def _as_networks(networks: Any) -> tuple[Any, ...]:
    """Return several starts; what each of them must be is checked with the data."""
    try:
        starts = tuple(networks)
    except TypeError as error:
        raise InvalidInputError(
            f"network must be a TwoLayerReLU, a FeedForward or a sequence, got {type(networks).__name__}"
            f"{how_to_convert(networks)}"
        ) from error
    if not starts:
        raise InvalidInputError("network must hold at least one network, got an empty sequence")
    return starts


def _as_rules(stop: StoppingRule | Sequence[Any]) -> tuple[StoppingRule, ...]:
    try:
        rules = (stop,) if isinstance(stop, StoppingRule) else tuple(stop)
    except TypeError:
        rules = (None,)
    if not all(isinstance(one, StoppingRule) for one in rules):
        raise InvalidInputError(f"stop must be a stopping rule or a sequence of them, got {stop!r}")
    return rules


def _recorded_steps(record: int | ArrayLike, n_steps: int) -> Int[np.ndarray, " t"]:
    """Sorted distinct step indices, with 0 and the last among them."""
    if np.ndim(record) == 0:
        count = check_count(record, "record")
        steps = np.rint(np.geomspace(1.0, n_steps, count)).astype(np.int64)
    else:
        try:
            given = np.asarray(record, dtype=np.float64).ravel()
            steps = given.astype(np.int64)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"record must be a count or an array of step indices, got {record!r}"
            ) from error
        if not (
            np.isfinite(given).all() and (steps == given).all() and ((steps >= 0) & (steps <= n_steps)).all()
        ):
            raise InvalidInputError(
                f"record must hold step indices from 0 to n_steps = {n_steps}, got {record!r}"
            )
    return np.unique(np.concatenate([[0], steps, [n_steps]]))


def _descend(
    problem: TwoLayerProblem | DeepProblem,
    plan: _Plan,
    generator: np.random.Generator,
    clock: Clock,
    progress: bool = False,
) -> Trajectory | DeepTrajectory:
    """Follow a plan to its end."""
    run: _Descent
    if isinstance(problem, TwoLayerProblem):
        run = _TwoLayerDescent(problem, plan, generator)
    else:
        run = _DeepDescent(problem, plan)
    return run.path(follow(run, plan.wanted, clock, progress=progress, what="descent"))


class _Descent(Process):
    """One run: how many steps it has taken, what it has stored, and how it goes on."""

    reached: int

    def __init__(self, plan: _Plan) -> None:
        self.plan, self.reached = plan, 0
        self.steps: list[int] = []
        self.points: list[Any] = []

    def store(self) -> None:
        """Keep the weights that have been reached."""
        if self.reached not in self.steps[-1:]:
            self.steps.append(self.reached)
            self.points.append(self.weights())

    def rule_that_holds(self) -> str | None:
        """Return the name of the first stopping rule that holds at the end of the path."""
        path = self.path("", last=2) if self.plan.stop else None
        return next((rule.name for rule in self.plan.stop if rule.holds(path)), None)

    @abstractmethod
    def weights(self) -> Any:
        """Copy the weights that have been reached."""

    @abstractmethod
    def path(self, status: str, last: int = 0) -> Trajectory | DeepTrajectory:
        """Return what is stored, or the last so many points of it."""


class _TwoLayerDescent(_Descent):
    """Descent of a two-layer ReLU network."""

    def __init__(self, problem: TwoLayerProblem, plan: _Plan, generator: np.random.Generator) -> None:
        from convexrelu.training.kernels import two_layer

        super().__init__(plan)
        self.kernels, self.problem, self.generator = two_layer, problem, generator
        X, network = problem.X, problem.network
        self.form = two_layer.Padded.of(X, problem.y, network.W1, network.w2)
        self.kind, self.step_size = two_layer.PLAIN, plan.step_size * problem.scale
        if plan.normalized:
            self.kind = two_layer.NORMALIZED
            self.step_size = plan.step_size / (float(np.square(X).sum(axis=1).max()) or 1.0)
        elif plan.growth > 1.0:
            self.kind = two_layer.GROWING
        self.log_step, self.idle = math.log(self.step_size), 0
        with np.errstate(divide="ignore"):
            self.log_stop = float(np.log(plan.stop_loss / problem.scale))
        n = len(X)
        self.batch = plan.batch_size or n
        work = 2 * self.batch * self.form.W1.shape[1] * network.n_neurons
        self.chunk = max(1, _WORK_BETWEEN_CHECKS // work)
        self.epochs = max(1, _ORDERS_AT_ONCE // n)
        self.between_orders = self.epochs * -(-n // self.batch)
        self.orders = np.zeros((0, n), dtype=np.int64)

    def advance(self, target: float) -> Status | None:
        """Take some steps."""
        form, n, code = self.form, len(self.problem.X), self.problem.rule.code
        arrays = form.XT, form.y, n
        count = min(self.chunk, int(target) - self.reached)
        if self.batch == n:
            taken, state, self.log_step = self.kernels.run_steps(
                *arrays,
                form.W1,
                form.w2,
                code,
                self.kind,
                self.step_size,
                self.plan.growth,
                self.log_stop,
                self.log_step,
                count,
            )
        else:
            first = self.reached % self.between_orders
            if first == 0:
                self.orders = self.generator.permuted(np.tile(np.arange(n), (self.epochs, 1)), axis=1)
            count = min(count, self.between_orders - first)
            weights = form.W1, form.w2, code
            taken, state, self.idle = self.kernels.run_batches(
                *arrays, self.orders, first, self.batch, *weights, self.step_size, count, self.idle
            )
        self.reached += taken
        return _ENDS[state]

    def weights(self) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
        """Copy the weights without their padding."""
        return self.form.weights()

    def path(self, status: str, last: int = 0) -> Trajectory:
        """Return what is stored, or the last so many points of it."""
        W1, w2 = zip(*self.points[-last:], strict=True)
        return Trajectory(
            X=self.problem.X,
            y=self.problem.y,
            times=np.array(self.steps[-last:], dtype=np.int64),
            W1=np.array(W1),
            w2=np.array(w2),
            rule=self.problem.rule,
            status=status,
            kind="descent",
            events=(),
            reduction=self.problem.reduction,
        )


class _DeepDescent(_Descent):
    """Descent of a feed-forward network."""

    def __init__(self, problem: DeepProblem, plan: _Plan) -> None:
        super().__init__(plan)
        self.problem, self.w = problem, pack(problem.network.weights)
        self.compiled = isinstance(problem.network.activation, PowerLeakyReLU)
        work = _WORK_BETWEEN_CHECKS if self.compiled else _NUMPY_WORK
        self.chunk = max(1, work // (3 * len(problem.X) * len(self.w)))
        self.form = (
            problem.network.free,
            np.array(problem.network.widths, dtype=np.int64),
            np.array(problem.X.T, order="C"),
            np.array(problem.Y.T, order="C"),
        )

    def advance(self, target: float) -> Status | None:
        """Take some steps."""
        count = min(self.chunk, int(target) - self.reached)
        taken, state = self._run_compiled(count) if self.compiled else self._run_plain(count)
        self.reached += taken
        return _ENDS[state]

    def _run_compiled(self, count: int) -> tuple[int, int]:
        """Take up to so many steps; return how many, and the state."""
        from convexrelu.training.kernels.feed_forward import run_deep_steps

        problem, plan = self.problem, self.plan
        activation: Any = problem.network.activation
        kind = activation.alpha, activation.power, problem.rule.code, problem.scale, plan.decay
        taken, state = run_deep_steps(self.w, *self.form, *kind, plan.step_size, plan.stop_loss, count)
        return int(taken), int(state)

    def _run_plain(self, count: int) -> tuple[int, int]:
        """Do the same through the package's forward pass."""
        problem, plan, like = self.problem, self.plan, self.problem.network.weights
        at = problem.evaluate(unpack(self.w, like))
        for step in range(count):
            if at.loss <= plan.stop_loss:
                return step, REACHED
            with np.errstate(over="ignore", invalid="ignore"):
                gradient = pack(at.gradient) + plan.decay * np.where(problem.network.free, self.w, 0.0)
                w = self.w - plan.step_size * gradient
                at = problem.evaluate(unpack(w, like))
            if np.array_equal(w, self.w) or not at.loss < np.inf:
                return step, CONVERGED if at.loss < np.inf else DIVERGED
            self.w = w
        return count, REACHED if at.loss <= plan.stop_loss else RUNNING

    def weights(self) -> Float[np.ndarray, " w"]:
        """Copy the weights, in one vector."""
        return self.w.copy()

    def path(self, status: str, last: int = 0) -> DeepTrajectory:
        """Return what is stored, or the last so many points of it."""
        layers = unpack(np.array(self.points[-last:]), self.problem.network.weights)
        return DeepTrajectory(
            problem=self.problem,
            times=np.array(self.steps[-last:], dtype=np.int64),
            weights=tuple(np.ascontiguousarray(W) for W in layers),
            status=status,
            kind="descent",
        )
