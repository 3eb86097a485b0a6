"""Figures of KH-beyond and of NP sections 3 and 4, drawn from runs of the package, with what they assert."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexrelu.ncf.conditions import TIE_TOL
from convexrelu.networks import RELU, FeedForward
from convexrelu.papers.claims import Assertion, ReproducedFigure, at_least, at_most
from convexrelu.papers.saddle_settings import EXAMPLE_1_TARGETS, RUNS, SQUARES, Run, example_1, near_saddle
from convexrelu.plotting.style import (
    BOUND,
    GRID,
    INK,
    MUTED,
    NEGATIVE,
    POSITIVE,
    REGION,
    entitle,
    legend_below,
    log_axis,
    new_figure,
    shades,
)
from convexrelu.saddles import (
    EscapeLadder,
    SaddleApproach,
    escape_ladder,
    first_escape,
    relative_size,
    track_saddles,
)
from convexrelu.training import DeepTrajectory, feed_forward_flow

__all__ = ["approach_figure", "example_1_figure", "figures", "ladder_figure", "sparsity_figure"]

_CLOSED_FORM = 1e-8
"""Allowed distance of an integrated flow from its closed form."""

_KEPT = {"smooth": 0.1, "kinked": 0.3}
"""Allowed size of neurons at the first saddle that were below a tenth of their layer's largest before the
escape: with a derivative Theorem 18 says that they stay small, for ReLU the paper observes it."""

_SQUARES_DELTAS, _RELU_DELTAS = (0.05, 0.02, 0.01, 0.005), (1e-2, 1e-3, 1e-4, 1e-5)
"""How far from the saddle the runs start, over its norm. Degree p + 1 = 3 takes a time of order 1/delta,
degree 2 one of order ln(1/delta) only."""

_TURNED = 0.5
"""What is left, at the nearest start, of the sine of w_z and its NCF's gradient at the farthest one, at most.
NP Theorem 7 says that it tends to 0 with delta and not how fast; over a factor of ten in delta, powers from
0.3 on halve it, while a direction that is not a KKT point keeps it."""

_STILL_NEAR = 0.999
"""A run is near the saddle while its loss is above this part of the saddle's."""

_NP = "NP Theorem 7"


def figures() -> Iterator[ReproducedFigure]:
    """Return the figures of KH-beyond and NP one after the other, each with its numbers asserted.

    Yields
    ------
    ReproducedFigure
        KH-beyond Figure 2, the escape times, Figures 1 and 14, 4, 5, 6, 8 and 16, 9, 12; NP Figures 1 to 4.
    """
    yield _reproduced_example_1()
    yield _reproduced_ladder()
    for run in RUNS:
        yield _reproduced_run(run)
    for name, title, activation, deltas in (
        ("np-figures-1-3", "NP Figures 1 and 3: three layers, squares", SQUARES, _SQUARES_DELTAS),
        ("np-figures-2-4", "NP Figures 2 and 4: three layers, ReLU", RELU, _RELU_DELTAS),
    ):
        yield _reproduced_approach(name, title, [near_saddle(activation, delta=delta) for delta in deltas])


