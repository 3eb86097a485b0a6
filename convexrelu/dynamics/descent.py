"""Gradient descent on the summed loss: plain steps, and normalised ones that reach the limit."""

from __future__ import annotations

import time

import numpy as np
from jaxtyping import Float, Int

from convexrelu._typing import ArrayLike
from convexrelu._validation import check_count, check_positive
from convexrelu.dynamics.trajectory import Trajectory, check_training_problem
from convexrelu.errors import InvalidInputError
from convexrelu.losses import get_loss
from convexrelu.networks import TwoLayerReLU

__all__ = ["gradient_descent"]

_WORK_BETWEEN_CHECKS = 20_000_000
"""Multiplications between two looks at the clock and the keyboard: some hundredths of a second."""


def gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    network: TwoLayerReLU,
    *,
    step_size: float,
    n_steps: int,
    loss: str = "logistic",
    normalized: bool = False,
    record: int | ArrayLike = 200,
    time_limit: float | None = None,
) -> Trajectory:
    """Return the trajectory of gradient descent on the loss summed over the samples.

    A plain step moves by ``step_size`` times the negative gradient of ``L = sum_n l(y_n f(x_n))``. A
    normalised step moves by ``step_size / (max_n ||x_n||^2 max(1, ||theta||^2))`` times the negative gradient
    of log L, which is formed in the log domain: it neither overflows nor stalls when L underflows, and
    ``||theta||^2`` grows about linearly in the step count. The network approaches the limit of its direction
    like one over the step count at best, and more slowly where a neuron that vanishes in the limit correlates
    almost as well as those that stay. The subgradient of the ReLU at 0 is 0 (the choice of WP section
    4).

    Parameters
    ----------
    X : array_like
        (n, d) data.
    y : array_like
        (n,) binary labels.
    network : TwoLayerReLU
        Where to start.
    step_size : float
        The step size. Normalised steps of 0.1 to 0.5 are safe for the logistic and the exponential loss.
    n_steps : int
        The number of steps.
    loss : str
        "logistic", "exponential" or "square".
    normalized : bool
        Whether steps are normalised.
    record : int or array_like
        Which steps are stored: that many, spaced evenly in the logarithm of the step, or the steps
        themselves. Step 0 and the last step taken are always stored.
    time_limit : float or None
        Seconds after which to stop.

    Returns
    -------
    Trajectory
        With the step indices as ``times`` and the status "finished"; "converged" when a step changed no bit
        of the weights (so that no later one would: a stationary point, or a gradient below the rounding of
        the weights); "diverged" when a step led to weights or a loss beyond float64 (the step size is too
        large; the last finite state is kept); "time_limit"; or "interrupted" (Ctrl-C; what there is is
        returned).

    Raises
    ------
    InvalidInputError
        If an argument is malformed or the network has another number of inputs than X has columns.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> start = cr.TwoLayerReLU([[0.1, 0.0], [0.0, 0.1]], [0.1, -0.1])
    >>> path = cr.gradient_descent(X, y, start, step_size=0.3, n_steps=20000, normalized=True)
    >>> print(f"{path.objective[-1]:.3f}")
    1.283
    """
    X, y = check_training_problem(X, y, network)
    rule = get_loss(loss)
    step_size = check_positive(step_size, "step_size")
    n_steps = check_count(n_steps, "n_steps")
    wanted = _recorded_steps(record, n_steps)
    seconds = check_positive(np.inf if time_limit is None else time_limit, "time_limit", finite=False)
    largest = float(np.square(X).sum(axis=1).max())
    rate = step_size / (largest or 1.0) if normalized else step_size
    steps, W1, w2, status = _descend(X, y, network, wanted, rule.code, rate, bool(normalized), seconds)
    return Trajectory(
        X=X, y=y, times=steps, W1=W1, w2=w2, rule=rule, status=status, kind="descent", events=()
    )


def _recorded_steps(record: int | ArrayLike, n_steps: int) -> Int[np.ndarray, " t"]:
    """Sorted distinct step indices, with 0 and the last among them."""
    if np.ndim(record) == 0:
        count = check_count(record, "record")
        steps = np.rint(np.geomspace(1.0, n_steps, count)).astype(np.int64)
    else:
        try:
            given = np.asarray(record, dtype=np.float64).ravel()
            steps = given.astype(np.int64)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"record must be a count or an array of step indices, got {record!r}"
            ) from error
        if not (
            np.isfinite(given).all() and (steps == given).all() and ((steps >= 0) & (steps <= n_steps)).all()
        ):
            raise InvalidInputError(
                f"record must hold step indices from 0 to n_steps = {n_steps}, got {record!r}"
            )
    return np.unique(np.concatenate([[0], steps, [n_steps]]))


def _descend(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    network: TwoLayerReLU,
    wanted: Int[np.ndarray, " t"],
    code: int,
    rate: float,
    normalized: bool,
    seconds: float,
) -> tuple[Int[np.ndarray, " s"], Float[np.ndarray, "s m d"], Float[np.ndarray, "s m"], str]:
    """Return the steps stored, the weights there and the status."""
    from convexrelu.dynamics._kernels import CONVERGED, DIVERGED, RUNNING, run_steps

    X, W1, w2 = np.ascontiguousarray(X), np.array(network.W1, order="C"), np.array(network.w2, order="C")
    XT = np.ascontiguousarray(X.T)
    chunk = max(1, _WORK_BETWEEN_CHECKS // (2 * X.size * len(w2)))
    deadline = time.perf_counter() + seconds
    step, state, status = 0, RUNNING, "finished"
    stored: list[tuple[int, np.ndarray, np.ndarray]] = []
    try:
        for target in wanted:
            while step < target and state == RUNNING and status == "finished":
                taken, state = run_steps(
                    X, XT, y, W1, w2, code, rate, normalized, min(chunk, int(target) - step)
                )
                step += taken
                if time.perf_counter() > deadline and step < wanted[-1]:
                    status = "time_limit"
            stored.append((step, W1.copy(), w2.copy()))
            if state != RUNNING or status != "finished":
                break
    except KeyboardInterrupt:
        status = "interrupted"
        stored.append((step, W1.copy(), w2.copy()))
    status = {CONVERGED: "converged", DIVERGED: "diverged"}.get(state, status)
    if len(stored) > 1 and stored[-1][0] == stored[-2][0]:
        stored.pop()
    steps, firsts, seconds_ = zip(*stored, strict=True)
    return np.array(steps, dtype=np.int64), np.array(firsts), np.array(seconds_), status
