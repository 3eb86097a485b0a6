from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.errors import InvalidInputError
from convexrelu.verify import DecayReport


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_runs_with_weight_decay_are_judged_by_the_certified_optimum(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(15, 2))
    y = np.maximum(X @ [1.0, -0.5], 0) - np.maximum(X @ [0.3, 1.0], 0)
    y = np.where(y > 0, 1.0, -1.0) if loss == "logistic" else y
    report = cr.verify_gradient_descent(X, y, loss=loss, beta=0.3, width=8, n_runs=2, init_scale=0.1)
    assert isinstance(report, DecayReport)
    assert report.status == "finished"
    assert len(report.runs) == 2
    for run in report.runs:
        f, network = run.network(X), run.network
        terms = np.logaddexp(0, -y * f) if loss == "logistic" else 0.5 * (f - y) ** 2
        value = terms.sum() + 0.15 * (np.sum(network.W1**2) + np.sum(network.w2**2))
        assert run.objective == pytest.approx(value, rel=1e-9)
        assert run.lower_bound <= run.polished_objective <= run.objective
        assert run.polished_objective >= report.solution.lower_bound
        assert run.verdict in ("global optimum", "KKT point that is not global")
        if run.verdict == "global optimum":
            assert run.polished_gap <= 1e-6
        else:
            assert report.solution.objective < run.polished_objective
    assert "Certified optimum" in str(report)


def test_one_neuron_cannot_fit_what_two_can_and_the_optimum_is_stationary():
    # y = |x|: one neuron of width 1 ends in a point that is proven not to be global
    X, y = np.array([[1.0], [-1.0]]), np.array([1.0, 1.0])
    start = cr.TwoLayerReLU([[0.5]], [0.5])
    report = cr.verify_gradient_descent(X, y, loss="squared", beta=0.1, starts=[start])
    run = report.runs[0]
    # in closed form: (1 - 0.9)^2/2 + 0.1 * 0.9 for a row that has a neuron, 1/2 for one that has none
    assert report.solution.objective == pytest.approx(2 * 0.095, rel=1e-6)
    assert run.objective == pytest.approx(0.095 + 0.5, rel=1e-6)
    assert run.verdict == "KKT point that is not global"
    best = cr.verify_gradient_descent(X, y, loss="squared", beta=0.1, starts=[report.solution.network])
    assert best.all_optimal


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "squared"},
        {"beta": 1.0},
        {"loss": "squared", "beta": 1.0, "width": [2, 3]},
        {"loss": "squared", "beta": 1.0, "checkpoint": "runs.json"},
        {"loss": "hinge", "beta": 1.0},
        {"loss": "multi_squared", "beta": 1.0},
        {"loss": "squared", "beta": -1.0},
        {"loss": "squared", "beta": 1.0, "n_runs": 0},
    ],
)
def test_what_does_not_go_together_is_refused(options):
    with pytest.raises(InvalidInputError):
        cr.verify_gradient_descent([[1.0], [-1.0]], [1.0, -1.0], **options)