def example_1_figure(runs: Sequence[DeepTrajectory], path: DeepTrajectory, *, title: str = "") -> Figure:
    """Return KH-beyond Figure 2: runs of Example 1 from smaller and smaller starts over the loss's contours.

    Parameters
    ----------
    runs : sequence of DeepTrajectory
        From ``delta w_0``.
    path : DeepTrajectory
        From ``delta w_*``: p(t).
    title : str
        Above the panel.

    Returns
    -------
    Figure
        One panel.
    """
    figure, axes = new_figure(size=(5.6, 4.4))
    ax = axes[0][0]
    first, second = np.meshgrid(np.linspace(-0.1, 2.4, 241), np.linspace(-0.1, 1.4, 151))
    loss = (first**2 - 4.0) ** 2 + (second**2 - 1.0) ** 2
    ax.contour(first, second, np.sqrt(loss), levels=14, colors=GRID, linewidths=0.8)
    tones = shades(NEGATIVE)(np.linspace(0.25, 1.0, len(runs)))
    for run, tone in zip(runs, tones, strict=True):
        w = run.weights[0][:, [0, 1], [0, 1]]
        ax.plot(*w.T, color=tone, label=rf"$\psi(t, \delta w_0)$, $\delta$ = {run.norm[0]:.3g}")
    w = path.weights[0][:, [0, 1], [0, 1]]
    ax.plot(*w.T, color=BOUND, linestyle="--", linewidth=2.0, label="$p(t)$")
    ax.plot(2.0, 0.0, "s", color=BOUND, label="saddle (2, 0)")
    ax.plot(2.0, 1.0, "o", color=INK, label="global minimum (2, 1)")
    ax.set_xlabel("$w_1$")
    ax.set_ylabel("$w_2$")
    entitle(ax, title)
    legend_below(figure, ax)
    return figure


def ladder_figure(ladders: Sequence[EscapeLadder], labels: Sequence[str], *, title: str = "") -> Figure:
    """Return measured escape times over predicted ones, and how fast runs tend to their limiting path.

    Parameters
    ----------
    ladders : sequence of EscapeLadder
        Of several networks.
    labels : sequence of str
        Their names.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Two panels.
    """
    figure, axes = new_figure(1, 2, size=(8.4, 3.6))
    left, right = axes[0]
    for ladder, label, color, mark in zip(ladders, labels, (POSITIVE, NEGATIVE, BOUND), "osv", strict=False):
        left.plot(ladder.predicted, ladder.measured, mark, color=color, label=label)
        right.plot(ladder.scales, ladder.distances, mark + "-", color=color, label=label)
    ends = np.concatenate([ladder.predicted for ladder in ladders])
    left.plot([ends.min(), ends.max()], [ends.min(), ends.max()], color=MUTED, linewidth=0.8)
    right.plot(ladders[0].scales, ladders[0].scales ** 2, color=MUTED, linestyle="--", label=r"$\delta^2$")
    for ax in (left, right):
        log_axis(ax.xaxis)
        log_axis(ax.yaxis)
    left.set_xlabel(r"predicted escape time $T(\delta)$")
    left.set_ylabel("measured escape time")
    right.set_xlabel(r"scale of the start, $\delta$")
    right.set_ylabel(r"$\|\psi(T(\delta), \delta w_*) - p(0)\|$")
    legend_below(figure, right, columns=4)
    figure.suptitle(title, fontsize=11)
    return figure


def sparsity_figure(trajectory: DeepTrajectory, marks: Sequence[int], *, title: str = "") -> Figure:
    """Return the loss of a run and its absolute weights at some points, as in KH-beyond Figures 1 to 17.

    Parameters
    ----------
    trajectory : DeepTrajectory
        The run.
    marks : sequence of int
        The recorded points at which the weights are drawn.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        The loss on top, below it a row of layers for each mark, every picture scaled to its largest entry.
    """
    depth = len(trajectory.weights)
    figure = Figure(figsize=(2.6 * depth + 0.8, 2.0 * len(marks) + 2.4), dpi=150, layout="constrained")
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.2, 2.0 * len(marks)])[:, 0]
    ax = top.subplots()
    _loss_panel(ax, trajectory, marks)
    grid = below.subplots(len(marks), depth, squeeze=False)
    for number, (row, index) in enumerate(zip(grid, marks, strict=True), start=1):
        for layer, picture in enumerate(row):
            W = trajectory.weights[layer][index]
            _weights_panel(picture, W, float(np.abs(W).max()))
            entitle(picture, rf"$|W_{layer + 1}|$ at $i_{number}$")
    figure.suptitle(title, fontsize=11)
    return figure


