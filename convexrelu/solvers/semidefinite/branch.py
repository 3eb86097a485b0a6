"""The constraints of one branch of the semidefinite program of :mod:`.interior_point`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from convexrelu.oracle.relaxation import Roles, roles

__all__ = ["Block", "Gradient", "Point", "Tree"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """A branch by its fixed rows: `sign`, rows and their sides, in order."""

    sign: float
    rows: tuple[int, ...] = ()
    sides: tuple[float, ...] = ()

    def renumbered(self, places: Int[np.ndarray, " k"]) -> Tree:
        """Return the branch in terms of the rows' new places."""
        return replace(self, rows=tuple(int(places[row]) for row in self.rows))

    def split(self, row: int) -> tuple[Tree, Tree]:
        """The two branches of one more row."""
        rows = (*self.rows, row)
        return (
            Tree(sign=self.sign, rows=rows, sides=(*self.sides, 1.0)),
            Tree(sign=self.sign, rows=rows, sides=(*self.sides, -1.0)),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """Variables of a branch, or a direction in them: M (l, p+1), h (l, p) and mu (p+1,)."""

    M: Float[np.ndarray, "l p1"]
    h: Float[np.ndarray, "l p"]
    mu: Float[np.ndarray, " p1"]

    def plus(self, step: float, direction: Point) -> Point:
        """Return this point moved along a direction."""
        return Point(
            M=self.M + step * direction.M, h=self.h + step * direction.h, mu=self.mu + step * direction.mu
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradient:
    """Derivatives of something with respect to a branch's variables and to lam (k,)."""

    M: Float[np.ndarray, "l p1"]
    h: Float[np.ndarray, "l p"]
    mu: Float[np.ndarray, " p1"]
    lam: Float[np.ndarray, " k"]


class Block:
    """The constraints of one branch: linear maps from (lam, M, h, mu) to slacks and to a matrix, and back.

    Parameters
    ----------
    X : (k, r) float array
        Unit rows.
    y : (k,) float array
        Their labels.
    tree : Tree
        The branch.
    """

    def __init__(self, X: Float[np.ndarray, "k r"], y: Float[np.ndarray, " k"], tree: Tree) -> None:
        sides = np.array(tree.sides)
        weights = tree.sign * y
        self.tree = tree
        self.roles: Roles = roles(weights, np.array(tree.rows, dtype=np.int64), sides)
        self.k, self.r = X.shape
        self.p, self.q = len(self.roles.free), len(self.roles.answering)
        self.generators = np.vstack([X[self.roles.answering], -sides[:, None] * X[self.roles.fixed]])
        self.l = len(self.generators)
        # what the rows with a share in B add to it: x_n times their feature, times lam_n
        self.loading = np.concatenate([self.roles.free, self.roles.active])
        self.loads = X[self.loading]
        self.features = np.zeros((len(self.loading), self.p + 1))
        self.features[: self.p, 0] = 0.5
        self.features[np.arange(self.p), 1 + np.arange(self.p)] = 0.5
        self.features[self.p :, 0] = weights[self.roles.active]

    @property
    def unknowns(self) -> int:
        """The size of the branch's Newton system: entries of M, or of B with more answers than dimensions."""
        return int(min(self.l, self.r)) * (self.p + 1)

    def start(self, lam: Float[np.ndarray, " k"]) -> Point:
        """Answers in the middle of their limits, and the multipliers that suit them."""
        caps = np.full(self.l, float(lam.mean()))
        caps[: self.q] = lam[self.roles.answering]
        M = np.zeros((self.l, self.p + 1))
        M[:, 0] = caps / 2
        h = np.repeat(caps[:, None] / (2 * self.p + 2), self.p, axis=1)
        sizes = np.linalg.norm(self.matrix(lam, M), axis=0)
        mu = sizes + max(1e-3 * float(np.linalg.norm(sizes)), 1e-12)
        return Point(M=M, h=h, mu=mu / mu.sum())

    def matrix(self, lam: Float[np.ndarray, " k"], M: Float[np.ndarray, "l p1"]) -> Float[np.ndarray, "r p1"]:
        """Return B of lam and the answers M."""
        loaded = (self.loads * lam[self.loading, None]).T @ self.features
        return np.asarray(loaded - self.generators.T @ M)

    def bound(self, lam: Float[np.ndarray, " k"], point: Point) -> float:
        """Return the relaxation's bound on the correlation (no allowance for rounding)."""
        root = np.sqrt(point.mu)
        return float(np.linalg.norm(root) * np.linalg.norm(self.matrix(lam, point.M) / root, 2))

    def slacks(
        self, lam: Float[np.ndarray, " k"], point: Point, *, constant: float = 1.0
    ) -> Float[np.ndarray, " s"]:
        """Return what must not be negative (with `constant` 0: the linear part of it)."""
        total = point.h.sum(axis=1)
        return np.concatenate(
            [
                (point.h + point.M[:, 1:]).ravel(),
                (point.h - point.M[:, 1:]).ravel(),
                point.M[:, 0] - total,
                lam[self.roles.answering] - point.M[: self.q, 0] - total[: self.q],
                [constant - point.mu.sum()],
            ]
        )

    def parts(self, slacks: Float[np.ndarray, " s"]) -> tuple[np.ndarray, ...]:
        """Split a vector of slacks: (l, p), (l, p), (l,), (l,) with zeros where there is no limit, (1,)."""
        n = self.l * self.p
        upper = np.zeros(self.l)
        upper[: self.q] = slacks[2 * n + self.l : -1]
        return (
            slacks[:n].reshape(self.l, self.p),
            slacks[n : 2 * n].reshape(self.l, self.p),
            slacks[2 * n : 2 * n + self.l],
            upper,
            slacks[-1:],
        )

    def lmi(
        self, lam: Float[np.ndarray, " k"], point: Point, *, constant: float = 1.0
    ) -> Float[np.ndarray, "N N"]:
        """Return ``[[diag(mu), B^T], [B, I]]`` (with `constant` 0: the linear part of it)."""
        B = self.matrix(lam, point.M)
        return np.block([[np.diag(point.mu), B.T], [B, constant * np.eye(self.r)]])

    def transposed(self, slack: Float[np.ndarray, " s"], Y: Float[np.ndarray, "N N"]) -> Gradient:
        """Apply the transposed maps: derivatives of ``slack @ slacks + <Y, lmi>``."""
        plus, minus, low, high, total = self.parts(slack)
        across = Y[: self.p + 1, self.p + 1 :]
        M = -2 * (self.generators @ across.T)
        M[:, 1:] += plus - minus
        M[:, 0] += low - high
        lam = np.zeros(self.k)
        lam[self.loading] = 2 * np.einsum("ni,ij,nj->n", self.features, across, self.loads, optimize=True)
        lam[self.roles.answering] += high[: self.q]
        return Gradient(
            M=M,
            h=plus + minus - (low + high)[:, None],
            mu=np.diag(Y)[: self.p + 1] - total,
            lam=lam,
        )
