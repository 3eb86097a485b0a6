"""A network's outputs on its data: how classes stand to the margin, and numbers to their targets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_labels, as_vector
from convexrelu.plotting.style import GRID, INK, MUTED, labelled, new_figure, sign_color

__all__ = ["fit_figure", "margins_figure"]

_BINS = 40


def margins_figure(
    outputs: ArrayLike, y: ArrayLike, *, names: tuple[str, str] = ("-1", "+1"), title: str = ""
) -> Figure:
    """Return histograms of a network's outputs, one for each label, with the margin at -1 and +1.

    Parameters
    ----------
    outputs : (n,) array_like
        The network's values.
    y : (n,) array_like
        Two labels, the larger is +1.
    names : tuple of str
        What the labels -1 and +1 are called.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If outputs and labels differ in number.

    Examples
    --------
    >>> figure = margins_figure([-1.0, 1.0, 2.0], [-1, 1, 1], names=("no", "yes"))
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['no', 'yes', 'margin']
    """
    values = as_vector(outputs, "outputs")
    labels = as_labels(y, length=len(values))
    figure, [[ax]] = new_figure(size=(6.4, 3.4), title=title)
    edges = _edges(values)
    for sign, name in zip((-1.0, 1.0), names, strict=True):
        if (labels == sign).any():
            ax.hist(values[labels == sign], edges, color=sign_color(sign), alpha=0.65, label=str(name))
    for place in (-1.0, 1.0):
        ax.axvline(place, color=INK, linestyle="--", linewidth=1.0, label="margin")
    ax.axvline(0.0, color=MUTED, linewidth=0.8)
    ax.set_xlabel("output of the network")
    ax.set_ylabel("samples")
    unique = labelled(ax)
    ax.legend(unique.values(), unique, fontsize=8, frameon=False)
    return figure


def fit_figure(outputs: ArrayLike, targets: ArrayLike, *, title: str = "") -> Figure:
    """Return a network's outputs against their targets, with the diagonal of a perfect fit.

    Parameters
    ----------
    outputs : (n,) array_like
        The network's values.
    targets : (n,) array_like
        What they are meant to be.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If outputs and targets differ in number.

    Examples
    --------
    >>> figure = fit_figure([0.9, 2.1], [1.0, 2.0])
    >>> figure.axes[0].get_xlabel()
    'target'
    """
    values = as_vector(outputs, "outputs")
    wanted = as_vector(targets, "targets", length=len(values))
    figure, [[ax]] = new_figure(size=(4.8, 4.4), title=title)
    ends = [float(np.min([values, wanted])), float(np.max([values, wanted]))]
    ax.plot(ends, ends, color=MUTED, linestyle="--", linewidth=1.0)
    ax.plot(wanted, values, "o", color=sign_color(1.0), markersize=3.5, alpha=0.6)
    ax.set_xlabel("target")
    ax.set_ylabel("output of the network")
    ax.grid(color=GRID, linewidth=0.6)
    return figure


def _edges(values: Float[np.ndarray, " n"]) -> list[float]:
    """Bins over all values and both margins."""
    return list(np.linspace(min(values.min(), -1.25), max(values.max(), 1.25), _BINS + 1).tolist())