def _loss_panel(ax: Axes, trajectory: DeepTrajectory, marks: Sequence[int]) -> None:
    """Draw the loss; for a flow over the points' number, so that plateaus and escapes both get room."""
    ax.spines[["top", "right"]].set_visible(False)
    flow = trajectory.kind == "flow"
    x = np.arange(len(trajectory)) if flow else trajectory.times
    ax.plot(x, trajectory.loss, color=POSITIVE)
    for number, index in enumerate(marks, start=1):
        ax.axvline(x[index], color=MUTED, linewidth=0.8, linestyle="--")
        ax.annotate(
            f"$i_{number}$",
            (x[index], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -9),
            textcoords="offset points",
            fontsize=9,
        )
    ax.set_xlabel("recorded point of the flow" if flow else "step", fontsize=9)
    ax.set_ylabel("loss", fontsize=9)
    ax.set_ylim(0.0, None)
    ax.tick_params(labelsize=8, color=MUTED)


def _weights_panel(ax: Axes, W: Float[np.ndarray, "k j"], largest: float) -> None:
    """Draw absolute entries, white for 0 and darkest for the largest."""
    ax.imshow(np.abs(W), cmap="Blues", vmin=0.0, vmax=largest or 1.0, aspect="auto")
    ax.set_xticks([])
    ax.set_yticks([])


def approach_figure(approach: SaddleApproach, mark: int, *, title: str = "") -> Figure:
    """Return a run near a saddle: loss, sizes, alignment with the NCF, and its weights (NP Figures 1 to 4).

    Parameters
    ----------
    approach : SaddleApproach
        The run.
    mark : int
        The recorded point at which the weights are drawn, besides the start and the end.
    title : str
        Above the panels.

    Returns
    -------
    Figure
        Three curves, then the weights at the start, at the mark and at the end.
    """
    trajectory, depth = approach.trajectory, len(approach.trajectory.weights)
    figure = Figure(figsize=(9.6, 9.0), dpi=150, layout="constrained")
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.6, 6.4])[:, 0]
    loss, sizes, cosine = top.subplots(1, 3)
    x = trajectory.times
    loss.plot(x, approach.relative_loss, color=POSITIVE)
    entitle(loss, "loss / loss at the saddle")
    sizes.plot(x, approach.size, color=NEGATIVE, label=r"$\|w_z\|$")
    sizes.plot(x, approach.displacement, color=POSITIVE, linestyle="--", label=r"$\|w_n - \bar w_n\|$")
    sizes.legend(fontsize=8, frameon=False)
    log_axis(sizes.yaxis)
    entitle(sizes, "sizes / norm of the saddle")
    cosine.plot(x, approach.alignment, color=BOUND, label=r"with $\nabla N(w_z)$")
    if approach.tie_tol > TIE_TOL:
        cosine.plot(x, approach.cosine, color=REGION, linestyle="--", label=r"with $\partial N(w_z)$")
    cosine.legend(fontsize=8, frameon=False)
    cosine.axhline(1.0, color=MUTED, linewidth=0.8, linestyle="--")
    entitle(cosine, r"cosine of $w_z$")
    for ax in (loss, sizes, cosine):
        ax.spines[["top", "right"]].set_visible(False)
        ax.axvline(x[mark], color=MUTED, linewidth=0.8, linestyle=":")
        ax.set_xlabel("time" if trajectory.kind == "flow" else "step", fontsize=9)
        ax.locator_params(axis="x", nbins=5)
        ax.tick_params(labelsize=8, color=MUTED)
    small = [np.where(W == 0.0, 1.0, 0.0) for W in approach.saddle.weights]
    grid = below.subplots(3, depth, squeeze=False)
    for row, (index, name) in zip(grid, ((0, "start"), (mark, "leaving"), (-1, "end")), strict=True):
        pictures = [mask * W[index] for mask, W in zip(small, trajectory.weights, strict=True)]
        largest = max(float(np.abs(picture).max()) for picture in pictures)
        for layer, ax in enumerate(row):
            _weights_panel(ax, pictures[layer], largest)
            entitle(ax, rf"$|W_{layer + 1}|$ of $w_z$, {name}")
    figure.suptitle(title, fontsize=11)
    return figure


