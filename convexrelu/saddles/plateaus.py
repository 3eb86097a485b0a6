"""Training runs as sequences of saddles, told by the norm of the gradient (KH-beyond 3, NP 4).

From small weights the loss falls in steps: it rests near a saddle, where a few neurons are active and all
others almost zero, until one more neuron has grown. The gradient norm tells where: a saddle is a valley of it
between two peaks, and the first one after the origin is its first local minimum after its peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from convexrelu._typing import ArrayLike
from convexrelu._validation import check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, Layers
from convexrelu.training.trajectory import DeepTrajectory

__all__ = ["Plateau", "SaddleTrack", "neuron_sizes", "relative_size", "track_saddles"]

PROMINENCE = 2.0
"""A valley of the gradient norm counts if the norm rises by this factor on both sides: less is a bend of the
way, not a rest. Saddles of the papers' experiments are valleys 10 to 10^6 deep."""

ACTIVE = 0.05
"""A neuron is active from this part of its layer's largest one in the run on. Sizes are far from it on either
side: neurons that wait are as small as the start, those that have joined are within a factor of a few."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plateau:
    """A stay near a stationary point.

    Attributes
    ----------
    index : int
        The recorded point of least gradient norm.
    first, last : int
        The recorded points between which the gradient norm is nearer to that of the valley than to those of
        the peaks around it, in the logarithm.
    time : float
        When the gradient norm is least.
    loss, gradient_norm : float
        There.
    active : tuple of int arrays
        The active neurons there, a hidden layer each.
    left : bool
        Whether the run leaves it again; the last plateau may be the end.
    """

    index: int
    first: int
    last: int
    time: float
    loss: float
    gradient_norm: float
    active: tuple[Int[np.ndarray, " _"], ...]
    left: bool

    @property
    def n_active(self) -> tuple[int, ...]:
        """The number of active neurons, a hidden layer each."""
        return tuple(len(neurons) for neurons in self.active)

    def __str__(self) -> str:
        end = "" if self.left else ", where the run ends"
        return (
            f"t = {self.time:.6g}: loss {self.loss:.4g}, gradient norm {self.gradient_norm:.2g}, "
            f"{' + '.join(map(str, self.n_active))} active neurons{end}"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SaddleTrack:
    """A training run cut into plateaus.

    Attributes
    ----------
    trajectory : DeepTrajectory
        The run.
    plateaus : tuple of Plateau
        In the order of time; from a small start the first one is the origin.
    peaks : (k,) int array
        The recorded points of largest gradient norm between them.
    """

    trajectory: DeepTrajectory
    plateaus: tuple[Plateau, ...]
    peaks: Int[np.ndarray, " k"]

    @property
    def first_saddle(self) -> Plateau:
        """The first local minimum of the gradient norm after its first peak (KH-beyond Corollaries 5 and 11).

        Raises
        ------
        InvalidInputError
            If the run ends before.
        """
        if len(self.plateaus) < 2:
            raise InvalidInputError(
                "the run must last until the gradient norm has passed a peak, got one that ends before: "
                f"{self.trajectory}"
            )
        return self.plateaus[1]

    def __str__(self) -> str:
        return "\n".join(str(plateau) for plateau in self.plateaus)


def track_saddles(
    trajectory: DeepTrajectory, *, prominence: float = PROMINENCE, active: float = ACTIVE
) -> SaddleTrack:
    """Return the plateaus of a training run: the valleys of its gradient norm, and who is active there.

    Parameters
    ----------
    trajectory : DeepTrajectory
        A run of descent or flow.
    prominence : float
        How many times larger than in the valley the gradient norm must become on both sides (on the one side
        that there is, for the first and the last).
    active : float
        A neuron is active from this part of the largest size on that a neuron of its layer has in the run;
        its size is the norm of its in- and outgoing weights together.

    Returns
    -------
    SaddleTrack
        At least one plateau.

    Raises
    ------
    InvalidInputError
        If the prominence is not above 1 or the other number not positive.

    Examples
    --------
    The loss ``((w_1^2 - 4)^2 + (w_2^2 - 1)^2) / 2`` from ``w = (0.01, 0.01)``: first w_1 grows, then w_2.

    >>> import convexrelu as cr
    >>> squares = cr.PowerLeakyReLU(1.0, 2)
    >>> start = cr.FeedForward([0.01 * np.eye(2), [[1.0, 1.0]]], squares, trainable=[np.eye(2), False])
    >>> path = cr.gradient_flow(np.eye(2), [4.0, 1.0], start, t_max=20.0, loss="square")
    >>> for plateau in track_saddles(path).plateaus:
    ...     print(f"loss {plateau.loss:.1f}, active neurons {plateau.active[0]}")
    loss 8.5, active neurons []
    loss 0.5, active neurons [0]
    loss 0.0, active neurons [0 1]
    """
    if not check_positive(prominence, "prominence") > 1.0:
        raise InvalidInputError(f"prominence must be above 1, got {prominence!r}")
    share = check_positive(active, "active")
    valleys, peaks = _turning_points(trajectory.gradient_norm, prominence)
    sizes = neuron_sizes(trajectory.weights, trajectory.problem.network.trainable)
    joined = [(size > 0.0) & (size >= share * size.max(initial=0.0)) for size in sizes]
    plateaus = tuple(_plateau(trajectory, index, peaks, joined) for index in valleys)
    return SaddleTrack(trajectory=trajectory, plateaus=plateaus, peaks=np.array(peaks, dtype=np.int64))


def _plateau(
    trajectory: DeepTrajectory, index: int, peaks: list[int], joined: Sequence[Bool[np.ndarray, "T _"]]
) -> Plateau:
    first, last = _extent(trajectory.gradient_norm, index, peaks)
    return Plateau(
        index=index,
        first=first,
        last=last,
        time=float(trajectory.times[index]),
        loss=float(trajectory.loss[index]),
        gradient_norm=float(trajectory.gradient_norm[index]),
        active=tuple(np.flatnonzero(active[index]) for active in joined),
        left=last < len(trajectory) - 1,
    )


def neuron_sizes(
    weights: Layers, trainable: Sequence[Bool[np.ndarray, "_ _"]]
) -> list[Float[np.ndarray, "... _"]]:
    """Return the size of every hidden neuron: the norm of its trainable in- and outgoing weights together.

    Parameters
    ----------
    weights : sequence of (..., k_l, k_{l-1}) float arrays
        The layers of a network, or of several.
    trainable : sequence of (k_l, k_{l-1}) bool arrays
        Which entries are trainable.

    Returns
    -------
    list of (..., k_l) arrays
        A hidden layer each.

    Examples
    --------
    >>> layers = [np.array([[3.0], [0.0]]), np.array([[4.0, 1.0]])]
    >>> neuron_sizes(layers, [np.ones(W.shape, dtype=bool) for W in layers])
    [array([5., 1.])]
    """
    free = [np.where(mask, W, 0.0) for W, mask in zip(weights, trainable, strict=True)]
    return [np.hypot(np.linalg.norm(W, axis=-1), np.linalg.norm(V, axis=-2)) for W, V in pairwise(free)]


def relative_size(network: FeedForward, neurons: Sequence[ArrayLike]) -> float:
    """Return the largest size among given hidden neurons, relative to the largest neuron of their layer.

    For a set that is zero at a KKT point of the NCF it stays small up to the first saddle (KH-beyond
    Theorem 18).

    Parameters
    ----------
    network : FeedForward
        The network.
    neurons : sequence of (z,) int array_like
        Indices of neurons, a hidden layer each, such as :meth:`FeedForward.zero_preserving_set` returns.

    Returns
    -------
    float
        0 for a set without neurons.

    Raises
    ------
    InvalidInputError
        If there is not one set for each hidden layer.
    """
    sizes = neuron_sizes(network.weights, network.trainable)
    if len(neurons) != len(sizes):
        raise InvalidInputError(
            f"neurons must hold a set for each of {len(sizes)} hidden layers, got {len(neurons)}"
        )
    shares = [0.0]
    for size, chosen in zip(sizes, neurons, strict=True):
        largest = float(size.max())
        if largest > 0.0:
            shares.append(float(size[np.asarray(chosen, dtype=np.int64)].max(initial=0.0)) / largest)
    return max(shares)


def _turning_points(g: Float[np.ndarray, " T"], prominence: float) -> tuple[list[int], list[int]]:
    """Return valleys and peaks of g, in turn and beginning with a valley, that are deep and high enough."""
    valleys, peaks = [], []
    best, climbing = 0, False
    for index, value in enumerate(g):
        if (value > g[best]) == climbing and value != g[best]:
            best = index
        elif climbing and value * prominence < g[best]:
            peaks.append(best)
            best, climbing = index, False
        elif not climbing and value > prominence * g[best]:
            valleys.append(best)
            best, climbing = index, True
    if not climbing:
        valleys.append(best)
    return valleys, peaks


def _extent(g: Float[np.ndarray, " T"], index: int, peaks: Sequence[int]) -> tuple[int, int]:
    """Return the points between which log g is nearer to its valley than to the peak on that side."""
    before = [peak for peak in peaks if peak < index]
    after = [peak for peak in peaks if peak > index]
    first, last = index, index
    if before:
        bar = np.sqrt(g[before[-1]] * g[index])
        while first - 1 > before[-1] and g[first - 1] <= bar:
            first -= 1
    else:
        first = 0
    if after:
        bar = np.sqrt(g[after[0]] * g[index])
        while last + 1 < after[0] and g[last + 1] <= bar:
            last += 1
    else:
        last = len(g) - 1
    return first, last
