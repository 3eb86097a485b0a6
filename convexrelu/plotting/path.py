"""A path of soft margins drawn: what the price of slack buys."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.plotting.style import (
    BOUND,
    GRID,
    INK,
    MUTED,
    NEGATIVE,
    POSITIVE,
    REGION,
    entitle,
    log_axis,
    new_figure,
)
from convexrelu.solvers import MaxMarginPath, MaxMarginSolution, SolutionPath

__all__ = ["margin_limit_figure", "path_figure"]

_HARD = 10.0  # times the dearest finite price: where the hard margin is drawn
_COLORS = (POSITIVE, NEGATIVE, REGION, INK)


def path_figure(
    path: MaxMarginPath, *, accuracies: Mapping[str, ArrayLike] | None = None, title: str = ""
) -> Figure:
    """Return objective and lower bound, number of neurons and accuracy against the price of slack.

    Between the two curves lies P*, which grows with C and is concave in it.

    Parameters
    ----------
    path : MaxMarginPath
        From :func:`convexrelu.max_margin_path`.
    accuracies : mapping of str to (q,) array_like, or None
        Shares of rows that are labelled rightly, from :meth:`MaxMarginPath.accuracies`, by the name of the
        rows, such as "training" and "test".
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Two panels, three with accuracies.

    Raises
    ------
    InvalidInputError
        If an accuracy is not a number from 0 to 1 for each price.
    """
    shares = {name: as_vector(values, name, length=len(path)) for name, values in (accuracies or {}).items()}
    for name, values in shares.items():
        if ((values < 0) | (values > 1)).any():
            raise InvalidInputError(f"accuracies must lie between 0 and 1, got {values} for {name}")
    order = np.argsort(path.Cs)
    places, hard = _places(path.Cs[order])
    panels = 3 if shares else 2
    figure, [axes] = new_figure(1, panels, size=(3.6 * panels, 3.4), title=title)
    _draw_bounds(axes[0], places, path.objectives[order], path.lower_bounds[order])
    axes[1].plot(places, path.n_neurons[order], color=INK, marker="o", markersize=4, linewidth=1.2)
    axes[1].set_ylim(bottom=0)
    axes[1].yaxis.set_major_locator(MaxNLocator(integer=True))
    entitle(axes[1], "neurons")
    for (name, values), color, marker in zip(shares.items(), _COLORS, "os^v", strict=False):
        axes[2].plot(
            places, values[order], color=color, marker=marker, markersize=4, linewidth=1.2, label=name
        )
    if shares:
        axes[2].legend(fontsize=8, frameon=False)
        entitle(axes[2], "accuracy")
    for ax in axes:
        _against_prices(ax, hard)
    return figure


def margin_limit_figure(
    path: SolutionPath, X: ArrayLike, y: ArrayLike, optimum: MaxMarginSolution, *, title: str = ""
) -> Figure:
    """Return the objective at margin 1 of networks trained with weight decay, against its price, with P*.

    With a logistic loss it tends to P* as the price goes to zero.

    Parameters
    ----------
    path : SolutionPath
        From :func:`convexrelu.solution_path`, with a loss that falls with the margin.
    X : (n, d) array_like
        The data.
    y : (n,) array_like
        Labels +1 and -1.
    optimum : MaxMarginSolution
        From :func:`convexrelu.solve_max_margin`.
    title : str
        Above the panel.

    Returns
    -------
    Figure
        One panel; prices whose networks do not fit all labels are left out.
    """
    values = path.margin_objectives(X, y)
    fits = np.isfinite(values)
    figure, [[ax]] = new_figure(1, 1, size=(4.6, 3.4), title=title)
    ax.plot(
        path.betas[fits],
        values[fits],
        color=INK,
        marker="o",
        markersize=4,
        linewidth=1.2,
        label="at margin 1",
    )
    ax.axhline(optimum.objective, color=BOUND, linewidth=1.2, linestyle="--", label="$P^*$ of the margin")
    log_axis(ax.xaxis)
    ax.set_xlabel(r"price of the weights $\beta$")
    ax.grid(color=GRID, linewidth=0.6, zorder=0)
    ax.legend(fontsize=8, frameon=False)
    entitle(ax, "objective at margin 1")
    return figure


def _places(Cs: Float[np.ndarray, " q"]) -> tuple[Float[np.ndarray, " q"], float]:
    """Return where prices stand on the axis, and where the hard margin does (NaN if there is none)."""
    finite = np.isfinite(Cs)
    place = _HARD * float(Cs[finite].max(initial=0.1))
    return np.where(finite, Cs, place), np.nan if finite.all() else place


def _draw_bounds(
    ax: Axes,
    places: Float[np.ndarray, " q"],
    objectives: Float[np.ndarray, " q"],
    lower_bounds: Float[np.ndarray, " q"],
) -> None:
    """Draw both bounds; what lies between them is open."""
    ax.fill_between(places, lower_bounds, objectives, color=GRID, linewidth=0, zorder=1)
    ax.plot(
        places, objectives, color=INK, marker="o", markersize=4, linewidth=1.2, label="objective", zorder=3
    )
    ax.plot(
        places,
        lower_bounds,
        color=BOUND,
        marker="s",
        markersize=4,
        linewidth=1.2,
        linestyle="--",
        label="certified lower bound",
        zorder=2,
    )
    log_axis(ax.yaxis)
    ax.legend(fontsize=8, frameon=False)
    entitle(ax, "bounds on $P^*$")


def _against_prices(ax: Axes, hard: float) -> None:
    """Finish a panel: a logarithmic axis of prices, with the hard margin at its end."""
    log_axis(ax.xaxis)
    ax.set_xlabel("price of slack $C$")
    ax.grid(color=GRID, linewidth=0.6, zorder=0)
    if np.isfinite(hard):
        own = ax.xaxis.get_major_formatter()
        # no number belongs to its place
        ax.xaxis.set_major_formatter(FuncFormatter(lambda C, k: "" if 0.5 * hard < C else own(C, k)))
        ax.axvline(hard, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
        ax.annotate(
            "hard margin",
            (hard, 0.02),
            xycoords=("data", "axes fraction"),
            rotation=90,
            fontsize=7,
            color=MUTED,
            ha="right",
            va="bottom",
        )
