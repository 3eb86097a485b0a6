"""Trajectories of training: what was recorded, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Real

from convexrelu.losses import Loss
from convexrelu.networks import RELU, FeedForward, TwoLayerReLU, evaluate, pack
from convexrelu.oracle import dual_norm
from convexrelu.training.problem import DeepProblem, scale_of

__all__ = [
    "DeepTrajectory",
    "FlowEvent",
    "FlowTrajectory",
    "Trajectory",
    "log_of_clock",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class FlowEvent:
    """One change of a neuron's activation pattern along a gradient flow.

    Attributes
    ----------
    time : float
        The true time, inf where float64 cannot hold it.
    log_time : float
        Its logarithm.
    neuron : int
        The neuron's index.
    row : int
        The row whose hyperplane ``x_n^T w1 = 0`` it meets (of parallel rows, the first).
    before : str
        What the row was for the neuron until then: "on" (active), "off" (inactive), or "slide": the neuron
        moved along its hyperplane.
    kind : str
        What it is from then on, of the same three: from "on" to "off" the neuron crosses the hyperplane, to
        "slide" it starts to slide along it, from "slide" it leaves it.
    """

    time: float
    log_time: float
    neuron: int
    row: int
    before: str
    kind: str

    def __str__(self) -> str:
        moment = f"t = {self.time:.6g}" if math.isfinite(self.time) else f"log t = {self.log_time:.6g}"
        return f"{moment}: row {self.row} of neuron {self.neuron}, {self.before} -> {self.kind}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """The recorded points of a training run, with bounds on P* that certify every one of them.

    Everything but the recorded weights is computed from X, y and them, once, when first asked for.

    Attributes
    ----------
    X, y : (n, d) and (n,) float arrays
        The data, labels as +1 and -1.
    times : (T,) float array
        Step indices (descent) or true times (flow) of the recorded points, increasing, the start first.
    W1, w2 : (T, m, d) and (T, m) float arrays
        The weights there.
    rule : Loss
        The loss that was minimised.
    status : str
        How the run ended: a :class:`~convexrelu._status.Status`, or the name of a stopping rule.
    kind : str
        "descent" or "flow".
    events : tuple of FlowEvent
        Changes of activation patterns (flow only).
    reduction : str, default "sum"
        "mean" or "sum" over the samples: what `loss`, `log_loss` and `lam` are.
    stages : tuple of int, default ()
        Steps from which on the steps were larger, where descent went in stages (``verify_gradient_descent``).

    Examples
    --------
    >>> import convexrelu as cr
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> path = cr.gradient_descent(
    ...     [[1.65, -0.47], [-0.47, 1.35]], [1, -1], start, step_size=0.3, n_steps=20000, normalized=True
    ... )
    >>> bool(path.bound_at(-1) <= 1.282433 <= path.objective[-1])
    True
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    times: Real[np.ndarray, " T"]
    W1: Float[np.ndarray, "T m d"]
    w2: Float[np.ndarray, "T m"]
    rule: Loss
    status: str
    kind: str
    events: tuple[FlowEvent, ...]
    reduction: str = "sum"
    stages: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for array in (self.times, self.W1, self.w2):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def log_times(self) -> Float[np.ndarray, " T"]:
        """The logarithms of the times; -inf at time 0."""
        with np.errstate(divide="ignore"):
            return np.log(np.asarray(self.times, dtype=np.float64))

    @cached_property
    def radius(self) -> Float[np.ndarray, "T m"]:
        """Each neuron's size on a log scale, ``log ||w1_i||`` (r in polar form); -inf for a zero neuron."""
        # scaled first, so that tiny weights do not vanish in their squares
        largest = np.abs(self.W1).max(axis=2)
        safe = np.where(largest > 0, largest, 1.0)
        with np.errstate(divide="ignore"):
            scaled = np.linalg.norm(self.W1 / safe[:, :, None], axis=2)
            return np.asarray(np.log(largest) + np.log(np.maximum(scaled, 1.0)))

    @cached_property
    def directions(self) -> Float[np.ndarray, "T m d"]:
        """Each neuron's unit vector ``w1_i/||w1_i||``, u in WP's polar form; zero for a zero neuron."""
        largest = np.abs(self.W1).max(axis=2, keepdims=True)
        scaled = self.W1 / np.where(largest > 0, largest, 1.0)
        length = np.linalg.norm(scaled, axis=2, keepdims=True)
        return np.asarray(scaled / np.where(length > 0, length, 1.0))

    def network_at(self, index: int = -1) -> TwoLayerReLU:
        """Return the network at a recorded point, the last one unless said otherwise."""
        return TwoLayerReLU(self.W1[index], self.w2[index])

    @cached_property
    def margins(self) -> Float[np.ndarray, "T n"]:
        """Every sample's margin ``q_n = y_n f(x_n)``."""
        return np.stack(
            [
                self.y * evaluate([W1, w2[None, :]], RELU, self.X)[:, 0]
                for W1, w2 in zip(self.W1, self.w2, strict=True)
            ]
        )

    @cached_property
    def margin(self) -> Float[np.ndarray, " T"]:
        """Return the smallest margin ``min_n y_n f(x_n)``."""
        return np.asarray(self.margins.min(axis=1))

    @property
    def scale(self) -> float:
        """What the summed loss is multiplied by: 1 or 1/n."""
        return scale_of(self.reduction, len(self.X))

    @cached_property
    def vectors(self) -> Float[np.ndarray, "T w"]:
        """All weights of each recorded point as one vector: W1 row by row, then w2."""
        return np.concatenate([self.W1.reshape(len(self), -1), self.w2], axis=1)

    @cached_property
    def loss(self) -> Float[np.ndarray, " T"]:
        """Return the loss; 0 where it underflows, see :attr:`log_loss`."""
        with np.errstate(over="ignore"):
            return np.asarray(self.scale * self.rule.value(self.margins).sum(axis=1))

    @cached_property
    def log_loss(self) -> Float[np.ndarray, " T"]:
        """Return the logarithm of the loss, which does not underflow."""
        return self.rule.log_total(self.margins) + math.log(self.scale)

    @cached_property
    def lam(self) -> Float[np.ndarray, "T n"]:
        """The loss weights ``-y_n l'(q_n)`` (WP eq. (19)); they may underflow, see :attr:`relative_lam`."""
        return np.asarray(self.scale * self.y * self.rule.slope(self.margins))

    @cached_property
    def relative_lam(self) -> Float[np.ndarray, "T n"]:
        """The loss weights scaled to ``sum_n |lam_n| = 1`` in the log domain: they never vanish together."""
        return np.asarray(self.y * self.rule.relative_slope(self.margins))

    @cached_property
    def objective(self) -> Float[np.ndarray, " T"]:
        """The upper bound on P*, ``||theta||^2 / (2 margin)``; inf where the margin is not positive."""
        square = np.square(self.W1).sum(axis=(1, 2)) + np.square(self.w2).sum(axis=1)
        fits = self.margin > 0
        with np.errstate(over="ignore"):
            return np.where(fits, square / (2.0 * np.where(fits, self.margin, 1.0)), np.inf)

    def bound_at(self, index: int = -1) -> float:
        """Return the lower bound on P* that the loss weights at a recorded point prove: ``y^T lam / h(lam)``.

        Weights of the wrong sign (square loss, margins above 1) count as 0, since the bound needs ``y_n lam_n
        >= 0``. It is 0 when no weight is left. h(lam) is taken at its proven upper bound.
        """
        weights = self.y * self.relative_lam[index]
        # Any lam gives a valid bound, so this costs at most n * 1e-15 of it, and a sparser lam makes the
        # oracle's work smaller.
        weights = np.where(weights > 1e-15, weights, 0.0)
        total = math.fsum(weights)
        if total == 0.0:
            return 0.0
        norm = float(dual_norm(self.X, self.y * weights).upper_bound)
        # less the roundings of dividing an exactly rounded sum by the bound on h
        return total / norm * (1.0 - 4.0 * float(np.finfo(np.float64).eps)) if norm > 0.0 else math.inf

    def gap_at(self, index: int = -1) -> float:
        """Return the certified relative gap at one recorded point; inf if the network does not fit."""
        upper = float(self.objective[index])
        return (upper - self.bound_at(index)) / upper if math.isfinite(upper) else math.inf

    @cached_property
    def lower_bound(self) -> Float[np.ndarray, " T"]:
        """The certified lower bound at every recorded point: T calls of the oracle. See :meth:`bound_at`."""
        return np.array([self.bound_at(index) for index in range(len(self))])

    @cached_property
    def gap(self) -> Float[np.ndarray, " T"]:
        """The relative gap ``(objective - lower_bound) / objective``, inf where the objective is inf."""
        fits = np.isfinite(self.objective)
        upper = np.where(fits, self.objective, 1.0)
        return np.where(fits, (upper - self.lower_bound) / upper, np.inf)

    @cached_property
    def alignment(self) -> Float[np.ndarray, "T m"]:
        """Each neuron's cosine of ``w1_i`` with ``s_i X^T D(w1_i) y``, s_i = sign(w2_i) (WP Theorem 1).

        It is 0 where the cosine is undefined: a zero neuron, or no active row.
        """
        cosines = np.zeros(self.w2.shape)
        for index, (W1, w2) in enumerate(zip(self.W1, self.w2, strict=True)):
            target = (np.sign(w2)[:, None] * (W1 @ self.X.T > 0) * self.y) @ self.X
            lengths = np.linalg.norm(W1, axis=1) * np.linalg.norm(target, axis=1)
            cosines[index] = (W1 * target).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
        return np.clip(cosines, -1.0, 1.0)

    @cached_property
    def inactive(self) -> Bool[np.ndarray, " m"]:
        """Which neurons are zero on all the data at the start: they never move."""
        return np.asarray(~(self.X @ self.W1[0].T > 0).any(axis=0))

    def __str__(self) -> str:
        unit = "step" if self.kind == "descent" else "t ="
        upper = float(self.objective[-1])
        fit = f"objective {upper:.6g}" if math.isfinite(upper) else "the data is not fitted"
        return (
            f"gradient {self.kind}, {self.rule.name} loss: {self.status} at {unit} {self.times[-1]:.6g}; "
            f"log loss {self.log_loss[0]:.3g} -> {self.log_loss[-1]:.3g}, {fit}"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} points: {self}>"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FlowTrajectory(Trajectory):
    """The recorded points of a gradient flow, in times beyond the range of float64.

    Attributes
    ----------
    log_times : (T,) float array
        The logarithms of the true times, -inf at the start. ``times`` is inf where float64 cannot hold
        ``exp(log_times)``.
    """

    log_times: Float[np.ndarray, " T"] = field()  # a recorded one takes the place of the property

    def __post_init__(self) -> None:
        super().__post_init__()
        self.log_times.setflags(write=False)

    def __str__(self) -> str:
        if math.isfinite(self.times[-1]):
            return super().__str__()
        return super().__str__().replace("t = inf", f"log t = {self.log_times[-1]:.6g}")


