"""Gradient flow of the neural correlation function: direction, norm and blow-up time.

``dw/dt = grad N_z(w)``, N homogeneous of degree L. With ``w = r u``, ``||u|| = 1``, and the rescaled time
``ds = r^{L-2} dt`` the direction no longer knows of the norm (K-deep Lemma 2, KH2 Lemma 5.3):

    du/ds = grad N(u) - (u^T grad N(u)) u,    d log r / ds = L N(u),    dt/ds = r^{-(L-2)}.

N(u) never falls along it. Once it is positive the norm grows, for L = 2 for ever, for L > 2 to infinity at a
finite time T, and since the pace of log r only increases,

    t < T <= t + r^{-(L-2)} / ((L - 2) L N(u))    at every point of the path.

Where the gradient is Lipschitz (powers of at least 2, or alpha = 1), an adaptive Runge-Kutta method of order
8 follows it. For power 1 the gradient jumps at kinks and the flow may slide along them; there steps of a
fixed angle are taken, whose error is of the order of that angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy.integrate import DOP853

from convexrelu._clock import Clock
from convexrelu._status import Status
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_columns, as_matrix, check_count, check_positive, check_seconds
from convexrelu.errors import InvalidInputError
from convexrelu.ncf.conditions import ncf_stationarity
from convexrelu.networks import FeedForward, Layers, PowerLeakyReLU, forward, pack, unpack
from convexrelu.networks.activations import homogeneous
from convexrelu.training.run import Process, follow

__all__ = ["NCFFlow", "ncf_flow"]

_RECORD_ANGLE, _RECORD_GROWTH = 0.01, 0.1
"""Fixed steps are stored when the direction has turned this far, or the norm changed by this factor's log."""

_BLOCK, _SETTLED_BLOCKS = 0.1, 100
"""Fixed steps come in blocks of a path of 0.1. A direction that after 100 of them, a path of 10, is within a
few steps of where it was does no more than jump to and fro over kinks."""

_HOVERING = 20
"""So many such steps without gain: the method hovers at its limit of stability, and shorter steps help."""

