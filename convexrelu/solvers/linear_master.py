"""The linear master: the best mix of given neuron directions, and the multipliers that price new ones.

``min sum_j c_j + sum_n caps_n xi_n  s.t.  sum_j c_j F_nj + xi_n >= demand_n,  c, xi >= 0``. Its dual
variables mu satisfy the dual constraint at the given directions, and a vertex solution has at most as many
neurons as there are rows. HiGHS is given the dual, ``max sum_n demand_n mu_n  s.t.  sum_n F_nj mu_n <= c_j,
0 <= mu <= caps``: there directions are added as rows, and the dual simplex method goes on from the last
vertex, in half the time that the primal one takes with columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from jaxtyping import Float
from scipy import sparse

from convexrelu.errors import SolverError
from convexrelu.solvers.problem import Neurons, Problem

__all__ = ["Master", "Mix"]

_TIGHT = 1e-10
_LOT = 2**14  # rows whose features are held at once
# Nearly equal directions make bases ill-conditioned: HiGHS then gives up on the tight tolerances, or on one
# algorithm. Tried in this order; 1e-7 is HiGHS's own default.
_DUAL = 1  # HiGHS's number of the dual simplex method, 4 is the primal one's
_ATTEMPTS = [
    ("simplex", _DUAL, _TIGHT),
    ("simplex", 4, _TIGHT),
    ("ipm", _DUAL, _TIGHT),
    ("simplex", _DUAL, 1e-7),
    ("ipm", _DUAL, 1e-7),
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mix:
    """A solution of the linear master.

    Attributes
    ----------
    neurons : Neurons
        The directions in use, at their sizes c_j.
    mu : (k,) float array
        Multipliers of the margin constraints, non-negative.
    value : float
        The objective.
    rest : float
        The multiplier of the rows that pay together, as a share of its cap.
    """

    neurons: Neurons
    mu: Float[np.ndarray, " k"]
    value: float
    rest: float = 0.0


_ABSURD = 1e100  # squares of larger numbers overflow
# Steps of the simplex method, for each row and column and at least: far more than any vertex needs. Where
# rows are the same but for seven digits, the steps after a crossover went round in circles for ever.
_STEPS, _LEAST_STEPS = 50, 5000


class _Silent(highspy.Highs):  # type: ignore[misc]  # its types are not read
    """HiGHS without the banner that newer versions print on construction, when they enable callbacks."""

    def enableCallbacks(self) -> None:  # noqa: N802  HiGHS's name
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()


class Master:
    """A linear master that grows.

    Parameters
    ----------
    problem : Problem
        The rows, demands and caps.
    penalty : float
        Price of slack where the problem forbids it.
    rest : Problem or None
        Further rows, with slack at a price, that share one constraint: their demands and margins are summed
        at these prices, and so what they pay is a lower bound on what each alone would.

    Attributes
    ----------
    directions : Neurons
        Unit directions so far.
    """

    def __init__(self, problem: Problem, *, penalty: float, rest: Problem | None = None) -> None:
        self.problem, self.rest = problem, rest
        self.directions = problem.empty_neurons
        # every row in units of its demand: HiGHS's tolerance is absolute, and demands span as many decades as
        # the norms of the rows
        prices = np.minimum(problem.caps, penalty) * problem.demand
        if rest is not None:
            prices = np.r_[prices, rest.caps @ rest.demand]
        k = len(prices)
        self._features = np.zeros((k, 0))
        self._highs = _Silent()
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("presolve", "off")  # it would lose the vertex
        # long rows beside short ones: beyond its default of 1e15 HiGHS would refuse the row without a word
        self._highs.setOptionValue("large_matrix_value", np.inf)
        none = np.zeros(0)
        empty = (0, np.zeros(k, dtype=np.int32), none.astype(np.int32), none)
        self._highs.addCols(k, -np.ones(k), np.zeros(k), prices, *empty)

    def add(self, directions: Neurons) -> None:
        """Add unit directions."""
        features = self.problem.features(directions) / self.problem.demand[:, None]
        if self.rest is not None:
            features = np.vstack([features, _together(self.rest, directions)])
        rows, q = sparse.csr_array(features.T), len(directions)
        entries = (rows.nnz, rows.indptr[:-1].astype(np.int32), rows.indices.astype(np.int32), rows.data)
        status = self._highs.addRows(q, np.full(q, -np.inf), np.ones(q), *entries)
        if status == highspy.HighsStatus.kError:
            raise SolverError(
                f"the linear master refused {q} directions with entries from {np.abs(features).min():.1e} to "
                f"{np.abs(features).max():.1e}"
            )
        self._features = np.hstack([self._features, features])
        self.directions = self.directions.joined(directions)

    def solve(self, *, seconds: float = np.inf) -> Mix:
        """Return the best mix of all directions so far; SolverError if that takes longer."""
        rough = None
        # HiGHS counts the seconds of all its runs
        self._highs.setOptionValue("time_limit", self._highs.getRunTime() + seconds)
        steps = max(_STEPS * sum(self._features.shape), _LEAST_STEPS)
        self._highs.setOptionValue("simplex_iteration_limit", steps)
        for solver, strategy, tolerance in _ATTEMPTS:
            self._highs.setOptionValue("solver", solver)
            self._highs.setOptionValue("simplex_strategy", strategy)
            self._highs.setOptionValue("primal_feasibility_tolerance", tolerance)
            self._highs.setOptionValue("dual_feasibility_tolerance", tolerance)
            try:
                self._highs.run()
            except Exception as error:
                raise SolverError(
                    f"the linear master over {len(self.directions)} directions failed: HiGHS raised {error!r}"
                ) from error
            status = self._highs.getModelStatus()
            if status == highspy.HighsModelStatus.kOptimal:
                return self._mix()
            if status == highspy.HighsModelStatus.kUnknown and rough is None:
                rough = self._mix()  # a vertex within no tolerance: nothing that is proven rests on it
            if status == highspy.HighsModelStatus.kTimeLimit:
                break
            self._highs.clearSolver()
        if rough is None:
            raise SolverError(
                f"the linear master over {len(self.directions)} directions failed: "
                f"{self._highs.modelStatusToString(status)}"
            )
        return rough

    def _mix(self) -> Mix:
        """Return the directions in use and the multipliers of HiGHS's solution."""
        solution = self._highs.getSolution()
        duals = _sensible(np.asarray(solution.col_value))
        weights = _sensible(-np.asarray(solution.row_dual))
        if not self.problem.soft:
            weights = _refined(self._features, weights, duals)
        used = weights > 0
        sized = self.directions.U[used] * weights[used, None]
        own = len(self.problem.y)
        together = 0.0 if self.rest is None else float(duals[own] / (self.rest.caps @ self.rest.demand))
        return Mix(
            neurons=Neurons(U=sized, signs=self.directions.signs[used]),
            mu=duals[:own] / self.problem.demand,
            rest=together,
            value=-float(self._highs.getInfo().objective_function_value),
        )


