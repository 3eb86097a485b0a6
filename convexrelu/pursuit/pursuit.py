"""Neuron Pursuit: grow a network neuron by neuron, each chosen by the NCF of what is left (NP Algorithm 1).

Iteration 1 finds a KKT point of the constrained NCF of a network with one neuron in each hidden layer and
lowers the loss from a small multiple of it. Every later iteration takes the residual, finds in each hidden
layer the new neuron that correlates best with it to lowest order, adds the dominant one with small weights,
and lowers the loss of the whole network. Where no neuron correlates to that order, as at the saddles of deep
linear networks (NP appendix D.3), the next order decides: a neuron in each of two consecutive layers, then of
three, up to one in every hidden layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._parallel import one_blas_thread
from convexrelu._progress import Advance, progress_bar
from convexrelu._status import Status
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import (
    as_columns,
    as_data,
    as_generator,
    as_matrix,
    check_count,
    check_nonnegative,
    check_positive,
    check_seconds,
)
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.added_neuron import ZERO_NCF, AddedNeuron, maximize_added_neuron, with_neuron
from convexrelu.ncf.one_neuron import ChainMaximum, maximize_chain
from convexrelu.networks import RELU, Activation, FeedForward, homogeneous
from convexrelu.pursuit.inner import InnerSolver, Refit, inner_solver, refit, settle
from convexrelu.pursuit.square_loss import SquareLoss

__all__ = ["PursuitResult", "PursuitStep", "margin_objectives", "neuron_pursuit"]

SPARE = 0.01
"""A refit ends when the relative error is this share of the tolerance: enough that the iteration's error does
not depend on where between two steps the tolerance was met."""

FIRST_SHARE = 0.25
"""The first network starts at this share of the best multiple of the KKT point (NP appendix C takes 0.25
itself, for targets and samples of size one)."""

_SHRINK, _TRIES = 0.8, 60
"""Delta shrinks by 0.8 until the loss falls (NP appendix C): 60 times make a millionth of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PursuitStep:
    """One iteration: a neuron was added, and the network refitted.

    Attributes
    ----------
    iteration : int
        1 for the network of one neuron in each hidden layer.
    layer : int
        The hidden layer that grew, 1..L-1, or the first one of several; 0 in iteration 1, which makes all of
        them.
    order : int
        How many consecutive layers grew by a neuron each: one, unless the NCF of one neuron was zero in all
        layers, or adding it lowered the loss at no size.
    ncf_value : float
        NCF of what was added: a KKT value of the residual before, weights of unit norm. In iteration 1 that
        of the targets, ``y^T H(X; w)``.
    kkt_residual : float
        First-order residual there, in Clarke's sense at kinks.
    proven : bool
        Whether the exact oracle proved that value the global maximum (of its layer).
    delta : float
        Norm of the weights that were added.
    start : FeedForward
        The network with the small new neuron, where the refit started.
    start_loss : float
        Its loss: below that of the iteration before (NP Lemmas 12 and 13, checked).
    network : FeedForward
        The network after the refit, balanced for power 1.
    loss : float
        ``||y - H(X)||^2 / 2`` of it.
    relative_error : float
        ``||y - H(X)|| / ||y||`` of it.
    inner_steps : int
        Steps of the inner solver.
    seconds : float
        Wall time from the start of the pursuit to the end of the iteration.
    """

    iteration: int
    layer: int
    order: int
    ncf_value: float
    kkt_residual: float
    proven: bool
    delta: float
    start: FeedForward
    start_loss: float
    network: FeedForward
    loss: float
    relative_error: float
    inner_steps: int
    seconds: float

    @property
    def n_neurons(self) -> tuple[int, ...]:
        """The widths of the hidden layers after the iteration."""
        return self.network.widths[1:-1]

    def __str__(self) -> str:
        grown = "one neuron a layer" if self.layer == 0 else f"layer {self.layer} grows"
        if self.layer and self.order > 1:
            grown = f"layers {self.layer}-{self.layer + self.order - 1} grow"
        return (
            f"{self.iteration:3d}  {grown:<18}  NCF {self.ncf_value:<10.4g}  KKT {self.kkt_residual:.0e}  "
            f"error {self.relative_error:.3e}  neurons {self.n_neurons}  {self.inner_steps} steps, "
            f"{self.seconds:.1f} s"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PursuitResult:
    """A network grown by Neuron Pursuit.

    Attributes
    ----------
    network : FeedForward
        That of the last iteration: the loss falls from each iteration to the next. Zero if there was none.
    history : tuple of PursuitStep
        One entry an iteration.
    status : str
        Why it ended: "tolerance" (the relative error is small enough), "stopped" (the caller's own test),
        "max_iterations", "zero_ncf" (no neuron, nor a chain of them, correlates with the residual to lowest
        order),
        "no_descent" (one does, but adding it lowered the loss at no scale tried), "time_limit" or
        "interrupted" (Ctrl-C).

    Examples
    --------
    >>> from convexrelu import neuron_pursuit
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1.0, -1.0]
    >>> result = neuron_pursuit(X, y, depth=2, rng=0)
    >>> result.status, len(result.history), result.network.widths
    ('tolerance', 2, (2, 2, 1))
    """

    network: FeedForward
    history: tuple[PursuitStep, ...]
    status: str

    @property
    def loss(self) -> float:
        """The loss after the last iteration; NaN if there was none."""
        return self.history[-1].loss if self.history else float("nan")

    @property
    def relative_error(self) -> float:
        """The relative error after the last iteration; NaN if there was none."""
        return self.history[-1].relative_error if self.history else float("nan")

    def __str__(self) -> str:
        return "\n".join([repr(self), *map(str, self.history)])

    def __repr__(self) -> str:
        return (
            f"PursuitResult({self.status}: {len(self.history)} iterations, hidden neurons "
            f"{self.network.widths[1:-1]}, relative error {self.relative_error:.3e})"
        )


def neuron_pursuit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    depth: int,
    activation: Activation = RELU,
    n_starts: int = 10,
    max_iterations: int = 31,
    tol: float = 1e-3,
    inner: str | InnerSolver = "lbfgs",
    delta: float = 0.01,
    stop: Callable[[FeedForward], bool] | None = None,
    time_limit: float | None = None,
    rng: RNGLike = None,
    progress: bool = False,
) -> PursuitResult:
    """Return a network grown neuron by neuron until it fits real targets (NP Algorithm 1).

    The loss is ``||y - H(X)||^2 / 2``. After each iteration the weights of a network of power 1 are balanced
    without a change of its function, since the choice of the layer depends on it (NP appendix D.6).

    Parameters
    ----------
    X : (n, d) array_like
        Samples.
    y : (n,) or (n, k) array_like
        Real targets, one or several a sample.
    depth : int
        The number L of layers, at least 2.
    activation : PowerLeakyReLU, default ReLU
        The function between them; others are not homogeneous and refused.
    n_starts : int, default 10
        Starts of each search for a neuron. Ten are the paper's (NP appendix C) and cost less than the refits;
        where few starts lead to the best neuron, more of them give a smaller network in less time.
    max_iterations : int, default 31
        Iterations at most, the first network included.
    tol : float, default 1e-3
        Relative error ``||y - H(X)|| / ||y||`` at which the pursuit ends.
    inner : str or InnerSolver, default "lbfgs"
        What lowers the loss: "lbfgs", "levenberg-marquardt" (small networks) or "gradient-descent" (as the
        algorithm was stated); or an object of :mod:`convexrelu.pursuit.inner` with other settings.
    delta : float, default 0.01
        Norm of an added neuron, as a share of the norm of the network; of k neurons one behind the other the
        k-th root of it, since they change the outputs by a higher order. Shrunk until the loss falls.
    stop : callable or None
        Called with the network after each iteration; the pursuit ends when it returns True.
    time_limit : float or None
        Seconds, after which the best network so far is returned.
    rng : int, Generator, SeedSequence or None
        Source of the starts.
    progress : bool, default False
        Whether to show a progress bar.

    Returns
    -------
    PursuitResult
        With ``network``, ``history`` and ``status``. The loss falls from each iteration to the next.

    Raises
    ------
    InvalidInputError
        If an argument is malformed, or the activation is not homogeneous.

    References
    ----------
    NP: docs/references.md.

    Examples
    --------
    The absolute value is two ReLU neurons:

    >>> result = neuron_pursuit([[-2.0], [-1.0], [1.0], [2.0]], [2.0, 1.0, 1.0, 2.0], depth=2, rng=0)
    >>> result.status, result.history[-1].n_neurons
    ('tolerance', (2,))
    >>> result.network([[-3.0], [5.0]]).round(3)
    array([3., 5.])
    """
    matrix = as_matrix(X)
    targets = as_columns(y, "y", rows=len(matrix))
    layers = check_count(depth, "depth")
    if layers < 2:
        raise InvalidInputError(f"depth must be at least 2, for there to be neurons to add, got {layers}")
    most = check_count(max_iterations, "max_iterations")
    plan = _Plan(
        n_starts=check_count(n_starts, "n_starts"),
        tol=check_nonnegative(tol, "tol"),
        inner=inner_solver(inner),
        delta=check_positive(delta, "delta"),
        stop=stop or (lambda _network: False),
        rng=as_generator(rng),
        clock=Clock(limit=check_seconds(time_limit)),
    )
    widths = [matrix.shape[1], *([1] * (layers - 1)), targets.shape[1]]
    zero = [np.zeros(shape) for shape in zip(widths[1:], widths[:-1], strict=True)]
    network, history = FeedForward(zero, homogeneous(activation)), list[PursuitStep]()
    with (
        one_blas_thread(),
        plan.clock.interruption.listening(),
        progress_bar(progress, "growing", most) as advance,
    ):
        status = _grow(matrix, targets, network, plan, history, most, advance)
    return PursuitResult(
        network=history[-1].network if history else network, history=tuple(history), status=status
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """How to grow, and when to stop: the checked arguments."""

    n_starts: int
    tol: float
    inner: InnerSolver
    delta: float
    stop: Callable[[FeedForward], bool]
    rng: np.random.Generator
    clock: Clock


@dataclass(frozen=True, kw_only=True, eq=False)
class _Start:
    """A network with small new weights.

    Attributes
    ----------
    layer : int
        The hidden layer that they joined; 0 for the first network.
    point : ChainMaximum or AddedNeuron
        What was added, at unit norm.
    delta : float
        Its norm now.
    network : FeedForward
        The network.
    """

    layer: int
    point: ChainMaximum | AddedNeuron
    delta: float
    network: FeedForward


def _grow(
    X: Float[np.ndarray, "n d"],
    Y: Float[np.ndarray, "n k"],
    network: FeedForward,
    plan: _Plan,
    history: list[PursuitStep],
    max_iterations: int,
    advance: Advance,
) -> Status:
    """Iterate until something says stop; return what did."""
    loss, interruption = _loss(X, Y, network), plan.clock.interruption
    if loss == 0:
        return Status.TOLERANCE
    for _ in range(max_iterations):
        status, start_loss = Status.ZERO_NCF, loss
        with interruption.ending():
            for start in _starts(X, Y, network, plan, first=not history):
                status, start_loss = Status.NO_DESCENT, _loss(X, Y, start.network)
                if start_loss < loss:
                    break
        if interruption.pressed:
            return Status.INTERRUPTED
        if not start_loss < loss:
            return status
        step = _refitted(X, Y, start, plan, start_loss, iteration=len(history) + 1)
        history.append(step)
        network, loss = step.network, step.loss
        advance(text=f"error {step.relative_error:.2e}, neurons {step.n_neurons}")
        if step.relative_error <= plan.tol:
            return Status.TOLERANCE
        if plan.stop(network):
            return Status.STOPPED
        if plan.clock.expired():
            return Status.INTERRUPTED if interruption.pressed else Status.TIME_LIMIT
    return Status.MAX_ITERATIONS


def _loss(X: Float[np.ndarray, "n d"], Y: Float[np.ndarray, "n k"], network: FeedForward) -> float:
    """``||y - H(X)||^2 / 2``."""
    return 0.5 * float(np.sum((Y - np.reshape(network(X), Y.shape)) ** 2))


def _starts(
    X: Float[np.ndarray, "n d"],
    Y: Float[np.ndarray, "n k"],
    network: FeedForward,
    plan: _Plan,
    *,
    first: bool,
) -> Iterator[_Start]:
    """Yield networks to lower the loss from, that of the dominant neuron first, lower orders before higher.

    The first network is a small multiple of the best one of one neuron in each hidden layer: the loss along a
    KKT point w falls until ``delta^degree = N / ||H(X; w)||^2``, where it is least. Later ones are the
    network so far and a new neuron, smaller and smaller, then the next best neuron: where H_1 is the change
    of the outputs from one side of a kink only, the loss may fall at no size.
    """
    activation, depth, n_starts = homogeneous(network.activation), network.depth, plan.n_starts
    if first:
        maxima = maximize_chain(X, Y, depth=depth, activation=activation, n_starts=n_starts, rng=plan.rng)
        for best in maxima[:1]:
            size = float(np.linalg.norm(best.network(X)))
            if best.value > ZERO_NCF * size * float(np.linalg.norm(Y)):
                delta = FIRST_SHARE * (best.value / size**2) ** (1 / best.network.degree)
                yield _Start(layer=0, point=best, delta=delta, network=best.network.scaled_weights(delta))
        return
    residual = Y - np.reshape(network(X), Y.shape)
    for order in range(1, depth):
        found = maximize_added_neuron(network, X, residual, order=order, n_starts=n_starts, rng=plan.rng)
        for point in found.points:
            delta = plan.delta ** (1 / order) * network.norm
            for _ in range(_TRIES):
                yield _Start(
                    layer=point.layer, point=point, delta=delta, network=with_neuron(network, point, delta)
                )
                delta *= _SHRINK


def _refitted(
    X: Float[np.ndarray, "n d"],
    Y: Float[np.ndarray, "n k"],
    start: _Start,
    plan: _Plan,
    start_loss: float,
    *,
    iteration: int,
) -> PursuitStep:
    """Lower the loss from a start, balance the network, and say what happened."""
    activation = homogeneous(start.network.activation)
    square = SquareLoss(network=start.network, activation=activation, X=X, Y=Y)
    fit = _lowered(square, plan)
    network = fit.network.balanced() if activation.power == 1 else fit.network
    loss = _loss(X, Y, network)
    return PursuitStep(
        iteration=iteration,
        layer=start.layer,
        order=start.point.order if isinstance(start.point, AddedNeuron) else start.network.depth - 1,
        ncf_value=start.point.value,
        kkt_residual=start.point.stationarity,
        proven=start.point.proven,
        delta=start.delta,
        start=start.network,
        start_loss=start_loss,
        network=network,
        loss=loss,
        relative_error=float(np.sqrt(2 * loss) / np.linalg.norm(Y)),
        inner_steps=fit.n_steps,
        seconds=plan.clock.elapsed,
    )


def _lowered(square: SquareLoss, plan: _Plan) -> Refit:
    """Return a stationary point of the loss; where that fits, one of less norm that fits as well."""
    goal, within_tol = 0.5 * (SPARE * plan.tol) ** 2, 0.5 * (plan.tol * square.size) ** 2
    fit = refit(square, plan.inner, goal, plan.clock)
    if not plan.inner.settles or fit.loss > within_tol:
        return fit
    settled = settle(replace(square, network=fit.network), plan.inner, goal, plan.clock)
    best = settled if settled.loss <= max(fit.loss, goal * square.size**2) else fit
    return replace(best, n_steps=fit.n_steps + settled.n_steps)


def margin_objectives(result: PursuitResult, X: ArrayLike, y: ArrayLike) -> Float[np.ndarray, " t"]:
    """Return the max-margin objective of the network after each iteration, scaled to margin 1.

    Each is an upper bound on P* of WP eq. (13): the balanced network's ``(||W1||^2 + ||w2||^2) / 2`` at
    margin 1. The neuron that pursuit adds to a residual r maximises ``|r^T (X u)_+|``: it is the column that
    column generation prices at ``lam = r``. What is done with the columns differs: pursuit fits the labels
    ``+1`` and ``-1`` themselves, the program asks for margins of at least 1 at the least norm.

    Parameters
    ----------
    result : PursuitResult
        A pursuit of two layers of ReLU with one output.
    X : (n, d) array_like
        Samples.
    y : (n,) array_like
        Two labels, the larger stands for +1.

    Returns
    -------
    (t,) float array
        One an iteration; infinite while the network does not fit every label.

    Raises
    ------
    InvalidInputError
        If the networks are not of that kind, or the data is malformed.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = [[-2.0], [-1.0], [1.0]], [-1.0, -1.0, 1.0]
    >>> result = cr.neuron_pursuit(X, y, depth=2, rng=0)
    >>> bool(margin_objectives(result, X, y)[-1] >= cr.solve_max_margin(X, y).lower_bound)
    True
    """
    matrix, labels = as_data(X, y)
    values = np.full(len(result.history), np.inf)
    for at, step in enumerate(result.history):
        network = step.network.as_two_layer()
        if network.margin(matrix, labels) > 0:
            values[at] = network.rescaled_to_margin(matrix, labels).balanced().objective()
    return values
