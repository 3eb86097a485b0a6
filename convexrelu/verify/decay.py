"""Descent with weight decay, judged against the certified optimum of the same objective.

Each run descends on ``sum_n l(f(x_n), y_n) + beta/2 ||theta||^2`` by plain steps until it no longer falls.
Newton's steps on its own neurons then take the rounding of that end away; what they reach is called its
limit. A limit is the optimum to within what its objective exceeds the certified lower bound, and that it is
not is claimed only where the certified network is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._parallel import count_workers, run_tasks
from convexrelu._progress import progress_bar
from convexrelu._status import Status
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_generator, check_count, check_positive, check_seconds
from convexrelu.certificates.bounds import relative_gap
from convexrelu.certificates.kkt import OPTIMALITY_TOL
from convexrelu.certificates.weight_decay import WeightDecay, weight_decay
from convexrelu.errors import InvalidInputError
from convexrelu.losses import CORRELATION, NO_LOOP
from convexrelu.networks import FeedForward, PowerLeakyReLU, TwoLayerReLU
from convexrelu.solvers import Solution, solve
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.regularized.model import Coordinates, SmoothedLoss
from convexrelu.solvers.regularized.movement import move, pruned
from convexrelu.training import gradient_descent
from convexrelu.training.problem import check_start
from convexrelu.verify.training import CLOSE
from convexrelu.verify.verdicts import GLOBAL, LOCAL, NOT_CONVERGED, OPEN, VERDICTS

__all__ = ["DecayReport", "DecayRun", "verify_weight_decay"]

_BLOCK, _MOST_BLOCKS = 5_000, 60  # steps between two looks at the objective, and how many looks
_FALLS = 1e-9  # relative decrease in a block at which a run has come to its end
_HALVINGS = 12  # of a step size with which the objective rises
_NEWTON, _SETTLED, _NEAR = 60, 1e-13, 0.05  # steps to the limit; relative decrease that ends them; hinges


@dataclass(frozen=True, kw_only=True, eq=False)
class DecayRun:
    """One run of descent with weight decay, and what is known about its end.

    Attributes
    ----------
    network : TwoLayerReLU
        Where descent stopped.
    limit : TwoLayerReLU
        Where Newton's steps on its neurons lead.
    objective, polished_objective : float
        Of both, on the objective of the problem.
    lower_bound : float
        The certified optimum's.
    verdict : str
        "global optimum" (to 1e-6, proven), "KKT point that is not global" (the certified network is better),
        "KKT point, global or not undecided", or "not converged".
    n_steps : int
        Steps of descent.
    step_size : float
        Their size: the largest tried with which the objective did not rise.
    """

    network: TwoLayerReLU
    limit: TwoLayerReLU
    objective: float
    polished_objective: float
    lower_bound: float
    verdict: str
    n_steps: int
    step_size: float

    @property
    def gap(self) -> float:
        """Relative gap where descent stopped."""
        return relative_gap(self.objective, self.lower_bound)

    @property
    def polished_gap(self) -> float:
        """Relative gap of the limit."""
        return relative_gap(self.polished_objective, self.lower_bound)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecayReport:
    """What descent with weight decay found, run by run, next to the certified optimum.

    Attributes
    ----------
    solution : Solution
        The certified optimum.
    runs : tuple of DecayRun
        Those finished.
    n_planned : int
        Runs asked for.
    status : str
        "finished", "time_limit" or "interrupted"; the last two leave runs out.
    """

    solution: Solution
    runs: tuple[DecayRun, ...]
    n_planned: int
    status: str

    @property
    def counts(self) -> dict[str, int]:
        """How many runs got each verdict."""
        verdicts = [run.verdict for run in self.runs]
        return {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict in verdicts}

    @property
    def all_optimal(self) -> bool:
        """Whether every run asked for finished in the global optimum."""
        return len(self.runs) == self.n_planned and self.counts.get(GLOBAL, 0) == self.n_planned

    def __str__(self) -> str:
        lines = [f"Certified optimum: {self.solution!r}"]
        lines += [
            f"  run {number}: {run.objective:.7g} after {run.n_steps} steps (gap {max(run.gap, 0.0):.1e}), "
            f"its limit {run.polished_objective:.7g} (gap {max(run.polished_gap, 0.0):.1e}): {run.verdict}"
            for number, run in enumerate(self.runs, start=1)
        ]
        counts = ", ".join(
            f"{count} of {len(self.runs)}: {verdict}" for verdict, count in self.counts.items()
        )
        return "\n".join([*lines, f"  {counts or 'no run finished'}; {self.status}"])


def verify_weight_decay(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str,
    beta: float,
    width: int,
    n_runs: int,
    init_scale: float,
    starts: Sequence[TwoLayerReLU] | None,
    time_limit: float | None,
    rng: RNGLike,
    progress: bool,
) -> DecayReport:
    """Do what :func:`verify_gradient_descent` does where it is given a loss and a price of the weights."""
    problem = weight_decay(X, y, loss=loss, beta=beta)
    if problem.loss.vector or problem.loss.code in (NO_LOOP, CORRELATION):
        raise InvalidInputError(
            f"loss must be 'squared', 'logistic' or 'exponential' for descent, got {problem.loss.name!r}"
        )
    begin = _starts(problem, width, n_runs, init_scale, starts, rng)
    clock, workers = Clock(limit=float(check_seconds(time_limit))), count_workers()
    runs: list[DecayRun] = []
    with clock.interruption.listening():
        solution = solve(X, y, loss=loss, beta=beta, time_limit=time_limit, progress=progress)
        with progress_bar(progress, "training", len(begin)) as advance:
            for k in range(0, len(begin), workers):
                if clock.expired():
                    break
                tasks = [(problem, solution, start, clock) for start in begin[k : k + workers]]
                runs += [run for run in run_tasks(_judged, tasks) if run is not None]
                advance(len(tasks))
    cut = Status.INTERRUPTED if clock.interrupted else Status.TIME_LIMIT
    return DecayReport(
        solution=solution,
        runs=tuple(runs),
        n_planned=len(begin),
        status=Status.FINISHED if len(runs) == len(begin) else cut,
    )


def _starts(
    problem: WeightDecay,
    width: int,
    n_runs: int,
    init_scale: float,
    starts: Sequence[TwoLayerReLU] | None,
    rng: RNGLike,
) -> tuple[TwoLayerReLU, ...]:
    """The given networks, or scaled neurons of random directions with alternating signs."""
    given = tuple(starts or ())
    for network in given:
        check_start(network, problem.X)
    if given:
        return given
    m, scale = check_count(width, "width"), check_positive(init_scale, "init_scale")
    signs = np.where(np.arange(m) % 2 == 0, 1.0, -1.0)
    drawn = []
    for generator in as_generator(0 if rng is None else rng).spawn(check_count(n_runs, "n_runs")):
        U = generator.normal(size=(m, problem.X.shape[1]))
        U *= scale / np.linalg.norm(U, axis=1, keepdims=True)
        drawn.append(TwoLayerReLU(U, scale * signs))
    return tuple(drawn)


def _judged(problem: WeightDecay, solution: Solution, start: TwoLayerReLU, clock: Clock) -> DecayRun | None:
    """Return one run, trained to its end and judged; None if the clock cut it off."""
    network, n_steps, step_size = _descended(problem, solution, start, clock)
    if clock.expired():
        return None
    objective = _value(problem, network)
    limit = _limit(problem, network)
    polished = min(objective, problem.objective(limit))
    lower = solution.lower_bound
    if objective - polished > CLOSE * polished:
        verdict = NOT_CONVERGED
    elif relative_gap(polished, lower) <= OPTIMALITY_TOL:
        verdict = GLOBAL
    else:
        verdict = LOCAL if solution.objective < polished * (1 - OPTIMALITY_TOL) else OPEN
    return DecayRun(
        network=network,
        limit=limit,
        objective=objective,
        polished_objective=polished,
        lower_bound=lower,
        verdict=verdict,
        n_steps=n_steps,
        step_size=step_size,
    )


def _value(problem: WeightDecay, network: TwoLayerReLU) -> float:
    """The objective with the weights as they are, not balanced."""
    decay = 0.5 * float(np.square(network.W1).sum() + np.square(network.w2).sum())
    return problem.total_loss(network(problem.X)) + problem.beta * decay


def _descended(
    problem: WeightDecay, solution: Solution, start: TwoLayerReLU, clock: Clock
) -> tuple[TwoLayerReLU, int, float]:
    """Return where plain steps come to an end, how many they were, and of what size."""
    X, size = problem.X, float(np.linalg.norm(problem.X, 2))
    # about the largest curvature on the way: of the loss in the weights, and of the outputs in them
    most = max(solution.network.group_norm(), start.group_norm())
    pull = float(np.linalg.norm(problem.multipliers(np.zeros(len(X)))))
    step_size = 1.0 / (2.0 * size**2 * most + size * pull + problem.beta)
    network, value, n_steps, halvings = start, _value(problem, start), 0, 0
    for _ in range(_MOST_BLOCKS):
        path = gradient_descent(
            X,
            problem.y,
            FeedForward([network.W1, network.w2[None]], PowerLeakyReLU()),
            step_size=step_size,
            n_steps=_BLOCK,
            loss=problem.loss.name,
            weight_decay=problem.beta,
            record=1,
            time_limit=None if np.isinf(clock.limit) else max(clock.left, 1e-3),
        )
        W1, w2 = path.network_at(-1).weights
        reached = TwoLayerReLU(W1, w2[0])
        found = _value(problem, reached)
        if path.status == Status.DIVERGED or not found <= value * (1 + _SETTLED):
            if halvings == _HALVINGS:
                break
            step_size, halvings = 0.5 * step_size, halvings + 1
            continue
        # the saddle at the origin is left slowly: there the objective hardly falls, but the weights grow
        growing = reached.group_norm() > 2.0 * network.group_norm()
        fell, network, value, n_steps = value - found, reached, found, n_steps + int(path.times[-1])
        if clock.expired() or path.status == Status.CONVERGED or not (growing or fell > _FALLS * found):
            break
    return network, n_steps, step_size


def _limit(problem: WeightDecay, network: TwoLayerReLU) -> TwoLayerReLU:
    """Return where Newton's steps on the neurons of a network lead."""
    coordinates, loss = Coordinates.of(problem), SmoothedLoss.of(problem)
    mix = pruned(coordinates.mix(network))
    value = coordinates.objective(mix)
    for _ in range(_NEWTON):
        mix = pruned(move(coordinates, loss, mix, near=_NEAR, clock=SolverClock()))
        found = coordinates.objective(mix)
        if not found < value * (1 - _SETTLED):
            break
        value = found
    U: Float[np.ndarray, "m d"] = mix.neurons.U @ coordinates.basis.T
    return TwoLayerReLU.from_directions(U, mix.neurons.signs)
