"""Maxima of the constrained NCF on kinks: smoothed until the structure shows, then resolved by the oracle.

For power 1 and alpha < 1 maxima lie on kinks, where ascent along gradients crawls. From each start, N
itself is followed as far as steps gain; then the activation is smoothed on the scale mu
(:class:`~convexrelu.networks.SmoothedLeakyReLU`, zero at zero), and Newton's method follows the maximum while
mu shrinks. Once the layers have rank one with non-negative entries, to rounding, the direction of the first
layer is climbed by the oracle's local phase, which resolves kinks to the last digit. Other maxima are
followed to a mu where smoothing is hardly more than rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu.ncf.one_neuron import NeuronProblem, TwoSidedPower, climb, rank_one_layers
from convexrelu.ncf.sphere import SphereProblem, ascend, follow, polish, unit
from convexrelu.networks.activations import PowerLeakyReLU, SmoothedLeakyReLU
from convexrelu.networks.layers import Layers, pack, unpack

__all__ = ["KinkedEnd", "kinked_ends"]

_COARSE = (1e-2, 3e-3, 1e-3)
"""Scales of smoothing, beside data at size one, until the structure is looked at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KinkedEnd:
    """A maximum as the smoothed ascent found it, and as it is.

    Attributes
    ----------
    smoothed : sequence of (k_l, k_{l-1}) float arrays
        The layers of the maximum smoothed on the scale 1e-3.
    resolved : sequence of (k_l, k_{l-1}) float arrays
        The layers of the maximum itself.
    """

    smoothed: Layers
    resolved: Layers


def kinked_ends(
    X: Float[np.ndarray, "n d"],
    z: Float[np.ndarray, "n k"],
    activation: PowerLeakyReLU,
    free: tuple[Float[np.ndarray, "_ _"], ...],
    starts: Float[np.ndarray, "s w"],
) -> list[KinkedEnd]:
    """Return the maxima that the starts lead to, without those where N is not positive.

    The activation is of power 1 with a kink, and `free` tells the shapes of the layers.
    """
    sharp = SphereProblem(X=X, z=z, activation=activation, free=free)
    fine = np.geomspace(3e-4, 1e-9, 12).tolist()  # scales for maxima that are not of rank one
    ladder = [
        replace(sharp, activation=SmoothedLeakyReLU(activation.alpha, mu, shift=mu))
        for mu in (*_COARSE, *fine)
    ]
    shape = TwoSidedPower.of(activation, (1.0,) * (len(free) - 2))
    single = NeuronProblem(G=X, M=z, shape=shape)
    found = []
    # first steps along the gradient of N itself, before any smoothing
    for point in ascend(ladder[0], follow(sharp, starts, rounds=200)):
        end = _followed(ladder[1 : len(_COARSE)], point)
        vectors, misfit = _rank_one_vectors(unpack(end, free))
        best = climb(single, vectors[0])
        # Layers have rank one, and non-negative entries, if this share of their norm is left over: it is some
        # 1e-12 where they do, and of the order of 1 where they do not.
        if misfit <= 1e-6 and best.value > 0:
            layers = rank_one_layers([best.u, *vectors[1:-1], best.b], 1)
        else:
            layers = unpack(_followed(ladder[len(_COARSE) :], end), free)
        if sharp.positive(pack(layers)):
            found.append(KinkedEnd(smoothed=unpack(end, free), resolved=layers))
    return found


def _followed(ladder: Sequence[SphereProblem], w: Float[np.ndarray, " w"]) -> Float[np.ndarray, " w"]:
    """Return the maximum near w of each problem in turn, as long as it is positive."""
    for problem in ladder:
        if not problem.positive(w):
            break
        w = polish(problem, w)
    return w


def _rank_one_vectors(layers: Layers) -> tuple[list[Float[np.ndarray, " _"]], float]:
    """Return unit vectors ``b_1, a_1, ..., a_{L-1}, q`` and how far the layers are from ``a_l a_{l-1}^T``.

    The a_l of the hidden layers have non-negative entries.
    """
    vectors: list[Float[np.ndarray, " _"]] = []
    misfit = 0.0
    for W in layers:
        U, values, V = np.linalg.svd(W, full_matrices=False)
        a, b = U[:, 0], V[0]
        sign = -1.0 if (a.sum() if not vectors else b @ vectors[-1]) < 0 else 1.0
        a, b = sign * a, sign * b
        misfit = max(misfit, float(np.linalg.norm(values[1:]) / max(values[0], np.finfo(float).tiny)))
        if vectors:
            misfit = max(misfit, float(np.linalg.norm(b - vectors[-1])))
        else:
            vectors.append(b)
        if len(vectors) < len(layers):
            misfit = max(misfit, float(np.linalg.norm(np.minimum(a, 0.0))))
            a = unit(np.maximum(a, 0.0)) if (a > 0).any() else a
        vectors.append(a)
    return vectors, misfit
