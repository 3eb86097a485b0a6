"""Column generation: grow a small set of neurons until no neuron violates the dual constraint.

Four phases share one pricing step, the local search of the oracle. "directions": a linear master over fixed
unit neurons, cheap and rough. "patterns": the reduced convex program of the neurons' activities, which moves
the neurons themselves. "polish": the linear master again, over the neurons found, for the last digits and a
sparse vertex. "oracle": the exact maximisation of the correlation; a violator goes back in.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from convexrelu.errors import SolverError
from convexrelu.oracle import (
    DualNorm,
    Zonotopes,
    climb,
    climb_seconds,
    listing_seconds,
    starting_directions,
    zonotopes_of,
)
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.linear_master import Master, Mix
from convexrelu.solvers.problem import Neurons, Problem
from convexrelu.solvers.reduced_program import ReducedProgram

__all__ = [
    "FIRST_PENALTY",
    "Candidate",
    "Generation",
    "Multipliers",
    "Phase",
    "Pricing",
    "first_directions",
    "generate",
    "price",
    "unpriced",
]

_LOGGER = logging.getLogger("convexrelu")

Phase = Literal["directions", "patterns", "oracle"]

ROUGH = 1e-2  # violation at which the linear master hands over: later rounds of it crawl
FIRST_PENALTY = (
    1e3  # of artificial slack, on unit rows; raised while a multiplier reaches it, that is, while slack pays
)
LAST_PENALTY = 1e13  # beyond it float64 cannot tell the problem from an infeasible one
MAX_ROUNDS = 60
DROPPED = 0.1  # share of the tolerance that sparser multipliers may cost
PER_ROUND = 30  # violated directions added at once, for each output sign
STARTS = 24
PRICING_SECONDS = 0.3  # that the local search may take without a look at what the exact oracle would


@dataclass(frozen=True, kw_only=True, eq=False)
class Multipliers:
    """Multipliers of some rows; those of the others are zero.

    Attributes
    ----------
    rows : (q,) int array
        The rows, in the problem's numbers.
    values : (q,) float array
        Their multipliers.
    """

    rows: Int[np.ndarray, " q"]
    values: Float[np.ndarray, " q"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """Neurons and multipliers in a problem's coordinates.

    Attributes
    ----------
    neurons : Neurons
        At most as many as there are rows.
    mu : (k,) float array
        Multipliers of the margins, scaled by nothing yet: divide by the dual norm.
    norm : DualNorm
        Of ``y * mu``, as far as it is known (its bound is inf before the oracle has spoken).
    value : float
        Objective of the neurons before rescaling to the margins.
    earlier : tuple of Multipliers
        Those of smaller working sets, the smallest first: they bound as well, if less, and sooner.
    """

    neurons: Neurons
    mu: Float[np.ndarray, " k"]
    norm: DualNorm
    value: float
    earlier: tuple[Multipliers, ...] = ()

    @classmethod
    def empty(cls, problem: Problem) -> Candidate:
        """No neurons and no multipliers."""
        mu = np.zeros(len(problem.y))
        return cls(neurons=problem.empty_neurons, mu=mu, norm=unpriced(problem), value=0.0)

    def bound(self, problem: Problem) -> float:
        """Lower bound that the multipliers prove, given their dual norm (0 before the oracle has spoken)."""
        return float(problem.demand @ self.mu) / max(self.norm.upper_bound, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pricing:
    """Violated neurons, the largest correlation found, and what it makes of the multipliers' bound."""

    violators: Neurons
    largest: float
    bound: float


