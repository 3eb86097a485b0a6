"""Maximisation of a neural correlation function over the unit sphere of its weights, many starts at once.

The direction of gradient flow of a homogeneous ``N(w)`` is, up to the pace, the ascent of N on the unit
sphere (KH2 section 5). It is followed with steps along great circles from all starts together, until the
gradient is nearly along w; then Newton's method on the sphere, from each end alone, gives the last digits.
There

    mu I - P hess N(w) P,    mu = w^T grad N(w),    P = I - w w^T,

is positive definite at a strict maximum (with 2 lambda = mu it is what the second-order condition speaks of),
most of its eigenvalues are mu itself, and conjugate gradients end after a few Hessian-vector products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu.networks.activations import Activation
from convexrelu.networks.layers import Layers, forward, pack, unpack

__all__ = ["MOST_ROUNDS", "SphereProblem", "ascend", "follow", "polish", "unit"]

MOST_ROUNDS = 3000
"""Steps along great circles at most; starts that take longer crawl along a plateau."""

_FIRST_STEP, _LONGEST_STEP, _SHORTEST_STEP = 0.3, 30.0, 1e-10
"""Steps in units of that share, as an angle; the first one is short enough to follow the flow."""

_WIDEST_ANGLE = 0.5
"""No step turns the weights further (radians): the flow's path is left otherwise."""

_ARMIJO = 0.1
"""A step is taken if it gains this share of what the gradient promises (Armijo's rule)."""

_MOST_NEWTON_STEPS, _MOST_PRODUCTS = 60, 200
"""Newton steps, and Hessian-vector products for each, at most; some ten of either are the rule."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SphereProblem:
    """``N_z`` as a function of unit vectors: the weights of the free layers.

    Attributes
    ----------
    X : (n, d) float array
        Samples.
    z : (n, k_L) float array
        Weights of the outputs.
    activation : Activation
        Applied between the layers.
    free : tuple of (k_l, k_{l-1}) float arrays
        The free layers, the first ones; only their shapes count.
    fixed : tuple of (k_l, k_{l-1}) float arrays
        The layers behind them, which keep their weights; none as a rule.
    """

    X: Float[np.ndarray, "n d"]
    z: Float[np.ndarray, "n k"]
    activation: Activation
    free: tuple[Float[np.ndarray, "_ _"], ...]
    fixed: tuple[Float[np.ndarray, "_ _"], ...] = ()

    @property
    def size(self) -> int:
        """The number of free weights."""
        return sum(layer.size for layer in self.free)

    @property
    def chunk(self) -> int:
        """How many starts are worked off together."""
        widest = max(len(layer) for layer in (*self.free, *self.fixed))
        # activities held at once: chunks have a fixed size, so that memory is bounded
        return max(1, 5_000_000 // (len(self.X) * widest))

    def value_and_gradient(
        self, w: Float[np.ndarray, "*batch w"]
    ) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch w"]]:
        """Return N and its gradient."""
        run = forward(self._layers(w), self.activation, self.X)
        values = np.asarray((run.outputs * self.z).sum(axis=(-2, -1)))
        return values, pack(run.gradient(self.z)[: len(self.free)])

    def positive(self, w: Float[np.ndarray, "*batch w"]) -> Bool[np.ndarray, "*batch"]:
        """Return whether N is positive beyond the rounding of its sum."""
        run = forward(self._layers(w), self.activation, self.X)
        terms = run.outputs * self.z
        # N is zero if it is at most this share of the sum of its terms' sizes: data can cancel (antipodes).
        level = 1e-12 * np.abs(terms).sum(axis=(-2, -1))
        return np.asarray((terms.sum(axis=(-2, -1)) > level) & (level >= np.finfo(float).tiny))

    def products(self, w: Float[np.ndarray, " w"], v: Float[np.ndarray, "*batch w"]) -> np.ndarray:
        """Return the Hessian of N at w times a vector, or times each of a batch."""
        run = forward(self._layers(w), self.activation, self.X)
        direction = [*unpack(v, self.free), *(np.zeros_like(layer) for layer in self.fixed)]
        return pack(run.hessian_vector_product(self.z, direction)[: len(self.free)])

    def _layers(self, w: Float[np.ndarray, "*batch w"]) -> Layers:
        return [*unpack(w, self.free), *self.fixed]


def unit(rows: Float[np.ndarray, "*batch w"]) -> Float[np.ndarray, "*batch w"]:
    """Return the vectors divided by their norms."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def ascend(problem: SphereProblem, starts: Float[np.ndarray, "s w"]) -> Float[np.ndarray, "s w"]:
    """Return where the ascent of N from each start ends, to the last digits where N is positive there."""
    chunks = range(0, len(starts), problem.chunk)
    ends = [follow(problem, starts[first : first + problem.chunk]) for first in chunks]
    climbed = np.concatenate([problem.positive(chunk) for chunk in ends])
    together = np.concatenate(ends)
    return np.array([polish(problem, end) if up else end for end, up in zip(together, climbed, strict=True)])


