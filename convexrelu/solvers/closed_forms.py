"""Data whose structure gives the optimum away: no columns to generate, no cells to search.

Orthogonally separable data in any dimension (WP section 3.1): ``P* = 1/gamma_+ + 1/gamma_-``, gamma_c the
distance from 0 to the convex hull of class c, with one neuron for each class. Spike-free data (WP Definition
2): the convex program over the pattern of all rows. Rank one, a single row included: two rays, on each a
piecewise linear function of one variable. Whatever is returned has been verified on all rows, with the
oracle's structural bound: the tests here only decide what is worth trying.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu.arrangements import is_spike_free
from convexrelu.errors import SolverError
from convexrelu.solvers.column_generation import Candidate
from convexrelu.solvers.feasibility import least_vector
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, Problem
from convexrelu.solvers.reduced_program import resolved

__all__ = ["closed_form"]

_EPS = float(np.finfo(float).eps)
_SHARE = 0.5  # of the tolerance that the gap found here may take; the certificate's rounding needs some
_NEGLIGIBLE = 1e-2  # of the tolerance: relative shortfalls below it are left alone

Answer = tuple[Neurons, Float[np.ndarray, " k"]]
"""Neurons and multipliers, to be verified."""

Vectors = Float[np.ndarray, "q r"]


def closed_form(problem: Problem, *, tol: float, clock: SolverClock) -> Candidate | None:
    """Return a solution with a relative gap below `tol` if the data's structure gives one, else None.

    Finite C is covered in rank one, and where it is so small that no neuron pays. To find that the structure
    is absent costs a product of the rows with two vectors.
    """
    for attempt in (_no_neuron, _on_a_line, _one_neuron_a_class, _one_pattern):
        found = attempt(problem, tol, clock)
        candidate = _verified(problem, *found, tol, clock) if found else None
        if candidate:
            return candidate
    return None


def _verified(
    problem: Problem, neurons: Neurons, mu: Float[np.ndarray, " k"], tol: float, clock: SolverClock
) -> Candidate | None:
    """Return the answer as a candidate if its own numbers prove it good enough."""
    upper = problem.objective(neurons)
    norm = problem.dual_norm(mu, search=False)
    lower = float(problem.demand @ mu) / max(norm.upper_bound, 1.0 if problem.soft else _EPS)
    if not upper - lower <= _SHARE * tol * upper < np.inf:
        return None
    clock.note(
        "closed form",
        objective=upper * problem.scale,
        bound=lower * problem.scale,
        n_neurons=len(neurons),
    )
    return Candidate(neurons=neurons, mu=mu, norm=norm, value=upper)


def _no_neuron(problem: Problem, _tol: float, _clock: SolverClock) -> Answer | None:
    """Slack so cheap that no neuron pays: ``h(C y) <= C sum_n ||x_n|| <= 1``, and P* = C n."""
    if not float(problem.caps.sum()) <= 1:
        return None
    return problem.empty_neurons, problem.caps


def _on_a_line(problem: Problem, tol: float, _clock: SolverClock) -> Answer | None:
    """Rank one: two rays that do not see each other, since no neuron is active on both."""
    if problem.rows.shape[1] != 1:
        return None
    mu = np.zeros(len(problem.y))
    outputs = np.zeros(2)
    for i, ray in enumerate((1.0, -1.0)):
        own = problem.rows[:, 0] * ray > 0
        outputs[i], mu[own] = _on_a_ray(problem.y[own], problem.demand[own], problem.caps[own])
    used = outputs != 0
    U = np.array([[abs(outputs[0])], [-abs(outputs[1])]])[used]
    if not problem.soft:
        U += np.sign(U) * _pads(np.abs(U[:, 0]), U, tol)[:, None]
    return Neurons(U=U, signs=np.sign(outputs[used])), mu


def _on_a_ray(
    y: Float[np.ndarray, " k"], demand: Float[np.ndarray, " k"], caps: Float[np.ndarray, " k"]
) -> tuple[float, Float[np.ndarray, " k"]]:
    """Return the minimiser a of ``|a| + sum_n caps_n (demand_n - y_n a)_+`` and the multipliers.

    It has the sign of the label whose slack is dearer in total. Growing a towards it helps, one demand after
    the other, until the slack still saved costs no more than 1 and what the other label pays.
    """
    label = 1.0 if caps[y > 0].sum() >= caps[y < 0].sum() else -1.0
    limit = 1.0 + float(caps[y != label].sum())
    order = np.flatnonzero(y == label)
    order = order[np.argsort(-demand[order], kind="stable")]
    until = np.cumsum(caps[order])  # slack still paid for, up to and with each row
    mu = caps.copy()
    mu[order] = np.clip(limit - np.r_[0.0, until[:-1]], 0.0, caps[order]) if len(order) else 0.0
    stop = int(np.searchsorted(until, limit))
    return (label * float(demand[order[stop]]) if stop < len(order) else 0.0), mu


def _one_neuron_a_class(problem: Problem, tol: float, clock: SolverClock) -> Answer | None:
    """Orthogonally separable data: each class's least vector, blind to the other class."""
    if problem.soft:
        return None
    rows, demand = problem.rows, problem.demand
    labels = np.unique(problem.y)
    own = problem.y[:, None] == labels
    centres = own.T.astype(float) @ rows
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), _EPS)
    cosines = rows @ centres.T
    # necessary: products with one's own class are positive, hence with its sum, and so on
    # cosines of a million rows; what passes wrongly is caught by the verification
    if not np.where(own, cosines > 0, cosines <= 1e-12).all():
        return None
    U, mu = np.zeros_like(centres), np.zeros(len(rows))
    for j in range(len(labels)):
        part = least_vector(rows[own[:, j]], demand[own[:, j]], expired=clock.expired)
        if not part.exists:
            return None
        U[j], mu[own[:, j]] = part.w, part.mu
    return Neurons(U=_cleared(problem, U, own, centres, cosines, tol), signs=labels), mu


