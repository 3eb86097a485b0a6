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
        return ReproducedFigure(
            name=name, figure=new_figure(size=(1.0, 1.0))[0], claims=(claim,), setting="a seed"
        )

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
    assert written == {"index.html", f"{name}.json", *(f"{each}.png" for each in names)}
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


def test_all_papers_stand_on_one_page(tmp_path, monkeypatch):
    for module in {each for modules in MODULES.values() for each in modules}:
        name = module.__name__.rsplit(".", 1)[-1]
        claim = Claim.equals(f"number of {name} <&>", 1.0, 1.5, 0.6, "a theorem")
        figure = ReproducedFigure(
            name=name, figure=new_figure(size=(1.0, 1.0))[0], claims=(claim,), setting=f"run of {name}"
        )
        monkeypatch.setattr(module, "figures", lambda figure=figure: iter([figure]))
    done = CliRunner().invoke(app, ["reproduce", "all", "--out", str(tmp_path / "r")])
    assert done.exit_code == 0, done.output
    assert "4 of 4 claims hold" in done.stdout
    written = {path.name for path in (tmp_path / "r").iterdir()}
    assert {"wang-pilanci.json", "kumar-haupt.json", "neuron-pursuit.json", "index.html"} < written
    page = (tmp_path / "r" / "index.html").read_text()
    for name in ("wang_pilanci", "early_convergence", "saddles", "neuron_pursuit"):
        assert f'<img src="{name}.png"' in page
        assert (
            f"number of {name} &lt;&amp;&gt;</td><td>1</td><td>equal to</td><td>1.5</td><td>0.6</td>" in page
        )
        assert f"run of {name}" in page
