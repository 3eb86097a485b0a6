"""Where a trained network is heading: the KKT point of its own activity patterns, to the last digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.errors import SolverError
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers.problem import Neurons, prepare
from convexrelu.solvers.reduced_program import resolved

__all__ = ["Limit", "limit_of"]

# Neurons this small a share of sum ||u_i|| play no part: at the start all are equal, and those of the limit
# outgrow the rest.
SHARE = 1e-5

_SAME_DIRECTION = 1e-6  # the interior-point solver resolves directions to about the root of its gap


@dataclass(frozen=True, kw_only=True, eq=False)
class Limit:
    """A KKT point of max-margin training, with its multiplier.

    Attributes
    ----------
    network : TwoLayerReLU
        Balanced, at margin 1.
    lam : (n,) float array
        Its KKT multiplier (not necessarily dual feasible).
    """

    network: TwoLayerReLU
    lam: Float[np.ndarray, " n"]


def limit_of(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    network: TwoLayerReLU,
    lam: Float[np.ndarray, " n"],
    *,
    at_least: float,
) -> Limit:
    """Return the best network with the own-class activities of the growing neurons of `network`.

    `network` must fit the data.
    If descent converges in direction to a KKT point of WP (13) with these activities, this is that point:
    with the activities on their own class fixed the problem is convex, and its KKT conditions are the same.
    `lam` are the loss weights at the trajectory's end: a neuron grows at a rate proportional to its
    correlation with them, so that those below `at_least` times the largest correlation vanish from the
    direction in the end, however slowly. Raises SolverError if there is no such point.
    """
    problem = prepare(X, y, np.inf)
    neurons = problem.neurons(network)
    sizes = np.linalg.norm(neurons.U, axis=1)
    rates = problem.features(neurons).T @ problem.multipliers(lam) / np.where(sizes > 0, sizes, 1.0)
    live = neurons.kept((sizes > SHARE * sizes.sum()) & (rates >= at_least * rates.max()))
    fitted = Neurons(U=live.U / network.margin(X, y), signs=live.signs)
    answer = resolved(problem, fitted)
    found = problem.network(answer.neurons).merged(tol=_SAME_DIRECTION).pruned(tol=1e-8)
    if not found.n_neurons or found.margin(X, y) <= 0:
        raise SolverError(
            "the activity patterns of the network's large neurons do not fit the data by themselves"
        )
    return Limit(network=found.rescaled_to_margin(X, y).balanced(), lam=problem.dual(answer.mu))
