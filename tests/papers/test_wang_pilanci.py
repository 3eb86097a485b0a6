from dataclasses import replace

import numpy as np

from convexrelu.papers import wang_pilanci as report
from convexrelu.papers.wang_pilanci import reproduce_wang_pilanci, star


def test_every_number_of_the_paper_holds():
    found = reproduce_wang_pilanci(n_runs=2)
    assert found.holds, str(found)
    assert len(found.checks) >= 20
    assert len(found.f1.runs) == len(found.f2.runs) == 2
    assert f"{len(found.checks)} of {len(found.checks)} checks hold" in str(found)


def test_a_wrong_number_fails():
    """The paper prints (0.58, -0.16) in WP (128): the report must tell it from the optimum."""
    found = reproduce_wang_pilanci(n_runs=1)
    [neuron] = [check for check in found.checks if check.name == "F.1: positive neuron"]
    misprint = replace(neuron, expected=(0.58, -0.16))
    assert neuron.holds
    assert not misprint.holds
    assert not replace(neuron, expected=(0.560576,)).holds
    wrong = replace(found, checks=(*found.checks, misprint))
    assert not wrong.holds
    assert "FAILS" in str(wrong)
    assert wrong.to_document()["holds"] is False


def test_star_alternates_round_the_origin():
    X, y = star(8, rng=0)
    angles = np.unwrap(np.arctan2(X[:, 1], X[:, 0]))
    assert (np.diff(angles) > 0).all()
    assert (y[1:] == -y[:-1]).all()


def test_runs_record_the_iterations_that_the_paper_draws():
    run = reproduce_wang_pilanci(n_runs=1).f1.runs[0]
    assert np.isin([1, 10, 100, 1000, 10_000], run.times).all()
    assert run.w2.shape[1] == report.WIDTH == 10
