"""A proven bound on the dual norm in any dimension, from numbers that need not be trusted.

In the zonotope form ``f(lam) = max_s min_t ||sum_i s_i p_i - sum_j t_j q_j||`` the adversary picks s in {0,
1}^p and the answer is any t in [0, 1]^l. An affine answer ``t = t0 + T s`` that stays in the box for every s
leaves ``f(lam) <= max_s ||D s + c||``, and with ``s = (1 + sigma)/2`` and ``B = [D 1/2 + c, D/2]``, for any
mu > 0, ``||B (1, sigma)||^2 <= (sum mu) ||B diag(mu)^{-1/2}||_2^2``: the diagonal relaxation of that maximum.

Branches: fixing on which side of the hyperplane of row n the neuron lies (``b x_n^T u >= 0``, b = +-1) makes
that row linear, and ``z b x_n`` with any z >= 0 may be added to the sum (the multipliers of WP (15)): the row
becomes one more answer, without an upper limit. The branches of a binary tree cover every neuron, so the
largest of their bounds holds for all. Whatever T, t0 and mu are, they are first moved into their sets, and
the bound covers the rounding of its own evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from convexrelu.errors import InvalidInputError
from convexrelu.oracle.neuron import DualNorm, dual_norm

__all__ = ["Leaf", "Relaxation", "Roles", "inside_box", "relaxed_bound", "relaxed_norm", "roles"]

_EPS = float(np.finfo(float).eps)
# LAPACK's singular values are those of a matrix that differs by a modest multiple of eps times its norm.
_SINGULAR_VALUES = 8
_EXACT_TOL = 1e-9  # as the oracle's own default


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaf:
    """A branch of the search over neurons, and what bounds the correlation on it.

    Generators are ``lam_n x_n``. With ``sign * lam`` for lam: the free rows are those with positive entries
    that are not fixed; the answering rows those with negative entries that are not fixed, then the fixed
    ones.

    Attributes
    ----------
    sign : float
        +1 bounds the correlation with lam, -1 that with -lam.
    rows : (f,) int array
        The rows of X whose side is fixed, in the order of the tree.
    sides : (f,) float array
        +1 where ``x_n^T u >= 0``, -1 where ``<= 0``.
    T : (l, p) float array
        Answers to the free rows, in units of the answering rows' generators.
    t0 : (l,) float array
        Their constant part.
    mu : (p + 1,) float array
        Multipliers of the diagonal relaxation, the constant column's first; their scale does not matter.
    """

    sign: float
    rows: Int[np.ndarray, " f"]
    sides: Float[np.ndarray, " f"]
    T: Float[np.ndarray, "l p"]
    t0: Float[np.ndarray, " l"]
    mu: Float[np.ndarray, " p1"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Relaxation:
    """What proves an upper bound on the dual norm of one dual variable without a search.

    Attributes
    ----------
    leaves : tuple of Leaf
        Those of each sign form a binary tree. None at all: the bound is what the structure of the rows alone
        proves.
    """

    leaves: tuple[Leaf, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Roles:
    """Which rows the adversary and which the answer controls, on one branch.

    Attributes
    ----------
    free, answering, fixed, active : int arrays
        Rows of positive weight whose activity is free; rows of negative weight; rows whose side is fixed, in
        the order given; those of them on their active side.
    """

    free: Int[np.ndarray, " p"]
    answering: Int[np.ndarray, " q"]
    fixed: Int[np.ndarray, " f"]
    active: Int[np.ndarray, " a"]


def roles(
    weights: Float[np.ndarray, " k"], rows: Int[np.ndarray, " f"], sides: Float[np.ndarray, " f"]
) -> Roles:
    """Return the roles of rows with these weights (any scale) when the sides of some are fixed."""
    open_rows = np.ones(len(weights), dtype=bool)
    open_rows[rows] = False
    return Roles(
        free=np.flatnonzero(open_rows & (weights > 0)),
        answering=np.flatnonzero(open_rows & (weights < 0)),
        fixed=rows,
        active=rows[sides > 0],
    )


def relaxed_norm(
    X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"], relaxation: Relaxation
) -> DualNorm:
    """Return the dual norm as far as the structure of the rows and a relaxation prove it, without a search.

    Raises InvalidInputError as :func:`relaxed_bound`.
    """
    known = dual_norm(X, lam, search=False)
    upper = max(relaxed_bound(X, lam, relaxation), known.value)
    if upper >= known.upper_bound:
        return known
    exact = known.exact or upper - known.value <= _EXACT_TOL * known.value
    return replace(known, upper_bound=upper, exact=bool(exact))


def relaxed_bound(X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"], relaxation: Relaxation) -> float:
    """Return a proven upper bound on h(lam), whatever the relaxation's numbers are.

    Infinity if it has no leaves. Raises InvalidInputError if the leaves of a sign do not form a tree, or
    arrays do not match the rows.
    """
    if not relaxation.leaves:
        return float("inf")
    if not all(leaf.sign in (1.0, -1.0) for leaf in relaxation.leaves):
        raise InvalidInputError("a leaf's sign must be +1 or -1")
    with np.errstate(all="ignore"):  # absurd numbers end as a bound of infinity
        bound = _bound(X, lam, relaxation)
    return bound if np.isfinite(bound) else float("inf")


def _bound(X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"], relaxation: Relaxation) -> float:
    support = np.flatnonzero((lam != 0) & X.any(axis=1))
    generators = X[support] * np.abs(lam[support])[:, None]
    size = float(np.abs(generators).max(initial=0.0))
    if size == 0 or not np.isfinite(size):
        return size
    exponent = int(np.frexp(size)[1])
    generators = np.ldexp(generators, -exponent)  # exact: no square over- or underflows
    bounds = []
    for sign in (1.0, -1.0):
        leaves = [leaf for leaf in relaxation.leaves if leaf.sign == sign]
        if not _is_tree([list(zip(leaf.rows.tolist(), leaf.sides.tolist(), strict=True)) for leaf in leaves]):
            raise InvalidInputError(f"the leaves of sign {sign:+.0f} must form a binary tree over fixed rows")
        weights = sign * np.sign(lam[support])
        bounds += [_leaf_bound(generators, weights, _on_support(leaf, support)) for leaf in leaves]
    return float(np.ldexp(np.max(bounds), exponent))


def _is_tree(paths: Sequence[Sequence[tuple[int, float]]]) -> bool:
    """Whether paths of fixed sides are the leaves of one binary tree, so that every neuron is on one.

    No path may fix a row twice: its generator would count as often.
    """
    if not all(len({row for row, _ in path}) == len(path) for path in paths):
        return False
    open_nodes = [(list(paths), 0)]
    while open_nodes:
        here, depth = open_nodes.pop()
        if len(here) == 1 and len(here[0]) == depth:
            continue
        if not here or min(map(len, here)) <= depth or len({path[depth][0] for path in here}) > 1:
            return False
        open_nodes += [([path for path in here if path[depth][1] == side], depth + 1) for side in (1.0, -1.0)]
    return True


def _on_support(leaf: Leaf, support: Int[np.ndarray, " k"]) -> Leaf:
    """The leaf with its rows counted within the support."""
    place = np.searchsorted(support, leaf.rows)
    known = place < len(support)
    if not known.all() or (support[place] != leaf.rows).any():
        raise InvalidInputError("a relaxation must fix rows on which lam is not zero")
    if not np.isin(leaf.sides, (1.0, -1.0)).all():
        raise InvalidInputError("a relaxation's sides must be +1 or -1")
    return replace(leaf, rows=place)


def _leaf_bound(generators: Float[np.ndarray, "k d"], signs: Float[np.ndarray, " k"], leaf: Leaf) -> float:
    """Bound the correlation on a branch, given the rows times ``|lam_n|`` and the signs of the weights."""
    part = roles(signs, leaf.rows, leaf.sides)
    answers = np.vstack([generators[part.answering], -leaf.sides[:, None] * generators[part.fixed]])
    n_capped, p, n_answers = len(part.answering), len(part.free), len(answers)
    if leaf.T.shape != (n_answers, p) or leaf.t0.shape != (n_answers,) or leaf.mu.shape != (p + 1,):
        raise InvalidInputError(
            f"a leaf with {p} free and {n_answers} answering rows needs T ({n_answers}, {p}), t0 and mu to "
            f"match, got {leaf.T.shape}, {leaf.t0.shape} and {leaf.mu.shape}"
        )
    if not (leaf.mu > 0).all() or not all(np.isfinite(v).all() for v in (leaf.T, leaf.t0, leaf.mu)):
        raise InvalidInputError("a leaf's T, t0 and mu must be finite, and mu positive")
    T, t0 = inside_box(leaf.T, leaf.t0, n_capped)
    constant, coupled = t0 + 0.5 * T.sum(axis=1), 0.5 * T
    shift = signs[part.active] @ generators[part.active]
    B = np.empty((p + 1, generators.shape[1]))  # one column of the text's B a row
    B[0] = 0.5 * generators[part.free].sum(axis=0) + shift - constant @ answers
    B[1:] = 0.5 * generators[part.free] - coupled.T @ answers
    root = np.sqrt(leaf.mu / leaf.mu.max())
    if not np.isfinite(B / root[:, None]).all():
        return float("inf")
    scale = float(np.linalg.norm(root))  # the root of sum mu
    norm = float(np.linalg.norm(B / root[:, None], 2))
    # what rounding may have done: to the columns of B, to the singular value, to the box
    sizes, lengths = np.linalg.norm(generators, axis=1), np.linalg.norm(answers, axis=1)
    moved = np.empty(p + 1)
    moved[0] = sizes[part.free].sum() + sizes[part.active].sum() + (np.abs(constant) @ lengths)
    moved[1:] = sizes[part.free] + np.abs(coupled).T @ lengths
    terms = len(generators) + 8
    columns = terms * _EPS * float(np.linalg.norm(moved / root))
    values = _SINGULAR_VALUES * (sum(B.shape) + 8) * _EPS * norm
    box = terms * _EPS * float((np.abs(t0) + np.abs(T).sum(axis=1)) @ lengths)
    return scale * (norm + columns + values) + box


def inside_box(
    T: Float[np.ndarray, "l p"], t0: Float[np.ndarray, " l"], n_capped: int
) -> tuple[Float[np.ndarray, "l p"], Float[np.ndarray, " l"]]:
    """Return affine answers that are non-negative for every s, the first `n_capped` also at most 1."""
    total = np.abs(T).sum(axis=1)
    shrink = np.ones(len(T))
    shrink[:n_capped] = 1.0 / np.maximum(total[:n_capped], 1.0)
    T = T * shrink[:, None]
    lowest = np.maximum(-T, 0).sum(axis=1)
    highest = np.full(len(T), np.inf)
    highest[:n_capped] = 1.0 - np.maximum(T, 0).sum(axis=1)[:n_capped]
    return T, np.maximum(np.minimum(t0 * shrink, highest), lowest)
