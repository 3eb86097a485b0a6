"""The linear master, solved near the middle of its optimal face: multipliers that do not jump.

The same program as in :mod:`.linear_master`, ``max demand^T mu  s.t.  F^T mu <= 1, 0 <= mu <= caps`` over
given directions, for a finite price of slack. A vertex of it is one of many optima as soon as there is noise,
and neurons that violate there say little about the others: column generation then takes many rounds. An
interior-point method that stops early, at a share of the gap that is open anyway, leaves multipliers near
the middle [1]_, and the next round starts from them. Its linear algebra is dense and of the order of the
number of directions: rows only cost products.

References
----------
.. [1] J. Gondzio, P. Gonzalez-Brevis and P. Munari, "New developments in the primal-dual column generation
   technique", European Journal of Operational Research 224 (2013).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_solve

from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.linear_master import Mix
from convexrelu.solvers.problem import Neurons, Problem
from convexrelu.solvers.semidefinite.newton import cholesky
from convexrelu.solvers.work import STEP

__all__ = ["CentralMaster"]

_TO_BOUNDARY = 0.95  # of the way

_INSIDE = 0.9  # of the bounds: where a round begins
_MAX_ITERATIONS = 60


class CentralMaster:
    """A growing set of unit directions, and multipliers in the middle of what they allow.

    Parameters
    ----------
    problem : Problem
        With a finite price of slack.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.directions = problem.empty_neurons
        self._features = np.zeros((0, len(problem.y)))
        self._weights = np.zeros(0)
        self.mu = 0.5 * problem.caps

    def __len__(self) -> int:
        return len(self.directions)

    def add(self, directions: Neurons) -> None:
        """Add unit directions."""
        features = np.ascontiguousarray(self.problem.features(directions).T)
        self._features = np.vstack([self._features, features])
        self._weights = np.r_[self._weights, np.zeros(len(directions))]
        self.directions = self.directions.joined(directions)

    def largest(self, mu: np.ndarray) -> float:
        """The largest correlation of multipliers with the directions."""
        return float((self._features @ mu).max(initial=0.0))

    def strongest(self, mu: np.ndarray, *, above: float, most: int) -> Neurons:
        """The directions, no more than so many, that correlate most with multipliers, and more than that."""
        correlations = self._features @ mu
        order = np.argsort(-correlations)[:most]
        return self.directions.kept(order[correlations[order] > above])

    def drop_idle(self, below: float) -> None:
        """Forget directions that play no part and correlate less than that with the latest multipliers."""
        kept = (self._features @ self.mu > below) | (self._weights > 1e-6 * self._weights.max(initial=0.0))
        self._features, self._weights = self._features[kept], self._weights[kept]
        self.directions = self.directions.kept(kept)

    def solve(self, tol: float, clock: SolverClock | None = None) -> Mix:
        """Return a mix within the relative gap `tol` of the best one, if rounding allows, and multipliers.

        When the clock expires, the best so far.
        """
        F, demand, caps = self._features, self.problem.demand, self.problem.caps
        mu = np.minimum(self.mu, (1 - 1e-3) * caps)
        mu = mu * min(_INSIDE / max(self.largest(mu), 1e-300), 1.0)
        room, slack = caps - mu, 1.0 - F @ mu
        missing = demand - self._weights @ F
        value = float(self._weights.sum() + caps @ np.maximum(missing, 0.0))
        # centred to begin with: complementary products that differ by much cost more rounds than a larger gap
        target = 0.1 * (value - float(demand @ mu)) / (len(slack) + 2 * len(mu))
        weights = np.maximum(self._weights, target / slack)
        # complementary to both bounds, and their difference what is missing
        high = np.maximum(missing, 0) + target / room
        low = np.maximum(-missing, 0) + target / mu
        best, best_value = weights, np.inf
        best_mu, best_bound, stalled = mu, float(demand @ mu), 0
        for _ in range(_MAX_ITERATIONS):
            value = float(weights.sum() + caps @ np.maximum(demand - weights @ F, 0.0))
            bound = float(demand @ mu)
            stalled = 0 if value < best_value or bound > best_bound else stalled + 1
            if value < best_value:
                best, best_value = weights, value
            if bound > best_bound:
                best_mu, best_bound = mu, bound
            if best_value - best_bound <= tol * best_value or stalled > 5:  # rounding has taken over
                break
            if clock is not None:
                clock.did(STEP[0] + STEP[1] * F.size * min(F.shape))
                if clock.expired():
                    break
            gap = float(weights @ slack + low @ mu + high @ room)
            D = low / mu + high / room
            solve = _factored(F, D, weights / slack)
            target, second = 0.0, (0.0, 0.0, 0.0)
            for attempt in range(2):
                t_s, t_l, t_h = (target - part for part in second)
                d_mu = solve(demand - (t_s / slack) @ F + t_l / mu - t_h / room)
                d_slack = -(F @ d_mu)
                d_weights = (t_s - weights * d_slack) / slack - weights
                d_low = (t_l - low * d_mu) / mu - low
                d_high = (t_h + high * d_mu) / room - high
                primal = min(_reach(mu, d_mu), _reach(room, -d_mu), _reach(slack, d_slack))
                dual = min(_reach(weights, d_weights), _reach(low, d_low), _reach(high, d_high))
                if attempt == 0:
                    p, d = min(primal, 1.0), min(dual, 1.0)
                    after = float(
                        (weights + d * d_weights) @ (slack + p * d_slack)
                        + (low + d * d_low) @ (mu + p * d_mu)
                        + (high + d * d_high) @ (room - p * d_mu)
                    )
                    centring = min(max((after / gap) ** 3, 1e-3), 1.0)
                    target = centring * gap / (len(slack) + 2 * len(mu))
                    second = (d_weights * d_slack, d_low * d_mu, -d_high * d_mu)
            p, d = min(_TO_BOUNDARY * primal, 1.0), min(_TO_BOUNDARY * dual, 1.0)
            if max(p, d) < 1e-3:
                break
            mu, slack, room = mu + p * d_mu, slack + p * d_slack, room - p * d_mu
            weights, low, high = weights + d * d_weights, low + d * d_low, high + d * d_high
        self.mu, self._weights = best_mu, best
        used = best > 1e-9 * best.max(initial=0.0)
        sized = self.directions.U[used] * best[used, None]
        neurons = Neurons(U=sized, signs=self.directions.signs[used])
        return Mix(neurons=neurons, mu=best_mu, value=best_value)


def _factored(F: np.ndarray, D: np.ndarray, W: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """``(F^T diag(W) F + diag(D))^{-1}`` as a function, through the smaller of both orders, and refined."""
    q, k = F.shape
    if q < k:
        scaled = F / D
        inner = scaled @ F.T
        inner[np.diag_indices(q)] += 1.0 / W
        factor = cholesky(inner)

        def once(right: np.ndarray) -> np.ndarray:
            return np.asarray(right / D - cho_solve(factor, scaled @ right) @ scaled)
    else:
        factor = cholesky((F.T * W) @ F + np.diag(D))

        def once(right: np.ndarray) -> np.ndarray:
            return np.asarray(cho_solve(factor, right))

    def solve(right: np.ndarray) -> np.ndarray:
        solution = once(right)
        return np.asarray(solution + once(right - (W * (F @ solution)) @ F - D * solution))

    return solve


def _reach(value: np.ndarray, direction: np.ndarray) -> float:
    """The largest step for which ``value + step * direction`` is not negative."""
    fastest = float((-direction / value).max(initial=0.0))
    return 1.0 / fastest if fastest > 0 else np.inf
