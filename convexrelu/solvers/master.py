"""The linear master: the best mix of given neuron directions, and the multipliers that price new ones.

``min sum_j c_j + sum_n caps_n xi_n  s.t.  sum_j c_j F_nj + xi_n >= demand_n,  c, xi >= 0``. Its dual
variables mu satisfy the dual constraint at the given directions, and a vertex solution has at most as many
neurons as there are rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.optimize import linprog

from convexrelu.errors import SolverError
from convexrelu.solvers.problem import Neurons, Problem

__all__ = ["Mix", "mix"]

# Nearly equal directions make bases ill-conditioned: HiGHS then gives up on the tight tolerances, or on one
# algorithm.
_TIGHT = 1e-10
_LOOSE = 1e-7  # HiGHS's own default
_ATTEMPTS: list[tuple[Literal["highs-ds", "highs-ipm"], float]] = [
    ("highs-ds", _TIGHT),
    ("highs-ipm", _TIGHT),
    ("highs-ds", _LOOSE),
    ("highs-ipm", _LOOSE),
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mix:
    """A solution of the linear master.

    Attributes
    ----------
    weights : (q,) float array
        The directions' sizes c_j.
    mu : (k,) float array
        Multipliers of the margin constraints, non-negative.
    value : float
        The objective.
    """

    weights: Float[np.ndarray, " q"]
    mu: Float[np.ndarray, " k"]
    value: float


def mix(problem: Problem, directions: Neurons, *, penalty: float) -> Mix:
    """Solve the linear master over unit directions; `penalty` prices slack where the problem forbids it."""
    # every row in units of its demand: HiGHS's tolerance is absolute, and demands span as many decades as the
    # norms of the rows
    features = problem.features(directions) / problem.demand[:, None]
    caps = np.minimum(problem.caps, penalty) * problem.demand
    k, q = features.shape
    matrix = sparse.hstack([sparse.csr_array(-features), -sparse.eye_array(k)], format="csr")
    cost = np.r_[np.ones(q), caps]
    for method, tolerance in _ATTEMPTS:
        result = linprog(
            cost,
            A_ub=matrix,
            b_ub=-np.ones(k),
            bounds=(0, None),
            method=method,
            options={"primal_feasibility_tolerance": tolerance, "dual_feasibility_tolerance": tolerance},
        )
        if result.status == 0 and result.x is not None and result.fun is not None:
            break
    else:
        raise SolverError(f"the linear master over {q} directions failed: {result.message}")
    duals = np.maximum(-result.ineqlin.marginals, 0.0)
    weights = np.maximum(result.x[:q], 0.0)
    return Mix(
        weights=weights if problem.soft else _refined(features, weights, duals),
        mu=duals / problem.demand,
        value=float(result.fun),
    )


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
