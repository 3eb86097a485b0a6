"""Training with weight decay as a regressor and as a classifier in scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from convexrelu._validation import check_positive
from convexrelu.certificates.weight_decay import weight_decay
from convexrelu.errors import InvalidInputError
from convexrelu.estimator.certified import CertifiedEstimator, Posed
from convexrelu.estimator.classifier import CertifiedClassifier, problems_of, solve_each
from convexrelu.estimator.conventions import features_of, heard
from convexrelu.estimator.prices import largest_price
from convexrelu.estimator.rows import WeightedRows
from convexrelu.losses import Loss, get_loss

__all__ = ["ReLUClassifier", "ReLURegressor"]

_LABEL_LOSSES = ("logistic", "hinge", "squared_hinge", "exponential")


class _WeightDecay(CertifiedEstimator):
    """What both share: the price of the weights, and the fit of problems that are posed."""

    _price = "alpha"

    def _train(self, rows: WeightedRows, targets: Sequence[np.ndarray], loss: Loss) -> None:
        """Solve each problem, with the mean of the loss, and keep what is found."""
        problem: dict[str, Any] = {
            "loss": loss,
            "sample_weight": rows.weights,
            "output_bias": bool(self.fit_intercept),
            "reduction": "mean",
        }
        alpha, clock = check_positive(self.alpha, "alpha"), self._clock
        problems = [weight_decay(rows.X, part, beta=1.0, **problem) for part in targets]
        if self.beta is None:
            self.beta_ = alpha * largest_price(problems)
        else:
            self.beta_ = check_positive(self.beta, "beta")
        with self._workers:
            begun = self._begun([replace(part, beta=self.beta_) for part in problems], clock)
            parts = solve_each(
                rows.X,
                targets,
                [own.network for own in begun],
                beta=self.beta_,
                **problem,
                **self._settings(clock),
            )
        self._keep(parts, rows.spread([part.lam for part in parts]), begun)


class ReLURegressor(RegressorMixin, MultiOutputMixin, _WeightDecay):  # type: ignore[misc]
    """Return a regressor that is the certified two-layer ReLU network of least loss with weight decay.

    It minimises ``sum_n s_n l(f(x_n), y_n) / sum_n s_n + beta/2 ||theta||^2`` over ReLU networks of any width
    (:func:`convexrelu.solve`), theta being the weights of both layers, and says how near the optimum the
    network is. Standardise the features first; targets may be of any scale.

    Parameters
    ----------
    loss : str or Loss, default "squared"
        "squared", "absolute", "huber", "quantile", "epsilon_insensitive" or "poisson", or an object such as
        ``losses.Huber(delta=0.5)``. Targets of several columns make several outputs that share their neurons
        (squared loss). The network of "poisson" gives the logarithm of what is predicted.
    alpha : float, default 0.03
        Price of the weights, as a share of the one from which on a constant is the best there is (as far as
        local search sees): ``beta = alpha * (that price)``, whatever the unit of the targets. The smaller it
        is, the more neurons, and the more work. Along it goes :meth:`path`, in decreasing order.
    beta : float or None
        The price itself instead: ``beta/2 ||theta||^2`` beside the mean of the loss, as torch's
        ``weight_decay`` has it.
    fit_intercept : bool, default True
        Append a column of ones to X, so that neurons have biases, which are weights like others; and add a
        constant to the output, which costs nothing.
    tol : float, default 1e-2
        Certified relative gap that is enough.
    time_limit : float or None, default 30
        Seconds of a fit at most. What ends it is its work, as much as an idle core does in about a fifth of
        that: the same data and seed give the same network on every machine, however busy. Then the best
        network is taken, with its gap.
    n_jobs : int or None
        Workers of a fit; None for what joblib's configuration says, by default all cores. The answer is the
        same for any number.
    random_state : int, RandomState or None
        Source of the local search's random starts; None gives the same answer each time.
    warm_start : bool, default False
        Begin a fit with the network of the one before, where there is one of the same size.
    verbose : bool, default False
        Show both bounds closing in.

    Attributes
    ----------
    network_ : ReLUNetwork or TwoLayerReLU
        It acts on X with the column of ones; the former has the constant.
    certificate_ : RegularizedCertificate
        The proof; :meth:`check_certificate` recomputes it.
    beta_ : float
        The price of the weights.
    lam_ : (n,) or (n, K) float array
        Dual variable of each sample.
    objective_, lower_bound_ : float
        The optimal value lies between them.
    gap_ : float
        ``(objective_ - lower_bound_) / objective_``.
    n_neurons_ : int
        Neurons.
    status_ : Status
        "optimal" (the gap is within the tolerance), "time_limit", "bounded" or "interrupted".
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : (d,) array
        Their names, if X has any.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> y = 100.0 + 20.0 * np.abs(X[:, 0])
    >>> model = ReLURegressor(alpha=0.01).fit(X, y)
    >>> model.score(X, y) > 0.99, model.n_neurons_, model.gap_ < 0.01
    (True, 2, True)
    """

    # By scikit-learn's contract a parameter of any kind can be set, and `fit` says what is wrong with it.
    def __init__(
        self,
        loss: Any = "squared",
        *,
        alpha: Any = 0.03,
        beta: Any = None,
        fit_intercept: Any = True,
        tol: Any = 1e-2,
        time_limit: Any = 30.0,
        n_jobs: Any = None,
        random_state: Any = None,
        warm_start: Any = False,
        verbose: Any = False,
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.beta = beta
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.time_limit = time_limit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    @heard
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ReLURegressor:
        """Train on the data, to a certified gap.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) or (n, K) array_like
            Real targets.
        sample_weight : (n,) array_like or None
            The s_n, at least zero.

        Returns
        -------
        ReLURegressor
            The estimator itself.

        Raises
        ------
        InvalidInputError
            If an argument is not what it must be.
        """
        rows = self._targeted(X, y, sample_weight)
        self._train(rows, (rows.y,), self._loss(rows.y))
        return self

    def predict(self, X: Any) -> Float[np.ndarray, "n ..."]:
        """Return the predictions.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) or (n, K) float array
            The network's values, of the shape of the targets; with the loss "poisson" their exponentials.
        """
        values = self._outputs(X)
        values = np.exp(values) if get_loss(self.loss).name == "poisson" else values
        return values.reshape((len(values), *self._shape))

    def _targeted(self, X: Any, y: Any, sample_weight: Any) -> WeightedRows:
        matrix, given = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        targets = np.asarray(given, dtype=np.float64)
        self._shape = targets.shape[1:]
        if self._shape == (1,):
            targets = targets[:, 0]  # one column is one output
        weights = self._weights(sample_weight, matrix)
        return WeightedRows.of(features_of(matrix, self.fit_intercept), targets, weights)

    def _loss(self, targets: Float[np.ndarray, "m ..."]) -> Loss:
        loss = get_loss(self.loss)
        if targets.ndim == 2 and loss.name == "square":
            loss = get_loss("multi_squared")
        if loss.takes_labels or loss.name == "softmax" or loss.vector != (targets.ndim == 2):
            raise InvalidInputError(
                f"loss must be one of real targets of {targets.ndim} dimension(s), got {loss.name!r}"
            )
        return loss

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed:
        rows = self._targeted(X, y, sample_weight)
        return Posed(X=rows.X, targets=(rows.y,))


def _is_logistic(estimator: ReLUClassifier) -> bool:
    if estimator.loss != "logistic":
        raise AttributeError(f"probabilities are for the loss 'logistic', got {estimator.loss!r}")
    return True


class ReLUClassifier(CertifiedClassifier, _WeightDecay):
    """Return a classifier that is the certified two-layer ReLU network of least loss with weight decay.

    It minimises ``sum_n s_n l(f(x_n), y_n) / sum_n s_n + beta/2 ||theta||^2`` over ReLU networks of any width
    (:func:`convexrelu.solve`): logistic regression with neurons. Its probabilities are calibrated as those
    are. Standardise the features first.

    Parameters
    ----------
    loss : str, default "logistic"
        "logistic": for K > 2 classes multinomial, one network of K outputs that share the neurons. "hinge",
        "squared_hinge" and "exponential": one network for each class against the rest, without probabilities.
    alpha : float, default 0.03
        Price of the weights, as a share of the one from which on no neuron is worth it where the outputs are
        zero; see :class:`ReLURegressor`. Along it goes :meth:`path`, in decreasing order.
    beta : float or None
        The price itself instead.
    fit_intercept : bool, default True
        Append a column of ones to X, so that neurons have biases, which are weights like others; and add a
        constant to each output, which costs nothing.
    class_weight : dict, "balanced" or None
        Weights of the classes, in addition to those of the samples.
    tol, time_limit, n_jobs, random_state, warm_start, verbose
        See :class:`ReLURegressor`.

    Attributes
    ----------
    classes_ : (K,) array
        The labels.
    network_, certificate_
        One, or tuples of K where there is one network for each class.
    beta_, lam_, objective_, lower_bound_, gap_, n_neurons_, status_, n_features_in_, feature_names_in_
        See :class:`ReLURegressor`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> X = StandardScaler().fit_transform(X)
    >>> model = ReLUClassifier().fit(X[::2], y[::2])
    >>> int(model.predict_proba(X[:1]).argmax()), model.score(X[1::2], y[1::2]) > 0.9
    (0, True)
    """

    # By scikit-learn's contract a parameter of any kind can be set, and `fit` says what is wrong with it.
    def __init__(
        self,
        loss: Any = "logistic",
        *,
        alpha: Any = 0.03,
        beta: Any = None,
        fit_intercept: Any = True,
        class_weight: Any = None,
        tol: Any = 1e-2,
        time_limit: Any = 30.0,
        n_jobs: Any = None,
        random_state: Any = None,
        warm_start: Any = False,
        verbose: Any = False,
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.beta = beta
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.time_limit = time_limit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    @heard
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ReLUClassifier:
        """Train on the data, to a certified gap.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) array_like
            Labels of at least two classes.
        sample_weight : (n,) array_like or None
            The s_n, at least zero.

        Returns
        -------
        ReLUClassifier
            The estimator itself.

        Raises
        ------
        InvalidInputError
            If there is one class only, or an argument is not what it must be.
        """
        rows = self._labelled(X, y, sample_weight)
        self._train(rows, *self._problems(rows))
        return self

    @available_if(_is_logistic)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Float[np.ndarray, "n K"]:
        """Return the probability of each class (loss "logistic").

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n, K) float array
            Rows add up to one.
        """
        values = self._outputs(X)
        if values.ndim == 1:
            return np.column_stack([expit(-values), expit(values)])
        return np.asarray(softmax(values, axis=1))

    @available_if(_is_logistic)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Float[np.ndarray, "n K"]:
        """Return the logarithms of the probabilities (loss "logistic").

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n, K) float array
            As precise where a probability is tiny.
        """
        values = self._outputs(X)
        if values.ndim == 1:
            return np.column_stack([log_expit(-values), log_expit(values)])
        return np.asarray(log_softmax(values, axis=1))

    def _problems(self, rows: WeightedRows) -> tuple[tuple[np.ndarray, ...], Loss]:
        """The targets of each problem, and their loss."""
        if self.loss not in _LABEL_LOSSES:
            raise InvalidInputError(f"loss must be one of {', '.join(_LABEL_LOSSES)}, got {self.loss!r}")
        if self.loss == "logistic" and len(self.classes_) > 2:
            return (rows.y,), get_loss("softmax")
        return problems_of(rows.y), get_loss(self.loss)

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed:
        rows = self._labelled(X, y, sample_weight)
        return Posed(X=rows.X, targets=self._problems(rows)[0])
