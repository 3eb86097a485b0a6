"""``convexrelu solve``: the certified optimum of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from convexrelu.cli.data import Columns, Given, read
from convexrelu.cli.models import (
    fit_of_outputs,
    fit_sentence,
    infeasible_sentence,
    save_infeasible,
    save_model,
)
from convexrelu.cli.output import (
    BAD_INPUT,
    FAILS,
    INTERRUPTED,
    Beta,
    Bias,
    Data,
    Drop,
    Json,
    Label,
    LossName,
    Report,
    Sep,
    SkipMissing,
    Standardize,
    complain,
    emit_json,
    examples,
    say,
)
from convexrelu.cli.problems import Decay, check_loss
from convexrelu.cli.running import interruptible
from convexrelu.errors import InfeasibleError

if TYPE_CHECKING:
    from convexrelu.solvers import MaxMarginSolution, MultiClassSolution, Solution

    AnySolution = MaxMarginSolution | MultiClassSolution | Solution

__all__ = ["EXAMPLES", "TIME_LIMIT", "solve"]

EXAMPLES = examples(
    "solve wang-pilanci-f1",
    "solve data.csv --label outcome --C 1 --out model.json",
    "solve german.csv --label Art --drop Nr --report report.html",
    "solve houses.csv --label price --loss squared --beta 0.1",
    "solve moons --C 10 --time-limit 30 --json",
)

TIME_LIMIT = 60.0  # seconds, where nothing else is said: a person waits


def solve(
    data: Data,
    label: Label = None,
    drop: Drop = None,
    sep: Sep = None,
    skip_missing: SkipMissing = False,
    standardize: Standardize = None,
    bias: Bias = None,
    C: Annotated[
        float, typer.Option("--C", help="Price of slack; inf is the hard margin. Noisy data wants it small.")
    ] = float("inf"),
    loss: LossName = None,
    beta: Beta = None,
    tol: Annotated[
        float, typer.Option(help="Certified relative gap at which the status is 'optimal'.")
    ] = 1e-6,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="Stop with the best bounds so far; inf: never.")
    ] = TIME_LIMIT,
    method: Annotated[
        str, typer.Option(help="auto, closed-form, column-generation, or program (all patterns).")
    ] = "auto",
    solver: Annotated[str, typer.Option(help="CLARABEL, ECOS or SCS, for the full program.")] = "CLARABEL",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the model, which predict, check and certify read."),
    ] = None,
    report: Report = None,
    json: Json = False,
) -> None:
    """Find the two-layer ReLU network of largest margin, with proven bounds.

    With --loss and --beta the network of least loss with weight decay: logistic, softmax, hinge and
    squared_hinge for classes; squared, absolute, huber, quantile, epsilon_insensitive and poisson for
    numbers.

    Exit code 0: certified optimal. 1: stopped before, with the bounds that hold; or infeasible data, with the
    proof written. 2: bad data, or infeasible data without --out.
    """
    from convexrelu._json_files import check_target

    for target in (out, report):
        if target is not None:
            check_target(target)
    decay = check_loss(loss, beta, C)
    columns = Columns.of(label, drop, sep, skip_missing, standardize, bias)
    given = read(data, columns, real=decay is not None and not decay.labels)
    recheck = None if out is None else columns.command("check", out, data)
    if not json:
        say(f"{given}\n")
    try:
        solution = interruptible(
            lambda: _solution(
                given, decay, C=C, tol=tol, time_limit=time_limit, method=method, solver=solver
            ),
            f"solving {given.data.name} ({time_limit:g} s at most)",
            binary=len(given.classes) <= 2,
        )
    except InfeasibleError as error:
        if out is None:
            complain(infeasible_sentence(given, error))
            raise typer.Exit(BAD_INPUT) from error
        save_infeasible(out, given, error, columns.command("check", out, data))
        raise typer.Exit(FAILS) from error
    fit = fit_of(solution, given)
    if json:
        emit_json({**_document(solution, given), "preprocessing": str(given.preprocessing), **fit})
    else:
        say(_text(solution, given, fit))
        say(_hint(solution, C, time_limit))
    if solution.status == "interrupted":
        complain("interrupted; the bounds so far hold")
    if out is not None:  # after the answer: a proof may take a while
        save_model(solution.certificate, out, given, time_limit)
        if not json:
            say(f"\nmodel written to {out}; to check it, and to use it on other data:")
            say(f"    {recheck}")
            say(f"    {Columns(sep=sep).command('predict', out, 'NEW_DATA')}")
    if report is not None:
        from convexrelu.cli.report import solve_report

        solve_report(report, given, solution, fit=fit_sentence(fit, len(given.X)), recheck=recheck)
        if not json:
            say(f"report written to {report}")
    if solution.status == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if solution.status != "optimal":
        raise typer.Exit(FAILS)


def _solution(
    given: Given,
    decay: Decay | None,
    *,
    C: float,
    tol: float,
    time_limit: float,
    method: str,
    solver: str,
) -> AnySolution:
    from convexrelu.solvers import solve as solve_loss
    from convexrelu.solvers import solve_max_margin

    if decay is not None:
        return solve_loss(given.X, given.y, tol=tol, time_limit=time_limit, **decay.keywords)
    return solve_max_margin(
        given.X, given.y, C=C, tol=tol, method=method, solver=solver, time_limit=time_limit
    )


def parts_of(solution: AnySolution, given: Given) -> list[tuple[str, MaxMarginSolution]]:
    """The binary solutions under their classes' names, as the user wrote them; none without several."""
    from convexrelu.solvers import MultiClassSolution

    if isinstance(solution, MultiClassSolution):
        return list(zip(given.classes, solution.solutions, strict=True))
    return []


