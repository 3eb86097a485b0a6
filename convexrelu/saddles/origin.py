"""Early alignment: from tiny weights, training first follows the gradient flow of the NCF.

Let w(t) be the gradient flow of the summed loss from ``w(0) = delta w_0`` and u(t) that of the NCF of ``z =
-l'(0, y)`` from w_0, both of degree L. Then ``v(t) = w(t / delta^{L-2}) / delta`` solves

    dv/dt = sum_n -l'(delta^L H(x_n; v), y_n) grad H(x_n; v),    v(0) = w_0

(K-deep eq. (7)), which is the flow of the NCF but for delta^L H: ``||v(t) - u(t)|| -> 0`` on every interval
on which u is finite, and since u converges in direction, so does w while it is still small (KH2 Theorem 5.1,
K-deep Theorem 1). The theorems promise no rate; to first order the difference is proportional to delta^L.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from convexrelu._status import Status
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector, check_count, check_positive
from convexrelu.errors import InvalidInputError, SolverError
from convexrelu.ncf.conditions import TIE_TOL, ncf_stationarity
from convexrelu.networks import FeedForward, forward, pack
from convexrelu.networks.activations import homogeneous
from convexrelu.networks.neurons import row_norms
from convexrelu.training.descent import gradient_descent
from convexrelu.training.flow.gradient_flow import gradient_flow
from convexrelu.training.ncf_flow import NCFFlow, ncf_flow
from convexrelu.training.problem import check_deep_problem
from convexrelu.training.trajectory import DeepTrajectory

__all__ = [
    "EarlyAlignment",
    "NonBranchingSet",
    "compare_with_ncf_flow",
    "ncf_cosines",
    "non_branching_set",
]

_FIRST_SIZE, _LADDER = 0.2, 4
"""The default ladder: the norm that u reaches times delta is at most 0.2, and delta is halved three times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EarlyAlignment:
    """Training from weights ``delta w_0`` beside the flow of the NCF from w_0, for a ladder of delta.

    Attributes
    ----------
    flow : NCFFlow
        The flow of the NCF, to the end of its direction.
    times : (K,) float array
        Times of the comparison, from 0, in the units of the NCF flow: training takes ``times / delta^(L-2)``.
    reference : (K, w) float array
        u(t), all trainable weights as one vector.
    deltas : (D,) float array
        The scales of the start, falling.
    scaled : (D, K, w) float array
        ``w(t / delta^(L-2)) / delta``.
    method : str
        "flow" (both are integrated adaptively) or "descent" (both by the same small steps).
    """

    flow: NCFFlow
    times: Float[np.ndarray, " K"]
    reference: Float[np.ndarray, "K w"]
    deltas: Float[np.ndarray, " D"]
    scaled: Float[np.ndarray, "D K w"]
    method: str

    @property
    def degree(self) -> int:
        """The degree L of homogeneity, to first order the rate at which the differences fall."""
        return self.flow.network.degree

    @cached_property
    def differences(self) -> Float[np.ndarray, "D K"]:
        """``||w(t / delta^(L-2)) / delta - u(t)||``."""
        return np.asarray(np.linalg.norm(self.scaled - self.reference, axis=2))

    @property
    def errors(self) -> Float[np.ndarray, " D"]:
        """The largest difference over the times, for each delta (KH2 eq. (8))."""
        return np.asarray(self.differences.max(axis=1))

    @property
    def rate(self) -> float:
        """The slope of log error on log delta, by least squares over the ladder."""
        slope, _ = np.polyfit(np.log(self.deltas), np.log(self.errors), 1)
        return float(slope)

    @property
    def growth(self) -> Float[np.ndarray, " D"]:
        """The largest ``||w|| / delta``, bounded as delta falls (K-deep Theorem 1: ``||w|| <= B delta``)."""
        return np.asarray(np.linalg.norm(self.scaled, axis=2).max(axis=1))

    @property
    def distances(self) -> Float[np.ndarray, "D K"]:
        """``1 - cos(w, u_*)``, u_* the limit of the NCF flow's direction."""
        network = self.flow.limit
        limit = pack(network.weights)[network.free]
        lengths = np.linalg.norm(self.scaled, axis=2)
        return np.asarray(1.0 - self.scaled @ limit / lengths)

    def __str__(self) -> str:
        lines = [
            f"early alignment of {self.flow.network!r}, L = {self.degree}, up to t = {self.times[-1]:.6g}; "
            f"errors fall like delta^{self.rate:.3f}"
        ]
        for delta, error, growth, distance in zip(
            self.deltas, self.errors, self.growth, self.distances[:, -1], strict=True
        ):
            lines.append(
                f"delta {delta:8.2e}: max ||w/delta - u|| {error:8.2e}, max ||w||/delta {growth:8.4g}, "
                f"1 - cos {distance:8.2e}"
            )
        return "\n".join(lines)


