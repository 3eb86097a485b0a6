"""``convexrelu reproduce``: a paper's figures and numbers, computed again."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convexrelu.cli.output import FAILS, Json, emit_json, make_folder, strict, working

if TYPE_CHECKING:
    from convexrelu.papers.claims import ReproducedFigure
    from convexrelu.papers.wang_pilanci import Example, WangPilanciReport

__all__ = ["EXAMPLES", "Paper", "reproduce"]

EXAMPLES = (
    "Examples: `convexrelu reproduce wang-pilanci`; `convexrelu reproduce kumar-haupt --out figures --json`"
)


class Paper(StrEnum):
    """The papers whose experiments can be reproduced."""

    WANG_PILANCI = "wang-pilanci"
    KUMAR_HAUPT = "kumar-haupt"
    NEURON_PURSUIT = "neuron-pursuit"


def reproduce(
    paper: Annotated[Paper, typer.Argument(help="Which paper.")],
    out: Annotated[Path, typer.Option(help="Folder for the figures and the numbers.")] = Path(
        "convexrelu-report"
    ),
    json: Json = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the figures.")] = True,
) -> None:
    """Draw a paper's figures from computed objects and check its numbers.

    kumar-haupt stands for the papers of Kumar and Haupt on early alignment and on saddles, neuron-pursuit for
    theirs on growing networks, at reduced size.

    Exit code 0: every number holds. 1: some number does not.
    """
    folder = make_folder(out)
    if paper is Paper.WANG_PILANCI:
        _wang_pilanci(folder, json=json, plots=plots)
    else:
        _figure_by_figure(paper, folder, json=json, plots=plots)


def _wang_pilanci(folder: Path, *, json: bool, plots: bool) -> None:
    from convexrelu.papers.wang_pilanci import reproduce_wang_pilanci

    paper = Paper.WANG_PILANCI.value
    with working(f"running the experiments of {paper}"):
        report = reproduce_wang_pilanci()
    _hand_over(paper, folder, report.to_document(), json=json)
    if not json:
        typer.echo(report)
    _finish(paper, folder, _draw(report, folder) if plots else [], json=json, holds=report.holds)


def _figure_by_figure(which: Paper, folder: Path, *, json: bool, plots: bool) -> None:
    from convexrelu.plotting import save_figures

    paper = which.value
    figures: list[ReproducedFigure] = []
    with working(f"running the experiments of {paper}"):
        for figure in _figures_of(which):
            figures.append(figure)
            if not json:
                typer.echo(figure)
    holds = all(figure.holds for figure in figures)
    document = {"paper": paper, "holds": holds, "figures": [_document(figure) for figure in figures]}
    _hand_over(paper, folder, document, json=json)
    if not json:
        good = sum(figure.holds for figure in figures)
        typer.echo(f"{good} of {len(figures)} figures hold")
    drawn = save_figures([figure.named for figure in figures], folder) if plots else []
    _finish(paper, folder, [path.name for path in drawn], json=json, holds=holds)


def _figures_of(paper: Paper) -> Iterable[ReproducedFigure]:
    from convexrelu.papers import early_convergence as kumar_haupt
    from convexrelu.papers import neuron_pursuit
    from convexrelu.plotting import saddles

    if paper is Paper.NEURON_PURSUIT:
        return neuron_pursuit.figures()
    return chain(kumar_haupt.figures(), saddles.figures())


def _document(figure: ReproducedFigure) -> dict[str, Any]:
    """Return what a figure asserts as JSON values."""
    return {
        "name": figure.name,
        "holds": figure.holds,
        "assertions": [
            {
                "name": assertion.name,
                "value": assertion.value,
                "low": assertion.low,
                "high": assertion.high,
                "holds": assertion.holds,
                "statement": assertion.statement,
            }
            for assertion in figure.assertions
        ],
    }


def _hand_over(paper: str, folder: Path, document: dict[str, Any], *, json: bool) -> None:
    """Write the numbers to the folder, and to the terminal if asked for."""
    from convexrelu._json_files import write_json

    safe = strict(document)
    write_json(folder / f"{paper}.json", safe)
    if json:
        emit_json(safe)


def _finish(paper: str, folder: Path, drawn: list[str], *, json: bool, holds: bool) -> None:
    if not json:
        typer.echo(f"written to {folder}: {', '.join([f'{paper}.json', *drawn])}")
    if not holds:
        raise typer.Exit(FAILS)


def _draw(report: WangPilanciReport, folder: Path) -> list[str]:
    from convexrelu.papers.wang_pilanci_figures import f1_figures, f2_figures, zonotopes
    from convexrelu.plotting import ZonotopePanel, save_figures

    def panel(example: Example, title: str) -> ZonotopePanel:
        X, y = example.data
        return ZonotopePanel(
            X=X, y=y, lam=example.solution.lam, network=example.solution.network, title=title
        )

    with working("drawing the figures"):
        panels = [panel(report.f1, "F.1: two samples")]
        panels += [
            panel(example, f"{len(example.data.y)} samples, alternating labels") for example in report.stars
        ]
        figures = [
            *f1_figures(report.f1.solution, report.f1.runs),
            *f2_figures(report.f2.solution, report.f2.runs),
            zonotopes(panels),
        ]
        return [path.name for path in save_figures(figures, folder)]
