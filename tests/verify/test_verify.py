"""Gradient descent's limits against the certified optimum."""

import json
import math

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.certificates.bounds import relative_gap
from convexrelu.verify import multi_class_counterexample


def test_orthogonally_separable_data_every_run_is_global():
    """WP Theorem 4: from small scaled starts the limit's direction is a global minimiser's."""
    X, y = cr.datasets.orthogonally_separable(40, 5, rng=1)
    report = cr.verify_gradient_descent(X, y, width=10, n_runs=10, rng=0)
    assert len(report.runs) == 10
    assert report.all_optimal
    for run in report.runs:
        assert run.gap <= 1e-3
        assert run.polished_gap <= 1e-6
        assert run.dual_feasibility <= 1 + 1e-6  # Theorem 3's condition, which Proposition 4 predicts
        assert run.parts[0].correspondence.startswith("Theorem 3 applies")
        assert "Proposition 4" in run.parts[0].correspondence
        assert run.certificate.check(X, y)


def test_the_papers_data_and_its_printed_form():
    X, y = cr.datasets.load("wang-pilanci-f1")
    report = cr.verify_gradient_descent(X, y, n_runs=2, rng=0)
    text = str(report)
    assert "1.282432" in text
    assert "2 of 2: global optimum" in text
    for run in report.runs:
        end = run.trajectories[0].network_at(-1)
        u = end.u[np.argmax(np.linalg.norm(end.u, axis=1) * (end.signs > 0))]
        assert u @ [0.560576, -0.159679] / np.linalg.norm(u) / 0.5828749 > 1 - 1e-6  # the paper's neuron


def test_counterexample_to_theorem_two_ends_in_a_kkt_point_that_is_not_global():
    """docs/theory.md section 6: X = I_3, P* = 1 + sqrt 2, but the stored start's limit has objective 3."""
    example = multi_class_counterexample()
    report = cr.verify_gradient_descent(example.X, example.y, starts=[example.start])
    run = report.runs[0]
    assert run.verdict == "KKT point that is not global"
    assert run.polished_objective == pytest.approx(3.0, abs=1e-6)
    assert run.stationarity <= 1e-4  # the root of the solver's gap
    certificate = run.certificate
    assert certificate.not_optimal
    assert certificate.better_objective == pytest.approx(1 + math.sqrt(2), abs=1e-6)
    assert certificate.better.margin(example.X, example.y) >= 1 - 1e-9  # the proof holds by itself
    assert certificate.better.objective() < certificate.network.objective()
    assert certificate.check(example.X, example.y)
    assert "proof" in str(report)
    assert not report.all_optimal


def test_a_network_too_small_never_fits_the_data():
    X, y = cr.datasets.load("wang-pilanci-f1")
    one_sign = cr.TwoLayerReLU([[1e-3, 0.0], [0.0, 1e-3]], [1e-3, 1e-3])  # no negative output: row 2 is lost
    report = cr.verify_gradient_descent(X, y, starts=[one_sign])
    run = report.runs[0]
    assert run.verdict == "never fitted the data"
    assert math.isinf(run.gap)
    assert math.isinf(run.polished_gap)
    document = report.to_document()
    assert json.loads(json.dumps(document, allow_nan=False))["runs"][0]["gap"] == "inf"


def test_classes_add_up_and_the_worst_verdict_wins():
    X, labels = np.eye(3), np.array([0, 1, 2])
    report = cr.verify_gradient_descent(X, labels, width=6, n_runs=2, rng=3)
    assert report.solution.objective == pytest.approx(3 * (1 + math.sqrt(2)), rel=1e-6)
    order = ["global optimum", "KKT point that is not global", "not converged", "never fitted the data"]
    for run in report.runs:
        assert len(run.parts) == len(run.trajectories) == 3
        assert run.verdict == max((part.verdict for part in run.parts), key=order.index)
        assert run.polished_objective == pytest.approx(
            sum(p.certificate.objective for p in run.parts), rel=1e-12
        )
        assert run.certificate.check(X, labels)


def test_same_seed_same_report():
    X, y = cr.datasets.load("wang-pilanci-f2")
    first, second = (cr.verify_gradient_descent(X, y, n_runs=2, rng=7) for _ in range(2))
    assert first.to_document() == second.to_document()


@pytest.mark.parametrize("arguments", [{"width": 0}, {"n_runs": -1}, {"init_scale": -1.0}])
def test_bad_arguments(arguments):
    with pytest.raises(cr.InvalidInputError):
        cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], **arguments)


def test_starts_of_the_wrong_shape_and_for_classes():
    wrong = cr.TwoLayerReLU([[1.0, 0.0, 0.0]], [1.0])
    with pytest.raises(cr.InvalidInputError, match="2 inputs"):
        cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], starts=[wrong])
    with pytest.raises(cr.InvalidInputError, match="two labels"):
        cr.verify_gradient_descent(np.eye(3), [0, 1, 2], starts=[wrong])


def test_infeasible_data_is_refused_before_training():
    with pytest.raises(cr.InfeasibleError):
        cr.verify_gradient_descent([[1.0, 0.0], [2.0, 0.0]], [1, -1])


def test_relative_gap_of_an_infinite_objective():
    assert relative_gap(math.inf, 1.0) == math.inf
    assert relative_gap(2.0, 1.0) == 0.5
