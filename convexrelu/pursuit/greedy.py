"""How far a greedily grown network is from the max-margin optimum (the bridge to WP's convex program).

For L = 2 and ReLU the neuron that pursuit adds to a residual r maximises ``|r^T (X u)_+|``: it is the column
that column generation prices at ``lam = r``. The networks differ in what is done with the columns: pursuit
fits the labels ``+1`` and ``-1`` themselves, the program asks for margins of at least 1 at the least norm.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data
from convexrelu.pursuit.result import PursuitResult

__all__ = ["margin_objectives"]


def margin_objectives(result: PursuitResult, X: ArrayLike, y: ArrayLike) -> Float[np.ndarray, " t"]:
    """Return the max-margin objective of the network after each iteration, scaled to margin 1.

    Each is an upper bound on P* of WP eq. (13): the balanced network's ``(||W1||^2 + ||w2||^2) / 2`` at
    margin 1.

    Parameters
    ----------
    result : PursuitResult
        A pursuit of two layers of ReLU with one output.
    X : (n, d) array_like
        Samples.
    y : (n,) array_like
        Two labels, the larger stands for +1.

    Returns
    -------
    (t,) float array
        One an iteration; infinite while the network does not fit every label.

    Raises
    ------
    InvalidInputError
        If the networks are not of that kind, or the data is malformed.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = [[-2.0], [-1.0], [1.0]], [-1.0, -1.0, 1.0]
    >>> result = cr.neuron_pursuit(X, y, depth=2, rng=0)
    >>> bool(margin_objectives(result, X, y)[-1] >= cr.solve_max_margin(X, y).lower_bound)
    True
    """
    matrix, labels = as_data(X, y)
    values = np.full(len(result.history), np.inf)
    for at, step in enumerate(result.history):
        network = step.network.as_two_layer()
        if network.margin(matrix, labels) > 0:
            values[at] = network.rescaled_to_margin(matrix, labels).balanced().objective()
    return values