def fit_of(solution: AnySolution, given: Given) -> dict[str, Any]:
    """How well the training data is predicted: the accuracy, or of numbers R^2."""
    from convexrelu.solvers import MultiClassSolution

    networks = (
        [part.network for part in solution.solutions]
        if isinstance(solution, MultiClassSolution)
        else [solution.network]
    )
    outputs = np.column_stack([network(given.X) for network in networks])
    return fit_of_outputs(outputs, given, getattr(solution.certificate, "loss", None))


def _text(solution: AnySolution, given: Given, fit: dict[str, Any]) -> str:
    from convexrelu.solvers import MaxMarginSolution, Solution

    lines = [
        f"status {solution.status}: {bounds_sentence(solution)}",
        fit_sentence(fit, len(given.X)),
    ]
    if isinstance(solution, MaxMarginSolution):
        lines += _lines_of(solution, given)
    elif isinstance(solution, Solution):
        lines += [str(solution.network), str(solution.certificate)]
    for name, part in parts_of(solution, given):
        lines.append(f"\nclass {name}: {bounds_sentence(part)}, {part.status}")
        lines += _lines_of(part, given)
    return "\n".join(lines)


def _lines_of(part: MaxMarginSolution, given: Given) -> list[str]:
    support, h = int((part.lam != 0).sum()), part.certificate.dual_feasibility
    certificate = part.certificate
    lines = [str(part.network)]
    if np.isfinite(certificate.C):  # the structure of the data is about hard margins
        norm = part.network.objective()
        slack = (part.objective - norm) / certificate.C
        lines.append(f"norm {norm:.6g} + {certificate.C:g} x slack {slack:.6g} = {part.objective:.9g}")
        structure = ""
    else:
        structure = f"; data: {certificate.structure}"
    return [
        *lines,
        f"{support} support rows of {len(given.X)}, h(lam) = {h:.9g}",
        f"{certificate.verdict}{structure}; method: {part.method}",
    ]


def _hint(solution: AnySolution, C: float, time_limit: float) -> str:
    """What may help a search that was cut off."""
    if solution.status != "time_limit":
        return ""
    hard = np.isinf(C) and not hasattr(solution.certificate, "loss")
    soft = " A hard margin (C = inf) asks that every label be fitted: with --C 1 it takes less."
    return (
        f"The time limit of {time_limit:g} s ended the search, and both bounds hold. --time-limit SECONDS "
        f"gives it more, --tol 1e-2 asks for less.{soft if hard else ''}"
    )


def bounds_sentence(solution: AnySolution) -> str:
    """Return both bounds, or what there is of them."""
    if np.isinf(solution.objective):
        return f"P* >= {solution.lower_bound:.9g}; no network that fits every label was found"
    return (
        f"{solution.lower_bound:.9g} <= P* <= {solution.objective:.9g} "
        f"(relative gap {max(solution.gap, 0.0):.1e})"
    )


def _document(solution: AnySolution, given: Given) -> dict[str, Any]:
    from convexrelu.solvers import MaxMarginSolution, Solution

    head = {
        "status": solution.status,
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
    }
    if isinstance(solution, MaxMarginSolution):
        return {**head, **_binary(solution)}
    if isinstance(solution, Solution):
        return {**head, "certificate": solution.certificate.to_document()}
    parts = [{"class": f"class {name}", **_binary(part)} for name, part in parts_of(solution, given)]
    return {**head, "classes": parts}


def _binary(part: MaxMarginSolution) -> dict[str, Any]:
    return {
        "status": part.status,
        "method": part.method,
        "lam": part.lam,
        "W1": part.network.W1,
        "w2": part.network.w2,
        "certificate": part.certificate.to_document(),
    }
