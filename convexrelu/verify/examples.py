"""Stored runs that end in a KKT point which is not global."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.datasets import load
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


def multi_class_counterexample(*, obtuse: bool = False) -> Example:
    """Return the smallest data on which WP Theorem 2 fails, with a start whose limit is not global.

    Three vectors, one class each, are orthogonally separable among multiple classes, and the problem is the
    first class against the rest. The start meets all conditions of WP Theorem 1.

    With orthogonal unit vectors, P* = 1 + sqrt 2: one negative neuron serves both rows of the rest. From this
    start no negative neuron is active on both, none ever becomes so, and the limit has objective 3.

    With an obtuse angle between the rows of the rest the roles turn round: P* = 3, a neuron for each row.
    From this start the one negative neuron is active on both and stays so, and the limit has objective 1 +
    sqrt 10 = 4.162.

    Parameters
    ----------
    obtuse : bool, default False
        Whether the product of the two rows of the rest is -0.8 instead of 0.

    Returns
    -------
    Example
        ``X``, ``y`` and ``start``; the data is that of :func:`convexrelu.datasets.load` under
        "multi-class-counterexample" and "multi-class-counterexample-obtuse".

    Examples
    --------
    >>> example = multi_class_counterexample()
    >>> example.X.shape, example.start.n_neurons
    ((3, 3), 3)
    """
    X, y = load("multi-class-counterexample-obtuse" if obtuse else "multi-class-counterexample")
    if obtuse:
        W1, signs = 1e-3 * np.array([[1.0, 0.2, 0.1], [-0.1, 0.5, 1.0]]), np.array([1.0, -1.0])
    else:
        W1 = 1e-3 * np.array([[1.0, 0.2, 0.1], [-0.1, 1.0, -0.5], [-0.2, -0.4, 1.0]])
        signs = np.array([1.0, -1.0, -1.0])
    return Example(X=X, y=y, start=TwoLayerReLU(W1, signs * np.linalg.norm(W1, axis=1)))
