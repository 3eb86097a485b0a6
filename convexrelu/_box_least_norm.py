"""The least-norm point of a zonotope translate: the one small kernel of the package.

Given rows a_1..a_k of A, a vector g and caps c, solve ``min ||g - A^T t||  s.t.  0 <= t <= c``. The set
``{A^T t}`` is a zonotope, so the answer is the distance from g to it (the oracle's inner problem), the
stationarity residual of a neuron with ties, and the velocity of the subgradient flow.

The method is an active-set one [1]_: free one variable at a time, solve the least-squares problem on the free
ones, stop at the first bound met. The objective falls at every step and there are finitely many active sets,
so it ends; the optimality conditions are checked, never assumed. A few coordinate sweeps choose the starting
bounds and nothing else.

References
----------
.. [1] P. B. Stark and R. L. Parker, "Bounded-variable least-squares: an algorithm and applications",
   Computational Statistics 10 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int

from convexrelu._typing import ArrayLike, kernel
from convexrelu._validation import as_matrix, as_vector, check_nonnegative
from convexrelu.errors import InvalidInputError

__all__ = [
    "BoxLeastNorm",
    "BoxLeastNorms",
    "box_least_norm",
    "box_least_norms",
    "copy_into",
    "dot",
    "least_norm",
    "least_norm_from",
]

# A bound variable is freed when its row makes a cosine beyond this with the residual. Below it the row lies,
# to rounding, in the span of the free rows, and freeing it would make the least-squares problem singular.
COSINE_TOL = 1e-12
# A residual this small beside ||g|| + sum_n t_n ||a_n|| is rounding: the point lies in the zonotope.
INSIDE_TOL = 4e-16
SWEEPS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxLeastNorm:
    """The least-norm point of a zonotope translate.

    Attributes
    ----------
    t : (k,) float array
        The minimiser (feasible whatever happens).
    residual : (d,) float array
        ``g - A^T t``.
    norm : float
        Its norm: an upper bound on the minimum, equal to it when `optimal`.
    optimal : bool
        Whether the optimality conditions hold to rounding (False after an early exit at `threshold`).
    """

    t: Float[np.ndarray, " k"]
    residual: Float[np.ndarray, " d"]
    norm: float
    optimal: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxLeastNorms:
    """The least-norm points of many translates of one zonotope.

    Attributes
    ----------
    t : (b, k) float array
        The minimisers, one a row.
    residuals : (b, d) float array
        ``g - A^T t`` for each.
    norms : (b,) float array
        Their norms.
    optimal : (b,) bool array
        Whether the optimality conditions hold to rounding.
    """

    t: Float[np.ndarray, "b k"]
    residuals: Float[np.ndarray, "b d"]
    norms: Float[np.ndarray, " b"]
    optimal: Bool[np.ndarray, " b"]


def box_least_norm(
    A: ArrayLike,
    g: ArrayLike,
    upper: ArrayLike,
    *,
    threshold: float = 0.0,
    start: ArrayLike | None = None,
) -> BoxLeastNorm:
    """Return the minimiser of ``||g - A^T t||`` over ``0 <= t <= upper``.

    Parameters
    ----------
    A : (k, d) array_like
        The zonotope's generators, one a row; k = 0 is allowed.
    g : (d,) array_like
        The translate.
    upper : (k,) array_like
        Caps, non-negative, ``inf`` allowed.
    threshold : float, default 0
        Stop early once the norm is at most this.
    start : (k,) array_like or None
        Minimiser of a problem nearby, clipped to the box: saves the steps that lead there.

    Returns
    -------
    BoxLeastNorm
        With ``t``, ``residual``, ``norm`` and ``optimal``.

    Raises
    ------
    InvalidInputError
        If the shapes disagree, a cap is negative or NaN, or the threshold is negative or not finite.

    Examples
    --------
    >>> box_least_norm([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], [1.0, 1.0]).residual
    array([2., 0.])
    """
    target = as_vector(g, "g")
    generators = _as_generators(A, len(target))
    caps = _as_caps(upper, len(generators))
    scaled = _Scaled.of(generators, target[None], caps)
    t, residual = np.zeros(len(generators)), scaled.targets[0].copy()
    with np.errstate(over="ignore", under="ignore"):
        level = float(np.ldexp(check_nonnegative(threshold, "threshold"), -int(scaled.sizes[0])))
    problem = scaled.generators, scaled.targets[0], scaled.caps[0], level
    if start is None:
        norm, optimal = least_norm(*problem, t, residual)
    else:
        guess = np.ldexp(as_vector(start, "start", length=len(generators)), scaled.rows - scaled.sizes[0])
        t = np.clip(guess, 0.0, scaled.caps[0])
        norm, optimal = least_norm_from(*problem, t, residual)
    T, residuals, norms = scaled.undone(t[None], residual[None], np.array([norm]), caps)
    return BoxLeastNorm(t=T[0], residual=residuals[0], norm=float(norms[0]), optimal=bool(optimal))


def box_least_norms(A: ArrayLike, G: ArrayLike, upper: ArrayLike) -> BoxLeastNorms:
    """Return the minimisers of ``||g - A^T t||`` over ``0 <= t <= upper`` for many g: one zonotope, one loop.

    Parameters
    ----------
    A : (k, d) array_like
        The zonotope's generators, one a row; k = 0 is allowed.
    G : (b, d) array_like
        The translates, one a row.
    upper : (k,) array_like
        Caps, non-negative, ``inf`` allowed.

    Returns
    -------
    BoxLeastNorms
        What :func:`box_least_norm` returns for each row of G.

    Raises
    ------
    InvalidInputError
        If the shapes disagree, or a cap is negative or NaN.

    Examples
    --------
    >>> box_least_norms([[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.5], [0.5, -2.0]], [1.0, 1.0]).norms
    array([2., 2.])
    """
    targets = as_matrix(G, "G", min_rows=0)
    generators = _as_generators(A, targets.shape[1])
    caps = _as_caps(upper, len(generators))
    scaled = _Scaled.of(generators, targets, caps)
    T, residuals = np.zeros((len(targets), len(generators))), scaled.targets.copy()
    norms, optimal = np.zeros(len(targets)), np.zeros(len(targets), dtype=np.bool_)
    _least_norms(scaled.generators, scaled.targets, scaled.caps, T, residuals, norms, optimal)
    T, residuals, norms = scaled.undone(T, residuals, norms, caps)
    return BoxLeastNorms(t=T, residuals=residuals, norms=norms, optimal=optimal)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scaled:
    """Problems with one zonotope, scaled by powers of two, which is exact: no square over- or underflows.

    Generator i is divided by two to the ``rows[i]``, translate j by two to the ``sizes[j]``.
    """

    generators: Float[np.ndarray, "k d"]
    targets: Float[np.ndarray, "b d"]
    caps: Float[np.ndarray, "b k"]
    rows: Int[np.ndarray, " k"]
    sizes: Int[np.ndarray, " b"]

    @classmethod
    def of(
        cls,
        generators: Float[np.ndarray, "k d"],
        targets: Float[np.ndarray, "b d"],
        caps: Float[np.ndarray, " k"],
    ) -> _Scaled:
        rows = np.frexp(np.abs(generators).max(axis=1, initial=0.0))[1]
        sizes = np.frexp(np.abs(targets).max(axis=1, initial=0.0))[1]
        with np.errstate(over="ignore", under="ignore"):  # a cap beyond the range of floats is none
            scaled_caps = np.ldexp(caps, rows - sizes[:, None])
        return cls(
            generators=np.ldexp(generators, -rows[:, None]),
            targets=np.ldexp(targets, -sizes[:, None]),
            caps=scaled_caps,
            rows=rows,
            sizes=sizes,
        )

    def undone(
        self,
        T: Float[np.ndarray, "b k"],
        residuals: Float[np.ndarray, "b d"],
        norms: Float[np.ndarray, " b"],
        caps: Float[np.ndarray, " k"],
    ) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, "b d"], Float[np.ndarray, " b"]]:
        """Return minimisers, residuals and norms in the scale of the data."""
        sizes = self.sizes[:, None]
        return (
            np.minimum(np.ldexp(T, sizes - self.rows), caps),
            np.ldexp(residuals, sizes),
            np.ldexp(norms, self.sizes),
        )


def _as_generators(A: ArrayLike, columns: int) -> Float[np.ndarray, "k d"]:
    return np.zeros((0, columns)) if np.size(A) == 0 else as_matrix(A, "A", columns=columns)


def _as_caps(upper: ArrayLike, length: int) -> Float[np.ndarray, " k"]:
    try:
        caps = np.asarray(upper, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"upper must be an array of real numbers: {error}") from error
    if caps.shape != (length,):
        raise InvalidInputError(f"upper must have one cap a row of A ({length}), got shape {caps.shape}")
    if np.isnan(caps).any() or (caps < 0).any():
        raise InvalidInputError(f"upper must be non-negative, got a smallest cap of {np.min(caps)}")
    return caps


@kernel
@no_type_check
def copy_into(target, source):
    """Copy a vector: numba's slice assignment costs seconds to compile, for the text of its error message."""
    for j in range(len(source)):
        target[j] = source[j]


