"""Feed-forward networks without biases, ``H(x; w) = W_L s(W_{L-1} ... s(W_1 x))`` (K-deep eq. (2)).

With ``s(x) = max(x, a x)^p`` they are homogeneous in the weights: layer l enters to the power p^{L-l}, so
that the degree is ``p^{L-1} + ... + p + 1``. Networks with frozen layers, diagonal linear networks and the
like are the same thing with some entries of the weights that training leaves alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_columns, as_matrix, check_nonnegative, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.networks.activations import RELU, Activation, PowerLeakyReLU, homogeneous
from convexrelu.networks.convert import feed_forward_module, feed_forward_weights
from convexrelu.networks.layers import Layers, evaluate, forward, pack
from convexrelu.networks.neurons import balanced_layers, row_norms
from convexrelu.networks.storage import Stored
from convexrelu.networks.two_layer import TwoLayerReLU

__all__ = ["FeedForward"]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class FeedForward(Stored):
    """Return a network without biases, ``H(x; w) = W_L h_{L-1}`` with ``h_l = s(W_l h_{l-1})``, ``h_0 = x``.

    Parameters
    ----------
    weights : sequence of (k_l, k_{l-1}) array_like
        The layers, the first one first; k_0 is the number of inputs. Stored as read-only float64 copies.
    activation : Activation, default ReLU
        The function between the layers, such as ``PowerLeakyReLU(alpha, power)``.
    trainable : sequence of bool or of (k_l, k_{l-1}) bool array_like or None
        What training moves: True or False for a whole layer, or a mask. Everything, unless said otherwise.
        Gradients and norms leave the rest out.

    Raises
    ------
    InvalidInputError
        If the weights are not finite, shapes do not follow on one another, or the activation is not one.

    Examples
    --------
    >>> network = FeedForward([[[1.0, 0.0], [0.0, 2.0]], [[3.0, -1.0]]], PowerLeakyReLU(0.0, 2))
    >>> network([[1.0, 1.0], [-1.0, 1.0]])
    array([-1., -4.])
    >>> network.degree, network.widths
    (3, (2, 2, 1))

    A diagonal linear network ``x -> sum_i v_i u_i x_i`` trains the diagonal of its first layer only:

    >>> import numpy as np
    >>> weights = [np.diag([1.0, 2.0]), [[3.0, 4.0]]]
    >>> diagonal = FeedForward(weights, PowerLeakyReLU(1.0), trainable=[np.eye(2), True])
    >>> diagonal([[1.0, 1.0]]), diagonal.degree
    (array([11.]), 2)
    """

    weights: tuple[Float[np.ndarray, "_ _"], ...]
    activation: Activation
    trainable: tuple[Bool[np.ndarray, "_ _"], ...]

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        activation: Activation = RELU,
        *,
        trainable: Sequence[bool | ArrayLike] | None = None,
    ) -> None:
        if not isinstance(activation, Activation):
            raise InvalidInputError(f"activation must be an Activation, got {activation!r}")
        layers = _check_layers(weights)
        masks = _check_masks(layers, trainable)
        for array in (*layers, *masks):
            array.setflags(write=False)
        object.__setattr__(self, "weights", layers)
        object.__setattr__(self, "activation", activation)
        object.__setattr__(self, "trainable", masks)

    @property
    def depth(self) -> int:
        """The number L of layers."""
        return len(self.weights)

    @property
    def widths(self) -> tuple[int, ...]:
        """The numbers k_0, ..., k_L: inputs, neurons of each hidden layer, outputs."""
        return (self.weights[0].shape[1], *(len(W) for W in self.weights))

    @property
    def degree(self) -> int:
        """The degree of homogeneity in the trainable weights: ``sum_l p^{L-l}`` over layers that have any.

        Raises
        ------
        InvalidInputError
            If the activation is not homogeneous, or a layer is trainable in part while the rest of it is not
            zero.
        """
        power = homogeneous(self.activation).power
        degree = 0
        for layer, (W, mask) in enumerate(zip(self.weights, self.trainable, strict=True), start=1):
            if mask.any():
                if W[~mask].any():
                    raise InvalidInputError(
                        f"layer {layer} is frozen in part at entries that are not zero: the network is not "
                        "homogeneous in the rest of it"
                    )
                degree += power ** (self.depth - layer)
        return degree

    @property
    def norm(self) -> float:
        """The Euclidean norm of the trainable weights together."""
        kept = pack(self.weights)[self.free]
        return float(row_norms(kept[None, :])[0]) if len(kept) else 0.0

    @property
    def free(self) -> Bool[np.ndarray, " w"]:
        """Which entries of the vector of all weights (:func:`convexrelu.networks.pack`) training moves."""
        return np.concatenate([mask.ravel() for mask in self.trainable])

    @property
    def incoming_norms(self) -> tuple[Float[np.ndarray, " k"], ...]:
        """The norms of each hidden neuron's incoming weights, a hidden layer each."""
        return tuple(row_norms(W) for W in self.weights[:-1])

    @property
    def outgoing_norms(self) -> tuple[Float[np.ndarray, " k"], ...]:
        """The norms of each hidden neuron's outgoing weights, a hidden layer each."""
        return tuple(row_norms(W.T) for W in self.weights[1:])

    def __call__(self, X: ArrayLike) -> Float[np.ndarray, ...]:
        """Return the network's values on the rows of X.

        Parameters
        ----------
        X : (n, k_0) array_like
            Samples.

        Returns
        -------
        (n,) or (n, k_L) float array
            A vector if there is one output, k_L = 1.

        Raises
        ------
        InvalidInputError
            If X is not a finite matrix of k_0 columns.
        """
        outputs = evaluate(self.weights, self.activation, self._inputs(X))
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def gradient(self, X: ArrayLike, z: ArrayLike) -> list[Float[np.ndarray, "_ _"]]:
        """Return the gradient of ``N_z(w) = sum_n z_n^T H(x_n; w)``, zero at frozen entries.

        Parameters
        ----------
        X : (n, k_0) array_like
            Samples.
        z : (n,) or (n, k_L) array_like
            Weights of the outputs.

        Returns
        -------
        list of (k_l, k_{l-1}) float arrays
            Like the weights. At a kink of the activation the derivative from the left is taken.

        Raises
        ------
        InvalidInputError
            If the shapes do not agree.
        """
        run = forward(self.weights, self.activation, self._inputs(X))
        weights = as_columns(z, "z", rows=len(run.outputs), columns=self.widths[-1])
        return self._masked(run.gradient(weights))

    def hessian_vector_product(
        self, X: ArrayLike, z: ArrayLike, direction: Sequence[ArrayLike]
    ) -> list[Float[np.ndarray, "_ _"]]:
        """Return the Hessian of ``N_z`` times a direction, zero at frozen entries.

        Parameters
        ----------
        X : (n, k_0) array_like
            Samples.
        z : (n,) or (n, k_L) array_like
            Weights of the outputs.
        direction : sequence of (k_l, k_{l-1}) array_like
            Like the weights; its frozen entries do not count.

        Returns
        -------
        list of (k_l, k_{l-1}) float arrays
            Like the weights.

        Raises
        ------
        InvalidInputError
            If the shapes do not agree.
        """
        V = self._masked(_check_layers(direction, "direction"))
        if [v.shape for v in V] != [W.shape for W in self.weights]:
            raise InvalidInputError(
                f"direction must have the shapes of the weights, {[W.shape for W in self.weights]}, got "
                f"{[v.shape for v in V]}"
            )
        run = forward(self.weights, self.activation, self._inputs(X))
        weights = as_columns(z, "z", rows=len(run.outputs), columns=self.widths[-1])
        return self._masked(run.hessian_vector_product(weights, V))

    def with_weights(self, weights: Sequence[ArrayLike]) -> FeedForward:
        """Return a network of the same activation and trainable entries with other weights.

        Parameters
        ----------
        weights : sequence of (k_l, k_{l-1}) array_like
            Of the same shapes.

        Returns
        -------
        FeedForward
            The network.
        """
        return FeedForward(weights, self.activation, trainable=self.trainable)

    def scaled_function(self, c: float) -> FeedForward:
        """Return the network of the function ``c H``: its trainable weights times ``c^(1/degree)``.

        Parameters
        ----------
        c : float
            Positive factor.

        Returns
        -------
        FeedForward
            The network.

        Raises
        ------
        InvalidInputError
            If c is not positive and finite, or the network is not homogeneous in its trainable weights.

        Examples
        --------
        >>> network = FeedForward([[[1.0]], [[1.0]]], PowerLeakyReLU(0.0, 2)).scaled_function(8.0)
        >>> network.weights[0], network([[1.0]])
        (array([[2.]]), array([8.]))
        """
        factor, degree = check_positive(c, "c"), self.degree
        if degree == 0:
            raise InvalidInputError("a network without trainable weights cannot be scaled")
        return self.scaled_weights(factor ** (1 / degree))

    def scaled_weights(self, c: float) -> FeedForward:
        """Return the network with its trainable weights times c >= 0: its values are times ``c^degree``.

        Parameters
        ----------
        c : float
            The factor.

        Returns
        -------
        FeedForward
            The network.

        Raises
        ------
        InvalidInputError
            If c is negative or not finite.
        """
        factor = check_nonnegative(c, "c")
        pairs = zip(self.weights, self.trainable, strict=True)
        return self.with_weights([np.where(mask, factor * W, W) for W, mask in pairs])

    def normalized(self) -> FeedForward:
        """Return the network scaled to norm 1.

        Returns
        -------
        FeedForward
            The network.

        Raises
        ------
        InvalidInputError
            If all trainable weights are zero.
        """
        norm = self.norm
        if norm == 0:
            raise InvalidInputError("a network whose trainable weights are all zero has no direction")
        return self.scaled_weights(1.0 / norm)

    def balanced(self) -> FeedForward:
        """Return the network of the same function with the least norm among rescalings of its neurons.

        There ``||incoming||^2 = p ||outgoing||^2`` for every hidden neuron (NP Lemma 3 and appendix D.6).
        Neurons that contribute nothing become zero but stay.

        Returns
        -------
        FeedForward
            The network.

        Raises
        ------
        InvalidInputError
            If the activation is not homogeneous or some weights are frozen.

        Examples
        --------
        >>> network = FeedForward([[[8.0]], [[2.0]]]).balanced()
        >>> [float(W[0, 0]) for W in network.weights]
        [4.0, 4.0]
        """
        power = homogeneous(self.activation).power
        if not all(mask.all() for mask in self.trainable):
            raise InvalidInputError(
                "balancing rescales all layers: it needs a network without frozen weights"
            )
        return self.with_weights(balanced_layers(self.weights, power))

    def zero_preserving_set(self, tol: float = 1e-6) -> list[Int[np.ndarray, " z"]]:
        """Return which hidden neurons are zero: training keeps such a set at zero (KH-beyond Lemma 16).

        Parameters
        ----------
        tol : float, default 1e-6
            A neuron is zero when its in- and outgoing norms are at most `tol` times the network's norm.

        Returns
        -------
        list of int arrays
            The neurons' indices, a hidden layer each.

        Raises
        ------
        InvalidInputError
            If `tol` is negative.
        """
        small = check_nonnegative(tol, "tol") * self.norm
        return [
            np.flatnonzero((into <= small) & (out <= small))
            for into, out in zip(self.incoming_norms, self.outgoing_norms, strict=True)
        ]

    @classmethod
    def from_two_layer(cls, network: TwoLayerReLU) -> FeedForward:
        """Return the same function as a feed-forward network of two layers.

        Parameters
        ----------
        network : TwoLayerReLU
            With at least one neuron.

        Returns
        -------
        FeedForward
            The network.
        """
        return cls([network.W1, network.w2[None, :]], RELU)

    def as_two_layer(self) -> TwoLayerReLU:
        """Return the network as a :class:`TwoLayerReLU`.

        Returns
        -------
        TwoLayerReLU
            The same function.

        Raises
        ------
        InvalidInputError
            If it has not two layers, one output and ReLU between them.
        """
        if self.depth != 2 or self.widths[-1] != 1 or self.activation != RELU:
            raise InvalidInputError(f"two layers, one output and ReLU are needed, got {self!r}")
        return TwoLayerReLU(self.weights[0], self.weights[1][0])

    @classmethod
    def from_torch(cls, module: Any) -> FeedForward:
        """Return the network of ``nn.Sequential(Linear, ReLU or LeakyReLU, ..., Linear)`` without biases.

        Parameters
        ----------
        module : torch.nn.Sequential
            Weights in any precision, on any device; all activations the same.

        Returns
        -------
        FeedForward
            The same function.

        Raises
        ------
        InvalidInputError
            If it is anything else.
        """
        weights, alpha = feed_forward_weights(module)
        return cls(weights, PowerLeakyReLU(alpha))

    def to_torch(self) -> Any:
        """Return the network as ``nn.Sequential`` without biases, in double precision.

        Returns
        -------
        torch.nn.Sequential
            The same function of shape (n, k_L); its weights are copies and can be trained on.

        Raises
        ------
        ImportError
            If PyTorch is not installed (``pip install 'convexrelu[torch]'``).
        InvalidInputError
            If the activation is not a leaky ReLU (power 1).
        """
        activation = homogeneous(self.activation)
        if activation.power != 1:
            raise InvalidInputError(f"to_torch needs an activation of power 1, got {activation!r}")
        return feed_forward_module(self.weights, activation.alpha)

    _kind = "convexrelu.FeedForward"
    _fields = ("weights", "trainable", "alpha", "power")

    def _document(self) -> dict[str, Any]:
        activation = homogeneous(self.activation)
        return {
            "alpha": activation.alpha,
            "power": activation.power,
            "weights": [W.tolist() for W in self.weights],
            "trainable": [mask.tolist() for mask in self.trainable],
        }

    @classmethod
    def _of(cls, document: dict[str, Any]) -> FeedForward:
        weights, trainable = document["weights"], document["trainable"]
        if not isinstance(weights, list) or not isinstance(trainable, list):
            raise InvalidInputError("weights and trainable must be lists of layers")
        activation = PowerLeakyReLU(document["alpha"], document["power"])
        return cls(weights, activation, trainable=trainable)

    def __repr__(self) -> str:
        return f"FeedForward(widths={self.widths}, activation={self.activation!r})"

    def _inputs(self, X: ArrayLike) -> Float[np.ndarray, "n d"]:
        return as_matrix(X, columns=self.widths[0])

    def _masked(self, layers: Layers) -> list[Float[np.ndarray, "_ _"]]:
        pairs = zip(layers, self.trainable, strict=True)
        return [layer if mask.all() else np.where(mask, layer, 0.0) for layer, mask in pairs]


