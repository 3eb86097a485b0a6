from __future__ import annotations

import itertools
import warnings
from importlib.util import find_spec

import joblib
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convexrelu import (
    InfeasibleError,
    InvalidInputError,
    TwoLayerReLU,
    dual_program,
    enumerate_patterns,
    primal_program,
    solve_max_margin,
)

F1 = np.array([[1.65, -0.47], [-0.47, 1.35]])
F2 = np.array([[1.65, 0.47], [0.47, 1.35]])
PROMISE = 1e-6  # certified relative gap, and agreement of values computed in different ways
# Each example takes about 0.2 s: shrinking a failure would take minutes, and small examples are drawn anyway.
QUICK = {"deadline": None, "phases": (Phase.explicit, Phase.reuse, Phase.generate)}
HAS_CVXPY = find_spec("cvxpy") is not None
NEEDS_CVXPY = pytest.mark.skipif(not HAS_CVXPY, reason="cvxpy is an extra")
PROGRAM = pytest.param("program", marks=NEEDS_CVXPY)
FULL = st.booleans() if HAS_CVXPY else st.just(False)
PRECISE = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}


# An independent formulation ---------------------------------------------------------------------------
# A neuron of sign s is linear on the rows of its own class once its activity there is fixed, and a hinge on
# the others; no cone constraint, no enumeration of the whole arrangement, nothing taken from the package.


def cells(V):
    """Activity masks of all full-dimensional cells of the rows V: each cell has a vertex (an extreme ray)."""
    if not len(V):
        return {()}
    _, sizes, axes = np.linalg.svd(V, full_matrices=False)
    rank = int((sizes > 1e-9 * sizes[0]).sum())
    Z = V @ axes[:rank].T
    Z /= np.linalg.norm(Z, axis=1)[:, None]
    if rank == 1:
        return {tuple(Z[:, 0] > 0), tuple(Z[:, 0] < 0)}
    masks = set()
    for few in itertools.combinations(range(len(V)), rank - 1):
        _, sizes, axes = np.linalg.svd(Z[list(few)])
        if sizes[-1] < 1e-9:
            continue
        heights = Z @ axes[-1]
        tied = np.abs(heights) < 1e-9
        for local in cells(Z[tied]):
            for side in (1, -1):
                mask = side * heights > 0
                mask[tied] = local
                masks.add(tuple(mask))
    return masks


def independent(X, y, C=np.inf):
    """P* from the own-class form, solved twice: the second time in units of the first answer."""
    live = X.any(axis=1)
    size, dead = 1.0, 0.0 if live.all() else C * (~live).sum()
    for _ in range(2):
        size = max(own_class_value(X[live], y[live], C, size), 1e-12) if live.any() else 0.0
    return size + dead


def own_class_value(X, y, C, size):
    cp = pytest.importorskip("cvxpy")
    norms = np.linalg.norm(X, axis=1)
    V, n = X / norms[:, None], len(X)
    cost, outputs, constraints = 0, np.zeros(n), []
    for sign in (1, -1):
        own, other = np.flatnonzero(y == sign), np.flatnonzero(y == -sign)
        if not len(own):
            continue
        masks = np.array(sorted(cells(V[own])), dtype=float)
        U = cp.Variable((len(masks), X.shape[1]))
        cost = cost + cp.sum(cp.norm(U, 2, axis=1))
        outputs = outputs + np.eye(n)[:, own] @ cp.sum(cp.multiply(masks, U @ V[own].T), axis=0)
        if len(other):
            hinge = cp.Variable((len(masks), len(other)), nonneg=True)
            constraints.append(hinge >= U @ V[other].T)
            outputs = outputs - np.eye(n)[:, other] @ cp.sum(hinge, axis=0)
    if np.isfinite(C):
        slack = cp.Variable(n, nonneg=True)
        cost, outputs = cost + (C * norms) @ slack, outputs + slack
    constraints.append(outputs >= 1 / (norms * size))
    problem = cp.Problem(cp.Minimize(cost), constraints)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        return float(problem.solve(solver="CLARABEL", **PRECISE)) * size


# Data ---------------------------------------------------------------------------------------------------


