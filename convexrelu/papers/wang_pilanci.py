"""WP Figures 1-4 and 6-10 and the zonotopes, from our own runs, with the numbers that WP appendix F states.

Stated values are to six digits those of the corrected equations (128) and (130); what the paper prints
differently is said with the claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import clarabel
import numpy as np
from jaxtyping import Float
from scipy.linalg import block_diag
from scipy.sparse import csc_matrix

from convexrelu import datasets
from convexrelu._typing import RNGLike
from convexrelu._validation import as_generator, check_count
from convexrelu.arrangements import (
    count_patterns,
    enumerate_patterns,
    is_orthogonally_separable,
    is_spike_free,
    pattern_bound,
)
from convexrelu.datasets import Dataset
from convexrelu.errors import SolverError
from convexrelu.oracle import dual_norm, maximize_correlation
from convexrelu.papers.claims import Claim, ReproducedFigure
from convexrelu.plotting import (
    ZonotopePanel,
    circle_figure,
    ellipsoid_trajectories_figure,
    ellipsoids_figure,
    extreme_points_figure,
    polar_figure,
    seeds_figure,
    zonotopes_figure,
)
from convexrelu.solvers import MaxMarginSolution, solve_max_margin
from convexrelu.training import Trajectory, gradient_descent, scaled_start

__all__ = ["Example", "figures", "star"]

TOL = 1e-6
"""Both the six printed digits of the stated values and the solver's certified gap."""

NEURON_TOL = 1e-5
"""The objective is flat at the optimum: a gap of 1e-12 leaves neurons and lam accurate to its root, 1e-6,
times a small condition number."""

WIDTH = 10  # neurons, as in WP appendix F
INIT_SCALE = 1e-2
LAST_ITERATION = 10_000  # WP draws iterations 10^0 to 10^4
ALIGNED = 2.5  # degrees from a class's largest neuron to the optimal one after the last iteration (F.1)

