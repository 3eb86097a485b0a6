"""A stored run that ends in a KKT point which is not global."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.networks import TwoLayerReLU

__all__ = ["Example", "multi_class_counterexample"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """Data and a start for gradient descent.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    y : (n,) float array
        Labels +1 and -1.
    start : TwoLayerReLU
        Where descent starts.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    start: TwoLayerReLU


def multi_class_counterexample() -> Example:
    """Return the smallest data on which WP Theorem 2 fails, with a start whose limit is not global.

    Three unit vectors, one class each, are orthogonally separable among multiple classes. In the problem of
    the first class against the rest, P* = 1 + sqrt 2: one negative neuron serves both rows of the rest. From
    this start, which meets all conditions of WP Theorem 1, no negative neuron is active on both, and the
    limit has objective 3.

    Returns
    -------
    Example
        ``X``, ``y`` and ``start``.

    Examples
    --------
    >>> example = multi_class_counterexample()
    >>> example.X.shape, example.start.n_neurons
    ((3, 3), 3)
    """
    W1 = 1e-3 * np.array([[1.0, 0.2, 0.1], [-0.1, 1.0, -0.5], [-0.2, -0.4, 1.0]])
    w2 = np.linalg.norm(W1, axis=1) * np.array([1.0, -1.0, -1.0])
    return Example(X=np.eye(3), y=np.array([1.0, -1.0, -1.0]), start=TwoLayerReLU(W1, w2))
