import json

import numpy as np
import pytest
from typer.testing import CliRunner

import convexrelu as cr
from convexrelu.cli import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `convexrelu pursue` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["pursue", *map(str, arguments)])


@pytest.fixture
def table(tmp_path):
    """|x| with a constant: two neurons fit it."""
    x = np.linspace(-1.0, 1.0, 21)
    rows = np.c_[x, np.abs(x) + 0.5]
    np.savetxt(tmp_path / "data.csv", rows, delimiter=",", header="x,price", comments="")
    return tmp_path / "data.csv"


def test_a_sparse_function_is_learnt_and_tested(run, tmp_path):
    """NP Figure 5: the function is recovered, on fresh samples too; the file holds the network."""
    done = run("fig5", "--size", 300, "--test-size", 500, "--iterations", 4, "--out", "net.json", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["status"] == "tolerance"
    assert document["test_error"] < 1e-2
    network = cr.FeedForward.load(tmp_path / "net.json")
    assert list(network.widths) == document["widths"]
    np.testing.assert_array_equal(network.weights[0], document["weights"][0])
    losses = [step["loss"] for step in document["history"]]
    assert losses == sorted(losses, reverse=True)


def test_real_targets_of_a_file(run, table):
    done = run(table, "--target", "price", "--bias", "--depth", 2, "--tol", 1e-4)
    assert done.exit_code == 0, done.output
    assert "tolerance" in done.stdout
    assert "price" in done.stdout


def test_the_exit_code_says_when_the_tolerance_is_missed(run, table):
    done = run(table, "--target", "price", "--depth", 2, "--iterations", 1, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["status"] == "max_iterations"


def test_labels_become_targets(run):
    """Two labels are +1 and -1 (one output); three classes make three outputs."""
    two = json.loads(run("wang-pilanci-f1", "--depth", 2, "--json").stdout)
    assert (two["status"], two["widths"][-1]) == ("tolerance", 1)
    three = json.loads(run("wine", "--depth", 2, "--iterations", 1, "--json").stdout)
    assert three["widths"][-1] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.csv"], "no such file"),
        (["fig5", "--label", "y"], "for files"),
        (["{table}", "--target", "cost"], "no column 'cost'"),
        (["{table}", "--target", "price", "--label", "x"], "not both"),
        (["fig5", "--depth", "1"], "depth"),
        (["fig5", "--inner", "magic"], "magic"),
        (["fig5", "--alpha", "2"], "alpha"),
    ],
)
def test_bad_input_is_one_line(run, table, arguments, words):
    done = run(*(argument.format(table=table) for argument in arguments))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
