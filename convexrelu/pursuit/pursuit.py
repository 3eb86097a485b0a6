"""Neuron Pursuit: grow a network neuron by neuron, each chosen by the NCF of what is left (NP Algorithm 1).

Iteration 1 finds a KKT point of the constrained NCF of a network with one neuron in each hidden layer and
lowers the loss from a small multiple of it. Every later iteration takes the residual, finds in each hidden
layer the new neuron that correlates best with it to lowest order, adds the dominant one with small weights,
and lowers the loss of the whole network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from convexrelu._parallel import one_blas_thread
from convexrelu._progress import Advance, progress_bar
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import (
    as_columns,
    as_generator,
    as_matrix,
    check_count,
    check_nonnegative,
    check_positive,
    check_seconds,
)
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.added_neuron import (
    ZERO_NCF,
    AddedNeuron,
    maximize_added_neuron,
    with_neuron,
)
from convexrelu.ncf.one_neuron import ChainMaximum, maximize_chain
from convexrelu.networks import RELU, Activation, FeedForward, PowerLeakyReLU, homogeneous
from convexrelu.pursuit.inner import InnerSolver, inner_solver
from convexrelu.pursuit.refit import refit
from convexrelu.pursuit.result import PursuitResult, PursuitStep
from convexrelu.pursuit.square_loss import SquareLoss, Watch

__all__ = ["neuron_pursuit"]

SPARE = 0.01
"""A refit ends when the relative error is this share of the tolerance: enough that the iteration's error does
not depend on where between two steps the tolerance was met."""

FIRST_SHARE = 0.25
"""The first network starts at this share of the best multiple of the KKT point (NP appendix C takes 0.25
itself, for targets and samples of size one)."""

_SHRINK, _TRIES = 0.8, 60
"""Delta shrinks by 0.8 until the loss falls (NP appendix C): 60 times make a millionth of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """The checked arguments."""

    X: Float[np.ndarray, "n d"]
    Y: Float[np.ndarray, "n k"]
    depth: int
    activation: PowerLeakyReLU
    n_starts: int
    max_iterations: int
    tol: float
    inner: InnerSolver
    delta: float
    stop: Callable[[FeedForward], bool]
    rng: np.random.Generator

    @property
    def zero_network(self) -> FeedForward:
        """One neuron in each hidden layer, all weights zero."""
        widths = [self.X.shape[1], *([1] * (self.depth - 1)), self.Y.shape[1]]
        pairs = zip(widths[1:], widths[:-1], strict=True)
        return FeedForward([np.zeros(shape) for shape in pairs], self.activation)

    def residual(self, network: FeedForward) -> Float[np.ndarray, "n k"]:
        """What the network leaves of the targets."""
        return self.Y - np.reshape(network(self.X), self.Y.shape)

    def loss_at(self, network: FeedForward) -> float:
        """``||y - H(X)||^2 / 2``."""
        return 0.5 * float(np.sum(self.residual(network) ** 2))

    def loss_of(self, network: FeedForward) -> SquareLoss:
        """The loss as a function of the network's weights."""
        return SquareLoss(network=network, activation=self.activation, X=self.X, Y=self.Y)


