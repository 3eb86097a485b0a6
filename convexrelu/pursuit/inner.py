"""The methods that lower the loss of a network between two added neurons.

All start at the same point, the old network with a small new neuron. Gradient descent is what the algorithm
was stated with (NP Algorithm 1, lines 12 to 15); the others reach a stationary point in a hundredth of its
steps.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._validation import check_count, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.pursuit.square_loss import SquareLoss, Watch
from convexrelu.training import gradient_descent

__all__ = [
    "Descent",
    "GradientDescent",
    "InnerSolver",
    "LevenbergMarquardt",
    "LimitedMemoryBFGS",
    "inner_solver",
]

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
    """

    rounds_kinks_off: bool = True

    @abstractmethod
    def lower(self, loss: SquareLoss, w: Float[np.ndarray, " t"], watch: Watch) -> Descent:
        """Return the end of a descent from w; Ctrl-C ends it early and is noted on the watch."""


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

    def lower(self, loss: SquareLoss, w: Float[np.ndarray, " t"], watch: Watch) -> Descent:
        """Return the end of a descent from w."""
        from scipy.optimize import OptimizeResult, minimize

        values, points = [np.inf], [w]

        def note(intermediate_result: OptimizeResult) -> None:
            value = float(intermediate_result.fun)
            values.append(value)
            points[0] = np.array(intermediate_result.x)
            before = values[max(len(values) - 1 - self.patience, 0)]
            if watch.over(value) or before - value < self.gain * value:
                raise StopIteration

        most, memory = self.max_steps, self.memory
        try:
            minimize(
                loss.value_and_gradient,
                w,
                jac=True,
                method="L-BFGS-B",
                callback=note,
                options={"maxiter": most, "maxfun": 2 * most, "maxcor": memory, "ftol": 0, "gtol": 0},
            )
        except KeyboardInterrupt:
            watch.interrupted = True
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

    def lower(self, loss: SquareLoss, w: Float[np.ndarray, " t"], watch: Watch) -> Descent:
        """Return the end of a descent from w."""
        if len(w) > self.max_weights:
            raise InvalidInputError(
                f"inner='levenberg-marquardt' is for at most {self.max_weights} weights, got {len(w)}: use "
                "'lbfgs'"
            )
        steps = 0
        try:
            value, gradient, matrix = loss.normal_equations(w)
            damping, growth = 1e-3, 2.0
            while steps < self.max_steps and damping < _LARGEST_DAMPING and not watch.over(value):
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
        except KeyboardInterrupt:
            watch.interrupted = True
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
    step_size: float = 0.005
    n_steps: int = 70_000

    def lower(self, loss: SquareLoss, w: Float[np.ndarray, " t"], watch: Watch) -> Descent:
        """Return the end of a descent from w."""
        left = watch.deadline - time.monotonic()
        if left <= 0:
            return Descent(w=w, n_steps=0)
        path = gradient_descent(
            loss.X,
            loss.Y,
            loss.network_of(w),
            step_size=check_positive(self.step_size, "step_size"),
            n_steps=check_count(self.n_steps, "n_steps"),
            record=1,
            stop_loss=watch.goal * loss.size**2 / len(loss.X),
            time_limit=left if np.isfinite(left) else None,
            loss="square",
            reduction="mean",
        )
        watch.interrupted = watch.interrupted or path.status == "interrupted"
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
