"""What the commands share: options, exit codes, strict JSON, errors, progress."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from convexrelu.errors import InfeasibleError, InvalidInputError

if TYPE_CHECKING:
    from convexrelu.certificates import Certificate, MultiClassCertificate
    from convexrelu.datasets.dataset import Dataset

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
    "save_with_proof",
    "strict",
    "wants_progress",
    "working",
    "write_infeasible",
]

FAILS, BAD_INPUT, INTERRUPTED = 1, 2, 130
_WEAKER = 1e-6  # relative: more than rounding

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


def save_with_proof(certificate: Certificate | MultiClassCertificate, path: Path) -> None:
    """Write the certificate, and say so if its file can only prove a weaker bound."""
    with working("writing the proof"):
        proven = certificate.proven()
        proven.save(path)
    if proven.lower_bound < certificate.lower_bound * (1 - _WEAKER):
        complain(
            f"the file proves {proven.lower_bound:.9g} <= P* only: a proof of {certificate.lower_bound:.9g}, "
            "which a search found, would be too large"
        )


def write_infeasible(path: Path, dataset: Dataset, error: InfeasibleError, command: str) -> None:
    """Write the proof that no network fits, and say so on the error stream."""
    from convexrelu.certificates import certify_infeasible

    certify_infeasible(dataset.X, dataset.y, error.farkas).save(path)
    complain(f"{error} The proof is written to {path}; check it with: {command}")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on the error stream, if a person watches it, that something is being done."""
    if not wants_progress():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
