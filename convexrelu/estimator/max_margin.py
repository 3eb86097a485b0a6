"""Max-margin training as a classifier in scikit-learn's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from convexrelu._validation import as_penalty
from convexrelu.certificates.weight_decay import WeightDecay, weight_decay
from convexrelu.errors import InvalidInputError
from convexrelu.estimator.certified import Posed, two_layer
from convexrelu.estimator.classifier import CertifiedClassifier, problems_of, solve_each
from convexrelu.estimator.conventions import heard
from convexrelu.estimator.rows import WeightedRows
from convexrelu.solvers import MaxMarginSolution, MultiClassSolution, Solution, solve_max_margin

__all__ = ["MaxMarginReLUClassifier"]

# Of the best on held-out samples of iris, wine, breast cancer, moons, and classification in ten dimensions at
# once: each alone has its best within a factor of three.
_SCALE = 0.5


class MaxMarginReLUClassifier(CertifiedClassifier):
    """Return a classifier that is the certified max-margin network of two layers.

    It minimises ``||theta||^2/2 + C sum_n s_n (1 - y_n f(x_n))_+`` over ReLU networks of any width
    (:func:`convexrelu.solve_max_margin`), and says how near the optimum the network is. K > 2 classes make K
    networks, one class against the rest (WP section 2). Standardise the features first: the price of the
    weights is one for all of them.

    Parameters
    ----------
    C : float or "scale", default "scale"
        Price of slack, summed over the samples; inf is the hard margin, which refuses data that no network
        fits. The smaller it is, the fewer neurons, and the less work. "scale" is 0.5 over the root mean
        square length of the rows that the network acts on, so that the answer does not depend on their unit:
        0.15 for ten standardised features. Along it goes :meth:`path`, in increasing order.
    fit_intercept : bool, default True
        Append a column of ones to X: neurons then have biases, which are weights like others.
    class_weight : dict, "balanced" or None
        Weights of the classes, in addition to those of the samples.
    tol : float, default 1e-2
        Certified relative gap that is enough.
    time_limit : float or None, default 30
        Seconds of a fit at most. What ends it is its work, as much as an idle core does in about a fifth of
        that: the same data and seed give the same network on every machine, however busy. Then the best
        network is taken, with its gap. With C = inf the seconds alone end a fit.
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
    classes_ : (K,) array
        The labels.
    network_ : TwoLayerReLU, or tuple of K
        It acts on X with the column of ones. For K > 2 classes one each, in order.
    certificate_ : Certificate or RegularizedCertificate, or tuple of K
        The proof; :meth:`check_certificate` recomputes it. The second kind where weights of samples are no
        multiples of each other: the loss is then the hinge loss, at the price 1 of the network's weights.
    C_ : float
        The price of slack.
    lam_ : (n,) or (K, n) float array
        Dual variable of each sample: zero for those that do not matter.
    objective_, lower_bound_ : float
        The optimal value lies between them; sums over the classes.
    gap_ : float
        ``(objective_ - lower_bound_) / objective_``.
    n_neurons_ : int
        Neurons, of all networks together.
    status_ : Status
        "optimal" (the gap is within the tolerance), "time_limit", "bounded" or "interrupted".
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : (d,) array
        Their names, if X has any.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MaxMarginReLUClassifier()).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2]) > 0.9, model[-1].gap_ < 0.01
    (True, True)
    """

    _price = "C"

    # By scikit-learn's contract a parameter of any kind can be set, and `fit` says what is wrong with it.
    def __init__(
        self,
        C: Any = "scale",
        *,
        fit_intercept: Any = True,
        class_weight: Any = None,
        tol: Any = 1e-2,
        time_limit: Any = 30.0,
        n_jobs: Any = None,
        random_state: Any = None,
        warm_start: Any = False,
        verbose: Any = False,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.time_limit = time_limit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    @heard
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MaxMarginReLUClassifier:
        """Train on the data, to a certified gap.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) array_like
            Labels of at least two classes.
        sample_weight : (n,) array_like or None
            The s_n, at least zero; a sample of weight k counts as k samples.

        Returns
        -------
        MaxMarginReLUClassifier
            The estimator itself.

        Raises
        ------
        InvalidInputError
            If there is one class only, or an argument is not what it must be.
        InfeasibleError
            If C is inf and no network fits the labels.
        """
        rows = self._labelled(X, y, sample_weight)
        self.C_ = self._penalty(rows)
        copies = _copies(rows, self.C_)
        with self._workers:
            if copies is None:
                self._fit_weighted(rows, self.C_)
            else:
                self._fit_copies(rows, copies, self.C_)
        return self

    def _penalty(self, rows: WeightedRows) -> float:
        if not isinstance(self.C, str):
            return as_penalty(self.C)
        if self.C != "scale":
            raise InvalidInputError(f"C must be a positive number or 'scale', got {self.C!r}")
        length = float(np.sqrt(np.average(np.square(rows.X).sum(axis=1), weights=rows.weights)))
        return _SCALE / length if length > 0 else 1.0

    def _fit_copies(self, rows: WeightedRows, copies: Int[np.ndarray, " c"], penalty: float) -> None:
        """Solve with rows of one weight, some of them given several times."""
        clock = self._clock
        hard = np.isinf(penalty)
        begun = None if hard else self._begun(_hinges(rows, penalty), clock)
        before = self._before(len(problems_of(rows.y)), rows.X.shape[1])
        solution = solve_max_margin(
            rows.X[copies],
            rows.y[copies],
            C=penalty * float(rows.weights.min()),
            start=two_layer(before if begun is None else [own.network for own in begun]),
            **self._settings(clock),
        )
        parts: tuple[MaxMarginSolution, ...] = (
            solution.solutions if isinstance(solution, MultiClassSolution) else (solution,)
        )
        lams = [np.bincount(copies, weights=part.lam, minlength=len(rows.X)) for part in parts]
        self._keep(parts, rows.spread(lams), begun)

    def _fit_weighted(self, rows: WeightedRows, penalty: float) -> None:
        """Solve with a weight for each row: the hinge loss at the price 1 of the weights."""
        clock = self._clock
        begun = self._begun(_hinges(rows, penalty), clock)
        parts: list[Solution] = solve_each(
            rows.X,
            problems_of(rows.y),
            [own.network for own in begun],
            loss="hinge",
            beta=1.0,
            sample_weight=penalty * rows.weights,
            **self._settings(clock),
        )
        self._keep(parts, rows.spread([part.lam for part in parts]), begun)

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed:
        rows = self._labelled(X, y, sample_weight)
        copies = _copies(rows, self._penalty(rows))
        chosen = np.arange(len(rows.X)) if copies is None else copies
        return Posed(X=rows.X[chosen], targets=problems_of(rows.y[chosen]))


def _hinges(rows: WeightedRows, penalty: float) -> list[WeightDecay]:
    """The problems with a finite price of slack, as training with weight decay."""
    return [
        weight_decay(rows.X, labels, loss="hinge", beta=1.0, sample_weight=penalty * rows.weights)
        for labels in problems_of(rows.y)
    ]


def _copies(rows: WeightedRows, penalty: float) -> Int[np.ndarray, " c"] | None:
    """The rows to give to the solver, each once for a hard margin, which has no use for weights."""
    return np.arange(len(rows.X)) if np.isinf(penalty) else rows.copies()
