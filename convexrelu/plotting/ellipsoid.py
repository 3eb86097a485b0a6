"""The rectified ellipsoid ``Q = {(X u)_+ : ||u|| <= 1}`` of two samples (WP section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from convexrelu._box_least_norm import box_least_norm
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector
from convexrelu.arrangements import enumerate_patterns
from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.plotting.style import (
    DUAL,
    GRID,
    INK,
    MUTED,
    REGION,
    direction_marker,
    entitle,
    legend_below,
    new_figure,
    sign_color,
    square,
)

__all__ = [
    "Ellipsoid",
    "PatternExtreme",
    "cone_maximum",
    "draw_rectified",
    "ellipsoid_of",
    "ellipsoids_figure",
    "extreme_points_figure",
    "pattern_extremes",
    "unit_neurons",
]

_POINTS = 721  # of the ellipse's outline: half a degree


@dataclass(frozen=True, kw_only=True, eq=False)
class Ellipsoid:
    """The ellipsoid ``{X u : ||u|| <= 1}`` of two samples and its rectification.

    Attributes
    ----------
    outline : (k, 2) float array
        Boundary of the ellipsoid, counter-clockwise.
    body : (l, 2) float array
        Polygon: the part of the ellipsoid in the positive quadrant, where rectifying changes nothing.
    spikes : (2,) float array
        How far Q reaches along each axis: ``max (x_n^T u)_+`` over the u that see no other sample.
    """

    outline: Float[np.ndarray, "k 2"]
    body: Float[np.ndarray, "l 2"]
    spikes: Float[np.ndarray, " 2"]

    @property
    def crossing(self) -> Float[np.ndarray, " 2"]:
        """Where the ellipsoid crosses each axis: a spike is what reaches beyond it."""
        return np.array([self.body[1, 0], self.body[-2, 1]])


@dataclass(frozen=True, kw_only=True, eq=False)
class PatternExtreme:
    """The extreme point of one pattern (WP eq. (11)).

    It maximises ``s lam^T D_j X u`` over ``||u|| <= 1, (2 D_j - I) X u >= 0``.

    Attributes
    ----------
    pattern : (n,) bool array
        The diagonal of D_j.
    sign : float
        +1 for the maximum of lam's correlation, -1 for the minimum.
    value : float
        ``s lam^T (X u)_+`` there.
    direction : (d,) float array
        The maximiser, a unit vector; zero if nothing correlates.
    """

    pattern: Bool[np.ndarray, " n"]
    sign: float
    value: float
    direction: Float[np.ndarray, " d"]


def ellipsoid_of(X: ArrayLike) -> Ellipsoid:
    """Return the ellipsoid of two samples and its rectification, as curves to draw.

    Parameters
    ----------
    X : (2, d) array
        Two samples.

    Returns
    -------
    Ellipsoid
        Outline, body and spikes.

    Raises
    ------
    InvalidInputError
        If X does not have exactly two rows.

    Examples
    --------
    >>> ellipsoid_of([[1.0, 0.0], [0.0, 2.0]]).spikes
    array([1., 2.])
    """
    matrix = _two_rows(X)
    left, sizes, _ = np.linalg.svd(matrix, full_matrices=False)
    axes = np.zeros((2, 2))
    axes[:, : len(sizes)] = left * sizes  # one column only if d = 1: the ellipse is a segment
    angles = np.linspace(0, 2 * np.pi, _POINTS)
    outline = np.column_stack([np.cos(angles), np.sin(angles)]) @ axes.T
    spikes = np.array([_reach(matrix[0], matrix[1]), _reach(matrix[1], matrix[0])])
    crossing = np.array([_distance_to_line(matrix[0], matrix[1]), _distance_to_line(matrix[1], matrix[0])])
    inside = outline[(outline > 0).all(axis=1)]
    inside = inside[np.argsort(np.arctan2(inside[:, 1], inside[:, 0]))]
    body = np.vstack([[0.0, 0.0], [crossing[0], 0.0], inside, [0.0, crossing[1]], [0.0, 0.0]])
    return Ellipsoid(outline=outline, body=body, spikes=spikes)


def _two_rows(X: ArrayLike) -> Float[np.ndarray, "2 d"]:
    matrix = as_matrix(X)
    if len(matrix) != 2:
        raise InvalidInputError(f"X must have two rows, the axes of the picture, got {len(matrix)}")
    return matrix


def _distance_to_line(x: Float[np.ndarray, " d"], other: Float[np.ndarray, " d"]) -> float:
    """Where the ellipsoid meets the axis of x: the largest ``x^T u`` with ``other^T u = 0``."""
    square_norm = float(other @ other)
    return (
        float(np.linalg.norm(x - (x @ other) / square_norm * other))
        if square_norm > 0
        else float(np.linalg.norm(x))
    )


def _reach(x: Float[np.ndarray, " d"], other: Float[np.ndarray, " d"]) -> float:
    """The largest ``x^T u`` with ``other^T u <= 0``: x itself if it is allowed, else on the boundary."""
    return float(np.linalg.norm(x)) if x @ other <= 0 else _distance_to_line(x, other)


def cone_maximum(
    X: Float[np.ndarray, "n d"], pattern: Bool[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " d"]:
    """Return the projection of ``X^T D weights`` on the pattern's cone.

    Its norm is the largest ``weights^T D X u`` over unit vectors of the cone, its direction the maximiser.
    """
    signed = np.where(pattern, 1.0, -1.0)[:, None] * X
    target = X[pattern].T @ weights[pattern]
    return box_least_norm(-signed, target, np.full(len(X), np.inf)).residual


def pattern_extremes(X: ArrayLike, lam: ArrayLike) -> tuple[PatternExtreme, ...]:
    """Return the extreme points of Q along lam and -lam, one for each pattern (WP eq. (11)).

    Parameters
    ----------
    X : (n, d) array
        The data, few enough rows to list the patterns.
    lam : (n,) array
        Dual variable.

    Returns
    -------
    tuple of PatternExtreme
        Two for each pattern, the maximum first.

    Raises
    ------
    InvalidInputError
        If lam does not match X, or the patterns are too many to list.

    Examples
    --------
    >>> found = pattern_extremes([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0])
    >>> [round(extreme.value, 3) for extreme in found if extreme.sign > 0 and extreme.pattern.all()]
    [5.0]
    """
    matrix = as_matrix(X)
    weights = as_vector(lam, "lam", length=len(matrix))
    found = []
    for pattern in enumerate_patterns(matrix).patterns:
        for sign in (1.0, -1.0):
            best = cone_maximum(matrix, pattern, sign * weights)
            value = float(np.linalg.norm(best))
            if value <= np.finfo(float).eps * 16 * float(np.abs(weights) @ np.linalg.norm(matrix, axis=1)):
                best, value = np.zeros_like(best), 0.0
            found.append(
                PatternExtreme(
                    pattern=pattern, sign=sign, value=value, direction=best / value if value else best
                )
            )
    return tuple(found)


def unit_neurons(network: TwoLayerReLU) -> Float[np.ndarray, "m d"]:
    """Return the directions of the neurons."""
    return np.asarray(network.W1 / np.linalg.norm(network.W1, axis=1, keepdims=True))


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


def extreme_points_figure(X: ArrayLike, network: TwoLayerReLU, lam: ArrayLike, *, title: str) -> Figure:
    """Return the rectified ellipsoid with its extreme points and the optimal neurons (WP Figures 1 and 9).

    Parameters
    ----------
    X : (2, d) array
        Two samples.
    network : TwoLayerReLU
        The optimum; its neurons are drawn at ``(X w1/||w1||)_+``.
    lam : (2,) array
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
    """
    matrix = _two_rows(X)
    weights = as_vector(lam, "lam", length=2)
    ellipsoid = ellipsoid_of(matrix)
    figure, [[ax]] = new_figure(size=(5.6, 6.4))
    draw_rectified(ax, ellipsoid)
    for extreme in pattern_extremes(matrix, weights):
        if extreme.value > 0:
            _draw_extreme(ax, matrix, extreme)
    images = np.maximum(matrix @ unit_neurons(network).T, 0).T
    ax.plot(
        *images.T,
        "*",
        markersize=17,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=1.2,
        linestyle="none",
        zorder=6,
        clip_on=False,
        label="optimal neurons at unit length",
    )
    tip = _draw_direction(ax, weights, 0.45 * float(ellipsoid.spikes.max()))
    _frame(ax, ellipsoid, np.vstack([ellipsoid.body, images, tip]))
    figure.suptitle(title, fontsize=11)
    legend_below(figure, ax)
    return figure


def _draw_extreme(ax: Axes, X: Float[np.ndarray, "2 d"], extreme: PatternExtreme) -> None:
    """Mark the image of one extreme point, and name its pattern next to it."""
    image = np.maximum(X @ extreme.direction, 0)
    word = "maximiser" if extreme.sign > 0 else "minimiser"
    color = sign_color(extreme.sign)
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
        xytext=(-14, -18) if extreme.pattern.all() and not image[1] else (9, 7),
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
    ax.annotate(
        "",
        xy=(tip[0], tip[1]),
        xytext=(0, 0),
        arrowprops={"arrowstyle": "-|>", "color": DUAL, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0},
        zorder=4,
    )
    ax.plot([], [], color=DUAL, linewidth=1.8, label=r"direction of the optimal $\lambda$")
    return tip[None, :]


def ellipsoids_figure(X: ArrayLike, *, title: str) -> Figure:
    """Return the ellipsoid and the rectified ellipsoid side by side (WP Figures 6 and 8).

    Parameters
    ----------
    X : (2, d) array
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
    """
    matrix = _two_rows(X)
    ellipsoid = ellipsoid_of(matrix)
    figure, [[left, right]] = new_figure(1, 2, size=(8.2, 4.3))
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
    figure.suptitle(title, fontsize=11)
    return figure
