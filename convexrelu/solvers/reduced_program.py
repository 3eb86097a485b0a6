"""The convex program of a few neurons: only the activity of each on its own class is fixed.

A neuron of output sign s helps the rows of label s and hurts the others. If its activity on its own class is
fixed to a mask D, then ``min sum ||u_i|| s.t. sum_i [ D_in v_n^T u_i on its own class, -(v_n^T u_i)_+ on the
other ] >= demand_n`` is convex without any cone constraint, a restriction of the true problem (``(z)_+ >= D
z``), and exact if D is the mask of an optimum.

Terms of the second kind are linear, ``-v_n^T u_i`` or 0, as long as the row keeps to its side of the neuron;
both are bounds of the true one, so that a row which changed sides is noticed afterwards and gets a hinge
variable. Few do. Where slack has a price, most rows are far from their margins: those far above are left out,
and those far below pay in proportion to what is missing, a linear cost without a constraint. A row that
leaves its side of the margin is noticed in the same way. Solved by Clarabel, on sparse arrays assembled here.
"""

from __future__ import annotations

from dataclasses import dataclass

import clarabel
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from convexrelu.errors import SolverError
from convexrelu.solvers.problem import Neurons, Problem
from convexrelu.solvers.work import ENTRY

__all__ = ["Reduced", "ReducedProgram", "own_masks", "resolved"]

# Asked of the interior-point method; what it reached is measured by the caller, never assumed.
_TOLERANCE = 1e-10
_NEAR = 0.02  # rows whose cosine with a neuron is below this may well change sides: they start with a hinge
_FAR = 0.1  # of a row's demand: rows farther from their margins than this are expected to stay on their side
_IDLE = 1e-7  # share of the largest neuron below which one is the interior-point method's idea of zero


@dataclass(frozen=True, kw_only=True, eq=False)
class Reduced:
    """The solver's answer, approximate and to be verified.

    Attributes
    ----------
    neurons : Neurons
        One at most for each mask.
    mu : (k,) float array
        Multipliers of the margins.
    settled : bool
        Whether every row kept to the side of each neuron that was assumed; if not, the program was a
        relaxation, and the next one has the hinges that were missing.
    work : float
        Seconds that it should have taken.
    """

    neurons: Neurons
    mu: Float[np.ndarray, " k"]
    settled: bool
    work: float


def own_masks(problem: Problem, neurons: Neurons) -> Bool[np.ndarray, "q k"]:
    """Activities of the neurons on the rows of their own class, False on the others."""
    masks: np.ndarray = (neurons.U @ problem.rows.T > 0) & (neurons.signs[:, None] == problem.y)
    return masks


_ABSURD = 1e100  # no neuron and no multiplier of unit rows is as large; its square would overflow


class _UnboundedError(SolverError):
    """The program has no optimum, as rows without a constraint of their own go on earning beyond it."""


