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

EXAMPLES = examples(
    "reproduce wang-pilanci", "reproduce kumar-haupt --out figures --json", "reproduce all --out figures"
)


class Paper(StrEnum):
    """The papers whose experiments can be reproduced, one by one or all of them."""

    WANG_PILANCI = "wang-pilanci"
    KUMAR_HAUPT = "kumar-haupt"
    NEURON_PURSUIT = "neuron-pursuit"
    ALL = "all"


def reproduce(
    paper: Annotated[Paper, typer.Argument(help="Which paper, or all.")],
    out: Annotated[Path, typer.Option(help="Folder for the figures and the numbers.")] = Path(
        "convexrelu-report"
    ),
    json: Json = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the figures.")] = True,
) -> None:
    """Draw a paper's figures from computed objects and check its numbers.

    kumar-haupt stands for the papers of Kumar and Haupt on early alignment and on saddles, neuron-pursuit for
    theirs on growing networks, at reduced size. The page index.html shows every figure with its claims and
    what was run for it.

    Exit code 0: every number holds. 1: some number does not.
    """
    from convexrelu._json_files import write_json
    from convexrelu.papers.claims import paper_document
    from convexrelu.papers.index_page import index_page
    from convexrelu.plotting import save_figures

    folder = make_folder(out)
    chosen = [each for each in Paper if each is not Paper.ALL] if paper is Paper.ALL else [paper]
    found: dict[str, list[ReproducedFigure]] = {str(each): [] for each in chosen}
    for each in chosen:
        with working(f"running the experiments of {each}"):
            for figure in _figures_of(each):
                found[str(each)].append(figure)
                if not json:
                    typer.echo(figure)
    documents = [strict(paper_document(name, figures)) for name, figures in found.items()]
    for document in documents:
        write_json(folder / f"{document['paper']}.json", document)
    figures = [figure for each in found.values() for figure in each]
    drawn = save_figures([figure.named for figure in figures], folder) if plots else []
    page = folder / "index.html"
    page.write_text(index_page(found, pictures=plots), encoding="utf-8")
    if json:
        emit_json(documents[0] if paper is not Paper.ALL else {"papers": documents})
    else:
        claims = [claim for figure in figures for claim in figure.claims]
        typer.echo(f"{sum(claim.holds for claim in claims)} of {len(claims)} claims hold")
        names = [page.name, *(f"{name}.json" for name in found), *(path.name for path in drawn)]
        typer.echo(f"written to {folder}: {', '.join(names)}")
    if not all(figure.holds for figure in figures):
        raise typer.Exit(FAILS)


def _figures_of(paper: Paper) -> Iterable[ReproducedFigure]:
    from convexrelu.papers import early_convergence, neuron_pursuit, saddles, wang_pilanci

    if paper is Paper.WANG_PILANCI:
        return wang_pilanci.figures()
    if paper is Paper.NEURON_PURSUIT:
        return neuron_pursuit.figures()
    return chain(early_convergence.figures(), saddles.figures())
