"""The max-margin problem in the plane as a sparse linear program on the circle.

Let ``F(u) = sum_n y_n mu_n (v_n^T u)_+`` on the unit circle. The dual maximises ``demand^T mu`` subject to
``0 <= mu <= caps`` and ``|F| <= 1`` (WP (15)). ``F = E + G^T u / 2`` with ``G = sum_n y_n mu_n v_n`` and E
the same on opposite sides. Between neighbouring knots E is a sinusoid, fixed by its values at the two; across
a knot orthogonal to v_n its slope jumps by ``y_n mu_n``. So with the values of E at the knots and G as
variables, every constraint holds a handful of them, ``|F(u)| <= 1`` for any direction u included. And it is
well scaled: close rows with different labels make mu huge and F a small difference of its terms, but values
of F are at most 1, and mu is made of differences of neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.optimize import OptimizeResult, linprog

from convexrelu.arrangements import hyperplanes_of
from convexrelu.errors import SolverError
from convexrelu.oracle.plane import cross, upper_half
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, Problem
from convexrelu.solvers.work import PIVOT

__all__ = ["Circle", "CircleProgram", "circle_of"]

# HiGHS's tightest tolerance and its own default. Simplex vertices are far more accurate than either; the
# other attempts are for when it gives up.
_ATTEMPTS: list[tuple[Literal["highs-ds", "highs-ipm"], float]] = [
    ("highs-ds", 1e-10),
    ("highs-ipm", 1e-10),
    ("highs-ds", 1e-7),
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Circle:
    """Knots on the upper half circle, and the arcs from each to the next (from the last, to minus the first).

    Attributes
    ----------
    knots : (K, 2) float array
        Unit vectors of increasing angle in [0, pi).
    angles : (K,) float array
        Their angles.
    sines, cosines : (K,) float array
        Of the arcs.
    knot : (k,) int array
        The knot orthogonal to each row.
    """

    knots: Float[np.ndarray, "K 2"]
    angles: Float[np.ndarray, " K"]
    sines: Float[np.ndarray, " K"]
    cosines: Float[np.ndarray, " K"]
    knot: Int[np.ndarray, " k"]

    @property
    def slope_units(self) -> Float[np.ndarray, " K"]:
        """Units for the slopes: where values are of order one, they reach two over the sine of an arc.

        Its root keeps all entries of the linear program between 1e-6 and 1e6; solvers ignore tiny ones.
        """
        units: np.ndarray = 1.0 / np.sqrt(self.sines)
        return units

    def chain(self) -> tuple[sparse.csr_array, sparse.csr_array]:
        """What must vanish for an even sinusoid spline, and what its slope jumps by, at every knot.

        Both are matrices (K, 2 K) for its values and slopes (in their units) at the arcs' starts.
        """
        K = len(self.knots)
        identity = sparse.eye_array(K, format="csr")
        after = identity[(np.arange(K) + 1) % K]  # what stands at the next knot
        sines, cosines = sparse.diags_array(self.sines), sparse.diags_array(self.cosines)
        units = sparse.diags_array(self.slope_units)
        breaks = sparse.hstack([after - cosines, -sines @ units], format="csr")
        at_ends = sparse.hstack([-sines, cosines @ units], format="csr")
        at_starts = sparse.hstack([sparse.csr_array((K, K)), units], format="csr")
        jumps = at_starts - after.T @ at_ends
        return sparse.csr_array(breaks), sparse.csr_array(jumps)

    def values(self, directions: Float[np.ndarray, "q 2"]) -> sparse.csr_array:
        """The values of an even sinusoid spline at unit directions from its values and slopes (q, 2 K)."""
        K, j = len(self.knots), np.arange(len(directions))
        points = upper_half(directions)[0]
        arc = np.searchsorted(self.angles, np.arctan2(points[:, 1], points[:, 0]), side="right") - 1
        points = np.where((arc < 0)[:, None], -points, points)  # before the first knot: in the last arc
        arc %= K
        starts = self.knots[arc]
        entries = np.r_[(starts * points).sum(axis=1), cross(starts, points) * self.slope_units[arc]]
        return sparse.csr_array((entries, (np.tile(j, 2), np.r_[arc, arc + K])), shape=(len(j), 2 * K))

    def cells(self, directions: Float[np.ndarray, "q 2"]) -> Int[np.ndarray, " q"]:
        """A number for each direction, the same for those between the same two rows' knots."""
        points, folded = upper_half(directions)
        rows = np.unique(self.angles[self.knot])
        passed = np.searchsorted(rows, np.arctan2(points[:, 1], points[:, 0]), side="right")
        far = folded ^ (passed == 0)  # before the first knot of a row: beyond the last one, on the other side
        numbers: np.ndarray = 2 * (passed % len(rows)) + far
        return numbers


