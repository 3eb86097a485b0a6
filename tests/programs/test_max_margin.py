from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convexrelu import datasets, dual_program, enumerate_patterns, primal_program, solve_max_margin
from convexrelu.errors import InvalidInputError

cp = pytest.importorskip("cvxpy")

F1 = np.array([[1.65, -0.47], [-0.47, 1.35]])
F2 = np.array([[1.65, 0.47], [0.47, 1.35]])
PAPER = {  # WP appendix F, with the misprints of (128) and (130) put right
    "F.1": (F1, [1, -1], 1.282432, [0.582875, -0.699557]),
    "F.2": (F2, [1, 1], 0.733582, [0.214441, 0.519141]),
}
# What the solvers reach at these settings; SCS is a first-order method.
SOLVERS = {
    "CLARABEL": (1e-7, {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}),
    "ECOS": (1e-7, {"abstol": 1e-10, "reltol": 1e-10, "feastol": 1e-10}),
    "SCS": (1e-4, {"eps_abs": 1e-7, "eps_rel": 1e-7, "max_iters": 50_000}),
}


def solved(problem, solver="CLARABEL"):
    if solver == "ECOS":
        pytest.importorskip("ecos")
    with warnings.catch_warnings():
        # a solver that stops a digit short of 1e-10 warns; the comparisons below decide
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        return float(problem.solve(solver=solver, **SOLVERS[solver][1]))


def both(X, y, patterns=None, *, C=np.inf, solver="CLARABEL"):
    patterns = enumerate_patterns(X).patterns if patterns is None else patterns
    primal, dual = primal_program(X, y, patterns, C=C), dual_program(X, y, patterns, C=C)
    return solved(primal.problem, solver), solved(dual.problem, solver), primal, dual


def dense_dual_norm(X, lam, size=20_000):
    """h(lam) from below, by sampling: a feasible lam never exceeds 1 anywhere."""
    U = np.random.default_rng(0).normal(size=(size, X.shape[1]))
    U /= np.linalg.norm(U, axis=1)[:, None]
    return np.abs(np.maximum(U @ X.T, 0) @ lam).max()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", PAPER)
def test_paper_values_and_strong_duality_with_every_solver(name, solver):
    X, y, value, lam = PAPER[name]
    primal_value, dual_value, primal, dual = both(X, y, solver=solver)
    tol = SOLVERS[solver][0]
    assert primal_value == pytest.approx(value, abs=1e-6 + tol)
    assert dual_value == pytest.approx(primal_value, rel=tol)
    np.testing.assert_allclose(dual.lam[0].value, lam, atol=1e-6 + 10 * tol)
    np.testing.assert_allclose(np.array(y) * primal.margins[0].dual_value, lam, atol=1e-6 + 10 * tol)


def test_the_primal_solution_is_a_network_of_that_objective():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(6, 2)), np.array([1, -1, 1, -1, 1, 1])
    value, _, primal, dual = both(X, y)
    U, V = primal.positive[0].value, primal.negative[0].value
    outputs = np.maximum(X @ U.T, 0).sum(axis=1) - np.maximum(X @ V.T, 0).sum(axis=1)
    assert (y * outputs).min() == pytest.approx(1, abs=1e-7)
    assert np.linalg.norm(U, axis=1).sum() + np.linalg.norm(V, axis=1).sum() == pytest.approx(value, rel=1e-7)
    lam = dual.lam[0].value
    assert (y * lam).min() >= -1e-8
    assert dense_dual_norm(X, lam) <= 1 + 1e-7


def closed_form_cases():
    root = np.sqrt
    return [
        (np.eye(3), [1, 1, 1], root(3)),  # spike-free: the distance to the hull of the unit vectors
        (np.eye(3), [1, -1, -1], 1 + root(2)),
        (np.array([[1, 0, 0], [0, 1, 0], [0, -0.8, 0.6]]), [1, -1, -1], 3.0),
        (np.array([[3.0, 4.0]]), [-1], 1 / 5),
        (np.array([[0.5], [2.0], [-4.0]]), [1, 1, -1], 2 + 1 / 4),
        (np.array([[1.0, -2.0], [1.0, 0.0], [1.0, 2.0]]), [1, 1, 1], 1.0),
        (np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), [1, -1, 1, -1], 2 * root(2)),
    ]


@pytest.mark.parametrize(("X", "y", "value"), closed_form_cases())
def test_closed_forms(X, y, value):
    primal_value, dual_value, *_ = both(X, y)
    assert primal_value == pytest.approx(value, rel=1e-7)
    assert dual_value == pytest.approx(value, rel=1e-7)


