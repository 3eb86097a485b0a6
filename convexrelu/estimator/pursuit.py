"""Neuron Pursuit as a regressor and as a classifier in scikit-learn's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from convexrelu._validation import one_vs_rest
from convexrelu.estimator.conventions import LabelsByValue, classes_of, features_of, seed_of
from convexrelu.networks import PowerLeakyReLU
from convexrelu.pursuit import neuron_pursuit

__all__ = ["NeuronPursuitClassifier", "NeuronPursuitRegressor"]


class _NeuronPursuit(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share: the parameters, the features, the fit to real targets."""

    # By scikit-learn's contract a parameter of any kind can be set, and `fit` takes anything and says itself
    # what is wrong with it, in the words that the contract asks for. Hence no narrower types.
    def __init__(
        self,
        depth: Any = 2,
        *,
        alpha: Any = 0.0,
        power: Any = 1,
        n_starts: Any = 10,
        max_iterations: Any = 10,
        tol: Any = 1e-2,
        inner: Any = "lbfgs",
        fit_intercept: Any = True,
        time_limit: Any = 30.0,
        random_state: Any = None,
    ) -> None:
        self.depth = depth
        self.alpha = alpha
        self.power = power
        self.n_starts = n_starts
        self.max_iterations = max_iterations
        self.tol = tol
        self.inner = inner
        self.fit_intercept = fit_intercept
        self.time_limit = time_limit
        self.random_state = random_state

    def _pursue(self, X: Float[np.ndarray, "n d"], targets: Float[np.ndarray, n * k]) -> None:
        """Grow the network on checked data."""
        self.result_ = neuron_pursuit(
            features_of(X, self.fit_intercept),
            targets,
            depth=self.depth,
            activation=PowerLeakyReLU(self.alpha, self.power),
            n_starts=self.n_starts,
            max_iterations=self.max_iterations,
            tol=self.tol,
            inner=self.inner,
            time_limit=self.time_limit,
            rng=seed_of(self.random_state),
        )
        self.network_ = self.result_.network
        self.n_iter_ = len(self.result_.history)

    def _outputs(self, X: Any) -> Float[np.ndarray, n * k]:
        """Return the network's values on unchecked data."""
        check_is_fitted(self)
        matrix = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(self.network_(features_of(matrix, self.fit_intercept)))


class NeuronPursuitRegressor(RegressorMixin, MultiOutputMixin, _NeuronPursuit):  # type: ignore[misc]
    """Return a regressor that grows its network neuron by neuron (NP Algorithm 1).

    It is for studying that algorithm, at any depth, on targets that few neurons explain: there is no price of
    the weights, every neuron costs a search, and noise is fitted like all else. The defaults keep it small
    and short; for a closer fit, and with time, ``depth=3, max_iterations=31, tol=1e-3, time_limit=None``. To
    predict, take :class:`convexrelu.ReLURegressor` first.

    Parameters
    ----------
    depth : int, default 2
        Layers of the network.
    alpha, power : float and int, default 0 and 1
        The activation ``max(x, alpha x)^power``.
    n_starts : int, default 10
        Starts of the search for each new neuron.
    max_iterations : int, default 10
        The first network of one neuron a layer, and at most this many less one neurons more.
    tol : float, default 1e-2
        Stop at this relative training error ``||y - H|| / ||y||``.
    inner : str, default "lbfgs"
        How the weights are fitted again after each neuron; see :func:`convexrelu.neuron_pursuit`.
    fit_intercept : bool, default True
        Append a column of ones to X: the network itself has no biases.
    time_limit : float or None, default 30
        Seconds after which the network so far is taken.
    random_state : int, RandomState or None
        Source of the starts.

    Attributes
    ----------
    network_ : FeedForward
        The network; it acts on X with the column of ones appended.
    result_ : PursuitResult
        How it grew.
    n_iter_ : int
        Iterations taken.
    n_features_in_ : int
        Columns of X.

    References
    ----------
    NP: docs/references.md.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> y = np.maximum(X[:, 0], 0) - np.maximum(-X[:, 1], 0)
    >>> model = NeuronPursuitRegressor(tol=1e-3, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.999
    True
    """

    def fit(self, X: Any, y: Any) -> NeuronPursuitRegressor:
        """Grow a network on the data.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) or (n, k) array_like
            Real targets.

        Returns
        -------
        NeuronPursuitRegressor
            The estimator itself.
        """
        matrix, targets = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self._pursue(matrix, np.asarray(targets, dtype=np.float64))
        return self

    def predict(self, X: Any) -> Float[np.ndarray, n * k]:
        """Return the network's values.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) or (n, k) float array
            Predictions, of the shape of the targets.
        """
        return self._outputs(X)


class NeuronPursuitClassifier(LabelsByValue, _NeuronPursuit):
    """Return a classifier that grows its network neuron by neuron on the labels +1 and -1 (NP Algorithm 1).

    K > 2 classes make K outputs, one against the rest (NP Remark 3). The loss is the squared one of the
    algorithm, so that values of the network are not probabilities. For the parameters, the other attributes
    and what it is for see :class:`NeuronPursuitRegressor`; to predict, take
    :class:`convexrelu.MaxMarginReLUClassifier` first.

    Attributes
    ----------
    classes_ : (K,) array
        The labels.

    References
    ----------
    NP: docs/references.md.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("iris-setosa-versicolor")
    >>> NeuronPursuitClassifier(max_iterations=3, random_state=0).fit(X, y).score(X, y)
    1.0
    """

    def fit(self, X: Any, y: Any) -> NeuronPursuitClassifier:
        """Grow a network on the data.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) array_like
            Labels of at least two classes.

        Returns
        -------
        NeuronPursuitClassifier
            The estimator itself.

        Raises
        ------
        InvalidInputError
            If there is one class only.
        """
        matrix, labels = validate_data(self, X, y, dtype=np.float64)
        self.classes_ = classes_of(labels)
        targets = one_vs_rest(np.searchsorted(self.classes_, labels).astype(np.float64)).Y
        self._pursue(matrix, targets[0] if len(targets) == 1 else targets.T)
        return self
