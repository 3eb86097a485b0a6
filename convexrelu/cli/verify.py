"""``convexrelu verify``: whether gradient descent finds the global optimum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convexrelu._status import Status
from convexrelu.cli.data import Columns, read
from convexrelu.cli.output import (
    FAILS,
    INTERRUPTED,
    Bias,
    Drop,
    Json,
    Label,
    Report,
    Sep,
    SkipMissing,
    Standardize,
    complain,
    emit_json,
    examples,
    make_folder,
    say,
    strict,
    wants_progress,
    working,
)

if TYPE_CHECKING:
    from convexrelu.plotting import NamedFigure
    from convexrelu.verify import LimitReport

__all__ = ["EXAMPLES", "verify"]

EXAMPLES = (
    examples(
        "verify",
        "verify data.csv --label species --runs 10 --report report.html",
        "verify multi-class-counterexample --width 4 --width 16 --runs 20",
        "verify iris-setosa-virginica --json",
    )
    + "\n\nWithout DATA: the two samples of Wang and Pilanci's appendix F.1."
)

TIME_LIMIT = 300.0  # seconds, where nothing else is said
_WIDTHS, _SCALES = [10], [1e-3]


def verify(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Named data set, or CSV, TSV, NPZ or Parquet file.")
    ] = "wang-pilanci-f1",
    label: Label = None,
    drop: Drop = None,
    sep: Sep = None,
    skip_missing: SkipMissing = False,
    standardize: Standardize = None,
    bias: Bias = None,
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
        float, typer.Option(metavar="SECONDS", help="The report then has the runs finished by then.")
    ] = TIME_LIMIT,
    out: Annotated[Path, typer.Option(help="Folder for report.json and the figures.")] = Path(
        "convexrelu-report"
    ),
    report_file: Report = None,
    json: Json = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the figures.")] = True,
) -> None:
    """Train by gradient descent and compare each run's limit with the certified global optimum.

    Exit code 0: every run reaches it. 1: some run does not, or was not finished. 2: bad or infeasible data.
    """
    from convexrelu._json_files import check_target, write_json
    from convexrelu.verify import verify_gradient_descent

    if report_file is not None:
        check_target(report_file)
    columns = Columns.of(label, drop, sep, skip_missing, standardize, bias)
    dataset = read(data, columns)
    folder = make_folder(out)
    report = verify_gradient_descent(
        dataset.X,
        dataset.labels,
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
        say(f"{dataset}\n\n{report}\n\n{_summary(report)}")
    interrupted = report.status == Status.INTERRUPTED
    figures = _figures(report) if (plots or report_file is not None) and not interrupted else []
    # whoever pressed Ctrl-C does not wait for figures
    written = ["report.json", *(_draw(figures, folder) if plots else [])]
    if not json:
        say(f"written to {folder}: {', '.join(written)}")
    if report_file is not None:
        from convexrelu.cli.report import verify_report

        recheck = columns.command("verify", data, *_same_runs(width, runs, init_scale, seed))
        verify_report(report_file, dataset, report, figures, answer=_summary(report), recheck=recheck)
        if not json:
            say(f"report written to {report_file}")
    if interrupted:
        complain("interrupted; the runs that have finished hold")
        raise typer.Exit(INTERRUPTED)
    if not report.all_optimal:
        raise typer.Exit(FAILS)


def _same_runs(width: list[int], runs: int, init_scale: list[float], seed: int) -> list[object]:
    """The options that make the same runs."""
    grid = [("--width", value) for value in width] + [("--init-scale", value) for value in init_scale]
    return [word for pair in [*grid, ("--runs", runs), ("--seed", seed)] for word in pair]


def _summary(report: LimitReport) -> str:
    """The answer in one sentence."""
    good, total = report.counts.get("global optimum", 0), len(report.runs)
    solution, gap = report.solution, max(report.solution.gap, 0.0)
    value = (
        f"P* = {solution.objective:.6f} (certified to a relative gap of {gap:.0e})"
        if gap < 1e-3
        else f"{solution.lower_bound:.6g} <= P* <= {solution.objective:.6g}"
    )
    if not total:
        return f"No run of gradient descent has finished; {value}. --time-limit SECONDS gives them more time."
    if report.all_optimal:
        return f"All {total} runs of gradient descent converge to the global optimum, {value}."
    return f"{good} of {total} runs of gradient descent converge to the global optimum, {value}."


def _figures(report: LimitReport) -> list[NamedFigure]:
    """All figures, for K classes those of each class."""
    return [*_of_runs(report), *_of_grid(report)] if report.runs else []


def _draw(figures: list[NamedFigure], folder: Path) -> list[str]:
    """Write the figures; their names."""
    from convexrelu.plotting import save_figures

    if not figures:
        return []
    with working("drawing the figures"):
        return [path.name for path in save_figures(figures, folder)]


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
