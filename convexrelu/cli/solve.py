"""``convexrelu solve``: the certified optimum of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convexrelu.cli.output import (
    FAILS,
    INTERRUPTED,
    Data,
    Json,
    Label,
    check_command,
    complain,
    emit_json,
    save_with_proof,
    wants_progress,
    write_infeasible,
)

if TYPE_CHECKING:
    from convexrelu.solvers import MaxMarginSolution, MultiClassSolution

__all__ = ["EXAMPLES", "solve"]

EXAMPLES = (
    "Examples: `convexrelu solve wang-pilanci-f1`; "
    "`convexrelu solve data.csv --label y --out certificate.json`; "
    "`convexrelu solve moons --C 10 --time-limit 30 --json`"
)


def solve(
    data: Data,
    label: Label = None,
    C: Annotated[float, typer.Option("--C", help="Penalty of slack; inf is the hard margin.")] = float("inf"),
    tol: Annotated[
        float, typer.Option(help="Certified relative gap at which the status is 'optimal'.")
    ] = 1e-6,
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop with the best bounds so far.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="auto, column-generation, or program (the full convex program).")
    ] = "auto",
    solver: Annotated[str, typer.Option(help="CLARABEL, ECOS or SCS, for the full program.")] = "CLARABEL",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the certificate, which `check` reads.")
    ] = None,
    json: Json = False,
) -> None:
    """Find the two-layer ReLU network of largest margin, with proven bounds.

    Exit code 0: certified optimal. 1: stopped before, with the bounds that hold; or infeasible data, with the
    proof written. 2: bad data, or infeasible data without --out.
    """
    from convexrelu._json_files import check_target
    from convexrelu.datasets import resolve
    from convexrelu.errors import InfeasibleError
    from convexrelu.solvers import solve_max_margin

    if out is not None:
        check_target(out)
    dataset = resolve(data, label=label)
    try:
        solution = solve_max_margin(
            dataset.X,
            dataset.y,
            C=C,
            tol=tol,
            method=method,
            solver=solver,
            time_limit=time_limit,
            progress=wants_progress(),
        )
    except InfeasibleError as error:
        if out is None:
            raise
        write_infeasible(out, dataset, error, check_command(out, data, label))
        raise typer.Exit(FAILS) from error
    if out is not None:
        save_with_proof(solution.certificate, out)
    if json:
        emit_json(_document(solution))
    else:
        typer.echo(f"{dataset}\n\n{_text(solution)}")
        if out is not None:
            typer.echo(f"certificate written to {out}; check it with: {check_command(out, data, label)}")
    if solution.status == "interrupted":
        complain("interrupted; the bounds so far hold")
        raise typer.Exit(INTERRUPTED)
    if solution.status != "optimal":
        raise typer.Exit(FAILS)


def _parts(solution: MaxMarginSolution | MultiClassSolution) -> list[tuple[str, MaxMarginSolution]]:
    """The binary solutions under their classes' names (none for two labels)."""
    from convexrelu.solvers import MultiClassSolution

    if isinstance(solution, MultiClassSolution):
        return [
            (f"class {name:g}", part) for name, part in zip(solution.classes, solution.solutions, strict=True)
        ]
    return [("", solution)]


def _text(solution: MaxMarginSolution | MultiClassSolution) -> str:
    lines = [
        f"status {solution.status}: {solution.lower_bound:.9g} <= P* <= {solution.objective:.9g}"
        f" (relative gap {max(solution.gap, 0.0):.1e})"
    ]
    for name, part in _parts(solution):
        if name:
            lines.append(f"\n{name}: {part.lower_bound:.9g} <= P* <= {part.objective:.9g}, {part.status}")
        support = int((part.lam != 0).sum())
        h = part.certificate.dual_feasibility
        lines.append(f"{part.network}\n{support} support rows of {len(part.lam)}, h(lam) = {h:.9g}")
        lines.append(f"{part.certificate.verdict}; data: {part.certificate.structure}; method: {part.method}")
    return "\n".join(lines)


def _document(solution: MaxMarginSolution | MultiClassSolution) -> dict[str, Any]:
    head = {
        "status": solution.status,
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
    }
    parts = _parts(solution)
    if parts[0][0]:
        return {**head, "classes": [{"class": name, **_binary(part)} for name, part in parts]}
    return {**head, **_binary(solution)}  # type: ignore[arg-type]


def _binary(part: MaxMarginSolution) -> dict[str, Any]:
    return {
        "status": part.status,
        "method": part.method,
        "lam": part.lam,
        "W1": part.network.W1,
        "w2": part.network.w2,
        "certificate": part.certificate.to_document(),
    }
