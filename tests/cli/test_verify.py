"""``convexrelu verify`` on a grid: its report, its checkpoint, its phase map."""

import json

import pytest
from typer.testing import CliRunner

from convexrelu.cli import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


GRID = ("verify", "multi-class-counterexample", "--width", 2, "--width", 6, "--runs", 2, "--seed", 1)


def test_a_grid_has_its_map_and_goes_on_from_its_checkpoint(run, tmp_path):
    first = run(*GRID, "--checkpoint", "runs.json", "--out", "first")
    assert first.exit_code in (0, 1), first.output
    assert "phase-map.png" in first.stdout
    report = json.loads((tmp_path / "first" / "report.json").read_text())
    assert [(cell["width"], cell["success"]["total"]) for cell in report["cells"]] == [(2, 2), (6, 2)]
    assert sum(report["counts"].values()) == 4
    assert first.exit_code == (0 if report["all_optimal"] else 1)
    again = run(*GRID, "--checkpoint", "runs.json", "--out", "again", "--no-plots")
    assert again.exit_code == first.exit_code
    assert json.loads((tmp_path / "again" / "report.json").read_text()) == report
    other = run(*GRID, "--checkpoint", "runs.json", "--init-scale", 0.1)
    assert other.exit_code == 2
    assert "init_scale" in other.stderr


def test_out_of_time_is_not_success(run):
    done = run("verify", "--time-limit", 1e-9, "--json", "--out", "r")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert document["status"] == "time_limit"
    assert document["runs"] == []


def test_classes_keep_their_names(run, tmp_path):
    lines = ["a,b,c,kind", "1,0,0,north", "0,1,0,south", "0,0,1,west"]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    done = run("verify", "d.csv", "--no-standardize", "--no-bias", "--runs", 1, "--no-plots")
    assert done.exit_code in (0, 1), done.output
    document = json.loads((tmp_path / "convexrelu-report" / "report.json").read_text())
    assert "south" in json.dumps(document)
