"""Runs from saddle to saddle drawn: Example 1, escape times, sparsity, and what happens near a saddle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexrelu.ncf.conditions import TIE_TOL
from convexrelu.plotting.style import (
    BOUND,
    GRID,
    INK,
    MUTED,
    NEGATIVE,
    POSITIVE,
    REGION,
    blank_figure,
    entitle,
    legend_below,
    log_axis,
    new_figure,
    shades,
)
from convexrelu.plotting.weights import WeightRow, draw_weights, weights_size
from convexrelu.saddles import EscapeLadder, SaddleApproach, StableSetLadder
from convexrelu.training import DeepTrajectory

__all__ = ["approach_figure", "example_1_figure", "ladder_figure", "rates_figure", "sparsity_figure"]


def example_1_figure(runs: Sequence[DeepTrajectory], path: DeepTrajectory, *, title: str = "") -> Figure:
    """Return KH-beyond Figure 2: runs of Example 1 from smaller and smaller starts over the loss's contours.

    Parameters
    ----------
    runs : sequence of DeepTrajectory
        From ``delta w_0``.
    path : DeepTrajectory
        From ``delta w_*``: p(t).
    title : str
        Above the panel.

    Returns
    -------
    Figure
        One panel.
    """
    figure, axes = new_figure(size=(5.6, 4.4))
    ax = axes[0][0]
    first, second = np.meshgrid(np.linspace(-0.1, 2.4, 241), np.linspace(-0.1, 1.4, 151))
    loss = (first**2 - 4.0) ** 2 + (second**2 - 1.0) ** 2
    ax.contour(first, second, np.sqrt(loss), levels=14, colors=GRID, linewidths=0.8)
    tones = shades(NEGATIVE)(np.linspace(0.25, 1.0, len(runs)))
    for run, tone in zip(runs, tones, strict=True):
        w = run.weights[0][:, [0, 1], [0, 1]]
        ax.plot(*w.T, color=tone, label=rf"$\psi(t, \delta w_0)$, $\delta$ = {run.norm[0]:.3g}")
    w = path.weights[0][:, [0, 1], [0, 1]]
    ax.plot(*w.T, color=BOUND, linestyle="--", linewidth=2.0, label="$p(t)$")
    ax.plot(2.0, 0.0, "s", color=BOUND, label="saddle (2, 0)")
    ax.plot(2.0, 1.0, "o", color=INK, label="global minimum (2, 1)")
    ax.set_xlabel("$w_1$")
    ax.set_ylabel("$w_2$")
    entitle(ax, title)
    legend_below(figure, ax)
    return figure


def ladder_figure(ladders: Sequence[EscapeLadder], labels: Sequence[str], *, title: str = "") -> Figure:
    """Return measured escape times over predicted ones, and how fast runs tend to their limiting path.

    Parameters
    ----------
    ladders : sequence of EscapeLadder
        Of several networks.
    labels : sequence of str
        Their names.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Two panels.
    """
    figure, axes = new_figure(1, 2, size=(8.4, 3.6), title=title)
    left, right = axes[0]
    for ladder, label, color, mark in zip(ladders, labels, (POSITIVE, NEGATIVE, BOUND), "osv", strict=False):
        left.plot(ladder.predicted, ladder.measured, mark, color=color, label=label)
        right.plot(ladder.scales, ladder.distances, mark + "-", color=color, label=label)
    ends = np.concatenate([ladder.predicted for ladder in ladders])
    left.plot([ends.min(), ends.max()], [ends.min(), ends.max()], color=MUTED, linewidth=0.8)
    right.plot(ladders[0].scales, ladders[0].scales ** 2, color=MUTED, linestyle="--", label=r"$\delta^2$")
    for ax in (left, right):
        log_axis(ax.xaxis)
        log_axis(ax.yaxis)
    left.set_xlabel(r"predicted escape time $T(\delta)$")
    left.set_ylabel("measured escape time")
    right.set_xlabel(r"scale of the start, $\delta$")
    right.set_ylabel(r"$\|\psi(T(\delta), \delta w_*) - p(0)\|$")
    legend_below(figure, right, columns=4)
    return figure


def rates_figure(ladders: Sequence[StableSetLadder], labels: Sequence[str], *, title: str = "") -> Figure:
    """Return how runs from generic starts tend to the path from the origin, and their powers of delta.

    Parameters
    ----------
    ladders : sequence of StableSetLadder
        Of several networks.
    labels : sequence of str
        Their names.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Distances over delta, and fitted powers over those of the linearised flow.
    """
    figure, axes = new_figure(1, 2, size=(8.8, 3.8), title=title)
    left, right = axes[0]
    colors = (POSITIVE, NEGATIVE, BOUND, REGION, INK)
    for ladder, label, color, mark in zip(ladders, labels, colors, "osv^D", strict=False):
        left.plot(ladder.scales, ladder.distances, mark + "-", color=color, label=label)
        right.plot(ladder.expected_rate, ladder.rate, mark, color=color)
        right.plot(ladder.expected_rate, ladder.proven_rate, mark, color=color, markerfacecolor="none")
    right.plot([0.0, 1.1], [0.0, 1.1], color=MUTED, linewidth=0.8)
    log_axis(left.xaxis)
    log_axis(left.yaxis)
    left.set_xlabel(r"scale of the start, $\delta$")
    left.set_ylabel(r"distance from $p(t)$, half-way")
    right.set_xlabel(r"$\Delta / (L N)$")
    right.set_ylabel(r"power of $\delta$: fitted (full), proven (open)")
    right.set_ylim(0.0, None)
    legend_below(figure, left, columns=3)
    return figure


def sparsity_figure(
    trajectory: DeepTrajectory, marks: Sequence[int], *, labels: Sequence[str] = (), title: str = ""
) -> Figure:
    """Return the loss of a run and its absolute weights at some points, as in KH-beyond Figures 1 to 17.

    Parameters
    ----------
    trajectory : DeepTrajectory
        The run.
    marks : sequence of int
        The recorded points at which the weights are drawn.
    labels : sequence of str
        What the run is at there, if something is to be said.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        The loss on top, below it a row of layers for each mark, each network on its own scale.
    """
    names = labels or [""] * len(marks)
    rows = [
        WeightRow(
            label=f"$i_{number}$" + (f": {name}" if name else ""),
            layers=trajectory.network_at(index).weights,
        )
        for number, (index, name) in enumerate(zip(marks, names, strict=True), start=1)
    ]
    width, height = weights_size(rows)
    figure = blank_figure(size=(max(width, 5.6), height + 2.6), title=title)
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.2, height])[:, 0]
    _loss_panel(top.subplots(), trajectory, marks)
    draw_weights(below, rows)
    return figure


def _loss_panel(ax: Axes, trajectory: DeepTrajectory, marks: Sequence[int]) -> None:
    """Draw the loss over time around the marks, whose names stand above the frame."""
    ax.spines[["top", "right"]].set_visible(False)
    first, last = (float(trajectory.times[marks[k]]) for k in (0, -1))
    # escapes take a few steps; a flow from tiny weights waits for a time in which they could not be seen
    span = last - first if trajectory.kind == "flow" else max(last - first, 0.02 * last)
    start, end = max(first - 0.4 * span, 0.0), min(float(trajectory.times[-1]), last + 0.25 * span)
    # times with more than six digits are counted from the first mark
    origin = first if last > 1e6 and last > 1e3 * span else 0.0
    times = trajectory.times - origin
    ax.plot(times, trajectory.loss, color=POSITIVE)
    ax.set_xlim(start - origin, end - origin)
    place, level = ax.transAxes.inverted(), 0
    before = -1.0
    for number, index in enumerate(marks, start=1):
        ax.axvline(times[index], color=MUTED, linewidth=0.8, linestyle="--")
        at = float(place.transform(ax.transData.transform((times[index], 0.0)))[0])
        level = level + 1 if at - before < 0.05 else 0
        before = at
        ax.annotate(
            f"$i_{number}$",
            (times[index], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2 + 10 * level),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    clock = "time" if trajectory.kind == "flow" else "step"
    ax.set_xlabel(clock if not origin else rf"{clock} from $i_1$ on, at {origin:.6g}", fontsize=9)
    ax.set_ylabel("loss", fontsize=9)
    ax.set_ylim(0.0, None)
    ax.tick_params(labelsize=8, color=MUTED)


def approach_figure(
    approach: SaddleApproach,
    mark: int,
    *,
    second_order: Float[np.ndarray, " T"] | None = None,
    title: str = "",
) -> Figure:
    """Return a run near a saddle: loss, sizes, alignment with the NCF, and its weights (NP Figures 1 to 4).

    Parameters
    ----------
    approach : SaddleApproach
        The run.
    mark : int
        The recorded point at which the weights are drawn, besides the start and the end.
    second_order : (T,) float array or None
        The cosine of w_z with the gradient of the NCF of ``H_2``, to be drawn instead where that of ``H_1``
        is zero (NP Figure 13).
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Three curves, then all weights at the start, at the mark and at the end, and the small weights alone,
        the large ones crossed out.
    """
    trajectory = approach.trajectory
    masks = approach.split_at(0).mask
    times, clock = trajectory.times, "t" if trajectory.kind == "flow" else "step"
    rows = []
    for only_small in (False, True):
        for index, name in ((0, "start"), (mark, "leaving"), (len(times) - 1, "end")):
            rows.append(
                WeightRow(
                    label=("$w_z$, " if only_small else "")
                    + f"{name}\n"
                    + (f"{clock} = {times[index]:.6g}" if index else ""),
                    layers=trajectory.network_at(index).weights,
                    crossed=[~mask for mask in masks] if only_small else None,
                )
            )
    width, height = weights_size(rows)
    figure = blank_figure(size=(max(width, 9.6), height + 3.0), title=title)
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.6, height])[:, 0]
    loss, sizes, cosine = top.subplots(1, 3)
    loss.plot(times, approach.relative_loss, color=POSITIVE)
    entitle(loss, "loss / loss at the saddle")
    sizes.plot(times, approach.size, color=NEGATIVE, label=r"$\|w_z\|$")
    sizes.plot(times, approach.displacement, color=POSITIVE, linestyle="--", label=r"$\|w_n - \bar w_n\|$")
    sizes.legend(fontsize=8, frameon=False)
    log_axis(sizes.yaxis)
    entitle(sizes, "sizes / norm of the saddle")
    if second_order is not None:
        cosine.plot(times, second_order, color=BOUND, label=r"with $\nabla N_2(w_z)$, $N_2$ of $H_2$")
    else:
        cosine.plot(times, approach.alignment, color=BOUND, label=r"with $\nabla N(w_z)$")
    if second_order is None and approach.tie_tol > TIE_TOL:
        cosine.plot(times, approach.cosine, color=REGION, linestyle="--", label=r"with $\partial N(w_z)$")
    cosine.legend(fontsize=8, frameon=False)
    cosine.axhline(1.0, color=MUTED, linewidth=0.8, linestyle="--")
    entitle(cosine, r"cosine of $w_z$")
    for ax in (loss, sizes, cosine):
        ax.spines[["top", "right"]].set_visible(False)
        ax.axvline(times[mark], color=MUTED, linewidth=0.8, linestyle=":")
        ax.set_xlabel("time" if trajectory.kind == "flow" else "step", fontsize=9)
        ax.locator_params(axis="x", nbins=5)
        ax.tick_params(labelsize=8, color=MUTED)
    draw_weights(below, rows)
    return figure
