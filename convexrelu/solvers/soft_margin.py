"""Soft margins: column generation on all rows, whose network is good whenever it is stopped.

With noise most rows carry a multiplier: those that fall short have it at its cap, and a working set without
them says nothing of the whole. Here every network is judged on all rows, and so are the multipliers.

"directions": the central linear master and the local search play until the gap is a few thousandths.
"vertex": multipliers that fewer rows carry take their place, for the oracle; mostly that closes the gap, too.
"patterns": where it does not, the reduced program moves the neurons themselves, which a linear master can
only approach by ever more directions; rounds of the latter bring new activities.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from convexrelu.errors import SolverError
from convexrelu.oracle import DualNorm, search_seconds
from convexrelu.oracle.near_ascent import ascend, beside
from convexrelu.oracle.neuron import CONE_RANK
from convexrelu.solvers.central_master import CentralMaster
from convexrelu.solvers.column_generation import Candidate, unpriced
from convexrelu.solvers.history import GLANCE_SHARE, SolverClock
from convexrelu.solvers.linear_master import Master
from convexrelu.solvers.problem import Neurons, Problem, spread
from convexrelu.solvers.reduced_program import ReducedProgram
from convexrelu.solvers.work import ASCENT, CONE, PIVOT

__all__ = ["SoftMargin", "soft_margin_pays"]

_LOGGER = logging.getLogger("convexrelu")

HANDED_OVER = 3e-3  # estimated gap at which the linear master hands over
BETWEEN = 4  # rounds of the linear master between two reduced programs
MAX_ROUNDS = 1000
PATIENCE = 3  # questions to the oracle whose answers have closed little of the gap, before the last one
SHARE = 0.2  # of the open gap, to which the linear master is solved
PER_ROUND, FEWER = 100, 30  # violated directions added at once, for each output sign; when the gap is small
STARTS = 50  # of the local search for one sign, anywhere; half as many near rows
FOLLOWED = 30  # of the neurons, the largest: starts as well
WIDER = 8  # times as many starts, before the local search is believed that nothing violates
EXACT = 1e-9  # the least tolerance that the oracle is asked for
SEARCHED = 0.97  # of the gap allowed, to which it searches: its bound may be all that, and is rounded upwards
VIOLATED = 1e-7  # a correlation above one by less is the solvers' rounding
THINNED = 0.05  # of the tolerance, that fewer multipliers may cost
SPARSE_SHARE, SPARSE_GAP = 0.3, 0.75  # of the time left, of the tolerance: for multipliers of fewer rows
# Up to this rank the oracle takes little longer for all rows than for few; and of multipliers in the middle
# of the optimal face the local search misses less than of those at a vertex.
DENSE_RANK = 3
# Of the proof's time, for the oracle's search of all multipliers; the more where the rank is so low that the
# semidefinite program, whose time the rest is, has never come near the bound of a search.
ASKED_SHARE, MOST_SHARE, SEARCHED_RANK = 0.7, 0.95, 6
WORTHLESS = 0.5  # of the objective: with a lower bound below, multipliers of samples are searched
SAMPLE_TOL, SAMPLE_GROWTH = 1e-2, 1.3  # their tolerance; ratio of the sizes that are tried
# Of the time left, for the sample's directions, and for its search as estimated: of dense multipliers the
# estimate was found to be too low, by two to six.
SAMPLE_SHARE, SAMPLE_SEARCH = 0.3, 0.06
TIDY_SHARE = 0.05  # of the time left, to move neurons where the gap is closed without it
SPARSE_ROUNDS = 60  # till then a vertex bounds as well, or it would take longer than the oracle gains
# Directions, beyond which those that are not in use are dropped, but for those of correlations that are less
# than a multiple of the gap below one, or less than this.
MOST, NEARLY = 200, 0.01


def soft_margin_pays(problem: Problem) -> bool:
    """Whether slack is cheap enough that many rows will have some, and the rows are not too many for it.

    Else a working set of them is the better way, as for the hard margin.
    """
    return problem.soft and len(problem.y) <= 50_000 and float(problem.caps.max(initial=0.0)) <= 1e3


@dataclass(kw_only=True, eq=False)
class _Multipliers:
    """Multipliers and the largest correlation that is known of them."""

    mu: Float[np.ndarray, " k"]
    largest: float

    def bound(self, problem: Problem) -> float:
        """The lower bound, if no direction correlates more."""
        return float(problem.demand @ self.mu) / max(self.largest, 1.0)


def _moved(before: float, gap: float) -> bool:
    """Whether a round has done something: closed a tenth of the gap, or found that it is a tenth larger."""
    return not 0.9 * before <= gap <= 1.1 * before


class SoftMargin:
    """Neurons and multipliers of a soft-margin problem, the best so far of each.

    Parameters
    ----------
    problem : Problem
        With a finite price of slack.
    tol : float
        Relative gap asked for.
    clock : SolverClock
        When it expires, :meth:`solve` ends with what there is.
    rng : Generator
        Of the local search's starts.
    proof_clock : SolverClock
        When it expires, so does the oracle's search.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        tol: float,
        clock: SolverClock,
        rng: np.random.Generator,
        proof_clock: SolverClock,
    ) -> None:
        self.problem, self.tol, self.clock, self.rng = problem, tol, clock, rng
        self.proof_clock = proof_clock
        self.neurons = problem.empty_neurons
        self.value = float(problem.caps @ problem.demand)
        mu = np.minimum(problem.caps, 1.0)
        self.best = _Multipliers(mu=mu, largest=float(mu.sum()))
        self.master = CentralMaster(problem)

    @property
    def gap(self) -> float:
        """The relative gap, if the local search has missed nothing."""
        return self._open(self.best.bound(self.problem))

    def _open(self, bound: float) -> float:
        """The relative gap that a bound leaves open."""
        return 1.0 - bound / self.value if self.value > 0 else 0.0

    def solve(self, start: Neurons) -> Candidate:
        """Return neurons, and multipliers with the dual norm that is proven; `start` takes part at once."""
        self.start(start)
        proven: list[Candidate] = []
        wanted, known, futile = 0.5 * self.tol, 0.0, 0
        while True:
            if self.gap > max(HANDED_OVER, wanted):
                self.directions(max(HANDED_OVER, wanted))
            self._sparse()
            if self.gap > SPARSE_GAP * self.tol:
                self._polish(wanted)
                self._sparse()
            elif self.tol < HANDED_OVER:  # else it would be most of the work
                self._tidied(wanted)
            self._thin()
            # the last time, when it is too late for another round or those before have led to nothing
            last = self.clock.expired() or futile == PATIENCE
            norm = self._asked() if last else self._asked_twice()
            proven.append(Candidate(neurons=self.neurons, mu=self.best.mu, norm=norm, value=self.value))
            # if the oracle, however it ended, has missed nothing
            bound = _Multipliers(mu=self.best.mu, largest=norm.value).bound(self.problem)
            futile = 0 if self._open(max(known, bound)) < 0.9 * self._open(known) else futile + 1
            known = max(known, bound)
            if last or norm.value <= 1 + self._allowed() or self.clock.expired():
                proven.append(self._of_samples(proven[-1]))
                whole = max(proven, key=lambda part: part.bound(self.problem))
                return replace(whole, neurons=self.neurons, value=self.value)
            _LOGGER.info("a neuron that the local search missed: correlation %.9g", norm.value)
            found = (norm.direction @ self.problem.basis)[None]
            found /= np.linalg.norm(found)
            self._violating(self.best.mu, norm.sign, np.vstack([found, beside(found, self.rng)]))

    def _tidied(self, wanted: float) -> None:
        """Move the neurons for a short while, towards the fewer of the optimum; the multipliers stay."""
        whole, best = self.clock, self.best
        self.clock = whole.within(TIDY_SHARE * whole.left)
        self._vertex()
        self._patterns(wanted)
        self._vertex()
        self.clock, self.best = whole, best

    def _polish(self, wanted: float) -> None:
        """Move the neurons until the gap is small, or nothing moves it."""
        before = np.inf
        self._vertex()
        for _ in range(MAX_ROUNDS):
            # what no longer shrinks is rounding, or no local search finds it
            if self.gap <= wanted or not _moved(before, self.gap) or self.clock.expired():
                break
            before = self.gap
            self._patterns(wanted)
            self._vertex()

    def start(self, neurons: Neurons) -> None:
        """Let neurons take part, and price the multipliers at their caps."""
        self.offer(neurons)
        self.master.add(neurons.normalized())
        self.priced(self.problem.caps)  # where slack is cheap enough, these are the optimum

    def _allowed(self) -> float:
        """By how much the dual norm of the best multipliers may exceed one, for the gap asked for."""
        bound = float(self.problem.demand @ self.best.mu)
        return max(bound / (self.value * (1 - self.tol)) - 1, 0.0) if self.value > 0 else np.inf

    def _asked_twice(self) -> DualNorm:
        """Return the dual norm of the best multipliers: a neuron that they miss will do if it shows soon.

        A long search that comes upon one late goes on: what that neuron costs the bound is far less than what
        a search cut off does, and there is no time for another.
        """
        enough = 1 + self._allowed()
        timed = np.isfinite(self.proof_clock.left)
        norm = self._asked(stop_above=enough, share=GLANCE_SHARE if timed else 1.0)
        missed = norm.value > enough and not self.clock.expired()
        return norm if norm.exact or missed or not timed else self._asked()

    def _asked(self, *, stop_above: float = np.inf, share: float = 1.0) -> DualNorm:
        """Return the dual norm of the best multipliers, proven as closely as the gap leaves room for.

        Within a share of the oracle's time. A value above `stop_above` will do instead.
        """
        norm, problem, clock = unpriced(self.problem), self.problem, self.proof_clock
        if problem.rows.shape[1] > CONE_RANK or clock.expired():
            return norm
        # where the multipliers are not good enough, a bound is sought that loses little beside them
        room = (1 + self._allowed()) / max(self.best.largest, 1.0) - 1
        tol = max(SEARCHED * room, 0.1 * self.gap, EXACT)
        with clock.interruption.ending():
            share *= MOST_SHARE if problem.rows.shape[1] <= SEARCHED_RANK else ASKED_SHARE
            norm = self._norm(self.best.mu, share, tol=tol, stop_above=stop_above)
        bound = float(problem.demand @ self.best.mu) / max(norm.upper_bound, 1.0)
        self._note("oracle", len(self.neurons), bound=bound)
        return norm

    def _norm(
        self, mu: Float[np.ndarray, " k"], share: float, *, tol: float, stop_above: float = np.inf
    ) -> DualNorm:
        """Return the dual norm of multipliers as far as a share of the proof's time, or work, proves it."""
        clock = self.proof_clock
        node = CONE * max(int(np.count_nonzero(mu)), 1)
        limit, nodes = clock.allowed(share, node, least=1e-3)
        norm = self.problem.dual_norm(mu, tol=tol, time_limit=limit, max_nodes=nodes, stop_above=stop_above)
        clock.did(node * norm.nodes)
        return norm

    def _of_samples(self, whole: Candidate) -> Candidate:
        """Multipliers of a sample of the rows, where the search for all of them has come to next to nothing.

        Those of few rows are searched to the end: they prove about the sample's share of the optimum. It has
        as many rows as a search of all their multipliers, estimated, has time for: with more time more, and
        those of less time are among them.
        """
        problem, clock = self.problem, self.proof_clock
        k, r = problem.rows.shape
        if r > CONE_RANK or np.isinf(clock.limit) or whole.bound(problem) > WORTHLESS * self.value:
            return whole
        order, size = np.random.default_rng(0).permutation(k), 2 * r
        while size < k and self._affordable(order[: int(SAMPLE_GROWTH * size)], SAMPLE_SEARCH * clock.left):
            size = int(SAMPLE_GROWTH * size)
        rows = np.sort(order[: min(size, k)])
        own = replace(clock.within(SAMPLE_SHARE * clock.left), rounds=[])
        sample = SoftMargin(problem.subset(rows), tol=SAMPLE_TOL, clock=own, rng=self.rng, proof_clock=own)
        sample.start(problem.empty_neurons)
        sample.directions(SAMPLE_TOL)
        mu = spread(sample.best.mu, rows, k)
        norm = unpriced(problem)
        with clock.interruption.ending():
            norm = self._norm(mu, ASKED_SHARE, tol=SAMPLE_TOL)
        found = replace(whole, mu=mu, norm=norm)
        self._note("oracle", len(self.neurons), bound=found.bound(problem))
        return max(whole, found, key=lambda part: part.bound(problem))

    def _affordable(self, rows: Int[np.ndarray, " q"], seconds: float) -> bool:
        """Whether the search of multipliers of all these rows should take no longer."""
        part = self.problem.subset(rows)
        return search_seconds(part.data, part.y * part.caps * part.inverse_norms) <= seconds

    def _sparse(self) -> None:
        """Multipliers at a vertex of what the directions allow, where they bound nearly as well.

        In the middle of the optimal face nearly all rows carry a multiplier; at a vertex no more of them than
        there are directions lie strictly between zero and their caps. That is the fewer generators for the
        oracle. From all directions known few are missing.
        """
        if self.problem.rows.shape[1] <= DENSE_RANK and self.tol < HANDED_OVER:
            return  # the last digits: the oracle takes little longer for all rows
        master = Master(self.problem, penalty=np.inf)
        master.add(self.master.directions.joined(self.neurons.normalized()))
        clock = self.clock.within(SPARSE_SHARE * self.clock.left)
        for _ in range(SPARSE_ROUNDS):
            if clock.expired():
                return
            try:
                mix = master.solve(seconds=max(clock.seconds, 0.1))
            except SolverError as error:
                _LOGGER.info("%s", error)
                return
            clock.did(PIVOT * len(master.directions) * len(self.problem.y))
            self.offer(mix.neurons)
            found, now = self._judged(np.minimum(mix.mu, self.problem.caps))
            self._note("vertex", len(master.directions), bound=now.bound(self.problem))
            if now.bound(self.problem) >= self.value * (1 - SPARSE_GAP * self.tol):
                self.best = now
                return
            if not len(found):
                return
            master.add(found)

    def _thin(self) -> None:
        """Set the smallest multipliers to zero: the oracle searches fewer rows, and the bound hardly falls.

        In the middle of the optimal face those of rows beyond their margins are small, but not zero.
        """
        shares = self.problem.demand * self.best.mu
        order = np.argsort(self.best.mu)
        small = order[np.cumsum(shares[order]) <= THINNED * self.tol * shares.sum()]
        mu = self.best.mu.copy()
        mu[small] = 0.0
        # the dual norm moves by no more than the sum of what is dropped, as the rows are units
        largest = self.best.largest + float(self.best.mu[small].sum())
        if largest <= 1 + THINNED * self.tol:
            self.best = _Multipliers(mu=mu, largest=largest)

    def _vertex(self) -> None:
        """Mix the neurons anew, by a vertex of the linear master: no more of them than rows at a margin."""
        if len(self.neurons) <= self.problem.rows.shape[1] + 1:
            return
        master = Master(self.problem, penalty=np.inf)
        master.add(self.neurons.normalized())
        try:
            # after the search's time a part of what is left for the proof: else neurons are more than rows
            mix = master.solve(seconds=max(self.clock.seconds, 0.4 * self.proof_clock.seconds, 0.2))
        except SolverError as error:
            _LOGGER.info("%s", error)
            return
        self.clock.did(PIVOT * len(master.directions) * len(self.problem.y))
        # a share of the tolerance, which the linear solver's is within, buys the fewer neurons
        value = self.problem.objective(mix.neurons)
        if value <= self.value * (1 + 1e-3 * self.tol):
            self.neurons, self.value = mix.neurons, value
        self.priced(np.minimum(mix.mu, self.problem.caps))

    def directions(self, wanted: float, rounds: int = MAX_ROUNDS) -> None:
        """Let the linear master and the local search play until the gap is small, or nothing violates."""
        for _ in range(rounds):
            before = self.gap
            mix = self.master.solve(max(SHARE * max(self.gap, 0.0), 1e-10), self.clock)
            self.offer(mix.neurons)
            violators = self.priced(mix.mu)
            self._note("directions", len(self.master))
            if self.clock.expired():
                break
            if self.gap > wanted and len(violators):
                continue
            # the best multipliers are believed after a wider search only, which may find them worse
            violators = self.priced(self.best.mu, wider=WIDER)
            if self.gap <= wanted or not (len(violators) or self.gap <= 0.9 * before):
                break  # or what is open is what the master's own rounding leaves

    def _patterns(self, wanted: float) -> None:
        """Reduced programs until the gap is small, or no neuron with a new activity violates."""
        program = ReducedProgram(self.problem)
        program.add(self.neurons)
        for _ in range(MAX_ROUNDS):
            if not len(program) or self.clock.expired():
                break
            try:
                answer = program.solve(
                    penalty=np.inf,
                    size=self.value,
                    outputs=self.problem.outputs(self.neurons),
                    tol=max(1e-10, 1e-3 * self.tol),
                    seconds=max(self.clock.seconds, 0.1),
                )
            except SolverError as error:  # the linear master goes on from what there is
                _LOGGER.info("%s", error)
                break
            self.clock.did(answer.work)
            self.offer(answer.neurons)
            mu = np.minimum(answer.mu, self.problem.caps)
            violators = self.priced(mu).joined(self.master.strongest(mu, above=1 + VIOLATED, most=FEWER))
            self._note("patterns", len(program))
            if self.gap <= wanted:
                break
            self.master.add(answer.neurons.normalized())
            new = program.add(violators)
            if answer.settled and not new:
                break
            self.directions(wanted, BETWEEN)
            self._vertex()
            program.add(self.neurons)

    def priced(self, mu: Float[np.ndarray, " k"], *, wider: int = 1) -> Neurons:
        """Return neurons that violate at these multipliers; they are kept if no others bound as well."""
        found, now = self._judged(mu, wider=wider)
        if now.bound(self.problem) > self.best.bound(self.problem):
            self.best = now
        return found

    def _judged(self, mu: Float[np.ndarray, " k"], *, wider: int = 1) -> tuple[Neurons, _Multipliers]:
        """Return neurons that violate at these multipliers, and the multipliers with the largest value."""
        found, largest = self.problem.empty_neurons, self.master.largest(mu)
        followed = self.neurons.kept(np.argsort(-np.linalg.norm(self.neurons.U, axis=1))[:FOLLOWED])
        for sign in (1.0, -1.0):
            own = followed.kept(followed.signs == sign).normalized().U
            starts = [own, self._starts(sign * self.problem.y * mu, wider)]
            if wider > 1:
                neurons = self.neurons.kept(self.neurons.signs == sign)
                starts.append(beside(neurons.normalized().U, self.rng))
            violators, value = self._violating(mu, sign, np.vstack(starts))
            found, largest = found.joined(violators), max(largest, value)
        return found, _Multipliers(mu=mu, largest=largest)

    def _violating(
        self, mu: Float[np.ndarray, " k"], sign: float, starts: Float[np.ndarray, "s r"]
    ) -> tuple[Neurons, float]:
        """Return the violators that starts lead to, which the master then knows, and the largest value."""
        problem = self.problem
        self.clock.did(ASCENT * len(starts) * np.count_nonzero(mu) * problem.rows.shape[1])
        ends, values = ascend(problem.rows, sign * problem.y * mu, starts)
        order = np.argsort(-values)
        order = order[values[order] > 1 + VIOLATED]
        # ends on one maximum agree to rounding
        _, first = np.unique(np.round(ends[order], 6), axis=0, return_index=True)
        most = int(np.clip(PER_ROUND * self.gap / 0.3, FEWER, PER_ROUND))
        kept = order[np.sort(first)[:most]]
        found = Neurons(U=ends[kept], signs=np.full(len(kept), sign))
        if len(found):
            # the best multipliers are judged by all directions that are found
            known = float((self.best.mu @ problem.features(found)).max())
            self.best.largest = max(self.best.largest, known)
            if len(self.master) > MOST:
                self.master.drop_idle(1 - float(np.clip(3 * self.gap, NEARLY, 0.3)))
            self.master.add(found)
        return found, float(values.max(initial=0.0))

    def _starts(self, weights: Float[np.ndarray, " k"], wider: int) -> Float[np.ndarray, "s r"]:
        """Return random starts: anywhere, and near rows that pull."""
        rows, size = self.problem.rows, wider * STARTS
        pulling = np.flatnonzero(weights > 0)
        chosen = rows[self.rng.choice(pulling, size=size // 2)] if len(pulling) else rows[:0]
        starts = np.vstack(
            [chosen + 0.1 * self.rng.normal(size=chosen.shape), self.rng.normal(size=(size, rows.shape[1]))]
        )
        directions: np.ndarray = starts / np.linalg.norm(starts, axis=1, keepdims=True)
        return directions

    def offer(self, neurons: Neurons) -> None:
        """Keep the neurons if they are the best on all rows."""
        value = self.problem.objective(neurons)
        if value < self.value:
            self.neurons, self.value = neurons, value

    def _note(self, phase: str, n_neurons: int, *, bound: float | None = None) -> None:
        scale = self.problem.scale
        bound = self.best.bound(self.problem) if bound is None else bound
        self.clock.note(phase, objective=self.value * scale, bound=bound * scale, n_neurons=n_neurons)
