"""The dual of max-margin training as a second-order cone program over given patterns.

``max y^T lam  s.t.  Y lam >= 0`` and, for every pattern, z_j, z'_j >= 0 with ``||X^T D_j lam + X^T (2D_j - I)
z_j|| <= 1`` and ``||-X^T D_j lam + X^T (2D_j - I) z'_j|| <= 1`` (WP eq. (129), corrected: as printed the two
constraints coincide and the program is unbounded). A finite C adds ``y_n lam_n <= C``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convexrelu._typing import ArrayLike
from convexrelu.programs.inputs import check_inputs

if TYPE_CHECKING:
    import cvxpy as cp

__all__ = ["DualProgram", "dual_program"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DualProgram:
    """The dual as a cvxpy problem, not yet solved.

    Attributes
    ----------
    problem : cvxpy.Problem
        A maximisation.
    lam : tuple of cvxpy.Variable, each (n,)
        The dual variables, one for each binary program.
    """

    problem: cp.Problem
    lam: tuple[cp.Variable, ...]


def dual_program(X: ArrayLike, y: ArrayLike, patterns: ArrayLike, *, C: float = np.inf) -> DualProgram:
    """Return the dual program over the given patterns.

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
        Penalty of slack in the primal; here the cap on ``y_n lam_n``.

    Returns
    -------
    DualProgram
        ``.problem`` is the cvxpy problem.

    Raises
    ------
    InvalidInputError
        If shapes disagree, X is not finite, the patterns are not boolean, or C is not positive.

    Examples
    --------
    >>> from convexrelu import enumerate_patterns
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> program = dual_program(X, y, enumerate_patterns(X).patterns)
    >>> float(program.problem.solve(solver="CLARABEL"))
    1.28243
    """
    import cvxpy as cp

    inputs = check_inputs(X, y, patterns, C)
    D = inputs.patterns.astype(float)
    p, n = D.shape
    objective, constraints, duals = 0, [], []
    for labels in inputs.Y:
        lam = cp.Variable(n, name="lam")
        # the same lam in every row: one matrix product instead of a loop over patterns
        masked = cp.multiply(D, np.ones((p, 1)) @ cp.reshape(lam, (1, n), order="C"))
        objective = objective + labels @ lam
        constraints.append(cp.multiply(labels, lam) >= 0)
        if np.isfinite(inputs.C):
            constraints.append(cp.multiply(labels, lam) <= inputs.C)
        for sign in (1.0, -1.0):
            Z = cp.Variable((p, n), nonneg=True, name="z" if sign > 0 else "z_prime")
            columns = sign * masked + cp.multiply(2 * D - 1, Z)
            constraints.append(cp.norm(columns @ inputs.X, 2, axis=1) <= 1)
        duals.append(lam)
    return DualProgram(problem=cp.Problem(cp.Maximize(objective), constraints), lam=tuple(duals))
