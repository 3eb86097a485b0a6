"""The verdicts of many runs of gradient descent as a map over initial scale and width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from convexrelu.errors import InvalidInputError
from convexrelu.plotting.style import BOUND, GRID, INK, MUTED, NEGATIVE, new_figure

__all__ = ["PhaseCell", "phase_map_figure"]

VERDICT_COLORS = {
    "global optimum": BOUND,
    "KKT point, global or not undecided": "#56B4E9",
    "KKT point that is not global": NEGATIVE,
    "not converged": "#F0E442",
    "never fitted the data": MUTED,
}
"""From best to worst, told apart by colour-blind readers and by their order from left to right."""

_CELL_HEIGHT = 0.72  # of the room between two rows


@dataclass(frozen=True, kw_only=True, eq=False)
class PhaseCell:
    """The verdicts of all runs at one width and initial scale.

    Attributes
    ----------
    width : int
        Neurons.
    init_scale : float
        Size of each neuron at the start.
    verdicts : tuple of str
        One a run.
    """

    width: int
    init_scale: float
    verdicts: tuple[str, ...]


def phase_map_figure(cells: Sequence[PhaseCell], *, title: str = "") -> Figure:
    """Return the map of verdicts: a column a width, a row an initial scale, the smallest scale at the bottom.

    Each cell is a bar divided by the shares of the verdicts, under the number of runs that ended in a global
    optimum.

    Parameters
    ----------
    cells : sequence of PhaseCell
        In any order; cells of the grid without runs stay empty.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If there is no cell, two cells have the same place, or a verdict is unknown.
    """
    _check(cells)
    widths = sorted({cell.width for cell in cells})
    scales = sorted({cell.init_scale for cell in cells})
    size = (max(1.25 * len(widths) + 1.4, 5.6), max(0.75 * len(scales) + 2.0, 3.0))
    figure, [[ax]] = new_figure(size=size, title=title)
    for cell in cells:
        _draw_cell(ax, cell, widths.index(cell.width), scales.index(cell.init_scale))
    ax.set_xlim(-0.55, len(widths) - 0.45)
    ax.set_ylim(-0.55, len(scales) - 0.45)
    ax.set_xticks(range(len(widths)), [str(width) for width in widths])
    ax.set_yticks(range(len(scales)), [f"{scale:g}" for scale in scales])
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_xlabel("width (neurons)")
    ax.set_ylabel("initial scale")
    _legend(figure, cells)
    return figure


def _check(cells: Sequence[PhaseCell]) -> None:
    places = {(cell.width, cell.init_scale) for cell in cells}
    if not cells or len(places) < len(cells):
        raise InvalidInputError(
            f"cells must be one or more, at different places, got {len(cells)} at {len(places)} places"
        )
    unknown = sorted({verdict for cell in cells for verdict in cell.verdicts} - set(VERDICT_COLORS))
    if unknown:
        raise InvalidInputError(f"verdicts must be among {', '.join(VERDICT_COLORS)}; got {unknown[0]!r}")


def _draw_cell(ax: Axes, cell: PhaseCell, column: int, row: int) -> None:
    """One bar of width 0.9, its pieces as long as the verdicts are frequent."""
    left, bottom = column - 0.45, row - _CELL_HEIGHT / 2
    total = len(cell.verdicts)
    if not total:
        ax.add_patch(Rectangle((left, bottom), 0.9, _CELL_HEIGHT, fill=False, edgecolor=GRID, hatch="//"))
        return
    good = cell.verdicts.count("global optimum")
    ax.text(column, row + 0.17, f"{good} of {total}", ha="center", va="center", fontsize=9, color=INK)
    for verdict, color in VERDICT_COLORS.items():
        length = 0.9 * cell.verdicts.count(verdict) / total
        if length:
            ax.add_patch(Rectangle((left, bottom), length, 0.4 * _CELL_HEIGHT, facecolor=color, linewidth=0))
            left += length
    ax.add_patch(Rectangle((column - 0.45, bottom), 0.9, _CELL_HEIGHT, fill=False, edgecolor=GRID))


def _legend(figure: Figure, cells: Sequence[PhaseCell]) -> None:
    """The verdicts that occur."""
    seen = {verdict for cell in cells for verdict in cell.verdicts}
    handles = [Patch(color=color, label=v) for v, color in VERDICT_COLORS.items() if v in seen]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(len(handles), 3), fontsize=8, frameon=False
        )
