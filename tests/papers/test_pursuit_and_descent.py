"""Pursuit against descent; its bridges to orthogonal matching pursuit and to the certified optimum."""

from __future__ import annotations

import json
import signal

import joblib
import numpy as np
import pytest
import tolerances
from sklearn.linear_model import OrthogonalMatchingPursuit

import convexrelu as cr
from convexrelu.datasets import matching_pursuit_example, sparse_function
from convexrelu.papers.pursuit_and_descent import SmallDescent, compare_with_descent
from convexrelu.pursuit import diagonal_pursuit, margin_objectives

QUICK = SmallDescent(width=10, scale=0.1, step_size=0.1, n_steps=300)
SETTINGS = {"n_runs": 2, "test_size": 500, "descent": QUICK, "n_starts": 5, "max_iterations": 2, "rng": 0}


@pytest.fixture(scope="module")
def compared():
    return compare_with_descent("fig5", [40, 300], **SETTINGS)


def essentials(comparison):
    names = ("method", "n", "number", "status", "training_error", "test_error", "steps", "n_neurons")
    return [tuple(getattr(run, name) for name in names) for run in comparison.runs]


def test_every_run_is_there_and_both_methods_see_the_same_samples(compared):
    order = [(n, k, m) for n in (40, 300) for k in range(2) for m in ("pursuit", "descent")]
    assert [(run.n, run.number, run.method) for run in compared.runs] == order
    assert compared.status == "finished"
    assert compared.n_planned == 8
    assert len(compared.of("pursuit", 40)) == 2
    assert all(run.n_neurons == (10, 10) for run in compared.runs if run.method == "descent")
    assert "fig5" in str(compared)
    assert f"at most {QUICK.n_steps} steps" in repr(compared)


def test_pursuit_recovers_figure_five_from_300_samples_and_short_descent_does_not(compared):
    assert compared.errors("pursuit", 300).min() < 1e-3
    assert (compared.errors("descent", 300) > 0.1).all()
    for run in compared.runs:
        if run.status == "tolerance":
            assert run.training_error <= 1e-3
        else:
            cap = ("n_steps", QUICK.n_steps) if run.method == "descent" else ("max_iterations", 2)
            assert (run.status, run.steps) == cap


def test_the_number_of_workers_does_not_matter(compared):
    with joblib.parallel_config(n_jobs=1):
        alone = compare_with_descent("fig5", [40], **SETTINGS)
    assert essentials(alone) == essentials(compared)[:4]


def test_a_checkpoint_is_continued(tmp_path, monkeypatch, compared):
    file = tmp_path / "runs.json"
    first = compare_with_descent("fig5", [40], checkpoint=file, **SETTINGS)
    document = json.loads(file.read_text())
    for number in ("0", "3"):
        del document["runs"][number]
    file.write_text(json.dumps(document))
    done = []
    from convexrelu.papers import pursuit_and_descent as comparison

    run = comparison._run
    monkeypatch.setattr(comparison, "_run", lambda *task: done.append(task[1]) or run(*task))
    again = compare_with_descent("fig5", [40], checkpoint=file, **SETTINGS)
    assert sorted(done) == [0, 3]
    assert essentials(again) == essentials(first) == essentials(compared)[:4]
    with pytest.raises(cr.InvalidInputError, match="test_size differ"):
        compare_with_descent("fig5", [40], checkpoint=file, **SETTINGS | {"test_size": 400})
    document["runs"]["1"] = {"method": "pursuit"}
    file.write_text(json.dumps(document))
    with pytest.raises(cr.InvalidInputError, match="damaged"):
        compare_with_descent("fig5", [40], checkpoint=file, **SETTINGS)


def test_a_time_limit_keeps_what_has_finished(tmp_path):
    file = tmp_path / "runs.json"
    cut = compare_with_descent("fig5", [40], checkpoint=file, time_limit=1e-6, **SETTINGS)
    assert cut.status == "time_limit"
    assert len(cut.runs) < cut.n_planned == 4
    whole = compare_with_descent("fig5", [40], checkpoint=file, **SETTINGS)
    assert (whole.status, len(whole.runs)) == ("finished", 4)


def test_ctrl_c_returns_what_has_finished(monkeypatch):
    from convexrelu.papers import pursuit_and_descent as comparison

    run = comparison._run

    def interrupted(plan, number, clock):
        if number == 1:
            signal.raise_signal(signal.SIGINT)
        return run(plan, number, clock)

    monkeypatch.setattr(comparison, "_run", interrupted)
    with joblib.parallel_config(n_jobs=1):
        cut = compare_with_descent("fig5", [40], **SETTINGS)
    assert (cut.status, len(cut.runs), cut.n_planned) == ("interrupted", 2, 4)


