"""The convex program of training with weight decay over given patterns, for any loss, and its dual.

The primal is ``min sum_n s_n l(f_n, y_n) + beta sum_j (||u_j|| + ||u'_j||)`` with ``f = sum_j D_j X (u_j -
u'_j)`` over the cones ``(2D_j - I) X u_j >= 0``, and a constant b and a linear part ``X c`` in f if they are
asked for.

The dual is ``max -sum_n s_n l*(-lam_n / s_n)`` over lam such that for every pattern there are z_j, z'_j >= 0
with ``||X^T D_j lam + X^T (2D_j - I) z_j|| <= beta`` and ``||-X^T D_j lam + X^T (2D_j - I) z'_j|| <= beta``.
An unpenalised b adds ``sum lam = 0``, the linear part ``X^T lam = 0``, and a penalty ``beta b^2 / 2``
subtracts ``(sum lam)^2 / (2 beta)`` from what is maximised.

Gated, there are no cones, and no u'_j or z: ``min loss + beta sum_j ||u_j||`` and ``||X^T D_j lam|| <=
beta``. With K outputs u_j is a matrix, its norm the nuclear one, and that of the dual the spectral one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import xlogy

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix, as_vector, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.losses import Loss, PieceLoss, get_loss

if TYPE_CHECKING:
    import cvxpy as cp

__all__ = [
    "OutputBias",
    "RegularizedDual",
    "RegularizedInputs",
    "RegularizedPrimal",
    "build_regularized_dual",
    "build_regularized_primal",
    "check_regularized",
]

OutputBias = bool | Literal["penalised"]
"""Whether a network has a constant output: no, without a penalty, or with the penalty beta b^2 / 2."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RegularizedInputs:
    """Checked arguments of a program.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    y : (n,) or (n, K) float array
        Targets, as the loss takes them.
    patterns : (p, n) bool array
        Masks D_j.
    loss : Loss
        Of one sample.
    beta : float
        Price of the weights.
    weights : (n,) float array
        Of the samples, positive.
    output_bias : bool or "penalised"
        Whether there is a constant output.
    skip : bool
        Whether there is a linear one.
    gated : bool
        Whether the patterns are those of fixed gates.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, "n ..."]
    patterns: Bool[np.ndarray, "p n"]
    loss: Loss
    beta: float
    weights: Float[np.ndarray, " n"]
    output_bias: OutputBias
    skip: bool
    gated: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class RegularizedPrimal:
    """The primal as a cvxpy problem, not yet solved.

    Attributes
    ----------
    problem : cvxpy.Problem
        A minimisation.
    positive, negative : tuple of cvxpy.Variable
        The u_j and u'_j, (p, d) each; gated, one (p, d) for each output and no negative ones.
    outputs : cvxpy.Expression
        f, (n,) or (n, K).
    """

    problem: cp.Problem
    positive: tuple[cp.Variable, ...]
    negative: tuple[cp.Variable, ...]
    outputs: cp.Expression


@dataclass(frozen=True, kw_only=True, eq=False)
class RegularizedDual:
    """The dual as a cvxpy problem, not yet solved.

    Attributes
    ----------
    problem : cvxpy.Problem
        A maximisation.
    lam : cvxpy.Variable
        (n,) or (n, K).
    """

    problem: cp.Problem
    lam: cp.Variable


def check_regularized(
    X: ArrayLike,
    y: ArrayLike,
    patterns: ArrayLike,
    *,
    loss: str | Loss,
    beta: float | None,
    sample_weight: ArrayLike | None,
    output_bias: OutputBias,
    skip: bool,
    gated: bool,
) -> RegularizedInputs:
    """Return the arguments as clean arrays, or raise InvalidInputError."""
    matrix, rule = as_matrix(X), get_loss(loss)
    n = len(matrix)
    masks = np.asarray(patterns)
    if masks.ndim != 2 or masks.shape[1] != n or not len(masks) or not np.isin(masks, (0, 1)).all():
        raise InvalidInputError(f"patterns must be booleans of shape (p, {n}) with p >= 1, got {masks.shape}")
    if beta is None:
        raise InvalidInputError("beta, the price of the weights, must be given with a loss")
    if output_bias not in (False, True, "penalised"):
        raise InvalidInputError(f"output_bias must be False, True or 'penalised', got {output_bias!r}")
    if rule.vector and not gated:
        raise InvalidInputError(
            "the program of ReLU networks with several outputs has no tractable norm; with gated=True it has"
        )
    weights = np.ones(n) if sample_weight is None else as_vector(sample_weight, "sample_weight", length=n)
    if not (weights > 0).all():
        raise InvalidInputError("sample_weight must be positive: leave samples of weight zero out")
    return RegularizedInputs(
        X=matrix,
        y=rule.targets(y, length=n),
        patterns=masks.astype(bool),
        loss=rule,
        beta=check_positive(beta, "beta"),
        weights=weights,
        output_bias=output_bias,
        skip=bool(skip),
        gated=gated,
    )


def build_regularized_primal(inputs: RegularizedInputs) -> RegularizedPrimal:
    """Return the program of checked arguments."""
    import cvxpy as cp

    X, D = inputs.X, inputs.patterns.astype(float)
    p, d, K = len(D), X.shape[1], inputs.y.shape[1] if inputs.loss.vector else 1

    def part(U: cp.Variable) -> cp.Expression:
        return cp.sum(cp.multiply(D, U @ X.T), axis=0)

    constraints = []
    if inputs.gated:
        positive: tuple[Any, ...] = tuple(cp.Variable((p, d), name="u") for _ in range(K))
        negative: tuple[Any, ...] = ()
        outputs = [part(U) for U in positive]
        if K == 1:
            size = cp.sum(cp.norm(positive[0], 2, axis=1))
        else:
            size = cp.sum([cp.normNuc(cp.vstack([U[j] for U in positive])) for j in range(p)])
    else:
        U, V = cp.Variable((p, d), name="u"), cp.Variable((p, d), name="u_prime")
        positive, negative = (U,), (V,)
        outputs = [part(U) - part(V)]
        size = cp.sum(cp.norm(U, 2, axis=1)) + cp.sum(cp.norm(V, 2, axis=1))
        constraints = [cp.multiply(2 * D - 1, W @ X.T) >= 0 for W in (U, V)]
    extra = 0
    for k in range(K):
        if inputs.output_bias:
            b = cp.Variable(name="b")
            outputs[k] = outputs[k] + b
            extra = extra + (inputs.beta / 2 * cp.square(b) if inputs.output_bias == "penalised" else 0)
        if inputs.skip:
            outputs[k] = outputs[k] + X @ cp.Variable(d, name="c")
    f = cp.vstack(outputs).T if inputs.loss.vector else outputs[0]
    objective = _loss(inputs, f) + inputs.beta * size + extra
    problem = cp.Problem(cp.Minimize(objective), constraints)
    return RegularizedPrimal(problem=problem, positive=positive, negative=negative, outputs=f)


def build_regularized_dual(inputs: RegularizedInputs) -> RegularizedDual:
    """Return the dual of checked arguments."""
    import cvxpy as cp

    X, D, beta = inputs.X, inputs.patterns.astype(float), inputs.beta
    p, n = D.shape
    lam = cp.Variable(inputs.y.shape, name="lam")
    objective, constraints = _dual_term(inputs, lam)
    if inputs.loss.vector:
        constraints += [cp.sigma_max((X.T * mask) @ lam) <= beta for mask in D]
    else:
        # the same lam in every row: one matrix product instead of a loop over patterns
        masked = cp.multiply(D, np.ones((p, 1)) @ cp.reshape(lam, (1, n), order="C"))
        for sign in (1.0,) if inputs.gated else (1.0, -1.0):
            columns = sign * masked
            if not inputs.gated:
                columns = columns + cp.multiply(2 * D - 1, cp.Variable((p, n), nonneg=True, name="z"))
            constraints.append(cp.norm(columns @ X, 2, axis=1) <= beta)
    total = cp.sum(lam, axis=0)
    if inputs.output_bias == "penalised":
        objective = objective - cp.sum_squares(total) / (2 * beta)
    elif inputs.output_bias:
        constraints.append(total == 0)
    if inputs.skip:
        constraints.append(X.T @ lam == 0)
    return RegularizedDual(problem=cp.Problem(cp.Maximize(objective), constraints), lam=lam)


def _loss(inputs: RegularizedInputs, f: cp.Expression) -> cp.Expression:
    """The weighted loss of outputs f."""
    import cvxpy as cp

    loss, y, s = inputs.loss, inputs.y, inputs.weights
    if isinstance(loss, PieceLoss):
        low, high = loss.interval(y)
        if loss.name == "huber":
            terms = 0.5 * cp.huber(f - y, float(high[0]))
        elif loss.name == "squared_hinge":
            terms = 0.5 * cp.square(cp.pos(1 - cp.multiply(y, f)))
        else:
            terms = cp.multiply(high, cp.pos(y - f - loss.width)) - cp.multiply(
                low, cp.pos(f - y - loss.width)
            )
    elif loss.name == "square":
        terms = 0.5 * cp.square(f - y)
    elif loss.name == "logistic":
        terms = cp.logistic(-cp.multiply(y, f))
    elif loss.name == "exponential":
        terms = cp.exp(-cp.multiply(y, f))
    elif loss.name == "correlation":
        terms = -cp.multiply(y, f)
    elif loss.name == "poisson":
        terms = cp.exp(f) - cp.multiply(y, f) + xlogy(y, y) - y
    elif loss.name == "multi_squared":
        terms = 0.5 * cp.sum(cp.square(f - y), axis=1)
    elif loss.name == "softmax":
        terms = cp.log_sum_exp(f, axis=1) - cp.sum(cp.multiply(y, f), axis=1)
    else:
        raise InvalidInputError(f"no program is known for the loss {loss.name!r}")
    return s @ terms


def _dual_term(inputs: RegularizedInputs, lam: cp.Variable) -> tuple[cp.Expression, list[cp.Constraint]]:
    """Return ``-sum s l*(-lam / s)`` and the constraints of its domain."""
    import cvxpy as cp

    loss, y, s = inputs.loss, inputs.y, inputs.weights
    mu = cp.multiply(lam, (1 / s)[:, None] if loss.vector else 1 / s)
    a = cp.multiply(y, mu)
    if isinstance(loss, PieceLoss):
        low, high = loss.interval(y)
        terms = a - loss.width * cp.abs(mu) - loss.bend / 2 * cp.square(mu)
        ends = [
            mu[np.isfinite(low)] >= low[np.isfinite(low)],
            mu[np.isfinite(high)] <= high[np.isfinite(high)],
        ]
        return s @ terms, [end for end in ends if end.size]
    if loss.name == "square":
        return s @ (a - 0.5 * cp.square(mu)), []
    if loss.name == "logistic":
        return s @ (cp.entr(a) + cp.entr(1 - a)), []
    if loss.name == "exponential":
        return s @ (a + cp.entr(a)), []
    if loss.name == "correlation":
        return cp.Constant(0.0), [mu == y]
    if loss.name == "poisson":
        w = y - mu
        return s @ (w + cp.entr(w) + xlogy(y, y) - y), []
    if loss.name == "multi_squared":
        return s @ cp.sum(a - 0.5 * cp.square(mu), axis=1), []
    if loss.name == "softmax":
        return s @ cp.sum(cp.entr(y - mu), axis=1), [cp.sum(lam, axis=1) == 0]
    raise InvalidInputError(f"no program is known for the loss {loss.name!r}")
