"""Verdicts and their proofs."""

import math

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.certificates.bounds import relative_gap
from convexrelu.verify import multi_class_counterexample


@pytest.mark.parametrize(("obtuse", "optimum", "reached"), [(False, 1 + 2**0.5, 3), (True, 3, 1 + 10**0.5)])
def test_counterexamples_to_theorem_two_end_in_a_kkt_point_that_is_not_global(obtuse, optimum, reached):
    """docs/theory.md section 6: one class of three against the rest; the start meets all conditions."""
    example = multi_class_counterexample(obtuse=obtuse)
    report = cr.verify_gradient_descent(example.X, example.y, starts=[example.start])
    run = report.runs[0]
    assert run.verdict == "KKT point that is not global"
    assert run.polished_objective == pytest.approx(reached, abs=1e-6)
    assert run.gap == pytest.approx(1 - optimum / reached, abs=1e-3)
    assert run.stationarity <= 1e-4  # the root of the solver's gap
    certificate = run.certificate
    assert certificate.not_optimal
    assert run.parts[0].better_by == "one neuron added to the limit"
    assert certificate.better_objective == pytest.approx(optimum, abs=1e-6)
    assert certificate.better.margin(example.X, example.y) >= 1 - 1e-9  # the proof holds by itself
    assert certificate.better.objective() < certificate.network.objective()
    assert certificate.check(example.X, example.y)
    assert "proof" in str(report)
    assert not report.all_optimal


def test_three_orthogonally_separable_classes_get_the_right_verdict_with_its_proof():
    """WP Theorem 2 is false for three classes: some starts reach P*, others end in a proven worse point."""
    X, labels = cr.datasets.orthogonally_separable(40, 6, n_classes=3, rng=3)
    report = cr.verify_gradient_descent(X, labels, width=10, n_runs=3, rng=0)
    assert {"global optimum", "KKT point that is not global"} <= set(report.counts)
    for run in report.runs:
        for k, part in enumerate(run.parts):
            y = np.where(labels == k, 1.0, -1.0)
            if part.verdict == "global optimum":
                assert part.certificate.gap <= 1e-6
                assert part.objective <= part.certificate.objective * (1 + 1e-3)
            elif part.verdict == "KKT point that is not global":
                assert part.certificate.better.margin(X, y) >= 1 - 1e-9
                assert part.certificate.better.objective() < part.limit.objective() * (1 - 1e-6)
                assert part.dual_feasibility > 1 + 1e-6  # Theorem 3's condition fails, as it must
            else:
                assert part.verdict == "never fitted the data"
                assert part.trajectory.margin[-1] <= 0
        if run.verdict == "global optimum":
            assert run.gap <= 1e-3
            assert run.polished_gap <= 1e-6


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


def test_descent_that_stands_still_says_so():
    """A normalised step is at most 0.3/||theta||: from weights of 1e6 it is below their rounding."""
    X, y = cr.datasets.load("wang-pilanci-f1")
    report = cr.verify_gradient_descent(X, y, init_scale=1e6, n_runs=1, rng=0)
    [run] = report.runs
    assert run.verdict == "never fitted the data"
    assert run.n_steps == 0
    assert "after 0 steps descent stands still: its steps are below the rounding of the weights" in str(
        report
    )
    unseen = cr.verify_gradient_descent(X, y, starts=[cr.TwoLayerReLU(-np.ones((1, 2)), [1e-3])])
    assert "descent stands still: no neuron sees a sample" in str(unseen)
    lost = cr.verify_gradient_descent(X, y, starts=[cr.TwoLayerReLU([[1e-3, 0.0]], [1e-3])])
    assert lost.runs[0].n_steps > 150_000 - 20_000
    assert "stands still" not in str(lost)


def test_relative_gap_of_an_infinite_objective():
    assert relative_gap(math.inf, 1.0) == math.inf
    assert relative_gap(2.0, 1.0) == 0.5
