"""Early alignment drawn: a run's loss, norm and alignment, weights as pictures, directions in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from convexrelu.networks import FeedForward
from convexrelu.planar import PlanarKKT
from convexrelu.plotting.style import (
    GRID,
    INK,
    MUTED,
    NEGATIVE,
    POSITIVE,
    REGION,
    entitle,
    label_within_decades,
    legend_below,
    log_axis,
    new_figure,
)
from convexrelu.plotting.times import time_word
from convexrelu.saddles import ncf_cosines
from convexrelu.training import DeepTrajectory, NCFFlow

__all__ = [
    "branching_figure",
    "directions_figure",
    "early_training_figure",
    "planar_run_figure",
    "rank_one_figure",
]


def early_training_figure(path: DeepTrajectory, *, title: str = "") -> Figure:
    """Return loss, norm and alignment with the gradient of the NCF over the steps of a run (K-deep Figure 1).

    Parameters
    ----------
    path : DeepTrajectory
        The run.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Three panels.
    """
    figure, axes = new_figure(1, 3, size=(10.5, 3.4), title=title)
    left, middle, right = axes[0]
    _loss_panel(left, path)
    _norm_panel(middle, path, path.norm, r"norm of the weights, $\|w\|$")
    right.plot(path.times, ncf_cosines(path), color=POSITIVE)
    right.axhline(1.0, color=MUTED, linewidth=0.8, linestyle="--")
    _time_axis(right, path)
    entitle(right, r"alignment, $\cos(w, \nabla N(w))$")
    return figure


def planar_run_figure(
    path: DeepTrajectory,
    kkt: PlanarKKT,
    *,
    first: int = 0,
    origin: FeedForward | None = None,
    title: str = "",
) -> Figure:
    """Return loss, norm and the neurons' angles over the steps, for inputs in the plane (KH2 Figure 1).

    Parameters
    ----------
    path : DeepTrajectory
        The run.
    kkt : PlanarKKT
        The KKT points, drawn as lines.
    first : int
        The first neuron whose angle is drawn.
    origin : FeedForward or None
        Where distances are measured from; None: from zero.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Three panels.
    """
    figure, axes = new_figure(1, 3, size=(10.5, 3.6), title=title)
    left, middle, right = axes[0]
    _loss_panel(left, path)
    if origin is None:
        _norm_panel(middle, path, path.norm, r"norm of the weights, $\|w\|$")
    else:
        away = np.linalg.norm(path.weights[0] - origin.weights[0], axis=(1, 2))
        _norm_panel(middle, path, away, r"distance from the saddle")
    for angles in _angles(path, first).T:
        right.plot(path.times, angles, color=POSITIVE, linewidth=0.8, alpha=0.7)
    _mark_kkt(right, kkt, horizontal=True)
    _time_axis(right, path)
    right.set_ylabel("angle")
    _angle_ticks(right, horizontal=True)
    entitle(right, "directions of the neurons")
    legend_below(figure, right, columns=3)
    return figure


def directions_figure(
    path: DeepTrajectory, z: Float[np.ndarray, " n"], kkt: PlanarKKT, *, first: int = 0, title: str = ""
) -> Figure:
    """Return the constrained NCF over the angle, above the paths of the neurons (KH2 Figures 3 and 4b).

    Parameters
    ----------
    path : DeepTrajectory
        A run with inputs in the plane.
    z : (n,) float array
        The NCF's weights.
    kkt : PlanarKKT
        Its KKT points.
    first : int
        The first neuron whose path is drawn.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Two panels with one axis of angles.
    """
    figure, axes = new_figure(2, 1, size=(6.4, 6.4), title=title)
    top, bottom = axes[0][0], axes[1][0]
    # every half degree
    grid = np.linspace(-math.pi, math.pi, 721)
    heights = path.problem.X @ np.array([np.cos(grid), np.sin(grid)])
    top.plot(grid, z @ path.problem.network.activation(heights), color=INK)
    entitle(top, r"constrained NCF, $N(\theta) = \sum_n z_n s(x_n^T u(\theta))$")
    for angles in _angles(path, first).T:
        # a path that leaves at one side comes back at the other
        for turn in (-2 * math.pi, 0.0, 2 * math.pi):
            bottom.plot(angles + turn, path.times, color=POSITIVE, linewidth=0.8, alpha=0.7)
    entitle(bottom, "directions of the neurons")
    bottom.set_ylabel(time_word(path))
    for ax in (top, bottom):
        _mark_kkt(ax, kkt, horizontal=False)
        ax.set_xlim(-math.pi, math.pi)
        _angle_ticks(ax, horizontal=False)
    bottom.set_xlabel(r"angle $\theta$")
    legend_below(figure, bottom, columns=3)
    return figure


def branching_figure(flows: Sequence[NCFFlow], *, title: str = "") -> Figure:
    """Return the field of ``grad u_1 |u_2|`` with flows in it, of networks ``v |u x|`` (KH2 Figure 2).

    Parameters
    ----------
    flows : sequence of NCFFlow
        From different starts.
    title : str
        Above the panel.

    Returns
    -------
    Figure
        One panel.
    """
    figure, axes = new_figure(1, 1, size=(5.4, 5.0))
    ax = axes[0][0]
    grid = np.linspace(-2.0, 2.0, 17)
    u1, u2 = np.meshgrid(grid, grid[grid != 0.0])
    ax.quiver(u1, u2, np.abs(u2), u1 * np.sign(u2), color=MUTED, width=0.003)
    ax.axhline(0.0, color=GRID, linewidth=0.8)
    ax.plot([0.0, 2.0], [0.0, 0.0], color=NEGATIVE, linewidth=2.0, label="starts whose flow branches")
    for flow in flows:
        radius = np.exp(np.minimum(flow.log_norm, 10.0))
        ax.plot(radius * flow.directions[1][:, 0, 0], radius * flow.directions[0][:, 0, 0], color=POSITIVE)
        start = flow.network.weights
        ax.plot(start[1][0, 0], start[0][0, 0], "o", color=POSITIVE, markersize=4, label="starts of flows")
    ax.set_xlim(-2.0, 2.0)
    ax.set_ylim(-2.0, 2.0)
    ax.set_xlabel("$u_1$")
    ax.set_ylabel("$u_2$")
    ax.set_aspect("equal")
    entitle(ax, title)
    legend_below(figure, ax)
    return figure


def rank_one_figure(
    labels: Sequence[str], kappas: Sequence[float], rhos: Sequence[float], *, title: str = ""
) -> Figure:
    """Return how far KKT points are from rank one and from non-negative entries (K-deep Tables 1 and 2).

    Parameters
    ----------
    labels : sequence of str
        What each row of the tables is.
    kappas, rhos : sequence of float
        Its numbers, in the same order; zeros are drawn at the left end.
    title : str
        Above the panel.

    Returns
    -------
    Figure
        One panel.
    """
    figure, [[ax]] = new_figure(size=(6.4, 0.34 * len(labels) + 1.5), title=title)
    places, least = np.arange(len(labels)), 1e-20
    ax.plot(np.maximum(kappas, least), places, "o", color=POSITIVE, label=r"$\kappa$")
    ax.plot(np.maximum(rhos, least), places, "s", color=NEGATIVE, label=r"$\rho$", markerfacecolor="none")
    log_axis(ax.xaxis)
    ax.set_xlim(0.3 * least, 1.0)
    ax.set_yticks(places, labels)
    ax.invert_yaxis()
    ax.set_xlabel("largest of the instances (at the left end: 0)")
    legend_below(figure, ax)
    return figure


def _loss_panel(ax: Axes, path: DeepTrajectory) -> None:
    ax.plot(path.times, path.loss / path.loss[0], color=INK)
    ax.set_ylim(0.0, 1.05)
    _time_axis(ax, path)
    entitle(ax, "loss / loss at the start")


def _norm_panel(ax: Axes, path: DeepTrajectory, norms: Float[np.ndarray, " T"], title: str) -> None:
    ax.plot(path.times, norms, color=REGION)
    log_axis(ax.yaxis)
    label_within_decades(ax.yaxis)
    _time_axis(ax, path)
    entitle(ax, title)


def _time_axis(ax: Axes, path: DeepTrajectory) -> None:
    ax.set_xlabel(time_word(path))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=4))


def _angles(path: DeepTrajectory, first: int) -> Float[np.ndarray, "T k"]:
    """Return the neurons' angles, continuous in time and ending in [-pi, pi)."""
    W = path.weights[0][:, first:]
    angles = np.unwrap(np.arctan2(W[..., 1], W[..., 0]), axis=0)
    turns = np.floor((angles[-1] + math.pi) / (2 * math.pi))
    return np.asarray(angles - 2 * math.pi * turns)


def _mark_kkt(ax: Axes, kkt: PlanarKKT, *, horizontal: bool) -> None:
    """Draw maxima as full lines, other KKT points as dashed ones, and arcs of KKT points as bands."""
    line = ax.axhline if horizontal else ax.axvline
    for angle, maximum in zip(kkt.angles, kkt.maxima, strict=True):
        style, label = ("-", "local maximum") if maximum else ("--", "other KKT point")
        line(angle, color=NEGATIVE, linestyle=style, linewidth=1.0, label=label)
    for start, end in kkt.flats:
        band = ax.axhspan if horizontal else ax.axvspan
        band(start, end, color=NEGATIVE, alpha=0.2, linewidth=0, label="arc of KKT points")


def _angle_ticks(ax: Axes, *, horizontal: bool) -> None:
    ticks = math.pi * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    names = [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"]
    if horizontal:
        ax.set_yticks(ticks, names)
    else:
        ax.set_xticks(ticks, names)
