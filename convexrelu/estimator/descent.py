"""A network to begin a fit with: a few neurons, by descent on the objective itself.

In many dimensions the search for neurons one by one comes to a good network slowly, and descent does in a
moment; what it cannot tell is how good that is. So a fit begins with it, and the solver improves and judges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from convexrelu._clock import Clock
from convexrelu.certificates.weight_decay import Decayed, WeightDecay
from convexrelu.networks import ReLUNetwork, TwoLayerReLU
from convexrelu.solvers.regularized.model import SmoothedLoss

__all__ = ["descended"]

WIDTH = 16  # neurons, besides two an output that begin as a linear fit; weight decay empties what is too much
STEPS = 100  # of L-BFGS: what more of them gain is less than the gap that fits ask for
_STEP, _PRODUCT = 5e-4, 3e-9  # seconds for a step, and for a row, a column and a neuron in it, as measured
# Kinks of losses of labels are rounded off so many times as widely as the solver does at first: few samples
# are near their kink in the end, while all residuals of a regression are.
_WIDER = 5.0
_RIDGE = 1e-2  # of the mean square of the features
_SMALL = 0.1  # of the targets' spread: what all random neurons are worth in the beginning
_EMPTY = 1e-9  # of the largest neuron


class _Shape(NamedTuple):
    """How a vector of parameters holds the weights of both layers and the constants."""

    m: int
    d: int
    outputs: int
    constants: int

    def split(self, parameters: Float[np.ndarray, " p"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return W1 (m, d), W2 (K, m), and the constants (K,) or none."""
        first = self.m * self.d
        second = first + self.outputs * self.m
        return (
            parameters[:first].reshape(self.m, self.d),
            parameters[first:second].reshape(self.outputs, self.m),
            parameters[second:],
        )


def descended(problem: WeightDecay, *, work: float, clock: Clock) -> Decayed:
    """Return the network that descent comes to from a linear fit and a few small random neurons.

    Kinks of the loss are rounded off meanwhile. It has as many steps as should take so many seconds of `work`
    on an idle machine, whatever they take on this one, and ends early if the clock expires.
    """
    targets = problem.y.reshape(len(problem.y), -1)
    constant = np.average(targets, axis=0, weights=problem.weights)
    spread = float(np.sqrt(np.average(np.square(targets - constant).sum(axis=1), weights=problem.weights)))
    spread = spread if spread > 0 else 1.0  # then there is nothing to learn, and any will do
    loss = SmoothedLoss.of(problem)
    if problem.loss.takes_labels:
        loss = loss.moved(loss.centre, _WIDER * loss.mu)
    shape, start = _beginning(problem, targets, spread)

    def objective(parameters: Float[np.ndarray, " p"]) -> tuple[float, Float[np.ndarray, " p"]]:
        W1, W2, constants = shape.split(parameters)
        active = problem.X @ W1.T
        np.maximum(active, 0.0, out=active)
        outputs = active @ W2.T + (constants if shape.constants else 0.0)
        shaped = outputs.reshape(problem.y.shape)
        with np.errstate(over="ignore"):  # a step too long is not taken
            value, pull = loss.value(shaped), loss.multipliers(shaped)
        pull = np.nan_to_num(pull).reshape(outputs.shape)
        priced = len(parameters) if problem.output_bias == "penalised" else len(parameters) - shape.constants
        value += 0.5 * problem.beta * float(np.square(parameters[:priced]).sum())
        slopes = np.concatenate(
            [
                -(((pull @ W2) * (active > 0)).T @ problem.X).ravel(),
                -(pull.T @ active).ravel(),
                -pull.sum(axis=0)[: shape.constants],
            ]
        )
        slopes[:priced] += problem.beta * parameters[:priced]
        return (value if np.isfinite(value) else np.finfo(float).max), slopes

    steps = max(1, int(min(STEPS, work / (_STEP + _PRODUCT * problem.X.size * shape.m))))

    def look(intermediate_result: object) -> None:  # noqa: ARG001  SciPy tells by the name what it gives
        if clock.expired():
            raise StopIteration

    found = minimize(objective, start, jac=True, method="L-BFGS-B", callback=look, options={"maxiter": steps})
    return problem.rescaled(_network(problem, *shape.split(found.x)))


def _beginning(
    problem: WeightDecay, targets: Float[np.ndarray, "n k"], spread: float
) -> tuple[_Shape, Float[np.ndarray, " p"]]:
    """Return a linear fit, each output's by two neurons, beside small random ones of both signs."""
    X, weights = problem.X, problem.weights
    d, K = X.shape[1], targets.shape[1]
    shape = _Shape(2 * K + WIDTH, d, K, K if problem.output_bias else 0)
    gram = (X.T * weights) @ X
    ridge = _RIDGE * np.trace(gram) / d
    linear = np.linalg.lstsq(gram + ridge * np.eye(d), (X.T * weights) @ targets, rcond=None)[0].T
    roots = np.sqrt(np.linalg.norm(linear, axis=1))
    W1 = np.zeros((shape.m, d))
    W2 = np.zeros((K, shape.m))
    for k in np.flatnonzero(roots > 0):
        W1[2 * k], W1[2 * k + 1] = linear[k] / roots[k], -linear[k] / roots[k]
        W2[k, 2 * k], W2[k, 2 * k + 1] = roots[k], -roots[k]
    rng = np.random.default_rng(0)
    length = np.sqrt(np.average(np.square(X).sum(axis=1), weights=weights)) or 1.0
    size = np.sqrt(_SMALL * spread / (WIDTH * length))
    ingoing, outgoing = rng.normal(size=(WIDTH, d)), rng.normal(size=(K, WIDTH))
    W1[2 * K :] = size * ingoing / np.linalg.norm(ingoing, axis=1, keepdims=True)
    W2[:, 2 * K :] = size * outgoing / np.linalg.norm(outgoing, axis=0)
    return shape, np.concatenate([W1.ravel(), W2.ravel(), np.zeros(shape.constants)])


def _network(
    problem: WeightDecay,
    W1: Float[np.ndarray, "m d"],
    W2: Float[np.ndarray, "k m"],
    constants: Float[np.ndarray, " c"],
) -> TwoLayerReLU | ReLUNetwork:
    """Return the neurons that count, as a network of the problem's kind."""
    sizes = np.linalg.norm(W1, axis=1) * np.linalg.norm(W2, axis=0)
    kept = (sizes > _EMPTY * sizes.max()) & (problem.X @ W1.T > 0).any(axis=0)
    W1, W2 = W1[kept], W2[:, kept]
    if problem.y.ndim == 2:
        return ReLUNetwork(W1, W2, output_bias=constants if len(constants) else 0.0)
    if problem.output_bias:
        return ReLUNetwork(W1, W2[0], output_bias=float(constants[0]))
    return TwoLayerReLU(W1, W2[0])
