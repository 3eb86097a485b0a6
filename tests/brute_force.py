"""The largest correlation of one neuron, by all activities of few rows."""

from __future__ import annotations

import numpy as np


def correlations(X, lam, U):
    """Those of the neurons U, one a row."""
    return np.maximum(U @ X.T, 0) @ lam


def maximum(X, lam):
    """The maximum over the unit ball, by the places where local maxima can lie (WP eq. (12)).

    Either inside a cell, along X^T D lam for a mask D (all masks are tried: any value is attained), or on
    a hyperplane x_n^T u = 0, which is the same problem in one dimension less.
    """
    n, d = X.shape
    masks = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    U = (masks * lam) @ X
    sizes = np.linalg.norm(U, axis=1)
    U = U[sizes > 1e-14] / sizes[sizes > 1e-14, None]
    best = max(0.0, correlations(X, lam, U).max(initial=0.0))
    if d == 1:
        return best
    for x in np.unique(X, axis=0):
        if x.any():
            within = np.linalg.svd(x[None])[2][1:]  # an orthonormal basis of the hyperplane
            best = max(best, maximum(X @ within.T, lam))
    return best
