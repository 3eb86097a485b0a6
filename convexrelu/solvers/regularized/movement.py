"""Newton steps on the neurons themselves: each moves, and rows may change sides.

Newton's model of the loss is quadratic in the outputs, and linear in a neuron as long as every row keeps to
its side. Where a row's change of side would raise the loss (``s_j lam_n < 0``, the neuron's output sign
against the row's multiplier), that is a convex kink, and the row gets a hinge variable if it is near: ``z >=
0``, ``z >= x_n^T u_j``, at the price |lam_n|. Where it would lower the loss, the neuron finds the better side
by itself, as the next step begins with the sides that it has reached. Solved by Clarabel, as a quadratic
program with one cone a neuron; the step is halved until the objective falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import clarabel
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import Neurons
from convexrelu.solvers.regularized.model import Coordinates, Mix, SmoothedLoss
from convexrelu.solvers.work import ENTRY

__all__ = ["merged", "move", "pruned"]

_LEAST_CURVATURE = 1e-6  # of the largest: rows without one get it, so that the model has a minimum
_ROUNDS = 6  # of a program with more hinges, while rows change sides without one
_LIVE = 1e-7  # of the largest neuron: what crosses with a smaller one is not looked at
_CROSSED = 1e-9  # of a neuron's length: less is the solver's rounding
_STEPS = (1.0, 0.7, 0.4, 0.2, 0.1, 0.03, 0.01)
_SMALL = 1e-9  # of the largest neuron: smaller ones are the interior-point method's idea of zero
_SAME_SIDE = 1e-12  # cosines below it count as on the hyperplane when activities are compared


@dataclass(frozen=True, kw_only=True, eq=False)
class _Model:
    """Newton's model ``x^T M^T diag(w) M x / 2 + penalties x^2 / 2 + q^T x``, and what the kinks need."""

    M: Float[np.ndarray, "n v"]
    w: Float[np.ndarray, " n"]
    penalties: Float[np.ndarray, " v"]
    q: Float[np.ndarray, " v"]
    lam: Float[np.ndarray, " n"]
    active: Bool[np.ndarray, "n m"]
    opposed: Bool[np.ndarray, "n m"]


def move(problem: Coordinates, loss: SmoothedLoss, mix: Mix, *, near: float, clock: SolverClock) -> Mix:
    """Return a mix with a smaller smoothed objective, or the same if the step finds none.

    Rows whose cosine with a neuron is at most `near` get a hinge at once. When the clock expires, the step
    goes where the program has come to.
    """
    m = len(mix.neurons)
    if not m:
        return mix
    Z, f = problem.Z, problem.outputs(mix)
    heights = Z @ mix.neurons.U.T
    sizes = np.linalg.norm(mix.neurons.U, axis=1)
    lengths = np.maximum(problem.norms[:, None] * sizes, np.finfo(float).tiny)
    model = _model(problem, loss, mix, f, heights > 0)
    base = loss.value(f) + problem.price(mix)
    hinges = model.opposed & (np.abs(heights) <= near * lengths)
    target = None
    for _ in range(_ROUNDS):
        unit = 1.0 / max(base, np.finfo(float).tiny)
        found = _solve(problem, model, hinges, mix.neurons.signs, unit, clock)
        if found is None:
            break
        target = found
        U = target.neurons.U
        reached, moved_sizes = Z @ U.T, np.linalg.norm(U, axis=1)
        live = moved_sizes > _LIVE * moved_sizes.max(initial=0.0)
        wide = (
            np.abs(reached)
            > _CROSSED * np.maximum(moved_sizes, np.finfo(float).tiny) * problem.norms[:, None]
        )
        crossed = model.opposed & ~hinges & ((reached > 0) != model.active) & live & wide
        if not crossed.any() or clock.expired():
            break
        hinges |= crossed
    if target is None:
        return mix
    best, value = mix, base
    for step in _STEPS:
        U = mix.neurons.U + step * (target.neurons.U - mix.neurons.U)
        free = mix.free + step * (target.free - mix.free)
        trial = Mix(neurons=Neurons(U=U, signs=mix.neurons.signs), free=free)
        reached_value = loss.value(problem.outputs(trial)) + problem.price(trial)
        if reached_value < value:
            best, value = trial, reached_value
        elif best is not mix:
            break
        if step == 1.0 and value < base * (1 - 1e-9):
            break
    return best


def _model(
    problem: Coordinates,
    loss: SmoothedLoss,
    mix: Mix,
    f: Float[np.ndarray, " n"],
    active: Bool[np.ndarray, "n m"],
) -> _Model:
    """Newton's model at a mix, in the entries of its neurons and then of its affine part."""
    signs = mix.neurons.signs
    lam, w = loss.multipliers(f), loss.curvature(f)
    w = np.maximum(w, _LEAST_CURVATURE * (float(w.max()) or 1.0))
    n, m = active.shape
    r = problem.Z.shape[1]
    M = np.hstack([((active * signs)[:, :, None] * problem.Z[:, None, :]).reshape(n, m * r), problem.affine])
    point = np.r_[mix.neurons.U.ravel(), mix.free]
    # the penalty of the affine part is quadratic already
    penalties = np.r_[np.zeros(m * r), problem.penalties]
    q = -(M.T @ (lam + w * (M @ point))) - penalties * point
    opposed = signs * lam[:, None] < 0
    return _Model(M=M, w=w, penalties=penalties, q=q, lam=lam, active=active, opposed=opposed)