@st.composite
def problems(draw, max_rows=8):
    """Small data of every kind: grids, Gaussian, duplicates, parallel and antiparallel rows, rank loss."""
    d = draw(st.integers(1, 3))
    if draw(st.booleans()):
        n = draw(st.integers(1, max_rows))
        X = draw(hnp.arrays(np.int64, (n, d), elements=st.integers(-2, 2))).astype(float)
    else:
        base = draw(st.integers(1, max_rows))
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        X = rng.normal(size=(base, d))
        copies = draw(
            st.lists(
                st.tuples(st.integers(0, base - 1), st.sampled_from([1.0, 0.5, -1.0, -3.0])),
                max_size=max_rows - base,
            )
        )
        X = np.vstack([X, *[factor * X[i : i + 1] for i, factor in copies]])
        if d == 3 and draw(st.booleans()):
            X = X[:, :2] @ rng.normal(size=(2, 3))
    one_class = draw(st.integers(0, 4)) == 0
    signs = st.just(1.0) if one_class else st.sampled_from([1.0, -1.0])
    y = np.array(draw(st.lists(signs, min_size=len(X), max_size=len(X))))
    return X, y * draw(st.sampled_from([1.0, -1.0]))


def assert_farkas(error, X, y):
    """docs/theory.md section 2: y * farkas >= 0, y @ farkas > 0, and no neuron correlates with it."""
    farkas = error.farkas
    assert farkas.shape == (len(X),)
    assert (y * farkas >= 0).all()
    assert y @ farkas > 0
    np.testing.assert_array_equal(np.sort(error.rows), np.flatnonzero(farkas))
    U = np.vstack([np.random.default_rng(0).normal(size=(500, X.shape[1])), X, -X])
    scale = np.abs(farkas) @ np.linalg.norm(X, axis=1)
    correlations = np.maximum(U @ X.T, 0) @ farkas
    assert (np.abs(correlations) <= 1e-11 * scale * np.linalg.norm(U, axis=1)).all()


def assert_solved(solution, X, y, C=np.inf):
    """Every promise that can be checked from the arrays alone."""
    network, lam = solution.network, solution.lam
    assert solution.status == "optimal"
    assert 0 <= solution.objective - solution.lower_bound <= PROMISE * solution.objective
    assert solution.gap == pytest.approx(1 - solution.lower_bound / solution.objective, abs=1e-15)
    assert network.n_neurons <= len(X)
    assert solution.patterns.shape == (network.n_neurons, len(X))
    size = network.objective()
    slack = np.maximum(1 - y * network(X), 0)
    if np.isinf(C):
        assert network.margin(X, y) == pytest.approx(1, abs=1e-9)
        # the claimed objective is rounded outwards, by the rounding of the margins
        rounding = 1e-14 * (1 + np.linalg.norm(X, axis=1).max() * size)
        assert size * (1 - 1e-14) <= solution.objective <= size * (1 + rounding)
        assert network.group_norm() == pytest.approx(size, rel=1e-12)  # balanced
    else:
        assert size + C * slack.sum() >= solution.objective * (1 - 1e-12)
        assert (y * lam <= C * (1 + 1e-12)).all()
    assert (y * lam >= 0).all()
    assert y @ lam == pytest.approx(solution.lower_bound, rel=1e-9)
    U = np.vstack([np.random.default_rng(1).normal(size=(2000, X.shape[1])), X, -X, network.W1])
    U = U[U.any(axis=1)]
    U /= np.linalg.norm(U, axis=1)[:, None]
    assert np.abs(np.maximum(U @ X.T, 0) @ lam).max() <= 1 + 1e-9
    assert solution.certificate.check(X, y)


# The papers' data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "column-generation", PROGRAM])
def test_wang_pilanci_f1(method):
    solution = solve_max_margin(F1, [1, -1], method=method)
    assert_solved(solution, F1, np.array([1.0, -1.0]))
    assert solution.objective == pytest.approx(1.282432, abs=1e-6)
    order = np.argsort(-solution.network.signs)
    np.testing.assert_array_equal(solution.network.signs[order], [1, -1])
    expected = [[0.560576, -0.159679], [-0.230009, 0.660664]]
    np.testing.assert_allclose(solution.network.u[order], expected, atol=1e-6)
    np.testing.assert_allclose(solution.lam, [0.582875, -0.699557], atol=1e-6)


