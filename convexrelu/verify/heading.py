"""The KKT point that a trajectory is heading for, from where it stands.

Near its limit a run's neurons keep their activity on their own class, and with these fixed max-margin
training is a convex program, whose optimum is the limit (:func:`convexrelu.verify.limits.limit_of`). Weak
duality tells whether the run is really near: with the program's value P and multiplier lam, every network at
margin 1 has ``sum_i ||u_i|| - P = sum_i ||u_i|| (1 - r_i) + sum_n |lam_n| (y_n f(x_n) - 1)``, r_i being the
correlation of neuron i with lam. If no neuron of the run has r_i > 1, all terms are non-negative, so that a
run whose objective is close to P is close to the point. A neuron with r_i > 1 outgrows the others sooner or
later, however small it is now: then the point is not this run's limit.
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
from convexrelu.verify.limits import Limit, limit_of

__all__ = ["Heading", "enlarged", "headings", "largest_correlation", "polished"]

GROWING = (0.0, 0.9, 0.99)
"""Shares of the largest correlation, tried in turn, that tell the limit's neurons from those left behind."""

OUTGROWS = 1e-4
"""By how much a correlation must exceed 1 to say so: multipliers are accurate to the root of the interior
point's gap of 1e-10, times their condition."""

_ROUNDS = 6  # activities repeat after one or two
_STEADY = 1e-10  # relative change of the objective below which activities repeat
_SEED_SHARE = 1e-2  # of the objective: a direction enters with it, and the program finds the size itself


@dataclass(frozen=True, kw_only=True, eq=False)
class Heading:
    """A KKT point, and whether the neurons of the run that it was found from let it be their limit.

    Attributes
    ----------
    network : TwoLayerReLU
        The point, balanced, at margin 1.
    lam : (n,) float array
        Its multiplier.
    largest : float
        Largest correlation with lam among the run's neurons.
    """

    network: TwoLayerReLU
    lam: Float[np.ndarray, " n"]
    largest: float

    @property
    def settled(self) -> bool:
        """Whether no neuron of the run outgrows the point's."""
        return self.largest <= 1 + OUTGROWS


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
            first = limit_of(X, y, last, lam, at_least=share)
            found = polished(X, y, first)
            yield Heading(
                network=found.network, lam=found.lam, largest=largest_correlation(X, last, found.lam)
            )
            if share == GROWING[0]:
                grown = _outgrown(X, y, last, found)
                if grown is not found:
                    yield Heading(
                        network=grown.network, lam=grown.lam, largest=largest_correlation(X, last, grown.lam)
                    )


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
    seeds = TwoLayerReLU.from_directions(_SEED_SHARE * network.objective() * directions, signs)
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
