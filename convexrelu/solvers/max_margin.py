"""The front door: max-margin training of a two-layer ReLU network, solved and certified."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import (
    as_class_labels,
    as_generator,
    as_matrix,
    as_penalty,
    check_positive,
    check_range,
    one_vs_rest,
)
from convexrelu.arrangements import enumerate_patterns
from convexrelu.certificates import MultiClassCertificate
from convexrelu.certificates.bounds import best_rescaling, dual_scale, upper_bound
from convexrelu.certificates.certificate import assess
from convexrelu.correlation import dual_norm
from convexrelu.errors import InvalidInputError, SolverError
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers.column_generation import FIRST_PENALTY, Candidate, refine, unpriced
from convexrelu.solvers.feasibility import check_feasible
from convexrelu.solvers.lazy import generate_lazily
from convexrelu.solvers.problem import Neurons, Problem, prepare
from convexrelu.solvers.program import solve_full
from convexrelu.solvers.progress import Clock, show_rounds
from convexrelu.solvers.reduced import resolved
from convexrelu.solvers.solution import MaxMarginSolution, MultiClassSolution

__all__ = ["METHODS", "solve_max_margin"]

_LAST_WORD = 0.2  # share of the time limit that the final certificate may take in any case

_TIDY_SHARE = 0.05  # share of the tolerance that merging neurons may cost
_SAME_DIRECTION = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)  # on unit vectors, coarsest first

_SMALL_SHARE = (1e-5, 1e-7, 1e-9)  # of sum ||u_i||

METHODS = ("auto", "column-generation", "program")


def solve_max_margin(
    X: ArrayLike,
    y: ArrayLike,
    *,
    C: float = np.inf,
    tol: float = 1e-6,
    method: str = "auto",
    solver: str = "CLARABEL",
    time_limit: float | None = None,
    rng: RNGLike = None,
    progress: bool = False,
) -> MaxMarginSolution | MultiClassSolution:
    """Return a two-layer ReLU network of least norm at margin 1 (WP (13), (14)).

    It comes with a certificate of how close to the optimum it is.

    Parameters
    ----------
    X : (n, d) array
        The data; append a ones column (:func:`convexrelu.datasets.with_bias`) for biases.
    y : (n,) array
        Two labels of any kind (the larger is +1), one label that is +1 or -1, or K > 2 classes (one against
        the rest, WP section 2).
    C : float, default inf
        Penalty of slack: the objective is ``sum ||u_j|| + C sum xi_n``. A finite C is never infeasible.
    tol : float, default 1e-6
        Certified relative gap at which the status is "optimal".
    method : {"auto", "column-generation", "program"}
        "program" solves the full convex program over all patterns (small data); "column-generation", which
        "auto" takes, only over those it needs.
    solver : {"CLARABEL", "ECOS", "SCS"}
        Conic solver of method "program"; its answer is verified and finished by the package.
    time_limit : float, optional
        Seconds, for all classes together. The best bounds so far are returned with status "time_limit".
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

    Examples
    --------
    >>> solution = solve_max_margin([[1.65, -0.47], [-0.47, 1.35]], [1, -1])
    >>> round(solution.objective, 6), solution.status, solution.network.n_neurons
    (1.282432, 'optimal', 2)
    """
    matrix = as_matrix(X)
    check_range(matrix)
    encoded = one_vs_rest(as_class_labels(y, length=len(matrix)))
    penalty = as_penalty(C)
    tolerance = check_positive(tol, "tol")
    if method not in METHODS:
        raise InvalidInputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    seconds = np.inf if time_limit is None else check_positive(time_limit, "time_limit", finite=False)
    generator = as_generator(0 if rng is None else rng)
    if np.isinf(penalty):
        for labels in encoded.Y:
            check_feasible(matrix, labels)
    share = float(seconds) / len(encoded.Y)
    solutions: list[MaxMarginSolution] = []
    with show_rounds(progress):
        for labels in encoded.Y:
            # one Ctrl-C ends all classes: the rest get the bounds of their first steps
            clock = Clock(limit=share, interrupted=any(s.status == "interrupted" for s in solutions))
            binary = _solve_binary(matrix, labels, penalty, tolerance, method, solver, clock, generator)
            solutions.append(binary)
    if len(solutions) == 1:
        return solutions[0]
    certificate = MultiClassCertificate(
        classes=encoded.classes, certificates=tuple(s.certificate for s in solutions)
    )
    return MultiClassSolution(classes=encoded.classes, solutions=tuple(solutions), certificate=certificate)


def _solve_binary(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    C: float,
    tol: float,
    method: str,
    solver: str,
    clock: Clock,
    rng: np.random.Generator,
) -> MaxMarginSolution:
    problem = prepare(X, y, C)
    nothing = Neurons(U=problem.rows[:0], signs=problem.y[:0])
    if not len(problem.rows):  # every row is zero and has slack: the zero network is optimal, with lam = C y
        return _finish(X, y, C, tol, problem, nothing, C * y, "closed-form", clock)
    with clock.listening():
        if method == "program":
            candidate = _full_program(problem, tol, solver, clock, rng)
        else:
            candidate = generate_lazily(problem, tol=tol, clock=clock, rng=rng)
    lam = problem.dual(candidate.mu)
    lam[~X.any(axis=1)] = (C * y)[~X.any(axis=1)] if np.isfinite(C) else 0.0
    name = "program" if method == "program" else "column-generation"
    return _finish(X, y, C, tol, problem, candidate.neurons, lam, name, clock)


def _full_program(
    problem: Problem, tol: float, solver: str, clock: Clock, rng: np.random.Generator
) -> Candidate:
    patterns = enumerate_patterns(problem.rows).patterns
    answer = solve_full(problem, patterns, solver)
    clock.note("program", objective=answer.value * problem.scale, bound=0.0, n_neurons=len(answer.neurons))
    rough = Candidate(neurons=answer.neurons, mu=answer.mu, norm=unpriced(problem), value=answer.value)
    penalty = max(FIRST_PENALTY, 1e2 * float(answer.mu.max()))
    return refine(problem, rough, penalty=penalty, tol=tol, clock=clock, rng=rng)


def _finish(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    C: float,
    tol: float,
    problem: Problem,
    neurons: Neurons,
    lam: Float[np.ndarray, " n"],
    method: str,
    clock: Clock,
) -> MaxMarginSolution:
    """Back to the data's coordinates, margin 1 and dual feasibility; then certify, trusting nothing."""
    network = _tidied(X, y, problem, neurons, C, tol)
    if np.isfinite(C):
        network = best_rescaling(X, y, network, C)
    elif network.n_neurons and network.margin(X, y) > 0:
        network = network.rescaled_to_margin(X, y).balanced()
    # the oracle may need as long again as the solver had: a certificate without it would say nothing
    limit = (
        max(clock.left, _LAST_WORD * clock.limit)
        if np.isfinite(clock.limit)
        else 1.0
        if clock.interrupted
        else None
    )
    norm = dual_norm(X, lam, time_limit=limit)
    shrink = 1.0 / max(dual_scale(y, lam, norm.upper_bound, C), np.finfo(float).tiny)
    norm = norm.scaled(shrink)
    if not norm.exact and limit is None:
        # where rounding is part of the bound, it must be that of the very numbers that are handed out
        norm = dual_norm(X, shrink * lam)
    nobody = TwoLayerReLU(np.zeros((0, X.shape[1])), np.zeros(0))
    certificate = assess(X, y, network, shrink * lam, norm=norm, C=C, better=nobody)
    status = "optimal" if certificate.gap <= tol else "time_limit" if clock.expired() else "bounded"
    if clock.interrupted:
        status = "interrupted"
    return MaxMarginSolution(
        network=network,
        lam=certificate.lam,
        status=status,
        method=method,
        patterns=network.W1 @ X.T > 0,
        history=tuple(clock.rounds),
        certificate=certificate,
    )


def _tidied(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    problem: Problem,
    neurons: Neurons,
    C: float,
    tol: float,
) -> TwoLayerReLU:
    """Return the network of the fewest neurons whose objective is as good, up to a share of the tolerance.

    The linear tail sees one neuron of the optimum as several directions that differ by the solvers' rounding;
    the reduced program of their activities has one neuron for each of these.
    """
    network = problem.network(neurons)
    allowed = upper_bound(X, y, network, C) * (1 + _TIDY_SHARE * tol)
    sources = [network]
    with suppress(SolverError):
        sources.append(problem.network(resolved(problem, neurons).neurons))
    candidates = [
        source.merged(tol=same).pruned(tol=small)
        for source, same, small in product(sources, _SAME_DIRECTION, _SMALL_SHARE)
    ]
    good = [part for part in candidates if upper_bound(X, y, part, C) <= allowed]
    return min([network, *good], key=lambda part: part.n_neurons)
