"""The convex program of max-margin training over given patterns, and its dual, as cvxpy problems.

The primal is ``min sum_j ||u_j|| + ||u'_j||  s.t.  Y sum_j D_j X (u_j - u'_j) >= 1,  (2D_j - I) X u_j >= 0,
(2D_j - I) X u'_j >= 0`` (WP eq. (14), with the sign of eq. (7)). A finite C adds ``C sum_n xi_n`` to the
objective and xi_n >= 0 to the margins.

The dual is ``max y^T lam  s.t.  Y lam >= 0`` and, for every pattern, z_j, z'_j >= 0 with ``||X^T D_j lam +
X^T (2D_j - I) z_j|| <= 1`` and ``||-X^T D_j lam + X^T (2D_j - I) z'_j|| <= 1`` (WP eq. (129), corrected: as
printed the two constraints coincide and the program is unbounded). A finite C adds ``y_n lam_n <= C``.

For K classes the K programs stand side by side. Both are built here and solved elsewhere. With a loss and
weight decay in place of the margins they are those of :mod:`.regularized`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_class_labels, as_matrix, as_penalty, one_vs_rest
from convexrelu.errors import InvalidInputError
from convexrelu.losses import Loss
from convexrelu.programs.installed import check_cvxpy
from convexrelu.programs.regularized import (
    OutputBias,
    RegularizedDual,
    RegularizedPrimal,
    build_regularized_dual,
    build_regularized_primal,
    check_regularized,
)

if TYPE_CHECKING:
    import cvxpy as cp

__all__ = ["DualProgram", "PrimalProgram", "dual_program", "primal_program"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ProgramInputs:
    """Checked arguments of a program.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    Y : (K, n) float array
        One row of +-1 labels for each binary program: a single one for two labels, one-vs-rest for K > 2 (WP
        section 2).
    patterns : (p, n) bool array
        Masks D_j.
    C : float
        Penalty of slack, inf for none.
    """

    X: Float[np.ndarray, "n d"]
    Y: Float[np.ndarray, "K n"]
    patterns: Bool[np.ndarray, "p n"]
    C: float


def check_inputs(X: ArrayLike, y: ArrayLike, patterns: ArrayLike, C: float) -> ProgramInputs:
    """Return the arguments as clean arrays, or raise InvalidInputError."""
    matrix = as_matrix(X)
    labels = as_class_labels(y, length=len(matrix))
    masks = np.asarray(patterns)
    if masks.ndim != 2 or masks.shape[1] != len(matrix) or not len(masks):
        raise InvalidInputError(f"patterns must have shape (p, {len(matrix)}) with p >= 1, got {masks.shape}")
    if not np.isin(masks, (0, 1)).all():
        raise InvalidInputError("patterns must hold booleans (or 0 and 1), got other values")
    return ProgramInputs(X=matrix, Y=one_vs_rest(labels).Y, patterns=masks.astype(bool), C=as_penalty(C))


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


@overload
def primal_program(
    X: ArrayLike, y: ArrayLike, patterns: ArrayLike, *, C: float = ..., loss: None = None, beta: None = None
) -> PrimalProgram: ...


@overload
def primal_program(
    X: ArrayLike,
    y: ArrayLike,
    patterns: ArrayLike,
    *,
    loss: str | Loss,
    beta: float,
    sample_weight: ArrayLike | None = ...,
    output_bias: OutputBias = ...,
    skip: bool = ...,
    gated: bool = ...,
) -> RegularizedPrimal: ...


def primal_program(
    X: ArrayLike,
    y: ArrayLike,
    patterns: ArrayLike,
    *,
    C: float = np.inf,
    loss: str | Loss | None = None,
    beta: float | None = None,
    sample_weight: ArrayLike | None = None,
    output_bias: OutputBias = False,
    skip: bool = False,
    gated: bool = False,
) -> PrimalProgram | RegularizedPrimal:
    """Return the primal program over the given patterns.

    With all of them its value is P*, with some an upper bound on it.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    y : (n,) array_like
        Two labels of any kind (the larger is +1), or K > 2 classes.
    patterns : (p, n) bool array_like
        Masks D_j, such as ``enumerate_patterns(X).patterns``.
    C : float, default inf
        Penalty of slack; inf is the hard margin.
    loss : str, Loss or None
        With `beta`: training with weight decay ``sum_n s_n l(f(x_n), y_n) + beta/2 ||theta||^2`` instead, as
        :func:`convexrelu.solve` has it; y are then the loss's targets.
    beta : float or None
        Price of the weights.
    sample_weight : (n,) array_like or None
        The s_n, positive; by default ones.
    output_bias : bool or "penalised", default False
        Whether outputs have a constant, without or with its penalty beta b^2 / 2.
    skip : bool, default False
        Whether outputs have a linear part without penalty.
    gated : bool, default False
        Whether the patterns are those of fixed gates: no cones, and each may have either sign.

    Returns
    -------
    PrimalProgram or RegularizedPrimal
        ``.problem`` is the cvxpy problem.

    Raises
    ------
    InvalidInputError
        If shapes disagree, X is not finite, the patterns are not boolean, or another argument is not what
        it must be.

    Examples
    --------
    >>> from convexrelu import enumerate_patterns
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> program = primal_program(X, y, enumerate_patterns(X).patterns)
    >>> float(program.problem.solve(solver="CLARABEL"))
    1.28243
    """
    check_cvxpy()
    if loss is not None:
        if np.isfinite(C):
            raise InvalidInputError("C is the price of slack of max-margin training: a loss has beta instead")
        return build_regularized_primal(
            check_regularized(
                X,
                y,
                patterns,
                loss=loss,
                beta=beta,
                sample_weight=sample_weight,
                output_bias=output_bias,
                skip=skip,
                gated=gated,
            )
        )
    if beta is not None or sample_weight is not None or output_bias or skip or gated:
        raise InvalidInputError("beta, sample_weight, output_bias, skip and gated go with a loss, got none")
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


@overload
def dual_program(
    X: ArrayLike, y: ArrayLike, patterns: ArrayLike, *, C: float = ..., loss: None = None, beta: None = None
) -> DualProgram: ...


@overload
def dual_program(
    X: ArrayLike,
    y: ArrayLike,
    patterns: ArrayLike,
    *,
    loss: str | Loss,
    beta: float,
    sample_weight: ArrayLike | None = ...,
    output_bias: OutputBias = ...,
    skip: bool = ...,
    gated: bool = ...,
) -> RegularizedDual: ...


def dual_program(
    X: ArrayLike,
    y: ArrayLike,
    patterns: ArrayLike,
    *,
    C: float = np.inf,
    loss: str | Loss | None = None,
    beta: float | None = None,
    sample_weight: ArrayLike | None = None,
    output_bias: OutputBias = False,
    skip: bool = False,
    gated: bool = False,
) -> DualProgram | RegularizedDual:
    """Return the dual program over the given patterns.

    With all of them its value is P*, with some an upper bound on it.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    y : (n,) array_like
        Two labels of any kind (the larger is +1), or K > 2 classes.
    patterns : (p, n) bool array_like
        Masks D_j, such as ``enumerate_patterns(X).patterns``.
    C : float, default inf
        Penalty of slack in the primal; here the cap on ``y_n lam_n``.
    loss : str, Loss or None
        With `beta`: training with weight decay ``sum_n s_n l(f(x_n), y_n) + beta/2 ||theta||^2`` instead, as
        :func:`convexrelu.solve` has it; y are then the loss's targets.
    beta : float or None
        Price of the weights.
    sample_weight : (n,) array_like or None
        The s_n, positive; by default ones.
    output_bias : bool or "penalised", default False
        Whether outputs have a constant, without or with its penalty beta b^2 / 2.
    skip : bool, default False
        Whether outputs have a linear part without penalty.
    gated : bool, default False
        Whether the patterns are those of fixed gates: no cones, and each may have either sign.

    Returns
    -------
    DualProgram or RegularizedDual
        ``.problem`` is the cvxpy problem.

    Raises
    ------
    InvalidInputError
        If shapes disagree, X is not finite, the patterns are not boolean, or another argument is not what
        it must be.

    Examples
    --------
    >>> from convexrelu import enumerate_patterns
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> program = dual_program(X, y, enumerate_patterns(X).patterns)
    >>> float(program.problem.solve(solver="CLARABEL"))
    1.28243
    """
    check_cvxpy()
    import cvxpy as cp

    if loss is not None:
        if np.isfinite(C):
            raise InvalidInputError("C is the price of slack of max-margin training: a loss has beta instead")
        return build_regularized_dual(
            check_regularized(
                X,
                y,
                patterns,
                loss=loss,
                beta=beta,
                sample_weight=sample_weight,
                output_bias=output_bias,
                skip=skip,
                gated=gated,
            )
        )
    if beta is not None or sample_weight is not None or output_bias or skip or gated:
        raise InvalidInputError("beta, sample_weight, output_bias, skip and gated go with a loss, got none")
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
