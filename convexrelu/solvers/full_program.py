"""The full convex program: all patterns at once, through cvxpy, with the answer verified from the arrays.

Right for small data and for checking everything else; its size is the number of patterns times n. Nothing
that the solver says is passed on: neurons and multipliers are read off, the margins and cones are recomputed,
and what is too far off is refused.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from convexrelu.errors import InvalidInputError, SolverError
from convexrelu.programs import ProgramInputs, build_primal
from convexrelu.programs.installed import check_cvxpy
from convexrelu.solvers.problem import Neurons, Problem

__all__ = ["MAX_ENTRIES", "MODELLING_SECONDS", "SOLVERS", "FullSolution", "check_solver", "solve_full"]

SOLVERS = ("CLARABEL", "ECOS", "SCS")

MAX_ENTRIES = 2_000_000
"""Of patterns times rows times rank: each takes about a kilobyte, in cvxpy and the solver together."""

MODELLING_SECONDS = 4e-6
"""That cvxpy takes for each of them before the solver begins, as measured; no limit of time ends it."""

# Accepted only if the recomputed residuals are below this; the linear tail then finds the last digits.
# Clarabel and ECOS leave about 1e-8, SCS about 1e-5, and its "optimal" can violate a margin by 5e-3 on badly
# scaled rows: that is refused.
RESIDUAL_TOL = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class FullSolution:
    """A solver's answer to the full program, with its recomputed residuals.

    They are in units of the demand and of the objective.

    Attributes
    ----------
    neurons : Neurons
        Those of non-negligible size.
    mu : (k,) float array
        Multipliers of the margins.
    value : float
        ``sum ||u_j|| + sum caps xi``, recomputed.
    margin_violation : float
        Largest shortfall of a margin.
    cone_violation : float
        Largest ``-(2D_j - I) X u_j`` relative to the whole.
    duality_gap : float
        ``|value - demand^T mu| / value``.
    """

    neurons: Neurons
    mu: Float[np.ndarray, " k"]
    value: float
    margin_violation: float
    cone_violation: float
    duality_gap: float


def check_solver(solver: Any, *, needed: bool) -> str:
    """Return the name of a solver, which must be installed if it is needed, or raise InvalidInputError."""
    name = solver.upper() if isinstance(solver, str) else ""
    if name not in SOLVERS:
        raise InvalidInputError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
    if needed:
        check_cvxpy()
        import cvxpy as cp

        if name not in cp.installed_solvers():
            raise InvalidInputError(f"{name} is not installed: pip install convexrelu[{name.lower()}]")
    return name


def solve_full(
    problem: Problem, patterns: Bool[np.ndarray, "p k"], name: str, seconds: float
) -> FullSolution:
    """Return the solution of the full program over `patterns`, by a solver that gets so many seconds.

    cvxpy's modelling comes on top of them. Raises SolverError if the residuals are too large.
    """
    import cvxpy as cp

    C = 1.0 if problem.soft else np.inf
    inputs = ProgramInputs(X=problem.rows, Y=problem.y[None, :], patterns=patterns, C=C)
    program = build_primal(inputs, problem.demand, problem.caps)
    # Solvers stop at absolute tolerances: where slack is cheap, so is the whole objective.
    unit = min(1.0, float(problem.caps.max(initial=0.0)))
    scaled = cp.Problem(cp.Minimize(program.problem.objective.expr / unit), program.problem.constraints)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")  # the residuals below decide
        try:
            options: dict[str, float] = {}
            if name == "SCS":
                options = {"eps_abs": 1e-8, "eps_rel": 1e-8, "max_iters": 100_000}
            if np.isfinite(seconds) and name != "ECOS":  # which has no limit of time
                options["time_limit_secs" if name == "SCS" else "time_limit"] = seconds
            scaled.solve(solver=name, **options)
        except Exception as error:  # whatever a solver of another language raises
            raise SolverError(
                f"{name} failed on the full program of {len(patterns)} patterns: {error}"
            ) from error
    if program.positive[0].value is None or program.margins[0].dual_value is None:
        raise SolverError(f"{name} returned no solution of the full program: it says {scaled.status!r}")
    duals = unit * program.margins[0].dual_value
    answer = _read(problem, patterns, program.positive[0].value, program.negative[0].value, duals)
    worst = max(answer.margin_violation, answer.cone_violation, answer.duality_gap)
    if not worst <= RESIDUAL_TOL:
        raise SolverError(
            f"{name} says {scaled.status!r}, but recomputed from its answer "
            f"the margins are violated by {answer.margin_violation:.1e}, "
            f"the cones by {answer.cone_violation:.1e} "
            f"and the duality gap is {answer.duality_gap:.1e} (needed: {RESIDUAL_TOL:.0e}). "
            "Try solver='CLARABEL', or method='column-generation'."
        )
    return answer


def _read(
    problem: Problem,
    patterns: Bool[np.ndarray, "p k"],
    positive: Float[np.ndarray, "p r"],
    negative: Float[np.ndarray, "p r"],
    duals: Float[np.ndarray, " k"],
) -> FullSolution:
    U = np.vstack([positive, negative])
    signs = np.repeat([1.0, -1.0], len(patterns))
    sizes = np.linalg.norm(U, axis=1)
    total = max(float(sizes.sum()), np.finfo(float).tiny)
    heights = U @ problem.rows.T
    masks = np.vstack([patterns, patterns])
    outputs = problem.y * (signs @ (masks * heights))
    shortfall = np.maximum(problem.demand - outputs, 0)
    mu = np.maximum(duals, 0.0)
    priced = problem.caps @ shortfall if problem.soft else 0.0
    value = float(sizes.sum() + priced)
    return FullSolution(
        neurons=Neurons(U=U[sizes > 1e-9 * total], signs=signs[sizes > 1e-9 * total]),
        mu=mu,
        value=value,
        margin_violation=0.0 if problem.soft else float(shortfall.max(initial=0.0)),
        # unit rows and a demand of 1 are the scale; the network alone is not, it vanishes where slack is
        # cheap
        cone_violation=float(
            np.maximum(-(2.0 * masks - 1) * heights, 0).max(initial=0.0) / max(sizes.max(initial=0.0), 1.0)
        ),
        duality_gap=abs(value - float(problem.demand @ mu)) / max(value, np.finfo(float).tiny),
    )
