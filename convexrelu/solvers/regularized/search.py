"""Column generation with a convex master, for training with weight decay.

A round prices the multipliers by local search, adds the violated directions, and fits the sizes of all
(``directions``); once the violation is small, the neurons themselves are moved, too (``patterns``). When the
gap is closed as far as the local search can tell, the oracle proves it (``oracle``): as closely as the gap
asked for leaves room, no closer. A violator that it finds goes back in.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float

from convexrelu.oracle.near_ascent import ascend, beside
from convexrelu.solvers.history import GLANCE_SHARE, SolverClock
from convexrelu.solvers.problem import Neurons
from convexrelu.solvers.regularized.master import fit_sizes
from convexrelu.solvers.regularized.model import Coordinates, Mix, SmoothedLoss
from convexrelu.solvers.regularized.movement import merged, move, pruned
from convexrelu.solvers.regularized.proof import VIOLATED, ProvenNorm, level_of, proven_norm, room
from convexrelu.solvers.work import ASCENT, FIT

__all__ = ["Found", "Search"]

_LOGGER = logging.getLogger("convexrelu")

ROUGH = 1e-3  # violation at which the neurons begin to move: later rounds of fixed directions crawl
CLOSE = 20.0  # times the tolerance: a gap at which they do in any case
SHARE = 0.5  # of the tolerance, at which the oracle is asked; the rest is for its own
# random starts of the local search for one sign, and how many times as many for a last look
STARTS, WIDER = 60, 8
FEWEST, MANY_ROWS = 30, 2000  # starts at the least; rows from which on there are fewer, as each costs more
PER_ROUND = 40  # violated directions added at once
MOVES = 4  # steps of the neurons in a round
NEAR, LEAST_NEAR = 0.05, 3e-3  # cosines of rows that get a hinge at once; halved from round to round
STALLS = 4  # rounds without progress that end the search
KINKED, SHARPER, SHARPEST = 0.5, 0.25, 1e-5  # share of a gap that is smoothing's; its factor then, its least
RECENTRED = 5  # fits of one round where the loss has kinks, each with the centre of the one before
MAX_ROUNDS = 400
LEFT_OVER = 0.1  # of the time, with which it is worth while to go on after a proof that was to be the last
EXACT = 1e-9  # the least tolerance that the oracle is asked for


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a search ends with.

    Attributes
    ----------
    mix : Mix
        The best network found.
    lam : (n,) float array
        Multipliers in the domain of the dual.
    proven : ProvenNorm
        Their dual norm, as far as it is proven.
    """

    mix: Mix
    lam: Float[np.ndarray, " n"]
    proven: ProvenNorm


@dataclass(kw_only=True, eq=False)
class _Multipliers:
    """Multipliers in the domain, the largest correlation known of them, and what it makes of their bound."""

    lam: Float[np.ndarray, " n"]
    largest: float
    bound: float


