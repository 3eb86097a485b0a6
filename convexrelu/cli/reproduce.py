"""``convexrelu reproduce``: a paper's figures and numbers, computed again."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convexrelu.cli.output import FAILS, Json, emit_json, examples, make_folder, strict, working

if TYPE_CHECKING:
    from convexrelu.papers.claims import ReproducedFigure

__all__ = ["EXAMPLES", "Paper", "reproduce"]

EXAMPLES = examples("reproduce wang-pilanci", "reproduce kumar-haupt --out figures --json")


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
    from convexrelu._json_files import write_json
    from convexrelu.papers.claims import paper_document
    from convexrelu.plotting import save_figures

    folder = make_folder(out)
    figures: list[ReproducedFigure] = []
    with working(f"running the experiments of {paper}"):
        for figure in _figures_of(paper):
            figures.append(figure)
            if not json:
                typer.echo(figure)
    document = strict(paper_document(paper, figures))
    write_json(folder / f"{paper}.json", document)
    if json:
        emit_json(document)
    drawn = save_figures([figure.named for figure in figures], folder) if plots else []
    if not json:
        claims = [claim for figure in figures for claim in figure.claims]
        typer.echo(f"{sum(claim.holds for claim in claims)} of {len(claims)} claims hold")
        typer.echo(f"written to {folder}: {', '.join([f'{paper}.json', *(path.name for path in drawn)])}")
    if not document["holds"]:
        raise typer.Exit(FAILS)


def _figures_of(paper: Paper) -> Iterable[ReproducedFigure]:
    from convexrelu.papers import early_convergence, neuron_pursuit, saddles, wang_pilanci

    if paper is Paper.WANG_PILANCI:
        return wang_pilanci.figures()
    if paper is Paper.NEURON_PURSUIT:
        return neuron_pursuit.figures()
    return chain(early_convergence.figures(), saddles.figures())