class ReducedProgram:
    """A growing set of neurons, each with its own-class mask, and the rows that have a hinge for it.

    Parameters
    ----------
    problem : Problem
        The rows and labels.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._directions = problem.empty_neurons
        self._masks = np.zeros((0, len(problem.y)), dtype=bool)
        self._hinges = np.zeros((0, len(problem.y)), dtype=bool)
        self._keys: list[bytes] = []
        self._near = np.full(len(problem.y), not problem.soft)  # rows that have a constraint in any case
        self._dropped: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._masks)

    def add(self, neurons: Neurons) -> int:
        """Add the neurons that are active on their own class in a new way; returns how many these are."""
        masks = own_masks(self.problem, neurons)
        present, new = set(self._keys), []
        for i, mask in enumerate(masks):
            key = np.packbits(np.r_[mask, neurons.signs[i] > 0]).tobytes()
            if mask.any() and key not in present:
                present.add(key)
                self._keys.append(key)
                new.append(i)
        self._directions = self._directions.joined(neurons.kept(np.array(new, dtype=np.int64)).normalized())
        self._masks = np.vstack([self._masks, masks[new]])
        self._hinges = np.vstack([self._hinges, np.zeros((len(new), len(self.problem.y)), dtype=bool)])
        return len(new)

    def _drop(self, idle: Bool[np.ndarray, " q"]) -> None:
        """Drop idle neurons. One that was dropped before and has come back stays, so that this ends."""
        stays = ~idle | np.array([key in self._dropped for key in self._keys], dtype=bool)
        self._dropped.update(key for key, stay in zip(self._keys, stays, strict=True) if not stay)
        self._keys = [key for key, stay in zip(self._keys, stays, strict=True) if stay]
        self._directions = self._directions.kept(stays)
        self._masks, self._hinges = self._masks[stays], self._hinges[stays]

    def solve(
        self,
        *,
        penalty: float,
        size: float,
        outputs: Float[np.ndarray, " k"] | None = None,
        tol: float = _TOLERANCE,
        seconds: float = np.inf,
    ) -> Reduced:
        """Solve the program of all neurons so far.

        `penalty` prices slack where the problem forbids it. `size` is an estimate of the optimal value: the
        solver works in units of it, where its stopping rules mean what they say, to the relative gap `tol`.
        `outputs` are the margins of a network near the optimum; they say which rows are far from theirs.
        Raises SolverError if the solver fails, or takes longer than so many seconds.
        """
        rows, demand = self.problem.rows, self.problem.demand
        opposite = self._directions.signs[:, None] != self.problem.y
        heights = self._directions.U @ rows.T
        self._hinges |= opposite & (np.abs(heights) <= _NEAR)
        sides = np.where(opposite, -((heights > 0) & ~self._hinges).astype(float), self._masks)
        far = self._far(outputs)
        try:
            neurons, mu, work = self._solve(sides, far, penalty, size, tol, seconds)
        except _UnboundedError:  # the network that says which rows are far was not near the optimum
            self._near[:] = True
            far = self._far(outputs)
            neurons, mu, work = self._solve(sides, far, penalty, size, tol, seconds)
        sizes = np.linalg.norm(neurons.U, axis=1)
        live = sizes > _IDLE * sizes.max(initial=0.0)
        self._turn(neurons, sizes, live)
        reached = neurons.U @ rows.T
        # a wrong side that costs less of a row's demand is the solver's rounding
        crossed = opposite & ~self._hinges & (np.where(sides < 0, -reached, reached) > 1e-9 * demand)
        crossed &= far <= 0
        self._hinges |= crossed
        settled = not crossed.any()
        if far.any():
            excess = far * (self.problem.outputs(neurons.kept(live)) - demand)
            left = (far != 0) & (excess < -1e-9 * demand)
            self._near |= left
            settled = settled and not left.any()
        if settled:  # else a neuron may come to be needed when the missing hinges are there
            self._drop(~live)
        return Reduced(neurons=neurons.kept(live), mu=mu, settled=settled, work=work)

    def _far(self, outputs: Float[np.ndarray, " k"] | None) -> Int[np.ndarray, " k"]:
        """Return 1 for rows far above their margins, -1 far below, 0 for those that get a constraint."""
        if outputs is None:
            return np.zeros(len(self.problem.y), dtype=np.int64)
        excess = outputs / self.problem.demand - 1
        far: np.ndarray = np.where(np.abs(excess) > _FAR, np.sign(excess), 0).astype(np.int64)
        return np.where(self._near, 0, far)

    def _turn(self, neurons: Neurons, sizes: Float[np.ndarray, " q"], live: Bool[np.ndarray, " q"]) -> None:
        """Remember where the neurons point now; one that vanished keeps its last direction."""
        turned = self._directions.U.copy()
        turned[live] = neurons.U[live] / sizes[live, None]
        self._directions = Neurons(U=turned, signs=self._directions.signs)

    def _solve(
        self,
        sides: Float[np.ndarray, "q k"],
        far: Int[np.ndarray, " k"],
        penalty: float,
        size: float,
        tol: float,
        seconds: float,
    ) -> tuple[Neurons, Float[np.ndarray, " k"], float]:
        """Return neurons, multipliers and the work; ``sides`` are the factors of the linear terms."""
        problem, q, r = self.problem, len(self), self.problem.rows.shape[1]
        pairs = np.argwhere(self._hinges & (far <= 0))
        caps = np.minimum(problem.caps, penalty)
        near, below = np.flatnonzero(far == 0), np.flatnonzero(far < 0)
        k = len(near)
        gains = (sides[:, below] * caps[below]) @ problem.rows[below]
        hinge_cost = np.where(far[pairs[:, 1]] < 0, caps[pairs[:, 1]], 0.0)
        cost = np.r_[-gains.ravel(), np.ones(q), hinge_cost, caps[near]]
        rhs = np.r_[-problem.demand[near] / size, np.zeros(2 * len(pairs) + k + q * (r + 1))]
        cones = [clarabel.NonnegativeConeT(2 * (k + len(pairs))), *[clarabel.SecondOrderConeT(r + 1)] * q]
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tol
        settings.time_limit = seconds
        blocks = _constraints(problem.rows, sides, pairs, near)
        # Of Clarabel's two factorisations the simpler one is the faster up to about so many entries
        # (measured: 1.5 to 4 times at 7e4 entries of 200 rows); its own choice falls on the other from 4e4.
        if blocks.nnz <= 100_000:
            settings.direct_solve_method = "qdldl"
        linear = sparse.csc_matrix((len(cost), len(cost)))
        try:
            answer = clarabel.DefaultSolver(linear, cost, blocks, rhs, cones, settings).solve()
        except Exception as error:
            raise SolverError(
                f"the reduced program of {q} neurons failed: Clarabel raised {error!r}"
            ) from error
        if str(answer.status) == "DualInfeasible" and far.any():
            raise _UnboundedError("rows far below their margins are worth more than any neuron costs")
        usable = {"Solved", "AlmostSolved", "InsufficientProgress", "MaxIterations"}
        if str(answer.status) not in usable or not np.all(np.abs([*answer.x, *answer.z]) < _ABSURD):
            raise SolverError(f"the reduced program of {q} neurons failed: Clarabel says {answer.status}")
        x, z = np.asarray(answer.x), np.asarray(answer.z)
        neurons = Neurons(U=size * x[: q * r].reshape(q, r), signs=self._directions.signs)
        mu = np.where(far < 0, caps, 0.0)
        mu[near] = np.maximum(z[:k], 0.0)
        return neurons, mu, ENTRY * answer.iterations * (blocks.nnz + len(cost))


def resolved(problem: Problem, neurons: Neurons) -> Reduced:
    """Return the best neurons with the activities of the given ones, one for each of these.

    Raises SolverError if that fails, or no neuron is active on its own class.
    """
    program = ReducedProgram(problem)
    size = neurons.size
    if size == 0 or program.add(neurons) == 0:
        raise SolverError("no neuron is active on its own class")
    for _ in range(20):  # almost always 1 to 3, and each only adds hinges
        answer = program.solve(penalty=1e4 * max(size, 1.0), size=size)
        if answer.settled:
            return answer
    raise SolverError(f"the reduced program of {len(program)} neurons kept changing sides")


def _constraints(
    rows: Float[np.ndarray, "k r"],
    sides: Float[np.ndarray, "q k"],
    pairs: np.ndarray,
    near: Int[np.ndarray, " m"],
) -> sparse.csc_matrix:
    """The matrix A of ``A x + s = b``, s in the cones; columns: u (q r), sizes (q), hinges, slacks (m).

    The rows `near` have a margin; a hinge of another only has its own two inequalities.
    """
    q, r, k = len(sides), rows.shape[1], len(near)
    n_hinges = len(pairs)
    neuron, row = pairs.T
    used_row, used_neuron = np.nonzero(sides[:, near].T)
    linear = sparse.csr_array(
        (
            (sides[used_neuron, near[used_row], None] * rows[near[used_row]]).ravel(),
            (np.repeat(used_row, r), (used_neuron[:, None] * r + np.arange(r)).ravel()),
        ),
        shape=(k, q * r),
    )
    place = np.full(len(rows), -1)
    place[near] = np.arange(k)
    own = np.flatnonzero(place[row] >= 0)
    hinge_of_row = sparse.csr_array((np.ones(len(own)), (place[row[own]], own)), shape=(k, n_hinges))
    columns = neuron[:, None] * r + np.arange(r)
    through = sparse.csr_array(
        (rows[row].ravel(), (np.repeat(np.arange(n_hinges), r), columns.ravel())), shape=(n_hinges, q * r)
    )
    identity = sparse.eye_array(n_hinges)
    cone_rows = np.arange(q * (r + 1)).reshape(q, r + 1)
    size_part = sparse.csr_array((np.ones(q), (cone_rows[:, 0], np.arange(q))), shape=(q * (r + 1), q))
    u_part = sparse.csr_array(
        (np.ones(q * r), (cone_rows[:, 1:].ravel(), np.arange(q * r))), shape=(q * (r + 1), q * r)
    )
    grid: list[list[sparse.sparray | None]] = [
        [-linear, sparse.csr_array((k, q)), hinge_of_row, -sparse.eye_array(k)],  # margins
        [None, None, -identity, None],  # hinge >= 0
        [through, None, -identity, None],  # hinge >= v^T u
        [None, None, None, -sparse.eye_array(k)],  # slack >= 0
        [-u_part, -size_part, None, None],  # (size, u) in the second-order cone
    ]
    if n_hinges == 0:
        grid = [
            [part for j, part in enumerate(line) if j != 2] for i, line in enumerate(grid) if i not in (1, 2)
        ]
    return sparse.csc_matrix(sparse.block_array(grid, format="csc"))
