"""What the commands share: options, exit codes, lines of 80 columns, strict JSON, errors, progress."""

from __future__ import annotations

import json
import math
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from convexrelu.errors import InvalidInputError

__all__ = [
    "BAD_INPUT",
    "FAILS",
    "INTERRUPTED",
    "LASTING",
    "Beta",
    "Bias",
    "Data",
    "Drop",
    "Json",
    "Label",
    "LossName",
    "Report",
    "Sep",
    "SkipMissing",
    "Standardize",
    "complain",
    "emit_json",
    "examples",
    "make_folder",
    "say",
    "strict",
    "wants_progress",
    "working",
]

FAILS, BAD_INPUT, INTERRUPTED = 1, 2, 130
WIDTH = 80
LASTING = 2.0  # seconds, after which whoever reads a pipe is told once that work is going on

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="Named data set, or CSV, TSV, NPZ or Parquet file.")
]
Drop = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="COLUMN", help="Leave a column of a file out; may be repeated."),
]
Sep = Annotated[
    str | None,
    typer.Option(
        metavar="CHAR",
        help="What separates the entries of a CSV file; default: what its header shows. If it is no comma, "
        "numbers may have decimal commas.",
    ),
]
SkipMissing = Annotated[
    bool, typer.Option("--skip-missing", help="Leave out rows of a file in which a value is missing.")
]
Standardize = Annotated[
    bool | None,
    typer.Option(
        "--standardize/--no-standardize",
        help="Shift each column to mean 0 and scale it to deviation 1. On by default.",
        show_default=False,
    ),
]
Bias = Annotated[
    bool | None,
    typer.Option(
        "--bias/--no-bias",
        help="Append a column of ones, whose weights are the biases. On by default.",
        show_default=False,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="Label column of a file; default: 'label' if present, else the last one."
    ),
]
LossName = Annotated[
    str | None,
    typer.Option("--loss", metavar="NAME", help="Train on this loss with weight decay; needs --beta."),
]
Beta = Annotated[
    float | None, typer.Option("--beta", metavar="PRICE", help="Price of the weights, with --loss.")
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", help="Write a report: one page, figures inside."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def examples(*commands: str) -> str:
    """Return examples for a help text, each on a line of its own."""
    return "\b\n" + "\n".join(["Examples:", *(f"  convexrelu {command}" for command in commands)])


def say(text: object) -> None:
    """Print on the standard output stream, long lines wrapped; lines indented by commands stay whole."""
    for line in str(text).splitlines():
        if len(line) <= WIDTH or line.startswith("    convexrelu "):
            typer.echo(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        typer.echo(
            textwrap.fill(
                line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
        )


def complain(problem: object) -> None:
    """Say in one line on the standard error stream what is wrong."""
    typer.echo(f"error: {' '.join(str(problem).split())}", err=True)


def strict(value: Any) -> Any:
    """Return plain JSON values: arrays as lists, infinities and NaN, which JSON lacks, as strings."""
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return strict(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def emit_json(document: dict[str, Any]) -> None:
    """Print a document on the standard output stream."""
    typer.echo(json.dumps(strict(document), indent=1, allow_nan=False))


def make_folder(path: Path) -> Path:
    """Return the folder, made if it was missing; InvalidInputError if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return path


def wants_progress() -> bool:
    """Whether a person watches the error stream, where progress is shown."""
    return sys.stderr.isatty()


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on the error stream that something is being done: to a person all the time, else once."""
    if not wants_progress():
        notice = threading.Timer(LASTING, lambda: typer.echo(f"{what} ...", err=True))
        notice.daemon = True
        notice.start()
        try:
            yield
        finally:
            notice.cancel()
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
