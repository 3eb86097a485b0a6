"""The Newton system of one branch in the interior-point method of the semidefinite program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dsygst

from convexrelu.solvers.semidefinite.branch import Block, Gradient, Point

__all__ = ["Newton", "cholesky"]


class Newton:
    """The Newton system of one branch, solved for all but lam.

    `ratios` are dual over primal slacks, Z the dual matrix and V the inverse of the primal one. h goes first
    (a diagonal and a rank-one matrix for each answer), then mu, then M: directly, or, with more answers than
    dimensions, through the entries of B (Woodbury). `schur` is what is left on lam.
    """

    def __init__(
        self,
        block: Block,
        ratios: Float[np.ndarray, " s"],
        Z: Float[np.ndarray, "N N"],
        V: Float[np.ndarray, "N N"],
    ) -> None:
        self.block = block
        self.through_B = block.l > block.r
        K, K_lam, K_lam_lam = self._limits(ratios)
        H, H_lam, schur = self._matrix_part(float(ratios[-1]), Z, V)
        p1 = block.p + 1
        right = np.zeros((block.l, p1, block.k))
        right[:, :, block.loading] = self._lifted(H_lam)
        answering = block.roles.answering
        right[np.arange(block.q), :, answering] += K_lam[: block.q]
        schur[answering, answering] += K_lam_lam[: block.q]
        self._solve = self._through_entries(H, K) if self.through_B else self._direct(H, K)
        flat = right.reshape(block.l * p1, block.k)
        self.response = self._solve(flat)
        self.schur = schur - flat.T @ self.response

    def _limits(
        self, ratios: Float[np.ndarray, " s"]
    ) -> tuple[Float[np.ndarray, "l p1 p1"], Float[np.ndarray, "l p1"], Float[np.ndarray, " l"]]:
        """The limits' Hessian in (M_j, lam_j), answer by answer; h is eliminated without cancellation."""
        plus, minus, low, high, _ = self.block.parts(ratios)
        p1 = self.block.p + 1
        inverse = 1.0 / (plus + minus)
        total = inverse.sum(axis=1)
        rho = 1.0 / (1.0 + (low + high) * total)
        self._inverse, self._rank_one = inverse, (low + high) * rho
        self._cross = plus - minus  # of h_ji and M_ji; of h_ji with M_j0 and with lam_j:
        self._cross_0, self._cross_lam = high - low, -high
        mixed = self._cross * inverse
        K = np.zeros((self.block.l, p1, p1))
        K[:, 1:, 1:] = self._rank_one[:, None, None] * mixed[:, :, None] * mixed[:, None, :]
        diagonal = np.arange(1, p1)
        K[:, diagonal, diagonal] += 4 * plus * minus * inverse
        K[:, 0, 0] = (low + high + 4 * low * high * total) * rho
        K[:, 0, 1:] = K[:, 1:, 0] = -(self._cross_0 * rho)[:, None] * mixed
        K_lam = np.empty((self.block.l, p1))
        K_lam[:, 0] = -high * rho * (1 + 2 * low * total)
        K_lam[:, 1:] = -(self._cross_lam * rho)[:, None] * mixed
        return K, K_lam, high * rho * (1 + low * total)

    def _matrix_part(
        self, ratio: float, Z: Float[np.ndarray, "N N"], V: Float[np.ndarray, "N N"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The matrix inequality's Hessian in (M or B, lam), with mu eliminated."""
        block, p1 = self.block, self.block.p + 1
        base = -np.eye(block.r) if self.through_B else -block.generators
        loads, features = block.loads, block.features
        n = len(base) * p1

        entries = np.zeros((len(base), p1, len(base), p1))
        mixed = np.zeros((len(base), p1, len(loads)))
        # <x f^T + f x^T, Z (v g^T + g v^T) V>, symmetrised, for x in base and f a unit vector
        for S, R in ((Z, V), (V, Z)):
            straight, across = S[p1:, p1:], S[:p1, p1:] @ base.T
            entries += (base @ straight @ base.T)[:, None, :, None] * R[None, :p1, None, :p1]
            entries += across[None, :, :, None] * (base @ R[p1:, :p1])[:, None, None, :]
            mixed += (base @ straight @ loads.T)[:, None, :] * (R[:p1, :p1] @ features.T)[None]
            mixed += (S[:p1, p1:] @ loads.T)[None] * (base @ R[p1:, :p1] @ features.T)[:, None, :]
        H, H_lam = entries.reshape(n, n), mixed.reshape(n, len(loads))
        lam_lam = self._between_loads(Z, V)
        mu = Z[:p1, :p1] * V[:p1, :p1] + ratio
        both = base @ Z[p1:, :p1], base @ V[p1:, :p1]
        H_mu = (both[0][:, None, :] * V[:p1, :p1] + both[1][:, None, :] * Z[:p1, :p1]).reshape(n, p1)
        fZ, fV = features @ Z[:p1, :p1], features @ V[:p1, :p1]
        lam_mu = (loads @ Z[p1:, :p1]) * fV + (loads @ V[p1:, :p1]) * fZ
        self._mu = cholesky(mu)
        self._mu_M, self._mu_lam = cho_solve(self._mu, H_mu.T), cho_solve(self._mu, lam_mu.T)
        schur = np.zeros((block.k, block.k))
        schur[np.ix_(block.loading, block.loading)] = lam_lam - lam_mu @ self._mu_lam
        H = H - H_mu @ self._mu_M
        return 0.5 * (H + H.T), H_lam - H_mu @ self._mu_lam, schur

    def _between_loads(self, Z: Float[np.ndarray, "N N"], V: Float[np.ndarray, "N N"]) -> np.ndarray:
        x, f, p1 = self.block.loads, self.block.features, self.block.p + 1
        xZf, xVf = x @ Z[p1:, :p1] @ f.T, x @ V[p1:, :p1] @ f.T
        straight = (x @ Z[p1:, p1:] @ x.T) * (f @ V[:p1, :p1] @ f.T)
        straight += (x @ V[p1:, p1:] @ x.T) * (f @ Z[:p1, :p1] @ f.T)
        return np.asarray(straight + xZf * xVf.T + xZf.T * xVf)

    def _lifted(self, entries: np.ndarray) -> Float[np.ndarray, "l p1 m"]:
        """From the entries of B to M: the transpose of :meth:`_lowered`."""
        block = self.block
        if not self.through_B:
            return entries.reshape(block.l, block.p + 1, entries.shape[1])
        return np.tensordot(block.generators, entries.reshape(block.r, block.p + 1, entries.shape[1]), 1)

    def _lowered(self, M: np.ndarray) -> np.ndarray:
        """What M changes in the entries of B, up to sign (M itself if M is used directly)."""
        block = self.block
        if not self.through_B:
            return M
        return np.tensordot(block.generators.T, M.reshape(block.l, block.p + 1, -1), 1).reshape(
            -1, M.shape[1]
        )

    def _direct(self, H: np.ndarray, K: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        p1 = self.block.p + 1
        blocks = H.reshape(self.block.l, p1, self.block.l, p1)
        for j in range(self.block.l):
            blocks[j, :, j, :] += K[j]
        factor = cholesky(H)
        return lambda right: np.asarray(cho_solve(factor, right, check_finite=False))

    def _through_entries(self, H: np.ndarray, K: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """``(K + G H G^T)^{-1}`` for the tall G of the generators."""
        p1, generators = self.block.p + 1, self.block.generators
        inverse = np.linalg.inv(K)
        inverse = 0.5 * (inverse + inverse.transpose(0, 2, 1))
        root = np.tril(cholesky(H)[0])
        inner = np.einsum("ja,jb,jik->aibk", generators, generators, inverse, optimize=True)
        inner, _ = dsygst(inner.reshape(H.shape), root, itype=2, lower=1)  # root^T inner root, lower part
        inner[np.diag_indices(len(inner))] += 1.0
        factor = cholesky(inner)

        def apply(M: np.ndarray) -> np.ndarray:
            limits: np.ndarray = K @ M.reshape(len(K), p1, -1)
            return np.asarray((limits + self._lifted(H @ self._lowered(M))).reshape(M.shape))

        def once(right: np.ndarray) -> np.ndarray:
            free = (inverse @ right.reshape(len(K), p1, -1)).reshape(right.shape)
            entries = root @ cho_solve(factor, root.T @ self._lowered(free), check_finite=False)
            back: np.ndarray = inverse @ self._lifted(entries)
            return np.asarray(free - back.reshape(right.shape))

        def solve(right: np.ndarray) -> np.ndarray:
            solution = once(right)
            for _ in range(2):  # through the entries of B digits are lost near the optimum: refined
                rest = right - apply(solution)
                if np.abs(rest).max(initial=0.0) <= 1e-8 * np.abs(right).max(initial=0.0):
                    break
                solution = solution + once(rest)
            return solution

        return solve

    def reduced(self, g: Gradient) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " k"]]:
        """Return the right-hand sides of M, with h and mu eliminated, and of lam, with M too."""
        block = self.block
        h = self._without_h(g.h)
        M = g.M.copy()
        M[:, 1:] -= self._cross * h
        M[:, 0] -= self._cross_0 * h.sum(axis=1)
        lam = g.lam.copy()
        lam[block.roles.answering] -= (self._cross_lam * h.sum(axis=1))[: block.q]
        lam[block.loading] -= self._mu_lam.T @ g.mu
        right = M.ravel() - self._lifted((self._mu_M.T @ g.mu)[:, None]).ravel()
        return right, lam - self.response.T @ right

    def expanded(self, g: Gradient, right: Float[np.ndarray, " m"], lam: Float[np.ndarray, " k"]) -> Point:
        """Return the direction of the branch's own variables, given that of lam."""
        block = self.block
        flat = self._solve(right[:, None])[:, 0] - self.response @ lam
        M = flat.reshape(block.l, block.p + 1)
        mu = cho_solve(self._mu, g.mu) - self._mu_M @ self._lowered(flat[:, None])[:, 0]
        mu = mu - self._mu_lam @ lam[block.loading]
        own = np.zeros(block.l)
        own[: block.q] = lam[block.roles.answering]
        rest = self._cross_0 * M[:, 0] + self._cross_lam * own
        return Point(M=M, h=self._without_h(g.h - self._cross * M[:, 1:] - rest[:, None]), mu=mu)

    def _without_h(self, right: Float[np.ndarray, "l p"]) -> Float[np.ndarray, "l p"]:
        scaled = self._inverse * right
        return np.asarray(scaled - (self._rank_one * scaled.sum(axis=1))[:, None] * self._inverse)


def cholesky(matrix: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return a Cholesky factor; a diagonal on the verge of rounding is raised by as little as it takes."""
    raised = 1e-14
    while True:
        attempt = matrix.copy()
        attempt[np.diag_indices(len(attempt))] *= 1.0 + raised
        try:
            factor, lower = cho_factor(attempt, lower=True, overwrite_a=True)
        except LinAlgError:
            raised *= 100
            if raised > 1e-5:
                raise
        else:
            return factor, bool(lower)
