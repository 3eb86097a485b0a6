"""The neurons of one training run: where their weights point among the data, how they turn, how they grow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexrelu.errors import InvalidInputError
from convexrelu.plotting.arguments import check_kind
from convexrelu.plotting.style import (
    GRID,
    INK,
    MUTED,
    direction_marker,
    legend_below,
    log_axis,
    new_figure,
    sign_color,
    square,
)
from convexrelu.plotting.times import mark_stages, time_axis, time_word
from convexrelu.training import Trajectory

__all__ = ["cosines_figure", "growth_figure", "input_space_figure"]

_EVENT_MARKERS = {"on": ("o", "a row switches on"), "off": ("x", "a row switches off")}
_SLIDE_MARKER = ("s", "the neuron begins to slide along a hyperplane")


def input_space_figure(trajectory: Trajectory, *, title: str = "") -> Figure:
    """Return the data in the plane and the paths of the neurons' weights among them.

    Weights are shown as ``w1_i |w2_i|`` over the largest neuron's at the same record, so that growth from
    1e-3 to 1e+3 fits into one picture: neurons that outgrow the others end at distance 1, scaled to the
    longest row.

    Parameters
    ----------
    trajectory : Trajectory
        A run on data with two columns.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If the data does not have two columns.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> run = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=100, normalized=True)
    >>> [ax.get_ylabel() for ax in input_space_figure(run).axes]
    ['second input']
    """
    check_kind(trajectory, "trajectory", Trajectory)
    X, y = trajectory.X, trajectory.y
    if X.shape[1] != 2:
        raise InvalidInputError(f"the data must have two columns for a picture of it, got {X.shape[1]}")
    figure, [[ax]] = new_figure(size=(6.2, 5.8), title=title)
    reach = float(np.linalg.norm(X, axis=1).max()) or 1.0
    U = trajectory.W1 * np.abs(trajectory.w2)[:, :, None]
    largest = np.linalg.norm(U, axis=2).max(axis=1)
    paths = reach * U / np.where(largest > 0, largest, 1.0)[:, None, None]
    for label, word in [(1.0, "rows of label +1"), (-1.0, "rows of label -1")]:
        rows = X[y == label]
        if len(rows):
            ax.plot(*rows.T, "o", color=sign_color(label), markersize=6, alpha=0.75, label=word, zorder=4)
    for row in X[np.linalg.norm(X, axis=1) > 0]:
        across = np.array([-row[1], row[0]]) / np.linalg.norm(row)
        ax.plot(*np.outer([-2 * reach, 2 * reach], across).T, color=GRID, linewidth=0.8, zorder=0)
    for i in range(paths.shape[1]):
        _draw_weights(ax, paths[:, i], sign=float(np.sign(trajectory.w2[0, i])))
    square(ax, np.vstack([X, paths.reshape(-1, 2), [[0.0, 0.0]]]))
    ax.set_xlabel("first input; thin lines are the hyperplanes of the rows")
    ax.set_ylabel("second input")
    legend_below(figure, ax)
    return figure


def _draw_weights(ax: Axes, path: Float[np.ndarray, "t 2"], *, sign: float) -> None:
    """One neuron's path, with a marker at its end."""
    word = "positive" if sign > 0 else "negative"
    ax.plot(*path.T, color=sign_color(sign), linewidth=1.1, alpha=0.7, zorder=2)
    ax.plot(
        *path[-1],
        direction_marker(sign),
        color=sign_color(sign),
        markeredgecolor=INK,
        markersize=9,
        linestyle="none",
        label=f"neurons of {word} output weight, relative to the largest, at the end",
        zorder=5,
    )


