"""KH2 Figures 1-4, K-deep Figures 1-5 and Tables 1 and 2, from our own runs, with what their captions say.

Losses are means over the samples, which the papers' step sizes fit. Where we start from smaller weights than
the paper, to see what its theorems say of small ones, the title says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from convexrelu._typing import RNGLike
from convexrelu._validation import as_generator
from convexrelu.ncf import check_rank_one, maximize_ncf
from convexrelu.networks import RELU, FeedForward, PowerLeakyReLU
from convexrelu.papers.claims import Claim, ReproducedFigure
from convexrelu.papers.rank_one_tables import rank_one_tables
from convexrelu.papers.saddle_settings import descend, sphere
from convexrelu.planar import planar_kkt_points
from convexrelu.plotting import (
    branching_figure,
    directions_figure,
    early_training_figure,
    planar_run_figure,
    rank_one_figure,
    weights_figure,
)
from convexrelu.saddles import ncf_cosines
from convexrelu.training import DeepTrajectory, ncf_flow

__all__ = ["figures"]

SQUARED = PowerLeakyReLU(0.0, 2)

LOSS_LEFT = 0.99
"""Runs stop when the loss has fallen to this part of its start: the weights are still near the origin."""

NEAR_KKT = 1e-3
"""A neuron within this ``1 - cos`` of a KKT point has converged in direction."""

N_SEEDS = 10  # of the planar experiments: shares are of all their neurons
STEP_SIZE = 5e-4  # of the planar experiments: ten times the paper's, still small
_PLANAR_SIZE = 1e-9  # standard deviation of their weights at the start, delta of the theorems
_EPSILON = 1e-2  # of KH2 Corollary 5.4.1

_PLANAR = "50 points on the circle, squared ReLU neurons with frozen outputs, mean square loss, ten seeds; "
_SQUARED_SETTING = (
    "widths 10-20-1, squared ReLU, 100 points on the sphere, targets of two neurons; mean square loss, "
    "descent from norm delta in steps of 0.001/delta until 99 % of the loss are left; seed 3"
)
_THREE_SETTING = (
    "widths 20-20-30-1, ReLU, 100 points on the sphere, targets of a network 2-2; mean square loss, descent "
    "from norm 0.01 in steps of 0.005 until 99 % of the loss are left; seed 3, chosen among six"
)

_TABLE_INSTANCES = 30  # of each row of Tables 1 and 2, as in K-deep


def figures(rng: RNGLike = 0) -> Iterator[ReproducedFigure]:
    """Yield all figures of the two papers on early directional convergence, in their order.

    Parameters
    ----------
    rng : int, Generator or None
        Source of the planar data and starts; 0 unless said otherwise. The instances of K-deep have a seed of
        their own: some starts pass close to a saddle of the NCF and need smaller weights than are used here.

    Yields
    ------
    ReproducedFigure
        KH2 Figures 1 to 4, K-deep Figures 1 to 5 and Tables 1 and 2.
    """
    generators = as_generator(rng).spawn(2)
    yield from _near_the_origin(generators[0])
    yield _branching()
    yield _near_the_saddle(generators[1])
    yield from _squared_relu()
    yield _kkt_points()
    yield from _three_layers()
    yield _tables()


def _planar_data(rng: np.random.Generator) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """KH2 Figure 1: 50 unit inputs, labels of ``5 max(0, x_1)^2 + 4 max(0, -x_1)^2``."""
    angles = rng.uniform(-np.pi, np.pi, 50)
    X = np.column_stack([np.cos(angles), np.sin(angles)])
    return X, 5.0 * np.maximum(X[:, 0], 0.0) ** 2 + 4.0 * np.maximum(-X[:, 0], 0.0) ** 2


def _one_layer(U: Float[np.ndarray, "m 2"]) -> FeedForward:
    """The sum of squared ReLU neurons; output weights are 1 and frozen."""
    return FeedForward([U, np.ones((1, len(U)))], SQUARED, trainable=[True, False])


def _run(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    start: FeedForward,
    *,
    step_size: float,
    stop_loss: float,
) -> DeepTrajectory:
    """Train until the loss has fallen to `stop_loss`, then again to record steps evenly up to that one."""
    first = descend(X, y, start, step_size=step_size, n_steps=300_000, record=1, stop_loss=stop_loss)
    end = int(first.times[-1])
    record = np.linspace(0, end, 300).round()
    return descend(X, y, start, step_size=step_size, n_steps=end, record=record)


def _angles_at_end(path: DeepTrajectory, first: int = 0) -> Float[np.ndarray, " m"]:
    U = path.weights[0][-1, first:]
    return np.asarray(np.arctan2(U[:, 1], U[:, 0]))


def _near_the_origin(rng: np.random.Generator) -> list[ReproducedFigure]:
    """KH2 Figures 1 and 3, from Gaussian weights of standard deviation 1e-9 (the paper: 1e-5)."""
    paths, shares = [], []
    for generator in rng.spawn(N_SEEDS):
        X, y = _planar_data(generator)
        start = _one_layer(_PLANAR_SIZE * generator.normal(size=(20, 2)))
        stop = LOSS_LEFT * 0.5 * float(np.mean(y**2))
        path = _run(X, y, start, step_size=STEP_SIZE, stop_loss=stop)
        off = 1.0 - np.cos(planar_kkt_points(X, y, SQUARED).distances(_angles_at_end(path)))
        paths.append(path)
        shares.append(np.mean(off < NEAR_KKT))
    share = float(np.mean(shares))
    path = paths[0]
    y, kkt = path.problem.Y[:, 0], planar_kkt_points(path.problem.X, path.problem.Y[:, 0], SQUARED)
    small = "the norm of the weights remains small and the loss barely changes (KH2 Figure 1)"
    converge = "neurons converge in direction to KKT points of the NCF (KH2 Corollary 5.4.1, Figure 3)"
    least, largest = min(p.loss[-1] / p.loss[0] for p in paths), max(p.norm[-1] for p in paths)
    return [
        ReproducedFigure(
            name="kh2-figure-1",
            setting=_PLANAR + "20 neurons of size 1e-9 (the paper: 1e-5), until 99 % of the loss are left",
            figure=planar_run_figure(
                path, kkt, title="KH2 Figure 1: squared ReLU neurons, weights of size 1e-9"
            ),
            claims=(
                Claim.at_least("loss left, least of 10 seeds", least, 0.98, small),
                Claim.at_most("norm, of 3 at a minimum, largest of 10 seeds", largest, 0.3, small),
                _growth_bound(path),
            ),
        ),
        ReproducedFigure(
            name="kh2-figure-3",
            setting=_PLANAR + "the runs of KH2 Figure 1",
            figure=directions_figure(path, y, kkt, title="KH2 Figure 3: directions and KKT points"),
            claims=(
                Claim.at_least("share of 200 neurons with 1 - cos < 1e-3", share, 0.95, converge),
                *_each_neuron_turns(path),
            ),
        ),
    ]


def _branching() -> ReproducedFigure:
    """KH2 Figure 2: the NCF of one neuron ``v |u x|`` is u_1 |u_2|."""
    absolute = PowerLeakyReLU(-1.0)
    starts = [(1.0, 1e-6), (1.0, -1e-6), (0.3, 0.9), (0.3, -0.9), (-1.0, 1.6), (-1.0, -1.6), (-1.6, 1.0)]
    flows = [ncf_flow(FeedForward([[[u2]], [[u1]]], absolute), [[1.0]], [1.0]) for u1, u2 in starts]
    up, down = (np.array([flow.limit.weights[1][0, 0], flow.limit.weights[0][0, 0]]) for flow in flows[:2])
    away = max(float(np.abs(up - 0.5**0.5).max()), float(np.abs(down - [0.5**0.5, -(0.5**0.5)]).max()))
    drifts = []
    for flow, (u1, u2) in zip(flows, starts, strict=True):
        near = np.exp(2.0 * flow.log_norm[flow.log_norm < 1.0])
        squares = flow.directions[1][:, 0, 0] ** 2 - flow.directions[0][:, 0, 0] ** 2
        drifts.append(float(np.abs(near * squares[: len(near)] - (u1**2 - u2**2)).max()))
    return ReproducedFigure(
        name="kh2-figure-2",
        setting="the NCF of one neuron v |u x| at x = 1, z = 1; flow of the NCF from seven starts; for "
        "Lemmas I.1 and I.2 descent on (v |u| - 1)^2 from (1 + delta, delta)",
        figure=branching_figure(flows, title="KH2 Figure 2: the gradient field of $u_1|u_2|$"),
        claims=(
            Claim.at_most(
                "distance of two limits from (1, 1)/sqrt 2 and (1, -1)/sqrt 2, starts 2e-6 apart",
                away,
                1e-3,
                "flows from (1, 0) branch (KH2 Lemma E.1)",
            ),
            Claim.at_most(
                "change of u_1^2 - u_2^2", max(drifts), 0.02, "u_1^2 - u_2^2 is conserved (KH2 eq. (82))"
            ),
            *_escape_from_the_kink(),
        ),
    )


def _growth_bound(path: DeepTrajectory) -> Claim:
    """KH2 Lemma 5.2: while ``||w|| <= 1`` weights grow no faster than ``e^{2 beta beta~ t}``.

    The constants are those of the summed loss, for which l' has Lipschitz constant 1: beta is the largest
    ``||H(X; w)||`` of unit weights, which those of a single neuron attain, and ``beta~ = beta + ||y||``.
    """
    X, y = path.problem.X, path.problem.Y[:, 0]
    angles = np.linspace(-np.pi, np.pi, 20_001)
    outputs = SQUARED(X @ np.array([np.cos(angles), np.sin(angles)]))
    beta = float(np.linalg.norm(outputs, axis=0).max())
    beta_tilde = beta + float(np.linalg.norm(y))
    times = path.times[1:] * STEP_SIZE / len(X)  # steps of the mean are shorter by n
    exponents = np.log(path.norm[1:] / path.norm[0]) / times
    decades = 2.0 * beta * beta_tilde * times[-1] / np.log(10.0)
    return Claim.at_most(
        f"fastest growth over the bound 2 beta beta~ (beta = {beta:.3g}, beta~ = {beta_tilde:.3g}; C = "
        f"1e{2 * decades:.0f} at the end, so that the proof needs delta below 1e-{decades:.0f})",
        float(exponents.max()) / (2.0 * beta * beta_tilde),
        1.0,
        "KH2 Lemma 5.2, eq. (24)",
    )


def _each_neuron_turns(path: DeepTrajectory) -> list[Claim]:
    """KH2 Corollary 5.4.1 with its constants, from the flow u_j of each neuron's own NCF.

    By Lemma C.7 2 eta is a lower bound on all ``||u_j(t)||``, and at most 2. T is the time by which all flows
    are within ``1 - cos <= epsilon`` of their limits.
    """
    epsilon, U = _EPSILON, path.weights[0]
    flows = [ncf_flow(_one_layer(u[None]), path.problem.X, path.problem.Y[:, 0]) for u in U[0] / _PLANAR_SIZE]
    limits = np.array([flow.limit.weights[0][0] for flow in flows])
    limits /= np.linalg.norm(limits, axis=1, keepdims=True)
    eta = min(1.0, 0.5 * float(np.exp(min(flow.log_norm.min() for flow in flows))))
    settled = [
        flow.times[np.argmax(1.0 - flow.directions[0][:, 0] @ limit <= epsilon)]
        for flow, limit in zip(flows, limits, strict=True)
    ]
    times = path.times * STEP_SIZE / len(path.problem.X)  # as in Lemma 5.2
    then = int(np.argmax(times >= max(settled)))
    sizes = np.linalg.norm(U[then], axis=1)
    where = "KH2 Corollary 5.4.1"
    return [
        Claim.at_least(
            f"least ||w_j|| over delta eta at T = {times[then]:.2g} (eta = {eta:.3g}, epsilon = {epsilon:g})",
            float(sizes.min() / (_PLANAR_SIZE * eta)),
            1.0,
            where,
        ),
        Claim.at_least(
            "least cosine then of a neuron and the limit of its NCF's flow, 1 - (1 + 3 / (2 eta)) epsilon",
            float(((U[then] * limits).sum(axis=1) / sizes).min()),
            1.0 - (1.0 + 1.5 / eta) * epsilon,
            where,
        ),
    ]


def _escape_from_the_kink() -> list[Claim]:
    """KH2 Lemmas I.1 and I.2: near the saddle (1, 0) of ``(u_1 |u_2| - 1)^2`` the gradient is not small."""
    absolute, X, y = PowerLeakyReLU(-1.0), np.ones((1, 1)), np.ones(1)
    slopes, distances = [], []
    for delta in (0.09, 1e-3, 1e-6, 1e-9):
        start = FeedForward([[[delta]], [[1.0 + delta]]], absolute)
        gradient = start.gradient(X, y - start(X))  # minus half that of the lemma's loss
        slopes.append(2.0 * float(np.hypot(gradient[0][0, 0], gradient[1][0, 0])))
        # the package's loss is half the lemma's: time 0.2 for its 0.1
        run = descend(X, y, start, step_size=1e-4, n_steps=2000, record=1)
        end = np.array([run.weights[1][-1, 0, 0], run.weights[0][-1, 0, 0]])
        distances.append(float(np.linalg.norm(end - [1.0, 0.0])))
    return [
        Claim.at_least(
            "gradient at (1 + delta, delta), least of four delta", min(slopes), 1.0, "KH2 Lemma I.1"
        ),
        Claim.at_least("distance from (1, 0) at time 0.1, least", min(distances), 0.09, "KH2 Lemma I.2"),
    ]


def _near_the_saddle(rng: np.random.Generator) -> ReproducedFigure:
    """KH2 Figure 4: ten neurons at (1/sqrt 2, 0), ten at 0, all moved by 1e-9 (the paper: 1e-5)."""
    saddle = np.zeros((20, 2))
    saddle[:10, 0] = 0.5**0.5
    paths, found = [], []
    for generator in rng.spawn(N_SEEDS):
        X, y = _planar_data(generator)
        start = _one_layer(saddle + 1e-9 * generator.normal(size=(20, 2)))
        left = y - _one_layer(saddle)(X)
        stop = LOSS_LEFT * 0.5 * float(np.mean(left**2))
        path = _run(X, y, start, step_size=STEP_SIZE, stop_loss=stop)
        kkt = planar_kkt_points(X, left, SQUARED)
        off = 1.0 - np.cos(kkt.distances(_angles_at_end(path, first=10)))
        growth = np.linalg.norm(path.weights[0][-1], axis=1) / np.linalg.norm(path.weights[0][0], axis=1)
        paths.append(path)
        found += list(zip(off, growth[10:], strict=True))
    offs, growths = np.array(found).T
    path = paths[0]
    kkt = planar_kkt_points(
        path.problem.X, path.problem.Y[:, 0] - _one_layer(saddle)(path.problem.X), SQUARED
    )
    away = max(float(np.linalg.norm(p.weights[0][-1] - saddle)) for p in paths)
    least = min(p.loss[-1] / p.loss[0] for p in paths)
    stays = "weights remain near the saddle and the loss barely changes (KH2 Figure 4)"
    converge = "small weights converge in direction to KKT points of the residual's NCF (KH2 Theorem 5.5)"
    flat = "in a flat set of KKT points, or near it, neurons stay (KH2 appendix D.3)"
    return ReproducedFigure(
        name="kh2-figure-4",
        setting=_PLANAR + "ten neurons at (1/sqrt 2, 0), ten at 0, all moved by 1e-9 (the paper: 1e-5)",
        figure=planar_run_figure(
            path,
            kkt,
            first=10,
            origin=_one_layer(saddle),
            title="KH2 Figure 4: near a saddle, weights moved by 1e-9; directions of the ten small neurons",
        ),
        claims=(
            Claim.at_least("loss left, least of 10 seeds", least, 0.98, stays),
            Claim.at_most("distance from the saddle, largest of 10 seeds", away, 0.3, stays),
            Claim.at_most(
                "1 - cos of neurons grown a thousandfold", offs[growths > 1e3].max(), NEAR_KKT, converge
            ),
            Claim.at_least(
                "share of neurons grown a thousandfold", float(np.mean(growths > 1e3)), 0.5, converge
            ),
            Claim.at_least(
                "share of small neurons with 1 - cos < 1e-3", float(np.mean(offs < NEAR_KKT)), 0.7, flat
            ),
        ),
    )


def _early_run(
    start: FeedForward, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], *, delta: float, pace: float
) -> DeepTrajectory:
    """Train from delta times the start until the loss has fallen a little; steps are ``pace / delta``."""
    stop = LOSS_LEFT * 0.5 * float(np.mean(y**2))
    return _run(X, y, start.scaled_weights(delta), step_size=pace / delta, stop_loss=stop)


def _second_over_first(values: Float[np.ndarray, " k"]) -> float:
    first, second = np.sort(values)[::-1][:2]
    return float(second / first)


def _singular_ratio(W: Float[np.ndarray, "k j"]) -> float:
    return _second_over_first(np.linalg.svd(W, compute_uv=False))


def _squared_relu() -> list[ReproducedFigure]:
    """K-deep Figures 1 and 2 (section 4.1.2): 20 squared ReLU neurons; also from delta = 1e-3."""
    rng = np.random.default_rng(3)
    X = sphere(100, 10, rng)
    y = FeedForward([rng.normal(size=(2, 10)), rng.normal(size=(1, 2))], SQUARED)(X)
    start = FeedForward([rng.normal(size=(20, 10)), rng.normal(size=(1, 20))], SQUARED).normalized()
    paper = _early_run(start, X, y, delta=0.05, pace=1e-3)
    small = _early_run(start, X, y, delta=1e-3, pace=1e-3)
    barely = "the loss has barely changed, the norm remains small (K-deep Figure 1)"
    aligned = "weights approximately converge in direction to a KKT point (K-deep Figure 1, Theorem 1)"
    single = "only one row is non-zero, and a single entry of v (K-deep section 4.1.2)"
    ends = [paper.network_at(0), paper.network_at(-1), small.network_at(-1)]
    rows, entries = (np.linalg.norm(ends[2].weights[0], axis=1), np.abs(ends[2].weights[1][0]))
    return [
        ReproducedFigure(
            name="k-deep-figure-1",
            setting=_SQUARED_SETTING,
            figure=early_training_figure(
                paper, title=r"K-deep Figure 1: squared ReLU, 20 neurons, $\delta = 0.05$"
            ),
            claims=(
                Claim.at_least("loss left", paper.loss[-1] / paper.loss[0], 0.98, barely),
                Claim.at_most("norm, which is 0.05 at the start", paper.norm[-1], 1.0, barely),
                Claim.at_most("1 - cos(w, grad N), delta = 0.05", 1 - ncf_cosines(paper)[-1], 0.03, aligned),
                Claim.at_most("1 - cos(w, grad N), delta = 0.001", 1 - ncf_cosines(small)[-1], 1e-4, aligned),
            ),
        ),
        ReproducedFigure(
            name="k-deep-figure-2",
            setting=_SQUARED_SETTING,
            figure=weights_figure(
                ends,
                [r"start", r"end, $\delta = 0.05$", r"end, $\delta = 0.001$"],
                title="K-deep Figure 2: weights of squared ReLU neurons",
            ),
            claims=(
                Claim.at_most("second row over first, delta = 0.001", _second_over_first(rows), 0.02, single),
                Claim.at_most("second entry of v over first", _second_over_first(entries), 0.02, single),
            ),
        ),
    ]


def _kkt_points() -> ReproducedFigure:
    """K-deep Figure 3: KKT points of three layers, by the flow (ReLU) and by maximisation (squared ReLU)."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(100, 10)), rng.normal(size=100)
    widths = (10, 20, 20, 1)
    layers = [rng.normal(size=shape) for shape in ((20, 10), (20, 20), (1, 20))]
    relu = ncf_flow(FeedForward(layers, RELU), X, y, step=3e-3).limit
    squared = maximize_ncf(X, y, widths=widths, activation=SQUARED, n_starts=5, rng=0).points[0].network
    report = check_rank_one(squared, X, y)
    rows = [int(np.sum(np.linalg.norm(W, axis=1) > 0.05 * np.linalg.norm(W))) for W in relu.weights[:2]]
    rank_one = "hidden weights have rank one (K-deep Figure 3)"
    several = "for ReLU multiple rows are non-zero, some are zero (K-deep Figure 3)"
    return ReproducedFigure(
        name="k-deep-figure-3",
        setting="100 Gaussian samples in R^10, Gaussian outputs, widths 10-20-20-1; ReLU: flow of the NCF "
        "from one start, the best of four; squared ReLU: the best of five ascents",
        figure=weights_figure(
            [relu, squared], ["ReLU", "squared ReLU"], title="K-deep Figure 3: KKT points of three layers"
        ),
        claims=(
            Claim.at_most(
                "ReLU: second singular value of W_1", _singular_ratio(relu.weights[0]), 0.05, rank_one
            ),
            Claim.at_most(
                "ReLU: second singular value of W_2", _singular_ratio(relu.weights[1]), 0.05, rank_one
            ),
            Claim.at_least("ReLU: rows of W_1", rows[0], 2, several),
            Claim.at_most("ReLU: rows of W_1", rows[0], 19, several),
            Claim.at_least("ReLU: rows of W_2", rows[1], 2, several),
            Claim.at_most("ReLU: rows of W_2", rows[1], 19, several),
            Claim.at_most("squared ReLU: kappa", report.kappa, 1e-8, rank_one),
            Claim.at_most(
                "squared ReLU: non-zero rows of a layer",
                max(report.n_active),
                1.0,
                "for squared ReLU only one row and column is non-zero (K-deep Figure 3)",
            ),
        ),
    )