def _solve(
    problem: Coordinates,
    model: _Model,
    hinges: Bool[np.ndarray, "n m"],
    signs: Float[np.ndarray, " m"],
    unit: float,
    clock: SolverClock,
) -> Mix | None:
    """Return the minimum of the model with these hinges; None if Clarabel has none."""
    m, r = len(signs), problem.Z.shape[1]
    rows, places = np.nonzero(hinges)
    q, size = model.q.copy(), len(model.q)
    price = np.abs(model.lam[rows])
    # what a hinge stands for leaves the linear part: + |lam| (z - mask x^T u)
    held = model.active[rows, places]
    np.add.at(q[: m * r].reshape(m, r), places[held], -price[held, None] * problem.Z[rows[held]])
    cost = np.r_[q, price, np.full(m, problem.decay.beta)]
    constraints = _constraints(problem.Z[rows], places, m, size)
    cones = [clarabel.NonnegativeConeT(2 * len(rows))] if len(rows) else []
    cones += [clarabel.SecondOrderConeT(r + 1)] * m
    P = _quadratic(model, len(cost))
    outputs = P.shape[0] - len(cost)
    if outputs:
        cost = np.r_[cost, np.zeros(outputs)]
        constraints = _with_outputs(model.M, constraints)
        cones = [clarabel.ZeroConeT(outputs), *cones]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = 1e-11
    settings.tol_feas = 1e-10
    settings.max_iter = 60
    settings.time_limit = clock.seconds
    settings.direct_solve_method = "qdldl"  # the faster one on matrices this small
    rhs = np.zeros(constraints.shape[0])
    answer = clarabel.DefaultSolver(P * unit, cost * unit, constraints, rhs, cones, settings).solve()
    clock.did(ENTRY * answer.iterations * (P.nnz + constraints.nnz + len(cost)))
    x = np.asarray(answer.x)
    if not np.isfinite(x).all():
        return None
    return Mix(neurons=Neurons(U=x[: m * r].reshape(m, r), signs=signs), free=x[m * r : size])


def _quadratic(model: _Model, columns: int) -> sparse.csc_matrix:
    """The upper half of the matrix P, of so many columns; the last ones are the outputs if these are fewer.

    With fewer rows than entries M^T diag(w) M is large, dense, and of low rank: the outputs ``f = M x`` are
    then variables of their own.
    """
    n, size = model.M.shape
    if size > n:
        diagonal = np.r_[model.penalties, np.zeros(columns - size), model.w]
        return sparse.csc_matrix(sparse.diags(diagonal))
    whole = model.M.T @ (model.M * model.w[:, None])
    whole[np.diag_indices(size)] += model.penalties
    upper = np.triu_indices(size)
    return sparse.csc_matrix((whole[upper], upper), shape=(columns, columns))


def _with_outputs(M: Float[np.ndarray, "n v"], constraints: sparse.csc_matrix) -> sparse.csc_matrix:
    """The constraints with ``M x - f = 0`` before them, f being more columns."""
    (n, size), (k, columns) = M.shape, constraints.shape
    links = sparse.hstack([sparse.csc_matrix(M), sparse.csc_matrix((n, columns - size)), -sparse.eye(n)])
    others = sparse.hstack([constraints, sparse.csc_matrix((k, n))])
    return sparse.csc_matrix(sparse.vstack([links, others]))


def _constraints(
    Z: Float[np.ndarray, "h r"], places: Int[np.ndarray, " h"], m: int, size: int
) -> sparse.csc_matrix:
    """The matrix A of ``A x + s = 0``, s in the cones; columns: the model's entries, hinges, sizes."""
    (h, r), columns = Z.shape, size + len(Z) + m
    k, shift = np.arange(h), size + np.arange(h)
    through = (places[:, None] * r + np.arange(r)).ravel()
    linear = sparse.coo_array(
        (
            np.r_[-np.ones(2 * h), Z.ravel()],
            (np.r_[k, h + k, np.repeat(h + k, r)], np.r_[shift, shift, through]),
        ),
        shape=(2 * h, columns),
    )
    cone = np.arange(m * (r + 1)).reshape(m, r + 1)
    norms = sparse.coo_array(
        (
            -np.ones(m * (r + 1)),
            (np.r_[cone[:, 0], cone[:, 1:].ravel()], np.r_[size + h + np.arange(m), np.arange(m * r)]),
        ),
        shape=(m * (r + 1), columns),
    )
    return sparse.csc_matrix(sparse.vstack([linear, norms], format="csc"))


def pruned(mix: Mix) -> Mix:
    """The mix without neurons that are zero to the solvers' rounding."""
    sizes = np.linalg.norm(mix.neurons.U, axis=1)
    return Mix(neurons=mix.neurons.kept(sizes > _SMALL * sizes.max(initial=0.0)), free=mix.free)


def merged(problem: Coordinates, mix: Mix) -> Mix:
    """The mix with one neuron for each sign and activity: the sum, of the same output and no larger size."""
    if len(mix.neurons) < 2:
        return mix
    lengths = problem.norms[:, None] * np.linalg.norm(mix.neurons.U, axis=1)
    active = np.packbits((problem.Z @ mix.neurons.U.T - _SAME_SIDE * lengths) > 0, axis=0)
    groups: dict[tuple[bytes, float], list[int]] = {}
    for j, sign in enumerate(mix.neurons.signs):
        groups.setdefault((active[:, j].tobytes(), float(sign)), []).append(j)
    U = np.array([mix.neurons.U[members].sum(axis=0) for members in groups.values()])
    signs = np.array([sign for _, sign in groups])
    fewer = Mix(neurons=Neurons(U=U, signs=signs), free=mix.free)
    # sides within rounding were taken to be the same: that may cost rounding, and no more
    return fewer if problem.objective(fewer) <= problem.objective(mix) * (1 + 1e-12) else mix
