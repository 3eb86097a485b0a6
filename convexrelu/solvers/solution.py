"""What solving returns: a network, a dual variable, and the certificate that bounds P* from both sides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._status import Status, worst
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_class_labels
from convexrelu.certificates import Certificate, MultiClassCertificate
from convexrelu.networks import ReLUNetwork, TwoLayerReLU
from convexrelu.solvers.history import Round
from convexrelu.solvers.points import Proven

__all__ = ["MaxMarginSolution", "MultiClassSolution"]


class _Classifying(Proven, ABC):
    """An answer that predicts labels."""

    @abstractmethod
    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return labels as those that were trained on."""

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the share of samples whose label is predicted.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) array_like
            Their labels, as those that were trained on.

        Returns
        -------
        float
            The accuracy, between 0 and 1.

        Raises
        ------
        InvalidInputError
            If X has other columns, or y another length.
        """
        found = self.predict(X)
        return float(np.mean(found == as_class_labels(y, length=len(found))))


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxMarginSolution(_Classifying):
    """A solved binary problem.

    Attributes
    ----------
    network : TwoLayerReLU
        Margin 1 (hard margin), at most n neurons, merged and pruned.
    lam : (n,) float array
        Dual feasible (``h(lam) <= 1``, and ``y_n lam_n <= C``).
    status : Status
        "optimal" (certified gap within the tolerance), "time_limit", "interrupted", or "bounded": nothing
        more could be proven, the gap says how much is open.
    method : str
        What solved it.
    patterns : (m, n) bool array
        The activity pattern of each neuron.
    history : tuple of Round
        One entry for each round of the solver.
    certificate : Certificate
        The proof; every number here is read from it.
    classes : (2,) array
        The labels that -1 and +1 stand for.

    Examples
    --------
    >>> from convexrelu import solve_max_margin
    >>> solution = solve_max_margin([[1.65, -0.47], [-0.47, 1.35]], ["yes", "no"])
    >>> solution
    MaxMarginSolution(optimal: 1.28243222 <= P* <= 1.28243222, gap ..., 2 neurons, 2 support rows, ...)
    >>> solution.predict([[1.0, 0.0], [0.0, 1.0]]).tolist()
    ['yes', 'no']
    """

    network: TwoLayerReLU
    lam: Float[np.ndarray, " n"]
    status: Status
    method: str
    patterns: Bool[np.ndarray, "m n"]
    history: tuple[Round, ...]
    certificate: Certificate
    classes: np.ndarray = field(default_factory=lambda: np.array([-1.0, 1.0]))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return labels: the larger one where the network is positive.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) array
            Labels as those that were trained on.

        Raises
        ------
        InvalidInputError
            If X has other columns.
        """
        return np.asarray(self.classes[(self.network(X) > 0).astype(int)])

    def __repr__(self) -> str:
        return (
            f"MaxMarginSolution({self.status}: {self._in_words}, "
            f"{self.network.n_neurons} neurons, "
            f"{int(np.count_nonzero(self.lam))} support rows, {self.method})"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MultiClassSolution(_Classifying):
    """One solution for each class against the rest (WP Proposition 1); objectives and bounds are sums.

    Attributes
    ----------
    classes : (K,) array
        The labels.
    solutions : tuple of MaxMarginSolution
        In the same order.
    certificate : MultiClassCertificate
        All the proofs in one document.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    >>> from convexrelu import solve_max_margin
    >>> solution = solve_max_margin([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], ["a", "b", "c"])
    >>> round(solution.objective, 6), solution.network
    (7.242641, ReLUNetwork(n_neurons=6, n_features=3, n_outputs=3, objective=7.24264))
    >>> solution.predict([[0.0, 2.0, 1.0]]).tolist()
    ['b']
    """

    classes: np.ndarray
    solutions: tuple[MaxMarginSolution, ...]
    certificate: MultiClassCertificate

    @property
    def status(self) -> Status:
        """The worst status among the classes."""
        return worst(solution.status for solution in self.solutions)

    @property
    def network(self) -> ReLUNetwork:
        """The classes' networks as one of K outputs, which share no neuron."""
        networks = [part.network for part in self.solutions]
        K, m = len(networks), sum(network.n_neurons for network in networks)
        W2, start = np.zeros((K, m)), 0
        for row, network in zip(W2, networks, strict=True):
            row[start : start + network.n_neurons] = network.w2
            start += network.n_neurons
        return ReLUNetwork(np.vstack([network.W1 for network in networks]), W2)

    @property
    def lam(self) -> Float[np.ndarray, "K n"]:
        """The classes' dual variables, one a row."""
        return np.array([part.lam for part in self.solutions])

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the classes whose networks are largest.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) array
            Labels as those that were trained on.

        Raises
        ------
        InvalidInputError
            If X has other columns.
        """
        return np.asarray(self.classes[self.network(X).argmax(axis=1)])

    def __repr__(self) -> str:
        lines = [f"MultiClassSolution({self.status}: {self._in_words}"]
        lines += [
            f"  {label}: {solution!r}" for label, solution in zip(self.classes, self.solutions, strict=True)
        ]
        return "\n".join(lines) + ")"