def test_descent_starts_on_a_small_sphere():
    start = SmallDescent(width=7, scale=0.02).start(5, 4, cr.PowerLeakyReLU(0.5), 3)
    assert start.widths == (5, 7, 7, 7, 1)
    assert start.norm == pytest.approx(0.02, rel=tolerances.ROUNDING)


@pytest.mark.parametrize(
    ("sizes", "changed", "match"),
    [
        ([], {}, "sizes"),
        ([50, 50], {}, "different"),
        ([0], {}, "sizes"),
        ([50], {"tol": 0.0}, "tol"),
        ([50], {"n_runs": 0}, "n_runs"),
        ([50], {"inner": "newton"}, "inner"),
        ([50], {"descent": SmallDescent(width=0)}, "width"),
    ],
)
def test_bad_input_is_refused(sizes, changed, match):
    with pytest.raises(cr.InvalidInputError, match=match):
        compare_with_descent("fig5", sizes, **SETTINGS | changed)


@pytest.mark.parametrize("k", [1, 2])
def test_the_papers_example_is_scikit_learns_matching_pursuit(k):
    """NP D.5: scikit-learn correlates with the columns as they are, without normalising them."""
    X, y = matching_pursuit_example()
    peer = OrthogonalMatchingPursuit(n_nonzero_coefs=k, fit_intercept=False).fit(X, y)
    grown = diagonal_pursuit(X, y, max_iterations=k)
    np.testing.assert_allclose(grown.coefficients[-1], peer.coef_, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_diagonal_pursuit_is_scikit_learns_matching_pursuit(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 10)) * rng.uniform(0.5, 2.0, size=10)
    y = X[:, :3] @ [3.0, -2.0, 1.0] + 0.1 * rng.normal(size=40)
    peer = OrthogonalMatchingPursuit(n_nonzero_coefs=5, fit_intercept=False).fit(X, y)
    grown = diagonal_pursuit(X, y, max_iterations=5)
    np.testing.assert_allclose(grown.coefficients[-1], peer.coef_, atol=1e-4)


def test_normalised_columns_would_give_another_sequence():
    """Without that, the example's first column is the second one, and the answer the one of least l1 norm."""
    X, y = matching_pursuit_example()
    sizes = np.linalg.norm(X, axis=0)
    peer = OrthogonalMatchingPursuit(n_nonzero_coefs=2, fit_intercept=False).fit(X / sizes, y)
    np.testing.assert_allclose(peer.coef_ / sizes, [1.0, 2.0, 0.0], atol=1e-12)


def test_the_first_neuron_is_the_column_priced_at_the_labels():
    """L = 2: the first direction maximises |y^T (Xu)_+|, the pricing of column generation at lam = y."""
    X, y = cr.datasets.load("iris-setosa-versicolor")
    result = cr.neuron_pursuit(X, y, depth=2, max_iterations=1, n_starts=3, rng=0)
    best = max((cr.maximize_correlation(X, sign * y) for sign in (1.0, -1.0)), key=lambda found: found.value)
    u = result.history[0].start.weights[0][0]
    np.testing.assert_allclose(u / np.linalg.norm(u), best.direction, atol=1e-6)
    assert result.history[0].ncf_value == pytest.approx(best.value / 2, rel=tolerances.ORACLE)


def test_greedy_objectives_are_upper_bounds_of_the_certified_optimum():
    """Weak duality: every network that fits has at least P*; greedy is strictly above on these samples."""
    X, y = cr.datasets.load("iris-setosa-versicolor")
    result = cr.neuron_pursuit(X, y, depth=2, max_iterations=2, n_starts=3, rng=0)
    values = margin_objectives(result, X, y)
    optimum = cr.solve_max_margin(X, y)
    assert len(values) == len(result.history)
    fits = np.isfinite(values)
    assert fits[-1]
    assert values[fits].min() > 1.1 * optimum.objective
    for value, step in zip(values[fits], np.array(result.history)[fits], strict=True):
        network = step.network.as_two_layer()
        q = (y * network(X)).min()
        assert value == pytest.approx(network.group_norm() / q, rel=1e-9)


def test_greedy_is_optimal_where_one_neuron_is():
    """One sample: P* = 1/||x||, and the neuron along x attains it."""
    result = cr.neuron_pursuit([[3.0, 4.0]], [1.0], depth=2, rng=0)
    assert margin_objectives(result, [[3.0, 4.0]], [1.0])[-1] == pytest.approx(0.2, rel=1e-3)


def test_deep_networks_have_no_max_margin_objective():
    task = sparse_function("fig5", 50, rng=0)
    result = cr.neuron_pursuit(task.X, np.sign(task.y - 0.5), depth=3, max_iterations=1, n_starts=2, rng=0)
    with pytest.raises(cr.InvalidInputError, match="two layers"):
        margin_objectives(result, task.X, np.sign(task.y - 0.5))
