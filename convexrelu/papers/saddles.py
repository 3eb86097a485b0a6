"""KH-beyond Figures 1, 2 and 4 to 17, its rates of escape, and NP Figures 1-4, from our own runs.

The settings of the runs are in :mod:`convexrelu.papers.saddle_settings`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from convexrelu.ncf import maximize_ncf
from convexrelu.networks import RELU, FeedForward, PowerLeakyReLU
from convexrelu.papers.claims import Claim, ReproducedFigure
from convexrelu.papers.saddle_settings import (
    EXAMPLE_1_TARGETS,
    RUNS,
    SQUARES,
    Run,
    example_1,
    near_saddle,
    sphere,
)
from convexrelu.plotting import (
    approach_figure,
    example_1_figure,
    ladder_figure,
    rates_figure,
    sparsity_figure,
)
from convexrelu.saddles import (
    Plateau,
    SaddleApproach,
    SaddleTrack,
    escape_ladder,
    first_escape,
    relative_size,
    stable_set_ladder,
    track_saddles,
)
from convexrelu.saddles.plateaus import neuron_sizes
from convexrelu.training import DeepTrajectory, gradient_flow

__all__ = ["figures"]

_SQUARES_DELTAS, _RELU_DELTAS = (0.05, 0.02, 0.01, 0.005), (1e-2, 1e-3, 1e-4, 1e-5)
"""How far from the saddle the runs start, over its norm. Degree p + 1 = 3 takes a time of order 1/delta,
degree 2 one of order ln(1/delta) only."""

_LEAVING, _LEFT = 0.99, 0.9
"""A run leaves a saddle when its loss falls below the first part of the saddle's, and has left it below the
second one."""


def figures() -> Iterator[ReproducedFigure]:
    """Yield the figures of KH-beyond and of NP sections 3 and 4 with their claims.

    Yields
    ------
    ReproducedFigure
        KH-beyond Figure 2, the escape times and rates, Figures 1 and 14, 4 and 15, 5, 6, 7, 8 with 16 and 17,
        9 to 13; NP Figures 1 to 4.
    """
    yield _example_1()
    yield _ladder()
    yield _rates()
    for run in RUNS:
        yield _run(run)
    for name, title, activation, deltas in (
        ("np-figures-1-3", "NP Figures 1 and 3: three layers, squares", SQUARES, _SQUARES_DELTAS),
        ("np-figures-2-4", "NP Figures 2 and 4: three layers, ReLU", RELU, _RELU_DELTAS),
    ):
        yield _approach(name, title, [near_saddle(activation, delta=delta) for delta in deltas])


def _example_1() -> ReproducedFigure:
    scales, times = (0.1, 0.05, 0.001), np.linspace(0.0, 3.0, 601)
    runs = [
        gradient_flow(
            np.eye(2),
            EXAMPLE_1_TARGETS,
            example_1([delta / math.sqrt(2.0)] * 2),
            t_max=3.0,
            reduction="sum",
            rtol=1e-11,
            record=times,
            loss="square",
            time_limit=None,
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
        claims=(
            Claim.at_most("largest distance from the closed form", worst, 1e-8, where),
            Claim.equals(
                "rate of psi -> p in delta", ladder.rate, 2.0, 0.1, f"{where}: closed form, delta^2"
            ),
            Claim.at_most(
                "error of the escape time, delta = 1e-3", abs(float(ladder.errors[-1])), 0.01, where
            ),
        ),
        setting="summed loss (w_1^2 - 4)^2 + (w_2^2 - 1)^2; flow from delta (1, 1)/sqrt 2 and (delta, 0)",
    )


def _ladder() -> ReproducedFigure:
    """Escape times where no closed form is known, on the same data for degrees 2 and 3."""
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
    claims = [
        claim
        for (label, _, _), ladder in zip(cases, ladders, strict=True)
        for claim in (
            Claim.at_most(
                f"{label}: error of the escape time, delta = 1e-3", abs(float(ladder.errors[-1])), 0.01, where
            ),
            Claim.equals(
                f"{label}: rate of psi -> p in delta", ladder.rate, 2.0, 0.15, f"{where}: at least 1"
            ),
        )
    ]
    names = [label for label, _, _ in cases]
    title = r"Escape from the origin along $w_*$ (KH-beyond Theorems 4 and 10)"
    return ReproducedFigure(
        name="kh-beyond-escape-times",
        figure=ladder_figure(ladders, names, title=title),
        claims=claims,
        setting="40 points on the sphere of R^5, targets (x^T w)^2 + x^T v of mean square 1; mean square "
        "loss; flow from delta w_*, w_* the best KKT point of the NCF, delta = 0.1, 0.03, 0.01, 0.001",
    )


def _rates() -> ReproducedFigure:
    """Starts off w_*: squares of one neuron, whose Delta the targets tell, and two networks of degree 3."""
    rng = np.random.default_rng(1)
    X = sphere(40, 5, rng)
    y = np.square(X @ rng.normal(size=5)) + X @ rng.normal(size=5)
    y /= np.sqrt(np.mean(y**2))
    generator = np.random.default_rng(0)
    cases = [
        (
            f"L = 2, squares, gap {gap:g}",
            FeedForward([[[0.5, 0.6, 0.4]], [[1.0]]], SQUARES, trainable=[True, False]),
            np.eye(3),
            np.array([1.0, 1.0 - gap, 0.1]),
            (1e-2, 3e-3, 1e-3, 3e-4),
        )
        for gap in (0.3, 0.6, 0.9)
    ]
    for label, activation, widths in (
        ("L = 3, squared ReLU", PowerLeakyReLU(0.0, 2), (5, 6, 1)),
        ("L = 3, linear", PowerLeakyReLU(1.0), (5, 1, 1, 1)),
    ):
        layers = [generator.normal(size=(k, j)) for j, k in pairwise(widths)]
        cases.append((label, FeedForward(layers, activation), X, y, (0.1, 0.03, 0.01, 3e-3)))
    ladders = [stable_set_ladder(start, A, b, scales=scales) for _, start, A, b, scales in cases]
    claims = []
    for (label, *_), ladder in zip(cases, ladders, strict=True):
        claims.append(
            Claim.at_least(
                f"{label}: fitted power of delta",
                ladder.rate,
                ladder.proven_rate,
                "KH-beyond Theorems 4, 10 and 18: Delta / (Delta + 2 L^2 N), for L = 2 Delta / (Delta + 8 N)",
            )
        )
        if "ReLU" not in label:  # there slow directions show at smaller starts only
            claims.append(
                Claim.equals(
                    f"{label}: fitted power of delta over Delta / (L N)",
                    ladder.rate / ladder.expected_rate,
                    1.0,
                    0.06,
                    "the flow linearised about w_*",
                )
            )
    title = r"Escape from generic starts (KH-beyond Theorems 4, 10 and 18)"
    return ReproducedFigure(
        name="kh-beyond-rates",
        figure=rates_figure(ladders, [label for label, *_ in cases], title=title),
        claims=claims,
        setting="flow from delta w_0; squares (w^T x)^2 at e_1, e_2, e_3 with targets 1, 1 - gap, 0.1; else "
        "the data of the escape times, Gaussian w_0, seed 0; distances half-way to the first saddle's loss",
    )


def _run(run: Run) -> ReproducedFigure:
    trajectory = run.follow()
    escape = first_escape(trajectory, small=run.small, prominence=run.prominence)
    track = track_saddles(trajectory, prominence=run.prominence)
    before, saddle = escape.before, escape.saddle
    marks = {before: "before the escape", saddle.index: "first saddle" if saddle.left else "end"}
    claims = [
        Claim.at_most(
            f"size {'at the first saddle' if saddle.left else 'at the end'} of what was below {run.small:g}",
            escape.size_at_saddle,
            run.small,
            run.source,
        ),
        Claim.at_most(
            "norm before the escape over that after it",
            float(trajectory.norm[before] / trajectory.norm[saddle.index]),
            0.6,
            "KH-beyond section 1: the weights stay near the origin until they escape",
        ),
        Claim.at_most("loss then over the start's", saddle.loss / float(trajectory.loss[0]), 0.9, "it falls"),
        Claim.at_least(
            "neurons that are small before the escape",
            float(sum(map(len, escape.small))),
            1.0,
            "a sparsity structure emerges",
        ),
    ]
    if run.beyond:
        claims += _beyond(trajectory, saddle, track, marks, run.small)
    if run.sparser:
        half = int(np.argmax(trajectory.loss < 0.1 * trajectory.loss[0]))
        marks = {before: "before the escape", half: "a tenth of the loss left", saddle.index: "end"}
        counts = [_count_small(trajectory.network_at(index), run.small) for index in marks]
        claims += [
            Claim.at_least(
                f"small neurons {name}, of those before the escape",
                float(count / counts[0]),
                factor,
                "KH-beyond F.2: for GELU the sparsity increases as training progresses",
            )
            for (name, factor), count in zip((("later", 1.5), ("at the end", 2.0)), counts[1:], strict=True)
        ]
    order = sorted(marks)
    figure = sparsity_figure(trajectory, order, labels=[marks[index] for index in order], title=run.title)
    return ReproducedFigure(name=run.name, figure=figure, claims=claims, setting=run.setting)


def _beyond(
    trajectory: DeepTrajectory, saddle: Plateau, track: SaddleTrack, marks: dict[int, str], small: float
) -> list[Claim]:
    """Add the marks of the second escape, and return what is claimed of it."""
    leaving = int(np.flatnonzero(trajectory.loss > _LEAVING * saddle.loss)[-1])
    later = [p for p in track.plateaus if p.index > leaving and p.loss < _LEFT * saddle.loss]
    if not (saddle.left and later):
        return [Claim.equals("the run leaves the first saddle", False, True, 0.0, "KH-beyond appendix F.3")]
    marks |= {leaving: "leaving it", later[0].index: "next"}
    free = trajectory.problem.network.trainable
    there, sizes = (
        neuron_sizes(trajectory.network_at(index).weights, free) for index in (saddle.index, leaving)
    )
    waiting = [np.flatnonzero(size <= small * size.max()) for size in there]
    largest = max(float(size[who].max(initial=0.0)) for size, who in zip(sizes, waiting, strict=True))
    least = [who[size[who] <= small * largest] for size, who in zip(sizes, waiting, strict=True)]
    return [
        Claim.at_most(
            f"size next of the neurons below {small:g} of the largest waiting one when leaving",
            relative_size(trajectory.network_at(later[0].index), least),
            small,
            "KH-beyond F.3: the sparsity is preserved until the next saddle (seen, not proven)",
        ),
        Claim.at_least("number of them", float(sum(map(len, least))), 1.0, "KH-beyond F.3"),
        Claim.at_most(
            "loss next over that at the first saddle", later[0].loss / saddle.loss, _LEFT, "it falls"
        ),
    ]


def _count_small(network: FeedForward, small: float) -> int:
    sizes = neuron_sizes(network.weights, network.trainable)
    return sum(int((size <= small * size.max()).sum()) for size in sizes)


def _approach(name: str, title: str, approaches: Sequence[SaddleApproach]) -> ReproducedFigure:
    """Draw the run from the nearest start, the last one, and claim that w_z turns the more the nearer."""
    # a run is near the saddle while its loss is above this part of the saddle's
    marks = [int(np.flatnonzero(approach.relative_loss > 0.999)[-1]) for approach in approaches]
    sines = [
        approach.split_at(mark).stationarity(approach.residual, tie_tol=approach.tie_tol)
        for approach, mark in zip(approaches, marks, strict=True)
    ]
    approach, mark = approaches[-1], marks[-1]
    small = _least(approach.trajectory.network_at(mark), approach.saddle)
    kinked = approach.saddle.activation == RELU
    where = "NP section 4: seen for ReLU, not proven" if kinked else "NP Theorem 7"
    sine = "sine of w_z and its NCF's gradient, leaving"
    # NP Theorem 7 says that the sine tends to 0 with delta and not how fast; over a factor of ten in delta,
    # powers from 0.3 on halve it, while a direction that is not a KKT point keeps it.
    claims = (
        *(
            Claim.at_most(
                f"{sine}, from {a.size[0]:.3g} away", here, before, f"{where}: less than from farther away"
            )
            for a, before, here in zip(approaches[1:], sines, sines[1:], strict=False)
        ),
        Claim.at_most(f"{sine}: the nearest start's over the farthest's", sines[-1] / sines[0], 0.5, where),
        Claim.at_most(
            "relative distance of w_n from the saddle, leaving", approach.displacement[mark], 0.05, where
        ),
        Claim.at_most(
            "loss at the end over the saddle's",
            approach.relative_loss[-1],
            0.9,
            "NP section 4: the run leaves",
        ),
        Claim.at_most(
            "size at the end of what was below 0.1 when leaving",
            relative_size(approach.trajectory.network_at(-1), small),
            0.3,
            "NP section 4: the sparsity of w_z is preserved until the next saddle",
        ),
    )
    starts = ", ".join(f"{a.size[0]:.3g}" for a in approaches)
    return ReproducedFigure(
        name=name,
        figure=approach_figure(approach, mark, title=title),
        claims=claims,
        setting="widths 20-10-10-1, 100 points on the sphere, targets of a network 5-5; saddle of one neuron "
        f"a layer, computed; Gaussian starts {starts} of its norm away (the last is drawn), seed 0",
    )


def _least(network: FeedForward, saddle: FeedForward) -> list[Int[np.ndarray, " _"]]:
    """Return the neurons of w_z below a tenth of its largest, a hidden layer each."""
    sizes = neuron_sizes(network.weights, network.trainable)
    waiting = saddle.zero_preserving_set(0.0)
    largest = max(float(size[who].max(initial=0.0)) for size, who in zip(sizes, waiting, strict=True))
    return [who[size[who] < 0.1 * largest] for size, who in zip(sizes, waiting, strict=True)]
