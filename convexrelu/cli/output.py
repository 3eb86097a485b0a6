"""What the commands share: options, exit codes, strict JSON, errors, progress."""

from __future__ import annotations

import json
import math
import shlex
import sys
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
    "Data",
    "Json",
    "Label",
    "check_command",
    "complain",
    "emit_json",
    "make_folder",
    "strict",
    "wants_progress",
    "working",
]

FAILS, BAD_INPUT, INTERRUPTED = 1, 2, 130

Data = Annotated[str, typer.Argument(metavar="DATA", help="Named data set, or CSV, NPZ or Parquet file.")]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="Label column of a file; default: 'label' if present, else the last one."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def check_command(certificate: Path, data: str, label: str | None) -> str:
    """Return the command that checks a certificate just written."""
    words = [
        "convexrelu",
        "check",
        str(certificate),
        data,
        *(["--label", label] if label is not None else []),
    ]
    return shlex.join(words)


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
    """Show on the error stream, if a person watches it, that something is being done."""
    if not wants_progress():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
