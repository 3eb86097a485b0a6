"""The least vector above given demands, and the nearest point of a convex hull: one problem and its dual.

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
from convexrelu.solvers.problem import spread

__all__ = ["ZERO_COMBINATION", "LeastVector", "least_vector"]

_FIRST = 20  # rows of each kind in the first working set
_PER_ROUND = 50  # rows added at most in a round
_MAX_ROUNDS = 500  # every round that drops rows has lengthened w; this only guards against rounding
# On unit rows, relative to ||w||: rows short by less are beyond what the least-norm kernel resolves (1e-12),
# and a w longer by less is no progress.
_SHORT = 2e-12
_LONGER = 1e-9
# A convex combination of unit rows this short counts as zero. Half-space margins below it put P* beyond 1e11,
# which float64 cannot tell from infinity; rounding of the least-squares solution is about 1e-15.
ZERO_COMBINATION = 1e-11
_TRACE = 1e-14  # weights this small a share are rounding; without them a combination moves by as little


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
    working = np.unique(np.r_[_lowest(-demand, _FIRST), _lowest(V @ V.sum(axis=0), _FIRST)])
    size, longest = float(demand.max()), 0.0
    for _ in range(_MAX_ROUNDS):
        t, w = _on_working_set(V[working], demand[working], size)
        if np.linalg.norm(t @ V[working]) <= ZERO_COMBINATION * t.sum():
            weights = np.where(t > _TRACE * t.sum(), t / t.sum(), 0.0)
            return LeastVector(w=np.zeros(V.shape[1]), mu=spread(weights, working, len(V)), exists=False)
        length = float(np.linalg.norm(w))
        if length > 10 * size:  # the residual loses as many digits: again, in better units
            size = length
            continue
        shortfall = demand - V @ w
        shortfall[working] = 0.0
        short = np.flatnonzero(shortfall > _SHORT * length)
        if not len(short) or expired():
            break
        if length > longest * (1 + _LONGER):
            working = working[t > 0]
        working = np.union1d(working, short[_lowest(-shortfall[short], _PER_ROUND)])
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