def generate(
    problem: Problem,
    start: Candidate | None = None,
    *,
    tol: float,
    clock: SolverClock,
    rng: np.random.Generator,
    until: Phase = "oracle",
) -> Candidate:
    """Solve the problem by column generation.

    When the clock expires it stops, with what there is; else after the phase named. A candidate to start from
    is taken for the outcome of the first phase if it has multipliers; else its neurons take part in it.
    """
    penalty = FIRST_PENALTY
    candidate = start or Candidate.empty(problem)
    while True:
        run = Generation(problem=problem, penalty=penalty, tol=tol, clock=clock, rng=rng)
        if until == "directions" or not candidate.mu.any() or penalty > FIRST_PENALTY:
            directions = candidate.neurons.normalized().joined(first_directions(problem))
            candidate = run.directions(directions, widely=until != "directions")
        if until != "directions":
            candidate = run.refine(candidate, exact=until == "oracle")
        cheap = problem.caps > penalty  # rows whose slack costs less here than in the problem
        if candidate.mu[cheap].max(initial=0.0) < 0.99 * penalty or clock.expired():
            return candidate
        penalty *= 100
        if penalty > LAST_PENALTY:
            if problem.soft:
                return candidate
            raise SolverError(
                f"the margins could not be met: at a price of {LAST_PENALTY:.0e} slack still pays; "
                "the data is feasible only by margins that float64 does not resolve. Use a finite C."
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Generation:
    """One run of the phases at one price of artificial slack.

    Attributes
    ----------
    problem : Problem
        What is solved.
    penalty : float
        Price of slack where the problem forbids it.
    tol : float
        Relative gap asked for.
    clock : SolverClock
        When it expires, every phase ends with what there is.
    rng : Generator
        Of the local search's starts.
    """

    problem: Problem
    penalty: float
    tol: float
    clock: SolverClock
    rng: np.random.Generator

    def directions(self, start: Neurons, *, widely: bool = True) -> Candidate:
        """Linear master and local pricing until the violation found is small; `widely` looks again then."""
        master = Master(self.problem, penalty=self.penalty)
        master.add(start)
        searches = (STARTS, self._many) if widely else (STARTS,)
        solution = self._played(master, rounds=MAX_ROUNDS, violation=ROUGH, searches=searches)
        return Candidate(
            neurons=solution.neurons, mu=solution.mu, norm=unpriced(self.problem), value=solution.value
        )

    def _played(
        self, master: Master, *, rounds: int, violation: float, searches: tuple[int, ...] = (STARTS,)
    ) -> Mix:
        """Let the linear master and the local search play on until the violation found is small.

        `searches` are numbers of starts: the next is tried where the one before finds nothing larger.
        """
        for _ in range(rounds):
            solution = master.solve()
            for starts in searches:
                pricing = price(self.problem, solution.mu, solution.neurons, self.rng, starts=starts)
                if pricing.largest > 1 + violation:
                    break
            self._note("directions", solution.value, pricing.bound, len(master.directions))
            if pricing.largest <= 1 + violation or self.clock.expired():
                break
            master.add(pricing.violators)
        return solution

    def refine(self, rough: Candidate, *, exact: bool = True) -> Candidate:
        """Reduced programs until the local search is content, then the exact oracle; a violator goes back in.

        In high rank the oracle's cost grows steeply with the number of multipliers: it is asked about sparser
        ones, those of a linear tail; and where that tail costs nothing it gives the last digits.
        """
        program = ReducedProgram(self.problem)
        program.add(rough.neurons)
        program.add(price(self.problem, rough.mu, rough.neurons, self.rng).violators)
        candidate = replace(rough, value=self._value(rough.neurons))
        k, r = self.problem.rows.shape
        # in such rank sparse multipliers save the oracle more than the linear tail costs, and on few rows
        # that takes a moment
        polish_first = r >= 5 or k <= 60
        while not self.clock.expired():
            candidate = self._settled(program, candidate, exact=exact)
            if not exact or self.clock.expired():
                return candidate
            violated = 1 + self.tol / 2
            if polish_first:
                candidate = self._polished(candidate)
                pricing = price(self.problem, candidate.mu, candidate.neurons, self.rng, starts=self._many)
                if pricing.largest > violated and program.add(pricing.violators):
                    continue  # cheaper than to be told by the oracle
            asked = self._asked(candidate, stop_above=violated)
            norm = asked.norm
            if norm.value <= violated or not program.add(self._around(asked)):
                if (
                    norm.value > violated and not norm.repeatable
                ):  # it ended at the violator: its bound is poor
                    asked = replace(asked, norm=unpriced(self.problem))
                return asked if polish_first else self._closer(asked)
            _LOGGER.info("a neuron that the local search missed: correlation %.9g", norm.value)
        return self._polished(candidate) if exact else candidate

    def _settled(self, program: ReducedProgram, rough: Candidate, *, exact: bool) -> Candidate:
        """Solve reduced programs, each followed by pricing, until no neuron with a new activity violates.

        Without `exact` a few of them: rows are still missing, and matter more.
        """
        neurons, mu, value = rough.neurons, rough.mu, rough.value
        fine = max(1e-8, DROPPED * self.tol)  # the interior-point solver resolves no less
        master = Master(self.problem, penalty=self.penalty)
        for _ in range(MAX_ROUNDS if exact else 2):
            if not len(program):
                break
            try:
                answer = program.solve(penalty=self.penalty, size=value)
            except SolverError as error:  # the linear tail goes on from what there is
                _LOGGER.info("%s", error)
                break
            neurons, mu = answer.neurons, _sparse(answer.mu, self.tol)
            value = max(self._value(neurons), value * 1e-3)
            content = answer.settled
            for starts in (STARTS, self._many) if content else (STARTS,):
                pricing = price(self.problem, mu, neurons, self.rng, starts=starts)
                if pricing.largest > 1 + fine and program.add(pricing.violators):
                    content = False
                    break
            self._note("patterns", value, pricing.bound, len(program))
            if content or self.clock.expired():
                break
            # the neurons of a mix that has played on have the activities that the next program will want
            master.add(neurons.joined(pricing.violators).normalized())
            program.add(self._played(master, rounds=8, violation=1e-4).neurons)
        return Candidate(neurons=neurons, mu=mu, norm=unpriced(self.problem), value=value)

    def _closer(self, asked: Candidate) -> Candidate:
        """Return the candidate, or what the linear tail makes of it where its bound falls short and gains."""
        if asked.bound(self.problem) >= asked.value * (1 - self.tol / 2):
            return asked
        polished = self._asked(self._polished(asked))
        return max(asked, polished, key=lambda part: part.bound(self.problem) / part.value)

    def _value(self, neurons: Neurons) -> float:
        """Return the objective of the neurons, slack included at the price it has here."""
        shortfall = np.maximum(self.problem.demand - self.problem.outputs(neurons), 0)
        return neurons.size + float(np.minimum(self.problem.caps, self.penalty) @ shortfall)

    def _asked(self, candidate: Candidate, *, stop_above: float = np.inf) -> Candidate:
        """Return the candidate with its dual norm, from the oracle; a value above `stop_above` will do."""
        clock, norm = self.clock, unpriced(self.problem)
        with clock.interruption.ending():
            limit = None if np.isinf(clock.limit) else max(clock.left, 1e-3)
            norm = self.problem.dual_norm(candidate.mu, time_limit=limit, stop_above=stop_above)
        priced = replace(candidate, norm=norm)
        self._note("oracle", candidate.value, priced.bound(self.problem), len(candidate.neurons))
        return priced

    def _around(self, asked: Candidate) -> Neurons:
        """Return the violator that the oracle found, and the local maxima near it."""
        found = asked.norm.direction @ self.problem.basis
        near = found + 0.1 * self.rng.normal(size=(STARTS, len(found)))
        neurons = Neurons(U=np.vstack([found, near]), signs=np.full(1 + STARTS, asked.norm.sign))
        violator = neurons.kept(np.array([0]))
        pricing = price(self.problem, asked.mu, neurons, self.rng, starts=self._many)
        return violator.joined(pricing.violators)

    @property
    def _many(self) -> int:
        """Starts before the local search is believed that nothing violates."""
        rank: int = self.problem.rows.shape[1]
        return 250 * (rank - 1)

    def _polished(self, candidate: Candidate) -> Candidate:
        """The linear tail: a sparse mix of the neurons' directions and of the maxima near mu.

        Of the multipliers met on the way, those with the best bound.
        """
        problem = self.problem
        mu = np.minimum(candidate.mu, problem.caps)  # beyond its cap a multiplier only looks better
        directions = candidate.neurons.normalized()
        pricing = price(problem, mu, directions, self.rng, at_least=1 - 1e-3)
        best_mu, best_bound = mu, pricing.bound
        master = Master(problem, penalty=self.penalty)
        master.add(directions.joined(pricing.violators))
        neurons, value = candidate.neurons, candidate.value
        for _ in range(MAX_ROUNDS):
            try:
                solution = master.solve()
            except SolverError as error:  # what there is will do
                _LOGGER.info("%s", error)
                break
            neurons, value = solution.neurons, solution.value
            pricing = price(problem, solution.mu, solution.neurons, self.rng)
            # what bounds above the value, which weak duality forbids, the local search was mistaken about
            most = solution.value * (1 + self.tol)
            best_bound = best_bound if best_bound <= most else 0.0
            if pricing.bound <= most and _preferable(
                solution.mu, pricing.bound, best_mu, best_bound, self.tol
            ):
                best_mu, best_bound = _sparse(solution.mu, self.tol), pricing.bound
            self._note("polish", solution.value, best_bound, len(master.directions))
            if solution.value - pricing.bound <= DROPPED * self.tol * solution.value:
                break
            if not len(pricing.violators) or self.clock.expired():
                break
            master.add(pricing.violators)
        return Candidate(neurons=neurons, mu=best_mu, norm=unpriced(problem), value=value)

    def _note(self, phase: str, value: float, bound: float, n_neurons: int) -> None:
        scale = self.problem.scale
        self.clock.note(phase, objective=value * scale, bound=bound * scale, n_neurons=n_neurons)


def price(
    problem: Problem,
    mu: Float[np.ndarray, " k"],
    near: Neurons,
    rng: np.random.Generator,
    *,
    at_least: float = 1 + 1e-12,
    starts: int = STARTS,
) -> Pricing:
    """Local maxima above `at_least` of the correlation of +-lam, from `near` and from the oracle's starts."""
    found, largest = problem.empty_neurons, 0.0
    for sign in (1.0, -1.0):
        pair = zonotopes_of(problem.rows, sign * problem.y * mu)
        if not len(pair.positive):
            continue
        own = near.kept(near.signs == sign).U @ pair.basis
        sizes = np.linalg.norm(own, axis=1)
        near_by = own[sizes > 0] / sizes[sizes > 0, None]
        size = _worthwhile(pair, starts)
        maxima = climb(pair, np.vstack([near_by, starting_directions(pair, size, rng)]))
        largest = max(largest, float(maxima.values.max(initial=0.0)))
        keep = np.flatnonzero(maxima.values > at_least)[:PER_ROUND]
        found = found.joined(
            Neurons(U=maxima.directions[keep] @ pair.basis.T, signs=np.full(len(keep), sign))
        )
    bound = float(problem.demand @ mu) / max(largest, 1.0)
    return Pricing(violators=found, largest=largest, bound=bound)


def _worthwhile(pair: Zonotopes, starts: int) -> int:
    """Return so many starts, or fewer where they would take long, and longer than the exact oracle."""
    if starts * climb_seconds(pair) <= PRICING_SECONDS:
        return starts
    return min(starts, max(STARTS, int(listing_seconds(pair) / climb_seconds(pair))))


def first_directions(problem: Problem) -> Neurons:
    """Each class's mean, and what uniform multipliers make the strongest neurons."""
    rng = np.random.default_rng(0)
    uniform = np.full(len(problem.y), 1.0)
    scale = max(np.linalg.norm(problem.rows.sum(axis=0)), 1.0)
    return price(problem, uniform / scale, problem.empty_neurons, rng, at_least=0.0).violators


def _preferable(
    mu: Float[np.ndarray, " k"],
    bound: float,
    than: Float[np.ndarray, " k"],
    its_bound: float,
    tol: float,
) -> bool:
    """Whether multipliers bound clearly better, or all but equally well with fewer rows for the oracle."""
    allowed = DROPPED * tol * its_bound
    fewer = np.count_nonzero(mu) < np.count_nonzero(than)
    return bool(bound > its_bound + allowed or (fewer and bound >= its_bound - allowed))


def _sparse(mu: Float[np.ndarray, " k"], tol: float) -> Float[np.ndarray, " k"]:
    """The multipliers without their smallest entries.

    Rows are units, so the dual norm moves by no more than the sum of what is dropped.
    """
    order = np.argsort(mu)
    dropped = order[np.cumsum(mu[order]) <= DROPPED * tol]
    kept = mu.copy()
    kept[dropped] = 0.0
    return kept


def unpriced(problem: Problem) -> DualNorm:
    """The dual norm of multipliers about which the oracle has not been asked."""
    return DualNorm(
        value=0.0,
        upper_bound=np.inf,
        exact=False,
        repeatable=False,
        direction=np.zeros(problem.rows.shape[1]),
        sign=1.0,
    )
