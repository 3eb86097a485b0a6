"""Gated networks: a group lasso, exact in any dimension.

``min L(sum_j D_j X u_j + A b) + beta sum_j ||u_j||`` over fixed gates, a group each, is convex as it stands,
and the dual norm ``max_j ||X^T D_j lam||`` is a maximum over the gates. Few groups are live: a working set
grows by those that violate the most. Within it, Newton's model of the loss is minimised by sweeps over the
groups, each solved exactly: with the eigenvectors of its Gram matrix that is one equation for the length of
u_j.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int

from convexrelu._typing import kernel
from convexrelu.certificates.regularized import gated_norm
from convexrelu.certificates.weight_decay import Decayed, WeightDecay
from convexrelu.networks import GatedReLU
from convexrelu.oracle import DualNorm
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.regularized.model import SmoothedLoss

__all__ = ["GatedSearch"]

MIXED = 5  # sweeps between two extrapolations
_RIDGE = 1e-10  # of the changes' Gram matrix: near the end they are almost parallel
SWEEPS = 30  # over the working set, between two looks at all gates
MAX_ROUNDS = 3000
LEAST_GROWTH = 10  # groups added at once at most; twice as many as there are if that is more
SHARE = 0.5  # of the tolerance, at which the search ends
# Of the largest curvature, for rows without one. Where a loss with kinks is smoothed, most rows may be on a
# linear piece and turn the next at a short step: more curvature makes for shorter steps, which are taken
# whole, and more smoothing for fewer such rows (measured: 20 times fewer rounds on 15 rows).
_LEAST_CURVATURE, _LEAST_SMOOTHED, _SMOOTHER = 1e-6, 1e-2, 10.0
_SHORTEST = 1e-8


class GatedSearch:
    """The search for a gated network and the multipliers that prove how good it is.

    Parameters
    ----------
    decay : WeightDecay
        The problem, with gates.
    tol : float
        Relative gap asked for.
    clock : SolverClock
        When it expires, the search ends with what there is.
    """

    def __init__(self, decay: WeightDecay, *, tol: float, clock: SolverClock) -> None:
        gates = np.asarray(decay.gates)
        masks = (decay.X @ gates.T > 0).T
        # gates of one activity are one group
        _, first = np.unique(np.packbits(masks, axis=1), axis=0, return_index=True)
        self.decay, self.tol, self.clock = decay, tol, clock
        self.gates: Float[np.ndarray, "p d"] = gates[np.sort(first)]
        self.masks: Bool[np.ndarray, "p n"] = np.ascontiguousarray(masks[np.sort(first)])
        columns = [np.ones((len(decay.X), 1))] if decay.output_bias else []
        self.affine = np.hstack([*columns, decay.X]) if decay.skip else np.hstack([*columns, decay.X[:, :0]])
        self.penalties = np.zeros(self.affine.shape[1])
        if decay.output_bias == "penalised":
            self.penalties[0] = decay.beta
        self.U = np.zeros(self.gates.shape)
        self.b = np.zeros(self.affine.shape[1])
        self.working: Int[np.ndarray, " q"] = np.zeros(0, dtype=np.int64)
        loss = SmoothedLoss.of(decay)
        self.loss = loss.moved(loss.centre, _SMOOTHER * loss.mu)

    def solve(self, start: Decayed | None) -> tuple[GatedReLU, Float[np.ndarray, " n"], DualNorm]:
        """Return the network, multipliers in the domain, and their dual norm."""
        if isinstance(start, GatedReLU):
            places = {row.tobytes(): j for j, row in enumerate(self.gates)}
            for gate, u in zip(start.gates, start.U, strict=True):
                self.U[places.get(gate.tobytes(), 0)] += u if gate.tobytes() in places else 0.0
            self.working = np.flatnonzero(self.U.any(axis=1))
        best_lam, best_bound = np.zeros(len(self.decay.X)), -np.inf
        for _ in range(MAX_ROUNDS):
            f = self._outputs()
            value = self.decay.total_loss(f) + self._price(self.U, self.b)
            lam = self.decay.feasible(self.loss.multipliers(f))
            pulls = np.linalg.norm((self.masks * lam) @ self.decay.X, axis=1)
            bound = self.decay.bound(lam, float(pulls.max()))
            if bound > best_bound:
                best_lam, best_bound = lam, bound
            self.clock.note("gates", objective=value, bound=best_bound, n_neurons=len(self.working))
            if value - best_bound <= SHARE * self.tol * value or self.clock.expired():
                break
            self._grow(pulls)
            self._improve(f)
        b = float(self.b[0]) if self.decay.output_bias else 0.0
        skip = self.b[int(bool(self.decay.output_bias)) :] if self.decay.skip else None
        live = np.flatnonzero(self.U.any(axis=1))
        network = GatedReLU(self.gates[live], self.U[live], output_bias=b, skip=skip)
        return network, best_lam, gated_norm(self.decay.X, best_lam, np.asarray(self.decay.gates))

    def _price(self, U: Float[np.ndarray, "p d"], b: Float[np.ndarray, " a"]) -> float:
        sizes = float(np.linalg.norm(U, axis=1).sum())
        return self.decay.beta * sizes + 0.5 * float(self.penalties @ np.square(b))

    def _outputs(self) -> Float[np.ndarray, " n"]:
        part = (self.masks[self.working].T * (self.decay.X @ self.U[self.working].T)).sum(axis=1)
        return np.asarray(part + self.affine @ self.b)

    def _grow(self, pulls: Float[np.ndarray, " p"]) -> None:
        """Let idle groups leave the working set, and the most violated ones in."""
        kept = self.working[self.U[self.working].any(axis=1)]
        outside = np.setdiff1d(np.flatnonzero(pulls > self.decay.beta), kept)
        most = max(LEAST_GROWTH, len(kept))
        self.working = np.union1d(kept, outside[np.argsort(-pulls[outside], kind="stable")[:most]])

    def _improve(self, f: Float[np.ndarray, " n"]) -> None:
        """Minimise Newton's model over the working set by sweeps, and step towards it."""
        X, working = self.decay.X, self.working
        lam, w = self.loss.multipliers(f), self.loss.curvature(f)
        least = _LEAST_CURVATURE if self.loss.exact else _LEAST_SMOOTHED
        w = np.maximum(w, least * (float(w.max()) or 1.0))
        rows = [np.flatnonzero(mask) for mask in self.masks[working]]
        grams = [(X[part].T * w[part]) @ X[part] for part in rows]
        eigen = [np.linalg.eigh(gram) for gram in grams]
        values = np.array([np.maximum(e, 0.0) for e, _ in eigen]).reshape(len(rows), X.shape[1])
        vectors = np.array([v for _, v in eigen]).reshape(len(rows), X.shape[1], X.shape[1])
        ends = np.cumsum([0, *(len(part) for part in rows)])
        index = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        inverse = np.linalg.pinv((self.affine.T * w) @ self.affine + np.diag(self.penalties))
        U, b, pull = self.U[working], self.b.copy(), lam.copy()
        memory = _Extrapolation(w, self.decay.beta, self.penalties)
        for _ in range(SWEEPS):
            if len(b):
                step = inverse @ (self.affine.T @ pull - self.penalties * b)
                b += step
                pull -= w * (self.affine @ step)
            change = _sweep(X, index, ends, w, values, vectors, self.decay.beta, U, pull)
            if change <= 1e-14 * float(np.abs(U).max(initial=0.0)) or self.clock.expired():
                break
            U, b, pull = memory.extrapolated(U, b, pull)
        self._step(U, b)

    def _step(self, U: Float[np.ndarray, "q d"], b: Float[np.ndarray, " a"]) -> None:
        """Go towards the model's minimum as far as the objective falls."""
        old_U, old_b = self.U.copy(), self.b
        base, step = self.loss.value(self._outputs()) + self._price(old_U, old_b), 1.0
        while step > _SHORTEST:
            self.U[self.working] = old_U[self.working] + step * (U - old_U[self.working])
            self.b = old_b + step * (b - old_b)
            f = self._outputs()
            if self.loss.value(f) + self._price(self.U, self.b) <= base:
                break
            step *= 0.5
        else:
            self.U, self.b = old_U, old_b
            f = self._outputs()
        if not self.loss.exact:
            self.loss = self.loss.moved(self.loss.multipliers(f))