_FADED = math.log(1e-12)
"""Weights that have lost twelve digits of their norm go to the origin: N(u) < 0 all the while."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NCFFlow:
    """A solution of the gradient flow of an NCF, in polar form.

    Attributes
    ----------
    network : FeedForward
        The start.
    X : (n, k_0) float array
        Samples.
    z : (n, k_L) float array
        Weights of the outputs.
    s : (T,) float array
        The rescaled time of the recorded points, from 0.
    times : (T,) float array
        The true time.
    log_norm : (T,) float array
        ``log ||w||``, which does not overflow.
    directions : tuple of (T, k_l, k_{l-1}) float arrays
        The layers of ``u = w / ||w||``; frozen entries as they are.
    status : str
        "kkt_point": the direction has settled at one, with N > 0; "origin": the weights go to 0; "zero": the
        direction has settled where N vanishes; "max_steps": more steps are needed; "stalled": no step was
        accurate enough; "time_limit"; "interrupted".
    step : float
        The angle of the fixed steps; 0 for the adaptive method.
    """

    network: FeedForward
    X: Float[np.ndarray, "n d"]
    z: Float[np.ndarray, "n k"]
    s: Float[np.ndarray, " T"]
    times: Float[np.ndarray, " T"]
    log_norm: Float[np.ndarray, " T"]
    directions: tuple[Float[np.ndarray, "T _ _"], ...]
    status: str
    step: float

    def __post_init__(self) -> None:
        for array in (self.s, self.times, self.log_norm, *self.directions):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.s)

    def direction_at(self, index: int = -1) -> FeedForward:
        """Return the network of norm one at a recorded point, the last one unless said otherwise."""
        return self.network.with_weights([U[index] for U in self.directions])

    @property
    def limit(self) -> FeedForward:
        """The last direction: the KKT point if :attr:`status` says so."""
        return self.direction_at(-1)

    @cached_property
    def value(self) -> Float[np.ndarray, " T"]:
        """``N(u)``, which never falls."""
        return np.asarray(self._measured[0])

    @cached_property
    def alignment(self) -> Float[np.ndarray, " T"]:
        """The cosine of u and grad N(u), 1 at a KKT point off kinks; 0 where the gradient is zero."""
        return np.asarray(self._measured[1])

    @cached_property
    def _measured(self) -> Float[np.ndarray, "2 T"]:
        values = np.zeros((2, len(self)))
        for index in range(len(self)):
            layers = [U[index] for U in self.directions]
            run = forward(layers, self.network.activation, self.X)
            values[0, index] = np.vdot(self.z, run.outputs)
            size = np.linalg.norm(_masked(self.network, run.gradient(self.z)))
            values[1, index] = self.network.degree * values[0, index] / size if size > 0 else 0.0
        return values

    @cached_property
    def stationarity(self) -> float:
        """The last direction's distance from a KKT point, see :func:`~convexrelu.ncf_stationarity`.

        After fixed steps, pre-activations within three steps of zero count as ties; wide networks have
        thousands of them, and the best choice of their derivatives takes minutes.
        """
        if not self.step:
            return ncf_stationarity(self.limit, self.X, self.z)
        return ncf_stationarity(self.limit, self.X, self.z, tie_tol=3 * self.step)

    @property
    def blow_up(self) -> Float[np.ndarray, " 2"]:
        """Bounds on the time at which the norm becomes infinite, up to the integrator's error.

        The upper one is inf if L <= 2 or N is not positive (yet); the lower one is the last recorded time.
        """
        slow, value = self.network.degree - 2, float(self.value[-1])
        if slow <= 0 or value <= 0:
            return np.array([self.times[-1], math.inf])
        left = math.exp(-slow * self.log_norm[-1]) / (slow * self.network.degree * value)
        return np.array([self.times[-1], self.times[-1] + left])

    def __str__(self) -> str:
        text = (
            f"NCF flow of {self.network!r}: {self.status}; N(u) {self.value[0]:.4g} -> {self.value[-1]:.4g}, "
            f"log norm {self.log_norm[0]:.3g} -> {self.log_norm[-1]:.3g}"
        )
        if self.status == Status.KKT_POINT and not self.step:  # the residual over many ties takes long
            text += f", stationarity {self.stationarity:.1e}"
        low, high = self.blow_up
        return text + (f", blows up at t in [{low:.8g}, {high:.8g}]" if math.isfinite(high) else "")

    def __repr__(self) -> str:
        return f"<NCFFlow of {len(self)} points: {self}>"


def ncf_flow(
    network: FeedForward,
    X: ArrayLike,
    z: ArrayLike,
    *,
    tol: float = 1e-8,
    rtol: float = 1e-9,
    step: float = 1e-3,
    max_steps: int = 200_000,
    time_limit: float | None = None,
) -> NCFFlow:
    """Return the gradient flow of ``N_z`` from the weights of a network, until its direction has settled.

    Parameters
    ----------
    network : FeedForward
        The start, with a homogeneous activation; frozen weights stay.
    X : (n, k_0) array_like
        Samples.
    z : (n,) or (n, k_L) array_like
        Weights of the outputs: y for the square loss from tiny weights, y/2 for the
        logistic.
    tol : float
        The direction has settled when the sine of its angle to the gradient is at most this (smooth
        gradients).
    rtol : float
        Relative error allowed in a step of the Runge-Kutta method.
    step : float
        The angle of a fixed step, in radians (activations of power 1 with a kink). At a kink that pushes to
        both sides, where the flow branches, the side of the activation's derivative from the left is taken.
    max_steps : int
        The most steps, of either kind.
    time_limit : float or None
        Seconds after which to stop.

    Returns
    -------
    NCFFlow
        Directions, norms and times; status and limit; bounds on the blow-up time.

    Raises
    ------
    InvalidInputError
        If the activation is not homogeneous, the start is zero, or an argument is malformed.

    Examples
    --------
    ``N = w_3 w_2 w_1`` from three equal weights a: ``a' = a^2``, so that the flow blows up at 1/a.

    >>> import convexrelu as cr
    >>> start = cr.FeedForward([[[0.5]], [[0.5]], [[0.5]]], cr.PowerLeakyReLU(1.0))
    >>> flow = ncf_flow(start, [[1.0]], [1.0])
    >>> flow.status, flow.blow_up
    ('kkt_point', array([2., 2.]))
    """
    activation = _check_start(network)
    samples = np.array(as_matrix(X, columns=network.widths[0]))
    weights = np.array(as_columns(z, "z", rows=len(samples), columns=network.widths[-1]))
    tol, rtol = check_positive(tol, "tol"), check_positive(rtol, "rtol")
    step = check_positive(step, "step")
    most = check_count(max_steps, "max_steps")
    clock, record = Clock(limit=check_seconds(time_limit)), _Record(network, samples, weights)
    run = _FixedSteps(record, activation, step) if activation.kinked else _Integration(record, tol, rtol)
    status = follow(run, [most], clock)
    if status == Status.FINISHED:
        status = Status.MAX_STEPS
    return record.flow(status, step if activation.kinked else 0.0)


def _check_start(network: FeedForward) -> PowerLeakyReLU:
    if not isinstance(network, FeedForward):
        raise InvalidInputError(f"network must be a FeedForward, got {type(network).__name__}")
    activation = homogeneous(network.activation)
    if network.degree < 1 or network.norm == 0:
        raise InvalidInputError("the flow of an NCF starts from trainable weights that are not all zero")
    return activation


def _masked(network: FeedForward, layers: Layers) -> Float[np.ndarray, " f"]:
    """Return the trainable entries in one vector."""
    return np.asarray(pack(layers)[network.free])


class _Record:
    """The points of a flow as they are found: s, log r, t and the direction."""

    def __init__(
        self, network: FeedForward, X: Float[np.ndarray, "n d"], z: Float[np.ndarray, "n k"]
    ) -> None:
        self.network, self.X, self.z = network, X, z
        self.free: Bool[np.ndarray, " w"] = network.free
        self.whole = pack(network.normalized().weights)
        self.points = [np.array([0.0, math.log(network.norm), 0.0])]
        self.directions = [self.whole.copy()]

    def add(self, track: Float[np.ndarray, " 3"], whole: Float[np.ndarray, " w"]) -> None:
        """Store a point: rescaled time, log norm and true time; all weights at norm one."""
        self.directions.append(whole.copy())
        self.points.append(track.copy())

    def gradient(self, u: Float[np.ndarray, " f"]) -> Float[np.ndarray, " f"]:
        """Return the gradient of N in the trainable weights."""
        whole = self.whole.copy()
        whole[self.free] = u
        run = forward(unpack(whole, self.network.weights), self.network.activation, self.X)
        return np.asarray(pack(run.gradient(self.z))[self.free])

    def flow(self, status: str, step: float) -> NCFFlow:
        s, log_norm, times = np.ascontiguousarray(np.array(self.points).T)
        layers = unpack(np.array(self.directions), self.network.weights)
        return NCFFlow(
            network=self.network,
            X=self.X,
            z=self.z,
            s=s,
            times=times,
            log_norm=log_norm,
            directions=tuple(np.ascontiguousarray(layer) for layer in layers),
            status=status,
            step=step,
        )


class _Integration(Process):
    """A Lipschitz gradient, followed by DOP853; each of its steps is stored."""

    reached: int

    def __init__(self, record: _Record, tol: float, rtol: float) -> None:
        self.record, self.tol, self.degree = record, tol, record.network.degree
        u = record.whole[record.free]
        self.size = float(np.linalg.norm(record.gradient(u)))
        self.state = np.concatenate([u, record.points[0][1:]])
        self.log_norm = float(self.state[-2])
        self.rtol, self.reached = rtol, 0
        self.nearest, self.waited = np.inf, 0

    @cached_property
    def solver(self) -> DOP853:
        """The integrator, for a gradient that is not zero."""
        # directions have norm one
        return DOP853(
            self._velocity,
            0.0,
            self.state,
            1e300,
            rtol=self.rtol,
            atol=1e-2 * self.rtol,
            first_step=1e-3 / self.size,
        )

    def _velocity(self, _s: float, state: Float[np.ndarray, " f"]) -> Float[np.ndarray, " f"]:
        u = state[:-2] / np.linalg.norm(state[:-2])
        g = self.record.gradient(u)
        along = float(u @ g)
        # beyond this the true time cannot be told from infinity (weights that have faded) or stands still
        pace = math.exp(min(-(self.degree - 2) * state[-2], 700.0))
        return np.concatenate([g - along * u, [along, pace]])

    def advance(self, target: float) -> Status | None:  # noqa: ARG002  # one step cannot pass it
        """Take a step."""
        if self.size == 0.0:
            return Status.ZERO
        solver, record = self.solver, self.record
        solver.step()
        self.reached += 1
        if solver.status == "failed":
            return Status.STALLED
        u = solver.y[:-2] / np.linalg.norm(solver.y[:-2])
        gradient = record.gradient(u)
        whole = record.whole.copy()
        whole[record.free] = u
        record.add(np.array([solver.t, solver.y[-2], solver.y[-1]]), whole)
        sine = _off(u, gradient) / (float(np.linalg.norm(gradient)) or 1.0)
        # Below this sine between direction and gradient only stability limits an explicit method's steps.
        self.waited = self.waited + 1 if self.tol < sine < 1e-6 and sine > 0.9 * self.nearest else 0
        self.nearest = min(self.nearest, sine)
        if self.waited >= _HOVERING:
            solver.max_step, self.waited = 0.5 * float(solver.step_size or np.inf), 0
        verdict = _verdict(u, gradient, self.tol, float(solver.y[-2]) - self.log_norm)
        on_its_way = verdict == Status.KKT_POINT and _still_to_come(
            self.degree, solver.y, float(u @ gradient)
        )
        return None if on_its_way else verdict

    def store(self) -> None:
        """Every step is stored when it is taken."""


def _off(u: Float[np.ndarray, " f"], gradient: Float[np.ndarray, " f"]) -> float:
    """Return the length of the gradient's part across the direction."""
    return float(np.linalg.norm(gradient - float(u @ gradient) * u))


