"""The dual variable and the affine answers of a set of branches at once: one semidefinite program.

With the notation of :mod:`convexrelu.oracle.relaxation`, ``max demand^T lam`` subject to, on every
branch, ``[[diag(mu), B^T], [B, I]] >= 0``, ``sum mu <= 1``, and affine answers within ``0 <= t <= lam``, is
linear in (lam, t0, T, mu): its value is a lower bound on P*, whatever rows and branches are taken. In
``t = M_0 + M sigma``, sigma = +-1, an answer is within its limits iff ``|M_ji| <= h_ji``, ``sum_i h_ji <=
M_j0`` and ``M_j0 + sum_i h_ji <= lam_j``.

A primal-dual interior-point method (HKM direction, Mehrotra's corrector; [1]_), written out because of what
general solvers do not know: the Hessian of a branch is a sum of Kronecker products, h is eliminated by hand,
branches only meet in lam, and every iterate is feasible, so that stopping at any time leaves a bound. Nothing
it returns is trusted: T, t0 and mu are evaluated afresh.

References
----------
.. [1] M. J. Todd, "Semidefinite optimization", Acta Numerica 10 (2001), sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cho_solve, solve_triangular
from scipy.linalg import cholesky as lower_root

from convexrelu._parallel import run_tasks
from convexrelu.solvers.semidefinite.branch import Block, Gradient, Point
from convexrelu.solvers.semidefinite.newton import Newton, cholesky

__all__ = ["Answer", "solve_jointly"]

_CENTRING = 0.2  # the least before the dual side is feasible
_WORTH_A_THREAD = 400  # unknowns of a branch's Newton system, which takes as long as to hand it over then


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """The best feasible point met, and what it says about where to branch.

    Attributes
    ----------
    lam : (k,) float array
        Sizes of the dual variable's entries, positive.
    points : tuple of Point
        One for each block.
    value : float
        ``demand @ lam`` over the largest bound of the blocks (and over what the caps ask for).
    weights : (number of blocks,) float array
        The blocks' multipliers, which sum to one: what their bounds matter.
    doubts : tuple of (p,) float arrays
        For each block, how undecided the activity of each free row is, times what it matters.
    finished : bool
        Whether the program was solved to the tolerance.
    iterations : int
        How many it took.
    """

    lam: Float[np.ndarray, " k"]
    points: tuple[Point, ...]
    value: float
    weights: Float[np.ndarray, " b"]
    doubts: tuple[np.ndarray, ...]
    finished: bool
    iterations: int


def solve_jointly(
    blocks: Sequence[Block],
    demand: Float[np.ndarray, " k"],
    caps: Float[np.ndarray, " k"],
    lam: Float[np.ndarray, " k"],
    *,
    tol: float,
    expired: Callable[[], bool],
) -> Answer:
    """Maximise ``demand @ lam`` over 0 < lam < caps and all blocks, from a positive lam.

    Stops at the relative duality gap `tol`, when `expired` says so, or when rounding has taken over.
    """
    # On rows or prices of very many decades numbers leave float64's range: the steps then end, and the best
    # answer before that stands. Whatever it is, others evaluate what it proves.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        state = _State(blocks, demand, caps, lam)
        answer = state.answer(finished=False)
        for _ in range(60):
            finished = state.complementarity * state.size <= tol * answer.value
            if finished or expired() or not state.advance():
                break
            current = state.answer(finished=False)
            answer = current if current.value > answer.value else answer
        # multipliers are those of the last iterate: the nearest to the optimum
        last = state.answer(finished=finished)
    return Answer(
        lam=answer.lam,
        points=answer.points,
        value=answer.value,
        weights=last.weights,
        doubts=last.doubts,
        finished=finished,
        iterations=last.iterations,
    )


@dataclass(kw_only=True, eq=False)
class _Pair:
    """Primal and dual slacks and matrices: complementary in the end."""

    s: np.ndarray
    z: np.ndarray
    S: np.ndarray
    Z: np.ndarray

    def invert(self) -> None:
        V = np.linalg.inv(self.S)
        self.V = 0.5 * (V + V.T)

    def product(self) -> float:
        return float(self.s @ self.z + (self.S * self.Z).sum())

    def dual_directions(
        self, target: float, ds: np.ndarray, dS: np.ndarray, second: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        scaled = self.Z @ dS @ self.V
        dz = (target - second[0] - self.z * ds) / self.s - self.z
        dZ = target * self.V - second[1] - self.Z - 0.5 * (scaled + scaled.T)
        return dz, dZ


@dataclass(frozen=True, kw_only=True, eq=False)
class _Move:
    """A direction of one block: its variables, slacks and matrices, primal and dual."""

    point: Point
    ds: np.ndarray
    matrix: np.ndarray
    dz: np.ndarray
    dual_matrix: np.ndarray


class _State:
    """An iterate of the interior-point method; every primal iterate is strictly feasible."""

    def __init__(
        self,
        blocks: Sequence[Block],
        demand: Float[np.ndarray, " k"],
        caps: Float[np.ndarray, " k"],
        lam: Float[np.ndarray, " k"],
    ) -> None:
        self.blocks, self.demand = blocks, demand
        self.capped = np.flatnonzero(np.isfinite(caps))
        self.caps = caps[self.capped]
        points = [block.start(lam) for block in blocks]
        shrink = 0.8 / self._scale(lam, points)  # away from the boundary
        self.lam = shrink * lam
        self.points = [Point(M=shrink * v.M, h=shrink * v.h, mu=0.9 * v.mu) for v in points]
        self.dual_feasible, self.iterations = False, 0
        primal = [
            (block.slacks(self.lam, v), block.lmi(self.lam, v))
            for block, v in zip(blocks, self.points, strict=True)
        ]
        self.size = len(self._own_slacks(self.lam)) + sum(len(s) + len(S) for s, S in primal)
        start = 10.0 * float(demand @ self.lam) / self.size  # of the objective: large is safe
        self.own = _Pair(s=self._own_slacks(self.lam), z=np.zeros(0), S=np.zeros((0, 0)), Z=np.zeros((0, 0)))
        self.own.z = start / self.own.s
        self.pairs = [_Pair(s=s, z=start / s, S=S, Z=start * np.linalg.inv(S)) for s, S in primal]
        self._refresh()

    def _own_slacks(self, lam: np.ndarray, constant: float = 1.0) -> np.ndarray:
        return np.concatenate([lam, constant * self.caps - lam[self.capped]])

    def _own_transposed(self, slack: np.ndarray) -> np.ndarray:
        lam = slack[: len(self.lam)].copy()
        lam[self.capped] -= slack[len(self.lam) :]
        return lam

    def _scale(self, lam: np.ndarray, points: Sequence[Point]) -> float:
        bounds = [block.bound(lam, point) for block, point in zip(self.blocks, points, strict=True)]
        return max(*bounds, float((lam[self.capped] / self.caps).max(initial=0.0)), 1e-300)

    def _refresh(self) -> None:
        for pair in self.pairs:
            pair.invert()
        self.own.invert()
        total = self.own.product() + sum(pair.product() for pair in self.pairs)
        self.complementarity = total / self.size

    def answer(self, *, finished: bool) -> Answer:
        weights = np.array([pair.z[-1] for pair in self.pairs])
        doubts = []
        for block, point, pair in zip(self.blocks, self.points, self.pairs, strict=True):
            squares = pair.Z[0, 1 : block.p + 1] ** 2
            sizes = pair.Z[0, 0] * np.diag(pair.Z)[1 : block.p + 1]
            # where rounding has left nothing of a bit, there is no doubt about it either
            moments = np.divide(squares, sizes, out=np.ones(block.p), where=sizes > 0)
            doubts.append(point.mu[1:] * (1 - moments))
        return Answer(
            lam=self.lam,
            points=tuple(self.points),
            value=float(self.demand @ self.lam) / self._scale(self.lam, self.points),
            weights=weights / weights.sum(),
            doubts=tuple(doubts),
            finished=finished,
            iterations=self.iterations,
        )

    def advance(self) -> bool:
        """One predictor and corrector step; False if rounding leaves nothing to gain."""
        try:
            self._factor()
            centring = 0.0 if self.dual_feasible else _CENTRING
            flat = [(np.zeros(1), np.zeros((1, 1)))] * len(self.pairs)
            lam, own, moves = self._direction(centring * self.complementarity, np.zeros(1), flat)
            primal, dual = self._steps(lam, own, moves)
            shrunk = self._product_after(min(primal, 1.0), min(dual, 1.0), lam, own, moves)
            least = 0.1 if self.dual_feasible else _CENTRING
            centring = min(max((shrunk / self.complementarity) ** 2, least), 1.0)
            second = [
                (move.ds * move.dz, _symmetric(move.dual_matrix @ move.matrix @ pair.V))
                for move, pair in zip(moves, self.pairs, strict=True)
            ]
            target = centring * self.complementarity
            lam, own, moves = self._direction(target, self._own_slacks(lam, 0.0) * own, second)
            primal, dual = self._steps(lam, own, moves)
        except (LinAlgError, ValueError):  # the latter of numbers that are not finite
            return False
        primal, dual = min(0.9 * primal, 1.0), min(0.9 * dual, 1.0)  # of the way to the boundary
        if not min(primal, dual) > 1e-3:  # rounding has taken over
            return False
        self._move(primal, dual, lam, own, moves)
        return True

    def _factor(self) -> None:
        tasks = [
            (block, pair.z / pair.s, pair.Z, pair.V)
            for block, pair in zip(self.blocks, self.pairs, strict=True)
        ]
        if max(block.unknowns for block in self.blocks) > _WORTH_A_THREAD:
            self.newtons = run_tasks(Newton, tasks, in_threads=True)
        else:
            self.newtons = [Newton(*task) for task in tasks]
        ratios = self.own.z / self.own.s
        system = np.diag(ratios[: len(self.lam)])
        system[self.capped, self.capped] += ratios[len(self.lam) :]
        self.system = cholesky(system + sum(newton.schur for newton in self.newtons))

    def _direction(
        self, target: float, own_second: np.ndarray, second: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray, list[_Move]]:
        right = self.demand + self._own_transposed((target - own_second) / self.own.s)
        gradients: list[Gradient] = []
        reduced = []
        for block, pair, newton, (slack, matrix) in zip(
            self.blocks, self.pairs, self.newtons, second, strict=True
        ):
            gradients.append(block.transposed((target - slack) / pair.s, target * pair.V - matrix))
            reduced.append(newton.reduced(gradients[-1]))
            right = right + reduced[-1][1]
        lam = cho_solve(self.system, right)
        own = (target - own_second - self.own.z * self._own_slacks(lam, 0.0)) / self.own.s - self.own.z
        moves = []
        for block, pair, newton, gradient, (rest, _), terms in zip(
            self.blocks, self.pairs, self.newtons, gradients, reduced, second, strict=True
        ):
            point = newton.expanded(gradient, rest, lam)
            ds, dS = block.slacks(lam, point, constant=0.0), block.lmi(lam, point, constant=0.0)
            dz, dZ = pair.dual_directions(target, ds, dS, terms)
            moves.append(_Move(point=point, ds=ds, matrix=dS, dz=dz, dual_matrix=dZ))
        return lam, own, moves

    def _steps(self, lam: np.ndarray, own: np.ndarray, moves: Sequence[_Move]) -> tuple[float, float]:
        """Return the largest steps that keep the primal and the dual side feasible."""
        primal, dual = _reach(self.own.s, self._own_slacks(lam, 0.0)), _reach(self.own.z, own)
        for pair, move in zip(self.pairs, moves, strict=True):
            primal = min(primal, _reach(pair.s, move.ds), _matrix_reach(pair.S, move.matrix))
            dual = min(dual, _reach(pair.z, move.dz), _matrix_reach(pair.Z, move.dual_matrix))
        return primal, dual

    def _product_after(
        self, primal: float, dual: float, lam: np.ndarray, own: np.ndarray, moves: Sequence[_Move]
    ) -> float:
        s = self.own.s + primal * self._own_slacks(lam, 0.0)
        total = float(s @ (self.own.z + dual * own))
        for pair, move in zip(self.pairs, moves, strict=True):
            total += float((pair.s + primal * move.ds) @ (pair.z + dual * move.dz))
            total += float(((pair.S + primal * move.matrix) * (pair.Z + dual * move.dual_matrix)).sum())
        return max(total, 0.0) / self.size

    def _move(
        self, primal: float, dual: float, lam: np.ndarray, own: np.ndarray, moves: Sequence[_Move]
    ) -> None:
        self.lam = self.lam + primal * lam
        self.own.s, self.own.z = self._own_slacks(self.lam), self.own.z + dual * own
        self.points = [v.plus(primal, move.point) for v, move in zip(self.points, moves, strict=True)]
        for block, point, pair, move in zip(self.blocks, self.points, self.pairs, moves, strict=True):
            pair.s, pair.S = block.slacks(self.lam, point), block.lmi(self.lam, point)
            pair.z, pair.Z = pair.z + dual * move.dz, pair.Z + dual * move.dual_matrix
        self.dual_feasible = self.dual_feasible or dual == 1.0
        self.iterations += 1
        self._refresh()


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (matrix + matrix.T))


def _reach(value: np.ndarray, direction: np.ndarray) -> float:
    """The largest step for which ``value + step * direction`` is not negative."""
    fastest = float((-direction / value).max(initial=0.0))
    return 1.0 / fastest if fastest > 0 else np.inf


def _matrix_reach(value: np.ndarray, direction: np.ndarray) -> float:
    """The largest step for which ``value + step * direction`` is positive semidefinite."""
    root = lower_root(value, lower=True, check_finite=False)
    half = solve_triangular(root, direction, lower=True, check_finite=False)
    whole = solve_triangular(root, half.T, lower=True, check_finite=False)
    lowest = float(np.linalg.eigvalsh(_symmetric(whole))[0])
    return -1.0 / lowest if lowest < 0 else np.inf
