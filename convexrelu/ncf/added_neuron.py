"""The neuron that a trained network would grow next: constrained NCFs near a saddle (NP section 3.3).

Small incoming weights a and outgoing weights b of a new neuron in hidden layer l change the network's
outputs, to lowest order, by ``H_{1,l}(x; b, a) = J_{l+1}(x) b s(a^T g_{l-1}(x))``: g_{l-1} are the activities
that the neuron sees, J_{l+1} is the derivative of the outputs with respect to what layer l+1 sums up. The
neuron grows towards a KKT point of ``max z^T H_{1,l}(X; b, a), ||a||^2 + ||b||^2 = 1`` with the residual z
(NP Theorem 7), and among layers the largest maximum wins (NP Lemmas 10 and 11).

At a KKT point ``||a||^2 = p ||b||^2`` (NP Lemma 9) and b is along ``M^T s(G a)``, M = (J_{l+1}(x_n)^T z_n)_n,
so that the value is ``p^{p/2} (p+1)^{-(p+1)/2} max_{||u||=1} ||M^T s(G u)||``. For two layers of ReLU and one
output this is half the dual norm h(z) of the convex program.

For ReLU in three layers and more J_{l+1} is one-sided where sums above are exactly zero, and both sides are
searched (:mod:`convexrelu.ncf.one_sided`).

At some saddles H_1 vanishes in all layers: at those of deep linear networks, for one (NP appendix D.3). Then
new neurons one behind the other, one in each of k consecutive layers, change the outputs by a higher order,
``J_{m+1}(x) b s(c_m ... s(c_{l+1} s(a^T g_{l-1}(x))))`` with m = l + k - 1, of degree ``p^k + ... + p + 1``.
A chain through all hidden layers does so whatever the network is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_columns, as_generator, as_matrix, check_count
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.one_neuron import NeuronMaximum, NeuronProblem, TwoSidedPower, find_maxima
from convexrelu.ncf.one_sided import (
    OneSidedProblem,
    find_one_sided_maxima,
    on_kinks,
    one_sided_problem,
    one_sided_slope,
)
from convexrelu.networks import FeedForward, Pass, forward, homogeneous

__all__ = ["AddedNeuron", "AddedNeurons", "added_outputs", "maximize_added_neuron", "with_neuron"]

ZERO_NCF = 1e-8
"""An NCF below this part of a bound by the norms of all that enters counts as zero: a refit that stops at the
rounding of the loss leaves gradients of about the root of that."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AddedNeuron:
    """A KKT point of the constrained NCF of one neuron added to a network, or of one in each of some layers.

    Attributes
    ----------
    layer : int
        The hidden layer it joins, 1..L-1; of several neurons the first one's.
    incoming : (k_{l-1},) float array
        Its incoming weights a.
    outgoing : (k_{m+1},) float array
        Its outgoing weights b, m being the layer of the last neuron; all weights together have norm 1.
    value : float
        ``z^T H_{1,l}(X; b, a)``, positive; on kinks above, with the derivatives on the side to which sums
        change.
    stationarity : float
        First-order residual: the distance of zero from the tangential part of the subdifferential (Clarke's,
        where rows lie on the neuron's kink) relative to the subgradient's norm.
    n_starts : int
        How many starts led here.
    proven : bool
        Whether it is the global maximum of its layer, proven by the exact oracle, on both sides of kinks of
        the layer above; otherwise it is the best one found, or a lesser one. Never where sums further above
        lie on kinks.
    links : tuple of float
        The weights between neurons in consecutive layers; none for a single neuron.
    """

    layer: int
    incoming: Float[np.ndarray, " a"]
    outgoing: Float[np.ndarray, " b"]
    value: float
    stationarity: float
    n_starts: int
    proven: bool
    links: tuple[float, ...] = ()

    @property
    def order(self) -> int:
        """How many neurons there are, one behind the other."""
        return len(self.links) + 1

    def __str__(self) -> str:
        status = "proven global" if self.proven else f"{self.n_starts} starts"
        which = f"neuron of layer {self.layer}"
        if self.links:
            which = f"neurons of layers {self.layer} to {self.layer + len(self.links)}"
        return f"{which}: NCF {self.value:.6g}, KKT residual {self.stationarity:.1e} ({status})"


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
    order: int = 1,
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
    order : int, default 1
        How many neurons are added one behind the other, the first in one of these layers. One is what counts
        near a saddle unless the NCF of one vanishes in all layers (NP appendix D.3).
    n_starts : int, default 10
        Random starts in each layer, in opposite pairs.
    rng : int, Generator, SeedSequence or None
        Source of the starts.

    Returns
    -------
    AddedNeurons
        Best first. For power 1 and a single output weight the maximum is proven global where the cells of the
        rows can be listed and kinks lie at most in the layer above.

    Raises
    ------
    InvalidInputError
        If the activation is not homogeneous, there is no hidden layer, shapes disagree, or there are fewer
        hidden layers than neurons.

    Examples
    --------
    Two layers, ReLU: the maximum is half the dual norm h(z) of the convex program.

    >>> network = FeedForward([[[1.0, 0.0]], [[1.0]]])
    >>> best = maximize_added_neuron(network, [[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], rng=0).best
    >>> best.layer, best.value, best.proven
    (1, 2.5, True)
    """
    activation, chosen = homogeneous(network.activation), _check_layers(network, layers)
    count, generator = check_count(n_starts, "n_starts"), as_generator(rng)
    length = check_count(order, "order")
    if length > network.depth - 1:
        raise InvalidInputError(f"order must be at most the {network.depth - 1} hidden layers, got {order}")
    matrix = as_matrix(X, columns=network.widths[0])
    residual = as_columns(z, "z", rows=len(matrix), columns=network.widths[-1])
    run = forward(network.weights, activation, matrix)
    points = [
        point
        for layer in chosen
        if layer + length <= network.depth
        for signs in product((1.0, -1.0), repeat=length - 1)
        for point in _points(network, run, residual, layer, signs, count, generator)
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
        Of degree p + 1 in the neuron's weights; where sums of the network lie on kinks, with the derivative
        on the side to which they change.

    Raises
    ------
    InvalidInputError
        If the shapes disagree.
    """
    activation = homogeneous(network.activation)
    _check_fit(network, neuron)
    run = forward(network.weights, activation, as_matrix(X, columns=network.widths[0]))
    return _added(run, neuron)


def _added(run: Pass, neuron: AddedNeuron) -> Float[np.ndarray, "n k"]:
    """Return the lowest-order change of the outputs."""
    activity = run.activation(run.inputs[neuron.layer - 1] @ neuron.incoming)
    for link in neuron.links:
        activity = run.activation(link * activity)
    change = np.asarray(activity[:, None] * neuron.outgoing)
    # change is that of the sums of this layer, 0 being the first
    for layer in range(neuron.layer + len(neuron.links), len(run.weights) - 1):
        change = (change * one_sided_slope(run, layer, change)) @ run.weights[layer + 1].T
    return change


def with_neuron(network: FeedForward, neuron: AddedNeuron, delta: float) -> FeedForward:
    """Return the network with the neurons added, their weights times delta (NP Algorithm 1, lines 29 to 31).

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
        One neuron wider in ``neuron.layer``, and in as many layers behind it as there are links.

    Raises
    ------
    InvalidInputError
        If delta is not positive, or the neuron does not fit the network.
    """
    if not delta > 0:
        raise InvalidInputError(f"delta must be positive, got {delta!r}")
    _check_fit(network, neuron)
    weights, first = list(network.weights), neuron.layer - 1
    last = first + neuron.order
    weights[first] = np.vstack([weights[first], delta * neuron.incoming])
    for layer, link in enumerate(neuron.links, start=first + 1):
        k, j = weights[layer].shape
        weights[layer] = np.block([[weights[layer], np.zeros((k, 1))], [np.zeros((1, j)), delta * link]])
    weights[last] = np.column_stack([weights[last], delta * neuron.outgoing])
    return FeedForward(weights, network.activation)


def _check_fit(network: FeedForward, neuron: AddedNeuron) -> None:
    """Raise InvalidInputError if the neuron does not fit the hidden layers that it joins."""
    _check_layers(network, [neuron.layer, neuron.layer + len(neuron.links)])
    needed = network.widths[neuron.layer - 1], network.widths[neuron.layer + neuron.order]
    given = len(neuron.incoming), len(neuron.outgoing)
    if given != needed:
        raise InvalidInputError(
            f"a neuron of layer {neuron.layer} must have {needed[0]} incoming and {needed[1]} outgoing "
            f"weights, got {given[0]} and {given[1]}"
        )


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


def _points(
    network: FeedForward,
    run: Pass,
    residual: Float[np.ndarray, "n k"],
    layer: int,
    signs: tuple[float, ...],
    n_starts: int,
    rng: np.random.Generator,
) -> list[AddedNeuron]:
    """Return the KKT points of neurons in a layer and those behind it, with given signs between them."""
    activation = homogeneous(network.activation)
    shape = TwoSidedPower.of(activation, signs)
    degrees = activation.power ** np.arange(len(signs) + 1, -1, -1)
    sizes = np.sqrt(degrees / degrees.sum())
    above = layer + len(signs)  # the layer whose sums the last neuron enters, 0 being the first
    level = float(np.linalg.norm(residual) * np.prod(sizes**degrees)) * _gain_above(run, above)
    points = []
    for problem, certain in _problems(run, residual, layer, above, shape):
        for maximum in _maxima(problem, n_starts, rng):
            point = AddedNeuron(
                layer=layer,
                incoming=sizes[0] * maximum.u,
                links=tuple(float(c) for c in sizes[1:-1] * np.array(signs)),
                outgoing=sizes[-1] * maximum.b,
                value=float(np.prod(sizes**degrees) * maximum.value),
                stationarity=problem.stationarity(maximum.u, maximum.b),
                n_starts=maximum.n_starts,
                proven=maximum.proven and certain,
            )
            if not certain:
                # sums are taken to be on sides that they may not change to
                point = replace(point, value=float((residual * _added(run, point)).sum()))
            if point.value > ZERO_NCF * level * problem.activity:
                points.append(point)
    return points


def _maxima(problem: NeuronProblem, n_starts: int, rng: np.random.Generator) -> list[NeuronMaximum]:
    if problem.shape.zero:
        return []
    if isinstance(problem, OneSidedProblem):
        return find_one_sided_maxima(problem, n_starts=n_starts, rng=rng)
    return find_maxima(problem, n_starts=n_starts, rng=rng)


def _problems(
    run: Pass, residual: Float[np.ndarray, "n k"], layer: int, above: int, shape: TwoSidedPower
) -> list[tuple[NeuronProblem, bool]]:
    """Return what there is to be searched, and whether values are those of the neurons without doubt.

    On kinks of the layer above, the sides of a single neuron's outgoing weights are searched. On kinks
    further above, and for neurons one behind the other, all sums are taken to fall, then to rise.
    """
    seen, hidden = np.asarray(run.inputs[layer - 1]), range(above, len(run.weights) - 1)
    kinks = {index: on_kinks(run, index) for index in hidden}
    slopes = [run.activation.slope(Z) for Z in run.sums[:-1]]
    sided = above == layer and above in kinks and bool(kinks[above].any())
    doubtful = [index for index in hidden if kinks[index].any() and not (sided and index == above)]
    problems: list[tuple[NeuronProblem, bool]] = []
    for side in (-1.0, 1.0) if doubtful else (0.0,):
        chosen = list(slopes)
        for index in doubtful:
            chosen[index] = np.where(kinks[index], run.activation.slope(np.array(side)), slopes[index])
        if sided:
            back = run.worth(residual, chosen)[above + 1] @ run.weights[above + 1]
            problem: NeuronProblem = one_sided_problem(seen, back, slopes[above], kinks[above], shape)
        else:
            problem = NeuronProblem(G=seen, M=run.worth(residual, chosen)[above], shape=shape)
        problems.append((problem, not doubtful))
    return problems


def _gain_above(run: Pass, layer: int) -> float:
    """Return a bound on how much the sums of a layer, 0 being the first, are amplified to the outputs."""
    gain = 1.0
    for above in range(layer + 1, len(run.weights)):
        steepest = np.abs(run.activation.slope(run.sums[above - 1])).max(initial=0.0)
        if on_kinks(run, above - 1).any():
            steepest = max(steepest, 1.0)
        gain *= float(np.linalg.norm(run.weights[above]) * steepest)
    return gain
