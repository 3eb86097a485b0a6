"""``convexrelu verify``: whether gradient descent finds the global optimum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convexrelu._status import Status
from convexrelu.cli.output import (
    FAILS,
    INTERRUPTED,
    Json,
    Label,
    complain,
    emit_json,
    make_folder,
    strict,
    wants_progress,
    working,
)

if TYPE_CHECKING:
    from convexrelu.plotting import NamedFigure
    from convexrelu.verify import LimitReport

__all__ = ["EXAMPLES", "verify"]

EXAMPLES = (
    "Examples: `convexrelu verify` (the data of WP appendix F.1); "
    "`convexrelu verify data.csv --label species --runs 10 --out report`; "
    "`convexrelu verify multi-class-counterexample --width 4 --width 16 --runs 20 --checkpoint runs.json`; "
    "`convexrelu verify iris-setosa-virginica --json`"
)

_WIDTHS, _SCALES = [10], [1e-3]


def verify(
    data: Annotated[
        str, typer.Argument(metavar="[DATA]", help="Named data set, or CSV, NPZ or Parquet file.")
    ] = "wang-pilanci-f1",
    label: Label = None,
    width: Annotated[
        list[int], typer.Option(help="Neurons of each network; give it several times for a grid.")
    ] = _WIDTHS,
    runs: Annotated[int, typer.Option(help="Runs of gradient descent, for each width and scale.")] = 5,
    init_scale: Annotated[
        list[float],
        typer.Option(help="Norm of each neuron's weights at the start; several times for a grid."),
    ] = _SCALES,
    seed: Annotated[int, typer.Option(help="Seed of the starts.", min=0)] = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="JSON file that finished runs are kept in; a rerun goes on from it."),
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds; the report then has the runs finished by then.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.json and the figures.")] = Path(
        "convexrelu-report"
    ),
    json: Json = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the figures.")] = True,
) -> None:
    """Train by gradient descent and compare each run's limit with the certified global optimum.

    Exit code 0: every run reaches it. 1: some run does not, or was not finished. 2: bad or infeasible data.
    """
    from convexrelu._json_files import write_json
    from convexrelu.datasets import resolve
    from convexrelu.verify import verify_gradient_descent

    dataset = resolve(data, label=label)
    folder = make_folder(out)
    report = verify_gradient_descent(
        dataset.X,
        dataset.y,
        width=width,
        n_runs=runs,
        init_scale=init_scale,
        checkpoint=checkpoint,
        time_limit=time_limit,
        rng=seed,
        progress=wants_progress(),
    )
    document = strict(
        {
            "data": str(dataset).splitlines()[0],
            "seed": seed,
            "all_optimal": report.all_optimal,
            **report.to_document(),
        }
    )
    write_json(folder / "report.json", document)
    if json:
        emit_json(document)
    else:
        typer.echo(f"{dataset}\n\n{report}\n\n{_summary(report)}")
    interrupted = report.status == Status.INTERRUPTED
    # whoever pressed Ctrl-C does not wait for figures
    written = ["report.json", *(_draw(report, folder) if plots and not interrupted else [])]
    if not json:
        typer.echo(f"written to {folder}: {', '.join(written)}")
    if interrupted:
        complain("interrupted; the runs that have finished hold")
        raise typer.Exit(INTERRUPTED)
    if not report.all_optimal:
        raise typer.Exit(FAILS)


def _summary(report: LimitReport) -> str:
    """The answer in one sentence."""
    good, total = report.counts.get("global optimum", 0), len(report.runs)
    gap = max(report.solution.gap, 0.0)
    value = f"P* = {report.solution.objective:.6f} (certified to a relative gap of {gap:.0e})"
    if report.all_optimal:
        return f"All {total} runs of gradient descent converge to the global optimum, {value}."
    return f"{good} of {total} runs of gradient descent converge to the global optimum, {value}."


def _draw(report: LimitReport, folder: Path) -> list[str]:
    """Write the figures, for K classes those of each class; their names."""
    from convexrelu.plotting import save_figures

    if not report.runs:
        return []
    with working("drawing the figures"):
        return [path.name for path in save_figures([*_of_runs(report), *_of_grid(report)], folder)]


def _of_runs(report: LimitReport) -> list[NamedFigure]:
    """Bounds, alignment, growth and directions of the first runs in each binary problem."""
    from convexrelu.plotting import training_figures
    from convexrelu.solvers import MultiClassSolution
    from convexrelu.training import training_bounds

    solution = report.solution
    optima = solution.solutions if isinstance(solution, MultiClassSolution) else (solution,)
    first = next(cell for cell in report.cells if cell.runs).runs[:6]
    figures: list[NamedFigure] = []
    for k, (optimum, name) in enumerate(zip(optima, report.problems, strict=True)):
        bounds = [training_bounds(run.trajectories[k]) for run in first]
        figures += training_figures(bounds, optimum.network, optimum=optimum.objective, label=name)
    return figures


def _of_grid(report: LimitReport) -> list[NamedFigure]:
    """The phase map, if there is more than one cell."""
    from convexrelu.plotting import NamedFigure, PhaseCell, phase_map_figure

    if len(report.cells) == 1:
        return []
    cells = [
        PhaseCell(
            width=cell.width,
            init_scale=cell.init_scale,
            verdicts=tuple(run.verdict for run in cell.runs),
        )
        for cell in report.cells
    ]
    figure = phase_map_figure(cells, title="What gradient descent converges to, and from how many starts")
    return [NamedFigure(name="phase-map", figure=figure)]
