import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import convexrelu as cr
from convexrelu.cli import app
from convexrelu.cli.output import strict

F1 = cr.datasets.load("wang-pilanci-f1")
RAW = ("--no-standardize", "--no-bias")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in a folder of its own; the result has exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def table(tmp_path):
    np.savetxt(tmp_path / "data.csv", np.c_[F1.X, F1.y], delimiter=",", header="a,b,class", comments="")
    return tmp_path / "data.csv"


def one_line(result, code, *words):
    """One line says what is wrong; what the data is may stand before it."""
    assert result.exit_code == code, result.output
    assert "status" not in result.stdout
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert all(word in result.stderr for word in words), result.stderr


def test_verify_prints_the_verdict_and_writes_the_report(run, tmp_path):
    done = run("verify", "--runs", 2)
    assert done.exit_code == 0, done.output
    assert "1.2824" in done.stdout
    assert "global" in done.stdout
    folder = tmp_path / "convexrelu-report"
    assert {p.name for p in folder.iterdir()} == {
        "report.json",
        "bounds.png",
        "alignment.png",
        "growth.png",
        "directions.png",
    }
    document = json.loads((folder / "report.json").read_text())
    assert document["all_optimal"] is True
    assert len(document["runs"]) == 2
    assert document["objective"] == pytest.approx(1.282432, abs=1e-6)


def test_verify_says_when_the_optimum_is_missed(run):
    """One neuron has one output sign, so it cannot fit two labels: P* = 1.2824 is out of reach."""
    done = run("verify", "--width", 1, "--runs", 2, "--json", "--no-plots", "--out", "r")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert document["all_optimal"] is False
    assert {r["verdict"] for r in document["runs"]} == {"never fitted the data"}
    assert {r["gap"] for r in document["runs"]} == {"inf"}
    printed = run("verify", "--width", 1, "--runs", 2, "--no-plots", "--report", "r.html").stdout
    assert "0 of 2 runs" in printed
    assert re.search(r"1 +- +- +- +- +- +- +never fitted", printed)  # no "inf" where there is no number
    assert "inf" not in printed