def circle_of(rows: Float[np.ndarray, "k 2"]) -> Circle:
    """Return the knots orthogonal to the rows, with others between them where arcs would be long."""
    lines = hyperplanes_of(rows)
    normals = lines.normals @ lines.basis.T
    kinks = upper_half(np.column_stack([-normals[:, 1], normals[:, 0]]))[0]
    angles = np.arctan2(kinks[:, 1], kinks[:, 0])
    more = _between(np.sort(angles))
    knots = np.vstack([kinks, upper_half(np.column_stack([np.cos(more), np.sin(more)]))[0]])
    all_angles = np.arctan2(knots[:, 1], knots[:, 0])
    order = np.argsort(all_angles, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    knots = knots[order]
    ends = np.vstack([knots[1:], -knots[:1]])
    return Circle(
        knots=knots,
        angles=all_angles[order],
        sines=cross(knots, ends),
        cosines=(knots * ends).sum(axis=1),
        knot=place[lines.member],
    )


def _between(angles: Float[np.ndarray, " h"]) -> Float[np.ndarray, " m"]:
    """Return angles that divide the arcs between the given ones, and round to the first again, evenly.

    Knots without a row keep the arcs short, so that a violation starts at 1.2e-3.
    """
    gaps = np.diff(np.r_[angles, angles[0] + np.pi])
    parts = np.ceil(gaps / (np.pi / 32)).astype(np.int64)
    starts, steps = np.repeat(angles, parts - 1), np.repeat(gaps / parts, parts - 1)
    number = np.arange(len(starts)) - np.repeat(np.cumsum(parts - 1) - (parts - 1), parts - 1)
    divided: np.ndarray = starts + (number + 1) * steps
    return divided


@dataclass(frozen=True, kw_only=True, eq=False)
class CircleProgram:
    """The linear program of a problem whose rows have rank two.

    Its variables are the multipliers mu in their `units`, E's values and slopes at the knots, and G.

    Attributes
    ----------
    problem : Problem
        Of rank two; if slack is allowed, its prices sum to more than 1.
    circle : Circle
        The knots of its rows.
    """

    problem: Problem
    circle: Circle

    @cached_property
    def units(self) -> Float[np.ndarray, " k"]:
        """Units for the multipliers: that of the slopes beside their knots, but no more than the cap."""
        slopes = self.circle.slope_units
        largest = np.maximum(slopes, np.roll(slopes, 1))[self.circle.knot]
        capped: np.ndarray = np.minimum(largest, self.problem.caps)
        return capped

    @cached_property
    def equations(self) -> sparse.csr_array:
        """E is a spline, its slopes jump by ``sum y_n mu_n`` over a knot's rows, G = ``sum y_n mu_n v_n``."""
        problem, circle = self.problem, self.circle
        k, K = len(problem.y), len(circle.knots)
        signed = problem.y * self.units
        breaks, jumps = circle.chain()
        kinks = sparse.csr_array((-signed, (circle.knot, np.arange(k))), shape=(K, k))
        largest = float(self.units.max())
        sums = sparse.csr_array(problem.rows.T * (signed / largest))
        # HiGHS drops entries below 1e-9, and the sine of an arc, the bend of a sinusoid over it, can be as
        # small as the tolerance within which rows count as parallel, 1e-12: the jumps are magnified
        grid: list[list[sparse.sparray | None]] = [
            [None, breaks, None],
            [1e3 * kinks, 1e3 * jumps, None],
            [sums, None, -sparse.eye_array(2) / largest],
        ]
        return sparse.csr_array(sparse.block_array(grid, format="csr"))

    @cached_property
    def at_knots(self) -> Neurons:
        """Both signs of ``|F| <= 1`` at the knots and opposite to them."""
        knots, ones = self.circle.knots, np.ones(len(self.circle.knots))
        return Neurons(U=np.vstack([knots, knots, -knots, -knots]), signs=np.r_[ones, -ones, ones, -ones])

    def solve(self, cuts: Neurons, *, clock: SolverClock) -> tuple[Float[np.ndarray, " k"], Neurons]:
        """Return the multipliers that are best for ``|F| <= 1`` at the knots and the cuts, and its neurons.

        The neurons' directions are among these; those between the same two rows' knots, with one activity,
        are merged. Raises SolverError if HiGHS finds no optimum, or not in time.
        """
        k, K = len(self.problem.y), len(self.circle.knots)
        directions = self.at_knots.joined(cuts)
        signs = sparse.diags_array(directions.signs)
        pieces = [
            sparse.coo_array((len(directions), k)),
            signs @ self.circle.values(directions.U),
            signs @ sparse.csr_array(directions.U / 2),
        ]
        worth = self.problem.demand * self.units
        result = self._optimum(
            np.r_[-worth / worth.max(), np.zeros(2 * K + 2)],
            sparse.csr_array(sparse.hstack(pieces, format="csr")),
            clock,
        )
        sizes = np.maximum(-result.ineqlin.marginals, 0.0) * worth.max()
        mu = np.minimum(np.maximum(result.x[:k], 0.0) * self.units, self.problem.caps)
        return mu, self._merged(
            Neurons(U=directions.U * sizes[:, None], signs=directions.signs).kept(sizes > 0)
        )

    def _optimum(
        self, cost: Float[np.ndarray, " v"], matrix: sparse.csr_array, clock: SolverClock
    ) -> OptimizeResult:
        """Return HiGHS's solution; its accuracy is measured by the caller, never assumed."""
        k, v = len(self.problem.y), len(cost)
        bounds = [(0.0, float(cap)) for cap in self.problem.caps / self.units] + [(-np.inf, np.inf)] * (v - k)
        inequalities: Any = matrix  # scipy's stubs know of dense matrices only
        equations: Any = self.equations
        seconds = clock.seconds
        for method, tolerance in _ATTEMPTS:
            result = linprog(
                cost,
                A_ub=inequalities,
                b_ub=np.ones(matrix.shape[0]),
                A_eq=equations,
                b_eq=np.zeros(equations.shape[0]),
                bounds=bounds,
                method=method,
                options={
                    "primal_feasibility_tolerance": tolerance,
                    "dual_feasibility_tolerance": tolerance,
                    **({"time_limit": max(seconds, 1e-3)} if np.isfinite(seconds) else {}),
                },
            )
            clock.did(PIVOT * (equations.nnz + matrix.nnz))
            if result.status == 0 and result.x is not None:
                return result
            if result.status == 1:  # scipy's for a limit reached
                break
        raise SolverError(
            f"the linear program on the circle of {k} rows and {matrix.shape[0]} directions failed: "
            f"{result.message}"
        )

    def _merged(self, neurons: Neurons) -> Neurons:
        """Sum the neurons of one activity and sign: the same outputs, and no larger sizes."""
        keys = 2 * self.circle.cells(neurons.U) + (neurons.signs > 0)
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        sums = np.zeros((len(first), 2))
        np.add.at(sums, group, neurons.U)
        return Neurons(U=sums, signs=neurons.signs[first])
