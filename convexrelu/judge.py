"""The verdict on any network: its own certificate, and what the solvers make of it within a few seconds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from convexrelu import certificates
from convexrelu._clock import Clock
from convexrelu._typing import ArrayLike
from convexrelu._validation import check_seconds
from convexrelu.certificates import Certificate, MultiClassCertificate, RegularizedCertificate
from convexrelu.certificates.infeasible import certify_infeasible
from convexrelu.certificates.weight_decay import Decayed, OutputBias
from convexrelu.errors import InfeasibleError, InvalidInputError, SolverError
from convexrelu.losses import Loss
from convexrelu.networks import ReLUNetwork, TwoLayerReLU
from convexrelu.solvers import MultiClassSolution, solve, solve_max_margin

__all__ = ["IMPROVING", "certify"]

_LOGGER = logging.getLogger("convexrelu")

IMPROVING = 5.0
"""Seconds for the solver where no time limit is given."""

_OWN_SHARE = 0.25  # of a time limit, for the network's own multipliers


@overload
def certify(
    X: ArrayLike,
    y: ArrayLike,
    network: TwoLayerReLU,
    lam: ArrayLike | None = None,
    *,
    C: float = ...,
    better: TwoLayerReLU | None = None,
    time_limit: float | None = None,
    improve: bool | None = None,
) -> Certificate: ...


@overload
def certify(
    X: ArrayLike,
    y: ArrayLike,
    network: Sequence[TwoLayerReLU],
    lam: ArrayLike | None = None,
    *,
    C: float = ...,
    better: None = None,
    time_limit: float | None = None,
    improve: bool | None = None,
) -> MultiClassCertificate: ...


@overload
def certify(
    X: ArrayLike,
    y: ArrayLike,
    network: ReLUNetwork,
    lam: ArrayLike | None = None,
    *,
    C: float = ...,
    better: TwoLayerReLU | None = None,
    time_limit: float | None = None,
    improve: bool | None = None,
) -> Certificate | MultiClassCertificate: ...


@overload
def certify(
    X: ArrayLike,
    y: ArrayLike,
    network: Decayed,
    lam: ArrayLike | None = None,
    *,
    time_limit: float | None = None,
    improve: bool | None = None,
    loss: str | Loss,
    beta: float,
    sample_weight: ArrayLike | None = None,
    output_bias: OutputBias = False,
    skip: bool = False,
    gates: ArrayLike | None = None,
    reduction: str = "sum",
) -> RegularizedCertificate: ...


def certify(
    X: ArrayLike,
    y: ArrayLike,
    network: Decayed | Sequence[TwoLayerReLU],
    lam: ArrayLike | None = None,
    *,
    C: float = np.inf,
    better: TwoLayerReLU | None = None,
    time_limit: float | None = None,
    improve: bool | None = None,
    loss: str | Loss | None = None,
    beta: float | None = None,
    **problem: Any,
) -> Certificate | MultiClassCertificate | RegularizedCertificate:
    """Return how far a network is from the global optimum: proven bounds ``lower_bound <= P* <= objective``.

    First the network certifies itself, without a solver: its objective bounds P* from above, its own
    multipliers bound it from below, ``y^T lam / h(lam)``. Where that leaves open whether it is optimal, the
    solver then looks for better multipliers and for a better network (`improve`). Neither is believed: the
    certificate holds both, and what proves the bounds, recomputed from the data.

    Parameters
    ----------
    X : (n, d) array_like
        The data; append a ones column (:func:`convexrelu.datasets.with_bias`) for networks with biases.
    y : (n,) array_like
        Two labels (the larger is +1), or K > 2 classes; targets with a loss.
    network : TwoLayerReLU, K of them for K > 2 classes, or a ReLUNetwork
        The network(s) to judge, class k's against the rest. Of a ReLUNetwork, its K outputs; for two labels,
        its only output or the difference of two. With a loss also a GatedReLU.
    lam : (n,) array_like or None
        Dual variable; (K, n) for K > 2 classes. By default the better of the network's logistic loss weights
        and its least-squares KKT multipliers; with a loss its own loss weights.
    C : float, default inf
        Penalty of slack; inf is the hard margin.
    better : TwoLayerReLU or None
        A network with a smaller objective, as the proof that `network` is not optimal (binary problems).
    time_limit : float or None
        Seconds for all. By default the oracle goes as far as it does for everybody, and the solver has five
        seconds.
    improve : bool or None, default None
        Whether the solver helps: None for where the network's own multipliers do not prove it optimal, and
        neither `lam` nor `better` is given. False is without a solver, and the same on every machine; so is
        an answer of the solver that comes before its time limit.
    loss : str, Loss or None
        With `beta`: judge the network as trained on this loss with weight decay, ``sum_n s_n l(f(x_n), y_n) +
        beta/2 ||theta||^2``.
    beta : float or None
        Price of the weights, with `loss`.
    **problem
        ``sample_weight``, ``output_bias``, ``skip``, ``gates`` and ``reduction`` with a loss, as in
        :func:`convexrelu.solve`.

    Returns
    -------
    Certificate, MultiClassCertificate, or with a loss RegularizedCertificate
        Bounds, gap, and the verdict in one sentence; ``better`` is the network that the solver found, where
        that is better than the one judged. On data that no network fits, the certificate of that.

    Raises
    ------
    InvalidInputError
        If shapes disagree, values are not finite, or lam has entries of the wrong sign.

    Examples
    --------
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> network = TwoLayerReLU([[1.0, 0.2], [0.0, 1.0]], [1.0, -1.0])
    >>> certificate = certify(X, y, network)
    >>> certificate.verdict
    'not globally optimal: between ... % and ... % above the optimum; here is one with 2 neurons that is
    globally optimal (objective 1.28243...)'
    >>> certificate.better.n_neurons, certificate.check(X, y)
    (2, True)
    """
    clock = Clock(limit=float(check_seconds(time_limit)))
    helped = improve is True or (improve is None and lam is None and better is None)
    share = None if time_limit is None else time_limit * (_OWN_SHARE if helped else 1.0)
    options: dict[str, Any] = {"loss": loss, "beta": beta, **problem}
    if loss is None:
        options |= {"C": C, "better": better}
    elif np.isfinite(C) or better is not None:
        raise InvalidInputError("a loss needs beta and one network, and has neither C nor better")
    own = certificates.certify(X, y, network, lam, time_limit=share, **options)
    if not helped or own.globally_optimal:
        return own
    seconds = IMPROVING if time_limit is None else max(clock.left, 1e-3)
    try:
        if isinstance(own, RegularizedCertificate):
            return _improved_regularized(own, X, y, seconds, loss=loss, beta=beta, **problem)
        return _improved(own, X, y, C, seconds)
    except InfeasibleError as error:
        return certify_infeasible(X, y, error.farkas)
    except (
        InvalidInputError,
        SolverError,
    ) as error:  # data that it cannot take: the network's own bounds hold
        _LOGGER.warning("the solver could not help: %s", error)
        return own


def _improved(
    own: Certificate | MultiClassCertificate, X: ArrayLike, y: ArrayLike, C: float, seconds: float
) -> Certificate | MultiClassCertificate:
    """Return the certificates with the solver's multipliers and networks where these are better."""
    parts = own.certificates if isinstance(own, MultiClassCertificate) else (own,)
    start = [part.network for part in parts]
    solution = solve_max_margin(X, y, C=C, start=start, time_limit=seconds)
    solved = solution.solutions if isinstance(solution, MultiClassSolution) else (solution,)
    improved = tuple(_better_of(part, found.certificate) for part, found in zip(parts, solved, strict=True))
    if isinstance(own, MultiClassCertificate):
        return MultiClassCertificate(classes=own.classes, certificates=improved)
    return improved[0]


def _better_of(own: Certificate, found: Certificate) -> Certificate:
    """The network's certificate by the better multipliers, with the best network known of."""
    nobody = TwoLayerReLU(np.zeros((0, own.network.n_features)), np.zeros(0))
    known = min(own.objective, own.better_objective)
    better = found.network if found.objective < known else own.better if own.not_optimal else nobody
    best = found if found.lower_bound > own.lower_bound else own
    return best.rejudged(own.network, better)


def _improved_regularized(
    own: RegularizedCertificate, X: ArrayLike, y: ArrayLike, seconds: float, **problem: Any
) -> RegularizedCertificate:
    """Return the certificate with the solver's multipliers and network where these are better."""
    start = None if problem.get("gates") is not None else own.network
    found = solve(X, y, start=start, time_limit=seconds, **problem).certificate
    better = found.network if found.objective < own.objective else None
    best = found if found.lower_bound > own.lower_bound else own
    return best.rejudged(own.network, better)
