"""What the maximisation of neural correlation functions returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convexrelu.networks.feed_forward import FeedForward

__all__ = ["NCFPoint", "NCFResult", "RankOneRow", "RankOneTables"]

PROVEN = 1e-9
"""The best point is called the global maximum if its value is within this share of a proven upper bound."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NCFPoint:
    """A KKT point of the constrained NCF with positive value, up to symmetries.

    Attributes
    ----------
    network : FeedForward
        Of unit norm.
    value : float
        ``N_z`` of it.
    stationarity : float
        ``||P grad N|| / ||grad N||``: see :func:`convexrelu.ncf.ncf_stationarity`.
    second_order : float
        Delta of the second-order condition: see :func:`convexrelu.ncf.ncf_second_order`.
    multiplicity : int
        How many starts led there; 0 for a maximum that only the oracle or its local phase found.
    share, share_low, share_high : float
        Their share of all starts, and Wilson's 95 % interval for it: an estimate of the basin of attraction
        under the method.
    """

    network: FeedForward
    value: float
    stationarity: float
    second_order: float
    multiplicity: int
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class NCFResult:
    """KKT points of the constrained NCF.

    Attributes
    ----------
    points : tuple of NCFPoint
        Distinct ones, the best first; none if no start led to a positive value.
    n_starts : int
        Starts in all.
    n_reached_zero : int
        Starts whose ascent ended at a value of zero or less: gradient flow from there goes to 0 (KH2 Lemma
        5.3).
    upper_bound : float
        Proven bound on the maximum; inf where none is known.
    """

    points: tuple[NCFPoint, ...]
    n_starts: int
    n_reached_zero: int
    upper_bound: float

    @property
    def proven(self) -> bool:
        """Whether the first point is proven to be the global maximum."""
        return bool(self.points) and self.points[0].value >= (1 - PROVEN) * self.upper_bound

    def __str__(self) -> str:
        best = "proven global maximum" if self.proven else "best found"
        head = f"constrained NCF: {len(self.points)} KKT points from {self.n_starts} starts"
        lines = [f"{head}, {self.n_reached_zero} of which reached 0"]
        if np.isfinite(self.upper_bound):
            lines.append(f"maximum at most {self.upper_bound:.9g}")
        for rank, point in enumerate(self.points):
            lines.append(
                f"  N = {point.value:<12.8g} residual {point.stationarity:.1e}  "
                f"Delta {point.second_order:< 10.3g} "
                f"share {point.share:.2f} [{point.share_low:.2f}, {point.share_high:.2f}]"
                + (f"  {best}" if rank == 0 else "")
            )
        return "\n".join(lines)


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
        Largest ``1 - ||W_l||_2/||W_l||_F`` (Table 1). For p = 1 and alpha < 1, kappa and rho are those of
        the maximum of N smoothed on the scale 1e-3: resolving the kinks uses the structure, and would make
        them zero.
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
