"""Rows enter lazily: few carry a multiplier, so most of a large data set is only ever multiplied.

Solve on a working set, evaluate the margins of all rows, add the most violated, repeat. Multipliers of the
rows left out are zero, so the lower bound needs no change; the exact oracle is asked once no row is violated
any more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from convexrelu.solvers.column_generation import Candidate, generate
from convexrelu.solvers.problem import Neurons, Problem
from convexrelu.solvers.progress import Clock

__all__ = ["generate_lazily"]

WHOLE = 300  # problems of at most this many rows are solved whole
FIRST = 150  # rows drawn for the first working set
PER_ROUND = 150  # violated rows added at most in a round
SHORT = 1e-2  # of the tolerance: a relative shortfall below it costs the objective no more than that


def generate_lazily(problem: Problem, *, tol: float, clock: Clock, rng: np.random.Generator) -> Candidate:
    """Solve the problem by column generation on as few of its rows as it takes."""
    neurons = Neurons(U=problem.rows[:0], signs=problem.y[:0])
    if len(problem.y) <= WHOLE:
        return generate(problem, neurons, tol=tol, clock=clock, rng=rng)
    working = _first_rows(problem, rng)
    exact = False
    while True:
        candidate = generate(problem.subset(working), neurons, tol=tol, clock=clock, rng=rng, exact=exact)
        neurons = candidate.neurons
        violated = _violated(problem, neurons, working, SHORT * tol)
        if clock.expired() or (exact and not len(violated)):
            mu = np.zeros(len(problem.y))
            mu[working] = candidate.mu
            return replace(candidate, mu=mu)
        exact = exact or not len(violated)
        working = np.union1d(working, violated)


def _first_rows(problem: Problem, rng: np.random.Generator) -> Int[np.ndarray, " q"]:
    """Return a random sample with both classes in it, and the shortest rows, which ask for the most."""
    chosen = [np.argsort(-problem.demand, kind="stable")[: FIRST // 3]]
    for label in (1.0, -1.0):
        rows = np.flatnonzero(problem.y == label)
        chosen.append(rng.choice(rows, size=min(len(rows), FIRST // 3), replace=False))
    return np.unique(np.concatenate(chosen))


def _violated(
    problem: Problem, neurons: Neurons, working: Int[np.ndarray, " q"], share: float
) -> Int[np.ndarray, " v"]:
    """Return the rows outside the working set whose margins fall short the most, relative to their demand."""
    shortfall = 1 - problem.outputs(neurons) / problem.demand
    shortfall[working] = 0.0
    rows = np.flatnonzero(shortfall > share)
    if len(rows) > PER_ROUND:
        rows = rows[np.argpartition(-shortfall[rows], PER_ROUND)[:PER_ROUND]]
    return rows
