"""The yardstick for noisy data: column generation as anyone would write it, on all rows, without a proof.

A linear master over the neurons found so far, solved by HiGHS through scipy, and many ascents at once to find
neurons that violate. Nothing of the package is used. `objectives` is what the certified solver has to match
in the same processor time.

`python benchmarks/plain_master.py` prints its objectives for the noisy instances of `solver.py`.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np
from scipy.optimize import linprog

STARTS, ENTERING = 48, 30  # for each output sign
STEPS, SHRINK = 150, 0.94
VIOLATED = 1e-3
ALIKE = 1 - 1e-5  # cosine


def ascended(X: np.ndarray, weights: np.ndarray, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit neurons of larger ``weights @ (X u)_+``, and these values; no step loses."""
    values, step = np.maximum(X @ U.T, 0).T @ weights, 0.5
    for _ in range(STEPS):
        slopes = (weights[:, None] * (X @ U.T > 0)).T @ X
        slopes -= (slopes * U).sum(axis=1, keepdims=True) * U
        trial = U + step * slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-300)
        trial /= np.linalg.norm(trial, axis=1, keepdims=True)
        reached = np.maximum(X @ trial.T, 0).T @ weights
        better = reached > values
        U, values = np.where(better[:, None], trial, U), np.where(better, reached, values)
        step *= SHRINK
    return U, values


def entering(U: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the strongest of the neurons that violate, no two alike."""
    kept: list[np.ndarray] = []
    for k in np.argsort(-values):
        if values[k] <= 1 + VIOLATED or len(kept) == ENTERING:
            break
        if all(U[k] @ other < ALIKE for other in kept):
            kept.append(U[k])
    return np.array(kept).reshape(-1, U.shape[1])


def objectives(X: np.ndarray, y: np.ndarray, C: float, seconds: float) -> Iterator[tuple[float, float]]:
    """Yield processor seconds and objective after every round, until no violator is found or time is up."""
    n, d = X.shape
    rng, started = np.random.default_rng(0), time.process_time()
    lam, neurons, signs = C * y, np.zeros((0, d)), np.zeros(0)
    while time.process_time() - started < seconds:
        found = []
        for sign in (1.0, -1.0):
            own = neurons[signs == sign]
            starts = np.vstack([rng.normal(size=(STARTS, d)), own + 0.05 * rng.normal(size=own.shape)])
            starts /= np.linalg.norm(starts, axis=1, keepdims=True)
            found.append(entering(*ascended(X, sign * lam, starts)))
        if not sum(map(len, found)):
            return
        neurons = np.vstack([neurons, *found])
        signs = np.r_[signs, np.ones(len(found[0])), -np.ones(len(found[1]))]
        features = signs[:, None] * np.maximum(neurons @ X.T, 0) * y
        answer = linprog(
            -np.ones(n), A_ub=features, b_ub=np.ones(len(features)), bounds=(0, C), method="highs"
        )
        lam = y * answer.x
        yield time.process_time() - started, -answer.fun
        useful = (answer.ineqlin.marginals < -1e-12) | (features @ answer.x > 0.9)
        neurons, signs = neurons[useful], signs[useful]


def best_until(rounds: list[tuple[float, float]], seconds: float) -> float:
    """Return the objective that was reached within so many processor seconds, inf if none."""
    return min((value for when, value in rounds if when <= seconds), default=float("inf"))


def main() -> None:
    from solver import NOISY, noisy

    for name in sys.argv[1:] or NOISY:
        X, y, C = noisy(name)
        rounds = list(objectives(X, y, C, 30.0))
        reached = ", ".join(f"{best_until(rounds, limit):.6g} in {limit:g} s" for limit in (3, 10, 30))
        print(f"{name}: {reached}", flush=True)


if __name__ == "__main__":
    main()
