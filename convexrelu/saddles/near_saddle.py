"""Near a saddle whose small neurons w_z are almost zero (KH2 section 5.2, NP section 3).

There the outputs are ``H(x; w_n, w_z) = H(x; w_n, 0) + H_1(x; w_n, w_z) + ...``, where H_1, of degree p + 1
in w_z, is a sum over the small neurons: one with incoming weights a and outgoing weights b in layer l adds

    H_{1,l}(x; b, a) = J_{l+1}(x) b s(a^T g_{l-1}(x))

(NP eq. (21)), g_{l-1} being the activities it sees and J_{l+1} the derivative of the outputs in what layer
l + 1 sums up, both at the saddle. So the small neurons climb, each on its own, the NCF of the residual
``y - H(x; w_n, 0)`` and of H_1, and w_z turns to a KKT point of it while w_n rests (NP Theorem 7).

With ReLU the saddle itself lies on kinks: where the active neurons of one layer are silent, the sums of the
next are exactly zero, and J_{l+1} is not defined. NP takes any element of Clarke's subdifferential there. But
what the outputs change by is the one-sided derivative along w_z: an active neuron whose sum is zero passes
on what the small neurons below it add together if that is positive. So it is taken here, and where it matters
the small neurons do know of one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.linalg import block_diag

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_columns, as_matrix, check_nonnegative
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.conditions import TIE_TOL, ncf_stationarity
from convexrelu.ncf.one_sided import one_sided_slope
from convexrelu.networks import FeedForward, Layers, Pass, evaluate, forward, homogeneous, pack
from convexrelu.training.trajectory import DeepTrajectory

__all__ = ["SaddleApproach", "SaddleSplit", "approach_of", "split_near_saddle"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SaddleSplit:
    """A network near a saddle: the saddle's part, and the lowest order of what the small neurons add.

    Attributes
    ----------
    network : FeedForward
        The network.
    small : tuple of int arrays
        The small neurons, a hidden layer each; all their in- and outgoing weights together are w_z.
    X : (n, k_0) float array
        Samples.
    """

    network: FeedForward
    small: tuple[Int[np.ndarray, " _"], ...]
    X: Float[np.ndarray, "n d"]

    @cached_property
    def mask(self) -> tuple[Bool[np.ndarray, "_ _"], ...]:
        """Which weights belong to w_z."""
        masks = [np.zeros(W.shape, dtype=bool) for W in self.network.weights]
        for layer, neurons in enumerate(self.small):
            masks[layer][neurons] = True
            masks[layer + 1][:, neurons] = True
        return tuple(masks)

    @cached_property
    def saddle(self) -> FeedForward:
        """The network without its small neurons' weights, (w_n, 0)."""
        pairs = zip(self.network.weights, self.mask, strict=True)
        return self.network.with_weights([np.where(mask, 0.0, W) for W, mask in pairs])

    @cached_property
    def _run(self) -> Pass:
        return forward(self.saddle.weights, self.saddle.activation, self.X)

    @property
    def lowest_order(self) -> Float[np.ndarray, "n k"]:
        """``H_1(x_n; w_n, w_z)``, the change of the outputs to lowest order."""
        return self._changes[-1]

    @cached_property
    def _changes(self) -> tuple[Float[np.ndarray, "n _"], ...]:
        """By how much w_z changes the sums of each layer to lowest order; of small neurons' sums, a part."""
        run, change = self._run, np.zeros(self._run.sums[0].shape)
        changes = [change]
        for layer, neurons in enumerate(self.small):
            added = self._activities(layer) @ self.network.weights[layer + 1][:, neurons].T
            passed = one_sided_slope(run, layer, change) * change
            change = np.asarray(passed @ run.weights[layer + 1].T + added)
            changes.append(change)
        return tuple(changes)

    def _activities(self, layer: int) -> Float[np.ndarray, "n _"]:
        """Return the activities of the small neurons of a hidden layer."""
        incoming = self.network.weights[layer][self.small[layer]]
        return np.asarray(self.network.activation(self._run.inputs[layer] @ incoming.T))

    def correlations(self, z: ArrayLike) -> list[Float[np.ndarray, " _"]]:
        """Return each small neuron's share of ``N = sum_n z_n^T H_1(x_n)``, a hidden layer each.

        Parameters
        ----------
        z : (n,) or (n, k_L) array_like
            The residual at the saddle.

        Returns
        -------
        list of float arrays
            They add up to N, and off the saddle's kinks they do not know of one another (NP section 3.3).
        """
        worth, outgoing = self._worth(z), self.network.weights[1:]
        return [
            ((worth[layer + 1] @ outgoing[layer][:, neurons]) * self._activities(layer)).sum(axis=0)
            for layer, neurons in enumerate(self.small)
        ]

    def gradient(self, z: ArrayLike) -> list[Float[np.ndarray, "_ _"]]:
        """Return the gradient of ``N = sum_n z_n^T H_1(x_n)`` in w_z, like the weights and zero elsewhere.

        Parameters
        ----------
        z : (n,) or (n, k_L) array_like
            The residual at the saddle.

        Returns
        -------
        list of arrays
            Of the weights' shapes; weights between two small neurons do not enter N.
        """
        worth, activation = self._worth(z), self.network.activation
        gradients = [np.zeros(W.shape) for W in self.network.weights]
        for layer, neurons in enumerate(self.small):
            seen, A = self._run.inputs[layer], self.network.weights[layer][neurons]
            sums, back = seen @ A.T, worth[layer + 1] @ self.network.weights[layer + 1][:, neurons]
            gradients[layer][neurons] += (back * activation.slope(sums)).T @ seen
            gradients[layer + 1][:, neurons] += worth[layer + 1].T @ activation(sums)
        return gradients

    def stationarity(self, z: ArrayLike, *, tie_tol: float = TIE_TOL) -> float:
        """Return ``||P grad N|| / ||grad N||`` at w_z: zero exactly at KKT points of the constrained NCF.

        P projects along w_z. Where small neurons lie on kinks of their own, it is the least over the
        derivatives that Clarke's subdifferential allows there. For the small neurons of all layers together
        are a network of two layers, on the activities that they see and with what their outputs are worth:
        its :func:`~convexrelu.ncf_stationarity` is meant.

        Parameters
        ----------
        z : (n,) or (n, k_L) array_like
            The residual at the saddle.
        tie_tol : float, default 1e-6
            Sums of small neurons at most this large, beside the norms of weights and inputs, count as zero.

        Returns
        -------
        float
            Between 0 and 1, the sine of the angle between w_z and the gradient; 0 where that is zero.

        Raises
        ------
        InvalidInputError
            If z does not fit, or w_z is zero.
        """
        worth, hidden = self._worth(z), range(len(self.small))
        masks = [np.ones(mask.shape, dtype=bool) for mask in self.mask]
        together = FeedForward(
            [block_diag(*blocks) for blocks in self._blocks(self.network.weights)],
            self.network.activation,
            trainable=[block_diag(*blocks) for blocks in self._blocks(masks)],
        )
        seen = block_diag(*[self._run.inputs[layer] for layer in hidden])
        worths = block_diag(*[worth[layer + 1] for layer in hidden])
        return ncf_stationarity(together, seen, worths, tie_tol=tie_tol)

    def _blocks(
        self, layers: Sequence[Shaped[np.ndarray, "_ _"]]
    ) -> tuple[list[Shaped[np.ndarray, "_ _"]], list[Shaped[np.ndarray, "_ _"]]]:
        """Return the in- and outgoing entries of small neurons, a hidden layer each, none of them twice."""
        incoming = [layers[layer][neurons] for layer, neurons in enumerate(self.small)]
        outgoing = [layers[layer + 1][:, neurons].copy() for layer, neurons in enumerate(self.small)]
        for block, above in zip(outgoing, self.small[1:], strict=False):
            block[above] = 0  # weights between small neurons: they are among the incoming ones
        return incoming, outgoing

    def alignment(self, z: ArrayLike) -> float:
        """Return the cosine of w_z with the gradient of N there: 1 at a KKT point, unless it lies on kinks.

        Parameters
        ----------
        z : (n,) or (n, k_L) array_like
            The residual at the saddle.

        Returns
        -------
        float
            Between -1 and 1; 0 where one of the two is zero.
        """
        w = pack([np.where(mask, W, 0.0) for W, mask in zip(self.network.weights, self.mask, strict=True)])
        g = pack(self.gradient(z))
        sizes = float(np.linalg.norm(w) * np.linalg.norm(g))
        return float(np.clip(w @ g / sizes, -1.0, 1.0)) if sizes > 0.0 else 0.0

    def _worth(self, z: ArrayLike) -> Layers:
        """Return ``J_l(x_n)^T z_n`` for the sums of each layer, the first layer first."""
        slopes = [one_sided_slope(self._run, layer, change) for layer, change in enumerate(self._changes)]
        rows, columns = self._run.outputs.shape
        return self._run.worth(as_columns(z, "z", rows=rows, columns=columns), slopes)