def _cleared(
    problem: Problem,
    U: Float[np.ndarray, "q r"],
    own: Bool[np.ndarray, "k q"],
    centres: Float[np.ndarray, "q r"],
    cosines: Float[np.ndarray, "k q"],
    tol: float,
) -> Float[np.ndarray, "q r"]:
    """The neurons, moved off the hyperplanes of rows so long that rounding would eat their margins.

    A step along its own class's centre raises a neuron on all rows of the class, a step against the other
    centre lowers it on the others; both are as short as rounding.
    """
    pads = _pads(problem.demand, U, tol)
    needy = pads > 0
    if not needy.any():
        return U
    pad = pads.max()
    own, cosines, demand = own[needy], cosines[needy], problem.demand[needy]
    heights = problem.rows[needy] @ U.T
    moved = U.copy()
    for j in range(len(U)):
        for i in range(len(U)):
            rows = own[:, i]
            lacking = demand[rows] + pad - heights[rows, j] if i == j else heights[rows, j] + pad
            step = float((lacking / cosines[rows, i]).max(initial=0.0))
            moved[j] += step * centres[i] if i == j else -step * centres[i]
    return moved


def _pads(demand: Float[np.ndarray, " k"], U: Vectors, tol: float) -> Float[np.ndarray, " k"]:
    """By how much to exceed demands so small that the rounding of neurons this large would eat the margins.

    Where it costs the margin less than a small share of the tolerance: not at all.
    """
    # of the margins of unit rows, in the data's coordinates too
    rounding = float(4 * (U.shape[1] + 8) * _EPS * np.linalg.norm(U, axis=1).sum())
    return np.where(demand < rounding / (_NEGLIGIBLE * tol), rounding, 0.0)


