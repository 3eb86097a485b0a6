"""The front door of training with weight decay: solved and certified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Interruption
from convexrelu._parallel import one_blas_thread
from convexrelu._status import Status
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_generator, check_positive, check_seconds
from convexrelu.certificates.regularized import (
    RegularizedCertificate,
    assess_regularized,
    certify_regularized,
    check_network,
)
from convexrelu.certificates.weight_decay import Decayed, OutputBias, WeightDecay, weight_decay
from convexrelu.errors import InvalidInputError
from convexrelu.losses import Loss
from convexrelu.solvers.history import Round, SolverClock, show_rounds
from convexrelu.solvers.points import Proven
from convexrelu.solvers.regularized.gated import GatedSearch
from convexrelu.solvers.regularized.model import Coordinates
from convexrelu.solvers.regularized.outputs import OutputSearch
from convexrelu.solvers.regularized.proof import ProvenNorm
from convexrelu.solvers.regularized.search import Search

__all__ = ["Solution", "solve"]

_SEARCH_SHARE = 0.6  # of a time limit; what is left is for the proof


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution(Proven):
    """A network, how good it is, and how good any network can be.

    Attributes
    ----------
    network : TwoLayerReLU, ReLUNetwork or GatedReLU
        The best network found, balanced.
    lam : (n,) or (n, K) float array
        Dual feasible multipliers.
    status : Status
        "optimal" (certified within the tolerance; or there are no neurons, and the objective is rounding
        beside that of outputs zero: the affine part fits the data), "time_limit", "interrupted", or
        "bounded": nothing more could be proven, the gap says how much is open.
    history : tuple of Round
        One entry for each round of the solver.
    certificate : RegularizedCertificate
        The proof; every number here is read from it.

    Examples
    --------
    >>> solution = solve([[1.0, 0.5], [-0.3, 1.0]], [1.0, 2.0], loss="squared", beta=0.1)
    >>> solution.lower_bound <= solution.objective * (1 + 1e-12), solution.status
    (True, 'optimal')
    """

    network: Decayed
    lam: Float[np.ndarray, "n ..."]
    status: Status
    history: tuple[Round, ...]
    certificate: RegularizedCertificate

    def __repr__(self) -> str:
        return (
            f"Solution({self.status}: {self._in_words}, "
            f"{self.network.n_neurons} neurons, {self.certificate.loss.name}, "
            f"beta {self.certificate.beta:.4g})"
        )


def solve(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss,
    beta: float,
    sample_weight: ArrayLike | None = None,
    output_bias: OutputBias = False,
    skip: bool = False,
    gates: ArrayLike | None = None,
    reduction: str = "sum",
    tol: float = 1e-6,
    start: Decayed | None = None,
    time_limit: float | None = None,
    work_limit: float | None = None,
    rng: RNGLike = None,
    progress: bool = False,
) -> Solution:
    """Return the two-layer ReLU network of least loss with weight decay, and the proof.

    It minimises ``sum_n s_n l(f(x_n), y_n) + beta/2 ||theta||^2``, theta being all weights of both layers,
    over networks of any width. The bounds hold whatever the network's width: ``lower_bound <= P* <=
    objective``.

    Parameters
    ----------
    X : (n, d) array_like
        The data; append a ones column (:func:`convexrelu.datasets.with_bias`) for hidden biases, which are
        then weights like others and have the same price. Hidden biases without a price are not covered: what
        a neuron costs would not be a norm of its weights.
    y : (n,) or (n, K) array_like
        Targets as the loss takes them: real numbers, two labels of any kind for losses of labels (the larger
        is +1), counts for "poisson".
    loss : str or Loss
        "squared", "absolute", "huber", "quantile", "epsilon_insensitive", "logistic", "hinge",
        "squared_hinge", "exponential" or "poisson", with default parameters; or an object such as
        ``losses.Huber(delta=0.5)``. Of K outputs that share the neurons: "multi_squared" and "softmax".
    beta : float
        Price of the weights, positive. From ``beta_max`` on the zero network is optimal.
    sample_weight : (n,) array_like or None
        The s_n, positive; by default ones.
    output_bias : bool or "penalised", default False
        True: the outputs have a constant b without a price. "penalised": at the price ``beta b^2 / 2``, as
        torch's weight_decay has it.
    skip : bool, default False
        Whether the outputs have a linear part without a price.
    gates : (p, d) array_like or None
        Vectors g_j of a gated network: neuron j is active where ``x^T g_j > 0``, whatever its weights. The
        problem is then convex as it stands, and exact in any dimension.
    reduction : {"sum", "mean"}
        "mean" divides the weights s_n by their sum: scikit-learn's and torch's convention.
    tol : float, default 1e-6
        Certified relative gap at which the status is "optimal". The multipliers of most losses are dense, and
        their proof is what takes long: 1e-2 takes a fraction of the time.
    start : TwoLayerReLU, ReLUNetwork or None
        Network to start from; any will do, a good one saves time.
    time_limit : float or None
        Seconds. The best bounds so far are returned with status "time_limit".
    work_limit : float or None
        Work, in seconds of one idle core as estimated from the sizes of what is computed: the search ends at
        the same place on every machine, however busy, where a time limit ends it anywhere. The status is
        "time_limit" then, too. With gates it is not counted.
    rng : int, Generator or None
        Source of the local search's random starts; None means 0, so that the same call gives the same answer.
    progress : bool, default False
        Show both bounds closing in.

    Returns
    -------
    Solution
        Network, multipliers, bounds, history and certificate. The network is a :class:`TwoLayerReLU`; with an
        output bias, a linear part or K outputs a :class:`ReLUNetwork`; with gates a :class:`GatedReLU`.

    Raises
    ------
    InvalidInputError
        If an argument is not what it must be.

    Examples
    --------
    >>> solution = solve([[1.0, 0.5], [-0.3, 1.0], [0.2, -1.0]], [1.0, 2.0, -0.5], loss="squared", beta=0.1)
    >>> round(solution.objective, 6), solution.status, solution.network.n_neurons
    (0.240106, 'optimal', 2)
    """
    problem = weight_decay(
        X,
        y,
        loss=loss,
        beta=beta,
        sample_weight=sample_weight,
        output_bias=output_bias,
        skip=skip,
        gates=gates,
        reduction=reduction,
    )
    tolerance = check_positive(tol, "tol")
    if tolerance >= 1:
        raise InvalidInputError(f"tol must be below 1, it is a relative gap, got {tol!r}")
    seconds = check_seconds(time_limit)
    generator = as_generator(0 if rng is None else rng)
    if start is not None:
        check_network(problem, start)
    interruption = Interruption()
    clock = SolverClock.of(seconds, check_seconds(work_limit, "work_limit"), interruption)
    with show_rounds(progress), one_blas_thread(), interruption.listening():
        if problem.gates is not None:
            network, lam, norm = GatedSearch(problem, tol=tolerance, clock=clock).solve(start)
            certificate = _certified(problem, network, lam, ProvenNorm(norm=norm), clock)
            return finished(problem, certificate, tolerance, clock)
        if problem.loss.vector:
            part = clock.until(_SEARCH_SHARE * clock.limit)
            outputs = OutputSearch(problem, tol=tolerance, clock=part, proof_clock=clock, rng=generator)
            several, lam, proven = outputs.solve(start)
            certificate = _certified(problem, several, lam, proven, clock)
            return finished(problem, certificate, tolerance, clock, cut=part.expired())
        return _solve_one_output(problem, tolerance, start, clock, generator)


def _solve_one_output(
    problem: WeightDecay, tol: float, start: Decayed | None, clock: SolverClock, rng: np.random.Generator
) -> Solution:
    """Solve a problem of one output and ReLU neurons."""
    coordinates = Coordinates.of(problem)
    part = clock.until(_SEARCH_SHARE * clock.limit)
    search = Search(coordinates, tol=tol, clock=part, proof_clock=clock, rng=rng)
    found = search.solve(coordinates.empty if start is None else coordinates.mix(start))
    network = coordinates.network(found.mix)
    certificate = _certified(problem, network, found.lam, found.proven, clock)
    return finished(problem, certificate, tol, clock, cut=part.expired() or not found.proven.norm.repeatable)


def _certified(
    problem: WeightDecay,
    network: Decayed,
    lam: Float[np.ndarray, "n ..."],
    proven: ProvenNorm,
    clock: SolverClock,
) -> RegularizedCertificate:
    """Return the certificate of what a search ends with."""
    network = problem.rescaled(network)
    certificate = assess_regularized(problem, network, lam, proven.norm, proven.relaxation)
    if problem.equations.plain:
        return certificate
    # the search takes columns for dependent that are so but for rounding; what is proven must not
    left = None if np.isinf(clock.seconds) else max(clock.seconds, 1e-2)
    other = certify_regularized(problem, network, lam, time_limit=left)
    return max(certificate, other, key=lambda each: each.lower_bound)


def finished(
    problem: WeightDecay,
    certificate: RegularizedCertificate,
    tol: float,
    clock: SolverClock,
    *,
    cut: bool = False,
) -> Solution:
    """Return the solution that a certificate amounts to; `cut`: the clock ended a part of the work."""
    fitted = certificate.objective <= problem.negligible(np.zeros_like(certificate.lam))
    status = Status.TIME_LIMIT if cut or clock.expired() else Status.BOUNDED
    if clock.interrupted:
        status = Status.INTERRUPTED
    elif certificate.gap <= tol or (fitted and not certificate.network.n_neurons):
        status = Status.OPTIMAL
    return Solution(
        network=certificate.network,
        lam=certificate.lam,
        status=status,
        history=tuple(clock.rounds),
        certificate=certificate,
    )