@dataclass(frozen=True, kw_only=True, eq=False)
class DeepTrajectory:
    """The recorded points of a training run of a feed-forward network.

    Everything but the recorded weights is computed from the problem and them, once, when first asked for.

    Attributes
    ----------
    problem : DeepProblem
        The data, the loss and the network that training started from.
    times : (T,) float array
        Step indices (descent) or true times (flow) of the recorded points, increasing, the start first.
    weights : tuple of (T, k_l, k_{l-1}) float arrays
        The layers there.
    status : str
        How the run ended: a :class:`~convexrelu._status.Status`, or the name of a stopping rule.
    kind : str
        "descent" or "flow".

    Examples
    --------
    >>> import convexrelu as cr
    >>> start = cr.FeedForward([[[0.1], [-0.1]], [[0.1, 0.2]]])
    >>> path = cr.gradient_descent(
    ...     [[1.0], [-1.0]], [1.0, 2.0], start, step_size=0.25, n_steps=200, loss="square"
    ... )
    >>> path.network_at(-1)([[1.0], [-1.0]])
    array([1., 2.])
    """

    problem: DeepProblem
    times: Real[np.ndarray, " T"]
    weights: tuple[Float[np.ndarray, "T _ _"], ...]
    status: str
    kind: str

    def __post_init__(self) -> None:
        for array in (self.times, *self.weights):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.times)

    def network_at(self, index: int = -1) -> FeedForward:
        """Return the network at a recorded point, the last one unless said otherwise."""
        return self.problem.network.with_weights([W[index] for W in self.weights])

    @cached_property
    def vectors(self) -> Float[np.ndarray, "T w"]:
        """All weights of each recorded point as one vector, frozen ones included."""
        return pack(self.weights)

    @cached_property
    def norm(self) -> Float[np.ndarray, " T"]:
        """The Euclidean norm of the trainable weights."""
        free = self.problem.network.free
        return np.asarray(np.linalg.norm(self.vectors[:, free], axis=1))

    @property
    def loss(self) -> Float[np.ndarray, " T"]:
        """Return the loss, summed or averaged over the samples as the problem says."""
        return np.asarray(self._measured[0])

    @property
    def gradient_norm(self) -> Float[np.ndarray, " T"]:
        """The Euclidean norm of the loss's gradient in the trainable weights."""
        return np.asarray(self._measured[1])

    @cached_property
    def _measured(self) -> Float[np.ndarray, "2 T"]:
        """Loss and gradient norm, point by point: all activities at once could fill the memory."""
        values = np.empty((2, len(self)))
        for index in range(len(self)):
            at = self.problem.evaluate([W[index] for W in self.weights])
            values[:, index] = at.loss, np.linalg.norm(pack(at.gradient))
        return values

    def __str__(self) -> str:
        unit = "step" if self.kind == "descent" else "t ="
        return (
            f"gradient {self.kind} of {self.problem.network!r}, {self.problem.rule.name} loss: {self.status} "
            f"at {unit} {self.times[-1]:.6g}; loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}, norm "
            f"{self.norm[0]:.3g} -> {self.norm[-1]:.3g}"
        )

    def __repr__(self) -> str:
        return f"<DeepTrajectory of {len(self)} points: {self}>"


def log_of_clock(clock: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Return log t for ``log(1 + t)``, -inf for 0, without computing t."""
    with np.errstate(divide="ignore"):
        return np.asarray(clock + np.log(-np.expm1(-clock)))
