"""Where the early phase takes each direction: basins of attraction on the circle and on the sphere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from convexrelu.plotting.arguments import check_kind
from convexrelu.plotting.style import GRID, INK, MUTED, entitle, labelled, new_figure
from convexrelu.training import AlignmentResult, BasinMap

__all__ = ["basins_figure"]

# Okabe and Ito's colours and two darker ones; further points share them in turn.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#332288")
_LEGEND_ROOM, _LEGEND_LINE, _LEGEND_COLUMNS = 0.14, 0.18, 3  # the first two in inches
_LISTED = 6  # extreme points named in the legend of a panel


def basins_figure(found: BasinMap, *, title: str = "") -> Figure:
    """Return the map from initial directions to extreme points, one panel for each sign of output weight.

    In the plane: a ring of initial directions in the colour of the extreme point (star) they tend to. In
    space: both hemispheres in Lambert's equal-area projection, so that areas are shares of the sphere; seen
    from +x3 on the left and, mirrored, from -x3 on the right. Lines are the rows' hyperplanes. Grey
    directions tend to no extreme point: they rest or fade.

    Parameters
    ----------
    found : BasinMap
        The limits of a grid of directions (:func:`convexrelu.training.basin_map`).
    title : str
        The title.

    Returns
    -------
    Figure
        Two panels in the plane, four in space.

    Raises
    ------
    InvalidInputError
        If it is no BasinMap.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("wang-pilanci-f1")
    >>> from convexrelu.training import basin_map
    >>> [ax.get_title() for ax in basins_figure(basin_map(X, y)).axes]
    ['positive neurons', 'negative neurons']
    """
    check_kind(found, "found", BasinMap)
    return _circles(found, title) if found.X.shape[1] == 2 else _spheres(found, title)


def _by_sign(found: BasinMap) -> tuple[tuple[AlignmentResult, str], ...]:
    return (found.positive, "positive neurons"), (found.negative, "negative neurons")


def _circles(found: BasinMap, title: str) -> Figure:
    figure, [axes] = new_figure(1, 2, size=(8.6, 5.0), title=title)
    for ax, (flow, name) in zip(axes, _by_sign(found), strict=True):
        ax.scatter(
            found.starts[:, 0], found.starts[:, 1], c=_color_of(flow.index), s=14, linewidths=0, zorder=2
        )
        for row in found.X[found.X.any(axis=1)]:
            along = 1.12 * np.array([-row[1], row[0]]) / np.linalg.norm(row)
            ax.plot(*np.vstack([along, -along]).T, color=GRID, linewidth=1, zorder=1)
        _mark(ax, flow, np.array([point.direction for point in flow.extreme_points]).reshape(-1, 2))
        ax.set_xlabel("$u_1$")
        ax.set_ylabel("$u_2$")
        ax.set_aspect("equal")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=8, frameon=False)
        entitle(ax, name)
    return figure


def _spheres(found: BasinMap, title: str) -> Figure:
    figure, axes = new_figure(2, 2, size=(7.4, 8.6), title=title)
    size, half = found.resolution, len(found.starts) // 2
    plane = _flattened(found.starts[:half], 1.0)
    for row, (flow, name) in zip(axes, _by_sign(found), strict=True):
        for k, (ax, side) in enumerate(zip(row, (1.0, -1.0), strict=True)):
            part = flow.index[k * half : (k + 1) * half]
            image = np.full((size, size, 4), 0.0)
            place = np.rint((plane / np.sqrt(2) + 1) * size / 2 - 0.5).astype(int)
            image[place[:, 1], place[:, 0]] = _rgba_of(part)
            reach = np.sqrt(2)
            ax.imshow(image, extent=(-reach, reach, -reach, reach), origin="lower", interpolation="nearest")
            _great_circles(ax, found.X, side)
            points = np.array([p.direction for p in flow.extreme_points]).reshape(-1, 3)
            here = side * points[:, 2] >= 0
            _mark(ax, flow, np.where(here[:, None], _flattened(points, side), np.nan))
            ax.set_axis_off()
            entitle(ax, f"{name}, $u_3 {'>' if side > 0 else '<'} 0$")
        legend = row[0].legend(
            loc="upper center",
            bbox_to_anchor=(1.05, -0.01),
            ncols=_LEGEND_COLUMNS,
            fontsize=8,
            frameon=False,
        )
        legend.set_in_layout(False)  # it spans both hemispheres
    lines = max(-(-len(labelled(row[0])) // _LEGEND_COLUMNS) for row in axes)
    figure.set_layout_engine(ConstrainedLayoutEngine(h_pad=_LEGEND_ROOM + _LEGEND_LINE * lines))
    return figure


def _flattened(points: Float[np.ndarray, "k 3"], side: float) -> Float[np.ndarray, "k 2"]:
    """Lambert's azimuthal equal-area projection from the pole of a side."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(points[:, :2] * np.sqrt(2 / (1 + side * points[:, 2:])))


def _great_circles(ax: Axes, X: Float[np.ndarray, "n d"], side: float) -> None:
    """Draw the hyperplanes' halves on one hemisphere, and its edge."""
    turn = np.linspace(0, 2 * np.pi, 362)
    for row in X[X.any(axis=1)]:
        basis = np.linalg.svd(row[None, :])[2][1:]
        circle = np.cos(turn)[:, None] * basis[0] + np.sin(turn)[:, None] * basis[1]
        flat = np.where(side * circle[:, 2:] >= -1e-12, _flattened(circle, side), np.nan)
        ax.plot(*flat.T, color="white", linewidth=0.8, alpha=0.9)
    ax.plot(np.sqrt(2) * np.cos(turn), np.sqrt(2) * np.sin(turn), color=MUTED, linewidth=1)


def _mark(ax: Axes, flow: AlignmentResult, places: Float[np.ndarray, "k 2"]) -> None:
    """Mark extreme points with stars in their colours; the legend names the first and their values."""
    for k, (point, place) in enumerate(zip(flow.extreme_points, places, strict=True)):
        share = float((flow.index == k).mean())
        ax.scatter(
            place[0], place[1], marker="*", s=170, color=_COLORS[k % len(_COLORS)], edgecolors=INK,
            linewidths=0.8, zorder=4,
            label=rf"$y^\top(Xu)_+ = {point.value:.4g}$, {share:.1%}" if k < _LISTED else None,
        )  # fmt: skip
    rest = float((flow.index < 0).mean())
    if rest:
        ax.scatter([], [], marker="s", s=40, color=GRID, label=f"none, {rest:.1%}")


def _color_of(index: Int[np.ndarray, " m"]) -> list[str]:
    return [GRID if k < 0 else _COLORS[k % len(_COLORS)] for k in index.tolist()]


def _rgba_of(index: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m 4"]:
    """Colours a little paler than those of the stars, so that these stand out."""
    table = [*_COLORS, GRID]
    parts = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in table])
    parts[:-1] = 0.35 + 0.65 * parts[:-1]
    chosen = parts[np.where(index < 0, len(_COLORS), index % len(_COLORS))]
    return np.column_stack([chosen, np.ones(len(index))])
