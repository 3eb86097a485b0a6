"""The constrained NCF of a network with one neuron in each hidden layer, by reduction to a single neuron.

With hidden weights ``w_2, ..., w_{L-1}`` of given signs, the layers between the first and the last act as one
function of ``t = w_1^T x``, homogeneous on either side of zero. What remains is the search for one neuron
whose activation is that function (:mod:`convexrelu.ncf.one_neuron`), and the norms in closed form:
N is of degree ``p^{L-l}`` in the l-th layer, so that at its maximum ``||w_l||^2 = p^{L-l} / phat`` with
``phat = p^{L-1} + ... + 1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from convexrelu.ncf.one_neuron import NeuronMaximum, NeuronProblem, TwoSidedPower, find_maxima
from convexrelu.networks import FeedForward, PowerLeakyReLU

__all__ = ["ChainMaximum", "maximize_chain"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChainMaximum:
    """A KKT point of the constrained NCF of a network with one neuron in each hidden layer.

    Attributes
    ----------
    network : FeedForward
        Of unit norm.
    value : float
        Its NCF, positive.
    stationarity : float
        First-order residual in the direction of the first layer, in Clarke's sense at kinks; the other layers
        are in closed form.
    proven : bool
        Whether it is the global maximum, proven by the exact oracle for every choice of signs.
    """

    network: FeedForward
    value: float
    stationarity: float
    proven: bool


def maximize_chain(
    X: Float[np.ndarray, "n d"],
    z: Float[np.ndarray, "n k"],
    *,
    depth: int,
    activation: PowerLeakyReLU,
    n_starts: int,
    rng: np.random.Generator,
) -> list[ChainMaximum]:
    """Return KKT points of positive NCF of a network with one neuron a hidden layer, best first.

    One point for each choice of signs of the hidden weights that leaves a function other than zero, the best
    of `n_starts` starts.
    """
    points, proven = [], True
    for signs in product((1.0, -1.0), repeat=depth - 2):
        problem = NeuronProblem(G=X, M=z, shape=TwoSidedPower.of(activation, signs))
        if problem.shape.zero or problem.scale == 0:
            continue
        maxima = find_maxima(problem, n_starts=n_starts, rng=rng)
        proven = proven and bool(maxima) and maxima[0].proven
        if maxima:
            points.append((signs, maxima[0]))
    points.sort(key=lambda point: -point[1].value)
    return [
        _chain(activation, signs, best, proven=proven and rank == 0)
        for rank, (signs, best) in enumerate(points)
    ]


def _chain(
    activation: PowerLeakyReLU, signs: tuple[float, ...], best: NeuronMaximum, *, proven: bool
) -> ChainMaximum:
    """Return the network of unit norm with the best norms of its layers."""
    degrees = activation.power ** np.arange(len(signs) + 1, -1, -1)
    sizes = np.sqrt(degrees / degrees.sum())
    hidden = [np.array([[sign * size]]) for sign, size in zip(signs, sizes[1:-1], strict=True)]
    weights = [sizes[0] * best.u[None, :], *hidden, sizes[-1] * best.b[:, None]]
    return ChainMaximum(
        network=FeedForward(weights, activation),
        value=float(best.value * np.prod(sizes**degrees)),
        stationarity=best.stationarity,
        proven=proven,
    )
