"""Lowering the loss of a grown network to a stationary point: the methods, and what is done about kinks.

All methods start at the same point, the old network with a small new neuron. Gradient descent is what the
algorithm was stated with (NP Algorithm 1, lines 12 to 15); the others reach a stationary point in a hundredth
of its steps.

The loss of a network with kinks can have minimisers at which the inputs of neurons are zero on many samples
at once: always on data with discrete values, such as a hypercube's corners. There the derivative jumps, and a
method for smooth functions stops short, although the loss still falls along the kink. A second descent, on
the loss with its kinks rounded off a little, follows such valleys; a third one removes the rounding.

Where a network fits, many do. Two neurons can see irrelevant inputs with opposite weights: what they say then
cancels on every sample, as long as no sum changes its sign, and a sample on which one does is predicted
wrongly. Such a fit is settled: descents with weight decay, which is lowered step by step and then removed,
move it along the networks that fit to one of (locally) least norm, where nothing cancels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._validation import check_count, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward
from convexrelu.pursuit.square_loss import SquareLoss
from convexrelu.training import gradient_descent

__all__ = [
    "Descent",
    "GradientDescent",
    "InnerSolver",
    "LevenbergMarquardt",
    "LimitedMemoryBFGS",
    "Refit",
    "inner_solver",
    "refit",
    "settle",
]

ROUNDING = 1e-5
"""Width of the rounded kinks as a share of the mean input of a neuron: well below a new neuron's, which is a
hundredth of the others; ten times more would drown it."""

DECAYS = (1e-2, 1e-3, 1e-4)
"""Weight decay times the squared norm of the fit, one descent after the other: it costs an error of a few
parts in a thousand at first, so that no neuron that matters is lost, and of some 1e-5 in the end, which the
last descent removes without moving the rest."""

_NO_GAIN = 1e-9
"""A Gauss-Newton step that lowers the loss by less than this part has converged."""

_LARGEST_DAMPING = 1e12
"""Beyond it no step lowers the loss: the model of a smooth function does not hold here."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """Where a descent ended.

    Attributes
    ----------
    w : (t,) float array
        Trainable weights of a loss not above that of the start.
    n_steps : int
        Steps taken.
    """

    w: Float[np.ndarray, " t"]
    n_steps: int


@dataclass(frozen=True, kw_only=True)
class InnerSolver(ABC):
    """A method that lowers the loss from a given start.

    Attributes
    ----------
    rounds_kinks_off : bool
        Whether a stalled descent is resumed on a loss with rounded kinks, where minimisers lie on kinks.
    settles : bool
        Whether a network that fits is moved to one of less norm that fits as well.
    """

    rounds_kinks_off: bool = True
    settles: bool = True

    @abstractmethod
    def lower(self, loss: SquareLoss, w: Float[np.ndarray, " t"], goal: float, clock: Clock) -> Descent:
        """Return the end of a descent from w: at a loss of `goal`, or where the clock stops it."""


@dataclass(frozen=True, kw_only=True)
class LimitedMemoryBFGS(InnerSolver):
    """SciPy's L-BFGS: the default, for networks of any size.

    Attributes
    ----------
    max_steps : int
        Steps at most.
    patience : int
        It stops when so many steps together gain less than `gain`.
    gain : float
        Relative decrease of the loss.
    memory : int
        Steps remembered.

    Examples
    --------
    >>> LimitedMemoryBFGS(max_steps=100).max_steps
    100
    """

    max_steps: int = 5000
    patience: int = 200
    gain: float = 1e-4
    memory: int = 30

    def lower(self, loss: SquareLoss, w: Float[np.ndarray, " t"], goal: float, clock: Clock) -> Descent:
        """Return the end of a descent from w."""
        from scipy.optimize import OptimizeResult, minimize

        values, points = [np.inf], [w]

        def note(intermediate_result: OptimizeResult) -> None:
            value = float(intermediate_result.fun)
            values.append(value)
            points[0] = np.array(intermediate_result.x)
            before = values[max(len(values) - 1 - self.patience, 0)]
            if value <= goal or clock.expired() or before - value < self.gain * value:
                raise StopIteration

        most, memory = self.max_steps, self.memory
        minimize(
            loss.value_and_gradient,
            w,
            jac=True,
            method="L-BFGS-B",
            callback=note,
            options={"maxiter": most, "maxfun": 2 * most, "maxcor": memory, "ftol": 0, "gtol": 0},
        )
        return Descent(w=points[0], n_steps=len(values) - 1)


@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt(InnerSolver):
    """Damped Gauss-Newton steps with dense normal equations: the fewest steps, for small networks.

    Attributes
    ----------
    max_steps : int
        Steps at most, refused ones included.
    max_weights : int
        Larger networks are refused: each step costs the cube of the number of weights.

    Examples
    --------
    >>> LevenbergMarquardt().max_steps
    300
    """

    max_steps: int = 300
    max_weights: int = 2000

    def lower(self, loss: SquareLoss, w: Float[np.ndarray, " t"], goal: float, clock: Clock) -> Descent:
        """Return the end of a descent from w."""
        if len(w) > self.max_weights:
            raise InvalidInputError(
                f"inner='levenberg-marquardt' is for at most {self.max_weights} weights, got {len(w)}: use "
                "'lbfgs'"
            )
        steps = 0
        value, gradient, matrix = loss.normal_equations(w)
        damping, growth = 1e-3, 2.0
        while steps < self.max_steps and damping < _LARGEST_DAMPING and value > goal and not clock.expired():
            steps += 1
            step = _damped_step(gradient, matrix, damping)
            reached = loss.value(w + step)
            gain = value - reached
            foreseen = -float(gradient @ step) - 0.5 * float(step @ matrix @ step)
            if not gain > 0:
                damping, growth = damping * growth, 2 * growth
                continue
            w = w + step
            converged = gain <= _NO_GAIN * value and damping <= 1.0
            damping *= max(1 / 3, 1 - (2 * gain / foreseen - 1) ** 3) if foreseen > 0 else 1.0
            growth = 2.0
            value, gradient, matrix = loss.normal_equations(w)
            if converged:
                break
        return Descent(w=w, n_steps=steps)


@dataclass(frozen=True, kw_only=True)
class GradientDescent(InnerSolver):
    """Gradient descent with a fixed step on the mean square loss, as in NP Algorithm 1 and appendix C.

    Attributes
    ----------
    step_size : float
        The paper's: 0.001 to 0.005 for sparse functions, 10 for modular addition.
    n_steps : int
        Steps at most.

    Examples
    --------
    >>> GradientDescent(step_size=0.002).n_steps
    70000
    """

    rounds_kinks_off: bool = False
    settles: bool = False
    step_size: float = 0.005
    n_steps: int = 70_000

    def lower(self, loss: SquareLoss, w: Float[np.ndarray, " t"], goal: float, clock: Clock) -> Descent:
        """Return the end of a descent from w."""
        if clock.expired():
            return Descent(w=w, n_steps=0)
        path = gradient_descent(
            loss.X,
            loss.Y,
            loss.network_of(w),
            step_size=check_positive(self.step_size, "step_size"),
            n_steps=check_count(self.n_steps, "n_steps"),
            record=1,
            loss="square",
            reduction="mean",
            stop_loss=goal * loss.size**2 / len(loss.X),
            time_limit=max(clock.left, np.finfo(float).tiny),
        )
        end = path.vectors[-1][loss.free]
        better = loss.value(end) <= loss.value(w)
        return Descent(w=end if better else w, n_steps=int(path.times[-1]))


_SOLVERS: dict[str, InnerSolver] = {
    "lbfgs": LimitedMemoryBFGS(),
    "levenberg-marquardt": LevenbergMarquardt(),
    "gradient-descent": GradientDescent(),
}


def inner_solver(inner: str | InnerSolver) -> InnerSolver:
    """Return the method of that name, or the method itself; or raise InvalidInputError."""
    if isinstance(inner, InnerSolver):
        return inner
    if inner not in _SOLVERS:
        names = ", ".join(map(repr, _SOLVERS))
        raise InvalidInputError(f"inner must be one of {names}, or an InnerSolver, got {inner!r}")
    return _SOLVERS[inner]


@dataclass(frozen=True, kw_only=True, eq=False)
class Refit:
    """A network after the descent.

    Attributes
    ----------
    network : FeedForward
        Its loss is not above that of the start.
    loss : float
        ``||Y - H(X)||^2 / 2``.
    n_steps : int
        Steps of the inner solver, of all descents together.
    """

    network: FeedForward
    loss: float
    n_steps: int


def refit(loss: SquareLoss, inner: InnerSolver, goal: float, clock: Clock) -> Refit:
    """Return the network of the loss after descents from its weights, to `goal` or where the clock stops."""
    first = inner.lower(loss, loss.start, goal, clock)
    w, n_steps = first.w, first.n_steps
    value = loss.value(w)
    if inner.rounds_kinks_off and _on_kinks(loss) and value > goal and not clock.expired():
        along = inner.lower(loss.smoothed(loss.start, ROUNDING), loss.start, goal, clock)
        last = inner.lower(loss, along.w, goal, clock)
        n_steps += along.n_steps + last.n_steps
        reached = loss.value(last.w)
        if reached < value:
            w, value = last.w, reached
    return Refit(network=loss.network_of(w), loss=value * loss.size**2, n_steps=n_steps)


def settle(loss: SquareLoss, inner: InnerSolver, goal: float, clock: Clock) -> Refit:
    """Return the network moved to one of less norm, its loss lowered to `goal` again if it can be."""
    w, n_steps = loss.start, 0
    squared_norm = float(w @ w)
    for decay in DECAYS:
        end = inner.lower(loss.with_decay(decay / squared_norm), w, 0.0, clock)
        w, n_steps = end.w, n_steps + end.n_steps
    last = refit(replace(loss, network=loss.network_of(w)), inner, goal, clock)
    return replace(last, n_steps=n_steps + last.n_steps)


def _on_kinks(loss: SquareLoss) -> bool:
    return loss.activation.kinked and loss.network.depth > 1 and bool(np.any(loss.X))


def _damped_step(
    gradient: Float[np.ndarray, " t"], matrix: Float[np.ndarray, "t t"], damping: float
) -> Float[np.ndarray, " t"]:
    """Return the minimiser of the quadratic model plus damping, in units of its largest curvature."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    diagonal = np.diag(matrix)
    shifted = matrix + damping * max(float(diagonal.max()), np.finfo(float).tiny) * np.eye(len(matrix))
    try:
        return np.asarray(-cho_solve(cho_factor(shifted), gradient))
    except LinAlgError:
        return np.zeros_like(gradient)
