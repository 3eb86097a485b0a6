"""Can any two-layer ReLU network without bias fit the labels? If not, the proof.

The data is infeasible iff (i) a row is zero, (ii) one ray carries both labels, or (iii) the vectors ``y_n
x_n`` of the rows that have an opposite-label antipode lie in no open half-space. Each case gives lam with ``y
* lam >= 0``, ``y @ lam > 0`` and ``lam @ (X u)_+ = 0`` for all u.

The last condition asks for the least vector above given demands, a problem that closed forms ask for too:
``min ||w||  s.t.  v_n^T w >= demand_n`` has the dual ``max demand^T mu  s.t.  ||V^T mu|| <= 1, mu >= 0``.
With unit demands, 1/||w|| is the distance from 0 to the convex hull of the rows and mu/sum(mu) gives the
point of it. As a least-squares problem [1]_: ``min_{t >= 0} ||V^T t||^2 + (1 - demand^T t)^2``, whose
residual ``(-w, 1)/(1 + ||w||^2)`` is not zero unless the demands contradict each other. Few rows carry a
multiplier, so it is solved on a working set, to which the rows that fall short the most are added until none
does.

References
----------
.. [1] C. L. Lawson and R. J. Hanson, "Solving Least Squares Problems", chapter 23 (1974).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu._box_least_norm import box_least_norm
from convexrelu._validation import OneVsRest
from convexrelu.arrangements import Hyperplanes, hyperplanes_of
from convexrelu.certificates.bounds import lower_bound
from convexrelu.errors import InfeasibleError
from convexrelu.networks.neurons import row_norms
from convexrelu.solvers.problem import spread

__all__ = ["ZERO_COMBINATION", "LeastVector", "check_feasible", "check_feasible_classes", "least_vector"]

# A convex combination of unit rows this short counts as zero. Half-space margins below it put P* beyond 1e11,
# which float64 cannot tell from infinity; rounding of the least-squares solution is about 1e-15.
ZERO_COMBINATION = 1e-11


def check_feasible(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], lines: Hyperplanes | None = None
) -> None:
    """Raise InfeasibleError, with its Farkas vector and rows, if no network without bias fits the labels.

    `lines` are the hyperplanes of X, if they are known.
    """
    norms = row_norms(X)
    zero = np.flatnonzero(norms == 0)
    if len(zero):
        raise _error("a zero row: every network without bias is 0 there", X, y, zero[:1], np.ones(1))
    lines = hyperplanes_of(X) if lines is None else lines
    _check_rays(X, lines, y)
    _check_antipodes(X, lines, y, norms)


def check_feasible_classes(
    X: Float[np.ndarray, "n d"], encoded: OneVsRest, lines: Hyperplanes | None = None
) -> None:
    """Raise InfeasibleError, which names the class, if some class cannot be told from the rest."""
    lines = hyperplanes_of(X) if lines is None else lines
    for name, labels in zip(encoded.classes, encoded.Y, strict=True):
        try:
            check_feasible(X, labels, lines)
        except InfeasibleError as error:
            if len(encoded.classes) == 1:
                raise
            shown = name if isinstance(name, str) else f"{name:g}"
            text = f"class {shown} against the rest: {error}"
            raise InfeasibleError(
                text, farkas=error.farkas, rows=error.rows, residual=error.residual
            ) from None


def _check_rays(X: Float[np.ndarray, "n d"], lines: Hyperplanes, y: Float[np.ndarray, " n"]) -> None:
    ray = 2 * lines.member + (lines.sign > 0)
    label = np.zeros(2 * len(lines.normals))
    label[ray] = y  # of some row on the ray
    other = np.flatnonzero(label[ray] != y)
    if len(other):
        same_ray = np.flatnonzero(ray == ray[other[0]])
        pair = np.array([same_ray[y[same_ray] > 0][0], same_ray[y[same_ray] < 0][0]])
        # rows that are parallel to the last bit cancel to the last bit
        weights = np.abs(X[pair[::-1], np.argmax(np.abs(X[pair[0]]))])
        if np.array_equal(*X[pair]):
            reason = "equal rows have different labels"
        else:
            reason = "one ray with both labels: a network has one sign on a ray"
        raise _error(reason, X, y, pair, weights)


def _check_antipodes(
    X: Float[np.ndarray, "n d"],
    lines: Hyperplanes,
    y: Float[np.ndarray, " n"],
    norms: Float[np.ndarray, " n"],
) -> None:
    """Condition (iii), by Gordan's theorem: no half-space iff zero is a convex combination of the vectors."""
    pairs = _opposite_pairs(lines, y)
    if len(pairs) < 2:
        return
    heads = X[pairs[:, 0]] * (y[pairs[:, 0]] / norms[pairs[:, 0]])[:, None]
    found = least_vector(heads, np.ones(len(heads)))
    if not found.exists:
        used = found.mu > 0
        rows = pairs[used].ravel()
        raise _error(
            "antipodal rows with opposite labels whose differences f(x) - f(-x), linear in x, "
            "contradict each other",
            X,
            y,
            rows,
            np.repeat(found.mu[used], 2) / norms[rows],
        )


