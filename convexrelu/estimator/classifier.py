"""What the certified classifiers share: original labels, weights of classes, one class against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.utils import compute_sample_weight
from sklearn.utils.validation import validate_data

from convexrelu._clock import Clock
from convexrelu._validation import check_seconds, one_vs_rest
from convexrelu.certificates.weight_decay import Decayed
from convexrelu.estimator.certified import CertifiedEstimator
from convexrelu.estimator.conventions import LabelsByValue, classes_of, features_of
from convexrelu.estimator.rows import WeightedRows
from convexrelu.solvers import Solution, solve

__all__ = ["CertifiedClassifier", "problems_of", "solve_each"]


class CertifiedClassifier(LabelsByValue, CertifiedEstimator):
    """A certified classifier; networks know the numbers of the classes, callers the labels."""

    def _labelled(self, X: Any, y: Any, sample_weight: Any) -> WeightedRows:
        """Check what `fit` is given; the targets are the numbers of the classes."""
        matrix, labels = validate_data(self, X, y, dtype=np.float64)
        weights = self._weights(sample_weight, matrix)
        self.classes_ = classes_of(labels[weights > 0])
        codes = np.searchsorted(self.classes_, labels)  # those of weight zero are dropped
        weights *= self._class_weights(labels, codes, weights)
        return WeightedRows.of(features_of(matrix, self.fit_intercept), codes.astype(np.float64), weights)

    def _class_weights(
        self, labels: np.ndarray, codes: np.ndarray, weights: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """What each sample's weight is multiplied by."""
        if self.class_weight == "balanced":
            # not by scikit-learn, which counts samples and not their weights
            live = weights > 0
            totals = np.bincount(codes[live], weights=weights[live])
            factors = weights.sum() / (len(totals) * totals)
            return np.where(live, factors[np.minimum(codes, len(totals) - 1)], 0.0)
        return np.asarray(compute_sample_weight(self.class_weight, labels))


def problems_of(codes: Float[np.ndarray, " m"]) -> tuple[Float[np.ndarray, " m"], ...]:
    """Return the labels +1 and -1 of each class against the rest; for two classes, of the larger one."""
    return tuple(one_vs_rest(codes).Y)


def solve_each(
    X: Float[np.ndarray, "m d"],
    targets: Sequence[Float[np.ndarray, "m ..."]],
    starts: Sequence[Decayed] | None,
    *,
    time_limit: Any,
    work_limit: Any,
    **options: Any,
) -> list[Solution]:
    """Return the solution of each problem: with its share of the work, and of the seconds that are left."""
    clock = Clock(limit=float(check_seconds(time_limit)))
    solutions = []
    work = None if work_limit is None else work_limit / len(targets)
    for k, labels in enumerate(targets):
        share = None if time_limit is None else max(clock.left / (len(targets) - k), 1e-3)
        start = None if starts is None else starts[k]
        solutions.append(solve(X, labels, start=start, time_limit=share, work_limit=work, **options))
    return solutions
