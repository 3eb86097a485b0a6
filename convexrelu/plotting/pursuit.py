"""Neuron Pursuit drawn: the growing network, errors over samples, and the weights' Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector
from convexrelu.datasets import Task
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, fourier_spectra
from convexrelu.plotting.style import (
    BOUND,
    INK,
    MUTED,
    NEGATIVE,
    POSITIVE,
    REGION,
    WHITE_TO_BLUE,
    entitle,
    labelled,
    legend_below,
    log_axis,
    new_figure,
)
from convexrelu.pursuit import PursuitResult, PursuitStep

__all__ = [
    "comparison_figure",
    "fourier_figure",
    "greedy_figure",
    "growing_network_figure",
]

_COLORS = (POSITIVE, NEGATIVE, BOUND, REGION, INK, MUTED)

_BESIDE = 0.012  # of the axis: training errors stand beside test errors


@runtime_checkable
class ComparedRun(Protocol):
    """What is drawn of one run, as :class:`convexrelu.papers.ComparedRun` has it."""

    @property
    def training_error(self) -> float:
        """On the training set."""

    @property
    def test_error(self) -> float:
        """On fresh samples."""

    @property
    def steps(self) -> int:
        """Iterations of pursuit, steps of descent."""


@runtime_checkable
class Comparison(Protocol):
    """What is drawn of pursuit and descent, as :class:`convexrelu.papers.Comparison` has it."""

    @property
    def function(self) -> str:
        """The function learned."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of samples."""

    @property
    def n_steps(self) -> int:
        """The cap on the steps of descent."""

    @property
    def runs(self) -> Sequence[ComparedRun]:
        """All finished runs."""

    def of(self, method: str, n: int) -> Sequence[ComparedRun]:
        """Return those of a method, "pursuit" or "descent", on n samples."""


def growing_network_figure(
    result: PursuitResult, X: ArrayLike, y: ArrayLike, *, iterations: Sequence[int] = (1, 2), title: str = ""
) -> Figure:
    """Return how a network grew, a row an iteration: added neuron, weights, function (NP Figure 5).

    Dashed circles are new neurons. The second panel has the direction that maximises the NCF, the third the
    weights after the refit, the fourth the network's values over the samples, sorted by their targets.

    Parameters
    ----------
    result : PursuitResult
        The pursuit, with one output.
    X : (n, d) array_like
        Samples.
    y : (n,) array_like
        Targets.
    iterations : sequence of int
        Which to draw, from 1; those that did not take place are left out.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Four panels an iteration.

    Raises
    ------
    InvalidInputError
        If none of the iterations took place, or the network has several outputs.
    """
    matrix = as_matrix(X, columns=result.network.widths[0])
    targets = as_vector(y, "y", length=len(matrix))
    steps = [step for step in result.history if step.iteration in iterations]
    if not steps or result.network.widths[-1] != 1:
        raise InvalidInputError(
            f"growing_network_figure needs a pursuit of one output in which one of the iterations "
            f"{list(iterations)} took place, got {result!r}"
        )
    figure, axes = new_figure(len(steps), 4, size=(13.0, 2.9 * len(steps) + 0.4), title=title)
    for row, step in zip(axes, steps, strict=True):
        _architecture(row[0], step)
        _direction(row[1], step)
        _weights(row[2], step.network)
        _function(row[3], step, matrix, targets)
    return figure


def _architecture(ax: Axes, step: PursuitStep) -> None:
    """Circles and arrows; the width of an arrow is its weight's share of the largest of its layer."""
    widths = step.network.widths
    heights = [np.linspace(1.0, -1.0, k + 2)[1:-1] for k in widths]
    for layer, W in enumerate(step.network.weights):
        share = np.abs(W) / (np.abs(W).max() or 1.0)
        # thinner edges are not drawn
        for i, j in np.argwhere(share > 0.02):
            new = _is_new(step, layer, int(j)) or _is_new(step, layer + 1, int(i))
            ax.plot(
                [layer, layer + 1],
                [heights[layer][j], heights[layer + 1][i]],
                color=POSITIVE if W[i, j] > 0 else NEGATIVE,
                linewidth=0.3 + 2.2 * share[i, j],
                linestyle="--" if new else "-",
                alpha=0.8,
                zorder=1,
            )
    for layer, column in enumerate(heights):
        size = 140 if layer else 12
        for at, height in enumerate(column):
            style = "--" if _is_new(step, layer, at) else "-"
            ax.scatter(layer, height, size, facecolor="white", edgecolor=INK, linestyle=style, zorder=2)
    ax.set_xlim(-0.2, len(widths) - 0.8)
    ax.set_ylim(-1.05, 1.05)
    ax.axis("off")
    counts = " + ".join(map(str, step.n_neurons))
    entitle(
        ax, f"iteration {step.iteration}: {counts} hidden neurons\nnew: dashed; weights: blue +, orange -"
    )


