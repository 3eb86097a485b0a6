"""Several outputs that share neurons: column generation with a group for each neuron.

``min L(sum_j (X u_j)_+ v_j^T + A B) + beta sum_j ||v_j||`` over unit directions u_j is convex in the v_j, a
group lasso with K entries a group, solved by accelerated proximal steps. Between masters all weights descend
on the objective as it stands, which moves the directions; and the local search of the oracle adds new ones.
The dual norm of several outputs is proven last, to the tolerance that the gap leaves room for.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from convexrelu.arrangements.hyperplanes import unit_rows
from convexrelu.certificates.weight_decay import Decayed, WeightDecay
from convexrelu.networks import ReLUNetwork
from convexrelu.oracle.outputs import output_maxima
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.regularized.proof import VIOLATED, ProvenNorm, level_of, proven_norm, room

__all__ = ["OutputSearch"]

SHARE = 0.5  # of the tolerance, at which the oracle is asked
STARTS, WIDER, PER_ROUND = 24, 5, 20  # of the local search, a last look, directions added at once
MAX_ROUNDS, STALLS = 100, 4
EXACT = 1e-6  # the least tolerance that the oracle is asked for
_STEPS, _SETTLED = 3000, 1e-12  # accelerated steps of a master; relative decrease at which they end
_DESCENT = 500  # iterations of the descent on all weights
_NEAR = (0.95, 0.99, 0.9999)  # products of cosines from which on neurons are near one another, tried in turn
_SPARE = 0.1  # of the gap that is open, which fewer neurons may cost in the end
_SMALL = 1e-9  # share of the largest neuron below which one is dropped
# Seconds, as measured: a step of a master and one of the descent, and besides by rows, neurons and columns; a
# start of the local search by rows and columns.
_MASTER, _DESCENDED, _START = (1.5e-4, 1e-8), (7e-4, 4e-9), 3e-7


class OutputSearch:
    """The search for a network of K outputs and the multipliers that prove how good it is.

    Parameters
    ----------
    decay : WeightDecay
        The problem, with a loss of K outputs.
    tol : float
        Relative gap asked for.
    clock : SolverClock
        When it expires, the search for a network ends with what there is.
    proof_clock : SolverClock
        When it expires, so does the oracle's search.
    rng : Generator
        Of the local search's starts.
    """

    def __init__(
        self,
        decay: WeightDecay,
        *,
        tol: float,
        clock: SolverClock,
        proof_clock: SolverClock,
        rng: np.random.Generator,
    ) -> None:
        self.decay, self.tol, self.clock, self.proof_clock, self.rng = decay, tol, clock, proof_clock, rng
        (n, d), K = decay.X.shape, decay.y.shape[1]
        columns = [np.ones((n, 1))] if decay.output_bias else []
        self.affine = np.hstack([*columns, decay.X if decay.skip else decay.X[:, :0]])
        self.penalties = np.zeros(self.affine.shape[1])
        if decay.output_bias == "penalised":
            self.penalties[0] = decay.beta
        self.U, self.V = np.zeros((0, d)), np.zeros((0, K))
        self.B = np.zeros((self.affine.shape[1], K))
        self.value = self._objective(self.U, self.V, self.B)
        self.lam = np.zeros(decay.y.shape)
        self.largest, self.bound = 0.0, decay.dual_value(self.lam)
        # the curvature of both losses is at most one, of the softmax a half
        self.steepest = float(decay.weights.max()) * (0.5 if decay.loss.name == "softmax" else 1.0)

    @property
    def gap(self) -> float:
        """The relative gap, if the local search has missed nothing."""
        return (self.value - self.bound) / self.value if self.value > 0 else 0.0

    def solve(self, start: Decayed | None) -> tuple[ReLUNetwork, Float[np.ndarray, "n k"], ProvenNorm]:
        """Return the network, multipliers in the domain, and their dual norm."""
        if isinstance(start, ReLUNetwork):
            sizes = np.linalg.norm(start.W1, axis=1)
            self._fit(unit_rows(start.W1), (start.W2 * sizes).T)
        else:
            self._fit(self.U, self.V)
        asked, best, found = np.inf, -np.inf, None
        while True:
            self._rounds()
            last = self.clock.expired() or not self.gap < 0.9 * asked
            proven = self._asked(last=last)
            norm = proven.norm
            bound = self.decay.bound(self.lam, norm.upper_bound)
            if found is None or bound > best:
                best, found = bound, (self.lam, proven)
            self.proof_clock.note("oracle", objective=self.value, bound=best, n_neurons=len(self.U))
            enough = bound >= self.value * (1 - self.tol)
            if last or enough or norm.value <= self.largest * (1 + VIOLATED):
                self._simplify(best)
                return self._network(), *found
            self.largest = max(self.largest, norm.value)
            self.bound = self.decay.bound(self.lam, self.largest)
            asked = self.gap
            self._add(norm.direction[None])

    def _rounds(self) -> None:
        """Price, fit and descend until the gap is small, or nothing moves any more."""
        stalls = 0
        for _ in range(MAX_ROUNDS):
            before = self.value, self.bound
            found = self._priced(STARTS)
            if self.gap <= SHARE * self.tol or not len(found):
                found = np.vstack([found, self._priced(WIDER * STARTS)])
            self.clock.note("outputs", objective=self.value, bound=self.bound, n_neurons=len(self.U))
            if self.gap <= SHARE * self.tol or self.clock.expired():
                return
            self._add(found)
            progress = max(before[0] - self.value, self.bound - before[1])
            stalls = stalls + 1 if progress <= 1e-3 * self.tol * abs(self.value) else 0
            if stalls > STALLS:
                return

    def _add(self, directions: Float[np.ndarray, "q d"]) -> None:
        """Take directions in, fit all output weights, and let all weights descend."""
        U = np.vstack([self.U, directions])
        self._fit(U, np.vstack([self.V, np.zeros((len(directions), self.V.shape[1]))]))
        self._descend()
        self._merge()

    def _outputs(
        self, U: Float[np.ndarray, "m d"], V: Float[np.ndarray, "m k"], B: Float[np.ndarray, "a k"]
    ) -> Float[np.ndarray, "n k"]:
        return np.asarray(np.maximum(self.decay.X @ U.T, 0.0) @ V + self.affine @ B)

    def _objective(
        self, U: Float[np.ndarray, "m d"], V: Float[np.ndarray, "m k"], B: Float[np.ndarray, "a k"]
    ) -> float:
        """The objective of unit directions U."""
        sizes = float(np.linalg.norm(V, axis=1).sum())
        loss = self.decay.total_loss(self._outputs(U, V, B))
        return loss + self.decay.beta * sizes + 0.5 * float(self.penalties @ np.square(B).sum(axis=1))

    def _take(
        self, U: Float[np.ndarray, "m d"], V: Float[np.ndarray, "m k"], B: Float[np.ndarray, "a k"]
    ) -> None:
        """Keep these weights if they are better."""
        sizes = np.linalg.norm(V, axis=1)
        live = sizes > _SMALL * sizes.max(initial=0.0)
        value = self._objective(U[live], V[live], B)
        if value <= self.value:
            self.U, self.V, self.B, self.value = U[live], V[live], B, value

    def _fit(self, U: Float[np.ndarray, "m d"], V: Float[np.ndarray, "m k"]) -> None:
        """The best output weights of unit directions, by accelerated proximal steps with restarts."""
        F = np.hstack([np.maximum(self.decay.X @ U.T, 0.0), self.affine])
        steepest = float(self.penalties.max(initial=0.0))
        if F.size:
            steepest += self.steepest * float(np.linalg.norm(F, 2)) ** 2
        if steepest == 0:  # no column, or none that any row sees
            return
        step = 1.0 / steepest
        m, W = len(U), np.vstack([V, self.B])
        ahead, momentum, last = W.copy(), 1.0, np.inf
        for k in range(_STEPS):
            gradient = -F.T @ self.decay.multipliers(F @ ahead)
            gradient[m:] += self.penalties[:, None] * ahead[m:]
            moved = ahead - step * gradient
            sizes = np.linalg.norm(moved[:m], axis=1, keepdims=True)
            moved[:m] *= np.maximum(1.0 - step * self.decay.beta / np.maximum(sizes, 1e-300), 0.0)
            if float(np.vdot(ahead - moved, moved - W)) > 0:  # it overshoots
                momentum = 1.0
            following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
            ahead = moved + (momentum - 1.0) / following * (moved - W)
            W, momentum = moved, following
            if k % 50 == 49:
                self.clock.did(50 * (_MASTER[0] + _MASTER[1] * len(F) * W.size))
                value = self._objective(U, W[:m], W[m:])
                if last - value <= _SETTLED * abs(value) or self.clock.expired():
                    break
                last = value
        self._take(U, W[:m], W[m:])

    def _descend(self) -> None:
        """Descend on the objective in all weights, from the balanced network."""
        (m, d), K = self.U.shape, self.V.shape[1]
        if not m:
            return
        X, beta = self.decay.X, self.decay.beta
        roots = np.sqrt(np.linalg.norm(self.V, axis=1))[:, None]
        ends = m * d, m * (d + K)

        def loss(z: np.ndarray) -> tuple[float, np.ndarray]:
            W1, W2 = z[: ends[0]].reshape(m, d), z[ends[0] : ends[1]].reshape(m, K)
            B = z[ends[1] :].reshape(-1, K)
            heights = X @ W1.T
            hidden = np.maximum(heights, 0.0)
            f = hidden @ W2 + self.affine @ B
            pull = self.decay.multipliers(f)
            value = self.decay.total_loss(f) + 0.5 * beta * float(z[: ends[1]] @ z[: ends[1]])
            value += 0.5 * float(self.penalties @ np.square(B).sum(axis=1))
            first = -((pull @ W2.T) * (heights > 0)).T @ X + beta * W1
            second = -hidden.T @ pull + beta * W2
            third = -self.affine.T @ pull + self.penalties[:, None] * B
            return value, np.concatenate([first.ravel(), second.ravel(), third.ravel()])

        each = _DESCENDED[0] + _DESCENDED[1] * len(X) * m * (d + K)
        steps = _DESCENT if self.clock.work is None else max(1, int(min(_DESCENT, self.clock.left / each)))
        begin = np.concatenate([(roots * self.U).ravel(), (self.V / roots).ravel(), self.B.ravel()])
        found = minimize(
            loss,
            begin,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps, "ftol": 1e-15, "gtol": 1e-10},
        )
        self.clock.did(found.nfev * each)
        z = np.asarray(found.x)
        W1, W2 = z[: ends[0]].reshape(m, d), z[ends[0] : ends[1]].reshape(m, K)
        sizes = np.linalg.norm(W1, axis=1)
        live = sizes > 0
        self._take(W1[live] / sizes[live, None], W2[live] * sizes[live, None], z[ends[1] :].reshape(-1, K))

    def _merge(self, allowed: float | None = None) -> None:
        """Take one neuron for those near one another, if the objective, once fitted, exceeds none `allowed`.

        By default that is what it is: near-equal neurons, which descent leaves where pricing put them, go.
        """
        allowed = self.value if allowed is None else allowed
        for cosine in _NEAR:
            U, V = _clustered(self.U, self.V, cosine)
            if len(U) == len(self.U):
                return
            kept = self.U, self.V, self.B, self.value
            self.value = np.inf
            self._fit(U, V)
            self._descend()
            if self.value <= allowed:
                return
            self.U, self.V, self.B, self.value = kept

    def _simplify(self, bound: float) -> None:
        """Leave out neurons that cost little beside the gap that is open, but not the tolerance."""
        gap = self.value - bound
        wanted = bound / (1 - self.tol) if self.tol < 1 else np.inf
        spare = _SPARE * gap if gap > self.tol * self.value else min(_SPARE * gap, wanted - self.value)
        allowed = self.value + spare
        while not self.clock.expired():
            before = len(self.U)
            self._merge(allowed)
            if len(self.U) == before:
                return

    def _priced(self, starts: int) -> Float[np.ndarray, "q d"]:
        """Return the directions that violate at the multipliers of the network."""
        decay = self.decay
        raw = decay.multipliers(self._outputs(self.U, self.V, self.B))
        lam = decay.feasible(raw)
        lam = lam if lam.any() else raw
        anywhere = self.rng.normal(size=(starts, decay.X.shape[1]))
        columns = decay.X.shape[1] + decay.y.shape[1]
        self.clock.did(_START * len(decay.X) * (starts + len(self.U)) * columns)
        ends, values = output_maxima(decay.X, lam, unit_rows(np.vstack([self.U, anywhere])))
        if decay.satisfied(lam):
            bound = self.decay.bound(lam, float(values[0]))
            if bound > self.bound:
                self.lam, self.largest, self.bound = lam, float(values[0]), bound
        return ends[values > decay.beta * (1 + VIOLATED)][:PER_ROUND]

    def _asked(self, *, last: bool) -> ProvenNorm:
        """Return the dual norm of the best multipliers, proven as closely as the gap leaves room for."""
        level = level_of(self.decay, self.lam, self.value * (1 - self.tol))
        tol = room(level, max(self.largest, self.decay.beta), self.gap, least=EXACT)
        # what is known to violate is no reason to stop: only a neuron that the local search has missed is
        stop = np.inf if last else max(level, self.largest * (1 + VIOLATED))
        return proven_norm(self.decay, self.lam, tol=tol, clock=self.proof_clock, stop_above=stop)

    def _network(self) -> ReLUNetwork:
        first = int(bool(self.decay.output_bias))
        bias = self.B[0] if first else 0.0
        skip = self.B[first:].T if self.decay.skip else None
        network = ReLUNetwork(self.U, self.V.T, output_bias=bias, skip=skip)
        return network.scaled_neurons(1.0)


def _clustered(
    U: Float[np.ndarray, "m d"], V: Float[np.ndarray, "m k"], cosine: float
) -> tuple[Float[np.ndarray, "q d"], Float[np.ndarray, "q k"]]:
    """One neuron for each group near its largest in direction and in outputs: the best of rank one."""
    sizes = np.linalg.norm(V, axis=1)
    near = (U @ U.T) * (unit_rows(V) @ unit_rows(V).T) > cosine
    free, heads, tails = np.ones(len(U), dtype=bool), [], []
    for j in np.argsort(-sizes):
        if free[j]:
            members = np.flatnonzero(free & (near[j] | (np.arange(len(U)) == j)))
            free[members] = False
            left, size, right = np.linalg.svd(U[members].T @ V[members], full_matrices=False)
            sign = 1.0 if left[:, 0] @ U[j] >= 0 else -1.0
            heads.append(sign * left[:, 0])
            tails.append(sign * size[0] * right[0])
    return np.reshape(heads, (-1, U.shape[1])), np.reshape(tails, (-1, V.shape[1]))
