from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexrelu import Certificate, solve_max_margin
from convexrelu.oracle import dual_norm
from convexrelu.oracle.relaxation import relaxed_bound
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import prepare
from convexrelu.solvers.semidefinite.bound import semidefinite_bound
from convexrelu.solvers.semidefinite.branch import Block, Point, Tree
from convexrelu.solvers.semidefinite.interior_point import solve_jointly
from convexrelu.solvers.semidefinite.newton import Newton

TREES = [
    Tree(sign=1.0),
    Tree(sign=-1.0),
    Tree(sign=1.0, rows=(1, 4), sides=(1.0, -1.0)),
    Tree(sign=-1.0, rows=(0, 1, 2, 3, 4, 5), sides=(1.0, -1.0, 1.0, 1.0, -1.0, 1.0)),
]


def rows_of(rng, k, r):
    X = rng.normal(size=(k, r))
    return X / np.linalg.norm(X, axis=1)[:, None]


def random_point(rng, block):
    return Point(
        M=rng.normal(size=(block.l, block.p + 1)),
        h=rng.normal(size=(block.l, block.p)),
        mu=rng.normal(size=block.p + 1),
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from(TREES), st.sampled_from([2, 4, 9]))
def test_the_transposed_maps_are_transposed(seed, tree, r):
    """<slack, slacks> + <Y, lmi> = <transposed, variables> for the linear parts."""
    rng = np.random.default_rng(seed)
    y = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    block = Block(rows_of(rng, 7, r), y, tree)
    lam, point = rng.normal(size=7), random_point(rng, block)
    slacks, lmi = block.slacks(lam, point, constant=0.0), block.lmi(lam, point, constant=0.0)
    weight, Y = rng.normal(size=len(slacks)), rng.normal(size=lmi.shape)
    Y = Y + Y.T
    g = block.transposed(weight, Y)
    inner = (g.M * point.M).sum() + (g.h * point.h).sum() + g.mu @ point.mu + g.lam @ lam
    assert inner == pytest.approx(weight @ slacks + (Y * lmi).sum(), rel=1e-10, abs=1e-10)


@given(st.integers(0, 2**32 - 1), st.sampled_from(TREES), st.sampled_from([2, 4, 9]))
def test_newton_directions_solve_their_equations(seed, tree, r):
    """Both ways of eliminating M: G^T D G v + A*(sym(Z A(v) V)) = g on the branch's own variables."""
    rng = np.random.default_rng(seed)
    y = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    block = Block(rows_of(rng, 7, r), y, tree)
    n_slacks = 2 * block.l * block.p + block.l + block.q + 1
    ratios = 10 ** rng.uniform(-2, 2, size=n_slacks)
    A, C = rng.normal(size=(2, block.p + 1 + r, block.p + 1 + r))
    Z, V = A @ A.T + 0.1 * np.eye(len(A)), C @ C.T + 0.1 * np.eye(len(C))

    def applied(lam, point):
        slacks, lmi = block.slacks(lam, point, constant=0.0), block.lmi(lam, point, constant=0.0)
        scaled = Z @ lmi @ V
        return block.transposed(ratios * slacks, 0.5 * (scaled + scaled.T))

    newton = Newton(block, ratios, Z, V)
    assert newton.through_B == (block.l > r)
    gradient = block.transposed(rng.normal(size=n_slacks), np.diag(rng.normal(size=len(Z))))
    lam = rng.normal(size=7)
    right, on_lam = newton.reduced(gradient)
    direction = newton.expanded(gradient, right, lam)
    again = applied(lam, direction)
    size = max(np.abs(part).max(initial=1.0) for part in (gradient.M, gradient.h, gradient.mu))
    for name in ("M", "h", "mu"):
        np.testing.assert_allclose(getattr(again, name), getattr(gradient, name), atol=1e-6 * size)
    # what is left on lam is the Schur complement
    np.testing.assert_allclose(
        newton.schur @ lam - on_lam, again.lam - gradient.lam, atol=1e-6 * np.abs(newton.schur).max()
    )


def by_cvxpy(X, y, demand, caps, trees):
    """The same program, from its definition in T and t0, by an independent solver."""
    cp = pytest.importorskip("cvxpy")
    k, r = X.shape
    lam = cp.Variable(k, nonneg=True)
    limits = [lam[n] <= caps[n] for n in range(k) if np.isfinite(caps[n])]
    for tree in trees:
        block = Block(X, y, tree)
        free, answering = block.roles.free, block.roles.answering
        up, down = (cp.Variable((block.l, block.p), nonneg=True) for _ in range(2))
        t0, mu = cp.Variable(block.l), cp.Variable(block.p + 1)
        T = up - down
        limits.append(t0 - cp.sum(down, axis=1) >= 0)
        limits.append(t0[: block.q] + cp.sum(up, axis=1)[: block.q] <= lam[answering])
        D = X[free].T @ cp.diag(lam[free]) - block.generators.T @ T
        c = -block.generators.T @ t0
        for n in block.roles.active:
            c = c + tree.sign * y[n] * lam[n] * X[n]
        B = cp.hstack([cp.reshape(cp.sum(D, axis=1) / 2 + c, (r, 1), order="F"), D / 2])
        limits += [cp.bmat([[cp.diag(mu), B.T], [B, np.eye(r)]]) >> 0, cp.sum(mu) <= 1]
    return cp.Problem(cp.Maximize(demand @ lam), limits).solve(solver=cp.CLARABEL)


