"""Tables 1 and 2 of K-deep: how nearly the KKT points found by ascent are of rank one and non-negative.

Theorems 3 and 4 describe the KKT points of rank one with non-negative entries; the paper checks on random
data that the points which ascent of the NCF finds are of this form. An instance has 100 samples uniform on
the sphere of R^10 and Gaussian outputs (K-deep appendix C.4); the weights start uniform on the unit sphere,
where N is positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convexrelu._parallel import run_tasks
from convexrelu._typing import RNGLike
from convexrelu._validation import as_generator, check_count
from convexrelu.errors import InvalidInputError, SolverError
from convexrelu.ncf.maximize import climb_from_starts
from convexrelu.ncf.rank_one import RankOneReport, check_rank_one
from convexrelu.ncf.sphere import unit
from convexrelu.networks.activations import PowerLeakyReLU
from convexrelu.networks.feed_forward import FeedForward

__all__ = ["RankOneRow", "RankOneTables", "rank_one_tables"]

_N_SAMPLES, _N_INPUTS, _WIDTH = 100, 10, 20


@dataclass(frozen=True, kw_only=True, eq=False)
class RankOneRow:
    """The worst of the instances of one depth and activation.

    Attributes
    ----------
    depth : int
        Layers L; the hidden ones have 20 neurons.
    alpha : float
        Of the activation.
    power : int
        Of the activation.
    n_instances : int
        Random instances.
    n_hold : int
        Of these, KKT points that meet all conditions of K-deep Theorems 3 and 4.
    kappa : float
        Largest ``1 - ||W_l||_2/||W_l||_F`` (Table 1).
    rho : float
        Largest share of negative entries (Table 2).
    alignment : float
        Largest 1 - cos of the angle between weights and gradient.
    direction : float
        Largest residual of the reduced problem in the first layer's direction (Clarke's, for p = 1).
    stationarity : float
        Largest residual of a whole network.
    smallest_delta : float
        Smallest Delta of the second-order condition, divided by N.
    """

    depth: int
    alpha: float
    power: int
    n_instances: int
    n_hold: int
    kappa: float
    rho: float
    alignment: float
    direction: float
    stationarity: float
    smallest_delta: float


@dataclass(frozen=True, kw_only=True, eq=False)
class RankOneTables:
    """Tables 1 and 2 of K-deep, a row for each depth and activation.

    Attributes
    ----------
    rows : tuple of RankOneRow
        In the order asked for.
    """

    rows: tuple[RankOneRow, ...]

    def __str__(self) -> str:
        head = f"{'L':>2} {'p':>2} {'alpha':>6} {'hold':>7} {'kappa':>9} {'rho':>9} {'1 - cos':>9} "
        head += f"{'direction':>9} {'network':>9} {'Delta/N':>9}"
        return "\n".join(
            [head]
            + [
                f"{row.depth:>2} {row.power:>2} {row.alpha:>6g} {row.n_hold:>3}/{row.n_instances:<3} "
                f"{row.kappa:>9.1e} {row.rho:>9.1e} {row.alignment:>9.1e} "
                f"{row.direction:>9.1e} {row.stationarity:>9.1e} {row.smallest_delta:>9.2g}"
                for row in self.rows
            ]
        )


def rank_one_tables(
    *,
    depths: Sequence[int] = (3, 2),
    powers: Sequence[int] = (1, 2),
    alphas: Sequence[float] = (0.0, 0.1),
    n_instances: int = 30,
    rng: RNGLike = 0,
) -> RankOneTables:
    """Return Tables 1 and 2 of K-deep: the worst kappa and rho over random instances, and the residuals.

    Each instance has one start, drawn again where it leads to 0.

    Parameters
    ----------
    depths : sequence of int, default (3, 2)
        Numbers of layers, at least 2.
    powers : sequence of int, default (1, 2)
        Powers of the activation.
    alphas : sequence of float, default (0, 0.1)
        Slopes of the activation on the negative side.
    n_instances : int, default 30
        Random instances of each.
    rng : seed, numpy.random.Generator, or None, default 0
        Where data and starts come from. The answer is the same for any number of workers.

    Returns
    -------
    RankOneTables
        Prints as a table.

    Raises
    ------
    InvalidInputError
        If a depth is below 2, or a number is not what it needs to be.

    Examples
    --------
    >>> tables = rank_one_tables(depths=(2,), powers=(2,), alphas=(0.0,), n_instances=2)
    >>> tables.rows[0].n_hold, tables.rows[0].kappa < 1e-8
    (2, True)
    """
    if any(depth < 2 for depth in depths):
        raise InvalidInputError(f"depths must be at least 2, got {list(depths)}")
    count = check_count(n_instances, "n_instances")
    settings = [
        (depth, PowerLeakyReLU(float(alpha), power))
        for depth in depths
        for power in powers
        for alpha in alphas
    ]
    seeds = as_generator(rng).bit_generator.seed_seq.spawn(count)  # type: ignore[attr-defined]
    tasks = [(depth, activation, seed) for depth, activation in settings for seed in seeds]
    found = run_tasks(_instance, tasks)
    rows = [
        _row(depth, activation, found[count * k : count * (k + 1)])
        for k, (depth, activation) in enumerate(settings)
    ]
    return RankOneTables(rows=tuple(rows))


def _instance(depth: int, activation: PowerLeakyReLU, seed: np.random.SeedSequence) -> RankOneReport:
    """Return the conditions of the KKT point that one start leads to on random data."""
    rng = np.random.default_rng(seed)
    X = unit(rng.normal(size=(_N_SAMPLES, _N_INPUTS)))
    y = rng.normal(size=_N_SAMPLES)
    widths = (_N_INPUTS, *(_WIDTH,) * (depth - 1), 1)
    climbed = climb_from_starts(X, unit(y)[:, None], widths, activation, 1, rng)
    if not climbed.ends:
        raise SolverError("no start of this instance led to a positive value")
    return check_rank_one(FeedForward(climbed.ends[0], activation), X, y)


def _row(depth: int, activation: PowerLeakyReLU, reports: list[RankOneReport]) -> RankOneRow:
    residuals = np.array([report.stationarity for report in reports])
    return RankOneRow(
        depth=depth,
        alpha=activation.alpha,
        power=activation.power,
        n_instances=len(reports),
        n_hold=sum(report.holds for report in reports),
        kappa=max(report.kappa for report in reports),
        rho=max(report.rho for report in reports),
        # 1 - sqrt(1 - r^2) without the rounding of a cosine near 1
        alignment=float(np.max(residuals**2 / (1.0 + np.sqrt(1.0 - residuals**2)))),
        direction=max(report.direction for report in reports),
        stationarity=float(residuals.max()),
        smallest_delta=min(report.second_order / report.value for report in reports),
    )