def compare_with_ncf_flow(
    network: FeedForward,
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str = "square",
    deltas: ArrayLike | None = None,
    epsilon: float = 1e-2,
    n_times: int = 50,
    n_steps: int = 20_000,
) -> EarlyAlignment:
    """Return training from ``delta w_0`` beside the flow of the NCF from w_0, over a ladder of delta.

    Times run until the NCF flow's direction is within `epsilon` of its limit, ``1 - cos <= epsilon``
    (T_epsilon of K-deep Theorem 1), or until its norm has grown a hundredfold. Gradient flows of the summed
    loss are integrated adaptively. For activations of power 1 with a kink, training and NCF flow are both
    followed by gradient steps of the same length.

    Parameters
    ----------
    network : FeedForward
        w_0: its trainable weights are normalised.
    X : (n, k_0) array_like
        Samples.
    y : (n,) or (n, k_L) array_like
        Targets, or labels for the logistic loss.
    loss : str
        "square" or "logistic".
    deltas : array_like or None
        The ladder. None: four values, each half of the one before, the first such that the norm of ``delta
        u`` stays below 0.2.
    epsilon : float
        How near to its limit the direction is at the last time.
    n_times : int
        The number of times, spaced evenly.
    n_steps : int
        The number of gradient steps (power 1 with a kink only).

    Returns
    -------
    EarlyAlignment
        Paths, differences and the fitted rate.

    Raises
    ------
    InvalidInputError
        If an argument is malformed, or the NCF flow does not settle at a KKT point with a positive value.

    Examples
    --------
    >>> import convexrelu as cr
    >>> start = cr.FeedForward([[[1.0]], [[0.5]], [[0.5]]], cr.PowerLeakyReLU(1.0))
    >>> compared = compare_with_ncf_flow(start, [[1.0]], [2.0])
    >>> print(f"{compared.rate:.1f}")
    3.0
    """
    problem = check_deep_problem(network.normalized(), X, y, loss=loss, reduction="sum")
    epsilon, count = check_positive(epsilon, "epsilon"), check_count(n_times, "n_times")
    start, n_steps = problem.network, check_count(n_steps, "n_steps")
    z = problem.residual(np.zeros_like(problem.Y))
    flow = ncf_flow(start, problem.X, z)
    if flow.status != Status.KKT_POINT:
        raise InvalidInputError(
            f"the comparison needs an NCF flow that settles at a KKT point with a positive value, got {flow}"
        )
    end = _settling_time(flow, epsilon)
    times = np.linspace(0.0, end, count + 1)
    scales = _ladder(deltas, flow, end)
    reference = _scaled_path(start, problem.X, z, "correlation", 1.0, times, n_steps)
    scaled = [_scaled_path(start, problem.X, problem.Y, loss, delta, times, n_steps) for delta in scales]
    return EarlyAlignment(
        flow=flow,
        times=times,
        reference=reference,
        deltas=scales,
        scaled=np.array(scaled),
        method="descent" if start.activation.kinked else "flow",
    )


def _settling_time(flow: NCFFlow, epsilon: float) -> float:
    """Return the first recorded time at which the direction is that close to its limit, or u is large."""
    free = flow.network.free
    directions = pack(flow.directions)[:, free]
    away = np.flatnonzero(1.0 - directions @ directions[-1] > epsilon)
    settled = away[-1] + 1 if len(away) else 1
    # The comparison ends where the norm of u has grown by this factor: a direction that needs longer to
    # settle does so, for L > 2, in times close to the blow-up, where errors of the integrator grow without
    # bound too.
    large = np.flatnonzero(flow.log_norm > flow.log_norm[0] + math.log(100.0))
    return float(flow.times[min(settled, large[0]) if len(large) else settled])


def _ladder(deltas: ArrayLike | None, flow: NCFFlow, end: float) -> Float[np.ndarray, " D"]:
    if deltas is None:
        reached = np.exp(flow.log_norm[flow.times <= end].max())
        return np.asarray(_FIRST_SIZE / reached * 0.5 ** np.arange(_LADDER))
    scales = np.sort(as_vector(deltas, "deltas"))[::-1]
    if len(scales) < 2 or scales[-1] <= 0 or len(np.unique(scales)) < len(scales):
        raise InvalidInputError(f"deltas must hold at least two different positive numbers, got {deltas!r}")
    return np.ascontiguousarray(scales)


def _scaled_path(
    start: FeedForward,
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n k"],
    loss: str,
    delta: float,
    times: Float[np.ndarray, " K"],
    n_steps: int,
) -> Float[np.ndarray, "K w"]:
    """Return ``w(t / delta^(L-2)) / delta`` at the times, by gradient steps where the gradient jumps."""
    small, pace = start.scaled_weights(delta), delta ** -(start.degree - 2)
    if start.activation.kinked:
        path = gradient_descent(
            X,
            y,
            small,
            step_size=times[-1] / n_steps * pace,
            n_steps=n_steps,
            loss=loss,
            reduction="sum",
            record=np.rint(np.linspace(0, n_steps, len(times))),
        )
    else:
        # the difference of the flows falls like delta^L, and must not drown in their errors
        path = gradient_flow(
            X,
            y,
            small,
            t_max=times[-1] * pace,
            loss=loss,
            reduction="sum",
            rtol=1e-10,
            method="dop853",
            record=times * pace,
            time_limit=None,
        )
    if len(path) != len(times):
        raise SolverError(f"training from delta = {delta:.3g} could not be followed to its end: {path}")
    return np.asarray(path.vectors[:, start.free] / delta)