def _sensible(values: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Non-negative values; NaN, where HiGHS gave up, and what is absurd say nothing."""
    return np.where((values > 0) & (values < _ABSURD), values, 0.0)


def _together(rest: Problem, directions: Neurons) -> Float[np.ndarray, " q"]:
    """Margins of rows summed at their prices, in units of their demands' sum; in lots, to save memory."""
    total = np.zeros(len(directions))
    for first in range(0, len(rest.y), _LOT):
        part = rest.subset(np.arange(first, min(first + _LOT, len(rest.y))))
        total += part.caps @ part.features(directions)
    return np.asarray(total / (rest.caps @ rest.demand))


def _refined(
    features: Float[np.ndarray, "k q"], weights: Float[np.ndarray, " q"], duals: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " q"]:
    """Return the vertex recomputed from its own equations, if its margins then are no worse.

    Where long rows need large neurons to cancel, a linear solver's tolerance is many digits of the margin.
    """
    used, tight = np.flatnonzero(weights > 0), duals > 0
    if not len(used) or tight.sum() < len(used):
        return weights
    system = features[np.ix_(tight, used)]
    correction = np.linalg.lstsq(system, 1.0 - system @ weights[used], rcond=None)[0]
    better = weights.copy()
    better[used] += correction
    if (better >= 0).all() and (features @ better).min() > (features @ weights).min():
        return better
    return weights
