import json

import pytest
from typer.testing import CliRunner

from convexrelu.cli.app import app
from convexrelu.papers import (
    Claim,
    ReproducedFigure,
    early_convergence,
    neuron_pursuit,
    saddles,
    wang_pilanci,
)
from convexrelu.plotting.style import new_figure

MODULES = {
    "wang-pilanci": [wang_pilanci],
    "kumar-haupt": [early_convergence, saddles],
    "neuron-pursuit": [neuron_pursuit],
}


@pytest.fixture(params=list(MODULES))
def paper(request, tmp_path, monkeypatch):
    """A paper, and a function that reproduces made-up figures of it, the last one with a given number."""
    monkeypatch.chdir(tmp_path)

    def reproduced(name, value):
        claim = Claim.at_most("number", value, 1.0, "not above 1")
        return ReproducedFigure(name=name, figure=new_figure(size=(1.0, 1.0))[0], claims=(claim,))

    def invoke(value, *options):
        modules = MODULES[request.param]
        for module in modules[:-1]:
            monkeypatch.setattr(module, "figures", lambda: iter([reproduced("first", 0.5)]))
        monkeypatch.setattr(modules[-1], "figures", lambda: iter([reproduced("second", value)]))
        return CliRunner().invoke(app, ["reproduce", request.param, "--out", "r", *options])

    return request.param, invoke


def test_all_figures_are_drawn_and_their_numbers_written(paper, tmp_path):
    name, invoke = paper
    names = ["first", "second"][2 - len(MODULES[name]) :]
    done = invoke(1.0)
    assert done.exit_code == 0, done.output
    assert f"{len(names)} of {len(names)} claims hold" in done.stdout
    written = {path.name for path in (tmp_path / "r").iterdir()}
    assert written == {f"{name}.json", *(f"{each}.png" for each in names)}
    document = json.loads((tmp_path / "r" / f"{name}.json").read_text())
    assert (document["paper"], document["holds"]) == (name, True)
    assert [figure["name"] for figure in document["figures"]] == names
    [claim] = document["figures"][-1]["claims"]
    assert (claim["computed"], claim["stated"], claim["holds"]) == ([1.0], [1.0], True)


def test_a_number_that_does_not_hold_is_an_exit_code(paper):
    _, invoke = paper
    done = invoke(1.5, "--json", "--no-plots")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["holds"] is False
    assert document["figures"][-1]["holds"] is False
    assert "FAILS" in invoke(1.5).stdout
