"""The front door: max-margin training of a two-layer ReLU network, solved and certified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Interruption
from convexrelu._parallel import count_workers, one_blas_thread, run_tasks
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import (
    SOLVABLE,
    as_class_labels,
    as_generator,
    as_matrix,
    as_penalty,
    check_positive,
    check_range,
    check_seconds,
    one_vs_rest,
)
from convexrelu.arrangements import Hyperplanes, enumerate_patterns, hyperplanes_of
from convexrelu.certificates import MultiClassCertificate
from convexrelu.errors import InvalidInputError, SolverError
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers.closed_forms import closed_form
from convexrelu.solvers.column_generation import FIRST_PENALTY, Candidate, Generation, unpriced
from convexrelu.solvers.feasibility import check_feasible_classes
from convexrelu.solvers.full_program import MAX_ENTRIES, MODELLING_SECONDS, check_solver, solve_full
from convexrelu.solvers.history import SolverClock, show_rounds
from convexrelu.solvers.plane import solve_plane
from convexrelu.solvers.problem import Problem, prepare
from convexrelu.solvers.proof import Task, finish, unsolved
from convexrelu.solvers.soft_margin import SoftMargin, soft_margin_pays
from convexrelu.solvers.solution import MaxMarginSolution, MultiClassSolution
from convexrelu.solvers.working_set import WHOLE, generate_lazily

__all__ = ["METHODS", "solve_max_margin"]

_TURN = 1e-3  # a class with fewer seconds is not begun: to say so takes about as long

METHODS = ("auto", "closed-form", "column-generation", "program")


def solve_max_margin(
    X: ArrayLike,
    y: ArrayLike,
    *,
    C: float = np.inf,
    tol: float = 1e-6,
    method: str = "auto",
    solver: str = "CLARABEL",
    start: TwoLayerReLU | Sequence[TwoLayerReLU] | None = None,
    time_limit: float | None = None,
    work_limit: float | None = None,
    rng: RNGLike = None,
    progress: bool = False,
) -> MaxMarginSolution | MultiClassSolution:
    """Return a two-layer ReLU network of least norm at margin 1 (WP (13), (14)).

    It comes with a certificate of how close to the optimum it is.

    Parameters
    ----------
    X : (n, d) array_like
        The data; append a ones column (:func:`convexrelu.datasets.with_bias`) for biases.
    y : (n,) array_like
        Two labels of any kind (the larger is +1), one label that is +1 or -1, or K > 2 classes (one against
        the rest, WP section 2).
    C : float, default inf
        Penalty of slack: the objective is ``sum ||u_j|| + C sum xi_n``. A finite C is never infeasible. On
        noisy data begin with a small one: the smaller, the fewer neurons and the less work. Compare several
        with :func:`max_margin_path`.
    tol : float, default 1e-6
        Certified relative gap at which the status is "optimal". 1e-2 is often enough on noisy data, where the
        labels themselves are not that certain, and takes a fraction of the time: the search ends sooner, and
        the oracle is asked for its bound only as closely as the gap leaves room for.
    method : {"auto", "closed-form", "column-generation", "program"}
        "program" solves the full convex program over all patterns (small data), "column-generation" only over
        those it needs. "closed-form" is for structured data: orthogonally separable, spike-free or of rank
        one. "auto" takes the closed form where there is one, in the plane its own exact method, else column
        generation.
    solver : {"CLARABEL", "ECOS", "SCS"}
        Conic solver of method "program"; its answer is verified and finished by the package. A time limit
        is its own (ECOS has none), and it hears Ctrl-C once it is done.
    start : TwoLayerReLU, K of them for K > 2 classes, or None
        Network to start column generation from; any will do, a good one saves time.
    time_limit : float or None
        Seconds, for all classes together. The best bounds so far are returned with status "time_limit"; with
        a finite C the network is then the best found on all rows.
    work_limit : float or None
        Work, in seconds of one idle core as estimated from the sizes of what is computed, an equal share for
        each class: the search for a network ends at the same place on every machine, however busy, where a
        time limit ends it anywhere. The status is "time_limit" then, too. Hard margins, and soft ones of more
        than 50,000 rows or of slack at 1000 and more, do not count their work.
    rng : int, Generator or None
        Source of the local search's random starts; None means 0, so that the same call gives the same answer.
    progress : bool, default False
        Show both bounds closing in.

    Returns
    -------
    MaxMarginSolution, or MultiClassSolution for K > 2 classes
        Network, dual variable, bounds, history and certificate.

    Raises
    ------
    InvalidInputError
        If an argument is not what it must be, or "program" would need too many patterns.
    InfeasibleError
        If no network without bias fits the labels (hard margin); carries the Farkas vector.
    SolverError
        If a numerical solver returned nothing usable.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    >>> solution = solve_max_margin([[1.65, -0.47], [-0.47, 1.35]], [1, -1])
    >>> round(solution.objective, 6), solution.status, solution.network.n_neurons
    (1.282432, 'optimal', 2)
    """
    matrix = as_matrix(X)
    check_range(matrix, SOLVABLE)
    given = as_class_labels(y, length=len(matrix))
    encoded = one_vs_rest(given)
    penalty = as_penalty(C)
    tolerance = check_positive(tol, "tol")
    if tolerance >= 1:
        raise InvalidInputError(f"tol must be below 1, it is a relative gap, got {tol!r}")
    if method not in METHODS:
        raise InvalidInputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    solver = check_solver(solver, needed=method == "program")
    work_allowed = check_seconds(work_limit, "work_limit")
    whole = SolverClock.of(check_seconds(time_limit), work_allowed, Interruption())
    generator = as_generator(0 if rng is None else rng)
    starts = _starts(start, len(encoded.Y), matrix.shape[1])
    lines = hyperplanes_of(matrix)
    if np.isinf(penalty):
        check_feasible_classes(matrix, encoded, lines)
    workers, work = min(len(encoded.Y), count_workers()), 1 / len(encoded.Y)
    sources = generator.spawn(len(encoded.Y))
    with show_rounds(progress), one_blas_thread(), whole.interruption.listening():
        solutions = run_tasks(
            _solve_binary,
            [
                (matrix, labels, lines, first, source, penalty, tolerance, method, solver, whole, share, work)
                for labels, first, source, share in zip(
                    # of the time left when its turn comes: what one class takes too long, the next ones lack
                    encoded.Y,
                    starts,
                    sources,
                    [min(workers / (len(starts) - k), 1.0) for k in range(len(starts))],
                    strict=True,
                )
            ],
            seconds=whole.seconds,
        )
    if len(solutions) == 1:
        values = np.unique(given)
        return replace(solutions[0], classes=values) if len(values) > 1 else solutions[0]
    certificate = MultiClassCertificate(
        classes=encoded.classes, certificates=tuple(s.certificate for s in solutions)
    )
    return MultiClassSolution(classes=encoded.classes, solutions=tuple(solutions), certificate=certificate)


def _solve_binary(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    lines: Hyperplanes,
    start: TwoLayerReLU,
    rng: np.random.Generator,
    C: float,
    tol: float,
    method: str,
    solver: str,
    whole: SolverClock,
    share: float,
    work: float,
) -> MaxMarginSolution:
    """Solve one problem within its share of the time that the whole has left."""
    clock = whole.share(share, work)
    if share < 1 and (whole.interrupted or clock.seconds < _TURN):
        return unsolved(X, y, C, clock)
    problem = prepare(X, y, C, lines)
    if not soft_margin_pays(problem) and problem.rows.shape[1] != 2:  # working sets do not count their work
        clock = whole.share(share, np.inf)
    task = Task(X=X, y=y, C=C, tol=tol, problem=problem, clock=clock)
    if not len(task.problem.rows):  # every row is zero and has slack: the zero network and lam = C y
        return finish(task, Candidate.empty(task.problem), method="closed-form")
    # then the network is taken as it is and its bound is sought; where that has a prospect, a soft margin's
    # search has ended of its own accord
    part = clock.within((0.75 if soft_margin_pays(task.problem) else 0.6) * clock.limit)
    candidate, name = _candidate(task.problem, tol, method, solver, start, part, clock, rng)
    # what a soft margin's search returns has been moved by the reduced program, which is large there; and a
    # search that has not come to the oracle was cut off
    cut = part.expired() or bool(np.isinf(candidate.norm.upper_bound))
    hurried = cut or soft_margin_pays(task.problem)
    return finish(replace(task, clock=clock.of_seconds()), candidate, method=name, hurried=hurried)


def _starts(
    start: TwoLayerReLU | Sequence[TwoLayerReLU] | None, n_problems: int, n_features: int
) -> list[TwoLayerReLU]:
    """Return one network for each binary problem; without neurons where none is given."""
    if start is None:
        return [TwoLayerReLU(np.zeros((0, n_features)), np.zeros(0))] * n_problems
    given = [start] if isinstance(start, TwoLayerReLU) else start
    if not isinstance(given, Sequence) or not all(isinstance(part, TwoLayerReLU) for part in given):
        raise InvalidInputError(f"start must be a TwoLayerReLU, or one for each class, got {start!r}")
    networks = list(given)
    if len(networks) != n_problems or any(part.n_features != n_features for part in networks):
        inputs = ", ".join(str(part.n_features) for part in networks)
        raise InvalidInputError(
            f"start must be {n_problems} network(s) of {n_features} inputs, got {len(networks)} of {inputs}"
        )
    return networks


def _candidate(
    problem: Problem,
    tol: float,
    method: str,
    solver: str,
    start: TwoLayerReLU,
    clock: SolverClock,
    whole: SolverClock,
    rng: np.random.Generator,
) -> tuple[Candidate, str]:
    """Solve the reduced problem; also returns what solved it. The clock ends before the `whole` one."""
    if method in ("auto", "closed-form"):
        structured = closed_form(problem, tol=tol, clock=clock)
        if structured is not None:
            return structured, "closed-form"
    if method == "closed-form":
        k, r = problem.rows.shape
        raise InvalidInputError(
            "method 'closed-form' needs data that is orthogonally separable, spike-free or of rank one "
            f"(with a finite C: of rank one), got {k} rows of rank {r} that are not, or not to the tolerance "
            "asked for. Use method='auto'."
        )
    if method == "program":
        return _full_program(problem, tol, solver, clock, rng), "program"
    if method == "auto" and problem.rows.shape[1] == 2:
        plane = solve_plane(problem, tol=tol, clock=clock)
        # ties on the circle can stall it; on few rows the general method is worth asking then
        closed = plane.bound(problem) >= plane.value * (1 - tol / 2)
        if closed or clock.expired() or len(problem.rows) > WHOLE:
            return plane, "plane"
        general = generate_lazily(problem, problem.neurons(start), tol=tol, clock=clock, whole=whole, rng=rng)
        better = general.bound(problem) > plane.bound(problem)
        return (general, "column-generation") if better else (plane, "plane")
    if soft_margin_pays(problem):
        search = SoftMargin(problem, tol=tol, clock=clock, rng=rng, proof_clock=whole)
        return search.solve(problem.neurons(start)), "column-generation"
    candidate = generate_lazily(problem, problem.neurons(start), tol=tol, clock=clock, whole=whole, rng=rng)
    return candidate, "column-generation"


def _full_program(
    problem: Problem, tol: float, solver: str, clock: SolverClock, rng: np.random.Generator
) -> Candidate:
    most = MAX_ENTRIES // problem.rows.size
    try:
        patterns = enumerate_patterns(problem.rows, max_patterns=most).patterns
    except InvalidInputError as error:
        raise InvalidInputError(
            f"method 'program' needs memory for every pattern of the {len(problem.rows)} rows of rank "
            f"{problem.rows.shape[1]}: use method='column-generation'. ({error})"
        ) from error
    answer = None
    if MODELLING_SECONDS * patterns.size * problem.rows.shape[1] > clock.left:
        return Candidate.empty(problem)  # it would not reach the solver in time
    try:
        with clock.interruption.ending():
            answer = solve_full(problem, patterns, solver, max(clock.left, 1e-3))
    except SolverError:
        if not clock.expired():
            raise
    if answer is None:  # cut off: there is no network, but a bound may still be found
        return Candidate.empty(problem)
    clock.note("program", objective=answer.value * problem.scale, bound=0.0, n_neurons=len(answer.neurons))
    rough = Candidate(neurons=answer.neurons, mu=answer.mu, norm=unpriced(problem), value=answer.value)
    penalty = max(FIRST_PENALTY, 1e2 * float(answer.mu.max()))
    run = Generation(problem=problem, penalty=penalty, tol=tol, clock=clock, rng=rng)
    return run.refine(rough)
