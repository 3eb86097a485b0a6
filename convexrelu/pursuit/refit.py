"""Lower the loss of a grown network to a stationary point, kinks included.

The loss of a network with kinks can have minimisers at which the inputs of neurons are zero on many samples
at once: always on data with discrete values, such as a hypercube's corners. There the derivative jumps, and a
method for smooth functions stops short, although the loss still falls along the kink. A second descent, on
the loss with its kinks rounded off a little, follows such valleys; a third one removes the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convexrelu.networks.feed_forward import FeedForward
from convexrelu.pursuit.inner import InnerSolver
from convexrelu.pursuit.square_loss import SquareLoss, Watch

__all__ = ["Refit", "refit"]

ROUNDING = 1e-5
"""Width of the rounded kinks as a share of the mean input of a neuron: well below a new neuron's, which is a
hundredth of the others; ten times more would drown it."""


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


def refit(loss: SquareLoss, inner: InnerSolver, watch: Watch) -> Refit:
    """Return the network of the loss after a descent from its weights; `watch` says when to stop."""
    first = inner.lower(loss, loss.start, watch)
    w, n_steps = first.w, first.n_steps
    value = loss.value(w)
    if inner.rounds_kinks_off and _on_kinks(loss) and not watch.over(value):
        along = inner.lower(loss.smoothed(loss.start, ROUNDING), loss.start, watch)
        last = inner.lower(loss, along.w, watch)
        n_steps += along.n_steps + last.n_steps
        reached = loss.value(last.w)
        if reached < value:
            w, value = last.w, reached
    return Refit(network=loss.network_of(w), loss=value * loss.size**2, n_steps=n_steps)


def _on_kinks(loss: SquareLoss) -> bool:
    return loss.activation.kinked and loss.network.depth > 1 and bool(np.any(loss.X))
