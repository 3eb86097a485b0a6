"""What the search sees of a problem: coordinates of the row space, and a loss that has a curvature.

A loss with kinks has none. Its multipliers are kept near those of the round before by the price ``mu/2 ||lam
- centre||^2`` in the dual, which in the primal makes a smooth loss of it (the method of multipliers): the
same Newton steps then serve every loss, and as the centre settles, what they find is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from convexrelu.arrangements import hyperplanes_of
from convexrelu.certificates.weight_decay import Decayed, WeightDecay
from convexrelu.losses import PieceLoss
from convexrelu.networks import ReLUNetwork, TwoLayerReLU
from convexrelu.solvers.problem import Neurons

__all__ = ["Coordinates", "Mix", "SmoothedLoss"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mix:
    """A network in coordinates of the row space.

    Attributes
    ----------
    neurons : Neurons
        Their convex variables and signs.
    free : (q,) float array
        Coefficients of the columns of the affine part.
    """

    neurons: Neurons
    free: Float[np.ndarray, " q"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Coordinates:
    """A problem in coordinates of the row space.

    Attributes
    ----------
    decay : WeightDecay
        The problem.
    Z : (n, r) float array
        The rows of X in coordinates of their space.
    units : (n, r) float array
        The same, of length one; zero rows stay zero.
    norms : (n,) float array
        Their lengths.
    basis : (d, r) float array
        Of the row space.
    size : float
        The length of the longest row.
    affine : (n, q) float array
        Columns of the affine part of the outputs: a constant, and coordinates in units of the size, so that
        none is lost beside another.
    penalties : (q,) float array
        Prices of half the squares of its coefficients.
    """

    decay: WeightDecay
    Z: Float[np.ndarray, "n r"]
    units: Float[np.ndarray, "n r"]
    norms: Float[np.ndarray, " n"]
    basis: Float[np.ndarray, "d r"]
    size: float
    affine: Float[np.ndarray, "n q"]
    penalties: Float[np.ndarray, " q"]

    @classmethod
    def of(cls, decay: WeightDecay) -> Coordinates:
        """The problem in coordinates."""
        basis = hyperplanes_of(decay.X).basis
        Z = np.ascontiguousarray(decay.X @ basis)
        norms = np.linalg.norm(Z, axis=1)
        columns = [np.ones((len(Z), 1))] if decay.output_bias else []
        size = float(norms.max(initial=0.0)) or 1.0
        columns += [Z / size] if decay.skip else []  # coefficients along the row space are all that matters
        affine = np.hstack(columns) if columns else np.zeros((len(Z), 0))
        penalties = np.zeros(affine.shape[1])
        if decay.output_bias == "penalised":
            penalties[0] = decay.beta
        return cls(
            decay=decay,
            Z=Z,
            units=np.ascontiguousarray(Z / np.where(norms > 0, norms, 1.0)[:, None]),
            norms=norms,
            basis=basis,
            size=size,
            affine=affine,
            penalties=penalties,
        )

    @property
    def empty(self) -> Mix:
        """No neurons and no affine part."""
        nothing = Neurons(U=self.Z[:0], signs=np.zeros(0))
        return Mix(neurons=nothing, free=np.zeros(self.affine.shape[1]))

    def features(self, neurons: Neurons) -> Float[np.ndarray, "n k"]:
        """What every neuron adds to the outputs."""
        return np.asarray(np.maximum(self.Z @ neurons.U.T, 0.0) * neurons.signs)

    def outputs(self, mix: Mix) -> Float[np.ndarray, " n"]:
        """The outputs on all rows."""
        return np.asarray(self.features(mix.neurons).sum(axis=1) + self.affine @ mix.free)

    def price(self, mix: Mix) -> float:
        """What the weights cost."""
        return self.decay.beta * mix.neurons.size + 0.5 * float(self.penalties @ np.square(mix.free))

    def objective(self, mix: Mix) -> float:
        """The objective of the problem."""
        return self.decay.total_loss(self.outputs(mix)) + self.price(mix)

    def network(self, mix: Mix) -> TwoLayerReLU | ReLUNetwork:
        """The network in the data's coordinates."""
        network = TwoLayerReLU.from_directions(mix.neurons.U @ self.basis.T, mix.neurons.signs)
        if not len(mix.free):
            return network
        first = int(bool(self.decay.output_bias))
        bias = float(mix.free[0]) if first else 0.0
        skip = self.basis @ (mix.free[first:] / self.size) if self.decay.skip else None
        return ReLUNetwork(network.W1, network.w2, output_bias=bias, skip=skip)

    def mix(self, network: Decayed) -> Mix:
        """A network in these coordinates; its part off the row space is dropped."""
        if isinstance(network, TwoLayerReLU):
            affine, W1, w2 = np.zeros(self.affine.shape[1]), network.W1, network.w2
        elif isinstance(network, ReLUNetwork):
            bias = [float(network.output_bias)] if self.decay.output_bias else []
            affine = np.r_[bias, network.skip @ self.basis * self.size if self.decay.skip else []]
            W1, w2 = network.W1, network.w2
        else:
            return self.empty
        live = w2 != 0
        U = np.abs(w2[live])[:, None] * W1[live] @ self.basis
        return Mix(neurons=Neurons(U=U, signs=np.sign(w2[live])), free=affine)


