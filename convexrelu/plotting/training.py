"""Training runs drawn: the bounds they prove about themselves, and how their neurons align."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.plotting.arguments import several
from convexrelu.plotting.neurons import growth_figure
from convexrelu.plotting.style import (
    BOUND,
    GRID,
    INK,
    MUTED,
    NamedFigure,
    entitle,
    label_within_decades,
    labelled,
    legend_below,
    log_axis,
    new_figure,
    sign_color,
)
from convexrelu.plotting.times import mark_stages, time_axis, time_word
from convexrelu.plotting.trajectories import circle_figure
from convexrelu.training import TrainingBounds, Trajectory

__all__ = ["alignment_figure", "bounds_figure", "training_figures"]


def bounds_figure(
    bounds: TrainingBounds | Sequence[TrainingBounds], *, optimum: float, title: str = ""
) -> Figure:
    """Return objective and self-certified lower bound over training, and the relative gaps, one line a run.

    Parameters
    ----------
    bounds : TrainingBounds or sequence of TrainingBounds
        Of runs on one binary problem (:func:`convexrelu.training.training_bounds`).
    optimum : float
        The certified P*.
    title : str
        The title.

    Returns
    -------
    Figure
        Two panels: both bounds around P*; distance to P* and self-certified gap on a logarithmic scale.

    Raises
    ------
    InvalidInputError
        If there is no run, or `optimum` is not positive.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> run = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=100, normalized=True)
    >>> from convexrelu.training import training_bounds
    >>> [ax.get_ylabel() for ax in bounds_figure(training_bounds(run), optimum=1.282432).axes]
    ['bounds on $P^*$', 'relative gap']
    """
    runs = several(bounds, TrainingBounds, "bounds", hint=": training_bounds makes them of a Trajectory")
    if not optimum > 0:
        raise InvalidInputError(f"optimum must be positive, got {optimum}")
    figure, [[left, right]] = new_figure(1, 2, size=(9.8, 4.5), title=title)
    fitting = any(np.isfinite(each.trajectory.objective).any() for each in runs)
    for each in runs:
        _draw_run(left, right if fitting else None, each, optimum)
    left.axhline(
        optimum,
        color=MUTED,
        linestyle="--",
        linewidth=1.2,
        label=f"certified $P^*$ = {optimum:.6g}",
        zorder=1,
    )
    left.set_ylim(0, 2.5 * optimum)
    left.set_ylabel("bounds on $P^*$")
    right.set_ylabel("relative gap")
    if fitting:
        log_axis(right.yaxis)
        label_within_decades(right.yaxis)
    else:
        right.text(0.5, 0.5, "no run fits the data", transform=right.transAxes, ha="center", va="center")
        right.set_yticks([])
    for ax in (left, right):
        mark_stages(ax, [each.trajectory for each in runs])
        _against_time(ax, time_word(runs[0].trajectory))
    right.set_xlim(left.get_xlim())
    for ax in (left, right):
        label_within_decades(ax.xaxis)
    return figure


def _draw_run(left: Axes, right: Axes | None, bounds: TrainingBounds, optimum: float) -> None:
    """Draw both bounds of a run; on the right its distance to the optimum and the gap it certifies itself."""
    upper: dict[str, Any] = {"color": INK, "linewidth": 1.1, "alpha": 0.75}
    lower: dict[str, Any] = {
        "color": BOUND,
        "linewidth": 1.1,
        "alpha": 0.85,
        "marker": "o",
        "markersize": 3.5,
    }
    times, late = time_axis(bounds.trajectory)
    times, objective = times[late], bounds.trajectory.objective[late]
    looks = np.maximum(bounds.times, times[0])
    shown = np.where(np.isfinite(objective), objective, np.nan)
    left.plot(times, shown, label="objective at margin 1 (upper bound)", **upper)
    left.plot(looks, bounds.lower_bound, label="lower bound from the run's own loss weights", **lower)
    if right is not None:
        gap = _gap(bounds.objective, bounds.lower_bound)
        right.plot(times, _gap(objective, optimum), label=r"(objective $-\,P^*$) / objective", **upper)
        right.plot(looks, gap, label="gap that the run certifies itself", **lower)


def _against_time(ax: Axes, word: str) -> None:
    """Finish a panel over training: a logarithmic axis of time, and the legend below it."""
    log_axis(ax.xaxis)
    ax.set_xlabel(word)
    ax.grid(color=GRID, linewidth=0.6)
    unique = labelled(ax)
    if unique:
        ax.legend(
            unique.values(),
            unique,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            fontsize=8,
            frameon=False,
        )


def _gap(upper: Float[np.ndarray, " k"], lower: float | Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Relative gap; NaN, which leaves a hole in the line, where the data is not fitted."""
    fits = np.isfinite(upper)
    safe = np.where(fits, upper, 1.0)
    # gaps below 1e-12 are rounding; a logarithmic axis needs a floor
    return np.where(fits, np.maximum((safe - lower) / safe, 1e-12), np.nan)