def split_near_saddle(network: FeedForward, X: ArrayLike, small: Sequence[ArrayLike]) -> SaddleSplit:
    """Return the network split into a saddle and small neurons, with the lowest order of what they add.

    Parameters
    ----------
    network : FeedForward
        A homogeneous network.
    X : (n, k_0) array_like
        Samples.
    small : sequence of int array_like
        The small neurons, a hidden layer each.

    Returns
    -------
    SaddleSplit
        The parts.

    Raises
    ------
    InvalidInputError
        If the activation is not homogeneous, or `small` does not name neurons of the hidden layers.

    Examples
    --------
    >>> network = FeedForward([[[1.0, 0.0], [0.0, 1e-3]], [[2.0, 1e-3]]])
    >>> split = split_near_saddle(network, [[1.0, 1.0]], [[1]])
    >>> split.saddle([[1.0, 1.0]]), split.lowest_order
    (array([2.]), array([[1.e-06]]))
    """
    homogeneous(network.activation)
    matrix = as_matrix(X, columns=network.widths[0])
    hidden = network.widths[1:-1]
    if len(small) != len(hidden):
        raise InvalidInputError(
            f"small must hold a set for each of {len(hidden)} hidden layers, got {len(small)}"
        )
    neurons = []
    for layer, (chosen, width) in enumerate(zip(small, hidden, strict=True)):
        indices = np.unique(np.asarray(chosen, dtype=np.int64))
        if len(indices) and not 0 <= indices[0] <= indices[-1] < width:
            raise InvalidInputError(f"small[{layer}] must name neurons from 0 to {width - 1}, got {chosen!r}")
        neurons.append(indices)
    return SaddleSplit(network=network, small=tuple(neurons), X=matrix)


