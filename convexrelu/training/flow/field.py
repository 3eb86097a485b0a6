"""The subgradient flow's states and modes: how neurons are carried, and which pattern each of them has.

Each neuron is carried in polar form over both its weights, ``(w1, w2) = e^r (v, b)`` with ``||v||^2 + b^2 =
1``, so that a start at scale 1e-9 is integrated as accurately as one at scale 1, and neurons that fade do not
drag the step size down with them. With the weights' pull ``p`` (g_i of WP eq. (22), without its part across
the hyperplanes the neuron slides along)

    r' = 2 b v^T p,    v' = b p - r' v,    b' = v^T p - r' b.

In Cartesian form r stays 0 and its terms drop out.

For the logistic and the exponential loss the clock s runs as ``ds = L dt``: p is then made of loss weights
over L, which neither overflow nor vanish. The square loss keeps true time. True time is carried as ``a =
log(1 + t)``, so that t = e^1000 is an ordinary number.

Whether a flow rests its velocity alone does not tell. At a saddle a neuron of size 1e-16 hardly moves, and
yet grows like ``e^{||p|| t}`` until it takes the network away. With the loss weights frozen, as they are
where all that is large stands still, its pull p is constant while its pattern lasts. With x the part of v
along p, ``x + b`` then grows like ``e^{||p|| t}``, ``x - b`` decays likewise, and the rest of v stays: how
far the neuron gets is known in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu.arrangements import hyperplanes_of
from convexrelu.losses import Loss
from convexrelu.training.flow.step import Mode, Problem, fill_weights, project, velocity
from convexrelu.training.flow.ties import active_rows, outward_sign, settle, settle_at_zero

__all__ = ["Field", "Slide", "is_still"]

TIE = 1e-11
"""A neuron counts as on a hyperplane within this sine of the angle: ten times what counts as parallel, since
the event that led there was located to about 1e-12."""

STRAIGHT = 1e-14
"""A neuron this near to its pull's line (sine) is on it, as in the early phase: nearer, its distance is
rounding, and must not bring back a balanced neuron that fades along the line."""

_FOREVER = 1e300
"""Stands for a time left that float64 cannot hold: finite, so that a pull of 0 still goes nowhere in it."""

_LARGEST_EXPONENT = 700.0  # exp of it is still a float


@dataclass(frozen=True, kw_only=True, eq=False)
class Slide:
    """A neuron that moves along hyperplanes: which ones, the matrices that keep it there, the sign of w2."""

    neuron: int
    planes: Int[np.ndarray, " k"]
    projector: Float[np.ndarray, "d d"]
    multiplier: Float[np.ndarray, "k d"]
    dependent: bool
    outward: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """The flow's vector field for given data, loss and conserved imbalance.

    A state is a vector: v, b and r of each neuron in turn, then a. ``lead`` (h,) is the first row of each
    hyperplane of the problem.
    """

    problem: Problem
    lead: Int[np.ndarray, " h"]

    @classmethod
    def of(
        cls,
        X: Float[np.ndarray, "n d"],
        y: Float[np.ndarray, " n"],
        rule: Loss,
        W1: Float[np.ndarray, "m d"],
        w2: Float[np.ndarray, " m"],
        *,
        polar: bool = True,
        zero_at_ties: bool = False,
    ) -> Field:
        """Return the field for trajectories from these weights (their imbalance is conserved, WP Lemma 1)."""
        shared = hyperplanes_of(X)
        sizes = np.linalg.norm(X, axis=1)
        ids, first = np.unique(shared.member, return_index=True)
        lead = first[ids >= 0]
        # of parallel rows the first one gives the normal, so signs are relative to it
        leading = np.where(shared.member >= 0, shared.sign[lead][shared.member], 0) if len(lead) else 0
        first_square, second_square = np.square(W1).sum(axis=1), np.square(w2)
        imbalance = first_square - second_square
        # Imbalance ||w1||^2 - w2^2 below this part of ||w1||^2 + w2^2 is the rounding of a balanced start,
        # and taken as 0.
        imbalance[np.abs(imbalance) <= 1e-15 * (first_square + second_square)] = 0.0
        problem = Problem(
            XT=np.ascontiguousarray(X.T),
            y=np.ascontiguousarray(y),
            sizes=sizes,
            normals=np.ascontiguousarray(X[lead] / sizes[lead, None]),
            member=shared.member.astype(np.int64),
            sign=np.asarray(shared.sign * leading, dtype=np.int64),
            imbalance=imbalance,
            code=rule.code,
            polar=polar,
            zero_at_ties=zero_at_ties,
        )
        return cls(problem=problem, lead=lead)

    def neurons(self, state: Float[np.ndarray, " s"]) -> Float[np.ndarray, "m w"]:
        """Return the view of a state's neurons: v, b and r in columns."""
        return state[:-1].reshape(len(self.problem.imbalance), -1)

    def start(self, W1: Float[np.ndarray, "m d"], w2: Float[np.ndarray, " m"]) -> Float[np.ndarray, " s"]:
        """Return the state of these weights at time 0."""
        weights = np.column_stack([W1, w2])
        sizes = np.hypot.reduce(weights, axis=1) if self.problem.polar else np.ones(len(w2))  # no underflow
        safe = np.where(sizes > 0, sizes, 1.0)[:, None]
        state = np.append(np.hstack([W1 / safe, w2[:, None] / safe, np.log(safe)]).ravel(), 0.0)
        sides = np.zeros((len(w2), len(self.lead)), dtype=np.int64)
        project(self.problem, self.mode_of(sides, ()), state)
        return state

    def weights(
        self, states: Float[np.ndarray, "T s"]
    ) -> tuple[Float[np.ndarray, "T m d"], Float[np.ndarray, "T m"]]:
        """Return the weights W1 and w2 of states."""
        neurons = states[:, :-1].reshape(len(states), len(self.problem.imbalance), -1)
        scaled = np.exp(neurons[:, :, -1:]) * neurons[:, :, :-1]
        return np.ascontiguousarray(scaled[:, :, :-1]), np.ascontiguousarray(scaled[:, :, -1])

    def loss_weights(self, state: Float[np.ndarray, " s"], mode: Mode) -> Float[np.ndarray, " n"]:
        """Return the loss weights ``-y_n l'(q_n)``, over L in rescaled time."""
        weights = np.empty(len(self.problem.y))
        fill_weights(self.problem.XT, self.problem.y, mode.mask, self.problem.code, state, weights)
        return weights

    def pulls(self, state: Float[np.ndarray, " s"], mode: Mode) -> Float[np.ndarray, "m d"]:
        """Return each neuron's pull p, without its part across the hyperplanes it slides along."""
        pulls = (mode.mask * self.loss_weights(state, mode)) @ self.problem.XT.T
        if len(mode.sliding):
            pulls[mode.sliding] = np.einsum("sjk,sk->sj", mode.projectors, pulls[mode.sliding])
        return np.asarray(pulls)

    def velocity(self, state: Float[np.ndarray, " s"], mode: Mode) -> Float[np.ndarray, " s"]:
        """Return the derivative of a state with respect to s while the mode lasts."""
        rate = np.empty(len(state))
        velocity(self.problem, mode, state, rate)
        return rate

    def initial_sides(self, state: Float[np.ndarray, " s"]) -> Int[np.ndarray, "m h"]:
        """Return the sides on which the neurons start, ties settled; all 0 for neurons of size zero."""
        v = self.neurons(state)[:, :-2]
        heights = v @ self.problem.normals.T
        length = np.linalg.norm(v, axis=1, keepdims=True)
        sides = np.where(np.abs(heights) <= TIE * length, 0, np.sign(heights)).astype(np.int64)
        start = self.mode_of(sides, ())
        moving = self.neurons(state)[:, :-1].any(axis=1)
        for neuron in np.flatnonzero((sides == 0).any(axis=1) & moving).tolist():
            sides[neuron] = self.settle(state, start, neuron, np.flatnonzero(sides[neuron] == 0))
        return sides

    def settle(
        self,
        state: Float[np.ndarray, " s"],
        mode: Mode,
        neuron: int,
        planes: Int[np.ndarray, " k"],
        met: int = -1,
    ) -> Int[np.ndarray, " h"]:
        """Return a neuron's sides on hyperplanes, one of which it met, by the rule that the problem names."""
        *v, b, _ = self.neurons(state)[neuron]
        place = (
            self.problem,
            self.loss_weights(state, mode),
            np.array(v),
            float(b),
            mode.sides[neuron],
            planes,
        )
        return settle_at_zero(*place) if self.problem.zero_at_ties else settle(*place, met)

    def met_by(
        self, state: Float[np.ndarray, " s"], mode: Mode, neuron: int, plane: int
    ) -> Int[np.ndarray, " k"]:
        """Return the hyperplanes a neuron is on when it meets `plane`: also those it slides along."""
        v = self.neurons(state)[neuron, :-2]
        length = float(np.linalg.norm(v))
        if length <= TIE:
            return np.arange(len(self.lead))
        near = np.abs(self.problem.normals @ v) <= TIE * length
        near[plane] = True
        return np.flatnonzero(near | (mode.sides[neuron] == 0))

    def snap(
        self, state: Float[np.ndarray, " s"], mode: Mode, neuron: int, planes: Int[np.ndarray, " k"]
    ) -> Float[np.ndarray, " s"]:
        """Return the state with a neuron moved exactly onto hyperplanes that it meets."""
        state = state.copy()
        v = self.neurons(state)[neuron, :-2]
        Z = self.problem.normals[planes]
        v -= Z[0] * (Z[0] @ v) if len(Z) == 1 else np.linalg.pinv(Z, rcond=TIE) @ (Z @ v)
        project(self.problem, mode, state)
        return state

    def slides_of(
        self,
        state: Float[np.ndarray, " s"],
        sides: Int[np.ndarray, "m h"],
        known: Iterable[Slide],
    ) -> tuple[Slide, ...]:
        """Return the slides of neurons with a side 0, those among the `known` ones taken over."""
        moving = self.neurons(state)[:, :-1].any(axis=1)
        old = {slide.neuron: slide for slide in known}
        slides = []
        for neuron in np.flatnonzero((sides == 0).any(axis=1) & moving).tolist():
            planes = np.flatnonzero(sides[neuron] == 0)
            if neuron in old and np.array_equal(old[neuron].planes, planes):
                slides.append(old[neuron])
                continue
            Z = self.problem.normals[planes]
            inverse = np.linalg.pinv(Z.T, rcond=TIE)
            slides.append(
                Slide(
                    neuron=neuron,
                    planes=planes,
                    projector=np.eye(Z.shape[1]) - Z.T @ inverse,
                    multiplier=inverse,
                    dependent=int(np.linalg.matrix_rank(Z, tol=TIE)) < len(planes),
                    outward=self._outward(state, sides, neuron),
                )
            )
        return tuple(slides)

    def _outward(self, state: Float[np.ndarray, " s"], sides: Int[np.ndarray, "m h"], neuron: int) -> float:
        """Return the sign of a neuron's w2, or what it is about to be."""
        mode = self.mode_of(sides, ())
        pull = (mode.mask[neuron] * self.loss_weights(state, mode)) @ self.problem.XT.T
        *v, b, _ = self.neurons(state)[neuron]
        return outward_sign(np.array(v), float(b), pull)

    def mode_of(self, sides: Int[np.ndarray, "m h"], slides: tuple[Slide, ...]) -> Mode:
        """Return the mode with these sides and slides, packed for the kernels."""
        m, d = len(sides), len(self.problem.XT)
        slide_of = np.full(m, -1)
        slide_of[[slide.neuron for slide in slides]] = np.arange(len(slides))
        return Mode(
            sides=sides,
            mask=active_rows(self.problem, sides),
            slide_of=slide_of,
            sliding=np.array([slide.neuron for slide in slides], dtype=np.int64),
            starts=np.cumsum([0, *(len(slide.planes) for slide in slides)]),
            planes=np.concatenate([np.zeros(0, dtype=np.int64), *(slide.planes for slide in slides)]),
            projectors=np.array([slide.projector for slide in slides]).reshape(len(slides), d, d),
            multipliers=np.concatenate([np.zeros((0, d)), *(slide.multiplier for slide in slides)]),
            dependent=np.array([slide.dependent for slide in slides], dtype=np.bool_),
            outward=np.array([slide.outward for slide in slides], dtype=np.float64),
        )


