import json

import pytest
from typer.testing import CliRunner

from convexrelu.cli.app import app
from convexrelu.papers import early_convergence as kumar_haupt
from convexrelu.papers.claims import Assertion, ReproducedFigure
from convexrelu.plotting import saddles
from convexrelu.plotting.style import new_figure


def reproduced(name, value):
    assertion = Assertion(name="number", value=value, low=0.0, high=1.0, statement="between 0 and 1")
    return ReproducedFigure(name=name, figure=new_figure(size=(1.0, 1.0))[0], assertions=(assertion,))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command on two made-up figures, the second with a given number."""
    monkeypatch.chdir(tmp_path)

    def invoke(value, *options):
        monkeypatch.setattr(kumar_haupt, "figures", lambda: [reproduced("first", 0.5)])
        monkeypatch.setattr(saddles, "figures", lambda: iter([reproduced("second", value)]))
        return CliRunner().invoke(app, ["reproduce", "kumar-haupt", "--out", "r", *options])

    return invoke


def test_all_figures_are_drawn_and_their_numbers_written(run, tmp_path):
    done = run(1.0)
    assert done.exit_code == 0
    assert "2 of 2 figures hold" in done.stdout
    assert {path.name for path in (tmp_path / "r").iterdir()} == {
        "first.png",
        "second.png",
        "kumar-haupt.json",
    }
    document = json.loads((tmp_path / "r" / "kumar-haupt.json").read_text())
    assert document["holds"] is True
    assert [figure["name"] for figure in document["figures"]] == ["first", "second"]
    assert document["figures"][1]["assertions"][0]["value"] == 1.0


def test_a_number_that_does_not_hold_is_an_exit_code(run):
    done = run(1.5, "--json", "--no-plots")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["holds"] is False
    assert [figure["holds"] for figure in document["figures"]] == [True, False]