def test_solve_writes_a_certificate_that_check_accepts(run, table):
    done = run("solve", "data.csv", "--label", "class", "--out", "c.json", *RAW)
    assert done.exit_code == 0, done.output
    assert "1.28243222" in done.stdout
    assert "convexrelu check c.json data.csv --label class" in done.stdout
    assert run("check", "c.json", "data.csv", "--label", "class").exit_code == 0
    assert run("check", "c.json", "data.csv").exit_code == 0  # the file knows the column
    other = np.c_[F1.X + 0.1, F1.y]
    np.savetxt("other.csv", other, delimiter=",", header="a,b,class", comments="")
    refused = run("check", "c.json", "other.csv", "--label", "class", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["holds"] is False


def test_solve_as_json(run):
    document = json.loads(run("solve", "wang-pilanci-f2", "--json").stdout)
    assert document["status"] == "optimal"
    u = np.abs(document["w2"])[:, None] * np.array(document["W1"])
    assert np.allclose(u, [[0.438553, 0.588059]], atol=1e-5)
    assert document["certificate"]["C"] == "inf"


def test_solve_several_classes(run):
    np.savez("corner.npz", X=np.eye(3), y=np.array([0, 1, 2]))
    document = json.loads(run("solve", "corner.npz", "--json", *RAW).stdout)
    assert document["objective"] == pytest.approx(3 * (1 + np.sqrt(2)), rel=1e-6)
    assert [c["class"] for c in document["classes"]] == ["class 0", "class 1", "class 2"]
    assert "class 2: 2.41421" in run("solve", "corner.npz", *RAW).stdout


def test_solve_without_time_is_not_optimal(run):
    done = run("solve", "moons", "--time-limit", 1e-3, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["status"] == "time_limit"


def test_certify_tells_optimal_from_not(run, tmp_path):
    solution = cr.solve_max_margin(*F1)
    solution.network.save("best.json")
    best = run("certify", "wang-pilanci-f1", "best.json", "--out", "c.json")
    assert best.exit_code == 0, best.output
    assert run("check", "c.json", "wang-pilanci-f1").exit_code == 0
    cr.TwoLayerReLU(F1.X, [1.0, -1.0]).save("other.json")
    other = run("certify", "wang-pilanci-f1", "other.json", "--json")
    document = json.loads(other.stdout)
    assert other.exit_code == 1
    assert document["lower_bound"] <= 1.282433 <= document["objective"]
    assert document["gap"] > 1e-6
    cr.TwoLayerReLU(-F1.X, [1.0, -1.0]).save("wrong.json")
    wrong = run("certify", "wang-pilanci-f1", "wrong.json", "--json")
    assert wrong.exit_code == 1
    assert json.loads(wrong.stdout)["objective"] == "inf"


def test_certify_refuses_what_does_not_fit(run):
    cr.TwoLayerReLU(np.ones((1, 5)), [1.0]).save("wide.json")
    one_line(run("certify", "wang-pilanci-f1", "wide.json"), 2, "2 inputs")
    one_line(run("certify", "wang-pilanci-f1", "nowhere.json"), 2, "nowhere.json")


def test_a_list_that_would_be_too_long_is_refused_with_what_to_do(run):
    one_line(run("patterns", "breast-cancer"), 2, "cells to list", "--count, or --sample 1000")


def test_patterns(run):
    done = run("patterns", "wang-pilanci-f1", "--out", "p.npz")
    assert done.exit_code == 0
    assert "4 patterns" in done.stdout
    with np.load("p.npz") as arrays:
        assert np.array_equal(arrays["patterns"], F1.X @ arrays["witnesses"].T > 0) or np.array_equal(
            arrays["patterns"], arrays["witnesses"] @ F1.X.T > 0
        )
        assert bool(arrays["complete"])
        np.testing.assert_allclose(
            np.abs(arrays["witnesses"] @ F1.X.T / np.linalg.norm(F1.X, axis=1)).min(axis=1), arrays["margins"]
        )
    np.savez("general.npz", X=np.random.default_rng(0).normal(size=(9, 3)), y=np.array([1, -1] * 4 + [1]))
    count = json.loads(run("patterns", "general.npz", "--count", "--json", *RAW).stdout)
    assert count["count"] == count["bound"] == 2 * (1 + 8 + 28)
    whole = json.loads(run("patterns", "general.npz", "--json", *RAW).stdout)
    assert whole["coverage_at_least"] == 1.0
    assert whole["least_margin"] > 0
    sample = json.loads(run("patterns", "wine", "--sample", 20, "--json").stdout)
    assert sample["complete"] is False
    assert sample["count"] <= 20
    rays = run("patterns", "general.npz", "--sample", 3000, "--method", "rays", *RAW)
    assert f"{count['count']} distinct" in rays.stdout
    assert "at least 100.00% of all" in rays.stdout


def test_reproduce_prints_the_numbers_and_draws_every_figure(run, tmp_path, monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, path, **__: path.write_bytes(b""))
    done = run("reproduce", "wang-pilanci", "--out", "r", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "r" / "wang-pilanci.json").read_text())
    values = {c["about"]: c["computed"] for figure in document["figures"] for c in figure["claims"]}
    assert values["F.1: P*"] == pytest.approx([1.282432], abs=1e-6)
    assert values["F.2: P*"] == pytest.approx([0.733582], abs=1e-6)
    numbered = {f"wp-figure-{k}.png" for k in (1, 2, 3, 4, 6, 7, 8, 9, 10)}
    assert {p.name for p in (tmp_path / "r").iterdir()} == numbered | {
        "zonotopes.png",
        "wang-pilanci.json",
        "index.html",
    }


def test_reproduce_fails_if_a_number_does_and_draws_nothing_unasked(run, tmp_path, monkeypatch):
    monkeypatch.setattr("convexrelu.papers.wang_pilanci.TOL", -1.0)
    assert run("reproduce", "wang-pilanci", "--out", "r", "--no-plots").exit_code == 1
    assert not list((tmp_path / "r").glob("*.png"))


@pytest.mark.parametrize("command", ["solve", "verify", "patterns"])
def test_missing_file_is_named(run, command):
    one_line(run(command, "missing.csv"), 2, "missing.csv")


def test_infeasible_data_saves_a_proof(run):
    np.savez("twice.npz", X=np.array([[1.0, 2.0], [3.0, 6.0], [0.0, 1.0]]), y=np.array([1, -1, 1]))
    one_line(run("solve", "twice.npz", "--out", "proof.json", *RAW), 1, "rows 0, 1", "proof.json")
    cr.TwoLayerReLU([[1.0, 0.0]], [1.0]).save("network.json")
    one_line(
        run("certify", "twice.npz", "network.json", "--out", "again.json", *RAW), 1, "rows 0, 1", "again.json"
    )
    for name in ("proof.json", "again.json"):
        for options in ([], ["--exact"]):
            held = run("check", name, "twice.npz", *options)
            assert held.exit_code == 0, held.output
            assert "holds: inf <= P* <= inf; no network without biases fits" in " ".join(held.stdout.split())
    # with a price of slack there is nothing to prove infeasible
    assert run("certify", "twice.npz", "network.json", "--C", 1, "--out", "soft.json", *RAW).exit_code == 1
    assert "inf" not in run("check", "soft.json", "twice.npz").stdout


def test_a_file_that_proves_less_says_so(run, monkeypatch):
    monkeypatch.setattr("convexrelu.oracle.witness._WORK", 1e-6)
    rng = np.random.default_rng(0)
    np.savez("d.npz", X=rng.normal(size=(12, 3)), y=np.array([1, -1] * 6))
    done = run("solve", "d.npz", "--out", "c.json", *RAW)
    assert done.exit_code == 0
    assert "the file proves" in done.stderr
    assert run("check", "c.json", "d.npz").exit_code == 0


def test_infeasible_data_names_its_rows(run):
    np.savez("twice.npz", X=np.array([[1.0, 2.0], [3.0, 6.0], [0.0, 1.0]]), y=np.array([1, -1, 1]))
    done = run("solve", "twice.npz", *RAW)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in ("rows 0, 1", "Append a ones column", "--C 1"))