@dataclass(kw_only=True, eq=False)
class _Run:
    """The pursuit so far."""

    network: FeedForward
    loss: float
    watch: Watch
    began: float = field(default_factory=time.monotonic)
    history: list[PursuitStep] = field(default_factory=list)

    def result(self, status: str) -> PursuitResult:
        return PursuitResult(network=self.network, history=tuple(self.history), status=status)


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
        Starts of each search for a neuron.
    max_iterations : int, default 31
        Iterations at most, the first network included.
    tol : float, default 1e-3
        Relative error ``||y - H(X)|| / ||y||`` at which the pursuit ends.
    inner : str or InnerSolver, default "lbfgs"
        What lowers the loss: "lbfgs", "levenberg-marquardt" (small networks) or "gradient-descent" (as the
        algorithm was stated); or an object of :mod:`convexrelu.pursuit.inner` with other settings.
    delta : float, default 0.01
        Norm of an added neuron, as a share of the norm of the network; shrunk until the loss falls.
    stop : callable, optional
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

    Examples
    --------
    The absolute value is two ReLU neurons:

    >>> result = neuron_pursuit([[-2.0], [-1.0], [1.0], [2.0]], [2.0, 1.0, 1.0, 2.0], depth=2, rng=0)
    >>> result.status, result.history[-1].n_neurons
    ('tolerance', (2,))
    >>> result.network([[-3.0], [5.0]]).round(3)
    array([3., 5.])
    """
    plan = _check_plan(X, y, depth, activation, n_starts, max_iterations, tol, inner, delta, stop, rng)
    seconds = check_seconds(time_limit)
    run = _Run(
        network=plan.zero_network,
        loss=0.5 * float(np.sum(plan.Y**2)),
        watch=Watch(goal=0.5 * (SPARE * plan.tol) ** 2, deadline=time.monotonic() + float(seconds)),
    )
    if run.loss == 0:
        return run.result("tolerance")
    with one_blas_thread(), progress_bar(progress, "growing", plan.max_iterations) as advance:
        try:
            return run.result(_pursue(plan, run, advance))
        except KeyboardInterrupt:
            return run.result("interrupted")


def _pursue(plan: _Plan, run: _Run, advance: Advance) -> str:
    """Iterate until something says stop; return what did."""
    for iteration in range(1, plan.max_iterations + 1):
        added = _first(plan) if iteration == 1 else _next(plan, run)
        if isinstance(added, str):
            return added
        _refitted(plan, run, added)
        step = run.history[-1]
        advance(text=f"error {step.relative_error:.2e}, neurons {step.n_neurons}")
        if step.relative_error <= plan.tol:
            return "tolerance"
        if plan.stop(step.network):
            return "stopped"
        if run.watch.interrupted:
            return "interrupted"
        if run.watch.late:
            return "time_limit"
    return "max_iterations"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Added:
    """A network with small new weights whose loss is below that of the one before."""

    layer: int
    point: ChainMaximum | AddedNeuron
    delta: float
    network: FeedForward
    loss: float


def _first(plan: _Plan) -> _Added | str:
    """Return a small multiple of the best network of one neuron in each hidden layer.

    The loss along the KKT point w falls until ``delta^degree = N / ||H(X; w)||^2``, where it is least.
    """
    maxima = maximize_chain(
        plan.X,
        plan.Y,
        depth=plan.depth,
        activation=plan.activation,
        n_starts=plan.n_starts,
        rng=plan.rng,
    )
    if not maxima:
        return "zero_ncf"
    best = maxima[0]
    outputs = best.network(plan.X)
    size = float(np.linalg.norm(outputs))
    if best.value <= ZERO_NCF * size * float(np.linalg.norm(plan.Y)):
        return "zero_ncf"
    delta = FIRST_SHARE * (best.value / size**2) ** (1 / best.network.degree)
    network = best.network.scaled_weights(delta)
    loss = plan.loss_at(network)
    return _Added(layer=0, point=best, delta=delta, network=network, loss=loss)


def _next(plan: _Plan, run: _Run) -> _Added | str:
    """Return the network with the dominant neuron of all layers, made small until the loss falls.

    Where no size of it does (at kinks H_1 is the change of the outputs from one side only), the next best
    neuron is tried.
    """
    residual = plan.residual(run.network)
    found = maximize_added_neuron(run.network, plan.X, residual, n_starts=plan.n_starts, rng=plan.rng)
    for point in found.points:
        delta = plan.delta * run.network.norm
        for _ in range(_TRIES):
            network = with_neuron(run.network, point, delta)
            loss = plan.loss_at(network)
            if loss < run.loss:
                return _Added(layer=point.layer, point=point, delta=delta, network=network, loss=loss)
            delta *= _SHRINK
    return "no_descent" if found.points else "zero_ncf"


def _refitted(plan: _Plan, run: _Run, added: _Added) -> None:
    """Lower the loss from the network with the new neuron, balance, and record the iteration."""
    fit = refit(plan.loss_of(added.network), plan.inner, run.watch)
    network = fit.network.balanced() if plan.activation.power == 1 else fit.network
    run.network, run.loss = network, plan.loss_at(network)
    run.history.append(
        PursuitStep(
            iteration=len(run.history) + 1,
            layer=added.layer,
            ncf_value=added.point.value,
            kkt_residual=added.point.stationarity,
            proven=added.point.proven,
            delta=added.delta,
            start=added.network,
            start_loss=added.loss,
            network=network,
            loss=run.loss,
            relative_error=float(np.sqrt(2 * run.loss) / np.linalg.norm(plan.Y)),
            inner_steps=fit.n_steps,
            seconds=time.monotonic() - run.began,
        )
    )


def _never(_network: FeedForward) -> bool:
    return False


def _check_plan(
    X: ArrayLike,
    y: ArrayLike,
    depth: int,
    activation: Activation,
    n_starts: int,
    max_iterations: int,
    tol: float,
    inner: str | InnerSolver,
    delta: float,
    stop: Callable[[FeedForward], bool] | None,
    rng: RNGLike,
) -> _Plan:
    matrix = as_matrix(X)
    targets = as_columns(y, "y", rows=len(matrix))
    layers = check_count(depth, "depth")
    if layers < 2:
        raise InvalidInputError(f"depth must be at least 2, for there to be neurons to add, got {layers}")
    return _Plan(
        X=matrix,
        Y=targets,
        depth=layers,
        activation=homogeneous(activation),
        n_starts=check_count(n_starts, "n_starts"),
        max_iterations=check_count(max_iterations, "max_iterations"),
        tol=check_nonnegative(tol, "tol"),
        inner=inner_solver(inner),
        delta=check_positive(delta, "delta"),
        stop=_never if stop is None else stop,
        rng=as_generator(rng),
    )
