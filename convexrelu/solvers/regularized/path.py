"""The price of the weights: from which one on the zero network is optimal, and solutions below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._status import Status
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_data, as_generator, as_vector, check_seconds
from convexrelu.certificates.regularized import norm_of
from convexrelu.certificates.weight_decay import Decayed, OutputBias, WeightDecay, weight_decay
from convexrelu.errors import InvalidInputError
from convexrelu.losses import Loss
from convexrelu.oracle import DualNorm
from convexrelu.solvers.points import Path
from convexrelu.solvers.regularized.solve import Solution, solve

__all__ = ["SolutionPath", "beta_max", "solution_path"]

_FITTED = 1e-9  # relative gap to which an affine part is fitted where there are no neurons
_DEARER = 10.0  # factor of a price at which neurons were still worth it


def beta_max(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss,
    sample_weight: ArrayLike | None = None,
    output_bias: OutputBias = False,
    skip: bool = False,
    gates: ArrayLike | None = None,
    reduction: str = "sum",
    tol: float = 1e-9,
    time_limit: float | None = None,
) -> DualNorm:
    """Return the price of the weights from which on no neuron is worth it: ``h(-s l'(f0, y))``.

    f0 is zero, or, with an output bias or a linear part, the best outputs that these have alone.

    Parameters
    ----------
    X, y, loss, sample_weight, output_bias, skip, gates, reduction
        As in :func:`solve`; what a penalised bias contributes depends on beta itself, so that there is no
        such number for it.
    tol : float, default 1e-9
        Relative tolerance of the oracle. A loss with a kink at zero has several derivatives there; the one
        taken may make the bound larger than it need be.
    time_limit : float or None
        Seconds.

    Returns
    -------
    DualNorm
        For ``beta >= upper_bound`` a network without neurons is optimal, for ``beta < value`` it is not if
        the loss has a derivative at f0.

    Raises
    ------
    InvalidInputError
        If an argument is not what it must be.

    Examples
    --------
    >>> beta_max([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], loss="squared").value
    5.0
    >>> beta_max([[1.0], [2.0]], [3.0, 5.0], loss="squared", output_bias=True).value
    1.0
    """
    if output_bias not in (False, True):
        raise InvalidInputError(f"output_bias must be False or True for beta_max, got {output_bias!r}")
    clock = Clock(limit=float(check_seconds(time_limit)))
    problem = weight_decay(
        X,
        y,
        loss=loss,
        beta=1.0,
        sample_weight=sample_weight,
        output_bias=output_bias,
        skip=skip,
        gates=gates,
        reduction=reduction,
    )
    lam = problem.multipliers(np.zeros(problem.y.shape))
    if problem.free.shape[1]:
        lam = _without_neurons(problem, y, float(np.linalg.norm(lam) * np.linalg.norm(problem.X)), clock)
    left = None if time_limit is None else max(clock.left, 1e-3)
    return norm_of(problem, lam, tol=tol, time_limit=left)


def _without_neurons(
    problem: WeightDecay, y: ArrayLike, size: float, clock: Clock
) -> Float[np.ndarray, "n ..."]:
    """Return the multipliers of the best affine part: those at a price of the weights that no neuron pays."""
    beta = max(size, np.finfo(float).tiny)
    while True:
        found = solve(
            problem.X,
            y,
            loss=problem.loss,
            beta=beta,
            sample_weight=problem.weights,
            output_bias=problem.output_bias,
            skip=problem.skip,
            gates=problem.gates,
            tol=_FITTED,
            time_limit=None if np.isinf(clock.limit) else max(clock.left, 1e-3),
        )
        if not found.network.n_neurons or clock.expired():
            return found.lam
        beta *= _DEARER


@dataclass(frozen=True, kw_only=True, eq=False)
class SolutionPath(Path[Solution]):
    """Solutions for several prices of the weights; iterating over it gives them in order.

    Attributes
    ----------
    betas : (q,) float array
        The prices.
    points : tuple of q Solution
        Each with its own certificate.

    Examples
    --------
    >>> from convexrelu import solution_path
    >>> path = solution_path([[1.0, 0.5], [-0.3, 1.0]], [1.0, 2.0], loss="squared", betas=[0.1, 0.2])
    >>> [solution.status for solution in path.points]
    ['optimal', 'optimal']
    """

    betas: Float[np.ndarray, " q"]
    points: tuple[Solution, ...]

    def margin_objectives(self, X: ArrayLike, y: ArrayLike) -> Float[np.ndarray, " q"]:
        """Return the objective of each network at margin 1: of the logistic loss it tends to the hard P*.

        Parameters
        ----------
        X : (n, d) array_like
            The data.
        y : (n,) array_like
            Labels +1 and -1.

        Returns
        -------
        (q,) float array
            ``sum_i ||u_i|| / min_n y_n f(x_n)``; inf where a network does not fit all labels.
        """
        matrix, labels = as_data(X, y)
        margins = np.array([float((labels * point.network(matrix)).min()) for point in self.points])
        sizes = np.array([point.network.group_norm() for point in self.points])
        return np.where(margins > 0, sizes / np.where(margins > 0, margins, 1.0), np.inf)

    def __repr__(self) -> str:
        words = [f"{point.status}, {point.network.n_neurons} neurons" for point in self.points]
        return self._listed("the weights", "beta", self.betas, words)


def solution_path(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss,
    betas: ArrayLike,
    sample_weight: ArrayLike | None = None,
    output_bias: OutputBias = False,
    skip: bool = False,
    gates: ArrayLike | None = None,
    reduction: str = "sum",
    tol: float = 1e-6,
    time_limit: float | None = None,
    rng: RNGLike = None,
    progress: bool = False,
) -> SolutionPath:
    """Return the solutions for several prices of the weights, each certified.

    Every point is what :func:`solve` returns for its beta, begun with the network of the point before it:
    give the prices in order, high ones first.

    Parameters
    ----------
    X, y, loss, sample_weight, output_bias, skip, gates, reduction
        As in :func:`solve`.
    betas : (q,) array_like
        Prices of the weights, positive.
    tol : float, default 1e-6
        Certified relative gap at which a point is "optimal".
    time_limit : float or None
        Seconds for the whole path. Each point may use its share of what is left.
    rng : int, Generator or None
        As in :func:`solve`.
    progress : bool, default False
        Show both bounds closing in, point by point.

    Returns
    -------
    SolutionPath
        One solution for each price; after Ctrl-C only those until then.

    Raises
    ------
    InvalidInputError
        If betas is not a vector of positive numbers, or an argument is not what it must be.

    Examples
    --------
    >>> path = solution_path([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], loss="squared", betas=[6.0, 1.0])
    >>> [point.network.n_neurons for point in path]
    [0, 1]
    """
    prices = as_vector(betas, "betas")
    if not len(prices) or not (prices > 0).all():
        raise InvalidInputError(f"betas must be positive, and at least one, got {prices.tolist()[:6]}")
    clock = Clock(limit=float(check_seconds(time_limit)))
    sources = as_generator(0 if rng is None else rng).spawn(len(prices))
    points: list[Solution] = []
    start: Decayed | None = None
    for k, beta in enumerate(prices):
        point = solve(
            X,
            y,
            loss=loss,
            beta=float(beta),
            sample_weight=sample_weight,
            output_bias=output_bias,
            skip=skip,
            gates=gates,
            reduction=reduction,
            tol=tol,
            start=start,
            time_limit=None if time_limit is None else max(clock.left / (len(prices) - k), 1e-3),
            rng=sources[k],
            progress=progress,
        )
        points.append(point)
        if point.status == Status.INTERRUPTED:
            break
        start = point.network
    return SolutionPath(betas=prices[: len(points)], points=tuple(points))