def test_infeasible_rows_of_a_table_are_lines_of_the_file(run):
    """With a bias column nothing is left to append; a row with a missing value moves the numbers."""
    lines = ["a,b,label", "1,2,x", "3,,x", "1,2,y", "0,1,y"]
    Path("twice.csv").write_text("\n".join(lines) + "\n")
    done = run("solve", "twice.csv", "--skip-missing")
    said = " ".join(done.stderr.split())
    assert done.exit_code == 2
    assert "equal rows have different labels (rows 0, 1)" in said
    assert "In the file: line 2, line 4." in said
    assert "ones column" not in said
    assert "without bias" not in said
    saved = run("solve", "twice.csv", "--skip-missing", "--out", "proof.json")
    assert saved.exit_code == 1
    assert "line 2, line 4" in saved.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("solve", "wang-pilanci-f1", "--label", "y"),
        ("solve", "wang-pilanci-f1", "--method", "magic"),
        ("solve", "wang-pilanci-f1", "--C", "-1"),
        ("solve", "wang-pilanci-f1", "--out", "no/folder/c.json"),
        ("verify", "wang-pilanci-f1", "--width", "0"),
        ("patterns", "wang-pilanci-f1", "--count", "--sample", "3"),
        ("patterns", "wang-pilanci-f1", "--out", "p.csv"),
        ("patterns", "wang-pilanci-f1", "--sample", "3", "--method", "magic"),
        ("patterns", "breast-cancer"),
        ("check", "missing.json", "wang-pilanci-f1"),
    ],
)
def test_bad_arguments_are_one_line(run, arguments):
    one_line(run(*arguments), 2)


def test_interruption_is_said(run, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("convexrelu.verify.verify_gradient_descent", interrupt)
    one_line(run("verify"), 130, "interrupted")


def test_an_interrupted_verification_draws_nothing(run, monkeypatch, tmp_path):
    """The report of the runs that finished is written, and nobody waits for figures."""
    whole = cr.verify_gradient_descent

    def cut(X, y, **options):
        report = whole(X, y, width=4, n_runs=1, rng=0)
        return dataclasses.replace(report, n_planned=2, status="interrupted")

    def drawn(*_):
        raise AssertionError

    monkeypatch.setattr("convexrelu.verify.verify_gradient_descent", cut)
    monkeypatch.setattr("convexrelu.plotting.save_figures", drawn)
    done = run("verify", "wang-pilanci-f1", "--out", str(tmp_path / "out"))
    assert done.exit_code == 130
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    "command", [[], ["verify"], ["solve"], ["certify"], ["check"], ["patterns"], ["reproduce"]]
)
def test_help(run, command):
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert "xamples" in done.stdout or not command


def test_version(run):
    assert run("--version").stdout.strip() == f"convexrelu {cr.__version__}"


def test_strict_json_has_no_infinities():
    value = {
        "a": np.array([1.0, np.inf]),
        "b": (float("nan"), -np.inf),
        "c": np.int64(3),
        "d": np.bool_(True),
    }
    assert strict(value) == {"a": [1.0, "inf"], "b": ["nan", "-inf"], "c": 3, "d": True}


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_help_starts_without_the_solvers():
    """Showing help must not wait for cvxpy, numba or matplotlib."""
    program = (
        "import sys; from convexrelu.cli import app; app(['--help'], standalone_mode=False); "
        "heavy = {'cvxpy', 'numba', 'matplotlib', 'sklearn', 'scipy'}; "
        "sys.stderr.write(str(sorted(heavy & set(sys.modules))))"
    )
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("[]")


def test_python_dash_m():
    bad = python("-m", "convexrelu", "solve", "missing.csv", "--label", "y")
    assert bad.returncode == 2
    assert "missing.csv" in bad.stderr
    assert "Traceback" not in bad.stderr


def test_check_reads_certificates_of_weight_decay(run, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 2)), rng.normal(size=12)
    np.savez(tmp_path / "real.npz", X=X, y=y)
    np.savez(tmp_path / "labels.npz", X=X, y=np.where(y > 0, "up", "down"))
    for name, loss, targets in (("real", "squared", y), ("labels", "hinge", np.where(y > 0, "up", "down"))):
        file, data = str(tmp_path / f"{name}.json"), str(tmp_path / f"{name}.npz")
        cr.solve(X, targets, loss=loss, beta=0.5).certificate.save(file)
        done = run("check", file, data, "--label", "y")
        assert done.exit_code == 0, done.output
        assert f"(loss = {cr.losses.get_loss(loss).name}, beta = 0.5; no preprocessing)" in done.output
    done = run("check", str(tmp_path / "real.json"), str(tmp_path / "labels.npz"), "--label", "y")
    assert done.exit_code == 2
