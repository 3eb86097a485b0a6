"""From neurons and multipliers to an answer: back to the data, margin 1, dual feasibility, and the proof.

Nothing that a solver said is passed on: the network is tidied and rescaled, its objective recomputed, and the
lower bound proven from the data, by the oracle's search if that can be done, else by the semidefinite
program. What a bound rests on does not depend on the clock, so that whoever checks it arrives at the same.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._status import Status
from convexrelu.certificates.bounds import at_margin, best_rescaling, dual_scale, relative_gap, upper_bound
from convexrelu.certificates.certificate import assess
from convexrelu.errors import SolverError
from convexrelu.networks import TwoLayerReLU
from convexrelu.oracle import DualNorm, dual_norm, rescaled_norm, search_seconds
from convexrelu.oracle.relaxation import Relaxation, relaxed_norm
from convexrelu.solvers.column_generation import Candidate, unpriced
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, Problem, spread
from convexrelu.solvers.reduced_program import resolved
from convexrelu.solvers.semidefinite.bound import semidefinite_bound
from convexrelu.solvers.solution import MaxMarginSolution

__all__ = ["Task", "finish", "unsolved"]

_BLOCK = 4096  # rows whose products with all neurons are held at once
_LAST_WORD = 0.15  # share of the time limit that the final certificate may take in any case
# Of what is left for it, for the oracle's search if that has not settled the multipliers before, and hardly
# will now; the rest is the semidefinite program's. A search that was merely late gets most of it: half to
# begin with, since one whose answer is not exact is repeated on the very numbers that are handed out.
_SEARCH_SHARE, _LATE_SHARE = 0.05, 0.45
_AFFORDABLE = 0.8  # of what is left: a search that should take no longer was merely late
_INTERRUPTED = 0.3  # seconds for the certificate after Ctrl-C: a person waits
_RELAXING = 60.0  # seconds that the semidefinite program gets where no limit is set
_WORTH_RELAXING = 1e-3  # of the gap: what the semidefinite program resolves

_TIDY_SHARE = 0.05  # share of the tolerance that merging neurons may cost
_SAME_DIRECTION = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)  # on unit vectors, coarsest first
_BINDING = 0.02  # rows whose margin exceeds their demand by more are asked about the tidied network only
_SMALL_SHARE = (1e-5, 1e-7, 1e-9)  # of sum ||u_i||


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One binary problem as it was posed.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    y : (n,) float array
        Labels, +1 or -1.
    C : float
        Price of slack, inf for the hard margin.
    tol : float
        Relative gap asked for.
    problem : Problem
        Its reduced form.
    clock : SolverClock
        Time left.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    C: float
    tol: float
    problem: Problem
    clock: SolverClock

    def dual(self, mu: Float[np.ndarray, " k"]) -> Float[np.ndarray, " n"]:
        """Return the dual variable lam; rows of zeros, which constrain nothing, carry what C allows."""
        lam = self.problem.dual(mu)
        if np.isfinite(self.C):
            zero = ~self.X.any(axis=1)
            lam[zero] = self.C * self.y[zero]
        return lam


@dataclass(frozen=True, kw_only=True, eq=False)
class Proof:
    """A feasible dual variable, and what proves that it is.

    Attributes
    ----------
    lam : (n,) float array
        The dual variable.
    norm : DualNorm
        Its dual norm, as far as it is proven.
    relaxation : Relaxation or None
        What proves it, if not the oracle's search.
    unfinished : bool
        Whether more time might have proven more.
    """

    lam: Float[np.ndarray, " n"]
    norm: DualNorm
    relaxation: Relaxation | None
    unfinished: bool = False

    @classmethod
    def searched(cls, task: Task, lam: Float[np.ndarray, " n"], norm: DualNorm) -> Proof:
        """Scale lam to feasibility by what the oracle's search has proven."""
        shrink = _shrink(task, lam, norm)
        if norm.exact or norm.cover is not None:
            return cls(lam=shrink * lam, norm=rescaled_norm(task.X, lam, norm, shrink), relaxation=None)
        # where rounding is part of the bound, it must be that of the very numbers that are handed out
        return cls(lam=shrink * lam, norm=dual_norm(task.X, shrink * lam), relaxation=None)

    @classmethod
    def relaxed(cls, task: Task, lam: Float[np.ndarray, " n"], relaxation: Relaxation) -> Proof:
        """Scale lam to feasibility by what the relaxation proves; one without leaves: the rows' structure."""
        shrink = _shrink(task, lam, relaxed_norm(task.X, lam, relaxation))
        norm = relaxed_norm(task.X, shrink * lam, relaxation)
        return cls(lam=shrink * lam, norm=norm, relaxation=relaxation)

    def value(self, task: Task) -> float:
        """Lower bound on P* that it proves."""
        return float(task.y @ self.lam) / max(
            dual_scale(task.y, self.lam, self.norm.upper_bound, task.C), 1.0
        )