@kernel
@no_type_check
def dot(a, b):
    """Inner product of short vectors: a loop is faster here than a library call, to run and to compile."""
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@kernel
@no_type_check
def _row_dot(A, i, b):
    """Inner product with row i, without a view of it: making one takes longer than the product."""
    total = 0.0
    for j in range(len(b)):
        total += A[i, j] * b[j]
    return total


@kernel
@no_type_check
def least_norm(A, g, upper, threshold, t, residual):
    """Minimise in place from residual = g; t and residual are outputs. Returns (norm, optimal)."""
    k, d = A.shape
    sizes = np.empty(k)
    norm = np.sqrt(dot(g, g))
    size = norm
    t[:] = 0.0
    if norm <= threshold or k == 0:
        return norm, k == 0 or norm == 0.0
    for i in range(k):
        sizes[i] = np.sqrt(dot(A[i], A[i]))
    if _sweep(A, upper, sizes, threshold, t, residual):
        norm = np.sqrt(dot(residual, residual))
        return norm, norm <= INSIDE_TOL * (size + dot(sizes, t))

    # Snap to the nearer bound; the active set grows from there.
    for i in range(k):
        t[i] = upper[i] if upper[i] < np.inf and t[i] > 0.5 * upper[i] else 0.0
    _refresh(A, g, t, residual)
    free = np.zeros(k, dtype=np.bool_)
    order = np.empty(d, dtype=np.int64)
    # numba takes a plain 0 for a type of its own, and would compile the method once more for it
    return _active_set(A, g, upper, sizes, threshold, t, residual, free, order, np.int64(0))