_SETTING = (
    "the data of WP {}; optimum by the convex program; gradient descent on the logistic loss: 10 neurons, "
    "scaled starts of size 0.01, 10,000 steps of 0.1"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One data set with its certified optimum and runs of gradient descent.

    Attributes
    ----------
    data : Dataset
        The data.
    solution : MaxMarginSolution
        Its optimum.
    runs : tuple of Trajectory
        Plain gradient descent on the logistic loss from scaled starts.
    """

    data: Dataset
    solution: MaxMarginSolution
    runs: tuple[Trajectory, ...]

    def neurons(self, sign: float) -> Float[np.ndarray, " k"]:
        """Return the convex variables of one sign, one after the other."""
        network = self.solution.network
        return np.asarray(network.u[network.signs == sign].ravel())


def figures(*, n_runs: int = 3, rng: RNGLike = 0) -> Iterator[ReproducedFigure]:
    """Yield the figures of WP appendix F with the numbers that they show.

    Parameters
    ----------
    n_runs : int, default 3
        Runs of gradient descent on each data set.
    rng : int, Generator, SeedSequence or None
        Source of their starts.

    Yields
    ------
    ReproducedFigure
        WP Figures 1, 2, 3, 4, 6 and 7 (the data of F.1), 8, 9 and 10 (F.2), and the dual as zonotopes.

    Raises
    ------
    InvalidInputError
        If `n_runs` is not positive.

    Examples
    --------
    >>> first = next(figures(n_runs=1))
    >>> first.name, first.holds, first.claims[0].stated
    ('wp-figure-1', True, (1.282432,))
    """
    seeds = as_generator(rng).spawn(2 * check_count(n_runs, "n_runs"))
    f1 = _example(datasets.load("wang-pilanci-f1"), seeds[:n_runs])
    yield from _f1(f1)
    yield from _f2(_example(datasets.load("wang-pilanci-f2"), seeds[n_runs:]))
    yield _zonotopes([f1, *(_example(data, []) for data in (star(6, rng=3), star(8, rng=24)))])


def star(n: int, *, rng: RNGLike = None) -> Dataset:
    """Return n samples round the origin of the plane with alternating labels: most support the optimum.

    Parameters
    ----------
    n : int
        Samples.
    rng : int, Generator, SeedSequence or None
        Source of their distances (0.7 to 1.5) and of the unevenness of their angles.

    Returns
    -------
    Dataset
        Labels +1, -1, +1, ...

    Raises
    ------
    InvalidInputError
        If n is not positive.

    Examples
    --------
    >>> star(6, rng=0)
    Dataset('star-6', n=6, d=2, n_classes=2)
    """
    count, generator = check_count(n, "n"), as_generator(rng)
    angles = 2 * np.pi * (np.arange(count) + generator.uniform(-0.3, 0.3, count)) / count
    radii = generator.uniform(0.7, 1.5, count)
    X = radii[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    y = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    return Dataset(X, y, f"star-{count}", "alternating labels round the origin")


def _example(data: Dataset, seeds: Sequence[np.random.Generator]) -> Example:
    X, y = data
    solution = solve_max_margin(X, y)
    if not isinstance(solution, MaxMarginSolution):
        raise SolverError(f"{data.name} must have two labels, got {data.n_classes}")
    # the neurons turn within the first 150; later records are spaced evenly in the logarithm
    record = np.r_[np.arange(1, 150), np.rint(np.geomspace(1, LAST_ITERATION, 81))]
    runs = []
    for seed in seeds:
        start = scaled_start(X, y, width=WIDTH, scale=INIT_SCALE, rng=seed).network
        runs.append(gradient_descent(X, y, start, step_size=0.1, n_steps=LAST_ITERATION, record=record))
    return Example(data=data, solution=solution, runs=tuple(runs))


def _full_program(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> float:
    """Return the value of WP (14), all patterns at once, as it is printed: one conic program of small data.

    Written out here because cvxpy is an extra, and because nothing of the solver that it confirms is in it.
    A block of variables (t, u) with ``||u|| <= t`` stands for each sign and pattern.
    """
    signed = [(sign, mask) for sign in (1.0, -1.0) for mask in enumerate_patterns(X).patterns]
    (n, d), n_blocks = X.shape, len(signed)
    blank = np.zeros((n, 1))
    margins = np.hstack([np.c_[blank, -(sign * y * mask)[:, None] * X] for sign, mask in signed])
    cones = block_diag(*[np.c_[blank, (1.0 - 2.0 * mask)[:, None] * X] for _, mask in signed])
    A = np.vstack([margins, cones, -np.eye(n_blocks * (d + 1))])
    b = np.r_[-np.ones(n), np.zeros(len(A) - n)]
    cost = np.tile(np.eye(d + 1)[0], n_blocks)
    sets = [clarabel.NonnegativeConeT(n * (1 + n_blocks)), *[clarabel.SecondOrderConeT(d + 1)] * n_blocks]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    quadratic = csc_matrix((len(cost), len(cost)))
    answer = clarabel.DefaultSolver(quadratic, cost, csc_matrix(A), b, sets, settings).solve()
    if str(answer.status) != "Solved":
        raise SolverError(f"the full program of {n_blocks} cones: Clarabel says {answer.status}")
    return float(answer.obj_val)


def _f1(example: Example) -> Iterator[ReproducedFigure]:
    X, y = example.data
    optimum, runs = example.solution, example.runs
    best, lam, steps = optimum.network, optimum.lam, _steps(runs)
    closed_form = float(np.sum(1 / np.linalg.norm(X, axis=1)))
    aligned = all(_aligned(run, example) for run in runs)
    yield ReproducedFigure(
        name="wp-figure-1",
        setting=_SETTING.format("F.1"),
        figure=extreme_points_figure(
            X, best, lam, title="WP Figure 1: rectified ellipsoid and extreme points (F.1)"
        ),
        claims=(
            Claim.equals("F.1: P*", optimum.objective, 1.282432, TOL),
            Claim.equals("F.1: certified lower bound", optimum.lower_bound, 1.282432, TOL),
            Claim.equals("F.1: P* of the full convex program, WP (14)", _full_program(X, y), 1.282432, TOL),
            Claim.equals(
                "F.1: P* = 1/gamma_+ + 1/gamma_-",
                optimum.objective,
                closed_form,
                TOL,
                "closed form of orthogonally separable data",
            ),
            Claim.equals(
                "F.1: positive neuron",
                example.neurons(1.0),
                (0.560576, -0.159679),
                NEURON_TOL,
                "WP (128) prints (0.58, -0.16)",
            ),
            Claim.equals(
                "F.1: negative neuron", example.neurons(-1.0), (-0.230009, 0.660664), NEURON_TOL, "WP (128)"
            ),
        ),
    )
    yield ReproducedFigure(
        name="wp-figure-2",
        setting=_SETTING.format("F.1"),
        figure=polar_figure(X, y, lam, title="WP Figure 2: absolute polar set (F.1)"),
        claims=(
            Claim.equals("F.1: lam", lam, (0.582875, -0.699557), NEURON_TOL, "maximises WP (129), corrected"),
            _on_the_boundary("F.1", X, lam),
        ),
    )
    yield ReproducedFigure(
        name="wp-figure-3",
        setting=_SETTING.format("F.1"),
        figure=ellipsoid_trajectories_figure(
            runs[0], best, title=r"WP Figure 3: paths of $(X\hat w_{1,i})_+$ (F.1)" + f"\n{steps}"
        ),
        claims=(),
    )
    yield ReproducedFigure(
        name="wp-figure-4",
        setting=_SETTING.format("F.1"),
        figure=circle_figure(runs[0], best, title=rf"WP Figure 4: paths of $\hat w_{{1,i}}$ (F.1), {steps}"),
        claims=(),
    )
    yield ReproducedFigure(
        name="wp-figure-6",
        setting=_SETTING.format("F.1"),
        figure=ellipsoids_figure(
            X, title="WP Figure 6: ellipsoid and rectified ellipsoid (F.1, not spike-free)"
        ),
        claims=(
            Claim.equals("F.1: patterns", count_patterns(X), pattern_bound(2, 2), source="Cover's count"),
            Claim.equals("F.1: orthogonally separable", is_orthogonally_separable(X, y), True),
            Claim.equals("F.1: spike-free", is_spike_free(X), False),
        ),
    )
    yield ReproducedFigure(
        name="wp-figure-7",
        setting=_SETTING.format("F.1"),
        figure=seeds_figure(runs, best, title=f"WP Figure 7: several initialisations (F.1), {steps}"),
        claims=(
            Claim.equals("F.1: descent aligns with both optimal neurons, every run", aligned, True),
            Claim.equals("F.1: neurons that see no sample never move", all(map(_still, runs)), True),
        ),
    )


def _f2(example: Example) -> Iterator[ReproducedFigure]:
    """Spike-free data, although the captions of the paper say otherwise."""
    X, y = example.data
    optimum, runs = example.solution, example.runs
    off = max(_degrees(run, example, 1.0) for run in runs)
    note = "WP's captions call the data non-spike-free"
    yield ReproducedFigure(
        name="wp-figure-8",
        setting=_SETTING.format("F.2"),
        figure=ellipsoids_figure(X, title="WP Figure 8: ellipsoid and rectified ellipsoid (F.2, spike-free)"),
        claims=(Claim.equals("F.2: spike-free", is_spike_free(X), True, source=note),),
    )
    yield ReproducedFigure(
        name="wp-figure-9",
        setting=_SETTING.format("F.2"),
        figure=extreme_points_figure(
            X,
            optimum.network,
            optimum.lam,
            title="WP Figure 9: rectified ellipsoid and extreme points (F.2)",
        ),
        claims=(
            Claim.equals("F.2: P*", optimum.objective, 0.733582, TOL),
            Claim.equals("F.2: certified lower bound", optimum.lower_bound, 0.733582, TOL),
            Claim.equals("F.2: P* of the full convex program, WP (14)", _full_program(X, y), 0.733582, TOL),
            Claim.equals(
                "F.2: the one neuron",
                example.neurons(1.0),
                (0.438553, 0.588059),
                NEURON_TOL,
                "WP (130) prints (0.43, 0.59)",
            ),
            Claim.equals("F.2: lam", optimum.lam, (0.214441, 0.519141), NEURON_TOL),
            _on_the_boundary("F.2", X, optimum.lam),
        ),
    )
    yield ReproducedFigure(
        name="wp-figure-10",
        setting=_SETTING.format("F.2"),
        figure=seeds_figure(
            runs,
            optimum.network,
            title=f"WP Figure 10: several initialisations (F.2), {_steps(runs)}\n"
            f"(descent tends to the optimum like 1/log t: neurons are up to {off:.1f} degrees off)",
        ),
        claims=(
            Claim.equals("F.2: neurons that see no sample never move", all(map(_still, runs)), True),
            Claim.at_most(
                "F.2: degrees from the strongest neuron to the optimum, largest of the runs",
                off,
                6.0,
                "neurons converge to the extreme point (WP F.2), like 1/log t",
            ),
        ),
    )


def _zonotopes(examples: Sequence[Example]) -> ReproducedFigure:
    """The dual problem of F.1 and of two data sets with several samples a class."""
    title = r"The dual as zonotopes: at the optimal $\lambda$ they are 1 apart, and the neurons realise it"
    names = ["F.1: two samples"]
    names += [f"{len(example.data.y)} samples, alternating labels" for example in examples[1:]]
    panels = [
        ZonotopePanel(
            X=example.data.X, lam=example.solution.lam, network=example.solution.network, title=name
        )
        for example, name in zip(examples, names, strict=True)
    ]
    return ReproducedFigure(
        name="zonotopes",
        setting="the data of F.1, and 6 and 8 samples round the origin with alternating labels",
        figure=zonotopes_figure(panels, title=title),
        claims=[_hausdorff(example) for example in examples],
    )


def _hausdorff(example: Example) -> Claim:
    """Both directed distances of the zonotopes, whichever class has a neuron."""
    X, lam = example.data.X, example.solution.lam
    there, back = maximize_correlation(X, lam).value, maximize_correlation(X, -lam).value
    return Claim.equals(
        f"{example.data.name}: directed distances of the zonotopes",
        (there, back),
        (1.0, 1.0),
        TOL,
        "Hausdorff distance h(lam) = 1",
    )


def _on_the_boundary(name: str, X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"]) -> Claim:
    return Claim.equals(
        f"{name}: h(lam)", dual_norm(X, lam).value, 1.0, TOL, "lam lies on the boundary of the polar set"
    )


def _steps(runs: Sequence[Trajectory]) -> str:
    return f"gradient descent, {runs[0].w2.shape[1]} neurons, {int(runs[0].times[-1])} iterations"


def _aligned(run: Trajectory, example: Example) -> bool:
    """Whether the largest neuron of each sign has the direction of the optimum's."""
    return all(_degrees(run, example, sign) <= ALIGNED for sign in (1.0, -1.0))


def _degrees(run: Trajectory, example: Example, sign: float) -> float:
    """Return the angle between the largest neuron of one sign and the optimum's."""
    last = run.network_at(-1)
    mine = last.u[last.signs == sign]
    largest = mine[np.argmax(np.linalg.norm(mine, axis=1))]
    best = example.neurons(sign)
    cosine = largest @ best / (np.linalg.norm(largest) * np.linalg.norm(best))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _still(run: Trajectory) -> bool:
    """Whether inactive neurons kept their weights to the last bit."""
    return bool((run.W1[:, run.inactive] == run.W1[0, run.inactive]).all())
