import json

import pytest
from typer.testing import CliRunner

from convexrelu.cli import app
from convexrelu.papers import neuron_pursuit
from convexrelu.papers.claims import Assertion, ReproducedFigure
from convexrelu.plotting.style import new_figure


@pytest.mark.parametrize(("value", "code"), [(0.5, 0), (1.5, 1)])
def test_the_figures_are_drawn_and_judged(tmp_path, monkeypatch, value, code):
    def figures():
        assertion = Assertion(name="share", value=value, low=0.0, high=1.0, statement="between 0 and 1")
        figure, _ = new_figure(size=(1.0, 1.0))
        yield ReproducedFigure(name="np-figure-0", figure=figure, assertions=(assertion,))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(neuron_pursuit, "figures", figures)
    done = CliRunner().invoke(app, ["reproduce", "neuron-pursuit", "--out", "r"])
    assert done.exit_code == code, done.output
    assert ("FAILS" in done.stdout) == bool(code)
    assert {path.name for path in (tmp_path / "r").iterdir()} == {"neuron-pursuit.json", "np-figure-0.png"}
    document = json.loads((tmp_path / "r" / "neuron-pursuit.json").read_text())
    assert document["holds"] is (code == 0)
    assert document["figures"][0]["assertions"][0]["value"] == value
