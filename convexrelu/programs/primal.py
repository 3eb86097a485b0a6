"""The convex group-l1 program of max-margin training over given patterns.

``min sum_j ||u_j|| + ||u'_j||  s.t.  Y sum_j D_j X (u_j - u'_j) >= 1,  (2D_j - I) X u_j >= 0,  (2D_j - I) X
u'_j >= 0`` (WP eq. (14), with the sign of eq. (7)). A finite C adds ``C sum_n xi_n`` to the objective and
xi_n >= 0 to the margins. For K classes the K programs stand side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convexrelu._typing import ArrayLike
from convexrelu.programs.inputs import ProgramInputs, check_inputs

if TYPE_CHECKING:
    import cvxpy as cp

__all__ = ["PrimalProgram", "primal_program"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PrimalProgram:
    """The primal as a cvxpy problem, not yet solved.

    Attributes
    ----------
    problem : cvxpy.Problem
        Solve it with any conic solver; :func:`convexrelu.solve_max_margin` also verifies what the solver
        returns.
    positive, negative : tuple of cvxpy.Variable, each (p, d)
        The u_j and u'_j, one matrix for each binary program.
    margins : tuple of cvxpy.Constraint
        The margin constraints; their dual values are ``y_n lam_n``.
    """

    problem: cp.Problem
    positive: tuple[cp.Variable, ...]
    negative: tuple[cp.Variable, ...]
    margins: tuple[cp.Constraint, ...]


def primal_program(X: ArrayLike, y: ArrayLike, patterns: ArrayLike, *, C: float = np.inf) -> PrimalProgram:
    """Return the primal program over the given patterns.

    With all of them its value is P*, with some an upper bound on it.

    Parameters
    ----------
    X : (n, d) array
        The data.
    y : (n,) array
        Two labels of any kind (the larger is +1), or K > 2 classes.
    patterns : (p, n) bool array
        Masks D_j, such as ``enumerate_patterns(X).patterns``.
    C : float, default inf
        Penalty of slack; inf is the hard margin.

    Returns
    -------
    PrimalProgram
        ``.problem`` is the cvxpy problem.

    Raises
    ------
    InvalidInputError
        If shapes disagree, X is not finite, the patterns are not boolean, or C is not positive.

    Examples
    --------
    >>> from convexrelu import enumerate_patterns
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> program = primal_program(X, y, enumerate_patterns(X).patterns)
    >>> float(program.problem.solve(solver="CLARABEL"))
    1.28243
    """
    inputs = check_inputs(X, y, patterns, C)
    return build_primal(inputs, np.ones(len(inputs.X)), np.full(len(inputs.X), inputs.C))


def build_primal(inputs: ProgramInputs, demand: np.ndarray, caps: np.ndarray) -> PrimalProgram:
    """The program with a margin and a price of slack for each row.

    These are ``demand`` and ``caps``: ones and C in the textbook form.
    """
    import cvxpy as cp

    p, d = len(inputs.patterns), inputs.X.shape[1]
    D = inputs.patterns.astype(float)
    objective, constraints = 0, []
    positive, negative, margins = [], [], []
    for labels in inputs.Y:
        U, V = cp.Variable((p, d), name="u"), cp.Variable((p, d), name="u_prime")
        products, products_prime = U @ inputs.X.T, V @ inputs.X.T
        outputs = cp.sum(cp.multiply(D, products - products_prime), axis=0)
        slack = 0
        if np.isfinite(inputs.C):
            slack = cp.Variable(len(demand), nonneg=True, name="xi")
            objective = objective + caps @ slack
        margin = cp.multiply(labels, outputs) + slack >= demand
        objective = objective + cp.sum(cp.norm(U, 2, axis=1)) + cp.sum(cp.norm(V, 2, axis=1))
        constraints += [
            margin,
            cp.multiply(2 * D - 1, products) >= 0,
            cp.multiply(2 * D - 1, products_prime) >= 0,
        ]
        positive.append(U)
        negative.append(V)
        margins.append(margin)
    problem = cp.Problem(cp.Minimize(objective), constraints)
    return PrimalProgram(
        problem=problem, positive=tuple(positive), negative=tuple(negative), margins=tuple(margins)
    )
