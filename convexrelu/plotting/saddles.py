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
    entitle,
    legend_below,
    log_axis,
    new_figure,
    shades,
)
from convexrelu.saddles import EscapeLadder, SaddleApproach
from convexrelu.training import DeepTrajectory

__all__ = ["approach_figure", "example_1_figure", "ladder_figure", "sparsity_figure"]


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


def sparsity_figure(trajectory: DeepTrajectory, marks: Sequence[int], *, title: str = "") -> Figure:
    """Return the loss of a run and its absolute weights at some points, as in KH-beyond Figures 1 to 17.

    Parameters
    ----------
    trajectory : DeepTrajectory
        The run.
    marks : sequence of int
        The recorded points at which the weights are drawn.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        The loss on top, below it a row of layers for each mark, every picture scaled to its largest entry.
    """
    depth = len(trajectory.weights)
    figure = Figure(figsize=(2.6 * depth + 0.8, 2.0 * len(marks) + 2.4), dpi=150, layout="constrained")
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.2, 2.0 * len(marks)])[:, 0]
    ax = top.subplots()
    _loss_panel(ax, trajectory, marks)
    grid = below.subplots(len(marks), depth, squeeze=False)
    for number, (row, index) in enumerate(zip(grid, marks, strict=True), start=1):
        for layer, picture in enumerate(row):
            W = trajectory.weights[layer][index]
            _weights_panel(picture, W, float(np.abs(W).max()))
            entitle(picture, rf"$|W_{layer + 1}|$ at $i_{number}$")
    figure.suptitle(title, fontsize=11)
    return figure


def _loss_panel(ax: Axes, trajectory: DeepTrajectory, marks: Sequence[int]) -> None:
    """Draw the loss; for a flow over the points' number, so that plateaus and escapes both get room."""
    ax.spines[["top", "right"]].set_visible(False)
    flow = trajectory.kind == "flow"
    x = np.arange(len(trajectory)) if flow else trajectory.times
    ax.plot(x, trajectory.loss, color=POSITIVE)
    for number, index in enumerate(marks, start=1):
        ax.axvline(x[index], color=MUTED, linewidth=0.8, linestyle="--")
        ax.annotate(
            f"$i_{number}$",
            (x[index], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -9),
            textcoords="offset points",
            fontsize=9,
        )
    ax.set_xlabel("recorded point of the flow" if flow else "step", fontsize=9)
    ax.set_ylabel("loss", fontsize=9)
    ax.set_ylim(0.0, None)
    ax.tick_params(labelsize=8, color=MUTED)


def _weights_panel(ax: Axes, W: Float[np.ndarray, "k j"], largest: float) -> None:
    """Draw absolute entries, white for 0 and darkest for the largest."""
    ax.imshow(np.abs(W), cmap="Blues", vmin=0.0, vmax=largest or 1.0, aspect="auto")
    ax.set_xticks([])
    ax.set_yticks([])


def approach_figure(approach: SaddleApproach, mark: int, *, title: str = "") -> Figure:
    """Return a run near a saddle: loss, sizes, alignment with the NCF, and its weights (NP Figures 1 to 4).

    Parameters
    ----------
    approach : SaddleApproach
        The run.
    mark : int
        The recorded point at which the weights are drawn, besides the start and the end.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Three curves, then the weights at the start, at the mark and at the end.
    """
    trajectory, depth = approach.trajectory, len(approach.trajectory.weights)
    figure = Figure(figsize=(9.6, 9.0), dpi=150, layout="constrained")
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.6, 6.4])[:, 0]
    loss, sizes, cosine = top.subplots(1, 3)
    x = trajectory.times
    loss.plot(x, approach.relative_loss, color=POSITIVE)
    entitle(loss, "loss / loss at the saddle")
    sizes.plot(x, approach.size, color=NEGATIVE, label=r"$\|w_z\|$")
    sizes.plot(x, approach.displacement, color=POSITIVE, linestyle="--", label=r"$\|w_n - \bar w_n\|$")
    sizes.legend(fontsize=8, frameon=False)
    log_axis(sizes.yaxis)
    entitle(sizes, "sizes / norm of the saddle")
    cosine.plot(x, approach.alignment, color=BOUND, label=r"with $\nabla N(w_z)$")
    if approach.tie_tol > TIE_TOL:
        cosine.plot(x, approach.cosine, color=REGION, linestyle="--", label=r"with $\partial N(w_z)$")
    cosine.legend(fontsize=8, frameon=False)
    cosine.axhline(1.0, color=MUTED, linewidth=0.8, linestyle="--")
    entitle(cosine, r"cosine of $w_z$")
    for ax in (loss, sizes, cosine):
        ax.spines[["top", "right"]].set_visible(False)
        ax.axvline(x[mark], color=MUTED, linewidth=0.8, linestyle=":")
        ax.set_xlabel("time" if trajectory.kind == "flow" else "step", fontsize=9)
        ax.locator_params(axis="x", nbins=5)
        ax.tick_params(labelsize=8, color=MUTED)
    small = [np.where(W == 0.0, 1.0, 0.0) for W in approach.saddle.weights]
    grid = below.subplots(3, depth, squeeze=False)
    for row, (index, name) in zip(grid, ((0, "start"), (mark, "leaving"), (-1, "end")), strict=True):
        pictures = [mask * W[index] for mask, W in zip(small, trajectory.weights, strict=True)]
        largest = max(float(np.abs(picture).max()) for picture in pictures)
        for layer, ax in enumerate(row):
            _weights_panel(ax, pictures[layer], largest)
            entitle(ax, rf"$|W_{layer + 1}|$ of $w_z$, {name}")
    figure.suptitle(title, fontsize=11)
    return figure
