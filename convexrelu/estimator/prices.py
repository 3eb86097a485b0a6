"""The scale of the price of the weights: from where on no neuron is worth it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from convexrelu.certificates.regularized import norm_of
from convexrelu.certificates.weight_decay import WeightDecay

__all__ = ["best_constant", "largest_price"]

_DOUBLINGS = 200  # of an interval, until it holds the best constant
_BISECTIONS = 60
_NOTHING = 1e-12  # of the multipliers at zero: what is left of them at the best constant is rounding


def largest_price(problems: Sequence[WeightDecay]) -> float:
    """Return the beta from which on no neuron is worth its price, as far as local search sees.

    It is ``h(-s l'(c))`` with the strongest neuron that is found, a scale that nothing rests upon: at the
    best constant c for real targets, at zero for labels. (Where one class has nearly all the weight its best
    constant leaves next to nothing to learn, and what is left is not to be learnt at any price.) One where
    all targets are the same.
    """
    prices = []
    for problem in problems:
        zero = np.zeros(problem.y.shape)
        lam = at_zero = problem.multipliers(zero)
        if problem.output_bias and not (problem.loss.takes_labels or problem.loss.name == "softmax"):
            lam = problem.multipliers(zero + best_constant(problem))
        left = np.abs(lam).sum() > _NOTHING * np.abs(at_zero).sum()
        prices.append(norm_of(problem, lam, search=False).value if left else 0.0)
    return max(prices) or 1.0


def best_constant(problem: WeightDecay) -> Float[np.ndarray, ...]:
    """Return the constant output of least loss, to rounding, for real targets."""
    if problem.loss.vector:
        return np.asarray(np.average(problem.y, axis=0, weights=problem.weights))

    def pull(c: float) -> float:
        return float(problem.multipliers(np.full(len(problem.y), c)).sum())

    # what pulls decreases in c
    low, high = -1.0, 1.0
    for _ in range(_DOUBLINGS):
        low, high = (2 * low if pull(low) < 0 else low), (2 * high if pull(high) > 0 else high)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if pull(middle) > 0 else (low, middle)
    return np.asarray(0.5 * (low + high))
