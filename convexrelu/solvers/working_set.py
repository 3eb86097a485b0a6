"""Rows enter lazily: few carry a multiplier, so most of a large data set is only ever multiplied.

Solve on a working set, evaluate the margins of all rows, add the most violated, repeat. Multipliers of the
rows left out are zero, so the lower bound needs no change; the exact oracle is asked once no row is violated
any more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from convexrelu.solvers.column_generation import Candidate, Multipliers, Phase, generate
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, Problem, spread

__all__ = ["WHOLE", "generate_lazily"]

WHOLE = 300  # problems of at most this many rows are solved whole
FIRST = 150  # rows drawn for the first working set
PER_ROUND = 150  # violated rows added at most in a round of the hard margin
ROUGH = 1e-2  # relative shortfall that sends a row in while the linear master alone is asked
SHORT = 1e-2  # of the tolerance: a relative shortfall below it costs the objective no more than that
NEAR = 0.05  # rows of the working set with a relative margin above 1 + NEAR leave it once it is complete


def generate_lazily(
    problem: Problem, start: Neurons, *, tol: float, clock: SolverClock, rng: np.random.Generator
) -> Candidate:
    """Solve the problem by column generation on as few of its rows as it takes.

    Begins with the neurons of `start`, if there are any.
    """
    candidate = replace(Candidate.empty(problem), neurons=start)
    if len(problem.y) <= WHOLE:
        return generate(problem, candidate, tol=tol, clock=clock, rng=rng)
    working = _first_rows(problem, rng)
    until: Phase = "directions"
    earlier: list[Multipliers] = []
    while True:
        part = problem.subset(working)
        so_far = replace(candidate, mu=candidate.mu[working])
        found = generate(part, so_far, tol=tol, clock=clock, rng=rng, until=until)
        candidate = replace(found, mu=spread(found.mu, working, len(problem.y)))
        shortfall = 1 - problem.outputs(candidate.neurons) / problem.demand
        # with slack at a price most rows may carry a multiplier: then the working set doubles
        most = max(PER_ROUND, len(working)) if problem.soft else PER_ROUND
        violated = _violated(shortfall, working, ROUGH if until == "directions" else SHORT * tol, most)
        if clock.expired() or (until == "oracle" and not len(violated)):
            return replace(candidate, earlier=tuple(earlier))
        if until == "directions":
            earlier.append(Multipliers(rows=working, values=found.mu))
        if until == "directions" and not len(violated):
            working = working[(shortfall[working] > -NEAR) | (candidate.mu[working] > 0)]
        if not len(violated):
            until = "patterns" if until == "directions" else "oracle"
        working = np.union1d(working, violated)


def _first_rows(problem: Problem, rng: np.random.Generator) -> Int[np.ndarray, " q"]:
    """Return a random sample with both classes in it, and the shortest rows, which ask for the most."""
    chosen = [np.argsort(-problem.demand, kind="stable")[: FIRST // 3]]
    for label in (1.0, -1.0):
        rows = np.flatnonzero(problem.y == label)
        chosen.append(rng.choice(rows, size=min(len(rows), FIRST // 3), replace=False))
    return np.unique(np.concatenate(chosen))


def _violated(
    shortfall: Float[np.ndarray, " k"], working: Int[np.ndarray, " q"], share: float, most: int
) -> Int[np.ndarray, " v"]:
    """Return the rows outside the working set whose margins fall short the most, relative to their demand."""
    outside = shortfall.copy()
    outside[working] = 0.0
    rows = np.flatnonzero(outside > share)
    if len(rows) > most:
        rows = rows[np.argpartition(-outside[rows], most)[:most]]
    return rows