@pytest.mark.parametrize(("r", "cap"), [(2, np.inf), (5, 4.0)])
def test_the_program_is_solved(r, cap):
    """The value agrees with Clarabel's, at the root and on a tree; branching never lowers it."""
    rng = np.random.default_rng(r)
    X, demand = rows_of(rng, 7, r), rng.uniform(0.3, 1.0, 7)
    y = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    caps = np.full(7, cap)
    whole = [Tree(sign=1.0), Tree(sign=-1.0)]
    values = []
    for trees in (whole, [*whole[0].split(2), *whole[1].split(3)]):
        blocks = [Block(X, y, tree) for tree in trees]
        answer = solve_jointly(blocks, demand, caps, np.full(7, 0.1), tol=1e-4, expired=lambda: False)
        assert answer.finished
        assert answer.value == pytest.approx(by_cvxpy(X, y, demand, caps, trees), rel=1e-4)
        assert (answer.lam <= cap).all()
        assert answer.weights.sum() == pytest.approx(1.0)
        values.append(answer.value)
    assert values[1] >= values[0] * (1 - 1e-4)


def random_problem(n, d, seed=0, spread=0.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * 10 ** rng.uniform(-spread, spread, size=(n, 1))
    return X, np.where(rng.random(n) < 0.5, 1.0, -1.0)


@settings(max_examples=4)
@given(st.integers(0, 2**16), st.sampled_from([0.0, 3.0]), st.sampled_from([np.inf, 0.5]))
def test_bounds_hold_and_branching_closes_the_gap(seed, spread, C):
    """On small data all rows are taken: the bound approaches P*, which the exact solver knows."""
    X, y = random_problem(7, 3, seed, spread)
    known = solve_max_margin(X, y, C=C)
    problem = prepare(X, y, C)
    found = semidefinite_bound(
        problem,
        np.ones(len(problem.y)),
        problem.empty_neurons,
        clock=SolverClock(limit=1000.0),
        target=0.99 * known.objective / problem.scale,
    )
    lam = problem.dual(found.mu)
    h = relaxed_bound(X, lam, found.relaxation)
    assert h == pytest.approx(1.0, rel=1e-9) or np.isfinite(C)
    assert h <= 1 + 1e-9
    assert dual_norm(X, lam).value <= h
    assert (y * lam <= C * (1 + 1e-12)).all()
    assert found.bound * problem.scale == pytest.approx(y @ lam, rel=1e-9)
    assert 0.989 * known.objective <= y @ lam <= known.objective * (1 + 1e-9)
    assert found.finished


@pytest.mark.parametrize("kind", ["one row", "one class", "duplicates", "antiparallel", "flat"])
def test_degenerate_rows(kind):
    X, y = random_problem(8, 3, 1)
    if kind == "one row":
        X, y = X[:1], np.ones(1)
    elif kind == "one class":
        y = np.ones(8)
    elif kind == "duplicates":
        X[4:], y[4:] = X[:4], y[:4]
    elif kind == "antiparallel":
        X[4:], y[4:] = -X[:4], y[:4]
    else:
        X[:, 2] = 0.0
    known = solve_max_margin(X, y)
    problem = prepare(X, y, np.inf)
    target = 0.98 * known.objective / problem.scale
    found = semidefinite_bound(
        problem,
        np.ones(len(problem.y)),
        problem.empty_neurons,
        clock=SolverClock(limit=1000.0),
        target=target,
    )
    assert 0.97 * known.objective <= found.bound * problem.scale <= known.objective * (1 + 1e-9)


def test_an_early_end_still_bounds():
    X, y = random_problem(40, 10)
    problem = prepare(X, y, np.inf)
    mu, target = np.ones(40), 1e3
    nothing = semidefinite_bound(
        problem, mu, problem.empty_neurons, clock=SolverClock(limit=0.0), target=target
    )
    assert nothing.bound == 0
    assert not nothing.relaxation.leaves
    assert not nothing.finished


def test_every_iterate_is_a_bound():
    """Stopped after any number of steps, the point is feasible; the values never fall."""
    rng = np.random.default_rng(0)
    X, demand, caps = rows_of(rng, 12, 5), rng.uniform(0.3, 1.0, 12), np.full(12, np.inf)
    y = np.where(rng.random(12) < 0.5, 1.0, -1.0)
    blocks = [Block(X, y, Tree(sign=sign)) for sign in (1.0, -1.0)]
    values = []
    for steps in (0, 1, 3, 8, 100):
        looks = iter(range(steps + 1))
        answer = solve_jointly(
            blocks, demand, caps, np.ones(12), tol=1e-4, expired=lambda n=steps, it=looks: next(it) == n
        )
        assert answer.finished == (steps == 100)
        for block, point in zip(blocks, answer.points, strict=True):
            assert block.slacks(answer.lam, point).min() > 0
            assert np.linalg.eigvalsh(block.lmi(answer.lam, point))[0] > 0
        assert dual_norm(X, y * answer.lam).value <= demand @ answer.lam / answer.value * (1 + 1e-9)
        values.append(answer.value)
    assert values == sorted(values)
    assert values[0] < 0.9 * values[-1]


def test_hard_instances_get_certificates_that_are_checked_without_a_search(tmp_path):
    X, y = random_problem(70, 12)
    solve_max_margin(X[:6], y[:6], time_limit=1.0)  # compile kernels
    started = time.process_time()
    solution = solve_max_margin(X, y, time_limit=5.0)
    assert time.process_time() - started <= 2 * 6.0  # two cores at work at most
    assert solution.status == "time_limit"
    assert 0.2 * solution.objective < solution.lower_bound < solution.objective
    assert solution.certificate.relaxation is not None
    path = tmp_path / "certificate.json"
    solution.certificate.save(path)
    started = time.process_time()
    assert Certificate.load(path).check(X, y)
    assert time.process_time() - started <= 3.0