def alignment_figure(trajectories: Trajectory | Sequence[Trajectory], *, title: str = "") -> Figure:
    """Return each neuron's cosine with the direction that WP Theorem 1 says it turns to, one panel a run.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
        Runs on one binary problem; at most six are drawn.
    title : str
        The title.

    Returns
    -------
    Figure
        The panels, three to a row.

    Raises
    ------
    InvalidInputError
        If there is no run.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> run = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=100, normalized=True)
    >>> [ax.get_title() for ax in alignment_figure(run).axes]
    ['run 1']
    """
    shown = several(trajectories, Trajectory, "trajectories")[:6]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = new_figure(
        rows, columns, size=(max(3.3 * columns, 6.6), 2.5 * rows + 1.2), one_scale=True, title=title
    )
    flat = [ax for row in axes for ax in row]
    _name_signs(flat[0])
    for index, (ax, trajectory) in enumerate(zip(flat, shown, strict=False)):
        _draw_alignment(ax, trajectory)
        still = int(trajectory.inactive.sum())
        entitle(
            ax, f"run {index + 1}" + (f" ({still} of {len(trajectory.inactive)} inactive)" if still else "")
        )
        ax.set_ylabel("cosine" if index % columns == 0 else "")
        ax.set_xlabel(time_word(trajectory) if index + columns >= len(shown) else "")
    for ax in flat[len(shown) :]:
        ax.set_visible(False)
    legend_below(figure, flat[0], columns=max(columns, 2))
    return figure


def _draw_alignment(ax: Axes, trajectory: Trajectory) -> None:
    times, late = time_axis(trajectory)
    active = np.stack([(trajectory.X @ W1.T > 0).any(axis=0) for W1 in trajectory.W1])
    cosines = np.where(
        active, trajectory.alignment, np.nan
    )  # without an active sample there is no direction to compare with
    for i in np.flatnonzero(~trajectory.inactive):
        color = sign_color(float(trajectory.w2[0, i]))
        ax.plot(times[late], cosines[late, i], color=color, linewidth=1.2, alpha=0.75)
        last = int(np.flatnonzero(active[:, i])[-1])
        if last < len(times) - 1 and late[last]:
            ax.plot(times[last], cosines[last, i], "x", color=color, markersize=7, markeredgewidth=1.6)
    log_axis(ax.xaxis)
    first, last_time = times[late][[0, -1]]
    ax.set_xlim(0.9 * first, max(last_time, 10.0 * first))
    mark_stages(ax, [trajectory])
    ax.set_ylim(-1.08, 1.08)
    ax.grid(color=GRID, linewidth=0.6)


def _name_signs(ax: Axes) -> None:
    """Say in the legend what colours and crosses mean."""
    for sign, word in [(1.0, "positive"), (-1.0, "negative")]:
        ax.plot([], [], color=sign_color(sign), label=f"{word} output weight")
    ax.plot(
        [],
        [],
        "x",
        color=INK,
        markersize=7,
        linestyle="none",
        label="last time that the neuron sees a sample",
    )


def training_figures(
    bounds: Sequence[TrainingBounds], network: TwoLayerReLU, *, optimum: float, label: str = ""
) -> tuple[NamedFigure, ...]:
    """Return the figures of several runs on one binary problem: bounds, alignment, growth, directions.

    Parameters
    ----------
    bounds : sequence of TrainingBounds
        Of the runs (:func:`convexrelu.training.training_bounds`).
    network : TwoLayerReLU
        The certified optimum.
    optimum : float
        Its objective.
    label : str
        What distinguishes the problem, such as "class 2"; goes into titles and names.

    Returns
    -------
    tuple of NamedFigure
        "bounds", "alignment", "growth" (of the first run) and, for two columns, "directions" (likewise).

    Raises
    ------
    InvalidInputError
        If there is no run.
    """
    trajectories = [each.trajectory for each in bounds]
    suffix = "-" + label.replace(" ", "-") if label else ""
    of = f" ({label})" if label else ""
    figures = [
        NamedFigure(
            name=f"bounds{suffix}",
            figure=bounds_figure(
                bounds, optimum=optimum, title=f"Bounds on $P^*$ from gradient descent itself{of}"
            ),
        ),
        NamedFigure(
            name=f"alignment{suffix}",
            figure=alignment_figure(
                trajectories,
                title=f"Alignment of WP Theorem 1: cosine of neuron and its dual extreme direction{of}",
            ),
        ),
        NamedFigure(
            name=f"growth{suffix}",
            figure=growth_figure(trajectories[0], title=f"Growth of the neurons in run 1{of}"),
        ),
    ]
    if trajectories[0].X.shape[1] == 2:
        title = f"Directions of the neurons in run 1, and the optimal ones{of}"
        figures.append(
            NamedFigure(
                name=f"directions{suffix}", figure=circle_figure(trajectories[0], network, title=title)
            )
        )
    return tuple(figures)