def _three_layers() -> list[ReproducedFigure]:
    """K-deep Figures 4 and 5 (appendix D): three layers of ReLU, delta = 0.01."""
    rng = np.random.default_rng(3)
    X = sphere(100, 20, rng)
    teacher = [rng.normal(size=(2, 20)), np.abs(rng.normal(size=(2, 2))), 10.0 * rng.normal(size=(1, 2))]
    y = FeedForward(teacher, RELU)(X)
    shapes = ((20, 20), (30, 20), (1, 30))
    start = FeedForward([rng.normal(size=shape) for shape in shapes], RELU).normalized()
    path = _early_run(start, X, y, delta=0.01, pace=5e-5)
    end = path.network_at(-1).normalized()
    tops = [float(np.linalg.norm(W, 2)) for W in end.weights[:2]]
    barely = "the loss has barely changed, the norm remains small (K-deep Figure 4)"
    low_rank = (
        "approximately rank one: singular values (0.5741, 0.0346), (0.5772, 0.0067) (K-deep appendix D)"
    )
    return [
        ReproducedFigure(
            name="k-deep-figure-4",
            setting=_THREE_SETTING,
            figure=early_training_figure(
                path, title=r"K-deep Figure 4: three layers of ReLU, $\delta = 0.01$"
            ),
            claims=(
                Claim.at_least("loss left", path.loss[-1] / path.loss[0], 0.98, barely),
                Claim.at_most(
                    "1 - cos(w, grad N)",
                    1 - ncf_cosines(path)[-1],
                    1e-3,
                    "weights approximately converge in direction to a KKT point (K-deep Figure 4)",
                ),
            ),
        ),
        ReproducedFigure(
            name="k-deep-figure-5",
            setting=_THREE_SETTING,
            figure=weights_figure(
                [path.network_at(0), end], ["start", "end"], title="K-deep Figure 5: weights of three layers"
            ),
            claims=(
                Claim.at_most(
                    "second singular value of W_1 over first", _singular_ratio(end.weights[0]), 0.06, low_rank
                ),
                Claim.at_most(
                    "second singular value of W_2 over first", _singular_ratio(end.weights[1]), 0.06, low_rank
                ),
                Claim.at_most(
                    "first singular values less 1/sqrt 3",
                    max(abs(top - 3**-0.5) for top in tops),
                    0.01,
                    "at a KKT point ||W_l|| = 1/sqrt 3 (K-deep Theorem 3, Lemma 5)",
                ),
            ),
        ),
    ]


def _tables() -> ReproducedFigure:
    """K-deep Tables 1 and 2."""
    rows = rank_one_tables(n_instances=_TABLE_INSTANCES).rows
    names = [f"L = {row.depth}, p = {row.power}, alpha = {row.alpha:g}" for row in rows]
    claims = [
        claim
        for name, row in zip(names, rows, strict=True)
        for claim in (
            Claim.at_most(f"{name}: kappa", row.kappa, 1e-8, "K-deep Table 1: rank one up to rounding"),
            Claim.at_most(f"{name}: rho", row.rho, 1e-8, "K-deep Table 2: non-negative up to rounding"),
            Claim.at_most(f"{name}: residual of the network", row.stationarity, 1e-8, "K-deep Theorems 3, 4"),
        )
    ]
    return ReproducedFigure(
        name="k-deep-tables-1-2",
        figure=rank_one_figure(
            names,
            [row.kappa for row in rows],
            [row.rho for row in rows],
            title=f"K-deep Tables 1 and 2: worst of {_TABLE_INSTANCES} instances",
        ),
        claims=claims,
        setting=f"{_TABLE_INSTANCES} instances a row: 100 points on the sphere of R^10, "
        "Gaussian outputs, hidden widths 20; ascent from one start each",
    )
