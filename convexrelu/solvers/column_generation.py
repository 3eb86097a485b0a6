"""Column generation: grow a small set of neurons until no neuron violates the dual constraint.

Four phases share one pricing step, the local search of the oracle. "directions": a linear master over fixed
unit neurons, cheap and rough. "patterns": the reduced convex program of the neurons' activities, which moves
the neurons themselves. "polish": the linear master again, over the neurons found, for the last digits and a
sparse vertex. "oracle": the exact maximisation of the correlation; a violator goes back in.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.correlation import DualNorm, climb, dual_norm, starting_directions, zonotopes_of
from convexrelu.errors import SolverError
from convexrelu.solvers.master import Mix, mix
from convexrelu.solvers.problem import Neurons, Problem
from convexrelu.solvers.progress import Clock
from convexrelu.solvers.reduced import distinct_masks, own_masks, solve_reduced

__all__ = ["FIRST_PENALTY", "Candidate", "generate", "refine", "unpriced"]

_LOGGER = logging.getLogger("convexrelu")

ROUGH = 1e-2  # violation at which the linear master hands over: later rounds of it crawl
FINE = 1e-8  # violation at which the reduced program stops: what its interior-point solver resolves
FIRST_PENALTY = (
    1e3  # of artificial slack, on unit rows; raised while a multiplier reaches it, that is, while slack pays
)
LAST_PENALTY = 1e13  # beyond it float64 cannot tell the problem from an infeasible one
MAX_ROUNDS = 60
DROPPED = 0.1  # share of the tolerance that sparser multipliers may cost
PER_ROUND = 12  # violated directions added at once, for each output sign
STARTS = 24


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
    """

    neurons: Neurons
    mu: Float[np.ndarray, " k"]
    norm: DualNorm
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Pricing:
    """Violated neurons, the largest correlation found, and what it makes of the multipliers' bound."""

    violators: Neurons
    largest: float
    bound: float


def generate(
    problem: Problem,
    start: Neurons,
    *,
    tol: float,
    clock: Clock,
    rng: np.random.Generator,
    exact: bool = True,
) -> Candidate:
    """Solve the problem by column generation from the given neurons.

    When the clock expires it stops, with what there is; without `exact`, as soon as the local search is
    content.
    """
    penalty = FIRST_PENALTY
    directions = start.joined(_first_directions(problem)).normalized()
    while True:
        rough = _directions_phase(problem, directions, penalty, clock, rng)
        candidate = refine(problem, rough, penalty=penalty, tol=tol, clock=clock, rng=rng, exact=exact)
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
        directions = directions.joined(candidate.neurons).normalized()


def _polish(
    problem: Problem,
    neurons: Neurons,
    mu: Float[np.ndarray, " k"],
    *,
    penalty: float,
    tol: float,
    clock: Clock,
    rng: np.random.Generator,
) -> Candidate:
    """The linear tail: a sparse mix of the neurons' directions and of the maxima near mu.

    Of the multipliers met on the way, those with the best bound.
    """
    directions = neurons.normalized()
    mu = np.minimum(mu, problem.caps)  # beyond its cap a multiplier only looks better
    pricing = _price(problem, mu, directions, rng, at_least=1 - 1e-3)
    best_mu, best_bound = mu, pricing.bound
    directions = directions.joined(pricing.violators)
    for _ in range(MAX_ROUNDS):
        solution = mix(problem, directions, penalty=penalty)
        mixed = _mixed(directions, solution)
        pricing = _price(problem, solution.mu, directions, rng)
        if _preferable(solution.mu, pricing.bound, best_mu, best_bound, tol):
            best_mu, best_bound = _sparse(solution.mu, tol), pricing.bound
        _note(clock, problem, "polish", solution, best_bound, len(directions))
        if solution.value - pricing.bound <= DROPPED * tol * solution.value:
            break
        if not len(pricing.violators) or clock.expired():
            break
        directions = directions.joined(pricing.violators)
    return Candidate(neurons=mixed, mu=best_mu, norm=unpriced(problem), value=solution.value)


def _directions_phase(
    problem: Problem, directions: Neurons, penalty: float, clock: Clock, rng: np.random.Generator
) -> Candidate:
    """Linear master and local pricing until the violation is small.

    The neurons returned are the directions in use and the last violators.
    """
    for _ in range(MAX_ROUNDS):
        solution = mix(problem, directions, penalty=penalty)
        used = directions.kept(solution.weights > 0)
        pricing = _price(problem, solution.mu, used, rng)
        _note(clock, problem, "directions", solution, pricing.bound, len(directions))
        if pricing.largest <= 1 + ROUGH or not len(pricing.violators) or clock.expired():
            break
        directions = directions.joined(pricing.violators)
    neurons = used.joined(pricing.violators)
    return Candidate(neurons=neurons, mu=solution.mu, norm=unpriced(problem), value=solution.value)


