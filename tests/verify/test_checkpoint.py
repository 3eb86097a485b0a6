"""Finished runs in a file: continued, and refused where they are others."""

import json

import numpy as np
import pytest

import convexrelu as cr


def test_a_checkpoint_is_continued_and_gives_the_same_report(tmp_path, monkeypatch):
    from convexrelu.verify import runs as module

    X, labels = np.eye(3), np.array([0, 1, 2])
    file = tmp_path / "runs.json"
    settings = {"width": [2, 6], "n_runs": 2, "rng": 3}
    direct = cr.verify_gradient_descent(X, labels, **settings)
    kept = cr.verify_gradient_descent(X, labels, checkpoint=file, **settings)
    document = json.loads(file.read_text())
    assert sorted(document["runs"], key=int) == ["0", "1", "2", "3"]
    del document["runs"]["1"], document["runs"]["3"]  # as if it had been stopped after two runs
    file.write_text(json.dumps(document))
    trained = []
    judge = module.judged
    monkeypatch.setattr(module, "judged", lambda *task: trained.append(task) or judge(*task))
    again = cr.verify_gradient_descent(X, labels, checkpoint=file, **settings)
    assert len(trained) == 2
    assert direct.to_document() == kept.to_document() == again.to_document()
    assert str(direct) == str(again)
    for run, same in zip(direct.runs, again.runs, strict=True):
        for path, copy in zip(run.trajectories, same.trajectories, strict=True):
            assert np.array_equal(path.W1, copy.W1)
            assert np.array_equal(path.times, copy.times)
            assert (path.status, path.stages) == (copy.status, copy.stages)
        assert same.certificate.check(X, labels)
    assert list(tmp_path.iterdir()) == [file]  # no draft is left behind


def test_a_checkpoint_of_other_runs_is_refused(tmp_path):
    X, y = cr.datasets.load("wang-pilanci-f1")
    file = tmp_path / "runs.json"
    cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)
    for data, settings, name in [
        (2 * X, {"n_runs": 1}, "data"),
        (X, {"n_runs": 2}, "n_runs"),
        (X, {"n_runs": 1, "width": 4}, "width"),
        (X, {"n_runs": 1, "init_scale": 1e-2}, "init_scale"),
        (X, {"n_runs": 1, "rng": 1}, "rng"),
    ]:
        with pytest.raises(cr.InvalidInputError, match=name):
            cr.verify_gradient_descent(data, y, checkpoint=file, **settings)
    file.write_text("{}")
    with pytest.raises(cr.InvalidInputError):
        cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda runs: runs["0"][0]["W1"].update(base64="AAAA"), "damaged"),
        (lambda runs: runs["0"][0].update(verdict="splendid"), "splendid"),
        (lambda runs: runs["0"][0].update(verdict=["global optimum"]), "no verdict"),
        (lambda runs: runs["0"][0].update(certificate="AAAA"), "damaged"),
        (lambda runs: runs["0"].append(runs["0"][0]), "damaged"),
        (lambda runs: runs.update({"1": runs["0"]}), "it holds run 1, but there are only runs 0 to 0"),
        (lambda runs: runs.update({"-1": runs.pop("0")}), "run -1"),
    ],
)
def test_a_damaged_checkpoint_is_refused_before_any_work(tmp_path, solve_nothing, damage, message):
    X, y = cr.datasets.load("wang-pilanci-f1")
    file = tmp_path / "runs.json"
    cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)
    document = json.loads(file.read_text())
    damage(document["runs"])
    file.write_text(json.dumps(document))
    solve_nothing()
    with pytest.raises(cr.InvalidInputError, match=message) as caught:
        cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)
    assert "is damaged" in str(caught.value)


def test_a_checkpoint_of_other_runs_is_refused_before_the_solve(tmp_path, solve_nothing):
    X, y = cr.datasets.load("wang-pilanci-f1")
    file = tmp_path / "runs.json"
    cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)
    solve_nothing()
    with pytest.raises(cr.InvalidInputError, match="data"):
        cr.verify_gradient_descent(2 * X, y, n_runs=1, checkpoint=file)


def test_a_checkpoint_without_a_run_stands_in_nobodys_way(tmp_path):
    """It is written before the solve, which may find the data infeasible: corrected data takes it over."""
    file = tmp_path / "runs.json"
    with pytest.raises(cr.InfeasibleError):
        cr.verify_gradient_descent([[1.0, 0.0], [2.0, 0.0]], [1, -1], checkpoint=file)
    report = cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], n_runs=1, checkpoint=file)
    assert len(json.loads(file.read_text())["runs"]) == len(report.runs) == 1