lines = hnp.arrays(np.int64, st.integers(1, 8), elements=st.integers(-9, 9).filter(bool))


@settings(max_examples=12, deadline=None)
@given(lines, st.booleans(), st.booleans())
def test_on_a_line_each_ray_pays_for_its_shortest_row(x, positive, negative):
    X = x[:, None] / 4
    y = np.where(x > 0, 1 if positive else -1, 1 if negative else -1)
    value = sum(1 / np.abs(X[x * side > 0]).min() for side in (1, -1) if (x * side > 0).any())
    primal_value, dual_value, *_ = both(X, y)
    assert primal_value == pytest.approx(value, rel=1e-6)
    assert dual_value == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("C", [np.inf, 0.7])
@pytest.mark.parametrize("y", [[1, -1, 1, 1], ["a", "b", "c", "a"]])
def test_both_are_disciplined_programs_of_the_right_shape(y, C):
    X = np.random.default_rng(0).normal(size=(4, 3))
    patterns = enumerate_patterns(X).patterns
    primal, dual = primal_program(X, y, patterns, C=C), dual_program(X, y, patterns, C=C)
    for program, sense in ((primal, cp.Minimize), (dual, cp.Maximize)):
        assert program.problem.is_dcp()
        assert isinstance(program.problem.objective, sense)
    K = 1 if len(set(y)) == 2 else 3
    assert [u.shape for u in primal.positive + primal.negative] == [(len(patterns), 3)] * (2 * K)
    assert [lam.shape for lam in dual.lam] == [(4,)] * K
    assert [c.shape for c in primal.margins] == [(4,)] * K


def test_no_constraint_is_written_row_by_row():
    """Vectorised: the expression tree has the same number of constraints for 4 and for 40 rows."""
    counts = []
    for n in (4, 40):
        X = np.random.default_rng(0).normal(size=(n, 2))
        y, patterns = np.resize([1, -1], n), enumerate_patterns(X).patterns
        counts.append([len(p(X, y, patterns).problem.constraints) for p in (primal_program, dual_program)])
    assert counts[0] == counts[1]


@pytest.mark.parametrize("C", [np.inf, 0.5])
def test_classes_are_a_sum_of_binary_programs(C):
    """WP Proposition 1: K > 2 classes split into one-against-the-rest problems."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(6, 2)), np.array([0, 1, 2, 0, 1, 2])
    patterns = enumerate_patterns(X).patterns
    together = both(X, y, patterns, C=C)
    apart = [both(X, np.where(y == k, 1, -1), patterns, C=C) for k in range(3)]
    assert together[0] == pytest.approx(sum(p for p, *_ in apart), rel=1e-6)
    assert together[1] == pytest.approx(sum(d for _, d, *_ in apart), rel=1e-6)
    for k in range(3):
        np.testing.assert_allclose(together[3].lam[k].value, apart[k][3].lam[0].value, atol=1e-4)


def test_the_larger_of_two_labels_is_positive():
    patterns = enumerate_patterns(F1).patterns
    values = [
        solved(primal_program(F1, y, patterns).problem) for y in ([1, -1], [7, 3], ["b", "a"], [True, False])
    ]
    np.testing.assert_allclose(values, 1.2824322, rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([0.05, 0.4, 3.0]))
def test_slack_keeps_strong_duality(seed, n, C):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-2, 3, (n, 2)).astype(float), rng.choice([1, -1], n)
    primal_value, dual_value, _, dual = both(X, y, C=C)  # zero rows and contradictions are allowed here
    assert dual_value == pytest.approx(primal_value, rel=1e-6, abs=1e-8)
    assert (y * dual.lam[0].value <= C + 1e-7).all()
    assert primal_value <= C * n * (1 + 1e-7)  # the zero network pays C for each row


def test_slack_as_expensive_as_it_needs_to_be():
    """P*(C) is C n while C y is dual feasible, non-decreasing and concave, and ends at the hard margin."""
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(5, 2)), np.array([1, -1, 1, -1, -1])
    patterns = enumerate_patterns(X).patterns
    hard = solved(primal_program(X, y, patterns).problem)
    threshold = 1 / dense_dual_norm(X, y.astype(float))  # sampled, so a little too large
    small = 0.99 * threshold
    assert solved(primal_program(X, y, patterns, C=small).problem) == pytest.approx(5 * small, rel=1e-6)
    Cs = np.array([1.5, 3.0, 6.0, 12.0]) * threshold
    values = [solved(primal_program(X, y, patterns, C=C).problem) for C in Cs]
    assert values[0] < 5 * Cs[0] * (1 - 1e-6)
    assert (np.diff([5 * small, *values, hard]) >= -1e-6).all()
    slopes = np.diff(values) / np.diff(Cs)
    assert (np.diff(slopes) <= 1e-6).all()
    assert solved(primal_program(X, y, patterns, C=1e4).problem) == pytest.approx(hard, rel=1e-5)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_fewer_patterns_give_an_upper_bound_in_both(seed):
    """Fewer patterns: fewer primal variables, fewer dual constraints; strong duality holds in between."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(5, 2)), np.array([1, 1, -1, -1, 1])
    patterns = enumerate_patterns(X).patterns
    part = patterns[rng.random(len(patterns)) < 0.7]
    part = np.unique(np.vstack([part, np.eye(1, 5, 0, dtype=bool), patterns[:1]]), axis=0)
    full, _, *_ = both(X, y)
    C = 10 * full  # slack keeps the restricted programs feasible; over all patterns no multiplier reaches it
    primal_value, dual_value, *_ = both(X, y, part, C=C)
    assert primal_value == pytest.approx(dual_value, rel=1e-6)
    assert solved(dual_program(X, y, patterns, C=C).problem) == pytest.approx(full, rel=1e-6)
    assert primal_value >= full * (1 - 1e-6)


