"""Weight matrices as pictures: one way of drawing them for all figures.

A picture has a square for each weight, white for zero and darker the larger its absolute value; the layers of
a network share one scale, which the colour bar beside them tells. Rows and columns are numbered from 1.
Weights that are not meant, such as those of the large neurons where small ones are looked at, are crossed
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator

from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward
from convexrelu.plotting.style import MUTED, WHITE_TO_BLUE, blank_figure, entitle

__all__ = ["WeightRow", "draw_weights", "weights_figure", "weights_size"]

_WIDTH, _HEIGHT = 7.6, 2.3
"""Inches that the pictures of one network may take together; the squares are as large as both allow."""

_LARGEST_SQUARE = 0.16  # inches; small matrices need not fill the page
_NARROWEST = 8  # columns: narrower panels get the room of so many, for their titles


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightRow:
    """The layers of one network, drawn side by side on one scale.

    Attributes
    ----------
    label : str
        What the network is, said at the left.
    layers : sequence of (k_l, k_{l-1}) float arrays
        The layers; absolute values are drawn.
    crossed : sequence of (k_l, k_{l-1}) bool arrays or None
        Which weights are crossed out, and left out of the scale.
    """

    label: str
    layers: Sequence[Float[np.ndarray, "_ _"]]
    crossed: Sequence[Bool[np.ndarray, "_ _"]] | None = None

    @property
    def masks(self) -> list[Bool[np.ndarray, "_ _"]]:
        """Which weights are crossed out, a layer each."""
        return list(self.crossed) if self.crossed else [np.zeros(W.shape, dtype=bool) for W in self.layers]

    @property
    def largest(self) -> float:
        """The largest absolute value that is not crossed out; 1 if all are zero."""
        pairs = zip(self.layers, self.masks, strict=True)
        return max(float(np.abs(W[~mask]).max(initial=0.0)) for W, mask in pairs) or 1.0


def weights_size(rows: Sequence[WeightRow]) -> tuple[float, float]:
    """Return the inches that the pictures of networks of the same widths take, titles and bars included.

    Parameters
    ----------
    rows : sequence of WeightRow
        The networks.

    Returns
    -------
    float, float
        Width and height.
    """
    square = _square(rows[0].layers)
    columns = sum(max(W.shape[1], _NARROWEST) for W in rows[0].layers)
    height = square * max(len(W) for W in rows[0].layers) + 0.65
    return square * columns + 0.45 * len(rows[0].layers) + 1.3, height * len(rows)


def draw_weights(figure: FigureBase, rows: Sequence[WeightRow]) -> None:
    """Draw the layers of networks of the same widths into a figure, a row each.

    Parameters
    ----------
    figure : matplotlib Figure or SubFigure
        Where to.
    rows : sequence of WeightRow
        The networks.
    """
    depth = len(rows[0].layers)
    widths = [max(W.shape[1], _NARROWEST) for W in rows[0].layers]
    axes = figure.subplots(len(rows), depth, squeeze=False, width_ratios=widths)
    for number, (row, panels) in enumerate(zip(rows, axes, strict=True)):
        image = None
        for layer, (ax, W, mask) in enumerate(zip(panels, row.layers, row.masks, strict=True), start=1):
            image = _draw(ax, W, mask, row.largest)
            ax.set_anchor("N")
            if number == 0:
                entitle(ax, rf"$|W_{layer}|$")
        panels[0].set_ylabel(row.label, fontsize=9)
        if image is not None:
            # without panchor the bar would move the panels away from the top
            # each number with its power of ten: one above the bar would push it out of the others' column
            numbers = FuncFormatter(lambda value, _: f"{value:g}")
            bar = figure.colorbar(image, ax=list(panels), pad=0.02, aspect=12, panchor=False, format=numbers)
            bar.ax.tick_params(labelsize=7)
            bar.locator = MaxNLocator(nbins=3)
            bar.update_ticks()


def _draw(ax: Axes, W: Float[np.ndarray, "k j"], mask: Bool[np.ndarray, "k j"], largest: float) -> AxesImage:
    """Draw one matrix with square entries, numbered from 1."""
    k, j = W.shape
    image = ax.imshow(
        np.where(mask, 0.0, np.abs(W)),
        cmap=WHITE_TO_BLUE,
        vmin=0.0,
        vmax=largest,
        aspect="equal",
        extent=(0.5, j + 0.5, k + 0.5, 0.5),
        interpolation="none",
    )
    crossed = np.argwhere(mask) + 1
    if len(crossed):
        ax.scatter(crossed[:, 1], crossed[:, 0], s=4.0, marker="x", color=MUTED, linewidths=0.5)
    ax.xaxis.set_ticks(_numbers(j))
    ax.yaxis.set_ticks(_numbers(k))
    ax.tick_params(labelsize=6.5, color=MUTED, length=2)
    for spine in ax.spines.values():
        spine.set(visible=True, color=MUTED, linewidth=0.6)
    return image


def _numbers(count: int) -> list[int]:
    """The first, the last, and for long sides the middle."""
    return sorted({1, count, *([count // 2] if count >= 20 else [])})


def _square(layers: Sequence[Float[np.ndarray, "_ _"]]) -> float:
    columns = sum(max(int(W.shape[1]), _NARROWEST) for W in layers)
    return min(_WIDTH / columns, _HEIGHT / max(len(W) for W in layers), _LARGEST_SQUARE)


def weights_figure(networks: Sequence[FeedForward], labels: Sequence[str], *, title: str = "") -> Figure:
    """Return the absolute values of the weights as pictures, the layers of a network on one scale.

    Parameters
    ----------
    networks : sequence of FeedForward
        Of the same widths.
    labels : sequence of str
        What each network is.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        A panel for each layer of each network, white for zero (K-deep Figures 2, 3 and 5).

    Raises
    ------
    InvalidInputError
        If there is no network, or widths or the number of labels do not agree.
    """
    if not networks or len(networks) != len(labels) or len({net.widths for net in networks}) != 1:
        raise InvalidInputError("weights_figure needs networks of the same widths and a label for each")
    rows = [
        WeightRow(label=label, layers=network.weights)
        for network, label in zip(networks, labels, strict=True)
    ]
    width, height = weights_size(rows)
    figure = blank_figure(size=(width, height + 0.3), title=title)
    draw_weights(figure, rows)
    return figure