@pytest.mark.parametrize("method", ["auto", "column-generation", PROGRAM])
def test_wang_pilanci_f2(method):
    solution = solve_max_margin(F2, [1, 1], method=method)
    assert_solved(solution, F2, np.ones(2))
    assert solution.objective == pytest.approx(0.733582, abs=1e-6)
    np.testing.assert_array_equal(solution.network.signs, [1])
    np.testing.assert_allclose(solution.network.u, [[0.438553, 0.588059]], atol=1e-6)
    np.testing.assert_allclose(solution.lam, [0.214441, 0.519141], atol=1e-6)


@pytest.mark.parametrize(
    ("X", "y", "value", "neurons"),
    [
        (np.eye(3), [1, -1, -1], 1 + np.sqrt(2), 2),
        (np.array([[1, 0, 0], [0, 1, 0], [0, -0.8, 0.6]]), [1, -1, -1], 3.0, 3),
        (np.array([[1.0, -2.0], [1.0, 0.0], [1.0, 2.0]]), [1, 1, 1], 1.0, 1),
        (np.array([[-4.0]]), [-1], 0.25, 1),
    ],
)
@pytest.mark.parametrize("method", ["auto", PROGRAM])
def test_closed_forms_of_the_specification(X, y, value, neurons, method):
    solution = solve_max_margin(X, y, method=method)
    assert_solved(solution, X, np.array(y, float))
    assert solution.objective == pytest.approx(value, rel=1e-9)
    assert solution.network.n_neurons == neurons


# Everything random --------------------------------------------------------------------------------------


@settings(max_examples=40, **QUICK)
@given(problems())
def test_certified_or_proven_infeasible_and_equal_to_the_independent_form(problem):
    X, y = problem
    try:
        solution = solve_max_margin(X, y)
    except InfeasibleError as error:
        assert_farkas(error, X, y)
        return
    assert_solved(solution, X, y)
    value = independent(X, y)
    assert solution.lower_bound * (1 - PROMISE) <= value <= solution.objective * (1 + PROMISE)


@NEEDS_CVXPY
@settings(max_examples=20, **QUICK)
@given(problems(max_rows=6))
def test_program_primal_and_dual_agree(problem):
    X, y = problem
    try:
        solution = solve_max_margin(X, y, method="program")
    except InfeasibleError as error:
        assert_farkas(error, X, y)
        return
    assert_solved(solution, X, y)
    auto = solve_max_margin(X, y)
    assert auto.objective == pytest.approx(solution.objective, rel=2 * PROMISE)
    # cvxpy on the textbook programs, in units where the optimum is 1
    scaled, patterns = X * auto.objective, enumerate_patterns(X).patterns
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        for program in (primal_program, dual_program):
            value = program(scaled, y, patterns).problem.solve(solver="CLARABEL", **PRECISE)
            assert value == pytest.approx(1, abs=2e-6)


@settings(max_examples=25, **QUICK)
@given(problems(max_rows=7), st.sampled_from([0.01, 0.1, 0.5, 2.0, 30.0]), FULL)
def test_with_slack_nothing_is_infeasible(problem, C, full):
    X, y = problem
    solution = solve_max_margin(X, y, C=C, method="program" if full else "auto")
    assert_solved(solution, X, y, C)
    assert solution.objective <= C * len(X) * (1 + 1e-12)
    value = independent(X, y, C)
    assert solution.lower_bound * (1 - PROMISE) <= value <= solution.objective * (1 + PROMISE)


@pytest.mark.parametrize("C", [1e-12, 1e-6, 1e-3])
def test_where_slack_is_cheap_the_zero_network_is_optimal(C):
    """C y is dual feasible as long as C h(y) <= 1: then P* = C n, and nothing is worth fitting."""
    X, y, _ = instance(3, n=7, d=2)
    solution = solve_max_margin(X, y, C=C)
    assert_solved(solution, X, y, C)
    assert solution.objective == pytest.approx(7 * C, rel=1e-12)
    assert solution.network.n_neurons == 0


