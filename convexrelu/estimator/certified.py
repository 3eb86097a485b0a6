"""What the certified estimators share: settings, fitted attributes, paths over the price of the weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float
from joblib import parallel_config
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from convexrelu._clock import Clock
from convexrelu._status import worst
from convexrelu._validation import check_seconds
from convexrelu.certificates import Certificate, RegularizedCertificate
from convexrelu.certificates.bounds import relative_gap
from convexrelu.certificates.regularized import check_network
from convexrelu.certificates.weight_decay import Decayed, WeightDecay
from convexrelu.errors import InvalidInputError
from convexrelu.estimator.conventions import CallbackSupportMixin, features_of, seed_of
from convexrelu.estimator.descent import descended
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers import MaxMarginSolution, Solution

__all__ = ["Begun", "CertifiedEstimator", "PathScores", "Posed", "two_layer"]

AnyCertificate = Certificate | RegularizedCertificate

# The work of a fit, as a share of its time limit: on a machine that is five times as slow or as busy the
# search still ends where it does on an idle one. And descent's part of that work.
WORK_SHARE, _DESCENT_SHARE = 0.2, 0.3
_LEAST_SECONDS = 1e-3  # for a solver, which wants a positive number, where descent took all

E = TypeVar("E", bound="CertifiedEstimator")


@dataclass(frozen=True, kw_only=True, eq=False)
class Posed:
    """The problems that an estimator solves: one, or one for each class against the rest.

    Attributes
    ----------
    X : (m, d) float array
        Their rows.
    targets : tuple of arrays
        Each problem's, of m rows.
    """

    X: Float[np.ndarray, "m d"]
    targets: tuple[np.ndarray, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class PathScores:
    """Scores on held-out samples along a path.

    Attributes
    ----------
    parameter : str
        What changes along the path.
    values : (q,) float array
        Its values.
    scores : (q, folds) float array
        The score of each value on each fold.
    """

    parameter: str
    values: Float[np.ndarray, " q"]
    scores: Float[np.ndarray, "q f"]

    @property
    def means(self) -> Float[np.ndarray, " q"]:
        """The mean score of each value."""
        return np.asarray(self.scores.mean(axis=1))

    @property
    def best(self) -> float:
        """The value of the best mean score; the first one of several."""
        return float(self.values[int(np.argmax(self.means))])

    def __repr__(self) -> str:
        lines = [
            f"  {self.parameter} = {value:g}: {row.mean():.4f} +- {row.std():.4f}"
            for value, row in zip(self.values, self.scores, strict=True)
        ]
        return "\n".join([f"PathScores({self.scores.shape[1]} folds", *lines]) + ")"


@dataclass(frozen=True, eq=False)
class Begun:
    """A network that a fit begins with.

    Attributes
    ----------
    problem : WeightDecay
        What is solved.
    network : TwoLayerReLU or ReLUNetwork
        Any; a good one saves time.
    """

    problem: WeightDecay
    network: Decayed

    def best(self, found: AnyCertificate) -> AnyCertificate:
        """Return the certificate, or that of this network by the same multipliers if it is better."""
        if not self.problem.objective(self.network) < found.objective:
            return found
        if isinstance(found, RegularizedCertificate):
            return found.rejudged(self.network, None)
        if not isinstance(self.network, TwoLayerReLU):
            return found
        return found.rejudged(self.network, TwoLayerReLU(np.zeros((0, self.network.n_features)), np.zeros(0)))


class CertifiedEstimator(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose network comes with a certificate of how near the optimum it is."""

    _price: ClassVar[str]  # the parameter that a path goes along

    @property
    def _clock(self) -> Clock:
        """A clock of the seconds of a fit."""
        return Clock(limit=float(check_seconds(self.time_limit)))

    def _settings(self, clock: Clock) -> dict[str, Any]:
        """What every solver is told."""
        return {
            "tol": self.tol,
            "time_limit": None if np.isinf(clock.limit) else max(clock.left, _LEAST_SECONDS),
            "work_limit": None if np.isinf(clock.limit) else (1 - _DESCENT_SHARE) * WORK_SHARE * clock.limit,
            "rng": None if self.random_state is None else seed_of(self.random_state),
            "progress": bool(self.verbose),
        }

    @property
    def _workers(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.n_jobs is None else parallel_config(n_jobs=self.n_jobs)

    def _weights(self, sample_weight: Any, X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """The weights given, at least zero and one of them positive; ones by default."""
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weights.any():  # older versions of scikit-learn let them pass
            raise InvalidInputError("sample_weight must not be zero for all samples")
        return np.array(weights)

    def _before(self, n_problems: int, n_features: int) -> list[Decayed] | None:
        """The networks of the fit before, where they are to be begun with and fit the problems."""
        if not (self.warm_start and hasattr(self, "network_")):
            return None
        networks = list(self.network_) if isinstance(self.network_, tuple) else [self.network_]
        fits = len(networks) == n_problems and all(part.n_features == n_features for part in networks)
        return networks if fits else None

    def _begun(self, problems: Sequence[WeightDecay], clock: Clock) -> list[Begun]:
        """A network for each problem to begin with: that of the fit before, or what descent comes to."""
        before = self._before(len(problems), problems[0].X.shape[1])
        if before is not None:
            with suppress(InvalidInputError):  # it has other outputs
                for problem, network in zip(problems, before, strict=True):
                    check_network(problem, network)
                return [Begun(problem, network) for problem, network in zip(problems, before, strict=True)]
        work = _DESCENT_SHARE * WORK_SHARE * clock.limit / len(problems)
        return [Begun(problem, descended(problem, work=work, clock=clock)) for problem in problems]

    def _keep(
        self,
        parts: Sequence[MaxMarginSolution | Solution],
        lam: np.ndarray,
        begun: Sequence[Begun] | None = None,
    ) -> None:
        """Set the attributes that say what was found; `lam` is that of the samples given.

        Where a search was cut off before it came to a network as good as it began with, that one is taken.
        """
        certificates = [part.certificate for part in parts]
        if begun is not None:
            certificates = [own.best(found) for own, found in zip(begun, certificates, strict=True)]
        networks = [found.network for found in certificates]
        single = len(parts) == 1
        self.network_ = networks[0] if single else tuple(networks)
        self.certificate_ = certificates[0] if single else tuple(certificates)
        self.lam_ = lam
        self.objective_ = float(sum(found.objective for found in certificates))
        self.lower_bound_ = float(sum(found.lower_bound for found in certificates))
        self.gap_ = max(relative_gap(self.objective_, self.lower_bound_), 0.0)
        self.n_neurons_ = int(sum(network.n_neurons for network in networks))
        self.status_ = worst(part.status for part in parts)

    def _outputs(self, X: Any) -> Float[np.ndarray, "n ..."]:
        """The network's values on unchecked data; of several networks one a column."""
        check_is_fitted(self)
        matrix = validate_data(self, X, reset=False, dtype=np.float64)
        features = features_of(matrix, self.fit_intercept)
        if isinstance(self.network_, tuple):
            return np.column_stack([network(features) for network in self.network_])
        return np.asarray(self.network_(features))

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed:
        raise NotImplementedError

    def check_certificate(self, X: Any, y: Any, sample_weight: Any = None) -> bool:
        """Recompute the certificate from the data of the fit.

        ``certificate_`` is about the features (with the column of ones), equal samples taken together in a
        fixed order; this takes the data as it was given to `fit`.

        Parameters
        ----------
        X : (n, d) array_like
            The samples of the fit.
        y : (n,) or (n, K) array_like
            Their targets.
        sample_weight : (n,) array_like or None
            Their weights.

        Returns
        -------
        bool
            True.

        Raises
        ------
        CertificateError
            If anything does not hold.
        """
        check_is_fitted(self)
        posed = clone(self)._pose(X, y, sample_weight)
        certificates = self.certificate_ if isinstance(self.certificate_, tuple) else (self.certificate_,)
        if len(certificates) != len(posed.targets):
            raise InvalidInputError(
                f"y must make {len(certificates)} problem(s), as in the fit, got {len(posed.targets)}"
            )
        for part, targets in zip(certificates, posed.targets, strict=True):
            part.check(posed.X, targets)
        return True

    def path(self: E, X: Any, y: Any, values: Any, sample_weight: Any = None) -> tuple[E, ...]:
        """Return fitted estimators for several prices, each begun with the network of the one before.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) or (n, K) array_like
            Their targets.
        values : (q,) array_like
            Values of the price (see the class), in order: begin where networks are small.
        sample_weight : (n,) array_like or None
            Their weights.

        Returns
        -------
        tuple of q estimators
            Each with its own certificate. `time_limit` is each one's.
        """
        model = clone(self).set_params(warm_start=True)
        points: list[E] = []
        for value in self._values(values):
            model.set_params(**{self._price: value})
            model.fit(X, y, sample_weight=sample_weight)
            points.append(copy.copy(model).set_params(warm_start=self.warm_start))
        return tuple(points)

    def cross_validate(
        self, X: Any, y: Any, values: Any, *, cv: Any = None, sample_weight: Any = None
    ) -> PathScores:
        """Return the scores of several prices on held-out samples, with one path for each fold.

        What it costs is a path a fold: less than a fit for each value and fold, as
        :class:`sklearn.model_selection.GridSearchCV` makes them.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) or (n, K) array_like
            Their targets.
        values : (q,) array_like
            As in :meth:`path`.
        cv : int, splitter or None
            The folds, as scikit-learn takes them; None for five.
        sample_weight : (n,) array_like or None
            Weights of the samples, in the fits and in the scores.

        Returns
        -------
        PathScores
            Fit again with the best: ``set_params(C=scores.best).fit(X, y)``.
        """
        prices = self._values(values)
        columns = []
        for train, test in check_cv(cv, y, classifier=is_classifier(self)).split(X, y):
            Xs, ys, ws = (
                [None if part is None else _safe_indexing(part, rows) for rows in (train, test)]
                for part in (X, y, sample_weight)
            )
            points = self.path(Xs[0], ys[0], prices, sample_weight=ws[0])
            columns.append([point.score(Xs[1], ys[1], sample_weight=ws[1]) for point in points])
        return PathScores(parameter=self._price, values=np.array(prices), scores=np.array(columns).T)

    def _values(self, values: Any) -> list[float]:
        prices = np.asarray(values, dtype=np.float64)
        if prices.ndim != 1 or not len(prices):
            raise InvalidInputError(
                f"values must be a vector of at least one {self._price}, got shape {prices.shape}"
            )
        return [float(value) for value in prices]


def two_layer(networks: Sequence[Decayed] | None) -> list[TwoLayerReLU] | None:
    """Return networks as max-margin training takes them to start from."""
    if networks is None or not all(isinstance(part, TwoLayerReLU) for part in networks):
        return None
    return [part for part in networks if isinstance(part, TwoLayerReLU)]
