"""Gates: what the derivative of a kinked activation is where its argument is zero.

At power 1, ``s(x) = max(x, alpha x)`` has Clarke's subdifferential [alpha, 1] at 0. A *tie* is a
pre-activation that is zero, and its *gate* the number in [alpha, 1] taken for s' there. With gates chosen,
the chain rule gives a gradient, and N is linear in every layer along the directions that keep every tie a
tie.

The gates that bring the gradient nearest to a multiple of w solve a bounded least-squares problem if ties
lie in one layer. Gates of different layers multiply one another: there, damped Gauss-Newton steps of the
same kind descend, and the residual found is an upper bound on the least one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from convexrelu._box_least_norm import box_least_norm
from convexrelu.networks.activations import Activation
from convexrelu.networks.layers import Layers, Pass, pack
from convexrelu.networks.neurons import row_norms

__all__ = ["Ties", "columns_of", "forward_gated", "gated", "least_residual_gates", "ties_of"]

_ROUNDING = 1e-14
"""A residual below this share of the gradient is rounding."""


@dataclass(frozen=True)
class _Gates(Activation):
    """Stands in a :class:`Pass` whose `sums` hold derivatives s' instead of pre-activations."""

    def __call__(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return x."""
        return x

    def slope(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return x."""
        return x

    def curvature(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Return 0."""
        return np.zeros_like(x)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ties:
    """Ties that bear on the gradient.

    Attributes
    ----------
    layer, sample, neuron : (t,) int arrays
        Where they are; layer 0 is the first one.
    low : float
        Gates lie between it and 1.
    """

    layer: Int[np.ndarray, " t"]
    sample: Int[np.ndarray, " t"]
    neuron: Int[np.ndarray, " t"]
    low: float

    def __len__(self) -> int:
        return len(self.layer)


def ties_of(run: Pass, z: Float[np.ndarray, "n k"], alpha: float, tol: float) -> Ties:
    """Return the ties whose gates the gradient depends on; see :func:`_zero_sums` for `tol`."""
    places = [
        _zero_sums(run, layer, tol) & _reaching(run, z, alpha, tol)[layer] & _reached(run, alpha, tol)[layer]
        for layer in range(len(run.weights) - 1)
    ]
    found = [np.argwhere(place) for place in places]
    layers = np.repeat(np.arange(len(found)), [len(where) for where in found])
    together = np.concatenate([*found, np.zeros((0, 2), dtype=int)])
    return Ties(layer=layers, sample=together[:, 0], neuron=together[:, 1], low=alpha)


def gated(run: Pass, ties: Ties, gates: Float[np.ndarray, " t"]) -> Pass:
    """Return a pass of the same derivatives, except that s' at the ties is what the gates say."""
    slopes = [run.activation.slope(Z) for Z in run.sums[:-1]]
    for layer, slope in enumerate(slopes):
        here = ties.layer == layer
        slope[ties.sample[here], ties.neuron[here]] = gates[here]
    return replace(run, activation=_Gates(), sums=(*slopes, run.sums[-1]))


def forward_gated(
    weights: Layers, X: Float[np.ndarray, "n d"], slopes: Sequence[Float[np.ndarray, "n _"]]
) -> Pass:
    """Return a gated pass of the network in which each sum is multiplied by a slope, whatever its sign."""
    inputs, sums = [X], []
    for W, slope in zip(weights[:-1], slopes, strict=True):
        sums.append(inputs[-1] @ W.T)
        inputs.append(slope * sums[-1])
    outputs = inputs[-1] @ weights[-1].T
    return Pass(weights=weights, activation=_Gates(), inputs=tuple(inputs), sums=(*slopes, outputs))


def columns_of(run: Pass, z: Float[np.ndarray, "n k"], ties: Ties) -> Float[np.ndarray, "t w"]:
    """Return the derivative of the gradient with respect to the gate of each tie of a gated pass."""
    back, columns = _signals(run, z), [np.zeros((0, sum(W.size for W in run.weights)))]
    for layer in np.unique(ties.layer):
        here = ties.layer == layer
        sample, neuron = ties.sample[here], ties.neuron[here]
        signal = np.zeros((len(sample), len(run.weights[layer])))
        signal[np.arange(len(sample)), neuron] = back[layer][sample, neuron]
        blocks = [np.zeros((len(sample), *W.shape)) for W in run.weights]
        for below in range(layer, -1, -1):
            blocks[below] = signal[:, :, None] * run.inputs[below][sample][:, None, :]
            if below:
                signal = (signal @ run.weights[below]) * run.sums[below - 1][sample]
        columns.append(pack(blocks))
    return np.concatenate(columns)


def least_residual_gates(
    run: Pass,
    z: Float[np.ndarray, "n k"],
    ties: Ties,
    w: Float[np.ndarray, " w"],
    moves: Float[np.ndarray, " w"],
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, "t w"]]:
    """Return gates with the least ``||P grad N||`` found, and the derivative of the gradient along each.

    P projects the entries that `moves` marks along w. The gates of the lowest layer with ties are chosen
    first, the others being 1; if that is not enough, damped steps in all of them follow, from there and
    from 1.
    """
    search = _GateSearch(run=run, z=z, ties=ties, w=w, moves=moves)
    gates = np.ones(len(ties))
    if len(ties):
        lowest = search.step(gates, 0.0, ties.layer == ties.layer.min())
        candidates = [gates + lowest]
        if ties.layer.min() < ties.layer.max():
            for start in (gates + lowest, gates):
                if min(search.size(found) for found in candidates) > _ROUNDING * search.largest:
                    candidates.append(search.descend(start))
        gates = min(candidates, key=search.size)
    return gates, search.columns(gates)


@dataclass(frozen=True, kw_only=True, eq=False)
class _GateSearch:
    """The problem of :func:`least_residual_gates`."""

    run: Pass
    z: Float[np.ndarray, "n k"]
    ties: Ties
    w: Float[np.ndarray, " w"]
    moves: Float[np.ndarray, " w"]

    @cached_property
    def largest(self) -> float:
        """The norm of the gradient with all gates open."""
        return float(np.linalg.norm(self._gradient(np.ones(len(self.ties)))))

    def _gradient(self, gates: Float[np.ndarray, " t"]) -> Float[np.ndarray, " w"]:
        return np.asarray(self.moves * pack(gated(self.run, self.ties, gates).gradient(self.z)))

    def residual(self, gates: Float[np.ndarray, " t"]) -> Float[np.ndarray, " w"]:
        gradient = self._gradient(gates)
        return np.asarray(gradient - (gradient @ self.w) * self.w)

    def size(self, gates: Float[np.ndarray, " t"]) -> float:
        return float(np.linalg.norm(self.residual(gates)))

    def columns(self, gates: Float[np.ndarray, " t"]) -> Float[np.ndarray, "t w"]:
        """Return the derivative of the gradient with respect to each gate."""
        return np.asarray(self.moves * columns_of(gated(self.run, self.ties, gates), self.z, self.ties))

    def step(
        self, gates: Float[np.ndarray, " t"], damping: float, which: Bool[np.ndarray, " t"]
    ) -> Float[np.ndarray, " t"]:
        """Return the change c of some gates of least ``||rest + columns^T c||^2 + ||damping c||^2``."""
        columns = self.columns(gates)[which]
        columns = columns - np.outer(columns @ self.w, self.w)
        # a basis of all that matters: as many coordinates as gates, not as weights
        frame, _ = np.linalg.qr(np.vstack([columns, self.residual(gates)]).T)
        rest, down = self.residual(gates) @ frame, self.ties.low - gates[which]
        generators = np.hstack([-columns @ frame, -damping * np.eye(len(down))])
        target = np.concatenate([rest, np.zeros(len(down))]) - generators.T @ down
        best = box_least_norm(generators, target, np.full(len(down), 1.0 - self.ties.low), start=-down)
        change = np.zeros(len(gates))
        change[which] = best.t + down
        return change

    def descend(self, gates: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
        """Return where damped Gauss-Newton steps (Levenberg, Marquardt) lead to."""
        every = np.ones(len(gates), dtype=bool)
        # with this damping steps stay within the range where products of gates are nearly linear
        size, damping = self.size(gates), 1e-2 * self.largest
        # a dozen steps are the rule
        for _ in range(100):
            trial = np.clip(gates + self.step(gates, damping, every), self.ties.low, 1.0)
            reached = self.size(trial)
            if reached < size:
                gates, size, damping = trial, reached, 0.2 * damping
            else:
                damping *= 5.0
            if size <= _ROUNDING * self.largest or damping > self.largest:
                break
        return gates


def _signals(run: Pass, z: Float[np.ndarray, "n k"]) -> list[Float[np.ndarray, "n _"]]:
    """Return the derivatives of N with respect to the activities of each hidden layer of a gated pass."""
    signals, signal = [], z
    for layer in range(len(run.weights) - 1, 0, -1):
        signals.append(signal @ run.weights[layer])
        signal = signals[-1] * run.sums[layer - 1]
    return signals[::-1]


def _zero_sums(run: Pass, layer: int, tol: float) -> Bool[np.ndarray, "n j"]:
    """Return which sums are zero beside the largest that weights of these norms could make of the sample.

    Inputs of a layer that ought to be zero are rounding: their own size would be no measure.
    """
    below = [float(np.linalg.norm(W)) for W in run.weights[:layer]]
    sizes = np.outer(row_norms(run.inputs[0]) * np.prod(below), row_norms(run.weights[layer]))
    return np.asarray(np.abs(run.sums[layer]) <= tol * sizes)


def _reaching(
    run: Pass, z: Float[np.ndarray, "n k"], alpha: float, tol: float
) -> list[Bool[np.ndarray, "n _"]]:
    """Return from which neurons, on which samples, a change of activity can reach the weighted outputs."""
    reaching, signal = [], np.asarray(z != 0)
    for layer in range(len(run.weights) - 1, 0, -1):
        signal = np.asarray((signal.astype(float) @ (run.weights[layer] != 0)) > 0)
        reaching.append(signal)
        signal = signal & _open(run, layer - 1, alpha, tol)
    return reaching[::-1]


def _reached(run: Pass, alpha: float, tol: float) -> list[Bool[np.ndarray, "n _"]]:
    """Return which neurons' sums, on which samples, some change of weights can move."""
    seen = np.asarray(run.inputs[0].any(axis=1))
    reached = [np.repeat(seen[:, None], len(run.weights[0]), axis=1)]
    for layer in range(1, len(run.weights) - 1):
        below = (reached[-1] & _open(run, layer - 1, alpha, tol)).astype(float) @ (run.weights[layer].T != 0)
        active = np.asarray(run.inputs[layer].any(axis=1))
        reached.append(np.asarray((below > 0) | active[:, None]))
    return reached


def _open(run: Pass, layer: int, alpha: float, tol: float) -> Bool[np.ndarray, "n j"]:
    """Return where s' is not zero, or need not be."""
    zero = _zero_sums(run, layer, tol)
    return np.asarray((run.sums[layer] > 0) | zero) if alpha == 0.0 else np.ones_like(zero)
