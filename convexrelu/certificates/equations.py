"""The equations of the parts without a price, ``A^T lam = 0``, in the exact reading of the floats.

Floats satisfy them to rounding only. What proves a lower bound are multipliers that satisfy them exactly,
moved from the floats in proportion to a room, as the independent checker has it (check_losses.py). Where the
columns of A are independent beyond rounding, the length of that move is bounded, and the move not computed:
with ``M = diag(w) A P`` about orthonormal, w the roots of the rooms, and ``r = A^T lam`` it is ``-diag(w) M
(M^T M)^-1 P^T r``. Columns that are others but for rounding are independent ones, too, and ask for moves that
floats do not show: there they are computed, in rational numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.linalg import qr

from convexrelu.check_losses import cancelled, eliminated, whole_columns

__all__ = ["Equations"]

_EPS = float(np.finfo(float).eps)
_TINY = 1e-300  # more than any number that underflows, where the largest are one
_INDEPENDENT = 1e-6  # of the longest column: what is left of one beside the others, and worth no second look
_SPLIT = 2.0**27 + 1  # cuts a float in two halves of 26 bits
_ORTHONORMAL = 0.5  # the most that M^T M may be off the unit matrix
_UPWARDS = 1 + 1e-12  # beyond the rounding of the last few products


@dataclass(frozen=True, eq=False)
class Equations:
    """``A^T lam = 0``.

    Attributes
    ----------
    A : (n, q) float array
        Columns, which may depend on each other.
    """

    A: Float[np.ndarray, "n q"]

    @cached_property
    def _bases(self) -> tuple[Float[np.ndarray, "n r"], bool]:
        """Columns that span what those of A do, and whether all of them are columns of A."""
        A = self.A[:, self.A.any(axis=0)]
        A = np.ldexp(A, -np.frexp(np.abs(A).max(axis=0, initial=0.0))[1])  # the equations stay the same
        if not A.shape[1]:
            return A, True
        _, T, order = qr(A, mode="economic", pivoting=True)
        left = np.abs(np.diag(T))
        rank = int(np.count_nonzero(left > _INDEPENDENT * left[0]))
        chosen, others = A[:, order[:rank]], A[:, order[rank:]]
        if rank == len(A) or not others.shape[1]:
            return chosen, True
        rest = _beside(chosen, others)
        return np.hstack([chosen, rest]), not rest.shape[1]

    @property
    def plain(self) -> bool:
        """Whether no column is others but for rounding: all that depend on others do so to the last bit."""
        return self._bases[1]

    @property
    def basis(self) -> Float[np.ndarray, "n r"]:
        """Columns that span what those of A do; none is others but for rounding."""
        return self._bases[0]

    def located(
        self, lam: Float[np.ndarray, "n ..."], room: Float[np.ndarray, "n ..."]
    ) -> tuple[Float[np.ndarray, "n ..."], Float[np.ndarray, "n ..."]]:
        """Return where multipliers that satisfy the equations exactly are, and how far off at most.

        They are within the `room` about lam where that can be, and else may need scaling down.
        """
        B, plain = self._bases
        if B.shape[1] == len(B):  # all sums of multipliers are asked to vanish
            return np.zeros_like(lam), np.zeros_like(lam)
        r = np.array([_sums(B, column) for column in np.atleast_2d(lam.T)]).T
        if plain and not r.any():
            return lam, np.zeros_like(lam)
        rooms = room, np.abs(lam)  # all can be scaled down, if less precisely
        narrow = [each.reshape(len(lam), -1).min(axis=1) for each in rooms]
        if plain:
            for each, own in zip(rooms, narrow, strict=True):
                off = _reach(B, r, own).reshape(lam.shape)
                if (off <= each).all():
                    return lam, off
        columns = [list(map(Fraction, column.tolist())) for column in np.atleast_2d(lam.T)]
        moved = np.zeros_like(lam)
        for own in (*narrow, np.ones(len(lam))):
            found = [cancelled(column, own, self.A) for column in columns]
            exact = [list(map(float, column)) for column in found if column is not None]
            if len(exact) == len(columns):
                moved = np.array(exact).T.reshape(lam.shape)
                break
        return moved, _EPS * np.abs(moved)


def _beside(chosen: Float[np.ndarray, "n r"], others: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n j"]:
    """What is left of the others beside the chosen, orthogonal to these: what is nothing is left out."""
    A, B = whole_columns(chosen), whole_columns(others)
    shares, unit = eliminated(np.hstack([A.T @ A, A.T @ B]))
    rest = unit * B - A @ shares
    rest = rest[:, (rest != 0).any(axis=0)]
    return np.asarray(rest / np.abs(rest).max(axis=0, initial=1), dtype=np.float64)


def _reach(
    B: Float[np.ndarray, "n r"], r: Float[np.ndarray, "r k"], room: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n k"]:
    """By how much the least move to a sum of zero changes multipliers; inf if rounding leaves no bound."""
    unknown = np.full((len(B), r.shape[1]), np.inf)
    top = float(room.max(initial=0.0))
    if top <= 0:
        return unknown
    w = np.sqrt(room / top)  # any weights bound a move: these keep it in proportion to the room, or nearly
    W = w[:, None] * B
    T = np.linalg.qr(W, mode="r")
    size = np.abs(np.diag(T))
    if size.min() <= _EPS * size.max():
        return unknown
    P = np.linalg.inv(T)
    M = W @ P
    rounding = (len(P) + 3) * _EPS * (np.abs(W) @ np.abs(P)) + _TINY
    total, moved = float(np.linalg.norm(M)), float(np.linalg.norm(rounding))
    defect = float(np.linalg.norm(np.eye(len(P)) - M.T @ M))
    defect += (len(M) + 3) * _EPS * total**2 + (2 * total + moved) * moved
    if not defect < _ORTHONORMAL:
        return unknown
    lost = (len(P) + 4) * _EPS * (np.abs(P).T @ (np.abs(r) + _TINY))  # in r and in the product with it
    pull = (np.linalg.norm(P.T @ r, axis=0) + np.linalg.norm(lost, axis=0)) / (1 - defect)
    rows = w * (np.linalg.norm(M, axis=1) + np.linalg.norm(rounding, axis=1))
    return np.outer(rows, pull) * _UPWARDS


def _sums(A: Float[np.ndarray, "n q"], lam: Float[np.ndarray, " n"]) -> list[float]:
    """The products with the columns, to one rounding: each entry's is the sum of two floats."""
    (a, b), (c, d) = _halves(A), _halves(lam[:, None])
    product = A * lam[:, None]
    rest = ((a * c - product) + a * d + b * c) + b * d
    return [math.fsum(part) for part in np.vstack([product, rest]).T.tolist()]


def _halves(values: Float[np.ndarray, "n q"]) -> tuple[Float[np.ndarray, "n q"], Float[np.ndarray, "n q"]]:
    upper = _SPLIT * values
    upper = upper - (upper - values)
    return upper, values - upper
