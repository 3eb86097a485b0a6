"""Rows enter lazily: few carry a multiplier, so most of a large data set is only ever multiplied.

Solve on a working set, evaluate the margins of all rows, add the most violated, repeat. Multipliers of the
rows left out are zero, so the lower bound needs no change; the exact oracle is asked once no row is violated
any more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from convexrelu.oracle.near_ascent import ascend
from convexrelu.solvers.all_rows import mixed
from convexrelu.solvers.column_generation import Candidate, Multipliers, Phase, generate, unpriced
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, Problem, spread
from convexrelu.solvers.soft_margin import SoftMargin

__all__ = ["WHOLE", "generate_lazily"]

WHOLE = 300  # problems of at most this many rows are solved whole
FIRST = 150  # rows drawn for the first working set
PER_ROUND = 150  # violated rows added at most in a round of the hard margin
MIXING_SHARE, MIXING = 0.4, 0.3  # of what is left after the search, for the mix on all rows; after Ctrl-C
WORKING_SHARE = 0.5  # of the search's time, with slack at a price: else what is wanting are neurons
SAMPLE, SAMPLE_SHARE = 5000, 0.6  # rows that stand for all others with slack, and of the time left for them
PRICED = 1e7  # rows by columns by starts of the local search on all rows: a few seconds
ROUGH = 1e-2  # relative shortfall that sends a row in while the linear master alone is asked
SHORT = 1e-2  # of the tolerance: a relative shortfall below it costs the objective no more than that
NEAR = 0.05  # rows of the working set with a relative margin above 1 + NEAR leave it once it is complete


def generate_lazily(
    problem: Problem,
    start: Neurons,
    *,
    tol: float,
    clock: SolverClock,
    whole: SolverClock,
    rng: np.random.Generator,
) -> Candidate:
    """Solve the problem by column generation on as few of its rows as it takes.

    Begins with the neurons of `start`, if there are any. When the clock expires, what is left of the `whole`
    one has room for the best mix over all rows of the neurons found.
    """
    candidate = replace(Candidate.empty(problem), neurons=start)
    if len(problem.y) <= WHOLE:
        return generate(problem, candidate, tol=tol, clock=clock, rng=rng)
    known = start
    search = clock.within(WORKING_SHARE * clock.left) if problem.soft else clock
    working = _first_rows(problem, rng)
    until: Phase = "directions"
    earlier: list[Multipliers] = []
    while True:
        part = problem.subset(working)
        so_far = replace(candidate, mu=candidate.mu[working])
        found = generate(part, so_far, tol=tol, clock=search, rng=rng, until=until)
        candidate = replace(found, mu=spread(found.mu, working, len(problem.y)))
        known = found.neurons.joined(known)
        shortfall = 1 - problem.outputs(candidate.neurons) / problem.demand
        # with slack at a price most rows may carry a multiplier: then the working set doubles
        most = max(PER_ROUND, len(working)) if problem.soft else PER_ROUND
        violated = _violated(shortfall, working, ROUGH if until == "directions" else SHORT * tol, most)
        if until == "oracle" and not len(violated):
            return replace(candidate, earlier=tuple(earlier))
        if search.expired():
            earlier.append(Multipliers(rows=working, values=found.mu))
            return _on_all_rows(
                problem, replace(candidate, earlier=tuple(earlier)), known, clock=clock, whole=whole, rng=rng
            )
        if until == "directions":
            earlier.append(Multipliers(rows=working, values=found.mu))
        if until == "directions" and not len(violated):
            working = working[(shortfall[working] > -NEAR) | (candidate.mu[working] > 0)]
        if not len(violated):
            until = "patterns" if until == "directions" else "oracle"
        working = np.union1d(working, violated)


def _on_all_rows(
    problem: Problem,
    candidate: Candidate,
    known: Neurons,
    *,
    clock: SolverClock,
    whole: SolverClock,
    rng: np.random.Generator,
) -> Candidate:
    """Return the best mix over all rows of the neurons known, with its multipliers.

    Until the clock expires, neurons that violate there join them. The last mix has a part of what is left of
    the `whole` one.
    """
    best = replace(candidate, value=problem.objective(candidate.neurons))
    if problem.soft and len(problem.y) > 2 * SAMPLE and not clock.expired():
        known = _of_a_sample(problem, known, clock=clock, rng=rng)
        if problem.objective(known) < best.value:
            best = replace(best, neurons=known, value=problem.objective(known))
    while True:
        last = clock.expired()
        seconds = MIXING if whole.interrupted else MIXING_SHARE * whole.left if last else clock.left
        mix = mixed(problem, best.neurons, known, clock=SolverClock(limit=seconds))
        if mix.mu.any():
            best = replace(best, mu=mix.mu, norm=unpriced(problem))
        best = replace(best, neurons=mix.neurons, value=mix.value)
        if last or not mix.mu.any() or whole.expired():
            return best
        found, bound = _violating(problem, best, rng)
        scale = problem.scale
        whole.note(
            "directions", objective=best.value * scale, bound=bound * scale, n_neurons=len(best.neurons)
        )
        if not len(found):
            return best
        known = found.joined(known)


def _of_a_sample(
    problem: Problem, known: Neurons, *, clock: SolverClock, rng: np.random.Generator
) -> Neurons:
    """Return the network of a sample of the rows, whose slack is dearer in proportion."""
    k = len(problem.y)
    part = problem.subset(np.sort(rng.choice(k, SAMPLE, replace=False)))
    # its rounds are no part of the record: what a sample pays says nothing of the whole
    own = replace(clock.within(SAMPLE_SHARE * clock.left), rounds=[])
    part = replace(part, caps=part.caps * (k / SAMPLE))
    search = SoftMargin(part, tol=ROUGH, clock=own, rng=rng, proof_clock=own)
    search.start(known)
    search.directions(ROUGH)
    return search.neurons


def _violating(problem: Problem, candidate: Candidate, rng: np.random.Generator) -> tuple[Neurons, float]:
    """Return neurons that violate at the multipliers on all rows, and what the local search says of these."""
    k, r = problem.rows.shape
    size = int(np.clip(PRICED / (k * r), 4, 50))
    found, largest = problem.empty_neurons, 1.0
    for sign in (1.0, -1.0):
        own = candidate.neurons.kept(candidate.neurons.signs == sign)
        own = own.kept(np.argsort(-np.linalg.norm(own.U, axis=1))[:size]).normalized()
        anywhere = rng.normal(size=(size, r))
        starts = np.vstack([own.U, anywhere / np.linalg.norm(anywhere, axis=1, keepdims=True)])
        ends, values = ascend(problem.rows, sign * problem.y * candidate.mu, starts)
        over = np.flatnonzero(values > 1 + ROUGH)
        found = found.joined(Neurons(U=ends[over], signs=np.full(len(over), sign)))
        largest = max(largest, float(values.max(initial=0.0)))
    return found, float(problem.demand @ candidate.mu) / largest


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