def _shrink(task: Task, lam: Float[np.ndarray, " n"], norm: DualNorm) -> float:
    return 1.0 / max(dual_scale(task.y, lam, norm.upper_bound, task.C), np.finfo(float).tiny)


def finish(task: Task, candidate: Candidate, *, method: str, hurried: bool = False) -> MaxMarginSolution:
    """Return the certified solution that a candidate amounts to.

    `hurried`: there is no time left for tidying that takes long.
    """
    network = _at_margin(task, _network(task, candidate.neurons, method, hurried=hurried))
    proof = _proven(task, candidate, objective=upper_bound(task.X, task.y, network, task.C))
    clock = task.clock
    certificate = assess(
        task.X,
        task.y,
        network,
        proof.lam,
        norm=proof.norm,
        C=task.C,
        better=TwoLayerReLU(np.zeros((0, task.X.shape[1])), np.zeros(0)),
        relaxation=proof.relaxation,
    )
    cut = clock.expired() or (proof.unfinished and np.isfinite(clock.limit))
    status = Status.TIME_LIMIT if cut else Status.BOUNDED
    if clock.interrupted:
        status = Status.INTERRUPTED
    elif certificate.gap <= task.tol:
        status = Status.OPTIMAL
    return MaxMarginSolution(
        network=network,
        lam=certificate.lam,
        status=status,
        method=method,
        patterns=_activities(task.X, network),
        history=tuple(clock.rounds),
        certificate=certificate,
    )


def _activities(X: Float[np.ndarray, "n d"], network: TwoLayerReLU) -> Bool[np.ndarray, "m n"]:
    """Return the activity pattern of each neuron, some rows at a time."""
    patterns = np.empty((network.n_neurons, len(X)), dtype=bool)
    for start in range(0, len(X), _BLOCK):
        block = slice(start, start + _BLOCK)
        np.greater(network.W1 @ X[block].T, 0, out=patterns[:, block])
    return patterns


def unsolved(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], C: float, clock: SolverClock
) -> MaxMarginSolution:
    """Return what there is to say where time ran out before the problem's turn came: nothing is proven."""
    d = X.shape[1]
    zero = DualNorm(value=0.0, upper_bound=0.0, exact=True, repeatable=True, direction=np.zeros(d), sign=1.0)
    network = TwoLayerReLU(np.zeros((0, d)), np.zeros(0))
    certificate = assess(X, y, network, np.zeros(len(X)), norm=zero, C=C, better=network)
    return MaxMarginSolution(
        network=network,
        lam=certificate.lam,
        status=Status.INTERRUPTED if clock.interrupted else Status.TIME_LIMIT,
        method="unsolved",
        patterns=np.zeros((0, len(X)), dtype=bool),
        history=(),
        certificate=certificate,
    )


def _at_margin(task: Task, network: TwoLayerReLU) -> TwoLayerReLU:
    """Return the network at margin 1, or, where slack has a price, at the scale of its best objective."""
    if np.isfinite(task.C):
        return best_rescaling(task.X, task.y, network, task.C)
    scaled = at_margin(task.X, task.y, network)
    return network if scaled is None else scaled.balanced()