@dataclass(frozen=True, kw_only=True, eq=False)
class SaddleApproach:
    """A run that starts near a saddle, told in the terms of NP Theorem 7.

    Attributes
    ----------
    trajectory : DeepTrajectory
        The run.
    saddle : FeedForward
        The saddle (w_n, 0).
    relative_loss : (T,) float array
        The loss over that of the saddle.
    displacement : (T,) float array
        ``||w_n(t) - w_n||`` over the saddle's norm.
    size : (T,) float array
        ``||w_z(t)||`` over the saddle's norm.
    residual : (n, k_L) float array
        The residual at the saddle, ``y - H(X; w_n, 0)``.
    tie_tol : float
        What :attr:`stationarity` takes as zero.
    """

    trajectory: DeepTrajectory
    saddle: FeedForward
    relative_loss: Float[np.ndarray, " T"]
    displacement: Float[np.ndarray, " T"]
    size: Float[np.ndarray, " T"]
    residual: Float[np.ndarray, "n k"]
    tie_tol: float

    def split_at(self, index: int) -> SaddleSplit:
        """Return the network at a recorded point, split into its large neurons and the small ones."""
        network = self.trajectory.network_at(index)
        return split_near_saddle(network, self.trajectory.problem.X, self.saddle.zero_preserving_set(0.0))

    @cached_property
    def alignment(self) -> Float[np.ndarray, " T"]:
        """The cosine of w_z with the gradient of its NCF: 1 at a KKT point (NP Figures 1d, 2d) off kinks."""
        every = range(len(self.trajectory))
        return np.array([self.split_at(index).alignment(self.residual) for index in every])

    @cached_property
    def stationarity(self) -> Float[np.ndarray, " T"]:
        """The sine of the angle between w_z and its NCF's gradient, least over kinks: 0 at a KKT point."""
        every = range(len(self.trajectory))
        return np.array(
            [self.split_at(index).stationarity(self.residual, tie_tol=self.tie_tol) for index in every]
        )

    @property
    def cosine(self) -> Float[np.ndarray, " T"]:
        """The cosine that belongs to :attr:`stationarity`: 1 at a KKT point, on kinks too."""
        return np.asarray(np.sqrt(1.0 - np.square(self.stationarity)))

    def __str__(self) -> str:
        return (
            f"near a saddle: loss {self.relative_loss[0]:.6f} -> {self.relative_loss[-1]:.6f} of its, small "
            f"weights {self.size[0]:.1e} -> {self.size[-1]:.1e}, their cosine with the NCF's gradient "
            f"{self.alignment[0]:.4f} -> {self.alignment[-1]:.6f}"
        )


