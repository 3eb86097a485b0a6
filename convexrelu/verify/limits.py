"""Where a run is heading: the KKT point of activity patterns, and whether it is the limit of this run.

Near its limit a run's neurons keep their activity on their own class, and with these fixed max-margin
training is a convex program, whose optimum is the limit (:func:`limit_of`). Weak duality tells whether the
run is really near: with the program's value P and multiplier lam, every network at margin 1 has ``sum_i
||u_i|| - P = sum_i ||u_i|| (1 - r_i) + sum_n |lam_n| (y_n f(x_n) - 1)``, r_i being the correlation of neuron
i with lam. If no neuron of the run has r_i > 1, all terms are non-negative, so that a run whose objective is
close to P is close to the point. A neuron with r_i > 1 outgrows the others sooner or later, however small it
is now: then the point is not this run's limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.errors import SolverError
from convexrelu.networks import TwoLayerReLU
from convexrelu.oracle import climb, zonotopes_of
from convexrelu.solvers.problem import Neurons, prepare
from convexrelu.solvers.reduced_program import resolved

__all__ = ["Heading", "Limit", "enlarged", "headings", "largest_correlation", "limit_of", "polished"]

GROWING = (0.0, 0.9, 0.99)
"""Shares of the largest correlation, tried in turn, that tell the limit's neurons from those left behind."""

OUTGROWS = 1e-4
"""By how much a correlation must exceed 1 to say so: multipliers are accurate to the root of the interior
point's gap of 1e-10, times their condition."""

_ROUNDS = 6  # activities repeat after one or two
_STEADY = 1e-10  # relative change of the objective below which activities repeat


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Heading(Limit):
    """A KKT point, and whether the neurons of the run that it was found from let it be their limit.

    Attributes
    ----------
    largest : float
        Largest correlation with lam among the run's neurons.
    """

    largest: float

    @property
    def settled(self) -> bool:
        """Whether no neuron of the run outgrows the point's."""
        return self.largest <= 1 + OUTGROWS


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
    # Neurons with less than this share of ``sum ||u_i||`` play no part: at the start all are equal, and those
    # of the limit outgrow the rest.
    live = neurons.kept((sizes > 1e-5 * sizes.sum()) & (rates >= at_least * rates.max()))
    fitted = Neurons(U=live.U / network.margin(X, y), signs=live.signs)
    answer = resolved(problem, fitted)
    # the interior-point solver resolves directions to about the root of its gap
    found = problem.network(answer.neurons).merged(tol=1e-6).pruned(tol=1e-8)
    if not found.n_neurons or found.margin(X, y) <= 0:
        raise SolverError(
            "the activity patterns of the network's large neurons do not fit the data by themselves"
        )
    return Limit(network=found.rescaled_to_margin(X, y).balanced(), lam=problem.dual(answer.mu))


def headings(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    last: TwoLayerReLU,
    lam: Float[np.ndarray, " n"],
) -> Iterator[Heading]:
    """Yield KKT points that a network which fits the data may be heading for, the likeliest first.

    `lam` are the loss weights there. First the best point of all its neurons' activities, with the directions
    that its neurons climb to if they outgrow that; then those of the fastest-growing neurons alone.
    """
    for share in GROWING:
        with suppress(SolverError):
            found = polished(X, y, limit_of(X, y, last, lam, at_least=share))
            yield _heading(X, last, found)
            if share == GROWING[0]:
                grown = _outgrown(X, y, last, found)
                if grown is not found:
                    yield _heading(X, last, grown)


def _heading(X: Float[np.ndarray, "n d"], last: TwoLayerReLU, limit: Limit) -> Heading:
    largest = largest_correlation(X, last, limit.lam)
    return Heading(network=limit.network, lam=limit.lam, largest=largest)


def polished(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], limit: Limit) -> Limit:
    """Return the point reached by taking a point's own activities and solving again, until they repeat."""
    for _ in range(_ROUNDS):
        try:
            again = limit_of(X, y, limit.network, limit.lam, at_least=0.0)
        except SolverError:
            return limit
        gain = limit.network.objective() - again.network.objective()
        if gain > 0:
            limit = again
        if gain <= _STEADY * limit.network.objective():
            return limit
    return limit


def enlarged(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    limit: Limit,
    directions: Float[np.ndarray, "k d"],
    signs: Float[np.ndarray, " k"],
) -> Limit:
    """Return the best point with a point's activities and those of further neurons (unit directions).

    The point itself if that is no better, or the program fails.
    """
    network = limit.network
    # a direction enters with this share of the objective, and the program finds the size itself
    seeds = TwoLayerReLU.from_directions(1e-2 * network.objective() * directions, signs)
    joined = TwoLayerReLU(np.vstack([network.W1, seeds.W1]), np.r_[network.w2, seeds.w2])
    try:
        first = limit_of(X, y, joined, limit.lam, at_least=0.0)
    except SolverError:
        return limit
    found = polished(X, y, first)
    better = found.network.objective() < network.objective() * (1 - _STEADY)
    return found if better else limit


def largest_correlation(
    X: Float[np.ndarray, "n d"], network: TwoLayerReLU, lam: Float[np.ndarray, " n"]
) -> float:
    """Return the largest correlation with lam among a network's neurons, as they point now."""
    correlations = network.signs * (lam @ np.maximum(X @ _units(network.W1).T, 0.0))
    return float(correlations.max(initial=0.0))


def _outgrown(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], last: TwoLayerReLU, limit: Limit
) -> Limit:
    """Return the point after the run's own neurons joined it wherever they climb to a correlation above 1."""
    for _ in range(_ROUNDS):
        directions, signs = _climbed(X, last, limit.lam)
        if not len(signs):
            return limit
        found = enlarged(X, y, limit, directions, signs)
        if found is limit:
            return limit
        limit = found
    return limit


def _climbed(
    X: Float[np.ndarray, "n d"], network: TwoLayerReLU, lam: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Return where the network's neurons climb to in correlation with lam, if that is above 1; and signs."""
    directions, signs = [np.zeros((0, X.shape[1]))], [np.zeros(0)]
    for sign in (1.0, -1.0):
        pair = zonotopes_of(X, sign * lam)
        starts = _units(network.W1[network.signs == sign]) @ pair.basis
        starts = starts[np.linalg.norm(starts, axis=1) > 0]
        if not len(starts) or not len(pair.positive):
            continue
        maxima = climb(pair, starts)
        above = maxima.values > 1 + OUTGROWS
        directions.append(maxima.directions[above] @ pair.basis.T)
        signs.append(np.full(int(above.sum()), sign))
    return np.vstack(directions), np.concatenate(signs)


def _units(W1: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k d"]:
    """Return the rows at length 1 (zero rows stay)."""
    sizes = np.linalg.norm(W1, axis=1, keepdims=True)
    return np.asarray(W1 / np.where(sizes > 0, sizes, 1.0))