@kernel
@no_type_check
def _least_norms(A, G, caps, T, residuals, norms, optimal):
    """Minimise for each row of G and its caps, from residuals = G; all but the first three are outputs."""
    for b in range(len(G)):
        norms[b], optimal[b] = least_norm(A, G[b], caps[b], 0.0, T[b], residuals[b])


@kernel
@no_type_check
def least_norm_from(A, g, upper, threshold, t, residual):
    """Minimise as `least_norm` does, from the feasible t of a problem nearby. Returns (norm, optimal)."""
    k, d = A.shape
    sizes = np.empty(k)
    free = np.zeros(k, dtype=np.bool_)
    order = np.empty(d, dtype=np.int64)
    n_free = np.int64(0)
    for i in range(k):
        sizes[i] = np.sqrt(dot(A[i], A[i]))
        if 0.0 < t[i] < upper[i]:
            if n_free < d - 1 and sizes[i] > 0.0:
                order[n_free] = i
                n_free += 1
                free[i] = True
            else:
                t[i] = 0.0
    _refresh(A, g, t, residual)
    if n_free > 0:
        n_free = _descend(A, g, upper, t, residual, free, order, n_free, np.empty((d, d)))
    return _active_set(A, g, upper, sizes, threshold, t, residual, free, order, n_free)


@kernel
@no_type_check
def _active_set(A, g, upper, sizes, threshold, t, residual, free, order, n_free):
    """Free the best bound variable, solve on the free ones, repeat. Returns (norm, optimal)."""
    k, d = A.shape
    size = np.sqrt(dot(g, g))
    basis = np.empty((d, d))
    blocked = np.zeros(k, dtype=np.bool_)
    previous = np.inf
    for _ in range(50 * (k + d)):
        norm = np.sqrt(dot(residual, residual))
        if norm <= INSIDE_TOL * (size + dot(sizes, t)):
            return norm, True
        if norm <= threshold:
            return norm, False
        if norm < previous:
            blocked[:] = False
            previous = norm
        enter = _entering(A, upper, sizes, t, residual, free, blocked, norm)
        if enter < 0:
            return norm, True
        if n_free == d:  # the free rows span the space, so the residual is rounding
            return norm, True
        order[n_free] = enter
        n_free += 1
        free[enter] = True
        n_free = _descend(A, g, upper, t, residual, free, order, n_free, basis)
        if not free[enter]:
            blocked[enter] = True  # rounding freed it in vain: do not try it again before the norm has fallen
    return np.sqrt(dot(residual, residual)), False


