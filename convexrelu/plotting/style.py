"""How every figure looks: one palette, one way to make a figure, no global state."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

__all__ = [
    "BOUND",
    "DUAL",
    "GRID",
    "INK",
    "MUTED",
    "NEGATIVE",
    "POSITIVE",
    "REGION",
    "NamedFigure",
    "arrow",
    "blank_figure",
    "direction_marker",
    "entitle",
    "label_within_decades",
    "labelled",
    "legend_below",
    "log_axis",
    "new_figure",
    "shades",
    "sign_color",
    "square",
    "stars",
]

# Okabe and Ito's colours: told apart by colour-blind readers, and in print by their lightness.
POSITIVE = "#0072B2"  # blue: output weight or label +1
NEGATIVE = "#D55E00"  # vermillion: output weight or label -1
DUAL = "#117733"  # green: the dual variable
BOUND = "#009E73"  # bluish green: lower bounds
REGION = "#CC79A7"  # reddish purple: the rectified ellipsoid and its polar set
MUTED = "#8A8A8A"
GRID = "#DDDDDD"
INK = "#222222"

_PAD = 0.08  # inches between panels and round the figure


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedFigure:
    """A figure and the name of the file it goes to.

    Attributes
    ----------
    name : str
        Without an ending, such as "wp-figure-1".
    figure : Figure
        The picture.
    """

    name: str
    figure: Figure


class _ShownFigure(Figure):
    """A figure that notebooks show, also where nobody has asked for matplotlib's inline backend."""

    def __repr__(self) -> str:
        return Figure.__repr__(self).replace(type(self).__name__, Figure.__name__)  # matplotlib's own words

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()


def new_figure(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], one_scale: bool = False, title: str = ""
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure that pyplot does not know of, with a grid of axes; it needs no display.

    With `one_scale` the y axes are shared, and labelled on the left only.
    """
    figure = blank_figure(size=size, title=title)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=one_scale)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8, color=MUTED)
        ax.xaxis.label.set_size(9)
        ax.yaxis.label.set_size(9)
    return figure, [list(row) for row in axes]


def blank_figure(*, size: tuple[float, float], title: str = "") -> Figure:
    """Return a figure that pyplot does not know of, without axes."""
    figure = _ShownFigure(figsize=size, dpi=150, layout=ConstrainedLayoutEngine(h_pad=_PAD, w_pad=_PAD))
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def square(ax: Axes, points: Float[np.ndarray, "k 2"], *, pad: float = 0.08) -> None:
    """Frame the points with equal scales on both axes and the same room around them on all sides."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = pad * float((high - low).max())
    ax.set_xlim(low[0] - room, high[0] + room)
    ax.set_ylim(low[1] - room, high[1] + room)
    ax.set_aspect("equal")


def sign_color(sign: float) -> str:
    """Blue for +1, vermillion for -1."""
    return POSITIVE if sign > 0 else NEGATIVE


WHITE_TO_BLUE = LinearSegmentedColormap.from_list("magnitudes", ["#FFFFFF", POSITIVE, "#002B45"])
"""Magnitudes of weights and their spectra: zero is white in every figure."""


def shades(color: str) -> LinearSegmentedColormap:
    """Return the colour map from a pale tint (early) to the colour itself, darkened (late)."""
    return LinearSegmentedColormap.from_list(
        "time", [_mix(color, "#FFFFFF", 0.72), color, _mix(color, "#000000", 0.35)]
    )


def _mix(color: str, other: str, share: float) -> str:
    parts = [(int(color[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round((1 - share) * a + share * b):02x}" for a, b in parts)


def direction_marker(sign: float) -> str:
    """Return the marker of a positive (up) or negative (down) neuron: colour alone does not tell the sign."""
    return "^" if sign > 0 else "v"


def arrow(
    ax: Axes,
    start: Float[np.ndarray, " 2"],
    end: Float[np.ndarray, " 2"],
    *,
    color: str,
    width: float,
    zorder: int,
) -> None:
    """Draw an arrow between two points."""
    style = {"arrowstyle": "-|>", "color": color, "linewidth": width, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", xy=(end[0], end[1]), xytext=(start[0], start[1]), zorder=zorder, arrowprops=style)


def stars(ax: Axes, points: Float[np.ndarray, "k 2"], label: str) -> None:
    """Mark optimal neurons with open stars."""
    ax.plot(
        *points.T,
        "*",
        markersize=17,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=1.2,
        linestyle="none",
        zorder=6,
        clip_on=False,
        label=label,
    )


def log_axis(axis: Axis) -> None:
    """Make an axis logarithmic, labelled at powers of ten only.

    Labels between them crowd the axis and cost most of the drawing time.
    """
    set_scale = axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale
    set_scale("log")
    axis.set_minor_formatter(NullFormatter())


def label_within_decades(axis: Axis) -> None:
    """Label a logarithmic axis between powers of ten where its data, drawn by now, spans fewer than two."""
    low, high = np.log10(axis.get_view_interval())
    if np.floor(high) - np.ceil(low) < 1:
        # about evenly spaced on a logarithmic axis
        axis.set_minor_locator(LogLocator(subs=(2.0, 3.0, 5.0, 7.0)))
        for set_formatter in (axis.set_minor_formatter, axis.set_major_formatter):
            set_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_tick_params(which="minor", labelsize=8)


def entitle(ax: Axes, text: str) -> None:
    """Set the title of a panel."""
    ax.set_title(text, fontsize=10)


def labelled(ax: Axes) -> dict[str, Artist]:
    """Return what a legend of `ax` shows: one handle for each label."""
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def legend_below(figure: Figure, ax: Axes, *, columns: int = 2) -> None:
    """Put the legend of `ax` under the whole figure, where it hides nothing; each label once.

    It has so many columns, or as many as the figure is wide enough for.
    """
    unique = labelled(ax)
    for count in range(columns, 0, -1):
        legend = figure.legend(
            list(unique.values()),
            list(unique),
            loc="outside lower center",
            ncols=count,
            fontsize=8,
            frameon=False,
        )
        if count == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()