class Search:
    """The search for a network, and the multipliers that prove how good it is.

    Parameters
    ----------
    problem : Coordinates
        What is solved.
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
        problem: Coordinates,
        *,
        tol: float,
        clock: SolverClock,
        proof_clock: SolverClock,
        rng: np.random.Generator,
    ) -> None:
        self.problem, self.tol, self.rng = problem, tol, rng
        self.clock, self.proof_clock = clock, proof_clock
        # of the time, which is the search's; where there is no limit, nothing is shared
        self.share = clock.limit / proof_clock.limit if np.isfinite(proof_clock.limit) else 1.0
        self.loss = SmoothedLoss.of(problem.decay)
        self.mix = self.best = problem.empty
        self.value = problem.objective(self.best)
        nothing = np.zeros(len(problem.Z))
        self.dual = _Multipliers(lam=nothing, largest=0.0, bound=problem.decay.dual_value(nothing))
        self.starts = max(FEWEST, STARTS * min(MANY_ROWS, len(nothing)) // max(len(nothing), 1))
        self.negligible = problem.decay.negligible(nothing)
        self.near, self.moving, self.sharpest = NEAR, False, SHARPEST * self.loss.mu

    @property
    def gap(self) -> float:
        """The relative gap, if the local search has missed nothing."""
        return (self.value - self.dual.bound) / self.value if self.value > 0 else 0.0

    @property
    def fitted(self) -> bool:
        """Whether the affine part fits the data without any neuron."""
        return not len(self.best.neurons) and self.value <= self.negligible

    def solve(self, start: Mix) -> Found:
        """Return the network and its proof; the neurons of `start` take part from the beginning."""
        self._refit(start.neurons.normalized(), np.linalg.norm(start.neurons.U, axis=1), start.free)
        asked, best, found = np.inf, -np.inf, None
        while True:
            self._rounds(SHARE * self.tol)
            last = self.clock.expired() or not self.gap < 0.9 * asked
            proven = self._asked(last=last)
            norm = proven.norm
            bound = self.problem.decay.bound(self.dual.lam, norm.upper_bound)
            if found is None or bound > best:
                best, found = bound, Found(mix=self.best, lam=self.dual.lam, proven=proven)
            # a value within the level may leave its bound beyond it: then the violator is worth its round
            enough = bound >= self.value * (1 - self.tol)
            missed = norm.value > self.dual.largest * (1 + VIOLATED)
            if enough or not (self._extended(missed=missed) if last else missed):
                return replace(found, mix=self.best)
            _LOGGER.info("a neuron that the local search missed: correlation %.9g", norm.value)
            missed = (norm.direction @ self.problem.basis)[None]
            missed /= np.linalg.norm(missed)
            starts = np.vstack([missed, beside(missed, self.rng)])
            violators = self._climbed(self.dual.lam, norm.sign, starts)[0]
            self.dual.largest = max(self.dual.largest, norm.value)
            self.dual.bound = self.problem.decay.bound(self.dual.lam, self.dual.largest)
            asked = self.gap
            self._step(violators)

    def _extended(self, *, missed: bool) -> bool:
        """Whether the last proof has left time for another and something to do; the search gets its share."""
        left = self.proof_clock.left
        if np.isinf(left) or left < LEFT_OVER * self.proof_clock.limit:
            return False
        ended = self.clock.expired()
        self.clock = self.proof_clock.until(self.proof_clock.elapsed + self.share * left)
        return missed or ended

    def _rounds(self, wanted: float) -> None:
        """Price, fit and move until the gap is small, or nothing moves any more."""
        stalls = 0
        for _ in range(MAX_ROUNDS):
            before = self.value, self.dual.bound
            violators, violation = self._priced()
            if self.gap <= (wanted if self.moving else CLOSE * self.tol) or not len(violators):
                wide, violation = self._priced(wider=WIDER)
                violators = violators.joined(wide)
            self._note("patterns" if self.moving else "directions")
            closed = self.gap <= wanted and self.moving
            if closed or self.fitted or self.clock.expired():
                return
            self.moving = self.moving or violation < ROUGH or self.gap < CLOSE * self.tol
            self._step(violators)
            progress = max(before[0] - self.value, self.dual.bound - before[1])
            stalls = stalls + 1 if progress <= 1e-3 * self.tol * abs(self.value) else 0
            if stalls > STALLS:
                return

    def _step(self, violators: Neurons) -> None:
        """Take violators in, fit all sizes, and move the neurons if it is time for that."""
        sizes = np.linalg.norm(self.mix.neurons.U, axis=1)
        directions = self.mix.neurons.normalized().joined(violators)
        self._refit(directions, np.r_[sizes, np.zeros(len(violators))], self.mix.free)
        if self.moving:
            self._move()
        if not self.loss.exact:
            self._sharpen()

    def _move(self) -> None:
        """Move the neurons until a step gains little beside the gap."""
        for _ in range(MOVES):
            before = self._smoothed()
            step = move(self.problem, self.loss, self.mix, near=self.near, clock=self.clock)
            moved = merged(self.problem, pruned(step))
            gained = before - self._smoothed(moved)
            self._take(moved)
            if gained < 1e-3 * abs(self.value) * max(self.gap, self.tol) or self.clock.expired():
                break
        self.near = max(self.near / 2, LEAST_NEAR)

    def _sharpen(self) -> None:
        """Smooth a loss with kinks less, once most of the gap is what smoothing hides."""
        value = self.problem.objective(self.mix)
        hidden = value - self._smoothed()
        if hidden > KINKED * (value - self.dual.bound) and self.loss.mu > self.sharpest:
            self.loss = self.loss.moved(self.loss.centre, SHARPER * self.loss.mu)

    def _smoothed(self, mix: Mix | None = None) -> float:
        mix = self.mix if mix is None else mix
        return self.loss.value(self.problem.outputs(mix)) + self.problem.price(mix)

    def _refit(
        self, directions: Neurons, sizes: Float[np.ndarray, " k"], free: Float[np.ndarray, " q"]
    ) -> None:
        """Fit the sizes of unit directions, begun with these."""
        for _ in range(1 if self.loss.exact else RECENTRED):
            self.clock.did(FIT[0] + FIT[1] * self.problem.units.shape[0] * (len(directions) + 5) ** 2)
            fitted = fit_sizes(self.problem, self.loss, directions, sizes, free)
            sizes, free = np.linalg.norm(fitted.neurons.U, axis=1), fitted.free
            self._take(pruned(fitted))

    def _take(self, mix: Mix) -> None:
        """Go on from a mix, and keep it if it is the best; a smoothed loss is centred on its multipliers."""
        self.mix = mix
        value = self.problem.objective(mix)
        if value < self.value:
            self.best, self.value = mix, value
        if not self.loss.exact:
            self.loss = self.loss.moved(self.loss.multipliers(self.problem.outputs(mix)))

    def _priced(self, *, wider: int = 1) -> tuple[Neurons, float]:
        """Return the violators at the mix's multipliers, the largest first, and by how much they violate."""
        problem, beta = self.problem, self.problem.decay.beta
        raw = self.loss.multipliers(problem.outputs(self.mix))
        lam = problem.decay.feasible(raw)
        # far from the equations of the affine part: good for directions alone
        lam = lam if lam.any() else raw
        found, values = self.mix.neurons.kept(np.zeros(0, dtype=np.int64)), np.zeros(0)
        for sign in (1.0, -1.0):
            own = self.mix.neurons.kept(self.mix.neurons.signs == sign).normalized().U
            starts = [own, self.rng.normal(size=(wider * self.starts, problem.Z.shape[1]))]
            if wider > 1:
                starts.append(beside(own, self.rng))
            ends, reached = self._climbed(lam, sign, np.vstack(starts))
            found, values = found.joined(ends), np.r_[values, reached]
        largest = float(values.max(initial=0.0))
        bound = self.problem.decay.bound(lam, largest) if problem.decay.satisfied(lam) else -np.inf
        if bound > self.dual.bound:
            self.dual = _Multipliers(lam=lam, largest=largest, bound=bound)
        order = np.argsort(-values)
        order = order[values[order] > beta * (1 + VIOLATED)][:PER_ROUND]
        return found.kept(order), largest / beta - 1

    def _climbed(
        self, lam: Float[np.ndarray, " n"], sign: float, starts: Float[np.ndarray, "s r"]
    ) -> tuple[Neurons, Float[np.ndarray, " k"]]:
        """Return the distinct local maxima that starts lead to, and their values."""
        sizes = np.linalg.norm(starts, axis=1)
        starts = starts[sizes > 0] / sizes[sizes > 0, None]
        self.clock.did(ASCENT * len(starts) * np.count_nonzero(lam) * self.problem.units.shape[1])
        ends, values = ascend(self.problem.units, sign * lam * self.problem.norms, starts)
        order = np.argsort(-values)
        # ends on one maximum agree to rounding
        _, first = np.unique(np.round(ends[order], 6), axis=0, return_index=True)
        kept = order[np.sort(first)]
        return Neurons(U=ends[kept], signs=np.full(len(kept), sign)), values[kept]

    def _asked(self, *, last: bool) -> ProvenNorm:
        """Return the dual norm of the best multipliers, proven as closely as the gap leaves room for.

        A neuron that they miss will do instead, if it shows soon and there is time for another round.
        """
        decay, dual = self.problem.decay, self.dual
        level = level_of(decay, dual.lam, self.value * (1 - self.tol))
        tol = room(level, max(dual.largest, decay.beta), self.gap, least=EXACT)
        ask = partial(proven_norm, decay, dual.lam, tol=tol, clock=self.proof_clock)
        timed = np.isfinite(self.proof_clock.left)
        # what is known to violate is no reason to stop: only a neuron that the local search has missed is
        stop = max(level, dual.largest * (1 + VIOLATED))
        proven = ask() if last else ask(stop_above=stop, share=GLANCE_SHARE if timed else 1.0)
        if timed and not (last or proven.norm.exact or proven.norm.value > stop):
            proven = ask()
        self._note("oracle", bound=decay.bound(dual.lam, proven.norm.upper_bound))
        return proven

    def _note(self, phase: str, *, bound: float | None = None) -> None:
        bound = self.dual.bound if bound is None else bound
        self.clock.note(phase, objective=self.value, bound=bound, n_neurons=len(self.mix.neurons))