def _is_new(step: PursuitStep, layer: int, neuron: int) -> bool:
    """Whether the iteration added the neuron: the last of its layer, or any hidden one at first."""
    if step.layer == 0:
        return 0 < layer < step.network.depth
    return layer == step.layer and neuron == step.network.widths[layer] - 1


def _direction(ax: Axes, step: PursuitStep) -> None:
    """The weights that were added, at unit norm."""
    layer = step.layer or 1
    incoming = step.start.weights[layer - 1][-1] / step.delta
    places = np.arange(1, len(incoming) + 1)
    ax.bar(places, incoming, color=POSITIVE)
    ax.axhline(0.0, color=MUTED, linewidth=0.8)
    rest = step.start.weights[1:] if step.layer == 0 else [step.start.weights[layer][:, -1]]
    outgoing = np.concatenate([np.ravel(W) for W in rest]) / step.delta
    ax.set_xlabel("input" if layer == 1 else f"neuron of layer {layer - 1}")
    ax.set_xticks(_counted(len(incoming)))
    entitle(ax, f"new neuron, of norm 1: NCF {step.ncf_value:.3g}\noutgoing {_numbers(outgoing)}")


def _weights(ax: Axes, network: FeedForward) -> None:
    """The rows of the first layer as bars side by side; the layers above in words."""
    rows = network.weights[0]
    places, width = np.arange(1, rows.shape[1] + 1), 0.85 / len(rows)
    for k, row in enumerate(rows):
        shift = (k - (len(rows) - 1) / 2) * width
        ax.bar(places + shift, row, width, color=_COLORS[k % len(_COLORS)], label=f"neuron {k + 1}")
    ax.axhline(0.0, color=MUTED, linewidth=0.8)
    ax.set_xlabel("input")
    ax.set_xticks(_counted(rows.shape[1]))
    # as many as there are colours
    if len(rows) <= len(_COLORS):
        ax.legend(fontsize=8, frameon=False)
    above = np.concatenate([np.ravel(W) for W in network.weights[1:]])
    entitle(ax, f"layer 1 after the refit\nlayers above: {_numbers(above)}")


def _function(
    ax: Axes, step: PursuitStep, X: Float[np.ndarray, "n d"], targets: Float[np.ndarray, " n"]
) -> None:
    order = np.argsort(targets, kind="stable")
    places = np.arange(1, len(order) + 1)
    ax.plot(places, step.network(X)[order], ".", color=NEGATIVE, markersize=3, label="network")
    ax.plot(places, targets[order], color=POSITIVE, linewidth=1.2, label="target")
    ax.set_xlabel("sample, by its target")
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    entitle(ax, f"training error {step.relative_error:.1e}")


def _counted(count: int) -> list[int]:
    """Return the numbers from 1 that an axis shows: all of a few, every fifth of more."""
    return list(range(1, count + 1)) if count <= 6 else [1, *range(5, count + 1, 5)]


def _numbers(values: Float[np.ndarray, " k"]) -> str:
    # more do not fit above a panel
    if len(values) > 6:
        return f"{len(values)} weights"
    return ", ".join(f"{value:.2f}" for value in values)


def comparison_figure(comparisons: Sequence[Comparison], *, title: str = "") -> Figure:
    """Return errors and iterations over the number of samples, a column a function (NP Figures 6 to 8).

    Lines join the medians over the training sets, bars go from the least to the largest, dots are single
    runs.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Each with at least one finished run.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Two panels a function.

    Raises
    ------
    InvalidInputError
        If there is none, or one has no run.
    """
    if not comparisons or not all(comparison.runs for comparison in comparisons):
        raise InvalidInputError("comparison_figure needs comparisons with finished runs")
    figure, axes = new_figure(2, len(comparisons), size=(4.4 * len(comparisons) + 0.4, 5.6), title=title)
    for column, comparison in enumerate(comparisons):
        top, bottom = axes[0][column], axes[1][column]
        for method, kind, color, style in (
            ("pursuit", "test_error", POSITIVE, "-"),
            ("pursuit", "training_error", POSITIVE, ":"),
            ("descent", "test_error", NEGATIVE, "-"),
            ("descent", "training_error", NEGATIVE, ":"),
        ):
            _medians(top, comparison, method, kind, color, style)
        log_axis(top.yaxis)
        for ax in (top, bottom):
            ax.set_xticks(comparison.sizes)
        top.set_ylabel("relative error")
        descends = any(comparison.of("descent", n) for n in comparison.sizes)
        cap = f", descent: at most {comparison.n_steps} steps" if descends else ""
        entitle(top, f"{comparison.function}{cap}")
        _medians(bottom, comparison, "pursuit", "steps", POSITIVE, "-")
        bottom.set_ylabel("iterations of pursuit")
        bottom.set_xlabel("training samples\n(lines: medians; bars: least to largest)")
        bottom.set_ylim(0, 1.1 * bottom.get_ylim()[1])
        bottom.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes[0][0], columns=min(2 * len(comparisons), 4))
    return figure