def test_patterns_may_repeat_and_may_be_numbers():
    patterns = enumerate_patterns(F1).patterns
    twice = np.vstack([patterns, patterns]).astype(int)
    assert solved(dual_program(F1, [1, -1], twice).problem) == pytest.approx(1.2824322, rel=1e-6)
    assert solved(primal_program(F1, [1, -1], twice.tolist()).problem) == pytest.approx(1.2824322, rel=1e-6)


GOOD = {"X": F1, "y": [1, -1], "patterns": [[True, False], [False, True]]}


@pytest.mark.parametrize("build", [primal_program, dual_program])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [1.0, 2.0]}, "matrix of shape"),
        ({"X": [[np.nan, 1.0], [1.0, 1.0]]}, "finite"),
        ({"X": np.zeros((0, 2)), "y": [], "patterns": np.zeros((1, 0), bool)}, "at least one row"),
        ({"y": [1, -1, 1]}, "as many rows"),
        ({"y": [[1], [-1]]}, "vector of labels"),
        ({"y": [3, 3]}, "one label only"),
        ({"y": [1, np.inf]}, "finite"),
        ({"patterns": [True, False]}, r"\(p, 2\)"),
        ({"patterns": [[True, False, True]]}, r"\(p, 2\)"),
        ({"patterns": np.zeros((0, 2), bool)}, "p >= 1"),
        ({"patterns": [[0.5, 1.0]]}, "booleans"),
        ({"patterns": [[-1, 1]]}, "booleans"),
        ({"C": 0.0}, "C must be a positive"),
        ({"C": -1.0}, "C must be a positive"),
        ({"C": np.nan}, "C must be a positive"),
    ],
)
def test_bad_arguments_are_named(build, change, message):
    arguments = {**GOOD, **change}
    C = {"C": arguments.pop("C")} if "C" in arguments else {}
    with pytest.raises(InvalidInputError, match=message):
        build(**arguments, **C)


@pytest.mark.parametrize("build", [primal_program, dual_program])
def test_arguments_are_not_modified(build):
    X, y, patterns = F1.copy(), np.array([1, -1]), enumerate_patterns(F1).patterns.copy()
    before = X.copy(), y.copy(), patterns.copy()
    solved(build(X, y, patterns, C=2.0).problem)
    for now, then in zip((X, y, patterns), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_without_cvxpy_programs_say_what_to_install(monkeypatch):
    monkeypatch.setattr("convexrelu.programs.installed.find_spec", lambda _: None)
    X, y = datasets.load("wang-pilanci-f1")
    patterns = enumerate_patterns(X).patterns
    for ask in (
        lambda: primal_program(X, y, patterns),
        lambda: dual_program(X, y, patterns),
        lambda: solve_max_margin(X, y, method="program"),
    ):
        with pytest.raises(InvalidInputError, match=r"convexrelu\[cvxpy\]"):
            ask()


def test_solving_does_without_cvxpy():
    code = (
        "import sys; sys.modules['cvxpy'] = sys.modules['scs'] = None; import numpy as np, convexrelu as cr; "
        "X = np.random.default_rng(0).normal(size=(15, 3)); y = np.where(np.arange(15) % 2, 1.0, -1.0); "
        "s = cr.solve_max_margin(X, y, C=1.0); print(s.status, s.certificate.check(X, y)); "
        "f = cr.solve(X, y, loss='logistic', beta=1.0, tol=1e-3); print(f.status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["optimal", "True", "optimal"], done.stderr