class _Extrapolation:
    """Anderson's extrapolation of the sweeps: where they crawl, they do so along a line or two.

    Neurons, the affine part and the multipliers are linear in each other, and mixed alike; a mix is taken if
    the model is smaller there.
    """

    def __init__(self, w: Float[np.ndarray, " n"], beta: float, penalties: Float[np.ndarray, " a"]) -> None:
        self.w, self.beta, self.penalties = w, beta, penalties
        self.past: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def _value(
        self, U: Float[np.ndarray, "q d"], b: Float[np.ndarray, " a"], pull: Float[np.ndarray, " n"]
    ) -> float:
        norms = self.beta * np.linalg.norm(U, axis=1).sum()
        return float(0.5 * (np.square(pull) / self.w).sum() + norms + 0.5 * self.penalties @ np.square(b))

    def extrapolated(
        self, U: Float[np.ndarray, "q d"], b: Float[np.ndarray, " a"], pull: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "q d"], Float[np.ndarray, " a"], Float[np.ndarray, " n"]]:
        """Return a better mix of the last iterates once there are enough of them, else the last."""
        self.past.append((U.copy(), b.copy(), pull.copy()))
        if len(self.past) <= MIXED:
            return U, b, pull
        parts = [np.array(part) for part in zip(*self.past, strict=True)]
        self.past.clear()
        changes = np.diff(np.hstack([part.reshape(MIXED + 1, -1) for part in parts[:2]]), axis=0)
        gram = changes @ changes.T
        gram[np.diag_indices(MIXED)] *= 1 + _RIDGE
        shares = np.linalg.lstsq(gram, np.ones(MIXED), rcond=None)[0]
        if not np.isfinite(shares).all() or shares.sum() == 0:
            return U, b, pull
        shares /= shares.sum()
        mixed_U, mixed_b, mixed_pull = (np.tensordot(shares, part[1:], axes=1) for part in parts)
        if self._value(mixed_U, mixed_b, mixed_pull) < self._value(U, b, pull):
            return mixed_U, mixed_b, mixed_pull
        return U, b, pull