@NEEDS_CVXPY
def test_the_full_program_where_slack_is_cheap():
    solution = solve_max_margin([[-2.0]], [-1], C=1e-6, method="program")
    assert solution.objective == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_larger_data(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(15, 26)), 2 + seed % 2
    X, y = rng.normal(size=(n, d)), rng.choice([1.0, -1.0], n)
    if seed == 3:
        X = np.round(X * 2)
        X[~X.any(axis=1)] = [1.0, 2.0, 3.0]
        w = rng.normal(size=(2, d))
        y = np.where(np.abs(X @ w[0]) > np.abs(X @ w[1]), 1.0, -1.0)
        y[(X @ w.sum(axis=0)) > 0] *= -1
    try:
        solution = solve_max_margin(X, y)
    except InfeasibleError as error:
        assert_farkas(error, X, y)
        return
    assert_solved(solution, X, y)
    assert independent(X, y) == pytest.approx(solution.objective, rel=PROMISE)


@pytest.mark.parametrize("decades", [2, 4, 6])
def test_badly_scaled_rows(decades):
    """Row norms that differ by factors up to 10^decades, as constant features and outliers make them."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(7, 2)) * 10 ** rng.uniform(-decades / 2, decades / 2, 7)[:, None]
        y = rng.choice([1.0, -1.0], 7)
        solution = solve_max_margin(X, y)
        assert_solved(solution, X, y)
        assert independent(X, y) == pytest.approx(solution.objective, rel=1e-5)


def test_long_rows_where_the_optimum_is_large():
    X = np.array([[87.27435753693563, -152.70383492915437], [0.05770467067760006, 0.03311440910962961]])
    X = np.vstack(
        [X, [[0.004763489077421674, 0.001342066294966836], [-7.593497483877916, 120.54667280348993]]]
    )
    X = np.vstack(
        [X, [[-0.15943869942751338, -0.20448766157178755], [1425.9926224786975, -575.3555344765474]]]
    )
    X = np.vstack([X, [[-20.662654138391, -0.5516335877216278], [-0.1802207623344515, -0.3502266593359579]]])
    y = np.array([-1.0, 1.0, -1.0, 1.0, 1.0, 1.0, -1.0, 1.0])
    assert_solved(solve_max_margin(X, y), X, y)


def test_slack_dearer_than_the_solvers_artificial_slack():
    """The caps C ||x_n|| on the multipliers may exceed any price the linear master starts with."""
    X = np.array(
        [[-0.182], [83.6], [606.7], [0.0587], [1081.8], [-0.4615], [-0.00142], [-0.00112], [-6.3e-5]]
    )
    y = np.array([1.0, 1, 1, 1, -1, 1, -1, 1, -1])
    assert_solved(solve_max_margin(X, y, C=2.87), X, y, 2.87)
    for C in (10.0, 1e4):
        contradiction = solve_max_margin([[1.0, 0], [1, 0], [0, 1]], [1, -1, 1], C=C)
        # one ray, both labels: f = t there costs t + C (1 - t) + C (1 + t), so t = 0; 1 for the third row
        assert contradiction.objective == pytest.approx(2 * C + 1, rel=1e-9)
        assert contradiction.lower_bound == pytest.approx(2 * C + 1, rel=1e-6)


# Invariances --------------------------------------------------------------------------------------------


def instance(seed=0, n=9, d=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.choice([1.0, -1.0], n), rng


@pytest.mark.parametrize("seed", range(3))
def test_order_rotation_embedding_and_labels_do_not_matter(seed):
    X, y, rng = instance(seed)
    reference = solve_max_margin(X, y).objective
    order = rng.permutation(len(X))
    Q = np.linalg.qr(rng.normal(size=(5, 3)))[0]
    for other, labels in (
        (X[order], y[order]),
        (X @ np.linalg.qr(rng.normal(size=(3, 3)))[0], y),
        (X @ Q.T, y),  # the same data in five dimensions
        (X, -y),  # WP (7): u and u' change places
        (np.vstack([X, X, 3 * X]), np.r_[y, y, y]),  # duplicates and longer rows on the same rays
    ):
        assert solve_max_margin(other, labels).objective == pytest.approx(reference, rel=PROMISE)


@settings(max_examples=6, **QUICK)
@given(st.sampled_from([1e-8, 1e-3, 0.5, 7.0, 1e5, 1e9]), st.integers(0, 50), FULL)
def test_scaling_the_data_divides_the_optimum(c, seed, full):
    X, y, _ = instance(seed, n=5, d=2)
    method = "program" if full else "auto"
    one, other = solve_max_margin(X, y, method=method), solve_max_margin(c * X, y, method=method)
    assert c * other.objective == pytest.approx(one.objective, rel=PROMISE)
    assert c * other.lower_bound == pytest.approx(one.lower_bound, rel=PROMISE)
    soft = solve_max_margin(X, y, C=0.4)
    # u -> u / c and C -> C / c: all of the objective is divided by c
    assert c * solve_max_margin(c * X, y, C=0.4 / c).objective == pytest.approx(soft.objective, rel=PROMISE)


@pytest.mark.parametrize("seed", range(3))
def test_shorter_rows_ask_for_more(seed):
    """f is positively homogeneous: c x_n asks for f(x_n) >= 1/c; all rows shortened by c give P*/c."""
    X, y, _ = instance(seed, n=6, d=2)
    reference = solve_max_margin(X, y).objective
    for n in range(3):
        shorter = X.copy()
        shorter[n] *= 0.5
        value = solve_max_margin(shorter, y).objective
        assert reference * (1 - PROMISE) <= value <= 2 * reference * (1 + PROMISE)
        both = np.vstack([X, shorter[n : n + 1]])  # only the shorter of the two on the ray can bind
        assert solve_max_margin(both, np.r_[y, y[n]]).objective == pytest.approx(value, rel=PROMISE)


@pytest.mark.parametrize("seed", range(2))
def test_more_rows_never_cost_less_and_inactive_ones_nothing(seed):
    X, y, _ = instance(seed, n=8, d=2)
    solution = solve_max_margin(X, y)
    support = solution.lam != 0
    assert solve_max_margin(X[support], y[support]).objective == pytest.approx(
        solution.objective, rel=PROMISE
    )
    values = [solve_max_margin(X[:k], y[:k]).objective for k in range(1, 9)]
    assert (np.diff(values) >= -PROMISE * values[-1]).all()


def test_slack_is_monotone_in_its_price_and_ends_at_the_hard_margin():
    X, y, _ = instance(4, n=8, d=2)
    hard = solve_max_margin(X, y)
    values = [solve_max_margin(X, y, C=C).objective for C in (1e-3, 0.1, 0.3, 1.0, 3.0, 10.0)]
    assert (np.diff(values) >= -PROMISE * np.array(values[1:])).all()
    assert values[0] == pytest.approx(8e-3, rel=1e-9)
    assert values[-1] <= hard.objective * (1 + PROMISE)
    # an exact penalty: from C = max |lam| on, slack is not worth its price
    C = 1.01 * np.abs(hard.lam).max()
    assert solve_max_margin(X, y, C=C).objective == pytest.approx(hard.objective, rel=2 * PROMISE)
    assert solve_max_margin(X, y, C=1e6).objective == pytest.approx(hard.objective, rel=2 * PROMISE)


@pytest.mark.parametrize("C", [np.inf, 0.5])
@pytest.mark.parametrize("method", ["auto", PROGRAM])
def test_classes_are_solved_one_against_the_rest(C, method):
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(9, 2)), np.array(["ant", "bee", "cat"])[rng.integers(0, 3, 9)]
    solution = solve_max_margin(X, y, C=C, method=method)
    np.testing.assert_array_equal(solution.classes, ["ant", "bee", "cat"])
    parts = [solve_max_margin(X, np.where(y == k, 1, -1), C=C, method=method) for k in solution.classes]
    assert solution.objective == pytest.approx(sum(p.objective for p in parts), rel=PROMISE)
    assert solution.lower_bound == pytest.approx(sum(p.lower_bound for p in parts), rel=PROMISE)
    assert 0 <= solution.gap <= PROMISE
    assert solution.status == "optimal"
    assert solution.certificate.check(X, y)


def test_one_class_in_contradiction_makes_all_infeasible():
    X = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
    with pytest.raises(InfeasibleError) as caught:
        solve_max_margin(X, [0, 1, 2, 2])
    assert set(caught.value.rows) == {0, 1}


def test_the_same_call_gives_the_same_answer():
    X, y, _ = instance(1)
    first, second = solve_max_margin(X, y), solve_max_margin(X, y)
    np.testing.assert_array_equal(first.network.W1, second.network.W1)
    np.testing.assert_array_equal(first.lam, second.lam)
    seeded = [solve_max_margin(X, y, rng=3).network.W1 for _ in range(2)]
    np.testing.assert_array_equal(*seeded)


def test_history_brackets_the_optimum_in_the_oracle_phase():
    X, y, _ = instance(2, n=12)
    solution = solve_max_margin(X, y)
    rounds = [r for r in solution.history if r.phase == "oracle"]
    assert rounds
    assert all(r.bound <= solution.objective * (1 + PROMISE) for r in rounds)
    seconds = [r.seconds for r in solution.history]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [1.0, 2.0]}, "matrix of shape"),
        ({"X": [[np.inf, 1.0], [1.0, 1.0]]}, "finite"),
        ({"X": np.zeros((0, 2)), "y": []}, "at least one row"),
        ({"X": np.zeros((2, 0))}, "at least one"),
        ({"y": [1, -1, 1]}, "as many rows"),
        ({"y": [2, 2]}, "one label only"),
        ({"y": [1, np.nan]}, "finite"),
        ({"method": "magic"}, "column-generation"),
        ({"method": "program", "solver": "MOSEK"}, "CLARABEL"),
        ({"C": 0.0}, "C must be"),
        ({"C": np.nan}, "C must be"),
        ({"tol": 0.0}, "tol must be"),
        ({"tol": np.inf}, "tol must be"),
        ({"time_limit": 0.0}, "time_limit must be"),
        ({"time_limit": np.nan}, "time_limit must be"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(InvalidInputError, match=message):
        solve_max_margin(**{"X": F1, "y": [1, -1], **change})


@NEEDS_CVXPY
def test_the_program_refuses_what_it_cannot_hold():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInputError, match=r"sample_patterns|column-generation"):
        solve_max_margin(rng.normal(size=(200, 8)), rng.choice([1, -1], 200), method="program")


def test_arguments_are_not_modified():
    X, y = F1.copy(), np.array([1.0, -1.0])
    solve_max_margin(X, y)
    np.testing.assert_array_equal(X, F1)
    np.testing.assert_array_equal(y, [1, -1])


def test_classes_in_parallel_give_the_same_answer():
    rng = np.random.default_rng(4)
    X, labels = rng.normal(size=(15, 3)), rng.integers(0, 3, size=15)
    answers = []
    for n_jobs in (1, 2):
        with joblib.parallel_config(n_jobs=n_jobs):
            answers.append(solve_max_margin(X, labels, rng=7))
    alone, together = answers
    assert alone.objective == together.objective
    for one, other in zip(alone.solutions, together.solutions, strict=True):
        assert np.array_equal(one.lam, other.lam)
        assert np.array_equal(one.network.W1, other.network.W1)


def test_a_network_to_start_from_saves_rounds_and_changes_nothing():
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(40, 4)), rng.choice([1.0, -1.0], 40)
    cold = solve_max_margin(X, y)
    warm = solve_max_margin(X, y, start=cold.network)
    assert warm.objective == pytest.approx(cold.objective, rel=PROMISE)
    assert warm.gap <= PROMISE
    assert len(warm.history) < len(cold.history)
    poor = TwoLayerReLU(rng.normal(size=(3, 4)), np.array([1.0, -1.0, 1.0]))
    assert solve_max_margin(X, y, start=poor).objective == pytest.approx(cold.objective, rel=PROMISE)
    with pytest.raises(InvalidInputError, match="start must be 1 network"):
        solve_max_margin(X, y, start=[poor, poor])
    with pytest.raises(InvalidInputError, match="of 4 inputs"):
        solve_max_margin(X, y, start=TwoLayerReLU([[1.0]], [1.0]))
