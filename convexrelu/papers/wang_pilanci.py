"""The paper's experiments run again, with every number that can be asserted asserted (WP appendix F).

Expected values are to six digits those of the corrected equations (128) and (130); what the paper prints
differently is said in the note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu import datasets
from convexrelu._typing import RNGLike
from convexrelu._validation import as_generator, check_count
from convexrelu.arrangements import count_patterns, is_orthogonally_separable, is_spike_free, pattern_bound
from convexrelu.datasets import Dataset
from convexrelu.errors import SolverError
from convexrelu.oracle import dual_norm, maximize_correlation
from convexrelu.solvers import MaxMarginSolution, solve_max_margin
from convexrelu.training import Trajectory, gradient_descent, scaled_start

_Values = float | Sequence[float] | np.ndarray

__all__ = ["Check", "Example", "WangPilanciReport", "reproduce_wang_pilanci", "star"]

TOL = 1e-6
"""Both the six printed digits of the expected values and the solver's certified gap."""

NEURON_TOL = 1e-5
"""The objective is flat at the optimum: a gap of 1e-12 leaves neurons and lam accurate to its root, 1e-6,
times a small condition number."""

WIDTH = 10  # neurons, as in WP appendix F
INIT_SCALE = 1e-2
STEP_SIZE = 0.1
LAST_ITERATION = 10_000  # WP draws iterations 10^0 to 10^4
_EVERY_STEP_UNTIL = 150  # the neurons turn within these; later records are spaced evenly in the logarithm
ALIGNED = (
    1 - 1e-3
)  # cosine with the optimal neuron that the largest neuron of a class has after the last iteration (F.1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Check:
    """One number or fact of the paper, computed again.

    Attributes
    ----------
    name : str
        What it is.
    computed, expected : tuple of float
        Its entries (facts are 1 for true and 0 for false).
    tol : float
        Largest absolute difference allowed in any entry.
    note : str
        Where the expected value comes from, and what the paper prints if that is something else.
    """

    name: str
    computed: tuple[float, ...]
    expected: tuple[float, ...]
    tol: float
    note: str

    @property
    def holds(self) -> bool:
        """Whether every entry is within the tolerance."""
        return len(self.computed) == len(self.expected) and all(
            abs(c - e) <= self.tol for c, e in zip(self.computed, self.expected, strict=True)
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


@dataclass(frozen=True, kw_only=True, eq=False)
class WangPilanciReport:
    """Everything that WP appendix F shows, computed again.

    Attributes
    ----------
    f1, f2 : Example
        The data sets of appendix F.1 and F.2.
    stars : tuple of Example
        Two planar data sets with several samples a class, for the picture of the zonotopes (without runs).
    checks : tuple of Check
        The numbers.
    """

    f1: Example
    f2: Example
    stars: tuple[Example, ...]
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def __str__(self) -> str:
        lines = [
            f"{'holds' if check.holds else 'FAILS':<6} {check.name:<58} {_shown(check.computed):<24}"
            f" expected {_shown(check.expected)}" + (f"   ({check.note})" if check.note else "")
            for check in self.checks
        ]
        good = sum(check.holds for check in self.checks)
        return "\n".join([*lines, f"{good} of {len(self.checks)} checks hold"])

    def to_document(self) -> dict[str, Any]:
        """The checks as JSON values."""
        return {
            "paper": "wang-pilanci",
            "holds": self.holds,
            "checks": [
                {
                    "name": check.name,
                    "computed": list(check.computed),
                    "expected": list(check.expected),
                    "tol": check.tol,
                    "holds": check.holds,
                    "note": check.note,
                }
                for check in self.checks
            ],
        }


def reproduce_wang_pilanci(*, n_runs: int = 3, rng: RNGLike = 0) -> WangPilanciReport:
    """Return the experiments of WP appendix F with their numbers checked.

    Parameters
    ----------
    n_runs : int, default 3
        Runs of gradient descent on each data set.
    rng : int, Generator, SeedSequence or None
        Source of their starts.

    Returns
    -------
    WangPilanciReport
        Optima, trajectories and checks.

    Raises
    ------
    InvalidInputError
        If `n_runs` is not positive.

    Examples
    --------
    >>> report = reproduce_wang_pilanci(n_runs=1)
    >>> report.holds, round(report.f1.solution.objective, 4)
    (True, 1.2824)
    """
    seeds = as_generator(rng).spawn(2 * check_count(n_runs, "n_runs"))
    f1 = _example(datasets.load("wang-pilanci-f1"), seeds[:n_runs])
    f2 = _example(datasets.load("wang-pilanci-f2"), seeds[n_runs:])
    stars = tuple(_example(data, []) for data in (star(6, rng=3), star(8, rng=24)))
    checks = (*_f1_checks(f1), *_f2_checks(f2), *(_hausdorff_check(example) for example in (f1, *stars)))
    return WangPilanciReport(f1=f1, f2=f2, stars=stars, checks=checks)


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
    return Dataset(
        X,
        np.where(np.arange(count) % 2 == 0, 1.0, -1.0),
        f"star-{count}",
        "alternating labels round the origin",
    )


def _example(data: Dataset, seeds: Sequence[np.random.Generator]) -> Example:
    solution = solve_max_margin(data.X, data.y)
    if not isinstance(solution, MaxMarginSolution):
        raise SolverError(f"{data.name} must have two labels, got {data.n_classes}")
    record = np.r_[np.arange(1, _EVERY_STEP_UNTIL), np.rint(np.geomspace(1, LAST_ITERATION, 81))]
    runs = []
    for seed in seeds:
        start = scaled_start(data.X, data.y, width=WIDTH, scale=INIT_SCALE, rng=seed).network
        runs.append(
            gradient_descent(
                data.X, data.y, start, step_size=STEP_SIZE, n_steps=LAST_ITERATION, record=record
            )
        )
    return Example(data=data, solution=solution, runs=tuple(runs))


def _number(name: str, computed: _Values, expected: _Values, tol: float, note: str = "") -> Check:
    return Check(
        name=name,
        computed=tuple(float(v) for v in np.atleast_1d(np.asarray(computed))),
        expected=tuple(float(v) for v in np.atleast_1d(np.asarray(expected))),
        tol=tol,
        note=note,
    )


def _fact(name: str, found: bool, *, expected: bool = True, note: str = "") -> Check:
    return _number(name, float(found), float(expected), 0.0, note)


def _f1_checks(example: Example) -> list[Check]:
    X, y = example.data
    solution = example.solution
    u, v = _neurons(example, 1.0), _neurons(example, -1.0)
    full = solve_max_margin(X, y, method="program")
    closed_form = float(np.sum(1 / np.linalg.norm(X, axis=1)))
    return [
        _number("F.1: P*", solution.objective, 1.282432, TOL),
        _number("F.1: certified lower bound", solution.lower_bound, 1.282432, TOL),
        _number("F.1: P* of the full convex program, WP (14)", full.objective, 1.282432, TOL),
        _number(
            "F.1: P* = 1/gamma_+ + 1/gamma_-",
            solution.objective,
            closed_form,
            TOL,
            "closed form of orthogonally separable data",
        ),
        _number(
            "F.1: positive neuron", u, (0.560576, -0.159679), NEURON_TOL, "WP (128) prints (0.58, -0.16)"
        ),
        _number("F.1: negative neuron", v, (-0.230009, 0.660664), NEURON_TOL, "WP (128)"),
        _number("F.1: lam", solution.lam, (0.582875, -0.699557), NEURON_TOL, "maximises WP (129), corrected"),
        _number(
            "F.1: h(lam)",
            dual_norm(X, solution.lam).value,
            1.0,
            TOL,
            "lam lies on the boundary of the polar set",
        ),
        _number("F.1: patterns", float(count_patterns(X)), float(pattern_bound(2, 2)), 0.0, "Cover's count"),
        _fact("F.1: orthogonally separable", is_orthogonally_separable(X, y)),
        _fact("F.1: spike-free", is_spike_free(X), expected=False),
        _fact(
            "F.1: descent aligns with both optimal neurons, every run",
            all(_aligned(run, example) for run in example.runs),
        ),
        _fact("F.1: neurons that see no sample never move", all(_still(run) for run in example.runs)),
    ]


def _f2_checks(example: Example) -> list[Check]:
    X, y = example.data
    solution = example.solution
    full = solve_max_margin(X, y, method="program")
    note = "WP's captions call the data non-spike-free"
    return [
        _number("F.2: P*", solution.objective, 0.733582, TOL),
        _number("F.2: certified lower bound", solution.lower_bound, 0.733582, TOL),
        _number("F.2: P* of the full convex program, WP (14)", full.objective, 0.733582, TOL),
        _number(
            "F.2: the one neuron",
            _neurons(example, 1.0),
            (0.438553, 0.588059),
            NEURON_TOL,
            "WP (130) prints (0.43, 0.59)",
        ),
        _number("F.2: lam", solution.lam, (0.214441, 0.519141), NEURON_TOL),
        _number(
            "F.2: h(lam)",
            dual_norm(X, solution.lam).value,
            1.0,
            TOL,
            "lam lies on the boundary of the polar set",
        ),
        _fact("F.2: spike-free", is_spike_free(X), note=note),
        _fact("F.2: neurons that see no sample never move", all(_still(run) for run in example.runs)),
    ]


def _hausdorff_check(example: Example) -> Check:
    """Both directed distances of the zonotopes, whichever class has a neuron."""
    X, lam = example.data.X, example.solution.lam
    there, back = maximize_correlation(X, lam).value, maximize_correlation(X, -lam).value
    return _number(
        f"{example.data.name}: directed distances of the zonotopes",
        (there, back),
        (1.0, 1.0),
        TOL,
        "Hausdorff distance h(lam) = 1",
    )


def _neurons(example: Example, sign: float) -> Float[np.ndarray, " k"]:
    """The convex variables of one sign, one after the other."""
    network = example.solution.network
    return np.asarray(network.u[network.signs == sign].ravel())


def _aligned(run: Trajectory, example: Example) -> bool:
    """Whether the largest neuron of each sign has the direction of the optimum's."""
    last = run.network_at(-1)
    for sign in (1.0, -1.0):
        mine = last.u[last.signs == sign]
        largest = mine[np.argmax(np.linalg.norm(mine, axis=1))]
        best = _neurons(example, sign)
        if largest @ best < ALIGNED * np.linalg.norm(largest) * np.linalg.norm(best):
            return False
    return True


def _still(run: Trajectory) -> bool:
    """Whether inactive neurons kept their weights to the last bit."""
    return bool((run.W1[:, run.inactive] == run.W1[0, run.inactive]).all())


def _shown(values: tuple[float, ...]) -> str:
    text = ", ".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in values)
    return text if len(values) == 1 else f"({text})"
