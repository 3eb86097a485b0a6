"""``convexrelu verify``: whether gradient descent finds the global optimum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convexrelu.cli.output import FAILS, Json, Label, emit_json, make_folder, strict, wants_progress, working

if TYPE_CHECKING:
    from convexrelu.verify import LimitReport

__all__ = ["EXAMPLES", "verify"]

EXAMPLES = (
    "Examples: `convexrelu verify` (the data of WP appendix F.1); "
    "`convexrelu verify data.csv --label species --runs 10 --out report`; "
    "`convexrelu verify iris-setosa-virginica --json`"
)


def verify(
    data: Annotated[
        str, typer.Argument(metavar="[DATA]", help="Named data set, or CSV, NPZ or Parquet file.")
    ] = "wang-pilanci-f1",
    label: Label = None,
    width: Annotated[int, typer.Option(help="Neurons of each network.")] = 10,
    runs: Annotated[int, typer.Option(help="Runs of gradient descent.")] = 5,
    init_scale: Annotated[float, typer.Option(help="Norm of each neuron's weights at the start.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Seed of the starts.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="Folder for report.json and the figures.")] = Path(
        "convexrelu-report"
    ),
    json: Json = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the figures.")] = True,
) -> None:
    """Train by gradient descent and compare each run's limit with the certified global optimum.

    Exit code 0: every run reaches it. 1: some run does not. 2: bad or infeasible data.
    """
    from convexrelu.datasets import resolve
    from convexrelu.networks.storage import write_json
    from convexrelu.verify import verify_gradient_descent

    dataset = resolve(data, label=label)
    folder = make_folder(out)
    report = verify_gradient_descent(
        dataset.X,
        dataset.y,
        width=width,
        n_runs=runs,
        init_scale=init_scale,
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
    written = ["report.json", *(_draw(report, folder) if plots else [])]
    if not json:
        typer.echo(f"written to {folder}: {', '.join(written)}")
    if not report.all_optimal:
        raise typer.Exit(FAILS)


def _summary(report: LimitReport) -> str:
    """The answer in one sentence."""
    good = sum(run.verdict == "global optimum" for run in report.runs)
    gap = max(report.solution.gap, 0.0)
    value = f"P* = {report.solution.objective:.6f} (certified to a relative gap of {gap:.0e})"
    if report.all_optimal:
        return f"All {len(report.runs)} runs of gradient descent converge to the global optimum, {value}."
    return f"{good} of {len(report.runs)} runs of gradient descent converge to the global optimum, {value}."


def _draw(report: LimitReport, folder: Path) -> list[str]:
    """Write the figures, for K classes those of each class; their names."""
    from convexrelu.plotting import save_figures, training_figures
    from convexrelu.solvers import MultiClassSolution

    solution = report.solution
    parts = solution.solutions if isinstance(solution, MultiClassSolution) else (solution,)
    labels = (
        [f"class {name:g}" for name in solution.classes] if isinstance(solution, MultiClassSolution) else [""]
    )
    names = []
    with working("drawing the figures"):
        for k, (part, name) in enumerate(zip(parts, labels, strict=True)):
            paths = [run.trajectories[k] for run in report.runs]
            figures = training_figures(paths, part.network, optimum=part.objective, label=name)
            names += [path.name for path in save_figures(figures, folder)]
    return names