def _opposite_pairs(lines: Hyperplanes, y: Float[np.ndarray, " n"]) -> Int[np.ndarray, "q 2"]:
    """One pair (row along its normal, row against it) for every line whose two rays carry opposite labels."""
    n_lines = len(lines.normals)
    along, against = np.full(n_lines, -1), np.full(n_lines, -1)
    forward, backward = np.flatnonzero(lines.sign > 0), np.flatnonzero(lines.sign < 0)
    along[lines.member[forward]] = forward
    against[lines.member[backward]] = backward
    both = np.flatnonzero((along >= 0) & (against >= 0))
    both = both[y[along[both]] != y[against[both]]]
    return np.column_stack([along[both], against[both]])


def _error(
    reason: str,
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    rows: Int[np.ndarray, " k"],
    weights: Float[np.ndarray, " k"],
) -> InfeasibleError:
    farkas = np.zeros(len(y))
    # scaled by a power of two: without rounding
    farkas[rows] = y[rows] * np.ldexp(weights, -np.frexp(weights.max())[1])
    residual = _residual(X[rows], farkas[rows])
    listed = ", ".join(str(int(row)) for row in sorted(rows)[:12]) + (", ..." if len(rows) > 12 else "")
    biased = bool(((X[0] == X) & (X != 0)).all(axis=0).any())  # by a ones column
    kind = "" if biased else " without bias"
    message = f"no two-layer ReLU network{kind} fits the labels: {reason} (rows {listed}). "
    if residual > 0:
        least = lower_bound(y, farkas, residual, np.inf)
        message += f"(Within rounding: none whose objective at margin 1 is below {least:.2g}.) "
    cure = "Correct the labels" if biased else "Append a ones column (datasets.with_bias), correct the labels"
    message += f"{cure}, or allow slack with a finite C."
    return InfeasibleError(message, farkas=farkas, rows=np.sort(rows), residual=residual)


