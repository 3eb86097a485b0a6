"""The neuron that a trained network would grow next: constrained NCFs near a saddle (NP section 3.3).

Small incoming weights a and outgoing weights b of a new neuron in hidden layer l change the network's
outputs, to lowest order, by ``H_{1,l}(x; b, a) = J_{l+1}(x) b s(a^T g_{l-1}(x))``: g_{l-1} are the activities
that the neuron sees, J_{l+1} is the derivative of the outputs with respect to what layer l+1 sums up. The
neuron grows towards a KKT point of ``max z^T H_{1,l}(X; b, a), ||a||^2 + ||b||^2 = 1`` with the residual z
(NP Theorem 7), and among layers the largest maximum wins (NP Lemmas 10 and 11).

At a KKT point ``||a||^2 = p ||b||^2`` (NP Lemma 9) and b is along ``M^T s(G a)``, M = (J_{l+1}(x_n)^T z_n)_n,
so that the value is ``p^{p/2} (p+1)^{-(p+1)/2} max_{||u||=1} ||M^T s(G u)||``. For two layers of ReLU and one
output this is half the dual norm h(z) of the convex program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_columns, as_generator, as_matrix, check_count
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.one_neuron import NeuronProblem, TwoSidedPower, find_maxima
from convexrelu.networks import FeedForward, Pass, forward, homogeneous

__all__ = ["AddedNeuron", "AddedNeurons", "added_outputs", "maximize_added_neuron", "with_neuron"]

ZERO_NCF = 1e-8
"""An NCF below this part of a bound by the norms of all that enters counts as zero: a refit that stops at the
rounding of the loss leaves gradients of about the root of that."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AddedNeuron:
    """A KKT point of the constrained NCF of one neuron added to a network.

    Attributes
    ----------
    layer : int
        The hidden layer it joins, 1..L-1.
    incoming : (k_{l-1},) float array
        Its incoming weights a.
    outgoing : (k_{l+1},) float array
        Its outgoing weights b; ``||a||^2 + ||b||^2 = 1``.
    value : float
        ``z^T H_{1,l}(X; b, a)``, positive.
    stationarity : float
        First-order residual: the distance of zero from the tangential part of the subdifferential (Clarke's,
        where rows lie on the neuron's kink) relative to the subgradient's norm.
    n_starts : int
        How many starts led here.
    proven : bool
        Whether it is the global maximum of its layer, proven by the exact oracle; otherwise it is the best
        one found, or a lesser one. Never where sums of the layers above lie on kinks (see below).

    Notes
    -----
    Where all neurons below a ReLU neuron are off, its sum is exactly 0, and the derivative J_{l+1} is
    one-sided: it depends on the sign of what the new neuron adds. The maximisation takes s'(0) = alpha there,
    the derivative from the left, and may then miss a better neuron that switches such a sum on.
    """

    layer: int
    incoming: Float[np.ndarray, " a"]
    outgoing: Float[np.ndarray, " b"]
    value: float
    stationarity: float
    n_starts: int
    proven: bool

    def __str__(self) -> str:
        status = "proven global" if self.proven else f"{self.n_starts} starts"
        return (
            f"neuron of layer {self.layer}: NCF {self.value:.6g}, KKT residual {self.stationarity:.1e} "
            f"({status})"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class AddedNeurons:
    """The KKT points found for one neuron added to a network, in any of its hidden layers.

    Attributes
    ----------
    points : tuple of AddedNeuron
        Distinct ones of positive value, best first over all layers; none where the NCF is zero.
    """

    points: tuple[AddedNeuron, ...]

    @property
    def best(self) -> AddedNeuron:
        """The dominant neuron: the one that a network near the saddle grows (NP Lemmas 10 and 11).

        Raises
        ------
        InvalidInputError
            If there is none, the NCF being zero in all layers.
        """
        if not self.points:
            raise InvalidInputError("no neuron correlates with the residual: the NCF is zero in all layers")
        return self.points[0]

    def of_layer(self, layer: int) -> tuple[AddedNeuron, ...]:
        """Return the points of one hidden layer, best first.

        Parameters
        ----------
        layer : int
            1..L-1.

        Returns
        -------
        tuple of AddedNeuron
            Possibly none.
        """
        return tuple(point for point in self.points if point.layer == layer)

    def __str__(self) -> str:
        return "\n".join(map(str, self.points)) or "the NCF is zero in all layers"


def maximize_added_neuron(
    network: FeedForward,
    X: ArrayLike,
    z: ArrayLike,
    *,
    layers: Sequence[int] | None = None,
    n_starts: int = 10,
    rng: RNGLike = None,
) -> AddedNeurons:
    """Return KKT points of the constrained NCF of one neuron added to the network (NP section 3.3).

    Parameters
    ----------
    network : FeedForward
        The network to be extended, of a homogeneous activation and at least two layers.
    X : (n, k_0) array_like
        Samples.
    z : (n,) or (n, k_L) array_like
        The residual, ``y - H(X)`` for the square loss.
    layers : sequence of int or None
        Hidden layers to consider; all, unless said otherwise.
    n_starts : int, default 10
        Random starts in each layer, in opposite pairs.
    rng : int, Generator, SeedSequence or None
        Source of the starts.

    Returns
    -------
    AddedNeurons
        Best first. For power 1 and a single output weight the maximum is proven global where the cells of the
        rows can be listed and no kink lies above.

    Raises
    ------
    InvalidInputError
        If the activation is not homogeneous, there is no hidden layer, or shapes disagree.

    Examples
    --------
    Two layers, ReLU: the maximum is half the dual norm h(z) of the convex program.

    >>> network = FeedForward([[[1.0, 0.0]], [[1.0]]])
    >>> best = maximize_added_neuron(network, [[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], rng=0).best
    >>> best.layer, best.value, best.proven
    (1, 2.5, True)
    """
    power = homogeneous(network.activation).power
    chosen = _check_layers(network, layers)
    count, generator = check_count(n_starts, "n_starts"), as_generator(rng)
    problems = _problems(network, X, z, chosen)
    factor = power ** (power / 2) * (power + 1) ** (-(power + 1) / 2)
    a, b = np.sqrt(power / (power + 1)), np.sqrt(1 / (power + 1))
    points = [
        AddedNeuron(
            layer=layer,
            incoming=a * maximum.u,
            outgoing=b * maximum.b,
            value=factor * maximum.value,
            stationarity=problem.stationarity(maximum.u, maximum.b),
            n_starts=maximum.n_starts,
            proven=maximum.proven and smooth,
        )
        for layer, problem, level, smooth in problems
        for maximum in find_maxima(problem, n_starts=count, rng=generator)
        if maximum.value > ZERO_NCF * level
    ]
    return AddedNeurons(points=tuple(sorted(points, key=lambda point: -point.value)))


def added_outputs(network: FeedForward, X: ArrayLike, neuron: AddedNeuron) -> Float[np.ndarray, "n k"]:
    """Return ``H_{1,l}(X; b, a)``, the lowest-order change of the outputs by the neuron.

    Parameters
    ----------
    network : FeedForward
        The network it is added to.
    X : (n, k_0) array_like
        Samples.
    neuron : AddedNeuron
        The neuron.

    Returns
    -------
    (n, k_L) float array
        Of degree p + 1 in the neuron's weights.

    Raises
    ------
    InvalidInputError
        If the shapes disagree.
    """
    activation = homogeneous(network.activation)
    run = forward(network.weights, activation, as_matrix(X, columns=network.widths[0]))
    layer = _check_fit(network, neuron)
    tangent = activation(run.inputs[layer - 1] @ neuron.incoming)[:, None] * neuron.outgoing
    for above in range(layer + 1, network.depth):
        tangent = (tangent * activation.slope(run.sums[above - 1])) @ network.weights[above].T
    return np.asarray(tangent)


def with_neuron(network: FeedForward, neuron: AddedNeuron, delta: float) -> FeedForward:
    """Return the network with the neuron added, its weights times delta (NP Algorithm 1, lines 29 to 31).

    Parameters
    ----------
    network : FeedForward
        The network.
    neuron : AddedNeuron
        The neuron.
    delta : float
        A positive factor.

    Returns
    -------
    FeedForward
        One neuron wider in ``neuron.layer``.

    Raises
    ------
    InvalidInputError
        If delta is not positive, or the neuron does not fit the network.
    """
    if not delta > 0:
        raise InvalidInputError(f"delta must be positive, got {delta!r}")
    layer, weights = _check_fit(network, neuron), list(network.weights)
    weights[layer - 1] = np.vstack([weights[layer - 1], delta * neuron.incoming])
    weights[layer] = np.column_stack([weights[layer], delta * neuron.outgoing])
    return FeedForward(weights, network.activation)


def _check_fit(network: FeedForward, neuron: AddedNeuron) -> int:
    """Return the hidden layer that the neuron joins, or raise InvalidInputError if it does not fit there."""
    (layer,) = _check_layers(network, [neuron.layer])
    needed = network.widths[layer - 1], network.widths[layer + 1]
    given = len(neuron.incoming), len(neuron.outgoing)
    if given != needed:
        raise InvalidInputError(
            f"a neuron of layer {layer} must have {needed[0]} incoming and {needed[1]} outgoing weights, got "
            f"{given[0]} and {given[1]}"
        )
    return layer


def _check_layers(network: FeedForward, layers: Sequence[int] | None) -> list[int]:
    """Return the hidden layers to be considered."""
    hidden = range(1, network.depth)
    if not hidden:
        raise InvalidInputError("a network of at least two layers is needed, got one")
    if not all(mask.all() for mask in network.trainable):
        raise InvalidInputError("neurons are added to networks without frozen weights only")
    chosen = list(hidden) if layers is None else list(layers)
    if not chosen or not set(chosen) <= set(hidden):
        raise InvalidInputError(f"layers must be hidden layers, 1..{network.depth - 1}, got {layers}")
    return chosen


def _problems(
    network: FeedForward, X: ArrayLike, z: ArrayLike, layers: list[int]
) -> list[tuple[int, NeuronProblem, float, bool]]:
    """Return each hidden layer's problem, a bound on its values by sizes, and whether no kink lies above."""
    matrix = as_matrix(X, columns=network.widths[0])
    residual = as_columns(z, "z", rows=len(matrix), columns=network.widths[-1])
    activation = homogeneous(network.activation)
    run = forward(network.weights, activation, matrix)
    worth, shape = run.worth(residual), TwoSidedPower.of(activation)
    problems = []
    for layer in layers:
        problem = NeuronProblem(G=np.asarray(run.inputs[layer - 1]), M=worth[layer], shape=shape)
        level = problem.activity * float(np.linalg.norm(residual)) * _gain_above(run, layer)
        problems.append((layer, problem, level, not _kinks_above(run, layer)))
    return problems


def _kinks_above(run: Pass, layer: int) -> bool:
    """Whether a sum above a hidden layer is at a kink: exactly 0, as where all neurons below it are off."""
    sums = run.sums[layer : len(run.weights) - 1]
    return run.activation.kinked and any(bool((Z == 0.0).any()) for Z in sums)


def _gain_above(run: Pass, layer: int) -> float:
    """Return a bound on how much the sums of the layer above a hidden layer are amplified to the outputs."""
    gain = 1.0
    for above in range(layer + 1, len(run.weights)):
        steepest = np.abs(run.activation.slope(run.sums[above - 1])).max(initial=0.0)
        gain *= float(np.linalg.norm(run.weights[above]) * steepest)
    return gain