@kernel
@no_type_check
def _sweep(X, index, ends, w, values, vectors, beta, U, pull):
    """Solve every group once, in place; returns the largest change of an entry. `pull`: multipliers."""
    q, d = U.shape
    c, rotated, new = np.empty(d), np.empty(d), np.empty(d)
    largest = 0.0
    for j in range(q):
        for a in range(d):
            c[a] = 0.0
        for k in range(ends[j], ends[j + 1]):
            i = index[k]
            for a in range(d):
                c[a] += pull[i] * X[i, a]
        size = 0.0
        for e in range(d):
            total, own = 0.0, 0.0
            for a in range(d):
                total += vectors[j, a, e] * c[a]
                own += vectors[j, a, e] * U[j, a]
            rotated[e] = total + values[j, e] * own
            size += rotated[e] ** 2
        size = np.sqrt(size)
        for a in range(d):
            new[a] = 0.0
        if size > beta:
            # sum (c / (e t + beta))^2 = 1 for the length t: convex and falling, so Newton's steps only grow
            t = 0.0
            for _ in range(100):
                total, slope = 0.0, 0.0
                for e in range(d):
                    share = rotated[e] / (values[j, e] * t + beta)
                    total += share * share
                    slope += share * share * values[j, e] / (values[j, e] * t + beta)
                if total <= 1.0 + 1e-15 or slope <= 0.0:
                    break
                t += (total - 1.0) / (2.0 * slope)
            for e in range(d):
                part = rotated[e] * t / (values[j, e] * t + beta)
                for a in range(d):
                    new[a] += vectors[j, a, e] * part
        moved = False
        for a in range(d):
            c[a] = new[a] - U[j, a]
            if c[a] != 0.0:
                moved = True
            largest = max(largest, abs(c[a]))
            U[j, a] = new[a]
        if moved:
            for k in range(ends[j], ends[j + 1]):
                i = index[k]
                height = 0.0
                for a in range(d):
                    height += X[i, a] * c[a]
                pull[i] -= w[i] * height
    return largest