def _check_layers(
    weights: Sequence[ArrayLike], name: str = "weights"
) -> tuple[Float[np.ndarray, "_ _"], ...]:
    """Return copies of the layers, checked for shapes that follow on one another."""
    layers = tuple(np.array(as_matrix(W, f"{name}[{index}]")) for index, W in enumerate(weights))
    if not layers:
        raise InvalidInputError(f"{name} must hold at least one layer, got none")
    for index, (V, W) in enumerate(pairwise(layers), start=1):
        if W.shape[1] != len(V):
            raise InvalidInputError(
                f"{name}[{index}] must have {len(V)} columns, as the layer below has rows, got shape "
                f"{W.shape}"
            )
    return layers


def _check_masks(
    layers: tuple[Float[np.ndarray, "_ _"], ...], trainable: Sequence[bool | ArrayLike] | None
) -> tuple[Bool[np.ndarray, "_ _"], ...]:
    """Return one mask a layer."""
    given = [True] * len(layers) if trainable is None else list(trainable)
    if len(given) != len(layers):
        raise InvalidInputError(
            f"trainable must have an entry for each of {len(layers)} layers, got {len(given)}"
        )
    masks = []
    for index, (W, mask) in enumerate(zip(layers, given, strict=True)):
        array = np.asarray(mask)
        if array.ndim and array.shape != W.shape:
            raise InvalidInputError(f"trainable[{index}] must have shape {W.shape}, got {array.shape}")
        masks.append(np.array(np.broadcast_to(array.astype(bool), W.shape)))
    return tuple(masks)
