"""Where descent takes the neurons: in the rectified ellipsoid, on the circle (WP Figures 3, 4, 7, 10)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.planar import ellipsoid_of
from convexrelu.planar.neurons import unit_neurons
from convexrelu.plotting.arguments import check_kind, several
from convexrelu.plotting.ellipsoid import draw_rectified
from convexrelu.plotting.style import (
    GRID,
    INK,
    MUTED,
    NEGATIVE,
    POSITIVE,
    entitle,
    legend_below,
    log_axis,
    new_figure,
    shades,
    sign_color,
    square,
    stars,
)
from convexrelu.plotting.times import mark_stages, time_axis, time_word
from convexrelu.training import Trajectory

__all__ = [
    "circle_figure",
    "directions_of",
    "ellipsoid_trajectories_figure",
    "iterations_shown",
    "seeds_figure",
]

_ARC = 16  # points of an arc between two records: the turn of one of them is far below a line's width
_FIRST_RING = 0.35  # radius of the first record on the circle of directions; the last one stands at 1


def directions_of(trajectory: Trajectory) -> Float[np.ndarray, "t m d"]:
    """Return every neuron's unit direction at every record that is drawn (zero for a zero neuron).

    Descent is drawn from step 1 on, a flow from where its neurons begin to turn or to grow.

    Parameters
    ----------
    trajectory : Trajectory
        A training run.

    Returns
    -------
    (t, m, d) float array
        ``w1_i / ||w1_i||``.
    """
    return np.asarray(trajectory.directions[time_axis(trajectory)[1]])


def _steps(trajectory: Trajectory) -> Float[np.ndarray, " t"]:
    """Their steps, or times."""
    times, shown = time_axis(trajectory)
    return np.asarray(times[shown])


def iterations_shown(trajectory: Trajectory) -> Float[np.ndarray, " k"]:
    """Return the recorded steps (of a flow: times) nearest to the powers of ten, which WP draws.

    Parameters
    ----------
    trajectory : Trajectory
        A training run.

    Returns
    -------
    (k,) float array
        The steps, increasing; powers of ten without a record within a tenth are left out.
    """
    steps = _steps(trajectory)
    powers = _powers_of_ten(trajectory)
    nearest = steps[np.abs(np.log(steps[:, None] / powers)).argmin(axis=0)]
    # a record within a tenth stands for a power of ten
    return np.asarray(np.unique(nearest[np.abs(nearest / powers - 1) <= 0.1]))


def _powers_of_ten(trajectory: Trajectory) -> Float[np.ndarray, " k"]:
    """Those from the first record drawn to the last."""
    first, last = np.log10(_steps(trajectory)[[0, -1]])
    return np.asarray(10.0 ** np.arange(np.ceil(first - 1e-9), np.floor(last + 1e-9) + 1))


def ellipsoid_trajectories_figure(
    trajectory: Trajectory, network: TwoLayerReLU, *, title: str = ""
) -> Figure:
    """Return the paths of ``(X w1_i/||w1_i||)_+`` inside the rectified ellipsoid (WP Figure 3).

    Parameters
    ----------
    trajectory : Trajectory
        A run on two samples; records at powers of ten get a marker.
    network : TwoLayerReLU
        The optimum.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel with time as colour.

    Raises
    ------
    InvalidInputError
        If the data does not have two rows.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> run = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=100, normalized=True)
    >>> optimum = cr.TwoLayerReLU([[0.56, -0.16], [-0.23, 0.66]], [1.0, -1.0])
    >>> figure = ellipsoid_trajectories_figure(run, optimum)
    >>> len(figure.axes)  # the third is a bar of the other sign's shades
    3
    """
    check_kind(trajectory, "trajectory", Trajectory)
    figure, [[ax]] = new_figure(size=(6.0, 5.6), title=title)
    _draw_images(ax, trajectory, network)
    _time_bars(figure, [ax], trajectory)
    legend_below(figure, ax)
    return figure


def circle_figure(trajectory: Trajectory, network: TwoLayerReLU, *, title: str = "") -> Figure:
    """Return the paths of the neurons' directions in the plane, on the circle and unrolled (WP Figure 4).

    Parameters
    ----------
    trajectory : Trajectory
        A run on data with two columns; records at powers of ten get a marker.
    network : TwoLayerReLU
        The optimum; stars and lines mark its neurons' directions.
    title : str
        The title.

    Returns
    -------
    Figure
        Two panels: the circle, with time running outwards, and angles against time.

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
    >>> optimum = cr.TwoLayerReLU([[0.56, -0.16], [-0.23, 0.66]], [1.0, -1.0])
    >>> [circle, angles] = circle_figure(run, optimum).axes
    >>> angles.get_ylabel()
    'angle of the neuron (degrees)'
    """
    _need_planar(trajectory)
    figure, [[left, right]] = new_figure(1, 2, size=(9.6, 5.2), title=title)
    _draw_circle(left, trajectory, network)
    entitle(left, "time runs outwards, on a log scale")
    _draw_angles(right, trajectory, network)
    entitle(right, "the same, unrolled")
    legend_below(figure, left, columns=3)
    return figure


def seeds_figure(
    trajectories: Trajectory | Sequence[Trajectory], network: TwoLayerReLU, *, title: str = ""
) -> Figure:
    """Return runs side by side: above in the rectified ellipsoid, below on the circle (WP Figures 7 and 10).

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
        Runs on two samples with two columns.
    network : TwoLayerReLU
        The optimum.
    title : str
        The title.

    Returns
    -------
    Figure
        Two rows, one column a run.

    Raises
    ------
    InvalidInputError
        If there is no run, or the data is not 2 by 2.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> run = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=100, normalized=True)
    >>> optimum = cr.TwoLayerReLU([[0.56, -0.16], [-0.23, 0.66]], [1.0, -1.0])
    >>> [ax.get_title() for ax in seeds_figure([run, run], optimum).axes[:2]]
    ['run 1', 'run 2']
    """
    runs = several(trajectories, Trajectory, "trajectories")
    _need_planar(runs[0])
    figure, axes = new_figure(2, len(runs), size=(3.4 * len(runs) + 1.2, 7.4), title=title)
    for column, trajectory in enumerate(runs):
        top, bottom = axes[0][column], axes[1][column]
        _draw_images(top, trajectory, network)
        _draw_circle(bottom, trajectory, network)
        entitle(top, f"run {column + 1}")
        bottom.set_xlabel(f"radius: log of the {time_word(trajectory)}")
        if column:
            top.set_ylabel("")
    _time_bars(figure, [ax for row in axes for ax in row], runs[0])
    legend_below(figure, axes[1][0], columns=4)
    return figure


def _need_planar(trajectory: Trajectory) -> None:
    check_kind(trajectory, "trajectory", Trajectory)
    if trajectory.X.shape[1] != 2:
        raise InvalidInputError(
            f"the data must have two columns for a circle of directions, got {trajectory.X.shape[1]}"
        )


def _marked(trajectory: Trajectory) -> tuple[np.ndarray, LogNorm]:
    """Which of the records drawn have a marker, and the scale of their shades."""
    return np.flatnonzero(np.isin(_steps(trajectory), iterations_shown(trajectory))), _shade_scale(trajectory)


def _shade_scale(trajectory: Trajectory) -> LogNorm:
    first, last = (float(step) for step in _steps(trajectory)[[0, -1]])
    return LogNorm(first, max(last, 10.0 * first))


def _draw_images(ax: Axes, trajectory: Trajectory, network: TwoLayerReLU) -> None:
    """Paths of the rectified images of the unit neurons."""
    X = trajectory.X
    ellipsoid = ellipsoid_of(X)
    draw_rectified(ax, ellipsoid)
    directions = directions_of(trajectory)
    # between two records a direction takes the shorter arc: the chord of their images would leave Q
    between = np.linspace(directions[:-1], directions[1:], _ARC, endpoint=False, axis=1)
    fine = np.concatenate([between.reshape(-1, *directions.shape[1:]), directions[-1:]])
    lengths = np.linalg.norm(fine, axis=2, keepdims=True)
    arcs = fine / np.where(lengths > 0, lengths, 1.0)
    _draw_paths(ax, trajectory, np.maximum(directions @ X.T, 0), lines=np.maximum(arcs @ X.T, 0))
    stars(ax, np.maximum(unit_neurons(network, X.shape[1]) @ X.T, 0), "optimal neurons")
    square(ax, np.vstack([ellipsoid.body, np.diag(ellipsoid.spikes)]), pad=0.09)
    ax.set_xlabel(r"$(x_1^\top \hat w)_+$")
    ax.set_ylabel(r"$(x_2^\top \hat w)_+$")


def _draw_paths(
    ax: Axes,
    trajectory: Trajectory,
    points: Float[np.ndarray, "t m 2"],
    *,
    lines: Float[np.ndarray, "s m 2"] | None = None,
) -> None:
    """One line a neuron, a marker at each power of ten, darker with time; grey if it never moves.

    Lines go through the points of the records, or through `lines`.
    """
    lines = points if lines is None else lines
    marked, scale = _marked(trajectory)
    for i in range(points.shape[1]):
        sign = float(np.sign(trajectory.w2[0, i]))
        if trajectory.inactive[i]:
            _mark_still(ax, points[-1, i], zorder=6, label="neurons that see no sample: they never move")
            continue
        color = sign_color(sign)
        ax.plot(*lines[:, i].T, color=color, linewidth=1.2, alpha=0.6, zorder=4)
        ax.scatter(
            points[marked, i, 0],
            points[marked, i, 1],
            c=_steps(trajectory)[marked],
            cmap=shades(color),
            norm=scale,
            marker="^" if sign > 0 else "v",
            s=34,
            edgecolors="white",
            linewidths=0.5,
            zorder=5,
            clip_on=False,
        )
    for sign, word in [(1.0, "positive"), (-1.0, "negative")]:
        if (np.sign(trajectory.w2[0]) == sign).any():
            ax.plot(
                [],
                [],
                color=sign_color(sign),
                marker="^" if sign > 0 else "v",
                markersize=6,
                linewidth=1.2,
                label=f"{word} output weight",
            )


def _mark_still(ax: Axes, point: Float[np.ndarray, " 2"], *, zorder: int, label: str | None = None) -> None:
    """Mark a neuron that never moves."""
    ax.plot(
        *point, "x", color=MUTED, markersize=8, markeredgewidth=1.8, clip_on=False, zorder=zorder, label=label
    )


def _time_bars(figure: Figure, axes: list[Axes], trajectory: Trajectory) -> None:
    """Two narrow colour bars: the shades of both signs stand for the time."""
    scale, shown = _shade_scale(trajectory), _powers_of_ten(trajectory)
    for color, label in [(POSITIVE, time_word(trajectory)), (NEGATIVE, "")]:
        bar = figure.colorbar(
            ScalarMappable(norm=scale, cmap=shades(color)), ax=axes, fraction=0.03, pad=0.01, aspect=40
        )
        bar.ax.minorticks_off()
        bar.outline.set_visible(False)
        if label:
            bar.set_ticks(list(shown))
            bar.ax.tick_params(labelsize=8)
            bar.set_label(label, fontsize=9)
        else:
            bar.set_ticks([])


def _radius(steps: Float[np.ndarray, " k"], trajectory: Trajectory) -> Float[np.ndarray, " k"]:
    """Radius of steps: linear in their logarithm, so that time runs outwards to the unit circle."""
    first, last = np.log10(_steps(trajectory)[[0, -1]])
    return np.asarray(_FIRST_RING + (1 - _FIRST_RING) * (np.log10(steps) - first) / max(last - first, 1.0))


def _draw_circle(ax: Axes, trajectory: Trajectory, network: TwoLayerReLU) -> None:
    """Directions as points of the disc: the angle is the neuron's, the radius the log of the time."""
    rings = _radius(_steps(trajectory), trajectory)
    angles = np.linspace(0, 2 * np.pi, 361)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    for ring in _radius(_powers_of_ten(trajectory), trajectory):
        ax.plot(*(ring * circle).T, color=GRID, linewidth=0.8, zorder=0)
    ax.plot(*circle.T, color=INK, linewidth=1, zorder=1)
    dead = ~(trajectory.X @ circle.T > 0).any(axis=0)
    _shade_dead(ax, circle, dead)
    ends = directions_of(trajectory)
    _draw_paths(ax, trajectory, ends * rings[:, None, None])
    optimal = unit_neurons(network, 2)
    for direction in optimal:
        ax.plot(*np.vstack([0 * direction, direction]).T, color=INK, linewidth=0.9, linestyle="--", zorder=2)
    stars(ax, optimal, "optimal neurons")
    ax.set_xlim(-1.12, 1.12)
    ax.set_ylim(-1.12, 1.12)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["left", "bottom"]].set_visible(False)


