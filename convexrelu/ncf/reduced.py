"""The constrained NCF for power 1 and kinks, reduced to one direction: the oracle's problem.

If all hidden weights are ``W_l = a_l b_l^T`` with non-negative entries behind the first layer, the network is
``H(x) = c q s^{L-1}(x^T u)``, s^{L-1} being s composed L - 1 times, and KKT points of the constrained NCF
are those of ``max sum_i (q^T z_i) s^{L-1}(x_i^T u)`` over unit vectors u and q (K-deep Theorem 3; q is a
sign for one output). For two layers nothing is lost: N is then a sum over neurons, and all neurons of a
maximum attain the same value.

For power 1, ``s^{L-1}(x) = beta x + (1 - beta) (x)_+``, and ``x_i^T u = (x_i^T u)_+ - (-x_i^T u)_+``: this
is the correlation of one ReLU neuron with the rows X and +-g, ``g = beta X^T z``. So the local phase of the
oracle climbs it to the last digit, kinks included, and the oracle proves which maximum is global.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.ncf.sphere import unit
from convexrelu.networks.activations import PowerLeakyReLU
from convexrelu.networks.layers import Layers
from convexrelu.oracle.ascent import climb
from convexrelu.oracle.neuron import DualNorm, dual_norm
from convexrelu.oracle.zonotopes import zonotopes_of

__all__ = [
    "ReducedMaximum",
    "alike",
    "composed_slope",
    "rank_one_layers",
    "reduced_maximum",
    "reduced_oracle",
]

_MOST_TURNS = 500
"""Changes of the outputs' direction q at most: they converge linearly, as a rule within fifty."""

_SETTLED = 1e-14
"""A change of q below this one is rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReducedMaximum:
    """A local maximum of ``sum_i (q^T z_i) s^{L-1}(x_i^T u)``.

    Attributes
    ----------
    value : float
        What it attains; 0 if the start led to no positive value.
    u : (d,) float array
        The unit vector of the first layer (zero if the value is).
    q : (k_L,) float array
        The unit vector of the outputs; a sign for one output.
    """

    value: float
    u: Float[np.ndarray, " d"]
    q: Float[np.ndarray, " k"]


def composed_slope(activation: PowerLeakyReLU, times: int) -> float:
    """Return beta: s composed so many times is x for x > 0 and beta x for x < 0 (power 1)."""
    value = -np.ones(1)
    for _ in range(times):
        value = activation(value)
    return -float(value[0])


def reduced_maximum(
    X: Float[np.ndarray, "n d"],
    z: Float[np.ndarray, "n k"],
    beta: float,
    u: Float[np.ndarray, " d"],
    q: Float[np.ndarray, " k"],
) -> ReducedMaximum:
    """Return the local maximum that the climb from u and q leads to."""
    best = ReducedMaximum(value=0.0, u=np.zeros_like(u), q=q)
    for _ in range(_MOST_TURNS):
        pair = zonotopes_of(*_as_neuron(X, z @ q, beta))
        start = u @ pair.basis
        if not start.any() or not len(pair.positive):
            return best
        found = climb(pair, unit(start)[None])
        if not len(found.values):
            return best
        u = unit(pair.basis @ found.directions[0])
        correlation = z.T @ _bent(X @ u, beta)
        value = float(np.linalg.norm(correlation))
        if z.shape[1] == 1:
            return ReducedMaximum(value=float(q @ correlation), u=u, q=q)
        if value <= 0:
            return best
        change = float(np.linalg.norm(correlation / value - q))
        q = correlation / value
        best = ReducedMaximum(value=value, u=u, q=q)
        if change <= _SETTLED:
            return best
    return best


def reduced_oracle(
    X: Float[np.ndarray, "n d"], z: Float[np.ndarray, " n"], beta: float, seconds: float | None
) -> DualNorm:
    """Return the exact maximum over both signs q, or the bounds found in time."""
    return dual_norm(*_as_neuron(X, z, beta), time_limit=seconds)


def rank_one_layers(vectors: Sequence[Float[np.ndarray, " _"]], power: int) -> Layers:
    """Return the unit-norm layers ``W_l = sqrt(p^{L-l}/phat) e_l e_{l-1}^T``, ``phat = p^{L-1} + ... + 1``.

    The unit vectors e_0 (the direction of the first layer), ..., e_L (that of the outputs) are given: this
    is the form of K-deep Theorems 3 and 4, ``||a_l||^2 = ||b_l||^2 = sqrt(p^{L-l}/phat)``.
    """
    shares = float(power) ** np.arange(len(vectors) - 2, -1, -1)
    sizes = np.sqrt(shares / shares.sum())
    return [c * np.outer(e, f) for c, e, f in zip(sizes, vectors[1:], vectors[:-1], strict=True)]


def alike(k: int, n_active: int) -> Float[np.ndarray, " k"]:
    """Return the unit vector of k entries whose first `n_active` ones (or all) are equal, the rest zero."""
    active = min(n_active, k)
    return np.concatenate([np.full(active, active**-0.5), np.zeros(k - active)])


def _bent(x: Float[np.ndarray, " n"], beta: float) -> Float[np.ndarray, " n"]:
    return np.where(x > 0, x, beta * x)


def _as_neuron(
    X: Float[np.ndarray, "n d"], z: Float[np.ndarray, " n"], beta: float
) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
    """Return rows and weights whose correlation with one ReLU neuron is the reduced problem."""
    g = beta * (z @ X)
    if not g.any():
        return X, (1.0 - beta) * z
    return np.vstack([X, g, -g]), np.concatenate([(1.0 - beta) * z, [1.0, -1.0]])
