"""Certify any network: how far from the optimum it can be at most, and whether it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import (
    as_class_labels,
    as_matrix,
    as_penalty,
    as_vector,
    check_seconds,
    one_vs_rest,
)
from convexrelu.certificates.bounds import dual_scale, feasible_signs, lower_bound
from convexrelu.certificates.certificate import Certificate, assess
from convexrelu.certificates.multiclass import MultiClassCertificate
from convexrelu.certificates.multipliers import least_squares_multipliers, loss_weights
from convexrelu.certificates.regularized import RegularizedCertificate, certify_regularized
from convexrelu.certificates.weight_decay import Decayed, weight_decay
from convexrelu.errors import InvalidInputError
from convexrelu.losses import Loss
from convexrelu.networks import ReLUNetwork, TwoLayerReLU
from convexrelu.networks.convert import how_to_convert
from convexrelu.networks.layers import bias_hint
from convexrelu.oracle import DualNorm, dual_norm, rescaled_norm

__all__ = ["certify"]


def certify(
    X: ArrayLike,
    y: ArrayLike,
    network: Decayed | Sequence[TwoLayerReLU],
    lam: ArrayLike | None = None,
    *,
    C: float = np.inf,
    better: TwoLayerReLU | None = None,
    time_limit: float | None = None,
    loss: str | Loss | None = None,
    beta: float | None = None,
    **problem: Any,
) -> Certificate | MultiClassCertificate | RegularizedCertificate:
    """Return proven bounds ``lower_bound <= P* <= objective`` from a network and a dual variable.

    The certificate holds all it takes to check them. No solver is involved: the upper bound is the network at
    margin 1, the lower bound ``y^T lam / h(lam)`` holds for every lam with ``y * lam >= 0`` (the one
    oracle), so that a trained network certifies itself.

    Parameters
    ----------
    X : (n, d) array_like
        The data; append a ones column (:func:`convexrelu.datasets.with_bias`) for networks with biases.
    y : (n,) array_like
        Two labels (the larger is +1), or K > 2 classes.
    network : TwoLayerReLU, K of them for K > 2 classes, or a ReLUNetwork
        The network(s) to judge, class k's against the rest. Of a ReLUNetwork, its K outputs; for two labels,
        its only output or the difference of two.
    lam : (n,) array_like or None
        Dual variable; (K, n) for K > 2 classes. By default the better of the network's logistic loss weights
        and its least-squares KKT multipliers.
    C : float, default inf
        Penalty of slack; inf is the hard margin.
    better : TwoLayerReLU or None
        A network with a smaller objective, as the proof that `network` is not optimal (binary problems).
    time_limit : float or None
        Seconds for the oracle. If its search does not finish, the lower bound is what it has proven so far;
        the certificate says how far that was, for :meth:`Certificate.check` to arrive at the same.

    loss : str, Loss or None
        With `beta`: judge the network as trained on this loss with weight decay, ``sum_n s_n l(f(x_n), y_n) +
        beta/2 ||theta||^2``. Its objective is taken after rebalancing, at the best common scale of its
        neurons; its own loss weights ``-s_n l'`` are the dual variable unless one is given.
    beta : float or None
        Price of the weights, with `loss`.
    **problem
        ``sample_weight``, ``output_bias``, ``skip``, ``gates`` and ``reduction`` with a loss, as in
        :func:`convexrelu.solve`.

    Returns
    -------
    Certificate, MultiClassCertificate, or with a loss RegularizedCertificate
        Bounds, gap, margin, h(lam), KKT residuals and verdict.

    Raises
    ------
    InvalidInputError
        If shapes disagree, values are not finite, or lam has entries of the wrong sign.

    Examples
    --------
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    >>> certificate = certify(X, y, network)
    >>> certificate.lower_bound <= 1.282433 <= certificate.objective
    True
    >>> print(certify(X, y, network, loss="logistic", beta=0.1))
    Certificate: above the optimum by ... % at most; whether it is optimal is not decided
    ...
    """
    if loss is not None:
        if np.isfinite(C) or better is not None or isinstance(network, Sequence) or beta is None:
            raise InvalidInputError("a loss needs beta and one network, and has neither C nor better")
        decay = weight_decay(X, y, loss=loss, beta=beta, **problem)
        return certify_regularized(decay, network, lam, time_limit=time_limit)
    if beta is not None or problem:
        raise InvalidInputError(
            f"beta, {', '.join(problem) or 'like others'}: these go with a loss, got none"
        )
    matrix = as_matrix(X)
    check_seconds(time_limit)
    if better is not None and not isinstance(better, TwoLayerReLU):
        raise InvalidInputError(f"better must be a TwoLayerReLU, got {type(better).__name__}")
    encoded = one_vs_rest(as_class_labels(y, length=len(matrix)))
    penalty = as_penalty(C)
    K = len(encoded.classes)
    networks = _networks_of(network, K)
    if K == 1:
        return _certify_binary(matrix, encoded.Y[0], networks[0], lam, penalty, better, time_limit)
    if better is not None:
        raise InvalidInputError(f"better is for two labels, got {K} classes")
    duals = [None] * K if lam is None else list(as_matrix(lam, "lam", columns=len(matrix)))
    if len(duals) != K:
        raise InvalidInputError(f"lam must have one row for each of the {K} classes, got {len(duals)}")
    share = None if time_limit is None else time_limit / K
    parts = tuple(
        _certify_binary(matrix, labels, part, dual, penalty, None, share)
        for labels, part, dual in zip(encoded.Y, networks, duals, strict=True)
    )
    return MultiClassCertificate(classes=encoded.classes, certificates=parts)


def _networks_of(network: Decayed | Sequence[TwoLayerReLU], K: int) -> list[TwoLayerReLU]:
    """Return the network of two labels (K is 1), or those of K classes against the rest."""
    if isinstance(network, ReLUNetwork) and network.n_outputs == K:
        return [TwoLayerReLU.from_output(network, k) for k in range(K)]
    if isinstance(network, ReLUNetwork) and K == 1 and network.n_outputs == 2:
        return [TwoLayerReLU.from_difference(network)]
    if K == 1:
        if not isinstance(network, TwoLayerReLU):
            raise InvalidInputError(
                f"network must be a TwoLayerReLU for two labels, got {type(network).__name__}"
                f"{how_to_convert(network)}"
            )
        return [network]
    networks = list(network) if isinstance(network, Sequence) else []
    if len(networks) != K or not all(isinstance(part, TwoLayerReLU) for part in networks):
        raise InvalidInputError(
            f"network must be a sequence of {K} TwoLayerReLU, one a class, or a ReLUNetwork of {K} outputs, "
            f"got {len(networks) or type(network).__name__}"
        )
    return networks


def _certify_binary(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    network: TwoLayerReLU,
    lam: ArrayLike | None,
    C: float,
    better: TwoLayerReLU | None,
    time_limit: float | None,
) -> Certificate:
    proof = TwoLayerReLU(np.zeros((0, X.shape[1])), np.zeros(0)) if better is None else better
    for part in (network, proof):
        if part.n_features != X.shape[1]:
            raise InvalidInputError(
                f"network must have {X.shape[1]} inputs, as X has columns, got {part.n_features}"
                f"{bias_hint(X.shape[1], part.n_features)}"
            )
    if lam is None:
        candidates = [loss_weights(X, y, network), least_squares_multipliers(X, y, network)]
    else:
        candidates = [feasible_signs(y, as_vector(lam, "lam", length=len(X)))]
    dual, norm = _best(X, y, candidates, C, time_limit)
    return assess(X, y, network, dual, norm=norm, C=C, better=proof)


def _best(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    candidates: list[Float[np.ndarray, " n"]],
    C: float,
    time_limit: float | None,
) -> tuple[Float[np.ndarray, " n"], DualNorm]:
    """Return the dual variable that bounds best and its norm; scaled to feasibility if there was a choice."""
    share = None if time_limit is None else time_limit / len(candidates)
    priced = [(lam, dual_norm(X, lam, time_limit=share)) for lam in candidates]
    if len(priced) == 1:
        return priced[0]
    k = int(np.argmax([lower_bound(y, lam, norm.upper_bound, C) for lam, norm in priced]))
    lam, norm = priced[k]
    scale = dual_scale(y, lam, norm.upper_bound, C)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        shrink = float(1.0 / np.float64(scale))
        scaled = shrink * lam
    if shrink > 0 and np.isfinite(scaled).all():
        return scaled, rescaled_norm(X, lam, norm, shrink)
    return lam, norm