def _reproduced_example_1() -> ReproducedFigure:
    scales, times = (0.1, 0.05, 0.001), np.linspace(0.0, 3.0, 601)
    runs = [
        feed_forward_flow(
            example_1([delta / math.sqrt(2.0)] * 2),
            np.eye(2),
            EXAMPLE_1_TARGETS,
            t_max=3.0,
            reduction="sum",
            rtol=1e-11,
            record=times,
        )
        for delta in scales
    ]
    worst = 0.0
    for delta, run in zip(scales, runs, strict=True):
        fade = delta**2
        closed = np.stack(
            [
                2 * delta / np.sqrt(fade + (8 - fade) * np.exp(-32 * times)),
                delta / np.sqrt(fade + (2 - fade) * np.exp(-8 * times)),
            ],
            axis=1,
        )
        worst = max(worst, float(np.abs(run.weights[0][:, [0, 1], [0, 1]] - closed).max()))
    ladder = escape_ladder(
        example_1([1.0, 0.0]), np.eye(2), EXAMPLE_1_TARGETS, scales=[0.1, 0.01, 1e-3], reduction="sum"
    )
    where = "KH-beyond Example 1"
    return ReproducedFigure(
        name="kh-beyond-figure-2",
        figure=example_1_figure(runs, ladder.path.trajectory, title="KH-beyond Figure 2: Example 1"),
        assertions=(
            at_most("largest distance from the closed form", worst, _CLOSED_FORM, where),
            _about("rate of psi -> p in delta", ladder.rate, 2.0, 0.1, f"{where}: closed form, delta^2"),
            at_most("error of the escape time, delta = 1e-3", abs(float(ladder.errors[-1])), 0.01, where),
        ),
    )


def _reproduced_ladder() -> ReproducedFigure:
    """Escape times where no closed form is known, on the same data for degrees 2 and 3."""
    from convexrelu.ncf import maximize_ncf
    from convexrelu.networks import PowerLeakyReLU
    from convexrelu.papers.saddle_settings import sphere

    rng = np.random.default_rng(1)
    X = sphere(40, 5, rng)
    y = np.square(X @ rng.normal(size=5)) + X @ rng.normal(size=5)
    y /= np.sqrt(np.mean(y**2))
    cases = (
        ("L = 2, linear", PowerLeakyReLU(1.0), (5, 4, 1)),
        ("L = 3, squared ReLU", PowerLeakyReLU(0.0, 2), (5, 6, 1)),
        ("L = 3, linear", PowerLeakyReLU(1.0), (5, 4, 4, 1)),
    )
    ladders = []
    for _, activation, widths in cases:
        found = maximize_ncf(X, y, widths=widths, activation=activation, n_starts=4, rng=0)
        ladders.append(escape_ladder(found.points[0].network, X, y, scales=[0.1, 0.03, 0.01, 1e-3]))
    where = "KH-beyond Theorems 4 and 10"
    checks = [
        check
        for (label, _, _), ladder in zip(cases, ladders, strict=True)
        for check in (
            at_most(
                f"{label}: error of the escape time, delta = 1e-3", abs(float(ladder.errors[-1])), 0.01, where
            ),
            _about(f"{label}: rate of psi -> p in delta", ladder.rate, 2.0, 0.15, f"{where}: at least 1"),
        )
    ]
    names = [label for label, _, _ in cases]
    title = r"Escape from the origin along $w_*$ (KH-beyond Theorems 4 and 10)"
    return ReproducedFigure(
        name="kh-beyond-escape-times",
        figure=ladder_figure(ladders, names, title=title),
        assertions=tuple(checks),
    )