@kernel
@no_type_check
def _sweep(A, upper, sizes, threshold, t, residual):
    """Coordinate descent; True once the residual is within the threshold."""
    for _ in range(SWEEPS):
        for i in range(len(A)):
            if sizes[i] == 0.0 or upper[i] == 0.0:
                continue
            step = _row_dot(A, i, residual) / (sizes[i] * sizes[i])
            new = min(max(t[i] + step, 0.0), upper[i])
            change = new - t[i]
            if change != 0.0:
                t[i] = new
                for j in range(len(residual)):
                    residual[j] -= change * A[i, j]
        if dot(residual, residual) <= threshold * threshold:
            return True
    return False


@kernel
@no_type_check
def _refresh(A, g, t, residual):
    """Recompute residual = g - A^T t: no drift from one active set to the next."""
    copy_into(residual, g)
    for i in range(len(A)):
        if t[i] != 0.0:
            for j in range(len(residual)):
                residual[j] -= t[i] * A[i, j]


@kernel
@no_type_check
def _entering(A, upper, sizes, t, residual, free, blocked, norm):
    """Return the bound variable whose move inwards lowers the norm fastest, or -1."""
    best, enter = COSINE_TOL, -1
    for i in range(len(A)):
        if free[i] or blocked[i] or sizes[i] == 0.0 or upper[i] == 0.0:
            continue
        slope = _row_dot(A, i, residual) / (sizes[i] * norm)
        if t[i] >= upper[i]:
            slope = -slope
        if slope > best:
            best, enter = slope, i
    return enter


@kernel
@no_type_check
def _descend(A, g, upper, t, residual, free, order, n_free, basis):
    """Solve least squares on the free rows, with ratio tests, until inside the box. Returns n_free."""
    while n_free > 0:
        step = _least_squares(A, residual, order, n_free, basis)
        ratio, leaving = 1.0, -1
        for f in range(n_free):
            i = order[f]
            room = upper[i] - t[i] if step[f] > 0.0 else t[i]
            if abs(step[f]) * ratio > room:
                ratio, leaving = room / abs(step[f]), f
        for f in range(n_free):
            i = order[f]
            t[i] = min(max(t[i] + ratio * step[f], 0.0), upper[i])
        if leaving < 0:
            _refresh(A, g, t, residual)
            return n_free
        i = order[leaving]
        t[i] = upper[i] if step[leaving] > 0.0 else 0.0
        free[i] = False
        for f in range(leaving, n_free - 1):
            order[f] = order[f + 1]
        n_free -= 1
        _refresh(A, g, t, residual)
    return n_free


@kernel
@no_type_check
def _least_squares(A, residual, order, n_free, basis):
    """Return z of min ||residual - A_F^T z||: Gram-Schmidt twice (rounding-accurate), back-substitution."""
    d = A.shape[1]
    R = np.zeros((n_free, n_free))
    z = np.zeros(n_free)
    rest = residual.copy()
    q = np.empty(d)
    for f in range(n_free):
        for j in range(d):
            q[j] = A[order[f], j]
        for _ in range(2):
            for e in range(f):
                r = _row_dot(basis, e, q)
                R[e, f] += r
                for j in range(d):
                    q[j] -= r * basis[e, j]
        R[f, f] = np.sqrt(dot(q, q))
        for j in range(d):
            basis[f, j] = q[j] / R[f, f] if R[f, f] > 0.0 else 0.0
        z[f] = _row_dot(basis, f, rest)
        for j in range(d):
            rest[j] -= z[f] * basis[f, j]
    for f in range(n_free - 1, -1, -1):
        for e in range(f + 1, n_free):
            z[f] -= R[f, e] * z[e]
        z[f] = z[f] / R[f, f] if R[f, f] > 0.0 else 0.0
    return z