def _residual(X: Float[np.ndarray, "k d"], lam: Float[np.ndarray, " k"]) -> float:
    """Return a bound on ``max_{||u||<=1} |lam^T (X u)_+|`` for one row, or for pairs of rows on a line.

    Where ``b = a + e``, ``(a^T u)_+ - (b^T u)_+`` is at most ||e||; where ``b = -a + e``, ``(a^T u)_+ -
    (b^T u)_+`` is ``a^T u`` but for ||e||, and linear functions cancel as vectors do.
    """
    generators = np.abs(lam)[:, None] * X
    if len(lam) == 1:
        return float(row_norms(generators)[0])
    first, second = generators[::2], generators[1::2]
    same = np.einsum("ij,ij->i", first, second) > 0
    apart = row_norms(np.where(same[:, None], first - second, first + second))
    linear = np.where(same, 0.0, np.sign(lam[::2])) @ first
    within = float(apart.sum() + row_norms(linear[None, :])[0])
    exact = not within and bool((X[::2] == X[1::2]).all())  # equal rows of equal weights: nothing is rounded
    rounding = 0.0 if exact else (len(lam) + X.shape[1] + 8) * np.finfo(float).eps
    return within + rounding * float(row_norms(generators).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class LeastVector:
    """An answer of :func:`least_vector`, accurate to rounding but to be verified by whoever relies on it.

    Attributes
    ----------
    w : (d,) float array
        The least vector; zero if there is none.
    mu : (k,) float array
        Multipliers with ``||V^T mu|| = 1``. If there is no vector, weights of sum 1 with which the rows
        cancel, to rounding.
    exists : bool
        Whether any vector meets the demands.
    """

    w: Float[np.ndarray, " d"]
    mu: Float[np.ndarray, " k"]
    exists: bool


def _never() -> bool:
    return False


def least_vector(
    V: Float[np.ndarray, "k d"], demand: Float[np.ndarray, " k"], *, expired: Callable[[], bool] = _never
) -> LeastVector:
    """Return the least w with ``V w >= demand`` for unit rows V and positive demands, and its multipliers.

    Once `expired` says so it stops: w then falls short on some rows.
    """
    working = np.unique(np.r_[_lowest(-demand, 20), _lowest(V @ V.sum(axis=0), 20)])
    size, longest = float(demand.max()), 0.0
    for _ in range(500):  # every round that drops rows has lengthened w; this only guards against rounding
        t, w = _on_working_set(V[working], demand[working], size)
        if np.linalg.norm(t @ V[working]) <= ZERO_COMBINATION * t.sum():
            # weights this small a share are rounding; without them the combination moves by as little
            weights = np.where(t > 1e-14 * t.sum(), t / t.sum(), 0.0)
            return LeastVector(w=np.zeros(V.shape[1]), mu=spread(weights, working, len(V)), exists=False)
        length = float(np.linalg.norm(w))
        if length > 10 * size:  # the residual loses as many digits: again, in better units
            size = length
            continue
        shortfall = demand - V @ w
        shortfall[working] = 0.0
        # on unit rows: what falls short by less is beyond the least-norm kernel, which resolves 1e-12
        short = np.flatnonzero(shortfall > 2e-12 * length)
        if not len(short) or expired():
            break
        if length > longest * (1 + 1e-9):
            working = working[t > 0]
        working = np.union1d(working, short[_lowest(-shortfall[short], 50)])
        size, longest = length, length
    return LeastVector(w=w, mu=spread(t, working, len(V)), exists=True)


def _on_working_set(
    V: Float[np.ndarray, "q d"], demand: Float[np.ndarray, " q"], size: float
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " d"]]:
    """Multipliers, with ``||V^T t|| = 1``, and w of these rows alone; `size` is about ||w||.

    The least-norm kernel finds which rows carry; their equations have more digits of w and t than its
    residual.
    """
    d = V.shape[1]
    system = np.column_stack([V, demand / size])  # both parts of the residual are then of one size
    fit = box_least_norm(system, np.r_[np.zeros(d), 1.0], np.full(len(V), np.inf))
    t = fit.t
    carried = t > 0
    if np.linalg.norm(t @ V) <= ZERO_COMBINATION * t.sum():
        return t, np.zeros(d)
    w = np.linalg.lstsq(V[carried], demand[carried], rcond=None)[0]
    w += np.linalg.lstsq(V[carried], demand[carried] - V[carried] @ w, rcond=None)[0]
    exact = np.linalg.lstsq(V[carried].T, w / np.linalg.norm(w), rcond=None)[0]
    if (exact > 0).all():
        t[carried] = exact
    else:  # some row carries rounding only
        w = -size * fit.residual[:d] / fit.residual[d]
    return t / np.linalg.norm(t @ V), w


def _lowest(values: Float[np.ndarray, " k"], size: int) -> Int[np.ndarray, " q"]:
    """Return where the lowest `size` values are."""
    return np.argpartition(values, size - 1)[:size] if size < len(values) else np.arange(len(values))