def ncf_cosines(trajectory: DeepTrajectory) -> Float[np.ndarray, " T"]:
    """Return the cosines of the weights with the gradient of the NCF along a training run.

    ``w^T grad N(w) / (||w|| ||grad N(w)||)``, N the NCF of ``z = -l'(0, y)``: 1 exactly at KKT points of the
    constrained NCF with positive value, off kinks (K-deep Figures 1 and 4).

    Parameters
    ----------
    trajectory : DeepTrajectory
        From training with any loss.

    Returns
    -------
    (T,) float array
        The cosines; 0 where the gradient or the weights are zero.
    """
    problem = trajectory.problem
    z, free = problem.residual(np.zeros_like(problem.Y)), problem.network.free
    cosines = np.zeros(len(trajectory))
    for index, w in enumerate(trajectory.vectors[:, free]):
        layers = [W[index] for W in trajectory.weights]
        gradient = pack(forward(layers, problem.network.activation, problem.X).gradient(z))[free]
        lengths = float(np.linalg.norm(w)) * float(np.linalg.norm(gradient))
        cosines[index] = w @ gradient / lengths if lengths > 0 else 0.0
    return cosines


@dataclass(frozen=True, kw_only=True, eq=False)
class NonBranchingSet:
    """Starts ``(v, u)`` near a KKT point of one neuron with a unique flow of the NCF (KH2 Lemma 5.4).

    Attributes
    ----------
    v : float
        The KKT point's output weight v_*.
    u : (d,) float array
        Its incoming weights u_*.
    radius : float
        ``gamma = min_n |x_n^T u_*| / (2 max_n ||x_n||)``.
    """

    v: float
    u: Float[np.ndarray, " d"]
    radius: float

    def contains(self, v: float, u: ArrayLike) -> bool:
        """Return whether ``sign(v_*) v > ||u||`` and ``||u - u_*|| <= gamma``.

        Parameters
        ----------
        v : float
            Output weight.
        u : (d,) array_like
            Incoming weights.

        Returns
        -------
        bool
            True: the flow from there is unique, and no pre-activation ever changes its sign.
        """
        weights = as_vector(u, "u", length=len(self.u))
        near = float(np.linalg.norm(weights - self.u)) <= self.radius
        return near and math.copysign(1.0, self.v) * float(v) > float(np.linalg.norm(weights))


def non_branching_set(network: FeedForward, X: ArrayLike, z: ArrayLike) -> NonBranchingSet:
    """Return the set of starts near a KKT point of one neuron from which the NCF flow does not branch.

    KH2 Lemma 5.4, for ``H(x; v, u) = v max(x^T u, alpha x^T u)`` and a KKT point with a positive value and
    ``x_n^T u_* != 0`` for all n.

    Parameters
    ----------
    network : FeedForward
        The KKT point: one hidden neuron, one output, an activation of power 1. It is normalised.
    X : (n, d) array_like
        Samples.
    z : (n,) array_like
        Weights of the outputs.

    Returns
    -------
    NonBranchingSet
        The set.

    Raises
    ------
    InvalidInputError
        If the network has another shape, is not such a KKT point, or has a pre-activation of zero.

    Examples
    --------
    >>> import convexrelu as cr
    >>> point = cr.FeedForward([[[3.0, 4.0]], [[5.0]]])
    >>> print(f"{non_branching_set(point, [[3.0, 4.0]], [2.0]).radius:.4f}")
    0.3536
    """
    if not isinstance(network, FeedForward) or network.widths[1:] != (1, 1):
        raise InvalidInputError(f"a network of one hidden neuron and one output is needed, got {network!r}")
    if homogeneous(network.activation).power != 1:
        raise InvalidInputError(f"an activation of power 1 is needed, got {network.activation!r}")
    samples, point = as_matrix(X, columns=network.widths[0]), network.normalized()
    weights = as_vector(z, "z", length=len(samples))
    value, off = float(weights @ point(samples)), ncf_stationarity(point, samples, weights)
    heights = np.abs(samples @ point.weights[0][0])
    lengths = row_norms(samples)
    # A stationarity of at most this counts as a KKT point.
    if not value > 0 or off > 1e-6 or heights.min() <= TIE_TOL * lengths.max():
        raise InvalidInputError(
            "a KKT point with a positive value and no pre-activation of zero is needed, got value "
            f"{value:.3g}, stationarity {off:.1e}, smallest |x^T u| {heights.min():.1e}"
        )
    return NonBranchingSet(
        v=float(point.weights[1][0, 0]),
        u=point.weights[0][0],
        radius=float(heights.min() / (2.0 * lengths.max())),
    )
