"""What a report says."""

import numpy as np
import pytest

import convexrelu as cr


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


def test_the_report_names_the_classes_that_failed():
    X, labels = np.eye(3), np.array(["a", "b", "c"])
    report = cr.verify_gradient_descent(X, labels, width=4, n_runs=4, rng=3)
    text = str(report)
    assert {"KKT point that is not global", "never fitted the data"} <= set(report.counts)
    for run in report.runs:
        verdicts = [part.verdict for part in run.parts]
        for name, part in zip(("class a", "class b", "class c"), run.parts, strict=True):
            if part.verdict == "KKT point that is not global":
                better, worse = part.certificate.better_objective, part.certificate.objective
                assert f"{name} alone: a network of objective {better:.7g} < {worse:.7g}" in run.proof
            assert (name in run.verdict_by_class) == (part.verdict != "global optimum")
        assert run.problems_of(run.verdict) == tuple(
            f"class {k}" for k, verdict in zip("abc", verdicts, strict=True) if verdict == run.verdict
        )
        assert run.verdict_by_class.startswith(run.verdict)
        assert run.verdict_by_class in text
        assert run.proof in text


def test_a_cell_that_is_not_there():
    report = cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], n_runs=1)
    assert report.cell(width=10, init_scale=1e-3).runs == report.runs
    with pytest.raises(cr.InvalidInputError, match="width"):
        report.cell(width=11, init_scale=1e-3)


def test_without_a_network_no_optimum_is_claimed():
    """Random labels and no time: no network that fits, hence no upper bound and nothing certified."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), np.where(rng.random(60) < 0.5, 1.0, -1.0)
    text = str(cr.verify_gradient_descent(X, y, time_limit=1e-4))
    assert "no network that fits was found in time; P* >= " in text
    assert "inf" not in text
