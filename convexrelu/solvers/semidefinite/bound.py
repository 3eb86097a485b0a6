"""A dual variable with a proven bound in any dimension: a semidefinite program, then branch and bound.

Where the exact oracle is out of reach, so is the norm of the dual variable that column generation leaves
behind. Here lam is chosen for a bound that is cheap to check: that of
:mod:`convexrelu.oracle.relaxation`, maximised over lam and all its numbers at once. Then the branches
that hold the bound down are split, on the row whose activity is the least decided, and all are solved again;
with every row decided the bound would be exact on the rows taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from convexrelu._parallel import one_blas_thread
from convexrelu.oracle.relaxation import Leaf, Relaxation, relaxed_bound
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons, Problem, spread
from convexrelu.solvers.semidefinite.branch import Block, Point, Tree
from convexrelu.solvers.semidefinite.interior_point import Answer, solve_jointly

__all__ = ["SemidefiniteBound", "semidefinite_bound"]

# The first round has as many rows as a slow core does in this share of the time, at so many operations a
# second; then it is known how fast this one is. The method takes seven to thirty iterations.
_FIRST_SHARE, _SLOW_CORE, _ITERATIONS = 0.05, 5e9, 25
_LEAST_ROWS = 10
_DIGITS = 10  # significant ones kept of T, t0 and mu: their rounding is far below the gaps bounded here


@dataclass(frozen=True, kw_only=True, eq=False)
class SemidefiniteBound:
    """A dual variable and the proof of its bound.

    Attributes
    ----------
    mu : (k,) float array
        Multipliers in the problem's coordinates, scaled to dual feasibility.
    relaxation : Relaxation
        Proves it; in terms of the data's rows.
    bound : float
        ``demand @ mu``, in the problem's scale: 0 if time allowed for nothing.
    finished : bool
        Whether it ended for another reason than time: the target is reached, or no branch is worth splitting.
    """

    mu: Float[np.ndarray, " k"]
    relaxation: Relaxation
    bound: float
    finished: bool = False


def semidefinite_bound(
    problem: Problem, mu: Float[np.ndarray, " k"], neurons: Neurons, *, clock: SolverClock, target: float
) -> SemidefiniteBound:
    """Return the best bound found before the clock expires; sooner once it reaches `target`.

    Rows enter if mu is positive there, those of the largest multipliers first: as many as there is time for.
    The bound is in the problem's scale.
    """
    # the matrices are small: on a busy machine, threads that wait for each other cost several times the work
    with one_blas_thread():
        return _search(problem, mu, neurons, clock=clock, target=target)


def _search(
    problem: Problem, mu: Float[np.ndarray, " k"], neurons: Neurons, *, clock: SolverClock, target: float
) -> SemidefiniteBound:
    best = SemidefiniteBound(mu=np.zeros(len(problem.y)), relaxation=Relaxation(), bound=0.0)
    order = _wanted(problem, mu, neurons)
    work = _work(problem.y[order], problem.rows.shape[1])  # of an iteration, on the first so many rows
    rows = _affordable(order, work, _FIRST_SHARE * clock.left * _SLOW_CORE)
    lam, taken = _inside(mu[rows]), len(rows)
    trees = [Tree(sign=1.0), Tree(sign=-1.0)]
    while not clock.expired():
        started = clock.elapsed
        part = problem.subset(rows)
        X = _in_own_span(part.rows)
        blocks = [Block(X, part.y, tree) for tree in trees]
        gap = 1.0 - best.bound / target
        tolerance = float(np.clip(0.05 * gap, 1e-5, 3e-3))
        answer = solve_jointly(blocks, part.demand, part.caps, lam, tol=tolerance, expired=clock.expired)
        found = _proven(problem, rows, blocks, answer)
        best = found if found.bound > best.bound else best
        clock.note(
            "relaxation",
            objective=target * problem.scale,
            bound=best.bound * problem.scale,
            n_neurons=len(trees),
        )
        if best.bound >= target:
            return replace(best, finished=True)
        took = max(clock.elapsed - started, 1e-9)
        if len(blocks) == 2 and taken < len(order):  # now that it is known how fast this machine is
            speed = answer.iterations * work[taken - 1] / took
            more = _affordable(order, work, clock.left * speed)
            if len(more) > taken:
                rows, lam, taken = more, _inside(mu[more]), len(more)
                continue
        candidates = _to_split(blocks, answer)
        if not (candidates or clock.expired()):
            return replace(best, finished=taken == len(order))
        # a branch may cost a quarter more in the next round; each holds a dense matrix of answers, in memory
        # and in the certificate, so that there is an end to them
        room = int(min(len(trees) * clock.left / took / 1.25, 2000)) - len(trees)
        if room < 1:
            break
        trees = _split(blocks, answer, candidates[:room])
        lam = answer.lam
        if len(blocks) == 2:  # no row is fixed yet: from here on without those that play no part
            used = _carrying(answer.lam, trees)
            trees = [tree.renumbered(np.cumsum(used) - 1) for tree in trees]
            rows, lam = rows[used], lam[used]
    return best


def _inside(mu: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
    """Where the interior-point method starts: multipliers that are all positive."""
    return mu + 1e-2 * max(float(mu.mean()), 1e-300)


def _carrying(lam: Float[np.ndarray, " q"], trees: Sequence[Tree]) -> Bool[np.ndarray, " q"]:
    """Which rows matter to the dual variable, or are fixed."""
    used: np.ndarray = lam > 1e-4 * lam.max()
    for tree in trees:
        used[list(tree.rows)] = True
    return used


def _wanted(problem: Problem, mu: Float[np.ndarray, " k"], neurons: Neurons) -> Int[np.ndarray, " q"]:
    """Return the support of mu, the largest first; where it is small, rows nearest to their margins as well.

    More of those were found to cost more than they gain.
    """
    support = np.flatnonzero(mu > 1e-7 * mu.max(initial=0.0))
    support = support[np.argsort(-mu[support], kind="stable")]
    room = problem.outputs(neurons) / problem.demand if len(neurons) else np.ones(len(mu))
    room[support] = np.inf
    others = np.argsort(room, kind="stable")[: len(mu) - len(support)]
    return np.concatenate([support, others[: max(_LEAST_ROWS - len(support), 0)]])


def _affordable(
    order: Int[np.ndarray, " q"], work: Float[np.ndarray, " q"], most: float
) -> Int[np.ndarray, " p"]:
    """Return as many of the rows as there is work for, two at least."""
    return np.sort(order[: max(int((_ITERATIONS * work <= most).sum()), 2)])


def _work(y: Float[np.ndarray, " m"], rank: int) -> Float[np.ndarray, " m"]:
    """Operations of an interior-point iteration on the first, the first two, .., all of these rows."""
    count = np.arange(1.0, len(y) + 1)
    positive = np.cumsum(y > 0).astype(np.float64)
    total = np.zeros(len(y))
    for free in (positive, count - positive):
        answers, columns = count - free, free + 1
        unknowns = np.minimum(answers, rank) * columns
        total += np.where(answers > rank, 5 / 3, 1 / 3) * unknowns**3  # see :class:`.newton.Newton`
        total += 6 * answers * columns**2 * (columns + count)
    return total


def _in_own_span(rows: Float[np.ndarray, "k r"]) -> Float[np.ndarray, "k s"]:
    """The rows in an orthonormal basis of their span, where that is smaller."""
    if rows.shape[0] >= rows.shape[1]:
        return rows
    triangular = np.linalg.qr(rows.T)[1]
    return np.ascontiguousarray(triangular.T)


def _proven(
    problem: Problem, rows: Int[np.ndarray, " q"], blocks: Sequence[Block], answer: Answer
) -> SemidefiniteBound:
    """The answer as a proof: evaluated afresh, scaled to feasibility."""
    mu = spread(answer.lam, rows, len(problem.y))
    inside = Relaxation(
        leaves=tuple(
            _leaf(block, point, answer.lam, rows) for block, point in zip(blocks, answer.points, strict=True)
        )
    )
    norm = relaxed_bound(problem.rows, problem.y * mu, inside)
    mu /= max(norm, float((mu / problem.caps).max()))
    relaxation = Relaxation(leaves=tuple(_renumbered(leaf, problem.index) for leaf in inside.leaves))
    return SemidefiniteBound(mu=mu, relaxation=relaxation, bound=float(problem.demand @ mu))


def _leaf(block: Block, point: Point, lam: Float[np.ndarray, " q"], rows: Int[np.ndarray, " q"]) -> Leaf:
    """The answers of a branch in units of the generators; ``t = M_0 + M sigma`` with ``sigma = 2 s - 1``."""
    sizes = np.concatenate([lam[block.roles.answering], lam[block.roles.fixed]])
    T = 2 * point.M[:, 1:] / sizes[:, None]
    t0 = (point.M[:, 0] - point.M[:, 1:].sum(axis=1)) / sizes
    return Leaf(
        sign=block.tree.sign,
        rows=rows[block.roles.fixed],
        sides=np.array(block.tree.sides),
        T=_rounded(T),
        t0=_rounded(t0),
        mu=_rounded(point.mu / point.mu.max()),
    )


def _renumbered(leaf: Leaf, index: Int[np.ndarray, " k"]) -> Leaf:
    return replace(leaf, rows=index[leaf.rows])


def _rounded(values: np.ndarray) -> np.ndarray:
    """The values to a few significant digits, and none that are negligible beside the largest or one."""
    size = max(float(np.abs(values).max(initial=0.0)), 1.0)
    with np.errstate(divide="ignore"):
        digits = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(values))))
    kept = np.abs(values) > 10.0 ** (-_DIGITS) * size
    rounded = np.zeros_like(values)
    rounded[kept] = np.round(values[kept] * digits[kept]) / digits[kept]
    return rounded


def _to_split(blocks: Sequence[Block], answer: Answer) -> list[int]:
    """Return the branches that hold the bound down and can be split, the heaviest first.

    One with less than a third of an even share of the weight does not hold it down.
    """
    doubt = [part.max(initial=0.0) for part in answer.doubts]
    return [
        int(b)
        for b in np.argsort(-answer.weights, kind="stable")
        if answer.weights[b] * len(blocks) > 0.3 and doubt[b] > 1e-9
    ]


def _split(blocks: Sequence[Block], answer: Answer, chosen: Sequence[int]) -> list[Tree]:
    """Split the chosen branches, each on its least decided row."""
    trees = [block.tree for block in blocks]
    for b in chosen:
        row = int(blocks[b].roles.free[int(np.argmax(answer.doubts[b]))])
        trees[b], second = trees[b].split(row)
        trees.append(second)
    return trees