def follow(
    problem: SphereProblem, starts: Float[np.ndarray, "s w"], *, rounds: int = MOST_ROUNDS
) -> Float[np.ndarray, "s w"]:
    """Return where the gradient leads from all starts together, near stationary points or where gains end."""
    w = starts.copy()
    value, gradient = problem.value_and_gradient(w)
    step = np.full(len(w), _FIRST_STEP)
    for _ in range(rounds):
        tangent, share = _tangents(w, gradient)
        # Newton's method takes over once the gradient's part along the sphere is this share of it.
        on = np.flatnonzero((share > 1e-2) & (step > _SHORTEST_STEP))
        if not len(on):
            break
        slope = np.linalg.norm(tangent[on], axis=1)
        angle = np.minimum(step[on] * share[on], _WIDEST_ANGLE)
        trial = _turned(w[on], tangent[on] / slope[:, None], angle)
        reached, uphill = problem.value_and_gradient(trial)
        good = reached >= value[on] + _ARMIJO * angle * slope
        taken = on[good]
        w[taken], value[taken], gradient[taken] = trial[good], reached[good], uphill[good]
        step[on] = np.where(good, np.minimum(1.5 * step[on], _LONGEST_STEP), 0.5 * step[on])
    return w


def polish(problem: SphereProblem, w: Float[np.ndarray, " w"]) -> Float[np.ndarray, " w"]:
    """Return the maximiser that Newton's method on the sphere reaches from a point with N > 0."""
    here = _place(problem, w)
    for _ in range(_MOST_NEWTON_STEPS):
        # A gradient whose part along the sphere is this small beside it is rounding.
        if here.share <= 1e-14 or here.mu <= 0:
            break
        there = _stepped(problem, here, _newton_direction(problem, here))
        if there is here:
            there = _stepped(problem, here, here.tangent / here.mu)
        if there is here:
            break
        here = there
    return here.w


@dataclass(frozen=True, kw_only=True, eq=False)
class _Place:
    """A unit vector, N and its gradient there, the gradient's part along the sphere and the share of it."""

    w: Float[np.ndarray, " w"]
    value: float
    gradient: Float[np.ndarray, " w"]
    tangent: Float[np.ndarray, " w"]
    share: float

    @property
    def mu(self) -> float:
        return float(self.gradient @ self.w)


def _place(problem: SphereProblem, w: Float[np.ndarray, " w"]) -> _Place:
    value, gradient = problem.value_and_gradient(w)
    tangent, share = _tangents(w, gradient)
    return _Place(w=w, value=float(value), gradient=gradient, tangent=tangent, share=float(share))


def _stepped(problem: SphereProblem, here: _Place, step: Float[np.ndarray, " w"]) -> _Place:
    """Return where a step along the sphere leads to, halved until it gains; `here` if it never does."""
    size = float(np.linalg.norm(step))
    if size == 0.0:
        return here
    promise = float(step @ here.tangent) / size
    angle = min(size, _WIDEST_ANGLE)
    while angle > _SHORTEST_STEP * here.share:
        there = _place(problem, _turned(here.w, step / size, angle))
        gain = there.value - here.value
        # near the end gains are below the rounding of N, but the gradient still tells
        # N may fall by this share of it in a step that halves the residual: that is rounding.
        nearer = there.share <= 0.5 * here.share and gain >= -1e-13 * abs(here.value)
        if nearer or gain >= _ARMIJO * angle * promise:
            return there
        angle *= 0.5
    return here


def _newton_direction(problem: SphereProblem, here: _Place) -> Float[np.ndarray, " w"]:
    """Solve ``(mu I - P hess N P) v = P grad N`` by conjugate gradients, as far as the curvature is positive.

    Where it is not, the direction of negative curvature leads on from the saddle (Steihaug's rule).
    """
    w, mu, tangent = here.w, here.mu, here.tangent
    target = float(np.linalg.norm(tangent)) * min(0.1, here.share)
    v, rest = np.zeros_like(w), tangent.copy()
    direction, square = rest.copy(), float(rest @ rest)
    for _ in range(_MOST_PRODUCTS):
        image = problem.products(w, direction)
        image = mu * direction - (image - (image @ w) * w)
        curvature = float(direction @ image)
        # Curvature below this share of mu is taken for none: maxima of linear networks are not isolated.
        if curvature <= 1e-12 * mu * float(direction @ direction):
            return v if v.any() else direction
        length = square / curvature
        v, rest = v + length * direction, rest - length * image
        rest -= (rest @ w) * w
        square, before = float(rest @ rest), square
        if square <= target**2:
            break
        direction = rest + (square / before) * direction
    return v


def _tangents(
    w: Float[np.ndarray, "*batch w"], gradient: Float[np.ndarray, "*batch w"]
) -> tuple[Float[np.ndarray, "*batch w"], Float[np.ndarray, "*batch"]]:
    """Return the gradients' parts along the sphere, and their shares of the gradients (0 of a zero one)."""
    tangent = gradient - (gradient * w).sum(axis=-1, keepdims=True) * w
    size = np.linalg.norm(gradient, axis=-1)
    share = np.linalg.norm(tangent, axis=-1) / np.where(size > 0, size, 1.0)
    return tangent, np.asarray(share)


def _turned(
    w: Float[np.ndarray, "*batch w"],
    direction: Float[np.ndarray, "*batch w"],
    angle: float | Float[np.ndarray, "*batch"],
) -> Float[np.ndarray, "*batch w"]:
    """Return unit vectors turned by an angle towards tangent unit vectors."""
    turn = np.asarray(angle)[..., None]
    return unit(np.cos(turn) * w + np.sin(turn) * direction)