def approach_of(
    trajectory: DeepTrajectory, saddle: FeedForward, *, tie_tol: float = TIE_TOL
) -> SaddleApproach:
    """Return how a run behaves near a saddle: large weights rest, small ones turn (NP Theorem 7).

    Parameters
    ----------
    trajectory : DeepTrajectory
        A run on the square loss.
    saddle : FeedForward
        The saddle; its zero neurons are the small ones of the run.
    tie_tol : float, default 1e-6
        Sums of small neurons at most this large, beside the norms of weights and inputs, count as zero in
        :attr:`SaddleApproach.stationarity`. Descent jumps to and fro over kinks, so that those sums are only
        as near to zero as its steps are long.

    Returns
    -------
    SaddleApproach
        The run in those terms.

    Raises
    ------
    InvalidInputError
        If the loss is not the square loss, shapes disagree, no neuron of the saddle is zero, or the tolerance
        is negative.

    Examples
    --------
    >>> from convexrelu.training import gradient_descent
    >>> saddle = FeedForward([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0]]])
    >>> start = FeedForward([[[1.0, 0.0], [1e-3, 3e-3]], [[1.0, 1e-3]]])
    >>> path = gradient_descent(np.eye(2), [1.0, 1.0], start, step_size=0.05, n_steps=50, loss="square")
    >>> cosines = approach_of(path, saddle).alignment
    >>> print(f"{cosines[0]:.3f} {cosines[-1]:.3f}")
    0.572 1.000
    """
    problem = trajectory.problem
    if problem.rule.name != "square" or saddle.widths != problem.network.widths:
        raise InvalidInputError(
            f"a run on the square loss of widths {saddle.widths} is needed, got {problem.rule.name} loss and "
            f"widths {problem.network.widths}"
        )
    small = saddle.zero_preserving_set(0.0)
    if not any(len(neurons) for neurons in small):
        raise InvalidInputError("the saddle must have neurons that are zero, got none")
    tol = check_nonnegative(tie_tol, "tie_tol")
    masks = split_near_saddle(saddle, problem.X, small).mask
    outputs = evaluate(saddle.weights, saddle.activation, problem.X)
    rest = pack(saddle.weights)
    free = ~np.concatenate([mask.ravel() for mask in masks])
    moved = trajectory.vectors - rest
    return SaddleApproach(
        trajectory=trajectory,
        saddle=saddle,
        relative_loss=trajectory.loss / float(problem.loss_of(outputs)),
        displacement=np.linalg.norm(moved[:, free], axis=1) / saddle.norm,
        size=np.linalg.norm(moved[:, ~free], axis=1) / saddle.norm,
        residual=problem.Y - outputs,
        tie_tol=tol,
    )