def _shade_dead(ax: Axes, circle: Float[np.ndarray, "k 2"], dead: np.ndarray) -> None:
    """Grey wedge: directions that no sample activates."""
    if not dead.any():
        return
    start = int(np.argmin(dead))  # a direction outside the wedge, so that the wedge is one stretch after it
    turned = np.roll(np.arange(len(circle) - 1), -start)
    wedge = circle[turned[dead[turned]]]
    ax.fill(
        *np.vstack([[[0.0, 0.0]], wedge]).T,
        color=MUTED,
        alpha=0.16,
        linewidth=0,
        zorder=0,
        label="directions that see no sample",
    )


def _draw_angles(ax: Axes, trajectory: Trajectory, network: TwoLayerReLU) -> None:
    """Angle of each neuron over time, without jumps, next to the optimal neurons' angles."""
    directions = directions_of(trajectory)
    times = _steps(trajectory)
    turns = np.degrees(np.unwrap(np.arctan2(directions[..., 1], directions[..., 0]), axis=0))
    turns -= 360 * np.round((turns[-1] - 90) / 360)  # the last record lies in [-90, 270)
    for i in range(turns.shape[1]):
        still = bool(trajectory.inactive[i])
        color = MUTED if still else sign_color(float(trajectory.w2[0, i]))
        ax.plot(times, turns[:, i], color=color, linewidth=1.5, alpha=0.85, linestyle=":" if still else "-")
        if still:
            _mark_still(ax, np.array([times[-1], turns[-1, i]]), zorder=5)
    for direction, sign in zip(unit_neurons(network, 2), network.signs, strict=True):
        angle = float(np.degrees(np.arctan2(direction[1], direction[0])))
        angle -= 360 * np.round((angle - 90) / 360)
        ax.axhline(angle, color=INK, linewidth=0.9, linestyle="--", zorder=1)
        word = "positive" if sign > 0 else "negative"
        ax.annotate(
            f"optimal {word} neuron",
            (times[-1], angle),
            xytext=(-3, 3),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=8,
            color=INK,
        )
    log_axis(ax.xaxis)
    ax.set_xlim(times[0], max(times[-1], 10 * times[0]))
    ax.yaxis.set_major_locator(MultipleLocator(45))
    mark_stages(ax, [trajectory])
    ax.set_xlabel(time_word(trajectory))
    ax.set_ylabel("angle of the neuron (degrees)")
    ax.grid(color=GRID, linewidth=0.6)