def _still_to_come(degree: int, state: Float[np.ndarray, " f"], growth: float) -> bool:
    """Return whether a noticeable part of the time until the blow-up lies ahead."""
    slow = degree - 2
    # A blow-up time is settled when the bounds on it differ by this part.
    return slow > 0 and math.exp(-slow * float(state[-2])) > 1e-9 * slow * growth * float(state[-1])


def _verdict(
    u: Float[np.ndarray, " f"], gradient: Float[np.ndarray, " f"], tol: float, growth: float
) -> Status | None:
    """Return what has become of the direction, or None if it is still on its way."""
    along, size = float(u @ gradient), float(np.linalg.norm(gradient))
    settled = _off(u, gradient) <= tol * size
    if along > tol * size:
        return Status.KKT_POINT if settled else None
    if along < -tol * size:
        return Status.ORIGIN if settled or growth < _FADED else None
    return Status.ZERO if settled or size == 0.0 else None


class _FixedSteps(Process):
    """Steps of a fixed angle, until the direction stays within a few of them."""

    reached: int

    def __init__(self, record: _Record, activation: PowerLeakyReLU, step: float) -> None:
        network = record.network
        self.record, self.step, self.reached = record, step, 0
        self.u, self.track = record.whole.copy(), record.points[0].copy()
        self.form = (
            record.free,
            np.array(network.widths, dtype=np.int64),
            np.ascontiguousarray(record.X.T),
            np.ascontiguousarray(record.z.T),
            activation.alpha,
            activation.power,
            network.degree,
            step,
        )
        self.block = max(1, round(_BLOCK / step))
        # so many multiplications take some hundredths of a second
        self.portion = max(1, 20_000_000 // (3 * len(self.u) * len(record.X)))
        self.ring = [self.u.copy()]

    def advance(self, target: float) -> Status | None:
        """Take steps, up to the end of a block."""
        from convexrelu.training.kernels.feed_forward import run_ncf_steps

        record, u, track = self.record, self.u, self.track
        count = min(self.block - self.reached % self.block, self.portion, int(target) - self.reached)
        moving = run_ncf_steps(u, *self.form, count, track)
        self.reached += count
        if moving and self.reached % self.block and self.reached < target:
            return None
        turned = float(np.linalg.norm(u - record.directions[-1])) > _RECORD_ANGLE
        if turned or abs(track[1] - record.points[-1][1]) > _RECORD_GROWTH:
            record.add(track, u)
        self.ring = [*self.ring[-_SETTLED_BLOCKS:], u.copy()]
        # as far as the direction may have moved in that time
        back = float(np.linalg.norm(u - self.ring[0])) <= 5.0 * self.step
        still = len(self.ring) > _SETTLED_BLOCKS and back
        if still or not moving or track[1] - record.points[0][1] < _FADED:
            return _verdict_after_steps(record, u, self.step)
        return None

    def store(self) -> None:
        """Keep the end."""
        if self.track[0] > self.record.points[-1][0]:
            self.record.add(self.track, self.u)


def _verdict_after_steps(record: _Record, u: Float[np.ndarray, " w"], step: float) -> Status:
    """Return what has become of a direction that has settled, or of weights that have faded."""
    gradient = record.gradient(u[record.free])
    cosine = float(u[record.free] @ gradient) / max(float(np.linalg.norm(gradient)), np.finfo(float).tiny)
    if cosine > 10 * step:
        return Status.KKT_POINT
    return Status.ORIGIN if cosine < -10 * step else Status.ZERO