def _proven(task: Task, candidate: Candidate, *, objective: float) -> Proof:
    """Return the best bound: of the multipliers by the oracle's search, else by the semidefinite program."""
    clock = task.clock
    seconds = max(clock.left, _LAST_WORD * clock.limit)
    if candidate.norm.cover is not None:  # the oracle has had its time
        seconds = clock.left
    if clock.interrupted:
        seconds = _INTERRUPTED
    until = clock.elapsed + (_RELAXING if np.isinf(seconds) else seconds)
    proof = _settled(task, candidate, seconds)
    gap = relative_gap(objective, proof.value(task))
    if clock.interrupted or seconds <= 0 or not gap > max(task.tol, _WORTH_RELAXING):
        return replace(proof, unfinished=gap > task.tol)
    problem = task.problem
    target = objective * (1 - task.tol) / problem.scale
    found = semidefinite_bound(
        problem, candidate.mu, candidate.neurons, clock=clock.until(until), target=target
    )
    relaxed = Proof.relaxed(task, task.dual(found.mu), found.relaxation)
    best = max(proof, relaxed, key=lambda part: part.value(task))
    return replace(best, unfinished=not found.finished)


def _settled(task: Task, candidate: Candidate, seconds: float) -> Proof:
    """Return the best that the oracle's search proves in so many seconds, or what the rows' structure does.

    A search that is cut off proves a bound as well, that of its open cones. The multipliers of smaller
    working sets are searched first where that can be exact: each takes several times as long as the one
    before.
    """
    own = task.dual(candidate.mu)
    if candidate.norm.repeatable or candidate.norm.cover is not None:
        return Proof.searched(task, own, candidate.norm)
    proofs: list[Proof] = []
    clock = task.clock
    until = clock.elapsed + seconds
    sets = [spread(part.values, part.rows, len(candidate.mu)) for part in candidate.earlier]
    for lam in (*map(task.dual, sets if np.isfinite(seconds) else []), own):
        left = max(until - clock.elapsed, 1e-3)
        late = search_seconds(task.X, lam) <= _AFFORDABLE * left
        if not late and lam is not own:
            continue
        limit = None if np.isinf(left) else (_LATE_SHARE if late else _SEARCH_SHARE) * left
        norm = unpriced(task.problem)
        with clock.interruption.ending():
            norm = dual_norm(task.X, lam, time_limit=limit)
        if norm.exact or norm.repeatable or norm.cover is not None:
            proofs.append(Proof.searched(task, lam, norm))
        if not norm.exact:
            proofs.append(Proof.relaxed(task, own, Relaxation()))
            break
    return max(proofs, key=lambda proof: proof.value(task))


def _network(task: Task, neurons: Neurons, method: str, *, hurried: bool) -> TwoLayerReLU:
    """Return the network of the fewest neurons whose objective is as good, up to a share of the tolerance.

    The linear tail sees one neuron of the optimum as several directions that differ by the solvers' rounding;
    the reduced program of their activities has one neuron for each of these. (In the plane each activity has
    one neuron already, and in a hurry that program may take longer than all there was.) Closed forms have few
    neurons, padded against rounding, and stay as they are.
    """
    X, y, C, problem = task.X, task.y, task.C, task.problem
    network = problem.network(neurons)
    if method == "closed-form":
        return network
    allowed = upper_bound(X, y, network, C) * (1 + _TIDY_SHARE * task.tol)
    binding = np.flatnonzero(problem.outputs(neurons) <= (1 + _BINDING) * problem.demand)
    sources = [network]
    if method != "plane" and not hurried:
        with suppress(SolverError):
            sources.append(problem.network(resolved(problem.subset(binding), neurons).neurons))
    merged = [source.merged(tol=same) for source, same in product(sources, _SAME_DIRECTION)]
    candidates = [part.pruned(tol=small) for part, small in product(merged, _SMALL_SHARE)]
    few = problem.index[binding]  # what is too bad on these rows need not be tried on all
    for part in sorted(candidates, key=lambda part: part.n_neurons):
        if part.n_neurons >= network.n_neurons:
            break
        if all(upper_bound(X[rows], y[rows], part, C) <= allowed for rows in (few, slice(None))):
            return part
    return network
