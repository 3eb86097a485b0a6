"""``convexrelu pursue``: grow a network neuron by neuron."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer

from convexrelu.cli.data import Columns, read
from convexrelu.cli.output import (
    FAILS,
    INTERRUPTED,
    Bias,
    Data,
    Drop,
    Json,
    Label,
    Sep,
    SkipMissing,
    Standardize,
    complain,
    emit_json,
    examples,
    say,
    wants_progress,
)
from convexrelu.errors import InvalidInputError

if TYPE_CHECKING:
    from convexrelu.datasets import Task
    from convexrelu.pursuit import PursuitResult

__all__ = ["EXAMPLES", "pursue"]

EXAMPLES = examples(
    "pursue fig5 --size 500 --test-size 2000",
    "pursue data.csv --target price --depth 2 --out network.json",
    "pursue wine --iterations 8 --json",
)


class _Problem(NamedTuple):
    """What to fit, and fresh samples to test it on if the law of the samples is known."""

    train: Task
    test: Task | None


def pursue(
    data: Data,
    label: Label = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of real targets, for files.")
    ] = None,
    drop: Drop = None,
    sep: Sep = None,
    skip_missing: SkipMissing = False,
    standardize: Standardize = None,
    bias: Bias = None,
    size: Annotated[int, typer.Option(help="Samples of a sparse function (f1, ..., h2, fig5).")] = 800,
    test_size: Annotated[int, typer.Option(help="Fresh samples to test on, of a sparse function.")] = 5000,
    depth: Annotated[int, typer.Option(help="Layers of the network, at least 2.")] = 3,
    alpha: Annotated[float, typer.Option(help="Slope of the activation on the negative side.")] = 0.0,
    power: Annotated[int, typer.Option(help="Power of the activation max(x, alpha x)^power.")] = 1,
    starts: Annotated[int, typer.Option(help="Starts of the search for each neuron.")] = 10,
    iterations: Annotated[int, typer.Option(help="Iterations at most.")] = 31,
    tol: Annotated[float, typer.Option(help="Relative training error at which it ends.")] = 1e-3,
    inner: Annotated[str, typer.Option(help="lbfgs, levenberg-marquardt or gradient-descent.")] = "lbfgs",
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop with the best network so far.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the starts and of the samples.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the network (FeedForward.load reads it).")
    ] = None,
    json: Json = False,
) -> None:
    """Grow a network neuron by neuron until it fits (Neuron Pursuit).

    DATA is a sparse function's name (f1, f2, g1, g2, h1, h2, fig5), a data set's name or a file; labels of
    classes are fitted as +1 and -1, one output a class if there are more than two.

    Exit code 0: the training error is within --tol. 1: it is not, and the best network is returned. 2: bad
    input.
    """
    from convexrelu._json_files import check_target
    from convexrelu.networks import PowerLeakyReLU
    from convexrelu.pursuit import neuron_pursuit

    if out is not None:
        check_target(out)
    columns = Columns.of(label, drop, sep, skip_missing, standardize, bias)
    problem = _problem(data, columns, target, size=size, test_size=test_size, seed=seed)
    result = neuron_pursuit(
        problem.train.X,
        problem.train.y,
        depth=depth,
        activation=PowerLeakyReLU(alpha, power),
        n_starts=starts,
        max_iterations=iterations,
        tol=tol,
        inner=inner,
        time_limit=time_limit,
        rng=seed,
        progress=wants_progress(),
    )
    if out is not None:
        result.network.save(out)
    error = None if problem.test is None else problem.test.relative_error(result.network(problem.test.X))
    if json:
        emit_json(_document(problem.train, result, error))
    else:
        say(f"{problem.train}\n\n{result}")
        if error is not None:
            typer.echo(f"test error {error:.3e} on {len(problem.test.X)} fresh samples")  # type: ignore[union-attr]
        if out is not None:
            typer.echo(f"network written to {out}")
    if result.status == "interrupted":
        complain("interrupted; the network so far is the best one found")
        raise typer.Exit(INTERRUPTED)
    if result.status != "tolerance":
        raise typer.Exit(FAILS)


def _problem(
    data: str, columns: Columns, target: str | None, *, size: int, test_size: int, seed: int
) -> _Problem:
    """Return what the arguments name."""
    from convexrelu.datasets import Task, sparse_function, sparse_function_names

    if data in sparse_function_names():
        if target is not None or columns != Columns():
            raise InvalidInputError(
                f"options about columns, labels and targets are for files; {data} is a function's name"
            )
        train, test = np.random.SeedSequence(seed).spawn(2)
        return _Problem(sparse_function(data, size, rng=train), sparse_function(data, test_size, rng=test))
    if target is not None:
        if columns.label is not None:
            raise InvalidInputError("give --label (classes) or --target (real numbers), not both")
        columns = replace(columns, label=target)
    given = read(data, columns, real=target is not None)
    return _Problem(given.data if isinstance(given.data, Task) else _as_task(given.data), None)


def _as_task(dataset: Any) -> Task:
    """Return classes as targets +1 and -1, one column a class if there are more than two."""
    from convexrelu._validation import one_vs_rest
    from convexrelu.datasets import Task

    targets = one_vs_rest(dataset.y).Y
    y = targets[0] if len(targets) == 1 else targets.T
    return Task(dataset.X, y, dataset.name, dataset.description)


def _document(task: Task, result: PursuitResult, test_error: float | None) -> dict[str, Any]:
    shown = ("iteration", "layer", "ncf_value", "kkt_residual", "proven", "loss", "relative_error")
    steps = [{name: getattr(step, name) for name in (*shown, "n_neurons")} for step in result.history]
    return {
        "data": task.name,
        "status": result.status,
        "relative_error": result.relative_error,
        **({} if test_error is None else {"test_error": test_error}),
        "widths": result.network.widths,
        "weights": result.network.weights,
        "history": steps,
    }
