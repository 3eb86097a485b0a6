"""The dual as two zonotopes: their Hausdorff distance is h(lam), and the optimal neurons realise it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexrelu._box_least_norm import box_least_norm
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data, as_matrix, as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.plotting.ellipsoid import unit_neurons
from convexrelu.plotting.style import (
    INK,
    NEGATIVE,
    POSITIVE,
    entitle,
    legend_below,
    new_figure,
    sign_color,
    square,
)

__all__ = ["HausdorffSegment", "ZonotopePanel", "hausdorff_segments", "zonotope_polygon", "zonotopes_figure"]


@dataclass(frozen=True, kw_only=True, eq=False)
class HausdorffSegment:
    """From the vertex of one zonotope that a neuron points to, to the nearest point of the other.

    Attributes
    ----------
    start, end : (2,) float arrays
        The nearest point and the vertex.
    sign : float
        +1 if the vertex is Z_+'s (a positive neuron), -1 if it is Z_-'s.
    neuron : (2,) float array
        The neuron's direction.
    """

    start: Float[np.ndarray, " 2"]
    end: Float[np.ndarray, " 2"]
    sign: float
    neuron: Float[np.ndarray, " 2"]

    @property
    def length(self) -> float:
        """Its length: 1 at an optimal lam."""
        return float(np.linalg.norm(self.end - self.start))


@dataclass(frozen=True, kw_only=True, eq=False)
class ZonotopePanel:
    """One data set in the plane with its optimum, and the title of its panel.

    Attributes
    ----------
    X, y, lam : array_like
        (n, 2) data, labels, dual variable.
    network : TwoLayerReLU
        The optimal network.
    title : str
        The title.
    """

    X: ArrayLike
    y: ArrayLike
    lam: ArrayLike
    network: TwoLayerReLU
    title: str


def zonotope_polygon(arms: ArrayLike) -> Float[np.ndarray, "v 2"]:
    """Return the vertices of ``sum_i [0, 1] arms_i`` in the plane, counter-clockwise.

    Parameters
    ----------
    arms : (k, 2) array
        The generators; none gives the origin, parallel ones a segment.

    Returns
    -------
    (2k, 2) float array
        The vertices (some may lie on an edge where arms are parallel).

    Raises
    ------
    InvalidInputError
        If the arms do not lie in the plane.

    Examples
    --------
    >>> zonotope_polygon([[1.0, 0.0], [0.0, 1.0]])
    array([[0., 0.],
           [1., 0.],
           [1., 1.],
           [0., 1.]])
    """
    generators = as_matrix(arms, "arms", columns=2, min_rows=0)
    if not len(generators):
        return np.zeros((1, 2))
    down = (generators[:, 1] < 0) | ((generators[:, 1] == 0) & (generators[:, 0] < 0))
    lowest = generators[down].sum(axis=0)
    upward = np.where(down[:, None], -generators, generators)
    edges = upward[np.argsort(np.arctan2(upward[:, 1], upward[:, 0]), kind="stable")]
    steps = np.vstack([np.zeros((1, 2)), edges, -edges[:-1]])
    return np.asarray(lowest + np.cumsum(steps, axis=0))


def _arms(X: Float[np.ndarray, "n 2"], lam: Float[np.ndarray, " n"], sign: float) -> Float[np.ndarray, "k 2"]:
    """The arms of Z_+ (sign 1) or Z_- (sign -1)."""
    mine = sign * lam > 0
    return np.asarray(np.abs(lam[mine])[:, None] * X[mine])


def hausdorff_segments(X: ArrayLike, lam: ArrayLike, network: TwoLayerReLU) -> tuple[HausdorffSegment, ...]:
    """Return for each neuron the segment in which it measures the distance of the zonotopes.

    A positive neuron u points to the vertex ``sum of the arms p of Z_+ with p^T u > 0``, a negative one to
    Z_-'s; the segment joins it to the nearest point of the other zonotope. At an optimum it is parallel to u
    and of length ``h(lam) = 1``.

    Parameters
    ----------
    X : (n, 2) array
        The data.
    lam : (n,) array
        Dual variable.
    network : TwoLayerReLU
        The optimal network.

    Returns
    -------
    tuple of HausdorffSegment
        In the order of the neurons.

    Raises
    ------
    InvalidInputError
        If the data is not in the plane or the shapes disagree.

    Examples
    --------
    >>> network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    >>> [segment.length for segment in hausdorff_segments([[1.0, 0.0], [0.0, 2.0]], [1.0, -0.5], network)]
    [1.0, 1.0]
    """
    matrix = _planar(X)
    weights = as_vector(lam, "lam", length=len(matrix))
    found = []
    for neuron, sign in zip(unit_neurons(network), network.signs, strict=True):
        mine, other = _arms(matrix, weights, float(sign)), _arms(matrix, weights, -float(sign))
        vertex = mine[mine @ neuron > 0].sum(axis=0)
        nearest = box_least_norm(other, vertex, np.ones(len(other)))
        found.append(
            HausdorffSegment(start=vertex - nearest.residual, end=vertex, sign=float(sign), neuron=neuron)
        )
    return tuple(found)


def _planar(X: ArrayLike) -> Float[np.ndarray, "n 2"]:
    matrix = as_matrix(X)
    if matrix.shape[1] != 2:
        raise InvalidInputError(f"X must have two columns for a picture in the plane, got {matrix.shape[1]}")
    return matrix


def zonotopes_figure(panels: Sequence[ZonotopePanel], *, title: str) -> Figure:
    """Return the two zonotopes at the optimal lam, with the segments that realise their Hausdorff distance.

    Parameters
    ----------
    panels : sequence of ZonotopePanel
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
    """
    figure, [row] = new_figure(1, len(panels), size=(4.9 * len(panels), 5.4))
    for ax, panel in zip(row, panels, strict=True):
        _draw_panel(ax, panel)
    legend_below(figure, row[0], columns=2)
    figure.suptitle(title, fontsize=11)
    return figure


def _draw_panel(ax: Axes, panel: ZonotopePanel) -> None:
    matrix, _ = as_data(_planar(panel.X), panel.y)
    weights = as_vector(panel.lam, "lam", length=len(matrix))
    corners = []
    for sign, color, name in [(1.0, POSITIVE, "Z_+"), (-1.0, NEGATIVE, "Z_-")]:
        polygon = zonotope_polygon(_arms(matrix, weights, sign))
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
    for segment in hausdorff_segments(matrix, weights, panel.network):
        color = sign_color(segment.sign)
        word, mine, other = ("positive", "Z_+", "Z_-") if segment.sign > 0 else ("negative", "Z_-", "Z_+")
        ax.annotate(
            "",
            xy=tuple(segment.end),
            xytext=tuple(segment.start),
            zorder=4,
            arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0},
        )
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
    entitle(ax, panel.title)
