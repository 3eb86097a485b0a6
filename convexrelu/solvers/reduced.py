"""The convex program of a few neurons: only the activity of each on its own class is fixed.

A neuron of output sign s helps the rows of label s and hurts the others. If its activity on its own class is
fixed to a mask D, then ``min sum ||u_i|| s.t. sum_i [ D_in v_n^T u_i on its own class, -(v_n^T u_i)_+ on the
other ] >= demand_n`` is convex without any cone constraint, a restriction of the true problem (``(z)_+ >= D
z``), and exact if D is the mask of an optimum. Hinge variables carry the second kind of term. Solved by
Clarabel, on sparse arrays assembled here.
"""

from __future__ import annotations

from dataclasses import dataclass

import clarabel
import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from convexrelu.errors import SolverError
from convexrelu.solvers.problem import Neurons, Problem

__all__ = ["Reduced", "distinct_masks", "own_masks", "resolved", "solve_reduced"]

# Asked of the interior-point method; what it reached is measured by the caller, never assumed.
_TOLERANCE = 1e-10
_SLACK_PRICE = 1e4  # of slack where the problem forbids it, per unit of the objective
_USABLE = {"Solved", "AlmostSolved", "InsufficientProgress", "MaxIterations"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Reduced:
    """The solver's answer, approximate and to be verified: neurons, and multipliers of the margins."""

    neurons: Neurons
    mu: Float[np.ndarray, " k"]


def own_masks(problem: Problem, neurons: Neurons) -> Bool[np.ndarray, "q k"]:
    """Activities of the neurons on the rows of their own class, False on the others."""
    masks: np.ndarray = (neurons.U @ problem.rows.T > 0) & (neurons.signs[:, None] == problem.y)
    return masks


def distinct_masks(
    masks: Bool[np.ndarray, "q k"], signs: Float[np.ndarray, " q"]
) -> tuple[Bool[np.ndarray, "p k"], Float[np.ndarray, " p"]]:
    """Each (mask, sign) once, in order of first appearance.

    Neurons active on no row of their class are dropped.
    """
    useful = masks.any(axis=1)
    keyed = np.column_stack([masks[useful], signs[useful] > 0])
    _, first = np.unique(keyed, axis=0, return_index=True)
    first = np.sort(first)
    return masks[useful][first], signs[useful][first]


def solve_reduced(
    problem: Problem,
    masks: Bool[np.ndarray, "q k"],
    signs: Float[np.ndarray, " q"],
    *,
    penalty: float,
    size: float,
) -> Reduced:
    """Solve the program of neurons with these own-class masks.

    `penalty` prices slack where the problem forbids it. `size` is an estimate of the optimal value: the
    solver works in units of it, where its stopping rules mean what they say.
    """
    q, r = len(signs), problem.rows.shape[1]
    k = len(problem.y)
    other = np.argwhere(signs[:, None] != problem.y)  # (neuron, row) pairs that need a hinge
    caps = np.minimum(problem.caps, penalty)
    blocks = _constraints(problem, masks, signs, other)
    n_sizes, n_hinges = q, len(other)
    cost = np.r_[np.zeros(q * r), np.ones(n_sizes), np.zeros(n_hinges), caps]
    rhs = np.r_[-problem.demand / size, np.zeros(2 * n_hinges + k + q * (r + 1))]
    cones = [clarabel.NonnegativeConeT(k + 2 * n_hinges + k), *[clarabel.SecondOrderConeT(r + 1)] * q]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    linear = sparse.csc_matrix((len(cost), len(cost)))
    answer = clarabel.DefaultSolver(linear, cost, blocks, rhs, cones, settings).solve()
    if str(answer.status) not in _USABLE or not np.isfinite(answer.x).all():
        raise SolverError(f"the reduced program of {q} neurons failed: Clarabel says {answer.status}")
    x, z = np.asarray(answer.x), np.asarray(answer.z)
    return Reduced(neurons=Neurons(U=size * x[: q * r].reshape(q, r), signs=signs), mu=np.maximum(z[:k], 0.0))


def resolved(problem: Problem, neurons: Neurons) -> Reduced:
    """Return the best neurons with the activities of the given ones, one for each of these.

    Raises SolverError if that fails, or no neuron is active on its own class.
    """
    masks, signs = distinct_masks(own_masks(problem, neurons), neurons.signs)
    size = float(np.linalg.norm(neurons.U, axis=1).sum())
    if not len(signs) or size == 0:
        raise SolverError("no neuron is active on its own class")
    return solve_reduced(problem, masks, signs, penalty=_SLACK_PRICE * max(size, 1.0), size=size)


def _constraints(
    problem: Problem, masks: Bool[np.ndarray, "q k"], signs: Float[np.ndarray, " q"], other: np.ndarray
) -> sparse.csc_matrix:
    """The matrix A of ``A x + s = b``, s in the cones; columns: u (q r), sizes (q), hinges, slacks (k)."""
    q, r = len(signs), problem.rows.shape[1]
    k, n_hinges = len(problem.y), len(other)
    neuron, row = other.T
    own = (masks[:, :, None] * problem.rows).transpose(1, 0, 2).reshape(k, q * r)
    hinge_of_row = sparse.csr_array((np.ones(n_hinges), (row, np.arange(n_hinges))), shape=(k, n_hinges))
    columns = neuron[:, None] * r + np.arange(r)
    through = sparse.csr_array(
        (problem.rows[row].ravel(), (np.repeat(np.arange(n_hinges), r), columns.ravel())),
        shape=(n_hinges, q * r),
    )
    identity = sparse.eye_array(n_hinges)
    cone_rows = np.arange(q * (r + 1)).reshape(q, r + 1)
    size_part = sparse.csr_array((np.ones(q), (cone_rows[:, 0], np.arange(q))), shape=(q * (r + 1), q))
    u_part = sparse.csr_array(
        (np.ones(q * r), (cone_rows[:, 1:].ravel(), np.arange(q * r))), shape=(q * (r + 1), q * r)
    )
    grid: list[list[sparse.sparray | None]] = [
        [-sparse.csr_array(own), sparse.csr_array((k, q)), hinge_of_row, -sparse.eye_array(k)],  # margins
        [None, None, -identity, None],  # hinge >= 0
        [through, None, -identity, None],  # hinge >= v^T u
        [None, None, None, -sparse.eye_array(k)],  # slack >= 0
        [-u_part, -size_part, None, None],  # (size, u) in the second-order cone
    ]
    if n_hinges == 0:
        grid = [
            [part for j, part in enumerate(line) if j != 2] for i, line in enumerate(grid) if i not in (1, 2)
        ]
    return sparse.csc_matrix(sparse.block_array(grid, format="csc"))
