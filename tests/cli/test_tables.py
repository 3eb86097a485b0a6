"""From a table as people have it to predictions in their own words."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import convexrelu as cr
from convexrelu.cli import app
from convexrelu.cli.output import say

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2)) * [1.0, 200.0] + [0.0, 1000.0]
KIND = np.where(X[:, 0] + (X[:, 1] - 1000) / 200 > 0, "good", "bad")
THREE = np.where(X[:, 0] > 0.5, "east", np.where(X[:, 1] > 1000, "north", "south"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def write(path, labels, *, comma=True, rows=X):
    lines = ["nr;width;height;kind"]
    for k, (row, name) in enumerate(zip(rows, labels, strict=True)):
        numbers = ";".join(f"{value:.6f}" for value in row)
        lines.append(f"no. {k};{numbers.replace('.', ',') if comma else numbers};{name}")
    path.write_text("\n".join(lines))


@pytest.fixture
def model(run, tmp_path):
    write(tmp_path / "data.csv", KIND)
    done = run("solve", "data.csv", "--drop", "nr", "--C", 1, "--out", "model.json")
    assert done.exit_code == 0, done.output
    assert "training accuracy" in done.stdout
    assert "bad (labelled -1)" in done.stdout
    assert "good (labelled +1)" in done.stdout
    assert "standardized, bias column" in done.stdout
    assert "features: width, height, bias" in done.stdout
    return "model.json"


def test_a_model_predicts_in_the_names_of_its_classes(run, model, tmp_path):
    done = run("predict", model, "data.csv", "--out", "out.csv")
    assert done.exit_code == 0, done.output
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert rows[0] == ["line", "output", "prediction"]
    assert [row[0] for row in rows[1:]] == [str(line) for line in range(2, 32)]
    assert [row[2] for row in rows[1:]] == ["good" if float(row[1]) > 0 else "bad" for row in rows[1:]]
    right = np.mean([row[2] == kind for row, kind in zip(rows[1:], KIND, strict=True)])
    assert right > 0.9
    assert f"accuracy {right:.1%}" in done.stdout


def test_new_data_may_lack_labels_and_have_its_columns_in_any_order(run, model, tmp_path):
    document = json.loads(run("predict", model, "data.csv", "--json").stdout)
    rounded = [[float(f"{value:.6f}") for value in row] for row in X]
    lines = ["height,colour,width", *(f"{b!r},red,{a!r}" for a, b in rounded)]
    (tmp_path / "new.csv").write_text("\n".join(lines))
    new = json.loads(run("predict", model, "new.csv", "--json").stdout)
    assert new["predictions"] == document["predictions"]
    assert "accuracy" not in new
    (tmp_path / "other.csv").write_text("width,depth\n1,2\n")
    refused = run("predict", model, "other.csv")
    assert refused.exit_code == 2
    assert "the model needs the column 'height'" in refused.stderr


def test_the_same_file_is_checked_and_certified(run, model):
    assert run("check", model, "data.csv").exit_code == 0
    assert run("check", model, "data.csv", "--exact").exit_code == 0
    certified = run("certify", "data.csv", model, "--json")
    assert certified.exit_code == 0, certified.output
    assert json.loads(certified.stdout)["C"] == 1.0  # the model's price, which was not repeated
    both = run("check", model, "data.csv", "--no-bias")
    assert both.exit_code == 2
    assert "its own preprocessing" in both.stderr


def test_the_checker_that_stands_alone_prepares_the_data_too(run, model):
    checker = [sys.executable, "-m", "convexrelu.check", model]
    held = subprocess.run([*checker, "data.csv"], capture_output=True, text=True, check=False)
    assert held.returncode == 0, held.stderr
    assert "prepared as the file says" in held.stdout
    write(open_path("other.csv"), KIND, rows=X + 1e-3)
    other = subprocess.run([*checker, "other.csv"], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    document = json.loads(open_path(model).read_text())
    document["model"]["preprocessing"]["scale"][0] *= 2
    open_path("altered.json").write_text(json.dumps(document))
    altered = [sys.executable, "-m", "convexrelu.check", "altered.json", "data.csv"]
    assert subprocess.run(altered, capture_output=True, check=False).returncode == 1


def open_path(name):
    from pathlib import Path

    return Path(name)


def test_named_data_and_files_have_one_default(run):
    raw = cr.datasets.load("iris-setosa-virginica", standardize=False, bias=False)
    table = np.c_[raw.X, raw.y]
    np.savetxt("iris.csv", table, delimiter=",", header="a,b,c,d,label", comments="", fmt="%.17g")
    named = json.loads(run("solve", "iris-setosa-virginica", "--json").stdout)
    filed = json.loads(run("solve", "iris.csv", "--json").stdout)
    assert named["objective"] == filed["objective"]
    assert named["certificate"]["data"] == filed["certificate"]["data"]
    plain = json.loads(
        run("solve", "iris-setosa-virginica", "--no-standardize", "--no-bias", "--json").stdout
    )
    assert plain["preprocessing"] == "no preprocessing"
    assert len(plain["W1"][0]) == 4
    refused = run("solve", "wang-pilanci-f1", "--bias")
    assert "taken as printed" in refused.stderr


def test_classes_keep_their_names(run, tmp_path):
    write(tmp_path / "three.csv", THREE, comma=False)
    done = run("solve", "three.csv", "--drop", "nr", "--C", 1, "--tol", 1e-3, "--out", "m.json")
    assert done.exit_code == 0, done.output
    assert "class north:" in done.stdout
    assert "class 1" not in done.stdout
    held = run("check", "m.json", "three.csv")
    assert held.exit_code == 0, held.output
    assert "class south:" in held.stdout
    predicted = json.loads(run("predict", "m.json", "three.csv", "--json").stdout)
    assert set(predicted["predictions"]) == {"east", "north", "south"}
    assert predicted["accuracy"] > 0.9
    assert np.shape(predicted["outputs"]) == (30, 3)


def test_a_loss_of_numbers(run, tmp_path):
    target = np.maximum(X[:, 0], 0) - 0.5
    write(tmp_path / "data.csv", [f"{value:.6f}".replace(".", ",") for value in target])
    options = ("--label", "kind", "--drop", "nr")
    hint = run("solve", "data.csv", *options)
    assert hint.exit_code == 2
    assert "--loss squared" in hint.stderr
    done = run(
        "solve", "data.csv", *options, "--loss", "squared", "--beta", 0.01, "--tol", 1e-3, "--out", "m.json"
    )
    assert done.exit_code == 0, done.output
    assert "training R^2 1.0000" in done.stdout
    assert "targets from -0.5 to" in done.stdout
    assert run("check", "m.json", "data.csv").exit_code == 0
    again = run("certify", "data.csv", "m.json", "--json")
    assert json.loads(again.stdout)["loss"] == "square"
    predicted = json.loads(run("predict", "m.json", "data.csv", "--json").stdout)
    np.testing.assert_allclose(predicted["predictions"], target, atol=0.3)


def test_a_loss_of_classes(run, tmp_path):
    write(tmp_path / "data.csv", THREE)
    options = ("--drop", "nr", "--loss", "softmax", "--beta", 0.5, "--tol", 0.5, "--time-limit", 20)
    done = run("solve", "data.csv", *options, "--out", "m.json")
    assert done.exit_code in (0, 1), done.output
    predicted = json.loads(run("predict", "m.json", "data.csv", "--json").stdout)
    assert predicted["accuracy"] > 0.8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--loss", "logistic"), "give --beta"),
        (("--beta", "1"), "give --loss"),
        (("--loss", "logistic", "--beta", "1", "--C", "1"), "does not go with --loss"),
        (("--loss", "magic", "--beta", "1"), "loss must be one of"),
        (("--drop", "colour"), "no column 'colour' to drop"),
        ((), "'nr' must hold finite numbers, got 'no. 0' at line 2, and 29 more like it: leave .* --drop nr"),
        (("--label", "nr", "--drop", "kind"), "30 different ones"),
    ],
)
def test_what_cannot_be_is_said_with_what_to_do(run, tmp_path, options, said):
    import re

    write(tmp_path / "data.csv", KIND)
    done = run("solve", "data.csv", *options)
    assert done.exit_code == 2
    assert re.search(said, done.stderr), done.stderr


def test_networks_of_others_are_certified(run, tmp_path):
    write(tmp_path / "data.csv", KIND)
    np.savez(
        "w.npz", W1=RNG.normal(size=(4, 2)), b1=RNG.normal(size=4), w2=RNG.normal(size=(2, 4)), b2=np.ones(2)
    )
    done = run("certify", "data.csv", "w.npz", "--drop", "nr", "--C", 1, "--time-limit", 5)
    assert done.exit_code == 1, done.output
    assert "the log-odds of good" in done.stdout
    wrong = run("certify", "data.csv", "w.npz", "--drop", "nr", "--no-bias")
    assert wrong.exit_code == 2
    assert "for a network with biases, --bias" in wrong.stderr


def test_a_network_of_others_is_not_silently_given_other_columns(run, tmp_path):
    write(tmp_path / "data.csv", KIND)
    W1, b1 = np.array([[0.01, 0.0], [-0.01, 0.0]]), np.array([0.0, 0.5])
    np.savez("w.npz", W1=W1, b1=b1, w2=np.array([1.0, -2.0]), b2=np.zeros(1))
    common = ("certify", "data.csv", "w.npz", "--drop", "nr", "--no-improve")
    silent = "for one trained on the columns as they are, --no-standardize"
    by_default = " ".join(run(*common).stdout.split())
    assert silent in by_default
    network = cr.TwoLayerReLU.from_weights(W1, b1, np.array([1.0, -2.0]), 0.0)
    data = cr.datasets.from_file("data.csv", drop="nr")
    standard = (data.X - data.X.mean(axis=0)) / data.X.std(axis=0)
    for option, Z in (("--no-standardize", data.X), ("--standardize", standard)):
        said = " ".join(run(*common, option).stdout.split())
        right = int(np.sum((network(cr.datasets.with_bias(Z)) > 0) == (data.y > 0)))
        assert silent not in said
        assert f"({right} of {len(Z)})" in said
        assert "inf" not in said


def test_a_search_that_is_cut_off_says_what_to_do(run):
    done = run("solve", "breast-cancer", "--time-limit", 0.01)
    assert done.exit_code == 1
    text = " ".join(done.stdout.split())
    assert "The time limit of 0.01 s ended the search" in text
    assert "with --C 1 it takes less" in text


def test_lines_fit_eighty_columns(run, model, capsys):
    done = run("solve", "data.csv", "--drop", "nr", "--C", 1)
    checked = run("check", model, "data.csv")
    for line in (done.stdout + checked.stdout).splitlines():
        assert len(line) <= 80, line
    for command in ("verify", "solve", "certify", "check", "predict", "patterns", "pursue", "reproduce"):
        text = run(command, "--help").stdout
        assert max(map(len, text.splitlines())) <= 80
        assert "[[" not in text
    say("word " * 40)
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())
    report = cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], n_runs=1, rng=0)
    say(report)
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_rows_with_a_missing_value_are_left_out_on_request_and_the_commands_say_so(run, tmp_path):
    write(tmp_path / "data.csv", KIND)
    lines = (tmp_path / "data.csv").read_text().splitlines()
    lines[3] = "no. 2;;990,0;good"
    (tmp_path / "data.csv").write_text("\n".join(lines))
    options = ("data.csv", "--drop", "nr", "--C", 1, "--tol", "1e-2")
    refused = run("solve", *options)
    assert refused.exit_code == 2
    assert "--skip-missing" in refused.stderr
    done = run("solve", *options, "--skip-missing", "--out", "model.json")
    assert done.exit_code == 0, done.output
    assert "1 row with a missing value left out" in " ".join(done.stdout.split())
    assert "convexrelu check model.json data.csv --drop nr --skip-missing" in done.stdout
    assert run("check", "model.json", "data.csv", "--skip-missing").exit_code == 0
    said = run("predict", "model.json", "data.csv", "--skip-missing").stdout
    assert "29 samples; 1 with a missing value left out" in " ".join(said.split())
    assert "line 4:" not in said
    assert run("solve", "moons", "--skip-missing").exit_code == 2


def test_a_soft_margin_says_what_its_objective_is_made_of(run, tmp_path):
    write(tmp_path / "data.csv", KIND)
    said = run("solve", "data.csv", "--drop", "nr", "--C", 2, "--tol", "1e-2").stdout
    line = next(line for line in said.splitlines() if line.startswith("norm "))
    norm, slack, total = (float(line.split()[k]) for k in (1, 6, 8))
    assert line.split()[3] == "2"
    assert norm + 2 * slack == pytest.approx(total, rel=1e-5)
    assert f"<= P* <= {total:.9g}" in said
    assert "KKT" not in said