def _reproduced_run(run: Run) -> ReproducedFigure:
    trajectory = run.follow()
    escape, track = first_escape(trajectory), track_saddles(trajectory)
    marks = [escape.before, escape.saddle.index]
    if escape.saddle.left and len(track.plateaus) > 2:
        marks.append(track.plateaus[2].index)
    kept = _KEPT["kinked" if run.activation == RELU else "smooth"]
    loss = trajectory.loss
    checks = [
        at_most(
            "size at the first saddle of what was below 0.1 before",
            escape.size_at_saddle,
            kept,
            "KH-beyond Theorem 18, section 4.1: sparsity is preserved",
        ),
        at_most(
            "norm before the escape over that at the saddle",
            float(trajectory.norm[escape.before] / trajectory.norm[escape.saddle.index]),
            0.6,
            "KH-beyond section 1: the weights stay near the origin until they escape",
        ),
        at_most(
            "loss at the first saddle over the start's",
            escape.saddle.loss / float(loss[0]),
            0.9,
            "the loss drops",
        ),
        at_least(
            "neurons that are small before the escape",
            float(sum(map(len, escape.small))),
            1.0,
            "a sparsity structure emerges",
        ),
    ]
    return ReproducedFigure(
        name=run.name, figure=sparsity_figure(trajectory, marks, title=run.title), assertions=tuple(checks)
    )


def _reproduced_approach(name: str, title: str, approaches: Sequence[SaddleApproach]) -> ReproducedFigure:
    """Draw the run from the nearest start, the last one, and assert that w_z turns the more the nearer."""
    marks = [_leaving(approach) for approach in approaches]
    sines = [
        approach.split_at(mark).stationarity(approach.residual, tie_tol=approach.tie_tol)
        for approach, mark in zip(approaches, marks, strict=True)
    ]
    approach, mark = approaches[-1], marks[-1]
    small = _least(approach.trajectory.network_at(mark), approach.saddle)
    where = _NP if approach.saddle.activation != RELU else "NP section 4: seen for ReLU, not proven"
    sine = "sine of w_z and its NCF's gradient, leaving"
    checks = (
        *(
            at_most(
                f"{sine}, from {a.size[0]:.3g} away", here, before, f"{where}: less than from farther away"
            )
            for a, before, here in zip(approaches[1:], sines, sines[1:], strict=False)
        ),
        at_most(f"{sine}: the nearest start's over the farthest's", sines[-1] / sines[0], _TURNED, where),
        at_most(
            "relative distance of w_n from the saddle, leaving",
            float(approach.displacement[mark]),
            0.05,
            where,
        ),
        at_most(
            "loss at the end over the saddle's",
            float(approach.relative_loss[-1]),
            0.9,
            "NP section 4: the run leaves",
        ),
        at_most(
            "size at the end of what was below 0.1 when leaving",
            relative_size(approach.trajectory.network_at(-1), small),
            0.3,
            "NP section 4: the sparsity of w_z is preserved until the next saddle",
        ),
    )
    return ReproducedFigure(name=name, figure=approach_figure(approach, mark, title=title), assertions=checks)


def _leaving(approach: SaddleApproach) -> int:
    """Return the last recorded point near the saddle."""
    return int(np.flatnonzero(approach.relative_loss > _STILL_NEAR)[-1])


def _least(network: FeedForward, saddle: FeedForward) -> list[Int[np.ndarray, " _"]]:
    """Return the neurons of w_z below a tenth of its largest, a hidden layer each."""
    from convexrelu.saddles.plateaus import neuron_sizes

    sizes = neuron_sizes(network.weights, network.trainable)
    waiting = saddle.zero_preserving_set(0.0)
    largest = max(float(size[who].max(initial=0.0)) for size, who in zip(sizes, waiting, strict=True))
    return [who[size[who] < 0.1 * largest] for size, who in zip(sizes, waiting, strict=True)]


def _about(name: str, value: float, expected: float, tol: float, statement: str) -> Assertion:
    return Assertion(name=name, value=value, low=expected - tol, high=expected + tol, statement=statement)
