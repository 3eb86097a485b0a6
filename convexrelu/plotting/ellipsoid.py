"""The rectified ellipsoid ``Q = {(X u)_+ : ||u|| <= 1}`` of two samples (WP section 2.2)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector
from convexrelu.networks import TwoLayerReLU
from convexrelu.planar import Ellipsoid, PatternExtreme, ellipsoid_of, pattern_extremes
from convexrelu.planar.neurons import unit_neurons
from convexrelu.plotting.style import (
    DUAL,
    GRID,
    MUTED,
    REGION,
    arrow,
    direction_marker,
    entitle,
    legend_below,
    new_figure,
    sign_color,
    square,
    stars,
)

__all__ = ["draw_rectified", "ellipsoids_figure", "extreme_points_figure"]


def draw_rectified(ax: Axes, ellipsoid: Ellipsoid) -> None:
    """Draw Q: its body filled, its spikes as thick lines."""
    ax.fill(
        *ellipsoid.body.T,
        color=REGION,
        alpha=0.3,
        linewidth=0,
        label=r"rectified ellipsoid $\mathcal{Q}$",
        zorder=1,
    )
    ax.plot(*ellipsoid.body.T, color=REGION, linewidth=1.2, zorder=2)
    for axis in (0, 1):
        if ellipsoid.spikes[axis] > ellipsoid.crossing[axis]:
            spike = np.zeros((2, 2))
            spike[:, axis] = ellipsoid.crossing[axis], ellipsoid.spikes[axis]
            ax.plot(*spike.T, color=REGION, linewidth=5, solid_capstyle="butt", zorder=2, label="its spikes")


def _frame(ax: Axes, ellipsoid: Ellipsoid, points: Float[np.ndarray, "k 2"]) -> None:
    square(ax, np.vstack([np.diag(ellipsoid.spikes), points]), pad=0.09)
    ax.axhline(0, color=GRID, linewidth=0.8, zorder=0)
    ax.axvline(0, color=GRID, linewidth=0.8, zorder=0)
    ax.set_xlabel(r"$(x_1^\top u)_+$")
    ax.set_ylabel(r"$(x_2^\top u)_+$")


def extreme_points_figure(X: ArrayLike, network: TwoLayerReLU, lam: ArrayLike, *, title: str = "") -> Figure:
    """Return the rectified ellipsoid with its extreme points and the optimal neurons (WP Figures 1 and 9).

    Parameters
    ----------
    X : (2, d) array_like
        Two samples.
    network : TwoLayerReLU
        The optimum; its neurons are drawn at ``(X w1/||w1||)_+``.
    lam : (2,) array_like
        The optimal dual variable.
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
    >>> [ax] = extreme_points_figure(X, solution.network, solution.lam).axes
    >>> [line.get_xydata().shape for line in ax.lines if line.get_marker() == "*"]
    [(2, 2)]
    """
    ellipsoid = ellipsoid_of(X)
    matrix, weights = as_matrix(X), as_vector(lam, "lam", length=2)
    figure, [[ax]] = new_figure(size=(5.6, 5.9))
    # a title of the figure would be far from axes of equal scales, which seldom fill their room
    entitle(ax, title)
    draw_rectified(ax, ellipsoid)
    for extreme in pattern_extremes(matrix, weights):
        if extreme.value > 0:
            _draw_extreme(ax, matrix, extreme, float(ellipsoid.body[:, 1].max()) * (1 - 1e-9))
    images = np.maximum(matrix @ unit_neurons(network, matrix.shape[1]).T, 0).T
    stars(ax, images, "optimal neurons at unit length")
    tip = _draw_direction(ax, weights, 0.45 * float(ellipsoid.spikes.max()))
    _frame(ax, ellipsoid, np.vstack([ellipsoid.body, images, tip]))
    legend_below(figure, ax)
    return figure


def _draw_extreme(ax: Axes, X: Float[np.ndarray, "2 d"], extreme: PatternExtreme, top: float) -> None:
    """Mark the image of one extreme point, and name its pattern next to it, off a body that ends at `top`."""
    image = np.maximum(X @ extreme.direction, 0)
    word = "maximiser" if extreme.sign > 0 else "minimiser"
    color = sign_color(extreme.sign)
    on_first, on_second = image[::-1] <= 1e-9 * float(image.max())
    if on_first and extreme.pattern.all():
        offset = (-14, -18)  # beside the end of a spike there is another label
    elif on_second and top > float(image[1]):
        offset = (9, -16)  # below the boundary, which rises from here
    else:
        offset = (9, 7)
    ax.plot(
        *image,
        marker=direction_marker(extreme.sign),
        color=color,
        markersize=8,
        linestyle="none",
        clip_on=False,
        zorder=5,
        label=rf"$u_j$: {word} of $\lambda^\top D_j X u$ in the cone of $D_j$",
    )
    ax.annotate(
        "diag(" + ", ".join(str(int(bit)) for bit in extreme.pattern) + ")",
        (float(image[0]), float(image[1])),
        xytext=offset,
        textcoords="offset points",
        fontsize=8,
        color=color,
        zorder=7,
        clip_on=False,
        annotation_clip=False,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def _draw_direction(ax: Axes, lam: Float[np.ndarray, " 2"], length: float) -> Float[np.ndarray, "1 2"]:
    """Draw lam as an arrow of the given length; returns its tip."""
    tip = lam / (np.linalg.norm(lam) or 1.0) * length
    arrow(ax, np.zeros(2), tip, color=DUAL, width=1.8, zorder=4)
    ax.plot([], [], color=DUAL, linewidth=1.8, label=r"direction of the optimal $\lambda$")
    return tip[None, :]


def ellipsoids_figure(X: ArrayLike, *, title: str = "") -> Figure:
    """Return the ellipsoid and the rectified ellipsoid side by side (WP Figures 6 and 8).

    Parameters
    ----------
    X : (2, d) array_like
        Two samples.
    title : str
        The title.

    Returns
    -------
    Figure
        Two panels on one scale.

    Raises
    ------
    InvalidInputError
        If X does not have two rows.

    Examples
    --------
    >>> len(ellipsoids_figure([[1.65, -0.47], [-0.47, 1.35]]).axes)
    2
    """
    ellipsoid = ellipsoid_of(X)
    figure, [[left, right]] = new_figure(1, 2, size=(8.2, 4.3), title=title)
    left.fill(*ellipsoid.outline.T, color=MUTED, alpha=0.25, linewidth=0)
    left.plot(*ellipsoid.outline.T, color=MUTED, linewidth=1.2)
    draw_rectified(right, ellipsoid)
    right.plot(
        *ellipsoid.outline.T, color=MUTED, linewidth=1, linestyle=":", label="ellipsoid before rectifying"
    )
    for ax in (left, right):
        _frame(ax, ellipsoid, ellipsoid.outline)
    left.set_xlabel(r"$x_1^\top u$")
    left.set_ylabel(r"$x_2^\top u$")
    entitle(left, r"$\{Xu : \|u\| \leq 1\}$")
    entitle(right, r"$\{(Xu)_+ : \|u\| \leq 1\}$")
    legend_below(figure, right, columns=3)
    return figure
