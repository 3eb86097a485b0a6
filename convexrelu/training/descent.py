"""Gradient descent on the summed loss: plain steps, and normalised or growing ones that reach the limit."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from convexrelu._parallel import run_tasks
from convexrelu._progress import Advance, ignore, progress_bar
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_generator, check_count, check_positive, check_seconds
from convexrelu.errors import InvalidInputError
from convexrelu.losses import Loss, get_loss
from convexrelu.networks import TwoLayerReLU
from convexrelu.training.stopping import StoppingRule
from convexrelu.training.trajectory import Trajectory, check_training_problem

__all__ = ["gradient_descent", "gradient_descents"]

_WORK_BETWEEN_CHECKS = 20_000_000
"""Multiplications between two looks at the clock and the keyboard: some hundredths of a second."""

_ORDERS_AT_ONCE = 100_000
"""Samples whose order is drawn at once: whole epochs, whatever is recorded, so that a seed is one run."""

_RUNS_A_ROUND = 64
"""Runs handed out between two advances of the progress bar, and kept when Ctrl-C ends the next ones."""


def gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    network: TwoLayerReLU,
    *,
    step_size: float,
    n_steps: int,
    loss: str = "logistic",
    normalized: bool = False,
    growth: float = 1.0,
    batch_size: int | None = None,
    rng: RNGLike = None,
    record: int | ArrayLike = 200,
    stop: StoppingRule | Sequence[Any] = (),
    time_limit: float | None = None,
    progress: bool = False,
) -> Trajectory:
    """Return the trajectory of gradient descent on the loss summed over the samples.

    A plain step moves by ``step_size`` times the negative gradient of ``L = sum_n l(y_n f(x_n))``. A
    normalised step moves by ``step_size / (max_n ||x_n||^2 max(1, ||theta||^2))`` times the negative gradient
    of log L, which is formed in the log domain: it neither overflows nor stalls when L underflows, and
    ``||theta||^2`` grows about linearly in the step count. The network approaches the limit of its direction
    like one over the step count at best, and more slowly where a neuron that vanishes in the limit correlates
    almost as well as those that stay. The subgradient of the ReLU at 0 is 0 (the choice of WP section
    4).

    Growing steps (``growth > 1``) start as plain ones. After a step that did not raise the loss, the step
    size is multiplied by `growth`; a step that raised it is taken back, and the step size halved. The loss
    falls at every step that is kept, and as L falls the step size grows like 1/L, carried as a logarithm:
    this reaches the limit, too, without knowing ``max_n ||x_n||``.

    Parameters
    ----------
    X : array_like
        (n, d) data.
    y : array_like
        (n,) binary labels.
    network : TwoLayerReLU
        Where to start.
    step_size : float
        The step size. Normalised steps of 0.1 to 0.5 are safe for the logistic and the exponential loss.
    n_steps : int
        The number of steps; growing steps that are taken back count.
    loss : str
        "logistic", "exponential" or "square".
    normalized : bool
        Whether steps are normalised.
    growth : float, default 1
        What a successful step multiplies the step size by; 1 for steps that do not grow. 1.1 is usual.
    batch_size : int or None
        How many samples a step sees, None for all. Every epoch goes through all samples once in an order
        drawn anew, and its last batch has the rest. A step moves along ``n / size`` times the batch's
        gradient. Plain steps only: normalised by its own loss, every batch would weigh the same, and the
        limit would be another.
    rng : int, Generator, SeedSequence or None
        The source of the orders; the same seed gives the same run.
    record : int or array_like
        Which steps are stored: that many, spaced evenly in the logarithm of the step, or the steps
        themselves. Step 0 and the last step taken are always stored.
    stop : StoppingRule or sequence of them, default ()
        Rules of :mod:`convexrelu.training.stopping`, checked at the stored steps.
    time_limit : float or None
        Seconds after which to stop.
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    Trajectory
        With the step indices as ``times`` and the status "finished"; "converged" when a step changed no bit
        of the weights (so that no later one would: a stationary point, or a gradient below the rounding of
        the weights; of batches, a whole epoch); "diverged" when a step led to weights or a loss beyond
        float64 (the step size is too large; the last finite state is kept); the name of the stopping rule
        that held ("direction_change", "certified_gap", "kkt_residual"); "time_limit"; or "interrupted"
        (Ctrl-C; what there is is returned).

    Raises
    ------
    InvalidInputError
        If an argument is malformed or out of range, the network has no neuron or another number of inputs
        than X has columns, or two of `growth`, `normalized` and `batch_size` are asked for together.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> path = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=20000, normalized=True)
    >>> print(f"{path.objective[-1]:.3f}")
    1.283
    """
    X, y = check_training_problem(X, y, network)
    plan = _plan(
        X,
        step_size=step_size,
        n_steps=n_steps,
        loss=loss,
        normalized=normalized,
        growth=growth,
        batch_size=batch_size,
        record=record,
        stop=stop,
    )
    with progress_bar(progress, "descent", int(plan.wanted[-1])) as advance:
        return _descend(X, y, network, plan, as_generator(rng), _deadline(time_limit), advance)


def gradient_descents(
    X: ArrayLike,
    y: ArrayLike,
    networks: Sequence[TwoLayerReLU],
    *,
    step_size: float,
    n_steps: int,
    loss: str = "logistic",
    normalized: bool = False,
    growth: float = 1.0,
    batch_size: int | None = None,
    rng: RNGLike = None,
    record: int | ArrayLike = 200,
    stop: StoppingRule | Sequence[Any] = (),
    time_limit: float | None = None,
    progress: bool = False,
) -> tuple[Trajectory, ...]:
    """Return the trajectories of gradient descent from many starts, run in parallel.

    Every run is that of :func:`gradient_descent`, bit for bit and for any number of workers. With batches,
    run i draws its orders from the i-th generator spawned from `rng`.

    Parameters
    ----------
    X : array_like
        (n, d) data.
    y : array_like
        (n,) binary labels.
    networks : sequence of TwoLayerReLU
        Where to start; widths may differ.
    step_size, n_steps, loss, normalized, growth, batch_size, record, stop
        As for :func:`gradient_descent`.
    rng : int, Generator, SeedSequence or None
        The source of the batches' orders.
    time_limit : float or None
        Seconds for all runs together; runs that have not begun by then consist of their start.
    progress : bool, default False
        Show a progress bar on the terminal.

    Returns
    -------
    tuple of Trajectory
        One for each start. After Ctrl-C, runs that had not finished consist of their start, with the status
        "interrupted".

    Raises
    ------
    InvalidInputError
        If an argument is malformed.
    """
    networks = _as_networks(networks)
    problems = [check_training_problem(X, y, network) for network in networks]
    X, y = problems[0]
    plan = _plan(
        X,
        step_size=step_size,
        n_steps=n_steps,
        loss=loss,
        normalized=normalized,
        growth=growth,
        batch_size=batch_size,
        record=record,
        stop=stop,
    )
    generators = as_generator(rng).spawn(len(networks))
    deadline = _deadline(time_limit)
    tasks = [(X, y, network, plan, one, deadline) for network, one in zip(networks, generators, strict=True)]
    done: list[Trajectory] = []
    try:
        with progress_bar(progress, "descent", len(tasks)) as advance:
            for k in range(0, len(tasks), _RUNS_A_ROUND):
                finished = run_tasks(_descend, tasks[k : k + _RUNS_A_ROUND])
                done += finished
                advance(len(finished))
    except KeyboardInterrupt:
        rest = networks[len(done) :]
        done += [_trajectory(X, y, plan.rule, [(0, n.W1.copy(), n.w2.copy())], "interrupted") for n in rest]
    return tuple(done)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """What kind of steps to take, which to store, and when to stop."""

    rule: Loss
    kind: int
    step_size: float
    growth: float
    batch_size: int
    wanted: Int[np.ndarray, " t"]
    stop: tuple[StoppingRule, ...]


def _plan(
    X: Float[np.ndarray, "n d"],
    *,
    step_size: float,
    n_steps: int,
    loss: str,
    normalized: bool,
    growth: float,
    batch_size: int | None,
    record: int | ArrayLike,
    stop: StoppingRule | Sequence[Any],
) -> _Plan:
    """Check the options of descent."""
    from convexrelu.training.kernels.two_layer import GROWING, NORMALIZED, PLAIN

    rule = get_loss(loss)
    rate = check_positive(step_size, "step_size")
    wanted = recorded_steps(record, check_count(n_steps, "n_steps"))
    factor = check_positive(growth, "growth")
    if factor < 1.0:
        raise InvalidInputError(f"growth must be at least 1, got {growth}")
    if (factor > 1.0) + bool(normalized) + (batch_size is not None) > 1:
        raise InvalidInputError(
            "growth, normalized and batch_size exclude each other, "
            f"got growth = {growth}, normalized = {normalized}, batch_size = {batch_size}"
        )
    size = len(X) if batch_size is None else check_count(batch_size, "batch_size")
    if size > len(X):
        raise InvalidInputError(f"batch_size must be at most {len(X)}, the rows of X, got {batch_size}")
    rules = _as_rules(stop)
    if normalized:
        rate /= float(np.square(X).sum(axis=1).max()) or 1.0
    kind = NORMALIZED if normalized else GROWING if factor > 1.0 else PLAIN
    return _Plan(
        rule=rule, kind=kind, step_size=rate, growth=factor, batch_size=size, wanted=wanted, stop=rules
    )


def _as_networks(networks: Sequence[TwoLayerReLU]) -> tuple[TwoLayerReLU, ...]:
    """Return the starts of many runs; what each of them must be is checked with the data."""
    try:
        starts = tuple(networks)
    except TypeError as error:
        raise InvalidInputError(
            f"networks must be a sequence of networks, got {type(networks).__name__}"
        ) from error
    if not starts:
        raise InvalidInputError("networks must hold at least one network")
    return starts


def _as_rules(stop: StoppingRule | Sequence[Any]) -> tuple[StoppingRule, ...]:
    try:
        rules = (stop,) if isinstance(stop, StoppingRule) else tuple(stop)
    except TypeError:
        rules = (None,)
    if not all(isinstance(one, StoppingRule) for one in rules):
        raise InvalidInputError(f"stop must be a stopping rule or a sequence of them, got {stop!r}")
    return rules


def _deadline(time_limit: float | None) -> float:
    return time.perf_counter() + check_seconds(time_limit)


def recorded_steps(record: int | ArrayLike, n_steps: int) -> Int[np.ndarray, " t"]:
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


class _Descent:
    """One run: the weights it has reached, and how it goes on from there."""

    def __init__(
        self,
        X: Float[np.ndarray, "n d"],
        y: Float[np.ndarray, " n"],
        network: TwoLayerReLU,
        plan: _Plan,
        generator: np.random.Generator,
    ) -> None:
        from convexrelu.training.kernels import two_layer as _kernels

        self.kernels, self.plan, self.generator = _kernels, plan, generator
        self.form = _kernels.Padded.of(X, y, network.W1, network.w2)
        self.step, self.state, self.idle = 0, _kernels.RUNNING, 0
        self.log_step = math.log(plan.step_size)
        n, _, m = self.form.shape
        self.chunk = max(1, _WORK_BETWEEN_CHECKS // (2 * plan.batch_size * self.form.W1.shape[1] * m))
        a_epoch = -(-n // plan.batch_size)
        self.epochs = max(1, _ORDERS_AT_ONCE // n)
        self.between_orders = self.epochs * a_epoch
        self.orders = np.zeros((0, n), dtype=np.int64)

    @property
    def running(self) -> bool:
        return bool(self.state == self.kernels.RUNNING)

    def advance(self, target: int) -> None:
        """Take some steps, up to `target` at most."""
        form, plan, n = self.form, self.plan, self.form.shape[0]
        count = min(self.chunk, target - self.step)
        if plan.batch_size == n:
            taken, self.state, self.log_step = self.kernels.run_steps(
                form.XT,
                form.y,
                n,
                form.W1,
                form.w2,
                plan.rule.code,
                plan.kind,
                plan.step_size,
                plan.growth,
                self.log_step,
                count,
            )
        else:
            first = self.step % self.between_orders
            if first == 0:
                self.orders = self.generator.permuted(np.tile(np.arange(n), (self.epochs, 1)), axis=1)
            count = min(count, self.between_orders - first)
            taken, self.state, self.idle = self.kernels.run_batches(
                form.XT,
                form.y,
                n,
                self.orders,
                first,
                plan.batch_size,
                form.W1,
                form.w2,
                plan.rule.code,
                plan.step_size,
                count,
                self.idle,
            )
        self.step += taken

    def end(self) -> str:
        """The status, as far as the steps themselves decide it."""
        names = {self.kernels.CONVERGED: "converged", self.kernels.DIVERGED: "diverged"}
        return names.get(self.state, "finished")


def _descend(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    network: TwoLayerReLU,
    plan: _Plan,
    generator: np.random.Generator,
    deadline: float,
    advance: Advance = ignore,
) -> Trajectory:
    """Follow a plan to its end."""
    run = _Descent(X, y, network, plan, generator)
    stored: list[tuple[int, np.ndarray, np.ndarray]] = []
    ended = ""
    try:
        for target in plan.wanted.tolist():
            while run.step < target and run.running and not ended:
                before = run.step
                run.advance(target)
                advance(run.step - before)
                if time.perf_counter() > deadline and run.step < plan.wanted[-1] and run.running:
                    ended = "time_limit"
            stored.append((run.step, *run.form.weights()))
            if ended or not run.running:
                break
            ended = _first_to_hold(plan.stop, _trajectory(X, y, plan.rule, stored[-2:], ""))
            if ended:
                break
    except KeyboardInterrupt:
        ended = "interrupted"
        stored.append((run.step, *run.form.weights()))
    if len(stored) > 1 and stored[-1][0] == stored[-2][0]:
        stored.pop()
    return _trajectory(X, y, plan.rule, stored, ended or run.end())


def _first_to_hold(rules: tuple[StoppingRule, ...], path: Trajectory) -> str:
    """The name of the first rule that holds at the end of a path, or an empty one."""
    return next((rule.name for rule in rules if rule.holds(path)), "")


def _trajectory(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    rule: Loss,
    stored: list[tuple[int, np.ndarray, np.ndarray]],
    status: str,
) -> Trajectory:
    steps, W1, w2 = zip(*stored, strict=True)
    return Trajectory(
        X=X,
        y=y,
        times=np.array(steps, dtype=np.int64),
        W1=np.array(W1),
        w2=np.array(w2),
        rule=rule,
        status=status,
        kind="descent",
        events=(),
    )
