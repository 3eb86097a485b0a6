"""Trajectories of feed-forward networks: what was recorded, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Real

from convexrelu.networks import FeedForward, pack
from convexrelu.training.problem import DeepProblem

__all__ = ["DeepTrajectory"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DeepTrajectory:
    """The recorded points of a training run of a feed-forward network.

    Everything but the recorded weights is computed from the problem and them, once, when first asked for.

    Attributes
    ----------
    problem : DeepProblem
        The data, the loss and the network that training started from.
    times : (T,) array
        Step indices (descent) or true times (flow) of the recorded points, increasing, the start first.
    weights : tuple of (T, k_l, k_{l-1}) float arrays
        The layers there.
    status : str
        "finished", "converged", "stop_loss", "diverged", "time_limit" or "interrupted"; the function
        that made it says when.
    kind : str
        "descent" or "flow".

    Examples
    --------
    >>> import convexrelu as cr
    >>> from convexrelu.training import train_feed_forward
    >>> start = cr.FeedForward([[[0.1], [-0.1]], [[0.1, 0.2]]])
    >>> path = train_feed_forward(start, [[1.0], [-1.0]], [1.0, 2.0], step_size=0.5, n_steps=200)
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
            f"gradient {self.kind} of {self.problem.network!r}, {self.problem.loss} loss: {self.status} at "
            f"{unit} {self.times[-1]:.6g}; loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}, norm "
            f"{self.norm[0]:.3g} -> {self.norm[-1]:.3g}"
        )

    def __repr__(self) -> str:
        return f"<DeepTrajectory of {len(self)} points: {self}>"
