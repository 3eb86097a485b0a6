"""The loss that a grown network is refitted on, as a function of one vector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from convexrelu.networks import (
    Activation,
    FeedForward,
    Pass,
    PowerLeakyReLU,
    SmoothedLeakyReLU,
    forward,
    pack,
    unpack,
)

__all__ = ["SquareLoss"]

_BLOCK = 2_000_000  # entries of a Jacobian held at once: 16 megabytes


@dataclass(frozen=True, kw_only=True, eq=False)
class SquareLoss:
    """``||Y - H(X; w)||^2 / (2 ||Y||^2) + decay ||w||^2 / 2`` as a function of the trainable weights w.

    The division by ``||Y||^2`` makes every tolerance independent of the units of the targets.

    Attributes
    ----------
    network : FeedForward
        Its shapes, its frozen weights and its masks; the trainable weights are replaced by w.
    activation : Activation
        Applied in place of the network's own, for which a smoothed one may stand.
    X : (n, k_0) float array
        Samples.
    Y : (n, k_L) float array
        Targets, not all zero.
    decay : float, default 0
        Weight decay.
    """

    network: FeedForward
    activation: Activation
    X: Float[np.ndarray, "n d"]
    Y: Float[np.ndarray, "n k"]
    decay: float = 0.0

    @cached_property
    def free(self) -> Bool[np.ndarray, " w"]:
        """Which entries of all weights are trainable."""
        return self.network.free

    @cached_property
    def size(self) -> float:
        """``||Y||``."""
        return float(np.linalg.norm(self.Y))

    @property
    def start(self) -> Float[np.ndarray, " t"]:
        """The trainable weights of `network`."""
        return np.asarray(pack(self.network.weights)[self.free])

    def layers(self, w: Float[np.ndarray, " t"]) -> list[Float[np.ndarray, "_ _"]]:
        """Return the layers with trainable weights w."""
        whole = pack(self.network.weights)
        whole[self.free] = w
        return unpack(whole, self.network.weights)

    def network_of(self, w: Float[np.ndarray, " t"]) -> FeedForward:
        """Return the network with trainable weights w and its own activation."""
        return self.network.with_weights(self.layers(w))

    def with_activation(self, activation: Activation) -> SquareLoss:
        """Return the same loss with another activation."""
        return replace(self, activation=activation)

    def with_decay(self, decay: float) -> SquareLoss:
        """Return the same loss with another weight decay."""
        return replace(self, decay=decay)

    def smoothed(self, w: Float[np.ndarray, " t"], share: float) -> SquareLoss:
        """Return the loss with leaky ReLUs rounded off over that share of their inputs' mean size at w."""
        if not isinstance(self.activation, PowerLeakyReLU):
            return self
        sums = forward(self.layers(w), self.activation, self.X).sums[:-1]
        level = float(np.sqrt(np.mean([np.mean(z * z) for z in sums])))
        return self.with_activation(SmoothedLeakyReLU(self.activation.alpha, share * level))

    def value(self, w: Float[np.ndarray, " t"]) -> float:
        """Return the loss."""
        return self._loss(forward(self.layers(w), self.activation, self.X), w)

    def value_and_gradient(self, w: Float[np.ndarray, " t"]) -> tuple[float, Float[np.ndarray, " t"]]:
        """Return the loss and its gradient, from the left at kinks."""
        run = forward(self.layers(w), self.activation, self.X)
        gradient = pack(run.gradient(run.outputs - self.Y))[self.free]
        return self._loss(run, w), gradient / self.size**2 + self.decay * w

    def normal_equations(
        self, w: Float[np.ndarray, " t"]
    ) -> tuple[float, Float[np.ndarray, " t"], Float[np.ndarray, "t t"]]:
        """Return the loss, its gradient, and ``J^T J / ||Y||^2 + decay I``, J the Jacobian of the outputs."""
        layers, count = self.layers(w), int(self.free.sum())
        rows = max(1, _BLOCK // (len(self.free) * self.Y.shape[1]))
        value, gradient, matrix = 0.0, np.zeros(count), np.zeros((count, count))
        for first in range(0, len(self.X), rows):
            part = slice(first, first + rows)
            run = forward(layers, self.activation, self.X[part])
            residual = run.outputs - self.Y[part]
            value += 0.5 * float(np.sum(residual * residual))
            for output in range(self.Y.shape[1]):
                jacobian = _jacobian(run, output)[:, self.free]
                gradient += residual[:, output] @ jacobian
                matrix += jacobian.T @ jacobian
        scale = self.size**2
        return (
            value / scale + self._penalty(w),
            gradient / scale + self.decay * w,
            matrix / scale + self.decay * np.eye(count),
        )

    def _loss(self, run: Pass, w: Float[np.ndarray, " t"]) -> float:
        residual = run.outputs - self.Y
        return float(0.5 * np.sum(residual * residual) / self.size**2) + self._penalty(w)

    def _penalty(self, w: Float[np.ndarray, " t"]) -> float:
        return 0.5 * self.decay * float(w @ w)


def _jacobian(run: Pass, output: int) -> Float[np.ndarray, "n w"]:
    """Return the derivatives of one output at every sample, a column a weight."""
    chosen = np.zeros_like(run.outputs)
    chosen[:, output] = 1.0
    pairs = zip(run.worth(chosen), run.inputs, strict=True)
    return np.concatenate([(G[:, :, None] * A[:, None, :]).reshape(len(G), -1) for G, A in pairs], axis=1)
