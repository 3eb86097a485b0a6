"""``convexrelu reproduce``: a paper's figures and numbers, computed again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convexrelu.cli.output import FAILS, Json, emit_json, make_folder, strict, working

if TYPE_CHECKING:
    from convexrelu.report import Example, WangPilanciReport

__all__ = ["EXAMPLES", "Paper", "reproduce"]

EXAMPLES = (
    "Examples: `convexrelu reproduce wang-pilanci`; `convexrelu reproduce wang-pilanci --out figures --json`"
)


class Paper(StrEnum):
    """The papers whose experiments can be reproduced."""

    WANG_PILANCI = "wang-pilanci"


def reproduce(
    paper: Annotated[Paper, typer.Argument(help="Which paper.")],
    out: Annotated[Path, typer.Option(help="Folder for the figures and the numbers.")] = Path(
        "convexrelu-report"
    ),
    json: Json = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the figures.")] = True,
) -> None:
    """Draw a paper's figures from computed objects and check its numbers.

    Exit code 0: every number holds. 1: some number does not.
    """
    from convexrelu.networks.storage import write_json
    from convexrelu.report import reproduce_wang_pilanci

    folder = make_folder(out)
    with working(f"running the experiments of {paper.value}"):
        report = reproduce_wang_pilanci()
    document = strict(report.to_document())
    write_json(folder / f"{paper.value}.json", document)
    if json:
        emit_json(document)
    else:
        typer.echo(report)
    written = [f"{paper.value}.json", *(_draw(report, folder) if plots else [])]
    if not json:
        typer.echo(f"written to {folder}: {', '.join(written)}")
    if not report.holds:
        raise typer.Exit(FAILS)


def _draw(report: WangPilanciReport, folder: Path) -> list[str]:
    from convexrelu.plotting import ZonotopePanel, f1_figures, f2_figures, save_figures, zonotopes

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
