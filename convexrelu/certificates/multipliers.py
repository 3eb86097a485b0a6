"""Dual variables that a network itself suggests, for when nobody has a better one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from convexrelu.certificates.bounds import at_margin, margins, scale_exponent, scaled_by
from convexrelu.losses import get_loss
from convexrelu.networks import TwoLayerReLU
from convexrelu.networks.neurons import row_norms

__all__ = ["TIE_TOL", "least_squares_multipliers", "loss_weights"]

TIE_TOL = 1e-6
"""A row lies on a neuron's hyperplane if the sine of their angle is below this: neurons of a solution
certified to 1e-12 are accurate to its root, because the objective is flat there."""

_LARGE = 1e300  # margins beyond it count as this, so that their differences are floats
_MOST_ROWS = 1500  # the least-squares problem has a column a row; those of smallest margin are kept


def loss_weights(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU
) -> Float[np.ndarray, " n"]:
    """Return the weights that training itself gives the samples, divided by their largest.

    They are ``lam_n = -y_n l'(y_n f(x_n))`` for the logistic loss.
    """
    logs = get_loss("logistic").log_slope(np.clip(margins(X, y, network), -_LARGE, _LARGE))
    weights: np.ndarray = y * np.exp(logs - logs.max())
    return weights


def least_squares_multipliers(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], network: TwoLayerReLU
) -> Float[np.ndarray, " n"]:
    """Return the KKT multipliers that fit a network best, by least squares.

    They solve ``min_{Y lam >= 0} sum_i |w2_i|^2 ||s_i w1_i/||w1_i|| - X^T D_i lam||^2 + sum_n ((q_n - 1)
    lam_n)^2``. The network is taken at margin 1, where complementarity asks for lam_n = 0 or q_n = 1. A row
    on a neuron's hyperplane may be active in part (Clarke): it gets a weight of its own between 0 and lam_n.
    All zero if the network does not fit the data, or only at a size beyond the floats.
    """
    exponent = scale_exponent(X)
    near_one = scaled_by(X, -exponent)
    scaled = at_margin(near_one, y, network)
    if scaled is None or np.isinf(scaled.group_norm()):
        return np.zeros(len(y))
    scaled = scaled.merged()
    excess = y * scaled(near_one) - 1
    rows = np.sort(np.argsort(excess, kind="stable")[:_MOST_ROWS])
    lam = np.zeros(len(y))
    lam[rows] = y[rows] * _fit(near_one[rows], y[rows], scaled, excess[rows])
    multipliers = scaled_by(lam, -exponent)
    # of rows near the smallest floats they are beyond the largest; those of the scaled data bound as well
    return multipliers if np.isfinite(multipliers).all() else lam


def _fit(
    X: Float[np.ndarray, "k d"],
    y: Float[np.ndarray, " k"],
    network: TwoLayerReLU,
    excess: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:
    """The non-negative least-squares problem: columns are the rows' multipliers, then one for each tie."""
    k, d = X.shape
    sizes = row_norms(X)
    directions = network.W1 / row_norms(network.W1)[:, None]
    heights = directions @ X.T
    ties = np.argwhere(np.abs(heights) <= TIE_TOL * sizes)
    heavy = 10.0 * max(float(np.abs(network.w2).max(initial=0.0)) * float(sizes.max()), 1.0)
    blocks, targets = [], []
    for i, (direction, output) in enumerate(zip(directions, network.w2, strict=True)):
        own = ties[ties[:, 0] == i, 1]
        sure = (heights[i] > 0) & ~np.isin(np.arange(k), own)
        signed = (X * y[:, None]).T
        partial = np.zeros((d, len(ties)))
        partial[:, ties[:, 0] == i] = signed[:, own]
        blocks.append(np.hstack([abs(output) * signed * sure, abs(output) * partial]))
        targets.append(output * direction)
    # ties: the active part and the rest add up to the multiplier, enforced by weight
    tie_rows = np.zeros((len(ties), k + 2 * len(ties)))
    index = np.arange(len(ties))
    tie_rows[index, ties[:, 1]] = -heavy
    tie_rows[index, k + index] = tie_rows[index, k + len(ties) + index] = heavy
    padded = [np.hstack([block, np.zeros((d, len(ties)))]) for block in blocks]
    slack_rows = np.hstack([np.diag(excess), np.zeros((k, 2 * len(ties)))])
    system = np.vstack([*padded, slack_rows, tie_rows])
    target = np.r_[np.concatenate([*targets, np.zeros(0)]), np.zeros(k + len(ties))]
    try:
        return np.asarray(nnls(system, target, maxiter=20 * system.shape[1])[0][:k])
    except RuntimeError:  # iteration limit: no multiplier from here, the caller has others
        return np.zeros(k)
