"""The absolute polar set ``Q* = {lam : h(lam) <= 1}`` of two samples (WP eq. (10), Figure 2)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data, as_vector
from convexrelu.planar import pattern_constraints, polar_set
from convexrelu.plotting.style import DUAL, GRID, INK, MUTED, REGION, arrow, legend_below, new_figure

__all__ = ["polar_figure"]


def polar_figure(X: ArrayLike, y: ArrayLike, lam: ArrayLike, *, title: str = "") -> Figure:
    """Return the absolute polar set among single patterns' constraints, with lam and y (WP Figure 2).

    Parameters
    ----------
    X : (2, d) array_like
        Two samples.
    y : (2,) array_like
        Their labels.
    lam : (2,) array_like
        The optimal dual variable: it lies on the boundary, where ``y^T lam`` is largest.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> solution = cr.solve_max_margin(X, y)
    >>> [ax] = polar_figure(X, y, solution.lam).axes
    >>> [star] = [line for line in ax.lines if line.get_marker() == "*"]
    >>> star.get_xydata().round(3)
    array([[ 0.583, -0.7  ]])
    """
    matrix, labels = as_data(X, y)
    weights = as_vector(lam, "lam", length=2)
    polar = polar_set(matrix)
    reach = 1.45 * float(np.abs(polar.boundary).max())
    figure, [[ax]] = new_figure(size=(5.6, 6.6), title=title)
    _draw_constraints(ax, matrix, reach)
    ax.fill(
        *polar.boundary.T,
        color=REGION,
        alpha=0.4,
        linewidth=0,
        zorder=3,
        label=r"absolute polar set $\mathcal{Q}^*$",
    )
    ax.plot(*polar.boundary.T, color=REGION, linewidth=2, zorder=4)
    slope = np.array([-labels[1], labels[0]]) * 4 * reach
    ax.plot(
        *np.vstack([weights - slope, weights + slope]).T,
        color=DUAL,
        linestyle="--",
        linewidth=1.2,
        zorder=4,
        label=rf"$y^\top\lambda = {labels @ weights:.6f}$",
    )
    tip = labels * 0.55 * reach
    arrow(ax, np.zeros(2), tip, color=INK, width=1.4, zorder=5)
    ax.plot([], [], color=INK, linewidth=1.4, label=r"direction $y$")
    ax.plot(
        *weights,
        "*",
        color=DUAL,
        markersize=16,
        markeredgecolor="white",
        zorder=6,
        linestyle="none",
        label=rf"optimal $\lambda = ({weights[0]:.4f}, {weights[1]:.4f})$",
    )
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-reach, reach)
    ax.set_aspect("equal")
    ax.set_xlabel(r"$\lambda_1$")
    ax.set_ylabel(r"$\lambda_2$")
    legend_below(figure, ax, columns=2)
    return figure


def _draw_constraints(ax: Axes, X: Float[np.ndarray, "2 d"], reach: float) -> None:
    """Grey: the set that each pattern alone would allow, cut off outside the picture."""
    ax.axhline(0, color=GRID, linewidth=0.8, zorder=0)
    ax.axvline(0, color=GRID, linewidth=0.8, zorder=0)
    for constraint, style in zip(pattern_constraints(X), ("-", "--", "-."), strict=False):
        allowed = constraint.allowed
        # beyond the corners of the picture nothing is seen, so an infinite radius may as well end there
        edge = allowed.directions * np.minimum(allowed.radius, 100 * reach)[:, None]
        bits = ", ".join(str(int(bit)) for bit in constraint.pattern)
        ax.fill(*edge.T, color=MUTED, alpha=0.1, linewidth=0, zorder=1)
        ax.plot(
            *edge.T,
            color=MUTED,
            linewidth=1.3,
            linestyle=style,
            zorder=2,
            label=f"constraint of diag({bits}) alone",
        )