def refine(
    problem: Problem,
    rough: Candidate,
    *,
    penalty: float,
    tol: float,
    clock: Clock,
    rng: np.random.Generator,
    exact: bool = True,
) -> Candidate:
    """Reduced programs, each followed by pricing.

    When the local search finds nothing more, polish and ask the exact oracle; a violator goes back in.
    """
    neurons, mu, value = rough.neurons, rough.mu, rough.value
    masks, signs = distinct_masks(own_masks(problem, neurons), neurons.signs)
    while not clock.expired():
        for _ in range(MAX_ROUNDS):
            if not len(signs):
                break
            try:
                answer = solve_reduced(problem, masks, signs, penalty=penalty, size=value)
            except SolverError as error:  # the linear tail goes on from what there is
                _LOGGER.info("%s", error)
                break
            neurons, mu = answer.neurons, _sparse(answer.mu, tol)
            pricing = _price(problem, mu, neurons, rng)
            value = max(float(np.linalg.norm(neurons.U, axis=1).sum()), value * 1e-3)
            clock.note(
                "patterns",
                objective=value * problem.scale,
                bound=pricing.bound * problem.scale,
                n_neurons=len(signs),
            )
            grown, grown_signs = distinct_masks(
                np.vstack([masks, own_masks(problem, pricing.violators)]),
                np.r_[signs, pricing.violators.signs],
            )
            stalled = len(grown) == len(masks)
            masks, signs = grown, grown_signs
            if pricing.largest <= 1 + FINE or stalled or clock.expired():
                break
        candidate = _polish(problem, neurons, mu, penalty=penalty, tol=tol, clock=clock, rng=rng)
        if clock.expired() or not exact:  # the certificate asks the oracle in any case
            return candidate
        norm = dual_norm(
            problem.rows,
            problem.y * candidate.mu,
            time_limit=None if np.isinf(clock.limit) else max(clock.left, 1e-3),
        )
        candidate = Candidate(neurons=candidate.neurons, mu=candidate.mu, norm=norm, value=candidate.value)
        bound = problem.demand @ candidate.mu / max(norm.upper_bound, 1.0)
        clock.note(
            "oracle",
            objective=candidate.value * problem.scale,
            bound=bound * problem.scale,
            n_neurons=len(candidate.neurons),
        )
        violator = Neurons(U=norm.direction[None, :], signs=np.array([norm.sign]))
        grown, grown_signs = distinct_masks(
            np.vstack([masks, own_masks(problem, violator)]), np.r_[signs, norm.sign]
        )
        if norm.value <= 1 + tol / 2 or len(grown) == len(masks):
            return candidate
        masks, signs = grown, grown_signs
    return _polish(problem, neurons, mu, penalty=penalty, tol=tol, clock=clock, rng=rng)


def _price(
    problem: Problem,
    mu: Float[np.ndarray, " k"],
    near: Neurons,
    rng: np.random.Generator,
    *,
    at_least: float = 1 + 1e-12,
) -> Pricing:
    """Local maxima above `at_least` of the correlation of +-lam, from `near` and from the oracle's starts."""
    found, largest = Neurons(U=np.zeros((0, problem.rows.shape[1])), signs=np.zeros(0)), 0.0
    for sign in (1.0, -1.0):
        pair = zonotopes_of(problem.rows, sign * problem.y * mu)
        if not len(pair.positive):
            continue
        own = near.kept(near.signs == sign).U @ pair.basis
        sizes = np.linalg.norm(own, axis=1)
        starts = np.vstack([own[sizes > 0] / sizes[sizes > 0, None], starting_directions(pair, STARTS, rng)])
        maxima = climb(pair, starts)
        largest = max(largest, float(maxima.values.max(initial=0.0)))
        keep = np.flatnonzero(maxima.values > at_least)[:PER_ROUND]
        found = found.joined(
            Neurons(U=maxima.directions[keep] @ pair.basis.T, signs=np.full(len(keep), sign))
        )
    bound = float(problem.demand @ mu) / max(largest, 1.0)
    return Pricing(violators=found, largest=largest, bound=bound)


def _first_directions(problem: Problem) -> Neurons:
    """Each class's mean, and what uniform multipliers make the strongest neurons."""
    rng = np.random.default_rng(0)
    uniform = np.full(len(problem.y), 1.0)
    scale = max(np.linalg.norm(problem.rows.sum(axis=0)), 1.0)
    return _price(
        problem, uniform / scale, Neurons(U=problem.rows[:0], signs=problem.y[:0]), rng, at_least=0.0
    ).violators


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


def _mixed(directions: Neurons, solution: Mix) -> Neurons:
    used = solution.weights > 0
    return Neurons(U=directions.U[used] * solution.weights[used, None], signs=directions.signs[used])


def unpriced(problem: Problem) -> DualNorm:
    """The dual norm of multipliers about which the oracle has not been asked."""
    return DualNorm(
        value=0.0, upper_bound=np.inf, exact=False, direction=np.zeros(problem.rows.shape[1]), sign=1.0
    )


def _note(clock: Clock, problem: Problem, phase: str, solution: Mix, bound: float, n_neurons: int) -> None:
    clock.note(
        phase, objective=solution.value * problem.scale, bound=bound * problem.scale, n_neurons=n_neurons
    )