@dataclass(frozen=True, kw_only=True, eq=False)
class SmoothedLoss:
    """The loss of all rows, smoothed where it has kinks.

    Attributes
    ----------
    decay : WeightDecay
        The problem.
    mu : float
        Price of the distance of multipliers from the centre; 0 if the loss is smooth.
    centre : (n,) float array
        The multipliers near which they are kept.
    """

    decay: WeightDecay
    mu: float
    centre: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, decay: WeightDecay) -> SmoothedLoss:
        """The loss of a problem, with a price of the size of its targets."""
        nothing = np.zeros(len(decay.X))
        if not isinstance(decay.loss, PieceLoss) or decay.loss.bend:
            return cls(decay=decay, mu=0.0, centre=nothing)
        spread = float(np.abs(decay.y - np.median(decay.y)).mean()) or 1.0
        return cls(decay=decay, mu=0.1 * spread / float(decay.weights.mean()), centre=nothing)

    @property
    def exact(self) -> bool:
        """Whether it is the loss itself."""
        return self.mu == 0

    @property
    def bend(self) -> float:
        """The second derivative of a row where it has one, for where none has."""
        return 1.0 / self.mu if self.mu > 0 else float(self.decay.weights.max())

    def moved(self, centre: Float[np.ndarray, " n"], mu: float | None = None) -> SmoothedLoss:
        """The same with another centre, and possibly another price."""
        return replace(self, centre=centre, mu=self.mu if mu is None else mu)

    def multipliers(self, f: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
        """Minus the derivative."""
        if self.exact:
            return self.decay.multipliers(f)
        loss = self.decay.loss
        width = loss.width if isinstance(loss, PieceLoss) else 0.0
        pull = self.decay.y - f + self.mu * self.centre
        low, high = self.decay.interval()
        shrunk = np.sign(pull) * np.maximum(np.abs(pull) - width, 0.0)
        return np.asarray(np.clip(shrunk / self.mu, low, high))

    def value(self, f: Float[np.ndarray, "n ..."]) -> float:
        """The loss of these outputs."""
        if self.exact:
            return self.decay.total_loss(f)
        loss, lam = self.decay.loss, self.multipliers(f)
        width = loss.width if isinstance(loss, PieceLoss) else 0.0
        terms = (self.decay.y - f) * lam - width * np.abs(lam) - 0.5 * self.mu * (lam - self.centre) ** 2
        return float(terms.sum())

    def curvature(self, f: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The second derivative."""
        if self.exact:
            bend = self.decay.loss.curvature(f, self.decay.y)
            return np.asarray(self.decay.weights * (0.0 if bend is None else bend))
        low, high = self.decay.interval()
        lam = self.multipliers(f)
        free = (lam > low) & (lam < high) & (lam != 0)
        if isinstance(self.decay.loss, PieceLoss) and self.decay.loss.width == 0:
            free = (lam > low) & (lam < high)
        return np.where(free, 1.0 / self.mu, 0.0)
