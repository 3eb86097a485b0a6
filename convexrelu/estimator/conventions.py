"""What every estimator here does by scikit-learn's conventions: biases, classes, labels, seeds, callbacks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from jaxtyping import Float
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets

from convexrelu.datasets import with_bias
from convexrelu.errors import InvalidInputError

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: there are no callbacks yet."""

    with_callbacks = None

__all__ = ["CallbackSupportMixin", "LabelsByValue", "classes_of", "features_of", "heard", "seed_of"]

M = TypeVar("M", bound=Callable[..., Any])


def heard(fit: M) -> M:
    """Return a method `fit` that tells the callbacks of ``set_callbacks`` when it begins and ends."""
    if with_callbacks is None:
        return fit

    @functools.wraps(fit)
    def method(self: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
        context = self._init_callback_context()
        told = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
        context.call_on_fit_task_begin(estimator=self, **told)
        fit(self, X, y, sample_weight=sample_weight)
        # a copy of the estimator has all that was fitted
        context.call_on_fit_task_end(estimator=self, reconstruction_attributes={}, **told)
        return self

    return cast("M", with_callbacks(method))


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


class LabelsByValue(ClassifierMixin):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier whose network has a value for each class; for two classes one, positive for the larger."""

    classes_: np.ndarray

    if TYPE_CHECKING:  # the estimator's own

        def _outputs(self, X: Any) -> Float[np.ndarray, "n ..."]:
            """The network's values on unchecked data."""

    def decision_function(self, X: Any) -> Float[np.ndarray, "n ..."]:
        """Return the network's values: for two classes, positive where the larger label is predicted.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) or (n, K) float array
            Values.
        """
        return self._outputs(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the labels.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) array
            Labels, of the kind given.
        """
        values = self._outputs(X)
        codes = (values > 0).astype(np.int64) if values.ndim == 1 else values.argmax(axis=1)
        return np.asarray(self.classes_[codes])
