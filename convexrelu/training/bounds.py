"""The bounds on P* that a training run proves about itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu._validation import check_count
from convexrelu.training.trajectory import Trajectory

__all__ = ["TrainingBounds", "training_bounds"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingBounds:
    """Both bounds on P* at some records of a run.

    Attributes
    ----------
    trajectory : Trajectory
        The run.
    records : (k,) int array
        Indices of the records.
    lower_bound : (k,) float array
        What the loss weights there prove.
    """

    trajectory: Trajectory
    records: Int[np.ndarray, " k"]
    lower_bound: Float[np.ndarray, " k"]

    @property
    def times(self) -> Float[np.ndarray, " k"]:
        """The steps or times of the records."""
        return np.asarray(self.trajectory.times[self.records], dtype=float)

    @property
    def objective(self) -> Float[np.ndarray, " k"]:
        """Upper bound: the network at margin 1; inf where it does not fit the data."""
        return np.asarray(self.trajectory.objective[self.records])


def training_bounds(trajectory: Trajectory, *, size: int = 12) -> TrainingBounds:
    """Return the bounds on P* that a run proves about itself, at a few records spaced evenly in log(step).

    Parameters
    ----------
    trajectory : Trajectory
        The run.
    size : int, default 12
        How many records at most: each costs one call of the oracle.

    Returns
    -------
    TrainingBounds
        The last record among them.

    Raises
    ------
    InvalidInputError
        If `size` is not positive.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> run = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=100, normalized=True)
    >>> bounds = training_bounds(run)
    >>> bool(bounds.lower_bound[-1] <= 1.282433 <= bounds.objective[-1])
    True
    """
    chosen = _spread(trajectory, check_count(size, "size"))
    return TrainingBounds(
        trajectory=trajectory,
        records=chosen,
        lower_bound=np.array([trajectory.bound_at(int(index)) for index in chosen]),
    )


def _spread(trajectory: Trajectory, size: int) -> Int[np.ndarray, " k"]:
    """Indices of records nearest to an even spacing in log(step), the last one included."""
    times = np.asarray(trajectory.times, dtype=float)
    first = int(np.searchsorted(times, 1).clip(0, len(times) - 1))
    targets = np.geomspace(max(times[first], 1.0), max(times[-1], 1.0), size)
    nearest = np.searchsorted(times, targets * (1 - 1e-12)).clip(first, len(times) - 1)
    return np.unique(np.r_[nearest, len(times) - 1])
