"""Arrangements drawn: cells in the plane and on the sphere, and what samples of them find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from convexrelu._typing import ArrayLike
from convexrelu._validation import check_count
from convexrelu.arrangements import Arrangement, Hyperplanes
from convexrelu.arrangements.integers import decide
from convexrelu.errors import InvalidInputError
from convexrelu.plotting.arguments import check_kind
from convexrelu.plotting.style import (
    BOUND,
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
)

__all__ = ["arrangement_figure", "coverage_figure"]

_LABEL, _LETTER = 0.02, 0.017  # half the width of an empty label, and of a letter, in radii
_TICK = 18  # place on a great circle of 121 points, where ticks stand
_PIXELS = 700


def arrangement_figure(X: ArrayLike, arrangement: Arrangement, *, title: str = "") -> Figure:
    """Return a picture of the cells of an arrangement of rank 2 (a disc) or 3 (both sides of the sphere).

    Cells are coloured by how many rows are active, from the fewest (pale) to the most, and named by their
    patterns, as 0 and 1, where there is room. Each line or great circle is a row's hyperplane, with a short
    tick on the side on which the row is active.

    Parameters
    ----------
    X : (n, d) array_like
        The data, of rank 2 or 3; directions are drawn in coordinates of the row space.
    arrangement : Arrangement
        Its cells (:func:`convexrelu.enumerate_patterns`).
    title : str, default ""
        The title over all.

    Returns
    -------
    Figure
        One disc, or two: the sphere seen from the front and from the back.

    Raises
    ------
    InvalidInputError
        If the rank is neither 2 nor 3, or `arrangement` is no Arrangement.

    Examples
    --------
    >>> from convexrelu.arrangements import enumerate_patterns
    >>> X = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> figure = arrangement_figure(X, enumerate_patterns(X))
    >>> len(figure.axes)
    1
    """
    check_kind(arrangement, "arrangement", Arrangement)
    lines = decide(X).lines
    rank = lines.rank
    if rank not in (2, 3):
        raise InvalidInputError(f"X must have rank 2 or 3 for a picture, got rank {rank}")
    sides = (1.0,) if rank == 2 else (1.0, -1.0)
    figure, [row] = new_figure(1, len(sides), size=(4.9 * len(sides), 5.4))
    for ax, side in zip(row, sides, strict=True):
        _draw_disc(ax, lines, arrangement, side)
        if rank == 3:
            entitle(ax, "front" if side > 0 else "back")
    row[0].plot([], [], color=NEGATIVE, linewidth=1.6, label="tick: the side on which a row is active")
    legend_below(figure, row[0])
    word = "exact" if arrangement.exact else "ties within 1e-12"
    note = f"{len(lines.normals)} hyperplanes of rank {rank}: {len(arrangement)} cells ({word})"
    figure.suptitle(f"{title}\n{note}" if title else note, fontsize=11)
    return figure


def coverage_figure(
    total: int, sizes: Sequence[int], curves: Mapping[str, ArrayLike], *, title: str = ""
) -> Figure:
    """Return how many of all patterns samples of growing size find.

    Parameters
    ----------
    total : int
        The number of all patterns (:func:`convexrelu.count_patterns`).
    sizes : sequence of int
        Numbers of directions drawn.
    curves : mapping of str to (k,) array_like
        For each method the distinct patterns found (:func:`convexrelu.arrangements.coverage_curve`).
    title : str, default ""
        The title.

    Returns
    -------
    Figure
        One panel: the share found against the number of draws.

    Raises
    ------
    InvalidInputError
        If a curve does not match the sizes.
    """
    draws = np.array([check_count(size, "sizes") for size in sizes])
    figure, [[ax]] = new_figure(size=(6.0, 4.2))
    for (name, curve), color, marker in zip(curves.items(), (POSITIVE, NEGATIVE, BOUND), "osD", strict=False):
        found = np.asarray(curve, dtype=float)
        if found.shape != draws.shape:
            raise InvalidInputError(
                f"curves must have one entry a size ({len(draws)}), got shape {found.shape}"
            )
        ax.plot(draws, found / total, color=color, marker=marker, markersize=4, label=name)
        ax.annotate(
            f"{found[-1] / total:.0%}",
            (draws[-1], found[-1] / total),
            textcoords="offset points",
            xytext=(6, -3),
            fontsize=8,
            color=color,
        )
    ax.axhline(1.0, color=INK, linewidth=1, linestyle="--", label=f"all {total:,} patterns".replace(",", " "))
    ax.plot(
        draws,
        np.minimum(draws / total, 1.0),
        color=MUTED,
        linewidth=1,
        linestyle=":",
        label="every draw a new one",
    )
    log_axis(ax.xaxis)
    ax.set_ylim(0, 1.05)
    ax.set_xlabel("directions drawn")
    ax.set_ylabel("share of the patterns found")
    ax.legend(fontsize=8, frameon=False)
    entitle(ax, title)
    return figure


def _draw_disc(ax: Axes, lines: Hyperplanes, arrangement: Arrangement, side: float) -> None:
    """Draw the unit disc: of the plane, or the half of the sphere that faces the reader."""
    rank = lines.rank
    view = _view(lines)
    axis = (np.arange(_PIXELS) + 0.5) / _PIXELS * 2 - 1
    x, y = np.meshgrid(axis, axis)
    inside = x**2 + y**2 <= 1
    depth = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
    points = np.stack([x, y] if rank == 2 else [side * x, y, side * depth], axis=-1)[inside] @ view
    heights = points @ lines.normals.T
    active = (heights[:, lines.member] * lines.sign > 0) & (lines.sign != 0)
    image = np.full(x.shape, np.nan)
    image[inside] = active.sum(axis=1)
    numbers = arrangement.patterns.sum(axis=1)
    ax.imshow(
        image,
        extent=(-1, 1, -1, 1),
        origin="lower",
        cmap=shades(POSITIVE),
        alpha=0.75,
        vmin=int(numbers.min()),
        vmax=max(int(numbers.min()) + 1, int(numbers.max())),
        interpolation="nearest",
        zorder=1,
    )
    for normal in lines.normals @ view.T:
        _draw_line(ax, normal, side)
    for row in np.flatnonzero(lines.sign):
        _draw_tick(ax, lines.sign[row] * (lines.normals[lines.member[row]] @ view.T), side)
    ax.add_patch(Circle((0, 0), 1.0, fill=False, edgecolor=MUTED, linewidth=1.0, zorder=3))
    # of more patterns, or longer ones, the colours must do
    if len(arrangement) <= 40 and arrangement.n_rows <= 12:
        _label(ax, np.stack([x, y], axis=-1)[inside], active, heights)
    ax.set_xlim(-1.06, 1.06)
    ax.set_ylim(-1.06, 1.06)
    ax.set_aspect("equal")
    ax.set_axis_off()


def _view(lines: Hyperplanes) -> Float[np.ndarray, "r r"]:
    """Return the rows of a rotation from the row space to the picture: the data's axes, turned a little.

    In the plane the data's own axes; in space a view from which no axis is hidden.
    """
    if lines.rank == 2:
        return lines.basis if lines.basis.shape[0] == 2 else np.eye(2)
    turn = np.linalg.qr(np.array([[1.0, 0.35, 0.5], [-0.3, 1.0, 0.45], [-0.6, -0.5, 1.0]]).T)[0].T
    turn *= np.sign(np.diag(turn))[:, None]
    return np.asarray(turn @ lines.basis) if lines.basis.shape[0] == 3 else turn


def _draw_line(ax: Axes, normal: Float[np.ndarray, " r"], side: float) -> None:
    """Draw a line through the centre, or the visible half of a great circle."""
    if len(normal) == 2:
        ends = np.array([[-normal[1], normal[0]], [normal[1], -normal[0]]])
    else:
        ends = _great_circle(normal, side)
    ax.add_collection(LineCollection([ends], colors=[INK], linewidths=1.0, zorder=2))


def _great_circle(normal: Float[np.ndarray, " 3"], side: float) -> Float[np.ndarray, "k 2"]:
    """Return the visible half of the circle orthogonal to a unit normal, as seen from one side."""
    flat = np.hypot(normal[0], normal[1])
    start = np.array([-normal[1], normal[0], 0.0]) / flat if flat > 1e-9 else np.array([1.0, 0.0, 0.0])
    up = np.cross(start, normal)
    up *= side if up[2] >= 0 else -side
    angle = np.linspace(0, np.pi, 121)
    circle = np.cos(angle)[:, None] * start + np.sin(angle)[:, None] * up
    if flat <= 1e-9:  # the rim
        circle = np.cos(2 * angle)[:, None] * start + np.sin(2 * angle)[:, None] * up
    return np.column_stack([side * circle[:, 0], circle[:, 1]])


def _draw_tick(ax: Axes, normal: Float[np.ndarray, " r"], side: float) -> None:
    """Mark the side on which a row is active, near the rim."""
    if len(normal) == 2:
        foot = 0.93 * np.array([-normal[1], normal[0]])
        way = normal
    else:
        circle = _great_circle(normal, side)
        foot = circle[_TICK]
        along = circle[_TICK + 1] - circle[_TICK - 1]
        way = np.array([-along[1], along[0]])
        tip = np.array([side * normal[0], normal[1]])
        way = way * np.sign(way @ tip + 1e-300) / max(float(np.hypot(*way)), 1e-9)
    ax.plot(*np.stack([foot, foot + 0.06 * way]).T, color=NEGATIVE, linewidth=1.6, zorder=4)


def _label(
    ax: Axes,
    spots: Float[np.ndarray, "k 2"],
    active: Bool[np.ndarray, "k n"],
    heights: Float[np.ndarray, "k h"],
) -> None:
    """Write each pattern where its visible part is widest, if there is room."""
    room = np.minimum(np.abs(heights).min(axis=1), 1 - np.hypot(*spots.T))
    codes = np.packbits(active, axis=1)
    _, group = np.unique(codes, axis=0, return_inverse=True)
    group = group.ravel()
    for cell in range(int(group.max()) + 1):
        mine = np.flatnonzero(group == cell)
        best = mine[np.argmax(room[mine])]
        if room[best] < _LABEL + _LETTER * active.shape[1]:
            continue
        ax.text(
            float(spots[best, 0]),
            float(spots[best, 1]),
            "".join("1" if bit else "0" for bit in active[best]),
            ha="center",
            va="center",
            fontsize=7,
            color=INK,
            zorder=5,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": GRID, "alpha": 0.75},
        )