def is_still(field: Field, state: Float[np.ndarray, " s"], mode: Mode, clock_rate: float, end: float) -> bool:
    """Return whether nothing would move until log(1 + t) is `end`, with all loss weights as they are.

    `clock_rate` is the derivative of log(1 + t), which may vanish in float64 where the loss is huge.
    """
    neurons = field.neurons(state)
    sizes = np.exp(neurons[:, -1])
    largest = float((sizes * np.linalg.norm(neurons[:, :-1], axis=1)).max())
    remaining = math.expm1(min(end - float(state[-1]), _LARGEST_EXPONENT))
    left = min(remaining / clock_rate, _FOREVER) if clock_rate > 0.0 else _FOREVER
    # The flow has converged when the remaining time moves no neuron by this part of the largest one.
    return bool(_ways(field, state, mode, left).max() <= 1e-13 * largest)


def _ways(field: Field, state: Float[np.ndarray, " s"], mode: Mode, left: float) -> Float[np.ndarray, " m"]:
    """Return how far each neuron gets at most, its pull frozen."""
    neurons, pulls = field.neurons(state), field.pulls(state, mode)
    v, b, r = neurons[:, :-2], neurons[:, -2], neurons[:, -1]
    rates = np.hypot.reduce(pulls, axis=1)  # the squares may overflow
    units = pulls / np.where(rates > 0.0, rates, 1.0)[:, None]
    along = (v * units).sum(axis=1)
    growing, fading = _growing_part(v, b, along, units, field.problem.imbalance == 0.0), np.abs(along - b)
    with np.errstate(over="ignore"):  # infinitely far is an answer
        turns = rates * left
        # the exponents are added, lest e^r vanish before it is multiplied
        far = np.exp(np.minimum(r + turns, _LARGEST_EXPONENT))
        near = np.exp(r) * np.expm1(np.minimum(turns, 1.0))
        return np.asarray(growing * np.where(turns > 1.0, far, near) - fading * np.exp(r) * np.expm1(-turns))


def _growing_part(
    v: Float[np.ndarray, "m d"],
    b: Float[np.ndarray, " m"],
    along: Float[np.ndarray, " m"],
    units: Float[np.ndarray, "m d"],
    balanced: np.ndarray,
) -> Float[np.ndarray, " m"]:
    """Return ``|x + b|``, of balanced neurons without cancellation: ``b^2 - x^2`` is what v has across p."""
    across = np.linalg.norm(v - along[:, None] * units, axis=1)
    across = np.where(across <= STRAIGHT * np.linalg.norm(v, axis=1), 0.0, across)
    total = np.abs(along) + np.abs(b)
    opposed = balanced & (along * b < 0.0)
    return np.where(opposed, np.square(across) / np.where(total > 0.0, total, 1.0), np.abs(along + b))
