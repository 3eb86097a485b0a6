"""A path of soft margins: one data set, many prices of slack, each solution the start of the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu._clock import Clock
from convexrelu._status import Status
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_class_labels, as_generator, as_matrix, as_penalty, check_seconds
from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.solvers.max_margin import solve_max_margin
from convexrelu.solvers.points import Path
from convexrelu.solvers.solution import MaxMarginSolution, MultiClassSolution

__all__ = ["MaxMarginPath", "max_margin_path"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxMarginPath(Path[MaxMarginSolution | MultiClassSolution]):
    """Solutions for several prices of slack; iterating over it gives them in order.

    Attributes
    ----------
    Cs : (q,) float array
        The prices.
    points : tuple of q MaxMarginSolution, or MultiClassSolution for K > 2 classes
        Each with its own certificate.
    classes : (K,) array
        The labels, in increasing order.

    Examples
    --------
    >>> from convexrelu import max_margin_path
    >>> path = max_margin_path([[1.65, -0.47], [-0.47, 1.35]], [1, -1], [0.1, 10.0])
    >>> [round(solution.objective, 6) for solution in path.points]
    [0.2, 1.282432]
    """

    Cs: Float[np.ndarray, " q"]
    points: tuple[MaxMarginSolution | MultiClassSolution, ...]
    classes: np.ndarray

    @property
    def n_neurons(self) -> Int[np.ndarray, " q"]:
        """The numbers of neurons, those of all classes together."""
        return np.array([sum(network.n_neurons for network in _networks(point)) for point in self.points])

    def accuracies(self, X: ArrayLike, y: ArrayLike) -> Float[np.ndarray, " q"]:
        """Return the share of rows that each network, or the strongest of K > 2 classes, labels rightly.

        Parameters
        ----------
        X : (n, d) array_like
            Rows: those of the path, or others with the same columns.
        y : (n,) array_like
            Their labels, of the same classes.

        Returns
        -------
        (q,) float array
            One share for each price. A value of 0 counts as the smaller label.

        Raises
        ------
        InvalidInputError
            If X has other columns than the path's data, or y is not one of its labels for each row.
        """
        matrix = as_matrix(X, columns=_networks(self.points[0])[0].n_features)
        labels = as_class_labels(y, length=len(matrix))
        unknown = np.setdiff1d(labels, self.classes)
        if len(unknown):
            raise InvalidInputError(f"y must hold labels of the path's data, got also {unknown[:5]}")
        shares = []
        for point in self.points:
            values = np.array([network(matrix) for network in _networks(point)])
            chosen = values.argmax(axis=0) if len(values) > 1 else (values[0] > 0).astype(np.int64)
            shares.append(float((self.classes[chosen] == labels).mean()))
        return np.array(shares)

    def __repr__(self) -> str:
        return self._listed("slack", "C", self.Cs, [str(point.status) for point in self.points])


def _networks(point: MaxMarginSolution | MultiClassSolution) -> list[TwoLayerReLU]:
    parts = point.solutions if isinstance(point, MultiClassSolution) else (point,)
    return [part.network for part in parts]


def max_margin_path(
    X: ArrayLike,
    y: ArrayLike,
    Cs: ArrayLike,
    *,
    tol: float = 1e-6,
    time_limit: float | None = None,
    rng: RNGLike = None,
    progress: bool = False,
) -> MaxMarginPath:
    """Return the max-margin networks for several prices of slack, each certified.

    Every point is what :func:`solve_max_margin` returns for its C, begun with the network of the point before
    it: give the prices in order, cheap slack first.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    y : (n,) array_like
        Labels, as in :func:`solve_max_margin`.
    Cs : (q,) array_like
        Prices of slack, positive; inf is the hard margin.
    tol : float, default 1e-6
        Certified relative gap at which a point is "optimal". A path is mostly looked at: 1e-2 takes a
        fraction of the time.
    time_limit : float or None
        Seconds for the whole path. Each point may use its share of what is left.
    rng : int, Generator or None
        As in :func:`solve_max_margin`.
    progress : bool, default False
        Show both bounds closing in, point by point.

    Returns
    -------
    MaxMarginPath
        One solution for each price; after Ctrl-C only those until then.

    Raises
    ------
    InvalidInputError
        If Cs is not a vector of positive numbers, or an argument is not what it must be.
    InfeasibleError, SolverError
        As :func:`solve_max_margin`.

    Examples
    --------
    >>> path = max_margin_path([[1.0, 0.2], [-0.2, 1.0], [0.9, 0.3]], [1, -1, 1], [0.1, 1.0, 10.0])
    >>> [round(value, 3) for value in path.objectives.tolist()]
    [0.3, 2.046, 2.051]
    """
    prices = np.asarray(Cs, dtype=object)
    if prices.ndim != 1 or not len(prices):
        raise InvalidInputError(f"Cs must be a vector of at least one price, got shape {prices.shape}")
    values = [as_penalty(C) for C in prices]
    clock = Clock(limit=check_seconds(time_limit))
    sources = as_generator(0 if rng is None else rng).spawn(len(values))
    points: list[MaxMarginSolution | MultiClassSolution] = []
    start: list[TwoLayerReLU] | None = None
    for k, C in enumerate(values):
        seconds = None if time_limit is None else max(clock.left / (len(values) - k), 1e-3)
        point = solve_max_margin(
            X, y, C=C, tol=tol, start=start, time_limit=seconds, rng=sources[k], progress=progress
        )
        points.append(point)
        if point.status == Status.INTERRUPTED:
            break
        start = _networks(point)
    classes = np.unique(as_class_labels(y, length=len(as_matrix(X))))
    if len(classes) == 1:  # it is +1 or -1
        classes = np.array([-1.0, 1.0])
    return MaxMarginPath(Cs=np.array(values[: len(points)]), points=tuple(points), classes=classes)
