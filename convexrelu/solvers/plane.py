"""Max-margin training in the plane: linear programs on the circle, and the exact sweep between them.

The linear program holds ``|F| <= 1`` at the knots, where F has its kinks. On an arc between them the
constraint can then be violated, in the second order of the arc's length; the sweep finds by how much and
where, and these directions go in. That bounds both sides in every round: the multipliers divided by the
proven maximum of ``|F|``, and the program's own neurons rescaled to the margins.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu.certificates.bounds import relative_gap
from convexrelu.errors import SolverError
from convexrelu.oracle.plane import arc_maxima
from convexrelu.solvers.circle import CircleProgram, circle_of
from convexrelu.solvers.column_generation import Candidate
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, Problem, spread

__all__ = ["solve_plane"]

_LOGGER = logging.getLogger("convexrelu")

WHOLE = 1000  # problems of at most this many rows are solved whole
FIRST = 100  # rows that enter a soft-margin problem at least
ROUGH = 1e-3  # gap of a working set at which more rows enter
MAX_ROUNDS = 40  # each divides the violation by about ten: more than float64 has digits
STALLED = 2  # rounds in which the gap was not halved: the linear solver's accuracy is reached
SHORT = 1e-2  # of the tolerance: a relative shortfall below it costs the objective no more than that


@dataclass(frozen=True, kw_only=True, eq=False)
class Bracket:
    """What a working set's rounds have led to: the best of each side.

    Attributes
    ----------
    neurons : Neurons
        With the best objective so far.
    objective : float
        Theirs, once rescaled to the margins of the working set (inf if they do not meet them).
    mu : (k,) float array
        Multipliers with the best bound so far, scaled to dual feasibility.
    bound : float
        ``demand^T mu``, proven.
    """

    neurons: Neurons
    objective: float
    mu: Float[np.ndarray, " k"]
    bound: float

    @property
    def gap(self) -> float:
        """``(objective - bound)/objective``, at least 0; inf if the objective is."""
        return max(relative_gap(self.objective, self.bound), 0.0)

    def better(self, other: Bracket) -> Bracket:
        """The better neurons and the better multipliers of two."""
        primal = self if self.objective <= other.objective else other
        dual = self if self.bound >= other.bound else other
        return Bracket(neurons=primal.neurons, objective=primal.objective, mu=dual.mu, bound=dual.bound)


def solve_plane(problem: Problem, *, tol: float, clock: SolverClock) -> Candidate:
    """Return neurons and multipliers of a problem whose rows have rank two.

    Rows enter lazily if there are many. When the clock expires it stops, with what there is. Raises
    SolverError if not even the first linear program can be solved.
    """
    if problem.caps.sum() <= 1:  # |F| <= sum mu on unit rows: no neuron is worth its price
        return _priced(
            problem, problem.caps.copy(), problem.empty_neurons, float(problem.caps @ problem.demand)
        )
    working = np.arange(len(problem.y)) if len(problem.y) <= WHOLE else _first_rows(problem)
    cuts, wanted = problem.empty_neurons, max(tol, ROUGH) if len(working) < len(problem.y) else tol
    while True:
        found, cuts = _solve_rows(problem.subset(working), cuts, wanted, clock)
        violated = _violated(problem, found.neurons, working, SHORT * wanted)
        if clock.expired() or (wanted <= tol and not len(violated)):
            return _priced(problem, spread(found.mu, working, len(problem.y)), found.neurons, found.objective)
        wanted = wanted if len(violated) else tol
        working = np.union1d(working, violated)


def _solve_rows(problem: Problem, cuts: Neurons, tol: float, clock: SolverClock) -> tuple[Bracket, Neurons]:
    """Linear programs and sweeps in turn; returns the bracket, and the cuts with those that entered."""
    program = CircleProgram(problem=problem, circle=circle_of(problem.rows))
    best = _first(problem)
    stalled = 0
    for number in range(MAX_ROUNDS):
        try:
            mu, neurons = program.solve(cuts, clock=clock)
        except SolverError as error:
            if number == 0 and not clock.expired():
                raise
            _LOGGER.info("%s", error)
            break
        violators, largest = _violators(problem, mu)
        mu /= max(largest, 1.0)
        now = Bracket(
            neurons=neurons,
            objective=problem.objective(neurons),
            mu=mu,
            bound=float(problem.demand @ mu),
        )
        before, best = best, now.better(best)
        clock.note(
            "circle",
            objective=best.objective * problem.scale,
            bound=best.bound * problem.scale,
            n_neurons=len(neurons),
        )
        stalled = 0 if best.gap < 0.5 * before.gap else stalled + 1
        closed = best.gap <= 1e-3 * tol  # far within the tolerance: the last rounds cost next to nothing
        if closed or stalled >= STALLED or not len(violators) or clock.expired():
            break
        cuts = cuts.joined(violators)
    return best, cuts


def _first(problem: Problem) -> Bracket:
    """No neurons, and equal multipliers up to the caps: the lower bound is never zero."""
    mu = np.minimum(problem.caps, 1.0)
    mu /= max(_violators(problem, mu)[1], 1.0)
    none = problem.empty_neurons
    return Bracket(neurons=none, objective=problem.objective(none), mu=mu, bound=float(problem.demand @ mu))


def _violators(problem: Problem, mu: Float[np.ndarray, " k"]) -> tuple[Neurons, float]:
    """Return where ``|F| > 1`` inside an arc, and a proven bound on the largest ``|F|``.

    A maximum ``1/cos(w)`` inside an arc falls to 1 at the angles +-w beside it: those at half the way enter
    as well, so that the next violation is a sixteenth.
    """
    found, largest = problem.empty_neurons, 0.0
    for sign in (1.0, -1.0):
        maxima = arc_maxima(problem.rows, sign * problem.y * mu)
        largest = max(largest, maxima.bound)
        over = maxima.interior & (maxima.values > 1 + maxima.rounding)
        half = np.arccos(1.0 / maxima.values[over]) / 2
        for turn in (-half, 0.0 * half, half):
            U = _turned(maxima.directions[over], turn)
            found = found.joined(Neurons(U=U, signs=np.full(len(U), sign)))
    return found, largest


def _priced(problem: Problem, mu: Float[np.ndarray, " k"], neurons: Neurons, value: float) -> Candidate:
    return Candidate(neurons=neurons, mu=mu, norm=problem.dual_norm(mu), value=value)


def _turned(U: Float[np.ndarray, "q 2"], angle: Float[np.ndarray, " q"]) -> Float[np.ndarray, "q 2"]:
    c, s = np.cos(angle), np.sin(angle)
    return np.column_stack([c * U[:, 0] - s * U[:, 1], s * U[:, 0] + c * U[:, 1]])


def _first_rows(problem: Problem) -> Int[np.ndarray, " q"]:
    """Return the ends of every run of one label around the circle, and of each the row that asks for most."""
    order = np.argsort(np.arctan2(problem.rows[:, 1], problem.rows[:, 0]), kind="stable")
    labels = problem.y[order]
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    ends = np.r_[starts[1:], len(labels)] - 1
    chosen: np.ndarray = np.r_[order[starts], order[ends], _largest(problem.demand[order], starts, order)]
    return np.unique(chosen)


def _violated(
    problem: Problem, neurons: Neurons, working: Int[np.ndarray, " q"], share: float
) -> Int[np.ndarray, " v"]:
    """Return rows outside the working set whose margins fall short by more than a share of their demand.

    Around the circle they come in runs. Hard margin: the worst of each run enters, which may settle its
    neighbours. Soft margin: multipliers are capped and a run may need many rows, so that the working set
    doubles, by those that fall short the most.
    """
    shortfall = 1 - problem.outputs(neurons) / problem.demand
    shortfall[working] = 0.0
    short = shortfall > share
    if problem.soft:
        entering: np.ndarray = np.argsort(-shortfall, kind="stable")[
            : min(short.sum(), max(FIRST, len(working)))
        ]
        return entering
    order = np.argsort(np.arctan2(problem.rows[:, 1], problem.rows[:, 0]), kind="stable")
    starts = np.flatnonzero(np.r_[True, short[order][1:] != short[order][:-1]])
    worst = _largest(shortfall[order], starts, order)
    hardest: np.ndarray = worst[short[worst]]
    return hardest


def _largest(
    values: Float[np.ndarray, " k"], starts: Int[np.ndarray, " r"], names: Int[np.ndarray, " k"]
) -> Int[np.ndarray, " r"]:
    """Return the name of the first largest value in each run."""
    runs = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    ranked = np.lexsort((np.arange(len(values)), -values, runs))
    chosen: np.ndarray = names[ranked[starts]]
    return chosen