def _medians(ax: Axes, comparison: Comparison, method: str, kind: str, color: str, style: str) -> None:
    sizes = [n for n in comparison.sizes if comparison.of(method, n)]
    if not sizes:
        return
    # an error of zero has no place on a logarithmic axis
    values = [[max(getattr(run, kind), 1e-16) for run in comparison.of(method, n)] for n in sizes]
    label = f"{method}, {kind.replace('_', ' ')}"
    medians = [float(np.median(each)) for each in values]
    trained = kind == "training_error"  # beside the test errors, whose bars it would hide
    places = np.array(sizes) + _BESIDE * trained * np.ptp(comparison.sizes)
    ax.plot(places, medians, style, color=color, label=label)
    reach = [(middle - min(each), max(each) - middle) for middle, each in zip(medians, values, strict=True)]
    ax.errorbar(places, medians, np.transpose(reach), fmt="none", color=color, elinewidth=0.8, capsize=3)
    for place, each in zip(places, values, strict=True):
        ax.plot([place] * len(each), each, "." if trained else "o", color=color, markersize=4, alpha=0.6)


def greedy_figure(objectives: ArrayLike, lower_bound: float, *, title: str = "") -> Figure:
    """Return the max-margin objective after each iteration of a pursuit, over the certified optimum.

    Parameters
    ----------
    objectives : (t,) array_like
        What :func:`convexrelu.pursuit.margin_objectives` returns.
    lower_bound : float
        A positive lower bound on P*.
    title : str
        Above the panel.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If there is no iteration, or the bound is not positive.
    """
    values = np.atleast_1d(np.asarray(objectives, dtype=np.float64))
    if values.ndim != 1 or not values.size or not lower_bound > 0:
        raise InvalidInputError("greedy_figure needs the objectives of iterations and a positive lower bound")
    figure, [[ax]] = new_figure(size=(6.0, 3.4))
    places = np.arange(1, len(values) + 1)
    fits = np.isfinite(values)
    ax.plot(places[fits], values[fits] / lower_bound, "-o", color=POSITIVE, label="pursuit at margin 1")
    for place in places[~fits]:
        ax.axvspan(place - 0.5, place + 0.5, color=MUTED, alpha=0.2, linewidth=0, label="some label wrong")
    ax.axhline(1.0, color=BOUND, linestyle="--", label="certified optimum")
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("iteration")
    ax.set_ylabel(r"objective / $P^*$")
    handles = labelled(ax)
    ax.legend(list(handles.values()), list(handles), fontsize=8, frameon=False)
    if title:
        entitle(ax, title)
    return figure


def fourier_figure(result: PursuitResult, train: Task, test: Task, *, title: str = "") -> Figure:
    """Return the errors of learning modular addition, and the weights' Fourier transforms (NP Figure 9).

    Each row of a transform, the constant part left out, is drawn at norm 1: dark where a neuron has one
    frequency, pale all along where it has none.

    Parameters
    ----------
    result : PursuitResult
        The pursuit.
    train, test : Task
        Parts of :func:`convexrelu.datasets.modular_addition`.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Errors over the iterations, then the transform of each neuron's weights, neurons sorted by frequency.

    Raises
    ------
    InvalidInputError
        If nothing was grown, or the tasks are not of that kind.
    """
    p = train.y.shape[-1] if train.y.ndim == 2 else 1
    if not result.history:
        raise InvalidInputError("fourier_figure needs a pursuit with at least one iteration")
    spectra = fourier_spectra(result.network, p)
    parts = [part[:, 1:] for part in (spectra.on_a, spectra.on_b, spectra.to_classes)]
    figure, axes = new_figure(1, 4, size=(13.0, 3.6), title=title)
    _classification_errors(axes[0][0], result, train, test)
    order = np.argsort(parts[0].argmax(axis=1), kind="stable")
    names = ("first layer, on a", "first layer, on b", "second layer")
    for ax, part, name in zip(axes[0][1:], parts, names, strict=True):
        picture = part[order] / (np.linalg.norm(part, axis=1, keepdims=True)[order] + np.finfo(float).tiny)
        extent = (0.5, part.shape[1] + 0.5, len(part) + 0.5, 0.5)
        image = ax.imshow(
            picture,
            cmap=WHITE_TO_BLUE,
            vmin=0.0,
            vmax=1.0,
            aspect="auto",
            extent=extent,
            interpolation="none",
        )
        ax.set_xlabel("frequency")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        entitle(ax, f"|DFT|, {name}")
    axes[0][1].set_ylabel("neuron, by frequency")
    bar = figure.colorbar(image, ax=axes[0][1:], shrink=0.9, pad=0.02)
    bar.set_label("share of the row's norm", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return figure


def _classification_errors(ax: Axes, result: PursuitResult, train: Task, test: Task) -> None:
    places = [step.iteration for step in result.history]
    for task, color, label in ((train, POSITIVE, "training"), (test, NEGATIVE, "test")):
        errors = [task.classification_error(step.network(task.X)) for step in result.history]
        ax.plot(places, errors, color=color, label=label)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("iteration")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=8, frameon=False)
    entitle(ax, "classification error")
