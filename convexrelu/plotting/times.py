"""The axis of time of a training run: steps of descent or times of a flow, and where step sizes change."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes

from convexrelu.plotting.style import INK
from convexrelu.training import DeepTrajectory, Trajectory

__all__ = ["mark_stages", "time_axis", "time_word"]

_CHANGED = 0.1  # radians of turning, and share of growth, below which a neuron is as good as at its start


def time_word(trajectory: Trajectory | DeepTrajectory) -> str:
    """Return what the axis is called."""
    return "step" if trajectory.kind == "descent" else "time t"


def time_axis(trajectory: Trajectory) -> tuple[Float[np.ndarray, " t"], Bool[np.ndarray, " t"]]:
    """Return the times as floats, and which of them a logarithmic axis shows, which has no place for time 0.

    Descent begins at step 1, and a flow where its neurons begin to turn or to grow. Times beyond float64 are
    left out.
    """
    times = np.asarray(trajectory.times, dtype=float)
    last = float(times[np.isfinite(times)][-1])
    if last == 0.0:  # a run that took no step is shown at step 1, where a logarithmic axis begins
        return np.ones_like(times), np.ones(len(times), dtype=bool)
    first = min(1.0, last) if trajectory.kind == "descent" else _departure(trajectory, times)
    return times, (times >= first) & (times <= last)


def _departure(trajectory: Trajectory, times: Float[np.ndarray, " t"]) -> float:
    """The last time but 0 at which the neurons are still almost as they were at the start."""
    cosines = np.einsum("tmd,md->tm", trajectory.directions, trajectory.directions[0])
    sees = trajectory.directions[0].any(axis=1)
    turned = (cosines < np.cos(_CHANGED)) & sees
    start = np.where(np.isfinite(trajectory.radius[0]), trajectory.radius[0], 0.0)
    grown = (np.abs(trajectory.radius - start) > _CHANGED) & sees
    moved = np.flatnonzero((turned | grown).any(axis=1))
    before = moved[0] - 1 if len(moved) else len(times) - 1
    return float(times[max(before, 1)])


def mark_stages(ax: Axes, trajectories: Iterable[Trajectory]) -> None:
    """Draw a line where descent goes on with larger steps, which bends what is drawn over the steps."""
    for step in sorted({step for trajectory in trajectories for step in trajectory.stages}):
        ax.axvline(step, color=INK, linestyle=":", linewidth=1.0, zorder=1, label="larger steps from here on")