def growth_figure(trajectory: Trajectory, *, title: str = "") -> Figure:
    """Return the size ``||w1_i|| |w2_i|`` of every neuron over training, both axes logarithmic.

    Parameters
    ----------
    trajectory : Trajectory
        Descent or flow.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If it is no Trajectory.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> run = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=100, normalized=True)
    >>> [ax.get_xlabel() for ax in growth_figure(run).axes]
    ['step']
    """
    check_kind(trajectory, "trajectory", Trajectory)
    figure, [[ax]] = new_figure(size=(6.4, 4.2), title=title)
    times, chosen = time_axis(trajectory)
    sizes = np.linalg.norm(trajectory.W1, axis=2) * np.abs(trajectory.w2)
    for i in range(sizes.shape[1]):
        still = bool(trajectory.inactive[i])
        sign = float(np.sign(trajectory.w2[0, i]))
        word = "never moves" if still else f"{'positive' if sign > 0 else 'negative'} output weight"
        alive = chosen & (sizes[:, i] > 0)
        ax.plot(
            times[alive],
            sizes[alive, i],
            color=MUTED if still else sign_color(sign),
            linestyle=":" if still else "-",
            marker="" if alive.sum() > 1 else ".",
            linewidth=1.3,
            alpha=0.85,
            label=word,
        )
    drawn = sizes[chosen][sizes[chosen] > 0]
    # sizes this close all along, of a run that stands still, have no scale of their own
    if len(drawn) and drawn.max() < (1.0 + 1e-9) * drawn.min():
        ax.set_ylim(drawn.min() / 10.0, 10.0 * drawn.max())
    log_axis(ax.yaxis)
    _finish(ax, trajectory)
    mark_stages(ax, [trajectory])
    ax.set_ylabel(r"size $\|w_{1,i}\|\,|w_{2,i}|$ of the neuron")
    legend_below(figure, ax, columns=3)
    return figure


def cosines_figure(trajectory: Trajectory, *, title: str = "") -> Figure:
    """Return each neuron's cosine with its dual extreme direction over log-time, its events marked.

    The direction is ``s_i X^T D(w1_i) y`` (WP Theorem 1), so that the cosine jumps where a row switches on or
    off. Events are those that a gradient flow records.

    Parameters
    ----------
    trajectory : Trajectory
        Descent (without events) or flow.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If it is no Trajectory.
    """
    check_kind(trajectory, "trajectory", Trajectory)
    figure, [[ax]] = new_figure(size=(7.2, 4.4), title=title)
    times, chosen = time_axis(trajectory)
    cosines = np.where(_sees(trajectory), trajectory.alignment, np.nan)
    for i in np.flatnonzero(~trajectory.inactive):
        sign = float(np.sign(trajectory.w2[0, i]))
        word = "positive" if sign > 0 else "negative"
        ax.plot(
            times[chosen],
            cosines[chosen, i],
            color=sign_color(sign),
            linewidth=1.2,
            alpha=0.8,
            label=f"{word} output weight",
        )
    for event in trajectory.events:
        if event.time >= times[chosen][0]:
            _mark(ax, times, cosines[:, event.neuron], event.time, event.kind)
    ax.set_ylim(-1.08, 1.08)
    _finish(ax, trajectory)
    ax.set_ylabel(r"cosine of $w_{1,i}$ and $s_i X^\top D(w_{1,i})\, y$")
    legend_below(figure, ax, columns=3)
    return figure


def _sees(trajectory: Trajectory) -> np.ndarray:
    """Which neurons are positive on a sample at each record: without one there is no direction to turn to."""
    X, lengths = trajectory.X, np.linalg.norm(trajectory.X, axis=1)
    # a flow's neuron rests on a hyperplane if the sine of its angle to it is below this
    ties = [1e-9 * np.outer(lengths, np.linalg.norm(W1, axis=1)) for W1 in trajectory.W1]
    return np.stack([(X @ W1.T - tie > 0).any(axis=0) for W1, tie in zip(trajectory.W1, ties, strict=True)])


def _mark(
    ax: Axes, times: Float[np.ndarray, " t"], cosines: Float[np.ndarray, " t"], time: float, kind: str
) -> None:
    """A marker on the neuron's curve, at the record after the event."""
    at = min(int(np.searchsorted(times, time)), len(times) - 1)
    marker, word = _EVENT_MARKERS.get(kind, _SLIDE_MARKER)
    ax.plot(
        time,
        cosines[at],
        marker,
        color=INK,
        markerfacecolor="none",
        markersize=5,
        markeredgewidth=1.0,
        linestyle="none",
        label=word,
        zorder=5,
    )


def _finish(ax: Axes, trajectory: Trajectory) -> None:
    log_axis(ax.xaxis)
    ax.set_xlabel(time_word(trajectory))
    ax.grid(color=GRID, linewidth=0.6)
