"""The subgradient flow: its velocity while every neuron keeps its pattern, and what happens at a change.

Each neuron is carried in polar form over both its weights, ``(w1, w2) = e^r (v, b)`` with ``||v||^2 + b^2 =
1``, so that a start at scale 1e-9 is integrated as accurately as one at scale 1, and neurons that fade do not
drag the step size down with them. With the weights' pull ``p`` (g_i of WP eq. (22), without its part across
the hyperplanes the neuron slides along)

    r' = 2 b v^T p,    v' = b p - r' v,    b' = v^T p - r' b.

For the logistic and the exponential loss the clock s runs as ``ds = L dt``: p is then made of loss weights
over L, which neither overflow nor vanish. The square loss keeps true time. True time is carried as ``a =
log(1 + t)``.

A neuron meets the hyperplane of a row in one of three ways. If the velocities of both sides lead across, it
crosses. If both lead back, it slides: its velocity is the least-norm element of the Clarke subdifferential,
and it leaves when the multiplier of the row reaches 0 or 1. At a tie at the start whose sides both lead away,
the subgradient 0 (WP section 4) decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu.arrangements import hyperplanes_of
from convexrelu.losses import Loss

__all__ = ["Field", "Mode"]

TIE = 1e-11
"""A neuron counts as on a hyperplane within this sine of the angle: ten times what counts as parallel, since
the event that led there was located to about 1e-12."""

BALANCE_ROUNDING = 1e-15
"""Imbalance ||w1||^2 - w2^2 below this part of ||w1||^2 + w2^2 is the rounding of a balanced
start, and taken as 0."""

_FLIPS = 8
"""How often each hyperplane may change its side while a crossing of several is settled: against rounding."""

_INTERIOR = 1e-13
"""A multiplier this far from 0 and 1 means sliding; nearer, the neuron leaves to that side. It must be well
below what counts as a change of pattern, or a neuron that barely slides would leave again and again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Slide:
    """A neuron that moves along hyperplanes: which ones, and the matrices that keep it there."""

    neuron: int
    planes: Int[np.ndarray, " k"]
    projector: Float[np.ndarray, "d d"]
    multiplier: Float[np.ndarray, "k d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mode:
    """The pattern of every neuron: its side (+1, -1, 0 on it) of every hyperplane, and the slides."""

    sides: Int[np.ndarray, "m h"]
    mask: Float[np.ndarray, "m n"]
    slides: tuple[Slide, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """The flow's vector field for given data and loss.

    A state is the vector ``(v.ravel(), b, r, a)``. Rows that are parallel or antiparallel share a hyperplane:
    ``normals`` (h, d) are unit, ``member`` (n,) and ``sign`` (n,) say which hyperplane a row has and which
    way it points, ``lead`` (h,) is its first row.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    rule: Loss
    imbalance: Float[np.ndarray, " m"]
    sizes: Float[np.ndarray, " n"]
    normals: Float[np.ndarray, "h d"]
    member: Int[np.ndarray, " n"]
    sign: Int[np.ndarray, " n"]
    lead: Int[np.ndarray, " h"]

    @classmethod
    def of(
        cls,
        X: Float[np.ndarray, "n d"],
        y: Float[np.ndarray, " n"],
        rule: Loss,
        W1: Float[np.ndarray, "m d"],
        w2: Float[np.ndarray, " m"],
    ) -> Field:
        """Return the field for trajectories from these weights (their imbalance is conserved, WP Lemma 1)."""
        planes = hyperplanes_of(X)
        sizes = np.linalg.norm(X, axis=1)
        ids, first = np.unique(planes.member, return_index=True)
        lead = first[ids >= 0]
        first_square, second_square = np.square(W1).sum(axis=1), np.square(w2)
        imbalance = first_square - second_square
        imbalance[np.abs(imbalance) <= BALANCE_ROUNDING * (first_square + second_square)] = 0.0
        return cls(
            X=X,
            y=y,
            rule=rule,
            imbalance=imbalance,
            sizes=sizes,
            normals=X[lead] / sizes[lead, None],
            member=planes.member,
            sign=planes.sign * np.where(planes.member >= 0, planes.sign[lead][planes.member], 0)
            if len(lead)
            else planes.sign,
            lead=lead,
        )

    def split(
        self, state: Float[np.ndarray, " s"]
    ) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Return the views v, b, r of a state."""
        m, d = len(self.imbalance), self.X.shape[1]
        return state[: m * d].reshape(m, d), state[m * d : m * d + m], state[m * d + m : m * d + 2 * m]

    def start(self, W1: Float[np.ndarray, "m d"], w2: Float[np.ndarray, " m"]) -> Float[np.ndarray, " s"]:
        """Return the state of these weights at time 0."""
        sizes = np.hypot(np.linalg.norm(W1, axis=1), w2)
        safe = np.where(sizes > 0, sizes, 1.0)
        return self.project(np.concatenate([(W1 / safe[:, None]).ravel(), w2 / safe, np.log(safe), [0.0]]))

    def weights(
        self, state: Float[np.ndarray, " s"]
    ) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
        """Return the weights W1 and w2 of a state."""
        v, b, r = self.split(state)
        size = np.exp(r)
        return size[:, None] * v, size * b

    def project(self, state: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
        """Return the nearest state with the conserved imbalance and with ``||v||^2 + b^2 = 1``.

        Otherwise rounding piles up there, and a fading neuron magnifies it.
        The smaller weight of a neuron is kept and the larger one set from it, which is the well conditioned
        way round.
        """
        state = state.copy()
        v, b, r = self.split(state)
        length = np.linalg.norm(v, axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            c = np.where(self.imbalance == 0.0, 0.0, self.imbalance * np.exp(-2.0 * r))
        wide = (c > 0) & (length > 0)
        v[wide] *= (np.sqrt(b[wide] ** 2 + c[wide]) / length[wide])[:, None]
        b[~wide] = np.copysign(np.sqrt(np.maximum(length[~wide] ** 2 - c[~wide], 0.0)), b[~wide])
        size = np.hypot(np.linalg.norm(v, axis=1), b)
        size[size == 0.0] = 1.0
        v /= size[:, None]
        b /= size
        r += np.log(size)
        return state

    def pull(
        self, state: Float[np.ndarray, " s"], mask: Float[np.ndarray, "m n"]
    ) -> tuple[Float[np.ndarray, " n"], float]:
        """Return the loss weights ``-y_n l'(q_n)``, over L in rescaled time, and log dt/ds."""
        v, b, r = self.split(state)
        active = mask * (v @ self.X.T)
        q = self.y * ((b * np.exp(2.0 * r)) @ active)
        if not self.rule.in_log_domain:
            return self.y * self.rule.slope(q), 0.0
        logs = self.rule.log_value(q)
        top = logs.max()
        log_loss = float(top + np.log(np.exp(logs - top).sum()))
        return self.y * np.exp(self.rule.log_slope(q) - log_loss), -log_loss

    def velocity(self, state: Float[np.ndarray, " s"], mode: Mode) -> Float[np.ndarray, " s"]:
        """Return the derivative of a state with respect to s while the mode lasts."""
        v, b, _ = self.split(state)
        weights, log_rate = self.pull(state, mode.mask)
        p = (mode.mask * weights) @ self.X
        for slide in mode.slides:
            p[slide.neuron] = slide.projector @ p[slide.neuron]
        along = (v * p).sum(axis=1)
        r_dot = 2.0 * b * along
        v_dot = b[:, None] * p - r_dot[:, None] * v
        return np.concatenate([v_dot.ravel(), along - r_dot * b, r_dot, [np.exp(log_rate - state[-1])]])

    def heights(self, state: Float[np.ndarray, " s"], mode: Mode) -> Float[np.ndarray, "m h"]:
        """Return the sines of the angles to the hyperplanes, signed to be non-negative while the mode lasts.

        They are inf where the neuron slides.
        """
        v, _, _ = self.split(state)
        length = np.linalg.norm(v, axis=1, keepdims=True)
        sines = mode.sides * (v @ self.normals.T) / np.where(length > 0, length, 1.0)
        return np.where(mode.sides == 0, np.inf, sines)

    def rooms(self, state: Float[np.ndarray, " s"], mode: Mode) -> Float[np.ndarray, " k"]:
        """Return how far the slides' multipliers are from 0 and 1: non-negative while the mode lasts."""
        if not mode.slides:
            return np.zeros(0)
        weights, _ = self.pull(state, mode.mask)
        low, high = self.jumps(weights)
        rooms = []
        for slide in mode.slides:
            needed = -slide.multiplier @ ((mode.mask[slide.neuron] * weights) @ self.X)
            k, width = slide.planes, high[slide.planes] - low[slide.planes]
            t = np.where(width != 0.0, (needed - low[k]) / np.where(width != 0.0, width, 1.0), 0.5)
            rooms.append(np.minimum(t, 1.0 - t))
        return np.concatenate(rooms)

    def jumps(
        self, weights: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " h"], Float[np.ndarray, " h"]]:
        """Return what each hyperplane's rows add to the pull along its normal, on either side of it."""
        present, count = self.member >= 0, len(self.lead)
        push = weights * self.sizes
        up, down = present & (self.sign > 0), present & (self.sign < 0)
        high = np.bincount(self.member[up], push[up], minlength=count)
        low = -np.bincount(self.member[down], push[down], minlength=count)
        return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)

    def mask_of(self, sides: Int[np.ndarray, "m h"]) -> Float[np.ndarray, "m n"]:
        """Which rows are active for which neurons, given the neurons' sides of the hyperplanes."""
        if not len(self.lead):
            return np.zeros((len(sides), len(self.y)))
        facing = sides[:, self.member] * np.where(self.member >= 0, self.sign, 0)
        return (facing > 0).astype(np.float64)

    def mode_of(
        self, state: Float[np.ndarray, " s"], sides: Int[np.ndarray, "m h"], known: tuple[Slide, ...] = ()
    ) -> Mode:
        """Return the mode with these sides; side 0 means sliding, or a neuron with w1 = 0 (which rests).

        Slides that occur among the `known` ones are taken over.
        """
        at_rest = ~self.split(state)[0].any(axis=1) & (sides == 0).all(axis=1)
        old = {slide.neuron: slide for slide in known}
        slides = []
        for neuron in np.flatnonzero((sides == 0).any(axis=1) & ~at_rest).tolist():
            planes = np.flatnonzero(sides[neuron] == 0)
            if neuron in old and np.array_equal(old[neuron].planes, planes):
                slides.append(old[neuron])
                continue
            Z = self.normals[planes]
            inverse = np.linalg.pinv(Z.T, rcond=TIE)
            projector = np.eye(Z.shape[1]) - Z.T @ inverse
            slides.append(Slide(neuron=neuron, planes=planes, projector=projector, multiplier=inverse))
        return Mode(sides=sides, mask=self.mask_of(sides), slides=tuple(slides))

    def initial_mode(self, state: Float[np.ndarray, " s"]) -> Mode:
        """Return the mode in which the flow starts."""
        v, _, _ = self.split(state)
        heights = v @ self.normals.T
        length = np.linalg.norm(v, axis=1, keepdims=True)
        sides = np.where(np.abs(heights) <= TIE * length, 0, np.sign(heights)).astype(np.int64)
        mode = self.mode_of(state, sides)
        for slide in mode.slides:
            sides = self.resolve(state, sides, slide.neuron, slide.planes)
        return self.mode_of(state, sides)

    def resolve(
        self,
        state: Float[np.ndarray, " s"],
        sides: Int[np.ndarray, "m h"],
        neuron: int,
        planes: Int[np.ndarray, " k"],
    ) -> Int[np.ndarray, "m h"]:
        """Return the sides after a neuron met these hyperplanes: it crosses them, or slides (side 0)."""
        sides = sides.copy()
        sides[neuron, planes] = 0
        mask = self.mask_of(sides)
        weights, _ = self.pull(state, mask)
        low, high = self.jumps(weights)
        pull = (mask[neuron] * weights) @ self.X
        v, b, _ = self.split(state)
        outward = float(np.sign(b[neuron]) or np.sign(v[neuron] @ pull) or 1.0)
        attracting = outward * (high - low)[planes] < 0
        held, loose = planes[attracting], planes[~attracting]
        shape = (self.normals[held], low[held], high[held])
        push = np.zeros(len(loose))
        speeds = outward * self.normals[loose] @ least_pull(pull, *shape)[0]
        wanted = speeds > 0
        # flipping a plane whose velocity leads away from its side raises the least norm, so this ends
        for _ in range(_FLIPS * len(loose)):
            push = np.where(wanted, high[loose], low[loose])
            speeds = outward * self.normals[loose] @ least_pull(pull + push @ self.normals[loose], *shape)[0]
            against = np.where(wanted, -speeds, speeds)
            wrong = np.flatnonzero(against > _INTERIOR * np.abs(pull).max())
            if not len(wrong):
                break
            wanted[wrong[0]] ^= True
        sides[neuron, loose] = np.where(wanted, 1, -1)
        pull = pull + push @ self.normals[loose]
        t = least_pull(pull, *shape)[1]
        sides[neuron, held] = np.where(t <= _INTERIOR, -1, np.where(t >= 1.0 - _INTERIOR, 1, 0))
        return sides

    def met_by(
        self, state: Float[np.ndarray, " s"], mode: Mode, neuron: int, plane: int
    ) -> Int[np.ndarray, " k"]:
        """Return the hyperplanes a neuron is on when it meets `plane`: also those it slides along."""
        v = self.split(state)[0][neuron]
        length = np.linalg.norm(v)
        if length <= TIE:
            return np.arange(len(self.lead))
        near = np.abs(self.normals @ v) <= TIE * length
        near[plane] = True
        return np.flatnonzero(near | (mode.sides[neuron] == 0))

    def snap(
        self, state: Float[np.ndarray, " s"], neuron: int, planes: Int[np.ndarray, " k"]
    ) -> Float[np.ndarray, " s"]:
        """Return the state with a neuron moved exactly onto hyperplanes that it meets."""
        state = state.copy()
        v, _, _ = self.split(state)
        Z = self.normals[planes]
        v[neuron] -= np.linalg.pinv(Z, rcond=TIE) @ (Z @ v[neuron])
        return self.project(state)


def least_pull(
    pull: Float[np.ndarray, " d"],
    normals: Float[np.ndarray, "k d"],
    low: Float[np.ndarray, " k"],
    high: Float[np.ndarray, " k"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " k"]]:
    """Return the least-norm ``pull + sum_h (low_h + t_h (high_h - low_h)) normals_h`` over 0 <= t <= 1.

    One plane needs no solver; more go to the package's box least-norm kernel.
    """
    base, generators = pull + low @ normals, (low - high)[:, None] * normals
    if len(normals) == 0:
        return base, np.zeros(0)
    if len(normals) == 1:
        square = float(generators[0] @ generators[0])
        t = np.clip(generators @ base / square if square > 0 else np.zeros(1), 0.0, 1.0)
        return base - t @ generators, t
    from convexrelu.box_least_norm import box_least_norm

    answer = box_least_norm(generators, base, np.ones(len(normals)))
    return answer.residual, answer.t