def _one_pattern(problem: Problem, tol: float, _clock: SolverClock) -> Answer | None:
    """Spike-free data: some optimum is active on all rows, and those are independent."""
    rows, labels = problem.rows, np.unique(problem.y)
    if problem.soft or rows.shape[0] != rows.shape[1] or not is_spike_free(rows):
        return None
    pattern = _Pattern(
        dual_basis=np.linalg.inv(rows).T, own=problem.y[:, None] == labels, demand=problem.demand
    )
    nothing = np.zeros(len(rows))
    try:
        rough = resolved(problem, Neurons(U=pattern.vectors(nothing, nothing), signs=labels))
    except SolverError:
        return None
    if len(rough.neurons) != len(labels):  # one has vanished beside the other
        return None
    heights = rows @ rough.neurons.U.T
    shared = np.maximum(heights.sum(axis=1) - heights[pattern.own], 0.0) if len(labels) == 2 else nothing
    excess = np.maximum(heights[pattern.own] - shared - problem.demand, 0.0)
    shared, excess, mu = pattern.polished(shared, excess) or (shared, excess, rough.mu)
    excess = excess + _pads(problem.demand, pattern.vectors(shared, excess), tol)
    return Neurons(U=pattern.vectors(shared, excess), signs=labels), mu


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pattern:
    """The program over the pattern of all rows, in terms of the neurons' heights on the independent rows v_n.

    On row n the neuron of the other label has height ``shared_n >= 0`` and that of its own ``demand_n +
    shared_n + excess_n``: the margins are met, and these are all the solutions that do. The derivative of the
    objective by row n's height of neuron j is ``v_n^* . u_j/||u_j||``, v_n^* the dual basis; on the own label
    it is the multiplier mu_n.
    """

    dual_basis: Float[np.ndarray, "r r"]
    own: Bool[np.ndarray, "r q"]
    demand: Float[np.ndarray, " r"]

    def vectors(self, shared: Float[np.ndarray, " r"], excess: Float[np.ndarray, " r"]) -> Vectors:
        """The neurons with these heights."""
        heights = shared[:, None] + self.own * (self.demand + excess)[:, None]
        return np.asarray(heights.T @ self.dual_basis)

    def polished(
        self, shared: Float[np.ndarray, " r"], excess: Float[np.ndarray, " r"]
    ) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"], Float[np.ndarray, " r"]] | None:
        """The last digits, and mu, by Newton's method on the heights that an interior point keeps from zero.

        None if the guess of which these are was wrong.
        """
        U = self.vectors(shared, excess)
        total, prices = float(np.linalg.norm(U, axis=1).sum()), self._prices(U)
        free = np.r_[shared > total * prices.sum(axis=1), excess > total * prices[self.own]]
        z = np.where(free, np.r_[shared, excess], 0.0)
        moves = [np.vstack([self.dual_basis, self.dual_basis * own[:, None]])[free] for own in self.own.T]
        for _ in range(6):  # quadratic from about 1e-5: three do, the others repeat the last digits
            U = self.vectors(*np.split(z, 2))
            slopes = [move @ u / np.linalg.norm(u) for move, u in zip(moves, U, strict=True)]
            curvature = sum(
                (move @ move.T - np.outer(slope, slope)) / np.linalg.norm(u)
                for move, slope, u in zip(moves, slopes, U, strict=True)
            )
            z[free] -= np.linalg.lstsq(np.asarray(curvature), np.sum(slopes, axis=0), rcond=None)[0]
        prices = self._prices(self.vectors(*np.split(z, 2)))
        mu = prices[self.own]
        # heights and prices below zero by less are rounding
        if min(z.min() / total, mu.min(), prices.sum(axis=1).min()) < -1e-10:
            return None
        shared, excess = np.split(np.maximum(z, 0.0), 2)
        return shared, excess, np.maximum(mu, 0.0)

    def _prices(self, U: Vectors) -> Float[np.ndarray, "r q"]:
        return np.asarray(self.dual_basis @ (U / np.linalg.norm(U, axis=1, keepdims=True)).T)
