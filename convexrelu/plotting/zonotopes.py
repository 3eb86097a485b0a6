"""The dual as two zonotopes: their Hausdorff distance is h(lam), and the optimal neurons realise it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexrelu._typing import ArrayLike
from convexrelu.networks import TwoLayerReLU
from convexrelu.planar import hausdorff_segments, zonotope_generators, zonotope_polygon
from convexrelu.plotting.arguments import several
from convexrelu.plotting.style import (
    INK,
    NEGATIVE,
    POSITIVE,
    arrow,
    entitle,
    legend_below,
    new_figure,
    sign_color,
    square,
)

__all__ = ["ZonotopePanel", "zonotopes_figure"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ZonotopePanel:
    """One data set in the plane with its optimum, and the title of its panel.

    Attributes
    ----------
    X, lam : array_like
        (n, 2) data, dual variable.
    network : TwoLayerReLU
        The optimal network.
    title : str
        The title.
    """

    X: ArrayLike
    lam: ArrayLike
    network: TwoLayerReLU
    title: str = ""


def zonotopes_figure(panels: ZonotopePanel | Sequence[ZonotopePanel], *, title: str = "") -> Figure:
    """Return the two zonotopes at the optimal lam, with the segments that realise their Hausdorff distance.

    Parameters
    ----------
    panels : ZonotopePanel or sequence of ZonotopePanel
        Data sets in the plane, one a panel.
    title : str
        The title over all.

    Returns
    -------
    Figure
        The panels side by side.

    Raises
    ------
    InvalidInputError
        If a data set is not in the plane, or shapes disagree.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> solution = cr.solve_max_margin(X, y)
    >>> figure = zonotopes_figure(ZonotopePanel(X=X, lam=solution.lam, network=solution.network))
    >>> len(figure.axes)
    1
    """
    shown = several(panels, ZonotopePanel, "panels")
    figure, [row] = new_figure(1, len(shown), size=(4.9 * len(shown), 5.4), title=title)
    for ax, panel in zip(row, shown, strict=True):
        _draw_panel(ax, panel)
    legend_below(figure, row[0], columns=2)
    return figure


def _draw_panel(ax: Axes, panel: ZonotopePanel) -> None:
    corners = []
    for sign, color, name in [(1.0, POSITIVE, "Z_+"), (-1.0, NEGATIVE, "Z_-")]:
        polygon = zonotope_polygon(zonotope_generators(panel.X, panel.lam, sign))
        label = rf"${name} = \sum_{{\lambda_n {'>' if sign > 0 else '<'} 0}} [0, |\lambda_n|]\,x_n$"
        ax.fill(*polygon.T, color=color, alpha=0.13, linewidth=0, zorder=1)
        # wide and pale, so that a segment shows under its neuron
        ax.plot(
            *np.vstack([polygon, polygon[:1]]).T,
            color=color,
            linewidth=4,
            alpha=0.45,
            zorder=2,
            label=label,
            solid_joinstyle="round",
        )
        corners.append(polygon)
    for segment in hausdorff_segments(panel.X, panel.lam, panel.network):
        color = sign_color(segment.sign)
        word, mine, other = ("positive", "Z_+", "Z_-") if segment.sign > 0 else ("negative", "Z_-", "Z_+")
        arrow(ax, segment.start, segment.end, color=color, width=1.6, zorder=4)
        ax.plot(*segment.start, "o", color=color, markersize=4, zorder=4)
        ax.plot(
            [],
            [],
            color=color,
            linewidth=1.6,
            marker="o",
            markersize=4,
            label=f"{word} neuron, length 1: from the nearest point of ${other}$ to a vertex of ${mine}$",
        )
    ax.plot(0, 0, "+", color=INK, markersize=9, zorder=5)
    ax.annotate("0", (0, 0), xytext=(5, -11), textcoords="offset points", fontsize=9, color=INK)
    square(ax, np.vstack(corners), pad=0.07)
    ax.set_xlabel("first coordinate")
    ax.set_ylabel("second coordinate")
    entitle(ax, panel.title)
