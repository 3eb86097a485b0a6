"""What every estimator here does by scikit-learn's conventions: biases, classes, seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets

from convexrelu.datasets import with_bias
from convexrelu.errors import InvalidInputError

__all__ = ["classes_of", "features_of", "seed_of"]


def features_of(X: Float[np.ndarray, "n d"], fit_intercept: bool) -> Float[np.ndarray, "n k"]:
    """Return what the network acts on: X, with a column of ones for an intercept."""
    return with_bias(X) if fit_intercept else X


def seed_of(random_state: Any) -> int:
    """Return a seed drawn from a random state."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def classes_of(labels: np.ndarray) -> np.ndarray:
    """Return the classes, sorted, or InvalidInputError if there is one only."""
    check_classification_targets(labels)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InvalidInputError(f"a classifier needs at least two classes, got one class: {classes[0]}")
    return classes
